//! What a connection says in, the same inside TLS 1.3 (RFC 8446) out, with secrets
//! that are known: the records are as real ones are, but the handshake proves
//! nothing, since nobody is there to ask for proof.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

use super::bytes;
use super::wire::Side;
use crate::capture::{Secrets, SecretsKind};
use crate::stream::tls::{KeyLogReader, KeyStore};

/// Names nobody's server.
const NAME: &str = "service.example.net";

/// One secret for each phase and side.
const HANDSHAKE: [[u8; 32]; 2] = [[0x11; 32], [0x22; 32]];
const TRAFFIC: [[u8; 32]; 2] = [[0x33; 32], [0x44; 32]];

const HANDSHAKE_RECORD: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const SERVER_HELLO: u8 = 2;
const ENCRYPTED_EXTENSIONS: u8 = 8;
const FINISHED: u8 = 20;

/// The key log of all such connections.
pub(super) fn key_log() -> String {
    let labels = ["HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0"];
    let mut text = String::new();
    for (label, secrets) in labels.into_iter().zip([HANDSHAKE, TRAFFIC]) {
        for (side, secret) in ["CLIENT", "SERVER"].into_iter().zip(secrets) {
            let [random, secret] = [bytes::CLIENT_RANDOM, secret].map(hex);
            text.push_str(&format!("{side}_{label} {random} {secret}\n"));
        }
    }
    text
}

/// The key log, read.
pub(super) fn keys() -> KeyStore {
    KeyStore::new().extended(KeyLogReader::whole(key_log().as_bytes()))
}

/// The key log as a capture carries it.
pub(super) fn secrets() -> Secrets {
    Secrets { kind: SecretsKind::TLS_KEY_LOG, before: 0, bytes: key_log().into_bytes() }
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The turns of a connection inside TLS, in records of at most `record` bytes.
pub(super) fn wrapped(turns: &[(Side, Vec<u8>)], record: usize) -> Vec<(Side, Vec<u8>)> {
    let mut out = vec![(Side::Client, bytes::client_hello(NAME, record.max(64)))];
    let mut hello = plain(&server_hello());
    let mut keys = HANDSHAKE.map(|secret| Keys::of(&secret));
    let finished = handshake(FINISHED, &[0; 32]);
    let extensions = handshake(ENCRYPTED_EXTENSIONS, &[0, 0]);
    let flight = [extensions, finished.clone()].concat();
    let [client, server] = &mut keys;
    hello.extend(sealed(server, HANDSHAKE_RECORD, &flight, record));
    out.push((Side::Server, hello));
    out.push((Side::Client, sealed(client, HANDSHAKE_RECORD, &finished, record)));
    let mut keys = TRAFFIC.map(|secret| Keys::of(&secret));
    for (side, said) in turns {
        if let Some(keys) = keys.get_mut(*side as usize) {
            out.push((*side, sealed(keys, APPLICATION_DATA, said, record)));
        }
    }
    out
}

/// A ServerHello that chooses TLS 1.3 with AES-128-GCM (section 4.1.3).
fn server_hello() -> Vec<u8> {
    let share = [&[0, 0x1d, 0, 32][..], &[8; 32]].concat();
    let extensions = [bytes::extension(43, &[3, 4]), bytes::extension(51, &share)].concat();
    let body = [&[3, 3][..], &[6; 32], &[0, 0x13, 1, 0], &bytes::prefixed(&extensions)];
    handshake(SERVER_HELLO, &body.concat())
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = (body.len() as u32).to_be_bytes();
    [&[kind][..], &len, body].concat()
}

fn plain(message: &[u8]) -> Vec<u8> {
    [&[HANDSHAKE_RECORD, 3, 3][..], &bytes::prefixed(message)].concat()
}

/// What protects one direction, and the number of its next record.
struct Keys {
    key: Option<LessSafeKey>,
    iv: [u8; 12],
    sequence: u64,
}

impl Keys {
    fn of(secret: &[u8; 32]) -> Self {
        let prk = Prk::new_less_safe(HKDF_SHA256, secret);
        let (mut key, mut iv) = ([0; 16], [0; 12]);
        expand(&prk, b"key", &mut key);
        expand(&prk, b"iv", &mut iv);
        let key = UnboundKey::new(&AES_128_GCM, &key).ok().map(LessSafeKey::new);
        Self { key, iv, sequence: 0 }
    }

    /// A record (section 5.2).
    fn seal(&mut self, kind: u8, content: &[u8]) -> Option<Vec<u8>> {
        let key = self.key.as_ref()?;
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().skip(4).zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        self.sequence += 1;
        let mut inner = [content, &[kind]].concat();
        let len = u16::try_from(inner.len() + AES_128_GCM.tag_len()).ok()?.to_be_bytes();
        let header = [&[APPLICATION_DATA, 3, 3][..], &len].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(&header), &mut inner).ok()?;
        Some([header, inner].concat())
    }
}

fn sealed(keys: &mut Keys, kind: u8, content: &[u8], record: usize) -> Vec<u8> {
    content.chunks(record.max(1)).filter_map(|part| keys.seal(kind, part)).flatten().collect()
}

/// HKDF-Expand-Label without context (section 7.1).
fn expand(prk: &Prk, label: &[u8], out: &mut [u8]) {
    let len = out.len();
    let [high, low] = (len as u16).to_be_bytes();
    let label_len = b"tls13 ".len() + label.len();
    let info: [&[u8]; 4] = [&[high, low, label_len as u8], b"tls13 ", label, &[0]];
    // Both are short enough.
    let _ = prk.expand(&info, Length(len)).and_then(|okm| okm.fill(out));
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
