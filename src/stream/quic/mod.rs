//! QUIC versions 1 (RFC 9000) and 2 (RFC 9369), read passively from both sides:
//! what its handshake says without keys, and HTTP/3 with them.
//!
//! In: the datagrams of both directions of one flow, in any order within reason,
//! and a [`KeyStore`]. Out, pushed into a [`QuicSink`]: what became known of each
//! connection ([`TlsInfo`]), the connection identifiers by which it is known if
//! it migrates, and with keys its HTTP/3 exchanges.
//!
//! ```text
//!  datagram ─ packets ─┬─ Initial (keys for all) ── CRYPTO ─ ClientHello, ServerHello
//!                      ├─ Retry, version negotiation
//!                      ├─ Handshake ─┐  keys       ┌─ CRYPTO ─ encrypted extensions
//!                      └─ 0-, 1-RTT ─┴─ by random ─┴─ STREAM ─ http3 ─ exchanges
//! ```
//!
//! A client's Initial is opened with keys made of the identifier it is for (RFC
//! 9001 section 5.2), which are wrong after a server's first answer; so packets
//! are assigned by their identifiers, and what belongs to no connection is
//! tried as the first of a new one. One flow may carry several connections, one
//! after the other or at once; exchanges of all but the first have the number of
//! their connection in the upper 16 bits of their id.
//!
//! Without keys a connection costs its first datagrams and then one branch a
//! datagram; see [`Quic::nothing_more`]. Where keys may still come
//! ([`KeyStore::may_grow`]) some packets are held until they do.
//!
//! ```
//! use mcpwatch::stream::quic;
//!
//! assert!(!quic::probe(b"GET / HTTP/1.1\r\n\r\n"));
//! ```
//!
//! What cannot be seen: a connection joined after its first flight (key logs are
//! keyed by what is in it); one that takes Encrypted Client Hello; more than one
//! key update lost in a row.

mod assembler;
mod connection;
mod frame;
mod id;
mod initial;
mod join;
mod keys;
mod opener;
mod packet;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod version;
mod wire;

use self::connection::{Connection, Context, Handshake, Protected};
use self::initial::Initial;
use self::packet::{Long, LongKind, Packet, Retry};
use super::http3::{Http3Counters, Http3Limits};
use super::tls::{KeyStore, TlsInfo, TlsNews};
use super::{Direction, ExchangeSink};

pub(crate) use self::assembler::{Arrival, Assembler};
pub use self::id::{ConnectionId, QuicDirectory};
pub use self::packet::probe;
pub use self::version::QuicVersion;
pub(crate) use self::wire::Varint;
#[cfg(test)]
pub(crate) use self::wire::testing::push_varint;

crate::counters! {
    /// What the QUIC parser saw.
    pub struct QuicCounters {
        /// Datagrams.
        datagrams,
        /// Initial packets.
        initial_packets,
        /// Initial packets that neither open nor belong to a connection.
        unopened_initials,
        /// Handshake packets.
        handshake_packets,
        /// 0-RTT packets.
        early_packets,
        /// Packets with short headers (1-RTT).
        short_packets,
        /// Retry packets.
        retries,
        /// Of these, those that no server sent which saw the client's Initial.
        stray_retries,
        /// Version negotiation packets.
        version_negotiations,
        /// Packets of versions that are not known.
        unknown_versions,
        /// Packets whose header is malformed or cut.
        malformed_packets,
        /// Packets that belong to no connection whose beginning was seen.
        unrouted_packets,
        /// Connections.
        connections,
        /// Connections given up because a flow carries too many.
        evicted_connections,
        /// Connections begun anew, after a Retry or a version negotiation.
        restarts,
        /// Flows whose sides were taken for each other.
        reversed_flows,
        /// ClientHello messages.
        client_hellos,
        /// ServerHello messages.
        server_hellos,
        /// Handshake messages that are malformed.
        malformed_messages,
        /// Handshake messages over the cap.
        handshake_too_large,
        /// CRYPTO frames dropped because too much is held.
        crypto_dropped,
        /// Connections that speak something else than HTTP/3.
        other_protocols,
        /// Connections whose keys are there.
        connections_with_keys,
        /// Connections whose keys are not there.
        connections_without_keys,
        /// Connections given up because none of their packets opens.
        wrong_keys,
        /// Connections in a suite that is not known.
        unsupported_suites,
        /// Packets opened with secrets.
        opened_packets,
        /// Packets that do not open: damaged, cut, forged, or of other keys.
        unopened_packets,
        /// Packets passed over: there are no keys for them, or no need.
        skipped_packets,
        /// Packets held until their keys come.
        held_packets,
        /// Packets dropped because too many are held, or no keys came.
        held_dropped,
        /// Key updates followed.
        key_updates,
        /// Frames that are malformed; what follows in their packet is not read.
        malformed_frames,
        /// Frames of unknown types; what follows in their packet is not read.
        unknown_frames,
        /// Sides that said they close their connection.
        closes,
        /// Connections of which HTTP/3 was read.
        http3_connections,
    }
}

