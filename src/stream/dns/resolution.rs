//! From the records of a response to: this name, asked for by this client, is
//! at these addresses.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::record::{DnsAnswer, DnsData, DnsSink, RecordType};
use super::{DnsHeader, ServiceBinding};

/// The most aliases of one message that are followed.
const MAX_ALIASES: usize = 16;

/// The most addresses of one message that are kept.
const MAX_ADDRESSES: usize = 64;

/// The longest text of a host name.
const MAX_HOST_LEN: usize = 253;

/// What a client learnt from a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Who asked; a multicast address where everybody was told.
    pub client: IpAddr,
    /// The name asked for, before any alias: printable, lower case.
    pub name: Arc<str>,
    /// Its addresses, at least one.
    pub addresses: Vec<IpAddr>,
    /// For how many seconds: the least of the records it took to get there.
    pub ttl: u32,
}

/// A sink that joins the records of a response to [`Resolution`]s. To be used
/// again for any number of messages.
///
/// Aliases (CNAME, and the targets of service bindings) are followed from the
/// question to the addresses, whatever the order of the records; addresses of
/// names that the question does not lead to are left out. Where there is no
/// question, as in multicast DNS, the name is that of the address record.
#[derive(Debug, Default)]
pub struct ResolutionBuilder {
    /// The text of the names below.
    text: String,
    is_response: bool,
    asked: Option<Range<usize>>,
    aliases: Vec<Alias>,
    addresses: Vec<Address>,
}

#[derive(Debug)]
struct Alias {
    owner: Range<usize>,
    target: Range<usize>,
    ttl: u32,
}

#[derive(Debug)]
struct Address {
    owner: Range<usize>,
    ip: IpAddr,
    ttl: u32,
}

impl ResolutionBuilder {
    /// A builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands over what `client`, who was sent the last message, learnt from it.
    pub fn each(&self, client: IpAddr, found: &mut impl FnMut(Resolution)) {
        let resolution =
            |name: &str, addresses, ttl| Resolution { client, name: name.into(), addresses, ttl };
        if !self.is_response || self.addresses.is_empty() {
            return;
        }
        if let Some(asked) = &self.asked {
            let asked = without_service(self.name(asked));
            let (addresses, ttl) = self.addresses_of_asked();
            if is_host(asked) && !addresses.is_empty() {
                found(resolution(asked, addresses, ttl));
            }
            return;
        }
        for group in self.addresses.chunk_by(|a, b| self.name(&a.owner) == self.name(&b.owner)) {
            let owner = group.first().map_or("", |address| self.name(&address.owner));
            let ttl = group.iter().map(|address| address.ttl).min().unwrap_or(0);
            if is_host(owner) {
                found(resolution(owner, group.iter().map(|address| address.ip).collect(), ttl));
            }
        }
    }

    /// The addresses the question leads to, and the least TTL on the way.
    fn addresses_of_asked(&self) -> (Vec<IpAddr>, u32) {
        let (names, mut ttl) = self.names_of_asked();
        let mut found = Vec::new();
        for Address { owner, ip, ttl: own_ttl } in &self.addresses {
            if names.contains(&self.name(owner)) && !found.contains(ip) {
                found.push(*ip);
                ttl = ttl.min(*own_ttl);
            }
        }
        (found, ttl)
    }

    /// The name asked for and what it is an alias of, and the least TTL of the
    /// aliases.
    fn names_of_asked(&self) -> (Vec<&str>, u32) {
        let mut names: Vec<&str> = self.asked.iter().map(|asked| self.name(asked)).collect();
        let mut ttl = u32::MAX;
        let mut next = 0;
        while let Some(&name) = names.get(next) {
            for alias in self.aliases.iter().filter(|alias| self.name(&alias.owner) == name) {
                let target = self.name(&alias.target);
                if !names.contains(&target) {
                    names.push(target);
                    ttl = ttl.min(alias.ttl);
                }
            }
            next += 1;
        }
        (names, ttl)
    }

