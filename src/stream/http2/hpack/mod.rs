//! HPACK (RFC 7541), read passively.
//!
//! In: header blocks of one direction, in pieces. Out: their fields, into a
//! [`FieldList`]. An endpoint that cannot decode a block gives up the
//! connection; here what cannot be decoded is left out and counted, and the
//! rest is read. After a loss ([`Decoder::lose`]) references to entries from
//! before are unknown; the static table, literals and entries added since are
//! read as ever.

mod fields;
pub(crate) mod huffman;
pub(crate) mod primitives;
mod static_table;
mod table;

#[cfg(test)]
pub(crate) mod testing;

use self::huffman::BadHuffman;
use self::primitives::{Literal, Stop, integer};
use self::static_table::STATIC_TABLE;
use self::table::{Lookup, Table};
use crate::stream::Header;

pub(crate) use self::fields::{Draft, FieldList};

/// The decoder of one direction.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
    /// Longest name or value, as encoded.
    string_bytes: usize,
}

/// The rest of a block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// One instruction of a block (section 6).
#[derive(Clone, Copy, Debug)]
enum Instruction<'a> {
    Indexed(u32),
    Literal { name: Name<'a>, value: Literal<'a>, insert: bool },
    Resize(u32),
}

#[derive(Clone, Copy, Debug)]
enum Name<'a> {
    Indexed(u32),
    Literal(Literal<'a>),
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

impl Decoder {
    /// Bytes that it owns beside itself.
    pub(super) fn memory(&self) -> usize {
        self.table.memory()
    }

    /// A decoder at the start of a connection. It keeps `table_bytes` of the
    /// dynamic table at most, and reads strings of `string_bytes` at most.
    pub(super) fn new(table_bytes: usize, string_bytes: usize) -> Self {
        Self { table: Table::new(table_bytes), string_bytes }
    }

    /// Reads what is whole at the start of `input`. Returns how many bytes that
    /// is; the rest is to be fed again, with more.
    pub(super) fn decode(&mut self, input: &[u8], fields: &mut FieldList) -> Result<usize, Broken> {
        let mut rest = input;
        while !rest.is_empty() {
            let (instruction, used) = match Instruction::read(rest, self.string_bytes) {
                Ok(read) => read,
                Err(Stop::More) => break,
                Err(Stop::Overflow | Stop::TooLong) => {
                    self.table.lose();
                    return Err(Broken);
                }
            };
            self.execute(&instruction, fields);
            rest = &rest[used..];
        }
        Ok(input.len() - rest.len())
    }

    /// (Part of) a header block was lost.
    pub(super) fn lose(&mut self) {
        self.table.lose();
    }

    fn execute(&mut self, instruction: &Instruction<'_>, fields: &mut FieldList) {
        let done = match *instruction {
            Instruction::Resize(size) => {
                self.table.resize(size);
                Ok(())
            }
            Instruction::Indexed(index) => {
                self.lookup(index).map(|field| fields.push(field.name, field.value))
            }
            Instruction::Literal { name, value, insert } => {
                self.literal(name, value, insert, fields)
            }
        };
        match done {
            Ok(()) => {}
            Err(NoField::Unknown) => fields.unknown += 1,
            Err(NoField::Invalid) => fields.invalid += 1,
        }
    }

    fn literal(
        &mut self,
        name: Name<'_>,
        value: Literal<'_>,
        insert: bool,
        fields: &mut FieldList,
    ) -> Result<(), NoField> {
        let mut draft = fields.draft();
        let written = self.write(name, value, &mut draft);
        match written {
            Ok(()) if insert => {
                let field = draft.header();
                self.table.insert(field.name, field.value);
                draft.keep();
            }
            Ok(()) => draft.keep(),
            Err(_) => {
                draft.discard();
                if insert {
                    self.table.insert_unknown();
                }
            }
        }
        written
    }

    fn write(
        &self,
        name: Name<'_>,
        value: Literal<'_>,
        draft: &mut Draft<'_>,
    ) -> Result<(), NoField> {
        match name {
            Name::Literal(name) => name.decode(draft.out())?,
            Name::Indexed(index) => draft.out().extend_from_slice(self.lookup(index)?.name),
        }
        draft.end_name();
        Ok(value.decode(draft.out())?)
    }

    /// The entry of either table that `index` stands for.
    fn lookup(&self, index: u32) -> Result<Header<'_>, NoField> {
        let index = (index as usize).checked_sub(1).ok_or(NoField::Invalid)?;
        if let Some(&(name, value)) = STATIC_TABLE.get(index) {
            return Ok(Header { name, value });
        }
        match self.table.get(index - STATIC_TABLE.len()) {
            Lookup::Entry(field) => Ok(field),
            Lookup::Unknown => Err(NoField::Unknown),
            Lookup::Invalid => Err(NoField::Invalid),
        }
    }
}

impl<'a> Instruction<'a> {
    /// Reads the instruction at the start of `input`. Returns it with its
    /// length. Strings are not looked into before they are whole, so that what
    /// comes in pieces is not read again and again.
    fn read(input: &'a [u8], string_bytes: usize) -> Result<(Self, usize), Stop> {
        let first = *input.first().ok_or(Stop::More)?;
        if first & 0x80 != 0 {
            let (index, used) = integer(input, 7)?;
            return Ok((Self::Indexed(index), used));
        }
        if first & 0xe0 == 0x20 {
            let (size, used) = integer(input, 5)?;
            return Ok((Self::Resize(size), used));
        }
        let insert = first & 0x40 != 0;
        let (index, mut used) = integer(input, if insert { 6 } else { 4 })?;
        let name = if index == 0 {
            let (name, len) = Literal::read(&input[used..], 7, string_bytes)?;
            used += len;
            Name::Literal(name)
        } else {
            Name::Indexed(index)
        };
        let (value, len) = Literal::read(&input[used..], 7, string_bytes)?;
        Ok((Self::Literal { name, value, insert }, used + len))
    }
}

#[cfg(test)]
mod tests;
