//! The file that says which process a sensor is, and `mcpwatch reload`, which reads it.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::args::ReloadArgs;
use super::{Exit, complain};

/// A file with the number of this process; removed when it ends.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it.
    ///
    /// # Errors
    /// If that cannot be done, or the file is that of another sensor that runs.
    pub(super) fn write(path: &Path) -> Result<Self, String> {
        let of = |what: &dyn std::fmt::Display| format!("--pid-file {}: {what}", path.display());
        if let Some(id) = read(path).filter(|&id| id != std::process::id() && is_sensor(id)) {
            return Err(of(&format!("another sensor runs as process {id}")));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o644));
        }
        // It appears under its name when it is whole; a link there is not followed.
        let file = builder.tempfile_in(folder.unwrap_or(Path::new(".")));
        let mut file = file.map_err(|error| of(&error))?;
        writeln!(file, "{}", std::process::id()).map_err(|error| of(&error))?;
        file.persist(path).map_err(|error| of(&error.error))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Where privileges were given up it may have to stay; what it says is
        // checked by who reads it.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether a process is a sensor, as far as the system tells: it has our name and
/// was started to watch.
fn is_sensor(id: u32) -> bool {
    let read = |id: &str, what: &str| std::fs::read(format!("/proc/{id}/{what}")).ok();
    let process = id.to_string();
    let name = read(&process, "comm");
    let arguments = read(&process, "cmdline").unwrap_or_default();
    let command = arguments.split(|&byte| byte == 0).nth(1);
    name.is_some() && name == read("self", "comm") && command == Some(b"sense")
}

pub(super) fn reload(args: &ReloadArgs) -> Exit {
    match ask(&args.pid_file) {
        Ok(()) => Exit::Done,
        Err(message) => {
            complain(&format!("{}: {message}", args.pid_file.display()));
            Exit::Failed
        }
    }
}

#[cfg(target_os = "linux")]
fn ask(path: &Path) -> Result<(), String> {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let id = text.trim().parse::<i32>().ok().and_then(Pid::from_raw);
    let id = id.ok_or("there is no number of a process in it")?;
    let number = id.as_raw_nonzero().get();
    // The process is held on to, so that what is asked is what was looked at.
    let process = pidfd_open(id, PidfdFlags::empty())
        .map_err(|error| format!("process {number}: {error}"))?;
    if !is_sensor(number.unsigned_abs()) {
        return Err(format!("process {number} is not a sensor"));
    }
    pidfd_send_signal(process, Signal::HUP).map_err(|error| format!("process {number}: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn ask(_path: &Path) -> Result<(), String> {
    Err("sensors run on Linux only".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_as_long_as_the_process_wants() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcpwatch.pid");
        // Of a process that is no sensor.
        std::fs::write(&path, "1\n").unwrap();
        let file = PidFile::write(&path).unwrap();
        assert_eq!(read(&path), Some(std::process::id()));
        drop(file);
        assert!(!path.exists());
        assert!(PidFile::write(&folder.path().join("no/such/folder")).is_err());
    }
}
