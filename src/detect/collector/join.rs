//! Conversations begun, joined to flows, and joined to each other where two turn out
//! to be one.

use std::sync::Arc;

use super::Collector;
use super::find::MAX_CANDIDATES;
use super::flow::Message;
use super::keys::{identity_key, opening_key, session_keys, sessionless_key};
use crate::detect::conversation::{Conversation, ConversationId};
use crate::detect::event::{Carrier, RequestFacts};
use crate::detect::index::Key;
use crate::findings::McpTransport;
use crate::flow::PacketRef;
use crate::stream::ExchangeId;

impl Collector {
    /// A request with a session id that is not known: the answer that gave it
    /// was not seen. If an opening waits for its session id, it is this one.
    pub(super) fn open_session(
        &mut self,
        id: u64,
        at: PacketRef,
        facts: &RequestFacts,
    ) -> ConversationId {
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

    /// A request that was refused (an unknown session, no session at all) began
    /// no conversation of its own where its client holds another one with the
    /// same server.
    pub(super) fn fold_refused(
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
    pub(super) fn join_session(
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
    pub(super) fn fold(
        &mut self,
        id: u64,
        one: ConversationId,
        held: ConversationId,
    ) -> ConversationId {
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

    /// The conversation a flow carries; a tentative one if it carries none.
    pub(super) fn conversation_of_flow(&mut self, id: u64, at: PacketRef) -> ConversationId {
        match self.flows.get(&id).and_then(|flow| flow.conversation) {
            Some(conversation) if self.conversations.contains_key(&conversation) => conversation,
            _ => self.open(id, at),
        }
    }

    /// The flow's tentative conversation, now taken for a real one, or a new one.
    pub(super) fn promote_or_open(&mut self, id: u64, at: PacketRef) -> ConversationId {
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

    pub(super) fn open(&mut self, id: u64, at: PacketRef) -> ConversationId {
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
    pub(super) fn bind(&mut self, id: u64, conversation: ConversationId) {
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

    pub(super) fn bind_session(
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

    pub(super) fn index_message(
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
}
