use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::stream::testing::{Cut, Rng};

const DEFLATE: &[u8] = b"permessage-deflate";

#[derive(Default)]
struct Recorder {
    log: Vec<String>,
    skip: bool,
}

fn sign(direction: Direction) -> char {
    match direction {
        Direction::ToServer => '>',
        Direction::ToClient => '<',
    }
}

impl WebSocketSink for Recorder {
    fn message_data(&mut self, direction: Direction, kind: MessageKind, data: &[u8]) -> Interest {
        assert!(!data.is_empty());
        let prefix = format!("{}{kind:?} ", sign(direction));
        let text = data.escape_ascii().to_string();
        match self.log.last_mut() {
            Some(last) if last.starts_with(&prefix) => last.push_str(&text),
            _ => self.log.push(prefix + &text),
        }
        if self.skip { Interest::Skip } else { Interest::Wanted }
    }

    fn message_gap(&mut self, direction: Direction, _: MessageKind) {
        self.log.push(format!("{}gap", sign(direction)));
    }

    fn message_end(&mut self, direction: Direction, kind: MessageKind, complete: bool) {
        let word = if complete { "end" } else { "cut" };
        self.log.push(format!("{}{word} {kind:?}", sign(direction)));
    }

    fn closing(&mut self, direction: Direction, code: Option<u16>) {
        self.log.push(format!("{}closing {code:?}", sign(direction)));
    }
}

/// A frame; the first byte as it stands on the wire.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..126 => bytes.push(masked | len as u8),
        len @ 126..65536 => {
            bytes.push(masked | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(masked | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    let key = mask.unwrap_or_default();
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, Some([0x12, 0x34, 0x56, 0x78]), payload)
}

fn server(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, None, payload)
}

/// Deflates messages as RFC 7692 section 7.2.1 says.
struct Deflater {
    compress: Compress,
    takeover: bool,
}

impl Deflater {
    fn new(window_bits: u8, takeover: bool) -> Self {
        let level = Compression::default();
        Self { compress: Compress::new_with_window_bits(level, false, window_bits), takeover }
    }

