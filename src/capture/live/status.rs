//! How a live capture fares: for statistics, metrics and warnings, in whatever
//! thread.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::{CaptureCounters, Pressure};

crate::counters! {
    /// What came over one interface.
    pub struct InterfaceCounters {
        /// Frames that came and passed the filter, as the kernel counts them.
        received,
        /// Frames that were read.
        frames,
        /// Captured bytes of these.
        bytes,
        /// Frames lost because the ring was full.
        lost,
        /// Frames of which the card told when they came.
        timed_by_hardware,
        /// Frames of which the kernel did.
        timed_by_kernel,
        /// How often the ring ran full.
        ring_full,
        /// How often the interface went down.
        downs,
        /// How often the interface went away and was opened anew.
        reopened,
    }
}

/// Whether an interface can be captured from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterfaceState {
    /// It can.
    #[default]
    Up,
    /// It is down; when it comes up, capture goes on by itself.
    Down,
    /// It is gone, and looked for every second.
    Gone,
}

impl InterfaceState {
    /// The state in a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Gone => "gone",
        }
    }
}

/// How one interface fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// The interface.
    pub name: String,
    /// Whether it can be captured from.
    pub state: InterfaceState,
    /// What came over it.
    pub counters: InterfaceCounters,
    /// Blocks of its ring.
    pub ring_blocks: u64,
    /// Blocks of its ring that are being worked on.
    pub ring_blocks_used: u64,
    /// Its offloads that join frames before they are captured, as ethtool calls
    /// them.
    pub offloads: Vec<&'static str>,
    /// Why its card does not tell when each frame came, though it was asked to.
    pub untimed: Option<String>,
}

/// How all interfaces fare. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct LiveStatus(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    interfaces: Vec<InterfaceStatus>,
    capture: CaptureCounters,
    pressure: Pressure,
}

impl LiveStatus {
    /// The interfaces in the order they were named.
    pub fn interfaces(&self) -> Vec<InterfaceStatus> {
        self.lock().interfaces.clone()
    }

    /// What was read over all of them.
    pub fn counters(&self) -> CaptureCounters {
        self.lock().capture
    }

    /// What is left out now, as the workers cannot follow.
    pub fn pressure(&self) -> Pressure {
        self.lock().pressure
    }

    #[cfg(any(target_os = "linux", all(unix, feature = "libpcap")))]
    pub(super) fn show(
        &self,
        interfaces: Vec<InterfaceStatus>,
        capture: CaptureCounters,
        pressure: Pressure,
    ) {
        *self.lock() = Shown { interfaces, capture, pressure };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shown> {
        // What is shown is replaced as a whole, so it is whole after a panic too.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
