//! Puts segments of one byte stream in order: CRYPTO or STREAM frames.
//!
//! In: segments at offsets, in any order, overlapping. Out: the bytes in order;
//! what is at hand already is not copied. Where segments overlap, what came
//! first counts. Both the bytes held and the number of pieces are bounded by
//! what each costs.

use std::collections::BTreeMap;

/// What a held piece costs beside its bytes.
const PIECE: usize = 64;

/// One direction of a stream.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Up to here all has been handed on.
    next: u64,
    /// Where the stream ends, if known.
    end: Option<u64>,
    /// What lies behind a hole, by offset; pieces do not overlap.
    pieces: BTreeMap<u64, Vec<u8>>,
    cost: usize,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival<'a> {
    /// These of its bytes are next.
    Next(&'a [u8]),
    /// It is kept for later, or was known already.
    Held,
    /// It cannot be kept within the limit.
    NoRoom,
}

impl Assembler {
    /// Takes a segment. At most `limit` may be held after it, as
    /// [`cost`](Self::cost) counts.
    ///
    /// After [`Arrival::Next`] comes what [`pop`](Self::pop) says, and then the
    /// same segment again, of which more may be next.
    pub(crate) fn take<'a>(&mut self, offset: u64, data: &'a [u8], limit: usize) -> Arrival<'a> {
        if offset > self.next {
            return self.hold(offset, data, limit);
        }
        let new = usize::try_from(self.next - offset).ok().and_then(|known| data.get(known..));
        let new = new.unwrap_or_default();
        // What is held of these bytes came first.
        let until = self.pieces.keys().next().map_or(u64::MAX, |&start| start - self.next);
        let len = usize::try_from(until).unwrap_or(usize::MAX).min(new.len());
        self.next += len as u64;
        if len == 0 { Arrival::Held } else { Arrival::Next(&new[..len]) }
    }

    /// Keeps a segment, even if it is next.
    pub(crate) fn hold<'a>(&mut self, offset: u64, data: &[u8], limit: usize) -> Arrival<'a> {
        let known = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        let new = data.get(known..).unwrap_or_default();
        let kept = self.keep(offset.max(self.next), new, limit);
        if kept { Arrival::Held } else { Arrival::NoRoom }
    }

    /// The next bytes, if they are held.
    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let entry = self.pieces.first_entry()?;
        if *entry.key() != self.next {
            return None;
        }
        let piece = entry.remove();
        self.cost -= piece.len() + PIECE;
        self.next += piece.len() as u64;
        Some(piece)
    }

    /// Takes back the last bytes that were handed on.
    pub(crate) fn put_back(&mut self, data: &[u8]) {
        if !data.is_empty() {
            self.next -= data.len() as u64;
            self.insert(self.next, data.to_vec());
        }
    }

    /// Gives up the hole that comes next, if bytes behind it are held or the
    /// end is known. Returns its length.
    pub(crate) fn skip(&mut self) -> Option<u64> {
        let to = self.pieces.keys().next().copied().or(self.end)?;
        Some(self.skip_to(to)).filter(|&hole| hole > 0)
    }

    /// Gives up the hole that comes next, up to `offset` or to what is held.
    /// Returns its length.
    pub(crate) fn skip_to(&mut self, offset: u64) -> u64 {
        let to = self.pieces.keys().next().map_or(offset, |&start| start.min(offset));
        let hole = to.saturating_sub(self.next);
        self.next += hole;
        hole
    }

    /// The stream ends at this offset. The first such word counts.
    pub(crate) fn end_at(&mut self, offset: u64) {
        self.end.get_or_insert(offset);
    }

    /// Whether all up to the end has been handed on.
    pub(crate) fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Drops what is held.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.cost = 0;
    }

    /// The memory of what is held.
    pub(crate) fn cost(&self) -> usize {
        self.cost
    }

    /// Keeps what is not yet held of `data`, all of it or nothing.
    fn keep(&mut self, offset: u64, data: &[u8], limit: usize) -> bool {
        let Some(end) = offset.checked_add(data.len() as u64) else { return false };
        let cost: usize = self.holes(offset, end).map(|(start, end)| cost(start, end)).sum();
        if self.cost + cost > limit {
            return false;
        }
        let holes: Vec<_> = self.holes(offset, end).collect();
        for (start, end) in holes {
            let piece = data.get((start - offset) as usize..(end - offset) as usize);
            self.insert(start, piece.unwrap_or_default().to_vec());
        }
        true
    }

    fn insert(&mut self, offset: u64, piece: Vec<u8>) {
        self.cost += piece.len() + PIECE;
        self.pieces.insert(offset, piece);
    }

    /// The parts of `from..to` that no piece covers.
    fn holes(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let before = self.pieces.range(..from).next_back();
        let mut at = before.map_or(from, |(start, piece)| from.max(start + piece.len() as u64));
        let pieces = self.pieces.range(from..to.max(from));
        let mut pieces = pieces.map(|(&start, piece)| (start, piece.len())).chain([(to, 0)]);
        std::iter::from_fn(move || {
            loop {
                let (start, len) = pieces.next()?;
                let hole = (at, start);
                at = at.max(start + len as u64);
                if hole.0 < hole.1 {
                    return Some(hole);
                }
            }
        })
    }
}

