//! Field sections of HTTP/3.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::qpack::run(data));
