//! The compiler: a set in, one automaton per field out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use regex_syntax::hir::Hir;

use super::automaton::program::{Program, Step};
use super::automaton::{Budget, Built, FieldAutomaton, FieldPrograms, TooLarge};
use super::cache::{self, Cache, Key};
use super::diagnostic::{Diagnostic, Report, Severity};
use super::field::Field;
use super::hits::{Atom, SignatureIndex};
use super::lists::HostList;
use super::matcher::{Expression, FieldMatcher, Matcher, Target};
use super::model::{Clause, Condition, Pattern, Signature, Values};
use super::names::{NameFields, NameRule, Scope};
use super::suppress::{Suppressed, Suppression};
use super::values::{MessageFields, NamedFields};
use super::{regex, sequences};
use crate::stream::Direction;

/// Bytes of all compiled expressions of one field.
const MAX_EXPRESSION_BYTES: usize = 64 << 20;

/// Threads that build automata.
const MAX_BUILDERS: usize = 8;

/// Compiles signatures; the diagnostics beside the matcher are warnings about
/// patterns that had to be built in a slower way.
///
/// Automata are taken from `cache` and saved there.
pub(crate) fn compile(
    signatures: &[Signature],
    suppressions: &[Suppression],
    budget: &Budget,
    cache: Option<Cache>,
) -> Result<(Matcher, Vec<Diagnostic>), Report> {
    let mut compiler = Compiler::default();
    compiler.matcher.signatures = signatures.len();
    let mut next = signatures.len();
    for (index, signature) in signatures.iter().enumerate() {
        compiler.origin = index;
        compiler.clause(&signature.clause, Atom(index as u32));
        let condition =
            signature.when.as_ref().map(|condition| compiler.condition(condition, &mut next));
        compiler.matcher.conditions.push(condition);
        if signature.nominates() {
            compiler.matcher.nominating.insert(SignatureIndex(index as u32));
        }
    }
    let mut conditions = Vec::with_capacity(suppressions.len());
    for (index, suppression) in suppressions.iter().enumerate() {
        compiler.origin = signatures.len() + index;
        conditions.push(compiler.condition(&suppression.when, &mut next));
    }
    compiler.matcher.suppressed = Suppressed::new(signatures, suppressions, conditions);
    compiler.finish(Sources { signatures, suppressions }, budget, cache)
}

/// What is compiled, for those who tell what is wrong with it.
#[derive(Clone, Copy)]
struct Sources<'s> {
    signatures: &'s [Signature],
    suppressions: &'s [Suppression],
}

impl Sources<'_> {
    /// A problem of the signature or suppression that a pattern comes from.
    fn about(
        self,
        severity: Severity,
        code: &'static str,
        message: String,
        origin: usize,
    ) -> Diagnostic {
        if let Some(signature) = self.signatures.get(origin) {
            return Diagnostic::about(severity, code, signature, &message)
                .at(signature.clause.location.clone());
        }
        let problem = Diagnostic::new(severity, code, message);
        let suppression = origin.checked_sub(self.signatures.len());
        match suppression.and_then(|index| self.suppressions.get(index)) {
            Some(suppression) => problem.at(suppression.origin.location.clone()),
            None => problem,
        }
    }
}

#[derive(Default)]
struct Compiler<'s> {
    matcher: Matcher,
    fields: HashMap<Field, FieldBuilder<'s>>,
    name_patterns: FieldBuilder<'s>,
    /// The signature being compiled, or after all of them the suppression.
    origin: usize,
    /// Clauses of conditions seen, so that equal ones are matched once.
    clauses: HashMap<String, Atom>,
    lists: HashMap<*const HostList, usize>,
}

/// The patterns of one field, before they are built.
#[derive(Default)]
struct FieldBuilder<'s> {
    patterns: Vec<&'s Pattern>,
    /// What each of them stands for.
    targets: Vec<Target>,
    present: Vec<Target>,
    /// The signature or suppression that each target comes from.
    origins: Vec<usize>,
}

