//! HTTP/1.0 and HTTP/1.1 (RFC 9112), read passively from both sides.
//!
//! In: the bytes of both directions of one connection, cut anywhere, with
//! explicit gaps. Out: exchanges, pushed into an [`ExchangeSink`], and the news
//! that the connection turned to another protocol ([`Progress::Switched`]).
//!
//! A head that is whole in the bytes at hand is parsed where it lies; body
//! bytes are handed on as slices of what was fed; a body the sink does not want
//! is skipped by its length. Only a head that is split is copied.
//!
//! Endpoints must refuse what is malformed; a passive reader must follow what
//! the two endpoints made of it. So the parser takes what some implementation
//! takes, flags framing that two readers may understand differently
//! ([`HeadFlags::ambiguous_framing`](super::HeadFlags)), and where the framing
//! is lost looks for the next head.
//!
//! Requests and responses are paired in order. What is best effort: after a
//! loss in the server's direction, a response is taken to answer the newest
//! request; where only the server's direction was captured, answers to HEAD and
//! CONNECT cannot be told from others.

mod body;
mod chunked;
mod exchanges;
mod framing;
mod head;
mod message;
mod probe;
mod reader;
mod resync;
mod switch;

use self::chunked::Chunked;
use self::exchanges::Exchanges;
use self::framing::Framing;
use self::reader::{BlankLine, HeadReader};
use self::resync::{Resync, begins_with_chunk};
use super::{Direction, ExchangeId, ExchangeSink, Interest};

pub use self::probe::{Probe, probe};
pub use self::switch::{Held, Protocol, Switch};

crate::counters! {
    /// What the HTTP/1 parser saw.
    pub struct Http1Counters {
        /// Requests.
        requests,
        /// Final responses.
        responses,
        /// Interim (1xx) responses, which are not handed on.
        interim_responses,
        /// Requests sent before the one before them was answered.
        pipelined,
        /// Responses without a request that was seen.
        unpaired_responses,
        /// Requests given up without a response: their response was lost, or
        /// too many were waiting.
        unanswered_requests,
        /// Heads handed on although their end was lost or over the cap.
        incomplete_heads,
        /// Heads over the cap.
        head_too_large,
        /// Heads with more fields than are kept.
        too_many_headers,
        /// Places where a head was due and something else stood.
        bad_start_lines,
        /// Heads with lines that are not as the RFC wants them.
        irregular_heads,
        /// Messages whose framing two readers may understand differently.
        ambiguous_framing,
        /// Messages whose end cannot be known from their head.
        unknown_framing,
        /// Messages with transfer codings other than chunked.
        transfer_coded,
        /// Chunked bodies given up because of their framing.
        bad_chunk,
        /// Pieces of chunked framing that a strict reader refuses.
        irregular_chunks,
        /// Chunked bodies taken up again after a gap.
        chunk_resumes,
        /// Heads found again after the framing was lost.
        resyncs,
        /// Streams of events taken up without their head.
        joined_events,
        /// Bytes skipped in search of a head.
        skipped_bytes,
        /// Gaps.
        gaps,
        /// Bytes lost in gaps.
        lost_bytes,
        /// Connections that turned to another protocol.
        switches,
        /// Of these, those whose answer was not seen.
        assumed_switches,
    }
}

/// Bounds on what one connection may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http1Limits {
    /// Bytes of a head.
    pub head_bytes: usize,
    /// Requests that wait for their response.
    pub outstanding: usize,
    /// Bytes kept of a direction while it is open which protocol they are of.
    pub held_bytes: usize,
    /// Bytes skipped in search of a first head, before the connection is said
    /// not to be HTTP.
    pub search_bytes: u64,
}

impl Default for Http1Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            outstanding: 128,
            held_bytes: 16 * 1024,
            search_bytes: 64 * 1024,
        }
    }
}

/// What the caller is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Go on.
    Continue,
    /// The connection speaks another protocol from here on, in both
    /// directions.
    Switched {
        /// How many of the bytes just fed were HTTP/1; the rest, after the
        /// bytes held, is for the parser of the other protocol.
        consumed: usize,
        /// Which protocol, and what was held.
        switch: Box<Switch>,
    },
    /// No head was found in all that was seen: this is not HTTP/1.
    NotHttp,
}

/// The parser of one connection.
#[derive(Debug)]
pub struct Http1 {
    limits: Http1Limits,
    halves: [Half; 2],
    exchanges: Exchanges,
    /// The server agreed to switch; the request's body has still to end.
    switching: Option<Box<Switch>>,
    /// The connection switched; the caller is to be told.
    switched: Option<Box<Switch>>,
    counters: Http1Counters,
}

