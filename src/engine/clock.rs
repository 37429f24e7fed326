//! The engine's clock: capture time, told by packets.

use std::time::Duration;

use crate::detect::{Order, Phase};
use crate::flow::FlowClock;
use crate::time::Timestamp;

/// How often, in capture time, what has timed out is looked for.
const PERIOD: Duration = Duration::from_secs(1);

/// A source that tells of the passing of time lets no more pass than this between what
/// it tells: if its time jumps further ahead, a clock was set.
const JUMP: i64 = 10_000_000_000;

/// Time has passed, as the packet of that ordinal told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) ordinal: u64,
    /// Table time, which goes on where clocks are set back.
    pub(super) flow_time: Timestamp,
}

/// When a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Counts packets over all sources and shards, from 1.
    pub(super) ordinal: u64,
    /// By the clock of the flow tables.
    pub(super) flow_time: Timestamp,
}

impl From<Tick> for Order {
    /// The collector hears of a tick after all that timed out by it, before
    /// what its packet causes.
    fn from(tick: Tick) -> Self {
        Order { ordinal: tick.ordinal, phase: Phase::Tick, flow: u64::MAX, sequence: u32::MAX }
    }
}

/// Counts packets and ticks once a second of table time, which never runs
/// backwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    packets: u64,
    jumps: Option<Jumps>,
    flow: FlowClock,
    flow_time: Timestamp,
    ticked: Timestamp,
}

impl Default for Clock {
    fn default() -> Self {
        let (flow, never) = (FlowClock::default(), Timestamp::MIN);
        Self { packets: 0, jumps: None, flow, flow_time: never, ticked: never }
    }
}

/// What a clock was set ahead by, where that can be told from time that passed.
#[derive(Clone, Copy, Debug, Default)]
struct Jumps {
    last: Option<i64>,
    sum: i64,
}

impl Jumps {
    /// The time without them.
    fn without(&mut self, time: Timestamp) -> Timestamp {
        let time = time.as_nanos();
        let ahead = time.saturating_sub(self.last.replace(time).unwrap_or(time));
        if ahead > JUMP {
            self.sum = self.sum.saturating_add(ahead);
        }
        Timestamp::from_nanos(time.saturating_sub(self.sum))
    }
}

impl Clock {
    /// For a source that tells of the passing of time, or one that does not.
    pub(super) fn of(tells_time: bool) -> Self {
        Self { jumps: tells_time.then(Jumps::default), ..Self::default() }
    }

    /// Counts a frame; a tick if it is time for one.
    pub(super) fn on_frame(&mut self, time: Timestamp) -> Option<Tick> {
        self.packets += 1;
        self.tick(time, self.packets)
    }

    /// Time has passed without a frame; a tick if it is time for one.
    pub(super) fn on_time(&mut self, time: Timestamp) -> Option<Tick> {
        // Before the first frame there is nothing that could time out.
        if self.packets == 0 {
            return None;
        }
        self.tick(time, self.packets + 1)
    }

    fn tick(&mut self, time: Timestamp, ordinal: u64) -> Option<Tick> {
        let time = self.jumps.as_mut().map_or(time, |jumps| jumps.without(time));
        self.flow_time = self.flow.tick(time);
        if self.flow_time.since(self.ticked) < PERIOD {
            return None;
        }
        self.ticked = self.flow_time;
        Some(Tick { ordinal, flow_time: self.flow_time })
    }

    /// Frames counted so far.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    /// When the current frame came.
    pub(super) fn moment(&self) -> Moment {
        Moment { ordinal: self.packets, flow_time: self.flow_time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_once_a_second_and_never_backwards() {
        let mut clock = Clock::default();
        let mut at = |millis: i64| clock.on_frame(Timestamp::from_nanos(millis * 1_000_000));
        assert_eq!(at(10_000).map(|tick| tick.ordinal), Some(1));
        assert_eq!(at(10_999), None);
        assert_eq!(at(5_000), None);
        assert_eq!(at(11_000).map(|tick| tick.ordinal), Some(4));
        assert_eq!(clock.packets(), 4);
    }

    #[test]
    fn ticks_without_frames() {
        let mut clock = Clock::default();
        let at = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
        assert_eq!(clock.on_time(at(10)), None);
        assert!(clock.on_frame(at(20)).is_some());
        // A clock behind the frames tells nothing.
        assert_eq!(clock.on_time(at(19)), None);
        assert_eq!(clock.on_time(at(20)), None);
        let tick = clock.on_time(at(21)).unwrap();
        assert_eq!((tick.ordinal, tick.flow_time), (2, at(21)));
        assert_eq!(clock.packets(), 1);
    }

    #[test]
    fn ticks_on_after_time_was_set_back() {
        let mut clock = Clock::default();
        let mut at = |seconds: i64| clock.on_frame(Timestamp::from_nanos(seconds * 1_000_000_000));
        assert!(at(1_000_000).is_some());
        assert!(at(100).is_none());
        let tick = at(102).unwrap();
        assert_eq!(tick.flow_time.as_nanos(), 1_000_002_000_000_000);
    }

    /// A clock that was wrong by years for a moment, then set right, by frames or
    /// without any: time passes as it did before.
    #[test]
    fn a_clock_that_jumps_and_is_set_right_costs_no_time() {
        let seconds = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let years = 20 * 365 * 86_400;
        for frames in [true, false] {
            let mut clock = Clock::default();
            clock.on_frame(seconds(1000));
            let mut told = Vec::new();
            for time in [1001, 1001 + years, 1002, 1003, 1003 - years, 1004 - years] {
                let tick = match frames {
                    true => clock.on_frame(seconds(time)),
                    false => clock.on_time(seconds(time)),
                };
                told.extend(tick.map(|tick| tick.flow_time));
            }
            assert!(told.is_sorted());
            assert!(told.last().unwrap().since(seconds(1001 + years)).as_secs() <= 3);
        }
    }

    /// Where time is told as it passes, a clock that is set costs no time at all,
    /// whichever way and however often.
    #[test]
    fn a_clock_that_is_set_lets_no_time_pass() {
        let hour = 3600;
        let mut clock = Clock::of(true);
        let mut table = Vec::new();
        for (second, set) in (0..).zip([0, hour, 0, -hour, hour, 0]) {
            let at =
                |half| Timestamp::from_nanos((1_000_000 + second + set) * 1_000_000_000 + half);
            table.extend(clock.on_frame(at(0)).map(|tick| tick.flow_time));
            table.extend(clock.on_time(at(500_000_000)).map(|tick| tick.flow_time));
        }
        assert!(table.is_sorted());
        assert!(table.last().unwrap().since(table[0]).as_secs() <= 12, "{table:?}");
        // A capture in a file may have hours without a frame.
        let mut clock = Clock::of(false);
        let at = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let first = clock.on_frame(at(0)).unwrap();
        let tick = clock.on_frame(at(hour)).unwrap();
        assert_eq!(tick.flow_time.since(first.flow_time).as_secs(), 3600);
    }

    /// Frames of two interfaces, or of one and the system's clock, whose times differ.
    #[test]
    fn clocks_that_differ_do_not_make_time_run() {
        let mut clock = Clock::of(true);
        let mut last = Timestamp::MIN;
        for step in 0..100_i64 {
            for apart in [0, 86_400 * 365] {
                clock.on_frame(Timestamp::from_nanos((1_000 + apart) * 1_000_000_000 + step));
                last = clock.moment().flow_time;
            }
        }
        assert!(last.as_nanos() < 1_001 * 1_000_000_000);
    }
}
