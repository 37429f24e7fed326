//! One frame's header and mask (RFC 6455 section 5.2).

/// The longest header: two bytes, a length of eight, a mask of four.
const MAX_HEADER: usize = 14;

/// The longest payload of a control frame.
const MAX_CONTROL: u64 = 125;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame whose payload is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) is_final: bool,
    pub(super) reserved: [bool; 3],
    pub(super) len: u64,
    /// Turned as the payload is read: the first byte is the next to be used.
    pub(super) mask: Option<[u8; 4]>,
    /// The first two bytes of a close frame's payload.
    close: [Option<u8>; 2],
}

/// A header that no endpoint accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidHeader;

impl Frame {
    pub(super) fn has_reserved_bits(&self) -> bool {
        self.reserved != [false; 3]
    }

    /// Unmasks the next bytes of the payload.
    pub(super) fn unmask(&mut self, data: &mut [u8]) {
        let Some(mask) = self.mask else { return };
        let mut words = data.chunks_exact_mut(4);
        for word in &mut words {
            for (byte, key) in word.iter_mut().zip(mask) {
                *byte ^= key;
            }
        }
        for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
            *byte ^= key;
        }
        self.skip(data.len() as u64);
    }

    /// Steps over bytes of the payload.
    pub(super) fn skip(&mut self, len: u64) {
        if let Some(mask) = &mut self.mask {
            mask.rotate_left((len % 4) as usize);
        }
    }

    /// Takes bytes of a close frame's payload.
    pub(super) fn note_close(&mut self, data: &[u8]) {
        for &byte in data {
            let mut plain = [byte];
            self.unmask(&mut plain);
            if let Some(slot) = self.close.iter_mut().find(|slot| slot.is_none()) {
                *slot = Some(plain[0]);
            }
        }
    }

    pub(super) fn close_code(&self) -> Option<u16> {
        Some(u16::from_be_bytes([self.close[0]?, self.close[1]?]))
    }
}

/// A header that may come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrameHeader {
    bytes: [u8; MAX_HEADER],
    have: usize,
}

impl FrameHeader {
    /// Takes bytes, until the header is whole. Returns how many.
    pub(super) fn read(&mut self, data: &[u8]) -> (usize, Option<Result<Frame, InvalidHeader>>) {
        let mut used = 0;
        loop {
            let need = self.needed();
            if self.have == need {
                return (used, Some(self.parse()));
            }
            let Some(&byte) = data.get(used) else { return (used, None) };
            self.bytes[self.have] = byte;
            self.have += 1;
            used += 1;
        }
    }

    /// The header's length, as far as can be told.
    fn needed(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let length = match self.bytes[1] & 0x7f {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        let mask = if self.bytes[1] & 0x80 != 0 { 4 } else { 0 };
        2 + length + mask
    }

    fn parse(&self) -> Result<Frame, InvalidHeader> {
        let [first, second, rest @ ..] = self.bytes;
        let (len, mask_at) = match second & 0x7f {
            127 => {
                let [a, b, c, d, e, f, g, h, ..] = rest;
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 8)
            }
            126 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
            len => (u64::from(len), 0),
        };
        let mask = (second & 0x80 != 0).then(|| [0, 1, 2, 3].map(|at| rest[mask_at + at]));
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(InvalidHeader)?;
        let is_final = first & 0x80 != 0;
        if opcode.is_control() && (!is_final || len > MAX_CONTROL) || len >> 63 != 0 {
            return Err(InvalidHeader);
        }
        let reserved = [0x40, 0x20, 0x10].map(|bit| first & bit != 0);
        Ok(Frame { opcode, is_final, reserved, len, mask, close: [None; 2] })
    }
}
