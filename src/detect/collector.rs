//! The collector: events of all shards in, in order; findings out.
//!
//! One collector sees all conversations. It joins what belongs together (a
//! legacy SSE answer comes on another connection, a session id returns on
//! many), pairs answers with requests, keeps each conversation's verdict, and
//! writes rows in the order of the packets that caused them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::conversation::{Conversation, ConversationId};
use super::event::{
    Carrier, Event, FlowFacts, Implementation, MessageFacts, Observation, RequestFacts,
    ResponseFacts, TlsFacts, Volume, Weight,
};
use super::index::{Index, Key, endpoint_of, host_of};
use super::rows::{MessageRow, RowWriter};
use crate::counters;
use crate::findings::{
    Auth, Confidence, FindingSink, HttpColumns, McpTransport, MessageKind, TlsColumns,
};
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
/// Requests of one exchange that may wait for an answer.
const MAX_ASKED: usize = 256;
/// Conversations of clients that look alike, tried for a message without a
/// session.
const MAX_CANDIDATES: usize = 256;

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

#[derive(Debug)]
struct FlowEntry {
    facts: Arc<FlowFacts>,
    tls: TlsColumns,
    /// The conversation that the flow carried last.
    conversation: Option<ConversationId>,
    exchanges: BTreeMap<ExchangeId, Exchange>,
    early: VecDeque<Early>,
    volume: Volume,
    conversations_begun: u32,
}

#[derive(Debug, Default)]
struct Exchange {
    request: Option<Box<RequestFacts>>,
    response: Option<Box<ResponseFacts>>,
    conversation: Option<ConversationId>,
    /// Ids of the requests in the exchange that its response is to answer.
    asked: Vec<String>,
}

#[derive(Debug)]
struct Early {
    at: PacketRef,
    message: Message,
}

