//! Findings and statistics, to files and standard output.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use mcpwatch::findings::Row;
use mcpwatch::findings::read::Rows;
use serde_json::Value;

use crate::support::corpus::path;
use crate::support::run::{Run, run, run_on, start};

const CAPTURE: &str = "pcaps/quickstart.pcap";

#[test]
fn one_scan_writes_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let names = ["f.arrow", "f.arrows", "f.jsonl", "f.ndjson", "f.csv", "f.parquet"];
    let names = &names[..names.len() - usize::from(cfg!(not(feature = "parquet")))];
    let outputs: String = names.iter().map(|name| format!(" -o {}", at(name).display())).collect();
    let run = run(&format!("scan --messages{outputs} -o - {CAPTURE}")).exits(0);

    let rows = read(&at("f.arrow"));
    assert!(rows.len() > 100, "{} rows", rows.len());
    for name in names.iter().filter(|name| !name.ends_with(".csv")) {
        assert_eq!(read(&at(name)), rows, "{name}");
    }
    assert_eq!(fs::read(at("f.jsonl")).unwrap(), run.stdout);
    assert_eq!(fs::read(at("f.ndjson")).unwrap(), run.stdout);

    let mut csv = csv::Reader::from_path(at("f.csv")).unwrap();
    let header = csv.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (method, client) = (column("mcp.method"), column("flow.client_ip"));
    let records: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), rows.len());
    for (record, row) in records.iter().zip(&rows) {
        assert_eq!(record[method], *row.mcp.method.as_deref().unwrap_or(""));
        assert_eq!(record[client], row.flow.client.ip().to_string());
    }
    assert_eq!(left_over(folder.path(), names), Vec::<String>::new());
}

#[test]
fn a_format_can_be_asked_for_whatever_the_extension() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("findings.log");
    for format in ["arrow", "arrows", "jsonl"] {
        run(&format!("scan -f {format} -o {} {CAPTURE}", file.display())).exits(0);
        assert!(!read(&file).is_empty(), "{format}");
    }
    for format in ["csv", "eve", "ocsf", "ecs", "zeek"] {
        run(&format!("scan -f {format} -o {} {CAPTURE}", file.display())).exits(0);
        let written = fs::read_to_string(&file).unwrap();
        let shown = run(&format!("scan -f {format} {CAPTURE}")).exits(0);
        assert_eq!(written, shown.text(), "{format}: -f alone writes to standard output");
        let lines = written.lines().filter(|line| !line.starts_with('#'));
        let json = lines.clone().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
        let expected = if ["csv", "zeek"].contains(&format) { 0 } else { lines.count() };
        assert_eq!(json, expected, "{format}");
    }
}

#[test]
fn standard_output_is_json_lines_unless_told_otherwise() {
    let run = run(&format!("scan -o - {CAPTURE}")).exits(0);
    let rows = run.lines();
    assert!(rows.iter().any(|row| row["kind"] == "conversation"));
    assert!(rows.iter().all(|row| row["kind"] != "message"), "messages are only for --messages");
    assert_eq!(run.stderr, "", "no progress where there is no terminal");
}

#[test]
fn min_confidence_leaves_out_what_is_below() {
    let levels = ["possible", "likely", "confirmed"];
    let rows = |least: &str| {
        run(&format!("scan -o - --min-confidence {least} {CAPTURE}")).exits(0).lines()
    };
    let all = rows("possible");
    for (at, least) in levels.iter().enumerate() {
        let expected =
            all.iter().filter(|row| levels[at..].iter().any(|l| row["confidence"] == *l));
        assert_eq!(rows(least), expected.cloned().collect::<Vec<_>>(), "{least}");
    }
    assert!(rows("confirmed").len() < all.len());
}

