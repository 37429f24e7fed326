//! Signatures: a language for what MCP looks like, and automata that find it.
//!
//! Sets of [`Signature`]s are TOML files (`docs/signatures.md` is their reference);
//! [`SignatureSet`] reads, merges, lints and tests them, and compiles them into a
//! [`Matcher`]. The matcher takes the fields of flows and exchanges (names, paths,
//! header fields, body bytes in slices) and notes in a [`HitSet`] which patterns
//! hit; [`Matcher::signals`] says which signatures follow.
//!
//! ```
//! use mcpwatch::signature::{HitSet, RequestFields, SignatureSet};
//! use mcpwatch::stream::Direction;
//!
//! let set = SignatureSet::builtin();
//! let (matcher, _) = set.compile().unwrap();
//!
//! // The head of a request, then its body in two slices.
//! let mut hits = HitSet::new();
//! let request = RequestFields { method: b"POST", path: b"/rpc", ..Default::default() };
//! matcher.request(&request, &mut hits);
//! let mut cursor = matcher.body().start(Direction::ToServer, &mut hits);
//! matcher.body().feed(&mut cursor, br#"{"m\u0065thod" : "too"#, &mut hits);
//! matcher.body().feed(&mut cursor, br#"ls\/call"}"#, &mut hits);
//! matcher.body().finish(&cursor, &mut hits);
//!
//! let ids: Vec<_> = matcher.signals(&hits).map(|index| &*set.signature(index).id).collect();
//! assert_eq!(ids, ["mcp.body.tools-call"]);
//! ```
//!
//! Limits: a pattern sees bytes as they are handed over. Transfer and content
//! codings, UTF-16, percent-encoding and SSE framing are undone by the layers
//! below; JSON escapes and white space are undone here, by the automata.

mod ambiguity;
mod automaton;
mod builtin;
mod cache;
mod compile;
mod date;
mod diagnostic;
mod examples;
mod field;
mod hits;
mod lint;
mod lists;
mod matcher;
mod model;
mod names;
mod parse;
mod regex;
mod schema;
mod sequences;
mod set;
mod shadow;
mod suppress;
mod unreachable;
mod values;

pub(crate) use self::regex::parse as expression;
pub use automaton::Budget;
pub use cache::Cache;
pub use date::Date;
pub(crate) use diagnostic::{Collector, Source, suggestion};
pub use diagnostic::{Diagnostic, Location, Report, Severity};
pub use examples::ExampleFailure;
pub use field::{Field, FieldClass, OAUTH_NAMES};
pub use hits::{HitSet, SignatureIndex, SignatureIndexSet};
pub use lint::LINTS;
pub use lists::{HostEntry, HostList};
pub(crate) use matcher::Generation;
pub use matcher::{AutomatonInfo, Cursor, FieldMatcher, Matcher, RequestFields};
pub use model::{
    Clause, Condition, EvidenceKind, EvidenceKinds, Example, JsonMember, JsonText, Origin, Pattern,
    Revision, Signature, Strength, Value, Values,
};
pub use names::NameField;
pub use parse::LANGUAGE_VERSION;
pub use schema::json_schema;
pub use set::SignatureSet;
pub use suppress::{IdPattern, Suppression, SuppressionFailure};
pub use values::{MessageFields, NamedFields};