impl<'s> Compiler<'s> {
    fn clause(&mut self, clause: &'s Clause, atom: Atom) {
        let names = NameFields::of(&clause.fields);
        match &clause.pattern {
            Pattern::Port(ports) => {
                self.matcher.ports.extend(ports.iter().map(|&port| (port, atom)));
            }
            Pattern::Hosts(list) => self.hosts(list, atom, names),
            Pattern::Suffix(values) => {
                self.exact_names(values, atom, names, Scope::ItselfAndBelow);
            }
            Pattern::Exact(values) if names != NameFields::default() => {
                self.exact_names(values, atom, names, Scope::Itself);
            }
            pattern => {
                let target = Target { atom, direction: clause.direction, names };
                if names != NameFields::default() {
                    self.name_patterns.add(pattern, target, self.origin);
                    return;
                }
                for field in &clause.fields {
                    // A user agent is a header field that only requests have.
                    let (field, target) = match field {
                        Field::HttpUserAgent => (
                            Field::HttpHeader("user-agent".into()),
                            Target { direction: Some(Direction::ToServer), ..target },
                        ),
                        field => (field.clone(), target),
                    };
                    let origin = self.origin;
                    self.fields.entry(field).or_default().add(pattern, target, origin);
                }
            }
        }
    }

    fn exact_names(&mut self, values: &Values, atom: Atom, fields: NameFields, scope: Scope) {
        for value in &values.alternatives {
            let rule = NameRule { atom, fields, scope, path: None, entry: None };
            self.matcher.names.insert(&value.text, rule);
        }
    }

    fn hosts(&mut self, list: &Arc<HostList>, atom: Atom, fields: NameFields) {
        let lists = &mut self.matcher.lists;
        let number = *self.lists.entry(Arc::as_ptr(list)).or_insert_with(|| {
            lists.push(Arc::clone(list));
            lists.len() - 1
        });
        for (index, entry) in list.entries.iter().enumerate() {
            let rule = NameRule {
                atom,
                fields,
                scope: if entry.below { Scope::Below } else { Scope::Itself },
                path: entry.path.clone(),
                entry: Some((number, index)),
            };
            self.matcher.names.insert(&entry.host, rule);
        }
    }

    fn condition(&mut self, condition: &'s Condition, next: &mut usize) -> Expression {
        match condition {
            Condition::Clause(clause) => Expression::Atom(self.condition_clause(clause, next)),
            Condition::All(inner) => Expression::All(self.conditions(inner, next)),
            Condition::Any(inner) => Expression::Any(self.conditions(inner, next)),
            Condition::Not(inner) => Expression::Not(Box::new(self.condition(inner, next))),
        }
    }

    fn conditions(&mut self, inner: &'s [Condition], next: &mut usize) -> Vec<Expression> {
        inner.iter().map(|condition| self.condition(condition, next)).collect()
    }

    fn condition_clause(&mut self, clause: &'s Clause, next: &mut usize) -> Atom {
        let atom = Atom(*next as u32);
        match self.clauses.entry(clause.identity()) {
            Entry::Occupied(seen) => return *seen.get(),
            Entry::Vacant(new) => new.insert(atom),
        };
        *next += 1;
        self.clause(clause, atom);
        atom
    }

    fn finish(
        mut self,
        sources: Sources<'_>,
        budget: &Budget,
        cache: Option<Cache>,
    ) -> Result<(Matcher, Vec<Diagnostic>), Report> {
        self.matcher.ports.sort_unstable();
        let mut notes = Vec::new();
        let mut errors = Vec::new();
        let fields = build_all(self.fields, self.name_patterns, sources, budget, cache);
        for Done { field, built, .. } in fields {
            let built = match built {
                Ok((built, slow)) => {
                    notes.extend(slow);
                    built
                }
                Err(error) => {
                    errors.push(error);
                    FieldMatcher::default()
                }
            };
            match field {
                None => self.matcher.name_patterns = built,
                Some(Field::HttpPath) => self.matcher.path = built,
                Some(Field::HttpQuery) => self.matcher.query = built,
                Some(Field::HttpMethod) => self.matcher.method = built,
                Some(Field::HttpBody) => self.matcher.body = built,
                Some(Field::HttpHeader(name)) => {
                    self.matcher.headers.push((name.as_bytes().into(), built));
                }
                Some(field) => {
                    self.matcher.fields.insert(field, Arc::new(built));
                }
            }
        }
        self.matcher.headers.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        self.matcher.sse_event = self.matcher.fields.get(&Field::SseEvent).cloned();
        self.matcher.messages = MessageFields::of(&self.matcher.fields).map(Box::new);
        self.matcher.oauth = NamedFields::of(&self.matcher.fields, |field| match field {
            Field::OAuth(name) => Some(name),
            _ => None,
        });
        // Fields are built in no particular order.
        notes.sort_by(|a, b| a.message.cmp(&b.message));
        errors.sort_by(|a, b| a.message.cmp(&b.message));
        if errors.is_empty() { Ok((self.matcher, notes)) } else { Err(Report(errors)) }
    }
}

