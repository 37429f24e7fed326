//! What the tests of the stream parsers share: a seeded source of randomness
//! and ways to cut input into pieces.

/// A small generator (xorshift64*): the same seed gives the same tests.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Changes, cuts, doubles or swaps some bytes of `data`.
    pub(crate) fn mutate(&mut self, data: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if data.is_empty() {
                return;
            }
            let at = self.below(data.len());
            match self.below(5) {
                0 => data[at] = self.next() as u8,
                1 => data[at] = b"\r\n :0,;\t/H"[self.below(10)],
                2 => drop(data.drain(at..(at + 1 + self.below(8)).min(data.len()))),
                3 => {
                    let copy = data[at..(at + 1 + self.below(24)).min(data.len())].to_vec();
                    data.splice(at..at, copy);
                }
                _ => data[at] ^= 1 << self.below(8),
            }
        }
    }
}

/// How a test cuts its input.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Whole,
    Bytes,
    Random(u64),
}

impl Cut {
    /// Whole, byte by byte, and some random cuts.
    pub(crate) fn all() -> impl Iterator<Item = Cut> {
        [Cut::Whole, Cut::Bytes].into_iter().chain((1..=6).map(Cut::Random))
    }

    /// The pieces of `data`, in order.
    pub(crate) fn pieces(self, data: &[u8]) -> Vec<&[u8]> {
        let mut rest = data;
        let mut pieces = Vec::new();
        let mut rng = Rng::new(if let Cut::Random(seed) = self { seed } else { 0 });
        while !rest.is_empty() {
            let len = match self {
                Cut::Whole => rest.len(),
                Cut::Bytes => 1,
                Cut::Random(_) => 1 + rng.below(rest.len().min(40)),
            };
            let (piece, tail) = rest.split_at(len);
            pieces.push(piece);
            rest = tail;
        }
        pieces
    }
}
