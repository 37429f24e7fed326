//! Signature files: any text is read and compiled within its budget, or
//! refused with reasons that point into it.
//!
//! Input: the file.

use mcpwatch::signature::{Budget, Date, Report, Severity, SignatureSet};

/// Small enough that a run is quick; larger sets are refused in the same way.
const BUDGET: Budget = Budget { sequences: 1 << 20, expressions: 1 << 17, lazy: 1 << 16 };

/// Runs the target.
pub fn run(data: &[u8]) {
    // Bytes that are no text are refused before anything is parsed.
    let text = String::from_utf8_lossy(data);
    let set = match SignatureSet::parse("fuzz.toml", &text) {
        Ok(set) => set,
        Err(report) => return check(&report, &text),
    };
    let _ = Report(set.lint()).to_string();
    match set.compile_within(&BUDGET) {
        Ok((matcher, _)) => {
            let _ = Report(set.lint_suppressions(&matcher, Date::today())).to_string();
            for failure in set.test_suppressions(&matcher) {
                assert!(failure.suppression < set.suppressions().len());
                assert!(!failure.detail.contains('\n'));
            }
            for failure in set.test_examples(&matcher) {
                assert!(!failure.detail.contains('\n'));
                let _ = set.signature(failure.signature);
            }
        }
        Err(report) => check(&report, &text),
    }
}

/// A refusal says why, and where in the text.
fn check(report: &Report, text: &str) {
    assert!(report.0.iter().any(|problem| problem.severity == Severity::Error));
    assert!(!report.to_string().is_empty());
    for problem in &report.0 {
        let Some(location) = &problem.location else { continue };
        if location.path.as_ref() == "fuzz.toml" {
            assert!(location.span.end <= text.len(), "{location:?}");
            assert!((1..=text.lines().count().max(1) + 1).contains(&location.line));
        }
    }
}
