//! A case: exchanges and what is done to them in, frames out.
//!
//! A case is a value: taking a part of it away gives another case, which is how
//! failures are made small.

use std::fmt;

use super::check::{self, Kind};
use super::growth::Growth;
use crate::signature::{Field, SignatureIndex};
use crate::stream::Direction;
use crate::workbench::bytes;
use crate::workbench::carrier::{Carried, Content, Cut, Frames, Version, carry_value};
use crate::workbench::evasion::Transform;
use crate::workbench::random::Random;
use crate::workbench::wire::{Connection, Side, datagram};

/// Traffic, or values of fields.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) source: Source,
    pub(super) items: Vec<Item>,
    /// Done to all items, in this order.
    pub(super) changes: Vec<Change>,
    /// For how connections are cut.
    pub(super) seed: u64,
}

/// Where a case comes from, and so what must hold for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// MCP, and values of the set's examples.
    Mcp,
    /// What only looks like it.
    LookAlike(&'static str),
    /// An example that must match, by number.
    Example(SignatureIndex, usize),
    /// Values of fields, which are asked of the matcher alone.
    Values,
    /// Texts that grow.
    Growth,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An exchange, a ClientHello or a DNS query.
    Carried(Carried),
    /// A connection without HTTP.
    Stream {
        port: u16,
        turns: Vec<Turn>,
    },
    Value {
        field: Field,
        direction: Direction,
        value: Vec<u8>,
    },
}

/// What one side says on a connection without HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) side: Side,
    pub(super) framing: Framing,
    pub(super) text: String,
}

/// How a text is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a line end.
    Line,
    /// By `Content-Length`, as in the Language Server Protocol.
    Length,
}

/// What is done to a case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Said in another way.
    Rewrite(&'static Transform),
    /// JSON with other white space and escapes, at random.
    Respell(u64),
    /// Sent in chunks of so many bytes.
    Chunks(usize),
    /// A member of a JSON object comes twice.
    Repeat(u64),
    /// A connection ends early.
    Truncate(u64),
    /// A bit is turned over.
    Flip(u64),
    /// Segments come in another order, some of them twice.
    Disorder(u64),
}

/// A connection, or a datagram.
pub(super) struct Talk {
    port: u16,
    datagram: bool,
    turns: Vec<(Side, Vec<u8>)>,
}

impl Case {
    /// The items as they are said after all changes that are made to them.
    pub(super) fn said(&self) -> Vec<Item> {
        let mut items = self.items.clone();
        for change in &self.changes {
            for item in &mut items {
                item.change(change);
            }
        }
        items
    }

    /// The frames of all connections, one after the other.
    pub(super) fn frames(&self, cut: Cut) -> Frames {
        let disorder = self.changes.iter().find_map(|change| match change {
            // Whole segments are what all else is compared with.
            Change::Disorder(seed) if cut != Cut::Whole => Some(*seed),
            _ => None,
        });
        let mut frames = Frames::default();
        for (talk, port) in self.talks().into_iter().zip(30_000_u16..) {
            frames.extend(talk.frames(port, cut, disorder));
        }
        frames
    }

