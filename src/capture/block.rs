//! A block: a run of captured bytes and where the frames lie in it.
//!
//! The bytes are read from the input straight into the block, and frames are
//! slices of it. A block owns all that its frames need, so a reading thread can
//! fill it and hand it to others.

use std::fmt;
use std::iter::FusedIterator;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::live::Lease;
use super::{Frame, LinkType, Pressure, SourceId};
use crate::time::Timestamp;

/// How many bytes a block holds unless one record alone needs more.
pub const BLOCK_SIZE: usize = 1 << 20;

/// A run of frames of one source, with the bytes that they are slices of.
///
/// Fill it with [`Reader::fill`](super::Reader::fill); a block that is filled
/// again keeps its memory.
#[derive(Default)]
pub struct Block {
    /// All of it is initialised; the first `filled` bytes mean something.
    bytes: Vec<u8>,
    filled: usize,
    frames: Vec<FrameRef>,
    secrets: Vec<Secrets>,
    source: SourceId,
    first_number: u64,
    clock: Option<Duration>,
    pressure: Pressure,
    /// Memory of a ring, which the frames are slices of instead of `bytes`.
    #[cfg(target_os = "linux")]
    lease: Option<Lease>,
}

impl Block {
    /// An empty block; its memory is allocated when it is first filled.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frames in the order of the capture.
    pub fn frames(&self) -> Frames<'_> {
        Frames { block: self, next: 0, end: self.frames.len() }
    }

    /// The frame at `index`, which a worker may have been told instead of the
    /// frame.
    pub fn frame(&self, index: usize) -> Option<Frame<'_>> {
        let frame = self.frames.get(index)?;
        let start = frame.offset as usize;
        Some(Frame {
            number: self.first_number + index as u64,
            time: frame.time,
            link: frame.link,
            source: self.source,
            data: self.captured().get(start..start + frame.len as usize)?,
            original_len: frame.original_len,
        })
    }

    /// The number of the first frame in its source; the others follow it.
    pub fn first_number(&self) -> u64 {
        self.first_number
    }

    /// How many frames there are; a block may hold none.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are no frames; there may be [`Block::secrets`] still.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Where the frames were captured.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Secrets that the capture carries, in its order.
    pub fn secrets(&self) -> &[Secrets] {
        &self.secrets
    }

    /// When the last frame was captured.
    pub fn last_time(&self) -> Option<Timestamp> {
        self.frames.last().map(|frame| frame.time)
    }

    /// What a clock shows that runs along with the capture, from any beginning, and that
    /// nobody sets. The frames of the block were captured before that; if it has none, all
    /// that were have been delivered.
    pub fn clock(&self) -> Option<Duration> {
        self.clock
    }

    /// What is to be left out from this block on.
    pub const fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// Empties the block. Memory that is a ring's goes back to it; the block's own
    /// stays.
    pub fn release(&mut self) {
        self.frames.clear();
        self.secrets.clear();
        self.clock = None;
        self.pressure = Pressure::None;
        #[cfg(target_os = "linux")]
        {
            self.lease = None;
        }
    }

    /// Tells what the clock shows that runs along with the capture.
    pub fn set_clock(&mut self, shows: Duration) {
        self.clock = Some(shows);
    }

    /// Tells what is to be left out.
    pub fn set_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
    }

    /// The memory that the frames are slices of.
    #[cfg(target_os = "linux")]
    fn captured(&self) -> &[u8] {
        self.lease.as_deref().unwrap_or(&self.bytes)
    }

    #[cfg(not(target_os = "linux"))]
    fn captured(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes over a ring's memory; the frames in it are found by `find`.
    #[cfg(target_os = "linux")]
    pub(super) fn hold(&mut self, mut lease: Lease, find: impl FnOnce(&mut [u8], &mut Found<'_>)) {
        find(&mut lease, &mut self.parts().1);
        self.lease = Some(lease);
    }

    /// Whether a frame of so many bytes finds room.
    #[cfg(all(unix, feature = "libpcap"))]
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.filled.saturating_add(bytes) <= BLOCK_SIZE || self.frames.is_empty()
    }

    /// Appends a frame; false if it cannot be.
    #[cfg(all(unix, feature = "libpcap"))]
    pub(super) fn push(
        &mut self,
        time: Timestamp,
        link: LinkType,
        original_len: u32,
        data: &[u8],
    ) -> bool {
        let (Ok(offset), Ok(len)) = (u32::try_from(self.filled), u32::try_from(data.len())) else {
            return false;
        };
        let size = BLOCK_SIZE.max(self.filled + data.len());
        let Some(room) = self.room(size).get_mut(..data.len()) else { return false };
        room.copy_from_slice(data);
        self.advance(data.len());
        self.frames.push(FrameRef { time, offset, len, original_len, link });
        true
    }

    /// Empties the block for the frames of `source` from `first_number` on, and
    /// gives back memory that only a giant record needed.
    pub(super) fn reset(&mut self, source: SourceId, first_number: u64) {
        if self.bytes.len() > BLOCK_SIZE {
            self.bytes.truncate(BLOCK_SIZE);
            self.bytes.shrink_to_fit();
        }
        self.release();
        self.filled = 0;
        self.source = source;
        self.first_number = first_number;
    }

    /// The room up to `size` bytes, to be read into.
    pub(super) fn room(&mut self, size: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            // Pages that are zero already are not written to.
            self.bytes = vec![0; size];
        } else if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        self.bytes.get_mut(self.filled..size).unwrap_or_default()
    }

    /// Takes over the first `len` bytes of the room.
    pub(super) fn advance(&mut self, len: usize) {
        self.filled = (self.filled + len).min(self.bytes.len());
    }

    /// The bytes that were read, and the lists of what is found in them.
    pub(super) fn parts(&mut self) -> (&[u8], Found<'_>) {
        let bytes = self.bytes.get(..self.filled).unwrap_or_default();
        let found = Found {
            frames: &mut self.frames,
            secrets: &mut self.secrets,
            first_number: self.first_number,
        };
        (bytes, found)
    }

    /// The bytes that there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bytes that were read.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("source", &self.source)
            .field("first_number", &self.first_number)
            .field("frames", &self.frames.len())
            .field("bytes", &self.filled)
            .field("secrets", &self.secrets)
            .finish()
    }
}

