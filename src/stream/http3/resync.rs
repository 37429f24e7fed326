//! Finds frames again after the framing of a stream was lost.
//!
//! Nothing in a stream tells where a frame begins. But text has no zero bytes,
//! and the type of a DATA frame is one: so what is looked for is a zero byte, a
//! length of plausible size, and text. In a body that is not text this may be
//! wrong; but such a body is of no use anyway once a part of it is missing.

use super::super::quic::Varint;

/// The largest DATA frame that is believed.
const MAX_FRAME: u64 = 1 << 30;

/// How much of a DATA frame's beginning has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resync {
    /// Nothing.
    Type,
    /// Its type.
    Length(Varint),
    /// Its type and length.
    Payload(u64),
}

impl Resync {
    /// Takes bytes off the front of `data` up to the payload of a DATA frame,
    /// whose length it says.
    pub(super) fn search(&mut self, data: &mut &[u8]) -> Option<u64> {
        while let Some((&first, rest)) = data.split_first() {
            match self {
                Self::Type => {
                    let Some(zero) = memchr::memchr(0, data) else {
                        *data = &[];
                        break;
                    };
                    *data = &data[zero + 1..];
                    *self = Self::Length(Varint::default());
                }
                Self::Length(length) => match length.take(data) {
                    None => {}
                    // The zero may be the type.
                    Some(0) => *self = Self::Length(Varint::default()),
                    Some(length @ 1..=MAX_FRAME) => *self = Self::Payload(length),
                    Some(_) => *self = Self::Type,
                },
                Self::Payload(length) if is_text(first) => return Some(*length),
                Self::Payload(_) if first == 0 => {
                    *data = rest;
                    *self = Self::Length(Varint::default());
                }
                Self::Payload(_) => *self = Self::Type,
            }
        }
        None
    }
}

/// Whether text may begin with this byte, in UTF-8.
fn is_text(byte: u8) -> bool {
    const DELETE: u8 = 0x7f;
    (byte >= b' ' && byte != DELETE) || byte.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Cut;

    /// Where a DATA frame is found, and its length.
    fn found(stream: &[u8], cut: Cut) -> Option<(usize, u64)> {
        let mut resync = Resync::Type;
        let mut before = 0;
        for piece in cut.pieces(stream) {
            let mut data = piece;
            if let Some(length) = resync.search(&mut data) {
                return Some((before + piece.len() - data.len(), length));
            }
            before += piece.len();
        }
        None
    }

    #[test]
    fn data_frames_of_text_are_found() {
        for (name, stream, expected) in [
            ("at once", &b"\x00\x05hello"[..], Some((2, 5))),
            ("after text", b"rest of text\x00\x41\x00hello", Some((15, 256))),
            ("after an empty frame", b"text\x00\x00\x00\x05hello", Some((8, 5))),
            ("after its type", b"\x05hello\x00\x03abc", Some((8, 3))),
            ("binary", b"\x00\x05\x01\x02\x00\x05hello", Some((6, 5))),
            ("too large", b"\x00\xc0\0\0\0\x80\0\0\0hello", None),
            ("only text", b"nothing to be found", None),
            ("cut", b"text\x00\x05", None),
        ] {
            for cut in Cut::all() {
                assert_eq!(found(stream, cut), expected, "{name}, {cut:?}");
            }
        }
    }
}
