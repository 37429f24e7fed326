//! A region of a frame: which bytes of a layer were captured, and how many
//! there were on the wire.

use super::outcome::{Malformed, Skip};

/// The bytes of one layer: those captured, and the length on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region<'a> {
    captured: &'a [u8],
    /// Never less than `captured.len()`.
    wire: usize,
}

impl<'a> Region<'a> {
    /// Bytes of which `wire` were on the wire. A length shorter than what was
    /// captured (some writers leave it 0) is not believed.
    #[inline]
    pub(super) fn new(captured: &'a [u8], wire: usize) -> Self {
        Self { captured, wire: wire.max(captured.len()) }
    }

    /// The captured bytes.
    #[inline]
    pub(super) fn captured(self) -> &'a [u8] {
        self.captured
    }

    /// The length on the wire.
    #[inline]
    pub(super) fn wire(self) -> usize {
        self.wire
    }

    /// How many bytes were on the wire but were not captured.
    #[inline]
    pub(super) fn missing(self) -> u32 {
        u32::try_from(self.wire - self.captured.len()).unwrap_or(u32::MAX)
    }

    /// Splits off the first `N` bytes.
    #[inline]
    pub(super) fn header<const N: usize>(self) -> Result<(&'a [u8; N], Self), Skip> {
        match self.captured.split_first_chunk() {
            Some((header, rest)) => Ok((header, Self { captured: rest, wire: self.wire - N })),
            None => Err(self.lacks(N)),
        }
    }

    /// Leaves out the first `len` bytes.
    #[inline]
    pub(super) fn skip(self, len: usize) -> Result<Self, Skip> {
        match self.captured.get(len..) {
            Some(rest) => Ok(Self { captured: rest, wire: self.wire - len }),
            None => Err(self.lacks(len)),
        }
    }

    /// The region as a length field has it: what lies behind `len` bytes is
    /// padding, and what lacks is missing.
    #[inline]
    pub(super) fn with_length(self, len: usize) -> Self {
        Self { captured: self.captured.get(..len).unwrap_or(self.captured), wire: len }
    }

    /// Why a header of `len` bytes cannot be read here.
    #[inline]
    pub(super) fn lacks(self, len: usize) -> Skip {
        if self.wire < len { Skip::Malformed(Malformed::Truncated) } else { Skip::SnappedHeader }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = &[1, 2, 3, 4, 5, 6];

    #[test]
    fn wire_length_is_at_least_what_was_captured() {
        let region = Region::new(BYTES, 0);
        assert_eq!((region.wire(), region.missing()), (6, 0));
        assert_eq!(Region::new(BYTES, 100).missing(), 94);
    }

    #[test]
    fn headers_come_off_the_front() {
        let (header, rest) = Region::new(BYTES, 10).header::<2>().unwrap();
        assert_eq!(header, &[1, 2]);
        assert_eq!((rest.captured(), rest.wire()), (&BYTES[2..], 8));
        let rest = rest.skip(4).unwrap();
        assert_eq!((rest.captured(), rest.missing()), (&[][..], 4));
    }

    #[test]
    fn a_snapped_header_is_told_from_a_truncated_one() {
        let region = Region::new(BYTES, 8);
        assert_eq!(region.header::<8>().unwrap_err(), Skip::SnappedHeader);
        assert_eq!(region.skip(9).unwrap_err(), Skip::Malformed(Malformed::Truncated));
    }

    #[test]
    fn a_length_field_trims_padding_or_tells_what_is_missing() {
        let region = Region::new(BYTES, 6);
        assert_eq!(
            (region.with_length(4).captured(), region.with_length(4).missing()),
            (&BYTES[..4], 0)
        );
        assert_eq!((region.with_length(9).captured(), region.with_length(9).missing()), (BYTES, 3));
    }
}
