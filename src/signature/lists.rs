//! Host lists: names kept in plain files beside the sets that use them.
//!
//! One entry per line, columns separated by a tab: host, path, vendor, resource
//! kind; all but the host may be left out or be `-`. `*.example.com` stands for
//! every name below `example.com`. An entry with a path says that the host serves
//! other things too, so that its name alone means nothing.

use super::diagnostic::{Collector, Diagnostic, Source};

/// A list of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostList {
    /// The list's name in its set.
    pub name: Box<str>,
    /// The entries in the order of the file.
    pub entries: Vec<HostEntry>,
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// Host name, lower case, without trailing dot; what follows `*.` if the
    /// entry stands for the names below.
    pub host: Box<str>,
    /// Whether the entry stands for the names below `host` rather than for `host`.
    pub below: bool,
    /// Path that a request must have or be below of; absent where the name alone
    /// will do.
    pub path: Option<Box<str>>,
    /// Who runs it.
    pub vendor: Option<Box<str>>,
    /// What it gives access to: `mail`, `code`, `tickets` …
    pub resource: Option<Box<str>>,
    /// Line in the file, from 1.
    pub line: usize,
}

/// Reads a list.
pub(crate) fn parse(name: &str, source: &Source) -> Result<HostList, Vec<Diagnostic>> {
    let mut collector = Collector::new(source);
    let mut entries = Vec::new();
    let mut at = 0;
    for (index, line) in source.text().split('\n').enumerate() {
        let start = at;
        at += line.len() + 1;
        let line = line.trim_end_matches('\r');
        if !line.trim_start().is_empty() && !line.trim_start().starts_with('#') {
            entries.extend(entry(line, index + 1, start, &mut collector));
        }
    }
    if collector.has_errors() {
        return Err(collector.finish());
    }
    Ok(HostList { name: name.into(), entries })
}

fn entry(
    line: &str,
    number: usize,
    start: usize,
    collector: &mut Collector<'_>,
) -> Option<HostEntry> {
    let mut columns = line.split('\t').map(str::trim);
    let mut column = || columns.next().filter(|text| !text.is_empty() && *text != "-");
    let (host, path, vendor, resource) = (column(), column(), column(), column());
    let span = start..start + line.len();
    let Some(host) = host else {
        collector.error("list-entry", span, "the entry names no host");
        return None;
    };
    let (below, name) = match host.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, host),
    };
    let name = match check_host(name) {
        Ok(name) => name,
        Err(problem) => {
            let at = start + offset(line, host);
            collector.error("list-entry", at..at + host.len(), format!("`{host}` {problem}"));
            return None;
        }
    };
    if let Some(path) = path.filter(|path| !path.starts_with('/')) {
        let at = start + offset(line, path);
        collector.error("list-entry", at..at + path.len(), "a path begins with `/`");
        return None;
    }
    Some(HostEntry {
        host: name.into(),
        below,
        path: path.map(|path| path.trim_end_matches('/')).filter(|p| !p.is_empty()).map(Into::into),
        vendor: vendor.map(Into::into),
        resource: resource.map(Into::into),
        line: number,
    })
}

/// Where a part of a line begins in it.
fn offset(line: &str, part: &str) -> usize {
    part.as_ptr().addr() - line.as_ptr().addr()
}

/// Lower-cases a host name and says what is wrong with it.
pub(crate) fn check_host(name: &str) -> Result<String, &'static str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.is_ascii() {
        return Err("is not ASCII: write it as on the wire (`xn--…`)");
    }
    if name.is_empty() || name.len() > 253 {
        return Err("is not a host name: 1 to 253 characters");
    }
    if name.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err("is not a host name: a label has 1 to 63 characters");
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    if !name.bytes().all(allowed) {
        return Err("is not a host name: letters, digits, `-`, `_` and `.` only");
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HostList, Vec<Diagnostic>> {
        parse("test", &Source::new("test.tsv", text.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn reads_entries_comments_and_missing_columns() {
        let list = read(
            "# comment\n\nMCP.Example.com.\t-\tExample\tmail\r\n*.mcp.example.net\napi.example.org\t/mcp/\n",
        )
        .unwrap();
        let seen: Vec<_> = list
            .entries
            .iter()
            .map(|e| (&*e.host, e.below, e.path.as_deref(), e.vendor.as_deref(), e.line))
            .collect();
        assert_eq!(
            seen,
            [
                ("mcp.example.com", false, None, Some("Example"), 3),
                ("mcp.example.net", true, None, None, 4),
                ("api.example.org", false, Some("/mcp"), None, 5),
            ]
        );
    }

    #[test]
    fn every_bad_entry_is_reported_where_it_is() {
        let found =
            read("ok.example\n ex ample.com\na..b\nx.example\tmcp\n*\nmünchen.example\n\t/x\n");
        let places: Vec<_> = found
            .unwrap_err()
            .iter()
            .map(|problem| {
                let place = problem.location.as_ref().unwrap();
                (place.line, place.column())
            })
            .collect();
        assert_eq!(places, [(2, 2), (3, 1), (4, 11), (5, 1), (6, 1), (7, 1)]);
    }
}
