//! The fallback for patterns whose DFA would be too large: their NFA, made
//! deterministic while it runs, one state at a time.
//!
//! The states that were met are kept in a cache of limited size for each thread; when
//! it is full, it is emptied. What a flow keeps between slices is the set of NFA
//! states itself ([`Kept`]), which means the same whatever happened to the cache.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::{Look, LookSet};
use regex_automata::util::pool::Pool;
use regex_automata::util::primitives::StateID;

use super::View;
use super::escape::Escape;
use super::gate::{Beginnings, Gate};

/// A transition that nobody took yet.
const UNKNOWN: u32 = u32::MAX;

/// Marks a transition that leads to hits.
const HITS: u32 = 1 << 31;

/// The node in which nothing has begun.
const IDLE: u32 = 0;

/// Where a text is, as a cursor keeps it; before its first byte there is no place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept(Option<Arc<Place>>);

impl Kept {
    /// Bytes, which others that are at the same place may share.
    pub(super) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |place| size_of_val(&*place.states))
    }
}

/// All patterns of one view of a field, found anywhere in its text.
#[derive(Debug)]
pub(super) struct Lazy {
    nfa: NFA,
    view: View,
    /// Number of each pattern of the NFA.
    patterns: Vec<usize>,
    root: Root,
    /// Before the first byte.
    start: Arc<Place>,
    gate: Option<Gate>,
    /// Bytes of one thread's cache.
    limit: usize,
    caches: Pool<Cache, fn() -> Cache>,
}

/// What every place has in common: patterns begin everywhere.
#[derive(Clone, Debug, Default)]
struct Root {
    /// Where each class of bytes leads.
    steps: Vec<Vec<StateID>>,
    /// Assertions that patterns begin with.
    looks: Vec<StateID>,
    /// Patterns that nothing satisfies.
    hits: Vec<usize>,
}

/// Where in all patterns that have begun the text is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Place {
    before: Before,
    /// States of the NFA that read a byte or look around, in order.
    states: Box<[StateID]>,
}

/// What assertions see of the byte before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Before {
    /// One that they do not ask about.
    #[default]
    Other,
    Nothing,
    Word,
    LineFeed,
    CarriageReturn,
}

#[derive(Debug, Default)]
struct Cache {
    nodes: Vec<Node>,
    /// For each node and class of bytes, the next node.
    table: Vec<u32>,
    numbers: HashMap<Node, u32>,
    bytes: usize,
    /// How often it was emptied.
    emptied: u64,
    scratch: Scratch,
}

/// A place, and what hit when the text came to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    place: Arc<Place>,
    hits: Arc<[usize]>,
}

/// Room for working out a transition.
#[derive(Debug, Default)]
struct Scratch {
    /// States to go on from on this side of the byte, and those passed.
    waiting: Vec<StateID>,
    here: Marks,
    /// The same beyond it.
    open: Vec<StateID>,
    beyond: Marks,
    next: Vec<StateID>,
    hits: Vec<usize>,
}

/// A set that is emptied at once.
#[derive(Debug, Default)]
struct Marks {
    rounds: Vec<u32>,
    round: u32,
}

impl Clone for Lazy {
    fn clone(&self) -> Self {
        Self {
            nfa: self.nfa.clone(),
            view: self.view,
            patterns: self.patterns.clone(),
            root: self.root.clone(),
            start: Arc::clone(&self.start),
            gate: self.gate.clone(),
            limit: self.limit,
            caches: Pool::new(Cache::default),
        }
    }
}

impl Lazy {
    /// An NFA whose start is entered again before every byte.
    pub(super) fn new(
        nfa: NFA,
        patterns: Vec<usize>,
        view: View,
        beginnings: Option<&Beginnings>,
        limit: usize,
    ) -> Self {
        let gate = beginnings.and_then(|beginnings| Gate::new(view, beginnings));
        let (root, start, caches) =
            (Root::default(), Arc::default(), Pool::new(Cache::default as _));
        let mut lazy = Self { nfa, view, patterns, root, start, gate, limit, caches };
        lazy.root = lazy.find_root();
        let before = if lazy.asks() { Before::Nothing } else { Before::Other };
        lazy.start = Arc::new(Place { before, states: Box::default() });
        lazy
    }

