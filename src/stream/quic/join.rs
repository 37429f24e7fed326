//! Joins the first handshake message of CRYPTO frames.

use super::assembler::{Arrival, Assembler};

/// Bytes of a handshake message's header: type and length.
const HEADER: usize = 4;

/// The first handshake message of one direction at one level of encryption.
#[derive(Debug, Default)]
pub(super) struct FirstMessage {
    assembler: Assembler,
    start: Vec<u8>,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined<'a> {
    Part,
    Whole(&'a [u8]),
    /// It is larger than the limit.
    TooLarge,
    /// The segment was dropped, since too much is held already.
    NoRoom,
}

impl FirstMessage {
    /// Takes a CRYPTO frame.
    pub(super) fn add(&mut self, offset: u64, data: &[u8], limit: usize) -> Joined<'_> {
        loop {
            match self.assembler.take(offset, data, limit) {
                Arrival::Next(now) => self.start.extend_from_slice(now),
                Arrival::Held => break,
                Arrival::NoRoom => return Joined::NoRoom,
            }
            while let Some(piece) = self.assembler.pop() {
                self.start.extend(piece);
            }
            if self.len().is_some_and(|len| len > limit) {
                return Joined::TooLarge;
            }
        }
        match self.len().and_then(|len| self.start.get(..len)) {
            Some(message) => Joined::Whole(message),
            None => Joined::Part,
        }
    }

    /// The length of the message, if its header has come.
    fn len(&self) -> Option<usize> {
        let [_, len @ ..] = self.start.first_chunk::<HEADER>()?;
        Some(HEADER + len.iter().fold(0, |value, &byte| value << 8 | usize::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Rng;

    const LIMIT: usize = 64 * 1024;

    #[test]
    fn any_order_gives_the_message() {
        let mut message = vec![1, 0, 8, 0];
        message.extend((0..2048u32).map(|number| number as u8));
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            // What follows the message does not matter.
            let mut stream = message.clone();
            stream.extend([0xff; 100]);
            let mut cuts: Vec<_> = stream.chunks(1 + rng.below(900)).collect();
            let size = cuts[0].len();
            let mut order: Vec<_> = (0..cuts.len()).collect();
            for index in (1..order.len()).rev() {
                order.swap(index, rng.below(index + 1));
            }
            let mut first = FirstMessage::default();
            let mut whole = false;
            for index in order {
                let joined = first.add((index * size) as u64, cuts[index], LIMIT);
                whole = joined == Joined::Whole(&message);
                assert!(whole || joined == Joined::Part);
            }
            assert!(whole);
            cuts.clear();
        }
    }

    #[test]
    fn size_is_bounded() {
        let mut first = FirstMessage::default();
        assert_eq!(first.add(0, &[1, 1, 0, 0, 5], LIMIT), Joined::TooLarge);
        let mut first = FirstMessage::default();
        assert_eq!(first.add(5, &[0; 64 * 1024], LIMIT), Joined::NoRoom);
        let mut first = FirstMessage::default();
        assert_eq!(first.add(0, &[1, 0, 0], LIMIT), Joined::Part);
        assert_eq!(first.add(3, &[0], LIMIT), Joined::Whole(&[1, 0, 0, 0]));
    }
}
