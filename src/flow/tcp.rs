//! A TCP connection: both directions, its opening and its end (RFC 9293
//! sections 3.5 and 3.6, RFC 5961 for what a blind attacker may send, RFC 7413
//! for data on a SYN).

use super::delivery::Delivery;
use super::five_tuple::Side;
use super::half::{Half, Loss, Reached, Segment, WINDOW};
use super::handler::{CloseReason, FlowHandler};
use super::limits::FlowCounters;
use super::shared::Shared;
use crate::decode::{Packet, TcpFlags, TcpHeader};
use crate::time::Timestamp;

/// How far from the expected number a RST may be: what was lost before it, or
/// was on its way to its sender.
const RESET_SPAN: u32 = 1 << 20;

/// What is to be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It belongs to the connection.
    Process,
    /// It belongs to no connection that is tracked.
    Ignore,
    /// It opens a new connection with the same five-tuple.
    Reopen,
}

/// State of a connection; sides are those of the flow key.
#[derive(Default)]
pub(super) struct Connection {
    halves: [Half; 2],
    /// A segment other than SYN was seen.
    established: bool,
    /// A SYN that may open a new connection if the other side agrees.
    challenge: Option<Challenge>,
    end: Option<End>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Challenge {
    from: Side,
    isn: u32,
}

/// How a connection that is over ended.
#[derive(Clone, Copy)]
enum End {
    Finished,
    /// By a RST of that side, with that sequence number.
    Reset(Side, u32),
}

impl Connection {
    /// Whether it is over.
    pub(super) const fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Whether no segment but SYN was seen.
    pub(super) const fn is_opening(&self) -> bool {
        !self.established
    }

    /// Whether the only direction that was captured has ended.
    pub(super) fn is_half_over(&self) -> bool {
        let [low, high] = &self.halves;
        low.is_ended() && !high.is_heard() || high.is_ended() && !low.is_heard()
    }

    /// Whether data waits behind a hole, or for the other direction.
    pub(super) const fn is_waiting(&self) -> bool {
        self.halves[0].is_waiting() || self.halves[1].is_waiting()
    }

    /// Whether both sides were heard, neither is over, and nothing waits.
    pub(super) fn is_under_way(&self) -> bool {
        let heard = |half: &Half| half.is_started() && half.is_heard();
        !self.is_over() && self.established && !self.is_waiting() && self.halves.iter().all(heard)
    }

    /// [`Connection::process`] of a segment without SYN, FIN and RST that ends there, of a
    /// connection that is under way and of which nothing more is wanted. What it acknowledges
    /// would matter only to what waits.
    #[inline]
    pub(super) fn pass_over(&mut self, from: Side, end: u32) {
        self.halves[from.index()].pass_over(end, false);
    }

    /// Decides whether the segment belongs to this connection.
    pub(super) fn admit(
        &mut self,
        from: Side,
        packet: &Packet<'_>,
        header: &TcpHeader,
        counters: &mut FlowCounters,
    ) -> Admission {
        let admission = if self.is_over() {
            self.admit_late(from, packet, header)
        } else if !header.flags.contains(TcpFlags::SYN) || header.flags.contains(TcpFlags::RST) {
            return Admission::Process;
        } else if header.flags.contains(TcpFlags::ACK) {
            self.admit_syn_ack(from, header)
        } else {
            self.admit_syn(from, header)
        };
        if admission == Admission::Ignore {
            *match self.is_over() {
                true => &mut counters.late_segments,
                false => &mut counters.handshakes_rejected,
            } += 1;
        }
        if admission == Admission::Reopen && self.is_refuted_by(from, header) {
            counters.resets_refuted += 1;
        }
        admission
    }

    /// Takes a segment that was admitted and came at `time`; says why the
    /// connection is over, if it is.
    pub(super) fn process<H: FlowHandler>(
        &mut self,
        packet: &Packet<'_>,
        header: &TcpHeader,
        time: Timestamp,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) -> Option<CloseReason> {
        if header.flags.contains(TcpFlags::RST) {
            return self.reset(out.side, header, &mut shared.counters);
        }
        let dismissed = out.info.dismissed();
        self.learn(header, shared, out);
        let segment = Segment {
            seq: header.seq.wrapping_add(u32::from(header.flags.contains(TcpFlags::SYN))),
            data: packet.payload,
            cut: packet.missing,
            fin: header.flags.contains(TcpFlags::FIN),
            time,
            ack: header.flags.contains(TcpFlags::ACK).then_some(header.ack),
        };
        if segment.fin || carries_payload(packet) {
            self.receive(&segment, shared, out);
        }
        if self.is_waiting() {
            self.give_up_due(time, shared, out);
        }
        if out.info.dismissed() != dismissed {
            self.release_dismissed(shared, out);
        }
        self.conclude()
    }

