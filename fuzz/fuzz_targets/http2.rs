//! HTTP/2, both directions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::http2::run(data));
