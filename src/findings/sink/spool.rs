//! Formats that are readable only once they are finished: an Arrow file and a
//! Parquet file end in a footer without which nothing reads them.
//!
//! While rows come in, they go to a spool, an Arrow IPC stream in the partial
//! file: whatever happens, every batch written to it can be read. When the
//! output is finished, the spool is converted and goes away.

use std::error::Error;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;

use super::ipc::write_through;
use super::{Sink, SinkError, Target};
use crate::findings::batch::{BatchPolicy, Batcher};
use crate::findings::output::{Output, PartialFile, Place, len};
use crate::findings::row::Row;
use crate::findings::schema::arrow_schema;

/// Why a spool could not be converted.
pub(super) type ConvertError = Box<dyn Error + Send + Sync>;

/// Writes the stream in a spool as the finished format.
pub(super) type Convert = fn(&mut File, &mut Output) -> Result<(), ConvertError>;

pub(super) struct SpoolSink {
    target: Target,
    batcher: Batcher,
    writer: StreamWriter<BufWriter<File>>,
    spool: Spool,
    convert: Convert,
}

/// Where the spool lies, and where the finished output goes.
enum Spool {
    /// In the partial file beside the target.
    Beside { partial: PartialFile, target: PathBuf, permissions: Option<Permissions> },
    /// In a temporary file without a name.
    Apart { file: File, output: Output },
}

impl Spool {
    fn open(place: Place) -> io::Result<Self> {
        match place {
            Place::File { target, permissions } => {
                let partial = PartialFile::create(&target, permissions.clone())?;
                Ok(Self::Beside { partial, target, permissions })
            }
            Place::Stream(writer) => {
                Ok(Self::Apart { file: tempfile::tempfile()?, output: Output::Stream(writer) })
            }
        }
    }

    fn handle(&self) -> io::Result<File> {
        match self {
            Self::Beside { partial, .. } => partial.handle(),
            Self::Apart { file, .. } => file.try_clone(),
        }
    }

    fn keep(&mut self) {
        if let Self::Beside { partial, .. } = self {
            partial.keep();
        }
    }

    fn finish(self, convert: Convert) -> Result<(), ConvertError> {
        match self {
            Self::Beside { partial, target, permissions } => {
                let mut output = Output::open(Place::File { target, permissions })?;
                convert(&mut partial.handle()?, &mut output)?;
                output.commit()?;
                partial.discard();
            }
            Self::Apart { mut file, mut output } => {
                convert(&mut file, &mut output)?;
                output.commit()?;
            }
        }
        Ok(())
    }
}

impl SpoolSink {
    pub(super) fn open(
        target: Target,
        place: Place,
        convert: Convert,
        policy: BatchPolicy,
    ) -> Result<Self, SinkError> {
        let spool = Spool::open(place).map_err(|error| target.error(error))?;
        let file = spool.handle().map_err(|error| target.error(error))?;
        let writer = StreamWriter::try_new_buffered(file, &arrow_schema())
            .map_err(|error| target.error(error))?;
        Ok(Self { target, batcher: Batcher::new(policy), writer, spool, convert })
    }

    fn write_batch(
        &mut self,
        batch: Result<Option<RecordBatch>, ArrowError>,
    ) -> Result<(), SinkError> {
        let write = |batch: RecordBatch| {
            self.spool.keep();
            write_through(&mut self.writer, &batch)
        };
        batch
            .and_then(|batch| batch.map_or(Ok(()), write))
            .map_err(|error| self.target.error(error))
    }
}

impl Sink for SpoolSink {
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
        let Self { target, mut writer, spool, convert, .. } = *self;
        writer.finish().map_err(|error| target.error(error))?;
        drop(writer);
        spool.finish(convert).map_err(|error| target.error(error))
    }

    fn waiting(&self) -> u64 {
        self.batcher.len() as u64
    }

    fn written(&self) -> u64 {
        len(self.writer.get_ref().get_ref())
    }
}
