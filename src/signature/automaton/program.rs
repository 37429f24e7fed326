//! What an automaton is built from: sequences of byte sets that share their
//! beginnings, so that thousands of patterns stay cheap to determinise.

use std::collections::{BTreeSet, HashMap};

use regex_automata::nfa::thompson::{BuildError, Builder, NFA, State, Transition};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;

use super::gate::{self, Beginnings};

/// Beginnings, before repeated ones are taken out.
const MAX_BEGINNINGS: usize = 1 << 17;

/// Bytes of a set that beginnings tell apart.
const MAX_CHOICE: usize = 4;

/// A set of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) const EMPTY: Self = Self([0; 4]);
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    pub(crate) fn of(bytes: &[u8]) -> Self {
        bytes.iter().fold(Self::EMPTY, |set, &byte| set.with(byte))
    }

    pub(crate) fn filter(keep: impl Fn(u8) -> bool) -> Self {
        (0..=u8::MAX).filter(|&byte| keep(byte)).fold(Self::EMPTY, Self::with)
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn with(mut self, byte: u8) -> Self {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        self
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|&byte| self.contains(byte))
    }

    /// Runs of neighbouring members.
    fn ranges(&self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in self.bytes() {
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == byte => *end = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }
}

/// One step of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// One byte of the set.
    One(ByteSet),
    /// One byte of the set, or none.
    Optional(ByteSet),
    /// Any number of bytes of the set, even none.
    Many(ByteSet),
    /// One of several strings.
    Either(Vec<Vec<u8>>),
    /// The start of the text, or one byte of the set.
    StartOr(ByteSet),
    /// The end of the text, or one byte of the set.
    EndOr(ByteSet),
}

/// The automaton has more states than can be numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyStates;

impl From<BuildError> for TooManyStates {
    fn from(_: BuildError) -> Self {
        Self
    }
}

/// An expression as an automaton is made of it.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// Anchored at its start.
    pub(crate) nfa: NFA,
    /// How it may begin; `None` where that may be anything.
    pub(crate) beginnings: Option<Vec<Vec<u8>>>,
}

/// Expressions with the numbers of their patterns.
pub(super) type Expressions = Vec<(usize, Expression)>;

/// Sequences and expressions, each belonging to a numbered pattern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    trie: Trie,
    expressions: Expressions,
}

/// Sequences that share their beginnings. Node 0 is the root.
#[derive(Clone, Debug, Default)]
struct Trie {
    edges: HashMap<(usize, Step), usize>,
    /// Edges of each node in the order they were added.
    children: Vec<Vec<(Step, usize)>>,
    /// Patterns that end at a node.
    ends: Vec<Vec<usize>>,
}

impl Program {
    /// Adds one alternative of a pattern.
    pub(crate) fn sequence(&mut self, pattern: usize, steps: Vec<Step>) {
        self.trie.insert(pattern, steps);
    }

    /// Adds one alternative of a pattern.
    pub(crate) fn expression(&mut self, pattern: usize, expression: Expression) {
        self.expressions.push((pattern, expression));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.trie.children.is_empty() && self.expressions.is_empty()
    }

    /// Number of expressions.
    pub(super) fn expressions(&self) -> usize {
        self.expressions.len()
    }

    /// The sequences without the expressions, and these.
    pub(super) fn split(self) -> (Self, Expressions) {
        (Self { expressions: Expressions::new(), ..self }, self.expressions)
    }

    /// A program of expressions only.
    pub(super) fn of_expressions(expressions: Expressions) -> Self {
        Self { trie: Trie::default(), expressions }
    }

    /// Adds expressions.
    pub(super) fn extend(&mut self, expressions: Expressions) {
        self.expressions.extend(expressions);
    }

    pub(super) fn has_sequences(&self) -> bool {
        !self.trie.children.is_empty()
    }

    /// An expression with more broad states than that.
    pub(super) fn broad_expression(&self, most: usize) -> Option<usize> {
        let broad = |(_, expression): &&(usize, Expression)| broad_states(&expression.nfa) > most;
        self.expressions.iter().find(broad).map(|(pattern, _)| *pattern)
    }

    /// How the patterns may begin: as it is written if there are few ways, else with
    /// letters folded and more bytes to tell them apart. `None` if some of them can
    /// begin in very many ways.
    pub(super) fn beginnings(&self) -> Option<Beginnings> {
        let exact = self.ways(gate::MIN_LEN, false, gate::MAX_PACKED);
        exact.or_else(|| self.ways(gate::MAX_LEN, true, MAX_BEGINNINGS))
    }

