//! Frames from network interfaces, as they pass.
//!
//! [`LiveCapture`] fills [`Block`](super::Block)s from one or more interfaces, as
//! [`Replay`](super::Replay) does from files. On Linux a block holds a block of a
//! ring that kernel and program share: frames are slices of it, and nothing is
//! copied between the interface's queue and the parsers. Elsewhere, and on Linux if
//! that is asked for, libpcap captures, and its frames are copied into the block.
//! When nothing comes, blocks come without frames, that tell the time.
//!
//! What was lost is counted by the kernel, taken over now and then, and shown by
//! [`LiveStatus`] to whoever watches. An interface that goes away is waited for.

#[cfg(target_os = "linux")]
mod af_packet;
#[cfg(any(target_os = "linux", all(unix, feature = "libpcap")))]
mod bell;
mod error;
#[cfg(target_os = "linux")]
mod fan_out;
#[cfg(target_os = "linux")]
mod frames;
mod interfaces;
#[cfg(all(unix, feature = "libpcap"))]
mod libpcap;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(any(target_os = "linux", all(unix, feature = "libpcap")))]
mod source;
mod status;
#[cfg(any(target_os = "linux", all(unix, feature = "libpcap")))]
mod tap;
#[cfg(not(any(target_os = "linux", all(unix, feature = "libpcap"))))]
mod unsupported;

use std::time::Duration;

pub use self::error::LiveError;
pub use self::interfaces::{Interface, InterfaceAddress, interface, interfaces, link_speed};
#[cfg(target_os = "linux")]
pub(super) use self::ring::Lease;
#[cfg(any(target_os = "linux", all(unix, feature = "libpcap")))]
pub use self::source::LiveCapture;
pub use self::status::{InterfaceCounters, InterfaceState, InterfaceStatus, LiveStatus};
#[cfg(not(any(target_os = "linux", all(unix, feature = "libpcap"))))]
pub use self::unsupported::LiveCapture;
use super::FrameFilter;

/// The most bytes of a frame that are captured where no snap length is given:
/// more than the giant frames that segment offloads make.
pub const MAX_SNAP_LENGTH: u32 = 256 << 10;

/// The smallest ring, in bytes.
pub const MIN_RING: u64 = 8 << 20;

/// What captures frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A ring that kernel and program share; Linux has it.
    Ring,
    /// The library libpcap, if this build has it.
    Libpcap,
}

impl Default for Backend {
    /// What is best on this system.
    fn default() -> Self {
        if cfg!(target_os = "linux") { Self::Ring } else { Self::Libpcap }
    }
}

impl Backend {
    /// Whether it is there.
    ///
    /// # Errors
    /// If this system or this build does not have it.
    pub fn check(self) -> Result<(), LiveError> {
        match self {
            Self::Ring if cfg!(target_os = "linux") => Ok(()),
            Self::Ring => Err(LiveError::NoRing),
            Self::Libpcap if cfg!(all(unix, feature = "libpcap")) => Ok(()),
            Self::Libpcap => Err(LiveError::NoLibpcap),
        }
    }
}

/// Who says when a frame came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeSource {
    /// The kernel, when it got the frame.
    #[default]
    Kernel,
    /// The card, when the frame came over the wire; the kernel for frames of which the
    /// card does not say. The ring has it.
    Hardware,
}

/// How to capture.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// What captures.
    pub backend: Backend,
    /// The most bytes of a frame that are captured.
    pub snap_length: u32,
    /// Bytes of the ring of each interface, or of libpcap's buffer. Workers that share an
    /// interface have a part of it each, of [`MIN_RING`] at least.
    pub ring: u64,
    /// How long frames may wait in the ring for more of them.
    pub block_timeout: Duration,
    /// Who says when frames came.
    pub time_source: TimeSource,
    /// Whether frames for other stations are asked for.
    pub promiscuous: bool,
    /// Frames that are looked at; all, if there is none.
    pub filter: Option<FrameFilter>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            snap_length: MAX_SNAP_LENGTH,
            ring: 64 << 20,
            block_timeout: Duration::from_millis(50),
            time_source: TimeSource::default(),
            promiscuous: true,
            filter: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said_with_the_remedy() {
        let there = cfg!(all(unix, feature = "libpcap"));
        match Backend::Libpcap.check() {
            Ok(()) => assert!(there),
            Err(error) => assert!(error.to_string().contains("--features libpcap") && !there),
        }
        assert_eq!(Backend::Ring.check().is_ok(), cfg!(target_os = "linux"));
    }
}
