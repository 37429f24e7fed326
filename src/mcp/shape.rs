//! What a JSON-RPC message is evidence of.
//!
//! Only a message of MCP shape is proof: `initialize` with a dated
//! `protocolVersion` and `capabilities`, a request whose `_meta` has keys of
//! MCP, a method that no other protocol has with parameters of its shape. A
//! result of MCP shape is proof in context only, since a file may hold one.
//! Other protocols on JSON-RPC (LSP, ACP, A2A, nodes of blockchains, media
//! centres) are told apart by what MCP never has.
//!
//! A truncated message is judged by what was seen: what is proof stays proof
//! whatever the missing part holds, and what only might be is
//! [`Shape::Nominated`].

use super::keys::{EnvelopeKey, ParamKey, ResultKey};
use super::message::{Kind, List, Message, ValueKind, Version};
use super::revision::{Marker, Method, error_code, is_revision_name};

/// What a message is evidence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// MCP, wherever its sender may speak; in a file that a GET downloads it is
    /// a quotation.
    Mcp(Proof),
    /// MCP, if it answers a POST, comes as an event of a stream, or stands
    /// beside an MCP header.
    McpResult(Answer),
    /// Truncated, and MCP as far as was seen, but not enough was.
    Nominated,
    /// A message that MCP has and others have too.
    Weak(Weak),
    /// A message of another protocol.
    Foreign(Foreign),
    /// JSON-RPC 2.0 of no known protocol.
    JsonRpc,
    /// Not JSON-RPC 2.0.
    NotRpc,
}

/// Which proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// `initialize` with `protocolVersion` and `capabilities`.
    Initialize,
    /// A `_meta` key that begins with `io.modelcontextprotocol/`.
    Meta,
    /// `server/discover`.
    Discover,
    /// An MCP-only request with parameters of its shape.
    Request,
    /// An MCP-only notification with parameters of its shape.
    Notification,
}

/// Which result (or error) of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To `initialize`.
    Initialize,
    /// To `server/discover`.
    Discover,
    /// To `tools/list`.
    Tools,
    /// To `tools/call`.
    ToolCall,
    /// To `resources/list`.
    Resources,
    /// To `resources/templates/list`.
    ResourceTemplates,
    /// To `resources/read`.
    ResourceContents,
    /// To `prompts/list`.
    Prompts,
    /// To `prompts/get`.
    PromptMessages,
    /// To `completion/complete`.
    Completion,
    /// To `roots/list`.
    Roots,
    /// To `sampling/createMessage`.
    Sampling,
    /// The server wants input first (2026-07-28).
    InputRequired,
    /// To something else, with a `_meta` key of MCP.
    Meta,
    /// An error that lists the revisions the server speaks.
    UnsupportedVersion,
}

/// Which shared message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weak {
    /// `ping`.
    Ping,
    /// `initialize`, of which too little was seen.
    Initialize,
    /// `tasks/*` with a `taskId`.
    Task,
    /// `elicitation/create`, or an answer to it.
    Elicitation,
    /// `notifications/message`.
    Log,
    /// A result with nothing but an empty list, or with content alone.
    Result,
    /// An error code that MCP defines.
    Error,
}

/// Which other protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Foreign {
    /// Language Server Protocol or Build Server Protocol.
    Lsp,
    /// Agent Client Protocol.
    Acp,
    /// Agent2Agent.
    A2a,
    /// `eth_call` and the like.
    Blockchain,
    /// `Player.Open`, `aria2.addUri`, `server.version` and the like.
    Dotted,
}

/// Judges a message.
pub(super) fn classify(message: &Message) -> Shape {
    match message.version() {
        Version::V2 => classify_rpc(message),
        Version::Absent if message.flags().truncated => match classify_rpc(message) {
            Shape::Mcp(_) | Shape::McpResult(_) | Shape::Nominated => Shape::Nominated,
            _ => Shape::NotRpc,
        },
        Version::Absent | Version::Other => Shape::NotRpc,
    }
}

fn classify_rpc(message: &Message) -> Shape {
    if let Some(method) = message.method() {
        return classify_method(message, method);
    }
    match message.kind() {
        Kind::Response | Kind::Error if !has_id(message) => Shape::JsonRpc,
        Kind::Response => classify_result(message),
        Kind::Error => classify_error(message),
        _ if message.flags().truncated => match message.has_mcp_meta() {
            true => Shape::Nominated,
            false => Shape::JsonRpc,
        },
        _ => Shape::NotRpc,
    }
}

