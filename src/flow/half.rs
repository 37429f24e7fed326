//! Reassembly of one direction of a TCP connection: segments in any order in,
//! bytes in order and explicit gaps out (RFC 9293 section 3.4).
//!
//! A segment in order is handed on as it is, without a copy. Anything else is
//! trimmed to what is new, compared with what is still remembered, and held
//! until the hole before it is filled or given up. So is what was sent by a
//! side that had more of the other direction than was handed on: an answer does
//! not overtake a question that is still looked for. Sequence numbers are
//! unwrapped to 64-bit stream offsets: offset 0 is the byte after the SYN, or
//! the first one seen.

use super::delivery::Delivery;
use super::handler::FlowHandler;
use super::held::{Arrival, Held, Piece};
use super::history::History;
use super::limits::FlowLimits;
use super::shared::Shared;
use crate::time::Timestamp;

/// Farthest distance from the next byte, either way, at which a segment is
/// taken to belong to the stream: well above what flows have in flight.
pub(super) const WINDOW: u32 = 16 << 20;

/// So many segments outside the window, one after the other and near each
/// other, are taken for the stream going on behind a capture outage.
const JUMP_SEGMENTS: u8 = 4;

/// How near each other.
const JUMP_SPAN: u32 = 1 << 20;

/// Bytes handed on without a word from the other direction after which larger
/// segments are taken for bulk data and not remembered. Messages start, and
/// evasion pays, near a turn; hashing all of a download would double its cost.
const BULK_AFTER: u32 = 64 << 10;

/// The smallest segment that is taken for bulk data.
const BULK_SEGMENT: usize = 1024;

/// A segment that takes up sequence space.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a> {
    /// Sequence number of the first payload byte.
    pub(super) seq: u32,
    pub(super) data: &'a [u8],
    /// Payload bytes after `data` that the snap length cut off.
    pub(super) cut: u32,
    pub(super) fin: bool,
    pub(super) time: Timestamp,
    /// What its sender acknowledged with it.
    pub(super) ack: Option<u32>,
}

impl Segment<'_> {
    fn len(&self) -> u64 {
        self.data.len() as u64 + u64::from(self.cut)
    }

    /// The sequence number after its payload.
    pub(super) fn end(&self) -> u32 {
        self.seq.wrapping_add(self.len() as u32)
    }
}

/// How far the other direction was handed on, by sequence number; nothing where
/// that holds nothing up.
#[derive(Clone, Copy)]
pub(super) struct Reached(pub(super) Option<u32>);

impl Reached {
    const ANY: Self = Self(None);

    /// How many bytes of it are missing to what `ack` acknowledged.
    fn missing(self, ack: Option<u32>) -> u32 {
        match (self.0, ack) {
            (Some(next), Some(ack)) => match ack.wrapping_sub(next) {
                missing @ ..=WINDOW => missing,
                _ => 0,
            },
            _ => 0,
        }
    }
}

/// Why a hole was given up.
#[derive(Clone, Copy)]
pub(super) enum Loss {
    Cut,
    Acked,
    Overdue,
    Capped,
    AtEnd,
    Jumped,
}

/// One direction of a TCP connection.
#[derive(Default)]
pub(super) struct Half {
    /// Stream offset of the next byte to hand on, and its sequence number.
    next: u64,
    next_seq: u32,
    first_seq: u32,
    /// Latest acknowledgement number of the other direction.
    acked: Option<u32>,
    /// Segments that took up sequence space, so far.
    segments: u32,
    /// Bytes handed on since the other direction last sent payload.
    since_turn: u32,
    heard: bool,
    started: bool,
    syn: bool,
    ended: bool,
    jump: Jump,
    held: Option<Box<Held>>,
    history: Option<Box<History>>,
}

/// A run of segments outside the window.
#[derive(Clone, Copy, Default)]
struct Jump {
    expected_seq: u32,
    segments: u8,
}

impl Half {
    /// Starts the stream: its first byte has this sequence number.
    pub(super) fn start(&mut self, first_seq: u32) {
        self.first_seq = first_seq;
        self.next_seq = first_seq;
        self.started = true;
    }

