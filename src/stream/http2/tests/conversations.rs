//! Connections of which all was captured.

use super::support::*;
use crate::stream::http2::hpack::testing;
use crate::stream::http2::*;
use crate::stream::testing::{Cut, Rng};

#[test]
fn usual_conversations() {
    check(&[
        (
            "a request and its response",
            after_start(&[
                c(&[headers(1, 0, &post("/mcp")), data(1, 0, "{"), data(1, END_STREAM, "}")]),
                s(&[frame(4, 1, 0, b""), headers(1, 0, &status("200")), data(1, 0, "null")]),
                s(&[window_update(1), ping(), data(1, END_STREAM, "")]),
            ]),
            &[
                ">1 POST /mcp http//h",
                ">1 body {}",
                ">1 end",
                "<1 200",
                "<1 body null",
                "<1 end",
                ".1",
            ],
        ),
        (
            "no bodies",
            after_start(&[
                c(&[headers(1, END_STREAM, &post("/a"))]),
                s(&[headers(1, END_STREAM, &status("204"))]),
            ]),
            &[">1 POST /a http//h", ">1 end", "<1 204", "<1 end", ".1"],
        ),
        (
            "streams interleaved",
            after_start(&[
                c(&[headers(1, 0, &post("/a")), headers(3, 0, &post("/b"))]),
                c(&[data(3, 0, "b"), data(1, END_STREAM, "a"), data(3, END_STREAM, "B")]),
                s(&[headers(3, 0, &status("200")), headers(1, 0, &status("404"))]),
                s(&[data(1, END_STREAM, "x"), data(3, END_STREAM, "y")]),
            ]),
            &[
                ">1 POST /a http//h",
                ">3 POST /b http//h",
                ">3 body b",
                ">1 body a",
                ">1 end",
                ">3 body B",
                ">3 end",
                "<3 200",
                "<1 404",
                "<1 body x",
                "<1 end",
                ".1",
                "<3 body y",
                "<3 end",
                ".3",
            ],
        ),
        (
            "trailers and interim responses",
            after_start(&[
                c(&[headers(1, 0, &post("/")), data(1, 0, "q")]),
                s(&[headers(1, 0, &status("100")), headers(1, 0, &status("103"))]),
                c(&[headers(1, END_STREAM, &block(&[("checksum", "1")]))]),
                s(&[headers(1, 0, &status("200")), data(1, 0, "r")]),
                s(&[headers(1, END_STREAM, &block(&[("grpc-status", "0")]))]),
            ]),
            &[">1 POST / http//h", ">1 body q", ">1 end", "<1 200", "<1 body r", "<1 end", ".1"],
        ),
        (
            "answered and ended before the request was",
            after_start(&[
                c(&[headers(1, 0, &post("/")), data(1, 0, "q")]),
                s(&[headers(1, END_STREAM, &status("413")), reset(1)]),
                c(&[data(1, 0, "late")]),
            ]),
            &[">1 POST / http//h", ">1 body q", "<1 413", "<1 end", ">1 cut", ".1"],
        ),
        (
            "given up by the client; the server's frames cross",
            after_start(&[
                c(&[headers(1, END_STREAM, &post("/events"))]),
                s(&[headers(1, 0, &status("200")), data(1, 0, "event")]),
                c(&[reset(1)]),
                s(&[data(1, 0, "late"), headers(1, END_STREAM, &block(&[("a", "b")]))]),
            ]),
            &[">1 POST /events http//h", ">1 end", "<1 200", "<1 body event", "<1 cut", ".1"],
        ),
        (
            "open at the end",
            after_start(&[
                c(&[headers(1, END_STREAM, &post("/events")), headers(3, 0, &post("/b"))]),
                s(&[headers(1, 0, &status("200")), data(1, 0, "event"), frame(7, 0, 0, &[0; 8])]),
                Step::EndS,
                Step::EndC,
            ]),
            &[
                ">1 POST /events http//h",
                ">1 end",
                ">3 POST /b http//h",
                "<1 200",
                "<1 body event",
                "<1 cut",
                ".1",
                ">3 cut",
                ".3",
            ],
        ),
        (
            "the client's direction comes late",
            after_start(&[
                s(&[headers(1, 0, &status("200")), data(1, END_STREAM, "r")]),
                s(&[headers(3, 0, &status("200")), data(3, 0, "s")]),
                c(&[headers(1, 0, &post("/a")), data(1, END_STREAM, "q")]),
                c(&[headers(3, END_STREAM, &post("/b"))]),
                s(&[data(3, END_STREAM, "t")]),
            ]),
            &[
                "<1 200",
                "<1 body r",
                "<1 end",
                "<3 200",
                "<3 body s",
                ">1 POST /a http//h",
                ">1 body q",
                ">1 end",
                ".1",
                ">3 POST /b http//h",
                ">3 end",
                "<3 body t",
                "<3 end",
                ".3",
            ],
        ),
        (
            "a tunnel",
            after_start(&[
                c(&[headers(1, 0, &block(&[(":method", "CONNECT"), (":authority", "h:443")]))]),
                s(&[headers(1, 0, &status("200"))]),
                c(&[data(1, 0, "hello")]),
                s(&[data(1, 0, "hi")]),
            ]),
            &[
                ">1 CONNECT h:443 h:443",
                "<1 200",
                ">1 body hello",
                "<1 body hi",
                ">1 cut",
                "<1 cut",
                ".1",
            ],
        ),
    ]);
}

