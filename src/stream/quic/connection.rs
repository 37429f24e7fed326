//! One connection: its handshake, its keys, what its packets carry.

use std::ops::Range;

use super::frame::{BadFrame, Frame, Frames};
use super::id::{ConnectionId, IdList};
use super::initial::Initial;
use super::join::{FirstMessage, Joined};
use super::keys;
use super::opener::{Opener, Unopened};
use super::packet::{Long, LongKind, Packet, Retry};
use super::version::QuicVersion;
use super::{QuicCounters, QuicLimits, QuicSink};
use crate::stream::Direction;
use crate::stream::http3::Http3;
use crate::stream::tls::hello::EncryptedExtensions;
use crate::stream::tls::keylog::ClientRandom;
use crate::stream::tls::suite::Suite13;
use crate::stream::tls::{
    Carrier, ClientHello, HoldShare, KeyStore, ServerHello, TlsInfo, TlsNews, TlsVersion,
};

/// What a held packet costs beside its bytes.
const HELD_PACKET: usize = 64;

/// What connections share while a datagram is read.
pub(super) struct Context<'a> {
    pub(super) limits: &'a QuicLimits,
    pub(super) counters: &'a mut QuicCounters,
    pub(super) keys: &'a KeyStore,
    /// Where packets are opened.
    pub(super) scratch: &'a mut Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Connection {
    /// Which connection of its flow this is.
    pub(super) number: u16,
    version: QuicVersion,
    /// By direction of the packets that carry them as destination.
    pub(super) ids: [IdList; 2],
    initial: Option<Box<Initial>>,
    info: Box<TlsInfo>,
    /// The ClientHello was said to the sink.
    is_announced: bool,
    random: Option<ClientRandom>,
    access: Access,
    /// The server's encrypted extensions, until they are known.
    extensions: Option<FirstMessage>,
    held: Vec<HeldPacket>,
    held_bytes: usize,
    http3: Option<Box<Http3>>,
    /// Which sides said that they close.
    closed: [bool; 2],
}

/// Whether protected packets can be opened.
#[derive(Debug)]
enum Access {
    /// The ClientHello, by which keys are found, is not yet known.
    NoHello,
    /// Keys may come; which generation of the store was looked at.
    Waiting(u64),
    Keys {
        opener: Box<Opener>,
        generation: u64,
    },
    /// There will be no keys, or nothing that they help to read.
    None,
}

/// A packet that takes secrets to open.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protected<'a> {
    Long(Long<'a>),
    Short {
        bytes: &'a [u8],
        /// Where the packet number begins, after the connection identifier.
        number_at: usize,
    },
}

/// A packet that waits for its keys.
#[derive(Debug)]
struct HeldPacket {
    direction: Direction,
    bytes: Box<[u8]>,
    /// Of a packet with a short header.
    number_at: Option<usize>,
    /// Its part of what all connections may hold.
    _share: Option<HoldShare>,
}

/// Which message became whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    ClientHello(ClientRandom),
    ServerHello,
}

impl Connection {
    pub(super) fn new(number: u16, version: QuicVersion) -> Self {
        Self {
            number,
            version,
            ids: Default::default(),
            initial: None,
            info: Box::default(),
            is_announced: false,
            random: None,
            access: Access::NoHello,
            extensions: Some(FirstMessage::default()),
            held: Vec::new(),
            held_bytes: 0,
            http3: None,
            closed: [false; 2],
        }
    }

    /// Takes the place of another connection of which this is a new beginning.
    pub(super) fn succeed(&mut self, other: &Self) {
        self.number = other.number;
        self.is_announced = other.is_announced;
    }

    pub(super) const fn random(&self) -> Option<&ClientRandom> {
        self.random.as_ref()
    }

    pub(super) fn http3(&self) -> Option<&Http3> {
        self.http3.as_deref()
    }

    /// Whether all that can be learnt was: only keys would tell more, and there
    /// are none.
    pub(super) fn nothing_more(&self) -> bool {
        self.initial.is_none() && matches!(self.access, Access::None)
    }

    /// Whether packets with short headers may be opened, now or later.
    pub(super) fn may_open(&self) -> bool {
        !matches!(self.access, Access::None)
    }

