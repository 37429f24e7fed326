//! Other captures of the same traffic: cut into other segments, disordered,
//! duplicated, wrapped, thinned out, stored in other formats.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mcpwatch::capture::{LinkType, PcapngWriter};
use mcpwatch::time::Timestamp;

use super::packet::{
    ACK, FIN, Frame, IPV4, IPV6, RST, SYN, Segment, TCP, be16, ethernet, ipv4, ipv6, pcap, udp,
};
use super::random::Random;

/// A way to capture the same traffic differently.
#[derive(Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) keeps: Keeps,
    make: fn(&[Frame], &mut Random) -> Vec<u8>,
}

/// What is left of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// All of it, each byte once.
    Everything,
    /// All of it, some bytes more than once.
    Repeated,
    /// Some of it.
    Part,
}

impl Variant {
    /// The capture made anew; the same for the same frames and variant.
    pub(crate) fn apply(&self, frames: &[Frame]) -> Vec<u8> {
        (self.make)(frames, &mut Random::new(self.name))
    }
}

/// All variants.
pub(crate) const VARIANTS: &[Variant] = &[
    // Segments.
    keeps_all("as it is", |f, _| plain(f.to_vec())),
    keeps_all("segments of 1 byte", |f, _| segments(f, |s| cut(s, || 1))),
    keeps_all("segments of 7 bytes", |f, _| segments(f, |s| cut(s, || 7))),
    keeps_all("segments of random length", |f, r| {
        segments(f, |s| {
            let limit = 1 + r.below(400);
            cut(s, || 1 + r.below(limit))
        })
    }),
    keeps_all("segments merged", |f, _| plain(render(merge(items(f))))),
    keeps_all("sequence numbers that wrap", |f, _| plain(render(wrap_sequence(items(f))))),
    keeps_all("without handshakes", |f, _| plain(without(f, |s| s.has(SYN)))),
    keeps_all("without endings", |f, _| plain(without_endings(f))),
    keeps_all("reordered", |f, r| plain(render(reorder(items(f), r)))),
    keeps_all("cut and reordered", |f, r| {
        let cut: Vec<Frame> = frames_of(f, |s| cut(s, || 200));
        plain(render(reorder(items(&cut), r)))
    }),
    // Bytes that come again.
    repeats("every frame twice", |f, _| {
        plain(f.iter().flat_map(|f| [f.clone(), f.clone()]).collect())
    }),
    repeats("overlapping segments", |f, r| plain(render(overlap(items(f), r)))),
    repeats("late retransmissions", |f, r| plain(render(retransmit(items(f), r)))),
    repeats("keep-alive probes", |f, r| plain(render(keep_alive(items(f), r)))),
    // Wrappings.
    keeps_all("VLAN", |f, _| wrapped(f, |f| vlan(f, &[(0x8100, 123)]))),
    keeps_all("QinQ", |f, _| wrapped(f, |f| vlan(f, &[(0x88a8, 200), (0x8100, 123)]))),
    keeps_all("MPLS", |f, _| wrapped(f, mpls)),
    keeps_all("PPPoE", |f, _| wrapped(f, pppoe)),
    keeps_all("GRE", |f, _| wrapped(f, gre)),
    keeps_all("GRE with Ethernet", |f, _| wrapped(f, |f| ip_tunnel(47, &[&[0, 0, 0x65, 0x58], f]))),
    keeps_all("ERSPAN I", |f, _| wrapped(f, |f| ip_tunnel(47, &[&[0, 0, 0x88, 0xbe], f]))),
    keeps_all("ERSPAN II", |f, _| wrapped(f, erspan2)),
    keeps_all("ERSPAN III", |f, _| wrapped(f, erspan3)),
    keeps_all("VXLAN", |f, _| wrapped(f, |f| vxlan(f, 5001))),
    keeps_all("VXLAN in VLAN in VXLAN", |f, _| {
        wrapped(f, |f| vxlan(&vlan(&vxlan(f, 5001), &[(0x8100, 9)]), 7))
    }),
    keeps_all("Geneve", |f, _| wrapped(f, geneve)),
    keeps_all("IP in IP", |f, _| wrapped(f, ip_in_ip)),
    keeps_all("GTP-U", |f, _| wrapped(f, gtp)),
    keeps_all("IPv6", |f, _| plain(render(to_ipv6(items(f))))),
    keeps_all("IPv6 with extension headers", |f, _| plain(with_extensions(f))),
    keeps_all("Teredo", |f, _| wrapped(&render(to_ipv6(items(f))), teredo)),
    keeps_all("IPv4 fragments", |f, r| plain(fragments(f, 64, r))),
    keeps_all("IPv6 fragments", |f, r| plain(fragments(&render(to_ipv6(items(f))), 256, r))),
    // Link types.
    keeps_all("raw IP", |f, _| linked(f, LinkType::RAW, |_, ip| ip.to_vec())),
    keeps_all("BSD loopback", |f, _| {
        linked(f, LinkType::NULL, |kind, ip| bsd(kind, ip, u32::to_le_bytes))
    }),
    keeps_all("OpenBSD loopback", |f, _| {
        linked(f, LinkType::LOOP, |kind, ip| bsd(kind, ip, u32::to_be_bytes))
    }),
    keeps_all("Linux cooked", |f, _| linked(f, LinkType::LINUX_SLL, cooked)),
    keeps_all("Linux cooked 2", |f, _| linked(f, LinkType::LINUX_SLL2, cooked2)),
    // Files.
    keeps_all("pcapng", |f, _| pcapng(f)),
    keeps_all("big-endian", |f, _| big_endian(f)),
    keeps_all("gzip", |f, _| gzip(&plain(f.to_vec()))),
    keeps_all("Zstandard", |f, _| zstd::encode_all(&plain(f.to_vec())[..], 1).unwrap()),
    // Thinned out.
    part("packets lost", |f, r| plain(f.iter().filter(|_| !r.once_in(40)).cloned().collect())),
    part("snap length 96", |f, _| plain(snapped(f, 96))),
    part("snap length 400", |f, _| plain(snapped(f, 400))),
    part("in mid-stream", |f, _| plain(f[f.len() / 3..].to_vec())),
    part("first half", |f, _| plain(f[..f.len() / 2].to_vec())),
    part("client's packets", |f, _| plain(one_side(f, true))),
    part("server's packets", |f, _| plain(one_side(f, false))),
    part("cut file", |f, _| {
        let whole = plain(f.to_vec());
        whole[..whole.len() * 2 / 3].to_vec()
    }),
];

