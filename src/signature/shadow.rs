//! Lints that ask the compiled set: which signatures say nothing that another
//! does not say, and which host patterns hit names of strangers.
//!
//! For each signature, texts are made that its pattern hits whatever stands around
//! them. A signature that hits all of these texts hits wherever the first one does.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::diagnostic::{Diagnostic, Severity};
use super::field::{Field, FieldClass};
use super::hits::{Atom, HitSet};
use super::matcher::{Matcher, RequestFields};
use super::model::{Condition, JsonMember, JsonText, Pattern, Signature, Strength, Values};
use super::names::NameField;
use super::set::SignatureSet;
use crate::stream::{Direction, Header};

/// What no pattern looks for: stands for any text.
const FILLER: &str = "q7x0vz";

/// Suffixes below which strangers have names (publicsuffix.org).
const STRANGERS: &[&str] = &["com", "net", "org", "io", "dev", "ai", "app", "co.uk", "com.au"];

impl SignatureSet {
    /// Looks for what is probably not meant with the help of the matcher that this
    /// set was compiled to: shadowed patterns and over-broad host patterns.
    pub fn lint_compiled(&self, matcher: &Matcher) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let strangers: Vec<(String, HitSet)> =
            STRANGERS.iter().map(|suffix| stranger(matcher, suffix)).collect();
        for (index, signature) in self.signatures().iter().enumerate() {
            let atom = Atom(index as u32);
            let mut warn = |code: &'static str, message: String| {
                if signature.allows(code) {
                    return;
                }
                let problem = Diagnostic::about(Severity::Warning, code, signature, &message);
                found.push(problem.at(signature.clause.location.clone()));
            };
            if let Some(message) = redundant(&signature.clause.pattern) {
                warn("shadowed-pattern", message);
            }
            if let Some(first) = self.shadow(matcher, signature, atom) {
                let message =
                    format!("whatever it hits, {} hits too and is worth as much", first.id);
                warn("shadowed-pattern", message);
            }
            let hit = strangers.iter().find(|(_, hits)| hits.contains(atom));
            if let Some((name, _)) = hit.filter(|_| may_be_broad(signature)) {
                warn("public-suffix", format!("hits names of strangers, such as `{name}`"));
            }
        }
        found
    }

    /// The signature that makes another superfluous.
    fn shadow(&self, matcher: &Matcher, signature: &Signature, own: Atom) -> Option<&Signature> {
        covering(matcher, signature, own).into_iter().find_map(|atom| {
            let other = self.signatures().get(atom.0 as usize)?;
            // Of two that say the same, the first one stays.
            // What is suppressed elsewhere says less there.
            let counts = |wide: Atom, narrow: Atom| {
                let suppressed: Vec<_> = matcher.suppressed.of(narrow).collect();
                matcher.suppressed.of(wide).all(|number| suppressed.contains(&number))
            };
            let mutual = || {
                says_as_much(signature, other)
                    && counts(own, atom)
                    && covering(matcher, other, atom).contains(&own)
            };
            let superfluous = says_as_much(other, signature) && counts(atom, own);
            (superfluous && (atom < own || !mutual())).then_some(other)
        })
    }
}

/// What hits wherever a signature's pattern does, besides itself.
fn covering(matcher: &Matcher, signature: &Signature, own: Atom) -> Vec<Atom> {
    let mut covering: Option<Vec<Atom>> = None;
    for text in &texts(&signature.clause.pattern) {
        for field in &signature.clause.fields {
            for direction in directions(signature) {
                let hits = run(matcher, field, direction, text);
                match &mut covering {
                    Some(atoms) => atoms.retain(|&atom| hits.contains(atom)),
                    None => covering = Some(hits.atoms().filter(|&atom| atom != own).collect()),
                }
                if covering.as_ref().is_some_and(Vec::is_empty) {
                    return Vec::new();
                }
            }
        }
    }
    covering.unwrap_or_default()
}

