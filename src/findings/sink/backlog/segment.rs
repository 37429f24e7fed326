//! One segment file: an Arrow IPC stream of which every batch is whole on disk as soon
//! as it is written, and survives a power cut.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};

use super::super::consumer::Refused;
use crate::findings::batch::{BatchPolicy, Batcher};
use crate::findings::output::sync_folder_of;
use crate::findings::read;
use crate::findings::schema::arrow_schema;

/// Appends to a segment.
pub(super) struct SegmentWriter {
    file: File,
    /// Makes the bytes of a batch, so that it is known whether they were all written.
    encoder: StreamWriter<Vec<u8>>,
    len: u64,
}

impl SegmentWriter {
    pub(super) fn create(path: &Path) -> Result<Self, Refused> {
        // Small batches would be padding for the most part.
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
        let encoder = StreamWriter::try_new_with_options(Vec::new(), &arrow_schema(), options)?;
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        sync_folder_of(path);
        Ok(Self { file, encoder, len: 0 })
    }

    /// Bytes of whole batches in it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends a batch, wholly or not at all, and waits until the disk has it; how many
    /// bytes that took. After an error nothing more may be appended.
    pub(super) fn append(&mut self, batch: &RecordBatch) -> Result<u64, Refused> {
        self.encoder.write(batch)?;
        let bytes = std::mem::take(self.encoder.get_mut());
        if let Err(error) = self.file.write_all(&bytes).and_then(|()| self.file.sync_data()) {
            // What there is of the batch is left out by readers, if it has to stay.
            let _ = self.file.set_len(self.len);
            return Err(error.into());
        }
        let count = bytes.len() as u64;
        self.len += count;
        Ok(count)
    }
}

/// Reads a segment.
pub(super) struct SegmentReader {
    batches: StreamReader<BufReader<File>>,
    trusted: bool,
}

impl SegmentReader {
    /// Opens a segment; one of an earlier process is not `trusted` to hold what this
    /// one would have written.
    pub(super) fn open(path: &Path, trusted: bool) -> Result<Self, Refused> {
        let batches = StreamReader::try_new_buffered(File::open(path)?, None)?;
        Ok(Self { batches, trusted })
    }

    /// The next whole batch, in the schema of today.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, Refused> {
        let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
        if self.trusted { Ok(Some(batch)) } else { renewed(batch).map(Some) }
    }
}

/// A batch of another version of the schema as one of today's. (Within a version
/// columns are only added.)
fn renewed(batch: RecordBatch) -> Result<RecordBatch, Refused> {
    let rows = read::rows_of(&batch).map_err(|column| format!("no valid {column}"))?;
    if batch.schema() == arrow_schema() {
        return Ok(batch);
    }
    let unbounded =
        BatchPolicy { max_rows: usize::MAX, max_bytes: usize::MAX, ..BatchPolicy::default() };
    let mut batcher = Batcher::new(unbounded);
    for row in &rows {
        batcher.push(row)?;
    }
    Ok(batcher.take()?.unwrap_or_else(|| RecordBatch::new_empty(arrow_schema())))
}

/// Rows of the whole batches of a segment, those before `from` left out.
pub(super) fn count(path: &Path, from: u64) -> u64 {
    let Ok(mut reader) = SegmentReader::open(path, true) else { return 0 };
    let (mut rows, mut index) = (0, 0);
    while let Ok(Some(batch)) = reader.next() {
        if index >= from {
            rows += batch.num_rows() as u64;
        }
        index += 1;
    }
    rows
}
