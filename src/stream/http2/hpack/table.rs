//! The dynamic table (RFC 7541 section 2.3), as far as it is known.
//!
//! Entries are numbered from the newest, so what was lost before an entry came
//! does not change its number. And a table that keeps entries longer than the
//! encoder's answers all that the encoder may ask for. So where the size of an
//! entry is not known it is taken to be as small as it can be.

use std::collections::VecDeque;

use crate::stream::Header;

/// What an entry counts beside its name and value (section 4.1).
const OVERHEAD: usize = 32;

/// The size an encoder begins with (RFC 9113 section 6.5.2).
const INITIAL_SIZE: u32 = 4096;

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup<'a> {
    Entry(Header<'a>),
    /// The entry was lost, or not kept.
    Unknown,
    /// There can be no such entry.
    Invalid,
}

#[derive(Debug)]
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Entry>,
    /// Names and values of the entries, oldest first, after those of entries
    /// that have gone.
    bytes: Vec<u8>,
    /// Bytes that have been cut off the front of `bytes`.
    cut: u64,
    /// Size of all entries, as section 4.1 counts.
    size: usize,
    /// What the encoder may use; none if not known.
    declared: Option<u32>,
    /// What is kept at most.
    limit: usize,
    /// There are entries before those that are known.
    unknown_base: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the name begins, counted from the first byte there ever was.
    start: u64,
    name_len: u32,
    value_len: u32,
    known: bool,
}

impl Entry {
    fn size(&self) -> usize {
        self.name_len as usize + self.value_len as usize + OVERHEAD
    }
}

impl Table {
    /// Bytes that it owns beside itself.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: Vec::new(),
            cut: 0,
            size: 0,
            declared: Some(INITIAL_SIZE),
            limit,
            unknown_base: false,
        }
    }

    /// The entry called `index`, counted from 0 for the newest.
    pub(super) fn get(&self, index: usize) -> Lookup<'_> {
        let Some(entry) = self.entries.get(index) else {
            // An encoder with more room than is kept here may have more.
            let more = self.unknown_base || self.capacity() < self.declared();
            return if more { Lookup::Unknown } else { Lookup::Invalid };
        };
        let start = (entry.start - self.cut) as usize;
        let middle = start + entry.name_len as usize;
        let end = middle + entry.value_len as usize;
        match (entry.known, self.bytes.get(start..middle), self.bytes.get(middle..end)) {
            (true, Some(name), Some(value)) => Lookup::Entry(Header { name, value }),
            _ => Lookup::Unknown,
        }
    }

    /// Adds an entry.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        if size > self.declared() {
            // Section 4.4: not an error; it empties the table.
            return self.evict_to(0);
        }
        if size > self.capacity() {
            return self.insert_unknown();
        }
        self.evict_to(self.capacity() - size);
        self.push(name.len() as u32, value.len() as u32, true);
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
    }

    /// Adds an entry of which only that it exists is known.
    pub(super) fn insert_unknown(&mut self) {
        if self.capacity() < OVERHEAD {
            return self.evict_to(0);
        }
        self.evict_to(self.capacity() - OVERHEAD);
        self.push(0, 0, false);
    }

    /// The encoder changes the size (section 6.3).
    pub(super) fn resize(&mut self, size: u32) {
        self.declared = Some(size);
        self.unknown_base &= size > 0;
        self.evict_to(self.capacity());
    }

    /// Entries may have been added that were not seen, or the size changed.
    pub(super) fn lose(&mut self) {
        self.evict_to(0);
        self.declared = None;
        self.unknown_base = true;
    }

    fn declared(&self) -> usize {
        self.declared.map_or(usize::MAX, |size| size as usize)
    }

    fn capacity(&self) -> usize {
        self.declared().min(self.limit)
    }

    fn push(&mut self, name_len: u32, value_len: u32, known: bool) {
        let start = self.cut + self.bytes.len() as u64;
        let entry = Entry { start, name_len, value_len, known };
        self.size += entry.size();
        self.entries.push_front(entry);
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size -= entry.size();
        }
        self.compact();
    }

    /// Cuts off bytes of entries that have gone, when they are more than those
    /// of the others: each byte is moved once at most, on average.
    fn compact(&mut self) {
        let oldest = self.entries.back().map(|entry| (entry.start - self.cut) as usize);
        let gone = oldest.unwrap_or(self.bytes.len());
        if gone == self.bytes.len() || gone > self.bytes.len() / 2 {
            self.bytes.drain(..gone);
            self.cut += gone as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(name: &'a str, value: &'a str) -> Lookup<'a> {
        Lookup::Entry(Header { name: name.as_bytes(), value: value.as_bytes() })
    }

    #[test]
    fn oldest_goes_first() {
        let mut table = Table::new(4096);
        table.resize(72);
        table.insert(b"a", b"1");
        table.insert(b"b", b"22");
        assert_eq!(table.get(0), entry("b", "22"));
        assert_eq!(table.get(1), entry("a", "1"));
        table.insert(b"c", b"333");
        assert_eq!(table.get(0), entry("c", "333"));
        assert_eq!(table.get(1), entry("b", "22"));
        assert_eq!(table.get(2), Lookup::Invalid);
        table.insert(b"d", &[b'x'; 40]);
        assert_eq!(table.get(0), Lookup::Invalid, "too large: empties the table");
    }

    #[test]
    fn entries_after_a_loss_are_known() {
        let mut table = Table::new(4096);
        table.insert(b"a", b"1");
        table.lose();
        assert_eq!(table.get(0), Lookup::Unknown);
        table.insert(b"b", b"2");
        table.insert_unknown();
        table.insert(b"c", b"3");
        assert_eq!(table.get(0), entry("c", "3"));
        assert_eq!(table.get(1), Lookup::Unknown);
        assert_eq!(table.get(2), entry("b", "2"));
        assert_eq!(table.get(3), Lookup::Unknown);
        table.resize(0);
        table.resize(4096);
        assert_eq!(table.get(0), Lookup::Invalid, "emptied: nothing is unknown");
    }

    #[test]
    fn keeps_no_more_than_its_limit() {
        let mut table = Table::new(99);
        table.resize(1 << 20);
        table.insert(b"a", b"1");
        table.insert(b"large", &[b'x'; 500]);
        table.insert(b"b", b"2");
        assert_eq!(table.get(0), entry("b", "2"));
        assert_eq!(table.get(1), Lookup::Unknown, "too large to be kept");
        assert_eq!(table.get(2), Lookup::Unknown, "gone here, not there");
        for _ in 0..10_000 {
            table.insert(b"name", b"value");
        }
        assert!(table.bytes.capacity() <= 400);
        assert!(table.entries.len() <= 3);
    }
}