/// Bounds on what one flow may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicLimits {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a handshake message, and of CRYPTO frames that wait for others.
    pub crypto_bytes: usize,
    /// Bytes of packets that wait for their keys, in one connection.
    pub held_bytes: usize,
    /// HTTP/3, of each connection.
    pub http3: Http3Limits,
}

impl Default for QuicLimits {
    fn default() -> Self {
        Self {
            connections: 16,
            crypto_bytes: 64 * 1024,
            held_bytes: 32 * 1024,
            http3: Http3Limits::default(),
        }
    }
}

/// Receives what becomes known of the connections of one flow, and what they
/// carry.
///
/// `connection` counts the connections of the flow from 0; the exchanges of a
/// connection have it in the upper 16 bits of their id.
pub trait QuicSink: ExchangeSink {
    /// Something became known: the ClientHello (once for each connection), the
    /// ServerHello, or the encrypted extensions. The last are known only with
    /// keys; if they were lost, they are said without a protocol when the first
    /// packet was opened.
    fn quic_news(&mut self, connection: u16, version: QuicVersion, news: TlsNews, info: &TlsInfo);

    /// Packets of `direction` may carry this identifier: for a
    /// [`QuicDirectory`].
    fn quic_connection_id(&mut self, connection: u16, direction: Direction, id: &ConnectionId);

    /// The client is on the side that was taken for the server's. From the next
    /// datagram on, directions are to be given the other way round. Called once
    /// at most, before anything else.
    fn quic_reversed(&mut self);
}

/// The parser of one flow.
#[derive(Debug)]
pub struct Quic {
    limits: QuicLimits,
    /// Oldest first.
    connections: Vec<Connection>,
    /// How many connections there were.
    count: u16,
    scratch: Vec<u8>,
    counters: QuicCounters,
    /// Of connections that are over.
    http3: Http3Counters,
}

impl Quic {
    /// A parser of a flow of which nothing was seen.
    pub fn new(limits: QuicLimits) -> Self {
        Self {
            limits,
            connections: Vec::new(),
            count: 0,
            scratch: Vec::new(),
            counters: QuicCounters::default(),
            http3: Http3Counters::default(),
        }
    }

