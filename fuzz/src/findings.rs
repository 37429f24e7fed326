//! Findings files, Arrow and JSON Lines: any bytes are read or refused; rows
//! that were read are the same after they were written and read again.
//!
//! Input: the file.

use std::io::{self, Cursor, Write};
use std::path::Path;

use mcpwatch::findings::batch::BatchPolicy;
use mcpwatch::findings::read::{ReadError, Rows};
use mcpwatch::findings::sink::{self, Format};
use mcpwatch::findings::{Destination, Row};

/// Rows that are written again at most.
const MAX_ROWS: usize = 100;

/// Runs the target.
pub fn run(data: &[u8]) {
    let rows = match Rows::from_reader(Path::new("fuzz"), Box::new(Cursor::new(data.to_vec()))) {
        Ok(rows) => rows,
        Err(ReadError::NeedsFile { .. }) => match open(data).expect("a file to write to") {
            Ok(rows) => rows,
            Err(error) => return check(&error),
        },
        Err(error) => return check(&error),
    };
    let mut read = Vec::new();
    for row in rows {
        match row {
            Ok(row) => read.push(row),
            Err(error) => check(&error),
        }
    }
    read.truncate(MAX_ROWS);
    if !read.is_empty() {
        for format in [Format::JsonLines, Format::Arrows] {
            assert_eq!(written_and_read(&read, format), read, "{format:?}");
        }
    }
}

fn check(error: &ReadError) {
    assert!(error.to_string().contains("fuzz"), "{error}");
}

fn open(data: &[u8]) -> io::Result<Result<Rows, ReadError>> {
    let mut file = tempfile::Builder::new().prefix("fuzz").tempfile()?;
    file.write_all(data)?;
    Ok(Rows::open(file.path()))
}

fn written_and_read(rows: &[Row], format: Format) -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a folder to write to");
    let path = folder.path().join("rows");
    let destination = Destination::from_argument(&path);
    let mut sink = sink::open(destination, format, BatchPolicy::default()).expect("a sink");
    for row in rows {
        sink.write(row).expect("a row is written");
    }
    sink.finish().expect("rows are written");
    Rows::open(&path).expect("what was written").map(|row| row.expect("is read")).collect()
}
