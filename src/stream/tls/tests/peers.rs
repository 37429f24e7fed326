//! A client and a server that talk TLS to each other, and what goes between
//! them.

use std::fmt::Write;
use std::io::{Read, Write as _};
use std::sync::{Arc, Mutex};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, KeyLog, ServerConfig,
    ServerConnection, SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::certificates::{CERTIFICATE, PRIVATE_KEY};
use crate::stream::Direction::{self, ToClient, ToServer};

/// What two peers said to each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Conversation {
    /// What went over the wire, in order.
    pub(super) wire: Vec<(Direction, Vec<u8>)>,
    /// The secrets, as in a key log.
    pub(super) key_log: String,
    /// The application data sent in each direction.
    pub(super) sent: [Vec<u8>; 2],
}

/// How to set up a client and a server.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) versions: &'static [&'static SupportedProtocolVersion],
    pub(super) suites: Vec<SupportedCipherSuite>,
    pub(super) client_groups: Vec<&'static dyn SupportedKxGroup>,
    pub(super) server_groups: Vec<&'static dyn SupportedKxGroup>,
    pub(super) early_data: bool,
    /// The size of the server's records, instead of the largest.
    pub(super) record_size: Option<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
        Self {
            versions: TLS13,
            suites: ring::ALL_CIPHER_SUITES.to_vec(),
            client_groups: ring::ALL_KX_GROUPS.to_vec(),
            server_groups: ring::ALL_KX_GROUPS.to_vec(),
            early_data: false,
            record_size: None,
        }
    }
}

/// A client and a server, and their memory of earlier sessions.
pub(super) struct Peers {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    secrets: Arc<Secrets>,
}

impl Peers {
    pub(super) fn new(setup: &Setup) -> Self {
        let secrets = Arc::new(Secrets::default());
        let (client, server) = (client(setup, &secrets), server(setup));
        Self { client, server, secrets }
    }

    /// Puts another server in place of the one there was: it remembers no
    /// session.
    pub(super) fn replace_server(&mut self, setup: &Setup) {
        self.server = server(setup);
    }

    /// Connects, and shakes hands.
    pub(super) fn connect(&self) -> Talk {
        let mut talk = self.connect_early(&[]);
        talk.exchange();
        talk
    }

    /// Connects, and sends data before shaking hands.
    pub(super) fn connect_early(&self, data: &[u8]) -> Talk {
        self.secrets.lines.lock().unwrap().clear();
        let name = ServerName::try_from("tools.example.test").unwrap();
        let mut client = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        let server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        if !data.is_empty() {
            client.early_data().unwrap().write_all(data).unwrap();
        }
        let secrets = Arc::clone(&self.secrets);
        Talk { client, server, secrets, conversation: Conversation::default() }
    }
}

/// A connection in use.
pub(super) struct Talk {
    client: ClientConnection,
    server: ServerConnection,
    secrets: Arc<Secrets>,
    conversation: Conversation,
}

impl Talk {
    /// Sends application data.
    pub(super) fn send(&mut self, direction: Direction, data: &[u8]) {
        let written = match direction {
            ToServer => self.client.writer().write(data),
            ToClient => self.server.writer().write(data),
        };
        assert_eq!(written.unwrap(), data.len());
        self.conversation.sent[direction.index()].extend_from_slice(data);
        self.exchange();
    }

    /// Says that data sent early arrived after all.
    pub(super) fn early_data_counts(&mut self, data: &[u8]) {
        assert!(self.client.is_early_data_accepted());
        self.conversation.sent[0].splice(0..0, data.iter().copied());
    }

    pub(super) fn is_early_data_accepted(&self) -> bool {
        self.client.is_early_data_accepted()
    }

    /// Sends a key update, and then something, which carries it over.
    pub(super) fn update_keys(&mut self, direction: Direction) {
        match direction {
            ToServer => self.client.refresh_traffic_keys().unwrap(),
            ToClient => self.server.refresh_traffic_keys().unwrap(),
        }
        self.exchange();
    }

    /// Says goodbye in both directions.
    pub(super) fn close(mut self) -> Conversation {
        self.client.send_close_notify();
        self.server.send_close_notify();
        self.exchange();
        let lines = self.secrets.lines.lock().unwrap();
        self.conversation.key_log.clone_from(&lines);
        self.conversation
    }

    /// Moves bytes until neither side has any to send.
    pub(super) fn exchange(&mut self) {
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            let mut answered = Vec::new();
            accept(&mut self.server, &sent);
            while self.server.wants_write() {
                self.server.write_tls(&mut answered).unwrap();
            }
            accept(&mut self.client, &answered);
            if sent.is_empty() && answered.is_empty() {
                return;
            }
            for (direction, bytes) in [(ToServer, sent), (ToClient, answered)] {
                if !bytes.is_empty() {
                    self.conversation.wire.push((direction, bytes));
                }
            }
        }
    }
}

/// Hands bytes to a peer, which reads what they carry.
fn accept<Side>(
    peer: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<Side>>,
    bytes: &[u8],
) where
    Side: rustls::SideData,
{
    let mut rest = bytes;
    while !rest.is_empty() {
        peer.read_tls(&mut rest).unwrap();
        peer.process_new_packets().unwrap();
        let mut plain = Vec::new();
        // Ends with an error while the connection is open.
        let _ = peer.reader().read_to_end(&mut plain);
    }
}

fn provider(setup: &Setup, groups: &[&'static dyn SupportedKxGroup]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: setup.suites.clone(),
        kx_groups: groups.to_vec(),
        ..ring::default_provider()
    })
}

fn client(setup: &Setup, secrets: &Arc<Secrets>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider(setup, &setup.client_groups))
        .with_protocol_versions(setup.versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.key_log = Arc::clone(secrets) as Arc<dyn KeyLog>;
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = setup.early_data;
    Arc::new(config)
}

fn server(setup: &Setup) -> Arc<ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(PRIVATE_KEY.to_vec());
    let mut config = ServerConfig::builder_with_provider(provider(setup, &setup.server_groups))
        .with_protocol_versions(setup.versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE.to_vec())], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.max_fragment_size = setup.record_size;
    config.max_early_data_size = if setup.early_data { 16_384 } else { 0 };
    Arc::new(config)
}

/// A key log in memory.
#[derive(Debug, Default)]
struct Secrets {
    lines: Mutex<String>,
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut lines = self.lines.lock().unwrap();
        writeln!(lines, "{label} {} {}", hex(client_random), hex(secret)).unwrap();
    }
}

#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
