//! The pcapng format: blocks, in sections that each have their own byte order
//! and interfaces (draft-ietf-opsawg-pcapng).
//!
//! Frames come from Enhanced, Simple and obsolete Packet Blocks, secrets from
//! Decryption Secrets Blocks, losses from Interface Statistics Blocks. Blocks
//! of other types are skipped. The parser is this crate's own because it must
//! neither allocate for a packet with options nor lose the place of a damaged
//! block.

use super::block::{Found, FrameRef};
use super::format::{RECORD_LIMIT, Step, link_type};
use super::order::Order;
use super::{CaptureCounters, Damage, LinkType, Part, Secrets, SecretsKind};
use crate::time::Timestamp;

/// Block types.
mod kind {
    pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const INTERFACE_STATISTICS: u32 = 5;
    pub(super) const ENHANCED_PACKET: u32 = 6;
    pub(super) const DECRYPTION_SECRETS: u32 = 10;
}

/// Option codes.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const IF_TSOFFSET: u16 = 14;
    pub(super) const ISB_IFDROP: u16 = 5;
    pub(super) const ISB_OSDROP: u16 = 7;
}

/// Type, length, and length again at the end.
const BLOCK_MIN: u32 = 12;
const INTERFACES_MAX: usize = 1 << 16;

/// The parser of one pcapng file.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// The time of the last frame that has one.
    time: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snap_length: u32,
    clock: Clock,
    /// Frames lost, according to the last statistics.
    lost: u64,
}

impl Pcapng {
    /// A parser if `head` begins like a pcapng file.
    pub(super) fn sniff(head: &[u8]) -> Option<Self> {
        if head.first_chunk()? != &kind::SECTION_HEADER.to_be_bytes() {
            return None;
        }
        let order = match head.get(8..12) {
            Some(magic) => byte_order(magic).ok()?,
            None => Order::Little,
        };
        Some(Self { order, interfaces: Vec::new(), time: Timestamp::default() })
    }

