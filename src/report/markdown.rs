//! The report as Markdown, for a ticket or a wiki.
//!
//! Everything from the wire is escaped, so that it can neither format nor link
//! nor bring HTML.

use std::io::{self, Write};

use super::words::{self, counted, grouped, headline, listed};
use super::{Coverage, Names, Report, Server};
use crate::findings::escape::printable;

/// Writes the report to `out`.
pub fn render(report: &Report, coverage: Option<&Coverage>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# MCP traffic\n\n{}.", headline(report))?;
    if let Some(threats) = words::threat_line(report) {
        writeln!(out, "{threats}.")?;
    }
    if let Some(span) = words::span(report.first_seen, report.last_seen) {
        writeln!(out, "Seen {span}.")?;
    }
    threats(report, out)?;
    servers(report, out)?;
    clients(report, out)?;
    tools(report, out)?;
    coverage.map_or(Ok(()), |coverage| render_coverage(coverage, out))
}

fn threats(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.threats.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Threats\n\n| severity | threat | rule | servers | times |")?;
    writeln!(out, "|---|---|---|---|--:|")?;
    for threat in &report.threats {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            threat.severity,
            escape(&threat.title),
            escape(&threat.rule),
            names(&threat.servers),
            grouped(threat.count)
        )?;
    }
    Ok(())
}

fn servers(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.servers.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Servers")?;
    report.servers.iter().try_for_each(|server| render_server(server, out))
}

fn render_server(server: &Server, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\n### {}\n\n{}, {}\n",
        escape(&server.name),
        server.confidence,
        words::governance(server.governance)
    )?;
    for (label, text) in [
        ("Addresses", names(&server.addresses)),
        ("Paths", names(&server.paths)),
        ("Transports", names(&server.transports)),
        ("Revisions", names(&server.revisions)),
        ("Calls itself", names(&server.implementations)),
        ("Clients", names(&server.clients)),
        ("Client addresses", names(&server.client_addresses)),
        ("Authentication", names(&server.auth)),
        ("Methods", joined(&words::methods(&server.methods))),
        ("Tools called", names(&server.tools)),
        ("Signatures", names(&server.signatures)),
        ("Traffic", traffic(server)),
        ("Seen", words::span(server.first_seen, server.last_seen).unwrap_or_default()),
    ] {
        if !text.is_empty() {
            writeln!(out, "- {label}: {text}")?;
        }
    }
    Ok(())
}

fn traffic(server: &Server) -> String {
    if server.conversations == 0 {
        return counted(server.detections, "detection");
    }
    format!(
        "{}, {}, {} to the server, {} back",
        counted(server.conversations, "conversation"),
        counted(server.messages, "message"),
        words::bytes(server.bytes_to_server),
        words::bytes(server.bytes_to_client)
    )
}

fn clients(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.clients.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Clients\n\n| client | version | addresses | servers | conversations |")?;
    writeln!(out, "|---|---|--:|--:|--:|")?;
    for client in &report.clients {
        let name = if client.name.is_empty() { "(unnamed)" } else { &client.name };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            escape(name),
            escape(&client.version),
            client.addresses.count(),
            client.servers.count(),
            grouped(client.conversations)
        )?;
    }
    Ok(())
}

fn tools(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.tools.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Tools called\n\n| tool | servers | conversations |\n|---|---|--:|")?;
    for tool in &report.tools {
        let (name, servers) = (escape(&tool.name), names(&tool.servers));
        writeln!(out, "| {name} | {servers} | {} |", grouped(tool.conversations))?;
    }
    Ok(())
}

fn render_coverage(coverage: &Coverage, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n## Coverage\n\n{}", escape(&coverage.title))?;
    if coverage.lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| count | not seen | why |\n|--:|---|---|")?;
    for line in &coverage.lines {
        let (what, why) = (escape(&line.what), escape(&line.why));
        writeln!(out, "| {} | {what} | {why} |", grouped(line.count))?;
    }
    Ok(())
}

fn names(names: &Names) -> String {
    joined(&listed(names))
}

fn joined(items: &[String]) -> String {
    items.iter().map(|item| escape(item)).collect::<Vec<_>>().join(", ")
}

/// `text` as Markdown that shows it as it is.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // Hosts and addresses would become links.
            ':' if text.contains("//") => escaped.push_str("&#58;"),
            '@' => escaped.push_str("&#64;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::{Inventory, samples};
    use super::*;

    #[test]
    fn an_office_for_a_ticket() {
        let mut inventory = Inventory::default();
        samples::office().iter().for_each(|row| inventory.add(row));
        let mut out = Vec::new();
        render(&inventory.report(), None, &mut out).unwrap();
        samples::assert_golden("office.md", &String::from_utf8(out).unwrap());
    }

    #[test]
    fn wire_text_is_not_markup() {
        for (text, shown) in [
            ("a|b", "a\\|b"),
            ("[x](https://evil.example)", "\\[x\\](https&#58;//evil.example)"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("**b** _i_ `c`", "\\*\\*b\\*\\* \\_i\\_ \\`c\\`"),
            ("line\nbreak", "line\\\\u{a}break"),
            ("tools/call", "tools/call"),
        ] {
            assert_eq!(escape(text), shown);
        }
    }
}
