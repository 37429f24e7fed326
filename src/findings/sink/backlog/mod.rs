//! A spool on disk between the findings and their consumer: batches in, the same
//! batches out, in order, whenever the consumer takes them.
//!
//! ```text
//! row ─ batch ─ segment ─┬─ segment ─ segment ─ thread ─ link ─ consumer
//!                        └─ (memory, while the disk takes nothing)
//! ```
//!
//! Every batch is written to a segment file, an Arrow IPC stream, and is on the disk
//! before the consumer gets it; a file that has been delivered is removed. What is left
//! when the process or the machine ends, in order or not, is delivered by the next one; a
//! note says how far the last one had come. (The note is not waited for: if it is lost,
//! batches are delivered twice.) The spool is bounded: when it is full, the oldest segment goes,
//! and its rows are counted as lost. When the disk takes nothing, a few batches wait
//! in memory, so that a consumer who keeps up loses nothing by it.

mod deliver;
mod folder;
mod queue;
mod segment;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;

use self::folder::Folder;
use self::queue::{Queue, Shared};
use self::segment::SegmentWriter;
use super::consumer::{Link, Refused};
use super::told::{Lost, Notices};
use super::{Sink, SinkError, Target};
use crate::findings::batch::{BatchPolicy, Batcher};
use crate::findings::row::Row;

/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_secs(5);

/// Longest that the end waits for a consumer who takes findings. What is left stays on
/// disk.
const PATIENCE: Duration = Duration::from_secs(3);

/// A spool holds at least so many segments: so little of it goes at once when it is
/// full.
const SEGMENTS: u64 = 16;

/// Bytes of a segment, at most.
const MAX_SEGMENT: u64 = 64 << 20;

/// Bytes after which a segment that has been delivered is followed by another, so that
/// its file can go.
const MIN_SEGMENT: u64 = 1 << 20;

/// Where findings wait for their consumer, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// The folder, in which each output has one of its own.
    pub folder: PathBuf,
    /// Most bytes of an output on disk.
    pub size: u64,
}

impl Spool {
    /// The least that a spool may hold.
    pub const MIN_SIZE: u64 = 1 << 20;
}

/// Hands rows to a consumer by way of the disk.
pub(super) struct SpooledSink {
    target: Target,
    batcher: Batcher,
    folder: Folder,
    shared: Arc<Shared>,
    notices: Notices,
    lost: Lost,
    size: u64,
    segment: Option<SegmentWriter>,
    /// When the disk last took nothing.
    failed: Option<Instant>,
}

impl SpooledSink {
    /// Takes over what an earlier process left, and begins to deliver it.
    pub(super) fn open(
        target: Target,
        link: Link,
        policy: BatchPolicy,
        spool: &Spool,
    ) -> Result<Self, SinkError> {
        let size = spool.size.max(Spool::MIN_SIZE);
        let folder = Folder::open(&spool.folder, &target)?;
        let left = folder.segments().map_err(|error| target.error(error))?;
        let shared = Arc::new(Shared::new(Queue::new(left, folder.next())));
        let (notices, lost) = (link.notices(), shared.lock().lost());
        let (theirs, place) = (Arc::clone(&shared), folder.clone());
        thread::Builder::new()
            .name("deliver".to_owned())
            .spawn(move || deliver::run(link, place, &theirs))
            .map_err(|error| target.error(error))?;
        // A batch must fit in a segment.
        let most = usize::try_from(segment_size(size) / 2).unwrap_or(usize::MAX);
        let policy = BatchPolicy { max_bytes: policy.max_bytes.min(most), ..policy };
        let batcher = Batcher::new(policy);
        let (segment, failed) = (None, None);
        Ok(Self { target, batcher, folder, shared, notices, lost, size, segment, failed })
    }

    fn take_in(&mut self, batch: Option<RecordBatch>) -> Result<(), SinkError> {
        if let Some(batch) = batch {
            self.spool(batch);
        }
        self.shared.lock().take_error().map_or(Ok(()), Err)
    }

