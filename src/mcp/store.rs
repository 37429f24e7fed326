//! Where a message keeps kinds of values and texts: arrays with a place for
//! each known key, and one string that holds the texts end to end.

use super::keys::{Key, Spelling};
use super::message::ValueKind;

/// The known members of one object: kinds of value, and texts.
#[derive(Clone, Debug)]
pub(super) struct Members<const N: usize> {
    kinds: [ValueKind; N],
    pub(super) spans: [Span; N],
    /// One bit per key: seen, and spelt exactly.
    exact: u64,
}

impl<const N: usize> Default for Members<N> {
    fn default() -> Self {
        Self { kinds: [ValueKind::Absent; N], spans: [Span::NONE; N], exact: 0 }
    }
}

/// What to do with a member whose key was just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occurrence {
    First,
    /// It replaces an earlier one.
    Again,
    /// It is spelt with folded case and one spelt exactly came before.
    Shadowed,
}

impl<const N: usize> Members<N> {
    pub(super) fn kind<K: Key>(&self, key: K) -> ValueKind {
        self.kinds.get(key.index()).copied().unwrap_or_default()
    }

    pub(super) fn span<K: Key>(&self, key: K) -> Option<Span> {
        self.spans.get(key.index()).copied()
    }

    /// Notes that the key occurs.
    pub(super) fn occurs<K: Key>(&mut self, key: K, spelling: Spelling) -> Occurrence {
        let bit = 1u64 << key.index();
        let seen = self.kind(key) != ValueKind::Absent;
        if spelling == Spelling::Exact {
            self.exact |= bit;
        } else if self.exact & bit != 0 {
            return Occurrence::Shadowed;
        }
        self.set(key, ValueKind::Absent, Span::NONE);
        if seen { Occurrence::Again } else { Occurrence::First }
    }

    pub(super) fn set<K: Key>(&mut self, key: K, kind: ValueKind, span: Span) {
        if let (Some(kinds), Some(spans)) =
            (self.kinds.get_mut(key.index()), self.spans.get_mut(key.index()))
        {
            *kinds = kind;
            *spans = span;
        }
    }
}

/// A piece of the [`Arena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// No text.
    pub(super) const NONE: Self = Self { start: u32::MAX, end: 0 };

    pub(super) fn start(self) -> usize {
        self.start as usize
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::NONE
    }
}

/// The texts of a message, one after the other.
#[derive(Debug, Default)]
pub(super) struct Arena {
    text: String,
}

impl Arena {
    /// All that the texts of one message may take: well above what the caps
    /// of its parts add up to.
    const CAP: usize = 128 * 1024;
    /// Less room than this is none.
    const RESERVE: usize = 4 * 1024;

    /// Bytes that it owns beside itself.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity()
    }

    /// Whether there is hardly room for another text.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() > Self::CAP - Self::RESERVE
    }

    /// Takes over a text from `other`.
    pub(super) fn adopt(&mut self, span: &mut Span, other: &Self) {
        if let Some(text) = other.of(*span) {
            (*span, _) = self.keep(text.as_bytes(), text.len());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn of(&self, span: Span) -> Option<&str> {
        self.text.get(span.start as usize..span.end as usize)
    }

    /// Keeps up to `cap` bytes of `bytes`, whole characters only; says also
    /// whether that was all.
    pub(super) fn keep(&mut self, bytes: &[u8], cap: usize) -> (Span, bool) {
        let start = self.text.len();
        let room = cap.min(Self::CAP.saturating_sub(start));
        let whole = bytes.len() <= room;
        let head = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        for chunk in head.utf8_chunks() {
            self.text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            // Room is counted in bytes sent: a replacement may take more.
            if !invalid.is_empty() && (whole || !is_cut_character(head, invalid)) {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        let span = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        (Span { start: span(start), end: span(self.text.len()) }, whole)
    }

    /// Drops all texts from `start` on but `kept`, which moves to `start`.
    pub(super) fn compact(&mut self, start: usize, kept: Span) -> Span {
        let Some(len) = self.of(kept).map(str::len).filter(|_| kept.start() >= start) else {
            self.text.truncate(start);
            return Span::NONE;
        };
        self.text.replace_range(start..kept.start(), "");
        self.text.truncate(start + len);
        let span = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { start: span(start), end: span(start + len) }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
    }
}

/// Whether the invalid bytes stand at the very end of `head`, where a cap or
/// the end of what was seen may have cut a character.
fn is_cut_character(head: &[u8], invalid: &[u8]) -> bool {
    std::ptr::eq(head.as_ptr_range().end, invalid.as_ptr_range().end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_in_whole_characters() {
        let mut arena = Arena::default();
        for (bytes, cap, kept, whole) in [
            (&b"tools/call"[..], 128, "tools/call", true),
            (b"tools/call", 5, "tools", false),
            ("gr\u{fc}n".as_bytes(), 3, "gr", false),
            ("gr\u{fc}n".as_bytes(), 4, "gr\u{fc}", false),
            (b"a\xffb", 16, "a\u{fffd}b", true),
            (b"a\xc3", 16, "a\u{fffd}", true),
            (b"", 16, "", true),
        ] {
            let (span, all) = arena.keep(bytes, cap);
            assert_eq!((arena.of(span), all), (Some(kept), whole));
        }
        assert_eq!(arena.of(Span::NONE), None);
    }

    #[test]
    fn compacting_keeps_one_text() {
        let mut arena = Arena::default();
        let (before, _) = arena.keep(b"before", 16);
        let start = arena.len();
        arena.keep(b"dropped", 16);
        let (kept, _) = arena.keep(b"kept", 16);
        arena.keep(b"dropped", 16);
        let kept = arena.compact(start, kept);
        assert_eq!((arena.of(before), arena.of(kept)), (Some("before"), Some("kept")));
        assert_eq!(arena.len(), start + 4);
        assert_eq!(arena.compact(start, Span::NONE), Span::NONE);
        assert_eq!(arena.len(), start);
    }
}
