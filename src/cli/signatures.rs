//! `mcpwatch signatures`: lists, checks, tests and fuzzes signature sets.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::args::{CheckArgs, FuzzArgs, ListArgs, ListFormat, SignaturesCommand, TestArgs};
use super::{Exit, bench, complain, print, signals};
use crate::signature::{Date, SignatureSet, json_schema};
use crate::workbench::list::Filter;
use crate::workbench::report::{Command, Format, Report, Verdict};
use crate::workbench::{captures, check, examples, fuzz};

pub(super) fn run(command: &SignaturesCommand) -> Exit {
    match command {
        SignaturesCommand::List(args) => list(args),
        SignaturesCommand::Check(args) => strictly(check::check(&args.paths, Date::today()), args),
        SignaturesCommand::Test(args) => test(args),
        SignaturesCommand::Fuzz(args) => fuzzed(args),
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
    strictly(examples::test(&check.paths, captures.as_ref()), check)
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

fn strictly(mut report: Report, args: &CheckArgs) -> Exit {
    if args.strict {
        report.deny_notes();
    }
    show(&report, args.format)
}

fn fuzzed(args: &FuzzArgs) -> Exit {
    // Without a handler an interrupt ends the process, and what was found is lost.
    let stop = signals::end();
    let set = match args.paths.is_empty() {
        true => Ok(SignatureSet::builtin()),
        false => SignatureSet::load(&args.paths),
    };
    let outcome = set.and_then(|set| {
        let outcome = fuzz::fuzz(&set, &options(args), &stop)?;
        Ok((set, outcome))
    });
    let (set, outcome) = match outcome {
        Ok(outcome) => outcome,
        Err(problems) => {
            return show(&Report::could_not_run(Command::Fuzz, problems.0), args.format);
        }
    };
    let captures = outcome.save(&args.out, &set).unwrap_or_else(|error| {
        complain(&format!("{}: {error}", args.out.display()));
        Vec::new()
    });
    show(&outcome.report(&set, &captures), args.format)
}

fn options(args: &FuzzArgs) -> fuzz::Options {
    let bound = match (args.case, args.cases) {
        (Some(number), _) => fuzz::Bound::Case(number),
        (None, Some(count)) => fuzz::Bound::Cases(count),
        (None, None) => fuzz::Bound::Time(Duration::from_secs(args.seconds)),
    };
    let jobs = args.jobs.map(usize::from).and_then(NonZeroUsize::new);
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    fuzz::Options {
        seed: args.seed.unwrap_or_else(any_seed),
        bound,
        jobs: jobs.unwrap_or_else(processors),
        clock: true,
    }
}

/// A seed that is short enough to be typed again.
fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs() & 0xffff_ffff
}

/// Prints a report. What could not run is said where errors are said, unless a
/// program reads it.
fn show(report: &Report, format: Format) -> Exit {
    let verdict = report.verdict();
    if verdict == Verdict::CouldNotRun && format == Format::Text {
        let mut text = Vec::new();
        // Writing to memory cannot fail.
        let _ = report.write(format, &mut text);
        complain(String::from_utf8_lossy(&text).trim_end());
        return Exit::Failed;
    }
    let printed = print(|out| report.write(format, out));
    match verdict {
        Verdict::CouldNotRun => Exit::Failed,
        Verdict::Failed if printed == Exit::Done => Exit::Found,
        Verdict::Failed | Verdict::Fine => printed,
    }
}
