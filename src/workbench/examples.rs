//! Examples on the wire: a set and its engine in; every example whose answer is
//! wrong, as it is written or rewritten, out.
//!
//! [`SignatureSet::test_examples`] asks the matcher alone; here the same values go
//! the whole way, as frames of an exchange, through decoding, reassembly, codings
//! and framing.

use std::path::PathBuf;

use super::captures::{self, Captures};
use super::carrier::{self, Carried, Cut, Frames, carry};
use super::check::read;
use super::evasion::{TRANSFORMS, Transform};
use super::report::{Case, Command, Exchanges, Report};
use super::{suppressions, tls};
use crate::engine::{Engine, Worker};
use crate::findings::Row;
use crate::signature::{
    Condition, Diagnostic, Example, ExampleFailure, Field, FieldClass, Pattern, Report as Problems,
    Severity, Signature, SignatureIndex, SignatureIndexSet, SignatureSet,
};

/// Exchanges that one worker sees before the next takes over.
const MAX_EXCHANGES: u16 = 20_000;

/// Tests a set: a case for each example, and one for each rewriting of it that
/// changes the answer.
///
/// Without paths, the shipped set is tested. With captures, how often they were
/// hit is tested too.
pub fn test(paths: &[PathBuf], captures: Option<&Captures>) -> Report {
    run(paths, captures).unwrap_or_else(|problems| Report::could_not_run(Command::Test, problems.0))
}

fn run(paths: &[PathBuf], captures: Option<&Captures>) -> Result<Report, Problems> {
    let set = read(paths)?;
    let builder = Engine::builder().signatures(set.clone());
    let report = test_with(&set, &builder.clone().build()?).with_cases(suppressions::cases(&set)?);
    let Some(captures) = captures else { return Ok(report) };
    let (cases, scores) = captures::score(&set, builder, captures)?;
    Ok(report.with_cases(cases).with_scores(scores))
}

/// The same with an engine that was built of the set.
pub fn test_with(set: &SignatureSet, engine: &Engine) -> Report {
    let mut tester = Tester {
        tap: Tap::new(engine),
        alone: set.test_examples(engine.matcher()),
        cases: Vec::new(),
        exchanges: Exchanges::default(),
    };
    for (index, signature) in set.signatures().iter().enumerate() {
        let transforms = applicable(signature);
        let index = SignatureIndex(index as u32);
        for question in questions(index, signature) {
            tester.ask(&question, &transforms);
        }
    }
    let Tester { cases, exchanges, .. } = tester;
    Report::new(Command::Test, set.len(), cases).of_exchanges(exchanges)
}

/// An example and what it must be answered.
struct Question<'s> {
    index: SignatureIndex,
    signature: &'s Signature,
    example: &'s Example,
    expected: bool,
    /// Its number among those of its kind, from 1.
    number: usize,
}

fn questions(index: SignatureIndex, signature: &Signature) -> impl Iterator<Item = Question<'_>> {
    let matches = signature.matches.iter().zip(1..).map(|numbered| (numbered, true));
    let misses = signature.misses.iter().zip(1..).map(|numbered| (numbered, false));
    matches.chain(misses).map(move |((example, number), expected)| Question {
        index,
        signature,
        example,
        expected,
        number,
    })
}

impl Question<'_> {
    fn name(&self) -> String {
        let key = if self.expected { "match" } else { "miss" };
        format!("examples.{key} {}", self.number)
    }

    fn is_of(&self, failure: &ExampleFailure) -> bool {
        failure.signature == self.index
            && failure.expected == self.expected
            && failure.example == *self.example
    }

    fn passed(&self) -> Case {
        Case::passed(&self.signature.id, self.name())
    }

    /// The answer is wrong as the example is written.
    fn wrong(&self, detail: &str) -> Case {
        let (code, wrong) = match self.expected {
            true => ("example-missed", "should match"),
            false => ("example-hit", "should not match"),
        };
        self.failed(self.name(), code, &format!("{wrong}: {detail}"))
    }

    /// The answer is another one when the example is rewritten.
    fn evaded(&self, transform: &str, detail: &str) -> Case {
        let wrong = if self.expected { "is missed" } else { "is hit" };
        let name = format!("{}, {transform}", self.name());
        let message = format!("the example {wrong} {detail} rewritten by {transform}");
        self.failed(name, "evasion", &message)
    }

    fn failed(&self, name: String, code: &'static str, message: &str) -> Case {
        let mut problem = Diagnostic::about(Severity::Error, code, self.signature, message)
            .at(self.example.location.clone());
        if code == "evasion" {
            problem.help = advice(self.signature).map(str::to_owned);
        }
        Case::failed(&self.signature.id, name, problem)
    }
}

