//! Lost bytes: what is lost is said, and what comes after is read.

use super::conversations::{conversation, numbered, tls12, with_suite};
use super::peers::{Conversation, Peers, Setup};
use super::watching::{Recorder, Seen, Told, finish};
use crate::stream::Direction::{self, ToClient, ToServer};
use crate::stream::testing::{Cut, Rng};
use crate::stream::tls::{KeyStore, Tls, TlsLimits, TlsVersion};

/// Watches a conversation of whose directions these ranges are lost.
fn watch_lossy(
    conversation: &Conversation,
    lost: &[(Direction, std::ops::Range<usize>)],
    cut: Cut,
) -> Seen {
    let keys = KeyStore::load(conversation.key_log.as_bytes()).unwrap();
    let mut recorder = Recorder::default();
    let mut tls = Tls::new(TlsLimits::default());
    let mut offsets = [0; 2];
    for (direction, bytes) in &conversation.wire {
        let offset = &mut offsets[direction.index()];
        let mut at = 0;
        while at < bytes.len() {
            let here = *offset + at;
            let ranges = || lost.iter().filter(|(of, _)| of == direction).map(|(_, range)| range);
            if let Some(range) = ranges().find(|range| range.contains(&here)) {
                let len = (range.end - here).min(bytes.len() - at);
                tls.gap(*direction, len as u64, &keys, &mut recorder);
                at += len;
                continue;
            }
            let next = ranges().map(|range| range.start).filter(|&start| start > here).min();
            let end = next.map_or(bytes.len(), |next| (next - *offset).min(bytes.len()));
            for piece in cut.pieces(&bytes[at..end]) {
                tls.feed(*direction, piece, &keys, &mut recorder);
            }
            at = end;
        }
        *offset += bytes.len();
    }
    finish(tls, &keys, recorder)
}

/// Offset of the records of a direction, from the one on that has this number.
fn record_starts(conversation: &Conversation, direction: Direction) -> Vec<usize> {
    let of = conversation.wire.iter().filter(|(of, _)| *of == direction);
    let stream = of.flat_map(|(_, bytes)| bytes).copied().collect::<Vec<_>>();
    let (mut starts, mut at) = (Vec::new(), 0);
    while at < stream.len() {
        starts.push(at);
        at += 5 + usize::from(u16::from_be_bytes([stream[at + 3], stream[at + 4]]));
    }
    starts.push(at);
    starts
}

/// What was seen of a direction: data with its place, as the numbers in it
/// say, is in order, and whatever is missing is said to be.
#[track_caller]
fn assert_honest(seen: &Seen, direction: Direction, sent: &[u8]) {
    let mut at = 0;
    let mut gap = false;
    for told in &seen.told {
        match told {
            Told::Gap(of, len) if *of == direction => {
                gap = true;
                at += *len as usize;
                if *len == 0 {
                    at = usize::MAX;
                }
            }
            Told::Data(of, data) if *of == direction => {
                if at == usize::MAX {
                    let key = &data[..data.len().min(64)];
                    at = sent.windows(key.len()).position(|window| window == key).unwrap();
                }
                assert!(sent[at..].starts_with(data), "at {at}, {gap}");
                at += data.len();
            }
            _ => {}
        }
    }
    assert!(at == sent.len() || gap || seen.data(direction).is_empty());
}

/// One answer over many records, in which every place is told from every other.
fn download(setup: &Setup) -> Conversation {
    let setup = Setup { record_size: Some(2048), ..setup.clone() };
    let mut talk = Peers::new(&setup).connect();
    talk.send(ToServer, b"GET / HTTP/1.1\r\n\r\n");
    for part in numbered(64_000).chunks(8_000) {
        talk.send(ToClient, part);
    }
    talk.close()
}

fn setups() -> [Setup; 3] {
    [Setup::default(), tls12(), with_suite("ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256")]
}

#[test]
fn a_hole_inside_a_record_loses_that_record() {
    for setup in setups() {
        let conversation = download(&setup);
        let starts = record_starts(&conversation, ToClient);
        let hole = starts[20] + 100..starts[20] + 500;
        for cut in [Cut::Whole, Cut::Random(3)] {
            let seen = watch_lossy(&conversation, &[(ToClient, hole.clone())], cut);
            assert_honest(&seen, ToClient, &conversation.sent[1]);
            let gaps = seen.told.iter().filter(|told| matches!(told, Told::Gap(..)));
            assert_eq!(gaps.count(), 1);
            let lost = conversation.sent[1].len() - seen.data(ToClient).len();
            assert!((1000..=2048).contains(&lost), "{lost}");
            assert!(seen.told.contains(&Told::Gap(ToClient, lost as u64)));
            assert_eq!(seen.counters.unopened_records, 0);
        }
    }
}

