//! A conversation: what one MCP client does with one MCP server endpoint.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::event::{FlowFacts, Identity, Implementation, MessageFacts, Volume};
use super::pace::MessageRate;
use super::verdict::Verdict;
use crate::findings::{Confidence, HttpColumns, McpTransport, MessageKind, TlsColumns};
use crate::flow::PacketRef;
use crate::stream::{Direction, ExchangeId};
use crate::time::Timestamp;

/// Methods told apart in one conversation; the rest is counted together.
const MAX_METHODS: usize = 256;
/// Tools remembered of one conversation.
const MAX_TOOLS: usize = 1024;
/// Requests of one conversation that may wait for an answer.
const MAX_PENDING: usize = 1024;
/// Answers of one conversation that came before their request, as far as is known.
const MAX_EARLY_ANSWERS: usize = 64;
/// Messages within which the request of such an answer must come.
const EARLY_BY: u64 = 64;
/// Under this name go the methods beyond [`MAX_METHODS`].
const OTHER_METHODS: &str = "(other)";

/// Names a conversation: a count in order of first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConversationId(pub(super) u64);

/// What a request asked for, kept until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) name: Option<String>,
}

impl Asked {
    /// Bytes that it takes while it waits.
    fn memory(&self) -> usize {
        ENTRY + self.method.len() + self.name.as_ref().map_or(0, String::len)
    }
}

/// Bytes that the id of a request takes, once where it is looked up and once in the
/// order of their coming.
fn waiting_key_memory((_, id): &(Direction, String)) -> usize {
    2 * (ENTRY + id.len())
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Waiting {
    place: Option<Place>,
    asked: Asked,
}

/// An answer whose request was not seen before it: that may have been held up by a loss
/// on another connection.
#[derive(Debug)]
struct Early {
    key: (Direction, String),
    error: bool,
    /// Messages of the conversation up to it.
    at: u64,
}

/// An exchange: its flow, and which one of the flow.
pub(super) type Place = (u64, ExchangeId);

/// Messages of one method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) responses: u64,
    pub(super) errors: u64,
}

/// The state of one conversation. Before its first message it is tentative: a
/// flow with signals that may turn out to be MCP.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) origin: Arc<FlowFacts>,
    /// Count of conversations that began on the same flow before this one.
    pub(super) ordinal: u32,
    pub(super) first: PacketRef,
    pub(super) last: PacketRef,
    /// When it was first seen, by table time.
    pub(super) begun: Timestamp,
    /// When it was last seen, by table time.
    pub(super) seen: Timestamp,
    pub(super) verdict: Verdict,
    /// Highest confidence that has been reported.
    pub(super) reported: Option<Confidence>,
    pub(super) evidence: Option<String>,
    pub(super) http: HttpColumns,
    pub(super) tls: TlsColumns,
    /// Name of the server, as the client had learnt it from DNS; in rows of a look-up,
    /// the name that was looked up.
    pub(super) server_name: Option<String>,
    pub(super) identity: Option<Identity>,
    pub(super) transport: Option<McpTransport>,
    pub(super) session: Option<String>,
    pub(super) version_asked: Option<String>,
    pub(super) version_agreed: Option<String>,
    pub(super) client: Option<Implementation>,
    pub(super) server: Option<Implementation>,
    pub(super) methods: BTreeMap<String, Tally>,
    pub(super) tools: BTreeSet<String>,
    pub(super) volume: Volume,
    pub(super) overlap_conflict: bool,
    pub(super) messages: u64,
    /// Flows that are open and last carried this conversation.
    pub(super) open_flows: u32,
    pub(super) progress: Progress,
    /// Rows of its messages.
    pub(super) rate: MessageRate,
    /// When it is to be summed up next, as there is news.
    pub(super) summary_due: Option<Timestamp>,
    /// When it last was.
    pub(super) summarised: Option<Timestamp>,
    /// Clients that share a conversation may have used the same id at once; the
    /// exchange then tells their requests apart.
    pending: HashMap<(Direction, String), VecDeque<Waiting>>,
    pending_order: VecDeque<(Direction, String)>,
    early: VecDeque<Early>,
    /// What methods, tools and requests that wait take.
    gathered: usize,
    /// What it took when it was last looked at.
    pub(super) charge: usize,
}

/// What an entry of a map takes beside its texts.
const ENTRY: usize = 64;

