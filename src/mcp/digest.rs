//! A stable 128-bit digest of a tool definition, to notice that it changed.
//!
//! SipHash-2-4 with a fixed key: the same on every machine and in every
//! version, and indifferent to how the input was cut. It tells definitions
//! apart; it is no proof against somebody who seeks collisions.

/// A running digest.
#[derive(Clone, Debug)]
pub(super) struct Digest {
    lanes: [u64; 4],
    /// Bytes of an unfinished block, from the lowest byte up.
    tail: u64,
    len: u64,
}

impl Digest {
    pub(super) const fn new() -> Self {
        Self::with_key(u64::from_le_bytes(*b"mcpwatch"), u64::from_le_bytes(*b"tooldef1"))
    }

    const fn with_key(k0: u64, k1: u64) -> Self {
        let lanes = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { lanes, tail: 0, len: 0 }
    }

    /// Appends `bytes`.
    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        while !self.len.is_multiple_of(8) {
            let Some((&byte, rest)) = bytes.split_first() else { return };
            self.byte(byte);
            bytes = rest;
        }
        while let Some((block, rest)) = bytes.split_first_chunk::<8>() {
            self.block(u64::from_le_bytes(*block));
            self.len = self.len.wrapping_add(8);
            bytes = rest;
        }
        for &byte in bytes {
            self.byte(byte);
        }
    }

    /// Appends one byte.
    pub(super) fn byte(&mut self, byte: u8) {
        self.tail |= u64::from(byte) << (8 * (self.len % 8));
        self.len = self.len.wrapping_add(1);
        if self.len.is_multiple_of(8) {
            let block = std::mem::take(&mut self.tail);
            self.block(block);
        }
    }

    /// The digest of all bytes so far.
    pub(super) fn finish(&self) -> u128 {
        let mut last = self.clone();
        last.block(self.tail | (self.len << 56));
        last.lanes[2] ^= 0xee;
        let low = last.fold();
        last.lanes[1] ^= 0xdd;
        let high = last.fold();
        u128::from(low) | (u128::from(high) << 64)
    }

    fn block(&mut self, block: u64) {
        self.lanes[3] ^= block;
        self.round();
        self.round();
        self.lanes[0] ^= block;
    }

    fn fold(&mut self) -> u64 {
        for _ in 0..4 {
            self.round();
        }
        self.lanes.iter().fold(0, |sum, lane| sum ^ lane)
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.lanes;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.lanes = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(len: u8) -> [u8; 16] {
        let key = |from: u8| u64::from_le_bytes(std::array::from_fn(|i| from + i as u8));
        let mut digest = Digest::with_key(key(0), key(8));
        let input: Vec<u8> = (0..len).collect();
        digest.write(&input);
        digest.finish().to_le_bytes()
    }

    #[test]
    fn agrees_with_the_reference_vectors() {
        assert_eq!(reference(0), 0x930255c71472f66de6a825ba047f81a3_u128.to_le_bytes());
        assert_eq!(reference(1), 0x45fc229b1159763444af996bd8c187da_u128.to_le_bytes());
    }

    #[test]
    fn is_indifferent_to_the_cut() {
        let input: Vec<u8> = (0..100).collect();
        let mut whole = Digest::new();
        whole.write(&input);
        for size in [1, 3, 7, 8, 9, 64] {
            let mut pieces = Digest::new();
            input.chunks(size).for_each(|piece| pieces.write(piece));
            assert_eq!(pieces.finish(), whole.finish(), "{size}");
        }
    }
}
