//! Addresses and ports of a flow in, the worker that it belongs to out, in terms that the
//! Linux kernel can reckon in too.
//!
//! A capture with a ring for each worker lets the kernel deal frames out
//! (`PACKET_FANOUT_CBPF`). Its classic BPF program (`live/fan_out.rs`) does the sums of
//! [`Spread::worker`] on the outermost headers; what it cannot see into is dealt out by
//! other marks, and handed over by whoever decodes it. So it matters to the speed alone
//! that both agree.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

/// How flows are spread over workers: the same for both directions of one, and not to be
/// foreseen by who sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    workers: NonZeroUsize,
    /// What addresses and ports are multiplied by: odd.
    factors: [u32; 2],
}

impl Spread {
    /// A spread unlike that of any other run.
    pub fn random(workers: NonZeroUsize) -> Self {
        let drawn = RandomState::new().hash_one(workers);
        Self { workers, factors: [drawn as u32 | 1, (drawn >> 32) as u32 | 1] }
    }

    /// How many workers there are.
    pub const fn workers(&self) -> NonZeroUsize {
        self.workers
    }

    #[cfg(target_os = "linux")]
    pub(super) const fn factors(&self) -> [u32; 2] {
        self.factors
    }

    /// The worker, from 0, of the TCP flow between two endpoints.
    #[inline]
    pub fn worker(&self, a: SocketAddr, b: SocketAddr) -> usize {
        // Sums, as an exclusive or would cancel the network that both are in.
        let addresses = word(a.ip()).wrapping_add(word(b.ip()));
        let ports = u32::from(a.port()) + u32::from(b.port());
        let [by_address, by_port] = self.factors;
        let sum = addresses.wrapping_mul(by_address).wrapping_add(ports.wrapping_mul(by_port));
        // The upper half of a product depends on all bits below.
        (sum >> 16) as usize % self.workers
    }
}

/// The sum of the words of an address.
#[inline]
fn word(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let words = [96, 64, 32, 0].map(|shift| (bits >> shift) as u32);
            words.into_iter().fold(0, u32::wrapping_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, port: u16) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), port)
    }

    #[test]
    fn both_directions_have_one_worker_and_flows_are_spread_evenly() {
        let workers = NonZeroUsize::new(3).unwrap();
        for (client, server) in [("10.1.2.3", "10.0.0.2"), ("2001:db8::7", "2001:db8:1::1")] {
            // Whatever is drawn: no factor that is odd is a bad one for all ports at once.
            let spread = Spread { workers, factors: [0x9e37_79b1, 0x85eb_ca6b] };
            let mut counts = [0; 3];
            for port in 30_000..33_000 {
                let (client, server) = (address(client, port), address(server, 443));
                let worker = spread.worker(client, server);
                assert_eq!(worker, spread.worker(server, client));
                counts[worker] += 1;
            }
            assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
        }
    }

    #[test]
    fn one_worker_has_all_flows_and_runs_differ() {
        let spread = Spread::random(NonZeroUsize::MIN);
        assert_eq!(spread.worker(address("10.0.0.1", 1), address("10.0.0.2", 2)), 0);
        let draws: Vec<_> = (0..8).map(|_| Spread::random(NonZeroUsize::MIN).factors).collect();
        assert!(draws.iter().any(|it| *it != draws[0]), "{draws:?}");
    }
}
