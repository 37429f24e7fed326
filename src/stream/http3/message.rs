//! One direction of an exchange: frames of a request stream (RFC 9114 section
//! 4.1).

use super::Core;
use super::qpack::Blocked;
use super::resync::Resync;
use crate::stream::http2::head::{Pseudo, is_pseudo};
use crate::stream::quic::{Arrival, Assembler, Varint};
use crate::stream::{
    Direction, ExchangeId, ExchangeSink, HeadFlags, Header, HttpVersion, Interest, RequestHead,
    ResponseHead,
};

/// Frame types (section 7.2).
mod frame {
    pub(super) const DATA: u64 = 0x00;
    pub(super) const HEADERS: u64 = 0x01;
    pub(super) const CANCEL_PUSH: u64 = 0x03;
    pub(super) const SETTINGS: u64 = 0x04;
    pub(super) const PUSH_PROMISE: u64 = 0x05;
    pub(super) const GOAWAY: u64 = 0x07;
    pub(super) const MAX_PUSH_ID: u64 = 0x0d;
}

/// One direction of an exchange.
#[derive(Debug)]
pub(super) struct Message {
    stream: u64,
    id: ExchangeId,
    direction: Direction,
    assembler: Assembler,
    state: State,
    part: Part,
    /// (Part of) a field section that could not be decoded where it lay.
    section: Vec<u8>,
    interest: Interest,
    /// The framing was lost once: frames are guesses.
    is_guess: bool,
    is_ended: bool,
}

/// What comes next in the stream.
#[derive(Clone, Copy, Debug)]
enum State {
    FrameType(Varint),
    FrameLength(u64, Varint),
    /// So many bytes of a body.
    Data(u64),
    /// So many bytes of a head's field section.
    Section(u64),
    /// So many bytes of no interest.
    Skip(u64),
    /// A field section waits for entries of the dynamic table; so many bytes
    /// of it are to be skipped.
    Blocked(u64),
    /// No one knows: the framing is lost, and a frame is searched for.
    Lost(Resync),
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    Body,
    Trailers,
}

impl Message {
    pub(super) fn new(stream: u64, id: ExchangeId, direction: Direction) -> Self {
        Self {
            stream,
            id,
            direction,
            assembler: Assembler::default(),
            state: State::start(),
            part: Part::Head,
            section: Vec::new(),
            interest: Interest::Wanted,
            is_guess: false,
            is_ended: false,
        }
    }

