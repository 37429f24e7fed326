//! What a message and its exchange tell of their conversation: columns, verdict.

use super::flow::{Exchange, Message};
use crate::detect::conversation::Conversation;
use crate::detect::event::{Carrier, RequestFacts, Weight};
use crate::findings::{Auth, HttpColumns, McpTransport};

/// Takes from a message and its exchange what describes the conversation.
pub(super) fn describe(
    conversation: &mut Conversation,
    exchange: Option<&Exchange>,
    message: &Message,
) {
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
pub(super) fn weigh(conversation: &mut Conversation, message: &Message) {
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

pub(super) fn request_line(request: &RequestFacts) -> String {
    let authority = request.authority.as_deref().unwrap_or("");
    format!("{} {authority}{}", request.method, request.path)
}

pub(super) fn request_columns(request: &RequestFacts) -> HttpColumns {
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

pub(super) fn exchange_columns(exchange: &Exchange) -> HttpColumns {
    let mut columns = exchange.request.as_deref().map(request_columns).unwrap_or_default();
    let status = exchange.response.as_deref().map(|response| response.status);
    columns.status = status.filter(|status| *status > 0);
    columns
}
