//! The engine's clock: capture time, told by packets and, where there is one, by a clock
//! that runs along with the capture.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::steps::{Common, Steps};
use crate::capture::SourceId;
use crate::detect::{Order, Phase};
use crate::flow::{FlowClock, Moment};
use crate::time::Timestamp;

/// How often, in capture time, what has timed out is looked for.
const PERIOD_NANOS: i64 = 1_000_000_000;

/// Time has passed, as the packet of that ordinal told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) ordinal: u64,
    /// Table time, which goes on where clocks are set back.
    pub(super) flow_time: Timestamp,
}

impl From<Tick> for Order {
    /// The collector hears of a tick after all that timed out by it, before
    /// what its packet causes.
    fn from(tick: Tick) -> Self {
        Order { ordinal: tick.ordinal, phase: Phase::Tick, flow: u64::MAX, sequence: u32::MAX }
    }
}

/// How packets come by their ordinals.
#[derive(Clone, Copy, Debug)]
enum Numbering {
    /// They are counted.
    Count,
    /// By when they came, among those of other parts of the capture: the first of so many
    /// numbers for each nanosecond is the first part's.
    Time { part: u64, parts: u64 },
}

/// Counts packets over all sources and shards, and ticks once a second of table time,
/// which never runs backwards.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    packets: u64,
    /// The last one that was given.
    ordinal: u64,
    numbering: Numbering,
    steps: Steps,
    /// The current frame's time, without the steps of its clock.
    frame_time: Timestamp,
    flow: FlowClock,
    flow_time: Timestamp,
    ticked: Timestamp,
}

impl Default for Clock {
    fn default() -> Self {
        let never = Timestamp::MIN;
        Self {
            packets: 0,
            ordinal: 0,
            numbering: Numbering::Count,
            steps: Steps::default(),
            frame_time: never,
            flow: FlowClock::default(),
            flow_time: never,
            ticked: never,
        }
    }
}

impl Clock {
    /// The clock of one of several parts of a capture, which hold something in common.
    /// Ordinals go by time, so that those of all parts are in its order.
    pub(super) fn of_part(part: usize, parts: NonZeroUsize, common: Arc<Common>) -> Self {
        let numbering = Numbering::Time { part: part as u64, parts: parts.get() as u64 };
        Self { ordinal: part as u64, numbering, steps: Steps::of_part(common), ..Self::default() }
    }

    /// What a clock shows that nobody sets, if one runs along with the capture.
    pub(super) fn show(&mut self, clock: Option<Duration>) {
        self.steps.show(clock);
    }

    /// Counts a frame; a tick if it is time for one.
    #[inline(always)]
    pub(super) fn on_frame(&mut self, source: SourceId, time: Timestamp) -> Option<Tick> {
        self.packets += 1;
        self.frame_time = self.steps.without(source, time);
        self.ordinal = self.next_ordinal(self.frame_time);
        self.tick(self.frame_time, self.ordinal)
    }

    /// A frame came that is not looked at. Where a clock runs along it is a sign that time
    /// has passed, as nothing else may come.
    pub(super) fn on_unwanted(&mut self, source: SourceId, time: Timestamp) -> Option<Tick> {
        if !self.steps.are_told() {
            return None;
        }
        let time = self.steps.without(source, time);
        self.tick_between(time)
    }

    /// No frame came up to what the clock shows; a tick if it is time for one.
    pub(super) fn on_silence(&mut self) -> Option<Tick> {
        let now = self.steps.silence()?;
        self.tick_between(now)
    }

    fn tick_between(&mut self, time: Timestamp) -> Option<Tick> {
        let ordinal = self.next_ordinal(time);
        if self.goes_by_time() {
            self.ordinal = ordinal;
        }
        // Before the first frame there is nothing that could time out.
        if self.packets == 0 {
            return None;
        }
        self.tick(time, ordinal)
    }

