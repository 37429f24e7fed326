//! `mcpwatch signatures`: lists, checks and tests signature sets.

use std::path::PathBuf;

use serde::Serialize;

use super::args::{ListFormat, SignatureSetArgs, SignaturesCommand};
use super::{Exit, complain, print};
use crate::signature::{Matcher, Report, Severity, SignatureSet};

pub(super) fn run(command: &SignaturesCommand) -> Exit {
    match command {
        SignaturesCommand::List(args) => list(args),
        SignaturesCommand::Check(args) => check(args),
        SignaturesCommand::Test(args) => test(args),
    }
}

/// Reads the set that the arguments name; complains of every problem in it.
fn load(paths: &[PathBuf]) -> Option<SignatureSet> {
    if paths.is_empty() {
        return Some(SignatureSet::builtin());
    }
    match SignatureSet::load(paths) {
        Ok(set) => Some(set),
        Err(report) => {
            complain_of(&report);
            None
        }
    }
}

fn compile(set: &SignatureSet) -> Option<Matcher> {
    match set.compile() {
        Ok((matcher, warnings)) => {
            warnings.iter().for_each(|warning| complain(&warning.to_string()));
            Some(matcher)
        }
        Err(report) => {
            complain_of(&report);
            None
        }
    }
}

fn complain_of(report: &Report) {
    complain(&report.to_string());
}

/// One line of a listing.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    title: &'a str,
    fields: Vec<String>,
    pattern: &'static str,
    strength: &'static str,
    kind: &'static str,
    tags: Vec<&'a str>,
}

fn list(args: &SignatureSetArgs) -> Exit {
    let Some(set) = load(&args.paths) else { return Exit::Failed };
    let listed: Vec<Listed<'_>> = set
        .signatures()
        .iter()
        .map(|signature| Listed {
            id: &signature.id,
            title: &signature.title,
            fields: signature.clause.fields.iter().map(|field| field.name()).collect(),
            pattern: signature.clause.pattern.key(),
            strength: signature.strength.as_str(),
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
                    writeln!(out, "{:widest$}  {:7}  {fields}", line.id, line.strength)?;
                }
                Ok(())
            })
        }
    }
}

fn check(args: &SignatureSetArgs) -> Exit {
    let Some(set) = load(&args.paths) else { return Exit::Failed };
    if compile(&set).is_none() {
        return Exit::Failed;
    }
    let lints = set.lint();
    lints.iter().for_each(|lint| complain(&lint.to_string()));
    let printed = print(|out| writeln!(out, "{} signatures, {} remarks", set.len(), lints.len()));
    let wrong = lints.iter().any(|lint| lint.severity == Severity::Error);
    if wrong { Exit::Found } else { printed }
}

fn test(args: &SignatureSetArgs) -> Exit {
    let Some(set) = load(&args.paths) else { return Exit::Failed };
    let Some(matcher) = compile(&set) else { return Exit::Failed };
    let mut failures = set.test_examples(&matcher);
    // An example is tried in several ways; that it is wrong is said once.
    failures.dedup_by(|a, b| a.signature == b.signature && a.example == b.example);
    for failure in &failures {
        let id = &set.signature(failure.signature).id;
        let place = &failure.example.location;
        let wrong = if failure.expected { "should match" } else { "should not match" };
        complain(&format!(
            "{}:{}:{}: {id}: {wrong}: {}",
            place.path, place.line, place.column, failure.detail
        ));
    }
    let examples: usize = set
        .signatures()
        .iter()
        .map(|signature| signature.matches.len() + signature.misses.len())
        .sum();
    let printed = print(|out| {
        writeln!(out, "{examples} examples of {} signatures, {} failed", set.len(), failures.len())
    });
    if failures.is_empty() { printed } else { Exit::Found }
}
