//! DNS messages and streams.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::dns::run(data));
