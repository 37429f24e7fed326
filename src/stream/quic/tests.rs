//! Connections from datagrams to exchanges.

use super::samples::{
    APPENDIX_CLIENT_FRAME, APPENDIX_SERVER_INITIALS, CLOSE, OK, POST, Session, client_hello,
    crypto, data, encrypted_extensions, headers, hex, new_connection_id, server_hello, stream,
};
use super::*;
use crate::stream::testing::Rng;
use crate::stream::tls::{KeyLogReader, TlsNews};
use crate::stream::{ExchangeId, Interest, RequestHead, ResponseHead};
use Direction::{ToClient, ToServer};

/// Writes down what it is told.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    ids: Vec<(Direction, ConnectionId)>,
}

impl Log {
    fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    /// The lines that begin with one of these words.
    fn of(&self, words: &[&str]) -> Vec<&str> {
        let is_wanted = |line: &&str| words.iter().any(|word| line.starts_with(word));
        self.lines.iter().map(String::as_str).filter(is_wanted).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl ExchangeSink for Log {
    fn request(&mut self, id: ExchangeId, head: &RequestHead<'_>) -> Interest {
        self.push(format!("request {:x} {} {}", id.0, text(head.method), text(head.target)));
        Interest::Wanted
    }

    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest {
        self.push(format!("response {:x} {}", id.0, head.status));
        Interest::Wanted
    }

    fn body(&mut self, id: ExchangeId, direction: Direction, data: &[u8]) -> Interest {
        self.push(format!("body {:x} {} {}", id.0, direction.as_str(), text(data)));
        Interest::Wanted
    }

    fn body_gap(&mut self, id: ExchangeId, direction: Direction, len: u64) {
        self.push(format!("gap {:x} {} {len}", id.0, direction.as_str()));
    }

    fn body_end(&mut self, id: ExchangeId, direction: Direction, complete: bool) {
        self.push(format!("body_end {:x} {} {complete}", id.0, direction.as_str()));
    }

    fn exchange_end(&mut self, id: ExchangeId) {
        self.push(format!("exchange_end {:x}", id.0));
    }
}

impl QuicSink for Log {
    fn quic_news(&mut self, connection: u16, version: QuicVersion, news: TlsNews, info: &TlsInfo) {
        let sni = info.sni.as_deref().unwrap_or_default();
        let alpn = info.alpn.as_deref().unwrap_or_default();
        self.push(format!("news {connection} {} {news:?} {sni} {alpn}", version.as_str()));
    }

    fn quic_connection_id(&mut self, _: u16, direction: Direction, id: &ConnectionId) {
        self.ids.push((direction, *id));
    }

    fn quic_reversed(&mut self) {
        self.push("reversed".to_owned());
    }
}

/// A flow, and what it said.
struct Flow {
    quic: Quic,
    log: Log,
    keys: KeyStore,
}

impl Flow {
    fn new(keys: KeyStore) -> Self {
        Self { quic: Quic::new(QuicLimits::default()), log: Log::default(), keys }
    }

    fn feed(&mut self, direction: Direction, datagram: &[u8]) -> &mut Self {
        self.quic.datagram(direction, datagram, &self.keys, &mut self.log);
        self
    }

    /// The handshake, up to and with the server's first flight.
    fn handshake(&mut self, session: &Session) -> &mut Self {
        let hello = client_hello(session.random, "mcp.example.test", "h3", 0);
        self.feed(ToServer, &session.initial(ToServer, 0, &crypto(0, &hello)));
        self.server_flight(session)
    }

    fn server_flight(&mut self, session: &Session) -> &mut Self {
        let flight = [
            session.initial(ToClient, 0, &crypto(0, &server_hello(session.suite))),
            session.handshake(0, &crypto(0, &encrypted_extensions("h3"))),
        ];
        self.feed(ToClient, &flight.concat())
    }

    /// A request and its response on a stream.
    fn exchange(&mut self, session: &Session, id: u64, number: u64) -> &mut Self {
        let request = [headers(POST), data(b"question")].concat();
        let response = [headers(OK), data(b"answer")].concat();
        self.feed(ToServer, &session.short(ToServer, number, &stream(id, 0, &request, true)));
        self.feed(ToClient, &session.short(ToClient, number, &stream(id, 0, &response, true)))
    }

    fn close(&mut self) -> &mut Self {
        self.quic.close(&mut self.log);
        self
    }
}

fn exchange_lines(id: u64) -> Vec<String> {
    [
        format!("request {id:x} POST /"),
        format!("body {id:x} to_server question"),
        format!("body_end {id:x} to_server true"),
        format!("response {id:x} 200"),
        format!("body {id:x} to_client answer"),
        format!("body_end {id:x} to_client true"),
        format!("exchange_end {id:x}"),
    ]
    .to_vec()
}

#[test]
fn client_initials_of_the_appendices() {
    // RFC 9001 appendix A.2, RFC 9369 appendix A.2: the packets are made here;
    // their beginnings and integrity tags are those of the RFCs.
    for (version, header, start, tag) in [
        (
            QuicVersion::V1,
            "c300000001088394c8f03e5157080000449e00000002",
            "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
            "e221af44860018ab0856972e194cd934",
        ),
        (
            QuicVersion::V2,
            "d36b3343cf088394c8f03e5157080000449e00000002",
            "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
            "a18b2faa745b6fe189cf772a9f84cbfc",
        ),
    ] {
        let [client, _] = keys::initial(version, &hex("8394c8f03e515708")).unwrap();
        let mut payload = hex(APPENDIX_CLIENT_FRAME);
        payload.resize(1162, 0);
        let datagram = client.seal(&hex(header), 4, 2, &payload);
        assert_eq!(datagram[..32], hex(start));
        assert_eq!(datagram[1184..], hex(tag));
        assert!(probe(&datagram));
        let mut flow = Flow::new(KeyStore::new());
        flow.feed(ToServer, &datagram);
        let news = format!("news 0 {} ClientHello example.com ", version.as_str());
        assert_eq!(flow.log.lines, [news]);

        // Appendix A.3 of both: the server's answer.
        let (_, answer) = APPENDIX_SERVER_INITIALS.iter().find(|(v, _)| *v == version).unwrap();
        flow.feed(ToClient, &hex(answer));
        let news = format!("news 0 {} ServerHello example.com ", version.as_str());
        assert_eq!(flow.log.lines[1..], [news]);
        let id = ConnectionId::new(&hex("f067a5502a4262b5")).unwrap();
        assert!(flow.quic.connection_ids().any(|known| known == (ToServer, &id)));
        // ALPN is `alpn`, which is not HTTP/3.
        assert_eq!(flow.quic.counters().other_protocols, 1);
        assert!(flow.quic.nothing_more());
    }
}

#[test]
fn drafts_are_read() {
    for draft in [29, 32, 33, 34] {
        let session = Session { version: QuicVersion::Draft(draft), ..Session::new() };
        let mut flow = Flow::new(session.keys());
        flow.handshake(&session).exchange(&session, 0, 0);
        assert_eq!(flow.log.of(&["request", "response"]), ["request 0 POST /", "response 0 200"]);
    }
}

#[test]
fn exchanges_of_all_versions_and_suites() {
    for version in [QuicVersion::V1, QuicVersion::V2] {
        for suite in [0x1301, 0x1302, 0x1303] {
            let session = Session { version, suite, ..Session::new() };
            let mut flow = Flow::new(session.keys());
            flow.handshake(&session).exchange(&session, 0, 0).exchange(&session, 4, 1);
            let name = version.as_str();
            let expected = [
                vec![
                    format!("news 0 {name} ClientHello mcp.example.test "),
                    format!("news 0 {name} ServerHello mcp.example.test "),
                    format!("news 0 {name} EncryptedExtensions mcp.example.test h3"),
                ],
                exchange_lines(0),
                exchange_lines(4),
            ]
            .concat();
            assert_eq!(flow.log.lines, expected);
            assert_eq!(flow.quic.counters().opened_packets, 5);
            assert!(!flow.quic.nothing_more());
        }
    }
}

#[test]
fn without_keys_the_handshake_is_all() {
    let session = Session::new();
    let mut flow = Flow::new(KeyStore::new());
    assert!(!flow.quic.nothing_more());
    flow.handshake(&session).exchange(&session, 0, 0);
    assert_eq!(flow.log.of(&["news"]).len(), 2);
    assert_eq!(flow.log.lines.len(), 2);
    assert!(flow.quic.nothing_more());
    let counters = flow.quic.counters();
    assert_eq!((counters.connections_without_keys, counters.skipped_packets), (1, 3));
    assert_eq!(flow.quic.held(), 0);
}

#[test]
fn wrong_keys_change_nothing_but_a_counter() {
    let session = Session::new();
    let log = session.key_log().replace("d7", "77").replace("e7", "66");
    let mut flow = Flow::new(KeyStore::load(log.as_bytes()).unwrap());
    flow.handshake(&session);
    for number in 0..60 {
        flow.exchange(&session, number * 4, number);
    }
    assert_eq!(flow.log.of(&["request", "response"]), [""; 0]);
    assert_eq!(flow.quic.counters().wrong_keys, 1);
    assert_eq!(flow.quic.counters().opened_packets, 1, "the handshake's keys were right");
    assert_eq!(flow.quic.counters().unopened_packets, 32);

    let other = Session { random: 8, ..Session::new() };
    let log = other.key_log().replace(&"08".repeat(32), &"07".repeat(32));
    let mut flow = Flow::new(KeyStore::load(log.as_bytes()).unwrap());
    flow.handshake(&session);
    for number in 0..60 {
        flow.exchange(&session, number * 4, number);
    }
    assert_eq!(flow.log.of(&["news"]).len(), 2);
    assert_eq!(flow.quic.counters().wrong_keys, 1);
    assert!(flow.quic.nothing_more());
}

#[test]
fn keys_may_come_late() {
    let session = Session::new();
    let mut flow = Flow::new(KeyStore::new().growing(true));
    flow.handshake(&session).exchange(&session, 0, 0);
    assert_eq!(flow.log.of(&["request"]), [""; 0]);
    assert!(flow.quic.held() > 0);
    let mut reader = KeyLogReader::new();
    flow.keys = flow.keys.extended(reader.read(session.key_log().as_bytes()));
    flow.exchange(&session, 4, 1);
    let expected = [exchange_lines(0), exchange_lines(4)].concat();
    let lines = flow.log.of(&["request", "response", "body", "body_end", "exchange_end"]);
    assert_eq!(lines, expected);
    assert_eq!((flow.quic.counters().held_packets, flow.quic.held()), (3, 0));
}

#[test]
fn what_is_held_is_bounded() {
    let session = Session::new();
    let mut flow = Flow::new(KeyStore::new().growing(true));
    flow.handshake(&session);
    for number in 0..2000 {
        flow.exchange(&session, number * 4, number);
        assert!(flow.quic.held() <= QuicLimits::default().held_bytes);
    }
    assert!(flow.quic.counters().held_dropped > 1000);
}

#[test]
fn hellos_over_many_packets_in_any_order() {
    let session = Session::new();
    let hello = client_hello(7, "mcp.example.test", "h3", 5000);
    let answer = session.initial(ToClient, 0, &crypto(0, &server_hello(0x1301)));
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        // Frames that overlap and cover all, shuffled, with others between.
        let mut frames = Vec::new();
        let mut at = 0;
        while at < hello.len() {
            let len = (1 + rng.below(500)).min(hello.len() - at);
            let from = at.saturating_sub(rng.below(40));
            frames.push(crypto(from, &hello[from..at + len]));
            at += len;
        }
        for index in (1..frames.len()).rev() {
            frames.swap(index, rng.below(index + 1));
        }
        let packets = frames.chunks(3).enumerate().map(|(number, frames)| {
            let frames = frames.join(&[&[0x01, 0, 0][..]].concat()[..]);
            let keys = keys::initial(session.version, &session.dcid).unwrap();
            session.initial_for(ToServer, &session.dcid, &keys, number as u64, &frames)
        });
        let mut packets: Vec<_> = packets.collect();
        for index in (1..packets.len()).rev() {
            packets.swap(index, rng.below(index + 1));
        }
        let mut flow = Flow::new(KeyStore::new());
        for pair in packets.chunks(2) {
            flow.feed(ToServer, &pair.concat());
        }
        flow.feed(ToClient, &answer);
        assert_eq!(
            flow.log.lines,
            [
                "news 0 QUICv1 ClientHello mcp.example.test ",
                "news 0 QUICv1 ServerHello mcp.example.test "
            ]
        );
    }
}

#[test]
fn the_answer_may_overtake_the_hello() {
    let session = Session::new();
    let hello = client_hello(7, "mcp.example.test", "h3", 1500);
    let keys = keys::initial(session.version, &session.dcid).unwrap();
    let parts = [(0, crypto(0, &hello[..900])), (1, crypto(900, &hello[900..]))];
    let [first, second] = parts
        .map(|(number, frame)| session.initial_for(ToServer, &session.dcid, &keys, number, &frame));
    let mut flow = Flow::new(session.keys());
    flow.feed(ToServer, &first).server_flight(&session).feed(ToServer, &second);
    flow.exchange(&session, 0, 0);
    assert_eq!(
        flow.log.of(&["news", "request"]),
        [
            "news 0 QUICv1 ServerHello  ",
            "news 0 QUICv1 ClientHello mcp.example.test ",
            "news 0 QUICv1 EncryptedExtensions mcp.example.test h3",
            "request 0 POST /"
        ]
    );
}

#[test]
fn a_hello_without_end_is_given_up() {
    let session = Session::new();
    let mut flow = Flow::new(KeyStore::new());
    let huge = crypto(0, &[1, 1, 0x86, 0xa0, 3, 3]);
    flow.feed(ToServer, &session.initial(ToServer, 0, &huge));
    assert_eq!(flow.quic.counters().handshake_too_large, 1);
    assert_eq!(flow.log.lines, [""; 0]);
    assert!(flow.quic.nothing_more());
}

#[test]
fn retry_begins_the_connection_anew() {
    let session = Session::new();
    let hello = client_hello(7, "mcp.example.test", "h3", 1500);
    let (first, second) = hello.split_at(800);
    let after = Session { dcid: b"from retry".to_vec(), ..Session::new() };
    let retry = genuine_retry(&session, &after.dcid);
    for name in ["seen", "not seen", "forged"] {
        let mut flow = Flow::new(session.keys());
        // The second half of the hello, and then the Retry, is overtaken.
        flow.feed(ToServer, &session.initial(ToServer, 0, &crypto(0, first)));
        match name {
            "seen" => {
                flow.feed(ToClient, &retry);
            }
            "forged" => {
                let mut forged = retry.clone();
                forged[30] ^= 1;
                flow.feed(ToClient, &forged);
                assert_eq!(flow.quic.counters().stray_retries, 1);
            }
            _ => {}
        }
        let keys = keys::initial(after.version, &after.dcid).unwrap();
        for (number, frame) in [(1, crypto(0, first)), (2, crypto(800, second))] {
            let packet = after.initial_for(ToServer, &after.dcid, &keys, number, &frame);
            flow.feed(ToServer, &packet);
        }
        flow.server_flight(&after).exchange(&after, 0, 0);
        assert_eq!(flow.quic.counters().connections, 1, "{name}");
        assert_eq!(flow.log.of(&["news"]).len(), 3, "{name}");
        assert_eq!(flow.log.of(&["request"]), ["request 0 POST /"], "{name}");
        assert_eq!(flow.quic.counters().restarts, 1, "{name}");
    }
}

#[test]
fn after_retry_the_hello_may_be_another() {
    let session = Session::new();
    let after = Session { dcid: b"from retry".to_vec(), random: 8, ..Session::new() };
    let mut flow = Flow::new(after.keys());
    let hello = client_hello(7, "mcp.example.test", "h3", 0);
    flow.feed(ToServer, &session.initial(ToServer, 0, &crypto(0, &hello)));
    flow.feed(ToClient, &genuine_retry(&session, &after.dcid));
    let keys = keys::initial(after.version, &after.dcid).unwrap();
    let hello = client_hello(8, "mcp.example.test", "h3", 0);
    let packet = after.initial_for(ToServer, &after.dcid, &keys, 1, &crypto(0, &hello));
    flow.feed(ToServer, &packet).server_flight(&after).exchange(&after, 0, 0);
    assert_eq!(flow.log.of(&["news"]).len(), 3);
    assert_eq!(flow.log.of(&["request"]), ["request 0 POST /"]);
}

#[test]
fn a_client_without_identifier_begins_anew() {
    let session = Session { client_id: vec![], ..Session::new() };
    let after = Session { dcid: b"from retry".to_vec(), client_id: vec![], ..Session::new() };
    let mut flow = Flow::new(session.keys());
    let hello = client_hello(7, "mcp.example.test", "h3", 0);
    // The Retry was not seen.
    for session in [&session, &after] {
        flow.feed(ToServer, &session.initial(ToServer, 0, &crypto(0, &hello)));
    }
    flow.server_flight(&after).exchange(&after, 0, 0);
    assert_eq!(flow.log.of(&["news 0"]).len(), 3);
    assert_eq!(flow.log.of(&["news"]).len(), 3);
    assert_eq!(flow.log.of(&["request"]), ["request 0 POST /"]);
    assert_eq!(flow.quic.connections.len(), 1);
}

/// A Retry to `session` with this source identifier, with a valid tag.
fn genuine_retry(session: &Session, scid: &[u8]) -> Vec<u8> {
    use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let mut retry = vec![0xf0, 0, 0, 0, 1, session.client_id.len() as u8];
    retry.extend(&session.client_id);
    retry.push(scid.len() as u8);
    retry.extend(scid);
    retry.extend(b"token");
    let (key, nonce) = session.version.retry_key();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
    let aad = [&[session.dcid.len() as u8], &session.dcid[..], &retry].concat();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut []).unwrap();
    retry.extend(tag.as_ref());
    retry
}