type Make = fn(&[Frame], &mut Random) -> Vec<u8>;

const fn keeps_all(name: &'static str, make: Make) -> Variant {
    Variant { name, keeps: Keeps::Everything, make }
}

const fn repeats(name: &'static str, make: Make) -> Variant {
    Variant { name, keeps: Keeps::Repeated, make }
}

const fn part(name: &'static str, make: Make) -> Variant {
    Variant { name, keeps: Keeps::Part, make }
}

/// The IPv4 address that an IPv6 address was made of, if it was.
pub(crate) fn original(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6.octets()[..12] == PREFIX => {
            let [.., a, b, c, d] = v6.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        other => other,
    }
}

/// 2001:db8:64::/96 holds what was IPv4.
const PREFIX: [u8; 12] = [0x20, 0x01, 0x0d, 0xb8, 0, 0x64, 0, 0, 0, 0, 0, 0];

/// A frame: a TCP segment, or something else that passes as it is.
enum Item {
    Segment(Segment),
    Other(Frame),
}

type Way = (SocketAddr, SocketAddr);

fn items(frames: &[Frame]) -> Vec<Item> {
    frames
        .iter()
        .map(|frame| match Segment::parse(frame) {
            Some(segment) => Item::Segment(segment),
            None => Item::Other(frame.clone()),
        })
        .collect()
}

fn render(items: Vec<Item>) -> Vec<Frame> {
    items
        .into_iter()
        .map(|item| match item {
            Item::Segment(segment) => segment.frame(),
            Item::Other(frame) => frame,
        })
        .collect()
}

fn plain(frames: Vec<Frame>) -> Vec<u8> {
    pcap(LinkType::ETHERNET, &frames)
}

fn segments(frames: &[Frame], change: impl FnMut(&Segment) -> Vec<Segment>) -> Vec<u8> {
    plain(frames_of(frames, change))
}

fn frames_of(frames: &[Frame], mut change: impl FnMut(&Segment) -> Vec<Segment>) -> Vec<Frame> {
    let changed = items(frames).into_iter().flat_map(|item| match item {
        Item::Segment(segment) => change(&segment).into_iter().map(Item::Segment).collect(),
        other => vec![other],
    });
    render(changed.collect())
}