#[test]
fn shapes_of_frames() {
    let request = post("/mcp");
    let (first, second) = request.split_at(16);
    let (second, third) = second.split_at(1);
    let priority = |rest: &[u8]| [&[0x80, 0, 0, 0, 15][..], rest].concat();
    let padded = |rest: &[u8]| [&[3][..], rest, &[0, 0, 0]].concat();
    let begin = |flags, payload: &[u8]| frame(1, flags, 1, payload);
    let expected = &[">1 POST /mcp http//h", ">1 end", ".1"][..];
    let all = PADDED | PRIORITY | END_HEADERS | END_STREAM;
    check(&[
        ("whole", after_start(&[c(&[begin(END_HEADERS | END_STREAM, &request)])]), expected),
        (
            "priority",
            after_start(&[c(&[begin(PRIORITY | END_HEADERS | END_STREAM, &priority(&request))])]),
            expected,
        ),
        (
            "padding",
            after_start(&[c(&[begin(PADDED | END_HEADERS | END_STREAM, &padded(&request))])]),
            expected,
        ),
        (
            "padding and priority",
            after_start(&[c(&[begin(all, &padded(&priority(&request)))])]),
            expected,
        ),
        (
            "fragments",
            after_start(&[c(&[
                begin(END_STREAM | PADDED, &padded(first)),
                frame(9, 0, 1, second),
                frame(9, 0, 1, b""),
                frame(9, END_HEADERS, 1, third),
            ])]),
            expected,
        ),
        (
            "the end in a fragment without fields",
            after_start(&[c(&[begin(END_STREAM, &request), frame(9, END_HEADERS, 1, b"")])]),
            expected,
        ),
        (
            "padded data",
            after_start(&[c(&[
                headers(1, 0, &request),
                frame(0, PADDED, 1, b"\x02ab\0\0"),
                frame(0, PADDED, 1, b"\x02\0\0"),
                frame(0, PADDED | END_STREAM, 1, b"\0cd"),
            ])]),
            &[">1 POST /mcp http//h", ">1 body abcd", ">1 end", ".1"],
        ),
        (
            "more padding than there is",
            after_start(&[c(&[
                headers(1, 0, &request),
                frame(0, PADDED, 1, b"\x09ab"),
                frame(0, PADDED, 1, b""),
                data(1, END_STREAM, "c"),
            ])]),
            &[">1 POST /mcp http//h", ">1 body c", ">1 end", ".1"],
        ),
        (
            "frames of no interest",
            after_start(&[c(&[
                frame(2, 0, 1, &[0; 5]),
                frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
                frame(0x4b, 0xff, 77, b"reserved"),
                frame(0xa, 0, 0, b"\0\0clear"),
                begin(END_HEADERS | END_STREAM, &request),
            ])]),
            expected,
        ),
        (
            "something within a header block",
            after_start(&[c(&[begin(END_STREAM, first), ping(), frame(9, END_HEADERS, 1, third)])]),
            &[">1 POST  - incomplete", ">1 end", ".1"],
        ),
    ]);
}