    /// Writes a batch to disk, or keeps it in memory if the disk does not take it.
    fn spool(&mut self, batch: RecordBatch) {
        let rows = batch.num_rows() as u64;
        let left_alone = self.failed.is_some_and(|at| at.elapsed() < RETRY);
        if left_alone {
            self.shared.lock().hold(batch);
            return self.shared.changed();
        }
        match self.append(&batch) {
            Ok(bytes) => {
                if self.failed.take().is_some() {
                    let folder = self.folder.path().display();
                    self.notices.tell(format!("{folder}: findings are spooled again"));
                }
                self.shared.lock().written(bytes, rows);
                self.make_room();
            }
            Err(error) => {
                if self.failed.is_none() {
                    let folder = self.folder.path().display();
                    self.notices.tell(format!("{folder}: {error}; findings are not spooled"));
                }
                self.failed = Some(Instant::now());
                self.segment = None;
                let mut queue = self.shared.lock();
                queue.seal();
                queue.hold(batch);
            }
        }
        self.shared.changed();
    }

    /// Appends a batch to the current segment, or to a new one; how many bytes that
    /// took.
    fn append(&mut self, batch: &RecordBatch) -> Result<u64, Refused> {
        let most = segment_size(self.size);
        let delivered = self.shared.lock().is_delivered();
        let full = |segment: &SegmentWriter| {
            segment.len() >= if delivered { MIN_SEGMENT.min(most) } else { most }
        };
        if self.segment.as_ref().is_some_and(full) {
            self.segment = None;
            self.shared.lock().seal();
        }
        match self.segment.take() {
            Some(mut segment) => {
                let bytes = segment.append(batch)?;
                self.segment = Some(segment);
                Ok(bytes)
            }
            None => self.begin(batch),
        }
    }

    /// Begins a segment with a batch; how many bytes that took.
    fn begin(&mut self, batch: &RecordBatch) -> Result<u64, Refused> {
        let number = self.shared.lock().next_number();
        let path = self.folder.segment(number);
        let mut segment = SegmentWriter::create(&path)?;
        match segment.append(batch) {
            Ok(bytes) => {
                self.shared.lock().begin(number);
                self.segment = Some(segment);
                Ok(bytes)
            }
            Err(error) => {
                // It holds nothing; if it stays, the next process removes it.
                let _ = std::fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Lets the oldest segments go while there are too many.
    fn make_room(&self) {
        let most = self.size - segment_size(self.size);
        loop {
            let Some(evicted) = self.shared.lock().evict(most) else { return };
            let path = self.folder.segment(evicted.number);
            let rows = evicted.rows.unwrap_or_else(|| segment::count(&path, evicted.batches));
            self.lost.add(rows.saturating_sub(evicted.in_hand));
            // If it stays, it is found again by the next process.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Sink for SpooledSink {
    fn write(&mut self, row: &Row) -> Result<(), SinkError> {
        let batch = self.batcher.push(row).map_err(|error| self.target.error(error))?;
        self.take_in(batch)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let batch = self.batcher.take().map_err(|error| self.target.error(error))?;
        self.take_in(batch)
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        let batch = self.batcher.tick(now).map_err(|error| self.target.error(error))?;
        self.take_in(batch)
    }

    /// What the consumer does not take soon stays on disk.
    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.failed = None;
        let flushed = self.flush();
        let rows = self.shared.end(PATIENCE);
        let bytes = self.shared.lock().spooled();
        if bytes > 0 {
            let folder = self.folder.path().display();
            let size = bytes.div_ceil(1 << 10);
            self.notices.tell(format!("{folder}: {size} KiB of findings wait for the next start"));
        }
        if rows > 0 {
            self.lost.add(rows);
            return Err(SinkError::Unwritten { target: self.target.0, rows });
        }
        flushed
    }

    fn waiting(&self) -> u64 {
        self.batcher.len() as u64
    }

    fn recovers(&self) -> bool {
        !self.shared.lock().is_over()
    }

    fn lost(&self) -> Lost {
        self.lost.clone()
    }

    fn spooled(&self) -> u64 {
        self.shared.lock().spooled()
    }

    fn notices(&self) -> Notices {
        self.notices.clone()
    }
}

/// Bytes after which a segment of a spool of that size is full.
fn segment_size(size: u64) -> u64 {
    (size / SEGMENTS).clamp(1, MAX_SEGMENT)
}
