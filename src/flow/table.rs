//! The flow table: finds or opens the flow of a packet, ends flows by time-out
//! and eviction.

use hashbrown::HashTable;

use super::clock::FlowClock;
use super::delivery::Delivery;
use super::five_tuple::{FlowHasher, FlowKey, PacketKey, Side};
use super::half::Loss;
use super::handler::{CloseReason, FlowHandler};
use super::info::{FlowInfo, PacketRef};
use super::limits::{FlowCounters, FlowLimits};
use super::lists::Lists;
use super::shared::Shared;
use super::slots::Slots;
use super::tcp::{Admission, Connection, carries_payload};
use super::weights::{LIGHT, Weights};
use crate::decode::{Packet, TcpFlags, TcpHeader, Transport};
use crate::time::Timestamp;

/// How long after a time-out the table acts on it by itself. A packet that
/// comes after the time-out always finds its flow over, so within this slack
/// small disorder of capture times changes nothing.
const SLACK_NANOS: i64 = 1_000_000_000;

/// All flows of one worker. `S` is the handler's state of a flow.
pub struct FlowTable<S> {
    hasher: FlowHasher,
    index: HashTable<IndexEntry>,
    /// Where flows that had a packet of late were found, by their hash: most packets are of
    /// few flows, and this fits the fastest cache where the index does not.
    recent: Box<[IndexEntry; RECENT]>,
    slots: Slots<Slot<S>>,
    /// Flows by [`Class`], longest idle first.
    idle: Lists<{ Class::COUNT }>,
    /// Flows with data behind a hole, longest unchecked first.
    waiting: Lists<1>,
    weights: Weights,
    /// Time-outs by [`Class`], in nanoseconds.
    timeouts: [i64; Class::COUNT],
    clock: FlowClock,
    shared: Shared,
}

/// How many flows are remembered that had a packet of late.
const RECENT: usize = 1024;

/// A flow's place, with enough of its hash to find it and to grow the index
/// without touching the flows.
#[derive(Clone, Copy, Default)]
struct IndexEntry {
    hash: u32,
    slot: u32,
}

/// A flow. Most packets find theirs out of the cache, so what every packet touches lies
/// together, in as few cache lines as it takes, before what only some do.
#[repr(C, align(64))]
struct Slot<S> {
    info: FlowInfo,
    /// When the last packet came: table time, its own time, its ordinal.
    seen: i64,
    time: Timestamp,
    ordinal: u64,
    /// Where the flow waits behind a hole: when to look again.
    check_at: Option<i64>,
    class: Class,
    /// Over for the handler; lingers to absorb late segments.
    closed: bool,
    /// Nothing more is wanted of it, and of a plain segment there is nothing to do but to
    /// take note that it came.
    rests: bool,
    hash: u32,
    tcp: Option<Connection>,
    moved: Option<Box<Moved>>,
    /// What the state owns, as of the last packet.
    charge: usize,
    state: Option<S>,
}

/// The other endpoints at which a flow goes on.
struct Moved {
    key: FlowKey,
    hash: u32,
    /// The low side there is the high side of the flow's own key.
    turned: bool,
}

/// When a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Counts the packets of the whole engine, from 1. It names the flow, should
    /// this packet open one.
    pub ordinal: u64,
    /// Table time, told by the packets of all tables ([`FlowClock`]).
    pub table_time: Timestamp,
    /// The packet's own time, by which flows wait and time out: when it was
    /// captured, or would have been by a clock that nobody set.
    pub packet_time: Timestamp,
}

/// A whole TCP segment, without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Whose it is.
    pub key: &'a PacketKey,
    /// What its header says.
    pub header: TcpHeader,
    /// Where it was captured.
    pub from: PacketRef,
    /// Bytes of payload.
    pub payload: u32,
}

/// What time-out a flow has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// TCP that is over, or whose only captured direction is.
    Closed,
    /// TCP of which only SYN segments were seen.
    Opening,
    /// UDP.
    Udp,
    /// Other TCP.
    Established,
}

impl Class {
    const COUNT: usize = 4;
    const ALL: [Self; Self::COUNT] = [Self::Closed, Self::Opening, Self::Udp, Self::Established];

