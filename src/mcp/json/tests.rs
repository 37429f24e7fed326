//! Texts through the tokenizer, in any pieces.

use super::*;

/// Writes down every event, and every token in full.
#[derive(Default)]
struct Recorder {
    events: Vec<String>,
    token: Vec<u8>,
    documents: usize,
    /// The key whose value is skipped, watched from outside, or raw.
    skip: &'static [u8],
    closed: &'static [u8],
    raw: &'static [u8],
    /// The key whose value is wanted raw and with its events.
    both: &'static [u8],
    both_raw: Vec<u8>,
    last_key: Vec<u8>,
}

impl Recorder {
    fn token(&mut self, what: &str, last: &[u8]) -> String {
        self.token.extend_from_slice(last);
        let text = format!("{what} {}", String::from_utf8_lossy(&self.token));
        self.token.clear();
        text
    }
}

impl Visitor for Recorder {
    fn begin(&mut self, container: Container) -> bool {
        self.events.push(format!("begin {container:?}"));
        self.closed.is_empty() || self.last_key != self.closed
    }
    fn end(&mut self, container: Container) {
        self.events.push(format!("end {container:?}"));
    }
    fn part(&mut self, part: &[u8]) {
        assert!(!part.is_empty());
        self.token.extend_from_slice(part);
    }
    fn key(&mut self, last: &[u8]) -> Interest {
        let event = self.token("key", last);
        self.last_key = event.as_bytes()[4..].to_vec();
        self.events.push(event);
        match () {
            () if !self.raw.is_empty() && self.last_key == self.raw => Interest::Raw,
            () if !self.both.is_empty() && self.last_key == self.both => Interest::Both,
            () if !self.skip.is_empty() && self.last_key == self.skip => Interest::Skip,
            () => Interest::Watch,
        }
    }
    fn string(&mut self, last: &[u8]) {
        let event = self.token("string", last);
        self.events.push(event);
    }
    fn number(&mut self, last: &[u8]) {
        let event = self.token("number", last);
        self.events.push(event);
    }
    fn literal(&mut self, literal: Literal) {
        let event = self.token("literal", format!("{literal:?}").as_bytes());
        self.events.push(event);
    }
    fn raw(&mut self, bytes: &[u8]) {
        if !self.both.is_empty() {
            return self.both_raw.extend_from_slice(bytes);
        }
        self.token.extend_from_slice(bytes);
    }
    fn raw_end(&mut self) {
        if !self.both.is_empty() {
            return self.both_raw.push(b'|');
        }
        let event = self.token("raw", b"");
        self.events.push(event);
    }
    fn document(&mut self) {
        self.documents += 1;
        self.events.push("document".to_owned());
    }
}

/// Reads `text` in pieces of `size` into `recorder`.
fn read_into(recorder: &mut Recorder, text: &[u8], size: usize) -> Result<(), (usize, Reason)> {
    let mut tokenizer = Tokenizer::new();
    for (index, piece) in text.chunks(size).enumerate() {
        tokenizer.feed(piece, recorder).map_err(|(at, reason)| (index * size + at, reason))?;
    }
    match tokenizer.finish(recorder) {
        Ending::Clean => Ok(()),
        Ending::Cut => Err((text.len(), Reason::UnexpectedEnd)),
    }
}

type Reading = (Vec<String>, usize, Option<(usize, Reason)>);

fn read(text: &[u8], size: usize) -> Reading {
    let mut recorder = Recorder::default();
    let outcome = read_into(&mut recorder, text, size);
    (recorder.events, recorder.documents, outcome.err())
}

fn verdict(text: &[u8]) -> Option<Reason> {
    let whole = read(text, usize::MAX);
    for size in [1, 2, 3, 5, 8, 13] {
        assert_eq!(read(text, size), whole, "{} by {size}", String::from_utf8_lossy(text));
    }
    whole.2.map(|(_, reason)| reason)
}

