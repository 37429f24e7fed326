//! Live capture where there is none.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::{Block, Fill, Frame, Spread};
use super::{LiveError, LiveOptions, LiveStatus};

/// A live capture; no value of it exists on this system.
#[derive(Debug)]
pub enum LiveCapture {}

impl LiveCapture {
    /// Always an error.
    pub fn open(
        _names: &[String],
        options: LiveOptions,
        _stop: Arc<AtomicBool>,
    ) -> Result<Self, LiveError> {
        Err(options.backend.check().err().unwrap_or(LiveError::NoLibpcap))
    }

    /// Always an error.
    pub fn open_parts(
        names: &[String],
        options: LiveOptions,
        _spread: &Spread,
        stop: Arc<AtomicBool>,
    ) -> Result<Vec<Self>, LiveError> {
        Self::open(names, options, stop).map(|capture| vec![capture])
    }

    /// Nothing waits.
    pub fn waker(&self) -> Option<Box<dyn Fn() + Send>> {
        match *self {}
    }

    /// Nothing is held.
    pub fn may_hold(&self) -> usize {
        match *self {}
    }

    /// Fills `block` with what comes next.
    pub fn fill(&mut self, _block: &mut Block) -> Fill {
        match *self {}
    }

    /// Whether a frame passes the filter.
    pub fn accepts(&mut self, _frame: &Frame<'_>) -> bool {
        match *self {}
    }

    /// How the capture fares.
    pub fn status(&self) -> LiveStatus {
        match *self {}
    }
}