/// Cuts the payload of a segment into pieces of the lengths that `length` gives.
fn cut(segment: &Segment, mut length: impl FnMut() -> usize) -> Vec<Segment> {
    let whole = segment.payload.len();
    let mut from = 0;
    let mut parts = Vec::new();
    while from < whole {
        let to = whole.min(from + length());
        parts.push(segment.part(from, to));
        from = to;
    }
    if parts.is_empty() { vec![segment.clone()] } else { parts }
}

/// Joins segments that follow each other with nothing between them, as receive
/// offload does.
fn merge(items: Vec<Item>) -> Vec<Item> {
    let mut merged: Vec<Item> = Vec::new();
    for item in items {
        if let (Item::Segment(next), Some(Item::Segment(last))) = (&item, merged.last_mut())
            && next.way() == last.way()
            && next.seq == last.end()
            && !last.has(SYN | FIN | RST)
            && !next.has(SYN | RST)
            && last.payload.len() + next.payload.len() < 60_000
            && !last.payload.is_empty()
        {
            last.payload.extend(&next.payload);
            last.flags |= next.flags;
            last.ack = next.ack;
        } else {
            merged.push(item);
        }
    }
    merged
}

/// Shifts sequence numbers so that each direction wraps around zero soon after
/// its beginning.
fn wrap_sequence(items: Vec<Item>) -> Vec<Item> {
    let mut shift: BTreeMap<Way, u32> = BTreeMap::new();
    let shifted = items.into_iter().map(|item| match item {
        Item::Segment(mut segment) => {
            let begin = 0_u32.wrapping_sub(100);
            let own = *shift.entry(segment.way()).or_insert(begin.wrapping_sub(segment.seq));
            segment.seq = segment.seq.wrapping_add(own);
            if segment.has(ACK) {
                let begin = begin.wrapping_sub(segment.ack).wrapping_add(1);
                let theirs = *shift.entry(segment.back()).or_insert(begin);
                segment.ack = segment.ack.wrapping_add(theirs);
            }
            Item::Segment(segment)
        }
        other => other,
    });
    shifted.collect()
}

fn without(frames: &[Frame], gone: impl Fn(&Segment) -> bool) -> Vec<Frame> {
    let stays = |frame: &&Frame| !Segment::parse(frame).is_some_and(|segment| gone(&segment));
    frames.iter().filter(stays).cloned().collect()
}

/// FIN and RST flags are taken off; segments of nothing else are left out.
fn without_endings(frames: &[Frame]) -> Vec<Frame> {
    let bare = without(frames, |segment| segment.has(FIN | RST) && segment.payload.is_empty());
    frames_of(&bare, |segment| vec![Segment { flags: segment.flags & !FIN, ..segment.clone() }])
}

/// Shuffles runs of packets that went the same way with nothing in between.
fn reorder(items: Vec<Item>, random: &mut Random) -> Vec<Item> {
    let mut ordered: Vec<Item> = Vec::new();
    let mut run: Vec<Segment> = Vec::new();
    let mut end_run = |run: &mut Vec<Segment>, ordered: &mut Vec<Item>| {
        let times: Vec<i64> = run.iter().map(|segment| segment.nanos).collect();
        random.shuffle(run);
        let timed = run.drain(..).zip(times);
        ordered.extend(timed.map(|(segment, nanos)| Item::Segment(Segment { nanos, ..segment })));
    };
    for item in items {
        match item {
            Item::Segment(segment) if !segment.payload.is_empty() && !segment.has(FIN | RST) => {
                if run.len() == 8 || run.last().is_some_and(|last| last.way() != segment.way()) {
                    end_run(&mut run, &mut ordered);
                }
                run.push(segment);
            }
            other => {
                end_run(&mut run, &mut ordered);
                ordered.push(other);
            }
        }
    }
    end_run(&mut run, &mut ordered);
    ordered
}

