//! The fallback for expressions whose DFA would be too large: their NFA, run as
//! one bit per state. Memory is fixed and time is linear, though many times
//! slower than a DFA.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;

/// States that all expressions of one field may have together: bits of the set.
pub(super) const MAX_STATES: usize = 128;

/// A set of states.
pub(super) type StateSet = u128;

/// A set of states as a cursor keeps it: without the alignment of a `u128`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept([u64; 2]);

impl From<StateSet> for Kept {
    fn from(set: StateSet) -> Self {
        Self([set as u64, (set >> 64) as u64])
    }
}

impl From<Kept> for StateSet {
    fn from(Kept([low, high]): Kept) -> Self {
        Self::from(high) << 64 | Self::from(low)
    }
}

/// Expressions of one field, found anywhere in its text.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads {
    /// Ways out of each state that reads a byte.
    states: Vec<Vec<Edge>>,
    /// Where matching begins: at the start of the text, and after each byte.
    first: Closure,
    later: Closure,
    /// States without ways out that mean "a hit if the text ends here".
    ends: Vec<(usize, usize)>,
}

#[derive(Clone, Debug)]
struct Edge {
    start: u8,
    end: u8,
    to: Closure,
}

/// What is reached without reading.
#[derive(Clone, Debug, Default)]
struct Closure {
    states: StateSet,
    /// Patterns that hit here.
    hits: Vec<usize>,
}

/// Why an expression cannot be run this way either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// More than [`MAX_STATES`] states.
    TooManyStates,
    /// Looks around in ways other than the start and the end of the text.
    LookAround,
}

impl Threads {
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    pub(super) fn memory_usage(&self) -> usize {
        self.states.iter().map(|edges| edges.len() * size_of::<Edge>()).sum()
    }

    /// Adds an expression, anchored at its start.
    pub(super) fn add(&mut self, pattern: usize, nfa: &NFA) -> Result<(), Refusal> {
        let mut numbers = vec![None; nfa.states().len()];
        let mut next = self.states.len();
        for (state, number) in nfa.states().iter().zip(&mut numbers) {
            match state {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => {
                    *number = Some(next);
                    next += 1;
                }
                State::Look { look: Look::Start | Look::End, .. } => {}
                State::Look { .. } => return Err(Refusal::LookAround),
                _ => {}
            }
        }
        let end = next;
        if end >= MAX_STATES {
            return Err(Refusal::TooManyStates);
        }
        let walk = Walk { nfa, numbers: &numbers, pattern, end };
        for state in nfa.states() {
            let edge = |start, end, to| Edge { start, end, to: walk.closure(to, false) };
            match state {
                State::ByteRange { trans } => {
                    self.states.push(vec![edge(trans.start, trans.end, trans.next)]);
                }
                State::Sparse(sparse) => {
                    let edges = sparse.transitions.iter().map(|t| edge(t.start, t.end, t.next));
                    self.states.push(edges.collect());
                }
                State::Dense(dense) => {
                    let edges = (0..=u8::MAX)
                        .filter_map(|byte| dense.matches_byte(byte).map(|to| edge(byte, byte, to)));
                    self.states.push(edges.collect());
                }
                _ => {}
            }
        }
        self.states.push(Vec::new());
        self.ends.push((end, pattern));
        self.first.join(&walk.closure(nfa.start_anchored(), true));
        self.later.join(&walk.closure(nfa.start_anchored(), false));
        Ok(())
    }

    /// The states before the first byte.
    pub(super) fn start(&self, hit: &mut impl FnMut(usize)) -> StateSet {
        self.first.hits.iter().for_each(|&pattern| hit(pattern));
        self.first.states
    }

    /// The states after `bytes`.
    pub(super) fn feed(
        &self,
        mut states: StateSet,
        bytes: &[u8],
        hit: &mut impl FnMut(usize),
    ) -> StateSet {
        for &byte in bytes {
            let mut next = self.later.states;
            self.later.hits.iter().for_each(|&pattern| hit(pattern));
            self.each_edge(states, byte, |closure| {
                next |= closure.states;
                closure.hits.iter().for_each(|&pattern| hit(pattern));
            });
            states = next;
        }
        states
    }

