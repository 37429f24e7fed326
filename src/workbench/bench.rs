//! Speed of a set: a set and one to compare it with in; sizes, build times, bytes
//! per second and what each signature has of it, out.
//!
//! Both sets see the same made-up traffic in turn, in the same process, so that
//! their ratio says more than either figure.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::check::read;
use super::traffic::Traffic;
use super::wire::Frames;
use crate::engine::{Engine, Worker};
use crate::findings::Row;
use crate::signature::{
    Field, FieldClass, FieldMatcher, HitSet, Matcher, NameField, Report as Problems,
    SignatureIndex, SignatureSet,
};
use crate::stream::Direction;

/// Bytes of values for one field.
const FIELD_BYTES: usize = 1 << 20;

/// Bytes of the exchanges.
const EXCHANGE_BYTES: usize = 8 << 20;

/// Time for compiling signatures one by one, at most.
const ONE_BY_ONE: Duration = Duration::from_secs(10);

/// What to measure, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// The set; the shipped one if empty.
    pub paths: Vec<PathBuf>,
    /// The set to compare it with; the shipped one if empty.
    pub baseline: Vec<PathBuf>,
    /// Rounds, of which the best counts.
    pub runs: usize,
    /// The traffic is the same for the same seed.
    pub seed: u64,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The set.
    pub set: Load,
    /// The set that it is compared with, unless that is the same.
    pub baseline: Option<Load>,
    /// The fields, the largest first.
    pub fields: Vec<FieldSpeed>,
    /// Packets of whole exchanges through the whole engine.
    pub engine: Speed,
    /// What each signature takes and hits, the largest first.
    pub signatures: Vec<Share>,
    /// Signatures that were not looked at one by one for want of time.
    pub unmeasured: usize,
}

/// What loading a set takes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Signatures.
    pub signatures: usize,
    /// Exact names and suffixes.
    pub names: usize,
    /// Time to read the files.
    pub read: Duration,
    /// Time to compile them, on as many threads as there are processors.
    pub build: Duration,
    /// Bytes of its automata.
    pub bytes: usize,
}

/// Bytes in the time of the best round, of the set and of its baseline.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Bytes of each round.
    pub bytes: usize,
    /// Time of the set.
    pub time: Duration,
    /// Time of the baseline, if there is one and it looks here.
    pub baseline: Option<Duration>,
}

impl Speed {
    /// Bytes per second.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The set's speed as a part of the baseline's.
    pub fn ratio(&self) -> Option<f64> {
        let own = self.time.as_secs_f64().max(f64::MIN_POSITIVE);
        self.baseline.map(|baseline| baseline.as_secs_f64() / own)
    }
}

/// The automaton of a field.
#[derive(Clone, Debug)]
pub struct FieldSpeed {
    /// The field, or `names` for the host-like fields together.
    pub field: String,
    /// Patterns.
    pub patterns: usize,
    /// DFAs.
    pub dfas: usize,
    /// Bytes of the automaton.
    pub bytes: usize,
    /// Time that it took to build.
    pub build: Duration,
    /// Values of that field.
    pub speed: Speed,
}

/// What one signature has of a set.
#[derive(Clone, Debug)]
pub struct Share {
    /// The signature.
    pub id: Box<str>,
    /// Bytes of its automata if it were alone.
    pub bytes: usize,
    /// Time to build these.
    pub build: Duration,
    /// Its part of the sum of all such bytes.
    pub share: f64,
    /// Of the made-up exchanges, in how many it hit.
    pub hits: usize,
    /// How many exchanges there were.
    pub exchanges: usize,
}

/// Measures a set.
///
/// # Errors
/// If a set cannot be read or compiled.
pub fn measure(options: &Options) -> Result<Measured, Problems> {
    let (set, load, engine) = open(&options.paths)?;
    let alone = options.paths.is_empty() && options.baseline.is_empty();
    let other = if alone { None } else { Some(open(&options.baseline)?) };
    let baseline = other.as_ref().map(|(_, _, engine)| engine);
    let mut traffic = Traffic::new(options.seed);
    let fields =
        fields(engine.matcher(), baseline.map(Engine::matcher), &mut traffic, options.runs);
    let exchanges = traffic.exchanges(EXCHANGE_BYTES);
    let speed = engines(&engine, baseline, &exchanges, options.runs);
    let (signatures, unmeasured) = shares(&set, &hits(&engine, &exchanges), exchanges.len());
    Ok(Measured {
        set: load,
        baseline: other.map(|(_, load, _)| load),
        fields,
        engine: speed,
        signatures,
        unmeasured,
    })
}

