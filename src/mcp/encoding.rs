//! Character encodings of a JSON body: bytes as sent in, UTF-8 out.
//!
//! A JSON text begins with an ASCII character, so its first four bytes say in
//! which encoding it is (RFC 4627 section 3), with or without a byte order
//! mark; real servers decide so too, whatever `charset` says. Only UTF-7
//! (RFC 2152) looks like ASCII and must be declared to be understood.
//!
//! UTF-8 is passed on as it came, without a copy and without a check; the
//! other encodings are transcoded through a small buffer. Lone surrogates and
//! code points beyond Unicode become U+FFFD.

/// The character encoding a `Content-Type` declares, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Charset {
    /// None, or one that the bytes themselves show or refute.
    #[default]
    Sniffed,
    /// UTF-7, which servers built on `iconv-lite` decode when it is declared.
    Utf7,
}

impl Charset {
    /// From the value of a `Content-Type` header field.
    pub fn from_content_type(value: &[u8]) -> Self {
        let declared = value
            .split(|&byte| byte == b';')
            .skip(1)
            .filter_map(|parameter| parameter.split_once_byte(b'='))
            .find(|(name, _)| name.trim_ascii().eq_ignore_ascii_case(b"charset"))
            .map(|(_, label)| label.trim_ascii().trim_quotes());
        match declared {
            Some(label) if is_utf7(label) => Self::Utf7,
            _ => Self::Sniffed,
        }
    }
}

/// Turns a body into UTF-8, in whatever pieces it comes.
#[derive(Clone, Debug)]
pub struct Decoder {
    mode: Mode,
    /// Bytes of an unfinished unit (or of the yet undecided beginning).
    held: [u8; 4],
    held_len: u8,
    /// A UTF-16 high surrogate that waits for its low one.
    high: Option<u16>,
    shift: Shift,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Undecided,
    Utf8,
    Utf16 { big: bool },
    Utf32 { big: bool },
    Utf7,
}

/// Where in a base64 run of UTF-7 the decoder is.
#[derive(Clone, Copy, Debug, Default)]
struct Shift {
    active: bool,
    empty: bool,
    bits: u32,
    count: u8,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Charset::Sniffed)
    }
}

impl Decoder {
    /// A decoder for one body.
    pub const fn new(charset: Charset) -> Self {
        let mode = match charset {
            Charset::Sniffed => Mode::Undecided,
            Charset::Utf7 => Mode::Utf7,
        };
        let shift = Shift { active: false, empty: false, bits: 0, count: 0 };
        Self { mode, held: [0; 4], held_len: 0, high: None, shift }
    }

    /// Whether the body is known to be UTF-8: from here on [`feed`](Self::feed)
    /// hands over its input as it is.
    pub fn passes_through(&self) -> bool {
        self.mode == Mode::Utf8
    }

    /// Whether the body is known, with `input` to come next, to be in another
    /// encoding than UTF-8.
    pub fn transcodes(&self, input: &[u8]) -> bool {
        let mut ahead = self.clone();
        if ahead.mode == Mode::Undecided {
            ahead.sniff(input);
        }
        !matches!(ahead.mode, Mode::Undecided | Mode::Utf8)
    }

    /// Decodes `input`, handing each piece of UTF-8 to `out`.
    pub fn feed(&mut self, mut input: &[u8], mut out: impl FnMut(&[u8])) {
        if self.mode == Mode::Undecided {
            input = self.sniff(input);
            self.flush_undecided(&mut out);
        }
        match self.mode {
            Mode::Undecided => {}
            Mode::Utf8 if input.is_empty() => {}
            Mode::Utf8 => out(input),
            _ => self.transcode(input, &mut Buffer::new(&mut out)),
        }
    }

    /// Ends the body: what was held back is handed to `out`.
    pub fn finish(&mut self, mut out: impl FnMut(&[u8])) {
        if self.mode == Mode::Undecided {
            self.mode = Mode::Utf8;
            self.flush_undecided(&mut out);
            return;
        }
        let unfinished = self.held_len > 0 || self.high.take().is_some();
        self.held_len = 0;
        if unfinished && self.mode != Mode::Utf8 {
            Buffer::new(&mut out).push(char::REPLACEMENT_CHARACTER);
        }
    }

