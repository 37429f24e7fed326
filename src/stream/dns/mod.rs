//! DNS messages: names asked for, and what they resolve to.
//!
//! In: datagrams (DNS, RFC 1035; multicast DNS, RFC 6762; LLMNR, RFC 4795) and
//! the bytes of DNS over TCP (RFC 7766), cut anywhere. Out, into a
//! [`DnsSink`]: each question, and each resource record of the answer and
//! additional sections, with addresses, aliases (CNAME) and service bindings
//! (SVCB and HTTPS, RFC 9460) read. A [`ResolutionBuilder`] is a sink that
//! follows the aliases of a response back to the name that was asked for.
//!
//! Parsing is total, does not allocate in the steady state, and its cost is
//! bounded: names by 255 bytes and [`MAX_POINTERS`] compression pointers, which
//! must point backwards; messages by [`MAX_RECORDS`] records handed over. What
//! came before the damage in a damaged message has been handed over.
//!
//! ```
//! use std::net::IpAddr;
//! use mcpwatch::stream::dns::{DnsParser, ResolutionBuilder};
//!
//! // A response: mcp.test A 192.0.2.7.
//! let message = b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\
//!     \x03MCP\x04test\x00\x00\x01\x00\x01\
//!     \xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x07";
//! let client: IpAddr = "192.0.2.1".parse()?;
//! let mut parser = DnsParser::new();
//! let mut builder = ResolutionBuilder::new();
//! parser.message(message, &mut builder)?;
//! builder.each(client, &mut |resolution| {
//!     assert_eq!(&*resolution.name, "mcp.test");
//!     assert_eq!(resolution.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
//!     assert_eq!(resolution.ttl, 300);
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod framing;
mod message;
mod name;
mod probe;
mod record;
mod resolution;
#[cfg(test)]
mod samples;
mod service;

pub use framing::{DnsStream, MAX_STREAM_MESSAGE};
pub use message::{DnsError, DnsHeader, DnsParser, MAX_RECORDS};
pub use name::MAX_POINTERS;
pub use probe::{DnsProbe, looks_like_dns, probe_dns_stream};
pub use record::{DnsAnswer, DnsData, DnsSection, DnsSink, RecordType};
pub use resolution::{Resolution, ResolutionBuilder};
pub use service::ServiceBinding;

crate::counters! {
    /// What the DNS parser saw.
    pub struct DnsCounters {
        /// Messages with a readable header.
        messages,
        /// Those of them that were responses.
        responses,
        /// Those of them that were neither query nor response to one (other
        /// opcodes), of which nothing but the header is read.
        other_opcodes,
        /// Those of them whose sender marked them as truncated.
        marked_truncated,
        /// Questions and records handed over.
        records,
        /// Records not handed over because their data was malformed.
        malformed_records,
        /// Messages cut short by the record cap.
        capped_messages,
        /// Messages that ended early (also by snap length) or were malformed.
        damaged_messages,
        /// Gaps in TCP streams.
        gaps,
        /// TCP streams given up because a gap hid where messages begin.
        lost_streams,
        /// Bytes of TCP messages not read because a message was too long.
        skipped_bytes,
    }
}
