//! Several parts of one capture side by side: each is read, decoded and worked on by a
//! thread of its own, one collector puts the events of all in order.
//!
//! ```text
//! ring 0 ─ part 0: deal, shard ─┐
//!          ↑↓ handed over       ├─ confluence ─ collector ─ sink
//! ring 1 ─ part 1: deal, shard ─┘
//! ```
//!
//! The kernel deals frames out by flow as far as it can see into them; what belongs to
//! another part (in a tunnel, put together from fragments) is handed over by the inner
//! five-tuple, with the block that it lies in. Ordinals go by time, so that there is an
//! order over all parts: a part does what is its own and what it was handed in that order,
//! as far as all others have come. So the findings are those of one thread that gets the
//! frames in the order of their times. Where one part falls far behind, the others do not
//! wait for it; then what it hands over comes late, as if the network had delayed it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};

use super::census::{Census, Roll};
use super::clock::Tick;
use super::dispatch::{Dealt, Dispatch, Notice, Work};
use super::parallel::{joined, merge};
use super::shard::Shard;
use super::steps::Common;
use super::{BlockSource, Engine, Statistics};
use crate::capture::{Block, Fill, Spread};
use crate::detect::{Collector, Event, Renumbering};
use crate::findings::FindingSink;
use crate::time::Timestamp;

/// What may be on its way to a part, and from each part to the collector.
const UNDER_WAY: usize = 4;

/// Events that wait until all parts have come as far.
const WAITING: usize = 16 << 10;

/// How long a part waits for room in another before it looks after its own.
const RETRY: Duration = Duration::from_millis(1);

/// How often a part that has ended looks whether the others still run.
const LOOK: Duration = Duration::from_millis(10);

/// What parts tell each other beside what they hand over.
struct Progress {
    /// By part: all that comes later from there has greater ordinals. Told when all before
    /// that has been handed over.
    through: Vec<AtomicU64>,
    /// By part: the frames that came elsewhere, and where, since it last looked.
    rolls: Vec<Mutex<Vec<(usize, Roll)>>>,
    /// Whether one of them panicked.
    broken: AtomicBool,
}

impl Progress {
    fn new(parts: usize) -> Self {
        Self {
            through: (0..parts).map(|_| AtomicU64::new(0)).collect(),
            rolls: (0..parts).map(|_| Mutex::default()).collect(),
            broken: AtomicBool::new(false),
        }
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// What a part hands to another: a block, and what there is to do with it.
struct Load {
    from: usize,
    block: Arc<Block>,
    work: Work,
}

/// What came from a part and is not done yet.
#[derive(Default)]
struct Inflow {
    loads: VecDeque<Load>,
    through: u64,
}

impl Inflow {
    fn next_ordinal(&self) -> Option<u64> {
        self.loads.front().and_then(|load| load.work.next_ordinal())
    }

    /// Up to which ordinal nothing comes any more.
    fn bound(&self) -> u64 {
        self.next_ordinal().map_or(self.through, |next| next.saturating_sub(1))
    }
}

/// How another part is reached.
struct Peer {
    inbox: Sender<Load>,
    wake: Option<Box<dyn Fn() + Send>>,
}

/// What a part tells the collector.
struct Report {
    part: usize,
    /// How often it went over to other signatures before these events.
    renewals: u64,
    events: Vec<Event>,
    /// It makes no more events of ordinals up to this.
    through: u64,
    /// Of the block that was dealt out, if one was, and its last ordinal.
    notice: Option<(Notice, u64)>,
}

/// Runs all parts.
pub(super) fn run<S: BlockSource>(
    engine: &Engine,
    sources: &mut [S],
    spread: &Spread,
    sink: &mut dyn FindingSink,
) -> Statistics {
    assert_eq!(sources.len(), spread.workers().get(), "a part for each worker");
    let (inboxes, outboxes): (Vec<_>, Vec<_>) =
        sources.iter().map(|_| bounded::<Load>(UNDER_WAY * sources.len())).unzip();
    let (reports, reported) = bounded(UNDER_WAY * sources.len());
    let (common, progress) = (Arc::<Common>::default(), Arc::new(Progress::new(sources.len())));
    let mut parts = Vec::new();
    for (index, inbox) in outboxes.into_iter().enumerate() {
        let peer = |(to, inbox): (usize, &Sender<Load>)| {
            let wake = sources.get(to).and_then(BlockSource::waker);
            (to != index).then(|| Peer { inbox: inbox.clone(), wake })
        };
        parts.push(Part {
            index,
            dispatch: Dispatch::of_part(engine, index, *spread, Arc::clone(&common)),
            shard: engine.shard(),
            now: Timestamp::MIN,
            inflows: sources.iter().map(|_| Inflow::default()).collect(),
            census: Census::new(sources.len()),
            inbox,
            peers: inboxes.iter().enumerate().map(peer).collect(),
            reports: reports.clone(),
            renewals: 0,
            hold: sources.get(index).map_or(usize::MAX, BlockSource::may_hold),
            spare: Vec::new(),
            handed_over: 0,
            parked: 0,
            may_park: engine.limits.parked,
            progress: Arc::clone(&progress),
        });
    }
    drop((inboxes, reports));
    thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .zip(sources)
            .map(|(part, source)| scope.spawn(move || part.run(source)))
            .collect();
        let mut confluence = Confluence::new(threads.len(), engine.collector(), sink);
        for report in reported {
            confluence.take(report);
        }
        let (mut collector, sink) = confluence.finish();
        let mut statistics = Statistics::default();
        for thread in threads {
            statistics.merge(&joined(thread));
        }
        collector.finish(sink);
        statistics.collector = collector.counters();
        statistics
    })
}

