//! The frame that nearly every frame is: whole, a TCP segment in IP in Ethernet, with
//! nothing between. Its packet is read straight off the headers.
//!
//! Whatever else a frame may be, or lack, is left to the stages behind it; where both
//! give a packet, it is the same.
//!
//! All of it is inlined, so that its fields come from registers: to copy a struct just after
//! it was written field by field made the processor wait for those writes, for a sixth of
//! the time that a frame without findings takes.

use std::ops::Range;

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice};

use super::packet::{Endpoint, Packet, TcpFlags, TcpHeader, Transport, TunnelPath};
use crate::capture::{Frame, LinkType};

/// Bytes of the header of Ethernet.
const ETHERNET: usize = 14;

/// What a plain frame carries, without its bytes.
#[derive(Clone, Debug)]
pub(crate) struct PlainSegment {
    /// Sender.
    pub(crate) src: Endpoint,
    /// Receiver.
    pub(crate) dst: Endpoint,
    /// What its TCP header says.
    pub(crate) header: TcpHeader,
    /// Where its payload lies in the frame.
    pub(crate) payload: Range<u32>,
}

impl PlainSegment {
    /// The segment in a frame that is plain.
    #[inline(always)]
    pub(crate) fn of(frame: &Frame<'_>) -> Option<Self> {
        let is_whole = frame.original_len as usize <= frame.data.len();
        if frame.link != LinkType::ETHERNET || !is_whole {
            return None;
        }
        let (ethernet, ip) = frame.data.split_first_chunk::<ETHERNET>()?;
        match ethernet[ETHERNET - 2..] {
            [0x08, 0x00] => ipv4(ip),
            [0x86, 0xdd] => ipv6(ip),
            _ => None,
        }
    }

    /// The packet of the frame that it was read off.
    #[inline(always)]
    pub(crate) fn packet<'f>(&self, frame: &Frame<'f>) -> Packet<'f> {
        let payload = self.payload.start as usize..self.payload.end as usize;
        Packet {
            number: frame.number,
            time: frame.time,
            source: frame.source,
            src: self.src.into(),
            dst: self.dst.into(),
            transport: Transport::Tcp(self.header),
            payload: frame.data.get(payload).unwrap_or_default(),
            missing: 0,
            tunnel: TunnelPath::default(),
        }
    }
}

#[inline(always)]
fn ipv4(ip: &[u8]) -> Option<PlainSegment> {
    let header = Ipv4HeaderSlice::from_slice(ip).ok()?;
    if header.protocol() != IpNumber::TCP || header.is_fragmenting_payload() {
        return None;
    }
    let addresses = [header.source(), header.destination()];
    let addresses = addresses.map(|it| [0, u64::from(u32::from_be_bytes(it))]);
    let start = header.slice().len();
    segment(ip, start..usize::from(header.total_len()), false, addresses)
}

#[inline(always)]
fn ipv6(ip: &[u8]) -> Option<PlainSegment> {
    let header = Ipv6HeaderSlice::from_slice(ip).ok()?;
    if header.next_header() != IpNumber::TCP {
        return None;
    }
    let addresses = [header.source(), header.destination()].map(|it| {
        let bits = u128::from_be_bytes(it);
        [(bits >> 64) as u64, bits as u64]
    });
    let start = header.slice().len();
    segment(ip, start..start + usize::from(header.payload_length()), true, addresses)
}

/// The TCP segment that lies there in a packet of IP between these addresses.
#[inline(always)]
fn segment(
    ip: &[u8],
    range: Range<usize>,
    ipv6: bool,
    [src, dst]: [[u64; 2]; 2],
) -> Option<PlainSegment> {
    let header = TcpHeaderSlice::from_slice(ip.get(range.clone())?).ok()?;
    let start = ETHERNET + range.start + header.slice().len();
    Some(PlainSegment {
        src: Endpoint { ipv6, address: src, port: header.source_port() },
        dst: Endpoint { ipv6, address: dst, port: header.destination_port() },
        header: TcpHeader {
            seq: header.sequence_number(),
            ack: header.acknowledgment_number(),
            flags: TcpFlags(header.slice().get(13).copied()?),
        },
        payload: start as u32..(ETHERNET + range.end) as u32,
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
            plain += usize::from(PlainSegment::of(&frame).is_some());
        }
        assert!((5_000..35_000).contains(&plain), "{plain}");
    }
}
