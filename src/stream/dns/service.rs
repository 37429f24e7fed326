//! The data of SVCB and HTTPS records (RFC 9460 section 2.2).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{DnsError, name};

// Keys of parameters (RFC 9460 section 14.3.2).
const ALPN: u16 = 1;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;

/// What an SVCB or HTTPS record says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceBinding<'a> {
    /// Priority; 0 is AliasMode, in which only the target counts.
    pub priority: u16,
    /// The name of who gives the service; empty: the owner of the record (in
    /// AliasMode: nobody).
    pub target: &'a str,
    /// The port, where the record gives one.
    pub port: Option<u16>,
    /// Whether the record has keys for Encrypted Client Hello (RFC 9848).
    pub ech: bool,
    alpn: &'a [u8],
    ipv4_hints: &'a [[u8; 4]],
    ipv6_hints: &'a [[u8; 16]],
}

impl<'a> ServiceBinding<'a> {
    /// Reads the `len` bytes of data at `start` of `message`, which holds them.
    /// The target is written to `target`.
    pub(super) fn read(
        message: &'a [u8],
        start: usize,
        len: usize,
        target: &'a mut String,
    ) -> Result<Self, DnsError> {
        // The target is not compressed, so bytes after the data are no help.
        let message = message.get(..start + len).ok_or(DnsError::Truncated)?;
        let priority = read_u16(message.get(start..).unwrap_or_default())?.0;
        let params = name::read(message, start + 2, target)?;
        let mut binding = Self {
            priority,
            target,
            port: None,
            ech: false,
            alpn: &[],
            ipv4_hints: &[],
            ipv6_hints: &[],
        };
        if priority > 0 {
            binding.read_params(message.get(params..).unwrap_or_default())?;
        }
        Ok(binding)
    }

    /// Whether the record is an alias (AliasMode).
    pub const fn is_alias(&self) -> bool {
        self.priority == 0
    }

    /// The protocols offered (ALPN identifiers), in order.
    pub fn alpn(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.alpn;
        std::iter::from_fn(move || {
            let (protocol, after) = split_protocol(rest)?;
            rest = after;
            Some(protocol)
        })
    }

    /// IPv4 addresses of the service.
    pub fn ipv4_hints(&self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        self.ipv4_hints.iter().copied().map(Ipv4Addr::from)
    }

    /// IPv6 addresses of the service.
    pub fn ipv6_hints(&self) -> impl Iterator<Item = Ipv6Addr> + use<'a> {
        self.ipv6_hints.iter().copied().map(Ipv6Addr::from)
    }

    fn read_params(&mut self, mut rest: &'a [u8]) -> Result<(), DnsError> {
        let mut last = None;
        while !rest.is_empty() {
            let (key, after) = read_u16(rest)?;
            let (len, after) = read_u16(after)?;
            let (value, after) =
                after.split_at_checked(usize::from(len)).ok_or(DnsError::BadService)?;
            // A client must reject a record with keys out of order.
            if last.is_some_and(|last| last >= key) {
                return Err(DnsError::BadService);
            }
            self.set(key, value)?;
            last = Some(key);
            rest = after;
        }
        Ok(())
    }

    fn set(&mut self, key: u16, value: &'a [u8]) -> Result<(), DnsError> {
        match key {
            ALPN => {
                if !is_protocol_list(value) {
                    return Err(DnsError::BadService);
                }
                self.alpn = value;
            }
            PORT => {
                let port = value.try_into().map_err(|_| DnsError::BadService)?;
                self.port = Some(u16::from_be_bytes(port));
            }
            IPV4_HINT => self.ipv4_hints = chunks(value)?,
            IPV6_HINT => self.ipv6_hints = chunks(value)?,
            ECH => self.ech = !value.is_empty(),
            _ => {}
        }
        Ok(())
    }
}

fn read_u16(bytes: &[u8]) -> Result<(u16, &[u8]), DnsError> {
    let (value, rest) = bytes.split_first_chunk().ok_or(DnsError::BadService)?;
    Ok((u16::from_be_bytes(*value), rest))
}

fn chunks<const N: usize>(value: &[u8]) -> Result<&[[u8; N]], DnsError> {
    match value.as_chunks() {
        (chunks, []) if !chunks.is_empty() => Ok(chunks),
        _ => Err(DnsError::BadService),
    }
}

fn is_protocol_list(mut rest: &[u8]) -> bool {
    loop {
        match split_protocol(rest) {
            Some((_, [])) => return true,
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
}

/// Splits off the first protocol of a list; it is not empty.
fn split_protocol(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = list.split_first()?;
    rest.split_at_checked(usize::from(len)).filter(|(protocol, _)| !protocol.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `data` at the end of a message, with a byte after it.
    fn with<T>(data: &[u8], see: impl FnOnce(Result<ServiceBinding<'_>, DnsError>) -> T) -> T {
        let message = [&[0; 12], data, &[0xff]].concat();
        let mut target = String::new();
        see(ServiceBinding::read(&message, 12, data.len(), &mut target))
    }

    #[test]
    fn parameters_are_read() {
        let data = b"\0\x01\0\
            \0\x01\0\x06\x02h2\x02h3\
            \0\x03\0\x02\x20\xfb\
            \0\x04\0\x08\xc0\0\x02\x01\xc0\0\x02\x02\
            \0\x05\0\x03abc\
            \0\x06\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
            \xff\0\0\x01x";
        with(data, |binding| {
            let binding = binding.unwrap();
            assert_eq!((binding.priority, binding.target, binding.is_alias()), (1, "", false));
            assert_eq!(binding.alpn().collect::<Vec<_>>(), [b"h2", b"h3"]);
            assert_eq!((binding.port, binding.ech), (Some(8443), true));
            let ipv4: Vec<_> = binding.ipv4_hints().map(|ip| ip.to_string()).collect();
            assert_eq!(ipv4, ["192.0.2.1", "192.0.2.2"]);
            let ipv6: Vec<_> = binding.ipv6_hints().map(|ip| ip.to_string()).collect();
            assert_eq!(ipv6, ["2001:db8::1"]);
        });
    }

    #[test]
    fn an_alias_has_a_target_alone() {
        with(b"\0\0\x03Svc\x04test\0garbage", |binding| {
            let binding = binding.unwrap();
            assert_eq!((binding.target, binding.is_alias()), ("svc.test", true));
            assert_eq!(binding.alpn().count(), 0);
        });
    }

    #[test]
    fn malformed_data_is_refused() {
        let cases: [(&str, &[u8]); 12] = [
            ("empty", b""),
            ("no target", b"\0\x01"),
            ("target cut", b"\0\x01\x03ab"),
            ("key cut", b"\0\x01\0\0"),
            ("length cut", b"\0\x01\0\0\x01\0"),
            ("value cut", b"\0\x01\0\0\x01\0\x03\x02h"),
            ("alpn empty", b"\0\x01\0\0\x01\0\0"),
            ("alpn protocol empty", b"\0\x01\0\0\x01\0\x01\0"),
            ("alpn protocol too long", b"\0\x01\0\0\x01\0\x02\x02h"),
            ("port of one byte", b"\0\x01\0\0\x03\0\x01\x01"),
            ("address cut", b"\0\x01\0\0\x04\0\x05\x01\x02\x03\x04\x05"),
            ("keys out of order", b"\0\x01\0\0\x05\0\x01a\0\x03\0\x02\x01\x02"),
        ];
        for (what, data) in cases {
            assert!(with(data, |binding| binding.is_err()), "{what}");
        }
    }
}
