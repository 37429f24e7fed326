//! The model: what a signature says, free of how it was written.
//!
//! [`parse`](super::parse) makes these values from TOML and has checked them;
//! the compiler and the lints read them.

use std::ops::Range;
use std::sync::Arc;

use super::lists::HostList;
use crate::stream::Direction;

/// Declares a fieldless enum whose values have fixed names in signature files.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$variant_meta])* $variant, )* }

        impl $name {
            /// Every name, in the order of declaration.
            pub const NAMES: &'static [&'static str] = &[ $( $text, )* ];

            /// The name used in signature files.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }

            /// The value of that name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $( $text => Some(Self::$variant), )* _ => None }
            }
        }
    };
}

named! {
    /// What a hit is worth.
    pub enum Strength {
        /// Says something about the traffic, nothing about MCP.
        Context = "context",
        /// Makes MCP possible, and corroborates nothing: seen with all sorts of things.
        Hint = "hint",
        /// Makes MCP possible, and two kinds of it likely: seen with MCP, and with
        /// other things.
        Weak = "weak",
        /// Hardly seen without MCP.
        Strong = "strong",
        /// Never seen without MCP.
        Proof = "proof",
    }
}

named! {
    /// Which kind of evidence a hit is; weak signals of two kinds corroborate
    /// each other (see [`EvidenceKinds`]).
    pub enum EvidenceKind {
        /// A name: SNI, DNS name, HTTP host.
        Host = "host",
        /// A path or query.
        Path = "path",
        /// A port number.
        Port = "port",
        /// A header field.
        Header = "header",
        /// Content: JSON-RPC, SSE events, tools.
        Body = "body",
        /// OAuth discovery and registration.
        OAuth = "oauth",
        /// What the client calls itself.
        Client = "client",
    }
}

named! {
    /// A published protocol revision.
    pub enum Revision {
        /// HTTP+SSE.
        V20241105 = "2024-11-05",
        /// Streamable HTTP, batches.
        V20250326 = "2025-03-26",
        /// `MCP-Protocol-Version`, elicitation.
        V20250618 = "2025-06-18",
        /// Tasks, client metadata documents.
        V20251125 = "2025-11-25",
        /// Stateless: `server/discover`, `Mcp-Method`, `_meta`.
        V20260728 = "2026-07-28",
    }
}

/// The kinds of weak evidence seen for one flow or conversation.
///
/// Two different kinds of weak evidence make a server likely. A port is only a
/// hint and corroborates nothing: a stream at `/sse` on a port that some MCP
/// server uses by default is still just a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvidenceKinds(u8);

impl EvidenceKinds {
    /// Adds the kind of one weak signal.
    pub fn insert(&mut self, kind: EvidenceKind) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether no weak signal was seen.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the kinds corroborate each other.
    pub const fn corroborated(self) -> bool {
        (self.0 & !(1 << EvidenceKind::Port as u8)).count_ones() >= 2
    }
}

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

/// What is looked for in a field. Several values are alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `exact`: the whole value.
    Exact(Values),
    /// `prefix`: the beginning of the value.
    Prefix(Values),
    /// `substring`: anywhere.
    Substring(Values),
    /// `word`: anywhere, with no ASCII letter or digit beside it.
    Word(Values),
    /// `suffix`: the name itself or a name below it.
    Suffix(Values),
    /// `wildcard`: label by label.
    Wildcard(Values),
    /// `hosts`: a named list.
    Hosts(Arc<HostList>),
    /// `path_prefix`: the path itself or one below it.
    PathPrefix(Values),
    /// `path_suffix`: the last segments of the path.
    PathSuffix(Values),
    /// `regex`.
    Regex(Values),
    /// `json_string`: a whole JSON string, whatever its escapes.
    JsonString(Values),
    /// `json_member`: a member of a JSON object, whatever its escapes and white space.
    JsonMember(JsonMember),
    /// `port`: a port number.
    Port(Vec<u16>),
    /// `present`: any value, even an empty one.
    Present,
}

/// Alternatives of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// At least one.
    pub alternatives: Vec<Value>,
    /// Compare ASCII letters without regard to case.
    pub ignore_case: bool,
}

/// One alternative and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The text.
    pub text: Box<str>,
    /// Where in the file.
    pub span: Range<usize>,
}

/// A member of a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonMember {
    /// Key, or what keys begin with.
    pub key: JsonText,
    /// String value, or what it begins with; absent where any value will do.
    pub value: Option<JsonText>,
    /// Compare the key as Go's `encoding/json` does: without regard to case,
    /// with U+017F as `s` and U+212A as `k`.
    pub fold_key: bool,
}

/// A JSON string to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText {
    /// Alternatives.
    pub values: Values,
    /// Whether the strings only begin so.
    pub prefix: bool,
}