impl<'s> FieldBuilder<'s> {
    fn add(&mut self, pattern: &'s Pattern, target: Target, origin: usize) {
        if matches!(pattern, Pattern::Present) {
            self.present.push(target);
            return;
        }
        self.patterns.push(pattern);
        self.targets.push(target);
        self.origins.push(origin);
    }

    fn automaton(&self, budget: &Budget) -> Result<Built, TooLarge> {
        let mut programs = FieldPrograms::default();
        let mut expressions = Vec::new();
        for (number, pattern) in self.patterns.iter().enumerate() {
            match pattern {
                // The parser has checked syntax and size.
                Pattern::Regex(values) => expressions.extend(
                    values
                        .alternatives
                        .iter()
                        .filter_map(|value| regex::parse(&value.text, values.ignore_case).ok())
                        .map(|hir| (number, hir)),
                ),
                pattern => add_sequences(&mut programs, number, pattern),
            }
        }
        add_expressions(&mut programs, &expressions)?;
        FieldAutomaton::build(programs, budget)
    }

    /// Rounds of work that building takes, to tell the large fields from the small.
    fn size(&self) -> usize {
        let texts = self.patterns.iter().map(|pattern| match pattern {
            Pattern::Regex(values) => 64 * values.alternatives.len(),
            pattern => pattern.text_len(),
        });
        texts.sum()
    }

    /// What the automata will be made from.
    fn key(&self, field: Option<&Field>, budget: &Budget) -> Key {
        Key::of(|hasher| {
            field.hash(hasher);
            budget.hash(hasher);
            self.patterns.iter().for_each(|pattern| pattern.content().hash(hasher));
        })
    }

    /// The matcher, with the automata that were made of the same patterns before.
    fn restored(self, automaton: FieldAutomaton) -> FieldMatcher {
        let Self { targets, present, .. } = self;
        FieldMatcher { automaton, targets, present, build: Duration::ZERO }
    }

    fn build(self, field: &str, sources: Sources<'_>, budget: &Budget) -> BuiltField {
        let origin = |pattern: usize| self.origins.get(pattern).copied().unwrap_or(usize::MAX);
        let start = Instant::now();
        let built = self.automaton(budget);
        let Built { automaton, slow } = built.map_err(|error| match error {
            TooLarge::Expression(pattern) => {
                let message = "the expression's automaton is over the size budget: it repeats or \
                               alternates too much"
                    .to_owned();
                sources.about(Severity::Error, "automaton-size", message, origin(pattern))
            }
            TooLarge::Together => {
                let message = format!(
                    "the patterns of `{field}` are over the size budget together: begin them with \
                     four fixed bytes, or make some of them `substring`, `word` or `json_member`"
                );
                Diagnostic::new(Severity::Error, "automaton-size", message)
            }
        })?;
        let slow = match *slow {
            [] => None,
            [pattern] => {
                let message = "the expression's automaton is over the size budget; it is matched \
                               in a slower way";
                let code = "automaton-size";
                Some(sources.about(Severity::Warning, code, message.to_owned(), origin(pattern)))
            }
            ref many => {
                let message = format!(
                    "the automata of {} patterns of `{field}` are over the size budget together; \
                     they are matched in a slower way",
                    many.len()
                );
                Some(Diagnostic::new(Severity::Warning, "automaton-size", message))
            }
        };
        let slow = slow.into_iter().collect();
        let (targets, present, build) = (self.targets, self.present, start.elapsed());
        Ok((FieldMatcher { automaton, targets, present, build }, slow))
    }
}

/// A field's matcher and warnings about it, or why there is none.
type BuiltField = Result<(FieldMatcher, Vec<Diagnostic>), Diagnostic>;

/// A field, or the patterns of names if it is none, before it is built.
struct Waiting<'s> {
    field: Option<Field>,
    builder: FieldBuilder<'s>,
    key: Key,
}

/// The same afterwards.
struct Done {
    field: Option<Field>,
    key: Key,
    built: BuiltField,
}

