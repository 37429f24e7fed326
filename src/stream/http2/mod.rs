//! HTTP/2 (RFC 9113), read passively from both sides.
//!
//! In: the bytes of both directions of one connection, cut anywhere, with
//! explicit gaps. Out: exchanges, one for each stream, pushed into an
//! [`Http2Sink`].
//!
//! ```text
//!  bytes ─ frame header ─┬─ DATA ───────────────────── body
//!     ▲                  ├─ HEADERS, CONTINUATION, ─ hpack ─ request, response
//!     │                  │  PUSH_PROMISE
//!   resync (framing lost)├─ RST_STREAM ────────────── end of an exchange
//!                        └─ others ────────────────── skipped by their length
//! ```
//!
//! Data is handed on as slices of what was fed; a body the sink does not want is
//! skipped by frame lengths. Header blocks are decoded field by field as they
//! come; of a block only a field that is cut is copied.
//!
//! What is lost: a gap within a frame whose length is known costs only what was
//! in it. After any other gap, or where the connection was joined late, the next
//! frame is searched for; references to what the dynamic table held are unknown
//! (fields of which that is true are left out, and the head is
//! [`incomplete`](super::HeadFlags::incomplete)), all else is read. A body whose
//! head was lost has a head without fields: an empty method and target, or the
//! status 0.
//!
//! Bounds, by default, for one connection. For good: of each direction's dynamic
//! table what the encoder may use, 64 KiB at most (4 KiB unless it is told
//! otherwise), with as much again for what has gone; 24 bytes of each of 1024
//! streams. While a header block is read: 64 KiB of decoded fields, and one field
//! of up to 128 KiB as sent (205 KiB decoded). While frames are searched for: 36
//! KiB. Of that memory 20 KiB of each direction are kept to be used again.
//!
//! An exchange's id is its stream's. Only after a loss may a stream seem to open
//! again, and then its id comes again after its
//! [`exchange_end`](super::ExchangeSink::exchange_end).

mod frame;
mod frames;
mod gap;
pub(crate) mod head;
pub(crate) mod hpack;
mod message;
mod probe;
mod resync;
mod streams;

use self::frame::{FrameHeader, HEADER_LEN, Plausible};
use self::hpack::{Decoder, FieldList};
use self::resync::Resync;
use self::streams::{Side, Stream, Streams};
use super::{Direction, ExchangeId, ExchangeSink};

pub use self::probe::{MidstreamProbe, Probe, probe};

crate::counters! {
    /// What the HTTP/2 parser saw.
    pub struct Http2Counters {
        /// Connections that began with the client's preface.
        prefaces,
        /// Frames.
        frames,
        /// Frames that are not as the RFC wants them.
        bad_frames,
        /// Frames of types that are not known.
        unknown_frames,
        /// Requests, pushed ones included.
        requests,
        /// Requests that the server promised to answer unasked.
        pushes,
        /// Final responses.
        responses,
        /// Interim (1xx) responses, which are not handed on.
        interim_responses,
        /// Trailers, which are not handed on.
        trailers,
        /// Extended CONNECT requests that were agreed to.
        extended_connects,
        /// Bodies whose head was lost.
        headless_bodies,
        /// Responses that ended without a request that was seen.
        unpaired_responses,
        /// Frames of streams that had ended, or had been given up.
        late_frames,
        /// Streams that one side reset.
        resets,
        /// Connections one side announced to leave.
        go_aways,
        /// Streams given up because too many were open.
        evicted_streams,
        /// Heads handed on although fields are missing.
        incomplete_heads,
        /// Heads that are not as the RFC wants them.
        irregular_heads,
        /// Messages whose framing two readers may understand differently.
        ambiguous_framing,
        /// Header blocks whose fields are more than are kept.
        header_list_too_large,
        /// Header blocks in too many frames, of which the rest was not read.
        continuation_floods,
        /// Fields that name entries of the dynamic table that were lost.
        hpack_unknown,
        /// Fields that cannot be decoded.
        hpack_invalid,
        /// Header blocks of which the rest could not be decoded.
        hpack_broken,
        /// Frames found again after the framing was lost.
        resyncs,
        /// Bytes skipped in search of frames.
        skipped_bytes,
        /// Gaps.
        gaps,
        /// Bytes lost in gaps.
        lost_bytes,
        /// Gaps after which the framing was lost.
        framing_losses,
    }
}