    fn alias(&mut self, owner: &str, target: &str, ttl: u32) {
        if self.aliases.len() < MAX_ALIASES {
            let (owner, target) = (self.store(owner), self.store(target));
            self.aliases.push(Alias { owner, target, ttl });
        }
    }

    fn address(&mut self, owner: &str, ip: IpAddr, ttl: u32) {
        let is_host = !ip.is_unspecified() && !ip.is_multicast();
        if is_host && self.addresses.len() < MAX_ADDRESSES {
            let owner = self.store(owner);
            self.addresses.push(Address { owner, ip, ttl });
        }
    }

    fn service(&mut self, owner: &str, binding: &ServiceBinding<'_>, ttl: u32) {
        if !binding.target.is_empty() {
            self.alias(owner, binding.target, ttl);
        }
        let owner = if binding.target.is_empty() { owner } else { binding.target };
        for ip in binding.ipv4_hints().map(IpAddr::from).chain(binding.ipv6_hints().map(IpAddr::V6))
        {
            self.address(owner, ip, ttl);
        }
    }

    fn store(&mut self, name: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(name);
        start..self.text.len()
    }

    fn name(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}

impl DnsSink for ResolutionBuilder {
    fn message(&mut self, header: &DnsHeader) {
        self.text.clear();
        self.is_response = header.is_response();
        self.asked = None;
        self.aliases.clear();
        self.addresses.clear();
    }

    fn question(&mut self, name: &str, _: RecordType) {
        if self.is_response && self.asked.is_none() {
            self.asked = Some(self.store(name));
        }
    }

    fn answer(&mut self, answer: &DnsAnswer<'_>) {
        let DnsAnswer { owner, ttl, ref data, .. } = *answer;
        if !self.is_response {
            return;
        }
        match data {
            DnsData::Ipv4(ip) => self.address(owner, IpAddr::V4(*ip), ttl),
            DnsData::Ipv6(ip) => self.address(owner, IpAddr::V6(*ip), ttl),
            DnsData::Alias(target) => self.alias(owner, target, ttl),
            DnsData::Service(binding) => self.service(owner, binding, ttl),
            DnsData::Other => {}
        }
    }

