use std::fmt::Write as _;

use super::*;
use crate::stream::testing::{Cut, Rng};
use Direction::{ToClient, ToServer};

/// What a parser says of a connection: the end of the preface in each
/// direction, and what was found.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    to_server: String,
    to_client: String,
    found: Preface,
    counters: PrefaceCounters,
}

fn read(kind: PrefaceKind, to_server: &[u8], to_client: &[u8], cut: Cut) -> Read {
    let mut parser = PrefaceParser::new(kind);
    Read {
        to_server: side(&mut parser, ToServer, to_server, cut),
        to_client: side(&mut parser, ToClient, to_client, cut),
        found: parser.found().clone(),
        counters: *parser.counters(),
    }
}

/// `more`, `failed`, or the payload, with the target in front.
fn side(parser: &mut PrefaceParser, direction: Direction, data: &[u8], cut: Cut) -> String {
    let mut at = 0;
    for piece in cut.pieces(data) {
        match parser.feed(direction, piece) {
            PrefaceProgress::NeedMore => at += piece.len(),
            PrefaceProgress::Failed => return "failed".to_owned(),
            PrefaceProgress::Done { consumed, target } => {
                let mut said = String::new();
                if let Some(Authority { host, port }) = target {
                    write!(said, "{}:{} ", host.escape_ascii(), port.unwrap_or(0)).unwrap();
                }
                write!(said, "> {}", data[at + consumed..].escape_ascii()).unwrap();
                return said;
            }
        }
    }
    assert_eq!(at, data.len());
    "more".to_owned()
}

/// Reads the connection in all cuts, which must agree.
fn read_all(kind: PrefaceKind, to_server: &[u8], to_client: &[u8]) -> Read {
    let whole = read(kind, to_server, to_client, Cut::Whole);
    for cut in Cut::all() {
        assert_eq!(read(kind, to_server, to_client, cut), whole, "{cut:?}");
    }
    whole
}

fn v2(command_and_family: [u8; 2], body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16).to_be_bytes();
    [proxy::V2_START, &command_and_family, &len, body, b"payload"].concat()
}

#[test]
fn proxy_version_1() {
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), 107);
    let too_long = longest.replace("65535\r\n", "655350\r\n");
    let (ipv4, ipv6) = ("10.0.0.1:5000 192.0.2.1:443", "[2001:db8::1]:1 [2001:db8::2]:2");
    for (line, expected, addresses) in [
        ("PROXY TCP4 10.0.0.1 192.0.2.1 5000 443\r\n", "> payload", Some(ipv4)),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "> payload", Some(ipv6)),
        ("PROXY UNKNOWN\r\n", "> payload", None),
        (longest, "> payload", None),
        (&too_long, "failed", None),
        ("PROXY TCP4 10.0.0.1 192.0.2.1 5000 443\n", "failed", None),
        ("PROXY TCP4 10.0.0.1 192.0.2.1 5000\r\n", "failed", None),
        ("PROXY TCP4 10.0.0.1 192.0.2.1 5000 443 1\r\n", "failed", None),
        ("PROXY TCP4 10.0.0.1 192.0.2.1 5000 65536\r\n", "failed", None),
        ("PROXY TCP4 10.0.0.1 192.0.2.1 +5000 443\r\n", "failed", None),
        ("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "failed", None),
        ("PROXY UDP4 10.0.0.1 192.0.2.1 5000 443\r\n", "failed", None),
        ("PROXY \r\n", "failed", None),
    ] {
        let to_server = [line, "payload"].concat();
        let read = read_all(PrefaceKind::ProxyV1, to_server.as_bytes(), b"answer");
        assert_eq!(read.to_server, expected, "{line}");
        assert_eq!(read.to_client, "> answer");
        let found = read.found.source.zip(read.found.destination);
        assert_eq!(found.map(|(a, b)| format!("{a} {b}")).as_deref(), addresses, "{line}");
        assert_eq!(read.counters.malformed, u64::from(expected == "failed"));
    }
}

