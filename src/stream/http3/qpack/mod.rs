//! QPACK (RFC 9204), read passively.
//!
//! In: the encoder stream of one direction, in pieces, and that direction's
//! field sections. Out: fields, into a [`FieldList`]. An endpoint that cannot
//! decode a section gives up the connection; here what cannot be decoded is left
//! out and counted, and the rest is read. When part of the encoder stream is
//! lost, references to the dynamic table are unknown from there on; the static
//! table and literals are read as ever.

mod static_table;
mod table;
#[cfg(test)]
mod tests;

use self::static_table::STATIC_TABLE;
use self::table::Table;
use crate::stream::Header;
use crate::stream::http2::hpack::FieldList;
use crate::stream::http2::hpack::huffman::BadHuffman;
use crate::stream::http2::hpack::primitives::{Literal, Stop, integer};

/// What an entry counts at least (section 3.2.1).
const MIN_ENTRY: u64 = 32;

/// The decoder of one direction.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
    /// An instruction of the encoder stream of which a part has come.
    partial: Vec<u8>,
    /// The capacity that the other side's settings allow.
    max_capacity: Option<u64>,
    /// The greatest capacity that was set.
    set_capacity: u64,
    /// Longest name or value, as encoded.
    string_bytes: usize,
    /// Part of the encoder stream was lost, or cannot be read.
    is_lost: bool,
}

/// A field section whose dynamic entries have not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    /// How many entries must have been inserted.
    pub(super) required: u64,
}

/// The encoder stream cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// An instruction of the encoder stream (section 4.3).
#[derive(Clone, Copy, Debug)]
enum Instruction<'a> {
    Insert {
        name: Name<'a>,
        value: Literal<'a>,
    },
    SetCapacity(u32),
    /// By index from the newest entry.
    Duplicate(u32),
}

#[derive(Clone, Copy, Debug)]
enum Name<'a> {
    Static(u32),
    /// By index from the newest entry.
    Dynamic(u32),
    Literal(Literal<'a>),
}

/// A representation of a field (section 4.5).
#[derive(Clone, Copy, Debug)]
enum Line<'a> {
    Indexed(Index),
    Named { name: Index, value: Literal<'a> },
    Literal { name: Literal<'a>, value: Literal<'a> },
}

#[derive(Clone, Copy, Debug)]
enum Index {
    Static(u32),
    /// Before the base.
    Relative(u32),
    PostBase(u32),
}

/// Why there is no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoField {
    Unknown,
    Invalid,
}

impl From<BadHuffman> for NoField {
    fn from(_: BadHuffman) -> Self {
        Self::Invalid
    }
}

/// The beginning of a field section (section 4.5.1).
#[derive(Clone, Copy, Debug)]
struct Prefix {
    /// How many entries must have been inserted.
    required: u64,
    /// What indices count from; none if that cannot be known.
    base: Option<u64>,
}

impl Decoder {
    /// A decoder at the start of a connection. It keeps `table_bytes` of the
    /// dynamic table at most, and reads strings of `string_bytes` at most.
    pub(super) fn new(table_bytes: usize, string_bytes: usize) -> Self {
        Self {
            table: Table::new(table_bytes),
            partial: Vec::new(),
            max_capacity: None,
            set_capacity: 0,
            string_bytes,
            is_lost: false,
        }
    }

    /// The other side's `SETTINGS_QPACK_MAX_TABLE_CAPACITY`.
    pub(super) fn set_max_capacity(&mut self, capacity: u64) {
        self.max_capacity = Some(capacity);
    }

    /// How many entries there ever were.
    pub(super) fn inserted(&self) -> u64 {
        self.table.inserted()
    }

