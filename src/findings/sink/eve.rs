//! Suricata's EVE JSON, as alerts.
//!
//! Suricata's own schema (`etc/schema.json`) forbids unknown members everywhere
//! but in `alert.metadata`, whose values are lists of texts; so what EVE has no
//! word for stands there, as `mcp_*`. EVE numbers its signatures: the number
//! here is a hash of the first signature's id, under a generator id of its own.

use std::io;

use serde_json::{Map, Value, json};

use super::lines::Layout;
use crate::findings::json::append_line;
use crate::findings::row::{Kind, Row, Severity};
use crate::time::Timestamp;

/// Generator id, so that no number collides with one of Suricata's rules.
const GENERATOR: u32 = 3_276;

#[derive(Debug)]
pub(super) struct Eve;

impl Layout for Eve {
    fn append(&self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        append_line(out, &event(row))
    }
}

fn event(row: &Row) -> Value {
    let mut event = json!({
        "timestamp": timestamp(row.time),
        "event_type": "alert",
        "src_ip": row.flow.client.ip(),
        "src_port": row.flow.client.port(),
        "dest_ip": row.flow.server.ip(),
        "dest_port": row.flow.server.port(),
        "proto": row.flow.transport.to_ascii_uppercase(),
        "community_id": row.flow.community_id,
        "alert": {
            "action": "allowed",
            "gid": GENERATOR,
            "signature_id": signature_id(row),
            "rev": 1,
            "signature": row.title,
            "category": category(row),
            "severity": severity(row.severity),
            "metadata": metadata(row),
        },
        "flow": {
            "bytes_toserver": row.bytes_to_server,
            "bytes_toclient": row.bytes_to_client,
            "start": timestamp(row.time),
        },
    });
    if let Some(event) = event.as_object_mut() {
        if let Some(packet) = row.capture.packet {
            event.insert("pcap_cnt".to_owned(), packet.into());
        }
        insert_object(event, "http", http(row));
        insert_object(event, "tls", tls(row));
    }
    event
}

fn http(row: &Row) -> Map<String, Value> {
    let http = &row.http;
    let mut object = Map::new();
    insert(&mut object, "hostname", http.host.as_deref());
    insert(&mut object, "url", http.path.as_deref());
    insert(&mut object, "http_user_agent", http.user_agent.as_deref());
    insert(&mut object, "http_method", http.method.as_deref());
    insert(&mut object, "protocol", http.version.map(|version| format!("HTTP/{version}")));
    insert(&mut object, "status", http.status);
    object
}

fn tls(row: &Row) -> Map<String, Value> {
    let mut object = Map::new();
    insert(&mut object, "sni", row.tls.sni.as_deref());
    insert(
        &mut object,
        "version",
        row.tls.version.as_ref().map(|version| format!("TLS {version}")),
    );
    insert(&mut object, "ja4", row.tls.ja4.as_deref());
    object
}

fn metadata(row: &Row) -> Map<String, Value> {
    let mut object = Map::new();
    let mut list = |name: &str, values: &[String]| {
        if !values.is_empty() {
            object.insert(format!("mcp_{name}"), values.into());
        }
    };
    let mut one = |name: &str, value: Option<&str>| {
        list(name, value.map(str::to_owned).as_slice());
    };
    let mcp = &row.mcp;
    one("id", Some(&row.id));
    one("row", Some(row.kind.as_str()));
    one("confidence", Some(row.confidence.as_str()));
    one("severity", Some(row.severity.as_str()));
    one("governance", Some(row.governance.as_str()));
    one("evidence", row.evidence.as_deref());
    one("capture", row.capture.source.as_deref());
    one("sensor", row.capture.sensor.as_deref());
    one("tunnel", row.flow.tunnel.as_deref());
    one("transport", mcp.transport.map(|transport| transport.as_str()));
    one("protocol_version", mcp.protocol_version.as_deref());
    one("session_id", mcp.session_id.as_deref());
    one("method", mcp.method.as_deref());
    one("message_kind", mcp.message_kind.map(|kind| kind.as_str()));
    one("jsonrpc_id", mcp.jsonrpc_id.as_deref());
    one("name", mcp.name.as_deref());
    one("error_code", mcp.error_code.map(|code| code.to_string()).as_deref());
    one("client_name", mcp.client_name.as_deref());
    one("client_version", mcp.client_version.as_deref());
    one("server_name", mcp.server_name.as_deref());
    one("server_version", mcp.server_version.as_deref());
    one("auth", row.identity.auth.map(|auth| auth.as_str()));
    one("user", row.identity.user.as_deref());
    one("ongoing", row.ongoing.map(|it| if it { "true" } else { "false" }));
    list("signatures", &row.signatures);
    list("tools", &mcp.tools);
    let methods: Vec<_> = mcp.methods.iter().map(|count| count.method.clone()).collect();
    list("methods", &methods);
    object
}