#[test]
fn the_version_may_change_in_the_handshake() {
    // RFC 9368: the client offers version 1, the server goes on with 2.
    let first = Session::new();
    let then = Session { version: QuicVersion::V2, ..Session::new() };
    let mut flow = Flow::new(first.keys());
    let hello = client_hello(7, "mcp.example.test", "h3", 0);
    flow.feed(ToServer, &first.initial(ToServer, 0, &crypto(0, &hello)));
    flow.server_flight(&then).exchange(&then, 0, 0);
    assert_eq!(
        flow.log.lines,
        [
            vec![
                "news 0 QUICv1 ClientHello mcp.example.test ".to_owned(),
                "news 0 QUICv2 ServerHello mcp.example.test ".to_owned(),
                "news 0 QUICv2 EncryptedExtensions mcp.example.test h3".to_owned(),
            ],
            exchange_lines(0)
        ]
        .concat()
    );
}

#[test]
fn after_version_negotiation_another_version_is_tried() {
    let first = Session { version: QuicVersion::V2, ..Session::new() };
    let then = Session { random: 8, ..Session::new() };
    let mut flow = Flow::new(then.keys());
    let hello = client_hello(7, "mcp.example.test", "h3", 0);
    flow.feed(ToServer, &first.initial(ToServer, 0, &crypto(0, &hello)));
    flow.feed(ToClient, &hex("80000000000000000000000001"));
    flow.handshake(&then).exchange(&then, 0, 0);
    assert_eq!(
        flow.log.of(&["news", "request"]),
        [
            "news 0 QUICv2 ClientHello mcp.example.test ",
            "news 0 QUICv1 ServerHello mcp.example.test ",
            "news 0 QUICv1 EncryptedExtensions mcp.example.test h3",
            "request 0 POST /",
        ]
    );
}

