//! Gives up what a sensor does not need any longer: what it is to reach in, how far
//! each restriction holds out. Linux only.
//!
//! After this, whoever takes over the process through a parser can capture frames,
//! read what is read anew, and write where findings go; not start programs, look at
//! other processes, or reach other files. The restrictions are those of the calling
//! thread and of threads that it starts afterwards, so that there must be no other.
//!
//! What the kernel does not have is left out, and said; only a user that cannot be
//! changed to is an error.

mod calls;
mod capabilities;
mod files;
mod user;

use std::fmt;
use std::path::PathBuf;

pub use self::user::{User, UserError};

/// What is to stay within reach.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    /// Whom to go on as.
    pub user: Option<User>,
    /// Files and folders that are read.
    pub reads: Vec<PathBuf>,
    /// Folders in which files are made, written and removed.
    pub writes: Vec<PathBuf>,
    /// The same, with folders of their own in them.
    pub folders: Vec<PathBuf>,
    /// Folders from which files are removed.
    pub removes: Vec<PathBuf>,
    /// Whether connections may be opened.
    pub connects: bool,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The restrictions, and how far each holds.
    pub measures: Vec<Measure>,
    /// What is to be read and is there, but may not be.
    pub unreadable: Vec<PathBuf>,
}

/// A restriction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What it is.
    pub name: &'static str,
    /// Whether it holds.
    pub hold: Hold,
}

/// How far a restriction holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It does; with what is left, where that is worth a word.
    Whole(String),
    /// It does in part, and why.
    Part(String),
    /// It does not, and why.
    Not(String),
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, hold } = self;
        match hold {
            Hold::Whole(left) if left.is_empty() => f.write_str(name),
            Hold::Whole(left) => write!(f, "{name} ({left})"),
            Hold::Part(why) => write!(f, "{name} in part ({why})"),
            Hold::Not(why) => write!(f, "no {name} ({why})"),
        }
    }
}

impl Sandbox {
    /// Restricts the calling thread, and all that it starts from here on, for good.
    ///
    /// # Errors
    /// If there is a user to change to, and that cannot be done.
    pub fn enter(&self) -> Result<Outcome, UserError> {
        let mut measures = Vec::new();
        // Opened while everything can be.
        let files = files::prepare(self);
        // This takes a capability that is lost with the user.
        capabilities::bound();
        if let Some(user) = &self.user {
            user.switch()?;
            measures.push(Measure { name: "user", hold: Hold::Whole(user.to_string()) });
        }
        let capabilities = capabilities::drop_all_but_needed(self);
        measures.push(measure("capabilities", capabilities));
        let privileges = rustix::thread::set_no_new_privs(true);
        measures.push(measure("no new privileges", privileges.map(|()| Hold::default())));
        measures.push(measure("Landlock", files.and_then(files::restrict)));
        measures.push(measure("seccomp", calls::deny()));
        if threads().is_some_and(|threads| threads > 1) {
            let why = "of threads that ran before, only system calls are restricted".to_owned();
            measures.push(Measure { name: "all threads", hold: Hold::Not(why) });
        }
        let reads = self.reads.iter().filter(|path| path.exists());
        let unreadable = reads.filter(|path| !capabilities::can_read(path)).cloned().collect();
        Ok(Outcome { measures, unreadable })
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self::Whole(String::new())
    }
}

fn measure<E: fmt::Display>(name: &'static str, hold: Result<Hold, E>) -> Measure {
    Measure { name, hold: hold.unwrap_or_else(|error| Hold::Not(error.to_string())) }
}

/// How many threads the process has, where the system tells.
fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").map(Iterator::count).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_measures_are_told() {
        let told = |hold| Measure { name: "Landlock", hold }.to_string();
        assert_eq!(told(Hold::default()), "Landlock");
        assert_eq!(told(Hold::Whole("ABI 6".into())), "Landlock (ABI 6)");
        assert_eq!(
            told(Hold::Part("an older kernel".into())),
            "Landlock in part (an older kernel)"
        );
        assert_eq!(told(Hold::Not("not built".into())), "no Landlock (not built)");
    }
}
