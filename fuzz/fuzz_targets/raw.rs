//! JSON-RPC over TCP.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::raw::run(data));
