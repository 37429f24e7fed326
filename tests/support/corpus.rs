//! The captures in `pcaps/`, with what is true of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A capture, as `pcaps/LABELS.tsv` describes it.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) label: Label,
    pub(crate) layers: Layers,
    pub(crate) sessions: usize,
    /// NSS key log beside the capture.
    pub(crate) key_log: Option<PathBuf>,
    /// Another capture made harder.
    pub(crate) derived: bool,
    /// Packets are missing: fewer messages may be seen than the truth has.
    pub(crate) partial: bool,
}

/// What a capture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// MCP, and all that is needed to read it.
    Mcp,
    /// MCP in TLS without keys: only its server name can be seen.
    Sealed,
    /// Something that looks like MCP and is not.
    NotMcp,
}

/// What wraps the messages, beside HTTP/1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    pub(crate) tls: bool,
    pub(crate) http2: bool,
    pub(crate) quic: bool,
    /// A proxy's preface stands before the first request.
    pub(crate) proxied: bool,
}

/// What the applications' own logs say.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Truth {
    pub(crate) c2s: Counts,
    pub(crate) s2c: Counts,
    pub(crate) responses: Counts,
    pub(crate) tools_called: Counts,
    pub(crate) clients: Vec<String>,
    pub(crate) servers: Vec<String>,
    pub(crate) protocol_requested: Vec<String>,
    pub(crate) protocol_negotiated: Vec<String>,
    pub(crate) protocol_meta: Vec<String>,
    pub(crate) session_ids: Vec<String>,
    pub(crate) endpoint_sessions: Vec<String>,
    pub(crate) paths: Counts,
    pub(crate) hosts: Counts,
    pub(crate) resources_read: Vec<String>,
    pub(crate) prompts_got: Vec<String>,
}

/// How often each name was counted.
pub(crate) type Counts = BTreeMap<String, u64>;

/// The folder of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the captures.
pub(crate) fn folder() -> PathBuf {
    root().join("pcaps")
}

/// The path of a capture.
pub(crate) fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// Every capture that is labelled.
pub(crate) fn captures() -> Vec<Capture> {
    let table = fs::read_to_string(path("LABELS.tsv")).unwrap();
    let mut lines = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|fields| capture(&header.iter().copied().zip(fields).collect())).collect()
}

fn capture(fields: &BTreeMap<&str, &str>) -> Capture {
    let name = fields["file"].to_owned();
    Capture {
        label: match fields["label"] {
            "mcp" => Label::Mcp,
            "mcp_encrypted_sni_only" => Label::Sealed,
            "not_mcp" => Label::NotMcp,
            other => panic!("{name}: unknown label {other}"),
        },
        layers: Layers {
            tls: fields["transport"].contains("over TLS"),
            http2: fields["http_version"].starts_with('2'),
            quic: fields["transport"].contains("over QUIC"),
            proxied: ["SOCKS5", "PROXY protocol"].iter().any(|by| fields["transport"].contains(by)),
        },
        sessions: fields["sessions"].parse().unwrap(),
        key_log: fields["keylog"].ends_with(".log").then(|| path(fields["keylog"])),
        derived: fields["notes"].starts_with("derived from"),
        partial: fields["notes"].contains("fewer may be seen"),
        name,
    }
}

impl Capture {
    /// The path of the capture.
    pub(crate) fn path(&self) -> PathBuf {
        path(&self.name)
    }

    /// What is true of it; nothing at all of what is not MCP.
    pub(crate) fn truth(&self) -> Truth {
        let path = folder().join("truth").join(format!("{}.truth.json", self.name));
        if self.label == Label::NotMcp {
            return Truth::default();
        }
        let text = fs::read_to_string(&path).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}
