//! A set of numbers that mostly follow one another.

/// Which streams are over. Clients number their streams in order, so these are
/// few ranges, however many streams there were.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// First and last of each range, in order, with gaps between.
    ranges: Vec<(u64, u64)>,
}

impl Ranges {
    const MAX: usize = 256;

    pub(super) fn contains(&self, number: u64) -> bool {
        let after = self.ranges.partition_point(|&(first, _)| first <= number);
        after > 0 && self.ranges[after - 1].1 >= number
    }

    /// Adds a number. If the ranges become too many, what lies between the
    /// first two is taken to belong to them.
    pub(super) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let at = self.ranges.partition_point(|&(first, _)| first <= number);
        let joins_before = at > 0 && self.ranges[at - 1].1 + 1 == number;
        let joins_after = self.ranges.get(at).is_some_and(|&(first, _)| number + 1 == first);
        match (joins_before, joins_after) {
            (true, true) => {
                let (_, last) = self.ranges.remove(at);
                self.ranges[at - 1].1 = last;
            }
            (true, false) => self.ranges[at - 1].1 = number,
            (false, true) => self.ranges[at].0 = number,
            (false, false) => self.ranges.insert(at, (number, number)),
        }
        if self.ranges.len() > Self::MAX {
            let (first, _) = self.ranges.remove(0);
            self.ranges[0].0 = first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Rng;

    #[test]
    fn ranges_join() {
        let mut ranges = Ranges::default();
        for number in [5, 3, 9, 4, 0, 8, 5] {
            ranges.insert(number);
        }
        assert_eq!(ranges.ranges, [(0, 0), (3, 5), (8, 9)]);
        let held: Vec<_> = (0..12).filter(|&number| ranges.contains(number)).collect();
        assert_eq!(held, [0, 3, 4, 5, 8, 9]);
    }

    #[test]
    fn a_set_in_any_order() {
        let mut rng = Rng::new(1);
        let mut ranges = Ranges::default();
        let mut set = std::collections::BTreeSet::new();
        for _ in 0..300 {
            let number = rng.below(400) as u64;
            ranges.insert(number);
            set.insert(number);
            assert!((0..400).all(|number| ranges.contains(number) == set.contains(&number)));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut ranges = Ranges::default();
        for number in 0..10_000 {
            ranges.insert(number * 2);
            assert!(ranges.ranges.len() <= Ranges::MAX);
        }
        assert!((0..10_000).all(|number| ranges.contains(number * 2)));
        assert!(!ranges.contains(19_997));
    }
}
