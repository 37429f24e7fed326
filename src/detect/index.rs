//! How a conversation is found again when it comes back on another connection.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::conversation::ConversationId;
use super::event::{FlowFacts, Implementation, RequestFacts};

/// What identifies a conversation across connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// `Mcp-Session-Id` (2025-03-26 to 2025-11-25), of one client address at
    /// one host: an id that comes back from elsewhere is another's.
    Session { client: IpAddr, host: String, session: String },
    /// The same by the server's address, for where no host was captured.
    SessionAt { client: IpAddr, server: SocketAddr, session: String },
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
    by_key: HashMap<Key, VecDeque<ConversationId>>,
    keys_of: HashMap<ConversationId, Vec<Key>>,
    /// What all keys take.
    memory: usize,
    /// Keys beyond the number kept of one conversation.
    dropped: u64,
}

/// Keys kept of one conversation.
const MAX_KEYS: usize = 64;

impl Key {
    /// Bytes that it takes in the index, about.
    fn memory(&self) -> usize {
        /// In both maps, with a place in the list of its conversations.
        const PLACES: usize = 2 * size_of::<Key>() + 64;
        let text = match self {
            Self::Session { host, session, .. } => host.len() + session.len(),
            Self::SessionAt { session, .. } | Self::LegacySession { session, .. } => session.len(),
            Self::Identity { endpoint, name, .. } => {
                endpoint.len() + name.name.len() + name.version.len()
            }
            Self::Opening { host, user_agent, .. } => host.len() + user_agent.len(),
            Self::Sessionless { endpoint, user_agent, .. } => endpoint.len() + user_agent.len(),
        };
        PLACES + 2 * text
    }
}

impl Index {
    /// Lets `id` be found by `key`.
    pub(super) fn insert(&mut self, key: Key, id: ConversationId) {
        let keys = self.keys_of.entry(id).or_default();
        if keys.contains(&key) {
            return;
        }
        if keys.len() >= MAX_KEYS {
            self.dropped += 1;
            return;
        }
        self.memory += key.memory();
        keys.push(key.clone());
        self.by_key.entry(key).or_default().push_back(id);
    }

    /// Bytes that it takes, about.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Keys by which conversations are not found, as they have so many.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Conversations of that key, oldest first.
    pub(super) fn candidates(
        &self,
        key: &Key,
    ) -> impl DoubleEndedIterator<Item = ConversationId> + '_ {
        self.by_key.get(key).into_iter().flatten().copied()
    }

    /// The conversation of a key that names only one.
    pub(super) fn find(&self, key: &Key) -> Option<ConversationId> {
        self.by_key.get(key)?.back().copied()
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
        self.memory = self.memory.saturating_sub(key.memory());
        if let Some(ids) = self.by_key.get_mut(key) {
            // It is the oldest that is forgotten, most of the time: the first.
            if let Some(at) = ids.iter().position(|other| *other == id) {
                ids.remove(at);
            }
            if ids.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        let client = IpAddr::from([192, 0, 2, 1]);
        Key::Session { client, host: "h".to_owned(), session: number.to_string() }
    }

    #[test]
    fn keys_of_a_conversation_are_bounded_and_accounted_for() {
        let mut index = Index::default();
        let [one, other] = [ConversationId(1), ConversationId(2)];
        for number in 0..MAX_KEYS + 5 {
            index.insert(key(number), one);
            index.insert(key(number), one);
        }
        assert_eq!(index.dropped(), 10);
        assert_eq!(index.find(&key(0)), Some(one));
        assert_eq!(index.find(&key(MAX_KEYS)), None);
        index.insert(key(0), other);
        assert_eq!(index.find(&key(0)), Some(other));
        index.remove(other);
        assert_eq!(index.find(&key(0)), Some(one));
        index.remove(one);
        assert_eq!((index.memory(), index.find(&key(0))), (0, None));
    }
}
