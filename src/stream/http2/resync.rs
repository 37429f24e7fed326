//! Finding the next frame where the framing was lost.
//!
//! After a loss, or in a connection joined late, bytes are skipped up to two
//! frames in a row whose headers a connection may well have. The first of them
//! is kept until the header of the second has come: 16 KiB at most. Where bytes
//! end (a gap, or the end of the stream), a frame that ends there is taken too.

use super::frame::{FrameHeader, HEADER_LEN, Plausible};

/// The state of a search; the buffer that goes with it holds what is not yet
/// decided, from `at` on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resync {
    at: usize,
}

/// Where frames begin in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Here.
    Found(usize),
    /// Perhaps here; there must be so many bytes from here on to tell.
    Perhaps { at: usize, needed: usize },
    /// Nowhere.
    Nowhere,
}

impl Resync {
    /// Reads on in `data`. Where frames were found, returns how much of `data`
    /// was used; the buffer then holds the frames so far. Skipped bytes are
    /// added to `skipped`.
    pub(super) fn search(
        &mut self,
        plausible: &Plausible,
        data: &[u8],
        buffer: &mut Vec<u8>,
        skipped: &mut u64,
    ) -> Option<usize> {
        let mut used = 0;
        while !buffer.is_empty() {
            match find(plausible, buffer, self.at) {
                Verdict::Found(at) => {
                    cut_front(buffer, at, &mut self.at, skipped);
                    return Some(used);
                }
                Verdict::Nowhere => {
                    *skipped += (buffer.len() - self.at) as u64;
                    buffer.clear();
                    self.at = 0;
                }
                Verdict::Perhaps { at, needed } => {
                    *skipped += (at - self.at) as u64;
                    self.at = at;
                    self.compact(buffer);
                    let missing = (self.at + needed).saturating_sub(buffer.len());
                    let piece = &data[used..];
                    let piece = &piece[..missing.min(piece.len())];
                    buffer.extend_from_slice(piece);
                    used += piece.len();
                    if piece.len() < missing {
                        return None;
                    }
                }
            }
        }
        let data = &data[used..];
        let (at, found) = match find(plausible, data, 0) {
            Verdict::Found(at) => (at, true),
            Verdict::Perhaps { at, .. } => (at, false),
            Verdict::Nowhere => (data.len(), false),
        };
        *skipped += at as u64;
        if !found {
            buffer.extend_from_slice(&data[at..]);
        }
        found.then_some(used + at)
    }

    /// There are no more bytes. Returns whether the buffer holds frames.
    pub(super) fn finish(
        &mut self,
        plausible: &Plausible,
        buffer: &mut Vec<u8>,
        skipped: &mut u64,
    ) -> bool {
        let mut from = self.at;
        let found = loop {
            match find(plausible, buffer, from) {
                Verdict::Found(at) => break Some(at),
                Verdict::Nowhere => break None,
                // What is needed is the frame and the next one's header.
                Verdict::Perhaps { at, needed } if at + needed == buffer.len() + HEADER_LEN => {
                    break Some(at);
                }
                Verdict::Perhaps { at, .. } => from = at + 1,
            }
        };
        cut_front(buffer, found.unwrap_or(buffer.len()), &mut self.at, skipped);
        found.is_some()
    }

    /// Moves what is kept to the front, when it is less than what is not.
    fn compact(&mut self, buffer: &mut Vec<u8>) {
        if self.at > buffer.len() / 2 {
            buffer.drain(..self.at);
            self.at = 0;
        }
    }
}

/// Drops what comes before `to`, of which what comes before `from` is counted
/// already.
fn cut_front(buffer: &mut Vec<u8>, to: usize, from: &mut usize, skipped: &mut u64) {
    *skipped += (to - *from) as u64;
    buffer.drain(..to);
    *from = 0;
}

