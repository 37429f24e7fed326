//! Signatures for values of messages, events and OAuth: a planted one for each
//! field is a signal in findings where it should be and nowhere else, however the
//! traffic is carried and cut.

use std::collections::BTreeSet;

use mcpwatch::Engine;
use mcpwatch::findings::{Confidence, Kind, Row};
use mcpwatch::signature::SignatureSet;
use mcpwatch::stream::tls::KeyStore;

use crate::support::compare::{Tolerance, difference};
use crate::support::corpus::{Capture, captures};
use crate::support::http::{Request, answer};
use crate::support::packet;
use crate::support::scan;
use crate::support::variant::{Keeps, VARIANTS};
use crate::support::wire::{Side, Wire};

/// An address, a name and a path that say nothing of MCP.
const SERVER: &str = "198.51.100.7:8000";
const HOST: &str = "service.example.net:8000";
const FORM: &str = "application/x-www-form-urlencoded";

fn signature(id: &str, rest: &str) -> String {
    format!("[[signature]]\nid = \"{id}\"\ntitle = \"Planted\"\nstrength = \"weak\"\n{rest}\n")
}

fn engine(signatures: &[String]) -> Engine {
    builder(signatures).build().unwrap()
}

fn builder(signatures: &[String]) -> mcpwatch::engine::EngineBuilder {
    let text = format!("version = 1\n{}", signatures.concat());
    let set = SignatureSet::parse("planted.toml", &text).unwrap();
    Engine::builder().signatures(set).findings(scan::plain())
}

/// One for each field, and one that joins several.
fn planted() -> Engine {
    engine(&[
        signature("event", "field = 'sse.event'\nexact = 'endpoint'"),
        signature("method", "field = 'jsonrpc.method'\nexact = ['tools/call', 'eth_call']"),
        signature("param", "field = 'jsonrpc.params.uri'\nprefix = 'file:///etc/'"),
        signature("tool", "field = 'mcp.tool.name'\nexact = 'delete_user'"),
        signature("description", "field = 'mcp.tool.description'\nword = 'IMPORTANT'"),
        signature(
            "arguments",
            "field = 'mcp.arguments'\njson_member = { key = 'path', value_prefix = '/etc/' }",
        ),
        signature("result", "field = 'mcp.result'\njson_string = 'BEGIN KEY'"),
        signature("oauth", "field = 'oauth.resource'\nexact = 'https://a.example/mcp'"),
        signature("scopes", "field = 'oauth.scopes_supported'\nexact = 'mcp:tools'"),
        signature(
            "joined",
            "field = 'mcp.arguments'\nregex = '(?s).'\nwhen = [{ field = 'mcp.tool.name', \
             exact = 'delete_user' }, { field = 'http.path', path_suffix = '/rpc' }]",
        ),
    ])
}

/// What is sent each way on one connection, in turns.
type Dialogue = Vec<(Side, Vec<u8>)>;

/// The signatures in the findings, which must be the same byte by byte.
fn hits(engine: &Engine, dialogue: &Dialogue) -> BTreeSet<String> {
    let [whole, bytewise] = [usize::MAX, 1].map(|size| {
        let found = rows(engine, dialogue, size);
        found.iter().flat_map(|row| row.signatures.clone()).collect::<BTreeSet<String>>()
    });
    assert_eq!(whole, bytewise);
    whole.into_iter().filter(|id| !id.starts_with("mcp.")).collect()
}

fn rows(engine: &Engine, dialogue: &Dialogue, size: usize) -> Vec<Row> {
    let mut wire = Wire::new();
    let mut connection = wire.connect("10.0.0.9", SERVER);
    for (side, bytes) in dialogue {
        for piece in bytes.chunks(size.min(bytes.len().max(1))) {
            wire.send(&mut connection, *side, piece);
        }
    }
    wire.close(connection);
    scan::bytes(engine, wire.pcap()).rows
}

fn posted(body: &str, response: Vec<u8>) -> Dialogue {
    vec![(Side::Client, Request::post(HOST, "/rpc", body).bytes()), (Side::Server, response)]
}

fn request(body: &str) -> Dialogue {
    posted(body, answer(202, "text/plain", ""))
}

fn response(body: &str) -> Dialogue {
    posted("{}", answer(200, "application/json", body))
}

fn got(target: &str, response: Vec<u8>) -> Dialogue {
    let get = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    vec![(Side::Client, get.into_bytes()), (Side::Server, response)]
}

fn form(target: &str, body: &str) -> Dialogue {
    let request = Request::post(HOST, target, body).replace("Content-Type", FORM);
    vec![(Side::Client, request.bytes()), (Side::Server, answer(200, "application/json", "{}"))]
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"delete_user","arguments":{"p\u0061th" : "\/etc/passwd"}}}"#;
const RESULT: &str =
    r#"{"result":{"content":[{"type":"text","text":"BEGIN\u0020KEY"}]},"jsonrpc":"2.0","id":1}"#;