fn insert(object: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.into());
    }
}

fn insert_object(event: &mut Map<String, Value>, name: &str, object: Map<String, Value>) {
    if !object.is_empty() {
        event.insert(name.to_owned(), object.into());
    }
}

/// As Suricata writes times: microseconds, and a zone without a colon.
fn timestamp(time: Timestamp) -> String {
    let nanos = time.to_string();
    let micros = nanos.strip_suffix('Z').and_then(|time| time.get(..time.len().saturating_sub(3)));
    micros.map_or(nanos.clone(), |micros| format!("{micros}+0000"))
}

/// Suricata counts down: 1 is the worst.
fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Critical | Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Info => 4,
    }
}

fn category(row: &Row) -> &'static str {
    match row.kind {
        Kind::Threat => "MCP threat",
        Kind::Detection => "MCP detected",
        Kind::Conversation => "MCP conversation",
        Kind::Message => "MCP message",
    }
}

/// 31 bits of FNV-1a over the first signature's id (its kind, for a row without
/// one).
fn signature_id(row: &Row) -> u32 {
    let name = row.signatures.first().map_or(row.kind.as_str(), String::as_str);
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::samples;

    /// Members that Suricata's schema allows, of those used here.
    const ALLOWED: &[(&str, &[&str])] = &[
        (
            "",
            &[
                "timestamp",
                "event_type",
                "src_ip",
                "src_port",
                "dest_ip",
                "dest_port",
                "proto",
                "community_id",
                "pcap_cnt",
                "alert",
                "flow",
                "http",
                "tls",
            ],
        ),
        (
            "/alert",
            &[
                "action",
                "gid",
                "signature_id",
                "rev",
                "signature",
                "category",
                "severity",
                "metadata",
            ],
        ),
        ("/flow", &["bytes_toserver", "bytes_toclient", "start"]),
        ("/http", &["hostname", "url", "http_user_agent", "http_method", "protocol", "status"]),
        ("/tls", &["sni", "version", "ja4"]),
    ];

    #[test]
    fn only_members_that_suricata_knows() {
        for row in samples::rows() {
            let event = event(&row);
            for (pointer, allowed) in ALLOWED {
                let Some(object) = event.pointer(pointer) else { continue };
                for name in object.as_object().unwrap().keys() {
                    assert!(allowed.contains(&name.as_str()), "{pointer}/{name}");
                }
            }
            for (name, values) in event["alert"]["metadata"].as_object().unwrap() {
                assert!(name.starts_with("mcp_"));
                assert!(values.as_array().unwrap().iter().all(Value::is_string), "{name}");
            }
        }
    }

    #[test]
    fn a_message() {
        let event = event(&samples::message());
        assert_eq!(event["timestamp"], "2026-07-28T10:00:00.000000+0000");
        assert_eq!(event["proto"], "TCP");
        assert_eq!(event["alert"]["severity"], 2);
        assert_eq!(event["alert"]["metadata"]["mcp_method"], json!(["tools/call"]));
        assert_eq!(event["alert"]["metadata"]["mcp_error_code"], json!(["-32601"]));
        assert_eq!(event["tls"]["version"], "TLS 1.3");
        assert_eq!(event["http"]["protocol"], "HTTP/1.1");
    }

    #[test]
    fn signature_numbers_are_stable() {
        assert_eq!(signature_id(&samples::detection()), 1858491485);
        assert_eq!(signature_id(&samples::message()), 1858491485);
        assert_ne!(signature_id(&samples::threat()), 1858491485);
    }
}
