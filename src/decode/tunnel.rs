//! Tunnels: from the payload of IP or UDP to what is carried inside.
//!
//! GRE (RFC 2784, RFC 2890, PPTP's by RFC 2637) with ERSPAN
//! (draft-foschiano-erspan), VXLAN (RFC 7348) and VXLAN-GPE, Geneve (RFC 8926),
//! GTP-U (3GPP TS 29.281) and Teredo (RFC 4380).

use etherparse::EtherType;

use super::link::{self, BRIDGED_ETHERNET, Layer, Next};
use super::outcome::{Malformed, Skip};
use super::packet::{Tunnel, TunnelPath};
use super::region::Region;

const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
const PPP: u16 = 0x880b;
const WCCP: u16 = 0x883e;

/// Goes past a GRE header, and the ERSPAN header in it.
pub(super) fn gre<'a>(region: Region<'a>, path: &mut TunnelPath) -> Result<Next<'a>, Skip> {
    link::push(path, Tunnel::Gre)?;
    let (&[high, low, protocol_high, protocol_low], rest) = region.header()?;
    let flags = GreFlags(u16::from_be_bytes([high, low]));
    let protocol = u16::from_be_bytes([protocol_high, protocol_low]);
    match (flags.version(), protocol) {
        (0, protocol) => gre_v0(flags, protocol, rest, path),
        (1, PPP) => gre_v1(flags, rest),
        _ => Err(Skip::Malformed(Malformed::Tunnel)),
    }
}

/// The tunnel that a UDP datagram to or from these ports carries, if its payload
/// bears it out; else it is an ordinary datagram.
pub(super) fn over_udp(
    src_port: u16,
    dst_port: u16,
    region: Region<'_>,
) -> Option<(Tunnel, Next<'_>)> {
    by_port(dst_port, region).or_else(|| by_port(src_port, region))
}

fn by_port(port: u16, region: Region<'_>) -> Option<(Tunnel, Next<'_>)> {
    match port {
        // 8472 is what Linux and OTV used before 4789 was assigned.
        4789 | 8472 => Some((Tunnel::Vxlan, vxlan(region)?)),
        4790 => Some((Tunnel::Vxlan, vxlan_gpe(region)?)),
        6081 => Some((Tunnel::Geneve, geneve(region)?)),
        2152 => Some((Tunnel::GtpU, gtp_u(region)?)),
        3544 => Some((Tunnel::Teredo, teredo(region)?)),
        _ => None,
    }
}

/// The first two bytes of a GRE header.
#[derive(Clone, Copy)]
struct GreFlags(u16);

impl GreFlags {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGEMENT: u16 = 0x0080;

    fn version(self) -> u16 {
        self.0 & 0x0007
    }

    /// Whether any of `bits` is set.
    fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    /// The length of an optional field of four bytes.
    fn field(self, bits: u16) -> usize {
        if self.has(bits) { 4 } else { 0 }
    }
}

fn gre_v0<'a>(
    flags: GreFlags,
    protocol: u16,
    region: Region<'a>,
    path: &mut TunnelPath,
) -> Result<Next<'a>, Skip> {
    let fields = flags.field(GreFlags::CHECKSUM | GreFlags::ROUTING)
        + flags.field(GreFlags::KEY)
        + flags.field(GreFlags::SEQUENCE);
    let mut region = region.skip(fields)?;
    if flags.has(GreFlags::ROUTING) {
        region = past_source_routes(region)?;
    }
    match protocol {
        // Type I has no header of its own, and no sequence number in GRE's.
        ERSPAN if !flags.has(GreFlags::SEQUENCE) => {
            link::push(path, Tunnel::Erspan)?;
            Ok(Next { layer: Layer::Ethernet, region })
        }
        ERSPAN | ERSPAN_III => {
            link::push(path, Tunnel::Erspan)?;
            erspan(region)
        }
        PPP => Ok(Next { layer: Layer::Ppp, region }),
        // Version 2 of the cache protocol puts four bytes before the IP header.
        WCCP => {
            let versioned = matches!(region.captured(), [first, ..] if first >> 4 != 4);
            Ok(Next { layer: Layer::Ip, region: if versioned { region.skip(4)? } else { region } })
        }
        other => Ok(Next { layer: Layer::Typed(EtherType(other)), region }),
    }
}