#[test]
fn server_push() {
    let mut promise = 2u32.to_be_bytes().to_vec();
    promise.extend(block(&[(":method", "GET"), (":path", "/style"), (":authority", "h")]));
    let padded = [&[1][..], &promise, &[0]].concat();
    let expected = &[
        ">1 POST / http//h",
        ">1 end",
        ">2 GET /style h",
        ">2 end",
        "<2 200",
        "<2 body p",
        "<2 end",
        ".2",
        "<1 200",
        "<1 end",
        ".1",
    ][..];
    let pushed = |promise: Vec<u8>| {
        after_start(&[
            c(&[headers(1, END_STREAM, &post("/"))]),
            s(&[promise, headers(2, 0, &status("200")), data(2, END_STREAM, "p")]),
            s(&[headers(1, END_STREAM, &status("200"))]),
        ])
    };
    let (first, second) = promise.split_at(20);
    let fragments = [frame(5, 0, 1, first), frame(9, END_HEADERS, 1, second)].concat();
    check(&[
        ("whole", pushed(frame(5, END_HEADERS, 1, &promise)), expected),
        ("padded", pushed(frame(5, END_HEADERS | PADDED, 1, &padded)), expected),
        ("fragments", pushed(fragments), expected),
    ]);
}

#[test]
fn websockets() {
    let connect = block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/ws"),
        (":authority", "h"),
    ]);
    check(&[
        (
            "agreed",
            after_start(&[
                c(&[headers(1, 0, &connect)]),
                s(&[headers(1, 0, &status("200"))]),
                c(&[data(1, 0, "frame")]),
                s(&[data(1, END_STREAM, "frame")]),
            ]),
            &[
                ">1 CONNECT /ws https//h",
                "<1 200",
                "=1 websocket",
                ">1 body frame",
                "<1 body frame",
                "<1 end",
                ">1 cut",
                ".1",
            ],
        ),
        (
            "refused",
            after_start(&[
                c(&[headers(1, 0, &connect)]),
                s(&[headers(1, END_STREAM, &status("403"))]),
                c(&[data(1, END_STREAM, "")]),
            ]),
            &[">1 CONNECT /ws https//h", "<1 403", "<1 end", ">1 end", ".1"],
        ),
        (
            "the server's direction comes late",
            after_start(&[
                c(&[headers(1, 0, &connect), data(1, 0, "a")]),
                s(&[headers(1, 0, &status("200")), data(1, 0, "b")]),
            ]),
            &[
                ">1 CONNECT /ws https//h",
                "=1 websocket",
                ">1 body a",
                "<1 200",
                "<1 body b",
                ">1 cut",
                "<1 cut",
                ".1",
            ],
        ),
    ]);
}

