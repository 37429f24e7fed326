//! Reads one capture, block by block.

use std::fs::File;
use std::io::Read;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::block::BLOCK_SIZE;
use super::bytes::{Bytes, End};
use super::format::{Format, SNIFF_LEN, Stop};
use super::{Block, CaptureCounters, Damage, Error, SourceId, Unreadable};

/// Reads one capture: pcap or pcapng, as it is or compressed with gzip or
/// Zstandard; which of these is told by the first bytes, never by a name.
///
/// Where one block ends and the next begins depends on the (decompressed) bytes
/// alone, not on how they arrive. What lies before damage is delivered before
/// the damage is reported.
///
/// ```
/// use mcpwatch::capture::{Block, Fill, LinkType, PcapWriter, Precision, Reader, SourceId};
/// use mcpwatch::time::Timestamp;
///
/// let mut writer = PcapWriter::new(Vec::new(), LinkType::RAW, Precision::Nanos)?;
/// writer.frame(Timestamp::from_nanos(7), b"frame", 5)?;
/// let mut reader = Reader::new("-", SourceId(0), std::io::Cursor::new(writer.finish()?))?;
/// let mut block = Block::new();
/// let mut frames = 0;
/// while reader.fill(&mut block)? == Fill::Block {
///     for frame in block.frames() {
///         assert_eq!((frame.time.as_nanos(), frame.data), (7, &b"frame"[..]));
///         frames += 1;
///     }
/// }
/// assert_eq!(frames, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader {
    name: Arc<str>,
    source: SourceId,
    bytes: Bytes,
    format: Format,
    state: State,
    block_size: usize,
    /// Read, but not of a whole record: the next block begins with it.
    tail: Vec<u8>,
    /// Where the tail begins in the decompressed stream.
    offset: u64,
    /// The number of the next frame.
    number: u64,
    counters: CaptureCounters,
}

/// What [`Reader::fill`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The block holds what comes next; perhaps no frame.
    Block,
    /// The block is empty, and the input is at its end.
    End,
}

enum State {
    Open,
    /// All that could be read was delivered; this is to be reported.
    Failed(Error),
    Ended,
}

impl Reader {
    /// Opens the capture at `path`.
    pub fn open(path: &Path, source: SourceId) -> Result<Self, Error> {
        let name = path.display().to_string().into();
        Self::open_counted(path, name, source, Arc::default())
    }

    /// Reads the capture that `read` gives; `name` is what errors call it.
    pub fn new(
        name: impl Into<Arc<str>>,
        source: SourceId,
        read: impl Read + Send + 'static,
    ) -> Result<Self, Error> {
        Self::start(name.into(), source, Box::new(read), Arc::default())
    }

    /// Fills `block` with what comes next. An error is reported once, after all
    /// frames before it; then comes the end.
    pub fn fill(&mut self, block: &mut Block) -> Result<Fill, Error> {
        block.reset(self.source, self.number);
        if !matches!(self.state, State::Open) {
            return self.close();
        }
        self.read_block(block);
        let nothing = block.is_empty() && block.secrets().is_empty();
        if nothing && !matches!(self.state, State::Open) {
            return self.close();
        }
        Ok(Fill::Block)
    }

    /// Whether the input is compressed.
    pub fn is_compressed(&self) -> bool {
        self.bytes.compressed()
    }

    /// The input, as errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was read so far.
    pub fn counters(&self) -> &CaptureCounters {
        &self.counters
    }

    /// Opens the capture at `path`, adding the bytes that are read from it,
    /// which may be compressed, to `consumed`.
    pub(super) fn open_counted(
        path: &Path,
        name: Arc<str>,
        source: SourceId,
        consumed: Arc<AtomicU64>,
    ) -> Result<Self, Error> {
        match File::open(path) {
            Ok(file) => Self::start(name, source, Box::new(file), consumed),
            Err(error) => Err(Error::Unreadable { name, reason: Unreadable::Io(error) }),
        }
    }