    fn message_end(&mut self, _: bool) {}
}

/// The host of a name that may begin with labels for a port and a service
/// (`_8443._https.a.example`, RFC 9460 section 2.3).
fn without_service(mut name: &str) -> &str {
    while let Some((_, rest)) = name.split_once('.').filter(|_| name.starts_with('_')) {
        name = rest;
    }
    name
}

/// Whether a name can be that of a host, rather than one with escapes in it.
fn is_host(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_HOST_LEN && !name.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::dns::DnsParser;
    use crate::stream::dns::samples::{self, Message, encode};
    use crate::stream::testing::Rng;

    /// What is learnt of a message: `name ttl addresses`.
    fn learnt(message: &[u8]) -> Vec<String> {
        let (mut parser, mut builder) = (DnsParser::new(), ResolutionBuilder::new());
        // What an earlier message left must not show.
        parser.message(&samples::cdn_response(), &mut builder).unwrap();
        let _ = parser.message(message, &mut builder);
        let mut lines = Vec::new();
        builder.each("10.0.0.1".parse().unwrap(), &mut |found| {
            assert_eq!(found.client.to_string(), "10.0.0.1");
            let ips: Vec<_> = found.addresses.iter().map(ToString::to_string).collect();
            lines.push(format!("{} {} {}", found.name, found.ttl, ips.join(" ")));
        });
        lines
    }

    #[test]
    fn aliases_lead_to_the_name_that_was_asked_for() {
        let (a, alias) = (|last| [192, 0, 2, last], |name| encode(name));
        let cases = [
            ("a CDN", samples::cdn_response(), vec!["mcp.example.com 60 192.0.2.1 192.0.2.2"]),
            (
                "hints of a service binding",
                samples::https_response(),
                vec!["mcp.example.com 300 104.16.1.1 2606:4700::1"],
            ),
            (
                "aliases in any order",
                Message::response(1)
                    .question("a.test", 1)
                    .answer("c.test", 1, 1, 90, &a(1))
                    .answer("b.test", 5, 1, 30, &alias("c.test"))
                    .answer("a.test", 5, 1, 60, &alias("b.test"))
                    .bytes(),
                vec!["a.test 30 192.0.2.1"],
            ),
            (
                "aliases in a circle",
                Message::response(1)
                    .question("a.test", 1)
                    .answer("a.test", 5, 1, 60, &alias("b.test"))
                    .answer("b.test", 5, 1, 60, &alias("a.test"))
                    .answer("b.test", 1, 1, 60, &a(1))
                    .bytes(),
                vec!["a.test 60 192.0.2.1"],
            ),
            (
                "a record the question does not lead to",
                Message::response(1)
                    .question("a.test", 1)
                    .answer("bank.test", 1, 1, 60, &a(66))
                    .bytes(),
                vec![],
            ),
            (
                "the target of a binding for a port",
                Message::response(1)
                    .question("_8443._https.a.test", 65)
                    .answer(
                        "_8443._https.a.test",
                        65,
                        1,
                        60,
                        &[&[0, 1], &*alias("svc.test")].concat(),
                    )
                    .additional("svc.test", 1, 1, 20, &a(1))
                    .bytes(),
                vec!["a.test 20 192.0.2.1"],
            ),
            (
                "multicast DNS without a question",
                Message::response(0)
                    .answer("x._mcp._tcp.local", 33, 0x8001, 120, b"\0\0\0\0\x1f\x90\x01h\0")
                    .additional("h.local", 1, 0x8001, 120, &a(1))
                    .additional("h.local", 1, 0x8001, 60, &a(2))
                    .additional("other.local", 1, 0x8001, 120, &a(3))
                    .bytes(),
                vec!["h.local 60 192.0.2.1 192.0.2.2", "other.local 120 192.0.2.3"],
            ),
            (
                "addresses of nobody",
                Message::response(1)
                    .question("ads.test", 1)
                    .answer("ads.test", 1, 1, 60, &[0; 4])
                    .answer("ads.test", 1, 1, 60, &[224, 0, 0, 1])
                    .bytes(),
                vec![],
            ),
            (
                "a name of no host",
                Message::response(1).question("a b", 1).answer("a b", 1, 1, 60, &a(1)).bytes(),
                vec![],
            ),
            (
                "a query with an answer in it",
                Message::query(1).question("a.test", 1).answer("a.test", 1, 1, 60, &a(1)).bytes(),
                vec![],
            ),
            ("no answer", Message::response(1).question("a.test", 1).bytes(), vec![]),
            (
                "an answer that was cut",
                samples::cdn_response()[..75].to_vec(),
                vec!["mcp.example.com 60 192.0.2.1"],
            ),
        ];
        for (what, message, expected) in cases {
            assert_eq!(learnt(&message), expected, "{what}");
        }
    }

    #[test]
    fn what_is_kept_of_a_message_is_bounded() {
        let mut message = Message::response(1).question("n0.test", 1);
        for index in 0..100 {
            let target = encode(&format!("n{}.test", index + 1));
            message = message.answer(&format!("n{index}.test"), 5, 1, 60, &target);
        }
        for last in 0..100 {
            message = message.answer("n0.test", 1, 1, 60, &[192, 0, 2, last]);
        }
        let message = message.bytes();
        assert_eq!(learnt(&message)[0].split(' ').count(), 2 + MAX_ADDRESSES);
    }

    #[test]
    fn any_bytes_are_taken() {
        let mut rng = Rng::new(3);
        for round in 0..5000 {
            let mut message = samples::all()[round % 2].clone();
            rng.mutate(&mut message);
            for line in learnt(&message) {
                assert!(line.len() < 4000 && line.is_ascii(), "{line}");
            }
        }
    }
}
