//! Opens the packets of one connection with the secrets of a key log.

use std::ops::Range;

use super::keys::{HeaderKey, Keys, PacketKey, TrafficSecret};
use super::packet::Long;
use super::version::QuicVersion;
use crate::stream::Direction;
use crate::stream::tls::keylog::{Label, Secret, Secrets};
use crate::stream::tls::suite::{Aead, Hash, Suite13};

/// What is known of a connection's keys.
pub(super) struct Opener {
    secrets: Secrets,
    /// Known from the ServerHello, or from the first packet that was opened.
    suite: Option<Suite13>,
    early: Option<Keys>,
    handshake: Option<Keys>,
    application: [Option<Application>; 2],
    /// One more than the greatest packet number seen: of the server's Handshake
    /// packets, and of the application data of both directions.
    next_handshake: u64,
    next_application: [u64; 2],
    /// Packets tried in vain.
    failed: u32,
}

/// Why a packet was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// Its secret is not there.
    NoSecret,
    /// It is too short, damaged, forged, or of other keys.
    Failed,
}

/// The keys of one direction's application data.
struct Application {
    header: HeaderKey,
    current: PacketKey,
    /// Before the last key update.
    previous: Option<PacketKey>,
    secret: TrafficSecret,
    phase: bool,
    /// The first packet of the current phase that was seen.
    phase_start: u64,
}

/// A payload in the scratch buffer, and whether a key update came with it.
pub(super) struct Opened {
    pub(super) payload: Range<usize>,
    pub(super) key_update: bool,
}

impl Opener {
    /// After so many failures, and no application data opened, the secrets are
    /// wrong.
    const PATIENCE: u32 = 32;

    pub(super) fn new(secrets: Secrets, cipher_suite: Option<u16>) -> Self {
        Self {
            secrets,
            suite: cipher_suite.and_then(Suite13::from_wire),
            early: None,
            handshake: None,
            application: [None, None],
            next_handshake: 0,
            next_application: [0; 2],
            failed: 0,
        }
    }

    /// Takes over newer secrets.
    pub(super) fn set_secrets(&mut self, secrets: Secrets) {
        self.secrets = secrets;
    }

    pub(super) fn set_suite(&mut self, suite: Suite13) {
        self.suite = Some(suite);
    }

    /// Whether it is time to give up.
    pub(super) fn is_hopeless(&self) -> bool {
        self.failed >= Self::PATIENCE && self.application.iter().all(Option::is_none)
    }