/// Builds all fields, or takes them from the cache.
fn build_all(
    fields: HashMap<Field, FieldBuilder<'_>>,
    names: FieldBuilder<'_>,
    sources: Sources<'_>,
    budget: &Budget,
    cache: Option<Cache>,
) -> Vec<Done> {
    let fields = fields.into_iter().map(|(field, builder)| (Some(field), builder));
    let mut waiting: Vec<_> = fields
        .chain([(None, names)])
        .map(|(field, builder)| {
            let key = builder.key(field.as_ref(), budget);
            Waiting { field, builder, key }
        })
        .collect();
    waiting.sort_by_key(|waiting| (waiting.builder.size(), waiting.key));
    let Some(cache) = cache else { return build_in_parallel(waiting, sources, budget) };
    let (path, mut saved) = cache.read();
    let mut done = Vec::new();
    let mut missing = Vec::new();
    for waiting in waiting {
        let Some(automaton) = saved.remove(&waiting.key) else {
            missing.push(waiting);
            continue;
        };
        let Waiting { field, builder, key } = waiting;
        done.push(Done { field, key, built: Ok((builder.restored(automaton), Vec::new())) });
    }
    let built = build_in_parallel(missing, sources, budget);
    let worth_saving = built.iter().any(|done| done.saved().is_some());
    done.extend(built);
    if worth_saving {
        let entries: Vec<_> =
            done.iter().filter_map(|done| Some((done.key, done.saved()?))).collect();
        cache::save(&path, &entries);
    }
    done
}

impl Done {
    /// What the cache keeps of it.
    fn saved(&self) -> Option<Vec<u8>> {
        self.built.as_ref().ok().and_then(|(matcher, _)| matcher.automaton.to_bytes())
    }
}

/// Builds each field on its own, the largest first, on as many threads as there
/// are processors: a scan cannot begin before the last one is ready.
fn build_in_parallel(
    waiting: Vec<Waiting<'_>>,
    sources: Sources<'_>,
    budget: &Budget,
) -> Vec<Done> {
    if waiting.is_empty() {
        return Vec::new();
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MAX_BUILDERS).min(waiting.len());
    let waiting = Mutex::new(waiting);
    let built = Mutex::new(Vec::new());
    let next = || lock(&waiting).pop();
    let build = || {
        while let Some(Waiting { field, builder, key }) = next() {
            let name = field.as_ref().map_or_else(|| "names".to_owned(), Field::name);
            let result = builder.build(&name, sources, budget);
            lock(&built).push(Done { field, key, built: result });
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(build);
        }
        build();
    });
    built.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A builder that panicked leaves nothing half done behind the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add_sequences(programs: &mut FieldPrograms, number: usize, pattern: &Pattern) {
    let raw = &mut programs.raw;
    match pattern {
        Pattern::Exact(values) => add_each(raw, number, values, sequences::exact),
        Pattern::Prefix(values) => add_each(raw, number, values, sequences::prefix),
        Pattern::Substring(values) => add_each(raw, number, values, sequences::substring),
        Pattern::Word(values) => add_each(raw, number, values, sequences::word),
        Pattern::PathPrefix(values) => add_each(raw, number, values, sequences::path_prefix),
        Pattern::PathSuffix(values) => add_each(raw, number, values, sequences::path_suffix),
        Pattern::Wildcard(values) => {
            add_each(raw, number, values, |text, _| sequences::wildcard(text));
        }
        Pattern::JsonString(values) => {
            for steps in sequences::json_strings(values) {
                programs.json.sequence(number, steps);
            }
        }
        Pattern::JsonMember(member) => {
            for steps in sequences::json_members(member) {
                programs.json.sequence(number, steps);
            }
        }
        // Matched elsewhere.
        Pattern::Regex(_)
        | Pattern::Present
        | Pattern::Suffix(_)
        | Pattern::Hosts(_)
        | Pattern::Port(_) => {}
    }
}

/// Expressions that are simple enough are taken apart, so that they share their
/// beginnings; if that comes out too large, none are.
fn add_expressions(
    programs: &mut FieldPrograms,
    expressions: &[(usize, Hir)],
) -> Result<(), TooLarge> {
    if expressions.is_empty() {
        return Ok(());
    }
    let mut whole = programs.raw.clone();
    let mut any_apart = false;
    let mut bytes = 0;
    for (pattern, hir) in expressions {
        let Ok(expression) = regex::expression(hir) else { continue };
        bytes += expression.nfa.memory_usage();
        if bytes > MAX_EXPRESSION_BYTES {
            return Err(TooLarge::Together);
        }
        if let Some(alternatives) = sequences::expression(hir) {
            any_apart = true;
            for steps in alternatives {
                programs.raw.sequence(*pattern, steps);
            }
        } else {
            programs.raw.expression(*pattern, expression.clone());
        }
        whole.expression(*pattern, expression);
    }
    programs.whole = any_apart.then_some(whole);
    Ok(())
}

fn add_each(
    program: &mut Program,
    pattern: usize,
    values: &Values,
    steps: fn(&str, bool) -> Vec<Step>,
) {
    for value in &values.alternatives {
        program.sequence(pattern, steps(&value.text, values.ignore_case));
    }
}
