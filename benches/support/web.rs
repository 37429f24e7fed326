//! Cleartext HTTP/1.1 between browsers, programs and web servers.

use std::collections::VecDeque;

use super::address::{self, Route};
use super::http::{self, Head};
use super::payload::Payload;
use super::random::Random;
use super::session::{MILLISECOND, Nanos, Script, Step};
use super::text;
use super::wire::Side;

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Images and chunks of video.
    Media,
    /// Pages, scripts, style sheets; forms and uploads.
    Site,
    /// JSON programs talk in: REST, JSON-RPC, model answers, WebSocket.
    Api,
}

/// Of a thousand API connections, those that are not plain REST.
const MODEL_STREAMS: usize = 80;
const ETHEREUM: usize = 20;
const WEB_SOCKETS: usize = 20;

enum Dialogue {
    Media,
    Site,
    Rest,
    ModelStream,
    Ethereum,
    WebSocket,
}

pub(crate) struct Web {
    route: Route,
    host: String,
    dialogue: Dialogue,
    left: usize,
    opened: bool,
}

impl Web {
    pub(crate) fn new(random: &mut Random, of: Use) -> Self {
        let port = *random.pick(&[&80, &80, &80, &8_080]);
        let route = address::route(random, port);
        let kind = random.within(0..1_000);
        let dialogue = match of {
            Use::Media => Dialogue::Media,
            Use::Site => Dialogue::Site,
            Use::Api if kind < MODEL_STREAMS => Dialogue::ModelStream,
            Use::Api if kind < MODEL_STREAMS + ETHEREUM => Dialogue::Ethereum,
            Use::Api if kind < MODEL_STREAMS + ETHEREUM + WEB_SOCKETS => Dialogue::WebSocket,
            Use::Api => Dialogue::Rest,
        };
        let host = address::host(route.site);
        Self { route, host, dialogue, left: random.magnitude(1..10), opened: false }
    }

    fn exchange(&self, random: &mut Random, steps: &mut VecDeque<Step>) {
        let (request, response) = match self.dialogue {
            Dialogue::Media => self.media(random),
            Dialogue::Site => self.site(random),
            Dialogue::Rest => self.rest(random),
            Dialogue::ModelStream => return self.model_stream(random, steps),
            Dialogue::Ethereum => self.ethereum(random),
            Dialogue::WebSocket => return self.web_socket(random, steps),
        };
        steps.push_back(send(Side::Client, request));
        steps.push_back(send(Side::Server, response));
        steps.push_back(think(random));
    }

    fn media(&self, random: &mut Random) -> (Payload, Payload) {
        if random.permille(930) {
            let target = format!("/images/{}/{}.webp", text::name(random), random.hex(16));
            let len = random.magnitude(2_000..300_000);
            let head = Head::serve(random, "200 OK", "image/webp").field("Accept-Ranges", "bytes");
            (self.browse(random, "GET", &target).end(), head.noise(random, len))
        } else {
            let target = format!("/video/{}/segment-{}.m4s", random.hex(8), random.within(1..900));
            let len = random.magnitude(200_000..3_000_000);
            let range = format!("bytes 0-{}/{}", len - 1, len * 9);
            let head = Head::serve(random, "206 Partial Content", "video/mp4")
                .field("Content-Range", &range);
            (
                self.browse(random, "GET", &target).field("Range", "bytes=0-").end(),
                head.noise(random, len),
            )
        }
    }

    fn site(&self, random: &mut Random) -> (Payload, Payload) {
        match random.within(0..100) {
            0..40 => {
                let target =
                    format!("/{}/{}?q={}", text::name(random), random.hex(6), text::word(random));
                let len = random.magnitude(6_000..140_000);
                let page = text::page(random, len);
                let head = Head::serve(random, "200 OK", "text/html; charset=utf-8");
                (self.browse(random, "GET", &target).end(), head.text(random, page, 500))
            }
            40..75 => {
                let target = format!("/static/js/{}.{}.js", text::name(random), random.hex(8));
                let len = random.magnitude(4_000..350_000);
                let script = text::script(random, len);
                let head = Head::serve(random, "200 OK", "application/javascript");
                (self.browse(random, "GET", &target).end(), head.text(random, script, 600))
            }
            75..90 => {
                let target = format!("/static/css/{}.css", random.hex(8));
                let len = random.magnitude(2_000..120_000);
                let sheet = text::style_sheet(random, len);
                let head = Head::serve(random, "200 OK", "text/css");
                (self.browse(random, "GET", &target).end(), head.text(random, sheet, 600))
            }
            90..94 => {
                let head = Head::response("304 Not Modified").field("Server", "nginx");
                (self.browse(random, "GET", "/favicon.ico").end(), head.end())
            }
            94..98 => {
                let form = format!("user={}&comment={}", random.hex(8), random.hex(120));
                let request = self
                    .browse(random, "POST", "/account/update")
                    .field("Content-Type", "application/x-www-form-urlencoded")
                    .body(form);
                let head = Head::response("302 Found").field("Location", "/account");
                (request, head.field("Content-Length", "0").end())
            }
            _ => {
                let len = random.magnitude(20_000..900_000);
                let request = self
                    .browse(random, "POST", "/upload")
                    .field("Content-Type", "application/octet-stream")
                    .noise(random, len);
                (request, Head::serve(random, "201 Created", "text/plain").body("stored\n"))
            }
        }
    }

    fn rest(&self, random: &mut Random) -> (Payload, Payload) {
        let target = format!("/v{}/{}/{}", random.within(1..4), text::name(random), random.uuid());
        let head = self.program(&target, random.permille(300), random);
        let len = random.magnitude(1_000..200_000);
        let answer = text::json(random, len);
        let response = Head::serve(random, "200 OK", "application/json").text(random, answer, 350);
        (head, response)
    }

