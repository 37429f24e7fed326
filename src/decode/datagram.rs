//! One IP datagram, while its fragments come.
//!
//! The first copy of a byte wins, as it does for the hosts that do not discard
//! overlapping fragments altogether; overlaps are counted, and those that
//! disagree are counted apart, since only an evasion makes them. A fragment cut
//! by the snap length takes its place in full, and the datagram ends, for those
//! above, with the first byte that was not captured.

use std::net::IpAddr;
use std::ops::Range;

use etherparse::IpNumber;

use super::network::Position;
use super::outcome::{DecodeCounters, Malformed, Skip};
use super::packet::TunnelPath;
use super::region::Region;
use crate::time::Timestamp;

/// The longest payload of a datagram.
const MAX_DATAGRAM: usize = 65_535;
/// The most pieces of a datagram that do not join on to the one before; a flood
/// of 8-byte fragments would make many. 64 KiB in fragments of 64 bytes stay
/// within it, in whatever order they come.
const MAX_PIECES: usize = 1024;
/// What a datagram counts for beside its bytes and pieces, so that very small
/// fragments cannot hide what they cost.
const DATAGRAM_OVERHEAD: usize = size_of::<Datagram>() + 2 * size_of::<Key>() + 64;

/// Which datagram a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) identification: u32,
    /// Of IPv4 only; in IPv6 the protocol is what the first fragment says.
    pub(super) protocol: Option<IpNumber>,
    /// Keeps copies apart that were captured at two points of a path.
    pub(super) path: TunnelPath,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) key: Key,
    pub(super) position: Position,
    pub(super) protocol: IpNumber,
    pub(super) payload: Region<'a>,
    pub(super) time: Timestamp,
}

/// A datagram put together: what it carries and how long it was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) protocol: IpNumber,
    pub(super) wire: usize,
}

impl Fragment<'_> {
    /// The bytes of the datagram that the fragment brings.
    pub(super) fn extent(&self) -> Result<Range<usize>, Skip> {
        let len = match self.payload.wire() {
            // Only the last fragment may end off a multiple of 8. Linux cuts the
            // others down, so the bytes do arrive.
            len if self.position.more => len & !7,
            len => len,
        };
        let end = self.position.offset + len;
        if len == 0 || end > MAX_DATAGRAM {
            return Err(Skip::Malformed(Malformed::Fragment));
        }
        Ok(self.position.offset..end)
    }

    /// The captured bytes of `range`, which lies in the extent.
    fn captured(&self, range: &Range<usize>) -> &[u8] {
        let from = range.start - self.position.offset;
        let rest = self.payload.captured().get(from..).unwrap_or_default();
        rest.get(..range.len()).unwrap_or(rest)
    }
}

/// The fragments that came of one datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) serial: u64,
    pub(super) opened: Timestamp,
    /// What the first fragment says.
    protocol: Option<IpNumber>,
    /// Length, once the last fragment came.
    len: Option<usize>,
    /// The sum of the pieces' extents.
    covered: usize,
    /// Sorted and not overlapping.
    pieces: Vec<Piece>,
    /// The captured bytes of the pieces, in the order in which they came.
    bytes: Vec<u8>,
}

/// A run of bytes of a datagram, of which the first were captured.
#[derive(Clone, Debug)]
struct Piece {
    extent: Range<usize>,
    /// Where the captured ones are, in the bytes that came.
    captured: Range<usize>,
}

impl Datagram {
    pub(super) fn new(serial: u64, opened: Timestamp) -> Self {
        Self {
            serial,
            opened,
            protocol: None,
            len: None,
            covered: 0,
            pieces: Vec::new(),
            bytes: Vec::new(),
        }
    }

    pub(super) fn cost(&self) -> usize {
        DATAGRAM_OVERHEAD + self.bytes.len() + self.pieces.len() * size_of::<Piece>()
    }

