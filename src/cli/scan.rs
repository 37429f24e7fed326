//! `mcpwatch scan`: captures in, findings out.

use std::num::NonZeroUsize;

use super::args::ScanArgs;
use super::outputs::{self, Outputs};
use super::progress::Bar;
use super::{Exit, complain, detection, print, signals};
use crate::capture::{Block, Fill, Frame, FrameFilter, Inputs, ReadAhead, Replay};
use crate::detect::Pace;
use crate::engine::{BlockSource, Engine, Limits, coverage};
use crate::findings::{Confidence, FindingSink, HttpRequest, Row};
use crate::report::terminal;
use crate::time::Timestamp;

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
    workers: NonZeroUsize,
    engine: Engine,
    source: Captures,
    outputs: Shown,
}

impl<'a> Scan<'a> {
    /// Reads everything that can be wrong before a packet is looked at.
    fn prepare(args: &'a ScanArgs) -> Result<Self, String> {
        let arguments = &args.detection;
        let filter = detection::filter(arguments)?;
        let workers = detection::workers(arguments);
        let replay = Replay::new(Inputs::expand(&args.paths));
        let sources = replay.names().iter().map(|name| name.to_string()).collect();
        let bar = Bar::new(replay.progress(), !args.no_progress && !arguments.quiet);
        let limits = Limits::for_memory(args.memcap, workers);
        let keys = detection::keys(&arguments.keylog)?;
        let signatures = detection::signatures(arguments)?;
        // The first blocks are there by the time the engine is.
        let source = ReadAhead::start(replay, signals::end_or_hangup())
            .map_err(|error| format!("cannot start a thread that reads: {error}"))?;
        let source = Captures { captures: source, filter };
        let (http_log, pace) = (args.http_log.is_some(), Pace::default());
        let engine =
            detection::engine(arguments, signatures, keys, sources, http_log, limits, pace)?;
        let outputs = Outputs::open(arguments, args.http_log.as_deref(), outputs::plain)?;
        Ok(Self { args, workers, engine, source, outputs: Shown { outputs, bar } })
    }

    fn run(self) -> Exit {
        let Self { args, workers, engine, mut source, outputs: mut shown } = self;
        let arguments = &args.detection;
        let mut statistics = engine.replay(workers, &mut source, &mut shown);
        statistics.capture = source.captures.counters();
        let Shown { mut outputs, bar } = shown;
        bar.clear();
        let trouble = outputs.finish();
        let mut incomplete = source.captures.is_stopped() || !trouble.is_empty();
        trouble.iter().for_each(|message| complain(message));
        let errors = source.captures.errors();
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
        if let Err(message) = detection::write_stats(arguments, &statistics.to_json()) {
            complain(&message);
            incomplete = true;
        }
        if let Some(inventory) = &outputs.inventory {
            let damaged = errors.len() as u64;
            let report = inventory.report();
            let report =
                crate::report::Report { captures_read: Some(statistics.capture.inputs), ..report };
            let coverage = coverage(&statistics, damaged);
            let options = terminal::Options::for_stdout(arguments.color.into());
            print(|out| terminal::render(&report, Some(&coverage), &options, out));
        }
        // The program ends here, and with it all of their memory goes back at once: to free
        // it piece by piece would take milliseconds.
        std::mem::forget((engine, source));
        let met = arguments.fail_on.map(Confidence::from);
        match met {
            Some(level) if outputs.highest >= Some(level) => Exit::Found,
            _ if incomplete => Exit::Incomplete,
            _ => Exit::Done,
        }
    }
}

/// The captures, one after another, through the filter.
struct Captures {
    captures: ReadAhead,
    filter: Option<FrameFilter>,
}

impl BlockSource for Captures {
    fn fill(&mut self, block: &mut Block) -> Fill {
        self.captures.fill(block)
    }

    fn may_wait(&self) -> bool {
        self.captures.is_slow()
    }

    fn accepts(&mut self, frame: &Frame<'_>) -> bool {
        self.filter.as_mut().is_none_or(|filter| filter.accepts(frame))
    }
}

/// Outputs, with a bar that shows how far the work is.
struct Shown {
    outputs: Outputs,
    bar: Bar,
}

impl FindingSink for Shown {
    fn finding(&mut self, row: Row) {
        self.outputs.finding(row);
    }

    fn http_request(&mut self, request: &HttpRequest) {
        self.outputs.http_request(request);
    }

    fn block_end(&mut self, _through: Option<Timestamp>) {
        self.bar.update(self.outputs.findings);
    }
}