/// Source route entries (RFC 1701) end with an empty one of address family 0.
fn past_source_routes(mut region: Region<'_>) -> Result<Region<'_>, Skip> {
    loop {
        let (&[family_high, family_low, _, len], rest) = region.header()?;
        region = rest.skip(usize::from(len))?;
        if [family_high, family_low, len] == [0, 0, 0] {
            return Ok(region);
        }
    }
}

/// PPTP (RFC 2637, section 4.1): PPP, its length in the upper half of the key;
/// without a sequence number only an acknowledgement.
fn gre_v1(flags: GreFlags, region: Region<'_>) -> Result<Next<'_>, Skip> {
    if !flags.has(GreFlags::KEY) {
        return Err(Skip::Malformed(Malformed::Tunnel));
    }
    if !flags.has(GreFlags::SEQUENCE) {
        return Err(Skip::NotIp);
    }
    let (&[len_high, len_low, _, _], rest) = region.header()?;
    let numbers = flags.field(GreFlags::SEQUENCE) + flags.field(GreFlags::ACKNOWLEDGEMENT);
    let rest = rest.skip(numbers)?;
    let len = usize::from(u16::from_be_bytes([len_high, len_low])).min(rest.wire());
    Ok(Next { layer: Layer::Ppp, region: rest.with_length(len) })
}

/// ERSPAN types II and III, told by the version in the header.
fn erspan(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let Some(first) = region.captured().first() else {
        return Err(region.lacks(1));
    };
    match first >> 4 {
        1 => Ok(Next { layer: Layer::Ethernet, region: region.skip(8)? }),
        2 => erspan_iii(region),
        _ => Err(Skip::Malformed(Malformed::Tunnel)),
    }
}

fn erspan_iii(region: Region<'_>) -> Result<Next<'_>, Skip> {
    const PLATFORM_SUBHEADER: u8 = 0x01;
    const FRAME_TYPE: u8 = 0x7c;
    const FRAME_TYPE_IP: u8 = 2 << 2;
    let (&[.., frame_type, options], rest) = region.header::<12>()?;
    let region = if options & PLATFORM_SUBHEADER != 0 { rest.skip(8)? } else { rest };
    let layer = if frame_type & FRAME_TYPE == FRAME_TYPE_IP { Layer::Ip } else { Layer::Ethernet };
    Ok(Next { layer, region })
}

fn vxlan(region: Region<'_>) -> Option<Next<'_>> {
    const VALID_NETWORK_ID: u8 = 0x08;
    let (&[flags, ..], region) = region.header::<8>().ok()?;
    let valid = flags & VALID_NETWORK_ID != 0 && link::looks_like_ethernet(region);
    valid.then_some(Next { layer: Layer::Ethernet, region })
}

/// VXLAN with a next-protocol field (draft-ietf-nvo3-vxlan-gpe).
fn vxlan_gpe(region: Region<'_>) -> Option<Next<'_>> {
    const VALID_NETWORK_ID_AND_PROTOCOL: u8 = 0x0c;
    const VERSION: u8 = 0x30;
    let (&[flags, _, _, protocol, ..], region) = region.header::<8>().ok()?;
    if flags & (VALID_NETWORK_ID_AND_PROTOCOL | VERSION) != VALID_NETWORK_ID_AND_PROTOCOL {
        return None;
    }
    match protocol {
        1 | 2 => Some(Next { layer: Layer::Ip, region }),
        3 if link::looks_like_ethernet(region) => Some(Next { layer: Layer::Ethernet, region }),
        _ => None,
    }
}

fn geneve(region: Region<'_>) -> Option<Next<'_>> {
    const VERSION: u8 = 0xc0;
    const OPTION_WORDS: u8 = 0x3f;
    const CONTROL: u8 = 0x80;
    let (&[version_and_words, flags, high, low, ..], rest) = region.header::<8>().ok()?;
    if version_and_words & VERSION != 0 || flags & CONTROL != 0 {
        return None;
    }
    let region = rest.skip(usize::from(version_and_words & OPTION_WORDS) * 4).ok()?;
    match EtherType(u16::from_be_bytes([high, low])) {
        EtherType::IPV4 | EtherType::IPV6 => Some(Next { layer: Layer::Ip, region }),
        BRIDGED_ETHERNET if link::looks_like_ethernet(region) => {
            Some(Next { layer: Layer::Ethernet, region })
        }
        _ => None,
    }
}

/// A G-PDU of GTP version 1, with the optional fields and extension headers that
/// any of three flags brings.
fn gtp_u(region: Region<'_>) -> Option<Next<'_>> {
    const VERSION_1_GTP: u8 = 0b0011;
    const G_PDU: u8 = 255;
    const EXTENSION: u8 = 0x04;
    const ANY_OPTIONAL: u8 = 0x07;
    let (&[flags, message, high, low, ..], rest) = region.header::<8>().ok()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if flags >> 4 != VERSION_1_GTP || message != G_PDU || len > rest.wire() {
        return None;
    }
    let mut region = rest.with_length(len);
    if flags & ANY_OPTIONAL != 0 {
        let (&[_, _, _, next], rest) = region.header().ok()?;
        region = if flags & EXTENSION != 0 { past_gtp_extensions(next, rest)? } else { rest };
    }
    link::looks_like_ip(region).then_some(Next { layer: Layer::Ip, region })
}

/// Each extension header starts with its length in words and ends with the type
/// of the next one; type 0 ends the chain.
fn past_gtp_extensions(mut next: u8, mut region: Region<'_>) -> Option<Region<'_>> {
    while next != 0 {
        let len = usize::from(*region.captured().first()?) * 4;
        next = *region.captured().get(len.checked_sub(1)?)?;
        region = region.skip(len).ok()?;
    }
    Some(region)
}

/// IPv6, perhaps behind an authentication and an origin indication (RFC 4380,
/// section 5.1.1).
fn teredo(region: Region<'_>) -> Option<Next<'_>> {
    let mut region = region;
    if let [0, 1, id_len, auth_len, ..] = *region.captured() {
        region = region.skip(13 + usize::from(id_len) + usize::from(auth_len)).ok()?;
    }
    if let [0, 0, ..] = region.captured() {
        region = region.skip(8).ok()?;
    }
    let ipv6 = matches!(region.captured(), [first, ..] if first >> 4 == 6);
    (ipv6 && link::looks_like_ip(region)).then_some(Next { layer: Layer::Ip, region })
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Malformed, Skip};
    use super::super::packet::TunnelPath;
    use super::super::samples::*;
    use super::super::{DecodeLimits, Decoder};
    use super::{ERSPAN, PPP};
    use crate::capture::LinkType;

    #[test]
    fn every_tunnel_leads_to_the_packet() {
        for sample in tunnel_samples() {
            let expected = Decoded::request(sample.path);
            assert_eq!(decode(sample.link, &sample.data), expected, "{}", sample.name);
        }
    }

    #[test]
    fn a_udp_payload_that_is_no_tunnel_stays_udp() {
        let request = request();
        let bridged = ethernet(IPV4, &request);
        let no_ip = |first| ethernet(IPV4, &cat(&[&[first], &request[1..]]));
        let gtp_longer = cat(&[&[0x30, 255, 0xff, 0xff, 0, 0, 0, 1], &request]);
        let cases: &[(&str, u16, Vec<u8>)] = &[
            ("nothing", 4789, vec![]),
            ("vxlan without id", 4789, cat(&[&[0; 8], &bridged])),
            ("vxlan with an unknown type", 4789, vxlan(&ethernet(0x1234, &request))),
            ("vxlan with ip that is none", 4789, vxlan(&no_ip(0x15))),
            ("vxlan cut short", 4789, vxlan(&bridged[..10])),
            ("vxlan gpe without protocol", 4790, cat(&[&[8, 0, 0, 1, 0, 0, 1, 0], &request])),
            ("vxlan gpe with a header", 4790, cat(&[&[12, 0, 0, 4, 0, 0, 1, 0], &request])),
            ("geneve of another version", 6081, cat(&[&[0x40, 0, 8, 0, 0, 0, 1, 0], &request])),
            ("geneve control", 6081, cat(&[&[0, 0x80, 8, 0, 0, 0, 1, 0], &request])),
            ("geneve options past the end", 6081, geneve(0, IPV4, &[])),
            ("geneve with ip that is none", 6081, geneve(0, IPV4, &[0x25; 40])),
            ("gtp-u echo", 2152, cat(&[&[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 7, 0, 0]])),
            ("gtp-u length past the end", 2152, gtp_longer),
            ("gtp-u, no ip", 2152, gtp_u(0, &[], &[0x90; 40])),
            ("gtp-u, extension of no length", 2152, gtp_u(4, &[0, 0, 0, 1, 0, 0, 0, 0], &request)),
            ("teredo, ipv4", 3544, request.clone()),
            ("teredo, indication past the end", 3544, vec![0, 1, 200, 200, 0, 0]),
            ("text", 6081, b"GET / HTTP/1.1\r\n".to_vec()),
        ];
        for (name, port, payload) in cases {
            for (src_port, dst_port) in [(40000, *port), (*port, 40000)] {
                let expected = Decoded::Packet {
                    src: format!("192.0.2.1:{src_port}").parse().unwrap(),
                    dst: format!("192.0.2.2:{dst_port}").parse().unwrap(),
                    tcp: false,
                    payload: payload.clone(),
                    missing: 0,
                    path: String::new(),
                    reassembled: false,
                };
                let packet = outer(UDP, &udp(src_port, dst_port, payload));
                assert_eq!(decode(LinkType::RAW, &packet), expected, "{name}");
            }
        }
    }

    #[test]
    fn only_the_tunnel_that_is_none_falls_back() {
        let inner = outer(UDP, &udp(1, 6081, &geneve(0, IPV4, &[0x25; 40])));
        let packet = outer(UDP, &udp(1, 4789, &vxlan(&ethernet(IPV4, &inner))));
        let mut decoder = Decoder::new(DecodeLimits::default());
        let outcome = decoder.decode(&frame(LinkType::RAW, &packet, packet.len()));
        let Decoded::Packet { dst, path, .. } = outcome.into() else {
            panic!("not decoded");
        };
        assert_eq!((dst.port(), path.as_str()), (6081, "vxlan"));
        assert_eq!(decoder.counters().tunnel_fallbacks, 1);
    }

    #[test]
    fn what_lies_in_a_credible_tunnel_is_judged_by_itself() {
        let carry = |inner: &[u8]| decode(LinkType::RAW, &outer(UDP, &udp(1, 4789, &vxlan(inner))));
        assert_eq!(carry(&ethernet(0x0806, &[0; 28])), Decoded::Skipped(Skip::NotIp));
        assert_eq!(
            carry(&ethernet(IPV4, &outer(1, &[0; 8]))),
            Decoded::Skipped(Skip::OtherTransport { protocol: 1 })
        );
        let mut bad_offset = tcp(BODY);
        bad_offset[12] = 0;
        assert_eq!(
            carry(&ethernet(IPV4, &outer(TCP, &bad_offset))),
            Decoded::Skipped(Skip::Malformed(Malformed::Tcp))
        );
    }

    #[test]
    fn a_truncated_mirror_copy_tells_what_is_missing() {
        // Cloud mirrors cut the inner packet and send it in a whole outer one.
        let bridged = ethernet(IPV4, &request());
        let cut = &bridged[..bridged.len() - 10];
        let packet = outer(UDP, &udp(1, 4789, &vxlan(cut)));
        assert_eq!(
            decode(LinkType::RAW, &packet),
            Decoded::request("vxlan").snapped(BODY.len() - 10)
        );
    }

    #[test]
    fn gre_that_cannot_be_followed_is_said_to_be_so() {
        let carry = |gre: Vec<u8>| decode(LinkType::RAW, &outer(GRE, &gre));
        let malformed = Decoded::Skipped(Skip::Malformed(Malformed::Tunnel));
        let request = request();
        assert_eq!(carry(gre(2, &[], IPV4, &request)), malformed, "version 2");
        assert_eq!(carry(gre(1, &[], IPV4, &request)), malformed, "version 1 without ppp");
        assert_eq!(carry(gre(1, &[], PPP, &request)), malformed, "pptp without key");
        assert_eq!(carry(gre(0x1000, &[0; 4], ERSPAN, &[0x50; 60])), malformed, "erspan");
        let not_ip = Decoded::Skipped(Skip::NotIp);
        assert_eq!(carry(gre(0x2081, &[0; 8], PPP, &[])), not_ip, "pptp acknowledgement");
        assert_eq!(carry(gre(0, &[], 0, &[])), not_ip, "keep-alive");
    }

    #[test]
    fn tunnels_are_followed_to_the_limit_of_the_path() {
        let nested = |depth| (0..depth).fold(request(), |inner, _| outer(4, &inner));
        assert_eq!(
            decode(LinkType::RAW, &nested(TunnelPath::MAX)),
            Decoded::request(&["ipip"; TunnelPath::MAX].join("/"))
        );
        assert_eq!(
            decode(LinkType::RAW, &nested(TunnelPath::MAX + 1)),
            Decoded::Skipped(Skip::TooDeep)
        );
    }
}
