//! Exchanges from STREAM frames.

use super::*;
use crate::stream::http2::hpack::testing::{integer, string};
use crate::stream::quic::push_varint;
use crate::stream::testing::Rng;
use crate::stream::{HeadFlags, Interest, RequestHead, ResponseHead};
use Direction::{ToClient, ToServer};

/// Writes down what it is told; joins bodies.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    skips_bodies: bool,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Log {
    fn interest(&self) -> Interest {
        if self.skips_bodies { Interest::Skip } else { Interest::Wanted }
    }

    fn flags(flags: HeadFlags) -> &'static str {
        match (flags.incomplete, flags.ambiguous_framing) {
            (false, false) => "",
            (true, false) => " incomplete",
            (false, true) => " ambiguous",
            (true, true) => " incomplete ambiguous",
        }
    }
}

impl ExchangeSink for Log {
    fn request(&mut self, id: ExchangeId, head: &RequestHead<'_>) -> Interest {
        let headers: String = head
            .headers
            .iter()
            .map(|field| format!(" {}={}", text(field.name), text(field.value)))
            .collect();
        self.lines.push(format!(
            "{}> {}{}://{}{}{headers}{}",
            id.0,
            match text(head.method) {
                method if method.is_empty() => method,
                method => method + " ",
            },
            text(head.scheme.unwrap_or_default()),
            text(head.authority.unwrap_or_default()),
            text(head.target),
            Self::flags(head.flags),
        ));
        self.interest()
    }

    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest {
        let flags = Self::flags(head.flags);
        self.lines.push(format!("{}< {} {}{flags}", id.0, head.status, head.headers.len()));
        self.interest()
    }

    fn body(&mut self, id: ExchangeId, direction: Direction, data: &[u8]) -> Interest {
        let prefix = format!("{} {} ", id.0, direction.as_str());
        match self.lines.last_mut().filter(|line| line.starts_with(&prefix)) {
            Some(line) if !line.contains(" gap") => line.push_str(&text(data)),
            _ => self.lines.push(prefix + &text(data)),
        }
        self.interest()
    }

    fn body_gap(&mut self, id: ExchangeId, direction: Direction, len: u64) {
        self.lines.push(format!("{} {} gap {len}", id.0, direction.as_str()));
    }

    fn body_end(&mut self, id: ExchangeId, direction: Direction, complete: bool) {
        let complete = if complete { "" } else { " incomplete" };
        self.lines.push(format!("{} {} end{complete}", id.0, direction.as_str()));
    }

    fn exchange_end(&mut self, id: ExchangeId) {
        self.lines.push(format!("{} over", id.0));
    }
}

struct Pair {
    http3: Http3,
    log: Log,
}

impl Pair {
    fn new() -> Self {
        Self::limited(Http3Limits::default())
    }

    fn limited(limits: Http3Limits) -> Self {
        Self { http3: Http3::new(0, limits), log: Log::default() }
    }

    /// All of a stream's direction.
    fn whole(&mut self, direction: Direction, id: u64, data: &[u8]) -> &mut Self {
        self.part(direction, id, 0, data, true)
    }

    fn part(
        &mut self,
        direction: Direction,
        id: u64,
        offset: usize,
        data: &[u8],
        fin: bool,
    ) -> &mut Self {
        self.http3.stream(direction, id, offset as u64, data, fin, &mut self.log);
        self
    }

    fn close(&mut self) -> &mut Self {
        self.http3.close(&mut self.log);
        assert_eq!(self.http3.held(), 0);
        self
    }

    fn counters(&self) -> &Http3Counters {
        self.http3.counters()
    }

    /// The client's settings, control stream and encoder stream.
    fn settings(&mut self, direction: Direction, capacity: u64) -> &mut Self {
        let mut settings = vec![0x06];
        push_varint(&mut settings, 100);
        settings.push(0x01);
        push_varint(&mut settings, capacity);
        let mut control = vec![0x00, 0x04];
        push_varint(&mut control, settings.len() as u64);
        control.extend(settings);
        let id = if direction == ToServer { 2 } else { 3 };
        self.part(direction, id, 0, &control, false)
    }
}

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_varint(&mut frame, kind);
    push_varint(&mut frame, payload.len() as u64);
    frame.extend(payload);
    frame
}

/// A field section of literals.
fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        integer(&mut section, 0x20, 3, name.len() as u32);
        section.extend(name.as_bytes());
        string(&mut section, value.as_bytes(), false);
    }
    section
}

const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "https"), (":authority", "h.test"), (":path", "/mcp")];

fn get() -> Vec<u8> {
    frame(1, &section(GET))
}

