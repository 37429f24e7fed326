//! What is seen without keys, and when a connection is put to rest.

use super::certificates::certificate_message;
use super::conversations::{conversation, tls12, with_retry};
use super::hello::{HelloBuilder, handshake, records, server_hello};
use super::peers::{Peers, Setup};
use super::watching::{Recorder, Told, finish, watch_all_cuts};
use crate::stream::Direction::{ToClient, ToServer};
use crate::stream::testing::{Cut, Rng};
use crate::stream::tls::{KeyStore, Tls, TlsLimits, TlsNews, TlsVersion};

#[test]
fn names_and_fingerprints() {
    for (setup, version) in [(Setup::default(), TlsVersion::Tls13), (tls12(), TlsVersion::Tls12)] {
        let conversation = conversation(&setup);
        let info = watch_all_cuts(&conversation, "").info;
        assert_eq!(info.sni.as_deref(), Some("tools.example.test"));
        assert_eq!(info.alpn_offered, ["h2", "http/1.1"]);
        assert_eq!(info.version, Some(version));
        assert_eq!(info.version_offered, Some(version));
        assert!(info.cipher_suite.is_some() && !info.ech && !info.hello_retry);
        let start = format!("t{}d", version.as_str().replace('.', ""));
        assert!(info.ja4.unwrap().starts_with(&start));
        assert_eq!(info.ja3.unwrap().len(), 32);
        let names = &["tools.example.test", "*.mcp.example.test"][..];
        let known = if version == TlsVersion::Tls12 { names } else { &[] };
        assert_eq!(info.certificate_names, known);
        let protocol = (version == TlsVersion::Tls12).then_some("http/1.1");
        assert_eq!(info.alpn.as_deref(), protocol);
    }
}

/// How many records were read or passed over until the connection was put to
/// rest.
fn records_until_rest(setup: &Setup, key_log: &str) -> u64 {
    let conversation = conversation(setup);
    let keys = KeyStore::load(key_log.as_bytes()).unwrap();
    let mut tls = Tls::new(TlsLimits::default());
    let mut recorder = Recorder::default();
    for (direction, bytes) in &conversation.wire {
        tls.feed(*direction, bytes, &keys, &mut recorder);
    }
    assert!(tls.is_at_rest());
    assert_eq!(recorder.told.last(), Some(&Told::NothingMore));
    tls.counters().records + tls.counters().records_skipped
}

#[test]
fn at_rest_as_soon_as_there_is_no_more_to_learn() {
    assert_eq!(records_until_rest(&Setup::default(), ""), 2, "the hellos");
    assert!((2..=3).contains(&records_until_rest(&tls12(), "")), "and the certificate");
    // Both hellos, both answers, and what stands between.
    assert!(records_until_rest(&with_retry(), "") <= 6);
}

#[test]
fn a_resumed_session_of_tls12_has_no_certificate() {
    let peers = Peers::new(&tls12());
    super::conversations::small_talk(peers.connect());
    let conversation = super::conversations::small_talk(peers.connect());
    let seen = watch_all_cuts(&conversation, "");
    seen.assert_nothing();
    assert!(seen.info.resumed);
    assert_eq!(seen.news(), [TlsNews::ClientHello, TlsNews::ServerHello]);
}

#[test]
fn hellos_over_several_records() {
    let client = HelloBuilder::new()
        .server_name("mcp.example.test")
        .extension(0xfe0d, &[0; 200])
        .extension(51, &[0xaa; 1500])
        .message();
    let server = [server_hello(0xc02f, &[]), certificate_message(TlsVersion::Tls12)].concat();
    for size in [1, 3, 40, 600, 16_384] {
        for cut in Cut::all() {
            let (mut tls, mut recorder) = (Tls::new(TlsLimits::default()), Recorder::default());
            let keys = KeyStore::new();
            for (direction, message) in [(ToServer, &client), (ToClient, &server)] {
                for piece in cut.pieces(&records(message, size)) {
                    tls.feed(direction, piece, &keys, &mut recorder);
                }
            }
            assert!(tls.is_at_rest(), "records of {size}, {cut:?}");
            let info = tls.info();
            assert_eq!(info.sni.as_deref(), Some("mcp.example.test"));
            assert!(info.ech);
            assert_eq!(info.version, Some(TlsVersion::Tls12));
            assert_eq!(info.certificate_names.len(), 2);
        }
    }
}

