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

type Stream = BufWriter<Box<dyn Write + Send>>;

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
        self.encoder = Some(Encoder::open(self.format, BufWriter::new(stream))?);
        Ok(())
    }

    fn deliver(&mut self, batch: &RecordBatch) -> Result<(), Refused> {
        let encoder = self.encoder.as_mut();
        encoder.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?.write(batch)
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
    fn open(format: Format, mut stream: Stream) -> Result<Self, Refused> {
        match layout(format) {
            None => Ok(Self::Arrow(Box::new(StreamWriter::try_new(stream, &arrow_schema())?))),
            Some(layout) => {
                stream.write_all(layout.header().as_bytes())?;
                Ok(Self::Lines(layout, stream))
            }
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
