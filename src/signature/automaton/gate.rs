//! The gate before a JSON automaton: while nothing has begun, it looks for the
//! next place where something can, many bytes at a time.
//!
//! Patterns for JSON begin with a quote and a few letters of a key or string.
//! Those beginnings are searched for as they are written; a `\u` escape may hide
//! any of them and counts as one. What lies between is known to begin nothing.

use aho_corasick::packed::{Config, MatchKind, Searcher};
use memchr::memmem::Finder;

/// Bytes of a beginning.
const LEN: usize = 4;

/// Beginnings that are searched for at once: with more, the search slows down.
const MAX_BEGINNINGS: usize = 64;

/// Where a text may begin to matter.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    beginnings: Searcher,
    escape: Finder<'static>,
}

impl Gate {
    /// A gate for patterns that begin in one of these ways; none if there are too
    /// many of them, if one is too short or not the beginning of a JSON string, or
    /// if the processor has no vectors.
    pub(super) fn new(beginnings: &[Vec<u8>]) -> Option<Self> {
        let mut starts = Vec::with_capacity(beginnings.len());
        for beginning in beginnings {
            let start = beginning.get(..LEN).filter(|start| is_searchable(start))?;
            starts.push(start);
        }
        starts.sort_unstable();
        starts.dedup();
        if starts.is_empty() || starts.len() > MAX_BEGINNINGS {
            return None;
        }
        let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
        let beginnings = builder.extend(starts).build()?;
        Some(Self { beginnings, escape: Finder::new(br"\u") })
    }

    /// The places at which something may begin in `text`, whose first byte is in
    /// no escape.
    pub(super) fn places<'g, 't>(&'g self, text: &'t [u8]) -> Places<'g, 't> {
        Places { gate: self, text, escape: None }
    }
}

/// A quote, and bytes that only a `\u` escape can stand for.
fn is_searchable(start: &[u8]) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..) && !matches!(byte, b'"' | b'\\' | b'/' | 0xFE..);
    matches!(start, [b'"', rest @ ..] if rest.iter().all(plain))
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
            let found = self.gate.beginnings.find_in(self.text, (from..until).into());
            let Some(found) = found else { return self.unescaped(at, end) };
            let start = found.start();
            if self.unescaped(at, start) == start {
                return start;
            }
            from = start + 1;
        }
    }

    fn next_escape(&mut self, at: usize) -> usize {
        match self.escape {
            Some(escape) if escape >= at => escape,
            _ => {
                let found = self.gate.escape.find(&self.text[at..]);
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
        let before = &self.text[at..place];
        let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\').count();
        place - backslashes % 2
    }
}
