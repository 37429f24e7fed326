//! The observer of a shard: streams of its flows in, events out.
//!
//! It runs the signature automata over the fields of every exchange and looks
//! into bodies. Of most exchanges nothing is kept beyond their end; what may be
//! MCP becomes an [`Event`] for the collector.

use std::sync::Arc;

use super::body::{BodyCounters, Document};
use super::event::{Event, FlowFacts, Observation, Order, Phase, Volume};
use super::names::NameWatch;
use super::view::{FlowSink, View, Watched};
use crate::capture::Pressure;
use crate::counters;
use crate::engine::Statistics;
use crate::flow::{CloseReason, FlowHandler, FlowInfo, FlowKey};
use crate::signature::{HitSet, Matcher, SignatureIndex, SignatureIndexSet};
use crate::stream::coding::{CodingCounters, CodingLimits};
use crate::stream::dns::{DnsParser, ResolutionBuilder, looks_like_dns};
use crate::stream::quic::{self, Quic, QuicDirectory};
use crate::stream::tls::KeyStore;
use crate::stream::{Connection, Direction, StreamCounters, StreamLimits};

/// Buffers of each kind kept for reuse.
const POOL: usize = 256;

counters! {
    /// What the observer saw.
    pub struct ObserverCounters {
        /// Flows with payload.
        flows,
        /// Flows whose sides were swapped because a request came from the
        /// presumed server.
        reversed,
        /// Requests.
        requests,
        /// Final responses.
        responses,
        /// Requests and responses whose head was cut.
        incomplete_heads,
        /// Heads with framing that two readers may understand differently.
        ambiguous_framing,
        /// WebSocket messages.
        websocket_messages,
        /// Event streams that began like a legacy MCP endpoint.
        legacy_endpoints,
        /// Signatures that hit.
        signals,
        /// Encrypted connections not followed under overload beyond their first message.
        encrypted_shed,
        /// Exchanges not watched because a connection had too many open.
        exchanges_dropped,
        /// Events for the collector.
        events,
    }
}

/// Bounds of the observer's memory and work.
#[derive(Clone, Copy, Debug)]
pub struct ObserverLimits {
    /// Identifiers of QUIC connections by which a datagram is known that comes from
    /// somewhere else.
    pub paths: usize,
    /// Protocols over a stream.
    pub stream: StreamLimits,
    /// Decompression.
    pub coding: CodingLimits,
}

impl Default for ObserverLimits {
    fn default() -> Self {
        Self { paths: 64 * 1024, stream: StreamLimits::default(), coding: CodingLimits::default() }
    }
}

/// What the flow table keeps of a flow for the observer.
#[derive(Debug)]
pub(crate) struct FlowState {
    connection: Connection,
    /// The QUIC connection, where the datagrams are one.
    quic: Option<Box<Quic>>,
    view: View,
}

/// Watches the flows of one shard.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(super) matcher: Arc<Matcher>,
    pub(super) keys: Arc<KeyStore>,
    pub(super) limits: ObserverLimits,
    #[expect(clippy::vec_box, reason = "boxes go in and out of the pool as they are")]
    pub(super) pool: Vec<Box<Watched>>,
    #[expect(clippy::vec_box, reason = "boxes go in and out of the pool as they are")]
    pub(super) documents: Vec<Box<Document>>,
    pub(super) scratch: Scratch,
    pub(super) counters: ObserverCounters,
    pub(super) bodies: BodyCounters,
    pub(super) coding: CodingCounters,
    pub(super) stream: StreamCounters,
    /// Flows by the identifiers of their QUIC connections.
    pub(super) paths: QuicDirectory<FlowKey>,
    dns: DnsParser,
    resolutions: ResolutionBuilder,
    /// Every request is told of.
    pub(super) http_log: bool,
    /// What is to be left out.
    pub(super) pressure: Pressure,
    events: Vec<Event>,
    /// The signatures that hit, whether or not the parsers bear them out; only
    /// where they were asked for.
    trace: Option<Box<SignatureIndexSet>>,
    ordinal: u64,
    phase: Phase,
    sequence: u32,
}

/// Buffers for the fields of the head that is looked at.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) path: Vec<u8>,
}

