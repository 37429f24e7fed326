//! Gaps, and connections that were joined late.

use super::conversations::interleaved;
use super::support::*;
use crate::stream::http2::hpack::testing;
use crate::stream::http2::*;
use crate::stream::testing::Rng;

const FIELDS: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/mcp")];

fn cut_at(frames: &[Vec<u8>], from: usize, len: usize) -> [Vec<u8>; 2] {
    let bytes = frames.concat();
    [bytes[..from].to_vec(), bytes[from + len..].to_vec()]
}

#[test]
fn gaps_within_a_frame() {
    let request = headers(1, 0, &added(&FIELDS));
    let head = request.len();
    let next = headers(3, END_STREAM, &dynamic(&[3, 2, 1, 0]));
    let row = |frames: &[Vec<u8>], from: usize, len: usize| {
        let [before, after] =
            cut_at(&[std::slice::from_ref(&request), frames].concat(), head + from, len);
        after_start(&[Step::C(before), Step::GapC(len as u64), Step::C(after)])
    };
    let hello = data(1, END_STREAM, "hello");
    let known = [">3 POST /mcp http//h", ">3 end", ".1", ".3"];
    for (name, steps, expected) in [
        (
            "in data",
            row(&[hello.clone(), next.clone()], 10, 2),
            &[">1 body h", ">1 gap 2", ">1 body lo", ">1 end"][..],
        ),
        (
            "to the end of data",
            row(&[hello.clone(), next.clone()], 10, 4),
            &[">1 body h", ">1 gap 4", ">1 end"],
        ),
        ("all data", row(&[hello.clone(), next.clone()], 9, 5), &[">1 gap 5", ">1 end"]),
        (
            "data and padding",
            row(&[frame(0, PADDED, 1, b"\x04hi\0\0\0\0"), hello.clone(), next.clone()], 11, 4),
            &[">1 body h", ">1 gap 1", ">1 body hello", ">1 end"],
        ),
        (
            "only padding",
            row(&[frame(0, PADDED, 1, b"\x04hi\0\0\0\0"), hello.clone(), next.clone()], 12, 4),
            &[">1 body hihello", ">1 end"],
        ),
        (
            "in a frame of no interest",
            row(&[ping(), hello.clone(), next.clone()], 10, 5),
            &[">1 body hello", ">1 end"],
        ),
    ] {
        let outcome = run_all(name, &steps, Http2Limits::default());
        let expected = [&[">1 POST /mcp http//h"], expected, &known].concat();
        assert_eq!(outcome.log, expected, "{name}");
        assert_eq!(outcome.counters.gaps, 1);
        assert_eq!(outcome.counters.framing_losses, 0, "{name}");
        assert_eq!(outcome.counters.hpack_unknown, 0, "{name}");
    }
}