    /// Whether a head was handed on.
    pub(super) fn has_head(&self) -> bool {
        self.part != Part::Head
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Memory of what waits.
    pub(super) fn held(&self) -> usize {
        self.assembler.cost() + self.section.len()
    }

    /// Takes a segment of the stream. At most `room` bytes may be held after
    /// it.
    pub(super) fn segment<S>(
        &mut self,
        (offset, data, fin): (u64, &[u8], bool),
        room: usize,
        core: &mut Core,
        sink: &mut S,
    ) where
        S: ExchangeSink + ?Sized,
    {
        if self.is_ended {
            core.counters.late_frames += 1;
            return;
        }
        if fin {
            self.assembler.end_at(offset.saturating_add(data.len() as u64));
        }
        loop {
            let arrival = match self.state {
                State::Blocked(0) => self.assembler.hold(offset, data, room),
                _ => self.assembler.take(offset, data, room),
            };
            match arrival {
                Arrival::Held => break,
                Arrival::Next(now) => {
                    self.feed_or_put_back(now, core, sink);
                    self.drain(core, sink);
                }
                Arrival::NoRoom if matches!(self.state, State::Blocked(_)) => {
                    let _ = self.unblock(true, core, sink);
                }
                Arrival::NoRoom => {
                    core.counters.overflows += 1;
                    let hole = self.assembler.skip_to(offset);
                    self.gap(hole, core, sink);
                    self.drain(core, sink);
                }
            }
        }
        self.end_if_finished(core, sink);
    }

    /// The sender gave the stream up.
    pub(super) fn reset<S>(&mut self, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        self.end(false, core, sink);
    }

    /// More of the dynamic table has come, or (`must`) will not come: goes on
    /// with a field section that waited, or says what it still waits for.
    pub(super) fn unblock<S>(
        &mut self,
        must: bool,
        core: &mut Core,
        sink: &mut S,
    ) -> Result<(), Blocked>
    where
        S: ExchangeSink + ?Sized,
    {
        let State::Blocked(left) = self.state else { return Ok(()) };
        let section = std::mem::take(&mut self.section);
        let is_cut = section.len() >= core.limits.section_bytes;
        if let Err(blocked) = self.decode(&section, (left, is_cut), must, core, sink) {
            self.section = section;
            return Err(blocked);
        }
        self.drain(core, sink);
        self.end_if_finished(core, sink);
        Ok(())
    }

    /// Nothing more will come.
    pub(super) fn close<S>(&mut self, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        while !self.is_ended {
            let _ = self.unblock(true, core, sink);
            let Some(hole) = self.assembler.skip() else { break };
            self.gap(hole, core, sink);
            self.drain(core, sink);
            self.end_if_finished(core, sink);
        }
        self.end(false, core, sink);
    }

    fn end_if_finished<S>(&mut self, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let is_blocked = matches!(self.state, State::Blocked(_));
        if self.assembler.is_finished() && !is_blocked {
            self.end(true, core, sink);
        }
    }

    /// The direction ended, in order or not.
    fn end<S>(&mut self, in_order: bool, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        if self.is_ended {
            return;
        }
        let is_at_border = matches!(self.state, State::FrameType(kind) if kind.is_empty());
        let complete = in_order && is_at_border && !self.is_guess;
        if let State::Section(_) | State::Blocked(_) = self.state {
            self.cut_section(0, core, sink);
        }
        self.is_ended = true;
        self.assembler.clear();
        self.section = Vec::new();
        if self.has_head() {
            sink.body_end(self.id, self.direction, complete);
        }
    }

    /// Feeds bytes that were held and are next.
    fn drain<S>(&mut self, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        while !matches!(self.state, State::Blocked(0)) {
            let Some(piece) = self.assembler.pop() else { break };
            self.feed_or_put_back(&piece, core, sink);
        }
    }

    fn feed_or_put_back<S>(&mut self, data: &[u8], core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let rest = self.feed(data, core, sink);
        self.assembler.put_back(rest);
    }

    /// Reads bytes that are next, up to a field section that must wait. Returns
    /// the rest.
    fn feed<'a, S>(&mut self, data: &'a [u8], core: &mut Core, sink: &mut S) -> &'a [u8]
    where
        S: ExchangeSink + ?Sized,
    {
        let mut data = data;
        while !data.is_empty() {
            match &mut self.state {
                State::FrameType(kind) => {
                    if let Some(kind) = kind.take(&mut data) {
                        let is_likely = matches!(kind, frame::DATA | frame::HEADERS);
                        self.state = if self.is_guess && !is_likely {
                            State::Lost(Resync::Type)
                        } else {
                            State::FrameLength(kind, Varint::default())
                        };
                    }
                }
                State::FrameLength(kind, len) => {
                    let kind = *kind;
                    if let Some(len) = len.take(&mut data) {
                        self.frame(kind, len, core);
                    }
                }
                State::Data(left) => {
                    let now = take_up_to(&mut data, *left);
                    self.state = State::data(*left - now.len() as u64);
                    if self.interest == Interest::Wanted {
                        self.interest = sink.body(self.id, self.direction, now);
                    }
                }
                State::Section(left) => {
                    let left = *left;
                    let now = take_up_to(&mut data, left);
                    self.section(now, left - now.len() as u64, core, sink);
                }
                State::Skip(left) => {
                    let now = take_up_to(&mut data, *left);
                    self.state = State::skip(*left - now.len() as u64);
                }
                State::Blocked(0) => break,
                State::Blocked(left) => *left -= take_up_to(&mut data, *left).len() as u64,
                State::Lost(resync) => {
                    if let Some(len) = resync.search(&mut data) {
                        self.found(len, core, sink);
                    }
                }
            }
        }
        data
    }

