//! What is remembered of the bytes handed on in one direction, to compare
//! retransmissions with: a differing one is how an attacker shows the sensor
//! one stream and the receiver another (Ptacek and Newsham, *Insertion,
//! Evasion, and Denial of Service*, 1998).
//!
//! The last [`TAIL`] bytes are kept as they are; of the last [`PRINTS`] longer
//! stretches a keyed hash is kept, which tells whether a retransmission that
//! covers the stretch is equal. That is some 400 bytes a direction, where
//! keeping the bytes themselves would take kilobytes and, as they would always
//! be out of the cache, several times the time of everything else done for a
//! segment.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// Bytes kept as they are.
const TAIL: usize = 256;

/// Stretches of which a hash is kept.
const PRINTS: usize = 8;

/// Stretches shorter than this are left to the tail.
const SHORTEST_PRINT: usize = 32;

/// Source of histories: recycles them and bounds their number.
pub(super) struct Histories {
    #[expect(clippy::vec_box, reason = "a box goes from flow to flow without moving its content")]
    free: Vec<Box<History>>,
    in_use: usize,
    hasher: RandomState,
}

/// The hash of a stretch that was handed on.
#[derive(Clone, Copy)]
struct Print {
    /// Stream offset.
    start: u64,
    len: u32,
    hash: u32,
}

/// What is remembered of one direction.
pub(super) struct History {
    /// The last bytes, each at its stream offset modulo [`TAIL`].
    tail: [u8; TAIL],
    /// How many of them are valid.
    held: usize,
    prints: [Print; PRINTS],
    next_print: usize,
}

impl Histories {
    pub(super) fn new() -> Self {
        Self { free: Vec::new(), in_use: 0, hasher: RandomState::default() }
    }

    /// An empty history; `None` if that would take all of them over
    /// `max_bytes`.
    pub(super) fn take(&mut self, max_bytes: usize) -> Option<Box<History>> {
        if (self.in_use + 1) * size_of::<History>() > max_bytes {
            return None;
        }
        self.in_use += 1;
        let mut history = self.free.pop().unwrap_or_else(History::boxed);
        history.clear();
        Some(history)
    }

    /// Takes a history back.
    pub(super) fn give(&mut self, history: Box<History>) {
        self.in_use -= 1;
        self.free.push(history);
    }

    /// Bytes allocated.
    pub(super) const fn memory(&self) -> usize {
        (self.in_use + self.free.len()) * size_of::<History>()
    }

    /// Histories in use.
    #[cfg(test)]
    pub(super) const fn in_use(&self) -> usize {
        self.in_use
    }

    fn hash(&self, data: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(data);
        hasher.finish() as u32
    }
}

impl History {
    fn boxed() -> Box<Self> {
        Box::new(Self {
            tail: [0; TAIL],
            held: 0,
            prints: [Print { start: 0, len: 0, hash: 0 }; PRINTS],
            next_print: 0,
        })
    }

    /// Takes note of bytes handed on at stream offset `start`.
    pub(super) fn append(&mut self, start: u64, data: &[u8], histories: &Histories) {
        if data.len() >= SHORTEST_PRINT {
            let len = u32::try_from(data.len()).unwrap_or(0);
            self.prints[self.next_print] = Print { start, len, hash: histories.hash(data) };
            self.next_print = (self.next_print + 1) % PRINTS;
        }
        let skipped = data.len().saturating_sub(TAIL);
        let last = &data[skipped..];
        let at = place(start + skipped as u64);
        let (to_end, from_start) = last.split_at(last.len().min(TAIL - at));
        self.tail[at..at + to_end.len()].copy_from_slice(to_end);
        self.tail[..from_start.len()].copy_from_slice(from_start);
        self.held = (self.held + data.len()).min(TAIL);
    }

    /// Whether `data` at stream offset `start` differs from what was handed on
    /// up to offset `end`, as far as that is remembered.
    pub(super) fn differs(&self, start: u64, data: &[u8], end: u64, histories: &Histories) -> bool {
        let tail_start = end - self.held as u64;
        let forgotten = tail_start.saturating_sub(start).min(data.len() as u64);
        let mut in_tail = (start + forgotten..end).zip(&data[forgotten as usize..]);
        in_tail.any(|(offset, byte)| self.tail[place(offset)] != *byte)
            || self.prints.iter().any(|print| {
                let from = print.start.wrapping_sub(start) as usize;
                let to = from.saturating_add(print.len as usize);
                print.len > 0
                    && data.get(from..to).is_some_and(|copy| histories.hash(copy) != print.hash)
            })
    }

