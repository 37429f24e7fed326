//! Finds Model Context Protocol (MCP) traffic in packet captures.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator;
pub mod capture;
pub mod cli;
mod counters;
pub mod decode;
pub mod detect;
pub mod engine;
pub mod findings;
pub mod flow;
pub mod mcp;
pub mod metrics;
mod panics;
pub mod policy;
pub mod report;
#[cfg(target_os = "linux")]
pub mod sandbox;
pub mod signature;
pub mod stream;
pub mod time;
mod tui;
pub mod workbench;

pub use engine::Engine;
