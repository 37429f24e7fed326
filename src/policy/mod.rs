//! Governance: who approved which server.
//!
//! A policy file (TOML) in, a [`Governance`] class for each server out. Hosts
//! are matched on label borders, never as substrings: `mcp.example.com` does
//! not match `mcp.example.com.attacker.tld`.
//!
//! ```
//! use mcpwatch::findings::Governance;
//! use mcpwatch::policy::{Policy, Server};
//!
//! let policy = Policy::parse(
//!     r#"
//!     version = 1
//!     [portal]
//!     hosts = ["portal.example.com"]
//!     [sanctioned]
//!     hosts = ["*.tools.example.com", "api.example.net/mcp"]
//!     "#,
//!     "policy.toml",
//! )
//! .unwrap();
//! let server = Server { host: Some("crm.tools.example.com"), ..Server::default() };
//! assert_eq!(policy.classify(&server), Governance::Sanctioned);
//! ```

mod entry;
mod file;

use std::net::{IpAddr, SocketAddr};

pub use entry::{HostEntry, Network};
pub use file::PolicyError;

use crate::findings::Governance;

/// What is known of a server when it is classified.
#[derive(Clone, Copy, Debug, Default)]
pub struct Server<'a> {
    /// Host name (or IP literal) without port, lower case, from the request or
    /// the server name indication.
    pub host: Option<&'a str>,
    /// Request path, normalised.
    pub path: Option<&'a str>,
    /// Address and port.
    pub address: Option<SocketAddr>,
    /// Whether a shipped or loaded signature names this host as an MCP server.
    pub catalogued: bool,
}

/// One class of the policy: the servers in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Class {
    hosts: Vec<HostEntry>,
    networks: Vec<Network>,
}

impl Class {
    fn contains(&self, server: &Server<'_>) -> bool {
        let port = server.address.map(|address| address.port());
        let by_host = server
            .host
            .is_some_and(|host| self.hosts.iter().any(|e| e.matches(host, port, server.path)));
        by_host || server.address.is_some_and(|address| self.covers(address.ip()))
    }

    fn covers(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }
}

/// A governance policy; the default one knows nothing and calls every server
/// [`Governance::Unreviewed`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    classes: Option<Classes>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Classes {
    portal: Class,
    sanctioned: Class,
    denied: Class,
    internal: Class,
}

impl Policy {
    /// Reads a policy. `name` stands for the file in error messages.
    ///
    /// # Errors
    /// Every error in the text, each with line and column.
    pub fn parse(text: &str, name: &str) -> Result<Self, PolicyError> {
        file::parse(text, name).map(|classes| Self { classes: Some(classes) })
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// If the file cannot be read, is too large, or is not a policy.
    pub fn load(path: &std::path::Path) -> Result<Self, PolicyError> {
        let name = path.display().to_string();
        let text = file::read(path, &name)?;
        Self::parse(&text, &name)
    }

    /// The class of a server. A denial wins over everything, an approval over
    /// what is merely known of the server.
    pub fn classify(&self, server: &Server<'_>) -> Governance {
        let Some(classes) = &self.classes else {
            return Governance::Unreviewed;
        };
        if classes.denied.contains(server) {
            Governance::Denied
        } else if classes.portal.contains(server) {
            Governance::Portal
        } else if classes.sanctioned.contains(server) {
            Governance::Sanctioned
        } else if classes.internal.contains(server) {
            Governance::Internal
        } else if server.catalogued {
            Governance::KnownUnsanctioned
        } else {
            Governance::Shadow
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        version = 1
        [portal]
        hosts = ["portal.example.com"]
        [sanctioned]
        hosts = ["*.tools.example.com", "api.example.net/mcp", "odd.example.org:8443"]
        networks = ["192.0.2.0/28"]
        [denied]
        hosts = ["bad.tools.example.com"]
        [internal]
        hosts = ["*.corp.example"]
        networks = ["10.0.0.0/8", "2001:db8::/32"]
    "#;

    fn class(
        host: Option<&str>,
        path: Option<&str>,
        address: &str,
        catalogued: bool,
    ) -> Governance {
        let policy = Policy::parse(POLICY, "policy.toml").unwrap();
        let address = Some(address.parse().unwrap());
        policy.classify(&Server { host, path, address, catalogued })
    }

    #[test]
    fn classes_by_host_path_port_and_network() {
        let public = "198.51.100.7:443";
        let cases = [
            (Some("portal.example.com"), None, public, false, Governance::Portal),
            (Some("portal.example.com.attacker.tld"), None, public, false, Governance::Shadow),
            (Some("xportal.example.com"), None, public, false, Governance::Shadow),
            (Some("a.b.tools.example.com"), None, public, false, Governance::Sanctioned),
            (Some("tools.example.com"), None, public, false, Governance::Shadow),
            (Some("bad.tools.example.com"), None, public, false, Governance::Denied),
            (Some("api.example.net"), Some("/mcp/v1"), public, false, Governance::Sanctioned),
            (Some("api.example.net"), Some("/mcpx"), public, false, Governance::Shadow),
            (Some("api.example.net"), None, public, false, Governance::Shadow),
            (Some("odd.example.org"), None, "198.51.100.7:8443", false, Governance::Sanctioned),
            (Some("odd.example.org"), None, public, false, Governance::Shadow),
            (None, None, "192.0.2.9:80", false, Governance::Sanctioned),
            (None, None, "192.0.2.16:80", false, Governance::Shadow),
            (Some("x.corp.example"), None, public, false, Governance::Internal),
            (None, None, "10.1.2.3:80", false, Governance::Internal),
            (None, None, "[2001:db8::1]:80", false, Governance::Internal),
            (None, None, "[::ffff:10.0.0.1]:80", false, Governance::Internal),
            (Some("mcp.example.org"), None, public, true, Governance::KnownUnsanctioned),
        ];
        for (host, path, address, catalogued, expected) in cases {
            let found = class(host, path, address, catalogued);
            assert_eq!(found, expected, "{host:?} {path:?} {address}");
        }
    }

    #[test]
    fn without_a_policy_everything_is_unreviewed() {
        let server =
            Server { host: Some("mcp.example.com"), catalogued: true, ..Default::default() };
        assert_eq!(Policy::default().classify(&server), Governance::Unreviewed);
    }

    #[test]
    fn private_networks_are_internal_unless_the_policy_says_otherwise() {
        let server =
            Server { address: Some("192.168.1.5:8000".parse().unwrap()), ..Default::default() };
        let silent = Policy::parse("version = 1", "p").unwrap();
        assert_eq!(silent.classify(&server), Governance::Internal);
        let none = Policy::parse("version = 1\n[internal]\nnetworks = []", "p").unwrap();
        assert_eq!(none.classify(&server), Governance::Shadow);
    }
}
