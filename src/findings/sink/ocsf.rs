//! OCSF 1.9: every row a Detection Finding (class 2004).
//!
//! What the class has no attribute for (governance, the MCP columns beyond
//! method and client, counts) stands under `unmapped`, as it is in JSON Lines.

use std::io;

use serde_json::{Map, Value, json};

use super::lines::Layout;
use crate::findings::json::{JsonRow, append_line};
use crate::findings::row::{Confidence, Row, Severity};
use crate::time::Timestamp;

const VERSION: &str = "1.9.0";
const CATEGORY: u32 = 2;
const CLASS: u32 = 2004;
const ACTIVITY_CREATE: u32 = 1;
const ANALYTIC_RULE: u32 = 1;
const JA4_CLIENT: u32 = 1;

#[derive(Debug)]
pub(super) struct Ocsf;

impl Layout for Ocsf {
    fn append(&self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        append_line(out, &event(row)?)
    }
}

fn event(row: &Row) -> serde_json::Result<Value> {
    let (severity_id, severity) = severity(row.severity);
    let (confidence_id, confidence) = confidence(row.confidence);
    let mut event = json!({
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + ACTIVITY_CREATE,
        "type_name": "Detection Finding: Create",
        "activity_id": ACTIVITY_CREATE,
        "activity_name": "Create",
        "time": millis(row.time),
        "start_time": millis(row.time),
        "end_time": millis(row.end_time),
        "severity_id": severity_id,
        "severity": severity,
        "confidence_id": confidence_id,
        "confidence": confidence,
        "status_id": 1,
        "status": "New",
        "message": row.title,
        "metadata": {
            "version": VERSION,
            "uid": row.id,
            "product": {
                "name": "mcpwatch",
                "vendor_name": "mcpwatch",
                "version": env!("CARGO_PKG_VERSION"),
            },
        },
        "finding_info": finding(row),
        "evidences": [evidence(row)],
        "unmapped": unmapped(row)?,
    });
    if let (Some(sensor), Some(metadata)) = (&row.capture.sensor, event["metadata"].as_object_mut())
    {
        metadata.insert("log_provider".to_owned(), sensor.as_str().into());
    }
    Ok(event)
}

fn finding(row: &Row) -> Value {
    let mut finding = json!({
        "uid": row.id,
        "title": row.title,
        "first_seen_time": millis(row.time),
        "last_seen_time": millis(row.end_time),
        "types": [row.kind],
    });
    if let [first, rest @ ..] = row.signatures.as_slice() {
        finding["analytic"] = analytic(first);
        if !rest.is_empty() {
            finding["related_analytics"] = rest.iter().map(|id| analytic(id)).collect();
        }
    }
    finding
}

fn analytic(id: &str) -> Value {
    json!({ "uid": id, "name": id, "type_id": ANALYTIC_RULE, "type": "Rule" })
}

fn evidence(row: &Row) -> Value {
    let flow = &row.flow;
    let mut evidence = json!({
        "src_endpoint": { "ip": flow.client.ip(), "port": flow.client.port() },
        "dst_endpoint": { "ip": flow.server.ip(), "port": flow.server.port() },
        "connection_info": {
            "protocol_name": flow.transport,
            "protocol_num": if flow.transport == "udp" { 17 } else { 6 },
            "direction_id": 0,
            "community_uid": flow.community_id,
        },
    });
    if let Some(host) = row.host() {
        evidence["dst_endpoint"]["hostname"] = host.into();
    }
    if let Some(method) = &row.mcp.method {
        evidence["api"] = json!({ "operation": method, "service": { "name": "MCP" } });
    }
    if let Some(request) = http_request(row) {
        evidence["http_request"] = request;
    }
    if let Some(status) = row.http.status {
        evidence["http_response"] = json!({ "code": status });
    }
    // The object must have a version.
    if let Some(version) = &row.tls.version {
        let mut tls = json!({ "version": version });
        if let Some(sni) = &row.tls.sni {
            tls["sni"] = sni.as_str().into();
        }
        evidence["tls"] = tls;
    }
    if let Some(ja4) = &row.tls.ja4 {
        evidence["ja4_fingerprint_list"] =
            json!([{ "type_id": JA4_CLIENT, "type": "JA4", "value": ja4 }]);
    }
    if let Some(name) = &row.mcp.client_name {
        evidence["ai_agent"] = agent(row, name);
    }
    if let Some(user) = &row.identity.user {
        evidence["user"] = json!({ "name": user });
    }
    if let Some(excerpt) = &row.evidence {
        evidence["data"] = json!({ "excerpt": excerpt });
    }
    evidence
}

