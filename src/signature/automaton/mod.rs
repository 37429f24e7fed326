//! The automata of one field: text in, in slices cut anywhere; hits out.
//!
//! All patterns of a field run at once. As a rule that is one dense DFA over the
//! text, or over the text with JSON escapes undone where the field's patterns are
//! JSON. Patterns that would make it too large get automata of their own, up to
//! [`MAX_DFAS`]; what is too large for these is made deterministic while it runs (see
//! `lazy`).
//! What a flow keeps between slices is a [`Cursor`]: a few state numbers.

mod escape;
mod gate;
mod lazy;
pub(crate) mod program;
mod saved;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};

use self::escape::Escape;
pub(crate) use self::escape::QUOTE as ESCAPED_QUOTE;
pub(crate) use self::gate::MAX_LEN as MAX_BEGINNING;
use self::gate::{Beginnings, Gate};
use self::lazy::{Kept, Lazy};
use self::program::{Expressions, Program};

/// DFAs that one field may have.
pub(crate) const MAX_DFAS: usize = 4;

/// Expressions that one DFA may hold: building takes time for each of them in
/// each state.
const MAX_EXPRESSIONS: usize = 512;

/// Lazy automata that one field may have: one of each view.
const MAX_LAZY: usize = 2;

/// Broad states of one expression without a DFA, and of all that can begin with anything:
/// each of them may have to be looked at for each byte.
const MAX_BROAD_ALONE: usize = 128;
const MAX_BROAD: usize = 4096;

/// Shorter slices are read without a gate, which takes a while to open.
const MIN_GATED: usize = 64;

/// Bytes read between two looks whether the rest can be skipped.
const BLOCK: usize = 32;

/// Memory budgets of the DFAs of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// For the sequences (exact texts, substrings, JSON …) of the field.
    pub sequences: usize,
    /// For one DFA that holds expressions.
    pub expressions: usize,
    /// For the states of patterns without a DFA, on one thread.
    pub lazy: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { sequences: 128 << 20, expressions: 2 << 20, lazy: 8 << 20 }
    }
}

/// Where in the text, and in the automata, a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    states: [StateID; MAX_DFAS],
    escape: Escape,
    kept: [Kept; MAX_LAZY],
}

/// The automata of one field. Patterns are numbered by whoever built it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldAutomaton {
    dfas: Vec<Dfa>,
    lazy: Vec<Lazy>,
}

/// A text as an automaton sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// As it is.
    Raw,
    /// With JSON escapes undone.
    Json,
}

#[derive(Clone, Debug)]
struct Dfa {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
    idle: Idle,
    gate: Option<Gate>,
    view: View,
    /// Number of each pattern of the DFA.
    patterns: Vec<usize>,
}

/// What the automata of one field are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldPrograms {
    pub(crate) raw: Program,
    /// The same as `raw` with no expression taken apart, if any was.
    pub(crate) whole: Option<Program>,
    pub(crate) json: Program,
}

/// What came of building one field.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) automaton: FieldAutomaton,
    /// Patterns whose DFA would be too large.
    pub(crate) slow: Vec<usize>,
}

/// Patterns that have no DFA within the budget, and could take long for each byte
/// without one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TooLarge {
    /// One expression.
    Expression(usize),
    /// All patterns together.
    Together,
}

impl Cursor {
    /// Bytes of the heap.
    pub(crate) fn memory(&self) -> usize {
        self.kept.iter().map(Kept::memory).sum()
    }
}

impl FieldAutomaton {
    /// Builds the automata of a field.
    pub(crate) fn build(programs: FieldPrograms, budget: &Budget) -> Result<Built, TooLarge> {
        let mut built = Built { automaton: Self::default(), slow: Vec::new() };
        let FieldPrograms { raw, whole, json } = programs;
        if !json.is_empty() && built.add(&json, View::Json, budget.sequences).is_err() {
            built.add_lazy(&json, View::Json, budget)?;
        }
        // One expression alone is tried below.
        let together =
            raw.expressions() <= MAX_EXPRESSIONS && (raw.has_sequences() || raw.expressions() > 1);
        if raw.is_empty() || together && built.add(&raw, View::Raw, budget.expressions).is_ok() {
            return Ok(built);
        }
        let rest = built.add_apart(raw, budget).unwrap_or_else(|raw| {
            // What was taken apart may be what makes the sequences too large.
            let again = whole.and_then(|whole| built.add_apart(whole, budget).ok());
            again.unwrap_or(raw)
        });
        if let Some(pattern) = rest.broad_expression(MAX_BROAD_ALONE) {
            return Err(TooLarge::Expression(pattern));
        }
        if !rest.is_empty() {
            built.add_lazy(&rest, View::Raw, budget)?;
        }
        Ok(built)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.dfas.is_empty() && self.lazy.is_empty()
    }