    /// Forgets the last bytes: what comes next does not follow them.
    pub(super) const fn forget_tail(&mut self) {
        self.held = 0;
    }

    fn clear(&mut self) {
        self.held = 0;
        self.prints = [Print { start: 0, len: 0, hash: 0 }; PRINTS];
    }
}

const fn place(offset: u64) -> usize {
    offset as usize % TAIL
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history of these parts, one after the other from offset `start`, and
    /// the offset of their end.
    fn history(start: u64, parts: &[&[u8]]) -> (Box<History>, Histories, u64) {
        let mut histories = Histories::new();
        let mut history = histories.take(usize::MAX).unwrap();
        let mut at = start;
        for part in parts {
            history.append(at, part, &histories);
            at += part.len() as u64;
        }
        (history, histories, at)
    }

    #[test]
    fn short_stretches_are_compared_byte_by_byte() {
        for start in [0, 250, (1 << 32) - 3] {
            let (history, histories, end) = history(start, &[b"abc", b"defgh", b"ij"]);
            let cases: [(u64, &[u8], bool); 7] = [
                (8, b"ij", false),
                (8, b"iX", true),
                (8, b"X", true),
                (0, b"abcdefghij", false),
                (0, b"Xbcdefghij", true),
                (3, b"def", false),
                (3, b"deX", true),
            ];
            for (offset, data, expected) in cases {
                let differs = history.differs(start + offset, data, end, &histories);
                assert_eq!(differs, expected, "{start} {offset} {data:?}");
            }
        }
    }

    #[test]
    fn longer_stretches_are_compared_where_a_copy_covers_them() {
        let parts: Vec<Vec<u8>> = (0..10).map(|n| vec![n; 1460]).collect();
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let (history, histories, end) = history(77, &slices);
        let mut whole = parts.concat();
        assert!(!history.differs(77, &whole, end, &histories));
        let differs_at = |at: usize, whole: &mut Vec<u8>| {
            whole[at] ^= 1;
            let differs = history.differs(77, whole, end, &histories);
            whole[at] ^= 1;
            differs
        };
        assert!(!differs_at(2 * 1460 - 1, &mut whole), "too long ago");
        assert!(differs_at(2 * 1460, &mut whole));
        assert!(differs_at(5 * 1460 + 700, &mut whole));
        assert!(differs_at(10 * 1460 - 1, &mut whole));
        let part = &mut whole[5 * 1460..6 * 1460 - 1];
        part[0] ^= 1;
        assert!(!history.differs(77 + 5 * 1460, part, end, &histories), "not all of it is there");
    }

    #[test]
    fn a_long_stretch_leaves_its_last_bytes() {
        let (history, histories, end) = history(5, &[b"x", &[b'y'; 1000], b"z"]);
        assert!(!history.differs(
            end - 256,
            &[[b'y'; 255].as_slice(), b"z"].concat(),
            end,
            &histories
        ));
        assert!(history.differs(end - 100, b"X", end, &histories));
        assert!(!history.differs(5, b"X", end, &histories), "forgotten");
    }

    #[test]
    fn a_gap_forgets_the_last_bytes() {
        let (mut history, histories, end) = history(0, &[b"abc"]);
        history.forget_tail();
        history.append(end + 10, b"de", &histories);
        assert!(!history.differs(end + 9, b"Xde", end + 12, &histories));
        assert!(!history.differs(0, b"X", end + 12, &histories));
        assert!(history.differs(end + 10, b"dX", end + 12, &histories));
    }

    #[test]
    fn histories_are_bounded_and_recycled() {
        let mut histories = Histories::new();
        let room_for_two = 2 * size_of::<History>();
        let mut first = histories.take(room_for_two).unwrap();
        first.append(0, &[1; 300], &histories);
        assert!(histories.take(room_for_two).is_some());
        assert!(histories.take(room_for_two).is_none());
        histories.give(first);
        assert_eq!(histories.memory(), room_for_two);
        let again = histories.take(room_for_two).unwrap();
        assert!(!again.differs(0, &[2; 300], 300, &histories), "nothing is left in it");
    }
}