    fn ways(&self, len: usize, folded: bool, most: usize) -> Option<Beginnings> {
        let mut ways = Ways { found: BTreeSet::new(), len, folded, most };
        if self.has_sequences() {
            self.trie.beginnings(0, Vec::new(), &mut ways)?;
        }
        for (_, expression) in &self.expressions {
            for beginning in expression.beginnings.as_ref()? {
                ways.add(beginning.clone())?;
            }
        }
        Some(Beginnings { ways: ways.found.into_iter().collect(), folded })
    }

    /// One automaton that finds all patterns anywhere, and for each pattern of
    /// the automaton the number it was added with.
    pub(super) fn nfa(&self) -> Result<(NFA, Vec<usize>), TooManyStates> {
        let mut assembly = Assembly::new()?;
        let root = assembly.root;
        if self.has_sequences() {
            let trie = assembly.trie(&self.trie)?;
            assembly.starts.push(trie);
        }
        for (pattern, expression) in &self.expressions {
            let start = assembly.expression(*pattern, &expression.nfa)?;
            assembly.starts.push(start);
        }
        for &start in &assembly.starts {
            assembly.builder.patch(root, start)?;
        }
        let again =
            assembly.builder.add_range(Transition { start: 0, end: u8::MAX, next: root })?;
        assembly.builder.patch(root, again)?;
        let nfa = assembly.builder.build(root, root)?;
        Ok((nfa, assembly.patterns))
    }
}

impl Trie {
    fn insert(&mut self, pattern: usize, steps: Vec<Step>) {
        if self.children.is_empty() {
            self.add_node();
        }
        let mut node = 0;
        for step in steps {
            node = match self.edges.get(&(node, step.clone())) {
                Some(&next) => next,
                None => {
                    let next = self.add_node();
                    self.edges.insert((node, step.clone()), next);
                    self.children[node].push((step, next));
                    next
                }
            };
        }
        if !self.ends[node].contains(&pattern) {
            self.ends[node].push(pattern);
        }
    }

    /// Adds the ways on from a node that was reached by `start`.
    fn beginnings(&self, node: usize, start: Vec<u8>, ways: &mut Ways) -> Option<()> {
        let ends = !self.ends[node].is_empty();
        if start.len() >= ways.len || ends {
            return ways.add(start);
        }
        for (step, next) in &self.children[node] {
            let Some(strings) = ways.strings(step) else {
                // What comes next may be anything: this is all there is.
                ways.add(start.clone())?;
                continue;
            };
            for string in strings {
                self.beginnings(*next, [start.as_slice(), &string].concat(), ways)?;
            }
        }
        Some(())
    }

    fn add_node(&mut self) -> usize {
        self.children.push(Vec::new());
        self.ends.push(Vec::new());
        self.children.len() - 1
    }
}

/// Beginnings as they are found.
struct Ways {
    found: BTreeSet<Vec<u8>>,
    /// Bytes of each, at most.
    len: usize,
    folded: bool,
    /// How many there may be.
    most: usize,
}

impl Ways {
    /// `None` if there are too many.
    fn add(&mut self, mut way: Vec<u8>) -> Option<()> {
        way.truncate(self.len);
        if self.folded {
            way.make_ascii_lowercase();
        }
        self.found.insert(way);
        (self.found.len() <= self.most).then_some(())
    }

    /// The few strings that satisfy a step.
    fn strings(&self, step: &Step) -> Option<Vec<Vec<u8>>> {
        match step {
            Step::One(set) => {
                let fold = |byte: u8| if self.folded { byte.to_ascii_lowercase() } else { byte };
                let mut bytes: Vec<u8> = set.bytes().map(fold).collect();
                bytes.sort_unstable();
                bytes.dedup();
                let few = bytes.len() <= MAX_CHOICE;
                few.then(|| bytes.into_iter().map(|byte| vec![byte]).collect())
            }
            Step::Either(strings) => {
                let fold = |string: &Vec<u8>| match self.folded {
                    true => string.to_ascii_lowercase(),
                    false => string.clone(),
                };
                let strings: BTreeSet<Vec<u8>> = strings.iter().map(fold).collect();
                Some(strings.into_iter().collect())
            }
            _ => None,
        }
    }
}

