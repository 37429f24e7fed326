//! HTTP/1.1 messages, as the scripts put them together.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::payload::Payload;
use super::random::Random;

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "okhttp/4.12.0",
];

/// The head of a message under construction.
pub(crate) struct Head(String);

impl Head {
    pub(crate) fn request(method: &str, target: &str, host: &str) -> Self {
        Self(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n"))
    }

    /// A browser's request, cookies and all.
    pub(crate) fn browse(random: &mut Random, method: &str, target: &str, host: &str) -> Self {
        let head = Self::request(method, target, host)
            .field("User-Agent", random.pick(&AGENTS))
            .field("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
            .field("Accept-Language", "en-GB,en;q=0.7,de;q=0.3")
            .field("Accept-Encoding", "gzip, deflate")
            .field("Connection", "keep-alive");
        let head = if random.permille(600) {
            let len = random.magnitude(40..700);
            head.field("Cookie", &format!("sid={}; prefs={}", random.hex(32), random.hex(len)))
        } else {
            head
        };
        if random.permille(700) { head.field("Referer", &format!("http://{host}/")) } else { head }
    }

    pub(crate) fn response(status: &str) -> Self {
        Self(format!("HTTP/1.1 {status}\r\n"))
    }

    /// What a web server says of itself and its caches.
    pub(crate) fn serve(random: &mut Random, status: &str, media_type: &str) -> Self {
        Self::response(status)
            .field("Date", "Fri, 20 Nov 2026 22:25:47 GMT")
            .field("Server", "nginx")
            .field("Content-Type", media_type)
            .field("ETag", &format!("\"{}\"", random.hex(16)))
            .field("Cache-Control", "public, max-age=3600")
            .field("X-Request-Id", &random.uuid())
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.0, "{name}: {value}\r\n");
        self
    }

    pub(crate) fn end(mut self) -> Payload {
        self.0.push_str("\r\n");
        Payload::default().bytes(self.0)
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Payload {
        let body = body.into();
        self.field("Content-Length", &body.len().to_string()).end().bytes(body)
    }

    /// A body without structure: media, archives, uploads.
    pub(crate) fn noise(self, random: &mut Random, len: usize) -> Payload {
        self.field("Content-Length", &len.to_string()).end().noise(random, len)
    }

    pub(crate) fn chunked(self, random: &mut Random, body: &[u8]) -> Payload {
        let mut coded = Vec::with_capacity(body.len() + 256);
        let mut rest = body;
        while !rest.is_empty() {
            let size = rest.len().min(random.magnitude(500..16_384));
            let (data, after) = rest.split_at(size);
            coded.extend_from_slice(&chunk(data));
            rest = after;
        }
        coded.extend_from_slice(LAST_CHUNK);
        self.field("Transfer-Encoding", "chunked").end().bytes(coded)
    }

    /// Text as servers send it: often compressed, often chunked.
    pub(crate) fn text(self, random: &mut Random, text: String, gzip_permille: usize) -> Payload {
        let (head, body) = if random.permille(gzip_permille) {
            (self.field("Content-Encoding", "gzip"), gzip(text.as_bytes()))
        } else {
            (self, text.into_bytes())
        };
        if random.permille(350) { head.chunked(random, &body) } else { head.body(body) }
    }
}

pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(5));
    encoder.write_all(data).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}
