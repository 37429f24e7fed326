//! The collector: events of all shards in, in order; findings out.
//!
//! One collector sees all conversations. It joins what belongs together (a
//! legacy SSE answer comes on another connection, a session id returns on
//! many), pairs answers with requests, keeps each conversation's verdict, and
//! writes rows in the order of the packets that caused them.

mod describe;
mod find;
mod flow;
mod join;
mod keys;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::describe::{describe, exchange_columns, request_columns, request_line, weigh};
use self::flow::{Early, Exchange, FlowEntry, Message, is_answer};
use super::conversation::{Conversation, ConversationId};
use super::event::{
    Carrier, Event, Observation, Renumbering, RequestFacts, ResponseFacts, TlsFacts, Volume,
};
use super::index::{Index, Key};
use super::rows::{MessageRow, RowWriter};
use crate::counters;
use crate::findings::{FindingSink, McpTransport, MessageKind, TlsColumns};
use crate::flow::PacketRef;
use crate::policy::Policy;
use crate::signature::{SignatureIndex, SignatureSet};
use crate::stream::names::{NameLimits, NameMemory};
use crate::stream::{Direction, ExchangeId};
use crate::time::Timestamp;

/// Exchanges of one flow that are followed at once.
const MAX_EXCHANGES: usize = 1024;
/// Messages kept of a flow until it is known whether it is MCP.
const MAX_EARLY: usize = 32;

counters! {
    /// What the collector did.
    pub struct CollectorCounters {
        /// Conversations begun, tentative ones included.
        conversations,
        /// Conversations forgotten before their time because there were too many.
        conversations_evicted,
        /// JSON-RPC messages attributed to a conversation.
        messages,
        /// Answers whose request was not seen.
        answers_unpaired,
        /// JSON-RPC messages that belonged to no conversation.
        messages_unattributed,
        /// Ways to find a conversation again beyond the number kept of one.
        keys_dropped,
        /// Exchanges forgotten because a flow had too many open.
        exchanges_evicted,
        /// Rows written.
        rows,
        /// Rows of messages left out because a conversation had too many in a second.
        message_rows_limited,
        /// Detections and threats left out because the same was said of the same client
        /// and server too often.
        repeats_limited,
    }
}

/// Bounds of the collector's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectorLimits {
    /// Conversations remembered at once.
    pub conversations: usize,
    /// Memory of all conversations.
    pub memory: usize,
    /// Names of servers remembered from DNS.
    pub names: usize,
    /// Capture time after which a conversation without an open flow is over.
    pub idle: Duration,
}

impl Default for CollectorLimits {
    fn default() -> Self {
        Self {
            conversations: 65_536,
            memory: 512 << 20,
            names: NameLimits::default().max_entries,
            idle: Duration::from_secs(30 * 60),
        }
    }
}

/// Joins events to conversations and writes findings.
#[derive(Debug)]
pub(crate) struct Collector {
    flows: HashMap<u64, FlowEntry>,
    conversations: BTreeMap<ConversationId, Conversation>,
    /// Conversations by time of last sight, for the eviction of the idlest.
    by_age: BTreeSet<(Timestamp, ConversationId)>,
    /// Conversations with news, by the time that they are summed up.
    summaries: BTreeSet<(Timestamp, ConversationId)>,
    index: Index,
    names: NameMemory,
    /// Table time: it never runs back, whatever the times of packets do.
    now: Timestamp,
    /// What all conversations take.
    memory: usize,
    next: u64,
    limits: CollectorLimits,
    rows: RowWriter,
    counters: CollectorCounters,
}

impl Collector {
    pub(crate) fn new(rows: RowWriter, limits: CollectorLimits) -> Self {
        Self {
            flows: HashMap::new(),
            conversations: BTreeMap::new(),
            by_age: BTreeSet::new(),
            summaries: BTreeSet::new(),
            index: Index::default(),
            names: NameMemory::new(NameLimits { max_entries: limits.names }),
            now: Timestamp::MIN,
            memory: 0,
            next: 0,
            limits,
            rows,
            counters: CollectorCounters::default(),
        }
    }

    /// What was done so far.
    pub(crate) fn counters(&self) -> CollectorCounters {
        let mut counters = self.counters;
        counters.rows = self.rows.written();
        counters.repeats_limited = self.rows.repeats();
        counters.keys_dropped = self.index.dropped();
        counters
    }

