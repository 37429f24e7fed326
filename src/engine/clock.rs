//! The engine's clock: capture time, told by packets.

use std::time::Duration;

use crate::detect::{Order, Phase};
use crate::time::Timestamp;

/// How often, in capture time, what has timed out is looked for.
const PERIOD: Duration = Duration::from_secs(1);

/// Capture time has come to `now`, as the packet of that ordinal told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) ordinal: u64,
    pub(super) now: Timestamp,
}

impl From<Tick> for Order {
    /// The collector hears of a tick after all that timed out by it, before
    /// what its packet causes.
    fn from(tick: Tick) -> Self {
        Order { ordinal: tick.ordinal, phase: Phase::Tick, flow: u64::MAX, sequence: u32::MAX }
    }
}

/// Counts packets and ticks once a second of capture time. Time that steps
/// backwards stands still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    packets: u64,
    last: Timestamp,
}

impl Default for Clock {
    fn default() -> Self {
        Self { packets: 0, last: Timestamp::MIN }
    }
}

impl Clock {
    /// Counts a frame; a tick if it is time for one.
    pub(super) fn on_frame(&mut self, time: Timestamp) -> Option<Tick> {
        self.packets += 1;
        if time.since(self.last) < PERIOD {
            return None;
        }
        self.last = time;
        Some(Tick { ordinal: self.packets, now: time })
    }

    /// Frames counted so far: the ordinal of the current one.
    pub(super) fn packets(&self) -> u64 {
        self.packets
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
}