    pub(super) fn insert(
        &mut self,
        fragment: &Fragment<'_>,
        counters: &mut DecodeCounters,
    ) -> Result<(), Skip> {
        let extent = fragment.extent()?;
        self.agree_on_end(extent.end, fragment.position.more)?;
        if extent.start == 0 && self.protocol.is_none() {
            self.protocol = Some(fragment.protocol);
        }
        let overlap = self.fill(fragment, &extent)?;
        counters.fragment_overlaps += u64::from(overlap != Overlap::None);
        counters.fragment_overlap_conflicts += u64::from(overlap == Overlap::Conflict);
        Ok(())
    }

    /// The first last fragment says where the datagram ends; nothing may lie
    /// behind it.
    fn agree_on_end(&mut self, end: usize, more: bool) -> Result<(), Skip> {
        let agrees = match self.len {
            Some(len) if more => end <= len,
            Some(len) => end == len,
            None if more => true,
            None => self.pieces.last().is_none_or(|piece| piece.extent.end <= end),
        };
        if !agrees {
            return Err(Skip::Malformed(Malformed::Fragment));
        }
        if !more {
            self.len = Some(end);
        }
        Ok(())
    }

    /// Fills the holes in `extent`, and tells how the rest compares.
    fn fill(&mut self, fragment: &Fragment<'_>, extent: &Range<usize>) -> Result<Overlap, Skip> {
        let mut overlap = Overlap::None;
        let mut at = extent.start;
        let mut index = self.pieces.partition_point(|piece| piece.extent.end <= at);
        while at < extent.end {
            match self.pieces.get(index) {
                Some(piece) if piece.extent.start <= at => {
                    let shared = at..piece.extent.end.min(extent.end);
                    overlap = overlap.max(self.compare(piece, fragment, &shared));
                    at = shared.end;
                    index += 1;
                }
                next => {
                    let end = next.map_or(extent.end, |next| next.extent.start.min(extent.end));
                    index = self.put(index, at..end, fragment.captured(&(at..end)))?;
                    at = end;
                }
            }
        }
        Ok(overlap)
    }

    /// Adds a piece before the one at `index`, joined to the one before where
    /// that is possible; returns the index of the piece after it.
    fn put(&mut self, index: usize, extent: Range<usize>, bytes: &[u8]) -> Result<usize, Skip> {
        let captured = self.bytes.len()..self.bytes.len() + bytes.len();
        let joined = index.checked_sub(1).filter(|&before| {
            self.pieces.get(before).is_some_and(|before| before.joins(&extent, &captured))
        });
        if joined.is_none() && self.pieces.len() >= MAX_PIECES {
            return Err(Skip::FragmentDropped);
        }
        self.covered += extent.len();
        self.bytes.extend_from_slice(bytes);
        match joined.and_then(|before| self.pieces.get_mut(before)) {
            Some(before) => {
                before.extent.end = extent.end;
                before.captured.end = captured.end;
                Ok(index)
            }
            None => {
                self.pieces.insert(index, Piece { extent, captured });
                Ok(index + 1)
            }
        }
    }

    fn compare(&self, piece: &Piece, fragment: &Fragment<'_>, shared: &Range<usize>) -> Overlap {
        let had = self.bytes.get(piece.captured.clone()).unwrap_or_default();
        let had = had.get(shared.start - piece.extent.start..).unwrap_or_default();
        let differs = had.iter().zip(fragment.captured(shared)).any(|(old, new)| old != new);
        if differs { Overlap::Conflict } else { Overlap::Same }
    }

    /// The datagram, if no byte of it lacks any more.
    pub(super) fn whole(&self) -> Option<Whole> {
        let wire = self.len.filter(|len| *len == self.covered)?;
        Some(Whole { protocol: self.protocol?, wire })
    }

    /// Writes the bytes up to the first that was not captured.
    pub(super) fn copy_to(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        for piece in &self.pieces {
            buffer.extend_from_slice(self.bytes.get(piece.captured.clone()).unwrap_or_default());
            if !piece.is_captured_whole() {
                return;
            }
        }
    }
}

