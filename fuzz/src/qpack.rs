//! QPACK: encoder instructions and field sections of both directions of an
//! HTTP/3 connection, cut anywhere.
//!
//! Input: a byte of options (bit 0: small limits), a seed for the cuts, then
//! pieces: a byte whose low bit is the direction (set: to the client) and whose
//! next says what it is (set: encoder instructions, else the field section of a
//! stream of its own), and the piece after its length as a little-endian number
//! of two bytes.

use mcpwatch::stream::Direction;
use mcpwatch::stream::http3::{Http3, Http3Counters, Http3Limits};

use super::compare::{same_counters, same_list};
use super::exchanges::Log;
use super::input::{Cut, Input};

const SMALL: Http3Limits = Http3Limits {
    streams: 4,
    stream_bytes: 500,
    connection_bytes: 2000,
    section_bytes: 300,
    table_bytes: 200,
    blocked: 2,
};
/// Type of an encoder stream (RFC 9204 section 4.2).
const ENCODER: u8 = 2;
/// Type of a HEADERS frame (RFC 9114 section 7.2.2).
const HEADERS: u8 = 1;

/// Bytes of a stream, of which they are the end or not.
struct Piece<'a> {
    direction: Direction,
    stream: u64,
    bytes: Vec<u8>,
    section: Option<&'a [u8]>,
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte(), input.byte());
    let limits = if options & 1 == 0 { Http3Limits::default() } else { SMALL };
    let pieces = pieces(input);
    let whole = read(&pieces, Cut::Whole, limits);
    for cut in Cut::others(seed) {
        let other = read(&pieces, cut, limits);
        same_list(&other.0, &whole.0, cut);
        same_counters(&other.1, &whole.1, Http3Counters::each, cut);
    }
}

fn pieces(mut input: Input<'_>) -> Vec<Piece<'_>> {
    let mut requests = [0; 2];
    let mut pieces: Vec<_> = [Direction::ToServer, Direction::ToClient]
        .map(|direction| Piece {
            direction,
            stream: encoder_stream(direction),
            bytes: vec![ENCODER],
            section: None,
        })
        .into();
    while !input.is_empty() {
        let first = input.byte();
        let direction = if first & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        let data = input.sized();
        let request = &mut requests[direction.index()];
        pieces.push(if first & 2 == 0 {
            let stream = *request * 4;
            *request += 1;
            Piece { direction, stream, bytes: headers(data), section: Some(data) }
        } else {
            let stream = encoder_stream(direction);
            Piece { direction, stream, bytes: data.to_vec(), section: None }
        });
    }
    pieces
}

const fn encoder_stream(direction: Direction) -> u64 {
    match direction {
        Direction::ToServer => 2,
        Direction::ToClient => 3,
    }
}

/// A HEADERS frame; its length takes four bytes.
fn headers(section: &[u8]) -> Vec<u8> {
    let len = (0x8000_0000 | section.len() as u32).to_be_bytes();
    [&[HEADERS], &len[..], section].concat()
}

fn read(pieces: &[Piece<'_>], cut: Cut, limits: Http3Limits) -> (Vec<String>, Http3Counters) {
    let mut http = Http3::new(0, limits);
    let mut log = Log::new(false);
    let mut encoded = [0; 2];
    for Piece { direction, stream, bytes, section } in pieces {
        let mut offset = if section.is_some() { 0 } else { encoded[direction.index()] };
        let end = offset + bytes.len() as u64;
        for data in cut.pieces(bytes) {
            let next = offset + data.len() as u64;
            let fin = section.is_some() && next == end;
            http.stream(*direction, *stream, offset, data, fin, &mut log);
            offset = next;
        }
        if section.is_none() {
            encoded[direction.index()] = offset;
        }
    }
    http.close(&mut log);
    assert_eq!(http.held(), 0, "bytes wait for nothing");
    // Counts pieces of streams that are over, and here they come in more pieces.
    let counters = Http3Counters { late_frames: 0, ..*http.counters() };
    (log.finish(), counters)
}
