//! A report as SARIF 2.1.0 (OASIS Standard, 2020): one run, a rule per kind of
//! problem, a result per problem.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Place, Report, Shown, Verdict};
use crate::signature::LINTS;
use crate::workbench::fuzz::Kind;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let codes: BTreeSet<&str> = report.problems().map(|problem| problem.code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let rules: Vec<Value> = codes.iter().map(|code| rule(code)).collect();
    let results: Vec<Value> = report.problems().map(|problem| result(&problem, &codes)).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "mcpwatch",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "automationDetails": { "id": format!("mcpwatch/signatures/{}/", report.command.as_str()) },
            "invocations": [{ "executionSuccessful": report.verdict() != Verdict::CouldNotRun }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn rule(code: &str) -> Value {
    let lint = LINTS.iter().find(|(lint, _)| *lint == code).map(|(_, description)| *description);
    let fuzzed = || Kind::ALL.into_iter().find(|kind| kind.code() == code).map(Kind::description);
    match lint.or_else(fuzzed) {
        Some(description) => {
            json!({ "id": code, "shortDescription": { "text": description } })
        }
        None => json!({ "id": code }),
    }
}

fn result(problem: &Shown<'_>, codes: &[&str]) -> Value {
    let message = match &problem.help {
        Some(help) => format!("{}\nhelp: {help}", problem.message),
        None => problem.message.to_string(),
    };
    let mut result = json!({
        "ruleId": problem.code,
        "ruleIndex": codes.binary_search(&problem.code).unwrap_or_default(),
        "level": problem.severity.as_str(),
        "message": { "text": message },
    });
    let mut location = json!({ "logicalLocations": [{ "name": problem.suite }] });
    if let Some(Place { path, line, column, end_column, source, .. }) = &problem.place {
        location["physicalLocation"] = json!({
            "artifactLocation": { "uri": uri(path) },
            "region": {
                "startLine": line,
                "startColumn": column,
                "endColumn": end_column,
                "snippet": { "text": source },
            },
        });
    }
    result["locations"] = json!([location]);
    result
}

/// A path as a URI reference (RFC 3986): relative ones stay relative.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}