    /// Whether something is said inside TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        let inside =
            |item: &Item| matches!(item, Item::Carried(Carried::Http(http)) if http.tls.is_some());
        self.said().iter().any(inside)
    }

    /// The frames that show what is wrong; none if there are no frames of it.
    pub(super) fn capture(&self, kind: Kind) -> Option<Frames> {
        if self.source == Source::Growth {
            return Some(Growth::new(self.seed).shortest());
        }
        let frames = match (kind, self.source) {
            (_, Source::Values) => self.carried_values(),
            (Kind::Cut, _) => {
                let cuts = check::cuts(self, &mut Random::new(self.seed));
                self.frames(cuts.first().copied().unwrap_or(Cut::Whole))
            }
            _ => self.frames(Cut::Whole),
        };
        (!frames.is_empty()).then_some(frames)
    }

    /// Values of fields as traffic, as far as there can be such traffic.
    fn carried_values(&self) -> Frames {
        let mut frames = Frames::default();
        for (item, port) in self.items.iter().zip(30_000_u16..) {
            let Item::Value { field, direction, value } = item else { continue };
            let Ok(text) = std::str::from_utf8(value) else { continue };
            let carried = carry_value(field, text, *direction).unwrap_or_default();
            carried.iter().for_each(|carried| frames.extend(carried.frames(port, Cut::Whole)));
        }
        frames
    }

    /// What each connection carries, in bytes.
    pub(super) fn talks(&self) -> Vec<Talk> {
        let mut talks: Vec<Talk> = Vec::new();
        let mut open = None;
        for item in self.said() {
            let shared = match &item {
                Item::Carried(Carried::Http(http))
                    if http.version == Version::Http1 && http.tls.is_none() =>
                {
                    Some(http.port)
                }
                _ => None,
            };
            let Some(mut talk) = Talk::of(item) else { continue };
            match talks.last_mut().filter(|_| shared.is_some() && shared == open) {
                Some(last) => last.turns.append(&mut talk.turns),
                None => talks.push(talk),
            }
            open = shared;
        }
        for change in &self.changes {
            match *change {
                Change::Truncate(seed) => truncate(&mut talks, &mut Random::new(seed)),
                Change::Flip(seed) => flip(&mut talks, &mut Random::new(seed)),
                _ => {}
            }
        }
        talks
    }

    /// Bytes that all connections carry together.
    pub(super) fn bytes(&self) -> usize {
        self.talks().iter().flat_map(|talk| &talk.turns).map(|(_, bytes)| bytes.len()).sum()
    }
}

impl Item {
    /// A text that each side says on a connection without HTTP.
    pub(super) fn stream(port: u16, framing: Framing, said: Vec<(Side, String)>) -> Self {
        let turns = said.into_iter().map(|(side, text)| Turn { side, framing, text });
        Self::Stream { port, turns: turns.collect() }
    }

    fn change(&mut self, change: &Change) {
        match (change, self) {
            (Change::Rewrite(transform), Self::Carried(carried)) => {
                if let Some(rewritten) = transform.rewrite(carried) {
                    *carried = rewritten;
                }
            }
            (Change::Chunks(size), Self::Carried(Carried::Http(http))) => {
                for content in [&mut http.request, &mut http.response] {
                    content.chunks = (!content.body.is_empty()).then_some(*size);
                }
            }
            (Change::Respell(seed), item) => item.texts(*seed, respelt),
            (Change::Repeat(seed), item) => item.texts(*seed, repeated),
            _ => {}
        }
    }

    /// Rewrites each text that is JSON.
    fn texts(&mut self, seed: u64, rewrite: fn(&str, &mut Random) -> Option<String>) {
        let mut random = Random::new(seed);
        match self {
            Self::Carried(Carried::Http(http)) => {
                for content in [&mut http.request, &mut http.response] {
                    rewrite_content(content, &mut |text| rewrite(text, &mut random));
                }
            }
            Self::Stream { turns, .. } => {
                for turn in turns {
                    let line = turn.framing == Framing::Line;
                    let rewritten = rewrite(&turn.text, &mut random);
                    if let Some(text) = rewritten.filter(|text| !line || !text.contains('\n')) {
                        turn.text = text;
                    }
                }
            }
            Self::Carried(_) | Self::Value { .. } => {}
        }
    }
}