/// Where in `bytes`, from `from` on, frames begin.
pub(super) fn find(plausible: &Plausible, bytes: &[u8], from: usize) -> Verdict {
    let mut at = from;
    while let Some(rest) = bytes.get(at..) {
        // A frame that is not too long has a length that begins with 0.
        let Some(zero) = memchr::memchr(0, rest) else { break };
        at += zero;
        let rest = &rest[zero..];
        let Some(header) = FrameHeader::peek(rest) else {
            return Verdict::Perhaps { at, needed: HEADER_LEN };
        };
        if plausible.may_begin(&header) {
            let next = HEADER_LEN + header.len as usize;
            match rest.get(next..).and_then(FrameHeader::peek) {
                None => return Verdict::Perhaps { at, needed: next + HEADER_LEN },
                Some(second) if plausible.allows(&second) => return Verdict::Found(at),
                Some(_) => {}
            }
        }
        at += 1;
    }
    Verdict::Nowhere
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::{Cut, Rng};

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let [_, _, l1, l2] = (payload.len() as u32).to_be_bytes();
        [&[0, l1, l2, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// Where frames are found, and how much was skipped before.
    fn run(data: &[u8], cut: Cut) -> (Option<usize>, u64) {
        let (mut resync, mut buffer, mut skipped) = (Resync::default(), Vec::new(), 0);
        let mut fed = 0;
        for piece in cut.pieces(data) {
            if let Some(used) = resync.search(&Plausible::ANY, piece, &mut buffer, &mut skipped) {
                return (Some(fed + used - buffer.len()), skipped);
            }
            fed += piece.len();
            assert!(buffer.len() <= 2 * (16_384 + 2 * HEADER_LEN));
        }
        let found = resync.finish(&Plausible::ANY, &mut buffer, &mut skipped);
        (found.then(|| data.len() - buffer.len()), skipped)
    }

    #[test]
    fn frames_among_other_bytes() {
        let data = frame(0, 0, 1, b"hello");
        let ping = frame(6, 0, 0, &[7; 8]);
        let large = frame(0, 0, 1, &[0; 16_384]);
        for (name, bytes, expected) in [
            ("at once", [data.clone(), ping.clone()].concat(), Some(0)),
            (
                "after text",
                [b"the end of a body".to_vec(), data.clone(), ping.clone()].concat(),
                Some(17),
            ),
            ("after zeros", [vec![0; 20], data.clone(), ping.clone()].concat(), Some(20)),
            ("a large one", [vec![1], large.clone(), ping.clone()].concat(), Some(1)),
            ("one at the end", [b"xx".to_vec(), data.clone()].concat(), Some(2)),
            ("one, cut", data[..12].to_vec(), None),
            ("one and something else", [data.clone(), b"something else".to_vec()].concat(), None),
            (
                "a false one and two",
                [frame(0, 0, 1, &data), ping[..9].to_vec(), b"!".to_vec()].concat(),
                Some(0),
            ),
            (
                "a cut one before two",
                [data[..11].to_vec(), data.clone(), ping.clone()].concat(),
                Some(11),
            ),
            ("nothing", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), None),
            ("zeros", vec![0; 1000], None),
        ] {
            for cut in Cut::all() {
                let (found, skipped) = run(&bytes, cut);
                assert_eq!(found, expected, "{name}, {cut:?}");
                assert_eq!(skipped, found.unwrap_or(bytes.len()) as u64, "{name}, {cut:?}");
            }
        }
    }

    #[test]
    fn cuts_make_no_difference() {
        let mut rng = Rng::new(5);
        for _ in 0..300 {
            let mut bytes = Vec::new();
            for _ in 0..8 {
                let payload: Vec<u8> =
                    (0..rng.below(60)).map(|_| b"\0\x01\x04a"[rng.below(4)]).collect();
                let kind = b"\0\x01\x06\x09"[rng.below(4)];
                bytes.extend(frame(kind, 0, 1 + rng.below(3) as u8, &payload));
            }
            rng.mutate(&mut bytes);
            let bytes = &bytes[rng.below(bytes.len())..];
            let whole = run(bytes, Cut::Whole);
            for cut in Cut::all() {
                assert_eq!(run(bytes, cut), whole);
            }
        }
    }
}
