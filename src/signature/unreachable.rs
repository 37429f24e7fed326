//! Lints of suppressions: those that never suppress anything, and those that are
//! over.
//!
//! Whether a condition can hold where a signature hits is asked of the fields that are
//! seen together, of the values that a field can have at once, and of the compiled
//! set. What cannot be told is taken to be possible.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use super::date::Date;
use super::diagnostic::{Diagnostic, Location, Severity, suggestion};
use super::field::{Field, FieldClass};
use super::hits::Atom;
use super::matcher::{Expression, Matcher};
use super::model::{Clause, Condition, Pattern, Signature, Values};
use super::set::SignatureSet;
use super::shadow::{run, texts};
use super::suppress::{IdPattern, Suppression};
use crate::stream::Direction;

/// Values that are compared at most; what is not compared is taken to be possible.
const MAX_COMPARISONS: usize = 2_000_000;

/// What is known to hold beside a condition, at most.
const MAX_GIVEN: usize = 64;

impl SignatureSet {
    /// Looks for suppressions that never suppress anything in this set, or no more,
    /// with the help of the matcher that the set was compiled to.
    pub fn lint_suppressions(&self, matcher: &Matcher, today: Date) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let bench = Bench { matcher, comparisons: Cell::new(MAX_COMPARISONS) };
        for (index, suppression) in self.suppressions().iter().enumerate() {
            if let Some(until) = suppression.until.filter(|_| suppression.is_over(today)) {
                let message = format!("it holds no more since {until}");
                let problem = Diagnostic::new(Severity::Warning, "expired-suppression", message)
                    .at(suppression.origin.location.clone());
                found.push(problem.with_help("delete it, or move `until`"));
                continue;
            }
            for (number, pattern) in suppression.signatures.iter().enumerate() {
                found.extend(self.unreachable_name(&bench, index, suppression, number, pattern));
            }
            if let Some(other) = self.covering(&bench, index, today) {
                let place = &other.origin;
                let message =
                    format!("the one at {}:{} suppresses all of it", place.path, place.line);
                found.push(unreachable(message, &suppression.origin.location));
            }
        }
        found
    }

    /// What is wrong with one of the names of a suppression.
    fn unreachable_name(
        &self,
        bench: &Bench<'_>,
        index: usize,
        suppression: &Suppression,
        number: usize,
        pattern: &IdPattern,
    ) -> Option<Diagnostic> {
        let place = &pattern.location;
        let wider = suppression.signatures.iter().enumerate().find(|&(other, wider)| {
            let first = other < number || !pattern.covers(wider);
            other != number && wider.covers(pattern) && first
        });
        if let Some((_, wider)) = wider {
            let message = match wider.any_rest == pattern.any_rest && wider.id == pattern.id {
                true => format!("`{pattern}` is named twice"),
                false => format!("`{pattern}` is covered by `{wider}`"),
            };
            return Some(unreachable(message, place));
        }
        let named = || {
            let one = self.find(&pattern.id).map(|index| index.index());
            let range = match (pattern.any_rest, one) {
                (true, _) => 0..self.len(),
                (false, Some(index)) => index..index + 1,
                (false, None) => 0..0,
            };
            let signatures = self.signatures().iter().enumerate();
            signatures.skip(range.start).take(range.len()).filter(|(_, s)| pattern.names(&s.id))
        };
        let expression = bench.matcher.suppressed.conditions.get(index)?;
        let mut reasons = named().map(|(number, signature)| {
            let atom = Atom(number as u32);
            bench
                .unreachable(signature, atom, &suppression.when, expression)
                .map(|reason| (signature, reason))
        });
        let Some(first) = reasons.next() else {
            let problem = unreachable(format!("`{pattern}` names no signature"), place);
            return Some(match self.near(pattern) {
                Some(help) => problem.with_help(help),
                None => problem,
            });
        };
        let (signature, reason) = first?;
        // One that is reachable is enough.
        reasons.all(|reason| reason.is_some()).then(|| {
            let message = format!("it never holds where `{}` hits: {reason}", signature.id);
            unreachable(message, place)
        })
    }

    /// The name that was probably meant.
    fn near(&self, pattern: &IdPattern) -> Option<String> {
        let ids = self.signatures().iter().map(|signature| &*signature.id);
        if !pattern.any_rest {
            return suggestion(&pattern.id, ids);
        }
        let starts: BTreeSet<String> = ids
            .flat_map(|id| id.match_indices('.').filter_map(|(dot, _)| id.get(..=dot)))
            .map(|start| format!("{start}*"))
            .collect();
        suggestion(&pattern.to_string(), starts.iter().map(String::as_str))
    }

    /// Another suppression that makes one superfluous.
    fn covering(&self, bench: &Bench<'_>, own: usize, today: Date) -> Option<&Suppression> {
        let covers = |wide: usize, narrow: usize| {
            let conditions = &bench.matcher.suppressed.conditions;
            let (Some(a), Some(b)) =
                (self.suppressions().get(wide), self.suppressions().get(narrow))
            else {
                return false;
            };
            let (Some(a_holds), Some(b_holds)) = (conditions.get(wide), conditions.get(narrow))
            else {
                return false;
            };
            let named = |name: &IdPattern| a.signatures.iter().any(|wider| wider.covers(name));
            let lasts = a.until.is_none() || b.until.is_some() && b.until <= a.until;
            !a.is_over(today)
                && lasts
                && b.signatures.iter().all(named)
                && bench.implies((&b.when, b_holds), (&a.when, a_holds))
        };
        // Of two that say the same, the first one stays.
        let superfluous = |&other: &usize| {
            other != own && covers(other, own) && (other < own || !covers(own, other))
        };
        let other = (0..self.suppressions().len()).find(superfluous)?;
        self.suppressions().get(other)
    }
}