fn ok() -> Vec<u8> {
    frame(1, &section(&[(":status", "200"), ("content-type", "text/event-stream")]))
}

fn data(body: &str) -> Vec<u8> {
    frame(0, body.as_bytes())
}

#[test]
fn an_exchange_with_all_that_may_stand_between() {
    let request = [
        frame(0x21, b"grease"),
        get(),
        frame(0x1f * 7 + 0x21, b""),
        data("ques"),
        data(""),
        data("tion"),
        frame(1, &section(&[("trailer", "x")])),
    ]
    .concat();
    let response =
        [frame(1, &section(&[(":status", "103")])), frame(5, &[0, 1, 2, 3]), ok(), data("answer")]
            .concat();
    let mut pair = Pair::new();
    pair.whole(ToServer, 4, &request).whole(ToClient, 4, &response);
    assert_eq!(
        pair.log.lines,
        [
            "4> GET https://h.test/mcp",
            "4 to_server question",
            "4 to_server end",
            "4< 200 1",
            "4 to_client answer",
            "4 to_client end",
            "4 over",
        ]
    );
    let counters = pair.counters();
    assert_eq!((counters.requests, counters.responses, counters.interim_responses), (1, 1, 1));
    assert_eq!((counters.trailers, counters.push_promises, counters.unknown_frames), (1, 1, 2));
    // What comes again is late, and no new exchange.
    pair.whole(ToServer, 4, &request);
    assert_eq!((pair.log.lines.len(), pair.counters().late_frames), (7, 1));
}

#[test]
fn how_streams_are_cut_and_shuffled_does_not_matter() {
    let request = [get(), data("question "), data(&"q".repeat(300))].concat();
    let response = [ok(), data(&"a".repeat(500)), data("z")].concat();
    let expected = {
        let mut pair = Pair::new();
        pair.whole(ToServer, 0, &request).whole(ToClient, 0, &response);
        pair.log.lines
    };
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::new();
        for (direction, stream) in [(ToServer, &request), (ToClient, &response)] {
            let mut parts = Vec::new();
            let mut at = 0;
            while at < stream.len() {
                let len = (1 + rng.below(if seed == 0 { 1 } else { 90 })).min(stream.len() - at);
                let from = at.saturating_sub(rng.below(10));
                parts.push((from, at + len));
                at += len;
            }
            if seed > 1 {
                for index in (1..parts.len()).rev() {
                    parts.swap(index, rng.below(index + 1));
                }
            }
            for (from, to) in parts {
                pair.part(direction, 0, from, &stream[from..to], to == stream.len());
            }
        }
        assert_eq!(pair.log.lines, expected, "{seed}");
        assert_eq!(pair.http3.held(), 0);
    }
}

/// An encoder stream that sets the capacity and inserts `n{number}=v`.
fn encoder(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let mut stream = vec![0x02];
    integer(&mut stream, 0x20, 5, 4096);
    for number in numbers {
        let name = format!("n{number}");
        integer(&mut stream, 0x40, 5, name.len() as u32);
        stream.extend(name.as_bytes());
        string(&mut stream, b"v", false);
    }
    stream
}

/// A request with the newest of `required` dynamic entries.
fn dynamic_request(required: u8) -> Vec<u8> {
    let mut section = section(GET);
    section[0] = required + 1;
    section.push(0x80);
    frame(1, &section)
}

#[test]
fn heads_wait_for_the_dynamic_table() {
    for late in [false, true] {
        let mut pair = Pair::new();
        pair.settings(ToClient, 4096);
        let table = encoder(0..3);
        if !late {
            pair.part(ToServer, 10, 0, &table, false);
        }
        let request = [dynamic_request(3), data("body")].concat();
        let (first, second) = request.split_at(request.len() - 2);
        pair.part(ToServer, 0, 0, first, false);
        pair.part(ToServer, 0, first.len(), second, true);
        if late {
            assert_eq!(pair.log.lines, [""; 0]);
            assert!(pair.http3.held() > 0);
            let (first, second) = table.split_at(9);
            pair.part(ToServer, 10, 0, first, false);
            assert_eq!(pair.log.lines, [""; 0]);
            pair.part(ToServer, 10, 9, second, false);
        }
        assert_eq!(
            pair.log.lines,
            ["0> GET https://h.test/mcp n2=v", "0 to_server body", "0 to_server end"]
        );
        assert_eq!(pair.http3.held(), 0);
        assert_eq!(pair.counters().blocked_sections, u64::from(late));
        assert_eq!(pair.counters().settings, 2);
    }
}