    const fn timeout(self, limits: &FlowLimits) -> std::time::Duration {
        match self {
            Self::Closed => limits.tcp_linger,
            Self::Opening => limits.tcp_opening,
            Self::Udp => limits.udp_idle,
            Self::Established => limits.tcp_idle,
        }
    }
}

impl<S> FlowTable<S> {
    /// Bytes that a flow takes in the table, without what its state owns.
    pub const FLOW: usize = size_of::<Option<Slot<S>>>() + 2 * size_of::<IndexEntry>() + 24;

    /// An empty table. All tables of a run share one hasher.
    pub fn new(limits: FlowLimits, hasher: FlowHasher) -> Self {
        let timeouts = Class::ALL.map(|class| nanos(class.timeout(&limits)));
        Self {
            timeouts,
            hasher,
            index: HashTable::new(),
            recent: Box::new([IndexEntry::default(); RECENT]),
            slots: Slots::new(),
            idle: Lists::new(),
            waiting: Lists::new(),
            weights: Weights::new(),
            clock: FlowClock::default(),
            shared: Shared::new(limits),
        }
    }

    /// Takes the next packet, where there is one table and no clock but the
    /// capture's. `ordinal` is that of [`Moment`].
    pub fn on_packet<H: FlowHandler<State = S>>(
        &mut self,
        ordinal: u64,
        packet: &Packet<'_>,
        handler: &mut H,
    ) {
        let key = self.hasher.key(packet);
        let at = Moment { ordinal, table_time: packet.time, packet_time: packet.time };
        self.on_keyed_packet(at, &key, packet, handler);
    }

    /// [`FlowTable::on_packet`] where the key is known, as it was needed to
    /// choose the worker, and what time it is.
    pub fn on_keyed_packet<H: FlowHandler<State = S>>(
        &mut self,
        at: Moment,
        key: &PacketKey,
        packet: &Packet<'_>,
        handler: &mut H,
    ) {
        self.clock.tick(at.table_time);
        let found = self.find(key).or_else(|| self.follow(key, packet, handler));
        self.on_found_packet(found, &Arrival { at, key, packet }, handler);
    }

