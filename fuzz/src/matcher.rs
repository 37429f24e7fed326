//! The shipped automata: a body and the fields of a head, cut anywhere.
//!
//! Input: a byte whose low bit is the direction (set: to the client), a seed for
//! the cuts, then the bytes, which stand for every field.

use std::sync::OnceLock;

use mcpwatch::signature::{
    FieldMatcher, HitSet, Matcher, NameField, RequestFields, SignatureIndex, SignatureSet,
};
use mcpwatch::stream::{Direction, Header};

use super::input::{Cut, Input};

/// Runs the target.
pub fn run(data: &[u8]) {
    static SHIPPED: OnceLock<Matcher> = OnceLock::new();
    let matcher = SHIPPED.get_or_init(|| {
        let (matcher, _) = SignatureSet::builtin().compile().expect("the shipped sets compile");
        matcher
    });
    let mut input = Input::new(data);
    let direction = if input.byte() & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
    let seed = input.byte();
    let text = input.rest();
    let whole = body(matcher, text, Cut::Whole, direction);
    for cut in Cut::others(seed) {
        assert_eq!(body(matcher, text, cut, direction), whole, "{cut:?}");
    }
    assert_eq!(value(matcher, matcher.body(), text, direction), whole, "as a value");
    fields(matcher, text);
}

fn body(matcher: &Matcher, text: &[u8], cut: Cut, direction: Direction) -> Vec<SignatureIndex> {
    let mut hits = HitSet::new();
    let mut cursor = matcher.body().start(direction, &mut hits);
    for piece in cut.pieces(text) {
        matcher.body().feed(&mut cursor, piece, &mut hits);
    }
    matcher.body().finish(&cursor, &mut hits);
    matcher.signals(&hits).collect()
}

fn value(
    matcher: &Matcher,
    field: &FieldMatcher,
    text: &[u8],
    direction: Direction,
) -> Vec<SignatureIndex> {
    let mut hits = HitSet::new();
    field.value(direction, text, &mut hits);
    matcher.signals(&hits).collect()
}

fn fields(matcher: &Matcher, text: &[u8]) {
    let mut hits = HitSet::new();
    let header = |name: &'static str| Header { name: name.as_bytes(), value: text };
    let headers = ["user-agent", "mcp-session-id", "content-type", "accept", "link"].map(header);
    matcher.request(
        &RequestFields {
            method: text,
            host: Some(text),
            path: text,
            query: Some(text),
            headers: &headers,
        },
        &mut hits,
    );
    matcher.response(&headers, &mut hits);
    matcher.name(NameField::TlsSni, text, &mut hits);
    matcher.known_host(text, Some(text));
    assert!(matcher.signals(&hits).count() <= 10_000);
}
