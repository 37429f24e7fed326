//! Frame by frame through a direction.

use super::frame::{FrameHeader, HEADER_LEN, Kind, Plausible, flag};
use super::hpack::Broken;
use super::probe::PREFACE;
use super::resync::Resync;
use super::{Block, DataRest, Direction, FragmentRest, Half, Http2, Http2Sink, State, Trust};

/// So many frames in a row after a search prove that they are frames.
const PROOF: u8 = 8;

/// Bytes that are added to a field that is cut before it is looked at again.
const PIECE: usize = 256;

impl Http2 {
    pub(super) fn preface<S>(
        &mut self,
        direction: Direction,
        matched: u8,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: Http2Sink + ?Sized,
    {
        let due = &PREFACE[usize::from(matched)..];
        let used = due.len().min(data.len());
        if due[..used] != data[..used] {
            // Joined in mid-stream. The preface has nothing that looks like a
            // frame, so what came of it need not be searched.
            self.counters.skipped_bytes += u64::from(matched);
            self.unframe(direction, sink);
            return 0;
        }
        let whole = used == due.len();
        self.counters.prefaces += u64::from(whole);
        self.half(direction).state =
            if whole { State::Header } else { State::Preface(matched + used as u8) };
        used
    }

    pub(super) fn frame_header<S>(
        &mut self,
        direction: Direction,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: Http2Sink + ?Sized,
    {
        let half = self.half(direction);
        let (used, whole) = half.fill(data, HEADER_LEN);
        if whole {
            let header = FrameHeader::parse(&half.scratch);
            if self.is_believed(direction, &header) {
                self.begin_frame(direction, header, sink);
            } else {
                self.search_in_header(direction, sink);
            }
        }
        used
    }

    /// Whether these bytes are a frame's header indeed.
    fn is_believed(&mut self, direction: Direction, header: &FrameHeader) -> bool {
        let plausible = self.plausible(direction);
        let half = self.half(direction);
        half.trust = match half.trust {
            Trust::Framed => Trust::Framed,
            Trust::First if header.is_first_settings() => Trust::Framed,
            _ if !plausible.allows(header) => return false,
            Trust::First => {
                half.lossy = true;
                half.hpack.lose();
                Trust::Found(0)
            }
            Trust::Found(PROOF..) => Trust::Framed,
            Trust::Found(frames) => Trust::Found(frames + 1),
        };
        true
    }

    /// These bytes were no frame's header: frames may begin in them.
    fn search_in_header<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.unframe(direction, sink);
        self.counters.skipped_bytes += 1;
        let half = self.half(direction);
        half.buffer.extend_from_slice(&half.scratch[1..]);
    }

    fn begin_frame<S>(&mut self, direction: Direction, header: FrameHeader, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.counters.frames += 1;
        let goes_on = header.kind == Kind::Continuation;
        let block = self.half(direction).block;
        if block.is_some_and(|block| !goes_on || block.stream != header.stream) {
            self.counters.bad_frames += 1;
            self.cut_block(direction, sink);
        }
        self.half(direction).state = State::skip(header.len);
        match header.kind {
            Kind::Data | Kind::Headers => self.begin_prefix(direction, header, sink),
            Kind::PushPromise if direction == Direction::ToClient => {
                self.begin_prefix(direction, header, sink);
            }
            Kind::PushPromise => self.counters.bad_frames += 1,
            Kind::Continuation => self.continuation(direction, header, sink),
            Kind::Reset => self.reset(header.stream, sink),
            Kind::GoAway => self.counters.go_aways += 1,
            Kind::Unknown => self.counters.unknown_frames += 1,
            Kind::Priority
            | Kind::Settings
            | Kind::Ping
            | Kind::WindowUpdate
            | Kind::AltSvc
            | Kind::Origin
            | Kind::PriorityUpdate => {}
        }
    }

    fn begin_prefix<S>(&mut self, direction: Direction, header: FrameHeader, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let needed = header.prefix_len();
        if header.len < u32::from(needed) {
            self.counters.bad_frames += 1;
        } else if needed > 0 {
            self.half(direction).state = State::Prefix(header);
        } else {
            self.begin_payload(direction, header, sink);
        }
    }

    pub(super) fn prefix<S>(
        &mut self,
        direction: Direction,
        header: FrameHeader,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: Http2Sink + ?Sized,
    {
        let (used, whole) = self.half(direction).fill(data, header.prefix_len().into());
        if whole {
            self.begin_payload(direction, header, sink);
        }
        used
    }

    /// What comes before the payload proper is in the scratch.
    fn begin_payload<S>(&mut self, direction: Direction, header: FrameHeader, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let [first, rest @ ..] = self.half(direction).scratch;
        let padded = header.has(flag::PADDED);
        let padding = if padded { first } else { 0 };
        let payload = header.len - u32::from(header.prefix_len());
        let (len, padding) = match payload.checked_sub(padding.into()) {
            Some(len) => (len, padding),
            None => {
                self.counters.bad_frames += 1;
                (0, payload as u8)
            }
        };
        let end_stream = header.has(flag::END_STREAM);
        if header.kind == Kind::Data {
            let frame = DataRest { stream: header.stream, len, padding, end_stream };
            return self.begin_data(direction, frame, sink);
        }
        let promised = (header.kind == Kind::PushPromise).then(|| {
            let [a, b, c, d, ..] = rest;
            let id = if padded { [a, b, c, d] } else { [first, a, b, c] };
            u32::from_be_bytes(id) & 0x7fff_ffff
        });
        let half = self.half(direction);
        half.block = Some(Block {
            stream: header.stream,
            promised,
            end_stream: end_stream && promised.is_none(),
            continuations: 0,
            broken: false,
        });
        let end_headers = header.has(flag::END_HEADERS);
        self.fragment(direction, FragmentRest { len, padding, end_headers }, &[], sink);
    }

    fn begin_data<S>(&mut self, direction: Direction, frame: DataRest, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        if self.open_body(direction, frame.stream, sink) {
            self.data(direction, frame, &[], sink);
        } else {
            let rest = frame.len + u32::from(frame.padding);
            self.half(direction).state = State::skip(rest);
        }
    }

    pub(super) fn data<S>(
        &mut self,
        direction: Direction,
        mut frame: DataRest,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: Http2Sink + ?Sized,
    {
        let len = prefix_of(data, frame.len);
        if len > 0 {
            self.body(direction, frame.stream, &data[..len], sink);
        }
        let padding = prefix_of(&data[len..], frame.padding.into());
        frame.len -= len as u32;
        frame.padding -= padding as u8;
        self.after_data(direction, frame, sink);
        len + padding
    }

    /// Goes on with a DATA frame, or after it.
    pub(super) fn after_data<S>(&mut self, direction: Direction, frame: DataRest, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        if frame.len > 0 || frame.padding > 0 {
            self.half(direction).state = State::Data(frame);
            return;
        }
        self.half(direction).state = State::Header;
        if frame.end_stream {
            self.end_side(direction, frame.stream, true, sink);
        }
    }

    fn continuation<S>(&mut self, direction: Direction, header: FrameHeader, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        let limit = self.limits.continuations;
        let half = &mut self.halves[direction.index()];
        let Some(block) = &mut half.block else {
            // The rest of a block whose start was lost, or cut off.
            self.counters.bad_frames += u64::from(!half.lossy);
            half.hpack.lose();
            return;
        };
        block.continuations = block.continuations.saturating_add(1);
        if block.continuations == limit.saturating_add(1) {
            self.counters.continuation_floods += 1;
            block.broken = true;
            half.buffer = Vec::new();
            half.hpack.lose();
        }
        let end_headers = header.has(flag::END_HEADERS);
        let frame = FragmentRest { len: header.len, padding: 0, end_headers };
        self.fragment(direction, frame, &[], sink);
    }

    pub(super) fn fragment<S>(
        &mut self,
        direction: Direction,
        mut frame: FragmentRest,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: Http2Sink + ?Sized,
    {
        let len = prefix_of(data, frame.len);
        let broken = self.half(direction).decode(&data[..len]).is_err();
        self.counters.hpack_broken += u64::from(broken);
        let padding = prefix_of(&data[len..], frame.padding.into());
        frame.len -= len as u32;
        frame.padding -= padding as u8;
        if frame.len > 0 || frame.padding > 0 {
            self.half(direction).state = State::Fragment(frame);
        } else {
            self.half(direction).state = State::Header;
            if frame.end_headers {
                self.end_block(direction, sink);
            }
        }
        len + padding
    }

    pub(super) fn skip(&mut self, direction: Direction, left: u32, data: &[u8]) -> usize {
        let used = prefix_of(data, left);
        self.half(direction).state = State::skip(left - used as u32);
        used
    }

    pub(super) fn search<S>(
        &mut self,
        direction: Direction,
        mut resync: Resync,
        data: &[u8],
        sink: &mut S,
    ) -> usize
    where
        S: Http2Sink + ?Sized,
    {
        let plausible = self.plausible(direction);
        let half = &mut self.halves[direction.index()];
        let skipped = &mut self.counters.skipped_bytes;
        let Some(used) = resync.search(&plausible, data, &mut half.buffer, skipped) else {
            half.state = State::Lost(resync);
            return data.len();
        };
        self.found(direction, sink);
        used
    }

    /// Frames were found; the buffer holds the first of them, or nothing.
    pub(super) fn found<S>(&mut self, direction: Direction, sink: &mut S)
    where
        S: Http2Sink + ?Sized,
    {
        self.counters.resyncs += 1;
        let half = self.half(direction);
        half.state = State::Header;
        let frames = std::mem::take(&mut half.buffer);
        self.drive(direction, &frames, sink);
    }

    pub(super) fn plausible(&self, direction: Direction) -> Plausible {
        Plausible {
            direction: Some(direction),
            highest_stream: self.streams.highest(),
            leap: self.halves[direction.index()].leap,
        }
    }
}

impl Half {
    /// Fills the scratch up to `needed` bytes. Returns how many were taken, and
    /// whether it is full; then it begins again.
    fn fill(&mut self, data: &[u8], needed: usize) -> (usize, bool) {
        let filled = usize::from(self.filled);
        let used = data.len().min(needed - filled);
        self.scratch[filled..filled + used].copy_from_slice(&data[..used]);
        let whole = filled + used == needed;
        self.filled = if whole { 0 } else { (filled + used) as u8 };
        (used, whole)
    }

    /// Decodes more of the header block. Only a field that is cut is copied.
    fn decode(&mut self, data: &[u8]) -> Result<(), Broken> {
        let Some(block) = self.block.as_mut().filter(|block| !block.broken) else {
            return Ok(());
        };
        let mut rest = data;
        while !rest.is_empty() {
            let decoded = if self.buffer.is_empty() {
                let decoded = self.hpack.decode(rest, &mut self.fields);
                let used = decoded.unwrap_or_default();
                self.buffer.extend_from_slice(&rest[used..]);
                rest = &[];
                decoded
            } else {
                let (piece, after) = rest.split_at(rest.len().min(PIECE));
                self.buffer.extend_from_slice(piece);
                rest = after;
                let decoded = self.hpack.decode(&self.buffer, &mut self.fields);
                self.buffer.drain(..decoded.unwrap_or_default());
                decoded
            };
            if decoded.is_err() {
                block.broken = true;
                self.buffer = Vec::new();
                return Err(Broken);
            }
        }
        Ok(())
    }
}

/// How much of `data` is within the next `len` bytes.
fn prefix_of(data: &[u8], len: u32) -> usize {
    data.len().min(len as usize)
}
