//! Conversations that several tests use.

use rustls::SupportedProtocolVersion;
use rustls::crypto::ring::{self, kx_group};

use super::peers::{Conversation, Peers, Setup, Talk};
use crate::stream::Direction::{ToClient, ToServer};

/// A setup that has TLS 1.2 only.
pub(super) fn tls12() -> Setup {
    static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
    Setup { versions: TLS12, ..Setup::default() }
}

/// A setup with one suite, by its name in the IANA registry without `TLS_`.
pub(super) fn with_suite(name: &str) -> Setup {
    let suites = ring::ALL_CIPHER_SUITES.iter().copied();
    let suites = suites.filter(|suite| {
        suite.suite().as_str().unwrap().trim_start_matches("TLS13_").trim_start_matches("TLS_")
            == name
    });
    let suites = suites.collect::<Vec<_>>();
    assert_eq!(suites.len(), 1, "{name}");
    let setup = if suites[0].tls13().is_some() { Setup::default() } else { tls12() };
    Setup { suites, ..setup }
}

/// A setup in which the client guesses a group that the server does not have.
pub(super) fn with_retry() -> Setup {
    Setup {
        client_groups: vec![kx_group::X25519, kx_group::SECP256R1],
        server_groups: vec![kx_group::SECP256R1],
        ..Setup::default()
    }
}

/// A few requests and answers, one of them over many records.
pub(super) fn small_talk(mut talk: Talk) -> Conversation {
    talk.send(ToServer, b"POST /mcp HTTP/1.1\r\n\r\n");
    talk.send(ToClient, b"HTTP/1.1 200 OK\r\n\r\n");
    talk.send(ToServer, &numbered(18_000));
    talk.send(ToClient, &numbered(10_000));
    talk.send(ToServer, b"bye");
    talk.close()
}

/// Data of which every four bytes say where they stand.
pub(super) fn numbered(len: u32) -> Vec<u8> {
    (0..len / 4).flat_map(u32::to_be_bytes).collect()
}

/// Small talk in a fresh session.
pub(super) fn conversation(setup: &Setup) -> Conversation {
    small_talk(Peers::new(setup).connect())
}