#[test]
fn a_hole_over_several_records_is_bridged() {
    for setup in setups() {
        let conversation = download(&setup);
        let starts = record_starts(&conversation, ToClient);
        for (from, to) in [(20, 21), (20, 22), (18, 25)] {
            for (before, after) in [(0, 0), (0, 70), (70, 0), (3, 3), (1000, 1900)] {
                let hole = starts[from] + before..starts[to] + after;
                let lost = [(ToClient, hole)];
                let seen = watch_lossy(&conversation, &lost, Cut::Whole);
                assert_eq!(watch_lossy(&conversation, &lost, Cut::Random(9)), seen);
                assert_honest(&seen, ToClient, &conversation.sent[1]);
                let gaps = seen.told.iter().filter(|told| matches!(told, Told::Gap(..)));
                assert_eq!(gaps.count(), 1, "{lost:?}");
                let lost = conversation.sent[1].len() - seen.data(ToClient).len();
                assert!(lost < 9 * 2048, "{lost}");
                assert_eq!(seen.data(ToServer), conversation.sent[0]);
            }
        }
    }
}

#[test]
fn a_lost_end_of_the_handshake() {
    for setup in setups() {
        let conversation = download(&setup);
        for direction in [ToServer, ToClient] {
            let starts = record_starts(&conversation, direction);
            // Somewhere between the hello and the data.
            for from in 1..starts.len().min(8) - 2 {
                let hole = starts[from] + 2..starts[from + 1] + 2;
                let seen = watch_lossy(&conversation, &[(direction, hole)], Cut::Whole);
                for direction in [ToServer, ToClient] {
                    assert_honest(&seen, direction, &conversation.sent[direction.index()]);
                }
                let seen = seen.data(ToClient).len();
                assert!(seen > 48_000, "{direction:?} {from}: {seen}");
            }
        }
    }
}

#[test]
fn a_lost_server_hello() {
    for name in ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"] {
        let conversation = download(&with_suite(name));
        let starts = record_starts(&conversation, ToClient);
        for hole in [20..60, 0..starts[1], 0..starts[3] + 30, 0..starts[8] + 30] {
            let lost = [(ToClient, hole)];
            let seen = watch_lossy(&conversation, &lost, Cut::Whole);
            assert_eq!(watch_lossy(&conversation, &lost, Cut::Random(2)), seen);
            assert_honest(&seen, ToClient, &conversation.sent[1]);
            assert!(seen.data(ToClient).len() > 48_000, "{name} {lost:?}");
            assert_eq!(seen.data(ToServer), conversation.sent[0], "{name} {lost:?}");
            assert_eq!(seen.info.version, Some(TlsVersion::Tls13));
        }
    }
}

#[test]
fn a_lost_key_update() {
    let mut talk = Peers::new(&Setup::default()).connect();
    talk.send(ToClient, &numbered(1000));
    talk.update_keys(ToClient);
    talk.send(ToClient, &numbered(5000)[1000..]);
    talk.send(ToClient, &numbered(9000)[5000..]);
    let conversation = talk.close();
    let starts = record_starts(&conversation, ToClient);
    let mut updates = starts.windows(2).filter(|pair| pair[1] - pair[0] == 5 + 5 + 1 + 16);
    let [from, to] = *updates.next_back().unwrap() else { unreachable!() };
    for hole in [from..to, from - 10..to + 10] {
        let seen = watch_lossy(&conversation, &[(ToClient, hole)], Cut::Whole);
        assert_honest(&seen, ToClient, &conversation.sent[1]);
        assert!(seen.data(ToClient).len() >= 4000);
        assert_eq!(seen.counters.recoveries, 1);
    }
}

#[test]
fn a_lost_client_hello_leaves_what_the_server_says() {
    let conversation = conversation(&tls12());
    let seen = watch_lossy(&conversation, &[(ToServer, 10..50)], Cut::Whole);
    seen.assert_nothing();
    assert_eq!(seen.info.sni, None);
    assert_eq!(seen.info.certificate_names.len(), 2);
}

#[test]
fn damaged_records_are_passed_over() {
    for setup in setups() {
        let mut conversation = download(&setup);
        let starts = record_starts(&conversation, ToClient);
        let mut at = starts[20] + 50;
        for (direction, bytes) in &mut conversation.wire {
            if *direction == ToClient {
                if at < bytes.len() {
                    bytes[at] ^= 1;
                    break;
                }
                at -= bytes.len();
            }
        }
        let seen = watch_lossy(&conversation, &[], Cut::Whole);
        assert_honest(&seen, ToClient, &conversation.sent[1]);
        assert_eq!((seen.counters.unopened_records, seen.counters.keys_wrong), (1, 0));
        assert!(seen.data(ToClient).len() > 60_000);
    }
}

#[test]
fn any_holes() {
    let mut rng = Rng::new(77);
    for setup in setups() {
        let conversation = download(&setup);
        for _ in 0..40 {
            let mut lost = Vec::new();
            for _ in 0..=rng.below(3) {
                let direction = [ToServer, ToClient][rng.below(2)];
                let end = *record_starts(&conversation, direction).last().unwrap();
                let from = rng.below(end);
                let longest = [20, 1460, 9000][rng.below(3)];
                lost.push((direction, from..from + 1 + rng.below(longest)));
            }
            let seen = watch_lossy(&conversation, &lost, Cut::Whole);
            assert_eq!(watch_lossy(&conversation, &lost, Cut::Random(5)), seen, "{lost:?}");
            for direction in [ToServer, ToClient] {
                assert_honest(&seen, direction, &conversation.sent[direction.index()]);
            }
        }
    }
}
