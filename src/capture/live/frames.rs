//! A block of a ring in, its frames out, where they lie.
//!
//! The kernel writes a block of version 3 as a head with the number of frames,
//! then for each frame a header (`struct tpacket3_hdr`), the link-layer address,
//! and the bytes, each header telling where the next one is. Nothing is copied,
//! save the twelve bytes of Ethernet addresses before a VLAN tag that is put
//! back.
//!
//! Reading is total: a block that is not as it should be gives the frames before
//! the damage.

use std::mem::offset_of;

use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket_hdr_variant1, tpacket3_hdr};

use crate::capture::block::{Found, FrameRef};
use crate::capture::{CaptureCounters, LinkType};
use crate::time::Timestamp;

const BLOCK_FRAMES: usize =
    offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, num_pkts);
const BLOCK_FIRST: usize =
    offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
const VLAN_TCI: usize =
    offset_of!(tpacket3_hdr, hv1) + offset_of!(tpacket_hdr_variant1, tp_vlan_tci);
const VLAN_TPID: usize =
    offset_of!(tpacket3_hdr, hv1) + offset_of!(tpacket_hdr_variant1, tp_vlan_tpid);

/// Two Ethernet addresses, which stand before a VLAN tag.
const ADDRESSES: usize = 12;

/// A VLAN tag (IEEE 802.1Q).
const TAG: usize = 4;

/// The tag's protocol where the kernel does not tell it.
const DOT1Q: u16 = 0x8100;

/// Set where the time of a frame is the card's.
const HARDWARE_TIME: u32 = libc::TP_STATUS_TS_RAW_HARDWARE | libc::TP_STATUS_TS_SYS_HARDWARE;

/// Finds the frames of a block and puts their VLAN tags back. Of how many of them the
/// card told when they came.
pub(super) fn find(
    block: &mut [u8],
    link: LinkType,
    found: &mut Found<'_>,
    counters: &mut CaptureCounters,
) -> u64 {
    let mut at = word(block, BLOCK_FIRST) as usize;
    let mut timed_by_hardware = 0;
    for _ in 0..word(block, BLOCK_FRAMES) {
        let Some(frame) = frame(block, at, link) else { break };
        let status = word(block, at + offset_of!(tpacket3_hdr, tp_status));
        timed_by_hardware += u64::from(status & HARDWARE_TIME != 0);
        counters.frames += 1;
        counters.bytes += u64::from(frame.len);
        if frame.len < frame.original_len {
            counters.frames_cut += 1;
        }
        found.frames.push(frame);
        match word(block, at + offset_of!(tpacket3_hdr, tp_next_offset)) {
            0 => break,
            next => at = at.saturating_add(next as usize),
        }
    }
    timed_by_hardware
}

/// The frame whose header stands at `at`.
fn frame(block: &mut [u8], at: usize, link: LinkType) -> Option<FrameRef> {
    let field = |offset| word(block, at.saturating_add(offset));
    let seconds = field(offset_of!(tpacket3_hdr, tp_sec));
    let nanos = field(offset_of!(tpacket3_hdr, tp_nsec));
    let mut len = field(offset_of!(tpacket3_hdr, tp_snaplen));
    let mut original_len = field(offset_of!(tpacket3_hdr, tp_len));
    let mut start =
        at.checked_add(usize::from(half(block, at + offset_of!(tpacket3_hdr, tp_mac))))?;
    block.get(start..start.checked_add(len as usize)?)?;
    if link == LinkType::ETHERNET
        && len as usize >= ADDRESSES
        && let Some(tag) = tag(block, at)
    {
        let before = start.checked_sub(TAG)?;
        block.copy_within(start..start + ADDRESSES, before);
        block.get_mut(before + ADDRESSES..start + ADDRESSES)?.copy_from_slice(&tag);
        start = before;
        len += TAG as u32;
        original_len = original_len.saturating_add(TAG as u32);
    }
    Some(FrameRef {
        time: Timestamp::from_parts(seconds.into(), nanos),
        offset: u32::try_from(start).ok()?,
        len,
        original_len,
        link,
    })
}

/// The VLAN tag that the kernel took out of a frame.
fn tag(block: &[u8], at: usize) -> Option<[u8; TAG]> {
    let status = word(block, at + offset_of!(tpacket3_hdr, tp_status));
    // Old kernels do not say that a tag is there; a tag of zeros is not one.
    let tci = word(block, at + VLAN_TCI) as u16;
    if status & libc::TP_STATUS_VLAN_VALID == 0 && tci == 0 {
        return None;
    }
    let tpid = match status & libc::TP_STATUS_VLAN_TPID_VALID {
        0 => DOT1Q,
        _ => half(block, at + VLAN_TPID),
    };
    let ([a, b], [c, d]) = (tpid.to_be_bytes(), tci.to_be_bytes());
    Some([a, b, c, d])
}

