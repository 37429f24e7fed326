//! Cipher suites whose records can be opened, by their numbers in the IANA
//! registry.

use ring::{aead, hkdf, hmac};

/// The hash of a suite's key schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
}

impl Hash {
    pub(crate) fn hkdf(self) -> hkdf::Algorithm {
        match self {
            Self::Sha256 => hkdf::HKDF_SHA256,
            Self::Sha384 => hkdf::HKDF_SHA384,
        }
    }

    pub(crate) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
        }
    }

    /// Length of its output, and so of a traffic secret.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// A cipher that authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aead {
    Aes128Gcm,
    Aes256Gcm,
    Chacha20Poly1305,
}

impl Aead {
    pub(crate) fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::Chacha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }
}

/// A suite of TLS 1.3 (RFC 8446 appendix B.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite13 {
    pub(crate) aead: Aead,
    pub(crate) hash: Hash,
}

impl Suite13 {
    pub(crate) const fn from_wire(number: u16) -> Option<Self> {
        let (aead, hash) = match number {
            0x1301 => (Aead::Aes128Gcm, Hash::Sha256),
            0x1302 => (Aead::Aes256Gcm, Hash::Sha384),
            0x1303 => (Aead::Chacha20Poly1305, Hash::Sha256),
            _ => return None,
        };
        Some(Self { aead, hash })
    }
}

/// The hash of a suite's record MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mac {
    Sha1,
    Sha256,
    Sha384,
}

impl Mac {
    pub(crate) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
        }
    }

    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// How a suite of TLS 1.2 protects records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Aead(Aead),
    /// AES with a key of 16 bytes in CBC mode, and a MAC.
    Aes128Cbc(Mac),
    /// AES with a key of 32 bytes in CBC mode, and a MAC.
    Aes256Cbc(Mac),
}

/// A suite of TLS 1.2. How its master secret was agreed on does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite12 {
    pub(crate) protection: Protection,
    /// The hash of its pseudo-random function.
    pub(crate) hash: Hash,
}

impl Suite12 {
    #[rustfmt::skip]
    pub(crate) const fn from_wire(number: u16) -> Option<Self> {
        use Protection::{Aes128Cbc, Aes256Cbc};
        let (protection, hash) = match number {
            0x009c | 0x009e | 0x00a0 | 0x00a2 | 0x00a4 | 0x00a6 | 0x00a8 | 0x00aa | 0x00ac
            | 0xc02b | 0xc02d | 0xc02f | 0xc031 | 0xd001 =>
                (Protection::Aead(Aead::Aes128Gcm), Hash::Sha256),
            0x009d | 0x009f | 0x00a1 | 0x00a3 | 0x00a5 | 0x00a7 | 0x00a9 | 0x00ab | 0x00ad
            | 0xc02c | 0xc02e | 0xc030 | 0xc032 | 0xd002 =>
                (Protection::Aead(Aead::Aes256Gcm), Hash::Sha384),
            0xcca8..=0xccae =>
                (Protection::Aead(Aead::Chacha20Poly1305), Hash::Sha256),
            0x002f..=0x0034 | 0x008c | 0x0090 | 0x0094 | 0xc004 | 0xc009 | 0xc00e | 0xc013
            | 0xc018 | 0xc01d..=0xc01f | 0xc035 =>
                (Aes128Cbc(Mac::Sha1), Hash::Sha256),
            0x0035..=0x003a | 0x008d | 0x0091 | 0x0095 | 0xc005 | 0xc00a | 0xc00f | 0xc014
            | 0xc019 | 0xc020..=0xc022 | 0xc036 =>
                (Aes256Cbc(Mac::Sha1), Hash::Sha256),
            0x003c | 0x003e..=0x0040 | 0x0067 | 0x006c | 0x00ae | 0x00b2 | 0x00b6 | 0xc023
            | 0xc025 | 0xc027 | 0xc029 | 0xc037 =>
                (Aes128Cbc(Mac::Sha256), Hash::Sha256),
            0x003d | 0x0068..=0x006b | 0x006d =>
                (Aes256Cbc(Mac::Sha256), Hash::Sha256),
            0x00af | 0x00b3 | 0x00b7 | 0xc024 | 0xc026 | 0xc028 | 0xc02a | 0xc038 =>
                (Aes256Cbc(Mac::Sha384), Hash::Sha384),
            _ => return None,
        };
        Some(Self { protection, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_of_each_kind() {
        let suite = |number| Suite12::from_wire(number).map(|suite| (suite.protection, suite.hash));
        for (number, protection, hash) in [
            (0xc030, Protection::Aead(Aead::Aes256Gcm), Hash::Sha384),
            (0x009e, Protection::Aead(Aead::Aes128Gcm), Hash::Sha256),
            (0xcca9, Protection::Aead(Aead::Chacha20Poly1305), Hash::Sha256),
            (0x002f, Protection::Aes128Cbc(Mac::Sha1), Hash::Sha256),
            (0xc014, Protection::Aes256Cbc(Mac::Sha1), Hash::Sha256),
            (0xc027, Protection::Aes128Cbc(Mac::Sha256), Hash::Sha256),
            (0x006b, Protection::Aes256Cbc(Mac::Sha256), Hash::Sha256),
            (0xc028, Protection::Aes256Cbc(Mac::Sha384), Hash::Sha384),
        ] {
            assert_eq!(suite(number), Some((protection, hash)), "{number:04x}");
        }
        // RC4, 3DES, CCM, Camellia, and those of another version.
        for number in [0x0005, 0x000a, 0xc09c, 0x0041, 0x1301] {
            assert_eq!(suite(number), None, "{number:04x}");
        }
        assert_eq!(Suite13::from_wire(0x1304), None);
    }
}
