//! The engine, over a capture file: the same findings and statistics for any
//! number of workers.
//!
//! Input: the file.

use std::num::NonZeroUsize;

use mcpwatch::capture::{Block, Fill, Reader, SourceId};
use mcpwatch::engine::BlockSource;
use mcpwatch::findings::Row;

use super::engine::engine;

/// Blocks read at most: what compresses well is not worth the time.
const MAX_BLOCKS: usize = 4;

/// Runs the target.
pub fn run(data: &[u8]) {
    let Some(one) = replay(data, 1, true) else { return };
    assert_eq!(replay(data, 2, true).as_ref(), Some(&one), "two workers");
    assert_eq!(replay(data, 2, false).as_ref(), Some(&one), "two workers, one of whom deals out");
}

fn replay(data: &[u8], workers: usize, may_wait: bool) -> Option<(Vec<Row>, String)> {
    let cursor = std::io::Cursor::new(data.to_vec());
    let reader = Reader::new("fuzz", SourceId(0), cursor).ok()?;
    let mut source = Source { reader, blocks: 0, may_wait };
    let mut rows = Vec::new();
    let statistics = engine().replay(NonZeroUsize::new(workers)?, &mut source, &mut rows);
    Some((rows, statistics.to_json()))
}

struct Source {
    reader: Reader,
    blocks: usize,
    may_wait: bool,
}

impl BlockSource for Source {
    fn fill(&mut self, block: &mut Block) -> Fill {
        self.blocks += 1;
        if self.blocks > MAX_BLOCKS {
            return Fill::End;
        }
        self.reader.fill(block).unwrap_or(Fill::End)
    }

    fn may_wait(&self) -> bool {
        self.may_wait
    }
}
