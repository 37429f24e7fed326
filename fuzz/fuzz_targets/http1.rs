//! HTTP/1, both directions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::http1::run(data));
