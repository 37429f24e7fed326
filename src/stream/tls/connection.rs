//! One connection: from records to news and application data.

use std::fmt;
use std::mem::take;

use super::half::{Cipher, Epoch, Half};
use super::held::{Held, HoldBudget, Item};
use super::keylog::{ClientRandom, KeyStore, Secrets};
use super::negotiate::Negotiated;
use super::record::{Event, Judge, Loss, RecordHeader, RecordReader, content};
use super::{TlsCounters, TlsInfo, TlsLimits, TlsSink};
use crate::stream::Direction;

/// Records of a server whose ServerHello was lost that are tried with each
/// suite.
const MAX_GUESSES: u8 = 8;

/// The parser of one connection.
pub struct Tls {
    pub(super) limits: TlsLimits,
    pub(super) info: TlsInfo,
    pub(super) counters: TlsCounters,
    pub(super) halves: [Half; 2],
    pub(super) client_random: Option<ClientRandom>,
    /// The session identifier of the ClientHello.
    pub(super) session_id: Box<[u8]>,
    /// What the ServerHello decided.
    pub(super) negotiated: Option<Negotiated>,
    /// The client offered early data, and the server did not answer yet.
    pub(super) early_offered: bool,
    pub(super) secrets: Option<Box<Secrets>>,
    /// Of the store that `secrets` are of.
    generation: u64,
    may_grow: bool,
    pub(super) held: Held,
    /// Records may be held.
    pub(super) may_hold: bool,
    /// Something changed for which records were held.
    pub(super) unblocked: bool,
    /// Said once for a connection.
    pub(super) said_missing: bool,
    pub(super) said_unsupported: bool,
    said_late: bool,
    /// Records by which a suite may still be guessed.
    pub(super) guesses_left: u8,
    /// Bytes of records that the handshake may still take.
    handshake_left: usize,
    /// Records are opened here.
    pub(super) scratch: Vec<u8>,
    at_rest: bool,
}

impl Tls {
    /// A parser at the start of a connection, or wherever the capture joined
    /// it.
    pub fn new(limits: TlsLimits) -> Self {
        Self {
            limits,
            info: TlsInfo::default(),
            counters: TlsCounters::default(),
            halves: Default::default(),
            client_random: None,
            session_id: Box::default(),
            negotiated: None,
            early_offered: false,
            secrets: None,
            generation: 0,
            may_grow: false,
            held: Held::default(),
            may_hold: true,
            unblocked: false,
            said_missing: false,
            said_unsupported: false,
            said_late: false,
            guesses_left: MAX_GUESSES,
            handshake_left: limits.handshake_bytes,
            scratch: Vec::new(),
            at_rest: false,
        }
    }

    /// Makes what is held here count against a budget shared with others.
    #[must_use]
    pub fn with_budget(mut self, budget: HoldBudget) -> Self {
        self.held.set_budget(budget);
        self
    }

    /// What is known so far.
    pub const fn info(&self) -> &TlsInfo {
        &self.info
    }

    /// Bytes that it owns beside itself, about.
    pub(crate) fn memory(&self) -> usize {
        /// What the handshake said: names, fingerprints, secrets.
        const SAID: usize = 512;
        let halves: usize = self.halves.iter().map(Half::memory).sum();
        let names: usize = self.info.certificate_names.iter().map(String::capacity).sum();
        halves + self.held.memory() + self.scratch.capacity() + names + SAID
    }

    /// The counters of this connection.
    pub const fn counters(&self) -> &TlsCounters {
        &self.counters
    }

    /// Whether nothing more will come, so that feeding it is of no use.
    pub const fn is_at_rest(&self) -> bool {
        self.at_rest
    }

