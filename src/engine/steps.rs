//! Times of frames in, the same without the steps of the clock that told them out.
//!
//! A capture that runs hands over with each block what a clock shows that nobody sets
//! ([`Block::clock`](crate::capture::Block::clock)). Frames may have waited before they
//! are handed over, but none comes before it was captured: where their times run ahead of
//! that clock, or back, the clock that told them was set (by hand, by NTP, after the system
//! was suspended), or is another than the one before.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::capture::SourceId;
use crate::time::Timestamp;

/// What is no step: disorder, and corrections too small to matter to what times out.
const TOLERANCE: i64 = 2_000_000_000;

/// If no frame was in time for so long, it is not that they wait: their clock is slow.
const WINDOW: i64 = 60_000_000_000;

/// What those hold in common who read parts of one capture, so that its times are the same
/// for all.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// What is added to what the clock shows, so that it shows the first frame's time with
    /// that frame.
    origin: OnceLock<i64>,
    /// The sums of steps that one of them found last.
    found: Mutex<Vec<(SourceId, i64)>>,
}

/// Takes the steps out, if there is a clock to tell them by.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// What the clock shows.
    shown: Option<i64>,
    common: Arc<Common>,
    /// What it showed when nothing waited; frames that come later are younger.
    silent: Option<i64>,
    /// A handful: the interfaces of a sensor.
    sources: Vec<(SourceId, Source)>,
}

/// A source, the clock of which is its own.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// The sum of the steps.
    steps: i64,
    /// The last frame's time, without them.
    last: i64,
    /// Of the frames of a window, by how much the youngest was behind the clock.
    least: Option<i64>,
    window_end: i64,
}

impl Common {
    /// What a sum of steps is that was found to be `steps`: the same that another one
    /// found, if it is about the same.
    fn agree(&self, source: SourceId, steps: i64) -> i64 {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match found.iter_mut().find(|(known, _)| *known == source) {
            Some((_, agreed)) => {
                if agreed.saturating_sub(steps).saturating_abs() > TOLERANCE {
                    *agreed = steps;
                }
                *agreed
            }
            None => {
                found.push((source, steps));
                steps
            }
        }
    }
}

impl Steps {
    /// Steps of one of several parts of a capture.
    pub(super) fn of_part(common: Arc<Common>) -> Self {
        Self { common, ..Self::default() }
    }

    /// The time from which on all frames are, once there was one.
    pub(super) fn origin(&self) -> Option<i64> {
        self.common.origin.get().copied()
    }

    /// The clock shows this from here on, or is not there.
    pub(super) fn show(&mut self, clock: Option<Duration>) {
        self.shown = clock.map(|clock| i64::try_from(clock.as_nanos()).unwrap_or(i64::MAX));
    }

    /// Whether there is a clock.
    pub(super) const fn are_told(&self) -> bool {
        self.shown.is_some()
    }

    /// Nothing waits that was captured before what the clock shows; returns that, once
    /// there was a frame to set it by.
    pub(super) fn silence(&mut self) -> Option<Timestamp> {
        let now = self.shown?.saturating_add(self.origin()?);
        self.silent = Some(now);
        Some(Timestamp::from_nanos(now))
    }

    /// The time of the next frame without the steps.
    #[inline]
    pub(super) fn without(&mut self, source: SourceId, time: Timestamp) -> Timestamp {
        match self.shown {
            None => time,
            Some(shown) => self.take_out(shown, source, time),
        }
    }

    /// Not part of the loop over the frames of a file, which has no such clock.
    #[inline(never)]
    fn take_out(&mut self, shown: i64, source: SourceId, time: Timestamp) -> Timestamp {
        let time = time.as_nanos();
        let origin = *self.common.origin.get_or_init(|| time.saturating_sub(shown));
        let now = shown.saturating_add(origin);
        let index = match self.sources.iter().position(|(known, _)| *known == source) {
            Some(index) => index,
            None => {
                self.sources.push((source, Source::new(now)));
                self.sources.len() - 1
            }
        };
        let steady = match self.sources.get_mut(index) {
            Some((_, known)) => {
                known.without(time, now, self.silent, &|steps| self.common.agree(source, steps))
            }
            None => time,
        };
        Timestamp::from_nanos(steady)
    }
}

impl Source {
    const fn new(now: i64) -> Self {
        Self { steps: 0, last: now, least: None, window_end: now.saturating_add(WINDOW) }
    }

