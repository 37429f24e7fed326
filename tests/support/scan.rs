//! Runs the engine on captures.

use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::LazyLock;

use mcpwatch::Engine;
use mcpwatch::capture::{Block, Fill, Inputs, Reader, Replay, SourceId};
use mcpwatch::detect::FindingOptions;
use mcpwatch::engine::{BlockSource, Statistics};
use mcpwatch::findings::Row;
use mcpwatch::stream::tls::KeyStore;

use super::corpus::Capture;

/// What a run found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    pub(crate) statistics: Statistics,
    /// What was wrong with the captures.
    pub(crate) errors: Vec<String>,
}

/// The engine as it is shipped, with a row for each message and nothing hidden.
pub(crate) static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::builder().findings(plain()).build().unwrap());

/// A row for each message and nothing hidden.
pub(crate) fn plain() -> FindingOptions {
    FindingOptions { messages: true, show_secrets: true, ..FindingOptions::default() }
}

/// The engine with the keys of a labelled capture, where there are any.
pub(crate) fn engine(capture: &Capture) -> Engine {
    let Some(path) = &capture.key_log else { return ENGINE.clone() };
    let keys = KeyStore::load(&std::fs::read(path).unwrap()).unwrap();
    Engine::builder().findings(plain()).keys(keys).build().unwrap()
}

/// Scans a labelled capture, with its keys where there are any.
pub(crate) fn capture(capture: &Capture) -> Found {
    file(&engine(capture), &capture.path())
}

/// Scans a capture file.
pub(crate) fn file(engine: &Engine, path: &Path) -> Found {
    files(engine, NonZeroUsize::MIN, [path])
}

/// Scans several files, as rotated captures come.
pub(crate) fn files<P: AsRef<Path>>(
    engine: &Engine,
    workers: NonZeroUsize,
    paths: impl IntoIterator<Item = P>,
) -> Found {
    let mut source = Files(Replay::new(Inputs::expand(paths)));
    let mut rows: Vec<Row> = Vec::new();
    let statistics = engine.replay(workers, &mut source, &mut rows);
    let errors = source.0.errors().iter().map(ToString::to_string).collect();
    Found { rows, statistics, errors }
}

/// Scans a capture in memory.
pub(crate) fn bytes(engine: &Engine, capture: Vec<u8>) -> Found {
    let reader = Reader::new("memory", SourceId(0), Cursor::new(capture)).unwrap();
    let mut source = Memory { reader, errors: Vec::new() };
    let mut rows: Vec<Row> = Vec::new();
    let statistics = engine.replay(NonZeroUsize::MIN, &mut source, &mut rows);
    Found { rows, statistics, errors: source.errors }
}

struct Files(Replay);

impl BlockSource for Files {
    fn fill(&mut self, block: &mut Block) -> Fill {
        self.0.fill(block)
    }

    fn may_wait(&self) -> bool {
        false
    }
}

struct Memory {
    reader: Reader,
    errors: Vec<String>,
}

impl BlockSource for Memory {
    fn fill(&mut self, block: &mut Block) -> Fill {
        self.reader.fill(block).unwrap_or_else(|error| {
            self.errors.push(error.to_string());
            Fill::End
        })
    }
}
