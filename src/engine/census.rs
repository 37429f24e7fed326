//! Ordinals of the frames of all parts of a capture in, numbers of packets out, as if one
//! had counted them in the order of their times.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::capture::SourceId;

/// The frames of a block: where they were captured, and their ordinals.
pub(super) type Roll = (SourceId, Arc<[u64]>);

/// Counts frames up to an ordinal, which never decreases.
#[derive(Debug)]
pub(super) struct Census {
    /// By part: blocks that are not counted to their end, and how far the first one is.
    parts: Vec<(VecDeque<Roll>, usize)>,
    /// A handful: the interfaces of a sensor.
    counts: Vec<(SourceId, u64)>,
}

impl Census {
    pub(super) fn new(parts: usize) -> Self {
        Self { parts: (0..parts).map(|_| (VecDeque::new(), 0)).collect(), counts: Vec::new() }
    }

    /// Takes in the next block of a part.
    pub(super) fn add(&mut self, part: usize, roll: Roll) {
        if let Some((rolls, _)) = self.parts.get_mut(part) {
            rolls.push_back(roll);
        }
    }

    /// The number of the frame of that ordinal among those of its source, from 1; that of
    /// the last one, if there are frames of greater ordinals by now.
    pub(super) fn number(&mut self, source: SourceId, ordinal: u64) -> u64 {
        self.advance(ordinal);
        self.counts.iter().find(|(known, _)| *known == source).map_or(0, |(_, count)| *count)
    }

    /// Counts all frames of ordinals up to this.
    #[inline]
    pub(super) fn advance(&mut self, ordinal: u64) {
        for (rolls, at) in &mut self.parts {
            while let Some((source, ordinals)) = rolls.front() {
                let left = ordinals.get(*at..).unwrap_or_default();
                let passed = left.iter().take_while(|next| **next <= ordinal).count();
                if passed > 0 {
                    count(&mut self.counts, *source, passed);
                    *at += passed;
                }
                if *at < ordinals.len() {
                    break;
                }
                rolls.pop_front();
                *at = 0;
            }
        }
    }
}

fn count(counts: &mut Vec<(SourceId, u64)>, source: SourceId, frames: usize) {
    match counts.iter_mut().find(|(known, _)| *known == source) {
        Some((_, count)) => *count += frames as u64,
        None => counts.push((source, frames as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_parts_are_numbered_in_their_order() {
        let mut census = Census::new(2);
        let (one, other) = (SourceId(0), SourceId(1));
        census.add(0, (one, Arc::new([2, 4, 10])));
        census.add(0, (other, Arc::new([12, 14])));
        census.add(0, (one, Arc::new([])));
        census.add(0, (one, Arc::new([16])));
        census.add(1, (one, Arc::new([3, 5, 7, 11])));
        let numbers = [2, 3, 7, 10, 11].map(|ordinal| census.number(one, ordinal));
        assert_eq!(numbers, [1, 2, 5, 6, 7]);
        assert_eq!(census.number(other, 14), 2);
        assert_eq!(census.number(one, 16), 8);
        assert!(census.parts.iter().all(|(rolls, _)| rolls.is_empty()));
        // What comes late is counted, and takes the number that is reached.
        census.add(1, (one, Arc::new([15, 17])));
        assert_eq!(census.number(one, 15), 9);
        assert_eq!(census.number(one, 17), 10);
    }
}
