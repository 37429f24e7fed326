//! By what conversations are found again: the keys that a request or message gives.

use super::flow::Message;
use crate::detect::event::{FlowFacts, Implementation, RequestFacts};
use crate::detect::index::{Key, endpoint_of, host_of};

pub(super) fn session_keys(
    flow: &FlowFacts,
    request: Option<&RequestFacts>,
    session: &str,
) -> [Key; 2] {
    let client = flow.client.ip();
    let session = session.to_owned();
    [
        Key::Session { client, host: host_of(flow, request), session: session.clone() },
        Key::SessionAt { client, server: flow.server, session },
    ]
}

pub(super) fn identity_key(
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

pub(super) fn opening_key(flow: &FlowFacts, request: Option<&RequestFacts>) -> Key {
    Key::Opening {
        client: flow.client.ip(),
        host: host_of(flow, request),
        user_agent: request.and_then(|request| request.user_agent.clone()).unwrap_or_default(),
    }
}

pub(super) fn sessionless_key(flow: &FlowFacts, request: Option<&RequestFacts>) -> Key {
    Key::Sessionless {
        client: flow.client.ip(),
        endpoint: endpoint_of(flow, request),
        user_agent: request.and_then(|request| request.user_agent.clone()).unwrap_or_default(),
    }
}
