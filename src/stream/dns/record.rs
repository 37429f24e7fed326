//! What is handed over of a message: questions and resource records.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::message::DnsHeader;
use super::service::ServiceBinding;

/// The type of a resource record (IANA, "Resource Record (RR) TYPEs").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    /// An IPv4 address.
    pub const A: Self = Self(1);
    /// The canonical name of an alias.
    pub const CNAME: Self = Self(5);
    /// A pointer; in DNS-SD (RFC 6763) to an instance of a service.
    pub const PTR: Self = Self(12);
    /// Text.
    pub const TXT: Self = Self(16);
    /// An IPv6 address (RFC 3596).
    pub const AAAA: Self = Self(28);
    /// The location of a service (RFC 2782).
    pub const SRV: Self = Self(33);
    /// Options of the message itself (RFC 6891).
    pub const OPT: Self = Self(41);
    /// A service binding (RFC 9460).
    pub const SVCB: Self = Self(64);
    /// A service binding for HTTPS (RFC 9460).
    pub const HTTPS: Self = Self(65);
    /// In a question: any type.
    pub const ANY: Self = Self(255);
}

/// The section of a message a record stands in. The authority section is not
/// handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsSection {
    /// Records that answer the question.
    Answer,
    /// Records that may help.
    Additional,
}

/// A resource record of class IN.
#[derive(Clone, Copy, Debug)]
pub struct DnsAnswer<'a> {
    /// The name it belongs to: printable, lower case, without trailing dot.
    pub owner: &'a str,
    /// Where it stands.
    pub section: DnsSection,
    /// Its type.
    pub kind: RecordType,
    /// For how many seconds it is valid.
    pub ttl: u32,
    /// Its data.
    pub data: DnsData<'a>,
}

/// The data of a resource record.
#[derive(Clone, Copy, Debug)]
pub enum DnsData<'a> {
    /// A: an IPv4 address.
    Ipv4(Ipv4Addr),
    /// AAAA: an IPv6 address.
    Ipv6(Ipv6Addr),
    /// CNAME: the canonical name, written as an owner is.
    Alias(&'a str),
    /// SVCB or HTTPS.
    Service(ServiceBinding<'a>),
    /// Of another type; not read.
    Other,
}

/// Receives the messages of a [`DnsParser`](super::DnsParser): for each query
/// or response `message`, then its questions and answers, then `message_end`.
pub trait DnsSink {
    /// A message begins.
    fn message(&mut self, header: &DnsHeader);

    /// A question about `name` (printable, lower case, without trailing dot).
    fn question(&mut self, name: &str, kind: RecordType);

    /// A record of the answer or additional section.
    fn answer(&mut self, answer: &DnsAnswer<'_>);

    /// The message ended; `complete` is false where it was damaged or capped.
    fn message_end(&mut self, complete: bool);
}
