//! The engine: frames in, findings out.
//!
//! [`Engine::builder`] takes signatures, a policy and options; a [`Worker`] runs
//! frames to findings on one thread, [`Engine::replay`] spreads blocks of frames
//! over several. Both give the same findings in the same order.
//!
//! ```
//! use mcpwatch::capture::{Block, Fill, Reader, SourceId};
//! use mcpwatch::{Engine, findings::Row};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder().build()?;
//! let mut worker = engine.worker();
//! let mut findings: Vec<Row> = Vec::new();
//! let path = std::path::Path::new("pcaps/quickstart.pcap");
//! let mut reader = Reader::open(path, SourceId(0))?;
//! let mut block = Block::new();
//! while reader.fill(&mut block)? == Fill::Block {
//!     for frame in block.frames() {
//!         worker.on_frame(&frame, &mut findings);
//!     }
//! }
//! let statistics = worker.finish(&mut findings);
//! assert!(statistics.decode.frames > 0);
//! # Ok(())
//! # }
//! ```

mod census;
mod clock;
mod coverage;
mod dispatch;
mod parallel;
mod parts;
mod plain;
mod shard;
mod statistics;
mod steps;

use std::num::NonZeroUsize;
use std::sync::Arc;

use self::clock::{Clock, Tick};
pub use self::coverage::coverage;
use self::plain::Plain;
use self::shard::Shard;
pub use self::statistics::{EngineCounters, Statistics, WorkerCounters};
use crate::capture::{Block, Fill, Frame, Replay, Secrets, SecretsKind, Spread};
use crate::decode::{DecodeLimits, Decoder};
use crate::detect::{
    Collector, CollectorLimits, FindingOptions, FlowState, Observer, ObserverLimits, RowWriter,
};
use crate::findings::FindingSink;
use crate::flow::{FlowHasher, FlowLimits, FlowTable, Moment};
use crate::policy::Policy;
use crate::signature::{Cache, Diagnostic, Matcher, Report, SignatureIndexSet, SignatureSet};
use crate::stream::tls::{KeyLogPart, KeyLogReader, KeyStore};

/// Bounds of the engine's memory and work.
#[derive(Clone, Debug)]
pub struct Limits {
    /// IP fragments.
    pub decode: DecodeLimits,
    /// Flows and TCP reassembly, of one worker.
    pub flow: FlowLimits,
    /// Streams and bodies, of one worker.
    pub observer: ObserverLimits,
    /// Conversations.
    pub collector: CollectorLimits,
    /// Packets that one of several parts of a capture keeps waiting for the others.
    pub parked: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            decode: DecodeLimits::default(),
            flow: FlowLimits::default(),
            observer: ObserverLimits::default(),
            collector: CollectorLimits::default(),
            parked: 128 << 10,
        }
    }
}

impl Limits {
    /// Limits that keep a run with `workers` workers to `bytes` of memory.
    ///
    /// What grows with the traffic is given three quarters: a quarter to what the
    /// protocols of flows keep, an eighth each to the flow tables, to reassembly and to
    /// conversations, and the rest to fragments and names. The last quarter is for what
    /// memory is lost between its pieces.
    pub fn for_memory(bytes: u64, workers: NonZeroUsize) -> Self {
        /// What the program takes at rest, and what is under way between the threads.
        const FIXED: u64 = 20 << 20;
        /// So much of that may be packets that wait for other workers.
        const WAITING: usize = 8 << 20;
        /// A packet that waits: what was decoded of it.
        const PARKED: usize = 192;
        let mut limits = Self::default();
        let bytes = bytes.saturating_sub(FIXED).max(bytes / 4);
        let whole = usize::try_from(bytes).unwrap_or(usize::MAX) / 4 * 3;
        let share = whole / workers.get();
        let flow = &mut limits.flow;
        flow.max_state_total = share / 4;
        flow.max_flows = flow.max_flows.min(share / 8 / FlowTable::<FlowState>::FLOW).max(64);
        flow.max_out_of_order_total = flow.max_out_of_order_total.min(share / 16);
        flow.max_history_total = flow.max_history_total.min(share / 16);
        // Buffers grow by doubling.
        limits.decode.fragment_bytes = limits.decode.fragment_bytes.min(whole / 64);
        let parked = share / 16 + WAITING / workers.get();
        limits.parked = limits.parked.min(parked / PARKED);
        limits.observer.paths = limits.observer.paths.min(share / 64 / 128);
        limits.collector.memory = whole / 8;
        limits.collector.names = limits.collector.names.min(whole / 32 / 256);
        limits
    }
}