#[test]
fn a_head_does_not_miss_entries_that_go_again() {
    for piece in [1, 7, 1000] {
        let mut pair = Pair::new();
        pair.settings(ToClient, 4096);
        pair.whole(ToServer, 0, &dynamic_request(2));
        pair.whole(ToServer, 4, &dynamic_request(1));
        // The capacity of 0 evicts both; then the stream breaks off.
        let table = [&encoder(0..2)[..], &[0x20, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]].concat();
        for (number, part) in table.chunks(piece).enumerate() {
            pair.part(ToServer, 10, number * piece, part, false);
        }
        assert_eq!(
            pair.log.lines,
            [
                "4> GET https://h.test/mcp n0=v",
                "4 to_server end",
                "0> GET https://h.test/mcp n1=v",
                "0 to_server end",
            ],
            "{piece}"
        );
        assert_eq!(pair.counters().lost_encoders, 1);
    }
}

#[test]
fn heads_do_not_wait_forever() {
    let mut pair = Pair::new();
    pair.settings(ToClient, 4096);
    for id in 0..200 {
        pair.whole(ToServer, id * 4, &dynamic_request(1));
    }
    // More than may wait are decoded at once.
    assert_eq!(pair.log.lines.len(), 2 * (200 - 128));
    assert_eq!(pair.log.lines[0], "512> GET https://h.test/mcp incomplete");
    pair.close();
    assert_eq!(pair.counters().incomplete_heads, 200);
    assert_eq!(pair.counters().forced_sections, 200);
}

#[test]
fn a_lost_encoder_stream_costs_only_its_entries() {
    let mut pair = Pair::limited(Http3Limits { stream_bytes: 1000, ..Http3Limits::default() });
    pair.settings(ToClient, 4096);
    pair.whole(ToServer, 0, &dynamic_request(1));
    // The encoder stream's second half is more than is kept.
    let table = encoder(0..2);
    pair.part(ToServer, 10, 0, &table[..5], false);
    pair.part(ToServer, 10, 900, &[0; 2000], false);
    pair.whole(ToServer, 4, &get());
    assert_eq!(
        pair.log.lines,
        [
            "0> GET https://h.test/mcp incomplete",
            "0 to_server end",
            "4> GET https://h.test/mcp",
            "4 to_server end"
        ]
    );
    assert_eq!(pair.counters().lost_encoders, 1);
}

#[test]
fn gaps_cost_what_was_in_them() {
    let response = [ok(), data("0123456789"), data("end")].concat();
    let at = ok().len() + 2;
    // Within a DATA frame.
    let mut pair = Pair::new();
    pair.part(ToClient, 0, 0, &response[..at + 2], false);
    pair.part(ToClient, 0, at + 5, &response[at + 5..], true).close();
    assert_eq!(
        pair.log.lines,
        [
            "0< 200 1",
            "0 to_client 01",
            "0 to_client gap 3",
            "0 to_client 56789end",
            "0 to_client end",
            "0 over"
        ]
    );
    // Over the border of one: the next is found again.
    let mut pair = Pair::new();
    let response = [response, data("more")].concat();
    pair.part(ToClient, 0, 0, &response[..at + 2], false);
    pair.part(ToClient, 0, at + 13, &response[at + 13..], true).close();
    assert_eq!(
        pair.log.lines[1..],
        [
            "0 to_client 01",
            "0 to_client gap 8",
            "0 to_client gap 0",
            "0 to_client more",
            "0 to_client end incomplete",
            "0 over"
        ]
    );
    assert_eq!((pair.counters().framing_losses, pair.counters().resyncs), (1, 1));
    // In a field section: what is whole of it is read.
    let request = [get(), data("body")].concat();
    let mut pair = Pair::new();
    pair.part(ToServer, 0, 0, &request[..17], false);
    pair.part(ToServer, 0, 20, &request[20..], true).close();
    assert_eq!(
        pair.log.lines,
        ["0> GET :// incomplete", "0 to_server body", "0 to_server end", "0 over"]
    );
}

#[test]
fn bodies_without_head_have_an_empty_one() {
    let mut pair = Pair::new();
    let request = [get(), data("question")].concat();
    let response = [ok(), data("one"), data("two")].concat();
    pair.part(ToServer, 0, get().len(), &request[get().len()..], true);
    pair.part(ToClient, 0, ok().len() + 1, &response[ok().len() + 1..], true).close();
    assert_eq!(
        pair.log.lines,
        [
            "0> :// incomplete",
            "0 to_server gap 0",
            "0 to_server question",
            "0 to_server end incomplete",
            "0< 0 0 incomplete",
            "0 to_client gap 0",
            "0 to_client two",
            "0 to_client end incomplete",
            "0 over"
        ]
    );
    assert_eq!(pair.counters().headless_bodies, 2);
}

