//! What a proxy has said before the payload: PROXY protocol (HAProxy, "The
//! PROXY protocol", versions 1 and 2), SOCKS5 (RFC 1928, with user names by RFC
//! 1929) and SOCKS4 and 4a.
//!
//! In: the first bytes of a connection, cut anywhere. Out: how many bytes of
//! each direction the preface takes, whose connection it speaks of, and where
//! that goes; what follows is a connection of its own, to be probed afresh.
//!
//! [`probe`] tells from the client's first bytes whether there is a preface; a
//! [`PrefaceParser`] then takes it off. The two directions are read each on its
//! own, so that neither their interleaving nor the loss of one matters.
//! Passwords are skipped without being kept.
//!
//! ```
//! use mcpwatch::stream::Direction::{ToClient, ToServer};
//! use mcpwatch::stream::preface::{PrefaceParser, PrefaceProgress, Probe, probe};
//!
//! let greeting = b"\x05\x01\x00";
//! let Probe::Preface(kind) = probe(ToServer, greeting) else { panic!("no preface") };
//! let mut parser = PrefaceParser::new(kind);
//! assert_eq!(parser.feed(ToServer, greeting), PrefaceProgress::NeedMore);
//! assert_eq!(parser.feed(ToClient, b"\x05\x00"), PrefaceProgress::NeedMore);
//! let request = b"\x05\x01\x00\x03\x08mcp.test\x00\x50GET /mcp HTTP/1.1\r\n";
//! let PrefaceProgress::Done { consumed, target } = parser.feed(ToServer, request) else {
//!     panic!("not done");
//! };
//! assert_eq!(&request[consumed..], b"GET /mcp HTTP/1.1\r\n");
//! let target = target.unwrap();
//! assert_eq!((target.host, target.port), (&b"mcp.test"[..], Some(80)));
//! ```

mod probe;
mod proxy;
mod reader;
mod socks;

use std::net::SocketAddr;

pub use probe::{Probe, probe};

use super::Direction;
use super::uri::Authority;
use reader::{Fault, Outcome, Side};

crate::counters! {
    /// What became of prefaces.
    pub struct PrefaceCounters {
        /// Prefaces begun.
        prefaces,
        /// Directions whose preface was read to its end.
        done,
        /// Directions whose preface was malformed.
        malformed,
        /// Prefaces with a command or an authentication that cannot be followed.
        unsupported,
        /// Requests that the proxy refused.
        refused,
        /// Directions whose preface was hidden by a gap.
        gaps,
    }
}

/// Which preface it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrefaceKind {
    /// PROXY protocol version 1: a line of text.
    ProxyV1,
    /// PROXY protocol version 2: binary.
    ProxyV2,
    /// SOCKS4 and SOCKS4a.
    Socks4,
    /// SOCKS5 (RFC 1928).
    Socks5,
}

impl PrefaceKind {
    /// A name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProxyV1 => "proxy-v1",
            Self::ProxyV2 => "proxy-v2",
            Self::Socks4 => "socks4",
            Self::Socks5 => "socks5",
        }
    }
}

/// What a preface said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preface {
    /// The client behind the proxy (PROXY protocol).
    pub source: Option<SocketAddr>,
    /// The server: the one the client connected to (PROXY protocol), or wants
    /// to be connected to (SOCKS, where it is said by address).
    pub destination: Option<SocketAddr>,
    /// The user, as sent (SOCKS).
    pub user: Option<Vec<u8>>,
    /// The host asked for: a name or an address in text (SOCKS), or the name
    /// that the client gave to the proxy (PROXY version 2, authority).
    host: Option<Vec<u8>>,
    port: Option<u16>,
}

impl Preface {
    /// The host asked for and its port, as far as it is said.
    pub fn target(&self) -> Option<Authority<'_>> {
        let host = self.host.as_deref()?;
        Some(Authority { host, port: self.port })
    }
}

/// How far the preface of one direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefaceProgress<'a> {
    /// All bytes given belong to it, and more will come.
    NeedMore,
    /// It ended: `consumed` of the bytes given still belonged to it.
    Done {
        /// How many of the bytes just given belong to the preface.
        consumed: usize,
        /// Where the connection behind it goes; said for [`Direction::ToServer`].
        target: Option<Authority<'a>>,
    },
    /// There is none, or none that can be followed, or the proxy refused; what
    /// follows in this direction means nothing.
    Failed,
}

/// Takes the preface off the two directions of a connection.
#[derive(Debug)]
pub struct PrefaceParser {
    kind: PrefaceKind,
    sides: [Side; 2],
    found: Preface,
    counters: PrefaceCounters,
}

impl PrefaceParser {
    /// A parser at the start of a connection that begins with a preface.
    pub fn new(kind: PrefaceKind) -> Self {
        let sides = match kind {
            PrefaceKind::ProxyV1 => [Side::new(proxy::V1_LINE), Side::done()],
            PrefaceKind::ProxyV2 => [Side::new(proxy::V2_HEADER), Side::done()],
            PrefaceKind::Socks4 => [Side::new(socks::V4_REQUEST), Side::new(socks::V4_REPLY)],
            PrefaceKind::Socks5 => [Side::new(socks::GREETING), Side::new(socks::METHOD)],
        };
        let counters = PrefaceCounters { prefaces: 1, ..PrefaceCounters::default() };
        Self { kind, sides, found: Preface::default(), counters }
    }

    /// Which preface it is.
    pub const fn kind(&self) -> PrefaceKind {
        self.kind
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &PrefaceCounters {
        &self.counters
    }

    /// What was said so far.
    pub const fn found(&self) -> &Preface {
        &self.found
    }

    /// Takes the next bytes of a direction. After the end, none are consumed.
    pub fn feed(&mut self, direction: Direction, data: &[u8]) -> PrefaceProgress<'_> {
        let side = &mut self.sides[direction.index()];
        let was_open = side.is_open();
        let outcome = side.feed(data, &mut self.found);
        if was_open {
            self.count(outcome);
        }
        match outcome {
            Outcome::Open => PrefaceProgress::NeedMore,
            Outcome::Done(consumed) => PrefaceProgress::Done {
                consumed,
                target: match direction {
                    Direction::ToServer => self.found.target(),
                    Direction::ToClient => None,
                },
            },
            Outcome::Failed(_) => PrefaceProgress::Failed,
        }
    }

    /// Bytes of a direction were lost; a preface that had not ended there will
    /// not be found.
    pub fn gap(&mut self, direction: Direction) {
        let side = &mut self.sides[direction.index()];
        if side.is_open() {
            side.fail(Fault::Gap);
            self.count(Outcome::Failed(Fault::Gap));
        }
    }

    const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Open => {}
            Outcome::Done(_) => self.counters.done += 1,
            Outcome::Failed(Fault::Malformed) => self.counters.malformed += 1,
            Outcome::Failed(Fault::Unsupported) => self.counters.unsupported += 1,
            Outcome::Failed(Fault::Refused) => self.counters.refused += 1,
            Outcome::Failed(Fault::Gap) => self.counters.gaps += 1,
        }
    }
}

#[cfg(test)]
mod tests;