fn cost(start: u64, end: u64) -> usize {
    usize::try_from(end - start).unwrap_or(usize::MAX).saturating_add(PIECE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Rng;

    const LIMIT: usize = 1 << 20;

    /// What comes out after `offset..offset + len` of a known stream came in.
    fn feed(assembler: &mut Assembler, data: &[u8], offset: usize, len: usize) -> Vec<u8> {
        let end = (offset + len).min(data.len());
        let mut out = Vec::new();
        while let Arrival::Next(now) = assembler.take(offset as u64, &data[offset..end], LIMIT) {
            out.extend_from_slice(now);
            while let Some(piece) = assembler.pop() {
                out.extend(piece);
            }
        }
        out
    }

    #[test]
    fn any_order_gives_the_stream() {
        let data: Vec<u8> = (0..2000u32).map(|number| (number % 251) as u8).collect();
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            let mut assembler = Assembler::default();
            assembler.end_at(data.len() as u64);
            let mut out = Vec::new();
            while !assembler.is_finished() {
                let offset = rng.below(data.len());
                let len = rng.below(200);
                out.extend(feed(&mut assembler, &data, offset, len));
                if rng.below(10) == 0 && !out.is_empty() {
                    let back = rng.below(out.len().min(50)) + 1;
                    let tail = out.split_off(out.len() - back);
                    assembler.put_back(&tail);
                    while let Some(piece) = assembler.pop() {
                        out.extend(piece);
                    }
                }
            }
            assert_eq!(out, data);
            assert_eq!(assembler.cost(), 0, "{assembler:?}");
        }
    }

    #[test]
    fn what_came_first_counts() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.take(2, b"CD", LIMIT), Arrival::Held);
        assert_eq!(assembler.take(1, b"bcde", LIMIT), Arrival::Held);
        assert_eq!(feed(&mut assembler, b"abcdef", 0, 6), b"abCDef");
        assert_eq!(assembler.take(0, b"abcdef", LIMIT), Arrival::Held);
        assert_eq!(assembler.take(3, b"xxxg", LIMIT), Arrival::Next(b"g"));
    }

    #[test]
    fn holes_are_given_up_on_demand() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.skip(), None);
        assembler.take(10, b"later", LIMIT);
        assembler.end_at(20);
        assert_eq!(assembler.skip(), Some(10));
        assert_eq!(assembler.skip(), None);
        assert_eq!(assembler.pop().unwrap(), b"later");
        assert!(!assembler.is_finished());
        assert_eq!(assembler.skip(), Some(5));
        assert!(assembler.is_finished());
        assert_eq!(assembler.skip(), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut assembler = Assembler::default();
        let mut refused = 0;
        for index in 0..100_000u64 {
            let arrival = assembler.take(1 + index * 2, b"x", 10_000);
            refused += u32::from(arrival == Arrival::NoRoom);
            assert!(assembler.cost() <= 10_000);
        }
        assert_eq!(refused, 100_000 - 153);
        assert_eq!(assembler.take(u64::MAX - 1, b"xyz", LIMIT), Arrival::NoRoom);
    }
}
