//! Rows as JSON: structs nest as in the schema, absent values are left out,
//! times are RFC 3339 with nanoseconds.

use std::io;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::ser::Formatter;

use super::column::{Column, Value, groups};
use super::escape::is_unprintable;
use super::row::{MethodCount, Row};

/// A row that serialises as its JSON object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonRow<'a>(pub(crate) &'a Row);

/// `value` as one line of JSON, safe to show.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    append_line(&mut line, value)?;
    Ok(line)
}

/// Appends `value` to `out` as one line of JSON. Invisible and control
/// characters are escaped, so that the line is safe to show; it parses to the
/// same text.
pub(crate) fn append_line(out: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Printable);
    value.serialize(&mut serializer)?;
    out.push(b'\n');
    Ok(())
}

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.0;
        let mut map = serializer.serialize_map(None)?;
        for (group, columns) in groups() {
            match group {
                Some(name) => {
                    let members = Members { row, columns };
                    if !members.is_empty() {
                        map.serialize_entry(name, &members)?;
                    }
                }
                None => members(&mut map, row, columns)?,
            }
        }
        map.end()
    }
}

/// The columns of one struct.
struct Members<'a> {
    row: &'a Row,
    columns: &'static [Column],
}

impl Members<'_> {
    fn is_empty(&self) -> bool {
        self.columns.iter().all(|column| (column.get)(self.row) == Value::Null)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        members(&mut map, self.row, self.columns)?;
        map.end()
    }
}

fn members<M: SerializeMap>(map: &mut M, row: &Row, columns: &[Column]) -> Result<(), M::Error> {
    for column in columns {
        let value = (column.get)(row);
        if value != Value::Null {
            map.serialize_entry(column.path().1, &value)?;
        }
    }
    Ok(())
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(it) => serializer.serialize_bool(*it),
            Value::Unsigned(it) => serializer.serialize_u64(*it),
            Value::Signed(it) => serializer.serialize_i64(*it),
            Value::Time(it) => serializer.collect_str(it),
            Value::Text(it) => serializer.serialize_str(it),
            Value::Texts(it) => it.serialize(serializer),
            Value::Methods(methods) => {
                let mut seq = serializer.serialize_seq(Some(methods.len()))?;
                for count in methods.iter() {
                    seq.serialize_element(count)?;
                }
                seq.end()
            }
        }
    }
}

impl Serialize for MethodCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("method", &self.method)?;
        map.serialize_entry("requests", &self.requests)?;
        map.serialize_entry("responses", &self.responses)?;
        map.serialize_entry("errors", &self.errors)?;
        map.end()
    }
}

/// Compact JSON that also escapes what is valid in a JSON string, yet not fit
/// to be shown: C1 controls, bidirectional and zero-width characters, tags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printable;

impl Formatter for Printable {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unprintable(*c)) {
            let (clean, tail) = rest.split_at(at);
            writer.write_all(clean.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = tail.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples;
    use super::*;

    fn line(row: &Row) -> String {
        let mut out = Vec::new();
        append_line(&mut out, &JsonRow(row)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn absent_values_and_empty_structs_are_left_out() {
        let object: serde_json::Value = serde_json::from_str(&line(&samples::bare())).unwrap();
        assert_eq!(
            object,
            json!({
                "kind": "detection",
                "id": "d-bare",
                "time": "2026-07-28T10:00:00.000000001Z",
                "end_time": "2026-07-28T10:00:00.000000001Z",
                "confidence": "possible",
                "severity": "info",
                "title": "MCP possible",
                "signatures": [],
                "governance": "unreviewed",
                "flow": {
                    "client_ip": "192.0.2.10",
                    "client_port": 50000,
                    "server_ip": "2001:db8::1",
                    "server_port": 8080,
                    "transport": "tcp",
                    "community_id": "1:bare=",
                },
                "bytes_to_server": 0,
                "bytes_to_client": 0,
                "packets": 1,
            })
        );
    }

    #[test]
    fn conversations_say_what_was_called_even_if_nothing_was() {
        let mut row = samples::conversation();
        row.mcp.tools.clear();
        row.mcp.methods.truncate(1);
        let object: serde_json::Value = serde_json::from_str(&line(&row)).unwrap();
        assert_eq!(object["mcp"]["tools"], json!([]));
        assert_eq!(
            object["mcp"]["methods"],
            json!([{ "method": "initialize", "requests": 1, "responses": 1, "errors": 0 }])
        );
    }

    #[test]
    fn one_line_of_printable_text_that_parses_to_the_same() {
        let mut row = samples::bare();
        row.title = samples::HOSTILE.to_owned();
        let line = line(&row);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.trim_end().chars().any(is_unprintable), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["title"], samples::HOSTILE);
    }
}
