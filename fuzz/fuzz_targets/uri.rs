//! Request targets, hosts and other texts of heads.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::uri::run(data));
