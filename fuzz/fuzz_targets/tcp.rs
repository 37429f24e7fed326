//! TCP segments to streams.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::tcp::run(data));
