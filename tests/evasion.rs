//! What a client can write differently and a server still accepts is still
//! found. The table in `docs/evasion.md` is what these tests see, beside what
//! the regular expressions of a gateway see.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use mcpwatch::findings::{Confidence, Kind, MessageDirection, MessageKind, Row};
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde_json::Value;

use crate::support::compare::Summary;
use crate::support::corpus::{self, Label, Layers};
use crate::support::http::{Framing, Request, answer, posted};
use crate::support::packet;
use crate::support::scan::{self, ENGINE};
use crate::support::wire::Wire;

/// What a published tutorial for a secure web gateway has one look for in the
/// first 1,024 bytes of the bodies of POST requests.
const GATEWAY: [&str; 10] = [
    r#""method"\s{0,5}:\s{0,5}"initialize""#,
    r#""method"\s{0,5}:\s{0,5}"tools/call""#,
    r#""method"\s{0,5}:\s{0,5}"tools/list""#,
    r#""method"\s{0,5}:\s{0,5}"resources/read""#,
    r#""method"\s{0,5}:\s{0,5}"resources/list""#,
    r#""method"\s{0,5}:\s{0,5}"prompts/(list|get)""#,
    r#""method"\s{0,5}:\s{0,5}"sampling/createMessage""#,
    r#""method"\s{0,5}:\s{0,5}"notifications/initialized""#,
    r#""method"\s{0,5}:\s{0,5}"roots/list""#,
    r#""protocolVersion"\s{0,5}:\s{0,5}"202[4-9]""#,
];
const GATEWAY_LOOKS_AT: usize = 1024;

/// Recorded messages that are rewritten: capture and method.
const MESSAGES: &[(&str, &str)] = &[
    ("p-ts1-json.pcap", "initialize"),
    ("p-ts1-json.pcap", "tools/call"),
    ("p-py130-json.pcap", "initialize"),
    ("p-py130-json.pcap", "tools/call"),
    ("p-ts2-2026-07-28.pcap", "server/discover"),
    ("p-ts2-2026-07-28.pcap", "tools/call"),
];

/// An address, a name and a path that say nothing of MCP.
const SERVER: &str = "198.51.100.7:8000";
const HOST: &str = "service.example.net:8000";
const TARGET: &str = "/rpc";

struct Rewriting {
    name: &'static str,
    rewrite: fn(&Value) -> Request,
}

