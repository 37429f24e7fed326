use super::*;
use crate::workbench::report::Verdict;
use crate::workbench::tests::planted;
use crate::workbench::tls;

fn options(seed: u64, bound: Bound) -> Options {
    // What takes time is not judged by tests: whatever else runs takes time too.
    Options { seed, bound, jobs: NonZeroUsize::new(2).unwrap(), clock: false }
}

fn fuzzed(set: &SignatureSet, seed: u64, cases: u64) -> Outcome {
    fuzz(set, &options(seed, Bound::Cases(cases)), &AtomicBool::new(false)).unwrap()
}

/// Kind, signature and detail of each failure.
fn told(outcome: &Outcome, set: &SignatureSet) -> String {
    let lines = outcome.failures.iter().map(|failure| {
        let id = failure.signature.map_or("engine", |index| &*set.signature(index).id);
        let Failure { kind, detail, case, count, .. } = failure;
        format!("{} {id}: {detail} (case {case}, {count} times)\n", kind.code())
    });
    lines.collect()
}

#[test]
fn the_shipped_set_passes() {
    let set = SignatureSet::builtin();
    let outcome = fuzzed(&set, 1, 2_000);
    assert_eq!(outcome.extent.cases, 2_000);
    assert_eq!(told(&outcome, &set), "");
    let report = outcome.report(&set, &[]);
    assert_eq!((report.verdict(), report.cases().len()), (Verdict::Fine, Kind::ALL.len()));
}

/// The failures of a set of one signature, which claims to prove MCP.
fn planted_failures(text: &str, cases: u64) -> (SignatureSet, Outcome) {
    let text = format!(
        "version = 1\n[[signature]]\nid = 'planted'\ntitle = 't'\nstrength = 'proof'\n{text}\n"
    );
    let set = SignatureSet::parse("planted.toml", &text).unwrap();
    let outcome = fuzzed(&set, 1, cases);
    (set, outcome)
}

#[test]
fn an_expression_that_hits_other_protocols_is_caught() {
    let (set, outcome) = planted_failures(
        r#"field = "http.body"
           regex = '"method"\s*:\s*"initialize"'
           examples.match = ['{"method": "initialize"}']"#,
        300,
    );
    let told = told(&outcome, &set);
    assert!(told.contains("fuzz-look-alike-hit planted: hits the look-alike `"), "{told}");
    // Escaped, it is missed.
    assert!(told.contains("fuzz-evasion planted: misses examples.match 1"), "{told}");
    let hit = outcome.failures.iter().find(|failure| failure.kind == Kind::LookAlikeHit).unwrap();
    assert!(hit.count > 1 && hit.signature == set.find("planted"));

    // What is wrong is placed, and a capture shows it.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let captures = outcome.save(&out, &set).unwrap();
    let report = outcome.report(&set, &captures);
    assert_eq!(report.verdict(), Verdict::Failed);
    let problem = report.cases().iter().find_map(|case| case.problem()).unwrap();
    let place = problem.location.as_ref().unwrap();
    assert_eq!((&*place.path, problem.signature.as_deref()), ("planted.toml", Some("planted")));
    assert_eq!(hits_in(&set, captures[0].as_deref().unwrap()), ["planted"]);
}

/// The signatures that hit in a capture.
fn hits_in(set: &SignatureSet, capture: &Path) -> Vec<String> {
    use crate::capture::{Block, Fill, Reader, SourceId};
    let engine = Engine::builder().signatures(set.clone()).keys(tls::keys()).build().unwrap();
    let mut worker = engine.worker();
    worker.trace();
    let mut reader = Reader::open(capture, SourceId(0)).unwrap();
    let mut block = Block::new();
    let mut rows: Vec<crate::findings::Row> = Vec::new();
    while reader.fill(&mut block).unwrap() == Fill::Block {
        block.frames().for_each(|frame| worker.on_frame(&frame, &mut rows));
    }
    worker.take_trace().iter().map(|index| set.signature(index).id.to_string()).collect()
}

#[test]
fn a_substring_that_misses_an_escaped_method_is_caught() {
    let (set, outcome) = planted_failures(
        r#"field = "http.body"
           substring = '"tools/call"'
           examples.match = ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}']"#,
        300,
    );
    let told = told(&outcome, &set);
    assert!(told.contains("fuzz-evasion planted: misses examples.match 1"), "{told}");
}

