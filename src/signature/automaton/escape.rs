//! JSON string escapes (RFC 8259 section 7), undone one byte at a time.
//!
//! An automaton with a JSON view reads bytes through this register: what is not
//! escaped goes through as it is, an escape becomes the bytes it stands for. An
//! escaped quote becomes [`QUOTE`], so that it can be told from one that ends a
//! string, and what stands for no character becomes [`INVALID`]; neither byte
//! occurs in UTF-8.

/// Stands for an escaped quote.
pub(crate) const QUOTE: u8 = 0xFF;

/// Stands for an escape without meaning: an unknown one, or half a surrogate pair.
pub(super) const INVALID: u8 = 0xFE;

/// Where in an escape the text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Escape {
    state: State,
    /// Hexadecimal digits read so far.
    code: u16,
    /// A high surrogate that waits for its other half; 0 for none.
    high: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not in an escape.
    #[default]
    Plain,
    /// After `\`.
    Backslash,
    /// After `\u` and this many digits.
    Hex(u8),
}

/// Bytes that became known: at most an invalid half and four of UTF-8 or a byte
/// that is no digit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    bytes: [u8; 6],
    len: usize,
}

impl Output {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

impl Escape {
    /// Whether bytes other than a backslash go through as they are.
    pub(super) fn is_plain(self) -> bool {
        self.state == State::Plain && self.high == 0
    }

    /// Reads one byte.
    pub(super) fn push(&mut self, byte: u8) -> Output {
        let mut output = Output::default();
        match self.state {
            State::Plain if byte == b'\\' => self.state = State::Backslash,
            State::Plain => {
                self.flush_high(&mut output);
                output.push(byte);
            }
            State::Backslash if byte == b'u' => {
                self.state = State::Hex(0);
                self.code = 0;
            }
            State::Backslash => {
                self.state = State::Plain;
                self.flush_high(&mut output);
                self.short(byte, &mut output);
            }
            State::Hex(digits) => self.hex(digits, byte, &mut output),
        }
        output
    }

    fn short(&mut self, byte: u8, output: &mut Output) {
        match byte {
            b'"' => output.push(QUOTE),
            b'\\' | b'/' => output.push(byte),
            b'b' => output.push(0x08),
            b'f' => output.push(0x0C),
            b'n' => output.push(b'\n'),
            b'r' => output.push(b'\r'),
            b't' => output.push(b'\t'),
            _ => {
                output.push(INVALID);
                output.push(byte);
            }
        }
    }

    fn hex(&mut self, digits: u8, byte: u8, output: &mut Output) {
        let Some(digit) = char::from(byte).to_digit(16) else {
            self.state = State::Plain;
            self.flush_high(output);
            output.push(INVALID);
            // The byte may end the string or begin the next escape.
            if byte == b'\\' {
                self.state = State::Backslash;
            } else {
                output.push(byte);
            }
            return;
        };
        self.code = self.code << 4 | digit as u16;
        if digits < 3 {
            self.state = State::Hex(digits + 1);
            return;
        }
        self.state = State::Plain;
        self.unit(self.code, output);
    }

    /// One UTF-16 code unit.
    fn unit(&mut self, unit: u16, output: &mut Output) {
        if let (0xD800..=0xDBFF, 0xDC00..=0xDFFF) = (self.high, unit) {
            let high = u32::from(self.high - 0xD800) << 10;
            self.high = 0;
            character(0x1_0000 + high + u32::from(unit - 0xDC00), output);
            return;
        }
        self.flush_high(output);
        match unit {
            0xD800..=0xDBFF => self.high = unit,
            0xDC00..=0xDFFF => output.push(INVALID),
            unit => character(u32::from(unit), output),
        }
    }

    fn flush_high(&mut self, output: &mut Output) {
        if self.high != 0 {
            self.high = 0;
            output.push(INVALID);
        }
    }
}

fn character(code: u32, output: &mut Output) {
    match char::from_u32(code) {
        Some('"') => output.push(QUOTE),
        Some(character) => {
            let mut bytes = [0; 4];
            for &byte in character.encode_utf8(&mut bytes).as_bytes() {
                output.push(byte);
            }
        }
        None => output.push(INVALID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescape(text: &str) -> Vec<u8> {
        let mut escape = Escape::default();
        text.bytes().flat_map(|byte| escape.push(byte).bytes().to_vec()).collect()
    }

    #[test]
    fn undoes_every_escape() {
        for (text, expected) in [
            ("plain", &b"plain"[..]),
            (r"\u0074ools\/c\u0061ll", b"tools/call"),
            (r"\u006D\u006d", b"mm"),
            (r"a\\b\b\f\n\r\t", b"a\\b\x08\x0C\n\r\t"),
            (r"\\u0061", b"\\u0061"),
            (r#"\"x\u0022"#, b"\xFFx\xFF"),
            (r"\u00e9\u017f\u212A", "é\u{17F}\u{212A}".as_bytes()),
            (r"\ud83d\ude00", "😀".as_bytes()),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_marked_and_ends_nothing_else() {
        for (text, expected) in [
            (r"\x", &b"\xFEx"[..]),
            (r#"\u12"x"#, b"\xFE\"x"),
            (r"\u12\n", b"\xFE\n"),
            (r"\ud83dx", b"\xFEx"),
            (r"\ud83d\n", b"\xFE\n"),
            (r"\ud83d\ud83d\ude00", b"\xFE\xF0\x9F\x98\x80"),
            (r"\ude00", b"\xFE"),
            (r"\ud83d\u0061", b"\xFEa"),
            (r"\ud83d\u00zz", b"\xFE\xFEzz"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }
}