#[test]
fn upgraded_from_http1() {
    let steps = after_start(&[
        s(&[headers(1, 0, &status("200")), data(1, END_STREAM, "r")]),
        c(&[headers(3, END_STREAM, &post("/b"))]),
        s(&[headers(3, END_STREAM, &status("202"))]),
    ]);
    for (exchange, stream_1, stream_3) in [(0, 0, 3), (1, 1, 4), (3, 3, 6)] {
        for cut in Cut::all() {
            let mut http = Http2::upgraded(Http2Limits::default(), ExchangeId(exchange));
            let outcome = drive(&mut http, &steps, cut, &mut Recorder::default());
            let expected = [
                format!("<{stream_1} 200"),
                format!("<{stream_1} body r"),
                format!("<{stream_1} end"),
                format!(">{stream_3} POST /b http//h"),
                format!(">{stream_3} end"),
                format!("<{stream_3} 202"),
                format!("<{stream_3} end"),
                format!(".{stream_3}"),
            ];
            assert_eq!(outcome.log, expected);
            assert_eq!(outcome.counters.unpaired_responses, 0);
        }
    }
}

#[test]
fn unwanted_bodies_are_not_touched() {
    let steps = after_start(&[
        c(&[headers(1, 0, &post("/")), data(1, 0, "abc"), data(1, END_STREAM, "def")]),
        s(&[headers(1, 0, &status("200")), data(1, 0, "abc"), data(1, END_STREAM, "def")]),
    ]);
    let mut sink = Recorder { skip: true, ..Recorder::default() };
    let mut http = Http2::new(Http2Limits::default());
    let outcome = drive(&mut http, &steps, Cut::Whole, &mut sink);
    assert_eq!(outcome.touched, 0);
    assert_eq!(outcome.log, [">1 POST / http//h", ">1 end", "<1 200", "<1 end", ".1"]);
}

#[test]
fn fields_are_handed_on() {
    let steps = after_start(&[c(&[
        headers(
            1,
            END_STREAM,
            &[post("/"), added(&[("cookie", "a=1"), ("cookie", "b=2")])].concat(),
        ),
        headers(3, END_STREAM, &[post("/"), dynamic(&[0, 1])].concat()),
        headers(5, END_STREAM, &[post("/"), block(&[("transfer-encoding", "chunked")])].concat()),
    ])]);
    for cut in Cut::all() {
        let mut sink = Recorder { with_fields: true, ..Recorder::default() };
        let mut http = Http2::new(Http2Limits::default());
        let outcome = drive(&mut http, &steps, cut, &mut sink);
        assert_eq!(
            outcome.log,
            [
                ">1 POST / http//h",
                "cookie: a=1",
                "cookie: b=2",
                ">1 end",
                ">3 POST / http//h",
                "cookie: b=2",
                "cookie: a=1",
                ">3 end",
                ">5 POST / http//h ambiguous",
                "transfer-encoding: chunked",
                ">5 end",
                ".1",
                ".3",
                ".5",
            ]
        );
        assert_eq!((outcome.counters.ambiguous_framing, outcome.counters.irregular_heads), (1, 1));
    }
}

#[test]
fn not_http2() {
    let steps = [Step::C(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3000))];
    assert_eq!(run(&steps, Cut::Whole).log, ["not http"]);
    let steps = after_start(&[s(&[]), Step::S(b"HTTP/1.1 400 x\r\n\r\n".repeat(9000))]);
    assert_eq!(run(&steps, Cut::Whole).log, [""; 0], "the client speaks it");
}

/// What one side of a stream sends.
struct Sender {
    stream: u32,
    body: Vec<u8>,
    sent: usize,
}

