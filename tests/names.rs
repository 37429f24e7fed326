//! Names from DNS: signals by themselves, and the names of servers that nothing
//! else names.

use std::num::NonZeroUsize;

use mcpwatch::capture::LinkType;
use mcpwatch::findings::{Confidence, Kind, Row};

use crate::support::corpus;
use crate::support::http::answer;
use crate::support::packet::{self, Segment};
use crate::support::scan::{self, ENGINE, Found};
use crate::support::wire::{Side, Wire};

const CLIENT: &str = "192.0.2.1";
const SERVER: &str = "198.51.100.7:8443";
const RESOLVER: &str = "192.0.2.53:53";

/// A DNS message: flags, the name asked for, and records with their type and data.
fn message(flags: u16, name: &str, records: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34];
    for number in [flags, 1, records.len() as u16, 0, 0] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(labels(name));
    bytes.extend([0, 1, 0, 1]);
    for (owner, kind, data) in records {
        bytes.extend(labels(owner));
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 1, 44]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// A client asks over TCP, `cut` bytes at a time, and then calls a tool at the
/// address, without a word about the server's name.
fn resolved_over_tcp(cut: usize) -> Found {
    let mut wire = Wire::new();
    let mut dns = wire.connect(CLIENT, RESOLVER);
    let query = message(0x0100, "tools.example.com", &[]);
    let records = [
        ("tools.example.com", 5, labels("edge.example.net")),
        ("edge.example.net", 1, vec![198, 51, 100, 7]),
    ];
    let response = message(0x8180, "tools.example.com", &records);
    for piece in framed(&query).chunks(cut) {
        wire.send(&mut dns, Side::Client, piece);
    }
    for piece in framed(&response).chunks(cut) {
        wire.send(&mut dns, Side::Server, piece);
    }
    wire.close(dns);
    let mut http = wire.connect(CLIENT, SERVER);
    let call =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
    let head = format!(
        "POST /rpc HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        call.len()
    );
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}]}}"#;
    let answer = answer(200, "application/json", result);
    wire.exchange(&mut http, (head + call).as_bytes(), &answer);
    wire.close(http);
    scan::bytes(&ENGINE, wire.pcap())
}

fn names(rows: &[Row]) -> Vec<Option<&str>> {
    rows.iter().map(|row| row.flow.server_name.as_deref()).collect()
}

#[test]
fn dns_over_tcp_names_a_server_that_nothing_else_names() {
    for cut in [1, 7, 1000] {
        let found = resolved_over_tcp(cut);
        assert_eq!(found.statistics.stream.connection.dns, 1);
        assert!(found.rows.iter().any(|row| row.confidence == Confidence::Confirmed));
        let names = names(&found.rows);
        assert!(names.iter().all(|name| *name == Some("tools.example.com")), "{names:?}");
    }
}

#[test]
fn a_name_behind_an_alias_is_a_signal() {
    let scan = |target: &str| {
        let mut wire = Wire::new();
        let mut dns = wire.connect(CLIENT, RESOLVER);
        let query = framed(&message(0x0100, "tools.example.com", &[]));
        let records = [("tools.example.com", 5, labels(target))];
        let response = framed(&message(0x8180, "tools.example.com", &records));
        wire.exchange(&mut dns, &query, &response);
        wire.close(dns);
        scan::bytes(&ENGINE, wire.pcap()).rows
    };
    assert_eq!(scan("edge.example.net").len(), 0);
    let rows = scan("mcp.stripe.com");
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row.confidence == Confidence::Likely), "{rows:?}");
}

/// The conversations of a recorded capture with a name server in it: client,
/// what TLS and HTTP call the server, and what DNS does.
fn named(found: &Found) -> Vec<[Option<&str>; 4]> {
    let conversations = found.rows.iter().filter(|row| row.kind == Kind::Conversation);
    let mut named: Vec<_> = conversations
        .filter(|row| row.confidence == Confidence::Confirmed)
        .map(|row| {
            let names = [&row.mcp.client_name, &row.tls.sni, &row.http.host, &row.flow.server_name];
            names.map(Option::as_deref)
        })
        .collect();
    named.sort_unstable();
    named
}

#[test]
fn recorded_dns_names_a_server_that_tls_does_not() {
    let captures = corpus::captures();
    let capture = captures.iter().find(|capture| capture.name == "p-dns-tls13.pcap").unwrap();
    let engine = scan::engine(capture);
    let books = "books.corp.test";
    let expected = [
        [Some("reading-desk"), Some(books), Some("books.corp.test:8443"), Some(books)],
        [Some("walker"), None, Some("10.20.0.12:8444"), Some("tools.corp.test")],
    ];
    for workers in [1, 3] {
        let workers = NonZeroUsize::new(workers).unwrap();
        let found = scan::files(&engine, workers, [capture.path()]);
        assert_eq!(named(&found), expected);
        // Answers that were cut, and were asked for again over TCP.
        assert_eq!(found.statistics.stream.connection.dns, 1);
    }
    // Without that connection only `_mcp.corp.test` leads there, a service of `corp.test`.
    let mut frames = packet::read(&capture.path());
    frames.retain(|frame| !Segment::parse(frame).is_some_and(|segment| speaks_to(&segment, 53)));
    let found = scan::bytes(&engine, packet::pcap(LinkType::ETHERNET, &frames));
    assert_eq!(found.statistics.stream.connection.dns, 0);
    assert_eq!(named(&found)[1][3], Some("corp.test"));
}

fn speaks_to(segment: &Segment, port: u16) -> bool {
    let (from, to) = segment.way();
    [from.port(), to.port()].contains(&port)
}

#[test]
fn a_catalogued_name_that_was_looked_up_is_likely() {
    let found = scan::file(&ENGINE, &corpus::path("p-dns-nokey-nosni-mcp.stripe.com.pcap"));
    let highest = found.rows.iter().map(|row| row.confidence).max();
    assert_eq!(highest, Some(Confidence::Likely));
    let evidence = found.rows.iter().filter_map(|row| row.evidence.as_deref());
    assert!(evidence.eq(["DNS name mcp.stripe.com"; 2]), "{:?}", found.rows);
}
