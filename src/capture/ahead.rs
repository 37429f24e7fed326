//! Reads captures on a thread of its own: a [`Replay`] in, its blocks out, a few of
//! them ahead of who works on them.
//!
//! What has to be copied, unpacked or waited for is done by the time a block is asked
//! for (docs/benchmarks.md says what that gains). On a single processor, a file as it is
//! on disk is read by who asks. Counters and errors are those up to the last block
//! handed out.

use std::collections::VecDeque;
use std::hint;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Block, CaptureCounters, Error, Fill, Replay};

/// Blocks that may be filled before they are asked for: enough that neither side
/// waits for long, few enough that they stay in the processor's cache.
const BLOCKS_AHEAD: usize = 12;

/// A reader who found no room goes on when so few blocks are left: to wake it for each
/// of them costs both threads a twentieth of their time.
const BLOCKS_LEFT: usize = 4;

/// Who found no block goes on when there are so many, for the same reason; when there is
/// one, if the next may have to be waited for.
const BLOCKS_WAITED_FOR: usize = 3;

/// Who found no block, and need not wait for the next, looks for it so long before it sleeps:
/// a few times what a block takes. Who sleeps is often woken on the other's processor, and
/// takes turns with it there (docs/benchmarks.md).
const LOOK: Duration = Duration::from_micros(200);

/// Bytes of a block that another thread works on: in few, each costs too much to hand over,
/// in many, the two threads wait for each other (docs/benchmarks.md).
const HANDED_BLOCK: usize = 512 << 10;

/// Bytes of a block that who reads it works on, too: they stay in the cache of one core.
const OWN_BLOCK: usize = 256 << 10;

/// How often a reader who waits for a block looks whether it is to stop.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// The blocks of a [`Replay`], and a flag that ends them.
#[derive(Debug)]
pub struct ReadAhead {
    way: Way,
    slow: bool,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Way {
    Here(Box<Replay>),
    Thread(Thread),
}

#[derive(Debug)]
struct Thread {
    between: Arc<Between>,
    reader: Option<JoinHandle<()>>,
    counters: CaptureCounters,
    errors: Vec<Error>,
}

/// What lies between the two threads.
///
/// No channel: who waits on one yields before it sleeps. Where both threads happen to be
/// on one processor, they then take turns there, and the scheduler is late to see that
/// another is idle.
#[derive(Debug)]
struct Between {
    state: Mutex<State>,
    /// Whether there are blocks, for who looks.
    any: AtomicBool,
    came: Condvar,
    room: Condvar,
    /// Blocks to be there when who waits for one is woken.
    waited_for: usize,
}

#[derive(Debug, Default)]
struct State {
    filled: VecDeque<Filled>,
    used: Vec<Block>,
    /// The reader is gone: nothing more comes.
    at_end: bool,
    /// Who asks is gone: nothing more is wanted.
    left: bool,
}

/// A block, what was counted by its end and what went wrong before it; no block
/// at the end of all.
#[derive(Debug)]
struct Filled {
    block: Option<Block>,
    counters: CaptureCounters,
    errors: Vec<Error>,
}

impl ReadAhead {
    /// Starts to read. Where `stop` is set, the captures are at their end, even if
    /// one of them is a stream on which nothing comes.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start(replay: Replay, stop: Arc<AtomicBool>) -> std::io::Result<Self> {
        let slow = replay.is_slow();
        let alone = thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
        if alone && !slow {
            return Ok(Self::here(replay, stop));
        }
        let replay = replay.with_block_size(HANDED_BLOCK);
        Ok(Self { way: Way::Thread(Thread::start(replay)?), slow, stop })
    }

    /// Reads on the thread that asks.
    fn here(replay: Replay, stop: Arc<AtomicBool>) -> Self {
        let slow = replay.is_slow();
        Self { way: Way::Here(Box::new(replay.with_block_size(OWN_BLOCK))), slow, stop }
    }

    /// Whether a capture has to be unpacked, or may have to be waited for.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// Gives the next block and takes back the one before.
    pub fn fill(&mut self, block: &mut Block) -> Fill {
        match &mut self.way {
            _ if self.stop.load(Ordering::Relaxed) => Fill::End,
            Way::Here(replay) => replay.fill(block),
            Way::Thread(thread) => thread.fill(block, &self.stop),
        }
    }

