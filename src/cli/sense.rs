//! `mcpwatch sense`: interfaces in, findings out, until it is told to end.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::args::{CaptureBy, SenseArgs, Timestamps, Turn};
use super::keylogs::KeyLogs;
use super::log::Entry;
use super::outputs::Outputs;
use super::pid_file::PidFile;
use super::reload::Reload;
use super::view::{self, LiveView};
use super::{Exit, check, complain, detection, log, print, privileges, signals};
use crate::capture::live::{
    Backend, InterfaceState, InterfaceStatus, LiveCapture, LiveOptions, LiveStatus, TimeSource,
    link_speed,
};
use crate::capture::{Block, Fill, Frame, Spread};
use crate::detect::Pace;
use crate::engine::{BlockSource, Engine, Limits, Statistics, coverage};
use crate::findings::batch::BatchPolicy;
use crate::findings::sink::{
    self, Format, QueueLimits, QueuedSink, RotatingSink, Rotation, Sink, SinkError, Spool,
};
use crate::findings::{Confidence, Destination, FindingSink, HttpRequest, Row};
use crate::metrics::{Metrics, server};
use crate::report::terminal;
use crate::stream::tls::{HoldBudget, KeyLogPart, KeyStore};
use crate::time::Timestamp;

/// Longest that a finding waits to be written.
const MAX_AGE: Duration = Duration::from_millis(250);

/// How often interfaces are looked at for what is worth a warning.
const LOOK: Duration = Duration::from_secs(1);

/// How often losses are warned of, at most.
const WARN: Duration = Duration::from_secs(10);

/// The share of the memory for secrets of TLS, and the one for records that wait for
/// theirs.
const KEY_SHARES: (u64, u64) = (8, 8);

/// Memory of the secrets of one handshake.
const HANDSHAKE: u64 = 400;

