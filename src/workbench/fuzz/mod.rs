//! Fuzzing of signature sets and of the engine beneath them: a set and a seed in;
//! what is wrong, each with a small capture that shows it, out.
//!
//! Cases are made from a grammar, not from bytes: conversations of MCP, examples
//! of the set, look-alikes, and values of fields, which are then rewritten, cut,
//! disordered and damaged. A case follows from the seed and its number alone,
//! whatever the machine and the number of threads.
//!
//! Of the engine is asked that it does not panic, that results do not depend on
//! how connections are cut, that automata and scanner say what plain readings
//! say, and that its time grows with the input. Of the set, that nothing strong
//! hits a look-alike, and that examples match however they are written.

mod case;
mod check;
mod facts;
mod generate;
mod growth;
mod json;
mod lookalike;
mod minimise;
mod oracle;
mod values;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use self::check::Kind;
use self::check::{Bench, Wrong};
use self::generate::Generator;
use self::oracle::Reference;
use super::report::{Case as Checked, Command, Extent, Report};
use super::tls;
use crate::capture::{LinkType, PcapWriter, Precision};
use crate::detect::FindingOptions;
use crate::engine::Engine;
use crate::signature::{self, Diagnostic, Severity, Signature, SignatureIndex, SignatureSet};

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which cases.
    pub seed: u64,
    /// How many.
    pub bound: Bound,
    /// Threads.
    pub jobs: NonZeroUsize,
    /// Whether to take the time of inputs that grow.
    pub clock: bool,
}

/// How many cases are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// As many as there is time for.
    Time(Duration),
    /// So many, from the first.
    Cases(u64),
    /// The one of that number.
    Case(u64),
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which cases were run.
    pub extent: Extent,
    /// What is wrong, in the order of kinds and signatures.
    pub failures: Vec<Failure>,
}

/// What is wrong, once for each kind and signature.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind of thing.
    pub kind: Kind,
    /// The signature that it is about, if it is about one.
    pub signature: Option<SignatureIndex>,
    /// One sentence.
    pub detail: String,
    /// The number of the first case.
    pub case: u64,
    /// Cases in which it is wrong.
    pub count: u64,
    /// A capture that shows it; none if no traffic carries it.
    pub capture: Option<Vec<u8>>,
    /// Whether the capture is read with a key log.
    pub encrypted: bool,
}

/// Runs cases until there are enough, or `stop` is set.
///
/// # Errors
/// If the set cannot be compiled.
pub fn fuzz(
    set: &SignatureSet,
    options: &Options,
    stop: &AtomicBool,
) -> Result<Outcome, signature::Report> {
    let findings = FindingOptions { messages: true, ..FindingOptions::default() };
    let engine =
        Engine::builder().signatures(set.clone()).keys(tls::keys()).findings(findings).build()?;
    let reference = Reference::of(set);
    let bench = Bench { set, engine: &engine, reference, clock: options.clock };
    Ok(run(&bench, options, stop))
}

/// What is wrong, and the number of the first case in which it is.
type Found = BTreeMap<(Kind, Option<SignatureIndex>, String), (u64, Wrong, u64)>;

