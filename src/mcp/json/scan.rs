//! The smallest parts of JSON: numbers, literal names, runs of plain text.

/// Where in a number the tokenizer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// A literal name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mcp) enum Literal {
    Null,
    True,
    False,
    NotANumber,
    Infinity,
}

impl Number {
    /// Where `byte` leads, if it belongs to the number.
    #[inline]
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Integer, b'0'..=b'9') => Some(Self::Integer),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Some(Self::ExponentDigits)
            }
            _ => None,
        }
    }

    /// Whether a digit leads nowhere else.
    #[inline]
    pub(super) fn takes_digits(self) -> bool {
        matches!(self, Self::Integer | Self::Fraction | Self::ExponentDigits)
    }

    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }
}

impl Literal {
    pub(super) fn name(self) -> &'static [u8] {
        match self {
            Self::Null => b"null",
            Self::True => b"true",
            Self::False => b"false",
            Self::NotANumber => b"NaN",
            Self::Infinity => b"Infinity",
        }
    }
}

/// Behind the key that begins here and its colon, if both are whole and right.
#[inline]
pub(super) fn past_key(input: &[u8], at: usize) -> Option<usize> {
    let at = skip_space(input, at);
    let begin = input.get(at).filter(|&&byte| byte == b'"').map(|_| at + 1)?;
    let at = skip_space(input, past_text(input, begin)?);
    input.get(at).filter(|&&byte| byte == b':').map(|_| at + 1)
}

/// Behind the string, number or literal name that begins here, if it is whole and right.
#[inline]
pub(super) fn past_scalar(input: &[u8], at: usize) -> Option<usize> {
    let name = match input.get(at)? {
        b'"' => return past_text(input, at + 1),
        b'-' => return past_number(input, at + 1, Number::Minus),
        b'0' => return past_number(input, at + 1, Number::Zero),
        b'1'..=b'9' => return past_number(input, at + 1, Number::Integer),
        b'n' => Literal::Null.name(),
        b't' => Literal::True.name(),
        b'f' => Literal::False.name(),
        _ => return None,
    };
    input.get(at..)?.starts_with(name).then_some(at + name.len())
}

/// Behind the quote that ends the string whose text goes on here.
#[inline]
fn past_text(input: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = end_of_plain_text(input, at);
        match input.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = past_escape(input, at + 1)?,
            _ => return None,
        }
    }
}

/// Behind what follows a backslash.
fn past_escape(input: &[u8], at: usize) -> Option<usize> {
    match input.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = input.get(at + 1..at + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

/// Behind the number that goes on here, if something else follows it.
#[inline]
fn past_number(input: &[u8], mut at: usize, mut number: Number) -> Option<usize> {
    loop {
        let byte = *input.get(at)?;
        if !(byte.is_ascii_digit() && number.takes_digits()) {
            match number.next(byte) {
                Some(next) => number = next,
                None => return number.may_end().then_some(at),
            }
        }
        at += 1;
    }
}

/// Separates the texts of a JSON text sequence (RFC 7464).
pub(super) const RECORD_SEPARATOR: u8 = 0x1E;

pub(super) fn begins_value(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b'n' | b't' | b'f' | b'N' | b'I')
}

#[inline]
pub(super) fn skip_space(input: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = input.get(at) {
        at += 1;
    }
    at
}

/// Index of the first quote, backslash or control character from `at` on, or
/// the length of `input`: eight bytes at a time.
#[inline]
pub(super) fn end_of_plain_text(input: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    while let Some(chunk) = input.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // The lowest set top bit is exact: a borrow only spoils higher bytes.
        let special = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        if special & TOPS != 0 {
            return at + (special & TOPS).trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = input.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..=0x1F) {
            break;
        }
        at += 1;
    }
    at
}
