//! The chunked transfer coding (RFC 9112 section 7.1).

use super::reader::BlankLine;
use crate::stream::uri::hex_digit;

/// Where in a chunked body the reading stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunked {
    /// In the digits of a chunk's size.
    Size { value: u64, digits: bool },
    /// In what follows the size on its line.
    Extension { size: u64 },
    /// After the carriage return of the size's line.
    SizeEnd { size: u64 },
    /// In a chunk's data.
    Data { left: u64 },
    /// After a chunk's data.
    DataEnd,
    /// After the carriage return that follows a chunk's data.
    DataEndLineFeed,
    /// In the trailer section, which is not handed on.
    Trailer(BlankLine),
}

/// What a step of reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkStep {
    /// So many bytes of framing.
    Framing(usize),
    /// So many bytes of the body.
    Data(usize),
    /// The body ended after so many bytes.
    End(usize),
    /// After so many bytes comes one that does not fit.
    Bad(usize),
}

impl Chunked {
    pub(super) const fn new() -> Self {
        Self::Size { value: 0, digits: false }
    }

    /// Takes some of `data`, which must not be empty. `irregular` counts what
    /// a strict reader refuses.
    pub(super) fn step(&mut self, data: &[u8], irregular: &mut u64) -> ChunkStep {
        match *self {
            Self::Size { value, digits } => self.size(value, digits, data, irregular),
            Self::Extension { size } => match memchr::memchr(b'\n', data) {
                Some(end) => self.begin_chunk(size, end + 1),
                None => ChunkStep::Framing(data.len()),
            },
            Self::SizeEnd { size } if data.first() == Some(&b'\n') => self.begin_chunk(size, 1),
            Self::SizeEnd { .. } => ChunkStep::Bad(0),
            Self::Data { left } => self.data(left, data.len() as u64),
            Self::DataEnd => match data.first() {
                Some(b'\r') => self.move_on(Self::DataEndLineFeed),
                Some(b'\n') => {
                    *irregular += 1;
                    self.move_on(Self::new())
                }
                _ => ChunkStep::Bad(0),
            },
            Self::DataEndLineFeed if data.first() == Some(&b'\n') => self.move_on(Self::new()),
            Self::DataEndLineFeed => ChunkStep::Bad(0),
            Self::Trailer(mut blank) => match blank.find(data) {
                Some(used) => ChunkStep::End(used),
                None => {
                    *self = Self::Trailer(blank);
                    ChunkStep::Framing(data.len())
                }
            },
        }
    }

    /// Takes `len` lost bytes, if they lie in the current chunk's data.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        match *self {
            Self::Data { left } if len <= left => {
                self.data(left, len);
                true
            }
            _ => false,
        }
    }

    fn size(&mut self, value: u64, digits: bool, data: &[u8], irregular: &mut u64) -> ChunkStep {
        let (mut value, mut digits) = (value, digits);
        for (at, &byte) in data.iter().enumerate() {
            let digit = hex_digit(byte);
            let longer = digit.and_then(|digit| value.checked_mul(16)?.checked_add(digit.into()));
            match (byte, longer) {
                (_, Some(longer)) => {
                    value = longer;
                    digits = true;
                }
                _ if digit.is_some() || !digits => return ChunkStep::Bad(at),
                (b'\r', _) => {
                    *self = Self::SizeEnd { size: value };
                    return ChunkStep::Framing(at + 1);
                }
                (b'\n', _) => {
                    *irregular += 1;
                    return self.begin_chunk(value, at + 1);
                }
                (b';' | b' ' | b'\t', _) => {
                    *irregular += u64::from(byte != b';');
                    *self = Self::Extension { size: value };
                    return ChunkStep::Framing(at + 1);
                }
                _ => return ChunkStep::Bad(at),
            }
        }
        *self = Self::Size { value, digits };
        ChunkStep::Framing(data.len())
    }

    fn begin_chunk(&mut self, size: u64, used: usize) -> ChunkStep {
        *self = match size {
            0 => Self::Trailer(BlankLine::default()),
            _ => Self::Data { left: size },
        };
        ChunkStep::Framing(used)
    }

    fn data(&mut self, left: u64, available: u64) -> ChunkStep {
        let used = left.min(available);
        *self = if used == left { Self::DataEnd } else { Self::Data { left: left - used } };
        // Not more than what is available, which came from a usize.
        ChunkStep::Data(used as usize)
    }

    fn move_on(&mut self, next: Self) -> ChunkStep {
        *self = next;
        ChunkStep::Framing(1)
    }
}

/// Whether the first bytes after a gap are the framing of a next chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkStart {
    /// So many bytes belong to the chunk before.
    Yes(usize),
    No,
    Unsure,
}

