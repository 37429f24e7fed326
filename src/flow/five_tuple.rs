//! Flow identity: a packet's five-tuple in, a direction-free key with its hash out.
//!
//! [`FlowKey`] orders the two endpoints, so both directions of a flow have one
//! key; [`Side`] says which of them sent a packet. [`FlowHasher`] hashes a key
//! once, for the choice of the worker and for the flow table alike.

use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use crate::decode::{Endpoint, Packet, Transport};

/// Transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
}

impl Protocol {
    /// As written in findings: `tcp`, `udp`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// The IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// One of the two endpoints of a [`FlowKey`]; says nothing about who is the
/// client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The endpoint that sorts first.
    Low,
    /// The other one.
    High,
}

impl Side {
    /// The other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }

    /// 0 for low, 1 for high: an index into per-side arrays.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What identifies a flow: protocol and both endpoints, in an order of their
/// own. Encapsulation is not part of it, so the halves of a flow that reach
/// the sensor by different ways still meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    /// Addresses as numbers, low side first, each as two words.
    addresses: [[u64; 2]; 2],
    /// Ports (low, high), protocol and address families in one word.
    rest: u64,
}

/// Bit of [`FlowKey::rest`] set where the low address is IPv6; the next one is
/// the high address's.
const IPV6_BIT: u32 = 48;

impl FlowKey {
    /// The key of the flow between `a` and `b`, and which side `a` is.
    pub fn new(protocol: Protocol, a: SocketAddr, b: SocketAddr) -> (Self, Side) {
        Self::between(protocol, (&a).into(), (&b).into())
    }

    #[inline(always)]
    fn between(protocol: Protocol, a: Endpoint, b: Endpoint) -> (Self, Side) {
        let (low, high, side) = if a <= b { (a, b, Side::Low) } else { (b, a, Side::High) };
        let rest = u64::from(low.port)
            | u64::from(high.port) << 16
            | u64::from(protocol.number()) << 32
            | u64::from(low.ipv6) << IPV6_BIT
            | u64::from(high.ipv6) << (IPV6_BIT + 1);
        (Self { addresses: [low.address, high.address], rest }, side)
    }

    /// The key of the packet's flow, and which side sent the packet.
    #[inline]
    pub fn of(packet: &Packet<'_>) -> (Self, Side) {
        let protocol = match packet.transport {
            Transport::Tcp(_) => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
        };
        Self::between(protocol, (&packet.src).into(), (&packet.dst).into())
    }

    /// Transport protocol.
    pub const fn protocol(&self) -> Protocol {
        if (self.rest >> 32) as u8 == Protocol::Udp.number() {
            Protocol::Udp
        } else {
            Protocol::Tcp
        }
    }

    /// Address and port of one side.
    pub fn endpoint(&self, side: Side) -> SocketAddr {
        self.end(side).into()
    }

    /// Address and port of one side, as numbers.
    #[inline]
    fn end(&self, side: Side) -> Endpoint {
        let ipv6 = self.rest >> (IPV6_BIT + side as u32) & 1 == 1;
        Endpoint { ipv6, address: self.addresses[side.index()], port: self.port(side) }
    }

    /// Port of one side.
    pub const fn port(&self, side: Side) -> u16 {
        match side {
            Side::Low => self.rest as u16,
            Side::High => (self.rest >> 16) as u16,
        }
    }
}

impl std::fmt::Debug for FlowKey {
    /// `tcp 10.0.0.1:80 10.0.0.2:50000`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (low, high) = (self.endpoint(Side::Low), self.endpoint(Side::High));
        write!(f, "{} {low} {high}", self.protocol().as_str())
    }
}

/// Hashes flow keys with a secret seed. All workers of a run share one (it is
/// cheap to clone), so a key hashes alike everywhere and is hashed once.
///
/// The hash is foldhash in its `quality` form: some 3 ns a key, and enough
/// against hash flooding here, as its known weakness needs an attacker who can
/// observe hashes (iteration order, timing of answers) and a passive sensor
/// never answers. Nothing the engine reports depends on the seed.
#[derive(Clone, Debug)]
pub struct FlowHasher {
    state: SeedableRandomState,
}

impl FlowHasher {
    /// With a seed of this process's own: what a sensor should use.
    pub fn random() -> Self {
        Self { state: SeedableRandomState::random() }
    }

