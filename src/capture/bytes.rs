//! The bytes of an input, decompressed if it begins like gzip or Zstandard.
//!
//! Decompression is a stream: it holds 64 KiB of input, the decoder's window
//! (32 KiB for gzip, at most [`ZSTD_WINDOW_LOG`] for Zstandard) and writes
//! straight into the caller's block.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{self, DParameter, InBuffer, Operation, OutBuffer};

use super::{Codec, Damage, Part, Unreadable};

/// The largest Zstandard window that is accepted, as a power of two: 128 MiB,
/// what the `zstd` tool accepts without being told.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Bytes of a Zstandard block's header (RFC 8878 section 3.1.1.2).
const ZSTD_BLOCK_HEADER: usize = 3;

const FEED_LEN: usize = 64 << 10;

/// The longest magic that tells a compression.
const MAGIC_LEN: usize = 6;

/// The bytes of one input, decompressed.
pub(super) struct Bytes {
    feed: Feed,
    decoder: Decoder,
    /// Met, but to be told by the next call.
    end: Option<End>,
}

enum Decoder {
    Stored,
    Gzip(Gunzip),
    Zstd(Unzstd),
}

/// How many bytes came, and whether and why none will follow.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) len: usize,
    pub(super) end: Option<End>,
}

/// Why no bytes follow.
#[derive(Debug)]
pub(super) enum End {
    Input,
    Damage(Damage),
}

impl Bytes {
    /// Reads the first bytes of `read` to learn how it is compressed. Bytes
    /// read (compressed ones) are added to `consumed`.
    pub(super) fn open(
        read: Box<dyn Read + Send>,
        consumed: Arc<AtomicU64>,
    ) -> Result<Self, Unreadable> {
        let mut feed = Feed::new(read, consumed);
        feed.look(MAGIC_LEN).map_err(Unreadable::Io)?;
        let decoder = match sniff(feed.unread()) {
            None if feed.unread().is_empty() => return Err(Unreadable::Empty),
            None => Decoder::Stored,
            Some(Codec::Gzip) => Decoder::Gzip(Gunzip { member: None }),
            Some(Codec::Zstd) => Decoder::Zstd(Unzstd::new().map_err(Unreadable::Io)?),
            Some(codec) => return Err(Unreadable::Compression(codec)),
        };
        Ok(Self { feed, decoder, end: None })
    }

    /// Fills `out`, unless the input ends before. The end is told only where
    /// `out` is not full, whether or not it could be known already.
    pub(super) fn fill(&mut self, out: &mut [u8]) -> Filled {
        let mut len = 0;
        while let Some(room) = out.get_mut(len..).filter(|room| !room.is_empty()) {
            if let Some(end) = self.end.take() {
                return Filled::ended(len, end);
            }
            let step = match &mut self.decoder {
                Decoder::Stored => self.feed.copy(room),
                Decoder::Gzip(gunzip) => gunzip.step(&mut self.feed, room),
                Decoder::Zstd(unzstd) => unzstd.step(&mut self.feed, room),
            };
            len += step.len;
            self.end = step.end;
        }
        Filled::more(len)
    }

    /// Takes back an end, to be told again.
    pub(super) fn untell(&mut self, end: Option<End>) {
        self.end = end;
    }

    /// Whether the input is compressed.
    pub(super) fn compressed(&self) -> bool {
        !matches!(self.decoder, Decoder::Stored)
    }
}

impl Filled {
    fn more(len: usize) -> Self {
        Self { len, end: None }
    }

    fn ended(len: usize, end: End) -> Self {
        Self { len, end: Some(end) }
    }

    fn damaged(len: usize, damage: Damage) -> Self {
        Self::ended(len, End::Damage(damage))
    }
}

