//! Several workers: one thread decodes and hands packets out by flow, each
//! worker owns its flows outright, one collector puts their events in order.
//!
//! ```text
//!                    ┌─ worker 0: shard ─┐
//! blocks ─ dispatch ─┼─ worker 1: shard ─┼─ merge ─ collector ─ sink
//!                    └─ …                ┘
//! ```
//!
//! Work goes round in batches, one per block. The merge waits for all workers'
//! events of a batch and sorts them by the packet that caused them, so findings
//! do not depend on the number of workers.
//!
//! Dispatcher and collector have a thread each, so that what is written does not hold
//! up what comes in. Not so where two workers read what need not be waited for: there the
//! calling thread is dispatcher, first worker and collector in one, and the second worker
//! begins when there is much to read in the packets, or to keep of their flows. What is
//! encrypted, to hand over is more work than to look at (docs/benchmarks.md has the
//! figures).

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic;
use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::clock::Tick;
use super::dispatch::{Dealt, Dispatch, Notice, Work};
use super::shard::Shard;
use super::{BlockSource, Engine, Statistics};
use crate::capture::{Block, Fill};
use crate::detect::{Collector, Event, Order};
use crate::findings::FindingSink;

/// Batches that may be under way: enough to keep all busy, few enough to bound
/// memory.
const BATCHES_PER_WORKER: usize = 2;

/// Two workers, of whom one may do more than work.
const PAIR: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// Two share the work once so many bytes had to be read, beyond handshakes and heads: few
/// where assertions are on, so that tests come to it...
const SHARED_BYTES: u64 = if cfg!(debug_assertions) { 64 } else { 4 << 20 };

/// ...and they were more than this part of all: below that, to hand over costs more.
const SHARED_PART: u64 = 4;

/// A block and a worker's work for it.
#[derive(Debug)]
struct Batch {
    block: Arc<Block>,
    work: Work,
    /// Whether the worker is to tell its counters.
    counted: bool,
}

/// What came of a batch.
#[derive(Debug)]
struct Done {
    events: Vec<Event>,
    block: Option<Arc<Block>>,
    counters: Option<Box<Statistics>>,
}

/// Spreads the blocks of `source` over `workers` threads.
pub(super) fn run(
    engine: &Engine,
    workers: NonZeroUsize,
    source: &mut (impl BlockSource + ?Sized),
    sink: &mut dyn FindingSink,
) -> Statistics {
    thread::scope(|scope| match workers {
        PAIR if !source.may_wait() => run_pair(scope, engine, SHARED_BYTES, source, sink),
        _ => run_apart(scope, engine, workers, source, sink),
    })
}

/// Dispatcher, workers and collector on threads of their own; the calling one collects.
fn run_apart<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    engine: &'scope Engine,
    workers: NonZeroUsize,
    source: &'scope mut (impl BlockSource + ?Sized),
    sink: &mut dyn FindingSink,
) -> Statistics {
    let batches = workers.get() * BATCHES_PER_WORKER;
    let (announce, announced) = bounded::<Notice>(batches);
    let (recycle, recycled) = bounded::<Block>(batches + 2);
    let mut crew = Crew::default();
    (0..workers.get()).for_each(|_| crew.start(scope, engine.shard()));
    let inboxes = std::mem::take(&mut crew.inboxes);
    let dispatcher = scope.spawn(move || {
        let mut dispatch = Dispatch::new(engine, workers);
        loop {
            let mut block = recycled.try_recv().unwrap_or_default();
            if source.fill(&mut block) == Fill::End {
                break;
            }
            let Dealt { work, notice, .. } = dispatch.deal(&block, source, None, inboxes.len());
            let counted = notice.counters.is_some();
            // Announced before the work is handed out, so that the collector is
            // ready to take results whatever the workers' pace.
            if announce.send(notice).is_err() {
                break;
            }
            hand_out(&inboxes, &Arc::new(block), work, counted);
        }
        dispatch.finish();
        dispatch.statistics()
    });
    let mut collector = engine.collector();
    while let Ok(notice) = announced.recv() {
        if let Some(block) = crew.collect(notice, None, &mut collector, sink) {
            // A full channel only means that there are blocks enough.
            let _ = recycle.try_send(block);
        }
    }
    crew.collect_rest(Vec::new(), &mut collector, sink);
    let mut statistics = joined(dispatcher);
    crew.add_to(&mut statistics);
    statistics.collector = collector.counters();
    statistics
}