    /// A frame begins.
    fn frame(&mut self, kind: u64, len: u64, core: &mut Core) {
        self.state = match (kind, self.part) {
            (frame::DATA, Part::Body) => State::data(len),
            (frame::HEADERS, Part::Head) if len > 0 => State::Section(len),
            (frame::HEADERS, Part::Body) => {
                self.part = Part::Trailers;
                core.counters.trailers += 1;
                State::skip(len)
            }
            (frame::PUSH_PROMISE, _) => {
                core.counters.push_promises += 1;
                State::skip(len)
            }
            (
                frame::DATA
                | frame::HEADERS
                | frame::CANCEL_PUSH
                | frame::SETTINGS
                | frame::GOAWAY
                | frame::MAX_PUSH_ID,
                _,
            ) => {
                core.counters.unexpected_frames += 1;
                State::skip(len)
            }
            _ => {
                core.counters.unknown_frames += 1;
                State::skip(len)
            }
        };
    }

    /// Takes bytes of a field section, after which so many are `left` of it.
    fn section<S>(&mut self, now: &[u8], left: u64, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let limit = core.limits.section_bytes;
        if left == 0 && self.section.is_empty() && now.len() <= limit {
            if self.decode(now, (0, false), false, core, sink).is_err() {
                self.section = now.to_vec();
            }
            return;
        }
        let room = limit.saturating_sub(self.section.len()).min(now.len());
        let (kept, dropped) = now.split_at(room);
        self.section.extend_from_slice(kept);
        self.state = State::Section(left);
        if left > 0 && dropped.is_empty() {
            return;
        }
        let section = std::mem::take(&mut self.section);
        if !dropped.is_empty() {
            core.counters.section_too_large += 1;
        }
        // A section over the cap is decoded as far as it is kept.
        let cut = left + dropped.len() as u64;
        if self.decode(&section, (left, cut > 0), false, core, sink).is_err() {
            self.section = section;
        }
    }

    /// The section that is being read, or waits, gets no longer; so many bytes
    /// of it are still to be skipped.
    fn cut_section<S>(&mut self, left: u64, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let section = std::mem::take(&mut self.section);
        let is_cut =
            matches!(self.state, State::Section(_)) || section.len() >= core.limits.section_bytes;
        if section.is_empty() {
            self.state = State::skip(left);
            return;
        }
        let decoded = self.decode(&section, (left, is_cut), true, core, sink);
        debug_assert_eq!(decoded, Ok(()), "what must be decoded does not wait");
    }

    /// Decodes a field section, after which so many bytes are to be skipped,
    /// and hands its head on.
    fn decode<S>(
        &mut self,
        section: &[u8],
        (left, is_cut): (u64, bool),
        must: bool,
        core: &mut Core,
        sink: &mut S,
    ) -> Result<(), Blocked>
    where
        S: ExchangeSink + ?Sized,
    {
        let was_blocked = matches!(self.state, State::Blocked(_));
        core.fields.clear();
        let decoder = &core.decoders[self.direction.index()];
        if let Err(blocked) = decoder.section(section, false, &mut core.fields) {
            if !was_blocked {
                core.counters.blocked_sections += 1;
            }
            if !must && (was_blocked || core.block(self.direction, self.stream, blocked)) {
                self.state = State::Blocked(left);
                return Err(blocked);
            }
            core.counters.forced_sections += 1;
            core.fields.clear();
            let decoder = &core.decoders[self.direction.index()];
            let _ = decoder.section(section, true, &mut core.fields);
        }
        self.state = State::skip(left);
        self.head(is_cut, core, sink);
        Ok(())
    }

