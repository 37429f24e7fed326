//! Key logs that grow while the sensor runs: paths in, secrets as they come out.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::log::{self, Entry};
use crate::metrics::Metrics;
use crate::stream::tls::{KeyLogError, KeyLogFollower, KeyLogPart};

/// How often files are looked at. A client logs its secrets while it shakes hands; the
/// connection may be over within a tenth of a second, and nothing of it is kept then.
const LOOK: Duration = Duration::from_millis(20);

/// How often malformed lines of a log are told of, at most.
const WARN: Duration = Duration::from_secs(10);

/// Looks that may wait to be taken over.
const WAITING: usize = 4;

/// Follows key logs in a thread of its own: a file system that hangs must not hold
/// up packets.
pub(super) struct KeyLogs {
    parts: Option<Receiver<KeyLogPart>>,
    again: Arc<AtomicBool>,
}

impl KeyLogs {
    /// Follows these, from their beginning.
    pub(super) fn follow(paths: &[PathBuf], metrics: Arc<Metrics>) -> Result<Self, String> {
        let again = Arc::new(AtomicBool::new(false));
        if paths.is_empty() {
            return Ok(Self { parts: None, again });
        }
        let (send, parts) = bounded(WAITING);
        let followed: Vec<_> = paths.iter().cloned().map(Followed::new).collect();
        let asked = Arc::clone(&again);
        thread::Builder::new()
            .name("keylog".to_owned())
            .spawn(move || follow(followed, &asked, &send, &metrics))
            .map_err(|error| format!("--keylog: {error}"))?;
        Ok(Self { parts: Some(parts), again })
    }

    /// What came, if something did.
    pub(super) fn take(&self) -> Option<KeyLogPart> {
        self.parts.as_ref()?.try_recv().ok()
    }

    /// Reads everything anew: who uses the secrets has forgotten those that came.
    pub(super) fn read_again(&self) {
        self.again.store(true, Ordering::Relaxed);
    }
}

fn follow(
    mut followed: Vec<Followed>,
    again: &AtomicBool,
    parts: &Sender<KeyLogPart>,
    metrics: &Metrics,
) {
    loop {
        if again.swap(false, Ordering::Relaxed) {
            followed.iter_mut().for_each(|it| it.log.restart());
        }
        for part in followed.iter_mut().filter_map(Followed::look) {
            let counters = *part.counters();
            if parts.send(part).is_err() {
                return;
            }
            metrics.keys(&counters);
        }
        thread::sleep(LOOK);
    }
}

struct Followed {
    log: KeyLogFollower,
    /// What the last look failed for.
    trouble: Option<ErrorKind>,
    /// Malformed lines that were not told of yet, and the first of them.
    bad: u64,
    first: Option<KeyLogError>,
    warned: Option<Instant>,
}

impl Followed {
    fn new(path: PathBuf) -> Self {
        let log = KeyLogFollower::new(path);
        Self { log, trouble: None, bad: 0, first: None, warned: None }
    }

    fn look(&mut self) -> Option<KeyLogPart> {
        match self.log.look() {
            Ok(part) => {
                self.trouble = None;
                self.bad += part.counters().bad_lines;
                self.first = self.first.or(part.errors().first().copied());
                self.warn(Instant::now()).iter().for_each(Entry::say);
                (!part.is_empty()).then_some(part)
            }
            Err(error) => {
                // Once, not with every look.
                if self.trouble.replace(error.kind()) != Some(error.kind()) {
                    let path = self.log.path().display().to_string();
                    let message = format!("{path}: {error}; waiting for it");
                    log::warning("key_log_unreadable", message).with("file", path).say();
                }
                None
            }
        }
    }

    /// What is to be said of malformed lines, now and then.
    fn warn(&mut self, now: Instant) -> Option<Entry> {
        if self.warned.is_some_and(|at| now.saturating_duration_since(at) < WARN) {
            return None;
        }
        let first = self.first.take()?;
        self.warned = Some(now);
        let (path, bad) = (self.log.path().display().to_string(), std::mem::take(&mut self.bad));
        let message = format!("{path}: {first}; {bad} malformed lines passed over");
        Some(log::warning("key_log_lines", message).with("file", path).with("bad_lines", bad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_lines_are_told_of_now_and_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        std::fs::write(&path, "one\ntwo\n# three\nfour\n").unwrap();
        let mut followed = Followed::new(path);
        let part = followed.log.look().unwrap();
        (followed.bad, followed.first) = (part.counters().bad_lines, Some(part.errors()[0]));
        let start = Instant::now();
        let told = followed.warn(start).unwrap().message();
        assert!(
            told.ends_with(
                "keys.log: line 1, column 1: not a label of a key log, such as \
                                CLIENT_RANDOM; 3 malformed lines passed over"
            ),
            "{told}"
        );
        assert_eq!(followed.warn(start + WARN), None);
        (followed.bad, followed.first) = (1, Some(part.errors()[1]));
        assert_eq!(followed.warn(start + WARN / 2), None);
        assert!(followed.warn(start + WARN).unwrap().message().contains("line 2"));
    }
}
