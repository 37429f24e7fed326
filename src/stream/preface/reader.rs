//! Reading one direction in fields, from pieces.

use super::Preface;

/// One direction of a preface: a chain of fields, each of which says, once it
/// is read, what comes after it.
#[derive(Debug)]
pub(super) struct Side {
    next: Next,
    /// What was given of a field that is not whole yet.
    held: Vec<u8>,
}

/// What comes next in a direction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// A field to be read.
    Field(Field),
    /// Bytes that nobody wants, and then something else.
    Skip(u16, After),
    /// The payload.
    Payload,
    /// Nothing that means anything.
    Nothing(Fault),
}

/// A field: where it ends, and who reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) end: End,
    pub(super) read: fn(&[u8], &mut Preface, u16) -> Next,
    /// What the reader of the field must know from fields before it.
    pub(super) context: u16,
}

/// Where a field ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// After so many bytes.
    Len(u16),
    /// After the first such byte, which is one of the first `max` bytes.
    Byte { byte: u8, max: u16 },
}

/// What comes after skipped bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum After {
    Payload,
    Field(Field),
}

/// Why a preface cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed,
    Unsupported,
    Refused,
    Gap,
}

/// How far a direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    /// The payload begins after so many of the bytes given.
    Done(usize),
    Failed(Fault),
}

impl Side {
    pub(super) const fn new(first: Field) -> Self {
        Self { next: Next::Field(first), held: Vec::new() }
    }

    /// A direction that has no preface.
    pub(super) const fn done() -> Self {
        Self { next: Next::Payload, held: Vec::new() }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.next, Next::Field(_) | Next::Skip(..))
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        self.next = Next::Nothing(fault);
        self.held = Vec::new();
    }

    pub(super) fn feed(&mut self, data: &[u8], found: &mut Preface) -> Outcome {
        let mut rest = data;
        loop {
            match self.next {
                Next::Payload => return Outcome::Done(data.len() - rest.len()),
                Next::Nothing(fault) => return Outcome::Failed(fault),
                Next::Skip(0, After::Payload) => self.next = Next::Payload,
                Next::Skip(0, After::Field(field)) => self.next = Next::Field(field),
                Next::Skip(len, after) => {
                    if rest.is_empty() {
                        return Outcome::Open;
                    }
                    let here = rest.len().min(usize::from(len));
                    rest = rest.get(here..).unwrap_or_default();
                    self.next = Next::Skip(len - here as u16, after);
                }
                Next::Field(field) => match self.field(field, rest, found) {
                    Some(after) => rest = after,
                    None => return Outcome::Open,
                },
            }
        }
    }

    /// Reads a field and returns the bytes after it; `None` if more are needed.
    fn field<'a>(&mut self, field: Field, rest: &'a [u8], found: &mut Preface) -> Option<&'a [u8]> {
        let max = field.end.max().saturating_sub(self.held.len());
        let window = rest.get(..max).unwrap_or(rest);
        let len = match field.end {
            End::Len(_) => (window.len() == max).then_some(max),
            End::Byte { byte, .. } => memchr::memchr(byte, window).map(|at| at + 1),
        };
        match len.and_then(|len| rest.split_at_checked(len)) {
            Some((last, after)) => {
                self.read(field, last, found);
                Some(after)
            }
            None if window.len() == max => {
                self.fail(Fault::Malformed);
                Some(&[])
            }
            None => {
                self.held.extend_from_slice(window);
                None
            }
        }
    }

    fn read(&mut self, field: Field, last: &[u8], found: &mut Preface) {
        self.next = if self.held.is_empty() {
            (field.read)(last, found, field.context)
        } else {
            self.held.extend_from_slice(last);
            (field.read)(&self.held, found, field.context)
        };
        self.held = Vec::new();
    }
}

impl End {
    fn max(self) -> usize {
        match self {
            Self::Len(len) | Self::Byte { max: len, .. } => usize::from(len),
        }
    }
}

impl Next {
    pub(super) const MALFORMED: Self = Self::Nothing(Fault::Malformed);
    pub(super) const UNSUPPORTED: Self = Self::Nothing(Fault::Unsupported);
    pub(super) const REFUSED: Self = Self::Nothing(Fault::Refused);
}