    /// Bytes that it takes, with one thread's cache.
    pub(super) fn memory_usage(&self) -> usize {
        let steps: usize = self.root.steps.iter().map(|steps| size_of_val(steps.as_slice())).sum();
        self.nfa.memory_usage() + steps + self.limit
    }

    /// Whether it looks for beginnings first.
    pub(super) fn is_gated(&self) -> bool {
        self.gate.is_some()
    }

    /// The place before the first byte.
    pub(super) fn start(&self, hit: &mut impl FnMut(usize)) -> Kept {
        self.root.hits.iter().for_each(|&pattern| hit(pattern));
        Kept::default()
    }

    /// Reads the next slice of a text; `escape` is where in an escape it begins.
    pub(super) fn feed(
        &self,
        kept: &mut Kept,
        escape: &mut Escape,
        bytes: &[u8],
        hit: &mut impl FnMut(usize),
    ) {
        let mut cache = self.caches.get();
        let node = cache.resume(self, kept);
        let mut run = Run { lazy: self, cache: &mut cache, node };
        let mut places = self.gate.as_ref().map(|gate| gate.places(bytes));
        let json = self.view == View::Json;
        let mut at = 0;
        while at < bytes.len() {
            let plain = !json || escape.is_plain();
            if let Some(places) = places.as_mut().filter(|_| plain && run.node == IDLE) {
                at = places.next(at);
            }
            while let Some(&byte) = bytes.get(at) {
                at += 1;
                if json && !(escape.is_plain() && byte != b'\\') {
                    let output = escape.push(byte);
                    output.bytes().iter().for_each(|&byte| run.step(byte, hit));
                } else {
                    run.step(byte, hit);
                }
                if run.node == IDLE && places.is_some() {
                    break;
                }
            }
        }
        let node = run.node;
        *kept = cache.keep(node);
    }

    /// Ends a text.
    pub(super) fn finish(&self, kept: &Kept, hit: &mut impl FnMut(usize)) {
        let mut cache = self.caches.get();
        self.advance(self.place(kept), None, &mut cache.scratch);
        cache.scratch.hits.iter().for_each(|&pattern| hit(pattern));
    }

    fn place<'a>(&'a self, kept: &'a Kept) -> &'a Arc<Place> {
        kept.0.as_ref().unwrap_or(&self.start)
    }

    /// Whether patterns may begin with assertions.
    fn asks(&self) -> bool {
        !self.root.looks.is_empty()
    }

    fn is_look(&self, id: &StateID) -> bool {
        matches!(self.nfa.state(*id), State::Look { .. })
    }

    fn class(&self, byte: u8) -> usize {
        usize::from(self.nfa.byte_classes().get(byte))
    }

    fn classes(&self) -> usize {
        // Without the one for the end of the text.
        self.nfa.byte_classes().alphabet_len() - 1
    }

    fn find_root(&self) -> Root {
        let mut scratch = Scratch::default();
        scratch.begin(self.nfa.states().len());
        // Entered like any other state, not left out as the one everywhere.
        scratch.open.push(self.nfa.start_anchored());
        self.close(None, &mut scratch);
        let classes = self.nfa.byte_classes().representatives(..);
        let steps = classes.filter_map(|unit| unit.as_u8()).map(|byte| {
            let next = scratch.next.iter().filter_map(|id| step(self.nfa.state(*id), byte));
            next.filter(|&next| next != self.nfa.start_anchored()).collect()
        });
        Root {
            steps: steps.collect(),
            looks: scratch.next.iter().copied().filter(|id| self.is_look(id)).collect(),
            hits: mem::take(&mut scratch.hits),
        }
    }

