//! Consumers that read a stream of bytes: a Unix socket that somebody listens on, or
//! standard output. Every connection is a stream of its own: it begins with the
//! schema, or with the head of the text format.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;

use super::consumer::{Consumer, Refused};
use super::ipc::write_through;
use super::lines::Layout;
use super::{Format, SinkError, Target, layout};
use crate::findings::output::{Destination, connect};
use crate::findings::read;
use crate::findings::schema::arrow_schema;

/// The consumer at `destination`, who reads `format`.
pub(super) fn consumer(
    destination: Destination,
    format: Format,
) -> Result<Box<dyn Consumer>, SinkError> {
    let target = Target(destination.name());
    let place = match destination {
        Destination::Socket(path) => Place::Socket(path),
        Destination::Stream(_, writer) => Place::Open(Some(writer)),
        Destination::Path(_) | Destination::Flight(_) => {
            return Err(target.error(io::Error::from(io::ErrorKind::Unsupported)));
        }
    };
    if matches!(format, Format::Arrow | Format::Parquet) {
        return Err(SinkError::NeedsEnd { target: target.0, format });
    }
    Ok(Box::new(StreamConsumer { place, format, encoder: None }))
}

/// Where the bytes go.
enum Place {
    /// To whoever listens there.
    Socket(PathBuf),
    /// Where they always went, as long as it is open.
    Open(Option<Box<dyn Write + Send>>),
}

struct StreamConsumer {
    place: Place,
    format: Format,
    encoder: Option<Encoder>,
}

type Stream = BufWriter<Counted>;

/// Counts the bytes that go through it.
struct Counted {
    inner: Box<dyn Write + Send>,
    written: usize,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.written += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What the kernel holds of a socket, unless it is told otherwise.
const SOCKET_BUFFER: usize = 208 << 10;

/// By how much the last write to a socket may go beyond that.
const LAST_WRITE: usize = 64 << 10;

/// Most bytes of a socket that were written and not read.
fn socket_buffer() -> usize {
    let set = std::fs::read_to_string("/proc/sys/net/core/wmem_default").ok();
    let set = set.and_then(|text| text.trim().parse::<usize>().ok());
    set.unwrap_or(SOCKET_BUFFER).saturating_add(LAST_WRITE)
}

/// Batches into bytes, on one connection.
enum Encoder {
    Arrow(Box<StreamWriter<Stream>>),
    Lines(Box<dyn Layout>, Stream),
}

impl Consumer for StreamConsumer {
    fn connect(&mut self) -> Result<(), Refused> {
        self.encoder = None;
        let stream = match &mut self.place {
            Place::Socket(path) => connect(path)?,
            Place::Open(stream) => {
                stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?
            }
        };
        self.encoder = Some(Encoder::open(self.format, Counted { inner: stream, written: 0 })?);
        Ok(())
    }

    fn deliver(&mut self, batch: &RecordBatch) -> Result<usize, Refused> {
        let encoder = self.encoder.as_mut();
        let encoder = encoder.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        let before = encoder.written();
        encoder.write(batch)?;
        Ok(encoder.written() - before)
    }

    fn unread(&self) -> usize {
        match self.place {
            Place::Socket(_) => socket_buffer(),
            Place::Open(_) => 0,
        }
    }

    fn close(&mut self) -> Result<(), Refused> {
        match self.encoder.take() {
            Some(Encoder::Arrow(mut writer)) => Ok(writer.finish()?),
            _ => Ok(()),
        }
    }

    fn comes_back(&self) -> bool {
        matches!(self.place, Place::Socket(_))
    }
}

impl Encoder {
    fn open(format: Format, stream: Counted) -> Result<Self, Refused> {
        let mut stream = BufWriter::new(stream);
        match layout(format) {
            None => Ok(Self::Arrow(Box::new(StreamWriter::try_new(stream, &arrow_schema())?))),
            Some(layout) => {
                stream.write_all(layout.header().as_bytes())?;
                Ok(Self::Lines(layout, stream))
            }
        }
    }

    /// Bytes so far.
    fn written(&self) -> usize {
        match self {
            Self::Arrow(writer) => writer.get_ref().get_ref().written,
            Self::Lines(_, stream) => stream.get_ref().written,
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Refused> {
        match self {
            Self::Arrow(writer) => Ok(write_through(writer, batch)?),
            Self::Lines(layout, stream) => {
                let rows = read::rows_of(batch).map_err(|column| format!("column {column}"))?;
                let mut lines = Vec::new();
                for row in &rows {
                    layout.append(row, &mut lines)?;
                }
                stream.write_all(&lines)?;
                Ok(stream.flush()?)
            }
        }
    }
}
