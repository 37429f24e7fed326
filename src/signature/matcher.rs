//! The matcher: a set compiled into one automaton per field.
//!
//! A matcher is shared by all workers and never changes. What is known of a flow
//! or exchange lives in a [`HitSet`] that the caller keeps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::automaton::{self, FieldAutomaton};
use super::field::Field;
use super::hits::{Atom, HitSet, SignatureIndex, SignatureIndexSet};
use super::lists::HostEntry;
use super::names::{Name, NameField, NameFields, NameIndex};
use super::suppress::Suppressed;
use super::values::{MessageFields, NamedFields};
use crate::stream::{Direction, Header};

/// A compiled [`SignatureSet`](super::SignatureSet).
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    generation: Generation,
    pub(super) signatures: usize,
    /// Condition of each signature.
    pub(super) conditions: Vec<Option<Expression>>,
    /// Those that [nominate](super::Signature::nominates) only.
    pub(super) nominating: SignatureIndexSet,
    /// Where signatures do not count.
    pub(super) suppressed: Suppressed,
    pub(super) names: NameIndex,
    pub(super) lists: Vec<Arc<super::HostList>>,
    /// Patterns of names that are not exact names or suffixes.
    pub(super) name_patterns: FieldMatcher,
    /// Ports in ascending order.
    pub(super) ports: Vec<(u16, Atom)>,
    pub(super) fields: HashMap<Field, Arc<FieldMatcher>>,
    pub(super) sse_event: Option<Arc<FieldMatcher>>,
    pub(super) messages: Option<Box<MessageFields>>,
    pub(super) oauth: NamedFields,
    /// Lower-case names of header fields looked at, shortest first.
    pub(super) headers: Vec<(Box<[u8]>, FieldMatcher)>,
    pub(super) path: FieldMatcher,
    pub(super) query: FieldMatcher,
    pub(super) method: FieldMatcher,
    pub(super) body: FieldMatcher,
}

/// Tells matchers apart: hits and cursors mean nothing to another matcher than the
/// one that made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl Default for Generation {
    /// One that there was not before.
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A condition over atoms.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    Atom(Atom),
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
}

/// The patterns of one field.
#[derive(Clone, Debug, Default)]
pub struct FieldMatcher {
    pub(super) automaton: FieldAutomaton,
    /// What each pattern of the automaton stands for.
    pub(super) targets: Vec<Target>,
    /// Patterns that any value hits.
    pub(super) present: Vec<Target>,
    /// Time that the automaton took to build.
    pub(super) build: Duration,
}

/// Where a text that comes in slices is, and which way it travels: all that a flow
/// keeps between slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    place: automaton::Cursor,
    direction: Direction,
}

impl Cursor {
    /// Bytes of the heap: some only where patterns are too many for a DFA.
    pub fn memory(&self) -> usize {
        self.place.memory()
    }
}

/// What a pattern's hit means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) atom: Atom,
    pub(super) direction: Option<Direction>,
    /// For patterns of names: in which fields.
    pub(super) names: NameFields,
}

/// What a request's head says.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFields<'a> {
    /// Method as sent.
    pub method: &'a [u8],
    /// Host, with or without port.
    pub host: Option<&'a [u8]>,
    /// Path, percent-decoded, without dot segments and query.
    pub path: &'a [u8],
    /// What follows `?`, as sent.
    pub query: Option<&'a [u8]>,
    /// Header fields.
    pub headers: &'a [Header<'a>],
}

/// What an automaton is like, for people who write signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutomatonInfo {
    /// The field, or `names` for the host-like fields together.
    pub field: String,
    /// Patterns in it.
    pub patterns: usize,
    /// DFAs it is made of.
    pub dfas: usize,
    /// Bytes it takes.
    pub bytes: usize,
    /// Time that it took to build; none if it was taken from the cache.
    pub build: Duration,
}

impl Matcher {
    /// Tells this matcher from others; its clones are the same.
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// Matches the name of a TLS ClientHello or a DNS message. (The host of a
    /// request is matched with its path, by [`Matcher::request`].)
    pub fn name(&self, field: NameField, name: &[u8], hits: &mut HitSet) {
        self.name_and_path(field, name, None, hits);
    }

    /// Matches a request's head.
    pub fn request(&self, request: &RequestFields<'_>, hits: &mut HitSet) {
        const TO_SERVER: Direction = Direction::ToServer;
        self.method.value(TO_SERVER, request.method, hits);
        self.path.value(TO_SERVER, request.path, hits);
        if let Some(query) = request.query {
            self.query.value(TO_SERVER, query, hits);
        }
        if let Some(host) = request.host {
            self.name_and_path(NameField::HttpHost, host, Some(request.path), hits);
        }
        self.headers(TO_SERVER, request.headers, hits);
    }

