//! A report for people: each problem with its source line and a caret, then the
//! counts.

use std::io::{self, Write};

use super::{Place, Report, Shown};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for problem in report.problems() {
        out.write_all(drawn(&problem).as_bytes())?;
        writeln!(out)?;
    }
    writeln!(out, "{}", report.summary())
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
