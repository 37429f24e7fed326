//! The Model Context Protocol itself: bytes of bodies in, typed messages out.
//!
//! - [`Scanner`] reads a body, in any encoding and any pieces, and delivers
//!   its JSON-RPC messages; [`RawStream`] does so for a TCP stream without
//!   HTTP.
//! - [`Message`] holds what matters of a message; [`Message::shape`] says what
//!   it is evidence of.
//! - [`Revision`] and [`Method`] are the published protocol as tables;
//!   [`headers`] its HTTP fields; [`Endpoint`] the first event of HTTP+SSE.
//!
//! ```
//! use mcpwatch::mcp::{Proof, Scanner, Shape};
//!
//! let mut scanner = Scanner::new();
//! let mut seen = Vec::new();
//! let mut sink = |message: &mcpwatch::mcp::Message| {
//!     seen.push((message.method().map(str::to_owned), message.shape()));
//! };
//! scanner.feed(br#"{"method":"tools/call","params":{"name":"ad"#, &mut sink)?;
//! scanner.feed(br#"d"},"jsonrpc":"2.0","id":1}"#, &mut sink)?;
//! scanner.finish(true, &mut sink)?;
//! assert_eq!(seen, [(Some("tools/call".to_owned()), Shape::Mcp(Proof::Request))]);
//! # Ok::<(), mcpwatch::mcp::Malformed>(())
//! ```
//!
//! Nothing here knows of packets, HTTP or verdicts. Every part is total: any
//! bytes give messages or a counted, typed outcome, in bounded memory and
//! linear time, however they are cut.

mod collect;
mod digest;
mod encoding;
mod endpoint;
mod framing;
pub mod headers;
mod json;
mod jsonrpc;
mod keys;
mod listen;
mod members;
mod message;
mod path;
mod revision;
mod shape;
mod store;
#[cfg(test)]
mod tests;

pub use encoding::{Charset, Decoder};
pub use endpoint::{Endpoint, Session};
pub use framing::{Framing, Probe, RawStream, probe};
pub use json::Reason;
pub use jsonrpc::{Malformed, MessageSink, ScanCounters, Scanner};
pub use keys::{
    EnvelopeKey, ErrorDataKey, ErrorKey, InfoKey, ItemKey, MetaKey, ParamKey, ResultKey,
};
pub use listen::{Listener, Scope, Wanted, is_key};
pub use members::{MemberReader, MemberSink};
pub use message::{
    ContentTypes, Flags, Id, Info, Kind, List, ListFacts, Message, Tool, ValueKind, Version,
};
pub use revision::{METHODS, Marker, Method, Revision, Sender, error_code, is_revision_name};
pub use shape::{Answer, Foreign, Proof, Shape, Weak};
