//! Frames from network interfaces, as they pass.
//!
//! [`LiveCapture`] fills [`Block`](super::Block)s from the rings of one or more
//! interfaces, as [`Replay`](super::Replay) does from files. On Linux a block
//! holds a block of a ring that kernel and program share: frames are slices of it,
//! and nothing is copied between the interface's queue and the parsers. When
//! nothing comes, blocks come without frames, that tell the time.
//!
//! What was lost is counted by the kernel, taken over now and then, and shown by
//! [`LiveStatus`] to whoever watches. An interface that goes away is waited for.

mod error;
#[cfg(target_os = "linux")]
mod frames;
mod interfaces;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
mod source;
mod status;
#[cfg(not(target_os = "linux"))]
mod unsupported;

use std::time::Duration;

pub use self::error::LiveError;
pub use self::interfaces::{Interface, InterfaceAddress, interface, interfaces};
#[cfg(target_os = "linux")]
pub(super) use self::ring::Lease;
#[cfg(target_os = "linux")]
pub use self::source::LiveCapture;
pub use self::status::{InterfaceCounters, InterfaceState, InterfaceStatus, LiveStatus};
#[cfg(not(target_os = "linux"))]
pub use self::unsupported::LiveCapture;
use super::FrameFilter;

/// The most bytes of a frame that are captured where no snap length is given:
/// more than the giant frames that segment offloads make.
pub const MAX_SNAP_LENGTH: u32 = 256 << 10;

/// The smallest ring, in bytes.
pub const MIN_RING: u64 = 8 << 20;

/// How to capture.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The most bytes of a frame that are captured.
    pub snap_length: u32,
    /// Bytes of the ring of each interface.
    pub ring: u64,
    /// How long frames may wait in the ring for more of them.
    pub block_timeout: Duration,
    /// Whether frames for other stations are asked for.
    pub promiscuous: bool,
    /// Frames that are looked at; all, if there is none.
    pub filter: Option<FrameFilter>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            snap_length: MAX_SNAP_LENGTH,
            ring: 64 << 20,
            block_timeout: Duration::from_millis(50),
            promiscuous: true,
            filter: None,
        }
    }
}
