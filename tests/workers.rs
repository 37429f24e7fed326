//! The same findings in the same order, whatever the number of workers and
//! however the input is cut into files and blocks.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use mcpwatch::capture::LinkType;

use crate::support::compare::{Tolerance, difference};
use crate::support::corpus::{captures, path};
use crate::support::packet::{self, Frame};
use crate::support::scan::{self, ENGINE, Found};

const WORKERS: [usize; 3] = [2, 3, 5];

/// Captures that are read as one: many connections, sessions and servers.
const TOGETHER: &[&str] = &[
    "p-py130-20sessions.pcap",
    "p-legacysse-py130-6sessions.pcap",
    "p-py23-json-8clients.pcap",
    "p-mcp-remote.pcap",
    "p-ts1-legacy-fallback.pcap",
    "n-host-mcp.example.com-html.pcap",
    "h-ip-fragments.pcap",
    "h-reorder.pcap",
    "h-drop-one.pcap",
    "quickstart.pcap",
];

/// Frames in each file of a rotated capture; a file is a block of its own.
const ROTATE: usize = 23;

#[test]
fn each_capture() {
    for capture in captures() {
        same_for_all_workers(&capture.name, &[capture.path()]);
    }
}

#[test]
fn many_captures_at_once() {
    let paths: Vec<PathBuf> = TOGETHER.iter().map(|name| path(name)).collect();
    let found = same_for_all_workers("together", &paths);
    assert!(found.rows.len() > 500, "{} rows", found.rows.len());
}

/// Captures whose packets interleave in time, in one file: blocks hold packets
/// of all of them.
#[test]
fn many_captures_in_one_file() {
    let mut frames: Vec<Frame> = Vec::new();
    for (index, name) in TOGETHER.iter().enumerate() {
        let own = packet::read(&path(name));
        let begin = own[0].nanos;
        let shift = |frame: Frame| Frame {
            nanos: 1_800_000_000_000_000_000 + frame.nanos - begin,
            data: packet::on_network(frame.data, index as u8),
            ..frame
        };
        frames.extend(own.into_iter().map(shift));
    }
    frames.sort_by_key(|frame| frame.nanos);
    let folder = tempfile::tempdir().unwrap();
    let whole = write(folder.path(), "whole.pcap", &frames);
    let together = same_for_all_workers("one file", &[whole]);

    let rotated = rotate(folder.path(), &frames);
    let files = same_for_all_workers("rotated", &rotated);
    let objections = difference(&together.rows, &files.rows, Tolerance::default());
    assert!(objections.is_empty(), "rotated\n{objections}");
}

#[test]
fn rotated_captures_continue_each_other() {
    for name in ["p-py130-sse-full.pcap", "p-legacysse-ts1.pcap", "p-ws-py130-deflate.pcap"] {
        let folder = tempfile::tempdir().unwrap();
        let whole = scan::file(&ENGINE, &path(name));
        let rotated = rotate(folder.path(), &packet::read(&path(name)));
        assert!(rotated.len() > 3, "{name}");
        let files = same_for_all_workers(name, &rotated);
        let objections = difference(&whole.rows, &files.rows, Tolerance::default());
        assert!(objections.is_empty(), "{name}\n{objections}");
    }
}

/// What one worker finds, after all others have found the same.
fn same_for_all_workers(what: &str, paths: &[PathBuf]) -> Found {
    let alone = scan::files(&ENGINE, NonZeroUsize::MIN, paths);
    for workers in WORKERS {
        let found = scan::files(&ENGINE, NonZeroUsize::new(workers).unwrap(), paths);
        for (at, (expected, found)) in alone.rows.iter().zip(&found.rows).enumerate() {
            assert_eq!(expected, found, "{what}, {workers} workers, row {at}");
        }
        assert_eq!(alone.rows.len(), found.rows.len(), "{what}, {workers} workers, rows");
        let statistics = [&alone, &found].map(|found| found.statistics.to_json());
        assert_eq!(statistics[0], statistics[1], "{what}, {workers} workers, statistics");
        assert_eq!(alone.errors, found.errors, "{what}, {workers} workers, errors");
    }
    alone
}

/// The files of a rotated capture.
fn rotate(folder: &Path, frames: &[Frame]) -> Vec<PathBuf> {
    let parts = frames.chunks(ROTATE).enumerate();
    parts.map(|(at, part)| write(folder, &format!("part{at:05}.pcap"), part)).collect()
}

fn write(folder: &Path, name: &str, frames: &[Frame]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, packet::pcap(LinkType::ETHERNET, frames)).unwrap();
    path
}