fn unreachable(message: String, place: &Location) -> Diagnostic {
    Diagnostic::new(Severity::Warning, "unreachable-suppression", message).at(place.clone())
}

/// A pattern that hits, in the fields where it can.
#[derive(Clone)]
struct Fact<'c> {
    fields: Vec<&'c Field>,
    clause: &'c Clause,
    atom: Atom,
}

/// A condition as it is written and as it is compiled.
type Both<'c> = (&'c Condition, &'c Expression);

/// Compares patterns with the help of a matcher.
struct Bench<'m> {
    matcher: &'m Matcher,
    comparisons: Cell<usize>,
}

impl Bench<'_> {
    /// Why a condition never holds where a signature hits.
    fn unreachable(
        &self,
        signature: &Signature,
        atom: Atom,
        when: &Condition,
        expression: &Expression,
    ) -> Option<String> {
        let own = self.matcher.conditions.get(atom.0 as usize).and_then(Option::as_ref);
        let own = signature.when.as_ref().zip(own);
        if let Some(both) = own.and_then(|own| self.denied(own, (when, expression))) {
            return Some(both);
        }
        let mut reason = None;
        for field in &signature.clause.fields {
            let mut given = vec![Fact { fields: vec![field], clause: &signature.clause, atom }];
            if let Some((condition, compiled)) = own {
                required(condition, compiled, field, &mut given);
            }
            reason = Some(self.excluded((when, expression), field, &mut given)?);
        }
        reason
    }

    /// Why a signature's own condition denies another one.
    fn denied(&self, own: Both<'_>, other: Both<'_>) -> Option<String> {
        match own {
            (Condition::All(conditions), Expression::All(compiled)) => {
                conditions.iter().zip(compiled).find_map(|own| self.denied(own, other))
            }
            (Condition::Not(denied), Expression::Not(compiled)) => self
                .implies(other, (denied, compiled))
                .then(|| "its own `when` has `not` of that".to_owned()),
            _ => None,
        }
    }

    /// Why a condition cannot hold in an exchange where `at` is seen, beside what is
    /// given.
    fn excluded<'c>(
        &self,
        (condition, compiled): Both<'c>,
        at: &'c Field,
        given: &mut Vec<Fact<'c>>,
    ) -> Option<String> {
        match (condition, compiled) {
            (Condition::Clause(clause), Expression::Atom(atom)) => {
                let fact = Fact { fields: seen_at(clause, at), clause, atom: *atom };
                if fact.fields.is_empty() {
                    let field = clause.fields.first().map(Field::name).unwrap_or_default();
                    return Some(format!("`{field}` is never seen together with `{}`", at.name()));
                }
                given.iter().find_map(|other| self.clash(other, &fact))
            }
            (Condition::All(conditions), Expression::All(compiled)) => {
                let before = given.len();
                let reason = conditions.iter().zip(compiled).find_map(|both| {
                    let reason = self.excluded(both, at, given);
                    required(both.0, both.1, at, given);
                    reason
                });
                given.truncate(before);
                reason
            }
            (Condition::Any(conditions), Expression::Any(compiled)) => {
                let mut first = None;
                for both in conditions.iter().zip(compiled) {
                    let reason = self.excluded(both, at, given)?;
                    first.get_or_insert(reason);
                }
                first
            }
            (Condition::Not(denied), Expression::Not(compiled)) => {
                given.iter().find_map(|fact| self.always((denied, compiled), fact))
            }
            _ => None,
        }
    }

    /// Why two patterns cannot hit together.
    fn clash(&self, a: &Fact<'_>, b: &Fact<'_>) -> Option<String> {
        let ([field], [other]) = (&*a.fields, &*b.fields) else { return None };
        if field != other || !field.has_one_value() {
            return None;
        }
        if !self.spend(&a.clause.pattern, &b.clause.pattern) {
            return None;
        }
        let may_meet = match field.class() {
            FieldClass::Port => ports_meet(&a.clause.pattern, &b.clause.pattern),
            FieldClass::Name => self.names_meet(field, a, b),
            _ => self.texts_meet(field, a, b),
        };
        (!may_meet).then(|| {
            let (a, b) = (shown(&a.clause.pattern), shown(&b.clause.pattern));
            format!("no `{}` is both {a} and {b}", field.name())
        })
    }

    /// Why a denied condition holds wherever a fact does.
    fn always(&self, (denied, compiled): Both<'_>, fact: &Fact<'_>) -> Option<String> {
        let holds = match (denied, compiled) {
            (Condition::Clause(clause), Expression::Atom(atom)) => {
                self.clause_implies(&fact.fields, fact.clause, clause, *atom)
            }
            (Condition::Any(conditions), Expression::Any(compiled)) => {
                let mut inner = conditions.iter().zip(compiled);
                return inner.find_map(|both| self.always(both, fact));
            }
            _ => false,
        };
        holds.then(|| {
            let field = fact.fields.first().map(|field| field.name()).unwrap_or_default();
            format!("`not` denies {} in `{field}`", shown(&fact.clause.pattern))
        })
    }

    /// Whether the second condition holds wherever the first one does, as far as that
    /// can be told.
    fn implies(&self, (b, b_compiled): Both<'_>, (a, a_compiled): Both<'_>) -> bool {
        if let (Condition::Clause(narrow), Condition::Clause(wide), Expression::Atom(atom)) =
            (b, a, a_compiled)
        {
            let fields: Vec<&Field> = narrow.fields.iter().collect();
            return self.clause_implies(&fields, narrow, wide, *atom);
        }
        match (b, b_compiled, a, a_compiled) {
            (_, _, Condition::All(all), Expression::All(compiled)) => {
                all.iter().zip(compiled).all(|a| self.implies((b, b_compiled), a))
            }
            (Condition::Any(any), Expression::Any(compiled), ..) => {
                any.iter().zip(compiled).all(|b| self.implies(b, (a, a_compiled)))
            }
            (_, _, Condition::Any(any), Expression::Any(compiled))
                if any.iter().zip(compiled).any(|a| self.implies((b, b_compiled), a)) =>
            {
                true
            }
            (Condition::All(all), Expression::All(compiled), ..) => {
                all.iter().zip(compiled).any(|b| self.implies(b, (a, a_compiled)))
            }
            // Not b, if b holds wherever a does.
            (
                Condition::Not(b),
                Expression::Not(b_not),
                Condition::Not(a),
                Expression::Not(a_not),
            ) => self.implies((a, a_not), (b, b_not)),
            _ => false,
        }
    }

    fn clause_implies(
        &self,
        fields: &[&Field],
        narrow: &Clause,
        wide: &Clause,
        atom: Atom,
    ) -> bool {
        let directed = wide.direction.is_none() || wide.direction == narrow.direction;
        let within = fields.iter().all(|&field| wide.fields.contains(field));
        if !directed || !within || !self.spend(&narrow.pattern, &wide.pattern) {
            return false;
        }
        if let (Pattern::Port(narrow), Pattern::Port(wide)) = (&narrow.pattern, &wide.pattern) {
            return narrow.iter().all(|port| wide.contains(port));
        }
        if narrow.asks_the_same(wide) || matches!(wide.pattern, Pattern::Present) {
            return true;
        }
        let direction = narrow.direction.unwrap_or(Direction::ToServer);
        let texts = texts(&narrow.pattern);
        let hit = |field: &&Field, text: &String| {
            run(self.matcher, field, direction, text).contains(atom)
        };
        !texts.is_empty() && fields.iter().all(|field| texts.iter().all(|text| hit(field, text)))
    }

    fn names_meet(&self, field: &Field, a: &Fact<'_>, b: &Fact<'_>) -> bool {
        match (spans(&a.clause.pattern), spans(&b.clause.pattern)) {
            (Some(a), Some(b)) => spans_meet(&a, &b) || spans_meet(&b, &a),
            (Some(spans), None) => self.some_name_hits(field, &spans, b.atom),
            (None, Some(spans)) => self.some_name_hits(field, &spans, a.atom),
            (None, None) => true,
        }
    }

    /// Whether a pattern may hit one of the names.
    fn some_name_hits(&self, field: &Field, spans: &[Span<'_>], atom: Atom) -> bool {
        let hits = |name: &str| run(self.matcher, field, Direction::ToServer, name).contains(atom);
        spans.iter().any(|span| span.below || hits(&span.host))
    }

    fn texts_meet(&self, field: &Field, a: &Fact<'_>, b: &Fact<'_>) -> bool {
        if let (Pattern::PathPrefix(a), Pattern::PathPrefix(b)) =
            (&a.clause.pattern, &b.clause.pattern)
        {
            let fold = a.ignore_case || b.ignore_case;
            return pairs(a, b).any(|(a, b)| path_within(a, b, fold) || path_within(b, a, fold));
        }
        let meets = |whole: &Fact<'_>, other: &Fact<'_>| {
            let values = whole_values(&whole.clause.pattern)?;
            let hits = |text: &str| {
                run(self.matcher, field, Direction::ToServer, text).contains(other.atom)
            };
            Some(values.alternatives.iter().any(|value| hits(&value.text)))
        };
        meets(a, b).or_else(|| meets(b, a)).unwrap_or(true)
    }

    /// Whether there is time to compare two more patterns.
    fn spend(&self, a: &Pattern, b: &Pattern) -> bool {
        let left = self.comparisons.get().checked_sub(size(a) + size(b));
        self.comparisons.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// The fields of a clause that are seen in an exchange with `at`.
fn seen_at<'c>(clause: &'c Clause, at: &Field) -> Vec<&'c Field> {
    clause.fields.iter().filter(|field| field.is_seen_with(at)).collect()
}

