//! Findings against the truth: a fast engine that is wrong has not won.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

use super::truth::{Count, Truth};

/// What the check reads of a finding; the rest is skipped.
#[derive(Deserialize)]
struct Finding {
    kind: String,
    confidence: String,
    title: Option<String>,
    #[serde(default)]
    flow: Flow,
    #[serde(default)]
    mcp: Mcp,
}

#[derive(Default, Deserialize)]
struct Flow {
    server_ip: Option<IpAddr>,
}

#[derive(Default, Deserialize)]
struct Mcp {
    #[serde(default)]
    methods: Vec<Method>,
}

#[derive(Deserialize)]
struct Method {
    method: String,
    #[serde(flatten)]
    count: Count,
}

/// Every way in which findings (JSON Lines) differ from the truth; empty if none.
pub(crate) fn check(findings: &Path, truth: &Truth) -> io::Result<Vec<String>> {
    let mut differences = Vec::new();
    let mut conversations = 0;
    let mut methods: BTreeMap<String, Count> = BTreeMap::new();
    for line in BufReader::new(File::open(findings)?).lines() {
        let finding: Finding = serde_json::from_str(&line?)?;
        let of_mcp = finding.flow.server_ip.is_some_and(|server| truth.servers.contains(&server));
        if !of_mcp && finding.confidence != "possible" {
            let title = finding.title.unwrap_or_default();
            differences.push(format!("not MCP, and {}: {title}", finding.confidence));
        }
        if finding.kind != "conversation" || finding.confidence != "confirmed" {
            continue;
        }
        conversations += 1;
        for Method { method, count } in finding.mcp.methods {
            let sum = methods.entry(method).or_default();
            sum.requests += count.requests;
            sum.responses += count.responses;
            sum.errors += count.errors;
        }
    }
    if conversations != truth.conversations {
        differences
            .push(format!("{conversations} conversations, should be {}", truth.conversations));
    }
    for method in
        truth.methods.keys().chain(methods.keys().filter(|m| !truth.methods.contains_key(*m)))
    {
        let (is, should) = (methods.get(method), truth.methods.get(method));
        if is != should {
            differences.push(format!("{method}: {is:?}, should be {should:?}"));
        }
    }
    Ok(differences)
}
