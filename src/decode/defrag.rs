//! Puts IP datagrams together from fragments (RFC 791, RFC 8200 section 4.5), in
//! bounded memory: so many datagrams, so many bytes, for so long. The oldest make
//! room for new ones.

use std::collections::{BTreeMap, HashMap};

use super::datagram::{Datagram, Fragment, Key, Whole};
use super::decoder::DecodeLimits;
use super::outcome::{DecodeCounters, Skip};
use crate::time::Timestamp;

/// The datagrams of which some fragments came.
#[derive(Debug)]
pub(super) struct FragmentPool {
    limits: DecodeLimits,
    datagrams: HashMap<Key, Datagram>,
    /// Keys by the order in which the first fragment came.
    by_age: BTreeMap<u64, Key>,
    next_serial: u64,
    /// The sum of the datagrams' costs.
    cost: usize,
}

impl FragmentPool {
    pub(super) fn new(limits: DecodeLimits) -> Self {
        Self { limits, datagrams: HashMap::new(), by_age: BTreeMap::new(), next_serial: 0, cost: 0 }
    }

    /// Takes a fragment; if it completes its datagram, the captured start of it
    /// is written to `buffer`.
    pub(super) fn add(
        &mut self,
        fragment: &Fragment<'_>,
        buffer: &mut Vec<u8>,
        counters: &mut DecodeCounters,
    ) -> Result<Whole, Skip> {
        self.expire(fragment, counters);
        fragment.extent()?;
        let key = fragment.key;
        if !self.datagrams.contains_key(&key) {
            self.open(key, fragment.time, counters)?;
        }
        let Some(datagram) = self.datagrams.get_mut(&key) else {
            return Err(Skip::FragmentDropped);
        };
        let cost_before = datagram.cost();
        let inserted = datagram.insert(fragment, counters);
        self.cost = self.cost - cost_before + datagram.cost();
        if let Some(whole) = datagram.whole() {
            datagram.copy_to(buffer);
            self.remove(&key);
            return Ok(whole);
        }
        self.evict_to_budget(counters);
        inserted?;
        let held = self.datagrams.contains_key(&key);
        Err(if held { Skip::FragmentHeld } else { Skip::FragmentDropped })
    }

    /// Gives up all datagrams, at the end of the input.
    pub(super) fn clear(&mut self, counters: &mut DecodeCounters) {
        counters.fragment_datagrams_unfinished += self.datagrams.len() as u64;
        self.datagrams.clear();
        self.by_age.clear();
        self.cost = 0;
    }

    fn open(
        &mut self,
        key: Key,
        time: Timestamp,
        counters: &mut DecodeCounters,
    ) -> Result<(), Skip> {
        if self.limits.fragment_datagrams == 0 {
            return Err(Skip::FragmentDropped);
        }
        while self.datagrams.len() >= self.limits.fragment_datagrams {
            self.evict_oldest(counters);
        }
        let datagram = Datagram::new(self.next_serial, time);
        self.by_age.insert(self.next_serial, key);
        self.next_serial += 1;
        self.cost += datagram.cost();
        self.datagrams.insert(key, datagram);
        Ok(())
    }

    /// Gives up what is too old by the time of `fragment`: the oldest datagrams
    /// and, as time in captures may step backwards and leave a stale one behind
    /// a fresh one, the datagram that the fragment would join.
    fn expire(&mut self, fragment: &Fragment<'_>, counters: &mut DecodeCounters) {
        while let Some((_, &key)) = self.by_age.first_key_value() {
            if !self.is_stale(&key, fragment.time) {
                break;
            }
            self.remove(&key);
            counters.fragment_datagrams_expired += 1;
        }
        if self.is_stale(&fragment.key, fragment.time) {
            self.remove(&fragment.key);
            counters.fragment_datagrams_expired += 1;
        }
    }

