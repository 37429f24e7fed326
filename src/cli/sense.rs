//! `mcpwatch sense`: interfaces in, findings out, until it is told to end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::args::{SenseArgs, Turn};
use super::outputs::Outputs;
use super::reload::Reload;
use super::{Exit, complain, detection, print, signals};
use crate::capture::live::{InterfaceState, InterfaceStatus, LiveCapture, LiveOptions, LiveStatus};
use crate::capture::{Block, Fill, Frame};
use crate::engine::{BlockSource, Engine, Limits, Statistics, coverage};
use crate::findings::batch::BatchPolicy;
use crate::findings::sink::{
    self, Format, QueueLimits, QueuedSink, RotatingSink, Rotation, Sink, SinkError,
};
use crate::findings::{Confidence, Destination, FindingSink, HttpRequest, Row};
use crate::metrics::{Metrics, server};
use crate::report::terminal;
use crate::time::Timestamp;

/// Longest that a finding waits to be written.
const MAX_AGE: Duration = Duration::from_millis(250);

/// How often interfaces are looked at for what is worth a warning.
const LOOK: Duration = Duration::from_secs(1);

/// How often losses are warned of, at most.
const WARN: Duration = Duration::from_secs(10);

pub(super) fn run(args: &SenseArgs) -> Exit {
    match Sense::prepare(args) {
        Ok(sense) => sense.run(),
        Err(message) => {
            complain(&message);
            Exit::Failed
        }
    }
}

struct Sense<'a> {
    args: &'a SenseArgs,
    engine: Engine,
    source: Interfaces,
    watched: Watched,
}

impl<'a> Sense<'a> {
    /// Reads everything that can be wrong, then opens the interfaces.
    fn prepare(args: &'a SenseArgs) -> Result<Self, String> {
        let arguments = &args.detection;
        let filter = detection::filter(arguments)?;
        let limits = Limits::for_memory(args.memcap, detection::workers(arguments));
        let engine = detection::engine(arguments, args.interface.clone(), false, limits.clone())?;
        let options = LiveOptions {
            snap_length: args.snap_length,
            ring: args.ring,
            promiscuous: !args.no_promiscuous,
            filter,
            ..LiveOptions::default()
        };
        // Before anything takes long: a signal that comes early must not end it all.
        let (stop, asked) = (signals::end(), signals::reload());
        let live =
            LiveCapture::open(&args.interface, options, stop).map_err(|error| error.to_string())?;
        let rotation = rotation(args)?;
        let queue = queue(args.memcap);
        let open = |path: &Path, format| open(path, format, rotation, queue);
        let outputs = Outputs::open(arguments, None, open)?;
        let metrics = Arc::new(Metrics::new(live.status()));
        if let Some(address) = args.metrics {
            let address = server::start(address, Arc::clone(&metrics))
                .map_err(|error| format!("--metrics {address}: {error}"))?;
            if !arguments.quiet {
                complain(&format!("metrics at http://{address}/metrics"));
            }
        }
        let watch = Watch::new(live.status(), arguments.quiet);
        let again = arguments.clone();
        let (interfaces, reloaded) = (args.interface.clone(), Arc::clone(&metrics));
        let reload = Reload::new(asked, move || {
            let engine = detection::engine(&again, interfaces.clone(), false, limits.clone());
            reloaded.reloaded(engine.is_ok());
            engine
        });
        let source = Interfaces { live, reload, counted: None };
        Ok(Self { args, engine, source, watched: Watched { outputs, watch, metrics } })
    }

