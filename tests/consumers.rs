//! Findings of a live sensor that somebody takes over a socket: slow, late, dead and
//! back again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mcpwatch::findings::read::Rows;
use serde_json::Value;

use crate::sense::{comparable, json};
use crate::support::corpus;
use crate::support::network::{Network, WATCHED, get};
use crate::support::run::{run, run_on};

const CAPTURE: &str = "p-py130-20sessions.pcap";

/// A folder with what a test needs.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a sensor is started with; its findings go to the socket, and to a file.
    fn line(&self, options: &str) -> String {
        let [socket, file, statistics] =
            ["socket", "findings.jsonl", "stats.json"].map(|name| self.at(name));
        let outputs = format!("-o unix:{} -o {}", socket.display(), file.display());
        format!("-i {WATCHED} {outputs} --messages --stats {} {options}", statistics.display())
    }

    /// The ids of the rows in the file.
    fn written(&self) -> BTreeSet<String> {
        Rows::open(&self.at("findings.jsonl")).unwrap().map(|row| row.unwrap().id).collect()
    }

    /// The same with a spool.
    fn spooled(&self, options: &str) -> String {
        self.line(&format!("--spool {} {options}", self.at("spool").display()))
    }

    /// Listens at the socket.
    fn listen(&self) -> UnixListener {
        let _ = std::fs::remove_file(self.at("socket"));
        UnixListener::bind(self.at("socket")).unwrap()
    }

    fn lost(&self) -> u64 {
        let counted = json(&self.at("stats.json"));
        assert_eq!(counted["interfaces"][0]["lost"], 0, "{counted}");
        counted["outputs"]["findings_lost"].as_u64().unwrap()
    }
}

/// Reads lines until the other side ends.
fn read_all(stream: UnixStream) -> JoinHandle<Vec<Value>> {
    thread::spawn(move || {
        let lines = BufReader::new(stream).lines();
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    })
}

/// The ids of rows; some come twice when a consumer died.
fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the rows of an Arrow stream.
fn arrows(stream: UnixStream) -> impl Iterator<Item = String> {
    let rows = Rows::from_reader(Path::new("socket"), Box::new(BufReader::new(stream))).unwrap();
    rows.map(|row| row.unwrap().id)
}

fn scanned() -> Vec<Value> {
    run_on("scan --messages -o -", &corpus::path(CAPTURE)).exits(0).lines()
}

fn segments(spool: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(spool).unwrap().map(|it| it.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|it| it.unwrap().path());
    files.filter(|it| it.extension().is_some_and(|it| it == "arrows")).collect()
}

#[test]
fn a_scan_writes_to_a_socket() {
    let place = Place::new();
    let reader = place.listen();
    let reader = thread::spawn(move || read_all(reader.accept().unwrap().0).join().unwrap());
    let socket = place.at("socket");
    let output = format!("scan --messages -o unix:{}", socket.display());
    run_on(&output, &corpus::path(CAPTURE)).exits(0);
    assert_eq!(reader.join().unwrap(), scanned());
    std::fs::remove_file(&socket).unwrap();
    let said = run_on(&output, &corpus::path(CAPTURE)).exits(2);
    assert!(said.stderr.contains("unix:"), "{}", said.stderr);
}

#[test]
fn findings_go_to_a_socket() {
    Network::run(|network| {
        for options in ["", "--spool"] {
            let place = Place::new();
            let line = if options.is_empty() { place.line("") } else { place.spooled("") };
            let listener = place.listen();
            let sensor = network.sense(&line);
            network.send(&corpus::path(CAPTURE));
            let reader = read_all(listener.accept().unwrap().0);
            sensor.end().exits(0);
            assert_eq!(comparable(&reader.join().unwrap()), comparable(&scanned()));
            assert_eq!(place.lost(), 0);
        }
    });
}