    /// Patterns that hit because the text ends in these states.
    pub(super) fn finish(&self, states: StateSet, hit: &mut impl FnMut(usize)) {
        let ended = self.ends.iter().filter(|(state, _)| states >> state & 1 == 1);
        ended.for_each(|&(_, pattern)| hit(pattern));
    }

    fn each_edge(&self, mut states: StateSet, byte: u8, mut visit: impl FnMut(&Closure)) {
        while states != 0 {
            let state = states.trailing_zeros() as usize;
            states &= states - 1;
            let edges = self.states.get(state).map(Vec::as_slice).unwrap_or_default();
            for edge in edges {
                if (edge.start..=edge.end).contains(&byte) {
                    visit(&edge.to);
                }
            }
        }
    }
}

impl Closure {
    fn join(&mut self, other: &Self) {
        self.states |= other.states;
        self.hits.extend(&other.hits);
    }
}

/// Follows the ways of an NFA that read nothing.
struct Walk<'n> {
    nfa: &'n NFA,
    numbers: &'n [Option<usize>],
    pattern: usize,
    /// The state that stands for a hit at the end of the text.
    end: usize,
}

impl Walk<'_> {
    fn closure(&self, from: StateID, at_start: bool) -> Closure {
        let mut closure = Closure::default();
        // Each state may be reached without and with having passed an end.
        let mut seen = vec![[false; 2]; self.nfa.states().len()];
        let mut open = vec![(from, false)];
        while let Some((id, at_end)) = open.pop() {
            if std::mem::replace(&mut seen[id.as_usize()][usize::from(at_end)], true) {
                continue;
            }
            match self.nfa.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => {
                    if let (Some(number), false) = (self.numbers[id.as_usize()], at_end) {
                        closure.states |= 1 << number;
                    }
                }
                State::Look { look: Look::Start, next } if at_start => open.push((*next, at_end)),
                State::Look { look: Look::End, next } => open.push((*next, true)),
                State::Look { .. } | State::Fail => {}
                State::Union { alternates } => {
                    open.extend(alternates.iter().map(|&next| (next, at_end)));
                }
                State::BinaryUnion { alt1, alt2 } => {
                    open.extend([(*alt1, at_end), (*alt2, at_end)]);
                }
                State::Capture { next, .. } => open.push((*next, at_end)),
                State::Match { .. } if at_end => closure.states |= 1 << self.end,
                State::Match { .. } => closure.hits.push(self.pattern),
            }
        }
        closure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::regex;

    fn found(expression: &str, text: &[u8]) -> bool {
        let mut threads = Threads::default();
        let nfa = regex::nfa(&regex::parse(expression, false).unwrap()).unwrap();
        threads.add(0, &nfa).unwrap();
        let mut hits = false;
        let mut hit = |_| hits = true;
        let mut states = threads.start(&mut hit);
        states = threads.feed(states, text, &mut hit);
        threads.finish(states, &mut hit);
        hits
    }

    #[test]
    fn finds_what_the_expression_means() {
        for (expression, text, expected) in [
            ("(a|b)*a(a|b){3}", "xxabbb", true),
            ("(a|b)*a(a|b){3}$", "xxabbbx", false),
            ("^ab$", "ab", true),
            ("^ab$", "xab", false),
            ("^ab$", "abx", false),
            ("a$", "ba", true),
            ("a$", "ab", false),
            ("b|^$", "", true),
            ("b|^$", "a", false),
            ("x*", "", true),
        ] {
            assert_eq!(found(expression, text.as_bytes()), expected, "{expression} in {text}");
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let nfa = |text| regex::nfa(&regex::parse(text, false).unwrap()).unwrap();
        let mut threads = Threads::default();
        assert_eq!(threads.add(0, &nfa("a{128}")), Err(Refusal::TooManyStates));
        assert_eq!(threads.add(0, &nfa(r"\ba")), Err(Refusal::LookAround));
        assert_eq!(threads.add(0, &nfa("a{100}")), Ok(()));
        assert_eq!(threads.add(1, &nfa("a{27}")), Err(Refusal::TooManyStates));
    }
}