impl Pattern {
    /// The key of the pattern in signature files.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Prefix(_) => "prefix",
            Self::Substring(_) => "substring",
            Self::Word(_) => "word",
            Self::Suffix(_) => "suffix",
            Self::Wildcard(_) => "wildcard",
            Self::Hosts(_) => "hosts",
            Self::PathPrefix(_) => "path_prefix",
            Self::PathSuffix(_) => "path_suffix",
            Self::Regex(_) => "regex",
            Self::JsonString(_) => "json_string",
            Self::JsonMember(_) => "json_member",
            Self::Port(_) => "port",
            Self::Present => "present",
        }
    }

    /// Whether the pattern suits values of a class.
    pub(crate) const fn suits(&self, class: FieldClass) -> bool {
        use FieldClass::{Json, Name, Path, Port, Text};
        match self {
            Self::Exact(_) => matches!(class, Name | Path | Text),
            Self::Substring(_) | Self::Word(_) | Self::Regex(_) => !matches!(class, Port),
            Self::Prefix(_) => matches!(class, Text | Path),
            Self::Suffix(_) | Self::Wildcard(_) | Self::Hosts(_) => matches!(class, Name),
            Self::PathPrefix(_) | Self::PathSuffix(_) => matches!(class, Path),
            Self::JsonString(_) | Self::JsonMember(_) => matches!(class, Json),
            Self::Port(_) => matches!(class, Port),
            Self::Present => !matches!(class, Json | Name),
        }
    }

    /// The texts of the pattern, where it has any.
    pub fn values(&self) -> Option<&Values> {
        match self {
            Self::Exact(values)
            | Self::Prefix(values)
            | Self::Substring(values)
            | Self::Word(values)
            | Self::Suffix(values)
            | Self::Wildcard(values)
            | Self::PathPrefix(values)
            | Self::PathSuffix(values)
            | Self::Regex(values)
            | Self::JsonString(values) => Some(values),
            Self::JsonMember(_) | Self::Hosts(_) | Self::Port(_) | Self::Present => None,
        }
    }
}

impl Values {
    /// The same for equal values, in whatever order and place they are written.
    fn identity(&self) -> String {
        let mut texts: Vec<_> = self.alternatives.iter().map(|value| &*value.text).collect();
        texts.sort_unstable();
        format!("{texts:?}{}", self.ignore_case)
    }
}

impl JsonText {
    fn identity(&self) -> String {
        format!("{}{}", self.values.identity(), self.prefix)
    }
}

/// A pattern on fields: a signature's own, or one of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Where to look; at least one, all of the same class.
    pub fields: Vec<Field>,
    /// Which way the bytes must travel; absent for either.
    pub direction: Option<Direction>,
    /// What to look for.
    pub pattern: Pattern,
    /// Where the clause is written.
    pub span: Range<usize>,
}

impl Clause {
    /// The same for clauses that ask the same, wherever they are written.
    pub(crate) fn identity(&self) -> String {
        let mut fields: Vec<_> = self.fields.iter().map(Field::name).collect();
        fields.sort_unstable();
        let pattern = match &self.pattern {
            Pattern::JsonMember(member) => format!(
                "{}{:?}{}",
                member.key.identity(),
                member.value.as_ref().map(JsonText::identity),
                member.fold_key
            ),
            Pattern::Hosts(list) => format!("{:p}", Arc::as_ptr(list)),
            Pattern::Port(ports) => format!("{ports:?}"),
            pattern => pattern.values().map(Values::identity).unwrap_or_default(),
        };
        format!("{fields:?}{:?}{}{pattern}", self.direction, self.pattern.key())
    }
}

/// What else must hold in the same exchange for a signature to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The pattern hits.
    Clause(Clause),
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

impl Condition {
    /// The same for conditions that ask the same, wherever they are written.
    pub(crate) fn identity(&self) -> String {
        let join = |inner: &[Self]| inner.iter().map(Self::identity).collect::<Vec<_>>().join(";");
        match self {
            Self::Clause(clause) => clause.identity(),
            Self::All(inner) => format!("all({})", join(inner)),
            Self::Any(inner) => format!("any({})", join(inner)),
            Self::Not(inner) => format!("not({})", inner.identity()),
        }
    }
}

/// Where a signature was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// File.
    pub path: Arc<str>,
    /// Line of its `[[signature]]` header, from 1.
    pub line: usize,
    /// Its place in the file.
    pub location: super::Location,
}

/// One example of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Values of fields. A plain string stands for the signature's own fields
    /// and is kept with `None`.
    pub values: Vec<(Option<Field>, Box<str>)>,
    /// Where it is written.
    pub location: super::Location,
}

/// A signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Unique name.
    pub id: Box<str>,
    /// One line for people.
    pub title: Box<str>,
    /// What hits.
    pub clause: Clause,
    /// What else must hold.
    pub when: Option<Condition>,
    /// What a hit is worth.
    pub strength: Strength,
    /// Which kind of evidence a hit is.
    pub kind: EvidenceKind,
    /// Free tags, such as `owasp:MCP09` or `cve:CVE-2025-49596`.
    pub tags: Vec<Box<str>>,
    /// Where the knowledge comes from.
    pub references: Vec<Box<str>>,
    /// First revision that has it.
    pub since: Option<Revision>,
    /// Last revision that has it.
    pub until: Option<Revision>,
    /// What must hit.
    pub matches: Vec<Example>,
    /// What must not hit.
    pub misses: Vec<Example>,
    /// Where it was written.
    pub origin: Origin,
}

impl Signature {
    /// Whether a hit only nominates content for the JSON-RPC parser, which then
    /// confirms or refutes it. The signature's strength counts only where the
    /// parser could do neither (cut or one-sided content).
    pub fn nominates(&self) -> bool {
        self.clause.fields.contains(&Field::HttpBody) && self.kind == EvidenceKind::Body
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

    #[test]
    fn two_kinds_corroborate_and_ports_never_do() {
        let kinds = |kinds: &[EvidenceKind]| {
            let mut seen = EvidenceKinds::default();
            kinds.iter().for_each(|&kind| seen.insert(kind));
            seen
        };
        use EvidenceKind::{Client, Header, Host, Path, Port};
        assert!(kinds(&[]).is_empty());
        for (seen, corroborated) in [
            (kinds(&[]), false),
            (kinds(&[Path]), false),
            (kinds(&[Path, Path]), false),
            (kinds(&[Path, Port]), false),
            (kinds(&[Host, Port]), false),
            (kinds(&[Host, Path]), true),
            (kinds(&[Header, Path]), true),
            (kinds(&[Client, Path, Port]), true),
        ] {
            assert_eq!(seen.corroborated(), corroborated, "{seen:?}");
        }
    }
}
