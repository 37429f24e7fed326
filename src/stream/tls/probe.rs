//! Is this TLS? Told from the first bytes of a direction, on whatever port.

use super::hello::message;
use super::record::{HEADER, MAX_BODY, RecordHeader, content};

/// The shortest ClientHello and ServerHello: those of SSL 3.0, without
/// extensions.
const MIN_HELLO: usize = 38;

/// The shortest body of a protected record: a tag and a byte.
const MIN_SEALED: u16 = 17;

/// What the first bytes of a direction look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A ClientHello: this direction is the client's.
    ClientHello,
    /// A ServerHello: this direction is the server's.
    ServerHello,
    /// Records of a connection whose beginning was not seen.
    Records,
    /// More bytes are needed.
    Unsure,
    /// Not TLS.
    No,
}

/// Says what `data`, the first bytes of a direction, look like. An answer other
/// than [`Probe::Unsure`] does not change with more bytes.
pub fn probe(data: &[u8]) -> Probe {
    match data.first() {
        None => Probe::Unsure,
        Some(&content::HANDSHAKE) => hello(data),
        Some(&content::APPLICATION_DATA) => records(data),
        Some(_) => Probe::No,
    }
}

/// A hello begins with a record's header, then its own: a type and a length
/// of three bytes. It may go on in further records.
fn hello(data: &[u8]) -> Probe {
    let Some(header) = header(data, [content::HANDSHAKE, 3, 1, 0, 1]) else {
        return Probe::No;
    };
    let start = data.get(HEADER..).unwrap_or_default();
    let probe = match start.first() {
        Some(&message::CLIENT_HELLO) => Probe::ClientHello,
        Some(&message::SERVER_HELLO) => Probe::ServerHello,
        Some(_) => return Probe::No,
        None => return Probe::Unsure,
    };
    // A first record may be cut so short that it does not say the length.
    match *start {
        _ if header.len < 4 => probe,
        [_, high, ..] if high != 0 => Probe::No,
        [_, _, a, b, ..] if usize::from(u16::from_be_bytes([a, b])) < MIN_HELLO => Probe::No,
        [_, _, _, _, ..] => probe,
        _ => Probe::Unsure,
    }
}

/// Protected records: TLS 1.2 or 1.3, both of which write 1.2. The header of the
/// first must do: the second may be far off.
fn records(data: &[u8]) -> Probe {
    let Some(header) = header(data, [content::APPLICATION_DATA, 3, 3, 0, MIN_SEALED as u8]) else {
        return Probe::No;
    };
    if header.version != 0x0303 || header.len < MIN_SEALED {
        return Probe::No;
    }
    if data.len() < HEADER { Probe::Unsure } else { Probe::Records }
}

/// The header that `data` begins with; what is not there of it is taken from
/// `likely`.
fn header(data: &[u8], likely: [u8; HEADER]) -> Option<RecordHeader> {
    let mut bytes = likely;
    let len = data.len().min(HEADER);
    bytes[..len].copy_from_slice(&data[..len]);
    if len == HEADER - 1 {
        // The high byte of the length without the low one.
        bytes[HEADER - 1] =
            if usize::from(bytes[HEADER - 2]) < MAX_BODY >> 8 { u8::MAX } else { 0 };
    }
    RecordHeader::parse(bytes).filter(|header| header.len > 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::hello::{HelloBuilder, records as in_records, server_hello};
    use super::*;

    #[test]
    fn hellos() {
        let client = HelloBuilder::new().server_name("a.test").message();
        let server = server_hello(0x1301, &[]);
        for (message, expected) in [(&client, Probe::ClientHello), (&server, Probe::ServerHello)] {
            for size in [1, 2, 3, 4, 50, 16_384] {
                let data = in_records(message, size);
                let first = (0..=data.len()).map(|len| probe(&data[..len]));
                let mut answers = first.collect::<Vec<_>>();
                answers.dedup();
                assert_eq!(answers, [Probe::Unsure, expected], "records of {size}");
            }
        }
    }

    #[test]
    fn protected_records() {
        let record = |len: u16| {
            let header = RecordHeader { kind: 23, version: 0x0303, len };
            [&header.bytes()[..], &vec![0xaa; len.into()]].concat()
        };
        assert_eq!(probe(&record(300)), Probe::Records);
        assert_eq!(probe(&record(300)[..20]), Probe::Records);
        assert_eq!(probe(&[record(300), record(20)].concat()), Probe::Records);
        assert_eq!(probe(&record(300)[..5]), Probe::Records);
        assert_eq!(probe(&[record(300), b"GET".to_vec()].concat()), Probe::Records);
        assert_eq!(probe(&record(5)), Probe::No);
        assert_eq!(probe(b"\x17\x03"), Probe::Unsure);
        assert_eq!(probe(b"\x17\x03\x01\x00\x80"), Probe::No);
    }

    #[test]
    fn what_is_not_tls() {
        for data in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PRI * HTTP/2.0\r\n",
            b"SSH-2.0-OpenSSH",
            b"\x16\x02\x01\x00\x80\x01\x00\x00\x7c",
            b"\x16\x03\x01\xff\xff\x01",
            b"\x16\x03\x01\x00\x00\x01",
            b"\x16\x03\x01\x00\x80\x0b\x00\x00\x7c",
            b"\x16\x03\x01\x00\x80\x01\x01\x00\x7c",
            b"\x16\x03\x01\x00\x80\x01\x00\x00\x07",
            b"\x16\x03\x09",
            b"\0\0",
        ] {
            assert_eq!(probe(data), Probe::No, "{data:x?}");
        }
        assert_eq!(probe(b""), Probe::Unsure);
    }
}