    fn run(self) -> Exit {
        let Self { args, engine, mut source, mut watched } = self;
        let arguments = &args.detection;
        if !arguments.quiet {
            let interfaces = source.live.status().interfaces();
            interfaces.iter().filter_map(offloads).for_each(|note| complain(&note));
            complain(&format!("watching {}", args.interface.join(", ")));
        }
        let workers = detection::workers(arguments);
        let mut statistics = engine.replay(workers, &mut source, &mut watched);
        let status = source.live.status();
        statistics.capture = status.counters();
        let Watched { mut outputs, .. } = watched;
        let lost = outputs.lost();
        let trouble = outputs.finish();
        trouble.iter().for_each(|message| complain(message));
        let left_out = statistics.body.shed + statistics.observer.encrypted_shed;
        let mut incomplete =
            !trouble.is_empty() || statistics.capture.frames_lost + lost + left_out > 0;
        let text = stats(&statistics, &status.interfaces(), outputs.findings, lost);
        if let Err(message) = detection::write_stats(arguments, &text) {
            complain(&message);
            incomplete = true;
        }
        if let Some(inventory) = &outputs.inventory {
            let coverage = coverage(&statistics, 0);
            let options = terminal::Options::for_stdout(arguments.color.into());
            print(|out| terminal::render(&inventory.report(), Some(&coverage), &options, out));
        }
        if !arguments.quiet {
            status.interfaces().iter().for_each(|status| complain(&summary(status)));
        }
        match arguments.fail_on.map(Confidence::from) {
            Some(level) if outputs.highest >= Some(level) => Exit::Found,
            _ if incomplete => Exit::Incomplete,
            _ => Exit::Done,
        }
    }
}

/// When files are to be followed by others.
fn rotation(args: &SenseArgs) -> Result<Option<Rotation>, String> {
    if args.rotate.is_empty() {
        return Ok(None);
    }
    if args.detection.output.is_empty() || args.detection.output.iter().any(|it| it == "-") {
        return Err("--rotate needs files: give each --output a name".to_owned());
    }
    let mut rotation = Rotation { keep: args.keep, ..Rotation::default() };
    for turn in &args.rotate {
        match *turn {
            Turn::Every(period) => rotation.period = Some(period),
            Turn::Size(size) => rotation.size = Some(size),
        }
    }
    Ok(Some(rotation))
}

fn open(
    path: &Path,
    format: Format,
    rotation: Option<Rotation>,
    queue: QueueLimits,
) -> Result<Box<dyn Sink>, SinkError> {
    let policy = BatchPolicy { max_age: MAX_AGE, ..BatchPolicy::default() };
    let destination = Destination::from_argument(path);
    let name = destination.name();
    let sink: Box<dyn Sink> = match rotation {
        Some(rotation) => Box::new(RotatingSink::open(path, format, policy, rotation)?),
        None => sink::open(destination, format, policy)?,
    };
    // Whoever takes the findings must not hold up the packets.
    Ok(Box::new(QueuedSink::new(&name, sink, queue)?))
}

/// How many findings may wait for an output: a thirty-second of the memory.
fn queue(memcap: u64) -> QueueLimits {
    /// A row with its texts.
    const ROW: u64 = 2048;
    let rows = usize::try_from(memcap / 32 / ROW).unwrap_or(usize::MAX);
    let QueueLimits { rows: most, patience } = QueueLimits::default();
    QueueLimits { rows: rows.clamp(64, most), patience }
}

/// A note on offloads of an interface, if any are on.
fn offloads(status: &InterfaceStatus) -> Option<String> {
    let InterfaceStatus { name, offloads, .. } = status;
    let off = offloads.iter().map(|it| format!("{it} off")).collect::<Vec<_>>().join(" ");
    (!offloads.is_empty()).then(|| {
        format!(
            "{name}: the interface joins frames before they are captured; counts of frames are \
             not those of the wire ('ethtool -K {name} {off}' turns that off)"
        )
    })
}

/// What came over an interface, in a line.
fn summary(status: &InterfaceStatus) -> String {
    let InterfaceStatus { name, counters, .. } = status;
    format!("{name}: {} frames read, {} lost", counters.frames, counters.lost)
}

