//! From a scanned JSON-RPC message to what the collector keeps of it.

use super::event::{Implementation, MessageFacts, Weight};
use crate::findings::MessageKind;
use crate::mcp::{Answer, Id, Info, Kind, Message, MetaKey, ParamKey, Proof, Revision, Shape};

/// Longest excerpt of a message.
const MAX_EXCERPT: usize = 240;
/// Longest text kept of a name, id or version.
const MAX_TEXT: usize = 256;

/// What the collector needs of a message; `None` if it cannot be MCP.
pub(super) fn of(message: &Message) -> Option<MessageFacts> {
    let kind = match message.kind() {
        Kind::Request => MessageKind::Request,
        Kind::Notification => MessageKind::Notification,
        Kind::Response => MessageKind::Response,
        Kind::Error => MessageKind::Error,
        Kind::Invalid => return None,
    };
    let (weight, proof) = weigh(message.shape())?;
    Some(MessageFacts {
        kind,
        weight,
        proof,
        modern: is_modern(message),
        id: id(message),
        method: message.method().map(shorten),
        name: name(message).map(shorten),
        error_code: message.error_code(),
        protocol_version: message.protocol_version().map(shorten),
        client: message.client_info().map(implementation),
        server: message.server_info().map(implementation),
        excerpt: excerpt(message),
    })
}

fn weigh(shape: Shape) -> Option<(Weight, Option<&'static str>)> {
    Some(match shape {
        Shape::Mcp(proof) => (Weight::Proof, Some(proof_name(proof))),
        Shape::McpResult(answer) => (Weight::Result, Some(answer_name(answer))),
        Shape::Nominated => (Weight::Nominated, None),
        Shape::Weak(_) => (Weight::Weak, None),
        Shape::JsonRpc => (Weight::Rpc, None),
        Shape::Foreign(_) | Shape::NotRpc => return None,
    })
}

const fn proof_name(proof: Proof) -> &'static str {
    match proof {
        Proof::Initialize => "initialize",
        Proof::Meta => "meta",
        Proof::Discover => "server_discover",
        Proof::Request => "request",
        Proof::Notification => "notification",
    }
}

const fn answer_name(answer: Answer) -> &'static str {
    match answer {
        Answer::Initialize => "initialize_result",
        Answer::Discover => "discover_result",
        Answer::Tools => "tools_result",
        Answer::ToolCall => "tool_call_result",
        Answer::Resources => "resources_result",
        Answer::ResourceTemplates => "resource_templates_result",
        Answer::ResourceContents => "resource_contents",
        Answer::Prompts => "prompts_result",
        Answer::PromptMessages => "prompt_messages",
        Answer::Completion => "completion_result",
        Answer::Roots => "roots_result",
        Answer::Sampling => "sampling_result",
        Answer::InputRequired => "input_required",
        Answer::Meta => "result_meta",
        Answer::UnsupportedVersion => "unsupported_version",
    }
}

/// Whether a call is of the stateless revision, in which each call says who
/// makes it.
fn is_modern(message: &Message) -> bool {
    let named = message.meta(MetaKey::ProtocolVersion).and_then(Revision::parse);
    message.method() == Some("server/discover")
        || named.map_or(message.has_mcp_meta(), Revision::is_stateless)
}

fn id(message: &Message) -> Option<String> {
    match message.id()? {
        Id::String(text) | Id::Number(text) => Some(shorten(text)),
        Id::Null | Id::Other => None,
    }
}

/// The tool, prompt, resource or task that a call is about.
fn name(message: &Message) -> Option<&str> {
    let key = match message.method()? {
        "tools/call" | "prompts/get" => ParamKey::Name,
        "resources/read"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "notifications/resources/updated" => ParamKey::Uri,
        "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/update" => ParamKey::TaskId,
        _ => return None,
    };
    message.param(key)
}

fn implementation(info: Info<'_>) -> Implementation {
    Implementation {
        name: shorten(info.name.unwrap_or("")),
        version: shorten(info.version.unwrap_or("")),
    }
}

/// A line that shows what was seen: method, name and arguments of a call, or
/// what an answer is.
pub(super) fn excerpt(message: &Message) -> String {
    let mut text = match message.method() {
        Some(method) => method.to_owned(),
        None if message.kind() == Kind::Error => {
            let code = message.error_code().map(|code| code.to_string()).unwrap_or_default();
            format!("error {code} {}", message.error_message().unwrap_or(""))
        }
        None => "result".to_owned(),
    };
    for part in [name(message), message.arguments()].into_iter().flatten() {
        text.push(' ');
        text.push_str(part);
    }
    if message.method().is_none() {
        let tools = message.tools().len();
        if tools > 0 {
            text.push_str(&format!(" with {tools} tools"));
        }
        if let Some(server) = message.server_info() {
            text.push_str(&format!(" of {}", server.name.unwrap_or("?")));
        }
    } else if let Some(client) = message.client_info() {
        text.push_str(&format!(" by {}", client.name.unwrap_or("?")));
    }
    truncate(&text, MAX_EXCERPT)
}

fn shorten(text: &str) -> String {
    truncate(text, MAX_TEXT)
}

/// The beginning of `text`, whole characters, with an ellipsis if cut.
pub(super) fn truncate(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(max).collect();
    while short.len() > max {
        short.pop();
    }
    short.push('…');
    short
}
