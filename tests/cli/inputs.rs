//! Files, folders, standard input, rotated captures.

use std::fs;
use std::path::Path;

use mcpwatch::capture::LinkType;
use serde_json::Value;

use crate::support::corpus::path;
use crate::support::packet::{self, Frame};
use crate::support::run::{Run, run, run_on, run_with};
use crate::support::variant::gzip;

const CAPTURE: &str = "p-ts1-json.pcap";

#[test]
fn standard_input_is_read_as_a_stream() {
    let bytes = fs::read(path(CAPTURE)).unwrap();
    let expected = without_source(run_on("scan -o -", &path(CAPTURE)).exits(0));
    assert!(expected.len() > 2);
    for input in [bytes.clone(), gzip(&bytes), zstd::encode_all(&bytes[..], 1).unwrap()] {
        let found = run_with("scan -o - -", input).exits(0);
        assert!(found.lines().iter().all(|row| row["capture"]["source"] == "-"));
        assert_eq!(without_source(found), expected);
    }
}

#[test]
fn standard_input_that_is_no_capture_exits_with_2() {
    for input in [&b""[..], b"{\"method\":\"tools/call\"}", &[0x1f, 0x8b, 8]] {
        let run = run_with("scan -", input.to_vec()).exits(2);
        assert!(run.stderr.contains("mcpwatch: -: "), "{}", run.stderr);
    }
}

#[test]
fn a_folder_is_searched_and_what_is_no_capture_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("2026/11");
    fs::create_dir_all(&deep).unwrap();
    fs::copy(path(CAPTURE), deep.join("monday.pcap")).unwrap();
    fs::copy(path("h-zstd.pcap.zst"), folder.path().join("archive")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no capture").unwrap();
    let stats = folder.path().join("stats.json");
    let line = format!("scan -o - --stats {}", stats.display());
    let run = run_on(&line, folder.path()).exits(0);
    let sources: Vec<Value> =
        run.lines().iter().map(|row| row["capture"]["source"].clone()).collect();
    for name in ["monday.pcap", "archive"] {
        let found = sources.iter().any(|source| source.as_str().unwrap().ends_with(name));
        assert!(found, "{name} in {sources:?}");
    }
    let stats: Value = serde_json::from_slice(&fs::read(stats).unwrap()).unwrap();
    assert_eq!(stats["capture"]["inputs"], 2);
    assert_eq!(stats["capture"]["files_skipped"], 1);
}

/// Files are read by the time of their first packet, whatever their names and
/// the order on the command line, and connections go on in the next file.
#[test]
fn rotated_captures_continue_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let frames = packet::read(&path(CAPTURE));
    let [first, second, third] = [0, 1, 2].map(|third| {
        let part = frames.len() / 3;
        let from = third * part;
        if third == 2 { &frames[from..] } else { &frames[from..from + part] }
    });
    let write = |name: &str, frames: &[Frame]| {
        fs::write(folder.path().join(name), packet::pcap(LinkType::ETHERNET, frames)).unwrap();
    };
    write("z-first.pcap", first);
    write("m-second.pcap", second);
    write("a-third.pcap", third);
    let expected = without_source(run_on("scan --messages -o -", &path(CAPTURE)).exits(0));
    let found = without_source(run_on("scan --messages -o -", folder.path()).exits(0));
    assert_eq!(found, expected);
    let named = ["m-second.pcap", "a-third.pcap", "z-first.pcap"];
    let named = named.map(|name| folder.path().join(name).display().to_string()).join(" ");
    assert_eq!(without_source(run(&format!("scan --messages -o - {named}")).exits(0)), expected);
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let once = run(&format!("scan -o - pcaps/{CAPTURE}")).exits(0);
    let twice = run(&format!("scan -o - pcaps/{CAPTURE} ./pcaps/{CAPTURE}")).exits(0);
    assert_eq!(once.lines(), twice.lines());
}

#[test]
fn the_number_of_workers_does_not_change_a_byte() {
    let scan = |workers: usize, format: &str| {
        let inputs = "pcaps/quickstart.pcap pcaps/p-py130-20sessions.pcap pcaps/h-reorder.pcap";
        let line = format!("scan --messages --workers {workers} -o - -f {format} {inputs}");
        run(&line).exits(0).stdout
    };
    for format in ["jsonl", "arrows"] {
        let one = scan(1, format);
        assert!(one.len() > 100_000);
        assert!(one == scan(2, format), "{format} differs between 1 and 2 workers");
        assert!(one == scan(5, format), "{format} differs between 1 and 5 workers");
    }
}

/// Rows without where and when they were captured.
fn without_source(run: Run) -> Vec<Value> {
    let mut rows = run.lines();
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("capture");
    }
    rows
}

#[test]
fn a_capture_that_does_not_end_is_read_to_its_last_whole_packet() {
    let whole = fs::read(path(CAPTURE)).unwrap();
    let expected = packet::read(&path(CAPTURE)).len();
    let folder = tempfile::tempdir().unwrap();
    for (cut, frames) in [(1, expected - 1), (whole.len() - 24, 0)] {
        let file = folder.path().join("cut.pcap");
        let stats = folder.path().join("stats.json");
        fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        let code = if frames == 0 { 0 } else { 3 };
        run_on(&format!("scan -q --stats {}", stats.display()), &file).exits(code);
        assert_eq!(frames_read(&stats), frames as u64);
    }
}

fn frames_read(stats: &Path) -> u64 {
    let stats: Value = serde_json::from_slice(&fs::read(stats).unwrap()).unwrap();
    stats["capture"]["frames"].as_u64().unwrap()
}
