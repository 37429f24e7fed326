//! Hello messages: ClientHello, ServerHello and EncryptedExtensions, read where
//! they lie.
//!
//! In: one whole handshake message, joined by the caller (from TLS records, or
//! from the CRYPTO frames of QUIC). Out: a view of its fields.
//!
//! The framing of a message and of its list of extensions is checked when the
//! view is made; what stands inside an extension is read when asked for, and a
//! malformed extension is as good as an absent one.
//!
//! RFC 8446 section 4.1 (TLS 1.3), RFC 5246 section 7.4.1 (TLS 1.2), RFC 6066
//! section 3 (SNI), RFC 7301 (ALPN), RFC 9849 (ECH), RFC 8701 (GREASE).

use std::fmt;

use super::wire::{Reader, numbers};

/// Numbers of handshake messages.
pub(crate) mod message {
    pub(crate) const CLIENT_HELLO: u8 = 1;
    pub(crate) const SERVER_HELLO: u8 = 2;
    pub(crate) const END_OF_EARLY_DATA: u8 = 5;
    pub(crate) const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub(crate) const CERTIFICATE: u8 = 11;
    pub(crate) const SERVER_HELLO_DONE: u8 = 14;
    pub(crate) const FINISHED: u8 = 20;
    pub(crate) const KEY_UPDATE: u8 = 24;
}

/// Numbers of extensions.
pub(crate) mod extension {
    pub(crate) const SERVER_NAME: u16 = 0;
    pub(crate) const SUPPORTED_GROUPS: u16 = 10;
    pub(crate) const EC_POINT_FORMATS: u16 = 11;
    pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(crate) const ALPN: u16 = 16;
    pub(crate) const ENCRYPT_THEN_MAC: u16 = 22;
    pub(crate) const PRE_SHARED_KEY: u16 = 41;
    pub(crate) const EARLY_DATA: u16 = 42;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
    pub(crate) const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// The longest host name there can be (RFC 1035 section 2.3.4).
const MAX_HOST_NAME: usize = 255;

/// The random of a ServerHello that is a HelloRetryRequest (RFC 8446 section
/// 4.1.3).
const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// SSL 3.0.
    Ssl30,
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3 (and its drafts).
    Tls13,
}

impl TlsVersion {
    /// From the number on the wire.
    pub const fn from_wire(number: u16) -> Option<Self> {
        match number {
            0x0300 => Some(Self::Ssl30),
            0x0301 => Some(Self::Tls10),
            0x0302 => Some(Self::Tls11),
            0x0303 => Some(Self::Tls12),
            0x0304 | 0x7f00..=0x7fff => Some(Self::Tls13),
            _ => None,
        }
    }

    /// As written in findings: `1.2`, `1.3` and so on; `SSL 3.0`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ssl30 => "SSL 3.0",
            Self::Tls10 => "1.0",
            Self::Tls11 => "1.1",
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// Why a message is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// Another kind of message.
    WrongType,
    /// A length reaches past the end of what holds it.
    Truncated,
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongType => "not the expected handshake message",
            Self::Truncated => "a length reaches past the end of the message",
        })
    }
}

impl std::error::Error for HelloError {}

/// Whether a number is reserved to be ignored (RFC 8701): `0x0a0a`, `0x1a1a`
/// and so on.
pub(crate) const fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

/// A ClientHello.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    legacy_version: u16,
    random: &'a [u8; 32],
    session_id: &'a [u8],
    cipher_suites: &'a [u8],
    extensions: Extensions<'a>,
}

impl<'a> ClientHello<'a> {
    /// Reads a whole handshake message, its four-byte header included.
    pub fn parse(message: &'a [u8]) -> Result<Self, HelloError> {
        let mut body = body(message, message::CLIENT_HELLO)?;
        Self::fields(&mut body).ok_or(HelloError::Truncated)
    }

    fn fields(body: &mut Reader<'a>) -> Option<Self> {
        let legacy_version = body.u16()?;
        let random = body.array()?;
        let session_id = body.vec8()?;
        let cipher_suites = body.vec16()?;
        let _compression_methods = body.vec8()?;
        let extensions = Extensions::after(body)?;
        Some(Self { legacy_version, random, session_id, cipher_suites, extensions })
    }

