use std::collections::BTreeSet;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::program::{ByteSet, Step};
use super::*;
use crate::signature::{regex, sequences};

/// A small generator: the same numbers from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn text(&mut self, pieces: &[&str], len: usize) -> String {
        (0..len).map(|_| *self.pick(pieces)).collect()
    }
}

fn hits(
    automaton: &FieldAutomaton,
    text: &[u8],
    cut: &mut dyn FnMut() -> usize,
) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut hit = |pattern| {
        found.insert(pattern);
    };
    let mut cursor = automaton.start(&mut hit);
    let mut rest = text;
    while !rest.is_empty() {
        let (slice, after) = rest.split_at(cut().clamp(1, rest.len()));
        automaton.feed(&mut cursor, slice, &mut hit);
        rest = after;
    }
    automaton.finish(cursor, &mut hit);
    found
}

fn with_expressions(expressions: &[&str], budget: &Budget) -> Built {
    let mut programs = FieldPrograms::default();
    for (pattern, text) in expressions.iter().enumerate() {
        let nfa = regex::nfa(&regex::parse(text, false).unwrap()).unwrap();
        programs.raw.expression(pattern, nfa);
    }
    FieldAutomaton::build(programs, budget).unwrap()
}

/// Searches for each expression by itself.
struct Reference(Vec<Regex>);

impl Reference {
    fn new(expressions: &[&str]) -> Self {
        let build = |expression: &&str| {
            Regex::builder()
                .syntax(syntax::Config::new().unicode(false).utf8(false))
                .configure(Regex::config().utf8_empty(false))
                .build(expression)
                .unwrap()
        };
        Self(expressions.iter().map(build).collect())
    }

    fn hits(&self, text: &[u8]) -> BTreeSet<usize> {
        let regexes = self.0.iter().enumerate();
        regexes.filter(|(_, regex)| regex.is_match(text)).map(|(index, _)| index).collect()
    }
}

const EXPRESSIONS: &[&str] = &[
    "ab",
    "^ab",
    "ab$",
    "^a[bc]*$",
    "a.{3}b",
    "(?:ab|ba){2}",
    r"\bab\b",
    "c{2,5}a?b",
    "^$",
    "a(?:b|cc)?a",
    "x*",
];

#[test]
fn agrees_with_a_plain_search_however_it_is_cut() {
    let automaton = with_expressions(EXPRESSIONS, &Budget::default()).automaton;
    let reference = Reference::new(EXPRESSIONS);
    let mut random = Random(1);
    for _ in 0..3_000 {
        let len = random.below(12);
        let text = random.text(&["a", "b", "c", " ", "\u{e9}"], len);
        let expected = reference.hits(text.as_bytes());
        let whole = hits(&automaton, text.as_bytes(), &mut || usize::MAX);
        let bytes = hits(&automaton, text.as_bytes(), &mut || 1);
        let cut = hits(&automaton, text.as_bytes(), &mut || 1 + random.below(5));
        assert_eq!(whole, expected, "{text:?}");
        assert_eq!(bytes, expected, "{text:?} byte by byte");
        assert_eq!(cut, expected, "{text:?} cut at random");
    }
}