    /// Gives up the holes that have waited long enough; says why the
    /// connection is over, if it is now.
    pub(super) fn skip_due<H: FlowHandler>(
        &mut self,
        now: Timestamp,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) -> Option<CloseReason> {
        self.give_up_due(now, shared, out);
        self.release_dismissed(shared, out);
        self.conclude()
    }

    /// Gives up every hole; says why the connection is over, if it is now.
    pub(super) fn flush<H: FlowHandler>(
        &mut self,
        loss: Loss,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) -> Option<CloseReason> {
        while let Some(side) = self.waits_longest(out) {
            self.give_up(side, loss, shared, out);
        }
        self.conclude()
    }

    /// Frees all buffers.
    pub(super) fn release(&mut self, shared: &mut Shared) {
        for half in &mut self.halves {
            half.release(shared);
        }
    }

    /// The connection is over once both directions are.
    fn conclude(&mut self) -> Option<CloseReason> {
        if self.is_over() || !self.halves.iter().all(Half::is_ended) {
            return None;
        }
        self.end = Some(End::Finished);
        Some(CloseReason::Finished)
    }

    /// Gives up what has been waited for long enough.
    fn give_up_due<H: FlowHandler>(
        &mut self,
        now: Timestamp,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        self.settle(shared, out);
        while let Some((side, loss)) = self.due(now, shared, out) {
            self.give_up(side, loss, shared, out);
        }
    }

    /// The side whose data has waited long enough, and why; the client first.
    fn due<H: FlowHandler>(
        &mut self,
        now: Timestamp,
        shared: &Shared,
        out: &mut Delivery<'_, H>,
    ) -> Option<(Side, Loss)> {
        let client = out.info.sender(crate::stream::Direction::ToServer);
        [client, client.other()].into_iter().find_map(|side| {
            let peer = self.reached(side.other(), out);
            let loss = self.halves[side.index()].due(now, peer, &shared.limits)?;
            Some((side, loss))
        })
    }

    /// The side whose data has waited longest.
    fn waits_longest<H: FlowHandler>(&self, out: &Delivery<'_, H>) -> Option<Side> {
        let client = out.info.sender(crate::stream::Direction::ToServer);
        let since = |side: Side| Some((self.halves[side.index()].waits_since()?, side));
        let [first, second] = [since(client), since(client.other())];
        match (first, second) {
            (Some(first), Some(second)) if second.0 < first.0 => Some(second.1),
            (first, second) => first.or(second).map(|(_, side)| side),
        }
    }

    /// How far that side was handed on, if it can hold up the other.
    fn reached<H: FlowHandler>(&self, side: Side, out: &Delivery<'_, H>) -> Reached {
        match out.info.dismisses(side) {
            true => Reached(None),
            false => self.halves[side.index()].reached(),
        }
    }

    /// Hands on what is next and waits for nothing, in the order in which the two
    /// sides must have said it.
    fn settle<H: FlowHandler>(&mut self, shared: &mut Shared, out: &mut Delivery<'_, H>) {
        let mut side = out.info.sender(crate::stream::Direction::ToServer);
        let mut idle = 0;
        while idle < 2 && self.is_waiting() {
            let peer = self.reached(side.other(), out);
            let half = &mut self.halves[side.index()];
            let before = (half.distance(0), half.is_ended());
            half.drain(peer, shared, &mut out.on_side(side));
            idle = if (half.distance(0), half.is_ended()) == before { idle + 1 } else { 0 };
            side = side.other();
        }
    }

