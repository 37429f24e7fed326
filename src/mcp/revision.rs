//! The revisions of MCP: their names, methods and error codes.

/// A published revision of the protocol, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05: HTTP with SSE on two endpoints.
    V2024_11_05,
    /// 2025-03-26: streamable HTTP, batches.
    V2025_03_26,
    /// 2025-06-18: protocol version header, elicitation, no batches.
    V2025_06_18,
    /// 2025-11-25: tasks, elicitation by URL.
    V2025_11_25,
    /// 2026-07-28: stateless; every request describes itself.
    V2026_07_28,
}

impl Revision {
    /// Every published revision, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// The published revision of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == name)
    }

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether it knows no handshake and no session: a request stands alone.
    pub const fn is_stateless(self) -> bool {
        matches!(self, Self::V2026_07_28)
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether `name` is written as revisions are, published or not:
/// `2025-06-18`, `DRAFT-2026-v1`.
pub fn is_revision_name(name: &str) -> bool {
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(draft) = name.strip_prefix("DRAFT-") {
        return draft
            .split_once("-v")
            .is_some_and(|(year, number)| digits(year, 4) && digits(number, number.len().max(1)));
    }
    let mut parts = name.split('-');
    [4, 2, 2].into_iter().all(|len| parts.next().is_some_and(|part| digits(part, len)))
        && parts.next().is_none()
}

/// Who sends a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
    /// Either.
    Both,
}

/// How much a method's name says when it stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    /// No other known protocol has it.
    Distinctive,
    /// Other protocols have it too.
    Shared,
}

/// A method of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Who sends it.
    pub sender: Sender,
    /// Whether it is a notification.
    pub notification: bool,
    /// How much its name says.
    pub marker: Marker,
    /// The first revision that has it.
    pub since: Revision,
    /// The first revision that no longer has it. (In 2026-07-28 some live on
    /// inside results, and tasks as an extension.)
    pub until: Option<Revision>,
}

impl Method {
    /// The method of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        let index = METHODS.binary_search_by(|method| method.name.cmp(name)).ok()?;
        METHODS.get(index)
    }

    /// Whether `revision` has it.
    pub fn is_in(&self, revision: Revision) -> bool {
        self.since <= revision && self.until.is_none_or(|until| revision < until)
    }
}

/// Every method, by name.
pub static METHODS: &[Method] = {
    use Marker::{Distinctive, Shared};
    use Revision::{
        V2024_11_05 as R2411, V2025_06_18 as R2506, V2025_11_25 as R2511, V2026_07_28 as R2607,
    };
    use Sender::{Both, Client, Server};
    &[
        request("completion/complete", Client, Distinctive, R2411, None),
        request("elicitation/create", Server, Shared, R2506, Some(R2607)),
        request("initialize", Client, Shared, R2411, Some(R2607)),
        request("logging/setLevel", Client, Distinctive, R2411, Some(R2607)),
        notification("notifications/cancelled", Both, Distinctive, R2411, None),
        notification("notifications/elicitation/complete", Server, Distinctive, R2511, Some(R2607)),
        notification("notifications/initialized", Client, Distinctive, R2411, Some(R2607)),
        notification("notifications/message", Server, Shared, R2411, None),
        notification("notifications/progress", Both, Distinctive, R2411, None),
        notification("notifications/prompts/list_changed", Server, Distinctive, R2411, None),
        notification("notifications/resources/list_changed", Server, Distinctive, R2411, None),
        notification("notifications/resources/updated", Server, Distinctive, R2411, None),
        notification("notifications/roots/list_changed", Client, Distinctive, R2411, Some(R2607)),
        notification("notifications/subscriptions/acknowledged", Server, Distinctive, R2607, None),
        notification("notifications/tasks", Server, Distinctive, R2607, None),
        notification("notifications/tasks/status", Both, Distinctive, R2511, Some(R2607)),
        notification("notifications/tools/list_changed", Server, Distinctive, R2411, None),
        request("ping", Both, Shared, R2411, Some(R2607)),
        request("prompts/get", Client, Distinctive, R2411, None),
        request("prompts/list", Client, Distinctive, R2411, None),
        request("resources/list", Client, Distinctive, R2411, None),
        request("resources/read", Client, Distinctive, R2411, None),
        request("resources/subscribe", Client, Distinctive, R2411, Some(R2607)),
        request("resources/templates/list", Client, Distinctive, R2411, None),
        request("resources/unsubscribe", Client, Distinctive, R2411, Some(R2607)),
        request("roots/list", Server, Distinctive, R2411, Some(R2607)),
        request("sampling/createMessage", Server, Distinctive, R2411, Some(R2607)),
        request("server/discover", Client, Distinctive, R2607, None),
        request("subscriptions/listen", Client, Distinctive, R2607, None),
        request("tasks/cancel", Both, Shared, R2511, None),
        request("tasks/get", Both, Shared, R2511, None),
        request("tasks/list", Both, Shared, R2511, Some(R2607)),
        request("tasks/result", Both, Shared, R2511, Some(R2607)),
        request("tasks/update", Client, Shared, R2607, None),
        request("tools/call", Client, Distinctive, R2411, None),
        request("tools/list", Client, Distinctive, R2411, None),
    ]
};