    /// Takes the payload of the next datagram.
    pub fn datagram<S>(
        &mut self,
        direction: Direction,
        datagram: &[u8],
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: QuicSink + ?Sized,
    {
        self.counters.datagrams += 1;
        let mut direction = direction;
        let mut rest = datagram;
        while !rest.is_empty() {
            let Some((packet, next)) = Packet::split(rest) else {
                self.counters.malformed_packets += 1;
                break;
            };
            match packet {
                Packet::Short(bytes) => {
                    let is_padding = rest.len() < datagram.len() && bytes[0] == 0;
                    if !is_padding {
                        self.short(direction, bytes, keys, sink);
                    }
                }
                Packet::Long(long) => {
                    if self.is_reversed(direction, &long) {
                        self.counters.reversed_flows += 1;
                        direction = direction.reverse();
                        sink.quic_reversed();
                    }
                    self.long(direction, &long, keys, sink);
                }
                Packet::Retry(retry) => self.retry(direction, &retry, keys, sink),
                Packet::VersionNegotiation => self.counters.version_negotiations += 1,
                Packet::UnknownVersion => self.counters.unknown_versions += 1,
            }
            rest = next;
        }
        if self.nothing_more() {
            self.scratch = Vec::new();
        }
    }

    /// The flow is over, or will not be followed further: ends whatever is
    /// open.
    pub fn close<S>(&mut self, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        while !self.connections.is_empty() {
            self.remove(0, sink);
        }
    }

    /// Whether nothing more can be learnt of the connections that were seen:
    /// their handshakes are known and there are no keys, nor will be. Then
    /// only a datagram that begins with a set bit, a long header, can say
    /// something new: it may open another connection.
    pub fn nothing_more(&self) -> bool {
        !self.connections.is_empty() && self.connections.iter().all(Connection::nothing_more)
    }

    /// Whether every connection that was seen is being closed by a side. (They
    /// say so in packets that take keys to open.)
    pub fn is_closing(&self) -> bool {
        !self.connections.is_empty() && self.connections.iter().all(Connection::is_closing)
    }

    /// The identifiers that packets of each direction may carry.
    pub fn connection_ids(&self) -> impl Iterator<Item = (Direction, &ConnectionId)> {
        self.connections.iter().flat_map(|connection| {
            [Direction::ToServer, Direction::ToClient].into_iter().flat_map(|direction| {
                connection.ids[direction.index()].iter().map(move |id| (direction, id))
            })
        })
    }

    /// Bytes held of packets and streams that wait for others.
    pub fn held(&self) -> usize {
        self.connections.iter().map(Connection::held).sum()
    }

    /// Bytes that it owns beside itself, about.
    pub(crate) fn memory(&self) -> usize {
        /// What a handshake said, and what is held of it.
        const SAID: usize = 1024;
        let own = self.connections.capacity() * (size_of::<Connection>() + SAID);
        own + self.scratch.capacity()
            + self.connections.iter().map(Connection::memory).sum::<usize>()
    }

    /// What was seen of the flow.
    pub fn counters(&self) -> &QuicCounters {
        &self.counters
    }

    /// What was seen of HTTP/3 in the flow.
    pub fn http3_counters(&self) -> Http3Counters {
        let mut sum = self.http3;
        for http3 in self.connections.iter().filter_map(Connection::http3) {
            sum.merge(http3.counters());
        }
        sum
    }

    fn long<S>(&mut self, direction: Direction, packet: &Long<'_>, keys: &KeyStore, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        match (packet.kind, direction) {
            (LongKind::Initial, Direction::ToServer) => {
                self.counters.initial_packets += 1;
                return self.client_initial(packet, keys, sink);
            }
            (LongKind::Initial, Direction::ToClient) => {
                self.counters.initial_packets += 1;
                return self.server_initial(packet, keys, sink);
            }
            (LongKind::Handshake, _) => self.counters.handshake_packets += 1,
            (LongKind::ZeroRtt, _) => self.counters.early_packets += 1,
        }
        let Some(index) = self.route(direction, packet.dcid, packet.scid) else {
            self.counters.unrouted_packets += 1;
            return;
        };
        let (connection, mut cx) = self.at(index, keys);
        if packet.kind == LongKind::Handshake {
            connection.learn_ids(direction, packet, sink);
        }
        connection.protected(direction, Protected::Long(*packet), &mut cx, sink);
    }

    fn short<S>(&mut self, direction: Direction, bytes: &[u8], keys: &KeyStore, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        self.counters.short_packets += 1;
        if self.nothing_more() {
            self.counters.skipped_packets += 1;
            return;
        }
        let after_first = bytes.get(1..).unwrap_or_default();
        let known =
            |connection: &Connection| connection.ids[direction.index()].prefix_len(after_first);
        let by_id = self.connections.iter().enumerate().rev();
        let best = by_id
            .filter_map(|(index, connection)| Some((known(connection)?, index)))
            .max_by_key(|&(len, _)| len);
        if let Some((len, index)) = best {
            let (connection, mut cx) = self.at(index, keys);
            let packet = Protected::Short { bytes, number_at: 1 + len };
            connection.protected(direction, packet, &mut cx, sink);
        } else {
            self.short_of_unknown_id(direction, bytes, keys, sink);
        }
    }

