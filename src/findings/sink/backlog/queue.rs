//! What waits for the consumer: the segments on disk and the batches in memory, oldest
//! first, between the thread that writes them and the one that delivers them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;

use super::super::SinkError;
use super::super::told::Lost;
use super::folder::Left;

/// Most batches that wait in memory while the disk takes none.
const MAX_HELD: usize = 16;

/// The queue and its lock.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

pub(super) struct Queue {
    entries: VecDeque<Entry>,
    next: u64,
    lost: Lost,
    /// The batch that is being delivered: where it is from, and its rows.
    in_hand: Option<(u64, u64)>,
    ending: bool,
    /// Nothing will be delivered any more.
    over: bool,
    error: Option<SinkError>,
}

struct Entry {
    number: u64,
    what: What,
}

enum What {
    Segment(Segment),
    Held(RecordBatch),
}

struct Segment {
    bytes: u64,
    /// Batches in it; not known of one that an earlier process left.
    batches: Option<u64>,
    rows: Option<u64>,
    delivered: u64,
    rows_delivered: u64,
    /// Whether more may come.
    open: bool,
}

impl Segment {
    fn is_delivered(&self) -> bool {
        self.batches == Some(self.delivered)
    }
}

/// A segment that has to go.
pub(super) struct Evicted {
    pub(super) number: u64,
    /// Batches of it that were delivered.
    pub(super) batches: u64,
    /// Rows in the others, if that is known.
    pub(super) rows: Option<u64>,
    /// Rows of those that are about to be delivered.
    pub(super) in_hand: u64,
}

/// What is to be delivered next.
pub(super) enum Next {
    /// The batch of that index in a segment.
    Read { number: u64, index: u64, left: bool },
    /// A batch.
    Held { number: u64, batch: RecordBatch },
    /// A segment has been delivered and can go.
    Done { number: u64 },
    /// That is all.
    End,
}

impl Shared {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing is half done under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changed(&self) {
        self.changed.notify_all();
    }

