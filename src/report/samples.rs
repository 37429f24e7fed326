//! Rows for tests.

use crate::findings::samples;
pub(super) use crate::findings::samples::{HOSTILE, conversation, detection};
use crate::findings::{Confidence, Governance, Row};

/// A day at the office: a shadow server with two clients and a threat, a
/// sanctioned one, and a port that may be one.
pub(super) fn office() -> Vec<Row> {
    let mut second = conversation();
    second.id = "c-2".to_owned();
    second.flow.client = "192.0.2.11:50001".parse().unwrap();
    second.mcp.client_name = Some("cursor-vscode".to_owned());
    second.mcp.client_version = Some("1.4.2".to_owned());
    second.mcp.tools = vec!["search".to_owned()];
    second.capture.source = Some("lab.pcapng".to_owned());
    second.time = samples::at(600);
    second.end_time = samples::at(86_400 * 2);

    let mut portal = conversation();
    portal.id = "c-3".to_owned();
    portal.governance = Governance::Sanctioned;
    portal.http.host = Some("mcp.internal.example:8443".to_owned());
    portal.tls.sni = None;
    portal.flow.server = "198.51.100.4:8443".parse().unwrap();
    portal.mcp.server_name = None;
    portal.mcp.client_name = None;
    portal.mcp.client_version = None;
    portal.mcp.tools.clear();
    portal.mcp.methods.truncate(1);

    let mut maybe = samples::bare();
    maybe.signatures = vec!["port.local".to_owned()];
    maybe.capture.source = Some("lab.pcapng".to_owned());

    let mut likely = detection();
    likely.confidence = Confidence::Likely;
    vec![
        likely,
        detection(),
        samples::message(),
        samples::threat(),
        conversation(),
        second,
        portal,
        maybe,
    ]
}

/// Compares with `src/report/golden/NAME`. With `UPDATE_GOLDEN` set in the
/// environment, writes it instead: read the difference before committing it.
pub(super) fn assert_golden(name: &str, actual: &str) {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(&path).unwrap(), "{name}");
}
