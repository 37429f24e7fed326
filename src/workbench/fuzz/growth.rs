//! Growth: a text repeated ever more often in; whether the engine's time grows
//! with it, or faster, out.
//!
//! Nothing counts the engine's work in all of its layers, so a clock must do. The
//! least of several runs is taken, and between linear and quadratic time there is
//! room enough for a busy machine.

use std::time::{Duration, Instant};

use super::generate::{event, header};
use crate::engine::Engine;
use crate::workbench::carrier::{Content, Cut, Frames, Http};
use crate::workbench::random::Random;
use crate::workbench::wire::{Connection, Side};

/// Bytes of the shortest text.
const BYTES: usize = 16 << 10;
/// How much longer the others are.
const FACTORS: [usize; 3] = [1, 2, 8];
/// Runs of each; of those that seem to take too long, so many more.
const RUNS: usize = 2;
const MORE_RUNS: usize = 12;
/// Time that is too short to be measured.
const FLOOR: Duration = Duration::from_millis(5);

/// What is repeated.
const UNITS: &[&str] = &[
    "\"method\":\"tools/call\",",
    "{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":1},",
    "[",
    "{\"a\":",
    "\\u0061",
    "\\\\",
    "\\",
    "\"",
    " ",
    "\n",
    "\\ud83d",
    "\"meth",
    "a/../",
    "%2e",
    "data: {}\n",
    "data: {}\n\n",
    ": \n",
    "a.",
    "x",
    "{\"method\":\"tools/call\",\"jsonrpc\":\"2.0\"}",
];

/// Where it is repeated.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Body,
    Text,
    Array,
    Events,
    Query,
    Header,
    Headers,
    Line,
}

const PLACES: &[Place] = &[
    Place::Body,
    Place::Text,
    Place::Array,
    Place::Events,
    Place::Query,
    Place::Header,
    Place::Headers,
    Place::Line,
];

/// A way in which a text grows.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    unit: String,
    place: Place,
    /// How its connections are cut.
    cut: Cut,
    disorder: Option<u64>,
}

impl Growth {
    /// One that follows from the number.
    pub(super) fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let mut unit = random.pick(UNITS).to_owned();
        if random.chance(2) {
            unit += random.pick(UNITS);
        }
        let place = random.pick(PLACES);
        let cut = if random.chance(4) { Cut::Random(seed) } else { Cut::Whole };
        let disorder = random.chance(4).then_some(seed);
        Self { unit, place, cut, disorder }
    }

    /// How much longer it takes than it should, if it does.
    pub(super) fn excess(&self, engine: &Engine) -> Option<String> {
        let frames = FACTORS.map(|factor| self.frames(factor));
        let mut least = [Duration::MAX; FACTORS.len()];
        for run in 0..RUNS + MORE_RUNS {
            for (least, frames) in least.iter_mut().zip(&frames) {
                *least = time(engine, frames).min(*least);
            }
            if run + 1 >= RUNS && !grows_faster(least) {
                return None;
            }
        }
        let bytes = FACTORS.map(|factor| format!("{} KiB", BYTES * factor / 1024));
        let took = least.map(|time| format!("{time:.1?}"));
        let Self { unit, place, .. } = self;
        Some(format!(
            "`{}` repeated in {place:?} to {} takes {}",
            unit.escape_debug(),
            bytes.join(", "),
            took.join(", ")
        ))
    }

    /// The frames of the shortest text.
    pub(super) fn shortest(&self) -> Frames {
        self.frames(1)
    }

    fn frames(&self, factor: usize) -> Frames {
        let text = self.unit.repeat(BYTES * factor / self.unit.len().max(1));
        let (port, turns) = match self.place {
            Place::Line => (4096, [format!("{{\"a\":{text}\n").into_bytes(), Vec::new()]),
            place => {
                let http = place.exchange(&text);
                (http.port, crate::workbench::bytes::http1(&http))
            }
        };
        let mut connection = Connection::open(30_000, port, self.cut);
        let mut random = self.disorder.map(Random::new);
        for (side, bytes) in [Side::Client, Side::Server].into_iter().zip(&turns) {
            match &mut random {
                Some(random) => connection.send_disordered(side, bytes, random),
                None => connection.send(side, bytes),
            }
        }
        connection.close()
    }
}

impl Place {
    fn exchange(self, text: &str) -> Http {
        let mut http = Http { method: "POST".to_owned(), ..Http::default() };
        let content = |text: String| Content { body: text.into_bytes(), ..Content::default() };
        match self {
            Self::Body | Self::Line => http.request = content(format!("{{{text}")),
            Self::Text => http.request = content(format!("{{\"jsonrpc\":\"2.0\",\"a\":\"{text}")),
            Self::Array => http.request = content(format!("[{text}")),
            Self::Events => http.response = content(event("message", text) + text),
            Self::Query => http.target = format!("/?{}", visible(text)).into_bytes(),
            Self::Header => http.headers.push(header("X-Long", &visible(text))),
            Self::Headers => {
                let lines = text.as_bytes().chunks(64).map(|_| header("X-Many", "1"));
                http.headers.extend(lines);
            }
        }
        http
    }
}

/// For where a head would end.
fn visible(text: &str) -> String {
    text.replace(['\n', ' '], "+")
}

fn time(engine: &Engine, frames: &Frames) -> Duration {
    let mut worker = engine.worker();
    let mut rows: Vec<crate::findings::Row> = Vec::new();
    let start = Instant::now();
    for frame in frames.iter(1) {
        worker.on_frame(&frame, &mut rows);
    }
    worker.finish(&mut rows);
    start.elapsed()
}

/// Whether times of texts once, twice and eight times as long grow faster than the
/// texts: in quadratic time they would be once, four and 64 times as long.
fn grows_faster([one, two, eight]: [Duration; 3]) -> bool {
    eight > FLOOR && eight > one * 28 && eight > two * 11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_far_from_linear_is_too_slow() {
        let times = |times: [u64; 3]| times.map(Duration::from_micros);
        for (seen, expected) in [
            ([1_000, 2_000, 8_000], false),
            ([1_000, 2_500, 20_000], false),
            ([10, 40, 640], false),
            ([1_000, 4_000, 64_000], true),
            ([300, 900, 12_000], true),
            ([5_000, 4_000, 64_000], false),
        ] {
            assert_eq!(grows_faster(times(seen)), expected, "{seen:?}");
        }
    }
}
