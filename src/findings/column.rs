//! The columns of findings: the one table from which come the Arrow schema, its
//! printed forms, and what every sink writes and every reader reads.
//!
//! A column knows its name, type and meaning, how to take its value out of a
//! [`Row`] and how to put it back. A new column is one entry in [`COLUMNS`].

use std::borrow::Cow;
use std::net::IpAddr;

use super::row::{
    Auth, Confidence, Governance, Kind, McpTransport, MessageDirection, MessageKind, MethodCount,
    Row, Severity,
};
use crate::time::Timestamp;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Dotted name; what stands before the dot is the struct it lies in.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnType,
    /// Whether it can be absent.
    pub nullable: bool,
    /// What it means, one sentence.
    pub meaning: &'static str,
    pub(crate) get: for<'a> fn(&'a Row) -> Value<'a>,
    pub(crate) set: fn(&mut Row, Value<'_>) -> Result<(), Mismatch>,
}

impl Column {
    /// The struct the column lies in, if any, and its name in there.
    pub(crate) fn path(&self) -> (Option<&'static str>, &'static str) {
        match self.name.split_once('.') {
            Some((group, leaf)) => (Some(group), leaf),
            None => (None, self.name),
        }
    }
}

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Dictionary-encoded text; lists the values where they are a closed set.
    Dict(&'static [&'static str]),
    /// Text.
    Text,
    /// List of texts.
    Texts,
    /// List of message counts by method.
    Methods,
    /// Boolean.
    Bool,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// Nanoseconds since the Unix epoch, UTC.
    Time,
}

impl ColumnType {
    /// Name of the type, as the documentation writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dict(_) => "dict",
            Self::Text => "utf8",
            Self::Texts => "list<utf8>",
            Self::Methods => "list<struct<method, requests, responses, errors>>",
            Self::Bool => "bool",
            Self::U16 => "u16",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::Time => "timestamp[ns, UTC]",
        }
    }
}

