//! Carriers: the values of an example in, traffic that carries them out.
//!
//! Each field of an example is put where the engine will look for it: names into
//! a ClientHello, a DNS query or a request, the rest into a request and its
//! response. What no traffic can carry is told as such.

use std::fmt;

use super::documents::Documents;
use super::wire::{Connection, Side, datagram};
pub use super::wire::{Cut, Frames};
use super::{bytes, tls, websocket};
use crate::signature::{Condition, Example, Field, Signature};
use crate::stream::Direction;

/// A name and a target that say nothing of MCP.
const HOST: &str = "service.example.net";
const TARGET: &[u8] = b"/";
const SERVER_PORT: u16 = 18_080;

/// Longest record of TLS.
pub(super) const RECORD: usize = 16_384;

/// Header fields that say how a message is framed.
const FRAMING: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Traffic that carries the values of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// A request and its response.
    Http(Box<Http>),
    /// A ClientHello.
    Tls {
        /// The server's name.
        name: String,
        /// The server's port.
        port: u16,
        /// Bytes of a TLS record.
        record: usize,
    },
    /// A DNS query.
    Dns {
        /// The name asked for.
        name: String,
    },
}

/// A request and its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The version of HTTP.
    pub version: Version,
    /// Method.
    pub method: String,
    /// Host, with or without port.
    pub host: String,
    /// Request target, as sent.
    pub target: Vec<u8>,
    /// Header fields of both the request and its response.
    pub headers: Vec<(String, String)>,
    /// Header fields of the request alone, and of the response alone.
    pub own_headers: [Vec<(String, String)>; 2],
    /// Status of the response.
    pub status: u16,
    /// Content of the request.
    pub request: Content,
    /// Content of the response.
    pub response: Content,
    /// Whether the names of header fields are sent in capitals.
    pub loud_names: bool,
    /// The server's port.
    pub port: u16,
    /// Bytes of a record, where the connection is inside TLS 1.3.
    pub tls: Option<usize>,
}

/// Versions of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// A WebSocket over HTTP/1.1, whose messages are the contents.
    WebSocket,
}

/// The content of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The bytes, coded.
    pub body: Vec<u8>,
    /// `Content-Encoding`.
    pub coding: Option<&'static str>,
    /// Bytes of a chunk, or of a frame of HTTP/2 or of a WebSocket.
    pub chunks: Option<usize>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            version: Version::Http1,
            method: String::new(),
            host: HOST.to_owned(),
            target: TARGET.to_vec(),
            headers: Vec::new(),
            own_headers: [Vec::new(), Vec::new()],
            status: 200,
            request: Content::default(),
            response: Content::default(),
            loud_names: false,
            port: SERVER_PORT,
            tls: None,
        }
    }
}

impl Carried {
    /// The traffic as frames of a connection from the client's `port`.
    pub fn frames(&self, port: u16, cut: Cut) -> Frames {
        let (server, turns) = match self {
            Self::Dns { name } => {
                let query = bytes::dns_query(name).unwrap_or_default();
                return datagram(port, 53, &query);
            }
            Self::Tls { name, port, record } => {
                (*port, vec![(Side::Client, bytes::client_hello(name, *record))])
            }
            Self::Http(http) => (http.port, http.turns()),
        };
        let mut connection = Connection::open(port, server, cut);
        for (side, bytes) in &turns {
            connection.send(*side, bytes);
        }
        connection.close()
    }
}

impl Http {
    /// What the two sides say on the connection, in turns.
    pub(super) fn turns(&self) -> Vec<(Side, Vec<u8>)> {
        let in_turn = |[request, response]: [Vec<u8>; 2]| {
            vec![(Side::Client, request), (Side::Server, response)]
        };
        let turns = match self.version {
            Version::Http1 => in_turn(bytes::http1(self)),
            Version::Http2 => in_turn(bytes::http2(self)),
            Version::WebSocket => websocket::turns(self),
        };
        match self.tls {
            Some(record) => tls::wrapped(&turns, record),
            None => turns,
        }
    }
}