    /// Hands on the head whose fields were decoded.
    fn head<S>(&mut self, is_cut: bool, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let Core { fields, counters, .. } = core;
        counters.unknown_fields += fields.unknown;
        counters.invalid_fields += fields.invalid;
        counters.dropped_fields += u64::from(fields.dropped > 0);
        let pseudo = Pseudo::of(fields);
        let flags = HeadFlags {
            ambiguous_framing: pseudo.ambiguous_framing,
            incomplete: is_cut || fields.is_incomplete(),
        };
        if self.direction == Direction::ToClient && matches!(pseudo.status(), 100..200) {
            counters.interim_responses += 1;
            return;
        }
        counters.incomplete_heads += u64::from(flags.incomplete);
        counters.irregular_heads += u64::from(pseudo.irregular);
        counters.ambiguous_framing += u64::from(flags.ambiguous_framing);
        self.part = Part::Body;
        self.interest = fields.with_slice(
            |field| !is_pseudo(field),
            |headers| match self.direction {
                Direction::ToServer => {
                    counters.requests += 1;
                    sink.request(self.id, &request(&pseudo, headers, flags))
                }
                Direction::ToClient => {
                    counters.responses += 1;
                    sink.response(self.id, &response(&pseudo, headers, flags))
                }
            },
        );
    }

    /// `len` bytes of the stream were lost.
    fn gap<S>(&mut self, len: u64, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        core.counters.gaps += 1;
        core.counters.lost_bytes += len;
        let left = match self.state {
            State::Data(left) => {
                if self.interest == Interest::Wanted {
                    sink.body_gap(self.id, self.direction, len.min(left));
                }
                left
            }
            State::Section(left) => {
                self.cut_section(left, core, sink);
                left
            }
            State::Skip(left) => left,
            State::FrameType(_) | State::FrameLength(..) | State::Blocked(_) => 0,
            State::Lost(_) => {
                self.state = State::Lost(Resync::Type);
                return;
            }
        };
        self.state = match (left.checked_sub(len), self.state) {
            (Some(left), State::Data(_)) => State::data(left),
            (Some(left), _) => State::skip(left),
            (None, _) => {
                core.counters.framing_losses += 1;
                self.is_guess = true;
                State::Lost(Resync::Type)
            }
        };
    }

    /// A DATA frame was found after the framing was lost. If the head was lost
    /// too, one without fields stands for it.
    fn found<S>(&mut self, len: u64, core: &mut Core, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        core.counters.resyncs += 1;
        self.state = State::Data(len);
        if self.part == Part::Head {
            core.counters.headless_bodies += 1;
            core.fields.clear();
            self.head(true, core, sink);
        }
        if self.interest == Interest::Wanted {
            sink.body_gap(self.id, self.direction, 0);
        }
    }
}

impl State {
    fn start() -> Self {
        Self::FrameType(Varint::default())
    }

    fn data(left: u64) -> Self {
        if left == 0 { Self::start() } else { Self::Data(left) }
    }

    fn skip(left: u64) -> Self {
        if left == 0 { Self::start() } else { Self::Skip(left) }
    }
}

/// Takes `limit` bytes at most off the front of `data`.
pub(super) fn take_up_to<'a>(data: &mut &'a [u8], limit: u64) -> &'a [u8] {
    let len = usize::try_from(limit).unwrap_or(usize::MAX).min(data.len());
    let (taken, rest) = data.split_at(len);
    *data = rest;
    taken
}

fn request<'a>(
    pseudo: &Pseudo<'a>,
    headers: &'a [Header<'a>],
    flags: HeadFlags,
) -> RequestHead<'a> {
    RequestHead {
        version: HttpVersion::Http3,
        method: pseudo.method.unwrap_or_default(),
        target: pseudo.target(),
        scheme: pseudo.scheme,
        authority: pseudo.host(),
        headers,
        flags,
    }
}

fn response<'a>(
    pseudo: &Pseudo<'a>,
    headers: &'a [Header<'a>],
    flags: HeadFlags,
) -> ResponseHead<'a> {
    ResponseHead { version: HttpVersion::Http3, status: pseudo.status(), headers, flags }
}
