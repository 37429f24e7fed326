//! Whether a connection begins with a preface.

use super::PrefaceKind;
use super::proxy::{V1_START, V2_START};
use super::socks::{CONNECT, V4_MAX_TEXT, VERSION_4, VERSION_5};
use crate::stream::Direction;

/// What the first bytes of a connection look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A preface.
    Preface(PrefaceKind),
    /// More bytes are needed.
    Unsure,
    /// No preface.
    No,
}

/// Whether the first bytes of one direction of a connection begin a preface.
/// Only a client begins one. At most some 260 bytes are needed.
pub fn probe(direction: Direction, data: &[u8]) -> Probe {
    if direction == Direction::ToClient {
        return Probe::No;
    }
    match data.first() {
        None => Probe::Unsure,
        Some(b'P') => starts_with(data, V1_START, PrefaceKind::ProxyV1),
        Some(b'\r') => starts_with(data, V2_START, PrefaceKind::ProxyV2),
        Some(&VERSION_4) => probe_socks4(data),
        Some(&VERSION_5) => probe_socks5(data),
        Some(_) => Probe::No,
    }
}

fn starts_with(data: &[u8], start: &[u8], kind: PrefaceKind) -> Probe {
    if data.starts_with(start) {
        Probe::Preface(kind)
    } else if start.starts_with(data) {
        Probe::Unsure
    } else {
        Probe::No
    }
}

/// Version, and methods that there are: assigned ones (IANA, "SOCKS Methods")
/// and private ones.
fn probe_socks5(data: &[u8]) -> Probe {
    let Some((&count, methods)) = data.get(1..).and_then(<[u8]>::split_first) else {
        return Probe::Unsure;
    };
    let offered = methods.get(..usize::from(count)).unwrap_or(methods);
    if count == 0 || !offered.iter().all(|method| matches!(method, 0..=9 | 0x80..=0xfe)) {
        Probe::No
    } else if offered.len() == usize::from(count) {
        Probe::Preface(PrefaceKind::Socks5)
    } else {
        Probe::Unsure
    }
}

/// Version, command, a port and an address, and a user in printable characters
/// with a zero after it.
fn probe_socks4(data: &[u8]) -> Probe {
    if data.get(1).is_some_and(|&command| command != CONNECT) {
        return Probe::No;
    }
    let Some(([_, _, port @ .., _, _, _, _], user)) = data.split_first_chunk::<8>() else {
        return Probe::Unsure;
    };
    let user = user.get(..usize::from(V4_MAX_TEXT)).unwrap_or(user);
    let end = user.iter().position(|byte| !byte.is_ascii_graphic());
    match end.and_then(|end| user.get(end)) {
        _ if *port == [0, 0] => Probe::No,
        Some(0) => Probe::Preface(PrefaceKind::Socks4),
        Some(_) => Probe::No,
        None if user.len() == usize::from(V4_MAX_TEXT) => Probe::No,
        None => Probe::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{ToClient, ToServer};

    #[test]
    fn prefaces_are_told_apart() {
        let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
        let long_user = [b"\x04\x01\0\x50\x01\x02\x03\x04".as_slice(), &[b'u'; 256]].concat();
        let cases: [(&[u8], Probe); 16] = [
            (b"", Probe::Unsure),
            (b"PROXY TCP4 ", Probe::Preface(PrefaceKind::ProxyV1)),
            (b"POST /mcp HTTP/1.1\r\n", Probe::No),
            (b"PRI * HTTP/2.0\r\n", Probe::No),
            (v2, Probe::Preface(PrefaceKind::ProxyV2)),
            (b"\r\nGET / HTTP/1.1\r\n", Probe::No),
            (b"\x05\x01\x00", Probe::Preface(PrefaceKind::Socks5)),
            (b"\x05\x03\x00\x01\x02", Probe::Preface(PrefaceKind::Socks5)),
            (b"\x05\x01\x00\x05\x01\x00", Probe::Preface(PrefaceKind::Socks5)),
            (b"\x05\x00\x0b\x03\x10\x00", Probe::No),
            (b"\x05\x02\x00\x40", Probe::No),
            (b"\x04\x01\x00\x50\x01\x02\x03\x04\x00", Probe::Preface(PrefaceKind::Socks4)),
            (b"\x04\x01\x00\x50\x01\x02\x03\x04me\x00", Probe::Preface(PrefaceKind::Socks4)),
            (b"\x04\x02", Probe::No),
            (&long_user, Probe::No),
            (b"\x16\x03\x01", Probe::No),
        ];
        for (data, expected) in cases {
            let shown = data.escape_ascii();
            assert_eq!(probe(ToServer, data), expected, "{shown}");
            assert_eq!(probe(ToClient, data), Probe::No, "{shown}");
            // Not sure before, and never of another mind.
            for len in 0..data.len() {
                let early = probe(ToServer, &data[..len]);
                assert!(early == Probe::Unsure || early == expected, "{shown} {len}");
            }
        }
    }
}