    /// Its sender sent something.
    pub(super) const fn note_heard(&mut self) {
        self.heard = true;
    }

    pub(super) const fn is_heard(&self) -> bool {
        self.heard
    }

    /// The start of the stream was confirmed by a SYN.
    pub(super) const fn confirm_start(&mut self) {
        self.syn = true;
    }

    pub(super) const fn note_acked(&mut self, ack: u32) {
        self.acked = Some(ack);
    }

    /// The other direction sent payload.
    pub(super) const fn note_turn(&mut self) {
        self.since_turn = 0;
    }

    pub(super) const fn is_started(&self) -> bool {
        self.started
    }

    /// Whether its SYN was seen.
    pub(super) const fn has_syn(&self) -> bool {
        self.syn
    }

    /// Whether its FIN was reached.
    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether data (or the FIN) waits behind a hole, or for the other direction.
    pub(super) const fn is_waiting(&self) -> bool {
        self.held.is_some()
    }

    /// Whether anything was handed on.
    pub(super) const fn has_delivered(&self) -> bool {
        self.next > 0
    }

    pub(super) const fn first_seq(&self) -> u32 {
        self.first_seq
    }

    pub(super) const fn acked(&self) -> Option<u32> {
        self.acked
    }

    /// How far it was handed on, for what the other direction knew of it. One of which
    /// nothing is captured holds nothing up.
    pub(super) fn reached(&self) -> Reached {
        Reached((self.started && self.heard && !self.ended).then_some(self.next_seq))
    }

    /// When the data that waits first came.
    pub(super) fn waits_since(&self) -> Option<Timestamp> {
        Some(self.held.as_ref()?.first()?.1.time)
    }

    /// Whether what waits first waits behind a hole.
    pub(super) fn has_hole(&self) -> bool {
        self.held.as_ref().and_then(|held| held.first()).is_some_and(|(at, _)| at > self.next)
    }

    /// How many bytes of the other direction the data that is next waits for.
    pub(super) fn waits_for(&self, peer: Reached) -> u32 {
        match self.held.as_ref().and_then(|held| held.first()) {
            Some((at, arrival)) if at == self.next => peer.missing(arrival.ack),
            _ => 0,
        }
    }

    /// How far `seq` is ahead of the next byte.
    pub(super) const fn distance(&self, seq: u32) -> i32 {
        seq.wrapping_sub(self.next_seq) as i32
    }

    /// Whether `seq` is one that the stream may be at.
    pub(super) const fn is_in_window(&self, seq: u32) -> bool {
        self.distance(seq).unsigned_abs() <= WINDOW
    }

