//! Fields: where signatures look, and what kind of value is there.

use super::model::EvidenceKind;
use crate::stream::Direction;

/// Where a signature looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `tls.sni`: the server name of a ClientHello.
    TlsSni,
    /// `dns.name`: a name asked for or answered.
    DnsName,
    /// `http.host`: host of the request, without port.
    HttpHost,
    /// `http.path`: path of the request target, percent-decoded, without dot segments.
    HttpPath,
    /// `http.query`: what follows `?`, as sent.
    HttpQuery,
    /// `http.method`: as sent.
    HttpMethod,
    /// `http.header.NAME`: value of a header field; the name is lower case here.
    HttpHeader(Box<str>),
    /// `http.user_agent`: the request's `User-Agent`.
    HttpUserAgent,
    /// `http.body`: a body, SSE event data, WebSocket message or raw JSON line.
    HttpBody,
    /// `sse.event`: the name of an SSE event.
    SseEvent,
    /// `jsonrpc.method`: the method of a JSON-RPC message, unescaped.
    JsonRpcMethod,
    /// `jsonrpc.params.NAME`: a string member of `params`, unescaped.
    JsonRpcParams(Box<str>),
    /// `mcp.tool.name`: a tool listed or called.
    McpToolName,
    /// `mcp.tool.description`: a listed tool's description.
    McpToolDescription,
    /// `mcp.arguments`: the JSON of a call's arguments.
    McpArguments,
    /// `mcp.result`: the JSON of a result.
    McpResult,
    /// `oauth.NAME`: a parameter or metadata member of OAuth.
    OAuth(Box<str>),
    /// `flow.server_port`: the server's port.
    FlowServerPort,
}

/// Parameters and metadata members that `oauth.NAME` may name (RFC 6749, 7591,
/// 8414, 8707, 9728, OAuth Client ID Metadata Document).
pub const OAUTH_NAMES: &[&str] = &[
    "authorization_endpoint",
    "authorization_servers",
    "client_id",
    "client_id_metadata_document_supported",
    "client_name",
    "client_uri",
    "grant_type",
    "issuer",
    "jwks_uri",
    "redirect_uri",
    "redirect_uris",
    "registration_endpoint",
    "requested_token_type",
    "resource",
    "resource_metadata",
    "response_type",
    "scope",
    "scopes_supported",
    "software_id",
    "software_version",
    "token_endpoint",
];

/// What kind of value a field holds; decides which patterns suit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldClass {
    /// A host name, compared label by label without regard to case.
    Name,
    /// A path.
    Path,
    /// Delimited text.
    Text,
    /// Text that is (or may be) JSON, possibly long.
    Json,
    /// A port number.
    Port,
}

impl FieldClass {
    /// As named in diagnostics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "host name",
            Self::Path => "path",
            Self::Text => "text",
            Self::Json => "body",
            Self::Port => "port",
        }
    }
}