impl Piece {
    fn is_captured_whole(&self) -> bool {
        self.captured.len() == self.extent.len()
    }

    /// Whether what came last follows this piece both in the datagram and in the
    /// bytes that came.
    fn joins(&self, extent: &Range<usize>, captured: &Range<usize>) -> bool {
        self.is_captured_whole()
            && self.extent.end == extent.start
            && self.captured.end == captured.start
    }
}

/// How a fragment compares with the bytes that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Overlap {
    None,
    Same,
    Conflict,
}

#[cfg(test)]
mod tests {
    use super::super::samples::*;
    use super::super::{Malformed, Skip};
    use super::MAX_PIECES;

    /// A name, packets in order, and which bytes of the other copy get in.
    type Case = (&'static str, Vec<Vec<u8>>, &'static [(usize, usize)]);

    const MALFORMED: Decoded = Decoded::Skipped(Skip::Malformed(Malformed::Fragment));

    #[test]
    fn the_first_copy_of_a_byte_wins() {
        let segment = tcp(BODY);
        let end = segment.len();
        let other = vec![b'!'; end];
        let part = |from: &[u8], start: usize, stop: usize| {
            ipv4_fragment(TCP, start, stop < end, &from[start..stop])
        };
        let good = |start, stop| part(&segment, start, stop);
        let evil = |start, stop| part(&other, start, stop);
        let cases: [Case; 4] = [
            ("over the tail", vec![good(0, 48), evil(40, 56), good(56, end)], &[(48, 56)]),
            ("over the front", vec![good(48, end), evil(40, 56), good(0, 40)], &[(40, 48)]),
            ("inside", vec![good(0, 56), evil(40, 48), good(56, end)], &[]),
            (
                "around",
                vec![good(40, 48), evil(32, 56), good(56, end), good(0, 32)],
                &[(32, 40), (48, 56)],
            ),
        ];
        for (name, packets, let_in) in cases {
            let mut expected = segment.clone();
            for &(start, stop) in let_in {
                expected[start..stop].fill(b'!');
            }
            let mut input = Input::new();
            let Decoded::Packet { payload, missing: 0, .. } = input.feed_all(&packets) else {
                panic!("{name}");
            };
            assert_eq!(payload, expected[32..], "{name}");
            assert_eq!(input.counters().fragment_overlaps, 1, "{name}");
            assert_eq!(input.counters().fragment_overlap_conflicts, 1, "{name}");
        }
    }

    #[test]
    fn a_part_that_spans_pieces_fills_the_holes_between() {
        let segment = tcp(BODY);
        let part = |start: usize, end: usize| {
            ipv4_fragment(TCP, start, end < segment.len(), &segment[start..end])
        };
        let parts = [part(8, 16), part(24, 32), part(40, 48), part(0, 56), part(48, segment.len())];
        let mut input = Input::new();
        assert_eq!(input.feed_all(&parts), Decoded::request("").reassembled());
        assert_eq!(input.counters().fragment_overlaps, 2);
        assert_eq!(input.counters().fragment_overlap_conflicts, 0);
    }

    #[test]
    fn copies_change_nothing_and_are_counted() {
        let fragments = in_fragments(24);
        let mut input = Input::new();
        assert_eq!(input.feed(&fragments[0]), Decoded::HELD);
        assert_eq!(input.feed(&fragments[0]), Decoded::HELD);
        assert_eq!(input.feed(&fragments[2]), Decoded::HELD);
        assert_eq!(input.feed(&fragments[2]), Decoded::HELD);
        assert_eq!(input.feed(&fragments[1]), Decoded::request("").reassembled());
        assert_eq!(input.counters().fragment_overlaps, 2);
        assert_eq!(input.counters().fragment_overlap_conflicts, 0);
    }

