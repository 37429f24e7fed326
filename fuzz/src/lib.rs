//! What the fuzz targets do: one module and one `run` for each surface that
//! takes bytes from outside.
//!
//! `run` takes any bytes, drives a part of mcpwatch with them, and panics if
//! the part breaks a promise: it must not panic itself, and what it makes of
//! its input must not depend on how the input was cut. The targets proper are
//! in `fuzz_targets/`; `tests/fuzz_corpus.rs` of mcpwatch includes this file
//! and runs the same functions over the corpus and the regressions.

pub mod capture;
pub mod coding;
pub mod connection;
pub mod dns;
pub mod encoding;
pub mod engine;
pub mod findings;
pub mod frame;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod jsonrpc;
pub mod keylog;
pub mod matcher;
pub mod policy;
pub mod qpack;
pub mod quic;
pub mod raw;
pub mod replay;
pub mod signatures;
pub mod sse;
pub mod tcp;
pub mod tls;
pub mod uri;
pub mod websocket;

mod compare;
mod exchanges;
mod input;
mod messages;
mod packets;

/// A target: its name, which is that of its corpus folder, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("capture", capture::run),
    ("coding", coding::run),
    ("connection", connection::run),
    ("dns", dns::run),
    ("encoding", encoding::run),
    ("engine", engine::run),
    ("findings", findings::run),
    ("frame", frame::run),
    ("hpack", hpack::run),
    ("http1", http1::run),
    ("http2", http2::run),
    ("jsonrpc", jsonrpc::run),
    ("keylog", keylog::run),
    ("matcher", matcher::run),
    ("policy", policy::run),
    ("qpack", qpack::run),
    ("quic", quic::run),
    ("raw", raw::run),
    ("replay", replay::run),
    ("signatures", signatures::run),
    ("sse", sse::run),
    ("tcp", tcp::run),
    ("tls", tls::run),
    ("uri", uri::run),
    ("websocket", websocket::run),
];
