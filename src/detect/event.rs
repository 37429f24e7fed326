//! What shards tell the collector: observations on flows, in an order that does
//! not depend on the number of shards.
//!
//! Only flows with something to say about MCP make events, so events are rare
//! and own their text.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::decode::TunnelPath;
use crate::findings::{Auth, MessageKind};
use crate::flow::{PacketRef, Protocol};
use crate::signature::{SignatureIndex, SignatureSet};
use crate::stream::dns::Resolution;
use crate::stream::{Direction, ExchangeId, HeadFlags, HttpVersion};

/// Where an event stands among all events of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    /// Ordinal of the packet (over all sources) that caused it.
    pub(crate) ordinal: u64,
    /// What timed out before that packet comes before what it caused itself.
    pub(crate) phase: Phase,
    /// The flow: ordinal of the packet that opened it.
    pub(crate) flow: u64,
    /// Count within packet and flow.
    pub(crate) sequence: u32,
}

/// When an event happened, relative to its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Before the packet was looked at: time ran out.
    Tick,
    /// By the packet.
    Packet,
}

/// What has come of the signatures of a set in the one that took its place.
#[derive(Clone, Debug)]
pub(crate) struct Renumbering(Vec<Option<SignatureIndex>>);

impl Renumbering {
    /// From one set to another.
    pub(crate) fn new(old: &SignatureSet, new: &SignatureSet) -> Self {
        Self(old.signatures().iter().map(|signature| new.find(&signature.id)).collect())
    }

    /// The new index of a signature, if it is still there.
    pub(crate) fn of(&self, old: SignatureIndex) -> Option<SignatureIndex> {
        self.0.get(old.index()).copied().flatten()
    }

    /// Goes over to the new indices; what is gone is left out.
    pub(crate) fn apply(&self, signals: &mut Vec<SignatureIndex>) {
        *signals = signals.iter().filter_map(|old| self.of(*old)).collect();
    }
}

/// What stays the same over a flow's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlowFacts {
    pub(crate) id: u64,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) protocol: Protocol,
    pub(crate) community_id: String,
    pub(crate) tunnel: TunnelPath,
    pub(crate) first: PacketRef,
}

/// A flow's volume so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
    pub(crate) packets: u64,
}

/// One observation.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) order: Order,
    pub(crate) at: PacketRef,
    pub(crate) flow: Arc<FlowFacts>,
    pub(crate) volume: Volume,
    pub(crate) what: Observation,
}

impl Event {
    /// Goes over to the set of signatures that the collector has gone over to.
    pub(crate) fn renumber(&mut self, renumbering: &Renumbering) {
        match &mut self.what {
            Observation::Tls { signals, .. }
            | Observation::Name { signals, .. }
            | Observation::Request { signals, .. }
            | Observation::Response { signals, .. }
            | Observation::Message { signals, .. }
            | Observation::Value { signals, .. } => renumbering.apply(signals),
            Observation::Resolution(_)
            | Observation::Endpoint { .. }
            | Observation::ExchangeEnd { .. }
            | Observation::HttpRequest(_)
            | Observation::FlowEnd { .. } => {}
        }
    }
}

/// What was observed.
#[derive(Clone, Debug)]
pub(crate) enum Observation {
    /// A TLS (or QUIC) handshake said something new of the flow.
    Tls { facts: Box<TlsFacts>, signals: Vec<SignatureIndex> },
    /// A name that is looked for was asked for.
    Name { name: String, signals: Vec<SignatureIndex> },
    /// A client learnt the addresses of a name.
    Resolution(Resolution),
    /// A request worth following.
    Request { exchange: ExchangeId, facts: Box<RequestFacts>, signals: Vec<SignatureIndex> },
    /// The response of an exchange that is followed, or one that tells of MCP
    /// by itself.
    Response { exchange: ExchangeId, facts: Box<ResponseFacts>, signals: Vec<SignatureIndex> },
    /// The first event of a legacy SSE stream named the endpoint to post to.
    Endpoint { exchange: ExchangeId, session: String },
    /// A JSON-RPC message.
    Message {
        exchange: Option<ExchangeId>,
        direction: Direction,
        carrier: Carrier,
        message: Box<MessageFacts>,
        signals: Vec<SignatureIndex>,
    },
    /// A value that signatures hit by itself, such as the name of an SSE event.
    Value { exchange: Option<ExchangeId>, value: String, signals: Vec<SignatureIndex> },
    /// Nothing more will come of an exchange that was reported.
    ExchangeEnd { exchange: ExchangeId },
    /// A request of any kind, its exchange over; where all are asked for.
    HttpRequest(Box<LoggedRequest>),
    /// The flow is over.
    FlowEnd { overlap_conflict: bool },
}

