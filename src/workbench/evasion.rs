//! Evasion: the same said in another way, which a server understands as before.
//!
//! A [`Transform`] rewrites traffic that it applies to; a signature must give the
//! same answer for all of them. Each is accepted by at least one MCP server in use
//! (`docs/evasion.md`).

use std::io::Write;

use serde_json::Value;

use super::carrier::{Carried, Content, Cut, Http, RECORD, Version};
use super::websocket;

/// One way to say the same.
#[derive(Clone, Copy, Debug)]
pub struct Transform {
    /// As named in results.
    pub name: &'static str,
    /// The fields whose signatures it is for.
    pub applies_to: &'static [&'static str],
    /// The fields that rule it out, since it leaves no room for them.
    pub but_not: &'static [&'static str],
    /// How the connection is cut.
    pub cut: Cut,
    rewrite: fn(&Carried) -> Option<Carried>,
}

impl Transform {
    /// The traffic rewritten; `None` if there is nothing to rewrite.
    pub fn rewrite(&self, carried: &Carried) -> Option<Carried> {
        (self.rewrite)(carried)
    }
}

const BODY: &[&str] = &["http.body", "jsonrpc.*", "mcp.*"];
const JSON: &[&str] = &["http.body", "jsonrpc.*", "mcp.*", "oauth.*"];
const CONTENT: &[&str] = &["http.body", "sse.event", "jsonrpc.*", "mcp.*", "oauth.*"];
const HTTP: &[&str] = &["http.*", "sse.event", "jsonrpc.*", "mcp.*", "oauth.*"];
const NAMES: &[&str] = &["tls.sni", "dns.name", "http.host"];
const PATH: &[&str] = &["http.path"];
const ALL: &[&str] = &["all"];

/// What a WebSocket has not: it is opened with GET, by no form and without events.
const NO_WEBSOCKET: &[&str] = &["http.method", "oauth.*", "sse.event"];

