//! Tables of conversations and what is made of them, fed whole, byte by byte
//! and cut at random.

use std::collections::HashMap;

use super::*;
use crate::stream::testing::{Cut, Rng};
use crate::stream::{HeadFlags, RequestHead, ResponseHead};

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Step {
    /// Bytes from the client.
    C(Vec<u8>),
    /// Bytes from the server.
    S(Vec<u8>),
    GapC(u64),
    GapS(u64),
    EndC,
    EndS,
}

fn c(text: &str) -> Step {
    Step::C(text.as_bytes().to_vec())
}

fn s(text: &str) -> Step {
    Step::S(text.as_bytes().to_vec())
}

/// Writes down the calls of a sink, joins body bytes, and checks the order of
/// calls. `>` is the request's side, `<` the response's.
#[derive(Default)]
struct Recorder {
    log: Vec<String>,
    /// How far each side of each exchange has come.
    sides: HashMap<(u64, Direction), Side>,
    ended: Vec<u64>,
    skip: bool,
    touched: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Open,
    Ended,
}

impl Recorder {
    fn begin(&mut self, id: ExchangeId, direction: Direction) {
        assert!(!self.ended.contains(&id.0), "head after exchange_end");
        assert_eq!(self.sides.insert((id.0, direction), Side::Open), None, "two heads");
    }

    fn check_open(&self, id: ExchangeId, direction: Direction) {
        assert_eq!(self.sides.get(&(id.0, direction)), Some(&Side::Open), "no open message");
        assert!(!self.ended.contains(&id.0));
    }

    fn interest(&self) -> Interest {
        if self.skip { Interest::Skip } else { Interest::Wanted }
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
        self.begin(id, Direction::ToServer);
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
        self.interest()
    }

    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest {
        self.begin(id, Direction::ToClient);
        assert!(head.status == 101 || (200..1000).contains(&head.status));
        self.log.push(format!("<{} {}{}", id.0, head.status, marks(head.flags)));
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
        assert!(!self.ended.contains(&id.0), "exchange_end twice");
        for direction in [Direction::ToServer, Direction::ToClient] {
            assert_ne!(self.sides.get(&(id.0, direction)), Some(&Side::Open), "not ended");
        }
        self.ended.push(id.0);
        self.log.push(format!(".{}", id.0));
    }
}

struct Outcome {
    log: Vec<String>,
    counters: Http1Counters,
    touched: usize,
}

/// Runs the steps; a switch stands in the log as `switch`, with what was held
/// and what of the bytes fed was left.
fn run_with(steps: &[Step], cut: Cut, limits: Http1Limits, skip: bool) -> Outcome {
    let mut http = Http1::new(limits);
    let mut sink = Recorder { skip, ..Recorder::default() };
    let mut after: Option<[Vec<u8>; 2]> = None;
    for step in steps {
        let (direction, data) = match step {
            Step::C(data) => (Direction::ToServer, data.as_slice()),
            Step::S(data) => (Direction::ToClient, data.as_slice()),
            Step::GapC(_) | Step::EndC => (Direction::ToServer, &b""[..]),
            Step::GapS(_) | Step::EndS => (Direction::ToClient, &b""[..]),
        };
        let mut pieces = cut.pieces(data);
        if pieces.is_empty() {
            pieces.push(b"");
        }
        for piece in pieces {
            if let Some(after) = &mut after {
                after[direction.index()].extend_from_slice(piece);
                continue;
            }
            let progress = match step {
                Step::C(_) | Step::S(_) => http.feed(direction, piece, &mut sink),
                Step::GapC(len) | Step::GapS(len) => http.gap(direction, *len, &mut sink),
                Step::EndC | Step::EndS => http.end(direction, &mut sink),
            };
            match progress {
                Progress::Continue => {}
                Progress::NotHttp => {
                    sink.log.push("not http".to_owned());
                    return Outcome { log: sink.log, counters: *http.counters(), touched: 0 };
                }
                Progress::Switched { consumed, switch } => {
                    let assumed = if switch.answered { "" } else { " assumed" };
                    let protocol = match switch.protocol {
                        Protocol::WebSocket { extensions, subprotocol } => format!(
                            "websocket [{}] [{}]",
                            extensions.escape_ascii(),
                            subprotocol.escape_ascii()
                        ),
                        Protocol::Other(name) => format!("other {}", name.escape_ascii()),
                        protocol => format!("{protocol:?}"),
                    };
                    sink.log.push(format!("={} {protocol}{assumed}", switch.exchange.0));
                    let mut held = switch.held.map(|held| match held.lost {
                        0 => held.bytes,
                        lost => [held.bytes, format!("[{lost} lost]").into_bytes()].concat(),
                    });
                    held[direction.index()].extend_from_slice(&piece[consumed..]);
                    after = Some(held);
                }
            }
        }
    }
    http.close(&mut sink);
    let log_len = sink.log.len();
    http.close(&mut sink);
    assert_eq!(sink.log.len(), log_len, "closing twice does nothing");
    let mut open = sink.sides.iter().filter(|(_, side)| **side == Side::Open);
    assert_eq!(open.next(), None, "every message ends");
    assert!(
        sink.sides.keys().all(|(id, _)| sink.ended.contains(id)),
        "every exchange ends: {:?}",
        sink.log
    );
    if let Some([client, server]) = after {
        sink.log.push(format!("=> {}", client.escape_ascii()));
        sink.log.push(format!("=< {}", server.escape_ascii()));
    }
    Outcome { log: sink.log, counters: *http.counters(), touched: sink.touched }
}