#[test]
fn expressions_taken_apart_mean_the_same() {
    let mut programs = FieldPrograms::default();
    let mut apart = 0;
    for (pattern, text) in EXPRESSIONS.iter().enumerate() {
        let hir = regex::parse(text, false).unwrap();
        match sequences::expression(&hir) {
            Some(alternatives) => {
                apart += 1;
                for steps in alternatives {
                    programs.raw.sequence(pattern, steps);
                }
            }
            None => programs.raw.expression(pattern, regex::nfa(&hir).unwrap()),
        }
    }
    assert!(apart >= 5, "{apart}");
    let automaton = FieldAutomaton::build(programs, &Budget::default()).unwrap().automaton;
    let reference = Reference::new(EXPRESSIONS);
    let mut random = Random(2);
    for _ in 0..3_000 {
        let len = random.below(12);
        let text = random.text(&["a", "b", "c", " "], len);
        let found = hits(&automaton, text.as_bytes(), &mut || 1 + random.below(9));
        assert_eq!(found, reference.hits(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn what_is_too_large_together_is_split_and_what_is_too_large_alone_is_slow() {
    let budget = Budget { sequences: 1 << 20, expressions: 16 << 10 };
    let expressions = &[
        "a(?:a|b){4}c",
        "b(?:a|b){5}a",
        "c.{4}c",
        "a[ab]{3}.b",
        "(?:a|b)*a(?:a|b|c){12}",
        "^c(?:a|b|c){14}$",
    ];
    let built = with_expressions(expressions, &budget);
    assert!(built.automaton.dfas() > 1);
    assert!(built.slow.contains(&4), "{:?}", built.slow);
    let reference = Reference::new(expressions);
    let mut random = Random(3);
    for _ in 0..2_000 {
        let len = random.below(24);
        let text = random.text(&["a", "b", "c"], len);
        let expected = reference.hits(text.as_bytes());
        let found = hits(&built.automaton, text.as_bytes(), &mut || 1 + random.below(7));
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn what_fits_nowhere_is_refused_by_number() {
    let budget = Budget { sequences: 1 << 20, expressions: 16 << 10 };
    let mut programs = FieldPrograms::default();
    let nfa = |text| regex::nfa(&regex::parse(text, false).unwrap()).unwrap();
    programs.raw.expression(0, nfa("abc"));
    programs.raw.expression(7, nfa("(?:a|b)*a(?:a|b){200}"));
    let error = FieldAutomaton::build(programs, &budget).unwrap_err();
    assert_eq!(error, TooLarge::Expression(7));

    let mut programs = FieldPrograms::default();
    for pattern in 0..2_000 {
        let steps = format!("{pattern:x}literal{pattern}");
        let steps = steps.bytes().map(|byte| Step::One(ByteSet::of(&[byte]))).collect();
        programs.raw.sequence(pattern, steps);
    }
    let error = FieldAutomaton::build(programs, &budget).unwrap_err();
    assert_eq!(error, TooLarge::Sequences);
}

/// Raw and JSON patterns side by side: the same bytes, two views.
#[test]
fn views_do_not_disturb_each_other() {
    let literal = |text: &str| -> Vec<Step> {
        text.bytes().map(|byte| Step::One(ByteSet::of(&[byte]))).collect()
    };
    let mut programs = FieldPrograms::default();
    programs.json.sequence(0, literal("\"ab\""));
    programs.raw.sequence(1, literal(r"\u0061"));
    programs.raw.sequence(2, literal("ab"));
    let automaton = FieldAutomaton::build(programs, &Budget::default()).unwrap().automaton;
    for (text, expected) in [
        (r#""ab""#, &[0, 2][..]),
        (r#""\u0061b""#, &[0, 1]),
        (r#"\"ab\""#, &[2]),
        (r#""a\u0062" \u0061"#, &[0, 1]),
        (r#"\u006"#, &[]),
    ] {
        for step in [1, 2, 3, 100] {
            let found = hits(&automaton, text.as_bytes(), &mut || step);
            assert_eq!(found, expected.iter().copied().collect(), "{text} cut by {step}");
        }
    }
}

/// Long stretches that are skipped must leave the same state behind.
#[test]
fn skipping_changes_nothing() {
    let mut programs = FieldPrograms::default();
    let literal = |text: &str| -> Vec<Step> {
        text.bytes().map(|byte| Step::One(ByteSet::of(&[byte]))).collect()
    };
    programs.json.sequence(0, literal("\"needle\""));
    let automaton = FieldAutomaton::build(programs, &Budget::default()).unwrap().automaton;
    let mut random = Random(4);
    for _ in 0..500 {
        let len = random.below(300);
        let mut text = random.text(&["a", "needle", "x\\n", "\""], len / 4);
        text.insert_str(0, &"z".repeat(len));
        let expected = text.contains("\"needle\"");
        let found = hits(&automaton, text.as_bytes(), &mut || 1 + random.below(100));
        assert_eq!(found.contains(&0), expected, "{text}");
    }
}

/// With a gate and without, whatever stands before a beginning or hides it, be they
/// few or many.
#[test]
fn a_gate_changes_nothing() {
    let literal = |text: &str| -> Vec<Step> {
        text.bytes().map(|byte| Step::One(ByteSet::of(&[byte]))).collect()
    };
    let texts = ["\"method\"", "\"metric\"", "\"id12\"", "\"abc/d\""];
    let pieces = &[
        "\"",
        "\\",
        "\\\\",
        "\\\"",
        "\\u006d",
        "\\u0022",
        "\\u00",
        "\\uD83D",
        "m",
        "met",
        "hod",
        "ric",
        "method",
        "\"method\"",
        "\"id12\"",
        "\"abc",
        "\\/d\"",
        "/d\"",
        "x",
        "a long stretch without anything",
    ];
    for (view, others) in [(View::Json, 0), (View::Json, 200), (View::Raw, 0), (View::Raw, 200)] {
        let mut programs = FieldPrograms::default();
        let program = if view == View::Json { &mut programs.json } else { &mut programs.raw };
        for (pattern, text) in texts.iter().enumerate() {
            program.sequence(pattern, literal(text));
        }
        for other in 0..others {
            program.sequence(texts.len() + other, literal(&format!("\"{other:03}")));
        }
        let gated = FieldAutomaton::build(programs, &Budget::default()).unwrap().automaton;
        assert!(gated.dfas[0].gate.is_some());
        let mut open = gated.clone();
        open.dfas[0].gate = None;
        let mut random = Random(5);
        let mut found = BTreeSet::new();
        for _ in 0..10_000 {
            let len = random.below(24);
            let text = random.text(pieces, len);
            let expected = hits(&open, text.as_bytes(), &mut || usize::MAX);
            assert_eq!(hits(&gated, text.as_bytes(), &mut || usize::MAX), expected, "{text}");
            let cut = hits(&gated, text.as_bytes(), &mut || 1 + random.below(100));
            assert_eq!(cut, expected, "{text} cut at random");
            found.extend(expected);
        }
        assert_eq!(found.len(), texts.len());
        if view == View::Json {
            half_an_escape(&gated);
        }
    }
}

/// A slice that ends in half an escape, which hides a beginning.
fn half_an_escape(gated: &FieldAutomaton) {
    for text in [r#"a long "\u006dethod" : 1"#, r#"a long "m\u0065thod" : 1"#, r#""me\u0074hod""#] {
        for at in 1..text.len() {
            let mut cuts = [at, text.len()].into_iter();
            let cut = hits(gated, text.as_bytes(), &mut || cuts.next().unwrap());
            assert_eq!(cut, BTreeSet::from([0]), "{text} cut at {at}");
        }
    }
}

#[test]
fn no_gate_where_beginnings_are_short_or_hidden() {
    let beginnings = |texts: &[&str]| -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    };
    assert!(Gate::json(&beginnings(&["\"method", "\"jsonrpc"])).is_some());
    for texts in [&["\"id\""][..], &["\"a/b"], &["method"], &["\"method", "\"a"], &[]] {
        assert!(Gate::json(&beginnings(texts)).is_none(), "{texts:?}");
    }
    assert!(Gate::raw(&beginnings(&["method", "a/b\"c"])).is_some());
    assert!(Gate::raw(&beginnings(&["method", "abc"])).is_none());
    let many: Vec<Vec<u8>> = (0..70_000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
    assert!(Gate::raw(&many).is_none());
}