/// Bounds on what one connection may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Size of the fields of a header block (as RFC 9113 section 6.5.2 counts),
    /// and length of a single name or value.
    pub header_bytes: usize,
    /// Size of a direction's dynamic table.
    pub table_bytes: usize,
    /// CONTINUATION frames of a header block.
    pub continuations: u32,
    /// Streams that are open.
    pub streams: usize,
    /// Bytes skipped in search of a first frame, before the connection is said
    /// not to be HTTP/2.
    pub search_bytes: u64,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            table_bytes: 64 * 1024,
            continuations: 64,
            streams: 1024,
            search_bytes: 64 * 1024,
        }
    }
}

/// Receives the exchanges of an HTTP/2 connection.
pub trait Http2Sink: ExchangeSink {
    /// The server agreed to an extended CONNECT (RFC 8441): what follows in the
    /// body of either direction is `protocol` (`websocket`, in the wild).
    ///
    /// Comes after the response's head and before any body; or, where the
    /// client's data comes first, before that, as a client only sends when the
    /// server has agreed.
    fn extended_connect(&mut self, id: ExchangeId, protocol: &[u8]);
}

/// What the caller is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Go on.
    Continue,
    /// No frame was found in all that was seen: this is not HTTP/2.
    NotHttp,
}

/// The parser of one connection.
#[derive(Debug)]
pub struct Http2 {
    limits: Http2Limits,
    halves: [Half; 2],
    streams: Streams,
    /// The exchange of HTTP/1 that stream 1 goes on with.
    upgraded: Option<ExchangeId>,
    counters: Http2Counters,
}

/// One direction.
#[derive(Debug)]
struct Half {
    state: State,
    trust: Trust,
    /// Frames may have been lost.
    lossy: bool,
    /// How far streams may have gone on while the framing was lost.
    leap: u32,
    /// Part of a frame's header, or of what comes before a header block.
    scratch: [u8; HEADER_LEN],
    filled: u8,
    /// Part of a field, or what is searched.
    buffer: Vec<u8>,
    hpack: Decoder,
    /// The header block that is being read, and its fields so far.
    block: Option<Block>,
    fields: FieldList,
}

/// What comes next in a direction.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The client's preface, of which so many bytes have come.
    Preface(u8),
    /// A frame's header.
    Header,
    /// What comes before a frame's header block or data: the length of the
    /// padding, and the like.
    Prefix(FrameHeader),
    /// The rest of a DATA frame.
    Data(DataRest),
    /// The rest of a frame with a fragment of a header block.
    Fragment(FragmentRest),
    /// The rest of a frame that is of no interest.
    Skip(u32),
    /// Anything; frames are searched for.
    Lost(Resync),
    /// Nothing.
    Ended,
}

/// What is left of a DATA frame.
#[derive(Clone, Copy, Debug)]
struct DataRest {
    stream: u32,
    len: u32,
    padding: u8,
    end_stream: bool,
}

/// What is left of a frame with a fragment of a header block.
#[derive(Clone, Copy, Debug)]
struct FragmentRest {
    len: u32,
    padding: u8,
    end_headers: bool,
}

/// How sure it is that a frame's header is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// The first is due, and is to be SETTINGS.
    First,
    /// All bytes since the first were seen.
    Framed,
    /// Frames were found by searching; so many have come since.
    Found(u8),
}

/// A header block that has begun.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// The stream its frames are of.
    stream: u32,
    /// The stream that is promised (PUSH_PROMISE).
    promised: Option<u32>,
    end_stream: bool,
    continuations: u32,
    /// The rest cannot be decoded.
    broken: bool,
}

impl Http2 {
    /// A parser at the start of a connection, or wherever the capture joined
    /// it.
    pub fn new(limits: Http2Limits) -> Self {
        let half = |state| Half {
            state,
            trust: Trust::First,
            lossy: false,
            leap: Plausible::leap_of(0),
            scratch: [0; HEADER_LEN],
            filled: 0,
            buffer: Vec::new(),
            hpack: Decoder::new(limits.table_bytes, limits.header_bytes),
            block: None,
            fields: FieldList::new(limits.header_bytes),
        };
        Self {
            limits,
            halves: [half(State::Preface(0)), half(State::Header)],
            streams: Streams::default(),
            upgraded: None,
            counters: Http2Counters::default(),
        }
    }

    /// A parser for a connection that HTTP/1 turned into this one (`Upgrade:
    /// h2c`, RFC 7540 section 3.2): both directions begin after the HTTP/1
    /// messages.
    ///
    /// `exchange` is that of the HTTP/1 request. The response on stream 1 is
    /// reported as its response, after the 101 that HTTP/1 reported; its
    /// `exchange_end` is left to the HTTP/1 parser. Ids of other streams are made
    /// larger than `exchange`, if it is not 0.
    pub fn upgraded(limits: Http2Limits, exchange: ExchangeId) -> Self {
        let mut http = Self::new(limits);
        http.upgraded = Some(exchange);
        http.streams.insert(Stream { sides: [Side::Ended, Side::Idle], ..Stream::new(1) });
        http.streams.request_seen(1);
        http
    }

