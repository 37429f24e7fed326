//! A report as JUnit XML: a suite per signature or file, a test case per case.
//!
//! A set that cannot be read is an `error`, a failed check a `failure`; a note
//! fails nothing and is told in `system-out`.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::text::drawn;
use super::{Case, Report};
use crate::findings::escape::printable;
use crate::signature::Severity;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    let name = format!("mcpwatch signatures {}", report.command.as_str());
    writeln!(out, r#"<testsuites name="{name}" {}>"#, totals(report, &report.cases))?;
    for cases in report.cases.chunk_by(|a, b| a.suite == b.suite) {
        let Some(first) = cases.first() else { continue };
        let suite = escaped(&first.suite);
        writeln!(out, r#"  <testsuite name="{suite}" {}>"#, totals(report, cases))?;
        for case in cases {
            out.write_all(test_case(case, report.ran).as_bytes())?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

fn totals(report: &Report, cases: &[Case]) -> String {
    let severities = cases.iter().filter_map(|case| case.problem()).map(|found| found.severity);
    let wrong = severities.filter(|&severity| severity > Severity::Note).count();
    let (failures, errors) = if report.ran { (wrong, 0) } else { (0, wrong) };
    format!(r#"tests="{}" failures="{failures}" errors="{errors}" skipped="0""#, cases.len())
}

fn test_case(case: &Case, ran: bool) -> String {
    let mut xml = format!(
        r#"    <testcase classname="{}" name="{}""#,
        escaped(&case.suite),
        escaped(&case.name)
    );
    let Some(shown) = case.shown() else { return xml + "/>\n" };
    if let Some(place) = &shown.place {
        // Writing to a string cannot fail.
        let _ = write!(xml, r#" file="{}" line="{}""#, escaped(&place.path), place.line);
    }
    let text = drawn(&shown);
    let body = escaped_lines(&text);
    let element = match (shown.severity, ran) {
        (Severity::Note, _) => {
            return format!("{xml}>\n      <system-out>{body}</system-out>\n    </testcase>\n");
        }
        (_, true) => "failure",
        (_, false) => "error",
    };
    let message = escaped(&shown.message);
    format!(
        "{xml}>\n      <{element} type=\"{}\" message=\"{message}\">{body}</{element}>\n    </testcase>\n",
        shown.code
    )
}

/// For text and attribute values (XML 1.0, sections 2.2 and 2.4).
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            // The only ones left that XML does not allow.
            '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
    xml
}

fn escaped_lines(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}