#[test]
fn early_data_is_read() {
    let session = Session::new();
    let mut flow = Flow::new(session.keys());
    let hello = client_hello(7, "mcp.example.test", "h3", 0);
    let request = [headers(POST), data(b"early")].concat();
    let early = session.early(0, &stream(0, 0, &request, true));
    flow.feed(ToServer, &[session.initial(ToServer, 0, &crypto(0, &hello)), early].concat());
    assert_eq!(
        flow.log.of(&["request", "body"]),
        ["request 0 POST /", "body 0 to_server early", "body_end 0 to_server true"]
    );
}

#[test]
fn keys_are_updated() {
    for suite in [0x1301, 0x1302, 0x1303] {
        let session = Session { suite, ..Session::new() };
        let mut flow = Flow::new(session.keys());
        flow.handshake(&session);
        flow.feed(ToServer, &session.short(ToServer, 0, &stream(0, 0, &headers(POST), false)));
        let at = headers(POST).len() as u64;
        let bodies = [data(b"one"), data(b"two"), data(b"three")];
        // Packet 3 is late: it is of the phase before.
        for (updates, number, index) in [(0, 1, 0), (1, 4, 2), (0, 3, 1)] {
            let offset = at + bodies[..index].concat().len() as u64;
            let frame = stream(0, offset, &bodies[index], index == 2);
            flow.feed(ToServer, &session.short_after(ToServer, updates, number, &frame));
        }
        flow.feed(
            ToServer,
            &session.short_after(ToServer, 2, 5, &stream(4, 0, &headers(POST), true)),
        );
        assert_eq!(
            flow.log.of(&["body"]),
            [
                "body 0 to_server one",
                "body 0 to_server two",
                "body 0 to_server three",
                "body_end 0 to_server true",
                "body_end 4 to_server true",
            ]
        );
        assert_eq!(flow.quic.counters().key_updates, 2);
    }
}

