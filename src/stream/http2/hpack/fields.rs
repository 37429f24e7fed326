//! The fields of a header block, decoded into memory that is used again.

use crate::stream::Header;

/// What a field counts beside its name and value (RFC 9113 section 6.5.2).
const OVERHEAD: usize = 32;

/// So many fields are handed on without allocation.
const FEW: usize = 64;

/// Memory that is kept from one block to the next.
const KEPT: usize = 8 * 1024;

const EMPTY: Header<'_> = Header { name: b"", value: b"" };

/// The fields of one header block, up to a cap, and what is missing of them.
#[derive(Debug)]
pub(crate) struct FieldList {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    size: usize,
    limit: usize,
    /// Fields that name entries that are not known.
    pub(crate) unknown: u64,
    /// Fields that are not as they should be.
    pub(crate) invalid: u64,
    /// Fields over the cap.
    pub(crate) dropped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    middle: usize,
    end: usize,
}

impl FieldList {
    /// Bytes that it owns beside itself.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }

    /// An empty list that takes fields up to the size `limit`, as
    /// `SETTINGS_MAX_HEADER_LIST_SIZE` counts.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            spans: Vec::new(),
            size: 0,
            limit,
            unknown: 0,
            invalid: 0,
            dropped: 0,
        }
    }

    /// Whether fields are missing.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.unknown + self.invalid + self.dropped > 0
    }

    /// Adds a field.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        if !self.has_room(name.len() + value.len()) {
            self.dropped += 1;
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.keep(Span { start, middle, end: self.bytes.len() });
    }

    /// Begins a field whose name and value are written one after the other.
    pub(crate) fn draft(&mut self) -> Draft<'_> {
        let start = self.bytes.len();
        Draft { list: self, start, middle: start }
    }

    /// The fields in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Header<'_>> {
        self.spans.iter().map(|&span| self.header(span))
    }

    /// Calls `take` with the fields that `wanted` is true of.
    pub(crate) fn with_slice<R>(
        &self,
        wanted: impl Fn(&Header<'_>) -> bool,
        take: impl FnOnce(&[Header<'_>]) -> R,
    ) -> R {
        let wanted_fields = self.iter().filter(wanted);
        if self.spans.len() > FEW {
            return take(&wanted_fields.collect::<Vec<_>>());
        }
        let mut few = [EMPTY; FEW];
        let mut count = 0;
        for (place, field) in few.iter_mut().zip(wanted_fields) {
            *place = field;
            count += 1;
        }
        take(&few[..count])
    }

    /// Makes the list empty; gives memory back if it is much.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.spans.clear();
        self.spans.shrink_to(KEPT / size_of::<Span>());
        self.size = 0;
        (self.unknown, self.invalid, self.dropped) = (0, 0, 0);
    }

    fn has_room(&self, len: usize) -> bool {
        self.size + len + OVERHEAD <= self.limit
    }

    fn keep(&mut self, span: Span) {
        self.size += span.end - span.start + OVERHEAD;
        self.spans.push(span);
    }

    fn header(&self, span: Span) -> Header<'_> {
        Header {
            name: self.bytes.get(span.start..span.middle).unwrap_or_default(),
            value: self.bytes.get(span.middle..span.end).unwrap_or_default(),
        }
    }
}

/// A field that is being written at the end of a list.
pub(crate) struct Draft<'a> {
    list: &'a mut FieldList,
    start: usize,
    middle: usize,
}

impl Draft<'_> {
    /// Where to append the name, then the value.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.list.bytes
    }

    /// What follows is the value.
    pub(crate) fn end_name(&mut self) {
        self.middle = self.list.bytes.len();
    }

    /// The field as written so far.
    pub(crate) fn header(&self) -> Header<'_> {
        self.list.header(self.span())
    }

    /// Adds the field to the list, if there is room.
    pub(crate) fn keep(self) {
        let span = self.span();
        if self.list.has_room(span.end - span.start) {
            self.list.keep(span);
        } else {
            self.list.dropped += 1;
            self.discard();
        }
    }

    /// Forgets what was written.
    pub(crate) fn discard(self) {
        self.list.bytes.truncate(self.start);
    }

    fn span(&self) -> Span {
        Span { start: self.start, middle: self.middle, end: self.list.bytes.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_up_to_the_cap() {
        let mut list = FieldList::new(80);
        list.push(b"a", b"1");
        list.push(b"large", &[b'x'; 50]);
        list.push(b"b", b"2");
        list.push(b"c", b"3");
        let fields: Vec<_> = list.iter().map(|field| field.name.to_vec()).collect();
        assert_eq!(fields, [b"a", b"b"]);
        assert_eq!(list.dropped, 2);
        assert!(list.is_incomplete());
        list.clear();
        assert!(!list.is_incomplete());
        assert_eq!(list.iter().count(), 0);
    }

    #[test]
    fn few_and_many_fields() {
        for count in [0, 1, FEW, FEW + 1, 500] {
            let mut list = FieldList::new(1 << 20);
            for number in 0..count {
                list.push(b"n", number.to_string().as_bytes());
            }
            list.with_slice(
                |_| true,
                |fields| {
                    assert_eq!(fields.len(), count);
                    assert!(
                        fields.iter().enumerate().all(|(number, field)| {
                            field.value == number.to_string().as_bytes()
                        })
                    );
                },
            );
            list.with_slice(
                |field| field.value == b"0",
                |fields| {
                    assert_eq!(fields.len(), count.min(1));
                },
            );
        }
    }
}