/// The calling thread does everything, up to where a second worker is of use.
fn run_pair<'scope>(
    scope: &'scope Scope<'scope, '_>,
    engine: &Engine,
    shared_bytes: u64,
    source: &mut (impl BlockSource + ?Sized),
    sink: &mut dyn FindingSink,
) -> Statistics {
    let mut crew = Crew::default();
    let mut dispatch = Dispatch::new(engine, PAIR);
    let mut own = engine.shard();
    let mut collector = engine.collector();
    let mut spare = Vec::new();
    let mut under_way = VecDeque::new();
    loop {
        let mut block = spare.pop().unwrap_or_default();
        if source.fill(&mut block) == Fill::End {
            break;
        }
        let delivered = own.delivered_bytes();
        let much_to_read =
            delivered > shared_bytes && delivered > dispatch.payload_bytes() / SHARED_PART;
        if crew.is_empty() && (much_to_read || own.is_half_full()) {
            let mut other = engine.shard();
            dispatch.tell_late(&mut other);
            crew.start(scope, other);
        }
        let Dealt { work, notice, .. } = dispatch.deal(&block, source, Some(&mut own), crew.len());
        let counted = notice.counters.is_some();
        let block = Arc::new(block);
        hand_out(&crew.inboxes, &block, work, counted);
        under_way.push_back((notice, Done::of(&mut own, block, counted)));
        while under_way.len() > crew.len() * BATCHES_PER_WORKER
            && let Some((notice, done)) = under_way.pop_front()
        {
            spare.extend(crew.collect(notice, Some(done), &mut collector, sink));
        }
    }
    // There is no more work.
    crew.inboxes.clear();
    dispatch.finish();
    own.finish();
    for (notice, done) in under_way {
        crew.collect(notice, Some(done), &mut collector, sink);
    }
    crew.collect_rest(own.take_events(), &mut collector, sink);
    let mut statistics = dispatch.statistics();
    own.add_to(&mut statistics);
    crew.add_to(&mut statistics);
    statistics.collector = collector.counters();
    statistics
}

/// The workers that have threads.
#[derive(Default)]
struct Crew<'scope> {
    inboxes: Vec<Sender<Batch>>,
    outboxes: Vec<Receiver<Done>>,
    threads: Vec<ScopedJoinHandle<'scope, Shard>>,
}

impl<'scope> Crew<'scope> {
    fn start(&mut self, scope: &'scope Scope<'scope, '_>, shard: Shard) {
        let (to_worker, inbox) = bounded(BATCHES_PER_WORKER);
        let (outbox, from_worker) = bounded(BATCHES_PER_WORKER);
        self.inboxes.push(to_worker);
        self.outboxes.push(from_worker);
        self.threads.push(scope.spawn(move || work(shard, &inbox, &outbox)));
    }

    fn len(&self) -> usize {
        self.threads.len()
    }

    fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Collects what came of a batch; its block, if it may be filled again.
    fn collect(
        &self,
        notice: Notice,
        own: Option<Done>,
        collector: &mut Collector,
        sink: &mut dyn FindingSink,
    ) -> Option<Block> {
        let Notice { ticks, through, update, mut counters } = notice;
        if let Some(Engine { policy, signatures, .. }) = update {
            let _ = collector.renew(policy, signatures);
        }
        let mut events = Vec::new();
        let mut free = None;
        // A worker that panicked has left; the others are to be heard, so that none waits.
        let others = self.outboxes.iter().filter_map(|outbox| outbox.recv().ok());
        for done in own.into_iter().chain(others) {
            events.extend(done.events);
            if let (Some(sum), Some(part)) = (&mut counters, &done.counters) {
                sum.merge(part);
            }
            free = free.or(done.block.and_then(Arc::into_inner));
        }
        if let Some(block) = &mut free {
            // A ring waits for its memory.
            block.release();
        }
        merge(events, &ticks, collector, sink);
        if let Some(mut counters) = counters {
            counters.collector = collector.counters();
            sink.statistics(&counters);
        }
        sink.block_end(through);
        free
    }