/// Lets half of the segments begin some bytes early, with the same bytes.
fn overlap(items: Vec<Item>, random: &mut Random) -> Vec<Item> {
    let mut before: BTreeMap<Way, Segment> = BTreeMap::new();
    let overlapping = items.into_iter().map(|item| match item {
        Item::Segment(segment) => {
            let last = before.insert(segment.way(), segment.clone());
            let Some(last) = last.filter(|last| last.end() == segment.seq && !last.has(SYN)) else {
                return Item::Segment(segment);
            };
            let again = random.below(1 + last.payload.len().min(40));
            if segment.payload.is_empty() || random.once_in(2) {
                return Item::Segment(segment);
            }
            let tail = &last.payload[last.payload.len() - again..];
            Item::Segment(Segment {
                seq: segment.seq.wrapping_sub(again as u32),
                payload: [tail, &segment.payload].concat(),
                ..segment
            })
        }
        other => other,
    });
    overlapping.collect()
}

/// Sends some segments again, three packets later.
fn retransmit(items: Vec<Item>, random: &mut Random) -> Vec<Item> {
    let mut waiting: VecDeque<(usize, Segment)> = VecDeque::new();
    let mut sent = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let nanos = match &item {
            Item::Segment(segment) => segment.nanos,
            Item::Other(frame) => frame.nanos,
        };
        if let Item::Segment(segment) = &item
            && !segment.payload.is_empty()
            && random.once_in(3)
        {
            waiting.push_back((at + 3, segment.clone()));
        }
        sent.push(item);
        while waiting.front().is_some_and(|(due, _)| *due <= at) {
            let Some((_, segment)) = waiting.pop_front() else { break };
            sent.push(Item::Segment(Segment { nanos, ..segment }));
        }
    }
    sent
}

/// Puts keep-alive probes (RFC 1122, 4.2.3.6) before some segments: one byte of
/// garbage that was acknowledged long ago.
fn keep_alive(items: Vec<Item>, random: &mut Random) -> Vec<Item> {
    let mut probed = Vec::new();
    let mut known: BTreeMap<Way, u32> = BTreeMap::new();
    for item in items {
        if let Item::Segment(segment) = &item {
            let ready = known.get(&segment.way()).is_some_and(|bytes| *bytes > 0);
            if ready && segment.has(ACK) && !segment.has(SYN | RST) && random.once_in(4) {
                let seq = segment.seq.wrapping_sub(1);
                let payload = if random.once_in(2) { vec![0] } else { Vec::new() };
                let flags = ACK;
                probed.push(Item::Segment(Segment { seq, payload, flags, ..segment.clone() }));
            }
            *known.entry(segment.way()).or_default() += segment.payload.len() as u32;
        }
        probed.push(item);
    }
    probed
}

fn to_ipv6(items: Vec<Item>) -> Vec<Item> {
    let map = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..12].copy_from_slice(&PREFIX);
            bytes[12..].copy_from_slice(&v4.ip().octets());
            (Ipv6Addr::from(bytes), v4.port()).into()
        }
        v6 => v6,
    };
    let mapped = items.into_iter().map(|item| match item {
        Item::Segment(segment) => {
            Item::Segment(Segment { src: map(segment.src), dst: map(segment.dst), ..segment })
        }
        other => other,
    });
    mapped.collect()
}

/// IPv6 with hop-by-hop and destination options, of padding only.
fn with_extensions(frames: &[Frame]) -> Vec<Frame> {
    let extended = to_ipv6(items(frames)).into_iter().map(|item| match item {
        Item::Segment(segment) => {
            let (IpAddr::V6(src), IpAddr::V6(dst)) = (segment.src.ip(), segment.dst.ip()) else {
                panic!("not IPv6");
            };
            let hop_by_hop: &[u8] = &[60, 0, 1, 4, 0, 0, 0, 0];
            let destination: &[u8] = &[TCP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let payload = [hop_by_hop, destination, &segment.tcp()].concat();
            let ip = ipv6(src, dst, 0, &payload);
            Frame::new(segment.nanos, ethernet(&segment.macs, IPV6, &ip))
        }
        Item::Other(frame) => frame,
    });
    extended.collect()
}

/// IP fragments of `size` bytes; of every third datagram out of order.
fn fragments(frames: &[Frame], size: usize, random: &mut Random) -> Vec<Frame> {
    let mut fragmented = Vec::new();
    for (id, item) in items(frames).into_iter().enumerate() {
        let segment = match item {
            Item::Segment(segment) => segment,
            Item::Other(frame) => {
                fragmented.push(frame);
                continue;
            }
        };
        let tcp = segment.tcp();
        let count = tcp.len().div_ceil(size);
        let mut pieces: Vec<Frame> = tcp
            .chunks(size)
            .enumerate()
            .map(|(index, piece)| {
                let more = index + 1 < count;
                let (kind, ip) = fragment(&segment, id, index * size, more, piece);
                Frame::new(segment.nanos, ethernet(&segment.macs, kind, &ip))
            })
            .collect();
        if random.once_in(3) {
            random.shuffle(&mut pieces);
        }
        fragmented.extend(pieces);
    }
    fragmented
}

fn fragment(of: &Segment, id: usize, offset: usize, more: bool, piece: &[u8]) -> (u16, Vec<u8>) {
    match (of.src.ip(), of.dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let place = (offset / 8) as u16 | u16::from(more) << 13;
            (IPV4, ipv4(src, dst, TCP, id as u16, place, piece))
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let place = offset as u16 | u16::from(more);
            let id = (id as u32).to_be_bytes();
            let extension = [&[TCP, 0][..], &place.to_be_bytes(), &id, piece].concat();
            (IPV6, ipv6(src, dst, 44, &extension))
        }
        _ => panic!("addresses of two families"),
    }
}