    /// Reads on at the first of `bytes`.
    pub(super) fn parse(
        &mut self,
        bytes: &[u8],
        found: &mut Found<'_>,
        counters: &mut CaptureCounters,
    ) -> Step {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(head) = rest.first_chunk::<{ BLOCK_MIN as usize }>() else {
                return Step::need(at, BLOCK_MIN as usize);
            };
            let len = match self.block_len(head) {
                Ok(len) => len as usize,
                Err(damage) => return Step::damage(at, damage),
            };
            let Some(block) = rest.get(..len) else {
                return Step::need(at, len);
            };
            if let Err(damage) = self.block(block, at, found, counters) {
                return Step::damage(at, damage);
            }
            at += len;
        }
    }

    /// The length of the block that begins with `head`. A section header
    /// switches the byte order.
    fn block_len(&mut self, head: &[u8; BLOCK_MIN as usize]) -> Result<u32, Damage> {
        if self.order.u32(head, 0) == kind::SECTION_HEADER {
            self.order = byte_order(&head[8..])?;
        }
        let len = self.order.u32(head, 4);
        if len < BLOCK_MIN || !len.is_multiple_of(4) {
            return Err(Damage::BlockLength(len));
        }
        if len > RECORD_LIMIT {
            let (length, limit) = (u64::from(len), u64::from(RECORD_LIMIT));
            return Err(Damage::Oversized { part: Part::Block, length, limit });
        }
        Ok(len)
    }

    /// Reads a whole block, which lies `at` bytes into `found`'s block.
    fn block(
        &mut self,
        block: &[u8],
        at: usize,
        found: &mut Found<'_>,
        counters: &mut CaptureCounters,
    ) -> Result<(), Damage> {
        let (begin, end) = (self.order.u32(block, 4), self.order.u32(block, block.len() - 4));
        if begin != end {
            return Err(Damage::BlockEnd { begin, end });
        }
        let kind = self.order.u32(block, 0);
        let body = block.get(8..block.len() - 4).unwrap_or_default();
        match kind {
            kind::ENHANCED_PACKET | kind::PACKET => {
                let frame = self.packet(kind, body, at)?;
                self.time = frame.time;
                found.push(frame, counters);
            }
            kind::SIMPLE_PACKET => {
                let frame = self.simple_packet(body, at)?;
                counters.frames_untimed += 1;
                found.push(frame, counters);
            }
            kind::DECRYPTION_SECRETS => {
                let before = found.next_number();
                let secrets = self.secrets(body, before);
                found.secrets.push(secrets.ok_or(Damage::BlockFields { kind })?);
                counters.secrets += 1;
            }
            kind::SECTION_HEADER => {
                self.section(body)?;
                counters.blocks_skipped += 1;
            }
            kind::INTERFACE => {
                self.interface(body)?;
                counters.blocks_skipped += 1;
            }
            kind::INTERFACE_STATISTICS => {
                counters.frames_lost += self.statistics(body).unwrap_or(0);
                counters.blocks_skipped += 1;
            }
            _ => counters.blocks_skipped += 1,
        }
        Ok(())
    }

    /// A section begins: interfaces are numbered anew. Its length is not needed.
    fn section(&mut self, body: &[u8]) -> Result<(), Damage> {
        if body.len() < 16 {
            return Err(Damage::BlockFields { kind: kind::SECTION_HEADER });
        }
        let (major, minor) = (self.order.u16(body, 4), self.order.u16(body, 6));
        if major != 1 {
            return Err(Damage::Version { major, minor });
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), Damage> {
        let short = || Damage::BlockFields { kind: kind::INTERFACE };
        let (fields, options) = body.split_at_checked(8).ok_or_else(short)?;
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(Damage::TooManyInterfaces(INTERFACES_MAX));
        }
        let mut clock = Clock::default();
        for option in (Options { order: self.order, bytes: options }) {
            // Wrong times would be worse than none, so these must be valid.
            match option.ok_or_else(short)? {
                (option::IF_TSRESOL, &[resolution]) => clock.scale = Scale::new(resolution),
                (option::IF_TSOFFSET, value) if value.len() == 8 => {
                    clock.offset = self.order.u64(value, 0) as i64;
                }
                (option::IF_TSRESOL | option::IF_TSOFFSET, _) => return Err(short()),
                _ => {}
            }
        }
        self.interfaces.push(Interface {
            link: link_type(self.order.u16(fields, 0)),
            snap_length: self.order.u32(fields, 4),
            clock,
            lost: 0,
        });
        Ok(())
    }

    /// An Enhanced Packet Block, or the obsolete Packet Block: the same, but
    /// for a count of drops that takes half of the interface's field.
    #[inline]
    fn packet(&self, kind: u32, body: &[u8], at: usize) -> Result<FrameRef, Damage> {
        let short = || Damage::BlockFields { kind };
        let (fields, data) = body.split_at_checked(20).ok_or_else(short)?;
        let len = self.order.u32(fields, 12);
        if len as usize > data.len() {
            return Err(short());
        }
        let interface = match kind {
            kind::PACKET => u32::from(self.order.u16(fields, 0)),
            _ => self.order.u32(fields, 0),
        };
        let interface_ref = self.described(interface)?;
        let ticks =
            u64::from(self.order.u32(fields, 4)) << 32 | u64::from(self.order.u32(fields, 8));
        Ok(FrameRef {
            time: interface_ref.clock.time(ticks),
            offset: (at + 28) as u32,
            len,
            original_len: self.order.u32(fields, 16),
            link: interface_ref.link,
        })
    }

    /// A packet of the first interface, without a time: the time of the frame
    /// before it keeps the order.
    fn simple_packet(&self, body: &[u8], at: usize) -> Result<FrameRef, Damage> {
        let short = || Damage::BlockFields { kind: kind::SIMPLE_PACKET };
        let (fields, data) = body.split_at_checked(4).ok_or_else(short)?;
        let interface = self.described(0)?;
        let original_len = self.order.u32(fields, 0);
        let len = match interface.snap_length {
            0 => original_len,
            snap_length => original_len.min(snap_length),
        };
        if len as usize > data.len() {
            return Err(short());
        }
        let offset = (at + 12) as u32;
        Ok(FrameRef { time: self.time, offset, len, original_len, link: interface.link })
    }

    fn secrets(&self, body: &[u8], before: u64) -> Option<Secrets> {
        let (fields, padded) = body.split_at_checked(8)?;
        let kind = SecretsKind(self.order.u32(fields, 0));
        let bytes = padded.get(..self.order.u32(fields, 4) as usize)?.to_vec();
        Some(Secrets { kind, before, bytes })
    }

    /// How many frames more were lost than the interface's last statistics
    /// said: they count from the start of the capture.
    fn statistics(&mut self, body: &[u8]) -> Option<u64> {
        let (order, options) = (self.order, body.get(12..)?);
        let interface = self.interfaces.get_mut(order.u32(body, 0) as usize)?;
        let lost = Options { order, bytes: options }
            .map_while(|option| option)
            .filter(|(code, value)| {
                matches!(*code, option::ISB_IFDROP | option::ISB_OSDROP) && value.len() == 8
            })
            // What no capture loses is not believed, so that sums stay sums.
            .map(|(_, value)| order.u64(value, 0).min(u64::from(u32::MAX)))
            .sum::<u64>();
        let more = lost.saturating_sub(interface.lost);
        interface.lost = interface.lost.max(lost);
        Some(more)
    }

    fn described(&self, interface: u32) -> Result<&Interface, Damage> {
        self.interfaces.get(interface as usize).ok_or(Damage::UnknownInterface(interface))
    }
}

