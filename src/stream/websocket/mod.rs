//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692).
//!
//! In: the bytes of both directions after the handshake, cut anywhere. Out: the
//! bytes of text and binary messages as they come, unmasked and inflated, and
//! where each message ends. Nothing is buffered but a frame's header. A gap
//! inside a frame's payload is stepped over; one that hides a header ends the
//! direction, since nothing in a frame tells where it begins. So does what an
//! endpoint must fail the connection for.
//!
//! Memory: an inflater of some 10 KiB and its window (at most 32 KiB) for each
//! direction in which a compressed message was seen.

mod deflate;
mod frame;

use std::ops::ControlFlow;

use self::deflate::{Extensions, Inflater};
use self::frame::{Frame, FrameHeader, Opcode};
use super::{Direction, Interest};

crate::counters! {
    /// What the WebSocket parser saw.
    pub struct WebSocketCounters {
        /// Frames.
        frames,
        /// Text and binary messages that ended.
        messages,
        /// Of these, compressed ones.
        compressed_messages,
        /// Messages of which something is missing.
        damaged_messages,
        /// Messages cut because they are too large, or inflate to too much.
        capped_messages,
        /// Compressed messages that do not inflate.
        corrupt_messages,
        /// Compressed messages not inflated because they need the context of
        /// one that was lost.
        context_lost_messages,
        /// Messages in an extension that is not known.
        opaque_messages,
        /// Frames that should be masked and are not, or the reverse.
        mask_violations,
        /// Directions given up because of frames that no endpoint accepts.
        protocol_errors,
        /// Directions given up because a frame header was lost.
        lost_directions,
        /// Bytes not looked at: after a close frame or in a direction given up.
        ignored_bytes,
        /// Gaps.
        gaps,
    }
}

/// Bounds on what one message may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// Bytes of a message, inflated.
    pub message_bytes: u64,
    /// Inflated bytes per compressed byte, applied once a message has 1 MiB.
    pub ratio: u64,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        Self { message_bytes: 16 << 20, ratio: 500 }
    }
}

/// What a message is declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text, which is not checked.
    Text,
    /// Anything.
    Binary,
}

/// Receives the messages of one connection.
pub trait WebSocketSink {
    /// More bytes of the direction's current message. [`Interest::Skip`] skips
    /// the rest of the message.
    fn message_data(&mut self, direction: Direction, kind: MessageKind, data: &[u8]) -> Interest;

    /// Bytes of the current message were lost here. What follows of it is
    /// handed on only if it is not compressed.
    fn message_gap(&mut self, direction: Direction, kind: MessageKind);

    /// The current message, perhaps an empty one, ended; `complete` says that
    /// nothing of it is missing (but what the sink did not want).
    fn message_end(&mut self, direction: Direction, kind: MessageKind, complete: bool);

    /// A close frame came, with its status code (RFC 6455 section 7.4).
    fn closing(&mut self, direction: Direction, code: Option<u16>);
}

/// The parser of one connection.
#[derive(Debug)]
pub struct WebSocket {
    limits: WebSocketLimits,
    /// An extension was negotiated that is not known: reserved bits are its.
    unknown_extension: bool,
    halves: [Half; 2],
    counters: WebSocketCounters,
}

/// One direction.
#[derive(Debug)]
struct Half {
    state: State,
    message: Option<Message>,
    inflater: Option<Inflater>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header(FrameHeader),
    Payload {
        frame: Frame,
        left: u64,
    },
    /// After a close frame, or given up.
    Ended,
}

/// The message that is being read.
#[derive(Clone, Copy, Debug)]
struct Message {
    kind: MessageKind,
    compressed: bool,
    /// The sink wants no more of it.
    unwanted: bool,
    /// Something is missing.
    damaged: bool,
    /// No more of it can be made out.
    given_up: bool,
    /// Bytes handed on.
    len: u64,
}

impl WebSocket {
    /// Bytes that it owns beside itself, about.
    pub(crate) fn memory(&self) -> usize {
        self.halves.iter().filter_map(|half| half.inflater.as_ref()).map(Inflater::memory).sum()
    }

    /// A parser of what follows the handshake. `extensions` is the server's
    /// `Sec-WebSocket-Extensions`; where its answer was not seen (`answered` is
    /// false), what the client offered.
    pub fn new(extensions: &[u8], answered: bool, limits: WebSocketLimits) -> Self {
        let extensions = Extensions::parse(extensions, answered);
        let half = |direction: Direction| Half {
            state: State::Header(FrameHeader::default()),
            message: None,
            inflater: extensions.deflate.map(|both| Inflater::new(both[direction.index()])),
        };
        Self {
            limits,
            unknown_extension: extensions.unknown,
            halves: [half(Direction::ToServer), half(Direction::ToClient)],
            counters: WebSocketCounters::default(),
        }
    }