/// Where blocks of frames come from.
pub trait BlockSource: Send {
    /// Fills `block` with what comes next.
    fn fill(&mut self, block: &mut Block) -> Fill;

    /// Whether what comes next may have to be waited for, as long as it may be.
    fn may_wait(&self) -> bool {
        true
    }

    /// What ends a wait in [`BlockSource::fill`] from another thread, where that may take
    /// long and this is one of several parts ([`Engine::replay_parts`]).
    fn waker(&self) -> Option<Box<dyn Fn() + Send>> {
        None
    }

    /// How many blocks may wait for those of other parts before they are worked on.
    fn may_hold(&self) -> usize {
        usize::MAX
    }

    /// Whether a frame is to be looked at.
    fn accepts(&mut self, _frame: &Frame<'_>) -> bool {
        true
    }

    /// An engine whose signatures, keys and policy are to be used from this block on,
    /// in place of the ones before. No flow is lost over it: exchanges under way are
    /// judged by the new signatures from there.
    fn update(&mut self) -> Option<Engine> {
        None
    }

    /// Secrets of TLS that came since the block before, to be used from this one on.
    fn keys(&mut self) -> Option<KeyLogPart> {
        None
    }

    /// Whether the sink is to be told of all counters after this block.
    fn wants_statistics(&mut self) -> bool {
        false
    }
}

impl BlockSource for Replay {
    fn fill(&mut self, block: &mut Block) -> Fill {
        Self::fill(self, block)
    }

    fn may_wait(&self) -> bool {
        self.is_slow()
    }
}

/// Everything that workers share: built once, immutable afterwards.
#[derive(Clone, Debug)]
pub struct Engine {
    signatures: Arc<SignatureSet>,
    matcher: Arc<Matcher>,
    keys: Arc<KeyStore>,
    hasher: FlowHasher,
    warnings: Vec<Diagnostic>,
    policy: Policy,
    findings: FindingOptions,
    http_log: bool,
    limits: Limits,
}

impl Engine {
    /// An engine with the shipped signatures, no policy and default options,
    /// to be changed before it is built.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            signatures: None,
            keys: KeyStore::new(),
            policy: Policy::default(),
            findings: FindingOptions::default(),
            http_log: false,
            limits: Limits::default(),
        }
    }

    /// A worker that runs frames to findings on the calling thread.
    pub fn worker(&self) -> Worker {
        Worker {
            keys: Keys::new(Arc::clone(&self.keys)),
            hasher: self.hasher.clone(),
            decoder: self.decoder(),
            clock: Clock::default(),
            shard: self.shard(),
            collector: self.collector(),
        }
    }

    /// Runs all frames of `source` to findings, on the calling thread or, if
    /// `workers` is more than one, on threads beside it; where `source` need not be
    /// waited for, the calling thread is one of two workers. The calling thread
    /// writes the findings, block by block.
    pub fn replay(
        &self,
        workers: NonZeroUsize,
        source: &mut (impl BlockSource + ?Sized),
        sink: &mut dyn FindingSink,
    ) -> Statistics {
        if workers.get() > 1 {
            return parallel::run(self, workers, source, sink);
        }
        let mut worker = self.worker();
        worker.replay(source, sink);
        worker.finish(sink)
    }

    /// Runs all frames of the parts of one capture to findings, each part on a thread that
    /// owns some of the flows. By `spread` the frames are dealt out to the parts as far as
    /// that can be; what comes with a part and belongs to another is handed over. The
    /// calling thread writes the findings, in the order of the frames' times.
    ///
    /// The first part tells of updates and of keys; none carries secrets in its blocks. The
    /// blocks tell what one clock shows.
    ///
    /// # Panics
    /// If there is not a part for each worker of `spread`, or if one of the threads does.
    pub fn replay_parts<S: BlockSource>(
        &self,
        parts: &mut [S],
        spread: &Spread,
        sink: &mut dyn FindingSink,
    ) -> Statistics {
        parts::run(self, parts, spread, sink)
    }

    /// Runs all frames of `source` to findings and says which signatures hit,
    /// whether or not anything came of it.
    pub(crate) fn replay_traced(
        &self,
        source: &mut (impl BlockSource + ?Sized),
        sink: &mut dyn FindingSink,
    ) -> SignatureIndexSet {
        let mut worker = self.worker();
        worker.trace();
        worker.replay(source, sink);
        worker.end(sink);
        worker.take_trace()
    }

    /// What the compiler of the signatures had to say.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    pub(crate) fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(self.limits.decode)
    }

    fn shard(&self) -> Shard {
        Shard::new(
            self.limits.flow.clone(),
            self.hasher.clone(),
            Observer::new(Arc::clone(&self.matcher), Arc::clone(&self.keys), self.limits.observer)
                .with_http_log(self.http_log),
        )
    }

    fn collector(&self) -> Collector {
        let rows = RowWriter::new(
            self.findings.clone(),
            self.policy.clone(),
            Arc::clone(&self.signatures),
        );
        Collector::new(rows, self.limits.collector)
    }
}

