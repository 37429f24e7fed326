//! Files that follow one another: findings of a sensor that runs for months.
//!
//! A name such as `findings.jsonl` becomes `findings-20260728T100000Z.jsonl` and so
//! on, by the time that each file was begun. A file appears under its name when it
//! is finished, whole; what a killed process leaves behind is the partial file, with
//! all that was written out. Files older than is wanted are removed, and only such
//! as this sink names.
//!
//! A folder that cannot be written to (a full disk, a lost mount) does not end the
//! sink: rows that come meanwhile are counted as lost, and a new file is begun when
//! it can be.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::told::Lost;
use super::{Format, Sink, SinkError, Target};
use crate::findings::batch::BatchPolicy;
use crate::findings::output::Destination;
use crate::findings::row::Row;

/// How long a sink that failed waits until it tries again.
const RETRY: Duration = Duration::from_secs(5);

/// How often old files are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Most files begun in the same second.
const MAX_PER_SECOND: u32 = 1000;

/// When a file is followed by another, and how long it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Files begin at whole multiples of this time since the Unix epoch.
    pub period: Option<Duration>,
    /// A file ends when it has this many bytes.
    pub size: Option<u64>,
    /// Files that were last written to longer ago than this are removed.
    pub keep: Option<Duration>,
}

/// Writes files that follow one another.
pub struct RotatingSink {
    target: Target,
    path: PathBuf,
    format: Format,
    policy: BatchPolicy,
    rotation: Rotation,
    current: Option<Current>,
    /// When it last could not go on.
    failed: Option<Instant>,
    lost: Lost,
    swept: Option<Instant>,
    clock: fn() -> SystemTime,
}

struct Current {
    sink: Box<dyn Sink>,
    begun: Instant,
    /// When its period ends.
    ends: Option<SystemTime>,
    rows: u64,
}

