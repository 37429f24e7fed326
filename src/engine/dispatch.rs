//! Hands packets out: blocks in, work for each worker out, dealt by flow.
//!
//! A packet is decoded and its key hashed once; what a worker
//! gets beside the block is a small parcel for each packet of its flows, and in its place
//! among them what all workers have to know.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use super::census::Census;
use super::clock::{Clock, Tick};
use super::plain::Plain;
use super::shard::Shard;
use super::steps::Common;
use super::{BlockSource, Engine, EngineCounters, Keys, Statistics};
use crate::capture::{Block, Frame, Spread};
use crate::decode::{Decoder, Outcome, Packet, Transport, TunnelPath};
use crate::flow::{FlowHasher, Moment, PacketKey};
use crate::signature::Matcher;
use crate::stream::tls::KeyStore;
use crate::time::Timestamp;

/// What the range of a packet's payload is of.
#[derive(Clone, Copy, Debug)]
enum Whence {
    Frame,
    /// The work's own bytes: put together from fragments.
    Copies,
}

/// A packet on its way to a worker: what cannot be had from its block at once.
#[derive(Debug)]
struct Parcel {
    at: Moment,
    key: PacketKey,
    time: Timestamp,
    transport: Transport,
    /// The frame's index in the block.
    index: u32,
    payload: Range<u32>,
    whence: Whence,
    missing: u32,
    tunnel: TunnelPath,
}

#[derive(Debug)]
enum Item {
    Packet(Parcel),
    News(News),
}

/// What all workers have to know.
#[derive(Clone, Debug)]
enum News {
    Tick(Tick),
    Keys(Arc<KeyStore>),
    Signatures(Arc<Matcher>),
}

/// The work of one worker for one block.
#[derive(Debug)]
pub(super) struct Work {
    items: Vec<Item>,
    copies: Vec<u8>,
    /// How many items are packets.
    packets: u64,
    /// How many items are done.
    done: usize,
}

/// Whose a flow is.
#[derive(Clone, Copy, Debug)]
enum Ownership {
    /// By its hash, that of one of so many workers.
    Hash(NonZeroUsize),
    /// That of the worker in whose ring the kernel puts it, where it can tell; this is the
    /// part of one of them.
    Spread(Spread, usize),
}

impl Ownership {
    fn worker(&self, key: &PacketKey, transport: Transport) -> usize {
        match (transport, self) {
            // A QUIC connection may move to other endpoints: whoever owns it must see all
            // datagrams.
            (Transport::Udp, _) => 0,
            (Transport::Tcp(_), Self::Hash(workers)) => key.shard(*workers),
            (Transport::Tcp(_), Self::Spread(spread, _)) => {
                let (a, b) = key.way();
                spread.worker(a, b)
            }
        }
    }

    /// How many of so many packets are about to be a worker's.
    fn share(&self, worker: usize, packets: usize) -> usize {
        match self {
            // Flows are not spread evenly.
            Self::Hash(workers) => packets / *workers + packets / 8,
            Self::Spread(_, part) if worker == *part => packets,
            Self::Spread(..) => 0,
        }
    }
}

impl News {
    fn tell(&self, shard: &mut Shard) {
        match self {
            Self::Tick(tick) => shard.advance(*tick),
            Self::Keys(keys) => shard.set_keys(Arc::clone(keys)),
            Self::Signatures(matcher) => shard.set_matcher(Arc::clone(matcher)),
        }
    }
}

/// What was made of a block.
#[derive(Debug)]
pub(super) struct Dealt {
    /// For each worker that has to be handed its work.
    pub(super) work: Vec<Work>,
    /// Of each frame, where they go by time.
    pub(super) ordinals: Vec<u64>,
    pub(super) notice: Notice,
}

/// What the collector has to know of a block beside its events.
#[derive(Debug, Default)]
pub(super) struct Notice {
    pub(super) ticks: Vec<Tick>,
    /// When the last frame was captured.
    pub(super) through: Option<Timestamp>,
    /// What takes the place of policy and signatures, from this block on.
    pub(super) update: Option<Engine>,
    /// What was counted up to here, where all counters are asked for.
    pub(super) counters: Option<Box<Statistics>>,
}

