//! A connection of any protocol.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::connection::run(data));
