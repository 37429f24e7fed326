//! Rows for tests.

use super::row::{
    Auth, CaptureColumns, Confidence, FlowColumns, Governance, HttpColumns, IdentityColumns, Kind,
    McpColumns, McpTransport, MessageDirection, MessageKind, MethodCount, Row, Severity,
    TlsColumns,
};
use crate::time::Timestamp;

/// Text as an attacker would send it: an escape sequence, a line break, CSV and
/// TSV separators, a bidirectional override, a tag character, a C1 control.
pub(crate) const HOSTILE: &str =
    "=cmd|'/c calc'!A1\u{1b}[31m\r\n\t\"quoted\",\u{202e}gpj\u{e0041}\u{9b}\\ \u{7f}\0end 日本";

/// 2026-07-28T10:00:00.000000001Z and `seconds` more.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_parts(1_785_232_800 + seconds, 1)
}

/// A row with everything absent that can be.
pub(crate) fn bare() -> Row {
    Row {
        kind: Kind::Detection,
        id: "d-bare".to_owned(),
        time: at(0),
        end_time: at(0),
        confidence: Confidence::Possible,
        severity: Severity::Info,
        title: "MCP possible".to_owned(),
        signatures: Vec::new(),
        governance: Governance::Unreviewed,
        evidence: None,
        capture: CaptureColumns::default(),
        flow: FlowColumns {
            client: "192.0.2.10:50000".parse().unwrap(),
            server: "[2001:db8::1]:8080".parse().unwrap(),
            transport: "tcp",
            community_id: "1:bare=".to_owned(),
            server_name: None,
            tunnel: None,
        },
        tls: TlsColumns::default(),
        http: HttpColumns::default(),
        mcp: McpColumns::default(),
        identity: IdentityColumns::default(),
        bytes_to_server: 0,
        bytes_to_client: 0,
        packets: 1,
        ongoing: None,
    }
}

/// A detection over HTTP.
pub(crate) fn detection() -> Row {
    let text = |text: &str| Some(text.to_owned());
    Row {
        id: "d-1".to_owned(),
        end_time: at(1),
        confidence: Confidence::Confirmed,
        severity: Severity::Medium,
        title: "MCP confirmed: initialize to mcp.example.com".to_owned(),
        signatures: vec!["mcp.initialize".to_owned(), "mcp.path".to_owned()],
        governance: Governance::Shadow,
        evidence: text("{\"jsonrpc\":\"2.0\",\"method\":\"initialize\""),
        capture: CaptureColumns {
            source: text("office.pcapng"),
            sensor: text("hq-1"),
            packet: Some(17),
        },
        flow: FlowColumns {
            client: "192.0.2.10:50000".parse().unwrap(),
            server: "203.0.113.7:443".parse().unwrap(),
            transport: "tcp",
            community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned(),
            server_name: text("mcp.example.com"),
            tunnel: text("vlan/gre"),
        },
        tls: TlsColumns {
            sni: text("mcp.example.com"),
            version: text("1.3"),
            alpn: text("http/1.1"),
            ja4: text("t13d1516h2_8daaf6152771_e5627efa2ab1"),
            decrypted: Some(true),
        },
        http: HttpColumns {
            version: Some("1.1"),
            method: text("POST"),
            scheme: text("https"),
            host: text("mcp.example.com"),
            path: text("/mcp"),
            status: Some(200),
            user_agent: text("python-httpx/0.28.1"),
        },
        mcp: McpColumns {
            transport: Some(McpTransport::StreamableHttp),
            protocol_version: text("2025-06-18"),
            session_id: text("sha256:9f86d081884c7d65"),
            method: text("initialize"),
            message_kind: Some(MessageKind::Request),
            direction: Some(MessageDirection::ToServer),
            jsonrpc_id: text("0"),
            name: None,
            error_code: None,
            client_name: text("claude-code"),
            client_version: text("1.0.51"),
            server_name: text("example-server"),
            server_version: text("1.2.0"),
            methods: Vec::new(),
            tools: Vec::new(),
        },
        identity: IdentityColumns {
            auth: Some(Auth::Bearer),
            user: text("alice@example.com"),
            source: text("jwt sub"),
        },
        bytes_to_server: 420,
        bytes_to_client: 1_310,
        packets: 12,
        ..bare()
    }
}

/// The conversation that began with [`detection`].
pub(crate) fn conversation() -> Row {
    let count = |method: &str, requests, responses, errors| MethodCount {
        method: method.to_owned(),
        requests,
        responses,
        errors,
    };
    let mut row = detection();
    row.kind = Kind::Conversation;
    row.id = "c-1".to_owned();
    row.end_time = at(331);
    row.title = "Conversation of claude-code with mcp.example.com".to_owned();
    row.mcp.method = None;
    row.mcp.message_kind = None;
    row.mcp.direction = None;
    row.mcp.jsonrpc_id = None;
    row.mcp.methods = vec![
        count("initialize", 1, 1, 0),
        count("tools/call", 40, 38, 2),
        count("tools/list", 2, 2, 0),
    ];
    row.mcp.tools = vec!["fetch".to_owned(), "search".to_owned()];
    row.bytes_to_server = 12_300;
    row.bytes_to_client = 401_000;
    row.packets = 512;
    row
}

/// The same conversation, before it was over.
pub(crate) fn ongoing() -> Row {
    let mut row = conversation();
    row.end_time = at(300);
    row.ongoing = Some(true);
    row
}

/// An error response.
pub(crate) fn message() -> Row {
    let mut row = detection();
    row.kind = Kind::Message;
    row.id = "m-1".to_owned();
    row.mcp.method = Some("tools/call".to_owned());
    row.mcp.message_kind = Some(MessageKind::Error);
    row.mcp.jsonrpc_id = Some("-1".to_owned());
    row.mcp.name = Some("search".to_owned());
    row.mcp.error_code = Some(-32601);
    row
}

/// A threat, in text as hostile as it comes.
pub(crate) fn threat() -> Row {
    let mut row = detection();
    row.kind = Kind::Threat;
    row.id = "t-1".to_owned();
    row.severity = Severity::High;
    row.title = "Instructions hidden in a tool description".to_owned();
    row.signatures = vec!["threat.hidden-instructions".to_owned()];
    row.evidence = Some(HOSTILE.to_owned());
    row.mcp.name = Some(HOSTILE.to_owned());
    row.http.user_agent = Some("-".to_owned());
    row.http.path = Some(String::new());
    row
}

/// One of each.
pub(crate) fn rows() -> Vec<Row> {
    vec![bare(), detection(), message(), threat(), ongoing(), conversation()]
}