fn has_id(message: &Message) -> bool {
    message.flags().truncated || message.envelope_kind(EnvelopeKey::Id) != ValueKind::Absent
}

fn classify_method(message: &Message, name: &str) -> Shape {
    if name == "initialize" {
        return classify_initialize(message);
    }
    if message.has_mcp_meta() {
        return Shape::Mcp(Proof::Meta);
    }
    let Some(method) = Method::find(name) else {
        return match foreign_method(name) {
            Some(foreign) => Shape::Foreign(foreign),
            None if message.has_message_parts() => Shape::Foreign(Foreign::A2a),
            None => Shape::JsonRpc,
        };
    };
    if method.marker == Marker::Shared {
        return classify_shared(message, method);
    }
    match (params_fit(message, method.name), method) {
        (Fit::No, _) => Shape::JsonRpc,
        (Fit::Unseen, _) => Shape::Nominated,
        (Fit::Yes, Method { name: "server/discover", .. }) => Shape::Mcp(Proof::Discover),
        (Fit::Yes, Method { notification: true, .. }) => Shape::Mcp(Proof::Notification),
        (Fit::Yes, _) => Shape::Mcp(Proof::Request),
    }
}

fn classify_initialize(message: &Message) -> Shape {
    use ParamKey::{Capabilities, ClientCapabilities, ProtocolVersion};
    let lsp =
        [ParamKey::ProcessId, ParamKey::RootUri, ParamKey::RootPath, ParamKey::WorkspaceFolders];
    if lsp.into_iter().any(|key| message.param_kind(key) != ValueKind::Absent) {
        return Shape::Foreign(Foreign::Lsp);
    }
    let dated = is_revision(message.param_kind(ProtocolVersion), message.param(ProtocolVersion));
    let truncated = message.flags().truncated;
    match (message.param_kind(ProtocolVersion), message.param_kind(Capabilities)) {
        (_, ValueKind::Object) if dated => Shape::Mcp(Proof::Initialize),
        (_, ValueKind::Absent) if dated && truncated => Shape::Nominated,
        (ValueKind::Number, _) => Shape::Foreign(Foreign::Acp),
        _ if message.param_kind(ClientCapabilities) != ValueKind::Absent => {
            Shape::Foreign(Foreign::Acp)
        }
        (ValueKind::Absent, _) if truncated => Shape::Weak(Weak::Initialize),
        _ => Shape::JsonRpc,
    }
}

/// Methods whose names other protocols have too.
fn classify_shared(message: &Message, method: &Method) -> Shape {
    let has = |key| message.param_kind(key) != ValueKind::Absent;
    let is_string = |key| message.param_kind(key) == ValueKind::String;
    let unseen = message.flags().truncated;
    let weak = |holds: bool, weak| if holds { Shape::Weak(weak) } else { Shape::JsonRpc };
    match method.name {
        "ping" => weak(optional_object(message) != Fit::No, Weak::Ping),
        "notifications/message" => weak(is_string(ParamKey::Level) || unseen, Weak::Log),
        "elicitation/create" if has(ParamKey::SessionId) => Shape::Foreign(Foreign::Acp),
        "elicitation/create" => weak(is_string(ParamKey::Message) || unseen, Weak::Elicitation),
        _ if is_string(ParamKey::TaskId) => Shape::Weak(Weak::Task),
        _ if has(ParamKey::Id) => Shape::Foreign(Foreign::A2a),
        "tasks/list" => weak(optional_object(message) != Fit::No, Weak::Task),
        _ => weak(unseen && optional_object(message) != Fit::No, Weak::Task),
    }
}

/// Whether parameters have the shape that a method wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
    /// The part that would tell is missing.
    Unseen,
}

impl Fit {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unseen,
        }
    }
}

