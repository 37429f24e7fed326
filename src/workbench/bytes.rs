//! What is said, as bytes: HTTP/1.1 (RFC 9112), HTTP/2 (RFC 9113), a ClientHello
//! (RFC 8446 section 4.1.2) and a DNS query (RFC 1035 section 4.1).

use super::carrier::{Content, Http};

/// Payload of an HTTP/2 frame that every end accepts (RFC 9113 section 4.2).
const MAX_FRAME: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A request over HTTP/1.1, and the response to it.
pub(super) fn http1(http: &Http) -> [Vec<u8>; 2] {
    let [mut request, mut response] = heads(http);
    content1(&mut request, http, &http.request);
    content1(&mut response, http, &http.response);
    [request, response]
}

/// The heads of both without what says how contents are framed, and without their
/// ends.
pub(super) fn heads(http: &Http) -> [Vec<u8>; 2] {
    let mut request = [http.method.as_bytes(), b" ", &http.target, b" HTTP/1.1\r\n"].concat();
    let mut response = format!("HTTP/1.1 {} OK\r\n", http.status).into_bytes();
    field(&mut request, http, "Host", &http.host);
    let [asked, answered] = &http.own_headers;
    for (name, value) in &http.headers {
        field(&mut request, http, name, value);
        field(&mut response, http, name, value);
    }
    asked.iter().for_each(|(name, value)| field(&mut request, http, name, value));
    answered.iter().for_each(|(name, value)| field(&mut response, http, name, value));
    [request, response]
}

/// Adds a header field to a head.
pub(super) fn field(head: &mut Vec<u8>, http: &Http, name: &str, value: &str) {
    let name = if http.loud_names { name.to_ascii_uppercase() } else { name.to_owned() };
    head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
}

fn content1(message: &mut Vec<u8>, http: &Http, content: &Content) {
    if let Some(coding) = content.coding {
        field(message, http, "Content-Encoding", coding);
    }
    let Some(size) = content.chunks else {
        field(message, http, "Content-Length", &content.body.len().to_string());
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&content.body);
        return;
    };
    field(message, http, "Transfer-Encoding", "chunked");
    message.extend_from_slice(b"\r\n");
    for chunk in content.body.chunks(size.max(1)) {
        message.extend_from_slice(format!("{:x};part=\"a b\"\r\n", chunk.len()).as_bytes());
        message.extend_from_slice(chunk);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"0\r\nX-Checksum: none\r\n\r\n");
}

/// The same exchange over HTTP/2 with prior knowledge, as the first stream.
pub(super) fn http2(http: &Http) -> [Vec<u8>; 2] {
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut response = Vec::new();
    frame(&mut request, SETTINGS, 0, 0, &[]);
    frame(&mut response, SETTINGS, 0, 0, &[]);
    let mut head = Vec::new();
    literal(&mut head, ":method", http.method.as_bytes());
    literal(&mut head, ":scheme", b"http");
    literal(&mut head, ":authority", http.host.as_bytes());
    literal(&mut head, ":path", &http.target);
    let [asked, answered] = &http.own_headers;
    content2(&mut request, http, head, asked, &http.request);
    let mut head = Vec::new();
    literal(&mut head, ":status", http.status.to_string().as_bytes());
    content2(&mut response, http, head, answered, &http.response);
    [request, response]
}

fn content2(
    out: &mut Vec<u8>,
    http: &Http,
    mut head: Vec<u8>,
    own: &[(String, String)],
    content: &Content,
) {
    for (name, value) in http.headers.iter().chain(own) {
        literal(&mut head, &name.to_ascii_lowercase(), value.as_bytes());
    }
    if let Some(coding) = content.coding {
        literal(&mut head, "content-encoding", coding.as_bytes());
    }
    let empty = content.body.is_empty();
    let mut blocks = head.chunks(MAX_FRAME).peekable();
    let mut kind = HEADERS;
    while let Some(block) = blocks.next() {
        let last = if blocks.peek().is_none() { END_HEADERS } else { 0 };
        let end = if empty && kind == HEADERS { END_STREAM } else { 0 };
        frame(out, kind, last | end, 1, block);
        kind = CONTINUATION;
    }
    // As small as chunks would be: every frame ends in the middle of something.
    let size = content.chunks.unwrap_or(MAX_FRAME).clamp(1, MAX_FRAME);
    let mut pieces = content.body.chunks(size).peekable();
    while let Some(piece) = pieces.next() {
        let end = if pieces.peek().is_none() { END_STREAM } else { 0 };
        frame(out, DATA, end, 1, piece);
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, len @ ..] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&len);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A field that is not indexed, with a new name (RFC 7541 section 6.2.2).
fn literal(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0);
    for text in [name.as_bytes(), value] {
        string_len(block, text.len());
        block.extend_from_slice(text);
    }
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn string_len(block: &mut Vec<u8>, len: usize) {
    const PREFIX: usize = 0x7f;
    if len < PREFIX {
        return block.push(len as u8);
    }
    block.push(PREFIX as u8);
    let mut rest = len - PREFIX;
    while rest >= 0x80 {
        block.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

/// The random of every ClientHello.
pub(super) const CLIENT_RANDOM: [u8; 32] = [7; 32];

/// A ClientHello that names a server, in records of `record` bytes.
pub(super) fn client_hello(name: &str, record: usize) -> Vec<u8> {
    let name = prefixed(&[&[0][..], &prefixed(name.as_bytes())].concat());
    let extensions = [
        extension(0, &name),
        extension(10, &[0, 2, 0, 0x1d]),
        extension(13, &[0, 4, 4, 3, 8, 4]),
        extension(43, &[2, 3, 4]),
        extension(51, &prefixed(&[&[0, 0x1d, 0, 32][..], &[9; 32]].concat())),
    ];
    let mut body = vec![3, 3];
    body.extend_from_slice(&CLIENT_RANDOM);
    body.push(0);
    body.extend_from_slice(&[0, 4, 0x13, 1, 0x13, 2, 1, 0]);
    body.extend_from_slice(&prefixed(&extensions.concat()));
    let [_, len @ ..] = (body.len() as u32).to_be_bytes();
    let message = [&[1][..], &len, &body].concat();
    let records =
        message.chunks(record.max(1)).map(|part| [&[22, 3, 1][..], &prefixed(part)].concat());
    records.collect::<Vec<_>>().concat()
}

pub(super) fn extension(number: u16, data: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &prefixed(data)].concat()
}

pub(super) fn prefixed(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes()[..], data].concat()
}

/// A query for the addresses of a name; `None` if DNS has no such name.
pub(super) fn dns_query(name: &str) -> Option<Vec<u8>> {
    let mut message = vec![0x1d, 0x05, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let len = u8::try_from(label.len()).ok().filter(|len| (1..64).contains(len))?;
        message.push(len);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    (message.len() <= 12 + 255 + 4).then_some(message)
}
