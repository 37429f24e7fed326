//! One flow's protocol, recognised by content: stream bytes in, exchanges and
//! messages out.
//!
//! The first bytes of either direction decide, on any port. A protocol that
//! gives way to another (CONNECT, Upgrade) is replaced in place, and what
//! follows is looked at afresh.

use super::http1::{self, Http1, Http1Counters, Http1Limits, Probe, Progress, Switch};
use super::websocket::{WebSocket, WebSocketCounters, WebSocketLimits, WebSocketSink};
use super::{Direction, ExchangeId, ExchangeSink};
use crate::{counters, mcp};

/// A protocol that is not told by so many bytes of a direction is none we know.
const MAX_SNIFF: usize = 4096;

counters! {
    /// What connections turned out to be.
    pub struct ConnectionCounters {
        /// HTTP/1.
        http1,
        /// Joined in mid-stream; read as HTTP/1 until it proves to be none.
        assumed_http1,
        /// WebSocket after HTTP.
        websocket,
        /// JSON-RPC without HTTP.
        raw_json_rpc,
        /// Tunnels through a proxy (CONNECT).
        tunnels,
        /// Nothing that is known.
        unknown,
        /// Turned to a protocol that is not read.
        other_upgrades,
    }
}

/// Counters of the protocols over streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Recognition.
    pub connection: ConnectionCounters,
    /// HTTP/1.
    pub http1: Http1Counters,
    /// WebSocket.
    pub websocket: WebSocketCounters,
}

impl StreamCounters {
    /// Adds the counters of `other` (another worker's) to these.
    pub fn merge(&mut self, other: &Self) {
        self.connection.merge(&other.connection);
        self.http1.merge(&other.http1);
        self.websocket.merge(&other.websocket);
    }

    /// Calls `visit` with section, name and value of every counter.
    pub fn each(&self, visit: &mut dyn FnMut(&'static str, &'static str, u64)) {
        self.connection.each(&mut |name, value| visit("connection", name, value));
        self.http1.each(&mut |name, value| visit("http1", name, value));
        self.websocket.each(&mut |name, value| visit("websocket", name, value));
    }
}

/// Bounds of one connection's memory and work.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamLimits {
    /// HTTP/1.
    pub http1: Http1Limits,
    /// WebSocket.
    pub websocket: WebSocketLimits,
}

/// Receives what a connection carries.
pub trait ConnectionSink: ExchangeSink + WebSocketSink {
    /// Whether the start of the streams may be missing.
    fn is_midstream(&self) -> bool;

    /// The first request came from the side that was taken for the server:
    /// swaps the sides. False where a handshake told who the client is.
    fn reverse(&mut self) -> bool;

    /// The exchange turned the connection to WebSocket.
    fn websocket(&mut self, exchange: ExchangeId);

    /// Bytes of a stream of JSON-RPC without HTTP: newline-delimited or with
    /// `Content-Length` headers.
    fn raw_data(&mut self, direction: Direction, data: &[u8]);

    /// `len` bytes of such a stream were lost.
    fn raw_gap(&mut self, direction: Direction, len: u64);

    /// Such a stream ended.
    fn raw_end(&mut self, direction: Direction);

    /// The connection carries nothing (more) of interest.
    fn dismiss(&mut self);

    /// Where to count.
    fn counters(&mut self) -> &mut StreamCounters;
}

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Connection {
    protocol: Protocol,
    limits: StreamLimits,
}

#[derive(Debug)]
enum Protocol {
    Sniffing(Sniffer),
    Http1(Box<Http1>),
    /// With the HTTP/1 whose exchange it is.
    WebSocket(Box<(WebSocket, Http1)>),
    Raw,
    Opaque,
}

/// The first bytes of both directions, until they tell the protocol.
#[derive(Debug, Default)]
struct Sniffer {
    sides: [Side; 2],
    /// Within a tunnel the sides are known, and nothing is missing.
    nested: bool,
    /// Bytes were lost.
    gap: bool,
}

#[derive(Debug, Default)]
struct Side {
    held: Vec<u8>,
    /// What it says is none of what a connection begins with.
    unknown: bool,
}

/// What the first bytes of a direction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Request,
    Response,
    Raw,
    Unsure,
    Unknown,
}

impl Connection {
    /// A connection of which nothing has been seen.
    pub fn new(limits: StreamLimits) -> Self {
        Self { protocol: Protocol::Sniffing(Sniffer::default()), limits }
    }

