//! Names in certificates: subject common names and alternative DNS names.
//!
//! In: a Certificate message of TLS 1.2 (RFC 5246 section 7.4.2) or 1.3 (RFC
//! 8446 section 4.4.2). Out: the names of its first certificate. The walk
//! through the DER (X.690) of the certificate (RFC 5280 section 4.1) follows
//! only the path to the names, goes no deeper than that path, and takes every
//! byte at most twice.

use super::hello::{TlsVersion, message};
use super::wire::Reader;

/// The most names that are kept of a certificate.
const MAX_NAMES: usize = 32;

/// The longest name that is kept.
const MAX_NAME: usize = 255;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Tags of X.690 section 8.1.2, as single bytes.
mod tag {
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const OCTET_STRING: u8 = 0x04;
    pub(super) const OID: u8 = 0x06;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const VERSION: u8 = 0xa0;
    pub(super) const EXTENSIONS: u8 = 0xa3;
    pub(super) const DNS_NAME: u8 = 0x82;
}

/// The first certificate (DER) of a whole Certificate message, its four-byte
/// header included. `None` too if the message holds no certificate.
pub(crate) fn leaf(handshake: &[u8], version: TlsVersion) -> Option<&[u8]> {
    let mut reader = Reader::new(handshake);
    if reader.u8()? != message::CERTIFICATE {
        return None;
    }
    let mut body = Reader::new(reader.vec24()?);
    if version >= TlsVersion::Tls13 {
        body.vec8()?;
    }
    Reader::new(body.vec24()?).vec24()
}

/// The names of a certificate: the subject's common name, then the DNS names,
/// without doubles. `None` if it is malformed on the way to them.
pub(crate) fn names(certificate: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut outer = Reader::new(certificate);
    let mut certificate = sequence(&mut outer)?;
    let mut fields = sequence(&mut certificate)?;
    skip_if(&mut fields, tag::VERSION)?;
    for _serial_signature_issuer_validity in 0..4 {
        element(&mut fields)?;
    }
    common_names(sequence(&mut fields)?, &mut names)?;
    let _public_key = element(&mut fields)?;
    while !fields.is_empty() {
        if let (tag::EXTENSIONS, mut content) = element(&mut fields)? {
            alternative_names(sequence(&mut content)?, &mut names)?;
        }
    }
    Some(names)
}

fn common_names(mut subject: Reader<'_>, names: &mut Vec<String>) -> Option<()> {
    while !subject.is_empty() {
        let mut set = expect(&mut subject, tag::SET)?;
        while !set.is_empty() {
            let mut attribute = sequence(&mut set)?;
            if expect(&mut attribute, tag::OID)?.rest() == COMMON_NAME {
                add(names, element(&mut attribute)?.1.rest());
            }
        }
    }
    Some(())
}

fn alternative_names(mut extensions: Reader<'_>, names: &mut Vec<String>) -> Option<()> {
    while !extensions.is_empty() {
        let mut extension = sequence(&mut extensions)?;
        if expect(&mut extension, tag::OID)?.rest() != SUBJECT_ALT_NAME {
            continue;
        }
        skip_if(&mut extension, tag::BOOLEAN)?;
        let mut value = expect(&mut extension, tag::OCTET_STRING)?;
        let mut general_names = sequence(&mut value)?;
        while !general_names.is_empty() {
            if let (tag::DNS_NAME, name) = element(&mut general_names)? {
                add(names, name.rest());
            }
        }
    }
    Some(())
}

fn add(names: &mut Vec<String>, name: &[u8]) {
    if names.len() >= MAX_NAMES || name.is_empty() || name.len() > MAX_NAME {
        return;
    }
    let name = String::from_utf8_lossy(name);
    if !names.iter().any(|known| *known == name) {
        names.push(name.into_owned());
    }
}

fn sequence<'a>(reader: &mut Reader<'a>) -> Option<Reader<'a>> {
    expect(reader, tag::SEQUENCE)
}

fn expect<'a>(reader: &mut Reader<'a>, wanted: u8) -> Option<Reader<'a>> {
    let (tag, content) = element(reader)?;
    (tag == wanted).then_some(content)
}

fn skip_if(reader: &mut Reader<'_>, tag: u8) -> Option<()> {
    if reader.rest().first() == Some(&tag) {
        element(reader)?;
    }
    Some(())
}

/// Tag and content of the next element. Tags of more than one byte and
/// indefinite lengths do not stand in certificates.
fn element<'a>(reader: &mut Reader<'a>) -> Option<(u8, Reader<'a>)> {
    const LONG_TAG: u8 = 0x1f;
    let tag = reader.u8()?;
    if tag & LONG_TAG == LONG_TAG {
        return None;
    }
    let len = match reader.u8()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(reader.u8()?),
        0x82 => usize::from(reader.u16()?),
        0x83 => reader.u24()?,
        _ => return None,
    };
    Some((tag, Reader::new(reader.take(len)?)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::certificates::{CERTIFICATE, certificate_message};
    use super::*;
    use crate::stream::testing::Rng;

    #[test]
    fn common_name_and_dns_names() {
        assert_eq!(names(CERTIFICATE).unwrap(), ["tools.example.test", "*.mcp.example.test"]);
    }

    #[test]
    fn messages_of_both_versions() {
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let message = certificate_message(version);
            assert_eq!(leaf(&message, version), Some(CERTIFICATE));
        }
        assert_eq!(leaf(&[11, 0, 0, 3, 0, 0, 0], TlsVersion::Tls12), None);
        assert_eq!(leaf(&[12, 0, 0, 3, 0, 0, 0], TlsVersion::Tls12), None);
    }

    #[test]
    fn many_and_long_names_are_bounded() {
        let mut names = Vec::new();
        add(&mut names, &[b'a'; 256]);
        add(&mut names, b"");
        assert!(names.is_empty());
        for number in 0..100 {
            add(&mut names, format!("{number}.test").as_bytes());
        }
        assert_eq!(names.len(), MAX_NAMES);
    }

    #[test]
    fn mutated_certificates_never_panic() {
        let mut rng = Rng::new(3);
        for _ in 0..20_000 {
            let mut mutated = CERTIFICATE.to_vec();
            rng.mutate(&mut mutated);
            if let Some(names) = names(&mutated) {
                assert!(names.len() <= MAX_NAMES);
            }
        }
        for len in 0..CERTIFICATE.len() {
            assert_eq!(names(&CERTIFICATE[..len]), None);
        }
    }
}