    /// Opens a Handshake packet of the server. Its version tells the labels.
    pub(super) fn handshake(
        &mut self,
        packet: &Long<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<Opened, Unopened> {
        let next = &mut self.next_handshake;
        let secret = self.secrets.find(Label::ServerHandshake);
        let opened = open_long(&mut self.handshake, secret, &mut self.suite, packet, next, scratch);
        self.count(opened)
    }

    /// Opens a 0-RTT packet.
    pub(super) fn early(
        &mut self,
        packet: &Long<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<Opened, Unopened> {
        // The suite is that of the session resumed, of which only the hash must
        // be that of this one.
        let mut suite = None;
        let next = &mut self.next_application[Direction::ToServer.index()];
        let secret = self.secrets.find(Label::ClientEarly);
        let opened = open_long(&mut self.early, secret, &mut suite, packet, next, scratch);
        self.count(opened)
    }

    /// Opens a packet with a short header, whose number begins at `number_at`.
    pub(super) fn application(
        &mut self,
        direction: Direction,
        version: QuicVersion,
        packet: &[u8],
        number_at: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<Opened, Unopened> {
        let opened = self.open_application(direction, version, packet, number_at, scratch);
        self.count(opened)
    }

    fn open_application(
        &mut self,
        direction: Direction,
        version: QuicVersion,
        packet: &[u8],
        number_at: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<Opened, Unopened> {
        let next = &mut self.next_application[direction.index()];
        let slot = &mut self.application[direction.index()];
        if let Some(keys) = slot {
            return keys.open(packet, number_at, next, scratch).ok_or(Unopened::Failed);
        }
        let label = match direction {
            Direction::ToServer => Label::ClientApplication,
            Direction::ToClient => Label::ServerApplication,
        };
        let secret = self.secrets.find(label).ok_or(Unopened::NoSecret)?.bytes();
        for &suite in candidates(self.suite, secret.len()) {
            let Some(mut keys) = Application::new(TrafficSecret::new(version, suite, secret))
            else {
                continue;
            };
            if let Some(opened) = keys.open(packet, number_at, next, scratch) {
                self.suite = Some(suite);
                *slot = Some(keys);
                return Ok(opened);
            }
        }
        Err(Unopened::Failed)
    }

    fn count(&mut self, opened: Result<Opened, Unopened>) -> Result<Opened, Unopened> {
        if matches!(opened, Err(Unopened::Failed)) {
            self.failed = self.failed.saturating_add(1);
        }
        opened
    }
}

/// Opens a packet with a long header; finds its keys first if they are not yet
/// known.
fn open_long(
    keys: &mut Option<Keys>,
    secret: Option<&Secret>,
    suite: &mut Option<Suite13>,
    packet: &Long<'_>,
    next: &mut u64,
    scratch: &mut Vec<u8>,
) -> Result<Opened, Unopened> {
    if let Some(keys) = keys {
        return open(keys, packet.bytes, packet.number_at, next, scratch)
            .map(Opened::from)
            .ok_or(Unopened::Failed);
    }
    let secret = secret.ok_or(Unopened::NoSecret)?.bytes();
    for &candidate in candidates(*suite, secret.len()) {
        let fresh = TrafficSecret::new(packet.version, candidate, secret).keys();
        let Some(fresh) = fresh else { continue };
        if let Some(payload) = open(&fresh, packet.bytes, packet.number_at, next, scratch) {
            *suite = Some(candidate);
            *keys = Some(fresh);
            return Ok(payload.into());
        }
    }
    Err(Unopened::Failed)
}

/// Opens a packet in the scratch buffer; says where there its payload is.
/// `next` is one more than the greatest packet number seen.
pub(super) fn open(
    keys: &Keys,
    packet: &[u8],
    number_at: usize,
    next: &mut u64,
    scratch: &mut Vec<u8>,
) -> Option<Range<usize>> {
    scratch.clear();
    scratch.extend_from_slice(packet);
    let unmasked = keys.header.unmask(scratch, number_at)?;
    let number = unmasked.number(*next);
    let header_len = unmasked.header_len(number_at);
    let payload = keys.packet.open(scratch, header_len, number)?;
    *next = (*next).max(number + 1);
    Some(header_len..header_len + payload.len())
}

/// The suites that may go with a secret of this length.
fn candidates(suite: Option<Suite13>, secret_len: usize) -> &'static [Suite13] {
    const AES_128: Suite13 = Suite13 { aead: Aead::Aes128Gcm, hash: Hash::Sha256 };
    const AES_256: Suite13 = Suite13 { aead: Aead::Aes256Gcm, hash: Hash::Sha384 };
    const CHACHA20: Suite13 = Suite13 { aead: Aead::Chacha20Poly1305, hash: Hash::Sha256 };
    match (suite.map(|suite| suite.aead), secret_len) {
        (Some(Aead::Aes128Gcm), 32) => &[AES_128],
        (Some(Aead::Chacha20Poly1305), 32) => &[CHACHA20],
        (Some(Aead::Aes256Gcm) | None, 48) => &[AES_256],
        (None, 32) => &[AES_128, CHACHA20],
        _ => &[],
    }
}

impl Application {
    fn new(secret: TrafficSecret) -> Option<Self> {
        let Keys { header, packet } = secret.keys()?;
        Some(Self { header, current: packet, previous: None, secret, phase: false, phase_start: 0 })
    }

    fn open(
        &mut self,
        packet: &[u8],
        number_at: usize,
        next: &mut u64,
        scratch: &mut Vec<u8>,
    ) -> Option<Opened> {
        const KEY_PHASE: u8 = 0x04;
        scratch.clear();
        scratch.extend_from_slice(packet);
        let unmasked = self.header.unmask(scratch, number_at)?;
        let number = unmasked.number(*next);
        let header_len = unmasked.header_len(number_at);
        let phase = unmasked.first & KEY_PHASE != 0;
        let mut attempt = |key: &PacketKey| {
            let (_, body) = scratch.split_at_mut_checked(header_len)?;
            body.copy_from_slice(packet.get(header_len..)?);
            let payload = key.open(scratch, header_len, number)?;
            Some(header_len..header_len + payload.len())
        };
        let payload = if phase == self.phase {
            attempt(&self.current)?.into()
        } else if let Some(payload) =
            self.previous.as_ref().filter(|_| number < self.phase_start).and_then(&mut attempt)
        {
            payload.into()
        } else {
            // A key update (RFC 9001 section 6), if it opens.
            let secret = self.secret.updated()?;
            let key = secret.packet_key()?;
            let payload = attempt(&key)?;
            self.previous = Some(std::mem::replace(&mut self.current, key));
            self.secret = secret;
            self.phase = phase;
            self.phase_start = number;
            Opened { payload, key_update: true }
        };
        *next = (*next).max(number + 1);
        Some(payload)
    }
}

impl From<Range<usize>> for Opened {
    fn from(payload: Range<usize>) -> Self {
        Self { payload, key_update: false }
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("suite", &self.suite)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
