//! How long a cache line takes from one processor to another: what a thread waits for what
//! another has written. On virtual machines that changes from one second to the next.

use std::hint;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long is measured.
const PERIOD: Duration = Duration::from_millis(3);

/// Looks between two looks at the clock.
const LOOKS: u32 = 1024;

/// The mean time of a hand-over in the next few milliseconds; none on a single processor.
pub(crate) fn measure() -> Option<Duration> {
    if thread::available_parallelism().ok()?.get() == 1 {
        return None;
    }
    let turn = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| play(&turn, 1, start + PERIOD));
        play(&turn, 0, start + PERIOD);
    });
    let turns = u32::try_from(turn.into_inner()).ok()?;
    start.elapsed().checked_div(turns)
}

/// Takes each second turn until the end.
fn play(turn: &AtomicU64, side: u64, end: Instant) {
    let mut looks = 0_u32;
    loop {
        let now = turn.load(Ordering::Acquire);
        if now % 2 == side {
            turn.store(now + 1, Ordering::Release);
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS) && Instant::now() >= end {
            return;
        }
        hint::spin_loop();
    }
}