    fn message(&mut self, plain: &[u8]) -> Vec<u8> {
        if plain.is_empty() {
            // RFC 7692 section 7.2.3.6.
            return vec![0];
        }
        if !self.takeover {
            self.compress.reset();
        }
        let mut out = Vec::with_capacity(plain.len() + 1000);
        self.compress.compress_vec(plain, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        out
    }
}

enum Step {
    Data(Vec<u8>),
    Gap(u64),
}

fn run_with(
    extensions: &[u8],
    direction: Direction,
    steps: &[Step],
    cut: Cut,
    limits: WebSocketLimits,
    skip: bool,
) -> (Vec<String>, WebSocketCounters) {
    let mut websocket = WebSocket::new(extensions, true, limits);
    let mut sink = Recorder { skip, ..Recorder::default() };
    for step in steps {
        match step {
            Step::Data(data) => cut
                .pieces(data)
                .into_iter()
                .for_each(|piece| websocket.feed(direction, piece, &mut sink)),
            Step::Gap(len) => websocket.gap(direction, *len, &mut sink),
        }
    }
    websocket.close(&mut sink);
    (sink.log, *websocket.counters())
}

fn run(
    extensions: &[u8],
    direction: Direction,
    steps: &[Step],
    cut: Cut,
) -> (Vec<String>, WebSocketCounters) {
    run_with(extensions, direction, steps, cut, WebSocketLimits::default(), false)
}

#[test]
fn messages_are_put_together() {
    let long = "x".repeat(70_000);
    let medium = "y".repeat(300);
    let rows: Vec<(&str, Vec<u8>, Vec<String>)> = vec![
        (
            "one frame",
            client(0x81, b"{\"a\":1}"),
            vec![">Text {\\\"a\\\":1}".into(), ">end Text".into()],
        ),
        (
            "fragments with control frames between",
            [
                client(0x01, b"{\"a\""),
                client(0x89, b"ping"),
                client(0x00, b":"),
                client(0x8a, b""),
                client(0x80, b"1}"),
            ]
            .concat(),
            vec![">Text {\\\"a\\\":1}".into(), ">end Text".into()],
        ),
        ("empty", client(0x82, b""), vec![">end Binary".into()]),
        ("unmasked", server(0x81, b"x"), vec![">Text x".into(), ">end Text".into()]),
        (
            "16 and 64 bit lengths",
            [client(0x82, medium.as_bytes()), client(0x81, long.as_bytes())].concat(),
            vec![
                format!(">Binary {medium}"),
                ">end Binary".into(),
                format!(">Text {long}"),
                ">end Text".into(),
            ],
        ),
        (
            "close",
            [client(0x01, b"x"), client(0x88, &[0x03, 0xe8, b'b', b'y', b'e']), client(0x81, b"z")]
                .concat(),
            vec![">Text x".into(), ">closing Some(1000)".into(), ">cut Text".into()],
        ),
        ("close without a code", client(0x88, b""), vec![">closing None".into()]),
        ("unfinished", client(0x01, b"x"), vec![">Text x".into(), ">cut Text".into()]),
    ];
    for (name, input, expected) in rows {
        let steps = [Step::Data(input)];
        for cut in Cut::all() {
            assert_eq!(run(b"", Direction::ToServer, &steps, cut).0, expected, "{name}, {cut:?}");
        }
    }
}

#[test]
fn what_no_endpoint_accepts_ends_the_direction() {
    let huge = [0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0].to_vec();
    for (name, input) in [
        ("reserved opcode", server(0x83, b"")),
        ("reserved control opcode", server(0x8b, b"")),
        ("fragmented control frame", server(0x09, b"")),
        ("long control frame", server(0x89, &[0; 126])),
        ("length of 64 bits", huge),
        ("continuation of nothing", server(0x80, b"x")),
        ("RSV1 without extension", server(0xc1, b"x")),
        ("RSV2", server(0xa1, b"x")),
        ("RSV1 on a control frame", server(0xc9, b"")),
        ("message in a message", [server(0x01, b""), server(0x81, b"x")].concat()),
        ("RSV1 on a continuation", [server(0x01, b""), server(0xc0, b"x")].concat()),
    ] {
        let steps = [Step::Data(input), Step::Data(server(0x81, b"after"))];
        for cut in Cut::all() {
            let (log, counters) = run(b"", Direction::ToClient, &steps, cut);
            assert!(log.iter().all(|line| line == "<cut Text"), "{name}: {log:?}");
            assert_eq!(counters.protocol_errors, 1, "{name}");
            assert!(counters.ignored_bytes >= 7, "{name}");
        }
    }
}

#[test]
fn compressed_messages() {
    let messages = [&b"{\"jsonrpc\":\"2.0\",\"id\":1}"[..], b"{\"jsonrpc\":\"2.0\",\"id\":2}", b""];
    for (extensions, window_bits, takeover) in [
        ("permessage-deflate", 15, true),
        ("permessage-deflate; server_max_window_bits=9", 9, true),
        ("permessage-deflate; server_max_window_bits=8", 9, true),
        ("permessage-deflate; server_no_context_takeover", 15, false),
    ] {
        let mut deflater = Deflater::new(window_bits, takeover);
        let mut input = Vec::new();
        let mut expected = Vec::new();
        for message in messages {
            let deflated = deflater.message(message);
            let (first, second) = deflated.split_at(deflated.len() / 2);
            input.extend(server(0x41, first));
            input.extend(server(0x89, b"ping"));
            input.extend(server(0x80, second));
            if !message.is_empty() {
                expected.push(format!("<Text {}", message.escape_ascii()));
            }
            expected.push("<end Text".to_owned());
        }
        input.extend(server(0x82, b"plain"));
        expected.extend(["<Binary plain".to_owned(), "<end Binary".to_owned()]);
        let steps = [Step::Data(input)];
        for cut in Cut::all() {
            let (log, counters) = run(extensions.as_bytes(), Direction::ToClient, &steps, cut);
            assert_eq!(log, expected, "{extensions}, {cut:?}");
            assert_eq!(counters.compressed_messages, 3);
        }
    }
}

#[test]
fn vectors_of_the_rfc_inflate() {
    // RFC 7692 section 7.2.3: "Hello" in one frame, in fragments, with a shared
    // window, in a stored block, with the final bit, in two blocks.
    let rows: [(&str, &[u8], &[&str]); 6] = [
        (
            "one frame",
            &[0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &["<Text Hello", "<end Text"],
        ),
        (
            "fragments",
            &[0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00],
            &["<Text Hello", "<end Text"],
        ),
        (
            "shared window",
            &[
                0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xc1, 0x05, 0xf2, 0x00, 0x11,
                0x00, 0x00,
            ],
            &["<Text Hello", "<end Text", "<Text Hello", "<end Text"],
        ),
        (
            "stored block",
            &[0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &["<Text Hello", "<end Text"],
        ),
        (
            "final bit",
            &[0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &["<Text Hello", "<end Text"],
        ),
        (
            "two blocks",
            &[
                0xc1, 0x0d, 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07,
                0x00,
            ],
            &["<Text Hello", "<end Text"],
        ),
    ];
    for (name, input, expected) in rows {
        let steps = [Step::Data(input.to_vec())];
        for cut in Cut::all() {
            let (log, _) = run(DEFLATE, Direction::ToClient, &steps, cut);
            assert_eq!(log, expected, "{name}, {cut:?}");
        }
    }
}

#[test]
fn gaps() {
    let whole = client(0x81, b"0123456789");
    let rows: Vec<(&str, Vec<Step>, &[&str], u64)> = vec![
        (
            "in a payload",
            vec![
                Step::Data(whole[..9].to_vec()),
                Step::Gap(3),
                Step::Data([&whole[12..], &client(0x81, b"next")].concat()),
            ],
            &[">Text 012", ">gap", ">Text 6789", ">cut Text", ">Text next", ">end Text"],
            0,
        ),
        (
            "up to the end of a payload",
            vec![Step::Data(whole[..9].to_vec()), Step::Gap(7), Step::Data(client(0x81, b"next"))],
            &[">Text 012", ">gap", ">cut Text", ">Text next", ">end Text"],
            0,
        ),
        (
            "in a control frame",
            vec![
                Step::Data([client(0x01, b"a"), client(0x89, b"ping")[..8].to_vec()].concat()),
                Step::Gap(2),
                Step::Data(client(0x80, b"b")),
            ],
            &[">Text ab", ">end Text"],
            0,
        ),
        (
            "over a header",
            vec![Step::Data(whole[..9].to_vec()), Step::Gap(8), Step::Data(client(0x81, b"next"))],
            &[">Text 012", ">cut Text"],
            1,
        ),
        (
            "in a header",
            vec![Step::Data(vec![0x81]), Step::Gap(1), Step::Data(whole.clone())],
            &[],
            1,
        ),
        (
            "of unknown length",
            vec![Step::Data(whole[..9].to_vec()), Step::Gap(0), Step::Data(whole.clone())],
            &[">Text 012", ">cut Text"],
            1,
        ),
    ];
    for (name, steps, expected, lost) in rows {
        for cut in Cut::all() {
            let (log, counters) = run(b"", Direction::ToServer, &steps, cut);
            assert_eq!(log, expected, "{name}, {cut:?}");
            assert_eq!((counters.lost_directions, counters.gaps), (lost, 1), "{name}");
        }
    }
}

#[test]
fn gaps_in_compressed_messages() {
    for (extensions, takeover, after, context_lost) in [
        ("permessage-deflate", true, vec!["<cut Text"], 1),
        (
            "permessage-deflate; server_no_context_takeover",
            false,
            vec!["<Text second message", "<end Text"],
            0,
        ),
    ] {
        let mut deflater = Deflater::new(15, takeover);
        let first = server(0xc1, &deflater.message(b"first message"));
        let second = server(0xc1, &deflater.message(b"second message"));
        let steps = [
            Step::Data(first[..4].to_vec()),
            Step::Gap(3),
            Step::Data([&first[7..], &second, &server(0x81, b"plain")].concat()),
        ];
        for cut in Cut::all() {
            let (log, counters) = run(extensions.as_bytes(), Direction::ToClient, &steps, cut);
            let mut expected = vec!["<gap", "<cut Text"];
            expected.extend(&after);
            expected.extend(["<Text plain", "<end Text"]);
            let log: Vec<_> = log.iter().filter(|line| *line != "<Text f").collect();
            assert_eq!(log, expected, "{extensions}, {cut:?}");
            assert_eq!(counters.context_lost_messages, context_lost);
        }
    }
}

#[test]
fn caps_are_kept() {
    let limits = WebSocketLimits { message_bytes: 10, ..WebSocketLimits::default() };
    let mut deflater = Deflater::new(15, false);
    let deflated = deflater.message(&[b'x'; 5000]);
    let steps = [
        Step::Data(server(0x81, b"0123456789ab")),
        Step::Data(server(0xc1, &deflated)),
        Step::Data(server(0x81, b"0123456789")),
    ];
    for cut in Cut::all() {
        let extensions = b"permessage-deflate; server_no_context_takeover";
        let (log, counters) = run_with(extensions, Direction::ToClient, &steps, cut, limits, false);
        let expected = [
            "<Text 0123456789",
            "<cut Text",
            "<Text xxxxxxxxxx",
            "<cut Text",
            "<Text 0123456789",
            "<end Text",
        ];
        assert_eq!(log, expected, "{cut:?}");
        assert_eq!(counters.capped_messages, 2);
    }
    let bomb = Deflater::new(15, true).message(&vec![0; 4 << 20]);
    let (_, counters) =
        run(DEFLATE, Direction::ToClient, &[Step::Data(server(0xc2, &bomb))], Cut::Whole);
    assert_eq!((counters.capped_messages, counters.damaged_messages), (1, 1));
}

#[test]
fn damage_and_unknown_extensions_are_counted() {
    let steps = [Step::Data([server(0xc1, &[0xff; 8]), server(0x81, b"x")].concat())];
    let (log, counters) = run(DEFLATE, Direction::ToClient, &steps, Cut::Bytes);
    assert_eq!(log, ["<cut Text", "<Text x", "<end Text"]);
    assert_eq!(counters.corrupt_messages, 1);

    let (log, counters) = run(b"x-deflate-frame", Direction::ToClient, &steps, Cut::Bytes);
    assert_eq!(log, ["<cut Text", "<Text x", "<end Text"]);
    assert_eq!(counters.opaque_messages, 1);
}

#[test]
fn unwanted_messages_are_skipped() {
    let mut deflater = Deflater::new(15, true);
    let first = deflater.message(&[b'a'; 100]);
    let steps = [
        Step::Data(server(0xc1, &first)),
        Step::Data(server(0x01, b"b")),
        Step::Data(server(0x80, b"c")),
        Step::Data(server(0xc1, &deflater.message(&[b'a'; 100]))),
    ];
    let (log, _) = run_with(
        DEFLATE,
        Direction::ToClient,
        &steps,
        Cut::Whole,
        WebSocketLimits::default(),
        true,
    );
    let expected = format!("<Text {}", "a".repeat(100));
    assert_eq!(log, [&expected, "<end Text", "<Text b", "<end Text", &expected, "<end Text"]);
}

#[test]
fn any_bytes_cut_anywhere_give_the_same() {
    let mut rng = Rng::new(8);
    for round in 0..3000 {
        let mut deflater = Deflater::new(15, true);
        let mut input = [
            client(0x01, b"{\"a\""),
            client(0x80, b":1}"),
            client(0xc1, &deflater.message(b"{\"jsonrpc\":\"2.0\"}")),
            client(0x82, &[7; 130]),
            client(0xc1, &deflater.message(b"{\"jsonrpc\":\"2.0\"}")),
            client(0x88, &[3, 232]),
        ]
        .concat();
        rng.mutate(&mut input);
        let (head, tail) = input.split_at(rng.below(input.len() + 1));
        let mut steps = vec![Step::Data(head.to_vec()), Step::Data(tail.to_vec())];
        if rng.below(2) == 0 {
            steps.insert(1, Step::Gap(rng.below(20) as u64));
        }
        let whole = run(DEFLATE, Direction::ToServer, &steps, Cut::Whole);
        for cut in [Cut::Bytes, Cut::Random(round)] {
            assert_eq!(run(DEFLATE, Direction::ToServer, &steps, cut), whole);
        }
    }
}
