//! Finds Model Context Protocol (MCP) traffic in packet captures.

pub mod capture;
mod counters;
pub mod decode;
pub mod findings;
pub mod policy;
pub mod stream;
pub mod time;
