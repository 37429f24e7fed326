//! What mcpwatch promises, tested from outside: one binary, so that the crate is
//! linked once.

#![allow(clippy::unwrap_used)]

mod cli;
#[cfg(target_os = "linux")]
mod consumers;
mod docs;
mod evasion;
#[cfg(feature = "flight")]
mod flight;
mod fuzz_corpus;
mod names;
mod pace;
mod policy;
mod property;
mod quic;
#[cfg(target_os = "linux")]
mod sense;
mod support;
mod truth;
mod values;
mod workers;
