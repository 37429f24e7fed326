//! What mcpwatch promises, tested from outside: one binary, so that the crate is
//! linked once.

#![allow(clippy::unwrap_used)]

mod cli;
mod docs;
mod evasion;
mod fuzz_corpus;
mod names;
#[cfg(target_os = "linux")]
mod operate;
mod policy;
mod property;
mod quic;
#[cfg(target_os = "linux")]
mod sense;
mod support;
mod truth;
#[cfg(target_os = "linux")]
mod tui;
mod values;
mod workers;
