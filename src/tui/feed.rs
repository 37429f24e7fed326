//! From the sensor to its view: a queue with room for a few findings. When it is full,
//! findings are counted and not listed; the sensor never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};

use crate::engine::Statistics;
use crate::findings::{Confidence, Kind, Row};

/// Findings that wait for the view at most.
const WAITING: usize = 1_024;

/// What the view is told of.
#[derive(Debug)]
pub(super) enum Event {
    /// A finding that is not a message: these are only counted.
    Finding(Box<Row>),
    /// All counters as they stand.
    Statistics(Box<Statistics>),
}

/// The sensor's end.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    queue: Sender<Event>,
    counts: Arc<Counts>,
}

impl Feed {
    /// Takes a finding.
    pub(crate) fn finding(&self, row: &Row) {
        self.counts.add(row.kind, row.confidence);
        if row.kind == Kind::Message {
            return;
        }
        // Looked at first, so that a row that finds no room is not copied.
        if self.queue.is_full()
            || self.queue.try_send(Event::Finding(Box::new(row.clone()))).is_err()
        {
            self.counts.unlisted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all counters as they stand.
    pub(crate) fn statistics(&self, statistics: &Statistics) {
        // The next ones come within a second.
        let _ = self.queue.try_send(Event::Statistics(Box::new(statistics.clone())));
    }
}

/// The view's end.
#[derive(Debug)]
pub(super) struct Fed {
    queue: Receiver<Event>,
    counts: Arc<Counts>,
}

impl Fed {
    /// What waits, but no more than the queue holds: who feeds fast must not keep the
    /// view from drawing.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Event> {
        self.queue.try_iter().take(WAITING)
    }

    /// The counts as they stand.
    pub(super) fn tally(&self) -> Tally {
        self.counts.tally()
    }
}

/// Both ends of a queue.
pub(super) fn feed() -> (Feed, Fed) {
    let (sender, receiver) = crossbeam_channel::bounded(WAITING);
    let counts = Arc::new(Counts::default());
    (Feed { queue: sender, counts: Arc::clone(&counts) }, Fed { queue: receiver, counts })
}

const KINDS: usize = Kind::ALL.len();
const CONFIDENCES: usize = Confidence::ALL.len();

/// Counts of all findings.
#[derive(Debug, Default)]
struct Counts {
    rows: [[AtomicU64; CONFIDENCES]; KINDS],
    unlisted: AtomicU64,
}

impl Counts {
    fn add(&self, kind: Kind, confidence: Confidence) {
        let row = self.rows.get(kind as usize).and_then(|row| row.get(confidence as usize));
        if let Some(count) = row {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tally(&self) -> Tally {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally {
            rows: self.rows.each_ref().map(|row| row.each_ref().map(load)),
            unlisted: load(&self.unlisted),
        }
    }
}

/// How many findings there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    rows: [[u64; CONFIDENCES]; KINDS],
    /// Findings that were counted and found no place in the queue.
    pub(super) unlisted: u64,
}

impl Tally {
    /// Findings of a kind with that confidence.
    pub(super) fn of(&self, kind: Kind, confidence: Confidence) -> u64 {
        let row = self.rows.get(kind as usize).and_then(|row| row.get(confidence as usize));
        row.copied().unwrap_or_default()
    }

    /// Findings of a kind.
    pub(super) fn all(&self, kind: Kind) -> u64 {
        Confidence::ALL.iter().map(|confidence| self.of(kind, *confidence)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::samples;

    #[test]
    fn a_view_that_takes_nothing_holds_nothing_up() {
        let (feed, fed) = feed();
        (0..WAITING + 7).for_each(|_| feed.finding(&samples::detection()));
        feed.statistics(&Statistics::default());
        assert_eq!(fed.tally().all(Kind::Detection), WAITING as u64 + 7);
        assert_eq!(fed.tally().unlisted, 7);
        assert_eq!(fed.waiting().count(), WAITING);
        feed.statistics(&Statistics::default());
        assert!(matches!(fed.waiting().next(), Some(Event::Statistics(_))));
    }

    #[test]
    fn messages_are_counted_and_not_listed() {
        let (feed, fed) = feed();
        feed.finding(&samples::message());
        assert_eq!(fed.waiting().count(), 0);
        assert_eq!(fed.tally().of(Kind::Message, Confidence::Confirmed), 1);
        assert_eq!(fed.tally().unlisted, 0);
    }

    #[test]
    fn a_view_that_is_gone_is_no_matter() {
        let (feed, fed) = feed();
        drop(fed);
        feed.finding(&samples::detection());
        feed.statistics(&Statistics::default());
    }
}
