//! Random numbers that are the same everywhere and always: xoshiro256++
//! (Blackman and Vigna), seeded through SplitMix64.

use std::ops::Range;

#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut x = seed;
        Self { state: [(); 4].map(|()| split_mix(&mut x)) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `range`, which is not empty. The bias is below 2^-32.
    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        let span = (range.end - range.start) as u128;
        range.start + ((u128::from(self.next()) * span) >> 64) as usize
    }

    /// A number in `range`, every order of magnitude as likely as another: what
    /// the sizes of things on the web are like.
    pub(crate) fn magnitude(&mut self, range: Range<usize>) -> usize {
        let (low, high) = ((range.start as f64).ln(), (range.end as f64).ln());
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((low + (high - low) * unit).exp() as usize).clamp(range.start, range.end - 1)
    }

    /// True `n` times in a thousand.
    pub(crate) fn permille(&mut self, n: usize) -> bool {
        self.within(0..1_000) < n
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.within(0..from.len())]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// `len` hexadecimal digits.
    pub(crate) fn hex(&mut self, len: usize) -> String {
        let mut text = String::with_capacity(len + 16);
        while text.len() < len {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(len);
        text
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let hex = self.hex(31);
        format!(
            "{}-{}-4{}-a{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..15],
            &hex[15..18],
            &hex[19..31]
        )
    }
}

fn split_mix(x: &mut u64) -> u64 {
    *x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *x;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