    /// [`FlowTable::on_keyed_packet`] of a whole segment, which is made a packet only if the
    /// flow does not rest: most of what is encrypted is of flows that do.
    #[inline(always)]
    pub fn on_segment<'f, H: FlowHandler<State = S>>(
        &mut self,
        at: Moment,
        segment: &Segment<'_>,
        packet: impl FnOnce() -> Packet<'f>,
        handler: &mut H,
    ) {
        self.clock.tick(at.table_time);
        let found = self.find(segment.key);
        if !found.is_some_and(|index| self.pass_over(index, at, segment)) {
            let arrival = Arrival { at, key: segment.key, packet: &packet() };
            self.on_found_packet(found, &arrival, handler);
        }
    }

    /// Takes note of a segment of a flow that rests; false, and nothing is done, if the flow
    /// does not, or will not with this.
    #[inline(always)]
    fn pass_over(&mut self, index: u32, at: Moment, segment: &Segment<'_>) -> bool {
        let Segment { key, header, from, payload } = *segment;
        let patience = self.patience(Class::Established);
        let Some(slot) = self.slots.get_mut(index) else { return false };
        let idle = at.packet_time.as_nanos().saturating_sub(slot.time.as_nanos());
        if !slot.rests || header.flags.intersects(TcpFlags::TURNS) || idle > patience {
            return false;
        }
        let Some(tcp) = &mut slot.tcp else { return false };
        if payload > 0 {
            tcp.pass_over(key.sender, header.seq.wrapping_add(payload));
        }
        slot.info.observe(from, u64::from(payload), key.sender);
        slot.note(at, self.clock.now);
        self.idle.move_to_back(Class::Established as usize, index);
        self.shared.counters.tcp_segments += 1;
        self.shared.counters.dismissed_packets += u64::from(payload > 0);
        true
    }

    #[inline(never)]
    fn on_found_packet<H: FlowHandler<State = S>>(
        &mut self,
        found: Option<u32>,
        arrival: &Arrival<'_>,
        handler: &mut H,
    ) {
        let at = arrival.at;
        match found.filter(|&index| self.outlasts(index, at.packet_time, handler)) {
            Some(index) => self.on_flow_packet(index, arrival, handler),
            None => self.open(arrival, handler),
        }
        while self.shared.buffers.out_of_order > self.shared.limits.max_out_of_order_total {
            match self.waiting.front(0) {
                Some(index) => self.flush(index, Loss::Capped, handler),
                None => break,
            }
        }
        while self.weights.total() > self.shared.limits.max_state_total {
            let heavy = self.weights.heaviest();
            let Some(index) = heavy.or_else(|| self.longest_idle(|_, _| true)) else { break };
            self.shared.counters.heavy_flows_evicted += u64::from(heavy.is_some());
            self.remove(index, CloseReason::Evicted, handler);
        }
    }

    /// Ends the flows that have timed out by `now`, and gives up holes that
    /// have waited long enough; longest idle first.
    ///
    /// This keeps memory and latency low. What the handler is told of a flow
    /// does not depend on when or how often it is called, but that a flow that
    /// would have timed out may still be open at the end of the input.
    pub fn advance<H: FlowHandler<State = S>>(&mut self, now: Timestamp, handler: &mut H) {
        self.clock.tick(now);
        while let Some((index, now)) = self.next_to_check() {
            self.check_holes(index, now, handler);
        }
        while let Some(index) = self.longest_idle(|class, seen| {
            let patience = self.patience(class).saturating_add(SLACK_NANOS);
            self.clock.now.saturating_sub(seen) > patience
        }) {
            self.remove(index, CloseReason::TimedOut, handler);
        }
    }

    /// Ends all flows: the input is over. Longest idle first.
    pub fn finish<H: FlowHandler<State = S>>(&mut self, handler: &mut H) {
        while let Some(index) = self.longest_idle(|_, _| true) {
            self.remove(index, CloseReason::InputEnd, handler);
        }
    }

    /// What was seen so far.
    pub const fn counters(&self) -> &FlowCounters {
        &self.shared.counters
    }

    /// Flows held, those lingering after their end included.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no flow is held.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether half of what may be kept is: flows, what their states own, data out of
    /// order, or data to compare with.
    pub fn is_half_full(&self) -> bool {
        let Shared { limits, buffers, histories, .. } = &self.shared;
        self.len() > limits.max_flows / 2
            || self.weights.total() > limits.max_state_total / 2
            || buffers.out_of_order > limits.max_out_of_order_total / 2
            || histories.memory() > limits.max_history_total / 2
    }

    /// Whether the flow of that key is held.
    pub fn has(&mut self, key: &PacketKey) -> bool {
        self.find(key).is_some()
    }

    /// Bytes allocated, without what the handler's states own.
    pub fn memory(&self) -> usize {
        self.index.allocation_size()
            + size_of_val(&*self.recent)
            + self.slots.memory()
            + self.idle.memory()
            + self.waiting.memory()
            + self.weights.memory()
            + self.shared.memory()
    }

    #[cfg(test)]
    pub(super) const fn hasher(&self) -> &FlowHasher {
        &self.hasher
    }

    /// Out-of-order bytes and histories in use.
    #[cfg(test)]
    pub(super) const fn in_use(&self) -> (usize, usize) {
        (self.shared.buffers.out_of_order, self.shared.histories.in_use())
    }

    #[inline(always)]
    fn find(&mut self, key: &PacketKey) -> Option<u32> {
        let hash = key.table_hash();
        // What is remembered may be over; if it is not, the index has it too.
        let recent = self.recent[hash as usize % RECENT];
        if self.is_of(&recent, key) { Some(recent.slot) } else { self.look_up(key) }
    }

    #[inline(always)]
    fn is_of(&self, entry: &IndexEntry, key: &PacketKey) -> bool {
        entry.hash == key.table_hash()
            && self.slots.get(entry.slot).is_some_and(|slot| slot.is_at(&key.key))
    }

    /// Looks a flow up in the index.
    #[inline(never)]
    fn look_up(&mut self, key: &PacketKey) -> Option<u32> {
        let hash = key.table_hash();
        let found = *self.index.find(spread(hash), |entry| self.is_of(entry, key))?;
        self.recent[hash as usize % RECENT] = found;
        Some(found.slot)
    }

    /// The flow that a datagram between endpoints without a flow belongs to, as
    /// the handler says; from here on these endpoints are found.
    fn follow<H: FlowHandler<State = S>>(
        &mut self,
        key: &PacketKey,
        packet: &Packet<'_>,
        handler: &mut H,
    ) -> Option<u32> {
        if packet.transport != Transport::Udp {
            return None;
        }
        let (owner, direction) = handler.moved(packet.payload)?;
        let owner = self.hasher.packet_key(owner, Side::Low);
        let index = self.find(&owner)?;
        let slot = self.slots.get_mut(index)?;
        let turned = slot.info.sender(direction) != key.sender;
        let hash = key.table_hash();
        let before = slot.moved.replace(Box::new(Moved { key: key.key, hash, turned }));
        if let Some(before) = before {
            self.unlist(before.hash, index);
        }
        let entry = IndexEntry { hash, slot: index };
        self.index.insert_unique(spread(hash), entry, |entry| spread(entry.hash));
        self.shared.counters.flows_moved += 1;
        Some(index)
    }

    fn unlist(&mut self, hash: u32, index: u32) {
        let is_it = |entry: &IndexEntry| entry.slot == index && entry.hash == hash;
        if let Ok(entry) = self.index.find_entry(spread(hash), is_it) {
            entry.remove();
        }
    }

    /// Opens a flow, unless the packet is the stray rest of one.
    fn open<H: FlowHandler<State = S>>(&mut self, arrival: &Arrival<'_>, handler: &mut H) {
        let (packet, counters) = (arrival.packet, &mut self.shared.counters);
        let tcp = match packet.transport {
            Transport::Tcp(header) if !opens_flow(packet, &header) => {
                counters.stray_segments += 1;
                return;
            }
            Transport::Tcp(_) => {
                counters.tcp_flows += 1;
                Some(Connection::default())
            }
            Transport::Udp => {
                counters.udp_flows += 1;
                None
            }
        };
        self.make_room(handler);
        let PacketKey { key, sender, .. } = *arrival.key;
        let hash = arrival.key.table_hash();
        let class = if tcp.is_some() { Class::Opening } else { Class::Udp };
        let slot = Slot {
            info: FlowInfo::with_key(arrival.at.ordinal, packet, key, sender),
            tcp,
            state: None,
            seen: self.clock.now,
            time: arrival.at.packet_time,
            ordinal: arrival.at.ordinal,
            hash,
            class,
            closed: false,
            rests: false,
            check_at: None,
            moved: None,
            charge: 0,
        };
        let Some(index) = self.slots.insert(slot) else { return };
        let entry = IndexEntry { hash, slot: index };
        self.index.insert_unique(spread(hash), entry, |entry| spread(entry.hash));
        self.idle.push_back(class as usize, index);
        self.on_flow_packet(index, arrival, handler);
    }

    /// Lets time pass for a flow up to its next packet, as [`advance`] would
    /// have; false if the flow was over by then.
    ///
    /// [`advance`]: FlowTable::advance
    fn outlasts<H: FlowHandler<State = S>>(
        &mut self,
        index: u32,
        now: Timestamp,
        handler: &mut H,
    ) -> bool {
        let Some(mut slot) = self.slots.get(index) else { return false };
        if slot.check_at.is_some() {
            self.check_holes(index, now, handler);
            match self.slots.get(index) {
                Some(checked) => slot = checked,
                None => return false,
            }
        }
        let idle = now.as_nanos().saturating_sub(slot.time.as_nanos());
        let timed_out = idle > self.patience(slot.class);
        if timed_out {
            self.remove(index, CloseReason::TimedOut, handler);
        }
        !timed_out
    }

    fn on_flow_packet<H: FlowHandler<State = S>>(
        &mut self,
        index: u32,
        arrival: &Arrival<'_>,
        handler: &mut H,
    ) {
        match arrival.packet.transport {
            Transport::Tcp(header) => self.on_flow_segment(index, arrival, &header, handler),
            Transport::Udp => self.on_datagram(index, arrival, handler),
        }
    }

    fn on_flow_segment<H: FlowHandler<State = S>>(
        &mut self,
        index: u32,
        arrival: &Arrival<'_>,
        header: &TcpHeader,
        handler: &mut H,
    ) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(tcp) = &mut slot.tcp else { return };
        let (packet, sender) = (arrival.packet, arrival.key.sender);
        match tcp.admit(sender, packet, header, &mut self.shared.counters) {
            Admission::Process => {}
            Admission::Ignore => return,
            Admission::Reopen => {
                self.remove(index, CloseReason::Reused, handler);
                return self.open(arrival, handler);
            }
        }
        let Slot { state, info, .. } = slot;
        // Without payload nothing is handed on but what waited for it.
        let fed =
            tcp.is_waiting() || header.flags.contains(TcpFlags::FIN) || carries_payload(packet);
        // What nothing more is wanted of owns what it did.
        let wanted = fed && info.dismissed() != [true; 2];
        let mut out = Delivery { handler, state, info, side: sender };
        self.shared.counters.tcp_segments += 1;
        out.info.observe(packet.into(), packet.wire_len(), sender);
        let over = tcp.process(packet, header, arrival.at.packet_time, &mut self.shared, &mut out);
        slot.note(arrival.at, self.clock.now);
        if let Some(why) = over {
            self.close(index, why, handler);
        }
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.refile(index, &mut self.idle);
        if fed {
            slot.update_waiting(index, self.clock.now, &self.shared.limits, &mut self.waiting);
        }
        if wanted || slot.charge > LIGHT {
            slot.recharge(index, handler, &mut self.weights);
        }
        slot.rests = slot.may_rest();
    }

    fn on_datagram<H: FlowHandler<State = S>>(
        &mut self,
        index: u32,
        arrival: &Arrival<'_>,
        handler: &mut H,
    ) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let (packet, sender) = (arrival.packet, slot.sender(arrival.key));
        slot.note(arrival.at, self.clock.now);
        slot.info.observe(packet.into(), packet.wire_len(), sender);
        let counters = &mut self.shared.counters;
        counters.udp_datagrams += 1;
        if slot.info.dismisses(sender) {
            counters.dismissed_packets += 1;
        } else {
            counters.delivered_bytes += packet.payload.len() as u64;
            let Slot { state, info, .. } = slot;
            let mut out = Delivery { handler, state, info, side: sender };
            out.datagram(packet.payload, packet.missing);
        }
        self.idle.move_to_back(Class::Udp as usize, index);
        slot.recharge(index, handler, &mut self.weights);
    }

    /// The next flow whose holes are to be checked, and the time up to which,
    /// by the clock of the flow's own packets.
    fn next_to_check(&self) -> Option<(u32, Timestamp)> {
        let index = self.waiting.front(0)?;
        let slot = self.slots.get(index)?;
        if self.clock.now <= slot.check_at?.saturating_add(SLACK_NANOS) {
            return None;
        }
        let idle = self.clock.now.saturating_sub(slot.seen).saturating_sub(SLACK_NANOS).max(0);
        let last = slot.time.as_nanos();
        Some((index, Timestamp::from_nanos(last.saturating_add(idle))))
    }

    /// Gives up the holes of a flow that are due by `now`; it is checked again
    /// later if some are not.
    fn check_holes<H: FlowHandler<State = S>>(
        &mut self,
        index: u32,
        now: Timestamp,
        handler: &mut H,
    ) {
        let over =
            self.with_connection(index, handler, |tcp, shared, out| tcp.skip_due(now, shared, out));
        self.settle(index, over, handler);
    }

    /// Gives up all holes of a flow.
    fn flush<H: FlowHandler<State = S>>(&mut self, index: u32, loss: Loss, handler: &mut H) {
        let over =
            self.with_connection(index, handler, |tcp, shared, out| tcp.flush(loss, shared, out));
        self.settle(index, over, handler);
    }

    /// Brings the lists up to date after holes were given up between packets.
    /// A flow that goes on keeps its place among the idle ones: that goes by its
    /// last packet alone, or time-outs would depend on what else is in the table.
    fn settle<H: FlowHandler<State = S>>(
        &mut self,
        index: u32,
        over: Option<CloseReason>,
        handler: &mut H,
    ) {
        if let Some(why) = over {
            self.close(index, why, handler);
        }
        self.unlist_waiting(index);
        let Some(slot) = self.slots.get_mut(index) else { return };
        if over.is_some() {
            slot.refile(index, &mut self.idle);
        }
        slot.update_waiting(index, self.clock.now, &self.shared.limits, &mut self.waiting);
        slot.recharge(index, handler, &mut self.weights);
    }

    fn unlist_waiting(&mut self, index: u32) {
        if self.slots.get_mut(index).and_then(|slot| slot.check_at.take()).is_some() {
            self.waiting.remove(0, index);
        }
    }

    fn with_connection<H: FlowHandler<State = S>, R>(
        &mut self,
        index: u32,
        handler: &mut H,
        act: impl FnOnce(&mut Connection, &mut Shared, &mut Delivery<'_, H>) -> Option<R>,
    ) -> Option<R> {
        match self.slots.get_mut(index)? {
            Slot { tcp: Some(tcp), state, info, .. } => {
                act(tcp, &mut self.shared, &mut Delivery { handler, state, info, side: Side::Low })
            }
            Slot { tcp: None, .. } => None,
        }
    }

    /// How long a flow may be without a packet.
    const fn patience(&self, class: Class) -> i64 {
        self.timeouts[class as usize]
    }

    /// Of the flows at the front of their class, for which `eligible` holds,
    /// the one whose last packet is longest ago.
    fn longest_idle(&self, eligible: impl Fn(Class, i64) -> bool) -> Option<u32> {
        let fronts = Class::ALL.into_iter().filter_map(|class| {
            let index = self.idle.front(class as usize)?;
            let slot = self.slots.get(index)?;
            eligible(class, slot.seen).then_some((slot.ordinal, index))
        });
        fronts.min().map(|(_, index)| index)
    }

    /// Evicts a flow if the table is full. Flows that are over go first; then
    /// those of a class that holds more than its share, so that a flood of SYN
    /// segments or of datagrams pushes out itself; then the longest idle.
    fn make_room<H: FlowHandler<State = S>>(&mut self, handler: &mut H) {
        let max = self.shared.limits.max_flows.max(1);
        while self.slots.len() >= max {
            let shares = [(Class::Closed, 0), (Class::Opening, max / 4), (Class::Udp, max / 2)];
            let crowded = shares
                .into_iter()
                .find(|&(class, share)| self.idle.len(class as usize) > share)
                .and_then(|(class, _)| self.idle.front(class as usize));
            match crowded.or_else(|| self.longest_idle(|_, _| true)) {
                Some(index) => self.remove(index, CloseReason::Evicted, handler),
                None => return,
            }
        }
    }

    /// Takes a flow out of the table, after ending it if it is not over.
    fn remove<H: FlowHandler<State = S>>(&mut self, index: u32, why: CloseReason, handler: &mut H) {
        self.close(index, why, handler);
        self.unlist_waiting(index);
        let Some(slot) = self.slots.remove(index) else { return };
        self.idle.remove(slot.class as usize, index);
        self.unlist(slot.hash, index);
        if let Some(moved) = slot.moved {
            self.unlist(moved.hash, index);
        }
    }

    /// Ends a flow once: hands on what is held, tells the handler, and frees
    /// everything but what absorbs late segments.
    fn close<H: FlowHandler<State = S>>(&mut self, index: u32, why: CloseReason, handler: &mut H) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.rests = false;
        if std::mem::replace(&mut slot.closed, true) {
            return;
        }
        let finished = self.with_connection(index, handler, |tcp, shared, out| {
            let whole = tcp.flush(Loss::AtEnd, shared, out);
            tcp.release(shared);
            whole.or(tcp.is_half_over().then_some(CloseReason::Finished))
        });
        let why = if why == CloseReason::Reset { why } else { finished.unwrap_or(why) };
        let Some(slot) = self.slots.get_mut(index) else { return };
        if let Some(state) = slot.state.take() {
            handler.closed(state, &slot.info, why);
        }
        self.weights.update(index, std::mem::take(&mut slot.charge), 0);
        let counters = &mut self.shared.counters;
        *match why {
            CloseReason::Finished => &mut counters.flows_finished,
            CloseReason::Reset => &mut counters.flows_reset,
            CloseReason::TimedOut => &mut counters.flows_timed_out,
            CloseReason::Reused => &mut counters.flows_reused,
            CloseReason::Evicted => &mut counters.flows_evicted,
            CloseReason::InputEnd => &mut counters.flows_open_at_end,
        } += 1;
    }
}

