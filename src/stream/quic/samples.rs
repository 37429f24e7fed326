//! Packets for tests: those of the RFCs' appendices, and connections made by
//! protecting what a test wants.

use super::keys::{self, Keys, TrafficSecret};
use super::version::QuicVersion;
use super::wire::testing::push_varint;
use crate::stream::Direction;
use crate::stream::tls::KeyStore;
use crate::stream::tls::suite::Suite13;

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// RFC 9001 appendix A.2: the CRYPTO frame of the client's Initial.
pub(super) const APPENDIX_CLIENT_FRAME: &str =
    "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c
     00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006
     001d0017001800100007000504616c706e000500050100000000003300260024001d00209370b2c9caa4
     7fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e040305
     0306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ff
     ff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";

/// RFC 9001 appendix A.3, RFC 9369 appendix A.3: the server's Initial.
pub(super) const APPENDIX_SERVER_INITIALS: [(QuicVersion, &str); 2] = [
    (
        QuicVersion::V1,
        "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69
         797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73
         cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456
         cbc42158407dd074ee",
    ),
    (
        QuicVersion::V2,
        "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89
         237bbf87263017915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382d
         d16a393e42757507698075b2c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce
         7ca84bed8521e2e140",
    ),
];

/// A ClientHello with these extensions: server name, protocol, and as many
/// bytes of padding.
pub(super) fn client_hello(random: u8, name: &str, alpn: &str, padding: usize) -> Vec<u8> {
    let len = name.len() as u8;
    let name = [&[0, len + 3, 0, 0, len], name.as_bytes()].concat();
    let alpn = [&[0, alpn.len() as u8 + 1, alpn.len() as u8], alpn.as_bytes()].concat();
    let extensions = [
        extension(0, &name),
        extension(16, &alpn),
        extension(43, &[2, 3, 4]),
        extension(21, &vec![0; padding]),
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([random; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    message(1, &body)
}

/// A ServerHello that chooses this suite.
pub(super) fn server_hello(suite: u16) -> Vec<u8> {
    let extensions = extension(43, &[3, 4]);
    let mut body = vec![3, 3];
    body.extend([0x5e; 32]);
    body.push(0);
    body.extend(suite.to_be_bytes());
    body.push(0);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    message(2, &body)
}

/// EncryptedExtensions that choose this protocol, and the start of a
/// certificate.
pub(super) fn encrypted_extensions(alpn: &str) -> Vec<u8> {
    let alpn = [&[0, alpn.len() as u8 + 1, alpn.len() as u8], alpn.as_bytes()].concat();
    let extensions = extension(16, &alpn);
    let body = [&(extensions.len() as u16).to_be_bytes(), &extensions[..]].concat();
    [message(8, &body), vec![11, 0, 8, 0, 1, 2, 3]].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes(), &(content.len() as u16).to_be_bytes(), content].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

pub(super) fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x06];
    push_varint(&mut frame, offset as u64);
    push_varint(&mut frame, data.len() as u64);
    frame.extend(data);
    frame
}

pub(super) fn stream(id: u64, offset: u64, data: &[u8], fin: bool) -> Vec<u8> {
    let mut frame = vec![0x0e | u8::from(fin)];
    push_varint(&mut frame, id);
    push_varint(&mut frame, offset);
    push_varint(&mut frame, data.len() as u64);
    frame.extend(data);
    frame
}

pub(super) fn new_connection_id(id: &[u8]) -> Vec<u8> {
    [&[0x18, 1, 0, id.len() as u8], id, &[0; 16]].concat()
}

pub(super) const CLOSE: &[u8] = &[0x1d, 0, 0];

/// A HEADERS frame with fields of the static table and literals.
pub(super) fn headers(lines: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x01];
    push_varint(&mut frame, lines.len() as u64 + 2);
    frame.extend([0, 0]);
    frame.extend(lines);
    frame
}

/// `POST https://h/`, as field lines.
pub(super) const POST: &[u8] = &[0xd4, 0xd7, 0xc1, 0x50, 1, b'h'];

/// Status 200, as a field line.
pub(super) const OK: &[u8] = &[0xd9];

pub(super) fn data(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x00];
    push_varint(&mut frame, body.len() as u64);
    frame.extend(body);
    frame
}

