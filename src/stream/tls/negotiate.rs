//! The handshake: what its messages make known, and which keys follow.

use std::mem::take;

use super::connection::Tls;
use super::decrypt::{KeyBlock, Opener, Role, next_secret, record_key};
use super::half::{Cipher, Epoch, MAX_SEEK, Open};
use super::handshake::{Joiner, Message, is_read};
use super::hello::{ClientHello, EncryptedExtensions, ServerHello, TlsVersion, message};
use super::ja::Carrier;
use super::keylog::{KeyStore, Label};
use super::record::RecordHeader;
use super::suite::{Suite12, Suite13};
use super::{TlsNews, TlsSink};
use crate::stream::Direction;

/// What a ServerHello decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Negotiated {
    pub(super) version: Option<TlsVersion>,
    suite: u16,
    server_random: [u8; 32],
    encrypt_then_mac: bool,
    compressed: bool,
}

/// What a ServerHello of TLS 1.3 leaves out.
const NOTHING: Negotiated = Negotiated {
    version: None,
    suite: 0,
    server_random: [0; 32],
    encrypt_then_mac: false,
    compressed: false,
};

/// Why records cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unopenable {
    Missing,
    Wrong,
    Unsupported,
}

/// Which keys a direction has after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    SameKeys,
    NewKeys,
}

impl Tls {
    /// Reads handshake messages from a record.
    pub(super) fn messages<S>(
        &mut self,
        direction: Direction,
        data: &[u8],
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        if !self.half_mut(direction).begins_message(data) {
            return;
        }
        let mut joiner = take(&mut self.half_mut(direction).joiner);
        let mut rest = data;
        while let Some(message) = joiner.next(&mut rest, self.limits.message_bytes) {
            if self.message(direction, message, keys, sink) == After::NewKeys {
                // A message before new keys ends its record (RFC 8446 section
                // 5.1).
                joiner = Joiner::default();
                break;
            }
        }
        if !self.half(direction).is_done() {
            self.half_mut(direction).joiner = joiner;
        }
    }

    fn message<S>(
        &mut self,
        direction: Direction,
        message: Message<'_>,
        keys: &KeyStore,
        sink: &mut S,
    ) -> After
    where
        S: TlsSink + ?Sized,
    {
        use Direction::{ToClient, ToServer};
        if message.bytes.is_none() && is_read(message.kind) {
            self.counters.handshake_too_large += 1;
            return After::SameKeys;
        }
        let bytes = message.bytes.unwrap_or_default();
        let epoch = self.half(direction).epoch();
        match (direction, message.kind, epoch) {
            (ToServer, message::CLIENT_HELLO, None | Some(Epoch::Tls12)) => {
                self.client_hello(bytes, keys, sink);
            }
            (ToClient, message::SERVER_HELLO, None | Some(Epoch::Tls12)) => {
                return self.server_hello(bytes, keys, sink);
            }
            (ToClient, message::ENCRYPTED_EXTENSIONS, Some(Epoch::Handshake)) => {
                self.encrypted_extensions(bytes, keys, sink);
            }
            (ToClient, message::CERTIFICATE, None | Some(Epoch::Handshake)) => {
                self.certificate(bytes, keys, sink);
            }
            (ToClient, message::SERVER_HELLO_DONE, None) => self.server_said_all(keys, sink),
            (_, message::FINISHED, Some(Epoch::Handshake)) => {
                self.install(direction, Epoch::Application, keys, sink);
                return After::NewKeys;
            }
            (ToServer, message::END_OF_EARLY_DATA, Some(Epoch::Early)) => {
                self.install(direction, Epoch::Handshake, keys, sink);
                return After::NewKeys;
            }
            (_, message::KEY_UPDATE, Some(Epoch::Application)) => {
                if let Some(next) = self.updated(direction) {
                    self.half_mut(direction).adopt(next);
                    self.counters.key_updates += 1;
                }
                return After::NewKeys;
            }
            _ => {}
        }
        After::SameKeys
    }

    fn client_hello<S>(&mut self, bytes: &[u8], keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        let Ok(hello) = ClientHello::parse(bytes) else {
            self.counters.malformed_messages += 1;
            return;
        };
        self.counters.client_hellos += 1;
        let renegotiates = self.half(Direction::ToServer).epoch().is_some();
        let first = self.client_random.is_none();
        if !first && !renegotiates && !self.info.hello_retry {
            return;
        }
        self.client_random = Some(*hello.random());
        self.session_id = hello.session_id().into();
        self.secrets = keys.secrets(hello.random()).map(Box::new);
        if renegotiates {
            self.counters.renegotiations += 1;
            return;
        }
        self.early_offered = first && hello.offers_early_data();
        self.counters.ech_offered += u64::from(hello.has_ech());
        self.info.client_hello(&hello, Carrier::Tcp);
        sink.news(TlsNews::ClientHello, &self.info);
    }