#[test]
fn connections_of_one_flow_are_kept_apart() {
    let first = Session::new();
    let second = Session {
        random: 8,
        dcid: b"other original".to_vec(),
        client_id: b"other client".to_vec(),
        server_id: b"other server".to_vec(),
        ..Session::new()
    };
    let log = first.key_log() + &second.key_log();
    let mut flow = Flow::new(KeyStore::load(log.as_bytes()).unwrap());
    flow.handshake(&first).handshake(&second).exchange(&first, 0, 0).exchange(&second, 0, 0);
    assert_eq!(flow.log.of(&["request"]), ["request 0 POST /", "request 1000000000000 POST /"]);
    assert_eq!(flow.log.of(&["news 1"]).len(), 3);
}

#[test]
fn identifiers_lead_to_the_connection() {
    let session = Session::new();
    let mut flow = Flow::new(session.keys());
    flow.handshake(&session);
    let frames = new_connection_id(b"next");
    flow.feed(ToClient, &session.short(ToClient, 0, &frames));
    let mut directory = QuicDirectory::new(100);
    for &(direction, id) in &flow.log.ids {
        directory.insert(id, direction, "flow");
    }
    // From another address, with the identifier the server offered.
    let request = stream(0, 0, &headers(POST), true);
    let migrated = session.short_for(b"next", ToServer, 0, 0, &request);
    assert!(!probe(&migrated));
    assert_eq!(directory.find(&migrated), Some(("flow", ToServer)));
    flow.feed(ToServer, &migrated);
    assert_eq!(flow.log.of(&["request"]), ["request 0 POST /"]);
    let known: Vec<_> =
        flow.quic.connection_ids().map(|(direction, id)| (direction, *id)).collect();
    assert_eq!(known.len(), flow.log.ids.len());
    // The packet that offered this one was lost.
    let request = stream(4, 0, &headers(POST), true);
    flow.feed(ToServer, &session.short_for(b"lost", ToServer, 0, 1, &request));
    assert_eq!(flow.log.of(&["request 4"]), ["request 4 POST /"]);
}

