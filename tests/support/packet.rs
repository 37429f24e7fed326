//! Ethernet, IP and TCP, apart and together again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use mcpwatch::capture::{Block, Fill, LinkType, PcapWriter, Precision, Reader, SourceId};
use mcpwatch::time::Timestamp;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const TCP: u8 = 6;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// A frame that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) nanos: i64,
    pub(crate) data: Vec<u8>,
    pub(crate) original_len: usize,
}

impl Frame {
    /// A frame that was captured whole.
    pub(crate) fn new(nanos: i64, data: Vec<u8>) -> Self {
        Self { nanos, original_len: data.len(), data }
    }
}

/// The Ethernet frames of a capture, up to where it is damaged.
pub(crate) fn read(path: &Path) -> Vec<Frame> {
    let mut reader = Reader::open(path, SourceId(0)).unwrap();
    let mut block = Block::new();
    let mut frames = Vec::new();
    while matches!(reader.fill(&mut block), Ok(Fill::Block)) {
        for frame in block.frames() {
            assert_eq!(frame.link, LinkType::ETHERNET, "{}", path.display());
            frames.push(Frame {
                nanos: frame.time.as_nanos(),
                data: frame.data.to_vec(),
                original_len: frame.original_len as usize,
            });
        }
    }
    frames
}

/// A pcap of frames.
pub(crate) fn pcap(link: LinkType, frames: &[Frame]) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new(), link, Precision::Nanos).unwrap();
    for frame in frames {
        let time = Timestamp::from_nanos(frame.nanos);
        writer.frame(time, &frame.data, frame.original_len as u32).unwrap();
    }
    writer.finish().unwrap()
}

/// Moves hosts of 10.20.0.0/24 to a network of their own, so that captures with
/// the same addresses do not mix. Checksums are not looked at.
pub(crate) fn on_network(mut data: Vec<u8>, index: u8) -> Vec<u8> {
    for at in 0..data.len().min(62).saturating_sub(4) {
        if data[at..at + 3] == [10, 20, 0] {
            data[at + 2] = 100 + index;
        }
    }
    data
}

/// A TCP segment in IP in Ethernet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) nanos: i64,
    pub(crate) macs: [u8; 12],
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    /// Takes a frame apart that was captured whole and holds an unfragmented
    /// TCP segment directly in IP.
    pub(crate) fn parse(frame: &Frame) -> Option<Self> {
        if frame.original_len != frame.data.len() {
            return None;
        }
        let macs = frame.data.get(..12)?.try_into().ok()?;
        let ip = frame.data.get(14..)?;
        let (src, dst, tcp): (IpAddr, IpAddr, &[u8]) = match be16(&frame.data, 12)? {
            IPV4 if ip.get(9) == Some(&TCP) && be16(ip, 6)? & 0x3fff == 0 => {
                let header = usize::from(ip[0] & 15) * 4;
                let address = |at: usize| Some(Ipv4Addr::from(be32(ip, at)?).into());
                (address(12)?, address(16)?, ip.get(header..be16(ip, 2)?.into())?)
            }
            IPV6 if ip.get(6) == Some(&TCP) => {
                let address = |at: usize| {
                    let bytes: [u8; 16] = ip.get(at..at + 16)?.try_into().ok()?;
                    Some(Ipv6Addr::from(bytes).into())
                };
                (address(8)?, address(24)?, ip.get(40..40 + usize::from(be16(ip, 4)?))?)
            }
            _ => return None,
        };
        let header = usize::from(tcp.get(12)? >> 4) * 4;
        Some(Self {
            nanos: frame.nanos,
            macs,
            src: (src, be16(tcp, 0)?).into(),
            dst: (dst, be16(tcp, 2)?).into(),
            seq: be32(tcp, 4)?,
            ack: be32(tcp, 8)?,
            flags: *tcp.get(13)?,
            options: tcp.get(20..header)?.to_vec(),
            payload: tcp.get(header..)?.to_vec(),
        })
    }

    /// The frame, lengths and checksums set right.
    pub(crate) fn frame(&self) -> Frame {
        let (kind, ip) = self.datagram(&self.tcp());
        Frame::new(self.nanos, ethernet(&self.macs, kind, &ip))
    }

    /// The TCP segment with its checksum.
    pub(crate) fn tcp(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(20 + self.options.len() + self.payload.len());
        tcp.extend(self.src.port().to_be_bytes());
        tcp.extend(self.dst.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let words = (20 + self.options.len()) / 4;
        tcp.extend([(words as u8) << 4, self.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        let mut pseudo = Vec::new();
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                pseudo.extend(src.octets());
                pseudo.extend(dst.octets());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                pseudo.extend(src.octets());
                pseudo.extend(dst.octets());
            }
            _ => panic!("addresses of two families"),
        }
        pseudo.extend((tcp.len() as u32).to_be_bytes());
        pseudo.extend([0, 0, 0, TCP]);
        pseudo.extend(&tcp);
        let sum = checksum(&pseudo);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp
    }

    /// The IP datagram around `tcp`, with its EtherType.
    pub(crate) fn datagram(&self, tcp: &[u8]) -> (u16, Vec<u8>) {
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => (IPV4, ipv4(src, dst, TCP, 0, 0x4000, tcp)),
            (IpAddr::V6(src), IpAddr::V6(dst)) => (IPV6, ipv6(src, dst, TCP, tcp)),
            _ => panic!("addresses of two families"),
        }
    }

    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// Names the direction of the connection.
    pub(crate) fn way(&self) -> (SocketAddr, SocketAddr) {
        (self.src, self.dst)
    }

    /// Names the other direction.
    pub(crate) fn back(&self) -> (SocketAddr, SocketAddr) {
        (self.dst, self.src)
    }

    /// The sequence number after the segment.
    pub(crate) fn end(&self) -> u32 {
        let phantom = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.seq.wrapping_add(self.payload.len() as u32).wrapping_add(phantom)
    }

    /// The part of the segment from byte `from` to byte `to` of its payload; only
    /// the last part pushes and ends.
    pub(crate) fn part(&self, from: usize, to: usize) -> Self {
        let last = to == self.payload.len();
        Self {
            seq: self.seq.wrapping_add(from as u32),
            flags: if last { self.flags } else { self.flags & !(FIN | PSH) },
            payload: self.payload[from..to].to_vec(),
            ..self.clone()
        }
    }
}

pub(crate) fn ethernet(macs: &[u8; 12], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&macs[..], &kind.to_be_bytes(), payload].concat()
}

/// An IPv4 datagram or fragment; `place` is the field of flags and offset.
pub(crate) fn ipv4(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    id: u16,
    place: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + payload.len() as u16).to_be_bytes());
    header.extend(id.to_be_bytes());
    header.extend(place.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(src.octets());
    header.extend(dst.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(payload);
    header
}

pub(crate) fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((payload.len() as u16).to_be_bytes());
    header.extend([next, 64]);
    header.extend(src.octets());
    header.extend(dst.octets());
    header.extend(payload);
    header
}

/// A UDP datagram without checksum.
pub(crate) fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    [&src.to_be_bytes()[..], &dst.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload].concat()
}

fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
