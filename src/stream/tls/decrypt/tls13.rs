//! The keys of TLS 1.3 records, from traffic secrets (RFC 8446 section 7).

use ring::aead::{LessSafeKey, NONCE_LEN, UnboundKey};
use zeroize::Zeroizing;

use super::RecordKey;
use crate::stream::tls::hkdf::{expand_label, extracted};
use crate::stream::tls::keylog::Secret;
use crate::stream::tls::suite::Suite13;

/// The key of records under a traffic secret. `None` if it is not a secret of
/// that suite.
pub(crate) fn record_key(suite: Suite13, secret: &Secret) -> Option<RecordKey> {
    let prk = extracted(suite.hash, secret)?;
    let algorithm = suite.aead.algorithm();
    let mut key = Zeroizing::new([0; 32]);
    let key = key.get_mut(..algorithm.key_len())?;
    expand_label(&prk, b"key", key)?;
    let mut iv = [0; NONCE_LEN];
    expand_label(&prk, b"iv", &mut iv)?;
    let key = UnboundKey::new(algorithm, key).ok()?;
    Some(RecordKey::Tls13 { key: Box::new(LessSafeKey::new(key)), iv })
}

/// The traffic secret after a key update.
pub(crate) fn next_secret(suite: Suite13, secret: &Secret) -> Option<Secret> {
    let prk = extracted(suite.hash, secret)?;
    let mut next = Secret::zeros(suite.hash.len());
    expand_label(&prk, b"traffic upd", next.bytes_mut())?;
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_another_hash_makes_no_key() {
        let suite = Suite13::from_wire(0x1302).unwrap();
        assert!(record_key(suite, &Secret::zeros(32)).is_none());
        assert!(next_secret(suite, &Secret::zeros(32)).is_none());
        assert!(record_key(suite, &Secret::zeros(48)).is_some());
    }
}
