//! The state of one direction.

use super::decrypt::Opener;
use super::handshake::Joiner;
use super::hello::message;
use super::keylog::{Label, Secret};
use super::record::{RecordHeader, RecordReader, content};
use crate::stream::Direction;

/// Records of one direction that may fail to open in a row.
const MAX_FAILURES: u8 = 16;

/// Records under other keys that may come before the first one of an epoch
/// whose beginning cannot be seen.
pub(super) const MAX_SEEK: u8 = 64;

/// Which keys protect the records of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epoch {
    /// TLS 1.3: early data of the client.
    Early,
    /// TLS 1.3: the rest of the handshake.
    Handshake,
    /// TLS 1.3: application data.
    Application,
    /// TLS 1.2: everything after a ChangeCipherSpec.
    Tls12,
}

impl Epoch {
    /// What the traffic secret of this epoch is called.
    pub(super) const fn label(self, direction: Direction) -> Option<Label> {
        Some(match (self, direction) {
            (Self::Early, Direction::ToServer) => Label::ClientEarly,
            (Self::Handshake, Direction::ToServer) => Label::ClientHandshake,
            (Self::Handshake, Direction::ToClient) => Label::ServerHandshake,
            (Self::Application, Direction::ToServer) => Label::ClientApplication,
            (Self::Application, Direction::ToClient) => Label::ServerApplication,
            (Self::Early, Direction::ToClient) | (Self::Tls12, _) => return None,
        })
    }
}

/// How the records of a direction are read.
#[derive(Default)]
pub(super) enum Cipher {
    /// They are not protected yet.
    #[default]
    Plain,
    /// They are protected by keys that may still come.
    Waiting(Epoch),
    /// They are opened.
    Open(Box<Open>),
    /// They are not read any more.
    Done,
}

/// Keys in use.
pub(super) struct Open {
    pub(super) opener: Opener,
    pub(super) epoch: Epoch,
    /// The traffic secret, from which a key update makes the next.
    pub(super) secret: Option<Secret>,
    /// So many records may be passed over before the first that opens: they
    /// are of another epoch.
    pub(super) seeking: Option<u8>,
    /// A record was opened.
    pub(super) proved: bool,
}

/// What is to be done after a record that did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Go on with the next.
    GoOn,
    /// The keys open nothing.
    WrongKeys,
    /// They did open records, but do not any more.
    Lost,
}

/// The state of one direction.
#[derive(Default)]
pub(super) struct Half {
    pub(super) reader: RecordReader,
    pub(super) joiner: Joiner,
    pub(super) cipher: Cipher,
    /// A ChangeCipherSpec came before it was known what it means.
    pub(super) changed: bool,
    /// Something was lost since a record was last read.
    pub(super) lossy: bool,
    /// A loss may have torn a handshake message.
    torn: bool,
    /// Application data was handed on.
    pub(super) delivered: bool,
    /// Application data that was lost and not yet said so (0: an unknown
    /// number of bytes).
    gap: Option<u64>,
    /// Records in a row that did not open.
    failures: u8,
}

