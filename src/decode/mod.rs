//! Frame in, packet out.
//!
//! [`Decoder::decode`] takes a [`Frame`](crate::capture::Frame) down through
//! link layers, tunnels and IP fragments to the TCP or UDP payload inside. Every
//! frame has exactly one [`Outcome`]: a [`Packet`], or the reason ([`Skip`]) why
//! there is none; and every outcome has a counter, so that the outcomes of
//! [`DecodeCounters`] add up to the frames.
//!
//! The way goes round in three stages until a transport payload is reached:
//!
//! ```text
//!            ┌───────────────── tunnel ◄───────────────┐
//!            ▼                                         │
//!  frame ─ link ─────────── network ──────────────── transport ─ packet
//!          Ethernet, VLAN,  IPv4, IPv6, extension     TCP, UDP
//!          MPLS, PPP(oE),   headers, fragments
//!          cooked, raw      (`defrag`)
//! ```
//!
//! Nearly every frame is a TCP segment in IP in Ethernet and nothing else; `plain` reads
//! it at one go, to the same packet.
//!
//! At each stage a `Region` says which bytes were captured and how many there
//! were on the wire, so that a payload cut by a snap length, inside however many
//! tunnels, tells how much of it is missing.
//!
//! ```
//! use mcpwatch::capture::{Frame, LinkType, SourceId};
//! use mcpwatch::decode::{DecodeLimits, Decoder, Outcome};
//! use mcpwatch::time::Timestamp;
//!
//! // A UDP datagram from 192.0.2.1:1234 to 192.0.2.2:53, captured as raw IP.
//! let data = [
//!     0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
//!     0x04, 0xd2, 0, 53, 0, 10, 0, 0, // UDP
//!     b'h', b'i',
//! ];
//! let frame = Frame {
//!     number: 1,
//!     time: Timestamp::from_parts(0, 0),
//!     link: LinkType::RAW,
//!     source: SourceId(0),
//!     data: &data,
//!     original_len: 30,
//! };
//! let mut decoder = Decoder::new(DecodeLimits::default());
//! let Outcome::Packet(packet) = decoder.decode(&frame) else {
//!     panic!("not decoded");
//! };
//! assert_eq!(packet.dst.to_string(), "192.0.2.2:53");
//! assert_eq!(packet.payload, b"hi");
//! ```

mod datagram;
mod decoder;
mod defrag;
mod link;
mod network;
mod outcome;
mod packet;
mod plain;
mod region;
#[cfg(test)]
mod samples;
mod transport;
mod tunnel;

pub use decoder::{DecodeLimits, Decoder};
pub use outcome::{DecodeCounters, Malformed, Outcome, Skip};
pub(crate) use packet::Endpoint;
pub use packet::{Packet, TcpFlags, TcpHeader, Transport, Tunnel, TunnelPath};
pub(crate) use plain::PlainSegment;