/// Sets up an [`Engine`].
#[derive(Clone, Debug)]
pub struct EngineBuilder {
    signatures: Option<SignatureSet>,
    keys: KeyStore,
    policy: Policy,
    findings: FindingOptions,
    http_log: bool,
    limits: Limits,
}

impl EngineBuilder {
    /// Looks for these signatures instead of the shipped ones.
    pub fn signatures(mut self, signatures: SignatureSet) -> Self {
        self.signatures = Some(signatures);
        self
    }

    /// Decrypts TLS with these keys.
    pub fn keys(mut self, keys: KeyStore) -> Self {
        self.keys = keys;
        self
    }

    /// Classifies servers by this policy.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Writes findings by these options.
    pub fn findings(mut self, options: FindingOptions) -> Self {
        self.findings = options;
        self
    }

    /// Tells the sink of every HTTP request, besides the findings.
    pub fn http_log(mut self, wanted: bool) -> Self {
        self.http_log = wanted;
        self
    }

    /// Keeps to these limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// If a signature cannot be compiled within the budget of its field; the
    /// shipped ones can.
    pub fn build(self) -> Result<Engine, Report> {
        self.build_cached(None)
    }

    /// The engine, its signatures compiled only as far as `cache` does not have them: to
    /// compile them takes longer than reading a small capture.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn build_cached(self, cache: Option<Cache>) -> Result<Engine, Report> {
        let signatures = self.signatures.unwrap_or_else(SignatureSet::builtin);
        let (matcher, warnings) = signatures.compile_cached(cache)?;
        Ok(Engine {
            signatures: Arc::new(signatures),
            matcher: Arc::new(matcher),
            warnings,
            keys: Arc::new(self.keys),
            hasher: FlowHasher::random(),
            policy: self.policy,
            findings: self.findings,
            http_log: self.http_log,
            limits: self.limits,
        })
    }
}

/// Runs frames to findings on one thread.
#[derive(Debug)]
pub struct Worker {
    keys: Keys,
    hasher: FlowHasher,
    decoder: Decoder,
    clock: Clock,
    shard: Shard,
    collector: Collector,
}

/// The keys that a run knows, whatever brought them.
#[derive(Clone, Debug)]
struct Keys {
    store: Arc<KeyStore>,
    /// Handshakes whose secrets made room in stores before.
    dropped: u64,
}

impl Keys {
    const fn new(store: Arc<KeyStore>) -> Self {
        Self { store, dropped: 0 }
    }

    /// Other keys take the place of all.
    fn replace(&mut self, store: &Arc<KeyStore>) {
        self.dropped = self.dropped();
        self.store = Arc::clone(store);
    }

    fn extend(&mut self, part: KeyLogPart) {
        self.store = Arc::new(self.store.extended(part));
    }

    /// Takes in what a capture carries; whether it is for TLS.
    fn take_in(&mut self, secrets: &Secrets) -> bool {
        let is_key_log = secrets.kind == SecretsKind::TLS_KEY_LOG;
        if is_key_log {
            self.extend(KeyLogReader::whole(&secrets.bytes));
        }
        is_key_log
    }

    fn dropped(&self) -> u64 {
        self.dropped + self.store.dropped()
    }
}