#[test]
fn a_method_that_other_protocols_have_is_caught() {
    let (set, outcome) = planted_failures(
        r#"field = "jsonrpc.method"
           exact = "initialize"
           examples.match = ["initialize"]"#,
        300,
    );
    let first = &outcome.failures[0];
    assert_eq!(first.kind, Kind::LookAlikeHit, "{}", told(&outcome, &set));
    assert!(first.detail.contains("`lsp-") || first.detail.contains("`acp`"), "{}", first.detail);
    assert!(first.capture.is_some());
}

#[test]
fn weak_signals_that_add_up_in_a_look_alike_are_caught() {
    let mut set = planted(
        "field = 'http.path'\nexact = '/graphql'\nexamples.match = ['/graphql']\nkind = 'path'",
    );
    let strong = told(&fuzzed(&set, 1, 300), &set);
    assert!(strong.contains("fuzz-look-alike-likely engine: the look-alike `graphql`"), "{strong}");
    let weak = |id: &str, text: &str| {
        let head =
            format!("version = 1\n[[signature]]\nid = '{id}'\ntitle = 't'\nstrength = 'weak'");
        SignatureSet::parse("weak.toml", &format!("{head}\n{text}\n")).unwrap()
    };
    set = weak("path", "field = 'http.path'\nexact = '/graphql'");
    assert_eq!(told(&fuzzed(&set, 1, 300), &set), "");
    set.merge(weak("header", "field = 'http.header.content-type'\nprefix = 'application'"))
        .unwrap();
    let both = told(&fuzzed(&set, 1, 300), &set);
    assert!(both.contains("`graphql` is likely by path, header"), "{both}");
}

#[test]
fn an_automaton_that_says_something_else_is_caught_and_made_small() {
    let of = |pattern: &str| {
        planted(&format!("field = 'http.query'\n{pattern}\nexamples.match = ['xabcx']"))
    };
    for (pattern, other) in [
        ("regex = 'ab+c'", "regex = 'ab+'"),
        ("regex = 'ab+c'", "regex = '^ab+c'"),
        ("substring = 'abc'", "word = 'abc'"),
        ("substring = 'abc'", "prefix = 'abc'"),
        ("substring = 'abc'", "substring = ['abc', 'bc']"),
        ("prefix = 'abc'", "exact = 'abc'"),
    ] {
        let (set, meant) = (of(pattern), of(other));
        let engine = Engine::builder().signatures(set.clone()).keys(tls::keys()).build().unwrap();
        let reference = Reference::of(&meant);
        let bench = Bench { set: &set, engine: &engine, reference, clock: false };
        let bound = Bound::Cases(200);
        let outcome = run(&bench, &options(3, bound), &AtomicBool::new(false));
        let wrong: Vec<_> = outcome.failures.iter().map(|failure| failure.kind).collect();
        assert_eq!(wrong, [Kind::Automaton], "{pattern}: {}", told(&outcome, &set));
        let detail = &outcome.failures[0].detail;
        assert!(detail.len() < 140, "{detail}");
    }
}

#[test]
fn cases_follow_from_seed_and_number_alone() {
    let set = planted(
        "field = 'http.body'\nregex = 'initialize'\nexamples.match = ['{\"a\":\"initialize\"}']",
    );
    let bound = Bound::Cases(400);
    let mut known = None;
    for jobs in [1, 3] {
        let jobs = NonZeroUsize::new(jobs).unwrap();
        let options = Options { jobs, ..options(7, bound) };
        let outcome = fuzz(&set, &options, &AtomicBool::new(false)).unwrap();
        let seen: Vec<_> = outcome
            .failures
            .iter()
            .map(|failure| (failure.case, failure.count, failure.capture.clone()))
            .collect();
        assert!(!seen.is_empty());
        assert_eq!(*known.get_or_insert_with(|| seen.clone()), seen);
        let first = &outcome.failures[0];
        let again = Options { bound: Bound::Case(first.case), ..options };
        let alone = fuzz(&set, &again, &AtomicBool::new(false)).unwrap();
        assert!(alone.failures.iter().any(|failure| failure.detail == first.detail));
        assert_eq!(alone.extent.cases, 1);
    }
    assert_ne!(
        format!("{:?}", Generator::new(&set, 1).case(0)),
        format!("{:?}", Generator::new(&set, 2).case(0)),
    );
}

#[test]
fn an_interrupt_ends_a_run() {
    let set = planted("field = 'http.query'\nexact = 'a'\nexamples.match = ['a']");
    let options = options(1, Bound::Time(Duration::from_secs(3_600)));
    let outcome = fuzz(&set, &options, &AtomicBool::new(true)).unwrap();
    assert_eq!(outcome.extent.cases, 0);
}