    /// Matches a response's head.
    pub fn response(&self, headers: &[Header<'_>], hits: &mut HitSet) {
        self.headers(Direction::ToClient, headers, hits);
    }

    /// Matches the server's port.
    pub fn server_port(&self, port: u16, hits: &mut HitSet) {
        let first = self.ports.partition_point(|&(number, _)| number < port);
        for &(number, atom) in &self.ports[first..] {
            if number != port {
                break;
            }
            hits.insert(atom);
        }
    }

    /// The patterns of `http.body`.
    pub fn body(&self) -> &FieldMatcher {
        &self.body
    }

    /// The patterns of a field other than names, ports and headers; `None` if
    /// there are none. Look it up once and keep it.
    pub fn field(&self, field: &Field) -> Option<&FieldMatcher> {
        match field {
            Field::HttpPath => Some(&self.path),
            Field::HttpQuery => Some(&self.query),
            Field::HttpMethod => Some(&self.method),
            Field::HttpBody => Some(&self.body),
            field => self.fields.get(field).map(Arc::as_ref),
        }
        .filter(|matcher| !matcher.is_empty())
    }

    /// The patterns of a field other than names and ports, be it a header field;
    /// to be looked up once and kept.
    pub(crate) fn any_field(&self, field: &Field) -> Option<&FieldMatcher> {
        let Field::HttpHeader(name) = field else { return self.field(field) };
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| **known == *name.as_bytes()).map(|(_, matcher)| matcher)
    }

    /// The patterns of `sse.event`, if there are any.
    pub fn sse_event(&self) -> Option<&FieldMatcher> {
        self.sse_event.as_deref()
    }

    /// The patterns of `jsonrpc.*` and `mcp.*`, if there are any.
    pub fn messages(&self) -> Option<&MessageFields> {
        self.messages.as_deref()
    }

    /// The patterns of `oauth.NAME`, if there are any.
    pub fn oauth(&self) -> Option<&NamedFields> {
        Some(&self.oauth).filter(|fields| !fields.is_empty())
    }

    /// The signatures that follow from the hits: those whose own pattern hit, whose
    /// conditions hold and that are not suppressed. More may follow when more has hit.
    pub fn signals<'m>(&'m self, hits: &'m HitSet) -> impl Iterator<Item = SignatureIndex> + 'm {
        hits.atoms()
            .take_while(|atom| (atom.0 as usize) < self.signatures)
            .filter(|&atom| self.hits(atom, hits) && !self.suppressed.holds(atom, hits))
            .map(|atom| SignatureIndex(atom.0))
    }