    /// Whether records wait for keys: worth a look into the key log before the
    /// connection is [closed](Self::close).
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next bytes of a direction.
    pub fn feed<S>(&mut self, direction: Direction, data: &[u8], keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        if self.at_rest {
            return;
        }
        self.renew(keys, sink);
        let mut reader = take(&mut self.half_mut(direction).reader);
        let mut rest = data;
        while !self.half(direction).is_done() {
            let mut judge = Reading { tls: self, direction, keys };
            let Some(event) = reader.next(&mut rest, &mut judge) else {
                break;
            };
            match event {
                Event::Record(header, body) => {
                    self.arrive(direction, Item::Record(header, body), keys, sink);
                }
                Event::Skipped(header) => self.skipped(direction, header, keys, sink),
                Event::Broken => {
                    self.counters.bad_records += 1;
                    self.arrive(direction, Item::Broken, keys, sink);
                }
            }
        }
        let done = self.half(direction).is_done();
        self.half_mut(direction).reader = if done { RecordReader::off() } else { reader };
    }

    /// `len` bytes of a direction were lost (0: an unknown number).
    pub fn gap<S>(&mut self, direction: Direction, len: u64, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        if self.at_rest {
            return;
        }
        self.renew(keys, sink);
        self.counters.gaps += 1;
        self.counters.lost_bytes += len;
        match self.half_mut(direction).reader.gap(len) {
            Loss::Nothing => {}
            Loss::Record(header) => self.arrive(direction, Item::LostRecord(header), keys, sink),
            Loss::Framing => self.arrive(direction, Item::LostRecords, keys, sink),
        }
    }

    /// A direction ended.
    pub fn end<S>(&mut self, direction: Direction, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        if self.at_rest {
            return;
        }
        self.renew(keys, sink);
        self.arrive(direction, Item::End, keys, sink);
    }

    /// Looks for keys that came in the meantime.
    pub fn retry<S>(&mut self, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        if !self.at_rest {
            self.renew(keys, sink);
        }
    }

