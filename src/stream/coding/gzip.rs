//! The gzip format (RFC 1952): headers, members, trailers.
//!
//! The framing is read here and only the deflate stream inside handed to the
//! inflater, so that one inflater serves all members and no check sum is
//! computed: a passive reader could do nothing about a wrong one.

use super::inflater::Inflater;
use super::layer::{Emit, corrupt};
use super::{Coding, Stop};

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;

/// Bytes of the check sum and length that end a member.
const TRAILER_LEN: u16 = 8;

/// Decodes a body of one or more members.
pub(super) struct Gzip {
    inflater: Option<Inflater>,
    state: State,
    /// Header flags of parts still to come.
    flags: u8,
    /// The first member is over; what follows need not be gzip.
    member_seen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The ten fixed bytes of a header.
    Fixed(u8),
    /// Low byte of the extra field's length.
    ExtraLow,
    /// High byte of the extra field's length.
    ExtraHigh(u8),
    /// So many bytes of the header to skip.
    Skip(u16),
    /// File name or comment, up to a zero byte.
    Text,
    Inflating,
    /// So many bytes of the trailer to come.
    Trailer(u16),
    /// Padding or garbage after the last member.
    Ignored,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { inflater: None, state: State::Fixed(0), flags: 0, member_seen: false }
    }

    pub(super) fn decode(&mut self, input: &[u8], emit: &mut Emit<'_>) -> Result<(), Stop> {
        let mut rest = input;
        while let Some(&byte) = rest.first() {
            let used = match self.state {
                State::Inflating => self.inflate(rest, emit)?,
                State::Ignored => {
                    emit(rest.len(), &[])?;
                    rest.len()
                }
                _ => {
                    self.framing_byte(byte)?;
                    emit(1, &[])?;
                    1
                }
            };
            rest = &rest[used..];
        }
        Ok(())
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, State::Fixed(0) | State::Ignored)
    }

    fn inflate(&mut self, input: &[u8], emit: &mut Emit<'_>) -> Result<usize, Stop> {
        let inflater = self.inflater.get_or_insert_with(|| Inflater::new(false));
        let (used, ended) = inflater.inflate(input, Coding::Gzip, emit)?;
        if ended {
            inflater.reset(false);
            self.state = State::Trailer(TRAILER_LEN);
        }
        Ok(used)
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), Stop> {
        self.state = match self.state {
            State::Fixed(at) => return self.fixed_byte(at, byte),
            State::ExtraLow => State::ExtraHigh(byte),
            State::ExtraHigh(low) => match u16::from_le_bytes([low, byte]) {
                0 => self.next_part(),
                len => State::Skip(len),
            },
            State::Text if byte != 0 => State::Text,
            State::Skip(len) if len > 1 => State::Skip(len - 1),
            State::Text | State::Skip(_) => self.next_part(),
            State::Trailer(len) if len > 1 => State::Trailer(len - 1),
            State::Trailer(_) => {
                self.member_seen = true;
                State::Fixed(0)
            }
            State::Inflating | State::Ignored => self.state,
        };
        Ok(())
    }

    fn fixed_byte(&mut self, at: u8, byte: u8) -> Result<(), Stop> {
        let valid = match at {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            2 => byte == 8,
            _ => true,
        };
        if at == 3 {
            self.flags = byte;
        }
        self.state = match (valid, at) {
            (true, 9) => self.next_part(),
            (true, _) => State::Fixed(at + 1),
            (false, 0) if self.member_seen => State::Ignored,
            (false, _) => return Err(corrupt(Coding::Gzip)),
        };
        Ok(())
    }

    /// The next optional part of the header, or the deflate stream.
    fn next_part(&mut self) -> State {
        for (flag, state) in [
            (FLAG_EXTRA, State::ExtraLow),
            (FLAG_NAME, State::Text),
            (FLAG_COMMENT, State::Text),
            (FLAG_HEADER_CRC, State::Skip(2)),
        ] {
            if self.flags & flag != 0 {
                self.flags &= !flag;
                return state;
            }
        }
        State::Inflating
    }
}
