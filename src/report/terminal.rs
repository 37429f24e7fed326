//! The report for a terminal: no boxes, aligned, at most as wide as asked.
//!
//! Everything from the wire passes [`printable`], so nothing a capture holds
//! can move the cursor or hide.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::table::{Align, layout, wrap};
use super::words::{self, counted, grouped, headline, listed};
use super::{Client, Coverage, Report, Server, Threat, Tool};
use crate::findings::escape::printable;
use crate::findings::{Confidence, Governance, Severity};

/// How the report is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to write colours.
    pub colour: bool,
    /// Most servers in full.
    pub servers: usize,
    /// Most lines of each other list.
    pub lines: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { width: 100, colour: false, servers: 50, lines: 20 }
    }
}

impl Options {
    /// For standard output as it is: its width if it is a terminal, and colours
    /// as `choice` says (`Auto` heeds `NO_COLOR` and `CLICOLOR`).
    pub fn for_stdout(choice: anstream::ColorChoice) -> Self {
        let stdout = io::stdout();
        let colour = match choice {
            anstream::ColorChoice::Auto => {
                anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never
            }
            anstream::ColorChoice::Never => false,
            anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
        };
        let defaults = Self { colour, ..Self::default() };
        match terminal_size::terminal_size_of(&stdout) {
            Some((width, _)) if stdout.is_terminal() => {
                Self { width: usize::from(width.0).max(MIN_WIDTH), ..defaults }
            }
            _ => defaults,
        }
    }
}

/// Narrower than this, lines run over.
const MIN_WIDTH: usize = 40;

/// Writes the report to `out`.
pub fn render(
    report: &Report,
    coverage: Option<&Coverage>,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page { options, out };
    page.head(report)?;
    page.threats(&report.threats)?;
    page.servers(&report.servers)?;
    page.clients(&report.clients)?;
    page.tools(&report.tools)?;
    page.unplaced(report)?;
    coverage.map_or(Ok(()), |coverage| page.coverage(coverage))
}

struct Page<'a> {
    options: &'a Options,
    out: &'a mut dyn Write,
}

/// Width of the labels of a server's lines.
const LABEL: usize = 12;

