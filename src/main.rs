//! The `mcpwatch` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcpwatch::cli::main()
}
