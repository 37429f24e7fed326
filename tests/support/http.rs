//! HTTP/1.1 requests: found in recorded captures, and made.

use std::collections::BTreeMap;

use super::packet::{Frame, SYN, Segment};

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Ends each line of the head.
    pub(crate) line_end: &'static str,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By `Content-Length`.
    Length,
    /// In chunks of so many bytes, each with an extension, and a trailer.
    Chunks(usize),
}

impl Request {
    /// A POST of JSON.
    pub(crate) fn post(host: &str, target: &str, body: impl Into<Vec<u8>>) -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            method: "POST".to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1".to_owned(),
            headers: vec![header("Host", host), header("Content-Type", "application/json")],
            line_end: "\r\n",
            framing: Framing::Length,
            body: body.into(),
        }
    }

    /// With another header field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With another value of a header field that there is.
    pub(crate) fn replace(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.with(name, value)
    }

    /// As it is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let end = self.line_end;
        let mut head = format!("{} {} {}{end}", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}{end}");
        }
        let mut bytes = head.into_bytes();
        match self.framing {
            Framing::Length => {
                bytes.extend(format!("Content-Length: {}{end}{end}", self.body.len()).bytes());
                bytes.extend(&self.body);
            }
            Framing::Chunks(size) => {
                bytes.extend(format!("Transfer-Encoding: chunked{end}{end}").bytes());
                for chunk in self.body.chunks(size) {
                    bytes.extend(format!("{:x};part=\"a b\"\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\nX-Checksum: none\r\n\r\n");
            }
        }
        bytes
    }
}

/// An answer with a body.
pub(crate) fn answer(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The bodies of the POST requests in a capture, in the order of their
/// connections. Chunks are joined; content codings stay.
pub(crate) fn posted(frames: &[Frame]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for stream in streams(frames) {
        let mut rest = &stream[..];
        while let Some((post, body, after)) = request(rest) {
            if post {
                bodies.push(body);
            }
            rest = after;
        }
    }
    bodies
}

/// The bytes of each direction that begins with a request; the capture must be
/// whole and in order.
fn streams(frames: &[Frame]) -> Vec<Vec<u8>> {
    let mut order = Vec::new();
    let mut streams: BTreeMap<_, (u32, Vec<u8>)> = BTreeMap::new();
    for segment in frames.iter().filter_map(Segment::parse) {
        let way = segment.way();
        let (next, bytes) = streams.entry(way).or_insert_with(|| {
            order.push(way);
            (segment.seq, Vec::new())
        });
        if segment.has(SYN) {
            *next = segment.end();
        } else if segment.seq == *next {
            bytes.extend(&segment.payload);
            *next = segment.end();
        }
    }
    order.iter().map(|way| streams[way].1.clone()).collect()
}

/// Whether it is a POST, its body, and what comes after it.
fn request(bytes: &[u8]) -> Option<(bool, Vec<u8>, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    if !head.lines().next()?.ends_with("http/1.1") {
        return None;
    }
    let post = head.starts_with("post ");
    let mut rest = &bytes[end..];
    let field = |name: &str| {
        head.lines().filter_map(|line| line.split_once(':')).find(|(known, _)| *known == name)
    };
    if field("transfer-encoding").is_none() {
        let length = field("content-length").map_or(Some(0), |(_, n)| n.trim().parse().ok())?;
        let body = rest.get(..length)?.to_vec();
        return Some((post, body, &rest[length..]));
    }
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = String::from_utf8_lossy(&rest[..line]);
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(line + 2..)?;
        if size == 0 {
            let trailer = rest.windows(2).position(|two| two == b"\r\n")?;
            rest = rest.get(trailer + 2..)?;
            if trailer > 0 {
                rest = rest.get(rest.windows(2).position(|two| two == b"\r\n")? + 2..)?;
            }
            return Some((post, body, rest));
        }
        body.extend(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