    /// Collects what came of the end.
    fn collect_rest(
        &self,
        mut events: Vec<Event>,
        collector: &mut Collector,
        sink: &mut dyn FindingSink,
    ) {
        for outbox in &self.outboxes {
            events.extend(outbox.recv().into_iter().flat_map(|done| done.events));
        }
        merge(events, &[], collector, sink);
        collector.finish(sink);
    }

    /// Adds what they counted.
    fn add_to(&mut self, statistics: &mut Statistics) {
        for thread in self.threads.drain(..) {
            joined(thread).add_to(statistics);
        }
    }
}

/// What came of a thread. If it panicked, so does this one: all that was found has been
/// handed on, but it is not all that there was.
pub(super) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
}

fn hand_out(inboxes: &[Sender<Batch>], block: &Arc<Block>, work: Vec<Work>, counted: bool) {
    for (inbox, work) in inboxes.iter().zip(work) {
        // A worker is gone only if it panicked, which the join will show.
        let _ = inbox.send(Batch { block: Arc::clone(block), work, counted });
    }
}

fn work(mut shard: Shard, inbox: &Receiver<Batch>, outbox: &Sender<Done>) -> Shard {
    while let Ok(Batch { block, work, counted }) = inbox.recv() {
        work.run(&block, &mut shard);
        if outbox.send(Done::of(&mut shard, block, counted)).is_err() {
            return shard;
        }
    }
    shard.finish();
    // The collector is gone only if its thread panicked; nothing is left to do.
    let _ = outbox.send(Done { events: shard.take_events(), block: None, counters: None });
    shard
}

impl Done {
    fn of(shard: &mut Shard, block: Arc<Block>, counted: bool) -> Self {
        let counters = counted.then(|| {
            let mut counters = Box::new(Statistics::default());
            shard.add_to(&mut counters);
            counters
        });
        Self { events: shard.take_events(), block: Some(block), counters }
    }
}

/// Sorts a batch's events and feeds them to the collector, ticks in between.
pub(super) fn merge(
    mut events: Vec<Event>,
    ticks: &[Tick],
    collector: &mut Collector,
    sink: &mut dyn FindingSink,
) {
    events.sort_by_key(|event| event.order);
    let mut ticks = ticks.iter().peekable();
    for event in events {
        while let Some(tick) = ticks.next_if(|tick| Order::from(**tick) < event.order) {
            collector.advance(tick.flow_time, sink);
        }
        collector.on_event(event, sink);
    }
    for tick in ticks {
        collector.advance(tick.flow_time, sink);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::capture::{Inputs, Replay};
    use crate::findings::Row;

    fn source(path: &Path) -> Replay {
        Replay::new(Inputs::expand([path])).with_block_size(4096)
    }

    /// The second worker may begin in the midst of flows, and of what is encrypted.
    #[test]
    fn findings_do_not_depend_on_when_work_is_shared() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps"));
        let engine = Engine::builder().build().unwrap();
        let mut shared = 0;
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if !path.extension().is_some_and(|it| it == "pcap" || it == "pcapng") {
                continue;
            }
            let mut alone: Vec<Row> = Vec::new();
            engine.replay(NonZeroUsize::MIN, &mut source(&path), &mut alone);
            for bytes in [0, 3_000, 30_000] {
                let mut pair: Vec<Row> = Vec::new();
                let statistics = thread::scope(|scope| {
                    run_pair(scope, &engine, bytes, &mut source(&path), &mut pair)
                });
                assert_eq!(pair, alone, "{} from {bytes} bytes on", path.display());
                shared +=
                    usize::from(statistics.workers.iter().filter(|it| it.packets > 0).count() == 2);
            }
        }
        assert!(shared > 50, "{shared}");
    }
}