    /// The ordinal of what comes next, at that time.
    #[inline(always)]
    fn next_ordinal(&self, time: Timestamp) -> u64 {
        match self.numbering {
            Numbering::Count => self.ordinal + 1,
            Numbering::Time { part, parts } => self.ordinal_by_time(time, part, parts),
        }
    }

    /// Not part of the loop over the frames of a file, which are counted.
    #[inline(never)]
    fn ordinal_by_time(&self, time: Timestamp, part: u64, parts: u64) -> u64 {
        let origin = self.steps.origin().unwrap_or_default();
        let nanos = u64::try_from(time.as_nanos().saturating_sub(origin)).unwrap_or_default();
        let by_time = nanos.saturating_mul(parts).saturating_add(part);
        by_time.max(self.ordinal.saturating_add(parts))
    }

    #[inline(always)]
    fn tick(&mut self, time: Timestamp, ordinal: u64) -> Option<Tick> {
        // Where steps are taken out, what is late by far has waited.
        let late = self.steps.are_told() && time < self.flow_time;
        self.flow_time = self.flow.tick(if late { self.flow_time } else { time });
        if self.flow_time.as_nanos().saturating_sub(self.ticked.as_nanos()) < PERIOD_NANOS {
            return None;
        }
        self.ticked = self.flow_time;
        Some(Tick { ordinal, flow_time: self.flow_time })
    }

    /// Frames counted so far.
    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    /// Whether ordinals go by time, among those of other parts.
    pub(super) const fn goes_by_time(&self) -> bool {
        matches!(self.numbering, Numbering::Time { .. })
    }

    /// The last ordinal that was given: what comes later has a greater one.
    pub(super) const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// The current frame's time, without the steps of its clock.
    pub(super) const fn frame_time(&self) -> Timestamp {
        self.frame_time
    }

