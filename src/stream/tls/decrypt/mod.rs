//! Opening records: one key, and the number of the next record under it.
//!
//! The body of a record is copied once, into a buffer that is used again for
//! every record, and opened there; what was captured is left as it is, so that
//! after a loss other numbers, and other keys, can be tried.

mod cbc;
mod tls12;
mod tls13;

pub(super) use self::tls12::{KeyBlock, Role};
pub(super) use self::tls13::{next_secret, record_key};

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use self::cbc::CbcKey;
use super::record::{HEADER, RecordHeader};

/// Length of the tag of every AEAD there is here.
const TAG: usize = 16;

/// Length of the part of a nonce that AES-GCM sends along in TLS 1.2.
const EXPLICIT_NONCE: usize = 8;

/// The length of an alert.
const ALERT: u64 = 2;

/// The length of a KeyUpdate message.
const KEY_UPDATE: u64 = 5;

/// The key of one direction and epoch.
pub(super) enum RecordKey {
    /// TLS 1.3 (RFC 8446 section 5.2).
    Tls13 { key: Box<LessSafeKey>, iv: [u8; NONCE_LEN] },
    /// TLS 1.2 with AES-GCM (RFC 5288).
    Gcm { key: Box<LessSafeKey>, salt: [u8; NONCE_LEN - EXPLICIT_NONCE] },
    /// TLS 1.2 with ChaCha20-Poly1305 (RFC 7905).
    Chacha { key: Box<LessSafeKey>, iv: [u8; NONCE_LEN] },
    /// TLS 1.2 with AES-CBC.
    Cbc(Box<CbcKey>),
}

/// Opens the records of one direction and epoch, in order.
pub(super) struct Opener {
    key: RecordKey,
    sequence: u64,
}

impl Opener {
    pub(super) const fn new(key: RecordKey) -> Self {
        Self { key, sequence: 0 }
    }

    /// Opens the next record into `plain`. Returns its true content type, or
    /// `None`, and then stays where it was.
    pub(super) fn open(
        &mut self,
        header: RecordHeader,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Option<u8> {
        let kind = self.key.open(self.sequence, header, body, plain)?;
        self.sequence = self.sequence.wrapping_add(1);
        Some(kind)
    }

    /// Opens a record that may stand up to `window` behind the next one: some
    /// were lost.
    pub(super) fn seek(
        &mut self,
        window: u64,
        header: RecordHeader,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Option<u8> {
        (0..=window).find_map(|ahead| {
            let sequence = self.sequence.wrapping_add(ahead);
            let kind = self.key.open(sequence, header, body, plain)?;
            self.sequence = sequence.wrapping_add(1);
            Some(kind)
        })
    }

    /// The next record was lost.
    pub(super) const fn pass(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// The record that was opened last will be opened again.
    pub(super) const fn step_back(&mut self) {
        self.sequence = self.sequence.wrapping_sub(1);
    }

    /// How many bytes of application data a record of this header most likely
    /// holds; 0 if that cannot be said. It is exact for the AEAD suites of TLS
    /// 1.2; TLS 1.3 hides padding and what is not application data.
    pub(super) fn plain_len(&self, header: RecordHeader) -> u64 {
        let len = u64::from(header.len);
        match self.key {
            RecordKey::Tls13 { .. } => match len.saturating_sub(TAG as u64 + 1) {
                ALERT | KEY_UPDATE => 0,
                len => len,
            },
            RecordKey::Gcm { .. } => len.saturating_sub((EXPLICIT_NONCE + TAG) as u64),
            RecordKey::Chacha { .. } => len.saturating_sub(TAG as u64),
            RecordKey::Cbc(_) => 0,
        }
    }
}

impl RecordKey {
    fn open(
        &self,
        sequence: u64,
        header: RecordHeader,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Option<u8> {
        plain.clear();
        match self {
            Self::Tls13 { key, iv } => {
                plain.extend_from_slice(body);
                open_aead(key, numbered(iv, sequence), Aad::from(header.bytes()), plain)?;
                inner_type(plain)
            }
            Self::Gcm { key, salt } => {
                let (explicit, sealed) = body.split_at_checked(EXPLICIT_NONCE)?;
                plain.extend_from_slice(sealed);
                let mut nonce = [0; NONCE_LEN];
                nonce[..salt.len()].copy_from_slice(salt);
                nonce[salt.len()..].copy_from_slice(explicit);
                let aad = additional_data(sequence, header, sealed.len().checked_sub(TAG)?);
                open_aead(key, nonce, Aad::from(aad), plain)?;
                Some(header.kind)
            }
            Self::Chacha { key, iv } => {
                plain.extend_from_slice(body);
                let aad = additional_data(sequence, header, body.len().checked_sub(TAG)?);
                open_aead(key, numbered(iv, sequence), Aad::from(aad), plain)?;
                Some(header.kind)
            }
            Self::Cbc(key) => {
                key.open(sequence, header, body, plain)?;
                Some(header.kind)
            }
        }
    }
}

fn open_aead<const N: usize>(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    aad: Aad<[u8; N]>,
    data: &mut Vec<u8>,
) -> Option<()> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let len = key.open_in_place(nonce, aad, data).ok()?.len();
    data.truncate(len);
    Some(())
}

/// The nonce of a record (RFC 8446 section 5.3).
fn numbered(iv: &[u8; NONCE_LEN], sequence: u64) -> [u8; NONCE_LEN] {
    let mut nonce = *iv;
    for (byte, number) in nonce.iter_mut().rev().zip(sequence.to_le_bytes()) {
        *byte ^= number;
    }
    nonce
}

/// Takes off the padding and the true type behind the content (RFC 8446
/// section 5.2).
fn inner_type(plain: &mut Vec<u8>) -> Option<u8> {
    let at = plain.iter().rposition(|&byte| byte != 0)?;
    let kind = plain[at];
    plain.truncate(at);
    Some(kind)
}

/// What a record of TLS 1.2 is authenticated with (RFC 5246 section 6.2.3.3).
fn additional_data(sequence: u64, header: RecordHeader, len: usize) -> [u8; 8 + HEADER] {
    let mut data = [0; 8 + HEADER];
    data[..8].copy_from_slice(&sequence.to_be_bytes());
    data[8..].copy_from_slice(&RecordHeader { len: len as u16, ..header }.bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_count_from_the_end() {
        assert_eq!(numbered(&[0; 12], 0x0102), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(numbered(&[0xff; 12], 1)[11], 0xfe);
    }

    #[test]
    fn padding_is_taken_off() {
        for (inner, expected) in [
            (&b"data\x17"[..], Some((23, &b"data"[..]))),
            (b"data\x17\0\0\0", Some((23, b"data"))),
            (b"\x16", Some((22, b""))),
            (b"\0\0", None),
            (b"", None),
        ] {
            let mut plain = inner.to_vec();
            let kind = inner_type(&mut plain);
            assert_eq!(kind.map(|kind| (kind, &plain[..])), expected);
        }
    }
}
