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

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::clock::{Clock, Tick};
use super::shard::Shard;
use super::{BlockSource, Engine, EngineCounters, Keys, Statistics};
use crate::capture::{Block, Fill};
use crate::decode::{Decoder, Outcome, Packet, Transport, TunnelPath};
use crate::detect::{Collector, Event, Order};
use crate::findings::FindingSink;
use crate::flow::{FlowHasher, Moment, PacketKey};
use crate::signature::Matcher;
use crate::stream::tls::KeyStore;
use crate::time::Timestamp;

/// Batches that may be under way: enough to keep all busy, few enough to bound
/// memory.
const BATCHES_PER_WORKER: usize = 2;

/// Where a packet's payload lies.
#[derive(Clone, Debug)]
enum Payload {
    /// In the frame of that index in the block.
    Frame { index: usize, range: Range<usize> },
    /// In the batch's own bytes: put together from fragments.
    Copied(Range<usize>),
}

/// A packet on its way to a worker.
#[derive(Clone, Debug)]
struct Parcel {
    at: Moment,
    key: PacketKey,
    number: u64,
    time: Timestamp,
    source: crate::capture::SourceId,
    transport: Transport,
    missing: u32,
    tunnel: TunnelPath,
    payload: Payload,
}

#[derive(Debug)]
enum Item {
    Packet(Parcel),
    Tick(Tick),
    Keys(Arc<KeyStore>),
    Signatures(Arc<Matcher>),
}

