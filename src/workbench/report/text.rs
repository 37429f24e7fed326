//! A report for people: each problem with its source line and a caret, then the
//! counts.

use std::io::{self, Write};

use super::{Place, Report, Shown};
use crate::workbench::captures::{Score, Scores};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for problem in report.problems() {
        out.write_all(drawn(&problem).as_bytes())?;
        writeln!(out)?;
    }
    if let Some(scores) = report.scores() {
        out.write_all(tabulated(scores).as_bytes())?;
        writeln!(out)?;
    }
    writeln!(out, "{}", report.summary())
}

/// The scores as a table, the overall one last.
fn tabulated(scores: &Scores) -> String {
    let overall = ("at least `likely`", &scores.overall);
    let rows: Vec<(&str, &Score)> =
        scores.signatures.iter().map(|(id, score)| (&**id, score)).chain([overall]).collect();
    let width = rows.iter().map(|(id, _)| id.len()).max().unwrap_or(0);
    let percent = |share: Option<f64>| {
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
    };
    let mut table = format!(
        "{:width$}  {:>9}  {:>9}  {:>9}  {:>9}\n",
        "", "mcp", "other", "precision", "recall"
    );
    for (id, score) in rows {
        let mcp = format!("{}/{}", score.found, score.mcp);
        let other = format!("{}/{}", score.mistaken, score.others);
        let (precision, recall) = (percent(score.precision()), percent(score.recall()));
        table += &format!("{id:width$}  {mcp:>9}  {other:>9}  {precision:>9}  {recall:>9}\n");
    }
    table
}

/// A problem as rustc would draw it, with a line end.
pub(super) fn drawn(problem: &Shown<'_>) -> String {
    let Shown { severity, code, message, help, place, .. } = problem;
    let mut drawn = format!("{}[{code}]: {message}\n", severity.as_str());
    let mut gutter = 1;
    if let Some(Place { path, line, column, source, caret: (before, carets), .. }) = place {
        let line = line.to_string();
        gutter = line.len();
        drawn += &format!("{:gutter$}--> {path}:{line}:{column}\n", "");
        // A file that could not be read has no line to show.
        if !source.is_empty() {
            drawn += &format!("{:gutter$} |\n{line} | {source}\n", "");
            drawn += &format!("{:gutter$} | {:before$}{:^<carets$}\n", "", "", "");
        }
    }
    if let Some(help) = help {
        drawn += &format!("{:gutter$} = help: {help}\n", "");
    }
    drawn
}