pub(super) fn run(args: &SenseArgs) -> Exit {
    log::set_format(args.service.log_format);
    if args.service.check {
        return check::run(args);
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::allocator::settle();
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
    workers: NonZeroUsize,
    spread: Spread,
    /// One for each worker, or one for all.
    parts: Vec<Interfaces>,
    status: LiveStatus,
    watched: Watched,
    /// What is to be said of rings.
    notes: Vec<Entry>,
    /// Set to end the capture.
    stop: Arc<AtomicBool>,
    _pid_file: Option<PidFile>,
}

impl<'a> Sense<'a> {
    /// Reads everything that can be wrong, then opens the interfaces.
    fn prepare(args: &'a SenseArgs) -> Result<Self, String> {
        view::check(args)?;
        let arguments = &args.detection;
        let filter = detection::filter(arguments)?;
        let workers = detection::workers(arguments);
        let limits = Limits::for_memory(args.memcap, workers);
        let store = key_store(args);
        let keys = detection::growing_keys(store.clone(), &arguments.keylog)?;
        let (sources, pace) = (args.interface.clone(), pace(args));
        let signatures = detection::signatures(arguments)?;
        let engine =
            detection::engine(arguments, signatures, keys, sources, false, limits.clone(), pace)?;
        privileges::check(args)?;
        let options = LiveOptions {
            backend: backend(args)?,
            time_source: match args.timestamps {
                Timestamps::Kernel => TimeSource::Kernel,
                Timestamps::Hardware => TimeSource::Hardware,
            },
            snap_length: args.snap_length,
            ring: args.ring,
            promiscuous: !args.no_promiscuous,
            filter,
            ..LiveOptions::default()
        };
        // Before anything takes long: a signal that comes early must not end it all.
        let (stop, asked) = (signals::end(), signals::reload());
        let spread = Spread::random(workers);
        let parts = LiveCapture::open_parts(&args.interface, options, &spread, Arc::clone(&stop))
            .map_err(|error| error.to_string())?;
        let status = parts.first().map(LiveCapture::status).unwrap_or_default();
        let (rotation, spool) = (rotation(args)?, spool(args)?);
        let listener = args.metrics.map(|address| listen(address, arguments.quiet)).transpose()?;
        let pid_file = args.service.pid_file.as_deref().map(PidFile::write).transpose()?;
        if let Some(Spool { folder, .. }) = &spool {
            // Only what is there can be kept within reach.
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("--spool {}: {error}", folder.display()))?;
        }
        let notes = small_rings(args);
        // Threads that are started before it keep what they have.
        privileges::give_up(args)?;
        let queue = queue(args.memcap);
        let outputs = Outputs::open(arguments, None, |path, format| {
            open(path, format, rotation, spool.as_ref(), queue)
        })?;
        let metrics = Arc::new(Metrics::new(status.clone()));
        if let Some(listener) = listener {
            let metrics = Arc::clone(&metrics);
            server::start(listener, metrics).map_err(|error| format!("--metrics: {error}"))?;
        }
        let key_logs = KeyLogs::follow(&arguments.keylog, Arc::clone(&metrics))?;
        let watch = Watch::new(status.clone(), arguments.quiet);
        let reload = reload(args, asked, store, limits, Arc::clone(&metrics));
        let mut news = Some(News { reload, key_logs });
        let part = |live| Interfaces { live, news: news.take(), counted: None };
        let parts = parts.into_iter().map(part).collect();
        let watched = Watched { outputs, watch, metrics, view: LiveView::default() };
        Ok(Self {
            args,
            engine,
            workers,
            spread,
            parts,
            status,
            watched,
            notes,
            stop,
            _pid_file: pid_file,
        })
    }

    fn run(self) -> Exit {
        let Self { args, engine, workers, spread, mut parts, status, .. } = self;
        let Self { mut watched, notes, stop, _pid_file, .. } = self;
        let arguments = &args.detection;
        // Last of all, so that whatever fails before is said on a terminal as it was.
        match LiveView::open(args, status.clone(), stop) {
            Ok(view) => watched.view = view,
            Err(message) => {
                complain(&message);
                return Exit::Failed;
            }
        }
        if !arguments.quiet {
            let interfaces = status.interfaces();
            interfaces.iter().flat_map(about).for_each(|note| note.say());
            notes.iter().for_each(Entry::say);
            let message = format!("watching {}", args.interface.join(", "));
            log::info("watching", message).with("interfaces", args.interface.clone()).say();
        }
        let mut statistics = match parts.as_mut_slice() {
            [whole] => engine.replay(workers, whole, &mut watched),
            parts => engine.replay_parts(parts, &spread, &mut watched),
        };
        statistics.capture = status.counters();
        let Watched { mut outputs, view, .. } = watched;
        let trouble = outputs.finish();
        let lost = outputs.lost();
        // After the files: a terminal that takes nothing can hold up what is said.
        view.close();
        outputs.take_notices().iter().for_each(|notice| log::warning("output", notice).say());
        trouble.iter().for_each(|message| log::error("output", message).say());
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
            status.interfaces().iter().for_each(|status| summary(status).say());
        }
        match arguments.fail_on.map(Confidence::from) {
            Some(level) if outputs.highest >= Some(level) => Exit::Found,
            _ if incomplete => Exit::Incomplete,
            _ => Exit::Done,
        }
    }
}

/// Reads anew what the arguments name, when asked to.
fn reload(
    args: &SenseArgs,
    asked: Arc<AtomicBool>,
    store: KeyStore,
    limits: Limits,
    metrics: Arc<Metrics>,
) -> Reload {
    let (arguments, interfaces) = (args.detection.clone(), args.interface.clone());
    let pace = pace(args);
    Reload::new(asked, move || {
        let load = || {
            let keys = detection::growing_keys(store.clone(), &arguments.keylog)?;
            let (signatures, sources) = (detection::signatures(&arguments)?, interfaces.clone());
            detection::engine(&arguments, signatures, keys, sources, false, limits.clone(), pace)
        };
        let engine = load();
        metrics.reloaded(engine.is_ok());
        engine
    })
}

