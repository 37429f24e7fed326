//! Traffic to time a set with: a seed in; values of fields, bodies and whole
//! exchanges as an ordinary network has them, out. Hardly any of it is MCP.

use serde_json::{Map, Value, json};

use super::carrier::{Carried, Content, Cut, Http};
use super::random::Random;
use super::wire::Frames;
use crate::signature::Field;

const WORDS: &[&str] = &[
    "account", "address", "amount", "api", "app", "archive", "asset", "auth", "batch", "billing",
    "board", "cache", "calendar", "call", "cart", "catalog", "channel", "chart", "client", "cloud",
    "comment", "config", "contact", "content", "count", "country", "created", "currency", "custom",
    "daily", "data", "date", "delivery", "device", "document", "draft", "email", "endpoint",
    "error", "event", "export", "feature", "feed", "field", "file", "filter", "folder", "format",
    "group", "history", "host", "icon", "image", "import", "index", "info", "input", "invoice",
    "item", "items", "job", "key", "label", "language", "level", "limit", "list", "location",
    "login", "market", "media", "member", "message", "meta", "method", "metric", "mobile", "model",
    "month", "name", "network", "node", "note", "object", "offer", "order", "orders", "output",
    "owner", "page", "param", "params", "partner", "path", "payment", "person", "phone", "photo",
    "plan", "player", "price", "product", "profile", "project", "public", "query", "queue",
    "range", "rate", "region", "report", "request", "resource", "response", "result", "review",
    "role", "sales", "schema", "score", "search", "section", "segment", "service", "session",
    "settings", "share", "shop", "site", "size", "source", "state", "static", "status", "store",
    "stream", "summary", "support", "sync", "system", "table", "tag", "task", "team", "template",
    "text", "ticket", "time", "title", "token", "tool", "topic", "total", "track", "type",
    "update", "url", "user", "users", "value", "version", "video", "view", "visit", "week",
    "widget", "window", "work", "year", "zone",
];

const ENDINGS: &[&str] = &["com", "net", "org", "io", "example", "de", "co.uk", "internal"];

const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0",
    "python-requests/2.32.5",
    "okhttp/4.12.0",
    "Go-http-client/1.1",
    "curl/8.16.0",
];

/// Bytes of a body, about.
const BODY: usize = 2_048;

/// Makes traffic, the same for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    random: Random,
}

impl Traffic {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed) }
    }

    /// Exchanges as frames, of at least that many bytes together.
    pub(super) fn exchanges(&mut self, bytes: usize) -> Vec<Frames> {
        let mut made = Vec::new();
        let mut total = 0;
        for port in (20_000..60_000).cycle() {
            if total >= bytes {
                break;
            }
            let frames = self.exchange().frames(port, Cut::Whole);
            total += frames.bytes();
            made.push(frames);
        }
        made
    }

    /// A value of a field.
    pub(super) fn value(&mut self, field: &Field) -> String {
        match field {
            Field::TlsSni | Field::DnsName | Field::HttpHost => self.host(),
            Field::HttpPath => self.path(),
            Field::HttpQuery => self.query(),
            Field::HttpMethod => self.one(&["GET", "GET", "GET", "POST", "PUT"]).to_owned(),
            Field::HttpUserAgent => self.one(AGENTS).to_owned(),
            Field::HttpHeader(_) => format!("{}/{}; {}", self.word(), self.word(), self.query()),
            Field::HttpBody | Field::McpArguments | Field::McpResult => self.body(),
            _ => format!("{}/{} {}", self.word(), self.word(), self.word()),
        }
    }

    /// Most requests of an ordinary network ask for things; some send JSON.
    fn exchange(&mut self) -> Carried {
        let mut http = Http {
            host: self.host(),
            method: "GET".to_owned(),
            headers: vec![
                ("User-Agent".to_owned(), self.one(AGENTS).to_owned()),
                ("Accept".to_owned(), "*/*".to_owned()),
                ("Cookie".to_owned(), self.query()),
            ],
            ..Http::default()
        };
        http.target = format!("{}?{}", self.path(), self.query()).into_bytes();
        let json = |body: String| Content { body: body.into_bytes(), ..Content::default() };
        match self.random.below(10) {
            0..4 => http.response = json(format!("<!doctype html><p>{}", self.text(BODY))),
            4..7 => http.response = json(self.body()),
            _ => {
                http.method = "POST".to_owned();
                http.request = json(self.body());
                http.response = json(self.body());
            }
        }
        Carried::Http(Box::new(http))
    }

    fn host(&mut self) -> String {
        let ending = self.one(ENDINGS);
        format!("{}{}.{}.{ending}", self.word(), self.random.below(40), self.word())
    }

    fn path(&mut self) -> String {
        let mut path = String::new();
        for _ in 0..=self.random.below(4) {
            path.push('/');
            path.push_str(self.word());
        }
        format!("{path}/{}", self.random.below(100_000))
    }

    fn query(&mut self) -> String {
        let pairs: Vec<String> = (0..=self.random.below(3))
            .map(|_| format!("{}={}", self.word(), self.random.below(1_000_000)))
            .collect();
        pairs.join("&")
    }

    fn body(&mut self) -> String {
        let mut items = Vec::new();
        let mut len = 0;
        let target = BODY / 2 + self.random.below(BODY);
        while len < target {
            let item = self.object(2);
            len += item.to_string().len();
            items.push(item);
        }
        json!({ self.word(): items, "total": len }).to_string()
    }

    fn object(&mut self, depth: usize) -> Value {
        let mut members = Map::new();
        for _ in 0..3 + self.random.below(6) {
            let value = match self.random.below(8) {
                0 | 1 => json!(self.random.below(1_000_000)),
                2 => json!(self.random.chance(2)),
                3 => json!(format!(
                    "2026-0{}-1{}T08:15:00Z",
                    1 + self.random.below(9),
                    self.random.below(10)
                )),
                4 if depth > 0 => self.object(depth - 1),
                5 => json!([self.word(), self.word()]),
                _ => json!(self.text(40)),
            };
            members.insert(self.word().to_owned(), value);
        }
        Value::Object(members)
    }

    fn text(&mut self, len: usize) -> String {
        let mut text = String::with_capacity(len + 16);
        while text.len() < len {
            text.push_str(self.word());
            text.push(' ');
        }
        text
    }

    fn word(&mut self) -> &'static str {
        self.one(WORDS)
    }

    fn one(&mut self, of: &'static [&'static str]) -> &'static str {
        of.get(self.random.below(of.len())).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::findings::{Confidence, Row};

    #[test]
    fn the_same_seed_makes_the_same_traffic() {
        let made = |seed| Traffic::new(seed).exchanges(100_000);
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(1).iter().map(Frames::bytes).sum::<usize>() >= 100_000);
    }

    #[test]
    fn none_of_it_is_likely_to_be_mcp() {
        let engine = Engine::builder().build().unwrap();
        let mut worker = engine.worker();
        let mut rows: Vec<Row> = Vec::new();
        let mut number = 1;
        for frames in Traffic::new(3).exchanges(500_000) {
            for frame in frames.iter(number) {
                worker.on_frame(&frame, &mut rows);
            }
            number += frames.len() as u64;
        }
        let statistics = worker.finish(&mut rows);
        assert!(rows.iter().all(|row| row.confidence < Confidence::Likely), "{rows:?}");
        assert!(statistics.to_json().contains("\"event_streams\": 0"));
    }
}