fn verdict_at(text: &str, size: usize) -> Option<Reason> {
    read(text.as_bytes(), size).2.map(|(_, reason)| reason)
}

#[test]
fn what_is_json_and_what_is_not() {
    use Reason::{ControlCharacter, Escape, Number, TrailingGarbage, Unexpected, UnexpectedEnd};
    for (text, expected) in [
        ("", None),
        (" \t\r\n", None),
        ("{}", None),
        ("[]", None),
        (" { \"a\" : [ 1 , -2.5e+3 , 0 , 1E9 , true , false , null ] } ", None),
        ("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", None),
        ("[NaN,Infinity,-Infinity]", None),
        ("\"\\ud83d\\ude00 \\ud83d \\ude00 \\ud83d\\n\\ud83d\\ud83d\\ude00\"", None),
        ("12", None),
        ("-0.0e-0", None),
        ("{}\n[]\n\n{}", None),
        ("{} []", None),
        ("\u{1e}{}\n\u{1e}[]", None),
        ("{\"a\":{}}x", Some(TrailingGarbage)),
        ("{}{}", Some(TrailingGarbage)),
        ("{} // done", Some(TrailingGarbage)),
        ("{}\0", Some(TrailingGarbage)),
        ("{}\n# done", Some(Unexpected)),
        ("/* c */{}", Some(Unexpected)),
        ("{/**/}", Some(Unexpected)),
        ("{\"a\":1,}", Some(Unexpected)),
        ("[1,]", Some(Unexpected)),
        ("[,1]", Some(Unexpected)),
        ("{a:1}", Some(Unexpected)),
        ("{'a':1}", Some(Unexpected)),
        ("{\"a\" 1}", Some(Unexpected)),
        ("{\"a\":}", Some(Unexpected)),
        ("{\"a\",1}", Some(Unexpected)),
        ("[1 2]", Some(Unexpected)),
        ("[}", Some(Unexpected)),
        ("[1}", Some(Unexpected)),
        ("{\"a\":1]", Some(Unexpected)),
        ("]", Some(Unexpected)),
        ("nul", Some(UnexpectedEnd)),
        ("nulx", Some(Unexpected)),
        ("\"a\nb\"", Some(ControlCharacter)),
        ("\"12345678\u{1f}\"", Some(ControlCharacter)),
        ("\"\\x\"", Some(Escape)),
        ("\"\\u12g4\"", Some(Escape)),
        ("[01]", Some(Unexpected)),
        ("[1.]", Some(Number)),
        ("[.5]", Some(Unexpected)),
        ("[+1]", Some(Unexpected)),
        ("[1e]", Some(Number)),
        ("[--1]", Some(Number)),
        ("-", Some(UnexpectedEnd)),
        ("{", Some(UnexpectedEnd)),
        ("{\"a\":\"b", Some(UnexpectedEnd)),
        ("<html>", Some(Unexpected)),
    ] {
        assert_eq!(verdict(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn events_come_in_order_with_strings_decoded() {
    let text = br#"{"k\u0065y":["a\ud83d\ude00\ud83d.\/",-1.5,true,{}],"":null}"#;
    let (events, documents, _) = read(text, 4);
    assert_eq!(documents, 1);
    assert_eq!(
        events,
        [
            "begin Object",
            "key key",
            "begin Array",
            "string a\u{1f600}\u{fffd}./",
            "number -1.5",
            "literal True",
            "begin Object",
            "end Object",
            "end Array",
            "key ",
            "literal Null",
            "end Object",
            "document",
        ]
    );
}

#[test]
fn a_value_may_give_its_bytes_and_its_events() {
    let values = [r#"{ "a": [ 1,"\u0041", {"s":{"r":[]}} ],"s":[] }"#, "-12.5", r#""x\n""#, "[]"];
    let members = values.map(|value| format!(r#""r": {value} "#)).join(",");
    let text = format!("{{\"e\":[{{}}],{members},\"e\":{{}}}}");
    let mut watched = Recorder { skip: b"s", ..Recorder::default() };
    read_into(&mut watched, text.as_bytes(), 100).unwrap();
    for size in [1, 2, 3, 7, 1000] {
        let mut recorder = Recorder { skip: b"s", both: b"r", ..Recorder::default() };
        read_into(&mut recorder, text.as_bytes(), size).unwrap();
        assert_eq!(recorder.events, watched.events, "{size}");
        let raw = String::from_utf8(recorder.both_raw).unwrap();
        assert_eq!(raw, values.map(|value| format!("{value}|")).concat(), "{size}");
    }
}

#[test]
fn a_skipped_value_gives_no_event_a_raw_one_its_bytes() {
    let text =
        br#"{"s":{"x":[1,"\n"]},"s":1,"c":{"y":[{}]},"r":{ "z": [ 1,"\u0041" ] },"r":-12 ,"e":2}"#;
    for size in [1, 2, 3, 7, 100] {
        let mut recorder = Recorder { skip: b"s", closed: b"c", raw: b"r", ..Recorder::default() };
        read_into(&mut recorder, text, size).unwrap();
        assert_eq!(
            recorder.events,
            [
                "begin Object",
                "key s",
                "key s",
                "key c",
                "begin Object",
                "key r",
                "raw { \"z\": [ 1,\"\\u0041\" ] }",
                "key r",
                "raw -12",
                "key e",
                "number 2",
                "end Object",
                "document",
            ],
            "{size}"
        );
    }
}

#[test]
fn what_is_skipped_is_checked_all_the_same() {
    let mut recorder = Recorder { skip: b"s", ..Recorder::default() };
    let outcome = read_into(&mut recorder, br#"{"s":[1,{"a":tru}]}"#, 100);
    assert_eq!(outcome, Err((16, Reason::Unexpected)));
}

/// Skipped, in pieces so small that nothing is passed over at once, and in one.
#[test]
fn what_is_passed_over_at_once_is_what_is_passed_over_step_by_step() {
    const SPOILERS: &[u8] = b"{}[]\",:\\ 0123456789.-+eE\n\0u\x1ftfnNI";
    let mut random = Random(0x7061_7373_6f76_6572);
    let mut right = 0;
    for round in 0..20_000 {
        let mut text = String::from(r#"{"k":"#);
        random.value(0, &mut text);
        text.push_str(r#","s":["#);
        random.value(0, &mut text);
        text.push_str(r#",true, null ,-1.5e3,"\u00e9\n",{"":{}},[]],"t":1}"#);
        let mut bytes = text.into_bytes();
        for _ in 0..round % 3 {
            let (at, spoiler) = (random.below(bytes.len()), random.below(SPOILERS.len()));
            bytes[at] = SPOILERS[spoiler];
        }
        let read = |size| {
            let mut recorder = Recorder { skip: b"s", closed: b"k", ..Recorder::default() };
            let outcome = read_into(&mut recorder, &bytes, size);
            (recorder.events, outcome)
        };
        let whole = read(usize::MAX);
        for size in [1, 2, 7, 40] {
            assert_eq!(read(size), whole, "{} by {size}", String::from_utf8_lossy(&bytes));
        }
        right += usize::from(whole.1.is_ok());
    }
    assert!((5_000..18_000).contains(&right), "{right}");
}

#[test]
fn a_nesting_bomb_is_counted_not_followed() {
    let deep = 100_000;
    let mut text = "[".repeat(deep);
    text.push_str("\"]]]\\\"\"");
    text.push_str(&"]".repeat(deep));
    assert_eq!(verdict_at(&text, 4096), None);
    let begun = read(text.as_bytes(), 1).0.iter().filter(|e| *e == "begin Array").count();
    assert_eq!(begun, MAX_DEPTH as usize);
    text.pop();
    assert_eq!(verdict_at(&text, 4096), Some(Reason::UnexpectedEnd));
    text.push_str("]]");
    assert_eq!(verdict_at(&text, 4096), Some(Reason::TrailingGarbage));
}

#[test]
fn the_end_of_plain_text_is_found_at_every_place() {
    for special in [b'"', b'\\', 0, 0x1F] {
        for len in 0..40 {
            for at in 0..len {
                let mut text = vec![b' '; len];
                text[at] = special;
                // What stands behind must not matter, nor bytes beyond ASCII before.
                text[..at].fill(0xA2);
                text[at + 1..].fill(b'"');
                assert_eq!(end_of_plain_text(&text, 0), at);
            }
        }
    }
    assert_eq!(end_of_plain_text("gr\u{fc}n \u{1f600} ~!#[]".as_bytes(), 0), 16);
}

/// A seeded generator (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// Appends a random value.
    fn value(&mut self, depth: usize, text: &mut String) {
        const SCALARS: [&str; 12] = [
            "0",
            "-1",
            "12.5e2",
            "1E-3",
            "true",
            "false",
            "null",
            "\"\"",
            "\"plain text\"",
            "\"\\u00e9\\n\\\"\\/\"",
            "\"\\ud83d\\ude00\"",
            "\"gr\u{fc}n \u{1f600}\"",
        ];
        let space = self.pick(&["", "", "", " ", "\n\t"]);
        text.push_str(space);
        match self.below(if depth > 4 { 1 } else { 4 }) {
            0 | 1 => text.push_str(self.pick(&SCALARS)),
            2 => {
                text.push('[');
                for index in 0..self.below(4) {
                    text.push_str(if index > 0 { "," } else { "" });
                    self.value(depth + 1, text);
                }
                text.push(']');
            }
            _ => {
                text.push('{');
                for index in 0..self.below(4) {
                    text.push_str(if index > 0 { "," } else { "" });
                    text.push_str(self.pick(&["\"a\"", "\"\\u0062\" ", "\n\"c d\""]));
                    text.push(':');
                    self.value(depth + 1, text);
                }
                text.push('}');
            }
        }
        text.push_str(space);
    }
}

#[test]
fn agrees_with_serde_json_on_what_is_json() {
    const SPOILERS: &[u8] = b"{}[]\",:\\ 0123456789.-+eE\n\0u\x1ftfn/d";
    let mut random = Random(0x6d63_7077_6174_6368);
    let (mut valid, mut invalid) = (0, 0);
    for round in 0..30_000 {
        let mut text = String::new();
        random.value(0, &mut text);
        let mut bytes = text.into_bytes();
        for _ in 0..round % 3 {
            let (at, spoiler) = (random.below(bytes.len()), random.below(SPOILERS.len()));
            match random.below(3) {
                0 => bytes[at] = SPOILERS[spoiler],
                1 => bytes.insert(at, SPOILERS[spoiler]),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                bytes.push(b'1');
            }
        }
        // Where the two differ on purpose: several documents, lone
        // surrogates, numbers out of range, invalid UTF-8.
        let text = String::from_utf8_lossy(&bytes);
        let excused = std::str::from_utf8(&bytes).is_err()
            || text.contains("\\ud") != text.contains("\\ud83d\\ude00")
            || text.matches("\\ud").count() % 2 == 1
            || text.contains(['e', 'E']);
        let whole = read(&bytes, usize::MAX);
        assert_eq!(read(&bytes, 1 + random.below(9)), whole, "{text}");
        if excused || whole.1 > 1 || text.trim_ascii().is_empty() {
            continue;
        }
        let oracle = serde_json::from_slice::<serde_json::Value>(&bytes);
        assert_eq!(whole.2.is_none(), oracle.is_ok(), "{text:?}: {whole:?} {oracle:?}");
        *(if oracle.is_ok() { &mut valid } else { &mut invalid }) += 1;
    }
    assert!(valid > 1000 && invalid > 1000, "{valid} valid, {invalid} invalid");
}