/// The byte order that a section header's magic tells.
fn byte_order(magic: &[u8]) -> Result<Order, Damage> {
    match Order::Big.u32(magic, 0) {
        0x1a2b_3c4d => Ok(Order::Big),
        0x4d3c_2b1a => Ok(Order::Little),
        other => Err(Damage::ByteOrder(other)),
    }
}

/// How an interface's times are to be read.
#[derive(Clone, Copy, Debug)]
struct Clock {
    scale: Scale,
    /// Seconds to be added.
    offset: i64,
}

/// From ticks to nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// A tick is so many nanoseconds.
    Times(u64),
    /// So many ticks are a nanosecond.
    Over(u64),
    /// A tick is 2^-n seconds.
    Binary(u32),
}

impl Default for Clock {
    /// Microseconds since the epoch.
    fn default() -> Self {
        Self { scale: Scale::Times(1_000), offset: 0 }
    }
}

impl Clock {
    /// The time of `ticks`, saturating at the ends.
    #[inline]
    fn time(self, ticks: u64) -> Timestamp {
        let nanos = i64::try_from(self.scale.nanos(ticks)).unwrap_or(i64::MAX);
        Timestamp::from_nanos(self.offset.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

impl Scale {
    /// From `if_tsresol`: a negative power of ten or, with the top bit, of two.
    fn new(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        match exponent {
            _ if resolution & 0x80 != 0 => Self::Binary(exponent),
            0..=9 => Self::Times(10u64.pow(9 - exponent)),
            // From 10^20 ticks on, no count of ticks reaches a nanosecond.
            _ => Self::Over(10u64.checked_pow(exponent - 9).unwrap_or(u64::MAX)),
        }
    }

    #[inline]
    fn nanos(self, ticks: u64) -> u64 {
        match self {
            Self::Times(factor) => ticks.saturating_mul(factor),
            Self::Over(divisor) => ticks / divisor,
            Self::Binary(exponent) => {
                let nanos = (u128::from(ticks) * 1_000_000_000) >> exponent;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        }
    }
}

/// The options of a block: code and value; `None` once where they are
/// malformed, and nothing after it.
struct Options<'a> {
    order: Order,
    bytes: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let option = self.split();
        match option {
            Some((option::END, _)) => return None,
            Some(_) => {}
            None => self.bytes = &[],
        }
        Some(option)
    }
}

impl<'a> Options<'a> {
    fn split(&mut self) -> Option<(u16, &'a [u8])> {
        let (fields, rest) = self.bytes.split_at_checked(4)?;
        let len = usize::from(self.order.u16(fields, 2));
        let value = rest.get(..len)?;
        self.bytes = rest.get(len.next_multiple_of(4)..)?;
        Some((self.order.u16(fields, 0), value))
    }
}

#[cfg(test)]
mod tests;
