//! Floods, bombs and garbage.

use super::conversations::interleaved;
use super::support::*;
use crate::stream::http2::hpack::testing;
use crate::stream::http2::*;
use crate::stream::testing::{Cut, Rng};

#[test]
fn rapid_resets() {
    let mut frames = Vec::new();
    for number in 0..20_000 {
        frames.push(headers(1 + 2 * number, END_STREAM, &[0x83, 0x84, 0x86]));
        frames.push(reset(1 + 2 * number));
    }
    let mut http = Http2::new(Http2Limits::default());
    let outcome =
        drive(&mut http, &after_start(&[c(&frames)]), Cut::Whole, &mut Recorder::default());
    assert_eq!(outcome.counters.requests, 20_000);
    assert_eq!(outcome.counters.resets, 20_000);
    assert_eq!(outcome.log.len(), 3 * 20_000);
}

#[test]
fn too_many_streams() {
    let frames: Vec<_> = (0..8).map(|number| headers(1 + 2 * number, 0, &post("/"))).collect();
    let limits = Http2Limits { streams: 5, ..Http2Limits::default() };
    let steps = after_start(&[c(&frames), c(&[data(1, 0, "late"), data(15, 0, "x")])]);
    let outcome = run_all("streams", &steps, limits);
    assert_eq!(outcome.counters.evicted_streams, 3);
    assert_eq!(outcome.counters.late_frames, 1);
    let mut expected: Vec<String> =
        (0..5).map(|n| format!(">{} POST / http//h", 1 + 2 * n)).collect();
    for stream in [11, 13, 15] {
        let evicted = stream - 10;
        expected.push(format!(">{stream} POST / http//h"));
        expected.extend([format!(">{evicted} cut"), format!(".{evicted}")]);
    }
    expected.push(">15 body x".to_owned());
    expected.extend([7, 9, 11, 13, 15].map(|stream| format!(">{stream} cut")));
    expected.extend([7, 9, 11, 13, 15].map(|stream| format!(".{stream}")));
    assert_eq!(outcome.log, expected);
}

#[test]
fn floods_of_fragments() {
    let mut frames = vec![frame(1, END_STREAM, 1, &post("/a"))];
    frames.extend((0..1000).map(|_| frame(9, 0, 1, b"")));
    frames.push(frame(9, END_HEADERS, 1, &added(&[("a", "b")])));
    frames.push(headers(3, END_STREAM, &[post("/b"), dynamic(&[0])].concat()));
    let outcome = run_all("fragments", &after_start(&[c(&frames)]), Http2Limits::default());
    assert_eq!(
        outcome.log,
        [
            ">1 POST /a http//h incomplete",
            ">1 end",
            ">3 POST /b http//h incomplete",
            ">3 end",
            ".1",
            ".3"
        ]
    );
    assert_eq!(outcome.counters.continuation_floods, 1);
    assert_eq!(outcome.counters.hpack_unknown, 1);
}

#[test]
fn header_bombs() {
    let large = "x".repeat(4000);
    let mut bomb = post("/a");
    testing::literal(&mut bomb, true, 0, b"a", large.as_bytes(), false);
    bomb.resize(16_000, 0xbe);
    let steps = after_start(&[c(&[
        headers(1, END_STREAM, &bomb),
        headers(3, END_STREAM, &[post("/b"), dynamic(&[0])].concat()),
    ])]);
    let mut http = Http2::new(Http2Limits::default());
    let mut sink = Recorder { with_fields: true, ..Recorder::default() };
    let outcome = drive(&mut http, &steps, Cut::Whole, &mut sink);
    assert_eq!(outcome.counters.header_list_too_large, 1);
    assert_eq!(outcome.log[0], ">1 POST /a http//h incomplete");
    assert_eq!(outcome.log.iter().filter(|line| line.len() > 4000).count(), 17, "16 and 1");
    assert!(outcome.log.contains(&">3 POST /b http//h".to_owned()), "the table is as it should be");
}

