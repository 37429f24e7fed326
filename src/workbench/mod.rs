//! The workbench for signature sets: files in, one [`Report`](report::Report) of
//! what was checked out, in the formats that people and pipelines read.

pub mod check;
pub mod report;