#[test]
fn gaps_over_frames() {
    let request = headers(1, 0, &added(&FIELDS));
    let hello = data(1, END_STREAM, "hello");
    let open = headers(3, 0, &dynamic(&[3, 2, 1, 0]));
    let again = headers(5, 0, &[added(&[(":path", "/new")]), dynamic(&[0, 1])].concat());
    let literal = headers(7, END_STREAM, &[post("/b"), dynamic(&[0])].concat());
    let bytes = [&request[..], &hello, &open].concat();
    let after = |len, rest: &[Vec<u8>]| {
        after_start(&[
            Step::C(bytes[..len].to_vec()),
            Step::GapC((bytes.len() - len) as u64),
            c(rest),
        ])
    };
    check(&[
        (
            "from data over other frames: what was open goes on, with a gap",
            after(
                request.len() + 11,
                &[data(1, 0, "world"), data(3, END_STREAM, "!"), literal.clone()],
            ),
            &[
                ">1 POST /mcp http//h",
                ">1 body he",
                ">1 gap 0",
                ">1 body world",
                ">3   - incomplete",
                ">3 body !",
                ">3 end",
                ">7 POST /b http//h incomplete",
                ">7 end",
                ">1 cut",
                ".1",
                ".3",
                ".7",
            ],
        ),
        (
            "what is added afterwards is known",
            after(request.len(), &[again.clone(), literal.clone()]),
            &[
                ">1 POST /mcp http//h",
                ">1 gap 0",
                ">5  /new - incomplete",
                ">7 POST /b http//h",
                ">7 end",
                ">1 cut",
                ">5 cut",
                ".1",
                ".5",
                ".7",
            ],
        ),
        (
            "in a frame's header",
            after(request.len() + 4, &[data(1, END_STREAM, "world"), ping()]),
            &[">1 POST /mcp http//h", ">1 gap 0", ">1 body world", ">1 end", ".1"],
        ),
        (
            "an unknown number of bytes",
            after_start(&[
                c(&[request.clone(), hello[..11].to_vec()]),
                Step::GapC(0),
                Step::C(b"lo, world".to_vec()),
                c(&[literal.clone(), ping()]),
            ]),
            &[
                ">1 POST /mcp http//h",
                ">1 body he",
                ">1 gap 0",
                ">7 POST /b http//h incomplete",
                ">7 end",
                ">1 cut",
                ".1",
                ".7",
            ],
        ),
        (
            "one frame before the end",
            after(request.len(), &[vec![1, 2, 3], data(1, END_STREAM, "world")]),
            &[">1 POST /mcp http//h", ">1 gap 0", ">1 body world", ">1 end", ".1"],
        ),
        (
            "one frame between two gaps",
            after_start(&[
                c(std::slice::from_ref(&request)),
                Step::GapC(100),
                c(&[data(1, 0, "hello")]),
                Step::GapC(100),
                c(&[data(1, END_STREAM, "world"), ping()]),
            ]),
            &[
                ">1 POST /mcp http//h",
                ">1 gap 0",
                ">1 body hello",
                ">1 gap 0",
                ">1 body world",
                ">1 end",
                ".1",
            ],
        ),
        (
            "no frame at all",
            after(request.len(), &[b"this is\0not\0a frame".to_vec()]),
            &[">1 POST /mcp http//h", ">1 gap 0", ">1 cut", ".1"],
        ),
    ]);
}

#[test]
fn gaps_in_header_blocks() {
    let mut fields = added(&FIELDS[..2]);
    let read = fields.len();
    fields.extend(added(&FIELDS[2..]));
    let request = frame(1, END_STREAM | END_HEADERS, 1, &fields);
    let rest = [headers(3, 0, &dynamic(&[1])), data(3, END_STREAM, "q"), ping()];
    let expected = &[
        ">1 POST  http//- incomplete",
        ">1 end",
        ">3   - incomplete",
        ">3 body q",
        ">3 end",
        ".1",
        ".3",
    ][..];
    let [before, after] = cut_at(std::slice::from_ref(&request), 9 + read + 2, 5);
    let fragments =
        [frame(1, END_STREAM, 1, &fields[..read]), frame(9, END_HEADERS, 1, &fields[read..])];
    let [before_fragment, after_fragment] = cut_at(&fragments, 9 + read + 9 + 3, 5);
    let [before_first, after_first] = cut_at(&fragments, 9 + read - 3, 3);
    let gap = |before: Vec<u8>, len, after: Vec<u8>| {
        after_start(&[Step::C(before), Step::GapC(len), Step::C(after), c(&rest)])
    };
    check(&[
        ("in a frame", gap(before, 5, after), expected),
        ("in a fragment", gap(before_fragment, 5, after_fragment), expected),
        (
            "in the first of two",
            gap(before_first, 3, after_first),
            &[
                ">1 POST  - incomplete",
                ">1 end",
                ">3   - incomplete",
                ">3 body q",
                ">3 end",
                ".1",
                ".3",
            ],
        ),
        (
            "up to the end of the capture",
            after_start(&[Step::C(request[..9 + read + 3].to_vec())]),
            &[">1 POST  http//- incomplete", ">1 end", ".1"],
        ),
    ]);
}

