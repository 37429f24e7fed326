//! The gate before an automaton of bodies: while nothing has begun, it looks for
//! the next place where something can, many bytes at a time.
//!
//! The first bytes of all patterns are searched for as they are written. Patterns
//! for JSON begin with a quote and a few letters of a key or string; a `\u` escape
//! may hide any of them and counts as one. What lies between is known to begin
//! nothing.

use std::ops::Range;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use memchr::memmem::Finder;

use super::View;

/// Bytes of a beginning, at least and at most.
pub(super) const MIN_LEN: usize = 4;
pub(crate) const MAX_LEN: usize = 8;

/// Beginnings that vector instructions search for at once: with more, they slow
/// down.
pub(super) const MAX_PACKED: usize = 64;

/// Beginnings that a sieve holds.
const MAX_SIEVED: usize = 1 << 16;

/// Bytes that a sieve looks at in one place.
const WINDOW: usize = MIN_LEN;

/// How patterns begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beginnings {
    /// Each way, as many bytes as are known.
    pub(super) ways: Vec<Vec<u8>>,
    /// Whether letters stand for themselves in upper case too.
    pub(super) folded: bool,
}

/// Where a text may begin to matter.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// The beginnings, all of one length.
    starts: Beginnings,
    /// That length.
    len: usize,
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
    /// A gate for patterns that begin in these ways, in that view of a text; none if
    /// one is too short, or not the beginning of a JSON string in a view of JSON, or if
    /// there are too many.
    pub(super) fn new(view: View, beginnings: &Beginnings) -> Option<Self> {
        match view {
            View::Json => Self::build(beginnings, searchable, Some(Finder::new(br"\u"))),
            View::Raw => Self::build(beginnings, <[u8]>::len, None),
        }
    }

    fn build(
        beginnings: &Beginnings,
        usable: fn(&[u8]) -> usize,
        escape: Option<Finder<'static>>,
    ) -> Option<Self> {
        let folded = beginnings.folded;
        let shortest = beginnings.ways.iter().map(|way| usable(way)).min()?;
        // As many bytes as one search for all takes.
        let longest = if folded { MAX_LEN } else { MIN_LEN };
        let len = Some(shortest.min(longest)).filter(|&len| len >= MIN_LEN)?;
        let mut ways: Vec<Vec<u8>> =
            beginnings.ways.iter().filter_map(|way| way.get(..len)).map(<[u8]>::to_vec).collect();
        ways.sort_unstable();
        ways.dedup();
        if ways.len() > MAX_SIEVED {
            return None;
        }
        let packed = if folded || ways.len() > MAX_PACKED { None } else { Search::packed(&ways) };
        let search = packed.unwrap_or_else(|| Search::Sieve(Sieve::new(&ways, len)));
        Some(Self { starts: Beginnings { ways, folded }, len, search, escape })
    }

    /// How the patterns begin.
    pub(super) fn starts(&self) -> &Beginnings {
        &self.starts
    }

    /// The places at which something may begin in `text`, whose first byte is in
    /// no escape.
    pub(super) fn places<'g, 't>(&'g self, text: &'t [u8]) -> Places<'g, 't> {
        Places { gate: self, text, escape: None }
    }
}

/// How many bytes only a `\u` escape can stand for, after a quote.
fn searchable(start: &[u8]) -> usize {
    let plain = |byte: &u8| matches!(byte, b' '..) && !matches!(byte, b'"' | b'\\' | b'/' | 0xFE..);
    match start {
        [b'"', rest @ ..] => 1 + rest.iter().take_while(|byte| plain(byte)).count(),
        _ => 0,
    }
}

