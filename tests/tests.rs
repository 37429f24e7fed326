//! What mcpwatch promises, tested from outside: one binary, so that the crate is
//! linked once.

#![allow(clippy::unwrap_used)]

mod bounds;
mod cli;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod consumers;
mod docs;
mod evasion;
#[cfg(feature = "flight")]
mod flight;
mod fuzz_corpus;
#[cfg(all(target_os = "linux", feature = "libpcap"))]
mod libpcap;
mod names;
#[cfg(target_os = "linux")]
mod operate;
mod pace;
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
#[cfg(target_os = "linux")]
mod tui;
mod values;
mod workers;
