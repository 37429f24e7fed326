//! What a sensor needs, from its arguments: what else there is, is given up.

use super::args::SenseArgs;

#[cfg(target_os = "linux")]
pub(super) use self::linux::{check, give_up};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::SenseArgs;
    use crate::cli::{cache, log};
    use crate::findings::Destination;
    use crate::sandbox::{Hold, Sandbox, User};

    /// What the C library reads when it looks up the name of a host.
    const NAME_RESOLUTION: [&str; 4] = ["/etc", "/lib", "/usr/lib", "/run/systemd/resolve"];

    /// What can be wrong before anything is done.
    pub(in crate::cli) fn check(args: &SenseArgs) -> Result<(), String> {
        args.service.user.as_deref().map(User::find).transpose().map(drop).map_err(told)
    }

    /// Gives up what is not needed, and says what could not be.
    pub(in crate::cli) fn give_up(args: &SenseArgs) -> Result<(), String> {
        if args.service.no_sandbox {
            return Ok(());
        }
        let outcome = sandbox(args)?.enter().map_err(told)?;
        let measures: Vec<String> = outcome.measures.iter().map(ToString::to_string).collect();
        let whole = outcome.measures.iter().all(|it| matches!(it.hold, Hold::Whole(_)));
        let message = format!("goes on with less: {}", measures.join("; "));
        let entry = if whole { log::info } else { log::warning };
        if !args.detection.quiet {
            entry("sandbox", message).with("measures", measures).say();
        }
        for path in outcome.unreadable {
            let path = path.display().to_string();
            let message = format!("{path}: cannot be read anew from here on, for lack of rights");
            log::warning("unreadable", message).with("file", path).say();
        }
        Ok(())
    }

    /// What is to stay within reach. Folders, not files: what is read may be
    /// replaced, and what is written gets its name when it is whole.
    fn sandbox(args: &SenseArgs) -> Result<Sandbox, String> {
        let arguments = &args.detection;
        let user = args.service.user.as_deref().map(User::find).transpose().map_err(told)?;
        let mut sandbox = Sandbox { user, ..Sandbox::default() };
        for path in &arguments.signatures {
            sandbox.reads.extend(if path.is_dir() { itself(path) } else { around(path) });
        }
        for path in arguments.policy.iter().chain(&arguments.keylog) {
            sandbox.reads.extend(around(path));
        }
        for path in arguments.output.iter().chain(&arguments.stats) {
            match Destination::from_argument(path) {
                // Formats that need two passes put the first one there.
                Destination::Stream(..) => sandbox.writes.push(std::env::temp_dir()),
                Destination::Path(path) => sandbox.writes.extend(around(&path)),
                Destination::Socket(_) => {}
                Destination::Flight(_) => {
                    sandbox.connects = true;
                    sandbox.reads.extend(NAME_RESOLUTION.map(PathBuf::from));
                }
            }
        }
        sandbox.folders.extend(args.spool.clone());
        sandbox.writes.extend(cache::folder());
        if args.tui {
            // Keys come from there where standard input is something else.
            sandbox.writes.push(PathBuf::from("/dev/tty"));
        }
        sandbox.removes = args.service.pid_file.iter().map(|path| folder(path)).collect();
        Ok(sandbox)
    }

    /// A path, and where it leads to.
    fn itself(path: &Path) -> Vec<PathBuf> {
        let mut paths = vec![path.to_owned()];
        paths.extend(fs::canonicalize(path));
        paths.dedup();
        paths
    }

    /// The folder of a file, and of the file that it leads to; that itself, where it
    /// is a device or a pipe.
    fn around(path: &Path) -> Vec<PathBuf> {
        let mut paths = vec![folder(path)];
        if let Ok(real) = fs::canonicalize(path) {
            paths.push(if real.is_file() { folder(&real) } else { real });
        }
        paths.dedup();
        paths
    }

    fn folder(path: &Path) -> PathBuf {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).to_owned()
    }

    fn told(error: impl std::error::Error) -> String {
        format!("--user: {error}")
    }
}

/// There are no sensors here.
#[cfg(not(target_os = "linux"))]
pub(super) fn check(_args: &SenseArgs) -> Result<(), String> {
    Ok(())
}

/// There are no sensors here.
#[cfg(not(target_os = "linux"))]
pub(super) fn give_up(_args: &SenseArgs) -> Result<(), String> {
    Ok(())
}
