//! What mcpwatch promises, tested from outside: one binary, so that the crate is
//! linked once.

#![allow(clippy::unwrap_used)]

mod bounds;
mod cli;
mod docs;
mod evasion;
mod fuzz_corpus;
mod names;
mod policy;
mod property;
mod quic;
#[cfg(target_os = "linux")]
mod sense;
mod shedding;
#[cfg(target_os = "linux")]
mod soak;
mod support;
mod truth;
mod values;
mod workers;
