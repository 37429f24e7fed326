//! CSV (RFC 4180): dotted column names, lists as JSON, absent values empty.
//!
//! The text is from the wire and CSV ends up in spreadsheets, so control and
//! invisible characters are written as `\u{..}`, and a text that a spreadsheet
//! would take for a formula gets a leading apostrophe (OWASP, CSV injection).

use std::io;

use serde_json::ser::Serializer;

use super::lines::Layout;
use crate::findings::column::{COLUMNS, Value};
use crate::findings::escape::printable;
use crate::findings::json::Printable;
use crate::findings::row::Row;

#[derive(Debug)]
pub(super) struct Csv;

impl Layout for Csv {
    fn header(&self) -> String {
        let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        names.join(",") + "\r\n"
    }

    fn append(&self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        for (index, column) in COLUMNS.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            append_value(out, &(column.get)(row))?;
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

fn append_value(out: &mut Vec<u8>, value: &Value<'_>) -> io::Result<()> {
    match value {
        Value::Null => {}
        Value::Text(text) => append_text(out, text),
        Value::Texts(_) | Value::Methods(_) => {
            let mut list = Vec::new();
            serde::Serialize::serialize(
                value,
                &mut Serializer::with_formatter(&mut list, Printable),
            )?;
            append_field(out, &[], &list);
        }
        Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Time(_) => {
            let mut plain = Vec::new();
            serde::Serialize::serialize(value, &mut Serializer::new(&mut plain))?;
            // A time is quoted in JSON; here nothing in it needs quotes.
            out.extend(plain.into_iter().filter(|byte| *byte != b'"'));
        }
    }
    Ok(())
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    let guard: &[u8] = if text.starts_with(starts_formula) { b"'" } else { &[] };
    append_field(out, guard, printable(text).as_bytes());
}

/// Characters that start a formula in some spreadsheet, full-width ones
/// included. (Tab and carriage return do too; they have become `\u{..}`.)
fn starts_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
}

fn append_field(out: &mut Vec<u8>, guard: &[u8], text: &[u8]) {
    // An empty text is quoted, to be told from an absent value.
    let quoted = text.is_empty() || text.iter().any(|byte| matches!(byte, b'"' | b','));
    if !quoted {
        out.extend_from_slice(guard);
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(guard);
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::findings::samples;

    fn parsed(rows: &[Row]) -> Vec<HashMap<String, String>> {
        let mut bytes = Csv.header().into_bytes();
        for row in rows {
            Csv.append(row, &mut bytes).unwrap();
        }
        let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
        reader.deserialize().map(Result::unwrap).collect()
    }

    #[test]
    fn every_row_has_every_column() {
        let rows = samples::rows();
        let parsed = parsed(&rows);
        assert_eq!(parsed.len(), rows.len());
        assert!(parsed.iter().all(|record| record.len() == COLUMNS.len()));
        let conversation = parsed.last().unwrap();
        assert_eq!(conversation["kind"], "conversation");
        assert_eq!(conversation["time"], "2026-07-28T10:00:00.000000001Z");
        assert_eq!(conversation["flow.server_port"], "443");
        assert_eq!(conversation["tls.decrypted"], "true");
        assert_eq!(conversation["mcp.tools"], r#"["fetch","search"]"#);
        assert!(conversation["mcp.methods"].starts_with(r#"[{"method":"initialize","requests":1"#));
        assert_eq!(parsed[0]["mcp.tools"], "");
    }

    #[test]
    fn wire_text_can_neither_calculate_nor_repaint() {
        let record = parsed(&[samples::threat()]).remove(0);
        let name = &record["mcp.name"];
        assert!(name.starts_with("'=cmd|"), "{name}");
        assert!(name.contains("\\u{1b}[31m\\u{d}\\u{a}\\u{9}\"quoted\",\\u{202e}gpj"), "{name}");
        assert!(!name.chars().any(char::is_control));
        assert_eq!(record["http.user_agent"], "'-");
    }

    #[test]
    fn formulas_are_guarded_and_numbers_are_not() {
        for (text, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum", "'@sum"),
            ("＝1", "'＝1"),
            ("\t=1", "\\u{9}=1"),
            ("a=1", "a=1"),
            ("=\"a\"", "\"'=\"\"a\"\"\""),
            ("a,b", "\"a,b\""),
            ("", "\"\""),
        ] {
            let mut out = Vec::new();
            append_text(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
        assert_eq!(parsed(&[samples::message()])[0]["mcp.error_code"], "-32601");
    }
}
