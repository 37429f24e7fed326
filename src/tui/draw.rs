//! The model as a picture: the same model and area give the same picture.
//!
//! What a picture says it says in words too: without colours nothing is missing.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::columns::{Cell, Column, table};
use super::layout::{Areas, SUMS, bottom, top};
use super::model::{Finding, Mode, Model, Pane};
use super::rates::Rates;
use crate::capture::live::InterfaceState;
use crate::findings::escape::printable;
use crate::findings::{Confidence, Kind};
use crate::report::Server;
use crate::report::table::fit;
use crate::report::terminal::{confidence_style, governance_style, severity_style};
use crate::report::words::{bytes, counted, governance, grouped};

/// How things look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Theme {
    /// Whether there are colours.
    pub(super) colour: bool,
}

impl Theme {
    /// A style of the report.
    pub(super) fn style(self, style: anstyle::Style) -> Style {
        let mut converted = Style::new();
        let effects = style.get_effects();
        if effects.contains(anstyle::Effects::BOLD) {
            converted = converted.add_modifier(Modifier::BOLD);
        }
        if effects.contains(anstyle::Effects::DIMMED) {
            converted = converted.add_modifier(Modifier::DIM);
        }
        match style.get_fg_color().filter(|_| self.colour) {
            Some(anstyle::Color::Ansi(anstyle::AnsiColor::Red)) => converted.fg(Color::Red),
            Some(anstyle::Color::Ansi(anstyle::AnsiColor::Green)) => converted.fg(Color::Green),
            Some(anstyle::Color::Ansi(anstyle::AnsiColor::Yellow)) => converted.fg(Color::Yellow),
            Some(anstyle::Color::Ansi(anstyle::AnsiColor::Cyan)) => converted.fg(Color::Cyan),
            _ => converted,
        }
    }

    /// What must not be overlooked.
    fn alarm(self) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if self.colour { bold.fg(Color::Red) } else { bold }
    }
}

pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws the model, for the area it was last given.
pub(super) fn draw(model: &Model, theme: Theme, buffer: &mut Buffer) {
    let mut picture = Picture { model, theme, buffer };
    let Areas { head, interfaces, servers, findings, message, foot } = model.areas;
    picture.head(head);
    match model.mode {
        Mode::Watch | Mode::Filter => {
            picture.interfaces(interfaces);
            picture.servers(servers);
            picture.findings(findings);
        }
        Mode::Help => picture.help(between(head, message, foot, picture.buffer.area)),
        Mode::Messages => picture.messages(between(head, message, foot, picture.buffer.area)),
    }
    picture.message(message);
    picture.foot(foot);
}

/// The area of all panes.
fn between(head: Rect, message: Rect, foot: Rect, area: Rect) -> Rect {
    let mut left = area;
    top(&mut left, head.height);
    bottom(&mut left, message.height + foot.height);
    left
}

struct Picture<'a> {
    model: &'a Model,
    theme: Theme,
    buffer: &'a mut Buffer,
}

