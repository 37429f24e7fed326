//! AES in CBC mode with a MAC (RFC 5246 section 6.2.3.2), the MAC made before
//! encrypting or after it (RFC 7366).
//!
//! Ciphers of this kind are checked in full, padding and MAC, because only that
//! tells right keys from wrong ones. It need not take the same time for every
//! input: nobody waits for an answer.

use aes::cipher::block::BlockModeDecrypt;
use aes::cipher::{Array, BlockCipherDecrypt, InnerIvInit, KeyInit};
use aes::{Aes128, Aes256};
use ring::hmac;

use super::additional_data;
use crate::stream::tls::record::RecordHeader;
use crate::stream::tls::suite::Mac;

const BLOCK: usize = 16;

/// A cipher key and a MAC key.
pub(crate) struct CbcKey {
    cipher: Cipher,
    mac: hmac::Key,
    mac_len: usize,
    encrypt_then_mac: bool,
}

enum Cipher {
    Aes128(Aes128),
    Aes256(Aes256),
}

impl CbcKey {
    pub(super) fn new(
        key: &[u8],
        mac: Mac,
        mac_key: &[u8],
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let cipher = match key.len() {
            16 => Cipher::Aes128(Aes128::new_from_slice(key).ok()?),
            32 => Cipher::Aes256(Aes256::new_from_slice(key).ok()?),
            _ => return None,
        };
        let mac_key = hmac::Key::new(mac.hmac(), mac_key);
        Some(Self { cipher, mac: mac_key, mac_len: mac.len(), encrypt_then_mac })
    }

    /// Opens a record into `plain`, which is empty.
    pub(super) fn open(
        &self,
        sequence: u64,
        header: RecordHeader,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Option<()> {
        let mut sealed = body;
        if self.encrypt_then_mac {
            let (authentic, tag) = body.split_at_checked(body.len().checked_sub(self.mac_len)?)?;
            self.verify(sequence, header, authentic, tag)?;
            sealed = authentic;
        }
        let (iv, sealed) = sealed.split_first_chunk::<BLOCK>()?;
        plain.extend_from_slice(sealed);
        self.cipher.decrypt(iv, plain)?;
        let content = plain.len().checked_sub(padding(plain)?)?;
        plain.truncate(content);
        if !self.encrypt_then_mac {
            let content = plain.len().checked_sub(self.mac_len)?;
            let (content, tag) = plain.split_at_checked(content)?;
            self.verify(sequence, header, content, tag)?;
            plain.truncate(plain.len() - self.mac_len);
        }
        Some(())
    }

    fn verify(&self, sequence: u64, header: RecordHeader, data: &[u8], tag: &[u8]) -> Option<()> {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(&additional_data(sequence, header, data.len()));
        context.update(data);
        (context.sign().as_ref() == tag).then_some(())
    }
}

impl Cipher {
    /// Decrypts whole blocks in place.
    fn decrypt(&self, iv: &[u8; BLOCK], data: &mut [u8]) -> Option<()> {
        match self {
            Self::Aes128(cipher) => decrypt_blocks(cipher, iv, data),
            Self::Aes256(cipher) => decrypt_blocks(cipher, iv, data),
        }
    }
}

fn decrypt_blocks<C>(cipher: &C, iv: &[u8; BLOCK], data: &mut [u8]) -> Option<()>
where
    C: BlockCipherDecrypt<BlockSize = aes::cipher::consts::U16> + Clone,
{
    let (blocks, rest) = Array::slice_as_chunks_mut(data);
    if !rest.is_empty() {
        return None;
    }
    cbc::Decryptor::inner_iv_init(cipher.clone(), iv.into()).decrypt_blocks(blocks);
    Some(())
}

/// How many bytes at the end are padding: a count, and as many bytes of the
/// same value before it.
fn padding(plain: &[u8]) -> Option<usize> {
    let count = *plain.last()?;
    let len = usize::from(count) + 1;
    let padding = plain.get(plain.len().checked_sub(len)?..)?;
    padding.iter().all(|&byte| byte == count).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paddings() {
        for (plain, expected) in [
            (&[1, 2, 0][..], Some(1)),
            (&[9, 1, 1], Some(2)),
            (&[2, 2, 2], Some(3)),
            (&[1, 2], None),
            (&[3, 3, 3], None),
            (&[], None),
        ] {
            assert_eq!(padding(plain), expected, "{plain:?}");
        }
    }

    #[test]
    fn any_length_is_refused_without_panic() {
        for encrypt_then_mac in [false, true] {
            let key = CbcKey::new(&[1; 16], Mac::Sha1, &[2; 20], encrypt_then_mac).unwrap();
            for len in 0..100 {
                let header = RecordHeader { kind: 23, version: 0x0303, len };
                let body = vec![3; len.into()];
                assert_eq!(key.open(0, header, &body, &mut Vec::new()), None, "{len}");
            }
        }
    }
}
