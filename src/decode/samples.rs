//! Frames for the tests: builders that each wrap a payload in a header, and a
//! table of every way the decoder knows to carry [`request`].

use std::net::SocketAddr;

use super::outcome::{Outcome, Skip};
use super::packet::Transport;
use super::{DecodeCounters, DecodeLimits, Decoder};
use crate::capture::{Frame, LinkType, SourceId};
use crate::time::Timestamp;

pub(super) const BODY: &[u8] = br#"{"jsonrpc":"2.0","method":"ping"}"#;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const GRE: u8 = 47;
pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const BRIDGED: u16 = 0x6558;

/// A frame that carries [`BODY`] over TCP from port 40000 to port 8000.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) link: LinkType,
    pub(super) data: Vec<u8>,
    /// The tunnel path it shows.
    pub(super) path: &'static str,
}

/// An [`Outcome`] that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Packet {
        src: SocketAddr,
        dst: SocketAddr,
        tcp: bool,
        payload: Vec<u8>,
        missing: u32,
        path: String,
        reassembled: bool,
    },
    Skipped(Skip),
}

impl From<Outcome<'_, '_>> for Decoded {
    fn from(outcome: Outcome<'_, '_>) -> Self {
        let reassembled = matches!(outcome, Outcome::Reassembled(_));
        match outcome {
            Outcome::Packet(packet) | Outcome::Reassembled(packet) => Self::Packet {
                src: packet.src,
                dst: packet.dst,
                tcp: matches!(packet.transport, Transport::Tcp(_)),
                payload: packet.payload.to_vec(),
                missing: packet.missing,
                path: packet.tunnel.to_string(),
                reassembled,
            },
            Outcome::Skipped(skip) => Self::Skipped(skip),
        }
    }
}

impl Decoded {
    pub(super) const HELD: Self = Self::Skipped(Skip::FragmentHeld);
    pub(super) const DROPPED: Self = Self::Skipped(Skip::FragmentDropped);

    /// What a frame with [`request`] in it, over IPv4, decodes to.
    pub(super) fn request(path: &str) -> Self {
        Self::Packet {
            src: "10.0.0.1:40000".parse().unwrap(),
            dst: "10.0.0.2:8000".parse().unwrap(),
            tcp: true,
            payload: BODY.to_vec(),
            missing: 0,
            path: path.to_owned(),
            reassembled: false,
        }
    }

    pub(super) fn reassembled(mut self) -> Self {
        if let Self::Packet { reassembled, .. } = &mut self {
            *reassembled = true;
        }
        self
    }

    /// The same with only `captured` bytes of the payload captured.
    pub(super) fn snapped(mut self, captured: usize) -> Self {
        if let Self::Packet { payload, missing, .. } = &mut self {
            *missing += u32::try_from(payload.len() - captured).unwrap();
            payload.truncate(captured);
        }
        self
    }
}

pub(super) fn frame(link: LinkType, data: &[u8], wire: usize) -> Frame<'_> {
    Frame {
        number: 1,
        time: Timestamp::from_parts(0, 0),
        link,
        source: SourceId(0),
        data,
        original_len: u32::try_from(wire).unwrap(),
    }
}

/// Decodes a frame that was captured in full.
pub(super) fn decode(link: LinkType, data: &[u8]) -> Decoded {
    decode_snapped(link, data, data.len())
}

/// Decodes a frame of which `wire` bytes were on the wire.
pub(super) fn decode_snapped(link: LinkType, data: &[u8], wire: usize) -> Decoded {
    Decoder::new(DecodeLimits::default()).decode(&frame(link, data, wire)).into()
}

/// A small seeded generator (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// A decoder, with the frames it is given as raw IP at a time in seconds.
pub(super) struct Input {
    pub(super) decoder: Decoder,
    pub(super) now: i64,
}

impl Input {
    pub(super) fn new() -> Self {
        Self::with(DecodeLimits::default())
    }

    pub(super) fn with(limits: DecodeLimits) -> Self {
        Self { decoder: Decoder::new(limits), now: 1000 }
    }

