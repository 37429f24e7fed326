//! How long a cache line takes from one processor to another: what a thread waits for what
//! another has written. On virtual machines that changes from one second to the next.

use std::hint;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long is measured: two threads may begin on one processor, and stay there for a while.
const PERIOD: Duration = Duration::from_millis(20);

/// Hand-overs that are timed at once.
const ROUND: u64 = 512;

/// Longer than any line takes: the threads were on one processor.
const MOST: Duration = Duration::from_micros(5);

/// The mean time of a hand-over in the quickest round; none where only one processor is to
/// be had.
pub(crate) fn measure() -> Option<Duration> {
    let turn = AtomicU64::new(0);
    let end = Instant::now() + PERIOD;
    let mut least = MOST;
    thread::scope(|scope| {
        scope.spawn(|| while pass_on(&turn, 1, end).is_some() {});
        while let Some(taken) = pass_on(&turn, 0, end) {
            least = least.min(taken / ROUND as u32);
        }
    });
    (least < MOST).then_some(least)
}

/// Takes every second turn of a round; how long the round took, none if that was the end.
fn pass_on(turn: &AtomicU64, side: u64, end: Instant) -> Option<Duration> {
    let start = Instant::now();
    let mut looks = 0_u64;
    let mut own = 0;
    while own < ROUND / 2 {
        let now = turn.load(Ordering::Acquire);
        if now % 2 == side {
            turn.store(now + 1, Ordering::Release);
            own += 1;
        }
        looks += 1;
        if looks.is_multiple_of(ROUND) && Instant::now() >= end {
            return None;
        }
        hint::spin_loop();
    }
    Some(start.elapsed())
}
