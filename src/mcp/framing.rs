//! JSON-RPC on a TCP stream without HTTP: the stream in, messages out.
//!
//! MCP's stdio transport puts one message on each line; carried over a socket
//! it looks the same (2026-07-28, custom transports). Some servers take the
//! headers of the Language Server Protocol (`Content-Length: …`) instead. Both
//! framings serve other protocols too: which one speaks is told by the shapes
//! of the messages.

use memchr::memchr;

use super::encoding::Charset;
use super::jsonrpc::{MessageSink, ScanCounters, Scanner};

/// How a stream is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One message on each line.
    Lines,
    /// Each message after a `Content-Length` header.
    Headers,
}

/// What the first bytes of a stream say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// It may be JSON-RPC, framed like this.
    Framed(Framing),
    /// More bytes are needed.
    Undecided,
    /// It is something else.
    Other,
}

/// Looks at the first bytes of a stream.
pub fn probe(head: &[u8]) -> Probe {
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
    if head.len() - text.len() >= MAX_BLANKS {
        return Probe::Other;
    }
    match text.first() {
        None => Probe::Undecided,
        Some(b'{' | b'[') => Probe::Framed(Framing::Lines),
        Some(_) if head.len() < 3 && BYTE_ORDER_MARK.starts_with(head) => Probe::Undecided,
        Some(_) => HEADERS
            .iter()
            .map(|header| {
                let len = header.len().min(text.len());
                let same = text
                    .get(..len)
                    .zip(header.get(..len))
                    .is_some_and(|(text, header)| text.eq_ignore_ascii_case(header));
                match same {
                    false => Probe::Other,
                    true if len < header.len() => Probe::Undecided,
                    true => Probe::Framed(Framing::Headers),
                }
            })
            .find(|probe| *probe != Probe::Other)
            .unwrap_or(Probe::Other),
    }
}

/// Finds the messages in one direction of a raw stream.
#[derive(Debug, Default)]
pub struct RawStream {
    state: State,
    /// The first bytes, or a header block, so far.
    held: Vec<u8>,
    scanner: Scanner,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Undecided,
    /// In or before a line.
    Line,
    /// In a line whose beginning is missing.
    RestOfLine,
    /// In or before a header block.
    Header,
    /// In a message of which so many bytes are to come.
    Body(u64),
    /// Not JSON-RPC, or the framing is lost.
    Lost,
}

impl RawStream {
    /// Bytes that it owns beside itself.
    pub(crate) fn memory(&self) -> usize {
        self.held.capacity() + self.scanner.memory()
    }

    /// A stream of which nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the stream is framed, once that is known.
    pub fn framing(&self) -> Option<Framing> {
        match self.state {
            State::Undecided | State::Lost => None,
            State::Line | State::RestOfLine => Some(Framing::Lines),
            State::Header | State::Body(_) => Some(Framing::Headers),
        }
    }

