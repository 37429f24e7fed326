//! Look-alikes: other protocols that resemble MCP, and texts that quote it.
//!
//! None of them is MCP, and no signature that is worth as much may say so.

use serde_json::{Value, json};

use super::case::{Framing, Item};
use super::generate::{event, exchange, header, value_of, word};
use crate::workbench::random::Random;
use crate::workbench::wire::Side;

type Make = fn(&mut Random) -> Vec<Item>;

/// Each kind by its name.
pub(super) const LOOKALIKES: &[(&str, Make)] = &[
    ("lsp-over-http", |random| {
        let (request, answer) = lsp(random);
        post("/lsp", &request, &answer)
    }),
    ("lsp-framed", |random| {
        let (request, answer) = lsp(random);
        let did_open = json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {
            "textDocument": { "uri": "file:///a.rs", "languageId": "rust", "version": 1, "text": word(random) },
        }});
        framed(Framing::Length, 2087, &[request, did_open], &[answer])
    }),
    ("devtools", |random| {
        let enable = json!({"id": 1, "method": "Runtime.enable", "params": {}});
        let evaluate =
            json!({"id": 2, "method": "Runtime.evaluate", "params": {"expression": word(random)}});
        let event = json!({"method": "Runtime.executionContextCreated", "params": {"context": value(random, 2)}});
        framed(Framing::Line, 9222, &[enable, evaluate], &[event, json!({"id": 1, "result": {}})])
    }),
    ("ethereum", |random| {
        let method = random.pick(&["eth_call", "eth_blockNumber", "net_version"]);
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": [
            { "to": "0x6b175474e89094c44da98b954eedeac495271d0f", "data": word(random) }, "latest",
        ]});
        post("/", &request, &json!({"jsonrpc": "2.0", "id": 1, "result": "0x01"}))
    }),
    ("ethereum-batch", |random| {
        let call =
            |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "eth_call", "params": []});
        let result = |id: u64| json!({"jsonrpc": "2.0", "id": id, "result": "0x"});
        let count = 1 + random.below(4) as u64;
        let (requests, answers): (Vec<_>, Vec<_>) =
            (1..=count).map(|id| (call(id), result(id))).unzip();
        post("/v3/key", &requests.into(), &answers.into())
    }),
    ("bitcoin", |random| {
        let request =
            json!({"jsonrpc": "1.0", "id": "curl", "method": "getblock", "params": [word(random)]});
        post("/", &request, &json!({"result": value(random, 2), "error": null, "id": "curl"}))
    }),
    ("a2a", |random| {
        let (request, answer) = a2a(random, "message/send");
        post("/", &request, &answer)
    }),
    ("a2a-stream", |random| {
        let (request, answer) = a2a(random, "message/stream");
        let headers = [json_header(), vec![header("Content-Type", "text/event-stream")]];
        vec![exchange("/a2a", headers, request.to_string(), &data(&answer), 200)]
    }),
    ("acp", |random| {
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": 1,
            "clientCapabilities": { "fs": { "readTextFile": true, "writeTextFile": true } },
        }});
        let prompt = json!({"jsonrpc": "2.0", "id": 1, "method": "session/prompt", "params": {
            "sessionId": "s1", "prompt": [{ "type": "text", "text": word(random) }],
        }});
        let answer = json!({"jsonrpc": "2.0", "id": 0, "result": {
            "protocolVersion": 1, "agentCapabilities": { "loadSession": true }, "authMethods": [],
        }});
        framed(Framing::Line, 4096, &[initialize, prompt], &[answer])
    }),
    ("json-rpc", |random| {
        let method =
            random.pick(&["subtract", "system.listMethods", "Player.Open", "aria2.addUri"]);
        let request =
            json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": value(random, 2)});
        post("/jsonrpc", &request, &json!({"jsonrpc": "2.0", "id": 7, "result": value(random, 2)}))
    }),
    ("graphql", |random| {
        let request = json!({
            "operationName": "initialize",
            "query": "query initialize($of: String) { tools(method: $of) { name inputSchema } }",
            "variables": { "of": "tools/list", "text": word(random) },
        });
        let answer = json!({"data": { "tools": [{ "name": word(random), "type": "QUERY" }] }});
        post("/graphql", &request, &answer)
    }),
    ("openai-stream", |random| {
        let request = json!({
            "model": "gpt-4o", "stream": true,
            "messages": [{ "role": "user", "content": word(random) }],
            "tools": [{ "type": "function", "function": {
                "name": "get_weather", "description": word(random),
                "parameters": { "type": "object", "properties": {} },
            } }],
        });
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [
            { "index": 0, "delta": { "tool_calls": [{ "index": 0, "id": "call_1", "type": "function",
              "function": { "name": "get_weather", "arguments": quoted("tools/call") } }] } },
        ]});
        let stream = data(&chunk) + "data: [DONE]\n\n";
        let headers = [
            vec![header("Content-Type", "application/json"), header("Accept", "application/json")],
            vec![header("Content-Type", "text/event-stream; charset=utf-8")],
        ];
        vec![exchange("/v1/chat/completions", headers, request.to_string(), &stream, 200)]
    }),
    ("quoted-in-json", |random| {
        let request = json!({
            "message": quoted("tools/call"),
            "history": [quoted("initialize"), quoted("notifications/initialized"), word(random)],
        });
        post("/api/chat", &request, &json!({"reply": quoted("tools/list"), "ok": true}))
    }),
    ("rest-method", |random| {
        let method = random.pick(&["initialize", "GET", "ping", "card", "subscribe"]);
        let request = json!({"method": method, "name": word(random), "params": value(random, 2)});
        post("/api/payments", &request, &json!({"id": 5, "result": "ok", "method": method}))
    }),
    ("log-shipping", |random| {
        let line = json!({"@timestamp": "2026-01-01T00:00:00Z", "level": "info",
                          "message": format!("-> {} {}", quoted("tools/call"), word(random))});
        let index = json!({"index": { "_index": "logs" }});
        let lines = format!("{index}\n{line}\n{index}\n{line}\n");
        let headers = [vec![header("Content-Type", "application/x-ndjson")], json_header()];
        vec![exchange(
            "/_bulk",
            headers,
            lines,
            &json!({"errors": false, "items": []}).to_string(),
            200,
        )]
    }),
    ("syslog-lines", |random| {
        let record = json!({"host": "a", "log": quoted("tools/call"), "value": value(random, 2)});
        framed(Framing::Line, 5170, &[record.clone(), record], &[])
    }),
    ("page", |random| {
        let page = format!(
            "<!doctype html><title>Model Context Protocol</title><pre>{}</pre><p>{}</p>",
            quoted("initialize"),
            word(random)
        );
        let headers = [
            vec![
                header("Accept", "text/html,application/xhtml+xml"),
                header("User-Agent", "Mozilla/5.0"),
            ],
            vec![header("Content-Type", "text/html; charset=utf-8")],
        ];
        vec![exchange("/", headers, String::new(), &page, 200)]
    }),
    ("download", |random| {
        let config =
            json!({"servers": { "weather": { "command": "npx", "args": [word(random)] } }});
        vec![exchange(
            "/config.json",
            [Vec::new(), json_header()],
            String::new(),
            &config.to_string(),
            200,
        )]
    }),
    ("event-stream", |random| {
        let events = event("update", &json!({"text": quoted("tools/list")}).to_string())
            + &data(&value(random, 2))
            + ": keep-alive\n\n";
        let headers = [
            vec![header("Accept", "text/event-stream")],
            vec![header("Content-Type", "text/event-stream")],
        ];
        vec![exchange("/events", headers, String::new(), &events, 200)]
    }),
];

