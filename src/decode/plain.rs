//! The frame that nearly every frame is: whole, a TCP segment in IP in Ethernet, with
//! nothing between. Its packet is read straight off the headers.
//!
//! Whatever else a frame may be, or lack, is left to the stages behind it; where both
//! give a packet, it is the same.
//!
//! All of it is inlined, so that a packet is written where it is to be and its fields come
//! from registers: to copy it just after it was written field by field made the processor
//! wait for those writes, for a sixth of the time that a frame without findings takes.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice};

use super::packet::{Packet, TcpFlags, TcpHeader, Transport, TunnelPath};
use crate::capture::{Frame, LinkType};

/// The packet of a frame that is that plain.
#[inline]
pub(crate) fn packet<'f>(frame: &Frame<'f>) -> Option<Packet<'f>> {
    ipv4(frame).or_else(|| ipv6(frame))
}

/// The packet of a frame that is that plain, in IPv4.
#[inline(always)]
pub(super) fn ipv4<'f>(frame: &Frame<'f>) -> Option<Packet<'f>> {
    let ip = ethernet(frame, [0x08, 0x00])?;
    let header = Ipv4HeaderSlice::from_slice(ip).ok()?;
    if header.protocol() != IpNumber::TCP || header.is_fragmenting_payload() {
        return None;
    }
    let segment = ip.get(header.slice().len()..usize::from(header.total_len()))?;
    let tcp = TcpHeaderSlice::from_slice(segment).ok()?;
    let src = SocketAddrV4::new(header.source_addr(), tcp.source_port());
    let dst = SocketAddrV4::new(header.destination_addr(), tcp.destination_port());
    between(frame, src.into(), dst.into(), &tcp, segment)
}

/// The packet of a frame that is that plain, in IPv6.
#[inline(always)]
pub(super) fn ipv6<'f>(frame: &Frame<'f>) -> Option<Packet<'f>> {
    let ip = ethernet(frame, [0x86, 0xdd])?;
    let header = Ipv6HeaderSlice::from_slice(ip).ok()?;
    if header.next_header() != IpNumber::TCP {
        return None;
    }
    let payload = ip.get(header.slice().len()..)?;
    let segment = payload.get(..usize::from(header.payload_length()))?;
    let tcp = TcpHeaderSlice::from_slice(segment).ok()?;
    let src = SocketAddrV6::new(header.source_addr(), tcp.source_port(), 0, 0);
    let dst = SocketAddrV6::new(header.destination_addr(), tcp.destination_port(), 0, 0);
    between(frame, src.into(), dst.into(), &tcp, segment)
}

/// What an Ethernet frame of this type carries.
#[inline(always)]
fn ethernet<'f>(frame: &Frame<'f>, ether_type: [u8; 2]) -> Option<&'f [u8]> {
    let is_whole = frame.original_len as usize <= frame.data.len();
    let (header, rest) = frame.data.split_first_chunk::<14>()?;
    let is_it = frame.link == LinkType::ETHERNET && header.ends_with(&ether_type);
    (is_it && is_whole).then_some(rest)
}

/// The packet that a TCP segment between these endpoints is.
#[inline(always)]
fn between<'f>(
    frame: &Frame<'f>,
    src: SocketAddr,
    dst: SocketAddr,
    header: &TcpHeaderSlice<'f>,
    segment: &'f [u8],
) -> Option<Packet<'f>> {
    Some(Packet {
        number: frame.number,
        time: frame.time,
        source: frame.source,
        src,
        dst,
        transport: Transport::Tcp(TcpHeader {
            seq: header.sequence_number(),
            ack: header.acknowledgment_number(),
            flags: TcpFlags(header.slice().get(13).copied()?),
        }),
        payload: segment.get(header.slice().len()..)?,
        missing: 0,
        tunnel: TunnelPath::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, BODY, Random, TCP, cat, ethernet, request, request_v6, tcp};
    use super::super::{DecodeLimits, Decoder};
    use super::*;

    #[test]
    fn what_is_plain_is_the_same_stage_by_stage() {
        let frames = [
            ethernet(0x0800, &request()),
            ethernet(0x86dd, &request_v6()),
            ethernet(0x0800, &cat(&[&request(), &[0; 9]])),
            ethernet(0x0800, &samples::ipv4([10, 0, 0, 1], [10, 0, 0, 2], TCP, &tcp(b""))),
            ethernet(0x86dd, &cat(&[&samples::ipv6(TCP, &tcp(BODY)), &[0; 3]])),
        ];
        let mut random = Random(0x70_6c61_696e);
        let mut plain = 0;
        for round in 0..40_000 {
            let mut data = frames[round % frames.len()].clone();
            let wire = data.len() - 8 + random.below(16);
            for _ in 0..random.below(4) {
                let at = random.below(data.len().min(80));
                data[at] = if random.below(2) == 0 { random.byte() } else { data[at] ^ 1 };
            }
            data.truncate(data.len() - random.below(6) / 5 * random.below(data.len()));
            let frame = samples::frame(LinkType::ETHERNET, &data, wire);
            let [mut decoder, mut stages] = [(); 2].map(|()| Decoder::new(DecodeLimits::default()));
            let whole = format!("{:?}", decoder.decode(&frame));
            assert_eq!(
                whole,
                format!("{:?}", stages.decode_stepwise(&frame, frame.time)),
                "{data:?}"
            );
            assert_eq!(decoder.counters(), stages.counters());
            plain += usize::from(packet(&frame).is_some());
        }
        assert!((5_000..35_000).contains(&plain), "{plain}");
    }
}
