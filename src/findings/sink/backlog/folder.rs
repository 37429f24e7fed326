//! The folder of one output's spool: numbered segments, a note of what has been
//! delivered, and a lock.

use std::cmp::Ordering;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::super::{SinkError, Target};
use crate::findings::output::sync_folder_of;

/// Says how many batches of which segment were delivered.
const NOTE: &str = "delivered";

/// What names of segments end in.
const EXTENSION: &str = "arrows";

/// A segment that an earlier process left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// Batches of it that were delivered.
    pub(super) delivered: u64,
}

/// The folder, held by this process alone.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The note; also what is locked.
    note: Arc<Mutex<File>>,
    /// What it said at the start.
    noted: (u64, u64),
    next: u64,
}

impl Folder {
    /// Opens the folder of an output in the folder of all spools.
    pub(super) fn open(spools: &Path, target: &Target) -> Result<Self, SinkError> {
        let path = spools.join(name(&target.0));
        let error = |error: io::Error| Target(path.display().to_string()).error(error);
        create(&path).map_err(error)?;
        sync_folder_of(&path);
        let mut options = OpenOptions::new();
        let note = options.read(true).write(true).create(true).truncate(false);
        let mut note = note.open(path.join(NOTE)).map_err(error)?;
        match note.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SinkError::SpoolInUse { path }),
            Err(TryLockError::Error(why)) => return Err(error(why)),
        }
        let mut text = String::new();
        // A damaged note is none: what was delivered is delivered again.
        let _ = note.read_to_string(&mut text);
        let noted = parse(&text).unwrap_or_default();
        let mut folder = Self { path, note: Arc::new(Mutex::new(note)), noted, next: 0 };
        let last = folder.segments().map_err(|why| target.error(why))?.last().map(|it| it.number);
        folder.next = last.unwrap_or(0).max(noted.0).saturating_add(1);
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a segment.
    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:010}.{EXTENSION}"))
    }

    /// The number of the first segment of this process.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// What an earlier process left, oldest first.
    pub(super) fn segments(&self) -> io::Result<Vec<Left>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(EXTENSION));
            let number = number.and_then(|it| it.strip_suffix('.')?.parse::<u64>().ok());
            let Some(number) = number else { continue };
            let delivered = match number.cmp(&self.noted.0) {
                Ordering::Less => u64::MAX,
                Ordering::Equal => self.noted.1,
                Ordering::Greater => 0,
            };
            segments.push(Left { number, bytes: entry.metadata()?.len(), delivered });
        }
        segments.sort_by_key(|segment| segment.number);
        Ok(segments)
    }

    /// Notes that so many batches of a segment were delivered, and all segments before
    /// it. If it cannot be noted, they may be delivered twice.
    pub(super) fn note(&self, number: u64, batches: u64) {
        let mut note = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("{number:020} {batches:020}\n");
        let _ = note.rewind().and_then(|()| note.write_all(text.as_bytes()));
    }
}

/// Creates a folder that nobody else looks into.
fn create(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

fn parse(note: &str) -> Option<(u64, u64)> {
    let (number, batches) = note.trim_end().split_once(' ')?;
    Some((number.parse().ok()?, batches.parse().ok()?))
}

/// The name of an output as that of a folder; different outputs have different ones.
fn name(output: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let readable: String = output.chars().take(64).map(plain).collect();
    let digest = Sha256::digest(output);
    let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{digest}", readable.trim_matches(['-', '.']))
}
