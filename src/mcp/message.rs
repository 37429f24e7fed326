//! One JSON-RPC message: what of it matters, in little space.
//!
//! A message is not a tree. It holds, for each known member of the envelope,
//! of `params`, `result`, `error` and a few objects below them, which kind of
//! value it has and, where the text matters, the beginning of that text. The
//! scanner fills one message again and again; a sink copies what it keeps.

use super::keys::{
    EnvelopeKey, ErrorDataKey, ErrorKey, InfoKey, ItemKey, Key, MetaKey, ParamKey, ResultKey,
};
use super::shape::Shape;
use super::store::{Arena, Members, Span};

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// There is no such member (or it has not been seen yet).
    #[default]
    Absent,
    /// `null`.
    Null,
    /// `false`.
    False,
    /// `true`.
    True,
    /// A number.
    Number,
    /// A string.
    String,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Has a method and an identifier: wants a response.
    Request,
    /// Has a method and no identifier.
    Notification,
    /// Has a result.
    Response,
    /// Has an error.
    Error,
    /// Has none of them.
    Invalid,
}

/// The version of JSON-RPC a message declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// No `jsonrpc` member (or not seen yet).
    Absent,
    /// The string `2.0`.
    V2,
    /// Anything else.
    Other,
}

/// A message's identifier, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id<'a> {
    /// A string.
    String(&'a str),
    /// A number.
    Number(&'a str),
    /// `null`.
    Null,
    /// Something that no identifier can be.
    Other,
}

/// What was odd about a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// Its end was not seen.
    pub truncated: bool,
    /// It is an element of a batch.
    pub batched: bool,
    /// A key differs in case from the known key it was taken for.
    pub folded_keys: bool,
    /// A known key occurs twice; the last occurrence counts.
    pub duplicate_keys: bool,
    /// A text that was kept, or a list, was longer than its cap.
    pub cut: bool,
    /// It was sent in another encoding than UTF-8.
    pub transcoded: bool,
}

/// Who a client or server says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Info<'a> {
    /// For programs.
    pub name: Option<&'a str>,
    /// Its version.
    pub version: Option<&'a str>,
    /// For people.
    pub title: Option<&'a str>,
}

/// A tool that a server lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tool<'a> {
    /// Its name.
    pub name: &'a str,
    /// Digest of its whole definition, whatever the white space and escapes;
    /// `None` where the definition was cut.
    pub digest: Option<u128>,
}

/// The lists (and objects like list elements) that a message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// `result.tools`: objects with `name` and `inputSchema`.
    Tools,
    /// `result.content`: objects with a `type` of MCP.
    Content,
    /// `result.resources`: objects with `uri` and `name`.
    Resources,
    /// `result.resourceTemplates`: objects with `uriTemplate` and `name`.
    ResourceTemplates,
    /// `result.prompts`: objects with `name`.
    Prompts,
    /// `result.contents`: objects with `uri` and `text` or `blob`.
    Contents,
    /// `result.messages`: objects with `role` and an object `content`.
    Messages,
    /// `result.roots`: objects with a `file:` `uri`.
    Roots,
}

/// How many elements of a list were seen, and of how many the shape is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListFacts {
    /// Elements.
    pub elements: u32,
    /// Elements of the shape that [`List`] says.
    pub well_formed: u32,
}

/// The kinds of content that occur in `result.content`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentTypes(u8);

/// One JSON-RPC message.
#[derive(Debug, Default)]
pub struct Message {
    pub(super) envelope: Members<{ EnvelopeKey::ALL.len() }>,
    pub(super) flags: Flags,
    pub(super) facts: Facts,
    /// Whether [`facts`](Self::facts) or the vectors hold anything.
    pub(super) dirty: bool,
    pub(super) text: Arena,
    pub(super) tools: Vec<(Span, Option<u128>)>,
    pub(super) names: Vec<Span>,
    pub(super) versions: Vec<Span>,
    pub(super) input_requests: Vec<Span>,
}

