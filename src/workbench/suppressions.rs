//! Suppressions: a set in; whether each one suppresses what its examples say, out.
//!
//! They may name shipped signatures, which stand beside the set here.

use super::report::Case;
use crate::signature::{Diagnostic, Example, Matcher, Report as Problems, Severity, SignatureSet};

/// A set with the shipped signatures beside it, if it has suppressions, which may name
/// them.
pub(super) fn beside_shipped(
    set: &SignatureSet,
) -> Result<Option<(SignatureSet, Matcher)>, Problems> {
    if set.suppressions().is_empty() {
        return Ok(None);
    }
    let all = set.with_shipped();
    let (matcher, _) = all.compile()?;
    Ok(Some((all, matcher)))
}

/// A case for each example of a suppression. All suppressions hold, whatever day it is.
pub(super) fn cases(set: &SignatureSet) -> Result<Vec<Case>, Problems> {
    let Some((set, matcher)) = beside_shipped(set)? else { return Ok(Vec::new()) };
    let mut failures = set.test_suppressions(&matcher).into_iter().peekable();
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
    Ok(cases)
}

fn example_name(number: usize, expected: bool) -> String {
    format!("examples.{} {number}", if expected { "match" } else { "miss" })
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
