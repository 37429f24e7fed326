//! What HTTP parsers hand upwards: exchanges, whatever the version of HTTP.
//!
//! An HTTP/1, HTTP/2 or HTTP/3 parser pushes heads and body bytes of the
//! exchanges of one connection into an [`ExchangeSink`]; the sink says for each
//! body whether it wants (more of) it, so that a parser can skip the rest
//! without touching it.

use super::Direction;

/// Which exchange of its connection: a count from 0 in HTTP/1, the stream
/// identifier in HTTP/2 and HTTP/3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// The version of HTTP an exchange was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0 (RFC 1945).
    Http10,
    /// HTTP/1.1 (RFC 9112).
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
    /// HTTP/3 (RFC 9114).
    Http3,
}

impl HttpVersion {
    /// As written in findings: `1.0`, `1.1`, `2`, `3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
            Self::Http3 => "3",
        }
    }
}

/// One header field; the name as sent, so compare it without regard to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Field name as sent.
    pub name: &'a [u8],
    /// Field value, without surrounding white space.
    pub value: &'a [u8],
}

/// The value of the first field called `name` (compared without regard to
/// ASCII case).
pub fn find_header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()))
        .map(|header| header.value)
}

/// The values of all fields called `name` (compared without regard to ASCII
/// case), as one list.
pub fn joined(fields: &[Header<'_>], name: &str) -> Vec<u8> {
    let mut list = Vec::new();
    for field in fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes())) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(field.value);
    }
    list
}

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// Version of HTTP.
    pub version: HttpVersion,
    /// Method as sent; empty where it was lost (HTTP/2 and HTTP/3).
    pub method: &'a [u8],
    /// Request target as sent (`:path` in HTTP/2 and HTTP/3, or what a CONNECT
    /// names); empty where it was lost.
    pub target: &'a [u8],
    /// Scheme, where the target or a pseudo-header says it.
    pub scheme: Option<&'a [u8]>,
    /// Host and port as sent: from an absolute-form target or `:authority`, else
    /// `Host`.
    pub authority: Option<&'a [u8]>,
    /// Header fields in the order sent.
    pub headers: &'a [Header<'a>],
    /// What was odd about the head.
    pub flags: HeadFlags,
}

/// A response's head (never an interim 1xx one).
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// Version of HTTP.
    pub version: HttpVersion,
    /// Status code, 101 or 200 to 999; 0 where it was lost (HTTP/2 and HTTP/3).
    pub status: u16,
    /// Header fields in the order sent.
    pub headers: &'a [Header<'a>],
    /// What was odd about the head.
    pub flags: HeadFlags,
}

/// What was odd about a request's or response's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadFlags {
    /// Framing that two readers may understand differently (RFC 9112 section
    /// 6.3): both lengths, differing lengths, an unknown transfer coding, and
    /// the like.
    pub ambiguous_framing: bool,
    /// The head was cut by a gap or a cap: fields may be missing.
    pub incomplete: bool,
}

/// Whether a sink wants the bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Hand over what follows.
    Wanted,
    /// Skip what follows.
    Skip,
}

/// Receives the exchanges of one connection.
///
/// For each exchange: `request`, then any of `body`, `body_gap` and one
/// `body_end` for [`Direction::ToServer`]; `response` and the like for
/// [`Direction::ToClient`], which may come interleaved with the request's
/// body, before its end, or (where one direction was not captured) without a
/// request. `exchange_end` comes last, once.
pub trait ExchangeSink {
    /// A request's head.
    fn request(&mut self, id: ExchangeId, head: &RequestHead<'_>) -> Interest;

    /// A final response's head.
    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest;

    /// Body bytes in order, after transfer coding, before content coding.
    fn body(&mut self, id: ExchangeId, direction: Direction, data: &[u8]) -> Interest;

    /// `len` bytes of the body were lost (0: an unknown number).
    fn body_gap(&mut self, id: ExchangeId, direction: Direction, len: u64);

    /// The body ended; `complete` says whether its framing was satisfied.
    /// Called also for a body the sink did not want, and for an empty one.
    fn body_end(&mut self, id: ExchangeId, direction: Direction, complete: bool);

    /// Nothing more will come of this exchange.
    fn exchange_end(&mut self, id: ExchangeId);
}
