//! What the handler's states of flows own, and who owns most of it.
//!
//! Flows are told apart by weight, in classes that grow by a factor of four. Where
//! all together own too much, a flow goes of the class that owns most: of those the
//! one that was longest without a packet. So a flood of flows that each hold on to
//! much pushes out itself, and not the many that hold little.

use super::lists::Lists;

/// Classes of flows that are not light.
const CLASSES: usize = 6;

/// Up to so many bytes a flow is light, and in no list.
pub(super) const LIGHT: usize = 8 << 10;

/// Charges of all flows, by class.
pub(super) struct Weights {
    lists: Lists<CLASSES>,
    total: usize,
    light: usize,
    heavy: [usize; CLASSES],
}

impl Weights {
    pub(super) const fn new() -> Self {
        Self { lists: Lists::new(), total: 0, light: 0, heavy: [0; CLASSES] }
    }

    /// Bytes allocated.
    pub(super) const fn memory(&self) -> usize {
        self.lists.memory()
    }

    /// The sum of all charges.
    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// A flow that was charged `before` had a packet, and owns `now`.
    pub(super) fn update(&mut self, index: u32, before: usize, now: usize) {
        if before == now && now <= LIGHT {
            return;
        }
        self.total = self.total - before + now;
        let classes = (class(before), class(now));
        match classes {
            (None, None) => self.light = self.light - before + now,
            (Some(old), Some(new)) if old == new => {
                self.lists.move_to_back(new, index);
                self.heavy[new] = self.heavy[new] - before + now;
            }
            (old, new) => {
                match old {
                    Some(old) => {
                        self.lists.remove(old, index);
                        self.heavy[old] -= before;
                    }
                    None => self.light -= before,
                }
                match new {
                    Some(new) => {
                        self.lists.push_back(new, index);
                        self.heavy[new] += now;
                    }
                    None => self.light += now,
                }
            }
        }
    }

    /// The flow to evict, unless it is the light ones that own most.
    pub(super) fn heaviest(&self) -> Option<u32> {
        let (class, most) = self.heavy.iter().enumerate().max_by_key(|(_, sum)| **sum)?;
        if *most < self.light { None } else { self.lists.front(class) }
    }
}

/// The class of a charge; none if it is light.
fn class(charge: usize) -> Option<usize> {
    let times = charge / (LIGHT + 1);
    let class = times.checked_ilog2()? / 2;
    Some((class as usize).min(CLASSES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_grow_by_four() {
        let cases = [(0, None), (8192, None), (8193, Some(0)), (40_000, Some(1))];
        for (charge, expected) in cases {
            assert_eq!(class(charge), expected, "{charge}");
        }
        assert_eq!(class(usize::MAX), Some(CLASSES - 1));
    }

    #[test]
    fn those_who_own_most_go_first() {
        let mut weights = Weights::new();
        for index in 0..100 {
            weights.update(index, 0, 1000);
        }
        assert_eq!((weights.total(), weights.heaviest()), (100_000, None));
        weights.update(7, 1000, 60_000);
        weights.update(8, 1000, 70_000);
        assert_eq!(weights.heaviest(), Some(7));
        weights.update(7, 60_000, 61_000);
        assert_eq!(weights.heaviest(), Some(8), "it had a packet longer ago");
        weights.update(8, 70_000, 500);
        weights.update(7, 61_000, 0);
        assert_eq!((weights.total(), weights.heaviest()), (98_500, None));
    }
}