const fn request(
    name: &'static str,
    sender: Sender,
    marker: Marker,
    since: Revision,
    until: Option<Revision>,
) -> Method {
    Method { name, sender, notification: false, marker, since, until }
}

const fn notification(
    name: &'static str,
    sender: Sender,
    marker: Marker,
    since: Revision,
    until: Option<Revision>,
) -> Method {
    Method { name, sender, notification: true, marker, since, until }
}

/// Error codes of JSON-RPC 2.0 and of MCP.
pub mod error_code {
    /// The body is not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// The JSON is no message.
    pub const INVALID_REQUEST: i64 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters are wrong.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The server failed.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// Used by SDKs for transport errors, such as a missing session.
    pub const SERVER_ERROR: i64 = -32000;
    /// Drafts of 2026: header and body disagree.
    pub const DRAFT_HEADER_MISMATCH: i64 = -32001;
    /// There is no such resource (until 2025-11-25); drafts of 2026: the client
    /// lacks a capability.
    pub const RESOURCE_NOT_FOUND: i64 = -32002;
    /// Drafts of 2026: the revision is not spoken.
    pub const DRAFT_UNSUPPORTED_VERSION: i64 = -32004;
    /// 2026-07-28: header and body disagree.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// 2026-07-28: the client lacks a capability.
    pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
    /// 2026-07-28: the revision is not spoken.
    pub const UNSUPPORTED_VERSION: i64 = -32022;
    /// 2025-11-25: the user must visit a URL first.
    pub const URL_ELICITATION_REQUIRED: i64 = -32042;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_consistent() {
        assert!(METHODS.is_sorted_by(|a, b| a.name < b.name));
        for method in METHODS {
            assert_eq!(Method::find(method.name), Some(method));
            assert_eq!(method.notification, method.name.starts_with("notifications/"));
            assert!(method.until.is_none_or(|until| method.since < until));
        }
        assert_eq!(Method::find("tools"), None);
    }

    #[test]
    fn methods_come_and_go_with_revisions() {
        let revisions = |name| -> Vec<&str> {
            let method = Method::find(name).unwrap();
            let has = |revision: &Revision| method.is_in(*revision);
            Revision::ALL.into_iter().filter(has).map(Revision::as_str).collect()
        };
        assert_eq!(revisions("tools/call").len(), 5);
        assert_eq!(revisions("server/discover"), ["2026-07-28"]);
        assert_eq!(revisions("elicitation/create"), ["2025-06-18", "2025-11-25"]);
        assert_eq!(
            revisions("initialize"),
            ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
        );
    }

    #[test]
    fn names_of_revisions() {
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
            assert!(is_revision_name(revision.as_str()));
        }
        assert_eq!(Revision::parse("1999-01-01"), None);
        for name in ["1999-01-01", "DRAFT-2025-v3", "DRAFT-2026-v12"] {
            assert!(is_revision_name(name), "{name}");
        }
        for name in [
            "",
            "1",
            "1.0",
            "0.16.1",
            "2025-6-18",
            "2025-06-18-1",
            "2025-06-18 ",
            "DRAFT-2026-v",
            "draft-2026-v1",
        ] {
            assert!(!is_revision_name(name), "{name}");
        }
    }
}
