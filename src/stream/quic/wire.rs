//! Variable-length integers (RFC 9000 section 16): read from a slice, and byte
//! by byte.

use crate::stream::tls::wire::Reader;

/// Reads the integer at the start of `reader`.
pub(super) fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let rest = reader.take(rest_len(first))?;
    Some(rest.iter().fold(start(first), |value, &byte| value << 8 | u64::from(byte)))
}

/// Reads an integer as a length, and so many bytes.
pub(super) fn vector<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = varint(reader)?;
    reader.take(usize::try_from(len).ok()?)
}

/// An integer of which some bytes have come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Varint {
    value: u64,
    /// Bytes that are missing; none before the first byte.
    left: Option<u8>,
}

impl Varint {
    /// Takes the next byte; says the value when it was the last.
    pub(crate) fn push(&mut self, byte: u8) -> Option<u64> {
        let left = match self.left {
            None => {
                self.value = start(byte);
                rest_len(byte) as u8
            }
            Some(left) => {
                self.value = self.value << 8 | u64::from(byte);
                left.saturating_sub(1)
            }
        };
        self.left = Some(left);
        (left == 0).then_some(self.value)
    }

    /// Takes bytes from the front of `data` up to the end of the integer.
    pub(crate) fn take(&mut self, data: &mut &[u8]) -> Option<u64> {
        while let Some((&byte, rest)) = data.split_first() {
            *data = rest;
            if let Some(value) = self.push(byte) {
                return Some(value);
            }
        }
        None
    }

    /// Whether no byte has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_none()
    }
}

fn start(first: u8) -> u64 {
    u64::from(first & 0x3f)
}

/// Bytes after the first one, which tells their number.
fn rest_len(first: u8) -> usize {
    (1 << (first >> 6)) - 1
}

#[cfg(test)]
pub(crate) mod testing {
    /// Appends an integer in its shortest form.
    pub(crate) fn push_varint(out: &mut Vec<u8>, value: u64) {
        match value {
            0..0x40 => out.push(value as u8),
            0x40..0x4000 => out.extend((value as u16 | 0x4000).to_be_bytes()),
            0x4000..0x4000_0000 => out.extend((value as u32 | 0x8000_0000).to_be_bytes()),
            _ => out.extend((value | 0xc000_0000_0000_0000).to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_the_appendix() {
        // RFC 9000 appendix A.1.
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(varint(&mut reader), Some(value));
            assert!(reader.is_empty());
            assert_eq!(varint(&mut Reader::new(&bytes[..bytes.len() - 1])), None);
            let mut data = bytes;
            assert_eq!(Varint::default().take(&mut data), Some(value));
            let mut pushed = Varint::default();
            assert!(pushed.is_empty());
            let values: Vec<_> = bytes.iter().filter_map(|&byte| pushed.push(byte)).collect();
            assert_eq!(values, [value]);
        }
    }

    #[test]
    fn written_integers_are_read_again() {
        for value in [0, 0x3f, 0x40, 0x3fff, 0x4000, 0x3fff_ffff, 0x4000_0000, (1 << 62) - 1] {
            let mut bytes = Vec::new();
            testing::push_varint(&mut bytes, value);
            assert_eq!(varint(&mut Reader::new(&bytes)), Some(value));
        }
    }
}