    /// Memory charged for out-of-order data.
    pub(super) fn charge(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.charge())
    }

    /// Pieces of out-of-order data.
    pub(super) fn pieces(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.pieces())
    }

    /// Takes the next segment.
    pub(super) fn receive<H: FlowHandler>(
        &mut self,
        segment: &Segment<'_>,
        peer: Reached,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        self.segments = self.segments.wrapping_add(1);
        let distance = self.distance(segment.seq);
        if distance.unsigned_abs() > WINDOW {
            return self.receive_far(segment, shared, out);
        }
        self.jump = Jump::default();
        let plain = segment.cut == 0 && !segment.fin && peer.missing(segment.ack) == 0;
        if distance == 0 && plain && self.held.is_none() && !self.ended {
            self.deliver(segment.data, shared, out);
        } else {
            self.receive_near(distance, segment, peer, shared, out);
        }
    }

    /// Takes note of a segment whose data nothing wants, up to which sequence number.
    #[inline]
    pub(super) fn pass_over(&mut self, end: u32, fin: bool) {
        let distance = self.distance(end);
        if distance.unsigned_abs() <= WINDOW {
            if distance > 0 {
                self.advance(u64::from(distance.unsigned_abs()));
            }
            self.ended |= fin;
        }
    }

    /// Gives up every hole and hands on what is held.
    pub(super) fn flush<H: FlowHandler>(
        &mut self,
        loss: Loss,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        while self.held.is_some() {
            self.skip_hole(loss, Reached::ANY, shared, out);
        }
    }

    /// Gives up the first hole and hands on what is behind it.
    pub(super) fn skip_hole<H: FlowHandler>(
        &mut self,
        loss: Loss,
        peer: Reached,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        if let Some((end, _)) = self.held.as_ref().and_then(|held| held.first()) {
            self.lose(end.saturating_sub(self.next), loss, shared, out);
        }
        self.drain(peer, shared, out);
    }

    /// Hands on what waits for the other direction alone.
    pub(super) fn go_ahead<H: FlowHandler>(
        &mut self,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        self.drain(Reached::ANY, shared, out);
    }

    /// Frees all buffers.
    pub(super) fn release(&mut self, shared: &mut Shared) {
        if let Some(held) = self.held.take() {
            held.release(&mut shared.buffers);
        }
        if let Some(history) = self.history.take() {
            shared.histories.give(history);
        }
    }

    /// A segment within the window that is not simply the next one.
    fn receive_near<H: FlowHandler>(
        &mut self,
        distance: i32,
        segment: &Segment<'_>,
        peer: Reached,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        // RFC 9293 section 3.8.4: a probe repeats the last byte, or one of no
        // meaning in its place.
        if distance == -1 && segment.len() <= 1 && !segment.fin {
            shared.counters.keep_alives += 1;
            return;
        }
        let start = self.next as i64 + i64::from(distance);
        let mut span = Span { start, data: segment.data, cut: u64::from(segment.cut) };
        let end = span.end();
        shared.counters.before_start_bytes += span.split_before(0).len();
        let old = span.split_before(self.next as i64);
        self.compare(&old, shared, out);
        if self.ended {
            shared.counters.after_end_bytes += span.len();
            return;
        }
        if span.len() > 0 {
            self.refute_fin(end, shared);
            self.accept(span, self.arrival(segment), peer, shared, out);
        }
        self.drain(peer, shared, out);
        if segment.fin && end >= self.next as i64 {
            self.accept_fin(end.unsigned_abs(), self.arrival(segment), shared, out);
        }
    }

    /// A segment outside the window: nothing of it is kept, but if the stream
    /// has moved there for good, the part between is given up.
    fn receive_far<H: FlowHandler>(
        &mut self,
        segment: &Segment<'_>,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        let follows =
            self.jump.segments > 0 && near(segment.seq, self.jump.expected_seq, JUMP_SPAN);
        self.jump = Jump {
            expected_seq: segment.end(),
            segments: if follows { self.jump.segments.saturating_add(1) } else { 1 },
        };
        let peer_agrees = self.acked.is_none_or(|acked| near(acked, segment.seq, WINDOW));
        if self.ended || self.jump.segments < JUMP_SEGMENTS || !peer_agrees {
            shared.counters.out_of_window_segments += 1;
            return;
        }
        self.jump = Jump::default();
        if let Some(held) = &mut self.held {
            held.clear_fin();
        }
        self.flush(Loss::Jumped, shared, out);
        self.lose(u64::from(segment.seq.wrapping_sub(self.next_seq)), Loss::Jumped, shared, out);
        self.receive_near(0, segment, Reached::ANY, shared, out);
    }

    /// New data: hands on what is next, holds the rest.
    fn accept<H: FlowHandler>(
        &mut self,
        mut span: Span<'_>,
        arrival: Arrival,
        peer: Reached,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        if span.start != self.next as i64 {
            shared.counters.out_of_order_segments += 1;
        } else if peer.missing(arrival.ack) > 0 {
            shared.counters.overtaking_segments += 1;
        } else {
            let first_held = self.held.as_ref().and_then(|held| held.first_piece());
            let head = match first_held {
                Some(first) => span.split_before(first as i64),
                None => std::mem::replace(&mut span, Span { start: 0, data: &[], cut: 0 }),
            };
            if !self.deliver(head.data, shared, out) {
                return;
            }
            if head.cut > 0 {
                self.lose(head.cut, Loss::Cut, shared, out);
            }
        }
        if span.len() > 0 && !out.is_dismissed() {
            let held = self.held.get_or_insert_default();
            let start = span.start.unsigned_abs();
            let result = held.insert(start, span.data, span.cut, arrival, &mut shared.buffers);
            shared.counters.buffered_bytes += result.stored;
            shared.counters.retransmitted_bytes += result.duplicate;
            if result.conflict {
                shared.counters.overlap_conflicts += 1;
                out.note_conflict();
            }
        }
    }

    /// The FIN, at or behind the next byte.
    fn accept_fin<H: FlowHandler>(
        &mut self,
        offset: u64,
        arrival: Arrival,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        if self.held.as_ref().is_some_and(|held| held.end() > offset) {
            shared.counters.fins_refuted += 1;
        } else if offset == self.next {
            self.held = None;
            self.ended = true;
            out.end();
        } else {
            self.held.get_or_insert_default().set_fin(offset, arrival);
        }
    }

    /// Compares what was handed on already with its retransmission.
    fn compare<H: FlowHandler>(
        &mut self,
        old: &Span<'_>,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        shared.counters.retransmitted_bytes += old.len();
        let start = old.start.unsigned_abs();
        let differs = self
            .history
            .as_ref()
            .is_some_and(|history| history.differs(start, old.data, self.next, &shared.histories));
        if differs {
            shared.counters.overlap_conflicts += 1;
            out.note_conflict();
        }
    }

    /// Data up to `end` refutes a FIN seen before that.
    fn refute_fin(&mut self, end: i64, shared: &mut Shared) {
        if let Some(held) = &mut self.held
            && held.fin().is_some_and(|fin| (fin as i64) < end)
        {
            held.clear_fin();
            shared.counters.fins_refuted += 1;
        }
    }

    /// Hands on what is held and next by now.
    pub(super) fn drain<H: FlowHandler>(
        &mut self,
        peer: Reached,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        while self.waits_for(peer) == 0
            && let Some(held) = &mut self.held
        {
            match held.take(self.next, &mut shared.buffers) {
                Some(Piece::Bytes(bytes)) => {
                    self.deliver(&bytes, shared, out);
                    shared.buffers.give(bytes);
                }
                Some(Piece::Cut(len)) => self.lose(len, Loss::Cut, shared, out),
                None => break,
            }
        }
        if let Some(held) = &mut self.held {
            if let Some(fin) = held.fin()
                && fin <= self.next
            {
                held.clear_fin();
                self.ended = true;
                out.end();
            }
            if held.is_empty() {
                self.held = None;
            }
        }
    }

    /// Hands on bytes that are next; false if no more are wanted.
    fn deliver<H: FlowHandler>(
        &mut self,
        data: &[u8],
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) -> bool {
        let start = self.next;
        self.advance(data.len() as u64);
        if out.is_dismissed() || data.is_empty() {
            return !out.is_dismissed();
        }
        shared.counters.delivered_bytes += data.len() as u64;
        let wanted = out.data(data);
        if wanted {
            self.remember(start, data, shared);
        }
        wanted
    }

    /// Remembers bytes just handed on, unless they are bulk data.
    fn remember(&mut self, start: u64, data: &[u8], shared: &mut Shared) {
        self.since_turn = self.since_turn.saturating_add(data.len() as u32);
        let bulk = self.since_turn > BULK_AFTER && data.len() >= BULK_SEGMENT;
        if self.history.is_none() && !bulk {
            self.history = shared.histories.take(shared.limits.max_history_total);
        }
        match &mut self.history {
            Some(history) if bulk => history.forget_tail(),
            Some(history) => history.append(start, data, &shared.histories),
            None => shared.counters.history_capped += u64::from(!bulk),
        }
    }

    /// Gives up the next `len` bytes.
    pub(super) fn lose<H: FlowHandler>(
        &mut self,
        len: u64,
        loss: Loss,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        if len == 0 {
            return;
        }
        self.advance(len);
        if let Some(history) = &mut self.history {
            history.forget_tail();
        }
        let counters = &mut shared.counters;
        counters.gaps += 1;
        counters.gap_bytes += len;
        *match loss {
            Loss::Cut => &mut counters.gaps_snapped,
            Loss::Acked => &mut counters.gaps_acked,
            Loss::Overdue => &mut counters.gaps_overdue,
            Loss::Capped => &mut counters.gaps_capped,
            Loss::AtEnd => &mut counters.gaps_at_end,
            Loss::Jumped => &mut counters.gaps_jumped,
        } += 1;
        out.gap(len);
    }

    fn advance(&mut self, len: u64) {
        self.next += len;
        self.next_seq = self.next_seq.wrapping_add(len as u32);
    }

    fn arrival(&self, segment: &Segment<'_>) -> Arrival {
        Arrival { time: segment.time, segment: self.segments, ack: segment.ack }
    }

    /// Whether what is waited for first is to be given up by now, and why. While no
    /// packet comes, it does not matter when (or how often) that is asked before the
    /// next.
    pub(super) fn due(&self, now: Timestamp, peer: Reached, limits: &FlowLimits) -> Option<Loss> {
        let (end, arrival) = self.held.as_ref()?.first()?;
        let waited = now.since(arrival.time);
        let segments = self.segments.wrapping_sub(arrival.segment);
        let patient = waited < limits.acked_patience && segments < limits.acked_patience_segments;
        if self.waits_for(peer) > 0 {
            return (!patient).then_some(Loss::Acked);
        }
        let acked = self.acked.map_or(0, |acked| self.distance(acked));
        if acked > 0 && acked.unsigned_abs() <= WINDOW {
            let past_hole = u64::from(acked.unsigned_abs()) >= end.saturating_sub(self.next);
            if past_hole && !patient {
                return Some(Loss::Acked);
            }
        }
        // An acknowledgement of exactly what was handed on: the receiver lacks
        // the bytes as well, so the sender will repeat them.
        let receiver_waits = self.acked == Some(self.next_seq);
        let patience =
            if receiver_waits { limits.retransmission_patience } else { limits.hole_patience };
        (waited >= patience).then_some(Loss::Overdue)
    }
}

