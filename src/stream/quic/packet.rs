//! Packets of a datagram, as far as they can be told without keys (RFC 8999,
//! RFC 9000 section 17, RFC 9369 section 3.2).

use super::id::ConnectionId;
use super::version::QuicVersion;
use super::wire::{varint, vector};
use crate::stream::tls::wire::Reader;

const LONG: u8 = 0x80;
const FIXED: u8 = 0x40;

/// A datagram that carries an Initial of a client has this size at least (RFC
/// 9000 section 14.1).
const MIN_INITIAL_DATAGRAM: usize = 1200;

/// Bytes of the integrity tag at the end of a Retry.
const RETRY_TAG: usize = 16;

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Packet<'a> {
    Long(Long<'a>),
    Retry(Retry<'a>),
    VersionNegotiation,
    /// A long header of a version that is not known.
    UnknownVersion,
    /// A short header: all the rest of a datagram.
    Short(&'a [u8]),
}

/// A packet with a long header, whose payload is protected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long<'a> {
    pub(super) kind: LongKind,
    pub(super) version: QuicVersion,
    pub(super) dcid: &'a [u8],
    pub(super) scid: &'a [u8],
    /// All of the packet.
    pub(super) bytes: &'a [u8],
    /// Where the packet number begins.
    pub(super) number_at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LongKind {
    Initial,
    ZeroRtt,
    Handshake,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Retry<'a> {
    pub(super) version: QuicVersion,
    pub(super) dcid: &'a [u8],
    pub(super) scid: &'a [u8],
    pub(super) bytes: &'a [u8],
}

/// Whether a datagram begins like one of a QUIC connection that is about to
/// open: with a long header of a version that is known, or with a version
/// negotiation.
pub fn probe(datagram: &[u8]) -> bool {
    let Some((packet, _)) = Packet::split(datagram) else { return false };
    let is_fixed = datagram.first().is_some_and(|first| first & FIXED != 0);
    match packet {
        Packet::Long(Long { kind: LongKind::Initial, .. }) => {
            is_fixed && datagram.len() >= MIN_INITIAL_DATAGRAM
        }
        Packet::Long(_) | Packet::Retry(_) => is_fixed,
        Packet::VersionNegotiation => offers_known_version(datagram),
        Packet::UnknownVersion | Packet::Short(_) => false,
    }
}

impl<'a> Packet<'a> {
    /// The packet at the start of a datagram, and what follows it there. `None`
    /// if the datagram is empty or the packet malformed.
    pub(super) fn split(datagram: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let first = *datagram.first()?;
        if first & LONG == 0 {
            return Some((Self::Short(datagram), &[]));
        }
        let mut reader = Reader::new(datagram);
        reader.u8()?;
        let version = u32::from_be_bytes(*reader.array()?);
        if version == 0 {
            return Some((Self::VersionNegotiation, &[]));
        }
        let Some(version) = QuicVersion::from_wire(version) else {
            return Some((Self::UnknownVersion, &[]));
        };
        let dcid = id(&mut reader)?;
        let scid = id(&mut reader)?;
        let Some(kind) = kind(version, first) else {
            let retry = Retry { version, dcid, scid, bytes: datagram };
            return (reader.rest().len() >= RETRY_TAG).then_some((Self::Retry(retry), &[]));
        };
        if kind == LongKind::Initial {
            let _token = vector(&mut reader)?;
        }
        let len = usize::try_from(varint(&mut reader)?).ok()?;
        let number_at = datagram.len() - reader.rest().len();
        let (bytes, rest) = datagram.split_at_checked(number_at.checked_add(len)?)?;
        Some((Self::Long(Long { kind, version, dcid, scid, bytes, number_at }), rest))
    }
}

impl<'a> Retry<'a> {
    /// What the integrity tag is over, and the tag.
    pub(super) fn tagged(&self) -> (&'a [u8], &'a [u8]) {
        self.bytes.split_at(self.bytes.len().saturating_sub(RETRY_TAG))
    }
}

/// A connection identifier behind its length.
fn id<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    reader.vec8().filter(|id| id.len() <= ConnectionId::MAX)
}

/// The kind of a long header; none for Retry.
fn kind(version: QuicVersion, first: u8) -> Option<LongKind> {
    let number = first >> 4 & 3;
    let number = if version == QuicVersion::V2 { number.wrapping_sub(1) & 3 } else { number };
    match number {
        0 => Some(LongKind::Initial),
        1 => Some(LongKind::ZeroRtt),
        2 => Some(LongKind::Handshake),
        _ => None,
    }
}

fn offers_known_version(datagram: &[u8]) -> bool {
    let offered = || {
        let mut reader = Reader::new(datagram.get(5..)?);
        id(&mut reader)?;
        id(&mut reader)?;
        Some(reader.rest())
    };
    let versions = offered().unwrap_or_default().as_chunks().0;
    versions.iter().any(|&number| QuicVersion::from_wire(u32::from_be_bytes(number)).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long header without token, with `len` bytes behind it.
    fn long(first: u8, version: u32, len: u16) -> Vec<u8> {
        let mut packet = vec![first];
        packet.extend(version.to_be_bytes());
        packet.extend(b"\x08abcdefgh\x04wxyz");
        if version == 1 && first & 0x30 == 0 || version != 1 && first & 0x30 == 0x10 {
            packet.push(0);
        }
        packet.extend((len | 0x4000).to_be_bytes());
        packet.resize(packet.len() + usize::from(len), 0xaa);
        packet
    }

    #[test]
    fn kinds_by_version() {
        for (version, first, expected) in [
            (1, 0xc0, LongKind::Initial),
            (1, 0xd0, LongKind::ZeroRtt),
            (1, 0xe0, LongKind::Handshake),
            (0x6b33_43cf, 0xd0, LongKind::Initial),
            (0x6b33_43cf, 0xe0, LongKind::ZeroRtt),
            (0x6b33_43cf, 0xf0, LongKind::Handshake),
        ] {
            let mut datagram = long(first, version, 100);
            let len = datagram.len();
            datagram.extend(b"\x40next");
            let (packet, rest) = Packet::split(&datagram).unwrap();
            let Packet::Long(packet) = packet else { panic!("{packet:?}") };
            assert_eq!((packet.kind, packet.bytes.len(), rest), (expected, len, &b"\x40next"[..]));
            assert_eq!((packet.dcid, packet.scid), (&b"abcdefgh"[..], &b"wxyz"[..]));
            assert_eq!(packet.number_at, len - 100);
        }
        for (version, first) in [(1, 0xf0), (0x6b33_43cf, 0xc0)] {
            let datagram = long(first, version, 100);
            assert!(matches!(Packet::split(&datagram), Some((Packet::Retry(_), b""))));
        }
    }

    #[test]
    fn malformed_packets() {
        let whole = long(0xc0, 1, 100);
        for len in 0..whole.len() {
            let packet = Packet::split(&whole[..len]);
            assert!(packet.is_none(), "{len}: {packet:?}");
        }
        let mut long_id = whole;
        long_id[5] = 21;
        assert!(Packet::split(&long_id).is_none());
    }

    #[test]
    fn what_a_connection_begins_with() {
        let mut negotiation = vec![0x80, 0, 0, 0, 0, 0, 0];
        assert!(!probe(&negotiation));
        negotiation.extend([0x0a, 0x0a, 0x0a, 0x0a, 0, 0, 0, 1]);
        for (name, datagram, expected) in [
            ("Initial", long(0xc3, 1, 1200), true),
            ("small Initial", long(0xc3, 1, 100), false),
            ("Initial of version 2", long(0xd3, 0x6b33_43cf, 1200), true),
            ("Handshake", long(0xe3, 1, 100), true),
            ("without the fixed bit", long(0x83, 1, 1200), false),
            ("unknown version", long(0xc3, 0xbaba_baba, 1200), false),
            ("version negotiation", negotiation, true),
            ("short header", vec![0x40; 1200], false),
            (
                "DNS",
                b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x04test\0\0\x01\0\x01".into(),
                false,
            ),
            ("nothing", vec![], false),
        ] {
            assert_eq!(probe(&datagram), expected, "{name}");
        }
    }
}
