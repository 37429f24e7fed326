//! MCP sessions as real SDKs speak: Streamable HTTP with JSON and with SSE
//! answers, HTTP+SSE on two connections, and the stateless revision 2026-07-28.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::address;
use super::http::{self, Head};
use super::payload::Payload;
use super::random::Random;
use super::session::{MILLISECOND, Nanos, Script, Step};
use super::text;
use super::truth::{Count, Truth};
use super::wire::{Endpoint, Side};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    /// Streamable HTTP, answers as JSON documents.
    Json,
    /// Streamable HTTP, answers as server-sent events.
    Events,
    /// HTTP+SSE of 2024-11-05: answers on the connection of a GET.
    TwoConnections,
    /// 2026-07-28: no handshake, no session.
    Stateless,
}

impl Transport {
    fn revision(self) -> &'static str {
        match self {
            Transport::Json => "2025-06-18",
            Transport::Events => "2025-11-25",
            Transport::TwoConnections => "2024-11-05",
            Transport::Stateless => "2026-07-28",
        }
    }

    /// The connection that requests go over.
    fn connection(self) -> usize {
        usize::from(self == Transport::TwoConnections)
    }
}

const TRANSPORTS: [Transport; 4] =
    [Transport::Json, Transport::Events, Transport::TwoConnections, Transport::Stateless];
const SERVERS: usize = 12;
const TOOLS: [&str; 6] = ["search", "weather", "place_order", "read_file", "query", "summarise"];

/// A whole session, written at once: it is small, and always ends.
pub(crate) struct Mcp {
    steps: VecDeque<Step>,
}

impl Mcp {
    /// Session number `serial` of the capture. Each has a client address of its
    /// own, so that stateless conversations do not run together.
    pub(crate) fn new(random: &mut Random, serial: u32, truth: &mut Truth) -> Self {
        let transport = TRANSPORTS[serial as usize % TRANSPORTS.len()];
        let [_, b, c, d] = serial.to_be_bytes();
        let server = random.within(0..SERVERS);
        let mut writer = Writer {
            client: [10, 64 + b, c, d],
            server: Endpoint::v4([10, 30, 0, server as u8], 8_000),
            host: format!("tools{server}.corp.example:8000"),
            transport,
            port: address::ephemeral(random),
            session: random.uuid(),
            id: 0,
            steps: VecDeque::new(),
            random,
            truth,
        };
        writer.session();
        Self { steps: writer.steps }
    }
}

impl Script for Mcp {
    fn next(&mut self, _random: &mut Random, steps: &mut VecDeque<Step>) {
        steps.append(&mut self.steps);
    }

    fn is_counted(&self) -> bool {
        true
    }
}

struct Writer<'a> {
    client: [u8; 4],
    server: Endpoint,
    host: String,
    transport: Transport,
    /// Of the next connection.
    port: u16,
    session: String,
    /// Of the latest request.
    id: u64,
    steps: VecDeque<Step>,
    random: &'a mut Random,
    truth: &'a mut Truth,
}

