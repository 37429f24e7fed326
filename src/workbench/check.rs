//! Checks of signature sets: paths in, a [`Report`] out.

use std::path::PathBuf;

use super::report::{Case, Command, Report};
use crate::signature::{
    Date, Diagnostic, Example, ExampleFailure, Matcher, Severity, Signature, SignatureIndex,
    SignatureSet,
};

/// Reads and compiles a set and looks for what is probably not meant: a case for
/// each signature without problems, and one for each problem.
///
/// Suppressions may name signatures of the set and shipped ones.
///
/// Without paths, the shipped set is checked.
pub fn check(paths: &[PathBuf], today: Date) -> Report {
    let (set, matcher, slow) = match open(paths) {
        Ok(opened) => opened,
        Err(problems) => return Report::could_not_run(Command::Check, problems),
    };
    let mut problems = set.lint();
    problems.extend(set.lint_compiled(&matcher));
    problems.extend(slow);
    match beside_shipped(&set) {
        Ok(None) => {}
        Ok(Some((all, matcher))) => problems.extend(all.lint_suppressions(&matcher, today)),
        Err(found) => return Report::could_not_run(Command::Check, found),
    }
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

/// Runs every example of a set: a case for each. All suppressions hold, whatever day
/// it is.
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
        for (number, expected, example) in numbered(&signature.matches, &signature.misses) {
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
    match beside_shipped(&set) {
        Ok(None) => {}
        Ok(Some((all, matcher))) => cases.extend(suppression_cases(&all, &matcher)),
        Err(found) => return Report::could_not_run(Command::Test, found),
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

/// A set with the shipped signatures beside it, if it has suppressions, which may name
/// them.
fn beside_shipped(set: &SignatureSet) -> Result<Option<(SignatureSet, Matcher)>, Vec<Diagnostic>> {
    if set.suppressions().is_empty() {
        return Ok(None);
    }
    let all = set.with_shipped();
    let (matcher, _) = all.compile().map_err(|report| report.0)?;
    Ok(Some((all, matcher)))
}

/// The examples with their numbers, from 1, and whether they must hit.
fn numbered<'e>(
    matches: &'e [Example],
    misses: &'e [Example],
) -> impl Iterator<Item = (usize, bool, &'e Example)> {
    let matches = matches.iter().enumerate().map(|(n, example)| (n + 1, true, example));
    let misses = misses.iter().enumerate().map(|(n, example)| (n + 1, false, example));
    matches.chain(misses)
}

fn suppression_cases(set: &SignatureSet, matcher: &Matcher) -> Vec<Case> {
    let mut failures = set.test_suppressions(matcher).into_iter().peekable();
    let mut cases = Vec::new();
    for (index, suppression) in set.suppressions().iter().enumerate() {
        let suite = suppression.label();
        for (number, expected, example) in numbered(&suppression.matches, &suppression.misses) {
            let name = example_name(number, expected);
            let failure = failures.next_if(|failure| {
                failure.suppression == index
                    && failure.expected == expected
                    && failure.example == *example
            });
            let Some(failure) = failure else {
                cases.push(Case::passed(&suite, name));
                continue;
            };
            let (code, wrong) = if expected {
                ("example-missed", "should be suppressed")
            } else {
                ("example-hit", "should count")
            };
            let message = format!("{suite}: {wrong}: {}", failure.detail);
            let problem = Diagnostic::new(Severity::Error, code, message)
                .at(failure.example.location.clone());
            cases.push(Case::failed(&suite, name, problem));
        }
    }
    cases
}

fn example_name(number: usize, expected: bool) -> String {
    format!("examples.{} {number}", if expected { "match" } else { "miss" })
}

fn example_case(
    signature: &Signature,
    number: usize,
    expected: bool,
    failure: Option<ExampleFailure>,
) -> Case {
    let name = example_name(number, expected);
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
    use crate::signature::LINTS;
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
        let checked = check(&[], Date::today());
        assert_eq!((checked.cases().len(), checked.verdict()), (set.len(), Verdict::Fine));
        let examples: usize =
            set.signatures().iter().map(|s| numbered(&s.matches, &s.misses).count()).sum();
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
    fn suppressions_of_shipped_signatures_are_checked_and_tested() {
        let (_folder, paths) = file(
            "version = 1\n[[suppress]]\nsignature = 'mcp.host.label'\nreason = 'ours'\n\
             until = 2027-01-31\nwhen = { field = 'http.host', suffix = 'corp.example' }\n\
             examples.match = ['mcp.corp.example', 'mcp.example']\nexamples.miss = ['mcp.example']\n",
        );
        let day = |text| Date::parse(text).unwrap();
        assert_eq!(check(&paths, day("2026-06-01")).verdict(), Verdict::Fine);
        let over = check(&paths, day("2027-01-31"));
        let codes: Vec<_> =
            over.cases().iter().filter_map(|case| Some(case.problem()?.code)).collect();
        assert_eq!(codes, ["expired-suppression"]);

        let report = test(&paths);
        let seen: Vec<_> = report
            .cases()
            .iter()
            .map(|case| (case.suite(), case.name(), case.problem().map(|problem| problem.code)))
            .collect();
        let suite = "suppress mcp.host.label";
        assert_eq!(
            seen,
            [
                (suite, "examples.match 1", None),
                (suite, "examples.match 2", Some("example-missed")),
                (suite, "examples.miss 1", None),
            ]
        );
    }

    #[test]
    fn every_lint_finds_what_was_planted_for_it() {
        let signature = |id: &str, lines: &str| {
            format!(
                "[[signature]]\nid = '{id}'\ntitle = 't'\nstrength = 'weak'\nreferences = ['r']\n\
                 examples = {{ match = ['x'], miss = ['y'] }}\n{lines}\n"
            )
        };
        let planted = [
            ("no-literal", "field = 'http.body'\nregex = '[a-z]+:[0-9]+'"),
            ("unanchored-path", "field = 'http.path'\nsubstring = 'mcp'"),
            ("public-suffix", "field = 'tls.sni'\nsuffix = 'co.uk'"),
            ("matches-empty", "field = 'http.query'\nregex = 'a*'"),
            ("automaton-size", "field = 'http.header.x'\nregex = '[ab]*a[abc]{20}'"),
            ("duplicate-pattern", "field = 'http.query'\nsubstring = 'first'"),
            ("shadowed-pattern", "field = 'http.query'\nsubstring = 'the_second_'"),
        ];
        let mut text = String::from("version = 1\n");
        text += &signature("first", "field = 'http.query'\nsubstring = 'first'");
        text += &signature("second", "field = 'http.query'\nsubstring = 'second'");
        for (code, lines) in planted {
            text += &signature(code, lines);
        }
        text += "[[signature]]\nid = 'bare'\ntitle = 't'\nstrength = 'weak'\n\
                 field = 'http.method'\nexact = 'X'\n";
        text += "[[suppress]]\nsignature = 'frist'\nreason = 'r'\n\
                 when = { field = 'http.method', exact = 'GET' }\n";
        text += "[[suppress]]\nsignature = 'first'\nreason = 'r'\nuntil = 2020-01-01\n\
                 when = { field = 'http.method', exact = 'GET' }\n";
        let (_folder, paths) = file(&text);
        let report = check(&paths, Date::today());
        let problems: Vec<_> = report.cases().iter().filter_map(Case::problem).collect();
        let found: std::collections::BTreeSet<&str> =
            problems.iter().map(|problem| problem.code).collect();
        let known: std::collections::BTreeSet<&str> = LINTS.iter().map(|(code, _)| *code).collect();
        assert_eq!(found, known, "{problems:#?}");
        for (code, _) in planted {
            let told = problems
                .iter()
                .any(|problem| problem.code == code && problem.signature.as_deref() == Some(code));
            assert!(told, "{code}");
            // What is meant is not warned of; an automaton is too large all the same.
            let meant = text
                .replace(&format!("id = '{code}'"), &format!("id = '{code}'\nallow = ['{code}']"));
            let (_folder, paths) = file(&meant);
            let report = check(&paths, Date::today());
            let told =
                report.cases().iter().filter_map(Case::problem).any(|problem| {
                    problem.code == code && problem.signature.as_deref() == Some(code)
                });
            assert_eq!(told, code == "automaton-size", "{code}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_compiled_could_not_run() {
        let (_folder, paths) = file("version = 2\n");
        for report in [check(&paths, Date::today()), test(&paths)] {
            assert_eq!(report.verdict(), Verdict::CouldNotRun);
            assert_eq!(report.cases().len(), 1);
        }
    }
}
