//! What one side of a connection sends at once, without holding what is mere
//! noise: media and ciphertext are slices of one small pool.

use std::ops::Range;

use super::random::Random;

const POOL: usize = 1 << 20;

/// Bytes without structure, made once and used again and again.
pub(crate) struct Noise(Vec<u8>);

impl Noise {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self(random.bytes(POOL))
    }

    fn copy(&self, mut from: usize, mut len: usize, out: &mut Vec<u8>) {
        while len > 0 {
            let start = from % POOL;
            let piece = &self.0[start..POOL.min(start + len)];
            out.extend_from_slice(piece);
            from += piece.len();
            len -= piece.len();
        }
    }
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Noise { from: usize, len: usize },
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Bytes(bytes) => bytes.len(),
            Part::Noise { len, .. } => *len,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    parts: Vec<Part>,
    len: usize,
}

impl Payload {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        let part = Part::Bytes(bytes.into());
        self.len += part.len();
        self.parts.push(part);
        self
    }

    pub(crate) fn noise(mut self, random: &mut Random, len: usize) -> Self {
        self.len += len;
        self.parts.push(Part::Noise { from: random.within(0..POOL), len });
        self
    }

    /// Appends the bytes of `range` to `out`.
    pub(crate) fn copy(&self, noise: &Noise, range: Range<usize>, out: &mut Vec<u8>) {
        let mut at = 0;
        for part in &self.parts {
            let start = range.start.clamp(at, at + part.len()) - at;
            let end = range.end.clamp(at, at + part.len()) - at;
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(&bytes[start..end]),
                Part::Noise { from, .. } => noise.copy(from + start, end - start, out),
            }
            at += part.len();
            if at >= range.end {
                break;
            }
        }
    }
}