const REWRITINGS: &[Rewriting] = &[
    as_("as recorded", |m| post(m.to_string())),
    as_("one letter of a key and of a value as `\\u…`", |m| post(one_escaped(m))),
    as_("all letters of keys and values as `\\u…`", |m| post(escaped(m))),
    as_("`/` as `\\/`", |m| post(m.to_string().replace('/', r"\/"))),
    as_("seven spaces around every token", |m| post(spaced(m, "       "))),
    as_("line breaks and tabs around every token", |m| post(spaced(m, "\r\n\t\r\n\t"))),
    as_("`method` last", |m| {
        post(reordered(m, &["params", "jsonrpc", "id", "method"]).to_string())
    }),
    as_("`method` after 2 kB of parameters", |m| post(padded(m, 2_000))),
    as_("`method` after 200 kB of parameters", |m| post(padded(m, 200_000))),
    as_("`method` twice, the last one counts", |m| {
        post(m.to_string().replacen('{', r#"{"method":"status","#, 1))
    }),
    as_("`METHOD`, as Go's servers accept it", |m| {
        post(m.to_string().replace(r#""method""#, r#""METHOD""#))
    }),
    as_("in a batch", |m| post(format!("[{m}]"))),
    as_("in a batch, after a long ping", |m| {
        let ping = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(1_500));
        post(format!("[{ping},{m}]"))
    }),
    as_("byte order mark", |m| post(format!("\u{feff}{m}"))),
    as_("UTF-16, little-endian, with a mark", |m| {
        post(utf16(&format!("\u{feff}{m}"), u16::to_le_bytes))
    }),
    as_("UTF-16, big-endian, undeclared", |m| post(utf16(&m.to_string(), u16::to_be_bytes))),
    as_("UTF-32, little-endian, with a mark", |m| post(utf32(&format!("\u{feff}{m}")))),
    as_("`Content-Encoding: gzip`", |m| coded("gzip", gzip(m.to_string().as_bytes()))),
    as_("`Content-Encoding: deflate`", |m| coded("deflate", zlib(m.to_string().as_bytes()))),
    as_("`deflate` without the zlib header", |m| {
        coded("deflate", deflate(m.to_string().as_bytes()))
    }),
    as_("`Content-Encoding: br`", |m| coded("br", br(m.to_string().as_bytes()))),
    as_("`Content-Encoding: zstd`", |m| {
        coded("zstd", zstd::encode_all(m.to_string().as_bytes(), 3).unwrap())
    }),
    as_("`Content-Encoding: gzip, br`", |m| coded("gzip, br", br(&gzip(m.to_string().as_bytes())))),
    as_("chunks of one byte, with extensions", |m| Request {
        framing: Framing::Chunks(1),
        ..post(m.to_string())
    }),
    as_("UTF-16 in gzip in chunks", |m| {
        let body = gzip(&utf16(&format!("\u{feff}{m}"), u16::to_le_bytes));
        Request { framing: Framing::Chunks(3), ..coded("GZip", body) }
    }),
    as_("`Content-Type: text/plain`", |m| {
        post(m.to_string()).replace("Content-Type", "text/plain")
    }),
    as_("header names in mixed case", |m| {
        let request = post(m.to_string());
        let mixed = request
            .headers
            .iter()
            .map(|(n, v)| (n.to_ascii_uppercase().replace('O', "o"), v.clone()));
        Request { headers: mixed.collect(), ..request }
    }),
    as_("lines of the head end in LF alone", |m| Request { line_end: "\n", ..post(m.to_string()) }),
    as_("absolute-form target", |m| Request {
        target: format!("http://{HOST}{TARGET}"),
        ..post(m.to_string())
    }),
    as_("HTTP/1.0", |m| Request { version: "HTTP/1.0".to_owned(), ..post(m.to_string()) }),
];

const fn as_(name: &'static str, rewrite: fn(&Value) -> Request) -> Rewriting {
    Rewriting { name, rewrite }
}

/// How many messages were told to be MCP: MCP's own, and others'.
#[derive(Clone, Copy, Default)]
struct Told {
    right: usize,
    wrong: usize,
}

impl Told {
    fn add(&mut self, more: Self) {
        self.right += more.right;
        self.wrong += more.wrong;
    }

    /// Of `own` messages of MCP's, how many were found; of what was told, how much
    /// was right.
    fn rates(self, own: usize) -> String {
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        let (recall, told) = (percent(self.right, own), self.right + self.wrong);
        format!("recall {recall:.0} %, precision {:.0} %", percent(self.right, told))
    }
}

#[test]
fn every_rewriting_is_confirmed_and_the_table_says_so() {
    let mut table = String::from(
        "| the message is sent | mcpwatch finds | takes for MCP | ten expressions find | take for MCP |\n|---|---|---|---|---|\n",
    );
    let mut missed = String::new();
    let own: Vec<Value> = MESSAGES.iter().map(|(name, method)| recorded(name, method)).collect();
    let others = others();
    let mut totals = [Told::default(); 2];
    for Rewriting { name, rewrite } in REWRITINGS {
        let mut told = [Told::default(); 2];
        for message in &own {
            let request = rewrite(message);
            let confirmed = confidence(&request) == Some(Confidence::Confirmed);
            if !confirmed {
                writeln!(missed, "{name}: {} not confirmed", message["method"]).unwrap();
            }
            told[0].right += usize::from(confirmed);
            told[1].right += usize::from(gateway_sees(&request.body));
        }
        for message in &others {
            let request = rewrite(message);
            let mistaken = confidence(&request) > Some(Confidence::Possible);
            if mistaken {
                writeln!(missed, "{name}: {message} taken for MCP").unwrap();
            }
            told[0].wrong += usize::from(mistaken);
            told[1].wrong += usize::from(gateway_sees(&request.body));
        }
        let (of, of_others) = (own.len(), others.len());
        let cells =
            told.map(|it| format!("{}/{of} | {}/{of_others}", it.right, it.wrong)).join(" | ");
        writeln!(table, "| {name} | {cells} |").unwrap();
        totals.iter_mut().zip(told).for_each(|(total, told)| total.add(told));
    }
    let (of, of_others) = (REWRITINGS.len() * own.len(), REWRITINGS.len() * others.len());
    let cells =
        totals.map(|it| format!("{}/{of} | {}/{of_others}", it.right, it.wrong)).join(" | ");
    let [ours, theirs] = totals.map(|it| it.rates(of));
    writeln!(table, "| **all** | {cells} |").unwrap();
    writeln!(table, "| | {ours} | | {theirs} | |").unwrap();
    println!("{table}");
    assert!(missed.is_empty(), "{missed}");
    documented("rewritten", &table);
}

/// Messages with a `method` that clients of other protocols posted in the
/// captures, one of each kind.
fn others() -> Vec<Value> {
    let mut kinds = BTreeMap::new();
    for capture in corpus::captures() {
        if capture.label != Label::NotMcp {
            continue;
        }
        for body in posted(&packet::read(&capture.path())) {
            let Ok(message) = serde_json::from_slice::<Value>(&body) else { continue };
            if let Some(method) = message["method"].as_str() {
                kinds.entry((capture.name.clone(), method.to_owned())).or_insert(message);
            }
        }
    }
    kinds.into_values().collect()
}

#[test]
fn the_table_of_recorded_methods_is_true() {
    let mut sent: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for capture in corpus::captures() {
        let recorded = capture.name.starts_with("p-") && capture.layers == Layers::default();
        if capture.label != Label::Mcp || !recorded {
            continue;
        }
        for body in posted(&packet::read(&capture.path())) {
            let Ok(message) = serde_json::from_slice::<Value>(&body) else { continue };
            let seen = u64::from(gateway_sees(&body));
            let elements = message.as_array().cloned().unwrap_or_else(|| vec![message]);
            for method in elements.iter().filter_map(|element| element["method"].as_str()) {
                let counts = sent.entry(method.to_owned()).or_default();
                *counts = [counts[0] + 1, counts[1], counts[2] + seen];
            }
        }
        let found = scan::capture(&capture);
        for row in found.rows.iter().filter(|row| is_posted(row)) {
            let counts = sent.entry(row.mcp.method.clone().unwrap()).or_default();
            counts[1] += 1;
        }
    }
    let mut table =
        String::from("| method | sent | mcpwatch | ten expressions |\n|---|---|---|---|\n");
    let mut totals = [0; 3];
    for (method, counts) in &sent {
        let [all, ours, theirs] = counts;
        writeln!(table, "| `{method}` | {all} | {ours} | {theirs} |").unwrap();
        totals = [totals[0] + all, totals[1] + ours, totals[2] + theirs];
    }
    let [all, ours, theirs] = totals;
    writeln!(table, "| **all** | {all} | {ours} | {theirs} |").unwrap();
    println!("{table}");
    assert_eq!(all, ours, "messages sent and messages found");
    documented("recorded", &table);
}

/// Hosts and paths are compared as servers read them.
#[test]
fn hosts_and_paths_are_read_as_servers_read_them() {
    let message = recorded("p-ts1-json.pcap", "initialize").to_string();
    let expected = only_detection(&Request::post("mcp.example.com", "/mcp", message.clone()));
    assert_eq!(expected.http.path.as_deref(), Some("/mcp"));
    assert!(expected.signatures.iter().any(|id| id.starts_with("mcp.path.")), "{expected:?}");
    assert!(expected.signatures.iter().any(|id| id.starts_with("mcp.host.")), "{expected:?}");
    for (host, target) in [
        ("MCP.Example.COM", "/mcp"),
        ("mcp.example.com.", "/mcp"),
        ("mcp.example.com", "/%6d%63%70"),
        ("mcp.example.com", "/%6D%63p"),
        ("mcp.example.com", "/./mcp"),
        ("mcp.example.com", "/static/../mcp"),
        ("mcp.example.com", "/static/%2e%2E/mcp"),
        ("mcp.example.com", "/mcp?session=none"),
        ("mcp.example.com", "http://mcp.example.com/mcp"),
        ("mcp.example.com", "HTTP://MCP.example.com/static/../%6dcp"),
        ("elsewhere.example.net", "http://mcp.example.com/mcp"),
    ] {
        let found = only_detection(&Request::post(host, target, message.clone()));
        let what = format!("{host} {target}");
        assert_eq!(found.http.path, expected.http.path, "{what}");
        assert_eq!(found.host().map(|host| host.trim_end_matches('.')), expected.host(), "{what}");
        assert_eq!(found.signatures, expected.signatures, "{what}");
    }
}

/// A message that a client posted, in a conversation that was confirmed.
fn is_posted(row: &Row) -> bool {
    row.kind == Kind::Message
        && row.mcp.direction == Some(MessageDirection::ToServer)
        && matches!(row.mcp.message_kind, Some(MessageKind::Request | MessageKind::Notification))
        && row.http.method.as_deref() == Some("POST")
}

fn only_detection(request: &Request) -> Row {
    let found = scan::bytes(&ENGINE, capture_of(request));
    let last = found.rows.into_iter().rfind(|row| row.kind == Kind::Detection).unwrap();
    assert_eq!(last.confidence, Confidence::Confirmed);
    last
}

fn confidence(request: &Request) -> Option<Confidence> {
    Summary::of(&scan::bytes(&ENGINE, capture_of(request)).rows).highest
}

/// A connection with that request and an answer that says nothing.
fn capture_of(request: &Request) -> Vec<u8> {
    let mut wire = Wire::new();
    let mut connection = wire.connect("192.0.2.10", SERVER);
    wire.exchange(&mut connection, &request.bytes(), &answer(202, "text/plain", ""));
    wire.close(connection);
    wire.pcap()
}

fn gateway_sees(body: &[u8]) -> bool {
    static EXPRESSIONS: LazyLock<Regex> = LazyLock::new(|| {
        let syntax = syntax::Config::new().unicode(false).utf8(false);
        Regex::builder().syntax(syntax).build_many(&GATEWAY).unwrap()
    });
    EXPRESSIONS.is_match(&body[..body.len().min(GATEWAY_LOOKS_AT)])
}

/// The message that called `method` first in a capture.
fn recorded(name: &str, method: &str) -> Value {
    let bodies = posted(&packet::read(&corpus::path(name)));
    let mut messages = bodies.iter().filter_map(|body| serde_json::from_slice(body).ok());
    messages.find(|message: &Value| message["method"] == method).unwrap()
}

fn post(body: impl Into<Vec<u8>>) -> Request {
    Request::post(HOST, TARGET, body)
}

fn coded(coding: &str, body: Vec<u8>) -> Request {
    post(body).with("Content-Encoding", coding)
}

fn one_escaped(message: &Value) -> String {
    let method = message["method"].as_str().unwrap();
    let (first, rest) = method.split_at(1);
    let escape = format!("\\u{:04X}", u32::from(first.chars().next().unwrap()));
    message
        .to_string()
        .replace(&format!(r#""method":"{method}""#), &format!(r#""m\u0065thod":"{escape}{rest}""#))
}

/// JSON with every letter in strings escaped.
fn escaped(value: &Value) -> String {
    let text = |text: &str| -> String {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(escaped).collect::<Vec<_>>().join(","))
        }
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| text(key) + ":" + &escaped(value);
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// JSON with white space around every token.
fn spaced(value: &Value, space: &str) -> String {
    let text = match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| spaced(item, space)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| {
                    format!("{space}{}{space}:{}", Value::from(&**key), spaced(value, space))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    };
    format!("{space}{text}{space}")
}

/// The message with these members last, in their order.
fn reordered(message: &Value, keys: &[&str]) -> Value {
    let own = |(key, value): (&String, &Value)| (key.clone(), value.clone());
    let members = message.as_object().into_iter().flatten().map(own);
    let others = members.filter(|(key, _)| !keys.contains(&key.as_str()));
    let last = keys.iter().filter_map(|key| Some(((*key).to_owned(), message.get(key)?.clone())));
    others.chain(last).collect::<serde_json::Map<_, _>>().into()
}

/// The message with so many bytes more in its parameters, which come first.
fn padded(message: &Value, length: usize) -> String {
    let mut message = message.clone();
    let filling = "long text ".repeat(length / 10);
    let filling = Value::from(filling);
    message["params"] = match message["params"].take() {
        Value::Object(params) => {
            let padding = [("padding".to_owned(), filling)];
            Value::Object(padding.into_iter().chain(params).collect())
        }
        Value::Array(params) => [filling].into_iter().chain(params).collect(),
        other => Value::from(vec![filling, other]),
    };
    reordered(&message, &["params", "jsonrpc", "id", "method"]).to_string()
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

fn utf32(text: &str) -> Vec<u8> {
    text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn br(bytes: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut coded, 4096, 5, 20);
    writer.write_all(bytes).unwrap();
    drop(writer);
    coded
}

/// `docs/evasion.md` holds `table` under that name.
fn documented(name: &str, table: &str) {
    let guide = std::fs::read_to_string(corpus::root().join("docs/evasion.md")).unwrap();
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let held = guide.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end));
    assert!(
        held.map(|(held, _)| held) == Some(table),
        "docs/evasion.md is out of date: its table `{name}` should be\n{table}"
    );
}
