//! The automata of one field: text in, in slices cut anywhere; hits out.
//!
//! All patterns of a field run at once. As a rule that is one dense DFA over the
//! text, or over the text with JSON escapes undone where the field's patterns are
//! JSON. Patterns that would make it too large get automata of their own, up to
//! [`MAX_DFAS`]; an expression too large for any runs as bits (see `threads`).
//! What a flow keeps between slices is a [`Cursor`]: a few state numbers.

mod escape;
pub(crate) mod program;
mod threads;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};

use self::escape::Escape;
pub(crate) use self::escape::QUOTE as ESCAPED_QUOTE;
use self::program::Program;
use self::threads::{Refusal, StateSet, Threads};

/// DFAs that one field may have.
pub(crate) const MAX_DFAS: usize = 4;

/// Memory budgets of the DFAs of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For the sequences (exact texts, substrings, JSON …) of the field.
    pub sequences: usize,
    /// For one DFA that holds expressions.
    pub expressions: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { sequences: 128 << 20, expressions: 8 << 20 }
    }
}

/// Where in the text, and in the automata, a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    states: [StateID; MAX_DFAS],
    escape: Escape,
    threads: StateSet,
}

/// The automata of one field. Patterns are numbered by whoever built it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldAutomaton {
    dfas: Vec<Dfa>,
    threads: Threads,
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
    view: View,
    /// Number of each pattern of the DFA.
    patterns: Vec<usize>,
}

/// What the automata of one field are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldPrograms {
    pub(crate) raw: Program,
    pub(crate) json: Program,
}

/// What came of building one field.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) automaton: FieldAutomaton,
    /// Patterns that run as bits because their DFA would be too large.
    pub(crate) slow: Vec<usize>,
}

/// Patterns that cannot be built within the budget.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TooLarge {
    /// One expression.
    Expression(usize),
    /// All sequences together.
    Sequences,
    /// All expressions together need too many automata.
    Expressions,
}

impl FieldAutomaton {
    /// Builds the automata of a field.
    pub(crate) fn build(programs: FieldPrograms, budget: &Budget) -> Result<Built, TooLarge> {
        let mut built = Built { automaton: Self::default(), slow: Vec::new() };
        let FieldPrograms { mut raw, json } = programs;
        if !json.is_empty() {
            built.add(&json, View::Json, budget.sequences).map_err(|_| TooLarge::Sequences)?;
        }
        if raw.is_empty() || built.add(&raw, View::Raw, budget.expressions).is_ok() {
            return Ok(built);
        }
        let expressions = raw.split_expressions();
        if raw.has_sequences() {
            built.add(&raw, View::Raw, budget.sequences).map_err(|_| TooLarge::Sequences)?;
        }
        built.add_split(expressions, budget)?;
        Ok(built)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.dfas.is_empty() && self.threads.is_empty()
    }

    /// Bytes that the automata take.
    pub(crate) fn memory_usage(&self) -> usize {
        let dfas: usize = self.dfas.iter().map(|dfa| dfa.dfa.memory_usage()).sum();
        dfas + self.threads.memory_usage()
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
        Cursor { states, escape: Escape::default(), threads: self.threads.start(hit) }
    }

    /// Reads the next slice of a text.
    pub(crate) fn feed(&self, cursor: &mut Cursor, bytes: &[u8], hit: &mut impl FnMut(usize)) {
        for (state, dfa) in cursor.states.iter_mut().zip(&self.dfas) {
            *state = match dfa.view {
                View::Raw => dfa.run(*state, bytes, hit),
                View::Json => dfa.run_json(*state, &mut cursor.escape, bytes, hit),
            };
        }
        if !self.threads.is_empty() {
            cursor.threads = self.threads.feed(cursor.threads, bytes, hit);
        }
    }

    /// Ends a text.
    pub(crate) fn finish(&self, cursor: Cursor, hit: &mut impl FnMut(usize)) {
        for (state, dfa) in cursor.states.iter().zip(&self.dfas) {
            dfa.note(dfa.dfa.next_eoi_state(*state), hit);
        }
        self.threads.finish(cursor.threads, hit);
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

    /// Halves the expressions until each part fits.
    fn add_split(
        &mut self,
        mut expressions: Vec<(usize, regex_automata::nfa::thompson::NFA)>,
        budget: &Budget,
    ) -> Result<(), TooLarge> {
        if expressions.is_empty() {
            return Ok(());
        }
        let program = Program::of_expressions(expressions.clone());
        match Dfa::build(&program, View::Raw, budget.expressions) {
            Some(_) if self.automaton.dfas.len() == MAX_DFAS => Err(TooLarge::Expressions),
            Some(dfa) => {
                self.automaton.dfas.push(dfa);
                Ok(())
            }
            None if expressions.len() > 1 => {
                let rest = expressions.split_off(expressions.len() / 2);
                self.add_split(expressions, budget)?;
                self.add_split(rest, budget)
            }
            None => self.add_slow(expressions),
        }
    }

    fn add_slow(
        &mut self,
        expressions: Vec<(usize, regex_automata::nfa::thompson::NFA)>,
    ) -> Result<(), TooLarge> {
        for (pattern, nfa) in expressions {
            match self.automaton.threads.add(pattern, &nfa) {
                Ok(()) => self.slow.push(pattern),
                Err(Refusal::TooManyStates | Refusal::LookAround) => {
                    return Err(TooLarge::Expression(pattern));
                }
            }
        }
        Ok(())
    }
}

impl Dfa {
    fn build(program: &Program, view: View, limit: usize) -> Option<Self> {
        let (nfa, patterns) = program.nfa().ok()?;
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Unanchored)
            .accelerate(true)
            .dfa_size_limit(Some(limit))
            .determinize_size_limit(Some(limit));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?;
        let unanchored = start::Config::new().anchored(Anchored::No);
        let start = dfa.start_state(&unanchored).ok()?;
        Some(Self { dfa, start, view, patterns })
    }

    fn run(&self, mut state: StateID, bytes: &[u8], hit: &mut impl FnMut(usize)) -> StateID {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            state = self.dfa.next_state(state, byte);
            at += 1;
            if self.dfa.is_special_state(state) {
                self.note(state, hit);
                if self.dfa.is_accel_state(state) {
                    at = self.skip(state, bytes, at);
                }
            }
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

    /// From `at`, the next byte that leads out of an accelerated state.
    fn skip(&self, state: StateID, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let skipped = match *self.dfa.accelerator(state) {
            [a] => memchr::memchr(a, rest),
            [a, b] => memchr::memchr2(a, b, rest),
            [a, b, c] => memchr::memchr3(a, b, c, rest),
            _ => Some(0),
        };
        at + skipped.unwrap_or(rest.len())
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

#[cfg(test)]
mod tests;