/// Every transform.
pub const TRANSFORMS: &[Transform] = &[
    of("json-escapes", JSON, |c| json(c, |text| Some(escaped(text)))),
    of("json-solidus", JSON, |c| json(c, |text| Some(solidus(text)))),
    of("white-space", JSON, |c| json(c, |text| Some(spaced(text)))),
    of("member-order", JSON, |c| json(c, reordered)),
    of("batch", BODY, |c| {
        json(c, |text| text.trim_start().starts_with('{').then(|| format!("[{text}]")))
    }),
    of("byte-order-mark", JSON, |c| json(c, |text| Some(format!("\u{feff}{text}")))),
    of("chunks", CONTENT, |c| content(c, |content| Some(Content { chunks: Some(1), ..content }))),
    of("gzip", CONTENT, |c| coded(c, "gzip", gzip)),
    of("deflate", CONTENT, |c| coded(c, "deflate", zlib)),
    of("deflate-raw", CONTENT, |c| coded(c, "deflate", deflate)),
    of("br", CONTENT, |c| coded(c, "br", |body| Some(brotli(body)))),
    of("zstd", CONTENT, |c| coded(c, "zstd", |body| zstd::encode_all(body, 3).ok())),
    of("gzip-in-chunks", CONTENT, |c| {
        let coded = coded(c, "gzip", gzip)?;
        content(&coded, |content| Some(Content { chunks: Some(3), ..content }))
    }),
    of("http2", HTTP, http2),
    of("http2-small-frames", HTTP, |c| {
        let c = http2(c)?;
        content(&c, |content| Some(Content { chunks: Some(3), ..content }))
    }),
    over_websocket("websocket", |c| websocket(c, |_| None)),
    over_websocket("websocket-fragments", |c| {
        let c = websocket(c, |_| None)?;
        content(&c, |content| Some(Content { chunks: Some(3), ..content }))
    }),
    over_websocket("websocket-deflate", |c| websocket(c, deflate_message)),
    over_websocket("websocket-deflate-fragments", |c| {
        let c = websocket(c, deflate_message)?;
        content(&c, |content| Some(Content { chunks: Some(3), ..content }))
    }),
    of("tls", HTTP, |c| tls(c, RECORD)),
    of("tls-small-records", HTTP, |c| tls(c, 5)),
    of("tls-http2", HTTP, |c| tls(&http2(c)?, RECORD)),
    of("header-name-case", HTTP, |c| http(c, |http| Some(Http { loud_names: true, ..http }))),
    of("absolute-form", HTTP, |c| {
        http(c, |http| {
            let target = [b"http://", http.host.as_bytes(), &http.target].concat();
            // HTTP/2 has no such target (RFC 9113 section 8.3.1).
            let sendable = !http.host.is_empty() && http.version == Version::Http1;
            (sendable && http.target.starts_with(b"/")).then_some(Http { target, ..http })
        })
    }),
    of("host-case", NAMES, |c| name(c, swap_case)),
    of("host-trailing-dot", NAMES, |c| {
        name(c, |name| {
            let bare = !name.ends_with('.') && !name.contains(':') && !name.is_empty();
            if bare { format!("{name}.") } else { name.to_owned() }
        })
    }),
    of("host-port", NAMES, |c| {
        http(c, |http| {
            let bare = !http.host.contains(':') && !http.host.is_empty();
            bare.then(|| Http { host: format!("{}:{}", http.host, http.port), ..http.clone() })
        })
    }),
    of("tls-records", NAMES, |c| match c {
        Carried::Tls { name, port, .. } => {
            Some(Carried::Tls { name: name.clone(), port: *port, record: 7 })
        }
        _ => None,
    }),
    of("percent-encoding", PATH, |c| path(c, percent_encoded)),
    of("dot-segments", PATH, |c| path(c, |path| [b"/static/..", path].concat())),
    of("encoded-dot-segments", PATH, |c| path(c, |path| [b"/./a/%2e%2E", path].concat())),
    Transform { cut: Cut::Bytes, ..of("one-byte-segments", ALL, |c| Some(c.clone())) },
    Transform {
        cut: Cut::Bytes,
        ..of("gzip-in-one-byte-segments", CONTENT, |c| coded(c, "gzip", gzip))
    },
    Transform { cut: Cut::Bytes, ..of("http2-in-one-byte-segments", HTTP, http2) },
    Transform { cut: Cut::Bytes, ..of("tls-in-one-byte-segments", HTTP, |c| tls(c, RECORD)) },
    Transform {
        cut: Cut::Bytes,
        ..over_websocket("websocket-deflate-in-one-byte-segments", |c| {
            websocket(c, deflate_message)
        })
    },
    Transform {
        cut: Cut::Bytes,
        ..of("json-escapes-in-one-byte-segments", JSON, |c| json(c, |text| Some(escaped(text))))
    },
];

const fn of(
    name: &'static str,
    applies_to: &'static [&'static str],
    rewrite: fn(&Carried) -> Option<Carried>,
) -> Transform {
    Transform { name, applies_to, but_not: &[], cut: Cut::Whole, rewrite }
}

const fn over_websocket(name: &'static str, rewrite: fn(&Carried) -> Option<Carried>) -> Transform {
    Transform { but_not: NO_WEBSOCKET, ..of(name, BODY, rewrite) }
}

fn http(carried: &Carried, rewrite: impl FnOnce(Http) -> Option<Http>) -> Option<Carried> {
    match carried {
        Carried::Http(http) => Some(Carried::Http(Box::new(rewrite(Http::clone(http))?))),
        Carried::Tls { .. } | Carried::Dns { .. } => None,
    }
}

fn http2(carried: &Carried) -> Option<Carried> {
    http(carried, |http| {
        // HTTP/2 has no such request (RFC 9113 section 8.3.1).
        let absolute = http.target.starts_with(b"http://");
        let sendable = !http.method.eq_ignore_ascii_case("CONNECT") && !absolute;
        let sendable = sendable && http.version == Version::Http1;
        sendable.then_some(Http { version: Version::Http2, ..http })
    })
}

/// The contents, which must be JSON, as messages of a WebSocket.
fn websocket(carried: &Carried, deflate: fn(&[u8]) -> Option<Vec<u8>>) -> Option<Carried> {
    let messages = content(carried, |content| {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&content.body).is_ok();
        let plain = is_json && content.coding.is_none();
        let body = Content { chunks: None, ..content };
        plain.then(|| match deflate(&body.body) {
            Some(deflated) => Content { body: deflated, coding: Some(websocket::DEFLATE), ..body },
            None => body,
        })
    })?;
    http(&messages, |http| {
        let plain = http.version == Version::Http1 && !http.target.starts_with(b"http://");
        let method = "GET".to_owned();
        plain.then_some(Http { version: Version::WebSocket, method, status: 101, ..http })
    })
}