#[test]
fn joined_late() {
    let request = [dynamic(&[3]), post("/a"), added(&[("x-new", "1")])].concat();
    let known = [post("/b"), dynamic(&[0])].concat();
    check(&[
        (
            "literal fields are read",
            vec![
                Step::C(b"the end of something".to_vec()),
                c(&[headers(101, END_STREAM, &request), headers(103, END_STREAM, &known)]),
                s(&[headers(101, END_STREAM, &[0x88, 0xc5]), headers(103, END_STREAM, &[0x88])]),
            ],
            &[
                ">101 POST /a http//h incomplete",
                ">101 end",
                ">103 POST /b http//h",
                ">103 end",
                "<101 200 incomplete",
                "<101 end",
                ".101",
                "<103 200",
                "<103 end",
                ".103",
            ],
        ),
        (
            "streams that were open",
            vec![
                c(&[data(7, 0, "{}"), data(7, END_STREAM, ""), ping()]),
                s(&[data(5, 0, "event"), headers(7, 0, &[0xc4])]),
                s(&[data(7, 0, "r"), data(7, END_STREAM, "")]),
                s(&[headers(5, END_STREAM, &block(&[("grpc-status", "0")]))]),
            ],
            &[
                ">7   - incomplete",
                ">7 body {}",
                ">7 end",
                "<5 0 incomplete",
                "<5 body event",
                "<7 0 incomplete",
                "<7 body r",
                "<7 end",
                ".7",
                "<5 end",
                ".5",
            ],
        ),
        (
            "trailers of a message that was not seen",
            vec![
                s(&[headers(5, END_STREAM, &block(&[("grpc-status", "0")])), ping()]),
                s(&[headers(7, END_STREAM, &status("200"))]),
            ],
            &["<7 200", "<7 end", ".7"],
        ),
        (
            "only the server's direction, from its start",
            vec![
                s(&[settings(), headers(1, END_STREAM, &status("200"))]),
                s(&[headers(3, 0, &status("202")), data(3, 0, "r")]),
            ],
            &["<1 200", "<1 end", "<3 202", "<3 body r", ".1", "<3 cut", ".3"],
        ),
        (
            "the client's direction without its preface",
            vec![c(&[headers(1, END_STREAM, &post("/")), window_update(1)])],
            &[">1 POST / http//h", ">1 end", ".1"],
        ),
        (
            "the end of a preface",
            vec![
                Step::C(b"\n\r\nSM\r\n\r\n".to_vec()),
                c(&[settings(), headers(1, END_STREAM, &post("/"))]),
            ],
            &[">1 POST / http//h", ">1 end", ".1"],
        ),
    ]);
}

#[test]
fn what_was_taken_for_frames_is_given_up() {
    // Two headers that look well, and then nothing that does.
    let false_frames = [ping(), frame(0, 0, 1, b"ab"), b"no frame's header".to_vec()].concat();
    let request = [headers(3, END_STREAM, &post("/")), ping()].concat();
    let steps = [Step::C([b"--".to_vec(), false_frames, request].concat())];
    let outcome = run_all("false frames", &steps, Http2Limits::default());
    assert_eq!(
        outcome.log,
        [
            ">1   - incomplete",
            ">1 body ab",
            ">1 gap 0",
            ">3 POST / http//h",
            ">3 end",
            ">1 cut",
            ".1",
            ".3"
        ]
    );
    assert_eq!(outcome.counters.resyncs, 2);
    assert_eq!(outcome.counters.skipped_bytes, 2 + 17);
}