    fn server_hello<S>(&mut self, bytes: &[u8], keys: &KeyStore, sink: &mut S) -> After
    where
        S: TlsSink + ?Sized,
    {
        let Ok(hello) = ServerHello::parse(bytes) else {
            self.counters.malformed_messages += 1;
            return After::SameKeys;
        };
        let renegotiates = self.half(Direction::ToClient).epoch().is_some();
        if self.negotiated.is_some() && !renegotiates {
            return After::SameKeys;
        }
        self.counters.server_hellos += 1;
        if hello.is_hello_retry_request() {
            return self.hello_retry_request(&hello, sink);
        }
        let version = TlsVersion::from_wire(hello.version());
        self.negotiated = Some(Negotiated {
            version,
            suite: hello.cipher_suite(),
            server_random: *hello.random(),
            encrypt_then_mac: hello.encrypts_then_macs(),
            compressed: hello.compresses(),
        });
        if renegotiates {
            return After::SameKeys;
        }
        self.info.server_hello(&hello);
        let echoed = !self.session_id.is_empty() && *self.session_id == *hello.session_id();
        self.info.resumed |= version < Some(TlsVersion::Tls13) && echoed;
        self.counters.resumptions += u64::from(self.info.resumed);
        sink.news(TlsNews::ServerHello, &self.info);
        if version == Some(TlsVersion::Tls13) {
            self.protect_handshake(keys, sink);
            After::NewKeys
        } else {
            self.await_change_cipher(keys, sink);
            After::SameKeys
        }
    }

