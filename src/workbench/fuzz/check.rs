//! Checks: a case in, what is wrong with the engine or the set out.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::case::{Case, Item, Source};
use super::facts::{Facts, http};
use super::generate::example_name;
use super::growth::Growth;
use super::oracle::{self, Reference};
use crate::engine::Engine;
use crate::findings::{Confidence, Kind as RowKind, Row};
use crate::panics;
use crate::signature::{SignatureIndex, SignatureIndexSet, SignatureSet, Strength};
use crate::stream::Direction;
use crate::time::Timestamp;
use crate::workbench::carrier::{Cut, Frames};
use crate::workbench::random::Random;
use crate::workbench::wire::Side;

/// Traffic that is cut into single bytes in every case; of what is longer, some.
const SHORT: usize = 512;
const LONG: usize = 16 << 10;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The engine panics.
    Panic,
    /// The result depends on how connections are cut.
    Cut,
    /// An automaton says something else than a plain reading of the pattern.
    Automaton,
    /// The scanner reads other messages than `serde_json`.
    Scanner,
    /// Time grows faster than the input.
    Slow,
    /// A signature that is worth as much as MCP hits a look-alike.
    LookAlikeHit,
    /// A look-alike is taken for MCP.
    LookAlikeLikely,
    /// A signature misses an example that is written in another way.
    Evasion,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Panic,
        Self::Cut,
        Self::Automaton,
        Self::Scanner,
        Self::Slow,
        Self::LookAlikeHit,
        Self::LookAlikeLikely,
        Self::Evasion,
    ];

    /// As reports name it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Panic => "fuzz-panic",
            Self::Cut => "fuzz-cut",
            Self::Automaton => "fuzz-automaton",
            Self::Scanner => "fuzz-scanner",
            Self::Slow => "fuzz-slow",
            Self::LookAlikeHit => "fuzz-look-alike-hit",
            Self::LookAlikeLikely => "fuzz-look-alike-likely",
            Self::Evasion => "fuzz-evasion",
        }
    }

    /// What it means, in a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Panic => "The engine panics.",
            Self::Cut => "Cut in other pieces, the same bytes give other findings.",
            Self::Automaton => "The automaton hits other than a plain regex matcher.",
            Self::Scanner => "The JSON-RPC scanner reads other than a full JSON parser.",
            Self::Slow => "The time grows faster than the bytes.",
            Self::LookAlikeHit => "A signature hits traffic of another protocol.",
            Self::LookAlikeLikely => "Traffic of another protocol is taken for MCP.",
            Self::Evasion => "A signature misses an example that is written in another way.",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) kind: Kind,
    pub(super) signature: Option<SignatureIndex>,
    /// What tells it from others of its kind, where that is no signature: a
    /// look-alike, or where a panic was.
    pub(super) subject: String,
    /// For people.
    pub(super) detail: String,
}

impl Wrong {
    fn new(kind: Kind, detail: String) -> Self {
        Self { kind, signature: None, subject: String::new(), detail }
    }

    fn of(mut self, signature: SignatureIndex) -> Self {
        self.signature = Some(signature);
        self
    }

    fn about(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    /// The same for what is reported once.
    pub(super) fn key(&self) -> (Kind, Option<SignatureIndex>, &str) {
        (self.kind, self.signature, &self.subject)
    }
}

/// What cases are checked with: shared by all workers.
#[derive(Debug)]
pub(super) struct Bench<'e> {
    pub(super) set: &'e SignatureSet,
    pub(super) engine: &'e Engine,
    pub(super) reference: Reference,
    /// Whether time is taken.
    pub(super) clock: bool,
}

/// What the engine makes of frames.
#[derive(Debug, PartialEq)]
struct Seen {
    rows: Vec<Row>,
    signals: Vec<SignatureIndex>,
}

