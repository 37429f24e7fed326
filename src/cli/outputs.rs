//! Where findings go: files and streams, and the inventory of a report.

use std::path::Path;
use std::time::Instant;

use super::args::DetectionArgs;
use crate::findings::batch::BatchPolicy;
use crate::findings::sink::{self, Format, HttpLog, Sink, SinkError};
use crate::findings::{Confidence, Destination, FindingSink, HttpRequest, Row};
use crate::report::Inventory;

/// The outputs of a run.
pub(super) struct Outputs {
    sinks: Vec<Box<dyn Sink>>,
    http_log: Option<HttpLog>,
    /// Gathered where a report is to be printed.
    pub(super) inventory: Option<Inventory>,
    /// The highest confidence of any finding.
    pub(super) highest: Option<Confidence>,
    /// Findings so far.
    pub(super) findings: u64,
    trouble: Vec<String>,
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
        let (highest, findings, trouble) = (None, 0, Vec::new());
        Ok(Self { sinks, http_log, inventory, highest, findings, trouble })
    }

    /// Tells the sinks the time, so that no row waits long.
    pub(super) fn tick(&mut self, now: Instant) {
        self.each(|sink| sink.tick(now));
    }

    /// Findings that could not be written to an output that goes on.
    pub(super) fn lost(&self) -> u64 {
        self.sinks.iter().map(|sink| sink.lost()).sum()
    }

    /// What went wrong since the last call.
    pub(super) fn take_trouble(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trouble)
    }

    /// Ends all sinks; says what went wrong.
    pub(super) fn finish(&mut self) -> Vec<String> {
        for sink in std::mem::take(&mut self.sinks) {
            if let Err(error) = sink.finish() {
                note(&mut self.trouble, &error);
            }
        }
        if let Some(Err(error)) = self.http_log.take().map(HttpLog::finish) {
            note(&mut self.trouble, &error);
        }
        self.take_trouble()
    }

    /// A sink that fails is given up unless it recovers by itself; the others go on.
    fn each(&mut self, mut act: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) {
        let trouble = &mut self.trouble;
        self.sinks.retain_mut(|sink| match act(sink.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                note(trouble, &error);
                sink.recovers()
            }
        });
    }
}

impl FindingSink for Outputs {
    fn finding(&mut self, row: Row) {
        self.findings += 1;
        self.highest = self.highest.max(Some(row.confidence));
        if let Some(inventory) = &mut self.inventory {
            inventory.add(&row);
        }
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