    /// The client is to send another hello, without early data.
    fn hello_retry_request<S>(&mut self, hello: &ServerHello<'_>, sink: &mut S) -> After
    where
        S: TlsSink + ?Sized,
    {
        self.counters.hello_retries += 1;
        self.early_offered = false;
        self.held.clear();
        self.info.server_hello(hello);
        sink.news(TlsNews::ServerHello, &self.info);
        After::SameKeys
    }

    /// TLS 1.3: everything after the ServerHello is protected.
    fn protect_handshake<S: TlsSink + ?Sized>(&mut self, keys: &KeyStore, sink: &mut S) {
        let offered = take(&mut self.early_offered);
        if offered {
            self.half_mut(Direction::ToServer).cipher = Cipher::Waiting(Epoch::Early);
        }
        self.install(Direction::ToClient, Epoch::Handshake, keys, sink);
        if !offered {
            self.install(Direction::ToServer, Epoch::Handshake, keys, sink);
        } else if !self.may_hold || !self.may_tell_of_early_data() {
            self.decide_early(false, keys, sink);
        }
    }

    /// Whether the server's answer to early data may yet be read.
    fn may_tell_of_early_data(&self) -> bool {
        match &self.half(Direction::ToClient).cipher {
            Cipher::Waiting(epoch) => *epoch == Epoch::Handshake,
            Cipher::Open(open) => open.epoch == Epoch::Handshake,
            Cipher::Plain | Cipher::Done => false,
        }
    }

    /// TLS 1.3, but the ServerHello was lost: the suite is the one under which a
    /// record opens.
    pub(super) fn guess_suite<S>(
        &mut self,
        header: RecordHeader,
        body: &[u8],
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        let Some(left) = self.guesses_left.checked_sub(1) else {
            self.finish(Direction::ToClient, keys, sink);
            return;
        };
        self.guesses_left = left;
        let Some((negotiated, open)) = self.opening_suite(header, body) else {
            return;
        };
        self.negotiated = Some(negotiated);
        self.counters.recoveries += 1;
        self.info.version = negotiated.version;
        self.info.cipher_suite = Some(negotiated.suite);
        sink.news(TlsNews::ServerHello, &self.info);
        self.adopt(Direction::ToClient, open, keys, sink);
        self.half_mut(Direction::ToClient).lose_records();
        if take(&mut self.early_offered) {
            self.pass_over_early(keys, sink);
        } else {
            self.install(Direction::ToServer, Epoch::Handshake, keys, sink);
        }
    }

    /// A suite, and keys of the server, under which a record opens.
    fn opening_suite(&mut self, header: RecordHeader, body: &[u8]) -> Option<(Negotiated, Open)> {
        const SUITES: [u16; 3] = [0x1301, 0x1302, 0x1303];
        let window = self.limits.lost_records.into();
        let mut plain = take(&mut self.scratch);
        let mut opens = |mut open: Open| {
            open.opener.seek(window, header, body, &mut plain)?;
            open.opener.step_back();
            Some(open)
        };
        let found = SUITES.into_iter().find_map(|suite| {
            let negotiated = Negotiated { version: Some(TlsVersion::Tls13), suite, ..NOTHING };
            [Epoch::Handshake, Epoch::Application].into_iter().find_map(|epoch| {
                let open = self.make(negotiated, Direction::ToClient, epoch).ok()?;
                Some((negotiated, opens(open)?))
            })
        });
        self.scratch = plain;
        found
    }

    /// Up to TLS 1.2: records are protected from a ChangeCipherSpec on.
    fn await_change_cipher<S: TlsSink + ?Sized>(&mut self, keys: &KeyStore, sink: &mut S) {
        self.unblocked = true;
        if !self.may_open(keys) {
            self.count(Unopenable::Missing, keys);
            self.finish(Direction::ToServer, keys, sink);
        } else if self.half(Direction::ToServer).changed {
            self.install(Direction::ToServer, Epoch::Tls12, keys, sink);
        }
    }

    /// Up to TLS 1.2: the server has said all that can be read without keys.
    fn server_said_all<S: TlsSink + ?Sized>(&mut self, keys: &KeyStore, sink: &mut S) {
        if self.negotiated.is_some() && !self.may_open(keys) {
            self.finish(Direction::ToClient, keys, sink);
        }
    }

    /// A ChangeCipherSpec. In TLS 1.3 it means nothing (RFC 8446 appendix D.4).
    pub(super) fn change_cipher<S>(&mut self, direction: Direction, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        match self.negotiated {
            None => self.half_mut(direction).changed = true,
            Some(Negotiated { version: Some(TlsVersion::Tls13), .. }) => {}
            Some(_) => {
                self.install(direction, Epoch::Tls12, keys, sink);
            }
        }
    }

    fn encrypted_extensions<S>(&mut self, bytes: &[u8], keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        let Ok(extensions) = EncryptedExtensions::parse(bytes) else {
            self.counters.malformed_messages += 1;
            return;
        };
        self.info.encrypted_extensions(&extensions);
        sink.news(TlsNews::EncryptedExtensions, &self.info);
        self.decide_early(extensions.accepts_early_data(), keys, sink);
    }

    fn certificate<S>(&mut self, bytes: &[u8], keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        self.counters.certificates += 1;
        if self.info.certificate(bytes) {
            sink.news(TlsNews::Certificate, &self.info);
        } else {
            self.counters.malformed_messages += 1;
        }
        if self.half(Direction::ToClient).epoch().is_none() {
            self.server_said_all(keys, sink);
        }
    }

    /// The server took early data or refused it, or what it did will never be
    /// known.
    pub(super) fn decide_early<S>(&mut self, taken: bool, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        if !matches!(self.half(Direction::ToServer).cipher, Cipher::Waiting(Epoch::Early)) {
            return;
        }
        match self.keys_of(Direction::ToServer, Epoch::Early) {
            Ok(open) if taken => self.adopt(Direction::ToServer, open, keys, sink),
            _ => self.pass_over_early(keys, sink),
        }
    }

    /// Looks for the first record of the client's handshake behind early data
    /// that is not read.
    pub(super) fn pass_over_early<S: TlsSink + ?Sized>(&mut self, keys: &KeyStore, sink: &mut S) {
        self.install(Direction::ToServer, Epoch::Handshake, keys, sink);
        if let Cipher::Open(open) = &mut self.half_mut(Direction::ToServer).cipher {
            open.seeking = Some(MAX_SEEK);
        }
    }

    /// Takes the keys of an epoch into use, or waits for them, or gives the
    /// direction up.
    pub(super) fn install<S>(
        &mut self,
        direction: Direction,
        epoch: Epoch,
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        match self.keys_of(direction, epoch) {
            Ok(open) => self.adopt(direction, open, keys, sink),
            Err(Unopenable::Missing) if self.may_wait(keys) => {
                let half = self.half_mut(direction);
                half.cipher = Cipher::Waiting(epoch);
                half.joiner = Joiner::default();
            }
            Err(why) => match self.without_handshake_keys(direction, epoch) {
                Some(open) => self.adopt(direction, open, keys, sink),
                None => {
                    self.count(why, keys);
                    self.finish(direction, keys, sink);
                }
            },
        }
    }

    fn adopt<S>(&mut self, direction: Direction, open: Open, keys: &KeyStore, sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        let epoch = open.epoch;
        self.half_mut(direction).adopt(open);
        self.unblocked = true;
        if direction == Direction::ToClient && epoch == Epoch::Application {
            self.decide_early(false, keys, sink);
        }
    }

    /// The keys of application data, where those of the handshake are not
    /// there: its records are passed over.
    fn without_handshake_keys(&self, direction: Direction, epoch: Epoch) -> Option<Open> {
        if epoch != Epoch::Handshake {
            return None;
        }
        let open = self.keys_of(direction, Epoch::Application).ok()?;
        Some(Open { seeking: Some(MAX_SEEK), ..open })
    }

    /// What may follow, in order, when the end of the present epoch was lost.
    pub(super) fn successors(&self, direction: Direction) -> Vec<Open> {
        let make = |epoch| self.keys_of(direction, epoch).ok();
        match self.half(direction).epoch() {
            Some(Epoch::Early) => {
                [make(Epoch::Handshake), make(Epoch::Application)].into_iter().flatten().collect()
            }
            Some(Epoch::Handshake) => make(Epoch::Application).into_iter().collect(),
            Some(Epoch::Application) => self.updated(direction).into_iter().collect(),
            Some(Epoch::Tls12) | None => Vec::new(),
        }
    }

    /// The keys after a key update.
    fn updated(&self, direction: Direction) -> Option<Open> {
        let Cipher::Open(open) = &self.half(direction).cipher else {
            return None;
        };
        let suite = Suite13::from_wire(self.negotiated?.suite)?;
        let secret = next_secret(suite, open.secret.as_ref()?)?;
        let opener = Opener::new(record_key(suite, &secret)?);
        let epoch = Epoch::Application;
        Some(Open { opener, epoch, secret: Some(secret), seeking: None, proved: false })
    }

    fn keys_of(&self, direction: Direction, epoch: Epoch) -> Result<Open, Unopenable> {
        self.make(self.negotiated.ok_or(Unopenable::Missing)?, direction, epoch)
    }

    fn make(
        &self,
        negotiated: Negotiated,
        direction: Direction,
        epoch: Epoch,
    ) -> Result<Open, Unopenable> {
        let Some(label) = epoch.label(direction) else {
            return self.make12(direction, negotiated);
        };
        let secret = self.secrets.as_ref().and_then(|secrets| secrets.find(label));
        let secret = secret.ok_or(Unopenable::Missing)?;
        let suite = Suite13::from_wire(negotiated.suite).ok_or(Unopenable::Unsupported)?;
        let key = record_key(suite, secret).ok_or(Unopenable::Wrong)?;
        let secret = (epoch == Epoch::Application).then(|| secret.clone());
        Ok(Open { opener: Opener::new(key), epoch, secret, seeking: None, proved: false })
    }

    fn make12(&self, direction: Direction, negotiated: Negotiated) -> Result<Open, Unopenable> {
        let master = self.secrets.as_ref().and_then(|secrets| secrets.find(Label::Master));
        let (Some(master), Some(client_random)) = (master, &self.client_random) else {
            return Err(Unopenable::Missing);
        };
        let suite = Suite12::from_wire(negotiated.suite).ok_or(Unopenable::Unsupported)?;
        if negotiated.version != Some(TlsVersion::Tls12) || negotiated.compressed {
            return Err(Unopenable::Unsupported);
        }
        let encrypt_then_mac = negotiated.encrypt_then_mac;
        let server_random = &negotiated.server_random;
        let block = KeyBlock::new(suite, encrypt_then_mac, master, client_random, server_random);
        let role = match direction {
            Direction::ToServer => Role::Client,
            Direction::ToClient => Role::Server,
        };
        let key = block.record_key(role).ok_or(Unopenable::Wrong)?;
        let opener = Opener::new(key);
        Ok(Open { opener, epoch: Epoch::Tls12, secret: None, seeking: None, proved: false })
    }

    fn count(&mut self, why: Unopenable, keys: &KeyStore) {
        let given = !keys.is_empty() || keys.may_grow();
        match why {
            Unopenable::Missing => {
                self.counters.keys_missing += u64::from(given && !self.said_missing);
                self.said_missing = true;
            }
            Unopenable::Wrong => self.counters.keys_wrong += 1,
            Unopenable::Unsupported => {
                self.counters.suites_unsupported += u64::from(!self.said_unsupported);
                self.said_unsupported = true;
            }
        }
    }
}
