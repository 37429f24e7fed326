//! What a link carries beside the web: DNS and QUIC; SSH and SMTP.

use std::collections::VecDeque;

use super::address::{self, Route};
use super::payload::Payload;
use super::random::Random;
use super::session::{MILLISECOND, Nanos, Script, Step};
use super::text;
use super::web;
use super::wire::{Endpoint, Side};

/// A question and its answer (RFC 1035).
pub(crate) struct Dns {
    route: Route,
    done: bool,
}

impl Dns {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { route: address::route(random, 53), done: false }
    }
}

impl Script for Dns {
    fn next(&mut self, random: &mut Random, steps: &mut VecDeque<Step>) {
        if self.done {
            return;
        }
        self.done = true;
        let Route { client, server, site } = self.route;
        let id = (random.next() as u16).to_be_bytes();
        let mut question = Vec::new();
        for label in address::host(site).split('.') {
            question.push(label.len() as u8);
            question.extend_from_slice(label.as_bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        let query = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &question].concat();
        let record =
            [0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 198, 18, (site >> 8) as u8, site as u8];
        let answer = [&id[..], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &question, &record].concat();
        steps.push_back(datagram(client, server, Side::Client, Payload::default().bytes(query)));
        steps.push_back(Step::Pause(random.magnitude(1..60) as Nanos * MILLISECOND));
        steps.push_back(datagram(client, server, Side::Server, Payload::default().bytes(answer)));
    }
}

/// Datagrams that look like QUIC from outside (RFC 9000, section 17): two with a
/// long header, then short headers.
pub(crate) struct Quic {
    route: Route,
    left: usize,
    opened: bool,
}

impl Quic {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { route: address::route(random, 443), left: random.magnitude(1..12), opened: false }
    }
}

impl Script for Quic {
    fn next(&mut self, random: &mut Random, steps: &mut VecDeque<Step>) {
        if self.left == 0 {
            return;
        }
        let Route { client, server, .. } = self.route;
        if !self.opened {
            self.opened = true;
            for from in [Side::Client, Side::Server] {
                let mut header = vec![0xc3, 0, 0, 0, 1, 8];
                header.extend(random.bytes(8));
                header.extend([0, 0, 0x44, 0x9e]);
                let initial = Payload::default().bytes(header).noise(random, 1_182);
                steps.push_back(datagram(client, server, from, initial));
            }
        }
        for sent in 0..random.magnitude(4..400) {
            let ciphertext = Payload::default().bytes(vec![0x41]).noise(random, 1_240);
            steps.push_back(datagram(client, server, Side::Server, ciphertext));
            if sent % 8 == 0 {
                let acknowledgement = Payload::default().bytes(vec![0x41]).noise(random, 34);
                steps.push_back(datagram(client, server, Side::Client, acknowledgement));
            }
        }
        steps.push_back(Step::Pause(random.magnitude(5..500) as Nanos * MILLISECOND));
        self.left -= 1;
    }
}

fn datagram(client: Endpoint, server: Endpoint, from: Side, payload: Payload) -> Step {
    Step::Datagram { client, server, from, payload }
}

/// SSH: banners, then packets: file copies, and now and then a person who types.
pub(crate) struct Ssh {
    route: Route,
    left: usize,
    opened: bool,
}

impl Ssh {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { route: address::route(random, 22), left: random.magnitude(1..12), opened: false }
    }
}

impl Script for Ssh {
    fn next(&mut self, random: &mut Random, steps: &mut VecDeque<Step>) {
        if !self.opened {
            self.opened = true;
            let Route { client, server, .. } = self.route;
            steps.push_back(Step::Open { client, server });
            for from in [Side::Server, Side::Client] {
                let banner = Payload::default().bytes("SSH-2.0-OpenSSH_9.9\r\n");
                steps.push_back(send(from, banner.noise(random, 1_100)));
            }
        } else if self.left == 0 {
            return;
        }
        if random.permille(700) {
            let len = random.magnitude(20_000..400_000);
            steps.push_back(send(Side::Server, Payload::default().noise(random, len)));
        } else {
            for _ in 0..random.within(5..60) {
                steps.push_back(send(Side::Client, Payload::default().noise(random, 36)));
                steps.push_back(send(Side::Server, Payload::default().noise(random, 44)));
            }
        }
        self.left -= 1;
        if self.left == 0 {
            web::close(random, steps);
        }
    }
}

/// SMTP: one message with an attachment.
pub(crate) struct Smtp {
    route: Route,
    done: bool,
}

impl Smtp {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { route: address::route(random, 25), done: false }
    }
}

impl Script for Smtp {
    fn next(&mut self, random: &mut Random, steps: &mut VecDeque<Step>) {
        if self.done {
            return;
        }
        self.done = true;
        let Route { client, server, .. } = self.route;
        steps.push_back(Step::Open { client, server });
        let len = random.magnitude(2_000..150_000);
        let mut mail =
            format!("Subject: {}\r\nMIME-Version: 1.0\r\n\r\n", text::sentence(random, 40));
        while mail.len() < len {
            mail.push_str(&random.hex(76));
            mail.push_str("\r\n");
        }
        mail.push_str(".\r\n");
        let lines = [
            (Side::Server, "220 mail.example ESMTP\r\n"),
            (Side::Client, "EHLO client.example\r\n"),
            (Side::Server, "250-mail.example\r\n250 8BITMIME\r\n"),
            (Side::Client, "MAIL FROM:<a@client.example>\r\n"),
            (Side::Server, "250 OK\r\n"),
            (Side::Client, "RCPT TO:<b@mail.example>\r\n"),
            (Side::Server, "250 OK\r\n"),
            (Side::Client, "DATA\r\n"),
            (Side::Server, "354 Go ahead\r\n"),
            (Side::Client, &mail),
            (Side::Server, "250 OK: queued\r\n"),
            (Side::Client, "QUIT\r\n"),
            (Side::Server, "221 Bye\r\n"),
        ];
        steps.extend(lines.map(|(from, line)| send(from, Payload::default().bytes(line))));
        steps.push_back(Step::Close { connection: 0 });
    }
}

fn send(from: Side, payload: Payload) -> Step {
    Step::Send { connection: 0, from, payload }
}
