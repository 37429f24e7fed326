//! The findings schema: [`COLUMNS`] as an Arrow schema, and printed for
//! programs (Arrow, JSON) and people (Markdown).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::json;

use super::column::{COLUMNS, Column, ColumnType, groups};

/// Version of the schema. Columns may be added within a version; what stands
/// keeps its name, type and meaning.
pub const SCHEMA_VERSION: &str = "1";

/// Key in the Arrow schema's metadata (and Parquet's) that holds
/// [`SCHEMA_VERSION`].
pub const SCHEMA_KEY: &str = "mcpwatch.schema";

/// Key in a field's metadata that holds the meaning of the column.
const MEANING_KEY: &str = "description";

/// The Arrow schema of findings.
pub fn arrow_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields: Vec<Field> = groups()
            .flat_map(|(group, columns)| match group {
                Some(name) => vec![Field::new(
                    name,
                    DataType::Struct(columns.iter().map(field).collect()),
                    false,
                )],
                None => columns.iter().map(field).collect(),
            })
            .collect();
        let version = HashMap::from([(SCHEMA_KEY.to_owned(), SCHEMA_VERSION.to_owned())]);
        Arc::new(Schema::new(fields).with_metadata(version))
    });
    Arc::clone(&SCHEMA)
}

/// The schema as an Arrow IPC stream without batches.
pub fn to_ipc() -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &arrow_schema())?;
    writer.finish()?;
    writer.into_inner()
}

/// The schema as JSON, for programs that do not read Arrow.
pub fn to_json() -> String {
    let columns: Vec<_> = COLUMNS
        .iter()
        .map(|column| {
            let mut entry = json!({
                "name": column.name,
                "type": column.kind.as_str(),
                "nullable": column.nullable,
                "meaning": column.meaning,
            });
            if let (ColumnType::Dict(values @ [_, ..]), Some(entry)) =
                (column.kind, entry.as_object_mut())
            {
                entry.insert("values".to_owned(), json!(values));
            }
            entry
        })
        .collect();
    let schema = json!({ SCHEMA_KEY: SCHEMA_VERSION, "columns": columns });
    format!("{schema:#}\n")
}

/// The columns as a Markdown table.
pub fn to_markdown() -> String {
    let mut table = String::from("| column | type | absent | meaning |\n|---|---|---|---|\n");
    for column in COLUMNS {
        let absent = if column.nullable { "yes" } else { "" };
        let mut meaning = column.meaning.to_owned();
        if let ColumnType::Dict([first, rest @ ..]) = column.kind {
            let _ = write!(meaning, " One of `{first}`");
            for value in rest {
                let _ = write!(meaning, ", `{value}`");
            }
            meaning.push('.');
        }
        let _ = writeln!(
            table,
            "| `{}` | {} | {absent} | {meaning} |",
            column.name,
            markdown_type(column.kind)
        );
    }
    table
}

fn markdown_type(kind: ColumnType) -> String {
    // Angle brackets would read as HTML.
    match kind.as_str() {
        name if name.contains('<') => format!("`{name}`"),
        name => name.to_owned(),
    }
}

fn field(column: &Column) -> Field {
    let (_, name) = column.path();
    Field::new(name, data_type(column.kind), column.nullable)
        .with_metadata(HashMap::from([(MEANING_KEY.to_owned(), column.meaning.to_owned())]))
}

fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Dict(_) => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        ColumnType::Text => DataType::Utf8,
        ColumnType::Texts => DataType::List(Arc::new(text_item())),
        ColumnType::Methods => DataType::List(Arc::new(method_item())),
        ColumnType::Bool => DataType::Boolean,
        ColumnType::U16 => DataType::UInt16,
        ColumnType::U64 => DataType::UInt64,
        ColumnType::I64 => DataType::Int64,
        ColumnType::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some(TIME_ZONE.into())),
    }
}

/// Time zone of the timestamp columns.
pub(crate) const TIME_ZONE: &str = "UTC";

/// Element of a list of texts.
pub(crate) fn text_item() -> Field {
    Field::new("item", DataType::Utf8, false)
}

/// Element of `mcp.methods`.
pub(crate) fn method_item() -> Field {
    Field::new("item", DataType::Struct(method_fields()), false)
}

