//! The gate before an automaton of bodies: while nothing has begun, it looks for
//! the next place where something can, many bytes at a time.
//!
//! The first bytes of all patterns are searched for as they are written. Patterns
//! for JSON begin with a quote and a few letters of a key or string; a `\u` escape
//! may hide any of them and counts as one. What lies between is known to begin
//! nothing.

use aho_corasick::packed::{Config, MatchKind, Searcher};
use memchr::memmem::Finder;

/// Bytes of a beginning.
pub(super) const LEN: usize = 4;

/// Beginnings that vector instructions search for at once: with more, they slow
/// down.
const MAX_PACKED: usize = 64;

/// Beginnings that a sieve holds.
const MAX_SIEVED: usize = 1 << 16;

/// Places of a sieve for each beginning: the more, the fewer texts pass by chance.
const SPARSITY: usize = 256;

/// Places of a sieve, as a power of two: the largest one stays in the cache near
/// the processor.
const SIEVE_BITS: std::ops::RangeInclusive<u32> = 14..=20;

/// Where a text may begin to matter.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    starts: Vec<[u8; LEN]>,
    search: Search,
    /// What hides beginnings; absent where nothing does.
    escape: Option<Finder<'static>>,
}

#[derive(Clone, Debug)]
enum Search {
    Packed(Searcher),
    Sieve(Sieve),
}

impl Gate {
    /// A gate for patterns of JSON, escapes undone, that begin in one of these
    /// ways; none if one is too short or not the beginning of a JSON string, or if
    /// there are too many.
    pub(super) fn json(beginnings: &[Vec<u8>]) -> Option<Self> {
        let starts = starts(beginnings).filter(|starts| starts.iter().all(is_searchable))?;
        Self::new(starts, Some(Finder::new(br"\u")))
    }

    /// A gate for patterns of the text as it is.
    pub(super) fn raw(beginnings: &[Vec<u8>]) -> Option<Self> {
        Self::new(starts(beginnings)?, None)
    }

    fn new(mut starts: Vec<[u8; LEN]>, escape: Option<Finder<'static>>) -> Option<Self> {
        starts.sort_unstable();
        starts.dedup();
        if starts.is_empty() || starts.len() > MAX_SIEVED {
            return None;
        }
        let packed = if starts.len() > MAX_PACKED { None } else { Search::packed(&starts) };
        let search = packed.unwrap_or_else(|| Search::sieve(&starts));
        Some(Self { starts, search, escape })
    }

    /// How the patterns begin.
    pub(super) fn starts(&self) -> &[[u8; LEN]] {
        &self.starts
    }

    /// The places at which something may begin in `text`, whose first byte is in
    /// no escape.
    pub(super) fn places<'g, 't>(&'g self, text: &'t [u8]) -> Places<'g, 't> {
        Places { gate: self, text, escape: None }
    }
}

fn starts(beginnings: &[Vec<u8>]) -> Option<Vec<[u8; LEN]>> {
    beginnings.iter().map(|beginning| beginning.first_chunk().copied()).collect()
}

/// A quote, and bytes that only a `\u` escape can stand for.
fn is_searchable(start: &[u8; LEN]) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..) && !matches!(byte, b'"' | b'\\' | b'/' | 0xFE..);
    matches!(start, [b'"', rest @ ..] if rest.iter().all(plain))
}

impl Search {
    /// None if the processor has no vectors.
    fn packed(starts: &[[u8; LEN]]) -> Option<Self> {
        let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
        builder.extend(starts).build().map(Self::Packed)
    }

    fn sieve(starts: &[[u8; LEN]]) -> Self {
        Self::Sieve(Sieve::new(starts))
    }

    /// Where in that part of the text something may begin first.
    fn find(&self, text: &[u8], from: usize, until: usize) -> Option<usize> {
        match self {
            Self::Packed(searcher) => {
                searcher.find_in(text, (from..until).into()).map(|found| found.start())
            }
            Self::Sieve(sieve) => sieve.find(text.get(from..until)?).map(|at| from + at),
        }
    }
}

/// One bit for each of many classes of [`LEN`] bytes: set where some pattern begins
/// with bytes of the class.
#[derive(Clone, Debug)]
struct Sieve {
    bits: Box<[u64]>,
    shift: u32,
}

impl Sieve {
    fn new(starts: &[[u8; LEN]]) -> Self {
        let wanted = (starts.len() * SPARSITY).next_power_of_two().trailing_zeros();
        let bits = wanted.clamp(*SIEVE_BITS.start(), *SIEVE_BITS.end());
        let mut sieve =
            Self { bits: vec![0; 1 << (bits - u64::BITS.ilog2())].into(), shift: u32::BITS - bits };
        for start in starts {
            let class = sieve.class(*start);
            if let Some(word) = sieve.bits.get_mut(class / 64) {
                *word |= 1 << (class % 64);
            }
        }
        sieve
    }

    /// Multiplication by the golden ratio spreads similar texts (Knuth).
    fn class(&self, start: [u8; LEN]) -> usize {
        (u32::from_le_bytes(start).wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        text.windows(LEN).position(|start| {
            let class = start.first_chunk().map_or(0, |start| self.class(*start));
            self.bits.get(class / 64).is_some_and(|word| word >> (class % 64) & 1 == 1)
        })
    }
}

/// The places in one slice.
pub(super) struct Places<'g, 't> {
    gate: &'g Gate,
    text: &'t [u8],
    /// The first `\u` not passed yet; the length of the text if there is none.
    escape: Option<usize>,
}

impl Places<'_, '_> {
    /// The next place from `at` on, which is in no escape; nothing begins before
    /// it, and it is in no escape either. The end of the text is one too, as
    /// its last bytes may be half a beginning.
    pub(super) fn next(&mut self, at: usize) -> usize {
        let tail = self.text.len().saturating_sub(LEN - 1);
        if at >= tail {
            return at;
        }
        // Half a beginning may stand before an escape.
        let escape = self.next_escape(at).saturating_sub(LEN - 1);
        let end = escape.min(tail).max(at);
        let mut from = at;
        loop {
            // A beginning that begins before `end` may reach beyond it.
            let until = (end + LEN - 1).min(self.text.len());
            let found = self.gate.search.find(self.text, from, until);
            let Some(start) = found else { return self.unescaped(at, end) };
            if self.unescaped(at, start) == start {
                return start;
            }
            from = start + 1;
        }
    }

    fn next_escape(&mut self, at: usize) -> usize {
        let Some(finder) = &self.gate.escape else { return self.text.len() };
        match self.escape {
            Some(escape) if escape >= at => escape,
            _ => {
                let found = finder.find(&self.text[at..]);
                // A backslash at the end may be half of one.
                let end = self.text.len() - usize::from(self.text.ends_with(b"\\"));
                let escape = found.map_or(end, |found| at + found);
                self.escape = Some(escape);
                escape
            }
        }
    }

    /// `place`, or the backslash before it that escapes it.
    fn unescaped(&self, at: usize, place: usize) -> usize {
        if self.gate.escape.is_none() {
            return place;
        }
        let before = &self.text[at..place];
        let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\').count();
        place - backslashes % 2
    }
}