#[test]
fn sides_taken_for_each_other_are_found_out() {
    let session = Session::new();
    let hello = client_hello(7, "mcp.example.test", "h3", 0);
    let datagram = session.initial(ToServer, 0, &crypto(0, &hello));
    let mut flow = Flow::new(session.keys());
    flow.feed(ToClient, &datagram);
    assert_eq!(flow.log.lines, ["reversed", "news 0 QUICv1 ClientHello mcp.example.test "]);
    flow.server_flight(&session).exchange(&session, 0, 0);
    assert_eq!(flow.log.of(&["request"]), ["request 0 POST /"]);
}

#[test]
fn packets_in_any_order_give_the_same_exchanges() {
    let session = Session::new();
    let body: Vec<u8> = (0..4000).map(|number| b'a' + (number % 26) as u8).collect();
    let request = [headers(POST), data(&body)].concat();
    let sent: String = body.iter().map(|&byte| char::from(byte)).collect();
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut flow = Flow::new(session.keys());
        flow.handshake(&session);
        let mut packets: Vec<_> = request
            .chunks(300)
            .enumerate()
            .map(|(index, chunk)| {
                let offset = index as u64 * 300;
                let fin = offset + chunk.len() as u64 == request.len() as u64;
                session.short(ToServer, index as u64, &stream(0, offset, chunk, fin))
            })
            .collect();
        for index in (1..packets.len()).rev() {
            packets.swap(index, rng.below(index + 1));
        }
        for packet in &packets {
            flow.feed(ToServer, packet);
        }
        let bodies = flow.log.of(&["body 0 to_server "]);
        let joined: String = bodies.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(joined, sent);
        assert_eq!(flow.log.of(&["body_end"]), ["body_end 0 to_server true"]);
    }
}

