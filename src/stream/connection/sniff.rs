//! Which protocol? Told from the first bytes of either direction.

use crate::mcp;
use crate::stream::{Direction, dns, http1, http2, preface, tls};

/// A protocol that is not told by so many bytes of a direction is none we know.
const MAX_SNIFF: usize = 4096;

/// What the first bytes of a direction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    Http1,
    Http2,
    Tls,
    Raw,
    Dns,
    Preface(preface::PrefaceKind),
    Unsure,
    Unknown,
}

/// The first bytes of both directions, until they tell the protocol.
#[derive(Debug, Default)]
pub(super) struct Sniffer {
    pub(super) sides: [Side; 2],
    /// Within TLS, a tunnel or behind a preface the sides are known, and nothing
    /// is missing.
    pub(super) nested: bool,
    /// Bytes were lost.
    pub(super) gap: bool,
}

#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) held: Vec<u8>,
    /// What it says is none of what a connection begins with.
    pub(super) unknown: bool,
}

/// What was found, and how many of the bytes were held back with those before.
pub(super) struct Sniffed {
    pub(super) guess: Guess,
    pub(super) used: usize,
    /// The side that speaks like this, where that is certain.
    pub(super) speaker: Option<Direction>,
}

impl Sniffer {
    /// A sniffer inside another protocol.
    pub(super) fn nested() -> Self {
        Self { nested: true, ..Self::default() }
    }

    /// Looks at the next bytes of a direction; `port` is the server's. In the
    /// usual case the first segment tells all, and nothing is held.
    ///
    /// Where the start is missing (`joined`), JSON may as well be the body of a
    /// message whose head was lost: then the end of a line tells, or the other
    /// direction.
    pub(super) fn look(
        &mut self,
        direction: Direction,
        data: &[u8],
        port: u16,
        joined: bool,
    ) -> Sniffed {
        let doubted = |told: Guess, seen: &[u8]| {
            let doubted = joined && told == Guess::Raw && !seen.contains(&b'\n');
            doubted && seen.len() < MAX_SNIFF
        };
        let side = &mut self.sides[direction.index()];
        let mut used = 0;
        let mut told = (Guess::Unsure, None);
        if side.held.is_empty() {
            told = guess(direction, data, port);
        }
        if told.0 == Guess::Unsure || doubted(told.0, data) {
            used = data.len().min(MAX_SNIFF - side.held.len());
            side.held.extend_from_slice(&data[..used]);
            told = guess(direction, &side.held, port);
            if doubted(told.0, &side.held) {
                told = (Guess::Unsure, None);
            } else if told.0 == Guess::Unsure && side.held.len() == MAX_SNIFF {
                told = (Guess::Unknown, None);
            }
        }
        Sniffed { guess: told.0, used, speaker: told.1 }
    }
}

/// What `data` looks like, and who says such a thing.
fn guess(direction: Direction, data: &[u8], port: u16) -> (Guess, Option<Direction>) {
    use Direction::{ToClient, ToServer};
    let mut unsure = false;
    // Before HTTP, for which `PROXY` might be a method until the line ends.
    match preface::probe(direction, data) {
        preface::Probe::Preface(kind) => return (Guess::Preface(kind), None),
        preface::Probe::Unsure => unsure = true,
        preface::Probe::No => {}
    }
    match http1::probe(data) {
        http1::Probe::Request => return (Guess::Http1, Some(ToServer)),
        http1::Probe::Response => return (Guess::Http1, Some(ToClient)),
        http1::Probe::Unsure => unsure = true,
        http1::Probe::No => {}
    }
    match tls::probe(data) {
        tls::Probe::ClientHello => return (Guess::Tls, Some(ToServer)),
        tls::Probe::ServerHello => return (Guess::Tls, Some(ToClient)),
        tls::Probe::Records => return (Guess::Tls, None),
        tls::Probe::Unsure => unsure = true,
        tls::Probe::No => {}
    }
    match http2::probe(data) {
        http2::Probe::Client => return (Guess::Http2, Some(ToServer)),
        http2::Probe::Server => return (Guess::Http2, Some(ToClient)),
        http2::Probe::Unsure => unsure = true,
        http2::Probe::No => {}
    }
    match dns::probe_dns_stream(data, port) {
        dns::DnsProbe::Dns => return (Guess::Dns, None),
        dns::DnsProbe::Unsure => unsure = true,
        dns::DnsProbe::No => {}
    }
    match mcp::probe(data) {
        mcp::Probe::Framed(_) => (Guess::Raw, None),
        mcp::Probe::Undecided => (Guess::Unsure, None),
        mcp::Probe::Other if unsure => (Guess::Unsure, None),
        mcp::Probe::Other => (Guess::Unknown, None),
    }
}