impl Writer<'_> {
    fn session(&mut self) {
        self.truth.conversations += 1;
        self.truth.servers.insert(self.server.address);
        self.open();
        if self.transport == Transport::TwoConnections {
            self.listen();
            self.open();
        }
        self.begin();
        let tools = self.tools();
        self.request("tools/list", "", &[], &format!("{{\"tools\":[{tools}]}}"));
        for _ in 0..self.random.magnitude(2..16) {
            self.call();
        }
        self.request(
            "resources/list",
            "",
            &[],
            "{\"resources\":[{\"uri\":\"note://today\",\"name\":\"today\"}]}",
        );
        let note = text::sentence(self.random, 400);
        self.request(
            "resources/read",
            "\"uri\":\"note://today\"",
            &[],
            &format!("{{\"contents\":[{{\"uri\":\"note://today\",\"text\":\"{note}\"}}]}}"),
        );
        self.request(
            "prompts/list",
            "",
            &[],
            "{\"prompts\":[{\"name\":\"review\",\"description\":\"Review\"}]}",
        );
        self.end();
    }

    fn begin(&mut self) {
        if self.transport == Transport::Stateless {
            let result = format!(
                "{{\"supportedVersions\":[\"{}\"],\"capabilities\":{{\"tools\":{{}}}},\
                 \"resultType\":\"complete\"}}",
                self.transport.revision()
            );
            return self.request("server/discover", "", &[], &result);
        }
        let revision = self.transport.revision();
        let params = format!(
            "\"protocolVersion\":\"{revision}\",\"capabilities\":{{\"roots\":{{\"listChanged\":\
             true}}}},\"clientInfo\":{{\"name\":\"bench-client\",\"version\":\"1.2.3\"}}"
        );
        let result = format!(
            "{{\"protocolVersion\":\"{revision}\",\"capabilities\":{{\"tools\":{{\"listChanged\":\
             true}},\"resources\":{{}},\"prompts\":{{}}}},\"serverInfo\":{{\"name\":\"bench-server\",\
             \"version\":\"0.7.0\"}}}}"
        );
        self.request("initialize", &params, &[], &result);
        self.notify("notifications/initialized");
    }

    fn tools(&mut self) -> String {
        let mut tools = String::new();
        for number in 0..self.random.within(4..30) {
            if number > 0 {
                tools.push(',');
            }
            let name = match TOOLS.get(number) {
                Some(&name) => name.to_owned(),
                None => format!("{}_{number}", text::name(self.random)),
            };
            let _ = write!(
                tools,
                "{{\"name\":\"{name}\",\"description\":\"{}\",\"inputSchema\":{{\"type\":\"object\",\
                 \"properties\":{{\"query\":{{\"type\":\"string\"}},\"limit\":{{\"type\":\"integer\",\
                 \"default\":10}}}},\"required\":[\"query\"]}}}}",
                text::sentence(self.random, 90)
            );
        }
        tools
    }

    fn call(&mut self) {
        let tool = self.random.pick(&TOOLS);
        let params = format!(
            "\"name\":\"{tool}\",\"arguments\":{{\"query\":\"{}\",\"limit\":10}}",
            text::sentence(self.random, 60)
        );
        if self.random.permille(40) {
            return self.fail("tools/call", &params);
        }
        let len = self.random.magnitude(100..12_000);
        let answer = text::json(self.random, len).replace('\\', "\\\\").replace('"', "\\\"");
        let result = format!(
            "{{\"content\":[{{\"type\":\"text\",\"text\":\"{answer}\"}}],\"isError\":false}}"
        );
        let progress = self.transport == Transport::Events && self.random.permille(300);
        let notifications: &[&str] = if progress { &["notifications/progress"; 3] } else { &[] };
        self.request("tools/call", &params, notifications, &result);
    }

    /// A request that is answered with `result`, after `notifications`.
    fn request(&mut self, method: &str, params: &str, notifications: &[&str], result: &str) {
        let id = self.ask(method, params);
        let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
        let mut messages = Vec::new();
        for &notification in notifications {
            self.count(notification).requests += 1;
            messages.push(format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"{notification}\",\"params\":\
                 {{\"progressToken\":{id},\"progress\":1}}}}"
            ));
        }
        messages.push(answer);
        self.count(method).responses += 1;
        self.answer(&messages);
    }

    fn fail(&mut self, method: &str, params: &str) {
        let id = self.ask(method, params);
        self.count(method).errors += 1;
        self.answer(&[format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":-32602,\"message\":\"Bad arguments\"}}}}"
        )]);
    }

    fn ask(&mut self, method: &str, params: &str) -> u64 {
        self.id += 1;
        let id = self.id;
        self.count(method).requests += 1;
        let params = match (self.transport, params) {
            (Transport::Stateless, params) => {
                let comma = if params.is_empty() { "" } else { "," };
                format!(
                    "{params}{comma}\"_meta\":{{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\
                     \"io.modelcontextprotocol/clientInfo\":{{\"name\":\"bench-client\",\"version\":\
                     \"2.0.0\"}},\"io.modelcontextprotocol/clientCapabilities\":{{}}}}"
                )
            }
            (_, params) => params.to_owned(),
        };
        // SDKs differ in the order of members; half of them say `jsonrpc` last.
        let body = match self.transport {
            Transport::Json | Transport::TwoConnections => {
                format!(
                    "{{\"method\":\"{method}\",\"params\":{{{params}}},\"jsonrpc\":\"2.0\",\"id\":{id}}}"
                )
            }
            Transport::Events | Transport::Stateless => {
                format!(
                    "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{{params}}}}}"
                )
            }
        };
        self.post(method, body);
        id
    }

    fn notify(&mut self, method: &str) {
        self.count(method).requests += 1;
        self.post(method, format!("{{\"method\":\"{method}\",\"jsonrpc\":\"2.0\"}}"));
        if self.transport != Transport::TwoConnections {
            self.send(self.transport.connection(), Side::Server, accepted());
        }
    }

    fn post(&mut self, method: &str, body: String) {
        let target = match self.transport {
            Transport::TwoConnections => format!("/messages/?session_id={}", self.session),
            _ => "/mcp".to_owned(),
        };
        let mut head = self.head("POST", &target).field("Content-Type", "application/json");
        match self.transport {
            Transport::Stateless => {
                head = head.field("mcp-protocol-version", "2026-07-28").field("mcp-method", method);
            }
            Transport::Json | Transport::Events if method != "initialize" => {
                head = head
                    .field("mcp-session-id", &self.session)
                    .field("mcp-protocol-version", self.transport.revision());
            }
            _ => {}
        }
        self.send(self.transport.connection(), Side::Client, head.body(body));
        if self.transport == Transport::TwoConnections {
            self.send(1, Side::Server, accepted());
        }
    }

    fn answer(&mut self, messages: &[String]) {
        let head = Head::response("200 OK").field("Server", "uvicorn");
        let payload = match self.transport {
            Transport::Json => head
                .field("Content-Type", "application/json")
                .field("mcp-session-id", &self.session)
                .body(messages.concat()),
            Transport::Stateless => {
                head.field("Content-Type", "application/json").body(messages.concat())
            }
            Transport::Events => {
                let mut body = Vec::new();
                for message in messages {
                    body.extend(http::chunk(event("message", message).as_bytes()));
                }
                body.extend_from_slice(http::LAST_CHUNK);
                head.field("Content-Type", "text/event-stream")
                    .field("mcp-session-id", &self.session)
                    .field("Transfer-Encoding", "chunked")
                    .end()
                    .bytes(body)
            }
            Transport::TwoConnections => {
                let events: String =
                    messages.iter().map(|message| event("message", message)).collect();
                Payload::default().bytes(http::chunk(events.as_bytes()))
            }
        };
        self.send(0, Side::Server, payload);
        let pause = self.random.magnitude(2..800) as Nanos * MILLISECOND;
        self.steps.push_back(Step::Pause(pause));
    }

    /// Opens the stream of HTTP+SSE, which tells where to post.
    fn listen(&mut self) {
        let request = self.head("GET", "/sse").end();
        self.send(0, Side::Client, request);
        let endpoint = event("endpoint", &format!("/messages/?session_id={}", self.session));
        let response = Head::response("200 OK")
            .field("Content-Type", "text/event-stream")
            .field("Transfer-Encoding", "chunked")
            .end()
            .bytes(http::chunk(endpoint.as_bytes()));
        self.send(0, Side::Server, response);
    }

    fn head(&self, method: &str, target: &str) -> Head {
        Head::request(method, target, &self.host)
            .field("User-Agent", "python-httpx/0.28.1")
            .field("Accept", "application/json, text/event-stream")
            .field("Accept-Encoding", "gzip, deflate")
            .field("Connection", "keep-alive")
    }

    fn open(&mut self) {
        let client = Endpoint::v4(self.client, self.port);
        self.port += 1;
        self.steps.push_back(Step::Open { client, server: self.server });
    }

    fn end(&mut self) {
        if self.transport == Transport::TwoConnections {
            let end = Payload::default().bytes(http::LAST_CHUNK);
            self.send(0, Side::Server, end);
            self.steps.push_back(Step::Close { connection: 1 });
        }
        self.steps.push_back(Step::Close { connection: 0 });
    }

    fn send(&mut self, connection: usize, from: Side, payload: Payload) {
        self.steps.push_back(Step::Send { connection, from, payload });
    }

    fn count(&mut self, method: &str) -> &mut Count {
        self.truth.method(method)
    }
}

fn accepted() -> Payload {
    Head::response("202 Accepted").field("Server", "uvicorn").field("Content-Length", "0").end()
}

fn event(kind: &str, data: &str) -> String {
    format!("event: {kind}\r\ndata: {data}\r\n\r\n")
}