#[test]
fn secrets_are_hidden_unless_asked_for() {
    let session = "871002d2-7abc-4355-ae02-92a6a7ae1bad";
    let scan = |options: &str| {
        let formats = ["jsonl", "csv", "zeek", "eve", "ocsf", "ecs"];
        let outputs = formats.map(|format| {
            run(&format!("scan --messages {options} -f {format} pcaps/p-ts1-json.pcap")).exits(0)
        });
        outputs.map(|run| run.text().to_owned()).join("\n")
    };
    assert!(!scan("").contains(session));
    assert!(scan("--show-secrets").contains(session));
    let hashed = run("scan -o - pcaps/p-ts1-json.pcap").exits(0).lines();
    let ids: Vec<&str> =
        hashed.iter().filter_map(|row| row["mcp"]["session_id"].as_str()).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0] && *id != session), "{ids:?}");
}

#[test]
fn tokens_are_in_no_output() {
    // Every bearer token, cookie and legacy session id of the captures.
    for (capture, secrets) in [
        ("p-py130-bearer.pcap", secrets("p-py130-bearer.pcap", "authorization: bearer ")),
        ("p-legacysse-ts1.pcap", secrets("p-legacysse-ts1.pcap", "sessionid=")),
        ("p-legacysse-py130.pcap", secrets("p-legacysse-py130.pcap", "session_id=")),
    ] {
        assert!(!secrets.is_empty(), "{capture}");
        for format in ["jsonl", "csv", "zeek", "eve", "ocsf", "ecs"] {
            let run = run(&format!("scan --messages -f {format} pcaps/{capture}")).exits(0);
            for secret in &secrets {
                assert!(!run.text().contains(secret), "{capture}, {format}: {secret}");
            }
        }
        let run = run(&format!("scan pcaps/{capture}")).exits(0);
        assert!(secrets.iter().all(|secret| !run.text().contains(secret)), "{capture}, report");
    }
}

#[test]
fn statistics_have_all_sections_and_account_for_every_packet() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stats.json");
    run(&format!("scan -q --stats {} {CAPTURE}", file.display())).exits(0);
    let written = fs::read_to_string(&file).unwrap();
    let shown = run(&format!("scan -q --stats - {CAPTURE}")).exits(0);
    let stats: Value = serde_json::from_str(&written).unwrap();
    for section in ["capture", "engine", "decode", "flow", "http1", "observer", "body", "collector"]
    {
        assert!(stats[section].is_object(), "{section} in {written}");
    }
    assert_eq!(stats["capture"]["frames"], 1072);
    assert_eq!(stats["engine"]["frames"], 1072);
    assert_eq!(stats["capture"], serde_json::from_str::<Value>(shown.text()).unwrap()["capture"]);
}

#[test]
fn a_file_gets_its_name_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("findings.jsonl");
    fs::write(&file, "of yesterday").unwrap();
    let mut child = start(&format!("scan -q -o {} -", file.display()));
    let mut stdin = child.stdin.take().unwrap();
    let capture = fs::read(path("p-ts1-json.pcap")).unwrap();
    stdin.write_all(&capture[..capture.len() / 2]).unwrap();
    let partial = wait_for(|| left_over(folder.path(), &["findings.jsonl"]).pop());
    assert!(partial.starts_with(".findings.jsonl.") && partial.ends_with(".partial"), "{partial}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "of yesterday");
    stdin.write_all(&capture[capture.len() / 2..]).unwrap();
    drop(stdin);
    Run::from(child.wait_with_output().unwrap()).exits(0);
    assert!(!read(&file).is_empty());
    assert_eq!(left_over(folder.path(), &["findings.jsonl"]), Vec::<String>::new());
}

