//! Records that wait: for keys that may still come, or for the server to say
//! whether it takes early data.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::record::RecordHeader;
use crate::stream::Direction;

/// What a held record costs beside its body.
const OVERHEAD: usize = 64;

/// How many bytes all connections together may hold. Clones share it.
#[derive(Clone)]
pub struct HoldBudget {
    left: Arc<AtomicUsize>,
}

impl HoldBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(bytes)) }
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A part of what is left, if there is so much.
    pub(crate) fn share(&self, bytes: usize) -> Option<HoldShare> {
        self.take(bytes).then(|| HoldShare { budget: self.clone(), bytes })
    }
}

/// Bytes of a budget, which are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct HoldShare {
    budget: HoldBudget,
    bytes: usize,
}

impl Drop for HoldShare {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

impl fmt::Debug for HoldBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoldBudget({} left)", self.left.load(Ordering::Relaxed))
    }
}

/// What happened in a direction, in the order it is to be looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    /// A record and its body.
    Record(RecordHeader, &'a [u8]),
    /// A record whose content is lost.
    LostRecord(RecordHeader),
    /// An unknown number of lost records.
    LostRecords,
    /// Something else than records.
    Broken,
    /// The end of the stream.
    End,
}

/// An [`Item`] that waits.
#[derive(Debug)]
pub(super) struct HeldItem {
    pub(super) direction: Direction,
    kind: HeldKind,
}

#[derive(Debug)]
enum HeldKind {
    Record(RecordHeader, Box<[u8]>),
    LostRecord(RecordHeader),
    LostRecords,
    Broken,
    End,
}

impl HeldItem {
    pub(super) fn item(&self) -> Item<'_> {
        match &self.kind {
            HeldKind::Record(header, body) => Item::Record(*header, body),
            HeldKind::LostRecord(header) => Item::LostRecord(*header),
            HeldKind::LostRecords => Item::LostRecords,
            HeldKind::Broken => Item::Broken,
            HeldKind::End => Item::End,
        }
    }

    fn cost(&self) -> usize {
        OVERHEAD
            + match &self.kind {
                HeldKind::Record(_, body) => body.len(),
                _ => 0,
            }
    }
}

/// The items of one connection that wait, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Held {
    items: VecDeque<HeldItem>,
    bytes: usize,
    of: [usize; 2],
    budget: Option<HoldBudget>,
}

impl Held {
    /// Nothing may be held yet.
    pub(super) fn set_budget(&mut self, budget: HoldBudget) {
        self.budget = Some(budget);
    }

    /// Takes up the budget that comes with the keys, if nothing counts against
    /// another.
    pub(super) fn share_budget(&mut self, budget: Option<&HoldBudget>) {
        if self.bytes == 0
            && let Some(budget) = budget
        {
            self.budget = Some(budget.clone());
        }
    }

    /// What the items cost.
    pub(super) const fn memory(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.of[0] + self.of[1]
    }

    /// Whether items of this direction wait.
    pub(super) const fn has(&self, direction: Direction) -> bool {
        self.of[direction.index()] > 0
    }

    /// Holds an item. Returns false if there is no room for it.
    pub(super) fn push(&mut self, direction: Direction, item: Item<'_>, limit: usize) -> bool {
        let cost = OVERHEAD
            + match item {
                Item::Record(_, body) => body.len(),
                _ => 0,
            };
        if self.bytes + cost > limit || self.budget.as_ref().is_some_and(|all| !all.take(cost)) {
            return false;
        }
        let kind = match item {
            Item::Record(header, body) => HeldKind::Record(header, body.into()),
            Item::LostRecord(header) => HeldKind::LostRecord(header),
            Item::LostRecords => HeldKind::LostRecords,
            Item::Broken => HeldKind::Broken,
            Item::End => HeldKind::End,
        };
        self.bytes += cost;
        self.put_back(HeldItem { direction, kind });
        true
    }

    /// Puts an item that was [taken out](Self::pop) at the end.
    pub(super) fn put_back(&mut self, item: HeldItem) {
        self.of[item.direction.index()] += 1;
        self.items.push_back(item);
    }

    /// Takes the oldest item out; it still counts until it is
    /// [put back](Self::put_back) or [released](Self::release).
    pub(super) fn pop(&mut self) -> Option<HeldItem> {
        let item = self.items.pop_front()?;
        self.of[item.direction.index()] -= 1;
        Some(item)
    }

    /// An item that was taken out is done with.
    pub(super) fn release(&mut self, item: HeldItem) {
        self.give_back(item.cost());
    }

    /// Drops everything. Returns how many records that were.
    pub(super) fn clear(&mut self) -> u64 {
        let records = self.items.iter().filter(|item| matches!(item.kind, HeldKind::Record(..)));
        let records = records.count() as u64;
        self.items = VecDeque::new();
        self.of = [0; 2];
        self.give_back(self.bytes);
        records
    }

    fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        if let Some(budget) = &self.budget {
            budget.give_back(bytes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_kept_and_given_back() {
        let budget = HoldBudget::new(300);
        let header = RecordHeader { kind: 23, version: 0x0303, len: 100 };
        let item = Item::Record(header, &[0; 100]);
        let mut one = Held::default();
        one.set_budget(budget.clone());
        let mut other = Held::default();
        other.set_budget(budget.clone());

        assert!(one.push(Direction::ToServer, item, 200));
        assert!(!one.push(Direction::ToServer, item, 200), "over its own limit");
        assert!(!other.push(Direction::ToClient, item, 200), "over the budget of all");
        assert!(other.push(Direction::ToClient, Item::End, 200));
        assert!(one.has(Direction::ToServer) && !one.has(Direction::ToClient));

        let held = one.pop().unwrap();
        assert!(matches!(held.item(), Item::Record(_, body) if body.len() == 100));
        assert!(one.is_empty());
        one.release(held);
        assert!(other.push(Direction::ToClient, item, 300));
        assert_eq!(other.len(), 2);
        drop((one, other));
        assert_eq!(format!("{budget:?}"), "HoldBudget(300 left)");
    }
}
