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

impl InterfaceStatus {
    /// Adds what another part of a capture shows of the same interface. All parts see it
    /// come and go.
    fn add(&mut self, part: &Self) {
        let InterfaceCounters { downs, reopened, .. } = self.counters;
        self.counters.merge(&part.counters);
        self.counters.downs = downs;
        self.counters.reopened = reopened;
        self.ring_blocks += part.ring_blocks;
        self.ring_blocks_used += part.ring_blocks_used;
    }
}

/// How all interfaces fare. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct LiveStatus(Arc<Mutex<Vec<Shown>>>);

/// What a part of a capture shows.
#[derive(Debug, Default)]
struct Shown {
    interfaces: Vec<InterfaceStatus>,
    capture: CaptureCounters,
    pressure: Pressure,
}

impl LiveStatus {
    /// The interfaces in the order they were named.
    pub fn interfaces(&self) -> Vec<InterfaceStatus> {
        let parts = self.lock();
        let Some((first, others)) = parts.split_first() else { return Vec::new() };
        let mut interfaces = first.interfaces.clone();
        for part in others {
            let pairs = interfaces.iter_mut().zip(&part.interfaces);
            pairs.for_each(|(sum, part)| sum.add(part));
        }
        interfaces
    }

    /// What was read over all of them.
    pub fn counters(&self) -> CaptureCounters {
        let mut sum = CaptureCounters::default();
        let parts = self.lock();
        parts.iter().for_each(|part| sum.merge(&part.capture));
        // All parts have the same inputs.
        sum.inputs = parts.first().map_or(0, |part| part.capture.inputs);
        sum
    }

    /// What is left out now, as workers cannot follow: by the one who follows worst.
    pub fn pressure(&self) -> Pressure {
        self.lock().iter().map(|part| part.pressure).max().unwrap_or_default()
    }

    #[cfg(any(target_os = "linux", all(unix, feature = "libpcap")))]
    pub(super) fn show(
        &self,
        part: usize,
        interfaces: Vec<InterfaceStatus>,
        capture: CaptureCounters,
        pressure: Pressure,
    ) {
        let mut parts = self.lock();
        if parts.len() <= part {
            parts.resize_with(part + 1, Shown::default);
        }
        if let Some(shown) = parts.get_mut(part) {
            *shown = Shown { interfaces, capture, pressure };
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Shown>> {
        // What is shown is replaced as a whole, so it is whole after a panic too.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