impl Observer {
    pub(crate) fn new(matcher: Arc<Matcher>, keys: Arc<KeyStore>, limits: ObserverLimits) -> Self {
        Self {
            matcher,
            keys,
            limits,
            pool: Vec::with_capacity(POOL),
            documents: Vec::with_capacity(POOL),
            scratch: Scratch::default(),
            counters: ObserverCounters::default(),
            bodies: BodyCounters::default(),
            coding: CodingCounters::default(),
            stream: StreamCounters::default(),
            paths: QuicDirectory::new(limits.paths),
            dns: DnsParser::new(),
            resolutions: ResolutionBuilder::new(),
            http_log: false,
            pressure: Pressure::None,
            events: Vec::new(),
            trace: None,
            ordinal: 0,
            phase: Phase::Tick,
            sequence: 0,
        }
    }

    /// Whether to tell of every request.
    pub(crate) fn with_http_log(mut self, wanted: bool) -> Self {
        self.http_log = wanted;
        self
    }

    /// What follows is caused by the packet of that ordinal, or happens before
    /// it. If that comes late, it counts to what was told before: the order of what is
    /// told of a flow stays.
    pub(crate) fn at(&mut self, ordinal: u64, phase: Phase) {
        if ordinal < self.ordinal {
            return;
        }
        self.ordinal = ordinal;
        self.phase = phase;
        self.sequence = 0;
    }

    /// From here on these signatures are looked for.
    pub(crate) fn set_matcher(&mut self, matcher: Arc<Matcher>) {
        self.matcher = matcher;
    }

    /// From here on these keys are there.
    pub(crate) fn set_keys(&mut self, keys: Arc<KeyStore>) {
        self.keys = keys;
    }

    /// From here on so much is left out.
    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// From here on notes every signature that hits.
    pub(crate) fn trace(&mut self) {
        self.trace = Some(Box::default());
    }

    /// The signatures that hit since the last call, where they are noted. Those
    /// of an exchange are known at its end.
    pub(crate) fn take_trace(&mut self) -> SignatureIndexSet {
        self.trace.as_deref_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    pub(super) fn note_signals(&mut self, signals: &[SignatureIndex]) {
        if let Some(trace) = &mut self.trace {
            for &signal in signals {
                trace.insert(signal);
            }
        }
    }

    fn note_hits(&mut self, hits: &HitSet) {
        if self.is_traced() {
            let matcher = Arc::clone(&self.matcher);
            let signals: Vec<_> = matcher.signals(hits).collect();
            self.note_signals(&signals);
        }
    }

    /// Adds what was counted.
    pub(crate) fn add_to(&self, statistics: &mut Statistics) {
        statistics.observer.merge(&self.counters);
        statistics.body.merge(&self.bodies);
        statistics.coding.merge(&self.coding);
        statistics.stream.merge(&self.stream);
        statistics.stream.dns.merge(self.dns.counters());
    }

    /// Reports an observation on a flow.
    pub(super) fn report(&mut self, flow: &FlowInfo, view: &mut View, what: Observation) {
        let facts = view.facts.get_or_insert_with(|| Arc::new(facts_of(flow)));
        let event = Event {
            order: Order {
                ordinal: self.ordinal,
                phase: self.phase,
                flow: flow.id(),
                sequence: self.sequence,
            },
            at: flow.packet(),
            flow: Arc::clone(facts),
            volume: Volume {
                to_server: flow.bytes(Direction::ToServer),
                to_client: flow.bytes(Direction::ToClient),
                packets: flow.packets(),
            },
            what,
        };
        self.sequence += 1;
        self.counters.events += 1;
        self.events.push(event);
    }
}

fn facts_of(flow: &FlowInfo) -> FlowFacts {
    FlowFacts {
        id: flow.id(),
        client: flow.client(),
        server: flow.server(),
        protocol: flow.protocol(),
        community_id: flow.community_id(),
        tunnel: flow.tunnel(),
        first: flow.first_packet(),
    }
}

impl FlowHandler for Observer {
    type State = FlowState;

    fn opened(&mut self, _flow: &mut FlowInfo) -> FlowState {
        self.counters.flows += 1;
        let connection = Connection::new(self.limits.stream);
        FlowState { connection, quic: None, view: View::default() }
    }

