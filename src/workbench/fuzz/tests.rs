use super::*;
use crate::workbench::report::Verdict;

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
