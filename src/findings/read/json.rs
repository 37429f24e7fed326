//! Rows out of JSON Lines.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use serde_json::Value as Json;

use super::assemble;
use crate::findings::column::{COLUMNS, ColumnType, Value};
use crate::findings::row::{MethodCount, Row};
use crate::time::Timestamp;

/// Longest line that is read.
const MAX_LINE: u64 = 64 << 20;

pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: u64,
    buffer: Vec<u8>,
}

pub(super) enum LineError {
    /// No valid value in that column.
    Invalid(&'static str),
    Syntax(serde_json::Error),
    /// The last line has no end.
    Truncated,
    Io(io::Error),
}

impl Lines {
    pub(super) fn new(reader: Box<dyn BufRead + Send>) -> Self {
        Self { reader, line: 0, buffer: Vec::new() }
    }

    /// Number of the line last read.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn next_row(&mut self) -> Result<Option<Row>, LineError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let read = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.buffer);
            if read.map_err(LineError::Io)? == 0 {
                return Ok(None);
            }
            if !self.buffer.trim_ascii().is_empty() {
                return row(&self.buffer).map(Some);
            }
        }
    }
}

fn row(line: &[u8]) -> Result<Row, LineError> {
    let object: Json = serde_json::from_slice(line).map_err(|error| {
        // A line is whole with its line feed, or as the last one if it parses.
        if line.ends_with(b"\n") { LineError::Syntax(error) } else { LineError::Truncated }
    })?;
    assemble(|index| {
        let column = COLUMNS.get(index)?;
        let json = match column.path() {
            (Some(group), name) => object.get(group)?.get(name)?,
            (None, name) => object.get(name)?,
        };
        // What is of another type comes as a value that the column refuses.
        Some(value(column.kind, json).unwrap_or(Value::Bool(false)))
    })
    .map_err(LineError::Invalid)
}

fn value(kind: ColumnType, json: &Json) -> Option<Value<'_>> {
    if json.is_null() {
        return Some(Value::Null);
    }
    match kind {
        ColumnType::Dict(_) | ColumnType::Text => {
            json.as_str().map(|text| Value::Text(Cow::Borrowed(text)))
        }
        ColumnType::Texts => {
            let texts = json.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned()));
            texts.collect::<Option<Vec<_>>>().map(|texts| Value::Texts(Cow::Owned(texts)))
        }
        ColumnType::Methods => {
            let counts = json.as_array()?.iter().map(method_count);
            counts.collect::<Option<Vec<_>>>().map(|counts| Value::Methods(Cow::Owned(counts)))
        }
        ColumnType::Bool => json.as_bool().map(Value::Bool),
        ColumnType::U16 | ColumnType::U64 => json.as_u64().map(Value::Unsigned),
        ColumnType::I64 => json.as_i64().map(Value::Signed),
        ColumnType::Time => {
            let time: jiff::Timestamp = json.as_str()?.parse().ok()?;
            let nanos = i64::try_from(time.as_nanosecond()).ok()?;
            Some(Value::Time(Timestamp::from_nanos(nanos)))
        }
    }
}

fn method_count(json: &Json) -> Option<MethodCount> {
    let number = |name| json.get(name).and_then(Json::as_u64);
    Some(MethodCount {
        method: json.get("method")?.as_str()?.to_owned(),
        requests: number("requests")?,
        responses: number("responses")?,
        errors: number("errors")?,
    })
}
