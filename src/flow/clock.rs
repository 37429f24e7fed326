//! Table time: capture time that never runs backwards. Where the capture's does
//! by more than disorder explains (files read in another order, a clock set back,
//! a damaged time), table time goes on from where it was.

use crate::time::Timestamp;

/// How far capture times may be out of order.
const DISORDER_NANOS: i64 = 60_000_000_000;

/// Turns capture times into table time. One for all tables of a run, or what times
/// out would depend on which packets a table is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowClock {
    pub(super) now: i64,
    offset: i64,
    started: bool,
}

impl FlowClock {
    /// The time is `time` now; returns table time.
    #[inline]
    pub fn tick(&mut self, time: Timestamp) -> Timestamp {
        let time = time.as_nanos().saturating_add(self.offset);
        if !self.started || time > self.now {
            self.started = true;
            self.now = time;
        } else if self.now.saturating_sub(time) > DISORDER_NANOS {
            self.offset = self.offset.saturating_add(self.now.saturating_sub(time));
        }
        Timestamp::from_nanos(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_where_capture_time_steps_back() {
        let mut clock = FlowClock::default();
        let mut at = |seconds: i64| {
            let time = Timestamp::from_nanos(seconds * 1_000_000_000);
            clock.tick(time).as_nanos() / 1_000_000_000
        };
        assert_eq!([at(5_000), at(4_990), at(5_001)], [5_000, 5_000, 5_001]);
        assert_eq!([at(1_000), at(1_000), at(1_010)], [5_001, 5_001, 5_011]);
    }
}