    /// Waits until there is something to deliver, or the end.
    pub(super) fn next(&self) -> Next {
        let mut queue = self.lock();
        loop {
            if let Some(next) = queue.front() {
                return next;
            }
            if queue.ending {
                return Next::End;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits before another attempt; false if the end came meanwhile.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let mut queue = self.lock();
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if queue.ending || left.is_zero() {
                return !queue.ending;
            }
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nothing more comes: waits until all is delivered, but not for long, and not at
    /// all for a consumer who is not there. Gives the rows that are lost with the end.
    pub(super) fn end(&self, patience: Duration) -> u64 {
        let until = Instant::now() + patience;
        let mut queue = self.lock();
        queue.seal();
        queue.ending = true;
        self.changed();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if queue.over || left.is_zero() {
                return queue.in_memory();
            }
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Queue {
    /// A queue of what an earlier process left.
    pub(super) fn new(left: Vec<Left>, next: u64) -> Self {
        let entry = |left: Left| {
            let Left { number, bytes, delivered } = left;
            let (batches, rows) = (None, None);
            let segment =
                Segment { bytes, batches, rows, delivered, rows_delivered: 0, open: false };
            Entry { number, what: What::Segment(segment) }
        };
        Self {
            entries: left.into_iter().map(entry).collect(),
            next,
            lost: Lost::default(),
            in_hand: None,
            ending: false,
            over: false,
            error: None,
        }
    }

    /// A number that no entry had.
    pub(super) fn next_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// A segment was begun.
    pub(super) fn begin(&mut self, number: u64) {
        let segment = Segment {
            bytes: 0,
            batches: Some(0),
            rows: Some(0),
            delivered: 0,
            rows_delivered: 0,
            open: true,
        };
        self.entries.push_back(Entry { number, what: What::Segment(segment) });
    }

    /// A batch was written to the segment begun last.
    pub(super) fn written(&mut self, bytes: u64, rows: u64) {
        let Some(segment) = self.open_segment() else { return };
        segment.bytes += bytes;
        segment.batches = segment.batches.map(|batches| batches + 1);
        segment.rows = segment.rows.map(|before| before + rows);
    }

    /// No more comes to the segment begun last.
    pub(super) fn seal(&mut self) {
        if let Some(segment) = self.open_segment() {
            segment.open = false;
        }
    }

    /// Keeps a batch in memory; the oldest such goes if there are too many.
    pub(super) fn hold(&mut self, batch: RecordBatch) {
        let number = self.next_number();
        self.entries.push_back(Entry { number, what: What::Held(batch) });
        let is_held = |entry: &Entry| matches!(entry.what, What::Held(_));
        if self.entries.iter().filter(|entry| is_held(entry)).count() <= MAX_HELD {
            return;
        }
        let oldest = self.entries.iter().position(is_held);
        let Some(entry) = oldest.and_then(|oldest| self.entries.remove(oldest)) else { return };
        if let What::Held(batch) = entry.what {
            let in_hand = self.rows_in_hand(entry.number);
            self.lost.add((batch.num_rows() as u64).saturating_sub(in_hand));
        }
    }

    /// Takes out the oldest segment if all of them together have more than `size` bytes.
    pub(super) fn evict(&mut self, size: u64) -> Option<Evicted> {
        if self.segments().map(|segment| segment.bytes).sum::<u64>() <= size {
            return None;
        }
        let oldest = self.entries.iter().position(|entry| match &entry.what {
            What::Segment(segment) => !segment.open,
            What::Held(_) => false,
        })?;
        let Entry { number, what } = self.entries.remove(oldest)?;
        let What::Segment(segment) = what else { return None };
        let in_hand = self.rows_in_hand(number);
        let rows = segment.rows.map(|rows| rows.saturating_sub(segment.rows_delivered));
        Some(Evicted { number, batches: segment.delivered, rows, in_hand })
    }

    pub(super) fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// Bytes on disk of what was not delivered.
    pub(super) fn spooled(&self) -> u64 {
        self.segments().filter(|it| !it.is_delivered()).map(|it| it.bytes).sum()
    }

    /// Whether the consumer has got everything.
    pub(super) fn is_delivered(&self) -> bool {
        self.segments().all(Segment::is_delivered)
    }

    /// Says that a batch is on its way; false if it had to go meanwhile and has been
    /// counted as lost.
    pub(super) fn in_hand(&mut self, number: u64, rows: u64) -> bool {
        let there = self.entries.iter().any(|entry| entry.number == number);
        self.in_hand = there.then_some((number, rows));
        there
    }

    /// The batch in hand was delivered; gives how many of its segment were by now.
    pub(super) fn delivered(&mut self) -> Option<u64> {
        let (number, rows) = self.in_hand.take()?;
        let at = self.entries.iter().position(|entry| entry.number == number)?;
        match &mut self.entries.get_mut(at)?.what {
            What::Held(_) => {
                self.entries.remove(at);
                None
            }
            What::Segment(segment) => {
                segment.delivered += 1;
                segment.rows_delivered += rows;
                Some(segment.delivered)
            }
        }
    }

    /// A segment ended, or could not be read further: what it still had is lost.
    pub(super) fn exhausted(&mut self, number: u64) {
        let Some(at) = self.entries.iter().position(|entry| entry.number == number) else {
            return;
        };
        let Some(Entry { what: What::Segment(segment), .. }) = self.entries.get_mut(at) else {
            return;
        };
        segment.batches = Some(segment.delivered);
        segment.open = false;
        let rows = segment.rows.unwrap_or(0).saturating_sub(segment.rows_delivered);
        self.lost.add(rows);
    }

    /// The segment has gone from the disk.
    pub(super) fn forget(&mut self, number: u64) {
        self.entries.retain(|entry| entry.number != number);
    }

    /// Nothing will be delivered any more, perhaps because of an error.
    pub(super) fn end(&mut self, error: Option<SinkError>) {
        self.over = true;
        self.error = error;
    }

    /// Whether nothing will be delivered any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The error that ended it, once.
    pub(super) fn take_error(&mut self) -> Option<SinkError> {
        self.error.take()
    }

    fn front(&self) -> Option<Next> {
        let Entry { number, what } = self.entries.front()?;
        let number = *number;
        match what {
            What::Held(batch) => Some(Next::Held { number, batch: batch.clone() }),
            What::Segment(segment) if !segment.is_delivered() => {
                let left = segment.batches.is_none();
                Some(Next::Read { number, index: segment.delivered, left })
            }
            What::Segment(segment) if segment.open => None,
            What::Segment(_) => Some(Next::Done { number }),
        }
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Segment(segment) => Some(segment),
            What::Held(_) => None,
        })
    }

    fn open_segment(&mut self) -> Option<&mut Segment> {
        self.entries.iter_mut().rev().find_map(|entry| match &mut entry.what {
            What::Segment(segment) if segment.open => Some(segment),
            _ => None,
        })
    }

    fn rows_in_hand(&self, of: u64) -> u64 {
        self.in_hand.filter(|(number, _)| *number == of).map_or(0, |(_, rows)| rows)
    }

    /// Rows that are nowhere but in memory.
    fn in_memory(&self) -> u64 {
        let held = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Held(batch) => Some(batch.num_rows() as u64),
            What::Segment(_) => None,
        });
        let orphan = self
            .in_hand
            .filter(|(number, _)| self.entries.iter().all(|entry| entry.number != *number));
        held.sum::<u64>() + orphan.map_or(0, |(_, rows)| rows)
    }
}