    #[test]
    fn fragments_that_cannot_be_are_malformed() {
        let mut input = Input::new();
        let mut feed =
            |offset, more, len: usize| input.feed(&ipv4_fragment(TCP, offset, more, &vec![0; len]));
        assert_eq!(feed(0, true, 0), MALFORMED, "empty");
        assert_eq!(feed(8, true, 7), MALFORMED, "less than a block");
        assert_eq!(feed(65_528, false, 8), MALFORMED, "past the longest datagram");
        assert_eq!(feed(65_528, false, 7), Decoded::HELD, "to the end of the longest datagram");
        assert_eq!(feed(65_520, false, 8), MALFORMED, "another end");

        let mut input = Input::new();
        let mut feed = |offset, more| input.feed(&ipv4_fragment(TCP, offset, more, &[0; 16]));
        assert_eq!(feed(160, true), Decoded::HELD);
        assert_eq!(feed(80, false), MALFORMED, "an end before what came");
        assert_eq!(feed(240, false), Decoded::HELD);
        assert_eq!(feed(248, true), MALFORMED, "past the end");
    }

    #[test]
    fn an_odd_tail_before_the_last_fragment_is_cut_off() {
        let segment = tcp(BODY);
        let mut input = Input::new();
        assert_eq!(input.feed(&ipv4_fragment(TCP, 0, true, &segment[..45])), Decoded::HELD);
        assert_eq!(
            input.feed(&ipv4_fragment(TCP, 40, false, &segment[40..])),
            Decoded::request("").reassembled()
        );
        assert_eq!(input.counters().fragment_overlaps, 0);
    }

    #[test]
    fn holes_are_bounded_and_those_in_order_cost_none() {
        let mut input = Input::new();
        let mut scattered = |offset| {
            let mut packet = ipv4_fragment(TCP, offset, true, &[0; 8]);
            packet[5] = 1;
            input.feed(&packet)
        };
        for index in 0..MAX_PIECES {
            assert_eq!(scattered(index * 16), Decoded::HELD);
        }
        assert_eq!(scattered(MAX_PIECES * 16), Decoded::DROPPED);

        let body = vec![b'x'; 60_000];
        let fragments = cut(&tcp(&body), 8, |at, more, part| ipv4_fragment(TCP, at, more, part));
        let Decoded::Packet { payload, .. } = input.feed_all(&fragments) else {
            panic!("not decoded");
        };
        assert_eq!(payload, body);
    }

    /// What the pool should do, said simply: a map of bytes.
    #[test]
    fn random_fragments_agree_with_a_simple_model() {
        let mut random = Random(5);
        for _ in 0..2000 {
            let len = 40 + random.below(80);
            let mut model = vec![None; len];
            let mut input = Input::new();
            loop {
                let start = random.below(len.div_ceil(8)) * 8;
                let rest = len - start;
                let more = random.below(3) > 0 && rest > 8;
                let part = if more { (random.below(rest / 8) * 8).max(8) } else { rest };
                let is_last = start + part == len;
                if start == 0 && is_last {
                    continue;
                }
                let mut bytes = vec![random.byte(); part];
                if start < 20 {
                    // The length of the header has to be one that can be.
                    bytes.iter_mut().for_each(|byte| *byte = 0x50 | (*byte & 0x0f));
                }
                let mut conflict = false;
                for (slot, byte) in model[start..].iter_mut().zip(&bytes) {
                    let had = *slot.get_or_insert(*byte);
                    conflict |= had != *byte;
                }
                let before = input.counters().fragment_overlap_conflicts;
                let decoded = input.feed(&ipv4_fragment(TCP, start, !is_last, &bytes));
                let conflicts = input.counters().fragment_overlap_conflicts - before;
                assert_eq!(conflicts, u64::from(conflict));
                let expected: Option<Vec<u8>> = model.iter().copied().collect();
                match (decoded, expected) {
                    (Decoded::Packet { payload, missing: 0, .. }, Some(whole)) => {
                        assert_eq!(payload, whole[20..]);
                        break;
                    }
                    // Whether the end is known is not part of the model.
                    (Decoded::HELD, _) => {}
                    (other, model) => panic!("{other:?} {model:?}"),
                }
            }
        }
    }
}