/// Whether a signature that hits wherever another does is worth as much there.
fn says_as_much(wide: &Signature, narrow: &Signature) -> bool {
    let condition = |signature: &Signature| signature.when.as_ref().map(Condition::identity);
    let same_condition = condition(wide) == condition(narrow);
    // That is `duplicate-pattern`.
    let duplicate = same_condition && wide.clause.identity() == narrow.clause.identity();
    wide.kind == narrow.kind
        && wide.severity.is_some() == narrow.severity.is_some()
        && wide.severity >= narrow.severity
        && wide.strength >= narrow.strength
        && (wide.when.is_none() || same_condition)
        && !duplicate
}

/// Alternatives of one pattern that another one of them makes superfluous.
fn redundant(pattern: &Pattern) -> Option<String> {
    let values = pattern.values()?;
    let texts: Vec<String> = values
        .alternatives
        .iter()
        .map(|value| match values.ignore_case {
            true => value.text.to_ascii_lowercase(),
            false => value.text.to_string(),
        })
        .collect();
    let mut seen = HashSet::new();
    if let Some(twice) = texts.iter().find(|text| !seen.insert(text.as_str())) {
        return Some(format!("`{twice}` is listed twice"));
    }
    let covered = |text: &str, wider: &str| format!("`{text}` is covered by `{wider}`");
    match pattern {
        Pattern::Suffix(_) => texts.iter().find_map(|text| {
            let mut parents = text.match_indices('.').filter_map(|(dot, _)| text.get(dot + 1..));
            parents.find(|parent| seen.contains(parent)).map(|parent| covered(text, parent))
        }),
        Pattern::PathPrefix(_) => texts.iter().find_map(|text| {
            let mut parents = text.match_indices('/').filter_map(|(slash, _)| text.get(..slash));
            parents.find(|parent| seen.contains(parent)).map(|parent| covered(text, parent))
        }),
        Pattern::Substring(_) if texts.len() > 1 => {
            let automaton = AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::NoncontiguousNFA))
                .build(&texts)
                .ok()?;
            texts.iter().enumerate().find_map(|(own, text)| {
                let mut found = automaton.find_overlapping_iter(text);
                let wider = found.find(|other| other.pattern().as_usize() != own)?;
                texts.get(wider.pattern().as_usize()).map(|wider| covered(text, wider))
            })
        }
        _ => None,
    }
}

/// Patterns of names whose breadth is not plain from their text.
fn may_be_broad(signature: &Signature) -> bool {
    let unplain = match &signature.clause.pattern {
        Pattern::Regex(_) | Pattern::Substring(_) | Pattern::Word(_) => true,
        // The others are found by their text.
        Pattern::Wildcard(values) => {
            let plain =
                |text: &str| text.strip_prefix("*.").is_some_and(|name| !name.contains('*'));
            !values.alternatives.iter().any(|value| plain(&value.text))
        }
        _ => false,
    };
    unplain && signature.strength >= Strength::Weak
}

fn stranger(matcher: &Matcher, suffix: &str) -> (String, HitSet) {
    let name = format!("{FILLER}.{suffix}");
    let mut hits = HitSet::new();
    for field in [NameField::TlsSni, NameField::DnsName, NameField::HttpHost] {
        matcher.name(field, name.as_bytes(), &mut hits);
    }
    (name, hits)
}

fn directions(signature: &Signature) -> impl Iterator<Item = Direction> {
    let wanted = signature.clause.direction;
    [Direction::ToServer, Direction::ToClient]
        .into_iter()
        .filter(move |&direction| wanted.is_none_or(|wanted| wanted == direction))
}

/// What hits in a value of a field.
pub(super) fn run(matcher: &Matcher, field: &Field, direction: Direction, text: &str) -> HitSet {
    let mut hits = HitSet::new();
    let value = text.as_bytes();
    match field {
        Field::HttpUserAgent => {
            header(matcher, "user-agent", Direction::ToServer, value, &mut hits)
        }
        Field::HttpHeader(name) => header(matcher, name, direction, value, &mut hits),
        field if field.class() == FieldClass::Name => {
            if let Some(field) = NameField::of(field) {
                matcher.name(field, value, &mut hits);
            }
        }
        field => {
            if let Some(field) = matcher.field(field) {
                field.value(direction, value, &mut hits);
            }
        }
    }
    hits
}