impl Half {
    /// Bytes that it owns beside itself, about.
    pub(super) const fn memory(&self) -> usize {
        let open = if matches!(self.cipher, Cipher::Open(_)) { size_of::<Open>() } else { 0 };
        self.reader.memory() + self.joiner.memory() + open
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.cipher, Cipher::Done)
    }

    /// The epoch of the records that are opened.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        match &self.cipher {
            Cipher::Open(open) => Some(open.epoch),
            _ => None,
        }
    }

    /// Whether no more secrets will be needed, unless the peers renegotiate.
    pub(super) fn is_settled(&self) -> bool {
        self.is_done() || matches!(self.epoch(), Some(Epoch::Application | Epoch::Tls12))
    }

    /// Whether what is opened now is application data for the most part.
    pub(super) fn carries_application(&self) -> bool {
        self.epoch().is_some_and(|epoch| epoch != Epoch::Handshake)
    }

    /// Whether records of this type are protected.
    pub(super) fn seals(&self, kind: u8) -> bool {
        let everything = match &self.cipher {
            Cipher::Waiting(epoch) => *epoch == Epoch::Tls12,
            Cipher::Open(open) => open.epoch == Epoch::Tls12,
            Cipher::Plain | Cipher::Done => false,
        };
        everything || kind == content::APPLICATION_DATA
    }

    /// Takes new keys into use.
    pub(super) fn adopt(&mut self, open: Open) {
        self.cipher = Cipher::Open(Box::new(open));
        self.joiner = Joiner::default();
        self.torn = false;
        self.failures = 0;
    }

    /// Whether application data was read, or could have been.
    pub(super) fn told_application(&self) -> bool {
        let proved = matches!(&self.cipher, Cipher::Open(open) if open.proved);
        self.delivered || proved && self.carries_application()
    }

    /// Ends the direction and frees what it keeps.
    pub(super) fn finish(&mut self) {
        self.cipher = Cipher::Done;
        self.joiner = Joiner::default();
        self.reader = RecordReader::off();
    }

    /// Whether other numbers and keys may be tried for a record that did not
    /// open: only if some were lost, or these keys proved right before.
    pub(super) fn may_search(&self) -> bool {
        let proved = matches!(&self.cipher, Cipher::Open(open) if open.proved);
        (self.lossy || proved) && self.failures < MAX_FAILURES
    }

    /// A record was opened; `recovered` if not by the number and key expected.
    pub(super) fn opened(&mut self, recovered: bool) {
        self.failures = 0;
        self.lossy = false;
        if let Cipher::Open(open) = &mut self.cipher {
            open.proved = true;
            open.seeking = None;
        }
        if recovered && self.carries_application() {
            self.gap = Some(0);
        }
    }

    /// A record did not open.
    pub(super) fn failed(&mut self, header: RecordHeader) -> Failure {
        let Cipher::Open(open) = &mut self.cipher else {
            return Failure::GoOn;
        };
        self.failures = self.failures.saturating_add(1);
        let (proved, seeking) = (open.proved, open.seeking);
        match seeking {
            Some(0) => return Failure::WrongKeys,
            Some(left) => {
                open.seeking = Some(left - 1);
                return Failure::GoOn;
            }
            None => {}
        }
        if self.failures >= MAX_FAILURES || !(proved || self.lossy) {
            return if proved { Failure::Lost } else { Failure::WrongKeys };
        }
        if proved {
            self.lose_record(header);
        }
        Failure::GoOn
    }

    /// A record was lost whose header is known.
    pub(super) fn lose_record(&mut self, header: RecordHeader) {
        self.lossy = true;
        self.tear();
        let Cipher::Open(open) = &mut self.cipher else {
            return;
        };
        if open.proved || open.seeking.is_none() {
            open.opener.pass();
        }
        // The first records of TLS 1.3 under these keys are session tickets as
        // often as not.
        let certain = self.delivered || open.epoch == Epoch::Tls12;
        let len = if certain { open.opener.plain_len(header) } else { 0 };
        let is_data = header.kind == content::APPLICATION_DATA;
        if is_data && open.epoch != Epoch::Handshake {
            self.lose_data(len);
        }
    }

    /// An unknown number of records was lost.
    pub(super) fn lose_records(&mut self) {
        self.lossy = true;
        self.tear();
        if self.carries_application() {
            self.lose_data(0);
        }
    }

    fn tear(&mut self) {
        self.torn = true;
        self.joiner = Joiner::default();
    }

    fn lose_data(&mut self, len: u64) {
        self.gap = Some(match self.gap {
            Some(0) => 0,
            _ if len == 0 => 0,
            gap => gap.unwrap_or(0).saturating_add(len),
        });
    }

    /// The loss that is to be said before what comes next.
    pub(super) fn take_gap(&mut self) -> Option<u64> {
        self.gap.take()
    }

    /// Whether a record of handshake messages can be read: after a loss it may
    /// begin inside a message.
    pub(super) fn begins_message(&mut self, body: &[u8]) -> bool {
        const KINDS: std::ops::RangeInclusive<u8> = message::CLIENT_HELLO..=message::KEY_UPDATE;
        let plausible = matches!(body, [kind, 0, _, _, ..] if KINDS.contains(kind));
        self.torn &= !plausible;
        !self.torn
    }
}