#[test]
fn lost_requests_do_not_hold_up_their_responses() {
    let mut steps = start().to_vec();
    for number in 0..200 {
        steps.push(s(&[headers(1 + 2 * number, END_STREAM, &status("200"))]));
    }
    let outcome = run_all("only responses", &steps, Http2Limits::default());
    let first_end = outcome.log.iter().position(|line| line == ".1");
    assert_eq!(first_end, Some(2 * 65));
    assert_eq!(outcome.counters.unpaired_responses, 200);

    let steps = after_start(&[
        s(&[headers(1, END_STREAM, &status("200")), headers(3, END_STREAM, &status("200"))]),
        Step::GapC(100),
        c(&[headers(3, END_STREAM, &post("/")), ping()]),
    ]);
    let outcome = run_all("a request was lost", &steps, Http2Limits::default());
    assert_eq!(
        outcome.log,
        ["<1 200", "<1 end", "<3 200", "<3 end", ".1", ">3 POST / http//h", ">3 end", ".3"]
    );
    assert_eq!(outcome.counters.unpaired_responses, 1);
}

/// Bodies say of which stream they are and count on, so that what is handed on
/// can be checked wherever bytes were lost.
#[test]
fn with_random_losses_nothing_wrong_is_read() {
    let (mut requests, mut heads) = (0, 0);
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let (mut bytes, bodies) = interleaved(&mut rng, seed % 2 == 0);
        let mut pieces = Vec::new();
        let client = seed % 2 == 1;
        while !bytes.is_empty() {
            let rest = bytes.split_off((1 + rng.below(1500)).min(bytes.len()));
            let lost = rng.below(400).min(rest.len());
            pieces.push(if client { Step::C(bytes) } else { Step::S(bytes) });
            if lost > 0 && rng.below(2) == 0 {
                pieces.push(if client { Step::GapC(lost as u64) } else { Step::GapS(lost as u64) });
                bytes = rest[lost..].to_vec();
            } else {
                bytes = rest;
            }
        }
        let steps = after_start(&pieces);
        let outcome = run_all("losses", &steps, Http2Limits::default());
        for (stream, body) in bodies {
            let sign = if client { '>' } else { '<' };
            let prefix = format!("{sign}{stream} body ");
            let mut rest = body.as_str();
            for piece in outcome.log.iter().filter_map(|line| line.strip_prefix(&prefix)) {
                // Pieces between which nothing else was written are joined.
                let at = rest.find(piece).or_else(|| {
                    panic!("seed {seed}: {piece:?} is not in what is left of {stream}: {rest:?}")
                });
                rest = &rest[at.unwrap_or_default() + piece.len()..];
            }
            let head = format!(">{stream} POST ");
            for line in outcome.log.iter().filter(|line| line.starts_with(&head)) {
                let target = line[head.len()..].split(' ').next().unwrap();
                assert!(target.is_empty() || target == stream.to_string(), "seed {seed}: {line}");
                heads += usize::from(!target.is_empty());
            }
        }
        requests += if client { 20 } else { 0 };
    }
    assert!(heads * 3 > requests, "{heads} of {requests}");
}

#[test]
fn changes_of_table_size_are_followed() {
    let mut shrink = Vec::new();
    testing::integer(&mut shrink, 0x20, 5, 0);
    testing::integer(&mut shrink, 0x20, 5, 4096);
    let steps = after_start(&[c(&[
        headers(1, END_STREAM, &added(&FIELDS)),
        headers(3, END_STREAM, &dynamic(&[3, 2, 1, 0])),
        headers(5, END_STREAM, &[shrink, added(&FIELDS[3..]), dynamic(&[0, 1])].concat()),
    ])]);
    let outcome = run_all("table size", &steps, Http2Limits::default());
    assert_eq!(
        outcome.log[..6],
        [
            ">1 POST /mcp http//h",
            ">1 end",
            ">3 POST /mcp http//h",
            ">3 end",
            ">5  /mcp - incomplete",
            ">5 end"
        ]
    );
    assert_eq!((outcome.counters.hpack_invalid, outcome.counters.hpack_unknown), (1, 0));
}
