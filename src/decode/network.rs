//! IP headers: IPv4 (RFC 791), IPv6 and its extension headers (RFC 8200), and
//! the authentication header of both (RFC 4302).
//!
//! Lengths are those of the IP header, so link-layer padding ends here. A length
//! of 0, as segmentation offload leaves it in captures of the sending host and
//! as jumbograms have it (RFC 2675), means the rest of the frame.

use std::net::IpAddr;

use etherparse::err::{ipv4, ipv6};
use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice};

use super::outcome::{DecodeCounters, Malformed, Skip};
use super::region::Region;

/// MPLS in IP (RFC 4023).
pub(super) const MPLS_IN_IP: IpNumber = IpNumber(137);

/// An IP packet: who sends what to whom. Whole, or a fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpPacket<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    /// What the payload is of.
    pub(super) protocol: IpNumber,
    pub(super) payload: Region<'a>,
    /// Where the payload lies in its datagram, if it is a fragment.
    pub(super) fragment: Option<Position>,
}

/// Where the payload of a fragment lies in its datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) identification: u32,
    /// In bytes; a multiple of 8.
    pub(super) offset: usize,
    /// Whether more fragments follow it in the datagram.
    pub(super) more: bool,
}

/// Reads the IP header, and the extension headers up to a fragment header.
#[inline]
pub(super) fn read<'a>(
    region: Region<'a>,
    counters: &mut DecodeCounters,
) -> Result<IpPacket<'a>, Skip> {
    match region.captured().first().map(|first| first >> 4) {
        Some(4) => ipv4(region, counters),
        Some(6) => ipv6(region, counters),
        Some(_) => Err(Skip::Malformed(Malformed::Ip)),
        None => Err(region.lacks(1)),
    }
}

/// The part of `region` that a length field claims.
#[inline]
pub(super) fn claimed<'a>(
    region: Region<'a>,
    len: usize,
    counters: &mut DecodeCounters,
) -> Region<'a> {
    counters.length_overruns += u64::from(len > region.wire());
    region.with_length(len)
}

/// Whether the decoder follows what this protocol carries. Fragments of others
/// (ICMP, say) need not be kept.
pub(super) fn is_followed(protocol: IpNumber) -> bool {
    matches!(
        protocol,
        IpNumber::TCP
            | IpNumber::UDP
            | IpNumber::GRE
            | IpNumber::IPV4
            | IpNumber::IPV6
            | MPLS_IN_IP
            | IpNumber::AUTHENTICATION_HEADER
    ) || is_ipv6_extension(protocol)
}

#[inline]
fn ipv4<'a>(region: Region<'a>, counters: &mut DecodeCounters) -> Result<IpPacket<'a>, Skip> {
    let header = Ipv4HeaderSlice::from_slice(region.captured()).map_err(|error| match error {
        ipv4::HeaderSliceError::Len(error) => region.lacks(error.required_len),
        ipv4::HeaderSliceError::Content(_) => Skip::Malformed(Malformed::Ip),
    })?;
    let header_len = header.slice().len();
    let region = match usize::from(header.total_len()) {
        0 => region,
        total if total < header_len => return Err(Skip::Malformed(Malformed::Ip)),
        total => claimed(region, total, counters),
    };
    let mut packet = IpPacket {
        src: header.source_addr().into(),
        dst: header.destination_addr().into(),
        protocol: header.protocol(),
        payload: region.skip(header_len)?,
        fragment: header.is_fragmenting_payload().then(|| Position {
            identification: header.identification().into(),
            offset: header.fragments_offset().byte_offset().into(),
            more: header.more_fragments(),
        }),
    };
    packet.pass_extensions()?;
    Ok(packet)
}

fn ipv6<'a>(region: Region<'a>, counters: &mut DecodeCounters) -> Result<IpPacket<'a>, Skip> {
    let header = Ipv6HeaderSlice::from_slice(region.captured()).map_err(|error| match error {
        ipv6::HeaderSliceError::Len(error) => region.lacks(error.required_len),
        ipv6::HeaderSliceError::Content(_) => Skip::Malformed(Malformed::Ip),
    })?;
    let payload = region.skip(header.slice().len())?;
    let payload = match usize::from(header.payload_length()) {
        0 => payload,
        len => claimed(payload, len, counters),
    };
    let mut packet = IpPacket {
        src: header.source_addr().into(),
        dst: header.destination_addr().into(),
        protocol: header.next_header(),
        payload,
        fragment: None,
    };
    packet.pass_extensions()?;
    Ok(packet)
}