    /// Gives up what the data of that side waits for first.
    fn give_up<H: FlowHandler>(
        &mut self,
        side: Side,
        loss: Loss,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        let reached = self.reached(side.other(), out);
        let (half, peer) = pair(&mut self.halves, side);
        let missing = half.waits_for(reached);
        if missing == 0 {
            half.skip_hole(loss, reached, shared, &mut out.on_side(side));
        } else if !peer.is_waiting() {
            peer.lose(u64::from(missing), loss, shared, &mut out.on_side(side.other()));
        } else if peer.has_hole() {
            let reached = half.reached();
            peer.skip_hole(loss, reached, shared, &mut out.on_side(side.other()));
        } else {
            half.go_ahead(shared, &mut out.on_side(side));
        }
        self.settle(shared, out);
    }

    /// Calls `visit` for both halves, the client's first.
    fn each_half<H: FlowHandler>(
        &mut self,
        out: &mut Delivery<'_, H>,
        mut visit: impl FnMut(&mut Half, &mut Delivery<'_, H>),
    ) {
        let client = out.info.sender(crate::stream::Direction::ToServer);
        for side in [client, client.other()] {
            visit(&mut self.halves[side.index()], &mut out.on_side(side));
        }
    }

    fn release_dismissed<H: FlowHandler>(
        &mut self,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        self.each_half(out, |half, out| {
            if out.is_dismissed() {
                half.release(shared);
            }
        });
    }

    /// A SYN while the connection is open: opens it, opens it from the other
    /// side as well, is sent again, or opens a new one.
    fn admit_syn(&mut self, from: Side, header: &TcpHeader) -> Admission {
        let first_seq = header.seq.wrapping_add(1);
        let half = &self.halves[from.index()];
        if !half.is_started() || half.first_seq() == first_seq {
            return Admission::Process;
        }
        let nothing_came_of_it = self.is_opening() && !self.halves.iter().any(Half::has_delivered);
        let sender_was_done = half.is_ended() && half.distance(header.seq) >= 0;
        if nothing_came_of_it || sender_was_done || !half.is_in_window(header.seq) {
            return Admission::Reopen;
        }
        // RFC 5961 section 4: a SYN in the window proves nothing. If it is
        // genuine, the other side will say so.
        self.challenge = Some(Challenge { from, isn: header.seq });
        Admission::Ignore
    }

    /// A SYN-ACK while the connection is open.
    fn admit_syn_ack(&mut self, from: Side, header: &TcpHeader) -> Admission {
        let first_seq = header.seq.wrapping_add(1);
        let acked_isn = header.ack.wrapping_sub(1);
        let opener = &self.halves[from.other().index()];
        let half = &self.halves[from.index()];
        if self.challenge == Some(Challenge { from: from.other(), isn: acked_isn }) {
            Admission::Reopen
        } else if half.is_started() {
            match half.first_seq() == first_seq {
                true => Admission::Process,
                false if half.is_in_window(header.seq) => Admission::Ignore,
                false => Admission::Reopen,
            }
        } else if opener.has_syn() && !acknowledges_syn(opener, header.ack) {
            Admission::Ignore
        } else {
            Admission::Process
        }
    }

    /// A segment after the connection was over.
    fn admit_late(&self, from: Side, packet: &Packet<'_>, header: &TcpHeader) -> Admission {
        if header.flags.contains(TcpFlags::RST) {
            return Admission::Ignore;
        }
        let reopens = if header.flags.contains(TcpFlags::SYN) {
            // Some stacks repeat the very SYN that was refused.
            let half = &self.halves[from.index()];
            let sent_again = half.first_seq() == header.seq.wrapping_add(1);
            let refused = !header.flags.contains(TcpFlags::ACK)
                && matches!(self.end, Some(End::Reset(by, _)) if by != from);
            !half.is_started() || !sent_again || refused
        } else {
            carries_payload(packet) && self.is_refuted_by(from, header)
        };
        if reopens { Admission::Reopen } else { Admission::Ignore }
    }

    /// Whether the sender of a RST sends on after it, so that the RST was not
    /// its own.
    fn is_refuted_by(&self, from: Side, header: &TcpHeader) -> bool {
        let behind = |reset: u32| header.seq.wrapping_sub(reset) <= WINDOW;
        !header.flags.contains(TcpFlags::SYN)
            && matches!(self.end, Some(End::Reset(by, seq)) if by == from && behind(seq))
    }

    /// Learns from SYN and ACK where the streams start and how far they got.
    fn learn<H: FlowHandler>(
        &mut self,
        header: &TcpHeader,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        let from = out.side;
        let ack = header.flags.contains(TcpFlags::ACK).then_some(header.ack);
        let (half, peer) = pair(&mut self.halves, from);
        half.note_heard();
        if header.flags.contains(TcpFlags::SYN) {
            learn_start(header, half, shared);
            // A handler that has seen payload keeps its orientation.
            if out.state.is_none() {
                out.info.settle_client(if ack.is_some() { from.other() } else { from });
            }
        } else {
            self.established = true;
        }
        if let Some(ack) = ack {
            // Until its sender has sent payload, an acknowledgement tells where
            // the other direction starts, should its SYN not have been seen.
            if !peer.is_started() && half.has_syn() && !half.has_delivered() {
                peer.start(ack);
            }
            peer.note_acked(ack);
        }
    }

    /// Payload or FIN.
    fn receive<H: FlowHandler>(
        &mut self,
        segment: &Segment<'_>,
        shared: &mut Shared,
        out: &mut Delivery<'_, H>,
    ) {
        let side = out.side;
        let reached = self.reached(side.other(), out);
        let (half, peer) = pair(&mut self.halves, side);
        if !half.is_started() {
            half.start(segment.seq);
            if !peer.has_syn() && !out.info.midstream {
                out.info.midstream = true;
                shared.counters.midstream_flows += 1;
            }
        }
        if out.is_dismissed() {
            half.pass_over(segment.end(), segment.fin);
            shared.counters.dismissed_packets += 1;
            return;
        }
        peer.note_turn();
        half.receive(segment, reached, shared, out);
        while self.is_over_cap(side, shared) {
            self.give_up(side, Loss::Capped, shared, out);
        }
        if out.is_dismissed() {
            self.halves[side.index()].pass_over(segment.end(), segment.fin);
        }
    }

    /// Whether data that waits takes more than it may, of a side that has some.
    fn is_over_cap(&self, side: Side, shared: &Shared) -> bool {
        let half = &self.halves[side.index()];
        let charge: usize = self.halves.iter().map(Half::charge).sum();
        half.is_waiting()
            && (charge > shared.limits.max_out_of_order_per_flow
                || half.pieces() > shared.limits.max_out_of_order_pieces)
    }

    /// A RST ends the connection if its number is one that its sender would
    /// use; a wild one is ignored (RFC 5961 section 3).
    fn reset(
        &mut self,
        from: Side,
        header: &TcpHeader,
        counters: &mut FlowCounters,
    ) -> Option<CloseReason> {
        let (half, peer) = pair(&mut self.halves, from);
        let near = |distance: i32| distance.unsigned_abs() <= RESET_SPAN;
        let valid = if half.is_started() {
            near(half.distance(header.seq))
        } else if header.flags.contains(TcpFlags::ACK) && peer.is_started() {
            near(peer.distance(header.ack))
        } else {
            half.acked().is_some_and(|acked| near(header.seq.wrapping_sub(acked) as i32))
        };
        if !valid {
            counters.resets_rejected += 1;
            return None;
        }
        self.end = Some(End::Reset(from, header.seq));
        Some(CloseReason::Reset)
    }
}

/// Whether payload was on the wire, captured or not.
pub(super) const fn carries_payload(packet: &Packet<'_>) -> bool {
    !packet.payload.is_empty() || packet.missing > 0
}

/// The SYN of `half`.
fn learn_start(header: &TcpHeader, half: &mut Half, shared: &mut Shared) {
    if half.has_syn() {
        shared.counters.handshake_retransmissions += 1;
    } else if !half.is_started() {
        half.start(header.seq.wrapping_add(1));
    }
    half.confirm_start();
}

/// Whether `ack` acknowledges the SYN of `opener`, or data sent with it.
fn acknowledges_syn(opener: &Half, ack: u32) -> bool {
    let sent_with_syn = opener.distance(opener.first_seq()).unsigned_abs();
    ack.wrapping_sub(opener.first_seq()) <= sent_with_syn
}

/// The sender's half and the other.
fn pair(halves: &mut [Half; 2], from: Side) -> (&mut Half, &mut Half) {
    let [low, high] = halves;
    match from {
        Side::Low => (low, high),
        Side::High => (high, low),
    }
}
