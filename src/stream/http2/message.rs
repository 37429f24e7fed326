//! From header blocks and data to the exchanges of the sink.

use super::head::{Pseudo, is_pseudo};
use super::hpack::FieldList;
use super::streams::{Side, Stream};
use super::{Block, Direction, Http2, Http2Sink, State};
use crate::stream::{HeadFlags, HttpVersion, Interest, RequestHead, ResponseHead};

/// What a header block is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    Trailers,
    /// The stream is over, or cannot be.
    Late,
}

/// A header block that came to its end, or was cut.
struct Decoded<'a> {
    block: Block,
    fields: &'a FieldList,
    pseudo: Pseudo<'a>,
    flags: HeadFlags,
}

impl Http2 {
    /// All of a header block has come.
    pub(super) fn end_block<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let half = self.half(direction);
        let cut = !half.buffer.is_empty();
        if cut {
            half.hpack.lose();
        }
        self.counters.hpack_broken += u64::from(cut);
        self.finish_block(direction, cut, sink);
    }

    /// The rest of a header block, if there is one, was lost: hands on what
    /// there is.
    pub(super) fn cut_block<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        if self.half(direction).block.is_some() {
            self.half(direction).hpack.lose();
            self.finish_block(direction, true, sink);
        }
    }

    fn finish_block<S>(&mut self, direction: Direction, cut: bool, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let limit = self.limits.header_bytes;
        let half = self.half(direction);
        let Some(block) = half.block.take() else { return };
        half.buffer.clear();
        half.buffer.shrink_to(KEPT);
        let mut fields = std::mem::replace(&mut half.fields, FieldList::new(limit));
        self.counters.hpack_unknown += fields.unknown;
        self.counters.hpack_invalid += fields.invalid;
        self.counters.header_list_too_large += u64::from(fields.dropped > 0);
        let pseudo = Pseudo::of(&fields);
        let flags = HeadFlags {
            ambiguous_framing: pseudo.ambiguous_framing,
            incomplete: cut || block.broken || fields.is_incomplete(),
        };
        let decoded = Decoded { block, fields: &fields, pseudo, flags };
        match (direction, block.promised) {
            (Direction::ToServer, _) => self.request_block(&decoded, sink),
            (Direction::ToClient, None) => self.response_block(&decoded, sink),
            (Direction::ToClient, Some(promised)) => self.push(&decoded, promised, sink),
        }
        fields.clear();
        self.half(direction).fields = fields;
    }

    fn request_block<S>(&mut self, decoded: &Decoded<'_>, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let id = decoded.block.stream;
        match self.place(Direction::ToServer, decoded) {
            Place::Head => {}
            Place::Trailers => return self.trailers(Direction::ToServer, decoded, sink),
            Place::Late => return self.counters.late_frames += 1,
        }
        self.streams.request_seen(id);
        while let Some(stale) = self.streams.stale(id) {
            self.end_exchange(stale, sink);
        }
        self.request(id, decoded, sink);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.protocol = decoded.pseudo.extended_connect().map(Box::from);
        }
        self.evict(sink);
        if decoded.block.end_stream {
            self.end_side(Direction::ToServer, id, true, sink);
        }
    }

    /// A request that the server promises to answer unasked.
    fn push<S>(&mut self, decoded: &Decoded<'_>, promised: u32, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let is_new = self.streams.get_mut(promised).is_none() && self.streams.may_push(promised);
        if !is_new {
            self.counters.bad_frames += 1;
            return;
        }
        self.counters.pushes += 1;
        self.streams.insert(Stream::new(promised));
        self.request(promised, decoded, sink);
        self.evict(sink);
        self.end_side(Direction::ToServer, promised, true, sink);
    }

    fn request<S>(&mut self, id: u32, decoded: &Decoded<'_>, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let pseudo = &decoded.pseudo;
        self.counters.requests += 1;
        self.count_head(decoded, pseudo.method.is_none() || pseudo.status.is_some());
        let exchange = self.exchange(id);
        let interest = decoded.fields.with_slice(
            |field| !is_pseudo(field),
            |headers| {
                let head = RequestHead {
                    version: HttpVersion::Http2,
                    method: pseudo.method.unwrap_or_default(),
                    target: pseudo.target(),
                    scheme: pseudo.scheme,
                    authority: pseudo.host(),
                    headers,
                    flags: decoded.flags,
                };
                sink.request(exchange, &head)
            },
        );
        self.open_side(Direction::ToServer, id, interest);
    }

    fn response_block<S>(&mut self, decoded: &Decoded<'_>, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let id = decoded.block.stream;
        match self.place(Direction::ToClient, decoded) {
            Place::Head => {}
            Place::Trailers => return self.trailers(Direction::ToClient, decoded, sink),
            Place::Late => return self.counters.late_frames += 1,
        }
        let status = decoded.pseudo.status();
        if matches!(status, 100..=199) {
            self.counters.interim_responses += 1;
            self.counters.bad_frames += u64::from(decoded.block.end_stream);
        } else {
            self.response(id, status, decoded, sink);
            self.agree(id, status, sink);
        }
        self.evict(sink);
        if decoded.block.end_stream {
            self.end_side(Direction::ToClient, id, true, sink);
        }
    }

    fn response<S>(&mut self, id: u32, status: u16, decoded: &Decoded<'_>, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.counters.responses += 1;
        self.count_head(decoded, status == 0 || decoded.pseudo.method.is_some());
        let exchange = self.exchange(id);
        let interest = decoded.fields.with_slice(
            |field| !is_pseudo(field),
            |headers| {
                let version = HttpVersion::Http2;
                let head = ResponseHead { version, status, headers, flags: decoded.flags };
                sink.response(exchange, &head)
            },
        );
        self.open_side(Direction::ToClient, id, interest);
    }

    /// The server's answer to what may have been an extended CONNECT.
    fn agree<S>(&mut self, id: u32, status: u16, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let stream = self.streams.get_mut(id);
        let Some(protocol) = stream.and_then(|stream| stream.protocol.take()) else { return };
        if matches!(status, 200..=299) {
            self.counters.extended_connects += 1;
            sink.extended_connect(self.exchange(id), &protocol);
        }
    }

    fn trailers<S>(&mut self, direction: Direction, decoded: &Decoded<'_>, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.counters.trailers += 1;
        if decoded.block.end_stream {
            self.end_side(direction, decoded.block.stream, true, sink);
        } else {
            self.counters.bad_frames += 1;
        }
    }

    /// What a header block is to its stream, which is opened if it may be.
    fn place(&mut self, direction: Direction, decoded: &Decoded<'_>) -> Place {
        let id = decoded.block.stream;
        let lossy = self.is_lossy(direction);
        // Of a message whose head was lost.
        let only_trailers = lossy && !decoded.pseudo.any && !decoded.flags.incomplete;
        if let Some(stream) = self.streams.get_mut(id) {
            return match stream.side(direction) {
                Side::Idle if !only_trailers => Place::Head,
                Side::Idle | Side::Open(_) => Place::Trailers,
                Side::Ended => Place::Late,
            };
        }
        // A request that was lost may be answered.
        let lossy = lossy || direction == Direction::ToClient && self.is_lossy(Direction::ToServer);
        if only_trailers || !self.open_stream(direction, id, lossy) {
            return Place::Late;
        }
        Place::Head
    }

    /// Opens a stream of which nothing was seen, if that may be.
    fn open_stream(&mut self, direction: Direction, id: u32, lossy: bool) -> bool {
        let by_client = id % 2 == 1;
        let allowed = match direction {
            Direction::ToServer => by_client,
            Direction::ToClient => by_client || lossy && id > 0,
        };
        if !allowed || !self.streams.may_open(id, lossy) {
            return false;
        }
        let mut stream = Stream::new(id);
        if !by_client {
            // Its request was in the promise.
            *stream.side(Direction::ToServer) = Side::Ended;
        }
        self.streams.insert(stream);
        true
    }

    /// Data is about to come. Returns whether there is a body that it belongs
    /// to.
    pub(super) fn open_body<S>(&mut self, direction: Direction, id: u32, sink: &mut S) -> bool
    where
        S: Http2Sink + ?Sized,
    {
        let lossy = self.is_lossy(direction);
        let side = self.streams.get_mut(id).map(|stream| *stream.side(direction));
        match side {
            Some(Side::Open(_)) => return true,
            Some(Side::Idle) if lossy => {}
            None if lossy && self.open_stream(direction, id, lossy) => {}
            Some(Side::Idle) => {
                self.counters.bad_frames += 1;
                return false;
            }
            Some(Side::Ended) | None => {
                self.counters.late_frames += 1;
                return false;
            }
        }
        self.headless(direction, id, sink);
        self.evict(sink);
        true
    }

    /// Stands in for a head that was lost.
    fn headless<S>(&mut self, direction: Direction, id: u32, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.counters.headless_bodies += 1;
        let exchange = self.exchange(id);
        let version = HttpVersion::Http2;
        let flags = HeadFlags { incomplete: true, ..HeadFlags::default() };
        let interest = match direction {
            Direction::ToServer => sink.request(
                exchange,
                &RequestHead {
                    version,
                    method: b"",
                    target: b"",
                    scheme: None,
                    authority: None,
                    headers: &[],
                    flags,
                },
            ),
            Direction::ToClient => {
                sink.response(exchange, &ResponseHead { version, status: 0, headers: &[], flags })
            }
        };
        self.open_side(direction, id, interest);
    }

    pub(super) fn body<S>(&mut self, direction: Direction, id: u32, data: &[u8], sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let exchange = self.exchange(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        if direction == Direction::ToServer
            && let Some(protocol) = stream.protocol.take()
        {
            self.counters.extended_connects += 1;
            sink.extended_connect(exchange, &protocol);
        }
        let side = stream.side(direction);
        if *side == Side::Open(Interest::Wanted) {
            *side = Side::Open(sink.body(exchange, direction, data));
        }
    }

    fn open_side(&mut self, direction: Direction, id: u32, interest: Interest) {
        self.streams.paired(id);
        if let Some(stream) = self.streams.get_mut(id) {
            *stream.side(direction) = Side::Open(interest);
            stream.told = true;
        }
    }

    /// One side of a stream ended.
    pub(super) fn end_side<S>(
        &mut self,
        direction: Direction,
        id: u32,
        complete: bool,
        sink: &mut S,
    ) where
        S: Http2Sink + ?Sized,
    {
        let exchange = self.exchange(id);
        let Some(stream) = self.streams.get_mut(id) else { return };
        let before = std::mem::replace(stream.side(direction), Side::Ended);
        let over = stream.is_over();
        let without_request = *stream.side(Direction::ToServer) == Side::Idle;
        if let Side::Open(_) = before {
            sink.body_end(exchange, direction, complete);
        }
        if over {
            let never_came = direction == Direction::ToServer && before == Side::Idle;
            self.counters.unpaired_responses += u64::from(never_came);
            self.end_exchange(id, sink);
        } else if direction == Direction::ToClient && without_request && before != Side::Ended {
            self.await_request(id, sink);
        }
    }

    /// The response is over, but the client's direction may be late.
    fn await_request<S>(&mut self, id: u32, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        if let State::Ended = self.half(Direction::ToServer).state {
            return self.end_exchange(id, sink);
        }
        self.streams.answered_unpaired(id);
        while let Some(stale) = self.streams.stale(0) {
            self.end_exchange(stale, sink);
        }
    }

    /// One side gave up a stream.
    pub(super) fn reset<S>(&mut self, id: u32, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.counters.resets += 1;
        self.end_exchange(id, sink);
    }

    fn evict<S>(&mut self, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        while let Some(id) = self.streams.surplus(self.limits.streams) {
            self.counters.evicted_streams += 1;
            self.end_exchange(id, sink);
        }
    }

    /// Ends an exchange and whatever is open of it.
    fn end_exchange<S>(&mut self, id: u32, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let exchange = self.exchange(id);
        let Some(mut stream) = self.streams.remove(id) else { return };
        let answered = *stream.side(Direction::ToClient) == Side::Ended;
        let unpaired = answered && *stream.side(Direction::ToServer) == Side::Idle;
        self.counters.unpaired_responses += u64::from(unpaired);
        for direction in [Direction::ToServer, Direction::ToClient] {
            if let Side::Open(_) = *stream.side(direction) {
                sink.body_end(exchange, direction, false);
            }
        }
        let of_http1 = self.upgraded.is_some() && id == 1;
        if stream.told && !of_http1 {
            sink.exchange_end(exchange);
        }
    }

    fn count_head(&mut self, decoded: &Decoded<'_>, malformed: bool) {
        let flags = decoded.flags;
        let counters = &mut self.counters;
        counters.incomplete_heads += u64::from(flags.incomplete);
        counters.ambiguous_framing += u64::from(flags.ambiguous_framing);
        let irregular = decoded.pseudo.irregular || malformed && !flags.incomplete;
        counters.irregular_heads += u64::from(irregular);
    }
}

/// Memory of the buffer that is kept from one header block to the next.
const KEPT: usize = 4 * 1024;