/// Whether the parameters fit an MCP-only method.
fn params_fit(message: &Message, method: &str) -> Fit {
    use ValueKind::{Array, Number, Object, String};
    let needs = |key, kinds: &[ValueKind]| match message.param_kind(key) {
        ValueKind::Absent if message.flags().truncated => Fit::Unseen,
        kind if kinds.contains(&kind) => Fit::Yes,
        _ => Fit::No,
    };
    match method {
        "tools/call" | "prompts/get" => needs(ParamKey::Name, &[String]),
        "resources/read"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "notifications/resources/updated" => needs(ParamKey::Uri, &[String]),
        "completion/complete" => {
            let reference = match message.reference_type() {
                Some("ref/prompt" | "ref/resource") => Fit::Yes,
                None if message.flags().truncated => Fit::Unseen,
                _ => Fit::No,
            };
            needs(ParamKey::Ref, &[Object]).and(needs(ParamKey::Argument, &[Object])).and(reference)
        }
        "logging/setLevel" => {
            let fit = needs(ParamKey::Level, &[String]);
            match message.param(ParamKey::Level) {
                Some(level) if !LOG_LEVELS.contains(&level) => Fit::No,
                _ => fit,
            }
        }
        "sampling/createMessage" => needs(ParamKey::Messages, &[Array]),
        "subscriptions/listen" => needs(ParamKey::Notifications, &[Object]),
        "notifications/cancelled" => needs(ParamKey::RequestId, &[String, Number]),
        "notifications/progress" => needs(ParamKey::ProgressToken, &[String, Number])
            .and(needs(ParamKey::Progress, &[Number])),
        "notifications/elicitation/complete" => needs(ParamKey::ElicitationId, &[String]),
        "notifications/tasks" | "notifications/tasks/status" => needs(ParamKey::TaskId, &[String]),
        _ => optional_object(message),
    }
}

/// The parameters are an object, or there are none.
fn optional_object(message: &Message) -> Fit {
    match message.envelope_kind(EnvelopeKey::Params) {
        ValueKind::Object | ValueKind::Null => Fit::Yes,
        ValueKind::Absent if message.flags().truncated => Fit::Unseen,
        ValueKind::Absent => Fit::Yes,
        _ => Fit::No,
    }
}

fn classify_result(message: &Message) -> Shape {
    use ResultKey::{AgentCapabilities, Capabilities, ProtocolVersion, ServerInfo};
    let kind = |key| message.result_kind(key);
    let object = |key| kind(key) == ValueKind::Object;
    let dated = is_revision(kind(ProtocolVersion), message.result(ProtocolVersion));
    if kind(AgentCapabilities) != ValueKind::Absent || kind(ProtocolVersion) == ValueKind::Number {
        return Shape::Foreign(Foreign::Acp);
    }
    if dated && object(ServerInfo) && object(Capabilities) {
        return Shape::McpResult(Answer::Initialize);
    }
    if object(Capabilities) && message.supported_versions().any(is_revision_name) {
        return Shape::McpResult(Answer::Discover);
    }
    if message.input_requests().any(|method| Method::find(method).is_some()) {
        return Shape::McpResult(Answer::InputRequired);
    }
    if let Some(answer) = listing(message) {
        return Shape::McpResult(answer);
    }
    if message.has_mcp_meta() {
        return Shape::McpResult(Answer::Meta);
    }
    if message.flags().truncated && dated {
        return Shape::Nominated;
    }
    classify_other_result(message)
}

/// The answer that a list in the result (or the like) makes it.
fn listing(message: &Message) -> Option<Answer> {
    const LISTS: [(List, Answer); 7] = [
        (List::Tools, Answer::Tools),
        (List::Resources, Answer::Resources),
        (List::ResourceTemplates, Answer::ResourceTemplates),
        (List::Prompts, Answer::Prompts),
        (List::Contents, Answer::ResourceContents),
        (List::Messages, Answer::PromptMessages),
        (List::Roots, Answer::Roots),
    ];
    let listed = LISTS.into_iter().find(|&(list, _)| message.list(list).well_formed > 0);
    if let Some((_, answer)) = listed {
        return Some(answer);
    }
    let kind = |key| message.result_kind(key);
    let content = message.list(List::Content);
    let called = matches!(kind(ResultKey::IsError), ValueKind::True | ValueKind::False)
        || kind(ResultKey::StructuredContent) != ValueKind::Absent
        || kind(ResultKey::ResultType) == ValueKind::String;
    if called
        && kind(ResultKey::Content) == ValueKind::Array
        && (content.elements == 0 || content.well_formed > 0)
    {
        return Some(Answer::ToolCall);
    }
    if message.has_completion_values() {
        return Some(Answer::Completion);
    }
    let sampled = kind(ResultKey::Model) == ValueKind::String
        && matches!(message.result(ResultKey::Role), Some("user" | "assistant"))
        && matches!(kind(ResultKey::Content), ValueKind::Object | ValueKind::Array);
    sampled.then_some(Answer::Sampling)
}

