//! Compiled automata on disk: fields of a set in, their automata out if the same
//! patterns were compiled before.
//!
//! Making DFAs takes longer than reading a small capture. A [`Cache`] is one file
//! for each set, named by what the patterns of its fields are. Nothing in it is
//! trusted: a file with another checksum, of another build or of another machine
//! is as good as none, and each automaton is checked again when it is read.

use std::collections::HashMap;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Begins every file; the last bytes tell the order of bytes in the rest.
const MAGIC: [u8; 16] = *b"mcpwatch dfa\x03\0\0\0";

/// Files kept in a folder; the oldest go.
const MAX_FILES: usize = 16;

/// Bytes of a file that is read, at most.
const MAX_BYTES: u64 = 256 << 20;

const EXTENSION: &str = "dfa";
const HASH: usize = 32;
const HEADER: usize = MAGIC.len() + HASH;

/// Says which patterns an automaton was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key([u8; HASH]);

impl Key {
    /// The key of what is hashed by `content`.
    pub(super) fn of(content: impl FnOnce(&mut KeyHasher)) -> Self {
        let mut hasher = KeyHasher(Sha256::new());
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
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

/// The automata of one set, as they were on disk.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    bytes: Vec<u8>,
    entries: HashMap<Key, Range<usize>>,
}

impl Cache {
    /// Reads what `folder` has of the set with these fields.
    pub(super) fn open(folder: &Path, fields: &[Key]) -> Self {
        let set = Key::of(|hasher| fields.hash(hasher));
        let name: String = set.0.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join(name).with_extension(EXTENSION);
        let bytes = read(&path).unwrap_or_default();
        let entries = entries(&bytes).unwrap_or_default();
        Self { path, bytes, entries }
    }

    /// What was saved for a field.
    pub(super) fn find(&self, key: &Key) -> Option<&[u8]> {
        self.bytes.get(self.entries.get(key)?.clone())
    }

    /// Replaces the file. That it cannot be written is no error: the automata
    /// are made again.
    pub(super) fn save(&self, entries: &[(Key, Vec<u8>)]) {
        let Some(folder) = self.path.parent() else { return };
        if write(folder, &self.path, entries).is_ok() {
            prune(folder);
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::read(path)
}

/// Where each entry's content is; `None` if the file is damaged.
fn entries(bytes: &[u8]) -> Option<HashMap<Key, Range<usize>>> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    if !header.starts_with(&MAGIC) || header[MAGIC.len()..] != *Sha256::digest(body) {
        return None;
    }
    let mut entries = HashMap::new();
    let mut at = HEADER;
    while at < bytes.len() {
        let key = bytes.get(at..at + HASH)?.try_into().ok()?;
        let len = bytes.get(at + HASH..at + HASH + 8)?.try_into().ok()?;
        let start = at + HASH + 8;
        let end = start.checked_add(usize::try_from(u64::from_ne_bytes(len)).ok()?)?;
        if end > bytes.len() {
            return None;
        }
        entries.insert(Key(key), start..end);
        at = end;
    }
    Some(entries)
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
    file.write_all(&Sha256::digest(&body))?;
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
        let folder = tempfile::tempdir().unwrap();
        let fields = [key("a"), key("b")];
        let cache = Cache::open(folder.path(), &fields);
        assert_eq!(cache.find(&fields[0]), None);
        cache.save(&[(fields[0], vec![1, 2, 3]), (fields[1], vec![])]);
        let cache = Cache::open(folder.path(), &fields);
        assert_eq!(cache.find(&fields[0]), Some(&[1, 2, 3][..]));
        assert_eq!(cache.find(&fields[1]), Some(&[][..]));
        assert_eq!(cache.find(&key("c")), None);
        assert_eq!(Cache::open(folder.path(), &fields[..1]).find(&fields[0]), None);
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let fields = [key("a")];
        let cache = Cache::open(folder.path(), &fields);
        cache.save(&[(fields[0], vec![7; 100])]);
        let whole = fs::read(&cache.path).unwrap();
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 1;
            fs::write(&cache.path, &damaged).unwrap();
            assert_eq!(Cache::open(folder.path(), &fields).find(&fields[0]), None, "{index}");
            fs::write(&cache.path, &whole[..index]).unwrap();
            assert_eq!(Cache::open(folder.path(), &fields).find(&fields[0]), None, "{index}");
        }
    }

    #[test]
    fn a_folder_keeps_few_files() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MAX_FILES + 5 {
            let fields = [key(&number.to_string())];
            Cache::open(folder.path(), &fields).save(&[(fields[0], vec![1])]);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MAX_FILES);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fields = [key("a")];
        let cache = Cache::open(&file.path().join("below"), &fields);
        cache.save(&[(fields[0], vec![1])]);
        assert_eq!(cache.find(&fields[0]), None);
    }
}