/// Why an example is in no traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCarried {
    /// The values of other fields leave no room for this one.
    Field(Field),
    /// The field cannot have this value.
    Value(Field),
}

impl fmt::Display for NotCarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => write!(f, "`{}` does not go with the other values", field.name()),
            Self::Value(field) => write!(f, "`{}` cannot be so on the wire", field.name()),
        }
    }
}

/// The traffic that carries an example: one for each field and direction in which
/// the signature looks for a plain value, together one for a table of fields.
pub fn carry(signature: &Signature, example: &Example) -> Result<Vec<Carried>, NotCarried> {
    let plain = example.values.iter().any(|(field, _)| field.is_none());
    let fields: Vec<_> =
        if plain { signature.clause.fields.iter().map(Some).collect() } else { vec![None] };
    let mut all = Vec::new();
    for field in fields {
        let values = example
            .values
            .iter()
            .filter_map(|(own, text)| own.as_ref().or(field).map(|field| (field, &**text)));
        let values: Vec<_> = values.collect();
        for place in places(signature, &values) {
            all.extend(Carrier::of(&values, place)?.carried());
        }
    }
    Ok(all)
}

/// The traffic that carries the value of one field.
pub(super) fn carry_value(
    field: &Field,
    value: &str,
    direction: Direction,
) -> Result<Vec<Carried>, NotCarried> {
    let place = match direction {
        Direction::ToServer => Place::Request,
        Direction::ToClient => Place::Response,
    };
    Carrier::of(&[(field, value)], place).map(Carrier::carried)
}

/// Which of the two bodies holds the values that either may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Request,
    Response,
    Both,
}

fn places(signature: &Signature, values: &[(&Field, &str)]) -> Vec<Place> {
    if !values.iter().any(|(field, _)| is_content(field)) {
        return vec![Place::Request];
    }
    if !signature.clause.fields.iter().any(is_content) {
        let asked = signature.when.as_ref().is_some_and(asks_for_response);
        return vec![if asked { Place::Both } else { Place::Request }];
    }
    let has_side = values.iter().any(|(field, _)| Documents::side(field).is_some());
    match signature.clause.direction {
        Some(Direction::ToServer) => vec![Place::Request],
        Some(Direction::ToClient) => vec![Place::Response],
        // Of what only one side says, that side decides.
        None if has_side => vec![Place::Both],
        None => vec![Place::Request, Place::Response],
    }
}

/// Whether either body may hold the field.
fn is_content(field: &Field) -> bool {
    *field == Field::HttpBody || Documents::hold(field)
}

fn asks_for_response(condition: &Condition) -> bool {
    match condition {
        Condition::Clause(clause) => {
            clause.fields.iter().any(is_content) && clause.direction == Some(Direction::ToClient)
        }
        Condition::All(inner) | Condition::Any(inner) => inner.iter().any(asks_for_response),
        Condition::Not(inner) => asks_for_response(inner),
    }
}

/// What the values of an example add up to.
#[derive(Default)]
struct Carrier {
    http: Http,
    is_http: bool,
    path: Option<Vec<u8>>,
    query: Option<String>,
    names: Vec<Carried>,
    port: Option<u16>,
    documents: Documents,
}

impl Carrier {
    fn of(values: &[(&Field, &str)], place: Place) -> Result<Self, NotCarried> {
        let mut carrier = Self::default();
        for &(field, value) in values {
            carrier.put(field, value, place)?;
        }
        let Self { http, documents, .. } = &mut carrier;
        let made = std::mem::take(documents).bodies(place);
        for (content, body) in [&mut http.request, &mut http.response].into_iter().zip(made) {
            let Some(body) = body else { continue };
            if let (false, Some((field, _))) = (content.body.is_empty(), values.first()) {
                return Err(NotCarried::Field(Field::clone(field)));
            }
            content.body = body.bytes;
            http.headers.extend(body.header);
        }
        Ok(carrier)
    }

