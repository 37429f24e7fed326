//! What a run of the workbench found: cases in, a report for people or for a
//! pipeline out.
//!
//! Sets, their paths and their ids were written by strangers: what comes out
//! holds no control, bidirectional or zero-width character of theirs, in any format.

mod github;
mod json;
mod junit;
mod sarif;
mod text;

use std::borrow::Cow;
use std::io::{self, Write};

use clap::ValueEnum;

use super::captures::Scores;
use crate::findings::escape::printable;
use crate::signature::{Diagnostic, Severity};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: problems with their source line, and the counts.
    #[value(alias = "human")]
    Text,
    /// One JSON object.
    Json,
    /// JUnit XML, as CI servers read it.
    Junit,
    /// SARIF 2.1.0 (OASIS), for code scanning.
    Sarif,
    /// Workflow commands of GitHub Actions, shown beside the changed lines.
    Github,
}

/// What was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `mcpwatch signatures check`.
    Check,
    /// `mcpwatch signatures test`.
    Test,
    /// `mcpwatch signatures fuzz`.
    Fuzz,
}

impl Command {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Test => "test",
            Self::Fuzz => "fuzz",
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing worse than a note.
    Fine,
    /// A check failed: a warning or an error.
    Failed,
    /// The set could not be read or compiled.
    CouldNotRun,
}

/// One thing that was checked.
#[derive(Clone, Debug)]
pub struct Case {
    suite: Box<str>,
    name: Box<str>,
    problem: Option<Box<Diagnostic>>,
}

impl Case {
    /// A case that is as it should be. The suite is the id of a signature.
    pub fn passed(suite: &str, name: impl Into<Box<str>>) -> Self {
        Self { suite: suite.into(), name: name.into(), problem: None }
    }

    /// A case that is not.
    pub fn failed(suite: &str, name: impl Into<Box<str>>, problem: Diagnostic) -> Self {
        Self { suite: suite.into(), name: name.into(), problem: Some(Box::new(problem)) }
    }

    /// A problem that is a case of its own, in the suite of its signature or file.
    pub fn of_problem(problem: Diagnostic) -> Self {
        let file = problem.location.as_ref().map(|place| &*place.path);
        let suite = problem.signature.as_deref().or(file).unwrap_or("signatures").to_owned();
        Self::failed(&suite, problem.code, problem)
    }

    /// What was checked: the id of a signature, or a file.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// Which check it was.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong, if anything.
    pub fn problem(&self) -> Option<&Diagnostic> {
        self.problem.as_deref()
    }
}

/// The traffic that was made of examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchanges {
    /// How many exchanges.
    pub made: usize,
    /// Examples that no traffic can carry.
    pub not_carried: usize,
}

/// How much was run of what has no end.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Extent {
    /// What all cases follow from.
    pub seed: u64,
    /// Cases.
    pub cases: u64,
    /// The time it took.
    pub seconds: f64,
}

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Report {
    command: Command,
    signatures: usize,
    ran: bool,
    cases: Vec<Case>,
    exchanges: Exchanges,
    /// What labelled captures say of the set.
    scores: Option<Scores>,
    extent: Option<Extent>,
}

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    notes: usize,
    warnings: usize,
    errors: usize,
}

impl Report {
    /// A run over a set of that many signatures.
    pub fn new(command: Command, signatures: usize, cases: Vec<Case>) -> Self {
        Self::ended(command, signatures, true, cases)
    }

    /// A run that ended before it began.
    pub fn could_not_run(command: Command, problems: Vec<Diagnostic>) -> Self {
        let cases = problems.into_iter().map(Case::of_problem).collect();
        Self::ended(command, 0, false, cases)
    }

    fn ended(command: Command, signatures: usize, ran: bool, cases: Vec<Case>) -> Self {
        let exchanges = Exchanges::default();
        Self { command, signatures, ran, cases, exchanges, scores: None, extent: None }
    }

    /// Says how much was run.
    pub(super) fn set_extent(&mut self, extent: Extent) {
        self.extent = Some(extent);
    }

    /// The traffic that was made for it.
    pub fn exchanges(&self) -> Exchanges {
        self.exchanges
    }

