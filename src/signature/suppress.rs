//! Suppressions: where signatures do not count.
//!
//! A suppression names signatures of any file that is loaded with it. Its condition
//! is one on what is known at once, so that a hit is never counted first and taken
//! back afterwards.

use std::collections::{BTreeSet, HashMap};

use super::date::Date;
use super::examples::runs;
use super::field::Field;
use super::hits::{Atom, HitSet};
use super::matcher::{Expression, Matcher};
use super::model::{Condition, Example, Origin, Signature};
use super::set::SignatureSet;

/// Where signatures do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Which signatures.
    pub signatures: Vec<IdPattern>,
    /// Where.
    pub when: Condition,
    /// Why.
    pub reason: Box<str>,
    /// The day from which on they count again.
    pub until: Option<Date>,
    /// What must be suppressed.
    pub matches: Vec<Example>,
    /// What must still count.
    pub misses: Vec<Example>,
    /// Where it was written.
    pub origin: Origin,
}

/// The id of a signature, or what ids begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPattern {
    /// The id, or its beginning.
    pub id: Box<str>,
    /// Whether any rest may follow.
    pub any_rest: bool,
    /// Where it is written.
    pub location: super::Location,
}

impl IdPattern {
    /// Whether a signature is named.
    pub fn names(&self, id: &str) -> bool {
        match self.any_rest {
            true => id.starts_with(&*self.id),
            false => *id == *self.id,
        }
    }

    /// Whether every signature that the other names is named.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.names(&other.id) && (self.any_rest || !other.any_rest)
    }
}

impl std::fmt::Display for IdPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let star = if self.any_rest { "*" } else { "" };
        write!(f, "{}{star}", self.id)
    }
}

impl Suppression {
    /// Whether it holds no more.
    pub fn is_over(&self, today: Date) -> bool {
        self.until.is_some_and(|until| until <= today)
    }

    /// Whether it names a signature.
    pub fn names(&self, id: &str) -> bool {
        self.signatures.iter().any(|pattern| pattern.names(id))
    }

    /// What it names, for people.
    pub fn label(&self) -> String {
        let names: Vec<_> = self.signatures.iter().map(IdPattern::to_string).collect();
        format!("suppress {}", names.join(", "))
    }
}

/// What of a set is suppressed where, as a matcher knows it. Suppressions are kept
/// once for each of their names, and each name once for each of its signatures.
#[derive(Clone, Debug, Default)]
pub(super) struct Suppressed {
    /// The condition of each suppression.
    pub(super) conditions: Vec<Expression>,
    /// The suppressions that use each name.
    by_name: Vec<Vec<usize>>,
    /// The names that each signature goes by; an id has few beginnings.
    names: Vec<Vec<usize>>,
}

impl Suppressed {
    /// Finds the signatures that each suppression names.
    pub(super) fn new(
        signatures: &[Signature],
        suppressions: &[Suppression],
        conditions: Vec<Expression>,
    ) -> Self {
        let mut by_name: Vec<Vec<usize>> = Vec::new();
        let mut numbers: HashMap<(&str, bool), usize> = HashMap::new();
        let mut lengths = BTreeSet::new();
        for (index, suppression) in suppressions.iter().enumerate() {
            for pattern in &suppression.signatures {
                let number = *numbers.entry((&pattern.id, pattern.any_rest)).or_insert_with(|| {
                    by_name.push(Vec::new());
                    by_name.len() - 1
                });
                if let Some(users) = by_name.get_mut(number) {
                    users.push(index);
                }
                if pattern.any_rest {
                    lengths.insert(pattern.id.len());
                }
            }
        }
        let names_of = |signature: &Signature| {
            let beginnings = lengths.iter().filter_map(|&length| signature.id.get(..length));
            beginnings
                .map(|start| (start, true))
                .chain([(&*signature.id, false)])
                .filter_map(|name| numbers.get(&name).copied())
                .collect::<Vec<_>>()
        };
        let names = match suppressions.is_empty() {
            true => Vec::new(),
            false => signatures.iter().map(names_of).collect(),
        };
        Self { conditions, by_name, names }
    }

    /// Whether a signature that hit does not count.
    pub(super) fn holds(&self, signature: Atom, hits: &HitSet) -> bool {
        self.of(signature).any(|suppression| self.condition_holds(suppression, hits))
    }

    /// The suppressions of a signature.
    pub(super) fn of(&self, signature: Atom) -> impl Iterator<Item = usize> + '_ {
        let names = self.names.get(signature.0 as usize).into_iter().flatten();
        names.filter_map(|&name| self.by_name.get(name)).flatten().copied()
    }

    fn condition_holds(&self, suppression: usize, hits: &HitSet) -> bool {
        self.conditions.get(suppression).is_some_and(|condition| condition.holds(hits))
    }
}

