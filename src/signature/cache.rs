//! Compiled automata on disk: a name in, the automata that were saved under it out.
//!
//! Making DFAs takes longer than reading a small capture, and to read them back about as
//! long as to read the signatures: a [`Cache`] does so on a thread of its own. Its file is
//! named by where the signatures come from; what it has of patterns that are not theirs any
//! more is not asked for. Nothing in it is trusted: a file with another checksum, of another
//! build or of another machine is as good as none, and each automaton is checked again when
//! it is read.

use std::collections::HashMap;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use flate2::Crc;
use sha2::{Digest, Sha256};

use super::automaton::FieldAutomaton;

/// Begins every file; the last bytes tell the order of bytes in the rest.
const MAGIC: [u8; 16] = *b"mcpwatch dfa\x04\0\0\0";

/// Files kept in a folder; the oldest go.
const MAX_FILES: usize = 16;

/// Bytes of a file that is read, at most.
const MAX_BYTES: u64 = 256 << 20;

const EXTENSION: &str = "dfa";
const HASH: usize = 32;
const CHECKSUM: usize = 8;
const HEADER: usize = MAGIC.len() + CHECKSUM;

/// Says which patterns an automaton was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key([u8; HASH]);

impl Key {
    /// The key of what is hashed by `content`.
    pub(super) fn of(content: impl FnOnce(&mut KeyHasher)) -> Self {
        let mut hasher = KeyHasher(Sha256::new());
        (MAGIC, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
        content(&mut hasher);
        Self(hasher.0.finalize().into())
    }
}

/// Feeds what is hashed to SHA-256.
pub(super) struct KeyHasher(Sha256);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

/// Automata by what they were made from.
type Automata = HashMap<Key, FieldAutomaton>;

/// What was compiled before.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    reading: io::Result<JoinHandle<Automata>>,
}

impl Cache {
    /// Begins to read what `folder` has under `name`, which tells where the signatures come
    /// from. If there is nothing, or nothing that can be used, all is compiled.
    pub fn open(folder: &Path, name: impl Hash) -> Self {
        let name = Key::of(|hasher| name.hash(hasher));
        let name: String = name.0.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join(name).with_extension(EXTENSION);
        let file = path.clone();
        let reading = thread::Builder::new().name("cache".to_owned());
        let reading = reading.spawn(move || automata(&read(&file).unwrap_or_default()));
        Self { path, reading }
    }

    /// The file, and what it holds.
    pub(super) fn read(self) -> (PathBuf, Automata) {
        let automata = self.reading.ok().and_then(|reading| reading.join().ok());
        (self.path, automata.unwrap_or_default())
    }
}

/// Replaces the file. That it cannot be written is no error: the automata are made again.
pub(super) fn save(path: &Path, entries: &[(Key, Vec<u8>)]) {
    let Some(folder) = path.parent() else { return };
    if write(folder, path, entries).is_ok() {
        prune(folder);
    }
}

/// The automata of a file.
fn automata(bytes: &[u8]) -> Automata {
    let restored = |(key, content)| Some((key, FieldAutomaton::from_bytes(content)?));
    entries(bytes).unwrap_or_default().into_iter().filter_map(restored).collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::read(path)
}

/// The entries; `None` if the file is damaged.
fn entries(bytes: &[u8]) -> Option<Vec<(Key, &[u8])>> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    if !header.starts_with(&MAGIC) || header[MAGIC.len()..] != checksum(body) {
        return None;
    }
    let mut entries = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (key, after) = rest.split_first_chunk()?;
        let (len, after) = after.split_first_chunk()?;
        let len = usize::try_from(u64::from_ne_bytes(*len)).ok()?;
        let (content, after) = after.split_at_checked(len)?;
        entries.push((Key(*key), content));
        rest = after;
    }
    Some(entries)
}

/// CRC-32, as it tells damage, and takes a tenth of the time of SHA-256; who could forge a
/// file could forge either.
fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let mut crc = Crc::new();
    crc.update(body);
    u64::from(crc.sum()).to_ne_bytes()
}

fn write(folder: &Path, path: &Path, entries: &[(Key, Vec<u8>)]) -> io::Result<()> {
    let mut body = Vec::new();
    for (key, content) in entries {
        body.extend_from_slice(&key.0);
        body.extend_from_slice(&(content.len() as u64).to_ne_bytes());
        body.extend_from_slice(content);
    }
    fs::create_dir_all(folder)?;
    // Renamed when whole: another process may read or write the same file.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&MAGIC)?;
    file.write_all(&checksum(&body))?;
    file.write_all(&body)?;
    file.persist(path)?;
    Ok(())
}

/// Removes the files used least lately, but for [`MAX_FILES`].
fn prune(folder: &Path) {
    let Ok(listing) = fs::read_dir(folder) else { return };
    let mut files: Vec<_> = listing
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let ours = path.extension().is_some_and(|extension| extension == EXTENSION);
            let written = fs::metadata(&path).ok()?.modified().ok()?;
            ours.then_some((written, path))
        })
        .collect();
    files.sort_unstable();
    let surplus = files.len().saturating_sub(MAX_FILES);
    for (_, path) in files.into_iter().take(surplus) {
        // Another process may have been first.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::of(|hasher| text.hash(hasher))
    }

    #[test]
    fn gives_back_what_was_saved() {
        let keys = ["a", "b"].map(key);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dfa");
        save(&path, &[(keys[0], vec![1, 2, 3]), (keys[1], vec![])]);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(entries(&bytes).unwrap(), [(keys[0], &[1, 2, 3][..]), (keys[1], &[])]);
        assert_eq!(automata(&bytes).len(), 0, "as these are none");
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dfa");
        save(&path, &[(key("a"), vec![7; 100])]);
        let whole = fs::read(&path).unwrap();
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 1;
            assert_eq!(entries(&damaged), None, "{index}");
            assert_eq!(entries(&whole[..index]), None, "{index}");
        }
    }

    #[test]
    fn a_folder_keeps_few_files() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MAX_FILES + 5 {
            let (path, _) = Cache::open(folder.path(), number).read();
            save(&path, &[]);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MAX_FILES);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (path, automata) = Cache::open(&file.path().join("below"), "a").read();
        assert!(automata.is_empty());
        save(&path, &[(key("a"), vec![1])]);
        assert!(!path.exists());
    }
}
