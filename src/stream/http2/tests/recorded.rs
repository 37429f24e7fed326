//! A connection of another implementation (python-h2 4.4): Huffman code, tables
//! of other sizes than usual, padding, trailers. What its two sides were
//! told to send is in `expected.txt`; `generate.py` wrote it all.

use super::support::*;
use crate::stream::http2::*;
use crate::stream::testing::Cut;

#[test]
fn is_read_as_it_was_sent() {
    let steps = [
        Step::C(include_bytes!("recorded/client.bin").to_vec()),
        Step::S(include_bytes!("recorded/server.bin").to_vec()),
    ];
    let expected: Vec<_> = include_str!("recorded/expected.txt").lines().collect();
    for cut in Cut::all() {
        let mut http = Http2::new(Http2Limits::default());
        let mut sink = Recorder { with_fields: true, ..Recorder::default() };
        let outcome = drive(&mut http, &steps, cut, &mut sink);
        assert_eq!(outcome.log, expected, "{cut:?}");
        let counters = outcome.counters;
        assert_eq!((counters.requests, counters.responses), (12, 12));
        assert_eq!((counters.interim_responses, counters.trailers), (1, 4));
        assert_eq!(counters.incomplete_heads + counters.irregular_heads + counters.bad_frames, 0);
    }
}