    /// The version field, which says TLS 1.2 at most.
    pub const fn legacy_version(&self) -> u16 {
        self.legacy_version
    }

    /// The client's random, by which key logs are keyed.
    pub const fn random(&self) -> &'a [u8; 32] {
        self.random
    }

    /// The session identifier.
    pub const fn session_id(&self) -> &'a [u8] {
        self.session_id
    }

    /// The cipher suites offered, in the order sent.
    pub fn cipher_suites(&self) -> impl Iterator<Item = u16> + 'a {
        numbers(self.cipher_suites)
    }

    /// The extensions.
    pub const fn extensions(&self) -> Extensions<'a> {
        self.extensions
    }

    /// The host name of the server name extension: the public name only, where
    /// [`has_ech`](Self::has_ech).
    pub fn server_name(&self) -> Option<&'a [u8]> {
        const HOST_NAME: u8 = 0;
        let mut list = Reader::new(self.extensions.find(extension::SERVER_NAME)?);
        let mut names = Reader::new(list.vec16()?);
        while let (Some(kind), Some(name)) = (names.u8(), names.vec16()) {
            if kind == HOST_NAME {
                return Some(name).filter(|name| (1..=MAX_HOST_NAME).contains(&name.len()));
            }
        }
        None
    }

    /// Whether the extension of Encrypted Client Hello is there. GREASE looks
    /// the same, by design.
    pub fn has_ech(&self) -> bool {
        self.extensions.find(extension::ENCRYPTED_CLIENT_HELLO).is_some()
    }

    /// The application protocols offered, in the order sent.
    pub fn alpn(&self) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.extensions.alpn()
    }

    /// The highest version offered, as a number of the wire.
    pub fn highest_version(&self) -> u16 {
        self.supported_versions()
            .filter(|&version| !is_grease(version))
            .max()
            .unwrap_or(self.legacy_version)
    }

    fn supported_versions(&self) -> impl Iterator<Item = u16> + 'a {
        let list = self.extensions.find(extension::SUPPORTED_VERSIONS);
        numbers(list.and_then(|data| Reader::new(data).vec8()).unwrap_or_default())
    }

    /// The groups offered, in the order sent.
    pub fn supported_groups(&self) -> impl Iterator<Item = u16> + 'a {
        numbers(self.extensions.vec16(extension::SUPPORTED_GROUPS))
    }

    /// The signature algorithms offered, in the order sent.
    pub fn signature_algorithms(&self) -> impl Iterator<Item = u16> + 'a {
        numbers(self.extensions.vec16(extension::SIGNATURE_ALGORITHMS))
    }

    /// The elliptic curve point formats offered, in the order sent.
    pub fn point_formats(&self) -> &'a [u8] {
        let list = self.extensions.find(extension::EC_POINT_FORMATS);
        list.and_then(|data| Reader::new(data).vec8()).unwrap_or_default()
    }

    /// Whether data may follow before the server has answered (0-RTT).
    pub fn offers_early_data(&self) -> bool {
        self.extensions.find(extension::EARLY_DATA).is_some()
    }
}