/// Adds the patterns that must hit for a condition to hold.
fn required<'c>(
    condition: &'c Condition,
    compiled: &'c Expression,
    at: &Field,
    given: &mut Vec<Fact<'c>>,
) {
    match (condition, compiled) {
        (Condition::Clause(clause), Expression::Atom(atom)) if given.len() < MAX_GIVEN => {
            given.push(Fact { fields: seen_at(clause, at), clause, atom: *atom });
        }
        (Condition::All(conditions), Expression::All(compiled)) => {
            for (condition, compiled) in conditions.iter().zip(compiled) {
                required(condition, compiled, at, given);
            }
        }
        _ => {}
    }
}

/// A name, names below it, or both.
struct Span<'p> {
    host: std::borrow::Cow<'p, str>,
    itself: bool,
    below: bool,
}

/// The names that a pattern hits, where they are named.
fn spans(pattern: &Pattern) -> Option<Vec<Span<'_>>> {
    let each = |values: &'_ Values, itself, below| {
        let values = values.alternatives.iter();
        let span = |host: &str| Span { host: host.to_ascii_lowercase().into(), itself, below };
        Some(values.map(|value| span(&value.text)).collect())
    };
    match pattern {
        Pattern::Exact(values) => each(values, true, false),
        Pattern::Suffix(values) => each(values, true, true),
        Pattern::Hosts(list) => {
            let span = |entry: &'_ super::HostEntry| Span {
                host: entry.host.to_string().into(),
                itself: !entry.below,
                below: entry.below,
            };
            Some(list.entries.iter().map(span).collect())
        }
        _ => None,
    }
}

