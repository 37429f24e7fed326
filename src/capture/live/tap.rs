//! The ways in which frames of an interface are captured, behind one face: a ring
//! shared with the kernel (Linux), and libpcap (wherever there is one).

use std::os::fd::{AsFd, BorrowedFd};
#[cfg(target_os = "linux")]
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[cfg(target_os = "linux")]
use super::af_packet::{RingTap, Shared};
#[cfg(target_os = "linux")]
use super::fan_out::FanOut;
use super::interfaces::interface;
#[cfg(feature = "libpcap")]
use super::libpcap::PcapTap;
use super::{Backend, LiveError, LiveOptions};
use crate::capture::{Block, CaptureCounters, SourceId, Spread};

/// What the kernel counted since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KernelCounts {
    /// Frames that came, lost or not.
    pub(super) frames: u64,
    /// Frames for which there was no room.
    pub(super) lost: u64,
    /// How often the ring ran full.
    pub(super) freezes: u64,
}

/// Whether something is wrong with an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Not since it was last asked.
    #[cfg(target_os = "linux")]
    None,
    /// Something happened just now.
    Now,
    /// That is not told; who wants to know must look.
    #[cfg(feature = "libpcap")]
    Unknown,
}

/// What was delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    pub(super) counters: CaptureCounters,
    /// Frames of which the card told when they came.
    pub(super) timed_by_hardware: u64,
}

/// With whom an interface is shared.
#[derive(Clone, Debug, Default)]
pub(super) enum Sharing {
    /// With nobody.
    #[default]
    None,
    /// With others who have a ring each.
    #[cfg(target_os = "linux")]
    Rings(Shared),
}

impl Sharing {
    /// Of one interface, for each worker, where there are rings.
    #[cfg(target_os = "linux")]
    pub(super) fn rings(spread: &Spread) -> Vec<Self> {
        let workers = spread.workers();
        let fan_out = Arc::new(FanOut::new(spread));
        let ring = |worker| Shared { fan_out: Arc::clone(&fan_out), worker, workers };
        (0..workers.get()).map(|worker| Self::Rings(ring(worker))).collect()
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn rings(_spread: &Spread) -> Vec<Self> {
        Vec::new()
    }
}

/// An interface that is captured from.
#[derive(Debug)]
pub(super) enum Tap {
    #[cfg(target_os = "linux")]
    Ring(RingTap),
    #[cfg(feature = "libpcap")]
    Libpcap(Box<PcapTap>),
}

impl Tap {
    /// Sets all up.
    pub(super) fn open(
        name: &str,
        options: &LiveOptions,
        sharing: &Sharing,
    ) -> Result<Self, LiveError> {
        options.backend.check()?;
        let Some(found) = interface(name) else {
            return Err(LiveError::Unknown { name: name.to_owned() });
        };
        if !found.up {
            return Err(LiveError::Down { name: name.to_owned() });
        }
        match options.backend {
            #[cfg(target_os = "linux")]
            Backend::Ring => {
                let shared = match sharing {
                    Sharing::None => None,
                    Sharing::Rings(shared) => Some(shared),
                };
                RingTap::open(name, &found, options, shared).map(Self::Ring)
            }
            #[cfg(not(target_os = "linux"))]
            Backend::Ring => {
                let Sharing::None = sharing;
                Err(LiveError::NoRing)
            }
            #[cfg(feature = "libpcap")]
            Backend::Libpcap => {
                PcapTap::open(name, &found, options).map(Box::new).map(Self::Libpcap)
            }
            #[cfg(not(feature = "libpcap"))]
            Backend::Libpcap => Err(LiveError::NoLibpcap),
        }
    }

    /// From here on frames are received; through libpcap they are since it was opened.
    pub(super) fn start(&self, name: &str) -> Result<(), LiveError> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => tap.start().map_err(|failure| failure.of(name)),
            #[cfg(feature = "libpcap")]
            Self::Libpcap(_) => {
                let _ = name;
                Ok(())
            }
        }
    }

    /// What comes from here on is not wanted; what waits is.
    pub(super) fn stop(&mut self) {
        match self {
            // If it fails, frames come on, and the drain ends when its time is up.
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => drop(tap.ring.stop()),
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => tap.stop(),
        }
    }

    /// Delivers frames that wait, if any do.
    pub(super) fn deliver(
        &mut self,
        block: &mut Block,
        source: SourceId,
        number: u64,
    ) -> Option<Delivered> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => {
                let (lease, link) = tap.take()?;
                let mut delivered = Delivered::default();
                block.reset(source, number);
                block.hold(lease, |bytes, found| {
                    let Delivered { counters, timed_by_hardware } = &mut delivered;
                    *timed_by_hardware = super::frames::find(bytes, link, found, counters);
                });
                Some(delivered)
            }
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => {
                let counters = tap.deliver(block, source, number)?;
                Some(Delivered { counters, timed_by_hardware: 0 })
            }
        }
    }

    /// What the kernel counted since the last call.
    pub(super) fn counts(&mut self) -> KernelCounts {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => tap.ring.counts(),
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => tap.counts(),
        }
    }

    /// How full the room is in which frames wait, in percent.
    pub(super) fn filled(&self) -> usize {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => tap.ring.filled(),
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => tap.filled(),
        }
    }

    /// Blocks of the ring, and those that are lent out; none without a ring.
    pub(super) fn blocks(&self) -> (usize, usize) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => (tap.ring.len(), tap.ring.lent()),
            #[cfg(feature = "libpcap")]
            Self::Libpcap(_) => (0, 0),
        }
    }

    /// Whether something went wrong since the last call.
    pub(super) fn trouble(&mut self) -> Trouble {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) if tap.ring.error().is_some() => Trouble::Now,
            #[cfg(target_os = "linux")]
            Self::Ring(_) => Trouble::None,
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => tap.trouble(),
        }
    }

    /// Whether it must be opened anew before any frame comes again.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(_) => false,
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => tap.is_broken(),
        }
    }

    /// The system's number of the interface.
    pub(super) fn index(&self) -> u32 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => tap.ring.index(),
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => tap.index(),
        }
    }

    /// Whether the filter is to be applied to frames, as the kernel does not.
    pub(super) fn filters_here(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => tap.filters_here,
            #[cfg(feature = "libpcap")]
            Self::Libpcap(_) => false,
        }
    }

    /// Offloads that join frames before they are captured.
    pub(super) fn offloads(&self) -> &[&'static str] {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => &tap.offloads,
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => tap.offloads(),
        }
    }

    /// Why the card does not tell when each frame came, though it was asked to.
    pub(super) fn untimed(&self) -> Option<&str> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => tap.untimed.as_deref(),
            #[cfg(feature = "libpcap")]
            Self::Libpcap(_) => None,
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ring(tap) => tap.ring.as_fd(),
            #[cfg(feature = "libpcap")]
            Self::Libpcap(tap) => tap.as_fd(),
        }
    }
}

/// Waits until frames may wait, an error does, or time is up (less than a second).
pub(super) fn wait<'a>(
    waited_for: impl Iterator<Item = BorrowedFd<'a>>,
    time: Duration,
) -> rustix::io::Result<()> {
    let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    let mut polled: Vec<_> = waited_for.map(readable).collect();
    let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    poll(&mut polled, Some(&time)).map(drop)
}
