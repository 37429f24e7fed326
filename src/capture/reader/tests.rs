use std::io::{self, Cursor};

use super::super::testing::{Dribble, Random, Reading, gzip, read, read_from, zstd};
use super::super::{
    Codec, LinkType, Part, PcapWriter, PcapngWriter, Precision, SecretsKind, block::BLOCK_SIZE,
};
use super::*;
use crate::time::Timestamp;

/// A pcap file with `count` frames of random length up to `longest`.
fn pcap(seed: u64, count: i64, longest: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut writer = PcapWriter::new(Vec::new(), LinkType::ETHERNET, Precision::Micros).unwrap();
    for number in 0..count {
        let len = random.below(longest + 1) as usize;
        let time = Timestamp::from_nanos(number * 1_000);
        writer.frame(time, &random.bytes(len), len as u32).unwrap();
    }
    writer.finish().unwrap()
}

/// A pcapng file with frames of two interfaces, and secrets.
fn pcapng(seed: u64, count: i64, longest: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut writer = PcapngWriter::new(Vec::new()).unwrap();
    writer.interface(LinkType::ETHERNET).unwrap();
    writer.secrets(SecretsKind::TLS_KEY_LOG, b"first").unwrap();
    writer.interface(LinkType::RAW).unwrap();
    for number in 0..count {
        let len = random.below(longest + 1) as usize;
        let interface = random.below(2) as u32;
        let time = Timestamp::from_nanos(number);
        writer.frame(interface, time, &random.bytes(len), len as u32).unwrap();
    }
    writer.secrets(SecretsKind::SSH_KEY_LOG, b"last").unwrap();
    writer.finish().unwrap()
}

/// Reads in blocks of 4 KiB, which is quicker where there are few bytes.
fn read_small(bytes: &[u8]) -> Reading {
    read_from(Cursor::new(bytes.to_vec()), 4_096)
}

fn same(a: &Reading, b: &Reading) {
    assert_eq!(a.frames, b.frames);
    assert_eq!(a.secrets, b.secrets);
    assert_eq!(a.error_text(), b.error_text());
    assert_eq!(a.counters, b.counters);
}

#[test]
fn blocks_are_the_same_however_the_bytes_arrive() {
    for bytes in [pcap(1, 1_600, 1_500), pcapng(2, 1_600, 1_500)] {
        let whole = read(&bytes);
        assert_eq!(whole.error_text(), "");
        assert!(whole.blocks.len() > 1, "{:?}", whole.blocks);
        for (seed, longest) in [(1, 10_000), (2, 100), (3, 2_000_000)] {
            let pieces = read_from(Dribble::new(&bytes, seed, longest), BLOCK_SIZE);
            same(&pieces, &whole);
            assert_eq!(pieces.blocks, whole.blocks);
        }
        for packed in [gzip(&bytes), zstd(&bytes)] {
            let unpacked = read_from(Dribble::new(&packed, 4, 5_000), BLOCK_SIZE);
            same(&unpacked, &whole);
            assert_eq!(unpacked.blocks, whole.blocks);
        }
    }
}

#[test]
fn frames_do_not_depend_on_the_size_of_blocks() {
    for bytes in [pcap(5, 60, 90), pcapng(6, 60, 90)] {
        let whole = read(&bytes);
        for block_size in [1, 13, 64, 100, 257, 4_096] {
            for longest in [1, 7, 10_000] {
                same(&read_from(Dribble::new(&bytes, 7, longest), block_size), &whole);
            }
        }
    }
}

#[test]
fn a_record_longer_than_a_block_gets_a_block_of_its_own() {
    let mut writer = PcapngWriter::new(Vec::new()).unwrap();
    let giant = vec![7; 3 * BLOCK_SIZE + 5];
    let interface = writer.interface(LinkType::RAW).unwrap();
    for number in 0..3 {
        writer.frame(interface, Timestamp::from_nanos(number), b"small", 5).unwrap();
        writer.secrets(SecretsKind::TLS_KEY_LOG, &giant).unwrap();
    }
    let reading = read(&writer.finish().unwrap());
    assert_eq!(reading.error_text(), "");
    assert_eq!(reading.frames.len(), 3);
    assert!(reading.secrets.iter().all(|secrets| secrets.bytes == giant));
    let before: Vec<_> = reading.secrets.iter().map(|secrets| secrets.before).collect();
    assert_eq!(before, [2, 3, 4]);
}