/// What is known of the members below the envelope.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) params: Members<{ ParamKey::ALL.len() }>,
    pub(super) result: Members<{ ResultKey::ALL.len() }>,
    pub(super) error: Members<{ ErrorKey::ALL.len() }>,
    pub(super) error_data: Members<{ ErrorDataKey::ALL.len() }>,
    pub(super) meta: Members<{ MetaKey::ALL.len() }>,
    /// `_meta` has a key that MCP defines.
    pub(super) mcp_meta: bool,
    pub(super) info: [Members<{ InfoKey::ALL.len() }>; 4],
    /// The object that is read: a list element, `params.ref` and the like.
    pub(super) item: Members<{ ItemKey::ALL.len() }>,
    pub(super) reference: Span,
    pub(super) message_parts: bool,
    pub(super) completion_values: bool,
    pub(super) lists: [ListFacts; 8],
    pub(super) content: ContentTypes,
    pub(super) arguments: Span,
    pub(super) arguments_len: u64,
}

/// Which `clientInfo` or `serverInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Client,
    MetaClient,
    Server,
    MetaServer,
}

impl Message {
    /// Bytes that it owns beside itself.
    pub(super) fn memory(&self) -> usize {
        let spans =
            self.names.capacity() + self.versions.capacity() + self.input_requests.capacity();
        self.text.memory()
            + spans * size_of::<Span>()
            + self.tools.capacity() * size_of::<(Span, Option<u128>)>()
    }

    /// What kind of message it is. Where the end is missing and no identifier
    /// was seen, the method's prefix decides.
    pub fn kind(&self) -> Kind {
        let has = |key| self.envelope.kind(key) != ValueKind::Absent;
        if let Some(method) = self.method() {
            let announced = method.starts_with("notifications/");
            return match has(EnvelopeKey::Id) || (self.flags.truncated && !announced) {
                true => Kind::Request,
                false => Kind::Notification,
            };
        }
        match (has(EnvelopeKey::Result), has(EnvelopeKey::Error)) {
            (true, false) => Kind::Response,
            (true, true) if self.envelope.kind(EnvelopeKey::Error) == ValueKind::Null => {
                Kind::Response
            }
            (_, true) => Kind::Error,
            (false, false) => Kind::Invalid,
        }
    }

    /// What the message is evidence of.
    pub fn shape(&self) -> Shape {
        super::shape::classify(self)
    }

    /// The version of JSON-RPC it declares.
    pub fn version(&self) -> Version {
        match self.envelope.kind(EnvelopeKey::JsonRpc) {
            ValueKind::Absent => Version::Absent,
            _ if self.string(&self.envelope, EnvelopeKey::JsonRpc) == Some("2.0") => Version::V2,
            _ => Version::Other,
        }
    }