fn header(matcher: &Matcher, name: &str, direction: Direction, value: &[u8], hits: &mut HitSet) {
    let headers = [Header { name: name.as_bytes(), value }];
    match direction {
        Direction::ToServer => {
            matcher.request(&RequestFields { headers: &headers, ..Default::default() }, hits);
        }
        Direction::ToClient => matcher.response(&headers, hits),
    }
}

/// Texts that the pattern hits, in each of the surroundings that it allows; none
/// where such texts cannot be told.
pub(super) fn texts(pattern: &Pattern) -> Vec<String> {
    const F: &str = FILLER;
    let each = |values: &Values, around: fn(&str) -> Vec<String>| {
        let mut texts = Vec::new();
        for value in &values.alternatives {
            texts.extend(around(&value.text));
            if values.ignore_case {
                texts.extend(around(&value.text.to_ascii_uppercase()));
                texts.extend(around(&value.text.to_ascii_lowercase()));
            }
        }
        texts
    };
    match pattern {
        Pattern::Exact(values) => each(values, |t| vec![t.to_owned()]),
        Pattern::Prefix(values) => {
            each(values, |t| vec![t.to_owned(), format!("{t}{F}"), format!("{t}/ {F}")])
        }
        Pattern::Substring(values) => {
            each(values, |t| vec![t.to_owned(), format!("{F}{t}{F}"), format!("-{t}-")])
        }
        Pattern::Word(values) => {
            each(values, |t| vec![t.to_owned(), format!("{F}-{t}-{F}"), format!("{F}_{t}_{F}")])
        }
        Pattern::Suffix(values) => each(values, |t| vec![t.to_owned(), format!("{F}.{t}")]),
        Pattern::Wildcard(values) => {
            // At an end, `*` may be several labels.
            each(values, |t| {
                let mut long = t.to_owned();
                if t.starts_with("*.") {
                    long.insert_str(0, "z-0.");
                }
                if t.ends_with(".*") {
                    long.push_str(".z-0");
                }
                [t, &long].map(|t| t.replace('*', F)).to_vec()
            })
        }
        Pattern::PathPrefix(values) => {
            each(values, |t| vec![t.to_owned(), format!("{t}/"), format!("{t}/{F}")])
        }
        Pattern::PathSuffix(values) => {
            each(values, |t| vec![t.to_owned(), format!("{t}/"), format!("/{F}{t}")])
        }
        Pattern::JsonString(values) => each(values, |t| json_strings(t).to_vec()),
        Pattern::JsonMember(member) => members(member),
        Pattern::Hosts(list) => {
            let whole = list.entries.iter().all(|entry| entry.path.is_none());
            let names = list.entries.iter().filter(|_| whole);
            names
                .map(|entry| match entry.below {
                    true => format!("{F}.{}", entry.host),
                    false => entry.host.to_string(),
                })
                .collect()
        }
        Pattern::Regex(_) | Pattern::Port(_) | Pattern::Present => Vec::new(),
    }
}

/// A JSON string, plain and with an escape.
fn json_strings(text: &str) -> [String; 2] {
    let plain = serde_json::Value::from(text).to_string();
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    [plain, format!("\"{escaped}\"")]
}

fn members(member: &JsonMember) -> Vec<String> {
    let keys = json_texts(&member.key);
    let values = match &member.value {
        Some(value) => json_texts(value),
        None => vec!["1".to_owned(), format!("\"{FILLER}\"")],
    };
    let mut members = Vec::new();
    for key in &keys {
        for value in &values {
            members.push(format!("{{{key}:{value}}}"));
            members.push(format!("{{ {key} :\n {value} }}"));
        }
    }
    if member.fold_key {
        members.extend(
            keys.iter()
                .map(|key| key.to_ascii_uppercase())
                .flat_map(|key| values.iter().map(move |value| format!("{{{key}:{value}}}"))),
        );
    }
    members
}