/// How often findings may come.
fn pace(args: &SenseArgs) -> Pace {
    Pace {
        summary_interval: Some(args.summary_interval).filter(|interval| !interval.is_zero()),
        messages: Some(args.message_limit).filter(|limit| *limit > 0),
        repeats: Some(args.repeat_limit).filter(|limit| *limit > 0),
    }
}

/// What captures, if it is there.
pub(super) fn backend(args: &SenseArgs) -> Result<Backend, String> {
    let backend = match args.capture {
        None => Backend::default(),
        Some(CaptureBy::Ring) => Backend::Ring,
        Some(CaptureBy::Libpcap) => Backend::Libpcap,
    };
    backend.check().map_err(|error| error.to_string())?;
    match (backend, args.timestamps) {
        (Backend::Libpcap, Timestamps::Hardware) => {
            Err("--timestamps hardware needs the ring: libpcap does not say whose they are".into())
        }
        _ => Ok(backend),
    }
}

/// When files are to be followed by others.
pub(super) fn rotation(args: &SenseArgs) -> Result<Option<Rotation>, String> {
    if args.rotate.is_empty() {
        return Ok(None);
    }
    let outputs = &args.detection.output;
    if outputs.is_empty() || outputs.iter().any(|it| is_consumer(it)) {
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

/// Where findings wait whose consumers do not take them.
pub(super) fn spool(args: &SenseArgs) -> Result<Option<Spool>, String> {
    let Some(folder) = &args.spool else { return Ok(None) };
    let outputs = &args.detection.output;
    if !outputs.iter().any(|it| is_consumer(it)) {
        return Err("--spool needs an output that somebody takes, such as unix:PATH".to_owned());
    }
    Ok(Some(Spool { folder: folder.clone(), size: args.spool_size }))
}

/// Whether an output is read by somebody while it is written.
fn is_consumer(output: &Path) -> bool {
    output == "-" || Destination::from_argument(output).is_consumer()
}

fn open(
    path: &Path,
    format: Format,
    rotation: Option<Rotation>,
    spool: Option<&Spool>,
    queue: QueueLimits,
) -> Result<Box<dyn Sink>, SinkError> {
    let policy = BatchPolicy { max_age: MAX_AGE, ..BatchPolicy::default() };
    let destination = Destination::from_argument(path);
    let name = destination.name();
    let spool = spool.filter(|_| is_consumer(path));
    let sink: Box<dyn Sink> = match rotation {
        Some(rotation) => Box::new(RotatingSink::open(path, format, policy, rotation)?),
        None if destination.is_consumer() || spool.is_some() => {
            sink::open_consumer(destination, format, policy, spool)?
        }
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

/// What is worth a warning of an interface at the start.
fn about(status: &InterfaceStatus) -> impl Iterator<Item = Entry> {
    offloads(status).into_iter().chain(untimed(status))
}

/// Notes on rings that fill up too fast for the links of their interfaces.
fn small_rings(args: &SenseArgs) -> Vec<Entry> {
    let note = |name: &String| small_ring(name, args.ring, link_speed(name)?);
    args.interface.iter().filter_map(note).collect()
}

/// A note on a ring of so many bytes, if a full line of so many Mbit/s fills it at once.
fn small_ring(name: &str, ring: u64, speed: u64) -> Option<Entry> {
    /// What workers may well fall behind, in milliseconds.
    const BEHIND: u64 = 100;
    let per_milli = speed.checked_mul(125)?;
    let lasts = ring / per_milli;
    let better = (per_milli.checked_mul(5 * BEHIND)? >> 20).checked_next_power_of_two()?;
    let message = format!(
        "{name}: at {speed} Mbit/s its ring is full after {lasts} ms; '--ring {better}M' bridges \
         half a second"
    );
    (lasts < BEHIND).then(|| log::warning("small_ring", message).with("interface", name))
}

/// A note on times that the card does not tell, though it was asked to.
fn untimed(status: &InterfaceStatus) -> Option<Entry> {
    let InterfaceStatus { name, untimed, .. } = status;
    let why = untimed.as_ref()?;
    let message = format!(
        "{name}: no hardware time stamps: {why}; where they are missing, the kernel's are used"
    );
    Some(log::warning("timestamps", message).with("interface", name.as_str()))
}

/// A note on offloads of an interface, if any are on.
fn offloads(status: &InterfaceStatus) -> Option<Entry> {
    let InterfaceStatus { name, offloads, .. } = status;
    let off = offloads.iter().map(|it| format!("{it} off")).collect::<Vec<_>>().join(" ");
    let message = format!(
        "{name}: the interface joins frames before they are captured; counts of frames are \
         not those of the wire ('ethtool -K {name} {off}' turns that off)"
    );
    (!offloads.is_empty())
        .then(|| log::warning("offloads", message).with("interface", name.as_str()))
}

/// What came over an interface, in a line.
fn summary(status: &InterfaceStatus) -> Entry {
    let InterfaceStatus { name, counters, .. } = status;
    let message = format!("{name}: {} frames read, {} lost", counters.frames, counters.lost);
    log::info("ended", message)
        .with("interface", name.as_str())
        .with("frames", counters.frames)
        .with("lost", counters.lost)
}

/// Where secrets of TLS are kept, and what waits for them: as much as the memory is
/// for.
fn key_store(args: &SenseArgs) -> KeyStore {
    if args.detection.keylog.is_empty() {
        return KeyStore::new();
    }
    let count = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    KeyStore::new()
        .growing(true)
        .bounded(count(args.memcap / KEY_SHARES.0 / HANDSHAKE).max(1024))
        .holding(HoldBudget::new(count(args.memcap / KEY_SHARES.1)))
}

/// Listens for those who ask for metrics.
fn listen(address: SocketAddr, quiet: bool) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address);
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(|error| format!("--metrics {address}: {error}"))?;
    if !quiet {
        let message = format!("metrics at http://{address}/metrics");
        log::info("metrics", message).with("address", address.to_string()).say();
    }
    Ok(listener)
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

/// What a worker has of the interfaces, or all of them, as the engine takes it.
struct Interfaces {
    live: LiveCapture,
    /// The first one has it.
    news: Option<News>,
    /// When all counters were last asked for.
    counted: Option<Instant>,
}

/// What changes while the sensor runs.
struct News {
    reload: Reload,
    key_logs: KeyLogs,
}

impl BlockSource for Interfaces {
    fn fill(&mut self, block: &mut Block) -> Fill {
        self.live.fill(block)
    }

    fn waker(&self) -> Option<Box<dyn Fn() + Send>> {
        self.live.waker()
    }

    fn may_hold(&self) -> usize {
        self.live.may_hold()
    }

    fn accepts(&mut self, frame: &Frame<'_>) -> bool {
        self.live.accepts(frame)
    }

    fn update(&mut self) -> Option<Engine> {
        let News { reload, key_logs } = self.news.as_mut()?;
        let loaded = reload.poll();
        if loaded.is_some() {
            // What came since they were read is not in there.
            key_logs.read_again();
        }
        loaded
    }

    fn keys(&mut self) -> Option<KeyLogPart> {
        self.news.as_mut()?.key_logs.take()
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
    view: LiveView,
}

impl FindingSink for Watched {
    fn finding(&mut self, row: Row) {
        self.view.finding(&row);
        self.metrics.finding(&row);
        self.outputs.finding(row);
    }

    fn http_request(&mut self, request: &HttpRequest) {
        self.outputs.http_request(request);
    }

    fn statistics(&mut self, statistics: &Statistics) {
        self.view.statistics(statistics);
        self.metrics.statistics(statistics);
        self.watch.shed.count(statistics);
    }

    fn block_end(&mut self, through: Option<Timestamp>) {
        let now = Instant::now();
        self.outputs.tick(now);
        self.metrics.through(through, self.outputs.lost(), self.outputs.spooled());
        for message in self.outputs.take_trouble() {
            log::error("output", message).say();
        }
        for notice in self.outputs.take_notices() {
            log::warning("output", notice).say();
        }
        self.watch.look(now).iter().for_each(Entry::say);
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

    fn look(&mut self, now: Instant) -> Vec<Entry> {
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

    fn warning(&mut self, now: Instant) -> Option<Entry> {
        let all = self.bodies + self.encrypted;
        if all == self.said || !is_due(self.warned, now) {
            return None;
        }
        self.said = all;
        self.warned = Some(now);
        let message = format!(
            "the workers cannot follow: {} bodies without a sign of MCP were not read and {} \
             encrypted connections not followed so far; see --workers and --filter",
            self.bodies, self.encrypted
        );
        let entry = log::warning("shed", message).with("bodies", self.bodies);
        Some(entry.with("encrypted", self.encrypted))
    }
}

/// Whether it is time for another warning.
fn is_due(warned: Option<Instant>, now: Instant) -> bool {
    warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN)
}

impl Seen {
    fn compare(&mut self, status: &InterfaceStatus, now: Instant) -> Vec<Entry> {
        let mut warnings = Vec::new();
        let InterfaceStatus { name, state, counters, .. } = status;
        if self.state != *state {
            self.state = *state;
            let entry = match state {
                InterfaceState::Up => log::info("interface_up", format!("{name}: back")),
                InterfaceState::Down => log::warning(
                    "interface_down",
                    format!("{name}: down; waiting for it to come up"),
                ),
                InterfaceState::Gone => log::warning(
                    "interface_gone",
                    format!("{name}: gone; looking for it every second"),
                ),
            };
            warnings.push(entry.with("interface", name.as_str()));
        }
        let more = counters.lost.saturating_sub(self.lost);
        if more > 0 && is_due(self.warned, now) {
            self.lost = counters.lost;
            self.warned = Some(now);
            let message = format!(
                "{name}: {more} frames lost, {} of {} in all: the ring was full; see --ring, \
                 --workers and --filter",
                counters.lost, counters.received
            );
            let entry = log::warning("frames_lost", message).with("interface", name.as_str());
            warnings.push(entry.with("lost", more).with("lost_in_all", counters.lost));
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

    fn told(entries: &[Entry]) -> String {
        entries.iter().map(Entry::message).collect()
    }

    #[test]
    fn losses_are_warned_of_now_and_then_and_none_is_left_out() {
        let mut seen = Seen { state: InterfaceState::Up, lost: 0, warned: None };
        let start = Instant::now();
        let mut compare = |seconds, lost| {
            let now = start + Duration::from_secs(seconds);
            told(&seen.compare(&status(InterfaceState::Up, lost), now))
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
            told(shed.warning(start + Duration::from_secs(seconds)).as_slice())
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
        let mut compare = |state| told(&seen.compare(&status(state, 0), now));
        assert!(compare(InterfaceState::Gone).contains("gone"));
        assert_eq!(compare(InterfaceState::Gone), "");
        assert!(compare(InterfaceState::Up).contains("back"));
    }

    #[test]
    fn a_ring_is_small_for_a_fast_link() {
        let note =
            |mebibytes: u64, speed| told(small_ring("span0", mebibytes << 20, speed).as_slice());
        assert_eq!([note(64, 1000), note(64, 2500), note(1024, 10_000)], ["", "", ""]);
        assert_eq!(
            note(64, 10_000),
            "span0: at 10000 Mbit/s its ring is full after 53 ms; '--ring 1024M' bridges half a \
             second"
        );
        assert!(note(8, 1000).contains("'--ring 64M'"));
        // What it advises is enough.
        for speed in [100, 1000, 2500, 10_000, 25_000, 100_000] {
            let better = note(0, speed).split_once("--ring ").unwrap().1.to_owned();
            let better = better.split_once('M').unwrap().0.parse().unwrap();
            assert_eq!(note(better, speed), "");
        }
        assert_eq!(note(64, u64::MAX), "");
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
