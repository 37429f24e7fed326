//! Every recorded capture gives what the applications' own logs say, no more and
//! no less; what only looks like MCP stays below `likely`.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};

use mcpwatch::capture::LinkType;
use mcpwatch::findings::{Confidence, Kind, McpTransport, Row};

use crate::support::compare::Summary;
use crate::support::corpus::{Capture, Counts, Label, Truth, captures};
use crate::support::packet::{self, Segment};
use crate::support::scan;

/// Answers that answer no request that was seen before them, by capture.
const UNPAIRED: &[(&str, u64)] = &[
    // Errors in answers to GET.
    ("p-mcp-remote.pcap", 2),
    // An error in answer to a body that is cut JSON.
    ("p-py130-errors.pcap", 1),
];

/// Clients that the server refused, which the truth has as no session.
const REFUSED: &[(&str, usize)] = &[("p-py130-bearer.pcap", 1)];

/// Captures that hold the heads of requests alone.
const HEADS_ONLY: &[&str] = &["h-snaplen.pcap"];

#[test]
fn captures_give_what_the_applications_logged() {
    check(|capture| capture.label == Label::Mcp && !capture.partial, whole);
}

#[test]
fn captures_with_missing_packets_give_nothing_that_was_not_sent() {
    check(|capture| capture.label == Label::Mcp && capture.partial, part);
}

#[test]
fn look_alikes_stay_below_likely() {
    check(|capture| capture.label == Label::NotMcp, look_alike);
}

#[test]
fn without_keys_only_the_server_name_speaks() {
    check(|capture| capture.label == Label::Sealed, sealed);
}

/// What carried the messages of captures: the transport, the version of HTTP,
/// and the methods of requests.
#[test]
fn what_carries_messages_is_told() {
    use McpTransport::{StreamableHttp, WebSocket};

    for (name, transport, versions, methods) in [
        ("p-wss-py130-deflate.pcap", WebSocket, &["1.1"][..], &["GET"][..]),
        ("p-wss-h2-py130-deflate.pcap", WebSocket, &["2"], &["CONNECT"]),
        ("p-ws-h2c-py130-deflate.pcap", WebSocket, &["2"], &["CONNECT"]),
        ("p-wss-h2-py130-4sessions.pcap", WebSocket, &["2"], &["CONNECT"]),
        // Only the first request is of HTTP/1.1.
        ("p-h2c-upgrade-py130.pcap", StreamableHttp, &["1.1", "2"], &["GET", "POST"]),
        ("p-h2c-upgrade-curl.pcap", StreamableHttp, &["1.1", "2"], &["POST"]),
        ("p-h2c-upgrade-ignored-curl.pcap", StreamableHttp, &["1.1"], &["POST"]),
    ] {
        let capture = captures().into_iter().find(|capture| capture.name == name).unwrap();
        let found = scan::capture(&capture);
        let messages: Vec<&Row> =
            found.rows.iter().filter(|row| row.kind == Kind::Message).collect();
        assert!(messages.iter().all(|row| row.mcp.transport == Some(transport)), "{name}");
        let seen = |column: for<'a> fn(&'a Row) -> Option<&'a str>| -> BTreeSet<&str> {
            messages.iter().filter_map(|row| column(row)).collect()
        };
        let expected = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(seen(|row| row.http.version), expected(versions), "{name}");
        assert_eq!(seen(|row| row.http.method.as_deref()), expected(methods), "{name}");
    }
}

/// A client sends only what the server agreed to, so that its side alone can be
/// read by what it offered.
#[test]
fn compressed_messages_are_read_without_the_answer_that_agreed() {
    for name in ["p-ws-py130-deflate.pcap", "p-ws-h2c-py130-deflate.pcap"] {
        let capture = captures().into_iter().find(|capture| capture.name == name).unwrap();
        let mut frames = packet::read(&capture.path());
        frames.retain(|frame| Segment::parse(frame).is_some_and(|it| it.dst.port() == 8000));
        let found = scan::bytes(&scan::ENGINE, packet::pcap(LinkType::ETHERNET, &frames));
        let (expected, found) = (all(&capture.truth()), Summary::of(&found.rows));
        assert_eq!(found.c2s, expected.c2s, "{name}");
        assert_eq!(found.tools_called, expected.tools_called, "{name}");
    }
}

/// Runs `judge` on the captures that are `chosen`, and fails with all that it
/// objects to.
fn check(chosen: impl Fn(&Capture) -> bool, judge: fn(&Capture, &Truth, &Summary, &mut Report)) {
    let mut report = Report::default();
    let mut judged = 0;
    for capture in captures().into_iter().filter(chosen) {
        judged += 1;
        report.capture.clone_from(&capture.name);
        let found = scan::capture(&capture);
        judge(&capture, &capture.truth(), &Summary::of(&found.rows), &mut report);
    }
    assert!(report.text.is_empty(), "of {judged} captures:\n{}", report.text);
}