fn lsp(random: &mut Random) -> (Value, Value) {
    let root = random.pick(&["file:///home/user/project", "file:///C:/x"]);
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "processId": random.below(65_536),
        "clientInfo": { "name": "Visual Studio Code", "version": "1.99" },
        "rootUri": root,
        "capabilities": { "textDocument": { "hover": {} }, "workspace": value(random, 2) },
    }});
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {
        "capabilities": { "hoverProvider": true, "completionProvider": {} },
        "serverInfo": { "name": "rust-analyzer", "version": word(random) },
    }});
    (request, answer)
}

fn a2a(random: &mut Random, method: &str) -> (Value, Value) {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {
        "message": { "role": "user", "kind": "message", "messageId": "m1",
                     "parts": [{ "kind": "text", "text": word(random) }] },
    }});
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {
        "kind": "task", "id": "t1", "contextId": "c1", "status": { "state": "submitted" },
        "artifacts": value(random, 2),
    }});
    (request, answer)
}

/// A message of MCP as text.
fn quoted(method: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "name": "add",
    }})
    .to_string()
}

/// A value without members of MCP.
fn value(random: &mut Random, depth: usize) -> Value {
    value_of(random, depth, &["a", "count", "x/y", "text", "tools"])
}

fn json_header() -> Vec<(String, String)> {
    vec![header("Content-Type", "application/json")]
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn post(path: &str, request: &Value, answer: &Value) -> Vec<Item> {
    let headers = [json_header(), json_header()];
    vec![exchange(path, headers, request.to_string(), &answer.to_string(), 200)]
}

fn framed(framing: Framing, port: u16, client: &[Value], server: &[Value]) -> Vec<Item> {
    let asked = client.iter().map(|value| (Side::Client, value.to_string()));
    let answered = server.iter().map(|value| (Side::Server, value.to_string()));
    vec![Item::stream(port, framing, asked.chain(answered).collect())]
}
