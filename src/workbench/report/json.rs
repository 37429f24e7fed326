//! A report as one JSON object.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::{Case, Report, Verdict};
use crate::findings::escape::printable;
use crate::workbench::captures::Score;

#[derive(Serialize)]
struct Document<'r> {
    /// Of this form.
    version: u32,
    command: &'static str,
    verdict: &'static str,
    signatures: usize,
    passed: usize,
    notes: usize,
    warnings: usize,
    errors: usize,
    /// Of a run that could go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    extent: Option<super::Extent>,
    cases: Vec<Entry<'r>>,
    /// How often labelled captures were hit, where there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    captures: Option<Captures<'r>>,
}

#[derive(Serialize)]
struct Captures<'r> {
    overall: Scored,
    signatures: BTreeMap<&'r str, Scored>,
}

#[derive(Serialize)]
struct Scored {
    mcp: usize,
    found: usize,
    others: usize,
    mistaken: usize,
    precision: Option<f64>,
    recall: Option<f64>,
}

impl Scored {
    fn of(score: &Score) -> Self {
        let &Score { mcp, found, others, mistaken } = score;
        let (precision, recall) = (score.precision(), score.recall());
        Self { mcp, found, others, mistaken, precision, recall }
    }
}

#[derive(Serialize)]
struct Entry<'r> {
    suite: std::borrow::Cow<'r, str>,
    name: std::borrow::Cow<'r, str>,
    outcome: &'static str,
    #[serde(flatten)]
    problem: Option<Problem>,
}

#[derive(Serialize)]
struct Problem {
    severity: &'static str,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
}

#[derive(Serialize)]
struct Location {
    path: String,
    line: usize,
    column: usize,
    end_column: usize,
    source: String,
}

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let counts = report.counts();
    let document = Document {
        version: 1,
        command: report.command.as_str(),
        verdict: match report.verdict() {
            Verdict::Fine => "fine",
            Verdict::Failed => "failed",
            Verdict::CouldNotRun => "could-not-run",
        },
        signatures: report.signatures,
        passed: counts.passed,
        notes: counts.notes,
        warnings: counts.warnings,
        errors: counts.errors,
        extent: report.extent,
        cases: report.cases.iter().map(entry).collect(),
        captures: report.scores().map(|scores| Captures {
            overall: Scored::of(&scores.overall),
            signatures: scores
                .signatures
                .iter()
                .map(|(id, score)| (&**id, Scored::of(score)))
                .collect(),
        }),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn entry(case: &Case) -> Entry<'_> {
    let problem = case.shown().map(|shown| Problem {
        severity: shown.severity.as_str(),
        code: shown.code,
        message: shown.message.into_owned(),
        help: shown.help.map(Into::into),
        location: shown.place.map(|place| Location {
            path: place.path.into_owned(),
            line: place.line,
            column: place.column,
            end_column: place.end_column,
            source: place.source.into_owned(),
        }),
    });
    Entry {
        suite: printable(&case.suite),
        name: printable(&case.name),
        outcome: if problem.is_none() { "passed" } else { "failed" },
        problem,
    }
}
