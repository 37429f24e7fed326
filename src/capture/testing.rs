//! Captures and readers for the tests of this module.

use std::io::{self, Cursor, Read, Write};

use super::order::Order;
use super::{
    Block, CaptureCounters, Error, Fill, LinkType, PcapWriter, Precision, Reader, Secrets, SourceId,
};
use crate::time::Timestamp;

/// A frame that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnedFrame {
    pub(super) number: u64,
    pub(super) nanos: i64,
    pub(super) link: LinkType,
    pub(super) data: Vec<u8>,
    pub(super) original_len: u32,
}

/// All that a reader gave.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) frames: Vec<OwnedFrame>,
    /// How many frames each block had.
    pub(super) blocks: Vec<usize>,
    pub(super) secrets: Vec<Secrets>,
    pub(super) error: Option<Error>,
    pub(super) counters: CaptureCounters,
}

impl Reading {
    /// The error as a person reads it, without the name of the input.
    pub(super) fn error_text(&self) -> String {
        let text = self.error.as_ref().map(Error::to_string).unwrap_or_default();
        text.strip_prefix("test: ").map(str::to_owned).unwrap_or(text)
    }

    pub(super) fn data(&self) -> Vec<&[u8]> {
        self.frames.iter().map(|frame| frame.data.as_slice()).collect()
    }
}

/// Reads a capture in memory.
pub(super) fn read(bytes: &[u8]) -> Reading {
    read_from(Cursor::new(bytes.to_vec()), super::BLOCK_SIZE)
}

/// Reads a capture in blocks of `block_size`, all into the same block.
pub(super) fn read_from(read: impl Read + Send + 'static, block_size: usize) -> Reading {
    let mut reading = Reading::default();
    let mut reader = match Reader::new("test", SourceId(3), read) {
        Ok(reader) => reader.with_block_size(block_size),
        Err(error) => return Reading { error: Some(error), ..reading },
    };
    let mut block = Block::new();
    loop {
        match reader.fill(&mut block) {
            Ok(Fill::Block) => {}
            Ok(Fill::End) => break,
            Err(error) => {
                assert!(reading.error.is_none(), "only one error is reported");
                assert!(block.is_empty(), "a block with an error holds nothing");
                reading.error = Some(error);
                continue;
            }
        }
        assert!(reading.error.is_none(), "nothing comes after an error");
        assert_eq!(block.frames().len(), block.len());
        reading.blocks.push(block.len());
        reading.secrets.extend_from_slice(block.secrets());
        reading.frames.extend(block.frames().map(|frame| {
            assert_eq!(frame.source, SourceId(3));
            OwnedFrame {
                number: frame.number,
                nanos: frame.time.as_nanos(),
                link: frame.link,
                data: frame.data.to_vec(),
                original_len: frame.original_len,
            }
        }));
    }
    reading.counters = *reader.counters();
    assert_eq!(reading.counters.frames, reading.frames.len() as u64);
    reading
}

/// A pcap file with a frame at each time, in nanoseconds.
pub(super) fn capture(times: &[i64]) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new(), LinkType::RAW, Precision::Nanos).unwrap();
    for &time in times {
        writer.frame(Timestamp::from_nanos(time), b"frame", 5).unwrap();
    }
    writer.finish().unwrap()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// With a checksum, as the `zstd` tool writes.
pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Gives its bytes in pieces of random length, with interruptions.
pub(super) struct Dribble {
    bytes: Cursor<Vec<u8>>,
    random: Random,
    longest: u64,
}

impl Dribble {
    pub(super) fn new(bytes: &[u8], seed: u64, longest: u64) -> Self {
        Self { bytes: Cursor::new(bytes.to_vec()), random: Random(seed), longest }
    }
}

impl Read for Dribble {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.random.below(8) == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = out.len().min(1 + self.random.below(self.longest) as usize);
        self.bytes.read(&mut out[..len])
    }
}

/// Random numbers that are the same each time (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Puts fields together in either byte order.
#[derive(Clone)]
pub(super) struct Fields {
    pub(super) order: Order,
    pub(super) bytes: Vec<u8>,
}

impl Fields {
    pub(super) fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Zeros up to a multiple of four.
    pub(super) fn pad(mut self) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// A pcapng option.
    pub(super) fn option(self, code: u16, value: &[u8]) -> Self {
        self.u16(code).u16(value.len() as u16).raw(value).pad()
    }

    /// A pcapng block with these fields as its body.
    pub(super) fn block(self, kind: u32) -> Vec<u8> {
        let body = self.pad();
        let len = body.bytes.len() as u32 + 12;
        Self::new(body.order).u32(kind).u32(len).raw(&body.bytes).u32(len).bytes
    }
}