#[test]
fn a_connection_joined_late_is_put_to_rest_by_its_first_hello() {
    let conversation = conversation(&Setup::default());
    let mut tls = Tls::new(TlsLimits::default());
    let mut recorder = Recorder::default();
    let keys = KeyStore::load(conversation.key_log.as_bytes()).unwrap();
    for (direction, bytes) in &conversation.wire[1..] {
        tls.feed(*direction, bytes, &keys, &mut recorder);
    }
    assert!(tls.is_at_rest());
    assert_eq!(recorder.told, [Told::News(TlsNews::ServerHello), Told::NothingMore]);
}

#[test]
fn endless_handshakes_are_given_up() {
    let limits = TlsLimits { handshake_bytes: 4096, ..TlsLimits::default() };
    let mut tls = Tls::new(limits);
    let mut recorder = Recorder::default();
    let keys = KeyStore::new();
    // Messages that nobody reads, and records that nobody opens.
    let idle = [records(&handshake(0, &[0; 100]), 16_384), b"\x17\x03\x03\x00\x01x".to_vec()];
    for _ in 0..100 {
        for direction in [ToServer, ToClient] {
            tls.feed(direction, &idle.concat(), &keys, &mut recorder);
        }
    }
    assert_eq!(recorder.told, [Told::NothingMore]);
    assert_eq!(tls.counters().endless_handshakes, 1);
}

#[test]
fn what_is_not_tls_is_put_to_rest() {
    let mut tls = Tls::new(TlsLimits::default());
    let mut recorder = Recorder::default();
    let keys = KeyStore::new();
    tls.feed(ToServer, b"GET / HTTP/1.1\r\n\r\n", &keys, &mut recorder);
    tls.feed(ToClient, b"HTTP/1.1 200 OK\r\n\r\n", &keys, &mut recorder);
    assert_eq!(recorder.told, [Told::NothingMore]);
    assert_eq!(tls.counters().bad_records, 2);
}

#[test]
fn oversized_and_malformed_messages() {
    let limits = TlsLimits { message_bytes: 300, ..TlsLimits::default() };
    let mut tls = Tls::new(limits);
    let mut recorder = Recorder::default();
    let keys = KeyStore::new();
    let large = HelloBuilder::new().extension(9, &[0; 1000]).message();
    tls.feed(ToServer, &records(&large, 16_384), &keys, &mut recorder);
    tls.feed(ToServer, &records(&handshake(1, b"too short"), 16_384), &keys, &mut recorder);
    tls.feed(ToServer, &records(&HelloBuilder::new().message(), 9), &keys, &mut recorder);
    assert_eq!(recorder.told, [Told::News(TlsNews::ClientHello)]);
    assert_eq!((tls.counters().handshake_too_large, tls.counters().malformed_messages), (1, 1));
}

#[test]
fn random_and_mutated_input_never_panics_however_cut() {
    let mut rng = Rng::new(21);
    for setup in [Setup::default(), tls12()] {
        let mut conversation = conversation(&setup);
        conversation.wire.truncate(6);
        for (_, bytes) in &mut conversation.wire {
            bytes.truncate(2000);
        }
        let key_log = conversation.key_log.clone();
        for _ in 0..40 {
            let mut mutated = conversation.clone();
            for _ in 0..=rng.below(3) {
                let at = rng.below(mutated.wire.len());
                rng.mutate(&mut mutated.wire[at].1);
            }
            for key_log in ["", &key_log] {
                watch_all_cuts(&mutated, key_log);
            }
        }
    }
    let keys = KeyStore::new();
    for _ in 0..2000 {
        let (mut tls, mut recorder) = (Tls::new(TlsLimits::default()), Recorder::default());
        for _ in 0..rng.below(6) {
            let mut data = (0..rng.below(200)).map(|_| rng.next() as u8).collect::<Vec<_>>();
            let starts = [&b"\x16\x03\x01\x00\x20\x01"[..], b"\x17\x03\x03\x00\x20", b""];
            data.splice(0..0, starts[rng.below(3)].iter().copied());
            let direction = [ToServer, ToClient][rng.below(2)];
            match rng.below(5) {
                0 => tls.gap(direction, rng.below(99) as u64, &keys, &mut recorder),
                1 => tls.end(direction, &keys, &mut recorder),
                _ => tls.feed(direction, &data, &keys, &mut recorder),
            }
        }
        finish(tls, &keys, recorder);
    }
}