    /// Takes bytes off `input` until they tell the encoding; returns the rest.
    fn sniff<'a>(&mut self, mut input: &'a [u8]) -> &'a [u8] {
        loop {
            let held = self.held.get(..usize::from(self.held_len)).unwrap_or_default();
            if let Some((mode, mark)) = encoding_of(held) {
                self.mode = mode;
                self.held.copy_within(usize::from(mark).., 0);
                self.held_len = self.held_len.saturating_sub(mark);
                return input;
            }
            let Some((&byte, rest)) = input.split_first() else { return input };
            self.hold(byte);
            input = rest;
        }
    }

    /// Once the encoding is known, decodes the bytes that were held to learn it.
    fn flush_undecided(&mut self, out: &mut impl FnMut(&[u8])) {
        if self.mode == Mode::Undecided || self.held_len == 0 {
            return;
        }
        let (held, len) = (self.held, usize::from(std::mem::take(&mut self.held_len)));
        let bytes = held.get(..len).unwrap_or_default();
        match self.mode {
            Mode::Utf8 => out(bytes),
            _ => self.transcode(bytes, &mut Buffer::new(out)),
        }
    }

    fn transcode<F: FnMut(&[u8])>(&mut self, input: &[u8], out: &mut Buffer<'_, F>) {
        for &byte in input {
            match self.mode {
                Mode::Undecided | Mode::Utf8 => {}
                Mode::Utf7 => self.utf7(byte, out),
                Mode::Utf16 { big } => {
                    self.hold(byte);
                    if let [a, b, ..] = self.held
                        && self.held_len == 2
                    {
                        self.held_len = 0;
                        let unit = if big { [a, b] } else { [b, a] };
                        self.utf16(u16::from_be_bytes(unit), out);
                    }
                }
                Mode::Utf32 { big } => {
                    self.hold(byte);
                    if self.held_len == 4 {
                        self.held_len = 0;
                        let unit = self.held;
                        let code =
                            if big { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) };
                        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                }
            }
        }
    }

    fn hold(&mut self, byte: u8) {
        if let Some(slot) = self.held.get_mut(usize::from(self.held_len)) {
            *slot = byte;
            self.held_len += 1;
        }
    }

    fn utf16<F: FnMut(&[u8])>(&mut self, unit: u16, out: &mut Buffer<'_, F>) {
        match (self.high.take(), unit) {
            (Some(high), 0xDC00..=0xDFFF) => out.push(join_surrogates(high, unit)),
            (high, _) => {
                if high.is_some() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
                match unit {
                    0xD800..=0xDBFF => self.high = Some(unit),
                    _ => {
                        out.push(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
                    }
                }
            }
        }
    }

    fn utf7<F: FnMut(&[u8])>(&mut self, byte: u8, out: &mut Buffer<'_, F>) {
        if !self.shift.active {
            match byte {
                b'+' => self.shift = Shift { active: true, empty: true, bits: 0, count: 0 },
                0..=0x7F => out.push(byte.into()),
                _ => out.push(char::REPLACEMENT_CHARACTER),
            }
            return;
        }
        let Some(sextet) = base64_value(byte) else {
            return self.end_shift(byte, out);
        };
        self.shift.empty = false;
        self.shift.bits = (self.shift.bits << 6) | u32::from(sextet);
        self.shift.count += 6;
        if self.shift.count >= 16 {
            self.shift.count -= 16;
            let unit = (self.shift.bits >> self.shift.count) & 0xFFFF;
            self.utf16(u16::try_from(unit).unwrap_or_default(), out);
        }
    }

    fn end_shift<F: FnMut(&[u8])>(&mut self, byte: u8, out: &mut Buffer<'_, F>) {
        let empty = std::mem::take(&mut self.shift).empty;
        if self.high.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
        match byte {
            b'-' if empty => out.push('+'),
            b'-' => {}
            _ => self.utf7(byte, out),
        }
    }
}

/// The character of a surrogate pair; `high` and `low` must be such.
pub(super) fn join_surrogates(high: u16, low: u16) -> char {
    let code = 0x1_0000 + ((u32::from(high) & 0x3FF) << 10) + (u32::from(low) & 0x3FF);
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The value of a digit of base64 (RFC 4648 section 4).
pub(super) const fn base64_value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// What the first bytes say, as soon as they do: the encoding, and how many of
/// them are a byte order mark.
fn encoding_of(head: &[u8]) -> Option<(Mode, u8)> {
    Some(match *head {
        [] | [0] | [0xEF] | [0xEF, 0xBB] | [0xFE] | [0xFF] => return None,
        [0xEF, 0xBB, 0xBF, ..] => (Mode::Utf8, 3),
        [0xFE, 0xFF, ..] => (Mode::Utf16 { big: true }, 2),
        [0xFF, 0xFE, 0, 0] => (Mode::Utf32 { big: false }, 4),
        [0xFF, 0xFE] | [0xFF, 0xFE, 0] => return None,
        [0xFF, 0xFE, ..] => (Mode::Utf16 { big: false }, 2),
        [0, 0, 0xFE, 0xFF] => (Mode::Utf32 { big: true }, 4),
        [0, 0] | [0, 0, _] => return None,
        [0, 0, ..] => (Mode::Utf32 { big: true }, 0),
        [0, ..] => (Mode::Utf16 { big: true }, 0),
        [_] | [_, 0] | [_, 0, 0] => return None,
        [_, 0, 0, 0] => (Mode::Utf32 { big: false }, 0),
        [_, 0, ..] => (Mode::Utf16 { big: false }, 0),
        _ => (Mode::Utf8, 0),
    })
}

fn is_utf7(label: &[u8]) -> bool {
    [b"utf-7".as_slice(), b"utf7", b"unicode-1-1-utf-7"]
        .iter()
        .any(|name| label.eq_ignore_ascii_case(name))
}

/// Collects characters and hands them on in pieces.
struct Buffer<'a, F: FnMut(&[u8])> {
    bytes: [u8; 256],
    len: usize,
    out: &'a mut F,
}