#[test]
fn proxy_version_2() {
    let ipv4 = b"\x0a\0\0\x01\xc0\0\x02\x01\x13\x88\x01\xbb".as_slice();
    let ipv6 = [&[0x20; 16][..], &[0x30; 16], b"\0\x01\0\x02"].concat();
    let with = |extensions: &[u8]| [ipv4, extensions].concat();
    let (a4, a6) = (
        "10.0.0.1:5000 192.0.2.1:443",
        "[2020:2020:2020:2020:2020:2020:2020:2020]:1 [3030:3030:3030:3030:3030:3030:3030:3030]:2",
    );
    let mut long = with(b"\x20\x7f\xff");
    long.extend([0; 0x7fff]);
    let authority = b"\x03\0\x04crc!\x02\0\x08mcp.test\x01\0\x02h2";
    for (what, bytes, expected, addresses) in [
        ("TCP over IPv4", v2([0x21, 0x11], ipv4), "> payload", Some(a4)),
        ("UDP over IPv6", v2([0x21, 0x22], &ipv6), "> payload", Some(a6)),
        ("local, nothing", v2([0x20, 0], b""), "> payload", None),
        ("local, addresses", v2([0x20, 0x11], ipv4), "> payload", None),
        ("unspecified", v2([0x21, 0], b"whatever"), "> payload", None),
        ("Unix sockets", v2([0x21, 0x31], &[1; 216]), "> payload", None),
        ("authority", v2([0x21, 0x11], &with(authority)), "mcp.test:443 > payload", Some(a4)),
        ("empty extension", v2([0x21, 0x11], &with(b"\x04\0\0")), "> payload", Some(a4)),
        ("long extension", v2([0x21, 0x11], &long), "> payload", Some(a4)),
        ("extension cut", v2([0x21, 0x11], &with(b"\x02\0\x09mcp.test")), "> payload", Some(a4)),
        ("extension head cut", v2([0x21, 0x11], &with(b"\x02\0")), "> payload", Some(a4)),
        ("too short", v2([0x21, 0x11], &ipv4[1..]), "failed", None),
        ("version 3", v2([0x31, 0x11], ipv4), "failed", None),
        ("unknown command", v2([0x22, 0x11], ipv4), "failed", None),
    ] {
        let read = read_all(PrefaceKind::ProxyV2, &bytes, b"answer");
        assert_eq!(read.to_server, expected, "{what}");
        assert_eq!(read.to_client, "> answer");
        let found = read.found.source.zip(read.found.destination);
        assert_eq!(found.map(|(a, b)| format!("{a} {b}")).as_deref(), addresses, "{what}");
    }
}