/// An example of a suppression with the wrong answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressionFailure {
    /// Its place in [`SignatureSet::suppressions`].
    pub suppression: usize,
    /// The example.
    pub example: Example,
    /// Whether it should have been suppressed.
    pub expected: bool,
    /// What is wrong.
    pub detail: String,
}

impl SignatureSet {
    /// Runs every example of every suppression through a matcher compiled from this
    /// set. An example has to hit a signature that the suppression names, whether or
    /// not it is to be suppressed.
    pub fn test_suppressions(&self, matcher: &Matcher) -> Vec<SuppressionFailure> {
        let mut failures = Vec::new();
        for (index, suppression) in self.suppressions().iter().enumerate() {
            let named: Vec<Atom> = self.named_by(suppression).map(|(atom, _)| atom).collect();
            let fields = self.fields_of_texts(suppression);
            let matches = suppression.matches.iter().map(|example| (example, true));
            let misses = suppression.misses.iter().map(|example| (example, false));
            for (example, expected) in matches.chain(misses) {
                let wrong = runs(&fields, example).find_map(|run| {
                    let hits = run.run(matcher);
                    let hit = named.iter().any(|&atom| matcher.hits(atom, &hits));
                    let holds = matcher.suppressed.condition_holds(index, &hits);
                    let problem = match (hit, holds) {
                        (false, _) => "none of its signatures hits",
                        (true, false) if expected => "the condition does not hold",
                        (true, true) if !expected => "the condition holds",
                        _ => return None,
                    };
                    Some(format!("{problem} ({})", run.detail()))
                });
                let unplaced = || {
                    "a text needs a field that both the condition and a signature look at: write a \
                     table"
                        .to_owned()
                };
                let wrong = wrong.or_else(|| {
                    let plain = example.values.iter().any(|(field, _)| field.is_none());
                    (plain && fields.is_empty()).then(unplaced)
                });
                failures.extend(wrong.map(|detail| SuppressionFailure {
                    suppression: index,
                    example: example.clone(),
                    expected,
                    detail,
                }));
            }
        }
        failures
    }

    /// The signatures that a suppression names.
    pub(super) fn named_by(
        &self,
        suppression: &Suppression,
    ) -> impl Iterator<Item = (Atom, &Signature)> {
        let signatures = self.signatures().iter().enumerate();
        signatures
            .filter(|(_, signature)| suppression.names(&signature.id))
            .map(|(index, signature)| (Atom(index as u32), signature))
    }

    /// The fields that a plain text as an example stands for: those that both the
    /// condition and a signature look at.
    fn fields_of_texts(&self, suppression: &Suppression) -> Vec<Field> {
        let mut asked = Vec::new();
        fields_of(&suppression.when, &mut asked);
        let mut both = Vec::new();
        for (_, signature) in self.named_by(suppression) {
            for field in &signature.clause.fields {
                if asked.contains(&field) && !both.contains(field) {
                    both.push(field.clone());
                }
            }
        }
        both
    }
}