fn run(bench: &Bench<'_>, options: &Options, stop: &AtomicBool) -> Outcome {
    let start = Instant::now();
    let generator = Generator::new(bench.set, options.seed);
    let (first, end, time) = match options.bound {
        Bound::Time(time) => (0, u64::MAX, time),
        Bound::Cases(count) => (0, count, Duration::MAX),
        Bound::Case(number) => (number, number.saturating_add(1), Duration::MAX),
    };
    let next = AtomicU64::new(first);
    let ran = AtomicU64::new(0);
    let found = Mutex::new(Found::new());
    let work = || {
        while !stop.load(Ordering::Relaxed) && start.elapsed() < time {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return;
            }
            let wrong = bench.examine(&generator.case(number));
            ran.fetch_add(1, Ordering::Relaxed);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.into_iter().for_each(|wrong| note(&mut found, number, wrong));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.jobs.get() {
            scope.spawn(work);
        }
        work();
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failures = found.into_values().map(|(number, wrong, count)| {
        let mut case = generator.case(number);
        let mut wrong = wrong;
        // Who interrupts does not want to wait.
        if !stop.load(Ordering::Relaxed) {
            (case, wrong) = minimise::minimise(bench, case, wrong);
        }
        let capture = case.capture(wrong.kind).and_then(|frames| pcap(&frames).ok());
        let encrypted = case.is_encrypted();
        let Wrong { kind, signature, detail, .. } = wrong;
        Failure { kind, signature, detail, case: number, count, capture, encrypted }
    });
    let failures = failures.collect();
    let extent = Extent {
        seed: options.seed,
        cases: ran.into_inner(),
        seconds: start.elapsed().as_secs_f64(),
    };
    Outcome { extent, failures }
}

/// Keeps the first case of each.
fn note(found: &mut Found, number: u64, wrong: Wrong) {
    let (kind, signature, subject) = wrong.key();
    match found.entry((kind, signature, subject.to_owned())) {
        Entry::Vacant(new) => {
            new.insert((number, wrong, 1));
        }
        Entry::Occupied(mut known) => {
            let (first, kept, count) = known.get_mut();
            *count += 1;
            if number < *first {
                (*first, *kept) = (number, wrong);
            }
        }
    }
}

fn pcap(frames: &super::carrier::Frames) -> io::Result<Vec<u8>> {
    let mut writer = PcapWriter::new(Vec::new(), LinkType::ETHERNET, Precision::Micros)?;
    for frame in frames.iter(1) {
        writer.frame(frame.time, frame.data, frame.original_len)?;
    }
    writer.finish()
}

impl Outcome {
    /// Writes the captures of all failures to a folder, which is made if there are
    /// any, and a key log beside those that need one; gives the path of each capture.
    ///
    /// # Errors
    /// If the folder or a file cannot be written.
    pub fn save(&self, folder: &Path, set: &SignatureSet) -> io::Result<Vec<Option<PathBuf>>> {
        let saved = self.failures.iter().map(|failure| {
            let Some(capture) = &failure.capture else { return Ok(None) };
            fs::create_dir_all(folder)?;
            let id = failure.signature.map_or("engine", |index| &*set.signature(index).id);
            let Extent { seed, .. } = self.extent;
            let code = failure.kind.code();
            let path = folder.join(format!("{code}-{id}-{seed}-{}.pcap", failure.case));
            let mut file = BufWriter::new(File::create(&path)?);
            io::Write::write_all(&mut file, capture)?;
            io::Write::flush(&mut file)?;
            if failure.encrypted {
                fs::write(path.with_extension("keylog"), tls::key_log())?;
            }
            Ok(Some(path))
        });
        saved.collect()
    }

    /// The outcome as a report: a case for each kind of failure that there is not,
    /// and for each failure. `captures` are where those of the failures lie.
    pub fn report(&self, set: &SignatureSet, captures: &[Option<PathBuf>]) -> Report {
        let failed = |kind| self.failures.iter().any(|failure| failure.kind == kind);
        let passed = Kind::ALL.into_iter().filter(|&kind| !failed(kind));
        let mut cases: Vec<_> = passed.map(|kind| Checked::passed("fuzz", kind.code())).collect();
        let none = std::iter::repeat(&None);
        for (failure, capture) in self.failures.iter().zip(captures.iter().chain(none)) {
            let signature = failure.signature.map(|index| set.signature(index));
            let suite = signature.map_or("engine", |signature| &*signature.id);
            let problem = self.problem(failure, signature, capture.as_deref());
            cases.push(Checked::failed(suite, failure.kind.code(), problem));
        }
        let mut report = Report::new(Command::Fuzz, set.len(), cases);
        report.set_extent(self.extent);
        report
    }

    fn problem(
        &self,
        failure: &Failure,
        signature: Option<&Signature>,
        capture: Option<&Path>,
    ) -> Diagnostic {
        let Failure { kind, detail, case, count, .. } = failure;
        let Extent { seed, .. } = self.extent;
        let times = if *count > 1 { format!(", and {} more", count - 1) } else { String::new() };
        let message = format!("{detail} (seed {seed}, case {case}{times})");
        let mut problem = match signature {
            Some(signature) => Diagnostic::about(Severity::Error, kind.code(), signature, &message)
                .at(signature.clause.location.clone()),
            None => Diagnostic::new(Severity::Error, kind.code(), message),
        };
        let again = format!("`mcpwatch signatures fuzz --seed {seed} --case {case}` runs it again");
        problem.help = Some(match capture {
            Some(path) if failure.encrypted => {
                let keys = path.with_extension("keylog");
                format!("{} with the keys in {} shows it; {again}", path.display(), keys.display())
            }
            Some(path) => format!("{} shows it; {again}", path.display()),
            None => again,
        });
        problem
    }
}

#[cfg(test)]
mod tests;
