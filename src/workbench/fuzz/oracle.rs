//! Oracles: plain ways to say what the automata and the scanner must say.
//!
//! [`Reference`] reads a signature as the documentation does: one pattern, one
//! value, no automaton. [`messages`] reads a body with `serde_json`.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde_json::Value;

use super::facts::{Answer, Fact, Facts};
use super::json::Strings;
use crate::mcp::{Charset, Id, Message, ParamKey, Scanner};
use crate::signature::{
    Clause, Condition, Field, HostList, JsonMember, JsonText, Pattern, SignatureIndex,
    SignatureSet, Values,
};
use crate::stream::Direction;
use crate::workbench::random::Random;

/// Longest name of DNS.
const MAX_NAME: usize = 255;

/// What a set means.
#[derive(Debug)]
pub(super) struct Reference {
    rules: Vec<(Rule, Option<When>)>,
}

/// A clause, its expressions compiled.
#[derive(Debug)]
struct Rule {
    clause: Clause,
    expressions: Vec<Regex>,
}

#[derive(Debug)]
enum When {
    Rule(Rule),
    All(Vec<When>),
    Any(Vec<When>),
    Not(Box<When>),
}

impl Reference {
    pub(super) fn of(set: &SignatureSet) -> Self {
        let rules = set
            .signatures()
            .iter()
            .map(|signature| (Rule::of(&signature.clause), signature.when.as_ref().map(When::of)));
        Self { rules: rules.collect() }
    }

    /// The first signature of which the matcher says something else, and what.
    pub(super) fn disagreement(
        &self,
        facts: &Facts,
        answer: &Answer,
    ) -> Option<(SignatureIndex, String)> {
        for (index, (rule, when)) in self.rules.iter().enumerate() {
            let index = SignatureIndex(index as u32);
            // What the reference cannot tell is not held against anyone.
            let Some(own) = rule.holds(facts) else { continue };
            let hit = answer.patterns.contains(&index);
            if own != hit {
                return Some((index, rule.wrong(hit, facts)));
            }
            let holds = when.as_ref().map_or(Some(true), |when| when.holds(facts));
            let signals = answer.signals.contains(&index);
            if holds.is_some_and(|holds| (own && holds) != signals) {
                let what = if signals { "counts without" } else { "does not count with" };
                return Some((index, format!("{what} its conditions")));
            }
        }
        None
    }
}

impl Rule {
    fn of(clause: &Clause) -> Self {
        let expressions = match &clause.pattern {
            Pattern::Regex(values) => expressions(values),
            _ => Vec::new(),
        };
        Self { clause: clause.clone(), expressions }
    }

    /// Whether the pattern hits in any of its fields.
    fn holds(&self, facts: &Facts) -> Option<bool> {
        let facts_of = |fact: &&Fact| self.concerns(fact);
        any(facts.values.iter().filter(facts_of).map(|fact| self.hits(fact, facts)))
    }

    fn concerns(&self, fact: &Fact) -> bool {
        let field = self.clause.fields.iter().find(|field| match field {
            Field::HttpUserAgent => {
                fact.field == Field::HttpHeader("user-agent".into())
                    && fact.direction == Direction::ToServer
            }
            field => **field == fact.field,
        });
        let either = self.clause.direction.is_none_or(|wanted| wanted == fact.direction);
        field.is_some() && either
    }

    fn hits(&self, fact: &Fact, facts: &Facts) -> Option<bool> {
        let named = matches!(fact.field, Field::TlsSni | Field::DnsName | Field::HttpHost);
        if named {
            let Some(name) = name(&fact.value) else { return Some(false) };
            let path = facts.get(&Field::HttpPath).filter(|_| fact.field == Field::HttpHost);
            return self.hits_name(&name, path);
        }
        self.hits_text(&fact.value, fact)
    }

    fn hits_name(&self, name: &[u8], path: Option<&[u8]>) -> Option<bool> {
        let with = |values: &Values, test: fn(&[u8], &[u8]) -> bool| {
            values.alternatives.iter().any(|value| test(name, value.text.as_bytes()))
        };
        Some(match &self.clause.pattern {
            Pattern::Exact(values) => with(values, |name, text| name == text),
            Pattern::Suffix(values) => with(values, is_at_or_below),
            Pattern::Wildcard(values) => {
                if name.split(|&byte| byte == b'.').any(<[u8]>::is_empty) {
                    // No name has an empty label.
                    return None;
                }
                with(values, wildcard)
            }
            Pattern::Hosts(list) => listed(list, name, path),
            pattern => return self.hits_plain(pattern, name),
        })
    }

    fn hits_text(&self, value: &[u8], fact: &Fact) -> Option<bool> {
        let json = fact.json.as_ref();
        match &self.clause.pattern {
            Pattern::Port(ports) => Some(fact.port().is_some_and(|port| ports.contains(&port))),
            Pattern::JsonString(values) => Some(has_string(json?, values)),
            Pattern::JsonMember(member) => Some(has_member(json?, member)),
            pattern => self.hits_plain(pattern, value),
        }
    }