    fn data(
        &mut self,
        state: &mut FlowState,
        flow: &mut FlowInfo,
        direction: Direction,
        data: &[u8],
    ) {
        let FlowState { connection, view, .. } = state;
        connection.feed(direction, data, &mut FlowSink { observer: self, flow, view });
    }

    fn gap(&mut self, state: &mut FlowState, flow: &mut FlowInfo, direction: Direction, len: u64) {
        let FlowState { connection, view, .. } = state;
        connection.gap(direction, len, &mut FlowSink { observer: self, flow, view });
    }

    fn end(&mut self, state: &mut FlowState, flow: &mut FlowInfo, direction: Direction) {
        let FlowState { connection, view, .. } = state;
        connection.end(direction, &mut FlowSink { observer: self, flow, view });
    }

    fn datagram(
        &mut self,
        state: &mut FlowState,
        flow: &mut FlowInfo,
        direction: Direction,
        data: &[u8],
        _missing: u32,
    ) {
        let FlowState { quic, view, .. } = state;
        if quic.is_none() && looks_like_dns(data, flow.server_port()) {
            // What came before damage counts; the damage is counted.
            return self.dns(view, flow, direction, |parser, watch| {
                let _ = parser.message(data, watch);
            });
        }
        if quic.is_none() && quic::probe(data) {
            *quic = Some(Box::new(Quic::new(self.limits.stream.quic)));
        }
        let Some(quic) = quic else { return flow.dismiss() };
        let keys = Arc::clone(&self.keys);
        quic.datagram(direction, data, &keys, &mut FlowSink { observer: self, flow, view });
        if quic.nothing_more() {
            flow.dismiss();
        }
    }

    fn moved(&mut self, datagram: &[u8]) -> Option<(FlowKey, Direction)> {
        if self.paths.is_empty() {
            return None;
        }
        self.paths.find(datagram)
    }

    fn memory(&self, state: &FlowState) -> usize {
        let quic = state.quic.as_ref().map_or(0, |quic| size_of::<Quic>() + quic.memory());
        state.connection.memory() + quic + state.view.memory()
    }

    fn closed(&mut self, state: FlowState, flow: &FlowInfo, _why: CloseReason) {
        let FlowState { mut connection, quic, mut view } = state;
        let mut flow = flow.clone();
        let (flow, view) = (&mut flow, &mut view);
        if let Some(mut quic) = quic {
            quic.close(&mut FlowSink { observer: self, flow, view });
            self.stream.quic.merge(quic.counters());
            self.stream.http3.merge(&quic.http3_counters());
        }
        connection.close(&mut FlowSink { observer: self, flow, view });
        if view.facts.is_some() {
            let overlap_conflict = flow.has_overlap_conflict();
            self.report(flow, view, Observation::FlowEnd { overlap_conflict });
        }
        for watched in view.exchanges.drain(..) {
            self.recycle(watched);
        }
    }
}

impl Observer {
    /// DNS messages that `read` takes in: names that are looked for, and what
    /// they stand for.
    pub(super) fn dns(
        &mut self,
        view: &mut View,
        flow: &FlowInfo,
        direction: Direction,
        read: impl FnOnce(&mut DnsParser, &mut NameWatch<'_>),
    ) {
        let matcher = Arc::clone(&self.matcher);
        let asker = match direction {
            Direction::ToClient => flow.client(),
            Direction::ToServer => flow.server(),
        };
        let mut watch = NameWatch {
            matcher: &matcher,
            resolutions: &mut self.resolutions,
            asker: asker.ip(),
            names: Vec::new(),
            resolved: Vec::new(),
        };
        read(&mut self.dns, &mut watch);
        let NameWatch { names, resolved, .. } = watch;
        for (name, signals) in names {
            self.note_signals(&signals);
            self.counters.signals += signals.len() as u64;
            self.report(flow, view, Observation::Name { name, signals });
        }
        for resolution in resolved {
            self.report(flow, view, Observation::Resolution(resolution));
        }
    }

    pub(super) fn recycle(&mut self, mut watched: Box<Watched>) {
        self.note_hits(watched.all_hits());
        if self.pool.len() < POOL {
            watched.clear();
            self.pool.push(watched);
        }
    }
}
