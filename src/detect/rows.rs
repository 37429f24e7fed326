//! Conversations and messages in, rows of the findings stream out.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::conversation::{Asked, Conversation};
use super::event::{FlowFacts, Implementation, LoggedRequest, MessageFacts, Renumbering};
use super::pace::{Pace, Repeats};
use super::redact;
use crate::findings::{
    CaptureColumns, Confidence, FindingSink, FlowColumns, Governance, HttpColumns, HttpRequest,
    IdentityColumns, Kind, McpColumns, MessageKind, MethodCount, Row, Severity,
};
use crate::flow::{PacketRef, Protocol};
use crate::policy::{Policy, Server};
use crate::signature::{SignatureIndex, SignatureSet};
use crate::stream::Direction;
use crate::stream::uri::Authority;

/// What findings are to hold.
#[derive(Clone, Debug)]
pub struct FindingOptions {
    /// One row per JSON-RPC message.
    pub messages: bool,
    /// Rows below this confidence are not written.
    pub min_confidence: Confidence,
    /// Write session ids and excerpts as they came.
    pub show_secrets: bool,
    /// Name of the sensor.
    pub sensor: Option<String>,
    /// Names of the sources, by [`crate::capture::SourceId`].
    pub sources: Vec<String>,
    /// How often they may come.
    pub pace: Pace,
}

impl Default for FindingOptions {
    fn default() -> Self {
        Self {
            messages: false,
            min_confidence: Confidence::Possible,
            show_secrets: false,
            sensor: None,
            sources: Vec::new(),
            pace: Pace::default(),
        }
    }
}

/// One JSON-RPC message, as a row needs it.
#[derive(Debug)]
pub(super) struct MessageRow<'a> {
    pub(super) flow: &'a FlowFacts,
    pub(super) at: PacketRef,
    pub(super) http: HttpColumns,
    pub(super) direction: Direction,
    pub(super) facts: &'a MessageFacts,
    pub(super) asked: Option<&'a Asked>,
}

/// Makes rows and hands them to a sink.
#[derive(Debug)]
pub(crate) struct RowWriter {
    options: FindingOptions,
    policy: Policy,
    signatures: Arc<SignatureSet>,
    written: u64,
    repeats: Repeats,
}

impl RowWriter {
    pub(crate) fn new(
        options: FindingOptions,
        policy: Policy,
        signatures: Arc<SignatureSet>,
    ) -> Self {
        let repeats = Repeats::new(options.pace.repeats);
        Self { options, policy, signatures, written: 0, repeats }
    }

    /// Goes over to another policy and other signatures; tells what has come of the old
    /// ones.
    pub(super) fn renew(&mut self, policy: Policy, signatures: Arc<SignatureSet>) -> Renumbering {
        let old = std::mem::replace(&mut self.signatures, signatures);
        self.policy = policy;
        Renumbering::new(&old, &self.signatures)
    }

    pub(super) fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Detections and threats that were left out as repeats.
    pub(super) fn repeats(&self) -> u64 {
        self.repeats.left_out()
    }

    pub(super) fn pace(&self) -> Pace {
        self.options.pace
    }

    /// A conversation first reached the confidence it now has.
    pub(super) fn detection(
        &mut self,
        conversation: &Conversation,
        at: PacketRef,
        sink: &mut dyn FindingSink,
    ) {
        let Some(confidence) = self.wanted(conversation) else { return };
        let what = confidence.as_str();
        if !self.repeats.admits(Kind::Detection, what, conversation, at.time) {
            return;
        }
        let mut row = self.base(Kind::Detection, conversation, confidence);
        row.id = row_id(Kind::Detection, conversation, &[confidence.as_str()]);
        row.capture = self.capture(at);
        row.time = at.time;
        row.end_time = at.time;
        row.title = format!("{} {}", phrase(confidence), parties(&row));
        self.write(row, sink);
    }