#[test]
fn holes_are_given_up_when_too_much_waits() {
    let limits = Http3Limits { stream_bytes: 4000, ..Http3Limits::default() };
    let mut pair = Pair::limited(limits);
    let response = [ok(), frame(0, &vec![b'x'; 100_000])].concat();
    let at = ok().len() + 5;
    pair.part(ToClient, 0, 0, &response[..at], false);
    for start in (at + 100..response.len()).step_by(1000) {
        let end = (start + 1000).min(response.len());
        pair.part(ToClient, 0, start, &response[start..end], end == response.len());
        assert!(pair.http3.held() <= 4000);
    }
    assert_eq!(pair.log.lines.len(), 4);
    assert_eq!(pair.log.lines[1], "0 to_client gap 100");
    assert_eq!(pair.log.lines[3], "0 to_client end");
    assert_eq!((pair.counters().overflows, pair.counters().lost_bytes), (1, 100));
}

#[test]
fn unwanted_bodies_are_skipped() {
    let mut pair = Pair::new();
    pair.log.skips_bodies = true;
    pair.whole(ToServer, 0, &[get(), data("question")].concat());
    pair.part(ToClient, 0, 0, &[ok(), data("first"), data("second")].concat(), true);
    assert_eq!(
        pair.log.lines,
        ["0> GET https://h.test/mcp", "0 to_server end", "0< 200 1", "0 to_client end", "0 over"]
    );
}

#[test]
fn resets_and_early_ends() {
    let mut pair = Pair::new();
    pair.part(ToServer, 0, 0, &[get(), data("q")].concat(), false);
    pair.http3.reset(ToServer, 0, &mut pair.log);
    pair.http3.reset(ToClient, 0, &mut pair.log);
    assert_eq!(
        pair.log.lines,
        ["0> GET https://h.test/mcp", "0 to_server q", "0 to_server end incomplete", "0 over"]
    );
    // A stream that ends in a frame; one that ends in a head; an empty one.
    let mut pair = Pair::new();
    let request = [get(), data("question")].concat();
    pair.whole(ToServer, 0, &request[..request.len() - 3]);
    pair.whole(ToServer, 4, &request[..20]);
    pair.whole(ToServer, 8, &[]).whole(ToClient, 8, &[]);
    assert_eq!(
        pair.log.lines,
        [
            "0> GET https://h.test/mcp",
            "0 to_server quest",
            "0 to_server end incomplete",
            "4> GET :// incomplete",
            "4 to_server end incomplete",
        ]
    );
    pair.close();
    assert_eq!(pair.log.lines[5..], ["0 over", "4 over"]);
}

#[test]
fn odd_heads() {
    let request = |fields: &[(&str, &str)]| {
        let mut pair = Pair::new();
        pair.whole(ToServer, 0, &frame(1, &section(fields)));
        pair.log.lines.swap_remove(0)
    };
    let with = |more: &[(&'static str, &'static str)]| [GET, more].concat();
    for (fields, expected) in [
        (with(&[("host", "other")]), "0> GET https://h.test/mcp host=other"),
        (vec![(":method", "GET"), ("host", "h")], "0> GET ://h host=h"),
        (vec![(":method", "CONNECT"), (":authority", "h:443")], "0> CONNECT ://h:443h:443"),
        (
            with(&[("content-length", "1"), ("content-length", "2")]),
            "0> GET https://h.test/mcp content-length=1 content-length=2 ambiguous",
        ),
        (
            with(&[("content-length", "1"), ("content-length", "1")]),
            "0> GET https://h.test/mcp content-length=1 content-length=1",
        ),
        (
            with(&[("transfer-encoding", "chunked")]),
            "0> GET https://h.test/mcp transfer-encoding=chunked ambiguous",
        ),
    ] {
        assert_eq!(request(&fields), expected);
    }
    for (status, expected) in [
        ("200", "0< 200 0"),
        ("999", "0< 999 0"),
        ("099", "0< 0 0"),
        ("20", "0< 0 0"),
        ("+20", "0< 0 0"),
    ] {
        let mut pair = Pair::new();
        pair.whole(ToClient, 0, &frame(1, &section(&[(":status", status)])));
        assert_eq!(pair.log.lines[0], expected);
    }
}