    /// Takes the next bytes of a direction.
    pub fn feed(&mut self, direction: Direction, data: &[u8], sink: &mut impl ConnectionSink) {
        let mut direction = direction;
        let mut rest = data;
        while !rest.is_empty() {
            let used = match &mut self.protocol {
                Protocol::Sniffing(_) => self.sniff(&mut direction, rest, sink),
                Protocol::Http1(http) => {
                    let progress = http.feed(direction, rest, sink);
                    self.progress(progress, rest.len(), sink)
                }
                Protocol::WebSocket(both) => {
                    both.0.feed(direction, rest, sink);
                    rest.len()
                }
                Protocol::Raw => {
                    sink.raw_data(direction, rest);
                    rest.len()
                }
                Protocol::Opaque => rest.len(),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// `len` bytes of a direction were lost.
    pub fn gap(&mut self, direction: Direction, len: u64, sink: &mut impl ConnectionSink) {
        match &mut self.protocol {
            Protocol::Sniffing(_) => self.sniff_gap(direction, len, sink),
            Protocol::Http1(http) => {
                let progress = http.gap(direction, len, sink);
                self.progress(progress, 0, sink);
            }
            Protocol::WebSocket(both) => both.0.gap(direction, len, sink),
            Protocol::Raw => sink.raw_gap(direction, len),
            Protocol::Opaque => {}
        }
    }

    /// A direction ended.
    pub fn end(&mut self, direction: Direction, sink: &mut impl ConnectionSink) {
        match &mut self.protocol {
            Protocol::Http1(http) => {
                let progress = http.end(direction, sink);
                self.progress(progress, 0, sink);
            }
            Protocol::WebSocket(both) => both.0.end(direction, sink),
            Protocol::Raw => sink.raw_end(direction),
            Protocol::Sniffing(_) | Protocol::Opaque => {}
        }
    }

    /// Nothing more will come of either direction.
    pub fn close(&mut self, sink: &mut impl ConnectionSink) {
        match std::mem::replace(&mut self.protocol, Protocol::Opaque) {
            Protocol::Sniffing(_) | Protocol::Opaque => {}
            Protocol::Http1(mut http) => close_http1(&mut http, sink),
            Protocol::WebSocket(mut both) => {
                both.0.close(sink);
                sink.counters().websocket.merge(both.0.counters());
                close_http1(&mut both.1, sink);
            }
            Protocol::Raw => {
                sink.raw_end(Direction::ToServer);
                sink.raw_end(Direction::ToClient);
            }
        }
    }

    /// Looks at the first bytes of a direction, which turns round if the sides
    /// are swapped. Returns how many bytes were used: none of what the protocol
    /// that was recognised is to take.
    fn sniff(
        &mut self,
        direction: &mut Direction,
        data: &[u8],
        sink: &mut impl ConnectionSink,
    ) -> usize {
        let Protocol::Sniffing(sniffer) = &mut self.protocol else { return 0 };
        let nested = sniffer.nested;
        let side = &mut sniffer.sides[direction.index()];
        if side.unknown {
            return data.len();
        }
        // The usual case: the first segment tells all, and nothing is held.
        let mut used = 0;
        let mut guess = if side.held.is_empty() { Guess::of(data) } else { Guess::Unsure };
        if guess == Guess::Unsure {
            used = data.len().min(MAX_SNIFF - side.held.len());
            side.held.extend_from_slice(&data[..used]);
            guess = Guess::of(&side.held);
            if guess == Guess::Unsure && side.held.len() == MAX_SNIFF {
                guess = Guess::Unknown;
            }
        }
        let against = match guess {
            Guess::Unsure => return used,
            Guess::Unknown => return self.unknown(*direction, used, data.len(), sink),
            Guess::Request => *direction == Direction::ToClient,
            Guess::Response => *direction == Direction::ToServer,
            Guess::Raw => false,
        };
        if against && !nested && sink.reverse() {
            if let Protocol::Sniffing(sniffer) = &mut self.protocol {
                sniffer.sides.swap(0, 1);
            }
            *direction = direction.reverse();
        }
        let next = match guess {
            Guess::Raw => {
                sink.counters().connection.raw_json_rpc += 1;
                Protocol::Raw
            }
            _ => {
                sink.counters().connection.http1 += 1;
                self.http1()
            }
        };
        self.begin(next, *direction, sink);
        used
    }

    /// A direction begins with nothing we know. Joined in mid-stream, it may
    /// still be HTTP. A server may speak first in a protocol of its own, so
    /// otherwise it is the client's word that counts.
    fn unknown(
        &mut self,
        direction: Direction,
        used: usize,
        len: usize,
        sink: &mut impl ConnectionSink,
    ) -> usize {
        let Protocol::Sniffing(sniffer) = &mut self.protocol else { return used };
        if sniffer.gap || (sink.is_midstream() && !sniffer.nested) {
            sink.counters().connection.assumed_http1 += 1;
            self.begin(self.http1(), direction, sink);
            return used;
        }
        sniffer.sides[direction.index()] = Side { held: Vec::new(), unknown: true };
        if direction == Direction::ToServer || sniffer.sides.iter().all(|side| side.unknown) {
            sink.counters().connection.unknown += 1;
            self.give_up(sink);
        }
        len
    }

    fn sniff_gap(&mut self, direction: Direction, len: u64, sink: &mut impl ConnectionSink) {
        let Protocol::Sniffing(sniffer) = &mut self.protocol else { return };
        sniffer.gap = true;
        let side = &mut sniffer.sides[direction.index()];
        if side.unknown || side.held.is_empty() {
            side.unknown = false;
            return;
        }
        // The beginning of a head, perhaps; HTTP/1 knows what to do with it.
        sink.counters().connection.assumed_http1 += 1;
        self.begin(self.http1(), direction, sink);
        self.gap(direction, len, sink);
    }

    /// Goes on with a protocol and hands it what was held, the deciding
    /// direction first.
    fn begin(&mut self, next: Protocol, first: Direction, sink: &mut impl ConnectionSink) {
        let Protocol::Sniffing(sniffer) = std::mem::replace(&mut self.protocol, next) else {
            return;
        };
        for direction in [first, first.reverse()] {
            self.feed(direction, &sniffer.sides[direction.index()].held, sink);
        }
    }

    fn http1(&self) -> Protocol {
        Protocol::Http1(Box::new(Http1::new(self.limits.http1)))
    }

    /// Does what HTTP/1 says; returns how many of `len` bytes it used.
    fn progress(
        &mut self,
        progress: Progress,
        len: usize,
        sink: &mut impl ConnectionSink,
    ) -> usize {
        match progress {
            Progress::Continue => len,
            Progress::NotHttp => {
                self.give_up(sink);
                len
            }
            Progress::Switched { consumed, switch } => {
                self.switch(*switch, sink);
                consumed
            }
        }
    }

    fn switch(&mut self, switch: Switch, sink: &mut impl ConnectionSink) {
        let Switch { exchange, protocol, answered, held } = switch;
        let Protocol::Http1(mut http) = std::mem::replace(&mut self.protocol, Protocol::Opaque)
        else {
            return;
        };
        match protocol {
            http1::Protocol::WebSocket { extensions, .. } => {
                sink.counters().connection.websocket += 1;
                sink.websocket(exchange);
                let limits = self.limits.websocket;
                let websocket = WebSocket::new(&extensions, answered, limits);
                self.protocol = Protocol::WebSocket(Box::new((websocket, *http)));
            }
            http1::Protocol::Tunnel => {
                sink.counters().connection.tunnels += 1;
                close_http1(&mut http, sink);
                let sniffer = Sniffer { nested: true, ..Sniffer::default() };
                self.protocol = Protocol::Sniffing(sniffer);
            }
            http1::Protocol::Http2 | http1::Protocol::Other(_) => {
                sink.counters().connection.other_upgrades += 1;
                close_http1(&mut http, sink);
                return self.give_up(sink);
            }
        }
        for direction in [Direction::ToServer, Direction::ToClient] {
            let held = &held[direction.index()];
            self.feed(direction, &held.bytes, sink);
            if held.lost > 0 {
                self.gap(direction, held.lost, sink);
            }
        }
    }

    fn give_up(&mut self, sink: &mut impl ConnectionSink) {
        if let Protocol::Http1(mut http) = std::mem::replace(&mut self.protocol, Protocol::Opaque) {
            close_http1(&mut http, sink);
        }
        sink.dismiss();
    }
}

fn close_http1(http: &mut Http1, sink: &mut impl ConnectionSink) {
    http.close(sink);
    sink.counters().http1.merge(http.counters());
}

impl Guess {
    fn of(data: &[u8]) -> Self {
        match http1::probe(data) {
            Probe::Request => Self::Request,
            Probe::Response => Self::Response,
            Probe::Unsure => Self::Unsure,
            Probe::No => match mcp::probe(data) {
                mcp::Probe::Framed(_) => Self::Raw,
                mcp::Probe::Undecided => Self::Unsure,
                mcp::Probe::Other => Self::Unknown,
            },
        }
    }
}
