//! Text formats, one line a row.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::{Sink, SinkError, Target};
use crate::findings::json::{JsonRow, append_line};
use crate::findings::output::{Output, Place};
use crate::findings::row::Row;

/// How a row becomes a line.
pub(super) trait Layout: Send {
    /// What stands before the first line.
    fn header(&self) -> String {
        String::new()
    }

    /// Appends the line of `row`, with its line feed.
    fn append(&self, row: &Row, out: &mut Vec<u8>) -> io::Result<()>;
}

/// JSON Lines, as the schema nests.
#[derive(Debug)]
pub(super) struct JsonLines;

impl Layout for JsonLines {
    fn append(&self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        append_line(out, &JsonRow(row))
    }
}

/// Bytes gathered before they are written.
pub(super) const BUFFER: usize = 64 << 10;

/// Writes lines. Only whole lines reach the output, unless the process dies in
/// the middle of a write.
pub(super) struct LineSink {
    target: Target,
    output: Output,
    layout: Box<dyn Layout>,
    buffer: Vec<u8>,
    /// Rows in the buffer.
    rows: u64,
    max_age: Duration,
    waiting_since: Option<Instant>,
}

impl LineSink {
    pub(super) fn open(
        target: Target,
        place: Place,
        layout: Box<dyn Layout>,
        max_age: Duration,
    ) -> Result<Self, SinkError> {
        let mut output = Output::open(place).map_err(|error| target.error(error))?;
        output.write_all(layout.header().as_bytes()).map_err(|error| target.error(error))?;
        let buffer = Vec::with_capacity(BUFFER);
        Ok(Self { target, output, layout, buffer, rows: 0, max_age, waiting_since: None })
    }

    fn write_out(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.waiting_since = None;
        self.output.keep();
        let written = self.output.write_all(&self.buffer).and_then(|()| self.output.flush());
        self.buffer.clear();
        self.rows = 0;
        written
    }
}

impl Sink for LineSink {
    fn write(&mut self, row: &Row) -> Result<(), SinkError> {
        let start = self.buffer.len();
        if let Err(error) = self.layout.append(row, &mut self.buffer) {
            self.buffer.truncate(start);
            return Err(self.target.error(error));
        }
        self.rows += 1;
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.write_out().map_err(|error| self.target.error(error))
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let since = *self.waiting_since.get_or_insert(now);
        if now.saturating_duration_since(since) < self.max_age {
            return Ok(());
        }
        self.flush()
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.flush()?;
        let Self { target, output, .. } = *self;
        output.commit().map_err(|error| target.error(error))
    }

    fn waiting(&self) -> u64 {
        self.rows
    }

    fn written(&self) -> u64 {
        self.output.len()
    }
}
