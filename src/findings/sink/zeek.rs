//! A log as Zeek's ASCII writer lays it out: tab-separated, described by its
//! header, for `zeek-cut` and whatever else reads Zeek logs.
//!
//! The header has no `#open` and the file no `#close`: they would hold the time
//! of the run, and the same capture must give the same bytes.

use std::fmt::Write as _;
use std::io;

use super::lines::Layout;
use crate::findings::escape::is_unprintable;
use crate::findings::row::Row;
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) struct Zeek;

type Field = (&'static str, &'static str, fn(&Row, &mut String));

const FIELDS: &[Field] = &[
    ("ts", "time", |row, out| seconds(out, row.time.as_nanos())),
    ("uid", "string", |row, out| text(out, &row.id)),
    ("id.orig_h", "addr", |row, out| shown(out, row.flow.client.ip())),
    ("id.orig_p", "port", |row, out| shown(out, row.flow.client.port())),
    ("id.resp_h", "addr", |row, out| shown(out, row.flow.server.ip())),
    ("id.resp_p", "port", |row, out| shown(out, row.flow.server.port())),
    ("proto", "enum", |row, out| text(out, row.flow.transport)),
    ("community_id", "string", |row, out| text(out, &row.flow.community_id)),
    ("row", "string", |row, out| text(out, row.kind.as_str())),
    ("confidence", "string", |row, out| text(out, row.confidence.as_str())),
    ("severity", "string", |row, out| text(out, row.severity.as_str())),
    ("governance", "string", |row, out| text(out, row.governance.as_str())),
    ("findings", "set[string]", |row, out| set(out, &row.signatures)),
    ("note", "string", |row, out| text(out, &row.title)),
    ("transport", "string", |row, out| {
        optional(out, row.mcp.transport.map(|transport| transport.as_str()))
    }),
    ("host", "string", |row, out| {
        optional(out, row.http.host.as_deref().or(row.tls.sni.as_deref()))
    }),
    ("uri", "string", |row, out| optional(out, row.http.path.as_deref())),
    ("protocol_version", "string", |row, out| optional(out, row.mcp.protocol_version.as_deref())),
    ("rpc_id", "string", |row, out| optional(out, row.mcp.jsonrpc_id.as_deref())),
    ("kind", "string", |row, out| optional(out, row.mcp.message_kind.map(|kind| kind.as_str()))),
    ("method", "string", |row, out| optional(out, row.mcp.method.as_deref())),
    ("name", "string", |row, out| optional(out, row.mcp.name.as_deref())),
    ("error_code", "int", |row, out| match row.mcp.error_code {
        Some(code) => shown(out, code),
        None => out.push_str(UNSET),
    }),
    ("tools", "set[string]", |row, out| set(out, &row.mcp.tools)),
    ("client_name", "string", |row, out| optional(out, row.mcp.client_name.as_deref())),
    ("client_version", "string", |row, out| optional(out, row.mcp.client_version.as_deref())),
    ("server_name", "string", |row, out| optional(out, row.mcp.server_name.as_deref())),
    ("server_version", "string", |row, out| optional(out, row.mcp.server_version.as_deref())),
    ("session", "string", |row, out| optional(out, row.mcp.session_id.as_deref())),
    ("auth", "string", |row, out| optional(out, row.identity.auth.map(|auth| auth.as_str()))),
    ("username", "string", |row, out| optional(out, row.identity.user.as_deref())),
    ("orig_bytes", "count", |row, out| shown(out, row.bytes_to_server)),
    ("resp_bytes", "count", |row, out| shown(out, row.bytes_to_client)),
    ("packets", "count", |row, out| shown(out, row.packets)),
    ("duration", "interval", |row, out| {
        seconds(out, i64::try_from(row.end_time.since(row.time).as_nanos()).unwrap_or(i64::MAX));
    }),
    ("ongoing", "bool", |row, out| match row.ongoing {
        Some(true) => out.push('T'),
        Some(false) => out.push('F'),
        None => out.push_str(UNSET),
    }),
];

const UNSET: &str = "-";
const EMPTY: &str = "(empty)";

impl Layout for Zeek {
    fn header(&self) -> String {
        let mut header = String::from(
            "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tmcp\n",
        );
        header.push_str("#fields");
        for (name, _, _) in FIELDS {
            header.push('\t');
            header.push_str(name);
        }
        header.push_str("\n#types");
        for (_, kind, _) in FIELDS {
            header.push('\t');
            header.push_str(kind);
        }
        header.push('\n');
        header
    }

