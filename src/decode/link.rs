//! Link layers: from the first byte of a frame, or of what a tunnel carries,
//! down to an IP header.
//!
//! IEEE 802.3 with LLC and SNAP, IEEE 802.1Q, 802.1ad and 802.1AE, MPLS
//! (RFC 3032, pseudowires by RFC 4385 and RFC 4448), PPP (RFC 1661) and PPPoE
//! (RFC 2516), Cisco HDLC, Linux cooked capture and BSD loopback.

use etherparse::EtherType;

use super::outcome::Skip;
use super::packet::{Tunnel, TunnelPath};
use super::region::Region;
use crate::capture::LinkType;

/// Transparent Ethernet bridging: Ethernet in GRE and Geneve (RFC 1701).
pub(super) const BRIDGED_ETHERNET: EtherType = EtherType(0x6558);
const MPLS: EtherType = EtherType(0x8847);
const MPLS_UPSTREAM: EtherType = EtherType(0x8848);
const PPPOE_DISCOVERY: EtherType = EtherType(0x8863);
const PPPOE_SESSION: EtherType = EtherType(0x8864);
const EAPOL: EtherType = EtherType(0x888e);
const SLOW_PROTOCOLS: EtherType = EtherType(0x8809);
const LLDP: EtherType = EtherType(0x88cc);
const PTP: EtherType = EtherType(0x88f7);
const CFM: EtherType = EtherType(0x8902);

/// The greatest value of an Ethernet type field that is a length (IEEE 802.3).
const MAX_8023_LENGTH: u16 = 1500;
/// `ETH_P_802_2` of Linux: an LLC header follows a cooked header.
const COOKED_LLC: u16 = 0x0004;

/// What the bytes of a region start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// An IP header; its first nibble tells the version.
    Ip,
    /// Ethernet addresses.
    Ethernet,
    /// What follows this Ethernet type.
    Typed(EtherType),
    /// An IEEE 802.2 LLC header.
    Llc,
    /// A PPP header, with or without address and control.
    Ppp,
    /// A PPPoE header.
    Pppoe,
    /// A Cisco HDLC header.
    CiscoHdlc,
    /// An MPLS label stack.
    Mpls,
}

/// Bytes, and what they start with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next<'a> {
    pub(super) layer: Layer,
    pub(super) region: Region<'a>,
}

/// What a frame of link type `link` starts with.
#[inline]
pub(super) fn enter(link: LinkType, region: Region<'_>) -> Result<Next<'_>, Skip> {
    let layer = match link {
        LinkType::ETHERNET => Layer::Ethernet,
        LinkType::NULL | LinkType::LOOP => return loopback(region),
        LinkType::LINUX_SLL => return cooked(region),
        LinkType::LINUX_SLL2 => return cooked_v2(region),
        // 12 and 14 are what the BSDs call raw IP in their own files.
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 | LinkType(12 | 14) => Layer::Ip,
        // PPP in HDLC-like framing, which shares its link type with Cisco HDLC.
        LinkType(50) if matches!(region.captured(), [0x0f | 0x8f, ..]) => Layer::CiscoHdlc,
        LinkType::PPP | LinkType(50) => Layer::Ppp,
        LinkType(51) => Layer::Pppoe,
        LinkType(104) => Layer::CiscoHdlc,
        LinkType(219) => Layer::Mpls,
        _ => return Err(Skip::UnsupportedLink),
    };
    Ok(Next { layer, region })
}

/// Goes down to the IP header, and notes the encapsulations passed.
#[inline]
pub(super) fn descend<'a>(next: Next<'a>, path: &mut TunnelPath) -> Result<Region<'a>, Skip> {
    // Nearly every frame is IP in Ethernet and nothing else.
    if next.layer == Layer::Ethernet
        && let Some((header, _)) = next.region.captured().split_first_chunk::<14>()
        && matches!(header, [.., 0x08, 0x00] | [.., 0x86, 0xdd])
    {
        return next.region.skip(header.len());
    }
    descend_stepwise(next, path)
}

fn descend_stepwise<'a>(mut next: Next<'a>, path: &mut TunnelPath) -> Result<Region<'a>, Skip> {
    loop {
        let region = next.region;
        next = match next.layer {
            Layer::Ip => return Ok(region),
            Layer::Ethernet => ethernet(region)?,
            Layer::Typed(ether_type) => typed(ether_type, region, path)?,
            Layer::Llc => llc(region)?,
            Layer::Ppp => ppp(region)?,
            Layer::Pppoe => pppoe(region, path)?,
            Layer::CiscoHdlc => cisco_hdlc(region)?,
            Layer::Mpls => mpls(region, path)?,
        };
    }
}