impl Worker {
    /// Takes in secrets that a capture carries, for the frames that follow.
    pub fn on_secrets(&mut self, secrets: &Secrets) {
        if self.keys.take_in(secrets) {
            self.shard.set_keys(Arc::clone(&self.keys.store));
        }
    }

    /// Takes in what a key log brought, for the frames that follow.
    pub fn on_keys(&mut self, part: KeyLogPart) {
        self.keys.extend(part);
        self.shard.set_keys(Arc::clone(&self.keys.store));
    }

    /// Uses signatures, keys and policy of another engine from here on.
    pub fn renew(&mut self, engine: &Engine) {
        self.keys.replace(&engine.keys);
        self.shard.set_keys(Arc::clone(&engine.keys));
        self.shard.set_matcher(Arc::clone(&engine.matcher));
        let _ = self.collector.renew(engine.policy.clone(), Arc::clone(&engine.signatures));
    }

    /// Takes in the next frame; what it lets know goes to `sink` at once.
    pub fn on_frame<S: FindingSink + ?Sized>(&mut self, frame: &Frame<'_>, sink: &mut S) {
        self.take_in_frame(frame, &mut Forward(sink));
    }

    #[inline(always)]
    fn take_in_frame(&mut self, frame: &Frame<'_>, sink: &mut dyn FindingSink) {
        if let Some(tick) = self.clock.on_frame(frame.source, frame.time) {
            self.advance(tick, sink);
        }
        let at = self.clock.moment();
        match Plain::of(frame, &self.hasher) {
            Some(plain) => {
                self.decoder.count_plain();
                self.shard.on_plain(at, &plain, frame);
            }
            None => self.take_in_other(at, frame),
        }
        if self.shard.has_events() {
            self.collect(sink);
        }
    }

    #[inline(never)]
    fn take_in_other(&mut self, at: Moment, frame: &Frame<'_>) {
        let outcome = self.decoder.decode_stepwise(frame, self.clock.frame_time());
        if let Some(packet) = outcome.as_packet() {
            let key = self.hasher.key(packet);
            self.shard.on_packet(at, &key, packet);
        }
    }

    /// Runs all frames of `source`, block by block.
    fn replay(&mut self, source: &mut (impl BlockSource + ?Sized), sink: &mut dyn FindingSink) {
        let mut block = Block::new();
        while source.fill(&mut block) == Fill::Block {
            if let Some(engine) = source.update() {
                self.renew(&engine);
            }
            if let Some(part) = source.keys() {
                self.on_keys(part);
            }
            for secrets in block.secrets() {
                self.on_secrets(secrets);
            }
            self.shard.set_pressure(block.pressure());
            self.clock.show(block.clock());
            for frame in block.frames() {
                if source.accepts(&frame) {
                    self.take_in_frame(&frame, sink);
                } else if let Some(tick) = self.clock.on_unwanted(frame.source, frame.time) {
                    self.advance(tick, sink);
                }
            }
            if block.is_empty()
                && let Some(tick) = self.clock.on_silence()
            {
                self.advance(tick, sink);
            }
            if source.wants_statistics() {
                sink.statistics(&self.statistics());
            }
            sink.block_end(block.last_time());
        }
    }

    /// Ends all flows and conversations.
    pub fn finish<S: FindingSink + ?Sized>(mut self, sink: &mut S) -> Statistics {
        self.end(sink);
        self.statistics()
    }

    /// What was counted so far.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = Statistics {
            decode: *self.decoder.counters(),
            collector: self.collector.counters(),
            engine: EngineCounters {
                frames: self.clock.packets(),
                secrets_dropped: self.keys.dropped(),
            },
            ..Statistics::default()
        };
        self.shard.add_to(&mut statistics);
        statistics
    }

    fn end<S: FindingSink + ?Sized>(&mut self, sink: &mut S) {
        let mut sink = Forward(sink);
        self.decoder.finish();
        self.shard.finish();
        self.collect(&mut sink);
        self.collector.finish(&mut sink);
    }

    /// From here on notes every signature that hits, whether or not anything
    /// comes of it.
    pub(crate) fn trace(&mut self) {
        self.shard.trace();
    }

    /// The signatures that hit since the last call, where they are noted. Those
    /// of an exchange are known at its end.
    pub(crate) fn take_trace(&mut self) -> SignatureIndexSet {
        self.shard.take_trace()
    }

    fn advance(&mut self, tick: Tick, sink: &mut dyn FindingSink) {
        self.shard.advance(tick);
        self.collect(sink);
        self.collector.advance(tick.flow_time, sink);
    }

    #[inline(never)]
    fn collect(&mut self, sink: &mut dyn FindingSink) {
        for event in self.shard.take_events() {
            self.collector.on_event(event, sink);
        }
    }
}

