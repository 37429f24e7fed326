//! HTTP/3 (RFC 9114), read passively from both sides.
//!
//! In: the STREAM frames of both directions of one QUIC connection, in any
//! order. Out: exchanges, one for each request stream, pushed into an
//! [`ExchangeSink`].
//!
//! ```text
//!  STREAM frame ─ in order ─┬─ request stream ─┬─ DATA ────────── body
//!                           │                  └─ HEADERS ─ qpack ─ request, response
//!                           ├─ control stream ─── SETTINGS ──▲
//!                           └─ encoder stream ───────────────┘
//! ```
//!
//! Data that is next in its stream is handed on as slices of what was fed; what
//! comes early waits until the hole before it is filled. A hole is given up when
//! too much waits behind it, or when the connection ends. One within a DATA
//! frame costs only what was in it. After any other, nothing tells where the
//! next frame begins: what looks like a DATA frame of text is searched for. A
//! body whose head was lost has a head without fields: an empty method and
//! target, or the status 0.
//!
//! A head whose field section refers to entries of the dynamic table that have
//! not come waits too, with what follows in its stream. If they do not come,
//! fields that need them are left out and the head is
//! [`incomplete`](super::HeadFlags::incomplete).
//!
//! Server push is passed over, and so are trailers and datagrams.

mod message;
mod qpack;
mod ranges;
mod resync;
#[cfg(test)]
mod tests;
mod unidirectional;

use std::collections::BTreeMap;

use self::message::Message;
use self::qpack::{Blocked, Decoder};
use self::ranges::Ranges;
use self::unidirectional::Unidirectional;
use super::http2::hpack::FieldList;
use super::{Direction, ExchangeId, ExchangeSink};

mod setting {
    pub(super) const QPACK_MAX_TABLE_CAPACITY: u64 = 0x01;
}

crate::counters! {
    /// What the HTTP/3 parser saw.
    pub struct Http3Counters {
        /// Requests.
        requests,
        /// Final responses.
        responses,
        /// Interim (1xx) responses, which are not handed on.
        interim_responses,
        /// Trailers, which are not handed on.
        trailers,
        /// Promises to push.
        push_promises,
        /// Control streams.
        control_streams,
        /// Settings.
        settings,
        /// QPACK encoder streams.
        encoder_streams,
        /// Of these, those whose rest is lost or cannot be read.
        lost_encoders,
        /// Push streams, which are passed over.
        push_streams,
        /// Unidirectional streams of unknown types.
        unknown_streams,
        /// Streams that no HTTP/3 endpoint opens.
        unexpected_streams,
        /// Frames where they should not be.
        unexpected_frames,
        /// Frames of unknown types.
        unknown_frames,
        /// STREAM frames of exchanges, or of one side of them, that had ended.
        late_frames,
        /// Streams that one side reset.
        resets,
        /// Streams given up because too many were open.
        evicted_streams,
        /// Heads handed on although fields are missing.
        incomplete_heads,
        /// Heads that are not as the RFC wants them.
        irregular_heads,
        /// Messages whose framing two readers may understand differently.
        ambiguous_framing,
        /// Field sections over the cap, of which the rest was not read.
        section_too_large,
        /// Field sections that waited for entries of the dynamic table.
        blocked_sections,
        /// Field sections decoded without some of their entries.
        forced_sections,
        /// Fields that name entries of the dynamic table that are not known.
        unknown_fields,
        /// Fields that cannot be decoded.
        invalid_fields,
        /// Heads whose fields are more than are kept.
        dropped_fields,
        /// Gaps in streams.
        gaps,
        /// Bytes lost in gaps.
        lost_bytes,
        /// Holes given up because too much waited.
        overflows,
        /// Gaps after which the framing of a message was lost.
        framing_losses,
        /// DATA frames found again after the framing was lost.
        resyncs,
        /// Bodies whose head was lost.
        headless_bodies,
    }
}

/// Bounds on what one connection may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http3Limits {
    /// Streams that are open.
    pub streams: usize,
    /// Bytes that wait in one direction of a stream.
    pub stream_bytes: usize,
    /// Bytes that wait in all streams.
    pub connection_bytes: usize,
    /// Bytes of an encoded field section, of the fields of one, and of a single
    /// name or value.
    pub section_bytes: usize,
    /// Size of a direction's dynamic table.
    pub table_bytes: usize,
    /// Field sections of a direction that wait for entries of the dynamic table.
    pub blocked: usize,
}

impl Default for Http3Limits {
    fn default() -> Self {
        Self {
            streams: 1024,
            stream_bytes: 1 << 20,
            connection_bytes: 4 << 20,
            section_bytes: 64 * 1024,
            table_bytes: 64 * 1024,
            blocked: 128,
        }
    }
}

/// The parser of one connection.
#[derive(Debug)]
pub struct Http3 {
    core: Core,
    streams: BTreeMap<u64, Stream>,
    /// Streams that are over, by kind and number.
    ended: [Ranges; 4],
    /// Bytes that wait in all streams.
    held: usize,
}