    /// A program's request: GET, or POST of a JSON document.
    fn program(&self, target: &str, post: bool, random: &mut Random) -> Payload {
        let head = Head::request(if post { "POST" } else { "GET" }, target, &self.host)
            .field("User-Agent", "python-requests/2.32.5")
            .field("Accept", "application/json")
            .field("Accept-Encoding", "gzip, deflate")
            .field("Authorization", &format!("Bearer {}", random.hex(180)));
        if !post {
            return head.end();
        }
        let len = random.magnitude(100..8_000);
        let document = text::json(random, len);
        head.field("Content-Type", "application/json").body(document)
    }

    /// Answers of a language model as server-sent events, a token at a time.
    fn model_stream(&self, random: &mut Random, steps: &mut VecDeque<Step>) {
        let prompt = text::sentence(random, 600);
        let request = Head::request("POST", "/v1/chat/completions", &self.host)
            .field("Authorization", &format!("Bearer sk-{}", random.hex(40)))
            .field("Content-Type", "application/json")
            .body(format!(
                "{{\"model\":\"large\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\
                 \"content\":\"{prompt}\"}}]}}"
            ));
        steps.push_back(send(Side::Client, request));
        let head = Head::serve(random, "200 OK", "text/event-stream")
            .field("Transfer-Encoding", "chunked")
            .end();
        steps.push_back(send(Side::Server, head));
        let id = random.hex(20);
        for _ in 0..random.magnitude(20..300) {
            let event = format!(
                "data: {{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\
                 \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{} \"}},\
                 \"finish_reason\":null}}]}}\n\n",
                text::word(random)
            );
            steps.push_back(send(
                Side::Server,
                Payload::default().bytes(http::chunk(event.as_bytes())),
            ));
        }
        let mut end = http::chunk(b"data: [DONE]\n\n");
        end.extend_from_slice(http::LAST_CHUNK);
        steps.push_back(send(Side::Server, Payload::default().bytes(end)));
        steps.push_back(think(random));
    }

    /// JSON-RPC 2.0 that is not MCP.
    fn ethereum(&self, random: &mut Random) -> (Payload, Payload) {
        let id = random.within(1..10_000);
        let request = Head::request("POST", "/", &self.host)
            .field("Content-Type", "application/json")
            .body(format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"eth_call\",\"params\":[{{\"to\":\"0x{}\",\
                 \"data\":\"0x{}\"}},\"latest\"],\"id\":{id}}}",
                random.hex(40),
                random.hex(72)
            ));
        let len = random.magnitude(64..9_000);
        let response = Head::serve(random, "200 OK", "application/json").body(format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":\"0x{}\"}}",
            random.hex(len)
        ));
        (request, response)
    }

    /// Ticks over a WebSocket (RFC 6455): small frames, the client's masked.
    fn web_socket(&self, random: &mut Random, steps: &mut VecDeque<Step>) {
        let upgrade = Head::request("GET", "/live", &self.host)
            .field("Connection", "Upgrade")
            .field("Upgrade", "websocket")
            .field("Sec-WebSocket-Version", "13")
            .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .end();
        let switch = Head::response("101 Switching Protocols")
            .field("Connection", "Upgrade")
            .field("Upgrade", "websocket")
            .field("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .end();
        steps.push_back(send(Side::Client, upgrade));
        steps.push_back(send(Side::Server, switch));
        for _ in 0..random.magnitude(10..200) {
            let len = random.magnitude(60..2_000);
            let tick = text::json(random, len);
            steps.push_back(send(Side::Server, web_socket_frame(tick.as_bytes(), None)));
            if random.permille(200) {
                let mask = (random.next() as u32).to_be_bytes();
                let ask = format!("{{\"subscribe\":\"{}\"}}", text::name(random));
                steps.push_back(send(Side::Client, web_socket_frame(ask.as_bytes(), Some(mask))));
            }
        }
    }

    fn browse(&self, random: &mut Random, method: &str, target: &str) -> Head {
        Head::browse(random, method, target, &self.host)
    }
}

impl Script for Web {
    fn next(&mut self, random: &mut Random, steps: &mut VecDeque<Step>) {
        if !self.opened {
            self.opened = true;
            let Route { client, server, .. } = self.route;
            steps.push_back(Step::Open { client, server });
        } else if self.left == 0 {
            return;
        }
        self.exchange(random, steps);
        self.left -= 1;
        if matches!(self.dialogue, Dialogue::WebSocket) {
            self.left = 0;
        }
        if self.left == 0 {
            close(random, steps);
        }
    }
}

fn send(from: Side, payload: Payload) -> Step {
    Step::Send { connection: 0, from, payload }
}

fn think(random: &mut Random) -> Step {
    Step::Pause(random.magnitude(5..2_000) as Nanos * MILLISECOND)
}

/// Most connections are closed, some are reset, some fall silent.
pub(crate) fn close(random: &mut Random, steps: &mut VecDeque<Step>) {
    match random.within(0..100) {
        0..90 => steps.push_back(Step::Close { connection: 0 }),
        90..95 => steps.push_back(Step::Reset { connection: 0 }),
        _ => {}
    }
}

fn web_socket_frame(text: &[u8], mask: Option<[u8; 4]>) -> Payload {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(len @ 0..=125) => frame.push(masked | len as u8),
        Ok(len) => {
            frame.push(masked | 126);
            frame.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => {
            frame.push(masked | 127);
            frame.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    match mask {
        Some(mask) => {
            frame.extend_from_slice(&mask);
            frame.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        None => frame.extend_from_slice(text),
    }
    Payload::default().bytes(frame)
}