fn word(block: &[u8], at: usize) -> u32 {
    let bytes = block.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn half(block: &[u8], at: usize) -> u16 {
    let bytes = block.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u16::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Block, SourceId};

    /// A frame as the kernel would write it.
    struct Written {
        bytes: Vec<u8>,
        original_len: u32,
        /// Status, TCI and TPID.
        vlan: Option<(u32, u16, u16)>,
    }

    impl Written {
        fn plain(bytes: &[u8]) -> Self {
            let original_len = u32::try_from(bytes.len()).unwrap();
            Self { bytes: bytes.to_vec(), original_len, vlan: None }
        }
    }

    fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
        block[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// A block of frames, with times of one second and as many nanoseconds as the
    /// frame's index.
    fn block(frames: &[Written]) -> Vec<u8> {
        const MAC: usize = 96;
        let mut block = vec![0; 4096];
        put(&mut block, BLOCK_FRAMES, &u32::try_from(frames.len()).unwrap().to_ne_bytes());
        let mut at = 48;
        put(&mut block, BLOCK_FIRST, &48_u32.to_ne_bytes());
        for (index, frame) in frames.iter().enumerate() {
            let next = (MAC + frame.bytes.len()).next_multiple_of(16);
            let last = index + 1 == frames.len();
            let words = [
                if last { 0 } else { u32::try_from(next).unwrap() },
                1,
                u32::try_from(index).unwrap(),
                u32::try_from(frame.bytes.len()).unwrap(),
                frame.original_len,
                frame.vlan.map_or(0, |(status, ..)| status),
            ];
            for (field, word) in words.iter().enumerate() {
                put(&mut block, at + 4 * field, &word.to_ne_bytes());
            }
            put(&mut block, at + offset_of!(tpacket3_hdr, tp_mac), &96_u16.to_ne_bytes());
            if let Some((_, tci, tpid)) = frame.vlan {
                put(&mut block, at + VLAN_TCI, &u32::from(tci).to_ne_bytes());
                put(&mut block, at + VLAN_TPID, &tpid.to_ne_bytes());
            }
            put(&mut block, at + MAC, &frame.bytes);
            at += next;
        }
        block
    }

    /// What is found: bytes, original length, nanoseconds.
    fn found(mut bytes: Vec<u8>, link: LinkType) -> (Vec<(Vec<u8>, u32, i64)>, CaptureCounters) {
        let mut refs = Block::new();
        refs.reset(SourceId(0), 1);
        let mut counters = CaptureCounters::default();
        find(&mut bytes, link, &mut refs.parts().1, &mut counters);
        let frames = refs.parts().1.frames.iter().map(|frame| {
            let start = frame.offset as usize;
            let data = bytes[start..start + frame.len as usize].to_vec();
            (data, frame.original_len, frame.time.as_nanos())
        });
        (frames.collect(), counters)
    }

    #[test]
    fn frames_lie_where_the_kernel_wrote_them() {
        let cut = Written { original_len: 1500, ..Written::plain(b"cut") };
        let block = block(&[Written::plain(b"first"), Written::plain(b""), cut]);
        let (frames, counters) = found(block, LinkType::ETHERNET);
        let second = 1_000_000_000;
        let expected = [
            (b"first".to_vec(), 5, second),
            (Vec::new(), 0, second + 1),
            (b"cut".to_vec(), 1500, second + 2),
        ];
        assert_eq!(frames, expected);
        assert_eq!((counters.frames, counters.bytes, counters.frames_cut), (3, 8, 1));
    }

    #[test]
    fn vlan_tags_are_put_back() {
        let bytes = b"\x01\x01\x01\x01\x01\x01\x02\x02\x02\x02\x02\x02\x08\x00payload";
        let valid = libc::TP_STATUS_VLAN_VALID;
        let known = valid | libc::TP_STATUS_VLAN_TPID_VALID;
        let tagged = |status, tci, tpid| Written {
            vlan: Some((status, tci, tpid)),
            ..Written::plain(bytes)
        };
        let cases = [
            (tagged(known, 0x2005, 0x88a8), Some([0x88, 0xa8, 0x20, 0x05])),
            (tagged(valid, 0, 0), Some([0x81, 0, 0, 0])),
            (tagged(0, 7, 0), Some([0x81, 0, 0, 7])),
            (tagged(0, 0, 0x8100), None),
        ];
        for (frame, tag) in cases {
            let mut expected = bytes.to_vec();
            if let Some(tag) = tag {
                expected.splice(12..12, tag);
            }
            let len = u32::try_from(expected.len()).unwrap();
            let block = block(&[frame]);
            let (frames, _) = found(block.clone(), LinkType::ETHERNET);
            assert_eq!(frames, [(expected, len, 1_000_000_000)]);
            let (raw, _) = found(block, LinkType::RAW);
            assert_eq!(raw[0].0, bytes);
        }
    }

    #[test]
    fn times_of_the_card_are_told_from_the_kernels() {
        let stamped = |status| Written { vlan: Some((status, 0, 0)), ..Written::plain(b"frame") };
        let (card, old) = (libc::TP_STATUS_TS_RAW_HARDWARE, libc::TP_STATUS_TS_SYS_HARDWARE);
        let mut bytes = block(&[card, libc::TP_STATUS_TS_SOFTWARE, 0, old].map(stamped));
        let mut refs = Block::new();
        let mut counters = CaptureCounters::default();
        let by_hardware = find(&mut bytes, LinkType::RAW, &mut refs.parts().1, &mut counters);
        assert_eq!((by_hardware, counters.frames), (2, 4));
    }

    #[test]
    fn any_bytes_give_frames_within_the_block() {
        let whole = block(&[Written::plain(b"first"), Written::plain(b"second")]);
        for at in 0..256 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let (frames, _) = found(damaged, LinkType::ETHERNET);
                assert!(frames.len() <= 2);
            }
        }
        for len in 0..whole.len() {
            found(whole[..len].to_vec(), LinkType::ETHERNET);
        }
    }
}