impl Field {
    /// Names of the fields without parameter, and prefixes of those with one.
    pub const NAMES: &'static [&'static str] = &[
        "tls.sni",
        "dns.name",
        "http.host",
        "http.path",
        "http.query",
        "http.method",
        "http.header.",
        "http.user_agent",
        "http.body",
        "sse.event",
        "jsonrpc.method",
        "jsonrpc.params.",
        "mcp.tool.name",
        "mcp.tool.description",
        "mcp.arguments",
        "mcp.result",
        "oauth.",
        "flow.server_port",
    ];

    /// The field of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "tls.sni" => Self::TlsSni,
            "dns.name" => Self::DnsName,
            "http.host" => Self::HttpHost,
            "http.path" => Self::HttpPath,
            "http.query" => Self::HttpQuery,
            "http.method" => Self::HttpMethod,
            "http.user_agent" => Self::HttpUserAgent,
            "http.body" => Self::HttpBody,
            "sse.event" => Self::SseEvent,
            "jsonrpc.method" => Self::JsonRpcMethod,
            "mcp.tool.name" => Self::McpToolName,
            "mcp.tool.description" => Self::McpToolDescription,
            "mcp.arguments" => Self::McpArguments,
            "mcp.result" => Self::McpResult,
            "flow.server_port" => Self::FlowServerPort,
            _ => return Self::parse_with_name(text),
        })
    }

    fn parse_with_name(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("http.header.") {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let valid = !name.is_empty() && name.len() <= 64 && name.bytes().all(token);
            return valid.then(|| Self::HttpHeader(name.to_ascii_lowercase().into()));
        }
        if let Some(name) = text.strip_prefix("jsonrpc.params.") {
            let valid = !name.is_empty() && name.len() <= 64;
            return valid.then(|| Self::JsonRpcParams(name.into()));
        }
        let name = text.strip_prefix("oauth.")?;
        OAUTH_NAMES.contains(&name).then(|| Self::OAuth(name.into()))
    }

    /// As written in signature files.
    pub fn name(&self) -> String {
        let fixed = match self {
            Self::TlsSni => "tls.sni",
            Self::DnsName => "dns.name",
            Self::HttpHost => "http.host",
            Self::HttpPath => "http.path",
            Self::HttpQuery => "http.query",
            Self::HttpMethod => "http.method",
            Self::HttpUserAgent => "http.user_agent",
            Self::HttpBody => "http.body",
            Self::SseEvent => "sse.event",
            Self::JsonRpcMethod => "jsonrpc.method",
            Self::McpToolName => "mcp.tool.name",
            Self::McpToolDescription => "mcp.tool.description",
            Self::McpArguments => "mcp.arguments",
            Self::McpResult => "mcp.result",
            Self::FlowServerPort => "flow.server_port",
            Self::HttpHeader(name) => return format!("http.header.{name}"),
            Self::JsonRpcParams(name) => return format!("jsonrpc.params.{name}"),
            Self::OAuth(name) => return format!("oauth.{name}"),
        };
        fixed.to_owned()
    }

    /// What kind of value the field holds.
    pub const fn class(&self) -> FieldClass {
        match self {
            Self::TlsSni | Self::DnsName | Self::HttpHost => FieldClass::Name,
            Self::HttpPath => FieldClass::Path,
            Self::HttpBody | Self::McpArguments | Self::McpResult => FieldClass::Json,
            Self::FlowServerPort => FieldClass::Port,
            _ => FieldClass::Text,
        }
    }

    /// The kind of evidence a hit in this field is, unless the signature says
    /// otherwise.
    pub const fn evidence_kind(&self) -> EvidenceKind {
        match self {
            Self::TlsSni | Self::DnsName | Self::HttpHost => EvidenceKind::Host,
            Self::HttpPath | Self::HttpQuery | Self::HttpMethod => EvidenceKind::Path,
            Self::HttpHeader(_) => EvidenceKind::Header,
            Self::HttpUserAgent => EvidenceKind::Client,
            Self::OAuth(_) => EvidenceKind::OAuth,
            Self::FlowServerPort => EvidenceKind::Port,
            _ => EvidenceKind::Body,
        }
    }

    /// Whether both fields may be seen of the same exchange: a DNS message, a
    /// ClientHello, or a request with its response.
    pub(crate) fn is_seen_with(&self, other: &Self) -> bool {
        let seen_in = |field: &Self| match field {
            Self::DnsName => 1,
            Self::TlsSni => 2,
            Self::FlowServerPort => 2 | 4,
            _ => 4,
        };
        seen_in(self) & seen_in(other) != 0
    }

    /// Whether the field has no two values in one exchange.
    pub(crate) const fn has_one_value(&self) -> bool {
        matches!(
            self,
            Self::TlsSni
                | Self::DnsName
                | Self::HttpHost
                | Self::HttpPath
                | Self::HttpQuery
                | Self::HttpMethod
                | Self::FlowServerPort
        )
    }

    /// Whether the field is known all at once: by the end of a request's head, or
    /// with a DNS message.
    pub(crate) const fn known_at_once(&self, direction: Option<Direction>) -> bool {
        match self {
            Self::TlsSni
            | Self::DnsName
            | Self::HttpHost
            | Self::HttpPath
            | Self::HttpQuery
            | Self::HttpMethod
            | Self::HttpUserAgent
            | Self::FlowServerPort => true,
            Self::HttpHeader(_) => matches!(direction, Some(Direction::ToServer)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_read_back() {
        for name in Field::NAMES {
            let name = match *name {
                "http.header." => "http.header.mcp-session-id",
                "jsonrpc.params." => "jsonrpc.params.protocolVersion",
                "oauth." => "oauth.client_id",
                name => name,
            };
            assert_eq!(Field::parse(name).unwrap().name(), name);
        }
        assert_eq!(Field::parse("http.header.Mcp-Name").unwrap().name(), "http.header.mcp-name");
        for name in ["", "http.header.", "http.header.a b", "oauth.cliend_id", "http"] {
            assert_eq!(Field::parse(name), None, "{name}");
        }
    }
}