/// The identity of an agent is what was seen of it: its name and address.
fn agent(row: &Row, name: &str) -> Value {
    let mut agent = json!({ "uid": format!("{name}@{}", row.flow.client.ip()), "name": name });
    if let Some(version) = &row.mcp.client_version {
        agent["version"] = version.as_str().into();
    }
    if let Some(session) = &row.mcp.session_id {
        agent["instance_uid"] = session.as_str().into();
    }
    agent
}

fn http_request(row: &Row) -> Option<Value> {
    let http = &row.http;
    let mut request = Map::new();
    let mut url = Map::new();
    insert(&mut request, "http_method", http.method.as_deref());
    insert(&mut request, "version", http.version);
    insert(&mut request, "user_agent", http.user_agent.as_deref());
    insert(&mut url, "hostname", row.host());
    insert(&mut url, "path", http.path.as_deref());
    insert(&mut url, "scheme", http.scheme.as_deref());
    if !url.is_empty() {
        request.insert("url".to_owned(), url.into());
    }
    (!request.is_empty()).then(|| request.into())
}

fn insert(object: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.into());
    }
}

/// What no attribute of the class holds.
fn unmapped(row: &Row) -> serde_json::Result<Value> {
    let mut all = serde_json::to_value(JsonRow(row))?;
    let Some(columns) = all.as_object_mut() else { return Ok(all) };
    columns.retain(|name, _| {
        matches!(
            name.as_str(),
            "kind"
                | "governance"
                | "capture"
                | "mcp"
                | "identity"
                | "packets"
                | "ongoing"
                | "bytes_to_server"
                | "bytes_to_client"
        )
    });
    Ok(all)
}

/// OCSF counts milliseconds.
fn millis(time: Timestamp) -> i64 {
    time.as_nanos().div_euclid(1_000_000)
}

fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

fn confidence(confidence: Confidence) -> (u8, &'static str) {
    match confidence {
        Confidence::Possible => (1, "Low"),
        Confidence::Likely => (2, "Medium"),
        Confidence::Confirmed => (3, "High"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::samples;

    #[test]
    fn required_attributes_are_there() {
        for row in samples::rows() {
            let event = event(&row).unwrap();
            for pointer in [
                "/category_uid",
                "/class_uid",
                "/type_uid",
                "/activity_id",
                "/severity_id",
                "/time",
                "/metadata/version",
                "/metadata/product/name",
                "/finding_info/uid",
                "/evidences/0/src_endpoint/ip",
                "/evidences/0/connection_info/direction_id",
            ] {
                assert!(event.pointer(pointer).is_some(), "{pointer} of {}", row.id);
            }
        }
    }

    #[test]
    fn a_threat() {
        let event = event(&samples::threat()).unwrap();
        assert_eq!(event["type_uid"], 200_401);
        assert_eq!(event["time"], 1_785_232_800_000_i64);
        assert_eq!(event["severity_id"], 4);
        assert_eq!(event["confidence_id"], 3);
        assert_eq!(event["finding_info"]["analytic"]["uid"], "threat.hidden-instructions");
        let evidence = &event["evidences"][0];
        assert_eq!(evidence["dst_endpoint"]["hostname"], "mcp.example.com");
        assert_eq!(evidence["api"]["operation"], "initialize");
        assert_eq!(evidence["ai_agent"]["uid"], "claude-code@192.0.2.10");
        assert_eq!(evidence["ja4_fingerprint_list"][0]["type_id"], 1);
        assert_eq!(event["unmapped"]["governance"], "shadow");
        assert_eq!(event["unmapped"]["mcp"]["name"], samples::HOSTILE);
        assert!(event["unmapped"].get("flow").is_none());
    }
}
