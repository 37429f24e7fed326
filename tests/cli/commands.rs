//! The commands beside `scan`.

use std::fs;
use std::io::Cursor;

use arrow_ipc::reader::StreamReader;
use mcpwatch::findings::COLUMNS;
use serde_json::Value;

use crate::support::run::run;

const CAPTURE: &str = "pcaps/quickstart.pcap";

#[test]
fn a_report_says_the_same_of_every_findings_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = vec!["f.arrow", "f.arrows", "f.jsonl"];
    if cfg!(feature = "parquet") {
        files.push("f.parquet");
    }
    let files: Vec<String> =
        files.iter().map(|name| folder.path().join(name).display().to_string()).collect();
    let scan = files.iter().map(|file| format!(" -o {file}")).collect::<String>();
    run(&format!("scan{scan} {CAPTURE}")).exits(0);
    for format in ["text", "md", "json"] {
        let expected = run(&format!("report -f {format} {}", files[0])).exits(0);
        for host in ["books.corp.test:8000", "legacy.corp.test:3001", "tools.corp.test:8080"] {
            assert!(expected.text().contains(host), "{format}: {host} in {}", expected.text());
        }
        for file in &files[1..] {
            let found = run(&format!("report -f {format} {file}")).exits(0);
            assert_eq!(found.text(), expected.text(), "{format} of {file}");
        }
    }
    // What the scan showed, but for what only the scan knows.
    let scan = run(&format!("scan {CAPTURE}")).exits(0);
    let (servers, _) = scan.text().split_once("COVERAGE").unwrap();
    let report = run(&format!("report {}", files[0])).exits(0);
    let body = |text: &str| text.split_once("SERVERS").unwrap().1.trim_end().to_owned();
    assert_eq!(body(report.text()), body(servers));
}

#[test]
fn a_report_of_a_damaged_file_is_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole.jsonl", "cut.jsonl"].map(|name| folder.path().join(name));
    run(&format!("scan -o {} {CAPTURE}", whole.display())).exits(0);
    let text = fs::read(&whole).unwrap();
    fs::write(&cut, &text[..text.len() - 100]).unwrap();
    let run = run(&format!("report {}", cut.display())).exits(3);
    assert!(run.text().contains("books.corp.test:8000"));
    assert!(run.stderr.contains("cut.jsonl"), "{}", run.stderr);
}

#[test]
fn the_schema_is_the_same_in_all_its_forms() {
    let json = run("schema --format json").exits(0);
    let json: Value = serde_json::from_str(json.text()).unwrap();
    let markdown = run("schema").exits(0);
    assert_eq!(markdown.stdout, run("schema --format md").exits(0).stdout);
    for column in COLUMNS {
        assert!(markdown.text().contains(&format!("| `{}` |", column.name)), "{}", column.name);
        assert!(json.to_string().contains(&format!("\"{}\"", column.name)), "{}", column.name);
    }
    let arrow = run("schema --format arrow").exits(0);
    let reader = StreamReader::try_new(Cursor::new(arrow.stdout), None).unwrap();
    assert_eq!(reader.schema().metadata()["mcpwatch.schema"], "1");
    assert!(reader.schema().field_with_name("confidence").is_ok());
    assert_eq!(reader.count(), 0);
}

#[test]
fn completions_for_every_shell_and_a_manual_page() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = run(&format!("completions {shell}")).exits(0);
        assert!(run.text().contains("--fail-on") || run.text().contains("fail-on"), "{shell}");
    }
    let man = run("man").exits(0);
    assert!(man.text().contains(".TH mcpwatch"), "{}", man.text());
}

#[test]
fn help_and_version_go_to_standard_output() {
    for line in ["--help", "scan --help", "help scan", "signatures --help"] {
        let run = run(line).exits(0);
        assert!(run.text().contains("Usage") && run.stderr.is_empty(), "{line}");
    }
    let version = run("--version").exits(0);
    assert_eq!(version.text().trim(), concat!("mcpwatch ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_shipped_signatures_are_listed_valid_and_true() {
    let text = run("signatures list").exits(0);
    let json = run("signatures list --format json").exits(0);
    let listed: Vec<Value> = serde_json::from_str(json.text()).unwrap();
    assert_eq!(text.text().lines().count(), listed.len());
    assert!(listed.iter().any(|signature| signature["id"] == "mcp.body.initialize"));
    for set in ["", "signatures"] {
        let check = run(&format!("signatures check {set}")).exits(0);
        assert!(check.text().starts_with(&format!("{} signatures", listed.len())), "{set}");
        let test = run(&format!("signatures test {set}")).exits(0);
        assert!(test.text().trim_end().ends_with("exchanges"), "{set}: {}", test.text());
    }
}
