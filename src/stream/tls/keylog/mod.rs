//! TLS secrets: from key logs, by client random.
//!
//! In: the text of key logs in the NSS format (RFC 9850, `SSLKEYLOGFILE`), from
//! files or from pcapng Decryption Secrets Blocks. Out: a [`KeyStore`], which is
//! immutable, so that threads share it behind an `Arc`; to add what a growing
//! file brought, [`KeyStore::extended`] makes another, sharing what both hold.
//! [`KeyLogFollower`] says what a file brought.
//!
//! ```
//! use mcpwatch::stream::tls::{KeyLogReader, KeyStore};
//!
//! let random = "ab".repeat(32);
//! let text = format!("# a comment\nCLIENT_RANDOM {random} {}\n", "cd".repeat(48));
//! let store = KeyStore::load(text.as_bytes()).unwrap();
//! assert_eq!(store.len(), 1);
//!
//! let errors = KeyStore::load(b"CLIENT_RANDOM abcx").unwrap_err();
//! assert_eq!(errors[0].to_string(), "line 1, column 18: not a hexadecimal digit");
//!
//! let mut reader = KeyLogReader::new();
//! let store = store.extended(reader.read(b"CLIENT_TRAFFIC_SECR"));
//! assert_eq!(store.len(), 1);
//! ```
//!
//! Secrets are wiped from memory when dropped, and neither `Debug` nor errors
//! show them.

mod follow;
mod line;
mod reader;
mod secret;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::follow::KeyLogFollower;
pub use self::line::KeyLogErrorKind;
pub use self::reader::{KeyLogCounters, KeyLogError, KeyLogPart, KeyLogReader};
pub(crate) use self::secret::{Label, Secret, Secrets};
use super::held::HoldBudget;

/// A client random: what the secrets of a handshake are filed under.
pub(crate) type ClientRandom = [u8; 32];

type Layer = HashMap<ClientRandom, Arc<Secrets>>;

/// Secrets by client random. Cheap to look up; immutable.
#[derive(Clone, Default)]
pub struct KeyStore {
    /// Oldest first, each at least twice as large as the next: adding to a
    /// large store does not copy all of it.
    layers: Vec<Arc<Layer>>,
    generation: u64,
    may_grow: bool,
    hold: Option<HoldBudget>,
    /// Most handshakes, if there is a bound.
    most: Option<usize>,
    dropped: u64,
}

/// The generation that was last given to a store.
static GENERATION: AtomicU64 = AtomicU64::new(0);

impl KeyStore {
    /// A store without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys of a whole key log, or every error in it. Comments and labels
    /// of other secrets are passed over.
    pub fn load(text: &[u8]) -> Result<Self, Vec<KeyLogError>> {
        let part = KeyLogReader::whole(text);
        if part.errors().is_empty() {
            Ok(Self::new().extended(part))
        } else {
            Err(part.into_errors())
        }
    }

    /// A store that holds also what `part` brought. Where both hold a secret of
    /// the same name, the newer counts. Where there is a bound, the oldest make
    /// room.
    #[must_use]
    pub fn extended(&self, part: KeyLogPart) -> Self {
        let mut store = self.clone();
        let mut top = part.into_secrets();
        if top.is_empty() {
            return store;
        }
        // What is to make room some day must not be one with what is new.
        let largest = store.most.map_or(usize::MAX, |most| most / 4);
        let joins = |layer: &Layer, top: &Layer| {
            layer.len() < 2 * top.len() && layer.len() + top.len() <= largest
        };
        while let Some(layer) = store.layers.pop_if(|layer| joins(layer, &top)) {
            for (random, older) in layer.iter() {
                top.entry(*random)
                    .and_modify(|newer| Arc::make_mut(newer).fill_from(older))
                    .or_insert_with(|| Arc::clone(older));
            }
        }
        store.layers.push(Arc::new(top));
        store.make_room();
        store.generation = GENERATION.fetch_add(1, Ordering::Relaxed) + 1;
        store
    }

    /// The store with a bound on the handshakes that it has secrets of: where keys
    /// come all the time, the oldest are dropped, some at once.
    #[must_use]
    pub fn bounded(mut self, most: usize) -> Self {
        self.most = Some(most);
        self.make_room();
        self
    }

    /// The newest layer stays, be it as large as it may.
    fn make_room(&mut self) {
        let Some(most) = self.most else { return };
        while self.layers.len() > 1 && self.len() > most {
            self.dropped += self.layers.remove(0).len() as u64;
        }
    }

    /// Handshakes whose secrets made room for newer ones.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Says whether more keys may still come: then flows whose keys are not
    /// there wait for them, holding some of their records.
    #[must_use]
    pub fn growing(mut self, may_grow: bool) -> Self {
        self.may_grow = may_grow;
        self
    }

    /// The store with a bound on what all connections together hold while keys may
    /// come.
    #[must_use]
    pub fn holding(mut self, budget: HoldBudget) -> Self {
        self.hold = Some(budget);
        self
    }

    pub(crate) const fn hold_budget(&self) -> Option<&HoldBudget> {
        self.hold.as_ref()
    }

    /// Whether more keys may still come.
    pub const fn may_grow(&self) -> bool {
        self.may_grow
    }