    /// Bytes that the automata take.
    pub(crate) fn memory_usage(&self) -> usize {
        let dfas: usize = self.dfas.iter().map(|dfa| dfa.dfa.memory_usage()).sum();
        let lazy: usize = self.lazy.iter().map(Lazy::memory_usage).sum();
        dfas + lazy
    }

    /// Number of DFAs.
    pub(crate) fn dfas(&self) -> usize {
        self.dfas.len()
    }

    /// The place before the first byte of a text.
    pub(crate) fn start(&self, hit: &mut impl FnMut(usize)) -> Cursor {
        let mut states = [StateID::ZERO; MAX_DFAS];
        for (state, dfa) in states.iter_mut().zip(&self.dfas) {
            *state = dfa.start;
        }
        let mut kept = <[Kept; MAX_LAZY]>::default();
        for (kept, lazy) in kept.iter_mut().zip(&self.lazy) {
            *kept = lazy.start(hit);
        }
        Cursor { states, escape: Escape::default(), kept }
    }

    /// Reads the next slice of a text.
    pub(crate) fn feed(&self, cursor: &mut Cursor, bytes: &[u8], hit: &mut impl FnMut(usize)) {
        let Cursor { states, escape, kept } = cursor;
        match (self.dfas.as_slice(), &mut states[..]) {
            ([json, raw, rest @ ..], [json_state, raw_state, rest_states @ ..])
                if json.view == View::Json && json.gate.is_none() && raw.gate.is_none() =>
            {
                let mut pair = Pair { json, raw, json_state, raw_state };
                pair.run(escape, bytes, hit);
                run_each(rest, rest_states, escape, bytes, hit);
            }
            (dfas, states) => run_each(dfas, states, escape, bytes, hit),
        }
        for (kept, lazy) in kept.iter_mut().zip(&self.lazy) {
            lazy.feed(kept, escape, bytes, hit);
        }
    }

    /// Ends a text.
    pub(crate) fn finish(&self, cursor: &Cursor, hit: &mut impl FnMut(usize)) {
        for (state, dfa) in cursor.states.iter().zip(&self.dfas) {
            dfa.note(dfa.dfa.next_eoi_state(*state), hit);
        }
        for (kept, lazy) in cursor.kept.iter().zip(&self.lazy) {
            lazy.finish(kept, hit);
        }
    }
}

fn run_each(
    dfas: &[Dfa],
    states: &mut [StateID],
    escape: &mut Escape,
    bytes: &[u8],
    hit: &mut impl FnMut(usize),
) {
    for (dfa, state) in dfas.iter().zip(states) {
        *state = match dfa.view {
            View::Raw => match &dfa.gate {
                Some(gate) if bytes.len() >= MIN_GATED => {
                    dfa.run_gated_raw(gate, *state, bytes, hit)
                }
                _ => dfa.run(*state, bytes, hit),
            },
            View::Json => match &dfa.gate {
                Some(gate) => dfa.run_gated(gate, *state, escape, bytes, hit),
                None => dfa.run_json(*state, escape, bytes, hit),
            },
        };
    }
}

/// A DFA of each view over the same bytes. Each step of a DFA waits for memory;
/// two that step side by side take hardly longer than one.
struct Pair<'a> {
    json: &'a Dfa,
    raw: &'a Dfa,
    json_state: &'a mut StateID,
    raw_state: &'a mut StateID,
}

