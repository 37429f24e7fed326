//! One flow's protocol, recognised by content: stream bytes in, exchanges and
//! messages out.
//!
//! The first bytes of either direction decide, on any port. A protocol that
//! gives way to another (CONNECT, Upgrade) is replaced in place, and what
//! follows is looked at afresh.

mod midstream;
mod secure;
mod sniff;

use std::sync::Arc;

use self::midstream::{Midstream, Told};
use self::secure::Secure;
use self::sniff::{Guess, Side, Sniffer};
use super::dns::DnsCounters;
use super::http1::{self, Http1, Http1Counters, Http1Limits, Progress, Switch};
use super::http2::{self, Http2, Http2Counters, Http2Limits, Http2Sink};
use super::http3::Http3Counters;
use super::preface::{PrefaceCounters, PrefaceParser, PrefaceProgress};
use super::quic::{QuicCounters, QuicLimits};
use super::tls::{KeyStore, TlsCounters, TlsInfo, TlsLimits, TlsNews};
use super::websocket::{WebSocket, WebSocketCounters, WebSocketLimits, WebSocketSink};
use super::{Direction, ExchangeId};
use crate::counters;

counters! {
    /// What connections turned out to be.
    pub struct ConnectionCounters {
        /// HTTP/1.
        http1,
        /// HTTP/2.
        http2,
        /// TLS.
        tls,
        /// Begun with a preface: PROXY protocol or SOCKS.
        prefaces,
        /// Joined in mid-stream; read as HTTP/1 until it proves to be none, or
        /// to be HTTP/2.
        assumed_http1,
        /// WebSocket after HTTP.
        websocket,
        /// JSON-RPC without HTTP.
        raw_json_rpc,
        /// DNS.
        dns,
        /// Tunnels through a proxy (CONNECT).
        tunnels,
        /// Nothing that is known.
        unknown,
        /// Carried in too many others.
        too_deep,
        /// Turned to a protocol that is not read.
        other_upgrades,
    }
}

/// Counters of the protocols over streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Recognition.
    pub connection: ConnectionCounters,
    /// PROXY protocol and SOCKS.
    pub preface: PrefaceCounters,
    /// TLS.
    pub tls: TlsCounters,
    /// HTTP/1.
    pub http1: Http1Counters,
    /// HTTP/2.
    pub http2: Http2Counters,
    /// WebSocket.
    pub websocket: WebSocketCounters,
    /// DNS.
    pub dns: DnsCounters,
    /// QUIC.
    pub quic: QuicCounters,
    /// HTTP/3.
    pub http3: Http3Counters,
}

impl StreamCounters {
    /// Adds the counters of `other` (another worker's) to these.
    pub fn merge(&mut self, other: &Self) {
        self.connection.merge(&other.connection);
        self.preface.merge(&other.preface);
        self.tls.merge(&other.tls);
        self.http1.merge(&other.http1);
        self.http2.merge(&other.http2);
        self.websocket.merge(&other.websocket);
        self.dns.merge(&other.dns);
        self.quic.merge(&other.quic);
        self.http3.merge(&other.http3);
    }

    /// Calls `visit` with section, name and value of every counter.
    pub fn each(&self, visit: &mut dyn FnMut(&'static str, &'static str, u64)) {
        self.connection.each(&mut |name, value| visit("connection", name, value));
        self.preface.each(&mut |name, value| visit("preface", name, value));
        self.tls.each(&mut |name, value| visit("tls", name, value));
        self.http1.each(&mut |name, value| visit("http1", name, value));
        self.http2.each(&mut |name, value| visit("http2", name, value));
        self.websocket.each(&mut |name, value| visit("websocket", name, value));
        self.dns.each(&mut |name, value| visit("dns", name, value));
        self.quic.each(&mut |name, value| visit("quic", name, value));
        self.http3.each(&mut |name, value| visit("http3", name, value));
    }
}

/// Bounds of one connection's memory and work.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamLimits {
    /// TLS.
    pub tls: TlsLimits,
    /// HTTP/1.
    pub http1: Http1Limits,
    /// HTTP/2.
    pub http2: Http2Limits,
    /// WebSocket.
    pub websocket: WebSocketLimits,
    /// QUIC and HTTP/3.
    pub quic: QuicLimits,
}