    /// Whether reading was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What was read up to the last block.
    pub fn counters(&self) -> CaptureCounters {
        match &self.way {
            Way::Here(replay) => replay.counters(),
            Way::Thread(thread) => thread.counters,
        }
    }

    /// What could not be read, or not to its end.
    pub fn errors(&self) -> &[Error] {
        match &self.way {
            Way::Here(replay) => replay.errors(),
            Way::Thread(thread) => &thread.errors,
        }
    }
}

impl Thread {
    fn start(mut replay: Replay) -> std::io::Result<Self> {
        let (counters, errors) = (replay.counters(), replay.take_errors());
        let between = Arc::new(Between {
            state: Mutex::new(State::default()),
            any: AtomicBool::new(false),
            came: Condvar::new(),
            room: Condvar::new(),
            waited_for: if replay.is_slow() { 1 } else { BLOCKS_WAITED_FOR },
        });
        let reader = Reading(Arc::clone(&between));
        let reader =
            thread::Builder::new().name("reader".to_owned()).spawn(move || reader.read(replay))?;
        Ok(Self { between, reader: Some(reader), counters, errors })
    }

    fn fill(&mut self, block: &mut Block, stop: &AtomicBool) -> Fill {
        let Some(filled) = self.between.take(block, stop) else {
            // Not joined if it is to stop: it may wait for a stream that never ends.
            if !stop.load(Ordering::Relaxed) {
                self.join();
            }
            return Fill::End;
        };
        self.counters = filled.counters;
        self.errors.extend(filled.errors);
        let Some(next) = filled.block else { return Fill::End };
        *block = next;
        Fill::Block
    }

    /// The reader has ended. If it panicked, so does this thread: not all was read.
    fn join(&mut self) {
        if let Some(Err(payload)) = self.reader.take().map(JoinHandle::join) {
            panic::resume_unwind(payload);
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.between.lock().left = true;
        self.between.room.notify_one();
    }
}

impl Between {
    /// Neither thread leaves anything half done behind the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next that was filled, for `used`; none at the end, or if it is to stop.
    fn take(&self, used: &mut Block, stop: &AtomicBool) -> Option<Filled> {
        if self.waited_for > 1 {
            self.look();
        }
        let mut state = self.lock();
        if state.filled.is_empty() {
            state = self.wait(state, stop);
        }
        let filled = state.filled.pop_front()?;
        self.any.store(!state.filled.is_empty(), Ordering::Relaxed);
        state.used.push(std::mem::take(used));
        if state.filled.len() == BLOCKS_LEFT {
            self.room.notify_one();
        }
        Some(filled)
    }

    /// Looks for a block.
    fn look(&self) {
        if self.any.load(Ordering::Relaxed) {
            return;
        }
        let start = Instant::now();
        while !self.any.load(Ordering::Relaxed) && start.elapsed() < LOOK {
            (0..32).for_each(|_| hint::spin_loop());
        }
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        stop: &AtomicBool,
    ) -> MutexGuard<'a, State> {
        while !state.at_end && !stop.load(Ordering::Relaxed) {
            let (after, waited) =
                self.came.wait_timeout(state, LOOK_PERIOD).unwrap_or_else(PoisonError::into_inner);
            state = after;
            let enough = if waited.timed_out() { 1 } else { self.waited_for };
            if state.filled.len() >= enough {
                break;
            }
        }
        state
    }

    /// Hands over what was filled; a block to be filled next, if one is wanted.
    fn put(&self, filled: Filled) -> Option<Block> {
        let mut state = self.lock();
        state.filled.push_back(filled);
        self.any.store(true, Ordering::Relaxed);
        if state.filled.len() == self.waited_for {
            self.came.notify_one();
        }
        if state.filled.len() >= BLOCKS_AHEAD {
            let full = |state: &mut State| state.filled.len() > BLOCKS_LEFT && !state.left;
            state = self.room.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.left).then(|| state.used.pop().unwrap_or_default())
    }
}

