//! Host names: exact names and domain suffixes, found by hashing the name and
//! the parts of it that begin after a dot, so that fifty thousand entries cost
//! no more than fifty.

use std::collections::HashMap;

use super::field::Field;
use super::hits::Atom;

/// Names longer than DNS allows are not names.
const MAX_NAME: usize = 255;

/// The fields that hold names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameField {
    /// `tls.sni`.
    TlsSni,
    /// `dns.name`.
    DnsName,
    /// `http.host`.
    HttpHost,
}

impl NameField {
    /// The name field that `field` is.
    pub(crate) const fn of(field: &Field) -> Option<Self> {
        match field {
            Field::TlsSni => Some(Self::TlsSni),
            Field::DnsName => Some(Self::DnsName),
            Field::HttpHost => Some(Self::HttpHost),
            _ => None,
        }
    }
}

/// A set of name fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct NameFields(u8);

impl NameFields {
    pub(crate) fn of(fields: &[Field]) -> Self {
        let fields = fields.iter().filter_map(NameField::of);
        Self(fields.fold(0, |set, field| set | 1 << field as u8))
    }

    pub(crate) const fn contains(self, field: NameField) -> bool {
        self.0 >> field as u8 & 1 == 1
    }
}

/// A host name in lower case, without port and trailing dot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Name {
    /// Normalises a name; `None` if it cannot be one.
    pub(crate) fn new(raw: &[u8]) -> Option<Self> {
        let raw = without_port(raw);
        let raw = raw.strip_suffix(b".").unwrap_or(raw);
        let mut bytes = [0; MAX_NAME];
        bytes.get_mut(..raw.len())?.copy_from_slice(raw);
        bytes.make_ascii_lowercase();
        (!raw.is_empty()).then_some(Self { bytes, len: raw.len() })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// An IPv6 literal keeps its brackets and colons: they are in no list.
fn without_port(raw: &[u8]) -> &[u8] {
    match memchr::memrchr(b':', raw) {
        Some(colon) if raw[colon + 1..].iter().all(u8::is_ascii_digit) => &raw[..colon],
        _ => raw,
    }
}

/// What an exact name or suffix means.
#[derive(Clone, Debug)]
pub(crate) struct NameRule {
    pub(crate) atom: Atom,
    pub(crate) fields: NameFields,
    pub(crate) scope: Scope,
    /// Path that the request must have or be below of.
    pub(crate) path: Option<Box<str>>,
    /// List entry the rule comes from: list and entry.
    pub(crate) entry: Option<(usize, usize)>,
}

/// Which names a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The name.
    Itself,
    /// Names below it.
    Below,
    /// Both.
    ItselfAndBelow,
}

/// Rules by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameIndex {
    rules: HashMap<Box<[u8]>, Vec<NameRule>>,
    /// Bit n: there is a rule for a name with n labels (63: or more).
    label_counts: u64,
}

impl NameIndex {
    /// Adds a rule for a lower-case name.
    pub(crate) fn insert(&mut self, name: &str, rule: NameRule) {
        self.label_counts |= 1 << name.split('.').count().min(63);
        self.rules.entry(name.as_bytes().into()).or_default().push(rule);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Number of names.
    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Calls `found` with each rule that the name (and path, where it is known)
    /// satisfies; the most particular name first.
    pub(crate) fn each<'i>(
        &'i self,
        name: &[u8],
        path: Option<&[u8]>,
        found: &mut impl FnMut(&'i NameRule),
    ) {
        let dots = memchr::memchr_iter(b'.', name).count();
        let mut labels = dots + 1;
        let mut start = 0;
        loop {
            if self.label_counts >> labels.min(63) & 1 == 1 {
                let rules = self.rules.get(&name[start..]).map(Vec::as_slice).unwrap_or_default();
                for rule in rules {
                    let in_scope = match rule.scope {
                        Scope::Itself => start == 0,
                        Scope::Below => start > 0,
                        Scope::ItselfAndBelow => true,
                    };
                    if in_scope && rule.path_holds(path) {
                        found(rule);
                    }
                }
            }
            let Some(dot) = memchr::memchr(b'.', &name[start..]) else { return };
            start += dot + 1;
            labels -= 1;
        }
    }
}

impl NameRule {
    fn path_holds(&self, path: Option<&[u8]>) -> bool {
        match (&self.path, path) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wanted), Some(path)) => path
                .strip_prefix(wanted.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(atom: u32, scope: Scope, path: Option<&str>) -> NameRule {
        let fields = NameFields::of(&[Field::HttpHost]);
        NameRule { atom: Atom(atom), fields, scope, path: path.map(Into::into), entry: None }
    }

    fn found(index: &NameIndex, name: &str, path: Option<&str>) -> Vec<u32> {
        let mut atoms = Vec::new();
        if let Some(name) = Name::new(name.as_bytes()) {
            let path = path.map(str::as_bytes);
            index.each(name.as_bytes(), path, &mut |rule| atoms.push(rule.atom.0));
        }
        atoms.sort_unstable();
        atoms
    }

    #[test]
    fn names_match_on_label_borders_only() {
        let mut index = NameIndex::default();
        index.insert("mcp.stripe.com", rule(0, Scope::Itself, None));
        index.insert("mcp.cloudflare.com", rule(1, Scope::Below, None));
        index.insert("example.org", rule(2, Scope::ItselfAndBelow, None));
        for (name, expected) in [
            ("mcp.stripe.com", &[0][..]),
            ("MCP.Stripe.COM", &[0]),
            ("mcp.stripe.com.", &[0]),
            ("mcp.stripe.com:443", &[0]),
            ("mcp.stripe.com.:8443", &[0]),
            ("mcp.stripe.com.evil.tld", &[]),
            ("notmcp.stripe.com", &[]),
            ("x.mcp.stripe.com", &[]),
            ("stripe.com", &[]),
            ("mcp.cloudflare.com", &[]),
            ("docs.mcp.cloudflare.com", &[1]),
            ("a.b.mcp.cloudflare.com", &[1]),
            ("xmcp.cloudflare.com", &[]),
            ("example.org", &[2]),
            ("a.b.example.org", &[2]),
            ("notexample.org", &[]),
            ("", &[]),
            (".", &[]),
            ("..", &[]),
            (":80", &[]),
            ("[::1]:80", &[]),
        ] {
            assert_eq!(found(&index, name, None), expected, "{name}");
        }
        assert_eq!(found(&index, &"a.".repeat(200), None), Vec::<u32>::new());
    }

    #[test]
    fn a_path_is_asked_for_on_segment_borders() {
        let mut index = NameIndex::default();
        index.insert("api.example.com", rule(0, Scope::Itself, Some("/v1/mcp")));
        for (path, expected) in [
            (None, &[][..]),
            (Some("/v1/mcp"), &[0]),
            (Some("/v1/mcp/"), &[0]),
            (Some("/v1/mcp/sse"), &[0]),
            (Some("/v1/mcpx"), &[]),
            (Some("/v1"), &[]),
            (Some("/"), &[]),
        ] {
            assert_eq!(found(&index, "api.example.com", path), expected, "{path:?}");
        }
    }
}
