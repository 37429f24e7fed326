//! Turning to another protocol (RFC 9110 sections 7.8 and 9.3.6).
//!
//! A client may not use the other protocol before the server agreed, so the
//! bytes that follow its offer are held until the answer is seen: the captures
//! of the two directions need not be in step. Where the answer is never seen,
//! bytes that are not HTTP tell what it was.

use super::exchanges::{RequestKind, UpgradeOffer};
use super::probe::{Probe, probe};
use super::{Half, Http1, State};
use crate::stream::{Direction, ExchangeId, ExchangeSink, Header, joined};

/// As much of the held bytes is looked at to tell a request.
const PROBED: usize = 256;

/// A connection turned to another protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The exchange that did it. It has not ended: [`Http1::close`] ends it.
    pub exchange: ExchangeId,
    /// The protocol it turned to.
    pub protocol: Protocol,
    /// Whether the server's answer was seen. If not, the protocol is what the
    /// client asked for.
    pub answered: bool,
    /// Bytes of the other protocol that were fed before, by direction; they
    /// come before what follows.
    pub held: [Held; 2],
}

/// Bytes fed before it was known which protocol they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// So many bytes were lost after them.
    pub lost: u64,
}

/// What a connection turned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// WebSocket (RFC 6455).
    WebSocket {
        /// `Sec-WebSocket-Extensions`, empty if none.
        extensions: Vec<u8>,
        /// `Sec-WebSocket-Protocol`, empty if none.
        subprotocol: Vec<u8>,
    },
    /// HTTP/2 without TLS (`h2c`): the client begins with the preface; the
    /// response to the request comes on stream 1.
    Http2,
    /// A tunnel (CONNECT): anything, to be told from its first bytes.
    Tunnel,
    /// Another protocol, by the `Upgrade` field.
    Other(Vec<u8>),
}

impl Protocol {
    /// From what the two sides say (or one side offers): the protocol named
    /// first counts.
    fn named(upgrade: &[u8], extensions: Vec<u8>, subprotocol: Vec<u8>) -> Self {
        let first = upgrade.split(|&byte| byte == b',').next().unwrap_or(upgrade).trim_ascii();
        if first.eq_ignore_ascii_case(b"websocket") {
            Self::WebSocket { extensions, subprotocol }
        } else if first.eq_ignore_ascii_case(b"h2c") {
            Self::Http2
        } else {
            Self::Other(first.to_vec())
        }
    }
}

impl Http1 {
    /// The server agreed.
    pub(super) fn switch<S>(
        &mut self,
        id: ExchangeId,
        tunnel: bool,
        fields: &[Header<'_>],
        sink: &mut S,
    ) where
        S: ExchangeSink + ?Sized,
    {
        let protocol = if tunnel {
            Protocol::Tunnel
        } else {
            Protocol::named(
                &joined(fields, "upgrade"),
                joined(fields, "sec-websocket-extensions"),
                joined(fields, "sec-websocket-protocol"),
            )
        };
        let request_open = self.exchanges.switch(id);
        self.message_end(Direction::ToClient, true, sink);
        self.half(Direction::ToClient).state = State::Held;
        let held = [Held::default(), Held::default()];
        self.switching = Some(Box::new(Switch { exchange: id, protocol, answered: true, held }));
        if !request_open {
            self.finish_switch(sink);
        }
    }

    /// A request's body ended: perhaps what a switch waited for, or what an
    /// answer has to decide about comes next.
    pub(super) fn request_ended<S>(&mut self, id: ExchangeId, complete: bool, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        if self.switching.is_some() {
            self.finish_switch(sink);
        } else if complete && self.exchanges.awaits_switch(id).is_some() {
            self.half(Direction::ToServer).state = State::Held;
        }
    }

    /// Holds bytes; where that comes to too many, stops waiting.
    pub(super) fn hold<S>(&mut self, direction: Direction, data: &[u8], sink: &mut S) -> usize
    where
        S: ExchangeSink + ?Sized,
    {
        let limit = self.limits.held_bytes;
        let half = self.half(direction);
        if half.held_lost > 0 {
            let room = (limit as u64 + 1).saturating_sub(half.held_lost);
            let used = room.min(data.len() as u64) as usize;
            half.held_lost += used as u64;
            if half.held_lost > limit as u64 {
                self.stop_waiting(direction, sink);
            }
            return used;
        }
        let used = data.len().min(limit.saturating_sub(half.buffer.len()));
        half.buffer.extend_from_slice(&data[..used]);
        let request = probe(&half.buffer[..half.buffer.len().min(PROBED)]) == Probe::Request;
        if direction == Direction::ToServer && request && !self.offers_tunnel() {
            // The client goes on with HTTP: it knows that the answer was no.
            self.resume(sink);
        } else if used < data.len() {
            self.stop_waiting(direction, sink);
        }
        used
    }

    /// The direction ends: what is held of it, if anything, will have no answer. If that
    /// is HTTP, its last message is still to be ended.
    pub(super) fn end_held<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let holds = |half: &Half| matches!(half.state, State::Held) && !half.buffer.is_empty();
        while direction == Direction::ToServer && holds(self.half(direction)) {
            self.stop_waiting(direction, sink);
        }
    }