/// What the streams of a connection share.
#[derive(Debug)]
struct Core {
    /// The upper bits of the exchanges' ids.
    id_base: u64,
    limits: Http3Limits,
    decoders: [Decoder; 2],
    /// Streams whose field section waits, by direction, and for how many
    /// entries.
    blocked: [Vec<(u64, Blocked)>; 2],
    /// Field sections that wait may have to wait no longer, and come before
    /// what follows in the encoder stream.
    has_new_entries: bool,
    /// Of the field section that is being decoded.
    fields: FieldList,
    counters: Http3Counters,
}

#[derive(Debug)]
enum Stream {
    /// Request and response.
    Exchange(Box<[Message; 2]>),
    Unidirectional(Box<Unidirectional>),
}

/// Kinds of streams (RFC 9000 section 2.1), by the low bits of their ids.
mod kind {
    pub(super) const REQUEST: u64 = 0;
    pub(super) const SERVER_BIDIRECTIONAL: u64 = 1;
    pub(super) const CLIENT_UNIDIRECTIONAL: u64 = 2;
}

impl Http3 {
    /// Exchange ids have their stream's below, and the connection's number from
    /// here on.
    const NUMBER_SHIFT: u32 = 48;

    /// A parser at the start of a connection, which is the `number`th of its
    /// flow.
    pub fn new(number: u16, limits: Http3Limits) -> Self {
        let decoder = || Decoder::new(limits.table_bytes, limits.section_bytes);
        Self {
            core: Core {
                id_base: u64::from(number) << Self::NUMBER_SHIFT,
                limits,
                decoders: [decoder(), decoder()],
                blocked: [Vec::new(), Vec::new()],
                has_new_entries: false,
                fields: FieldList::new(limits.section_bytes),
                counters: Http3Counters::default(),
            },
            streams: BTreeMap::new(),
            ended: Default::default(),
            held: 0,
        }
    }

    /// Takes a STREAM frame.
    pub fn stream<S>(
        &mut self,
        direction: Direction,
        id: u64,
        offset: u64,
        data: &[u8],
        fin: bool,
        sink: &mut S,
    ) where
        S: ExchangeSink + ?Sized,
    {
        if !self.open(direction, id, sink) {
            return;
        }
        self.segment(direction, id, (offset, data, fin), sink);
        while std::mem::take(&mut self.core.has_new_entries) {
            self.unblock(Direction::ToServer, sink);
            self.unblock(Direction::ToClient, sink);
            self.segment(direction, id, (offset, data, fin), sink);
        }
    }

    /// Takes a segment of a stream, or goes on with it.
    fn segment<S>(
        &mut self,
        direction: Direction,
        id: u64,
        (offset, data, fin): (u64, &[u8], bool),
        sink: &mut S,
    ) where
        S: ExchangeSink + ?Sized,
    {
        let Self { core, streams, held, .. } = self;
        let Some(stream) = streams.get_mut(&id) else { return };
        let before = stream.held();
        let others = *held - before;
        let limits = core.limits;
        let room = limits.stream_bytes.min(limits.connection_bytes.saturating_sub(others));
        match stream {
            Stream::Exchange(messages) => {
                messages[direction.index()].segment((offset, data, fin), room, core, sink);
            }
            Stream::Unidirectional(stream) => stream.segment(offset, data, room, core),
        }
        *held = others + stream.held();
        if stream.is_over() {
            self.take_out(id, sink);
        }
    }

    /// Takes a RESET_STREAM frame.
    pub fn reset<S>(&mut self, direction: Direction, id: u64, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        self.core.counters.resets += 1;
        let Some(Stream::Exchange(messages)) = self.streams.get_mut(&id) else { return };
        let message = &mut messages[direction.index()];
        self.held -= message.held();
        message.reset(&mut self.core, sink);
        if messages.iter().all(Message::is_ended) {
            self.take_out(id, sink);
        }
    }

    /// The connection is over, or will not be followed further: ends whatever
    /// is open. Calling it again does nothing.
    pub fn close<S>(&mut self, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let (unidirectional, exchanges): (Vec<_>, Vec<_>) = std::mem::take(&mut self.streams)
            .into_iter()
            .partition(|(_, stream)| matches!(stream, Stream::Unidirectional(_)));
        for (id, mut stream) in unidirectional.into_iter().chain(exchanges) {
            self.close_stream(id, &mut stream, sink);
        }
        self.held = 0;
        self.core.blocked = [Vec::new(), Vec::new()];
    }

    /// Bytes that wait in all streams.
    pub fn held(&self) -> usize {
        self.held
    }

    /// What was seen of the connection.
    pub fn counters(&self) -> &Http3Counters {
        &self.core.counters
    }