    /// The counters of this connection.
    pub fn counters(&self) -> &WebSocketCounters {
        &self.counters
    }

    /// Takes the next bytes of a direction.
    pub fn feed<S>(&mut self, direction: Direction, data: &[u8], sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        let mut rest = data;
        while !rest.is_empty() {
            let used = match self.half(direction).state {
                State::Header(header) => self.header(direction, header, rest, sink),
                State::Payload { frame, left } => self.payload(direction, frame, left, rest, sink),
                State::Ended => {
                    self.counters.ignored_bytes += rest.len() as u64;
                    rest.len()
                }
            };
            rest = &rest[used..];
        }
    }

    /// `len` bytes of a direction were lost (0: an unknown number).
    pub fn gap<S>(&mut self, direction: Direction, len: u64, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        self.counters.gaps += 1;
        match self.half(direction).state {
            State::Payload { mut frame, left } if (1..=left).contains(&len) => {
                frame.skip(len);
                if !frame.opcode.is_control() {
                    self.lose_data(direction, sink);
                }
                self.advance(direction, frame, left - len, sink);
            }
            State::Header(_) | State::Payload { .. } => {
                self.counters.lost_directions += 1;
                self.end(direction, sink);
            }
            State::Ended => {}
        }
    }

    /// A direction ended; a message that did not is ended as incomplete.
    pub fn end<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        self.half(direction).state = State::Ended;
        if let Some(mut message) = self.half(direction).message.take() {
            message.damaged = true;
            self.message_end(direction, message, sink);
        }
    }

    /// The connection is over: ends both directions.
    pub fn close<S>(&mut self, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        self.end(Direction::ToServer, sink);
        self.end(Direction::ToClient, sink);
    }

    fn header<S>(
        &mut self,
        direction: Direction,
        mut header: FrameHeader,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: WebSocketSink + ?Sized,
    {
        let (used, frame) = header.read(data);
        self.half(direction).state = State::Header(header);
        match frame {
            None => {}
            Some(Ok(frame)) => self.begin_frame(direction, frame, sink),
            Some(Err(_)) => self.fail(direction, sink),
        }
        used
    }

    fn begin_frame<S>(&mut self, direction: Direction, frame: Frame, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        self.counters.frames += 1;
        let should_mask = direction == Direction::ToServer;
        self.counters.mask_violations += u64::from(frame.mask.is_some() != should_mask);
        let half = &mut self.halves[direction.index()];
        let accepted = match (frame.opcode, half.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => !frame.has_reserved_bits(),
            (Opcode::Continuation, Some(_)) => self.unknown_extension || !frame.has_reserved_bits(),
            (Opcode::Text, None) => self.begin_message(direction, MessageKind::Text, &frame),
            (Opcode::Binary, None) => self.begin_message(direction, MessageKind::Binary, &frame),
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => false,
        };
        if accepted {
            self.advance(direction, frame, frame.len, sink);
        } else {
            self.fail(direction, sink);
        }
    }

    /// Begins a message; returns whether its reserved bits make sense.
    fn begin_message(&mut self, direction: Direction, kind: MessageKind, frame: &Frame) -> bool {
        let half = &mut self.halves[direction.index()];
        let compressed = frame.reserved[0] && half.inflater.is_some();
        let opaque = frame.reserved[1] || frame.reserved[2] || frame.reserved[0] && !compressed;
        if opaque && !self.unknown_extension {
            return false;
        }
        let mut message = Message {
            kind,
            compressed,
            unwanted: false,
            damaged: opaque,
            given_up: opaque,
            len: 0,
        };
        self.counters.opaque_messages += u64::from(opaque);
        if let Some(inflater) = half.inflater.as_mut().filter(|_| compressed)
            && !inflater.begin_message()
        {
            self.counters.context_lost_messages += 1;
            message.damaged = true;
            message.given_up = true;
        }
        half.message = Some(message);
        true
    }

    fn payload<S>(
        &mut self,
        direction: Direction,
        mut frame: Frame,
        left: u64,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: WebSocketSink + ?Sized,
    {
        let used = left.min(data.len() as u64) as usize;
        let data = &data[..used];
        if frame.opcode == Opcode::Close {
            frame.note_close(data);
        } else if frame.opcode.is_control() {
            frame.skip(used as u64);
        } else {
            self.message_bytes(direction, &mut frame, data, sink);
        }
        self.advance(direction, frame, left - used as u64, sink);
        used
    }

    /// Goes on with `left` bytes of payload to come; ends the frame if none.
    fn advance<S>(&mut self, direction: Direction, frame: Frame, left: u64, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        let half = self.half(direction);
        if left > 0 {
            half.state = State::Payload { frame, left };
            return;
        }
        half.state = State::Header(FrameHeader::default());
        match frame.opcode {
            Opcode::Close => {
                sink.closing(direction, frame.close_code());
                self.end(direction, sink);
            }
            Opcode::Ping | Opcode::Pong => {}
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                if frame.is_final {
                    self.finish_message(direction, sink);
                }
            }
        }
    }

    /// Unmasks, if need be, and hands on.
    fn message_bytes<S>(
        &mut self,
        direction: Direction,
        frame: &mut Frame,
        data: &[u8],
        sink: &mut S,
    ) where
        S: WebSocketSink + ?Sized,
    {
        let half = &mut self.halves[direction.index()];
        let Half { message: Some(message), inflater, .. } = half else { return };
        let mut context =
            Context { direction, limits: self.limits, counters: &mut self.counters, message };
        if frame.mask.is_none() {
            return context.bytes(inflater, data, sink);
        }
        let mut scratch = [0; 4096];
        let mut rest = data;
        while !rest.is_empty() {
            if context.message.given_up || context.message.unwanted && inflater.is_none() {
                frame.skip(rest.len() as u64);
                return;
            }
            let (piece, tail) = rest.split_at(rest.len().min(scratch.len()));
            let plain = &mut scratch[..piece.len()];
            plain.copy_from_slice(piece);
            frame.unmask(plain);
            context.bytes(inflater, plain, sink);
            rest = tail;
        }
    }

    fn finish_message<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        /// RFC 7692 section 7.2.2: the sender took this off.
        const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
        let half = &mut self.halves[direction.index()];
        let Half { message: Some(message), inflater, .. } = half else { return };
        if message.compressed {
            Context { direction, limits: self.limits, counters: &mut self.counters, message }
                .bytes(inflater, &TAIL, sink);
        }
        let message = *message;
        half.message = None;
        self.message_end(direction, message, sink);
    }

    fn message_end<S>(&mut self, direction: Direction, message: Message, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        self.counters.messages += 1;
        self.counters.compressed_messages += u64::from(message.compressed);
        self.counters.damaged_messages += u64::from(message.damaged);
        sink.message_end(direction, message.kind, !message.damaged);
    }

    /// Bytes of the current message were lost.
    fn lose_data<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        let half = self.half(direction);
        let Half { message: Some(message), inflater, .. } = half else { return };
        message.damaged = true;
        if message.compressed {
            message.given_up = true;
            inflater.iter_mut().for_each(Inflater::break_context);
        }
        sink.message_gap(direction, message.kind);
    }

    /// What came would make an endpoint fail the connection.
    fn fail<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        self.counters.protocol_errors += 1;
        self.end(direction, sink);
    }

    fn half(&mut self, direction: Direction) -> &mut Half {
        &mut self.halves[direction.index()]
    }
}

