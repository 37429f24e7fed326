//! Conversations of OpenSSL with itself (`openssl/record.py` recorded them): RSA
//! key exchange, CBC suites, renegotiation.

use super::peers::Conversation;
use super::watching::{falsified, watch_all_cuts};
use crate::stream::Direction::{ToClient, ToServer};

fn conversation(text: &str) -> Conversation {
    let bytes = |hex: &str| {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect::<Vec<_>>()
    };
    let mut conversation = Conversation::default();
    for line in text.lines() {
        match line.split_once(' ').unwrap() {
            (">", hex) => conversation.wire.push((ToServer, bytes(hex))),
            ("<", hex) => conversation.wire.push((ToClient, bytes(hex))),
            ("c", hex) => conversation.sent[0].extend(bytes(hex)),
            ("s", hex) => conversation.sent[1].extend(bytes(hex)),
            (_, line) => conversation.key_log += &format!("{line}\n"),
        }
    }
    conversation
}

#[test]
fn suites() {
    for (text, suite) in [
        (include_str!("openssl/rsa-aes128-sha.txt"), 0x002f),
        (include_str!("openssl/rsa-aes256-sha.txt"), 0x0035),
        (include_str!("openssl/rsa-aes256-sha256.txt"), 0x003d),
        (include_str!("openssl/ecdhe-aes128-sha256.txt"), 0xc027),
        (include_str!("openssl/ecdhe-aes256-sha384.txt"), 0xc028),
        (include_str!("openssl/ecdhe-aes256-sha384-mac-first.txt"), 0xc028),
        (include_str!("openssl/rsa-aes128-gcm.txt"), 0x009c),
        (include_str!("openssl/rsa-aes256-gcm.txt"), 0x009d),
        (include_str!("openssl/ecdhe-chacha20.txt"), 0xcca8),
    ] {
        let conversation = conversation(text);
        let seen = watch_all_cuts(&conversation, &conversation.key_log);
        seen.assert_all_of(&conversation);
        assert_eq!(seen.info.cipher_suite, Some(suite));
        assert_eq!(seen.info.certificate_names, ["openssl.test"]);

        let random = conversation.key_log.lines().filter(|line| line.starts_with("CLIENT_RANDOM"));
        let wrong = falsified(&random.collect::<Vec<_>>().join("\n"));
        let seen = watch_all_cuts(&conversation, &wrong);
        seen.assert_nothing();
        assert_eq!(seen.counters.keys_wrong, 2, "{suite:04x}");
    }
}

#[test]
fn a_suite_that_is_not_supported() {
    let conversation = conversation(include_str!("openssl/rsa-aes128-ccm.txt"));
    let seen = watch_all_cuts(&conversation, &conversation.key_log);
    seen.assert_nothing();
    assert_eq!(seen.counters.suites_unsupported, 1);
    assert_eq!((seen.counters.keys_missing, seen.counters.keys_wrong), (0, 0));
}

#[test]
fn renegotiation() {
    let conversation = conversation(include_str!("openssl/renegotiation.txt"));
    let seen = watch_all_cuts(&conversation, &conversation.key_log);
    assert_eq!(seen.data(ToServer), conversation.sent[0]);
    assert_eq!(seen.data(ToClient), conversation.sent[1]);
    assert_eq!((seen.counters.renegotiations, seen.counters.unopened_records), (1, 0));

    // The keys of the first handshake alone.
    let first = conversation.key_log.lines().next().unwrap();
    let seen = watch_all_cuts(&conversation, first);
    assert_eq!(seen.data(ToServer), b"before\n");
    assert_eq!(seen.data(ToClient), b"answer before\n");
    assert_eq!(seen.counters.keys_missing, 1);
}
