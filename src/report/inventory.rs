//! Gathers rows: one entry for each server, client, tool and threat rule.

use std::cmp::Ordering;
use std::net::SocketAddr;

use super::merge::merge_unnamed;
use super::tally::{CappedMap, TextSet, clip};
use super::{Client, Report, Server, Threat, Tool, Unplaced};
use crate::findings::{Confidence, Governance, Kind, MethodCount, Row, Severity};
use crate::time::Timestamp;

/// Caps of an inventory. What lies beyond is counted or marked, not kept. The
/// default caps hold under 300 MB even if every name of every entry is as long
/// and as different as it can be; a usual inventory takes some MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Servers.
    pub servers: usize,
    /// Clients, by name and version.
    pub clients: usize,
    /// Tools, by name.
    pub tools: usize,
    /// Threats, by rule.
    pub threats: usize,
    /// Names of each sort in one entry (addresses, paths, methods, …).
    pub names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { servers: 4_000, clients: 2_000, tools: 4_000, threats: 1_000, names: 32 }
    }
}

/// Gathers rows into an inventory.
#[derive(Debug, Default)]
pub struct Inventory {
    limits: Limits,
    captures: TextSet,
    span: Span,
    servers: CappedMap<ServerKey, ServerEntry>,
    clients: CappedMap<(String, String), ClientEntry>,
    tools: CappedMap<String, ToolEntry>,
    threats: CappedMap<String, ThreatEntry>,
    unplaced: Unplaced,
}

/// Captures that are told apart.
const MAX_CAPTURES: usize = 10_000;

impl Inventory {
    /// An empty inventory with these caps.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes in a row.
    pub fn add(&mut self, row: &Row) {
        if let Some(source) = &row.capture.source {
            self.captures.add(source, MAX_CAPTURES);
        }
        self.span.extend(row);
        let key = ServerKey::of(row);
        let name = key.to_string();
        match self.servers.entry(key, self.limits.servers) {
            Some(server) => server.add(row, self.limits.names),
            None => self.unplaced.servers += 1,
        }
        self.add_client(row, &name);
        self.add_tools(row, &name);
        if row.kind == Kind::Threat {
            self.add_threat(row, &name);
        }
    }

    /// Whether a further server would find no place.
    pub(crate) fn is_full(&self) -> bool {
        self.servers.len() >= self.limits.servers
    }

    /// Forgets all servers but so many of the best ranked; of those that rank the same,
    /// the ones that were seen last stay.
    pub(crate) fn keep_best(&mut self, count: usize) {
        if self.servers.len() <= count {
            return;
        }
        let mut standings: Vec<_> = self.servers.iter().map(|(_, it)| it.standing()).collect();
        standings.sort_unstable_by(|a, b| b.cmp(a));
        let (best, rest) = standings.split_at(count);
        let Some(first_out) = rest.first() else { return };
        let mut equal = best.iter().filter(|standing| *standing == first_out).count();
        self.servers.retain(|entry| match entry.standing().cmp(first_out) {
            Ordering::Greater => true,
            Ordering::Equal if equal > 0 => {
                equal -= 1;
                true
            }
            Ordering::Equal | Ordering::Less => false,
        });
    }

    /// What was gathered, ranked.
    pub fn report(&self) -> Report {
        let mut servers: Vec<Server> = merge_unnamed(self.servers.iter(), self.limits.names)
            .iter()
            .map(|(key, entry)| entry.report(key))
            .collect();
        servers.sort_by(|a, b| {
            let rank = |server: &Server| {
                let risk = risk(server.governance);
                (server.confidence, risk, server.conversations, server.messages, server.threats)
            };
            rank(b).cmp(&rank(a)).then_with(|| a.name.cmp(&b.name))
        });

        let mut clients: Vec<Client> = self.clients.iter().map(ClientEntry::report).collect();
        clients.sort_by(|a, b| {
            let rank = |client: &Client| (client.conversations, client.servers.len());
            rank(b).cmp(&rank(a)).then_with(|| (&a.name, &a.version).cmp(&(&b.name, &b.version)))
        });

        let mut tools: Vec<Tool> = self.tools.iter().map(ToolEntry::report).collect();
        tools.sort_by(|a, b| {
            b.conversations.cmp(&a.conversations).then_with(|| a.name.cmp(&b.name))
        });

        let mut threats: Vec<Threat> = self.threats.iter().map(ThreatEntry::report).collect();
        threats.sort_by(|a, b| {
            let rank = |threat: &Threat| (threat.severity, threat.count);
            rank(b).cmp(&rank(a)).then_with(|| a.rule.cmp(&b.rule))
        });

        Report {
            captures: self.captures.names(),
            captures_read: None,
            first_seen: self.span.first,
            last_seen: self.span.last,
            servers,
            clients,
            tools,
            threats,
            unplaced: self.unplaced,
        }
    }

