//! `signatures check`, `test` and `fuzz` as pipelines use them.

use std::fs;

use mcpwatch::workbench::report::Format;
use serde_json::Value;

use crate::support::run::{Run, mcpwatch};

const HEAD: &str = "version = 1\n[[signature]]\nid = \"a\"\ntitle = \"t\"\nstrength = \"weak\"\n\
                    field = \"http.host\"\nreferences = [\"https://example.com\"]\n";

/// Hits what its example says it misses, and has an over-broad host.
const WRONG: &str =
    "suffix = \"co.uk\"\nexamples = { match = [\"a.co.uk\"], miss = [\"b.co.uk\"] }\n";

const RIGHT: &str =
    "suffix = \"example.com\"\nexamples = { match = [\"example.com\"], miss = [\"x.org\"] }\n";

fn signatures(command: &str, format: &str, text: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("my set.toml"), text).unwrap();
    let line = ["signatures", command, "--format", format, "my set.toml"];
    mcpwatch(line).current_dir(folder.path()).output().unwrap().into()
}

#[test]
fn exit_codes_are_the_same_in_every_format() {
    for format in ["human", "text", "json", "junit", "sarif", "github"] {
        for command in ["check", "test"] {
            signatures(command, format, &format!("{HEAD}{RIGHT}")).exits(0);
            signatures(command, format, &format!("{HEAD}{WRONG}")).exits(1);
            let broken = signatures(command, format, "version = 1\nx = \n").exits(2);
            let people = matches!(format, "human" | "text");
            assert_eq!(broken.text().is_empty(), people, "{format}");
            assert_eq!(broken.stderr.is_empty(), !people, "{format}: {}", broken.stderr);
        }
    }
}

#[test]
fn problems_are_placed_in_every_format() {
    let told = |command, format| {
        let run = signatures(command, format, &format!("{HEAD}{WRONG}")).exits(1);
        run.text().to_owned()
    };
    assert!(told("check", "human").contains("--> my set.toml:8:10\n"));
    assert!(told("test", "human").contains("--> my set.toml:9:43\n"));
    assert!(told("check", "junit").contains(r#"file="my set.toml" line="8""#));
    assert!(told("test", "github").contains("::error file=my set.toml,line=9,col=43,"));

    let json: Value = serde_json::from_str(&told("test", "json")).unwrap();
    assert_eq!((&json["passed"], &json["errors"]), (&1.into(), &1.into()));
    assert_eq!(json["cases"][1]["location"]["line"], 9);

    let sarif: Value = serde_json::from_str(&told("check", "sarif")).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "public-suffix");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "my%20set.toml");
    assert_eq!(place["region"]["startLine"], 8);
}

#[test]
fn notes_fail_only_strictly() {
    let text = HEAD.replace("references", "tags") + RIGHT;
    let run = signatures("check", "text", &text).exits(0);
    assert!(run.text().contains("note[no-reference]"), "{}", run.text());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.toml");
    fs::write(&file, text).unwrap();
    let line = ["signatures", "check", "--strict"].map(std::ffi::OsStr::new);
    let run: Run = mcpwatch(line.into_iter().chain([file.as_os_str()])).output().unwrap().into();
    run.exits(1);
}

#[test]
fn every_format_is_named_in_the_help() {
    let run: Run = mcpwatch(["signatures", "check", "--help"]).output().unwrap().into();
    for format in <Format as clap::ValueEnum>::value_variants() {
        let name = clap::ValueEnum::to_possible_value(format).unwrap();
        assert!(run.text().contains(name.get_name()), "{}", run.text());
    }
}