/// One value of one column of one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Time(Timestamp),
    Text(Cow<'a, str>),
    Texts(Cow<'a, [String]>),
    Methods(Cow<'a, [MethodCount]>),
}

/// A value that its column cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch;

/// Columns grouped as they nest: a struct's columns together, every other
/// column alone.
pub(crate) fn groups() -> impl Iterator<Item = (Option<&'static str>, &'static [Column])> {
    COLUMNS
        .chunk_by(|a, b| a.path().0.is_some() && a.path().0 == b.path().0)
        .map(|columns| (columns.first().and_then(|column| column.path().0), columns))
}

macro_rules! column {
    ($name:literal, $kind:expr, $presence:ident, $meaning:literal, $($field:ident).+) => {
        column!($name, $kind, $presence, $meaning, get: |row| row.$($field).+.value(),
            set: |row, value| row.$($field).+.assign(value))
    };
    ($name:literal, $kind:expr, $presence:ident, $meaning:literal, get: $get:expr, set: $set:expr) => {
        Column {
            name: $name,
            kind: $kind,
            nullable: $presence,
            meaning: $meaning,
            get: $get,
            set: $set,
        }
    };
}

const PRESENT: bool = false;
const OPTIONAL: bool = true;

use ColumnType::{Bool, Dict, I64, Methods, Text, Texts, Time, U16, U64};

/// Every column, in the order of the schema. Columns of one struct stand
/// together.
#[rustfmt::skip]
pub static COLUMNS: &[Column] = &[
    column!("kind", Dict(Kind::NAMES), PRESENT,
        "What the row speaks of: a flow or conversation that first reached this confidence, a conversation that ended, one JSON-RPC message (with `--messages`), or a threat rule that fired.",
        kind),
    column!("id", Text, PRESENT,
        "Identifies the row; stable over replays of the same bytes with the same signatures.", id),
    column!("time", Time, PRESENT, "First packet that the row speaks of.", time),
    column!("end_time", Time, PRESENT, "Last packet that the row speaks of.", end_time),
    column!("confidence", Dict(Confidence::NAMES), PRESENT,
        "How sure it is that this is MCP.", confidence),
    column!("severity", Dict(Severity::NAMES), PRESENT, "How much it matters.", severity),
    column!("title", Text, PRESENT, "One line for a person.", title),
    column!("signatures", Texts, PRESENT,
        "Ids of the signatures (or threat rules) that fired.", signatures),
    column!("governance", Dict(Governance::NAMES), PRESENT,
        "Governance class of the server; `unreviewed` where no policy was given.", governance),
    column!("evidence", Text, OPTIONAL,
        "Short excerpt of what was seen: control characters escaped, secrets redacted.", evidence),

    column!("capture.source", Dict(&[]), OPTIONAL, "File or interface.", capture.source),
    column!("capture.sensor", Dict(&[]), OPTIONAL, "Name of the sensor.", capture.sensor),
    column!("capture.packet", U64, OPTIONAL,
        "Number of the packet in the capture, as Wireshark counts (from 1).", capture.packet),

    column!("flow.client_ip", Text, PRESENT, "Address of the side that opened the flow.",
        get: |row| ip(row.flow.client.ip()),
        set: |row, value| { row.flow.client.set_ip(parse_ip(&value)?); Ok(()) }),
    column!("flow.client_port", U16, PRESENT, "Port of that side.",
        get: |row| Value::Unsigned(row.flow.client.port().into()),
        set: |row, value| { row.flow.client.set_port(unsigned(&value)?); Ok(()) }),
    column!("flow.server_ip", Text, PRESENT, "Address of the side that was asked.",
        get: |row| ip(row.flow.server.ip()),
        set: |row, value| { row.flow.server.set_ip(parse_ip(&value)?); Ok(()) }),
    column!("flow.server_port", U16, PRESENT, "Port of that side.",
        get: |row| Value::Unsigned(row.flow.server.port().into()),
        set: |row, value| { row.flow.server.set_port(unsigned(&value)?); Ok(()) }),
    column!("flow.transport", Dict(TRANSPORTS), PRESENT, "Transport protocol.",
        get: |row| Value::Text(row.flow.transport.into()),
        set: |row, value| { row.flow.transport = one_of(TRANSPORTS, &value)?; Ok(()) }),
    column!("flow.community_id", Text, PRESENT,
        "Community ID version 1, seed 0: joins with Zeek, Suricata and Arkime.",
        flow.community_id),
    column!("flow.server_name", Text, OPTIONAL,
        "Name of the server, as the client had learnt it from DNS; in rows of a look-up, the name that was looked up.", flow.server_name),
    column!("flow.tunnel", Text, OPTIONAL,
        "Encapsulations around the flow, outermost first, e.g. `vlan/gre`.", flow.tunnel),

    column!("tls.sni", Text, OPTIONAL, "Server name indication.", tls.sni),
    column!("tls.version", Text, OPTIONAL, "Version negotiated, e.g. `1.3`.", tls.version),
    column!("tls.alpn", Text, OPTIONAL,
        "Application protocol negotiated (offered, where the answer is hidden).", tls.alpn),
    column!("tls.ja4", Text, OPTIONAL, "JA4 fingerprint of the client.", tls.ja4),
    column!("tls.decrypted", Bool, OPTIONAL,
        "Whether the content was decrypted; absent where there was no TLS.", tls.decrypted),

    column!("http.version", Dict(HTTP_VERSIONS), OPTIONAL, "HTTP version.",
        get: |row| row.http.version.map_or(Value::Null, |version| Value::Text(version.into())),
        set: |row, value| { row.http.version = Some(one_of(HTTP_VERSIONS, &value)?); Ok(()) }),
    column!("http.method", Dict(&[]), OPTIONAL, "Request method.", http.method),
    column!("http.scheme", Dict(&[]), OPTIONAL, "`http` or `https`.", http.scheme),
    column!("http.host", Text, OPTIONAL,
        "Host, with the port where it was sent, in lower case.", http.host),
    column!("http.path", Text, OPTIONAL,
        "Path, percent-decoded, without dot segments and without query.", http.path),
    column!("http.status", U16, OPTIONAL, "Response status.", http.status),
    column!("http.user_agent", Text, OPTIONAL, "`User-Agent` of the request.", http.user_agent),

    column!("mcp.transport", Dict(McpTransport::NAMES), OPTIONAL,
        "How MCP is carried.", mcp.transport),
    column!("mcp.protocol_version", Text, OPTIONAL,
        "Revision negotiated, else the one asked for.", mcp.protocol_version),
    column!("mcp.session_id", Text, OPTIONAL,
        "Session id, hashed unless `--show-secrets` is given.", mcp.session_id),
    column!("mcp.method", Text, OPTIONAL,
        "JSON-RPC method; in the row of a response, that of its request.", mcp.method),
    column!("mcp.message_kind", Dict(MessageKind::NAMES), OPTIONAL,
        "Kind of JSON-RPC message.", mcp.message_kind),
    column!("mcp.direction", Dict(MessageDirection::NAMES), OPTIONAL,
        "Which way the message went.", mcp.direction),
    column!("mcp.jsonrpc_id", Text, OPTIONAL, "JSON-RPC id as written.", mcp.jsonrpc_id),
    column!("mcp.name", Text, OPTIONAL,
        "Tool, prompt or resource; in the row of a response, that of its request.", mcp.name),
    column!("mcp.error_code", I64, OPTIONAL, "JSON-RPC error code.", mcp.error_code),
    column!("mcp.client_name", Text, OPTIONAL, "What the client calls itself.", mcp.client_name),
    column!("mcp.client_version", Text, OPTIONAL,
        "Version the client claims.", mcp.client_version),
    column!("mcp.server_name", Text, OPTIONAL, "What the server calls itself.", mcp.server_name),
    column!("mcp.server_version", Text, OPTIONAL,
        "Version the server claims.", mcp.server_version),
    column!("mcp.methods", Methods, OPTIONAL,
        "Messages by method: requests (or notifications), results and errors. `conversation` rows only.",
        get: |row| in_conversation(row, &row.mcp.methods, Value::Methods),
        set: |row, value| row.mcp.methods.assign(value)),
    column!("mcp.tools", Texts, OPTIONAL,
        "Tools called, sorted. `conversation` rows only.",
        get: |row| in_conversation(row, &row.mcp.tools, Value::Texts),
        set: |row, value| row.mcp.tools.assign(value)),

    column!("identity.auth", Dict(Auth::NAMES), OPTIONAL,
        "How the client authenticated; `none` where it did not, as far as was seen.",
        identity.auth),
    column!("identity.user", Text, OPTIONAL, "On whose behalf.", identity.user),
    column!("identity.source", Text, OPTIONAL, "How that is known.", identity.source),

    column!("bytes_to_server", U64, PRESENT,
        "Payload bytes from client to server.", bytes_to_server),
    column!("bytes_to_client", U64, PRESENT,
        "Payload bytes from server to client.", bytes_to_client),
    column!("packets", U64, PRESENT, "Packets.", packets),
    column!("ongoing", Bool, OPTIONAL,
        "`true` in a `conversation` row of a conversation that goes on: a later row with the same `id` replaces it.",
        ongoing),
];

const TRANSPORTS: &[&str] = &["tcp", "udp"];
const HTTP_VERSIONS: &[&str] = &["0.9", "1.0", "1.1", "2", "3"];

/// A list of a conversation: absent in rows of other kinds, where an empty list
/// would claim that there was nothing.
fn in_conversation<'a, T: Clone>(
    row: &Row,
    items: &'a [T],
    value: fn(Cow<'a, [T]>) -> Value<'a>,
) -> Value<'a> {
    if row.kind != Kind::Conversation && items.is_empty() {
        return Value::Null;
    }
    value(Cow::Borrowed(items))
}

fn ip(address: IpAddr) -> Value<'static> {
    Value::Text(Cow::Owned(address.to_string()))
}