/// Interleaves messages of 20 streams at random: heads with a real encoder,
/// cut into fragments, and bodies.
pub(super) fn interleaved(rng: &mut Rng, response: bool) -> (Vec<u8>, Vec<(u32, String)>) {
    let mut encoder = loona_hpack::Encoder::new();
    let mut senders = Vec::new();
    let mut bytes = Vec::new();
    let mut bodies = Vec::new();
    let mut next = 1;
    while next <= 39 || !senders.is_empty() {
        if next <= 39 && (senders.is_empty() || rng.below(3) == 0) {
            let id = next.to_string();
            let first: [(&[u8], &[u8]); 2] = if response {
                [(b":status", b"200"), (b"content-type", b"text/event-stream")]
            } else {
                [(b":method", b"POST"), (b":path", id.as_bytes())]
            };
            let agent: &[u8] = if rng.below(2) == 0 { b"client/1.0" } else { b"client/2.0" };
            let fields = first.into_iter().chain([(&b"x-agent"[..], agent)]);
            let block = encoder.encode(fields);
            let cut = rng.below(block.len() + 1);
            bytes.extend(frame(1, 0, next, &block[..cut]));
            bytes.extend(frame(9, END_HEADERS, next, &block[cut..]));
            let body: String =
                (0..rng.below(300)).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
            senders.push(Sender { stream: next, body: body.clone().into_bytes(), sent: 0 });
            bodies.push((next, body));
            next += 2;
            continue;
        }
        let at = rng.below(senders.len());
        let sender = &mut senders[at];
        let rest = &sender.body[sender.sent..];
        let piece = &rest[..rng.below(rest.len() + 1)];
        sender.sent += piece.len();
        let last = sender.sent == sender.body.len();
        let flags = if last { END_STREAM } else { 0 };
        if rng.below(3) == 0 {
            let padding = rng.below(20);
            let payload = [&[padding as u8], piece, &vec![0; padding]].concat();
            bytes.extend(frame(0, flags | PADDED, sender.stream, &payload));
        } else {
            bytes.extend(frame(0, flags, sender.stream, piece));
        }
        if last {
            senders.remove(at);
        }
        if rng.below(5) == 0 {
            bytes.extend([ping(), window_update(0), frame(0x3c, 0, 0, b"x")][rng.below(3)].clone());
        }
    }
    (bytes, bodies)
}

#[test]
fn twenty_streams_at_once() {
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let (requests, request_bodies) = interleaved(&mut rng, false);
        let (responses, response_bodies) = interleaved(&mut rng, true);
        let steps = after_start(&[Step::C(requests), Step::S(responses)]);
        let outcome = run_all("20 streams", &steps, Http2Limits::default());
        for (sign, bodies) in [('>', request_bodies), ('<', response_bodies)] {
            for (stream, body) in bodies {
                let prefix = format!("{sign}{stream} body ");
                let pieces = outcome.log.iter().filter_map(|line| line.strip_prefix(&prefix));
                assert_eq!(pieces.collect::<String>(), body);
                assert!(outcome.log.contains(&format!("{sign}{stream} end")));
            }
        }
        let counters = outcome.counters;
        assert_eq!((counters.requests, counters.responses), (20, 20));
        let bad = [
            counters.bad_frames,
            counters.late_frames,
            counters.incomplete_heads,
            counters.hpack_unknown,
            counters.hpack_invalid,
            counters.hpack_broken,
            counters.skipped_bytes,
        ];
        assert_eq!(bad, [0; 7]);
        assert_eq!(outcome.log.iter().filter(|line| line.starts_with('.')).count(), 20);
        let paths = outcome.log.iter().filter(|line| line.contains(" POST ")).count();
        assert_eq!(paths, 20);
    }
}

#[test]
fn huge_field_is_given_up_alone() {
    let mut large = post("/a");
    testing::literal(&mut large, false, 0, b"x", &vec![b'y'; 70_000], false);
    let mut frames = vec![frame(1, END_STREAM, 1, &large[..16_000])];
    let mut rest = large[16_000..].chunks(16_000).peekable();
    while let Some(piece) = rest.next() {
        let flags = if rest.peek().is_none() { END_HEADERS } else { 0 };
        frames.push(frame(9, flags, 1, piece));
    }
    frames.push(headers(3, END_STREAM, &post("/b")));
    let outcome = run_all("huge field", &after_start(&[c(&frames)]), Http2Limits::default());
    assert_eq!(
        outcome.log,
        [">1 POST /a http//h incomplete", ">1 end", ">3 POST /b http//h", ">3 end", ".1", ".3"]
    );
    assert_eq!(outcome.counters.hpack_broken, 1);
}
