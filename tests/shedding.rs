//! Under overload the sensor leaves things out in a stated order: bodies without a
//! sign of MCP first, new encrypted connections next, each whole and counted.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use mcpwatch::Engine;
use mcpwatch::capture::{Block, Fill, Inputs, Pressure, Replay};
use mcpwatch::engine::{BlockSource, Statistics};
use mcpwatch::findings::{Kind, Row};

use crate::support::corpus::{self, Label};
use crate::support::scan;

/// Captures, one after the other, each under a pressure of its own.
struct Pressed {
    captures: Vec<(Replay, Pressure)>,
}

impl BlockSource for Pressed {
    fn fill(&mut self, block: &mut Block) -> Fill {
        while let Some((replay, pressure)) = self.captures.first_mut() {
            if replay.fill(block) == Fill::Block {
                block.set_pressure(*pressure);
                return Fill::Block;
            }
            self.captures.remove(0);
        }
        Fill::End
    }
}

/// What is found in captures, each under a pressure of its own.
fn found(
    engine: &Engine,
    workers: usize,
    captures: &[(PathBuf, Pressure)],
) -> (Vec<Row>, Statistics) {
    let replay = |path: &PathBuf| Replay::new(Inputs::expand([path]));
    let captures = captures.iter().map(|(path, pressure)| (replay(path), *pressure)).collect();
    let mut rows: Vec<Row> = Vec::new();
    let workers = NonZeroUsize::new(workers).unwrap();
    let statistics = engine.replay(workers, &mut Pressed { captures }, &mut rows);
    (rows, statistics)
}

fn conversations(rows: Vec<Row>) -> Vec<Row> {
    rows.into_iter().filter(|row| row.kind == Kind::Conversation).collect()
}

#[test]
fn no_conversation_is_seen_by_half() {
    let mut shed = 0;
    let mut kept = 0;
    for capture in corpus::captures() {
        let engine = scan::engine(&capture);
        let all = conversations(found(&engine, 1, &[(capture.path(), Pressure::None)]).0);
        for pressure in [Pressure::Bodies, Pressure::Encrypted] {
            let (rows, statistics) = found(&engine, 1, &[(capture.path(), pressure)]);
            let rows = conversations(rows);
            let left_out = statistics.body.shed + statistics.observer.encrypted_shed;
            let what = format!("{} under {pressure:?}: {left_out} left out", capture.name);
            for row in &rows {
                let methods = |row: &Row| (row.mcp.methods.clone(), row.mcp.tools.clone());
                let whole = all.iter().any(|other| methods(other) == methods(row));
                assert!(whole, "{what}: {:?} of {all:#?}", row.mcp);
            }
            assert!(rows.len() == all.len() || left_out > 0, "{what}");
            kept += rows.len();
            shed += left_out;
        }
    }
    assert!(shed > 100 && kept > 100, "{shed} left out, {kept} conversations whole");
}

#[test]
fn what_shows_a_sign_of_mcp_is_read() {
    let path = corpus::path("p-py130-20sessions.pcap");
    let all = found(&scan::ENGINE, 1, &[(path.clone(), Pressure::None)]).0;
    for workers in [1, 3] {
        let (rows, statistics) =
            found(&scan::ENGINE, workers, &[(path.clone(), Pressure::Encrypted)]);
        assert_eq!(rows, all);
        assert_eq!((statistics.body.shed, statistics.observer.encrypted_shed), (0, 0));
    }
}

#[test]
fn bodies_without_a_sign_go_first_and_are_counted() {
    let path = corpus::path("n-eth-jsonrpc.pcap");
    let read = |pressure| {
        let body = found(&scan::ENGINE, 2, &[(path.clone(), pressure)]).1.body;
        (body.json, body.shed)
    };
    let (json, none) = read(Pressure::None);
    assert!(json > 0 && none == 0, "{json} {none}");
    assert_eq!(read(Pressure::Bodies), (0, json));
    // As soon as the pressure is off, bodies are read again.
    let next = corpus::path("n-jsonrpc-other.pcap");
    let then = found(&scan::ENGINE, 2, &[(next.clone(), Pressure::None)]).1.body.json;
    let body = found(&scan::ENGINE, 2, &[(path, Pressure::Bodies), (next, Pressure::None)]).1.body;
    assert!(then > 0);
    assert_eq!((body.json, body.shed), (then, json));
}

#[test]
fn encrypted_connections_go_next_and_are_counted() {
    let capture = corpus::captures()
        .into_iter()
        .find(|it| it.label == Label::Mcp && it.layers.tls && it.name.contains("uvicorn"))
        .unwrap();
    let engine = scan::engine(&capture);
    let shed = |pressure| {
        let (rows, statistics) = found(&engine, 1, &[(capture.path(), pressure)]);
        let workers: u64 = statistics.workers.iter().map(|worker| worker.encrypted_shed).sum();
        assert_eq!(workers, statistics.observer.encrypted_shed);
        (conversations(rows).len(), statistics.observer.encrypted_shed)
    };
    let (all, none) = shed(Pressure::None);
    assert!(all > 0 && none == 0);
    assert_eq!(shed(Pressure::Bodies).1, 0);
    let (some, left_out) = shed(Pressure::Encrypted);
    assert!(left_out > 0 && some < all, "{some} of {all}, {left_out} left out");
}
