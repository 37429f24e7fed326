//! QUIC connections that go on at other addresses, or begin anew after a Retry.

use std::num::NonZeroUsize;

use mcpwatch::Engine;
use mcpwatch::capture::LinkType;
use mcpwatch::findings::Kind;
use mcpwatch::stream::tls::KeyStore;

use crate::support::corpus;
use crate::support::packet::{self, Frame};
use crate::support::scan::{self, Found};

const ETHERNET: usize = 14;
const UDP: u8 = 17;
/// Where the client goes on.
const OTHER_PORT: u16 = 61_234;

/// Gives the client of a capture of QUIC over IPv4 another port, from the middle
/// on: what a NAT does that has forgotten the connection.
fn rebind(frames: &mut [Frame], server_port: u16) -> usize {
    let middle = frames.len() / 2;
    let mut moved = 0;
    for frame in &mut frames[middle..] {
        let udp = ETHERNET + usize::from(frame.data[ETHERNET] & 15) * 4;
        if frame.data[ETHERNET + 9] != UDP {
            continue;
        }
        let source = u16::from_be_bytes([frame.data[udp], frame.data[udp + 1]]);
        let client = if source == server_port { udp + 2 } else { udp };
        frame.data[client..client + 2].copy_from_slice(&OTHER_PORT.to_be_bytes());
        // No checksum (RFC 768).
        frame.data[udp + 6..udp + 8].fill(0);
        moved += 1;
    }
    moved
}

fn messages(found: &Found) -> Vec<(Option<String>, Option<String>)> {
    let rows = found.rows.iter().filter(|row| row.kind == Kind::Message);
    rows.map(|row| (row.mcp.method.clone(), row.mcp.jsonrpc_id.clone())).collect()
}

fn conversations(found: &Found) -> usize {
    found.rows.iter().filter(|row| row.kind == Kind::Conversation).count()
}

#[test]
fn a_connection_that_moves_stays_one_conversation() {
    for name in ["p-quic-h3-hypercorn", "p-quic-h3-caddy"] {
        let keys = std::fs::read(corpus::path(&format!("{name}.keys.log"))).unwrap();
        let keys = KeyStore::load(&keys).unwrap();
        let engine = Engine::builder().findings(scan::plain()).keys(keys).build().unwrap();
        let whole = scan::file(&engine, &corpus::path(&format!("{name}.pcap")));
        let mut frames = packet::read(&corpus::path(&format!("{name}.pcap")));
        assert!(rebind(&mut frames, 8443) > 10);
        let capture = packet::pcap(LinkType::ETHERNET, &frames);
        let moved = scan::bytes(&engine, capture.clone());
        assert_eq!(moved.statistics.flow.flows_moved, 1, "{name}");
        assert_eq!(conversations(&moved), 1, "{name}");
        assert_eq!(messages(&moved), messages(&whole), "{name}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), capture).unwrap();
        let workers = NonZeroUsize::new(3).unwrap();
        assert_eq!(messages(&scan::files(&engine, workers, [file.path()])), messages(&whole));
    }
}

#[test]
fn a_retry_does_not_make_a_second_conversation() {
    let captures = corpus::captures();
    let retried: Vec<_> = captures.iter().filter(|c| c.name.ends_with("-retry.pcap")).collect();
    assert_eq!(retried.len(), 2);
    for capture in retried {
        let engine = scan::engine(capture);
        let found = scan::file(&engine, &capture.path());
        let quic = &found.statistics.stream.quic;
        assert_eq!(
            (quic.retries, quic.stray_retries, quic.restarts),
            (1, 0, 1),
            "{}",
            capture.name
        );
        assert_eq!(quic.connections, 1, "{}", capture.name);
        assert_eq!(conversations(&found), 1, "{}", capture.name);
        assert_eq!(messages(&found).len(), 19, "{}", capture.name);
        // What the Retry came for first is forgotten: without it, all is the same.
        let mut frames = packet::read(&capture.path());
        frames.drain(..2);
        let rest = scan::bytes(&engine, packet::pcap(LinkType::ETHERNET, &frames));
        assert_eq!(rest.statistics.stream.quic.retries, 0);
        assert_eq!(messages(&rest), messages(&found), "{}", capture.name);
    }
}