impl Page<'_> {
    fn head(&mut self, report: &Report) -> io::Result<()> {
        let headline = self.styled(Style::new().bold(), &headline(report));
        writeln!(self.out, "{headline}")?;
        if let Some(threats) = words::threat_line(report) {
            let worst = report.threats.first().map_or(Severity::Info, |threat| threat.severity);
            let threats = self.styled(severity_style(worst), &threats);
            writeln!(self.out, "{threats}")?;
        }
        match words::span(report.first_seen, report.last_seen) {
            Some(span) => writeln!(self.out, "{}", self.styled(Style::new().dimmed(), &span)),
            None => Ok(()),
        }
    }

    fn section(&mut self, title: &str) -> io::Result<()> {
        let title = self.styled(Style::new().bold(), title);
        writeln!(self.out, "\n{title}")
    }

    fn threats(&mut self, threats: &[Threat]) -> io::Result<()> {
        if threats.is_empty() {
            return Ok(());
        }
        self.section("THREATS")?;
        let rows: Vec<_> = threats
            .iter()
            .take(self.options.lines)
            .map(|threat| {
                [
                    threat.severity.to_string(),
                    printable(&threat.title).into_owned(),
                    printable(&threat.rule).into_owned(),
                    servers(&threat.servers),
                    grouped(threat.count),
                ]
            })
            .collect();
        let header = [
            ("severity", Align::Left),
            ("threat", Align::Left),
            ("rule", Align::Left),
            ("server", Align::Left),
            ("times", Align::Right),
        ];
        let styles: Vec<_> = threats.iter().map(|threat| severity_style(threat.severity)).collect();
        self.table(&layout(header, &rows, self.room()), &styles)?;
        self.rest(threats.len(), self.options.lines)
    }

    fn servers(&mut self, servers: &[Server]) -> io::Result<()> {
        if servers.is_empty() {
            return Ok(());
        }
        self.section("SERVERS")?;
        for server in servers.iter().take(self.options.servers) {
            self.server(server)?;
        }
        self.rest(servers.len(), self.options.servers)
    }

    fn server(&mut self, server: &Server) -> io::Result<()> {
        let name = self.styled(Style::new().bold(), &printable(&server.name));
        let confidence =
            self.styled(confidence_style(server.confidence), server.confidence.as_str());
        let governance =
            self.styled(governance_style(server.governance), words::governance(server.governance));
        writeln!(self.out, "\n  {name}  {confidence}, {governance}")?;
        if server.addresses.names.as_slice() != [server.name.as_str()] {
            self.list("address", &listed(&server.addresses))?;
        }
        self.list("path", &listed(&server.paths))?;
        self.list("transport", &transports(server))?;
        self.list("server", &listed(&server.implementations))?;
        self.list("clients", &clients(server))?;
        self.list("auth", &listed(&server.auth))?;
        self.list("methods", &words::methods(&server.methods))?;
        self.list("tools", &listed(&server.tools))?;
        self.list("signatures", &listed(&server.signatures))?;
        self.list("traffic", &traffic(server))?;
        let seen = words::span(server.first_seen, server.last_seen);
        self.list("seen", seen.as_slice())
    }

    /// A line of a server, `label  item, item, …`, wrapped; none without items.
    fn list(&mut self, label: &str, items: &[String]) -> io::Result<()> {
        let items: Vec<_> = items.iter().map(|item| printable(item).into_owned()).collect();
        let room = self.options.width.max(MIN_WIDTH).saturating_sub(4 + LABEL);
        for (index, line) in wrap(&items, room).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let label = self.styled(Style::new().dimmed(), &format!("{label:<LABEL$}"));
            writeln!(self.out, "    {label}{line}")?;
        }
        Ok(())
    }

    fn clients(&mut self, clients: &[Client]) -> io::Result<()> {
        if clients.is_empty() {
            return Ok(());
        }
        self.section("CLIENTS")?;
        let rows: Vec<_> = clients
            .iter()
            .take(self.options.lines)
            .map(|client| {
                let name = if client.name.is_empty() { "(unnamed)" } else { &client.name };
                [
                    printable(name).into_owned(),
                    printable(&client.version).into_owned(),
                    client.addresses.count(),
                    client.servers.count(),
                    grouped(client.conversations),
                ]
            })
            .collect();
        let header = [
            ("client", Align::Left),
            ("version", Align::Left),
            ("addresses", Align::Right),
            ("servers", Align::Right),
            ("conversations", Align::Right),
        ];
        self.table(&layout(header, &rows, self.room()), &[])?;
        self.rest(clients.len(), self.options.lines)
    }

    fn tools(&mut self, tools: &[Tool]) -> io::Result<()> {
        if tools.is_empty() {
            return Ok(());
        }
        self.section("TOOLS CALLED")?;
        let rows: Vec<_> = tools
            .iter()
            .take(self.options.lines)
            .map(|tool| {
                [
                    printable(&tool.name).into_owned(),
                    servers(&tool.servers),
                    grouped(tool.conversations),
                ]
            })
            .collect();
        let header =
            [("tool", Align::Left), ("server", Align::Left), ("conversations", Align::Right)];
        self.table(&layout(header, &rows, self.room()), &[])?;
        self.rest(tools.len(), self.options.lines)
    }

    fn coverage(&mut self, coverage: &Coverage) -> io::Result<()> {
        self.section("COVERAGE")?;
        if !coverage.title.is_empty() {
            writeln!(self.out, "  {}", printable(&coverage.title))?;
        }
        let rows: Vec<_> = coverage
            .lines
            .iter()
            .map(|line| {
                [
                    grouped(line.count),
                    printable(&line.what).into_owned(),
                    printable(&line.why).into_owned(),
                ]
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let header = [("count", Align::Right), ("not seen", Align::Left), ("why", Align::Left)];
        self.table(&layout(header, &rows, self.room()), &[])
    }

    fn unplaced(&mut self, report: &Report) -> io::Result<()> {
        let mut lost = Vec::new();
        report.unplaced.each(&mut |name, count| {
            if count > 0 {
                lost.push(format!("{} of further {name}", counted(count, "row")));
            }
        });
        if lost.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "\nLeft out, for the report is full: {}", lost.join(", "))
    }

    /// A table, its header dimmed, the first column of each row in its style.
    fn table(&mut self, lines: &[String], styles: &[Style]) -> io::Result<()> {
        for (index, line) in lines.iter().enumerate() {
            let style = match index.checked_sub(1) {
                None => Style::new().dimmed(),
                Some(row) => styles.get(row).copied().unwrap_or_default(),
            };
            // A header is dim throughout; of a row, the first word says what it is.
            let end = match line.trim_start().find("  ") {
                Some(end) if index > 0 => end + line.len() - line.trim_start().len(),
                _ => line.len(),
            };
            let (first, rest) = line.split_at(end);
            writeln!(self.out, "  {}{rest}", self.styled(style, first))?;
        }
        Ok(())
    }

    fn rest(&mut self, count: usize, shown: usize) -> io::Result<()> {
        match count.saturating_sub(shown) {
            0 => Ok(()),
            more => writeln!(self.out, "  … and {} more", grouped(more as u64)),
        }
    }

    /// Room for a table.
    fn room(&self) -> usize {
        self.options.width.max(MIN_WIDTH) - 2
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if !self.options.colour || style.is_plain() {
            return text.to_owned();
        }
        format!("{style}{text}{style:#}")
    }
}