#[test]
fn a_scan_that_cannot_begin_touches_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("findings.jsonl");
    fs::write(&file, "of yesterday").unwrap();
    for wrong in ["--policy no-such.toml", "--signatures no-such.toml", "-o findings.xml"] {
        run(&format!("scan {wrong} -o {} {CAPTURE}", file.display())).exits(2);
        assert_eq!(fs::read_to_string(&file).unwrap(), "of yesterday", "{wrong}");
        assert_eq!(left_over(folder.path(), &["findings.jsonl"]), Vec::<String>::new(), "{wrong}");
    }
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    for line in [
        format!("scan --messages -o - {CAPTURE}"),
        format!("scan --messages -f arrows {CAPTURE}"),
        format!("scan --messages -f csv {CAPTURE}"),
        "schema --format json".to_owned(),
        "completions bash".to_owned(),
        "man".to_owned(),
        "signatures list --format json".to_owned(),
    ] {
        let mut child = start(&line);
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 16]).unwrap();
        drop(stdout);
        let run = Run::from(child.wait_with_output().unwrap()).exits(0);
        assert_eq!(run.stderr, "", "{line}");
    }
}

#[test]
fn the_report_has_colours_only_where_they_are_wanted() {
    let coloured = |options: &str| {
        run(&format!("scan {options} {CAPTURE}")).exits(0).text().contains('\u{1b}')
    };
    assert!(!coloured(""), "standard output is no terminal");
    assert!(!coloured("--color auto"));
    assert!(!coloured("--color never"));
    assert!(coloured("--color always"));
}

#[test]
fn a_sensor_is_named_in_every_row() {
    let run = run(&format!("scan -o - --sensor lab-3 {CAPTURE}")).exits(0);
    assert!(run.lines().iter().all(|row| row["capture"]["sensor"] == "lab-3"));
}

#[test]
fn a_policy_shows_in_rows_and_report() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "version = 1\n[denied]\nhosts = [\"tools.corp.test\"]\n").unwrap();
    let rows = run(&format!("scan -o - --policy {} {CAPTURE}", policy.display())).exits(0).lines();
    let denied: Vec<&Value> = rows.iter().filter(|row| row["governance"] == "denied").collect();
    assert!(!denied.is_empty());
    assert!(denied.iter().all(|row| row["http"]["host"] == "tools.corp.test:8080"));
    let report = run_on(&format!("scan --policy {}", policy.display()), Path::new(CAPTURE));
    assert!(report.text().contains("tools.corp.test:8080  confirmed, denied"), "{}", report.text());
}

#[test]
fn without_the_shipped_signatures_messages_still_confirm() {
    let rows = run(&format!("scan -o - --no-builtin-signatures {CAPTURE}")).exits(0).lines();
    let ids = rows.iter().flat_map(|row| row["signatures"].as_array().unwrap());
    assert!(
        ids.clone().count() > 0 && ids.clone().all(|id| id.as_str().unwrap().starts_with("mcp."))
    );
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.toml");
    fs::write(
        &own,
        "version = 1\n[[signature]]\nid = \"own.books\"\ntitle = \"The bookshop\"\n\
         field = \"http.host\"\nexact = \"books.corp.test\"\nstrength = \"strong\"\n",
    )
    .unwrap();
    let rows = run(&format!("scan -o - --signatures {} {CAPTURE}", own.display())).exits(0).lines();
    let hit = |row: &&Value| row["signatures"].as_array().unwrap().contains(&"own.books".into());
    assert!(rows.iter().filter(hit).count() > 0);
    assert!(rows.iter().filter(hit).all(|row| row["http"]["host"] == "books.corp.test:8000"));
}

fn read(path: &Path) -> Vec<Row> {
    Rows::open(path).unwrap().map(Result::unwrap).collect()
}

/// The files in a folder beside those that are expected.
fn left_over(folder: &Path, expected: &[&str]) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| !expected.contains(&&**name)).collect()
}

/// Words after `marker`, in lower case, in the bytes of a capture.
fn secrets(capture: &str, marker: &str) -> BTreeSet<String> {
    let bytes = fs::read(path(capture)).unwrap();
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let lower = text.to_ascii_lowercase();
    let found = lower.match_indices(marker).map(|(at, _)| {
        let rest = &text[at + marker.len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
        rest[..end.unwrap_or(rest.len())].to_owned()
    });
    found.filter(|secret| secret.len() > 8).collect()
}

/// Waits until there is something, for a time that no machine should need.
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}
