//! The policy file: TOML in, classes or a list of located errors out.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::{Class, Classes};

/// A policy larger than this is refused before it is parsed.
const MAX_BYTES: u64 = 8 << 20;

/// Addresses that are internal where a policy does not say which are: RFC 1918,
/// loopback, link-local and RFC 4193.
const PRIVATE: &[&str] = &[
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// Why a policy was refused: every error in it, each with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    problems: Vec<String>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for PolicyError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    version: Spanned<u32>,
    #[serde(default)]
    portal: RawClass,
    #[serde(default)]
    sanctioned: RawClass,
    #[serde(default)]
    denied: RawClass,
    #[serde(default)]
    internal: RawClass,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    #[serde(default)]
    hosts: Vec<Spanned<String>>,
    networks: Option<Vec<Spanned<String>>>,
}

/// Reads the file, refusing what cannot be a policy.
pub(super) fn read(path: &Path, name: &str) -> Result<String, PolicyError> {
    let fail = |what: String| PolicyError { problems: vec![format!("{name}: {what}")] };
    let size = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(fail(format!("{size} bytes is too large for a policy")));
    }
    let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        fail(format!("not UTF-8 at byte offset {}", error.utf8_error().valid_up_to()))
    })
}

/// Parses the text of a policy.
pub(super) fn parse(text: &str, name: &str) -> Result<Classes, PolicyError> {
    let mut reader = Reader { text, name, problems: Vec::new() };
    let raw: RawPolicy = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            reader.problem(at, error.message());
            return Err(PolicyError { problems: reader.problems });
        }
    };
    if *raw.version.get_ref() != 1 {
        reader.problem(raw.version.span().start, "this mcpwatch reads policies of version 1");
    }
    let classes = Classes {
        portal: reader.class(raw.portal, &[]),
        sanctioned: reader.class(raw.sanctioned, &[]),
        denied: reader.class(raw.denied, &[]),
        internal: reader.class(raw.internal, PRIVATE),
    };
    if reader.problems.is_empty() {
        Ok(classes)
    } else {
        Err(PolicyError { problems: reader.problems })
    }
}

struct Reader<'a> {
    text: &'a str,
    name: &'a str,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn class(&mut self, raw: RawClass, default_networks: &[&str]) -> Class {
        let hosts = raw.hosts.into_iter().filter_map(|entry| self.entry(entry)).collect();
        let networks = match raw.networks {
            Some(networks) => networks.into_iter().filter_map(|n| self.entry(n)).collect(),
            None => default_networks.iter().filter_map(|text| text.parse().ok()).collect(),
        };
        Class { hosts, networks }
    }

    fn entry<T: FromStr<Err = String>>(&mut self, text: Spanned<String>) -> Option<T> {
        match text.get_ref().parse() {
            Ok(entry) => Some(entry),
            Err(what) => {
                self.problem(text.span().start, &what);
                None
            }
        }
    }

    /// Notes a problem at a byte offset, with the line and a caret below it.
    fn problem(&mut self, offset: usize, what: &str) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        let source = self.text.get(line_start..).and_then(|rest| rest.lines().next());
        let source: String =
            source.unwrap_or("").chars().filter(|c| !c.is_control()).take(200).collect();
        let caret = " ".repeat(column.saturating_sub(1).min(200));
        self.problems
            .push(format!("{}:{line}:{column}: {what}\n  | {source}\n  | {caret}^", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        parse(text, "p.toml").unwrap_err().to_string()
    }

    #[test]
    fn every_error_is_named_with_its_place() {
        let text =
            "version = 2\n[denied]\nhosts = [\"ok.example\", \"a..b\"]\nnetworks = [\"10/8\"]\n";
        let found = problems(text);
        for expected in ["p.toml:1:11:", "p.toml:3:24:", "p.toml:4:13:"] {
            assert!(found.contains(expected), "{expected} in\n{found}");
        }
    }

    #[test]
    fn unknown_keys_and_bad_syntax_are_refused() {
        assert!(problems("version = 1\n[sanktioned]\n").contains("unknown field `sanktioned`"));
        assert!(problems("version = 1\n[denied\n").contains("p.toml:2:"));
        assert!(problems("").contains("version"));
    }
}
