//! JSON-RPC messages in a body.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::jsonrpc::run(data));
