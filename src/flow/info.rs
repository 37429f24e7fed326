//! What is known of a flow: endpoints, orientation, times, counts, flags.

use std::net::SocketAddr;

use super::community_id::community_id;
use super::five_tuple::{FlowKey, Protocol, Side};
use crate::capture::SourceId;
use crate::decode::{Packet, TcpFlags, Transport, TunnelPath};
use crate::stream::Direction;
use crate::time::Timestamp;

/// Where and when a packet was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketRef {
    /// Where it was captured.
    pub source: SourceId,
    /// Its number there, from 1.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
}

impl From<&Packet<'_>> for PacketRef {
    fn from(packet: &Packet<'_>) -> Self {
        Self { source: packet.source, number: packet.number, time: packet.time }
    }
}

/// What is known of a flow, given to every [`FlowHandler`](super::FlowHandler)
/// call; the handler may turn the flow round or dismiss it.
#[derive(Clone, Debug)]
pub struct FlowInfo {
    id: u64,
    key: FlowKey,
    client: Side,
    client_certain: bool,
    dismissed: [bool; 2],
    pub(super) midstream: bool,
    pub(super) overlap_conflict: bool,
    pub(super) gaps: u32,
    packets: u64,
    bytes: [u64; 2],
    current: PacketRef,
    first: PacketRef,
    tunnel: TunnelPath,
}

impl FlowInfo {
    /// A flow that `packet` opens, itself not counted yet. The client is who
    /// sent a SYN or is sent a SYN-ACK; else, as a guess, who sent the first
    /// datagram (UDP) or has the higher port (TCP).
    pub fn new(id: u64, packet: &Packet<'_>) -> Self {
        let (key, sender) = FlowKey::of(packet);
        Self::with_key(id, packet, key, sender)
    }

    pub(super) fn with_key(id: u64, packet: &Packet<'_>, key: FlowKey, sender: Side) -> Self {
        let (client, client_certain) = match packet.transport {
            Transport::Udp => (sender, false),
            Transport::Tcp(header) if header.flags.contains(TcpFlags::SYN) => {
                let answers = header.flags.contains(TcpFlags::ACK);
                (if answers { sender.other() } else { sender }, true)
            }
            Transport::Tcp(_) => (higher_port(&key).unwrap_or(sender), false),
        };
        Self {
            id,
            key,
            client,
            client_certain,
            dismissed: [false; 2],
            midstream: false,
            overlap_conflict: false,
            gaps: 0,
            packets: 0,
            bytes: [0; 2],
            current: packet.into(),
            first: packet.into(),
            tunnel: packet.tunnel,
        }
    }

    /// Number of the packet that opened the flow, counted over the whole
    /// engine: unique, and the same for any number of workers.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Transport protocol.
    pub const fn protocol(&self) -> Protocol {
        self.key.protocol()
    }

    /// The client's endpoint.
    pub fn client(&self) -> SocketAddr {
        self.key.endpoint(self.client)
    }

    /// The server's endpoint.
    pub fn server(&self) -> SocketAddr {
        self.key.endpoint(self.client.other())
    }

    /// Port of the server.
    pub const fn server_port(&self) -> u16 {
        self.key.port(self.client.other())
    }

    /// Whether a TCP handshake told who the client is.
    pub const fn is_client_certain(&self) -> bool {
        self.client_certain
    }

    /// Community ID version 1, with seed 0.
    pub fn community_id(&self) -> String {
        community_id(&self.key, 0)
    }

    /// What the first packet was wrapped in.
    pub const fn tunnel(&self) -> TunnelPath {
        self.tunnel
    }

    /// The packet that opened the flow.
    pub const fn first_packet(&self) -> PacketRef {
        self.first
    }

    /// The packet now being processed; outside of one, the flow's last.
    pub const fn packet(&self) -> PacketRef {
        self.current
    }

    /// Packets of both directions.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload bytes of one direction as sent, what the snap length cut and
    /// retransmissions included.
    pub const fn bytes(&self, direction: Direction) -> u64 {
        self.bytes[self.sender(direction).index()]
    }

    /// Whether a TCP handshake was not seen, so that the start of the streams
    /// may be missing.
    pub const fn is_midstream(&self) -> bool {
        self.midstream
    }

    /// Whether overlapping segments differed: two receivers may have read two
    /// different streams. What was captured first was handed on.
    pub const fn has_overlap_conflict(&self) -> bool {
        self.overlap_conflict
    }

    /// Lost stretches so far, both directions.
    pub const fn gaps(&self) -> u32 {
        self.gaps
    }

    /// Swaps client and server, from the next call on; false (and nothing
    /// happens) where a handshake told who the client is.
    pub const fn reverse(&mut self) -> bool {
        if !self.client_certain {
            self.client = self.client.other();
        }
        !self.client_certain
    }

    /// Nothing more of this flow is wanted: no further call but `closed`, and
    /// buffers are freed.
    pub const fn dismiss(&mut self) {
        self.dismissed = [true; 2];
    }

    /// Nothing more of this direction is wanted.
    pub const fn dismiss_direction(&mut self, direction: Direction) {
        self.dismissed[self.sender(direction).index()] = true;
    }

    /// Whether nothing more of this direction is wanted.
    pub const fn is_dismissed(&self, direction: Direction) -> bool {
        self.dismisses(self.sender(direction))
    }

    pub(crate) const fn key(&self) -> &FlowKey {
        &self.key
    }

    /// Who sends in `direction`.
    pub(super) const fn sender(&self, direction: Direction) -> Side {
        match direction {
            Direction::ToServer => self.client,
            Direction::ToClient => self.client.other(),
        }
    }

    /// The direction in which `side` sends.
    pub(super) fn direction_from(&self, side: Side) -> Direction {
        if side == self.client { Direction::ToServer } else { Direction::ToClient }
    }

    /// Which sides are dismissed, low first.
    pub(super) const fn dismissed(&self) -> [bool; 2] {
        self.dismissed
    }

    pub(super) const fn dismisses(&self, side: Side) -> bool {
        self.dismissed[side.index()]
    }

    /// A handshake told who the client is.
    pub(super) const fn settle_client(&mut self, client: Side) {
        if !self.client_certain {
            self.client = client;
            self.client_certain = true;
        }
    }

    /// Takes note of the next packet, with so many bytes of payload.
    #[inline]
    pub(super) fn observe(&mut self, packet: PacketRef, bytes: u64, sender: Side) {
        self.current = packet;
        self.packets += 1;
        self.bytes[sender.index()] += bytes;
    }
}

/// The side with the higher port; `None` where the ports are equal.
fn higher_port(key: &FlowKey) -> Option<Side> {
    let (low, high) = (key.port(Side::Low), key.port(Side::High));
    match low.cmp(&high) {
        std::cmp::Ordering::Less => Some(Side::High),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Side::Low),
    }
}
