//! What `scan` and `sense` share: from arguments to what an engine is made of.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf, absolute};
use std::thread;

use zeroize::Zeroizing;

use super::args::{DetectionArgs, Level};
use super::{cache, log, print};
use crate::capture::FrameFilter;
use crate::detect::{FindingOptions, Pace};
use crate::engine::{Engine, Limits};
use crate::findings::Confidence;
use crate::policy::Policy;
use crate::signature::{Cache, Date, Diagnostic, SignatureSet};
use crate::stream::tls::{KeyLogPart, KeyLogReader, KeyStore};

/// The engine that the arguments describe, with these signatures. What their compiler
/// has to say is said.
pub(super) fn engine(
    args: &DetectionArgs,
    signatures: Signatures,
    keys: KeyStore,
    sources: Vec<String>,
    http_log: bool,
    limits: Limits,
    pace: Pace,
) -> Result<Engine, String> {
    let Signatures { set, cache } = signatures;
    let engine = Engine::builder()
        .signatures(set)
        .policy(policy(args)?)
        .keys(keys)
        .findings(FindingOptions { pace, ..findings(args, sources) })
        .http_log(http_log)
        .limits(limits)
        .build_cached(cache)
        .map_err(|report| report.to_string())?;
    warn(args, engine.warnings());
    Ok(engine)
}

/// Tells what the compiler of the signatures has to say.
pub(super) fn warn(args: &DetectionArgs, warnings: &[Diagnostic]) {
    if !args.quiet {
        warnings.iter().for_each(|it| log::warning("signatures", it.to_string()).say());
    }
}

/// Signatures, and what was compiled of them before.
pub(super) struct Signatures {
    pub(super) set: SignatureSet,
    pub(super) cache: Option<Cache>,
}

/// The signatures that the arguments name.
pub(super) fn signatures(args: &DetectionArgs) -> Result<Signatures, String> {
    // The cache is read on another thread, while the signatures are read here.
    let cache = cache(args);
    let mut set = match args.no_builtin_signatures {
        true => SignatureSet::new(),
        false => SignatureSet::builtin(),
    };
    let added = SignatureSet::load(&args.signatures).map_err(|report| report.to_string())?;
    set.merge(added).map_err(|report| report.to_string())?;
    set.expire(Date::today());
    Ok(Signatures { set, cache })
}

fn cache(args: &DetectionArgs) -> Option<Cache> {
    let files = args.signatures.iter().map(|path| absolute(path).unwrap_or_else(|_| path.clone()));
    let name = (args.no_builtin_signatures, files.collect::<Vec<_>>());
    Some(Cache::open(&cache::folder()?, name))
}

/// Reads key logs. An error names file and line, never what stands there.
pub(super) fn keys(paths: &[PathBuf]) -> Result<KeyStore, String> {
    add_keys(KeyStore::new(), paths, |text| vec![KeyLogReader::whole(text)])
}

/// Reads key logs that somebody may be writing to: their last lines may be begun
/// only.
pub(super) fn growing_keys(store: KeyStore, paths: &[PathBuf]) -> Result<KeyStore, String> {
    add_keys(store, paths, |text| {
        let begun = memchr::memrchr(b'\n', text).map_or(0, |end| end + 1);
        let (lines, last) = text.split_at(begun);
        let last = KeyLogReader::whole(last);
        let mut parts = vec![KeyLogReader::whole(lines)];
        parts.extend(Some(last).filter(|last| last.errors().is_empty()));
        parts
    })
}

fn add_keys(
    mut keys: KeyStore,
    paths: &[PathBuf],
    read: impl Fn(&[u8]) -> Vec<KeyLogPart>,
) -> Result<KeyStore, String> {
    let mut problems = Vec::new();
    for path in paths {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        for part in read(&Zeroizing::new(text)) {
            let errors = part.errors().iter();
            problems.extend(errors.map(|error| format!("{}: {error}", path.display())));
            keys = keys.extended(part);
        }
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems.join("\nmcpwatch: ")) }
}

/// The most workers that there can be.
const MOST_WORKERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// How many workers there are to be.
pub(super) fn workers(args: &DetectionArgs) -> NonZeroUsize {
    let asked = args.workers.and_then(|workers| NonZeroUsize::new(workers.into()));
    // As many as can be asked for: a group of rings has room for no more.
    let available = || Some(thread::available_parallelism().ok()?.min(MOST_WORKERS));
    asked.or_else(available).unwrap_or(NonZeroUsize::MIN)
}

/// Writes counters to where `--stats` says.
pub(super) fn write_stats(args: &DetectionArgs, text: &str) -> Result<(), String> {
    let Some(path) = &args.stats else { return Ok(()) };
    if path == Path::new("-") {
        print(|out| out.write_all(text.as_bytes()));
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The policy that the arguments name.
pub(super) fn policy(args: &DetectionArgs) -> Result<Policy, String> {
    match &args.policy {
        Some(path) => Policy::load(path).map_err(|error| error.to_string()),
        None => Ok(Policy::default()),
    }
}

/// The filter that the arguments name.
pub(super) fn filter(args: &DetectionArgs) -> Result<Option<FrameFilter>, String> {
    let compiled = args.filter.as_deref().map(FrameFilter::compile).transpose();
    compiled.map_err(|error| error.to_string())
}

/// What findings from these sources are to hold.
pub(super) fn findings(args: &DetectionArgs, sources: Vec<String>) -> FindingOptions {
    FindingOptions {
        messages: args.messages,
        min_confidence: args.min_confidence.into(),
        show_secrets: args.show_secrets,
        sensor: args.sensor.clone(),
        sources,
        pace: Pace::default(),
    }
}

impl From<Level> for Confidence {
    fn from(level: Level) -> Self {
        match level {
            Level::Possible => Self::Possible,
            Level::Likely => Self::Likely,
            Level::Confirmed => Self::Confirmed,
        }
    }
}
