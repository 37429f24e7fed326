//! Who approved a server shows in every row about it.

use std::collections::BTreeMap;

use mcpwatch::Engine;
use mcpwatch::findings::Governance::{
    self, Denied, Internal, KnownUnsanctioned, Portal, Sanctioned, Shadow, Unreviewed,
};
use mcpwatch::findings::{Confidence, Kind, Row, Severity};
use mcpwatch::policy::Policy;

use crate::support::corpus::path;
use crate::support::http::{Request, answer};
use crate::support::scan::{self, plain};
use crate::support::wire::Wire;

const BOOKS: &str = "books.corp.test:8000";
const LEGACY: &str = "legacy.corp.test:3001";
const TOOLS: &str = "tools.corp.test:8080";

#[test]
fn the_servers_of_the_quick_start() {
    let cases: &[(&str, [Governance; 3])] = &[
        // Addresses of private networks are internal where nothing else is said.
        ("", [Internal, Internal, Internal]),
        ("[internal]\nnetworks = []", [Shadow, Shadow, Shadow]),
        ("[internal]\nnetworks = [\"10.20.0.11\"]", [Shadow, Internal, Shadow]),
        ("[portal]\nhosts = [\"books.corp.test\"]", [Portal, Internal, Internal]),
        ("[sanctioned]\nhosts = [\"*.corp.test\"]", [Sanctioned, Sanctioned, Sanctioned]),
        ("[sanctioned]\nhosts = [\"*.corp.test:8080\"]", [Internal, Internal, Sanctioned]),
        ("[sanctioned]\nnetworks = [\"10.20.0.10/31\"]", [Sanctioned, Sanctioned, Internal]),
        // Names match on label borders.
        ("[denied]\nhosts = [\"corp.test\", \"*.orp.test\", \"oks.corp.test\"]", [Internal; 3]),
        // Paths match on segment borders.
        ("[sanctioned]\nhosts = [\"*.corp.test/mcp\"]", [Sanctioned, Internal, Sanctioned]),
        ("[sanctioned]\nhosts = [\"*.corp.test/m\"]", [Internal, Internal, Internal]),
        // A denial wins over an approval, an approval over a network.
        (
            "[denied]\nhosts = [\"tools.corp.test\"]\n[portal]\nhosts = [\"*.corp.test\"]",
            [Portal, Portal, Denied],
        ),
    ];
    for (policy, expected) in cases {
        let rows = scan_with(policy, &std::fs::read(path("quickstart.pcap")).unwrap());
        let found = by_host(&rows);
        let expected: BTreeMap<_, _> = [BOOKS, LEGACY, TOOLS].into_iter().zip(*expected).collect();
        assert_eq!(found, expected, "{policy}");
    }
}

#[test]
fn without_a_policy_nothing_is_judged() {
    let rows = scan::file(&scan::ENGINE, &path("quickstart.pcap")).rows;
    assert!(rows.iter().all(|row| row.governance == Unreviewed));
}

#[test]
fn a_public_server_is_known_or_a_shadow() {
    let cases = [
        ("mcp.stripe.com", "", KnownUnsanctioned),
        ("MCP.Stripe.com.", "", KnownUnsanctioned),
        ("mcp.stripe.com", "[sanctioned]\nhosts = [\"mcp.stripe.com\"]", Sanctioned),
        ("mcp.stripe.com.attacker.example", "", Shadow),
        ("mcp.stripe.com.attacker.example", "[sanctioned]\nhosts = [\"mcp.stripe.com\"]", Shadow),
        ("rpc.example.net", "", Shadow),
    ];
    for (host, policy, expected) in cases {
        let rows = scan_with(policy, &opening(host));
        let kinds: Vec<_> = rows.iter().map(|row| row.kind).collect();
        assert!(kinds.contains(&Kind::Detection) && kinds.contains(&Kind::Conversation), "{host}");
        for row in rows.iter().filter(|row| row.http.host.is_some()) {
            assert_eq!(row.governance, expected, "{host} with {policy:?}: {}", row.title);
        }
    }
}

/// A policy's entry with a path means the endpoint, not what a client looked at
/// on the same connection before.
#[test]
fn the_path_of_a_server_is_that_of_its_messages() {
    let capture = std::fs::read(path("p-mcp-remote.pcap")).unwrap();
    let rows = scan_with("[sanctioned]\nhosts = [\"10.20.0.10/mcp\"]", &capture);
    let confirmed = |row: &&Row| row.confidence == Confidence::Confirmed;
    for row in rows.iter().filter(confirmed) {
        assert_eq!(row.governance, Sanctioned, "{}", row.title);
    }
}

#[test]
fn what_is_denied_matters_most() {
    let capture = opening("rpc.example.net");
    let severity = |policy: &str| {
        let rows = scan_with(policy, &capture);
        rows.iter().filter(|row| row.kind == Kind::Conversation).map(|row| row.severity).max()
    };
    let denied = severity("[denied]\nhosts = [\"rpc.example.net\"]");
    let shadow = severity("");
    let internal = severity("[internal]\nnetworks = [\"198.51.100.0/24\"]");
    let sanctioned = severity("[sanctioned]\nhosts = [\"rpc.example.net\"]");
    assert_eq!(sanctioned, Some(Severity::Info));
    assert!(sanctioned < internal && internal < shadow && shadow < denied);
}

fn scan_with(policy: &str, capture: &[u8]) -> Vec<Row> {
    let policy = Policy::parse(&format!("version = 1\n{policy}"), "policy.toml").unwrap();
    let engine = Engine::builder().policy(policy).findings(plain()).build().unwrap();
    scan::bytes(&engine, capture.to_vec()).rows
}

/// The class of each host, which all of its rows agree on.
fn by_host(rows: &[Row]) -> BTreeMap<&str, Governance> {
    let mut classes = BTreeMap::new();
    for row in rows.iter().filter(|row| row.confidence == Confidence::Confirmed) {
        let Some(host) = row.http.host.as_deref() else { continue };
        let class = *classes.entry(host).or_insert(row.governance);
        assert_eq!(row.governance, class, "{host}: {}", row.title);
    }
    classes
}

/// A client that initialises a public server of that name.
fn opening(host: &str) -> Vec<u8> {
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
    let mut wire = Wire::new();
    let mut connection = wire.connect("192.0.2.10", "198.51.100.7:80");
    let request = Request::post(host, "/", request).bytes();
    wire.exchange(&mut connection, &request, &answer(200, "application/json", result));
    wire.close(connection);
    wire.pcap()
}