    fn hits_plain(&self, pattern: &Pattern, value: &[u8]) -> Option<bool> {
        let tested = |values: &Values, test: fn(&[u8], &[u8]) -> bool| {
            let fold = |text: &[u8]| match values.ignore_case {
                true => text.to_ascii_lowercase(),
                false => text.to_vec(),
            };
            let value = fold(value);
            values.alternatives.iter().any(|text| test(&value, &fold(text.text.as_bytes())))
        };
        Some(match pattern {
            Pattern::Exact(values) => tested(values, |value, text| value == text),
            Pattern::Prefix(values) => tested(values, <[u8]>::starts_with),
            Pattern::Substring(values) => {
                tested(values, |value, text| places(value, text).next().is_some())
            }
            Pattern::Word(values) => tested(values, is_word),
            Pattern::PathPrefix(values) => tested(values, |value, text| {
                value
                    .strip_prefix(text)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }),
            Pattern::PathSuffix(values) => tested(values, |value, text| {
                let end = value.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
                (end..=value.len()).any(|end| value.get(..end).is_some_and(|v| v.ends_with(text)))
            }),
            Pattern::Regex(_) => self.expressions.iter().any(|regex| regex.is_match(value)),
            Pattern::Present => true,
            _ => return None,
        })
    }

    fn wrong(&self, hit: bool, facts: &Facts) -> String {
        let what = if hit { "hits" } else { "does not hit" };
        let values = facts.values.iter().filter(|fact| self.concerns(fact));
        let values: Vec<_> = values
            .map(|fact| format!("{} `{}`", fact.field.name(), fact.value.escape_ascii()))
            .collect();
        let key = self.clause.pattern.key();
        format!(
            "the automaton {what} where a plain reading of `{key}` says otherwise: {}",
            values.join(", ")
        )
    }
}

impl When {
    fn of(condition: &Condition) -> Self {
        match condition {
            Condition::Clause(clause) => Self::Rule(Rule::of(clause)),
            Condition::All(inner) => Self::All(inner.iter().map(Self::of).collect()),
            Condition::Any(inner) => Self::Any(inner.iter().map(Self::of).collect()),
            Condition::Not(inner) => Self::Not(Box::new(Self::of(inner))),
        }
    }

    fn holds(&self, facts: &Facts) -> Option<bool> {
        match self {
            Self::Rule(rule) => rule.holds(facts),
            Self::Any(inner) => any(inner.iter().map(|inner| inner.holds(facts))),
            Self::All(inner) => {
                any(inner.iter().map(|inner| inner.holds(facts).map(|holds| !holds)))
                    .map(|fails| !fails)
            }
            Self::Not(inner) => inner.holds(facts).map(|holds| !holds),
        }
    }
}

/// Whether any holds; `None` if none does and of some that is not known.
fn any(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(false);
    for answer in answers {
        match answer {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = None,
        }
    }
    known
}

fn expressions(values: &Values) -> Vec<Regex> {
    let syntax =
        syntax::Config::new().unicode(false).utf8(false).case_insensitive(values.ignore_case);
    let config = Regex::config().utf8_empty(false);
    let built = values.alternatives.iter().filter_map(|value| {
        Regex::builder().configure(config.clone()).syntax(syntax).build(&value.text).ok()
    });
    built.collect()
}

/// A name in lower case, without port and without a dot at its end.
fn name(value: &[u8]) -> Option<Vec<u8>> {
    let port = value.iter().rposition(|&byte| byte == b':');
    let port = port.filter(|&at| value.iter().skip(at + 1).all(u8::is_ascii_digit));
    let name = value.get(..port.unwrap_or(value.len()))?;
    let name = name.strip_suffix(b".").unwrap_or(name);
    (!name.is_empty() && name.len() <= MAX_NAME).then(|| name.to_ascii_lowercase())
}

fn is_at_or_below(name: &[u8], domain: &[u8]) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
}

