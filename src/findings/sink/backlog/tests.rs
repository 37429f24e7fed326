use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::super::consumer::Consumer;
use super::*;
use crate::findings::{read, samples};

/// What a consumer does with the batches that come.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// It takes them.
    Takes,
    /// It is not there.
    Absent,
}

/// A consumer, as the test sees it.
struct Seen {
    mood: Arc<Mutex<Mood>>,
    taken: Receiver<Vec<u64>>,
}

struct Fake {
    mood: Arc<Mutex<Mood>>,
    taken: Sender<Vec<u64>>,
}

impl Fake {
    fn check(&self) -> Result<(), Refused> {
        match *self.mood.lock().unwrap() {
            Mood::Takes => Ok(()),
            Mood::Absent => Err("not there".into()),
        }
    }
}

impl Consumer for Fake {
    fn connect(&mut self) -> Result<(), Refused> {
        self.check()
    }

    fn unread(&self) -> usize {
        0
    }

    fn deliver(&mut self, batch: &RecordBatch) -> Result<usize, Refused> {
        self.check()?;
        let rows = read::rows_of(batch).unwrap();
        let _ = self.taken.send(rows.iter().filter_map(|row| row.capture.packet).collect());
        Ok(1)
    }
}

impl Seen {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The next so many rows that came.
    fn rows(&self, count: usize) -> Vec<u64> {
        let mut rows = Vec::new();
        while rows.len() < count {
            rows.extend(self.taken.recv().unwrap());
        }
        rows
    }

    /// All rows that came, once the sink has ended.
    fn rest(self) -> Vec<u64> {
        self.taken.iter().flatten().collect()
    }
}

/// A sink that spools each row in a batch of its own.
fn sink(folder: &Path, size: u64, mood: Mood) -> (Box<SpooledSink>, Seen) {
    let (sender, taken) = channel();
    let mood = Arc::new(Mutex::new(mood));
    let fake = Fake { mood: Arc::clone(&mood), taken: sender };
    let target = Target("fake".to_owned());
    let link = Link::new(target.clone(), Box::new(fake));
    let spool = Spool { folder: folder.to_owned(), size };
    let policy = BatchPolicy { max_rows: 1, ..BatchPolicy::default() };
    let sink = SpooledSink::open(target, link, policy, &spool).unwrap();
    (Box::new(sink), Seen { mood, taken })
}

fn write(sink: &mut SpooledSink, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let mut row = samples::detection();
        row.capture.packet = Some(number);
        sink.write(&row).unwrap();
    }
}

/// The segments in the spool of the one output.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let output = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let entries = fs::read_dir(output).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "arrows")).collect();
    segments.sort();
    segments
}

fn numbers(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn what_is_taken_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sink, seen) = sink(folder.path(), Spool::MIN_SIZE, Mood::Takes);
    write(&mut sink, 0..200);
    sink.finish().unwrap();
    assert_eq!(seen.rest(), numbers(0..200));
    assert_eq!(segments(folder.path()), [""; 0].map(PathBuf::from));
}

#[test]
fn a_consumer_that_comes_late_gets_everything_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sink, seen) = sink(folder.path(), 16 << 20, Mood::Absent);
    write(&mut sink, 0..50);
    assert!(sink.spooled() > 0 && sink.lost().get() == 0);
    seen.set(Mood::Takes);
    assert_eq!(seen.rows(50), numbers(0..50));
    seen.set(Mood::Absent);
    write(&mut sink, 50..80);
    seen.set(Mood::Takes);
    write(&mut sink, 80..90);
    assert_eq!(seen.rows(40), numbers(50..90));
    sink.finish().unwrap();
}

#[test]
fn what_is_left_is_delivered_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, seen) = sink(folder.path(), 16 << 20, Mood::Takes);
    write(&mut first, 0..10);
    assert_eq!(seen.rows(10), numbers(0..10));
    seen.set(Mood::Absent);
    write(&mut first, 10..30);
    let notices = first.notices();
    first.finish().unwrap();
    assert!(notices.take().iter().any(|it| it.contains("wait for the next start")));
    let (mut second, seen) = sink(folder.path(), 16 << 20, Mood::Absent);
    write(&mut second, 30..40);
    second.finish().unwrap();
    drop(seen);
    let (third, seen) = sink(folder.path(), 16 << 20, Mood::Takes);
    assert_eq!(seen.rows(30), numbers(10..40));
    third.finish().unwrap();
    assert!(segments(folder.path()).is_empty());
}

