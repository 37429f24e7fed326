//! Early data (0-RTT): told only if the server took it.

use super::conversations::small_talk;
use super::peers::{Conversation, Peers, Setup};
use super::watching::{falsified, only, watch, watch_all_cuts};
use crate::stream::Direction::ToServer;
use crate::stream::testing::Cut;

const EARLY: &[u8] = b"POST /mcp HTTP/1.1\r\nhost: early.test\r\n\r\n";

fn setup() -> Setup {
    Setup { early_data: true, ..Setup::default() }
}

/// A second connection, which sends early data; whether another server takes
/// the place of the first before.
fn second(replace_server: bool) -> Conversation {
    let mut peers = Peers::new(&setup());
    small_talk(peers.connect());
    if replace_server {
        peers.replace_server(&setup());
    }
    let mut talk = peers.connect_early(EARLY);
    talk.exchange();
    assert_eq!(talk.is_early_data_accepted(), !replace_server);
    if !replace_server {
        talk.early_data_counts(EARLY);
    }
    small_talk(talk)
}

#[test]
fn taken() {
    let conversation = second(false);
    assert!(conversation.key_log.contains("CLIENT_EARLY_TRAFFIC_SECRET"));
    let seen = watch_all_cuts(&conversation, &conversation.key_log);
    seen.assert_all_of(&conversation);
    assert!(seen.info.early_data && seen.info.resumed);
    assert!(seen.counters.early_records > 0);
}

#[test]
fn refused() {
    let conversation = second(true);
    let seen = watch_all_cuts(&conversation, &conversation.key_log);
    assert_eq!(seen.data(ToServer), conversation.sent[0]);
    assert!(seen.info.early_data && !seen.info.resumed);
    assert_eq!((seen.counters.early_records, seen.counters.keys_wrong), (0, 0));
}

#[test]
fn taken_but_its_secret_is_missing() {
    let conversation = second(false);
    let key_log = only(&conversation.key_log, &["HANDSHAKE_TRAFFIC", "TRAFFIC_SECRET_0"]);
    let seen = watch_all_cuts(&conversation, &key_log);
    assert_eq!(seen.data(ToServer), conversation.sent[0][EARLY.len()..]);
    assert_eq!(seen.counters.keys_wrong, 0);
}

#[test]
fn taken_but_its_secret_is_wrong() {
    let conversation = second(false);
    let early = falsified(&only(&conversation.key_log, &["CLIENT_EARLY"]));
    let others = only(&conversation.key_log, &["HANDSHAKE_TRAFFIC", "TRAFFIC_SECRET_0"]);
    let key_log = early + &others;
    let seen = watch_all_cuts(&conversation, &key_log);
    assert_eq!(seen.data(ToServer), conversation.sent[0][EARLY.len()..]);
    assert_eq!(seen.counters.keys_wrong, 1);
}

#[test]
fn what_became_of_it_is_not_known() {
    let conversation = second(false);
    let key_log = only(&conversation.key_log, &["CLIENT_", "SERVER_TRAFFIC_SECRET_0"]);
    let seen = watch(&conversation, &key_log, Cut::Whole);
    assert_eq!(seen.data(ToServer), conversation.sent[0][EARLY.len()..]);
    assert_eq!(seen.counters.keys_wrong, 0);
}
