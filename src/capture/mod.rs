//! Frames from files and interfaces.

mod frame;

pub use frame::{Frame, LinkType, SourceId};
