//! What is known of a TLS connection without opening its records, and a little
//! with it.

use super::certificate;
use super::hello::{ClientHello, EncryptedExtensions, ServerHello, TlsVersion};
use super::ja::{Carrier, ja3, ja4};

/// The most application protocols that are kept of an offer.
const MAX_PROTOCOLS: usize = 32;

/// What is known of a connection. QUIC fills in the same from its handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsInfo {
    /// The host name the client asked for, as sent; only a public name where
    /// [`ech`](Self::ech).
    pub sni: Option<String>,
    /// The client sent Encrypted Client Hello, or GREASE for it: the host may
    /// be another than [`sni`](Self::sni).
    pub ech: bool,
    /// The application protocols offered, in order.
    pub alpn_offered: Vec<String>,
    /// The application protocol chosen. In TLS 1.3 it is encrypted, and known
    /// only with keys.
    pub alpn: Option<String>,
    /// The highest version offered.
    pub version_offered: Option<TlsVersion>,
    /// The version chosen.
    pub version: Option<TlsVersion>,
    /// The cipher suite chosen, by its number in the IANA registry.
    pub cipher_suite: Option<u16>,
    /// The server asked for another ClientHello.
    pub hello_retry: bool,
    /// An earlier session was resumed.
    pub resumed: bool,
    /// The client offered early data (0-RTT).
    pub early_data: bool,
    /// Names in the server's certificate: the subject's common name, then the
    /// alternative DNS names. In TLS 1.3 known only with keys.
    pub certificate_names: Vec<String>,
    /// JA3 of the client.
    pub ja3: Option<String>,
    /// JA4 of the client.
    pub ja4: Option<String>,
    /// Records were opened with keys.
    pub decrypted: bool,
}

impl TlsInfo {
    /// Takes over what a ClientHello says.
    pub fn client_hello(&mut self, hello: &ClientHello<'_>, carrier: Carrier) {
        self.sni = hello.server_name().map(lossy);
        self.ech = hello.has_ech();
        self.alpn_offered = hello.alpn().take(MAX_PROTOCOLS).map(lossy).collect();
        self.version_offered = TlsVersion::from_wire(hello.highest_version());
        self.early_data = hello.offers_early_data();
        self.ja3 = Some(ja3(hello));
        self.ja4 = Some(ja4(hello, carrier));
    }

    /// Takes over what a ServerHello says.
    pub fn server_hello(&mut self, hello: &ServerHello<'_>) {
        self.version = TlsVersion::from_wire(hello.version());
        self.cipher_suite = Some(hello.cipher_suite());
        if hello.is_hello_retry_request() {
            self.hello_retry = true;
            return;
        }
        self.alpn = hello.alpn().map(lossy);
        self.resumed = hello.takes_pre_shared_key();
    }

    /// Takes over what encrypted extensions say.
    pub fn encrypted_extensions(&mut self, extensions: &EncryptedExtensions<'_>) {
        self.alpn = extensions.alpn().map(lossy);
    }

    /// Takes over the names of a Certificate message. Returns false if there
    /// are none to be read.
    pub(crate) fn certificate(&mut self, message: &[u8]) -> bool {
        let version = self.version.unwrap_or(TlsVersion::Tls12);
        let names = certificate::leaf(message, version).and_then(certificate::names);
        let read = names.is_some();
        self.certificate_names = names.unwrap_or_default();
        read
    }
}

/// What became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsNews {
    /// The ClientHello: SNI, protocols offered, fingerprints.
    ClientHello,
    /// The ServerHello (or a request for another ClientHello): version and
    /// suite; the protocol up to TLS 1.2.
    ServerHello,
    /// The server's encrypted extensions: the protocol in TLS 1.3.
    EncryptedExtensions,
    /// The server's certificate.
    Certificate,
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