/// Two endpoints that protect what a test wants.
pub(super) struct Session {
    pub(super) version: QuicVersion,
    pub(super) suite: u16,
    pub(super) random: u8,
    pub(super) dcid: Vec<u8>,
    pub(super) client_id: Vec<u8>,
    pub(super) server_id: Vec<u8>,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            version: QuicVersion::V1,
            suite: 0x1301,
            random: 7,
            dcid: b"original".to_vec(),
            client_id: b"clientid".to_vec(),
            server_id: b"serverid".to_vec(),
        }
    }

    pub(super) fn key_log(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = |(label, tag): (&str, u8)| {
            format!("{label} {} {}\n", hex(&[self.random; 32]), hex(&self.secret(tag)))
        };
        [
            ("CLIENT_EARLY_TRAFFIC_SECRET", 0),
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 1),
            ("SERVER_HANDSHAKE_TRAFFIC_SECRET", 2),
            ("CLIENT_TRAFFIC_SECRET_0", 3),
            ("SERVER_TRAFFIC_SECRET_0", 4),
        ]
        .map(line)
        .concat()
    }

    pub(super) fn keys(&self) -> KeyStore {
        KeyStore::load(self.key_log().as_bytes()).unwrap()
    }

    /// The secret after so many key updates.
    fn traffic_secret(&self, direction: Direction, updates: usize) -> TrafficSecret {
        let tag = 3 + direction.index() as u8;
        let suite = Suite13::from_wire(self.suite).unwrap();
        let first = TrafficSecret::new(self.version, suite, &self.secret(tag));
        (0..updates).fold(first, |secret, _| secret.updated().unwrap())
    }

    fn secret(&self, tag: u8) -> Vec<u8> {
        vec![0xa0 + self.random % 16 + tag * 16 % 80; if self.suite == 0x1302 { 48 } else { 32 }]
    }

    /// An Initial, padded to 1200 bytes.
    pub(super) fn initial(&self, direction: Direction, number: u64, frames: &[u8]) -> Vec<u8> {
        let keys = keys::initial(self.version, &self.dcid).unwrap();
        let dcid = match direction {
            Direction::ToServer if number == 0 => &self.dcid,
            Direction::ToServer => &self.server_id,
            Direction::ToClient => &self.client_id,
        };
        self.initial_for(direction, dcid, &keys, number, frames)
    }

    pub(super) fn initial_for(
        &self,
        direction: Direction,
        dcid: &[u8],
        keys: &[Keys; 2],
        number: u64,
        frames: &[u8],
    ) -> Vec<u8> {
        let mut payload = frames.to_vec();
        payload.resize(payload.len().max(1140), 0);
        self.long(0, direction, dcid, &keys[direction.index()], number, &payload)
    }

    /// A Handshake packet of the server.
    pub(super) fn handshake(&self, number: u64, frames: &[u8]) -> Vec<u8> {
        let keys = self.fixed_keys(2);
        self.long(2, Direction::ToClient, &self.client_id, &keys, number, frames)
    }

    pub(super) fn early(&self, number: u64, frames: &[u8]) -> Vec<u8> {
        self.long(1, Direction::ToServer, &self.dcid, &self.fixed_keys(0), number, frames)
    }

    fn fixed_keys(&self, tag: u8) -> Keys {
        let suite = Suite13::from_wire(self.suite).unwrap();
        TrafficSecret::new(self.version, suite, &self.secret(tag)).keys().unwrap()
    }

    /// A 1-RTT packet.
    pub(super) fn short(&self, direction: Direction, number: u64, frames: &[u8]) -> Vec<u8> {
        self.short_after(direction, 0, number, frames)
    }

    /// A 1-RTT packet after so many key updates.
    pub(super) fn short_after(
        &self,
        direction: Direction,
        updates: usize,
        number: u64,
        frames: &[u8],
    ) -> Vec<u8> {
        let dcid = match direction {
            Direction::ToServer => &self.server_id,
            Direction::ToClient => &self.client_id,
        };
        self.short_for(dcid, direction, updates, number, frames)
    }

    pub(super) fn short_for(
        &self,
        dcid: &[u8],
        direction: Direction,
        updates: usize,
        number: u64,
        frames: &[u8],
    ) -> Vec<u8> {
        let keys = Keys {
            header: self.traffic_secret(direction, 0).keys().unwrap().header,
            packet: self.traffic_secret(direction, updates).packet_key().unwrap(),
        };
        let mut header = vec![0x41 | (updates as u8 & 1) << 2];
        header.extend(dcid);
        header.extend((number as u16).to_be_bytes());
        let mut payload = frames.to_vec();
        payload.resize(payload.len().max(4), 0);
        keys.seal(&header, 2, number, &payload)
    }

    fn long(
        &self,
        kind: u8,
        direction: Direction,
        dcid: &[u8],
        keys: &Keys,
        number: u64,
        payload: &[u8],
    ) -> Vec<u8> {
        let (version, kind) = match self.version {
            QuicVersion::V1 => (1u32, kind),
            QuicVersion::V2 => (0x6b33_43cf, (kind + 1) & 3),
            QuicVersion::Draft(draft) => (0xff00_0000 + u32::from(draft), kind),
        };
        let scid = match direction {
            Direction::ToServer => &self.client_id,
            Direction::ToClient => &self.server_id,
        };
        let mut header = vec![0xc1 | kind << 4];
        header.extend(version.to_be_bytes());
        header.push(dcid.len() as u8);
        header.extend(dcid);
        header.push(scid.len() as u8);
        header.extend(scid);
        let is_initial = kind == u8::from(self.version == QuicVersion::V2);
        if is_initial {
            header.push(0);
        }
        header.extend((0x4000 | (2 + payload.len() + 16) as u16).to_be_bytes());
        header.extend((number as u16).to_be_bytes());
        keys.seal(&header, 2, number, payload)
    }
}