    fn is_stale(&self, key: &Key, now: Timestamp) -> bool {
        self.datagrams
            .get(key)
            .is_some_and(|datagram| now.since(datagram.opened) > self.limits.fragment_timeout)
    }

    fn evict_to_budget(&mut self, counters: &mut DecodeCounters) {
        while self.cost > self.limits.fragment_bytes && !self.datagrams.is_empty() {
            self.evict_oldest(counters);
        }
    }

    fn evict_oldest(&mut self, counters: &mut DecodeCounters) {
        if let Some((_, &key)) = self.by_age.first_key_value() {
            self.remove(&key);
            counters.fragment_datagrams_evicted += 1;
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(datagram) = self.datagrams.remove(key) {
            self.by_age.remove(&datagram.serial);
            self.cost -= datagram.cost();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::datagram::Datagram;
    use super::super::samples::*;
    use super::super::{DecodeLimits, Decoder, Skip};
    use crate::capture::LinkType;
    use crate::time::Timestamp;

    fn is_empty(input: &Input) -> bool {
        let pool = &input.decoder.fragments;
        pool.datagrams.is_empty() && pool.by_age.is_empty() && pool.cost == 0
    }

    #[test]
    fn fragments_come_together_in_every_order() {
        let fragments = in_fragments(16);
        assert_eq!(fragments.len(), 5);
        let mut input = Input::new();
        for order in permutations(fragments.len()) {
            let packets: Vec<_> = order.iter().map(|&index| fragments[index].clone()).collect();
            let decoded = input.feed_all(&packets);
            assert_eq!(decoded, Decoded::request("").reassembled(), "{order:?}");
            assert!(is_empty(&input));
        }
        assert_eq!(input.counters().packets_reassembled, 120);
        assert_eq!(input.counters().fragments_held, 480);
        assert_eq!(input.counters().fragment_overlaps, 0);
    }

    #[test]
    fn the_smallest_fragments_come_together_in_random_orders() {
        let mut random = Random(3);
        for _ in 0..200 {
            let mut fragments = in_fragments(8);
            random.shuffle(&mut fragments);
            assert_eq!(Input::new().feed_all(&fragments), Decoded::request("").reassembled());
        }
    }

    #[test]
    fn ipv6_fragments_come_together_with_extension_headers_behind() {
        let payload = cat(&[&[TCP, 0, 1, 4, 0, 0, 0, 0], &tcp(BODY)]);
        let mut fragments = cut(&payload, 24, |at, more, part| ipv6_fragment(60, at, more, part));
        fragments.reverse();
        let Decoded::Packet { src, payload, missing: 0, reassembled: true, .. } =
            Input::new().feed_all(&fragments)
        else {
            panic!("not decoded");
        };
        assert_eq!((src, payload), ("[2001:db8::1]:40000".parse().unwrap(), BODY.to_vec()));
    }

    #[test]
    fn datagrams_are_kept_apart() {
        let fragments = in_fragments(40);
        let altered = |at: usize, value| {
            let mut packet = fragments[1].clone();
            packet[at] = value;
            packet
        };
        let mut input = Input::new();
        assert_eq!(input.feed(&fragments[0]), Decoded::HELD);
        for (name, at, value) in [
            ("source", 15, 9),
            ("destination", 19, 9),
            ("identification", 5, 9),
            ("protocol", 9, UDP),
        ] {
            assert_eq!(input.feed(&altered(at, value)), Decoded::HELD, "{name}");
        }
        let tunnelled = outer(4, &fragments[1]);
        assert_eq!(input.feed(&tunnelled), Decoded::HELD);
        assert_eq!(input.feed(&fragments[1]), Decoded::request("").reassembled());
        input.decoder.finish();
        assert!(is_empty(&input));
        assert_eq!(input.counters().fragment_datagrams_unfinished, 5);
    }

    #[test]
    fn fragments_in_and_around_tunnels_come_together() {
        let bridged = |inner: &[u8]| udp(5, 4789, &vxlan(&ethernet(IPV4, inner)));
        let mut input = Input::new();
        // Inner fragments, each in outer fragments.
        let packets: Vec<_> = in_fragments(32)
            .iter()
            .enumerate()
            .flat_map(|(index, inner)| {
                let id = u8::try_from(index).unwrap();
                let outer = cut(&bridged(inner), 24, |at, more, part| {
                    let mut packet = ipv4_fragment(UDP, at, more, part);
                    packet[5] = 100 + id;
                    packet
                });
                outer.into_iter().rev()
            })
            .collect();
        assert_eq!(input.feed_all(&packets), Decoded::request("vxlan").reassembled());
        assert!(is_empty(&input));
    }

    #[test]
    fn fragmented_datagrams_nest_only_so_deep() {
        let mut packet = tcp(BODY);
        let mut protocol = TCP;
        let mut waiting = Vec::new();
        for id in 1..=5 {
            let mut parts =
                cut(&packet, packet.len().div_ceil(2).next_multiple_of(8), |at, more, part| {
                    let mut packet = ipv4_fragment(protocol, at, more, part);
                    packet[5] = id;
                    packet
                });
            (packet, protocol) = (parts.pop().unwrap(), 4);
            waiting.push(parts.pop().unwrap());
        }
        // The first halves, each in the tunnels it will be found in.
        let mut input = Input::new();
        for (depth, first) in waiting.iter().rev().enumerate() {
            let wrapped = (0..depth)
                .fold(first.clone(), |inner, _| ipv4([10, 0, 0, 1], [10, 0, 0, 2], 4, &inner));
            assert_eq!(input.feed(&wrapped), Decoded::HELD);
        }
        assert_eq!(input.feed(&packet), Decoded::Skipped(Skip::TooDeep));
    }

    #[test]
    fn snapped_fragments_leave_the_rest_missing() {
        let body = vec![b'x'; 400];
        let whole = tcp(&body);
        let fragments = cut(&whole, 104, |at, more, part| ipv4_fragment(TCP, at, more, part));
        // The second fragment is cut after 30 of its 104 bytes.
        let feed = |order: &[usize]| {
            let mut input = Input::new();
            let mut last = Decoded::HELD;
            for &index in order {
                let packet = &fragments[index];
                let captured = if index == 1 { &packet[..50] } else { &packet[..] };
                last = input.feed_snapped(captured, packet.len());
            }
            last
        };
        for order in permutations(fragments.len()) {
            let Decoded::Packet { payload, missing, .. } = feed(&order) else {
                panic!("{order:?}");
            };
            assert_eq!((payload.len(), missing), (104 - 32 + 30, 400 - 102), "{order:?}");
        }
    }

    #[test]
    fn fragments_whose_header_part_is_missing_are_snapped() {
        let fragments = in_fragments(24);
        let mut input = Input::new();
        assert_eq!(input.feed_snapped(&fragments[0][..30], fragments[0].len()), Decoded::HELD);
        assert_eq!(input.feed(&fragments[1]), Decoded::HELD);
        assert_eq!(input.feed(&fragments[2]), Decoded::Skipped(Skip::SnappedHeader));
        assert!(is_empty(&input));
    }

    #[test]
    fn fragments_of_what_is_not_followed_are_not_kept() {
        let mut input = Input::new();
        let icmp = ipv4_fragment(1, 0, true, &[0; 64]);
        assert_eq!(input.feed(&icmp), Decoded::Skipped(Skip::OtherTransport { protocol: 1 }));
        assert!(is_empty(&input));
    }

    #[test]
    fn a_datagram_that_never_completes_times_out() {
        let fragments = in_fragments(24);
        for missing in 0..fragments.len() {
            let mut input = Input::new();
            for (index, fragment) in fragments.iter().enumerate() {
                if index != missing {
                    assert_eq!(input.feed(fragment), Decoded::HELD);
                }
            }
            input.now += 30;
            assert_eq!(input.counters().fragment_datagrams_expired, 0);
            input.now += 1;
            assert_eq!(input.feed(&fragments[missing]), Decoded::HELD, "too late");
            assert_eq!(input.counters().fragment_datagrams_expired, 1);
            input.decoder.finish();
            assert_eq!(input.counters().fragment_datagrams_unfinished, 1);
        }
    }

    #[test]
    fn time_that_steps_back_expires_nothing_early() {
        let fragments = in_fragments(40);
        let mut input = Input::new();
        assert_eq!(input.feed(&fragments[0]), Decoded::HELD);
        input.now -= 500;
        assert_eq!(input.feed(&fragments[1]), Decoded::request("").reassembled());
    }

    #[test]
    fn a_flood_of_datagrams_evicts_the_oldest() {
        let mut input =
            Input::with(DecodeLimits { fragment_datagrams: 100, ..DecodeLimits::default() });
        for round in 0..10_000_u16 {
            let mut packet = ipv4_fragment(TCP, 64, true, &[0; 16]);
            packet[4..6].copy_from_slice(&round.to_be_bytes());
            packet[12] = u8::try_from(round % 7).unwrap();
            assert_eq!(input.feed(&packet), Decoded::HELD);
            assert!(input.decoder.fragments.datagrams.len() <= 100);
            assert_eq!(
                input.decoder.fragments.by_age.len(),
                input.decoder.fragments.datagrams.len()
            );
        }
        assert_eq!(input.counters().fragment_datagrams_evicted, 9_900);
    }

    #[test]
    fn a_flood_of_bytes_stays_within_the_budget() {
        const BUDGET: usize = 200_000;
        let mut input = Input::with(DecodeLimits { fragment_bytes: BUDGET, ..Default::default() });
        let mut random = Random(4);
        for _ in 0..20_000 {
            let offset = random.below(8000) * 8;
            let len = random.below(180) * 8 + 8;
            let mut packet = ipv4_fragment(TCP, offset, true, &vec![random.byte(); len]);
            packet[5] = u8::try_from(random.below(200)).unwrap();
            input.feed(&packet);
            let pool = &input.decoder.fragments;
            assert!(pool.cost <= BUDGET);
            let held: usize = pool.datagrams.values().map(Datagram::cost).sum();
            assert_eq!(pool.cost, held);
        }
        let counters = input.counters();
        assert!(counters.fragment_datagrams_evicted > 0 && counters.fragment_overlaps > 0);
        assert_eq!(counters.outcomes(), 20_000);
    }

    #[test]
    fn fragments_go_by_the_time_that_is_told_and_packets_by_their_own() {
        let mut decoder = Decoder::new(DecodeLimits::default());
        let fragments = in_fragments(24);
        for (hour, packet) in (0..).zip(&fragments) {
            let mut frame = frame(LinkType::RAW, packet, packet.len());
            frame.time = Timestamp::from_parts(3600 * hour, 0);
            match decoder.decode_at(&frame, Timestamp::MIN).packet() {
                Some(packet) => assert_eq!(packet.time, frame.time),
                None => assert_eq!(decoder.counters().packets_reassembled, 0),
            }
        }
        assert_eq!(decoder.counters().packets_reassembled, 1);
    }

    #[test]
    fn no_room_at_all_drops_fragments() {
        let fragment = &in_fragments(24)[0];
        let none = DecodeLimits { fragment_datagrams: 0, ..Default::default() };
        assert_eq!(Input::with(none).feed(fragment), Decoded::DROPPED);
        let mut input = Input::with(DecodeLimits { fragment_bytes: 10, ..Default::default() });
        assert_eq!(input.feed(fragment), Decoded::DROPPED);
        assert!(is_empty(&input));
        let no_time = DecodeLimits { fragment_timeout: Duration::ZERO, ..Default::default() };
        assert_eq!(
            Input::with(no_time).feed_all(&in_fragments(24)),
            Decoded::request("").reassembled(),
            "the same instant is in time"
        );
    }
}
