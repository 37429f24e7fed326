//! Arrow IPC: the stream, and the file made from a finished stream.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::ArrowError;

use super::spool::ConvertError;
use super::unify::Dictionaries;
use super::{Sink, SinkError, Target};
use crate::findings::batch::{BatchPolicy, Batcher};
use crate::findings::output::{Output, Place};
use crate::findings::row::Row;
use crate::findings::schema::arrow_schema;

/// Writes an Arrow IPC stream. Every batch is whole in the output as soon as it
/// is written.
pub(super) struct StreamSink {
    target: Target,
    batcher: Batcher,
    writer: StreamWriter<BufWriter<Output>>,
}

impl StreamSink {
    pub(super) fn open(
        target: Target,
        place: Place,
        policy: BatchPolicy,
    ) -> Result<Self, SinkError> {
        let output = Output::open(place).map_err(|error| target.error(error))?;
        let writer = StreamWriter::try_new(BufWriter::new(output), &arrow_schema())
            .map_err(|error| target.error(error))?;
        Ok(Self { target, batcher: Batcher::new(policy), writer })
    }

    fn write_batch(
        &mut self,
        batch: Result<Option<RecordBatch>, ArrowError>,
    ) -> Result<(), SinkError> {
        let write = |batch: RecordBatch| {
            self.writer.get_mut().get_mut().keep();
            write_through(&mut self.writer, &batch)
        };
        batch
            .and_then(|batch| batch.map_or(Ok(()), write))
            .map_err(|error| self.target.error(error))
    }
}

impl Sink for StreamSink {
    fn write(&mut self, row: &Row) -> Result<(), SinkError> {
        let batch = self.batcher.push(row);
        self.write_batch(batch)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let batch = self.batcher.take();
        self.write_batch(batch)
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        let batch = self.batcher.tick(now);
        self.write_batch(batch)
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()?;
        let Self { target, writer, .. } = *self;
        let buffered = writer.into_inner().map_err(|error| target.error(error))?;
        let output = buffered.into_inner().map_err(|error| target.error(error.into_error()))?;
        output.commit().map_err(|error| target.error(error))
    }

    fn waiting(&self) -> u64 {
        self.batcher.len() as u64
    }

    fn written(&self) -> u64 {
        self.writer.get_ref().get_ref().len()
    }
}

/// Writes a batch and lets nothing of it linger in a buffer.
pub(super) fn write_through<W: Write>(
    writer: &mut StreamWriter<W>,
    batch: &RecordBatch,
) -> Result<(), ArrowError> {
    writer.write(batch)?;
    writer.flush()
}

/// Writes the batches of the stream in `spool` as an Arrow IPC file.
///
/// A file has one dictionary for each column, where a stream may replace them
/// from batch to batch. (Delta dictionaries are in the format, but not every
/// reader has them.) So the first pass over the stream gathers the values and
/// the second writes the batches with all of them.
pub(super) fn write_file(spool: &mut File, output: &mut Output) -> Result<(), ConvertError> {
    let mut dictionaries = Dictionaries::default();
    for batch in rewound(spool)? {
        dictionaries.gather(&batch?);
    }
    let unified = dictionaries.finish();
    let mut writer = FileWriter::try_new(BufWriter::new(output), &arrow_schema())?;
    for batch in rewound(spool)? {
        writer.write(&unified.apply(&batch?)?)?;
    }
    writer.into_inner()?.flush()?;
    Ok(())
}

/// The batches of a spool, from its beginning.
pub(super) fn rewound(
    spool: &mut File,
) -> Result<StreamReader<BufReader<&mut File>>, ConvertError> {
    spool.rewind()?;
    Ok(StreamReader::try_new_buffered(spool, None)?)
}