/// Receives what a connection carries.
pub trait ConnectionSink: Http2Sink + WebSocketSink {
    /// Whether the start of the streams may be missing.
    fn is_midstream(&self) -> bool;

    /// The first request came from the side that was taken for the server:
    /// swaps the sides. False where a handshake told who the client is.
    fn reverse(&mut self) -> bool;

    /// The port of the side that is taken for the server.
    fn server_port(&self) -> u16;

    /// The keys there are.
    fn keys(&mut self) -> Arc<KeyStore>;

    /// TLS said something of itself.
    fn tls(&mut self, news: TlsNews, info: &TlsInfo);

    /// The exchange turned the connection to WebSocket.
    fn websocket(&mut self, exchange: ExchangeId);

    /// Bytes of a stream of JSON-RPC without HTTP: newline-delimited or with
    /// `Content-Length` headers.
    fn raw_data(&mut self, direction: Direction, data: &[u8]);

    /// `len` bytes of such a stream were lost.
    fn raw_gap(&mut self, direction: Direction, len: u64);

    /// Such a stream ended.
    fn raw_end(&mut self, direction: Direction);

    /// Bytes of a stream of DNS messages, each after its length.
    fn dns_data(&mut self, direction: Direction, data: &[u8]);

    /// `len` bytes of such a stream were lost.
    fn dns_gap(&mut self, direction: Direction, len: u64);

    /// Such a stream ended.
    fn dns_end(&mut self, direction: Direction);

    /// The connection carries nothing (more) of interest.
    fn dismiss(&mut self);

    /// Where to count.
    fn counters(&mut self) -> &mut StreamCounters;
}

/// Connections that may be carried one in the other (TLS, tunnels, prefaces).
const MAX_DEPTH: u8 = 6;

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Connection {
    protocol: Protocol,
    limits: StreamLimits,
    /// How many connections it is carried in.
    depth: u8,
}

/// A connection that begins with a preface.
#[derive(Debug)]
struct Prefaced {
    parser: PrefaceParser,
    /// Whether the preface of a direction has ended.
    done: [bool; 2],
    inner: Connection,
}

#[derive(Debug)]
enum Protocol {
    Sniffing(Sniffer),
    Preface(Box<Prefaced>),
    Tls(Box<Secure>),
    Midstream(Box<Midstream>),
    Http1(Box<Http1>),
    /// With the HTTP/1 whose exchange turned into it, if it was one.
    Http2(Box<(Http2, Option<Http1>)>),
    /// With the HTTP/1 whose exchange it is.
    WebSocket(Box<(WebSocket, Http1)>),
    Raw,
    Dns,
    Opaque,
}

impl Connection {
    /// A connection of which nothing has been seen.
    pub fn new(limits: StreamLimits) -> Self {
        Self { protocol: Protocol::Sniffing(Sniffer::default()), limits, depth: 0 }
    }

    /// A connection inside another.
    fn nested(limits: StreamLimits, depth: u8) -> Self {
        Self { protocol: Protocol::Sniffing(Sniffer::nested()), limits, depth }
    }

    /// Bytes that it owns beside itself, about.
    pub(crate) fn memory(&self) -> usize {
        match &self.protocol {
            Protocol::Sniffing(sniffer) => {
                sniffer.sides.iter().map(|side| side.held.capacity()).sum()
            }
            Protocol::Preface(it) => size_of::<Prefaced>() + it.inner.memory(),
            Protocol::Tls(it) => size_of::<Secure>() + it.memory(),
            Protocol::Midstream(it) => size_of::<Midstream>() + it.memory(),
            Protocol::Http1(it) => size_of::<Http1>() + it.memory(),
            Protocol::Http2(it) => {
                let before = it.1.as_ref().map_or(0, Http1::memory);
                size_of::<(Http2, Option<Http1>)>() + it.0.memory() + before
            }
            Protocol::WebSocket(it) => {
                size_of::<(WebSocket, Http1)>() + it.0.memory() + it.1.memory()
            }
            Protocol::Raw | Protocol::Dns | Protocol::Opaque => 0,
        }
    }

