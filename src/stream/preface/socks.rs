//! SOCKS: the client says where it wants to be connected to, and the proxy says
//! whether that was done.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Preface;
use super::reader::{After, End, Field, Next};

/// The client's greeting (RFC 1928 section 3): version, number of methods.
pub(super) const GREETING: Field = Field { end: End::Len(2), read: greeting, context: 0 };

/// The proxy's choice of method (section 3).
pub(super) const METHOD: Field = Field { end: End::Len(2), read: method, context: 0 };

/// A SOCKS4 request up to the user.
pub(super) const V4_REQUEST: Field = Field { end: End::Len(8), read: v4_request, context: 0 };

/// The proxy's answer to a SOCKS4 request.
pub(super) const V4_REPLY: Field = Field { end: End::Len(8), read: v4_reply, context: 0 };

pub(super) const VERSION_4: u8 = 4;
pub(super) const VERSION_5: u8 = 5;

/// The command that connects; the others lead to no payload here.
pub(super) const CONNECT: u8 = 1;

// Methods of authentication (RFC 1928 section 3).
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;

/// Version of the sub-negotiation by user and password (RFC 1929).
const AUTHENTICATION_VERSION: u8 = 1;

// Types of address (RFC 1928 section 5).
const IPV4: u8 = 1;
const DOMAIN: u8 = 3;
const IPV6: u8 = 4;

/// The longest user and host of a SOCKS4 request, with the zero after it.
pub(super) const V4_MAX_TEXT: u16 = 256;

const fn fixed(len: u16, read: fn(&[u8], &mut Preface, u16) -> Next) -> Next {
    Next::Field(Field { end: End::Len(len), read, context: 0 })
}

fn greeting(bytes: &[u8], _: &mut Preface, _: u16) -> Next {
    match *bytes {
        [VERSION_5, methods] if methods > 0 => fixed(u16::from(methods), methods_offered),
        _ => Next::MALFORMED,
    }
}

fn methods_offered(methods: &[u8], _: &mut Preface, _: u16) -> Next {
    let offers_password = methods.contains(&USER_AND_PASSWORD);
    let context = u16::from(offers_password);
    Next::Field(Field { end: End::Len(2), read: after_greeting, context })
}

/// The request, or authentication before it: its first byte tells, whatever the
/// proxy chose.
fn after_greeting(bytes: &[u8], _: &mut Preface, offers_password: u16) -> Next {
    match *bytes {
        [VERSION_5, CONNECT] => fixed(3, address_type),
        [VERSION_5, _] => Next::UNSUPPORTED,
        [AUTHENTICATION_VERSION, 0] if offers_password == 1 => fixed(1, password),
        [AUTHENTICATION_VERSION, len] if offers_password == 1 => fixed(u16::from(len), user),
        // Another method, such as GSS-API, which may encrypt all that follows.
        _ => Next::UNSUPPORTED,
    }
}

fn user(name: &[u8], found: &mut Preface, _: u16) -> Next {
    found.user = Some(name.to_vec());
    fixed(1, password)
}

/// The password's length. The password itself is skipped, never held.
fn password(len: &[u8], _: &mut Preface, _: u16) -> Next {
    match *len {
        [len] => Next::Skip(
            u16::from(len),
            After::Field(Field { end: End::Len(2), read: after_greeting, context: 0 }),
        ),
        _ => Next::MALFORMED,
    }
}

/// Reserved byte, type of address, and the first byte of the address.
fn address_type(bytes: &[u8], _: &mut Preface, _: u16) -> Next {
    let &[_, kind, first] = bytes else { return Next::MALFORMED };
    let field =
        |len, read| Next::Field(Field { end: End::Len(len), read, context: u16::from(first) });
    match kind {
        IPV4 => field(5, ipv4_target),
        IPV6 => field(17, ipv6_target),
        DOMAIN if first > 0 => field(u16::from(first) + 2, domain_target),
        _ => Next::MALFORMED,
    }
}

fn ipv4_target(bytes: &[u8], found: &mut Preface, first: u16) -> Next {
    let &[b, c, d, high, low] = bytes else { return Next::MALFORMED };
    let ip = Ipv4Addr::new(first as u8, b, c, d);
    address_target(IpAddr::V4(ip), u16::from_be_bytes([high, low]), found)
}

