//! Flows: decoded packets in, in-order TCP streams with explicit gaps and UDP
//! datagrams out.
//!
//! A [`FlowTable`] belongs to one worker and owns its flows outright. It tells
//! a [`FlowHandler`], the layer above, of each flow that carries payload, and
//! keeps the handler's state of the flow beside its own. A segment in order is
//! handed on as the slice it came in.
//!
//! # What it does about
//!
//! * **Loss.** A hole is given up, and said as a gap, when the receiver has
//!   acknowledged the bytes and some patience for reordering in the capture has
//!   passed; after longer patience where acknowledgements are not seen; at a
//!   bound on memory; and at the end of the flow. What the snap length cut is a
//!   gap at once.
//! * **Overlap.** The first copy of a byte wins, as far back as it is
//!   remembered later copies are compared, and a difference is counted and
//!   flagged on the flow: it is the sign of an attempt at evasion.
//! * **Missing starts.** A flow seen from the middle or from one side only is
//!   followed from the first segment seen; see [`FlowInfo::is_midstream`].
//! * **Floods.** Everything held is bounded ([`FlowLimits`]), every bound is
//!   counted ([`FlowCounters`]), and no step is worse than logarithmic in what
//!   is held.
//! * **Repeatability.** What the handler is told of a flow depends on the
//!   packets of that flow alone, not on other flows, the hash seed, or how
//!   often time is advanced; unless a bound of the whole table is reached.
//!
//! # Limits
//!
//! Urgent data is part of the stream. Window sizes and checksums are not
//! looked at. Flows with one five-tuple in different VLANs or tunnels are one.
//!
//! ```
//! use mcpwatch::capture::SourceId;
//! use mcpwatch::decode::{Packet, Transport, TunnelPath};
//! use mcpwatch::flow::{
//!     CloseReason, FlowHandler, FlowHasher, FlowInfo, FlowLimits, FlowTable,
//! };
//! use mcpwatch::stream::Direction;
//! use mcpwatch::time::Timestamp;
//!
//! struct Printer(Vec<String>);
//!
//! impl FlowHandler for Printer {
//!     type State = u64;
//!     fn opened(&mut self, _: &mut FlowInfo) -> u64 { 0 }
//!     fn data(&mut self, bytes: &mut u64, _: &mut FlowInfo, _: Direction, data: &[u8]) {
//!         *bytes += data.len() as u64;
//!     }
//!     fn gap(&mut self, _: &mut u64, _: &mut FlowInfo, _: Direction, _: u64) {}
//!     fn end(&mut self, _: &mut u64, _: &mut FlowInfo, _: Direction) {}
//!     fn datagram(
//!         &mut self, bytes: &mut u64, _: &mut FlowInfo, _: Direction, data: &[u8], _: u32,
//!     ) {
//!         *bytes += data.len() as u64;
//!     }
//!     fn closed(&mut self, bytes: u64, flow: &FlowInfo, why: CloseReason) {
//!         self.0.push(format!("{} -> {}: {bytes} bytes, {why:?}", flow.client(), flow.server()));
//!     }
//! }
//!
//! let mut printer = Printer(Vec::new());
//! let mut flows = FlowTable::new(FlowLimits::default(), FlowHasher::random());
//! let packet = Packet {
//!     number: 1,
//!     time: Timestamp::from_parts(1_780_000_000, 0),
//!     source: SourceId(0),
//!     src: "192.0.2.1:40000".parse()?,
//!     dst: "192.0.2.2:53".parse()?,
//!     transport: Transport::Udp,
//!     payload: b"query",
//!     missing: 0,
//!     tunnel: TunnelPath::default(),
//! };
//! flows.on_packet(1, &packet, &mut printer);
//! flows.finish(&mut printer);
//! assert_eq!(printer.0, ["192.0.2.1:40000 -> 192.0.2.2:53: 5 bytes, InputEnd"]);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod buffers;
mod clock;
mod community_id;
mod delivery;
mod five_tuple;
mod half;
mod handler;
mod held;
mod history;
mod info;
mod limits;
mod lists;
mod shared;
mod slots;
mod table;
mod tcp;
mod weights;

pub use clock::FlowClock;
pub use community_id::community_id;
pub use five_tuple::{FlowHasher, FlowKey, PacketKey, Protocol, Side};
pub use handler::{CloseReason, FlowHandler};
pub use info::{FlowInfo, PacketRef};
pub use limits::{FlowCounters, FlowLimits};
pub use table::{FlowTable, Moment, Segment};

#[cfg(test)]
mod tests;
