//! Findings read back: a findings file in, rows out.
//!
//! [`Rows::open`] reads Arrow files and streams, Parquet and JSON Lines, told
//! apart by their first bytes, so that the partial file of a killed process
//! reads like any other. Rows come as they were written. A file of an older
//! version of the same schema lacks columns, one of a newer version has more;
//! both are read.

mod arrow;
mod blocks;
mod json;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, Schema};

use super::column::{COLUMNS, Value};
use super::row::{Confidence, FlowColumns, Governance, Kind, Row, Severity};
use super::schema::{SCHEMA_KEY, SCHEMA_VERSION};
use crate::panics::caught;
use crate::time::Timestamp;

/// The rows of a findings file. Ends at the first error.
pub struct Rows {
    name: PathBuf,
    source: Source,
    /// Rows of the batch at hand.
    batch: std::vec::IntoIter<Row>,
    count: u64,
    /// Whether a stream came to its end where the reader wanted more.
    ended: Arc<AtomicBool>,
    done: bool,
}

enum Source {
    Batches(Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>),
    Lines(json::Lines),
}

impl Rows {
    /// Opens a findings file.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let error = |source: io::Error| ReadError::Open { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(error)?;
        let mut input = BufReader::new(&file);
        match Container::of(input.fill_buf().map_err(error)?) {
            Some(Container::ArrowFile) => {
                let open = || {
                    blocks::check(&mut file)?;
                    FileReader::try_new_buffered(file, None)
                };
                let reader = unharmed(open).map_err(|source| damaged(path, 0, source))?;
                Self::batches(path, &reader.schema(), reader)
            }
            #[cfg(feature = "parquet")]
            Some(Container::Parquet) => {
                use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
                let open = || {
                    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
                    Ok(builder.build()?)
                };
                let reader = unharmed(open).map_err(|source| damaged(path, 0, source))?;
                Self::batches(path, &arrow_array::RecordBatchReader::schema(&reader), reader)
            }
            _ => {
                file.rewind().map_err(error)?;
                Self::from_reader(path, Box::new(BufReader::new(file)))
            }
        }
    }

    /// Reads findings from a stream, e.g. standard input: an Arrow stream or
    /// JSON Lines. `name` is for messages.
    pub fn from_reader(
        name: &Path,
        mut reader: Box<dyn BufRead + Send>,
    ) -> Result<Self, ReadError> {
        let start = reader
            .fill_buf()
            .map_err(|source| ReadError::Open { path: name.to_owned(), source })?;
        match Container::of(start) {
            Some(Container::ArrowStream) => {
                let ended = Arc::new(AtomicBool::new(false));
                let reader = Watched { reader, ended: Arc::clone(&ended) };
                let reader = unharmed(|| StreamReader::try_new(reader, None))
                    .map_err(|source| unreadable(name, 0, &ended, source))?;
                let rows = Self::batches(name, &reader.schema(), reader)?;
                Ok(Self { ended, ..rows })
            }
            Some(Container::JsonLines) => {
                Ok(Self::new(name, Source::Lines(json::Lines::new(reader))))
            }
            Some(Container::ArrowFile) => Err(ReadError::NeedsFile { path: name.to_owned() }),
            Some(Container::Parquet) if cfg!(feature = "parquet") => {
                Err(ReadError::NeedsFile { path: name.to_owned() })
            }
            Some(Container::Parquet) | None => Err(ReadError::Unknown { path: name.to_owned() }),
        }
    }

    fn batches(
        path: &Path,
        schema: &Schema,
        batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
    ) -> Result<Self, ReadError> {
        match schema.metadata().get(SCHEMA_KEY).map(AsRef::<str>::as_ref) {
            None | Some(SCHEMA_VERSION) => Ok(Self::new(path, Source::Batches(Box::new(batches)))),
            Some(version) => {
                Err(ReadError::Version { path: path.to_owned(), version: version.to_owned() })
            }
        }
    }

    fn new(name: &Path, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            source,
            batch: Vec::new().into_iter(),
            count: 0,
            ended: Arc::default(),
            done: false,
        }
    }

    fn next_row(&mut self) -> Result<Option<Row>, ReadError> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            let invalid = |fault: Fault| ReadError::Invalid {
                path: self.name.clone(),
                row: self.count + 1 + fault.row,
                column: fault.column,
            };
            match &mut self.source {
                Source::Lines(lines) => {
                    return lines.next_row().map_err(|error| match error {
                        json::LineError::Invalid(column) => invalid(Fault { row: 0, column }),
                        json::LineError::Syntax(source) => {
                            ReadError::Line { path: self.name.clone(), line: lines.line(), source }
                        }
                        json::LineError::Truncated => {
                            ReadError::Truncated { path: self.name.clone(), rows: self.count }
                        }
                        json::LineError::Io(source) => {
                            ReadError::Open { path: self.name.clone(), source }
                        }
                    });
                }
                Source::Batches(batches) => {
                    let batch = unharmed(|| batches.next().transpose()).map_err(|source| {
                        unreadable(&self.name, self.count, &self.ended, source)
                    })?;
                    let Some(batch) = batch else { return Ok(None) };
                    self.batch = arrow::rows(&batch).map_err(invalid)?.into_iter();
                }
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_row().transpose();
        match &next {
            Some(Ok(_)) => self.count += 1,
            Some(Err(_)) | None => self.done = true,
        }
        next
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("name", &self.name).field("count", &self.count).finish()
    }
}