impl Picture<'_> {
    fn head(&mut self, area: Rect) {
        let Model { sensor, shown, paused, ending, .. } = self.model;
        let state = match (ending, paused) {
            (true, _) => "ending",
            (false, true) => "paused",
            (false, false) => "watching",
        };
        let sensor = if sensor.is_empty() { String::new() } else { format!("  {sensor}") };
        let name = format!("mcpwatch sense{sensor}");
        let seconds = shown.uptime.as_secs();
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let right = format!("{state}  {hours}:{minutes:02}:{seconds:02}");
        self.line(area, &name, BOLD);
        let width = u16::try_from(right.width()).unwrap_or(u16::MAX).min(area.width);
        let corner = Rect { x: area.right() - width, width, ..area };
        self.line(corner, &right, if *paused || *ending { self.theme.alarm() } else { BOLD });
    }

    fn interfaces(&mut self, area: Rect) {
        let mut left = area;
        self.title(&mut left, Pane::Interfaces, "");
        let mut sums = bottom(&mut left, SUMS);
        let all = &self.model.shown.interfaces;
        let name = all.iter().map(|it| it.status.name.width()).max().unwrap_or_default();
        let columns = [
            Column::left("interface", u16::try_from(name.clamp(9, 15)).unwrap_or(15)),
            Column::left("state", 5),
            Column::right("packets/s", 10),
            Column::right("bytes/s", 10),
            Column::right("lost", 16).from(60),
            Column::right("ring", 7).from(70),
            Column::moving("last minute").from(80),
        ];
        let first = self.model.first(Pane::Interfaces);
        let rows = all.iter().skip(first).map(|it| self.interface(it)).collect::<Vec<_>>();
        table(self.buffer, left, &columns, rows);
        for sum in [self.flows(), self.sums()] {
            let line = top(&mut sums, 1);
            self.line(line, &sum, Style::new());
        }
    }

    fn interface(&self, rates: &Rates) -> [Cell; 7] {
        let status = &rates.status;
        let counters = &status.counters;
        let state = match status.state {
            InterfaceState::Up => Style::new(),
            InterfaceState::Down | InterfaceState::Gone => self.theme.alarm(),
        };
        let lost = match (counters.lost, rates.lost) {
            (0, _) => Cell::plain("0"),
            (lost, 0) => Cell::new(grouped(lost), self.theme.style(warning())),
            (lost, more) => {
                Cell::new(format!("{} +{}/s", grouped(lost), grouped(more)), self.theme.alarm())
            }
        };
        let (used, blocks) = (status.ring_blocks_used, status.ring_blocks);
        [
            Cell::new(printable(&status.name), BOLD),
            Cell::new(status.state.as_str(), state),
            Cell::plain(grouped(rates.packets)),
            Cell::plain(bytes(rates.bytes)),
            lost,
            Cell::plain(format!("{used}/{blocks}")),
            Cell::new(sparkline(rates), DIM),
        ]
    }

    fn flows(&self) -> String {
        let shown = &self.model.shown;
        let flow = &shown.statistics.flow;
        let opened = [(flow.tcp_flows, "TCP"), (flow.udp_flows, "UDP")]
            .map(|(count, name)| format!("{} {name}", grouped(count)));
        let evicted = match flow.flows_evicted {
            0 => String::new(),
            evicted => format!(", {} evicted", grouped(evicted)),
        };
        format!(
            "flows     {}, {}/s new{evicted}; {} packets",
            opened.join(", "),
            grouped(shown.new_flows),
            grouped(shown.statistics.decode.packets)
        )
    }

    fn sums(&self) -> String {
        let tally = &self.model.shown.tally;
        let detections: Vec<_> = Confidence::ALL
            .iter()
            .rev()
            .map(|it| format!("{} {it}", grouped(tally.of(Kind::Detection, *it))))
            .collect();
        let others = [
            (Kind::Conversation, "conversation", true),
            (Kind::Threat, "threat", true),
            (Kind::Message, "message", false),
        ];
        let others: String = others
            .iter()
            .filter(|(kind, _, always)| *always || tally.all(*kind) > 0)
            .map(|(kind, noun, _)| format!("; {}", counted(tally.all(*kind), noun)))
            .collect();
        format!("findings  {}{others}", detections.join(", "))
    }

    fn servers(&mut self, area: Rect) {
        let mut left = area;
        let shown = &self.model.shown;
        let headline = if shown.servers.is_empty() { "" } else { shown.headline.as_str() };
        self.title(&mut left, Pane::Servers, headline);
        let columns = [
            Column::elastic("server"),
            Column::left("confidence", 10),
            Column::left("governance", 19).from(60),
            Column::right("clients", 7).from(80),
            Column::right("conversations", 13).from(90),
            Column::right("messages", 10).from(70),
            Column::right("threats", 7).from(110),
        ];
        let first = self.model.first(Pane::Servers);
        let room = usize::from(left.height);
        let rows = self.model.servers().skip(first).take(room).map(|it| self.server(it));
        let rows = rows.collect::<Vec<_>>();
        self.rows(left, &columns, rows, "no MCP server was seen yet");
    }

    fn server(&self, server: &Server) -> [Cell; 7] {
        let style = self.theme.style(confidence_style(server.confidence));
        let class = self.theme.style(governance_style(server.governance));
        let threats = match server.threats {
            0 => Cell::plain("0"),
            threats => Cell::new(grouped(threats), self.theme.alarm()),
        };
        [
            Cell::new(printable(&server.name), BOLD),
            Cell::new(server.confidence.as_str(), style),
            Cell::new(governance(server.governance), class),
            Cell::plain(server.client_addresses.count()),
            Cell::plain(grouped(server.conversations)),
            Cell::plain(grouped(server.messages)),
            threats,
        ]
    }

    fn findings(&mut self, area: Rect) {
        let mut left = area;
        let unlisted = match self.model.shown.tally.unlisted {
            0 => String::new(),
            count => format!("{} came too fast to be listed", grouped(count)),
        };
        self.title(&mut left, Pane::Findings, &unlisted);
        let columns = [
            Column::left("UTC", 8).from(40),
            Column::left("kind", 12).from(60),
            Column::left("confidence", 10),
            Column::elastic("finding"),
            Column::left("governance", 19).from(120),
        ];
        let first = self.model.first(Pane::Findings);
        let room = usize::from(left.height);
        let rows = self.model.findings().skip(first).take(room).map(|it| self.finding(it));
        let rows = rows.collect::<Vec<_>>();
        self.rows(left, &columns, rows, "nothing was found yet");
    }

    fn finding(&self, finding: &Finding) -> [Cell; 5] {
        let confidence = self.theme.style(confidence_style(finding.confidence));
        let severity = self.theme.style(severity_style(finding.severity));
        let (kind, title) = match finding.kind {
            Kind::Threat => (severity, format!("{}: {}", finding.severity, finding.title)),
            _ => (Style::new(), finding.title.clone()),
        };
        let class = self.theme.style(governance_style(finding.governance));
        [
            Cell::new(finding.time.as_str(), DIM),
            Cell::new(finding.kind.as_str(), kind),
            Cell::new(finding.confidence.as_str(), confidence),
            Cell::new(title, kind),
            Cell::new(governance(finding.governance), class),
        ]
    }

    /// A table, or why there is nothing in it.
    fn rows<const N: usize>(
        &mut self,
        area: Rect,
        columns: &[Column; N],
        rows: Vec<[Cell; N]>,
        nothing: &str,
    ) {
        if rows.is_empty() {
            let why =
                if self.model.filter.is_empty() { nothing } else { "nothing matches the filter" };
            self.line(area, why, DIM);
            return;
        }
        table(self.buffer, area, columns, rows);
    }

    /// The title of a pane, marked if it has the focus, and which rows are shown if
    /// not all are.
    fn title(&mut self, left: &mut Rect, pane: Pane, more: &str) {
        let area = top(left, 1);
        let focus = self.model.focus == pane;
        let name = match pane {
            Pane::Interfaces => "INTERFACES",
            Pane::Servers => "SERVERS",
            Pane::Findings => "LATEST FINDINGS",
        };
        let mark = if focus { '▶' } else { '─' };
        let more = if more.is_empty() { String::new() } else { format!("  {more}") };
        let title = format!("{mark} {name}{more} ");
        let (first, len) = (self.model.first(pane), self.model.len(pane));
        let last = len.min(first + self.model.areas.rows(pane));
        let place = match last - first.min(last) {
            all if all == len => String::new(),
            _ => format!(" {}–{last} of {len} ──", first + 1),
        };
        let rule = usize::from(area.width).saturating_sub(title.width() + place.width());
        let line = format!("{title}{}{place}", "─".repeat(rule));
        self.line(area, &line, if focus { BOLD } else { DIM });
    }

    fn message(&mut self, area: Rect) {
        let Some(message) = self.model.messages.last() else { return };
        // What does not fit on the line can be read by its key.
        let text = printable(&message.replace('\n', " / ")).into_owned();
        self.line(area, &text, self.theme.style(warning()));
    }

    fn foot(&mut self, area: Rect) {
        let Model { filter, mode, .. } = self.model;
        let keys = match mode {
            Mode::Filter => format!("filter: {}▏ Enter keep  Esc clear", printable(filter)),
            Mode::Help | Mode::Messages => "any key goes back".to_owned(),
            Mode::Watch if !filter.is_empty() => {
                format!("filter: {}  Esc clear  / change  q end  ? help", printable(filter))
            }
            Mode::Watch => {
                "q end  ? help  p pause  Tab pane  ↑↓ scroll  / filter  m messages".to_owned()
            }
        };
        self.line(area, &keys, DIM);
    }

    fn help(&mut self, area: Rect) {
        const HELP: [&str; 14] = [
            "q, Ctrl-C      end: what waits is read, outputs are finished",
            "p, space       hold the view; the sensor goes on",
            "Tab            the next pane (▶); Shift-Tab the one before",
            "↑ ↓, j k       scroll the pane by a line, PgUp PgDn by a page",
            "Home End, g G  to the first and the last",
            "/              show servers and findings with a text; Esc shows all",
            "m              messages of the sensor",
            "Ctrl-L         draw anew",
            "Ctrl-Z         stop the sensor until it is told to go on (fg)",
            "",
            "lost           frames that found no room in the ring",
            "ring           blocks in use, of all",
            "conversations  those that have ended; messages are those in them",
            "Servers rank by confidence, governance and use, as in the report.",
        ];
        self.lines(area, HELP.iter().copied());
    }

    fn messages(&mut self, area: Rect) {
        let all: Vec<_> = self.model.messages.iter().flat_map(|text| text.lines()).collect();
        let width = usize::from(area.width).max(1);
        // Wrapped, the latest at the bottom.
        let lines: Vec<String> =
            all.iter().flat_map(|line| wrapped(&printable(line), width)).collect();
        let room = usize::from(area.height);
        let lines = lines.get(lines.len().saturating_sub(room)..).unwrap_or_default();
        match lines {
            [] => self.line(area, "nothing was said", DIM),
            lines => self.lines(area, lines.iter().map(String::as_str)),
        }
    }

    fn lines<'a>(&mut self, mut area: Rect, lines: impl Iterator<Item = &'a str>) {
        for line in lines {
            let place = top(&mut area, 1);
            self.line(place, line, Style::new());
        }
    }

    /// A line of text at the top of an area; cut where there is no room.
    fn line(&mut self, area: Rect, text: &str, style: Style) {
        if area.is_empty() {
            return;
        }
        let text = fit(text, usize::from(area.width));
        self.buffer.set_stringn(area.x, area.y, text, usize::from(area.width), style);
    }
}

