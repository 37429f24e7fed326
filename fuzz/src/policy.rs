//! Policy files: any text is read, or refused with reasons; and servers are
//! classified by what was read.
//!
//! Input: the file.

use mcpwatch::policy::{Policy, Server};

/// Runs the target.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let policy = match Policy::parse(&text, "fuzz.toml") {
        Ok(policy) => policy,
        Err(error) => {
            let problems = error.to_string();
            assert!(problems.starts_with("fuzz.toml:"), "{problems}");
            return;
        }
    };
    for host in ["mcp.example.com", "127.0.0.1", "::1", "localhost", "", "."] {
        for path in [None, Some("/mcp"), Some("")] {
            for address in ["10.1.2.3:8000", "[fe80::1]:443", "[::ffff:10.0.0.1]:80"] {
                let server = Server {
                    host: Some(host),
                    path,
                    address: address.parse().ok(),
                    catalogued: false,
                };
                policy.classify(&server);
            }
        }
    }
}
