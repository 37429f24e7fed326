//! How a conversation is found again when it comes back on another connection.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::conversation::ConversationId;
use super::event::{FlowFacts, Implementation, RequestFacts};

/// What identifies a conversation across connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// `Mcp-Session-Id` (2025-03-26 to 2025-11-25), of one client address at
    /// one host: an id that comes back from elsewhere is another's.
    Session { client: IpAddr, host: String, session: String },
    /// Session parameter of the legacy message endpoint (2024-11-05).
    LegacySession { client: IpAddr, server: SocketAddr, session: String },
    /// Who the client says it is with every request (2026-07-28).
    Identity { client: IpAddr, endpoint: String, name: Implementation },
    /// Who opens, whatever the path: a client that was refused tries again, if
    /// need be over the older transport.
    Opening { client: IpAddr, host: String, user_agent: String },
    /// Neither: a server without sessions, or one whose answer is not yet seen.
    Sessionless { client: IpAddr, endpoint: String, user_agent: String },
}

/// The host a request was for, else the server's address.
pub(super) fn host_of(flow: &FlowFacts, request: Option<&RequestFacts>) -> String {
    match request.and_then(|request| request.authority.as_deref()) {
        Some(authority) => authority.to_owned(),
        None => flow.server.to_string(),
    }
}

/// Host and path: the server endpoint that a conversation is with.
pub(super) fn endpoint_of(flow: &FlowFacts, request: Option<&RequestFacts>) -> String {
    let mut endpoint = host_of(flow, request);
    if let Some(request) = request {
        endpoint.push_str(&request.path);
    }
    endpoint
}

/// Conversations by [`Key`]. Several may share a sessionless key.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_key: HashMap<Key, Vec<ConversationId>>,
    keys_of: HashMap<ConversationId, Vec<Key>>,
}

impl Index {
    /// Lets `id` be found by `key`.
    pub(super) fn insert(&mut self, key: Key, id: ConversationId) {
        let ids = self.by_key.entry(key.clone()).or_default();
        if !ids.contains(&id) {
            ids.push(id);
            self.keys_of.entry(id).or_default().push(key);
        }
    }

    /// Conversations of that key, oldest first.
    pub(super) fn candidates(&self, key: &Key) -> &[ConversationId] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    /// The conversation of a key that names only one.
    pub(super) fn find(&self, key: &Key) -> Option<ConversationId> {
        self.candidates(key).last().copied()
    }

    /// Forgets a conversation.
    pub(super) fn remove(&mut self, id: ConversationId) {
        for key in self.keys_of.remove(&id).unwrap_or_default() {
            self.drop_key(&key, id);
        }
    }

    /// A conversation that got a session id is no longer found without one.
    pub(super) fn remove_sessionless(&mut self, id: ConversationId) {
        let Some(keys) = self.keys_of.get_mut(&id) else { return };
        let (gone, kept) =
            std::mem::take(keys).into_iter().partition(|k| matches!(k, Key::Sessionless { .. }));
        *keys = kept;
        let gone: Vec<Key> = gone;
        for key in &gone {
            self.drop_key(key, id);
        }
    }

    fn drop_key(&mut self, key: &Key, id: ConversationId) {
        if let Some(ids) = self.by_key.get_mut(key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}