fn open(paths: &[PathBuf]) -> Result<(SignatureSet, Load, Engine), Problems> {
    let start = Instant::now();
    let set = read(paths)?;
    let read = start.elapsed();
    let start = Instant::now();
    let engine = Engine::builder().signatures(set.clone()).build()?;
    let load = Load {
        signatures: set.len(),
        names: engine.matcher().known_names(),
        read,
        build: start.elapsed(),
        bytes: engine.matcher().automata().iter().map(|automaton| automaton.bytes).sum(),
    };
    Ok((set, load, engine))
}

/// Times the set and its baseline in turn.
fn contest(
    runs: usize,
    mut set: impl FnMut(),
    baseline: Option<&mut dyn FnMut()>,
) -> [Duration; 2] {
    let mut none = || {};
    let baseline: &mut dyn FnMut() = baseline.unwrap_or(&mut none);
    let mut best = [Duration::MAX; 2];
    for _ in 0..runs.max(1) {
        let contestants: [&mut dyn FnMut(); 2] = [baseline, &mut set];
        for (run, best) in contestants.into_iter().zip(&mut best) {
            let start = Instant::now();
            run();
            *best = start.elapsed().min(*best);
        }
    }
    let [baseline, set] = best;
    [set, baseline]
}

fn fields(
    matcher: &Matcher,
    baseline: Option<&Matcher>,
    traffic: &mut Traffic,
    runs: usize,
) -> Vec<FieldSpeed> {
    let infos = matcher.automata();
    let timed = infos.into_iter().filter_map(|info| {
        let mut set = Runner::new(matcher, &info.field)?;
        let mut other = baseline.and_then(|baseline| Runner::new(baseline, &info.field));
        let values = values(traffic, &set.kind);
        let bytes = values.iter().map(String::len).sum();
        let mut run_other = || {
            if let Some(other) = &mut other {
                other.run(&values);
            }
        };
        let [time, baseline_time] = contest(runs, || set.run(&values), Some(&mut run_other));
        Some(FieldSpeed {
            field: info.field,
            patterns: info.patterns,
            dfas: info.dfas,
            bytes: info.bytes,
            build: info.build,
            speed: Speed { bytes, time, baseline: other.is_some().then_some(baseline_time) },
        })
    });
    timed.collect()
}

fn values(traffic: &mut Traffic, kind: &Kind<'_>) -> Vec<String> {
    let field = match kind {
        Kind::Names => Field::HttpHost,
        Kind::Field(field, _) => field.clone(),
    };
    let mut values = Vec::new();
    let mut bytes = 0;
    while bytes < FIELD_BYTES {
        let value = traffic.value(&field);
        bytes += value.len();
        values.push(value);
    }
    values
}

/// Runs values of a field through its matcher.
struct Runner<'m> {
    matcher: &'m Matcher,
    kind: Kind<'m>,
    hits: HitSet,
}

enum Kind<'m> {
    Names,
    Field(Field, &'m FieldMatcher),
}

impl<'m> Runner<'m> {
    fn new(matcher: &'m Matcher, field: &str) -> Option<Self> {
        let kind = match Field::parse(field) {
            None => Kind::Names,
            Some(field) => {
                let found = matcher.any_field(&field)?;
                Kind::Field(field, found)
            }
        };
        Some(Self { matcher, kind, hits: HitSet::new() })
    }

    fn run(&mut self, values: &[String]) {
        for value in values {
            self.hits.clear();
            let (bytes, hits) = (value.as_bytes(), &mut self.hits);
            match &self.kind {
                Kind::Names => self.matcher.name(NameField::HttpHost, bytes, hits),
                Kind::Field(field, matcher) if field.class() == FieldClass::Json => {
                    let mut cursor = matcher.start(Direction::ToServer, hits);
                    matcher.feed(&mut cursor, bytes, hits);
                    matcher.finish(&cursor, hits);
                }
                Kind::Field(_, matcher) => matcher.value(Direction::ToServer, bytes, hits),
            }
            black_box(&self.hits);
        }
    }
}

