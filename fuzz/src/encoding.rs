//! Character encodings: any bytes, cut anywhere, and text in every encoding.
//!
//! Input: a byte of options (bits 0 and 1 choose the encoding of the text, bit
//! 2: UTF-7 is declared), a seed for the cuts, then the bytes, which are also
//! taken as the text.

use mcpwatch::mcp::{Charset, Decoder, Message, Scanner};

use super::input::{Cut, Input};
use super::messages::Seen;

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte(), input.byte());
    let bytes = input.rest();
    let charset = if options & 4 == 0 { Charset::Sniffed } else { Charset::Utf7 };
    compare_cuts(bytes, charset, seed);
    let text = String::from_utf8_lossy(bytes);
    // A byte order mark alone tells little; one of UTF-16 and a zero are the one
    // of UTF-32.
    if text.is_empty() || text.starts_with(['\0', '\u{feff}']) {
        return;
    }
    let marked = encode(&format!("\u{feff}{text}"), options & 3);
    compare_cuts(&marked, Charset::Sniffed, seed);
    assert_eq!(String::from_utf8_lossy(&decode(&marked, Charset::Sniffed, Cut::Whole)), text);
    assert_eq!(contents(&marked), contents(text.as_bytes()));
}

fn compare_cuts(bytes: &[u8], charset: Charset, seed: u8) {
    let whole = decode(bytes, charset, Cut::Whole);
    for cut in Cut::others(seed) {
        assert!(decode(bytes, charset, cut) == whole, "{cut:?}");
    }
}

fn decode(bytes: &[u8], charset: Charset, cut: Cut) -> Vec<u8> {
    let mut decoder = Decoder::new(charset);
    let mut out = Vec::new();
    for piece in cut.pieces(bytes) {
        decoder.feed(piece, |utf8| out.extend_from_slice(utf8));
    }
    decoder.finish(|utf8| out.extend_from_slice(utf8));
    out
}

fn encode(text: &str, encoding: u8) -> Vec<u8> {
    match encoding {
        0 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        1 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        2 => text.chars().flat_map(|character| u32::from(character).to_le_bytes()).collect(),
        _ => text.chars().flat_map(|character| u32::from(character).to_be_bytes()).collect(),
    }
}

fn contents(body: &[u8]) -> Vec<Seen> {
    let mut scanner = Scanner::new();
    let mut seen = Vec::new();
    let mut sink = |message: &Message| seen.push(Seen::content_of(message));
    // What is no JSON gives no more messages.
    let _ = scanner.feed(body, &mut sink);
    let _ = scanner.finish(true, &mut sink);
    seen
}
