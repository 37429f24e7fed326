//! PROXY protocol: a header before the client's first byte. The server says
//! nothing to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::Preface;
use super::reader::{After, End, Field, Next};

/// How version 1 begins.
pub(super) const V1_START: &[u8] = b"PROXY ";

/// How version 2 begins.
pub(super) const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The whole of version 1: a line of at most 107 bytes (section 2.1).
pub(super) const V1_LINE: Field =
    Field { end: End::Byte { byte: b'\n', max: 107 }, read: v1_line, context: 0 };

/// The fixed part of version 2 (section 2.2).
pub(super) const V2_HEADER: Field = Field { end: End::Len(16), read: v2_header, context: 0 };

/// The type of the extension with the name the client gave to the proxy.
const AUTHORITY: u8 = 0x02;

/// The longest authority that is kept.
const MAX_AUTHORITY: u16 = 255;

fn v1_line(line: &[u8], found: &mut Preface, _: u16) -> Next {
    let line = line.strip_prefix(V1_START).and_then(|line| line.strip_suffix(b"\r\n"));
    let Some(line) = line.and_then(|line| std::str::from_utf8(line).ok()) else {
        return Next::MALFORMED;
    };
    let mut words = line.split(' ');
    let addresses = match words.next() {
        // What follows is to be ignored.
        Some("UNKNOWN") => return Next::Payload,
        Some("TCP4") => v1_addresses::<Ipv4Addr>(words),
        Some("TCP6") => v1_addresses::<Ipv6Addr>(words),
        _ => None,
    };
    let Some((source, destination)) = addresses else { return Next::MALFORMED };
    found.source = Some(source);
    found.destination = Some(destination);
    Next::Payload
}

/// Source, destination, source port, destination port, and no more.
fn v1_addresses<'a, A: FromStr + Into<IpAddr>>(
    mut words: impl Iterator<Item = &'a str>,
) -> Option<(SocketAddr, SocketAddr)> {
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (source, destination) = (address()?, address()?);
    let mut port = || words.next().filter(|word| !word.starts_with('+'))?.parse().ok();
    let (source_port, destination_port) = (port()?, port()?);
    let is_whole = words.next().is_none();
    is_whole.then(|| {
        (SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port))
    })
}

fn v2_header(header: &[u8], _: &mut Preface, _: u16) -> Next {
    let Some(&[command, family, high, low]) = header.strip_prefix(V2_START) else {
        return Next::MALFORMED;
    };
    let len = u16::from_be_bytes([high, low]);
    let is_proxied = match command {
        // The proxy's own connection, such as a health check.
        0x20 => false,
        0x21 => true,
        _ => return Next::MALFORMED,
    };
    type Read = fn(&[u8], &mut Preface, u16) -> Next;
    let (addresses_len, read): (u16, Read) = match family {
        0x11 | 0x12 if is_proxied => (12, v2_addresses::<4>),
        0x21 | 0x22 if is_proxied => (36, v2_addresses::<16>),
        // Unix sockets: extensions follow the two paths.
        0x31 | 0x32 if is_proxied => (216, v2_paths),
        _ => return Next::Skip(len, After::Payload),
    };
    match len.checked_sub(addresses_len) {
        Some(rest) => Next::Field(Field { end: End::Len(addresses_len), read, context: rest }),
        None => Next::MALFORMED,
    }
}

fn v2_addresses<const N: usize>(bytes: &[u8], found: &mut Preface, rest: u16) -> Next
where
    IpAddr: From<[u8; N]>,
{
    let addresses = || {
        let (source, bytes) = bytes.split_first_chunk::<N>()?;
        let (destination, ports) = bytes.split_first_chunk::<N>()?;
        let (source_port, ports) = ports.split_first_chunk()?;
        let destination_port = ports.first_chunk()?;
        let socket = |ip: &[u8; N], port: &[u8; 2]| {
            SocketAddr::new(IpAddr::from(*ip), u16::from_be_bytes(*port))
        };
        Some((socket(source, source_port), socket(destination, destination_port)))
    };
    let Some((source, destination)) = addresses() else { return Next::MALFORMED };
    found.source = Some(source);
    found.destination = Some(destination);
    found.port = Some(destination.port());
    extensions(rest)
}

fn v2_paths(_: &[u8], _: &mut Preface, rest: u16) -> Next {
    extensions(rest)
}

/// What comes with `rest` bytes of extensions ahead. Extensions that do not
/// fit are passed over, for the payload begins after them all the same.
fn extensions(rest: u16) -> Next {
    match rest {
        0..3 => Next::Skip(rest, After::Payload),
        _ => Next::Field(Field { end: End::Len(3), read: extension, context: rest - 3 }),
    }
}

fn extension(head: &[u8], _: &mut Preface, rest: u16) -> Next {
    let &[kind, high, low] = head else { return Next::MALFORMED };
    let len = u16::from_be_bytes([high, low]);
    let Some(rest) = rest.checked_sub(len) else {
        return Next::Skip(rest, After::Payload);
    };
    if kind == AUTHORITY && (1..=MAX_AUTHORITY).contains(&len) {
        return Next::Field(Field { end: End::Len(len), read: authority, context: rest });
    }
    match extensions(rest) {
        Next::Field(field) => Next::Skip(len, After::Field(field)),
        _ => Next::Skip(len + rest, After::Payload),
    }
}

fn authority(name: &[u8], found: &mut Preface, rest: u16) -> Next {
    found.host = Some(name.to_vec());
    extensions(rest)
}