/// The automaton under construction.
struct Assembly {
    builder: Builder,
    /// Begins everywhere: the starts of all patterns, and any byte and again.
    root: StateID,
    starts: Vec<StateID>,
    /// Number of each pattern begun in the builder.
    patterns: Vec<usize>,
    /// Match state of each number.
    matches: HashMap<usize, StateID>,
}

impl Assembly {
    fn new() -> Result<Self, TooManyStates> {
        let mut builder = Builder::new();
        builder.set_utf8(false);
        let root = builder.add_union(Vec::new())?;
        Ok(Self {
            builder,
            root,
            starts: Vec::new(),
            patterns: Vec::new(),
            matches: HashMap::new(),
        })
    }

    /// The match state of a pattern.
    fn end(&mut self, pattern: usize) -> Result<StateID, TooManyStates> {
        if let Some(&state) = self.matches.get(&pattern) {
            return Ok(state);
        }
        self.builder.start_pattern()?;
        let state = self.builder.add_match()?;
        // Only searches for single patterns would start here; there are none.
        self.builder.finish_pattern(self.root)?;
        self.patterns.push(pattern);
        self.matches.insert(pattern, state);
        Ok(state)
    }

    fn trie(&mut self, trie: &Trie) -> Result<StateID, TooManyStates> {
        let mut entries = Vec::with_capacity(trie.children.len());
        for _ in &trie.children {
            entries.push(self.builder.add_union(Vec::new())?);
        }
        for (node, children) in trie.children.iter().enumerate() {
            let mut ranges = Vec::new();
            for (step, child) in children {
                self.step(entries[node], step, entries[*child], &mut ranges)?;
            }
            self.ranges(entries[node], ranges)?;
            for &pattern in &trie.ends[node] {
                let end = self.end(pattern)?;
                self.builder.patch(entries[node], end)?;
            }
        }
        Ok(entries[0])
    }

    /// Adds a step; single bytes are left in `ranges` to be joined.
    fn step(
        &mut self,
        from: StateID,
        step: &Step,
        to: StateID,
        ranges: &mut Vec<Transition>,
    ) -> Result<(), TooManyStates> {
        match step {
            Step::One(set) => push_ranges(set, to, ranges),
            Step::Optional(set) => {
                push_ranges(set, to, ranges);
                self.builder.patch(from, to)?;
            }
            Step::Many(set) => {
                let again = self.builder.add_union(vec![to])?;
                let mut loops = Vec::new();
                push_ranges(set, again, &mut loops);
                self.ranges(again, loops)?;
                self.builder.patch(from, again)?;
            }
            Step::Either(strings) => {
                for string in strings {
                    self.string(string, to, ranges)?;
                }
            }
            Step::StartOr(set) => {
                push_ranges(set, to, ranges);
                let look = self.builder.add_look(to, Look::Start)?;
                self.builder.patch(from, look)?;
            }
            Step::EndOr(set) => {
                push_ranges(set, to, ranges);
                let look = self.builder.add_look(to, Look::End)?;
                self.builder.patch(from, look)?;
            }
        }
        Ok(())
    }

    fn string(
        &mut self,
        string: &[u8],
        to: StateID,
        ranges: &mut Vec<Transition>,
    ) -> Result<(), TooManyStates> {
        let Some((&first, rest)) = string.split_first() else { return Ok(()) };
        let mut next = to;
        for &byte in rest.iter().rev() {
            next = self.builder.add_range(Transition { start: byte, end: byte, next })?;
        }
        ranges.push(Transition { start: first, end: first, next });
        Ok(())
    }

    /// Joins transitions out of one state into as few states as will do; those
    /// of one state must not overlap.
    fn ranges(&mut self, from: StateID, mut ranges: Vec<Transition>) -> Result<(), TooManyStates> {
        ranges.sort_by_key(|range| (range.start, range.end));
        while !ranges.is_empty() {
            let mut layer: Vec<Transition> = Vec::new();
            ranges.retain(|range| {
                let fits = layer.last().is_none_or(|last| last.end < range.start);
                if fits {
                    layer.push(*range);
                }
                !fits
            });
            let state = self.builder.add_sparse(layer)?;
            self.builder.patch(from, state)?;
        }
        Ok(())
    }