/// Whether a name of `b` is one of `a`, or lies below one.
fn spans_meet(a: &[Span<'_>], b: &[Span<'_>]) -> bool {
    let mut named: HashMap<&str, (bool, bool)> = HashMap::new();
    for span in a {
        let (itself, below) = named.entry(&span.host).or_default();
        *itself |= span.itself;
        *below |= span.below;
    }
    let get = |host: &str| named.get(host).copied().unwrap_or_default();
    b.iter().any(|span| {
        let (itself, below) = get(&span.host);
        let mut parents =
            span.host.match_indices('.').filter_map(|(dot, _)| span.host.get(dot + 1..));
        itself && span.itself || below && span.below || parents.any(|parent| get(parent).1)
    })
}

fn ports_meet(a: &Pattern, b: &Pattern) -> bool {
    match (a, b) {
        (Pattern::Port(a), Pattern::Port(b)) => a.iter().any(|port| b.contains(port)),
        _ => true,
    }
}

/// The values that a pattern compares whole, where no others hit.
fn whole_values(pattern: &Pattern) -> Option<&Values> {
    match pattern {
        Pattern::Exact(values) if !values.ignore_case => Some(values),
        _ => None,
    }
}

fn pairs<'v>(a: &'v Values, b: &'v Values) -> impl Iterator<Item = (&'v str, &'v str)> {
    let texts = |values: &'v Values| values.alternatives.iter().map(|value| &*value.text);
    texts(a).flat_map(move |a| texts(b).map(move |b| (a, b)))
}

