//! Where findings go: files and streams, and the inventory of a report.

use std::path::Path;
use std::time::{Duration, Instant};

use super::args::DetectionArgs;
use crate::findings::batch::BatchPolicy;
use crate::findings::sink::{self, Format, HttpLog, Lost, Sink, SinkError};
use crate::findings::{Confidence, Destination, FindingSink, HttpRequest, Row};
use crate::report::Inventory;

/// How often lost findings are warned of, at most.
const WARN: Duration = Duration::from_secs(10);

/// The outputs of a run.
pub(super) struct Outputs {
    sinks: Vec<Box<dyn Sink>>,
    /// What each of them lost, also of those that are no more.
    lost: Vec<Lost>,
    /// Findings that came when outputs had been given up.
    lost_after: u64,
    /// Outputs that failed and were given up.
    given_up: u64,
    warned: Warned,
    quiet: bool,
    http_log: Option<HttpLog>,
    /// Gathered where a report is to be printed.
    pub(super) inventory: Option<Inventory>,
    /// The highest confidence of any finding.
    pub(super) highest: Option<Confidence>,
    /// Findings so far.
    pub(super) findings: u64,
    trouble: Vec<String>,
    /// What is worth saying and no trouble, or none that is new.
    notices: Vec<String>,
}

/// What was last said of lost findings.
#[derive(Default)]
struct Warned {
    lost: u64,
    at: Option<Instant>,
}

impl Outputs {
    /// Opens what the arguments name, each sink by `open`.
    pub(super) fn open(
        args: &DetectionArgs,
        http_log: Option<&Path>,
        mut open: impl FnMut(&Path, Format) -> Result<Box<dyn Sink>, SinkError>,
    ) -> Result<Self, String> {
        let format = args.format.as_deref().map(self::format).transpose()?;
        let mut paths = args.output.clone();
        if paths.is_empty() && format.is_some() {
            paths.push("-".into());
        }
        let mut sinks = Vec::new();
        for path in &paths {
            let format = Format::choose(path, format).map_err(|error| chain(&error))?;
            sinks.push(open(path, format).map_err(|error| chain(&error))?);
        }
        let http_log = http_log.map(Destination::from_argument).map(HttpLog::open);
        let http_log = http_log.transpose().map_err(|error| chain(&error))?;
        let inventory = (sinks.is_empty() && !args.quiet).then(Inventory::default);
        let lost = sinks.iter().map(|sink| sink.lost()).collect();
        Ok(Self {
            sinks,
            lost,
            lost_after: 0,
            given_up: 0,
            warned: Warned::default(),
            quiet: args.quiet,
            http_log,
            inventory,
            highest: None,
            findings: 0,
            trouble: Vec::new(),
            notices: Vec::new(),
        })
    }

    /// Tells the sinks the time, so that no row waits long.
    pub(super) fn tick(&mut self, now: Instant) {
        self.each(|sink| sink.tick(now));
        let lost = self.lost();
        self.notices.extend(self.sinks.iter().flat_map(|sink| sink.notices().take()));
        self.notices.extend(self.warned.look(lost, now));
    }

    /// Findings that could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost_after + self.lost.iter().map(Lost::get).sum::<u64>()
    }

    /// Bytes on disk of findings that wait for their consumers.
    pub(super) fn spooled(&self) -> u64 {
        self.sinks.iter().map(|sink| sink.spooled()).sum()
    }

    /// What went wrong since the last call.
    pub(super) fn take_trouble(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trouble)
    }

    /// What else is worth saying since the last call.
    pub(super) fn take_notices(&mut self) -> Vec<String> {
        let notices = std::mem::take(&mut self.notices);
        if self.quiet { Vec::new() } else { notices }
    }

    /// Ends all sinks; says what went wrong.
    pub(super) fn finish(&mut self) -> Vec<String> {
        for sink in std::mem::take(&mut self.sinks) {
            let notices = sink.notices();
            if let Err(error) = sink.finish() {
                note(&mut self.trouble, &error);
            }
            self.notices.extend(notices.take());
        }
        if let Some(Err(error)) = self.http_log.take().map(HttpLog::finish) {
            note(&mut self.trouble, &error);
        }
        self.take_trouble()
    }

    /// A sink that fails is given up unless it recovers by itself; the others go on.
    fn each(&mut self, mut act: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) {
        let (trouble, given_up) = (&mut self.trouble, &mut self.given_up);
        self.sinks.retain_mut(|sink| match act(sink.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                note(trouble, &error);
                let recovers = sink.recovers();
                if !recovers {
                    *given_up += u64::from(!error.is_closed());
                }
                recovers
            }
        });
    }
}

impl Warned {
    fn look(&mut self, lost: u64, now: Instant) -> Option<String> {
        let more = lost.saturating_sub(self.lost);
        let due = self.at.is_none_or(|at| now.saturating_duration_since(at) >= WARN);
        if more == 0 || !due {
            return None;
        }
        *self = Self { lost, at: Some(now) };
        Some(format!("{more} findings lost, {lost} in all: an output could not take them"))
    }
}

impl FindingSink for Outputs {
    fn finding(&mut self, row: Row) {
        self.findings += 1;
        self.highest = self.highest.max(Some(row.confidence));
        if let Some(inventory) = &mut self.inventory {
            inventory.add(&row);
        }
        self.lost_after += self.given_up;
        self.each(|sink| sink.write(&row));
    }

    fn http_request(&mut self, request: &HttpRequest) {
        let Some(log) = &mut self.http_log else { return };
        if let Err(error) = log.write(request) {
            note(&mut self.trouble, &error);
            self.http_log = None;
        }
    }
}

/// The format of that name.
pub(super) fn format(name: &str) -> Result<Format, String> {
    Format::parse(name).ok_or_else(|| {
        let known: Vec<_> = Format::ALL.iter().map(|format| format.as_str()).collect();
        format!("`{name}` is not a format; known are {}", known.join(", "))
    })
}

/// Opens the sink of one output, as it is.
pub(super) fn plain(path: &Path, format: Format) -> Result<Box<dyn Sink>, SinkError> {
    sink::open(Destination::from_argument(path), format, BatchPolicy::default())
}

/// Notes a sink's error, unless it is only that the reader has had enough.
fn note(trouble: &mut Vec<String>, error: &SinkError) {
    if !error.is_closed() {
        trouble.push(chain(error));
    }
}

/// An error with its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