/// A part: what comes in by it, and the flows that it owns.
struct Part {
    index: usize,
    dispatch: Dispatch,
    shard: Shard,
    /// Table time, by what was done last.
    now: Timestamp,
    /// By part, this one among them.
    inflows: Vec<Inflow>,
    census: Census,
    inbox: Receiver<Load>,
    /// By part; none for this one.
    peers: Vec<Option<Peer>>,
    reports: Sender<Report>,
    renewals: u64,
    hold: usize,
    spare: Vec<Block>,
    /// Packets that came by it and are another's.
    handed_over: u64,
    /// What there is left to do, and how much that may be.
    parked: usize,
    may_park: usize,
    progress: Arc<Progress>,
}

/// Lets the others know if the thread panics.
struct Alarm(Arc<Progress>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.broken.store(true, Ordering::Relaxed);
        }
    }
}

impl Part {
    /// Works until the source ends, and the others have; what was counted.
    fn run(mut self, source: &mut impl BlockSource) -> Statistics {
        let _alarm = Alarm(Arc::clone(&self.progress));
        while !self.progress.is_broken() {
            let mut block = self.spare.pop().unwrap_or_default();
            if source.fill(&mut block) == Fill::End {
                break;
            }
            self.take_in(block, source);
        }
        self.end()
    }

    /// Deals a block out, and does what can be done.
    fn take_in(&mut self, block: Block, source: &mut impl BlockSource) {
        self.shard.set_pressure(block.pressure());
        let Dealt { work, ordinals, mut notice } =
            self.dispatch.deal(&block, source, None, self.inflows.len());
        if let Some(counters) = &mut notice.counters {
            **counters = self.statistics();
        }
        let through = self.dispatch.through();
        // Before anybody goes over to what it brings.
        if notice.update.is_some() {
            let ahead = Notice { update: notice.update.take(), ..Notice::default() };
            self.tell(Some((ahead, 0)));
        }
        if !ordinals.is_empty() {
            self.tell_of((block.source(), Arc::from(ordinals)));
        }
        self.hand_out(block, work);
        if let Some(told) = self.progress.through.get(self.index) {
            told.store(through, Ordering::Release);
        }
        self.hear();
        self.work();
        self.tell(Some((notice, through)));
    }

    /// Lets all parts know of the frames of a block.
    fn tell_of(&mut self, roll: Roll) {
        for (to, rolls) in self.progress.rolls.iter().enumerate() {
            if to != self.index {
                let mut rolls = rolls.lock().unwrap_or_else(PoisonError::into_inner);
                rolls.push((self.index, roll.clone()));
            }
        }
        self.census.add(self.index, roll);
    }

    fn hand_out(&mut self, block: Block, work: Vec<Work>) {
        let block = Arc::new(block);
        for (to, work) in work.into_iter().enumerate().filter(|(_, work)| !work.is_done()) {
            let packets = work.packets();
            let load = Load { from: self.index, block: Arc::clone(&block), work };
            if to == self.index {
                self.put(load);
            } else {
                self.handed_over += packets;
                self.ship(to, load);
            }
        }
        self.recycle(block);
    }

