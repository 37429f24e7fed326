//! One row of the findings stream (schema version 1), as plain Rust values.
//!
//! The engine fills rows; the sinks write them. Which column means what is said
//! in `docs/findings.md`.

use std::net::SocketAddr;

use crate::time::Timestamp;

/// Declares a fieldless enum whose values have fixed names in findings.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$variant_meta])* $variant, )* }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The names used in findings, in the order of declaration.
            pub const NAMES: &'static [&'static str] = &[ $( $text, )* ];

            /// The name used in findings.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }

            /// The value of that name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $( $text => Some(Self::$variant), )* _ => None }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

named! {
    /// What a row speaks of.
    pub enum Kind {
        /// A flow or conversation first reached this confidence.
        Detection = "detection",
        /// Summary of a conversation, when it ended or the input did.
        Conversation = "conversation",
        /// One JSON-RPC message.
        Message = "message",
        /// A threat rule fired.
        Threat = "threat",
    }
}

named! {
    /// How sure it is that the traffic is MCP.
    pub enum Confidence {
        /// One weak signal.
        Possible = "possible",
        /// A catalogued host, an MCP header, or two kinds of weak signal.
        Likely = "likely",
        /// A JSON-RPC message of MCP shape.
        Confirmed = "confirmed",
    }
}

named! {
    /// How much it matters.
    pub enum Severity {
        /// For the record.
        Info = "info",
        /// Worth a look.
        Low = "low",
        /// Worth a ticket.
        Medium = "medium",
        /// Worth an interruption.
        High = "high",
        /// Drop everything.
        Critical = "critical",
    }
}

named! {
    /// Who approved the server.
    pub enum Governance {
        /// A governed MCP portal or gateway.
        Portal = "portal",
        /// On the list of approved servers.
        Sanctioned = "sanctioned",
        /// A catalogued public server that is not approved.
        KnownUnsanctioned = "known_unsanctioned",
        /// An unknown server.
        Shadow = "shadow",
        /// In an internal network or zone, not registered.
        Internal = "internal",
        /// On the list of denied servers.
        Denied = "denied",
        /// No policy was given.
        Unreviewed = "unreviewed",
    }
}

named! {
    /// What a JSON-RPC message is.
    pub enum MessageKind {
        /// Asks for a response.
        Request = "request",
        /// A result.
        Response = "response",
        /// Asks for nothing.
        Notification = "notification",
        /// An error response.
        Error = "error",
    }
}

named! {
    /// Which way a message went.
    pub enum MessageDirection {
        /// From the client.
        ToServer = "to_server",
        /// From the server.
        ToClient = "to_client",
    }
}

impl From<crate::stream::Direction> for MessageDirection {
    fn from(direction: crate::stream::Direction) -> Self {
        match direction {
            crate::stream::Direction::ToServer => Self::ToServer,
            crate::stream::Direction::ToClient => Self::ToClient,
        }
    }
}

named! {
    /// How MCP is carried.
    pub enum McpTransport {
        /// Streamable HTTP (2025-03-26 and later).
        StreamableHttp = "streamable_http",
        /// HTTP+SSE (2024-11-05).
        HttpSse = "http_sse",
        /// WebSocket with subprotocol `mcp`.
        WebSocket = "websocket",
        /// Newline-delimited or Content-Length-framed JSON-RPC over TCP.
        Raw = "raw",
    }
}

