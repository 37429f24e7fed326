//! Checks of signature sets: paths in, a [`Report`] out.

use std::path::PathBuf;

use super::report::{Case, Command, Report};
use crate::signature::{
    Diagnostic, Example, ExampleFailure, Matcher, Severity, Signature, SignatureIndex, SignatureSet,
};

/// Reads and compiles a set and looks for what is probably not meant: a case for
/// each signature without problems, and one for each problem.
///
/// Without paths, the shipped set is checked.
pub fn check(paths: &[PathBuf]) -> Report {
    let (set, matcher, slow) = match open(paths) {
        Ok(opened) => opened,
        Err(problems) => return Report::could_not_run(Command::Check, problems),
    };
    let mut problems = set.lint();
    problems.extend(set.lint_compiled(&matcher));
    problems.extend(slow);
    let with_problems: std::collections::HashSet<&str> =
        problems.iter().filter_map(|problem| problem.signature.as_deref()).collect();
    let passed = set
        .signatures()
        .iter()
        .filter(|signature| !with_problems.contains(&*signature.id))
        .map(|signature| Case::passed(&signature.id, "check"));
    let mut cases: Vec<Case> = passed.collect();
    drop(with_problems);
    cases.extend(problems.into_iter().map(Case::of_problem));
    Report::new(Command::Check, set.len(), cases)
}

/// Runs every example of a set: a case for each.
///
/// Without paths, the shipped set is tested.
pub fn test(paths: &[PathBuf]) -> Report {
    let (set, matcher, _) = match open(paths) {
        Ok(opened) => opened,
        Err(problems) => return Report::could_not_run(Command::Test, problems),
    };
    let mut failures = set.test_examples(&matcher).into_iter().peekable();
    let mut cases = Vec::new();
    for (index, signature) in set.signatures().iter().enumerate() {
        for (number, expected, example) in numbered(signature) {
            let wrong = |failure: &ExampleFailure| {
                failure.signature == SignatureIndex(index as u32)
                    && failure.expected == expected
                    && failure.example == *example
            };
            let first = failures.next_if(wrong);
            // An example is tried in several ways; that it is wrong is said once.
            while failures.next_if(wrong).is_some() {}
            cases.push(example_case(signature, number, expected, first));
        }
    }
    Report::new(Command::Test, set.len(), cases)
}

/// The set, what it compiles to, and warnings from compiling it.
type Opened = (SignatureSet, Matcher, Vec<Diagnostic>);

fn open(paths: &[PathBuf]) -> Result<Opened, Vec<Diagnostic>> {
    let set = if paths.is_empty() {
        SignatureSet::builtin()
    } else {
        SignatureSet::load(paths).map_err(|report| report.0)?
    };
    let (matcher, slow) = set.compile().map_err(|report| report.0)?;
    Ok((set, matcher, slow))
}

/// The examples with their numbers, from 1, and whether they must hit.
fn numbered(signature: &Signature) -> impl Iterator<Item = (usize, bool, &Example)> {
    let matches = signature.matches.iter().enumerate().map(|(n, example)| (n + 1, true, example));
    let misses = signature.misses.iter().enumerate().map(|(n, example)| (n + 1, false, example));
    matches.chain(misses)
}

fn example_case(
    signature: &Signature,
    number: usize,
    expected: bool,
    failure: Option<ExampleFailure>,
) -> Case {
    let key = if expected { "match" } else { "miss" };
    let name = format!("examples.{key} {number}");
    let Some(failure) = failure else { return Case::passed(&signature.id, name) };
    let (code, wrong) = if expected {
        ("example-missed", "should match")
    } else {
        ("example-hit", "should not match")
    };
    let message = format!("{}: {wrong}: {}", signature.id, failure.detail);
    let problem =
        Diagnostic::new(Severity::Error, code, message).at(failure.example.location.clone());
    Case::failed(&signature.id, name, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::report::Verdict;

    fn file(text: &str) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, text).unwrap();
        (folder, vec![path])
    }

    #[test]
    fn the_shipped_set_has_a_case_for_each_signature_and_example() {
        let set = SignatureSet::builtin();
        let checked = check(&[]);
        assert_eq!((checked.cases().len(), checked.verdict()), (set.len(), Verdict::Fine));
        let examples: usize = set.signatures().iter().map(|s| numbered(s).count()).sum();
        let tested = test(&[]);
        assert_eq!((tested.cases().len(), tested.verdict()), (examples, Verdict::Fine));
    }

    #[test]
    fn each_wrong_example_fails_once() {
        let (_folder, paths) = file(
            "version = 1\n[[signature]]\nid = 'a'\ntitle = 't'\nstrength = 'weak'\n\
             fields = ['tls.sni', 'http.host']\nexact = 'mcp.example.com'\n\
             examples.match = ['mcp.example.com', 'mcp.example.org']\n\
             examples.miss = ['x.example.com', { tls.sni = 'mcp.example.com' }]\n",
        );
        let report = test(&paths);
        assert_eq!(report.verdict(), Verdict::Failed);
        let seen: Vec<_> =
            report.cases().iter().map(|case| (case.name(), case.problem().is_some())).collect();
        assert_eq!(
            seen,
            [
                ("examples.match 1", false),
                ("examples.match 2", true),
                ("examples.miss 1", false),
                ("examples.miss 2", true),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_or_compiled_could_not_run() {
        let (_folder, paths) = file("version = 2\n");
        for report in [check(&paths), test(&paths)] {
            assert_eq!(report.verdict(), Verdict::CouldNotRun);
            assert_eq!(report.cases().len(), 1);
        }
    }
}
