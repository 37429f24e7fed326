//! Generates cases: a seed and a number in, a case out, the same on every machine.

use serde_json::{Value, json};

use super::case::{Case, Change, Framing, Item, Source};
use super::lookalike::LOOKALIKES;
use super::values;
use crate::signature::{Field, Revision, Signature, SignatureIndex, SignatureSet};
use crate::workbench::carrier::{Carried, Content, Http, carry};
use crate::workbench::evasion::{TRANSFORMS, Transform};
use crate::workbench::examples::applicable;
use crate::workbench::random::Random;
use crate::workbench::wire::Side;

/// Rewritings of one case, at most.
const MAX_REWRITES: usize = 4;

/// What cases are made of.
#[derive(Debug)]
pub(super) struct Generator<'s> {
    set: &'s SignatureSet,
    /// Examples that must match and that traffic carries: number, and which of
    /// the ways to carry it.
    pub(super) examples: Vec<(SignatureIndex, usize, Carried)>,
    seed: u64,
}

impl<'s> Generator<'s> {
    /// A generator whose cases follow from the set and the seed.
    pub(super) fn new(set: &'s SignatureSet, seed: u64) -> Self {
        let mut examples = Vec::new();
        for (index, signature) in set.signatures().iter().enumerate() {
            for (number, example) in signature.matches.iter().enumerate() {
                let seen = crate::workbench::examples::is_seen(example, signature);
                let carried = carry(signature, example).ok().filter(|_| seen);
                let index = SignatureIndex(index as u32);
                let carried = carried.into_iter().flatten();
                examples.extend(carried.map(|carried| (index, number, carried)));
            }
        }
        Self { set, examples, seed }
    }

    /// The case of that number.
    pub(super) fn case(&self, number: u64) -> Case {
        let random = &mut random(self.seed, number);
        let seed = random.next();
        let (source, items, changes) = match random.below(16) {
            0..4 => (Source::Mcp, self.conversation(random), anything(random)),
            4..9 => {
                let (name, make) = LOOKALIKES[random.below(LOOKALIKES.len())];
                (Source::LookAlike(name), make(random), same_meaning(TRANSFORMS.iter(), random))
            }
            9..12 if !self.examples.is_empty() => self.example(random),
            12 => (Source::Growth, Vec::new(), Vec::new()),
            _ => (Source::Values, values::near(self.set, random), Vec::new()),
        };
        Case { source, items, changes, seed }
    }

    fn example(&self, random: &mut Random) -> (Source, Vec<Item>, Vec<Change>) {
        let Some((index, number, carried)) = self.examples.get(random.below(self.examples.len()))
        else {
            return (Source::Mcp, Vec::new(), Vec::new());
        };
        let signature = self.set.signature(*index);
        let mut changes = same_meaning(applicable(signature).into_iter(), random);
        if !signature.clause.fields.contains(&Field::HttpBody) {
            changes.retain(|change| !matches!(change, Change::Respell(_)));
        }
        // What is cut off may be what matched.
        changes.retain(|change| !matches!(change, Change::Truncate(_)));
        (Source::Example(*index, *number), vec![Item::Carried(carried.clone())], changes)
    }

    /// A conversation of MCP, and now and then what an example of the set says.
    fn conversation(&self, random: &mut Random) -> Vec<Item> {
        let mut items = Speaker::new(random).conversation();
        while random.chance(3) && !self.examples.is_empty() {
            let example = self.examples.get(random.below(self.examples.len()));
            let example = example.map(|(.., carried)| Item::Carried(carried.clone()));
            let at = random.below(items.len() + 1);
            items.splice(at..at, example);
        }
        items
    }
}

/// The generator of numbers for one case.
fn random(seed: u64, number: u64) -> Random {
    // Streams of neighbouring seeds would be the same but for their first number.
    Random::new(seed ^ Random::new(number).next()).fork()
}

/// Changes after which the same is said: rewritings, cuts, and an early end.
fn same_meaning<'t>(
    transforms: impl Iterator<Item = &'static Transform> + 't,
    random: &mut Random,
) -> Vec<Change> {
    let transforms: Vec<_> = transforms.collect();
    let mut changes = Vec::new();
    for _ in 0..random.below(MAX_REWRITES + 1) {
        if let Some(transform) = transforms.get(random.below(transforms.len())) {
            changes.push(Change::Rewrite(transform));
        }
    }
    if random.chance(3) {
        // Once it is compressed, JSON cannot be respelt.
        changes.insert(0, Change::Respell(random.next()));
    }
    if random.chance(4) {
        changes.push(Change::Chunks(1 + random.below(100)));
    }
    if random.chance(4) {
        changes.push(Change::Disorder(random.next()));
    }
    if random.chance(8) {
        changes.push(Change::Truncate(random.next()));
    }
    changes
}

/// The same and changes after which something else is said.
fn anything(random: &mut Random) -> Vec<Change> {
    let mut changes = same_meaning(TRANSFORMS.iter(), random);
    if random.chance(4) {
        changes.insert(0, Change::Repeat(random.next()));
    }
    while random.chance(3) {
        changes.push(Change::Flip(random.next()));
    }
    changes
}