    /// A signature of a threat first hit in a conversation.
    pub(super) fn threat(
        &mut self,
        conversation: &Conversation,
        at: PacketRef,
        index: SignatureIndex,
        excerpt: &str,
        sink: &mut dyn FindingSink,
    ) {
        let Some(confidence) = self.wanted(conversation) else { return };
        let what = &self.signatures.signature(index).id;
        if !self.repeats.admits(Kind::Threat, what, conversation, at.time) {
            return;
        }
        let mut row = self.base(Kind::Threat, conversation, confidence);
        let signature = self.signatures.signature(index);
        row.id = row_id(Kind::Threat, conversation, &[&signature.id]);
        row.capture = self.capture(at);
        row.time = at.time;
        row.end_time = at.time;
        row.severity = signature.severity.unwrap_or(row.severity);
        row.title = signature.title.to_string();
        row.signatures = vec![signature.id.to_string()];
        row.evidence = Some(self.excerpt(excerpt));
        self.write(row, sink);
    }

    /// A conversation is over. Tentative ones that never got beyond `possible`
    /// have had their detection and are not summed up.
    pub(super) fn conversation(&mut self, conversation: &Conversation, sink: &mut dyn FindingSink) {
        self.sum_up(conversation, None, sink);
    }

    /// A conversation goes on, and there is news of it: what it came to so far.
    pub(super) fn summary(&mut self, conversation: &Conversation, sink: &mut dyn FindingSink) {
        self.sum_up(conversation, Some(true), sink);
    }

    fn sum_up(
        &mut self,
        conversation: &Conversation,
        ongoing: Option<bool>,
        sink: &mut dyn FindingSink,
    ) {
        let Some(confidence) = self.wanted(conversation) else { return };
        if confidence == Confidence::Possible && conversation.messages == 0 {
            return;
        }
        let mut row = self.base(Kind::Conversation, conversation, confidence);
        row.id = row_id(Kind::Conversation, conversation, &[]);
        row.mcp.methods = conversation
            .methods
            .iter()
            .map(|(method, tally)| MethodCount {
                method: method.clone(),
                requests: tally.requests,
                responses: tally.responses,
                errors: tally.errors,
            })
            .collect();
        row.mcp.tools = conversation.tools.iter().cloned().collect();
        let so_far = if ongoing == Some(true) { " so far" } else { "" };
        row.title = format!("{}: {} messages{so_far}", parties(&row), conversation.messages);
        row.ongoing = ongoing;
        self.write(row, sink);
    }

    /// One message of a conversation.
    pub(super) fn message(
        &mut self,
        conversation: &Conversation,
        message: &MessageRow<'_>,
        sink: &mut dyn FindingSink,
    ) {
        if !self.options.messages {
            return;
        }
        let Some(confidence) = self.wanted(conversation) else { return };
        let facts = message.facts;
        let mut row = self.base(Kind::Message, conversation, confidence);
        let count = conversation.messages.to_string();
        row.id = row_id(Kind::Message, conversation, &[&count]);
        row.time = message.at.time;
        row.end_time = message.at.time;
        row.severity = Severity::Info;
        row.capture = self.capture(message.at);
        row.flow = flow_columns(message.flow, conversation.server_name.as_ref());
        row.http = self.redacted(message.http.clone());
        row.mcp.message_kind = Some(facts.kind);
        row.mcp.direction = Some(message.direction.into());
        row.mcp.jsonrpc_id.clone_from(&facts.id);
        row.mcp.error_code = facts.error_code;
        row.mcp.method = facts.method.clone().or_else(|| message.asked.map(|a| a.method.clone()));
        row.mcp.name =
            facts.name.clone().or_else(|| message.asked.and_then(|asked| asked.name.clone()));
        row.evidence = Some(self.excerpt(&facts.excerpt));
        row.bytes_to_server = 0;
        row.bytes_to_client = 0;
        row.packets = 0;
        row.title = message_title(&row, facts.kind);
        self.write(row, sink);
    }

