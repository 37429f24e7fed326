//! Signatures of the user's: suppressions and threats in scans, lists and the schema.

use std::fs;

use serde_json::{Value, json};

use crate::support::run::run;

const CAPTURE: &str = "pcaps/quickstart.pcap";

/// Rows of the capture with a signature file beside the shipped ones.
fn rows(set: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    fs::write(&file, format!("version = 1\n{set}")).unwrap();
    run(&format!("scan --signatures {} -o - {CAPTURE}", file.display())).exits(0).lines()
}

fn conversations(rows: &[Value]) -> Vec<&Value> {
    rows.iter().filter(|row| row["kind"] == "conversation").collect()
}

fn is_of(row: &Value, host: &str) -> bool {
    row["http"]["host"].as_str().is_some_and(|seen| seen.starts_with(host))
}

fn ids(row: &Value) -> Vec<&str> {
    row["signatures"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn what_is_suppressed_is_not_told_of_until_its_day() {
    let suppress = |rest: &str| {
        format!(
            "[[suppress]]\nsignature = \"mcp.*\"\nreason = \"known\"\n\
             when = {{ field = \"http.host\", suffix = \"books.corp.test\" }}\n{rest}"
        )
    };
    let plain = rows("");
    let over = rows(&suppress("until = 2020-01-01\n"));
    assert_eq!(plain, over);
    let quiet = rows(&suppress("until = 9999-01-01\n"));
    let (before, after) = (conversations(&plain), conversations(&quiet));
    assert_eq!(before.len(), after.len());
    let mut fewer = 0;
    for (before, after) in before.into_iter().zip(after) {
        // A message proves MCP, whatever signatures say.
        assert_eq!(before["confidence"], after["confidence"]);
        if is_of(before, "books.corp.test") {
            assert!(ids(after).len() < ids(before).len(), "{after}");
            fewer += 1;
        } else {
            assert_eq!(before, after);
        }
    }
    assert!(fewer > 0);
}

#[test]
fn threats_are_rows_and_never_evidence() {
    let threat = |id: &str, severity: &str, pattern: &str| {
        format!(
            "[[signature]]\nid = \"{id}\"\ntitle = \"Threat {id}\"\nseverity = \"{severity}\"\n{pattern}\n"
        )
    };
    let set = [
        threat("own.minor", "low", "field = \"http.method\"\nexact = \"POST\""),
        threat("own.major", "critical", "field = \"http.host\"\nexact = \"books.corp.test\""),
        threat(
            "own.body",
            "high",
            "field = \"http.body\"\njson_member = { key = \"method\", value = \"tools/call\" }",
        ),
    ]
    .concat();
    let (plain, found) = (rows(""), rows(&set));
    let (threats, others): (Vec<_>, Vec<_>) = found.iter().partition(|row| row["kind"] == "threat");
    let confidences = |rows: &mut dyn Iterator<Item = &Value>| {
        rows.map(|row| (row["id"].clone(), row["confidence"].clone())).collect::<Vec<_>>()
    };
    let same = confidences(&mut plain.iter());
    assert_eq!(confidences(&mut others.iter().copied()), same);

    for (id, severity) in [("own.minor", "low"), ("own.major", "critical"), ("own.body", "high")] {
        let told: Vec<_> = threats.iter().filter(|row| row["signatures"] == json!([id])).collect();
        assert!(!told.is_empty(), "{id}");
        for row in told {
            assert_eq!(row["severity"], severity);
            assert_eq!(row["title"], format!("Threat {id}"));
        }
        let rows = others.iter().filter(|row| row["kind"] == "conversation");
        let with = rows.filter(|row| ids(row).contains(&id)).collect::<Vec<_>>();
        assert!(!with.is_empty(), "{id}");
        assert!(id != "own.major" || with.iter().all(|row| row["severity"] == severity));
    }
    // Once in each conversation.
    let mut keys: Vec<_> = threats.iter().map(|row| &row["id"]).collect();
    keys.sort_by_key(|key| key.to_string());
    keys.dedup();
    assert_eq!(keys.len(), threats.len());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    fs::write(&file, format!("version = 1\n{set}")).unwrap();
    let report = run(&format!("scan --signatures {} {CAPTURE}", file.display())).exits(0);
    let text = report.text();
    let places = ["own.major", "own.body", "own.minor"].map(|id| text.find(id).unwrap());
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn a_list_is_filtered_alike_in_both_forms() {
    let ids = |line: &str| {
        let json = run(&format!("signatures list --format json {line}")).exits(0);
        let json: Value = serde_json::from_str(json.text()).unwrap();
        let ids: Vec<String> = json
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["id"].as_str().unwrap().to_owned())
            .collect();
        let text = run(&format!("signatures list {line}")).exits(0);
        let first: Vec<_> =
            text.text().lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(first, ids, "{line}");
        ids
    };
    let all = ids("");
    let names = ids("--field tls.sni --field dns.name");
    let headers = ids("--field http.header.*");
    let strong = ids("--field http.header.* --strength strong --strength proof");
    for (part, whole) in [(&names, &all), (&headers, &all), (&strong, &headers)] {
        assert!(!part.is_empty() && part.len() < whole.len(), "{part:?}");
        assert!(part.iter().all(|id| whole.contains(id)), "{part:?}");
    }
    assert_eq!(ids("--severity critical"), [""; 0]);
    assert_eq!(ids("--tag no-such-tag"), [""; 0]);
    for wrong in ["--field http.hots", "--strength stong", "--severity worst"] {
        let run = run(&format!("signatures list {wrong}")).exits(2);
        assert!(!run.stderr.is_empty(), "{wrong}");
    }
}

#[test]
fn the_schema_of_signature_files_is_json() {
    let schema = run("signatures schema").exits(0);
    let schema: Value = serde_json::from_str(schema.text()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["suppress"].is_object());
}

#[test]
fn suppressions_are_checked_and_tested_against_the_shipped_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let set = "version = 1\n[[suppress]]\nsignature = \"mcp.host.label\"\nreason = \"ours\"\n\
               when = { field = \"http.host\", suffix = \"corp.test\" }\n\
               examples.match = [\"mcp.corp.test\"]\nexamples.miss = [\"mcp.example.com\"]\n";
    fs::write(&file, set).unwrap();
    run(&format!("signatures check {}", file.display())).exits(0);
    let test = run(&format!("signatures test {}", file.display())).exits(0);
    assert!(test.text().starts_with("2 examples"), "{}", test.text());
    fs::write(&file, set.replace("host.label", "hots.label")).unwrap();
    let check = run(&format!("signatures check {}", file.display())).exits(1);
    let text = check.text();
    assert!(text.contains("warning[unreachable-suppression]"), "{text}");
    assert!(
        text.contains("own.toml:3:13\n") && text.contains("did you mean `mcp.host.label`?"),
        "{text}"
    );
}
