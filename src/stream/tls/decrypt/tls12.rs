//! The keys of TLS 1.2 records, from the master secret (RFC 5246 sections 5 and
//! 6.3).

use ring::aead::{LessSafeKey, NONCE_LEN, UnboundKey};
use ring::hmac;
use zeroize::Zeroizing;

use super::cbc::CbcKey;
use super::{EXPLICIT_NONCE, RecordKey};
use crate::stream::tls::keylog::Secret;
use crate::stream::tls::suite::{Aead, Mac, Protection, Suite12};
use crate::stream::tls::wire::Reader;

/// Room for two MAC keys, two keys and two IVs, at most.
const MAX_KEY_BLOCK: usize = 2 * (48 + 32 + NONCE_LEN);

/// Who writes the records that a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// The keys of both directions.
pub(crate) struct KeyBlock {
    suite: Suite12,
    encrypt_then_mac: bool,
    bytes: Zeroizing<[u8; MAX_KEY_BLOCK]>,
}

impl KeyBlock {
    pub(crate) fn new(
        suite: Suite12,
        encrypt_then_mac: bool,
        master: &Secret,
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> Self {
        let mut bytes = Zeroizing::new([0; MAX_KEY_BLOCK]);
        let key = hmac::Key::new(suite.hash.hmac(), master.bytes());
        expand(&key, &[b"key expansion", server_random, client_random], &mut *bytes);
        Self { suite, encrypt_then_mac, bytes }
    }

    /// The key of the records that `role` writes.
    pub(crate) fn record_key(&self, role: Role) -> Option<RecordKey> {
        let (mac, key, iv) = match self.suite.protection {
            Protection::Aead(Aead::Aes128Gcm) => (0, 16, NONCE_LEN - EXPLICIT_NONCE),
            Protection::Aead(Aead::Aes256Gcm) => (0, 32, NONCE_LEN - EXPLICIT_NONCE),
            Protection::Aead(Aead::Chacha20Poly1305) => (0, 32, NONCE_LEN),
            Protection::Aes128Cbc(mac) => (mac.len(), 16, 0),
            Protection::Aes256Cbc(mac) => (mac.len(), 32, 0),
        };
        let mut block = Reader::new(&self.bytes[..]);
        let mut part = |len| {
            let (client, server) = (block.take(len)?, block.take(len)?);
            Some(if role == Role::Client { client } else { server })
        };
        let (mac, key, iv) = (part(mac)?, part(key)?, part(iv)?);
        match self.suite.protection {
            Protection::Aead(aead) => {
                let key = Box::new(LessSafeKey::new(UnboundKey::new(aead.algorithm(), key).ok()?));
                Some(match aead {
                    Aead::Chacha20Poly1305 => RecordKey::Chacha { key, iv: iv.try_into().ok()? },
                    _ => RecordKey::Gcm { key, salt: iv.try_into().ok()? },
                })
            }
            Protection::Aes128Cbc(hash) | Protection::Aes256Cbc(hash) => {
                self.cbc_key(hash, mac, key)
            }
        }
    }

    fn cbc_key(&self, hash: Mac, mac: &[u8], key: &[u8]) -> Option<RecordKey> {
        let key = CbcKey::new(key, hash, mac, self.encrypt_then_mac)?;
        Some(RecordKey::Cbc(Box::new(key)))
    }
}

/// P_hash (RFC 5246 section 5) of the concatenation of `seed`.
fn expand(key: &hmac::Key, seed: &[&[u8]], out: &mut [u8]) {
    let sign = |parts: &[&[u8]]| {
        let mut context = hmac::Context::with_key(key);
        parts.iter().for_each(|part| context.update(part));
        context.sign()
    };
    let mut a = sign(seed);
    for chunk in out.chunks_mut(a.as_ref().len()) {
        let mut context = hmac::Context::with_key(key);
        context.update(a.as_ref());
        seed.iter().for_each(|part| context.update(part));
        chunk.copy_from_slice(&context.sign().as_ref()[..chunk.len()]);
        a = sign(&[a.as_ref()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector for the PRF with SHA-256 that was sent to the TLS
    /// working group's mailing list in 2009.
    #[test]
    fn pseudo_random_function() {
        let hex = |text: &str| {
            let pairs = text.as_bytes().chunks(2);
            pairs
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect::<Vec<_>>()
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &hex("9bbe436ba940f017b17652849a71db35"));
        let seed = hex("a0ba9f936cda311827a6f796ffd5198c");
        let mut out = [0; 100];
        expand(&key, &[b"test label", &seed], &mut out);
        assert_eq!(
            out.to_vec(),
            hex("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9\
                 c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789ba\
                 a48082d122ee42c5a72e5a5110fff70187347b66")
        );
    }

    #[test]
    fn keys_of_every_kind_fit_the_block() {
        let master = Secret::zeros(48);
        for number in [0xc02f, 0xc030, 0xcca8, 0x002f, 0x0035, 0x003c, 0xc028] {
            let suite = Suite12::from_wire(number).unwrap();
            let block = KeyBlock::new(suite, false, &master, &[1; 32], &[2; 32]);
            assert!(block.record_key(Role::Client).is_some(), "{number:04x}");
            assert!(block.record_key(Role::Server).is_some(), "{number:04x}");
        }
    }
}