    /// Whether no section will have to wait any longer.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Part of the encoder stream was lost.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
        self.partial = Vec::new();
    }

    /// Takes the next bytes of the encoder stream, up to the instruction that
    /// brings the entries to `pause`: what follows may evict what a section
    /// waits for. Returns how many bytes it took.
    pub(super) fn encoder_stream(&mut self, data: &[u8], pause: u64) -> Result<usize, Broken> {
        if self.is_lost {
            return Ok(data.len());
        }
        let known = self.partial.len();
        if known == 0 {
            let used = self.instructions(data, pause)?;
            return Ok(used + self.keep(&data[used..], pause));
        }
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(data);
        let used = self.instructions(&all, pause)?;
        if self.inserted() >= pause {
            return Ok(used.saturating_sub(known));
        }
        all.drain(..used);
        self.partial = all;
        Ok(data.len())
    }

    /// Keeps the beginning of an instruction, unless there is a pause before it.
    fn keep(&mut self, rest: &[u8], pause: u64) -> usize {
        if self.inserted() >= pause {
            return 0;
        }
        self.partial.extend_from_slice(rest);
        rest.len()
    }

    /// Carries out what is whole at the start of `input`, up to a pause. Returns
    /// its length.
    fn instructions(&mut self, input: &[u8], pause: u64) -> Result<usize, Broken> {
        let mut rest = input;
        while !rest.is_empty() {
            let (instruction, used) = match Instruction::read(rest, self.string_bytes) {
                Ok(read) => read,
                Err(Stop::More) => break,
                Err(Stop::Overflow | Stop::TooLong) => {
                    self.lose();
                    return Err(Broken);
                }
            };
            self.execute(&instruction);
            rest = &rest[used..];
            if self.inserted() >= pause {
                break;
            }
        }
        Ok(input.len() - rest.len())
    }

    fn execute(&mut self, instruction: &Instruction<'_>) {
        let mut name_bytes = Vec::new();
        let mut value_bytes = Vec::new();
        let written = match *instruction {
            Instruction::SetCapacity(capacity) => {
                self.set_capacity = self.set_capacity.max(capacity.into());
                return self.table.set_capacity(capacity as usize);
            }
            Instruction::Duplicate(index) => self.newest(index).map(|field| {
                name_bytes.extend_from_slice(field.name);
                value_bytes.extend_from_slice(field.value);
            }),
            Instruction::Insert { name, value } => self
                .write_name(name, &mut name_bytes)
                .and_then(|()| Ok(value.decode(&mut value_bytes)?)),
        };
        match written {
            Ok(()) => self.table.insert(&name_bytes, &value_bytes),
            Err(_) => self.table.insert_unknown(),
        }
    }

    fn write_name(&self, name: Name<'_>, out: &mut Vec<u8>) -> Result<(), NoField> {
        match name {
            Name::Static(index) => out.extend_from_slice(static_entry(index)?.name),
            Name::Dynamic(index) => out.extend_from_slice(self.newest(index)?.name),
            Name::Literal(name) => name.decode(out)?,
        }
        Ok(())
    }

    /// The entry so many before the newest one.
    fn newest(&self, index: u32) -> Result<Header<'_>, NoField> {
        let after = u64::from(index) + 1;
        let index = self.inserted().checked_sub(after).ok_or(NoField::Invalid)?;
        self.table.get(index).ok_or(NoField::Unknown)
    }

    /// Decodes a field section, or says that it waits for entries. `must`
    /// decodes it with those that are there. What is missing of a section that
    /// is cut is not missed: the caller knows.
    pub(super) fn section(
        &self,
        section: &[u8],
        must: bool,
        fields: &mut FieldList,
    ) -> Result<(), Blocked> {
        let Ok((prefix, used)) = self.prefix(section) else {
            fields.invalid += 1;
            return Ok(());
        };
        let Prefix { required, base } = prefix;
        if required > self.inserted() && !self.is_lost && !must {
            return Err(Blocked { required });
        }
        let mut rest = section.get(used..).unwrap_or_default();
        // Over the cap, each line would cost work and give nothing.
        while !rest.is_empty() && fields.dropped == 0 {
            let Ok((line, used)) = Line::read(rest, self.string_bytes) else {
                fields.invalid += 1;
                break;
            };
            match self.line(&line, base, fields) {
                Ok(()) => {}
                Err(NoField::Unknown) => fields.unknown += 1,
                Err(NoField::Invalid) => fields.invalid += 1,
            }
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    fn prefix(&self, section: &[u8]) -> Result<(Prefix, usize), Stop> {
        const SIGN: u8 = 0x80;
        let (encoded, used) = integer(section, 8)?;
        let rest = section.get(used..).unwrap_or_default();
        let (delta, len) = integer(rest, 7)?;
        let is_negative = rest.first().is_some_and(|first| first & SIGN != 0);
        let required = self.required(encoded.into());
        let base = required.filter(|_| !self.is_lost).and_then(|required| {
            if is_negative {
                required.checked_sub(u64::from(delta) + 1)
            } else {
                Some(required + u64::from(delta))
            }
        });
        Ok((Prefix { required: required.unwrap_or(0), base }, used + len))
    }

    /// The required insert count (section 4.5.1.1). Where the settings were not
    /// seen, the capacity that the encoder set is taken for their limit.
    fn required(&self, encoded: u64) -> Option<u64> {
        if encoded == 0 {
            return Some(0);
        }
        let max_entries = self.max_capacity.unwrap_or(self.set_capacity) / MIN_ENTRY;
        let full_range = 2 * max_entries;
        if encoded > full_range {
            // Nothing is known of the table yet: then this is its beginning.
            return (full_range == 0 && self.inserted() == 0).then_some(encoded - 1);
        }
        let max_value = self.inserted() + max_entries;
        let required = max_value / full_range * full_range + encoded - 1;
        let required =
            if required > max_value { required.checked_sub(full_range)? } else { required };
        (required > 0).then_some(required)
    }

    fn line(
        &self,
        line: &Line<'_>,
        base: Option<u64>,
        fields: &mut FieldList,
    ) -> Result<(), NoField> {
        if let Line::Indexed(index) = *line {
            let field = self.entry(index, base)?;
            fields.push(field.name, field.value);
            return Ok(());
        }
        let mut draft = fields.draft();
        let write = |out: &mut crate::stream::http2::hpack::Draft<'_>| {
            match *line {
                Line::Indexed(_) => {}
                Line::Named { name, value } => {
                    out.out().extend_from_slice(self.entry(name, base)?.name);
                    out.end_name();
                    value.decode(out.out())?;
                }
                Line::Literal { name, value } => {
                    name.decode(out.out())?;
                    out.end_name();
                    value.decode(out.out())?;
                }
            }
            Ok(())
        };
        let written = write(&mut draft);
        match written {
            Ok(()) => draft.keep(),
            Err(_) => draft.discard(),
        }
        written
    }

    fn entry(&self, index: Index, base: Option<u64>) -> Result<Header<'_>, NoField> {
        let absolute = match index {
            Index::Static(index) => return static_entry(index),
            Index::Relative(index) => {
                let after = u64::from(index) + 1;
                base.ok_or(NoField::Unknown)?.checked_sub(after).ok_or(NoField::Invalid)?
            }
            Index::PostBase(index) => base.ok_or(NoField::Unknown)? + u64::from(index),
        };
        self.table.get(absolute).ok_or(NoField::Unknown)
    }
}

