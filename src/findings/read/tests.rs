//! Round trips through files: every sink that can be read back, in one batch
//! and many, whole and cut short.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::findings::Destination;
use crate::findings::batch::BatchPolicy;
use crate::findings::samples;
use crate::findings::sink::{self, Format, Sink};

fn policy(max_rows: usize) -> BatchPolicy {
    BatchPolicy { max_rows, ..BatchPolicy::default() }
}

fn open(path: &Path, max_rows: usize) -> Box<dyn Sink> {
    let format = Format::choose(path, None).unwrap();
    sink::open(Destination::from_argument(path), format, policy(max_rows)).unwrap()
}

/// Rows whose open dictionaries change from batch to batch: sources, HTTP
/// methods; some batches without any value.
fn many_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for round in 0..12 {
        for mut row in samples::rows() {
            row.id = format!("{}-{round}", row.id);
            if row.capture.source.is_some() {
                row.capture.source = Some(format!("part-{}.pcap", round % 5));
            }
            if row.http.method.is_some() && round % 3 == 0 {
                row.http.method = Some(format!("M{round}"));
            }
            rows.push(row);
        }
    }
    rows
}

const READABLE: &[&str] = &[
    "f.arrow",
    "f.arrows",
    "f.jsonl",
    #[cfg(feature = "parquet")]
    "f.parquet",
];

#[test]
fn what_was_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in READABLE {
        for (count, max_rows) in [(0, 10), (5, 10), (60, 7), (60, 1), (60, 100)] {
            let path = dir.path().join(name);
            let rows: Vec<_> = many_rows().into_iter().take(count).collect();
            let mut sink = open(&path, max_rows);
            for row in &rows {
                sink.write(row).unwrap();
            }
            sink.finish().unwrap();
            let read: Vec<_> = Rows::open(&path).unwrap().map(Result::unwrap).collect();
            assert_eq!(read, rows, "{name}, {count} rows by {max_rows}");
        }
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), READABLE.len(), "no partial file stays");
}

#[test]
fn an_arrow_file_has_one_dictionary_per_column() {
    use arrow_array::cast::AsArray;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.arrow");
    let mut sink = open(&path, 7);
    let rows = many_rows();
    rows.iter().for_each(|row| sink.write(row).unwrap());
    sink.finish().unwrap();
    let reader = FileReader::try_new(fs::File::open(&path).unwrap(), None).unwrap();
    assert_eq!(reader.num_batches(), rows.len().div_ceil(7));
    for batch in reader {
        let batch = batch.unwrap();
        let capture = batch.column_by_name("capture").unwrap().as_struct();
        let sources = capture.column_by_name("source").unwrap().as_any_dictionary().values();
        let sources: Vec<_> = sources.as_string::<i32>().iter().flatten().collect();
        assert_eq!(sources, (0..5).map(|n| format!("part-{n}.pcap")).collect::<Vec<_>>());
    }
}

/// The one partial file in `dir`.
fn partial(dir: &Path) -> std::path::PathBuf {
    let mut files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let file = files.next().unwrap();
    assert!(files.next().is_none());
    assert!(file.extension().is_some_and(|extension| extension == "partial"), "{file:?}");
    file
}

#[test]
fn a_killed_process_leaves_its_whole_batches() {
    for name in READABLE {
        let dir = tempfile::tempdir().unwrap();
        let rows = many_rows();
        let mut sink = open(&dir.path().join(name), 10);
        for row in rows.iter().take(25) {
            sink.write(row).unwrap();
        }
        // Lines are buffered by bytes and age; a live sensor's ticks bring them out.
        let now = Instant::now();
        if *name == "f.jsonl" {
            sink.tick(now).unwrap();
            sink.tick(now + Duration::from_secs(1)).unwrap();
        }
        // The process is gone: nothing runs that could end the file.
        std::mem::forget(sink);
        let read: Vec<_> = Rows::open(&partial(dir.path())).unwrap().map(Result::unwrap).collect();
        let whole = if *name == "f.jsonl" { 25 } else { 20 };
        assert_eq!(read, rows.get(..whole).unwrap(), "{name}");
    }
}

#[test]
fn a_dropped_sink_leaves_what_it_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = open(&dir.path().join("f.arrow"), 1);
    sink.write(&samples::detection()).unwrap();
    drop(sink);
    let read: Vec<_> = Rows::open(&partial(dir.path())).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [samples::detection()]);
    drop(open(&dir.path().join("g.arrow"), 1));
    partial(dir.path());
}

/// Cuts a file at `cuts`; the rows that still read are the first ones, and at
/// least those of `whole(length)`.
fn cut_at(
    cuts: impl Iterator<Item = usize>,
    bytes: &[u8],
    rows: &[Row],
    whole: impl Fn(usize) -> usize,
) {
    for length in cuts {
        let cut = bytes.get(..length).unwrap().to_vec();
        let input = Box::new(io::Cursor::new(cut));
        let Ok(read) = Rows::from_reader(Path::new("cut"), input) else {
            assert_eq!(whole(length), 0, "cut at {length}");
            continue;
        };
        let mut count = 0;
        for row in read {
            match row {
                Ok(row) => {
                    assert_eq!(&row, rows.get(count).unwrap());
                    count += 1;
                }
                Err(ReadError::Truncated { rows, .. }) => assert_eq!(rows, count as u64),
                Err(error) => panic!("cut at {length}: {error:?}"),
            }
        }
        assert!(count >= whole(length), "cut at {length}: {count} rows");
    }
}

