//! The report as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::{Coverage, Report};
use crate::findings::json_line;

/// Writes the report to `out` as one line of JSON, the coverage as its member
/// `coverage`.
pub fn render(report: &Report, coverage: Option<&Coverage>, out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        #[serde(flatten)]
        report: &'a Report,
        #[serde(skip_serializing_if = "Option::is_none")]
        coverage: Option<&'a Coverage>,
    }
    out.write_all(&json_line(&Document { report, coverage })?)
}

#[cfg(test)]
mod tests {
    use super::super::{Inventory, samples};
    use super::*;

    #[test]
    fn an_office_for_programs() {
        let mut inventory = Inventory::default();
        samples::office().iter().for_each(|row| inventory.add(row));
        let coverage = Coverage { title: "all seen".to_owned(), lines: Vec::new() };
        let mut out = Vec::new();
        render(&inventory.report(), Some(&coverage), &mut out).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        for (pointer, value) in [
            ("/servers/0/name", serde_json::json!("mcp.example.com")),
            ("/servers/0/governance", serde_json::json!("shadow")),
            ("/servers/0/methods/0/requests", serde_json::json!(80)),
            ("/servers/0/first_seen", serde_json::json!("2026-07-28T10:00:00.000000001Z")),
            ("/servers/0/clients/more", serde_json::json!(false)),
            ("/threats/0/severity", serde_json::json!("high")),
            ("/unplaced/servers", serde_json::json!(0)),
            ("/coverage/title", serde_json::json!("all seen")),
        ] {
            assert_eq!(json.pointer(pointer), Some(&value), "{pointer}");
        }
    }
}
