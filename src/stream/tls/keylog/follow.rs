//! A key log that somebody writes to: a path in, what came since the last look out.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KeyLogPart, KeyLogReader};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Most bytes of one look; what is left comes with the next.
const MAX_LOOK: u64 = 16 << 20;

/// Follows a key log as it grows, is cut, or gives its name to another file.
#[derive(Debug)]
pub struct KeyLogFollower {
    path: PathBuf,
    opened: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// Bytes read.
    read: u64,
    reader: KeyLogReader,
}

impl KeyLogFollower {
    /// Begins at the beginning of the file, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, opened: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads everything anew from here on.
    pub fn restart(&mut self) {
        self.opened = None;
    }

    /// What whole lines brought since the last look.
    ///
    /// # Errors
    /// If the file cannot be opened or read; the next look tries again. What was
    /// opened is read on when the name is gone.
    pub fn look(&mut self) -> io::Result<KeyLogPart> {
        let mut part = KeyLogPart::default();
        let mut left = MAX_LOOK;
        if let Some(opened) = &mut self.opened {
            opened.read(&mut part, &mut left)?;
        }
        let there = std::fs::metadata(&self.path);
        let other = match (&self.opened, there) {
            (None, _) => true,
            // Renamed or removed: whoever writes to it may go on for a while.
            (Some(_), Err(_)) => false,
            (Some(opened), Ok(there)) => !is_same(&opened.file.metadata()?, &there),
        };
        if other && left > 0 {
            let file = File::open(&self.path);
            let file = match file {
                Ok(file) => file,
                // What was read before is not lost over it.
                Err(_) if !part.is_empty() => return Ok(part),
                Err(error) => return Err(error),
            };
            let opened = self.opened.insert(Opened { file, read: 0, reader: KeyLogReader::new() });
            opened.read(&mut part, &mut left)?;
        }
        Ok(part)
    }
}

impl Opened {
    fn read(&mut self, part: &mut KeyLogPart, left: &mut u64) -> io::Result<()> {
        if self.file.metadata()?.len() < self.read {
            self.file.seek(SeekFrom::Start(0))?;
            (self.read, self.reader) = (0, KeyLogReader::new());
        }
        let mut piece = Zeroizing::new(vec![0; PIECE]);
        while *left > 0 {
            let len = match self.file.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.read += len as u64;
            *left = left.saturating_sub(len as u64);
            part.merge(self.reader.read(piece.get(..len).unwrap_or_default()));
        }
        Ok(())
    }
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Where files have no number, one of an earlier name is read to its end only.
#[cfg(not(unix))]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    a.created().ok() == b.created().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    fn line(random: u8) -> String {
        format!("CLIENT_RANDOM {} {}\n", format!("{random:02x}").repeat(32), "cd".repeat(48))
    }

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The first bytes of the client randoms that a look brings.
    #[track_caller]
    fn looks(follower: &mut KeyLogFollower) -> Vec<u8> {
        let part = follower.look().unwrap();
        assert_eq!(part.errors(), []);
        let mut randoms: Vec<u8> = part.into_secrets().keys().map(|random| random[0]).collect();
        randoms.sort_unstable();
        randoms
    }

    #[test]
    fn whole_lines_are_taken_in_as_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        let mut follower = KeyLogFollower::new(path.clone());
        assert_eq!(follower.look().unwrap_err().kind(), io::ErrorKind::NotFound);
        append(&path, &line(1));
        assert_eq!(looks(&mut follower), [1]);
        assert!(looks(&mut follower).is_empty());
        let (begun, rest) = (&line(2)[..20], &line(2)[20..]);
        append(&path, begun);
        assert!(looks(&mut follower).is_empty());
        append(&path, &(rest.to_owned() + &line(3)));
        assert_eq!(looks(&mut follower), [2, 3]);
        follower.restart();
        assert_eq!(looks(&mut follower), [1, 2, 3]);
    }

    #[test]
    fn a_file_that_is_cut_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        let mut follower = KeyLogFollower::new(path.clone());
        append(&path, &(line(1) + &line(2) + "CLIENT_RAN"));
        assert_eq!(looks(&mut follower), [1, 2]);
        fs::write(&path, line(3)).unwrap();
        assert_eq!(looks(&mut follower), [3]);
    }

    #[test]
    fn a_file_that_takes_the_name_is_followed_after_the_rest_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let [path, old] = ["keys.log", "keys.log.1"].map(|name| folder.path().join(name));
        let mut follower = KeyLogFollower::new(path.clone());
        append(&path, &line(1));
        assert_eq!(looks(&mut follower), [1]);
        fs::rename(&path, &old).unwrap();
        append(&old, &line(2));
        assert_eq!(looks(&mut follower), [2]);
        append(&old, &line(3));
        append(&path, &line(4));
        assert_eq!(looks(&mut follower), [3, 4]);
        append(&path, &line(5));
        assert_eq!(looks(&mut follower), [5]);
    }

    #[test]
    fn lines_that_are_no_secrets_are_told_of_and_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        let mut follower = KeyLogFollower::new(path.clone());
        append(&path, &(line(1) + "nonsense\n" + &line(2)));
        let part = follower.look().unwrap();
        assert_eq!(part.errors()[0].line, 2);
        assert_eq!(part.counters().secrets, 2);
    }
}