    /// As [`Reader::new`], adding the bytes that are read to `consumed`.
    pub(super) fn start(
        name: Arc<str>,
        source: SourceId,
        read: Box<dyn Read + Send>,
        consumed: Arc<AtomicU64>,
    ) -> Result<Self, Error> {
        match sniff(read, consumed) {
            Ok((bytes, format, tail)) => Ok(Self {
                name,
                source,
                bytes,
                format,
                state: State::Open,
                block_size: BLOCK_SIZE,
                tail,
                offset: 0,
                number: 1,
                counters: CaptureCounters { inputs: 1, ..Default::default() },
            }),
            Err(reason) => Err(Error::Unreadable { name, reason }),
        }
    }

    /// Reads blocks of another size.
    pub(super) fn with_block_size(self, block_size: usize) -> Self {
        Self { block_size, ..self }
    }

    /// Reads until the block is full, finds the records in it and keeps what is
    /// left. A record that is longer than a block gets a block to itself.
    fn read_block(&mut self, block: &mut Block) {
        self.unread_tail(block);
        let mut size = self.block_size;
        let (step, end) = loop {
            let filled = self.bytes.fill(block.room(size));
            block.advance(filled.len);
            let (bytes, mut found) = block.parts();
            let step = self.format.parse(bytes, &mut found, &mut self.counters);
            match step.stop {
                Stop::Need(len) if step.consumed == 0 && filled.end.is_none() && len > size => {
                    size = len;
                }
                _ => break (step, filled.end),
            }
        };
        self.tail.extend_from_slice(block.bytes().get(step.consumed..).unwrap_or_default());
        self.offset += step.consumed as u64;
        self.number += block.len() as u64;
        let damage = match (step.stop, end) {
            (Stop::Damage(damage), _) | (_, Some(End::Damage(damage))) => damage,
            (_, Some(End::Input)) if self.tail.is_empty() => return self.state = State::Ended,
            (_, Some(End::Input)) => Damage::Truncated(self.format.part()),
            (_, None) => return,
        };
        self.state = State::Failed(self.damaged(damage));
    }

    fn unread_tail(&mut self, block: &mut Block) {
        let room = block.room(self.block_size.max(self.tail.len()));
        if let Some(room) = room.get_mut(..self.tail.len()) {
            room.copy_from_slice(&self.tail);
        }
        block.advance(self.tail.len());
        self.tail.clear();
    }

    fn damaged(&mut self, damage: Damage) -> Error {
        match damage {
            Damage::Truncated(_) => self.counters.inputs_truncated += 1,
            _ => self.counters.inputs_damaged += 1,
        }
        let (name, compressed) = (self.name.clone(), self.bytes.compressed());
        Error::Damaged { name, offset: self.offset, compressed, damage }
    }

    fn close(&mut self) -> Result<Fill, Error> {
        match mem::replace(&mut self.state, State::Ended) {
            State::Failed(error) => Err(error),
            State::Open | State::Ended => Ok(Fill::End),
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("name", &self.name)
            .field("source", &self.source)
            .field("format", &self.format)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// Reads as much as it takes to tell the format; the bytes read come third.
fn sniff(
    read: Box<dyn Read + Send>,
    consumed: Arc<AtomicU64>,
) -> Result<(Bytes, Format, Vec<u8>), Unreadable> {
    let mut bytes = Bytes::open(read, consumed)?;
    let mut head = vec![0; SNIFF_LEN];
    let filled = bytes.fill(&mut head);
    head.truncate(filled.len);
    match (Format::sniff(&head), filled.end) {
        (Some(format), end) => {
            bytes.untell(end);
            Ok((bytes, format, head))
        }
        (None, Some(End::Damage(Damage::Io(error)))) => Err(Unreadable::Io(error)),
        (None, Some(End::Damage(damage))) => Err(Unreadable::Head(damage)),
        (None, _) => Err(Unreadable::NotACapture),
    }
}

#[cfg(test)]
mod tests;
