//! The pcap format: a file header, then records.
//!
//! Read are both byte orders, micro- and nanosecond files, and the "modified"
//! records of Alexey Kuznetzov's libpcap (draft-ietf-opsawg-pcap and
//! pcap-savefile(5)).

use super::block::{Found, FrameRef};
use super::format::{RECORD_LIMIT, Step, link_type};
use super::order::Order;
use super::{CaptureCounters, Damage, LinkType, Part};
use crate::time::Timestamp;

const FILE_HEADER: usize = 24;

/// A packet is believed to be this long even where the file claims a smaller
/// snap length, as libpcap does.
const PACKET_LIMIT: u32 = 256 << 10;

/// The parser of one pcap file.
#[derive(Debug)]
pub(super) struct Pcap {
    variant: Variant,
    header: Option<FileHeader>,
}

/// What the magic number tells.
#[derive(Clone, Copy, Debug)]
struct Variant {
    order: Order,
    /// Nanoseconds per unit of a time's fraction.
    unit: u32,
    /// Length of a record header.
    record_header: usize,
}

/// What the rest of the file header tells.
#[derive(Clone, Copy, Debug)]
struct FileHeader {
    link: LinkType,
    packet_limit: u32,
}

impl Pcap {
    /// A parser if `head` begins like a pcap file.
    pub(super) fn sniff(head: &[u8]) -> Option<Self> {
        let magic = head.first_chunk::<4>()?;
        let (order, unit, record_header) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, 1_000, 16),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, 1_000, 16),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, 1, 16),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, 1, 16),
            [0x34, 0xcd, 0xb2, 0xa1] => (Order::Little, 1_000, 24),
            [0xa1, 0xb2, 0xcd, 0x34] => (Order::Big, 1_000, 24),
            _ => return None,
        };
        Some(Self { variant: Variant { order, unit, record_header }, header: None })
    }

    /// Reads on at the first of `bytes`.
    pub(super) fn parse(
        &mut self,
        bytes: &[u8],
        found: &mut Found<'_>,
        counters: &mut CaptureCounters,
    ) -> Step {
        let Some(header) = self.header else {
            let Some(fields) = bytes.get(..FILE_HEADER) else {
                return Step::need(0, FILE_HEADER);
            };
            return match self.variant.file_header(fields) {
                Ok(header) => {
                    self.header = Some(header);
                    self.variant.records(header, bytes, FILE_HEADER, found, counters)
                }
                Err(damage) => Step::damage(0, damage),
            };
        };
        self.variant.records(header, bytes, 0, found, counters)
    }

    /// What a file that ends too early ends in.
    pub(super) fn part(&self) -> Part {
        if self.header.is_some() { Part::Record } else { Part::FileHeader }
    }
}

impl Variant {
    fn file_header(self, fields: &[u8]) -> Result<FileHeader, Damage> {
        let (major, minor) = (self.order.u16(fields, 4), self.order.u16(fields, 6));
        if major != 2 {
            return Err(Damage::Version { major, minor });
        }
        let snap_length = self.order.u32(fields, 16);
        Ok(FileHeader {
            // The upper half tells the length of frame check sequences.
            link: link_type(self.order.u32(fields, 20) as u16),
            packet_limit: snap_length.clamp(PACKET_LIMIT, RECORD_LIMIT - 24),
        })
    }