/// The same inside TLS.
fn tls(carried: &Carried, record: usize) -> Option<Carried> {
    http(carried, |http| http.tls.is_none().then_some(Http { tls: Some(record), ..http }))
}

/// Rewrites the contents that there are.
fn content(carried: &Carried, rewrite: impl Fn(Content) -> Option<Content>) -> Option<Carried> {
    http(carried, |mut http| {
        let mut any = false;
        for content in [&mut http.request, &mut http.response] {
            if !content.body.is_empty() {
                *content = rewrite(std::mem::take(content))?;
                any = true;
            }
        }
        any.then_some(http)
    })
}

/// Rewrites the contents, of which each must be JSON.
fn json(carried: &Carried, rewrite: fn(&str) -> Option<String>) -> Option<Carried> {
    content(carried, |content| {
        let text = std::str::from_utf8(&content.body).ok()?;
        serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
        let body = rewrite(text)?.into_bytes();
        Some(Content { body, ..content })
    })
}

fn coded(
    carried: &Carried,
    coding: &'static str,
    encode: fn(&[u8]) -> Option<Vec<u8>>,
) -> Option<Carried> {
    content(carried, |content| {
        let body = encode(&content.body).filter(|_| content.coding.is_none())?;
        Some(Content { body, coding: Some(coding), ..content })
    })
    .filter(|coded| !matches!(coded, Carried::Http(http) if http.version == Version::WebSocket))
}

fn name(carried: &Carried, rewrite: fn(&str) -> String) -> Option<Carried> {
    Some(match carried {
        Carried::Tls { name, port, record } => {
            Carried::Tls { name: rewrite(name), port: *port, record: *record }
        }
        Carried::Dns { name } => Carried::Dns { name: rewrite(name) },
        Carried::Http(http) => {
            let host = rewrite(&http.host);
            Carried::Http(Box::new(Http { host, ..Http::clone(http) }))
        }
    })
}

/// Rewrites the path of a target that has one.
fn path(carried: &Carried, rewrite: impl Fn(&[u8]) -> Vec<u8>) -> Option<Carried> {
    http(carried, |http| {
        let query = http.target.iter().position(|&byte| byte == b'?');
        let (path, query) = http.target.split_at(query.unwrap_or(http.target.len()));
        let target = [rewrite(path).as_slice(), query].concat();
        path.starts_with(b"/").then_some(Http { target, ..http.clone() })
    })
}

fn swap_case(text: &str) -> String {
    let swap = |(at, c): (usize, char)| {
        if at % 2 == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    };
    text.chars().enumerate().map(swap).collect()
}

/// Letters and digits percent-encoded; what was encoded stays.
fn percent_encoded(path: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(3 * path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (code, after) = rest.split_at(rest.len().min(2));
            encoded.push(byte);
            encoded.extend_from_slice(code);
            rest = after;
        } else if byte.is_ascii_alphanumeric() {
            encoded.extend_from_slice(format!("%{byte:02x}").as_bytes());
        } else {
            encoded.push(byte);
        }
    }
    encoded
}

/// JSON taken apart: what stands in strings, one character or escape at a time,
/// and what stands outside.
enum Token<'t> {
    /// Quotes included.
    Outside(char),
    Inside(char),
    Escape(&'t str),
}

/// Tokens of a valid JSON text.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    let mut inside = false;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (token, len) = match first {
            '"' => {
                inside = !inside;
                (Token::Outside(first), 1)
            }
            '\\' if inside => {
                let len = if rest[1..].starts_with('u') { 6 } else { 2 };
                (Token::Escape(rest.get(..len)?), len)
            }
            _ if inside => (Token::Inside(first), first.len_utf8()),
            _ => (Token::Outside(first), first.len_utf8()),
        };
        rest = rest.get(len..)?;
        Some(token)
    })
}

