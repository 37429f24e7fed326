//! Writes a capture of mixed traffic, the same for the same seed, mix and size.
//!
//! Hundreds of sessions run at once; their frames are written in the order of
//! their time. Memory is bounded by what these sessions say in one exchange.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use mcpwatch::capture::{LinkType, PcapWriter, Precision};
use mcpwatch::time::Timestamp;

use super::mcp::Mcp;
use super::other::{Dns, Quic, Smtp, Ssh};
use super::payload::Noise;
use super::random::Random;
use super::session::{MILLISECOND, Nanos, Script, Session};
use super::tls::Tls;
use super::truth::Truth;
use super::web::{Use, Web};

/// Sessions at any one time.
const CONCURRENT: usize = 400;
/// Between the end of a session and the beginning of its successor.
const PAUSE: Nanos = MILLISECOND / 5;
/// Of a pcap record.
const RECORD_HEADER: u64 = 16;
/// What a session sends, before any has ended.
const FIRST_GUESS: u64 = 100_000;
/// 2026-11-20T22:25:47Z.
const START: Nanos = 1_795_213_547_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Tls,
    Media,
    Site,
    Api,
    Datagrams,
    OtherTcp,
    Mcp,
}

const CLASSES: [Class; 7] = [
    Class::Tls,
    Class::Media,
    Class::Site,
    Class::Api,
    Class::Datagrams,
    Class::OtherTcp,
    Class::Mcp,
];

/// What share of the bytes each kind of traffic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// The access link of an office: half of it encrypted.
    Web,
    /// The same without what is encrypted: behind a proxy that terminates TLS.
    Cleartext,
    /// The network of MCP servers.
    Mcp,
    /// TLS 1.3 without keys, and nothing else.
    Tls,
}

impl Mix {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Mix::Web, Mix::Cleartext, Mix::Mcp, Mix::Tls].into_iter().find(|mix| mix.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mix::Web => "web",
            Mix::Cleartext => "cleartext",
            Mix::Mcp => "mcp",
            Mix::Tls => "tls",
        }
    }

    /// In thousandths, in the order of [`CLASSES`].
    fn shares(self) -> [u64; 7] {
        match self {
            Mix::Web => [450, 150, 195, 120, 50, 30, 5],
            Mix::Cleartext => [0, 320, 400, 250, 0, 20, 10],
            Mix::Mcp => [0, 0, 0, 0, 0, 0, 1_000],
            Mix::Tls => [1_000, 0, 0, 0, 0, 0, 0],
        }
    }
}

/// Which capture to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) mix: Mix,
    /// So many bytes, and then what is missing of the MCP sessions under way.
    pub(crate) size: u64,
    pub(crate) seed: u64,
}

/// Writes the capture, and says what is in it.
pub(crate) fn generate<W: Write>(recipe: Recipe, out: W) -> io::Result<Truth> {
    let mut writer = PcapWriter::new(out, LinkType::ETHERNET, Precision::Nanos)?;
    let mut link = Link::new(recipe);
    for number in 0..CONCURRENT {
        link.begin(START + number as Nanos * 3 * MILLISECOND);
    }
    let (mut scratch, mut frame) = (Vec::new(), Vec::new());
    while let Some(Reverse((at, number))) = link.due.pop() {
        let Some(slot) = link.slots[number].as_mut() else { continue };
        slot.session.emit(&link.noise, &mut scratch, &mut frame);
        writer.frame(Timestamp::from_nanos(at as i64), &frame, frame.len() as u32)?;
        slot.sent += frame.len() as u64;
        link.truth.frames += 1;
        link.truth.bytes += frame.len() as u64;
        let full = link.truth.bytes + RECORD_HEADER * link.truth.frames >= recipe.size;
        if full && !slot.session.is_counted() {
            // The capture ends in the midst of it, as captures do.
            continue;
        }
        match slot.session.due(&mut link.random) {
            Some(next) => link.due.push(Reverse((next.max(at), number))),
            None => {
                link.end(number);
                if !full {
                    link.begin(at + PAUSE);
                }
            }
        }
    }
    writer.finish()?;
    Ok(link.truth)
}

struct Slot {
    class: Class,
    session: Session,
    sent: u64,
    /// What the session was believed to send when it began.
    expected: u64,
}

/// The bytes of one class: sent, or still expected of sessions under way.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    share: u64,
    bytes: u64,
    sessions: u64,
    bytes_of_ended: u64,
}

impl Account {
    fn mean(&self) -> u64 {
        (FIRST_GUESS + self.bytes_of_ended) / (1 + self.sessions)
    }
}

struct Link {
    random: Random,
    noise: Noise,
    slots: Vec<Option<Slot>>,
    vacant: Vec<usize>,
    /// The slots by the time of their next frame.
    due: BinaryHeap<Reverse<(Nanos, usize)>>,
    accounts: [Account; CLASSES.len()],
    truth: Truth,
    mcp_sessions: u32,
}

impl Link {
    fn new(recipe: Recipe) -> Self {
        let mut random = Random::new(recipe.seed);
        let noise = Noise::new(&mut random);
        Self {
            random,
            noise,
            slots: Vec::with_capacity(CONCURRENT),
            vacant: Vec::new(),
            due: BinaryHeap::new(),
            accounts: recipe.mix.shares().map(|share| Account { share, ..Account::default() }),
            truth: Truth::default(),
            mcp_sessions: 0,
        }
    }

    /// Begins a session of the class that lacks most of its share.
    fn begin(&mut self, start: Nanos) {
        let class = self.lacking();
        let mut session = Session::new(self.script(class), start);
        let due = session.due(&mut self.random).expect("a session begins with a frame");
        let account = &mut self.accounts[class as usize];
        let expected = account.mean();
        account.bytes += expected;
        let slot = Some(Slot { class, session, sent: 0, expected });
        let number = match self.vacant.pop() {
            Some(number) => {
                self.slots[number] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.due.push(Reverse((due, number)));
    }

    fn end(&mut self, number: usize) {
        let Some(slot) = self.slots[number].take() else { return };
        let account = &mut self.accounts[slot.class as usize];
        account.bytes = account.bytes + slot.sent - slot.expected;
        account.sessions += 1;
        account.bytes_of_ended += slot.sent;
        self.vacant.push(number);
    }

    fn lacking(&self) -> Class {
        CLASSES
            .into_iter()
            .filter(|&class| self.accounts[class as usize].share > 0)
            .min_by_key(|&class| {
                let Account { share, bytes, .. } = self.accounts[class as usize];
                bytes * 1_000 / share
            })
            .expect("a mix has traffic")
    }

    fn script(&mut self, class: Class) -> Box<dyn Script> {
        let random = &mut self.random;
        match class {
            Class::Tls => Box::new(Tls::new(random)),
            Class::Media => Box::new(Web::new(random, Use::Media)),
            Class::Site => Box::new(Web::new(random, Use::Site)),
            Class::Api => Box::new(Web::new(random, Use::Api)),
            Class::Datagrams if random.permille(970) => Box::new(Dns::new(random)),
            Class::Datagrams => Box::new(Quic::new(random)),
            Class::OtherTcp if random.permille(500) => Box::new(Ssh::new(random)),
            Class::OtherTcp => Box::new(Smtp::new(random)),
            Class::Mcp => {
                self.mcp_sessions += 1;
                Box::new(Mcp::new(random, self.mcp_sessions, &mut self.truth))
            }
        }
    }
}