const TOOLS: &str = r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[
    {"description":"adds","name":"add","inputSchema":{"type":"object"}},
    {"d\u0065scription":"<IMPORTANT>","inputSchema":{"description":"x"},"name":"delete_user"}]}}"#;

#[track_caller]
fn check(engine: &Engine, cases: &[(&str, Dialogue, &[&str])]) {
    for (name, dialogue, expected) in cases {
        let expected: BTreeSet<String> = expected.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(hits(engine, dialogue), expected, "{name}");
    }
}

#[test]
fn messages_over_http() {
    let sse = |body: &str| answer(200, "text/event-stream", body);
    let called: &[&str] = &["arguments", "joined", "method", "tool"];
    let lines = TOOLS.replace('\n', "\ndata:");
    let utf16: Vec<u8> =
        format!("\u{feff}{CALL}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(
        &planted(),
        &[
            ("a call", request(CALL), called),
            ("a batch", request(&format!("[{CALL}]")), called),
            (
                "in UTF-16",
                vec![
                    (Side::Client, Request::post(HOST, "/rpc", utf16).bytes()),
                    (Side::Server, answer(202, "text/plain", "")),
                ],
                called,
            ),
            ("a result", response(RESULT), &["result"]),
            ("tools", response(TOOLS), &["description", "tool"]),
            (
                "both",
                posted(CALL, answer(200, "application/json", RESULT)),
                &["arguments", "joined", "method", "result", "tool"],
            ),
            (
                "in an event",
                posted("{}", sse(&format!("data: {lines}\n\n"))),
                &["description", "tool"],
            ),
            (
                "other JSON-RPC",
                request(r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[]}"#),
                &["method"],
            ),
            (
                "a parameter",
                request(
                    r#"{"jsonrpc":"2.0","params":{"uri":"file:///etc/x"},"method":"a","id":1}"#,
                ),
                &["param"],
            ),
            (
                "members first, the method last",
                request(
                    r#"{"params":{"arguments":{"path":"/etc/"},"name":"delete_user"},"id":1,"jsonrpc":"2.0","method":"tools/call"}"#,
                ),
                called,
            ),
        ],
    );
}

#[test]
fn what_is_no_value_of_a_message_hits_nothing() {
    let no_rpc = CALL.replace(r#""jsonrpc":"2.0","#, "");
    let other_version = CALL.replace("\"2.0\"", "\"1.0\"");
    let broken = CALL.replace("}}}", "}}},");
    let prompt = CALL.replace(r"tools\/call", "prompts/get");
    let nested = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":{CALL}}}}}"#);
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":{CALL:?}}}}}"#);
    let longer = CALL.replace("tools", "xtools").replace("delete_user", "delete_users");
    let array = r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"uri":["file:///etc/x"]}}"#;
    let replaced = CALL.replace(
        r#""name":"delete_user""#,
        r#""name":"delete_user","name":"x","arguments":{"path":"/etc/"},"arguments":0"#,
    );
    let after = replaced.replace(r#","arguments":{"p\u0061th" : "\/etc/passwd"}"#, "");
    let string = RESULT.replace(r#"{"content""#, r#"["BEGIN KEY",{"content""#).replace("]}", "]}]");
    let no_tools = TOOLS.replace("inputSchema", "input_schema");
    check(
        &planted(),
        &[
            ("no JSON-RPC", request(&no_rpc), &[]),
            ("another version", request(&other_version), &[]),
            ("broken", request(&broken), &[]),
            ("another method", request(&prompt), &[]),
            ("nested", request(&nested), &[]),
            ("text", request(&text), &[]),
            ("longer", request(&longer), &[]),
            ("an array", request(array), &[]),
            ("replaced", request(&after), &["method"]),
            ("no object", response(&string), &[]),
            ("no tools of MCP", response(&no_tools), &[]),
            ("downloaded", got("/rpc", answer(200, "application/json", TOOLS)), &[]),
            ("several documents", request(&format!("{CALL}\n{CALL}")), &[]),
        ],
    );
}

#[test]
fn names_of_events_that_hold_no_message() {
    let stream = |events: &str| got("/stream", answer(200, "text/event-stream", events));
    let to_server = Request::post(HOST, "/rpc", "event: endpoint\ndata: x\n\n");
    check(
        &planted(),
        &[
            ("named", stream("event: endpoint\ndata: {}\n\n"), &["event"]),
            ("later", stream(": hi\n\ndata: x\n\ndata: y\r\nevent:endpoint\r\n\r\n"), &["event"]),
            ("another name", stream("event: endpoints\ndata: x\n\n"), &[]),
            ("not dispatched", stream("event: endpoint\n\ndata: x\n\n"), &[]),
            ("no end", stream("data: x\n\nevent: endpoint\ndata: x\n"), &[]),
            ("sent to the server", vec![(Side::Client, to_server.bytes())], &[]),
        ],
    );
    let unnamed = engine(&[signature("event", "field = 'sse.event'\nexact = 'message'")]);
    check(
        &unnamed,
        &[
            ("default", stream("data: x\n\n"), &["event"]),
            ("empty", stream("event:\ndata: x\n\n"), &["event"]),
            ("named", stream("event: x\ndata: x\n\n"), &[]),
        ],
    );
}

#[test]
fn messages_over_websocket_and_raw_streams() {
    let masked = |text: &str| {
        let bytes = text.as_bytes();
        let len = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[0x81, 0xfe, len[0], len[1], 0, 0, 0, 0][..], bytes].concat()
    };
    let plain = |text: &str| {
        let bytes = text.as_bytes();
        let len = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[0x81, 126, len[0], len[1]][..], bytes].concat()
    };
    let upgrade = format!(
        "GET /rpc HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                  Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let websocket = |messages: &[(Side, &str)]| {
        let mut dialogue = vec![
            (Side::Client, upgrade.clone().into_bytes()),
            (Side::Server, switch.as_bytes().to_vec()),
        ];
        dialogue.extend(messages.iter().map(|(side, text)| match side {
            Side::Client => (*side, masked(text)),
            Side::Server => (*side, plain(text)),
        }));
        dialogue
    };
    let tools = TOOLS.replace('\n', " ");
    let line = |side, text: &str| (side, format!("{text}\n").into_bytes());
    let eth = r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[]}"#;
    let all: &[&str] = &["arguments", "description", "joined", "method", "result", "tool"];
    // A raw stream has no path.
    let raw: &[&str] = &["arguments", "description", "method", "result", "tool"];
    let turns = [(Side::Client, CALL), (Side::Server, RESULT), (Side::Server, &*tools)];
    check(
        &planted(),
        &[
            ("WebSocket", websocket(&turns), all),
            ("other JSON-RPC over it", websocket(&[(Side::Client, eth)]), &["method"]),
            ("lines", turns.map(|(side, text)| line(side, text)).to_vec(), raw),
            ("other lines", vec![line(Side::Client, eth)], &["method"]),
            ("no JSON-RPC", vec![line(Side::Client, &CALL.replace("2.0", "2"))], &[]),
        ],
    );
}