#[test]
fn socks_version_5() {
    let name = b"\x05\x01\0\x03\x08mcp.test\x01\xbb".as_slice();
    let ipv4 = b"\x05\x01\0\x01\xc0\0\x02\x01\0\x50".as_slice();
    let ipv6 = b"\x05\x01\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50".as_slice();
    let (open, both) = (b"\x05\x01\0".as_slice(), b"\x05\x02\0\x02".as_slice());
    let password = b"\x01\x05alice\x06secret".as_slice();
    let (chosen, granted) = (b"\x05\0".as_slice(), b"\x05\0\0\x01\0\0\0\0\0\0".as_slice());
    let granted_name = b"\x05\0\0\x03\x02ab\x01\x02".as_slice();
    let granted_ipv6 = [b"\x05\0\0\x04", [7; 18].as_slice()].concat();
    type Case<'a> = (&'a str, &'a [&'a [u8]], &'a [&'a [u8]], [&'a str; 2]);
    let cases: [Case<'_>; 17] = [
        ("name", &[open, name], &[chosen, granted], ["mcp.test:443 > up", "> down"]),
        ("IPv4", &[open, ipv4], &[chosen, granted_name], ["192.0.2.1:80 > up", "> down"]),
        ("IPv6", &[open, ipv6], &[chosen, &granted_ipv6], ["2001:db8::1:80 > up", "> down"]),
        (
            "password",
            &[both, password, name],
            &[b"\x05\x02", b"\x01\0", granted],
            ["mcp.test:443 > up", "> down"],
        ),
        (
            "empty user and password",
            &[both, b"\x01\0\0", name],
            &[b"\x05\x02\x01\0", granted],
            ["mcp.test:443 > up", "> down"],
        ),
        ("password not offered", &[open, password, name], &[], ["failed", "more"]),
        ("password twice", &[both, password, password, name], &[], ["failed", "more"]),
        ("password refused", &[both, password], &[b"\x05\x02\x01\x01"], ["failed", "failed"]),
        ("no method", &[both], &[b"\x05\xff"], ["failed", "failed"]),
        ("GSS-API", &[b"\x05\x01\x01\x01\x01\0\x04"], &[b"\x05\x01"], ["failed", "failed"]),
        ("refused", &[open, name], &[chosen, b"\x05\x05\0\x01\0"], ["mcp.test:443 > up", "failed"]),
        ("bind", &[open, b"\x05\x02\0\x01"], &[], ["failed", "more"]),
        ("UDP", &[open, b"\x05\x03\0\x01"], &[], ["failed", "more"]),
        ("unknown address", &[open, b"\x05\x01\0\x02\0"], &[], ["failed", "more"]),
        ("empty name", &[open, b"\x05\x01\0\x03\0\0\x50"], &[], ["failed", "more"]),
        ("no methods", &[b"\x05\0"], &[], ["failed", "more"]),
        ("other answer", &[open, name], &[b"HTTP/1.1 400"], ["mcp.test:443 > up", "failed"]),
    ];
    for (what, to_server, to_client, expected) in cases {
        let to_server = [&to_server.concat(), b"up".as_slice()].concat();
        let to_client = match to_client {
            [] => Vec::new(),
            parts => [&parts.concat(), b"down".as_slice()].concat(),
        };
        let read = read_all(PrefaceKind::Socks5, &to_server, &to_client);
        // A connection that says no more fails at its payload, at the latest.
        assert_eq!([&*read.to_server, &*read.to_client], expected, "{what}");
    }
}

#[test]
fn the_user_is_kept_and_the_password_is_not() {
    let to_server = b"\x05\x01\x02\x01\x05alice\x06secret\x05\x01\0\x03\x01h\0\x50";
    for cut in Cut::all() {
        let mut parser = PrefaceParser::new(PrefaceKind::Socks5);
        for piece in cut.pieces(to_server) {
            parser.feed(ToServer, piece);
            let state = format!("{parser:?}");
            for part in [b"secret".as_slice(), b"ecret", b"secre", b"cre"] {
                assert!(!state.contains(&format!("{part:?}").replace(['[', ']'], "")));
            }
        }
        assert_eq!(parser.found().user.as_deref(), Some(b"alice".as_slice()));
    }
}

#[test]
fn socks_version_4() {
    let long = [b"\x04\x01\0\x50\xc0\0\x02\x01".as_slice(), &[b'u'; 256]].concat();
    let granted = b"\0\x5a\0\0\0\0\0\0down".as_slice();
    type Case<'a> = (&'a str, &'a [u8], &'a [u8], [&'a str; 2], Option<&'a str>);
    let cases: [Case<'_>; 7] = [
        (
            "address",
            b"\x04\x01\0\x50\xc0\0\x02\x01\0up",
            granted,
            ["192.0.2.1:80 > up", "> down"],
            None,
        ),
        (
            "user",
            b"\x04\x01\0\x50\xc0\0\x02\x01bob\0up",
            granted,
            ["192.0.2.1:80 > up", "> down"],
            Some("bob"),
        ),
        (
            "name",
            b"\x04\x01\x01\xbb\0\0\0\x01bob\0mcp.test\0up",
            granted,
            ["mcp.test:443 > up", "> down"],
            Some("bob"),
        ),
        ("bind", b"\x04\x02\0\x50\xc0\0\x02\x01\0", b"", ["failed", "more"], None),
        ("user too long", &long, b"", ["failed", "more"], None),
        (
            "refused",
            b"\x04\x01\0\x50\xc0\0\x02\x01\0",
            b"\0\x5b\0\0\0\0\0\0",
            ["192.0.2.1:80 > ", "failed"],
            None,
        ),
        (
            "other answer",
            b"\x04\x01\0\x50\xc0\0\x02\x01\0",
            b"HTTP/1.1",
            ["192.0.2.1:80 > ", "failed"],
            None,
        ),
    ];
    for (what, to_server, to_client, expected, user) in cases {
        let read = read_all(PrefaceKind::Socks4, to_server, to_client);
        assert_eq!([&*read.to_server, &*read.to_client], expected, "{what}");
        assert_eq!(read.found.user.as_deref(), user.map(str::as_bytes), "{what}");
    }
}