impl<S> Slot<S> {
    /// Takes note of when the last packet came.
    #[inline]
    const fn note(&mut self, at: Moment, now: i64) {
        self.seen = now;
        self.time = at.packet_time;
        self.ordinal = at.ordinal;
    }

    /// Whether there is nothing to do for a segment that neither opens nor ends anything but
    /// to take note of it.
    fn may_rest(&self) -> bool {
        let under_way = self.tcp.as_ref().is_some_and(Connection::is_under_way);
        under_way
            && !self.closed
            && self.check_at.is_none()
            && self.charge <= LIGHT
            && self.info.dismissed() == [true; 2]
    }

    /// Whether the flow is between these endpoints, or goes on there.
    #[inline]
    fn is_at(&self, key: &FlowKey) -> bool {
        self.info.key() == key || self.moved.as_ref().is_some_and(|moved| moved.key == *key)
    }

    /// Who sent a packet of the flow, by the flow's own key.
    fn sender(&self, packet: &PacketKey) -> Side {
        match &self.moved {
            Some(moved) if moved.turned && *self.info.key() != packet.key => packet.sender.other(),
            _ => packet.sender,
        }
    }

    /// Takes note of what the state owns now.
    fn recharge<H: FlowHandler<State = S>>(
        &mut self,
        index: u32,
        handler: &H,
        weights: &mut Weights,
    ) {
        let now = self.state.as_ref().map_or(0, |state| handler.memory(state));
        let before = std::mem::replace(&mut self.charge, now);
        if before > 0 || now > 0 {
            weights.update(index, before, now);
        }
    }