/// How far the conversation has come; tells apart the conversations of clients
/// that look alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// A client asked to initialise or discover.
    pub(super) opened: bool,
    /// The client said `notifications/initialized`.
    pub(super) initialized: bool,
    /// The server gave a result.
    pub(super) answered: bool,
    /// The server refused so far (HTTP status or JSON-RPC error).
    pub(super) refused: bool,
    /// The last number that the client used as a request id.
    pub(super) last_request: Option<i64>,
    /// Numbers that the server answered.
    pub(super) answers: Answers,
}

/// Ids that were answered: the highest, and which of those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    highest: Option<i64>,
    /// Bit `n` stands for the highest less `n`.
    before: u64,
}

impl Answers {
    fn note(&mut self, id: i64) {
        let ahead = match self.highest {
            Some(highest) => id.saturating_sub(highest),
            None => i64::MAX,
        };
        let shift = |by: i64| u32::try_from(by).ok();
        if ahead > 0 {
            self.before = shift(ahead).and_then(|by| self.before.checked_shl(by)).unwrap_or(0) | 1;
            self.highest = Some(id);
        } else if let Some(bit) = shift(ahead.saturating_neg()).and_then(|by| 1_u64.checked_shl(by))
        {
            self.before |= bit;
        }
    }

    /// Whether the same client can have asked with this id as well.
    fn admit(&self, id: i64) -> bool {
        let Some(highest) = self.highest else { return true };
        let behind = u32::try_from(highest.saturating_sub(id));
        id > highest || behind.is_ok_and(|by| by < u64::BITS && self.before & (1 << by) == 0)
    }
}

impl Conversation {
    pub(super) fn new(origin: Arc<FlowFacts>, ordinal: u32, at: PacketRef) -> Self {
        Self {
            origin,
            ordinal,
            first: at,
            last: at,
            begun: Timestamp::MIN,
            seen: Timestamp::MIN,
            verdict: Verdict::default(),
            reported: None,
            evidence: None,
            http: HttpColumns::default(),
            tls: TlsColumns::default(),
            server_name: None,
            identity: None,
            transport: None,
            session: None,
            version_asked: None,
            version_agreed: None,
            client: None,
            server: None,
            methods: BTreeMap::new(),
            tools: BTreeSet::new(),
            volume: Volume::default(),
            overlap_conflict: false,
            messages: 0,
            open_flows: 0,
            progress: Progress::default(),
            rate: MessageRate::default(),
            summary_due: None,
            summarised: None,
            pending: HashMap::new(),
            pending_order: VecDeque::new(),
            early: VecDeque::new(),
            gathered: 0,
            charge: 0,
        }
    }

    /// Bytes that it takes, about.
    pub(super) fn memory(&self) -> usize {
        /// Where it began, its place among the others, and what is always there.
        const REST: usize = 1024;
        let texts =
            [&self.evidence, &self.server_name, &self.session, &self.http.path, &self.tls.sni];
        let texts: usize = texts.into_iter().flatten().map(String::capacity).sum();
        size_of::<Self>() + REST + texts + self.gathered
    }

    /// Whether nothing but signals has been seen of it.
    pub(super) fn is_tentative(&self) -> bool {
        self.messages == 0 && self.session.is_none()
    }

    /// Whether its opening came to nothing, so that the client's next attempt
    /// is still the same conversation (a refused token, an unknown revision).
    pub(super) fn awaits_retry(&self) -> bool {
        self.progress.refused && !self.progress.answered
    }

    /// Whether the same client may be speaking: two that give different names
    /// are two.
    pub(super) fn may_be_client(&self, name: Option<&Implementation>) -> bool {
        match (&self.client, name) {
            (Some(known), Some(name)) => known.name == name.name,
            _ => true,
        }
    }

    /// Whether the head of the answer to its opening was not seen as far as is known:
    /// the session id that the server gave may be yet unknown.
    pub(super) fn awaits_session(&self) -> bool {
        self.progress.opened
            && !(self.progress.answered && self.progress.initialized)
            && !self.progress.refused
            && self.session.is_none()
    }

    /// Whether a message with this request id would carry on where it stands.
    pub(super) fn continues_with(&self, message: &MessageFacts) -> bool {
        if message.method.as_deref() == Some("notifications/initialized") {
            return self.progress.opened && !self.progress.initialized;
        }
        let id = message.id.as_deref().and_then(|id| id.parse::<i64>().ok());
        match (id, self.progress.last_request) {
            (Some(id), Some(last)) => last.checked_add(1) == Some(id),
            _ => false,
        }
    }

