//! `mcpwatch scan`: captures in, findings out.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::args::{DetectionArgs, Level, ScanArgs};
use super::cache;
use super::progress::Bar;
use super::{Exit, complain, print};
use crate::capture::{Block, Fill, Frame, FrameFilter, Inputs, Replay};
use crate::detect::FindingOptions;
use crate::engine::{BlockSource, Engine, Limits, Statistics, coverage};
use crate::findings::batch::BatchPolicy;
use crate::findings::sink::{self, Format, HttpLog, Sink, SinkError};
use crate::findings::{Confidence, Destination, FindingSink, HttpRequest, Row};
use crate::policy::Policy;
use crate::report::{Inventory, terminal};
use crate::signature::{Date, SignatureSet};
use crate::stream::tls::{KeyLogReader, KeyStore};

/// Set when the user asks to stop.
static STOP: AtomicBool = AtomicBool::new(false);

pub(super) fn run(args: &ScanArgs) -> Exit {
    match Scan::prepare(args) {
        Ok(scan) => scan.run(),
        Err(message) => {
            complain(&message);
            Exit::Failed
        }
    }
}

struct Scan<'a> {
    args: &'a ScanArgs,
    engine: Engine,
    source: Captures,
    outputs: Outputs,
}

impl<'a> Scan<'a> {
    /// Reads everything that can be wrong before a packet is read.
    fn prepare(args: &'a ScanArgs) -> Result<Self, String> {
        let detection = &args.detection;
        let signatures = signatures(detection)?;
        let policy = match &detection.policy {
            Some(path) => Policy::load(path).map_err(|error| error.to_string())?,
            None => Policy::default(),
        };
        let keys = keys(&detection.keylog)?;
        let filter = match &detection.filter {
            Some(text) => Some(FrameFilter::compile(text).map_err(|error| error.to_string())?),
            None => None,
        };
        let replay = Replay::new(Inputs::expand(&args.paths));
        let findings = FindingOptions {
            messages: detection.messages,
            min_confidence: detection.min_confidence.into(),
            show_secrets: detection.show_secrets,
            sensor: detection.sensor.clone(),
            sources: replay.names().iter().map(|name| name.to_string()).collect(),
        };
        let engine = Engine::builder()
            .signatures(signatures)
            .cache(cache::folder())
            .keys(keys)
            .policy(policy)
            .findings(findings)
            .http_log(args.http_log.is_some())
            .limits(Limits::for_memory(args.memcap, workers(detection)))
            .build()
            .map_err(|report| report.to_string())?;
        if !detection.quiet {
            engine.warnings().iter().for_each(|warning| complain(&warning.to_string()));
        }
        let bar = Bar::new(replay.progress(), !args.no_progress && !detection.quiet);
        let outputs = Outputs::open(args, bar)?;
        Ok(Self { args, engine, source: Captures { replay, filter }, outputs })
    }

    fn run(self) -> Exit {
        let Self { args, engine, mut source, mut outputs } = self;
        let detection = &args.detection;
        // Without a handler an interrupt ends the process, and whole batches
        // stay readable; that is the only loss.
        let _ = ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed));
        let mut statistics = engine.replay(workers(detection), &mut source, &mut outputs);
        statistics.capture = source.replay.counters();
        outputs.bar.clear();
        let trouble = outputs.finish();
        let mut incomplete = STOP.load(Ordering::Relaxed) || !trouble.is_empty();
        trouble.iter().for_each(|message| complain(message));
        let errors = source.replay.errors();
        for error in errors {
            complain(&error.to_string());
            incomplete = true;
        }
        if let Some(filter) = &source.filter {
            for (link, why) in filter.inapplicable() {
                complain(&format!("--filter does not apply to link type {}: {why}", link.0));
                incomplete = true;
            }
        }
        let nothing_read = statistics.capture.inputs == 0;
        if nothing_read && (errors.is_empty() || incomplete) {
            if errors.is_empty() {
                complain("no capture found");
            }
            return Exit::Failed;
        }
        let written = write_stats(detection, &statistics);
        if let Err(message) = &written {
            complain(message);
            incomplete = true;
        }
        if let Some(inventory) = &outputs.inventory {
            let damaged = errors.len() as u64;
            let report = inventory.report();
            let report =
                crate::report::Report { captures_read: Some(statistics.capture.inputs), ..report };
            let coverage = coverage(&statistics, damaged);
            let options = terminal::Options::for_stdout(detection.color.into());
            print(|out| terminal::render(&report, Some(&coverage), &options, out));
        }
        let met = detection.fail_on.map(Confidence::from);
        match met {
            Some(level) if outputs.highest >= Some(level) => Exit::Found,
            _ if incomplete => Exit::Incomplete,
            _ => Exit::Done,
        }
    }
}