impl Search {
    /// None if the processor has no vectors.
    fn packed(starts: &[Vec<u8>]) -> Option<Self> {
        let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
        builder.extend(starts).build().map(Self::Packed)
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

/// A search for very many beginnings. A beginning of `len` bytes holds as many
/// windows as the stride is long, one of which lies on every place of the text that is
/// a multiple of the stride: only those places are looked at, and where a window may be
/// that of a beginning, the whole is.
#[derive(Clone, Debug)]
struct Sieve {
    len: usize,
    windows: Classes,
    starts: Classes,
}

impl Sieve {
    fn new(starts: &[Vec<u8>], len: usize) -> Self {
        let mut sieve = Self { len, windows: Classes::new(), starts: Classes::new() };
        for start in starts {
            for window in start.windows(WINDOW) {
                sieve.windows.insert(number(window, WINDOW));
            }
            sieve.starts.insert(number(start, len));
        }
        sieve
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        match self.len + 1 - WINDOW {
            1 => self.find_by::<1>(text),
            2 => self.find_by::<2>(text),
            3 => self.find_by::<3>(text),
            4 => self.find_by::<4>(text),
            _ => self.find_by::<{ MAX_LEN + 1 - WINDOW }>(text),
        }
    }

    fn find_by<const STRIDE: usize>(&self, text: &[u8]) -> Option<usize> {
        /// Holds two windows at the longest stride.
        const BLOCK: usize = 16;
        let mut at = 0;
        while let Some(block) = text.get(at + STRIDE - 1..)?.first_chunk::<BLOCK>() {
            let (first, second) = (window(block, 0), window(block, STRIDE));
            // One branch for both: hardly ever taken, whatever the text.
            let may_begin = self.windows.contains(first) | self.windows.contains(second);
            if may_begin && let Some(start) = self.check(text, at..at + 2 * STRIDE) {
                return Some(start);
            }
            at += 2 * STRIDE;
        }
        self.check(text, at..text.len())
    }

    /// The first of these places where a beginning may be as a whole.
    fn check(&self, text: &[u8], mut places: Range<usize>) -> Option<usize> {
        places.find(|&place| {
            let rest = text.get(place..).filter(|rest| rest.len() >= self.len);
            rest.is_some_and(|rest| self.starts.contains(number(rest, self.len)))
        })
    }
}

fn window<const BLOCK: usize>(block: &[u8; BLOCK], at: usize) -> u64 {
    let [a, b, c, d] = [block[at], block[at + 1], block[at + 2], block[at + 3]];
    u64::from(u32::from_le_bytes([a, b, c, d]))
}

/// The first bytes of a text that has as many, at most [`MAX_LEN`], as a number.
fn number(text: &[u8], len: usize) -> u64 {
    let mut bytes = [0; MAX_LEN];
    match text.first_chunk() {
        Some(first) => bytes = *first,
        None => bytes.iter_mut().zip(text).for_each(|(byte, &given)| *byte = given),
    }
    u64::from_le_bytes(bytes) & u64::MAX >> (8 * (MAX_LEN - len))
}

/// Bits of a number that tells the classes of [`Classes`] apart: with all of them, it
/// stays in the cache near the processor, and few texts pass by chance.
const CLASS_BITS: u32 = 20;

/// Texts of a few bytes in classes, letters in either case: a set bit is a class that
/// one of the texts is of.
#[derive(Clone, Debug)]
struct Classes(Box<[u64; 1 << (CLASS_BITS - u64::BITS.ilog2())]>);

impl Classes {
    fn new() -> Self {
        Self(Box::new([0; _]))
    }

    fn insert(&mut self, text: u64) {
        let class = Self::class(text);
        self.0[class / 64] |= 1 << (class % 64);
    }

    fn contains(&self, text: u64) -> bool {
        let class = Self::class(text);
        self.0[class / 64] >> (class % 64) & 1 == 1
    }

    /// Multiplication by the golden ratio spreads similar texts (Knuth).
    fn class(text: u64) -> usize {
        let lower = text | 0x2020_2020_2020_2020;
        (lower.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - CLASS_BITS)) as usize
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
        let tail = self.text.len().saturating_sub(self.gate.len - 1);
        if at >= tail {
            return at;
        }
        // Half a beginning may stand before an escape.
        let escape = self.next_escape(at).saturating_sub(self.gate.len - 1);
        let end = escape.min(tail).max(at);
        let mut from = at;
        loop {
            // A beginning that begins before `end` may reach beyond it.
            let until = (end + self.gate.len - 1).min(self.text.len());
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
