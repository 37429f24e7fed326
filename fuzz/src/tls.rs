//! TLS: both directions of a connection, with gaps, cut anywhere, with keys and
//! without.
//!
//! Input: a byte of options (bit 0: keys may still come), a seed for the cuts,
//! the text of a key log after its length as a little-endian number of two
//! bytes, then steps (see `input.rs`).

use mcpwatch::stream::Direction;
use mcpwatch::stream::tls::{
    KeyLogReader, KeyStore, Tls, TlsCounters, TlsInfo, TlsLimits, TlsNews, TlsSink,
};

use super::compare::{same_counters, same_list};
use super::exchanges::Log;
use super::input::{Cut, Input, Step, sign, steps};

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte(), input.byte());
    let log = KeyLogReader::whole(input.sized());
    let keys = KeyStore::new().extended(log).growing(options & 1 != 0);
    let steps = steps(input);
    let whole = read(&steps, Cut::Whole, &keys);
    for cut in Cut::others(seed) {
        let other = read(&steps, cut, &keys);
        same_list(&other.0, &whole.0, cut);
        same_counters(&other.1, &whole.1, TlsCounters::each, cut);
    }
}

#[derive(Default)]
struct Sink {
    log: Log,
    at_rest: bool,
}

impl TlsSink for Sink {
    fn news(&mut self, news: TlsNews, info: &TlsInfo) {
        self.log.line(format!("{news:?} {info:?}"));
    }

    fn application_data(&mut self, direction: Direction, data: &[u8]) {
        assert!(!data.is_empty());
        self.log.data(format!("{}data ", sign(direction)), data);
    }

    fn application_gap(&mut self, direction: Direction, len: u64) {
        self.log.line(format!("{}gap {len}", sign(direction)));
    }

    fn application_end(&mut self, direction: Direction) {
        self.log.line(format!("{}end", sign(direction)));
    }

    fn nothing_more(&mut self) {
        assert!(!self.at_rest, "at rest twice");
        self.at_rest = true;
        self.log.line("nothing more".to_owned());
    }
}

fn read(steps: &[Step<'_>], cut: Cut, keys: &KeyStore) -> (Vec<String>, TlsCounters) {
    let mut tls = Tls::new(TlsLimits::default());
    let mut sink = Sink::default();
    for step in steps {
        match *step {
            Step::Data(direction, data) => {
                for piece in cut.pieces(data) {
                    if !sink.at_rest {
                        tls.feed(direction, piece, keys, &mut sink);
                    }
                }
            }
            _ if sink.at_rest => {}
            Step::Gap(direction, len) => tls.gap(direction, len, keys, &mut sink),
            Step::End(direction) => tls.end(direction, keys, &mut sink),
        }
    }
    tls.close(keys, &mut sink);
    (sink.log.finish(), *tls.counters())
}
