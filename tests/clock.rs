//! A sensor whose clock is set while it runs: what the kernel says of when frames came
//! jumps by an hour, ahead and back.

use serde_json::{Value, json};

use crate::sense::json as read_json;
use crate::support::network::{Network, TimedWire, WATCHED};
use crate::support::wire::{Connection, Side, Wire};

/// Conversations under way.
const CLIENTS: u32 = 50;

/// How far the clock is ahead, one phase after the other.
const AHEAD: [i64; 6] = [0, 3600, 0, -3600, 3600, 0];

const SUMMARIES: &str = "1s";

fn post(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = "POST /mcp HTTP/1.1\r\nHost: tools.example\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn answer(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A request and its response.
fn exchange(phase: usize) -> (Vec<u8>, Vec<u8>) {
    let request = match phase {
        0 => {
            let client = json!({ "name": "agent", "version": "1" });
            let params = json!({
                "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client,
            });
            json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })
        }
        _ => {
            let params = json!({ "name": format!("tool{phase}"), "arguments": {} });
            json!({ "jsonrpc": "2.0", "id": phase, "method": "tools/call", "params": params })
        }
    };
    let result = match phase {
        0 => json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "serverInfo": { "name": "server", "version": "1" },
        }),
        _ => json!({ "content": [{ "type": "text", "text": "done" }] }),
    };
    (post(&request), answer(&json!({ "jsonrpc": "2.0", "id": phase, "result": result })))
}

/// The frames of each phase: a request is begun in it and ended in the next one.
fn phases() -> Vec<Vec<Vec<u8>>> {
    let mut wire = Wire::new();
    let mut connections: Vec<Connection> = (0..CLIENTS)
        .map(|client| wire.connect(&format!("192.0.2.{}", client + 1), "198.51.100.7:80"))
        .collect();
    let mut phases = Vec::new();
    for phase in 0..=AHEAD.len() {
        for connection in &mut connections {
            if phase > 0 {
                let (request, response) = exchange(phase - 1);
                wire.send(connection, Side::Client, &request[40..]);
                wire.send(connection, Side::Server, &response);
            }
            if phase < AHEAD.len() {
                wire.send(connection, Side::Client, &exchange(phase).0[..40]);
            }
        }
        if phase == AHEAD.len() {
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
                "-i {WATCHED} --workers {workers} --messages --summary-interval {SUMMARIES} \
                 --rotate 1s -o {} --stats {}",
                path("findings.jsonl").display(),
                path("stats.json").display()
            );
            let sensor = network.sense(&line);
            let mut wire = TimedWire::open();
            let phases = phases();
            let ahead = AHEAD.into_iter().chain([0]);
            for (frames, ahead) in phases.iter().zip(ahead) {
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
            assert_eq!(flow["tcp_flows"], CLIENTS, "{flow:#}");
            for none in ["flows_timed_out", "flows_evicted", "stray_segments", "late_segments"] {
                assert_eq!(flow[none], 0, "{none}: {flow:#}");
            }
            let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
            let files: Vec<_> = files.filter(|path| path.extension().unwrap() == "jsonl").collect();
            assert!(files.len() > 2, "{files:?}");
            let text: String =
                files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
            let rows: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let of_kind = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
            // Every request and every response.
            let clients = CLIENTS as usize;
            assert_eq!(of_kind("message"), 2 * clients * AHEAD.len());
            let (ongoing, over): (Vec<_>, Vec<_>) = rows
                .iter()
                .filter(|row| row["kind"] == "conversation")
                .partition(|row| row["ongoing"] == true);
            assert_eq!(over.len(), clients);
            assert!(over.iter().all(|row| row["mcp"]["tools"].as_array().unwrap().len() == 5));
            // Some while they went on, and no more than one for what each phase brought.
            assert!(ongoing.len() >= clients, "{}", ongoing.len());
            assert!(ongoing.len() <= clients * AHEAD.len(), "{}", ongoing.len());
        });
    }
}
