//! The decoder: drives a frame through the stages.

use std::time::Duration;

use etherparse::IpNumber;

use super::datagram::{Fragment, Key};
use super::defrag::FragmentPool;
use super::link::{self, Layer, Next};
use super::network::{self, IpPacket, MPLS_IN_IP, Position};
use super::outcome::{DecodeCounters, Outcome, Skip};
use super::packet::{Packet, Tunnel, TunnelPath};
use super::plain::PlainSegment;
use super::region::Region;
use super::transport::{self, Segment};
use super::tunnel;
use crate::capture::Frame;
use crate::time::Timestamp;

/// How many fragmented datagrams may lie inside one another (a fragmented tunnel
/// that carries fragments).
const MAX_NESTED_DATAGRAMS: usize = 4;

/// How much the decoder keeps of fragmented datagrams. One datagram never takes
/// more than 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The most datagrams that are kept at a time; the oldest make room.
    pub fragment_datagrams: usize,
    /// The most bytes that are kept at a time, with what it takes to keep them;
    /// the oldest datagrams make room. Buffers grow by doubling, so at worst
    /// twice as much memory is held.
    pub fragment_bytes: usize,
    /// How long, in capture time, a datagram may take from the first fragment to
    /// the last.
    pub fragment_timeout: Duration,
}

impl Default for DecodeLimits {
    /// 4,096 datagrams, 16 MiB, 30 seconds (as Linux has it).
    fn default() -> Self {
        Self {
            fragment_datagrams: 4096,
            fragment_bytes: 16 << 20,
            fragment_timeout: Duration::from_secs(30),
        }
    }
}

/// Turns frames into packets. Keeps nothing of a frame but fragments.
#[derive(Debug)]
pub struct Decoder {
    pub(super) fragments: FragmentPool,
    /// Where datagrams are put together: one for each level of nesting.
    buffers: [Vec<u8>; MAX_NESTED_DATAGRAMS],
    counters: DecodeCounters,
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: DecodeLimits) -> Self {
        Self {
            fragments: FragmentPool::new(limits),
            buffers: Default::default(),
            counters: DecodeCounters::default(),
        }
    }

    /// Decodes a frame. A packet borrows from the frame alone, or from the decoder
    /// alone if it was put together from fragments.
    pub fn decode<'f, 'd>(&'d mut self, frame: &Frame<'f>) -> Outcome<'f, 'd> {
        self.decode_at(frame, frame.time)
    }

    /// [`Decoder::decode`] where fragments go by another time than that in the
    /// capture, as the clock there may have been set.
    pub fn decode_at<'f, 'd>(&'d mut self, frame: &Frame<'f>, time: Timestamp) -> Outcome<'f, 'd> {
        if let Some(segment) = PlainSegment::of(frame) {
            self.counters.count_plain();
            return Outcome::Packet(segment.packet(frame));
        }
        self.decode_stepwise(frame, time)
    }

    /// [`Decoder::decode_at`] of a frame of any kind, stage by stage.
    pub(crate) fn decode_stepwise<'f, 'd>(
        &'d mut self,
        frame: &Frame<'f>,
        time: Timestamp,
    ) -> Outcome<'f, 'd> {
        let path = TunnelPath::default();
        let mut walk = Walk { frame, time, counters: &mut self.counters, path };
        let reached = match walk.enter(Region::new(frame.data, frame.original_len as usize)) {
            Ok(Reached::Packet(packet)) => {
                self.counters.count_packet(&packet);
                return Outcome::Packet(packet);
            }
            Ok(Reached::Fragment(ip, position)) => {
                walk.reassemble(ip, position, &mut self.fragments, &mut self.buffers)
            }
            Err(skip) => Err(skip),
        };
        match reached {
            Ok(packet) => {
                self.counters.count_reassembled(&packet);
                Outcome::Reassembled(packet)
            }
            Err(skip) => {
                self.counters.count_skip(skip);
                Outcome::Skipped(skip)
            }
        }
    }

    /// Counts a frame that was found to be a [`PlainSegment`] elsewhere.
    #[inline]
    pub(crate) fn count_plain(&mut self) {
        self.counters.count_plain();
    }

    /// Gives up the datagrams that are not complete, at the end of the input.
    pub fn finish(&mut self) {
        self.fragments.clear(&mut self.counters);
    }

    /// What was seen so far.
    pub fn counters(&self) -> &DecodeCounters {
        &self.counters
    }
}

/// The way of one frame through the stages.
struct Walk<'w> {
    frame: &'w Frame<'w>,
    /// When it came, as fragments count it.
    time: Timestamp,
    counters: &'w mut DecodeCounters,
    path: TunnelPath,
}

