//! The findings stream: rows in, files out, and back.
//!
//! The engine fills [`Row`]s. A [`sink`] writes them: Arrow IPC, Parquet, JSON
//! Lines, CSV, or mapped to the schema of another tool (EVE, OCSF, ECS, Zeek).
//! [`read`] reads the files again, for reports. All of them follow one table,
//! [`COLUMNS`], from which the Arrow [`schema`] and its documentation come.
//!
//! `docs/findings.md` tells users the schema, the formats, and what a killed
//! process leaves behind.

pub mod batch;
mod column;
pub mod escape;
mod http;
mod json;
mod output;
pub mod read;
mod row;
#[cfg(test)]
pub(crate) mod samples;
pub mod schema;
pub mod sink;

pub(crate) use json::json_line;

use crate::engine::Statistics;
use crate::time::Timestamp;
pub use column::{COLUMNS, Column, ColumnType};
pub use http::HttpRequest;
pub use output::Destination;

pub use row::{
    Auth, CaptureColumns, Confidence, FlowColumns, Governance, HttpColumns, IdentityColumns, Kind,
    McpColumns, McpTransport, MessageDirection, MessageKind, MethodCount, Row, Severity,
    TlsColumns,
};

/// Receives findings, in the order of the packets that caused them.
pub trait FindingSink {
    /// Takes one finding.
    fn finding(&mut self, row: Row);

    /// Takes one HTTP request; called only where the engine was asked to tell
    /// of all of them ([`EngineBuilder::http_log`](crate::engine::EngineBuilder::http_log)),
    /// when the request's exchange has ended.
    fn http_request(&mut self, _request: &HttpRequest) {}

    /// Takes all counters as they stand, where the source of the frames asked for
    /// that
    /// ([`BlockSource::wants_statistics`](crate::engine::BlockSource::wants_statistics)).
    fn statistics(&mut self, _statistics: &Statistics) {}

    /// The findings of a block of frames, the last of them captured at `through`, are
    /// through: a good time to show how far the work has come.
    fn block_end(&mut self, _through: Option<Timestamp>) {}
}

impl FindingSink for Vec<Row> {
    fn finding(&mut self, row: Row) {
        self.push(row);
    }
}