impl Bench<'_> {
    /// Everything that is wrong in a case.
    pub(super) fn examine(&self, case: &Case) -> Vec<Wrong> {
        // All that is changed on the way is made in there, and lost with it.
        let examined = panics::quietly(|| catch_unwind(AssertUnwindSafe(|| self.all(case))));
        examined.unwrap_or_else(|(place, message)| {
            let wrong = Wrong::new(Kind::Panic, format!("the engine panics at {place}: {message}"));
            vec![wrong.about(&place)]
        })
    }

    fn all(&self, case: &Case) -> Vec<Wrong> {
        let random = &mut Random::new(case.seed);
        match case.source {
            Source::Values => self.automata(&Facts::of_values(&case.items), random),
            Source::Growth => self.time(case.seed),
            _ => self.traffic(case, random),
        }
    }

    fn time(&self, seed: u64) -> Vec<Wrong> {
        let growth = Growth::new(seed);
        if !self.clock {
            // That it is read at all is worth something.
            self.run(&growth.shortest());
            return Vec::new();
        }
        let excess = growth.excess(self.engine);
        excess.map(|excess| Wrong::new(Kind::Slow, excess)).into_iter().collect()
    }

    fn traffic(&self, case: &Case, random: &mut Random) -> Vec<Wrong> {
        let mut all = Vec::new();
        let whole = self.run(&case.frames(Cut::Whole));
        for cut in cuts(case, random) {
            let other = self.run(&case.frames(cut));
            if other != whole {
                let detail = format!("{}: {}", cut_name(cut), differing(&whole, &other, self.set));
                all.push(Wrong::new(Kind::Cut, detail));
            }
        }
        let said = case.said();
        for item in &said {
            let Some(http) = http(item) else { continue };
            all.extend(self.automata(&Facts::of_exchange(http), random));
        }
        for (_, text) in said.iter().flat_map(texts) {
            let wrong = oracle::messages(text.as_bytes(), random);
            all.extend(wrong.map(|wrong| Wrong::new(Kind::Scanner, wrong)));
        }
        match case.source {
            Source::LookAlike(name) => all.extend(self.look_alike(case, name, &whole)),
            Source::Example(signature, number) => {
                all.extend(self.example(case, signature, number, &whole));
            }
            _ => {}
        }
        all
    }

    fn automata(&self, facts: &Facts, random: &mut Random) -> Vec<Wrong> {
        let answer = facts.answer(self.engine.matcher(), random);
        let wrong = self.reference.disagreement(facts, &answer);
        let wrong =
            wrong.map(|(signature, detail)| Wrong::new(Kind::Automaton, detail).of(signature));
        wrong.into_iter().collect()
    }

    /// No look-alike may be taken for MCP, by a signature or by the engine.
    fn look_alike(&self, case: &Case, name: &str, seen: &Seen) -> Vec<Wrong> {
        let mut hits: BTreeSet<SignatureIndex> = seen.signals.iter().copied().collect();
        // The engine need not look into the messages of other protocols.
        for item in case.said() {
            let said: Vec<_> = texts(&item).collect();
            let facts = Facts::of_messages(http(&item), &said);
            let answer = facts.answer(self.engine.matcher(), &mut Random::new(case.seed));
            hits.extend(answer.signals);
        }
        let sure = hits
            .into_iter()
            .filter(|&index| self.set.signature(index).strength >= Strength::Strong);
        let mut all: Vec<_> = sure
            .map(|index| {
                let strength = self.set.signature(index).strength.as_str();
                let detail =
                    format!("hits the look-alike `{name}`, but its strength is `{strength}`");
                Wrong::new(Kind::LookAlikeHit, detail).of(index)
            })
            .collect();
        let likely = seen.rows.iter().find(|row| row.confidence >= Confidence::Likely);
        all.extend(likely.map(|row| {
            let by = row.signatures.join(", ");
            let detail = format!("the look-alike `{name}` is {} by {by}", row.confidence.as_str());
            Wrong::new(Kind::LookAlikeLikely, detail).about(name)
        }));
        all
    }

    fn example(
        &self,
        case: &Case,
        index: SignatureIndex,
        number: usize,
        seen: &Seen,
    ) -> Option<Wrong> {
        if seen.signals.contains(&index) {
            return None;
        }
        let as_written = Case { changes: Vec::new(), ..case.clone() };
        if !self.run(&as_written.frames(Cut::Whole)).signals.contains(&index) {
            // It is wrong as it is written, and `test` says so.
            return None;
        }
        let by: Vec<_> = case.changes.iter().map(ToString::to_string).collect();
        let name = example_name(self.set.signature(index), number);
        let detail = format!("misses {name}, rewritten by {}", by.join(", "));
        Some(Wrong::new(Kind::Evasion, detail).of(index))
    }

    fn run(&self, frames: &Frames) -> Seen {
        let mut worker = self.engine.worker();
        worker.trace();
        let mut rows = Vec::new();
        for frame in frames.iter(1) {
            worker.on_frame(&frame, &mut rows);
        }
        let signals: SignatureIndexSet = worker.take_trace();
        worker.finish(&mut rows);
        Seen { rows: rows.into_iter().map(essence).collect(), signals: signals.iter().collect() }
    }
}