/// A message with where it came.
#[derive(Debug)]
struct Message {
    exchange: Option<ExchangeId>,
    direction: Direction,
    carrier: Carrier,
    facts: Box<MessageFacts>,
    signals: Vec<SignatureIndex>,
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
    /// of these.
    pub(crate) fn renew(&mut self, policy: Policy, signatures: Arc<SignatureSet>) {
        let indices = self.rows.renew(policy, signatures);
        for conversation in self.conversations.values_mut() {
            conversation.verdict.renumber(&indices);
        }
        for early in self.flows.values_mut().flat_map(|flow| &mut flow.early) {
            let signals = std::mem::take(&mut early.message.signals);
            let new = |old: SignatureIndex| indices.get(old.index()).copied().flatten();
            early.message.signals = signals.into_iter().filter_map(new).collect();
        }
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

    /// The conversation that a request's head names, if it is known.
    fn find_by_request(&self, id: u64, facts: &RequestFacts) -> Option<ConversationId> {
        let flow = &self.flows.get(&id)?.facts;
        if let Some(session) = &facts.session {
            return self.find_session(flow, Some(facts), session);
        }
        let session = facts.legacy_session.clone()?;
        self.index.find(&Key::LegacySession {
            client: flow.client.ip(),
            server: flow.server,
            session,
        })
    }

    /// The conversation with that session: by the host, or by the server's address
    /// where one of them was seen without a host.
    fn find_session(
        &self,
        flow: &FlowFacts,
        request: Option<&RequestFacts>,
        session: &str,
    ) -> Option<ConversationId> {
        let [by_host, by_address] = session_keys(flow, request, session);
        let named = request.is_some_and(|request| request.authority.is_some());
        self.index.find(&by_host).or_else(|| {
            self.index.find(&by_address).filter(|found| {
                let found = self.conversations.get(found);
                !named || found.is_some_and(|found| found.http.host.is_none())
            })
        })
    }

    /// A request with a session id that is not known: the answer that gave it
    /// was not seen. If an opening waits for its session id, it is this one.
    fn open_session(&mut self, id: u64, at: PacketRef, facts: &RequestFacts) -> ConversationId {
        let waiting = self
            .sessionless_candidates(id, Some(facts))
            .into_iter()
            .find(|c| self.conversations.get(c).is_some_and(Conversation::awaits_session));
        let conversation = match waiting {
            Some(conversation) => conversation,
            None => self.promote_or_open(id, at),
        };
        self.bind_session(id, conversation, facts.session.as_deref(), Some(facts));
        if let Some(conversation) = self.conversations.get_mut(&conversation) {
            conversation.transport.get_or_insert(McpTransport::StreamableHttp);
        }
        conversation
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

    /// A request that was refused (an unknown session, no session at all) began
    /// no conversation of its own where its client holds another one with the
    /// same server.
    fn fold_refused(
        &mut self,
        id: u64,
        exchange: ExchangeId,
        refused: ConversationId,
    ) -> ConversationId {
        let Some(state) = self.conversations.get(&refused) else { return refused };
        if state.progress.answered || state.progress.opened || state.open_flows > 1 {
            return refused;
        }
        let Some(flow) = self.flows.get(&id) else { return refused };
        let request = flow.exchanges.get(&exchange).and_then(|e| e.request.as_deref());
        let key = opening_key(&flow.facts, request);
        let held = self.index.candidates(&key).rev().take(MAX_CANDIDATES).find(|c| {
            *c != refused && self.conversations.get(c).is_some_and(|c| c.progress.answered)
        });
        match held {
            Some(held) => self.fold(id, refused, held),
            None => refused,
        }
    }

    /// An opening whose answer names a session that is known already was overtaken by
    /// what followed it: both are one conversation.
    fn join_session(
        &mut self,
        id: u64,
        opened: ConversationId,
        session: &str,
        request: Option<&RequestFacts>,
    ) -> ConversationId {
        let flow = self.flows.get(&id);
        let held = flow.and_then(|flow| {
            let keys = session_keys(&flow.facts, request, session);
            keys.iter().find_map(|key| self.index.candidates(key).find(|held| *held != opened))
        });
        let begun = |id: ConversationId| {
            self.conversations.get(&id).is_some_and(|state| state.progress.opened)
        };
        match held {
            Some(held) if begun(opened) && !begun(held) => self.fold(id, opened, held),
            _ => opened,
        }
    }

    /// Makes one conversation, which the flow carried last, a part of another.
    fn fold(&mut self, id: u64, one: ConversationId, held: ConversationId) -> ConversationId {
        let Some(state) = self.forget(one) else { return one };
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.conversation = None;
            for entry in flow.exchanges.values_mut() {
                if entry.conversation == Some(one) {
                    entry.conversation = Some(held);
                }
            }
        }
        if let Some(held) = self.conversations.get_mut(&held) {
            held.absorb(state);
        }
        self.bind(id, held);
        held
    }

    /// The conversation of a response whose request was not captured, or not all of it.
    fn session_of_response(
        &mut self,
        id: u64,
        at: PacketRef,
        session: &str,
        request: Option<&RequestFacts>,
    ) -> ConversationId {
        let flow = self.flows.get(&id);
        match flow.and_then(|flow| self.find_session(&flow.facts, request, session)) {
            Some(conversation) => conversation,
            None => self.promote_or_open(id, at),
        }
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

    /// The conversation that a message belongs to; one is opened where the
    /// message is enough to say that there is one.
    fn conversation_for(
        &mut self,
        id: u64,
        at: PacketRef,
        message: &Message,
    ) -> Option<ConversationId> {
        let exchange = self.exchange(id, message.exchange);
        // Unless it was summed up early, to make room.
        if let Some(conversation) = exchange.and_then(|exchange| exchange.conversation)
            && self.conversations.contains_key(&conversation)
        {
            return Some(conversation);
        }
        if message.direction == Direction::ToClient || is_answer(&message.facts) {
            return self.conversation_of_answer(id, at, message);
        }
        let request = exchange.and_then(|exchange| exchange.request.clone());
        if matches!(message.facts.method.as_deref(), Some("initialize" | "server/discover")) {
            return (message.facts.weight >= Weight::Nominated)
                .then(|| self.conversation_of_opening(id, at, message, request.as_deref()));
        }
        let found = self.find_sessionless(id, message, request.as_deref());
        if let Some(found) = found
            && self.conversations.get(&found).is_some_and(|found| found.session.is_none())
        {
            self.index_message(id, found, message, request.as_deref());
        }
        if found.is_some() || message.facts.weight < Weight::Nominated {
            return found;
        }
        let conversation = match self.find_unclaimed(id) {
            Some(conversation) => conversation,
            None => self.promote_or_open(id, at),
        };
        self.index_message(id, conversation, message, request.as_deref());
        Some(conversation)
    }

    /// A new conversation begins, unless the client tries again after a refusal.
    fn conversation_of_opening(
        &mut self,
        id: u64,
        at: PacketRef,
        message: &Message,
        request: Option<&RequestFacts>,
    ) -> ConversationId {
        let client = message.facts.client.as_ref();
        let conversation = match self.find_retried(id, request, client) {
            Some(conversation) => conversation,
            None => self.promote_or_open(id, at),
        };
        self.index_message(id, conversation, message, request);
        if let Some(flow) = self.flows.get(&id) {
            self.index.insert(opening_key(&flow.facts, request), conversation);
        }
        conversation
    }

    /// The conversation that the same client opened and was refused.
    fn find_retried(
        &self,
        id: u64,
        request: Option<&RequestFacts>,
        client: Option<&Implementation>,
    ) -> Option<ConversationId> {
        let flow = self.flows.get(&id)?;
        let key = opening_key(&flow.facts, request);
        let openings = self.index.candidates(&key).rev().take(MAX_CANDIDATES);
        flow.conversation.into_iter().chain(openings).find(|c| {
            let state = self.conversations.get(c);
            state.is_some_and(|c| c.awaits_retry() && c.may_be_client(client))
        })
    }

    /// A call without a session id: of the stateless revision by the client's
    /// name, else of the same connection, else by where the ids have come to.
    fn find_sessionless(
        &self,
        id: u64,
        message: &Message,
        request: Option<&RequestFacts>,
    ) -> Option<ConversationId> {
        let flow = self.flows.get(&id)?;
        if let Some(key) = identity_key(&flow.facts, message, request)
            && let Some(found) = self.index.find(&key)
        {
            return Some(found);
        }
        let usable = |c: &ConversationId| {
            self.conversations.get(c).is_some_and(|c| !c.is_tentative() && c.session.is_none())
        };
        let on_flow = flow.conversation.filter(usable);
        if message.carrier != Carrier::Body {
            return flow
                .conversation
                .filter(|c| self.conversations.get(c).is_some_and(|c| !c.is_tentative()));
        }
        let candidates = self.sessionless_candidates(id, request);
        let continued = |c: &ConversationId| {
            self.conversations.get(c).is_some_and(|c| c.continues_with(&message.facts))
        };
        on_flow
            .filter(continued)
            .or_else(|| candidates.iter().copied().find(continued))
            .or(on_flow)
            .or_else(|| candidates.last().copied())
            .or_else(|| flow.conversation.filter(|c| self.may_lack_session(*c, message, request)))
    }

    /// Whether a request without a session id may belong to a conversation that has
    /// one: after a loss, HTTP/2 can no longer tell all fields.
    fn may_lack_session(
        &self,
        id: ConversationId,
        message: &Message,
        request: Option<&RequestFacts>,
    ) -> bool {
        let Some(conversation) = self.conversations.get(&id) else { return false };
        !conversation.is_tentative()
            && !message.facts.modern
            && request.is_none_or(|request| is_at(conversation, request))
    }

    fn sessionless_candidates(
        &self,
        id: u64,
        request: Option<&RequestFacts>,
    ) -> Vec<ConversationId> {
        let Some(flow) = self.flows.get(&id) else { return Vec::new() };
        let key = sessionless_key(&flow.facts, request);
        let newest = self.index.candidates(&key).rev().take(MAX_CANDIDATES);
        let mut candidates: Vec<ConversationId> = newest.collect();
        candidates.reverse();
        candidates
    }

    /// An answer, or a call by the server, in an exchange whose request said
    /// nothing: the flow's conversation, else the one that waits for it.
    fn conversation_of_answer(
        &mut self,
        id: u64,
        at: PacketRef,
        message: &Message,
    ) -> Option<ConversationId> {
        let flow = self.flows.get(&id)?;
        let orphan = message.carrier == Carrier::EventStream || message.carrier == Carrier::Body;
        if orphan && let Some(found) = self.find_awaiting(&flow.facts, message) {
            return Some(found);
        }
        let on_flow = flow.conversation.filter(|c| {
            self.conversations
                .get(c)
                .is_some_and(|c| c.verdict.confidence() >= Some(Confidence::Likely))
        });
        if orphan && let Some(found) = self.find_unasked(id, on_flow, message) {
            return Some(found);
        }
        if on_flow.is_some() || message.facts.weight < Weight::Nominated {
            return on_flow;
        }
        let conversation = self.promote_or_open(id, at);
        let exchange = self.exchange(id, message.exchange);
        let request = exchange.and_then(|exchange| exchange.request.clone());
        if request.as_ref().is_some_and(|request| request.legacy_session.is_some()) {
            self.index_message(id, conversation, message, request.as_deref());
        }
        Some(conversation)
    }

    /// The conversation of the same client and server that waits for an answer
    /// with this id, if there is just one (a legacy SSE stream whose opening was
    /// not captured).
    fn find_awaiting(&self, flow: &FlowFacts, message: &Message) -> Option<ConversationId> {
        let rpc_id = message.facts.id.as_deref()?;
        if !is_answer(&message.facts) {
            return None;
        }
        let mut waiting = self.by_age.iter().rev().take(MAX_CANDIDATES).filter_map(|(_, id)| {
            let conversation = self.conversations.get(id)?;
            let same = conversation.origin.client.ip() == flow.client.ip()
                && conversation.origin.server == flow.server;
            (same && conversation.awaits(message.direction.reverse(), rpc_id)).then_some(*id)
        });
        let found = waiting.next()?;
        waiting.next().is_none().then_some(found)
    }

    /// The conversation of the same client and server of which only answers were seen:
    /// the capture began behind their requests.
    fn find_unclaimed(&self, id: u64) -> Option<ConversationId> {
        let flow = &self.flows.get(&id)?.facts;
        let recent = self.by_age.iter().rev().take(MAX_CANDIDATES).map(|(_, id)| *id);
        recent.into_iter().find(|id| {
            self.conversations.get(id).is_some_and(|conversation| {
                conversation.origin.client.ip() == flow.client.ip()
                    && conversation.origin.server == flow.server
                    && conversation.is_unclaimed()
            })
        })
    }

    /// The conversation of the same client and server that an answer without a session
    /// carries on, its request not captured: that of the flow, else the last.
    fn find_unasked(
        &self,
        id: u64,
        on_flow: Option<ConversationId>,
        message: &Message,
    ) -> Option<ConversationId> {
        if !is_answer(&message.facts) {
            return None;
        }
        let flow = &self.flows.get(&id)?.facts;
        // The answer to an opening begins another conversation, unless it was held up by
        // a loss and overtaken by what followed it.
        let opens = matches!(message.facts.proof, Some("initialize_result" | "discover_result"));
        let overtook = |conversation: &Conversation| {
            conversation.server.is_none()
                && !conversation.progress.opened
                && conversation.first.time >= flow.first.time
        };
        let exchange = self.exchange(id, message.exchange);
        let request = exchange.and_then(|exchange| exchange.request.as_deref());
        let fits = |id: &ConversationId| {
            self.conversations.get(id).is_some_and(|conversation| {
                conversation.origin.client.ip() == flow.client.ip()
                    && conversation.origin.server == flow.server
                    && conversation.may_have_asked(message.facts.id.as_deref())
                    && (!opens || overtook(conversation))
                    && request.is_none_or(|request| is_at(conversation, request))
            })
        };
        let recent = self.by_age.iter().rev().take(MAX_CANDIDATES).map(|(_, id)| *id);
        on_flow.into_iter().chain(recent).find(fits)
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

    /// The conversation a flow carries; a tentative one if it carries none.
    fn conversation_of_flow(&mut self, id: u64, at: PacketRef) -> ConversationId {
        match self.flows.get(&id).and_then(|flow| flow.conversation) {
            Some(conversation) if self.conversations.contains_key(&conversation) => conversation,
            _ => self.open(id, at),
        }
    }

    /// The flow's tentative conversation, now taken for a real one, or a new one.
    fn promote_or_open(&mut self, id: u64, at: PacketRef) -> ConversationId {
        let tentative = self
            .flows
            .get(&id)
            .and_then(|flow| flow.conversation)
            .filter(|c| self.conversations.get(c).is_some_and(Conversation::is_tentative));
        match tentative {
            Some(conversation) => conversation,
            None => self.open(id, at),
        }
    }

    fn open(&mut self, id: u64, at: PacketRef) -> ConversationId {
        let conversation = ConversationId(self.next);
        let Some(flow) = self.flows.get_mut(&id) else { return conversation };
        self.next += 1;
        self.counters.conversations += 1;
        let ordinal = flow.conversations_begun;
        flow.conversations_begun += 1;
        let mut state = Conversation::new(Arc::clone(&flow.facts), ordinal, at);
        state.tls = flow.tls.clone();
        let (client, server) = (flow.facts.client.ip(), flow.facts.server.ip());
        state.server_name = self.names.name_of(client, server, self.now).map(str::to_owned);
        (state.begun, state.seen) = (self.now, self.now);
        state.charge = state.memory();
        self.memory += state.charge;
        self.conversations.insert(conversation, state);
        self.by_age.insert((self.now, conversation));
        self.bind(id, conversation);
        conversation
    }

    /// Makes the flow carry `conversation`; a tentative one that it carried is
    /// absorbed.
    fn bind(&mut self, id: u64, conversation: ConversationId) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let before = flow.conversation.replace(conversation);
        if before == Some(conversation) {
            return;
        }
        if let Some(state) = self.conversations.get_mut(&conversation) {
            state.open_flows += 1;
        }
        let Some(before) = before else { return };
        let Some(old) = self.conversations.get_mut(&before) else { return };
        old.open_flows = old.open_flows.saturating_sub(1);
        if old.is_tentative()
            && let Some(old) = self.forget(before)
            && let Some(state) = self.conversations.get_mut(&conversation)
        {
            state.absorb(old);
        }
    }

    fn bind_session(
        &mut self,
        id: u64,
        conversation: ConversationId,
        session: Option<&str>,
        request: Option<&RequestFacts>,
    ) {
        let (Some(flow), Some(session)) = (self.flows.get(&id), session) else { return };
        let Some(state) = self.conversations.get_mut(&conversation) else { return };
        if state.session.is_some() {
            return;
        }
        state.session = Some(session.to_owned());
        for key in session_keys(&flow.facts, request, session) {
            self.index.insert(key, conversation);
        }
        self.index.remove_sessionless(conversation);
    }

    fn index_message(
        &mut self,
        id: u64,
        conversation: ConversationId,
        message: &Message,
        request: Option<&RequestFacts>,
    ) {
        let Some(flow) = self.flows.get(&id) else { return };
        if !matches!(message.carrier, Carrier::Body) {
            return;
        }
        if let Some(session) = request.and_then(|request| request.legacy_session.clone()) {
            let key = Key::LegacySession {
                client: flow.facts.client.ip(),
                server: flow.facts.server,
                session,
            };
            self.index.insert(key, conversation);
            return;
        }
        if let Some(key) = identity_key(&flow.facts, message, request) {
            self.index.insert(key, conversation);
        }
        self.index.insert(sessionless_key(&flow.facts, request), conversation);
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

impl FlowEntry {
    fn new(facts: Arc<FlowFacts>) -> Self {
        Self {
            facts,
            tls: TlsColumns::default(),
            conversation: None,
            exchanges: BTreeMap::new(),
            early: VecDeque::new(),
            volume: Volume::default(),
            conversations_begun: 0,
        }
    }
}

impl Exchange {
    /// Whether the server refused the request.
    fn is_refusal(&self) -> bool {
        self.response.as_deref().is_some_and(|response| response.status >= 400)
    }

    /// Whether the response looks like a file's.
    fn is_download(&self) -> bool {
        self.response.as_deref().is_some_and(|response| response.validators)
    }
}

impl Exchange {
    /// Notes the request in a body; of the answer to it, the id it should have.
    /// A server that could not make out the request answers with an id of its
    /// own, or with none.
    fn awaited(&mut self, message: &Message) -> Option<String> {
        let id = message.facts.id.as_ref();
        match (message.direction, message.facts.kind) {
            (Direction::ToServer, MessageKind::Request) => {
                if self.asked.len() < MAX_ASKED {
                    self.asked.extend(id.cloned());
                }
                None
            }
            (Direction::ToClient, MessageKind::Response | MessageKind::Error) => {
                match id.and_then(|id| self.asked.iter().position(|asked| asked == id)) {
                    Some(at) => Some(self.asked.swap_remove(at)),
                    None if self.asked.len() == 1 => self.asked.pop(),
                    None => None,
                }
            }
            _ => None,
        }
    }
}

/// Whether the request is for what the conversation is with, as far as is known.
fn is_at(conversation: &Conversation, request: &RequestFacts) -> bool {
    let http = &conversation.http;
    let same = |known: &Option<String>, asked: Option<&str>| {
        known.as_deref().is_none_or(|known| asked.is_none_or(|asked| asked == known))
    };
    let path = Some(&*request.path).filter(|path| !path.is_empty());
    same(&http.host, request.authority.as_deref()) && same(&http.path, path)
}

fn is_answer(message: &MessageFacts) -> bool {
    matches!(message.kind, MessageKind::Response | MessageKind::Error)
}

/// Takes from a message and its exchange what describes the conversation.
fn describe(conversation: &mut Conversation, exchange: Option<&Exchange>, message: &Message) {
    let request = exchange.and_then(|exchange| exchange.request.as_deref());
    let legacy = request.is_some_and(|request| request.legacy_session.is_some());
    conversation.transport.get_or_insert(match message.carrier {
        Carrier::WebSocket => McpTransport::WebSocket,
        Carrier::Raw => McpTransport::Raw,
        Carrier::Body | Carrier::EventStream if legacy => McpTransport::HttpSse,
        Carrier::Body | Carrier::EventStream => McpTransport::StreamableHttp,
    });
    let Some(request) = request else { return };
    // What hinted at MCP on the connection before, such as a look at OAuth
    // metadata, is not where the server is. A legacy stream is.
    let first = conversation.messages == 1 && conversation.transport != Some(McpTransport::HttpSse);
    if first || conversation.http.path.is_none() {
        conversation.http = exchange.map(exchange_columns).unwrap_or_default();
    }
    if conversation.version_asked.is_none() {
        conversation.version_asked.clone_from(&request.protocol_version);
    }
    let told = conversation.identity.as_ref().is_some_and(|identity| identity.auth != Auth::None);
    if !told {
        conversation.identity = Some(request.identity.clone());
    }
}

/// Weighs a message into the conversation's verdict.
fn weigh(conversation: &mut Conversation, message: &Message) {
    match message.facts.weight {
        Weight::Rpc | Weight::Weak => return,
        Weight::Nominated => conversation.verdict.nominate(),
        // `plausible` has kept out results that were merely downloaded.
        Weight::Result | Weight::Proof => {
            conversation.verdict.proof(message.facts.proof.unwrap_or("mcp_message"));
        }
    }
    if conversation.reported < conversation.verdict.confidence() {
        conversation.evidence = Some(message.facts.excerpt.clone());
    }
}

fn request_line(request: &RequestFacts) -> String {
    let authority = request.authority.as_deref().unwrap_or("");
    format!("{} {authority}{}", request.method, request.path)
}

fn request_columns(request: &RequestFacts) -> HttpColumns {
    HttpColumns {
        version: Some(request.version.as_str()),
        method: Some(request.method.clone()),
        scheme: request.scheme.clone(),
        host: request.authority.clone(),
        path: Some(request.path.clone()).filter(|path| !path.is_empty()),
        status: None,
        user_agent: request.user_agent.clone(),
    }
}

fn exchange_columns(exchange: &Exchange) -> HttpColumns {
    let mut columns = exchange.request.as_deref().map(request_columns).unwrap_or_default();
    let status = exchange.response.as_deref().map(|response| response.status);
    columns.status = status.filter(|status| *status > 0);
    columns
}

fn session_keys(flow: &FlowFacts, request: Option<&RequestFacts>, session: &str) -> [Key; 2] {
    let client = flow.client.ip();
    let session = session.to_owned();
    [
        Key::Session { client, host: host_of(flow, request), session: session.clone() },
        Key::SessionAt { client, server: flow.server, session },
    ]
}

fn identity_key(
    flow: &FlowFacts,
    message: &Message,
    request: Option<&RequestFacts>,
) -> Option<Key> {
    if !message.facts.modern {
        return None;
    }
    let name = match &message.facts.client {
        Some(client) => client.clone(),
        None => Implementation {
            name: request.and_then(|request| request.user_agent.clone()).unwrap_or_default(),
            version: String::new(),
        },
    };
    Some(Key::Identity { client: flow.client.ip(), endpoint: endpoint_of(flow, request), name })
}

fn opening_key(flow: &FlowFacts, request: Option<&RequestFacts>) -> Key {
    Key::Opening {
        client: flow.client.ip(),
        host: host_of(flow, request),
        user_agent: request.and_then(|request| request.user_agent.clone()).unwrap_or_default(),
    }
}

fn sessionless_key(flow: &FlowFacts, request: Option<&RequestFacts>) -> Key {
    Key::Sessionless {
        client: flow.client.ip(),
        endpoint: endpoint_of(flow, request),
        user_agent: request.and_then(|request| request.user_agent.clone()).unwrap_or_default(),
    }
}