fn static_entry(index: u32) -> Result<Header<'static>, NoField> {
    let &(name, value) = STATIC_TABLE.get(index as usize).ok_or(NoField::Invalid)?;
    Ok(Header { name, value })
}

impl<'a> Instruction<'a> {
    /// Reads the instruction at the start of `input`. Strings are not looked
    /// into before they are whole, so that what comes in pieces is not read
    /// again and again.
    fn read(input: &'a [u8], string_bytes: usize) -> Result<(Self, usize), Stop> {
        let first = *input.first().ok_or(Stop::More)?;
        let (name, used) = match first {
            0x80.. => {
                let (index, used) = integer(input, 6)?;
                let is_static = first & 0x40 != 0;
                (if is_static { Name::Static(index) } else { Name::Dynamic(index) }, used)
            }
            0x40.. => {
                let (name, used) = Literal::read(input, 5, string_bytes)?;
                (Name::Literal(name), used)
            }
            0x20.. => {
                let (capacity, used) = integer(input, 5)?;
                return Ok((Self::SetCapacity(capacity), used));
            }
            _ => {
                let (index, used) = integer(input, 5)?;
                return Ok((Self::Duplicate(index), used));
            }
        };
        let (value, len) = Literal::read(input.get(used..).unwrap_or_default(), 7, string_bytes)?;
        Ok((Self::Insert { name, value }, used + len))
    }
}

impl<'a> Line<'a> {
    fn read(input: &'a [u8], string_bytes: usize) -> Result<(Self, usize), Stop> {
        let first = *input.first().ok_or(Stop::More)?;
        let (name, used) = match first {
            0x80.. => {
                let (index, used) = integer(input, 6)?;
                return Ok((Self::Indexed(Index::before_base(first & 0x40 != 0, index)), used));
            }
            0x40.. => {
                let (index, used) = integer(input, 4)?;
                (Index::before_base(first & 0x10 != 0, index), used)
            }
            0x20.. => {
                let (name, used) = Literal::read(input, 3, string_bytes)?;
                let rest = input.get(used..).unwrap_or_default();
                let (value, len) = Literal::read(rest, 7, string_bytes)?;
                return Ok((Self::Literal { name, value }, used + len));
            }
            0x10.. => {
                let (index, used) = integer(input, 4)?;
                return Ok((Self::Indexed(Index::PostBase(index)), used));
            }
            _ => {
                let (index, used) = integer(input, 3)?;
                (Index::PostBase(index), used)
            }
        };
        let (value, len) = Literal::read(input.get(used..).unwrap_or_default(), 7, string_bytes)?;
        Ok((Self::Named { name, value }, used + len))
    }
}

impl Index {
    fn before_base(is_static: bool, index: u32) -> Self {
        if is_static { Self::Static(index) } else { Self::Relative(index) }
    }
}
