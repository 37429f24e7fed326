//! Which name an address was looked up by.
//!
//! In: the [`Resolution`]s of DNS responses, in the order of packets. Out: a
//! name for the server of a flow that names none itself (no SNI, no `Host`). As
//! DNS and the flows it leads to fall to different workers, one memory belongs
//! to who sees the events of all of them in order.
//!
//! An address may serve many names, so what the same client asked for comes
//! first; what any client asked for is the fall-back. Either is a hint and no
//! proof: a client may have asked for one name and gone to the same address for
//! another, and responses can be forged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hashlink::LruCache;

use super::dns::Resolution;
use crate::time::Timestamp;

/// Names remembered for one pair of client and server.
const NAMES_PER_SERVER: usize = 4;

/// How long a name is remembered at least: applications and stub resolvers hold
/// on to addresses for longer than short TTLs allow.
const MIN_LIFETIME: u32 = 60;

/// How long a name is remembered at most.
const MAX_LIFETIME: u32 = 24 * 60 * 60;

crate::counters! {
    /// What the memory of names did.
    pub struct NameCounters {
        /// Resolutions taken.
        resolutions,
        /// Servers forgotten because the memory was full.
        evicted,
    }
}

/// How many servers are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameLimits {
    /// Entries: one for each pair of client and server, and one for each
    /// server. An entry takes some 200 bytes.
    pub max_entries: usize,
}

impl Default for NameLimits {
    fn default() -> Self {
        Self { max_entries: 1 << 16 }
    }
}

/// A bounded memory of names by address. When it is full, the server that was
/// longest not looked up is forgotten, in constant time.
#[derive(Debug)]
pub struct NameMemory {
    servers: LruCache<Key, Names>,
    counters: NameCounters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// `None` for any client.
    client: Option<IpAddr>,
    server: IpAddr,
}

/// The names of one server, the latest last.
#[derive(Debug, Default)]
struct Names(Vec<Name>);

#[derive(Debug)]
struct Name {
    text: Arc<str>,
    learnt: Timestamp,
    lifetime: Duration,
}

impl NameMemory {
    /// An empty memory.
    pub fn new(limits: NameLimits) -> Self {
        Self {
            servers: LruCache::new(limits.max_entries.max(1)),
            counters: NameCounters::default(),
        }
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &NameCounters {
        &self.counters
    }

    /// Entries remembered.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Takes note of what was resolved at `now`.
    pub fn learn(&mut self, now: Timestamp, resolution: &Resolution) {
        self.counters.resolutions += 1;
        let lifetime = resolution.ttl.clamp(MIN_LIFETIME, MAX_LIFETIME);
        let lifetime = Duration::from_secs(u64::from(lifetime));
        let client = Some(resolution.client.to_canonical()).filter(|ip| !ip.is_multicast());
        for server in &resolution.addresses {
            let server = server.to_canonical();
            let name = || Name { text: Arc::clone(&resolution.name), learnt: now, lifetime };
            self.remember(Key { client: None, server }, name());
            if client.is_some() {
                self.remember(Key { client, server }, name());
            }
        }
    }

    /// The name `server` was last looked up by: by `client` if that did, else
    /// by anybody.
    pub fn name_of(&self, client: IpAddr, server: IpAddr, now: Timestamp) -> Option<&str> {
        self.names_of(client, server, now).next()
    }

    /// The last few names, the latest first, `server` was looked up by: by
    /// `client` if that did, else by anybody.
    pub fn names_of(
        &self,
        client: IpAddr,
        server: IpAddr,
        now: Timestamp,
    ) -> impl Iterator<Item = &str> {
        let server = server.to_canonical();
        [Some(client.to_canonical()), None]
            .into_iter()
            .filter_map(|client| self.servers.peek(&Key { client, server }))
            .find(|names| names.valid(now).next().is_some())
            .into_iter()
            .flat_map(move |names| names.valid(now))
    }

    fn remember(&mut self, key: Key, name: Name) {
        if let Some(names) = self.servers.get_mut(&key) {
            names.push(name);
            return;
        }
        let is_full = self.servers.len() == self.servers.capacity();
        self.counters.evicted += u64::from(is_full);
        let mut names = Names::default();
        names.push(name);
        self.servers.insert(key, names);
    }
}

impl Names {
    /// Adds the latest name; the oldest goes if there are too many.
    fn push(&mut self, name: Name) {
        self.0.retain(|known| known.text != name.text && known.is_valid(name.learnt));
        if self.0.len() == NAMES_PER_SERVER {
            self.0.remove(0);
        }
        self.0.push(name);
    }

