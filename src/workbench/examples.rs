//! Examples on the wire: a set and its engine in; every example whose answer is
//! wrong, as it is written or rewritten, out.
//!
//! [`SignatureSet::test_examples`] asks the matcher alone; here the same values go
//! the whole way, as frames of an exchange, through decoding, reassembly, codings
//! and framing.

use super::carrier::{self, Carried, Cut, Frames, carry};
use super::evasion::{TRANSFORMS, Transform};
use crate::engine::{Engine, Worker};
use crate::findings::Row;
use crate::signature::{
    Condition, Example, Field, Report, Signature, SignatureIndex, SignatureIndexSet, SignatureSet,
};

/// Exchanges that one worker sees before the next takes over.
const MAX_EXCHANGES: u16 = 20_000;

/// What came of testing a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    /// Examples.
    pub examples: usize,
    /// Exchanges that were made of them.
    pub exchanges: usize,
    /// Wrong answers, in the order of the signatures.
    pub failures: Vec<Wrong>,
    /// Examples that no traffic can carry, and were asked of the matcher alone.
    pub not_carried: usize,
}

/// An example with the wrong answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The signature.
    pub signature: SignatureIndex,
    /// The example.
    pub example: Example,
    /// Whether it should have hit.
    pub expected: bool,
    /// The transform that changed the answer; none if it is wrong as it is written.
    pub transform: Option<&'static str>,
    /// In which field or direction, as far as that is known.
    pub detail: String,
}

/// Runs every example of every signature both ways, as it is written and rewritten
/// by every transform that applies.
///
/// # Errors
/// If the set cannot be compiled.
pub fn test(set: &SignatureSet) -> Result<Tested, Report> {
    let engine = Engine::builder().signatures(set.clone()).build()?;
    Ok(test_with(set, &engine))
}

/// The same with an engine that was built of the set.
pub fn test_with(set: &SignatureSet, engine: &Engine) -> Tested {
    let mut tested = Tested::default();
    let mut tap = Tap::new(engine);
    let mut alone = set.test_examples(engine.matcher());
    for (index, signature) in set.signatures().iter().enumerate() {
        let index = SignatureIndex(index as u32);
        let transforms = applicable(signature);
        let matches = signature.matches.iter().map(|example| (example, true));
        let misses = signature.misses.iter().map(|example| (example, false));
        for (example, expected) in matches.chain(misses) {
            tested.examples += 1;
            let wrong = |transform, detail| Wrong {
                signature: index,
                example: example.clone(),
                expected,
                transform,
                detail,
            };
            let ours = |failure: &crate::signature::ExampleFailure| {
                failure.signature == index
                    && failure.example == *example
                    && failure.expected == expected
            };
            if let Some(at) = alone.iter().position(ours) {
                // An example is tried in several ways; that it is wrong is said once.
                tested.failures.push(wrong(None, alone[at].detail.clone()));
                alone.retain(|failure| !ours(failure));
                continue;
            }
            let carried = match carry(signature, example) {
                Ok(carried) if is_seen(example, signature) => carried,
                _ => {
                    tested.not_carried += 1;
                    continue;
                }
            };
            let answers = tap.answers(&carried, index, expected, &transforms);
            tested.exchanges += answers.exchanges;
            let failed = answers.wrong.into_iter();
            tested.failures.extend(failed.map(|(transform, detail)| wrong(transform, detail)));
        }
    }
    tested
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
    TRANSFORMS
        .iter()
        .filter(|transform| transform.applies_to.iter().any(|pattern| concerns(pattern)))
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
    worker.trace();
    worker
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::tests::planted;

    #[test]
    fn an_expression_that_misses_an_escaped_method_is_caught() {
        let set = planted(
            r#"field = "http.body"
               regex = '"method":"tools/call"'
               examples.match = ['{"method":"tools/call"}']
               examples.miss = ['{"method":"tools/list"}']"#,
        );
        let tested = test(&set).unwrap();
        let names: Vec<_> = tested.failures.iter().filter_map(|wrong| wrong.transform).collect();
        for name in ["json-escapes", "json-solidus", "white-space"] {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        assert!(tested.failures.iter().all(|wrong| wrong.expected), "{:?}", tested.failures);
        assert!(!names.contains(&"gzip"));
    }

    #[test]
    fn what_is_wrong_as_it_is_written_is_said_once() {
        let set = planted(
            r#"fields = ["tls.sni", "http.host"]
               exact = "a.example.com"
               examples.match = ["a.example.com", "b.example.com"]
               examples.miss = ["c.example.com"]"#,
        );
        let tested = test(&set).unwrap();
        let line = |wrong: &Wrong| (wrong.example.location.line, wrong.transform);
        let seen: Vec<_> = tested.failures.iter().map(line).collect();
        assert_eq!(seen, [(9, None)]);
    }
}
