//! What every sink does alike: streams, closed pipes, full disks, time.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::findings::samples;

/// Formats of this build.
fn formats() -> impl Iterator<Item = Format> {
    let built = |format: &Format| cfg!(feature = "parquet") || *format != Format::Parquet;
    Format::ALL.iter().copied().filter(built)
}

/// A stream that others can look into, closed after `room` bytes.
#[derive(Clone)]
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Pipe {
    fn new(room: usize) -> Self {
        Self { bytes: Arc::default(), room }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    fn sink(&self, format: Format) -> Result<Box<dyn Sink>, SinkError> {
        let destination = Destination::Stream("a pipe".to_owned(), Box::new(self.clone()));
        open(destination, format, BatchPolicy::default())
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.bytes.lock().unwrap();
        if written.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(pipe: &Pipe, format: Format) -> Result<(), SinkError> {
    let mut sink = pipe.sink(format)?;
    for row in samples::rows() {
        sink.write(&row)?;
    }
    sink.finish()
}

#[test]
fn a_stream_gets_the_bytes_that_a_file_gets() {
    let dir = tempfile::tempdir().unwrap();
    for format in formats() {
        let pipe = Pipe::new(usize::MAX);
        write_all(&pipe, format).unwrap();
        let path = dir.path().join(format.as_str());
        let destination = Destination::from_argument(&path);
        let mut sink = open(destination, format, BatchPolicy::default()).unwrap();
        samples::rows().iter().for_each(|row| sink.write(row).unwrap());
        sink.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), pipe.bytes(), "{format}");
    }
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    for format in formats() {
        let [first, second] = [(); 2].map(|()| {
            let pipe = Pipe::new(usize::MAX);
            write_all(&pipe, format).unwrap();
            pipe.bytes()
        });
        assert_eq!(first, second, "{format}");
    }
}

#[test]
fn a_closed_pipe_says_so_and_nothing_else() {
    for format in formats() {
        for room in [0, 100] {
            let error = write_all(&Pipe::new(room), format).unwrap_err();
            assert!(error.is_closed(), "{format}, {room}: {error:?}");
            assert_eq!(error.to_string(), "a pipe: closed by its reader");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_with_the_name() {
    for format in formats() {
        let destination = Destination::from_argument(Path::new("/dev/full"));
        let error = open(destination, format, BatchPolicy::default())
            .and_then(|mut sink| {
                sink.write(&samples::detection())?;
                sink.finish()
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "cannot write /dev/full");
        assert!(!error.is_closed());
        assert!(error.source().unwrap().to_string().contains("space"), "{format}: {error:?}");
    }
}

#[test]
fn nothing_waits_longer_than_the_policy_says() {
    for format in formats().filter(|it| !matches!(it, Format::Arrow | Format::Parquet)) {
        let pipe = Pipe::new(usize::MAX);
        let mut sink = pipe.sink(format).unwrap();
        sink.flush().unwrap();
        let header = pipe.bytes().len();
        let start = Instant::now();
        sink.tick(start).unwrap();
        sink.write(&samples::detection()).unwrap();
        sink.tick(start).unwrap();
        sink.tick(start + Duration::from_millis(900)).unwrap();
        assert!(pipe.bytes().len() <= header, "{format} waits");
        sink.tick(start + Duration::from_millis(1_000)).unwrap();
        assert!(pipe.bytes().len() > header, "{format} came");
    }
}

#[test]
fn formats_by_name_and_extension() {
    let choose = |path: &str, given| Format::choose(Path::new(path), given);
    for (path, format) in [
        ("a.arrow", Format::Arrow),
        ("a.arrows", Format::Arrows),
        ("dir.csv/a.parquet", Format::Parquet),
        ("A.JSONL", Format::JsonLines),
        ("a.b.csv", Format::Csv),
        ("-", Format::JsonLines),
    ] {
        assert_eq!(choose(path, None).unwrap(), format, "{path}");
        assert_eq!(choose(path, Some(Format::Zeek)).unwrap(), Format::Zeek);
    }
    for path in ["a", "a.json.gz", ".csv", "csv"] {
        let error = choose(path, None).unwrap_err();
        assert!(matches!(error, SinkError::UnknownFormat { .. }), "{path}");
    }
    for &format in Format::ALL {
        assert_eq!(Format::parse(format.as_str()), Some(format));
    }
    assert_eq!(Format::parse("xml"), None);
}

#[test]
fn an_output_that_cannot_be_opened_is_named() {
    let destination = Destination::from_argument(Path::new("/nonexistent/f.csv"));
    let error = open(destination, Format::Csv, BatchPolicy::default()).err().unwrap();
    assert_eq!(error.to_string(), "cannot write /nonexistent/f.csv");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_needs_its_feature() {
    let error = Pipe::new(0).sink(Format::Parquet).err().unwrap();
    assert_eq!(error.to_string(), "this build of mcpwatch cannot write parquet");
}
