//! From the paths that a user names to the captures to read, in order.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Block, CaptureCounters, Error, Fill, Reader, SourceId, Unreadable};
use crate::time::Timestamp;

/// Blocks of this size, and so many of them, are searched for the first frame.
const PROBE_BLOCK: usize = 64 << 10;
const PROBE_BLOCKS: usize = 16;

/// The captures to read, in the order in which they are read.
///
/// Regular files come sorted by the time of their first frame, then by name, so
/// that the files of a rotated capture continue each other. Files whose times
/// overlap are still read one after another. Standard input and other streams
/// cannot be looked into beforehand: they come last, in the order they were
/// named.
#[derive(Debug, Default)]
pub struct Inputs {
    list: Vec<Input>,
    errors: Vec<Error>,
    counters: CaptureCounters,
}

/// One capture.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: Arc<str>,
    pub(super) place: Place,
    /// Length on disk, where that is known beforehand.
    pub(super) len: Option<u64>,
    /// Time of the first frame, where that is known beforehand.
    first: Option<Timestamp>,
    /// Whether reading takes time that is not the kernel's alone: it has to be
    /// unpacked, or waited for.
    pub(super) slow: bool,
}

/// Where a capture is.
#[derive(Debug)]
pub(super) enum Place {
    StandardInput,
    Path(PathBuf),
}

impl Inputs {
    /// Finds the captures that `paths` name: files, directories, and `-` for
    /// standard input.
    ///
    /// Directories are searched to any depth, without following links to
    /// directories. In them, files that do not begin like a capture are counted
    /// and left out; a file that is named itself must be one, or is an error. A
    /// file that is named twice is read once.
    pub fn expand<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut expansion = Expansion::default();
        for path in paths {
            expansion.named(path.as_ref());
        }
        let mut inputs = expansion.inputs;
        inputs.list.sort_by(|a, b| a.key().cmp(&b.key()));
        inputs
    }

    /// How many captures there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The names, in the order in which the captures are read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|input| &*input.name)
    }

    /// What could not be read.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// Takes the inputs apart: captures, errors and counters.
    pub(super) fn into_parts(self) -> (Vec<Input>, Vec<Error>, CaptureCounters) {
        (self.list, self.errors, self.counters)
    }
}

impl Input {
    /// Streams last, in their order (the sort is stable); files by time, those
    /// without a frame at their end.
    fn key(&self) -> (bool, bool, Option<Timestamp>, &str) {
        match self.len {
            Some(_) => (false, self.first.is_none(), self.first, &self.name),
            None => (true, false, None, ""),
        }
    }
}

/// The captures found so far.
#[derive(Default)]
struct Expansion {
    inputs: Inputs,
    seen: HashSet<PathBuf>,
    block: Block,
}

impl Expansion {
    fn named(&mut self, path: &Path) {
        if path == Path::new("-") {
            return self.stream(path, Place::StandardInput);
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.directory(path),
            Ok(metadata) if metadata.is_file() => {
                if let Err(error) = self.file(path, &metadata) {
                    self.fail(error);
                }
            }
            Ok(_) => self.stream(path, Place::Path(path.to_owned())),
            Err(error) => self.fail(unreadable(path, error)),
        }
    }

    fn directory(&mut self, root: &Path) {
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            let entries = match list(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    self.fail(unreadable(&directory, error));
                    continue;
                }
            };
            for (path, is_dir) in entries {
                if is_dir {
                    directories.push(path);
                } else {
                    self.entry(&path);
                }
            }
        }
    }

    /// A directory's entry that is not a directory itself.
    fn entry(&mut self, path: &Path) {
        let error = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => match self.file(path, &metadata) {
                Ok(()) => return,
                Err(error) => error,
            },
            Ok(_) => return self.inputs.counters.files_skipped += 1,
            Err(error) => unreadable(path, error),
        };
        match &error {
            Error::Unreadable { reason: Unreadable::Compression(_), .. } => {
                self.inputs.counters.files_unsupported += 1;
            }
            // Gone by now, or a link to nothing.
            Error::Unreadable { reason: Unreadable::Io(cause), .. }
                if cause.kind() != io::ErrorKind::NotFound =>
            {
                self.fail(error);
            }
            _ => self.inputs.counters.files_skipped += 1,
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata) -> Result<(), Error> {
        if self.repeated(path) {
            return Ok(());
        }
        let mut reader = Reader::open(path, SourceId::default())?.with_block_size(PROBE_BLOCK);
        let first = self.first_time(&mut reader);
        self.inputs.list.push(Input {
            name: name(path),
            place: Place::Path(path.to_owned()),
            len: Some(metadata.len()),
            slow: reader.is_compressed(),
            first,
        });
        Ok(())
    }

    fn stream(&mut self, path: &Path, place: Place) {
        if !self.repeated(path) {
            self.inputs.list.push(Input {
                name: name(path),
                place,
                len: None,
                first: None,
                slow: true,
            });
        }
    }

    /// Whether the file was named before, perhaps by another path.
    fn repeated(&mut self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let repeated = !self.seen.insert(real);
        self.inputs.counters.files_repeated += u64::from(repeated);
        repeated
    }

    /// The time of the first frame of a capture, if one comes early in it.
    /// Damage is left to be reported when the capture is read.
    fn first_time(&mut self, reader: &mut Reader) -> Option<Timestamp> {
        for _ in 0..PROBE_BLOCKS {
            match reader.fill(&mut self.block) {
                Ok(Fill::Block) => {}
                Ok(Fill::End) | Err(_) => break,
            }
            if let Some(frame) = self.block.frame(0) {
                return Some(frame.time);
            }
        }
        None
    }

    fn fail(&mut self, error: Error) {
        self.inputs.counters.inputs_unreadable += 1;
        self.inputs.errors.push(error);
    }
}