    /// Hands to another part. Where that cannot take it yet, takes what others hand over
    /// meanwhile, so that no two wait for each other.
    fn ship(&mut self, to: usize, load: Load) {
        let Some(Some(peer)) = self.peers.get(to) else { return };
        let inbox = peer.inbox.clone();
        let mut sent = inbox.send_timeout(load, RETRY);
        while let Err(SendTimeoutError::Timeout(load)) = sent {
            self.hear();
            if self.is_full() {
                self.work();
            }
            sent = inbox.send_timeout(load, RETRY);
        }
        // A part is gone only if it panicked, which the join will show.
        if let Some(Some(Peer { wake: Some(wake), .. })) = self.peers.get(to) {
            wake();
        }
    }

    /// Takes in what others have handed over and told.
    fn hear(&mut self) {
        // Looked at first: all up to there has been handed over by then.
        let told: Vec<_> =
            self.progress.through.iter().map(|told| told.load(Ordering::Acquire)).collect();
        while let Ok(load) = self.inbox.try_recv() {
            self.put(load);
        }
        // Looked at last: that of a load was told before it was handed over.
        if let Some(rolls) = self.progress.rolls.get(self.index) {
            let mut rolls = rolls.lock().unwrap_or_else(PoisonError::into_inner);
            rolls.drain(..).for_each(|(from, roll)| self.census.add(from, roll));
        }
        for (inflow, told) in self.inflows.iter_mut().zip(told) {
            inflow.through = told;
        }
    }

    fn put(&mut self, load: Load) {
        if let Some(inflow) = self.inflows.get_mut(load.from) {
            self.parked += load.work.left();
            inflow.loads.push_back(load);
        }
    }

    /// Gives the memory of a block back that nobody else has.
    fn recycle(&mut self, block: Arc<Block>) {
        if let Some(mut block) = Arc::into_inner(block) {
            // A ring waits for it.
            block.release();
            if self.spare.len() < UNDER_WAY {
                self.spare.push(block);
            }
        }
    }

    /// Whether more waits here than may.
    fn is_full(&self) -> bool {
        self.parked > self.may_park
            || self.inflows.iter().any(|inflow| inflow.loads.len() > self.hold)
    }

    /// Does what is there, in order, as far as all others have come, or until there is room
    /// again.
    fn work(&mut self) {
        while let Some((next, from)) = self.next() {
            let mut bound = self.bound_beside(from, Inflow::bound);
            if next > bound {
                if !self.is_full() {
                    return;
                }
                bound = self.bound_beside(from, |it| it.next_ordinal().unwrap_or(u64::MAX));
            }
            self.work_off(from, bound);
        }
    }

    /// The next ordinal, and by which part it came.
    fn next(&self) -> Option<(u64, usize)> {
        let nexts = self.inflows.iter().map(Inflow::next_ordinal);
        nexts.zip(0..).filter_map(|(next, from)| Some((next?, from))).min()
    }

    fn bound_beside(&self, part: usize, bound: impl Fn(&Inflow) -> u64) -> u64 {
        let others = self.inflows.iter().enumerate().filter(|(index, _)| *index != part);
        others.map(|(_, inflow)| bound(inflow)).min().unwrap_or(u64::MAX)
    }

    /// Does the oldest load of a part, as far as to `bound`.
    fn work_off(&mut self, from: usize, bound: u64) {
        let Some(inflow) = self.inflows.get_mut(from) else { return };
        let Some(Load { block, work, .. }) = inflow.loads.front_mut() else { return };
        let (shard, now, census) = (&mut self.shard, &mut self.now, &mut self.census);
        self.parked -= work.left();
        let renewed = work.run_through(bound, block, shard, now, census);
        self.parked += work.left();
        let done = if work.is_done() { inflow.loads.pop_front() } else { None };
        if let Some(Load { block, .. }) = done {
            self.recycle(block);
        }
        if renewed {
            // What was found before is of the signatures before.
            self.tell(None);
            self.renewals += 1;
        }
    }

    fn tell(&mut self, notice: Option<(Notice, u64)>) {
        let through = self.inflows.iter().map(Inflow::bound).min().unwrap_or_default();
        self.census.advance(through);
        let (part, renewals) = (self.index, self.renewals);
        let events = self.shard.take_events();
        if self.reports.send(Report { part, renewals, events, through, notice }).is_err() {
            // The collector is gone only if its thread panicked.
            self.progress.broken.store(true, Ordering::Relaxed);
        }
    }

