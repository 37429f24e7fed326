//! Which signatures of a set to list: filters in, an answer for each signature out.

use std::fmt;
use std::str::FromStr;

use crate::findings::Severity;
use crate::signature::{Field, Signature, Strength};

/// What to keep. Of several values of one kind, one is enough; of several kinds, all
/// must hold. Without any, everything is kept.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Fields that the signature itself looks at.
    pub fields: Vec<FieldPattern>,
    /// Tags; a `*` at the end stands for any rest.
    pub tags: Vec<String>,
    /// What a hit is worth as evidence.
    pub strengths: Vec<Strength>,
    /// How much the threats that it finds matter.
    pub severities: Vec<Severity>,
}

impl Filter {
    /// Whether a signature is to be listed.
    pub fn keeps(&self, signature: &Signature) -> bool {
        let tagged = |wanted: &String| signature.tags.iter().any(|tag| fits(wanted, tag));
        let looks = |wanted: &FieldPattern| {
            signature.clause.fields.iter().any(|field| fits(&wanted.0, &field.name()))
        };
        // A threat is no evidence, and evidence no threat.
        let worth = self.strengths.is_empty() && self.severities.is_empty()
            || match signature.severity {
                Some(severity) => self.severities.contains(&severity),
                None => self.strengths.contains(&signature.strength),
            };
        worth
            && (self.fields.is_empty() || self.fields.iter().any(looks))
            && (self.tags.is_empty() || self.tags.iter().any(tagged))
    }
}

/// A field, or with `*` at the end all fields whose names begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPattern(String);

impl FromStr for FieldPattern {
    type Err = NoSuchField;

    fn from_str(text: &str) -> Result<Self, NoSuchField> {
        let known = match text.strip_suffix('*') {
            // Either may be the longer one: `http.h*`, `http.header.x*`.
            Some(start) => Field::NAMES.iter().any(|name| {
                name.starts_with(start) || name.ends_with('.') && start.starts_with(name)
            }),
            None => Field::parse(text).is_some(),
        };
        let name = match Field::parse(text) {
            Some(field) => field.name(),
            None => text.to_ascii_lowercase(),
        };
        if known { Ok(Self(name)) } else { Err(NoSuchField) }
    }
}

/// No field has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchField;

impl fmt::Display for NoSuchField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Field::NAMES.join(", ").replace(".,", ".NAME,");
        write!(f, "no field has that name; fields: {names}")
    }
}

impl std::error::Error for NoSuchField {}

fn fits(wanted: &str, text: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => wanted == text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SignatureSet;

    const SET: &str = "version = 1
[[signature]]
id = 'host'
title = 't'
fields = ['tls.sni', 'http.host']
suffix = 'mcp.example.com'
strength = 'strong'
tags = ['owasp:MCP09', 'team:a']
[[signature]]
id = 'header'
title = 't'
field = 'http.header.Mcp-Session-Id'
present = true
strength = 'weak'
tags = ['team:b']
[[signature]]
id = 'poison'
title = 't'
field = 'mcp.tool.description'
substring = 'ignore all'
severity = 'high'
tags = ['owasp:MCP03']
";

    fn kept(filter: &Filter) -> Vec<String> {
        let set = SignatureSet::parse("t.toml", SET).unwrap();
        let kept = set.signatures().iter().filter(|signature| filter.keeps(signature));
        kept.map(|signature| signature.id.to_string()).collect()
    }

    fn fields(names: &[&str]) -> Filter {
        let fields = names.iter().map(|name| name.parse().unwrap()).collect();
        Filter { fields, ..Filter::default() }
    }

    #[test]
    fn values_add_up_and_kinds_narrow() {
        let tags = |tags: &[&str]| Filter {
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            ..Filter::default()
        };
        let strong = Filter { strengths: vec![Strength::Strong], ..Filter::default() };
        let high = Filter { severities: vec![Severity::High], ..Filter::default() };
        let context = Filter { strengths: vec![Strength::Context], ..Filter::default() };
        let both = Filter { severities: vec![Severity::High], ..strong.clone() };
        let narrow = Filter { strengths: vec![Strength::Weak], ..fields(&["http.*"]) };
        for (filter, expected) in [
            (Filter::default(), &["host", "header", "poison"][..]),
            (fields(&["http.host"]), &["host"]),
            (fields(&["http.*"]), &["host", "header"]),
            (fields(&["http.header.MCP-Session-Id"]), &["header"]),
            (fields(&["http.header.Mcp-*"]), &["header"]),
            (fields(&["tls.sni", "mcp.tool.*"]), &["host", "poison"]),
            (fields(&["dns.name"]), &[]),
            (tags(&["owasp:*"]), &["host", "poison"]),
            (tags(&["team:a", "team:b"]), &["host", "header"]),
            (tags(&["team"]), &[]),
            (strong, &["host"]),
            (high, &["poison"]),
            (context, &[]),
            (both, &["host", "poison"]),
            (narrow, &["header"]),
        ] {
            assert_eq!(kept(&filter), expected, "{filter:?}");
        }
    }

    #[test]
    fn fields_that_do_not_exist_are_refused() {
        for name in ["http.hots", "http", "x*", "http.header.", "oauth.x", ""] {
            assert_eq!(name.parse::<FieldPattern>(), Err(NoSuchField), "{name}");
        }
        for name in ["*", "http*", "http.header.*", "http.header.x-*", "oauth.cl*", "oauth.scope"] {
            assert!(name.parse::<FieldPattern>().is_ok(), "{name}");
        }
    }
}
