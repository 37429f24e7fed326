//! Out-of-order data of one direction: pieces that do not overlap, by stream
//! offset, and the sender's FIN where it came before the data.
//!
//! The first copy of a byte wins; later copies are compared with it. Adjacent
//! pieces share a buffer while it is small, so that the usual case (one lost
//! segment, then a run in order) takes few pieces, and a flood of tiny
//! segments costs a logarithm each.

use std::collections::BTreeMap;

use super::buffers::{BLOCK, Buffers, footprint};
use crate::time::Timestamp;

/// When a piece came: its capture time, the count of segments of its direction
/// up to it, and what its sender had of the other direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) time: Timestamp,
    pub(super) segment: u32,
    pub(super) ack: Option<u32>,
}

/// A stretch of the stream.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes.
    Bytes(Vec<u8>),
    /// So many bytes are known to be lost: the snap length cut them off.
    Cut(u64),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Cut(len) => *len,
        }
    }

    fn charge(&self) -> usize {
        PIECE_CHARGE
            + match self {
                Self::Bytes(bytes) => footprint(bytes.len()),
                Self::Cut(_) => 0,
            }
    }
}

/// What a piece takes besides its bytes: key, value and its share of a node.
const PIECE_CHARGE: usize = 64;

struct Entry {
    piece: Piece,
    arrival: Arrival,
}

/// What an insertion found already held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Inserted {
    /// Bytes copied.
    pub(super) stored: u64,
    /// Bytes that were held already.
    pub(super) duplicate: u64,
    /// Whether some of those differed.
    pub(super) conflict: bool,
}

/// Out-of-order data of one direction.
#[derive(Default)]
pub(super) struct Held {
    pieces: BTreeMap<u64, Entry>,
    fin: Option<(u64, Arrival)>,
    charge: usize,
}

