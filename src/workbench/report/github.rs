//! A report as workflow commands of GitHub Actions, which shows them beside the
//! lines of a change.

use std::io::{self, Write};

use super::{Place, Report, Shown};
use crate::signature::Severity;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for problem in report.problems() {
        writeln!(out, "{}", command(&problem))?;
    }
    writeln!(out, "{}", report.summary())
}

fn command(problem: &Shown<'_>) -> String {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let place = problem.place.as_ref().map(|Place { path, line, column, end_column, .. }| {
        format!("file={},line={line},col={column},endColumn={end_column},", property(path))
    });
    let place = place.unwrap_or_default();
    let mut message = problem.message.to_string();
    if let Some(help) = &problem.help {
        message = format!("{message}\nhelp: {help}");
    }
    let title = match &*problem.name == problem.code {
        true => problem.code.to_owned(),
        false => format!("{} ({})", problem.code, problem.name),
    };
    format!("::{level} {place}title={}::{}", property(&title), data(&message))
}

/// As `@actions/core` escapes what follows `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As `@actions/core` escapes the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