fn engines(engine: &Engine, baseline: Option<&Engine>, exchanges: &[Frames], runs: usize) -> Speed {
    let bytes = exchanges.iter().map(Frames::bytes).sum();
    let mut other = || {
        if let Some(baseline) = baseline {
            replay(&mut baseline.worker(), exchanges, |_| {});
        }
    };
    let [time, baseline_time] =
        contest(runs, || replay(&mut engine.worker(), exchanges, |_| {}), Some(&mut other));
    Speed { bytes, time, baseline: baseline.map(|_| baseline_time) }
}

fn replay(worker: &mut Worker, exchanges: &[Frames], mut each: impl FnMut(&mut Worker)) {
    let mut rows: Vec<Row> = Vec::new();
    let mut number = 1;
    for frames in exchanges {
        for frame in frames.iter(number) {
            worker.on_frame(&frame, &mut rows);
        }
        number += frames.len() as u64;
        rows.clear();
        each(worker);
    }
}

/// In how many exchanges each signature hit.
fn hits(engine: &Engine, exchanges: &[Frames]) -> HashMap<SignatureIndex, usize> {
    let mut hits = HashMap::new();
    let mut worker = engine.worker();
    worker.trace();
    replay(&mut worker, exchanges, |worker| {
        for signature in worker.take_trace().iter() {
            *hits.entry(signature).or_default() += 1;
        }
    });
    hits
}

fn shares(
    set: &SignatureSet,
    hits: &HashMap<SignatureIndex, usize>,
    exchanges: usize,
) -> (Vec<Share>, usize) {
    let begin = Instant::now();
    let mut shares = Vec::new();
    for (index, signature) in set.signatures().iter().enumerate() {
        if begin.elapsed() > ONE_BY_ONE {
            break;
        }
        let start = Instant::now();
        let Ok((alone, _)) = SignatureSet::single(signature.clone()).compile() else { continue };
        shares.push(Share {
            id: signature.id.clone(),
            bytes: alone.automata().iter().map(|automaton| automaton.bytes).sum(),
            build: start.elapsed(),
            share: 0.0,
            hits: hits.get(&SignatureIndex(index as u32)).copied().unwrap_or(0),
            exchanges,
        });
    }
    let sum: usize = shares.iter().map(|share| share.bytes).sum();
    for share in &mut shares {
        share.share = share.bytes as f64 / sum.max(1) as f64;
    }
    let unmeasured = set.len() - shares.len();
    shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.id.cmp(&b.id)));
    (shares, unmeasured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(paths: Vec<PathBuf>) -> Options {
        Options { paths, baseline: Vec::new(), runs: 1, seed: 1 }
    }

    #[test]
    fn every_field_and_signature_of_the_shipped_set_is_measured() {
        let measured = measure(&options(Vec::new())).unwrap();
        assert_eq!(measured.set.signatures, SignatureSet::builtin().len());
        assert_eq!(measured.signatures.len() + measured.unmeasured, measured.set.signatures);
        assert!(measured.baseline.is_none() && measured.engine.ratio().is_none());
        let fields: Vec<&str> = measured.fields.iter().map(|field| &*field.field).collect();
        for field in ["names", "http.path", "http.body", "http.header.mcp-session-id"] {
            assert!(fields.contains(&field), "{field} is not in {fields:?}");
        }
        assert!(measured.fields.iter().all(|field| field.speed.rate() > 0.0));
        assert!(measured.engine.bytes >= EXCHANGE_BYTES);
    }

    #[test]
    fn another_set_is_compared_with_the_shipped_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.toml");
        let text = "version = 1\n[[signature]]\nid = 'a'\ntitle = 't'\nstrength = 'weak'\n\
                    field = 'http.path'\nsubstring = '/'\n";
        std::fs::write(&path, text).unwrap();
        let measured = measure(&options(vec![path])).unwrap();
        assert!(measured.engine.ratio().is_some_and(|ratio| ratio > 0.0));
        let [share] = measured.signatures.as_slice() else { panic!("{:?}", measured.signatures) };
        assert_eq!(share.hits, share.exchanges);
        assert!((share.share - 1.0).abs() < f64::EPSILON);
    }
}
