//! The model: what a signature says, free of how it was written.
//!
//! [`parse`](super::parse) makes these values from TOML and has checked them;
//! the compiler and the lints read them.

use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

use super::field::{Field, FieldClass};
use super::lists::HostList;
use crate::findings::Severity;
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

/// Names of the directions: to the server and to the client.
pub(crate) const DIRECTIONS: &[&str] = &["to_server", "to_client"];

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
    pub(crate) fn suits(&self, class: FieldClass) -> bool {
        Self::key_suits(self.key(), class)
    }

    /// Whether the pattern of that key suits values of a class.
    pub(crate) fn key_suits(key: &str, class: FieldClass) -> bool {
        use FieldClass::{Json, Name, Path, Port, Text};
        match key {
            "exact" => matches!(class, Name | Path | Text),
            "substring" | "word" | "regex" => !matches!(class, Port),
            "prefix" | "present" => matches!(class, Text | Path),
            "suffix" | "wildcard" | "hosts" => matches!(class, Name),
            "path_prefix" | "path_suffix" => matches!(class, Path),
            "json_string" | "json_member" => matches!(class, Json),
            "port" => matches!(class, Port),
            _ => false,
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

    /// The same for patterns from which the same automaton is made, wherever they are
    /// written.
    pub(crate) fn content(&self) -> impl Hash {
        let member = match self {
            Self::JsonMember(member) => Some(member),
            _ => None,
        };
        let member = member.map(|member| {
            let value = member.value.as_ref().map(JsonText::content);
            (member.key.content(), value, member.fold_key)
        });
        (self.key(), self.values().map(Values::content), member)
    }

    /// Bytes of all texts.
    pub(crate) fn text_len(&self) -> usize {
        let member = match self {
            Self::JsonMember(JsonMember { key, value, .. }) => {
                key.values.len() + value.as_ref().map_or(0, |value| value.values.len())
            }
            _ => 0,
        };
        member + self.values().map_or(0, Values::len)
    }
}

impl Values {
    fn content(&self) -> (Vec<&str>, bool) {
        let texts = self.alternatives.iter().map(|value| &*value.text);
        (texts.collect(), self.ignore_case)
    }

    fn len(&self) -> usize {
        self.alternatives.iter().map(|value| value.text.len()).sum()
    }

    /// The same for equal values, in whatever order and place they are written.
    fn identity(&self) -> String {
        let mut texts: Vec<_> = self.alternatives.iter().map(|value| &*value.text).collect();
        texts.sort_unstable();
        format!("{texts:?}{}", self.ignore_case)
    }
}

impl JsonText {
    fn content(&self) -> (impl Hash, bool) {
        (self.values.content(), self.prefix)
    }

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
    /// Where the pattern is written.
    pub location: super::Location,
}

impl Clause {
    /// Whether the patterns are the same, in whatever fields.
    pub(crate) fn asks_the_same(&self, other: &Self) -> bool {
        let same =
            Self { fields: other.fields.clone(), direction: other.direction, ..self.clone() };
        same.identity() == other.identity()
    }

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
    /// What a hit is worth as evidence of MCP; [`Strength::Context`] for threats.
    pub strength: Strength,
    /// How much it matters, if the signature finds a threat and no evidence.
    pub severity: Option<Severity>,
    /// Which kind of evidence a hit is.
    pub kind: EvidenceKind,
    /// Free tags, such as `owasp:MCP09` or `cve:CVE-2025-49596`.
    pub tags: Vec<Box<str>>,
    /// Where the knowledge comes from.
    pub references: Vec<Box<str>>,
    /// Codes of lints that do not apply: what they warn of is meant.
    pub allow: Vec<Box<str>>,
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
    /// Whether what a lint warns of is meant.
    pub(crate) fn allows(&self, lint: &str) -> bool {
        self.allow.iter().any(|code| **code == *lint)
    }

    /// Whether a hit only nominates content for the JSON-RPC parser, which then
    /// confirms or refutes it. The signature's strength counts only where the
    /// parser could do neither (cut or one-sided content).
    pub fn nominates(&self) -> bool {
        self.severity.is_none()
            && self.clause.fields.contains(&Field::HttpBody)
            && self.kind == EvidenceKind::Body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