    /// Takes the next bytes of a direction.
    pub fn feed(&mut self, direction: Direction, data: &[u8], sink: &mut impl ConnectionSink) {
        self.drive(direction, data, sink);
    }

    /// Takes the next bytes of a direction. Returns which direction that is now,
    /// as the sides may be swapped.
    fn drive(
        &mut self,
        direction: Direction,
        data: &[u8],
        sink: &mut impl ConnectionSink,
    ) -> Direction {
        let mut direction = direction;
        let mut rest = data;
        while !rest.is_empty() {
            let used = match &mut self.protocol {
                Protocol::Sniffing(_) => self.sniff(&mut direction, rest, sink),
                Protocol::Preface(prefaced) => match prefaced.feed(direction, rest, sink) {
                    Some(used) => used,
                    None => {
                        self.give_up(sink);
                        rest.len()
                    }
                },
                Protocol::Tls(secure) => {
                    secure.feed(direction, rest, sink);
                    rest.len()
                }
                Protocol::Midstream(midstream) => {
                    let (told, used) = midstream.feed(direction, rest, sink);
                    self.told(told, &mut direction, used, sink)
                }
                Protocol::Http1(http) => {
                    let progress = http.feed(direction, rest, sink);
                    self.progress(progress, rest.len(), sink)
                }
                Protocol::Http2(both) => {
                    if both.0.feed(direction, rest, sink) == http2::Progress::NotHttp {
                        self.give_up(sink);
                    }
                    rest.len()
                }
                Protocol::WebSocket(both) => {
                    both.0.feed(direction, rest, sink);
                    rest.len()
                }
                Protocol::Raw => {
                    sink.raw_data(direction, rest);
                    rest.len()
                }
                Protocol::Dns => {
                    sink.dns_data(direction, rest);
                    rest.len()
                }
                Protocol::Opaque => rest.len(),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        direction
    }

    /// `len` bytes of a direction were lost.
    pub fn gap(&mut self, direction: Direction, len: u64, sink: &mut impl ConnectionSink) {
        match &mut self.protocol {
            Protocol::Sniffing(_) => self.sniff_gap(direction, len, sink),
            Protocol::Preface(prefaced) if prefaced.done[direction.index()] => {
                prefaced.inner.gap(direction, len, sink);
            }
            Protocol::Preface(prefaced) => prefaced.parser.gap(direction),
            Protocol::Tls(secure) => secure.gap(direction, len, sink),
            Protocol::Midstream(midstream) => {
                let told = midstream.gap(direction, len, sink);
                let mut direction = direction;
                self.told(told, &mut direction, 0, sink);
            }
            Protocol::Http2(both) => {
                if both.0.gap(direction, len, sink) == http2::Progress::NotHttp {
                    self.give_up(sink);
                }
            }
            Protocol::Http1(http) => {
                let progress = http.gap(direction, len, sink);
                self.progress(progress, 0, sink);
            }
            Protocol::WebSocket(both) => both.0.gap(direction, len, sink),
            Protocol::Raw => sink.raw_gap(direction, len),
            Protocol::Dns => sink.dns_gap(direction, len),
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
            Protocol::Tls(secure) => secure.end(direction, sink),
            Protocol::Midstream(midstream) => {
                let told = midstream.end(direction, sink);
                let mut direction = direction;
                self.told(told, &mut direction, 0, sink);
            }
            Protocol::Http2(both) => {
                both.0.end(direction, sink);
            }
            Protocol::WebSocket(both) => both.0.end(direction, sink),
            Protocol::Raw => sink.raw_end(direction),
            Protocol::Dns => sink.dns_end(direction),
            Protocol::Preface(prefaced) => prefaced.inner.end(direction, sink),
            Protocol::Sniffing(_) | Protocol::Opaque => {}
        }
    }

    /// Nothing more will come of either direction.
    pub fn close(&mut self, sink: &mut impl ConnectionSink) {
        match std::mem::replace(&mut self.protocol, Protocol::Opaque) {
            Protocol::Sniffing(_) | Protocol::Opaque => {}
            Protocol::Preface(mut prefaced) => {
                sink.counters().preface.merge(prefaced.parser.counters());
                prefaced.inner.close(sink);
            }
            Protocol::Tls(mut secure) => secure.close(sink),
            Protocol::Midstream(mut midstream) => close_http1(&mut midstream.http1, sink),
            Protocol::Http1(mut http) => close_http1(&mut http, sink),
            Protocol::Http2(mut both) => close_http2(&mut both, sink),
            Protocol::WebSocket(mut both) => {
                both.0.close(sink);
                sink.counters().websocket.merge(both.0.counters());
                close_http1(&mut both.1, sink);
            }
            Protocol::Raw => {
                sink.raw_end(Direction::ToServer);
                sink.raw_end(Direction::ToClient);
            }
            Protocol::Dns => {
                sink.dns_end(Direction::ToServer);
                sink.dns_end(Direction::ToClient);
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
        if sniffer.sides[direction.index()].unknown {
            return data.len();
        }
        let joined = sniffer.gap || (sink.is_midstream() && !sniffer.nested);
        let sniffed = sniffer.look(*direction, data, sink.server_port(), joined);
        let nested = sniffer.nested;
        let depth = self.depth + 1;
        let counters = &mut sink.counters().connection;
        let next = match sniffed.guess {
            Guess::Unsure => return sniffed.used,
            Guess::Unknown => return self.unknown(direction, sniffed.used, data.len(), sink),
            Guess::Raw => {
                counters.raw_json_rpc += 1;
                Protocol::Raw
            }
            Guess::Dns => {
                counters.dns += 1;
                Protocol::Dns
            }
            Guess::Http1 => {
                counters.http1 += 1;
                self.http1()
            }
            Guess::Http2 => {
                counters.http2 += 1;
                Protocol::Http2(Box::new((Http2::new(self.limits.http2), None)))
            }
            Guess::Tls | Guess::Preface(_) if depth > MAX_DEPTH => {
                counters.too_deep += 1;
                Protocol::Opaque
            }
            Guess::Tls => {
                counters.tls += 1;
                Protocol::Tls(Box::new(Secure::new(self.limits, depth)))
            }
            Guess::Preface(kind) => {
                counters.prefaces += 1;
                let inner = Self::nested(self.limits, depth);
                let parser = PrefaceParser::new(kind);
                Protocol::Preface(Box::new(Prefaced { parser, done: [false; 2], inner }))
            }
        };
        let against = sniffed.speaker.is_some_and(|speaker| speaker != *direction);
        if against && !nested && sink.reverse() {
            if let Protocol::Sniffing(sniffer) = &mut self.protocol {
                sniffer.sides.swap(0, 1);
            }
            *direction = direction.reverse();
        }
        *direction = self.begin(next, *direction, sink);
        sniffed.used
    }

    /// A direction begins with nothing we know. Joined in mid-stream, it may
    /// still be HTTP. A server may speak first in a protocol of its own, so
    /// otherwise it is the client's word that counts.
    fn unknown(
        &mut self,
        direction: &mut Direction,
        used: usize,
        len: usize,
        sink: &mut impl ConnectionSink,
    ) -> usize {
        let Protocol::Sniffing(sniffer) = &mut self.protocol else { return used };
        if sniffer.gap || (sink.is_midstream() && !sniffer.nested) {
            *direction = self.search(*direction, sink);
            return used;
        }
        sniffer.sides[direction.index()] = Side { held: Vec::new(), unknown: true };
        if *direction == Direction::ToServer || sniffer.sides.iter().all(|side| side.unknown) {
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
        let direction = self.search(direction, sink);
        self.gap(direction, len, sink);
    }

    /// Searches for HTTP in what was held and what comes.
    fn search(&mut self, deciding: Direction, sink: &mut impl ConnectionSink) -> Direction {
        let Protocol::Sniffing(sniffer) = &self.protocol else { return deciding };
        let midstream = Midstream::new(self.limits.http1, sniffer.nested);
        sink.counters().connection.assumed_http1 += 1;
        self.begin(Protocol::Midstream(Box::new(midstream)), deciding, sink)
    }

    /// Goes on with a protocol and hands it what was held, the deciding
    /// direction last: how much is held of that, and how much comes now, depends
    /// on how it was cut. Returns which direction that is now.
    fn begin(
        &mut self,
        next: Protocol,
        deciding: Direction,
        sink: &mut impl ConnectionSink,
    ) -> Direction {
        let Protocol::Sniffing(sniffer) = std::mem::replace(&mut self.protocol, next) else {
            return deciding;
        };
        let other = deciding.reverse();
        let held = |direction: Direction| sniffer.sides[direction.index()].held.as_slice();
        let deciding_now = self.drive(other, held(other), sink).reverse();
        self.drive(deciding_now, held(deciding), sink)
    }

    /// Does what a search for HTTP has told of `used` bytes of a direction;
    /// returns how many of them were used.
    fn told(
        &mut self,
        told: Told,
        direction: &mut Direction,
        used: usize,
        sink: &mut impl ConnectionSink,
    ) -> usize {
        match told {
            Told::Unsure => used,
            Told::Neither => {
                self.give_up(sink);
                used
            }
            Told::Http1(progress) => {
                if let Some(Midstream { http1, .. }) = self.take_midstream() {
                    self.protocol = Protocol::Http1(Box::new(http1));
                }
                self.progress(progress, used, sink)
            }
            Told::Http2(speaker) => {
                *direction = self.found_http2(speaker, *direction, sink);
                used
            }
        }
    }

    fn take_midstream(&mut self) -> Option<Midstream> {
        match std::mem::replace(&mut self.protocol, Protocol::Opaque) {
            Protocol::Midstream(midstream) => Some(*midstream),
            other => {
                self.protocol = other;
                None
            }
        }
    }

    /// Goes on with HTTP/2 where frames of a direction were found, and who sends
    /// such, if they tell. Returns which direction that is now.
    fn found_http2(
        &mut self,
        speaker: Option<Direction>,
        direction: Direction,
        sink: &mut impl ConnectionSink,
    ) -> Direction {
        let Some(Midstream { nested, probes, .. }) = self.take_midstream() else {
            return direction;
        };
        sink.counters().connection.http2 += 1;
        self.protocol = Protocol::Http2(Box::new((Http2::new(self.limits.http2), None)));
        let against = speaker.is_some_and(|speaker| speaker != direction);
        let turned = against && !nested && sink.reverse();
        let [to_server, to_client] = probes.map(http2::MidstreamProbe::into_frames);
        let (first, second) = match direction {
            Direction::ToServer => (to_server, to_client),
            Direction::ToClient => (to_client, to_server),
        };
        let direction = if turned { direction.reverse() } else { direction };
        let direction = self.drive(direction, &first, sink);
        self.drive(direction.reverse(), &second, sink).reverse()
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
                self.protocol = Protocol::Sniffing(Sniffer::nested());
            }
            http1::Protocol::Http2 => {
                sink.counters().connection.http2 += 1;
                let http2 = Http2::upgraded(self.limits.http2, exchange);
                self.protocol = Protocol::Http2(Box::new((http2, Some(*http))));
            }
            http1::Protocol::Other(_) => {
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
        self.close(sink);
        sink.dismiss();
    }
}

impl Prefaced {
    /// Takes bytes; says how many, or `None` if they are no preface.
    fn feed(
        &mut self,
        direction: Direction,
        data: &[u8],
        sink: &mut impl ConnectionSink,
    ) -> Option<usize> {
        if self.done[direction.index()] {
            self.inner.feed(direction, data, sink);
            return Some(data.len());
        }
        match self.parser.feed(direction, data) {
            PrefaceProgress::NeedMore => Some(data.len()),
            PrefaceProgress::Done { consumed, .. } => {
                self.done[direction.index()] = true;
                Some(consumed)
            }
            PrefaceProgress::Failed => None,
        }
    }
}

fn close_http2(both: &mut (Http2, Option<Http1>), sink: &mut impl ConnectionSink) {
    both.0.close(sink);
    sink.counters().http2.merge(both.0.counters());
    if let Some(http) = &mut both.1 {
        close_http1(http, sink);
    }
}

fn close_http1(http: &mut Http1, sink: &mut impl ConnectionSink) {
    http.close(sink);
    sink.counters().http1.merge(http.counters());
}
