//! TCP reassembly: what is handed on is what was sent, in its place.
//!
//! Input: a byte that chooses the mode, a seed for the cuts, a number that the
//! initial sequence numbers come from, then segments, each a byte (bit 0: from
//! the server, bits 1 to 3: what kind) and two numbers, all little-endian and
//! of two bytes.
//!
//! * Mode 0: segments of data in any order, overlapping, with holes. Every byte
//!   that was sent is handed on, however the segments are cut.
//! * Mode 1: also acknowledgements, ends, snapped segments and the passing of
//!   time. Every byte that is handed on is in its place.
//! * Mode 2: any headers. Memory stays bounded.

use std::net::SocketAddr;
use std::time::Duration;

use mcpwatch::capture::SourceId;
use mcpwatch::decode::{Packet, TcpFlags, TcpHeader, Transport, TunnelPath};
use mcpwatch::flow::{CloseReason, FlowHandler, FlowHasher, FlowInfo, FlowLimits, FlowTable};
use mcpwatch::stream::Direction;
use mcpwatch::time::Timestamp;

use super::input::{Cut, Input};

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte() % 3;
    let seed = input.byte();
    let isn = input.number();
    let segments = segments(input);
    match mode {
        0 => {
            for cut in [Cut::Whole, Cut::Random(seed)] {
                assert_eq!(Run::new(isn).plain(&segments, cut), expected(&segments), "{cut:?}");
            }
        }
        1 => Run::new(isn).timely(&segments),
        _ => Run::bounded(isn).wild(&segments),
    }
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    direction: Direction,
    kind: u8,
    a: u16,
    b: u16,
}

fn segments(mut input: Input<'_>) -> Vec<Segment> {
    let mut segments = Vec::new();
    while !input.is_empty() && segments.len() < 4096 {
        let first = input.byte();
        let direction = if first & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        segments.push(Segment {
            direction,
            kind: first >> 1 & 7,
            a: input.number(),
            b: input.number(),
        });
    }
    segments
}

impl Segment {
    fn offset(&self) -> u32 {
        self.a.into()
    }

    fn data(&self) -> Vec<u8> {
        let end = self.offset() + u32::from(self.b % 3000);
        (self.offset()..end).map(|offset| byte_at(self.direction, offset)).collect()
    }
}

/// The byte at an offset of a stream.
fn byte_at(direction: Direction, offset: u32) -> u8 {
    let mixed = (offset + 1).wrapping_mul(0x9e37_79b1) ^ direction.index() as u32;
    (mixed >> 24) as u8
}

/// A stream as it was handed on: bytes, and places whose bytes are lost.
type Stream = Vec<Option<u8>>;

/// What has to come of segments of data.
fn expected(segments: &[Segment]) -> [Stream; 2] {
    let mut streams = [Stream::new(), Stream::new()];
    for segment in segments {
        let (stream, data) = (&mut streams[segment.direction.index()], segment.data());
        let end = segment.offset() as usize + data.len();
        if stream.len() < end && !data.is_empty() {
            stream.resize(end, None);
        }
        for (place, byte) in stream.iter_mut().skip(segment.a.into()).zip(data) {
            *place = Some(byte);
        }
    }
    streams
}

struct Run {
    table: FlowTable<u32>,
    watch: Watch,
    isns: [u32; 2],
    packets: u64,
    now: Duration,
}

/// Keeps what is handed on of the first flow.
#[derive(Default)]
struct Watch {
    flows: u32,
    open: u32,
    streams: [Stream; 2],
}

impl FlowHandler for Watch {
    type State = u32;

    fn opened(&mut self, _: &mut FlowInfo) -> u32 {
        self.flows += 1;
        self.open += 1;
        self.flows
    }

    fn data(&mut self, flow: &mut u32, _: &mut FlowInfo, direction: Direction, data: &[u8]) {
        assert!(!data.is_empty());
        if *flow == 1 {
            self.streams[direction.index()].extend(data.iter().copied().map(Some));
        }
    }

    fn gap(&mut self, flow: &mut u32, _: &mut FlowInfo, direction: Direction, len: u64) {
        assert!(len > 0);
        if *flow == 1 && len < 1 << 24 {
            let stream = &mut self.streams[direction.index()];
            stream.resize(stream.len() + len as usize, None);
        }
    }

    fn end(&mut self, _: &mut u32, _: &mut FlowInfo, _: Direction) {}

    fn datagram(&mut self, _: &mut u32, _: &mut FlowInfo, _: Direction, _: &[u8], _: u32) {
        panic!("a datagram of TCP");
    }

    fn closed(&mut self, _: u32, _: &FlowInfo, _: CloseReason) {
        self.open -= 1;
    }
}

impl Run {
    fn new(isn: u16) -> Self {
        let limits = FlowLimits {
            max_out_of_order_per_flow: 1 << 30,
            max_out_of_order_total: 1 << 30,
            max_out_of_order_pieces: 1 << 20,
            ..FlowLimits::default()
        };
        Self::with_limits(isn, limits)
    }