#[test]
fn every_cut_gives_the_frames_before_it_and_says_where_it_is() {
    for bytes in [pcap(8, 12, 40), pcapng(9, 12, 40)] {
        let whole = read(&bytes);
        let mut ends = 0;
        for len in 0..bytes.len() {
            let reading = read_small(&bytes[..len]);
            assert!(whole.frames.starts_with(&reading.frames));
            assert!(whole.secrets.starts_with(&reading.secrets));
            match &reading.error {
                None => ends += 1,
                Some(Error::Unreadable { reason: Unreadable::Empty, .. }) => assert_eq!(len, 0),
                Some(Error::Unreadable { reason: Unreadable::NotACapture, .. }) => {
                    assert!(len < 4);
                }
                Some(Error::Damaged { offset, damage: Damage::Truncated(part), .. }) => {
                    assert_eq!(reading.counters.inputs_truncated, 1);
                    let offset = *offset as usize;
                    assert!(offset < len && len - offset < 90, "{part:?} at {offset} of {len}");
                    // Cut at that very place, the capture is whole.
                    let shorter = read_small(&bytes[..offset]);
                    assert_eq!(shorter.frames, reading.frames);
                    assert!(shorter.error.is_none() || offset == 0);
                }
                Some(error) => panic!("{len}: {error}"),
            }
        }
        assert!(ends >= 12, "a cut between records is not damage");
    }
}

#[test]
fn every_cut_of_a_compressed_capture_is_told() {
    let bytes = pcap(10, 40, 60);
    let whole = read(&bytes);
    for (codec, packed) in [(Codec::Gzip, gzip(&bytes)), (Codec::Zstd, zstd(&bytes))] {
        for len in 6..packed.len() {
            let reading = read_small(&packed[..len]);
            assert!(whole.frames.starts_with(&reading.frames));
            let truncated = |damage: &Damage| matches!(damage, Damage::Truncated(Part::Compressed(found)) if *found == codec);
            match reading.error.unwrap() {
                Error::Unreadable { reason: Unreadable::Head(damage), .. } => {
                    assert!(truncated(&damage) && reading.frames.is_empty());
                }
                Error::Damaged { damage, compressed, .. } => {
                    assert!(truncated(&damage) && compressed);
                }
                error => panic!("{codec} {len}: {error}"),
            }
        }
    }
}

#[test]
fn damage_in_a_compressed_stream_leaves_the_frames_before_it() {
    let bytes = pcap(11, 20_000, 60);
    let whole = read(&bytes);
    for mut packed in [gzip(&bytes), zstd(&bytes)] {
        let middle = packed.len() / 2;
        for byte in &mut packed[middle..middle + 64] {
            *byte ^= 0x5a;
        }
        let reading = read(&packed);
        let Some(Error::Damaged { damage, .. }) = &reading.error else {
            panic!("{:?}", reading.error);
        };
        // A decoder may take damage for data for a while.
        assert!(matches!(damage, Damage::Compressed { .. } | Damage::Oversized { .. }));
        assert!(reading.frames.len() > whole.frames.len() / 4);
        let sound = whole.frames.len() / 4;
        assert_eq!(reading.frames[..sound], whole.frames[..sound]);
    }
}

#[test]
fn members_and_frames_follow_each_other_and_padding_is_not_damage() {
    let bytes = pcap(12, 50, 60);
    let whole = read(&bytes);
    let (front, back) = bytes.split_at(bytes.len() / 3);
    let skippable = [b"\x53\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(front)].concat();
    for packed in [
        [gzip(front), gzip(b""), gzip(back)].concat(),
        [gzip(&bytes), vec![0; 1_000]].concat(),
        [zstd(front), zstd(back)].concat(),
        [skippable, zstd(back)].concat(),
    ] {
        same(&read(&packed), &whole);
        same(&read_from(Dribble::new(&packed, 13, 1), BLOCK_SIZE), &whole);
    }
}

#[test]
fn what_follows_a_compressed_capture_is_damage() {
    let bytes = pcap(14, 5, 60);
    for (packed, detail) in [
        (gzip(&bytes), "invalid gzip stream: incorrect header check"),
        (zstd(&bytes), "invalid zstd stream: Unknown frame descriptor"),
    ] {
        let reading = read(&[packed, b"something else".to_vec()].concat());
        assert_eq!(reading.frames.len(), 5);
        let offset = bytes.len();
        assert_eq!(
            reading.error_text(),
            format!("damaged at byte {offset} of the decompressed stream: {detail}")
        );
    }
}

#[test]
fn a_wrong_checksum_is_damage_after_all_frames() {
    let bytes = pcap(15, 5, 60);
    let mut packed = gzip(&bytes);
    let crc = packed.len() - 8;
    packed[crc] ^= 1;
    let reading = read(&packed);
    assert_eq!(reading.frames.len(), 5);
    assert!(reading.error_text().ends_with("invalid data"), "{}", reading.error_text());
}

#[test]
fn a_zstd_window_beyond_the_limit_is_refused() {
    // A frame header that asks for a window of 2^31 bytes.
    let packed = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
    let reading = read(packed);
    assert!(matches!(
        reading.error,
        Some(Error::Unreadable {
            reason: Unreadable::Head(Damage::Compressed { codec: Codec::Zstd, .. }),
            ..
        })
    ));
}

/// Gives its bytes, then fails.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::other("the disk is gone")),
            len => Ok(len),
        }
    }
}

