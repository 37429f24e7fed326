//! HTTP/1: both directions of a connection, with gaps, cut anywhere.
//!
//! Input: a byte of options (bit 0: small limits, bit 1: bodies are skipped), a
//! seed for the cuts, then steps (see `input.rs`).

use mcpwatch::stream::Direction;
use mcpwatch::stream::http1::{Http1, Http1Counters, Http1Limits, Progress, Switch};

use super::compare::{same_counters, same_list};
use super::exchanges::Log;
use super::input::{Cut, Input, Step, steps};

const SMALL: Http1Limits =
    Http1Limits { head_bytes: 200, outstanding: 2, held_bytes: 20, search_bytes: 2000 };

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte(), input.byte());
    let steps = steps(input);
    let whole = read(&steps, Cut::Whole, options);
    for cut in Cut::others(seed) {
        let other = read(&steps, cut, options);
        same_list(&other.0, &whole.0, cut);
        same_counters(&other.1, &whole.1, Http1Counters::each, cut);
    }
}

fn read(steps: &[Step<'_>], cut: Cut, options: u8) -> (Vec<String>, Http1Counters) {
    let limits = if options & 1 == 0 { Http1Limits::default() } else { SMALL };
    let mut reader =
        Reader { http: Http1::new(limits), log: Log::new(options & 2 != 0), state: State::Http };
    for step in steps {
        match *step {
            Step::Data(direction, data) => {
                cut.pieces(data).for_each(|piece| reader.feed(direction, piece));
            }
            Step::Gap(direction, len) => reader.gap(direction, len),
            Step::End(direction) => reader.end(direction),
        }
    }
    reader.finish()
}

struct Reader {
    http: Http1,
    log: Log,
    state: State,
}

enum State {
    Http,
    /// It said that it is no HTTP.
    GivenUp,
    /// It turned to another protocol; what came since, by direction.
    Switched([Vec<u8>; 2]),
}

impl Reader {
    fn feed(&mut self, direction: Direction, data: &[u8]) {
        match &mut self.state {
            State::Http => {
                let progress = self.http.feed(direction, data, &mut self.log);
                self.progress(progress, direction, data);
            }
            State::GivenUp => {}
            State::Switched(after) => after[direction.index()].extend_from_slice(data),
        }
    }

    fn gap(&mut self, direction: Direction, len: u64) {
        if let State::Http = self.state {
            let progress = self.http.gap(direction, len, &mut self.log);
            self.progress(progress, direction, b"");
        }
    }

    fn end(&mut self, direction: Direction) {
        if let State::Http = self.state {
            let progress = self.http.end(direction, &mut self.log);
            self.progress(progress, direction, b"");
        }
    }

    fn progress(&mut self, progress: Progress, direction: Direction, data: &[u8]) {
        match progress {
            Progress::Continue => {}
            Progress::NotHttp => {
                self.log.line("not HTTP".to_owned());
                self.state = State::GivenUp;
            }
            Progress::Switched { consumed, switch } => {
                let Switch { exchange, protocol, answered, held } = *switch;
                self.log.line(format!("{exchange:?}: {protocol:?}, answered: {answered}"));
                self.log.line(format!("lost: {:?}", held.each_ref().map(|held| held.lost)));
                let mut after = held.map(|held| held.bytes);
                after[direction.index()].extend_from_slice(&data[consumed..]);
                self.state = State::Switched(after);
            }
        }
    }

    fn finish(mut self) -> (Vec<String>, Http1Counters) {
        self.http.close(&mut self.log);
        let counters = *self.http.counters();
        let mut lines = self.log.finish();
        if let State::Switched(after) = self.state {
            lines.extend(after.iter().map(|bytes| bytes.escape_ascii().to_string()));
        }
        (lines, counters)
    }
}