    /// Reads the next bytes; with `false` the stream is something else (or can
    /// no longer be followed) and need not be fed.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut impl MessageSink) -> bool {
        while !bytes.is_empty() && self.state != State::Lost {
            bytes = match self.state {
                State::Undecided => self.decide(bytes, sink),
                State::Line => self.line(bytes, sink),
                State::RestOfLine => self.rest_of_line(bytes),
                State::Header => self.header(bytes),
                State::Body(remaining) => self.body(remaining, bytes, sink),
                State::Lost => &[],
            };
        }
        self.state != State::Lost
    }

    /// `len` bytes of the stream are lost (0: an unknown number).
    pub fn gap(&mut self, len: u64, sink: &mut impl MessageSink) {
        self.scanner.gap(sink);
        self.state = match self.state {
            State::Line | State::RestOfLine => State::RestOfLine,
            State::Body(remaining) if len > 0 && len < remaining => State::Body(remaining - len),
            State::Body(remaining) if len == remaining => {
                self.scanner.reset(Charset::Sniffed);
                State::Header
            }
            _ => State::Lost,
        };
    }

    /// The stream ended; `complete` if by its sender's wish.
    pub fn finish(&mut self, complete: bool, sink: &mut impl MessageSink) {
        let complete = complete && !matches!(self.state, State::Body(_));
        // An unfinished last message is counted by the scanner.
        let _ = self.scanner.finish(complete, sink);
        self.state = State::Lost;
    }

    /// What the scanner saw so far.
    pub fn counters(&self) -> &ScanCounters {
        self.scanner.counters()
    }

    fn decide<'a>(&mut self, bytes: &'a [u8], sink: &mut impl MessageSink) -> &'a [u8] {
        // Usually the first bytes decide, and need not be held.
        if self.held.is_empty() {
            self.state = begin(probe(bytes));
            if self.state != State::Undecided {
                return bytes;
            }
        }
        let mut rest = bytes;
        while let (State::Undecided, Some((&byte, after))) = (self.state, rest.split_first()) {
            self.held.push(byte);
            rest = after;
            self.state = begin(probe(&self.held));
        }
        if self.state != State::Undecided {
            let held = std::mem::take(&mut self.held);
            self.feed(&held, sink);
        }
        rest
    }

    fn line<'a>(&mut self, bytes: &'a [u8], sink: &mut impl MessageSink) -> &'a [u8] {
        let end = memchr(b'\n', bytes).map(|at| at + 1);
        let (line, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or_default();
        // What is wrong with a line concerns that line alone; it is counted.
        let _ = self.scanner.feed(line, sink);
        if end.is_some() {
            let _ = self.scanner.finish(true, sink);
            self.scanner.reset(Charset::Sniffed);
        }
        rest
    }

    fn rest_of_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(end) = memchr(b'\n', bytes) else { return &[] };
        self.scanner.reset(Charset::Sniffed);
        self.state = State::Line;
        bytes.get(end + 1..).unwrap_or_default()
    }

    fn header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (line, rest) = bytes.split_at_checked(end).unwrap_or_default();
        if self.held.len() + line.len() > MAX_HEADERS {
            self.state = State::Lost;
            return &[];
        }
        self.held.extend_from_slice(line);
        if self.held.ends_with(b"\n\r\n") || self.held.ends_with(b"\n\n") {
            self.state = content_length(&self.held).map_or(State::Lost, State::Body);
            self.held.clear();
        }
        rest
    }

    fn body<'a>(
        &mut self,
        remaining: u64,
        bytes: &'a [u8],
        sink: &mut impl MessageSink,
    ) -> &'a [u8] {
        let len = usize::try_from(remaining).unwrap_or(usize::MAX).min(bytes.len());
        let (body, rest) = bytes.split_at_checked(len).unwrap_or_default();
        // What is wrong with a message concerns that message alone; it is counted.
        let _ = self.scanner.feed(body, sink);
        self.state = State::Body(remaining.saturating_sub(len as u64));
        if self.state == State::Body(0) {
            let _ = self.scanner.finish(true, sink);
            self.scanner.reset(Charset::Sniffed);
            self.state = State::Header;
        }
        rest
    }
}

fn begin(probe: Probe) -> State {
    match probe {
        Probe::Undecided => State::Undecided,
        Probe::Other => State::Lost,
        Probe::Framed(Framing::Lines) => State::Line,
        Probe::Framed(Framing::Headers) => State::Header,
    }
}

/// The length that a header block declares, if it declares one above zero.
fn content_length(block: &[u8]) -> Option<u64> {
    let value = block.split(|&byte| byte == b'\n').find_map(|line| {
        let colon = memchr(b':', line)?;
        let name = line.get(..colon)?.trim_ascii();
        name.eq_ignore_ascii_case(b"content-length").then(|| line.get(colon + 1..))?
    })?;
    let digits = value.trim_ascii();
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()?;
    (length > 0).then_some(length)
}