    /// Takes in the next event in order.
    pub(crate) fn on_event(&mut self, event: Event, sink: &mut dyn FindingSink) {
        let Event { at, flow, volume, what, .. } = event;
        if let Observation::HttpRequest(request) = what {
            return self.rows.http_request(&flow, *request, sink);
        }
        let id = flow.id;
        self.flows.entry(id).or_insert_with(|| FlowEntry::new(flow));
        self.observe(id, at, what, volume, sink);
        self.make_room(sink);
    }

    fn observe(
        &mut self,
        id: u64,
        at: PacketRef,
        what: Observation,
        volume: Volume,
        sink: &mut dyn FindingSink,
    ) {
        match what {
            Observation::Tls { facts, signals } => self.on_tls(id, at, *facts, &signals, sink),
            Observation::Name { name, signals } => {
                let conversation = self.conversation_of_flow(id, at);
                let evidence = format!("DNS name {name}");
                self.look_up(conversation, name);
                self.apply(conversation, at, &signals, &evidence, sink);
            }
            Observation::Resolution(resolution) => self.names.learn(self.now, &resolution),
            Observation::Request { exchange, facts, signals } => {
                self.on_request(id, at, exchange, facts, &signals, sink);
            }
            Observation::Response { exchange, facts, signals } => {
                self.on_response(id, at, exchange, facts, &signals, sink);
            }
            Observation::Endpoint { exchange, session } => {
                self.on_endpoint(id, at, exchange, session);
            }
            Observation::Message { exchange, direction, carrier, message, signals } => {
                let message = Message { exchange, direction, carrier, facts: message, signals };
                self.on_message(id, at, message, sink);
            }
            Observation::Value { exchange, value, signals } => {
                self.on_value(id, at, exchange, &value, &signals, sink);
            }
            Observation::ExchangeEnd { exchange } => {
                if let Some(flow) = self.flows.get_mut(&id) {
                    flow.exchanges.remove(&exchange);
                }
            }
            Observation::HttpRequest(_) => {}
            Observation::FlowEnd { overlap_conflict } => {
                self.attribute(id, volume);
                self.on_flow_end(id, overlap_conflict, sink);
                return;
            }
        }
        self.attribute(id, volume);
    }

    /// Goes over to another policy and other signatures. Every event from here on is
    /// of these. Returns what has come of the signatures that there were.
    pub(crate) fn renew(&mut self, policy: Policy, signatures: Arc<SignatureSet>) -> Renumbering {
        let indices = self.rows.renew(policy, signatures);
        for conversation in self.conversations.values_mut() {
            conversation.verdict.renumber(&indices);
        }
        for early in self.flows.values_mut().flat_map(|flow| &mut flow.early) {
            indices.apply(&mut early.message.signals);
        }
        indices
    }

    /// Table time has come to `now`: conversations that are over are written.
    pub(crate) fn advance(&mut self, now: Timestamp, sink: &mut dyn FindingSink) {
        self.now = now;
        let idle: Vec<ConversationId> = self
            .by_age
            .iter()
            .take_while(|(last, _)| now.since(*last) > self.limits.idle)
            .map(|(_, id)| *id)
            .filter(|id| self.conversations.get(id).is_some_and(|c| c.open_flows == 0))
            .collect();
        for id in idle {
            self.end_conversation(id, sink);
        }
        while let Some((due, id)) = self.summaries.first().copied()
            && due <= now
        {
            self.summaries.pop_first();
            let Some(conversation) = self.conversations.get_mut(&id) else { continue };
            conversation.summary_due = None;
            conversation.summarised = Some(now);
            self.rows.summary(conversation, sink);
        }
    }

    /// There is news of a conversation, which is to be summed up when it is time.
    fn plan_summary(&mut self, id: ConversationId) {
        let Some(interval) = self.rows.pace().summary_interval else { return };
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.summary_due.is_some() {
            return;
        }
        let last = conversation.summarised.unwrap_or(conversation.begun);
        let due = last.after(interval);
        conversation.summary_due = Some(due);
        self.summaries.insert((due, id));
    }

    /// The input is over: every conversation is written, oldest first.
    pub(crate) fn finish(&mut self, sink: &mut dyn FindingSink) {
        for (_, conversation) in std::mem::take(&mut self.conversations) {
            self.rows.conversation(&conversation, sink);
        }
        self.flows.clear();
        self.by_age.clear();
        self.summaries.clear();
        self.index = Index::default();
    }