/// Adds an encapsulation to the path.
pub(super) fn push(path: &mut TunnelPath, tunnel: Tunnel) -> Result<(), Skip> {
    if path.push(tunnel) { Ok(()) } else { Err(Skip::TooDeep) }
}

/// Whether the bytes may well be Ethernet: the type is a known one. Bytes that
/// were not captured are given the benefit of the doubt.
pub(super) fn looks_like_ethernet(region: Region<'_>) -> bool {
    let Some((addresses_and_type, rest)) = region.captured().split_first_chunk::<14>() else {
        return region.wire() >= 14;
    };
    let value = u16::from_be_bytes([addresses_and_type[12], addresses_and_type[13]]);
    if value <= MAX_8023_LENGTH {
        return matches!(rest, [] | [0xaa, 0xaa, ..] | [0x42, 0x42, ..] | [0x06, 0x06, ..]);
    }
    matches!(
        EtherType(value),
        EtherType::IPV4
            | EtherType::IPV6
            | EtherType::ARP
            | EtherType::VLAN_TAGGED_FRAME
            | EtherType::PROVIDER_BRIDGING
            | EtherType::VLAN_DOUBLE_TAGGED_FRAME
            | EtherType::MACSEC
            | MPLS
            | MPLS_UPSTREAM
            | PPPOE_DISCOVERY
            | PPPOE_SESSION
            | EAPOL
            | SLOW_PROTOCOLS
            | LLDP
            | PTP
            | CFM
    )
}

/// Whether the bytes may well be an IP packet that the region holds whole: the
/// version, header length and total length agree with it.
pub(super) fn looks_like_ip(region: Region<'_>) -> bool {
    match *region.captured() {
        [first @ 0x45..=0x4f, _, high, low, ..] => {
            let header = usize::from(first & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes([high, low]));
            region.wire() >= header && (total == 0 || (header..=region.wire()).contains(&total))
        }
        [first, _, _, _, high, low, ..] if first >> 4 == 6 => {
            40 + usize::from(u16::from_be_bytes([high, low])) <= region.wire()
        }
        _ => false,
    }
}

/// Whether the bytes are Ethernet with a plausible IP packet in it: too much to
/// be chance.
fn is_ip_in_ethernet(region: Region<'_>) -> bool {
    region.header::<14>().is_ok_and(|(header, rest)| {
        matches!(header, [.., 0x08, 0x00] | [.., 0x86, 0xdd]) && looks_like_ip(rest)
    })
}

fn ethernet(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let (&[_, _, _, _, _, _, _, _, _, _, _, _, high, low], rest) = region.header()?;
    Ok(type_or_length([high, low], rest))
}

/// What follows an Ethernet type field, which may be a length.
fn type_or_length(field: [u8; 2], rest: Region<'_>) -> Next<'_> {
    let value = u16::from_be_bytes(field);
    if value > MAX_8023_LENGTH {
        return Next { layer: Layer::Typed(EtherType(value)), region: rest };
    }
    let len = usize::from(value).min(rest.wire());
    Next { layer: Layer::Llc, region: rest.with_length(len) }
}

fn typed<'a>(
    ether_type: EtherType,
    region: Region<'a>,
    path: &mut TunnelPath,
) -> Result<Next<'a>, Skip> {
    let layer = match ether_type {
        EtherType::IPV4 | EtherType::IPV6 => Layer::Ip,
        EtherType::VLAN_TAGGED_FRAME
        | EtherType::PROVIDER_BRIDGING
        | EtherType::VLAN_DOUBLE_TAGGED_FRAME => return vlan(region, path),
        MPLS | MPLS_UPSTREAM => Layer::Mpls,
        PPPOE_SESSION => Layer::Pppoe,
        EtherType::MACSEC => return macsec(region),
        BRIDGED_ETHERNET => Layer::Ethernet,
        _ => return Err(Skip::NotIp),
    };
    Ok(Next { layer, region })
}

fn vlan<'a>(region: Region<'a>, path: &mut TunnelPath) -> Result<Next<'a>, Skip> {
    push(path, Tunnel::Vlan)?;
    let (&[_, _, high, low], rest) = region.header()?;
    Ok(type_or_length([high, low], rest))
}