fn warning() -> anstyle::Style {
    severity_style(crate::findings::Severity::Medium)
}

/// Pieces of a line that are not wider than that.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in line.chars() {
        let full = pieces.last().is_some_and(|piece| piece.width() >= width);
        if full {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

/// How many bytes came in each second, the latest last.
fn sparkline(rates: &Rates) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = rates.history.iter().copied().max().unwrap_or_default().max(1);
    let level = |bytes: &u64| {
        let level = u128::from(*bytes) * 7 / u128::from(most);
        usize::try_from(level).ok().and_then(|level| LEVELS.get(level)).copied().unwrap_or('█')
    };
    rates.history.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui_core::backend::TestBackend;
    use ratatui_core::terminal::Terminal;

    use super::super::feed::{Event, feed};
    use super::super::keys::Key;
    use super::*;
    use crate::capture::live::{InterfaceCounters, InterfaceStatus};
    use crate::engine::Statistics;
    use crate::findings::escape::is_unprintable;
    use crate::findings::{Governance, Row, Severity, samples};

    fn interface(name: &str, state: InterfaceState, second: u64) -> InterfaceStatus {
        let wave = [3, 9, 27, 40, 31, 12, 4, 1];
        let bytes = (0..second).map(|at| wave[at as usize % wave.len()] * 1_000_000).sum();
        let lost = if name == "eth2" { second.saturating_sub(25) * 40 } else { 0 };
        let counters = InterfaceCounters { frames: bytes / 800, bytes, lost, ..Default::default() };
        InterfaceStatus {
            name: name.to_owned(),
            state,
            counters,
            untimed: None,
            ring_blocks: 64,
            ring_blocks_used: if lost > 0 { 61 } else { 2 },
            offloads: Vec::new(),
        }
    }

    fn rows() -> Vec<Row> {
        let mut portal = samples::conversation();
        portal.http.host = Some("mcp.internal.example:8443".to_owned());
        portal.flow.server = "198.51.100.4:8443".parse().unwrap();
        portal.governance = Governance::KnownUnsanctioned;
        portal.confidence = Confidence::Likely;
        portal.title = "curl/8.5.0 (192.0.2.11) → mcp.internal.example:8443/mcp: 3 messages".into();
        let mut hostile = samples::threat();
        hostile.severity = Severity::High;
        hostile.http.host = Some(samples::HOSTILE.to_owned());
        hostile.title = format!("{} {}", hostile.title, samples::HOSTILE);
        vec![samples::bare(), samples::detection(), portal, samples::conversation(), hostile]
    }

    /// A sensor that has run for half a minute.
    fn model() -> Model {
        let mut model = Model::new("hq-1");
        let (told, fed) = feed();
        rows().iter().for_each(|row| told.finding(row));
        for second in 0..=30 {
            let at = Duration::from_secs(second);
            let mut statistics = Statistics::default();
            statistics.flow.tcp_flows = second * 45;
            statistics.flow.udp_flows = second;
            statistics.decode.packets = second * 4_321;
            model.event(Event::Statistics(Box::new(statistics)), at);
            let all = [("eth1", InterfaceState::Up), ("eth2", InterfaceState::Up)];
            model.interfaces(all.map(|(name, state)| interface(name, state, second)).into(), at);
        }
        fed.waiting().for_each(|event| model.event(event, Duration::ZERO));
        model.messages = vec!["eth2: 40 frames lost\nsee --ring\u{1b}[2J".to_owned()];
        model.refresh(fed.tally(), Duration::from_secs(754));
        model
    }

    fn drawn(model: &mut Model, colour: bool, width: u16, height: u16) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| {
                model.resize(frame.area());
                draw(model, Theme { colour }, frame.buffer_mut());
            })
            .unwrap();
        terminal
    }

    fn text(model: &mut Model, width: u16, height: u16) -> String {
        let terminal = drawn(model, false, width, height);
        let buffer = terminal.backend().buffer();
        let lines = buffer.content.chunks(usize::from(width.max(1)));
        let line = |cells: &[ratatui_core::buffer::Cell]| {
            // The second half of a wide character is an empty cell.
            let mut hidden = 0;
            let mut line = String::new();
            for cell in cells {
                if hidden == 0 {
                    line.push_str(cell.symbol());
                }
                hidden = cell.symbol().width().max(hidden).saturating_sub(1);
            }
            line.trim_end().to_owned()
        };
        lines.map(|cells| line(cells) + "\n").collect()
    }

    #[test]
    fn usual_terminals() {
        assert_golden("80x24.txt", &text(&mut model(), 80, 24));
        assert_golden("140x36.txt", &text(&mut model(), 140, 36));
    }

    #[test]
    fn a_small_terminal_shows_the_pane_with_the_focus() {
        let mut model = model();
        assert_golden("50x10.txt", &text(&mut model, 50, 10));
        model.key(Key::Tab);
        let findings = text(&mut model, 50, 10);
        assert!(
            findings.contains("▶ LATEST FINDINGS") && !findings.contains("SERVERS"),
            "{findings}"
        );
    }

    #[test]
    fn overlays() {
        let mut model = model();
        model.key(Key::Char('?'));
        assert_golden("help.txt", &text(&mut model, 80, 24));
        model.key(Key::Escape);
        model.key(Key::Char('m'));
        let messages = text(&mut model, 80, 24);
        assert!(messages.contains("eth2: 40 frames lost\nsee --ring\\u{1b}[2J\n"), "{messages}");
    }

    #[test]
    fn a_sensor_that_saw_nothing_says_so() {
        let mut model = Model::new("");
        let all = vec![interface("eth1", InterfaceState::Gone, 0)];
        model.interfaces(all, Duration::ZERO);
        model.refresh(Default::default(), Duration::ZERO);
        assert_golden("nothing.txt", &text(&mut model, 80, 24));
        model.key(Key::Char('/'));
        model.key(Key::Char('x'));
        let filtered = text(&mut model, 80, 24);
        assert!(filtered.contains("nothing matches the filter"), "{filtered}");
        assert!(filtered.contains("filter: x▏"), "{filtered}");
    }

    #[test]
    fn pauses_and_the_end_are_told() {
        let mut model = model();
        model.key(Key::Char('p'));
        assert!(text(&mut model, 80, 24).lines().next().unwrap().ends_with("paused  0:12:34"));
        model.key(Key::Char('q'));
        assert!(text(&mut model, 80, 24).lines().next().unwrap().ends_with("ending  0:12:34"));
    }

    #[test]
    fn any_size_and_any_key_do() {
        let keys = [
            Key::Tab,
            Key::End,
            Key::Char('/'),
            Key::Char('日'),
            Key::Enter,
            Key::Down,
            Key::Escape,
            Key::Char('?'),
            Key::Char('m'),
            Key::Char('m'),
            Key::BackTab,
            Key::PageDown,
        ];
        let mut model = model();
        for height in 0..40 {
            for width in [0, 1, 2, 3, 9, 20, 39, 40, 59, 80, 119, 250] {
                model.key(keys[usize::from(height + width) % keys.len()]);
                let picture = text(&mut model, width, height);
                let bad = |c: char| c != '\n' && is_unprintable(c);
                assert!(!picture.contains(bad), "{width}x{height}: {picture:?}");
            }
        }
    }

    #[test]
    fn colours_are_left_out_where_they_are_not_wanted() {
        let colours = |colour| {
            let terminal = drawn(&mut model(), colour, 140, 36);
            let cells = &terminal.backend().buffer().content;
            cells.iter().filter(|cell| cell.fg != Color::Reset).count()
        };
        assert_eq!(colours(false), 0);
        assert!(colours(true) > 0);
    }

    /// Compares with `src/tui/golden/NAME`. With `UPDATE_GOLDEN` set in the
    /// environment, writes it instead: read the difference before committing it.
    #[track_caller]
    fn assert_golden(name: &str, actual: &str) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui/golden");
        let path = folder.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, actual).unwrap();
        }
        assert_eq!(actual, std::fs::read_to_string(&path).unwrap(), "{name}");
    }
}
