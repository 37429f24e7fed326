//! How fast counters of an interface grow.

use std::collections::VecDeque;
use std::time::Duration;

use crate::capture::live::{InterfaceCounters, InterfaceStatus};

/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(1);

/// Samples that are kept.
const HISTORY: usize = 60;

/// An interface and its rates.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    /// As it was last seen.
    pub(super) status: InterfaceStatus,
    /// Frames in the last second.
    pub(super) packets: u64,
    /// Bytes in the last second.
    pub(super) bytes: u64,
    /// Frames lost in the last second.
    pub(super) lost: u64,
    /// Bytes per second in the last minute, the latest last.
    pub(super) history: VecDeque<u64>,
    /// When counters were last compared, and what they were.
    sampled: Option<(Duration, InterfaceCounters)>,
}

impl Rates {
    /// Takes in how the interface fares, `at` since the start.
    pub(super) fn update(&mut self, status: InterfaceStatus, at: Duration) {
        let counters = status.counters;
        self.status = status;
        let Some((since, before)) = self.sampled else {
            self.sampled = Some((at, counters));
            return;
        };
        let passed = at.saturating_sub(since);
        if passed < SAMPLE {
            return;
        }
        self.sampled = Some((at, counters));
        self.packets = per_second(before.frames, counters.frames, passed);
        self.bytes = per_second(before.bytes, counters.bytes, passed);
        self.lost = per_second(before.lost, counters.lost, passed);
        self.history.push_back(self.bytes);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }
}

/// How much a counter grew in a second; what is less than one but not nothing is one.
pub(super) fn per_second(before: u64, now: u64, passed: Duration) -> u64 {
    let more = u128::from(now.saturating_sub(before));
    let rate = (more * 1_000).div_ceil(passed.as_millis().max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(frames: u64, bytes: u64, lost: u64) -> InterfaceStatus {
        let counters = InterfaceCounters { frames, bytes, lost, ..Default::default() };
        InterfaceStatus { counters, ..Default::default() }
    }

    #[test]
    fn rates_are_those_of_the_last_second() {
        let mut rates = Rates::default();
        let at = Duration::from_millis;
        rates.update(status(100, 1_000, 0), at(0));
        assert_eq!((rates.packets, rates.bytes), (0, 0), "what came before is no rate");
        rates.update(status(300, 9_000, 0), at(500));
        assert_eq!(rates.packets, 0, "too early");
        rates.update(status(1_100, 21_000, 6), at(2_000));
        assert_eq!((rates.packets, rates.bytes, rates.lost), (500, 10_000, 3));
        rates.update(status(1_100, 21_000, 6), at(3_000));
        assert_eq!((rates.packets, rates.bytes, rates.lost), (0, 0, 0));
        assert_eq!(rates.history, [10_000, 0]);
    }

    #[test]
    fn history_is_bounded_and_odd_counters_do_no_harm() {
        let mut rates = Rates::default();
        for second in 0..200 {
            let count = if second % 2 == 0 { u64::MAX } else { 0 };
            rates.update(status(count, count, count), Duration::from_secs(second));
        }
        assert_eq!(rates.history.len(), HISTORY);
        assert_eq!(per_second(0, u64::MAX, Duration::from_nanos(1)), u64::MAX);
        assert_eq!(per_second(0, 1, Duration::from_secs(100)), 1);
    }
}
