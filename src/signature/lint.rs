//! Lints: what is allowed in a set but probably not meant.

use std::collections::HashMap;

use regex_syntax::hir::{Hir, HirKind};

use super::ambiguity::is_ambiguous;
use super::diagnostic::{Diagnostic, Severity};
use super::field::{Field, FieldClass};
use super::model::{JsonText, Pattern, Signature, Strength, Values};
use super::regex;
use super::set::SignatureSet;

/// The codes of all lints, and what each is about.
pub const LINTS: &[(&str, &str)] = &[
    ("no-example", "A signature without an example that must match"),
    ("no-counter-example", "A signature without an example that must not match"),
    ("no-reference", "A signature that does not say where its knowledge is from"),
    ("duplicate-pattern", "A signature that asks the same as another"),
    ("shadowed-pattern", "A pattern that hits nothing that another one does not hit"),
    ("public-suffix", "A host pattern for names that anyone can register"),
    ("matches-empty", "An expression that matches the empty string"),
    ("no-literal", "A body pattern without a literal to look for"),
    ("ambiguous-repetition", "An expression that can match the same text in very many ways"),
    ("unanchored-path", "A path pattern that may begin in the middle of a segment"),
    ("unreachable-suppression", "A suppression that never suppresses anything"),
    ("expired-suppression", "A suppression that holds no more"),
    ("automaton-size", "An expression whose automaton is over the size budget"),
];

/// Shorter literals than this are found everywhere in a body.
const MIN_LITERAL: usize = 4;

impl SignatureSet {
    /// Looks through the set for what is probably not meant.
    pub fn lint(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut seen: HashMap<String, &Signature> = HashMap::new();
        for signature in self.signatures() {
            let mut warn = |code: &'static str, message: String| {
                if signature.allows(code) {
                    return;
                }
                let (severity, place) = match code {
                    "no-example" | "no-counter-example" | "no-reference" => {
                        (Severity::Note, &signature.origin.location)
                    }
                    _ => (Severity::Warning, &signature.clause.location),
                };
                let problem = Diagnostic::about(severity, code, signature, &message);
                found.push(problem.at(place.clone()));
            };
            if signature.matches.is_empty() {
                warn("no-example", "no example that must match".to_owned());
            }
            if signature.misses.is_empty() {
                warn("no-counter-example", "no example that must not match".to_owned());
            }
            if signature.references.is_empty() {
                warn("no-reference", "no reference says where the knowledge is from".to_owned());
            }
            let identity = format!(
                "{}{:?}{}",
                signature.clause.identity(),
                identity_of(signature),
                signature.severity.is_some()
            );
            if let Some(first) = seen.get(&identity) {
                warn("duplicate-pattern", format!("asks the same as {}", first.id));
            } else {
                seen.insert(identity, signature);
            }
            names(signature, &mut warn);
            expressions(signature, &mut warn);
        }
        found
    }
}

fn identity_of(signature: &Signature) -> Option<String> {
    signature.when.as_ref().map(super::model::Condition::identity)
}