/// Decodes packets and deals them out.
#[derive(Debug)]
pub(super) struct Dispatch {
    ownership: Ownership,
    payload_bytes: u64,
    decoder: Decoder,
    clock: Clock,
    hasher: FlowHasher,
    keys: Keys,
    matcher: Arc<Matcher>,
}

impl Dispatch {
    pub(super) fn new(engine: &Engine, workers: NonZeroUsize) -> Self {
        Self::with(engine, Ownership::Hash(workers), Clock::default())
    }

    /// What deals out one of several parts of a capture.
    pub(super) fn of_part(
        engine: &Engine,
        part: usize,
        spread: Spread,
        common: Arc<Common>,
    ) -> Self {
        let parts = spread.workers();
        let clock = Clock::of_part(part, parts, common);
        let mut limits = engine.limits.decode;
        // Each has fragments of its own.
        limits.fragment_bytes /= parts;
        limits.fragment_datagrams = (limits.fragment_datagrams / parts).max(1);
        let decoder = Decoder::new(limits);
        Self { decoder, ..Self::with(engine, Ownership::Spread(spread, part), clock) }
    }

    fn with(engine: &Engine, ownership: Ownership, clock: Clock) -> Self {
        Self {
            ownership,
            payload_bytes: 0,
            decoder: engine.decoder(),
            clock,
            hasher: engine.hasher.clone(),
            keys: Keys::new(Arc::clone(&engine.keys)),
            matcher: Arc::clone(&engine.matcher),
        }
    }

    /// The input is over.
    pub(super) fn finish(&mut self) {
        self.decoder.finish();
    }

    /// What was counted here so far.
    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            decode: *self.decoder.counters(),
            engine: EngineCounters {
                frames: self.clock.packets(),
                secrets_dropped: self.keys.dropped(),
            },
            ..Statistics::default()
        }
    }

    /// The ordinal after which all comes that is still to come.
    pub(super) const fn through(&self) -> u64 {
        self.clock.ordinal()
    }

    /// Bytes that TCP and UDP carried so far.
    pub(super) const fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Tells a worker who comes later what holds by now.
    pub(super) fn tell_late(&self, shard: &mut Shard) {
        News::Keys(Arc::clone(&self.keys.store)).tell(shard);
        News::Signatures(Arc::clone(&self.matcher)).tell(shard);
    }

    /// Deals out a block to `others`, each of whom gets its [`Work`]. The first worker
    /// may be at hand: to `own` go, at once, the flows of those who are not there and
    /// those that it has already.
    pub(super) fn deal(
        &mut self,
        block: &Block,
        source: &mut (impl BlockSource + ?Sized),
        own: Option<&mut Shard>,
        others: usize,
    ) -> Dealt {
        let share = |worker| self.ownership.share(worker, block.len());
        let work = (0..others).map(|worker| Work::for_packets(share(worker))).collect();
        let mut hands = Hands { work, own };
        if let Some(own) = &mut hands.own {
            own.set_pressure(block.pressure());
        }
        let update = source.update();
        self.take_in_news(block, source, update.as_ref(), &mut hands);
        let mut ordinals = Vec::new();
        if self.clock.goes_by_time() {
            ordinals.reserve_exact(block.len());
        }
        let ticks = self.take_in_frames(block, source, &mut hands, &mut ordinals);
        let counters = source.wants_statistics().then(|| Box::new(self.statistics()));
        let notice = Notice { ticks, through: block.last_time(), update, counters };
        Dealt { work: hands.work, ordinals, notice }
    }

    /// What holds from this block on.
    fn take_in_news(
        &mut self,
        block: &Block,
        source: &mut (impl BlockSource + ?Sized),
        update: Option<&Engine>,
        hands: &mut Hands<'_>,
    ) {
        if let Some(engine) = update {
            self.keys.replace(&engine.keys);
            self.matcher = Arc::clone(&engine.matcher);
            hands.tell(&News::Keys(Arc::clone(&engine.keys)));
            hands.tell(&News::Signatures(Arc::clone(&engine.matcher)));
        }
        let came = source.keys().map(|part| self.keys.extend(part));
        let carried = block.secrets().iter().filter(|secrets| self.keys.take_in(secrets)).count();
        if came.is_some() || carried > 0 {
            hands.tell(&News::Keys(Arc::clone(&self.keys.store)));
        }
    }

    fn take_in_frames(
        &mut self,
        block: &Block,
        source: &mut (impl BlockSource + ?Sized),
        hands: &mut Hands<'_>,
        ordinals: &mut Vec<u64>,
    ) -> Vec<Tick> {
        let mut ticks = Vec::new();
        self.clock.show(block.clock());
        for (index, frame) in (0..).zip(block.frames()) {
            let wanted = source.accepts(&frame);
            let tick = match wanted {
                true => self.clock.on_frame(frame.source, frame.time),
                false => self.clock.on_unwanted(frame.source, frame.time),
            };
            if let Some(tick) = tick {
                ticks.push(tick);
                hands.tell(&News::Tick(tick));
            }
            if self.clock.goes_by_time() {
                ordinals.push(self.clock.ordinal());
            }
            if wanted {
                self.take_in_frame(index, &frame, hands);
            }
        }
        if block.is_empty()
            && let Some(tick) = self.clock.on_silence()
        {
            ticks.push(tick);
            hands.tell(&News::Tick(tick));
        }
        ticks
    }

    #[inline(always)]
    fn take_in_frame(&mut self, index: u32, frame: &Frame<'_>, hands: &mut Hands<'_>) {
        let at = self.clock.moment();
        let Some(plain) = Plain::of(frame, &self.hasher) else {
            return self.take_in_other(at, index, frame, hands);
        };
        self.decoder.count_plain();
        self.payload_bytes += u64::from(plain.payload_len());
        hands.give_plain(&self.ownership, at, &plain, index, frame);
    }

    #[inline(never)]
    fn take_in_other(&mut self, at: Moment, index: u32, frame: &Frame<'_>, hands: &mut Hands<'_>) {
        // Not moved out of the outcome: that would wait for what was just written.
        let outcome = self.decoder.decode_stepwise(frame, self.clock.frame_time());
        let Some(packet) = outcome.as_packet() else { return };
        let key = self.hasher.key(packet);
        let whence = match outcome {
            Outcome::Reassembled(_) => Whence::Copies,
            _ => Whence::Frame,
        };
        self.payload_bytes += packet.payload.len() as u64;
        hands.give(&self.ownership, at, &key, packet, (index, frame.data), whence);
    }
}