    /// Works out what comes after a place: the states in `scratch.next`, and the
    /// patterns that hit on the way in `scratch.hits`.
    fn advance(&self, place: &Place, byte: Option<u8>, scratch: &mut Scratch) {
        scratch.begin(self.nfa.states().len());
        let Scratch { waiting, here, open, hits, .. } = scratch;
        waiting.extend(place.states.iter().chain(&self.root.looks));
        while let Some(id) = waiting.pop() {
            if !here.insert(id) {
                continue;
            }
            match self.nfa.state(id) {
                State::Look { look, next } => {
                    if place.before.satisfies(*look, byte) {
                        waiting.push(*next);
                    }
                }
                State::Union { alternates } => waiting.extend(alternates.iter()),
                State::BinaryUnion { alt1, alt2 } => waiting.extend([alt1, alt2]),
                State::Capture { next, .. } => waiting.push(*next),
                State::Match { pattern_id } => {
                    hits.extend(self.patterns.get(pattern_id.as_usize()));
                }
                state => open.extend(byte.and_then(|byte| step(state, byte))),
            }
        }
        if let Some(byte) = byte {
            scratch.open.extend(self.root.steps.get(self.class(byte)).into_iter().flatten());
            self.close(Some(self.nfa.start_anchored()), scratch);
        }
        scratch.next.sort_unstable();
        scratch.hits.sort_unstable();
        scratch.hits.dedup();
    }

    /// Follows what reads nothing and asks nothing from `scratch.open` on, except for
    /// the root, which is in every place.
    fn close(&self, root: Option<StateID>, scratch: &mut Scratch) {
        while let Some(id) = scratch.open.pop() {
            if Some(id) == root || !scratch.beyond.insert(id) {
                continue;
            }
            match self.nfa.state(id) {
                State::Union { alternates } => scratch.open.extend(alternates.iter()),
                State::BinaryUnion { alt1, alt2 } => scratch.open.extend([alt1, alt2]),
                State::Capture { next, .. } => scratch.open.push(*next),
                State::Match { pattern_id } => {
                    scratch.hits.extend(self.patterns.get(pattern_id.as_usize()));
                }
                State::Fail => {}
                State::ByteRange { .. }
                | State::Sparse(_)
                | State::Dense(_)
                | State::Look { .. } => scratch.next.push(id),
            }
        }
    }

    /// The place that `scratch` holds, after that byte.
    fn reached(&self, byte: u8, scratch: &Scratch) -> Node {
        let asked = self.asks() || scratch.next.iter().any(|id| self.is_look(id));
        let looks = if asked { self.nfa.look_set_any() } else { LookSet::empty() };
        let place =
            Place { before: Before::of(byte, looks), states: scratch.next.as_slice().into() };
        Node { place: Arc::new(place), hits: scratch.hits.as_slice().into() }
    }
}

fn step(state: &State, byte: u8) -> Option<StateID> {
    match state {
        State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        State::Sparse(sparse) => sparse.matches_byte(byte),
        State::Dense(dense) => dense.matches_byte(byte),
        _ => None,
    }
}

impl Before {
    /// As far as these assertions tell bytes apart.
    fn of(byte: u8, looks: LookSet) -> Self {
        let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
        match byte {
            _ if is_word && looks.contains_word() => Self::Word,
            b'\n' if looks.contains_anchor_line() => Self::LineFeed,
            b'\r' if looks.contains_anchor_crlf() => Self::CarriageReturn,
            _ => Self::Other,
        }
    }

    /// Whether an assertion holds between this and the next byte, or the end.
    fn satisfies(self, look: Look, next: Option<u8>) -> bool {
        let before = match self {
            Self::Nothing => None,
            Self::Other => Some(0),
            Self::Word => Some(b'a'),
            Self::LineFeed => Some(b'\n'),
            Self::CarriageReturn => Some(b'\r'),
        };
        let around = [before.unwrap_or_default(), next.unwrap_or_default()];
        let from = usize::from(before.is_none());
        let until = 1 + usize::from(next.is_some());
        let text = around.get(from..until).unwrap_or_default();
        regex_automata::util::look::LookMatcher::new().matches(look, text, 1 - from)
    }
}