    fn records(
        self,
        header: FileHeader,
        bytes: &[u8],
        start: usize,
        found: &mut Found<'_>,
        counters: &mut CaptureCounters,
    ) -> Step {
        let mut at = start;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((fields, data)) = rest.split_at_checked(self.record_header) else {
                return Step::need(at, self.record_header);
            };
            let len = self.order.u32(fields, 8);
            if len > header.packet_limit {
                let (length, limit) = (u64::from(len), u64::from(header.packet_limit));
                return Step::damage(at, Damage::Oversized { part: Part::Record, length, limit });
            }
            let record_len = self.record_header + len as usize;
            if len as usize > data.len() {
                return Step::need(at, record_len);
            }
            let frame = FrameRef {
                time: self.time(fields),
                offset: (at + self.record_header) as u32,
                len,
                original_len: self.order.u32(fields, 12),
                link: header.link,
            };
            found.push(frame, counters);
            at += record_len;
        }
    }

    /// Seconds and fraction are unsigned; a fraction of more than a second is
    /// added as it is.
    fn time(self, fields: &[u8]) -> Timestamp {
        let seconds = i64::from(self.order.u32(fields, 0));
        let fraction = i64::from(self.order.u32(fields, 4)) * i64::from(self.unit);
        Timestamp::from_nanos(seconds * 1_000_000_000 + fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fields, read};
    use super::*;

    const MICROS: u32 = 0xa1b2_c3d4;
    const NANOS: u32 = 0xa1b2_3c4d;
    const MODIFIED: u32 = 0xa1b2_cd34;

    fn file(order: Order, magic: u32, snap_length: u32, network: u32) -> Fields {
        let versions = Fields::new(order).u32(magic).u16(2).u16(4);
        versions.u64(0).u32(snap_length).u32(network)
    }

    fn record(file: Fields, seconds: u32, fraction: u32, lens: (u32, u32), data: &[u8]) -> Fields {
        file.u32(seconds).u32(fraction).u32(lens.0).u32(lens.1).raw(data)
    }

    #[test]
    fn every_variant_in_both_orders() {
        for order in [Order::Little, Order::Big] {
            for (magic, unit) in [(MICROS, 1_000), (NANOS, 1), (MODIFIED, 1_000)] {
                let mut fields = file(order, magic, 65_535, 113);
                for (seconds, data) in [(1, &b"one"[..]), (2, b""), (3, b"three")] {
                    let lens = (data.len() as u32, data.len() as u32 + 7);
                    fields = match magic {
                        // Interface index, protocol and packet type follow.
                        MODIFIED => record(fields, seconds, 4, lens, &[9; 8]).raw(data),
                        _ => record(fields, seconds, 4, lens, data),
                    };
                }
                let reading = read(&fields.bytes);
                assert_eq!(reading.error_text(), "", "{order:?} {magic:x}");
                assert_eq!(reading.data(), [&b"one"[..], b"", b"three"]);
                for (index, frame) in reading.frames.iter().enumerate() {
                    assert_eq!(frame.number, index as u64 + 1);
                    assert_eq!(frame.nanos, (index as i64 + 1) * 1_000_000_000 + 4 * unit);
                    assert_eq!(frame.link, LinkType::LINUX_SLL);
                    assert_eq!(frame.original_len, frame.data.len() as u32 + 7);
                }
                assert_eq!(reading.counters.frames_cut, 3);
                assert_eq!(reading.counters.bytes, 8);
            }
        }
    }

    #[test]
    fn the_link_type_is_the_lower_half_and_raw_ip_has_three_numbers() {
        for (network, link) in [
            (0x2400_0001, LinkType::ETHERNET),
            (12, LinkType::RAW),
            (14, LinkType::RAW),
            (101, LinkType::RAW),
            (0xffff, LinkType(0xffff)),
        ] {
            let fields = record(file(Order::Big, MICROS, 0, network), 0, 0, (1, 1), b"x");
            assert_eq!(read(&fields.bytes).frames[0].link, link);
        }
    }

    #[test]
    fn absurd_times_are_times() {
        for (seconds, fraction, nanos) in [
            (u32::MAX, u32::MAX, 4_294_967_295_000_000_000 + 4_294_967_295_000),
            (0, 2_000_000, 2_000_000_000),
            (0, 0, 0),
        ] {
            let file = file(Order::Little, MICROS, 0, 1);
            let fields = record(file, seconds, fraction, (1, 1), b"x");
            assert_eq!(read(&fields.bytes).frames[0].nanos, nanos);
        }
    }

    #[test]
    fn a_frame_longer_than_on_the_wire_is_counted_and_kept() {
        let fields = record(file(Order::Little, MICROS, 0, 1), 0, 0, (3, 1), b"abc");
        let reading = read(&fields.bytes);
        assert_eq!(reading.data(), [b"abc"]);
        assert_eq!(reading.frames[0].original_len, 3);
        assert_eq!((reading.counters.frames_overlong, reading.counters.frames_cut), (1, 0));
    }

    #[test]
    fn an_impossible_length_is_damage_after_the_frames_before_it() {
        for (snap_length, len, limit) in
            [(96, 262_145, 262_144), (u32::MAX, u32::MAX, 16_777_192), (400_000, 400_001, 400_000)]
        {
            let good = record(file(Order::Little, MICROS, snap_length, 1), 0, 0, (2, 2), b"ok");
            let bad = record(good, 0, 0, (len, len), &[0; 50]);
            let reading = read(&bad.bytes);
            assert_eq!(reading.data(), [b"ok"]);
            assert_eq!(
                reading.error_text(),
                format!(
                    "damaged at byte 42: a packet record claims {len} bytes, \
                     more than the {limit} that are allowed"
                )
            );
            assert_eq!(reading.counters.inputs_damaged, 1);
        }
    }

    #[test]
    fn another_major_version_is_damage() {
        let mut bytes = file(Order::Little, MICROS, 0, 1).bytes;
        bytes[4] = 3;
        let text = "damaged at byte 0: unknown version 3.4 of the capture format";
        assert_eq!(read(&bytes).error_text(), text);
    }
}