/// Who is dealt to.
struct Hands<'a> {
    work: Vec<Work>,
    own: Option<&'a mut Shard>,
}

impl Hands<'_> {
    /// The work of the worker who is to have the flow, if that one is not at hand.
    #[inline]
    fn other(
        &mut self,
        ownership: &Ownership,
        key: &PacketKey,
        transport: Transport,
    ) -> Option<&mut Work> {
        if self.work.is_empty() {
            return None;
        }
        let worker = ownership.worker(key, transport);
        let Some(own) = &mut self.own else { return self.work.get_mut(worker) };
        let work = self.work.get_mut(worker.checked_sub(1)?)?;
        (!own.has(key)).then_some(work)
    }

    /// Gives a packet to whose flow it is of.
    #[inline]
    fn give(
        &mut self,
        ownership: &Ownership,
        at: Moment,
        key: &PacketKey,
        packet: &Packet<'_>,
        frame: (u32, &[u8]),
        whence: Whence,
    ) {
        if let Some(work) = self.other(ownership, key, packet.transport) {
            work.hand_over(at, key, packet, frame, whence);
        } else if let Some(own) = &mut self.own {
            own.on_packet(at, key, packet);
        }
    }

    /// Gives what a plain frame carries to whose flow it is of.
    #[inline(always)]
    fn give_plain(
        &mut self,
        ownership: &Ownership,
        at: Moment,
        plain: &Plain,
        index: u32,
        frame: &Frame<'_>,
    ) {
        if let Some(work) = self.other(ownership, &plain.key, plain.transport()) {
            let packet = plain.packet(frame);
            work.hand_over(at, &plain.key, &packet, (index, frame.data), Whence::Frame);
        } else if let Some(own) = &mut self.own {
            own.on_plain(at, plain, frame);
        }
    }

    /// Lets all workers know, in its turn.
    fn tell(&mut self, news: &News) {
        self.work.iter_mut().for_each(|work| work.items.push(Item::News(news.clone())));
        if let Some(own) = &mut self.own {
            news.tell(own);
        }
    }
}