/// Fields of an element of `mcp.methods`.
pub(crate) fn method_fields() -> Fields {
    Fields::from(vec![
        Field::new("method", DataType::Utf8, false),
        Field::new("requests", DataType::UInt64, false),
        Field::new("responses", DataType::UInt64, false),
        Field::new("errors", DataType::UInt64, false),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow_ipc::reader::StreamReader;

    use super::*;

    #[test]
    fn the_contract_stands() {
        // Name and type of every column of schema version 1. Entries may be added, never changed.
        let contract = [
            "kind dict",
            "id utf8",
            "time timestamp[ns, UTC]",
            "end_time timestamp[ns, UTC]",
            "confidence dict",
            "severity dict",
            "title utf8",
            "signatures list<utf8>",
            "governance dict",
            "evidence utf8",
            "capture.source dict",
            "capture.sensor dict",
            "capture.packet u64",
            "flow.client_ip utf8",
            "flow.client_port u16",
            "flow.server_ip utf8",
            "flow.server_port u16",
            "flow.transport dict",
            "flow.community_id utf8",
            "flow.server_name utf8",
            "flow.tunnel utf8",
            "tls.sni utf8",
            "tls.version utf8",
            "tls.alpn utf8",
            "tls.ja4 utf8",
            "tls.decrypted bool",
            "http.version dict",
            "http.method dict",
            "http.scheme dict",
            "http.host utf8",
            "http.path utf8",
            "http.status u16",
            "http.user_agent utf8",
            "mcp.transport dict",
            "mcp.protocol_version utf8",
            "mcp.session_id utf8",
            "mcp.method utf8",
            "mcp.message_kind dict",
            "mcp.direction dict",
            "mcp.jsonrpc_id utf8",
            "mcp.name utf8",
            "mcp.error_code i64",
            "mcp.client_name utf8",
            "mcp.client_version utf8",
            "mcp.server_name utf8",
            "mcp.server_version utf8",
            "mcp.methods list<struct<method, requests, responses, errors>>",
            "mcp.tools list<utf8>",
            "identity.auth dict",
            "identity.user utf8",
            "identity.source utf8",
            "bytes_to_server u64",
            "bytes_to_client u64",
            "packets u64",
            "ongoing bool",
        ];
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|column| format!("{} {}", column.name, column.kind.as_str()))
            .collect();
        assert_eq!(columns, contract);
    }

    #[test]
    fn names_are_unique_and_structs_stand_together() {
        let names: BTreeSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), COLUMNS.len());
        let structs: Vec<_> = groups().filter_map(|(group, _)| group).collect();
        assert_eq!(structs, ["capture", "flow", "tls", "http", "mcp", "identity"]);
    }

    #[test]
    fn arrow_form_carries_schema_version_and_meanings() {
        let bytes = to_ipc().unwrap();
        let mut reader = StreamReader::try_new(bytes.as_slice(), None).unwrap();
        let schema = reader.schema();
        assert_eq!(schema, arrow_schema());
        assert_eq!(schema.metadata().get(SCHEMA_KEY).map(|v| v.as_ref()), Some("1"));
        let time = schema.field_with_name("time").unwrap();
        assert_eq!(
            time.data_type(),
            &DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
        );
        assert!(time.metadata().contains_key(MEANING_KEY));
        assert!(reader.next().is_none());
    }

    #[test]
    fn json_form_lists_columns_and_closed_values() {
        let schema: serde_json::Value = serde_json::from_str(&to_json()).unwrap();
        assert_eq!(schema[SCHEMA_KEY], "1");
        let columns = schema["columns"].as_array().unwrap();
        assert_eq!(columns.len(), COLUMNS.len());
        assert_eq!(
            columns[4],
            json!({
                "name": "confidence",
                "type": "dict",
                "nullable": false,
                "meaning": "How sure it is that this is MCP.",
                "values": ["possible", "likely", "confirmed"],
            })
        );
        assert!(
            columns
                .iter()
                .all(|column| column["name"] != "http.method" || column.get("values").is_none())
        );
    }

    #[test]
    fn the_documentation_holds_the_table() {
        let guide = include_str!("../../docs/findings.md");
        let table = guide
            .split_once("<!-- columns: begin -->\n")
            .and_then(|(_, rest)| rest.split_once("<!-- columns: end -->"))
            .map(|(table, _)| table.trim());
        assert_eq!(
            table,
            Some(to_markdown().trim()),
            "docs/findings.md is out of date: replace its table with `mcpwatch schema --format md`"
        );
    }
}