    /// The source is over: does what the others still hand over.
    fn end(mut self) -> Statistics {
        self.dispatch.finish();
        if let Some(told) = self.progress.through.get(self.index) {
            told.store(u64::MAX, Ordering::Release);
        }
        self.hear();
        self.work();
        while self.inflows.iter().any(|inflow| inflow.through < u64::MAX)
            && !self.progress.is_broken()
        {
            match self.inbox.recv_timeout(LOOK) {
                Ok(load) => self.put(load),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(RETRY),
            }
            self.hear();
            self.work();
            self.tell(None);
        }
        self.shard.finish();
        self.inflows.iter_mut().for_each(|inflow| inflow.through = u64::MAX);
        self.tell(None);
        self.statistics()
    }

    /// What was counted here so far.
    fn statistics(&self) -> Statistics {
        let mut statistics = self.dispatch.statistics();
        self.shard.add_to(&mut statistics);
        for worker in &mut statistics.workers {
            worker.handed_over = self.handed_over;
        }
        if self.index > 0 {
            // All have the same keys.
            statistics.engine.secrets_dropped = 0;
        }
        statistics
    }
}

/// Where the events of all parts come together.
struct Confluence<'a> {
    collector: Collector,
    sink: &'a mut dyn FindingSink,
    /// By part: how far it has come.
    through: Vec<u64>,
    /// By part: what it counted when it was last asked.
    counters: Vec<Statistics>,
    renewals: u64,
    /// What came of signatures at the last renewals, for parts that are not as far.
    renumberings: VecDeque<Renumbering>,
    /// By part: how many renewals it has been through.
    renewed: Vec<u64>,
    events: Vec<Event>,
    ticks: Vec<Tick>,
    /// The ends of blocks: the last ordinal, and when the last frame came.
    ends: Vec<(u64, Timestamp)>,
    /// Table time, as the collector was last told.
    now: Timestamp,
    /// By part: whether it told anything since all had.
    heard: Vec<bool>,
}

impl<'a> Confluence<'a> {
    fn new(parts: usize, collector: Collector, sink: &'a mut dyn FindingSink) -> Self {
        Self {
            collector,
            sink,
            through: vec![0; parts],
            counters: vec![Statistics::default(); parts],
            renewals: 0,
            renumberings: VecDeque::new(),
            renewed: vec![0; parts],
            events: Vec::new(),
            ticks: Vec::new(),
            ends: Vec::new(),
            now: Timestamp::MIN,
            heard: vec![false; parts],
        }
    }

    fn take(&mut self, report: Report) {
        let Report { part, renewals, mut events, through, notice } = report;
        self.bring_up(part, renewals, &mut events);
        self.events.append(&mut events);
        if let Some(known) = self.through.get_mut(part) {
            *known = through;
        }
        let mut counted = false;
        if let Some((notice, ordinal)) = notice {
            let Notice { ticks, through, update, counters } = notice;
            if let Some(engine) = update {
                self.renew(engine);
                return;
            }
            self.ticks.extend(ticks);
            self.ends.extend(through.map(|time| (ordinal, time)));
            if let (Some(counters), Some(known)) = (counters, self.counters.get_mut(part)) {
                *known = *counters;
                counted = part == 0;
            }
        }
        let all = self.through.iter().copied().min().unwrap_or_default();
        self.pass_on(if self.events.len() > WAITING { u64::MAX } else { all });
        self.hear_of(part);
        if counted {
            let mut sum = Statistics::default();
            self.counters.iter().for_each(|part| sum.merge(part));
            sum.collector = self.collector.counters();
            self.sink.statistics(&sum);
        }
    }

    /// When all parts have told something, time has passed for the sink, frames or not.
    fn hear_of(&mut self, part: usize) {
        if let Some(heard) = self.heard.get_mut(part) {
            *heard = true;
        }
        if self.heard.iter().all(|heard| *heard) {
            self.heard.fill(false);
            self.sink.block_end(None);
        }
    }

    /// Brings events of a part that is not as far over to the present signatures.
    fn bring_up(&mut self, part: usize, renewals: u64, events: &mut [Event]) {
        if let Some(renewed) = self.renewed.get_mut(part) {
            *renewed = renewals;
        }
        let behind = usize::try_from(self.renewals.saturating_sub(renewals)).unwrap_or(usize::MAX);
        let missed = self.renumberings.len().saturating_sub(behind);
        for renumbering in self.renumberings.iter().skip(missed) {
            events.iter_mut().for_each(|event| event.renumber(renumbering));
        }
        let least = self.renewed.iter().copied().min().unwrap_or_default();
        while self.renumberings.len() as u64 > self.renewals - least {
            self.renumberings.pop_front();
        }
    }

