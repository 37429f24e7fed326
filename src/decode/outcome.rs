//! What became of a frame, and the counters of it.

use super::packet::Packet;

/// What became of a frame: of its bytes, `'f`, and of the decoder's own, `'d`.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'f, 'd> {
    /// A TCP segment or UDP datagram, which borrows from the frame alone: it may
    /// be kept while more frames are decoded.
    Packet(Packet<'f>),
    /// The same, put together from fragments, which borrows from the decoder: it
    /// has to be used, or its payload copied, before the next frame is decoded.
    Reassembled(Packet<'d>),
    /// No packet comes of this frame.
    Skipped(Skip),
}

/// Why no packet came of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// A fragment of a datagram that is not complete yet, or a copy of one.
    FragmentHeld,
    /// A fragment that found no room within [`DecodeLimits`](super::DecodeLimits).
    FragmentDropped,
    /// The link layer carries something other than IP (ARP, spanning tree, an
    /// encrypted frame).
    NotIp,
    /// IP carries something other than TCP, UDP or a tunnel that is followed.
    OtherTransport {
        /// The IP protocol number.
        protocol: u8,
    },
    /// The bytes contradict the protocol they claim to be.
    Malformed(Malformed),
    /// The frame was cut, by a snap length or by what mirrored it, before the end
    /// of the transport header.
    SnappedHeader,
    /// More encapsulations than [`TunnelPath::MAX`](super::TunnelPath::MAX), or
    /// too many fragmented datagrams inside one another.
    TooDeep,
    /// The link type is not one the decoder knows.
    UnsupportedLink,
}

/// How a frame contradicts the protocol it claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// A header runs past the end of the layer around it.
    Truncated,
    /// An IP version, header length or total length that cannot be.
    Ip,
    /// A fragment that is empty, reaches past 65,535 bytes, or contradicts where
    /// the datagram ends.
    Fragment,
    /// A TCP data offset of less than 5.
    Tcp,
    /// A UDP length of less than the header.
    Udp,
    /// A tunnel header of unknown version.
    Tunnel,
}

crate::counters! {
    /// What the decoder saw. Each frame counts under one outcome: the fields
    /// after `frames` up to `malformed_tunnel` add up to `frames`.
    pub struct DecodeCounters {
        /// Frames decoded.
        frames,
        /// Outcome: a TCP segment or UDP datagram.
        packets,
        /// Outcome: a fragment, kept until its datagram is complete.
        fragments_held,
        /// Outcome: a fragment dropped at a cap.
        fragments_dropped,
        /// Outcome: not IP.
        not_ip,
        /// Outcome: IP, but neither TCP, UDP nor a tunnel that is followed.
        other_transport,
        /// Outcome: cut before the end of the transport header.
        snapped_headers,
        /// Outcome: nested too deep.
        too_deep,
        /// Outcome: a link type that is not supported.
        unsupported_link,
        /// Outcome: a header ran past the end of the layer around it.
        malformed_truncated,
        /// Outcome: an IP header that cannot be.
        malformed_ip,
        /// Outcome: a fragment that cannot be.
        malformed_fragment,
        /// Outcome: a TCP header that cannot be.
        malformed_tcp,
        /// Outcome: a UDP header that cannot be.
        malformed_udp,
        /// Outcome: a tunnel header that cannot be.
        malformed_tunnel,
        /// Packets put together from fragments.
        packets_reassembled,
        /// Packets that came through a tunnel or a VLAN.
        packets_tunnelled,
        /// Packets of whose payload a part was not captured.
        packets_snapped,
        /// IP and UDP length fields that claim more than the layer around them
        /// holds; what is there is decoded and the rest counts as missing.
        length_overruns,
        /// Payloads on the port of a UDP tunnel that turned out not to be of that
        /// tunnel, and count as ordinary UDP.
        tunnel_fallbacks,
        /// Fragments that brought bytes which had come before.
        fragment_overlaps,
        /// Of these, the ones that brought different bytes; the first copy won.
        fragment_overlap_conflicts,
        /// Fragmented datagrams given up because they were not complete in time.
        fragment_datagrams_expired,
        /// Fragmented datagrams given up, oldest first, to stay within a cap.
        fragment_datagrams_evicted,
        /// Fragmented datagrams that were not complete when the input ended.
        fragment_datagrams_unfinished,
    }
}

impl<'p> Outcome<'p, 'p> {
    /// The packet, if there is one, wherever it borrows from.
    pub fn packet(self) -> Option<Packet<'p>> {
        match self {
            Self::Packet(packet) | Self::Reassembled(packet) => Some(packet),
            Self::Skipped(_) => None,
        }
    }

    /// The same where it lies: packets are large enough that copies show.
    #[inline]
    pub const fn as_packet(&self) -> Option<&Packet<'p>> {
        match self {
            Self::Packet(packet) | Self::Reassembled(packet) => Some(packet),
            Self::Skipped(_) => None,
        }
    }
}

impl DecodeCounters {
    /// The sum of the outcomes; equals `frames`.
    pub fn outcomes(&self) -> u64 {
        self.packets
            + self.fragments_held
            + self.fragments_dropped
            + self.not_ip
            + self.other_transport
            + self.snapped_headers
            + self.too_deep
            + self.unsupported_link
            + self.malformed()
    }

    /// The sum of the malformed frames.
    pub fn malformed(&self) -> u64 {
        self.malformed_truncated
            + self.malformed_ip
            + self.malformed_fragment
            + self.malformed_tcp
            + self.malformed_udp
            + self.malformed_tunnel
    }

    /// Counts a whole frame that gave a packet without a tunnel.
    #[inline]
    pub(super) fn count_plain(&mut self) {
        self.frames += 1;
        self.packets += 1;
    }

    /// Counts a frame that gave a packet.
    #[inline]
    pub(super) fn count_packet(&mut self, packet: &Packet<'_>) {
        self.frames += 1;
        self.packets += 1;
        self.packets_tunnelled += u64::from(!packet.tunnel.is_empty());
        self.packets_snapped += u64::from(packet.missing > 0);
    }

    /// Counts a frame that completed a packet.
    pub(super) fn count_reassembled(&mut self, packet: &Packet<'_>) {
        self.packets_reassembled += 1;
        self.count_packet(packet);
    }

    /// Counts a frame that gave none.
    pub(super) fn count_skip(&mut self, skip: Skip) {
        self.frames += 1;
        *self.of(skip) += 1;
    }

    fn of(&mut self, skip: Skip) -> &mut u64 {
        match skip {
            Skip::FragmentHeld => &mut self.fragments_held,
            Skip::FragmentDropped => &mut self.fragments_dropped,
            Skip::NotIp => &mut self.not_ip,
            Skip::OtherTransport { .. } => &mut self.other_transport,
            Skip::SnappedHeader => &mut self.snapped_headers,
            Skip::TooDeep => &mut self.too_deep,
            Skip::UnsupportedLink => &mut self.unsupported_link,
            Skip::Malformed(Malformed::Truncated) => &mut self.malformed_truncated,
            Skip::Malformed(Malformed::Ip) => &mut self.malformed_ip,
            Skip::Malformed(Malformed::Fragment) => &mut self.malformed_fragment,
            Skip::Malformed(Malformed::Tcp) => &mut self.malformed_tcp,
            Skip::Malformed(Malformed::Udp) => &mut self.malformed_udp,
            Skip::Malformed(Malformed::Tunnel) => &mut self.malformed_tunnel,
        }
    }
}