#[test]
fn a_full_spool_loses_its_oldest_rows_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let size = Spool::MIN_SIZE;
    let (mut sink, seen) = sink(folder.path(), size, Mood::Absent);
    for at in 0..400 {
        write(&mut sink, at..at + 1);
        let bytes: u64 =
            segments(folder.path()).iter().map(|it| fs::metadata(it).unwrap().len()).sum();
        assert!(bytes <= size, "{bytes}");
    }
    let lost = sink.lost().get();
    assert!(lost > 0 && lost < 400, "{lost}");
    seen.set(Mood::Takes);
    let rows = seen.rows(400 - usize::try_from(lost).unwrap());
    sink.finish().unwrap();
    // The row that was being delivered when its segment went came all the same.
    assert_eq!(rows[rows.len() - 50..], numbers(350..400));
    assert!(rows.is_sorted() && rows.len() as u64 + lost == 400);
}

#[test]
fn rows_that_an_earlier_process_left_are_counted_when_they_go() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, _seen) = sink(folder.path(), 64 << 20, Mood::Absent);
    write(&mut first, 0..400);
    first.finish().unwrap();
    let (mut second, seen) = sink(folder.path(), Spool::MIN_SIZE, Mood::Absent);
    write(&mut second, 400..401);
    let lost = second.lost().get();
    assert!(lost > 0, "{lost}");
    seen.set(Mood::Takes);
    let rows = seen.rows(401 - usize::try_from(lost).unwrap());
    assert_eq!(rows.last(), Some(&400), "{lost}");
    second.finish().unwrap();
    assert_eq!(seen.rest(), [0; 0]);
}

#[test]
fn a_damaged_segment_is_read_up_to_its_last_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, seen) = sink(folder.path(), 64 << 20, Mood::Absent);
    write(&mut first, 0..4);
    first.finish().unwrap();
    drop(seen);
    let [segment] = &segments(folder.path())[..] else { panic!("one segment") };
    let whole = fs::read(segment).unwrap();
    let mut most = 0;
    let last = whole.len() - 1;
    for cut in (1..last).step_by(1997).chain([last]) {
        fs::write(segment, &whole[..cut]).unwrap();
        let (next, seen) = sink(folder.path(), 64 << 20, Mood::Takes);
        next.finish().unwrap();
        let rows = seen.rest();
        assert_eq!(rows, numbers(0..rows.len() as u64), "{cut}");
        assert!(rows.len() >= most && rows.len() < 4, "{cut}: {rows:?}");
        most = rows.len();
        // As if nothing had been delivered.
        fs::remove_file(segment.with_file_name("delivered")).unwrap();
    }
    assert_eq!(most, 3);
    for at in (8..whole.len()).step_by(2003) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(segment, &bytes).unwrap();
        let (next, seen) = sink(folder.path(), 64 << 20, Mood::Takes);
        next.finish().unwrap();
        assert!(seen.rest().len() <= 4);
        fs::remove_file(segment.with_file_name("delivered")).unwrap();
    }
}

#[test]
fn a_disk_that_takes_nothing_does_not_come_between() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sink, seen) = sink(folder.path(), 64 << 20, Mood::Takes);
    let output = sink.folder.path().to_owned();
    fs::remove_dir_all(&output).unwrap();
    write(&mut sink, 0..5);
    assert_eq!(seen.rows(5), numbers(0..5));
    let said = sink.notices().take().concat();
    assert!(said.contains("findings are not spooled"), "{said}");
    // A consumer who is not there either loses the oldest.
    seen.set(Mood::Absent);
    write(&mut sink, 5..50);
    assert!(sink.lost().get() > 20 && sink.lost().get() < 45, "{}", sink.lost().get());
    seen.set(Mood::Takes);
    let rows = seen.rows(45 - usize::try_from(sink.lost().get()).unwrap());
    assert_eq!(rows.last(), Some(&49));
    fs::create_dir(&output).unwrap();
    sink.failed = None;
    write(&mut sink, 50..52);
    assert_eq!(seen.rows(2), numbers(50..52));
    sink.finish().unwrap();
}

#[test]
fn a_spool_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _seen) = sink(folder.path(), 64 << 20, Mood::Absent);
    let again = Folder::open(folder.path(), &Target("fake".to_owned()));
    assert!(matches!(again, Err(SinkError::SpoolInUse { .. })));
    assert!(Folder::open(folder.path(), &Target("other".to_owned())).is_ok());
    first.finish().unwrap();
    assert!(Folder::open(folder.path(), &Target("fake".to_owned())).is_ok());
}