fn classify_other_result(message: &Message) -> Shape {
    const LISTS: [(ResultKey, List); 5] = [
        (ResultKey::Tools, List::Tools),
        (ResultKey::Resources, List::Resources),
        (ResultKey::ResourceTemplates, List::ResourceTemplates),
        (ResultKey::Prompts, List::Prompts),
        (ResultKey::Roots, List::Roots),
    ];
    let kind = |key| message.result_kind(key);
    let editor = kind(ResultKey::Capabilities) == ValueKind::Object
        && kind(ResultKey::ProtocolVersion) == ValueKind::Absent
        && kind(ResultKey::SupportedVersions) == ValueKind::Absent;
    if editor && !message.flags().truncated {
        return Shape::Foreign(Foreign::Lsp);
    }
    if matches!(
        message.result(ResultKey::Kind),
        Some("task" | "message" | "status-update" | "artifact-update")
    ) {
        return Shape::Foreign(Foreign::A2a);
    }
    if matches!(message.result(ResultKey::Action), Some("accept" | "decline" | "cancel")) {
        return Shape::Weak(Weak::Elicitation);
    }
    let empty = LISTS
        .into_iter()
        .any(|(key, list)| kind(key) == ValueKind::Array && message.list(list).elements == 0);
    if empty || message.list(List::Content).well_formed > 0 {
        return Shape::Weak(Weak::Result);
    }
    Shape::JsonRpc
}

fn classify_error(message: &Message) -> Shape {
    if message.requested_version().is_some() && message.supported_versions().any(is_revision_name) {
        return Shape::McpResult(Answer::UnsupportedVersion);
    }
    match message.error_code() {
        Some(
            error_code::HEADER_MISMATCH
            | error_code::MISSING_CLIENT_CAPABILITY
            | error_code::UNSUPPORTED_VERSION
            | error_code::URL_ELICITATION_REQUIRED,
        ) => Shape::Weak(Weak::Error),
        _ => Shape::JsonRpc,
    }
}

/// The protocol whose methods are called like that.
fn foreign_method(name: &str) -> Option<Foreign> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if LSP_METHODS.contains(&name) || starts(&LSP_PREFIXES) {
        return Some(Foreign::Lsp);
    }
    if A2A_METHODS.contains(&name) || starts(&A2A_PREFIXES) {
        return Some(Foreign::A2a);
    }
    if name == "authenticate" || starts(&ACP_PREFIXES) {
        return Some(Foreign::Acp);
    }
    if name.contains('/') {
        return None;
    }
    if name.contains('.') {
        return Some(Foreign::Dotted);
    }
    let namespace = name.split_once('_').map(|(namespace, _)| namespace)?;
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (!namespace.is_empty() && namespace.bytes().all(lower)).then_some(Foreign::Blockchain)
}

fn is_revision(kind: ValueKind, text: Option<&str>) -> bool {
    kind == ValueKind::String && text.is_some_and(is_revision_name)
}

/// Severities of RFC 5424, as MCP names them.
const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

const LSP_METHODS: [&str; 3] = ["initialized", "shutdown", "exit"];

const LSP_PREFIXES: [&str; 17] = [
    "$/",
    "build/",
    "buildTarget/",
    "callHierarchy/",
    "client/",
    "codeAction/",
    "codeLens/",
    "completionItem/",
    "documentLink/",
    "inlayHint/",
    "notebookDocument/",
    "telemetry/",
    "textDocument/",
    "typeHierarchy/",
    "window/",
    "workspace/",
    "workspaceSymbol/",
];

const A2A_METHODS: [&str; 11] = [
    "CancelTask",
    "GetExtendedAgentCard",
    "GetTask",
    "ListTasks",
    "SendMessage",
    "SendStreamingMessage",
    "SubscribeToTask",
    "message/send",
    "message/stream",
    "tasks/resubscribe",
    "tasks/send",
];

const A2A_PREFIXES: [&str; 2] = ["agent/", "tasks/pushNotification"];

const ACP_PREFIXES: [&str; 4] = ["fs/", "mcp/", "session/", "terminal/"];