    /// A client without a name is only counted by its conversations: rows of
    /// their beginning came before the name did.
    fn add_client(&mut self, row: &Row, server: &str) {
        if row.mcp.client_name.is_none() && row.kind != Kind::Conversation {
            return;
        }
        let name = row.mcp.client_name.as_deref().or(row.http.user_agent.as_deref());
        let version = row.mcp.client_version.as_deref();
        let key = (clip(name.unwrap_or_default()), clip(version.unwrap_or_default()));
        let key = (key.0.to_owned(), key.1.to_owned());
        let Some(client) = self.clients.entry(key, self.limits.clients) else {
            self.unplaced.clients += 1;
            return;
        };
        client.addresses.add(&row.flow.client.ip().to_string(), self.limits.names);
        client.servers.add(server, self.limits.names);
        client.conversations += u64::from(is_over(row));
    }

    /// Tools come from conversations; a message names its tool as well, for
    /// conversations that have not ended yet.
    fn add_tools(&mut self, row: &Row, server: &str) {
        let called = called_tool(row);
        for tool in row.mcp.tools.iter().map(String::as_str).chain(called) {
            match self.tools.entry(clip(tool).to_owned(), self.limits.tools) {
                Some(entry) => {
                    entry.servers.add(server, self.limits.names);
                    entry.conversations += u64::from(is_over(row));
                }
                None => self.unplaced.tools += 1,
            }
        }
    }

    fn add_threat(&mut self, row: &Row, server: &str) {
        let rule = row.signatures.first().map_or("", String::as_str);
        let Some(threat) = self.threats.entry(clip(rule).to_owned(), self.limits.threats) else {
            self.unplaced.threats += 1;
            return;
        };
        // Of several titles the one of the worst; of those the first in the alphabet, so that the
        // order of rows does not matter.
        let title = clip(&row.title);
        let worse = Some(row.severity) > threat.severity;
        if worse || (Some(row.severity) == threat.severity && *title < *threat.title) {
            threat.severity = Some(row.severity);
            threat.title = title.to_owned();
        }
        threat.count += 1;
        threat.servers.add(server, self.limits.names);
        threat.span.extend(row);
    }
}

/// Whether a row sums up a conversation that is over. Another one follows where it
/// goes on.
fn is_over(row: &Row) -> bool {
    row.kind == Kind::Conversation && row.ongoing != Some(true)
}

fn called_tool(row: &Row) -> Option<&str> {
    match row.mcp.method.as_deref() {
        Some("tools/call") => row.mcp.name.as_deref(),
        _ => None,
    }
}

/// Which server is which: by host and port where a host is known, for one host
/// has many addresses; else by address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ServerKey {
    Named(String, u16),
    Unnamed(SocketAddr),
}

impl ServerKey {
    fn of(row: &Row) -> Self {
        let is_address = |host: &str| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<std::net::IpAddr>().is_ok()
        };
        match row.host().map(|host| host.trim_end_matches('.')) {
            Some(host) if !host.is_empty() && !is_address(host) => {
                Self::Named(clip(host).to_ascii_lowercase(), port(row))
            }
            _ => Self::Unnamed(row.flow.server),
        }
    }
}

/// The port of the server that a row is about. A look-up in DNS does not tell it; most
/// servers that are looked up are at that of HTTPS.
fn port(row: &Row) -> u16 {
    let is_plain = row.http.version.is_none() && row.tls.version.is_none();
    match row.flow.server.port() {
        53 if is_plain => 443,
        port => port,
    }
}

impl std::fmt::Display for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(host, 443) => f.write_str(host),
            Self::Named(host, port) => write!(f, "{host}:{port}"),
            Self::Unnamed(address) => write!(f, "{address}"),
        }
    }
}

