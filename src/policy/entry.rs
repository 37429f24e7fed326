//! Entries of a policy: host patterns and networks.

use std::net::IpAddr;
use std::str::FromStr;

/// A server named by host: `host`, `*.suffix`, either with `:port` and `/path`.
///
/// `*.example.com` stands for every name below `example.com`, not for
/// `example.com` itself. A path stands for itself and what lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    name: String,
    subdomains: bool,
    port: Option<u16>,
    path: Option<String>,
}

impl HostEntry {
    /// Whether a server of that name, port and path is meant. An entry with a
    /// path does not match where the path is unknown (TLS without keys).
    pub fn matches(&self, host: &str, port: Option<u16>, path: Option<&str>) -> bool {
        self.matches_name(host)
            && self.port.is_none_or(|wanted| port == Some(wanted))
            && self.path.as_deref().is_none_or(|prefix| path.is_some_and(|p| below(p, prefix)))
    }

    fn matches_name(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        if !self.subdomains {
            return host.eq_ignore_ascii_case(&self.name);
        }
        let Some(at) = host.len().checked_sub(self.name.len()) else { return false };
        at > 1
            && host.as_bytes().get(at - 1) == Some(&b'.')
            && host.get(at..).is_some_and(|suffix| suffix.eq_ignore_ascii_case(&self.name))
    }
}

/// Whether `path` is `prefix` or lies below it, on segment borders.
fn below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl FromStr for HostEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err("a host is written without a scheme".into());
        }
        let (authority, path) = match text.split_once('/') {
            Some((authority, path)) => (authority, Some(format!("/{path}"))),
            None => (text, None),
        };
        let (name, port) = split_port(authority)?;
        let (name, subdomains) = match name.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (name, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.contains('*') {
            return Err("a wildcard stands only for whole labels in front: `*.example.com`".into());
        }
        if name.is_empty() || name.split('.').any(str::is_empty) && !name.contains(':') {
            return Err(format!("`{text}` is not a host name"));
        }
        Ok(Self { name: name.to_ascii_lowercase(), subdomains, port, path })
    }
}

/// Splits `host:port` and `[v6]:port`; a bare IPv6 address has no port.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (name, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or("missing `]`")?;
        (name, rest.strip_prefix(':'))
    } else if authority.matches(':').count() == 1 {
        let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
        (name, Some(port))
    } else {
        (authority, None)
    };
    match port {
        None => Ok((name, None)),
        Some(text) => match text.parse() {
            Ok(port) => Ok((name, Some(port))),
            Err(_) => Err(format!("`{text}` is not a port")),
        },
    }
}

/// A network in CIDR notation, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `ip` lies in the network; an IPv4-mapped IPv6 address counts as
    /// the IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (u32::from(net) ^ u32::from(ip)) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (u128::from(net) ^ u128::from(ip)) & mask == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| format!("`{address}` is not an IP address"))?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => widest,
            Some(text) => text
                .parse()
                .ok()
                .filter(|prefix| *prefix <= widest)
                .ok_or_else(|| format!("`/{text}` is not a prefix length up to {widest}"))?,
        };
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_none_are_refused() {
        for text in ["", "https://a.b", "a..b", "*", "a*.b", "a.b:port", "[::1", "*.*.b"] {
            assert!(text.parse::<HostEntry>().is_err(), "{text}");
        }
    }

    #[test]
    fn networks_of_either_family() {
        let any: Network = "0.0.0.0/0".parse().unwrap();
        assert!(any.contains("203.0.113.9".parse().unwrap()));
        assert!(!any.contains("2001:db8::1".parse().unwrap()));
        let one: Network = "2001:db8::1".parse().unwrap();
        assert!(one.contains("2001:db8::1".parse().unwrap()));
        assert!(!one.contains("2001:db8::2".parse().unwrap()));
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "a/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn ipv6_literals_and_ports() {
        let entry: HostEntry = "[2001:db8::1]:8443".parse().unwrap();
        assert!(entry.matches("2001:db8::1", Some(8443), None));
        assert!(!entry.matches("2001:db8::1", Some(443), None));
        let entry: HostEntry = "2001:db8::1".parse().unwrap();
        assert!(entry.matches("2001:db8::1", Some(443), None));
    }
}