fn parse_ip(value: &Value<'_>) -> Result<IpAddr, Mismatch> {
    text(value)?.parse().map_err(|_| Mismatch)
}

fn text<'a>(value: &'a Value<'_>) -> Result<&'a str, Mismatch> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(Mismatch),
    }
}

fn unsigned<T: TryFrom<u64>>(value: &Value<'_>) -> Result<T, Mismatch> {
    match value {
        Value::Unsigned(number) => T::try_from(*number).map_err(|_| Mismatch),
        _ => Err(Mismatch),
    }
}

fn one_of(names: &[&'static str], value: &Value<'_>) -> Result<&'static str, Mismatch> {
    let text = text(value)?;
    names.iter().copied().find(|name| *name == text).ok_or(Mismatch)
}

/// A field of a row that a column shows as it is.
trait Cell {
    fn value(&self) -> Value<'_>;
    fn assign(&mut self, value: Value<'_>) -> Result<(), Mismatch>;
}

impl<T: Cell + Default> Cell for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Cell::value)
    }

    fn assign(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        self.insert(T::default()).assign(value)
    }
}

impl Cell for String {
    fn value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }

    fn assign(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        let Value::Text(text) = value else { return Err(Mismatch) };
        *self = text.into_owned();
        Ok(())
    }
}