impl Held {
    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.fin.is_none()
    }

    /// Memory charged.
    pub(super) const fn charge(&self) -> usize {
        self.charge
    }

    /// Number of pieces.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Where the first piece starts.
    pub(super) fn first_piece(&self) -> Option<u64> {
        self.pieces.keys().next().copied()
    }

    /// Where the last piece ends; 0 where there is none.
    pub(super) fn end(&self) -> u64 {
        self.pieces.last_key_value().map_or(0, |(&start, entry)| start + entry.piece.len())
    }

    /// Where the first piece (or the FIN) is and when it came: the end of the
    /// hole in front of it.
    pub(super) fn first(&self) -> Option<(u64, Arrival)> {
        let piece = self.pieces.first_key_value().map(|(&start, entry)| (start, entry.arrival));
        piece.or(self.fin)
    }

    /// Offset of the FIN, where it was seen.
    pub(super) fn fin(&self) -> Option<u64> {
        self.fin.map(|(offset, _)| offset)
    }

    /// Takes note of the FIN; the first one counts.
    pub(super) fn set_fin(&mut self, offset: u64, arrival: Arrival) {
        self.fin.get_or_insert((offset, arrival));
    }

    /// Drops the FIN: it was reached or refuted.
    pub(super) fn clear_fin(&mut self) {
        self.fin = None;
    }

    /// Adds `data` at `start`, followed by `cut` bytes known to be lost, as far
    /// as nothing is held there yet.
    pub(super) fn insert(
        &mut self,
        start: u64,
        data: &[u8],
        cut: u64,
        arrival: Arrival,
        buffers: &mut Buffers,
    ) -> Inserted {
        let mut inserted = Inserted::default();
        let mut rest = data;
        let mut at = start;
        while !rest.is_empty() {
            let len = match self.run(at) {
                Run::Held(end, earlier) => {
                    let len = clamp(end - at, rest.len());
                    inserted.conflict |= earlier.iter().zip(&rest[..len]).any(|(a, b)| a != b);
                    inserted.duplicate += len as u64;
                    len
                }
                Run::Free(end) => {
                    let len = clamp(end - at, rest.len());
                    self.store(at, &rest[..len], arrival, buffers);
                    inserted.stored += len as u64;
                    len
                }
            };
            rest = &rest[len..];
            at += len as u64;
        }
        self.cut(at, at + cut, arrival, buffers);
        inserted
    }

    /// Takes the piece that starts at `offset`.
    pub(super) fn take(&mut self, offset: u64, buffers: &mut Buffers) -> Option<Piece> {
        let entry = self.pieces.first_entry().filter(|entry| *entry.key() == offset)?;
        let piece = entry.remove().piece;
        self.charge -= piece.charge();
        buffers.out_of_order -= piece.charge();
        Some(piece)
    }

    /// Frees everything.
    pub(super) fn release(self, buffers: &mut Buffers) {
        buffers.out_of_order -= self.charge;
        for entry in self.pieces.into_values() {
            if let Piece::Bytes(bytes) = entry.piece {
                buffers.give(bytes);
            }
        }
    }

    /// What is at `at`, and up to where.
    fn run(&self, at: u64) -> Run<'_> {
        if let Some((&start, entry)) = self.pieces.range(..=at).next_back()
            && start + entry.piece.len() > at
        {
            let bytes: &[u8] = match &entry.piece {
                Piece::Bytes(bytes) => &bytes[(at - start) as usize..],
                Piece::Cut(_) => &[],
            };
            return Run::Held(start + entry.piece.len(), bytes);
        }
        let next = self.pieces.range(at..).next();
        Run::Free(next.map_or(u64::MAX, |(&start, _)| start))
    }

    /// Stores bytes where nothing is held.
    fn store(&mut self, at: u64, data: &[u8], arrival: Arrival, buffers: &mut Buffers) {
        if let Some((&start, entry)) = self.pieces.range_mut(..at).next_back()
            && let Piece::Bytes(bytes) = &mut entry.piece
            && start + bytes.len() as u64 == at
            && bytes.len() + data.len() <= BLOCK
            && entry.arrival.ack == arrival.ack
        {
            let growth = footprint(bytes.len() + data.len()) - footprint(bytes.len());
            buffers.extend(bytes, data);
            self.charge += growth;
            buffers.out_of_order += growth;
            return;
        }
        let mut bytes = buffers.take(data.len());
        bytes.extend_from_slice(data);
        self.place(at, Piece::Bytes(bytes), arrival, buffers);
    }

    /// Notes the free stretches of `at..end` as lost.
    fn cut(&mut self, mut at: u64, end: u64, arrival: Arrival, buffers: &mut Buffers) {
        while at < end {
            match self.run(at) {
                Run::Held(until, _) => at = until,
                Run::Free(until) => {
                    let until = until.min(end);
                    self.place(at, Piece::Cut(until - at), arrival, buffers);
                    at = until;
                }
            }
        }
    }

    fn place(&mut self, at: u64, piece: Piece, arrival: Arrival, buffers: &mut Buffers) {
        self.charge += piece.charge();
        buffers.out_of_order += piece.charge();
        self.pieces.insert(at, Entry { piece, arrival });
    }
}

/// A stretch of the stream, seen from its start.
enum Run<'a> {
    /// Held up to the offset; the bytes, unless they were cut off.
    Held(u64, &'a [u8]),
    /// Nothing is held up to the offset.
    Free(u64),
}

