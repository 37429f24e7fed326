//! `mcpwatch report`: sums up findings files.

use super::args::{ReportArgs, ReportFormat};
use super::{Exit, complain, print};
use crate::findings::read::Rows;
use crate::report::{Inventory, json, markdown, terminal};

pub(super) fn run(args: &ReportArgs) -> Exit {
    let mut inventory = Inventory::default();
    let mut rows_read = 0_u64;
    let mut incomplete = false;
    for path in &args.findings {
        let rows = match Rows::open(path) {
            Ok(rows) => rows,
            Err(error) => {
                complain(&error.to_string());
                incomplete = true;
                continue;
            }
        };
        for row in rows {
            match row {
                Ok(row) => {
                    rows_read += 1;
                    inventory.add(&row);
                }
                Err(error) => {
                    complain(&error.to_string());
                    incomplete = true;
                }
            }
        }
    }
    if incomplete && rows_read == 0 {
        return Exit::Failed;
    }
    let report = inventory.report();
    let printed = print(|out| match args.format {
        ReportFormat::Text => {
            let options = terminal::Options::for_stdout(args.color.into());
            terminal::render(&report, None, &options, out)
        }
        ReportFormat::Md => markdown::render(&report, None, out),
        ReportFormat::Json => json::render(&report, None, out),
    });
    match printed {
        Exit::Done if incomplete => Exit::Incomplete,
        printed => printed,
    }
}