fn ipv6_target(bytes: &[u8], found: &mut Preface, first: u16) -> Next {
    let Some((rest, port)) = bytes.split_last_chunk::<2>() else { return Next::MALFORMED };
    let mut ip = [first as u8; 16];
    for (place, &byte) in ip.iter_mut().skip(1).zip(rest) {
        *place = byte;
    }
    address_target(IpAddr::from(ip), u16::from_be_bytes(*port), found)
}

fn address_target(ip: IpAddr, port: u16, found: &mut Preface) -> Next {
    found.host = Some(ip.to_string().into_bytes());
    found.port = Some(port);
    found.destination = Some(SocketAddr::new(ip, port));
    Next::Payload
}

fn domain_target(bytes: &[u8], found: &mut Preface, _: u16) -> Next {
    let Some((name, port)) = bytes.split_last_chunk::<2>() else { return Next::MALFORMED };
    found.host = Some(name.to_vec());
    found.port = Some(u16::from_be_bytes(*port));
    Next::Payload
}

fn method(bytes: &[u8], _: &mut Preface, _: u16) -> Next {
    match *bytes {
        [VERSION_5, NO_AUTHENTICATION] => fixed(5, reply),
        [VERSION_5, USER_AND_PASSWORD] => fixed(2, status),
        [VERSION_5, NO_METHOD] => Next::REFUSED,
        [VERSION_5, _] => Next::UNSUPPORTED,
        _ => Next::MALFORMED,
    }
}

/// The proxy's answer to user and password (RFC 1929 section 2).
fn status(bytes: &[u8], _: &mut Preface, _: u16) -> Next {
    match *bytes {
        [AUTHENTICATION_VERSION, 0] => fixed(5, reply),
        [AUTHENTICATION_VERSION, _] => Next::REFUSED,
        _ => Next::MALFORMED,
    }
}

/// The proxy's answer to the request, up to the first byte of the address it
/// has bound (RFC 1928 section 6); the rest of that is skipped.
fn reply(bytes: &[u8], _: &mut Preface, _: u16) -> Next {
    let &[version, code, _, kind, first] = bytes else { return Next::MALFORMED };
    let rest = match (version, kind) {
        (VERSION_5, IPV4) => 5,
        (VERSION_5, IPV6) => 17,
        (VERSION_5, DOMAIN) => u16::from(first) + 2,
        _ => return Next::MALFORMED,
    };
    if code == 0 { Next::Skip(rest, After::Payload) } else { Next::REFUSED }
}

fn v4_request(bytes: &[u8], found: &mut Preface, _: u16) -> Next {
    let &[version, command, high, low, a, b, c, d] = bytes else { return Next::MALFORMED };
    if version != VERSION_4 {
        return Next::MALFORMED;
    }
    if command != CONNECT {
        return Next::UNSUPPORTED;
    }
    let port = u16::from_be_bytes([high, low]);
    // In SOCKS4a, an address 0.0.0.x that cannot be says that a name follows.
    let names_host = [a, b, c] == [0; 3] && d != 0;
    if names_host {
        found.port = Some(port);
    } else {
        address_target(IpAddr::from([a, b, c, d]), port, found);
    }
    text(v4_user, u16::from(names_host))
}

fn v4_user(bytes: &[u8], found: &mut Preface, names_host: u16) -> Next {
    found.user = bytes.strip_suffix(&[0]).filter(|user| !user.is_empty()).map(<[u8]>::to_vec);
    if names_host == 1 { text(v4_host, 0) } else { Next::Payload }
}

fn v4_host(bytes: &[u8], found: &mut Preface, _: u16) -> Next {
    found.host = bytes.strip_suffix(&[0]).map(<[u8]>::to_vec);
    Next::Payload
}

const fn text(read: fn(&[u8], &mut Preface, u16) -> Next, context: u16) -> Next {
    Next::Field(Field { end: End::Byte { byte: 0, max: V4_MAX_TEXT }, read, context })
}

fn v4_reply(bytes: &[u8], _: &mut Preface, _: u16) -> Next {
    match *bytes {
        [0, 90, ..] => Next::Payload,
        [0, 91..=93, ..] => Next::REFUSED,
        _ => Next::MALFORMED,
    }
}