/// What withstands rewriting, in place of the pattern that there is.
fn advice(signature: &Signature) -> Option<&'static str> {
    let class = signature.clause.fields.first().map(Field::class);
    let raw = !matches!(signature.clause.pattern, Pattern::JsonMember(_) | Pattern::JsonString(_));
    (class == Some(FieldClass::Json) && raw)
        .then_some("`json_member` and `json_string` see through escapes and white space")
}

/// The state of a test.
struct Tester<'e> {
    tap: Tap<'e>,
    /// What the matcher alone got wrong.
    alone: Vec<ExampleFailure>,
    cases: Vec<Case>,
    exchanges: Exchanges,
}

impl Tester<'_> {
    fn ask(&mut self, question: &Question<'_>, transforms: &[&'static Transform]) {
        // An example is tried in several ways; that it is wrong is said once.
        if let Some(failure) = self.alone.iter().find(|failure| question.is_of(failure)) {
            self.cases.push(question.wrong(&failure.detail));
            return;
        }
        let Question { signature, example, index, expected, .. } = *question;
        let carried = match carry(signature, example) {
            Ok(carried) if is_seen(example, signature) => carried,
            // The matcher's answer is all there is.
            _ => {
                self.exchanges.not_carried += 1;
                Vec::new()
            }
        };
        let Answers { exchanges, wrong } = self.tap.answers(&carried, index, expected, transforms);
        self.exchanges.made += exchanges;
        let as_written = wrong.iter().find(|(transform, _)| transform.is_none());
        self.cases.push(match as_written {
            Some((_, detail)) => question.wrong(detail),
            None => question.passed(),
        });
        let evaded = wrong.iter().filter_map(|(transform, detail)| {
            transform.map(|transform| question.evaded(transform, detail))
        });
        self.cases.extend(evaded);
    }
}

/// Whether the engine looks at the example's body at all.
pub(super) fn is_seen(example: &Example, signature: &Signature) -> bool {
    example.values.iter().all(|(field, text)| {
        let field = field.as_ref().or(signature.clause.fields.first());
        field != Some(&Field::HttpBody) || carrier::is_looked_at(text)
    })
}

/// The transforms that a signature's fields and conditions call for.
pub(super) fn applicable(signature: &Signature) -> Vec<&'static Transform> {
    let mut fields = signature.clause.fields.clone();
    if let Some(condition) = &signature.when {
        fields_of(condition, &mut fields);
    }
    let names: Vec<String> = fields.iter().map(Field::name).collect();
    let concerns = |pattern: &str| match pattern.strip_suffix('*') {
        _ if pattern == "all" => true,
        Some(start) => names.iter().any(|name| name.starts_with(start)),
        None => names.iter().any(|name| name == pattern),
    };
    let any = |patterns: &[&str]| patterns.iter().any(|pattern| concerns(pattern));
    TRANSFORMS
        .iter()
        .filter(|transform| any(transform.applies_to) && !any(transform.but_not))
        .collect()
}

fn fields_of(condition: &Condition, fields: &mut Vec<Field>) {
    match condition {
        Condition::Clause(clause) => fields.extend(clause.fields.iter().cloned()),
        Condition::All(inner) | Condition::Any(inner) => {
            inner.iter().for_each(|inner| fields_of(inner, fields));
        }
        Condition::Not(inner) => fields_of(inner, fields),
    }
}

/// An engine that says which signatures hit in an exchange.
#[derive(Debug)]
pub(super) struct Tap<'e> {
    engine: &'e Engine,
    worker: Worker,
    rows: Vec<Row>,
    exchanges: u16,
    frames: u64,
}

#[derive(Default)]
struct Answers {
    exchanges: usize,
    wrong: Vec<(Option<&'static str>, String)>,
}

impl<'e> Tap<'e> {
    pub(super) fn new(engine: &'e Engine) -> Self {
        Self { engine, worker: traced(engine), rows: Vec::new(), exchanges: 0, frames: 1 }
    }

