//! The dynamic table (RFC 9204 section 3.2), as far as it is known.
//!
//! Entries are numbered from the first there ever was, so it does no harm to
//! keep one longer than the encoder does: where the size of an entry is not
//! known, it is taken to be as small as it can be.

use std::collections::VecDeque;

use crate::stream::Header;

/// What an entry counts beside its name and value.
const OVERHEAD: usize = 32;

#[derive(Debug)]
pub(super) struct Table {
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// Entries that have gone.
    evicted: u64,
    size: usize,
    /// What the encoder may use.
    declared: usize,
    /// What is kept at most.
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    bytes: Box<[u8]>,
    name_len: usize,
    is_known: bool,
}

impl Entry {
    fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

impl Table {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), evicted: 0, size: 0, declared: 0, limit }
    }

    /// How many entries there ever were.
    pub(super) fn inserted(&self) -> u64 {
        self.evicted + self.entries.len() as u64
    }

    /// The entry with this absolute index, if it is known.
    pub(super) fn get(&self, index: u64) -> Option<Header<'_>> {
        let index = usize::try_from(index.checked_sub(self.evicted)?).ok()?;
        let entry = self.entries.get(index).filter(|entry| entry.is_known)?;
        let (name, value) = entry.bytes.split_at_checked(entry.name_len)?;
        Some(Header { name, value })
    }

    /// Adds an entry.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        if name.len() + value.len() + OVERHEAD > self.capacity() {
            return self.insert_unknown();
        }
        let bytes = [name, value].concat().into();
        self.push(Entry { bytes, name_len: name.len(), is_known: true });
    }

    /// Adds an entry of which only that it exists is known.
    pub(super) fn insert_unknown(&mut self) {
        self.push(Entry { bytes: Box::default(), name_len: 0, is_known: false });
    }

    /// The encoder sets the capacity (section 4.3.1).
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.declared = capacity;
        self.evict_to(self.capacity());
    }

    fn capacity(&self) -> usize {
        self.declared.min(self.limit)
    }

    fn push(&mut self, entry: Entry) {
        self.evict_to(self.capacity().saturating_sub(entry.size()));
        if entry.size() > self.capacity() {
            self.evicted += 1;
            return;
        }
        self.size += entry.size();
        self.entries.push_back(entry);
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size {
            let Some(entry) = self.entries.pop_front() else { break };
            self.size -= entry.size();
            self.evicted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &'static str, value: &'static str) -> Option<Header<'static>> {
        Some(Header { name: name.as_bytes(), value: value.as_bytes() })
    }

    #[test]
    fn entries_keep_their_index_until_evicted() {
        let mut table = Table::new(1000);
        table.set_capacity(2 * (OVERHEAD + 2));
        table.insert(b"a", b"1");
        table.insert(b"b", b"2");
        assert_eq!((table.get(0), table.get(1)), (entry("a", "1"), entry("b", "2")));
        table.insert(b"c", b"3");
        assert_eq!((table.get(0), table.get(1)), (None, entry("b", "2")));
        assert_eq!((table.get(2), table.inserted()), (entry("c", "3"), 3));
        table.set_capacity(0);
        assert_eq!((table.get(2), table.inserted()), (None, 3));
        table.insert(b"d", b"4");
        assert_eq!((table.get(3), table.inserted()), (None, 4));
    }

    #[test]
    fn what_is_too_large_or_unknown_still_counts() {
        let mut table = Table::new(100);
        table.set_capacity(1 << 20);
        table.insert(b"name", &[b'x'; 200]);
        table.insert_unknown();
        table.insert(b"a", b"1");
        assert_eq!((table.get(0), table.get(1), table.get(2)), (None, None, entry("a", "1")));
        for _ in 0..1000 {
            table.insert(b"a", b"1");
        }
        assert!(table.size <= 100);
    }
}
