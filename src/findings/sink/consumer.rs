//! Consumers: whole batches in, over a connection that may break.
//!
//! A [`Link`] makes the connection, and makes it anew when it breaks, at growing
//! intervals. What a consumer who died may not have read is handed over again on the
//! next connection: findings may come twice, and none is lost. [`ConsumerSink`] waits with each batch until it has been taken, so it
//! belongs behind a queue or a spool.

use std::collections::VecDeque;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;

use super::told::Notices;
use super::{Sink, SinkError, Target};
use crate::findings::batch::{BatchPolicy, Batcher};
use crate::findings::row::Row;

/// How long a link waits before it first tries again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long it waits at most.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// How often it is said that a consumer has gone, at most.
const TELL: Duration = Duration::from_secs(10);

/// Why a batch was not taken.
pub(super) type Refused = Box<dyn Error + Send + Sync>;

/// Takes batches over a connection that may break.
pub(super) trait Consumer: Send {
    /// Makes the connection, anew if there was one.
    fn connect(&mut self) -> Result<(), Refused>;

    /// Hands a batch over; how many bytes that took.
    fn deliver(&mut self, batch: &RecordBatch) -> Result<usize, Refused>;

    /// Most bytes that were handed over and may not have been read yet.
    fn unread(&self) -> usize;

    /// Ends the connection in order.
    fn close(&mut self) -> Result<(), Refused> {
        Ok(())
    }

    /// Whether there may be another connection when this one breaks.
    fn comes_back(&self) -> bool {
        true
    }
}

/// How an attempt to hand a batch over ended.
pub(super) enum Attempt {
    /// It was taken.
    Taken,
    /// Not yet; it is worth trying again after that time.
    Later(Duration),
    /// It never will be.
    Over(SinkError),
}

/// The way to a consumer.
pub(super) struct Link {
    target: Target,
    consumer: Box<dyn Consumer>,
    connected: bool,
    /// Whether it is tried again.
    again: bool,
    /// Batches that were handed over and may not have been read, with their bytes.
    unread: VecDeque<(RecordBatch, usize)>,
    unread_bytes: usize,
    pause: Duration,
    /// Whether it was said that the consumer has gone, and not yet that it is back.
    told: bool,
    last_told: Option<Instant>,
    notices: Notices,
}

impl Link {
    pub(super) fn new(target: Target, consumer: Box<dyn Consumer>) -> Self {
        Self {
            target,
            consumer,
            connected: false,
            again: true,
            unread: VecDeque::new(),
            unread_bytes: 0,
            pause: FIRST_PAUSE,
            told: false,
            last_told: None,
            notices: Notices::default(),
        }
    }

    /// A link to a consumer who must be there now, and is not waited for.
    pub(super) fn once(target: Target, consumer: Box<dyn Consumer>) -> Result<Self, SinkError> {
        let mut link = Self { again: false, ..Self::new(target, consumer) };
        link.connect().map_err(|error| link.target.error(error))?;
        Ok(link)
    }

    pub(super) fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Tries once to hand a batch over.
    pub(super) fn attempt(&mut self, batch: &RecordBatch) -> Attempt {
        match self.connect().and_then(|()| self.consumer.deliver(batch)) {
            Ok(bytes) => {
                self.remember(batch, bytes);
                self.back();
                Attempt::Taken
            }
            Err(error) => {
                self.connected = false;
                if !self.again || !self.consumer.comes_back() {
                    return Attempt::Over(self.target.error(error));
                }
                self.gone(&*error);
                let pause = self.pause;
                self.pause = LAST_PAUSE.min(pause * 2);
                Attempt::Later(pause)
            }
        }
    }

    /// Ends the connection in order, if there is one.
    pub(super) fn close(&mut self) -> Result<(), SinkError> {
        if !std::mem::take(&mut self.connected) {
            return Ok(());
        }
        self.consumer.close().map_err(|error| self.target.error(error))
    }

    fn connect(&mut self) -> Result<(), Refused> {
        if self.connected {
            return Ok(());
        }
        self.consumer.connect()?;
        for (batch, bytes) in &mut self.unread {
            *bytes = self.consumer.deliver(batch)?;
        }
        self.unread_bytes = self.unread.iter().map(|(_, bytes)| bytes).sum();
        self.connected = true;
        Ok(())
    }

    /// Keeps a batch until so much followed it that it must have been read.
    fn remember(&mut self, batch: &RecordBatch, bytes: usize) {
        let most = self.consumer.unread();
        if most == 0 {
            return;
        }
        self.unread.push_back((batch.clone(), bytes));
        self.unread_bytes += bytes;
        while let Some((_, oldest)) = self.unread.front()
            && self.unread_bytes - oldest >= most
        {
            self.unread_bytes -= oldest;
            self.unread.pop_front();
        }
    }

    fn back(&mut self) {
        self.pause = FIRST_PAUSE;
        if std::mem::take(&mut self.told) {
            self.notices.tell(format!("{}: findings are taken again", self.target.0));
        }
    }

    fn gone(&mut self, error: &(dyn Error + Send + Sync)) {
        if self.told || self.last_told.is_some_and(|at| at.elapsed() < TELL) {
            return;
        }
        self.told = true;
        self.last_told = Some(Instant::now());
        let target = &self.target.0;
        self.notices.tell(format!("{target}: {error}; findings wait until they are taken"));
    }
}

/// Hands rows to a consumer, batch by batch, and waits for as long as that takes.
pub(super) struct ConsumerSink {
    target: Target,
    batcher: Batcher,
    link: Link,
}

impl ConsumerSink {
    pub(super) fn new(target: Target, link: Link, policy: BatchPolicy) -> Self {
        Self { target, batcher: Batcher::new(policy), link }
    }

    fn hand_over(&mut self, batch: Option<RecordBatch>) -> Result<(), SinkError> {
        let Some(batch) = batch else { return Ok(()) };
        loop {
            match self.link.attempt(&batch) {
                Attempt::Taken => return Ok(()),
                Attempt::Later(pause) => thread::sleep(pause),
                Attempt::Over(error) => return Err(error),
            }
        }
    }
}

impl Sink for ConsumerSink {
    fn write(&mut self, row: &Row) -> Result<(), SinkError> {
        let batch = self.batcher.push(row).map_err(|error| self.target.error(error))?;
        self.hand_over(batch)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let batch = self.batcher.take().map_err(|error| self.target.error(error))?;
        self.hand_over(batch)
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        let batch = self.batcher.tick(now).map_err(|error| self.target.error(error))?;
        self.hand_over(batch)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()?;
        self.link.close()
    }

    fn waiting(&self) -> u64 {
        self.batcher.len() as u64
    }

    fn notices(&self) -> Notices {
        self.link.notices()
    }
}