/// Texts that names and arguments may have.
const WORDS: &[&str] = &[
    "add",
    "get_weather",
    "x",
    "",
    "résumé/😀",
    "a \"quoted\" name",
    "back\\slash",
    "tab\tand\nline",
    "tools/call",
    "{\"method\":\"initialize\"}",
    "data: {}",
    "../../etc/passwd",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "\u{feff}",
    "null",
];

pub(super) fn word(random: &mut Random) -> &'static str {
    random.pick(WORDS)
}

/// A JSON value of any kind.
fn value(random: &mut Random, depth: usize) -> Value {
    value_of(random, depth, &["method", "params", "id", "name", "a", "x/y", "jsonrpc"])
}

/// The same with these keys.
pub(super) fn value_of(random: &mut Random, depth: usize, keys: &[&str]) -> Value {
    match random.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => random.chance(2).into(),
        2 => random.pick(&[0_i64, 1, -1, 42, i64::MAX, i64::MIN]).into(),
        3 => random.pick(&[0.5, -1e-7, 1e300]).into(),
        4 | 5 => word(random).into(),
        6 => (0..random.below(4)).map(|_| value_of(random, depth - 1, keys)).collect(),
        _ => {
            let members = (0..random.below(4)).map(|_| {
                let key = random.pick(keys);
                (key.to_owned(), value_of(random, depth - 1, keys))
            });
            Value::Object(members.collect())
        }
    }
}

/// A client and a server of MCP.
struct Speaker<'r> {
    random: &'r mut Random,
    revision: &'static str,
    session: String,
    id: u64,
}

/// How MCP is carried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Http,
    EventStream,
    Legacy,
    Lines,
    Headers,
}

const METHODS: &[&str] = &[
    "tools/list",
    "tools/call",
    "tools/call",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "ping",
    "notifications/cancelled",
    "notifications/progress",
    "no/such/method",
];

impl<'r> Speaker<'r> {
    fn new(random: &'r mut Random) -> Self {
        let revision = random.pick(Revision::NAMES);
        let session = format!("{:016x}", random.next());
        Self { random, revision, session, id: 0 }
    }

    fn conversation(mut self) -> Vec<Item> {
        let transport = match self.revision {
            "2024-11-05" => Transport::Legacy,
            _ if self.random.chance(6) => Transport::Lines,
            _ if self.random.chance(8) => Transport::Headers,
            _ if self.random.chance(2) => Transport::EventStream,
            _ => Transport::Http,
        };
        let mut said = Vec::new();
        if self.is_stateless() {
            said.push(self.call("server/discover"));
        } else {
            said.push(self.call("initialize"));
            said.push((json!({"jsonrpc": "2.0", "method": "notifications/initialized"}), None));
        }
        for _ in 0..self.random.below(4) {
            let method = self.random.pick(METHODS);
            said.push(self.call(method));
        }
        if self.revision == "2025-03-26" && self.random.chance(2) {
            said = vec![batch(said)];
        }
        self.carried(transport, said)
    }

    fn is_stateless(&self) -> bool {
        self.revision == "2026-07-28"
    }