    /// The answer to `id` was no: what was held is HTTP.
    pub(super) fn release_held<S>(&mut self, id: ExchangeId, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let half = self.half(Direction::ToServer);
        if matches!(half.state, State::Held) && half.id == id {
            self.resume(sink);
        }
    }

    fn resume<S>(&mut self, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let half = self.half(Direction::ToServer);
        half.state = State::head();
        let bytes = half.take_buffer();
        let lost = std::mem::take(&mut half.held_lost);
        let used = self.drive(Direction::ToServer, &bytes, sink);
        if let Some(switch) = &mut self.switched {
            switch.held[0].bytes.extend_from_slice(&bytes[used..]);
            switch.held[0].lost += lost;
        } else if lost > 0 {
            self.lose(Direction::ToServer, lost, sink);
        }
    }

    fn offers_tunnel(&self) -> bool {
        let id = self.halves[Direction::ToServer.index()].id;
        self.exchanges.awaits_switch(id) == Some(&RequestKind::Connect)
    }

    /// Too much is held to wait longer, for an answer or for a request's end.
    fn stop_waiting<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        if direction == Direction::ToClient {
            return self.finish_switch(sink);
        }
        let id = self.half(direction).id;
        let protocol = match self.exchanges.awaits_switch(id) {
            Some(RequestKind::Connect) => Protocol::Tunnel,
            Some(RequestKind::Upgrade(offer)) => {
                let UpgradeOffer { protocols, extensions, subprotocols } = (**offer).clone();
                Protocol::named(&protocols, extensions, subprotocols)
            }
            _ => return self.resume(sink),
        };
        self.counters.assumed_switches += 1;
        self.exchanges.switch(id);
        let held = [Held::default(), Held::default()];
        self.switching = Some(Box::new(Switch { exchange: id, protocol, answered: false, held }));
        self.finish_switch(sink);
    }

    /// Hands the connection over.
    fn finish_switch<S>(&mut self, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let Some(mut switch) = self.switching.take() else { return };
        self.counters.switches += 1;
        for direction in [Direction::ToServer, Direction::ToClient] {
            let state = self.half(direction).state;
            match state {
                State::Head(_) | State::Held => {
                    let half = self.half(direction);
                    let held = &mut switch.held[direction.index()];
                    held.bytes = half.take_buffer();
                    held.lost = std::mem::take(&mut half.held_lost);
                }
                State::Lost(_) | State::Ended => self.drop_buffer(direction),
                _ => self.message_end(direction, false, sink),
            }
            self.half(direction).state = State::Ended;
        }
        while let Some(id) = self.exchanges.take_unswitched() {
            self.counters.unanswered_requests += 1;
            sink.exchange_end(id);
        }
        self.switched = Some(switch);
    }
}