fn signatures(args: &DetectionArgs) -> Result<SignatureSet, String> {
    let mut set = match args.no_builtin_signatures {
        true => SignatureSet::new(),
        false => SignatureSet::builtin(),
    };
    let added = SignatureSet::load(&args.signatures).map_err(|report| report.to_string())?;
    set.merge(added).map_err(|report| report.to_string())?;
    set.expire(Date::today());
    Ok(set)
}

/// Reads key logs. An error names file and line, never what stands there.
fn keys(paths: &[PathBuf]) -> Result<KeyStore, String> {
    let mut keys = KeyStore::new();
    let mut problems = Vec::new();
    for path in paths {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let part = KeyLogReader::whole(&text);
        problems.extend(part.errors().iter().map(|error| format!("{}: {error}", path.display())));
        keys = keys.extended(part);
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems.join("\nmcpwatch: ")) }
}

fn workers(args: &DetectionArgs) -> NonZeroUsize {
    let asked = args.workers.and_then(|workers| NonZeroUsize::new(workers.into()));
    asked.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
}

fn write_stats(args: &DetectionArgs, statistics: &Statistics) -> Result<(), String> {
    let Some(path) = &args.stats else { return Ok(()) };
    let text = statistics.to_json();
    if path == Path::new("-") {
        print(|out| out.write_all(text.as_bytes()));
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The captures, one after another, through the filter.
struct Captures {
    replay: Replay,
    filter: Option<FrameFilter>,
}

impl BlockSource for Captures {
    fn fill(&mut self, block: &mut Block) -> Fill {
        if STOP.load(Ordering::Relaxed) { Fill::End } else { self.replay.fill(block) }
    }

    fn accepts(&mut self, frame: &Frame<'_>) -> bool {
        self.filter.as_mut().is_none_or(|filter| filter.accepts(frame))
    }
}

/// Where findings go.
struct Outputs {
    sinks: Vec<Box<dyn Sink>>,
    http_log: Option<HttpLog>,
    inventory: Option<Inventory>,
    highest: Option<Confidence>,
    findings: u64,
    trouble: Vec<String>,
    bar: Bar,
}

impl Outputs {
    fn open(args: &ScanArgs, bar: Bar) -> Result<Self, String> {
        let ScanArgs { detection: args, http_log, .. } = args;
        let format = match &args.format {
            None => None,
            Some(name) => Some(Format::parse(name).ok_or_else(|| {
                let known: Vec<_> = Format::ALL.iter().map(|format| format.as_str()).collect();
                format!("`{name}` is not a format; known are {}", known.join(", "))
            })?),
        };
        let mut paths = args.output.clone();
        if paths.is_empty() && format.is_some() {
            paths.push("-".into());
        }
        let mut sinks = Vec::new();
        for path in &paths {
            let format = Format::choose(path, format).map_err(|error| chain(&error))?;
            let destination = Destination::from_argument(path);
            let sink = sink::open(destination, format, BatchPolicy::default());
            sinks.push(sink.map_err(|error| chain(&error))?);
        }
        let http_log = http_log.as_deref().map(Destination::from_argument).map(HttpLog::open);
        let http_log = http_log.transpose().map_err(|error| chain(&error))?;
        let inventory = (sinks.is_empty() && !args.quiet).then(Inventory::default);
        Ok(Self {
            sinks,
            http_log,
            inventory,
            highest: None,
            findings: 0,
            trouble: Vec::new(),
            bar,
        })
    }

    /// Ends all sinks; says what went wrong.
    fn finish(&mut self) -> Vec<String> {
        for sink in std::mem::take(&mut self.sinks) {
            if let Err(error) = sink.finish() {
                note(&mut self.trouble, &error);
            }
        }
        if let Some(Err(error)) = self.http_log.take().map(HttpLog::finish) {
            note(&mut self.trouble, &error);
        }
        std::mem::take(&mut self.trouble)
    }
}

impl FindingSink for Outputs {
    fn finding(&mut self, row: Row) {
        self.findings += 1;
        self.highest = self.highest.max(Some(row.confidence));
        if let Some(inventory) = &mut self.inventory {
            inventory.add(&row);
        }
        let trouble = &mut self.trouble;
        // A sink that fails is given up; the others go on.
        self.sinks.retain_mut(|sink| match sink.write(&row) {
            Ok(()) => true,
            Err(error) => {
                note(trouble, &error);
                false
            }
        });
    }

    fn http_request(&mut self, request: &HttpRequest) {
        let Some(log) = &mut self.http_log else { return };
        if let Err(error) = log.write(request) {
            note(&mut self.trouble, &error);
            self.http_log = None;
        }
    }

    fn block_end(&mut self) {
        self.bar.update(self.findings);
    }
}

/// Notes a sink's error, unless it is only that the reader has had enough.
fn note(trouble: &mut Vec<String>, error: &SinkError) {
    if !error.is_closed() {
        trouble.push(chain(error));
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<Level> for Confidence {
    fn from(level: Level) -> Self {
        match level {
            Level::Possible => Self::Possible,
            Level::Likely => Self::Likely,
            Level::Confirmed => Self::Confirmed,
        }
    }
}