/// Whether two sequence numbers are at most `span` apart.
const fn near(a: u32, b: u32, span: u32) -> bool {
    (a.wrapping_sub(b) as i32).unsigned_abs() <= span
}

/// A stretch of payload by stream offset; the offset is negative before the
/// first byte seen.
#[derive(Debug, PartialEq)]
struct Span<'a> {
    start: i64,
    data: &'a [u8],
    cut: u64,
}

impl Span<'_> {
    fn len(&self) -> u64 {
        self.data.len() as u64 + self.cut
    }

    fn end(&self) -> i64 {
        self.start + self.len() as i64
    }

    /// Splits off the part before `offset`.
    fn split_before(&mut self, offset: i64) -> Self {
        let len = u64::try_from(offset - self.start).unwrap_or(0).min(self.len());
        let from_data = (len as usize).min(self.data.len());
        let from_cut = len - from_data as u64;
        let (before, rest) = self.data.split_at(from_data);
        let head = Self { start: self.start, data: before, cut: from_cut };
        *self = Self { start: self.start + len as i64, data: rest, cut: self.cut - from_cut };
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_split_in_data_and_in_what_was_cut() {
        let span = |start, data, cut| Span { start, data, cut };
        let cases = [
            (-9, span(-2, b"", 0), span(-2, b"abcd", 3)),
            (-2, span(-2, b"", 0), span(-2, b"abcd", 3)),
            (0, span(-2, b"ab", 0), span(0, b"cd", 3)),
            (2, span(-2, b"abcd", 0), span(2, b"", 3)),
            (3, span(-2, b"abcd", 1), span(3, b"", 2)),
            (9, span(-2, b"abcd", 3), span(5, b"", 0)),
        ];
        for (offset, head, rest) in cases {
            let mut whole = span(-2, b"abcd", 3);
            assert_eq!(whole.split_before(offset), head, "{offset}");
            assert_eq!(whole, rest, "{offset}");
        }
    }

    #[test]
    fn distances_wrap() {
        let mut half = Half::default();
        half.start(u32::MAX - 9);
        assert_eq!(half.distance(0), 10);
        assert_eq!(half.distance(u32::MAX - 19), -10);
        half.advance(10);
        assert_eq!((half.next, half.next_seq), (10, 0));
        half.advance(1 << 32);
        assert_eq!((half.next, half.next_seq), ((1 << 32) + 10, 0));
    }
}