/// Where the way ends: at a transport payload, or at a part of one.
enum Reached<'p> {
    Packet(Packet<'p>),
    Fragment(IpPacket<'p>, Position),
}

impl Walk<'_> {
    /// From the first byte of the frame.
    #[inline]
    fn enter<'p>(&mut self, frame: Region<'p>) -> Result<Reached<'p>, Skip> {
        let next = link::enter(self.frame.link, frame)?;
        let ip = self.ip_packet(next)?;
        self.follow(ip)
    }

    /// From an IP packet, through the tunnels inside.
    #[inline]
    fn follow<'p>(&mut self, mut ip: IpPacket<'p>) -> Result<Reached<'p>, Skip> {
        loop {
            if let Some(position) = ip.fragment {
                return Ok(Reached::Fragment(ip, position));
            }
            // What a UDP datagram is should it turn out to be no tunnel after all.
            let mut plain_udp = None;
            let next = match ip.protocol {
                IpNumber::TCP => {
                    let tcp = transport::tcp(ip.payload)?;
                    return Ok(Reached::Packet(self.packet(&ip, &tcp)));
                }
                IpNumber::UDP => {
                    let udp = transport::udp(ip.payload, self.counters)?;
                    let packet = self.packet(&ip, &udp);
                    let Some((tunnel, inner)) =
                        tunnel::over_udp(udp.src_port, udp.dst_port, udp.payload)
                    else {
                        return Ok(Reached::Packet(packet));
                    };
                    link::push(&mut self.path, tunnel)?;
                    plain_udp = Some(packet);
                    inner
                }
                IpNumber::GRE => tunnel::gre(ip.payload, &mut self.path)?,
                IpNumber::IPV4 | IpNumber::IPV6 => {
                    link::push(&mut self.path, Tunnel::IpInIp)?;
                    Next { layer: Layer::Ip, region: ip.payload }
                }
                MPLS_IN_IP => Next { layer: Layer::Mpls, region: ip.payload },
                other => return Err(Skip::OtherTransport { protocol: other.0 }),
            };
            ip = match (self.ip_packet(next), plain_udp) {
                (Ok(ip), _) => ip,
                (Err(Skip::Malformed(_)), Some(packet)) => {
                    self.counters.tunnel_fallbacks += 1;
                    return Ok(Reached::Packet(packet));
                }
                (Err(skip), _) => return Err(skip),
            };
        }
    }

    /// The IP packet that `next` leads to.
    #[inline]
    fn ip_packet<'p>(&mut self, next: Next<'p>) -> Result<IpPacket<'p>, Skip> {
        let region = link::descend(next, &mut self.path)?;
        network::read(region, self.counters)
    }

    /// From a fragment, if it completes its datagram; and from any fragment that
    /// lies inside that.
    #[cold]
    fn reassemble<'d>(
        &mut self,
        ip: IpPacket<'_>,
        position: Position,
        pool: &mut FragmentPool,
        buffers: &'d mut [Vec<u8>],
    ) -> Result<Packet<'d>, Skip> {
        let (mut ip, mut position) = (ip, position);
        for buffer in buffers {
            let whole = pool.add(&self.fragment(&ip, position)?, buffer, self.counters)?;
            let mut datagram = IpPacket {
                src: ip.src,
                dst: ip.dst,
                protocol: whole.protocol,
                payload: Region::new(buffer, whole.wire),
                fragment: None,
            };
            datagram.pass_extensions()?;
            (ip, position) = match self.follow(datagram)? {
                Reached::Packet(packet) => return Ok(packet),
                Reached::Fragment(ip, position) => (ip, position),
            };
        }
        Err(Skip::TooDeep)
    }

    fn fragment<'p>(&self, ip: &IpPacket<'p>, position: Position) -> Result<Fragment<'p>, Skip> {
        if !network::is_followed(ip.protocol) {
            return Err(Skip::OtherTransport { protocol: ip.protocol.0 });
        }
        let key = Key {
            src: ip.src,
            dst: ip.dst,
            identification: position.identification,
            protocol: ip.src.is_ipv4().then_some(ip.protocol),
            path: self.path,
        };
        Ok(Fragment { key, position, protocol: ip.protocol, payload: ip.payload, time: self.time })
    }

    #[inline]
    fn packet<'p>(&self, ip: &IpPacket<'p>, segment: &Segment<'p>) -> Packet<'p> {
        Packet {
            number: self.frame.number,
            time: self.frame.time,
            source: self.frame.source,
            src: (ip.src, segment.src_port).into(),
            dst: (ip.dst, segment.dst_port).into(),
            transport: segment.transport,
            payload: segment.payload.captured(),
            missing: segment.payload.missing(),
            tunnel: self.path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Malformed;
    use super::super::samples::*;
    use super::*;
    use crate::capture::LinkType;

    fn new() -> Decoder {
        Decoder::new(DecodeLimits::default())
    }

    fn all_samples() -> Vec<Sample> {
        let mut all = samples();
        all.extend(ipv6_samples());
        all
    }

    /// Whether a cut frame gave what it may give: the start of the body with the
    /// rest missing, the UDP datagram around a tunnel whose header was cut, or
    /// one of `skips`.
    fn is_honest(sample: &Sample, decoded: &Decoded, skips: &[Skip]) -> bool {
        match decoded {
            Decoded::Packet { dst, payload, missing, path, tcp: true, .. } => {
                dst.port() == 8000
                    && *path == sample.path
                    && BODY.starts_with(payload)
                    && payload.len() + usize::try_from(*missing).unwrap() == BODY.len()
            }
            Decoded::Packet { tcp: false, path, .. } => path.len() < sample.path.len(),
            Decoded::Skipped(skip) => skips.contains(skip),
        }
    }

    #[test]
    fn a_snapped_frame_tells_what_is_missing_in_every_encapsulation() {
        for sample in all_samples() {
            let body_at = sample.data.windows(BODY.len()).position(|at| at == BODY).unwrap();
            let whole = decode(sample.link, &sample.data);
            for len in 0..sample.data.len() {
                let cut = decode_snapped(sample.link, &sample.data[..len], sample.data.len());
                let name = sample.name;
                assert!(is_honest(&sample, &cut, &[Skip::SnappedHeader]), "{name} {len}: {cut:?}");
                if len >= body_at {
                    let captured = (len - body_at).min(BODY.len());
                    assert_eq!(cut, whole.clone().snapped(captured), "{name} {len}");
                }
            }
        }
    }

    #[test]
    fn a_truncated_frame_gives_what_is_there() {
        for sample in all_samples() {
            for len in 0..sample.data.len() {
                let cut = decode(sample.link, &sample.data[..len]);
                // Behind an IP header the length in it tells that more was sent.
                let skips = [Skip::Malformed(Malformed::Truncated), Skip::SnappedHeader];
                assert!(is_honest(&sample, &cut, &skips), "{} {len}: {cut:?}", sample.name);
            }
        }
    }

    #[test]
    fn every_frame_has_one_outcome_that_is_counted() {
        let mut decoder = new();
        let mut frames = 0;
        for sample in all_samples() {
            for len in 0..=sample.data.len() {
                frames += 1;
                let before = *decoder.counters();
                let outcome = decoder.decode(&frame(sample.link, &sample.data[..len], len));
                let packet = matches!(outcome, Outcome::Packet(_));
                let counters = decoder.counters();
                assert_eq!(counters.packets - before.packets, u64::from(packet));
                assert_eq!((counters.frames, counters.outcomes()), (frames, frames));
            }
        }
    }

    #[test]
    fn packets_outlive_the_next_call_unless_reassembled() {
        let data = request();
        let mut decoder = new();
        let packets: Vec<_> = (0..3)
            .filter_map(|_| match decoder.decode(&frame(LinkType::RAW, &data, data.len())) {
                Outcome::Packet(packet) => Some(packet),
                _ => None,
            })
            .collect();
        assert!(packets.iter().all(|packet| packet.payload == BODY));
        assert_eq!(packets.len(), 3);
    }

    #[test]
    fn counters_tell_tunnels_and_snapped_packets() {
        let mut decoder = new();
        let data = ethernet(0x8100, &tag(IPV4, &request()));
        decoder.decode(&frame(
            crate::capture::LinkType::ETHERNET,
            &data[..data.len() - 1],
            data.len(),
        ));
        let expected = DecodeCounters {
            frames: 1,
            packets: 1,
            packets_tunnelled: 1,
            packets_snapped: 1,
            ..Default::default()
        };
        assert_eq!(*decoder.counters(), expected);
    }

    #[test]
    fn altered_frames_are_survived() {
        let samples = all_samples();
        let mut random = Random(1);
        let mut decoder = new();
        for round in 0..40_000 {
            let sample = &samples[random.below(samples.len())];
            let mut data = sample.data.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(data.len());
                data[at] = match random.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => data[at] ^ (1 << random.below(8)),
                    _ => random.byte(),
                };
            }
            data.truncate(random.below(data.len()) + 1);
            let wire = data.len() + random.below(3) * random.below(2000);
            let outcome = decoder.decode(&frame(sample.link, &data, wire));
            if let Outcome::Packet(packet) = outcome {
                let start = data.as_ptr_range();
                assert!(start.contains(&packet.payload.as_ptr()) || packet.payload.is_empty());
            }
            assert_eq!(decoder.counters().outcomes(), round + 1);
        }
    }

    #[test]
    fn noise_is_survived() {
        const LINKS: &[u32] = &[0, 1, 9, 12, 50, 51, 101, 104, 108, 113, 219, 228, 229, 276, 999];
        const STARTS: &[&[u8]] = &[&[], &[0x45, 0, 0, 0], &[0x60], &[0xff, 0x03], &[0; 12]];
        let mut random = Random(2);
        let mut decoder = new();
        for round in 0..40_000 {
            let noise: Vec<u8> = (0..random.below(200)).map(|_| random.byte()).collect();
            let data = cat(&[STARTS[random.below(STARTS.len())], &noise]);
            let link = LinkType(LINKS[random.below(LINKS.len())]);
            decoder.decode(&frame(link, &data, data.len() + random.below(100)));
            assert_eq!(decoder.counters().outcomes(), round + 1);
        }
    }
}