    fn on_tls(
        &mut self,
        id: u64,
        at: PacketRef,
        facts: TlsFacts,
        signals: &[SignatureIndex],
        sink: &mut dyn FindingSink,
    ) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let sni = facts.sni.clone();
        flow.tls = TlsColumns {
            sni: facts.sni,
            version: facts.version,
            alpn: facts.alpn,
            ja4: facts.ja4,
            decrypted: Some(facts.decrypted),
        };
        let tls = flow.tls.clone();
        if let Some(conversation) = flow.conversation.and_then(|c| self.conversations.get_mut(&c)) {
            conversation.tls = tls;
        }
        if !signals.is_empty() {
            let conversation = self.conversation_of_flow(id, at);
            let excerpt = format!("server name {}", sni.as_deref().unwrap_or(""));
            self.apply(conversation, at, signals, &excerpt, sink);
        }
    }

    fn on_request(
        &mut self,
        id: u64,
        at: PacketRef,
        exchange: ExchangeId,
        facts: Box<RequestFacts>,
        signals: &[SignatureIndex],
        sink: &mut dyn FindingSink,
    ) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if flow.exchanges.len() >= MAX_EXCHANGES {
            flow.exchanges.pop_first();
            self.counters.exchanges_evicted += 1;
        }
        let http = request_columns(&facts);
        let excerpt = request_line(&facts);
        let known = self.find_by_request(id, &facts);
        let conversation = match known {
            Some(conversation) => Some(conversation),
            None if facts.session.is_some() => Some(self.open_session(id, at, &facts)),
            None => None,
        };
        if let Some(conversation) = conversation {
            self.bind(id, conversation);
        }
        if let Some(flow) = self.flows.get_mut(&id) {
            let entry = flow.exchanges.entry(exchange).or_default();
            entry.request = Some(facts);
            entry.conversation = conversation;
        }
        if conversation.is_none() && signals.is_empty() {
            return;
        }
        let conversation = match conversation {
            Some(conversation) => conversation,
            None => self.conversation_of_flow(id, at),
        };
        if let Some(conversation) = self.conversations.get_mut(&conversation)
            && conversation.http.path.is_none()
        {
            conversation.http = http;
        }
        self.apply(conversation, at, signals, &excerpt, sink);
    }

    fn on_response(
        &mut self,
        id: u64,
        at: PacketRef,
        exchange: ExchangeId,
        facts: Box<ResponseFacts>,
        signals: &[SignatureIndex],
        sink: &mut dyn FindingSink,
    ) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let entry = flow.exchanges.entry(exchange).or_default();
        let request = entry.request.take();
        let mut conversation = entry.conversation;
        let status = facts.status;
        let session = facts.session.clone();
        // Neither the request's head nor its body told: they, or a part of them, were
        // not captured.
        if let (None, Some(session)) = (conversation, &session)
            && (request.is_none() || status < 400)
        {
            conversation = Some(self.session_of_response(id, at, session, request.as_deref()));
        }
        // A refusal may carry the id of a session that came to nothing.
        if let (Some(opened), Some(session), ..400) = (conversation, &session, status) {
            self.bind_session(id, opened, Some(session), request.as_deref());
            conversation = Some(self.join_session(id, opened, session, request.as_deref()));
        }
        if let Some(flow) = self.flows.get_mut(&id) {
            let entry = flow.exchanges.entry(exchange).or_default();
            entry.request = request;
            entry.response = Some(facts);
            entry.conversation = conversation;
        }
        if let Some(state) = conversation.and_then(|c| self.conversations.get_mut(&c)) {
            state.http.status = (status > 0).then_some(status);
            state.progress.refused |= status >= 400 && !state.progress.answered;
        }
        if let (Some(refused), 400..) = (conversation, status) {
            conversation = Some(self.fold_refused(id, exchange, refused));
        }
        if signals.is_empty() {
            return;
        }
        let conversation = match conversation {
            Some(conversation) => conversation,
            None => self.conversation_of_flow(id, at),
        };
        self.apply(conversation, at, signals, &format!("response {status}"), sink);
    }

    fn on_endpoint(&mut self, id: u64, at: PacketRef, exchange: ExchangeId, session: String) {
        let request =
            self.exchange(id, Some(exchange)).and_then(|exchange| exchange.request.clone());
        let Some(flow) = self.flows.get(&id) else { return };
        let key = Key::LegacySession {
            client: flow.facts.client.ip(),
            server: flow.facts.server,
            session: session.clone(),
        };
        // What was sent there may have overtaken the event, held up by a loss.
        let known = self.index.find(&key);
        let conversation = match known.or_else(|| self.find_retried(id, request.as_deref(), None)) {
            Some(conversation) => conversation,
            None => self.promote_or_open(id, at),
        };
        self.bind(id, conversation);
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let entry = flow.exchanges.entry(exchange).or_default();
        entry.conversation = Some(conversation);
        let http = entry.request.as_deref().map(request_columns);
        self.index.insert(key, conversation);
        if let Some(conversation) = self.conversations.get_mut(&conversation) {
            conversation.transport = Some(McpTransport::HttpSse);
            conversation.session = Some(session);
            if let Some(http) = http {
                conversation.http = http;
            }
        }
    }

    fn on_value(
        &mut self,
        id: u64,
        at: PacketRef,
        exchange: Option<ExchangeId>,
        value: &str,
        signals: &[SignatureIndex],
        sink: &mut dyn FindingSink,
    ) {
        let exchange = self.exchange(id, exchange);
        let http = exchange.map(exchange_columns);
        let conversation = match exchange.and_then(|exchange| exchange.conversation) {
            Some(conversation) => conversation,
            None => self.conversation_of_flow(id, at),
        };
        if let (Some(http), Some(state)) = (http, self.conversations.get_mut(&conversation))
            && state.http.path.is_none()
        {
            state.http = http;
        }
        self.apply(conversation, at, signals, value, sink);
    }

    fn on_message(&mut self, id: u64, at: PacketRef, message: Message, sink: &mut dyn FindingSink) {
        if !self.plausible(id, &message) {
            return self.on_values(id, at, &message, sink);
        }
        match self.conversation_for(id, at, &message) {
            Some(conversation) => {
                let early = match self.flows.get_mut(&id) {
                    Some(flow) => std::mem::take(&mut flow.early),
                    None => VecDeque::new(),
                };
                for Early { at, message } in early {
                    self.attach(id, at, conversation, message, sink);
                }
                self.attach(id, at, conversation, message, sink);
            }
            None => {
                self.on_values(id, at, &message, sink);
                self.keep_early(id, Early { at, message });
            }
        }
    }

    /// A look-up is about the server that it names, not about who answers it.
    fn look_up(&mut self, conversation: ConversationId, name: String) {
        let Some(state) = self.conversations.get_mut(&conversation) else { return };
        if state.verdict.confidence().is_none() {
            state.server_name = Some(name);
        }
    }

    /// The signals of a message that belongs to no conversation: they count if
    /// they need no message to bear them out.
    fn on_values(&mut self, id: u64, at: PacketRef, message: &Message, sink: &mut dyn FindingSink) {
        let signatures = self.rows.signatures();
        let signals = message.signals.iter().copied();
        let signals: Vec<_> =
            signals.filter(|signal| !signatures.signature(*signal).nominates()).collect();
        if !signals.is_empty() {
            let excerpt = &message.facts.excerpt;
            self.on_value(id, at, message.exchange, excerpt, &signals, sink);
        }
    }

    fn keep_early(&mut self, id: u64, early: Early) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.early.push_back(early);
        if flow.early.len() > MAX_EARLY {
            flow.early.pop_front();
            self.counters.messages_unattributed += 1;
        }
    }

    /// Whether a message can be MCP where it came: a server's call needs an
    /// event stream, and what a GET downloads is no traffic.
    fn plausible(&self, id: u64, message: &Message) -> bool {
        if message.carrier != Carrier::Body {
            return true;
        }
        let exchange = self.exchange(id, message.exchange);
        let method = exchange.and_then(|e| e.request.as_deref()).map(|r| r.method.as_str());
        let by_post = method.is_none_or(|method| method == "POST");
        match (message.direction, message.facts.kind) {
            (Direction::ToServer, _) => by_post,
            (_, MessageKind::Request | MessageKind::Notification) => false,
            // A server may say in JSON-RPC why it refuses a GET or DELETE.
            (_, MessageKind::Error) if !by_post => exchange.is_some_and(Exchange::is_refusal),
            (_, MessageKind::Response | MessageKind::Error) => {
                by_post && (method.is_some() || !exchange.is_some_and(Exchange::is_download))
            }
        }
    }

    fn exchange(&self, id: u64, exchange: Option<ExchangeId>) -> Option<&Exchange> {
        self.flows.get(&id)?.exchanges.get(&exchange?)
    }

    fn attach(
        &mut self,
        id: u64,
        at: PacketRef,
        conversation: ConversationId,
        message: Message,
        sink: &mut dyn FindingSink,
    ) {
        self.bind(id, conversation);
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let Some(state) = self.conversations.get_mut(&conversation) else { return };
        let mut awaited = None;
        let exchange = message.exchange.map(|exchange| {
            let entry = flow.exchanges.entry(exchange).or_default();
            entry.conversation = Some(conversation);
            awaited = entry.awaited(&message);
            &*entry
        });
        let place = message.exchange.map(|exchange| (id, exchange));
        let asked = state.take(message.direction, &message.facts, place, awaited.as_deref());
        self.counters.messages += 1;
        if asked.is_none() && is_answer(&message.facts) {
            self.counters.answers_unpaired += 1;
        }
        state.tls.clone_from(&flow.tls);
        describe(state, exchange, &message);
        weigh(state, &message);
        self.apply(conversation, at, &message.signals, &message.facts.excerpt, sink);
        self.plan_summary(conversation);
        let pace = self.rows.pace();
        let (Some(flow), Some(state)) =
            (self.flows.get(&id), self.conversations.get_mut(&conversation))
        else {
            return;
        };
        if self.rows.tells_of_messages() && !state.rate.admits(at.time, pace.messages) {
            self.counters.message_rows_limited += 1;
            return;
        }
        let exchange = message.exchange.and_then(|exchange| flow.exchanges.get(&exchange));
        let row = MessageRow {
            flow: &flow.facts,
            at,
            http: exchange.map(exchange_columns).unwrap_or_default(),
            direction: message.direction,
            facts: &message.facts,
            asked: asked.as_ref(),
        };
        self.rows.message(state, &row, sink);
    }

    /// Adds signals to a conversation and reports a level when it is first
    /// reached.
    fn apply(
        &mut self,
        id: ConversationId,
        at: PacketRef,
        signals: &[SignatureIndex],
        excerpt: &str,
        sink: &mut dyn FindingSink,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        for signal in signals {
            conversation.verdict.signal(*signal, self.rows.signatures());
        }
        if conversation.evidence.is_none() {
            conversation.evidence = Some(excerpt.to_owned());
        }
        self.by_age.remove(&(conversation.seen, id));
        conversation.last = at;
        conversation.seen = self.now;
        self.by_age.insert((self.now, id));
        let now = conversation.memory();
        let before = std::mem::replace(&mut conversation.charge, now);
        self.memory = (self.memory + conversation.charge).saturating_sub(before);
        let confidence = conversation.verdict.confidence();
        if confidence > conversation.reported {
            conversation.reported = confidence;
            self.rows.detection(conversation, at, sink);
        }
        if self.rows.tells_of(conversation) {
            for threat in conversation.verdict.take_threats() {
                self.rows.threat(conversation, at, threat, excerpt, sink);
            }
        }
    }

    /// Adds what the flow has carried since the last event to the conversation
    /// that it carries now.
    fn attribute(&mut self, id: u64, volume: Volume) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let Some(state) = flow.conversation.and_then(|c| self.conversations.get_mut(&c)) else {
            return;
        };
        state.volume.to_server += volume.to_server.saturating_sub(flow.volume.to_server);
        state.volume.to_client += volume.to_client.saturating_sub(flow.volume.to_client);
        state.volume.packets += volume.packets.saturating_sub(flow.volume.packets);
        flow.volume = volume;
    }

    fn on_flow_end(&mut self, id: u64, overlap_conflict: bool, sink: &mut dyn FindingSink) {
        let Some(flow) = self.flows.remove(&id) else { return };
        self.counters.messages_unattributed += flow.early.len() as u64;
        let Some(conversation) = flow.conversation else { return };
        let Some(state) = self.conversations.get_mut(&conversation) else { return };
        state.open_flows = state.open_flows.saturating_sub(1);
        state.overlap_conflict |= overlap_conflict;
        let over = state.is_tentative() && state.open_flows == 0;
        if over {
            self.end_conversation(conversation, sink);
        }
    }

    /// Sums up the conversations that are longest idle, where there are too many or
    /// they take too much.
    fn make_room(&mut self, sink: &mut dyn FindingSink) {
        while self.conversations.len() > self.limits.conversations
            || self.memory + self.index.memory() > self.limits.memory
        {
            let Some((_, oldest)) = self.by_age.first().copied() else { break };
            self.counters.conversations_evicted += 1;
            self.end_conversation(oldest, sink);
        }
    }

    fn end_conversation(&mut self, id: ConversationId, sink: &mut dyn FindingSink) {
        if let Some(conversation) = self.forget(id) {
            self.rows.conversation(&conversation, sink);
        }
    }

    fn forget(&mut self, id: ConversationId) -> Option<Conversation> {
        let conversation = self.conversations.remove(&id)?;
        if let Some(due) = conversation.summary_due {
            self.summaries.remove(&(due, id));
        }
        self.memory = self.memory.saturating_sub(conversation.charge);
        self.by_age.remove(&(conversation.seen, id));
        self.index.remove(id);
        Some(conversation)
    }
}