    /// Bytes that it owns beside itself.
    pub(crate) fn memory(&self) -> usize {
        let halves = self.halves.iter();
        let halves = halves.map(|it| it.buffer.capacity() + it.hpack.memory() + it.fields.memory());
        halves.sum::<usize>() + self.streams.memory()
    }

    /// The counters of this connection.
    pub fn counters(&self) -> &Http2Counters {
        &self.counters
    }

    /// Takes the next bytes of a direction.
    pub fn feed<S>(&mut self, direction: Direction, data: &[u8], sink: &mut S) -> Progress
    where
        S: Http2Sink + ?Sized,
    {
        self.drive(direction, data, sink);
        self.progress()
    }

    /// `len` bytes of a direction were lost (0: an unknown number).
    pub fn gap<S>(&mut self, direction: Direction, len: u64, sink: &mut S) -> Progress
    where
        S: Http2Sink + ?Sized,
    {
        self.counters.gaps += 1;
        self.counters.lost_bytes += len;
        self.lose(direction, len, sink);
        self.progress()
    }

    /// A direction ended in order (FIN).
    pub fn end<S>(&mut self, direction: Direction, sink: &mut S) -> Progress
    where
        S: Http2Sink + ?Sized,
    {
        self.end_direction(direction, sink);
        self.progress()
    }

    /// The connection is over, or will not be followed further: ends whatever
    /// is open. Calling it again does nothing.
    pub fn close<S>(&mut self, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.end_direction(Direction::ToServer, sink);
        self.end_direction(Direction::ToClient, sink);
    }

    fn progress(&self) -> Progress {
        if self.is_given_up() { Progress::NotHttp } else { Progress::Continue }
    }

    /// Whether more was passed over in search of frames than is worth it.
    fn is_given_up(&self) -> bool {
        self.counters.frames == 0 && self.counters.skipped_bytes > self.limits.search_bytes
    }

    /// What of the next bytes is read at once. The search for frames ends at the
    /// same byte however the bytes are cut, so near its end it goes one by one.
    fn step<'a>(&self, direction: Direction, rest: &'a [u8]) -> &'a [u8] {
        if self.counters.frames > 0 {
            return rest;
        }
        let buffered = self.halves[direction.index()].buffer.len() as u64;
        let passed = self.counters.skipped_bytes + buffered;
        let left = usize::try_from(self.limits.search_bytes.saturating_sub(passed));
        rest.get(..left.unwrap_or(usize::MAX).max(1)).unwrap_or(rest)
    }

    /// Takes bytes until they are used up, or this proves not to be HTTP/2.
    fn drive<S>(&mut self, direction: Direction, data: &[u8], sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let mut rest = data;
        while !rest.is_empty() {
            let now = self.step(direction, rest);
            let used = match self.half(direction).state {
                State::Preface(matched) => self.preface(direction, matched, now, sink),
                State::Header => self.frame_header(direction, now, sink),
                State::Prefix(header) => self.prefix(direction, header, now, sink),
                State::Data(frame) => self.data(direction, frame, now, sink),
                State::Fragment(frame) => self.fragment(direction, frame, now, sink),
                State::Skip(left) => self.skip(direction, left, now),
                State::Lost(resync) => self.search(direction, resync, now, sink),
                State::Ended => {
                    self.counters.skipped_bytes += now.len() as u64;
                    now.len()
                }
            };
            if self.is_given_up() {
                break;
            }
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    fn half(&mut self, direction: Direction) -> &mut Half {
        &mut self.halves[direction.index()]
    }

    fn is_lossy(&self, direction: Direction) -> bool {
        self.halves[direction.index()].lossy
    }

    /// The exchange of a stream.
    fn exchange(&self, stream: u32) -> ExchangeId {
        match self.upgraded {
            Some(exchange) if stream == 1 => exchange,
            Some(ExchangeId(first)) if first > 0 => ExchangeId(first.saturating_add(stream.into())),
            _ => ExchangeId(stream.into()),
        }
    }
}

impl State {
    /// The rest of a frame that is of no interest, if there is any.
    fn skip(left: u32) -> Self {
        if left == 0 { Self::Header } else { Self::Skip(left) }
    }
}

#[cfg(test)]
mod tests;
