//! Frames of TCP segments.

use std::net::IpAddr;
use std::net::SocketAddr;

use mcpwatch::capture::LinkType;

/// How the frames begin: with the IP header.
pub(crate) const LINK: LinkType = LinkType::RAW;

/// The most payload that fits into a frame.
pub(crate) const MAX_PAYLOAD: usize = 65_000;

/// TCP header fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
}

/// A segment as an IP packet.
pub(crate) fn frame(src: SocketAddr, dst: SocketAddr, header: Header, payload: &[u8]) -> Vec<u8> {
    let len = 20 + payload.len() as u16;
    let mut frame = Vec::with_capacity(60 + payload.len());
    match (src.ip(), dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame.extend([0x45, 0]);
            frame.extend((20 + len).to_be_bytes());
            frame.extend([0, 0, 0, 0, 64, 6, 0, 0]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        (src, dst) => {
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(len.to_be_bytes());
            frame.extend([6, 64]);
            for address in [src, dst] {
                match address {
                    IpAddr::V4(address) => frame.extend(address.to_ipv6_mapped().octets()),
                    IpAddr::V6(address) => frame.extend(address.octets()),
                }
            }
        }
    }
    frame.extend(src.port().to_be_bytes());
    frame.extend(dst.port().to_be_bytes());
    frame.extend(header.seq.to_be_bytes());
    frame.extend(header.ack.to_be_bytes());
    frame.extend([0x50, header.flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}
