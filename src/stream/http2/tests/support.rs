//! Frames, conversations, and a sink that writes down what it is told.

use std::collections::HashMap;

use crate::stream::http2::hpack::testing;
use crate::stream::http2::probe::PREFACE;
use crate::stream::http2::*;
use crate::stream::testing::Cut;
use crate::stream::{HeadFlags, Header, Interest, RequestHead, ResponseHead};

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// What happens to a connection.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Bytes from the client.
    C(Vec<u8>),
    /// Bytes from the server.
    S(Vec<u8>),
    GapC(u64),
    GapS(u64),
    EndC,
    EndS,
}

pub(super) fn c(frames: &[Vec<u8>]) -> Step {
    Step::C(frames.concat())
}

pub(super) fn s(frames: &[Vec<u8>]) -> Step {
    Step::S(frames.concat())
}

/// The start of a connection: the client's preface and both SETTINGS.
pub(super) fn start() -> [Step; 2] {
    [c(&[PREFACE.to_vec(), settings()]), s(&[settings()])]
}

pub(super) fn after_start(steps: &[Step]) -> Vec<Step> {
    start().into_iter().chain(steps.iter().cloned()).collect()
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![l0, l1, l2, kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

pub(super) fn data(stream: u32, flags: u8, payload: &str) -> Vec<u8> {
    frame(0, flags, stream, payload.as_bytes())
}

pub(super) fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(1, flags | END_HEADERS, stream, block)
}

pub(super) fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &8u32.to_be_bytes())
}

pub(super) fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])
}

pub(super) fn ping() -> Vec<u8> {
    frame(6, 0, 0, b"12345678")
}

pub(super) fn window_update(stream: u32) -> Vec<u8> {
    frame(8, 0, stream, &[0, 1, 0, 0])
}

/// Fields that do not touch the dynamic table.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        testing::literal(&mut block, false, 0, name.as_bytes(), value.as_bytes(), true);
    }
    block
}

/// Fields that are added to the dynamic table.
pub(super) fn added(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        testing::literal(&mut block, true, 0, name.as_bytes(), value.as_bytes(), false);
    }
    block
}

/// Fields of the dynamic table, 0 for the newest.
pub(super) fn dynamic(numbers: &[u32]) -> Vec<u8> {
    let mut block = Vec::new();
    for number in numbers {
        testing::indexed(&mut block, 62 + number);
    }
    block
}

