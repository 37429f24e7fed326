//! Integers and string literals (RFC 7541 section 5; also QPACK's, RFC 9204
//! section 4.1).

use super::huffman::{self, BadHuffman};

/// Bytes of an integer after its prefix. More than these would only be padding:
/// they hold every value of 32 bits.
const MAX_CONTINUATION: usize = 5;

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes end before what is read does.
    More,
    /// An integer over 32 bits.
    Overflow,
    /// A string over the cap.
    TooLong,
}

/// Reads an integer whose first byte holds `prefix` (1 to 8) bits of it.
/// Returns it with its length.
pub(crate) fn integer(input: &[u8], prefix: u32) -> Result<(u32, usize), Stop> {
    let (&first, rest) = input.split_first().ok_or(Stop::More)?;
    let mask = (1u32 << prefix) - 1;
    let start = u32::from(first) & mask;
    if start < mask {
        return Ok((start, 1));
    }
    let mut value = u64::from(start);
    for (index, &byte) in rest.iter().take(MAX_CONTINUATION).enumerate() {
        value += u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| Stop::Overflow)?;
            return Ok((value, index + 2));
        }
    }
    Err(if rest.len() < MAX_CONTINUATION { Stop::More } else { Stop::Overflow })
}

/// A string as it stands in a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal<'a> {
    huffman: bool,
    encoded: &'a [u8],
}

impl<'a> Literal<'a> {
    /// Reads a string whose length has `prefix` bits in the first byte, the bit
    /// before which tells the coding. Returns it with the bytes it took.
    /// `limit` is on the length as encoded.
    pub(crate) fn read(input: &'a [u8], prefix: u32, limit: usize) -> Result<(Self, usize), Stop> {
        let (len, header) = integer(input, prefix)?;
        let len = usize::try_from(len).map_err(|_| Stop::TooLong)?;
        if len > limit {
            return Err(Stop::TooLong);
        }
        let encoded = input.get(header..header + len).ok_or(Stop::More)?;
        let huffman = input.first().is_some_and(|first| first >> prefix & 1 == 1);
        Ok((Self { huffman, encoded }, header + len))
    }

    /// Appends the string. After an error, what was appended has no meaning.
    pub(crate) fn decode(&self, out: &mut Vec<u8>) -> Result<(), BadHuffman> {
        if self.huffman {
            return huffman::decode(self.encoded, out);
        }
        out.extend_from_slice(self.encoded);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        type Row<'a> = (&'a str, &'a [u8], u32, Result<(u32, usize), Stop>);
        let rows: &[Row<'_>] = &[
            ("RFC 7541 C.1.1: 10 in 5 bits", &[0b1110_1010], 5, Ok((10, 1))),
            ("C.1.2: 1337 in 5 bits", &[0x1f, 0x9a, 0x0a], 5, Ok((1337, 3))),
            ("C.1.3: 42 in 8 bits", &[0x2a], 8, Ok((42, 1))),
            ("just the prefix", &[0x7f, 0], 7, Ok((127, 2))),
            ("what follows is left", &[0x05, 0xff], 7, Ok((5, 1))),
            ("padded", &[0x1f, 0x80, 0x80, 0x80, 0x80, 0], 5, Ok((31, 6))),
            ("padded too long", &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0], 5, Err(Stop::Overflow)),
            ("largest", &[0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f], 5, Ok((u32::MAX, 6))),
            ("one more", &[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f], 5, Err(Stop::Overflow)),
            ("all ones", &[0xff; 12], 7, Err(Stop::Overflow)),
            ("nothing", &[], 7, Err(Stop::More)),
            ("cut", &[0x1f, 0x9a], 5, Err(Stop::More)),
        ];
        for (name, input, prefix, expected) in rows {
            assert_eq!(integer(input, *prefix), *expected, "{name}");
        }
    }

    #[test]
    fn strings() {
        let plain = Literal { huffman: false, encoded: b"ab" };
        assert_eq!(Literal::read(b"\x02abc", 7, 10), Ok((plain, 3)));
        assert_eq!(Literal::read(b"\x02a", 7, 10), Err(Stop::More));
        assert_eq!(Literal::read(b"\x0b", 7, 10), Err(Stop::TooLong));
        assert_eq!(Literal::read(b"", 7, 10), Err(Stop::More));
        // A prefix of 3 bits, as QPACK has: the coding is the fourth.
        let coded = Literal { huffman: true, encoded: &[0x1f] };
        assert_eq!(Literal::read(&[0b0010_1001, 0x1f], 3, 10), Ok((coded, 2)));
        let mut out = Vec::new();
        assert_eq!(coded.decode(&mut out), Ok(()));
        assert_eq!(out, b"a");
    }
}
