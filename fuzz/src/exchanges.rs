//! A log of what protocols over a stream hand on.

use std::collections::HashMap;

use mcpwatch::stream::http2::Http2Sink;
use mcpwatch::stream::websocket::{MessageKind, WebSocketSink};
use mcpwatch::stream::{
    Direction, ExchangeId, ExchangeSink, HeadFlags, Header, Interest, RequestHead, ResponseHead,
};

use super::input::sign;

/// Writes calls down, joining data of one body or message, and checks their
/// order.
#[derive(Default)]
pub(crate) struct Log {
    lines: Vec<String>,
    /// Messages of exchanges that have not ended, and whether they are open.
    open: HashMap<(ExchangeId, Direction), bool>,
    /// Bodies are unwanted.
    skip: bool,
}

impl Log {
    /// A log that wants bodies, or skips them.
    pub(crate) fn new(skip: bool) -> Self {
        Self { skip, ..Self::default() }
    }

    pub(crate) fn line(&mut self, text: String) {
        self.lines.push(text);
    }

    /// Adds data to a line that begins with `head`, or begins one.
    pub(crate) fn data(&mut self, head: String, data: &[u8]) {
        match self.lines.last_mut() {
            Some(last) if last.starts_with(&head) => push_escaped(last, data),
            _ => {
                let mut line = head;
                push_escaped(&mut line, data);
                self.lines.push(line);
            }
        }
    }

    /// Looks no more at an exchange.
    pub(crate) fn forget(&mut self, id: ExchangeId) {
        self.open.retain(|(known, _), _| *known != id);
    }

    /// Checks that everything that began has ended, and gives the lines.
    pub(crate) fn finish(self) -> Vec<String> {
        assert!(self.open.is_empty(), "{:?} did not end: {:#?}", self.open, self.lines);
        self.lines
    }

    fn begin(&mut self, id: ExchangeId, direction: Direction) -> Interest {
        // HTTP/2 goes on with an exchange of HTTP/1, whose 101 was its response.
        let before = self.open.insert((id, direction), true);
        assert_ne!(before, Some(true), "two heads of {id:?} {direction:?}: {:#?}", self.lines);
        self.interest()
    }

    fn check(&self, id: ExchangeId, direction: Direction) {
        let open = self.open.get(&(id, direction)).copied();
        assert_eq!(open, Some(true), "{id:?} {direction:?} is not open: {:#?}", self.lines);
    }

    fn interest(&self) -> Interest {
        if self.skip { Interest::Skip } else { Interest::Wanted }
    }
}

fn push_escaped(line: &mut String, data: &[u8]) {
    use std::fmt::Write;
    // Writing to a string does not fail.
    let _ = write!(line, "{}", data.escape_ascii());
}

fn fields(headers: &[Header<'_>], flags: HeadFlags) -> String {
    let fields: Vec<String> = headers
        .iter()
        .map(|field| format!("{}={}", field.name.escape_ascii(), field.value.escape_ascii()))
        .collect();
    format!("{fields:?} {flags:?}")
}

impl ExchangeSink for Log {
    fn request(&mut self, id: ExchangeId, head: &RequestHead<'_>) -> Interest {
        let RequestHead { version, method, target, scheme, authority, headers, flags } = head;
        self.lines.push(format!(
            ">{} {version:?} {} {} {:?} {:?} {}",
            id.0,
            method.escape_ascii(),
            target.escape_ascii(),
            scheme.map(|scheme| scheme.escape_ascii().to_string()),
            authority.map(|authority| authority.escape_ascii().to_string()),
            fields(headers, *flags),
        ));
        self.begin(id, Direction::ToServer)
    }

    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest {
        let ResponseHead { version, status, headers, flags } = head;
        // 0 stands for a head that was lost.
        assert!(matches!(status, 0 | 101 | 200..1000), "{status}");
        self.lines.push(format!("<{} {version:?} {status} {}", id.0, fields(headers, *flags)));
        self.begin(id, Direction::ToClient)
    }

    fn body(&mut self, id: ExchangeId, direction: Direction, data: &[u8]) -> Interest {
        self.check(id, direction);
        assert!(!data.is_empty(), "no data of {id:?}");
        self.data(format!("{}{} body ", sign(direction), id.0), data);
        self.interest()
    }

    fn body_gap(&mut self, id: ExchangeId, direction: Direction, len: u64) {
        self.check(id, direction);
        self.lines.push(format!("{}{} gap {len}", sign(direction), id.0));
    }

    fn body_end(&mut self, id: ExchangeId, direction: Direction, complete: bool) {
        self.check(id, direction);
        self.open.insert((id, direction), false);
        self.lines.push(format!("{}{} end {complete}", sign(direction), id.0));
    }

    fn exchange_end(&mut self, id: ExchangeId) {
        let sides = [Direction::ToServer, Direction::ToClient];
        let sides = sides.map(|direction| self.open.remove(&(id, direction)));
        assert!(!sides.contains(&Some(true)), "{id:?} is open at its end: {:#?}", self.lines);
        assert!(sides.contains(&Some(false)), "{id:?} ends twice: {:#?}", self.lines);
        self.lines.push(format!(".{}", id.0));
    }
}

impl Http2Sink for Log {
    fn extended_connect(&mut self, id: ExchangeId, protocol: &[u8]) {
        self.lines.push(format!("{} carries {}", id.0, protocol.escape_ascii()));
    }
}

impl WebSocketSink for Log {
    fn message_data(&mut self, direction: Direction, kind: MessageKind, data: &[u8]) -> Interest {
        // How much comes with the first byte, before it can be said that no more
        // is wanted, depends on the pieces.
        let told = if self.skip { &data[..1] } else { data };
        assert!(!told.is_empty());
        self.data(format!("{}{kind:?} ", sign(direction)), told);
        self.interest()
    }

    fn message_gap(&mut self, direction: Direction, kind: MessageKind) {
        self.lines.push(format!("{}{kind:?}: gap", sign(direction)));
    }

    fn message_end(&mut self, direction: Direction, kind: MessageKind, complete: bool) {
        self.lines.push(format!("{}{kind:?}: end {complete}", sign(direction)));
    }

    fn closing(&mut self, direction: Direction, code: Option<u16>) {
        self.lines.push(format!("{}closing {code:?}", sign(direction)));
    }
}
