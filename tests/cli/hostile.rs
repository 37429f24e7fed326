//! Names that strangers chose: shown to people, they must not repaint a
//! terminal, hide text, or become a formula or another row.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::http::{Request, answer};
use crate::support::run::run_on;
use crate::support::wire::Wire;

/// Clears the screen, sets the title, reads backwards, hides itself, begins new
/// lines, columns and rows.
const TOOL: &str = "\u{1b}[2J\u{1b}]0;pwned\u{7}\u{202e}evil\u{200b}\u{e0041}\r\n\t\"quoted\", x";
/// A formula.
const CLIENT: &str = "=cmd|' /C calc'!A0\u{9b}31m";
/// Markdown and HTML.
const SERVER: &str = "<script>alert(1)</script> | [x](javascript:y) `z` \u{1b}[31m";

#[test]
fn reports_for_people_show_no_control_characters() {
    let (_folder, capture) = capture();
    let findings = capture.with_extension("jsonl");
    run_on(&format!("scan --messages -o {}", findings.display()), &capture).exits(0);
    let shown = [
        run_on("scan", &capture).exits(0),
        run_on("report", &findings).exits(0),
        run_on("report -f md", &findings).exits(0),
    ];
    for run in shown {
        let text = run.text();
        assert!(text.contains("evil"), "{text}");
        let unsafe_character = text.chars().find(|c| *c != '\n' && is_unsafe(*c));
        assert_eq!(unsafe_character, None, "{text}");
        assert_eq!(run.stderr, "");
    }
    let markdown = run_on("report -f md", &findings).exits(0);
    assert!(!markdown.text().contains("<script"), "{}", markdown.text());
}

#[test]
fn in_json_the_text_is_whole_and_in_ascii_controls_escaped() {
    let (_folder, capture) = capture();
    for format in ["jsonl", "eve", "ocsf", "ecs"] {
        let run = run_on(&format!("scan --messages -f {format}"), &capture).exits(0);
        let rows = run.lines();
        assert!(!run.text().contains('\u{1b}') && !run.text().contains('\u{202e}'), "{format}");
        if format == "jsonl" {
            let call = rows.iter().find(|row| row["mcp"]["method"] == "tools/call").unwrap();
            assert_eq!(call["mcp"]["name"], TOOL);
            assert_eq!(call["mcp"]["client_name"], CLIENT);
        }
    }
    let report = run_on("scan -o -", &capture).exits(0);
    assert!(report.lines().iter().any(|row: &Value| row["mcp"]["tools"] == json!([TOOL])));
}

#[test]
fn in_csv_nothing_is_a_formula_or_another_row() {
    let (_folder, capture) = capture();
    let run = run_on("scan --messages -f csv", &capture).exits(0);
    let text = run.text();
    let unsafe_character = text.chars().find(|c| !['\r', '\n'].contains(c) && is_unsafe(*c));
    assert_eq!(unsafe_character, None, "{text}");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), text.lines().count() - 1, "one line for each row");
    for field in records.iter().flatten() {
        let formula = field.starts_with(['=', '+', '@']);
        assert!(!formula, "{field}");
    }
}

#[test]
fn in_zeek_logs_every_line_has_all_columns() {
    let (_folder, capture) = capture();
    let run = run_on("scan --messages -f zeek", &capture).exits(0);
    let text = run.text();
    let fields = text.lines().find_map(|line| line.strip_prefix("#fields\t")).unwrap();
    let columns = fields.split('\t').count();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert_eq!(line.split('\t').count(), columns, "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
}

#[test]
fn names_of_files_are_shown_without_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a\u{1b}[31mb.pcap");
    fs::write(&file, "no capture").unwrap();
    let run = run_on("scan", &file).exits(2);
    assert!(run.stderr.contains(r"a\u{1b}[31mb.pcap: neither"), "{:?}", run.stderr);
}

/// Whether `c` could change or hide what stands around it.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A capture of a conversation with hostile names.
fn capture() -> (tempfile::TempDir, PathBuf) {
    let implementation = |name: &str| json!({"name": name, "version": "\u{1b}c1.0"});
    let opening = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": implementation(CLIENT),
    }});
    let opened = json!({"jsonrpc": "2.0", "id": 0, "result": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": implementation(SERVER),
    }});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": TOOL, "arguments": {"\u{1b}[1m": "\u{202e}"},
    }});
    let called = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}});
    let mut wire = Wire::new();
    let mut connection = wire.connect("192.0.2.10", "198.51.100.7:8000");
    for (request, result) in [(opening, opened), (call, called)] {
        let request = Request::post("tools.example.net:8000", "/mcp", request.to_string());
        let request = request.with("User-Agent", "agent/1 \u{9b}2J\u{202e}");
        let answer = answer(200, "application/json", &result.to_string());
        wire.exchange(&mut connection, &request.bytes(), &answer);
    }
    wire.close(connection);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pcap");
    fs::write(&path, wire.pcap()).unwrap();
    (folder, path)
}
