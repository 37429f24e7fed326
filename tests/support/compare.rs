//! Sums rows up, and says how two runs differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use mcpwatch::findings::{Confidence, Kind, MessageDirection, MessageKind, Row};
use mcpwatch::time::Timestamp;

use super::corpus::Counts;
use super::variant::original;

/// What the rows of a run say, in the words of the truth files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Conversations that were confirmed.
    pub(crate) conversations: usize,
    pub(crate) highest: Option<Confidence>,
    pub(crate) c2s: Counts,
    pub(crate) s2c: Counts,
    pub(crate) responses: Counts,
    pub(crate) tools_called: Counts,
    pub(crate) clients: BTreeSet<String>,
    pub(crate) servers: BTreeSet<String>,
    pub(crate) hosts: BTreeSet<String>,
    /// Paths, revisions and sessions of conversations and messages ...
    pub(crate) paths: BTreeSet<String>,
    pub(crate) versions: BTreeSet<String>,
    pub(crate) sessions: BTreeSet<String>,
    /// ... and of conversations alone.
    pub(crate) endpoints: BTreeSet<String>,
    pub(crate) agreed: BTreeSet<String>,
    pub(crate) held: BTreeSet<String>,
    pub(crate) resources_read: BTreeSet<String>,
    pub(crate) prompts_got: BTreeSet<String>,
    /// As the conversations count: requests and notifications by method.
    pub(crate) asked: Counts,
    /// As the conversations count: tools called.
    pub(crate) tools: BTreeSet<String>,
    /// As the conversations count: results and errors of known requests.
    pub(crate) answered: u64,
}

impl Summary {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut summary = Self::default();
        for row in rows {
            summary.highest = summary.highest.max(Some(row.confidence));
            if row.kind != Kind::Detection {
                add(&mut summary.paths, row.http.path.clone());
                add(&mut summary.sessions, row.mcp.session_id.clone());
                add(&mut summary.versions, row.mcp.protocol_version.clone());
            }
            match row.kind {
                Kind::Message => summary.message(row),
                Kind::Conversation if row.confidence == Confidence::Confirmed => {
                    summary.conversation(row);
                }
                _ => {}
            }
        }
        summary
    }

    /// What this says that `whole`, of which it saw a part, does not; empty if
    /// there is nothing.
    pub(crate) fn beyond(&self, whole: &Self) -> String {
        let mut text = String::new();
        let counts = [
            ("from the client", &self.c2s, &whole.c2s),
            ("from the server", &self.s2c, &whole.s2c),
            ("answers", &self.responses, &whole.responses),
            ("tools called", &self.tools_called, &whole.tools_called),
            ("in conversations", &self.asked, &whole.asked),
        ];
        for (what, found, whole) in counts {
            for (name, count) in found {
                let most = whole.get(name).copied().unwrap_or(0);
                if *count > most {
                    writeln!(text, "  {what}: {name}: at most {most}, found {count}").unwrap();
                }
            }
        }
        let names = [
            ("clients", &self.clients, &whole.clients),
            ("servers", &self.servers, &whole.servers),
            ("revisions", &self.versions, &whole.versions),
            ("sessions", &self.sessions, &whole.sessions),
            ("hosts", &self.hosts, &whole.hosts),
            ("paths", &self.paths, &whole.paths),
            ("resources read", &self.resources_read, &whole.resources_read),
            ("prompts got", &self.prompts_got, &whole.prompts_got),
        ];
        for (what, found, whole) in names {
            let known = |name: &String| match name.strip_suffix(CUT) {
                Some(start) => whole.iter().any(|whole| whole.starts_with(start)),
                None => whole.contains(name),
            };
            if !found.iter().all(known) {
                writeln!(text, "  {what}: only {whole:?}, found {found:?}").unwrap();
            }
        }
        text
    }

    fn message(&mut self, row: &Row) {
        let mcp = &row.mcp;
        let to_server = mcp.direction == Some(MessageDirection::ToServer);
        let kind = mcp.message_kind.unwrap();
        match kind {
            MessageKind::Request | MessageKind::Notification => {
                let method = mcp.method.as_deref().unwrap_or("");
                count(if to_server { &mut self.c2s } else { &mut self.s2c }, method);
                let Some(name) = mcp.name.clone() else { return };
                match method {
                    "tools/call" => count(&mut self.tools_called, &name),
                    "resources/read" => drop(self.resources_read.insert(name)),
                    "prompts/get" => drop(self.prompts_got.insert(name)),
                    _ => {}
                }
            }
            MessageKind::Response | MessageKind::Error => {
                let what = if kind == MessageKind::Error { "error" } else { "result" };
                let way = if to_server { "c2s" } else { "s2c" };
                count(&mut self.responses, &format!("{what}_{way}"));
            }
        }
    }

    fn conversation(&mut self, row: &Row) {
        self.conversations += 1;
        let mcp = &row.mcp;
        add(&mut self.clients, named(&mcp.client_name, &mcp.client_version));
        add(&mut self.servers, named(&mcp.server_name, &mcp.server_version));
        add(&mut self.agreed, mcp.protocol_version.clone());
        add(&mut self.held, mcp.session_id.clone());
        add(&mut self.hosts, row.http.host.clone());
        add(&mut self.endpoints, row.http.path.clone());
        self.tools.extend(mcp.tools.iter().cloned());
        for method in &mcp.methods {
            *self.asked.entry(method.method.clone()).or_default() += method.requests;
            self.answered += method.responses + method.errors;
        }
    }
}