    /// The signatures that hit.
    pub(super) fn signals(&mut self, carried: &Carried, cut: Cut) -> SignatureIndexSet {
        if self.exchanges == MAX_EXCHANGES {
            self.worker = traced(self.engine);
            self.exchanges = 0;
        }
        self.exchanges += 1;
        let frames = carried.frames(30_000 + self.exchanges, cut);
        self.run(&frames)
    }

    fn run(&mut self, frames: &Frames) -> SignatureIndexSet {
        for frame in frames.iter(self.frames) {
            self.worker.on_frame(&frame, &mut self.rows);
        }
        self.frames += frames.len() as u64;
        self.rows.clear();
        self.worker.take_trace()
    }

    /// What is wrong of an example as it is written; if nothing is, of what the
    /// transforms make of it.
    fn answers(
        &mut self,
        carried: &[Carried],
        signature: SignatureIndex,
        expected: bool,
        transforms: &[&'static Transform],
    ) -> Answers {
        let mut answers = Answers::default();
        for (number, carried) in carried.iter().enumerate() {
            answers.exchanges += 1;
            let detail = || carried.to_string();
            if self.signals(carried, Cut::Whole).contains(signature) != expected {
                answers.wrong.push((None, format!("on the wire, {}", detail())));
                continue;
            }
            for transform in transforms {
                let Some(rewritten) = transform.rewrite(carried) else { continue };
                let unchanged = rewritten == *carried && transform.cut == Cut::Whole;
                let known = |(name, _): &(Option<&str>, String)| *name == Some(transform.name);
                if unchanged || number > 0 && answers.wrong.iter().any(known) {
                    continue;
                }
                answers.exchanges += 1;
                if self.signals(&rewritten, transform.cut).contains(signature) != expected {
                    answers.wrong.push((Some(transform.name), detail()));
                }
            }
        }
        answers
    }
}

fn traced(engine: &Engine) -> Worker {
    let mut worker = engine.worker();
    worker.on_secrets(&tls::secrets());
    worker.trace();
    worker
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::tests::{ENGINE, planted};

    #[test]
    fn an_expression_that_misses_an_escaped_method_is_caught() {
        let told = failures(
            r#"field = "http.body"
               regex = '"method":"tools/call"'
               examples.match = ['{"method":"tools/call"}']
               examples.miss = ['{"method":"tools/list"}']"#,
        );
        let named = |name: &str| told.iter().any(|(case, _)| case == name);
        for transform in ["json-escapes", "json-solidus", "white-space"] {
            assert!(named(&format!("examples.match 1, {transform}")), "{told:?}");
        }
        assert!(!named("examples.match 1, gzip"), "{told:?}");
        assert!(told.iter().all(|(_, code)| *code == "evasion"), "{told:?}");
    }

    #[test]
    fn each_wrong_example_is_told_once() {
        let told = failures(
            r#"fields = ["tls.sni", "http.host"]
               exact = "a.example.com"
               examples.match = ["a.example.com", "b.example.com"]
               examples.miss = ["c.example.com", { tls.sni = "a.example.com" }]"#,
        );
        let told: Vec<_> = told.iter().map(|(case, code)| (&**case, *code)).collect();
        assert_eq!(
            told,
            [("examples.match 2", "example-missed"), ("examples.miss 2", "example-hit")]
        );
    }

    fn failures(signature: &str) -> Vec<(String, &'static str)> {
        let set = planted(signature);
        let engine = Engine::builder().signatures(set.clone()).build().unwrap();
        let report = test_with(&set, &engine);
        let failed = report.cases().iter().filter_map(|case| {
            let problem = case.problem()?;
            Some((case.name().to_owned(), problem.code))
        });
        failed.collect()
    }

    /// Examples on the wire are no smaller a claim than the matcher's own.
    #[test]
    fn the_shipped_set_keeps_its_answers_however_they_are_written() {
        let set = SignatureSet::builtin();
        let tested = test_with(&set, &ENGINE);
        let wrong: Vec<_> = tested.cases().iter().filter_map(|case| case.problem()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let examples: usize =
            set.signatures().iter().map(|s| s.matches.len() + s.misses.len()).sum();
        assert_eq!(tested.cases().len(), examples);
        let Exchanges { made, not_carried } = tested.exchanges();
        assert_eq!(not_carried, 0);
        assert!(made > 10 * examples, "{made}");
    }
}
