//! Protected records: opened, or why not, and what then.

use std::mem::take;

use super::TlsSink;
use super::connection::Tls;
use super::half::{Cipher, Epoch, Failure};
use super::hello::TlsVersion;
use super::keylog::KeyStore;
use super::record::{RecordHeader, content};
use crate::stream::Direction;

/// An alert that ends a direction (RFC 8446 section 6.1): a warning, and its
/// number.
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

impl Tls {
    /// Opens a record, and looks at what is in it.
    pub(super) fn sealed_record<S>(
        &mut self,
        direction: Direction,
        header: RecordHeader,
        body: &[u8],
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        if self.lost_change_cipher(direction) {
            self.install(direction, Epoch::Tls12, keys, sink);
        }
        if self.lost_server_hello(direction) {
            self.guess_suite(header, body, keys, sink);
        }
        if self.half(direction).epoch().is_none() {
            return;
        }
        let mut plain = take(&mut self.scratch);
        match self.open(direction, header, body, &mut plain) {
            Some(kind) => self.opened(direction, kind, &plain, keys, sink),
            None => self.not_opened(direction, header, keys, sink),
        }
        self.scratch = plain;
    }

    /// Whether protected records of the server come although no ServerHello did.
    pub(super) fn lost_server_hello(&self, direction: Direction) -> bool {
        let half = self.half(direction);
        let lost = direction == Direction::ToClient && half.lossy && self.negotiated.is_none();
        lost && matches!(half.cipher, Cipher::Plain) && self.secrets.is_some()
    }

    /// Whether protected records come although no ChangeCipherSpec did: it was
    /// lost.
    fn lost_change_cipher(&self, direction: Direction) -> bool {
        let half = self.half(direction);
        let version = self.negotiated.and_then(|negotiated| negotiated.version);
        let old = version.is_some_and(|version| version < TlsVersion::Tls13);
        matches!(half.cipher, Cipher::Plain) && half.lossy && old
    }

    /// Opens a record into `plain`. Returns its content type.
    pub(super) fn open(
        &mut self,
        direction: Direction,
        header: RecordHeader,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Option<u8> {
        let window = self.limits.lost_records.into();
        let half = self.half_mut(direction);
        let Cipher::Open(open) = &mut half.cipher else {
            return None;
        };
        if let Some(kind) = open.opener.open(header, body, plain) {
            half.opened(false);
            return Some(kind);
        }
        if !half.may_search() {
            return None;
        }
        let Cipher::Open(open) = &mut half.cipher else {
            return None;
        };
        let mut kind = open.opener.seek(window, header, body, plain);
        if kind.is_none() {
            kind = self.successors(direction).into_iter().find_map(|mut next| {
                let kind = next.opener.seek(window, header, body, plain)?;
                self.half_mut(direction).adopt(next);
                self.unblocked = true;
                Some(kind)
            });
        }
        if kind.is_some() {
            self.counters.recoveries += 1;
            self.half_mut(direction).opened(true);
        }
        kind
    }

    fn opened<S>(
        &mut self,
        direction: Direction,
        kind: u8,
        plain: &[u8],
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        if !self.info.decrypted {
            self.info.decrypted = true;
            self.counters.decrypted += 1;
        }
        self.counters.records_opened += 1;
        if self.half(direction).epoch() == Some(Epoch::Early) {
            self.counters.early_records += 1;
        }
        match kind {
            content::APPLICATION_DATA => self.deliver(direction, plain, sink),
            content::HANDSHAKE => self.messages(direction, plain, keys, sink),
            content::CHANGE_CIPHER_SPEC => self.change_cipher(direction, keys, sink),
            content::ALERT if plain == CLOSE_NOTIFY => self.finish(direction, keys, sink),
            _ => {}
        }
    }

    fn not_opened<S>(
        &mut self,
        direction: Direction,
        header: RecordHeader,
        keys: &KeyStore,
        sink: &mut S,
    ) where
        S: TlsSink + ?Sized,
    {
        self.counters.unopened_records += 1;
        let epoch = self.half(direction).epoch();
        match self.half_mut(direction).failed(header) {
            Failure::GoOn => return,
            Failure::WrongKeys => self.counters.keys_wrong += 1,
            Failure::Lost => {}
        }
        if epoch == Some(Epoch::Early) {
            self.pass_over_early(keys, sink);
        } else {
            self.half_mut(direction).lose_records();
            self.finish(direction, keys, sink);
        }
    }

    fn deliver<S>(&mut self, direction: Direction, data: &[u8], sink: &mut S)
    where
        S: TlsSink + ?Sized,
    {
        if data.is_empty() {
            return;
        }
        let half = self.half_mut(direction);
        half.delivered = true;
        if let Some(len) = half.take_gap() {
            sink.application_gap(direction, len);
        }
        self.counters.application_bytes += data.len() as u64;
        sink.application_data(direction, data);
    }
}