/// All counters as JSON, those of each interface, and how many findings there were
/// and how many of them could not be written.
fn stats(
    statistics: &Statistics,
    interfaces: &[InterfaceStatus],
    findings: u64,
    lost: u64,
) -> String {
    let mut sections = statistics.to_object();
    let interfaces: Vec<_> = interfaces
        .iter()
        .map(|interface| {
            let mut section = serde_json::Map::new();
            section.insert("interface".to_owned(), interface.name.clone().into());
            section.insert("state".to_owned(), interface.state.as_str().into());
            interface.counters.each(&mut |name, value| {
                section.insert(name.to_owned(), value.into());
            });
            serde_json::Value::Object(section)
        })
        .collect();
    let workers: Vec<_> = statistics
        .workers
        .iter()
        .map(|worker| {
            let mut section = serde_json::Map::new();
            worker.each(&mut |name, value| {
                section.insert(name.to_owned(), value.into());
            });
            serde_json::Value::Object(section)
        })
        .collect();
    sections.insert("workers".to_owned(), workers.into());
    let outputs = serde_json::json!({ "findings": findings, "findings_lost": lost });
    sections.insert("outputs".to_owned(), outputs);
    sections.insert("interfaces".to_owned(), interfaces.into());
    format!("{:#}\n", serde_json::Value::Object(sections))
}

/// The interfaces, as the engine takes them.
struct Interfaces {
    live: LiveCapture,
    reload: Reload,
    /// When all counters were last asked for.
    counted: Option<Instant>,
}

impl BlockSource for Interfaces {
    fn fill(&mut self, block: &mut Block) -> Fill {
        self.live.fill(block)
    }

    fn accepts(&mut self, frame: &Frame<'_>) -> bool {
        self.live.accepts(frame)
    }

    fn update(&mut self) -> Option<Engine> {
        self.reload.poll()
    }

    fn wants_statistics(&mut self) -> bool {
        let due = self.counted.is_none_or(|at| at.elapsed() >= LOOK);
        if due {
            self.counted = Some(Instant::now());
        }
        due
    }
}

/// Outputs, and a watch on how the capture fares.
struct Watched {
    outputs: Outputs,
    watch: Watch,
    metrics: Arc<Metrics>,
}

impl FindingSink for Watched {
    fn finding(&mut self, row: Row) {
        self.metrics.finding(&row);
        self.outputs.finding(row);
    }

    fn http_request(&mut self, request: &HttpRequest) {
        self.outputs.http_request(request);
    }

    fn statistics(&mut self, statistics: &Statistics) {
        self.metrics.statistics(statistics);
        self.watch.shed.count(statistics);
    }

    fn block_end(&mut self, through: Option<Timestamp>) {
        let now = Instant::now();
        self.outputs.tick(now);
        self.metrics.through(through, self.outputs.lost());
        for message in self.outputs.take_trouble() {
            complain(&message);
        }
        self.watch.look(now).iter().for_each(|warning| complain(warning));
    }
}

/// Looks after losses and interfaces, and says what is worth a warning; never
/// more often than is good to read.
struct Watch {
    status: LiveStatus,
    quiet: bool,
    looked: Instant,
    seen: Vec<Seen>,
    shed: Shed,
}

/// What was left out under overload, and what of it was said.
#[derive(Debug, Default)]
struct Shed {
    bodies: u64,
    encrypted: u64,
    said: u64,
    warned: Option<Instant>,
}

/// What was last said of an interface.
struct Seen {
    state: InterfaceState,
    lost: u64,
    warned: Option<Instant>,
}

impl Watch {
    fn new(status: LiveStatus, quiet: bool) -> Self {
        let interfaces = status.interfaces();
        let seen = interfaces.iter().map(|it| Seen { state: it.state, lost: 0, warned: None });
        let (seen, shed) = (seen.collect(), Shed::default());
        Self { seen, shed, status, quiet, looked: Instant::now() }
    }

    fn look(&mut self, now: Instant) -> Vec<String> {
        if self.quiet || now.saturating_duration_since(self.looked) < LOOK {
            return Vec::new();
        }
        self.looked = now;
        let interfaces = self.status.interfaces();
        let pairs = self.seen.iter_mut().zip(&interfaces);
        let warnings = pairs.flat_map(|(seen, status)| seen.compare(status, now));
        warnings.chain(self.shed.warning(now)).collect()
    }
}

impl Shed {
    fn count(&mut self, statistics: &Statistics) {
        self.bodies = statistics.body.shed;
        self.encrypted = statistics.observer.encrypted_shed;
    }

    fn warning(&mut self, now: Instant) -> Option<String> {
        let all = self.bodies + self.encrypted;
        if all == self.said || !is_due(self.warned, now) {
            return None;
        }
        self.said = all;
        self.warned = Some(now);
        Some(format!(
            "the workers cannot follow: {} bodies without a sign of MCP were not read and {} \
             encrypted connections not followed so far; see --workers and --filter",
            self.bodies, self.encrypted
        ))
    }
}