    pub(super) fn feed(&mut self, packet: &[u8]) -> Decoded {
        self.feed_snapped(packet, packet.len())
    }

    pub(super) fn feed_snapped(&mut self, packet: &[u8], wire: usize) -> Decoded {
        let mut frame = frame(LinkType::RAW, packet, wire);
        frame.time = Timestamp::from_parts(self.now, 0);
        self.decoder.decode(&frame).into()
    }

    /// Feeds all; none but the last may give a packet.
    pub(super) fn feed_all(&mut self, packets: &[Vec<u8>]) -> Decoded {
        let (last, rest) = packets.split_last().unwrap();
        for packet in rest {
            assert_eq!(self.feed(packet), Decoded::HELD);
        }
        self.feed(last)
    }

    pub(super) fn counters(&self) -> &DecodeCounters {
        self.decoder.counters()
    }
}

/// The request in fragments of `size` bytes.
pub(super) fn in_fragments(size: usize) -> Vec<Vec<u8>> {
    cut(&tcp(BODY), size, |offset, more, part| ipv4_fragment(TCP, offset, more, part))
}

pub(super) fn cut(
    payload: &[u8],
    size: usize,
    fragment: impl Fn(usize, bool, &[u8]) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let parts = payload.chunks(size).enumerate();
    parts
        .map(|(index, part)| {
            let offset = index * size;
            fragment(offset, offset + part.len() < payload.len(), part)
        })
        .collect()
}

pub(super) fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(count - 1);
    shorter
        .iter()
        .flat_map(|order| {
            (0..count).map(move |at| {
                let mut order = order.clone();
                order.insert(at, count - 1);
                order
            })
        })
        .collect()
}

pub(super) fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn len16(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap().to_be_bytes()
}

/// The packet that all samples over IPv4 carry.
pub(super) fn request() -> Vec<u8> {
    ipv4([10, 0, 0, 1], [10, 0, 0, 2], TCP, &tcp(BODY))
}

pub(super) fn request_v6() -> Vec<u8> {
    ipv6(TCP, &tcp(BODY))
}

pub(super) fn tcp(payload: &[u8]) -> Vec<u8> {
    let header = [
        0x9c, 0x40, 0x1f, 0x40, // ports 40000, 8000
        0, 0, 0, 1, 0, 0, 0, 2, // sequence, acknowledgement
        0x80, 0x18, 0xff, 0xff, 0, 0, 0, 0, // 32 bytes, PSH and ACK
        1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, // timestamps
    ];
    cat(&[&header, payload])
}

pub(super) fn udp(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let len = len16(8 + payload.len());
    cat(&[&src_port.to_be_bytes(), &dst_port.to_be_bytes(), &len, &[0, 0], payload])
}

pub(super) fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = len16(20 + payload.len());
    let fixed = [0, 7, 0x40, 0, 64, protocol, 0, 0];
    cat(&[&[0x45, 0], &len, &fixed, &src, &dst, payload])
}

/// IPv4 between the ends of a tunnel.
pub(super) fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4([192, 0, 2, 1], [192, 0, 2, 2], protocol, payload)
}

/// A fragment of what [`ipv4`] would send from 10.0.0.1 to 10.0.0.2.
pub(super) fn ipv4_fragment(protocol: u8, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4([10, 0, 0, 1], [10, 0, 0, 2], protocol, payload);
    let field = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    packet
}

/// 2001:db8::1 to 2001:db8::2.
pub(super) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = len16(payload.len());
    let mut packet = cat(&[&[0x60, 0, 0, 0], &len, &[next, 64], &[0; 32], payload]);
    packet[8..12].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    packet[24..28].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    (packet[23], packet[39]) = (1, 2);
    packet
}

pub(super) fn ipv6_fragment(next: u8, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let field = u16::try_from(offset).unwrap() | u16::from(more);
    let header = cat(&[&[next, 0], &field.to_be_bytes(), &[0, 0, 0, 9]]);
    ipv6(44, &cat(&[&header, payload]))
}