/// A text on its way through the nodes.
struct Run<'a> {
    lazy: &'a Lazy,
    cache: &'a mut Cache,
    node: u32,
}

impl Run<'_> {
    fn step(&mut self, byte: u8, hit: &mut impl FnMut(usize)) {
        let class = self.lazy.class(byte);
        let at = self.node as usize * self.lazy.classes() + class;
        let next = match self.cache.table.get(at) {
            Some(&next) if next != UNKNOWN => next,
            _ => self.cache.work_out(self.lazy, self.node, byte),
        };
        self.node = next & !HITS;
        if next & HITS != 0 {
            self.cache.hits(self.node).iter().for_each(|&pattern| hit(pattern));
        }
    }
}

impl Cache {
    /// The node of a place; whatever hit there was told.
    fn resume(&mut self, lazy: &Lazy, kept: &Kept) -> u32 {
        let node = Node { place: Arc::clone(lazy.place(kept)), hits: Arc::default() };
        self.number(lazy, node)
    }

    fn keep(&self, node: u32) -> Kept {
        Kept(self.nodes.get(node as usize).map(|node| Arc::clone(&node.place)))
    }

    fn hits(&self, node: u32) -> &[usize] {
        self.nodes.get(node as usize).map(|node| &*node.hits).unwrap_or_default()
    }

    fn work_out(&mut self, lazy: &Lazy, from: u32, byte: u8) -> u32 {
        let place = self.nodes.get(from as usize).map(|node| Arc::clone(&node.place));
        lazy.advance(&place.unwrap_or_default(), Some(byte), &mut self.scratch);
        let node = lazy.reached(byte, &self.scratch);
        let mark = if node.hits.is_empty() { 0 } else { HITS };
        let emptied = self.emptied;
        let next = self.number(lazy, node) | mark;
        let at = from as usize * lazy.classes() + lazy.class(byte);
        // Once emptied, `from` is the number of no node, or of another.
        if let Some(entry) = self.table.get_mut(at).filter(|_| emptied == self.emptied) {
            *entry = next;
        }
        next
    }

    fn number(&mut self, lazy: &Lazy, node: Node) -> u32 {
        if let Some(&number) = self.numbers.get(&node) {
            return number;
        }
        if self.bytes > lazy.limit {
            self.emptied += 1;
            self.nodes.clear();
            self.table.clear();
            self.numbers.clear();
            self.bytes = 0;
        }
        if self.nodes.is_empty() {
            self.add(lazy, Node::default());
        }
        if node == Node::default() { IDLE } else { self.add(lazy, node) }
    }

    fn add(&mut self, lazy: &Lazy, node: Node) -> u32 {
        let number = self.nodes.len() as u32;
        let row = lazy.classes();
        self.bytes += 2 * size_of::<Node>()
            + size_of_val(&*node.place.states)
            + size_of_val(&*node.hits)
            + row * size_of::<u32>()
            + size_of::<Place>();
        self.table.resize(self.table.len() + row, UNKNOWN);
        self.numbers.insert(node.clone(), number);
        self.nodes.push(node);
        number
    }
}

impl Scratch {
    fn begin(&mut self, states: usize) {
        self.waiting.clear();
        self.open.clear();
        self.next.clear();
        self.hits.clear();
        self.here.clear(states);
        self.beyond.clear(states);
    }
}

impl Marks {
    fn clear(&mut self, len: usize) {
        self.rounds.resize(len, self.round);
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.rounds.fill(0);
            self.round = 1;
        }
    }

    /// Whether it was not in the set.
    fn insert(&mut self, id: StateID) -> bool {
        let round = self.round;
        let mark = self.rounds.get_mut(id.as_usize());
        mark.is_some_and(|mark| mem::replace(mark, round) != round)
    }
}