fn sniff(head: &[u8]) -> Option<Codec> {
    match head {
        [0x1f, 0x8b, ..] => Some(Codec::Gzip),
        // A frame, or a skippable frame as parallel compressors write first.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Codec::Zstd),
        [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Some(Codec::Lz4),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Some(Codec::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Codec::Xz),
        _ => None,
    }
}

/// The bytes as they are on disk, a few of them buffered.
struct Feed {
    read: Box<dyn Read + Send>,
    consumed: Arc<AtomicU64>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
}

impl Feed {
    fn new(read: Box<dyn Read + Send>, consumed: Arc<AtomicU64>) -> Self {
        let buffer = vec![0; FEED_LEN];
        Self { read, consumed, buffer, start: 0, end: 0, ended: false }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn skip(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }

    /// Buffers `len` bytes, or all where there are fewer, on a fresh feed.
    fn look(&mut self, len: usize) -> io::Result<()> {
        while self.end < len && !self.ended {
            self.end += self.read_at(self.end, len)?;
        }
        Ok(())
    }

    /// Buffers more bytes if none are buffered and the input has any.
    fn refill(&mut self) -> io::Result<()> {
        if self.start == self.end && !self.ended {
            self.start = 0;
            self.end = 0;
            self.end = self.read_at(0, FEED_LEN)?;
        }
        Ok(())
    }

    fn read_at(&mut self, start: usize, end: usize) -> io::Result<usize> {
        let room = self.buffer.get_mut(start..end).unwrap_or_default();
        let len = read_some(&mut self.read, &self.consumed, room)?;
        self.ended = len == 0;
        Ok(len)
    }

    /// Moves bytes on as they are, past the buffer where that is empty.
    fn copy(&mut self, out: &mut [u8]) -> Filled {
        if self.start < self.end {
            let len = out.len().min(self.end - self.start);
            for (to, from) in out.iter_mut().zip(self.unread()) {
                *to = *from;
            }
            self.skip(len);
            return Filled::more(len);
        }
        match read_some(&mut self.read, &self.consumed, out) {
            Ok(0) => Filled::ended(0, End::Input),
            Ok(len) => Filled::more(len),
            Err(error) => Filled::damaged(0, Damage::Io(error)),
        }
    }
}

fn read_some(read: &mut impl Read, consumed: &AtomicU64, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match read.read(out) {
            Ok(len) => {
                consumed.fetch_add(len as u64, Ordering::Relaxed);
                return Ok(len);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// gzip: members one after another (RFC 1952 section 2.2), then perhaps zeros.
struct Gunzip {
    /// The member that is being read.
    member: Option<Decompress>,
}

impl Gunzip {
    fn step(&mut self, feed: &mut Feed, out: &mut [u8]) -> Filled {
        if let Err(error) = feed.refill() {
            return Filled::damaged(0, Damage::Io(error));
        }
        let input = feed.unread();
        let Some(member) = &mut self.member else {
            match input.first() {
                None => return Filled::ended(0, End::Input),
                // Archives on tape are padded with zeros.
                Some(0) => feed.skip(input.iter().take_while(|&&byte| byte == 0).count()),
                Some(_) => self.member = Some(Decompress::new_gzip(15)),
            }
            return Filled::more(0);
        };
        let (in_before, out_before) = (member.total_in(), member.total_out());
        let result = member.decompress(input, out, FlushDecompress::None);
        let read = (member.total_in() - in_before) as usize;
        let len = (member.total_out() - out_before) as usize;
        let stuck = read == 0 && len == 0;
        let exhausted = input.is_empty();
        feed.skip(read);
        match result {
            Err(error) => Filled::damaged(
                len,
                Damage::Compressed {
                    codec: Codec::Gzip,
                    detail: gzip_detail(error.message()).to_owned(),
                },
            ),
            Ok(Status::StreamEnd) => {
                self.member = None;
                Filled::more(len)
            }
            Ok(_) if stuck && exhausted => {
                Filled::damaged(0, Damage::Truncated(Part::Compressed(Codec::Gzip)))
            }
            Ok(_) if stuck => Filled::damaged(
                0,
                Damage::Compressed { codec: Codec::Gzip, detail: "no progress".to_owned() },
            ),
            Ok(_) => Filled::more(len),
        }
    }
}

/// Why data is no gzip. What exactly is wrong in it is sometimes said by a call that
/// also gives output, and forgotten by the next, depending on the pieces; only what is
/// wrong with its header is always said.
fn gzip_detail(message: Option<&str>) -> &str {
    match message {
        Some(header @ ("incorrect header check" | "unknown compression method")) => header,
        _ => "invalid data",
    }
}

/// Zstandard: frames one after another (RFC 8878 section 3.1).
struct Unzstd {
    decoder: raw::Decoder<'static>,
    /// Whether the last frame that was begun is complete.
    complete: bool,
    /// How many bytes it gets at a time: no more than a block, as what it writes
    /// in the call in which it meets damage is lost.
    portion: usize,
}

impl Unzstd {
    fn new() -> io::Result<Self> {
        let mut decoder = raw::Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
        Ok(Self { decoder, complete: true, portion: 1 })
    }

    fn step(&mut self, feed: &mut Feed, out: &mut [u8]) -> Filled {
        if let Err(error) = feed.refill() {
            return Filled::damaged(0, Damage::Io(error));
        }
        let unread = feed.unread();
        let exhausted = unread.is_empty();
        if exhausted && self.complete {
            return Filled::ended(0, End::Input);
        }
        let mut input = InBuffer::around(unread.get(..self.portion).unwrap_or(unread));
        let mut output = OutBuffer::around(out);
        let result = self.decoder.run(&mut input, &mut output);
        let (read, len) = (input.pos(), output.pos());
        feed.skip(read);
        match result {
            Err(error) => Filled::damaged(
                len,
                Damage::Compressed { codec: Codec::Zstd, detail: error.to_string() },
            ),
            Ok(_) if read == 0 && len == 0 && exhausted => {
                Filled::damaged(0, Damage::Truncated(Part::Compressed(Codec::Zstd)))
            }
            Ok(missing) => {
                self.complete = missing == 0;
                // It asks for the next block's header with a block.
                self.portion = missing.saturating_sub(ZSTD_BLOCK_HEADER).max(1);
                Filled::more(len)
            }
        }
    }
}
