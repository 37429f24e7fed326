//! With keys everything is seen, in every version and suite.

use super::conversations::{conversation, numbered, small_talk, tls12, with_retry, with_suite};
use super::peers::{Peers, Setup};
use super::watching::watch_all_cuts;
use crate::stream::Direction::{ToClient, ToServer};
use crate::stream::tls::{TlsNews, TlsVersion};

#[test]
fn every_suite_of_tls13() {
    for (name, number) in [
        ("AES_128_GCM_SHA256", 0x1301),
        ("AES_256_GCM_SHA384", 0x1302),
        ("CHACHA20_POLY1305_SHA256", 0x1303),
    ] {
        let conversation = conversation(&with_suite(name));
        let seen = watch_all_cuts(&conversation, &conversation.key_log);
        seen.assert_all_of(&conversation);
        assert_eq!(seen.info.version, Some(TlsVersion::Tls13));
        assert_eq!(seen.info.cipher_suite, Some(number));
        assert_eq!(seen.info.alpn_offered, ["h2", "http/1.1"]);
        assert_eq!(seen.info.alpn.as_deref(), Some("http/1.1"));
        assert_eq!(seen.info.certificate_names, ["tools.example.test", "*.mcp.example.test"]);
        assert_eq!(
            seen.news(),
            [
                TlsNews::ClientHello,
                TlsNews::ServerHello,
                TlsNews::EncryptedExtensions,
                TlsNews::Certificate
            ]
        );
    }
}

#[test]
fn aead_suites_of_tls12() {
    for (name, number) in [
        ("ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
        ("ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
        ("ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
    ] {
        let conversation = conversation(&with_suite(name));
        let seen = watch_all_cuts(&conversation, &conversation.key_log);
        seen.assert_all_of(&conversation);
        assert_eq!(seen.info.version, Some(TlsVersion::Tls12));
        assert_eq!(seen.info.cipher_suite, Some(number));
        assert_eq!(seen.info.alpn.as_deref(), Some("http/1.1"));
        assert!(!seen.info.resumed);
    }
}

#[test]
fn hello_retry_request() {
    let conversation = conversation(&with_retry());
    let seen = watch_all_cuts(&conversation, &conversation.key_log);
    seen.assert_all_of(&conversation);
    assert!(seen.info.hello_retry);
    assert_eq!(seen.counters.hello_retries, 1);
    assert_eq!(seen.counters.client_hellos, 2);
}

#[test]
fn key_updates_both_ways() {
    let mut talk = Peers::new(&Setup::default()).connect();
    for round in 0..2 {
        talk.send(ToServer, &[round; 100]);
        talk.update_keys(ToServer);
        talk.send(ToClient, &[round; 100]);
        talk.send(ToServer, &numbered(2_000));
        talk.update_keys(ToClient);
        talk.send(ToClient, &numbered(2_000));
    }
    let conversation = talk.close();
    let seen = watch_all_cuts(&conversation, &conversation.key_log);
    seen.assert_all_of(&conversation);
    assert!(seen.counters.key_updates >= 4, "{}", seen.counters.key_updates);
}

#[test]
fn resumed_sessions() {
    for setup in [Setup::default(), tls12()] {
        let peers = Peers::new(&setup);
        let first = small_talk(peers.connect());
        assert!(!watch_all_cuts(&first, &first.key_log).info.resumed);
        let second = small_talk(peers.connect());
        let seen = watch_all_cuts(&second, &second.key_log);
        seen.assert_all_of(&second);
        assert!(seen.info.resumed);
        assert_eq!(seen.counters.resumptions, 1);
        assert_eq!(seen.counters.certificates, 0);
    }
}
