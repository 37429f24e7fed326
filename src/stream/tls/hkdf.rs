//! HKDF-Expand-Label: keys and secrets from a traffic secret (RFC 8446 section
//! 7.1), for TLS 1.3 and QUIC.

use ring::hkdf::{KeyType, Prk};

use super::keylog::Secret;
use super::suite::Hash;

/// A traffic secret, ready to be expanded. `None` if it is not one of this
/// hash.
pub(crate) fn extracted(hash: Hash, secret: &Secret) -> Option<Prk> {
    let fits = secret.bytes().len() == hash.len();
    fits.then(|| Prk::new_less_safe(hash.hkdf(), secret.bytes()))
}

/// Fills `out` with what the label names, without context.
pub(crate) fn expand_label(prk: &Prk, label: &[u8], out: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let len = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_len = u8::try_from(PREFIX.len() + label.len()).ok()?;
    let info: [&[u8]; 5] = [&len, &[label_len], PREFIX, label, &[0]];
    prk.expand(&info, Len(out.len())).ok()?.fill(out).ok()
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8448 section 3: the server's handshake traffic secret, and the key
    /// and IV made from it.
    #[test]
    fn keys_of_the_example_handshake() {
        let mut secret = Secret::zeros(32);
        let (high, low) = secret.bytes_mut().split_at_mut(16);
        high.copy_from_slice(&0xb67b7d690cc16c4e75e54213cb2d37b4_u128.to_be_bytes());
        low.copy_from_slice(&0xe9c912bcded9105d42befd59d391ad38_u128.to_be_bytes());
        let prk = extracted(Hash::Sha256, &secret).unwrap();
        let (mut key, mut iv) = ([0; 16], [0; 12]);
        expand_label(&prk, b"key", &mut key).unwrap();
        expand_label(&prk, b"iv", &mut iv).unwrap();
        assert_eq!(key, 0x3fce516009c21727d0f2e4e86ee403bc_u128.to_be_bytes());
        assert_eq!(iv, [0x5d, 0x31, 0x3e, 0xb2, 0x67, 0x12, 0x76, 0xee, 0x13, 0x00, 0x0b, 0x30]);
    }

    #[test]
    fn a_secret_of_another_hash_does_not_fit() {
        assert!(extracted(Hash::Sha384, &Secret::zeros(32)).is_none());
        assert!(extracted(Hash::Sha384, &Secret::zeros(48)).is_some());
    }
}