/// Lets an unsized sink be used as a trait object.
struct Forward<'a, S: ?Sized>(&'a mut S);

impl<S: FindingSink + ?Sized> FindingSink for Forward<'_, S> {
    fn finding(&mut self, row: crate::findings::Row) {
        self.0.finding(row);
    }

    fn http_request(&mut self, request: &crate::findings::HttpRequest) {
        self.0.http_request(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Inputs, SourceId};
    use crate::findings::{HttpRequest, Row};

    #[derive(Debug, Default, PartialEq)]
    struct Seen {
        findings: Vec<Row>,
        requests: Vec<HttpRequest>,
    }

    impl FindingSink for Seen {
        fn finding(&mut self, row: Row) {
            self.findings.push(row);
        }

        fn http_request(&mut self, request: &HttpRequest) {
            self.requests.push(request.clone());
        }
    }

    fn replay(engine: EngineBuilder, workers: usize) -> Seen {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps/p-py130-20sessions.pcap");
        let mut source = Replay::new(Inputs::expand([path]));
        let mut seen = Seen::default();
        let workers = NonZeroUsize::new(workers).unwrap();
        engine.build().unwrap().replay(workers, &mut source, &mut seen);
        seen
    }

    /// Replays a capture, going over to each engine in turn from frame to frame.
    fn renewed(path: &str, engines: &[Engine]) -> Vec<Row> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps").join(path);
        let mut reader = crate::capture::Reader::open(&path, SourceId(0)).unwrap();
        let mut worker = engines[0].worker();
        let mut block = Block::new();
        let mut rows = Vec::new();
        let mut turn = engines.iter().cycle();
        while reader.fill(&mut block).unwrap() == Fill::Block {
            for frame in block.frames() {
                worker.renew(turn.next().unwrap());
                worker.on_frame(&frame, &mut rows);
            }
        }
        worker.finish(&mut rows);
        rows
    }

    /// Engines with other numbers for the same signatures; the second one has one more.
    pub(super) fn engines_of_other_numbers() -> [Engine; 2] {
        let extra = r#"
            version = 1
            [[signature]]
            id = "a.first"
            title = "First"
            field = "http.path"
            exact = "/first"
            strength = "weak"
        "#;
        let mut more = SignatureSet::parse("extra", extra).unwrap();
        more.merge(SignatureSet::builtin()).unwrap();
        [SignatureSet::builtin(), more]
            .map(|set| Engine::builder().signatures(set).build().unwrap())
    }

    #[test]
    fn no_conversation_is_lost_when_signatures_are_replaced() {
        let [plain, other] = engines_of_other_numbers();
        for path in ["p-py130-20sessions.pcap", "p-h2c-hypercorn-full.pcap", "h-one-byte.pcap"] {
            let whole = renewed(path, std::slice::from_ref(&plain));
            let swapped = renewed(path, &[plain.clone(), other.clone()]);
            let seen = |rows: &[Row]| -> Vec<_> {
                rows.iter().map(|row| (row.kind, row.confidence, row.mcp.methods.clone())).collect()
            };
            assert_eq!(seen(&whole), seen(&swapped), "{path}");
        }
    }

    #[test]
    fn the_http_log_changes_no_finding_and_does_not_depend_on_workers() {
        let without = replay(Engine::builder(), 1);
        let with = replay(Engine::builder().http_log(true), 1);
        assert_eq!(without.requests, []);
        assert_eq!(without.findings, with.findings);
        assert_eq!(with, replay(Engine::builder().http_log(true), 3));
        let posts: Vec<_> = with.requests.iter().filter(|it| it.method == "POST").collect();
        assert!(posts.len() >= 20 * 3, "{}", posts.len());
        assert!(posts.iter().all(|post| post.target == "/mcp" && post.status.is_some()));
    }
}