    /// When the packet of the current frame came.
    #[inline(always)]
    pub(super) const fn moment(&self) -> Moment {
        Moment { ordinal: self.ordinal, table_time: self.flow_time, packet_time: self.frame_time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds of capture time.
    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    impl Clock {
        /// A frame, at that time in milliseconds.
        fn frame(&mut self, millis: i64) -> Option<Tick> {
            self.on_frame(SourceId(0), at(millis))
        }

        /// The clock that runs along shows so many milliseconds.
        fn show_millis(&mut self, millis: u64) {
            self.show(Some(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn ticks_once_a_second_and_never_backwards() {
        let mut clock = Clock::default();
        assert_eq!(clock.frame(10_000).map(|tick| tick.ordinal), Some(1));
        assert_eq!(clock.frame(10_999), None);
        assert_eq!(clock.frame(5_000), None);
        assert_eq!(clock.frame(11_000).map(|tick| tick.ordinal), Some(4));
        assert_eq!(clock.packets(), 4);
    }

    #[test]
    fn ticks_without_frames() {
        let mut clock = Clock::default();
        clock.show_millis(5_000);
        assert_eq!(clock.on_silence(), None);
        clock.show_millis(9_000);
        assert!(clock.frame(20_000).is_some());
        // What is shown behind the frames tells nothing.
        clock.show_millis(8_000);
        assert_eq!(clock.on_silence(), None);
        clock.show_millis(9_999);
        assert_eq!(clock.on_silence(), None);
        clock.show_millis(10_000);
        let tick = clock.on_silence().unwrap();
        assert_eq!((tick.ordinal, tick.flow_time), (2, at(21_000)));
        assert_eq!(clock.packets(), 1);
    }

    #[test]
    fn unwanted_frames_tell_the_time_of_a_running_capture() {
        for runs in [true, false] {
            let mut clock = Clock::default();
            if runs {
                clock.show_millis(70_000);
            }
            assert_eq!(clock.on_unwanted(SourceId(0), at(10_000)), None);
            clock.frame(10_000);
            let tick = clock.on_unwanted(SourceId(0), at(11_000));
            let expected = runs.then_some(Tick { ordinal: 2, flow_time: at(11_000) });
            assert_eq!((tick, clock.packets()), (expected, 1));
        }
    }

    #[test]
    fn ticks_on_after_time_was_set_back() {
        let mut clock = Clock::default();
        assert!(clock.frame(1_000_000_000).is_some());
        assert!(clock.frame(100_000).is_none());
        assert_eq!(clock.frame(102_000).unwrap().flow_time, at(1_000_002_000));
    }

    /// A clock that was wrong by years for a moment, then set right: time passes as it
    /// did before.
    #[test]
    fn a_clock_that_jumps_and_is_set_right_costs_no_time() {
        let mut clock = Clock::default();
        let years = 20 * 365 * 86_400;
        let mut told = Vec::new();
        for seconds in [1000, 1001, 1001 + years, 1002, 1003, 1003 - years, 1004 - years] {
            told.extend(clock.frame(seconds * 1000).map(|tick| tick.flow_time));
        }
        assert!(told.is_sorted());
        assert!(told.last().unwrap().since(at((1001 + years) * 1000)).as_secs() <= 3);
    }

    /// Where a clock runs along that nobody sets, one that is set costs no time at all,
    /// whichever way and however often; hours in which nothing comes are hours.
    #[test]
    fn a_clock_that_is_set_lets_no_time_pass() {
        let hour = 3_600_000;
        for silence in [500, 3_600_000] {
            let mut clock = Clock::default();
            let mut table = Vec::new();
            let mut passed = 0;
            for ahead in [0, hour, 0, -hour, hour, 0] {
                clock.show_millis(passed);
                let time = 1_000_000_000 + i64::try_from(passed).unwrap();
                table.extend(clock.frame(time + ahead).map(|tick| tick.flow_time));
                assert_eq!(clock.moment().packet_time, at(time));
                passed += silence;
                clock.show_millis(passed);
                table.extend(clock.on_silence().map(|tick| tick.flow_time));
                passed += 500;
            }
            assert!(table.is_sorted());
            let seconds = table.last().unwrap().since(table[0]).as_secs();
            assert!(seconds.abs_diff(passed / 1000) <= 2, "{table:?}");
        }
        // A capture in a file may have hours without a frame.
        let mut clock = Clock::default();
        let first = clock.frame(0).unwrap();
        let tick = clock.frame(hour).unwrap();
        assert_eq!(tick.flow_time.since(first.flow_time).as_secs(), 3600);
        assert_eq!(clock.moment().packet_time, at(hour));
    }

    /// The frames of one interface waited for longer than those of another.
    #[test]
    fn what_has_waited_sets_no_clock_back() {
        let mut clock = Clock::default();
        clock.show_millis(0);
        for source in [0, 1] {
            clock.on_frame(SourceId(source), at(0));
        }
        clock.show_millis(600_000);
        let mut last = Timestamp::MIN;
        for step in 0..100 {
            for (source, time) in [(0, 600_000 + step), (1, 100 + step)] {
                clock.on_frame(SourceId(source), at(time));
                assert_eq!(clock.moment().packet_time, at(time));
                last = clock.moment().table_time;
            }
        }
        assert_eq!(last, at(600_099));
    }

    /// Frames of two interfaces whose clocks differ.
    #[test]
    fn clocks_that_differ_do_not_make_time_run() {
        let mut clock = Clock::default();
        let year = 86_400_000 * 365;
        for step in 0..100 {
            for (source, apart) in [(0, 0), (1, year)] {
                clock.show_millis(step.try_into().unwrap());
                clock.on_frame(SourceId(source), at(1_000_000 + step + apart));
                assert_eq!(clock.moment().packet_time, at(1_000_000 + step));
            }
        }
        assert_eq!(clock.moment().table_time, at(1_000_099));
    }
}
