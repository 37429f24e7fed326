//! Signals and messages in, verdicts and rows out.
//!
//! The observer runs in each shard: it watches the streams of the shard's flows
//! and reports what may be MCP as events. The collector runs once: it joins
//! events to conversations, keeps their verdicts, and writes findings.

mod body;
mod collector;
mod conversation;
mod event;
mod facts;
mod identity;
mod index;
mod names;
mod oauth;
mod observer;
mod pace;
mod redact;
mod rows;
mod values;
mod verdict;
mod view;

pub use body::BodyCounters;
pub(crate) use collector::Collector;
pub use collector::{CollectorCounters, CollectorLimits};
pub(crate) use event::{Event, Order, Phase, Renumbering};
pub(crate) use observer::{FlowState, Observer};
pub use observer::{ObserverCounters, ObserverLimits};
pub use pace::Pace;
pub use rows::FindingOptions;
pub(crate) use rows::RowWriter;
