//! TLS key logs: the same secrets and errors however a log grows.
//!
//! Input: a seed for the cuts, then the log.

use mcpwatch::stream::tls::{KeyLogCounters, KeyLogReader, KeyStore};

use super::input::{Cut, Input};

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.byte();
    let log = input.rest();
    let whole = read(log, Cut::Whole);
    for cut in Cut::others(seed) {
        assert_eq!(read(log, cut), whole, "{cut:?}");
    }
    match KeyStore::load(log) {
        Ok(_) => assert!(KeyLogReader::whole(log).errors().is_empty()),
        Err(errors) => assert!(errors.iter().all(|error| error.line > 0 && error.column > 0)),
    }
}

fn read(log: &[u8], cut: Cut) -> (Vec<String>, KeyLogCounters) {
    let mut reader = KeyLogReader::new();
    let mut errors = Vec::new();
    let mut counters = KeyLogCounters::default();
    let mut store = KeyStore::new();
    for piece in cut.pieces(log) {
        let part = reader.read(piece);
        errors.extend(part.errors().iter().map(ToString::to_string));
        counters.merge(part.counters());
        store = store.extended(part);
    }
    assert_eq!(store.is_empty(), counters.secrets == 0);
    (errors, counters)
}