#[test]
fn a_failing_disk_ends_the_capture_after_the_frames_before_it() {
    let bytes = pcap(16, 5, 60);
    let reading = read_from(Failing(Cursor::new(bytes.clone())), BLOCK_SIZE);
    assert_eq!(reading.frames.len(), 5);
    assert_eq!(reading.error_text(), format!("damaged at byte {}: the disk is gone", bytes.len()));
    let reading = read_from(Failing(Cursor::new(bytes[..3].to_vec())), BLOCK_SIZE);
    assert_eq!(reading.error_text(), "the disk is gone");
}

#[test]
fn random_damage_never_panics_and_keeps_what_is_before_it() {
    let originals = [pcap(17, 30, 60), pcapng(18, 30, 60)];
    let mut random = Random(19);
    for round in 0..1_000u64 {
        let original = &originals[(round % 2) as usize];
        let mut bytes = original.clone();
        let whole = read_small(&bytes);
        let mut first = bytes.len();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next() as u8;
            first = first.min(at);
        }
        bytes.truncate(bytes.len() - random.below(20) as usize);
        let reading = read_small(&bytes);
        let intact = read_small(&original[..first]);
        let sound = intact.frames.len().min(reading.frames.len());
        assert_eq!(reading.frames[..sound], whole.frames[..sound]);
        assert!(reading.frames.len() >= intact.frames.len());
        same(&read_from(Dribble::new(&bytes, round, 50), 300), &reading);
        if round < 50 {
            for packed in [gzip(&bytes), zstd(&bytes)] {
                assert_eq!(read_small(&packed).frames, reading.frames);
            }
        }
    }
}

#[test]
fn random_bytes_after_each_magic_never_panic() {
    let magics: [&[u8]; 10] = [
        b"\xd4\xc3\xb2\xa1\x02\0\x04\0",
        b"\xa1\xb2\x3c\x4d\0\x02\0\x04",
        b"\x34\xcd\xb2\xa1\x02\0\x04\0",
        b"\x0a\x0d\x0d\x0a",
        b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a",
        b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d",
        b"\x1f\x8b\x08\0",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18\x04\0\0\0",
        b"",
    ];
    let mut random = Random(20);
    for round in 0..2_000 {
        let len = random.below(300) as usize;
        let magic = magics[round % magics.len()];
        // Small numbers make likelier lengths.
        let noise = (0..len).map(|_| match random.below(3) {
            0 => random.next() as u8,
            1 => random.below(16) as u8,
            _ => 0,
        });
        let bytes: Vec<u8> = magic.iter().copied().chain(noise).collect();
        let reading = read_small(&bytes);
        same(&read_from(Dribble::new(&bytes, 21, 3), 300), &reading);
        same(&read_from(Dribble::new(&bytes, 22, 90), 32), &reading);
    }
}

#[test]
fn a_block_can_be_shared_with_other_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Block>();
    sent::<Reader>();
}

#[test]
fn memory_for_a_giant_record_is_given_back() {
    let mut writer = PcapngWriter::new(Vec::new()).unwrap();
    let interface = writer.interface(LinkType::RAW).unwrap();
    writer.secrets(SecretsKind::TLS_KEY_LOG, &vec![1; 4 * BLOCK_SIZE]).unwrap();
    writer.frame(interface, Timestamp::from_nanos(1), b"after", 5).unwrap();
    let bytes = writer.finish().unwrap();
    let mut reader = Reader::new("test", SourceId(0), Cursor::new(bytes)).unwrap();
    let mut block = Block::new();
    let mut longest = 0;
    let mut last = 0;
    while reader.fill(&mut block).unwrap() == Fill::Block {
        last = block.capacity();
        longest = longest.max(last);
    }
    assert!(longest > 4 * BLOCK_SIZE);
    assert!(last <= 2 * BLOCK_SIZE, "{last}");
}