pub(super) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &ether_type.to_be_bytes(), payload])
}

/// What follows the Ethernet type of a VLAN tag.
pub(super) fn tag(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&[0, 123], &ether_type.to_be_bytes(), payload])
}

pub(super) fn mpls(labels: usize, payload: &[u8]) -> Vec<u8> {
    let stack: Vec<u8> = (1..=labels)
        .flat_map(|label| [0, 1, if label == labels { 0x01 } else { 0x00 }, 64])
        .collect();
    cat(&[&stack, payload])
}

pub(super) fn pppoe(ppp: &[u8]) -> Vec<u8> {
    cat(&[&[0x11, 0, 0, 1], &len16(ppp.len()), ppp])
}

pub(super) fn gre(flags: u16, fields: &[u8], protocol: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&flags.to_be_bytes(), &protocol.to_be_bytes(), fields, payload])
}

pub(super) fn vxlan(payload: &[u8]) -> Vec<u8> {
    cat(&[&[0x08, 0, 0, 0, 0, 0, 42, 0], payload])
}

pub(super) fn geneve(option_words: u8, protocol: u16, payload: &[u8]) -> Vec<u8> {
    let options = vec![0xee; usize::from(option_words) * 4];
    cat(&[&[option_words, 0], &protocol.to_be_bytes(), &[0, 0, 42, 0], &options, payload])
}

/// GTP-U with these optional fields and extension headers.
pub(super) fn gtp_u(flags: u8, optional: &[u8], payload: &[u8]) -> Vec<u8> {
    let len = len16(optional.len() + payload.len());
    cat(&[&[0x30 | flags, 255], &len, &[0, 0, 0, 1], optional, payload])
}

/// Every link type and link-layer encapsulation.
pub(super) fn link_samples() -> Vec<Sample> {
    let sample = |name, link, data, path| Sample { name, link: LinkType(link), data, path };
    let request = &request();
    let llc_snap = cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], request]);
    let bridged = ethernet(IPV4, request);
    vec![
        sample("ethernet", 1, ethernet(IPV4, request), ""),
        sample(
            "ethernet, padded",
            1,
            ethernet(IPV4, &cat(&[request, b"padding and check sum"])),
            "",
        ),
        sample("802.3 snap", 1, ethernet(u16::try_from(llc_snap.len()).unwrap(), &llc_snap), ""),
        sample(
            "802.3 llc",
            1,
            ethernet(u16::try_from(3 + request.len()).unwrap(), &cat(&[&[6, 6, 3], request])),
            "",
        ),
        sample("vlan", 1, ethernet(0x8100, &tag(IPV4, request)), "vlan"),
        sample("qinq", 1, ethernet(0x88a8, &tag(0x8100, &tag(IPV4, request))), "vlan/vlan"),
        sample("qinq 0x9100", 1, ethernet(0x9100, &tag(0x8100, &tag(IPV4, request))), "vlan/vlan"),
        sample(
            "vlan, 802.3 snap",
            1,
            ethernet(0x8100, &tag(u16::try_from(llc_snap.len()).unwrap(), &llc_snap)),
            "vlan",
        ),
        sample(
            "macsec",
            1,
            ethernet(0x88e5, &cat(&[&[0, 0, 0, 0, 0, 1, 8, 0], request, &[0xcc; 16]])),
            "",
        ),
        sample(
            "macsec with channel",
            1,
            ethernet(
                0x88e5,
                &cat(&[&[0x20, 0, 0, 0, 0, 1], &[7; 8], &[8, 0], request, &[0xcc; 16]]),
            ),
            "",
        ),
        sample("mpls", 1, ethernet(0x8847, &mpls(3, request)), "mpls"),
        sample("mpls multicast", 1, ethernet(0x8848, &mpls(1, request)), "mpls"),
        sample(
            "pseudowire with control word",
            1,
            ethernet(0x8847, &mpls(2, &cat(&[&[0; 4], &bridged]))),
            "mpls",
        ),
        sample("pseudowire without control word", 1, ethernet(0x8847, &mpls(2, &bridged)), "mpls"),
        sample("pppoe", 1, ethernet(0x8864, &pppoe(&cat(&[&[0x00, 0x21], request]))), "pppoe"),
        sample(
            "pppoe in vlan",
            1,
            ethernet(0x8100, &tag(0x8864, &pppoe(&cat(&[&[0x21], request])))),
            "vlan/pppoe",
        ),
        sample("ppp", 9, cat(&[&[0x00, 0x21], request]), ""),
        sample("ppp, hdlc framing", 9, cat(&[&[0xff, 0x03, 0x00, 0x21], request]), ""),
        sample("ppp, mpls", 9, cat(&[&[0x02, 0x81], &mpls(1, request)]), "mpls"),
        sample("ppp over serial", 50, cat(&[&[0xff, 0x03, 0x00, 0x21], request]), ""),
        sample("cisco hdlc over serial", 50, cat(&[&[0x0f, 0, 8, 0], request]), ""),
        sample("pppoe link", 51, pppoe(&cat(&[&[0x00, 0x21], request])), "pppoe"),
        sample("cisco hdlc", 104, cat(&[&[0x0f, 0, 8, 0], request]), ""),
        sample("mpls link", 219, mpls(2, request), "mpls"),
        sample("raw", 101, request.clone(), ""),
        sample("raw, bsd", 12, request.clone(), ""),
        sample("raw, openbsd", 14, request.clone(), ""),
        sample("ipv4 link", 228, request.clone(), ""),
        sample("null, little endian", 0, cat(&[&[2, 0, 0, 0], request]), ""),
        sample("null, big endian", 0, cat(&[&[0, 0, 0, 2], request]), ""),
        sample("loop", 108, cat(&[&[0, 0, 0, 2], request]), ""),
        sample("cooked", 113, cat(&[&[0; 14], &[8, 0], request]), ""),
        sample("cooked, llc", 113, cat(&[&[0; 14], &[0, 4], &llc_snap]), ""),
        sample("cooked, vlan", 113, cat(&[&[0; 14], &[0x81, 0], &tag(IPV4, request)]), "vlan"),
        sample("cooked v2", 276, cat(&[&[8, 0], &[0; 18], request]), ""),
    ]
}

