//! How targets read their input, and how they cut it.

use mcpwatch::stream::Direction;

/// Reads an input from its beginning; past the end come zeros.
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// A little-endian number.
    pub(crate) fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Up to `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Bytes after their length.
    pub(crate) fn sized(&mut self) -> &'a [u8] {
        let len = self.number();
        self.take(len.into())
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// How bytes are cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Whole,
    Bytes,
    /// At random, and with this seed always at the same places.
    Random(u8),
}

impl Cut {
    /// The cuts that are compared with the whole.
    pub(crate) fn others(seed: u8) -> [Self; 2] {
        [Self::Bytes, Self::Random(seed)]
    }

    /// The pieces of `data`, in order; none is empty.
    pub(crate) fn pieces(self, data: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut rest = data;
        let mut random = match self {
            Self::Random(seed) => Random::new(seed),
            Self::Whole | Self::Bytes => Random::new(0),
        };
        std::iter::from_fn(move || {
            let len = match self {
                Self::Whole => rest.len(),
                Self::Bytes => 1,
                // Mostly short pieces, now and then a long one.
                Self::Random(_) => {
                    let most = 2 << random.below(9);
                    1 + random.below(most)
                }
            };
            let (piece, after) = rest.split_at(len.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// A small generator (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u8) -> Self {
        Self((u64::from(seed) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// What happens next on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Data(Direction, &'a [u8]),
    Gap(Direction, u64),
    End(Direction),
}

/// Reads steps: a byte whose low bit is the direction (set: to the client) and
/// whose next three say what happens (6: a gap, 7: the end, else data), then
/// for data or a gap its length as a little-endian number of two bytes, then
/// the data.
pub(crate) fn steps(mut input: Input<'_>) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    while !input.is_empty() {
        let first = input.byte();
        let direction = if first & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        steps.push(match first >> 1 & 7 {
            6 => Step::Gap(direction, input.number().into()),
            7 => Step::End(direction),
            _ => Step::Data(direction, input.sized()),
        });
    }
    steps
}

/// `>` to the server, `<` to the client.
pub(crate) fn sign(direction: Direction) -> char {
    match direction {
        Direction::ToServer => '>',
        Direction::ToClient => '<',
    }
}