impl IpPacket<'_> {
    /// Goes past extension headers, up to a fragment header.
    #[inline]
    pub(super) fn pass_extensions(&mut self) -> Result<(), Skip> {
        while self.fragment.is_none() {
            match self.protocol {
                IpNumber::AUTHENTICATION_HEADER => self.pass_header(|units| (units + 2) * 4)?,
                _ if self.src.is_ipv4() => return Ok(()),
                IpNumber::IPV6_FRAGMENTATION_HEADER => self.pass_fragment_header()?,
                protocol if is_ipv6_extension(protocol) => {
                    self.pass_header(|units| (units + 1) * 8)?;
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Goes past a header that starts with the next protocol and with its own
    /// length, in units that `len` turns into bytes.
    fn pass_header(&mut self, len: impl FnOnce(usize) -> usize) -> Result<(), Skip> {
        let (&[next, units], _) = self.payload.header()?;
        self.protocol = IpNumber(next);
        self.payload = self.payload.skip(len(usize::from(units)))?;
        Ok(())
    }

    /// An offset of 0 with nothing to follow is a whole datagram (RFC 6946).
    fn pass_fragment_header(&mut self) -> Result<(), Skip> {
        let header = Ipv6FragmentHeaderSlice::from_slice(self.payload.captured())
            .map_err(|error| self.payload.lacks(error.required_len))?;
        self.protocol = header.next_header();
        self.payload = self.payload.skip(header.slice().len())?;
        self.fragment = header.is_fragmenting_payload().then(|| Position {
            identification: header.identification(),
            offset: header.fragment_offset().byte_offset().into(),
            more: header.more_fragments(),
        });
        Ok(())
    }
}

fn is_ipv6_extension(protocol: IpNumber) -> bool {
    matches!(
        protocol,
        IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_ROUTE_HEADER
            | IpNumber::IPV6_FRAGMENTATION_HEADER
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::MOBILITY_HEADER
            | IpNumber::HIP
            | IpNumber::SHIM6
    )
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Malformed, Skip};
    use super::super::samples::*;
    use super::super::{DecodeLimits, Decoder};
    use crate::capture::LinkType;

    fn malformed(packet: &[u8]) -> Malformed {
        match decode(LinkType::RAW, packet) {
            Decoded::Skipped(Skip::Malformed(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ipv6_leads_to_the_packet_by_every_way() {
        for sample in ipv6_samples() {
            let expected = Decoded::Packet {
                src: "[2001:db8::1]:40000".parse().unwrap(),
                dst: "[2001:db8::2]:8000".parse().unwrap(),
                tcp: true,
                payload: BODY.to_vec(),
                missing: 0,
                path: sample.path.to_owned(),
                reassembled: false,
            };
            assert_eq!(decode(sample.link, &sample.data), expected, "{}", sample.name);
        }
    }

    #[test]
    fn ipv4_options_and_authentication_are_passed() {
        let mut with_options = request();
        with_options[0] = 0x47;
        with_options.splice(20..20, [1, 1, 1, 1, 1, 1, 1, 0]);
        with_options[3] += 8;
        assert_eq!(decode(LinkType::RAW, &with_options), Decoded::request(""));

        let authenticated = cat(&[&[TCP, 4], &[1; 22], &tcp(BODY)]);
        let packet = ipv4([10, 0, 0, 1], [10, 0, 0, 2], 51, &authenticated);
        assert_eq!(decode(LinkType::RAW, &packet), Decoded::request(""));
    }

    #[test]
    fn a_length_of_zero_means_the_rest_of_the_frame() {
        let mut offloaded = request();
        offloaded[2..4].fill(0);
        assert_eq!(decode(LinkType::RAW, &offloaded), Decoded::request(""));

        let mut offloaded = request_v6();
        offloaded[4..6].fill(0);
        let Decoded::Packet { payload, missing: 0, .. } = decode(LinkType::RAW, &offloaded) else {
            panic!("not decoded");
        };
        assert_eq!(payload, BODY);
    }

    #[test]
    fn a_length_past_the_frame_counts_as_missing() {
        let mut packet = request();
        packet[3] += 100;
        let mut decoder = Decoder::new(DecodeLimits::default());
        let outcome = decoder.decode(&frame(LinkType::RAW, &packet, packet.len()));
        let Decoded::Packet { payload, missing, .. } = outcome.into() else {
            panic!("not decoded");
        };
        assert_eq!((payload.as_slice(), missing), (BODY, 100));
        assert_eq!(decoder.counters().length_overruns, 1);
    }

    #[test]
    fn headers_that_cannot_be_are_malformed() {
        let altered = |at: usize, value| {
            let mut packet = request();
            packet[at] = value;
            packet
        };
        assert_eq!(malformed(&altered(0, 0x55)), Malformed::Ip, "version");
        assert_eq!(malformed(&altered(0, 0x44)), Malformed::Ip, "header length");
        assert_eq!(malformed(&altered(3, 19)), Malformed::Ip, "total length");
        assert_eq!(malformed(&altered(0, 0x4f)[..40]), Malformed::Truncated, "options");
        assert_eq!(malformed(&[]), Malformed::Truncated, "nothing");
        let endless = ipv6(60, &[60, 200, 0, 0, 0, 0, 0, 0]);
        assert_eq!(malformed(&endless), Malformed::Truncated, "extension header");
    }

    #[test]
    fn other_transports_are_named() {
        for (packet, protocol) in [
            (outer(1, &[8, 0, 0, 0]), 1),
            (outer(132, &[0; 12]), 132),
            (outer(50, &[0; 12]), 50),
            (outer(44, &[0; 12]), 44),
            (ipv6(58, &[128, 0, 0, 0]), 58),
            (ipv6(59, &[]), 59),
        ] {
            assert_eq!(
                decode(LinkType::RAW, &packet),
                Decoded::Skipped(Skip::OtherTransport { protocol })
            );
        }
    }
}
