//! HTTP/2: both directions of a connection, with gaps, cut anywhere.
//!
//! Input: a byte of options (bit 0: small limits, bit 1: bodies are skipped, bit
//! 2: after an upgrade), a seed for the cuts, then steps (see `input.rs`).

use mcpwatch::stream::ExchangeId;
use mcpwatch::stream::http2::{Http2, Http2Counters, Http2Limits, Progress};

use super::compare::{same_counters, same_list};
use super::exchanges::Log;
use super::input::{Cut, Input, Step, steps};

const SMALL: Http2Limits = Http2Limits {
    header_bytes: 300,
    table_bytes: 200,
    continuations: 2,
    streams: 3,
    search_bytes: 2000,
};

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte(), input.byte());
    same_however_cut(&steps(input), Cut::others(seed), options);
}

/// Reads the steps whole and in each of the cuts.
pub(crate) fn same_however_cut(steps: &[Step<'_>], cuts: [Cut; 2], options: u8) {
    let whole = read(steps, Cut::Whole, options);
    for cut in cuts {
        let other = read(steps, cut, options);
        same_list(&other.0, &whole.0, cut);
        same_counters(&other.1, &whole.1, Http2Counters::each, cut);
    }
}

fn read(steps: &[Step<'_>], cut: Cut, options: u8) -> (Vec<String>, Http2Counters) {
    let limits = if options & 1 == 0 { Http2Limits::default() } else { SMALL };
    let upgraded = options & 4 != 0;
    let mut http = match upgraded {
        true => Http2::upgraded(limits, ExchangeId(0)),
        false => Http2::new(limits),
    };
    let mut log = Log::new(options & 2 != 0);
    for step in steps {
        let progress = match *step {
            Step::Data(direction, data) => cut
                .pieces(data)
                .map(|piece| http.feed(direction, piece, &mut log))
                .find(|progress| *progress == Progress::NotHttp)
                .unwrap_or(Progress::Continue),
            Step::Gap(direction, len) => http.gap(direction, len, &mut log),
            Step::End(direction) => http.end(direction, &mut log),
        };
        if progress == Progress::NotHttp {
            log.line("not HTTP/2".to_owned());
            break;
        }
    }
    http.close(&mut log);
    if upgraded {
        // That exchange is for the parser of HTTP/1 to end.
        log.forget(ExchangeId(0));
    }
    (log.finish(), *http.counters())
}
