//! How often findings may come: what a sensor that runs for months says of the same
//! conversation, or of the same client and server, without end.
//!
//! Time is that of packets, so that the same packets give the same rows.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::time::Duration;

use super::conversation::Conversation;
use crate::findings::Kind;
use crate::time::Timestamp;

/// Time in which repeats are counted.
const WINDOW: Duration = Duration::from_secs(600);

/// Sorts of rows that are counted at once; what is beyond is not limited.
const MAX_SORTS: usize = 65_536;

/// How often findings may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Conversations with news are summed up so often; never while they go on if there
    /// is no such time.
    pub summary_interval: Option<Duration>,
    /// Rows of messages in a second of one conversation.
    pub messages: Option<u32>,
    /// Detections of one confidence, or threats of one signature, between the same
    /// client and server in ten minutes.
    pub repeats: Option<u32>,
}

/// Rows of messages in the second that the last one came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MessageRate {
    second: i64,
    count: u32,
}

impl MessageRate {
    /// Whether a row at that time is within the limit.
    pub(super) fn admits(&mut self, at: Timestamp, limit: Option<u32>) -> bool {
        let Some(limit) = limit else { return true };
        let second = at.as_nanos().div_euclid(1_000_000_000);
        if second != self.second {
            *self = Self { second, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= limit
    }
}

/// Counts rows that say the same of the same client and server.
#[derive(Debug)]
pub(super) struct Repeats {
    limit: Option<u32>,
    begun: Timestamp,
    counts: HashMap<u64, u32>,
    hasher: foldhash::fast::FixedState,
    left_out: u64,
}

impl Repeats {
    pub(super) fn new(limit: Option<u32>) -> Self {
        Self {
            limit,
            begun: Timestamp::MIN,
            counts: HashMap::new(),
            hasher: foldhash::fast::FixedState::default(),
            left_out: 0,
        }
    }

    /// Whether a row of that kind that says `what` is within the limit.
    pub(super) fn admits(
        &mut self,
        kind: Kind,
        what: &str,
        conversation: &Conversation,
        at: Timestamp,
    ) -> bool {
        let Some(limit) = self.limit else { return true };
        // The clock may have been set back.
        if at.since(self.begun) >= WINDOW || self.begun.since(at) >= WINDOW {
            self.begun = at;
            self.counts.clear();
        }
        let flow = &conversation.origin;
        let host = conversation.http.host.as_deref();
        let sort = (kind.as_str(), what, flow.client.ip(), flow.server, host);
        let sort = self.hasher.hash_one(sort);
        if self.counts.len() >= MAX_SORTS && !self.counts.contains_key(&sort) {
            return true;
        }
        let count = self.counts.entry(sort).or_default();
        *count = count.saturating_add(1);
        let admitted = *count <= limit;
        self.left_out += u64::from(!admitted);
        admitted
    }

    /// Rows that were beyond the limit.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }
}