fn rewritten(text: &str, mut rewrite: impl FnMut(Token<'_>, &mut String)) -> String {
    let mut out = String::with_capacity(6 * text.len());
    tokens(text).for_each(|token| rewrite(token, &mut out));
    out
}

/// Every character of every string as `\u…`.
pub(super) fn escaped(text: &str) -> String {
    rewritten(text, |token, out| match token {
        Token::Outside(c) => out.push(c),
        Token::Escape(escape) => out.push_str(escape),
        Token::Inside(c) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    })
}

fn solidus(text: &str) -> String {
    rewritten(text, |token, out| match token {
        Token::Inside('/') => out.push_str(r"\/"),
        Token::Outside(c) | Token::Inside(c) => out.push(c),
        Token::Escape(escape) => out.push_str(escape),
    })
}

/// White space, more than any sensible expression allows, around structure.
pub(super) fn spaced(text: &str) -> String {
    const SPACE: &str = " \t\r\n       ";
    rewritten(text, |token, out| match token {
        Token::Outside(c @ ('{' | '}' | '[' | ']' | ',' | ':')) => {
            out.push_str(SPACE);
            out.push(c);
            out.push_str(SPACE);
        }
        Token::Outside(c) | Token::Inside(c) => out.push(c),
        Token::Escape(escape) => out.push_str(escape),
    })
}

/// The members of every object in reverse order. Not where a key occurs twice:
/// there the order means something.
fn reordered(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let written = tokens(text).filter(|token| matches!(token, Token::Outside(':'))).count();
    (written == members(&value) && written > 1).then(|| reversed(value).to_string())
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

fn reversed(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(reversed).collect(),
        Value::Object(map) => {
            let members: Vec<_> = map.into_iter().collect();
            members.into_iter().rev().map(|(key, value)| (key, reversed(value))).collect()
        }
        other => other,
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn zlib(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// A message of a WebSocket, deflated (RFC 7692 section 7.2.1).
fn deflate_message(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.flush().ok()?;
    let flushed = encoder.get_ref();
    flushed.strip_suffix(&[0, 0, 0xff, 0xff]).map(<[u8]>::to_vec)
}

/// Brotli without compression (RFC 7932 section 9.2): no encoder is needed for it.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    // A window of 2^16 bytes is the bit 0.
    let mut out = Bits::default();
    out.put(0, 1);
    for block in bytes.chunks(1 << 16) {
        // Not the last one; four nibbles of length; uncompressed.
        out.put(0, 1);
        out.put(0, 2);
        out.put(block.len() as u32 - 1, 16);
        out.put(1, 1);
        out.align();
        out.bytes.extend_from_slice(block);
    }
    // The last one, and empty.
    out.put(3, 2);
    out.align();
    out.bytes
}

/// Bits, the lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    len: u32,
}

impl Bits {
    fn put(&mut self, value: u32, len: u32) {
        self.held |= value << self.len;
        self.len += len;
        while self.len >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.len -= 8;
        }
    }

    fn align(&mut self) {
        if self.len > 0 {
            self.bytes.push(self.held as u8);
        }
        (self.held, self.len) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"a/\"b":["\u00e9é😀",1.50,{"c":null,"d":"\\"}],"e":true}"#;

    #[test]
    fn json_means_the_same_when_it_is_rewritten() {
        let meaning: Value = serde_json::from_str(TEXT).unwrap();
        for rewritten in [escaped(TEXT), solidus(TEXT), spaced(TEXT), reordered(TEXT).unwrap()] {
            assert_ne!(rewritten, TEXT);
            assert_eq!(serde_json::from_str::<Value>(&rewritten).unwrap(), meaning, "{rewritten}");
        }
        assert_eq!(reordered(r#"{"a":1,"a":2}"#), None);
    }

    #[test]
    fn stored_brotli_is_brotli() {
        for len in [0, 1, 65_536, 65_537, 200_000] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut decoded = Vec::new();
            brotli_decompressor::BrotliDecompress(&mut brotli(&bytes).as_slice(), &mut decoded)
                .unwrap();
            assert_eq!(decoded, bytes, "{len}");
        }
    }

    #[test]
    fn paths_are_encoded_once() {
        assert_eq!(percent_encoded(b"/a%2Fb-c"), b"/%61%2F%62-%63");
    }
}
