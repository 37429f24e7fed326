//! Growth: a text repeated ever more often in; whether the engine's time grows
//! with it, or faster, out.
//!
//! Nothing counts the engine's work in all of its layers, so a clock must do. One
//! long text is held against as many bytes in short ones, in processor time where the
//! system tells it: a busy machine slows both down. What takes too long must do so in
//! every one of many rounds.

use std::time::Duration;

use super::generate::{event, header};
use crate::engine::Engine;
use crate::workbench::carrier::{Content, Cut, Frames, Http};
use crate::workbench::random::Random;
use crate::workbench::wire::{Connection, Side};

/// Bytes of the shortest text.
const BYTES: usize = 16 << 10;
/// How much longer the long one is.
const FACTOR: usize = 8;
/// How many times as long a long text may take as the same bytes in short ones: in
/// linear time as long, in quadratic time eight times.
const MARGIN: u32 = 4;
/// Rounds in each of which it must have taken longer.
const ROUNDS: usize = 12;
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
        let (short, long) = (self.frames(1), self.frames(FACTOR));
        let mut least = [Duration::MAX; 2];
        for _ in 0..ROUNDS {
            let round = [(0..FACTOR).map(|_| time(engine, &short)).sum(), time(engine, &long)];
            if !is_too_slow(round) {
                return None;
            }
            least = [0, 1].map(|at| round.get(at).min(least.get(at)).copied().unwrap_or_default());
        }
        let [short, long] = least;
        let Self { unit, place, .. } = self;
        Some(format!(
            "`{}` repeated in {place:?} takes {long:.1?} in one text of {} KiB, {short:.1?} in \
             {FACTOR} shorter ones",
            unit.escape_debug(),
            BYTES * FACTOR / 1024,
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
    let start = processor_time();
    for frame in frames.iter(1) {
        worker.on_frame(&frame, &mut rows);
    }
    worker.finish(&mut rows);
    processor_time().saturating_sub(start)
}

/// Time for which this thread has had a processor: what others do meanwhile does not
/// count.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// The time, where the system does not tell how much of it was this thread's.
#[cfg(not(target_os = "linux"))]
fn processor_time() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

/// Whether a long text takes far longer than as many bytes in short ones.
fn is_too_slow([short, long]: [Duration; 2]) -> bool {
    long > FLOOR && long > short * MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_far_from_linear_is_too_slow() {
        for (short, long, expected) in [
            (8_000, 8_000, false),
            (8_000, 20_000, false),
            (80, 640, false),
            (8_000, 64_000, true),
            (2_000, 12_000, true),
        ] {
            let round = [short, long].map(Duration::from_micros);
            assert_eq!(is_too_slow(round), expected, "{short} {long}");
        }
    }
}
