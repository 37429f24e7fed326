//! Exit codes: 0 done, 1 `--fail-on` met, 2 nothing could be done, 3 incomplete.

use std::fs;

use crate::support::corpus::path;
use crate::support::run::{run, run_on};
use crate::support::variant::gzip;

const CONFIRMED: &str = "pcaps/p-ts1-json.pcap";
const POSSIBLE: &str = "pcaps/n-host-mcp.example.com-html.pcap";
const NOTHING: &str = "pcaps/n-lsp-tcp.pcap";
const TRUNCATED: &str = "pcaps/h-truncated.pcap";

#[test]
fn a_scan_that_is_done_exits_with_0() {
    for capture in [CONFIRMED, POSSIBLE, NOTHING] {
        let run = run(&format!("scan -q {capture}")).exits(0);
        assert_eq!((run.text(), &*run.stderr), ("", ""), "{capture}");
    }
}

#[test]
fn fail_on_exits_with_1_when_it_is_met() {
    for (level, capture, code) in [
        ("possible", CONFIRMED, 1),
        ("likely", CONFIRMED, 1),
        ("confirmed", CONFIRMED, 1),
        ("possible", POSSIBLE, 1),
        ("likely", POSSIBLE, 0),
        ("confirmed", POSSIBLE, 0),
        ("possible", NOTHING, 0),
    ] {
        run(&format!("scan -q --fail-on {level} {capture}")).exits(code);
    }
}

#[test]
fn damaged_input_exits_with_3_and_says_where() {
    let run = run(&format!("scan -o - {TRUNCATED}")).exits(3);
    assert!(run.stderr.contains("h-truncated.pcap: damaged at byte 26143"), "{}", run.stderr);
    let confirmed = run.lines().iter().filter(|row| row["confidence"] == "confirmed").count();
    assert!(confirmed > 1, "what was found before the damage is written");
}

#[test]
fn a_compressed_capture_that_is_cut_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let capture = fs::read(path("quickstart.pcap")).unwrap();
    for (name, whole) in [
        ("cut.pcap.gz", gzip(&capture)),
        ("cut.pcap.zst", zstd::encode_all(&capture[..], 1).unwrap()),
    ] {
        let cut = folder.path().join(name);
        fs::write(&cut, &whole[..whole.len() - 20]).unwrap();
        let run = run_on("scan -o -", &cut).exits(3);
        assert!(run.stderr.contains(name), "{}", run.stderr);
        assert!(run.lines().iter().any(|row| row["confidence"] == "confirmed"), "{name}");
    }
}

#[test]
fn of_several_inputs_one_that_cannot_be_read_exits_with_3() {
    let run = run(&format!("scan -o - {CONFIRMED} no-such.pcap Cargo.toml")).exits(3);
    assert!(run.stderr.contains("no-such.pcap: No such file"), "{}", run.stderr);
    assert!(run.stderr.contains("Cargo.toml: neither a pcap nor a pcapng"), "{}", run.stderr);
    assert!(!run.lines().is_empty());
}

#[test]
fn fail_on_wins_over_incomplete() {
    run(&format!("scan -q --fail-on confirmed {TRUNCATED}")).exits(1);
    run(&format!("scan -q --fail-on confirmed {POSSIBLE} {TRUNCATED}")).exits(1);
    run(&format!("scan -q --fail-on confirmed {POSSIBLE} no-such.pcap")).exits(3);
}

#[test]
fn what_cannot_be_done_at_all_exits_with_2_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().display();
    for (line, why) in [
        ("scan no-such.pcap", "no-such.pcap: No such file"),
        ("scan Cargo.toml", "Cargo.toml: neither a pcap nor a pcapng"),
        (&format!("scan {empty}"), "no capture found"),
        ("scan", "<PATH>"),
        ("scann", "scann"),
        ("", "Usage"),
        (&format!("scan --no-such-option {CONFIRMED}"), "--no-such-option"),
        (&format!("scan --workers 0 {CONFIRMED}"), "--workers"),
        (&format!("scan --memcap 1Q {CONFIRMED}"), "--memcap"),
        (&format!("scan --fail-on certain {CONFIRMED}"), "certain"),
        (&format!("scan -f xml {CONFIRMED}"), "`xml` is not a format"),
        (&format!("scan -o findings.xml {CONFIRMED}"), "findings.xml"),
        (&format!("scan -o {empty} -f jsonl {CONFIRMED}"), "directory"),
        (&format!("scan -o {empty}/no/such/folder.jsonl {CONFIRMED}"), "folder.jsonl"),
        (&format!("scan --policy no-such.toml {CONFIRMED}"), "no-such.toml"),
        (&format!("scan --signatures no-such.toml {CONFIRMED}"), "no-such.toml"),
        ("report no-such.arrow", "no-such.arrow"),
        ("report Cargo.toml", "Cargo.toml"),
        ("signatures check no-such.toml", "no-such.toml"),
    ] {
        let run = run(line).exits(2);
        assert!(run.stderr.contains(why), "{line}: {}", run.stderr);
        assert_eq!(run.text(), "", "{line}");
    }
}