    fn without(
        &mut self,
        time: i64,
        now: i64,
        silent: Option<i64>,
        agreed: &impl Fn(i64) -> i64,
    ) -> i64 {
        if now >= self.window_end {
            let slow = self.least.take().filter(|least| *least > TOLERANCE);
            if let Some(slow) = slow {
                self.steps = agreed(self.steps.saturating_sub(slow));
            }
            self.window_end = now.saturating_add(WINDOW);
        }
        let mut steady = time.saturating_sub(self.steps);
        let last = silent.map_or(self.last, |silent| silent.max(self.last));
        let (ahead, back) = (steady.saturating_sub(now), last.saturating_sub(steady));
        if ahead > TOLERANCE || back > TOLERANCE {
            self.steps = agreed(time.saturating_sub(now));
            steady = time.saturating_sub(self.steps);
        }
        let behind = now.saturating_sub(steady);
        self.least = Some(self.least.map_or(behind, |least| least.min(behind)));
        self.last = steady;
        steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const ONE: SourceId = SourceId(0);
    const OTHER: SourceId = SourceId(1);

    /// A capture's time when its clock shows nothing, in milliseconds.
    const START: i64 = 1_780_000_000_000;

    /// Steps, and what they are told: times in milliseconds.
    #[derive(Default)]
    struct Lab(Steps);

    impl Lab {
        /// Time without the steps of a frame of `source` that was handed over when the
        /// clock showed `clock`, and said to have come at `time`.
        fn frame(&mut self, source: SourceId, clock: i64, time: i64) -> i64 {
            self.0.show(Some(Duration::from_millis(clock.try_into().unwrap())));
            let time = Timestamp::from_nanos((START + time) * 1_000_000);
            self.0.without(source, time).as_nanos() / 1_000_000 - START
        }
    }

    #[test]
    fn times_stay_as_they_are_where_there_is_no_step() {
        let mut lab = Lab::default();
        // Just in time, handed over late, out of order, long after the one before, and
        // from elsewhere.
        let frames = [(0, 0), (50, 40), (900, 60), (900, 890), (1000, 880), (HOUR, HOUR - 9)];
        for (clock, time) in frames {
            assert_eq!(lab.frame(ONE, clock, time), time);
        }
        assert_eq!(lab.frame(OTHER, HOUR + 10, HOUR + 2), HOUR + 2);
    }

    #[test]
    fn without_a_clock_times_stay_as_they_are() {
        let mut steps = Steps::default();
        for time in [0, HOUR, -HOUR, i64::MAX, i64::MIN] {
            let time = Timestamp::from_nanos(time);
            assert_eq!(steps.without(ONE, time), time);
        }
        assert_eq!((steps.are_told(), steps.silence()), (false, None));
    }

    #[test]
    fn a_clock_that_is_set_lets_no_time_pass() {
        let mut lab = Lab::default();
        let mut clock = 0;
        for ahead in [0, HOUR, 0, -HOUR, 100 * HOUR, 5000, -HOUR, 0] {
            for _ in 0..10 {
                clock += 100;
                assert_eq!(lab.frame(ONE, clock, clock + ahead), clock, "{ahead}");
            }
            // Time that does pass, does.
            clock += 10 * HOUR;
            assert_eq!(lab.frame(ONE, clock, clock + ahead), clock, "{ahead}");
        }
    }

    /// An hour passes, and the clock is set back by as much.
    #[test]
    fn a_clock_that_is_set_back_hides_no_silence() {
        let mut lab = Lab::default();
        lab.frame(ONE, 0, 0);
        lab.0.show(Some(Duration::from_millis(HOUR as u64)));
        lab.0.silence();
        assert_eq!(lab.frame(ONE, HOUR + 100, 100), HOUR + 100);
    }

    #[test]
    fn a_clock_may_be_set_within_a_block() {
        let mut lab = Lab::default();
        lab.frame(ONE, 0, 0);
        let times = [10, 20, HOUR + 30, HOUR + 40, 50, 60].map(|time| lab.frame(ONE, 60, time));
        assert!(times.iter().all(|time| (10..=80).contains(time)), "{times:?}");
    }

    /// The program was stopped; what waited meanwhile is read first.
    #[test]
    fn what_has_waited_keeps_its_time() {
        for ahead in [0, HOUR, -HOUR] {
            let mut lab = Lab::default();
            lab.frame(ONE, 0, 0);
            let stopped = 600_000;
            assert_eq!(lab.frame(ONE, stopped, 100), 100);
            assert_eq!(lab.frame(ONE, stopped + 1, 3000), 3000);
            // What found no room was lost.
            let now = stopped + 2;
            assert_eq!(lab.frame(ONE, now, now + ahead), now, "{ahead}");
        }
    }

    #[test]
    fn each_source_has_its_own_clock() {
        let mut lab = Lab::default();
        for clock in (0..HOUR).step_by(1000) {
            assert_eq!(lab.frame(ONE, clock, clock), clock);
            // A card that counts from when it was switched on.
            assert_eq!(lab.frame(OTHER, clock, clock - START), clock);
        }
    }

    /// Frames that a card stamps, and others that the kernel does.
    #[test]
    fn clocks_may_take_turns() {
        let mut lab = Lab::default();
        for clock in (0..HOUR).step_by(500) {
            let time = if clock % 1000 == 0 { clock } else { clock - START };
            assert_eq!(lab.frame(ONE, clock, time), clock);
        }
    }

    /// A clock that runs by itself, too fast or too slow, for a hundred days; at last it
    /// is set right.
    #[test]
    fn clocks_that_drift_apart_do_not_hide_steps() {
        for drift in [-10_000, 10_000] {
            let mut lab = Lab::default();
            let mut clock = 0;
            let mut last = -10_000;
            while clock < 2400 * HOUR {
                let time = lab.frame(ONE, clock, clock + clock / drift);
                assert!((time - clock).abs() < 3000 && time - last < 15_000, "{clock}: {time}");
                last = time;
                clock += 10_000;
            }
            let time = lab.frame(ONE, clock, clock);
            assert!((time - clock).abs() < 3000, "{time}");
        }
    }

    #[test]
    fn absurd_times_are_survived() {
        for times in [[i64::MIN, i64::MAX, 0], [i64::MAX, i64::MIN, 0], [0, i64::MAX, i64::MIN]] {
            let mut steps = Steps::default();
            for (at, time) in [0, u64::MAX / 2, u64::MAX].into_iter().zip(times) {
                steps.show(Some(Duration::from_nanos(at)));
                steps.without(ONE, Timestamp::from_nanos(time));
                steps.without(OTHER, Timestamp::from_nanos(time.wrapping_neg()));
            }
        }
    }
}
