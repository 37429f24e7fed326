//! Capture files: pcap and pcapng, as they are or compressed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcpwatch_fuzz::capture::run(data));
