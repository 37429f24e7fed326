//! Counting in bounded memory.

use std::collections::{BTreeMap, BTreeSet};

use super::Names;

/// Longest text that is kept, in bytes.
const MAX_TEXT: usize = 160;

/// A text no longer than is kept.
pub(super) fn clip(text: &str) -> &str {
    match text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= MAX_TEXT)
        .last()
    {
        Some(end) if text.len() > MAX_TEXT => text.get(..end).unwrap_or(text),
        _ => text,
    }
}

/// A set of texts that keeps at most so many.
#[derive(Clone, Debug, Default)]
pub(super) struct TextSet {
    texts: BTreeSet<String>,
    more: bool,
}

impl TextSet {
    pub(super) fn add(&mut self, text: &str, cap: usize) {
        let text = clip(text);
        if text.is_empty() || self.texts.contains(text) {
            return;
        }
        if self.texts.len() >= cap {
            self.more = true;
            return;
        }
        self.texts.insert(text.to_owned());
    }

    pub(super) fn absorb(&mut self, other: &Self, cap: usize) {
        other.texts.iter().for_each(|text| self.add(text, cap));
        self.more |= other.more;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    pub(super) fn names(&self) -> Names {
        Names { names: self.texts.iter().cloned().collect(), more: self.more }
    }
}

/// A map that keeps at most so many entries.
#[derive(Clone, Debug)]
pub(super) struct CappedMap<K, V>(BTreeMap<K, V>);

impl<K, V> Default for CappedMap<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: Default> CappedMap<K, V> {
    /// The entry of `key`, new if need be; nothing if there is no room for it.
    pub(super) fn entry(&mut self, key: K, cap: usize) -> Option<&mut V> {
        if self.0.len() >= cap && !self.0.contains_key(&key) {
            return None;
        }
        Some(self.0.entry(key).or_default())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.0.retain(|_, value| keep(value));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_at_a_character() {
        assert_eq!(clip("short"), "short");
        assert_eq!(clip(&"x".repeat(300)).len(), MAX_TEXT);
        let long = format!("{}é", "x".repeat(MAX_TEXT - 1));
        assert_eq!(clip(&long).len(), MAX_TEXT - 1);
    }

    #[test]
    fn sets_say_that_there_was_more() {
        let mut set = TextSet::default();
        for text in ["b", "a", "", "b"] {
            set.add(text, 2);
        }
        assert_eq!(set.names(), Names { names: vec!["a".to_owned(), "b".to_owned()], more: false });
        set.add("c", 2);
        assert_eq!(set.names().count(), "2+");
        let mut other = TextSet::default();
        other.absorb(&set, 8);
        assert!(other.names().more);
    }

    #[test]
    fn maps_keep_what_they_have() {
        let mut map: CappedMap<&str, u64> = CappedMap::default();
        *map.entry("a", 1).unwrap() += 1;
        assert!(map.entry("b", 1).is_none());
        *map.entry("a", 1).unwrap() += 1;
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&"a", &2)]);
    }
}
