//! Reports for people: findings rows in, an inventory of servers, clients,
//! tools and threats out.
//!
//! An [`Inventory`] takes rows one by one, in any order, from a running scan or
//! from findings files ([`crate::findings::read`]), in bounded memory.
//! [`Inventory::report`] ranks what it gathered into a [`Report`], plain data
//! that is rendered for a terminal ([`terminal`]), as Markdown ([`markdown`])
//! or as JSON ([`json`]).
//!
//! ```
//! use mcpwatch::report::{Inventory, terminal};
//!
//! let mut inventory = Inventory::default();
//! // for row in rows { inventory.add(&row?); }
//! let mut out = Vec::new();
//! terminal::render(&inventory.report(), None, &terminal::Options::default(), &mut out)?;
//! assert!(out.starts_with(b"No MCP servers"));
//! # Ok::<(), std::io::Error>(())
//! ```

mod inventory;
pub mod json;
pub mod markdown;
mod merge;
#[cfg(test)]
mod samples;
pub(crate) mod table;
mod tally;
pub mod terminal;
pub(crate) mod words;

use serde::{Serialize, Serializer};

use crate::findings::{Confidence, Governance, MethodCount, Severity};
use crate::time::Timestamp;

pub use inventory::{Inventory, Limits};

/// What a report says. Lists are ranked: what matters most comes first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Captures (files or interfaces) with findings in them.
    pub captures: Names,
    /// How many captures were read, with findings or without; for who made the
    /// report to say, if known.
    pub captures_read: Option<u64>,
    /// First packet of any finding.
    #[serde(serialize_with = "time")]
    pub first_seen: Option<Timestamp>,
    /// Last packet of any finding.
    #[serde(serialize_with = "time")]
    pub last_seen: Option<Timestamp>,
    /// Servers, by confidence, governance risk and use.
    pub servers: Vec<Server>,
    /// Clients, by use.
    pub clients: Vec<Client>,
    /// Tools called, by use.
    pub tools: Vec<Tool>,
    /// Threats, by severity.
    pub threats: Vec<Threat>,
    /// Rows whose server, client, tool or threat found no place because a cap
    /// was reached.
    pub unplaced: Unplaced,
}

impl Report {
    /// How many servers are known with that confidence.
    pub fn servers_with(&self, confidence: Confidence) -> usize {
        self.servers.iter().filter(|server| server.confidence == confidence).count()
    }
}

/// An MCP server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// Host and port, else address and port.
    pub name: String,
    /// Highest confidence reached.
    pub confidence: Confidence,
    /// Riskiest governance class seen.
    pub governance: Governance,
    /// Addresses and ports.
    pub addresses: Names,
    /// Paths of MCP endpoints.
    pub paths: Names,
    /// How MCP was carried.
    pub transports: Names,
    /// Revisions of the protocol.
    pub revisions: Names,
    /// What it calls itself, with version.
    pub implementations: Names,
    /// Clients, with version.
    pub clients: Names,
    /// Addresses of clients.
    pub client_addresses: Names,
    /// How clients authenticated.
    pub auth: Names,
    /// Messages by method.
    pub methods: Vec<MethodCount>,
    /// Tools called.
    pub tools: Names,
    /// Signatures that fired.
    pub signatures: Names,
    /// Conversations that ended.
    pub conversations: u64,
    /// Detections.
    pub detections: u64,
    /// Threats.
    pub threats: u64,
    /// Messages in those conversations.
    pub messages: u64,
    /// Payload bytes to the server in those conversations.
    pub bytes_to_server: u64,
    /// Payload bytes from the server in those conversations.
    pub bytes_to_client: u64,
    /// First packet.
    #[serde(serialize_with = "time")]
    pub first_seen: Option<Timestamp>,
    /// Last packet.
    #[serde(serialize_with = "time")]
    pub last_seen: Option<Timestamp>,
}

/// A client program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Client {
    /// What it calls itself, else its `User-Agent`, else nothing.
    pub name: String,
    /// Version it claims.
    pub version: String,
    /// Addresses it was seen at.
    pub addresses: Names,
    /// Servers it spoke to.
    pub servers: Names,
    /// Its conversations.
    pub conversations: u64,
}

/// A tool that was called.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Servers that offer it.
    pub servers: Names,
    /// Conversations in which it was called.
    pub conversations: u64,
}

/// A threat rule that fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Threat {
    /// The rule.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it says.
    pub title: String,
    /// Servers concerned.
    pub servers: Names,
    /// How often it fired.
    pub count: u64,
    /// When it first fired.
    #[serde(serialize_with = "time")]
    pub first_seen: Option<Timestamp>,
}

/// Names in alphabetical order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// The names.
    pub names: Vec<String>,
    /// Whether there were more than are kept.
    pub more: bool,
}

impl Names {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many there are, at least.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// How many there are: `3`, or `32+` if not all were kept.
    pub fn count(&self) -> String {
        format!("{}{}", self.names.len(), if self.more { "+" } else { "" })
    }
}

crate::counters! {
    /// Rows that found no place in the inventory because a cap was reached.
    pub struct Unplaced {
        /// Rows of servers beyond the cap.
        servers,
        /// Rows of clients beyond the cap.
        clients,
        /// Calls of tools beyond the cap.
        tools,
        /// Rows of threats beyond the cap.
        threats,
    }
}

impl Serialize for Unplaced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = Vec::new();
        self.each(&mut |name, count| all.push((name, count)));
        serializer.collect_map(all)
    }
}

/// What the traffic did not show, told by who saw the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// One line that sums it up.
    pub title: String,
    /// What could not be seen.
    pub lines: Vec<CoverageLine>,
}

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoverageLine {
    /// What it is, in the plural: `TLS flows without keys`.
    pub what: String,
    /// How many.
    pub count: u64,
    /// Why, or what would help.
    pub why: String,
}

fn time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}