impl Pair<'_> {
    fn run(&mut self, escape: &mut Escape, bytes: &[u8], hit: &mut impl FnMut(usize)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if escape.is_plain() {
                let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
                let (run, after) = rest.split_at(plain);
                self.run_plain(run, hit);
                rest = after;
            }
            if let Some((&byte, after)) = rest.split_first() {
                *self.json_state = self.json.run(*self.json_state, escape.push(byte).bytes(), hit);
                *self.raw_state = self.raw.run(*self.raw_state, &[byte], hit);
                rest = after;
            }
        }
    }

    fn run_plain(&mut self, bytes: &[u8], hit: &mut impl FnMut(usize)) {
        let (mut json, mut raw) = (*self.json_state, *self.raw_state);
        for &byte in bytes {
            json = self.json.dfa.next_state(json, byte);
            raw = self.raw.dfa.next_state(raw, byte);
            if self.json.dfa.is_special_state(json) {
                self.json.note(json, hit);
            }
            if self.raw.dfa.is_special_state(raw) {
                self.raw.note(raw, hit);
            }
        }
        (*self.json_state, *self.raw_state) = (json, raw);
    }
}

impl Built {
    fn add(&mut self, program: &Program, view: View, limit: usize) -> Result<(), ()> {
        if self.automaton.dfas.len() == MAX_DFAS {
            return Err(());
        }
        self.automaton.dfas.push(Dfa::build(program, view, limit).ok_or(())?);
        Ok(())
    }

    fn add_lazy(&mut self, program: &Program, view: View, budget: &Budget) -> Result<(), TooLarge> {
        let (nfa, patterns) = program.nfa().map_err(|_| TooLarge::Together)?;
        let broad = program::broad_states(&nfa);
        self.slow.extend(&patterns);
        let lazy = Lazy::new(nfa, patterns, view, program.beginnings().as_ref(), budget.lazy);
        if broad > MAX_BROAD && !lazy.is_gated() {
            return Err(TooLarge::Together);
        }
        self.automaton.lazy.push(lazy);
        Ok(())
    }

    /// The sequences in a DFA of their own, the expressions in others; what is left
    /// over, or everything if the sequences are too large.
    fn add_apart(&mut self, program: Program, budget: &Budget) -> Result<Program, Program> {
        let (mut sequences, expressions) = program.split();
        if sequences.has_sequences() && self.add(&sequences, View::Raw, budget.sequences).is_err() {
            sequences.extend(expressions);
            return Err(sequences);
        }
        let mut rest = Program::default();
        self.add_split(expressions, budget, &mut rest);
        Ok(rest)
    }

    /// Halves the expressions until each part fits; what does not is added to `rest`.
    fn add_split(&mut self, expressions: Expressions, budget: &Budget, rest: &mut Program) {
        let room = MAX_DFAS - self.automaton.dfas.len();
        match expressions.len() {
            0 => return,
            len if room == 0 || len > room * MAX_EXPRESSIONS => return rest.extend(expressions),
            len if len > MAX_EXPRESSIONS => return self.add_halves(expressions, budget, rest),
            _ => {}
        }
        let program = Program::of_expressions(expressions.clone());
        if self.add(&program, View::Raw, budget.expressions).is_ok() {
            return;
        }
        match expressions.len() {
            1 => rest.extend(expressions),
            _ => self.add_halves(expressions, budget, rest),
        }
    }

    fn add_halves(&mut self, mut first: Expressions, budget: &Budget, rest: &mut Program) {
        let second = first.split_off(first.len() / 2);
        self.add_split(first, budget, rest);
        self.add_split(second, budget, rest);
    }
}

