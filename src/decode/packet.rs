//! A packet: a decoded frame, down to the transport payload.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::capture::SourceId;
use crate::time::Timestamp;

/// A decoded TCP segment or UDP datagram. Slices borrow from the frame, or from
/// the decoder where the packet was put together from fragments.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Number of the frame (of the last fragment) in its source.
    pub number: u64,
    /// When that frame was captured.
    pub time: Timestamp,
    /// Where it was captured.
    pub source: SourceId,
    /// Sender, of the innermost IP header.
    pub src: SocketAddr,
    /// Receiver, of the innermost IP header.
    pub dst: SocketAddr,
    /// Transport header.
    pub transport: Transport,
    /// Transport payload that was captured, without link-layer padding.
    pub payload: &'a [u8],
    /// Payload bytes that were on the wire after `payload` but were not
    /// captured (snap length).
    pub missing: u32,
    /// What the packet was wrapped in.
    pub tunnel: TunnelPath,
}

/// Address and port, in the order that Community ID and the keys of flows use: by address,
/// then port. (Derived order: fields compare top to bottom.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) ipv6: bool,
    /// The address as a number, upper word first.
    pub(crate) address: [u64; 2],
    pub(crate) port: u16,
}

impl From<&SocketAddr> for Endpoint {
    #[inline]
    fn from(endpoint: &SocketAddr) -> Self {
        match endpoint {
            SocketAddr::V4(at) => {
                let address = [0, u64::from(at.ip().to_bits())];
                Self { ipv6: false, address, port: at.port() }
            }
            SocketAddr::V6(at) => {
                let bits = at.ip().to_bits();
                let address = [(bits >> 64) as u64, bits as u64];
                Self { ipv6: true, address, port: at.port() }
            }
        }
    }
}

impl From<Endpoint> for SocketAddr {
    #[inline]
    fn from(Endpoint { ipv6, address: [upper, lower], port }: Endpoint) -> Self {
        let ip = match ipv6 {
            true => IpAddr::V6(Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower))),
            false => IpAddr::V4(Ipv4Addr::from_bits(lower as u32)),
        };
        Self::new(ip, port)
    }
}

/// The transport header's fields that the layers above need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP (RFC 9293).
    Tcp(TcpHeader),
    /// UDP (RFC 768).
    Udp,
}

/// The fields of a TCP header that reassembly needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader {
    /// Sequence number of the first payload byte (of the SYN, if set).
    pub seq: u32,
    /// Acknowledgement number; meaningful with [`TcpFlags::ACK`].
    pub ack: u32,
    /// Control bits.
    pub flags: TcpFlags,
}

/// TCP control bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// The acknowledgement number is valid.
    pub const ACK: Self = Self(0x10);

    /// What opens, ends or breaks off a connection.
    pub(crate) const TURNS: Self = Self(Self::FIN.0 | Self::SYN.0 | Self::RST.0);

    /// Whether any bit of `other` is set.
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One layer of encapsulation around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tunnel {
    /// IEEE 802.1Q or 802.1ad tag.
    Vlan = 1,
    /// MPLS label stack (RFC 3032).
    Mpls,
    /// PPP over Ethernet (RFC 2516).
    Pppoe,
    /// Generic Routing Encapsulation (RFC 2784, RFC 2890).
    Gre,
    /// Encapsulated Remote SPAN, types I to III.
    Erspan,
    /// VXLAN (RFC 7348).
    Vxlan,
    /// Geneve (RFC 8926).
    Geneve,
    /// IP in IP (RFC 2003), 6in4 (RFC 4213) and IPv6 tunnels (RFC 2473).
    IpInIp,
    /// GTP-U (3GPP TS 29.281).
    GtpU,
    /// Teredo (RFC 4380).
    Teredo,
}

impl Tunnel {
    /// The name used in findings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vlan => "vlan",
            Self::Mpls => "mpls",
            Self::Pppoe => "pppoe",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::IpInIp => "ipip",
            Self::GtpU => "gtpu",
            Self::Teredo => "teredo",
        }
    }
}

/// The encapsulations around a packet, outermost first; deeper ones than
/// [`TunnelPath::MAX`] are not followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TunnelPath {
    layers: [Option<Tunnel>; Self::MAX],
}

impl TunnelPath {
    /// The deepest nesting that is followed.
    pub const MAX: usize = 8;

    /// Adds an inner layer; false (and unchanged) if the path is full.
    pub fn push(&mut self, tunnel: Tunnel) -> bool {
        match self.layers.iter_mut().find(|layer| layer.is_none()) {
            Some(slot) => {
                *slot = Some(tunnel);
                true
            }
            None => false,
        }
    }

    /// The layers, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = Tunnel> + '_ {
        self.layers.iter().flatten().copied()
    }

    /// Whether the packet was not encapsulated.
    pub fn is_empty(&self) -> bool {
        self.layers[0].is_none()
    }
}

impl std::fmt::Display for TunnelPath {
    /// `vlan/gre/erspan`: outermost first; empty where there is none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, tunnel) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            f.write_str(tunnel.name())?;
        }
        Ok(())
    }
}

impl Packet<'_> {
    /// Whether the packet is a TCP segment.
    pub fn is_tcp(&self) -> bool {
        matches!(self.transport, Transport::Tcp(_))
    }

    /// Bytes of payload that were on the wire.
    pub fn wire_len(&self) -> u64 {
        self.payload.len() as u64 + u64::from(self.missing)
    }

    /// The addresses, sender first.
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        (self.src.ip(), self.dst.ip())
    }
}