#[test]
fn standard_output_may_have_a_spool() {
    Network::run(|network| {
        let place = Place::new();
        let spool = place.at("spool");
        let line = format!("-i {WATCHED} -o - --messages --spool {}", spool.display());
        let sensor = network.sense(&line);
        network.send(&corpus::path(CAPTURE));
        let ended = sensor.end().exits(0);
        assert_eq!(comparable(&ended.lines()), comparable(&scanned()));
        assert!(segments(&spool).is_empty());
    });
}

#[test]
fn every_connection_of_an_arrow_stream_begins_with_its_schema() {
    Network::run(|network| {
        let place = Place::new();
        let listener = place.listen();
        let mut sensor = network.sense(&place.spooled("--format arrows"));
        network.send(&corpus::path(CAPTURE));
        let (first, _) = listener.accept().unwrap();
        let mut seen: BTreeSet<String> = arrows(first).take(30).collect();
        // The reader went in the middle of the stream, and so did its socket.
        drop(listener);
        network.send_again(&corpus::path(CAPTURE), 2);
        sensor.wait_for("findings wait until they are taken");
        let listener = place.listen();
        let (second, _) = listener.accept().unwrap();
        let reader = thread::spawn(move || arrows(second).collect::<Vec<_>>());
        sensor.end().exits(0);
        seen.extend(reader.join().unwrap());
        assert_eq!(seen, place.written());
        assert_eq!(place.lost(), 0);
    });
}

#[test]
fn a_reader_that_comes_late_dies_and_comes_back_misses_nothing() {
    Network::run(|network| {
        for spool in [false, true] {
            let place = Place::new();
            let line = if spool { place.spooled("") } else { place.line("") };
            let mut sensor = network.sense(&line);
            network.send(&corpus::path(CAPTURE));
            sensor.wait_for("findings wait until they are taken");
            let listener = place.listen();
            let (first, _) = listener.accept().unwrap();
            let mut rows: Vec<Value> = BufReader::new(first)
                .lines()
                .take(10)
                .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
                .collect();
            network.send_again(&corpus::path(CAPTURE), 2);
            let reader = read_all(listener.accept().unwrap().0);
            sensor.end().exits(0);
            rows.extend(reader.join().unwrap());
            assert_eq!(ids(&rows), place.written(), "spool: {spool}");
            assert_eq!(place.lost(), 0);
        }
    });
}

#[test]
fn what_a_reader_does_not_take_in_time_is_delivered_after_the_next_start() {
    Network::run(|network| {
        let place = Place::new();
        let listener = place.listen();
        let sensor = network.sense(&place.spooled(""));
        network.send(&corpus::path(CAPTURE));
        // It reads nothing while the sensor runs.
        let (mut slow, _) = listener.accept().unwrap();
        let ended = sensor.end().exits(0);
        assert!(ended.stderr.contains("wait for the next start"), "{}", ended.stderr);
        assert_eq!(place.lost(), 0);
        assert!(!segments(&place.at("spool")).is_empty());
        let mut bytes = Vec::new();
        slow.read_to_end(&mut bytes).unwrap();
        let whole = bytes.split_inclusive(|byte| *byte == b'\n').filter(|it| it.ends_with(b"\n"));
        let mut rows: Vec<Value> =
            whole.map(|line| serde_json::from_slice(line).unwrap()).collect();
        let written = place.written();

        let sensor = network.sense(&place.spooled(""));
        let reader = read_all(listener.accept().unwrap().0);
        sensor.end().exits(0);
        let rest = reader.join().unwrap();
        assert!(!rest.is_empty());
        rows.extend(rest);
        assert_eq!(ids(&rows), written);
        assert!(segments(&place.at("spool")).is_empty());
    });
}