fn listed(list: &HostList, name: &[u8], path: Option<&[u8]>) -> bool {
    list.entries.iter().any(|entry| {
        let host = entry.host.as_bytes();
        let named = is_at_or_below(name, host) && (name == host) != entry.below;
        let under = |wanted: &str| {
            path.and_then(|path| path.strip_prefix(wanted.as_bytes()))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        named && entry.path.as_deref().is_none_or(under)
    })
}

fn wildcard(name: &[u8], pattern: &[u8]) -> bool {
    let split = |text| <[u8]>::split(text, |&byte| byte == b'.').collect::<Vec<_>>();
    let pattern = split(pattern);
    labels(&split(name), &pattern, pattern.len() > 1)
}

/// Whether labels have a form; at an open end `*` is one label or more.
fn labels(name: &[&[u8]], form: &[&[u8]], open: bool) -> bool {
    let Some((wanted, rest)) = form.split_first() else { return name.is_empty() };
    let last = rest.is_empty() && name.len() > 1;
    if *wanted == b"*" {
        let most = if open || last { name.len() } else { 1.min(name.len()) };
        return (1..=most).any(|at| name.get(at..).is_some_and(|name| labels(name, rest, false)));
    }
    name.split_first().is_some_and(|(label, name)| glob(label, wanted) && labels(name, rest, false))
}

/// Whether a label has a form, in which `*` is any part of it.
fn glob(label: &[u8], form: &[u8]) -> bool {
    match form.split_first() {
        None => label.is_empty(),
        Some((b'*', rest)) => {
            (0..=label.len()).any(|at| label.get(at..).is_some_and(|label| glob(label, rest)))
        }
        Some((byte, rest)) => label.split_first().is_some_and(|(b, l)| b == byte && glob(l, rest)),
    }
}

/// Where a text is found in a value.
fn places<'v>(value: &'v [u8], text: &'v [u8]) -> impl Iterator<Item = usize> + 'v {
    (0..=value.len()).filter(move |&at| value.get(at..).is_some_and(|v| v.starts_with(text)))
}

fn is_word(value: &[u8], text: &[u8]) -> bool {
    let border = |at: Option<&u8>| at.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    places(value, text).any(|at| {
        let before = at.checked_sub(1).and_then(|at| value.get(at));
        border(before) && border(value.get(at + text.len()))
    })
}

fn has_string(json: &Strings, values: &Values) -> bool {
    json.strings.iter().any(|string| is_one_of(string, values, false, false))
}

fn has_member(json: &Strings, member: &JsonMember) -> bool {
    json.members.iter().any(|(key, value)| {
        let JsonText { values, prefix } = &member.key;
        let wanted = |wanted: &JsonText| {
            value
                .as_ref()
                .is_some_and(|value| is_one_of(value, &wanted.values, wanted.prefix, false))
        };
        is_one_of(key, values, *prefix, member.fold_key) && member.value.as_ref().is_none_or(wanted)
    })
}

fn is_one_of(string: &str, values: &Values, prefix: bool, folded: bool) -> bool {
    values.alternatives.iter().any(|value| {
        let mut rest = string.chars();
        let begins = value.text.chars().all(|wanted| {
            rest.next().is_some_and(|c| {
                let folds = match wanted.to_ascii_lowercase() {
                    's' => c == '\u{17f}',
                    'k' => c == '\u{212a}',
                    _ => false,
                };
                let alike = c.eq_ignore_ascii_case(&wanted);
                c == wanted || alike && (folded || values.ignore_case) || folded && folds
            })
        });
        begins && (prefix || rest.next().is_none())
    })
}

/// A message: method, id where it is a text or a whole number, name of the tool.
type Read = (Option<String>, Option<String>, Option<String>);

/// What the scanner says of a body that `serde_json` reads in another way.
pub(super) fn messages(body: &[u8], random: &mut Random) -> Option<String> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value: Value = serde_json::from_slice(text).ok()?;
    let expected: Vec<Read> = match &value {
        Value::Array(items) => items.iter().filter_map(read).collect(),
        value => read(value).into_iter().collect(),
    };
    let (seen, odd) = scan(body, random);
    let differs = !odd && seen != expected;
    differs.then(|| format!("the scanner reads {seen:?}, serde_json {expected:?}"))
}

fn read(value: &Value) -> Option<Read> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    value.get("jsonrpc")?;
    let id = value.get("id");
    let number = id.filter(|id| id.is_i64() || id.is_u64()).map(Value::to_string);
    let method = text(value.get("method"));
    let name = value.get("params").filter(|_| method.as_deref() == Some("tools/call"));
    let name = text(name.and_then(|params| params.get("name")));
    Some((method, text(id).or(number), name))
}

/// The messages that the scanner finds, and whether there is something about them
/// that the two may read in different ways: keys of folded case, texts at their cap.
fn scan(body: &[u8], random: &mut Random) -> (Vec<Read>, bool) {
    let mut scanner = Scanner::new();
    scanner.reset(Charset::Sniffed);
    let (mut seen, mut odd) = (Vec::new(), false);
    let mut sink = |message: &Message| {
        odd |= message.flags().folded_keys || message.flags().cut;
        let method = message.method().map(str::to_owned);
        let id = match message.id() {
            Some(Id::String(text)) => Some(text.to_owned()),
            Some(Id::Number(text)) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
                Some(text.to_owned())
            }
            _ => None,
        };
        let is_text = message.param_kind(ParamKey::Name) == crate::mcp::ValueKind::String;
        let called = is_text && method.as_deref() == Some("tools/call");
        let name = message.param(ParamKey::Name).filter(|_| called).map(str::to_owned);
        seen.push((method, id, name));
    };
    let mut rest = body;
    while !rest.is_empty() {
        let most = if random.chance(2) { rest.len().min(4) } else { rest.len() };
        let (piece, after) = rest.split_at(1 + random.below(most));
        // What is not read shows in what is seen.
        let _ = scanner.feed(piece, &mut sink);
        rest = after;
    }
    let _ = scanner.finish(true, &mut sink);
    (seen, odd)
}
