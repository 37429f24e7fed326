//! Bodies: by length, in chunks, up to the end of the connection.

use super::chunked::{ChunkStart, ChunkStep, Chunked, chunk_start};
use super::framing::Framing;
use super::reader::BlankLine;
use super::{Http1, State};
use crate::stream::{Direction, ExchangeSink, Interest};

impl Http1 {
    /// Begins the body of the message whose head was read.
    pub(super) fn begin_body<S>(&mut self, direction: Direction, framing: Framing, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        match framing {
            Framing::Empty | Framing::Length(0) => self.message_end(direction, true, sink),
            Framing::Length(length) => self.half(direction).state = State::Sized(length),
            Framing::Chunked => self.half(direction).state = State::Chunked(Chunked::new()),
            Framing::UntilClose => self.half(direction).state = State::UntilClose,
            Framing::Unknown => self.message_end(direction, false, sink),
        }
    }

    /// The message ended. What comes next is a head, unless the framing is lost
    /// or the connection is about to switch.
    pub(super) fn message_end<S>(&mut self, direction: Direction, complete: bool, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let half = self.half(direction);
        let id = half.id;
        half.state = if complete { State::head() } else { State::lost() };
        sink.body_end(id, direction, complete);
        if self.exchanges.message_end(id, direction) {
            sink.exchange_end(id);
        }
        if direction == Direction::ToServer {
            self.request_ended(id, complete, sink);
        }
    }

    pub(super) fn rest_of_head<S>(
        &mut self,
        direction: Direction,
        mut blank: BlankLine,
        framing: Framing,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: ExchangeSink + ?Sized,
    {
        let Some(used) = blank.find(data) else {
            self.half(direction).state = State::RestOfHead(blank, framing);
            return data.len();
        };
        self.begin_body(direction, framing, sink);
        used
    }

    /// Hands body bytes on, if they are wanted.
    pub(super) fn body<S>(&mut self, direction: Direction, data: &[u8], sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let half = self.half(direction);
        if half.interest == Interest::Wanted {
            half.interest = sink.body(half.id, direction, data);
        }
    }

    pub(super) fn sized<S>(
        &mut self,
        direction: Direction,
        left: u64,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: ExchangeSink + ?Sized,
    {
        let used = left.min(data.len() as u64) as usize;
        self.body(direction, &data[..used], sink);
        match left - used as u64 {
            0 => self.message_end(direction, true, sink),
            left => self.half(direction).state = State::Sized(left),
        }
        used
    }

    pub(super) fn chunked<S>(
        &mut self,
        direction: Direction,
        mut chunked: Chunked,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: ExchangeSink + ?Sized,
    {
        let step = chunked.step(data, &mut self.counters.irregular_chunks);
        self.half(direction).state = State::Chunked(chunked);
        match step {
            ChunkStep::Framing(used) => used,
            ChunkStep::Data(used) => {
                self.body(direction, &data[..used], sink);
                used
            }
            ChunkStep::End(used) => {
                self.message_end(direction, true, sink);
                used
            }
            ChunkStep::Bad(used) => {
                self.counters.bad_chunk += 1;
                self.message_end(direction, false, sink);
                used
            }
        }
    }

    /// After a gap in a chunked body: takes it up again, if a chunk begins.
    pub(super) fn chunk_or_not<S>(
        &mut self,
        direction: Direction,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: ExchangeSink + ?Sized,
    {
        /// As many bytes as [`chunk_start`] needs to be sure.
        const ENOUGH: usize = 16;
        let half = self.half(direction);
        let used = data.len().min(ENOUGH.saturating_sub(half.buffer.len()));
        half.buffer.extend_from_slice(&data[..used]);
        let verdict = chunk_start(&half.buffer);
        if verdict == ChunkStart::Unsure {
            return used;
        }
        let start = half.take_buffer();
        let lead = if let ChunkStart::Yes(lead) = verdict {
            half.state = State::Chunked(Chunked::new());
            self.counters.chunk_resumes += 1;
            lead
        } else {
            self.message_end(direction, false, sink);
            0
        };
        self.drive(direction, &start[lead..], sink);
        used
    }

    pub(super) fn lose_sized<S>(&mut self, direction: Direction, left: u64, len: u64, sink: &mut S)
    where
        S: ExchangeSink + ?Sized,
    {
        let lost = left.min(len);
        sink.body_gap(self.half(direction).id, direction, lost);
        if len == 0 {
            return self.message_end(direction, false, sink);
        }
        if lost < left {
            self.half(direction).state = State::Sized(left - lost);
            return;
        }
        self.message_end(direction, true, sink);
        if len > lost {
            self.lose(direction, len - lost, sink);
        }
    }

    pub(super) fn lose_chunked<S>(
        &mut self,
        direction: Direction,
        mut chunked: Chunked,
        len: u64,
        sink: &mut S,
    ) where
        S: ExchangeSink + ?Sized,
    {
        let inside = len > 0 && chunked.skip(len);
        sink.body_gap(self.half(direction).id, direction, if inside { len } else { 0 });
        self.half(direction).state =
            if inside { State::Chunked(chunked) } else { State::ChunkOrNot };
    }
}