#[test]
fn what_was_spooled_survives_a_kill() {
    Network::run(|network| {
        let place = Place::new();
        let mut sensor = network.sense(&place.spooled(""));
        network.send(&corpus::path(CAPTURE));
        sensor.wait_for("findings wait until they are taken");
        let segments = segments(&place.at("spool"));
        // Within the moment rows can be read there, while the sensor goes on.
        let more_than = |count: usize| loop {
            let rows = Rows::open(&segments[0]).unwrap().map_while(Result::ok).count();
            if rows > count {
                return rows;
            }
            thread::yield_now();
        };
        let first = more_than(0);
        network.send_again(&corpus::path(CAPTURE), 2);
        more_than(first);
        sensor.kill();
        // As if the last batch had not been written whole.
        let bytes = std::fs::read(&segments[0]).unwrap();
        std::fs::write(&segments[0], &bytes[..bytes.len() - 10]).unwrap();

        let listener = place.listen();
        let sensor = network.sense(&place.spooled(""));
        let reader = read_all(listener.accept().unwrap().0);
        let ended = sensor.end().exits(0);
        assert!(ended.stderr.contains("up to its last whole batch"), "{}", ended.stderr);
        assert!(reader.join().unwrap().len() >= first);
    });
}

/// Runs a command of the shell with these paths as its arguments; what went wrong, if
/// anything did.
fn shell(command: &str, paths: &[&Path]) -> Result<(), String> {
    let output = Command::new("sh").args(["-c", command]).args(paths).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// A disk that loses its power: what is on it at some moment is in a copy of it that is
/// made while it is in use.
struct Disk {
    place: Place,
}

impl Disk {
    /// A disk, or why there is none.
    fn new() -> Result<Self, String> {
        let this = Self { place: Place::new() };
        for name in ["disk", "left"] {
            std::fs::create_dir(this.place.at(name)).unwrap();
        }
        shell("truncate -s 32M \"$0\" && mkfs.ext4 -q -F \"$0\"", &[&this.place.at("image")])?;
        std::fs::copy(this.place.at("image"), this.place.at("cut")).unwrap();
        this.copy_out().map(|_| this)
    }

    /// Where it is mounted for the sensor.
    fn mounted(&self) -> PathBuf {
        self.place.at("disk")
    }

    /// The files that a power cut at this moment leaves.
    fn cut(&self) -> PathBuf {
        std::fs::copy(self.place.at("image"), self.place.at("cut")).unwrap();
        self.copy_out().unwrap()
    }

    fn copy_out(&self) -> Result<PathBuf, String> {
        let [cut, disk, left] = ["cut", "disk", "left"].map(|name| self.place.at(name));
        let copy = "mount -o loop \"$0\" \"$1\" && cp -r \"$1/.\" \"$2\"";
        let copy = format!("unshare --mount sh -c '{copy}' \"$0\" \"$1\" \"$2\"");
        shell(&copy, &[&cut, &disk, &left]).map(|()| left)
    }

    /// Runs a test with a disk, or says why it is skipped.
    fn run(test: impl FnOnce(&Network, &Self) + Send) {
        Network::run(|network| match Self::new() {
            Ok(disk) => test(network, &disk),
            Err(why) => {
                let _ = writeln!(std::io::stderr(), "power cut: skipped: {why}");
            }
        });
    }
}

#[test]
fn what_was_spooled_survives_a_power_cut() {
    Disk::run(|network, disk| {
        let (socket, spool) = (disk.place.at("socket"), disk.mounted().join("spool"));
        let output = format!("-o unix:{} --spool {}", socket.display(), spool.display());
        let line = format!("-i {WATCHED} --messages {output} --metrics 127.0.0.1:0");
        let sensor = network.sense_on_image(&disk.mounted(), &disk.place.at("image"), &line);
        let address = sensor.said().split("http://").nth(1).unwrap().split('/').next().unwrap();
        network.send(&corpus::path(CAPTURE));
        let said = loop {
            let text = get(address, "/metrics");
            let value = text.lines().find_map(|line| line.strip_prefix("mcpwatch_spool_bytes "));
            match value.unwrap().parse::<u64>().unwrap() {
                0 => thread::yield_now(),
                bytes => break bytes,
            }
        };
        let segments = segments(&disk.cut().join("spool"));
        let size: u64 = segments.iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
        assert!(size >= said, "{size} of {said}");
        for segment in &segments {
            assert!(Rows::open(segment).unwrap().map_while(Result::ok).count() > 0);
        }
        sensor.kill();
    });
}

#[test]
fn files_that_were_finished_survive_a_power_cut() {
    Disk::run(|network, disk| {
        let file = disk.mounted().join("f.jsonl");
        let line = format!("-i {WATCHED} --messages --rotate 1s -o {}", file.display());
        let sensor = network.sense_on_image(&disk.mounted(), &disk.place.at("image"), &line);
        network.send(&corpus::path(CAPTURE));
        let seen = sensor.root().join(disk.mounted().strip_prefix("/").unwrap());
        let named = || {
            let names = std::fs::read_dir(&seen).unwrap().map(|it| it.unwrap().file_name());
            names.map(|name| name.into_string().unwrap()).find(|name| name.starts_with("f-"))
        };
        let name = loop {
            match named() {
                Some(name) => break name,
                None => thread::yield_now(),
            }
        };
        // Its name is there a moment before that is on the disk.
        thread::sleep(Duration::from_millis(500));
        let left = std::fs::read(disk.cut().join(&name)).unwrap();
        assert!(!left.is_empty());
        assert_eq!(left, std::fs::read(seen.join(&name)).unwrap());
        sensor.kill();
    });
}

#[test]
fn a_spool_over_its_size_loses_the_oldest_and_counts_them() {
    Network::run(|network| {
        let place = Place::new();
        let mut sensor = network.sense(&place.spooled("--spool-size 1M"));
        for index in 0..12 {
            network.send_again(&corpus::path(CAPTURE), index);
            let size: u64 = segments(&place.at("spool"))
                .iter()
                .map(|path| std::fs::metadata(path).map_or(0, |it| it.len()))
                .sum();
            assert!(size <= 1 << 20, "{size}");
        }
        sensor.wait_for("findings lost");
        sensor.end().exits(3);
        let (lost, written) = (place.lost(), place.written());
        assert!(lost > 0);

        let listener = place.listen();
        let sensor = network.sense(&place.spooled(""));
        let reader = read_all(listener.accept().unwrap().0);
        sensor.end().exits(0);
        let rows = reader.join().unwrap();
        assert_eq!(rows.len() as u64 + lost, written.len() as u64);
        // The newest are there: what was said at the end.
        assert_eq!(rows.last().unwrap()["kind"], "conversation");
        assert!(ids(&rows).is_subset(&written));
    });
}

#[test]
fn a_full_disk_does_not_come_between_a_reader_and_its_findings() {
    Network::run(|network| {
        let place = Place::new();
        let spool = place.at("spool");
        std::fs::create_dir(&spool).unwrap();
        let listener = place.listen();
        let mut sensor = network.sense_on_disk(&spool, "size=64k", &place.spooled(""));
        network.send(&corpus::path(CAPTURE));
        let reader = read_all(listener.accept().unwrap().0);
        sensor.wait_for("findings are not spooled");
        sensor.end().exits(0);
        assert_eq!(comparable(&reader.join().unwrap()), comparable(&scanned()));
        assert_eq!(place.lost(), 0);
    });
}

#[test]
fn what_cannot_be_is_said() {
    for (line, words) in [
        ("-o f.jsonl --spool s", "--spool needs an output that somebody takes"),
        ("-o unix:/nonexistent --spool s --spool-size 1K", "a spool needs at least"),
        ("-o unix:/nonexistent --format parquet", "is a format of files"),
        ("-o unix:/nonexistent --rotate 1h", "--rotate needs files"),
    ] {
        let said = run(&format!("sense -i lo {line}")).exits(2);
        let unwatched = said.stderr.contains("cap_net_raw");
        assert!(unwatched || said.stderr.contains(words), "{line}: {}", said.stderr);
    }
}
