//! The certificate of the tests' server: of `tools.example.test`, also called
//! `*.mcp.example.test`, signed by itself.

use super::hello::handshake;
use crate::stream::tls::TlsVersion;

/// The certificate (DER).
pub(in super::super) const CERTIFICATE: &[u8] = include_bytes!("certificate.der");

/// Its private key (PKCS #8, DER).
pub(in super::super) const PRIVATE_KEY: &[u8] = include_bytes!("key.der");

/// A Certificate message with it.
pub(in super::super) fn certificate_message(version: TlsVersion) -> Vec<u8> {
    let vec24 = |content: &[u8]| handshake(0, content)[1..].to_vec();
    let entry = vec24(CERTIFICATE);
    if version == TlsVersion::Tls13 {
        let entry = [&entry[..], &[0, 0]].concat();
        handshake(11, &[&[0][..], &vec24(&entry)].concat())
    } else {
        handshake(11, &vec24(&entry))
    }
}