/// The texts that an item says, of events one for each.
fn texts(item: &Item) -> impl Iterator<Item = (Direction, String)> + use<> {
    let mut texts = Vec::new();
    if let Some(http) = http(item) {
        for (direction, content) in super::facts::contents(http) {
            let Ok(text) = std::str::from_utf8(&content.body) else { continue };
            if content.coding.is_some() {
                continue;
            }
            let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
            texts.extend(events.map(|event| (direction, event.to_owned())));
            texts.push((direction, text.to_owned()));
        }
    }
    if let Item::Stream { turns, .. } = item {
        texts.extend(turns.iter().map(|turn| {
            let client = turn.side == Side::Client;
            let direction = if client { Direction::ToServer } else { Direction::ToClient };
            (direction, turn.text.clone())
        }));
    }
    texts.into_iter()
}

/// How a case is cut besides whole.
pub(super) fn cuts(case: &Case, random: &mut Random) -> Vec<Cut> {
    let bytes = case.bytes();
    let mut cuts = vec![Cut::Random(random.next())];
    if bytes < SHORT || bytes < LONG && random.chance(8) {
        cuts.push(Cut::Bytes);
    }
    cuts
}

fn cut_name(cut: Cut) -> &'static str {
    match cut {
        Cut::Whole => "cut as long as may be",
        Cut::Bytes => "cut into single bytes",
        Cut::Random(_) => "cut at random",
    }
}

/// All of a row that does not depend on how its packets came.
fn essence(mut row: Row) -> Row {
    row.id.clear();
    row.time = Timestamp::MIN;
    row.end_time = Timestamp::MIN;
    row.capture = Default::default();
    row.packets = 0;
    if row.kind == RowKind::Detection {
        // What was seen until then, to the end of its packet.
        row.title.clear();
    }
    row.bytes_to_server = 0;
    row.bytes_to_client = 0;
    row
}

fn differing(whole: &Seen, other: &Seen, set: &SignatureSet) -> String {
    let ids = |seen: &Seen| -> Vec<&str> {
        seen.signals.iter().map(|&index| &*set.signature(index).id).collect()
    };
    if whole.signals != other.signals {
        return format!("the signals are {:?}, not {:?}", ids(other), ids(whole));
    }
    let lines = |seen: &Seen| -> Vec<String> {
        seen.rows
            .iter()
            .flat_map(|row| {
                format!("{row:#?}").lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
            })
            .collect()
    };
    let (whole_lines, other_lines) = (lines(whole), lines(other));
    let first = whole_lines.iter().zip(&other_lines).find(|(a, b)| a != b);
    match first {
        Some((whole, other)) => format!("a finding has `{other}`, not `{whole}`"),
        None => format!("there are {} findings, not {}", other.rows.len(), whole.rows.len()),
    }
}