pub(super) fn post(path: &str) -> Vec<u8> {
    block(&[(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", path)])
}

pub(super) fn status(status: &str) -> Vec<u8> {
    block(&[(":status", status)])
}

/// Writes down the calls of a sink, joins body bytes, and checks the order of
/// calls. `>` is the request's side, `<` the response's.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) log: Vec<String>,
    /// How far each side of each open exchange has come.
    pub(super) sides: HashMap<(u64, Direction), Side>,
    pub(super) skip: bool,
    pub(super) touched: usize,
    /// Whether header fields are written down too.
    pub(super) with_fields: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Open,
    Ended,
}

impl Recorder {
    fn begin(&mut self, id: ExchangeId, direction: Direction, headers: &[Header<'_>]) {
        let before = self.sides.insert((id.0, direction), Side::Open);
        assert_eq!(before, None, "two heads: {:?}", self.log);
        if self.with_fields {
            let fields = headers.iter().map(|field| {
                format!("{}: {}", field.name.escape_ascii(), field.value.escape_ascii())
            });
            self.log.extend(fields);
        }
    }

    fn check_open(&self, id: ExchangeId, direction: Direction) {
        let side = self.sides.get(&(id.0, direction));
        assert_eq!(side, Some(&Side::Open), "no open message: {:?}", self.log);
    }

    fn interest(&self) -> Interest {
        if self.skip { Interest::Skip } else { Interest::Wanted }
    }

    fn end(&mut self, id: u64) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let side = self.sides.remove(&(id, direction));
            assert_ne!(side, Some(Side::Open), "not ended: {:?}", self.log);
        }
    }
}

fn sign(direction: Direction) -> char {
    match direction {
        Direction::ToServer => '>',
        Direction::ToClient => '<',
    }
}

fn marks(flags: HeadFlags) -> String {
    let ambiguous = if flags.ambiguous_framing { " ambiguous" } else { "" };
    let incomplete = if flags.incomplete { " incomplete" } else { "" };
    format!("{ambiguous}{incomplete}")
}

impl ExchangeSink for Recorder {
    fn request(&mut self, id: ExchangeId, head: &RequestHead<'_>) -> Interest {
        assert_eq!(head.version.as_str(), "2");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let authority = head.authority.map_or("-".to_owned(), text);
        let scheme = head.scheme.map_or(String::new(), |scheme| text(scheme) + "//");
        self.log.push(format!(
            ">{} {} {} {scheme}{authority}{}",
            id.0,
            text(head.method),
            text(head.target),
            marks(head.flags)
        ));
        self.begin(id, Direction::ToServer, head.headers);
        self.interest()
    }

    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest {
        assert!(head.status == 0 || (200..1000).contains(&head.status));
        self.log.push(format!("<{} {}{}", id.0, head.status, marks(head.flags)));
        self.begin(id, Direction::ToClient, head.headers);
        self.interest()
    }

    fn body(&mut self, id: ExchangeId, direction: Direction, data: &[u8]) -> Interest {
        self.check_open(id, direction);
        assert!(!data.is_empty());
        self.touched += data.len();
        let prefix = format!("{}{} body ", sign(direction), id.0);
        let text = data.escape_ascii().to_string();
        match self.log.last_mut() {
            Some(last) if last.starts_with(&prefix) => last.push_str(&text),
            _ => self.log.push(prefix + &text),
        }
        self.interest()
    }

    fn body_gap(&mut self, id: ExchangeId, direction: Direction, len: u64) {
        self.check_open(id, direction);
        self.log.push(format!("{}{} gap {len}", sign(direction), id.0));
    }

    fn body_end(&mut self, id: ExchangeId, direction: Direction, complete: bool) {
        self.check_open(id, direction);
        self.sides.insert((id.0, direction), Side::Ended);
        let word = if complete { "end" } else { "cut" };
        self.log.push(format!("{}{} {word}", sign(direction), id.0));
    }

    fn exchange_end(&mut self, id: ExchangeId) {
        self.end(id.0);
        self.log.push(format!(".{}", id.0));
    }
}

impl Http2Sink for Recorder {
    fn extended_connect(&mut self, id: ExchangeId, protocol: &[u8]) {
        self.log.push(format!("={} {}", id.0, protocol.escape_ascii()));
    }
}

pub(super) struct Outcome {
    pub(super) log: Vec<String>,
    pub(super) counters: Http2Counters,
    pub(super) touched: usize,
}

/// Runs the steps and checks what is always so.
pub(super) fn drive(http: &mut Http2, steps: &[Step], cut: Cut, sink: &mut Recorder) -> Outcome {
    for step in steps {
        match step {
            Step::C(data) | Step::S(data) => {
                let to_server = matches!(step, Step::C(_));
                let direction = if to_server { Direction::ToServer } else { Direction::ToClient };
                for piece in cut.pieces(data) {
                    if http.feed(direction, piece, sink) == Progress::NotHttp {
                        sink.log.push("not http".to_owned());
                        let counters = *http.counters();
                        return Outcome { log: Vec::clone(&sink.log), counters, touched: 0 };
                    }
                    check_bounds(http);
                }
            }
            Step::GapC(len) => _ = http.gap(Direction::ToServer, *len, sink),
            Step::GapS(len) => _ = http.gap(Direction::ToClient, *len, sink),
            Step::EndC => _ = http.end(Direction::ToServer, sink),
            Step::EndS => _ = http.end(Direction::ToClient, sink),
        }
    }
    http.close(sink);
    let log_len = sink.log.len();
    http.close(sink);
    assert_eq!(sink.log.len(), log_len, "closing twice does nothing");
    if let Some(exchange) = http.upgraded {
        sink.end(exchange.0);
    }
    assert!(sink.sides.is_empty(), "every exchange ends: {:?}", sink.log);
    Outcome { log: Vec::clone(&sink.log), counters: *http.counters(), touched: sink.touched }
}

/// The bounds the module speaks of, and a little for rounding up.
fn check_bounds(http: &Http2) {
    let header_bytes = http.limits.header_bytes;
    for half in &http.halves {
        assert!(half.buffer.len() <= (2 * header_bytes + 512).max(36 * 1024));
    }
    assert!(http.streams.len() <= http.limits.streams);
}

pub(super) fn run(steps: &[Step], cut: Cut) -> Outcome {
    run_with(steps, cut, Http2Limits::default())
}

pub(super) fn run_with(steps: &[Step], cut: Cut, limits: Http2Limits) -> Outcome {
    drive(&mut Http2::new(limits), steps, cut, &mut Recorder::default())
}

/// Runs the steps, which must come out the same however they are cut.
pub(super) fn run_all(name: &str, steps: &[Step], limits: Http2Limits) -> Outcome {
    let whole = run_with(steps, Cut::Whole, limits);
    for cut in Cut::all() {
        let outcome = run_with(steps, cut, limits);
        assert_eq!(outcome.log, whole.log, "{name}, {cut:?}");
        assert_eq!(outcome.counters, whole.counters, "{name}, {cut:?}");
    }
    whole
}

pub(super) type Row<'a> = (&'a str, Vec<Step>, &'a [&'a str]);

pub(super) fn check(rows: &[Row<'_>]) {
    for (name, steps, expected) in rows {
        let outcome = run_all(name, steps, Http2Limits::default());
        assert_eq!(outcome.log, *expected, "{name}");
    }
}
