//! A sink behind a queue, written to by a thread of its own: however slow whoever
//! takes the findings is, they never hold up what makes them.
//!
//! The queue is bounded. When it is full, the oldest rows go, and are counted. At
//! the end the thread has a few seconds to write what waits; what it cannot is
//! counted too.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::told::{Lost, Notices};
use super::{Sink, SinkError, Target};
use crate::findings::row::Row;

/// How often the inner sink is told the time.
const TICK: Duration = Duration::from_millis(50);

/// Most rows that are written at once, before the queue is looked at again.
const ROUND: usize = 256;

/// How much a queue holds, and how long its end may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most rows that wait.
    pub rows: usize,
    /// Longest that the end waits for the rows to be written.
    pub patience: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { rows: 16_384, patience: Duration::from_secs(5) }
    }
}

/// Hands rows over to another sink.
pub struct QueuedSink {
    target: Target,
    shared: Arc<Shared>,
    limits: QueueLimits,
    notices: Notices,
    lost: Lost,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Rows came, or the end.
    work: Condvar,
    /// Rows were written, or the sink ended.
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Row>,
    /// Rows that the thread took and is writing.
    under_way: usize,
    inside: Inside,
    errors: VecDeque<SinkError>,
    finishing: bool,
    /// The inner sink takes no more rows.
    ended: bool,
}

/// What the inner sink said last.
#[derive(Clone, Copy, Default)]
struct Inside {
    /// Rows that it has and did not write yet.
    waiting: u64,
    /// Bytes on disk.
    spooled: u64,
}

impl Inside {
    fn of(sink: &dyn Sink) -> Self {
        Self { waiting: sink.waiting(), spooled: sink.spooled() }
    }
}

/// Most errors that wait to be told.
const MAX_ERRORS: usize = 16;