/// Every tunnel.
pub(super) fn tunnel_samples() -> Vec<Sample> {
    let mut samples = tunnel_samples_over_ipv4();
    samples.extend(tunnel_samples_over_ipv6());
    samples
}

fn tunnel_samples_over_ipv4() -> Vec<Sample> {
    let sample = |name, protocol, payload: Vec<u8>, path| Sample {
        name,
        link: LinkType::ETHERNET,
        data: ethernet(IPV4, &outer(protocol, &payload)),
        path,
    };
    let request = &request();
    let bridged = &ethernet(IPV4, request);
    let erspan_iii = |flags: [u8; 2], rest: &[u8]| cat(&[&[0x20; 10], &flags, rest]);
    let pptp = cat(&[&[0xff, 0x03, 0x00, 0x21], request]);
    let pptp_key = cat(&[&len16(pptp.len()), &[0, 1]]);
    vec![
        sample("gre", GRE, gre(0, &[], IPV4, request), "gre"),
        sample("gre, all fields", GRE, gre(0xb000, &[9; 12], IPV4, request), "gre"),
        sample(
            "gre, source routes",
            GRE,
            gre(0x4000, &[0, 0, 0, 0, 8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0], IPV4, request),
            "gre",
        ),
        sample("gre, ethernet", GRE, gre(0x2000, &[0, 0, 1, 0], BRIDGED, bridged), "gre"),
        sample("gre, mpls", GRE, gre(0, &[], 0x8847, &mpls(1, request)), "gre/mpls"),
        sample("gre, vlan", GRE, gre(0, &[], 0x8100, &tag(IPV4, request)), "gre/vlan"),
        sample("gre, wccp", GRE, gre(0, &[], 0x883e, request), "gre"),
        sample("gre, wccp v2", GRE, gre(0, &[], 0x883e, &cat(&[&[0; 4], request])), "gre"),
        sample("pptp", GRE, gre(0x3001, &cat(&[&pptp_key, &[0; 4]]), 0x880b, &pptp), "gre"),
        sample(
            "pptp with acknowledgement",
            GRE,
            gre(0x3081, &cat(&[&pptp_key, &[0; 8]]), 0x880b, &pptp),
            "gre",
        ),
        sample("erspan i", GRE, gre(0, &[], 0x88be, bridged), "gre/erspan"),
        sample(
            "erspan ii",
            GRE,
            gre(0x1000, &[0; 4], 0x88be, &cat(&[&[0x10, 1, 0, 100, 0, 0, 0, 0], bridged])),
            "gre/erspan",
        ),
        sample(
            "erspan iii",
            GRE,
            gre(0x1000, &[0; 4], 0x22eb, &erspan_iii([0, 0], bridged)),
            "gre/erspan",
        ),
        sample(
            "erspan iii, platform subheader",
            GRE,
            gre(0x1000, &[0; 4], 0x22eb, &erspan_iii([0, 1], &cat(&[&[5; 8], bridged]))),
            "gre/erspan",
        ),
        sample(
            "erspan iii, ip",
            GRE,
            gre(0x1000, &[0; 4], 0x22eb, &erspan_iii([0x08, 0], request)),
            "gre/erspan",
        ),
        sample("ip in ip", 4, request.clone(), "ipip"),
        sample("mpls in ip", 137, mpls(1, request), "mpls"),
        sample("vxlan", UDP, udp(50000, 4789, &vxlan(bridged)), "vxlan"),
        sample("vxlan, old port", UDP, udp(50000, 8472, &vxlan(bridged)), "vxlan"),
        sample("vxlan, by source port", UDP, udp(4789, 50000, &vxlan(bridged)), "vxlan"),
        sample(
            "vxlan, group policy",
            UDP,
            udp(50000, 4789, &cat(&[&[0x88, 0, 0, 5, 0, 0, 42, 0], bridged])),
            "vxlan",
        ),
        sample(
            "vxlan gpe, ip",
            UDP,
            udp(50000, 4790, &cat(&[&[0x0c, 0, 0, 1, 0, 0, 42, 0], request])),
            "vxlan",
        ),
        sample(
            "vxlan gpe, ethernet",
            UDP,
            udp(50000, 4790, &cat(&[&[0x0c, 0, 0, 3, 0, 0, 42, 0], bridged])),
            "vxlan",
        ),
        sample("geneve", UDP, udp(50000, 6081, &geneve(0, BRIDGED, bridged)), "geneve"),
        sample("geneve, options", UDP, udp(50000, 6081, &geneve(5, BRIDGED, bridged)), "geneve"),
        sample("geneve, ip", UDP, udp(50000, 6081, &geneve(1, IPV4, request)), "geneve"),
        sample("gtp-u", UDP, udp(2152, 2152, &gtp_u(0, &[], request)), "gtpu"),
        sample(
            "gtp-u, sequence number",
            UDP,
            udp(2152, 2152, &gtp_u(2, &[0, 7, 0, 0], request)),
            "gtpu",
        ),
        sample(
            "gtp-u, extensions",
            UDP,
            udp(
                2152,
                2152,
                &gtp_u(4, &[0, 7, 0, 0x85, 1, 16, 9, 0xc0, 2, 1, 2, 3, 4, 5, 6, 0], request),
            ),
            "gtpu",
        ),
        sample(
            "tunnels in tunnels",
            UDP,
            udp(
                50000,
                4789,
                &vxlan(&ethernet(
                    0x8100,
                    &tag(
                        IPV4,
                        &outer(GRE, &gre(0, &[], BRIDGED, &ethernet(IPV4, &outer(4, request)))),
                    ),
                )),
            ),
            "vxlan/vlan/gre/ipip",
        ),
    ]
}

