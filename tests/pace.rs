//! What a sensor says again and again of the same conversation, client and server: as
//! often as it is told to, the same for any number of workers.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use mcpwatch::Engine;
use mcpwatch::capture::LinkType;
use mcpwatch::detect::{FindingOptions, Pace};
use mcpwatch::findings::{Kind, Row};

use crate::support::corpus::path;
use crate::support::packet::{self, Frame};
use crate::support::scan::{self, Found};

/// Twenty conversations of one client address with one server, made to last thirty
/// times as long.
fn slow() -> Vec<u8> {
    let mut frames: Vec<Frame> = packet::read(&path("p-py130-20sessions.pcap"));
    let begin = frames[0].nanos;
    frames.iter_mut().for_each(|frame| frame.nanos = begin + (frame.nanos - begin) * 30);
    packet::pcap(LinkType::ETHERNET, &frames)
}

fn scanned(pace: Pace, workers: usize) -> Found {
    let options = FindingOptions { pace, ..scan::plain() };
    let engine = Engine::builder().findings(options).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("slow.pcap");
    std::fs::write(&capture, slow()).unwrap();
    scan::files(&engine, NonZeroUsize::new(workers).unwrap(), [capture])
}

fn requests(row: &Row) -> u64 {
    row.mcp.methods.iter().map(|method| method.requests).sum()
}

#[test]
fn conversations_that_go_on_are_summed_up() {
    let pace = Pace { summary_interval: Some(Duration::from_secs(2)), ..Pace::default() };
    let paced = scanned(pace, 1).rows;
    let (ongoing, others): (Vec<Row>, Vec<Row>) =
        paced.iter().cloned().partition(|row| row.ongoing == Some(true));
    assert_eq!(others, scanned(Pace::default(), 1).rows);
    assert_eq!(paced, scanned(pace, 3).rows);

    let of = |row: &Row| row.kind == Kind::Conversation;
    let ends: BTreeMap<&str, &Row> =
        others.iter().filter(|row| of(row)).map(|row| (row.id.as_str(), row)).collect();
    let mut last: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in &ongoing {
        assert!(of(row) && row.title.ends_with("so far"), "{row:?}");
        let end = ends[row.id.as_str()];
        assert!(requests(row) <= requests(end) && row.end_time <= end.end_time);
        if let Some(before) = last.insert(&row.id, row) {
            // There was news, and not too soon.
            assert!(row.end_time > before.end_time);
        }
    }
    let often = ongoing.len() / last.len();
    assert!((2..=10).contains(&often), "{} of {}", ongoing.len(), last.len());
}

#[test]
fn repeats_between_a_client_and_a_server_have_a_limit() {
    let all = scanned(Pace::default(), 1).rows;
    let found = scanned(Pace { repeats: Some(3), ..Pace::default() }, 2);
    let count = |rows: &[Row], kind| rows.iter().filter(|row| row.kind == kind).count();
    for kind in [Kind::Conversation, Kind::Message] {
        assert_eq!(count(&found.rows, kind), count(&all, kind));
    }
    let mut sorts: BTreeMap<_, usize> = BTreeMap::new();
    for row in found.rows.iter().filter(|row| row.kind == Kind::Detection) {
        let flow = &row.flow;
        *sorts.entry((flow.client.ip(), flow.server, row.confidence)).or_default() += 1;
    }
    assert!(sorts.values().all(|count| *count == 3), "{sorts:?}");
    let left_out = all.len() - found.rows.len();
    assert!(left_out > 10);
    assert_eq!(found.statistics.collector.repeats_limited, left_out as u64);
}

#[test]
fn messages_of_a_conversation_have_a_limit_by_second() {
    let all = scanned(Pace::default(), 1).rows;
    let found = scanned(Pace { messages: Some(1), ..Pace::default() }, 2);
    let mut seen = BTreeSet::new();
    let of = |row: &&Row| row.kind == Kind::Message && row.mcp.session_id.is_some();
    for row in found.rows.iter().filter(of) {
        let second = row.time.as_nanos() / 1_000_000_000;
        assert!(seen.insert((row.mcp.session_id.clone(), second)), "{row:?}");
    }
    let left_out = all.len() - found.rows.len();
    assert!(left_out > 10 && !seen.is_empty());
    assert_eq!(found.statistics.collector.message_rows_limited, left_out as u64);
    // Nothing of it is missing in the sums.
    let sums = |rows: &[Row]| -> Vec<Row> {
        rows.iter().filter(|row| row.kind == Kind::Conversation).cloned().collect()
    };
    assert_eq!(sums(&found.rows), sums(&all));
}
