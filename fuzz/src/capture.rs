//! Capture files, as they are or compressed: the same frames come out however
//! the bytes arrive.
//!
//! Input: the file.

use std::io::{self, Read};

use mcpwatch::capture::{Block, CaptureCounters, Fill, Reader, SourceId};

/// Blocks read at most: what compresses well is not worth the time.
const MAX_BLOCKS: usize = 8;

/// Runs the target.
pub fn run(data: &[u8]) {
    let whole = read(data, usize::MAX);
    for step in [1, 13] {
        if data.len() / step <= 8192 {
            assert_eq!(read(data, step), whole, "{step} bytes at a time");
        }
    }
}

/// Gives `step` bytes at a time.
struct Trickle {
    data: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.data[self.at..];
        let len = rest.len().min(buffer.len()).min(self.step);
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    lines: Vec<String>,
    data: Vec<u8>,
    counters: CaptureCounters,
}

fn read(data: &[u8], step: usize) -> Result<Outcome, String> {
    let trickle = Trickle { data: data.to_vec(), at: 0, step };
    let mut reader =
        Reader::new("fuzz", SourceId(0), trickle).map_err(|error| error.to_string())?;
    let mut outcome =
        Outcome { lines: Vec::new(), data: Vec::new(), counters: CaptureCounters::default() };
    let mut block = Block::new();
    let mut number = 0;
    for _ in 0..MAX_BLOCKS {
        match reader.fill(&mut block) {
            Ok(Fill::Block) => {}
            Ok(Fill::End) => break,
            Err(error) => {
                outcome.lines.push(error.to_string());
                continue;
            }
        }
        for frame in block.frames() {
            number += 1;
            assert_eq!(frame.number, number);
            outcome.lines.push(format!(
                "{} {:?} {:?} {} of {}",
                frame.time,
                frame.link,
                frame.source,
                frame.data.len(),
                frame.original_len
            ));
            outcome.data.extend_from_slice(frame.data);
        }
        outcome.lines.push(format!("{:?}", block.secrets()));
    }
    outcome.counters = *reader.counters();
    Ok(outcome)
}