/// One direction.
#[derive(Debug)]
struct Half {
    state: State,
    /// What is carried over: part of a head, of a line, or held bytes.
    buffer: Vec<u8>,
    /// Bytes lost behind those held.
    held_lost: u64,
    /// The message whose body is being read.
    id: ExchangeId,
    interest: Interest,
    /// The next head was found by searching.
    found: bool,
}

/// What comes next in a direction.
#[derive(Clone, Copy, Debug)]
enum State {
    /// A head.
    Head(HeadReader),
    /// The rest of a head over the cap, and then its body.
    RestOfHead(BlankLine, Framing),
    /// So many bytes of a body.
    Sized(u64),
    /// A chunked body.
    Chunked(Chunked),
    /// After a gap in a chunked body: perhaps a chunk.
    ChunkOrNot,
    /// A body up to the end of the connection.
    UntilClose,
    /// Anything; a head is searched for.
    Lost(Resync),
    /// Bytes of which the other direction will say what protocol they are.
    Held,
    /// Nothing.
    Ended,
}

impl State {
    fn head() -> Self {
        Self::Head(HeadReader::default())
    }

    fn lost() -> Self {
        Self::Lost(Resync::default())
    }
}

impl Http1 {
    /// Bytes that it owns beside itself.
    pub(crate) fn memory(&self) -> usize {
        let [to_server, to_client] = &self.halves;
        let switches = [&self.switching, &self.switched].into_iter().flatten();
        let switches = switches.map(|it| {
            size_of::<Switch>() + it.held.iter().map(|it| it.bytes.capacity()).sum::<usize>()
        });
        let buffers = to_server.buffer.capacity() + to_client.buffer.capacity();
        buffers + switches.sum::<usize>() + self.exchanges.memory()
    }

    /// A parser at the start of a connection, or wherever the capture joined
    /// it.
    pub fn new(limits: Http1Limits) -> Self {
        let half = || Half {
            state: State::head(),
            buffer: Vec::new(),
            held_lost: 0,
            id: ExchangeId(0),
            interest: Interest::Wanted,
            found: false,
        };
        Self {
            limits,
            halves: [half(), half()],
            exchanges: Exchanges::default(),
            switching: None,
            switched: None,
            counters: Http1Counters::default(),
        }
    }

    /// The counters of this connection.
    pub fn counters(&self) -> &Http1Counters {
        &self.counters
    }

    /// Takes the next bytes of a direction.
    ///
    /// After [`Progress::Switched`] nothing more is to be fed; the exchange that
    /// switched stays open until [`Http1::close`].
    pub fn feed<S>(&mut self, direction: Direction, data: &[u8], sink: &mut S) -> Progress
    where
        S: ExchangeSink + ?Sized,
    {
        let consumed = self.drive(direction, data, sink);
        self.progress(consumed)
    }

    /// `len` bytes of a direction were lost (0: an unknown number).
    pub fn gap<S>(&mut self, direction: Direction, len: u64, sink: &mut S) -> Progress
    where
        S: ExchangeSink + ?Sized,
    {
        self.counters.gaps += 1;
        self.counters.lost_bytes += len;
        self.lose(direction, len, sink);
        self.progress(0)
    }

    /// A direction ended in order (FIN).
    pub fn end<S>(&mut self, direction: Direction, sink: &mut S) -> Progress
    where
        S: ExchangeSink + ?Sized,
    {
        self.end_direction(direction, true, sink);
        self.progress(0)
    }

    /// The connection is over, or will not be followed further: ends whatever
    /// is open. Calling it again does nothing.
    pub fn close<S>(&mut self, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        self.end_direction(Direction::ToServer, false, sink);
        self.end_direction(Direction::ToClient, false, sink);
        self.switching = None;
        self.switched = None;
        while let Some(id) = self.exchanges.take_any() {
            sink.exchange_end(id);
        }
    }

    fn progress(&mut self, consumed: usize) -> Progress {
        if let Some(switch) = self.switched.take() {
            return Progress::Switched { consumed, switch };
        }
        if self.is_given_up() { Progress::NotHttp } else { Progress::Continue }
    }

    /// Whether it is HTTP/1 indeed.
    pub(crate) fn has_heads(&self) -> bool {
        let counters = &self.counters;
        counters.requests + counters.responses + counters.interim_responses > 0
    }

    /// Whether more was passed over in search of a head than is worth it.
    fn is_given_up(&self) -> bool {
        self.counters.skipped_bytes > self.limits.search_bytes && !self.has_heads()
    }