/// The reader's side; however it ends, the other side hears of it.
struct Reading(Arc<Between>);

impl Reading {
    fn read(self, mut replay: Replay) {
        let mut block = Block::new();
        loop {
            let fill = replay.fill(&mut block);
            let (counters, errors) = (replay.counters(), replay.take_errors());
            let filled = (fill == Fill::Block).then_some(block);
            let is_at_end = filled.is_none();
            match self.0.put(Filled { block: filled, counters, errors }) {
                Some(used) if !is_at_end => block = used,
                _ => return,
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.lock().at_end = true;
        self.0.came.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Inputs;
    use super::super::testing::{capture, gzip};
    use super::*;

    /// Source, number and time of all frames.
    fn drain(mut fill: impl FnMut(&mut Block) -> Fill) -> Vec<(u32, u64, i64)> {
        let mut block = Block::new();
        let mut seen = Vec::new();
        while fill(&mut block) == Fill::Block {
            seen.extend(
                block.frames().map(|frame| (frame.source.0, frame.number, frame.time.as_nanos())),
            );
        }
        seen
    }

    #[test]
    fn the_reader_goes_on_when_few_blocks_are_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1");
        fs::write(&path, capture(&(0..12_000).collect::<Vec<_>>())).unwrap();
        let replay = Replay::new(Inputs::expand([path])).with_block_size(4096);
        let mut thread = Thread::start(replay).unwrap();
        let between = Arc::clone(&thread.between);
        let wait_until_full = || {
            let is_full = || {
                let state = between.lock();
                state.at_end || state.filled.len() >= BLOCKS_AHEAD
            };
            while !is_full() {
                thread::sleep(Duration::from_millis(1));
            }
        };
        let (mut block, mut frames) = (Block::new(), 0);
        let stop = AtomicBool::new(false);
        for taken in (0..BLOCKS_AHEAD - BLOCKS_LEFT).cycle() {
            if taken == 0 {
                wait_until_full();
            }
            if thread.fill(&mut block, &stop) == Fill::End {
                break;
            }
            assert!(between.lock().filled.len() <= BLOCKS_AHEAD);
            frames += block.len();
        }
        assert_eq!(frames, 12_000);
    }

    #[test]
    fn the_same_is_read_with_a_thread_and_without() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let cut = capture(&[1_000_000; 3]);
        let many: Vec<i64> = (0..30_000).collect();
        fs::write(path("1"), gzip(&capture(&many))).unwrap();
        fs::write(path("2"), &cut[..cut.len() - 1]).unwrap();
        fs::write(path("3"), b"no capture").unwrap();
        let inputs = || Inputs::expand([path("1"), path("2"), path("3"), path("4")]);

        let mut replay = Replay::new(inputs());
        let expected = drain(|block| replay.fill(block));
        assert_eq!(expected.len(), 30_002);
        let texts = |errors: &[Error]| -> Vec<_> { errors.iter().map(Error::to_string).collect() };
        let with = ReadAhead::start(Replay::new(inputs()), Arc::default()).unwrap();
        assert!(matches!(with.way, Way::Thread(_)), "as there is something to unpack");
        let without = ReadAhead::here(Replay::new(inputs()), Arc::default());
        for mut ahead in [with, without] {
            assert_eq!(drain(|block| ahead.fill(block)), expected);
            assert_eq!(ahead.counters(), replay.counters());
            assert_eq!(texts(ahead.errors()), texts(replay.errors()));
            assert_eq!(ahead.errors().len(), 3);
            assert_eq!(ahead.fill(&mut Block::new()), Fill::End, "and goes on being at its end");
            assert!(!ahead.is_stopped());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_stream_on_which_nothing_comes_can_be_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        // Open for reading and writing, so that neither side waits for the other.
        let silent = fs::File::options().read(true).write(true).open(&pipe).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let replay = Replay::new(Inputs::expand([&pipe]));
        let mut ahead = ReadAhead::start(replay, Arc::clone(&stop)).unwrap();
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(ahead.fill(&mut Block::new()), Fill::End);
        assert!(ahead.is_stopped());
        stopper.join().unwrap();
        drop(silent);
    }
}