    /// One request of those that are all told of.
    pub(super) fn http_request(
        &self,
        flow: &FlowFacts,
        request: LoggedRequest,
        sink: &mut dyn FindingSink,
    ) {
        sink.http_request(&HttpRequest {
            time: request.at.time,
            capture: self.capture(request.at),
            flow: flow_columns(flow, None),
            version: request.version.as_str(),
            method: request.method,
            host: request.host,
            target: request.target,
            path: request.path,
            status: request.status,
            incomplete: request.flags.incomplete,
            ambiguous_framing: request.flags.ambiguous_framing,
        });
    }

    /// Whether there are rows of messages.
    pub(super) fn tells_of_messages(&self) -> bool {
        self.options.messages
    }

    /// Whether there are rows of a conversation.
    pub(super) fn tells_of(&self, conversation: &Conversation) -> bool {
        self.wanted(conversation).is_some()
    }

    fn wanted(&self, conversation: &Conversation) -> Option<Confidence> {
        let confidence = conversation.verdict.confidence()?;
        (confidence >= self.options.min_confidence).then_some(confidence)
    }

    fn write(&mut self, row: Row, sink: &mut dyn FindingSink) {
        self.written += 1;
        sink.finding(row);
    }

    /// The columns that all rows of a conversation share.
    fn base(&self, kind: Kind, conversation: &Conversation, confidence: Confidence) -> Row {
        let governance = self.governance(conversation);
        let signatures = conversation
            .verdict
            .signatures()
            .map(|index| self.signatures.signature(index).id.to_string())
            .chain(conversation.verdict.proofs().map(|proof| format!("mcp.{proof}")))
            .collect();
        let severities = conversation.verdict.signatures();
        let threat = severities.filter_map(|index| self.signatures.signature(index).severity).max();
        let threat = threat.unwrap_or(Severity::Info);
        Row {
            kind,
            id: String::new(),
            time: conversation.first.time,
            end_time: conversation.last.time,
            confidence,
            severity: severity(confidence, governance).max(threat),
            title: String::new(),
            signatures,
            governance,
            evidence: conversation.evidence.as_deref().map(|text| self.excerpt(text)),
            capture: self.capture(conversation.first),
            flow: flow_columns(&conversation.origin, conversation.server_name.as_ref()),
            tls: conversation.tls.clone(),
            http: self.redacted(conversation.http.clone()),
            mcp: self.mcp(conversation),
            identity: identity(conversation),
            bytes_to_server: conversation.volume.to_server,
            bytes_to_client: conversation.volume.to_client,
            packets: conversation.volume.packets,
            ongoing: None,
        }
    }

    fn mcp(&self, conversation: &Conversation) -> McpColumns {
        let agreed = conversation.version_agreed.clone();
        let session = conversation.session.as_deref().map(|session| {
            if self.options.show_secrets { session.to_owned() } else { redact::hash(session) }
        });
        McpColumns {
            transport: conversation.transport,
            protocol_version: agreed.or_else(|| conversation.version_asked.clone()),
            session_id: session,
            client_name: conversation.client.as_ref().map(|client| client.name.clone()),
            client_version: conversation.client.as_ref().and_then(version),
            server_name: conversation.server.as_ref().map(|server| server.name.clone()),
            server_version: conversation.server.as_ref().and_then(version),
            ..McpColumns::default()
        }
    }

    fn governance(&self, conversation: &Conversation) -> Governance {
        let named = conversation.http.host.as_deref().map(without_port);
        self.policy.classify(&Server {
            host: named.or(conversation.tls.sni.as_deref()).or(conversation.server_name.as_deref()),
            path: conversation.http.path.as_deref(),
            address: Some(conversation.origin.server),
            catalogued: conversation.verdict.catalogued(),
        })
    }

    fn capture(&self, at: PacketRef) -> CaptureColumns {
        CaptureColumns {
            source: self.options.sources.get(at.source.0 as usize).cloned(),
            sensor: self.options.sensor.clone(),
            packet: Some(at.number),
        }
    }