    /// Whether nothing was seen of it that its client said.
    pub(super) fn is_unclaimed(&self) -> bool {
        !self.is_tentative()
            && self.session.is_none()
            && self.transport == Some(McpTransport::StreamableHttp)
            && self.client.is_none()
            && !self.progress.opened
            && !self.progress.initialized
            && self.progress.last_request.is_none()
    }

    /// Whether the answer to a request that was not seen may belong to it: one without
    /// sessions, to whose ids this one can be added.
    pub(super) fn may_have_asked(&self, id: Option<&str>) -> bool {
        let id = id.and_then(|id| id.parse().ok());
        !self.is_tentative()
            && self.session.is_none()
            && self.transport == Some(McpTransport::StreamableHttp)
            && id.is_none_or(|id| self.progress.answers.admit(id))
    }

    /// Takes in a message that came in the exchange at `place`, and returns what
    /// the request asked for that it answers, if it is an answer; `awaited` is
    /// that request's id where the exchange tells it.
    pub(super) fn take(
        &mut self,
        direction: Direction,
        message: &MessageFacts,
        place: Option<Place>,
        awaited: Option<&str>,
    ) -> Option<Asked> {
        self.messages += 1;
        match message.kind {
            MessageKind::Request | MessageKind::Notification => {
                self.take_call(direction, message, place);
                None
            }
            MessageKind::Response | MessageKind::Error => {
                self.take_answer(direction, message, place, awaited)
            }
        }
    }

    fn take_call(&mut self, direction: Direction, message: &MessageFacts, place: Option<Place>) {
        let Some(method) = &message.method else { return };
        self.tally(method).requests += 1;
        if let (Some(id), MessageKind::Request) = (&message.id, message.kind)
            && !self.is_answered_early(direction, id, method)
        {
            let asked = Asked { method: method.clone(), name: message.name.clone() };
            self.await_answer((direction, id.clone()), Waiting { place, asked });
        }
        if direction == Direction::ToClient {
            return;
        }
        let progress = &mut self.progress;
        match method.as_str() {
            "initialize" | "server/discover" => progress.opened = true,
            "notifications/initialized" => progress.initialized = true,
            _ => {}
        }
        if let Some(id) = message.id.as_deref().and_then(|id| id.parse().ok()) {
            progress.last_request = Some(id);
        }
        if let ("tools/call", Some(name)) = (method.as_str(), &message.name)
            && self.tools.len() < MAX_TOOLS
            && self.tools.insert(name.clone())
        {
            self.gathered += ENTRY + name.len();
        }
        adopt(&mut self.version_asked, message.protocol_version.as_ref());
        adopt(&mut self.client, message.client.as_ref());
    }

    fn take_answer(
        &mut self,
        direction: Direction,
        message: &MessageFacts,
        place: Option<Place>,
        awaited: Option<&str>,
    ) -> Option<Asked> {
        if direction == Direction::ToClient {
            match message.kind {
                MessageKind::Response => self.progress.answered = true,
                _ if !self.progress.answered => self.progress.refused = true,
                _ => {}
            }
            if let Some(id) = message.id.as_deref().and_then(|id| id.parse().ok()) {
                self.progress.answers.note(id);
            }
            adopt(&mut self.version_agreed, message.protocol_version.as_ref());
            adopt(&mut self.server, message.server.as_ref());
        }
        let key = (direction.reverse(), awaited.or(message.id.as_deref())?.to_owned());
        let error = message.kind == MessageKind::Error;
        let Some(asked) = self.answered(&key, place) else {
            self.keep_early(Early { key, error, at: self.messages });
            return None;
        };
        let tally = self.tally(&asked.method);
        *if error { &mut tally.errors } else { &mut tally.responses } += 1;
        Some(asked)
    }

    fn keep_early(&mut self, early: Early) {
        self.gathered += waiting_key_memory(&early.key);
        self.early.push_back(early);
        while let Some(oldest) = self.early.front()
            && (self.early.len() > MAX_EARLY_ANSWERS || self.messages - oldest.at > EARLY_BY)
        {
            self.gathered = self.gathered.saturating_sub(waiting_key_memory(&oldest.key));
            self.early.pop_front();
        }
    }

    /// Whether the answer to a request came before it, which is then counted.
    fn is_answered_early(&mut self, direction: Direction, id: &str, method: &str) -> bool {
        let recent = |early: &Early| self.messages - early.at <= EARLY_BY;
        let is_it = |early: &Early| early.key.0 == direction && early.key.1 == id && recent(early);
        let Some(early) = self.early.iter().position(is_it).and_then(|at| self.early.remove(at))
        else {
            return false;
        };
        self.gathered = self.gathered.saturating_sub(waiting_key_memory(&early.key));
        let tally = self.tally(method);
        *if early.error { &mut tally.errors } else { &mut tally.responses } += 1;
        true
    }

