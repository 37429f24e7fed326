//! `mcpwatch schema`: prints the schema of the findings.

use super::args::{SchemaArgs, SchemaFormat};
use super::{Exit, complain, print};
use crate::findings::schema;

pub(super) fn run(args: &SchemaArgs) -> Exit {
    match args.format {
        SchemaFormat::Json => print(|out| writeln!(out, "{}", schema::to_json().trim_end())),
        SchemaFormat::Md => print(|out| writeln!(out, "{}", schema::to_markdown().trim_end())),
        SchemaFormat::Arrow => match schema::to_ipc() {
            Ok(bytes) => print(|out| out.write_all(&bytes)),
            Err(error) => {
                complain(&format!("the schema cannot be encoded: {error}"));
                Exit::Failed
            }
        },
    }
}