    /// Whether one side said that it closes the connection.
    pub(super) fn is_closing(&self) -> bool {
        self.closed != [false; 2]
    }

    /// Bytes that it owns beside itself, about.
    pub(super) fn memory(&self) -> usize {
        /// The tables of QPACK and the streams that are open.
        const HTTP3: usize = 32 << 10;
        self.held() + if self.http3.is_some() { HTTP3 } else { 0 }
    }

    /// Memory held beyond the connection itself.
    pub(super) fn held(&self) -> usize {
        self.held_bytes + self.http3.as_ref().map_or(0, |http3| http3.held())
    }

    /// Takes up identifiers of a packet with a long header.
    pub(super) fn learn_ids<S>(&mut self, direction: Direction, packet: &Long<'_>, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        for (direction, id) in [(direction, packet.dcid), (direction.reverse(), packet.scid)] {
            if let Some(id) = ConnectionId::new(id) {
                self.learn_id(direction, id, sink);
            }
        }
    }

    /// Takes up an identifier that packets of `direction` carry.
    pub(super) fn learn_id<S>(&mut self, direction: Direction, id: ConnectionId, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        if self.ids[direction.index()].add(id) {
            sink.quic_connection_id(self.number, direction, &id);
        }
    }

    /// Whether Initials of this direction have still something to say.
    pub(super) fn wants_initial(&self, direction: Direction) -> bool {
        self.initial.is_some() && (direction == Direction::ToClient || self.random.is_none())
    }

    /// Whether Initials of this version may be the connection's.
    pub(super) fn has_version(&self, version: QuicVersion) -> bool {
        self.version == version
    }

    /// The first Initial came.
    pub(super) fn begin(&mut self, initial: Initial) {
        self.initial = Some(Box::new(initial));
    }

    /// Whether the client may begin the connection anew, as a Retry or a version
    /// negotiation asks it to: no later answer of the server was seen.
    pub(super) fn may_restart(&self) -> bool {
        self.initial.is_some()
    }

    /// The client begins anew. (It should send the same ClientHello; some send
    /// another.)
    pub(super) fn restart(
        &mut self,
        version: QuicVersion,
        initial: Initial,
        counters: &mut QuicCounters,
    ) {
        counters.restarts += 1;
        counters.held_dropped += self.held.len() as u64;
        self.give_up();
        self.version = version;
        self.initial = Some(Box::new(initial));
        self.random = None;
        self.info.cipher_suite = None;
        self.access = Access::NoHello;
        self.extensions = Some(FirstMessage::default());
    }

    /// Opens an Initial; its payload is then in the scratch buffer. One of
    /// another version changes the version of the connection (RFC 9368).
    pub(super) fn open_initial(
        &mut self,
        direction: Direction,
        packet: &Long<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        let initial = self.initial.as_mut()?;
        if packet.version == self.version {
            return initial.open(direction, packet, scratch);
        }
        let mut other = Initial::new(packet.version, initial.dcid)?;
        other.next = initial.next;
        let payload = other.open(direction, packet, scratch)?;
        self.version = packet.version;
        other.messages = std::mem::take(&mut initial.messages);
        **initial = other;
        Some(payload)
    }

    /// Reads the frames of an Initial. Says which message became whole by them.
    pub(super) fn initial_frames(
        &mut self,
        direction: Direction,
        payload: Range<usize>,
        cx: &mut Context<'_>,
    ) -> Option<Handshake> {
        let payload = cx.scratch.get(payload).unwrap_or_default();
        let mut done = None;
        for frame in Frames::new(payload) {
            match frame {
                Ok(Frame::Crypto { offset, data }) if done.is_none() => {
                    done = self.initial_crypto(direction, offset, data, cx.limits, cx.counters);
                }
                Ok(Frame::Close) => self.close_side(direction, cx.counters),
                Ok(_) => {}
                Err(bad) => cx.counters.bad_frame(bad),
            }
        }
        done
    }

    fn initial_crypto(
        &mut self,
        direction: Direction,
        offset: u64,
        data: &[u8],
        limits: &QuicLimits,
        counters: &mut QuicCounters,
    ) -> Option<Handshake> {
        let initial = self.initial.as_mut()?;
        let message = &mut initial.messages[direction.index()];
        let message = match message.add(offset, data, limits.crypto_bytes) {
            Joined::Part => return None,
            Joined::NoRoom => {
                counters.crypto_dropped += 1;
                return None;
            }
            Joined::TooLarge => {
                counters.handshake_too_large += 1;
                self.initial = None;
                self.give_up();
                return None;
            }
            Joined::Whole(message) => message,
        };
        let done = match direction {
            Direction::ToServer if self.random.is_some() => return None,
            Direction::ToClient if self.info.cipher_suite.is_some() => return None,
            Direction::ToServer => ClientHello::parse(message).map(|hello| {
                self.info.client_hello(&hello, Carrier::Quic);
                self.info.version = Some(TlsVersion::Tls13);
                self.random = Some(*hello.random());
                Handshake::ClientHello(*hello.random())
            }),
            Direction::ToClient => ServerHello::parse(message).map(|hello| {
                self.info.server_hello(&hello);
                Handshake::ServerHello
            }),
        };
        if done.is_err() {
            counters.malformed_messages += 1;
            self.initial = None;
            self.give_up();
        }
        if self.random.is_some() && self.info.cipher_suite.is_some() {
            self.initial = None;
        }
        done.ok()
    }

    /// The ClientHello is known: says so, and looks for keys.
    pub(super) fn client_hello_done<S>(&mut self, cx: &mut Context<'_>, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        cx.counters.client_hellos += 1;
        if !self.is_announced {
            self.is_announced = true;
            sink.quic_news(self.number, self.version, TlsNews::ClientHello, &self.info);
        }
        if !self.speaks_http3() {
            cx.counters.other_protocols += 1;
            return self.give_up();
        }
        self.access = Access::Waiting(cx.keys.generation().wrapping_sub(1));
        if self.find_keys(cx) {
            self.replay(cx, sink);
        }
    }

    /// The ServerHello is known.
    pub(super) fn server_hello_done<S>(&mut self, cx: &mut Context<'_>, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        cx.counters.server_hellos += 1;
        sink.quic_news(self.number, self.version, TlsNews::ServerHello, &self.info);
        let Access::Keys { opener, .. } = &mut self.access else { return };
        match self.info.cipher_suite.and_then(Suite13::from_wire) {
            Some(suite) => opener.set_suite(suite),
            None => {
                cx.counters.unsupported_suites += 1;
                self.give_up();
            }
        }
    }

    /// A Retry came. If it is genuine, what the client sends next is for
    /// another identifier, from which keys are made.
    pub(super) fn retry<S>(&mut self, retry: &Retry<'_>, cx: &mut Context<'_>, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        let genuine = self.initial.as_ref().is_some_and(|initial| {
            keys::is_retry_genuine(retry.version, initial.dcid.as_bytes(), retry.tagged())
        });
        let scid = ConnectionId::new(retry.scid).filter(|_| genuine);
        let Some((scid, initial)) =
            scid.and_then(|id| Some((id, Initial::new(retry.version, id)?)))
        else {
            cx.counters.stray_retries += 1;
            return;
        };
        self.restart(retry.version, initial, cx.counters);
        self.learn_id(Direction::ToServer, scid, sink);
    }

    /// Takes a packet that takes secrets to open.
    pub(super) fn protected<S>(
        &mut self,
        direction: Direction,
        packet: Protected<'_>,
        cx: &mut Context<'_>,
        sink: &mut S,
    ) -> bool
    where
        S: QuicSink + ?Sized,
    {
        if matches!(packet, Protected::Short { .. }) && self.random.is_some() {
            // The handshake has gone on without what is missing of it.
            self.initial = None;
        }
        if self.find_keys(cx) {
            self.replay(cx, sink);
        }
        self.open(direction, packet, cx, sink)
    }

    /// Nothing more will come.
    pub(super) fn close<S>(&mut self, cx: &mut Context<'_>, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        if let Some(http3) = &mut self.http3 {
            http3.close(sink);
        }
        cx.counters.held_dropped += self.held.len() as u64;
        self.give_up();
        self.initial = None;
    }

    /// Looks for keys if the store has others than when it was last looked at.
    /// Says whether there are new ones.
    fn find_keys(&mut self, cx: &mut Context<'_>) -> bool {
        let now = cx.keys.generation();
        match &mut self.access {
            Access::Waiting(seen) if *seen != now => *seen = now,
            Access::Keys { generation, .. } if *generation != now => *generation = now,
            _ => return false,
        }
        let secrets = self.random.as_ref().and_then(|random| cx.keys.secrets(random));
        match (secrets, &mut self.access) {
            (Some(secrets), Access::Keys { opener, .. }) => {
                opener.set_secrets(secrets);
                true
            }
            (Some(secrets), _) => {
                let opener = Box::new(Opener::new(secrets, self.info.cipher_suite));
                self.access = Access::Keys { opener, generation: now };
                cx.counters.connections_with_keys += 1;
                true
            }
            (None, Access::Waiting(_)) if !cx.keys.may_grow() => {
                cx.counters.connections_without_keys += 1;
                self.give_up();
                false
            }
            (None, _) => false,
        }
    }

    /// Opens held packets anew.
    fn replay<S>(&mut self, cx: &mut Context<'_>, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        self.held_bytes = 0;
        for held in std::mem::take(&mut self.held) {
            let packet = match (held.number_at, Packet::split(&held.bytes)) {
                (Some(number_at), _) => Protected::Short { bytes: &held.bytes, number_at },
                (None, Some((Packet::Long(long), _))) => Protected::Long(long),
                (None, _) => continue,
            };
            self.open(held.direction, packet, cx, sink);
        }
    }

    /// Opens a packet, if there are keys for it, or holds it. Says whether it
    /// was opened.
    fn open<S>(
        &mut self,
        direction: Direction,
        packet: Protected<'_>,
        cx: &mut Context<'_>,
        sink: &mut S,
    ) -> bool
    where
        S: QuicSink + ?Sized,
    {
        let Access::Keys { opener, .. } = &mut self.access else {
            self.hold(direction, packet, cx);
            return false;
        };
        let opened = match packet {
            Protected::Short { bytes, number_at } => {
                opener.application(direction, self.version, bytes, number_at, cx.scratch)
            }
            Protected::Long(long) if long.kind == LongKind::ZeroRtt => {
                opener.early(&long, cx.scratch)
            }
            // Of the Handshake packets only the server's first message matters.
            Protected::Long(_) if direction == Direction::ToServer || self.extensions.is_none() => {
                cx.counters.skipped_packets += 1;
                return false;
            }
            Protected::Long(long) => opener.handshake(&long, cx.scratch),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(Unopened::NoSecret) => {
                self.hold(direction, packet, cx);
                return false;
            }
            Err(Unopened::Failed) => {
                cx.counters.unopened_packets += 1;
                if opener.is_hopeless() {
                    cx.counters.wrong_keys += 1;
                    self.give_up();
                }
                return false;
            }
        };
        cx.counters.opened_packets += 1;
        cx.counters.key_updates += u64::from(opened.key_update);
        // Taken so that what it holds can be read while the rest is in use.
        let scratch = std::mem::take(cx.scratch);
        let payload = scratch.get(opened.payload).unwrap_or_default();
        match packet {
            Protected::Long(long) if long.kind == LongKind::Handshake => {
                self.version = long.version;
                self.handshake_frames(payload, cx, sink);
            }
            _ => self.application_frames(direction, payload, cx, sink),
        }
        *cx.scratch = scratch;
        true
    }

    /// Keeps a packet for when its keys come, if they may.
    fn hold(&mut self, direction: Direction, packet: Protected<'_>, cx: &mut Context<'_>) {
        let may_come = match self.access {
            Access::NoHello => cx.keys.may_grow() || !cx.keys.is_empty(),
            Access::Waiting(_) | Access::Keys { .. } => cx.keys.may_grow(),
            Access::None => false,
        };
        if !may_come {
            cx.counters.skipped_packets += 1;
            return;
        }
        let (bytes, number_at) = match packet {
            Protected::Long(long) => (long.bytes, None),
            Protected::Short { bytes, number_at } => (bytes, Some(number_at)),
        };
        let cost = bytes.len() + HELD_PACKET;
        if self.held_bytes + cost > cx.limits.held_bytes {
            cx.counters.held_dropped += 1;
            return;
        }
        let budget = cx.keys.hold_budget();
        let share = budget.and_then(|budget| budget.share(cost));
        if budget.is_some() && share.is_none() {
            cx.counters.held_dropped += 1;
            return;
        }
        cx.counters.held_packets += 1;
        self.held_bytes += cost;
        self.held.push(HeldPacket { direction, bytes: bytes.into(), number_at, _share: share });
    }

    /// Reads the server's Handshake packets up to its encrypted extensions.
    fn handshake_frames<S>(&mut self, payload: &[u8], cx: &mut Context<'_>, sink: &mut S)
    where
        S: QuicSink + ?Sized,
    {
        for frame in Frames::new(payload) {
            match frame {
                Ok(Frame::Crypto { offset, data }) => {
                    let Some(extensions) = &mut self.extensions else { return };
                    match extensions.add(offset, data, cx.limits.crypto_bytes) {
                        Joined::Part => continue,
                        Joined::NoRoom => {
                            cx.counters.crypto_dropped += 1;
                            continue;
                        }
                        Joined::TooLarge => cx.counters.handshake_too_large += 1,
                        Joined::Whole(message) => match EncryptedExtensions::parse(message) {
                            Ok(extensions) => self.info.encrypted_extensions(&extensions),
                            Err(_) => cx.counters.malformed_messages += 1,
                        },
                    }
                    self.extensions = None;
                    self.info.decrypted = true;
                    let news = TlsNews::EncryptedExtensions;
                    sink.quic_news(self.number, self.version, news, &self.info);
                    if !self.speaks_http3() {
                        cx.counters.other_protocols += 1;
                        return self.give_up();
                    }
                }
                Ok(Frame::Close) => self.close_side(Direction::ToClient, cx.counters),
                Ok(_) => {}
                Err(bad) => cx.counters.bad_frame(bad),
            }
        }
    }

    fn application_frames<S>(
        &mut self,
        direction: Direction,
        payload: &[u8],
        cx: &mut Context<'_>,
        sink: &mut S,
    ) where
        S: QuicSink + ?Sized,
    {
        if !self.info.decrypted {
            self.info.decrypted = true;
            let news = TlsNews::EncryptedExtensions;
            sink.quic_news(self.number, self.version, news, &self.info);
        }
        for frame in Frames::new(payload) {
            match frame {
                Ok(Frame::Stream { id, offset, data, fin }) => {
                    self.http3_mut(cx).stream(direction, id, offset, data, fin, sink);
                }
                Ok(Frame::Reset { id }) => self.http3_mut(cx).reset(direction, id, sink),
                // What one side issues, packets of the other carry.
                Ok(Frame::NewConnectionId(id)) => self.learn_id(direction.reverse(), id, sink),
                Ok(Frame::Close) => self.close_side(direction, cx.counters),
                Ok(Frame::Crypto { .. }) => {}
                Err(bad) => cx.counters.bad_frame(bad),
            }
        }
        if self.closed == [true; 2]
            && let Some(http3) = &mut self.http3
        {
            http3.close(sink);
        }
    }

    fn http3_mut(&mut self, cx: &mut Context<'_>) -> &mut Http3 {
        let number = self.number;
        self.http3.get_or_insert_with(|| {
            cx.counters.http3_connections += 1;
            Box::new(Http3::new(number, cx.limits.http3))
        })
    }

    fn close_side(&mut self, direction: Direction, counters: &mut QuicCounters) {
        counters.closes += u64::from(!self.closed[direction.index()]);
        self.closed[direction.index()] = true;
    }

    /// Whether the connection carries HTTP/3, for all that is known.
    fn speaks_http3(&self) -> bool {
        let is_http3 = |name: &String| name == "h3" || name.starts_with("h3-");
        match &self.info.alpn {
            Some(chosen) => is_http3(chosen),
            None => self.info.alpn_offered.iter().any(is_http3),
        }
    }

    /// Nothing more is to be opened.
    fn give_up(&mut self) {
        self.access = Access::None;
        self.held = Vec::new();
        self.held_bytes = 0;
        self.extensions = None;
    }
}

impl QuicCounters {
    fn bad_frame(&mut self, bad: BadFrame) {
        match bad {
            BadFrame::Malformed => self.malformed_frames += 1,
            BadFrame::UnknownType => self.unknown_frames += 1,
        }
    }
}