/// A ServerHello, or a HelloRetryRequest, which has the same form.
#[derive(Clone, Copy, Debug)]
pub struct ServerHello<'a> {
    legacy_version: u16,
    random: &'a [u8; 32],
    session_id: &'a [u8],
    cipher_suite: u16,
    compression: u8,
    extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// Reads a whole handshake message, its four-byte header included.
    pub fn parse(message: &'a [u8]) -> Result<Self, HelloError> {
        let mut body = body(message, message::SERVER_HELLO)?;
        Self::fields(&mut body).ok_or(HelloError::Truncated)
    }

    fn fields(body: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            legacy_version: body.u16()?,
            random: body.array()?,
            session_id: body.vec8()?,
            cipher_suite: body.u16()?,
            compression: body.u8()?,
            extensions: Extensions::after(body)?,
        })
    }

    /// The server's random.
    pub const fn random(&self) -> &'a [u8; 32] {
        self.random
    }

    /// The session identifier.
    pub const fn session_id(&self) -> &'a [u8] {
        self.session_id
    }

    /// The cipher suite chosen.
    pub const fn cipher_suite(&self) -> u16 {
        self.cipher_suite
    }

    /// Whether records are compressed.
    pub const fn compresses(&self) -> bool {
        self.compression != 0
    }

    /// The extensions.
    pub const fn extensions(&self) -> Extensions<'a> {
        self.extensions
    }

    /// The version chosen, as a number of the wire.
    pub fn version(&self) -> u16 {
        let selected = self.extensions.find(extension::SUPPORTED_VERSIONS);
        selected.and_then(|data| Reader::new(data).u16()).unwrap_or(self.legacy_version)
    }

    /// Whether the client is asked for another ClientHello.
    pub fn is_hello_retry_request(&self) -> bool {
        *self.random == HELLO_RETRY_REQUEST
    }

    /// The application protocol chosen (up to TLS 1.2).
    pub fn alpn(&self) -> Option<&'a [u8]> {
        self.extensions.alpn().next()
    }

    /// Whether a pre-shared key was taken: a session resumed (TLS 1.3).
    pub fn takes_pre_shared_key(&self) -> bool {
        self.extensions.find(extension::PRE_SHARED_KEY).is_some()
    }

    /// Whether CBC suites authenticate what was encrypted (RFC 7366).
    pub fn encrypts_then_macs(&self) -> bool {
        self.extensions.find(extension::ENCRYPT_THEN_MAC).is_some()
    }
}

/// The extensions a TLS 1.3 server sends encrypted.
#[derive(Clone, Copy, Debug)]
pub struct EncryptedExtensions<'a> {
    extensions: Extensions<'a>,
}

impl<'a> EncryptedExtensions<'a> {
    /// Reads a whole handshake message, its four-byte header included.
    pub fn parse(message: &'a [u8]) -> Result<Self, HelloError> {
        let mut body = body(message, message::ENCRYPTED_EXTENSIONS)?;
        let extensions = Extensions::after(&mut body).ok_or(HelloError::Truncated)?;
        Ok(Self { extensions })
    }

    /// The application protocol chosen.
    pub fn alpn(&self) -> Option<&'a [u8]> {
        self.extensions.alpn().next()
    }

    /// Whether the client's early data is taken.
    pub fn accepts_early_data(&self) -> bool {
        self.extensions.find(extension::EARLY_DATA).is_some()
    }
}

/// A list of extensions whose framing is sound.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    list: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// Reads the list at the end of a message, which may be left out. What
    /// stands behind it is passed over.
    fn after(body: &mut Reader<'a>) -> Option<Self> {
        let list = if body.is_empty() { &[] } else { body.vec16()? };
        let mut reader = Reader::new(list);
        while !reader.is_empty() {
            reader.u16()?;
            reader.vec16()?;
        }
        Some(Self { list })
    }

    /// Number and content of each extension, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut reader = Reader::new(self.list);
        std::iter::from_fn(move || Some((reader.u16()?, reader.vec16()?)))
    }

    /// The content of the first extension with this number.
    pub fn find(&self, number: u16) -> Option<&'a [u8]> {
        self.iter().find(|&(kind, _)| kind == number).map(|(_, data)| data)
    }

    /// The vector of which this extension consists; empty if it is not there.
    fn vec16(&self, number: u16) -> &'a [u8] {
        self.find(number).and_then(|data| Reader::new(data).vec16()).unwrap_or_default()
    }

    fn alpn(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut names = Reader::new(self.vec16(extension::ALPN));
        std::iter::from_fn(move || names.vec8())
    }
}