    /// Another one whenever keys were added, to whatever store.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// How many handshakes there are secrets of (one that came in several
    /// parts may count more than once).
    pub fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.len()).sum()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// All secrets of the handshake with this client random.
    pub(crate) fn secrets(&self, random: &ClientRandom) -> Option<Secrets> {
        let mut found = self.layers.iter().rev().filter_map(|layer| layer.get(random));
        let mut secrets = Secrets::clone(found.next()?);
        found.for_each(|older| secrets.fill_from(older));
        Some(secrets)
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore")
            .field("len", &self.len())
            .field("generation", &self.generation)
            .field("may_grow", &self.may_grow)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, random: u8, secret: u8, len: usize) -> String {
        let hex = |byte: u8, len: usize| format!("{byte:02x}").repeat(len);
        format!("{label} {} {}\n", hex(random, 32), hex(secret, len))
    }

    fn bytes(store: &KeyStore, random: u8, label: Label) -> Option<Vec<u8>> {
        let secrets = store.secrets(&[random; 32])?;
        secrets.find(label).map(|secret| secret.bytes().to_vec())
    }

    #[test]
    fn labels_are_kept_apart_and_quic_ones_are_alike() {
        let text = [
            line("CLIENT_RANDOM", 1, 0x10, 48),
            line("CLIENT_EARLY_TRAFFIC_SECRET", 2, 0x20, 32),
            line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 2, 0x21, 32),
            line("SERVER_HANDSHAKE_TRAFFIC_SECRET", 2, 0x22, 32),
            line("CLIENT_TRAFFIC_SECRET_0", 2, 0x23, 48),
            line("SERVER_TRAFFIC_SECRET_0", 2, 0x24, 48),
            line("QUIC_CLIENT_TRAFFIC_SECRET_0", 3, 0x33, 32),
        ]
        .concat();
        let store = KeyStore::load(text.as_bytes()).unwrap();
        assert_eq!(store.len(), 3);
        for (random, label, byte, len) in [
            (1, Label::Master, 0x10, 48),
            (2, Label::ClientEarly, 0x20, 32),
            (2, Label::ClientHandshake, 0x21, 32),
            (2, Label::ServerHandshake, 0x22, 32),
            (2, Label::ClientApplication, 0x23, 48),
            (2, Label::ServerApplication, 0x24, 48),
            (3, Label::ClientApplication, 0x33, 32),
        ] {
            assert_eq!(bytes(&store, random, label), Some(vec![byte; len]), "{label:?}");
        }
        assert_eq!(bytes(&store, 1, Label::ClientEarly), None);
        assert_eq!(bytes(&store, 4, Label::Master), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut reader = KeyLogReader::new();
        let mut store = KeyStore::new().bounded(40);
        let (mut most, mut generations) = (0, std::collections::HashSet::new());
        for random in 0..200 {
            store = store.extended(reader.read(line("CLIENT_RANDOM", random, 1, 48).as_bytes()));
            most = most.max(store.len());
            assert!(generations.insert(store.generation()));
            // However the older ones are dropped, the last ones are there.
            let known = |random| bytes(&store, random, Label::Master).is_some();
            assert!((random.saturating_sub(25)..=random).all(known), "{random}");
        }
        assert_eq!(most, 40);
        assert_eq!(store.dropped() + store.len() as u64, 200);
    }

    #[test]
    fn secrets_of_one_handshake_join_and_the_newest_counts() {
        let mut reader = KeyLogReader::new();
        let mut store = KeyStore::new();
        let mut generations = std::collections::HashSet::from([store.generation()]);
        for text in [
            line("CLIENT_TRAFFIC_SECRET_0", 1, 0x01, 32),
            line("SERVER_TRAFFIC_SECRET_0", 1, 0x02, 32),
            line("CLIENT_TRAFFIC_SECRET_0", 1, 0x03, 32),
        ] {
            store = store.extended(reader.read(text.as_bytes()));
            assert!(generations.insert(store.generation()));
        }
        assert_eq!(bytes(&store, 1, Label::ClientApplication), Some(vec![0x03; 32]));
        assert_eq!(bytes(&store, 1, Label::ServerApplication), Some(vec![0x02; 32]));
    }

    #[test]
    fn a_store_in_use_does_not_change() {
        let old = KeyStore::load(line("CLIENT_RANDOM", 1, 1, 48).as_bytes()).unwrap();
        let part = KeyLogReader::whole(line("CLIENT_RANDOM", 2, 2, 48).as_bytes());
        let new = old.extended(part);
        assert_eq!(bytes(&old, 2, Label::Master), None);
        assert_eq!(bytes(&new, 2, Label::Master), Some(vec![2; 48]));
        assert_eq!(bytes(&new, 1, Label::Master), Some(vec![1; 48]));
    }

    #[test]
    fn many_small_additions_stay_in_few_layers() {
        let mut reader = KeyLogReader::new();
        let mut store = KeyStore::new();
        for number in 0..1000_u32 {
            let random = format!("{number:064x}");
            let text = format!("CLIENT_RANDOM {random} {}\n", "ee".repeat(48));
            store = store.extended(reader.read(text.as_bytes()));
        }
        assert_eq!(store.len(), 1000);
        assert!(store.layers.len() <= 11, "{}", store.layers.len());
    }

    #[test]
    fn nothing_shows_secrets() {
        let text = line("CLIENT_RANDOM", 1, 0xab, 48);
        let store = KeyStore::load(text.as_bytes()).unwrap();
        let secrets = store.secrets(&[1; 32]).unwrap();
        let shown = format!("{store:?} {secrets:?} {:?}", secrets.find(Label::Master).unwrap());
        for leak in ["abab", "171", "AB"] {
            assert!(!shown.contains(leak), "{shown}");
        }
        let part = KeyLogReader::whole(text.as_bytes());
        assert!(!format!("{part:?}").contains("171"));
    }
}