    fn renew(&mut self, engine: Engine) {
        let Engine { policy, signatures, .. } = engine;
        let renumbering = self.collector.renew(policy, signatures);
        self.events.iter_mut().for_each(|event| event.renumber(&renumbering));
        self.renumberings.push_back(renumbering);
        self.renewals += 1;
    }

    /// Passes on what is of ordinals up to `through`.
    fn pass_on(&mut self, through: u64) {
        self.events.sort_by_key(|event| event.order);
        let ready = self.events.partition_point(|event| event.order.ordinal <= through);
        let events = self.events.drain(..ready).collect();
        self.ticks.sort_by_key(|tick| tick.ordinal);
        let ready = self.ticks.partition_point(|tick| tick.ordinal <= through);
        let now = &mut self.now;
        // Clocks of parts may differ by what their frames have waited.
        let forward = |tick: &Tick| {
            let forward = tick.flow_time > *now;
            *now = tick.flow_time.max(*now);
            forward
        };
        let ticks: Vec<_> = self.ticks.drain(..ready).filter(forward).collect();
        merge(events, &ticks, &mut self.collector, self.sink);
        for (_, end) in self.ends.extract_if(.., |(ordinal, _)| *ordinal <= through) {
            self.sink.block_end(Some(end));
        }
    }