impl RotatingSink {
    /// Begins the first file; later ones are begun by their first row.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn open(
        path: &Path,
        format: Format,
        policy: BatchPolicy,
        rotation: Rotation,
    ) -> Result<Self, SinkError> {
        Self::with_clock(path, format, policy, rotation, SystemTime::now)
    }

    fn with_clock(
        path: &Path,
        format: Format,
        policy: BatchPolicy,
        rotation: Rotation,
        clock: fn() -> SystemTime,
    ) -> Result<Self, SinkError> {
        let mut sink = Self {
            target: Target(path.display().to_string()),
            path: path.to_owned(),
            format,
            policy,
            rotation,
            current: None,
            failed: None,
            lost: Lost::default(),
            swept: None,
            clock,
        };
        sink.current = Some(sink.begin()?);
        Ok(sink)
    }

    fn begin(&self) -> Result<Current, SinkError> {
        let now = (self.clock)();
        let path = self.free_name(now)?;
        Ok(Current {
            sink: super::open(Destination::Path(path), self.format, self.policy)?,
            begun: Instant::now(),
            ends: self.rotation.period.and_then(|period| end_of_period(now, period)),
            rows: 0,
        })
    }

    /// A name for a file begun now, that no file has.
    fn free_name(&self, now: SystemTime) -> Result<PathBuf, SinkError> {
        let stamp = stamp(now);
        for attempt in 1..=MAX_PER_SECOND {
            let mut name = self.stem();
            name.push(&stamp);
            if attempt > 1 {
                name.push(format!("-{attempt}"));
            }
            if let Some(extension) = self.path.extension() {
                name.push(".");
                name.push(extension);
            }
            let path = self.path.with_file_name(name);
            if fs::symlink_metadata(&path).is_err() {
                return Ok(path);
            }
        }
        Err(self.target.error(std::io::Error::from(std::io::ErrorKind::AlreadyExists)))
    }

    /// What all names begin with.
    fn stem(&self) -> OsString {
        let mut stem = self.path.file_stem().unwrap_or_default().to_owned();
        stem.push("-");
        stem
    }

    /// Ends the current file if it is time for another.
    fn turn(&mut self) -> Result<(), SinkError> {
        let Some(current) = &self.current else { return Ok(()) };
        let Rotation { period, size, .. } = self.rotation;
        let over = current.ends.is_some_and(|ends| (self.clock)() >= ends)
            // The clock may have been set back.
            || period.is_some_and(|period| current.begun.elapsed() >= period)
            || size.is_some_and(|size| current.sink.written() >= size);
        if over { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), SinkError> {
        match self.current.take() {
            // A file without rows never gets its name.
            Some(current) if current.rows > 0 => {
                let waiting = current.sink.waiting();
                let finished = current.sink.finish();
                self.lost.add(if finished.is_err() { waiting } else { 0 });
                finished
            }
            _ => Ok(()),
        }
    }

    /// Does something with the current file. If that fails, the file is given up
    /// as it is, and after a while another is begun.
    fn with_current(
        &mut self,
        act: impl FnOnce(&mut Current) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let waiting = self.waiting();
        let done = match &mut self.current {
            Some(current) => act(current),
            None => Ok(()),
        };
        if done.is_err() {
            self.lost.add(waiting);
            self.current = None;
            self.failed = Some(Instant::now());
        }
        done
    }

    /// Sees to it that there is a current file; false if there cannot be one yet.
    fn ready(&mut self) -> Result<bool, SinkError> {
        if self.current.is_some() {
            return Ok(true);
        }
        if self.failed.is_some_and(|at| at.elapsed() < RETRY) {
            return Ok(false);
        }
        match self.begin() {
            Ok(current) => {
                self.current = Some(current);
                Ok(true)
            }
            Err(error) => {
                self.failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// Removes files that are older than is wanted.
    fn sweep(&mut self) {
        let Some(keep) = self.rotation.keep else { return };
        if self.swept.is_some_and(|at| at.elapsed() < SWEEP) {
            return;
        }
        self.swept = Some(Instant::now());
        let Some(oldest) = (self.clock)().checked_sub(keep) else { return };
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // A folder that cannot be listed now can be next time.
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if self.is_ours(&entry.file_name()) && modified.is_ok_and(|time| time < oldest) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Whether this sink names files so: finished ones, and partial ones that a
    /// killed process left.
    fn is_ours(&self, name: &OsStr) -> bool {
        let (Some(name), stem) = (name.to_str(), self.stem()) else { return false };
        let Some(stem) = stem.to_str() else { return false };
        let (name, partial) = match name.strip_prefix('.') {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        let Some((stamp, mut rest)) =
            name.strip_prefix(stem).and_then(|rest| rest.split_at_checked(STAMP.len()))
        else {
            return false;
        };
        if let Some(counted) = rest.strip_prefix('-') {
            rest = counted.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        if let Some(extension) = self.path.extension().and_then(OsStr::to_str) {
            let Some(after) = rest.strip_prefix('.').and_then(|it| it.strip_prefix(extension))
            else {
                return false;
            };
            rest = after;
        }
        let ends = if partial { rest.ends_with(".partial") } else { rest.is_empty() };
        ends && is_stamp(stamp)
    }
}

impl Sink for RotatingSink {
    fn write(&mut self, row: &Row) -> Result<(), SinkError> {
        let turned = self.turn();
        match self.ready() {
            Ok(true) => {}
            Ok(false) => {
                self.lost.add(1);
                return turned;
            }
            Err(error) => {
                self.lost.add(1);
                return turned.and(Err(error));
            }
        }
        let written = self.with_current(|current| {
            current.rows += 1;
            current.sink.write(row)
        });
        self.lost.add(u64::from(written.is_err()));
        turned.and(written)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.with_current(|current| current.sink.flush())
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        self.sweep();
        let turned = self.turn();
        turned.and(self.with_current(|current| current.sink.tick(now)))
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.end()
    }

    fn written(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.sink.written())
    }

    fn waiting(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.sink.waiting())
    }

    fn recovers(&self) -> bool {
        true
    }

    fn lost(&self) -> Lost {
        self.lost.clone()
    }
}

/// How a time is written in names.
const STAMP: &str = "20260728T100000Z";

fn stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or_default();
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn is_stamp(text: &str) -> bool {
    text.len() == STAMP.len()
        && text.bytes().zip(STAMP.bytes()).all(|(byte, model)| {
            byte == model && !model.is_ascii_digit()
                || byte.is_ascii_digit() && model.is_ascii_digit()
        })
}

/// The next whole multiple of `period` since the epoch.
fn end_of_period(now: SystemTime, period: Duration) -> Option<SystemTime> {
    let (period, since) = (period.as_secs().max(1), now.duration_since(UNIX_EPOCH).ok()?);
    let next = (since.as_secs() / period).checked_add(1)?.checked_mul(period)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(next))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::findings::samples;

    const EPOCH: u64 = 1_785_232_800;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    fn lines(folder: &Path) -> usize {
        let files = names(folder).into_iter();
        files.map(|name| fs::read_to_string(folder.join(name)).unwrap().lines().count()).sum()
    }

    /// Rows that wait are written at once.
    fn at_once() -> BatchPolicy {
        BatchPolicy { max_rows: 1, ..BatchPolicy::default() }
    }

    #[test]
    fn files_begin_at_whole_periods() {
        static NOW: AtomicU64 = AtomicU64::new(EPOCH + 10);
        let clock = || UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.jsonl");
        let rotation = Rotation { period: Some(Duration::from_secs(3600)), ..Default::default() };
        let mut sink =
            RotatingSink::with_clock(&path, Format::JsonLines, at_once(), rotation, clock).unwrap();
        let row = samples::detection();
        sink.write(&row).unwrap();
        NOW.store(EPOCH + 3599, Ordering::Relaxed);
        sink.write(&row).unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        NOW.store(EPOCH + 3600, Ordering::Relaxed);
        sink.tick(Instant::now()).unwrap();
        assert_eq!(names(folder.path()), ["findings-20260728T100010Z.jsonl"]);
        // An hour without rows has no file.
        NOW.store(EPOCH + 3 * 3600, Ordering::Relaxed);
        sink.tick(Instant::now()).unwrap();
        sink.write(&row).unwrap();
        Box::new(sink).finish().unwrap();
        assert_eq!(
            names(folder.path()),
            ["findings-20260728T100010Z.jsonl", "findings-20260728T130000Z.jsonl"]
        );
        assert_eq!(lines(folder.path()), 3);
    }

    #[test]
    fn a_clock_that_is_set_loses_nothing_and_holds_no_file_up() {
        static NOW: AtomicU64 = AtomicU64::new(EPOCH);
        let clock = || UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.jsonl");
        let period = Duration::from_secs(1);
        let rotation = Rotation { period: Some(period), keep: Some(7200 * period), size: None };
        let mut sink =
            RotatingSink::with_clock(&path, Format::JsonLines, at_once(), rotation, clock).unwrap();
        // Ahead by an hour, right again, back by an hour, right again.
        for (files, now) in (1..).zip([EPOCH, EPOCH + 3600, EPOCH, EPOCH - 3600, EPOCH]) {
            NOW.store(now, Ordering::Relaxed);
            sink.tick(Instant::now()).unwrap();
            sink.write(&samples::detection()).unwrap();
            // The time of a file passes, whatever the clock says meanwhile.
            std::thread::sleep(period);
            sink.tick(Instant::now()).unwrap();
            assert_eq!(names(folder.path()).len(), files);
        }
        Box::new(sink).finish().unwrap();
        assert_eq!((names(folder.path()).len(), lines(folder.path())), (5, 5));
    }

    #[test]
    fn files_end_at_a_size_in_every_format() {
        let rotation = Rotation { size: Some(1), ..Default::default() };
        for format in Format::ALL {
            if cfg!(not(feature = "parquet")) && *format == Format::Parquet {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("findings");
            let mut sink = RotatingSink::open(&path, *format, at_once(), rotation).unwrap();
            for _ in 0..3 {
                sink.write(&samples::detection()).unwrap();
                sink.flush().unwrap();
            }
            Box::new(sink).finish().unwrap();
            assert_eq!(names(folder.path()).len(), 3, "{format}");
        }
    }

    #[test]
    fn only_old_files_of_its_own_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Some(Duration::from_secs(3600));
        let old = SystemTime::now() - Duration::from_secs(7200);
        let files = [
            ("f-20260101T000000Z.jsonl", true, false),
            ("f-20260101T000000Z-2.jsonl", true, false),
            (".f-20260101T000000Z.jsonl.17.partial", true, false),
            ("f-20260101T000001Z.jsonl", false, true),
            ("f.jsonl", true, true),
            ("f-2026.jsonl", true, true),
            ("f-20260101T000000Z.csv", true, true),
            ("f-20260101T000000Z.jsonl.bak", true, true),
            ("g-20260101T000000Z.jsonl", true, true),
            ("f-2026010aT000000Z.jsonl", true, true),
        ];
        for (name, is_old, _) in files {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            if is_old {
                file.set_modified(old).unwrap();
            }
        }
        let rotation = Rotation { keep, ..Default::default() };
        let path = folder.path().join("f.jsonl");
        let mut sink = RotatingSink::open(&path, Format::JsonLines, at_once(), rotation).unwrap();
        sink.tick(Instant::now()).unwrap();
        for (name, _, stays) in files {
            assert_eq!(folder.path().join(name).exists(), stays, "{name}");
        }
    }

    #[test]
    fn rows_that_cannot_be_written_are_counted_and_others_follow() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("f.jsonl");
        let rotation = Rotation { size: Some(1), ..Default::default() };
        let mut sink = RotatingSink::open(&path, Format::JsonLines, at_once(), rotation).unwrap();
        sink.write(&samples::detection()).unwrap();
        sink.flush().unwrap();
        fs::remove_dir_all(&inner).unwrap();
        // The file cannot get its name, and another cannot be begun.
        assert!(sink.write(&samples::detection()).is_err());
        assert!(sink.write(&samples::detection()).is_ok());
        assert_eq!((sink.lost().get(), sink.recovers()), (2, true));
        fs::create_dir(&inner).unwrap();
        sink.failed = None;
        sink.write(&samples::detection()).unwrap();
        Box::new(sink).finish().unwrap();
        assert_eq!(lines(&inner), 1);
    }

    #[test]
    fn an_unwritable_folder_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("f.jsonl");
        let opened = RotatingSink::open(&path, Format::JsonLines, at_once(), Rotation::default());
        assert!(opened.is_err());
    }
}