/// How much a governance class asks for attention.
pub(super) fn risk(governance: Governance) -> u8 {
    match governance {
        Governance::Denied => 6,
        Governance::Shadow => 5,
        Governance::KnownUnsanctioned => 4,
        Governance::Unreviewed => 3,
        Governance::Internal => 2,
        Governance::Sanctioned => 1,
        Governance::Portal => 0,
    }
}

/// First and last packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Span {
    fn extend(&mut self, row: &Row) {
        self.absorb(&Self { first: Some(row.time), last: Some(row.end_time.max(row.time)) });
    }

    fn absorb(&mut self, other: &Self) {
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ServerEntry {
    confidence: Option<Confidence>,
    governance: Option<Governance>,
    pub(super) addresses: TextSet,
    paths: TextSet,
    transports: TextSet,
    revisions: TextSet,
    implementations: TextSet,
    clients: TextSet,
    client_addresses: TextSet,
    auth: TextSet,
    methods: CappedMap<String, MethodCount>,
    tools: TextSet,
    signatures: TextSet,
    conversations: u64,
    detections: u64,
    threats: u64,
    messages: u64,
    bytes_to_server: u64,
    bytes_to_client: u64,
    span: Span,
}

impl ServerEntry {
    fn add(&mut self, row: &Row, cap: usize) {
        self.raise(Some(row.confidence), Some(row.governance));
        self.span.extend(row);
        self.addresses.add(&row.flow.server.to_string(), cap);
        self.client_addresses.add(&row.flow.client.ip().to_string(), cap);
        let add = |set: &mut TextSet, text: Option<&str>| set.add(text.unwrap_or_default(), cap);
        let mcp = &row.mcp;
        add(&mut self.paths, row.http.path.as_deref());
        add(&mut self.transports, mcp.transport.map(|transport| transport.as_str()));
        add(&mut self.revisions, mcp.protocol_version.as_deref());
        add(&mut self.auth, row.identity.auth.map(|auth| auth.as_str()));
        self.implementations.add(&versioned(&mcp.server_name, &mcp.server_version), cap);
        self.clients.add(&versioned(&mcp.client_name, &mcp.client_version), cap);
        mcp.tools.iter().for_each(|tool| self.tools.add(tool, cap));
        add(&mut self.tools, called_tool(row));
        match row.kind {
            Kind::Detection => self.detections += 1,
            Kind::Threat => self.threats += 1,
            Kind::Message => {}
            Kind::Conversation if is_over(row) => self.add_conversation(row, cap),
            Kind::Conversation => {}
        }
        if row.kind != Kind::Threat {
            row.signatures.iter().for_each(|signature| self.signatures.add(signature, cap));
        }
    }

    /// Only conversations are added up: the other rows speak of parts of them.
    fn add_conversation(&mut self, row: &Row, cap: usize) {
        self.conversations += 1;
        self.bytes_to_server = self.bytes_to_server.saturating_add(row.bytes_to_server);
        self.bytes_to_client = self.bytes_to_client.saturating_add(row.bytes_to_client);
        for count in &row.mcp.methods {
            self.messages = self.messages.saturating_add(messages(count));
            self.count_method(count, cap);
        }
    }

    fn count_method(&mut self, count: &MethodCount, cap: usize) {
        if let Some(total) = self.methods.entry(clip(&count.method).to_owned(), cap) {
            total.requests = total.requests.saturating_add(count.requests);
            total.responses = total.responses.saturating_add(count.responses);
            total.errors = total.errors.saturating_add(count.errors);
        }
    }

    fn raise(&mut self, confidence: Option<Confidence>, governance: Option<Governance>) {
        self.confidence = self.confidence.max(confidence);
        if governance.map(risk) > self.governance.map(risk) {
            self.governance = governance;
        }
    }

    /// Takes in what was known of the same server under another key.
    pub(super) fn absorb(&mut self, other: &Self, cap: usize) {
        self.raise(other.confidence, other.governance);
        self.span.absorb(&other.span);
        for (set, other) in [
            (&mut self.addresses, &other.addresses),
            (&mut self.paths, &other.paths),
            (&mut self.transports, &other.transports),
            (&mut self.revisions, &other.revisions),
            (&mut self.implementations, &other.implementations),
            (&mut self.clients, &other.clients),
            (&mut self.client_addresses, &other.client_addresses),
            (&mut self.auth, &other.auth),
            (&mut self.tools, &other.tools),
            (&mut self.signatures, &other.signatures),
        ] {
            set.absorb(other, cap);
        }
        for (method, count) in other.methods.iter() {
            self.count_method(&MethodCount { method: method.clone(), ..count.clone() }, cap);
        }
        self.conversations += other.conversations;
        self.detections += other.detections;
        self.threats += other.threats;
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes_to_server = self.bytes_to_server.saturating_add(other.bytes_to_server);
        self.bytes_to_client = self.bytes_to_client.saturating_add(other.bytes_to_client);
    }

    /// What the entry is ranked by, and when it was last seen.
    fn standing(&self) -> impl Ord + Copy + use<> {
        let risk = self.governance.map(risk);
        let used = (self.conversations, self.messages, self.threats);
        (self.confidence, risk, used, self.span.last)
    }

    fn report(&self, key: &ServerKey) -> Server {
        let mut methods: Vec<_> = self
            .methods
            .iter()
            .map(|(method, count)| MethodCount { method: method.clone(), ..count.clone() })
            .collect();
        methods.sort_by(|a, b| messages(b).cmp(&messages(a)).then_with(|| a.method.cmp(&b.method)));
        Server {
            name: key.to_string(),
            confidence: self.confidence.unwrap_or(Confidence::Possible),
            governance: self.governance.unwrap_or(Governance::Unreviewed),
            addresses: self.addresses.names(),
            paths: self.paths.names(),
            transports: self.transports.names(),
            revisions: self.revisions.names(),
            implementations: self.implementations.names(),
            clients: self.clients.names(),
            client_addresses: self.client_addresses.names(),
            auth: self.auth.names(),
            methods,
            tools: self.tools.names(),
            signatures: self.signatures.names(),
            conversations: self.conversations,
            detections: self.detections,
            threats: self.threats,
            messages: self.messages,
            bytes_to_server: self.bytes_to_server,
            bytes_to_client: self.bytes_to_client,
            first_seen: self.span.first,
            last_seen: self.span.last,
        }
    }
}

fn messages(count: &MethodCount) -> u64 {
    count.requests.saturating_add(count.responses).saturating_add(count.errors)
}

fn versioned(name: &Option<String>, version: &Option<String>) -> String {
    match (name, version) {
        (Some(name), Some(version)) => format!("{} {}", clip(name), clip(version)),
        (Some(name), None) => name.clone(),
        (None, _) => String::new(),
    }
}

#[derive(Clone, Debug, Default)]
struct ClientEntry {
    addresses: TextSet,
    servers: TextSet,
    conversations: u64,
}

impl ClientEntry {
    fn report(((name, version), entry): (&(String, String), &Self)) -> Client {
        Client {
            name: name.clone(),
            version: version.clone(),
            addresses: entry.addresses.names(),
            servers: entry.servers.names(),
            conversations: entry.conversations,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct ToolEntry {
    servers: TextSet,
    conversations: u64,
}

impl ToolEntry {
    fn report((name, entry): (&String, &Self)) -> Tool {
        Tool {
            name: name.clone(),
            servers: entry.servers.names(),
            conversations: entry.conversations,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct ThreatEntry {
    severity: Option<Severity>,
    title: String,
    servers: TextSet,
    count: u64,
    span: Span,
}

impl ThreatEntry {
    fn report((rule, entry): (&String, &Self)) -> Threat {
        Threat {
            rule: rule.clone(),
            severity: entry.severity.unwrap_or(Severity::Info),
            title: entry.title.clone(),
            servers: entry.servers.names(),
            count: entry.count,
            first_seen: entry.span.first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::findings::McpTransport;

    fn report(rows: &[Row]) -> Report {
        let mut inventory = Inventory::default();
        rows.iter().for_each(|row| inventory.add(row));
        inventory.report()
    }

    #[test]
    fn rows_of_one_server_are_one_entry() {
        let report = report(&samples::office());
        let server = &report.servers[0];
        assert_eq!(server.name, "mcp.example.com");
        assert_eq!(server.confidence, Confidence::Confirmed);
        assert_eq!(server.conversations, 2);
        assert_eq!(server.bytes_to_server, 24_600, "detections and messages are not added up");
        assert_eq!(server.methods[0].method, "tools/call");
        assert_eq!(server.methods[0].requests, 80);
        assert_eq!(server.transports.names, [McpTransport::StreamableHttp.as_str()]);
        assert_eq!(server.client_addresses.len(), 2);
    }

    #[test]
    fn conversations_that_go_on_are_not_added_up() {
        let mut rows = samples::office();
        let over = report(&rows);
        let mut ongoing = samples::conversation();
        ongoing.ongoing = Some(true);
        rows.extend([ongoing.clone(), ongoing.clone()]);
        let (before, after) = (&over.servers[0], report(&rows).servers.swap_remove(0));
        assert_eq!(after.conversations, before.conversations);
        assert_eq!(after.messages, before.messages);
        assert_eq!(after.bytes_to_client, before.bytes_to_client);
        // Its server is seen all the same.
        assert_eq!(report(&[ongoing]).servers.len(), 1);
    }

    #[test]
    fn order_of_rows_does_not_matter() {
        let mut rows = samples::office();
        let forward = report(&rows);
        rows.reverse();
        let backward = report(&rows);
        assert_eq!(forward, backward);
    }

    #[test]
    fn servers_rank_by_confidence_then_risk_then_use() {
        let mut rows = Vec::new();
        for (host, confidence, governance, conversations) in [
            ("portal", Confidence::Confirmed, Governance::Portal, 9),
            ("quiet", Confidence::Confirmed, Governance::Shadow, 1),
            ("busy", Confidence::Confirmed, Governance::Shadow, 2),
            ("denied", Confidence::Confirmed, Governance::Denied, 1),
            ("known", Confidence::Confirmed, Governance::KnownUnsanctioned, 1),
            ("maybe", Confidence::Possible, Governance::Denied, 9),
            ("likely", Confidence::Likely, Governance::Sanctioned, 1),
        ] {
            for _ in 0..conversations {
                let mut row = samples::conversation();
                row.http.host = Some(host.to_owned());
                row.confidence = confidence;
                row.governance = governance;
                rows.push(row);
            }
        }
        let names: Vec<_> = report(&rows).servers.into_iter().map(|server| server.name).collect();
        assert_eq!(names, ["denied", "busy", "quiet", "known", "portal", "likely", "maybe"]);
    }

    #[test]
    fn the_best_are_kept() {
        let mut inventory = Inventory::new(Limits { servers: 6, ..Limits::default() });
        for (n, confidence) in [
            (0, Confidence::Confirmed),
            (1, Confidence::Possible),
            (2, Confidence::Possible),
            (3, Confidence::Likely),
            (4, Confidence::Possible),
        ] {
            let mut row = samples::detection();
            row.http.host = Some(format!("host-{n}"));
            row.confidence = confidence;
            row.end_time = crate::findings::samples::at(n);
            inventory.add(&row);
        }
        assert!(!inventory.is_full());
        inventory.keep_best(5);
        assert_eq!(inventory.report().servers.len(), 5);
        inventory.keep_best(3);
        let names: Vec<_> = inventory.report().servers.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["host-0", "host-3", "host-4"]);
        inventory.keep_best(0);
        assert!(inventory.report().servers.is_empty());
        for n in 0..4 {
            let mut row = samples::detection();
            row.http.host = Some(format!("host-{n}"));
            inventory.add(&row);
        }
        inventory.keep_best(3);
        assert_eq!(inventory.report().servers.len(), 3, "equal ones count too");
    }

    #[test]
    fn caps_hold_and_are_counted() {
        let limits = Limits { servers: 2, clients: 1, tools: 1, threats: 1, names: 2 };
        let mut inventory = Inventory::new(limits);
        for n in 0..5_u8 {
            let mut row = samples::conversation();
            row.http.host = Some(format!("host-{n}"));
            row.mcp.client_name = Some(format!("client-{n}"));
            row.mcp.tools = vec![format!("tool-{n}")];
            inventory.add(&row);
            row.http.host = Some("host-0".to_owned());
            row.flow.server.set_port(443);
            row.flow.server.set_ip([192, 0, 2, n].into());
            row.kind = Kind::Threat;
            row.signatures = vec![format!("rule-{n}")];
            inventory.add(&row);
        }
        let report = inventory.report();
        assert_eq!(report.servers.len(), 2);
        assert_eq!(report.servers[0].addresses.count(), "2+");
        assert_eq!(report.unplaced, Unplaced { servers: 3, clients: 8, tools: 8, threats: 4 },);
    }
}