named! {
    /// How the client authenticated.
    pub enum Auth {
        /// Not at all, as far as was seen.
        None = "none",
        /// `Authorization: Bearer`.
        Bearer = "bearer",
        /// `Authorization: Basic`.
        Basic = "basic",
        /// An API-key header or query parameter.
        ApiKey = "api_key",
        /// A cookie.
        Cookie = "cookie",
        /// A service token (e.g. `CF-Access-Client-Id`).
        ServiceToken = "service_token",
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What the row speaks of.
    pub kind: Kind,
    /// Stable over replays of the same bytes with the same signatures.
    pub id: String,
    /// First packet that the row speaks of.
    pub time: Timestamp,
    /// Last packet that the row speaks of.
    pub end_time: Timestamp,
    /// How sure it is that this is MCP.
    pub confidence: Confidence,
    /// How much it matters.
    pub severity: Severity,
    /// One line for a person.
    pub title: String,
    /// Ids of the signatures (or threat rules) that fired.
    pub signatures: Vec<String>,
    /// Governance class of the server.
    pub governance: Governance,
    /// Short excerpt: control characters escaped, secrets redacted.
    pub evidence: Option<String>,
    /// Where it was captured.
    pub capture: CaptureColumns,
    /// The flow.
    pub flow: FlowColumns,
    /// TLS, where there was any.
    pub tls: TlsColumns,
    /// HTTP, where there was any.
    pub http: HttpColumns,
    /// MCP, as far as seen.
    pub mcp: McpColumns,
    /// On whose behalf.
    pub identity: IdentityColumns,
    /// Payload bytes from client to server.
    pub bytes_to_server: u64,
    /// Payload bytes from server to client.
    pub bytes_to_client: u64,
    /// Packets.
    pub packets: u64,
    /// Whether a conversation that is summed up goes on.
    pub ongoing: Option<bool>,
}

impl Row {
    /// The host that was asked for, without port: that of HTTP, else that of TLS, else
    /// the name that the client had from DNS.
    pub fn host(&self) -> Option<&str> {
        let named = self.http.host.as_deref().map(without_port).filter(|host| !host.is_empty());
        named.or(self.tls.sni.as_deref()).or(self.flow.server_name.as_deref())
    }
}

fn without_port(host: &str) -> &str {
    // The colons of an IPv6 literal stand in brackets.
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// `capture.*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureColumns {
    /// File or interface.
    pub source: Option<String>,
    /// Name of the sensor.
    pub sensor: Option<String>,
    /// Packet number as Wireshark counts.
    pub packet: Option<u64>,
}

/// `flow.*`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowColumns {
    /// Who opened the flow.
    pub client: SocketAddr,
    /// Who was asked.
    pub server: SocketAddr,
    /// `tcp` or `udp`.
    pub transport: &'static str,
    /// Community ID version 1.
    pub community_id: String,
    /// Name of the server, as the client had learnt it from DNS; in rows of a look-up,
    /// the name that was looked up.
    pub server_name: Option<String>,
    /// Encapsulations, outermost first (`vlan/gre`).
    pub tunnel: Option<String>,
}

/// `tls.*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsColumns {
    /// Server name indication.
    pub sni: Option<String>,
    /// Version negotiated: `1.2`, `1.3`.
    pub version: Option<String>,
    /// Application protocol negotiated (offered, where the answer is hidden).
    pub alpn: Option<String>,
    /// JA4 of the client.
    pub ja4: Option<String>,
    /// Whether the content was decrypted; absent where there was no TLS.
    pub decrypted: Option<bool>,
}

/// `http.*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpColumns {
    /// `1.0`, `1.1`, `2`, `3`.
    pub version: Option<&'static str>,
    /// Request method.
    pub method: Option<String>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// Host (and port, where it was sent), lower case.
    pub host: Option<String>,
    /// Path, percent-decoded and without dot segments or query.
    pub path: Option<String>,
    /// Response status.
    pub status: Option<u16>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
}

/// `mcp.*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct McpColumns {
    /// How MCP is carried.
    pub transport: Option<McpTransport>,
    /// Negotiated revision, else the one asked for.
    pub protocol_version: Option<String>,
    /// Session id, hashed unless secrets are shown.
    pub session_id: Option<String>,
    /// JSON-RPC method (in a response row, that of its request).
    pub method: Option<String>,
    /// Kind of message.
    pub message_kind: Option<MessageKind>,
    /// Which way the message went.
    pub direction: Option<MessageDirection>,
    /// JSON-RPC id as written.
    pub jsonrpc_id: Option<String>,
    /// Tool, prompt or resource (in a response row, that of its request).
    pub name: Option<String>,
    /// JSON-RPC error code.
    pub error_code: Option<i64>,
    /// What the client calls itself.
    pub client_name: Option<String>,
    /// Version the client claims.
    pub client_version: Option<String>,
    /// What the server calls itself.
    pub server_name: Option<String>,
    /// Version the server claims.
    pub server_version: Option<String>,
    /// Messages by method (`conversation` rows).
    pub methods: Vec<MethodCount>,
    /// Tools called (`conversation` rows), sorted.
    pub tools: Vec<String>,
}

/// One element of `mcp.methods`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodCount {
    /// The method.
    pub method: String,
    /// Requests or notifications of that method.
    pub requests: u64,
    /// Results that answered it.
    pub responses: u64,
    /// Errors that answered it.
    pub errors: u64,
}

/// `identity.*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentityColumns {
    /// How the client authenticated.
    pub auth: Option<Auth>,
    /// On whose behalf.
    pub user: Option<String>,
    /// How that is known.
    pub source: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::super::samples;

    #[test]
    fn host_has_no_port() {
        let mut row = samples::bare();
        assert_eq!(row.host(), None);
        row.tls.sni = Some("sni.example".to_owned());
        for (host, bare) in [
            ("mcp.example.com", "mcp.example.com"),
            ("localhost:8080", "localhost"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("", "sni.example"),
            (":80", "sni.example"),
        ] {
            row.http.host = Some(host.to_owned());
            assert_eq!(row.host(), Some(bare), "{host}");
        }
    }
}