impl QueuedSink {
    /// Puts a queue before `sink`; `name` is what errors call it.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(name: &str, sink: Box<dyn Sink>, limits: QueueLimits) -> Result<Self, SinkError> {
        let target = Target(name.to_owned());
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let (notices, lost) = (sink.notices(), sink.lost());
        thread::Builder::new()
            .name("findings".to_owned())
            .spawn(move || write_out(sink, &theirs))
            .map_err(|error| target.error(error))?;
        Ok(Self { target, shared, limits, notices, lost })
    }

    /// The error that waits, if one does; none follows a sink that has ended.
    fn error(&self, state: &mut State) -> Result<(), SinkError> {
        match state.errors.pop_front() {
            Some(error) => Err(error),
            None if state.ended => Err(SinkError::Closed { target: self.target.0.clone() }),
            None => Ok(()),
        }
    }

    /// Waits until all is written, but not for ever.
    fn settle(&self, over: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let until = Instant::now() + self.limits.patience;
        let mut state = self.shared.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.ended || over(&state) || left.is_zero() {
                return state;
            }
            let waited = self.shared.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Sink for QueuedSink {
    fn write(&mut self, row: &Row) -> Result<(), SinkError> {
        let mut state = self.shared.lock();
        if state.ended {
            self.lost.add(1);
            return self.error(&mut state);
        }
        if state.waiting.len() >= self.limits.rows {
            state.waiting.pop_front();
            self.lost.add(1);
        }
        state.waiting.push_back(row.clone());
        self.shared.work.notify_one();
        self.error(&mut state)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let mut state = self.settle(|state| state.waiting.is_empty() && state.under_way == 0);
        self.error(&mut state)
    }

    /// The thread knows the time by itself; only its errors are taken over.
    fn tick(&mut self, _now: Instant) -> Result<(), SinkError> {
        self.error(&mut self.shared.lock())
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.shared.lock().finishing = true;
        self.shared.work.notify_one();
        let mut state = self.settle(|_| false);
        if !state.ended {
            let rows = state.unwritten();
            self.lost.add(rows);
            return Err(SinkError::Unwritten { target: self.target.0.clone(), rows });
        }
        state.errors.pop_front().map_or(Ok(()), Err)
    }

    fn waiting(&self) -> u64 {
        self.shared.lock().unwritten()
    }

    fn spooled(&self) -> u64 {
        self.shared.lock().inside.spooled
    }

    fn notices(&self) -> Notices {
        self.notices.clone()
    }

    fn recovers(&self) -> bool {
        !self.shared.lock().ended
    }

    fn lost(&self) -> Lost {
        self.lost.clone()
    }
}

impl State {
    /// Rows that were taken and are not written.
    fn unwritten(&self) -> u64 {
        (self.waiting.len() + self.under_way) as u64 + self.inside.waiting
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is half done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for rows, for the end, or for a while; takes what there is.
    fn next(&self) -> (Vec<Row>, bool) {
        let mut state = self.lock();
        if state.waiting.is_empty() && !state.finishing {
            let waited = self.work.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let round = state.waiting.len().min(ROUND);
        let rows: Vec<Row> = state.waiting.drain(..round).collect();
        state.under_way = rows.len();
        (rows, state.finishing && state.waiting.is_empty())
    }

    fn told(&self, result: Result<(), SinkError>) {
        let Err(error) = result else { return };
        let mut state = self.lock();
        if state.errors.len() < MAX_ERRORS {
            state.errors.push_back(error);
        }
    }

    /// The inner sink has taken a row.
    fn row_done(&self, inside: Inside) {
        let mut state = self.lock();
        state.under_way -= 1;
        state.inside = inside;
    }

    fn round_done(&self, inside: Inside) {
        let mut state = self.lock();
        state.under_way = 0;
        state.inside = inside;
        self.done.notify_all();
    }

    /// The inner sink has ended, well or with what it had yet to write.
    fn ended(&self, well: bool, lost: &Lost) {
        let mut state = self.lock();
        let inside = if well { 0 } else { state.inside.waiting };
        lost.add((state.waiting.len() + state.under_way) as u64 + inside);
        state.waiting.clear();
        state.under_way = 0;
        state.inside.waiting = 0;
        state.ended = true;
        self.done.notify_all();
    }
}

/// The thread: writes rows until the end, or until the sink takes no more.
fn write_out(mut sink: Box<dyn Sink>, shared: &Shared) {
    let lost = sink.lost();
    loop {
        let (rows, last) = shared.next();
        for row in rows {
            let written = sink.write(&row);
            let goes_on = written.is_ok() || sink.recovers();
            shared.told(written);
            if !goes_on {
                return shared.ended(false, &lost);
            }
            shared.row_done(Inside::of(&*sink));
        }
        let ticked = sink.tick(Instant::now());
        let goes_on = ticked.is_ok() || sink.recovers();
        shared.told(ticked);
        if !goes_on {
            return shared.ended(false, &lost);
        }
        shared.round_done(Inside::of(&*sink));
        if last {
            // One that goes on after errors counts what it loses by itself.
            let counts = sink.recovers();
            let finished = sink.finish();
            let well = counts || finished.is_ok();
            shared.told(finished);
            return shared.ended(well, &lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;
    use crate::findings::batch::BatchPolicy;
    use crate::findings::output::Destination;
    use crate::findings::samples;
    use crate::findings::sink::{Format, open};

    /// A reader that takes a write only when it is let.
    struct Slow {
        let_in: Receiver<()>,
        written: SyncSender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.let_in.recv().is_err() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queued(limits: QueueLimits) -> (QueuedSink, SyncSender<()>, Receiver<Vec<u8>>) {
        let (let_in, gate) = sync_channel(1000);
        let (written, read) = sync_channel(1000);
        let stream = Destination::Stream("slow".into(), Box::new(Slow { let_in: gate, written }));
        let policy = BatchPolicy { max_age: Duration::ZERO, ..BatchPolicy::default() };
        let sink = open(stream, Format::JsonLines, policy).unwrap();
        (QueuedSink::new("slow", sink, limits).unwrap(), let_in, read)
    }

    fn row(number: u64) -> Row {
        let mut row = samples::detection();
        row.capture.packet = Some(number);
        row
    }

    fn numbers(bytes: &[u8]) -> Vec<u64> {
        let lines = std::str::from_utf8(bytes).unwrap().lines();
        lines
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|row| row["capture"]["packet"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn the_oldest_go_when_nobody_takes_them_and_the_others_stay_in_order() {
        let limits = QueueLimits { rows: 4, patience: Duration::from_secs(60) };
        let (mut sink, let_in, read) = queued(limits);
        for number in 0..100 {
            sink.write(&row(number)).unwrap();
        }
        let lost = sink.lost();
        assert!(lost.get() > 0);
        for _ in 0..500 {
            let_in.send(()).unwrap();
        }
        Box::new(sink).finish().unwrap();
        let seen: Vec<u64> = read.try_iter().flat_map(|bytes| numbers(&bytes)).collect();
        assert_eq!(seen.len() as u64 + lost.get(), 100);
        assert!(seen.is_sorted() && seen.ends_with(&[96, 97, 98, 99]), "{seen:?}");
    }

    #[test]
    fn the_end_does_not_wait_for_ever() {
        let limits = QueueLimits { rows: 4, patience: Duration::from_millis(10) };
        let (mut sink, _let_in, _read) = queued(limits);
        sink.write(&row(1)).unwrap();
        let lost = sink.lost();
        let error = Box::new(sink).finish().unwrap_err();
        assert!(!error.is_closed(), "{error}");
        assert_eq!(lost.get(), 1);
    }

    #[test]
    fn a_reader_that_goes_away_ends_it() {
        let (mut sink, let_in, _read) = queued(QueueLimits::default());
        drop(let_in);
        let error = loop {
            if let Err(error) = sink.write(&row(1)) {
                break error;
            }
        };
        assert!(error.is_closed(), "{error}");
        assert!(!sink.recovers() || sink.flush().is_err());
    }
}