fn whole(capture: &Capture, truth: &Truth, found: &Summary, report: &mut Report) {
    let expected = all(truth);
    let conversations = capture.sessions + of(REFUSED, capture);
    report.equal("conversations confirmed", &conversations, &found.conversations);
    report.counts("from the client", &expected.c2s, &found.c2s);
    report.counts("from the server", &expected.s2c, &found.s2c);
    report.counts("answers", &expected.responses, &found.responses);
    report.counts("tools called", &expected.tools_called, &found.tools_called);
    report.counts("in conversations", &expected.asked, &found.asked);
    let answers = expected.responses.values().sum::<u64>() - of(UNPAIRED, capture);
    report.equal("answers paired in conversations", &answers, &found.answered);
    report.equal("tools of conversations", &expected.tools, &found.tools);
    report.equal("resources read", &expected.resources_read, &found.resources_read);
    report.equal("prompts got", &expected.prompts_got, &found.prompts_got);
    report.names("servers", &expected.servers, &found.servers, expected.servers.len());
    report.names("clients", &expected.clients, &found.clients, capture.sessions);
    let agreed = set(&[&truth.protocol_negotiated[..], &truth.protocol_meta].concat());
    report.names("revisions", &agreed, &found.agreed, 1);
    report.names("sessions", &expected.sessions, &found.held, capture.sessions);
    if !expected.hosts.is_empty() {
        report.names("hosts", &expected.hosts, &found.hosts, 1);
    }
    report.names("paths", &expected.paths, &found.paths, 1);
    report.names("endpoints", &expected.endpoints, &found.endpoints, 1);
}

fn part(capture: &Capture, truth: &Truth, found: &Summary, report: &mut Report) {
    let (level, conversations) = match HEADS_ONLY.contains(&&*capture.name) {
        true => (Confidence::Possible, 0),
        false => (Confidence::Confirmed, capture.sessions),
    };
    report.equal("highest confidence", &Some(level), &found.highest);
    report.equal("conversations confirmed", &conversations, &found.conversations);
    report.beyond(&all(truth), found);
}

fn look_alike(_: &Capture, _: &Truth, found: &Summary, report: &mut Report) {
    if found.highest > Some(Confidence::Possible) {
        report.say("highest confidence", "possible at most", &found.highest);
    }
}

fn sealed(capture: &Capture, truth: &Truth, found: &Summary, report: &mut Report) {
    report.equal("conversations confirmed", &0, &found.conversations);
    report.beyond(&Summary { hosts: keys(&truth.hosts), ..Summary::default() }, found);
    let expected = capture.name.contains("mcp.stripe.com").then_some(Confidence::Likely);
    report.equal("highest confidence", &expected, &found.highest);
}

/// What a table says of a capture.
fn of<N: Copy + Default>(table: &[(&str, N)], capture: &Capture) -> N {
    let entry = table.iter().find(|(name, _)| *name == capture.name);
    entry.map(|(_, number)| *number).unwrap_or_default()
}

/// All that can be seen of what was logged.
fn all(truth: &Truth) -> Summary {
    let revisions =
        [&truth.protocol_requested[..], &truth.protocol_negotiated, &truth.protocol_meta].concat();
    Summary {
        c2s: truth.c2s.clone(),
        s2c: truth.s2c.clone(),
        responses: truth.responses.clone(),
        tools_called: truth.tools_called.clone(),
        clients: set(&truth.clients),
        servers: set(&truth.servers),
        versions: set(&revisions),
        sessions: set(&[&truth.session_ids[..], &truth.endpoint_sessions].concat()),
        hosts: keys(&truth.hosts),
        paths: keys(&truth.paths),
        endpoints: keys(&truth.paths).into_iter().filter(|path| is_endpoint(path)).collect(),
        resources_read: set(&truth.resources_read),
        prompts_got: set(&truth.prompts_got),
        asked: sum(&truth.c2s, &truth.s2c),
        tools: keys(&truth.tools_called),
        ..Summary::default()
    }
}

/// OAuth metadata is fetched from beside the endpoint.
fn is_endpoint(path: &str) -> bool {
    !path.contains("/.well-known/")
}

fn set(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().collect()
}

fn keys(counts: &Counts) -> BTreeSet<String> {
    counts.keys().cloned().collect()
}

fn sum(a: &Counts, b: &Counts) -> Counts {
    let mut sum = a.clone();
    for (name, count) in b {
        *sum.entry(name.clone()).or_default() += count;
    }
    sum
}

/// Objections, each with capture, what was expected and what was found.
#[derive(Default)]
struct Report {
    capture: String,
    text: String,
}

impl Report {
    fn say(&mut self, what: &str, expected: &str, found: &impl Debug) {
        let capture = &self.capture;
        writeln!(self.text, "{capture}: {what}: expected {expected}, found {found:?}").unwrap();
    }

    fn equal<T: PartialEq + Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.say(what, &format!("{expected:?}"), found);
        }
    }

    fn counts(&mut self, what: &str, expected: &Counts, found: &Counts) {
        for name in sum(expected, found).keys() {
            let count = |counts: &Counts| counts.get(name).copied().unwrap_or(0);
            self.equal(&format!("{what}: {name}"), &count(expected), &count(found));
        }
    }

    fn beyond(&mut self, expected: &Summary, found: &Summary) {
        let objections = found.beyond(expected);
        if !objections.is_empty() {
            writeln!(self.text, "{}:\n{objections}", self.capture).unwrap();
        }
    }

    /// All of `found` must be true, and at least so many that are `expected` be
    /// found, if there are so many.
    fn names(
        &mut self,
        what: &str,
        expected: &BTreeSet<String>,
        found: &BTreeSet<String>,
        at_least: usize,
    ) {
        if !found.is_subset(expected) || found.len() < at_least.min(expected.len()) {
            self.say(what, &format!("{expected:?}"), found);
        }
    }
}
