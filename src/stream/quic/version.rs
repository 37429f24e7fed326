//! Versions of QUIC, and what differs between them on the wire.

/// A version whose packets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuicVersion {
    /// Version 1 (RFC 9000).
    V1,
    /// Version 2 (RFC 9369).
    V2,
    /// A draft of version 1, from 29 to 34.
    Draft(u8),
}

/// The labels of the key schedule (RFC 9001 section 5.1, RFC 9369 section
/// 3.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels {
    pub(super) key: &'static [u8],
    pub(super) iv: &'static [u8],
    pub(super) header: &'static [u8],
    pub(super) update: &'static [u8],
}

impl QuicVersion {
    const DRAFTS: u32 = 0xff00_0000;

    /// From the number on the wire.
    pub const fn from_wire(number: u32) -> Option<Self> {
        match number {
            0x0000_0001 => Some(Self::V1),
            0x6b33_43cf => Some(Self::V2),
            0xff00_001d..=0xff00_0022 => Some(Self::Draft((number - Self::DRAFTS) as u8)),
            _ => None,
        }
    }

    /// Its usual name: `QUICv1`, `QUICv2`, `QUICd29` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "QUICv1",
            Self::V2 => "QUICv2",
            Self::Draft(29) => "QUICd29",
            Self::Draft(30) => "QUICd30",
            Self::Draft(31) => "QUICd31",
            Self::Draft(32) => "QUICd32",
            Self::Draft(33) => "QUICd33",
            Self::Draft(_) => "QUICd34",
        }
    }

    pub(super) const fn labels(self) -> &'static Labels {
        match self {
            Self::V1 | Self::Draft(_) => {
                &Labels { key: b"quic key", iv: b"quic iv", header: b"quic hp", update: b"quic ku" }
            }
            Self::V2 => &Labels {
                key: b"quicv2 key",
                iv: b"quicv2 iv",
                header: b"quicv2 hp",
                update: b"quicv2 ku",
            },
        }
    }

    /// The salt of Initial secrets (RFC 9001 section 5.2).
    pub(super) const fn initial_salt(self) -> &'static [u8; 20] {
        match self {
            Self::V1 | Self::Draft(33..) => &[
                0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
                0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
            ],
            Self::V2 => &[
                0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26,
                0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9,
            ],
            Self::Draft(_) => &[
                0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61,
                0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99,
            ],
        }
    }

    /// Key and nonce of the integrity tag of Retry packets (RFC 9001 section
    /// 5.8, RFC 9369 section 3.3.3).
    pub(super) const fn retry_key(self) -> ([u8; 16], [u8; 12]) {
        match self {
            Self::V1 | Self::Draft(33..) => (
                0xbe0c_690b_9f66_575a_1d76_6b54_e368_c84e_u128.to_be_bytes(),
                [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb],
            ),
            Self::V2 => (
                0x8fb4_b01b_56ac_48e2_60fb_cbce_ad7c_cc92_u128.to_be_bytes(),
                [0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a],
            ),
            Self::Draft(_) => (
                0xccce_187e_d09a_09d0_5728_155a_6cb9_6be1_u128.to_be_bytes(),
                [0xe5, 0x49, 0x30, 0xf9, 0x7f, 0x21, 0x36, 0xf0, 0x53, 0x0a, 0x8c, 0x1c],
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        for (number, name) in [
            (1, Some("QUICv1")),
            (0x6b33_43cf, Some("QUICv2")),
            (0xff00_001d, Some("QUICd29")),
            (0xff00_0022, Some("QUICd34")),
            (0xff00_001c, None),
            (0xff00_0023, None),
            (0, None),
            (0x0a0a_0a0a, None),
            (0x5130_3436, None),
        ] {
            assert_eq!(QuicVersion::from_wire(number).map(QuicVersion::as_str), name);
        }
    }
}