/// Wraps each frame.
fn wrapped(frames: &[Frame], wrap: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let wrap = |frame: &Frame| Frame::new(frame.nanos, wrap(&frame.data));
    plain(frames.iter().map(wrap).collect())
}

fn vlan(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let tag = |(kind, id): &(u16, u16)| [kind.to_be_bytes(), id.to_be_bytes()].concat();
    let tags: Vec<u8> = tags.iter().flat_map(tag).collect();
    [&frame[..12], &tags, &frame[12..]].concat()
}

fn mpls(frame: &[u8]) -> Vec<u8> {
    if ip_of(frame).is_none() {
        return frame.to_vec();
    }
    let labels = [0x03, 0xe8, 0x10, 0x40, 0x00, 0x01, 0x11, 0x40];
    [&frame[..12], &[0x88, 0x47], &labels, &frame[14..]].concat()
}

fn pppoe(frame: &[u8]) -> Vec<u8> {
    let Some((kind, ip)) = ip_of(frame) else { return frame.to_vec() };
    let protocol = if kind == IPV4 { 0x21 } else { 0x57 };
    let length = (ip.len() as u16 + 2).to_be_bytes();
    [&frame[..12], &[0x88, 0x64, 0x11, 0, 0, 5], &length, &[0, protocol], ip].concat()
}

fn gre(frame: &[u8]) -> Vec<u8> {
    let Some((kind, ip)) = ip_of(frame) else { return frame.to_vec() };
    ip_tunnel(47, &[&[0x20, 0], &kind.to_be_bytes(), &[0, 0, 0, 42], ip])
}

fn erspan2(frame: &[u8]) -> Vec<u8> {
    ip_tunnel(47, &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &[0x10, 0, 0, 100, 0, 0, 0, 1], frame])
}

fn erspan3(frame: &[u8]) -> Vec<u8> {
    let header = [0x20, 0, 0, 100, 0, 0, 0, 1, 0, 0, 0, 0];
    ip_tunnel(47, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &header, frame])
}

fn vxlan(frame: &[u8], network: u32) -> Vec<u8> {
    let header = [&[8, 0, 0, 0][..], &(network << 8).to_be_bytes(), frame].concat();
    ip_tunnel(17, &[&udp(49_152, 4789, &header)])
}

/// Geneve (RFC 8926) with one option.
fn geneve(frame: &[u8]) -> Vec<u8> {
    let header = [2, 0, 0x65, 0x58, 0, 0, 42, 0];
    let option = [0x01, 0x02, 0x03, 1, 0, 0, 0, 0];
    ip_tunnel(17, &[&udp(49_152, 6081, &[&header[..], &option, frame].concat())])
}

fn ip_in_ip(frame: &[u8]) -> Vec<u8> {
    let Some((kind, ip)) = ip_of(frame) else { return frame.to_vec() };
    ip_tunnel(if kind == IPV4 { 4 } else { 41 }, &[ip])
}

fn gtp(frame: &[u8]) -> Vec<u8> {
    let Some((_, ip)) = ip_of(frame) else { return frame.to_vec() };
    let length = (ip.len() as u16).to_be_bytes();
    let datagram = [&[0x30, 0xff][..], &length, &[0, 0, 0, 7], ip].concat();
    ip_tunnel(17, &[&udp(2152, 2152, &datagram)])
}

