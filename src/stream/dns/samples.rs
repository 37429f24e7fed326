//! Messages for tests, and a sink that writes down what it is given.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::record::{DnsAnswer, DnsData, DnsSink, RecordType};
use super::{DnsHeader, ServiceBinding};

/// Builds a message; owners are not compressed.
pub(crate) struct Message {
    header: [u16; 6],
    body: Vec<u8>,
}

impl Message {
    pub(crate) fn query(id: u16) -> Self {
        Self { header: [id, 0x0100, 0, 0, 0, 0], body: Vec::new() }
    }

    pub(crate) fn response(id: u16) -> Self {
        Self { header: [id, 0x8180, 0, 0, 0, 0], body: Vec::new() }
    }

    pub(crate) fn question(mut self, name: &str, kind: u16) -> Self {
        self.header[2] += 1;
        self.body.extend(encode(name));
        self.body.extend([kind.to_be_bytes(), [0, 1]].concat());
        self
    }

    pub(crate) fn answer(self, owner: &str, kind: u16, class: u16, ttl: u32, data: &[u8]) -> Self {
        self.record(3, owner, kind, class, ttl, data)
    }

    pub(crate) fn authority(
        self,
        owner: &str,
        kind: u16,
        class: u16,
        ttl: u32,
        data: &[u8],
    ) -> Self {
        self.record(4, owner, kind, class, ttl, data)
    }

    pub(crate) fn additional(
        self,
        owner: &str,
        kind: u16,
        class: u16,
        ttl: u32,
        data: &[u8],
    ) -> Self {
        self.record(5, owner, kind, class, ttl, data)
    }

    fn record(
        mut self,
        section: usize,
        owner: &str,
        kind: u16,
        class: u16,
        ttl: u32,
        data: &[u8],
    ) -> Self {
        self.header[section] += 1;
        self.body.extend(encode(owner));
        self.body.extend([kind.to_be_bytes(), class.to_be_bytes()].concat());
        self.body.extend(ttl.to_be_bytes());
        self.body.extend((data.len() as u16).to_be_bytes());
        self.body.extend(data);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        let header = self.header.into_iter().flat_map(u16::to_be_bytes);
        header.chain(self.body).collect()
    }
}

/// A name on the wire.
pub(crate) fn encode(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// `mcp.example.com` is an alias of `b.cdn.test`, which has two addresses;
/// compressed as servers do.
pub(crate) fn cdn_response() -> Vec<u8> {
    b"\x12\x34\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00\
      \x03mcp\x07example\x03com\x00\x00\x01\x00\x01\
      \xc0\x0c\x00\x05\x00\x01\x00\x00\x01\x2c\x00\x0c\x01b\x03cdn\x04test\x00\
      \xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01\
      \xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x02"
        .to_vec()
}

/// A service binding of `mcp.example.com` with protocols, hints and ECH.
pub(crate) fn https_response() -> Vec<u8> {
    b"\x00\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\
      \x03mcp\x07example\x03com\x00\x00\x41\x00\x01\
      \xc0\x0c\x00\x41\x00\x01\x00\x00\x01\x2c\x00\x34\
      \x00\x01\x00\
      \x00\x01\x00\x06\x02h3\x02h2\
      \x00\x04\x00\x04\x68\x10\x01\x01\
      \x00\x05\x00\x03\xfe\x0d\x00\
      \x00\x06\x00\x10\x26\x06\x47\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\
      \x00\x07\x00\x00"
        .to_vec()
}

pub(crate) fn all() -> [Vec<u8>; 2] {
    [cdn_response(), https_response()]
}

/// Writes down what it is given, a line each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) lines: Vec<String>,
}

impl DnsSink for Seen {
    fn message(&mut self, header: &DnsHeader) {
        let kind = if header.is_response() { "response" } else { "query" };
        self.lines.push(format!("message {:04x} {kind}", header.id));
    }

    fn question(&mut self, name: &str, kind: RecordType) {
        self.lines.push(format!("? {name} {}", kind.0));
    }

    fn answer(&mut self, answer: &DnsAnswer<'_>) {
        let DnsAnswer { owner, section, kind: RecordType(kind), ttl, data } = answer;
        let mut line = format!("{section:?} {owner} {kind} {ttl} ");
        match data {
            DnsData::Ipv4(ip) => write!(line, "{ip}"),
            DnsData::Ipv6(ip) => write!(line, "{ip}"),
            DnsData::Alias(name) => write!(line, "alias {name}"),
            DnsData::Service(binding) => write!(line, "service {}", describe(binding)),
            DnsData::Other => write!(line, "other"),
        }
        .unwrap();
        self.lines.push(line);
    }

    fn message_end(&mut self, complete: bool) {
        self.lines.push(format!("end {complete}"));
    }
}

fn describe(binding: &ServiceBinding<'_>) -> String {
    let alpn: Vec<_> = binding.alpn().map(|name| name.escape_ascii().to_string()).collect();
    let ipv4 = binding.ipv4_hints().map(IpAddr::from);
    let hints: Vec<_> =
        ipv4.chain(binding.ipv6_hints().map(IpAddr::from)).map(|ip| ip.to_string()).collect();
    format!(
        "{} {:?} alpn [{}] port {:?} hints [{}] ech {}",
        binding.priority,
        binding.target,
        alpn.join(","),
        binding.port,
        hints.join(","),
        binding.ech,
    )
}