#[test]
fn directions_do_not_wait_for_each_other() {
    let to_server = b"\x05\x01\0\x05\x01\0\x03\x01h\0\x50up";
    let to_client = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0down";
    let mut parser = PrefaceParser::new(PrefaceKind::Socks5);
    assert_eq!(side(&mut parser, ToClient, to_client, Cut::Whole), "> down");
    assert_eq!(side(&mut parser, ToServer, to_server, Cut::Whole), "h:80 > up");
    assert_eq!(parser.counters().done, 2);
    // The end is said again, and nothing more is taken.
    assert!(matches!(
        parser.feed(ToServer, b"more"),
        PrefaceProgress::Done { consumed: 0, target: Some(_) }
    ));
    assert_eq!(parser.counters().done, 2);
}

#[test]
fn a_gap_hides_the_preface_of_its_direction() {
    let mut parser = PrefaceParser::new(PrefaceKind::Socks5);
    assert_eq!(parser.feed(ToServer, b"\x05\x01"), PrefaceProgress::NeedMore);
    parser.gap(ToServer);
    parser.gap(ToServer);
    assert_eq!(parser.feed(ToServer, b"\0"), PrefaceProgress::Failed);
    assert_eq!(parser.feed(ToClient, b"\x05\0"), PrefaceProgress::NeedMore);
    assert_eq!(parser.counters().gaps, 1);

    let mut parser = PrefaceParser::new(PrefaceKind::ProxyV1);
    assert!(matches!(
        parser.feed(ToServer, b"PROXY UNKNOWN\r\n"),
        PrefaceProgress::Done { consumed: 15, .. }
    ));
    parser.gap(ToServer);
    parser.gap(ToClient);
    assert_eq!(parser.counters().gaps, 0);
}

#[test]
fn any_bytes_in_any_split() {
    let mut rng = Rng::new(1928);
    let ipv4 = b"\x0a\0\0\x01\xc0\0\x02\x01\x13\x88\x01\xbb\x02\0\x04host\x03\0\x01x";
    let clients: [(PrefaceKind, Vec<u8>); 4] = [
        (PrefaceKind::ProxyV1, b"PROXY TCP4 10.0.0.1 192.0.2.1 5000 443\r\npayload".to_vec()),
        (PrefaceKind::ProxyV2, v2([0x21, 0x11], ipv4)),
        (PrefaceKind::Socks4, b"\x04\x01\x01\xbb\0\0\0\x01bob\0mcp.test\0payload".to_vec()),
        (
            PrefaceKind::Socks5,
            b"\x05\x02\0\x02\x01\x01u\x02pw\x05\x01\0\x03\x04host\0\x50payload".to_vec(),
        ),
    ];
    for round in 0..6000 {
        let (kind, mut to_server) = clients[round % 4].clone();
        let mut to_client = b"\x05\x02\x01\0\x05\0\0\x01\0\0\0\0\0\0payload".to_vec();
        rng.mutate(&mut to_server);
        rng.mutate(&mut to_client);
        probe(ToServer, &to_server);
        let read = read_all(kind, &to_server, &to_client);
        let counters = read.counters;
        let failed = counters.malformed + counters.unsupported + counters.refused;
        assert!(counters.done + failed <= 2 && counters.gaps == 0);
        assert!(read.found.user.is_none_or(|user| user.len() <= 255));
        assert!(read.found.host.is_none_or(|host| host.len() <= 255));
    }
}
