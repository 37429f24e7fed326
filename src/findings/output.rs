//! Where findings go: a file that appears under its name only when it is whole,
//! or a stream such as standard output.
//!
//! A file is written beside its final name, as `.NAME.PID.partial`, and renamed
//! when it is finished. Who looks at the name sees the last whole file or none;
//! what a killed process had written stays in the partial file. Pipes, devices,
//! sockets and standard output are written to directly.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where findings go.
pub enum Destination {
    /// A file, or whatever else stands under that path.
    Path(PathBuf),
    /// A stream, with its name for messages.
    Stream(String, Box<dyn Write + Send>),
    /// A Unix socket that a consumer listens on.
    Socket(PathBuf),
    /// A collector that speaks Arrow Flight, as `grpc://HOST:PORT[/PATH]`.
    Flight(String),
}

/// What the name of a Unix socket begins with.
const UNIX: &str = "unix:";

/// What the address of a collector begins with.
const FLIGHT: &str = "grpc://";

impl Destination {
    /// What an argument of `--output` means: `-` is standard output, `unix:PATH` a
    /// socket, `grpc://…` a collector, all else a file.
    pub fn from_argument(argument: &Path) -> Self {
        match argument.to_str() {
            Some("-") => Self::Stream("standard output".to_owned(), Box::new(io::stdout())),
            Some(address) if address.starts_with(FLIGHT) => Self::Flight(address.to_owned()),
            Some(text) => match text.strip_prefix(UNIX) {
                Some(path) => Self::Socket(path.into()),
                None => Self::Path(argument.to_owned()),
            },
            None => Self::Path(argument.to_owned()),
        }
    }

    /// Whether somebody takes the findings there who may be slow, die and come back.
    pub fn is_consumer(&self) -> bool {
        matches!(self, Self::Socket(_) | Self::Flight(_))
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Stream(name, _) => name.clone(),
            Self::Socket(path) => format!("{UNIX}{}", path.display()),
            Self::Flight(address) => address.clone(),
        }
    }

    /// Finds out how it must be written.
    pub(crate) fn resolve(self) -> io::Result<Place> {
        let path = match self {
            Self::Stream(_, writer) => return Ok(Place::Stream(writer)),
            Self::Socket(path) => return connect(&path).map(Place::Stream),
            Self::Flight(_) => return Err(io::ErrorKind::Unsupported.into()),
            Self::Path(path) => path,
        };
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(Place::File {
                // A link stays; the file it leads to is replaced.
                target: fs::canonicalize(&path)?,
                permissions: Some(found.permissions()),
            }),
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => Ok(Place::Stream(Box::new(OpenOptions::new().write(true).open(&path)?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Place::File { target: path, permissions: None })
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Destination").field(&self.name()).finish()
    }
}

/// Connects to a socket that somebody listens on.
#[cfg(unix)]
pub(crate) fn connect(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(std::os::unix::net::UnixStream::connect(path)?))
}

/// There are no such sockets here.
#[cfg(not(unix))]
pub(crate) fn connect(_path: &Path) -> io::Result<Box<dyn Write + Send>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How a destination must be written.
pub(crate) enum Place {
    /// To a partial file that then takes its place.
    File { target: PathBuf, permissions: Option<Permissions> },
    /// Directly.
    Stream(Box<dyn Write + Send>),
}

/// An open output.
pub(crate) enum Output {
    File(PartialFile),
    Stream(Box<dyn Write + Send>),
}

impl Output {
    /// Opens `place`.
    pub(crate) fn open(place: Place) -> io::Result<Self> {
        match place {
            Place::File { target, permissions } => {
                PartialFile::create(&target, permissions).map(Self::File)
            }
            Place::Stream(writer) => Ok(Self::Stream(writer)),
        }
    }

    /// Says that there are findings in it: should it never be finished, what
    /// there is must stay.
    pub(crate) fn keep(&mut self) {
        if let Self::File(file) = self {
            file.keep();
        }
    }