/// The one server of a list, or how many there are.
fn servers(names: &super::Names) -> String {
    match names.names.as_slice() {
        [only] if !names.more => printable(only).into_owned(),
        _ => format!("{} servers", names.count()),
    }
}

fn transports(server: &Server) -> Vec<String> {
    let mut items = listed(&server.transports);
    items.extend(listed(&server.revisions).into_iter().map(|revision| match revision.as_str() {
        "and more" => revision,
        _ => format!("revision {revision}"),
    }));
    items
}

fn clients(server: &Server) -> Vec<String> {
    let addresses = match server.client_addresses.count().as_str() {
        "1" => "1 address".to_owned(),
        count => format!("{count} addresses"),
    };
    match listed(&server.clients) {
        clients if clients.is_empty() => vec![format!("unnamed, at {addresses}")],
        mut clients => {
            if let Some(last) = clients.last_mut() {
                last.push_str(&format!(" (at {addresses})"));
            }
            clients
        }
    }
}

fn traffic(server: &Server) -> Vec<String> {
    if server.conversations == 0 {
        return vec![counted(server.detections, "detection")];
    }
    vec![
        counted(server.conversations, "conversation"),
        counted(server.messages, "message"),
        format!("{} to the server", words::bytes(server.bytes_to_server)),
        format!("{} back", words::bytes(server.bytes_to_client)),
    ]
}

pub(crate) fn confidence_style(confidence: Confidence) -> Style {
    match confidence {
        Confidence::Confirmed => Style::new().bold(),
        Confidence::Likely => Style::new(),
        Confidence::Possible => Style::new().dimmed(),
    }
}

pub(crate) fn governance_style(governance: Governance) -> Style {
    match governance {
        Governance::Denied | Governance::Shadow => colour(AnsiColor::Red),
        Governance::KnownUnsanctioned => colour(AnsiColor::Yellow),
        Governance::Internal => colour(AnsiColor::Cyan),
        Governance::Sanctioned | Governance::Portal => colour(AnsiColor::Green),
        Governance::Unreviewed => Style::new(),
    }
}