    fn bounded(isn: u16) -> Self {
        let limits = FlowLimits {
            max_flows: 4,
            max_out_of_order_per_flow: 20_000,
            max_out_of_order_total: 30_000,
            max_out_of_order_pieces: 20,
            max_history_total: 2000,
            ..FlowLimits::default()
        };
        Self::with_limits(isn, limits)
    }

    fn with_limits(isn: u16, limits: FlowLimits) -> Self {
        Self {
            table: FlowTable::new(limits, FlowHasher::seeded(1)),
            watch: Watch::default(),
            // One that wraps soon, and one that does not.
            isns: [0xffff_0000 | u32::from(isn), u32::from(isn) << 8],
            packets: 0,
            now: Duration::ZERO,
        }
    }

    fn plain(mut self, segments: &[Segment], cut: Cut) -> [Stream; 2] {
        self.handshake();
        for segment in segments {
            let data = segment.data();
            let mut offset = segment.offset();
            for piece in cut.pieces(&data) {
                let seq = self.seq(segment.direction, offset);
                self.send(
                    segment.direction,
                    TcpHeader { seq, ack: 0, flags: TcpFlags(0) },
                    piece,
                    0,
                );
                offset += piece.len() as u32;
            }
        }
        self.finish().streams
    }

    fn timely(mut self, segments: &[Segment]) {
        self.handshake();
        for segment in segments {
            let Segment { direction, kind, a, b } = *segment;
            let seq = self.seq(direction, segment.offset());
            let plain = TcpHeader { seq, ack: 0, flags: TcpFlags(0) };
            match kind {
                4 => self.send(direction, TcpHeader { flags: TcpFlags(1), ..plain }, b"", 0),
                // A handshake that nothing follows is forgotten; what comes later would be
                // another flow, joined in mid-stream.
                5 if self.watch.flows == 0 => {}
                5 => self.now += Duration::from_millis(u64::from(a) * 5),
                6 => {
                    let ack = self.seq(direction.reverse(), b.into());
                    self.send(direction, TcpHeader { ack, flags: TcpFlags(0x10), ..plain }, b"", 0);
                }
                7 => {
                    let data = segment.data();
                    let (kept, cut) = data.split_at(data.len() / 2);
                    self.send(direction, plain, kept, cut.len() as u32);
                }
                _ => self.send(direction, plain, &segment.data(), 0),
            }
        }
        for (direction, stream) in
            [Direction::ToServer, Direction::ToClient].into_iter().zip(self.finish().streams)
        {
            for (offset, byte) in stream.into_iter().enumerate() {
                let sent = byte_at(direction, offset as u32);
                assert!(byte.is_none_or(|byte| byte == sent), "{direction:?} {offset}");
            }
        }
    }

    fn wild(mut self, segments: &[Segment]) {
        for segment in segments {
            let Segment { direction, kind, a, b } = *segment;
            let far = u32::from(a) << (4 * (kind & 3));
            let header = TcpHeader {
                seq: self.seq(direction, far),
                ack: self.seq(direction.reverse(), b.into()),
                flags: TcpFlags(if kind < 4 { 0x10 } else { a.to_le_bytes()[0] }),
            };
            let len = usize::from(b % 2000);
            let data: Vec<u8> = segment.data().into_iter().take(len.saturating_sub(300)).collect();
            self.now += Duration::from_millis(u64::from(b >> 6));
            self.send(direction, header, &data, u32::from(b % 7 == 6) * u32::from(a));
            if b.is_multiple_of(16) {
                self.table.advance(self.time(), &mut self.watch);
            }
            assert!(self.table.memory() < 400_000, "{}", self.table.memory());
        }
        self.finish();
    }

    fn handshake(&mut self) {
        let [client, server] = self.isns;
        let syn = TcpHeader { seq: client, ack: 0, flags: TcpFlags(2) };
        let agree = TcpHeader { seq: server, ack: client.wrapping_add(1), flags: TcpFlags(0x12) };
        self.send(Direction::ToServer, syn, b"", 0);
        self.send(Direction::ToClient, agree, b"", 0);
    }

    fn seq(&self, direction: Direction, offset: u32) -> u32 {
        self.isns[direction.index()].wrapping_add(1).wrapping_add(offset)
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_nanos(1_780_000_000_000_000_000 + self.now.as_nanos() as i64)
    }

    fn send(&mut self, direction: Direction, header: TcpHeader, payload: &[u8], missing: u32) {
        self.packets += 1;
        let client = SocketAddr::from(([192, 0, 2, 1], 40_000));
        let server = SocketAddr::from(([192, 0, 2, 2], 8000));
        let (src, dst) = match direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        };
        let packet = Packet {
            number: self.packets,
            time: self.time(),
            source: SourceId(0),
            src,
            dst,
            transport: Transport::Tcp(header),
            payload,
            missing,
            tunnel: TunnelPath::default(),
        };
        self.table.on_packet(self.packets, &packet, &mut self.watch);
    }

    fn finish(mut self) -> Watch {
        self.table.finish(&mut self.watch);
        assert_eq!(self.watch.open, 0, "flows that were not closed");
        self.watch
    }
}
