//! Elastic Common Schema 9: one document a row, for an index template with ECS
//! mappings. Fields that ECS does not have are `labels.mcp_*`, which it maps as
//! keywords.

use std::io;

use serde_json::{Map, Value, json};

use super::lines::Layout;
use crate::findings::json::append_line;
use crate::findings::row::{Kind, Row, Severity};

const VERSION: &str = "9.0.0";

#[derive(Debug)]
pub(super) struct Ecs;

impl Layout for Ecs {
    fn append(&self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        append_line(out, &document(row))
    }
}

fn document(row: &Row) -> Value {
    let mut document = Document::default();
    let flow = &row.flow;
    let mcp = &row.mcp;
    let text = |value: &Option<String>| value.as_deref().map(Value::from);

    document.put("@timestamp", row.time.to_string());
    document.put("message", &*row.title);
    document.put("ecs.version", VERSION);
    document.put("event.id", &*row.id);
    document.put("event.kind", if row.kind == Kind::Threat { "alert" } else { "event" });
    document.put("event.category", categories(row.kind));
    document.put("event.type", json!(["connection", "protocol", "info"]));
    document.put("event.module", "mcpwatch");
    document.put("event.dataset", "mcpwatch.findings");
    document.put("event.severity", severity(row.severity));
    document.put("event.start", row.time.to_string());
    document.put("event.end", row.end_time.to_string());
    document.put_if("event.action", text(&mcp.method));
    document.put("observer.type", "sensor");
    document.put("observer.product", "mcpwatch");
    document.put_if("observer.name", text(&row.capture.sensor));

    document.put("source.ip", flow.client.ip().to_string());
    document.put("source.port", flow.client.port());
    document.put("source.bytes", row.bytes_to_server);
    document.put("destination.ip", flow.server.ip().to_string());
    document.put("destination.port", flow.server.port());
    document.put("destination.bytes", row.bytes_to_client);
    document.put_if("destination.domain", row.host().map(Value::from));
    document.put("network.transport", flow.transport);
    document.put("network.protocol", "mcp");
    document.put("network.community_id", &*flow.community_id);
    document.put("network.bytes", row.bytes_to_server.saturating_add(row.bytes_to_client));
    document.put("network.packets", row.packets);
    document.put("related.ip", json!([flow.client.ip(), flow.server.ip()]));

    document.put_if("rule.id", row.signatures.first().map(|id| Value::from(id.as_str())));
    document.put("rule.category", row.kind.as_str());
    document.put_if("tls.client.server_name", text(&row.tls.sni));
    document.put_if("tls.version", text(&row.tls.version));
    document.put_if("tls.next_protocol", text(&row.tls.alpn));
    document.put_if("http.version", row.http.version.map(Value::from));
    document.put_if("http.request.method", text(&row.http.method));
    document.put_if("http.response.status_code", row.http.status.map(Value::from));
    document.put_if("url.domain", row.host().map(Value::from));
    document.put_if("url.path", text(&row.http.path));
    document.put_if("url.scheme", text(&row.http.scheme));
    document.put_if("user_agent.original", text(&row.http.user_agent));
    document.put_if("service.name", text(&mcp.server_name));
    document.put_if("service.version", text(&mcp.server_version));
    document.put_if("user.name", text(&row.identity.user));

    for (name, value) in labels(row) {
        document.label(name, value);
    }
    document.0.into()
}

fn labels(row: &Row) -> impl Iterator<Item = (&'static str, String)> {
    let mcp = &row.mcp;
    let code = mcp.error_code.map(|code| code.to_string());
    let packet = row.capture.packet.map(|packet| packet.to_string());
    let list = |items: &[String]| (!items.is_empty()).then(|| items.join(", "));
    [
        ("confidence", Some(row.confidence.to_string())),
        ("governance", Some(row.governance.to_string())),
        ("signatures", list(&row.signatures)),
        ("evidence", row.evidence.clone()),
        ("capture", row.capture.source.clone()),
        ("packet", packet),
        ("tunnel", row.flow.tunnel.clone()),
        ("ja4", row.tls.ja4.clone()),
        ("transport", mcp.transport.map(|transport| transport.to_string())),
        ("protocol_version", mcp.protocol_version.clone()),
        ("session_id", mcp.session_id.clone()),
        ("method", mcp.method.clone()),
        ("message_kind", mcp.message_kind.map(|kind| kind.to_string())),
        ("jsonrpc_id", mcp.jsonrpc_id.clone()),
        ("name", mcp.name.clone()),
        ("error_code", code),
        ("client_name", mcp.client_name.clone()),
        ("client_version", mcp.client_version.clone()),
        ("tools", list(&mcp.tools)),
        ("auth", row.identity.auth.map(|auth| auth.to_string())),
        ("user_source", row.identity.source.clone()),
        ("ongoing", row.ongoing.map(|ongoing| ongoing.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

fn categories(kind: Kind) -> Value {
    match kind {
        Kind::Threat => json!(["network", "intrusion_detection", "api"]),
        _ => json!(["network", "api"]),
    }
}

/// As Elastic's rules grade: 21 low, 47 medium, 73 high, 99 critical.
fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    }
}

/// A document that nests where its dotted names do.
#[derive(Default)]
struct Document(Map<String, Value>);

impl Document {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        let mut object = &mut self.0;
        let mut rest = name;
        while let Some((outer, inner)) = rest.split_once('.') {
            let entry = object.entry(outer).or_insert_with(|| Map::new().into());
            let Value::Object(inside) = entry else { return };
            (object, rest) = (inside, inner);
        }
        object.insert(rest.to_owned(), value.into());
    }

    fn put_if(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn label(&mut self, name: &str, value: String) {
        self.put(&format!("labels.mcp_{name}"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::samples;

    #[test]
    fn a_message() {
        let document = document(&samples::message());
        for (pointer, value) in [
            ("/@timestamp", json!("2026-07-28T10:00:00.000000001Z")),
            ("/event/kind", json!("event")),
            ("/event/action", json!("tools/call")),
            ("/source/ip", json!("192.0.2.10")),
            ("/destination/domain", json!("mcp.example.com")),
            ("/network/bytes", json!(1730)),
            ("/tls/client/server_name", json!("mcp.example.com")),
            ("/http/response/status_code", json!(200)),
            ("/labels/mcp_error_code", json!("-32601")),
            ("/labels/mcp_ja4", json!("t13d1516h2_8daaf6152771_e5627efa2ab1")),
        ] {
            assert_eq!(document.pointer(pointer), Some(&value), "{pointer}");
        }
    }

    #[test]
    fn labels_are_keywords() {
        for row in samples::rows() {
            let document = document(&row);
            let labels = document["labels"].as_object().unwrap();
            assert!(labels.values().all(Value::is_string));
        }
        assert_eq!(document(&samples::threat())["event"]["kind"], "alert");
    }
}