    /// Moves the flow to the back of the list of its class.
    fn refile(&mut self, index: u32, idle: &mut Lists<{ Class::COUNT }>) {
        let class = match &self.tcp {
            None => Class::Udp,
            Some(tcp) if tcp.is_over() || tcp.is_half_over() => Class::Closed,
            Some(tcp) if tcp.is_opening() => Class::Opening,
            Some(_) => Class::Established,
        };
        if class == self.class {
            idle.move_to_back(class as usize, index);
        } else {
            idle.remove(self.class as usize, index);
            idle.push_back(class as usize, index);
            self.class = class;
        }
    }

    /// Lists or unlists the flow as one that waits behind a hole.
    fn update_waiting(
        &mut self,
        index: u32,
        now: i64,
        limits: &FlowLimits,
        waiting: &mut Lists<1>,
    ) {
        let waits = self.tcp.as_ref().is_some_and(Connection::is_waiting);
        match (waits, self.check_at) {
            (true, None) => {
                self.check_at = Some(now.saturating_add(nanos(limits.hole_patience)));
                waiting.push_back(0, index);
            }
            (false, Some(_)) => {
                self.check_at = None;
                waiting.remove(0, index);
            }
            _ => {}
        }
    }
}

/// A packet with what the engine adds to it.
struct Arrival<'a> {
    at: Moment,
    key: &'a PacketKey,
    packet: &'a Packet<'a>,
}

/// Whether a TCP segment without a flow opens one: a bare ACK, FIN or RST is
/// the rest of something that was over or is of no interest.
fn opens_flow(packet: &Packet<'_>, header: &TcpHeader) -> bool {
    !header.flags.contains(TcpFlags::RST)
        && (header.flags.contains(TcpFlags::SYN) || carries_payload(packet))
}

/// A hash as wide as the index wants it.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
