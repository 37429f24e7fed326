//! Automata as bytes, for the cache on disk. Whatever the bytes are, what is made
//! of them is an automaton that can be run.

use regex_automata::dfa::{Automaton, dense};

use super::gate::{Gate, LEN};
use super::{Dfa, FieldAutomaton, MAX_DFAS, View};

/// Bytes whose number is a multiple of this keep the tables aligned.
const ALIGNMENT: usize = 8;

impl FieldAutomaton {
    /// The automata as bytes for this machine; none if some patterns have none.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        if !self.threads.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        put(&mut bytes, self.dfas.len());
        for dfa in &self.dfas {
            put(&mut bytes, usize::from(dfa.view == View::Json));
            put(&mut bytes, dfa.patterns.len());
            dfa.patterns.iter().for_each(|&pattern| put(&mut bytes, pattern));
            let starts = dfa.gate.as_ref().map(Gate::starts).unwrap_or_default();
            put(&mut bytes, starts.len());
            bytes.extend_from_slice(starts.as_flattened());
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
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
            let starts = take(&mut bytes)?.checked_mul(LEN)?;
            let beginnings: Vec<Vec<u8>> =
                bytes.get(..starts)?.chunks(LEN).map(<[u8]>::to_vec).collect();
            bytes = bytes.get(starts.checked_next_multiple_of(ALIGNMENT)?..)?;
            let len = take(&mut bytes)?;
            let (table, _) = dense::DFA::from_bytes(bytes.get(..len)?).ok()?;
            bytes = bytes.get(len.checked_next_multiple_of(ALIGNMENT)?..)?;
            let dfa = Dfa::of_table(table.to_owned(), view, patterns, &beginnings)?;
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
