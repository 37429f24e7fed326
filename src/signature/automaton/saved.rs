//! Automata as bytes, for the cache on disk. Whatever the bytes are, what is made
//! of them is an automaton that can be run.

use regex_automata::dfa::{Automaton, dense};

use super::gate::{Beginnings, Gate};
use super::{Dfa, FieldAutomaton, MAX_DFAS, View};

/// Bytes whose number is a multiple of this keep the tables aligned.
const ALIGNMENT: usize = 8;

impl FieldAutomaton {
    /// The automata as bytes for this machine; none if some patterns have none.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        if !self.lazy.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        put(&mut bytes, self.dfas.len());
        for dfa in &self.dfas {
            put(&mut bytes, usize::from(dfa.view == View::Json));
            put(&mut bytes, dfa.patterns.len());
            dfa.patterns.iter().for_each(|&pattern| put(&mut bytes, pattern));
            put_beginnings(&mut bytes, dfa.gate.as_ref().map(Gate::starts));
            let (table, padding) = dfa.dfa.to_bytes_native_endian();
            let table = table.get(padding..)?;
            put(&mut bytes, table.len());
            bytes.extend_from_slice(table);
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        }
        Some(bytes)
    }

    /// The automata that [`to_bytes`](Self::to_bytes) wrote of the same patterns.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut automaton = Self::default();
        let dfas = take(&mut bytes)?;
        if dfas > MAX_DFAS {
            return None;
        }
        for _ in 0..dfas {
            let view = if take(&mut bytes)? == 1 { View::Json } else { View::Raw };
            let patterns =
                (0..take(&mut bytes)?).map(|_| take(&mut bytes)).collect::<Option<Vec<usize>>>()?;
            let beginnings = take_beginnings(&mut bytes)?;
            let len = take(&mut bytes)?;
            let (table, _) = dense::DFA::from_bytes(bytes.get(..len)?).ok()?;
            bytes = bytes.get(len.checked_next_multiple_of(ALIGNMENT)?..)?;
            let dfa = Dfa::of_table(table.to_owned(), view, patterns, beginnings.as_ref())?;
            (dfa.dfa.pattern_len() == dfa.patterns.len()).then_some(())?;
            automaton.dfas.push(dfa);
        }
        bytes.is_empty().then_some(automaton)
    }
}

fn put(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&(number as u64).to_ne_bytes());
}

fn take(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    usize::try_from(u64::from_ne_bytes(*number)).ok()
}

/// Beginnings of one length; none are written as those of no length.
fn put_beginnings(bytes: &mut Vec<u8>, starts: Option<&Beginnings>) {
    let ways = starts.map(|starts| starts.ways.as_slice()).unwrap_or_default();
    put(bytes, ways.len());
    put(bytes, ways.first().map_or(0, Vec::len));
    put(bytes, usize::from(starts.is_some_and(|starts| starts.folded)));
    ways.iter().for_each(|way| bytes.extend_from_slice(way));
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}

fn take_beginnings(bytes: &mut &[u8]) -> Option<Option<Beginnings>> {
    let (count, len) = (take(bytes)?, take(bytes)?);
    let folded = take(bytes)? == 1;
    let size = count.checked_mul(len)?;
    let ways: Vec<Vec<u8>> = bytes.get(..size)?.chunks(len.max(1)).map(<[u8]>::to_vec).collect();
    *bytes = bytes.get(size.checked_next_multiple_of(ALIGNMENT)?..)?;
    Some((!ways.is_empty()).then_some(Beginnings { ways, folded }))
}