    fn finish(mut self) -> (Collector, &'a mut dyn FindingSink) {
        self.pass_on(u64::MAX);
        (self.collector, self.sink)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs::File;
    use std::num::NonZeroUsize;
    use std::path::{Path, PathBuf};

    use super::super::tests::engines_of_other_numbers;
    use super::*;
    use crate::capture::{Frame, Inputs, PcapWriter, Precision, Reader, Replay, SourceId};
    use crate::findings::Row;

    /// A part of a capture, of blocks that hold a few frames.
    struct Slice {
        replay: Replay,
        hold: usize,
        /// Engines to go over to, block by block.
        updates: Vec<Engine>,
    }

    impl BlockSource for Slice {
        fn fill(&mut self, block: &mut Block) -> Fill {
            self.replay.fill(block)
        }

        fn may_hold(&self) -> usize {
            self.hold
        }

        fn update(&mut self) -> Option<Engine> {
            self.updates.pop()
        }
    }

    /// The frames of a capture, each later than the one before, dealt out to files.
    fn deal_out(path: &Path, folder: &Path, parts: usize, to: impl Fn(&Frame) -> usize) {
        let mut reader = Reader::open(path, SourceId(0)).unwrap();
        let mut files: Vec<Option<PcapWriter<File>>> = (0..parts).map(|_| None).collect();
        let mut block = Block::new();
        let mut last = Timestamp::MIN;
        while let Ok(Fill::Block) = reader.fill(&mut block) {
            for frame in &block {
                last = frame.time.max(Timestamp::from_nanos(last.as_nanos().saturating_add(1)));
                let part = to(&frame);
                let file = files[part].get_or_insert_with(|| {
                    let file = File::create(slice(folder, part)).unwrap();
                    PcapWriter::new(file, frame.link, Precision::Nanos).unwrap()
                });
                file.frame(last, frame.data, frame.original_len).unwrap();
            }
        }
    }

    fn slice(folder: &Path, part: usize) -> PathBuf {
        folder.join(format!("{part}.pcap"))
    }

    fn source(folder: &Path, part: usize, hold: usize) -> Slice {
        let path = slice(folder, part);
        let paths = path.exists().then_some(path);
        let replay = Replay::new(Inputs::expand(paths)).with_block_size(2048);
        Slice { replay, hold, updates: Vec::new() }
    }

    /// The rows in an order of their own: those of one moment may come in any.
    fn comparable(rows: Vec<Row>) -> Vec<String> {
        let mut rows: Vec<_> = rows.into_iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    }

    fn captures() -> impl Iterator<Item = PathBuf> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps"));
        let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|it| it == "pcap" || it == "pcapng"))
    }

    /// By which part frames come does not matter: here by any, so that most have to be
    /// handed over. Only fragments have to stay together.
    #[test]
    fn findings_do_not_depend_on_how_frames_are_dealt_out() {
        let engine = Engine::builder().build().unwrap();
        let (mut rows, mut handed_over, mut differ) = (0, 0, Vec::new());
        for (index, path) in captures().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            deal_out(&path, folder.path(), 1, |_| 0);
            let mut alone = Vec::new();
            let mut all = source(folder.path(), 0, 0);
            let whole = engine.replay(NonZeroUsize::MIN, &mut all, &mut alone);
            let (folder, parts) = (tempfile::tempdir().unwrap(), 2 + index % 3);
            let spread = Spread::random(NonZeroUsize::new(parts).unwrap());
            let fragments = path.to_string_lossy().contains("fragments");
            let dealt = |frame: &Frame| match fragments {
                true => parts - 1,
                false => (frame.number as usize * 7 + frame.data.len()) % parts,
            };
            deal_out(&path, folder.path(), parts, dealt);
            let mut sources: Vec<_> =
                (0..parts).map(|part| source(folder.path(), part, usize::MAX)).collect();
            let mut together = Vec::new();
            let sum = engine.replay_parts(&mut sources, &spread, &mut together);
            assert_eq!(sum.engine.frames, whole.engine.frames, "{}", path.display());
            assert_eq!(sum.workers.len(), parts);
            handed_over += sum.workers.iter().map(|it| it.handed_over).sum::<u64>();
            rows += alone.len();
            let (together, alone) = (comparable(together), comparable(alone));
            if together != alone {
                differ.push(path);
            }
        }
        assert!(differ.is_empty(), "{differ:?}");
        assert!(rows > 400 && handed_over > 10_000, "{rows} {handed_over}");
    }

    /// A part that waits for nobody loses the order, and nothing else.
    #[test]
    fn parts_that_do_not_wait_for_each_other_lose_no_frame() {
        let engine = Engine::builder().build().unwrap();
        let spread = Spread::random(NonZeroUsize::new(2).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps/p-py130-20sessions.pcap"));
        deal_out(path, folder.path(), 2, |frame| usize::from(frame.number > 500));
        let run = |hold| {
            let mut sources = [0, 1].map(|part| source(folder.path(), part, hold));
            let mut rows: Vec<Row> = Vec::new();
            let sum = engine.replay_parts(&mut sources, &spread, &mut rows);
            assert!(!rows.is_empty());
            let flow = &sum.flow;
            let packets = flow.tcp_segments
                + flow.udp_datagrams
                + flow.stray_segments
                + flow.late_segments
                + flow.handshakes_rejected;
            (sum.engine.frames, packets)
        };
        assert_eq!(run(usize::MAX), run(0));
    }

    /// Before the first frame there is no time, and nothing to keep.
    #[test]
    fn blocks_without_frames_leave_nothing_behind() {
        let collector = Engine::builder().build().unwrap().collector();
        let mut rows: Vec<Row> = Vec::new();
        let mut confluence = Confluence::new(2, collector, &mut rows);
        for part in [0, 1].into_iter().cycle().take(1000) {
            let (renewals, events, through) = (0, Vec::new(), part as u64);
            let notice = Some((Notice::default(), through));
            confluence.take(Report { part, renewals, events, through, notice });
        }
        assert!(confluence.ends.is_empty() && confluence.ticks.is_empty());
    }

    /// Parts go over to other signatures one after the other, and what they found before is
    /// said in the terms of the new ones, or of those after.
    #[test]
    fn signatures_may_be_replaced_while_parts_are_not_equally_far() {
        let [plain, other] = engines_of_other_numbers();
        let spread = Spread::random(NonZeroUsize::new(2).unwrap());
        for name in ["p-py130-20sessions.pcap", "p-h2c-hypercorn-full.pcap"] {
            let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps")).join(name);
            let folder = tempfile::tempdir().unwrap();
            deal_out(&path, folder.path(), 2, |frame| frame.number as usize % 2);
            let rows = |updates: usize| {
                let mut sources = [0, 1].map(|part| source(folder.path(), part, usize::MAX));
                let engines = [&plain, &other].into_iter().cycle().take(updates).cloned();
                sources[0].updates = engines.collect();
                let mut rows = Vec::new();
                plain.replay_parts(&mut sources, &spread, &mut rows);
                rows
            };
            let (steady, replaced) = (rows(0), rows(1000));
            let seen = |rows: &[Row]| -> Vec<_> {
                rows.iter().map(|row| (row.kind, row.confidence, row.mcp.methods.clone())).collect()
            };
            assert_eq!(seen(&steady), seen(&replaced), "{name}");
            let known: HashSet<_> = steady.iter().flat_map(|row| &row.signatures).collect();
            for row in &replaced {
                assert!(row.signatures.iter().all(|id| known.contains(id)), "{row:?}");
            }
        }
    }
}
