//! Keys that are missing, wrong, late or incomplete.

use super::conversations::{conversation, tls12, with_retry};
use super::peers::{Conversation, Setup};
use super::watching::{Recorder, Seen, Told, falsified, finish, only, watch_all_cuts};
use crate::stream::Direction::{ToClient, ToServer};
use crate::stream::tls::{HoldBudget, KeyLogReader, KeyStore, Tls, TlsLimits};

fn setups() -> [Setup; 3] {
    [Setup::default(), tls12(), with_retry()]
}

#[test]
fn without_keys_nothing_is_counted() {
    for setup in setups() {
        let seen = watch_all_cuts(&conversation(&setup), "");
        seen.assert_nothing();
        assert_eq!(seen.counters.keys_missing, 0);
    }
}

#[test]
fn missing_keys_are_counted() {
    for setup in setups() {
        let other = conversation(&setup);
        let seen = watch_all_cuts(&conversation(&setup), &other.key_log);
        seen.assert_nothing();
        assert_eq!((seen.counters.keys_missing, seen.counters.keys_wrong), (1, 0));
    }
}

#[test]
fn wrong_keys_change_only_a_counter() {
    for setup in setups() {
        let conversation = conversation(&setup);
        let without = watch_all_cuts(&conversation, "");
        let seen = watch_all_cuts(&conversation, &falsified(&conversation.key_log));
        seen.assert_nothing();
        assert_eq!(seen.told, without.told);
        assert_eq!(seen.info, without.info);
        assert_eq!((seen.counters.keys_missing, seen.counters.keys_wrong), (0, 2));
    }
}

#[test]
fn keys_of_another_kind_are_missing_ones() {
    let conversation = conversation(&Setup::default());
    let random = conversation.key_log.split(' ').nth(1).unwrap();
    let key_log = format!("CLIENT_RANDOM {random} {}\n", "ab".repeat(48));
    let seen = watch_all_cuts(&conversation, &key_log);
    seen.assert_nothing();
    assert_eq!(seen.counters.keys_missing, 1);
}

#[test]
fn secrets_of_another_length_are_wrong() {
    let conversation = conversation(&super::conversations::with_suite("AES_256_GCM_SHA384"));
    let shortened =
        conversation.key_log.lines().map(|line| format!("{}\n", &line[..line.len() - 32]));
    let seen = watch_all_cuts(&conversation, &shortened.collect::<String>());
    seen.assert_nothing();
    assert_eq!(seen.counters.keys_wrong, 2);
}

#[test]
fn application_secrets_alone_are_enough() {
    for setup in [Setup::default(), with_retry()] {
        let conversation = conversation(&setup);
        let key_log = only(&conversation.key_log, &["_TRAFFIC_SECRET_0"]);
        let seen = watch_all_cuts(&conversation, &key_log);
        assert_eq!(seen.data(ToServer), conversation.sent[0]);
        assert_eq!(seen.data(ToClient), conversation.sent[1]);
        assert_eq!(seen.info.alpn, None, "it stands in the handshake");
        assert_eq!(seen.counters.keys_missing, 0);
    }
}

#[test]
fn one_direction_alone() {
    let conversation = conversation(&Setup::default());
    let key_log = only(&conversation.key_log, &["SERVER_"]);
    let seen = watch_all_cuts(&conversation, &key_log);
    assert_eq!(seen.data(ToClient), conversation.sent[1]);
    assert!(seen.data(ToServer).is_empty());
    assert_eq!(seen.counters.keys_missing, 1);
}

#[test]
fn one_sided_captures() {
    for setup in setups() {
        let mut conversation = conversation(&setup);
        let key_log = conversation.key_log.clone();
        let both = conversation.wire.clone();
        conversation.wire.retain(|(direction, _)| *direction == ToClient);
        let seen = watch_all_cuts(&conversation, &key_log);
        seen.assert_nothing();
        assert!(seen.info.version.is_some());
        conversation.wire = both;
        conversation.wire.retain(|(direction, _)| *direction == ToServer);
        let seen = watch_all_cuts(&conversation, &key_log);
        seen.assert_nothing();
        assert!(seen.info.ja4.is_some());
    }
}

/// Watches a conversation; its key log comes when so many segments did, line
/// by line with those that follow.
fn watch_late(conversation: &Conversation, first_at: usize, limits: TlsLimits) -> Seen {
    let mut reader = KeyLogReader::new();
    let mut keys = KeyStore::new().growing(true);
    let mut lines = conversation.key_log.split_inclusive('\n');
    let mut recorder = Recorder::default();
    let mut tls = Tls::new(limits);
    for (index, (direction, bytes)) in conversation.wire.iter().enumerate() {
        if index >= first_at
            && let Some(line) = lines.next()
        {
            keys = keys.extended(reader.read(line.as_bytes()));
        }
        for piece in bytes.chunks(1460) {
            tls.feed(*direction, piece, &keys, &mut recorder);
        }
    }
    for line in lines {
        keys = keys.extended(reader.read(line.as_bytes()));
        tls.retry(&keys, &mut recorder);
    }
    finish(tls, &keys, recorder)
}

#[test]
fn late_keys_make_no_difference_to_what_is_told() {
    let roomy = TlsLimits { held_bytes: 1 << 20, ..TlsLimits::default() };
    for setup in setups() {
        let conversation = conversation(&setup);
        let in_time = watch_all_cuts(&conversation, &conversation.key_log);
        for first_at in 0..=conversation.wire.len() {
            let seen = watch_late(&conversation, first_at, roomy);
            assert_eq!(seen.told, in_time.told, "keys from segment {first_at} on");
            assert_eq!(seen.info, in_time.info);
            if first_at == conversation.wire.len() {
                assert_eq!(seen.counters.keys_late, 1);
                assert!(seen.counters.records_held > 4);
            }
        }
    }
}

#[test]
fn no_more_is_held_than_the_limit() {
    let tight = TlsLimits { held_bytes: 20_000, ..TlsLimits::default() };
    for setup in setups() {
        let conversation = conversation(&setup);
        let seen = watch_late(&conversation, conversation.wire.len(), tight);
        seen.assert_nothing();
        assert_eq!((seen.counters.keys_missing, seen.counters.holds_given_up), (1, 1));
    }
}

#[test]
fn a_budget_of_all_is_kept_and_given_back() {
    let conversation = conversation(&Setup::default());
    let budget = HoldBudget::new(10_000);
    let keys = KeyStore::new().growing(true);
    let mut given_up = 0;
    for _ in 0..3 {
        let mut recorder = Recorder::default();
        let mut tls = Tls::new(TlsLimits::default()).with_budget(budget.clone());
        for (direction, bytes) in &conversation.wire {
            tls.feed(*direction, bytes, &keys, &mut recorder);
        }
        given_up += finish(tls, &keys, recorder).counters.holds_given_up;
    }
    assert_eq!(given_up, 3);
    assert_eq!(format!("{budget:?}"), "HoldBudget(10000 left)");
}

#[test]
fn a_waiting_connection_says_so() {
    let conversation = conversation(&Setup::default());
    let keys = KeyStore::new().growing(true);
    let mut recorder = Recorder::default();
    let mut tls = Tls::new(TlsLimits::default());
    for (direction, bytes) in &conversation.wire[..2] {
        tls.feed(*direction, bytes, &keys, &mut recorder);
    }
    assert!(tls.is_waiting());
    tls.retry(&keys.clone().growing(false), &mut recorder);
    assert!(!tls.is_waiting() && tls.is_at_rest());
    assert_eq!(recorder.told.last(), Some(&Told::NothingMore));
}
