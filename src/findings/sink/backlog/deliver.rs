//! The thread that delivers: batches off the disk, in order, to the consumer.

use arrow_array::RecordBatch;

use super::super::SinkError;
use super::super::consumer::{Attempt, Link, Refused};
use super::folder::Folder;
use super::queue::{Next, Shared};
use super::segment::SegmentReader;

/// Delivers until the end, or until the consumer takes no more for ever.
pub(super) fn run(link: Link, folder: Folder, shared: &Shared) {
    let mut delivery = Delivery { link, folder, shared, reading: None };
    let error = delivery.run().err();
    let closed = delivery.link.close().err();
    // The folder is free for another before this is over.
    drop(delivery);
    shared.lock().end(error.or(closed));
    shared.changed();
}

struct Delivery<'a> {
    link: Link,
    folder: Folder,
    shared: &'a Shared,
    reading: Option<Reading>,
}

/// A segment that is being read.
struct Reading {
    number: u64,
    /// Index of the batch that comes next.
    index: u64,
    reader: SegmentReader,
}

impl Delivery<'_> {
    fn run(&mut self) -> Result<(), SinkError> {
        loop {
            let (number, batch) = match self.shared.next() {
                Next::End => return Ok(()),
                Next::Held { number, batch } => (number, batch),
                Next::Done { number } => {
                    self.reading = None;
                    self.folder.note(number, u64::MAX);
                    // If it stays, the note says that it was delivered.
                    let _ = std::fs::remove_file(self.folder.segment(number));
                    self.shared.lock().forget(number);
                    continue;
                }
                Next::Read { number, index, left } => match self.read(number, index, left) {
                    Ok(Some(batch)) => (number, batch),
                    Ok(None) => {
                        self.shared.lock().exhausted(number);
                        continue;
                    }
                    Err(error) => {
                        self.tell_damage(number, &error);
                        self.shared.lock().exhausted(number);
                        continue;
                    }
                },
            };
            if !self.shared.lock().in_hand(number, batch.num_rows() as u64) {
                continue;
            }
            if !self.hand_over(&batch)? {
                return Ok(());
            }
            let delivered = self.shared.lock().delivered();
            if let Some(delivered) = delivered {
                self.folder.note(number, delivered);
            }
        }
    }

    /// The batch of that index in a segment, if it has so many.
    fn read(
        &mut self,
        number: u64,
        index: u64,
        left: bool,
    ) -> Result<Option<RecordBatch>, Refused> {
        let at = |reading: &Reading| reading.number == number && reading.index == index;
        let mut reading = match self.reading.take().filter(at) {
            Some(reading) => reading,
            None => {
                let reader = SegmentReader::open(&self.folder.segment(number), !left)?;
                let mut reading = Reading { number, index: 0, reader };
                while reading.index < index {
                    if reading.reader.next()?.is_none() {
                        return Ok(None);
                    }
                    reading.index += 1;
                }
                reading
            }
        };
        let batch = reading.reader.next()?;
        reading.index += 1;
        self.reading = Some(reading);
        Ok(batch)
    }

    /// Hands a batch over, however long that takes; false if the end came first.
    fn hand_over(&mut self, batch: &RecordBatch) -> Result<bool, SinkError> {
        loop {
            match self.link.attempt(batch) {
                Attempt::Taken => return Ok(true),
                Attempt::Over(error) => return Err(error),
                Attempt::Later(pause) => {
                    if !self.shared.pause(pause) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn tell_damage(&self, number: u64, error: &Refused) {
        let path = self.folder.segment(number);
        let path = path.display();
        self.link.notices().tell(format!("{path}: read up to its last whole batch: {error}"));
    }
}
