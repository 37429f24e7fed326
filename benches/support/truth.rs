//! What a capture holds, as its generator knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The MCP of a capture, and its measures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Truth {
    pub(crate) frames: u64,
    /// Of the frames, without the headers of the capture format.
    pub(crate) bytes: u64,
    pub(crate) conversations: u64,
    pub(crate) methods: BTreeMap<String, Count>,
    pub(crate) servers: BTreeSet<IpAddr>,
}

/// Messages of one method, both directions: requests or notifications, results,
/// errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) responses: u64,
    pub(crate) errors: u64,
}

impl Truth {
    pub(crate) fn method(&mut self, method: &str) -> &mut Count {
        self.methods.entry(method.to_owned()).or_default()
    }

    pub(crate) fn messages(&self) -> u64 {
        self.methods.values().map(|count| count.requests + count.responses + count.errors).sum()
    }
}