#[test]
fn parameters_and_metadata_of_oauth() {
    let resource = "resource=https%3A%2F%2Fa.example%2f%6dcp";
    let metadata = r#"{"resource":"https:\/\/a.example/mcp","scopes_supported":["x","mcp:tools"]}"#;
    let json = |body: &str| answer(200, "application/json", body);
    let alone = r#"{"resource":"https://a.example/mcp"}"#;
    let known = "/.well-known/oauth-protected-resource/mcp";
    let authorize = |query: &str| got(&format!("/authorize?{query}"), json("{}"));
    let code = "response_type=code&client_id=x";
    let registration = r#"{"redirect_uris":[],"resource":"https://a.example/mcp"}"#;
    check(
        &planted(),
        &[
            ("an authorization request", authorize(&format!("{code}&{resource}")), &["oauth"]),
            ("two resources", authorize(&format!("{resource}&resource=b&{code}")), &["oauth"]),
            ("another query", authorize(resource), &[]),
            ("a longer value", authorize(&format!("{code}&{resource}s")), &[]),
            ("a longer name", authorize(&format!("{code}&x{resource}")), &[]),
            ("a token request", form("/token", &format!("{resource}&grant_type=x")), &["oauth"]),
            ("another form", form("/token", &format!("{resource}&grant_types=x")), &[]),
            ("no form", request(&format!("{resource}&grant_type=x")), &[]),
            ("metadata", got(known, json(metadata)), &["oauth", "scopes"]),
            ("metadata that says little", got(known, json(alone)), &["oauth"]),
            ("another path", got("/mcp", json(metadata)), &[]),
            ("answered to a POST", posted("{}", json(metadata)), &["oauth", "scopes"]),
            ("another document", posted("{}", json(alone)), &[]),
            ("in an array", got(known, json(&format!("[{metadata}]"))), &[]),
            ("broken", got(known, json(&format!("{metadata}}}"))), &[]),
            ("a registration", request(registration), &["oauth"]),
            ("replaced", request(&registration.replace('}', r#","resource":"x"}"#)), &[]),
            ("not a string", request(&registration.replace("mcp\"", "mcp\",\"resource\":{}")), &[]),
        ],
    );
}

#[test]
fn long_values_are_read_to_their_end() {
    let engine = planted();
    for len in [600, 5_000, 100_000] {
        let filler = "x".repeat(len);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{filler}","arguments":{{"a":"{filler}","path":"/etc/"}}}}}}"#
        );
        let found = rows(&engine, &request(&body), usize::MAX);
        assert!(has(&found, "arguments"), "{len}");
    }
    let regex = signature("end", "field = 'mcp.tool.description'\nregex = '^x+IMPORTANT$'");
    let text = format!("{}IMPORTANT", "x".repeat(6_000));
    let found = rows(&self::engine(&[regex]), &response(&TOOLS.replace("adds", &text)), usize::MAX);
    assert!(has(&found, "end"));
}

#[test]
fn values_are_weighed_as_other_signals_are() {
    for (strength, expected) in [("hint", Confidence::Possible), ("strong", Confidence::Likely)] {
        let method = signature("method", "field = 'jsonrpc.method'\nexact = 'eth_call'");
        let engine = engine(&[method.replace("weak", strength)]);
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[]}"#;
        let found = rows(&engine, &request(body), usize::MAX);
        let levels: Vec<_> = found.iter().map(|row| (row.kind, row.confidence)).collect();
        assert_eq!(levels.first(), Some(&(Kind::Detection, expected)), "{strength}");
        assert_eq!(found[0].http.path.as_deref(), Some("/rpc"));
    }
    // Of MCP that is confirmed, the row of the message has the signal.
    let found = rows(&planted(), &request(CALL), usize::MAX);
    let message = found.iter().find(|row| row.kind == Kind::Message).unwrap();
    assert!(message.signatures.contains(&"tool".to_owned()));
    assert_eq!(message.confidence, Confidence::Confirmed);
}

fn has(rows: &[Row], id: &str) -> bool {
    rows.iter().any(|row| row.signatures.iter().any(|signature| signature == id))
}

/// Recorded conversations on each transport.
const RECORDED: &[&str] = &[
    "p-ts1-json.pcap",
    "p-legacysse-ts1.pcap",
    "p-ws-py130-deflate.pcap",
    "p-rmcp-2026-07-28.pcap",
    "p-ts1-batch-2025-03-26.pcap",
    "p-raw-ndjson-tcp.pcap",
    "p-h2c-hypercorn-12sessions.pcap",
    "p-tls13-h2-nginx.pcap",
];

#[test]
fn recorded_values_hit_in_every_variant() {
    let any = [
        signature("any.method", "field = 'jsonrpc.method'\nexact = 'tools/call'"),
        signature("any.param", "field = 'jsonrpc.params.name'\npresent = true"),
        signature("any.tool", "field = 'mcp.tool.name'\npresent = true"),
        signature("any.description", "field = 'mcp.tool.description'\nregex = '^.+$'"),
        signature("any.arguments", "field = 'mcp.arguments'\nregex = '(?s)^\\{.*\\}$'"),
        signature("any.result", "field = 'mcp.result'\nregex = '(?s)^\\{.*\\}$'"),
    ];
    for capture in captures().into_iter().filter(|it| RECORDED.contains(&&*it.name)) {
        let engine = with_keys(&capture, &any);
        let expected = scan::file(&engine, &capture.path()).rows;
        for id in ["any.method", "any.param", "any.tool", "any.arguments", "any.result"] {
            assert!(has(&expected, id), "{}: {id}", capture.name);
        }
        let frames = packet::read(&capture.path());
        for variant in VARIANTS.iter().filter(|variant| variant.keeps != Keeps::Part) {
            let volume = capture.layers.http2 || variant.keeps == Keeps::Repeated;
            let found = scan::bytes(&engine, variant.apply(&frames)).rows;
            let objection = difference(&expected, &found, Tolerance { volume });
            assert!(objection.is_empty(), "{}, {}:\n{objection}", capture.name, variant.name);
        }
    }
}

fn with_keys(capture: &Capture, signatures: &[String]) -> Engine {
    let keys = capture.key_log.as_ref().map(|path| std::fs::read(path).unwrap());
    let builder = builder(signatures);
    match keys {
        Some(keys) => builder.keys(KeyStore::load(&keys[..]).unwrap()).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

#[test]
fn a_body_that_is_no_message_tells_what_needs_none() {
    let body = "field = 'http.body'\njson_member = { key = 'software_id', value = 'x-1' }\n";
    let engine = engine(&[
        signature("evident", &format!("{body}kind = 'oauth'")),
        signature("nominating", body),
    ]);
    let registered = answer(200, "application/json", r#"{"client_id":"1"}"#);
    let register = |id: &str| posted(&format!(r#"{{"software_id":"{id}"}}"#), registered.clone());
    check(
        &engine,
        &[
            ("a registration", register("x-1"), &["evident"]),
            ("another", register("x-2"), &[]),
            ("two documents", register("x-1\"}{\"a\":\"b"), &["evident"]),
        ],
    );
}