/// What a TLS handshake shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFacts {
    pub(crate) sni: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) alpn: Option<String>,
    pub(crate) ja4: Option<String>,
    pub(crate) decrypted: bool,
}

/// On whose behalf a request was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) auth: Auth,
    pub(crate) user: Option<String>,
    pub(crate) source: Option<&'static str>,
}

/// What is kept of a request's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestFacts {
    pub(crate) version: HttpVersion,
    pub(crate) method: String,
    pub(crate) scheme: Option<String>,
    /// Host and port as sent, lower case.
    pub(crate) authority: Option<String>,
    pub(crate) path: String,
    pub(crate) user_agent: Option<String>,
    /// `Mcp-Session-Id`.
    pub(crate) session: Option<String>,
    /// Session parameter of a legacy message endpoint (`?session_id=`).
    pub(crate) legacy_session: Option<String>,
    /// `MCP-Protocol-Version`.
    pub(crate) protocol_version: Option<String>,
    /// `Mcp-Method`.
    pub(crate) mcp_method: Option<String>,
    pub(crate) identity: Identity,
    /// Asks for a switch to WebSocket (RFC 6455, RFC 8441).
    pub(crate) websocket: bool,
}

impl RequestFacts {
    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        let optional = [
            &self.scheme,
            &self.authority,
            &self.user_agent,
            &self.session,
            &self.legacy_session,
            &self.protocol_version,
            &self.mcp_method,
            &self.identity.user,
        ];
        let texts: usize = optional.into_iter().flatten().map(String::capacity).sum();
        size_of::<Self>() + texts + self.method.capacity() + self.path.capacity()
    }
}

/// What is kept of a response's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResponseFacts {
    /// 0 where it was lost.
    pub(crate) status: u16,
    pub(crate) session: Option<String>,
    /// Carries validators (`ETag`, `Last-Modified`), as downloads do.
    pub(crate) validators: bool,
}

/// A request for the log of all of them.
#[derive(Clone, Debug)]
pub(crate) struct LoggedRequest {
    /// The packet that completed its head.
    pub(crate) at: PacketRef,
    pub(crate) version: HttpVersion,
    pub(crate) method: String,
    pub(crate) host: Option<String>,
    pub(crate) target: String,
    pub(crate) path: String,
    pub(crate) status: Option<u16>,
    pub(crate) flags: HeadFlags,
}

/// How a message was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The body of a request or response.
    Body,
    /// An event of an event stream.
    EventStream,
    /// A WebSocket message.
    WebSocket,
    /// A framed stream without HTTP.
    Raw,
}

/// How much a message says for MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// JSON-RPC, nothing more.
    Rpc,
    /// Consistent with MCP, and with other protocols.
    Weak,
    /// Named by a signature, but cut before it could be confirmed.
    Nominated,
    /// A result of MCP shape: proof where it answers a POST, comes as an event,
    /// or stands beside an MCP header.
    Result,
    /// Proof wherever it is said.
    Proof,
}

/// Name and version that a client or server gives of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Implementation {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// What is kept of a JSON-RPC message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageFacts {
    pub(crate) kind: MessageKind,
    pub(crate) weight: Weight,
    /// What made it so: `initialize`, `modern_meta`, …
    pub(crate) proof: Option<&'static str>,
    /// Of the stateless revision (2026-07-28 and later).
    pub(crate) modern: bool,
    pub(crate) id: Option<String>,
    pub(crate) method: Option<String>,
    /// Tool, prompt, resource or task.
    pub(crate) name: Option<String>,
    pub(crate) error_code: Option<i64>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) client: Option<Implementation>,
    pub(crate) server: Option<Implementation>,
    /// Excerpt as it came, not yet redacted.
    pub(crate) excerpt: String,
}