    /// Of the signatures that follow from the hits, those that need no message to
    /// bear them out.
    pub(crate) fn evident<'m>(
        &'m self,
        hits: &'m HitSet,
    ) -> impl Iterator<Item = SignatureIndex> + 'm {
        self.signals(hits).filter(|signal| !self.nominating.contains(*signal))
    }

    /// Whether a signature's own pattern hit and its conditions hold.
    pub(super) fn hits(&self, signature: Atom, hits: &HitSet) -> bool {
        let condition = self.conditions.get(signature.0 as usize).and_then(Option::as_ref);
        hits.contains(signature) && condition.is_none_or(|condition| condition.holds(hits))
    }

    /// The signatures whose own pattern hit, whether or not their conditions hold.
    pub(crate) fn patterns<'m>(&'m self, hits: &'m HitSet) -> impl Iterator<Item = SignatureIndex> {
        let own = hits.atoms().take_while(|atom| (atom.0 as usize) < self.signatures);
        own.map(|atom| SignatureIndex(atom.0))
    }

    /// The list entry that names a host (with a path, where the host serves other
    /// things too): its vendor and resource kind.
    pub fn known_host(&self, host: &[u8], path: Option<&[u8]>) -> Option<&HostEntry> {
        let name = Name::new(host)?;
        let mut entry = None;
        self.names.each(name.as_bytes(), path, &mut |rule| entry = entry.or(rule.entry));
        let (list, entry) = entry?;
        self.lists.get(list)?.entries.get(entry)
    }

    /// What the automata are like, largest first.
    pub fn automata(&self) -> Vec<AutomatonInfo> {
        let fixed = [
            ("names".to_owned(), &self.name_patterns),
            ("http.path".to_owned(), &self.path),
            ("http.query".to_owned(), &self.query),
            ("http.method".to_owned(), &self.method),
            ("http.body".to_owned(), &self.body),
        ];
        let fields = self.fields.iter().map(|(field, matcher)| (field.name(), &**matcher));
        let headers = self.headers.iter().map(|(name, matcher)| {
            (format!("http.header.{}", String::from_utf8_lossy(name)), matcher)
        });
        let mut infos: Vec<_> = fixed
            .into_iter()
            .chain(fields)
            .chain(headers)
            .filter(|(_, matcher)| !matcher.is_empty())
            .map(|(field, matcher)| AutomatonInfo {
                field,
                patterns: matcher.targets.len() + matcher.present.len(),
                dfas: matcher.automaton.dfas(),
                bytes: matcher.automaton.memory_usage(),
                build: matcher.build,
            })
            .collect();
        infos.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.field.cmp(&b.field)));
        infos
    }

    /// Number of exact names and domain suffixes.
    pub fn known_names(&self) -> usize {
        self.names.len()
    }

    fn name_and_path(&self, field: NameField, name: &[u8], path: Option<&[u8]>, hits: &mut HitSet) {
        let Some(name) = Name::new(name) else { return };
        if !self.names.is_empty() {
            self.names.each(name.as_bytes(), path, &mut |rule| {
                if rule.fields.contains(field) {
                    hits.insert(rule.atom);
                }
            });
        }
        let matcher = &self.name_patterns;
        if !matcher.automaton.is_empty() {
            matcher.run(name.as_bytes(), &mut |target| {
                if target.names.contains(field) {
                    hits.insert(target.atom);
                }
            });
        }
    }

    fn headers(&self, direction: Direction, headers: &[Header<'_>], hits: &mut HitSet) {
        for header in headers {
            let len = header.name.len();
            let first = self.headers.partition_point(|(name, _)| name.len() < len);
            for (name, matcher) in &self.headers[first..] {
                if name.len() != len {
                    break;
                }
                if header.name.eq_ignore_ascii_case(name) {
                    matcher.value(direction, header.value, hits);
                }
            }
        }
    }
}

impl FieldMatcher {
    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.present.is_empty()
    }

    /// Matches a whole value.
    pub fn value(&self, direction: Direction, value: &[u8], hits: &mut HitSet) {
        for target in &self.present {
            target.hit(direction, hits);
        }
        if !self.automaton.is_empty() {
            self.run(value, &mut |target| target.hit(direction, hits));
        }
    }

    /// The place before the first byte of a text that comes in slices.
    pub fn start(&self, direction: Direction, hits: &mut HitSet) -> Cursor {
        let place = self.automaton.start(&mut |pattern| self.note(pattern, direction, hits));
        Cursor { place, direction }
    }

    /// Matches the next slice of a text. The hits do not depend on where it was cut.
    pub fn feed(&self, cursor: &mut Cursor, bytes: &[u8], hits: &mut HitSet) {
        let Cursor { place, direction } = cursor;
        self.automaton.feed(place, bytes, &mut |pattern| self.note(pattern, *direction, hits));
    }

    /// Ends a text.
    pub fn finish(&self, cursor: &Cursor, hits: &mut HitSet) {
        let Cursor { place, direction } = cursor;
        for target in &self.present {
            target.hit(*direction, hits);
        }
        self.automaton.finish(place, &mut |pattern| self.note(pattern, *direction, hits));
    }

    fn run(&self, value: &[u8], found: &mut impl FnMut(&Target)) {
        let mut hit = |pattern: usize| {
            if let Some(target) = self.targets.get(pattern) {
                found(target);
            }
        };
        let mut cursor = self.automaton.start(&mut hit);
        self.automaton.feed(&mut cursor, value, &mut hit);
        self.automaton.finish(&cursor, &mut hit);
    }

    fn note(&self, pattern: usize, direction: Direction, hits: &mut HitSet) {
        if let Some(target) = self.targets.get(pattern) {
            target.hit(direction, hits);
        }
    }
}

impl Target {
    fn hit(&self, direction: Direction, hits: &mut HitSet) {
        if self.direction.is_none_or(|wanted| wanted == direction) {
            hits.insert(self.atom);
        }
    }
}

impl Expression {
    pub(super) fn holds(&self, hits: &HitSet) -> bool {
        match self {
            Self::Atom(atom) => hits.contains(*atom),
            Self::All(inner) => inner.iter().all(|inner| inner.holds(hits)),
            Self::Any(inner) => inner.iter().any(|inner| inner.holds(hits)),
            Self::Not(inner) => !inner.holds(hits),
        }
    }
}

#[cfg(test)]
mod tests;
