//! Sinks: rows in, one output each.
//!
//! [`open`] gives the sink of a [`Format`]. Rows go in with [`Sink::write`];
//! who runs a live sensor calls [`Sink::tick`] now and then, so that no row
//! waits long; [`Sink::finish`] ends the output and gives a file its name.
//!
//! ```
//! use mcpwatch::findings::sink::{self, Format};
//! use mcpwatch::findings::{Destination, batch::BatchPolicy};
//!
//! # let dir = std::env::temp_dir().join(format!("mcpwatch-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! let path = dir.join("findings.arrows");
//! let format = Format::choose(&path, None)?;
//! let mut sink = sink::open(Destination::from_argument(&path), format, BatchPolicy::default())?;
//! // for row in rows { sink.write(&row)?; }
//! sink.finish()?;
//! assert!(path.exists());
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backlog;
mod consumer;
mod csv;
mod ecs;
mod eve;
#[cfg(feature = "flight")]
mod flight;
mod http;
mod ipc;
mod lines;
mod ocsf;
#[cfg(feature = "parquet")]
mod parquet;
mod queue;
mod rotate;
mod spool;
mod stream;
mod told;
mod unify;
mod zeek;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::batch::BatchPolicy;
use super::output::Destination;
use super::row::Row;

pub use self::backlog::Spool;
pub use self::http::HttpLog;
pub use self::queue::{QueueLimits, QueuedSink};
pub use self::rotate::{RotatingSink, Rotation};
pub use self::told::{Lost, Notices};

/// Takes rows to where they go.
pub trait Sink: Send {
    /// Takes a row.
    fn write(&mut self, row: &Row) -> Result<(), SinkError>;

    /// Writes out what waits.
    fn flush(&mut self) -> Result<(), SinkError>;

    /// Tells the time: writes out what has waited as long as the policy allows.
    fn tick(&mut self, now: Instant) -> Result<(), SinkError>;

    /// Ends the output; a file gets its name. A sink dropped without this
    /// leaves its partial file, if there are findings in it.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;

    /// Bytes in the output so far; those of a spool where the output is made of one,
    /// and none where it is a stream.
    fn written(&self) -> u64 {
        0
    }

    /// Whether rows may be written after an error: some of them are lost, others
    /// follow.
    fn recovers(&self) -> bool {
        false
    }

    /// Counts rows that could not be written, where others follow; and those that
    /// were lost with the end.
    fn lost(&self) -> Lost {
        Lost::default()
    }

    /// Rows that were taken and are not written out yet.
    fn waiting(&self) -> u64 {
        0
    }

    /// Bytes on disk of rows that wait for their consumer.
    fn spooled(&self) -> u64 {
        0
    }

    /// Where it says what is no error, such as that a consumer is back.
    fn notices(&self) -> Notices {
        Notices::default()
    }
}

/// Opens the sink of `format` on `destination`. Whoever takes it must be there already;
/// when they go, the output ends.
pub fn open(
    destination: Destination,
    format: Format,
    policy: BatchPolicy,
) -> Result<Box<dyn Sink>, SinkError> {
    let target = Target(destination.name());
    if matches!(destination, Destination::Flight(_)) {
        let link = consumer::Link::once(target.clone(), collector(&target)?)?;
        return Ok(Box::new(consumer::ConsumerSink::new(target, link, policy)));
    }
    let place = destination.resolve().map_err(|error| target.error(error))?;
    if let Some(layout) = layout(format) {
        return Ok(Box::new(lines::LineSink::open(target, place, layout, policy.max_age)?));
    }
    match format {
        Format::Arrow => {
            Ok(Box::new(spool::SpoolSink::open(target, place, ipc::write_file, policy)?))
        }
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            Ok(Box::new(spool::SpoolSink::open(target, place, parquet::write_file, policy)?))
        }
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => Err(SinkError::NotBuilt { format }),
        _ => Ok(Box::new(ipc::StreamSink::open(target, place, policy)?)),
    }
}

/// Opens a sink for a consumer that may come late, be slow, die and come back. What it
/// does not take waits: in the `spool`, if there is one, else with the caller, whom
/// [`Sink::write`] then holds up (put a [`QueuedSink`] before it).
pub fn open_consumer(
    destination: Destination,
    format: Format,
    policy: BatchPolicy,
    spool: Option<&Spool>,
) -> Result<Box<dyn Sink>, SinkError> {
    let target = Target(destination.name());
    let consumer = match &destination {
        Destination::Flight(_) => collector(&target)?,
        _ => stream::consumer(destination, format)?,
    };
    let link = consumer::Link::new(target.clone(), consumer);
    match spool {
        Some(spool) => Ok(Box::new(backlog::SpooledSink::open(target, link, policy, spool)?)),
        None => Ok(Box::new(consumer::ConsumerSink::new(target, link, policy))),
    }
}

