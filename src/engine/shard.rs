//! A shard: the flows that one worker owns. Packets in, events out.

use std::sync::Arc;

use super::clock::Tick;
use super::plain::Plain;
use super::{Statistics, WorkerCounters};
use crate::capture::{Frame, Pressure};
use crate::decode::Packet;
use crate::detect::{Event, FlowState, Observer, Phase};
use crate::flow::{FlowHasher, FlowLimits, FlowTable, Moment, PacketKey};
use crate::signature::{Matcher, SignatureIndexSet};
use crate::stream::tls::KeyStore;

/// Flows and what observes them.
pub(super) struct Shard {
    table: FlowTable<FlowState>,
    observer: Observer,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("flows", &self.table.len()).finish_non_exhaustive()
    }
}

impl Shard {
    pub(super) fn new(limits: FlowLimits, hasher: FlowHasher, observer: Observer) -> Self {
        Self { table: FlowTable::new(limits, hasher), observer }
    }

    /// Takes in a packet at the moment that the clock shows.
    pub(super) fn on_packet(&mut self, at: Moment, key: &PacketKey, packet: &Packet<'_>) {
        self.observer.at(at.ordinal, Phase::Packet);
        self.table.on_keyed_packet(at, key, packet, &mut self.observer);
    }

    /// Takes in what a plain frame carries at the moment that the clock shows.
    #[inline(always)]
    pub(super) fn on_plain(&mut self, at: Moment, plain: &Plain, frame: &Frame<'_>) {
        self.observer.at(at.ordinal, Phase::Packet);
        let packet = || plain.packet(frame);
        self.table.on_segment(at, &plain.segment(frame), packet, &mut self.observer);
    }

    /// Whether it holds the flow of that key.
    pub(super) fn has(&mut self, key: &PacketKey) -> bool {
        self.table.has(key)
    }

    /// Bytes of streams and datagrams that had to be read so far.
    pub(super) const fn delivered_bytes(&self) -> u64 {
        self.table.counters().delivered_bytes
    }

    /// Whether half of what may be kept of flows is.
    pub(super) fn is_half_full(&self) -> bool {
        self.table.is_half_full()
    }

    /// Ends what has timed out.
    pub(super) fn advance(&mut self, tick: Tick) {
        self.observer.at(tick.ordinal, Phase::Tick);
        self.table.advance(tick.flow_time, &mut self.observer);
    }

    /// Ends all flows.
    pub(super) fn finish(&mut self) {
        self.observer.at(u64::MAX, Phase::Tick);
        self.table.finish(&mut self.observer);
    }

    /// From here on these signatures are looked for.
    pub(super) fn set_matcher(&mut self, matcher: Arc<Matcher>) {
        self.observer.set_matcher(matcher);
    }

    /// From here on these keys are there.
    pub(super) fn set_keys(&mut self, keys: Arc<KeyStore>) {
        self.observer.set_keys(keys);
    }

    /// From here on so much is left out.
    pub(super) fn set_pressure(&mut self, pressure: Pressure) {
        self.observer.set_pressure(pressure);
    }

    /// From here on notes every signature that hits.
    pub(super) fn trace(&mut self) {
        self.observer.trace();
    }

    /// The signatures that hit since the last call, where they are noted.
    pub(super) fn take_trace(&mut self) -> SignatureIndexSet {
        self.observer.take_trace()
    }

    pub(super) fn has_events(&self) -> bool {
        self.observer.has_events()
    }

    /// The events since the last call, in order.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let mut events = self.observer.take_events();
        events.sort_by_key(|event| event.order);
        events
    }

    /// Adds what was counted.
    pub(super) fn add_to(&self, statistics: &mut Statistics) {
        let mut own = Statistics { flow: *self.table.counters(), ..Statistics::default() };
        self.observer.add_to(&mut own);
        own.workers.push(WorkerCounters {
            packets: own.flow.tcp_segments + own.flow.udp_datagrams,
            handed_over: 0,
            flows: self.table.len() as u64,
            flows_evicted: own.flow.flows_evicted,
            heavy_flows_evicted: own.flow.heavy_flows_evicted,
            gaps_capped: own.flow.gaps_capped,
            history_capped: own.flow.history_capped,
            exchanges_dropped: own.observer.exchanges_dropped,
            bodies_capped: own.coding.output_capped + own.coding.ratio_capped,
            bodies_shed: own.body.shed,
            encrypted_shed: own.observer.encrypted_shed,
        });
        statistics.merge(&own);
    }
}