#[test]
fn every_error_of_a_signature_file_is_shown_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    let text = "version = 1\n\n[[signature]]\nid = \"a\"\ntitle = \"A\"\nfield = \"http.hosst\"\n\
                exact = \"x\"\nstrength = \"weak\"\n\n[[signature]]\nid = \"b\"\ntitle = \"B\"\n\
                field = \"http.host\"\nregex = \"a(\"\nstrength = \"huge\"\n";
    fs::write(&file, text).unwrap();
    let bad = file.display();
    for line in [
        format!("scan --signatures {bad} {CONFIRMED}"),
        format!("signatures check {bad}"),
        format!("signatures test {bad}"),
        format!("signatures list {bad}"),
    ] {
        let run = run(&line).exits(2);
        for place in ["bad.toml:6:", "bad.toml:14:", "bad.toml:15:", "^"] {
            assert!(run.stderr.contains(place), "{line}: {place} in\n{}", run.stderr);
        }
        assert_eq!(run.text(), "", "{line}");
    }
}

#[test]
fn every_error_of_a_policy_is_shown_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    fs::write(&file, "version = 1\n[denied]\nhosts = [\"a..b\"]\nnetworks = [\"10/8\"]\n").unwrap();
    let run = run(&format!("scan --policy {} {CONFIRMED}", file.display())).exits(2);
    for place in ["policy.toml:3:10", "policy.toml:4:13", "^"] {
        assert!(run.stderr.contains(place), "{place} in\n{}", run.stderr);
    }
}

#[test]
fn signature_checks_that_fail_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    let text = "version = 1\n[[signature]]\nid = \"my.host\"\ntitle = \"A host\"\n\
                field = \"http.host\"\nexact = \"mcp.example.com\"\nstrength = \"weak\"\n\
                references = [\"https://example.com\"]\n\
                examples.match = [\"other.example.com\"]\n\
                examples.miss = [\"mcp.example.com\"]\n";
    fs::write(&file, text).unwrap();
    let run = run_on("signatures test", &file).exits(1);
    assert!(run.text().ends_with("0 answers right, 2 wrong, in 0 exchanges\n"));
    for told in ["my.host: should match", "wrong.toml:9:19", "should not match", "wrong.toml:10:18"]
    {
        assert!(run.text().contains(told), "{told} in\n{}", run.text());
    }
}

#[test]
fn an_output_that_cannot_be_written_to_its_end_is_no_success() {
    // A device that is always full.
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let run = run(&format!("scan -q --messages -f jsonl -o /dev/full {CONFIRMED}"));
    assert!(![Some(0), None].contains(&run.code), "{run:?}");
    assert!(run.stderr.contains("/dev/full"), "{}", run.stderr);
}

#[test]
#[cfg(not(feature = "libpcap"))]
fn without_libpcap_a_filter_says_how_to_get_it() {
    let run = run(&format!("scan --filter tcp {CONFIRMED}")).exits(2);
    assert!(run.stderr.contains("libpcap"), "{}", run.stderr);
}

#[test]
#[cfg(feature = "libpcap")]
fn a_filter_keeps_what_it_is_true_of() {
    use crate::support::run::mcpwatch;

    let rows = |filter: &str| {
        let arguments = ["scan", "-o", "-", "--filter", filter, CONFIRMED];
        let output = mcpwatch(arguments).output().unwrap();
        (output.status.code(), output.stdout.is_empty())
    };
    assert_eq!(rows("tcp port 8000"), (Some(0), false));
    assert_eq!(rows("tcp port 8001"), (Some(0), true));
    assert_eq!(rows("tcp port port"), (Some(2), true));
}