    /// With a given seed, so that flows fall to the same workers in every run.
    /// Who knows the seed can craft colliding five-tuples.
    pub fn seeded(seed: u64) -> Self {
        Self { state: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()) }
    }

    /// The packet's key, sender and hash.
    pub fn key(&self, packet: &Packet<'_>) -> PacketKey {
        let (key, sender) = FlowKey::of(packet);
        self.packet_key(key, sender)
    }

    /// The key, sender and hash of a TCP segment from `src` to `dst`.
    #[inline(always)]
    pub(crate) fn segment_key(&self, src: Endpoint, dst: Endpoint) -> PacketKey {
        let (key, sender) = FlowKey::between(Protocol::Tcp, src, dst);
        self.packet_key(key, sender)
    }

    #[inline(always)]
    pub(super) fn packet_key(&self, key: FlowKey, sender: Side) -> PacketKey {
        PacketKey { key, sender, hash: self.hash(&key) }
    }

    #[inline(always)]
    fn hash(&self, key: &FlowKey) -> u64 {
        let mut hasher = self.state.build_hasher();
        let [[a, b], [c, d]] = key.addresses;
        for word in [a, b, c, d, key.rest] {
            hasher.write_u64(word);
        }
        hasher.finish()
    }
}

/// The flow a packet belongs to, hashed: made where packets are dealt out to
/// workers, used there and in the worker's flow table.
#[derive(Clone, Copy, Debug)]
pub struct PacketKey {
    pub(super) key: FlowKey,
    pub(super) sender: Side,
    hash: u64,
}

impl PacketKey {
    /// Which of `workers` the flow belongs to: the same for both directions
    /// and for the whole run.
    pub fn shard(&self, workers: NonZeroUsize) -> usize {
        // Multiply-shift on the upper half; the table uses the lower half, so
        // that flows of one worker do not share bits of their table hash.
        ((u128::from(self.hash >> 32) * workers.get() as u128) >> 32) as usize
    }

    /// Who sent the packet, and to whom.
    pub fn way(&self) -> (SocketAddr, SocketAddr) {
        let (src, dst) = self.ends();
        (src.into(), dst.into())
    }

    /// The same as numbers.
    pub(crate) fn ends(&self) -> (Endpoint, Endpoint) {
        (self.key.end(self.sender), self.key.end(self.sender.other()))
    }

    /// The part of the hash that the flow table stores.
    pub(super) const fn table_hash(&self) -> u32 {
        self.hash as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn both_directions_have_one_key_and_hash() {
        let cases = [
            (Protocol::Tcp, "10.0.0.1:50000", "10.0.0.2:80"),
            (Protocol::Udp, "10.0.0.1:53", "10.0.0.1:5353"),
            (Protocol::Tcp, "[2001:db8::1]:50000", "[2001:db8::2]:443"),
            (Protocol::Tcp, "[2001:db8:0:1::]:50000", "[2001:db8::2]:443"),
        ];
        let hasher = FlowHasher::random();
        for (protocol, a, b) in cases {
            let (a, b) = (address(a), address(b));
            let (forth, side_a) = FlowKey::new(protocol, a, b);
            let (back, side_b) = FlowKey::new(protocol, b, a);
            assert_eq!(forth, back);
            assert_eq!(side_a, side_b.other());
            assert_eq!(hasher.hash(&forth), hasher.hash(&back));
            assert_eq!((forth.endpoint(side_a), forth.endpoint(side_b)), (a, b));
            assert_eq!(forth.protocol(), protocol);
            let ways = [side_a, side_b].map(|sender| hasher.packet_key(forth, sender).way());
            assert_eq!(ways, [(a, b), (b, a)]);
        }
    }

    #[test]
    fn different_flows_have_different_keys() {
        let base = FlowKey::new(Protocol::Tcp, address("10.0.0.1:1"), address("10.0.0.2:2")).0;
        let others = [
            (Protocol::Udp, "10.0.0.1:1", "10.0.0.2:2"),
            (Protocol::Tcp, "10.0.0.1:2", "10.0.0.2:1"),
            (Protocol::Tcp, "10.0.0.1:1", "10.0.0.3:2"),
            (Protocol::Tcp, "[::10.0.0.1]:1", "[::10.0.0.2]:2"),
        ];
        for (protocol, a, b) in others {
            assert_ne!(base, FlowKey::new(protocol, address(a), address(b)).0, "{a} {b}");
        }
    }

    #[test]
    fn an_endpoint_that_talks_to_itself_is_the_low_side() {
        let own = address("127.0.0.1:9");
        assert_eq!(FlowKey::new(Protocol::Udp, own, own).1, Side::Low);
    }

    #[test]
    fn shards_are_stable_and_even() {
        let hasher = FlowHasher::seeded(7);
        let workers = NonZeroUsize::new(3).unwrap();
        let mut counts = [0; 3];
        for port in 1..=3000 {
            let client = SocketAddr::new(address("10.1.2.3:0").ip(), port);
            let (key, sender) = FlowKey::new(Protocol::Tcp, client, address("10.0.0.2:443"));
            let packet = PacketKey { key, sender, hash: hasher.hash(&key) };
            assert_eq!(packet.shard(NonZeroUsize::MIN), 0);
            counts[packet.shard(workers)] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
    }
}
