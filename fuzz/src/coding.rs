//! Content codings: a compressed body, cut anywhere.
//!
//! Input: a byte that chooses the `Content-Encoding`, a seed for the cuts, then
//! the body.

use std::ops::ControlFlow;

use mcpwatch::stream::coding::{CodingCounters, CodingLimits, DecodeError, Decoder};

use super::input::{Cut, Input};

const CODINGS: [&[u8]; 8] =
    [b"gzip", b"deflate", b"br", b"zstd", b"gzip, br", b"zstd, deflate", b"br, br", b"identity"];

const LIMITS: CodingLimits = CodingLimits { output_bytes: 2 << 20, ratio: 1000 };

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let coding = CODINGS[usize::from(input.byte()) % CODINGS.len()];
    let seed = input.byte();
    let body = input.rest();
    let whole = decode(coding, body, Cut::Whole);
    for cut in Cut::others(seed) {
        let other = decode(coding, body, cut);
        assert_eq!(other.finished, whole.finished, "{cut:?}");
        let is_corrupt = |it: &Decoded| matches!(it.outcome, Err(DecodeError::Corrupt(_)));
        if coding.windows(2).any(|part| part == b"br") && is_corrupt(&whole) {
            // Of a damaged block the decoder tells more or less, as it gets it; what
            // it tells may be damaged too, for the next decoder.
            assert!(is_corrupt(&other), "{cut:?}: {:?}", other.outcome);
            let (a, b) = (&other.plain, &whole.plain);
            assert!(a.starts_with(b) || b.starts_with(a), "{cut:?}: other bytes");
            continue;
        }
        assert_eq!(other.outcome, whole.outcome, "{cut:?}");
        assert_eq!(other.counters, whole.counters, "{cut:?}");
        assert!(other.plain == whole.plain, "{cut:?}: other bytes");
    }
}

#[derive(Debug, PartialEq)]
struct Decoded {
    plain: Vec<u8>,
    outcome: Result<ControlFlow<()>, DecodeError>,
    finished: bool,
    counters: CodingCounters,
}

fn decode(coding: &[u8], body: &[u8], cut: Cut) -> Decoded {
    let mut decoder = Decoder::for_header(coding, LIMITS).expect("a known coding");
    let mut decoded = Decoded {
        plain: Vec::new(),
        outcome: Ok(ControlFlow::Continue(())),
        finished: false,
        counters: CodingCounters::default(),
    };
    for piece in cut.pieces(body) {
        decoded.outcome = decoder.decode(piece, &mut decoded.counters, &mut |chunk| {
            assert!(!chunk.is_empty());
            decoded.plain.extend_from_slice(chunk);
            ControlFlow::Continue(())
        });
    }
    assert!(decoded.plain.len() as u64 <= LIMITS.output_bytes, "over the cap");
    decoded.finished = decoder.finish(&mut decoded.counters);
    // What comes after damage is not looked at.
    decoded.counters.bytes_in = 0;
    decoded
}
