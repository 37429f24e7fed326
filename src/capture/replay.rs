//! Reads many captures, one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, vec};

use super::inputs::{Input, Place};
use super::{BLOCK_SIZE, Block, CaptureCounters, Error, Fill, Inputs, Reader, SourceId};

/// Reads the captures of [`Inputs`] in order. An input that is damaged, or that
/// cannot be read, ends there and is noted; the others go on.
///
/// ```no_run
/// use mcpwatch::capture::{Block, Fill, Inputs, Replay};
///
/// let mut replay = Replay::new(Inputs::expand(["captures/", "today.pcapng.zst"]));
/// let mut block = Block::new();
/// while replay.fill(&mut block) == Fill::Block {
///     for frame in block.frames() {
///         println!("{} #{}", replay.source_name(frame.source), frame.number);
///     }
/// }
/// for error in replay.errors() {
///     eprintln!("{error}");
/// }
/// ```
#[derive(Debug)]
pub struct Replay {
    /// Names of all sources, by their ids.
    names: Arc<[Arc<str>]>,
    waiting: std::iter::Zip<std::ops::RangeFrom<u32>, vec::IntoIter<Input>>,
    current: Option<Current>,
    errors: Vec<Error>,
    counters: CaptureCounters,
    progress: Progress,
    block_size: usize,
    slow: bool,
}

#[derive(Debug)]
struct Current {
    reader: Reader,
    /// What [`Progress::done`] is when the input is at its end.
    done_after: Option<u64>,
}

/// How far a [`Replay`] is, in bytes as they are on disk; to be watched from
/// another thread.
#[derive(Clone, Debug)]
pub struct Progress {
    done: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    /// Bytes read so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Bytes of all inputs; none if there is a stream among them.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

impl Replay {
    /// A replay of `inputs`, whose errors become its own.
    pub fn new(inputs: Inputs) -> Self {
        let (list, errors, counters) = inputs.into_parts();
        let total = list.iter().map(|input| input.len).sum();
        let slow = list.iter().any(|input| input.slow);
        Self {
            names: list.iter().map(|input| input.name.clone()).collect(),
            waiting: (0..).zip(list),
            current: None,
            errors,
            counters,
            progress: Progress { done: Arc::default(), total },
            block_size: BLOCK_SIZE,
            slow,
        }
    }

    /// Reads blocks of `block_size` bytes, unless one record alone needs more.
    #[must_use]
    pub fn with_block_size(self, block_size: usize) -> Self {
        Self { block_size, ..self }
    }

    /// Whether a capture has to be unpacked, or may have to be waited for.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow
    }

    /// Fills `block` with what comes next; all of its frames are of one source.
    pub fn fill(&mut self, block: &mut Block) -> Fill {
        loop {
            if self.current.is_none() && !self.open_next() {
                block.reset(SourceId::default(), 0);
                return Fill::End;
            }
            let Some(current) = &mut self.current else { continue };
            match current.reader.fill(block) {
                Ok(Fill::Block) => return Fill::Block,
                Ok(Fill::End) => self.close(),
                Err(error) => {
                    self.errors.push(error);
                    self.close();
                }
            }
        }
    }

    /// The names of the sources; a [`SourceId`] is an index into them.
    pub fn names(&self) -> &Arc<[Arc<str>]> {
        &self.names
    }

    /// The name of a source; empty if it is not one of this replay's.
    pub fn source_name(&self, source: SourceId) -> &str {
        self.names.get(source.0 as usize).map_or("", |name| name)
    }