/// Why a findings file could not be read, or not further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is of no format that findings can be read from.
    #[error("{}: neither Arrow, Parquet nor JSON Lines", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// Its format can only be read from a file.
    #[error(
        "{}: an Arrow or Parquet file cannot be read from a pipe; give its path", path.display()
    )]
    NeedsFile {
        /// The input.
        path: PathBuf,
    },
    /// Its schema is of another version.
    #[error(
        "{}: findings of schema version {version}; this build reads {SCHEMA_VERSION}",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// It ends in the middle; all whole batches (or lines) before were read.
    #[error("{}: cut short after {rows} rows", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Rows before.
        rows: u64,
    },
    /// A line is not JSON.
    #[error("{}:{line}: not a JSON object", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// A column lacks, or holds what it cannot.
    #[error("{}: row {row}: no valid value in column {column}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: u64,
        /// The column.
        column: &'static str,
    },
    /// It is damaged.
    #[error("{}: damaged after {rows} rows", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Rows before.
        rows: u64,
        /// Why.
        source: ArrowError,
    },
}

/// The rows of a batch of findings; the name of the column that holds what it cannot,
/// if one does.
pub(crate) fn rows_of(batch: &RecordBatch) -> Result<Vec<Row>, &'static str> {
    arrow::rows(batch).map_err(|fault| fault.column)
}

/// A value that does not fit, `row` rows into what was being read.
struct Fault {
    row: u64,
    column: &'static str,
}

/// An Arrow stream cut short is an error like any other to the Arrow reader.
/// What a library makes of a file. Some panic over lengths that are not true.
fn unharmed<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    let panicked = |(_, message)| Err(ArrowError::ParseError(message));
    caught(read).unwrap_or_else(panicked)
}

fn unreadable(path: &Path, rows: u64, ended: &AtomicBool, source: ArrowError) -> ReadError {
    if ended.load(Ordering::Relaxed) {
        return ReadError::Truncated { path: path.to_owned(), rows };
    }
    damaged(path, rows, source)
}

fn damaged(path: &Path, rows: u64, source: ArrowError) -> ReadError {
    ReadError::Damaged { path: path.to_owned(), rows, source }
}

/// Notes when its reader is asked for more than there is.
struct Watched {
    reader: Box<dyn BufRead + Send>,
    ended: Arc<AtomicBool>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.ended.store(true, Ordering::Relaxed);
        }
        Ok(count)
    }
}

/// What a file is, by its first bytes.
enum Container {
    ArrowFile,
    ArrowStream,
    Parquet,
    JsonLines,
}

impl Container {
    fn of(start: &[u8]) -> Option<Self> {
        match start {
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Some(Self::ArrowFile),
            [0xff, 0xff, 0xff, 0xff, ..] => Some(Self::ArrowStream),
            [b'P', b'A', b'R', b'1', ..] => Some(Self::Parquet),
            // No findings are findings too.
            [] | [b'{', ..] => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// A row out of one value per column.
fn assemble<'a>(value: impl Fn(usize) -> Option<Value<'a>>) -> Result<Row, &'static str> {
    let mut row = blank();
    for (index, column) in COLUMNS.iter().enumerate() {
        match value(index) {
            None | Some(Value::Null) if column.nullable => {}
            None | Some(Value::Null) => return Err(column.name),
            Some(value) => (column.set)(&mut row, value).map_err(|_| column.name)?,
        }
    }
    Ok(row)
}

/// The row that is filled in: every column that must be there will be set.
fn blank() -> Row {
    let unset = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    Row {
        kind: Kind::Detection,
        id: String::new(),
        time: Timestamp::default(),
        end_time: Timestamp::default(),
        confidence: Confidence::Possible,
        severity: Severity::Info,
        title: String::new(),
        signatures: Vec::new(),
        governance: Governance::Unreviewed,
        evidence: None,
        capture: Default::default(),
        flow: FlowColumns {
            client: unset,
            server: unset,
            transport: "tcp",
            community_id: String::new(),
            server_name: None,
            tunnel: None,
        },
        tls: Default::default(),
        http: Default::default(),
        mcp: Default::default(),
        identity: Default::default(),
        bytes_to_server: 0,
        bytes_to_client: 0,
        packets: 0,
        ongoing: None,
    }
}

#[cfg(test)]
mod tests;