#[test]
fn both_sides_close() {
    let session = Session::new();
    let mut flow = Flow::new(session.keys());
    flow.handshake(&session);
    flow.feed(ToServer, &session.short(ToServer, 0, &stream(0, 0, &headers(POST), false)));
    flow.feed(ToServer, &session.short(ToServer, 1, CLOSE));
    assert!(flow.quic.is_closing());
    assert_eq!(flow.log.of(&["exchange_end"]), [""; 0]);
    flow.feed(ToClient, &session.short(ToClient, 0, CLOSE));
    assert_eq!(
        flow.log.of(&["body_end", "exchange_end"]),
        ["body_end 0 to_server false", "exchange_end 0"]
    );
    let before = flow.log.lines.len();
    flow.close();
    assert_eq!(flow.log.lines.len(), before);
}

#[test]
fn a_flow_joined_late_says_nothing() {
    let session = Session::new();
    let mut flow = Flow::new(session.keys());
    flow.exchange(&session, 0, 0);
    assert_eq!(flow.log.lines, [""; 0]);
    assert_eq!(flow.quic.counters().unrouted_packets, 2);
    assert!(!flow.quic.nothing_more());
}

#[test]
fn a_flow_keeps_few_connections() {
    let mut flow = Flow::new(KeyStore::new());
    for number in 0..100u8 {
        let session = Session {
            random: number,
            dcid: vec![number; 8],
            client_id: vec![number, 1],
            server_id: vec![number, 2],
            ..Session::new()
        };
        flow.handshake(&session);
        assert!(flow.quic.connections.len() <= QuicLimits::default().connections);
    }
    assert_eq!(flow.quic.counters().evicted_connections, 84);
    assert_eq!(flow.log.of(&["news 99"]).len(), 2);
    flow.close();
    assert_eq!(flow.quic.connection_ids().count(), 0);
}