    /// A packet with an identifier that was issued in a packet that was lost:
    /// its length is that of the others, and whether it belongs to a connection
    /// its keys tell.
    fn short_of_unknown_id<S>(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: QuicSink + ?Sized,
    {
        let newest = self.connections.iter().rposition(Connection::may_open);
        let opened = newest.and_then(|index| {
            let (connection, mut cx) = self.at(index, keys);
            let len = connection.ids[direction.index()].usual_len()?;
            let id = ConnectionId::new(bytes.get(1..=len)?)?;
            let packet = Protected::Short { bytes, number_at: 1 + len };
            let opened = connection.protected(direction, packet, &mut cx, sink);
            opened.then(|| connection.learn_id(direction, id, sink))
        });
        if opened.is_none() {
            self.counters.unrouted_packets += 1;
        }
    }

    fn client_initial<S>(&mut self, packet: &Long<'_>, keys: &KeyStore, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        let direction = Direction::ToServer;
        let routed = self.route(direction, packet.dcid, packet.scid);
        let current = routed.filter(|&index| self.connections[index].has_version(packet.version));
        if let Some(index) = current {
            let (connection, mut cx) = self.at(index, keys);
            let is_id_known = connection.ids[direction.index()].contains(packet.dcid);
            if is_id_known && !connection.wants_initial(direction) {
                cx.counters.skipped_packets += 1;
                return;
            }
            if let Some(payload) = connection.open_initial(direction, packet, cx.scratch) {
                connection.learn_ids(direction, packet, sink);
                let done = connection.initial_frames(direction, payload, &mut cx);
                return self.handshake(index, done, keys, sink);
            }
        }
        // The first of a connection, or of one that begins anew.
        let Some((initial, payload)) = Initial::open_first(packet, &mut self.scratch) else {
            return self.unopened_initial(routed, packet, keys, sink);
        };
        if routed.is_some_and(|index| !self.connections[index].may_restart()) {
            self.counters.skipped_packets += 1;
            return;
        }
        let index = routed.unwrap_or_else(|| self.add(packet, sink));
        let (connection, mut cx) = self.at(index, keys);
        if routed.is_some() {
            connection.restart(packet.version, initial, cx.counters);
        } else {
            connection.begin(initial);
        }
        connection.learn_ids(direction, packet, sink);
        let done = connection.initial_frames(direction, payload, &mut cx);
        self.handshake(index, done, keys, sink);
    }

    /// A client's Initial that is no connection's first, nor opens otherwise. If
    /// all is known of the connection it belongs to, it is for the identifier
    /// that the server chose.
    fn unopened_initial<S>(
        &mut self,
        routed: Option<usize>,
        packet: &Long<'_>,
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: QuicSink + ?Sized,
    {
        if let Some(index) = routed {
            let (connection, cx) = self.at(index, keys);
            if !connection.wants_initial(Direction::ToClient) {
                connection.learn_ids(Direction::ToServer, packet, sink);
                cx.counters.skipped_packets += 1;
                return;
            }
        }
        self.counters.unopened_initials += 1;
    }

    fn server_initial<S>(&mut self, packet: &Long<'_>, keys: &KeyStore, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        let direction = Direction::ToClient;
        let Some(index) = self.route(direction, packet.dcid, packet.scid) else {
            self.counters.unrouted_packets += 1;
            return;
        };
        let (connection, mut cx) = self.at(index, keys);
        if !connection.wants_initial(direction) {
            cx.counters.skipped_packets += 1;
            return;
        }
        let Some(payload) = connection.open_initial(direction, packet, cx.scratch) else {
            cx.counters.unopened_initials += 1;
            return;
        };
        connection.learn_ids(direction, packet, sink);
        let done = connection.initial_frames(direction, payload, &mut cx);
        self.handshake(index, done, keys, sink);
    }

    fn retry<S>(&mut self, direction: Direction, retry: &Retry<'_>, keys: &KeyStore, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        self.counters.retries += 1;
        match self.route(direction, retry.dcid, &[]) {
            Some(index) if direction == Direction::ToClient => {
                let (connection, mut cx) = self.at(index, keys);
                connection.retry(retry, &mut cx, sink);
            }
            _ => self.counters.stray_retries += 1,
        }
    }

    /// A message of the handshake became whole.
    fn handshake<S>(&mut self, index: usize, done: Option<Handshake>, keys: &KeyStore, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        match done {
            None => {}
            Some(Handshake::ServerHello) => {
                let (connection, mut cx) = self.at(index, keys);
                connection.server_hello_done(&mut cx, sink);
            }
            Some(Handshake::ClientHello(random)) => {
                let twin = self.connections.iter().enumerate().position(|(other, connection)| {
                    other != index && connection.random() == Some(&random)
                });
                let mut index = index;
                if let Some(twin) = twin {
                    // A client without identifier, after a Retry not seen.
                    self.counters.restarts += 1;
                    self.succeed(index, twin);
                    self.remove(twin, sink);
                    index -= usize::from(twin < index);
                }
                let (connection, mut cx) = self.at(index, keys);
                connection.client_hello_done(&mut cx, sink);
            }
        }
    }

    /// Whether a flow begins with an Initial of a client that comes from where
    /// the server was thought to be.
    fn is_reversed(&mut self, direction: Direction, packet: &Long<'_>) -> bool {
        direction == Direction::ToClient
            && self.count == 0
            && packet.kind == LongKind::Initial
            && Initial::open_first(packet, &mut self.scratch).is_some()
    }

    /// The connection that a packet with a long header belongs to: it knows
    /// both identifiers, or that of the sender, or that of the receiver.
    fn route(&self, direction: Direction, dcid: &[u8], scid: &[u8]) -> Option<usize> {
        let knows = |connection: &Connection, direction: Direction, id: &[u8]| {
            connection.ids[direction.index()].contains(id)
        };
        let to = |connection: &Connection| knows(connection, direction, dcid);
        let from = |connection: &Connection| knows(connection, direction.reverse(), scid);
        let find = |wanted: &dyn Fn(&Connection) -> bool| self.connections.iter().rposition(wanted);
        find(&|connection| to(connection) && from(connection))
            .or_else(|| find(&|connection| !scid.is_empty() && from(connection)))
            .or_else(|| find(&to))
    }

    /// Adds a connection that begins with `packet`.
    fn add<S>(&mut self, packet: &Long<'_>, sink: &mut S) -> usize
    where
        S: QuicSink + ?Sized,
    {
        if self.connections.len() >= self.limits.connections.max(1) {
            self.counters.evicted_connections += 1;
            self.remove(0, sink);
        }
        self.counters.connections += 1;
        self.connections.push(Connection::new(self.count, packet.version));
        self.count = self.count.wrapping_add(1);
        self.connections.len() - 1
    }

    /// Lets the connection at `index` take the place of the one at `twin`.
    fn succeed(&mut self, index: usize, twin: usize) {
        if let Ok([new, old]) = self.connections.get_disjoint_mut([index, twin]) {
            new.succeed(old);
        }
    }

    fn remove<S>(&mut self, index: usize, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        let keys = KeyStore::new();
        let (connection, mut cx) = self.at(index, &keys);
        connection.close(&mut cx, sink);
        if let Some(http3) = self.connections.remove(index).http3() {
            self.http3.merge(http3.counters());
        }
    }

    /// The connection at `index`, and what connections share.
    fn at<'a>(&'a mut self, index: usize, keys: &'a KeyStore) -> (&'a mut Connection, Context<'a>) {
        let cx = Context {
            limits: &self.limits,
            counters: &mut self.counters,
            keys,
            scratch: &mut self.scratch,
        };
        (&mut self.connections[index], cx)
    }
}