/// IEEE 802.1AE: integrity-only frames are read, encrypted ones cannot be. The
/// check value at the end goes with the padding behind the IP packet.
fn macsec(region: Region<'_>) -> Result<Next<'_>, Skip> {
    const CHANNEL_ID: u8 = 0x20;
    const ENCRYPTED_OR_CHANGED: u8 = 0x0c;
    let (&[control, _, _, _, _, _], rest) = region.header()?;
    if control & ENCRYPTED_OR_CHANGED != 0 {
        return Err(Skip::NotIp);
    }
    let rest = if control & CHANNEL_ID != 0 { rest.skip(8)? } else { rest };
    let (&field, rest) = rest.header()?;
    Ok(type_or_length(field, rest))
}

fn llc(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let (&service_points_and_control, rest) = region.header()?;
    match service_points_and_control {
        [0xaa, 0xaa, 0x03] => snap(rest),
        [0x06, 0x06, 0x03] => Ok(Next { layer: Layer::Ip, region: rest }),
        _ => Err(Skip::NotIp),
    }
}

/// SNAP (RFC 1042) with the organisation code of Ethernet types, or of the
/// IEEE 802.1H bridge tunnel.
fn snap(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let (&header, rest) = region.header()?;
    match header {
        [0, 0, 0 | 0xf8, high, low] => {
            let ether_type = EtherType(u16::from_be_bytes([high, low]));
            Ok(Next { layer: Layer::Typed(ether_type), region: rest })
        }
        _ => Err(Skip::NotIp),
    }
}

fn ppp(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let region = match region.captured() {
        [0xff, ..] => region.skip(2)?,
        _ => region,
    };
    // Protocol numbers end in an odd byte, so an odd first byte is a field
    // compressed to one byte (RFC 1661, section 2).
    let (protocol, region) = match *region.captured() {
        [low, ..] if low & 1 == 1 => (u16::from(low), region.skip(1)?),
        _ => {
            let (&field, rest) = region.header()?;
            (u16::from_be_bytes(field), rest)
        }
    };
    match protocol {
        0x0021 | 0x0057 => Ok(Next { layer: Layer::Ip, region }),
        0x0281 | 0x0283 => Ok(Next { layer: Layer::Mpls, region }),
        _ => Err(Skip::NotIp),
    }
}

fn pppoe<'a>(region: Region<'a>, path: &mut TunnelPath) -> Result<Next<'a>, Skip> {
    push(path, Tunnel::Pppoe)?;
    let (&[version_and_type, code, _, _, high, low], rest) = region.header()?;
    if version_and_type != 0x11 || code != 0 {
        return Err(Skip::NotIp);
    }
    let len = usize::from(u16::from_be_bytes([high, low])).min(rest.wire());
    Ok(Next { layer: Layer::Ppp, region: rest.with_length(len) })
}

fn cisco_hdlc(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let (&[_, _, high, low], rest) = region.header()?;
    Ok(Next { layer: Layer::Typed(EtherType(u16::from_be_bytes([high, low]))), region: rest })
}

fn mpls<'a>(region: Region<'a>, path: &mut TunnelPath) -> Result<Next<'a>, Skip> {
    push(path, Tunnel::Mpls)?;
    let mut region = region;
    loop {
        let (&[_, _, label_class_and_bottom, _], rest) = region.header()?;
        region = rest;
        if label_class_and_bottom & 1 == 1 {
            return under_labels(region);
        }
    }
}

/// Labels do not say what they are before; the first nibble does, mostly
/// (RFC 4928): 4 and 6 are IP, 0 is the control word of a pseudowire, 1 an
/// associated channel. Where it is the address of Ethernet without a control
/// word, it may be any of these.
fn under_labels(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let Some(first) = region.captured().first() else {
        return Err(region.lacks(1));
    };
    match first >> 4 {
        4 | 6 if !looks_like_ethernet(region) => Ok(Next { layer: Layer::Ip, region }),
        4 | 6 if looks_like_ip(region) && !is_ip_in_ethernet(region) => {
            Ok(Next { layer: Layer::Ip, region })
        }
        0 => {
            let behind_control_word = region.skip(4)?;
            let control_word =
                looks_like_ethernet(behind_control_word) || !looks_like_ethernet(region);
            let region = if control_word { behind_control_word } else { region };
            Ok(Next { layer: Layer::Ethernet, region })
        }
        1 if !looks_like_ethernet(region) => Err(Skip::NotIp),
        _ => Ok(Next { layer: Layer::Ethernet, region }),
    }
}

