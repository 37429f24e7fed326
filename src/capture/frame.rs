//! A frame: captured bytes of one link-layer unit.

use crate::time::Timestamp;

/// A link-layer header type, numbered as in the tcpdump.org registry of
/// `LINKTYPE_` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: four bytes of address family in host byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet II / IEEE 802.3.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without HDLC-like framing.
    pub const PPP: Self = Self(9);
    /// Raw IP, version told by the first nibble.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: four bytes of address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// Which capture source (file or interface) a frame came from: an index into
/// the list of sources that the reader keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// Captured bytes of one link-layer unit.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Position in its source, from 1, as Wireshark counts.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// How `data` starts.
    pub link: LinkType,
    /// Where it was captured.
    pub source: SourceId,
    /// The bytes that were captured.
    pub data: &'a [u8],
    /// The length on the wire; more than `data.len()` where a snap length cut
    /// the frame.
    pub original_len: u32,
}