    /// Whether a request of that id in that direction waits for an answer.
    pub(super) fn awaits(&self, direction: Direction, id: &str) -> bool {
        self.pending.contains_key(&(direction, id.to_owned()))
    }

    /// The request that an answer is for: that of its own exchange, else the last
    /// one with that id.
    fn answered(&mut self, key: &(Direction, String), place: Option<Place>) -> Option<Asked> {
        let waiting = self.pending.get_mut(key)?;
        let own = waiting.iter().rposition(|waiting| waiting.place == place);
        let at = own.or(waiting.len().checked_sub(1))?;
        let Waiting { asked, .. } = waiting.remove(at)?;
        if waiting.is_empty() {
            self.pending.remove(key);
        }
        self.gathered = self.gathered.saturating_sub(asked.memory());
        Some(asked)
    }

    fn await_answer(&mut self, key: (Direction, String), waiting: Waiting) {
        self.gathered += waiting.asked.memory() + waiting_key_memory(&key);
        self.pending.entry(key.clone()).or_default().push_back(waiting);
        self.pending_order.push_back(key);
        while self.pending_order.len() > MAX_PENDING {
            let Some(oldest) = self.pending_order.pop_front() else { return };
            self.gathered = self.gathered.saturating_sub(waiting_key_memory(&oldest));
            let Entry::Occupied(mut entry) = self.pending.entry(oldest) else { continue };
            if let Some(forgotten) = entry.get_mut().pop_front() {
                self.gathered = self.gathered.saturating_sub(forgotten.asked.memory());
            }
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    fn tally(&mut self, method: &str) -> &mut Tally {
        let known = self.methods.contains_key(method) || self.methods.len() < MAX_METHODS;
        let name = if known { method } else { OTHER_METHODS };
        if !self.methods.contains_key(name) {
            self.gathered += ENTRY + name.len();
        }
        self.methods.entry(name.to_owned()).or_default()
    }

    /// Takes over all that another conversation had gathered, as it proved to be
    /// part of this one.
    pub(super) fn absorb(&mut self, mut other: Conversation) {
        self.messages += other.messages;
        adopt(&mut self.client, other.client.as_ref());
        adopt(&mut self.server, other.server.as_ref());
        adopt(&mut self.version_asked, other.version_asked.as_ref());
        adopt(&mut self.version_agreed, other.version_agreed.as_ref());
        self.progress.opened |= other.progress.opened;
        self.progress.initialized |= other.progress.initialized;
        self.progress.answered |= other.progress.answered;
        for (method, tally) in &other.methods {
            let sum = self.tally(method);
            sum.requests += tally.requests;
            sum.responses += tally.responses;
            sum.errors += tally.errors;
        }
        let room = MAX_TOOLS.saturating_sub(self.tools.len());
        for tool in other.tools.into_iter().take(room) {
            self.gathered += ENTRY + tool.len();
            self.tools.insert(tool);
        }
        for key in other.pending_order {
            if let Some(waiting) = other.pending.get_mut(&key).and_then(VecDeque::pop_front) {
                self.await_answer(key, waiting);
            }
        }
        self.verdict.merge(&other.verdict);
        if other.first.time < self.first.time {
            self.first = other.first;
        }
        self.reported = self.reported.max(other.reported);
        self.evidence = self.evidence.take().or(other.evidence);
        self.volume.to_server += other.volume.to_server;
        self.volume.to_client += other.volume.to_client;
        self.volume.packets += other.volume.packets;
        self.overlap_conflict |= other.overlap_conflict;
    }
}

/// Remembers the first value that was said.
fn adopt<T: Clone>(slot: &mut Option<T>, value: Option<&T>) {
    if slot.is_none() {
        *slot = value.cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::SourceId;
    use crate::decode::TunnelPath;
    use crate::detect::event::Weight;
    use crate::flow::Protocol;

    fn conversation() -> Conversation {
        let first = PacketRef { source: SourceId(0), number: 1, time: Timestamp::MIN };
        let flow = FlowFacts {
            id: 0,
            client: "192.0.2.1:50000".parse().unwrap(),
            server: "192.0.2.2:8000".parse().unwrap(),
            protocol: Protocol::Tcp,
            community_id: String::new(),
            tunnel: TunnelPath::default(),
            first,
        };
        Conversation::new(Arc::new(flow), 0, first)
    }

    fn message(kind: MessageKind, id: &str, method: Option<&str>) -> MessageFacts {
        MessageFacts {
            kind,
            weight: Weight::Proof,
            proof: None,
            modern: false,
            id: Some(id.to_owned()),
            method: method.map(str::to_owned),
            name: None,
            error_code: None,
            protocol_version: None,
            client: None,
            server: None,
            excerpt: String::new(),
        }
    }

    fn ask(conversation: &mut Conversation, flow: u64, id: &str, method: &str) {
        let message = message(MessageKind::Request, id, Some(method));
        conversation.take(Direction::ToServer, &message, Some((flow, ExchangeId(0))), None);
    }

    fn answer(conversation: &mut Conversation, flow: u64, id: &str) -> Option<String> {
        let message = message(MessageKind::Response, id, None);
        let place = Some((flow, ExchangeId(0)));
        conversation.take(Direction::ToClient, &message, place, None).map(|asked| asked.method)
    }

    #[test]
    fn requests_with_the_same_id_are_told_apart_by_their_exchange() {
        let mut conversation = conversation();
        ask(&mut conversation, 1, "7", "tools/list");
        ask(&mut conversation, 2, "7", "tools/call");
        ask(&mut conversation, 3, "7", "prompts/list");
        assert_eq!(answer(&mut conversation, 1, "7").as_deref(), Some("tools/list"));
        assert_eq!(answer(&mut conversation, 9, "7").as_deref(), Some("prompts/list"));
        assert_eq!(answer(&mut conversation, 2, "7").as_deref(), Some("tools/call"));
        assert_eq!(answer(&mut conversation, 2, "7"), None);
        assert!(conversation.pending.is_empty());
    }

    #[test]
    fn answers_that_come_first_are_counted_with_their_request() {
        let mut conversation = conversation();
        assert_eq!(answer(&mut conversation, 1, "7"), None);
        ask(&mut conversation, 2, "8", "ping");
        ask(&mut conversation, 2, "7", "tools/list");
        assert_eq!(conversation.methods["tools/list"].responses, 1);
        assert!(!conversation.awaits(Direction::ToServer, "7"));
        // Not long after, when the id may be another's.
        assert_eq!(answer(&mut conversation, 1, "9"), None);
        for _ in 0..=EARLY_BY {
            ask(&mut conversation, 3, "10", "ping");
        }
        ask(&mut conversation, 2, "9", "prompts/list");
        assert!(conversation.awaits(Direction::ToServer, "9"));
        for id in 100..300 {
            answer(&mut conversation, 1, &id.to_string());
        }
        assert_eq!(conversation.early.len(), MAX_EARLY_ANSWERS);
    }

    #[test]
    fn answers_tell_what_their_client_can_have_asked() {
        let mut answers = Answers::default();
        assert!(answers.admit(5));
        for id in [5, 8, 6] {
            answers.note(id);
        }
        let admitted: Vec<i64> = (0..12).filter(|id| answers.admit(*id)).collect();
        assert_eq!(admitted, [0, 1, 2, 3, 4, 7, 9, 10, 11]);
        answers.note(500);
        assert!(answers.admit(499) && !answers.admit(500) && !answers.admit(400));
        answers.note(i64::MIN);
        answers.note(i64::MAX);
        assert!(!answers.admit(500) && answers.admit(i64::MAX - 1));
    }

    #[test]
    fn what_is_absorbed_still_waits_for_its_answer() {
        let mut refused = conversation();
        ask(&mut refused, 1, "6", "tools/list");
        let mut held = conversation();
        held.absorb(refused);
        assert!(held.awaits(Direction::ToServer, "6"));
        assert_eq!(answer(&mut held, 1, "6").as_deref(), Some("tools/list"));
        assert_eq!(held.methods["tools/list"].responses, 1);
    }

    #[test]
    fn requests_that_are_never_answered_are_forgotten() {
        let mut conversation = conversation();
        for id in 0..MAX_PENDING + 10 {
            ask(&mut conversation, 1, &(id % (MAX_PENDING + 5)).to_string(), "ping");
        }
        let waiting: usize = conversation.pending.values().map(VecDeque::len).sum();
        assert_eq!(waiting, MAX_PENDING);
        assert_eq!(answer(&mut conversation, 1, "9"), None);
    }
}