#[test]
fn a_stream_cut_anywhere_gives_its_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.arrows");
    let rows: Vec<_> = many_rows().into_iter().take(6).collect();
    let mut sink = open(&path, 2);
    let mut ends = Vec::new();
    for (count, row) in rows.iter().enumerate() {
        sink.write(row).unwrap();
        if count % 2 == 1 {
            ends.push((fs::metadata(partial(dir.path())).unwrap().len() as usize, count + 1));
        }
    }
    sink.finish().unwrap();
    let whole = |length| ends.iter().filter(|(end, _)| *end <= length).map(|it| it.1).max();
    let bytes = fs::read(&path).unwrap();
    // Every byte around the ends of batches and of the schema; a stride of a prime elsewhere
    // meets every alignment.
    let close = |cut: &usize| ends.iter().any(|(end, _)| cut.abs_diff(*end) < 70);
    let cuts = (0..bytes.len()).filter(|cut| *cut < 20 || cut % 61 == 0 || close(cut));
    cut_at(cuts, &bytes, &rows, |length| whole(length).unwrap_or(0));
}

#[test]
fn lines_cut_anywhere_give_the_whole_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.jsonl");
    let rows = samples::rows();
    let mut sink = open(&path, 1);
    rows.iter().for_each(|row| sink.write(row).unwrap());
    sink.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    let lines = |length| bytes.iter().take(length).filter(|byte| **byte == b'\n').count();
    cut_at(0..bytes.len(), &bytes, &rows, lines);
}

#[test]
fn absent_and_unknown_columns() {
    let line = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut object =
            serde_json::to_value(crate::findings::json::JsonRow(&samples::bare())).unwrap();
        change(&mut object);
        let input = Box::new(io::Cursor::new(format!("{object}\n").into_bytes()));
        let mut rows = Rows::from_reader(Path::new("in.jsonl"), input).unwrap();
        rows.next().unwrap().map_err(|error| error.to_string())
    };
    assert_eq!(line(&|_| {}), Ok(samples::bare()));
    assert_eq!(line(&|object| object["new_column"] = 1.into()), Ok(samples::bare()));
    assert_eq!(line(&|object| object["evidence"] = ().into()), Ok(samples::bare()));
    for (name, value) in [
        ("confidence", "sure".into()),
        ("time", "yesterday".into()),
        ("packets", (-1).into()),
        ("id", ().into()),
        ("signatures", "x".into()),
    ] {
        let error = line(&|object| object[name] = serde_json::Value::clone(&value)).unwrap_err();
        assert_eq!(error, format!("in.jsonl: row 1: no valid value in column {name}"));
    }
    let error = line(&|object| object["flow"]["server_port"] = 65_536.into()).unwrap_err();
    assert_eq!(error, "in.jsonl: row 1: no valid value in column flow.server_port");
}

#[test]
fn every_kind_and_class_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.arrows");
    let mut rows = Vec::new();
    for &kind in Kind::ALL {
        for &governance in crate::findings::Governance::ALL {
            rows.push(Row { kind, governance, ..samples::message() });
        }
    }
    let mut sink = open(&path, 5);
    rows.iter().for_each(|row| sink.write(row).unwrap());
    sink.finish().unwrap();
    assert_eq!(Rows::open(&path).unwrap().map(Result::unwrap).collect::<Vec<_>>(), rows);
}

#[test]
fn blocks_beyond_an_arrow_file_are_not_made_room_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.arrow");
    let mut sink = open(&path, 7);
    many_rows().iter().for_each(|row| sink.write(row).unwrap());
    sink.finish().unwrap();
    let whole = fs::read(&path).unwrap();
    let footer_len = u32::from_le_bytes(*whole[whole.len() - 10..].first_chunk().unwrap());
    let footer_at = whole.len() - 10 - footer_len as usize;
    let footer = arrow_ipc::root_as_footer(&whole[footer_at..whole.len() - 10]).unwrap();
    let offset = footer.recordBatches().unwrap().get(1).offset().to_le_bytes();
    let block = footer_at + memchr::memmem::find(&whole[footer_at..], &offset).unwrap();
    // The body's length is the third number; then all of the file, which is too
    // much with the other blocks.
    let all = whole.len() as i64 - i64::from_le_bytes(offset) - 1000;
    for len in [1 << 40, -1, i64::MAX, all] {
        let mut damaged = whole.clone();
        damaged[block + 16..][..8].copy_from_slice(&i64::to_le_bytes(len));
        fs::write(&path, damaged).unwrap();
        let Err(ReadError::Damaged { rows: 0, source, .. }) = Rows::open(&path) else {
            panic!("{len}");
        };
        assert!(source.to_string().contains("blocks beyond the file"), "{source}");
    }
}

#[test]
fn other_files_and_versions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.pcap");
    fs::write(&path, [0xd4, 0xc3, 0xb2, 0xa1]).unwrap();
    assert!(matches!(Rows::open(&path), Err(ReadError::Unknown { .. })));
    assert!(matches!(Rows::open(&dir.path().join("none")), Err(ReadError::Open { .. })));
    fs::write(&path, "{\"kind\":\n").unwrap();
    let error = Rows::open(&path).unwrap().next().unwrap().unwrap_err();
    assert!(matches!(error, ReadError::Line { line: 1, .. }));

    let schema = crate::findings::schema::arrow_schema();
    let newer = std::collections::HashMap::from([(SCHEMA_KEY.to_owned(), "2".to_owned())]);
    let newer = (*schema).clone().with_metadata(newer);
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &newer).unwrap();
    writer.finish().unwrap();
    fs::write(&path, writer.into_inner().unwrap()).unwrap();
    assert!(matches!(Rows::open(&path), Err(ReadError::Version { version, .. }) if version == "2"));
}