#[test]
fn labelled_captures_score_a_set() {
    let pcaps = concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let set = file("set.toml", &format!("{HEAD}{RIGHT}"));
    let truth = file("truth.tsv", "file\tlabel\np-ts1-json.pcap\tmcp\nn-graphql.pcap\tnot_mcp\n");
    let line = ["signatures", "test", "--pcaps", pcaps, "--truth", &truth, &set];
    let run: Run = mcpwatch(line.iter().chain(&["--min-recall", "100"])).output().unwrap().into();
    let run = run.exits(0);
    assert!(run.text().contains("at least `likely`        1/1        0/1    100.0 %    100.0 %\n"));
    let run: Run = mcpwatch(line.iter().chain(&["--format", "json"])).output().unwrap().into();
    let json: Value = serde_json::from_str(run.exits(0).text()).unwrap();
    assert_eq!(json["captures"]["overall"]["recall"], 1.0);
    let wrong = file("truth.tsv", "file\tlabel\np-ts1-json.pcap\tnot_mcp\n");
    let run: Run = mcpwatch(line).output().unwrap().into();
    assert!(run.exits(1).text().contains("error[mistaken-capture]: p-ts1-json.pcap"), "{wrong}");
}

#[test]
fn a_set_is_timed_beside_the_shipped_one() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set.toml");
    fs::write(&set, format!("{HEAD}{RIGHT}")).unwrap();
    let line = ["signatures", "bench", "--runs", "1", "--format"];
    let run: Run = mcpwatch(line).arg("json").arg(&set).output().unwrap().into();
    let json: Value = serde_json::from_str(run.exits(0).text()).unwrap();
    assert_eq!(json["set"]["signatures"], 1);
    assert!(json["baseline"]["signatures"].as_u64() > Some(50));
    assert!(json["engine"]["ratio_to_baseline"].as_f64() > Some(0.0));
    let run: Run = mcpwatch(line).arg("text").output().unwrap().into();
    let run = run.exits(0);
    assert!(run.text().contains("\nwhole engine "), "{}", run.text());
}

#[test]
fn fuzzing_finds_a_set_that_hits_other_protocols_and_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = HEAD.replace("\"http.host\"", "\"http.body\"").replace("weak", "proof")
        + "regex = '\"method\"\\s*:\\s*\"initialize\"'\n";
    fs::write(folder.path().join("wrong.toml"), wrong).unwrap();
    fs::write(folder.path().join("right.toml"), format!("{HEAD}{RIGHT}")).unwrap();
    fs::write(folder.path().join("broken.toml"), "version = 2\n").unwrap();
    let run = |line: &str| -> Run {
        let line = format!("signatures fuzz --seed 1 --cases 200 {line}");
        mcpwatch(line.split(' ')).current_dir(folder.path()).output().unwrap().into()
    };
    let out = folder.path().join("mcpwatch-fuzz");
    let right = run("right.toml").exits(0);
    assert!(right.text().starts_with("200 cases in "), "{}", right.text());
    run("--format json broken.toml").exits(2);
    assert!(!out.exists());

    let told = run("--jobs 1 wrong.toml").exits(1);
    assert!(told.text().contains("error[fuzz-look-alike-hit]: a: hits"), "{}", told.text());
    assert!(told.text().contains("--> wrong.toml:"), "{}", told.text());
    let captures = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let capture = captures
        .filter_map(|path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned))
        .find(|name| name.starts_with("fuzz-look-alike-hit-a-1-"))
        .unwrap();
    let scan = ["scan", "--no-builtin-signatures", "--signatures", "wrong.toml", "-o", "-"];
    let capture = format!("mcpwatch-fuzz/{capture}");
    let scanned =
        mcpwatch(scan.into_iter().chain([&*capture])).current_dir(folder.path()).output().unwrap();
    let scanned = Run::from(scanned);
    assert!(matches!(scanned.code, Some(0 | 3)), "{}", scanned.stderr);

    let json: Value =
        serde_json::from_str(run("--jobs 3 --format json wrong.toml").text()).unwrap();
    assert_eq!((&json["extent"]["seed"], &json["extent"]["cases"]), (&1.into(), &200.into()));
    let hits = json["cases"].as_array().unwrap();
    let hit = hits.iter().find(|case| case["code"] == "fuzz-look-alike-hit").unwrap();
    assert!(told.text().contains(hit["message"].as_str().unwrap()), "{}", told.text());

    run("--case 1 right.toml").exits(2);
}
