//! JSON-RPC messages in a body, cut anywhere, compared with what serde_json
//! reads and with the same body in another spelling.
//!
//! Input: a byte that says how the body ends (0: complete, 1: incomplete, 2:
//! with a gap), a seed for the cuts and the spelling, then the body.

use mcpwatch::mcp::{
    Charset, Id, Listener, Malformed, Message, MessageSink, ScanCounters, Scanner, Scope, Version,
    Wanted,
};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::input::{Cut, Input, Random};
use super::messages::Seen;

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let end = match input.byte() % 3 {
        0 => End::Complete,
        1 => End::Incomplete,
        _ => End::Gap,
    };
    let seed = input.byte();
    let body = input.rest();
    let whole = scan(body, Cut::Whole, end);
    let heard = listen(body, Cut::Whole, end);
    assert_eq!(heard.seen, whole.0, "listening changes no message");
    for cut in Cut::others(seed) {
        assert_eq!(scan(body, cut, end), whole, "{cut:?}");
        assert_eq!(listen(body, cut, end), heard, "{cut:?}");
    }
    if end == End::Complete {
        compare_verdict(body, whole.1);
        if let Ok(value) = serde_json::from_slice(body) {
            compare_content(body, &value);
            compare_spelling(body, seed);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Complete,
    Incomplete,
    Gap,
}

fn scan(body: &[u8], cut: Cut, end: End) -> (Vec<Seen>, Result<(), Malformed>, ScanCounters) {
    let mut scanner = Scanner::new();
    scanner.reset(Charset::Sniffed);
    let mut seen = Vec::new();
    let mut sink = |message: &Message| seen.push(Seen::of(message));
    let mut outcome = Ok(());
    for piece in cut.pieces(body) {
        outcome = scanner.feed(piece, &mut sink);
    }
    if end == End::Gap {
        scanner.gap(&mut sink);
    }
    outcome = outcome.and(scanner.finish(end != End::Incomplete, &mut sink));
    (seen, outcome, *scanner.counters())
}

/// Wants every value, and writes down what it hears of each message.
#[derive(Debug, Default, PartialEq)]
struct Ear {
    seen: Vec<Seen>,
    heard: Vec<Vec<String>>,
    values: Vec<String>,
    text: Vec<u8>,
    json: Vec<u8>,
}

impl MessageSink for Ear {
    fn on_message(&mut self, message: &Message) {
        self.seen.push(Seen::of(message));
        self.values.push(format!("json of {}", String::from_utf8_lossy(&self.json)));
        self.heard.push(self.values.clone());
    }

    fn listener(&mut self) -> Option<&mut dyn Listener> {
        Some(self)
    }
}

impl Listener for Ear {
    fn begin(&mut self) {
        self.values.clear();
        self.text.clear();
        self.json.clear();
    }

    fn member(&mut self, scope: Scope, key: &[u8]) -> Wanted {
        self.values.push(format!("{scope:?} {}", String::from_utf8_lossy(key)));
        self.text.clear();
        Wanted { text: true, json: true }
    }

    fn text(&mut self, part: &[u8]) {
        self.text.extend_from_slice(part);
    }

    fn text_end(&mut self, is_string: bool) {
        let text = String::from_utf8_lossy(&self.text);
        self.values.push(if is_string { format!("text {text}") } else { "no text".to_owned() });
        self.text.clear();
    }

    fn json(&mut self, bytes: &[u8]) {
        self.json.extend_from_slice(bytes);
    }

    fn json_end(&mut self) {
        self.values.push(format!("json {}", String::from_utf8_lossy(&self.json)));
        self.json.clear();
    }

    fn tool_end(&mut self) {
        self.values.push("end of a tool".to_owned());
    }
}

fn listen(body: &[u8], cut: Cut, end: End) -> Ear {
    let mut scanner = Scanner::new();
    let mut ear = Ear::default();
    for piece in cut.pieces(body) {
        // That it is JSON is compared without listening.
        let _ = scanner.feed(piece, &mut ear);
    }
    if end == End::Gap {
        scanner.gap(&mut ear);
    }
    let _ = scanner.finish(end != End::Incomplete, &mut ear);
    ear.text.clear();
    ear.json.clear();
    ear.values.clear();
    ear
}

/// Looks at the messages of a whole body.
fn look(body: &[u8], mut sink: impl FnMut(&Message)) {
    let mut scanner = Scanner::new();
    // That it is JSON is compared elsewhere.
    let _ = scanner.feed(body, &mut sink);
    let _ = scanner.finish(true, &mut sink);
}

/// What serde_json reads, the scanner reads; and what the scanner reads is JSON
/// but for the leniences that it documents.
fn compare_verdict(body: &[u8], outcome: Result<(), Malformed>) {
    if is_other_encoding(body) {
        return;
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        assert_eq!(outcome, Ok(()), "serde_json reads it");
    }
    let deep = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 100;
    let lenient = |name: &[u8]| text.windows(name.len()).any(|window| window == name);
    if outcome.is_ok() && !deep && !lenient(b"NaN") && !lenient(b"Infinity") && !lenient(b"\x1e") {
        let documents = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
        for document in documents {
            assert!(document.is_ok(), "serde_json: {document:?}");
        }
    }
}

/// Whether the first bytes are taken for another encoding than UTF-8.
fn is_other_encoding(body: &[u8]) -> bool {
    body.iter().take(4).any(|byte| matches!(byte, 0 | 0xfe | 0xff))
}

/// The parts of a message are those that serde_json finds.
fn compare_content(body: &[u8], value: &Value) {
    let Value::Object(object) = value else { return };
    let mut messages = 0;
    look(body, |message| {
        messages += 1;
        let flags = message.flags();
        if flags.folded_keys || flags.cut {
            return;
        }
        let version = object.get("jsonrpc");
        assert_eq!(message.version() == Version::V2, version == Some(&"2.0".into()));
        assert_eq!(message.method(), object.get("method").and_then(Value::as_str));
        match (message.id(), object.get("id")) {
            (None, None) | (Some(Id::Null), Some(Value::Null)) => {}
            (Some(Id::String(text)), Some(Value::String(id))) => assert_eq!(text, id),
            (Some(Id::Number(_)), Some(Value::Number(_))) => {}
            (Some(Id::Other), Some(Value::Array(_) | Value::Object(_) | Value::Bool(_))) => {}
            (seen, there) => panic!("{seen:?} for {there:?}"),
        }
        let error = object.get("error").and_then(|error| error.get("message"));
        assert_eq!(message.error_message(), error.and_then(Value::as_str));
    });
    let folded = |key: &String| key.to_lowercase() == "jsonrpc";
    if !object.keys().any(|key| folded(key) && key != "jsonrpc") {
        assert_eq!(messages, usize::from(object.contains_key("jsonrpc")));
    }
}

/// White space and escapes change nothing.
fn compare_spelling(body: &[u8], seed: u8) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    if is_other_encoding(body) {
        return;
    }
    let contents = |body: &[u8]| {
        let mut seen = Vec::new();
        let mut cut = false;
        look(body, |message| {
            cut |= message.flags().cut;
            seen.push(Seen::content_of(message));
        });
        (seen, cut)
    };
    let (seen, cut) = contents(body);
    if !cut {
        let other = respelt(text, &mut Random::new(seed));
        assert_eq!(contents(other.as_bytes()).0, seen, "{other}");
    }
}

/// A JSON text with other white space and escapes.
fn respelt(json: &str, random: &mut Random) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut characters = json.chars();
    let mut in_string = false;
    while let Some(character) = characters.next() {
        match character {
            '"' => in_string = !in_string,
            '\\' => {
                out.push('\\');
                let escaped = characters.next();
                out.extend(escaped);
                if escaped == Some('u') {
                    out.extend(characters.by_ref().take(4));
                }
                continue;
            }
            '/' if in_string && random.below(2) == 0 => out.push('\\'),
            _ if in_string && random.below(3) == 0 => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
                continue;
            }
            _ => {}
        }
        out.push(character);
        if !in_string && "{}[],:".contains(character) {
            out.push_str(["", " ", "\t", "\r\n"][random.below(4)]);
        }
    }
    out
}