    /// The connection is over, or will not be followed further: ends whatever
    /// is open. Calling it again does nothing.
    pub fn close<S>(&mut self, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        self.retry(keys, sink);
        self.stop_holding(keys, sink);
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.finish(direction, keys, sink);
        }
        self.check_rest(sink);
    }

    pub(super) const fn half(&self, direction: Direction) -> &Half {
        &self.halves[direction.index()]
    }

    pub(super) const fn half_mut(&mut self, direction: Direction) -> &mut Half {
        &mut self.halves[direction.index()]
    }

    /// Whether the keys of this connection are there, or may come.
    pub(super) fn may_open(&self, keys: &KeyStore) -> bool {
        self.secrets.is_some() || self.may_wait(keys) && self.client_random.is_some()
    }

    /// Whether protected records of a direction that is not protected yet can be
    /// of use: the ServerHello is still to come, or a ChangeCipherSpec was lost.
    fn may_use_early(&self, direction: Direction, keys: &KeyStore) -> bool {
        let awaited = self.may_hold && self.negotiated.is_none();
        self.may_open(keys) && (awaited || self.half(direction).lossy)
    }

    /// Whether it makes sense to hold records until keys come.
    pub(super) const fn may_wait(&self, keys: &KeyStore) -> bool {
        self.may_hold && keys.may_grow()
    }

    /// Takes notice of keys that were added to the store.
    fn renew<S: TlsSink + ?Sized>(&mut self, keys: &KeyStore, sink: &mut S) {
        if (self.generation, self.may_grow) == (keys.generation(), keys.may_grow()) {
            return;
        }
        (self.generation, self.may_grow) = (keys.generation(), keys.may_grow());
        let Some(random) = self.client_random else {
            return;
        };
        if self.halves.iter().all(Half::is_settled) {
            return;
        }
        self.secrets = keys.secrets(&random).map(Box::new);
        let waited = !self.held.is_empty();
        for direction in [Direction::ToClient, Direction::ToServer] {
            let Cipher::Waiting(epoch) = self.half(direction).cipher else {
                continue;
            };
            if epoch != Epoch::Early {
                self.install(direction, epoch, keys, sink);
            }
            if waited && self.half(direction).epoch().is_some() && !self.said_late {
                self.said_late = true;
                self.counters.keys_late += 1;
            }
        }
        self.drain(keys, sink);
        self.check_rest(sink);
    }

    /// A record was passed over by its header.
    fn skipped<S>(
        &mut self,
        direction: Direction,
        header: RecordHeader,
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        self.counters.records_skipped += 1;
        self.spend(direction, header, keys, sink);
        self.check_rest(sink);
    }

    /// Whether a direction that is not protected yet will never be opened.
    fn is_hopeless(&self, direction: Direction, keys: &KeyStore) -> bool {
        matches!(self.half(direction).cipher, Cipher::Plain) && !self.may_open(keys)
    }

    /// Looks at what happened in a direction now, or holds it.
    fn arrive<S>(&mut self, direction: Direction, item: Item<'_>, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        let behind = Behind { same: self.held.has(direction), any: !self.held.is_empty() };
        if self.must_wait(direction, item, behind, keys) {
            self.held.share_budget(keys.hold_budget());
            if self.held.push(direction, item, self.limits.held_bytes) {
                self.counters.records_held += 1;
                return;
            }
            self.counters.holds_given_up += 1;
            self.stop_holding(keys, sink);
        }
        self.process(direction, item, keys, sink);
        self.drain(keys, sink);
        self.check_rest(sink);
    }

    fn must_wait(
        &self,
        direction: Direction,
        item: Item<'_>,
        behind: Behind,
        keys: &KeyStore,
    ) -> bool {
        let half = self.half(direction);
        if !self.may_hold || half.is_done() {
            return false;
        }
        if let Item::Record(header, _) = item
            && !half.seals(header.kind)
        {
            return false;
        }
        match &half.cipher {
            _ if behind.same => true,
            Cipher::Plain => {
                let awaited = self.negotiated.is_none() && !self.lost_server_hello(direction);
                matches!(item, Item::Record(..)) && awaited && self.may_open(keys)
            }
            Cipher::Waiting(_) => true,
            // Requests are to come before their answers.
            Cipher::Open(_) => behind.any && half.carries_application(),
            Cipher::Done => false,
        }
    }

    /// Looks at what was held, if it need not wait any longer.
    fn drain<S: TlsSink + ?Sized>(&mut self, keys: &KeyStore, sink: &mut S) {
        while take(&mut self.unblocked) && !self.held.is_empty() {
            let mut stayed = [false; 2];
            for _ in 0..self.held.len() {
                let Some(held) = self.held.pop() else {
                    break;
                };
                let direction = held.direction;
                let behind =
                    Behind { same: stayed[direction.index()], any: stayed.contains(&true) };
                if self.must_wait(direction, held.item(), behind, keys) {
                    stayed[direction.index()] = true;
                    self.held.put_back(held);
                } else {
                    self.process(direction, held.item(), keys, sink);
                    self.held.release(held);
                }
            }
        }
    }

    /// Gives up waiting: what cannot be opened now never will be.
    fn stop_holding<S: TlsSink + ?Sized>(&mut self, keys: &KeyStore, sink: &mut S) {
        if !take(&mut self.may_hold) {
            return;
        }
        for direction in [Direction::ToClient, Direction::ToServer] {
            match self.half(direction).cipher {
                Cipher::Waiting(Epoch::Early) => self.decide_early(false, keys, sink),
                Cipher::Waiting(epoch) => self.install(direction, epoch, keys, sink),
                _ => {}
            }
        }
        self.unblocked = true;
        self.drain(keys, sink);
    }

    fn process<S>(&mut self, direction: Direction, item: Item<'_>, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        match item {
            Item::Record(header, body) => {
                self.counters.records += 1;
                if self.half(direction).seals(header.kind) {
                    self.sealed_record(direction, header, body, keys, sink);
                } else {
                    self.plain_record(direction, header, body, keys, sink);
                    self.spend(direction, header, keys, sink);
                }
            }
            Item::LostRecord(header) => self.half_mut(direction).lose_record(header),
            // What an endpoint would not read any further, nor what it may
            // have read but cannot be opened, has nothing more to tell.
            Item::Broken if matches!(self.half(direction).cipher, Cipher::Plain) => {
                self.finish(direction, keys, sink);
            }
            Item::LostRecords if self.is_hopeless(direction, keys) => {
                self.finish(direction, keys, sink);
            }
            Item::LostRecords | Item::Broken => self.half_mut(direction).lose_records(),
            Item::End => self.finish(direction, keys, sink),
        }
    }

    fn plain_record<S>(
        &mut self,
        direction: Direction,
        header: RecordHeader,
        body: &[u8],
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        match header.kind {
            content::HANDSHAKE => self.messages(direction, body, keys, sink),
            content::CHANGE_CIPHER_SPEC => self.change_cipher(direction, keys, sink),
            _ => {}
        }
    }

    /// Counts a record against what a handshake may take.
    fn spend<S>(
        &mut self,
        direction: Direction,
        header: RecordHeader,
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        if !matches!(self.half(direction).cipher, Cipher::Plain) {
            return;
        }
        self.handshake_left = self.handshake_left.saturating_sub(header.total());
        if self.handshake_left > 0 {
            return;
        }
        self.counters.endless_handshakes += 1;
        for direction in [Direction::ToClient, Direction::ToServer] {
            if matches!(self.half(direction).cipher, Cipher::Plain) {
                self.finish(direction, keys, sink);
            }
        }
    }

    /// Nothing more of a direction will be looked at.
    pub(super) fn finish<S>(&mut self, direction: Direction, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        let half = self.half_mut(direction);
        if half.is_done() {
            return;
        }
        let told = half.told_application();
        let gap = half.take_gap();
        half.finish();
        if told {
            if let Some(len) = gap {
                sink.application_gap(direction, len);
            }
            sink.application_end(direction);
        }
        self.unblocked = true;
        if direction == Direction::ToClient {
            self.decide_early(false, keys, sink);
        }
    }

    /// Rests when both directions are done.
    fn check_rest<S: TlsSink + ?Sized>(&mut self, sink: &mut S) {
        if self.at_rest || !self.halves.iter().all(Half::is_done) {
            return;
        }
        self.at_rest = true;
        self.held.clear();
        self.secrets = None;
        self.scratch = Vec::new();
        sink.nothing_more();
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("info", &self.info)
            .field("counters", &self.counters)
            .field("at_rest", &self.at_rest)
            .finish_non_exhaustive()
    }
}

