//! Frames from capture files and streams.
//!
//! Bytes of a file, a pipe or standard input flow in; [`Block`]s of [`Frame`]s
//! come out. The way:
//!
//! 1. [`Inputs::expand`] finds the captures that paths name, and their order.
//! 2. [`Replay`] reads them one after another; [`Reader`] reads one.
//! 3. Bytes are decompressed where they begin like gzip or Zstandard, and read
//!    straight into a [`Block`], in which the records of the format are found:
//!    pcap (draft-ietf-opsawg-pcap) or pcapng (draft-ietf-opsawg-pcapng).
//! 4. Frames are slices of the block. A block owns its bytes and is [`Send`] and
//!    [`Sync`]: one thread reads, others work. Handed back and filled again, it
//!    costs no allocation.
//!
//! Reading is total: any bytes give frames and then, perhaps, one [`Error`] that
//! tells where and what the damage is. Memory is bounded by the longest record
//! that is believed (16 MiB) for each block, and the decoder's window.
//!
//! [`FrameFilter`] keeps frames that a BPF expression is true of;
//! [`PcapWriter`] and [`PcapngWriter`] write captures.

mod ahead;
mod block;
mod bytes;
mod counters;
mod error;
mod filter;
mod format;
mod frame;
mod inputs;
pub mod live;
mod order;
mod pcap;
mod pcapng;
mod pressure;
mod reader;
mod replay;
mod spread;
#[cfg(test)]
mod testing;
mod write;

pub use ahead::ReadAhead;
pub use block::{BLOCK_SIZE, Block, Frames, Secrets, SecretsKind};
pub use counters::CaptureCounters;
pub use error::{Codec, Damage, Error, Part, Unreadable};
pub use filter::{FilterError, FrameFilter};
pub use frame::{Frame, LinkType, SourceId};
pub use inputs::Inputs;
pub use pressure::Pressure;
pub use reader::{Fill, Reader};
pub use replay::{Progress, Replay};
pub use spread::Spread;
pub use write::{PcapWriter, PcapngWriter, Precision};
