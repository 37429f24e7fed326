//! Frames of a packet (RFC 9000 section 19). What is not read is skipped; since
//! frames do not tell their length, each type must be known for that.

use super::id::ConnectionId;
use super::wire::{varint, vector};
use crate::stream::tls::wire::Reader;

/// A frame that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Crypto { offset: u64, data: &'a [u8] },
    Stream { id: u64, offset: u64, data: &'a [u8], fin: bool },
    Reset { id: u64 },
    NewConnectionId(ConnectionId),
    Close,
}

/// Why the rest of a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadFrame {
    Malformed,
    UnknownType,
}

/// The frames of a packet that say something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames<'a> {
    reader: Reader<'a>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload) }
    }

    /// The next frame; an inner `None` for one that says nothing here.
    fn frame(&mut self, kind: u64) -> Result<Option<Frame<'a>>, BadFrame> {
        let reader = &mut self.reader;
        let frame = match kind {
            0x00 | 0x01 | 0x1e | 0x1f => return Ok(None),
            0x02 | 0x03 => return skip(ack(reader, kind == 0x03)),
            0x04 => reset(reader, 2),
            0x05 | 0x11 | 0x15 => return skip(integers(reader, 2)),
            0x06 => crypto(reader),
            0x07 => return skip(vector(reader)),
            0x08..=0x0f => stream(reader, kind),
            0x10 | 0x12 | 0x13 | 0x14 | 0x16 | 0x17 | 0x19 => return skip(integers(reader, 1)),
            0x18 => new_connection_id(reader),
            0x1a | 0x1b => return skip(reader.take(8)),
            0x1c => close(reader, 2),
            0x1d => close(reader, 1),
            // RESET_STREAM_AT of reliable stream resets.
            0x24 => reset(reader, 3),
            // DATAGRAM (RFC 9221).
            0x30 => return skip(reader.take(reader.rest().len())),
            0x31 => return skip(vector(reader)),
            // ACK_FREQUENCY; its IMMEDIATE_ACK, as the drafts until 2023 number it.
            0xaf => return skip(integers(reader, 4)),
            0xac => return Ok(None),
            // TIME_STAMP (draft-huitema-quic-ts).
            0x02f5 => return skip(integers(reader, 1)),
            _ => return Err(BadFrame::UnknownType),
        };
        frame.map(Some).ok_or(BadFrame::Malformed)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, BadFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.reader.rest();
            let padding = rest.iter().position(|&byte| byte != 0).unwrap_or(rest.len());
            self.reader.take(padding);
            if self.reader.is_empty() {
                return None;
            }
            let kind = varint(&mut self.reader).ok_or(BadFrame::Malformed);
            match kind.and_then(|kind| self.frame(kind)) {
                Ok(None) => {}
                Ok(Some(frame)) => return Some(Ok(frame)),
                Err(bad) => {
                    self.reader = Reader::new(&[]);
                    return Some(Err(bad));
                }
            }
        }
    }
}

fn skip<'a, T>(read: Option<T>) -> Result<Option<Frame<'a>>, BadFrame> {
    read.map(|_| None).ok_or(BadFrame::Malformed)
}

fn integers(reader: &mut Reader<'_>, count: usize) -> Option<()> {
    (0..count).try_for_each(|_| varint(reader).map(drop))
}

/// Largest, delay, count, first range, ranges; with counts of ECN marks.
fn ack(reader: &mut Reader<'_>, has_ecn: bool) -> Option<()> {
    integers(reader, 2)?;
    let ranges = varint(reader)?;
    varint(reader)?;
    for _ in 0..ranges {
        integers(reader, 2)?;
    }
    integers(reader, if has_ecn { 3 } else { 0 })
}

fn crypto<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    Some(Frame::Crypto { offset: varint(reader)?, data: vector(reader)? })
}

fn stream<'a>(reader: &mut Reader<'a>, kind: u64) -> Option<Frame<'a>> {
    const FIN: u64 = 1;
    const LENGTH: u64 = 2;
    const OFFSET: u64 = 4;
    let id = varint(reader)?;
    let offset = if kind & OFFSET != 0 { varint(reader)? } else { 0 };
    let data = match kind & LENGTH {
        0 => reader.take(reader.rest().len())?,
        _ => vector(reader)?,
    };
    Some(Frame::Stream { id, offset, data, fin: kind & FIN != 0 })
}

/// Stream, and `more` integers that do not matter here.
fn reset<'a>(reader: &mut Reader<'a>, more: usize) -> Option<Frame<'a>> {
    let id = varint(reader)?;
    integers(reader, more)?;
    Some(Frame::Reset { id })
}

fn new_connection_id<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    const RESET_TOKEN: usize = 16;
    integers(reader, 2)?;
    let id = ConnectionId::new(reader.vec8()?)?;
    reader.take(RESET_TOKEN)?;
    Some(Frame::NewConnectionId(id))
}

