//! Frames: bytes of a TCP connection or a datagram in, Ethernet frames with right
//! checksums out.

use etherparse::PacketBuilder;

use super::random::Random;
use crate::capture::{Frame, LinkType, SourceId};
use crate::time::Timestamp;

/// Documentation addresses (RFC 5737).
const CLIENT: [u8; 4] = [192, 0, 2, 10];
const SERVER: [u8; 4] = [198, 51, 100, 7];
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The time of the first frame, and between two.
const START: i64 = 1_790_000_000_000_000_000;
const SPACING: i64 = 100_000;

/// Bytes of a segment.
const MSS: usize = 1460;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// How what is sent is cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As long as they may be.
    Whole,
    /// One byte in each.
    Bytes,
    /// At places that follow from the number.
    Random(u64),
}

/// Frames in the order they were captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames(Vec<Vec<u8>>);

impl Frames {
    /// The frames, with numbers from `first` on.
    pub(super) fn iter(&self, first: u64) -> impl Iterator<Item = Frame<'_>> {
        self.0.iter().zip(first..).map(|(data, number)| Frame {
            number,
            time: time(number),
            link: LinkType::ETHERNET,
            source: SourceId(0),
            data,
            original_len: u32::try_from(data.len()).unwrap_or(u32::MAX),
        })
    }

    /// Bytes of all frames together.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// These frames, then those of another.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn time(number: u64) -> Timestamp {
    let since = i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(SPACING);
    Timestamp::from_nanos(START.saturating_add(since))
}

/// Frames of a TCP connection in the making.
pub(super) struct Connection {
    ports: [u16; 2],
    next: [u32; 2],
    cut: Cutter,
    frames: Frames,
}

impl Connection {
    /// A connection from `client` to `server`, with its handshake.
    pub(super) fn open(client: u16, server: u16, cut: Cut) -> Self {
        let mut connection = Self {
            ports: [client, server],
            next: [1_000, 2_000_000],
            cut: Cutter::new(cut),
            frames: Frames::default(),
        };
        connection.segment(Side::Client, Flags::Syn, &[]);
        connection.segment(Side::Server, Flags::Syn, &[]);
        connection.segment(Side::Client, Flags::Ack, &[]);
        connection
    }

    /// Sends bytes, which the other side acknowledges.
    pub(super) fn send(&mut self, side: Side, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(self.cut.next(rest.len()));
            self.segment(side, Flags::Ack, piece);
            rest = after;
        }
        self.segment(side.other(), Flags::Ack, &[]);
    }

    /// Sends bytes whose segments come in another order, some of them twice.
    pub(super) fn send_disordered(&mut self, side: Side, bytes: &[u8], random: &mut Random) {
        let first = self.frames.0.len();
        self.send(side, bytes);
        // The last frame is the acknowledgement.
        let mut sent = self.frames.0.split_off(first);
        let last = sent.len().saturating_sub(2);
        for at in 0..last {
            sent.swap(at, (at + random.below(4)).min(last));
        }
        for frame in sent {
            if random.chance(4) {
                self.frames.0.push(frame.clone());
            }
            self.frames.0.push(frame);
        }
    }

    /// Ends the connection from both sides.
    pub(super) fn close(mut self) -> Frames {
        self.segment(Side::Client, Flags::Fin, &[]);
        self.segment(Side::Server, Flags::Fin, &[]);
        self.segment(Side::Client, Flags::Ack, &[]);
        self.frames
    }

    fn segment(&mut self, side: Side, flags: Flags, payload: &[u8]) {
        let (own, peer) = (side as usize, side.other() as usize);
        let [seq, ack] = [own, peer].map(|at| self.next.get(at).copied().unwrap_or_default());
        let [from, to] = [own, peer].map(|at| self.ports.get(at).copied().unwrap_or_default());
        let opening = flags == Flags::Syn && side == Side::Client;
        let mut tcp = network(side).tcp(from, to, seq, 64_240);
        if !opening {
            tcp = tcp.ack(ack);
        }
        tcp = match flags {
            Flags::Syn => tcp.syn(),
            Flags::Fin => tcp.fin(),
            Flags::Ack => tcp,
        };
        let mut frame = Vec::with_capacity(tcp.size(payload.len()));
        // Writing to memory cannot fail, and no payload is longer than a packet.
        if tcp.write(&mut frame, payload).is_ok() {
            self.frames.0.push(frame);
        }
        let advance = payload.len() as u32 + u32::from(flags != Flags::Ack);
        if let Some(next) = self.next.get_mut(own) {
            *next = next.wrapping_add(advance);
        }
    }
}

/// A datagram of a client.
pub(super) fn datagram(client: u16, server: u16, payload: &[u8]) -> Frames {
    let udp = network(Side::Client).udp(client, server);
    let mut frame = Vec::with_capacity(udp.size(payload.len()));
    let written = udp.write(&mut frame, payload).is_ok();
    Frames(if written { vec![frame] } else { Vec::new() })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flags {
    Syn,
    Ack,
    Fin,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

fn network(from: Side) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    match from {
        Side::Client => PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC).ipv4(CLIENT, SERVER, 60),
        Side::Server => PacketBuilder::ethernet2(SERVER_MAC, CLIENT_MAC).ipv4(SERVER, CLIENT, 60),
    }
}

/// Says how long the next segment is.
struct Cutter {
    cut: Cut,
    random: Random,
}

impl Cutter {
    fn new(cut: Cut) -> Self {
        let seed = if let Cut::Random(seed) = cut { seed } else { 0 };
        Self { cut, random: Random::new(seed) }
    }

    fn next(&mut self, left: usize) -> usize {
        let most = left.min(MSS);
        match self.cut {
            Cut::Whole => most,
            Cut::Bytes => 1,
            // Short ones are where mistakes hide.
            Cut::Random(_) => {
                let most = if self.random.chance(2) { most.min(8) } else { most };
                1 + self.random.below(most)
            }
        }
    }
}