/// The frames of a block.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    block: &'a Block,
    next: usize,
    end: usize,
}

/// Headers that are fetched at once: another core has written them, and one wait for all
/// is shorter than one for each.
const FETCHED: usize = 16;

/// Bytes of a frame in the cache lines of its headers: a type of the link layer, and flags
/// of TCP.
const IN_HEADERS: [usize; 2] = [12, 47];

impl Frames<'_> {
    /// Looks at the headers of the next frames, all at once.
    #[inline(never)]
    fn fetch(&self) {
        let captured = self.block.captured();
        let mut seen = 0;
        for frame in self.block.frames.iter().skip(self.next).take(FETCHED) {
            for at in IN_HEADERS {
                seen |= captured.get(frame.offset as usize + at).copied().unwrap_or_default();
            }
        }
        std::hint::black_box(seen);
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        if self.next.is_multiple_of(FETCHED) {
            self.fetch();
        }
        let frame = self.block.frame(self.next)?;
        self.next += 1;
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Frames<'_> {}
impl FusedIterator for Frames<'_> {}

impl<'a> IntoIterator for &'a Block {
    type Item = Frame<'a>;
    type IntoIter = Frames<'a>;

    fn into_iter(self) -> Frames<'a> {
        self.frames()
    }
}

/// Secrets that a capture carries: a pcapng Decryption Secrets Block.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The format of `bytes`.
    pub kind: SecretsKind,
    /// The number of the frame that follows them. They may belong to frames
    /// before it as well.
    pub before: u64,
    /// For TLS, lines of an NSS key log file.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Secrets {
    /// Shows how long the secrets are, not what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("kind", &self.kind)
            .field("before", &self.before)
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// The format of secrets, numbered as in the pcapng specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretsKind(pub u32);

impl SecretsKind {
    /// NSS key log, as browsers write with `SSLKEYLOGFILE`.
    pub const TLS_KEY_LOG: Self = Self(0x544c_534b);
    /// WireGuard key log.
    pub const WIREGUARD_KEY_LOG: Self = Self(0x5747_4b4c);
    /// SSH key log.
    pub const SSH_KEY_LOG: Self = Self(0x5353_484b);
}

/// Where a frame lies in its block.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameRef {
    pub(super) time: Timestamp,
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) original_len: u32,
    pub(super) link: LinkType,
}

/// What a format's parser finds in the bytes of a block.
pub(super) struct Found<'a> {
    pub(super) frames: &'a mut Vec<FrameRef>,
    pub(super) secrets: &'a mut Vec<Secrets>,
    first_number: u64,
}

impl Found<'_> {
    /// The number that the next frame will have.
    pub(super) fn next_number(&self) -> u64 {
        self.first_number + self.frames.len() as u64
    }
}