    fn append(&self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        let mut line = String::new();
        for (index, (_, _, write)) in FIELDS.iter().enumerate() {
            if index > 0 {
                line.push('\t');
            }
            write(row, &mut line);
        }
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
        Ok(())
    }
}

/// Nanoseconds as seconds with six decimals, cut off, as Zeek has them.
fn seconds(out: &mut String, nanos: i64) {
    let micros = Timestamp::from_nanos(nanos).as_nanos().div_euclid(1_000);
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    shown(out, format_args!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000));
}

fn shown(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

fn optional(out: &mut String, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => out.push_str(UNSET),
    }
}

fn text(out: &mut String, value: &str) {
    match value {
        "" => out.push_str(EMPTY),
        // A text that looks like a mark is none.
        UNSET => out.push_str("\\x2d"),
        EMPTY => out.push_str("\\x28empty)"),
        value => escape(out, value, |c| c == '\\'),
    }
}

fn set(out: &mut String, values: &[String]) {
    if values.is_empty() {
        out.push_str(EMPTY);
    }
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match value.as_str() {
            UNSET => out.push_str("\\x2d"),
            value => escape(out, value, |c| matches!(c, '\\' | ',')),
        }
    }
}

/// Appends `value` with the bytes of unprintable characters, and of those that
/// `also` names, as `\xNN`.
fn escape(out: &mut String, value: &str, also: fn(char) -> bool) {
    for c in value.chars() {
        if is_unprintable(c) || also(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                shown(out, format_args!("\\x{byte:02x}"));
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::findings::samples;

    /// Reads the log by its own header, as Zeek's tools do.
    fn parsed(rows: &[Row]) -> Vec<HashMap<String, String>> {
        let mut bytes = Zeek.header().into_bytes();
        for row in rows {
            Zeek.append(row, &mut bytes).unwrap();
        }
        let log = String::from_utf8(bytes).unwrap();
        let fields: Vec<_> = log
            .lines()
            .find_map(|line| line.strip_prefix("#fields\t"))
            .unwrap()
            .split('\t')
            .map(str::to_owned)
            .collect();
        log.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let values: Vec<_> = line.split('\t').map(str::to_owned).collect();
                assert_eq!(values.len(), fields.len(), "{line}");
                fields.iter().cloned().zip(values).collect()
            })
            .collect()
    }

    #[test]
    fn a_conversation() {
        let row = &parsed(&[samples::conversation()])[0];
        for (field, value) in [
            ("ts", "1785232800.000000"),
            ("uid", "c-1"),
            ("id.resp_h", "203.0.113.7"),
            ("id.resp_p", "443"),
            ("row", "conversation"),
            ("transport", "streamable_http"),
            ("tools", "fetch,search"),
            ("method", "-"),
            ("duration", "331.000000"),
            ("findings", "mcp.initialize,mcp.path"),
        ] {
            assert_eq!(row[field], value, "{field}");
        }
    }

    #[test]
    fn absent_empty_and_hostile_values() {
        let rows = parsed(&[samples::bare(), samples::threat()]);
        assert_eq!(rows[0]["host"], "-");
        assert_eq!(rows[0]["findings"], "(empty)");
        assert_eq!(rows[1]["uri"], "(empty)");
        let name = &rows[1]["name"];
        assert!(name.contains("\\x1b[31m\\x0d\\x0a\\x09\"quoted\""), "{name}");
        assert!(name.contains("\\xe2\\x80\\xaegpj"), "{name}");
        assert!(name.contains("\\x5c \\x7f\\x00end 日本"), "{name}");
    }

    #[test]
    fn marks_are_told_from_texts() {
        let mut out = String::new();
        text(&mut out, "-");
        out.push(' ');
        text(&mut out, "(empty)");
        out.push(' ');
        set(&mut out, &["a,b".to_owned(), "-".to_owned()]);
        assert_eq!(out, "\\x2d \\x28empty) a\\x2cb,\\x2d");
    }

    #[test]
    fn times_before_the_epoch() {
        let mut out = String::new();
        seconds(&mut out, -1_500_000_000);
        assert_eq!(out, "-1.500000");
    }
}