    fn valid(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.0.iter().rev().filter(move |name| name.is_valid(now)).map(|name| &*name.text)
    }
}

impl Name {
    fn is_valid(&self, now: Timestamp) -> bool {
        now.since(self.learnt) <= self.lifetime
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "192.0.2.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_parts(1_780_000_000 + seconds, 0)
    }

    fn resolution(client: &str, name: &str, addresses: &[&str], ttl: u32) -> Resolution {
        let addresses = addresses.iter().map(|text| ip(text)).collect();
        Resolution { client: ip(client), name: name.into(), addresses, ttl }
    }

    fn memory(max_entries: usize) -> NameMemory {
        NameMemory::new(NameLimits { max_entries })
    }

    #[test]
    fn a_client_gets_the_name_it_asked_for_and_others_the_latest() {
        let mut memory = memory(100);
        memory.learn(at(0), &resolution("10.0.0.1", "a.test", &[SERVER, "2001:db8::1"], 300));
        memory.learn(at(1), &resolution("10.0.0.2", "b.test", &[SERVER], 300));
        for (client, server, expected) in [
            ("10.0.0.1", SERVER, Some("a.test")),
            ("10.0.0.1", "2001:db8::1", Some("a.test")),
            ("10.0.0.2", SERVER, Some("b.test")),
            ("10.0.0.3", SERVER, Some("b.test")),
            ("::ffff:10.0.0.1", "::ffff:192.0.2.1", Some("a.test")),
            ("10.0.0.1", "192.0.2.2", None),
        ] {
            let name = memory.name_of(ip(client), ip(server), at(2));
            assert_eq!(name, expected, "{client} {server}");
        }
    }

    #[test]
    fn names_expire_by_their_ttl_within_bounds() {
        let client = "10.0.0.1";
        for (ttl, lifetime) in [(0, 60), (30, 60), (300, 300), (u32::MAX, 86_400)] {
            let mut memory = memory(100);
            memory.learn(at(0), &resolution(client, "a.test", &[SERVER], ttl));
            let name = |seconds| memory.name_of(ip(client), ip(SERVER), at(seconds));
            assert_eq!(name(lifetime), Some("a.test"), "{ttl}");
            assert_eq!(name(lifetime + 1), None, "{ttl}");
            assert_eq!(name(-5), Some("a.test"), "captures step backwards");
        }
    }

    #[test]
    fn what_expired_gives_way_to_what_any_client_asked_for() {
        let mut memory = memory(100);
        memory.learn(at(0), &resolution("10.0.0.1", "a.test", &[SERVER], 60));
        memory.learn(at(50), &resolution("10.0.0.2", "b.test", &[SERVER], 60));
        assert_eq!(memory.name_of(ip("10.0.0.1"), ip(SERVER), at(60)), Some("a.test"));
        assert_eq!(memory.name_of(ip("10.0.0.1"), ip(SERVER), at(61)), Some("b.test"));
    }

    #[test]
    fn the_last_few_names_are_kept_each_once() {
        let mut memory = memory(100);
        let client = ip("10.0.0.1");
        for (second, name) in ["a", "b", "c", "d", "e", "c"].into_iter().enumerate() {
            memory.learn(at(second as i64), &resolution("10.0.0.1", name, &[SERVER], 300));
        }
        let names: Vec<_> = memory.names_of(client, ip(SERVER), at(9)).collect();
        assert_eq!(names, ["c", "e", "d", "b"]);
        assert_eq!(memory.names_of(client, ip(SERVER), at(304)).collect::<Vec<_>>(), ["c", "e"]);
    }

    #[test]
    fn multicast_tells_everybody() {
        let mut memory = memory(100);
        memory.learn(at(0), &resolution("224.0.0.251", "h.local", &["192.168.0.9"], 120));
        assert_eq!(memory.len(), 1);
        let name = memory.name_of(ip("192.168.0.2"), ip("192.168.0.9"), at(1));
        assert_eq!(name, Some("h.local"));
    }

    #[test]
    fn what_was_longest_not_looked_up_is_forgotten() {
        let mut memory = memory(6);
        for server in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.4"] {
            memory.learn(at(0), &resolution("10.0.0.1", server, &[server], 60));
        }
        let known = |server| memory.name_of(ip("10.0.0.1"), ip(server), at(1)).is_some();
        let known = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map(known);
        assert_eq!(known, [true, false, true, true]);
        assert_eq!((memory.len(), memory.counters().evicted), (6, 2));
        assert_eq!(memory.counters().resolutions, 5);
    }
}
