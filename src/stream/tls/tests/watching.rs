//! Watching a conversation, and writing down what is seen of it.

use super::peers::Conversation;
use crate::stream::Direction::{self, ToClient, ToServer};
use crate::stream::testing::Cut;
use crate::stream::tls::{KeyStore, Tls, TlsCounters, TlsInfo, TlsLimits, TlsNews, TlsSink};

/// What a sink was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    News(TlsNews),
    Data(Direction, Vec<u8>),
    Gap(Direction, u64),
    End(Direction),
    NothingMore,
}

/// Writes down what it is told; data of one direction in a row as one.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) told: Vec<Told>,
}

impl TlsSink for Recorder {
    fn news(&mut self, news: TlsNews, _: &TlsInfo) {
        self.told.push(Told::News(news));
    }

    fn application_data(&mut self, direction: Direction, data: &[u8]) {
        assert!(!data.is_empty());
        match self.told.last_mut() {
            Some(Told::Data(last, known)) if *last == direction => known.extend_from_slice(data),
            _ => self.told.push(Told::Data(direction, data.to_vec())),
        }
    }

    fn application_gap(&mut self, direction: Direction, len: u64) {
        self.told.push(Told::Gap(direction, len));
    }

    fn application_end(&mut self, direction: Direction) {
        self.told.push(Told::End(direction));
    }

    fn nothing_more(&mut self) {
        self.told.push(Told::NothingMore);
    }
}

/// What was seen of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) told: Vec<Told>,
    pub(super) info: TlsInfo,
    pub(super) counters: TlsCounters,
}

impl Seen {
    /// All data of a direction.
    pub(super) fn data(&self, direction: Direction) -> Vec<u8> {
        let of = |told: &Told| match told {
            Told::Data(of, data) if *of == direction => data.clone(),
            _ => Vec::new(),
        };
        self.told.iter().flat_map(of).collect()
    }

    pub(super) fn news(&self) -> Vec<TlsNews> {
        let news = |told: &Told| match told {
            Told::News(news) => Some(*news),
            _ => None,
        };
        self.told.iter().filter_map(news).collect()
    }

    /// All that was sent was seen, in an orderly way.
    #[track_caller]
    pub(super) fn assert_all_of(&self, conversation: &Conversation) {
        for direction in [ToServer, ToClient] {
            let sent = &conversation.sent[direction.index()];
            assert!(self.data(direction) == *sent, "{direction:?} {:?}", self.counters);
            let ends = self.told.iter().filter(|&told| *told == Told::End(direction));
            assert_eq!(ends.count(), 1, "{direction:?}");
        }
        assert!(!self.told.iter().any(|told| matches!(told, Told::Gap(..))));
        assert_eq!(self.told.last(), Some(&Told::NothingMore));
        assert_eq!(self.counters.unopened_records, 0);
        assert!(self.info.decrypted);
    }

    /// Nothing was decrypted.
    #[track_caller]
    pub(super) fn assert_nothing(&self) {
        let is_news = |told: &Told| matches!(told, Told::News(_) | Told::NothingMore);
        assert!(self.told.iter().all(is_news), "{:?}", self.told);
        assert_eq!(self.told.last(), Some(&Told::NothingMore));
        assert!(!self.info.decrypted);
    }
}

/// Watches a conversation with these keys.
pub(super) fn watch(conversation: &Conversation, key_log: &str, cut: Cut) -> Seen {
    let keys = KeyStore::load(key_log.as_bytes()).unwrap();
    let mut recorder = Recorder::default();
    let mut tls = Tls::new(TlsLimits::default());
    for (direction, bytes) in &conversation.wire {
        for piece in cut.pieces(bytes) {
            tls.feed(*direction, piece, &keys, &mut recorder);
        }
    }
    finish(tls, &keys, recorder)
}

/// Ends the watching.
pub(super) fn finish(mut tls: Tls, keys: &KeyStore, mut recorder: Recorder) -> Seen {
    for direction in [ToServer, ToClient] {
        tls.end(direction, keys, &mut recorder);
    }
    tls.close(keys, &mut recorder);
    assert!(tls.is_at_rest() && !tls.is_waiting());
    Seen { told: recorder.told, info: tls.info().clone(), counters: *tls.counters() }
}

/// Watches a conversation with its own keys, cut in many ways, which must make
/// no difference.
#[track_caller]
pub(super) fn watch_all_cuts(conversation: &Conversation, key_log: &str) -> Seen {
    let whole = watch(conversation, key_log, Cut::Whole);
    for cut in Cut::all() {
        assert_eq!(watch(conversation, key_log, cut), whole, "{cut:?}");
    }
    whole
}

/// The lines of a key log that hold one of these words.
pub(super) fn only(key_log: &str, words: &[&str]) -> String {
    let wanted = |line: &&str| words.iter().any(|word| line.contains(word));
    key_log.lines().filter(wanted).flat_map(|line| [line, "\n"]).collect()
}

/// The same key log, with other secrets.
pub(super) fn falsified(key_log: &str) -> String {
    let falsify = |line: &str| {
        let (rest, secret) = line.rsplit_once(' ').unwrap();
        let other = if secret.starts_with('0') { '1' } else { '0' };
        format!("{rest} {other}{}\n", &secret[1..])
    };
    key_log.lines().map(falsify).collect()
}
