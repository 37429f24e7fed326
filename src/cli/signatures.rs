//! `mcpwatch signatures`: lists, checks and tests signature sets.

use std::path::PathBuf;

use serde::Serialize;

use super::args::{CheckArgs, ListArgs, ListFormat, SignaturesCommand, TestArgs};
use super::{Exit, bench, complain, print};
use crate::signature::{Date, SignatureSet, json_schema};
use crate::workbench::list::Filter;
use crate::workbench::report::{Format, Report, Verdict};
use crate::workbench::{captures, check, examples};

pub(super) fn run(command: &SignaturesCommand) -> Exit {
    match command {
        SignaturesCommand::List(args) => list(args),
        SignaturesCommand::Check(args) => show(check::check(&args.paths, Date::today()), args),
        SignaturesCommand::Test(args) => test(args),
        SignaturesCommand::Bench(args) => bench::run(args),
        SignaturesCommand::Schema => print(|out| {
            serde_json::to_writer_pretty(&mut *out, &json_schema())?;
            writeln!(out)
        }),
    }
}

fn test(args: &TestArgs) -> Exit {
    let TestArgs { check, pcaps, truth, min_recall } = args;
    let captures = pcaps.clone().map(|folder| captures::Captures {
        folder,
        truth: truth.clone(),
        min_recall: *min_recall,
    });
    show(examples::test(&check.paths, captures.as_ref()), check)
}

/// Reads the set that the arguments name; complains of every problem in it.
fn load(paths: &[PathBuf]) -> Option<SignatureSet> {
    if paths.is_empty() {
        return Some(SignatureSet::builtin());
    }
    SignatureSet::load(paths).map_err(|report| complain(&report.to_string())).ok()
}

/// One line of a listing.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    title: &'a str,
    fields: Vec<String>,
    pattern: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    kind: &'static str,
    tags: Vec<&'a str>,
}

fn list(args: &ListArgs) -> Exit {
    let Some(set) = load(&args.paths) else { return Exit::Failed };
    let filter = Filter {
        fields: args.field.clone(),
        tags: args.tag.clone(),
        strengths: args.strength.clone(),
        severities: args.severity.clone(),
    };
    let listed: Vec<Listed<'_>> = set
        .signatures()
        .iter()
        .filter(|signature| filter.keeps(signature))
        .map(|signature| Listed {
            id: &signature.id,
            title: &signature.title,
            fields: signature.clause.fields.iter().map(|field| field.name()).collect(),
            pattern: signature.clause.pattern.key(),
            strength: signature.severity.is_none().then(|| signature.strength.as_str()),
            severity: signature.severity.map(|severity| severity.as_str()),
            kind: signature.kind.as_str(),
            tags: signature.tags.iter().map(|tag| &**tag).collect(),
        })
        .collect();
    match args.format {
        ListFormat::Json => print(|out| {
            serde_json::to_writer_pretty(&mut *out, &listed)?;
            writeln!(out)
        }),
        ListFormat::Text => {
            let widest = listed.iter().map(|line| line.id.len()).max().unwrap_or(0);
            print(|out| {
                for line in &listed {
                    let fields = line.fields.join(",");
                    let worth = line.strength.or(line.severity).unwrap_or_default();
                    writeln!(out, "{:widest$}  {worth:8}  {fields}", line.id)?;
                }
                Ok(())
            })
        }
    }
}

/// Prints a report. What could not run is said where errors are said, unless a
/// program reads it.
fn show(mut report: Report, args: &CheckArgs) -> Exit {
    if args.strict {
        report.deny_notes();
    }
    let verdict = report.verdict();
    if verdict == Verdict::CouldNotRun && args.format == Format::Text {
        let mut text = Vec::new();
        // Writing to memory cannot fail.
        let _ = report.write(args.format, &mut text);
        complain(String::from_utf8_lossy(&text).trim_end());
        return Exit::Failed;
    }
    let printed = print(|out| report.write(args.format, out));
    match verdict {
        Verdict::CouldNotRun => Exit::Failed,
        Verdict::Failed if printed == Exit::Done => Exit::Found,
        Verdict::Failed | Verdict::Fine => printed,
    }
}
