//! Which conversation a request, an answer or another message belongs to: what is
//! known of it in, the conversation, if there is one, out.

use super::Collector;
use super::flow::{Message, is_answer};
use super::keys::{identity_key, opening_key, session_keys, sessionless_key};
use crate::detect::conversation::{Conversation, ConversationId};
use crate::detect::event::{Carrier, FlowFacts, Implementation, RequestFacts, Weight};
use crate::detect::index::Key;
use crate::findings::Confidence;
use crate::flow::PacketRef;
use crate::stream::Direction;

/// Conversations of clients that look alike, tried for a message without a
/// session.
pub(super) const MAX_CANDIDATES: usize = 256;

impl Collector {
    /// The conversation that a request's head names, if it is known.
    pub(super) fn find_by_request(&self, id: u64, facts: &RequestFacts) -> Option<ConversationId> {
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
    pub(super) fn find_session(
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

    /// The conversation of a response whose request was not captured, or not all of it.
    pub(super) fn session_of_response(
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

    /// The conversation that a message belongs to; one is opened where the
    /// message is enough to say that there is one.
    pub(super) fn conversation_for(
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
    pub(super) fn conversation_of_opening(
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
    pub(super) fn find_retried(
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
    pub(super) fn find_sessionless(
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
    pub(super) fn may_lack_session(
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

    pub(super) fn sessionless_candidates(
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
    pub(super) fn conversation_of_answer(
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
    pub(super) fn find_awaiting(
        &self,
        flow: &FlowFacts,
        message: &Message,
    ) -> Option<ConversationId> {
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
    pub(super) fn find_unclaimed(&self, id: u64) -> Option<ConversationId> {
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
    pub(super) fn find_unasked(
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