#[test]
fn frames_that_cannot_be() {
    check(&[
        (
            "data without a head",
            after_start(&[c(&[data(1, 0, "x"), headers(1, END_STREAM, &post("/"))])]),
            &[">1 POST / http//h", ">1 end", ".1"],
        ),
        (
            "streams that clients do not open",
            after_start(&[
                c(&[headers(0, 0, &post("/")), headers(2, 0, &post("/")), data(0, 0, "x")]),
                c(&[headers(1, END_STREAM, &post("/"))]),
            ]),
            &[">1 POST / http//h", ">1 end", ".1"],
        ),
        (
            "a head after the end",
            after_start(&[
                c(&[headers(1, END_STREAM, &post("/a")), headers(1, END_STREAM, &post("/b"))]),
                s(&[headers(1, END_STREAM, &status("200")), headers(1, 0, &status("200"))]),
                c(&[headers(1, END_STREAM, &post("/c"))]),
            ]),
            &[">1 POST /a http//h", ">1 end", "<1 200", "<1 end", ".1"],
        ),
        (
            "streams out of order",
            after_start(&[c(&[
                headers(3, END_STREAM, &post("/a")),
                headers(1, END_STREAM, &post("/b")),
            ])]),
            &[">3 POST /a http//h", ">3 end", ".3"],
        ),
        (
            "a promise by the client, a promise of nothing",
            after_start(&[
                c(&[frame(5, END_HEADERS, 1, b"\0\0\0\x02\x82")]),
                s(&[frame(5, END_HEADERS, 1, b"\0\0\0\0\x82"), frame(5, END_HEADERS, 1, b"\0\0")]),
                s(&[headers(2, END_STREAM, &status("200"))]),
            ]),
            &[],
        ),
        (
            "fragments of nothing",
            after_start(&[c(&[frame(9, END_HEADERS, 1, &post("/")), frame(3, 0, 9, b"")])]),
            &[],
        ),
        (
            "responses of no status",
            after_start(&[
                c(&[headers(1, END_STREAM, &post("/"))]),
                s(&[headers(1, END_STREAM, &block(&[("a", "b")]))]),
            ]),
            &[">1 POST / http//h", ">1 end", "<1 0", "<1 end", ".1"],
        ),
    ]);
}

/// A conversation that is damaged, with gaps.
fn damaged(rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    let [Step::C(preface), Step::S(settings)] = start() else { unreachable!() };
    for (first, response) in [(preface, false), (settings, true)] {
        let (bytes, _) = interleaved(rng, response);
        let mut bytes = [first, bytes].concat();
        bytes.drain(..if rng.below(2) == 0 { 0 } else { rng.below(200) });
        bytes.truncate(1 + rng.below(bytes.len()));
        rng.mutate(&mut bytes);
        let middle = rng.below(bytes.len() + 1);
        let (before, after) = bytes.split_at(middle);
        let lost = [0, 1, 9, 300][rng.below(4)];
        let data = if response { Step::S } else { Step::C };
        let gap = if response { Step::GapS } else { Step::GapC };
        steps.push(data(before.to_vec()));
        if rng.below(2) == 0 {
            steps.push(gap(lost));
        }
        steps.push(data(after.to_vec()));
        if rng.below(4) == 0 {
            steps.push(if response { Step::EndS } else { Step::EndC });
        }
    }
    if rng.below(2) == 0 {
        let at = rng.below(steps.len());
        steps.rotate_left(at);
    }
    steps
}

#[test]
fn damaged_conversations() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let steps = damaged(&mut rng);
        let limits = Http2Limits {
            header_bytes: [64, 4096][rng.below(2)],
            table_bytes: [0, 100, 4096][rng.below(3)],
            continuations: rng.below(3) as u32,
            streams: [1, 7, 1024][rng.below(3)],
            search_bytes: [100, 1 << 20][rng.below(2)],
        };
        run_all(&format!("seed {seed}"), &steps, limits);
    }
}

#[test]
fn random_frames() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut steps = start().to_vec();
        for _ in 0..rng.below(60) {
            let payload: Vec<u8> = (0..rng.below(30)).map(|_| rng.next() as u8 & 0xbf).collect();
            let kind = rng.below(11) as u8;
            let flags = rng.next() as u8 & [0x25, 0xff, 0x05][rng.below(3)];
            let frame = frame(kind, flags, rng.below(9) as u32, &payload);
            steps.push(if rng.below(2) == 0 { Step::C(frame) } else { Step::S(frame) });
            if rng.below(20) == 0 {
                steps.push(if rng.below(2) == 0 { Step::GapC(5) } else { Step::GapS(0) });
            }
        }
        let streams = if rng.below(2) == 0 { 3 } else { 1024 };
        let limits = Http2Limits { streams, ..Http2Limits::default() };
        run_all(&format!("seed {seed}"), &steps, limits);
    }
}

#[test]
fn random_bytes() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let alphabet = [0, 0, 0, 1, 4, 5, 8, 9, 0x82, 0xbe, rng.next() as u8];
        let bytes: Vec<u8> = (0..rng.below(3000)).map(|_| alphabet[rng.below(11)]).collect();
        let (client, server) = bytes.split_at(rng.below(bytes.len() + 1));
        let mut steps = if seed % 2 == 0 { start().to_vec() } else { Vec::new() };
        steps.push(Step::S(server.to_vec()));
        steps.push(Step::C(client.to_vec()));
        run_all(&format!("seed {seed}"), &steps, Http2Limits::default());
    }
}