/// The work of one worker for one block.
#[derive(Debug)]
struct Batch {
    block: Arc<Block>,
    items: Vec<Item>,
    copies: Vec<u8>,
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

/// A batch as the collector hears of it from the dispatcher.
#[derive(Debug)]
struct Announced {
    ticks: Vec<Tick>,
    /// When its last frame was captured.
    through: Option<Timestamp>,
    /// What takes the place of policy and signatures, from this batch on.
    update: Option<Engine>,
    /// What the dispatcher counted, where all counters are asked for.
    counters: Option<Box<Statistics>>,
}

/// Spreads the blocks of `source` over `workers` threads.
pub(super) fn run(
    engine: &Engine,
    workers: NonZeroUsize,
    source: &mut (impl BlockSource + ?Sized),
    sink: &mut dyn FindingSink,
) -> Statistics {
    let workers = workers.get();
    let mut collector = engine.collector();
    let (announce, announced) = bounded::<Announced>(workers * BATCHES_PER_WORKER);
    let (recycle, recycled) = bounded::<Block>(workers * BATCHES_PER_WORKER + 2);
    let mut statistics = Statistics::default();
    thread::scope(|scope| {
        let mut inboxes = Vec::new();
        let mut outboxes = Vec::new();
        let mut threads = Vec::new();
        for _ in 0..workers {
            let (to_worker, inbox) = bounded::<Batch>(BATCHES_PER_WORKER);
            let (outbox, from_worker) = bounded::<Done>(BATCHES_PER_WORKER);
            inboxes.push(to_worker);
            outboxes.push(from_worker);
            let shard = engine.shard();
            threads.push(scope.spawn(move || work(shard, &inbox, &outbox)));
        }
        let mut decoder = engine.decoder();
        let dispatcher = scope.spawn(move || {
            let mut dispatch = Dispatch::new(engine, inboxes, announce);
            loop {
                let mut block = recycled.try_recv().unwrap_or_default();
                match source.fill(&mut block) {
                    Fill::Block => dispatch.block(block, source, &mut decoder),
                    Fill::End => break,
                }
            }
            decoder.finish();
            (decoder, dispatch.counters())
        });
        while let Ok(Announced { ticks, through, update, mut counters }) = announced.recv() {
            if let Some(Engine { policy, signatures, .. }) = update {
                collector.renew(policy, signatures);
            }
            let mut events = Vec::new();
            for outbox in &outboxes {
                let Ok(done) = outbox.recv() else { break };
                events.extend(done.events);
                if let (Some(sum), Some(part)) = (&mut counters, &done.counters) {
                    sum.merge(part);
                }
                if let Some(mut block) = done.block.and_then(Arc::into_inner) {
                    // A ring waits for its memory.
                    block.release();
                    // A full channel only means that there are blocks enough.
                    let _ = recycle.try_send(block);
                }
            }
            merge(events, &ticks, &mut collector, sink);
            if let Some(mut counters) = counters {
                counters.collector = collector.counters();
                sink.statistics(&counters);
            }
            sink.block_end(through);
        }
        let mut events = Vec::new();
        for outbox in &outboxes {
            events.extend(outbox.recv().into_iter().flat_map(|done| done.events));
        }
        merge(events, &[], &mut collector, sink);
        collector.finish(sink);
        if let Ok((decoder, counters)) = dispatcher.join() {
            statistics.decode = *decoder.counters();
            statistics.engine = counters;
        }
        for thread in threads {
            if let Ok(shard) = thread.join() {
                shard.add_to(&mut statistics);
            }
        }
    });
    statistics.collector = collector.counters();
    statistics
}

fn work(mut shard: Shard, inbox: &Receiver<Batch>, outbox: &Sender<Done>) -> Shard {
    while let Ok(Batch { block, items, copies, counted }) = inbox.recv() {
        shard.set_pressure(block.pressure());
        for item in items {
            match item {
                Item::Tick(tick) => shard.advance(tick),
                Item::Keys(keys) => shard.set_keys(keys),
                Item::Signatures(matcher) => shard.set_matcher(matcher),
                Item::Packet(parcel) => {
                    if let Some(payload) = parcel.payload.resolve(&block, &copies) {
                        shard.on_packet(parcel.at, &parcel.key, &parcel.packet(payload));
                    }
                }
            }
        }
        let counters = counted.then(|| {
            let mut counters = Box::new(Statistics::default());
            shard.add_to(&mut counters);
            counters
        });
        let done = Done { events: shard.take_events(), block: Some(block), counters };
        if outbox.send(done).is_err() {
            return shard;
        }
    }
    shard.finish();
    // The collector is gone only if its thread panicked; nothing is left to do.
    let _ = outbox.send(Done { events: shard.take_events(), block: None, counters: None });
    shard
}

/// Sorts a batch's events and feeds them to the collector, ticks in between.
fn merge(
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

struct Dispatch {
    inboxes: Vec<Sender<Batch>>,
    announce: Sender<Announced>,
    clock: Clock,
    hasher: FlowHasher,
    keys: Keys,
}

impl Dispatch {
    fn new(engine: &Engine, inboxes: Vec<Sender<Batch>>, announce: Sender<Announced>) -> Self {
        let hasher = engine.hasher.clone();
        let keys = Keys::new(Arc::clone(&engine.keys));
        Self { inboxes, announce, clock: Clock::default(), hasher, keys }
    }

    fn counters(&self) -> EngineCounters {
        EngineCounters { frames: self.clock.packets(), secrets_dropped: self.keys.dropped() }
    }

    fn block(
        &mut self,
        block: Block,
        source: &mut (impl BlockSource + ?Sized),
        decoder: &mut Decoder,
    ) {
        let Some(workers) = NonZeroUsize::new(self.inboxes.len()) else { return };
        let shards = workers.get();
        let room = block.len() / shards + block.len() / 8;
        let mut items: Vec<Vec<Item>> = (0..shards).map(|_| Vec::with_capacity(room)).collect();
        let mut copies: Vec<Vec<u8>> = vec![Vec::new(); shards];
        let mut ticks = Vec::new();
        let update = source.update();
        if let Some(engine) = &update {
            self.keys.replace(&engine.keys);
            for items in &mut items {
                items.push(Item::Keys(Arc::clone(&engine.keys)));
                items.push(Item::Signatures(Arc::clone(&engine.matcher)));
            }
        }
        let came = source.keys().map(|part| self.keys.extend(part));
        let carried = block.secrets().iter().filter(|secrets| self.keys.take_in(secrets)).count();
        if came.is_some() || carried > 0 {
            let keys = &self.keys.store;
            items.iter_mut().for_each(|items| items.push(Item::Keys(Arc::clone(keys))));
        }
        self.clock.show(block.clock());
        for (index, frame) in block.frames().enumerate() {
            let wanted = source.accepts(&frame);
            let tick = match wanted {
                true => self.clock.on_frame(frame.source, frame.time),
                false => self.clock.on_unwanted(frame.source, frame.time),
            };
            if let Some(tick) = tick {
                ticks.push(tick);
                items.iter_mut().for_each(|items| items.push(Item::Tick(tick)));
            }
            if !wanted {
                continue;
            }
            let (packet, reassembled) = match decoder.decode_at(&frame, self.clock.frame_time()) {
                Outcome::Packet(packet) => (packet, false),
                Outcome::Reassembled(packet) => (packet, true),
                Outcome::Skipped(_) => continue,
            };
            let key = self.hasher.key(&packet);
            // A QUIC connection may move to other endpoints: whoever owns it must
            // see all datagrams.
            let shard = match packet.transport {
                Transport::Tcp(_) => key.shard(workers),
                Transport::Udp => 0,
            };
            let (Some(items), Some(copies)) = (items.get_mut(shard), copies.get_mut(shard)) else {
                continue;
            };
            let payload = if reassembled {
                let start = copies.len();
                copies.extend_from_slice(packet.payload);
                Payload::Copied(start..copies.len())
            } else {
                let start = packet.payload.as_ptr().addr() - frame.data.as_ptr().addr();
                Payload::Frame { index, range: start..start + packet.payload.len() }
            };
            items.push(Item::Packet(Parcel::new(self.clock.moment(), key, &packet, payload)));
        }
        if block.is_empty()
            && let Some(tick) = self.clock.on_silence()
        {
            ticks.push(tick);
            items.iter_mut().for_each(|items| items.push(Item::Tick(tick)));
        }
        let counted = source.wants_statistics();
        let counters = counted.then(|| {
            let mut counters = Box::new(Statistics::default());
            counters.decode = *decoder.counters();
            counters.engine = self.counters();
            counters
        });
        let block = Arc::new(block);
        // Announced before the work is handed out, so that the collector is
        // ready to take results whatever the workers' pace.
        if self
            .announce
            .send(Announced { ticks, through: block.last_time(), update, counters })
            .is_err()
        {
            return;
        }
        for ((inbox, items), copies) in self.inboxes.iter().zip(items).zip(copies) {
            // A worker is gone only if it panicked, which the join will show.
            let _ = inbox.send(Batch { block: Arc::clone(&block), items, copies, counted });
        }
    }
}

impl Parcel {
    fn new(at: Moment, key: PacketKey, packet: &Packet<'_>, payload: Payload) -> Self {
        Self {
            at,
            key,
            number: packet.number,
            time: packet.time,
            source: packet.source,
            transport: packet.transport,
            missing: packet.missing,
            tunnel: packet.tunnel,
            payload,
        }
    }

    fn packet<'a>(&self, payload: &'a [u8]) -> Packet<'a> {
        let (src, dst) = self.key.way();
        Packet {
            number: self.number,
            time: self.time,
            source: self.source,
            src,
            dst,
            transport: self.transport,
            payload,
            missing: self.missing,
            tunnel: self.tunnel,
        }
    }
}

impl Payload {
    fn resolve<'a>(&self, block: &'a Block, copies: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Frame { index, range } => block.frame(*index)?.data.get(range.clone()),
            Self::Copied(range) => copies.get(range.clone()),
        }
    }
}
