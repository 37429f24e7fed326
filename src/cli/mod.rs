//! The command line: arguments in, exit code out. What is done is done by the
//! engine; here it is only wired to files and terminals.

mod args;
mod bench;
mod cache;
mod check;
mod config;
mod detection;
mod interfaces;
mod keylogs;
mod log;
mod outputs;
mod pid_file;
mod privileges;
mod progress;
mod reload;
mod report;
mod scan;
mod schema;
mod sense;
mod signals;
mod signatures;
mod view;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::args::{Cli, ColorWhen, Command};

/// How a run ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done.
    Done = 0,
    /// Done, and what `--fail-on` waits for was found, or a check failed.
    Found = 1,
    /// Nothing could be done.
    Failed = 2,
    /// Done, but part of the input was damaged, truncated or dropped.
    Incomplete = 3,
}

/// Runs the command that the arguments of the process ask for.
pub fn main() -> ExitCode {
    ExitCode::from(run_with(std::env::args_os().collect()) as u8)
}

fn run_with(arguments: Vec<OsString>) -> Exit {
    let arguments = match config::expand(arguments) {
        Ok(arguments) => arguments,
        Err(report) => {
            complain(&report.to_string());
            return Exit::Failed;
        }
    };
    match Cli::try_parse_from(arguments) {
        Ok(cli) => run(cli.command),
        Err(error) => {
            // Nobody is left to tell if this cannot be printed.
            let _ = error.print();
            if error.use_stderr() { Exit::Failed } else { Exit::Done }
        }
    }
}

fn run(command: Command) -> Exit {
    match command {
        Command::Scan(args) => scan::run(&args),
        Command::Sense(args) => sense::run(&args),
        Command::Reload(args) => pid_file::reload(&args),
        Command::Interfaces(args) => interfaces::run(&args),
        Command::Signatures(command) => signatures::run(&command),
        Command::Report(args) => report::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions { shell } => print(|out| {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mcpwatch", &mut script);
            out.write_all(&script)
        }),
        Command::Man => print(|out| clap_mangen::Man::new(Cli::command()).render(out)),
    }
}

/// Writes to standard output. A reader that has gone away is no error.
fn print(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Exit {
    let mut out = std::io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            complain(&format!("standard output: {error}"));
            Exit::Failed
        }
    }
}

/// Tells the user of a problem.
fn complain(message: &str) {
    log::error("problem", message).say();
}

impl From<ColorWhen> for anstream::ColorChoice {
    fn from(when: ColorWhen) -> Self {
        match when {
            ColorWhen::Auto => Self::Auto,
            ColorWhen::Always => Self::Always,
            ColorWhen::Never => Self::Never,
        }
    }
}