    /// What could not be read, or not to its end.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// Hands over what [`Replay::errors`] would tell.
    pub(super) fn take_errors(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.errors)
    }

    /// What was read so far.
    pub fn counters(&self) -> CaptureCounters {
        let mut counters = self.counters;
        if let Some(current) = &self.current {
            counters.merge(current.reader.counters());
        }
        counters
    }

    /// How far the replay is.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Opens the next input that can be; false if there is none.
    fn open_next(&mut self) -> bool {
        for (id, input) in self.waiting.by_ref() {
            let done = self.progress.done.clone();
            let done_after = input.len.map(|len| self.progress.done() + len);
            let reader = match input.place {
                Place::StandardInput => {
                    Reader::start(input.name, SourceId(id), Box::new(io::stdin()), done)
                }
                Place::Path(path) => Reader::open_counted(&path, input.name, SourceId(id), done),
            };
            match reader {
                Ok(reader) => {
                    let reader = reader.with_block_size(self.block_size);
                    self.current = Some(Current { reader, done_after });
                    return true;
                }
                Err(error) => {
                    self.counters.inputs_unreadable += 1;
                    self.errors.push(error);
                    self.progress.reach(done_after);
                }
            }
        }
        false
    }

    fn close(&mut self) {
        if let Some(current) = self.current.take() {
            self.counters.merge(current.reader.counters());
            self.progress.reach(current.done_after);
        }
    }
}

impl Progress {
    /// Counts what an input that ended early was not read of.
    fn reach(&self, done: Option<u64>) {
        if let Some(done) = done {
            self.done.fetch_max(done, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{capture, gzip};
    use super::*;

    /// Source name, frame number and time of all frames.
    fn drain(replay: &mut Replay) -> Vec<(String, u64, i64)> {
        let mut block = Block::new();
        let mut seen = Vec::new();
        while replay.fill(&mut block) == Fill::Block {
            seen.extend(block.frames().map(|frame| {
                let name = replay.source_name(frame.source);
                let name = name.rsplit('/').next().unwrap_or(name).to_owned();
                (name, frame.number, frame.time.as_nanos())
            }));
        }
        assert!(block.is_empty());
        seen
    }

    #[test]
    fn rotated_captures_continue_and_damage_ends_only_its_own_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let cut = capture(&[10, 11]);
        fs::write(path("3"), capture(&[20])).unwrap();
        fs::write(path("2"), &cut[..cut.len() - 1]).unwrap();
        fs::write(path("1"), gzip(&capture(&[1, 2]))).unwrap();
        fs::write(path("4"), b"no capture").unwrap();
        let inputs = Inputs::expand([path("4"), directory.path().to_owned()]);
        let mut replay = Replay::new(inputs);
        let progress = replay.progress();
        let seen = drain(&mut replay);
        let seen: Vec<_> = seen.iter().map(|(name, n, time)| (name.as_str(), *n, *time)).collect();
        assert_eq!(seen, [("1", 1, 1), ("1", 2, 2), ("2", 1, 10), ("3", 1, 20)]);
        let errors: Vec<_> = replay.errors().iter().map(Error::is_damage).collect();
        assert_eq!(errors, [false, true]);
        let counters = replay.counters();
        assert_eq!((counters.inputs, counters.frames), (3, 4));
        assert_eq!((counters.inputs_truncated, counters.inputs_unreadable), (1, 1));
        assert_eq!(Some(progress.done()), progress.total());
        assert_eq!(replay.fill(&mut Block::new()), Fill::End);
    }

    #[test]
    fn a_file_that_is_gone_by_its_turn_is_noted() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        fs::write(path("1"), capture(&[1])).unwrap();
        fs::write(path("2"), capture(&[2])).unwrap();
        let mut replay = Replay::new(Inputs::expand([directory.path()]));
        fs::remove_file(path("1")).unwrap();
        assert_eq!(drain(&mut replay), [("2".to_owned(), 1, 2)]);
        assert_eq!(replay.errors().len(), 1);
        let progress = replay.progress();
        assert_eq!(Some(progress.done()), progress.total());
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_a_stream_without_a_known_length() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        let inputs = Inputs::expand([&pipe]);
        let writer = std::thread::spawn(move || fs::write(pipe, capture(&[7, 8])));
        let mut replay = Replay::new(inputs);
        assert_eq!(replay.progress().total(), None);
        assert_eq!(drain(&mut replay).len(), 2);
        assert!(replay.errors().is_empty());
        writer.join().unwrap().unwrap();
    }
}