/// Whether it is time for another warning.
fn is_due(warned: Option<Instant>, now: Instant) -> bool {
    warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN)
}

impl Seen {
    fn compare(&mut self, status: &InterfaceStatus, now: Instant) -> Vec<String> {
        let mut warnings = Vec::new();
        let InterfaceStatus { name, state, counters, .. } = status;
        if self.state != *state {
            self.state = *state;
            warnings.push(match state {
                InterfaceState::Up => format!("{name}: back"),
                InterfaceState::Down => format!("{name}: down; waiting for it to come up"),
                InterfaceState::Gone => format!("{name}: gone; looking for it every second"),
            });
        }
        let more = counters.lost.saturating_sub(self.lost);
        if more > 0 && is_due(self.warned, now) {
            self.lost = counters.lost;
            self.warned = Some(now);
            warnings.push(format!(
                "{name}: {more} frames lost, {} of {} in all: the ring was full; see --ring, \
                 --workers and --filter",
                counters.lost, counters.received
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::live::InterfaceCounters;

    fn status(state: InterfaceState, lost: u64) -> InterfaceStatus {
        let counters = InterfaceCounters { received: 100, lost, ..Default::default() };
        InterfaceStatus { name: "span0".into(), state, counters, ..Default::default() }
    }

    #[test]
    fn losses_are_warned_of_now_and_then_and_none_is_left_out() {
        let mut seen = Seen { state: InterfaceState::Up, lost: 0, warned: None };
        let start = Instant::now();
        let mut compare = |seconds, lost| {
            let now = start + Duration::from_secs(seconds);
            seen.compare(&status(InterfaceState::Up, lost), now).concat()
        };
        assert_eq!(compare(0, 0), "");
        assert!(compare(1, 5).starts_with("span0: 5 frames lost, 5 of 100 in all"));
        assert_eq!(compare(2, 20), "");
        assert_eq!(compare(10, 30), "");
        assert!(compare(11, 30).starts_with("span0: 25 frames lost, 30 of 100 in all"));
        assert_eq!(compare(60, 30), "");
    }

    #[test]
    fn what_is_left_out_is_warned_of_now_and_then() {
        let mut shed = Shed::default();
        let start = Instant::now();
        let mut warning = |seconds, bodies| {
            let mut statistics = Statistics::default();
            statistics.body.shed = bodies;
            shed.count(&statistics);
            shed.warning(start + Duration::from_secs(seconds)).unwrap_or_default()
        };
        assert_eq!(warning(0, 0), "");
        assert!(warning(1, 5).contains("5 bodies"));
        assert_eq!(warning(2, 20), "");
        assert!(warning(11, 20).contains("20 bodies"));
        assert_eq!(warning(60, 20), "");
    }

    #[test]
    fn interfaces_that_come_and_go_are_told_of_once() {
        let mut seen = Seen { state: InterfaceState::Up, lost: 0, warned: None };
        let now = Instant::now();
        let mut compare = |state| seen.compare(&status(state, 0), now).concat();
        assert!(compare(InterfaceState::Gone).contains("gone"));
        assert_eq!(compare(InterfaceState::Gone), "");
        assert!(compare(InterfaceState::Up).contains("back"));
    }

    #[test]
    fn the_queue_of_findings_goes_by_the_memory() {
        let rows = |memcap| queue(memcap).rows;
        assert_eq!(
            [rows(0), rows(64 << 20), rows(1 << 30), rows(1 << 40)],
            [64, 1024, 16384, 16384]
        );
    }

    #[test]
    fn statistics_tell_of_each_interface() {
        let text = stats(&Statistics::default(), &[status(InterfaceState::Down, 7)], 3, 2);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["interfaces"][0]["interface"], "span0");
        assert_eq!(value["interfaces"][0]["state"], "down");
        assert_eq!(value["interfaces"][0]["lost"], 7);
        assert_eq!(value["capture"]["frames_lost"], 0);
        assert_eq!(value["outputs"]["findings_lost"], 2);
    }
}