/// Error code, frame type where there is one, reason.
fn close<'a>(reader: &mut Reader<'a>, integers_before: usize) -> Option<Frame<'a>> {
    integers(reader, integers_before)?;
    vector(reader)?;
    Some(Frame::Close)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Rng;

    fn frames(payload: &[u8]) -> Vec<Result<Frame<'_>, BadFrame>> {
        Frames::new(payload).collect()
    }

    const CLOSE: &[u8] = &[0x1d, 0x40, 0x01, 2, b'o', b'k'];

    #[test]
    fn what_says_nothing_is_skipped() {
        for (name, frame) in [
            ("PADDING", &[0, 0, 0][..]),
            ("PING", &[0x01]),
            ("ACK", &[0x02, 0x44, 0x00, 1, 2, 0, 1, 2, 3, 4]),
            ("ACK with ECN", &[0x03, 9, 1, 0, 0, 1, 2, 3]),
            ("STOP_SENDING", &[0x05, 4, 0]),
            ("NEW_TOKEN", &[0x07, 3, 1, 2, 3]),
            ("MAX_DATA", &[0x10, 0x80, 0, 0, 1]),
            ("MAX_STREAM_DATA", &[0x11, 4, 9]),
            ("MAX_STREAMS", &[0x12, 4, 0x13, 4]),
            ("DATA_BLOCKED", &[0x14, 1]),
            ("STREAM_DATA_BLOCKED", &[0x15, 1, 1]),
            ("STREAMS_BLOCKED", &[0x16, 1, 0x17, 1]),
            ("RETIRE_CONNECTION_ID", &[0x19, 1]),
            ("PATH_CHALLENGE", &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8]),
            ("PATH_RESPONSE", &[0x1b, 1, 2, 3, 4, 5, 6, 7, 8]),
            ("HANDSHAKE_DONE", &[0x1e]),
            ("IMMEDIATE_ACK", &[0x1f]),
            ("DATAGRAM", &[0x31, 2, 1, 2]),
            ("ACK_FREQUENCY", &[0x40, 0xaf, 1, 2, 3, 4]),
            ("IMMEDIATE_ACK of drafts", &[0x40, 0xac]),
            ("TIME_STAMP", &[0x42, 0xf5, 0x43, 0xf1]),
        ] {
            let payload = [frame, CLOSE].concat();
            assert_eq!(frames(&payload), [Ok(Frame::Close)], "{name}");
        }
        assert_eq!(frames(&[0x30, 0x1d, 0, 0]), []);
    }

    #[test]
    fn what_says_something() {
        for (payload, frame) in [
            (&[0x06, 5, 2, b'a', b'b'][..], Frame::Crypto { offset: 5, data: b"ab" }),
            (&[0x08, 4, b'a'], Frame::Stream { id: 4, offset: 0, data: b"a", fin: false }),
            (&[0x0b, 4, 1, b'a'], Frame::Stream { id: 4, offset: 0, data: b"a", fin: true }),
            (&[0x0f, 4, 7, 0], Frame::Stream { id: 4, offset: 7, data: b"", fin: true }),
            (&[0x04, 8, 1, 9], Frame::Reset { id: 8 }),
            (&[0x24, 8, 1, 9, 2], Frame::Reset { id: 8 }),
            (&[0x1c, 1, 6, 0], Frame::Close),
            (CLOSE, Frame::Close),
        ] {
            assert_eq!(frames(payload), [Ok(frame)]);
        }
        let mut payload = vec![0x18, 1, 0, 4];
        payload.extend(b"wxyz0123456789abcdef");
        let id = ConnectionId::new(b"wxyz").unwrap();
        assert_eq!(frames(&payload), [Ok(Frame::NewConnectionId(id))]);
    }

    #[test]
    fn what_is_bad_ends_the_packet() {
        for (payload, bad) in [
            (&[0x21, 0x1e][..], BadFrame::UnknownType),
            (&[0x06, 5, 3, b'a', b'b'], BadFrame::Malformed),
            (&[0x02, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], BadFrame::Malformed),
            (&[0x18, 1, 0, 21], BadFrame::Malformed),
            (&[0x40], BadFrame::Malformed),
        ] {
            assert_eq!(frames(payload), [Err(bad)], "{payload:?}");
        }
    }

    #[test]
    fn any_bytes_end() {
        let mut rng = Rng::new(1);
        for _ in 0..20_000 {
            let payload: Vec<u8> = (0..rng.below(60))
                .map(|_| if rng.below(2) == 0 { rng.below(0x32) } else { rng.below(256) } as u8)
                .collect();
            assert!(frames(&payload).len() <= payload.len());
        }
    }
}