    fn put(&mut self, field: &Field, value: &str, place: Place) -> Result<(), NotCarried> {
        let visible = value.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
        let allowed = |allowed: bool| {
            if allowed { Ok(()) } else { Err(NotCarried::Value(field.clone())) }
        };
        self.is_http |= !matches!(field, Field::TlsSni | Field::DnsName | Field::FlowServerPort);
        match field {
            Field::TlsSni => {
                allowed(!value.is_empty() && value.len() < 256)?;
                let name = value.to_owned();
                self.names.push(Carried::Tls { name, port: 443, record: RECORD });
            }
            Field::DnsName => {
                allowed(bytes::dns_query(value).is_some())?;
                self.names.push(Carried::Dns { name: value.to_owned() });
            }
            Field::HttpHost => {
                allowed(visible)?;
                value.clone_into(&mut self.http.host);
            }
            Field::HttpPath => {
                allowed(value.starts_with('/'))?;
                self.path = Some(encode_path(value));
            }
            Field::HttpQuery => {
                allowed(visible && !value.contains('#'))?;
                self.query = Some(value.to_owned());
            }
            Field::HttpMethod => {
                allowed(visible && !value.is_empty())?;
                value.clone_into(&mut self.http.method);
            }
            Field::HttpUserAgent => self.header("User-Agent", value, field)?,
            Field::HttpHeader(name) => self.header(name, value, field)?,
            Field::HttpBody => {
                let body = || Content { body: value.as_bytes().to_vec(), ..Content::default() };
                if place != Place::Response {
                    self.http.request = body();
                }
                if place != Place::Request {
                    self.http.response = body();
                }
            }
            Field::SseEvent => {
                allowed(!value.contains(['\r', '\n', '\0']))?;
                self.http.response.body = format!("event: {value}\ndata: {{}}\n\n").into_bytes();
            }
            Field::FlowServerPort => self.port = value.parse().ok(),
            field => allowed(self.documents.put(field, value))?,
        }
        Ok(())
    }

    fn header(&mut self, name: &str, value: &str, field: &Field) -> Result<(), NotCarried> {
        let trimmed = value.trim_matches([' ', '\t']) == value;
        if FRAMING.contains(&name) || !trimmed || value.contains(['\r', '\n', '\0']) {
            return Err(NotCarried::Value(field.clone()));
        }
        self.http.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn carried(mut self) -> Vec<Carried> {
        if let Some(port) = self.port {
            self.http.port = port;
            if self.names.is_empty() && !self.is_http {
                // The least that the engine knows a port by.
                self.names.push(Carried::Tls { name: HOST.to_owned(), port, record: RECORD });
            }
        }
        if self.is_http {
            let http = &mut self.http;
            if let Some(path) = self.path {
                http.target = path;
            }
            if let Some(query) = self.query {
                http.target.push(b'?');
                http.target.extend_from_slice(query.as_bytes());
            }
            if http.method.is_empty() {
                let content = !http.request.body.is_empty() || !http.response.body.is_empty();
                // What a GET downloads is not read.
                http.method = if content { "POST" } else { "GET" }.to_owned();
            }
            self.names.push(Carried::Http(Box::new(self.http)));
        }
        self.names
    }
}

/// A path as it is sent: what has a meaning of its own is percent-encoded.
fn encode_path(path: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    encoded
}

/// Whether a body of a signature's examples is in the traffic made for it.
pub(super) fn is_looked_at(body: &str) -> bool {
    let start = body.trim_start();
    ["{", "[", "data:", "event:", "id:", "retry:", ":"].iter().any(|s| start.starts_with(s))
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls { .. } => f.write_str("in a ClientHello"),
            Self::Dns { .. } => f.write_str("in a DNS query"),
            Self::Http(http) => {
                let content = [("request", &http.request), ("response", &http.response)];
                let bodies = content.iter().filter(|(_, content)| !content.body.is_empty());
                let bodies: Vec<_> = bodies.map(|(name, _)| *name).collect();
                match bodies.as_slice() {
                    [] => f.write_str("in a request without content"),
                    bodies => write!(f, "in the content of a {}", bodies.join(" and a ")),
                }
            }
        }
    }
}