/// BSD loopback: an address family in the byte order of the host, which need not
/// be the byte order of this one (nor, in practice, of the link type).
fn loopback(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let (&family, rest) = region.header()?;
    let family = match family {
        [0, 0, 0, family] | [family, 0, 0, 0] => family,
        _ => return Err(Skip::NotIp),
    };
    // AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 23 on Windows, 24, 28
    // and 30 on the BSDs and macOS.
    match family {
        2 | 10 | 23 | 24 | 28 | 30 => Ok(Next { layer: Layer::Ip, region: rest }),
        _ => Err(Skip::NotIp),
    }
}

fn cooked(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let (&[.., high, low], rest) = region.header::<16>()?;
    Ok(cooked_protocol([high, low], rest))
}

fn cooked_v2(region: Region<'_>) -> Result<Next<'_>, Skip> {
    let (&[high, low, ..], rest) = region.header::<20>()?;
    Ok(cooked_protocol([high, low], rest))
}

fn cooked_protocol(field: [u8; 2], region: Region<'_>) -> Next<'_> {
    let layer = match u16::from_be_bytes(field) {
        COOKED_LLC => Layer::Llc,
        ether_type => Layer::Typed(EtherType(ether_type)),
    };
    Next { layer, region }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Malformed, Skip};
    use super::super::packet::TunnelPath;
    use super::super::samples::*;
    use crate::capture::LinkType;

    fn skip(data: &[u8]) -> Skip {
        match decode(LinkType::ETHERNET, data) {
            Decoded::Skipped(skip) => skip,
            packet => panic!("{packet:?}"),
        }
    }

    #[test]
    fn every_link_layer_leads_to_the_packet() {
        for sample in link_samples() {
            let expected = Decoded::request(sample.path);
            assert_eq!(decode(sample.link, &sample.data), expected, "{}", sample.name);
        }
    }

    #[test]
    fn what_is_not_ip_is_said_to_be_so() {
        let cases: &[(&str, Vec<u8>)] = &[
            ("arp", ethernet(0x0806, &[0; 28])),
            ("arp in vlan", ethernet(0x8100, &tag(0x0806, &[0; 28]))),
            ("unknown type", ethernet(0x1234, &[0; 46])),
            ("spanning tree", ethernet(38, &[0x42; 46])),
            ("snap of another organisation", ethernet(8, &[0xaa, 0xaa, 3, 0, 0, 12, 1, 11])),
            ("pppoe discovery", ethernet(0x8863, &[0x11, 9, 0, 0, 0, 0])),
            ("pppoe, not a session", ethernet(0x8864, &[0x11, 9, 0, 0, 0, 0])),
            ("ppp link control", ethernet(0x8864, &pppoe(&[0xc0, 0x21, 1, 1, 0, 4]))),
            ("macsec, encrypted", ethernet(0x88e5, &[0x0c; 40])),
            ("mpls associated channel", ethernet(0x8847, &mpls(1, &[0x10; 32]))),
        ];
        for (name, data) in cases {
            assert_eq!(skip(data), Skip::NotIp, "{name}");
        }
        assert_eq!(decode(LinkType::NULL, &[7; 40]), Decoded::Skipped(Skip::NotIp));
    }

    #[test]
    fn an_unknown_link_type_is_counted_as_such() {
        assert_eq!(decode(LinkType(105), &request()), Decoded::Skipped(Skip::UnsupportedLink));
    }

    #[test]
    fn tags_are_followed_to_the_limit_of_the_path() {
        let tagged = |depth| {
            (0..depth)
                .fold((IPV4, request()), |(ether_type, inner), _| (0x8100, tag(ether_type, &inner)))
        };
        let (ether_type, inner) = tagged(TunnelPath::MAX);
        assert_eq!(
            decode(LinkType::ETHERNET, &ethernet(ether_type, &inner)),
            Decoded::request(&["vlan"; TunnelPath::MAX].join("/"))
        );
        let (ether_type, inner) = tagged(TunnelPath::MAX + 1);
        assert_eq!(skip(&ethernet(ether_type, &inner)), Skip::TooDeep);
    }

    #[test]
    fn a_pseudowire_address_may_look_like_an_ip_version() {
        for first in [0x46, 0x60, 0x00, 0x10, 0xf2] {
            let mut bridged = ethernet(IPV4, &request());
            bridged[0] = first;
            let data = ethernet(0x8847, &mpls(1, &bridged));
            assert_eq!(decode(LinkType::ETHERNET, &data), Decoded::request("mpls"), "{first:#x}");
        }
    }

    #[test]
    fn a_label_stack_without_bottom_is_truncated() {
        let data = ethernet(0x8847, &[0, 1, 0, 64].repeat(300));
        assert_eq!(skip(&data), Skip::Malformed(Malformed::Truncated));
    }
}