impl Work {
    fn for_packets(packets: usize) -> Self {
        Self { items: Vec::with_capacity(packets), copies: Vec::new(), packets: 0, done: 0 }
    }

    /// Does it, in its order; `block` is the one that it was dealt from.
    pub(super) fn run(&self, block: &Block, shard: &mut Shard) {
        shard.set_pressure(block.pressure());
        for item in &self.items {
            match item {
                Item::News(news) => news.tell(shard),
                Item::Packet(parcel) => {
                    if let Some(packet) = parcel.packet(block, &self.copies) {
                        shard.on_packet(parcel.at, &parcel.key, &packet);
                    }
                }
            }
        }
    }

    /// Whether there is anything to do.
    pub(super) fn is_done(&self) -> bool {
        self.done >= self.items.len()
    }

    /// How many packets it is of.
    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    /// How much there is left to do.
    pub(super) fn left(&self) -> usize {
        self.items.len() - self.done
    }

    /// The ordinal of what is next; that of news without one is 0.
    pub(super) fn next_ordinal(&self) -> Option<u64> {
        Some(match self.items.get(self.done)? {
            Item::Packet(parcel) => parcel.at.ordinal,
            Item::News(News::Tick(tick)) => tick.ordinal,
            Item::News(News::Keys(_) | News::Signatures(_)) => 0,
        })
    }

    /// Does what has ordinals up to `bound`, at table times not before `now`; `census` tells
    /// the numbers of packets. Stops after other signatures have come to be looked for:
    /// whether that was so.
    pub(super) fn run_through(
        &mut self,
        bound: u64,
        block: &Block,
        shard: &mut Shard,
        now: &mut Timestamp,
        census: &mut Census,
    ) -> bool {
        while self.next_ordinal().is_some_and(|next| next <= bound) {
            let item = self.items.get(self.done);
            self.done += 1;
            match item {
                Some(Item::Packet(parcel)) => {
                    *now = parcel.at.table_time.max(*now);
                    if let Some(packet) = parcel.packet(block, &self.copies) {
                        let number = census.number(block.source(), parcel.at.ordinal);
                        let at = Moment { table_time: *now, ..parcel.at };
                        shard.on_packet(at, &parcel.key, &Packet { number, ..packet });
                    }
                }
                Some(Item::News(News::Tick(tick))) => {
                    *now = tick.flow_time.max(*now);
                    shard.advance(Tick { flow_time: *now, ..*tick });
                }
                Some(Item::News(news)) => {
                    news.tell(shard);
                    if matches!(news, News::Signatures(_)) {
                        return true;
                    }
                }
                None => {}
            }
        }
        false
    }

    /// Adds a packet that was decoded from `frame`, or put together at it.
    fn hand_over(
        &mut self,
        at: Moment,
        key: &PacketKey,
        packet: &Packet<'_>,
        (index, frame): (u32, &[u8]),
        whence: Whence,
    ) {
        let start = match whence {
            Whence::Frame => packet.payload.as_ptr().addr() - frame.as_ptr().addr(),
            Whence::Copies => {
                self.copies.extend_from_slice(packet.payload);
                self.copies.len() - packet.payload.len()
            }
        };
        let (start, len) = (start as u32, packet.payload.len() as u32);
        self.packets += 1;
        self.items.push(Item::Packet(Parcel {
            at,
            key: *key,
            time: packet.time,
            transport: packet.transport,
            index,
            payload: start..start + len,
            whence,
            missing: packet.missing,
            tunnel: packet.tunnel,
        }));
    }
}

impl Parcel {
    /// The packet, of its block and of what was put together for it.
    fn packet<'a>(&self, block: &'a Block, copies: &'a [u8]) -> Option<Packet<'a>> {
        let bytes = match self.whence {
            Whence::Frame => block.frame(self.index as usize)?.data,
            Whence::Copies => copies,
        };
        let (src, dst) = self.key.way();
        Some(Packet {
            number: block.first_number() + u64::from(self.index),
            time: self.time,
            source: block.source(),
            src,
            dst,
            transport: self.transport,
            payload: bytes.get(self.payload.start as usize..self.payload.end as usize)?,
            missing: self.missing,
            tunnel: self.tunnel,
        })
    }
}
