//! JSON-RPC over TCP without HTTP: one stream, with gaps, cut anywhere.
//!
//! Input: a seed for the cuts, then steps (see `input.rs`) whose direction does
//! not matter.

use mcpwatch::mcp::{Framing, Message, RawStream, ScanCounters};

use super::input::{Cut, Input, Step, steps};
use super::messages::Seen;

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.byte();
    let steps = steps(input);
    let whole = read(&steps, Cut::Whole);
    for cut in Cut::others(seed) {
        assert_eq!(read(&steps, cut), whole, "{cut:?}");
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    seen: Vec<Seen>,
    framing: Option<Framing>,
    counters: ScanCounters,
}

fn read(steps: &[Step<'_>], cut: Cut) -> Outcome {
    let mut stream = RawStream::new();
    let mut seen = Vec::new();
    let mut sink = |message: &Message| seen.push(Seen::of(message));
    for step in steps {
        match *step {
            Step::Data(_, data) => {
                for piece in cut.pieces(data) {
                    stream.feed(piece, &mut sink);
                }
            }
            Step::Gap(_, len) => stream.gap(len, &mut sink),
            Step::End(_) => stream.finish(true, &mut sink),
        }
    }
    let framing = stream.framing();
    stream.finish(false, &mut sink);
    Outcome { seen, framing, counters: *stream.counters() }
}
