//! Checks of signature sets: paths in, a [`Report`] out.

use std::path::PathBuf;

use super::report::{Case, Command, Report};
use super::suppressions::beside_shipped;
use crate::signature::{Date, Diagnostic, Matcher, Report as Problems, SignatureSet};

/// Reads and compiles a set and looks for what is probably not meant: a case for
/// each signature without problems, and one for each problem.
///
/// Suppressions may name signatures of the set and shipped ones.
///
/// Without paths, the shipped set is checked.
pub fn check(paths: &[PathBuf], today: Date) -> Report {
    let (set, matcher, slow) = match open(paths) {
        Ok(opened) => opened,
        Err(problems) => return Report::could_not_run(Command::Check, problems.0),
    };
    let mut problems = set.lint();
    problems.extend(set.lint_compiled(&matcher));
    problems.extend(slow);
    match beside_shipped(&set) {
        Ok(None) => {}
        Ok(Some((all, matcher))) => problems.extend(all.lint_suppressions(&matcher, today)),
        Err(found) => return Report::could_not_run(Command::Check, found.0),
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

fn open(paths: &[PathBuf]) -> Result<(SignatureSet, Matcher, Vec<Diagnostic>), Problems> {
    let set = read(paths)?;
    let (matcher, slow) = set.compile()?;
    Ok((set, matcher, slow))
}

/// Reads the set of these files and folders; without any, the shipped set.
pub(super) fn read(paths: &[PathBuf]) -> Result<SignatureSet, Problems> {
    if paths.is_empty() { Ok(SignatureSet::builtin()) } else { SignatureSet::load(paths) }
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
    fn the_shipped_set_has_a_case_for_each_signature() {
        let checked = check(&[], Date::today());
        let signatures = SignatureSet::builtin().len();
        assert_eq!((checked.cases().len(), checked.verdict()), (signatures, Verdict::Fine));
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

        let report = super::super::examples::test(&paths, None);
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
            ("ambiguous-repetition", "field = 'http.body'\nregex = '(a+ ?)+tools'"),
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
        let reports = [check(&paths, Date::today()), super::super::examples::test(&paths, None)];
        for report in reports {
            assert_eq!(report.verdict(), Verdict::CouldNotRun);
            assert_eq!(report.cases().len(), 1);
        }
    }
}