fn rewrite_content(content: &mut Content, rewrite: &mut dyn FnMut(&str) -> Option<String>) {
    if content.coding.is_some() {
        return;
    }
    let Ok(text) = std::str::from_utf8(&content.body) else { return };
    if let Some(text) = rewrite(text) {
        content.body = text.into_bytes();
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// JSON with other white space and escapes.
pub(super) fn respelt(json: &str, random: &mut Random) -> Option<String> {
    if !is_json(json) {
        return None;
    }
    let mut out = String::with_capacity(2 * json.len());
    let mut characters = json.chars();
    let mut inside = false;
    while let Some(character) = characters.next() {
        match character {
            '"' => inside = !inside,
            '\\' => {
                out.push('\\');
                let escaped = characters.next();
                out.extend(escaped);
                if escaped == Some('u') {
                    out.extend(characters.by_ref().take(4));
                }
                continue;
            }
            '/' if inside && random.chance(2) => out.push('\\'),
            _ if inside && random.chance(4) => {
                let upper = random.chance(2);
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let digits = format!("{unit:04x}");
                    out.push_str("\\u");
                    out.push_str(&if upper { digits.to_uppercase() } else { digits });
                }
                continue;
            }
            _ => {}
        }
        out.push(character);
        if !inside && "{}[],:".contains(character) {
            out.push_str(random.pick(&["", "", " ", "\t", "\r\n", "     "]));
        }
    }
    Some(out)
}

/// JSON in which the text of one member comes once more, at the end of its object.
fn repeated(json: &str, random: &mut Random) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let object = value.as_object()?;
    let (key, member) = object.iter().nth(random.below(object.len()))?;
    let member = if random.chance(2) { member.to_string() } else { "\"other\"".to_owned() };
    let key = serde_json::Value::from(key.as_str());
    let end = json.rfind('}')?;
    let (start, end) = json.split_at_checked(end)?;
    Some(format!("{start},{key}:{member}{end}"))
}

impl Talk {
    /// `None` if the item has no traffic of its own.
    fn of(item: Item) -> Option<Self> {
        Some(match item {
            Item::Carried(Carried::Dns { name }) => {
                let query = bytes::dns_query(&name)?;
                Self { port: 53, datagram: true, turns: vec![(Side::Client, query)] }
            }
            Item::Carried(Carried::Tls { name, port, record }) => {
                let hello = bytes::client_hello(&name, record);
                Self { port, datagram: false, turns: vec![(Side::Client, hello)] }
            }
            Item::Carried(Carried::Http(http)) => {
                Self { port: http.port, datagram: false, turns: http.turns() }
            }
            Item::Stream { port, turns } => {
                let turns = turns.into_iter().map(|turn| (turn.side, turn.bytes()));
                Self { port, datagram: false, turns: turns.collect() }
            }
            Item::Value { .. } => return None,
        })
    }

    fn frames(&self, port: u16, cut: Cut, disorder: Option<u64>) -> Frames {
        if self.datagram {
            let query = self.turns.first().map(|(_, bytes)| bytes.as_slice());
            return datagram(port, self.port, query.unwrap_or_default());
        }
        let mut connection = Connection::open(port, self.port, cut);
        let mut random = disorder.map(Random::new);
        for (side, bytes) in &self.turns {
            match &mut random {
                Some(random) => connection.send_disordered(*side, bytes, random),
                None => connection.send(*side, bytes),
            }
        }
        connection.close()
    }
}

impl Turn {
    fn bytes(&self) -> Vec<u8> {
        match self.framing {
            Framing::Line => format!("{}\n", self.text),
            Framing::Length => format!("Content-Length: {}\r\n\r\n{}", self.text.len(), self.text),
        }
        .into_bytes()
    }
}

/// Ends a connection within something that is said.
fn truncate(talks: &mut [Talk], random: &mut Random) {
    let at = random.below(talks.len());
    let Some(talk) = talks.get_mut(at).filter(|talk| !talk.datagram) else { return };
    talk.turns.truncate(1 + random.below(talk.turns.len()));
    if let Some((_, bytes)) = talk.turns.last_mut() {
        bytes.truncate(random.below(bytes.len()));
    }
}

fn flip(talks: &mut [Talk], random: &mut Random) {
    let at = random.below(talks.len());
    let Some(talk) = talks.get_mut(at) else { return };
    let turn = random.below(talk.turns.len());
    let Some((_, bytes)) = talk.turns.get_mut(turn) else { return };
    let at = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rewrite(transform) => transform.name,
            Self::Respell(_) => "white space and escapes",
            Self::Chunks(_) => "chunks",
            Self::Repeat(_) => "a repeated member",
            Self::Truncate(_) => "an early end",
            Self::Flip(_) => "a flipped bit",
            Self::Disorder(_) => "disordered segments",
        })
    }
}