/// Names so short that strangers share them.
fn names(signature: &Signature, warn: &mut impl FnMut(&'static str, String)) {
    if signature.strength < Strength::Weak {
        return;
    }
    let mut check = |name: &str| {
        if psl::suffix_str(name) == Some(name) {
            warn("public-suffix", format!("anyone can have a name below `{name}`"));
        }
    };
    match &signature.clause.pattern {
        Pattern::Suffix(values) => each(values, &mut check),
        Pattern::Wildcard(values) => each(values, |pattern| {
            if let Some(name) = pattern.strip_prefix("*.").filter(|name| !name.contains('*')) {
                check(name);
            }
        }),
        Pattern::Hosts(list) => {
            for entry in list.entries.iter().filter(|entry| entry.path.is_none()) {
                if entry.below || psl::suffix_str(&entry.host) == Some(&*entry.host) {
                    check(&entry.host);
                }
            }
        }
        _ => {}
    }
}

/// Paths and expressions that hit more than they seem to.
fn expressions(signature: &Signature, warn: &mut impl FnMut(&'static str, String)) {
    let class = signature.clause.fields.first().map(Field::class);
    if let (Pattern::Substring(values), Some(FieldClass::Path)) = (&signature.clause.pattern, class)
    {
        each(values, |text| {
            warn("unanchored-path", format!("`{text}` may begin in the middle of a segment"));
        });
    }
    if let Pattern::JsonMember(member) = &signature.clause.pattern
        && shortest(&member.key).max(member.value.as_ref().map_or(0, shortest)) < MIN_LITERAL
    {
        let message = format!("neither key nor value has {MIN_LITERAL} bytes to look for");
        warn("no-literal", message);
    }
    if let (
        Pattern::Substring(values) | Pattern::Word(values) | Pattern::JsonString(values),
        Some(FieldClass::Json),
    ) = (&signature.clause.pattern, class)
    {
        each(values, |text| {
            if text.len() < MIN_LITERAL {
                warn("no-literal", format!("`{text}` is shorter than {MIN_LITERAL} bytes"));
            }
        });
    }
    let Pattern::Regex(values) = &signature.clause.pattern else { return };
    each(values, |text| {
        let Ok(hir) = regex::parse(text, values.ignore_case) else { return };
        if hir.properties().minimum_len() == Some(0) {
            warn("matches-empty", format!("`{text}` matches the empty string"));
        } else if class == Some(FieldClass::Json) && longest_literal(&hir) < MIN_LITERAL {
            warn(
                "no-literal",
                format!("`{text}` has no literal of {MIN_LITERAL} bytes to look for"),
            );
        }
        if is_ambiguous(&hir) {
            let why = "engines that backtrack take exponential time over it";
            warn("ambiguous-repetition", format!("`{text}` repeats what repeats already: {why}"));
        }
        let anchored = hir.properties().look_set_prefix().contains_anchor_haystack();
        if class == Some(FieldClass::Path) && !anchored {
            warn("unanchored-path", format!("`{text}` may begin in the middle of a segment"));
        }
    });
}

fn shortest(text: &JsonText) -> usize {
    text.values.alternatives.iter().map(|value| value.text.len()).min().unwrap_or(0)
}

fn each<'v>(values: &'v Values, mut visit: impl FnMut(&'v str)) {
    values.alternatives.iter().for_each(|value| visit(&value.text));
}

/// Bytes of the longest literal that every match holds.
fn longest_literal(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Capture(capture) => longest_literal(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => longest_literal(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().map(longest_literal).max().unwrap_or(0),
        HirKind::Alternation(parts) => parts.iter().map(longest_literal).min().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lints(lines: &str) -> Vec<(&'static str, usize)> {
        let text = format!(
            "version = 1\nlists.registry = \"lists/mcp-registries.tsv\"\n{}",
            lines.replace(
                "[[signature]]",
                "[[signature]]\ntitle = \"t\"\nstrength = \"weak\"\nreferences = [\"r\"]\n\
                 examples = { match = [\"x\"], miss = [\"y\"] }"
            )
        );
        let set = SignatureSet::parse("t.toml", &text).unwrap();
        let line = |found: &Diagnostic| found.location.as_ref().map_or(0, |place| place.line);
        set.lint().iter().map(|found| (found.code, line(found))).collect()
    }

    #[test]
    fn what_is_probably_not_meant_is_found() {
        #[rustfmt::skip]
        let cases: &[(&str, &[(&str, usize)])] = &[
            ("field = 'http.host'\nsuffix = 'co.uk'", &[("public-suffix", 10)]),
            ("field = 'http.host'\nsuffix = ['example.co.uk', 'workers.dev']", &[("public-suffix", 10)]),
            ("field = 'http.host'\nwildcard = '*.com'", &[("public-suffix", 10)]),
            ("field = 'http.host'\nwildcard = '*.example.com'", &[]),
            ("field = 'http.body'\nregex = 'a*'", &[("matches-empty", 10)]),
            ("field = 'http.body'\nregex = '[a-z]+:[0-9]+'", &[("no-literal", 10)]),
            ("field = 'http.body'\nregex = '[a-z]+method[0-9]+'", &[]),
            ("field = 'http.body'\nregex = 'method|x'", &[("no-literal", 10)]),
            ("field = 'http.body'\nregex = '(\\w+ ?)+method'", &[("ambiguous-repetition", 10)]),
            ("field = 'http.body'\nsubstring = 'ab'", &[("no-literal", 10)]),
            ("field = 'http.body'\nword = 'mcp'", &[("no-literal", 10)]),
            ("field = 'http.body'\njson_member = { key = 'id' }", &[("no-literal", 10)]),
            ("field = 'http.body'\njson_member = { key = 'id', value = ['a', 'tools'] }", &[("no-literal", 10)]),
            ("field = 'http.body'\njson_member = { key = 'id', value_prefix = 'delete_' }", &[]),
            ("field = 'http.path'\nregex = 'mcp$'", &[("unanchored-path", 10)]),
            ("field = 'http.path'\nregex = '^/mcp$'", &[]),
            ("field = 'http.path'\nsubstring = 'mcp'", &[("unanchored-path", 10)]),
            ("field = 'http.query'\nregex = 'x+'", &[]),
        ];
        for (lines, expected) in cases {
            assert_eq!(lints(&format!("[[signature]]\nid = 'a'\n{lines}\n")), *expected, "{lines}");
        }
    }

    #[test]
    fn the_same_question_asked_twice_is_found() {
        let twice = "[[signature]]\nid = 'a'\nfield = 'http.path'\npath_prefix = ['/a', '/b']\n\
                     [[signature]]\nid = 'b'\nfield = 'http.path'\npath_prefix = ['/b', '/a']\n";
        assert_eq!(lints(twice), [("duplicate-pattern", 18)]);
        let once = format!("{twice}when = {{ field = 'http.method', exact = 'POST' }}\n");
        assert_eq!(lints(&once), []);
    }

    #[test]
    fn what_is_meant_is_not_warned_of() {
        let shadowed = "[[signature]]\nid = 'a'\nfield = 'http.host'\nsuffix = 'co.uk'\n";
        assert_eq!(lints(&format!("{shadowed}allow = ['public-suffix']\n")), []);
        assert_eq!(lints(&format!("{shadowed}allow = ['no-literal']\n")).len(), 1);
    }

    #[test]
    fn what_a_stranger_needs_is_missed() {
        let text = "version = 1\n[[signature]]\nid = 'a'\ntitle = 't'\nfield = 'http.query'\n\
                    substring = 'abc'\nstrength = 'weak'\n";
        let found = SignatureSet::parse("t.toml", text).unwrap().lint();
        let codes: Vec<_> = found.iter().map(|found| found.code).collect();
        assert_eq!(codes, ["no-example", "no-counter-example", "no-reference"]);
    }
}
