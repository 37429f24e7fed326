//! Key logs that grow while the sensor runs: paths in, secrets as they come out.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::log;
use crate::metrics::Metrics;
use crate::stream::tls::{KeyLogFollower, KeyLogPart};

/// How often files are looked at. A client logs its secrets while it shakes hands; the
/// connection may be over within a tenth of a second, and nothing of it is kept then.
const LOOK: Duration = Duration::from_millis(20);

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
}

impl Followed {
    fn new(path: PathBuf) -> Self {
        Self { log: KeyLogFollower::new(path), trouble: None }
    }

    fn look(&mut self) -> Option<KeyLogPart> {
        let looked = self.log.look();
        let path = self.log.path().display().to_string();
        match looked {
            Ok(part) => {
                self.trouble = None;
                if let Some(first) = part.errors().first() {
                    let bad = part.counters().bad_lines;
                    let message = format!("{path}: {first}; {bad} lines passed over");
                    let entry = log::warning("key_log_lines", message);
                    entry.with("file", path).with("bad_lines", bad).say();
                }
                (!part.is_empty()).then_some(part)
            }
            Err(error) => {
                // Once, not with every look.
                if self.trouble.replace(error.kind()) != Some(error.kind()) {
                    let message = format!("{path}: {error}; waiting for it");
                    log::warning("key_log_unreadable", message).with("file", path).say();
                }
                None
            }
        }
    }
}