/// The collector at an address.
#[cfg(feature = "flight")]
fn collector(target: &Target) -> Result<Box<dyn consumer::Consumer>, SinkError> {
    flight::consumer(&target.0)
}

/// There is none in this build.
#[cfg(not(feature = "flight"))]
fn collector(target: &Target) -> Result<Box<dyn consumer::Consumer>, SinkError> {
    Err(SinkError::NoFlight { target: target.0.clone() })
}

/// How rows become lines, in the text formats.
fn layout(format: Format) -> Option<Box<dyn lines::Layout>> {
    match format {
        Format::Arrow | Format::Arrows | Format::Parquet => None,
        Format::JsonLines => Some(Box::new(lines::JsonLines)),
        Format::Csv => Some(Box::new(csv::Csv)),
        Format::Eve => Some(Box::new(eve::Eve)),
        Format::Ocsf => Some(Box::new(ocsf::Ocsf)),
        Format::Ecs => Some(Box::new(ecs::Ecs)),
        Format::Zeek => Some(Box::new(zeek::Zeek)),
    }
}

/// Format of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Arrow IPC file.
    Arrow,
    /// Arrow IPC stream.
    Arrows,
    /// Parquet.
    Parquet,
    /// JSON Lines.
    JsonLines,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// Suricata EVE alerts.
    Eve,
    /// OCSF Detection Findings.
    Ocsf,
    /// Elastic Common Schema.
    Ecs,
    /// Zeek's tab-separated log.
    Zeek,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[
        Self::Arrow,
        Self::Arrows,
        Self::Parquet,
        Self::JsonLines,
        Self::Csv,
        Self::Eve,
        Self::Ocsf,
        Self::Ecs,
        Self::Zeek,
    ];

    /// The name `--format` takes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::Arrows => "arrows",
            Self::Parquet => "parquet",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Eve => "eve",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
            Self::Zeek => "zeek",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.as_str() == name)
    }

    /// The format that the extension of `path` says.
    pub fn from_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "arrow" => Some(Self::Arrow),
            "arrows" => Some(Self::Arrows),
            "parquet" => Some(Self::Parquet),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// The format of the output `path`: the `given` one, else that of its
    /// extension, else (on standard output and sockets) JSON Lines. A collector takes
    /// Arrow and nothing else.
    pub fn choose(path: &Path, given: Option<Self>) -> Result<Self, SinkError> {
        let named = || given.or_else(|| Self::from_path(path));
        match Destination::from_argument(path) {
            Destination::Flight(_) => Ok(Self::Arrows),
            Destination::Stream(..) | Destination::Socket(_) => {
                Ok(given.unwrap_or(Self::JsonLines))
            }
            Destination::Path(path) => named().ok_or(SinkError::UnknownFormat { path }),
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Neither a format nor an extension that says one.
    #[error(
        "{}: cannot tell the format of the output: end its name in .arrow, .arrows, .parquet, \
         .jsonl or .csv, or give --format",
        path.display()
    )]
    UnknownFormat {
        /// The output.
        path: PathBuf,
    },
    /// The format is not part of this build.
    #[error("this build of mcpwatch cannot write {format}")]
    NotBuilt {
        /// The format.
        format: Format,
    },
    /// Arrow Flight is not part of this build.
    #[error("{target}: this build of mcpwatch has no Arrow Flight (its feature is `flight`)")]
    NoFlight {
        /// The output.
        target: String,
    },
    /// The format ends in a footer, which a stream that has no end never gets.
    #[error("{target}: {format} is a format of files; a consumer takes arrows or a text format")]
    NeedsEnd {
        /// The output.
        target: String,
        /// The format.
        format: Format,
    },
    /// Another process writes to the same spool.
    #[error("{}: the spool is in use by another process", path.display())]
    SpoolInUse {
        /// Its folder.
        path: PathBuf,
    },
    /// At its end, these rows were not taken.
    #[error("cannot write {target}: nobody takes them: the last {rows} findings were not written")]
    Unwritten {
        /// The output.
        target: String,
        /// How many there are.
        rows: u64,
    },
    /// Who read the output has gone (a closed pipe). Usually no error at all:
    /// stop writing, quietly.
    #[error("{target}: closed by its reader")]
    Closed {
        /// The output.
        target: String,
    },
    /// The output could not be written.
    #[error("cannot write {target}")]
    Write {
        /// The output.
        target: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SinkError {
    /// Whether it only says that nobody reads any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

/// Name of an output, for its errors.
#[derive(Clone, Debug)]
struct Target(String);

impl Target {
    fn error(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> SinkError {
        let source = source.into();
        let target = self.0.clone();
        if is_broken_pipe(source.as_ref()) {
            return SinkError::Closed { target };
        }
        SinkError::Write { target, source }
    }
}

/// Whether a closed pipe lies at the bottom of `error`.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