pub(crate) fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => colour(AnsiColor::Red).bold(),
        Severity::High => colour(AnsiColor::Red),
        Severity::Medium => colour(AnsiColor::Yellow),
        Severity::Low | Severity::Info => Style::new(),
    }
}

fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(colour.into()))
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::super::{CoverageLine, Inventory, Limits, samples};
    use super::*;
    use crate::findings::Row;
    use crate::findings::escape::is_unprintable;

    fn rendered(rows: &[Row], coverage: Option<&Coverage>, options: &Options) -> String {
        let mut inventory = Inventory::default();
        rows.iter().for_each(|row| inventory.add(row));
        let mut out = Vec::new();
        render(&inventory.report(), coverage, options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn coverage() -> Coverage {
        Coverage {
            title: "1,024 flows, of which 38 could not be read in full".to_owned(),
            lines: vec![
                CoverageLine {
                    what: "TLS flows without keys".to_owned(),
                    count: 37,
                    why: "only server names and fingerprints; give --keylog".to_owned(),
                },
                CoverageLine {
                    what: "flows with gaps".to_owned(),
                    count: 1,
                    why: "packets are missing from the capture".to_owned(),
                },
            ],
        }
    }

    #[test]
    fn a_day_at_the_office() {
        let text = rendered(&samples::office(), Some(&coverage()), &Options::default());
        samples::assert_golden("office.txt", &text);
    }

    #[test]
    fn nothing_found() {
        assert_eq!(rendered(&[], None, &Options::default()), "No MCP servers found\n");
    }

    #[test]
    fn every_line_fits_a_narrow_terminal() {
        let options = Options { width: 64, ..Options::default() };
        let text = rendered(&samples::office(), Some(&coverage()), &options);
        for line in text.lines() {
            assert!(line.width() <= 64, "{} cells: {line}", line.width());
        }
    }

    #[test]
    fn colours_only_where_wanted_and_closed() {
        let plain = rendered(&samples::office(), None, &Options::default());
        assert!(!plain.contains('\u{1b}'));
        let options = Options { colour: true, ..Options::default() };
        let coloured = rendered(&samples::office(), None, &options);
        assert!(coloured.contains("\u{1b}[31mshadow\u{1b}[0m"), "{coloured}");
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut row = samples::conversation();
        let hostile = || Some(samples::HOSTILE.to_owned());
        row.http.host = hostile();
        row.http.path = hostile();
        row.mcp.client_name = hostile();
        row.mcp.client_version = hostile();
        row.mcp.server_name = hostile();
        row.mcp.protocol_version = hostile();
        row.mcp.tools = vec![samples::HOSTILE.to_owned()];
        row.mcp.methods[0].method = samples::HOSTILE.to_owned();
        row.signatures = vec![samples::HOSTILE.to_owned()];
        let mut threat = row.clone();
        threat.kind = crate::findings::Kind::Threat;
        threat.title = samples::HOSTILE.to_owned();
        let coverage = Coverage { title: samples::HOSTILE.to_owned(), lines: Vec::new() };
        let text = rendered(&[row, threat], Some(&coverage), &Options::default());
        assert!(text.contains("\\u{1b}[31m"));
        let unprintable: Vec<_> =
            text.chars().filter(|c| *c != '\n' && is_unprintable(*c)).collect();
        assert!(unprintable.is_empty(), "{unprintable:?}");
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let limits = Limits { servers: 3, ..Limits::default() };
        let mut inventory = Inventory::new(limits);
        for n in 0..5 {
            let mut row = samples::conversation();
            row.http.host = Some(format!("host-{n}"));
            inventory.add(&row);
        }
        let mut out = Vec::new();
        let options = Options { servers: 2, ..Options::default() };
        render(&inventory.report(), None, &options, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("host-1") && !text.contains("host-2"), "{text}");
        assert!(text.contains("\n  … and 1 more\n"), "{text}");
        assert!(text.contains("Left out, for the report is full: 2 rows of further servers"));
    }
}