/// Senders of event streams write each event as a chunk, and packets are lost
/// whole: after a gap a chunk often begins at once. A size line of its own is
/// asked for, of at most eight digits and without extension; a last chunk must
/// come with its empty line. Where that was chance, the end of the chunk gives
/// it away.
pub(super) fn chunk_start(data: &[u8]) -> ChunkStart {
    let lead = match data {
        [] | [b'\r'] => return ChunkStart::Unsure,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    let line = &data[lead..];
    let digits = line.iter().take_while(|&&byte| hex_digit(byte).is_some()).count();
    let last = line[..digits].iter().all(|&byte| byte == b'0');
    let end: &[u8] = if last { b"\r\n\r\n" } else { b"\r\n" };
    let rest = &line[digits..];
    match digits {
        9.. => ChunkStart::No,
        0 if !rest.is_empty() => ChunkStart::No,
        1.. if rest.starts_with(end) => ChunkStart::Yes(lead),
        _ if end.starts_with(rest) => ChunkStart::Unsure,
        _ => ChunkStart::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Cut;

    /// The body, how many bytes were used, and how it ended: `Some(true)` for
    /// well, `None` for not yet.
    fn decode(input: &[u8], cut: Cut) -> (Vec<u8>, usize, Option<bool>, u64) {
        let (mut body, mut used, mut irregular) = (Vec::new(), 0, 0);
        let mut chunked = Chunked::new();
        for piece in cut.pieces(input) {
            let mut at = 0;
            while at < piece.len() {
                match chunked.step(&piece[at..], &mut irregular) {
                    ChunkStep::Framing(len) => at += len,
                    ChunkStep::Data(len) => {
                        body.extend_from_slice(&piece[at..at + len]);
                        at += len;
                    }
                    ChunkStep::End(len) => return (body, used + at + len, Some(true), irregular),
                    ChunkStep::Bad(len) => return (body, used + at + len, Some(false), irregular),
                }
            }
            used += at;
        }
        (body, used, None, irregular)
    }

    #[test]
    fn bodies_are_put_together() {
        type Row<'a> = (&'a str, &'a str, &'a str, Option<bool>, u64);
        let rows: &[Row<'_>] = &[
            ("one", "5\r\nhello\r\n0\r\n\r\n", "hello", Some(true), 0),
            ("two", "2\r\nhe\r\n003\r\nllo\r\n000\r\n\r\n", "hello", Some(true), 0),
            (
                "hexadecimal",
                "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
                "01234567890123456789",
                Some(true),
                0,
            ),
            ("extension", "5;a=\"b;c\"\r\nhello\r\n0;x\r\n\r\n", "hello", Some(true), 0),
            ("space", "5 \r\nhello\r\n0\r\n\r\n", "hello", Some(true), 1),
            ("trailers", "5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", "hello", Some(true), 0),
            ("bare line feeds", "5\nhello\n0\n\n", "hello", Some(true), 3),
            ("unfinished", "5\r\nhel", "hel", None, 0),
            ("no digits", "\r\nhello", "", Some(false), 0),
            ("prefix", "0x5\r\nhello", "", Some(false), 0),
            ("sign", "+5\r\nhello", "", Some(false), 0),
            ("too large", "10000000000000000\r\nhello", "", Some(false), 0),
            ("largest", "ffffffffffffffff\r\nhello", "hello", None, 0),
            ("too long", "5\r\nhello!\r\n", "hello", Some(false), 0),
            ("bare carriage return", "5\rhello", "", Some(false), 0),
        ];
        for (name, input, body, ended, irregular) in rows {
            for cut in Cut::all() {
                let found = decode(input.as_bytes(), cut);
                assert_eq!(found.0, body.as_bytes(), "{name}, {cut:?}");
                assert_eq!((found.2, found.3), (*ended, *irregular), "{name}, {cut:?}");
                assert_eq!(found.1, decode(input.as_bytes(), Cut::Whole).1, "{name}, {cut:?}");
            }
        }
    }

    #[test]
    fn a_chunk_after_a_gap_is_recognised() {
        for (input, expected) in [
            ("1f\r\ndata", ChunkStart::Yes(0)),
            ("\r\n1f\r\n", ChunkStart::Yes(2)),
            ("0\r\n\r\n", ChunkStart::Yes(0)),
            ("0\r\nx", ChunkStart::No),
            ("0\r\n", ChunkStart::Unsure),
            ("1f\r", ChunkStart::Unsure),
            ("1f", ChunkStart::Unsure),
            ("\r", ChunkStart::Unsure),
            ("\r\n", ChunkStart::Unsure),
            ("", ChunkStart::Unsure),
            ("1f;a\r\n", ChunkStart::No),
            ("123456789\r\n", ChunkStart::No),
            ("data: x\n", ChunkStart::No),
            ("\rx", ChunkStart::No),
            ("\r\n\r\n", ChunkStart::No),
        ] {
            assert_eq!(chunk_start(input.as_bytes()), expected, "{input:?}");
        }
    }
}