    /// The same with the traffic that was made for it.
    pub(super) fn of_exchanges(self, exchanges: Exchanges) -> Self {
        Self { exchanges, ..self }
    }

    /// The same with further cases.
    pub(super) fn with_cases(mut self, cases: Vec<Case>) -> Self {
        self.cases.extend(cases);
        self
    }

    /// The same with what labelled captures say of the set.
    pub(super) fn with_scores(self, scores: Scores) -> Self {
        Self { scores: Some(scores), ..self }
    }

    /// What labelled captures say of the set, where there were any.
    pub fn scores(&self) -> Option<&Scores> {
        self.scores.as_ref()
    }

    /// What was checked.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// How it ended.
    pub fn verdict(&self) -> Verdict {
        let counts = self.counts();
        match (self.ran, counts.warnings + counts.errors) {
            (false, _) => Verdict::CouldNotRun,
            (true, 0) => Verdict::Fine,
            (true, _) => Verdict::Failed,
        }
    }

    /// Takes notes for warnings.
    pub fn deny_notes(&mut self) {
        for problem in self.cases.iter_mut().filter_map(|case| case.problem.as_mut()) {
            problem.severity = problem.severity.max(Severity::Warning);
        }
    }

    /// Writes the report.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Text => text::write(self, out),
            Format::Json => json::write(self, out),
            Format::Junit => junit::write(self, out),
            Format::Sarif => sarif::write(self, out),
            Format::Github => github::write(self, out),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for case in &self.cases {
            let counter = match case.problem().map(|problem| problem.severity) {
                None => &mut counts.passed,
                Some(Severity::Note) => &mut counts.notes,
                Some(Severity::Warning) => &mut counts.warnings,
                Some(Severity::Error) => &mut counts.errors,
            };
            *counter += 1;
        }
        counts
    }

    /// The problems, made safe to show.
    fn problems(&self) -> impl Iterator<Item = Shown<'_>> {
        self.cases.iter().filter_map(Case::shown)
    }

    /// One line with the counts.
    fn summary(&self) -> String {
        let Counts { passed, notes, warnings, errors } = self.counts();
        match (self.ran, self.command) {
            (false, _) => format!("could not run: {errors} errors"),
            (true, Command::Check) => format!(
                "{} signatures: {errors} errors, {warnings} warnings, {notes} notes",
                self.signatures
            ),
            (true, Command::Test) => format!(
                "{} signatures: {passed} answers right, {errors} wrong, in {} exchanges",
                self.signatures, self.exchanges.made
            ),
            (true, Command::Fuzz) => {
                let Extent { seed, cases, seconds } = self.extent.unwrap_or_default();
                format!("{cases} cases in {seconds:.1} s with seed {seed}, {errors} failures")
            }
        }
    }
}

/// A problem whose texts are safe to show.
struct Shown<'r> {
    suite: Cow<'r, str>,
    name: Cow<'r, str>,
    severity: Severity,
    code: &'static str,
    message: Cow<'r, str>,
    help: Option<Cow<'r, str>>,
    place: Option<Place<'r>>,
}

/// Where, safe to show.
struct Place<'r> {
    path: Cow<'r, str>,
    line: usize,
    column: usize,
    /// The column after the last one marked.
    end_column: usize,
    source: Cow<'r, str>,
    /// Characters before the caret in `source`, and carets.
    caret: (usize, usize),
}

impl Case {
    fn shown(&self) -> Option<Shown<'_>> {
        let problem = self.problem()?;
        let place = problem.location.as_ref().map(|place| Place {
            path: printable(&place.path),
            line: place.line,
            column: place.column(),
            end_column: place.column() + place.caret().1,
            source: printable(&place.excerpt()).into_owned().into(),
            caret: place.caret(),
        });
        Some(Shown {
            suite: printable(&self.suite),
            name: printable(&self.name),
            severity: problem.severity,
            code: problem.code,
            message: printable(&problem.message),
            help: problem.help.as_deref().map(printable),
            place,
        })
    }
}

#[cfg(test)]
mod tests;
