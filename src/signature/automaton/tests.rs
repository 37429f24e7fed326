use std::collections::BTreeSet;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::program::{ByteSet, Expression, Step};
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
    automaton.finish(&cursor, &mut hit);
    found
}

fn with_expressions(expressions: &[&str], budget: &Budget) -> Built {
    let mut programs = FieldPrograms::default();
    for (pattern, text) in expressions.iter().enumerate() {
        programs.raw.expression(pattern, expression(text));
    }
    FieldAutomaton::build(programs, budget).unwrap()
}

fn expression(text: &str) -> Expression {
    regex::expression(&regex::parse(text, false).unwrap()).unwrap()
}

/// Too little for any DFA.
const NOTHING: Budget = Budget { sequences: 0, expressions: 0, lazy: 64 << 10 };

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
    r"a\B",
    "(?m)^b.*c$",
    "(?mR)^a$",
    r"(?:\b|_)c(?:$|b\b)",
    r"\b{start}ba|ab\b{end}",
];

#[test]
fn agrees_with_a_plain_search_however_it_is_cut() {
    let lazy = with_expressions(EXPRESSIONS, &NOTHING);
    assert_eq!((lazy.automaton.dfas(), lazy.slow.len()), (0, EXPRESSIONS.len()));
    // One that is emptied for every state.
    let forgetful = with_expressions(EXPRESSIONS, &Budget { lazy: 0, ..NOTHING });
    let dfa = with_expressions(EXPRESSIONS, &Budget::default());
    assert!(dfa.slow.is_empty());
    let reference = Reference::new(EXPRESSIONS);
    for automaton in [dfa.automaton, lazy.automaton, forgetful.automaton] {
        let mut random = Random(1);
        for _ in 0..3_000 {
            let len = random.below(12);
            let text = random.text(&["a", "b", "c", " ", "\r", "\n", "_", "\u{e9}"], len);
            let expected = reference.hits(text.as_bytes());
            let whole = hits(&automaton, text.as_bytes(), &mut || usize::MAX);
            let bytes = hits(&automaton, text.as_bytes(), &mut || 1);
            let cut = hits(&automaton, text.as_bytes(), &mut || 1 + random.below(5));
            assert_eq!(whole, expected, "{text:?}");
            assert_eq!(bytes, expected, "{text:?} byte by byte");
            assert_eq!(cut, expected, "{text:?} cut at random");
        }
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
            None => programs.raw.expression(pattern, regex::expression(&hir).unwrap()),
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
fn what_is_too_large_together_is_split_and_what_is_too_large_alone_is_lazy() {
    let budget = Budget { sequences: 1 << 20, expressions: 16 << 10, ..Budget::default() };
    let expressions = &[
        "a(?:a|b){4}c",
        "b(?:a|b){5}a",
        "c.{4}c",
        "a[ab]{3}.b",
        "(?:a|b)*a(?:a|b|c){12}",
        "^c(?:a|b|c){14}$",
        "[ab]*b[abc]{13}",
    ];
    let built = with_expressions(expressions, &budget);
    assert!(built.automaton.dfas() > 1);
    assert!(built.slow.contains(&4) && built.slow.contains(&6), "{:?}", built.slow);
    let reference = Reference::new(expressions);
    let mut random = Random(3);
    for _ in 0..2_000 {
        let len = random.below(32);
        let text = random.text(&["a", "b", "c"], len);
        let expected = reference.hits(text.as_bytes());
        let found = hits(&built.automaton, text.as_bytes(), &mut || 1 + random.below(7));
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn what_could_take_long_for_each_byte_is_refused() {
    let budget = Budget { sequences: 1 << 20, expressions: 16 << 10, ..Budget::default() };
    let build = |expressions: &[&str]| {
        let mut programs = FieldPrograms::default();
        for (pattern, text) in expressions.iter().enumerate() {
            programs.raw.expression(10 + pattern, expression(text));
        }
        FieldAutomaton::build(programs, &budget).map(|built| built.slow.len())
    };
    for broad in ["(?:a|b)*a(?:a|b){200}", "x(?:[ac]|b)*a[ac]{200}", "x.*a.{200}"] {
        assert_eq!(build(&["abc", broad]), Err(TooLarge::Expression(11)), "{broad}");
    }
    // Letters in either case are not broad.
    assert_eq!(build(&["abc", &format!("(?i)x.*{}", "letters".repeat(40))]), Ok(1));

    let many = |start: &str| -> Vec<String> {
        (0..3_000).map(|n| format!("{start}{n:04}[a-z]{{3}}x")).collect()
    };
    let gated = many("tool");
    assert_eq!(build(&gated.iter().map(String::as_str).collect::<Vec<_>>()), Ok(3_000));
    let open = many("[a-z]");
    let open: Vec<&str> = open.iter().map(String::as_str).collect();
    assert_eq!(build(&open), Err(TooLarge::Together));
    // A few fit in what DFAs there may be.
    assert!(build(&open[..1_000]).is_ok_and(|slow| slow > 900));
}

/// What a flow keeps of its place means the same to a cache that was emptied since.
#[test]
fn texts_that_take_turns_do_not_disturb_each_other() {
    let lazy = with_expressions(EXPRESSIONS, &Budget { lazy: 4 << 10, ..NOTHING }).automaton;
    let reference = Reference::new(EXPRESSIONS);
    let mut random = Random(7);
    for _ in 0..200 {
        let texts: Vec<String> =
            (0..20).map(|_| random.text(&["a", "b", "c", " ", "x"], 16)).collect();
        let mut found = BTreeSet::new();
        let mut cursors: Vec<Cursor> = (0..texts.len())
            .map(|text| lazy.start(&mut |pattern| note(&mut found, text, pattern)))
            .collect();
        for from in (0..16).step_by(2) {
            for (index, (text, cursor)) in texts.iter().zip(&mut cursors).enumerate() {
                let slice = &text.as_bytes()[from..from + 2];
                lazy.feed(cursor, slice, &mut |pattern| note(&mut found, index, pattern));
            }
        }
        for (index, (text, cursor)) in texts.iter().zip(&cursors).enumerate() {
            lazy.finish(cursor, &mut |pattern| note(&mut found, index, pattern));
            let hits = found.iter().filter(|(of, _)| *of == index).map(|(_, pattern)| *pattern);
            assert_eq!(hits.collect::<BTreeSet<_>>(), reference.hits(text.as_bytes()), "{text:?}");
        }
    }
}

fn note(found: &mut BTreeSet<(usize, usize)>, text: usize, pattern: usize) {
    found.insert((text, pattern));
}

#[test]
fn thousands_of_patterns_that_fit_no_dfa_run_all_the_same() {
    let expressions: Vec<String> =
        (0..5_000).map(|n| format!("(?i)tool_{:04x}[a-z]{{2,6}}[0-9]+x", n * 7)).collect();
    let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
    let built = with_expressions(&expressions, &Budget::default());
    assert_eq!((built.automaton.dfas(), built.slow.len()), (0, 5_000));
    assert!(built.automaton.lazy[0].is_gated());
    let text = format!("{} TOOL_0007abc12x Tool_88B1zz9x tool_0007a1x", "tool_ ".repeat(40));
    for step in [1, 7, usize::MAX] {
        let found = hits(&built.automaton, text.as_bytes(), &mut || step);
        assert_eq!(found, BTreeSet::from([1, 4_999]), "cut by {step}");
    }
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
    for budget in [Budget::default(), NOTHING] {
        let automaton = FieldAutomaton::build(programs.clone(), &budget).unwrap().automaton;
        views_are_apart(&automaton);
    }
}

fn views_are_apart(automaton: &FieldAutomaton) {
    for (text, expected) in [
        (r#""ab""#, &[0, 2][..]),
        (r#""\u0061b""#, &[0, 1]),
        (r#"\"ab\""#, &[2]),
        (r#""a\u0062" \u0061"#, &[0, 1]),
        (r#"\u006"#, &[]),
    ] {
        for step in [1, 2, 3, 100] {
            let found = hits(automaton, text.as_bytes(), &mut || step);
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
        let lazy = FieldAutomaton::build(programs.clone(), &NOTHING).unwrap().automaton;
        assert!(lazy.dfas.is_empty() && lazy.lazy[0].is_gated());
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
            assert_eq!(hits(&lazy, text.as_bytes(), &mut || usize::MAX), expected, "{text}");
            let cut = hits(&lazy, text.as_bytes(), &mut || 1 + random.below(100));
            assert_eq!(cut, expected, "{text} cut at random");
            let cut = hits(&gated, text.as_bytes(), &mut || 1 + random.below(100));
            assert_eq!(cut, expected, "{text} cut at random");
            found.extend(expected);
        }
        assert_eq!(found.len(), texts.len());
        if view == View::Json {
            half_an_escape(&gated);
            half_an_escape(&lazy);
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
    let gate = |view, texts: &[&str], folded| {
        let ways = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        Gate::new(view, &Beginnings { ways, folded })
    };
    for folded in [false, true] {
        assert!(gate(View::Json, &["\"method", "\"jsonrpc"], folded).is_some());
        for texts in [&["\"id\""][..], &["\"a/b"], &["method"], &["\"method", "\"a"], &[]] {
            assert!(gate(View::Json, texts, folded).is_none(), "{texts:?}");
        }
        assert!(gate(View::Raw, &["method", "a/b\"c"], folded).is_some());
        assert!(gate(View::Raw, &["method", "abc"], folded).is_none());
    }
    let ways = (0..70_000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
    assert!(Gate::new(View::Raw, &Beginnings { ways, folded: true }).is_none());
}

/// Thousands of beginnings of each length, in any place of a text and in either case.
#[test]
fn a_sieve_misses_no_beginning() {
    for len in gate::MIN_LEN..=gate::MAX_LEN {
        let ways: Vec<Vec<u8>> = (0..3_000_u32)
            .map(|n| format!("{:08x}", n.wrapping_mul(0x9E37_79B1)).as_bytes()[..len].to_vec())
            .collect();
        let gate = Gate::new(View::Raw, &Beginnings { ways: ways.clone(), folded: true }).unwrap();
        let mut random = Random(8);
        for _ in 0..5_000 {
            let mut text = "z".repeat(random.below(40)).into_bytes();
            let at = text.len();
            let mut way = random.pick(&ways).clone();
            if random.below(2) == 0 {
                way.make_ascii_uppercase();
            }
            text.extend(way);
            text.extend("z".repeat(random.below(40)).bytes());
            let (mut places, mut place) = (gate.places(&text), 0);
            let mut chance = 0;
            loop {
                place = places.next(place);
                if place >= at {
                    break;
                }
                place += 1;
                chance += 1;
            }
            assert_eq!(place, at, "{}", String::from_utf8_lossy(&text));
            assert!(chance < 4, "{}", String::from_utf8_lossy(&text));
        }
    }
}

/// Patterns in any case have one beginning each, however many ways there are to write
/// it.
#[test]
fn case_does_not_multiply_beginnings() {
    let mut programs = FieldPrograms::default();
    for pattern in 0..2_000 {
        let text = format!("{pattern:08x}z").chars().rev().collect::<String>();
        programs.raw.sequence(pattern, sequences::substring(&text, true));
    }
    let automaton = FieldAutomaton::build(programs, &Budget::default()).unwrap().automaton;
    let starts = automaton.dfas[0].gate.as_ref().unwrap().starts();
    assert!(starts.folded && starts.ways.len() == 2_000 && starts.ways[0] == b"z0000000");
    let text = format!("{}ZFc700000", "z0 z1 ".repeat(20));
    assert_eq!(hits(&automaton, text.as_bytes(), &mut || 9), BTreeSet::from([0x07cf]));
}