/// The headers of the Language Server Protocol.
const HEADERS: [&[u8]; 2] = [b"content-length:", b"content-type:"];
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// More white space than this begins no stream of messages.
const MAX_BLANKS: usize = 64;
/// Bytes of a header block.
const MAX_HEADERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::message::Message;

    const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    const LIST: &str = r#"{"method":"tools/list","jsonrpc":"2.0","id":2}"#;

    /// Methods found in `pieces`, with `?` after truncated ones; `None` is a
    /// gap of that length.
    fn methods(pieces: &[Result<&[u8], u64>], size: usize) -> (Vec<String>, RawStream) {
        let mut stream = RawStream::new();
        let mut found = Vec::new();
        let mut sink = |message: &Message| {
            let mark = if message.flags().truncated { "?" } else { "" };
            found.push(format!("{}{mark}", message.method().unwrap_or("-")));
        };
        for piece in pieces {
            match piece {
                Ok(bytes) => bytes.chunks(size).for_each(|bytes| {
                    stream.feed(bytes, &mut sink);
                }),
                Err(len) => stream.gap(*len, &mut sink),
            }
        }
        stream.finish(true, &mut sink);
        (found, stream)
    }

    fn framed(body: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn the_first_bytes_tell_the_framing() {
        for (head, expected) in [
            (&b""[..], Probe::Undecided),
            (b"\r\n ", Probe::Undecided),
            (b"\xEF\xBB", Probe::Undecided),
            (b"\xEF\xBB\xBF{", Probe::Framed(Framing::Lines)),
            (b" [", Probe::Framed(Framing::Lines)),
            (b"Content-", Probe::Undecided),
            (b"Content-Length: 3", Probe::Framed(Framing::Headers)),
            (b"content-type: x", Probe::Framed(Framing::Headers)),
            (b"Contents", Probe::Other),
            (b"GET / HTTP/1.1", Probe::Other),
            (b"SSH-2.0-x", Probe::Other),
            (b"\x16\x03\x01", Probe::Other),
            (&[b' '; 100], Probe::Other),
        ] {
            assert_eq!(probe(head), expected, "{head:?}");
        }
    }

    #[test]
    fn lines_in_any_pieces() {
        let text = format!("\n{INITIALIZED}\r\nnot json\n\n{LIST}\n{{\"jsonrpc\":\"2.0\",\n{LIST}");
        for size in [1, 2, 7, 64, 4096] {
            let (found, stream) = methods(&[Ok(text.as_bytes())], size);
            assert_eq!(found, ["notifications/initialized", "tools/list", "tools/list"], "{size}");
            assert_eq!(stream.counters().malformed, 2);
        }
    }

    #[test]
    fn headers_in_any_pieces() {
        let text = format!(
            "{}content-type: application/vscode-jsonrpc; charset=utf-8\r\n{}{}",
            framed(INITIALIZED),
            framed("{oops}"),
            framed(LIST)
        );
        for size in [1, 2, 7, 64, 4096] {
            let (found, _) = methods(&[Ok(text.as_bytes())], size);
            assert_eq!(found, ["notifications/initialized", "tools/list"], "{size}");
        }
    }

    #[test]
    fn after_a_gap_the_next_line_is_read() {
        let (head, tail) = (LIST.as_bytes().split_at(25).0, b"rest\n".as_slice());
        let pieces = [Ok(head), Err(10), Ok(tail), Ok(LIST.as_bytes())];
        assert_eq!(methods(&pieces, 4096).0, ["tools/list?", "tools/list"]);
    }

    #[test]
    fn after_a_gap_of_known_length_the_next_headers_are_read() {
        let text = framed(LIST);
        let (head, tail) = text.as_bytes().split_at(text.len() - 12);
        let next = framed(INITIALIZED);
        let expected = ["tools/list?", "notifications/initialized"];
        let whole = [Ok(head), Err(12), Ok(next.as_bytes())];
        assert_eq!(methods(&whole, 4096).0, expected);
        let part = [Ok(head), Err(5), Ok(&tail[5..]), Ok(next.as_bytes())];
        assert_eq!(methods(&part, 4096).0, expected);
        let beyond = [Ok(head), Err(13), Ok(next.as_bytes())];
        assert_eq!(methods(&beyond, 4096).0, ["tools/list?"]);
    }

    #[test]
    fn other_streams_and_broken_headers_are_left_alone() {
        for text in [
            "GET /sse HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            format!("Content-Length: x\r\n\r\n{LIST}"),
            format!("Content-Length: 0\r\n\r\n{LIST}"),
            format!("Content-Length: 99999999999999999999999\r\n\r\n{LIST}"),
            format!("Content-Length: {}{LIST}", "1".repeat(2000)),
        ] {
            let mut stream = RawStream::new();
            let mut sink = |message: &Message| panic!("{message:?}");
            let wanted = text.as_bytes().chunks(3).all(|piece| stream.feed(piece, &mut sink));
            assert!(!wanted, "{text}");
            assert_eq!(stream.framing(), None);
        }
    }
}
