//! What the benches share: a generator of captures that knows what it wrote, and
//! a way to run programs and see what they cost.

mod address;
pub(crate) mod contest;
pub(crate) mod findings;
pub(crate) mod generate;
pub(crate) mod handover;
mod http;
mod mcp;
mod other;
mod payload;
pub(crate) mod process;
mod random;
mod session;
mod text;
mod tls;
pub(crate) mod truth;
pub(crate) mod walk;
mod web;
mod wire;
