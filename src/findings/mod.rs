//! The findings stream: rows in, files out.

mod row;

pub use row::{
    Auth, CaptureColumns, Confidence, FlowColumns, Governance, HttpColumns, IdentityColumns, Kind,
    McpColumns, McpTransport, MessageKind, MethodCount, Row, Severity, TlsColumns,
};