    /// Bytes in the file so far; none of a stream.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::File(partial) => len(&partial.file),
            Self::Stream(_) => 0,
        }
    }

    /// Ends it: the file gets its name.
    pub(crate) fn commit(self) -> io::Result<()> {
        match self {
            Self::File(file) => file.commit(),
            Self::Stream(mut writer) => writer.flush(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(partial) => partial.file.write(bytes),
            Self::Stream(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(partial) => partial.file.flush(),
            Self::Stream(writer) => writer.flush(),
        }
    }
}

/// A file in the making. Dropped before it is committed, it goes away unless it
/// was said to be worth keeping.
pub(crate) struct PartialFile {
    file: File,
    partial: PathBuf,
    target: PathBuf,
    on_drop: OnDrop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    Keep,
    Remove,
}

impl PartialFile {
    /// Creates the partial file of `target`, readable too, with the permissions
    /// of the file that it will replace.
    pub(crate) fn create(target: &Path, permissions: Option<Permissions>) -> io::Result<Self> {
        let (partial, file) = create_beside(target)?;
        let this = Self { file, partial, target: target.to_owned(), on_drop: OnDrop::Remove };
        if let Some(permissions) = permissions {
            this.file.set_permissions(permissions)?;
        }
        Ok(this)
    }

    /// Another handle on the same file, with the same position.
    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    pub(crate) fn keep(&mut self) {
        self.on_drop = OnDrop::Keep;
    }

    fn commit(mut self) -> io::Result<()> {
        // The bytes must be on the disk before the name is, or a power cut could leave the name
        // with nothing behind it.
        self.file.sync_data()?;
        fs::rename(&self.partial, &self.target)?;
        self.on_drop = OnDrop::Keep;
        sync_folder_of(&self.target);
        Ok(())
    }

    /// Lets the partial file go: what it held is somewhere else by now.
    pub(crate) fn discard(mut self) {
        self.on_drop = OnDrop::Remove;
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Remove {
            // Nothing is lost if it stays, and there is no one left to tell.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Sees to it that the name of a file survives a power cut. Where folders cannot be
/// opened or synchronised, the file system must do with what it does by itself.
pub(crate) fn sync_folder_of(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")));
    let _ = folder.and_then(|folder| folder.sync_all());
}

/// Bytes in a file; none if it cannot be told.
pub(crate) fn len(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// Most partial files of one target and process number.
const MAX_PARTIALS: u32 = 1000;

/// Creates a file that was not there: another process's partial file (process
/// numbers return, in containers always the same ones) is never written over.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(format!(".{}", std::process::id()));
    for attempt in 0..MAX_PARTIALS {
        let mut name = prefix.clone();
        match attempt {
            0 => name.push(".partial"),
            n => name.push(format!(".{n}.partial")),
        }
        let path = target.with_file_name(name);
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(path: &Path) -> Output {
        Output::open(Destination::from_argument(path).resolve().unwrap()).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.jsonl");
        fs::write(&path, "old").unwrap();
        let mut output = output(&path);
        output.write_all(b"new").unwrap();
        let partial = format!(".f.jsonl.{}.partial", std::process::id());
        assert_eq!(names(dir.path()), [partial.as_str(), "f.jsonl"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["f.jsonl"]);
    }

    #[test]
    fn an_unfinished_file_stays_only_with_findings_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.csv");
        drop(output(&path));
        assert!(names(dir.path()).is_empty());
        let mut kept = output(&path);
        kept.keep();
        drop(kept);
        assert_eq!(names(dir.path()).len(), 1);
        // The next of the same process number leaves it alone.
        let mut next = output(&path);
        next.write_all(b"x").unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        next.commit().unwrap();
        assert_eq!(names(dir.path()).len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_on_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.csv"), dir.path().join("link.csv"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o600)).unwrap();
        symlink(&real, &link).unwrap();
        let mut output = output(&link);
        output.write_all(b"new").unwrap();
        output.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let mut output = output(Path::new("/dev/null"));
        output.write_all(b"x").unwrap();
        output.commit().unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Destination::from_argument(dir.path()).resolve().err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