    /// A request, and its answer if it gets one.
    fn call(&mut self, method: &str) -> (Value, Option<Value>) {
        let mut params = self.params(method);
        if self.is_stateless() {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": self.revision,
                "io.modelcontextprotocol/clientInfo": { "name": "agent", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        let mut request = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if method.starts_with("notifications/") {
            return (request, None);
        }
        self.id += 1;
        let id = if self.random.chance(3) { self.id.to_string().into() } else { json!(self.id) };
        request["id"] = id.clone();
        let mut answer = json!({"jsonrpc": "2.0", "id": id});
        if self.random.chance(6) {
            let code = self.random.pick(&[-32601, -32602, -32603, -32001, -32042]);
            answer["error"] = json!({"code": code, "message": word(self.random)});
        } else {
            answer["result"] = self.result(method);
        }
        (request, Some(answer))
    }

    fn params(&mut self, method: &str) -> Value {
        let random = &mut *self.random;
        match method {
            "initialize" => json!({
                "protocolVersion": self.revision,
                "capabilities": { "roots": {} },
                "clientInfo": { "name": word(random), "version": "1.0" },
            }),
            "tools/call" => json!({"name": word(random), "arguments": value(random, 3)}),
            "resources/read" => json!({"uri": format!("file:///{}", word(random))}),
            "prompts/get" => json!({"name": word(random), "arguments": { "a": word(random) }}),
            "completion/complete" => json!({
                "ref": { "type": "ref/prompt", "name": word(random) },
                "argument": { "name": "a", "value": word(random) },
            }),
            "logging/setLevel" => json!({"level": "info"}),
            "notifications/cancelled" => json!({"requestId": 1}),
            "notifications/progress" => json!({"progressToken": 1, "progress": 0.5}),
            "no/such/method" => json!({"value": value(random, 3)}),
            _ => json!({}),
        }
    }

    fn result(&mut self, method: &str) -> Value {
        let random = &mut *self.random;
        match method {
            "initialize" => json!({
                "protocolVersion": self.revision,
                "capabilities": { "tools": {} },
                "serverInfo": { "name": word(random), "version": "2" },
            }),
            "server/discover" => json!({
                "supportedVersions": [self.revision],
                "capabilities": { "tools": {} },
            }),
            "tools/list" => json!({"tools": [{
                "name": word(random),
                "description": word(random),
                "inputSchema": { "type": "object", "properties": value(random, 2) },
            }]}),
            "tools/call" => json!({
                "content": [{ "type": "text", "text": word(random) }],
                "isError": random.chance(4),
            }),
            "resources/list" => {
                json!({"resources": [{ "uri": "file:///a", "name": word(random) }]})
            }
            "resources/read" => json!({"contents": [{ "uri": "file:///a", "text": word(random) }]}),
            "prompts/list" => json!({"prompts": [{ "name": word(random) }]}),
            "prompts/get" => json!({"messages": [
                { "role": "user", "content": { "type": "text", "text": word(random) } },
            ]}),
            "completion/complete" => json!({"completion": { "values": [word(random)] }}),
            _ => value(random, 2),
        }
    }

    fn carried(&mut self, transport: Transport, said: Vec<(Value, Option<Value>)>) -> Vec<Item> {
        match transport {
            Transport::Lines => vec![stream(Framing::Line, said)],
            Transport::Headers => vec![stream(Framing::Length, said)],
            Transport::Legacy => self.legacy(said),
            Transport::Http | Transport::EventStream => {
                let events = transport == Transport::EventStream;
                let posts = said.into_iter().map(|(request, answer)| {
                    let answer = answer.map(|answer| answer.to_string()).unwrap_or_default();
                    let answer = if events { event("message", &answer) } else { answer };
                    self.post("/mcp", &request, &answer, events)
                });
                posts.collect()
            }
        }
    }

    fn post(&self, path: &str, request: &Value, answer: &str, events: bool) -> Item {
        let mut headers = vec![
            header("Content-Type", "application/json"),
            header("Accept", "application/json, text/event-stream"),
            header("User-Agent", "agent/1"),
        ];
        let mut answered =
            vec![header("Content-Type", if events { EVENTS } else { "application/json" })];
        if self.is_stateless() {
            let method = request["method"].as_str().unwrap_or_default();
            headers.push(header("Mcp-Method", method));
        } else if self.revision != "2024-11-05" {
            let session = header("Mcp-Session-Id", &self.session);
            if request["method"] == "initialize" {
                answered.push(session);
            } else {
                headers.extend([session, header("MCP-Protocol-Version", self.revision)]);
            }
        }
        let status = if answer.is_empty() { 202 } else { 200 };
        exchange(path, [headers, answered], request.to_string(), answer, status)
    }

    /// The stream of all answers, then what they answer.
    fn legacy(&self, said: Vec<(Value, Option<Value>)>) -> Vec<Item> {
        let path = format!("/messages/?session_id={}", self.session);
        let mut stream = event("endpoint", &path);
        let mut posts = Vec::new();
        for (request, answer) in said {
            stream +=
                &answer.map(|answer| event("message", &answer.to_string())).unwrap_or_default();
            posts.push(self.post(&path, &request, "", false));
        }
        let headers = [vec![header("Accept", EVENTS)], vec![header("Content-Type", EVENTS)]];
        let mut items = vec![exchange("/sse", headers, String::new(), &stream, 200)];
        items.append(&mut posts);
        items
    }
}

const EVENTS: &str = "text/event-stream";

fn batch(said: Vec<(Value, Option<Value>)>) -> (Value, Option<Value>) {
    let (requests, answers): (Vec<_>, Vec<_>) = said.into_iter().unzip();
    (requests.into(), Some(answers.into_iter().flatten().collect()))
}

fn stream(framing: Framing, said: Vec<(Value, Option<Value>)>) -> Item {
    let turns = said.into_iter().flat_map(|(request, answer)| {
        let answer = answer.map(|answer| (Side::Server, answer.to_string()));
        [Some((Side::Client, request.to_string())), answer]
    });
    Item::stream(18_080, framing, turns.flatten().collect())
}

pub(super) fn event(name: &str, data: &str) -> String {
    if data.is_empty() { String::new() } else { format!("event: {name}\ndata: {data}\n\n") }
}

pub(super) fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A request and its response. Without content it is a GET.
pub(super) fn exchange(
    target: &str,
    own_headers: [Vec<(String, String)>; 2],
    request: String,
    response: &str,
    status: u16,
) -> Item {
    let content = |text: &str| Content { body: text.as_bytes().to_vec(), ..Content::default() };
    Item::Carried(Carried::Http(Box::new(Http {
        method: if request.is_empty() { "GET" } else { "POST" }.to_owned(),
        target: target.as_bytes().to_vec(),
        own_headers,
        status,
        request: content(&request),
        response: content(response),
        ..Http::default()
    })))
}

/// The place of an example in its signature.
pub(super) fn example_name(signature: &Signature, number: usize) -> String {
    format!("examples.match {} of {}", number + 1, signature.id)
}