    /// Its identifier.
    pub fn id(&self) -> Option<Id<'_>> {
        let span = self.envelope.span(EnvelopeKey::Id)?;
        let text = self.text.of(span).unwrap_or_default();
        Some(match self.envelope.kind(EnvelopeKey::Id) {
            ValueKind::Absent => return None,
            ValueKind::String => Id::String(text),
            ValueKind::Number => Id::Number(text),
            ValueKind::Null => Id::Null,
            _ => Id::Other,
        })
    }

    /// Its method, if that is a string.
    pub fn method(&self) -> Option<&str> {
        self.string(&self.envelope, EnvelopeKey::Method)
    }

    /// The kind of a member of the message itself.
    pub fn envelope_kind(&self, key: EnvelopeKey) -> ValueKind {
        self.envelope.kind(key)
    }

    /// The kind of a member of `params`.
    pub fn param_kind(&self, key: ParamKey) -> ValueKind {
        self.facts.params.kind(key)
    }

    /// A string or number in `params`.
    pub fn param(&self, key: ParamKey) -> Option<&str> {
        self.text.of(self.facts.params.span(key)?)
    }

    /// The kind of a member of `result`.
    pub fn result_kind(&self, key: ResultKey) -> ValueKind {
        self.facts.result.kind(key)
    }

    /// A string or number in `result`.
    pub fn result(&self, key: ResultKey) -> Option<&str> {
        self.text.of(self.facts.result.span(key)?)
    }

    /// The kind of a member of `_meta`, in `params` or `result`.
    pub fn meta_kind(&self, key: MetaKey) -> ValueKind {
        self.facts.meta.kind(key)
    }

    /// A string or number in `_meta`.
    pub fn meta(&self, key: MetaKey) -> Option<&str> {
        self.text.of(self.facts.meta.span(key)?)
    }

    /// Whether `_meta` has a key that begins with `io.modelcontextprotocol/`.
    pub fn has_mcp_meta(&self) -> bool {
        self.facts.mcp_meta
    }

    /// The protocol revision the message names as its own: in `initialize`, in
    /// its result, or in `_meta`.
    pub fn protocol_version(&self) -> Option<&str> {
        let facts = &self.facts;
        self.string(&facts.params, ParamKey::ProtocolVersion)
            .or_else(|| self.string(&facts.result, ResultKey::ProtocolVersion))
            .or_else(|| self.string(&facts.meta, MetaKey::ProtocolVersion))
    }

    /// Who the client says it is (`clientInfo`, in `params` or in `_meta`).
    pub fn client_info(&self) -> Option<Info<'_>> {
        self.info(Who::Client).or_else(|| self.info(Who::MetaClient))
    }

    /// Who the server says it is (`serverInfo`, in `result` or in `_meta`).
    pub fn server_info(&self) -> Option<Info<'_>> {
        self.info(Who::Server).or_else(|| self.info(Who::MetaServer))
    }

    /// The beginning of `params.arguments`, as sent.
    pub fn arguments(&self) -> Option<&str> {
        self.text.of(self.facts.arguments)
    }

    /// The length of `params.arguments` in bytes of UTF-8, as far as seen.
    pub fn arguments_len(&self) -> u64 {
        self.facts.arguments_len
    }

    /// `params.ref.type` of `completion/complete`.
    pub fn reference_type(&self) -> Option<&str> {
        self.text.of(self.facts.reference)
    }

    /// How long a list is and whether its elements have the right shape.
    pub fn list(&self, list: List) -> ListFacts {
        self.facts.lists.get(list as usize).copied().unwrap_or_default()
    }

    /// The tools listed (the first 512).
    pub fn tools(&self) -> impl ExactSizeIterator<Item = Tool<'_>> {
        self.tools
            .iter()
            .map(|&(name, digest)| Tool { name: self.text.of(name).unwrap_or_default(), digest })
    }

    /// Names of the prompts, or URIs (and templates) of the resources, listed
    /// (the first 512).
    pub fn listed_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|&span| self.text.of(span).unwrap_or_default())
    }

    /// Kinds of content in `result.content`.
    pub fn content_types(&self) -> ContentTypes {
        self.facts.content
    }

    /// `result.supportedVersions` or `error.data.supported` (the first 16).
    pub fn supported_versions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.versions.iter().map(|&span| self.text.of(span).unwrap_or_default())
    }

    /// The methods in `result.inputRequests` (the first 16).
    pub fn input_requests(&self) -> impl ExactSizeIterator<Item = &str> {
        self.input_requests.iter().map(|&span| self.text.of(span).unwrap_or_default())
    }

    /// Whether the result has an array `completion.values`.
    pub fn has_completion_values(&self) -> bool {
        self.facts.completion_values
    }

    /// Whether `params.message` is an object with an array `parts` (A2A).
    pub fn has_message_parts(&self) -> bool {
        self.facts.message_parts
    }

    /// `error.code`.
    pub fn error_code(&self) -> Option<i64> {
        match self.facts.error.kind(ErrorKey::Code) {
            ValueKind::Number => integer(self.text.of(self.facts.error.span(ErrorKey::Code)?)?),
            _ => None,
        }
    }

    /// `error.message`.
    pub fn error_message(&self) -> Option<&str> {
        self.text.of(self.facts.error.span(ErrorKey::Message)?)
    }

    /// `error.data.requested`: the revision the server does not speak.
    pub fn requested_version(&self) -> Option<&str> {
        self.text.of(self.facts.error_data.span(ErrorDataKey::Requested)?)
    }

    /// What was odd about it.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// A member's text, if it is a string.
    fn string<const N: usize, K: Key>(&self, members: &Members<N>, key: K) -> Option<&str> {
        match members.kind(key) {
            ValueKind::String => self.text.of(members.span(key)?),
            _ => None,
        }
    }

    fn info(&self, who: Who) -> Option<Info<'_>> {
        let members = self.facts.info.get(who as usize)?;
        let member = |key| self.string(members, key);
        let info = Info {
            name: member(InfoKey::Name),
            version: member(InfoKey::Version),
            title: member(InfoKey::Title),
        };
        (info != Info::default()).then_some(info)
    }

    /// Makes the message empty, for the next one.
    pub(super) fn clear(&mut self) {
        self.envelope = Members::default();
        self.flags = Flags::default();
        self.text.clear();
        if self.dirty {
            self.forget_facts();
        }
    }

    /// Drops texts that later occurrences of their keys replaced; returns where
    /// the texts of the current list element now begin.
    pub(super) fn reclaim(&mut self) -> usize {
        let Facts {
            params, result, error, error_data, meta, info, item, reference, arguments, ..
        } = &mut self.facts;
        let [client, meta_client, server, meta_server] = info;
        let lasting = self
            .envelope
            .spans
            .iter_mut()
            .chain(&mut params.spans)
            .chain(&mut result.spans)
            .chain(&mut error.spans)
            .chain(&mut error_data.spans)
            .chain(&mut meta.spans)
            .chain(&mut client.spans)
            .chain(&mut meta_client.spans)
            .chain(&mut server.spans)
            .chain(&mut meta_server.spans)
            .chain([reference, arguments])
            .chain(self.tools.iter_mut().map(|(name, _)| name))
            .chain(&mut self.names)
            .chain(&mut self.versions)
            .chain(&mut self.input_requests);
        let mut fresh = Arena::default();
        for span in lasting {
            fresh.adopt(span, &self.text);
        }
        let element_start = fresh.len();
        for span in &mut item.spans {
            fresh.adopt(span, &self.text);
        }
        self.text = fresh;
        element_start
    }

    /// Forgets all but the envelope and the text.
    pub(super) fn forget_facts(&mut self) {
        self.dirty = false;
        self.facts = Facts::default();
        self.tools.clear();
        self.names.clear();
        self.versions.clear();
        self.input_requests.clear();
    }
}

impl ContentTypes {
    const KNOWN: [&'static str; 5] = ["text", "image", "audio", "resource", "resource_link"];

    /// The known types that occur, as written.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        Self::KNOWN
            .into_iter()
            .enumerate()
            .filter(move |(index, _)| self.0 >> index & 1 == 1)
            .map(|(_, name)| name)
    }

    /// Whether a known type occurs.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds a type; says whether it is known.
    pub(super) fn add(&mut self, name: &str) -> bool {
        let known = Self::KNOWN.iter().position(|&known| known == name);
        if let Some(index) = known {
            self.0 |= 1 << index;
        }
        known.is_some()
    }
}

/// An integer written as JSON allows: `-32601`, but also `-32601.0`.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        let whole = number.trunc();
        // Exactly representable, so the conversion loses nothing.
        (whole == number && number.abs() <= 9_007_199_254_740_992.0).then_some(whole as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_every_spelling() {
        for (text, value) in [
            ("-32601", Some(-32601)),
            ("-32601.0", Some(-32601)),
            ("-3.2601e4", Some(-32601)),
            ("1.5", None),
            ("1e300", None),
            ("9223372036854775807", Some(i64::MAX)),
        ] {
            assert_eq!(integer(text), value, "{text}");
        }
    }
}