impl<'a, F: FnMut(&[u8])> Buffer<'a, F> {
    fn new(out: &'a mut F) -> Self {
        Self { bytes: [0; 256], len: 0, out }
    }

    fn push(&mut self, character: char) {
        if self.len + 4 > self.bytes.len() {
            self.flush();
        }
        let mut utf8 = [0; 4];
        let utf8 = character.encode_utf8(&mut utf8).as_bytes();
        if let Some(room) = self.bytes.get_mut(self.len..self.len + utf8.len()) {
            room.copy_from_slice(utf8);
            self.len += utf8.len();
        }
    }

    fn flush(&mut self) {
        if self.len > 0 {
            (self.out)(self.bytes.get(..self.len).unwrap_or_default());
            self.len = 0;
        }
    }
}

impl<F: FnMut(&[u8])> Drop for Buffer<'_, F> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What header parameters need of byte strings.
trait ByteText {
    fn split_once_byte(&self, separator: u8) -> Option<(&[u8], &[u8])>;
    fn trim_quotes(&self) -> &[u8];
}

impl ByteText for [u8] {
    fn split_once_byte(&self, separator: u8) -> Option<(&[u8], &[u8])> {
        let at = self.iter().position(|&byte| byte == separator)?;
        Some((self.get(..at)?, self.get(at + 1..)?))
    }

    fn trim_quotes(&self) -> &[u8] {
        self.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `bytes` cut into pieces of `size`.
    fn decode(charset: Charset, bytes: &[u8], size: usize) -> String {
        let mut decoder = Decoder::new(charset);
        let mut text = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.feed(piece, |utf8| text.extend_from_slice(utf8));
        }
        decoder.finish(|utf8| text.extend_from_slice(utf8));
        String::from_utf8(text).unwrap()
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    fn utf32(text: &str, big: bool) -> Vec<u8> {
        text.chars()
            .map(u32::from)
            .flat_map(|code| if big { code.to_be_bytes() } else { code.to_le_bytes() })
            .collect()
    }

    #[test]
    fn every_unicode_encoding_with_and_without_mark_in_any_pieces() {
        let text = "{\"a\":\"h\u{e9}llo \u{20ac} \u{1f600}\"}";
        let marked = format!("\u{feff}{text}");
        let variants = [
            text.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf16(text, true),
            utf16(text, false),
            utf16(&marked, true),
            utf16(&marked, false),
            utf32(text, true),
            utf32(text, false),
            utf32(&marked, true),
            utf32(&marked, false),
        ];
        for (index, bytes) in variants.iter().enumerate() {
            for size in [1, 2, 3, 5, 7, 1000] {
                assert_eq!(decode(Charset::Sniffed, bytes, size), text, "{index}, {size}");
            }
        }
    }

    #[test]
    fn lone_surrogates_and_unfinished_units_become_replacement_characters() {
        let mut bytes = utf16("[\"x", false);
        bytes.extend_from_slice(&[0x00, 0xD8, b'y', 0, 0x01, 0xDC, 0x02, 0xD8]);
        for size in [1, 2, 3, 100] {
            assert_eq!(
                decode(Charset::Sniffed, &bytes, size),
                "[\"x\u{fffd}y\u{fffd}\u{fffd}",
                "{size}"
            );
        }
        let cut = &utf32("[1]", true)[..10];
        assert_eq!(decode(Charset::Sniffed, cut, 100), "[1\u{fffd}");
    }

    #[test]
    fn short_bodies_are_utf8() {
        for text in ["", "1", "{", "{}", "[1"] {
            assert_eq!(decode(Charset::Sniffed, text.as_bytes(), 1), text);
        }
    }

    #[test]
    fn utf8_is_handed_over_without_a_copy() {
        let mut decoder = Decoder::default();
        decoder.feed(b"{\"a\"", |_| {});
        assert!(decoder.passes_through());
        let body = b":1}";
        decoder.feed(body, |piece| assert!(std::ptr::eq(piece, body)));
    }

    #[test]
    fn utf7_only_when_declared() {
        let body = b"+AHs-\"m\":\"tools+AC8-list\",\"e\":\"+2D3eAA-\",\"p\":\"1+-1\"}";
        let declared = Charset::from_content_type(b"application/json; Charset=\"UTF-7\"");
        assert_eq!(declared, Charset::Utf7);
        for size in [1, 3, 100] {
            assert_eq!(
                decode(declared, body, size),
                "{\"m\":\"tools/list\",\"e\":\"\u{1f600}\",\"p\":\"1+1\"}"
            );
        }
        assert_eq!(decode(Charset::Sniffed, body, 4), String::from_utf8_lossy(body));
        for other in [&b"application/json"[..], b"application/json; charset=utf-16", b"", b";="] {
            assert_eq!(Charset::from_content_type(other), Charset::Sniffed);
        }
    }
}
