//! Checks of signature sets: paths in, a [`Report`] out.

use std::path::PathBuf;

use super::report::{Case, Command, Report};
use crate::signature::{Diagnostic, Matcher, Report as Problems, SignatureSet};

/// Reads and compiles a set and looks for what is probably not meant: a case for
/// each signature without problems, and one for each problem.
///
/// Without paths, the shipped set is checked.
pub fn check(paths: &[PathBuf]) -> Report {
    let (set, matcher, slow) = match open(paths) {
        Ok(opened) => opened,
        Err(problems) => return Report::could_not_run(Command::Check, problems.0),
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
    use crate::workbench::report::Verdict;

    fn file(text: &str) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, text).unwrap();
        (folder, vec![path])
    }

    #[test]
    fn the_shipped_set_has_a_case_for_each_signature() {
        let checked = check(&[]);
        let signatures = SignatureSet::builtin().len();
        assert_eq!((checked.cases().len(), checked.verdict()), (signatures, Verdict::Fine));
    }

    #[test]
    fn what_cannot_be_read_or_compiled_could_not_run() {
        let (_folder, paths) = file("version = 2\n");
        for report in [check(&paths), super::super::examples::test(&paths, None)] {
            assert_eq!(report.verdict(), Verdict::CouldNotRun);
            assert_eq!(report.cases().len(), 1);
        }
    }
}
