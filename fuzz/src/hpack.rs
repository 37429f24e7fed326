//! HPACK: field blocks of both directions of an HTTP/2 connection, cut anywhere.
//!
//! Input: a byte of options (bit 0: small limits), a seed for the cuts, then
//! blocks: a byte whose low bit is the direction (set: to the client), and the
//! block after its length as a little-endian number of two bytes. Each is the
//! header list of a stream of its own.

use mcpwatch::stream::Direction;

use super::http2;
use super::input::{Cut, Input, Step};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const HEADERS: u8 = 1;
/// END_STREAM and END_HEADERS.
const FLAGS: u8 = 5;

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte() & 1, input.byte());
    let mut blocks = vec![
        (Direction::ToServer, [PREFACE, SETTINGS].concat()),
        (Direction::ToClient, SETTINGS.to_vec()),
    ];
    let mut streams = [1_u32; 2];
    while !input.is_empty() {
        let direction =
            if input.byte() & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        let stream = &mut streams[direction.index()];
        blocks.push((direction, headers(*stream, input.sized())));
        *stream += 2;
    }
    let steps: Vec<Step<'_>> =
        blocks.iter().map(|(direction, bytes)| Step::Data(*direction, bytes)).collect();
    http2::same_however_cut(&steps, Cut::others(seed), options);
}

fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    let len = (block.len() as u32).to_be_bytes();
    [&len[1..], &[HEADERS, FLAGS], &stream.to_be_bytes(), block].concat()
}