#[test]
fn large_heads_are_cut() {
    let limits = Http3Limits { section_bytes: 500, ..Http3Limits::default() };
    let large = "x".repeat(300);
    let mut fields = GET.to_vec();
    fields.extend([("a", large.as_str()), ("b", &large), ("c", &large)]);
    let request = [frame(1, &section(&fields)), data("body")].concat();
    for step in [1, 7, 10_000] {
        let mut pair = Pair::limited(limits);
        for (index, part) in request.chunks(step).enumerate() {
            let at = index * step;
            pair.part(ToServer, 0, at, part, at + part.len() == request.len());
            assert!(pair.http3.held() <= 500);
        }
        assert!(pair.log.lines[0].starts_with("0> GET https://h.test/mcp"), "{step}");
        assert!(pair.log.lines[0].ends_with(" incomplete"));
        assert_eq!(pair.log.lines[1..], ["0 to_server body", "0 to_server end"]);
    }
}

#[test]
fn streams_of_no_interest() {
    let mut pair = Pair::new();
    pair.whole(ToClient, 7, &[0x01, 0, 1, 2, 3]);
    pair.whole(ToServer, 6, &[0x03, 0x80, 0x81]);
    pair.whole(ToServer, 14, &[0x40, 0x54, 1, 2]);
    pair.whole(ToClient, 1, &[1, 2, 3]);
    pair.whole(ToClient, 2, &[0, 4, 0]);
    pair.whole(ToServer, 1 << 50, &get());
    assert_eq!(pair.log.lines, [""; 0]);
    assert!(pair.http3.streams.is_empty());
    let counters = pair.counters();
    assert_eq!((counters.push_streams, counters.unknown_streams), (1, 1));
    assert_eq!(counters.unexpected_streams, 3);
}

#[test]
fn streams_are_bounded() {
    let mut pair = Pair::limited(Http3Limits { streams: 10, ..Http3Limits::default() });
    pair.settings(ToClient, 4096);
    for number in 0..1000 {
        pair.part(ToServer, number * 4, 0, &get(), number % 2 == 0);
        assert!(pair.http3.streams.len() <= 10);
    }
    assert_eq!(pair.counters().evicted_streams, 991);
    assert_eq!(pair.log.lines.iter().filter(|line| line.ends_with("over")).count(), 991);
    assert!(pair.http3.streams.contains_key(&3), "the control stream stays");
}

#[test]
fn exchange_ids_have_the_number_of_their_connection() {
    let mut http3 = Http3::new(3, Http3Limits::default());
    let mut log = Log::default();
    http3.stream(ToServer, 8, 0, &get(), true, &mut log);
    assert!(log.lines[0].starts_with(&format!("{}>", (3u64 << 48) + 8)));
}

#[test]
fn any_frames_are_taken() {
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let limits =
            Http3Limits { stream_bytes: 2000, connection_bytes: 3000, ..Http3Limits::default() };
        let mut pair = Pair::limited(limits);
        for _ in 0..rng.below(40) {
            let mut bytes = match rng.below(6) {
                0 => [get(), data("body")].concat(),
                1 => [ok(), data("body")].concat(),
                2 => encoder(0..3),
                3 => dynamic_request(rng.below(5) as u8),
                4 => vec![0, 4, 2, 1, 60],
                _ => (0..rng.below(50)).map(|_| rng.next() as u8).collect(),
            };
            rng.mutate(&mut bytes);
            let direction = if rng.below(2) == 0 { ToServer } else { ToClient };
            let id = rng.below(12) as u64;
            if rng.below(20) == 0 {
                pair.http3.reset(direction, id, &mut pair.log);
            }
            let offset = if rng.below(3) == 0 { rng.below(100) } else { 0 };
            pair.part(direction, id, offset, &bytes, rng.below(5) == 0);
            assert!(pair.http3.held() <= 3000 + limits.section_bytes);
        }
        pair.close();
        check_order(&pair.log.lines);
    }
}

/// No exchange says anything after it is over, nor ends a body twice.
fn check_order(lines: &[String]) {
    let mut over = std::collections::BTreeSet::new();
    let mut ended = std::collections::BTreeSet::new();
    for line in lines {
        let id = line.split(['>', '<', ' ']).next().unwrap();
        assert!(!over.contains(id), "{lines:?}");
        if line.ends_with(" over") {
            over.insert(id);
        }
        if line.contains(" end") && line.starts_with(&format!("{id} to_")) {
            let words: Vec<_> = line.split(' ').take(3).collect();
            if words[2] == "end" {
                assert!(ended.insert(words.join(" ")), "{lines:?}");
            }
        }
    }
    let heads = lines.iter().filter(|line| line.contains(['>', '<']));
    for head in heads {
        let id = head.split(['>', '<']).next().unwrap();
        if id.parse::<u64>().is_ok() {
            assert!(over.contains(id), "{lines:?}");
        }
    }
}