    fn excerpt(&self, text: &str) -> String {
        if self.options.show_secrets { text.to_owned() } else { redact::text(text) }
    }

    fn redacted(&self, mut http: HttpColumns) -> HttpColumns {
        if !self.options.show_secrets {
            http.path = http.path.map(|path| redact::path(&path));
        }
        http
    }
}

/// `host` of `host:port`; an IPv6 literal without its brackets.
fn without_port(authority: &str) -> &str {
    let host = std::str::from_utf8(Authority::parse(authority.as_bytes()).host);
    host.unwrap_or(authority).trim_start_matches('[').trim_end_matches(']')
}

/// The version that a client or server gave; none if the message was cut before.
fn version(implementation: &Implementation) -> Option<String> {
    Some(implementation.version.clone()).filter(|version| !version.is_empty())
}

fn phrase(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Possible => "Possible MCP:",
        Confidence::Likely => "Likely MCP:",
        Confidence::Confirmed => "MCP:",
    }
}

/// `client → server endpoint`, by the best names known.
fn parties(row: &Row) -> String {
    let client = match (&row.mcp.client_name, &row.http.user_agent) {
        (Some(name), _) => format!("{name} ({})", row.flow.client.ip()),
        (None, Some(agent)) => format!("{agent} ({})", row.flow.client.ip()),
        (None, None) => row.flow.client.ip().to_string(),
    };
    let host = row.http.host.clone().or_else(|| row.tls.sni.clone());
    let host = host.unwrap_or_else(|| row.flow.server.to_string());
    format!("{client} → {host}{}", row.http.path.as_deref().unwrap_or(""))
}

fn message_title(row: &Row, kind: MessageKind) -> String {
    let method = row.mcp.method.as_deref().unwrap_or("(request not seen)");
    let name = row.mcp.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    match kind {
        MessageKind::Request | MessageKind::Notification => format!("{method}{name}"),
        MessageKind::Response => format!("{method}{name}: result"),
        MessageKind::Error => {
            let code = row.mcp.error_code.map(|code| format!(" {code}")).unwrap_or_default();
            format!("{method}{name}: error{code}")
        }
    }
}

fn flow_columns(flow: &FlowFacts, server_name: Option<&String>) -> FlowColumns {
    FlowColumns {
        client: flow.client,
        server: flow.server,
        transport: match flow.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        },
        community_id: flow.community_id.clone(),
        server_name: server_name.cloned(),
        tunnel: (!flow.tunnel.is_empty()).then(|| flow.tunnel.to_string()),
    }
}

fn identity(conversation: &Conversation) -> IdentityColumns {
    match &conversation.identity {
        None => IdentityColumns::default(),
        Some(identity) => IdentityColumns {
            auth: Some(identity.auth),
            user: identity.user.clone(),
            source: identity.source.map(str::to_owned),
        },
    }
}

/// Unapproved MCP matters more the surer it is; what is denied matters most.
fn severity(confidence: Confidence, governance: Governance) -> Severity {
    match (governance, confidence) {
        (Governance::Portal | Governance::Sanctioned, _) => Severity::Info,
        (Governance::Denied, Confidence::Confirmed) => Severity::High,
        (Governance::Denied, _) => Severity::Medium,
        (_, Confidence::Possible) => Severity::Info,
        (Governance::Shadow | Governance::KnownUnsanctioned, Confidence::Confirmed) => {
            Severity::Medium
        }
        _ => Severity::Low,
    }
}

/// An id that is the same whenever the same bytes are replayed.
fn row_id(kind: Kind, conversation: &Conversation, parts: &[&str]) -> String {
    let flow = &conversation.origin;
    let mut hash = Sha256::new();
    let head = format!(
        "{kind}|{}|{}|{}|{}",
        flow.client,
        flow.server,
        flow.first.time.as_nanos(),
        conversation.ordinal
    );
    hash.update(head);
    for part in parts {
        hash.update("|");
        hash.update(part);
    }
    redact::hex(&hash.finalize()[..16])
}
