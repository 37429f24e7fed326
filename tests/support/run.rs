//! Runs the program.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use super::corpus::root;

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Each line of standard output as JSON.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The run, if it ended with that code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {:?}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// `mcpwatch`, in the folder of the project, without a terminal.
pub(crate) fn mcpwatch<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpwatch"));
    command.env("MCPWATCH_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.current_dir(root()).args(arguments).stdin(Stdio::null());
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// Runs `mcpwatch` with the words of `line`.
pub(crate) fn run(line: &str) -> Run {
    mcpwatch(line.split_whitespace()).output().unwrap().into()
}

/// Runs `mcpwatch` with the words of `line` and a path.
pub(crate) fn run_on(line: &str, path: &Path) -> Run {
    mcpwatch(line.split_whitespace()).arg(path).output().unwrap().into()
}

/// Runs `mcpwatch` with the words of `line` and bytes on standard input.
pub(crate) fn run_with(line: &str, input: Vec<u8>) -> Run {
    let mut child = start(line);
    let mut stdin = child.stdin.take().unwrap();
    // The program may end before it has read everything.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.into()
}

/// Starts `mcpwatch` with the words of `line`, all of its streams piped.
pub(crate) fn start(line: &str) -> Child {
    mcpwatch(line.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