fn count(counts: &mut Counts, name: &str) {
    *counts.entry(name.to_owned()).or_default() += 1;
}

fn add(set: &mut BTreeSet<String>, value: Option<String>) {
    set.extend(value);
}

/// Stands for the version of a name whose message was cut behind it.
const CUT: &str = "?";

fn named(name: &Option<String>, version: &Option<String>) -> Option<String> {
    let name = name.as_deref()?;
    Some(format!("{name}/{}", version.as_deref().unwrap_or(CUT)))
}

/// What may differ between two captures of the same traffic.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerance {
    /// Bytes came more than once: volumes and the flag of a contradiction.
    pub(crate) volume: bool,
}

/// How the rows of two captures of the same traffic differ; empty if they do not.
///
/// Packets are numbered, timed and counted differently, and may have come in
/// other tunnels; all that the packets say must be the same.
pub(crate) fn difference(expected: &[Row], found: &[Row], tolerance: Tolerance) -> String {
    let expected = expected.iter().map(|row| essence(row, tolerance)).collect();
    let found = found.iter().map(|row| essence(row, tolerance)).collect();
    let missing = minus(&expected, &found);
    let extra = minus(&found, &expected);
    let mut text = String::new();
    for (row, other) in pairs(missing, extra) {
        match (row, other) {
            (Some(row), Some(other)) => {
                writeln!(text, "  differs: {}", headline(&row)).unwrap();
                let [a, b] = [&row, &other].map(|row| row.lines().map(str::to_owned).collect());
                let [less, more] = [minus(&a, &b), minus(&b, &a)].map(|lines| lines.join(" "));
                writeln!(text, "    - {less}\n    + {more}").unwrap();
            }
            (Some(row), None) => writeln!(text, "  missing: {}", headline(&row)).unwrap(),
            (None, Some(row)) => writeln!(text, "  extra:   {}", headline(&row)).unwrap(),
            (None, None) => {}
        }
    }
    text
}

/// All of a row that does not depend on how its packets came.
fn essence(row: &Row, tolerance: Tolerance) -> String {
    let mut row = row.clone();
    // A detection counts what was seen until then, to the end of its packet.
    let volume = tolerance.volume || row.kind == Kind::Detection;
    row.flow.client.set_ip(original(row.flow.client.ip()));
    row.flow.server.set_ip(original(row.flow.server.ip()));
    row.flow.community_id.clear();
    row.flow.tunnel = None;
    row.id.clear();
    row.title.clear();
    row.time = Timestamp::MIN;
    row.end_time = Timestamp::MIN;
    row.capture = Default::default();
    row.packets = 0;
    if volume {
        row.bytes_to_server = 0;
        row.bytes_to_client = 0;
    }
    format!("{row:#?}")
}

/// What names a row among the others.
fn headline(essence: &str) -> String {
    let named = ["kind", "confidence", "method", "message_kind", "jsonrpc_id", "name", "client"];
    let lines = essence.split_inclusive(",\n").map(|line| {
        line.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(", )", ")")
    });
    let lines = lines.filter(|line| named.iter().any(|name| line.contains(&format!("{name}: "))));
    lines.collect::<Vec<_>>().join(" ")
}

fn minus(of: &Vec<String>, other: &Vec<String>) -> Vec<String> {
    let mut left: BTreeMap<&String, usize> = BTreeMap::new();
    for row in other {
        *left.entry(row).or_default() += 1;
    }
    let mut rest = Vec::new();
    for row in of {
        match left.get_mut(row) {
            Some(count) if *count > 0 => *count -= 1,
            _ => rest.push(row.clone()),
        }
    }
    rest
}

/// Pairs rows that differ in little.
fn pairs(missing: Vec<String>, mut extra: Vec<String>) -> Vec<(Option<String>, Option<String>)> {
    let mut pairs = Vec::new();
    for row in missing {
        let same = |other: &String| headline(other) == headline(&row);
        let other = extra.iter().position(same).map(|at| extra.remove(at));
        pairs.push((Some(row), other));
    }
    pairs.extend(extra.into_iter().map(|row| (None, Some(row))));
    pairs
}