fn path_within(path: &str, root: &str, fold: bool) -> bool {
    let start = path.get(..root.len());
    let rest = path.get(root.len()..).unwrap_or_default();
    let same = |start: &str| start == root || fold && start.eq_ignore_ascii_case(root);
    start.is_some_and(same) && (rest.is_empty() || rest.starts_with('/'))
}

/// How many values a pattern has.
fn size(pattern: &Pattern) -> usize {
    match pattern {
        Pattern::Hosts(list) => list.entries.len(),
        Pattern::Port(ports) => ports.len(),
        pattern => pattern.values().map_or(1, |values| values.alternatives.len()),
    }
}

/// A pattern in few words.
fn shown(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Port(ports) => match ports.as_slice() {
            [port] => format!("{port}"),
            ports => format!("one of {} ports", ports.len()),
        },
        Pattern::Hosts(list) => format!("in the list `{}`", list.name),
        pattern => match pattern.values().map(|values| values.alternatives.as_slice()) {
            Some([value]) => format!("{} `{}`", pattern.key(), value.text),
            Some(values) => format!("{} of {} values", pattern.key(), values.len()),
            None => pattern.key().to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "[[signature]]\nid = 'a.host'\ntitle = 't'\nstrength = 'weak'\n";
    const REASON: &str = "[[suppress]]\nreason = 'r'\n";

    /// Code, line and message of what is found; a signature `a.host` of these lines is in line 2.
    fn found(signature: &str, suppressions: &[&str]) -> Vec<(&'static str, usize, String)> {
        let mut text = format!("version = 1\n{HOST}{signature}\n");
        for suppression in suppressions {
            text += &format!("{REASON}{suppression}\n");
        }
        let set = SignatureSet::parse("t.toml", &text).unwrap();
        let (matcher, _) = set.compile().unwrap();
        let today = Date::parse("2026-06-01").unwrap();
        let found = set.lint_suppressions(&matcher, today).into_iter();
        found.map(|p| (p.code, p.location.as_ref().unwrap().line, p.message)).collect()
    }

    fn condition(when: &str) -> String {
        format!("signature = 'a.host'\nwhen = {when}")
    }

    #[test]
    fn names_of_nothing_are_found() {
        let when = "when = { field = 'http.method', exact = 'GET' }";
        let text = format!(
            "version = 1\n{HOST}field = 'http.path'\npath_prefix = '/mcp'\n{REASON}{when}\n\
             signature = ['a.host', 'a.hots', 'b.*', 'a*', 'a.host']\n"
        );
        let set = SignatureSet::parse("t.toml", &text).unwrap();
        let (matcher, _) = set.compile().unwrap();
        let found = set.lint_suppressions(&matcher, Date::parse("2026-06-01").unwrap());
        let seen: Vec<_> = found
            .iter()
            .map(|problem| {
                let place = problem.location.as_ref().unwrap();
                (place.line, place.column(), &*problem.message, problem.help.as_deref())
            })
            .collect();
        assert_eq!(
            seen,
            [
                (11, 14, "`a.host` is covered by `a*`", None),
                (11, 24, "`a.hots` is covered by `a*`", None),
                (11, 34, "`b.*` names no signature", Some("did you mean `a.*`?")),
                (11, 47, "`a.host` is named twice", None),
            ]
        );
        let unknown =
            found_of(&["signature = 'a.hots'\nwhen = { field = 'http.method', exact = 'X' }"]);
        assert_eq!(unknown, ["`a.hots` names no signature"]);
    }

    fn found_of(suppressions: &[&str]) -> Vec<String> {
        let signature = "field = 'http.host'\nsuffix = 'example.com'";
        found(signature, suppressions).into_iter().map(|(_, _, message)| message).collect()
    }

    #[test]
    fn conditions_that_never_hold_there_are_found() {
        let host = |pattern: &str| format!("field = 'http.host'\n{pattern}");
        let path = |pattern: &str| format!("field = 'http.path'\n{pattern}");
        #[rustfmt::skip]
        let cases = [
            // Fields that are never seen together.
            ("field = 'dns.name'\nword = 'mcp'".to_owned(), "{ field = 'http.path', exact = '/x' }", true),
            ("field = 'dns.name'\nword = 'mcp'".to_owned(), "{ field = 'flow.server_port', port = 53 }", true),
            ("field = 'tls.sni'\nword = 'mcp'".to_owned(), "{ field = 'http.host', exact = 'mcp.x' }", true),
            ("field = 'tls.sni'\nword = 'mcp'".to_owned(), "{ field = 'flow.server_port', port = 443 }", false),
            ("fields = ['tls.sni', 'http.host']\nword = 'mcp'".to_owned(), "{ field = 'http.path', exact = '/x' }", false),
            ("field = 'http.body'\nsubstring = 'tools/call'".to_owned(), "{ field = 'http.host', exact = 'x' }", false),
            ("field = 'http.body'\nsubstring = 'tools/call'".to_owned(), "{ field = 'tls.sni', exact = 'x' }", true),
            (host("word = 'mcp'"), "{ any = [{ field = 'dns.name', exact = 'x' }, { field = 'tls.sni', exact = 'x' }] }", true),
            (host("word = 'mcp'"), "{ any = [{ field = 'dns.name', exact = 'x' }, { field = 'http.method', exact = 'x' }] }", false),
            (host("word = 'mcp'"), "[{ field = 'http.method', exact = 'x' }, { field = 'dns.name', exact = 'x' }]", true),
            // Names that the signature cannot hit.
            (host("suffix = 'example.com'"), "{ field = 'http.host', suffix = 'example.org' }", true),
            (host("suffix = 'example.com'"), "{ field = 'http.host', suffix = 'a.example.com' }", false),
            (host("suffix = 'a.example.com'"), "{ field = 'http.host', suffix = 'example.com' }", false),
            (host("suffix = 'example.com'"), "{ field = 'http.host', exact = 'an-example.com' }", true),
            (host("exact = ['a.test', 'b.test']"), "{ field = 'http.host', exact = ['c.test', 'b.test'] }", false),
            (host("exact = 'a.test'"), "{ field = 'http.host', wildcard = '*.example' }", true),
            (host("exact = 'a.test'"), "{ field = 'http.host', regex = '^a[.]' }", false),
            (host("word = 'mcp'"), "{ field = 'http.host', exact = 'intern.example' }", true),
            (host("word = 'mcp'"), "{ field = 'http.host', exact = 'mcp.example' }", false),
            (host("word = 'mcp'"), "{ field = 'http.host', suffix = 'intern.example' }", false),
            (host("word = 'mcp'"), "[{ field = 'http.host', exact = 'mcp.a' }, { field = 'http.host', exact = 'mcp.b' }]", true),
            // Other values.
            (path("path_prefix = '/mcp'"), "{ field = 'http.path', path_prefix = '/mcpx' }", true),
            (path("path_prefix = '/mcp'"), "{ field = 'http.path', path_prefix = ['/x', '/mcp/v1'] }", false),
            (path("path_suffix = '/mcp'"), "{ field = 'http.path', exact = '/docs' }", true),
            (path("path_suffix = '/mcp'"), "{ field = 'http.path', exact = '/docs/mcp' }", false),
            ("field = 'flow.server_port'\nport = [80, 443]".to_owned(), "{ field = 'flow.server_port', port = 8080 }", true),
            ("field = 'flow.server_port'\nport = [80, 443]".to_owned(), "{ field = 'flow.server_port', port = [443, 8443] }", false),
            // A header field may come twice.
            ("field = 'http.header.x'\nexact = 'a'".to_owned(), "{ field = 'http.header.x', direction = 'to_server', exact = 'b' }", false),
            // What the signature asks for besides.
            (path("path_prefix = '/mcp'\nwhen = { field = 'http.method', exact = 'POST' }"), "{ field = 'http.method', exact = 'GET' }", true),
            (path("path_prefix = '/mcp'\nwhen = { not = { field = 'http.host', suffix = 'x.test' } }"), "{ field = 'http.host', exact = 'a.x.test' }", true),
            (path("path_prefix = '/mcp'"), "{ not = { field = 'http.path', prefix = '/m' } }", true),
            (path("path_prefix = '/mcp'"), "{ not = { field = 'http.path', prefix = '/mcp/v' } }", false),
        ];
        for (signature, when, dead) in cases {
            let found = found(&signature, &[&condition(when)]);
            let line = 2 + signature.lines().count() + 6;
            let codes: Vec<_> = found.iter().map(|(code, line, _)| (*code, *line)).collect();
            let expected = [("unreachable-suppression", line)];
            let expected = if dead { &expected[..] } else { &[] };
            assert_eq!(codes, expected, "{signature} with {when}: {found:?}");
        }
    }

    #[test]
    fn what_another_suppression_does_already_is_found() {
        let all = |when: &str| format!("signature = '*'\nwhen = {when}");
        let wide = condition("{ field = 'http.host', suffix = 'example.com' }");
        let narrow = condition("{ field = 'http.host', exact = 'a.example.com' }");
        let narrower = condition(
            "[{ field = 'http.host', exact = 'a.example.com' }, { field = 'http.method', exact = 'GET' }]",
        );
        let until = |when: &str, day: &str| format!("{when}\nuntil = {day}");
        let either = condition(
            "{ any = [{ field = 'http.path', exact = '/x' }, { field = 'http.host', suffix = 'example.com' }] }",
        );
        for (first, second, line) in [
            (&wide, &narrow, Some(11)),
            (&narrow, &wide, Some(7)),
            (&wide, &wide, Some(11)),
            (&wide, &narrower, Some(11)),
            (&narrow, &narrower, Some(11)),
            (&either, &narrow, Some(11)),
            (&narrow, &either, Some(7)),
            (&all("{ field = 'http.host', suffix = 'example.com' }"), &narrow, Some(11)),
            (&wide, &all("{ field = 'http.host', exact = 'a.example.com' }"), None),
            (&wide, &condition("{ field = 'http.path', exact = '/a' }"), None),
            (&narrow, &condition("{ field = 'http.host', exact = 'b.example.com' }"), None),
            (&until(&wide, "2027-01-01"), &narrow, None),
            (&wide, &until(&narrow, "'2027-01-01'"), Some(11)),
            (&until(&wide, "2027-01-01"), &until(&narrow, "2026-12-01"), Some(12)),
        ] {
            let found = found("field = 'http.host'\nsuffix = 'example.com'", &[first, second]);
            let lines: Vec<_> = found.iter().map(|(code, line, _)| (*code, *line)).collect();
            let expected: Vec<_> =
                line.into_iter().map(|line| ("unreachable-suppression", line + 1)).collect();
            assert_eq!(lines, expected, "{first}\n{second}: {found:?}");
        }
    }

    #[test]
    fn what_is_over_is_found_and_covers_nothing() {
        let until = |day: &str| {
            condition("{ field = 'http.host', suffix = 'example.com' }")
                + &format!("\nuntil = {day}")
        };
        let host = "field = 'http.host'\nsuffix = 'example.com'";
        let codes = |suppressions: &[&str]| {
            found(host, suppressions).into_iter().map(|(code, ..)| code).collect::<Vec<_>>()
        };
        assert_eq!(codes(&[&until("2026-06-02")]), [""; 0]);
        assert_eq!(codes(&[&until("2026-06-01")]), ["expired-suppression"]);
        assert_eq!(codes(&[&until("2020-01-01"), &until("2027-01-01")]), ["expired-suppression"]);
    }
}