impl Dfa {
    fn build(program: &Program, view: View, limit: usize) -> Option<Self> {
        let (nfa, patterns) = program.nfa().ok()?;
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Unanchored)
            // Done by `Idle`, which does not slow short texts down.
            .accelerate(false)
            .dfa_size_limit(Some(limit))
            .determinize_size_limit(Some(2 * limit));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?;
        Self::of_table(dfa, view, patterns, program.beginnings().as_ref())
    }

    /// A DFA whose patterns begin in these ways, as far as they are few.
    fn of_table(
        dfa: dense::DFA<Vec<u32>>,
        view: View,
        patterns: Vec<usize>,
        beginnings: Option<&Beginnings>,
    ) -> Option<Self> {
        let unanchored = start::Config::new().anchored(Anchored::No);
        let start = dfa.start_state(&unanchored).ok()?;
        let idle = Idle::new(&dfa, start);
        let gate = beginnings
            .filter(|_| !dfa.is_special_state(idle.state))
            .and_then(|beginnings| Gate::new(view, beginnings));
        Some(Self { dfa, start, idle, gate, view, patterns })
    }

    fn run(&self, mut state: StateID, bytes: &[u8], hit: &mut impl FnMut(usize)) -> StateID {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (block, after) = rest.split_at(rest.len().min(BLOCK));
            for &byte in block {
                state = self.dfa.next_state(state, byte);
                if self.dfa.is_special_state(state) {
                    self.note(state, hit);
                }
            }
            rest = self.idle.skip(state, after);
        }
        state
    }

    fn run_json(
        &self,
        mut state: StateID,
        escape: &mut Escape,
        bytes: &[u8],
        hit: &mut impl FnMut(usize),
    ) -> StateID {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if escape.is_plain() {
                let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
                state = self.run(state, &rest[..plain], hit);
                at += plain;
            }
            if let Some(&byte) = bytes.get(at) {
                at += 1;
                state = self.run(state, escape.push(byte).bytes(), hit);
            }
        }
        state
    }

    /// The same behind a gate: the automaton runs from each place where something
    /// may begin until nothing has begun any more.
    fn run_gated(
        &self,
        gate: &Gate,
        mut state: StateID,
        escape: &mut Escape,
        bytes: &[u8],
        hit: &mut impl FnMut(usize),
    ) -> StateID {
        let mut places = gate.places(bytes);
        let mut at = 0;
        while at < bytes.len() {
            if state == self.idle.state && escape.is_plain() {
                at = places.next(at);
            }
            while let Some(&byte) = bytes.get(at) {
                at += 1;
                if escape.is_plain() && byte != b'\\' {
                    state = self.dfa.next_state(state, byte);
                    if self.dfa.is_special_state(state) {
                        self.note(state, hit);
                    }
                } else {
                    state = self.run(state, escape.push(byte).bytes(), hit);
                }
                if state == self.idle.state && escape.is_plain() {
                    break;
                }
            }
        }
        state
    }

    /// The same where nothing is escaped.
    fn run_gated_raw(
        &self,
        gate: &Gate,
        mut state: StateID,
        bytes: &[u8],
        hit: &mut impl FnMut(usize),
    ) -> StateID {
        let mut places = gate.places(bytes);
        let mut at = 0;
        while at < bytes.len() {
            if state == self.idle.state {
                at = places.next(at);
            }
            while let Some(&byte) = bytes.get(at) {
                at += 1;
                state = self.dfa.next_state(state, byte);
                if self.dfa.is_special_state(state) {
                    self.note(state, hit);
                }
                if state == self.idle.state {
                    break;
                }
            }
        }
        state
    }

    fn note(&self, state: StateID, hit: &mut impl FnMut(usize)) {
        if self.dfa.is_match_state(state) {
            for index in 0..self.dfa.match_len(state) {
                let pattern = self.dfa.match_pattern(state, index);
                if let Some(&pattern) = self.patterns.get(pattern.as_usize()) {
                    hit(pattern);
                }
            }
        }
    }
}

/// The state of a DFA in which nothing has begun, and the few bytes with which
/// something can begin: long texts without them are skipped.
#[derive(Clone, Debug)]
struct Idle {
    state: StateID,
    /// At most three; none if there are more.
    leaving: Vec<u8>,
}

impl Idle {
    fn new(dfa: &dense::DFA<Vec<u32>>, start: StateID) -> Self {
        // One of these bytes begins nothing in any sensible set; if not, the
        // state they lead to has too many ways out and is not used.
        let state = dfa.next_state(dfa.next_state(start, 0), 0);
        let leaving: Vec<u8> =
            (0..=u8::MAX).filter(|&byte| dfa.next_state(state, byte) != state).take(4).collect();
        let usable = leaving.len() < 4 && !dfa.is_special_state(state);
        Self { state, leaving: if usable { leaving } else { Vec::new() } }
    }

    fn skip<'b>(&self, state: StateID, bytes: &'b [u8]) -> &'b [u8] {
        if state != self.state {
            return bytes;
        }
        let skipped = match *self.leaving {
            [a] => memchr::memchr(a, bytes),
            [a, b] => memchr::memchr2(a, b, bytes),
            [a, b, c] => memchr::memchr3(a, b, c, bytes),
            _ => Some(0),
        };
        bytes.get(skipped.unwrap_or(bytes.len())..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