#[test]
fn other_packets_are_counted() {
    let mut flow = Flow::new(KeyStore::new());
    flow.feed(ToClient, &hex("80000000000000000000010a0a0a0a"))
        .feed(ToServer, &hex("c0babababa0000"))
        .feed(ToServer, &hex("c000000001ff"))
        .feed(ToServer, &hex("40"))
        .feed(ToServer, &[]);
    let counters = flow.quic.counters();
    assert_eq!(counters.version_negotiations, 1);
    assert_eq!(counters.unknown_versions, 1);
    assert_eq!(counters.malformed_packets, 1);
    assert_eq!((counters.short_packets, counters.unrouted_packets), (1, 1));
    assert_eq!(counters.datagrams, 5);
}

#[test]
fn any_datagrams_are_taken() {
    let session = Session::new();
    let hello = client_hello(7, "mcp.example.test", "h3", 0);
    let mut datagrams = vec![
        (ToServer, session.initial(ToServer, 0, &crypto(0, &hello))),
        (
            ToClient,
            [
                session.initial(ToClient, 0, &crypto(0, &server_hello(0x1301))),
                session.handshake(0, &crypto(0, &encrypted_extensions("h3"))),
            ]
            .concat(),
        ),
    ];
    let mut rng = Rng::new(3);
    let junk: Vec<u8> = (0..400).map(|_| rng.next() as u8).collect();
    for number in 0..20 {
        // Valid packets with frames that are not.
        let mut frames =
            [stream(0, 0, &headers(POST), false), junk[number * 10..][..30].to_vec()].concat();
        rng.mutate(&mut frames);
        let direction = if rng.below(2) == 0 { ToServer } else { ToClient };
        datagrams.push((direction, session.short(direction, number as u64, &frames)));
    }
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut flow = Flow::new(session.keys().growing(rng.below(2) == 0));
        for (direction, datagram) in &datagrams {
            let mut datagram = datagram.clone();
            if rng.below(4) == 0 {
                rng.mutate(&mut datagram);
            }
            if rng.below(10) == 0 {
                datagram.truncate(rng.below(datagram.len().max(1)));
            }
            let direction = if rng.below(12) == 0 { direction.reverse() } else { *direction };
            probe(&datagram);
            flow.feed(direction, &datagram);
        }
        flow.close();
        assert_eq!(flow.quic.held(), 0);
    }
}