/// The entries of a directory, sorted, and whether each is a directory.
fn list(directory: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        entries.push((entry.path(), entry.file_type()?.is_dir()));
    }
    entries.sort();
    Ok(entries)
}

fn name(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::Unreadable { name: name(path), reason: Unreadable::Io(error) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{capture, gzip};
    use super::*;

    fn files(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        directory
    }

    fn relative(inputs: &Inputs, directory: &Path) -> Vec<String> {
        let strip = |name| Path::new(name).strip_prefix(directory).unwrap_or(Path::new(name));
        inputs.names().map(|name| strip(name).display().to_string()).collect()
    }

    #[test]
    fn a_directory_gives_its_captures_by_time_then_name() {
        let directory = files(&[
            ("z/first.dat", capture(&[5])),
            ("late.pcap", capture(&[40, 1])),
            ("b.pcap", capture(&[20])),
            ("a.pcap", capture(&[20])),
            ("packed", gzip(&capture(&[30]))),
            ("no-frames.pcap", capture(&[])),
            ("cut.pcap", capture(&[10])[..30].to_vec()),
            ("readme.pcap", b"not a capture".to_vec()),
            ("text.gz", gzip(b"not a capture")),
            ("empty", Vec::new()),
            ("x.pcap.xz", b"\xfd7zXZ\0\0".to_vec()),
        ]);
        let inputs = Inputs::expand([directory.path()]);
        assert_eq!(
            relative(&inputs, directory.path()),
            [
                "z/first.dat",
                "a.pcap",
                "b.pcap",
                "packed",
                "late.pcap",
                "cut.pcap",
                "no-frames.pcap"
            ]
        );
        assert!(inputs.errors().is_empty());
        assert_eq!(inputs.counters.files_skipped, 3);
        assert_eq!(inputs.counters.files_unsupported, 1);
    }

    #[test]
    fn a_named_file_must_be_a_capture() {
        let directory = files(&[
            ("good.pcap", capture(&[1])),
            ("bad.pcap", b"GET / HTTP/1.1".to_vec()),
            ("empty.pcap", Vec::new()),
            ("c.lz4", b"\x04\x22\x4d\x18....".to_vec()),
            ("c.bz2", b"BZh91AY&SY".to_vec()),
            ("cut.gz", b"\x1f\x8b\x08\0".to_vec()),
        ]);
        let path = |name| directory.path().join(name);
        let names = ["good.pcap", "bad.pcap", "empty.pcap", "c.lz4", "c.bz2", "cut.gz", "none"];
        let inputs = Inputs::expand(names.map(path));
        assert_eq!(relative(&inputs, directory.path()), ["good.pcap"]);
        let reasons = inputs.errors().iter().map(|error| {
            let text = error.to_string();
            let prefix = format!("{}/", directory.path().display());
            text.strip_prefix(&prefix).map(str::to_owned).unwrap_or(text)
        });
        assert_eq!(
            reasons.collect::<Vec<_>>(),
            [
                "bad.pcap: neither a pcap nor a pcapng capture",
                "empty.pcap: empty",
                "c.lz4: compressed with lz4, which is not read: decompress it first",
                "c.bz2: compressed with bzip2, which is not read: decompress it first",
                "cut.gz: the input ends inside the gzip stream",
                &format!("none: {}", io::Error::from_raw_os_error(2)),
            ]
        );
        assert_eq!(inputs.counters.inputs_unreadable, 6);
    }

    #[test]
    fn what_is_named_twice_is_read_once_and_streams_come_last() {
        let directory = files(&[("a.pcap", capture(&[9])), ("b/c.pcap", capture(&[1]))]);
        let root = directory.path();
        let again = root.join("b/../a.pcap");
        let inputs = Inputs::expand([Path::new("-"), &again, root, Path::new("-")]);
        let names = relative(&inputs, root);
        assert_eq!(names, ["b/c.pcap", "b/../a.pcap", "-"]);
        assert_eq!(inputs.counters.files_repeated, 2);
    }

    #[cfg(unix)]
    #[test]
    fn links_to_files_are_followed_and_links_to_directories_are_not() {
        use std::os::unix::fs::symlink;
        let directory = files(&[("in/a.pcap", capture(&[1]))]);
        let other = files(&[("b.pcap", capture(&[2]))]);
        let root = directory.path();
        symlink(root, root.join("in/loop")).unwrap();
        symlink(other.path().join("b.pcap"), root.join("linked")).unwrap();
        symlink(root.join("nothing"), root.join("dangling")).unwrap();
        let inputs = Inputs::expand([root]);
        assert_eq!(relative(&inputs, root), ["in/a.pcap", "linked"]);
        assert_eq!(inputs.counters.files_skipped, 2);
        assert!(inputs.errors().is_empty());
    }
}