/// What an item stands behind among those that wait.
#[derive(Clone, Copy)]
struct Behind {
    /// Something of its own direction.
    same: bool,
    /// Something of either.
    any: bool,
}

/// Reads the records of one direction.
struct Reading<'a> {
    tls: &'a mut Tls,
    direction: Direction,
    keys: &'a KeyStore,
}

impl Judge for Reading<'_> {
    fn wants(&self, header: &RecordHeader) -> bool {
        let tls = &*self.tls;
        match tls.half(self.direction).cipher {
            Cipher::Plain if header.kind == content::APPLICATION_DATA => {
                tls.may_use_early(self.direction, self.keys)
            }
            Cipher::Plain | Cipher::Waiting(_) | Cipher::Open(_) => true,
            Cipher::Done => false,
        }
    }

    fn authenticates(&mut self, header: &RecordHeader, body: &[u8]) -> bool {
        let tls = &mut *self.tls;
        if tls.held.has(self.direction) || !tls.half(self.direction).seals(header.kind) {
            return false;
        }
        let mut plain = take(&mut tls.scratch);
        let opens = tls.open(self.direction, *header, body, &mut plain).is_some();
        tls.scratch = plain;
        if let Cipher::Open(open) = &mut tls.half_mut(self.direction).cipher
            && opens
        {
            open.opener.step_back();
        }
        opens
    }
}
