//! Frames: Ethernet, IPv4 or IPv6, TCP or UDP, with right checksums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{PacketBuilder, PacketBuilderStep, TcpOptionElement};

/// Which end of a connection sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl Endpoint {
    pub(crate) fn v4(address: [u8; 4], port: u16) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::from(address)), port }
    }

    /// The same in 2001:db8::/32, with the IPv4 address as the last bytes.
    pub(crate) fn to_v6(self) -> Self {
        match self.address {
            IpAddr::V6(_) => self,
            IpAddr::V4(v4) => {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
                bytes[12..].copy_from_slice(&v4.octets());
                Self { address: IpAddr::V6(Ipv6Addr::from(bytes)), port: self.port }
            }
        }
    }

    fn mac(self) -> [u8; 6] {
        let last: [u8; 4] = match self.address {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                [octets[12], octets[13], octets[14], octets[15]]
            }
        };
        [0x02, 0x00, last[0], last[1], last[2], last[3]]
    }
}

/// The TCP header of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    /// The timestamp option, in a connection that uses it.
    pub(crate) timestamp: Option<u32>,
}

/// Fills `frame` with a TCP segment.
pub(crate) fn tcp(
    frame: &mut Vec<u8>,
    from: Endpoint,
    to: Endpoint,
    segment: &Segment,
    payload: &[u8],
) {
    let mut tcp = network(from, to).tcp(from.port, to.port, segment.seq, 64_240);
    if let Some(ack) = segment.ack {
        tcp = tcp.ack(ack);
    }
    if segment.syn {
        tcp = tcp.syn();
    }
    if segment.fin {
        tcp = tcp.fin();
    }
    if segment.rst {
        tcp = tcp.rst();
    }
    if !payload.is_empty() {
        tcp = tcp.psh();
    }
    let tcp = match options(segment) {
        Some(options) => tcp.options(&options).expect("options fit the header"),
        None => tcp,
    };
    frame.clear();
    tcp.write(frame, payload).expect("a segment fits a packet");
}

/// Fills `frame` with a UDP datagram.
pub(crate) fn udp(frame: &mut Vec<u8>, from: Endpoint, to: Endpoint, payload: &[u8]) {
    let udp = network(from, to).udp(from.port, to.port);
    frame.clear();
    udp.write(frame, payload).expect("a datagram fits a packet");
}

fn network(from: Endpoint, to: Endpoint) -> PacketBuilderStep<etherparse::IpHeaders> {
    let ethernet = PacketBuilder::ethernet2(from.mac(), to.mac());
    match (from.address, to.address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => ethernet.ipv4(a.octets(), b.octets(), 60),
        _ => ethernet.ipv6(v6(from.address), v6(to.address), 60),
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn options(segment: &Segment) -> Option<Vec<TcpOptionElement>> {
    use TcpOptionElement::{
        MaximumSegmentSize, Noop, SelectiveAcknowledgementPermitted, Timestamp, WindowScale,
    };
    let mut options = Vec::new();
    if segment.syn {
        let mss = if segment.timestamp.is_some() { 1_460 } else { 1_440 };
        options.extend([MaximumSegmentSize(mss), SelectiveAcknowledgementPermitted]);
        options.extend([Noop, WindowScale(7)]);
    }
    if let Some(now) = segment.timestamp {
        options.extend([Noop, Noop, Timestamp(now, now.wrapping_sub(7))]);
    }
    (!options.is_empty()).then_some(options)
}
