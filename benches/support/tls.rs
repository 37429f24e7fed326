//! TLS 1.3 without keys: a ClientHello with SNI and ALPN, a ServerHello, then
//! records of ciphertext (RFC 8446).

use std::collections::VecDeque;

use super::address::{self, Route};
use super::payload::Payload;
use super::random::Random;
use super::session::{MILLISECOND, Nanos, Script, Step};
use super::web;
use super::wire::Side;

const RECORD: usize = 16_384;

pub(crate) struct Tls {
    route: Route,
    left: usize,
    opened: bool,
}

impl Tls {
    pub(crate) fn new(random: &mut Random) -> Self {
        let route = address::route(random, 443);
        Self { route, left: random.magnitude(1..12), opened: false }
    }

    fn handshake(&self, random: &mut Random, steps: &mut VecDeque<Step>) {
        let Route { client, server, site } = self.route;
        steps.push_back(Step::Open { client, server });
        let hello = client_hello(random, &address::host(site));
        steps.push_back(send(Side::Client, Payload::default().bytes(hello)));
        let hello = Payload::default().bytes(server_hello(random));
        let certificates = random.within(2_400..4_800);
        steps.push_back(send(Side::Server, records(random, hello, certificates)));
        let finished = Payload::default().bytes(vec![20, 3, 3, 0, 1, 1]);
        steps.push_back(send(Side::Client, records(random, finished, 53)));
    }
}

impl Script for Tls {
    fn next(&mut self, random: &mut Random, steps: &mut VecDeque<Step>) {
        if !self.opened {
            self.opened = true;
            self.handshake(random, steps);
        } else if self.left == 0 {
            return;
        }
        let request = random.magnitude(80..1_500);
        let response = random.magnitude(300..300_000);
        steps.push_back(send(Side::Client, records(random, Payload::default(), request)));
        steps.push_back(send(Side::Server, records(random, Payload::default(), response)));
        steps.push_back(Step::Pause(random.magnitude(5..2_000) as Nanos * MILLISECOND));
        self.left -= 1;
        if self.left == 0 {
            web::close(random, steps);
        }
    }
}

fn send(from: Side, payload: Payload) -> Step {
    Step::Send { connection: 0, from, payload }
}

/// Appends records of application data that hold `len` bytes of ciphertext.
fn records(random: &mut Random, mut payload: Payload, mut len: usize) -> Payload {
    while len > 0 {
        let size = len.min(RECORD);
        let [high, low] = (size as u16).to_be_bytes();
        payload = payload.bytes(vec![23, 3, 3, high, low]).noise(random, size);
        len -= size;
    }
    payload
}

fn client_hello(random: &mut Random, host: &str) -> Vec<u8> {
    let name = prefixed_16(&[&[0], prefixed_16(host.as_bytes()).as_slice()].concat());
    let key = [&[0, 0x1d, 0, 32], random.bytes(32).as_slice()].concat();
    let extensions = [
        extension(0, &name),
        extension(10, &[0, 8, 0, 0x1d, 0, 0x17, 0, 0x18, 0, 0x19]),
        extension(13, &[0, 8, 4, 3, 8, 4, 4, 1, 5, 3]),
        extension(16, &[0, 12, 2, b'h', b'2', 8, b'h', b't', b't', b'p', b'/', b'1', b'.', b'1']),
        extension(43, &[4, 3, 4, 3, 3]),
        extension(51, &prefixed_16(&key)),
        extension(21, &[0; 180]),
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend(random.bytes(32));
    body.push(32);
    body.extend(random.bytes(32));
    body.extend([0, 6, 0x13, 1, 0x13, 2, 0x13, 3, 1, 0]);
    body.extend(prefixed_16(&extensions));
    handshake_record(1, &body)
}

fn server_hello(random: &mut Random) -> Vec<u8> {
    let key = [&[0, 0x1d, 0, 32], random.bytes(32).as_slice()].concat();
    let extensions = [extension(43, &[3, 4]), extension(51, &key)].concat();
    let mut body = vec![3, 3];
    body.extend(random.bytes(32));
    body.push(32);
    body.extend(random.bytes(32));
    body.extend([0x13, 1, 0]);
    body.extend(prefixed_16(&extensions));
    let mut out = handshake_record(2, &body);
    out.extend([20, 3, 3, 0, 1, 1]);
    out
}

fn handshake_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = (body.len() as u32).to_be_bytes();
    let message = [&[kind, high, middle, low], body].concat();
    [[22, 3, 1].as_slice(), &prefixed_16(&message)].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().as_slice(), &prefixed_16(data)].concat()
}

fn prefixed_16(data: &[u8]) -> Vec<u8> {
    [(data.len() as u16).to_be_bytes().as_slice(), data].concat()
}
