//! Fields in the byte order of the machine that wrote a capture.

/// A byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The two bytes at `at`; zero where `bytes` is too short.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let field = array(bytes, at);
        match self {
            Self::Little => u16::from_le_bytes(field),
            Self::Big => u16::from_be_bytes(field),
        }
    }

    /// The four bytes at `at`; zero where `bytes` is too short.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let field = array(bytes, at);
        match self {
            Self::Little => u32::from_le_bytes(field),
            Self::Big => u32::from_be_bytes(field),
        }
    }

    /// The eight bytes at `at`; zero where `bytes` is too short.
    #[inline]
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let field = array(bytes, at);
        match self {
            Self::Little => u64::from_le_bytes(field),
            Self::Big => u64::from_be_bytes(field),
        }
    }
}

#[inline]
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_and_short_input() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(Order::Little.u16(&bytes, 1), 0x0302);
        assert_eq!(Order::Big.u16(&bytes, 1), 0x0203);
        assert_eq!(Order::Little.u32(&bytes, 0), 0x0403_0201);
        assert_eq!(Order::Big.u32(&bytes, 0), 0x0102_0304);
        assert_eq!(Order::Big.u64(&bytes, 1), 0x0203_0405_0607_0809);
        assert_eq!(Order::Little.u64(&bytes, 2), 0);
        assert_eq!(Order::Little.u32(&bytes, usize::MAX), 0);
    }
}