/// The message being read, with what handing it on needs.
struct Context<'a> {
    direction: Direction,
    limits: WebSocketLimits,
    counters: &'a mut WebSocketCounters,
    message: &'a mut Message,
}

impl Context<'_> {
    /// Takes unmasked payload.
    fn bytes<S>(&mut self, inflater: &mut Option<Inflater>, data: &[u8], sink: &mut S)
    where
        S: WebSocketSink + ?Sized,
    {
        if self.message.given_up {
            return;
        }
        let Some(inflater) = inflater.as_mut().filter(|_| self.message.compressed) else {
            let _ = self.deliver(data, u64::MAX, sink);
            return;
        };
        // Without a context that later messages need, what is unwanted need not
        // be inflated, nor is it known to be damaged.
        let keeps_context = inflater.keeps_context();
        if self.message.unwanted && !keeps_context {
            return;
        }
        let result = inflater.inflate(data, &mut |consumed, plain| {
            self.deliver(plain, consumed.saturating_mul(self.limits.ratio), sink)?;
            match self.message.unwanted && !keeps_context {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if result.is_err() {
            self.counters.corrupt_messages += 1;
            self.message.damaged = true;
            self.message.given_up = true;
        }
        if self.message.given_up {
            inflater.break_context();
        }
    }

    /// Hands on plain bytes, up to the caps. `ratio_cap` is how many the
    /// message may have come to by now.
    fn deliver<S>(&mut self, plain: &[u8], ratio_cap: u64, sink: &mut S) -> ControlFlow<()>
    where
        S: WebSocketSink + ?Sized,
    {
        /// The ratio cap is not applied to less than this.
        const RATIO_FLOOR: u64 = 1 << 20;
        let message = &mut *self.message;
        let room = self.limits.message_bytes - message.len;
        let allowed = room.min(plain.len() as u64) as usize;
        message.len += allowed as u64;
        if allowed > 0 && !message.unwanted {
            let interest = sink.message_data(self.direction, message.kind, &plain[..allowed]);
            message.unwanted = interest == Interest::Skip;
        }
        if allowed < plain.len() || message.len > ratio_cap.max(RATIO_FLOOR) {
            self.counters.capped_messages += 1;
            message.damaged = true;
            message.given_up = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