fn teredo(frame: &[u8]) -> Vec<u8> {
    match ip_of(frame) {
        Some((IPV6, ip)) => ip_tunnel(17, &[&udp(50_000, 3544, ip)]),
        _ => frame.to_vec(),
    }
}

/// An IPv4 datagram between the ends of a tunnel, in Ethernet.
fn ip_tunnel(protocol: u8, payload: &[&[u8]]) -> Vec<u8> {
    let (from, to) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let outer = ipv4(from, to, protocol, 1, 0x4000, &payload.concat());
    ethernet(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], IPV4, &outer)
}

/// EtherType and datagram of a frame that holds IP.
fn ip_of(frame: &[u8]) -> Option<(u16, &[u8])> {
    let kind = be16(frame, 12).filter(|kind| [IPV4, IPV6].contains(kind))?;
    let ip = &frame[14..];
    let length = if kind == IPV4 { be16(ip, 2)? } else { 40 + be16(ip, 4)? };
    Some((kind, ip.get(..length.into())?))
}

/// The IP datagrams on another link layer; frames without IP are left out.
fn linked(frames: &[Frame], link: LinkType, header: fn(u16, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let frames: Vec<Frame> = frames
        .iter()
        .filter_map(|frame| {
            let (kind, ip) = ip_of(&frame.data)?;
            Some(Frame::new(frame.nanos, header(kind, ip)))
        })
        .collect();
    pcap(link, &frames)
}

fn bsd(kind: u16, ip: &[u8], order: fn(u32) -> [u8; 4]) -> Vec<u8> {
    [&order(if kind == IPV4 { 2 } else { 30 })[..], ip].concat()
}

fn cooked(kind: u16, ip: &[u8]) -> Vec<u8> {
    let header = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    [&header[..], &kind.to_be_bytes(), ip].concat()
}

fn cooked2(kind: u16, ip: &[u8]) -> Vec<u8> {
    let header = [0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    [&kind.to_be_bytes()[..], &header, ip].concat()
}

fn pcapng(frames: &[Frame]) -> Vec<u8> {
    let mut writer = PcapngWriter::new(Vec::new()).unwrap();
    let interfaces = [(); 2].map(|()| writer.interface(LinkType::ETHERNET).unwrap());
    for (frame, interface) in frames.iter().zip(interfaces.into_iter().cycle()) {
        let time = Timestamp::from_nanos(frame.nanos);
        writer.frame(interface, time, &frame.data, frame.original_len as u32).unwrap();
    }
    writer.finish().unwrap()
}

fn big_endian(frames: &[Frame]) -> Vec<u8> {
    let header = [0xa1b2_c3d4, 2 << 16 | 4, 0, 0, 262_144, LinkType::ETHERNET.0];
    let mut file: Vec<u8> = header.into_iter().flat_map(u32::to_be_bytes).collect();
    for frame in frames {
        let seconds = frame.nanos / 1_000_000_000;
        let micros = frame.nanos % 1_000_000_000 / 1_000;
        let lengths = [frame.data.len(), frame.original_len].map(|length| length as u32);
        let record = [seconds as u32, micros as u32, lengths[0], lengths[1]];
        file.extend(record.into_iter().flat_map(u32::to_be_bytes));
        file.extend(&frame.data);
    }
    file
}

/// gzip, in two members.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    [member(first), member(second)].concat()
}

fn snapped(frames: &[Frame], length: usize) -> Vec<Frame> {
    let cut = |frame: &Frame| {
        let data = frame.data[..frame.data.len().min(length)].to_vec();
        Frame { data, ..frame.clone() }
    };
    frames.iter().map(cut).collect()
}

/// The packets of those who opened connections, or of the others.
fn one_side(frames: &[Frame], client: bool) -> Vec<Frame> {
    let mut opened: BTreeMap<Way, bool> = BTreeMap::new();
    let keep = |frame: &&Frame| {
        let Some(segment) = Segment::parse(frame) else { return true };
        if segment.flags & (SYN | ACK) == SYN {
            opened.insert(segment.way(), true);
        }
        opened.contains_key(&segment.way()) == client
    };
    frames.iter().filter(keep).cloned().collect()
}