/// Tunnels over IPv6.
fn tunnel_samples_over_ipv6() -> Vec<Sample> {
    let sample = |name, next, payload: Vec<u8>, path| Sample {
        name,
        link: LinkType::ETHERNET,
        data: ethernet(IPV6, &ipv6(next, &payload)),
        path,
    };
    let request = &request();
    let vxlan = vxlan(&ethernet(IPV4, request));
    vec![
        sample("ipv4 in ipv6", 4, request.clone(), "ipip"),
        sample("gre over ipv6", GRE, gre(0, &[], IPV4, request), "gre"),
        sample("vxlan over ipv6", UDP, udp(50000, 4789, &vxlan), "vxlan"),
    ]
}

/// Every sample over IPv4, whose outcome is [`Decoded::request`].
pub(super) fn samples() -> Vec<Sample> {
    let mut samples = link_samples();
    samples.extend(tunnel_samples());
    samples
}

/// Samples whose innermost packet is IPv6.
pub(super) fn ipv6_samples() -> Vec<Sample> {
    let sample = |name, link, data, path| Sample { name, link: LinkType(link), data, path };
    let request = &request_v6();
    let teredo = |indications: &[u8]| {
        ethernet(IPV4, &outer(UDP, &udp(50000, 3544, &cat(&[indications, request]))))
    };
    let extended = |first, headers: &[u8]| ipv6(first, &cat(&[headers, &tcp(BODY)]));
    vec![
        sample("ethernet", 1, ethernet(IPV6, request), ""),
        sample("raw", 101, request.clone(), ""),
        sample("ipv6 link", 229, request.clone(), ""),
        sample("ppp", 9, cat(&[&[0x00, 0x57], request]), ""),
        sample("null, macos", 0, cat(&[&[30, 0, 0, 0], request]), ""),
        sample("null, freebsd, big endian", 0, cat(&[&[0, 0, 0, 28], request]), ""),
        sample("mpls", 1, ethernet(0x8847, &mpls(1, request)), "mpls"),
        sample("gre", 1, ethernet(IPV4, &outer(GRE, &gre(0, &[], IPV6, request))), "gre"),
        sample("6in4", 1, ethernet(IPV4, &outer(41, request)), "ipip"),
        sample("ipv6 in ipv6", 1, ethernet(IPV6, &ipv6(41, request)), "ipip"),
        sample("teredo", 1, teredo(&[]), "teredo"),
        sample("teredo, origin", 1, teredo(&[0, 0, 1, 2, 3, 4, 5, 6]), "teredo"),
        sample(
            "teredo, authentication and origin",
            1,
            teredo(&cat(&[&[0, 1, 2, 3, 9, 9, 8, 8, 8], &[7; 8], &[0], &[0; 8]])),
            "teredo",
        ),
        sample(
            "gtp-u",
            1,
            ethernet(IPV4, &outer(UDP, &udp(2152, 2152, &gtp_u(0, &[], request)))),
            "gtpu",
        ),
        sample("hop-by-hop", 101, extended(0, &[TCP, 0, 1, 4, 0, 0, 0, 0]), ""),
        sample("routing", 101, extended(43, &[TCP, 0, 4, 0, 0, 0, 0, 0]), ""),
        sample("destination options", 101, extended(60, &cat(&[&[TCP, 1], &[1; 14]])), ""),
        sample("authentication", 101, extended(51, &cat(&[&[TCP, 4], &[1; 22]])), ""),
        sample("mobility", 101, extended(135, &[TCP, 0, 0, 0, 0, 0, 0, 0]), ""),
        sample("whole in a fragment header", 101, ipv6_fragment(TCP, 0, false, &tcp(BODY)), ""),
        sample(
            "chain",
            101,
            extended(
                0,
                &cat(&[
                    &[43, 0, 1, 4, 0, 0, 0, 0],
                    &[60, 0, 4, 0, 0, 0, 0, 0],
                    &[44, 0, 1, 4, 0, 0, 0, 0],
                    &[TCP, 0, 0, 0, 0, 0, 0, 1],
                ]),
            ),
            "",
        ),
    ]
}