/// What stands behind the header of a message of the right type and length.
fn body(message: &[u8], wanted: u8) -> Result<Reader<'_>, HelloError> {
    let mut reader = Reader::new(message);
    match reader.u8() {
        Some(kind) if kind == wanted => {}
        Some(_) => return Err(HelloError::WrongType),
        None => return Err(HelloError::Truncated),
    }
    reader.vec24().map(Reader::new).ok_or(HelloError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::super::tests::hello::{HelloBuilder, server_hello};
    use super::*;
    use crate::stream::testing::Rng;

    #[test]
    fn fields_of_a_client_hello() {
        let message = HelloBuilder::new()
            .suites(&[0x0a0a, 0x1301, 0xc02b])
            .server_name("mcp.example.test")
            .alpn(&["h2", "http/1.1"])
            .versions(&[0x2a2a, 0x0304, 0x0303])
            .extension(0xfe0d, &[0, 1, 2])
            .extension(42, &[])
            .message();
        let hello = ClientHello::parse(&message).unwrap();
        assert_eq!(hello.legacy_version(), 0x0303);
        assert_eq!(hello.random(), &[7; 32]);
        assert_eq!(hello.cipher_suites().collect::<Vec<_>>(), [0x0a0a, 0x1301, 0xc02b]);
        assert_eq!(hello.server_name(), Some(&b"mcp.example.test"[..]));
        assert_eq!(hello.alpn().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
        assert_eq!(hello.highest_version(), 0x0304);
        assert!(hello.has_ech());
        assert!(hello.offers_early_data());
    }

    #[test]
    fn a_hello_without_extensions_is_whole() {
        let message = HelloBuilder::new().suites(&[0x002f]).message_without_extensions();
        let hello = ClientHello::parse(&message).unwrap();
        assert_eq!(hello.server_name(), None);
        assert_eq!(hello.alpn().count(), 0);
        assert_eq!(hello.highest_version(), 0x0303);
    }

    #[test]
    fn malformed_extensions_count_as_absent() {
        for content in [&[][..], &[0, 5, 0, 0, 9, b'a'], &[0, 0], &[0, 3, 1, 0, 0]] {
            let message = HelloBuilder::new().extension(0, content).message();
            assert_eq!(ClientHello::parse(&message).unwrap().server_name(), None, "{content:?}");
        }
        let long = "a".repeat(256);
        let message = HelloBuilder::new().server_name(&long).message();
        assert_eq!(ClientHello::parse(&message).unwrap().server_name(), None);
    }

    #[test]
    fn every_cut_is_an_error() {
        let message = HelloBuilder::new().server_name("a.test").alpn(&["h2"]).message();
        for len in 0..message.len() {
            assert_eq!(
                ClientHello::parse(&message[..len]).err(),
                Some(HelloError::Truncated),
                "{len}"
            );
        }
        assert_eq!(ServerHello::parse(&message).err(), Some(HelloError::WrongType));
    }

    #[test]
    fn fields_of_a_server_hello() {
        let message = server_hello(0x1302, &[(43, &[3, 4]), (41, &[0, 0])]);
        let hello = ServerHello::parse(&message).unwrap();
        assert_eq!(hello.version(), 0x0304);
        assert_eq!(hello.cipher_suite(), 0x1302);
        assert!(hello.takes_pre_shared_key());
        assert!(!hello.is_hello_retry_request());
        assert!(!hello.encrypts_then_macs());

        let message = server_hello(0xc02f, &[(16, &[0, 3, 2, b'h', b'2']), (22, &[])]);
        let hello = ServerHello::parse(&message).unwrap();
        assert_eq!(hello.version(), 0x0303);
        assert_eq!(hello.alpn(), Some(&b"h2"[..]));
        assert!(hello.encrypts_then_macs());
    }

    #[test]
    fn grease_numbers() {
        let grease = (0..=u16::MAX).filter(|&number| is_grease(number)).collect::<Vec<_>>();
        assert_eq!(grease.len(), 16);
        assert!(grease.contains(&0x0a0a) && grease.contains(&0xfafa));
    }

    #[test]
    fn mutated_messages_never_panic() {
        let message = HelloBuilder::new()
            .server_name("a.test")
            .alpn(&["h2", "http/1.1"])
            .versions(&[0x0304])
            .extension(13, &[0, 2, 4, 3])
            .extension(11, &[1, 0])
            .message();
        let mut rng = Rng::new(1);
        for _ in 0..20_000 {
            let mut mutated = message.clone();
            rng.mutate(&mut mutated);
            if let Ok(hello) = ClientHello::parse(&mutated) {
                let _ = (hello.server_name(), hello.alpn().count(), hello.highest_version());
                let _ = (hello.signature_algorithms().count(), hello.point_formats());
            }
            mutated[..1].fill(message::SERVER_HELLO);
            let _ = ServerHello::parse(&mutated).map(|hello| (hello.version(), hello.alpn()));
        }
    }
}
