//! A sensor whose clock is set while it runs: what the kernel says of when frames came
//! jumps by an hour, ahead and back.

use serde_json::{Value, json};

use crate::sense::json as read_json;
use crate::support::network::{Network, TimedWire, WATCHED};
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
            let [flows, over, lost] = ["tcp_flows", "flows_timed_out", "flows_evicted"]
                .map(|counter| flow[counter].as_u64().unwrap() as usize);
            // Connections are over whose own segments are an hour apart, and go on as others;
            // none is for what the clock says.
            assert!(over <= 2 * CLIENTS, "{flow:#}");
            assert_eq!((flows - over, lost), (2 * CLIENTS, 0), "{flow:#}");
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