fn json_texts(text: &JsonText) -> Vec<String> {
    let each = |value: &str| {
        let more = text.prefix.then(|| json_strings(&format!("{value}{FILLER}")));
        json_strings(value).into_iter().chain(more.into_iter().flatten()).collect::<Vec<_>>()
    };
    text.values.alternatives.iter().flat_map(|value| each(&value.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes and ids of the signatures they are about.
    fn lints(signatures: &[&str]) -> Vec<(&'static str, String)> {
        let mut text = String::from("version = 1\n");
        for (index, lines) in signatures.iter().enumerate() {
            text += &format!("[[signature]]\nid = \"s{index}\"\ntitle = \"t\"\n{lines}\n");
            if !lines.contains("strength") && !lines.contains("severity") {
                text += "strength = \"weak\"\n";
            }
        }
        let set = SignatureSet::parse("t.toml", &text).unwrap();
        let (matcher, _) = set.compile().unwrap();
        let found = set.lint_compiled(&matcher).into_iter();
        found.map(|found| (found.code, found.signature.unwrap().into())).collect()
    }

    fn shadowed(id: &str) -> Vec<(&'static str, String)> {
        vec![("shadowed-pattern", id.to_owned())]
    }

    #[test]
    fn what_another_signature_hits_too_is_shadowed() {
        let body = |pattern: &str| format!("field = 'http.body'\n{pattern}");
        let host = |pattern: &str| format!("field = 'http.host'\n{pattern}");
        let path = |pattern: &str| format!("field = 'http.path'\n{pattern}");
        for (wide, narrow) in [
            (body("substring = 'tools/call'"), body("substring = 'xtools/call'")),
            (body("substring = 'tools/call'"), body("word = 'tools/call'")),
            (body("regex = 'tools/(call|list)'"), body("substring = '/tools/list/'")),
            (
                body("json_string = 'tools/call'"),
                body("json_member = { key = 'method', value = 'tools/call' }"),
            ),
            (
                body("json_member = { key = 'method' }"),
                body("json_member = { key = 'method', value = 'tools/call' }"),
            ),
            (body("substring = 'Tools'\nignore_case = true"), body("substring = 'tools/'")),
            (host("suffix = 'example.com'"), host("exact = 'mcp.example.com'")),
            (host("suffix = 'example.com'"), host("wildcard = '*.mcp.example.com'")),
            (path("path_prefix = '/mcp'"), path("path_prefix = '/mcp/v1'")),
            (path("path_suffix = '/mcp'"), path("path_suffix = '/v1/mcp'")),
        ] {
            assert_eq!(lints(&[&wide, &narrow]), shadowed("s1"), "{narrow} after {wide}");
            assert_eq!(lints(&[&narrow, &wide]), shadowed("s0"), "{narrow} before {wide}");
        }
    }

    #[test]
    fn what_says_more_is_not_shadowed() {
        for [first, second] in [
            // Worth more, of another kind, elsewhere, either way, on its own.
            [
                "field = 'http.body'\nsubstring = 'tools'",
                "field = 'http.body'\nsubstring = 'tools/call'\nstrength = 'strong'",
            ],
            [
                "field = 'http.body'\nsubstring = 'tools'",
                "field = 'http.body'\nsubstring = 'tools/call'\nkind = 'client'",
            ],
            [
                "field = 'http.query'\nsubstring = 'tools'",
                "fields = ['http.query', 'http.method']\nsubstring = 'tools/call'",
            ],
            [
                "field = 'http.body'\nsubstring = 'tools'\ndirection = 'to_server'",
                "field = 'http.body'\nsubstring = 'tools/call'",
            ],
            [
                "field = 'http.body'\nsubstring = 'tools'\nwhen = { field = 'http.method', exact = 'POST' }",
                "field = 'http.body'\nsubstring = 'tools/call'",
            ],
            // Neither is within the other.
            [
                "field = 'http.body'\nword = 'tools'",
                "field = 'http.body'\nsubstring = 'tools'\nstrength = 'hint'",
            ],
            [
                "field = 'http.body'\nsubstring = '\"tools/call\"'",
                "field = 'http.body'\njson_string = 'tools/call'",
            ],
            [
                "field = 'http.body'\nsubstring = 'tools'",
                "field = 'http.body'\nsubstring = 'TOOLS'\nignore_case = true",
            ],
            ["field = 'http.path'\nprefix = '/mcp/'", "field = 'http.path'\npath_prefix = '/mcp'"],
            [
                "field = 'http.host'\nwildcard = '*.example.com'",
                "field = 'http.host'\nsuffix = 'example.com'\nstrength = 'hint'",
            ],
        ] {
            let found = lints(&[first, second]);
            assert!(found.iter().all(|(_, id)| id != "s1"), "{second} beside {first}: {found:?}");
        }
    }

    #[test]
    fn threats_and_evidence_shadow_their_like_only() {
        let worth =
            |text: &str, worth: &str| format!("field = 'http.body'\nsubstring = '{text}'\n{worth}");
        for (wide, narrow, shadow) in [
            ("strength = 'weak'", "severity = 'low'", false),
            ("severity = 'low'", "strength = 'context'", false),
            ("severity = 'low'", "severity = 'high'", false),
            ("severity = 'high'", "severity = 'low'", true),
        ] {
            let found = lints(&[&worth("tools", wide), &worth("tools/call", narrow)]);
            let expected = if shadow { shadowed("s1") } else { vec![] };
            assert_eq!(found, expected, "{narrow} beside {wide}");
        }
    }

    #[test]
    fn what_counts_elsewhere_is_not_shadowed_by_what_is_suppressed() {
        let text = |named: &str| {
            let signature = |id: &str, text: &str| {
                format!(
                    "[[signature]]\nid = '{id}'\ntitle = 't'\nstrength = 'weak'\n\
                     field = 'http.query'\nsubstring = '{text}'\n"
                )
            };
            let when = "when = { field = 'http.method', exact = 'GET' }";
            let wide = signature("a", "tools");
            let narrow = signature("b", "tools/call");
            format!(
                "version = 1\n{wide}{narrow}[[suppress]]\nsignature = '{named}'\nreason = 'r'\n{when}\n"
            )
        };
        for (named, shadowed) in [("a", 0), ("*", 1), ("b", 1)] {
            let set = SignatureSet::parse("t.toml", &text(named)).unwrap();
            let (matcher, _) = set.compile().unwrap();
            assert_eq!(set.lint_compiled(&matcher).len(), shadowed, "{named}");
        }
    }

    #[test]
    fn alternatives_that_add_nothing_are_found() {
        for (lines, redundant) in [
            ("field = 'http.host'\nsuffix = ['example.com', 'a.example.com']", true),
            ("field = 'http.host'\nsuffix = ['example.com', 'an-example.com']", false),
            ("field = 'http.path'\npath_prefix = ['/a/b', '/a']", true),
            ("field = 'http.path'\npath_prefix = ['/ab', '/a']", false),
            ("field = 'http.query'\nsubstring = ['mcp_session', 'mcp_']", true),
            ("field = 'http.query'\nsubstring = ['mcp_a', 'mcp_b']", false),
            ("field = 'http.query'\nexact = ['Mcp', 'mcp']\nignore_case = true", true),
            ("field = 'http.query'\nexact = ['Mcp', 'mcp']", false),
            ("field = 'http.query'\nregex = ['a+', 'a+']", true),
        ] {
            let expected = if redundant { shadowed("s0") } else { vec![] };
            assert_eq!(lints(&[lines]), expected, "{lines}");
        }
    }

    #[test]
    fn host_patterns_that_hit_strangers_are_found() {
        for (pattern, broad) in [
            ("regex = '\\.com$'", true),
            ("regex = '.+'", true),
            ("substring = '.co.uk'", true),
            ("word = 'com'", true),
            ("wildcard = '*-mcp.*'", false),
            ("wildcard = 'q*.com'", true),
            ("regex = '^mcp\\.'", false),
            ("word = 'mcp'", false),
            ("regex = '\\.com$'\nstrength = 'hint'", false),
        ] {
            let expected = if broad { vec![("public-suffix", "s0".to_owned())] } else { vec![] };
            assert_eq!(lints(&[&format!("field = 'http.host'\n{pattern}")]), expected, "{pattern}");
        }
    }
}