impl Cell for Vec<String> {
    fn value(&self) -> Value<'_> {
        Value::Texts(Cow::Borrowed(self))
    }

    fn assign(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        let Value::Texts(texts) = value else { return Err(Mismatch) };
        *self = texts.into_owned();
        Ok(())
    }
}

impl Cell for Vec<MethodCount> {
    fn value(&self) -> Value<'_> {
        Value::Methods(Cow::Borrowed(self))
    }

    fn assign(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        let Value::Methods(methods) = value else { return Err(Mismatch) };
        *self = methods.into_owned();
        Ok(())
    }
}

macro_rules! copied_cells {
    ($( $type:ty: $pattern:pat => $read:expr, $write:expr; )*) => { $(
        impl Cell for $type {
            fn value(&self) -> Value<'_> {
                let write: fn($type) -> Value<'static> = $write;
                write(*self)
            }

            fn assign(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
                let $pattern = value else { return Err(Mismatch) };
                *self = $read;
                Ok(())
            }
        }
    )* };
}

copied_cells! {
    bool: Value::Bool(it) => it, Value::Bool;
    u64: Value::Unsigned(it) => it, Value::Unsigned;
    u16: Value::Unsigned(it) => it.try_into().map_err(|_| Mismatch)?, |it| Value::Unsigned(it.into());
    i64: Value::Signed(it) => it, Value::Signed;
    Timestamp: Value::Time(it) => it, Value::Time;
}

macro_rules! named_cells {
    ($( $type:ty ),*) => { $(
        impl Cell for $type {
            fn value(&self) -> Value<'_> {
                Value::Text(Cow::Borrowed(self.as_str()))
            }

            fn assign(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
                *self = <$type>::parse(text(&value)?).ok_or(Mismatch)?;
                Ok(())
            }
        }
    )* };
}

named_cells!(Kind, Confidence, Severity, Governance);

macro_rules! optional_named_cells {
    ($( $type:ty ),*) => { $(
        impl Cell for Option<$type> {
            fn value(&self) -> Value<'_> {
                self.map_or(Value::Null, |it| Value::Text(Cow::Borrowed(it.as_str())))
            }

            fn assign(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
                *self = Some(<$type>::parse(text(&value)?).ok_or(Mismatch)?);
                Ok(())
            }
        }
    )* };
}

optional_named_cells!(McpTransport, MessageDirection, MessageKind, Auth);