/// `len`, at most `max`.
fn clamp(len: u64, max: usize) -> usize {
    usize::try_from(len).map_or(max, |len| len.min(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Arrival = Arrival { time: Timestamp::from_nanos(0), segment: 0, ack: None };

    /// Start, data, bytes cut.
    type Insert<'a> = (u64, &'a str, u64);

    /// Makes insertions in turn; returns the results and what comes
    /// out, `_` standing for a cut byte.
    fn insert_all(inserts: &[Insert<'_>]) -> (Vec<Inserted>, Vec<(u64, String)>) {
        let (mut held, mut buffers) = (Held::default(), Buffers::default());
        let results = inserts
            .iter()
            .map(|&(start, data, cut)| held.insert(start, data.as_bytes(), cut, NOW, &mut buffers))
            .collect();
        let mut pieces = Vec::new();
        while let Some(start) = held.first_piece() {
            match held.take(start, &mut buffers) {
                Some(Piece::Bytes(bytes)) => {
                    pieces.push((start, String::from_utf8(bytes).unwrap()));
                }
                Some(Piece::Cut(len)) => pieces.push((start, "_".repeat(len as usize))),
                None => unreachable!(),
            }
        }
        assert_eq!((held.charge(), buffers.out_of_order), (0, 0));
        (results, pieces)
    }

    fn pieces(inserts: &[Insert<'_>]) -> Vec<(u64, String)> {
        insert_all(inserts).1
    }

    fn piece(start: u64, text: &str) -> (u64, String) {
        (start, text.to_owned())
    }

    #[test]
    fn adjacent_pieces_are_joined() {
        assert_eq!(pieces(&[(10, "ab", 0), (12, "cd", 0)]), [piece(10, "abcd")]);
        assert_eq!(
            pieces(&[(12, "cd", 0), (10, "ab", 0)]),
            [piece(10, "ab"), piece(12, "cd")],
            "only to the right, where the buffer can grow"
        );
    }

    #[test]
    fn the_first_copy_wins() {
        let cases: [(&[Insert<'_>], &str, bool); 7] = [
            (&[(5, "abc", 0), (5, "abc", 0)], "abc", false),
            (&[(5, "abc", 0), (5, "aXc", 0)], "abc", true),
            (&[(5, "abc", 0), (7, "cde", 0)], "abcde", false),
            (&[(5, "abc", 0), (7, "Xde", 0)], "abcde", true),
            (&[(7, "cde", 0), (5, "abX", 0)], "abcde", true),
            (&[(6, "b", 0), (8, "d", 0), (5, "abcde", 0)], "abcde", false),
            (&[(6, "b", 0), (8, "X", 0), (5, "abcde", 0)], "abcXe", true),
        ];
        for (inserts, expected, conflict) in cases {
            let (results, pieces) = insert_all(inserts);
            let text: String = pieces.into_iter().map(|(_, text)| text).collect();
            assert_eq!(text, expected, "{inserts:?}");
            assert_eq!(results.iter().any(|result| result.conflict), conflict, "{inserts:?}");
        }
    }

    #[test]
    fn counts_what_was_stored_and_what_not() {
        let (results, _) = insert_all(&[(6, "b", 0), (5, "abc", 0)]);
        assert_eq!(results[1], Inserted { stored: 2, duplicate: 1, conflict: false });
    }

    #[test]
    fn cut_bytes_fill_only_free_stretches() {
        let expected = [piece(5, "ab"), piece(7, "__"), piece(9, "xy"), piece(11, "_")];
        assert_eq!(pieces(&[(9, "xy", 0), (5, "ab", 5)]), expected);
        assert_eq!(pieces(&[(5, "ab", 2), (6, "bc", 0)]), [piece(5, "ab"), piece(7, "__")]);
    }

    #[test]
    fn pieces_stay_within_a_block() {
        let (mut held, mut buffers) = (Held::default(), Buffers::default());
        for index in 0..100 {
            held.insert(1000 * index, &[1; 1000], 0, NOW, &mut buffers);
        }
        assert_eq!(held.pieces(), 25);
        assert_eq!(held.charge(), 25 * (BLOCK + PIECE_CHARGE));
        held.release(&mut buffers);
        assert_eq!(buffers.out_of_order, 0);
    }

    #[test]
    fn the_first_hole_ends_at_a_piece_or_the_fin() {
        let (mut held, mut buffers) = (Held::default(), Buffers::default());
        let later = Arrival { segment: 3, ..NOW };
        held.set_fin(20, NOW);
        assert_eq!(held.first(), Some((20, NOW)));
        held.insert(15, b"ab", 0, later, &mut buffers);
        assert_eq!(held.first(), Some((15, later)));
        assert!(held.take(14, &mut buffers).is_none());
        assert!(held.take(15, &mut buffers).is_some());
        held.clear_fin();
        assert!(held.is_empty());
    }
}