fn fields_of<'c>(condition: &'c Condition, fields: &mut Vec<&'c Field>) {
    match condition {
        Condition::Clause(clause) => fields.extend(&clause.fields),
        Condition::All(inner) | Condition::Any(inner) => {
            inner.iter().for_each(|inner| fields_of(inner, fields));
        }
        Condition::Not(inner) => fields_of(inner, fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::RequestFields;
    use crate::stream::{Direction, Header};

    const HEAD: &str = "version = 1\n";

    fn signature(id: &str, lines: &str) -> String {
        format!("[[signature]]\nid = '{id}'\ntitle = 't'\nstrength = 'weak'\n{lines}\n")
    }

    fn suppress(lines: &str) -> String {
        format!("[[suppress]]\nreason = 'r'\n{lines}\n")
    }

    fn host(id: &str) -> String {
        signature(id, "field = 'http.host'\nword = 'mcp'")
    }

    fn set(parts: &[String]) -> SignatureSet {
        SignatureSet::parse("t.toml", &format!("{HEAD}{}", parts.concat())).unwrap()
    }

    /// Ids of what counts for a request.
    fn signals(set: &SignatureSet, host: &str, agent: &str) -> Vec<String> {
        let (matcher, _) = set.compile().unwrap();
        let mut hits = HitSet::new();
        let headers = [Header { name: b"user-agent", value: agent.as_bytes() }];
        let request = RequestFields {
            method: b"POST",
            host: Some(host.as_bytes()),
            path: b"/mcp",
            headers: &headers,
            ..Default::default()
        };
        matcher.request(&request, &mut hits);
        let mut cursor = matcher.body().start(Direction::ToServer, &mut hits);
        matcher.body().feed(&mut cursor, b"{\"method\":\"tools/call\"}", &mut hits);
        matcher.body().finish(&cursor, &mut hits);
        matcher.signals(&hits).map(|index| set.signature(index).id.to_string()).collect()
    }

    #[test]
    fn what_is_suppressed_does_not_count_and_the_rest_does() {
        let body = "field = 'http.body'\nsubstring = 'tools/call'";
        let when = "when = { field = 'http.host', suffix = 'internal.example' }";
        for (named, left) in [
            ("'a.host'", &["a.body", "b.host"][..]),
            ("['a.host', 'b.host']", &["a.body"]),
            ("'a.*'", &["b.host"]),
            ("'*'", &[]),
            ("['b*', 'a.body']", &["a.host"]),
            ("'a'", &["a.host", "a.body", "b.host"]),
        ] {
            let suppression = suppress(&format!("signature = {named}\n{when}"));
            let set =
                set(&[host("a.host"), signature("a.body", body), host("b.host"), suppression]);
            assert_eq!(signals(&set, "mcp.internal.example", ""), left, "{named}");
            assert_eq!(signals(&set, "mcp.example.com", "").len(), 3, "{named}");
        }
    }

    #[test]
    fn conditions_are_those_of_signatures() {
        let when = "signature = '*'\nwhen = { all = [\n  { field = 'http.host', suffix = 'example' },\n\
                    { not = { field = 'http.user_agent', prefix = 'curl/' } } ] }";
        let set = set(&[host("a"), suppress(when)]);
        assert_eq!(signals(&set, "mcp.example", "agent"), [""; 0]);
        assert_eq!(signals(&set, "mcp.example", "curl/8"), ["a"]);
        assert_eq!(signals(&set, "mcp.test", "agent"), ["a"]);
    }

    #[test]
    fn several_suppressions_add_up() {
        let when = |host: &str| {
            suppress(&format!(
                "signature = 'a'\nwhen = {{ field = 'http.host', exact = '{host}' }}"
            ))
        };
        let set = set(&[host("a"), when("mcp.one"), when("mcp.two")]);
        for (host, counts) in [("mcp.one", 0), ("mcp.two", 0), ("mcp.three", 1)] {
            assert_eq!(signals(&set, host, "").len(), counts, "{host}");
        }
    }

    #[test]
    fn a_file_suppresses_what_another_one_has() {
        let when =
            "signature = 'mcp.host.*'\nwhen = { field = 'http.host', suffix = 'example.com' }";
        let own = || set(&[suppress(when)]);
        let mut first = own();
        first.merge(SignatureSet::builtin()).unwrap();
        let mut last = SignatureSet::builtin();
        last.merge(own()).unwrap();
        let host_ids = |set: &SignatureSet, host| {
            let ids = signals(set, host, "").into_iter();
            ids.filter(|id| id.starts_with("mcp.host.")).count()
        };
        for set in [first, last, own().with_shipped()] {
            assert_eq!(host_ids(&set, "mcp.example.com"), 0);
            assert!(host_ids(&set, "mcp.example.org") > 0);
        }
    }

    #[test]
    fn from_its_day_on_it_holds_no_more() {
        let when =
            "signature = 'a'\nuntil = 2027-01-31\nwhen = { field = 'http.host', word = 'mcp' }";
        for (today, counts) in [("2027-01-30", 0), ("2027-01-31", 1), ("2028-01-01", 1)] {
            let mut set = set(&[host("a"), suppress(when)]);
            set.expire(Date::parse(today).unwrap());
            assert_eq!(signals(&set, "mcp.example", "").len(), counts, "{today}");
        }
    }

    #[test]
    fn examples_say_what_is_suppressed_and_what_counts() {
        let when = "signature = 'a'\nwhen = { field = 'http.host', suffix = 'internal.example' }\n";
        let failures = |examples: &str| {
            let set = set(&[host("a"), suppress(&format!("{when}{examples}"))]);
            let (matcher, _) = set.compile().unwrap();
            let failures = set.test_suppressions(&matcher);
            failures
                .into_iter()
                .map(|failure| (failure.expected, failure.detail))
                .collect::<Vec<_>>()
        };
        let right = "examples.match = ['mcp.internal.example', { http.host = 'mcp.internal.example' }]\n\
                     examples.miss = ['mcp.example.com']";
        assert_eq!(failures(right), []);
        for (wrong, expected, detail) in [
            ("match = ['mcp.example.com']", true, "the condition does not hold (http.host)"),
            ("match = ['internal.example']", true, "none of its signatures hits (http.host)"),
            ("miss = ['mcp.internal.example']", false, "the condition holds (http.host)"),
            ("miss = ['example.com']", false, "none of its signatures hits (http.host)"),
        ] {
            assert_eq!(failures(&format!("examples.{wrong}")), [(expected, detail.to_owned())]);
        }
        let elsewhere = "signature = 'a'\nwhen = { field = 'http.method', exact = 'GET' }\n\
                         examples.match = ['mcp.example']";
        let set = set(&[host("a"), suppress(elsewhere)]);
        let (matcher, _) = set.compile().unwrap();
        assert!(set.test_suppressions(&matcher)[0].detail.contains("write a table"));
    }
}