    /// Makes sure that a stream is there. Says no if there is nothing to be
    /// read from it.
    fn open<S>(&mut self, direction: Direction, id: u64, sink: &mut S) -> bool
    where
        S: ExchangeSink + ?Sized,
    {
        if self.streams.contains_key(&id) {
            return true;
        }
        if self.ended[(id & 3) as usize].contains(id >> 2) {
            self.core.counters.late_frames += u64::from(id & 3 == kind::REQUEST);
            return false;
        }
        let sender = match id & 3 {
            kind::CLIENT_UNIDIRECTIONAL => Direction::ToServer,
            kind::REQUEST => direction,
            _ => Direction::ToClient,
        };
        let is_readable = id & 3 != kind::SERVER_BIDIRECTIONAL && id >> Self::NUMBER_SHIFT == 0;
        if !is_readable || sender != direction {
            self.core.counters.unexpected_streams += 1;
            return false;
        }
        if self.streams.len() >= self.core.limits.streams.max(1) {
            self.evict(sink);
        }
        let stream = match id & 3 {
            kind::REQUEST => {
                let exchange = self.core.exchange(id);
                let message = |direction| Message::new(id, exchange, direction);
                let messages = [message(Direction::ToServer), message(Direction::ToClient)];
                Stream::Exchange(Box::new(messages))
            }
            _ => Stream::Unidirectional(Box::new(Unidirectional::new(direction))),
        };
        self.streams.insert(id, stream);
        true
    }

    /// Makes room for a stream: gives up the oldest exchange of which a
    /// direction is over, or else the oldest exchange, or else the oldest
    /// stream.
    fn evict<S>(&mut self, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let is_half_over = |stream: &Stream| match stream {
            Stream::Exchange(messages) => messages.iter().any(Message::is_ended),
            Stream::Unidirectional(_) => false,
        };
        let is_exchange = |stream: &Stream| matches!(stream, Stream::Exchange(_));
        let oldest = |wanted: &dyn Fn(&Stream) -> bool| {
            self.streams.iter().find(|(_, stream)| wanted(stream)).map(|(&id, _)| id)
        };
        let victim =
            oldest(&is_half_over).or_else(|| oldest(&is_exchange)).or_else(|| oldest(&|_| true));
        if let Some(id) = victim {
            self.core.counters.evicted_streams += 1;
            self.take_out(id, sink);
        }
    }

    /// Ends a stream that was taken out.
    fn close_stream<S>(&mut self, id: u64, stream: &mut Stream, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let core = &mut self.core;
        match stream {
            Stream::Unidirectional(stream) => stream.close(core),
            Stream::Exchange(messages) => {
                messages.iter_mut().for_each(|message| message.close(core, sink));
                if messages.iter().any(Message::has_head) {
                    sink.exchange_end(core.exchange(id));
                }
            }
        }
        self.ended[(id & 3) as usize].insert(id >> 2);
    }

    /// Takes out a stream that is over.
    fn take_out<S>(&mut self, id: u64, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        if let Some(mut stream) = self.streams.remove(&id) {
            self.held -= stream.held();
            self.close_stream(id, &mut stream, sink);
        }
    }

    /// Goes on with field sections that wait for entries that came.
    fn unblock<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let side = direction.index();
        for (id, blocked) in std::mem::take(&mut self.core.blocked[side]) {
            let decoder = &self.core.decoders[side];
            if blocked.required > decoder.inserted() && !decoder.is_lost() {
                self.core.blocked[side].push((id, blocked));
                continue;
            }
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let before = stream.held();
            if let Stream::Exchange(messages) = stream {
                let unblocked = messages[side].unblock(false, &mut self.core, sink);
                if let Err(blocked) = unblocked {
                    self.core.blocked[side].push((id, blocked));
                }
            }
            self.held = self.held - before + stream.held();
            if stream.is_over() {
                self.take_out(id, sink);
            }
        }
    }
}

impl Core {
    fn exchange(&self, stream: u64) -> ExchangeId {
        ExchangeId(self.id_base | stream)
    }

    /// How many entries the first of the sections that wait needs.
    fn awaited(&self, direction: Direction) -> u64 {
        let blocked = self.blocked[direction.index()].iter();
        blocked.map(|(_, blocked)| blocked.required).min().unwrap_or(u64::MAX)
    }

    /// Notes that a field section waits. Says no if too many do.
    fn block(&mut self, direction: Direction, stream: u64, reason: Blocked) -> bool {
        let blocked = &mut self.blocked[direction.index()];
        if blocked.len() >= self.limits.blocked {
            return false;
        }
        blocked.push((stream, reason));
        true
    }
}

impl Stream {
    fn is_over(&self) -> bool {
        match self {
            Self::Exchange(messages) => messages.iter().all(Message::is_ended),
            Self::Unidirectional(stream) => stream.is_ignored(),
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Exchange(messages) => messages.iter().map(Message::held).sum(),
            Self::Unidirectional(stream) => stream.held(),
        }
    }
}
