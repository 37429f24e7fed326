//! What the formats share, and how one is told from its first bytes.

use super::block::{Found, FrameRef};
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::{CaptureCounters, Damage, LinkType, Part};

/// The longest record (pcap) or block (pcapng) that is believed, as in
/// Wireshark.
pub(super) const RECORD_LIMIT: u32 = 16 << 20;

/// How many bytes [`Format::sniff`] looks at.
pub(super) const SNIFF_LEN: usize = 12;

/// The parser of one capture.
#[derive(Debug)]
pub(super) enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl Format {
    /// The format that an input begins like; `head` has [`SNIFF_LEN`] bytes
    /// unless the input is shorter.
    pub(super) fn sniff(head: &[u8]) -> Option<Self> {
        Pcap::sniff(head).map(Self::Pcap).or_else(|| Pcapng::sniff(head).map(Self::Pcapng))
    }

    /// Finds the frames of whole records. `bytes` begins where the previous
    /// call's [`Step::consumed`] bytes ended.
    pub(super) fn parse(
        &mut self,
        bytes: &[u8],
        found: &mut Found<'_>,
        counters: &mut CaptureCounters,
    ) -> Step {
        match self {
            Self::Pcap(pcap) => pcap.parse(bytes, found, counters),
            Self::Pcapng(pcapng) => pcapng.parse(bytes, found, counters),
        }
    }

    /// What an input that ends too early ends in.
    pub(super) fn part(&self) -> Part {
        match self {
            Self::Pcap(pcap) => pcap.part(),
            Self::Pcapng(_) => Part::Block,
        }
    }
}

/// How far a parser got.
#[derive(Debug)]
pub(super) struct Step {
    /// The bytes of whole records.
    pub(super) consumed: usize,
    /// Why it did not go on.
    pub(super) stop: Stop,
}

/// Why a parser did not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// It takes at least so many bytes after the consumed ones.
    Need(usize),
    /// What follows the consumed bytes cannot be read.
    Damage(Damage),
}

impl Step {
    pub(super) fn need(consumed: usize, len: usize) -> Self {
        Self { consumed, stop: Stop::Need(len) }
    }

    pub(super) fn damage(consumed: usize, damage: Damage) -> Self {
        Self { consumed, stop: Stop::Damage(damage) }
    }
}

impl Found<'_> {
    /// Takes over a frame, and counts it.
    #[inline]
    pub(super) fn push(&mut self, mut frame: FrameRef, counters: &mut CaptureCounters) {
        counters.frames += 1;
        counters.bytes += u64::from(frame.len);
        if frame.len != frame.original_len {
            if frame.len < frame.original_len {
                counters.frames_cut += 1;
            } else {
                counters.frames_overlong += 1;
                frame.original_len = frame.len;
            }
        }
        self.frames.push(frame);
    }
}

/// The link type of a number in a file; raw IP is written under three.
pub(super) fn link_type(number: u16) -> LinkType {
    match number {
        // DLT_RAW of most systems and of OpenBSD, written as they are by tools
        // that do not translate them.
        12 | 14 => LinkType::RAW,
        number => LinkType(u32::from(number)),
    }
}