fn run(steps: &[Step], cut: Cut) -> Outcome {
    run_with(steps, cut, Http1Limits::default(), false)
}

type Row<'a> = (&'a str, &'a [Step], &'a [&'a str]);

fn check(rows: &[Row<'_>]) {
    for (name, steps, expected) in rows {
        for cut in Cut::all() {
            assert_eq!(run(steps, cut).log, *expected, "{name}, {cut:?}");
        }
    }
}

#[test]
fn usual_conversations() {
    let rows: &[Row<'_>] = &[
        (
            "sized bodies, keep-alive",
            &[
                c("POST /mcp HTTP/1.1\r\nHost: h:8000\r\nContent-Length: 2\r\n\r\n{}"),
                s("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"),
                c("GET /mcp HTTP/1.1\r\nHost: h:8000\r\n\r\n"),
                s("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"),
            ],
            &[
                ">0 POST /mcp h:8000",
                ">0 body {}",
                ">0 end",
                "<0 200",
                "<0 body null",
                "<0 end",
                ".0",
                ">1 GET /mcp h:8000",
                ">1 end",
                "<1 405",
                "<1 end",
                ".1",
            ],
        ),
        (
            "chunks, extensions, trailers",
            &[
                c(
                    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: v\r\n\r\n",
                ),
                s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"),
                c("GET /b HTTP/1.1\r\n\r\n"),
            ],
            &[
                ">0 POST / -",
                ">0 body abc",
                ">0 end",
                "<0 200",
                "<0 body xyz",
                "<0 end",
                ".0",
                ">1 GET /b -",
                ">1 end",
                ".1",
            ],
        ),
        (
            "until close",
            &[
                c("GET / HTTP/1.0\r\n\r\n"),
                s("HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 is text here\r\n"),
                Step::EndS,
            ],
            &[
                ">0 GET / -",
                ">0 end",
                "<0 200",
                "<0 body HTTP/1.1 is text here\\r\\n",
                "<0 end",
                ".0",
            ],
        ),
        (
            "until close, but reset",
            &[c("GET / HTTP/1.0\r\n\r\n"), s("HTTP/1.0 200 OK\r\n\r\nx")],
            &[">0 GET / -", ">0 end", "<0 200", "<0 body x", "<0 cut", ".0"],
        ),
        (
            "answers without body",
            &[
                c("HEAD / HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
                s("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
                s("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ],
            &[
                ">0 HEAD / -",
                ">0 end",
                ">1 GET /a -",
                ">1 end",
                ">2 GET /b -",
                ">2 end",
                "<0 200",
                "<0 end",
                ".0",
                "<1 304",
                "<1 end",
                ".1",
                "<2 204",
                "<2 end",
                ".2",
            ],
        ),
        (
            "interim responses",
            &[
                c("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                s("HTTP/1.1 100 Continue\r\n\r\n"),
                c("{}"),
                s(
                    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
                ),
            ],
            &[">0 POST / -", ">0 body {}", ">0 end", "<0 202", "<0 end", ".0"],
        ),
        (
            "an early answer",
            &[
                c("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"),
                s("HTTP/1.1 413 Too Large\r\nContent-Length: 1\r\n\r\nx"),
                c("cd"),
                c("GET / HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 x\r\n\r\n"),
            ],
            &[
                ">0 POST / -",
                ">0 body ab",
                "<0 413",
                "<0 body x",
                "<0 end",
                ">0 body cd",
                ">0 end",
                ".0",
                ">1 GET / -",
                ">1 end",
                "<1 204",
                "<1 end",
                ".1",
            ],
        ),
        (
            "absolute form, CRLF before the request, no reason phrase",
            &[
                c("\r\n\r\nPOST http://a.example/mcp HTTP/1.1\r\nHost: b.example\r\n\r\n"),
                s("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
                c("\nGET / HTTP/1.1\nHost: c\n\n"),
            ],
            &[
                ">0 POST http://a.example/mcp http//a.example",
                ">0 end",
                "<0 200",
                "<0 end",
                ".0",
                ">1 GET / c",
                ">1 end",
                ".1",
            ],
        ),
        (
            "lower-case method, folded field, space before colon",
            &[c("post / HTTP/1.1\r\nA: b\r\n c\r\nHost : h\r\n\r\n")],
            &[">0 post / h", ">0 end", ".0"],
        ),
    ];
    check(rows);
}

#[test]
fn one_sided_and_unpaired() {
    let rows: &[Row<'_>] = &[
        (
            "the client only",
            &[c("GET /a HTTP/1.1\r\n\r\n"), c("GET /b HTTP/1.1\r\n\r\n")],
            &[">0 GET /a -", ">0 end", ">1 GET /b -", ">1 end", ".0", ".1"],
        ),
        (
            "the server only",
            &[
                s("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
                s("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            ],
            &["<0 200", "<0 body a", "<0 end", ".0", "<1 404", "<1 end", ".1"],
        ),
        (
            "joined in the middle of bodies",
            &[
                s("rest of a body}"),
                c("uest body\"}"),
                c("POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
                s("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny"),
            ],
            &[">0 POST /mcp h", ">0 body x", ">0 end", "<0 200", "<0 body y", "<0 end", ".0"],
        ),
        (
            "the first answer belongs to an unseen request",
            &[
                s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                c("GET /a HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 x\r\n\r\n"),
            ],
            &["<0 200", "<0 end", ".0", ">1 GET /a -", ">1 end", "<1 204", "<1 end", ".1"],
        ),
    ];
    check(rows);
}

#[test]
fn framing_that_smuggles() {
    let rows: &[Row<'_>] = &[
        (
            "both: chunked wins",
            &[c(
                "POST /a HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
            )],
            &[">0 POST /a - ambiguous", ">0 end", ">1 GET /b -", ">1 end", ".0", ".1"],
        ),
        (
            "equal lengths",
            &[c("POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab")],
            &[">0 POST /a -", ">0 body ab", ">0 end", ".0"],
        ),
        (
            "lengths that differ",
            &[c(
                "POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
            )],
            &[">0 POST /a - ambiguous", ">0 cut", ">1 GET /b h", ">1 end", ".0", ".1"],
        ),
        (
            "unknown transfer coding",
            &[c(
                "POST /a HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
            )],
            &[">0 POST /a - ambiguous", ">0 cut", ">1 GET /b h", ">1 end", ".0", ".1"],
        ),
        (
            "chunked with space before the colon",
            &[c("POST /a HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")],
            &[">0 POST /a - ambiguous", ">0 body x", ">0 end", ".0"],
        ),
        (
            "folded chunked",
            &[c("POST /a HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")],
            &[">0 POST /a - ambiguous", ">0 body x", ">0 end", ".0"],
        ),
        (
            "a bad chunk",
            &[c(
                "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
            )],
            &[">0 POST /a -", ">0 body x", ">0 cut", ">1 GET /b h", ">1 end", ".0", ".1"],
        ),
        (
            "gzip as a transfer coding stays on",
            &[s(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n\x1fx\r\n0\r\n\r\n",
            )],
            &["<0 200", "<0 body \\x1fx", "<0 end", ".0"],
        ),
        (
            "a response with a request's head",
            &[s("GET / HTTP/1.1\r\nHost: h\r\n\r\nHTTP/1.1 204 x\r\n\r\n")],
            &["<0 204", "<0 end", ".0"],
        ),
    ];
    check(rows);
}

#[test]
fn gaps() {
    let rows: &[Row<'_>] = &[
        (
            "in a sized body",
            &[
                c("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"),
                Step::GapC(4),
                c("hijGET /b HTTP/1.1\r\n\r\n"),
            ],
            &[
                ">0 POST / -",
                ">0 body abc",
                ">0 gap 4",
                ">0 body hij",
                ">0 end",
                ">1 GET /b -",
                ">1 end",
                ".0",
                ".1",
            ],
        ),
        (
            "up to the end of a sized body",
            &[
                c("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"),
                Step::GapC(7),
                c("GET /b HTTP/1.1\r\n\r\n"),
            ],
            &[
                ">0 POST / -",
                ">0 body abc",
                ">0 gap 7",
                ">0 end",
                ">1 GET /b -",
                ">1 end",
                ".0",
                ".1",
            ],
        ),
        (
            "beyond a sized body",
            &[
                c("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"),
                Step::GapC(20),
                c("-Agent: x\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n"),
            ],
            &[
                ">0 POST / -",
                ">0 body abc",
                ">0 gap 7",
                ">0 end",
                ">1 GET /c h",
                ">1 end",
                ".0",
                ".1",
            ],
        ),
        (
            "of unknown length",
            &[
                c("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"),
                Step::GapC(0),
                c("xyzGET /c HTTP/1.1\r\nHost: h\r\n\r\n"),
            ],
            &[
                ">0 POST / -",
                ">0 body abc",
                ">0 gap 0",
                ">0 cut",
                ">1 GET /c h",
                ">1 end",
                ".0",
                ".1",
            ],
        ),
        (
            "in a chunk",
            &[
                s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc"),
                Step::GapS(4),
                s("hij\r\n0\r\n\r\n"),
            ],
            &["<0 200", "<0 body abc", "<0 gap 4", "<0 body hij", "<0 end", ".0"],
        ),
        (
            "of a whole chunk of an event stream",
            &[
                s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
                Step::GapS(17),
                s("2\r\nde\r\n"),
                Step::GapS(17),
                s("\r\n1\r\nf\r\n0\r\n\r\nHTTP/1.1 204 x\r\n\r\n"),
            ],
            &[
                "<0 200",
                "<0 body abc",
                "<0 gap 0",
                "<0 body de",
                "<0 gap 0",
                "<0 body f",
                "<0 end",
                ".0",
                "<1 204",
                "<1 end",
                ".1",
            ],
        ),
        (
            "beyond a chunk, resumed in data",
            &[
                s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
                Step::GapS(17),
                s("data: x\r\n\r\n0\r\n\r\nHTTP/1.1 204 x\r\n\r\n"),
            ],
            &["<0 200", "<0 body ab", "<0 gap 0", "<0 cut", ".0", "<1 204", "<1 end", ".1"],
        ),
        (
            "a chance chunk is given away by its end",
            &[
                s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
                Step::GapS(17),
                s("2\r\nxyz\r\nHTTP/1.1 204 x\r\n\r\n"),
            ],
            &[
                "<0 200",
                "<0 body ab",
                "<0 gap 0",
                "<0 body xy",
                "<0 cut",
                ".0",
                "<1 204",
                "<1 end",
                ".1",
            ],
        ),
        (
            "until close",
            &[s("HTTP/1.0 200 OK\r\n\r\nab"), Step::GapS(5), s("cd"), Step::EndS],
            &["<0 200", "<0 body ab", "<0 gap 5", "<0 body cd", "<0 end", ".0"],
        ),
        (
            "in a request's head",
            &[
                c("POST /mcp HTTP/1.1\r\nHost: h\r\nMcp-Sess"),
                Step::GapC(100),
                c("th: 2\r\n\r\n{}POST /b HTTP/1.1\r\nHost: h\r\n\r\n"),
            ],
            &[">0 POST /mcp h incomplete", ">0 cut", ">1 POST /b h", ">1 end", ".0", ".1"],
        ),
        (
            "in the request line, after the target",
            &[c("POST /mcp HTT"), Step::GapC(100)],
            &[">0 POST /mcp - incomplete", ">0 cut", ".0"],
        ),
        ("in the target", &[c("POST /mc"), Step::GapC(100)], &[]),
        (
            "in a response's head",
            &[s("HTTP/1.1 200 OK\r\nContent-Le"), Step::GapS(100), s("xx")],
            &["<0 200 incomplete", "<0 cut", ".0"],
        ),
        (
            "every head cut by the snap length",
            &[
                c("POST /a HTTP/1.1\r\nHost: h\r\nConte"),
                Step::GapC(50),
                s("HTTP/1.1 200 OK\r\nDate: M"),
                Step::GapS(50),
                c("POST /b HTTP/1.1\r\nHost: h\r\nConte"),
                Step::GapC(50),
                s("HTTP/1.1 202 Accepted\r\nDate: M"),
                Step::GapS(50),
            ],
            &[
                ">0 POST /a h incomplete",
                ">0 cut",
                "<0 200 incomplete",
                "<0 cut",
                ".0",
                ">1 POST /b h incomplete",
                ">1 cut",
                "<1 202 incomplete",
                "<1 cut",
                ".1",
            ],
        ),
        (
            "a lost answer: the next answers the newest request",
            &[
                c("GET /a HTTP/1.1\r\n\r\n"),
                c("GET /b HTTP/1.1\r\n\r\n"),
                Step::GapS(100),
                s("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"),
            ],
            &[
                ">0 GET /a -",
                ">0 end",
                ">1 GET /b -",
                ">1 end",
                ".0",
                "<1 200",
                "<1 body b",
                "<1 end",
                ".1",
            ],
        ),
        (
            "the end of a stream cuts a head",
            &[c("GET /a HTTP/1.1\r\nHost: h\r\nA"), Step::EndC],
            &[">0 GET /a h incomplete", ">0 cut", ".0"],
        ),
    ];
    check(rows);
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: mcp, x\r\n\r\n";
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Extensions: a\r\nsec-websocket-extensions: b; c=1\r\n\
    Sec-WebSocket-Protocol: mcp\r\n\r\n";

#[test]
fn switches() {
    let rows: &[Row<'_>] = &[
        (
            "websocket",
            &[c(UPGRADE), s(&format!("{AGREED}\x01server")), c("\x02client"), s("more")],
            &[
                ">0 GET /ws -",
                ">0 end",
                "<0 101",
                "<0 end",
                "=0 websocket [a, b; c=1] [mcp]",
                ".0",
                "=> \\x02client",
                "=< \\x01servermore",
            ],
        ),
        (
            "the client's bytes are seen first",
            &[c(UPGRADE), c("\x02client"), s(AGREED), c("\x02more")],
            &[
                ">0 GET /ws -",
                ">0 end",
                "<0 101",
                "<0 end",
                "=0 websocket [a, b; c=1] [mcp]",
                ".0",
                "=> \\x02client\\x02more",
                "=< ",
            ],
        ),
        (
            "refused",
            &[
                c(UPGRADE),
                s("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"),
                c("GET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 x\r\n\r\n"),
            ],
            &[
                ">0 GET /ws -",
                ">0 end",
                "<0 400",
                "<0 end",
                ".0",
                ">1 GET /b -",
                ">1 end",
                "<1 204",
                "<1 end",
                ".1",
            ],
        ),
        (
            "ignored, and the client goes on before the answer",
            &[
                c(&format!("{UPGRADE}GET /b HTTP/1.1\r\n\r\n")),
                s("HTTP/1.1 204 x\r\n\r\nHTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n"),
            ],
            &[
                ">0 GET /ws -",
                ">0 end",
                ">1 GET /b -",
                ">1 end",
                "<0 204",
                "<0 end",
                ".0",
                "<1 205",
                "<1 end",
                ".1",
            ],
        ),
        (
            "h2c, agreed before the request's body ended",
            &[
                c("POST / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nab"),
                s("HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\nframes"),
                c("cdPRI * HTTP/2.0\r\n"),
            ],
            &[
                ">0 POST / -",
                ">0 body ab",
                "<0 101",
                "<0 end",
                ">0 body cd",
                ">0 end",
                "=0 Http2",
                ".0",
                "=> PRI * HTTP/2.0\\r\\n",
                "=< frames",
            ],
        ),
        (
            "tunnel",
            &[
                c("CONNECT h:443 HTTP/1.1\r\nHost: x\r\n\r\n"),
                c("GET / HTTP/1.1\r\n\r\n"),
                s(
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nserver",
                ),
            ],
            &[
                ">0 CONNECT h:443 h:443",
                ">0 end",
                "<0 200",
                "<0 end",
                "=0 Tunnel",
                ".0",
                "=> GET / HTTP/1.1\\r\\n\\r\\n",
                "=< server",
            ],
        ),
        (
            "tunnel refused",
            &[
                c("CONNECT h:443 HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 407 x\r\nContent-Length: 1\r\n\r\nx"),
                c("CONNECT h:443 HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 x\r\n\r\n"),
            ],
            &[
                ">0 CONNECT h:443 h:443",
                ">0 end",
                "<0 407",
                "<0 body x",
                "<0 end",
                ".0",
                ">1 CONNECT h:443 h:443",
                ">1 end",
                "<1 200",
                "<1 end",
                "=1 Tunnel",
                ".1",
                "=> ",
                "=< ",
            ],
        ),
        (
            "the server's side only",
            &[s(&format!("{AGREED}server"))],
            &["<0 101", "<0 end", "=0 websocket [a, b; c=1] [mcp]", ".0", "=> ", "=< server"],
        ),
        (
            "the client's side only",
            &[c(UPGRADE), c("\x02client"), Step::EndC],
            &[
                ">0 GET /ws -",
                ">0 end",
                "=0 websocket [permessage-deflate] [mcp, x] assumed",
                ".0",
                "=> \\x02client",
                "=< ",
            ],
        ),
        (
            "another protocol",
            &[s("HTTP/1.1 101 x\r\nUpgrade: foo/2, bar\r\n\r\n")],
            &["<0 101", "<0 end", "=0 other foo/2", ".0", "=> ", "=< "],
        ),
        (
            "a cut answer says not where",
            &[c(UPGRADE), s("HTTP/1.1 101 x\r\nUpgr"), Step::GapS(20), s("\x01x")],
            &[">0 GET /ws -", ">0 end", "<0 101 incomplete", "<0 cut", ".0"],
        ),
        (
            "a cut answer, and HTTP in what was held to the end",
            &[
                c(UPGRADE),
                s("HTTP/1.1 101 x\r\nUpgr"),
                Step::GapS(20),
                c("\x02\r\nPOST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"),
                Step::EndC,
            ],
            &[
                ">0 GET /ws -",
                ">0 end",
                "<0 101 incomplete",
                "<0 cut",
                ".0",
                ">1 POST /a -",
                ">1 body half",
                ">1 cut",
                ".1",
            ],
        ),
    ];
    check(rows);
}

#[test]
fn waiting_for_an_answer_is_bounded() {
    let limits = Http1Limits { held_bytes: 100, ..Http1Limits::default() };
    let frames = "\x02".repeat(150);
    let expected = [
        ">0 GET /ws -".to_owned(),
        ">0 end".to_owned(),
        "=0 websocket [permessage-deflate] [mcp, x] assumed".to_owned(),
        ".0".to_owned(),
        format!("=> {}", frames.as_bytes().escape_ascii()),
        "=< ".to_owned(),
    ];
    for cut in Cut::all() {
        let outcome = run_with(&[c(UPGRADE), c(&frames)], cut, limits, false);
        assert_eq!(outcome.log, expected, "{cut:?}");
        assert_eq!(outcome.counters.assumed_switches, 1);
    }
    // Bytes lost while waiting are told.
    let mut http = Http1::new(limits);
    let mut sink = Recorder::default();
    for data in [UPGRADE.as_bytes(), b"\x02ab"] {
        assert_eq!(http.feed(Direction::ToServer, data, &mut sink), Progress::Continue);
    }
    assert_eq!(http.gap(Direction::ToServer, 7, &mut sink), Progress::Continue);
    assert_eq!(http.feed(Direction::ToServer, b"xyz", &mut sink), Progress::Continue);
    let progress = http.feed(Direction::ToClient, AGREED.as_bytes(), &mut sink);
    let Progress::Switched { switch, .. } = progress else { panic!("{progress:?}") };
    assert_eq!(switch.held[0], Held { bytes: b"\x02ab".to_vec(), lost: 10 });
}

#[test]
fn heads_over_the_cap() {
    let limits = Http1Limits { head_bytes: 256, ..Http1Limits::default() };
    let filler = format!("X: {}\r\n", "y".repeat(300));
    let rows = [
        (
            "length before the cap",
            vec![c(&format!(
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n{filler}\r\nabGET /b HTTP/1.1\r\n\r\n"
            ))],
            vec![
                ">0 POST / h incomplete",
                ">0 body ab",
                ">0 end",
                ">1 GET /b -",
                ">1 end",
                ".0",
                ".1",
            ],
        ),
        (
            "length after the cap",
            vec![c(&format!(
                "POST / HTTP/1.1\r\nHost: h\r\n{filler}Content-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\nA: b\r\n\r\n"
            ))],
            vec![">0 POST / h incomplete", ">0 cut", ">1 GET /b -", ">1 end", ".0", ".1"],
        ),
        (
            "request line over the cap",
            vec![c(&format!(
                "GET /{} HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nA: b\r\n\r\n",
                "x".repeat(9000)
            ))],
            vec![">0 GET /b -", ">0 end", ".0"],
        ),
        (
            "request line over the cap, but none too long to be searched for",
            vec![c(&format!(
                "GET /{} HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nA: b\r\n\r\n",
                "x".repeat(300)
            ))],
            vec![">0 GET /b -", ">0 end", ".0"],
        ),
        (
            "exactly the cap",
            vec![c(&format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(256 - 23)))],
            vec![">0 GET / -", ">0 end", ".0"],
        ),
    ];
    for (name, steps, expected) in rows {
        for cut in Cut::all() {
            let outcome = run_with(&steps, cut, limits, false);
            assert_eq!(outcome.log, expected, "{name}, {cut:?}");
        }
    }
}

#[test]
fn many_fields_do_not_hide_the_framing() {
    let fields: String = (0..400).map(|number| format!("a{number}: b\r\n")).collect();
    let steps = [c(&format!(
        "POST / HTTP/1.1\r\n{fields}Content-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\n\r\n"
    ))];
    let outcome = run(&steps, Cut::Whole);
    assert_eq!(outcome.log[..3], [">0 POST / - incomplete", ">0 body ab", ">0 end"]);
    assert_eq!(outcome.counters.too_many_headers, 1);
}

#[test]
fn unwanted_bodies_are_not_handed_on() {
    let steps = [
        c("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde"),
        s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        s("HTTP/1.1 200 OK\r\n\r\nabc"),
        Step::EndS,
    ];
    for cut in Cut::all() {
        let outcome = run_with(&steps, cut, Http1Limits::default(), true);
        assert_eq!(outcome.touched, 0);
        assert_eq!(
            outcome.log,
            [">0 POST / -", ">0 end", "<0 200", "<0 end", ".0", "<1 200", "<1 end", ".1"]
        );
    }
}

#[test]
fn outstanding_requests_are_capped() {
    let limits = Http1Limits { outstanding: 3, ..Http1Limits::default() };
    let mut steps = vec![c(&"GET / HTTP/1.1\r\n\r\n".repeat(5))];
    steps.push(s(&"HTTP/1.1 204 x\r\n\r\n".repeat(5)));
    let outcome = run_with(&steps, Cut::Whole, limits, false);
    let evicted: Vec<_> = outcome.log.iter().filter(|line| line.starts_with('.')).collect();
    // The answers of the two evicted do not pair with the others.
    assert_eq!(evicted, [".0", ".1", ".5", ".6", ".2", ".3", ".4"]);
    assert_eq!(outcome.counters.unanswered_requests, 2);
    assert_eq!(outcome.counters.pipelined, 4);
}

#[test]
fn what_is_not_http_is_told() {
    let mut rng = Rng::new(2);
    let noise: Vec<u8> = (0..200_000).map(|_| rng.next() as u8).collect();
    for direction in [Step::C(noise.clone()), Step::S(noise.clone())] {
        let outcome = run(&[direction], Cut::Random(1));
        assert_eq!(outcome.log, ["not http"]);
    }
    // With one head seen, a long unknown body does not count against it.
    let outcome = run(&[c("GET / HTTP/1.1\r\n\r\n"), Step::S(noise)], Cut::Random(1));
    assert_eq!(outcome.log, [">0 GET / -", ">0 end", ".0"]);
    assert!(outcome.counters.skipped_bytes > 190_000);
}

#[test]
fn counters_name_what_happened() {
    let steps = [
        c(
            "POST / HTTP/1.1\r\nHost : h\r\nContent-Length: 1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
        ),
        s("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"),
        Step::GapS(4),
        s("garbage\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ];
    for cut in Cut::all() {
        let counters = run(&steps, cut).counters;
        let expected = Http1Counters {
            requests: 1,
            responses: 2,
            interim_responses: 1,
            unpaired_responses: 1,
            irregular_heads: 1,
            ambiguous_framing: 1,
            transfer_coded: 1,
            irregular_chunks: 1,
            resyncs: 1,
            skipped_bytes: 9,
            gaps: 1,
            lost_bytes: 4,
            ..Http1Counters::default()
        };
        assert_eq!(counters, expected, "{cut:?}");
    }
}

/// Conversations, mutated: whatever comes, the calls are in order, and do not
/// depend on how the bytes were cut.
#[test]
fn any_bytes_cut_anywhere_give_the_same() {
    let seeds: &[(&str, &str)] = &[
        (
            "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}POST /mcp HTTP/1.1\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull\
             HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
             HTTP/1.0 200 OK\r\n\r\nuntil the end",
        ),
        (UPGRADE, AGREED),
        ("CONNECT h:1 HTTP/1.1\r\n\r\nabc", "HTTP/1.1 200 OK\r\n\r\nabc"),
    ];
    let mut rng = Rng::new(4);
    let limits =
        Http1Limits { head_bytes: 200, outstanding: 2, held_bytes: 20, ..Http1Limits::default() };
    for round in 0..6000 {
        let (client, server) = seeds[round % seeds.len()];
        let mut steps = Vec::new();
        let mut halves = [client.as_bytes().to_vec(), server.as_bytes().to_vec()];
        halves.iter_mut().for_each(|half| rng.mutate(half));
        while halves.iter().any(|half| !half.is_empty()) {
            let side = rng.below(2);
            let len = rng.below(halves[side].len() + 1);
            let data: Vec<u8> = halves[side].drain(..len).collect();
            let lost = rng.below(30) as u64;
            steps.push(match (side, rng.below(12)) {
                (0, 0) => Step::GapC(lost),
                (_, 0) => Step::GapS(lost),
                (0, _) => Step::C(data),
                _ => Step::S(data),
            });
            if rng.below(60) == 0 {
                steps.push(if side == 0 { Step::EndC } else { Step::EndS });
            }
        }
        let whole = run_with(&steps, Cut::Whole, limits, false);
        for cut in [Cut::Bytes, Cut::Random(round as u64)] {
            let other = run_with(&steps, cut, limits, false);
            assert_eq!(other.log, whole.log, "{steps:?}");
            assert_eq!(other.counters, whole.counters, "{steps:?}");
        }
    }
}
