//! Which patterns hit: small sorted sets that cost nothing while they are empty
//! and allocate only when a flow hits unusually many patterns.

/// Number of members kept without allocating.
const INLINE: usize = 8;

/// A signature's place in its [`SignatureSet`](super::SignatureSet) and in the
/// [`Matcher`](super::Matcher) compiled from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureIndex(pub(crate) u32);

impl SignatureIndex {
    /// As an index into [`SignatureSet::signatures`](super::SignatureSet::signatures).
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The patterns that hit in one flow or exchange so far.
///
/// A [`Matcher`](super::Matcher) fills it; [`Matcher::signals`](super::Matcher::signals)
/// says which signatures follow from it. Patterns of conditions are members
/// too, which is why the members themselves are not public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HitSet(SmallSet);

impl HitSet {
    /// An empty set.
    pub const fn new() -> Self {
        Self(SmallSet::new())
    }

    /// Forgets all hits and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether nothing hit.
    pub const fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Adds the hits of `other`, for example those of a flow to those of one of
    /// its exchanges.
    pub fn extend(&mut self, other: &Self) {
        for &member in other.0.members() {
            self.0.insert(member);
        }
    }

    pub(crate) fn insert(&mut self, atom: Atom) {
        self.0.insert(atom.0);
    }

    pub(crate) fn contains(&self, atom: Atom) -> bool {
        self.0.contains(atom.0)
    }

    pub(crate) fn atoms(&self) -> impl Iterator<Item = Atom> + '_ {
        self.0.members().iter().map(|&member| Atom(member))
    }
}

/// A set of signatures, for example those already reported for a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureIndexSet(SmallSet);

impl SignatureIndexSet {
    /// An empty set.
    pub const fn new() -> Self {
        Self(SmallSet::new())
    }

    /// Adds a signature; whether it was new.
    pub fn insert(&mut self, signature: SignatureIndex) -> bool {
        self.0.insert(signature.0)
    }

    /// Whether the signature is a member.
    pub fn contains(&self, signature: SignatureIndex) -> bool {
        self.0.contains(signature.0)
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = SignatureIndex> + '_ {
        self.0.members().iter().map(|&member| SignatureIndex(member))
    }

    /// Number of members.
    pub const fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are no members.
    pub const fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}

/// A pattern with its fields: a signature's own (numbered as the signature) or
/// one of a condition (numbered after all signatures).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Atom(pub(crate) u32);

/// A sorted set of numbers; the first few are kept in place.
#[derive(Clone, Debug, Default)]
struct SmallSet {
    len: usize,
    inline: [u32; INLINE],
    /// Holds all members once there are more than `INLINE`.
    spilled: Vec<u32>,
}

impl SmallSet {
    const fn new() -> Self {
        Self { len: 0, inline: [0; INLINE], spilled: Vec::new() }
    }

    fn members(&self) -> &[u32] {
        if self.len > INLINE { &self.spilled } else { &self.inline[..self.len] }
    }

    fn contains(&self, member: u32) -> bool {
        self.members().binary_search(&member).is_ok()
    }

    fn insert(&mut self, member: u32) -> bool {
        let Err(at) = self.members().binary_search(&member) else { return false };
        if self.len < INLINE {
            self.inline.copy_within(at..self.len, at + 1);
            self.inline[at] = member;
        } else {
            if self.len == INLINE {
                self.spilled.clear();
                self.spilled.extend_from_slice(&self.inline);
            }
            self.spilled.insert(at, member);
        }
        self.len += 1;
        true
    }

    fn clear(&mut self) {
        self.len = 0;
    }
}

impl PartialEq for SmallSet {
    fn eq(&self, other: &Self) -> bool {
        self.members() == other.members()
    }
}

impl Eq for SmallSet {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn behaves_as_a_sorted_set_below_and_above_the_inline_size() {
        let mut set = SignatureIndexSet::new();
        let mut reference = BTreeSet::new();
        let mut state = 7_u32;
        for _ in 0..500 {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let member = (state >> 16) % 40;
            assert_eq!(set.insert(SignatureIndex(member)), reference.insert(member));
            assert_eq!(set.len(), reference.len());
            assert!(set.iter().map(|signature| signature.0).eq(reference.iter().copied()));
        }
        assert!(set.contains(SignatureIndex(*reference.first().unwrap())));
        assert!(!set.contains(SignatureIndex(1_000)));
    }

    #[test]
    fn a_cleared_set_is_empty_and_usable_again() {
        let mut hits = HitSet::new();
        for atom in 0..20 {
            hits.insert(Atom(atom));
        }
        hits.clear();
        assert!(hits.is_empty());
        assert_eq!(hits, HitSet::new());
        hits.insert(Atom(3));
        assert_eq!(hits.atoms().collect::<Vec<_>>(), [Atom(3)]);
    }

    #[test]
    fn extend_unites() {
        let (mut a, mut b) = (HitSet::new(), HitSet::new());
        a.insert(Atom(5));
        b.insert(Atom(1));
        b.insert(Atom(5));
        a.extend(&b);
        assert!(a.contains(Atom(1)) && a.contains(Atom(5)));
        assert_eq!(a.atoms().count(), 2);
    }
}
