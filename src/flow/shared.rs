//! What all flows of a table share.

use super::buffers::Buffers;
use super::history::Histories;
use super::limits::{FlowCounters, FlowLimits};

/// Bounds, counters and memory of one flow table.
pub(super) struct Shared {
    pub(super) limits: FlowLimits,
    pub(super) counters: FlowCounters,
    pub(super) buffers: Buffers,
    pub(super) histories: Histories,
}

impl Shared {
    pub(super) fn new(limits: FlowLimits) -> Self {
        Self {
            limits,
            counters: FlowCounters::default(),
            buffers: Buffers::default(),
            histories: Histories::new(),
        }
    }

    /// Bytes allocated.
    pub(super) const fn memory(&self) -> usize {
        self.buffers.memory() + self.histories.memory()
    }
}
