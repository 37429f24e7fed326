//! A sensor whose clock is set while it runs: what the kernel says of when frames came
//! jumps by an hour, ahead and back. And hours that do pass.

use std::io::Cursor;
use std::num::NonZeroUsize;
use std::time::Duration;

use mcpwatch::capture::{Block, Fill, LinkType, Reader, SourceId};
use mcpwatch::engine::BlockSource;
use mcpwatch::findings::Row;
use serde_json::{Value, json};

use crate::sense::json as read_json;
use crate::support::compare::{Tolerance, difference};
use crate::support::corpus::path;
use crate::support::network::{Network, TimedWire, WATCHED};
use crate::support::packet::{self, Frame, pcap};
use crate::support::scan::{self, ENGINE, Found};
use crate::support::wire::{Connection, Side, Wire};

/// Clients that speak in every phase, and as many that are silent in between.
const CLIENTS: usize = 50;

/// How far the clock is ahead, one phase after the other.
const AHEAD: [i64; 6] = [0, 3600, 0, -3600, 3600, 0];

/// Bytes of a request that silent clients send before the clock is set.
const BEGUN: usize = 40;

/// An HTTP message of a session.
fn http(start: &str, session: usize, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let fields = format!("Content-Type: application/json\r\nMcp-Session-Id: session-{session}");
    format!("{start}\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The request and the response of that number in a session.
fn exchange(session: usize, number: usize) -> [Vec<u8>; 2] {
    let (method, params, result) = match number {
        0 => {
            let client = json!({ "name": "agent", "version": "1" });
            let opening = json!({
                "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client,
            });
            let answer = json!({
                "protocolVersion": "2025-06-18", "capabilities": {},
                "serverInfo": { "name": "server", "version": "1" },
            });
            ("initialize", opening, answer)
        }
        _ => {
            let call = json!({ "name": format!("tool{number}"), "arguments": {} });
            ("tools/call", call, json!({ "content": [{ "type": "text", "text": "done" }] }))
        }
    };
    let request = json!({ "jsonrpc": "2.0", "id": number, "method": method, "params": params });
    let response = json!({ "jsonrpc": "2.0", "id": number, "result": result });
    let start = "POST /mcp HTTP/1.1\r\nHost: tools.example";
    [http(start, session, &request), http("HTTP/1.1 200 OK", session, &response)]
}

/// The frames of each phase.
fn phases() -> Vec<Vec<Vec<u8>>> {
    let mut wire = Wire::new();
    let mut connections: Vec<Connection> = (0..2 * CLIENTS)
        .map(|client| wire.connect(&format!("192.0.2.{}", client + 1), "198.51.100.7:80"))
        .collect();
    let last = AHEAD.len() - 1;
    let mut phases = Vec::new();
    for phase in 0..=last {
        for (session, connection) in connections.iter_mut().enumerate() {
            let speaks = session < CLIENTS;
            if speaks || phase == 0 {
                let [request, response] = exchange(session, phase);
                wire.exchange(connection, &request, &response);
            }
            let [request, response] = exchange(session, 1);
            if !speaks && phase == 0 {
                wire.send(connection, Side::Client, &request[..BEGUN]);
            }
            if !speaks && phase == last {
                wire.exchange(connection, &request[BEGUN..], &response);
            }
        }
        if phase == last {
            connections.drain(..).for_each(|connection| wire.close(connection));
        }
        phases.push(wire.take_frames());
    }
    phases
}

#[test]
fn a_clock_that_is_set_costs_nothing() {
    for workers in [1, 3] {
        Network::run(|network| {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            let line = format!(
                "-i {WATCHED} --workers {workers} --messages --summary-interval 1s \
                 --rotate 1s -o {} --stats {}",
                path("findings.jsonl").display(),
                path("stats.json").display()
            );
            let sensor = network.sense(&line);
            let mut wire = TimedWire::open();
            for (frames, ahead) in phases().iter().zip(AHEAD) {
                frames.iter().for_each(|frame| wire.send(frame, ahead));
                // Nothing comes for a while, and the system's clock tells the time.
                std::thread::sleep(std::time::Duration::from_millis(1500));
            }
            sensor.end().exits(0);
            let counted = read_json(&path("stats.json"));
            let interface = &counted["interfaces"][0];
            for (counter, value) in [("received", wire.sent), ("frames", wire.sent), ("lost", 0)] {
                assert_eq!(interface[counter], value, "{counter}: {counted:#}");
            }
            let flow = &counted["flow"];
            // Every connection is one from its handshake to its end.
            assert_eq!([&flow["tcp_flows"], &flow["flows_finished"]], [2 * CLIENTS; 2]);
            assert_eq!([&flow["midstream_flows"], &flow["gaps"], &flow["stray_segments"]], [0; 3]);
            let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
            let files: Vec<_> = files.filter(|path| path.extension().unwrap() == "jsonl").collect();
            assert!(files.len() > 2, "{files:?}");
            let text: String =
                files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
            let rows: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let of_kind = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
            // Every request and every response.
            assert_eq!(of_kind("message"), 2 * CLIENTS * (AHEAD.len() + 2));
            let (ongoing, over): (Vec<_>, Vec<_>) = rows
                .iter()
                .filter(|row| row["kind"] == "conversation")
                .partition(|row| row["ongoing"] == true);
            let mut tools: Vec<_> =
                over.iter().map(|row| row["mcp"]["tools"].as_array().unwrap().len()).collect();
            tools.sort_unstable();
            assert_eq!(tools, [[1; CLIENTS], [AHEAD.len() - 1; CLIENTS]].concat());
            // Some while they went on, and no more than one for what each phase brought.
            assert!(ongoing.len() >= CLIENTS, "{}", ongoing.len());
            assert!(ongoing.len() <= CLIENTS * (AHEAD.len() + 2), "{}", ongoing.len());
        });
    }
}

const HOUR: i64 = 3_600_000_000_000;

/// Captures of different transports.
const CAPTURES: [&str; 4] = [
    "p-py130-20sessions.pcap",
    "p-py130-sse-full.pcap",
    "p-legacysse-ts1.pcap",
    "p-ws-py130-deflate.pcap",
];

/// A capture as a sensor would have read it: frames, or none, and what a clock that
/// nobody sets shows then.
struct Parts(std::vec::IntoIter<(Vec<Frame>, Duration)>);

impl BlockSource for Parts {
    fn fill(&mut self, block: &mut Block) -> Fill {
        let Some((frames, clock)) = self.0.next() else { return Fill::End };
        if frames.is_empty() {
            block.release();
        } else {
            let capture = Cursor::new(pcap(LinkType::ETHERNET, &frames));
            let mut reader = Reader::new("part", SourceId(0), capture).unwrap();
            assert_eq!(reader.fill(block).unwrap(), Fill::Block);
        }
        block.set_clock(clock);
        Fill::Block
    }
}

/// The frames of a capture, in parts.
fn parts(name: &str) -> Vec<Vec<Frame>> {
    let frames = packet::read(&path(name));
    frames.chunks(frames.len().div_ceil(AHEAD.len())).map(<[Frame]>::to_vec).collect()
}

fn sensed(parts: Vec<(Vec<Frame>, Duration)>, workers: usize) -> Found {
    let workers = NonZeroUsize::new(workers).unwrap();
    let mut rows: Vec<Row> = Vec::new();
    let statistics = ENGINE.replay(workers, &mut Parts(parts.into_iter()), &mut rows);
    Found { rows, statistics, errors: Vec::new() }
}

fn same(name: &str, expected: &Found, found: &Found) {
    let objections = difference(&expected.rows, &found.rows, Tolerance::default());
    assert!(objections.is_empty(), "{name}\n{objections}");
    assert_eq!(expected.statistics.flow, found.statistics.flow, "{name}");
}

#[test]
fn flows_go_on_where_the_clock_is_set() {
    for name in CAPTURES {
        let whole = scan::file(&ENGINE, &path(name));
        let mut live = Vec::new();
        let mut begun = None;
        for (mut frames, ahead) in parts(name).into_iter().zip(AHEAD) {
            let passed = frames.last().unwrap().nanos - *begun.get_or_insert(frames[0].nanos);
            frames.iter_mut().for_each(|frame| frame.nanos += ahead * 1_000_000_000);
            live.push((frames, Duration::from_nanos(passed.try_into().unwrap())));
        }
        for workers in [1, 3] {
            same(name, &whole, &sensed(live.clone(), workers));
        }
        // In a file there are only the times of frames, and hours apart they are.
        let frames: Vec<Frame> = live.into_iter().flat_map(|(frames, _)| frames).collect();
        let file = scan::bytes(&ENGINE, pcap(LinkType::ETHERNET, &frames));
        assert!(file.statistics.flow.flows_timed_out > 0, "{name}");
    }
}

#[test]
fn hours_that_pass_end_flows() {
    for name in CAPTURES {
        let mut live = Vec::new();
        let mut now = 0;
        let mut begun = None;
        for (mut frames, hours) in parts(name).into_iter().zip(0..) {
            frames.iter_mut().for_each(|frame| frame.nanos += hours * HOUR);
            now = frames.last().unwrap().nanos - *begun.get_or_insert(frames[0].nanos);
            live.push((frames, Duration::from_nanos(now.try_into().unwrap())));
        }
        let frames: Vec<Frame> = live.iter().flat_map(|(frames, _)| frames.clone()).collect();
        let file = scan::bytes(&ENGINE, pcap(LinkType::ETHERNET, &frames));
        assert!(file.statistics.flow.flows_timed_out > 0, "{name}");
        // Captures that follow one another.
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = live
            .iter()
            .zip(0..)
            .map(|((frames, _), index)| {
                let path = folder.path().join(format!("{index}.pcap"));
                std::fs::write(&path, pcap(LinkType::ETHERNET, frames)).unwrap();
                path
            })
            .collect();
        for workers in [1, 3] {
            let workers = NonZeroUsize::new(workers).unwrap();
            same(name, &file, &scan::files(&ENGINE, workers, &paths));
        }
        // A sensor is told of the hours in which nothing comes, or finds that they were.
        for told in [true, false] {
            let silence = |clock: Duration| {
                let quarters = (1..4).map(|quarter| clock + quarter * Duration::from_secs(900));
                quarters.filter(|_| told).map(|clock| (Vec::new(), clock)).collect::<Vec<_>>()
            };
            let parts = live.iter().flat_map(|(frames, clock)| {
                [vec![(frames.clone(), *clock)], silence(*clock)].concat()
            });
            let parts: Vec<_> = parts.collect();
            for workers in [1, 3] {
                let mut found = sensed(parts.clone(), workers);
                // At the end a sensor waits on; the file is over.
                let [open, over] = [&file, &found].map(|found| {
                    let flow = &found.statistics.flow;
                    flow.flows_open_at_end + flow.flows_timed_out
                });
                assert_eq!(open, over, "{name}");
                found.statistics.flow.flows_open_at_end = file.statistics.flow.flows_open_at_end;
                found.statistics.flow.flows_timed_out = file.statistics.flow.flows_timed_out;
                same(name, &file, &found);
            }
        }
        assert!(now > 4 * HOUR, "{name}");
    }
}