    /// Copies an automaton; its match states become those of `pattern`.
    fn expression(&mut self, pattern: usize, nfa: &NFA) -> Result<StateID, TooManyStates> {
        let end = self.end(pattern)?;
        // Every state gets a way in first, so that states may name later ones.
        let mut entries = Vec::with_capacity(nfa.states().len());
        for _ in nfa.states() {
            entries.push(self.builder.add_union(Vec::new())?);
        }
        let entry = |state: StateID| entries[state.as_usize()];
        let moved = |t: &Transition| Transition { next: entry(t.next), ..*t };
        let reached = reached(nfa);
        let states = nfa.states().iter().enumerate();
        for (index, state) in states.filter(|(index, _)| reached[*index]) {
            let copies = match state {
                State::ByteRange { trans } => vec![self.builder.add_range(moved(trans))?],
                State::Sparse(sparse) => {
                    let transitions = sparse.transitions.iter().map(moved).collect();
                    vec![self.builder.add_sparse(transitions)?]
                }
                State::Dense(dense) => {
                    let transitions = (0..=u8::MAX)
                        .filter_map(|byte| dense.matches_byte(byte).map(|next| (byte, next)))
                        .map(|(byte, next)| Transition {
                            start: byte,
                            end: byte,
                            next: entry(next),
                        })
                        .collect();
                    vec![self.builder.add_sparse(transitions)?]
                }
                State::Look { look, next } => vec![self.builder.add_look(entry(*next), *look)?],
                State::Union { alternates } => alternates.iter().map(|&id| entry(id)).collect(),
                State::BinaryUnion { alt1, alt2 } => vec![entry(*alt1), entry(*alt2)],
                State::Capture { next, .. } => vec![entry(*next)],
                State::Fail => Vec::new(),
                State::Match { .. } => vec![end],
            };
            for copy in copies {
                self.builder.patch(entries[index], copy)?;
            }
        }
        Ok(entry(nfa.start_anchored()))
    }
}

/// States that go on in the same way with more than one byte, upper and lower case
/// aside: many of them can be entered at once, in very many combinations.
pub(super) fn broad_states(nfa: &NFA) -> usize {
    let is_range = |transition: &Transition| transition.start != transition.end;
    let are_broad = |pair: &[Transition]| match pair {
        [a, b] => a.next == b.next && !a.start.eq_ignore_ascii_case(&b.start),
        _ => false,
    };
    let is_broad = |state: &&State| match state {
        State::ByteRange { trans } => is_range(trans),
        State::Sparse(sparse) => {
            let transitions = &sparse.transitions;
            transitions.iter().any(is_range) || transitions.windows(2).any(are_broad)
        }
        State::Dense(_) => true,
        _ => false,
    };
    let reached = reached(nfa);
    let states = nfa.states().iter().zip(reached);
    states.filter_map(|(state, reached)| reached.then_some(state)).filter(is_broad).count()
}

/// Which states an anchored search may come to: an expression has others before them.
fn reached(nfa: &NFA) -> Vec<bool> {
    let mut reached = vec![false; nfa.states().len()];
    let mut open = vec![nfa.start_anchored()];
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut reached[id.as_usize()], true) {
            continue;
        }
        match nfa.state(id) {
            State::ByteRange { trans } => open.push(trans.next),
            State::Sparse(sparse) => open.extend(sparse.transitions.iter().map(|t| t.next)),
            State::Dense(dense) => open.extend(dense.transitions.iter().copied()),
            State::Look { next, .. } | State::Capture { next, .. } => open.push(*next),
            State::Union { alternates } => open.extend(alternates.iter()),
            State::BinaryUnion { alt1, alt2 } => open.extend([alt1, alt2]),
            State::Fail | State::Match { .. } => {}
        }
    }
    reached
}

fn push_ranges(set: &ByteSet, next: StateID, ranges: &mut Vec<Transition>) {
    ranges.extend(set.ranges().into_iter().map(|(start, end)| Transition { start, end, next }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_sets_list_their_ranges() {
        assert_eq!(ByteSet::ALL.ranges(), [(0, 255)]);
        assert_eq!(ByteSet::of(b"cab x").ranges(), [(b' ', b' '), (b'a', b'c'), (b'x', b'x')]);
        assert!(ByteSet::EMPTY.ranges().is_empty());
    }

    #[test]
    fn sequences_share_their_beginnings() {
        let literal = |text: &str| -> Vec<Step> {
            text.bytes().map(|byte| Step::One(ByteSet::of(&[byte]))).collect()
        };
        let mut trie = Trie::default();
        trie.insert(0, literal("tools/list"));
        trie.insert(1, literal("tools/call"));
        trie.insert(1, literal("tools/call"));
        assert_eq!(trie.children.len(), 1 + "tools/".len() + 4 + 4);
        assert_eq!(trie.ends.iter().flatten().count(), 2);
    }
}