    /// What of the next bytes is read at once. The search for a head ends at the
    /// same byte however the bytes are cut, so near its end it goes one by one.
    fn step<'a>(&self, direction: Direction, rest: &'a [u8]) -> &'a [u8] {
        let half = &self.halves[direction.index()];
        let near = || {
            let passed = self.counters.skipped_bytes + (half.buffer.len() + rest.len()) as u64;
            passed > self.limits.search_bytes && !self.has_heads()
        };
        match half.state {
            State::Lost(_) | State::Ended if near() => rest.get(..1).unwrap_or(rest),
            _ => rest,
        }
    }

    /// Takes bytes until they are used up or the connection switched. Returns
    /// how many were taken.
    fn drive<S>(&mut self, direction: Direction, data: &[u8], sink: &mut S) -> usize
    where
        S: ExchangeSink + ?Sized,
    {
        let mut used = 0;
        while used < data.len() && self.switched.is_none() && !self.is_given_up() {
            let rest = self.step(direction, &data[used..]);
            used += match self.half(direction).state {
                State::Head(reader) => self.read_head(direction, reader, rest, sink),
                State::RestOfHead(blank, framing) => {
                    self.rest_of_head(direction, blank, framing, rest, sink)
                }
                State::Sized(left) => self.sized(direction, left, rest, sink),
                State::Chunked(chunked) => self.chunked(direction, chunked, rest, sink),
                State::ChunkOrNot => self.chunk_or_not(direction, rest, sink),
                State::UntilClose => {
                    self.body(direction, rest, sink);
                    rest.len()
                }
                State::Lost(resync) => self.search(direction, resync, rest, sink),
                State::Held => self.hold(direction, rest, sink),
                State::Ended => {
                    self.counters.skipped_bytes += rest.len() as u64;
                    rest.len()
                }
            };
        }
        used
    }

    fn search<S>(
        &mut self,
        direction: Direction,
        mut resync: Resync,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: ExchangeSink + ?Sized,
    {
        resync.events = self.exchanges.any_awaited();
        let half = &mut self.halves[direction.index()];
        let skipped = &mut self.counters.skipped_bytes;
        // One over the cap would be no head, and searched again.
        let wanted = (direction, self.limits.head_bytes);
        let Some(used) = resync.search(wanted, data, &mut half.buffer, skipped) else {
            half.state = State::Lost(resync);
            return data.len();
        };
        self.counters.resyncs += 1;
        half.found = true;
        half.state = State::head();
        let head = half.take_buffer();
        if begins_with_chunk(&head) {
            self.join_events(sink);
        }
        self.drive(direction, &head, sink);
        used
    }

    /// Handles a gap according to what was expected in its place.
    fn lose<S>(&mut self, direction: Direction, len: u64, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        match self.half(direction).state {
            State::Head(_) => {
                self.cut_head(direction, sink);
                self.half(direction).state = State::lost();
            }
            State::RestOfHead(..) => self.message_end(direction, false, sink),
            State::Sized(left) => self.lose_sized(direction, left, len, sink),
            State::Chunked(chunked) => self.lose_chunked(direction, chunked, len, sink),
            State::ChunkOrNot => self.drop_buffer(direction),
            State::UntilClose => sink.body_gap(self.half(direction).id, direction, len),
            State::Lost(_) => {
                self.drop_buffer(direction);
                self.half(direction).state = State::lost();
            }
            State::Held => self.half(direction).held_lost += len.max(1),
            State::Ended => {}
        }
    }

    /// Ends a direction: `in_order` says that nothing is missing.
    fn end_direction<S>(&mut self, direction: Direction, in_order: bool, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        if in_order {
            self.end_held(direction, sink);
        }
        match self.half(direction).state {
            State::Head(_) => self.cut_head(direction, sink),
            State::UntilClose => self.message_end(direction, in_order, sink),
            State::RestOfHead(..) | State::Sized(_) | State::Chunked(_) | State::ChunkOrNot => {
                self.message_end(direction, false, sink);
            }
            State::Lost(_) | State::Held | State::Ended => {}
        }
        self.drop_buffer(direction);
        self.half(direction).state = State::Ended;
    }

    /// Counts what the buffer holds as skipped.
    fn drop_buffer(&mut self, direction: Direction) {
        let dropped = self.half(direction).take_buffer();
        self.counters.skipped_bytes += dropped.len() as u64;
    }

    fn half(&mut self, direction: Direction) -> &mut Half {
        &mut self.halves[direction.index()]
    }
}

impl Half {
    fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Keeps the memory of a used buffer, unless it is large.
    fn return_buffer(&mut self, mut buffer: Vec<u8>) {
        const KEPT: usize = 4 * 1024;
        if self.buffer.is_empty() && buffer.capacity() <= KEPT {
            buffer.clear();
            self.buffer = buffer;
        }
    }
}

#[cfg(test)]
mod tests;
