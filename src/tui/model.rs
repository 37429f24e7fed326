//! What is shown: events, the state of interfaces and keys in, lines to draw out.
//! Everything here is bounded, and nothing looks at a clock.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui_core::layout::Rect;

use super::feed::{Event, Tally};
use super::keys::Key;
use super::layout::Areas;
use super::rates::{Rates, per_second};
use crate::capture::live::InterfaceStatus;
use crate::engine::Statistics;
use crate::findings::escape::printable;
use crate::findings::{Confidence, Governance, Kind, Row, Severity};
use crate::report::table::fit;
use crate::report::words::{day_and_time, headline};
use crate::report::{Inventory, Limits, Report, Server};

/// Findings that are kept, the latest.
const LATEST: usize = 500;

/// Servers that are kept; when there are more, the better half stays.
const SERVERS: usize = 512;

/// Cells of a text from the wire that are kept.
const LONGEST: usize = 250;

/// Longest filter, in characters.
const LONGEST_FILTER: usize = 60;

/// The parts that can be scrolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    Interfaces,
    #[default]
    Servers,
    Findings,
}

impl Pane {
    /// From top to bottom.
    pub(super) const ALL: [Self; 3] = [Self::Interfaces, Self::Servers, Self::Findings];

    fn moved(self, by: usize) -> Self {
        let at = (self as usize + by) % Self::ALL.len();
        Self::ALL.get(at).copied().unwrap_or(self)
    }
}

/// What the keys mean at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Watch,
    /// A filter is being typed.
    Filter,
    /// Help lies over the panes.
    Help,
    /// All messages lie over the panes.
    Messages,
}

/// What a key asks of the view's surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    End,
    Suspend,
    Redraw,
}

/// A finding to be listed; all text is printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) time: String,
    pub(super) kind: Kind,
    pub(super) confidence: Confidence,
    pub(super) severity: Severity,
    pub(super) governance: Governance,
    pub(super) title: String,
}

impl Finding {
    fn of(row: &Row) -> Self {
        // A conversation is told of when it is over.
        let time = if row.kind == Kind::Conversation { row.end_time } else { row.time };
        Self {
            time: day_and_time(time).1,
            kind: row.kind,
            confidence: row.confidence,
            severity: row.severity,
            governance: row.governance,
            title: kept(&row.title),
        }
    }
}

/// Text from the wire, made safe to show and not longer than is kept.
fn kept(text: &str) -> String {
    // An escaped character takes more room than before, never less.
    let text: String = text.chars().take(LONGEST).collect();
    fit(&printable(&text), LONGEST)
}

/// What is drawn, as it was when the view was last refreshed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) uptime: Duration,
    pub(super) interfaces: Vec<Rates>,
    pub(super) headline: String,
    pub(super) servers: Vec<Server>,
    /// The latest first.
    pub(super) findings: Vec<Finding>,
    pub(super) tally: Tally,
    pub(super) statistics: Statistics,
    pub(super) new_flows: u64,
}

/// The state of the view.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// The sensor's name, if it has one.
    pub(super) sensor: String,
    pub(super) shown: Shown,
    pub(super) focus: Pane,
    pub(super) mode: Mode,
    pub(super) filter: String,
    pub(super) paused: bool,
    pub(super) ending: bool,
    pub(super) messages: Vec<String>,
    pub(super) areas: Areas,
    scrolled: [usize; Pane::ALL.len()],
    interfaces: Vec<Rates>,
    inventory: Inventory,
    /// Whether servers or findings came since they were last shown.
    fresh: bool,
    latest: VecDeque<Finding>,
    statistics: Statistics,
    flows: Option<(Duration, u64)>,
    new_flows: u64,
}

impl Model {
    pub(super) fn new(sensor: &str) -> Self {
        let limits = Limits { servers: SERVERS, clients: 0, tools: 0, threats: 0, names: 8 };
        Self { sensor: kept(sensor), inventory: Inventory::new(limits), ..Self::default() }
    }

    /// Takes in what the sensor tells.
    pub(super) fn event(&mut self, event: Event, at: Duration) {
        match event {
            Event::Finding(row) => self.finding(&row),
            Event::Statistics(statistics) => self.counters(*statistics, at),
        }
    }

    fn finding(&mut self, row: &Row) {
        self.fresh = true;
        self.inventory.add(row);
        if self.inventory.is_full() {
            self.inventory.keep_best(SERVERS / 2);
        }
        if self.latest.len() >= LATEST {
            self.latest.pop_back();
        }
        self.latest.push_front(Finding::of(row));
    }

    fn counters(&mut self, statistics: Statistics, at: Duration) {
        let opened = statistics.flow.tcp_flows.saturating_add(statistics.flow.udp_flows);
        if let Some((since, before)) = self.flows {
            self.new_flows = per_second(before, opened, at.saturating_sub(since));
        }
        self.flows = Some((at, opened));
        self.statistics = statistics;
    }

    /// Takes in how the interfaces fare.
    pub(super) fn interfaces(&mut self, all: Vec<InterfaceStatus>, at: Duration) {
        self.interfaces.resize_with(all.len(), Rates::default);
        for (rates, status) in self.interfaces.iter_mut().zip(all) {
            rates.update(status, at);
        }
    }

    /// Shows everything as it stands, unless the view is paused.
    pub(super) fn refresh(&mut self, tally: Tally, at: Duration) {
        if self.paused {
            return;
        }
        self.shown.uptime = at;
        self.shown.interfaces.clone_from(&self.interfaces);
        self.shown.tally = tally;
        self.shown.statistics = self.statistics.clone();
        self.shown.new_flows = self.new_flows;
        if std::mem::take(&mut self.fresh) || self.shown.headline.is_empty() {
            let report = Report { captures: Default::default(), ..self.inventory.report() };
            self.shown.headline = headline(&report);
            self.shown.servers = report.servers;
            self.shown.findings = self.latest.iter().cloned().collect();
        }
    }

    /// The view has this area.
    pub(super) fn resize(&mut self, area: Rect) {
        self.areas = Areas::of(area, self.shown.interfaces.len(), self.focus);
    }

    /// Servers that the filter lets through.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Server> {
        let filter = self.filter.to_lowercase();
        self.shown.servers.iter().filter(move |server| {
            let words = [server.confidence.as_str(), server.governance.as_str()];
            let names = server.clients.names.iter().chain(&server.addresses.names);
            let names = names.map(String::as_str).chain(words).chain([server.name.as_str()]);
            passes(&filter, names)
        })
    }

    /// Findings that the filter lets through.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        let filter = self.filter.to_lowercase();
        self.shown.findings.iter().filter(move |finding| {
            let Finding { kind, confidence, governance, title, .. } = finding;
            let words = [kind.as_str(), confidence.as_str(), governance.as_str(), title.as_str()];
            passes(&filter, words.into_iter())
        })
    }

    /// Rows of a pane.
    pub(super) fn len(&self, pane: Pane) -> usize {
        match pane {
            Pane::Interfaces => self.shown.interfaces.len(),
            Pane::Servers => self.servers().count(),
            Pane::Findings => self.findings().count(),
        }
    }

    /// The first row of a pane that is shown: never so far down that there would be
    /// room below the last.
    pub(super) fn first(&self, pane: Pane) -> usize {
        let scrolled = self.scrolled.get(pane as usize).copied().unwrap_or_default();
        scrolled.min(self.len(pane).saturating_sub(self.areas.rows(pane)))
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: Key) -> Asked {
        match (key, self.mode) {
            (Key::Control('c'), _) => return self.end(),
            (Key::Control('z'), _) => return Asked::Suspend,
            (Key::Control('l'), _) => return Asked::Redraw,
            (key, Mode::Filter) => self.type_filter(key),
            (Key::Char('q'), Mode::Watch) => return self.end(),
            (key, Mode::Watch) => self.command(key),
            (_, Mode::Help | Mode::Messages) => self.mode = Mode::Watch,
        }
        Asked::Nothing
    }

    fn end(&mut self) -> Asked {
        self.ending = true;
        Asked::End
    }

    fn command(&mut self, key: Key) {
        let page = self.areas.rows(self.focus).max(1);
        let at = self.first(self.focus);
        match key {
            Key::Char('p' | ' ') => self.paused = !self.paused,
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Char('m') => self.mode = Mode::Messages,
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Escape => self.filter.clear(),
            Key::Tab => self.focus = self.focus.moved(1),
            Key::BackTab => self.focus = self.focus.moved(Pane::ALL.len() - 1),
            Key::Up | Key::Char('k') => self.scroll(at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.scroll(at.saturating_add(1)),
            Key::PageUp => self.scroll(at.saturating_sub(page)),
            Key::PageDown => self.scroll(at.saturating_add(page)),
            Key::Home | Key::Char('g') => self.scroll(0),
            Key::End | Key::Char('G') => self.scroll(usize::MAX),
            _ => {}
        }
    }

    fn scroll(&mut self, to: usize) {
        let pane = self.focus;
        if let Some(scrolled) = self.scrolled.get_mut(pane as usize) {
            *scrolled = to;
        }
        // What lies beyond the end is not remembered: the next key counts.
        let first = self.first(pane);
        if let Some(scrolled) = self.scrolled.get_mut(pane as usize) {
            *scrolled = first;
        }
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Enter | Key::Tab | Key::BackTab => self.mode = Mode::Watch,
            Key::Escape => {
                self.filter.clear();
                self.mode = Mode::Watch;
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Control('u') => self.filter.clear(),
            Key::Char(c) if self.filter.chars().count() < LONGEST_FILTER => self.filter.push(c),
            _ => {}
        }
    }
}

fn passes<'a>(filter: &str, mut words: impl Iterator<Item = &'a str>) -> bool {
    filter.is_empty() || words.any(|word| word.to_lowercase().contains(filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::samples;

    fn model() -> Model {
        let mut model = Model::new("");
        model.resize(Rect::new(0, 0, 80, 24));
        model
    }

    fn feed(model: &mut Model, row: Row) {
        model.event(Event::Finding(Box::new(row)), Duration::ZERO);
    }

    fn numbered(n: usize, confidence: Confidence) -> Row {
        let mut row = samples::detection();
        row.http.host = Some(format!("host-{n}.example"));
        row.title = format!("finding {n}");
        row.confidence = confidence;
        row
    }

    #[test]
    fn the_latest_come_first_and_the_list_is_bounded() {
        let mut model = model();
        (0..LATEST + 5).for_each(|n| feed(&mut model, numbered(n, Confidence::Likely)));
        model.refresh(Tally::default(), Duration::ZERO);
        assert_eq!(model.len(Pane::Findings), LATEST);
        assert_eq!(model.findings().next().unwrap().title, format!("finding {}", LATEST + 4));
    }

    #[test]
    fn a_flood_of_servers_does_not_crowd_out_the_certain_ones() {
        let mut model = model();
        (0..SERVERS * 3).for_each(|n| feed(&mut model, numbered(n, Confidence::Possible)));
        let late = SERVERS * 3;
        feed(&mut model, numbered(late, Confidence::Confirmed));
        (late + 1..late * 2).for_each(|n| feed(&mut model, numbered(n, Confidence::Possible)));
        model.refresh(Tally::default(), Duration::ZERO);
        assert!(model.len(Pane::Servers) <= SERVERS);
        assert_eq!(model.servers().next().unwrap().name, format!("host-{late}.example"));
        assert!(model.shown.headline.starts_with("1 MCP server confirmed, "));
    }

    #[test]
    fn a_pause_holds_what_is_shown() {
        let mut model = model();
        feed(&mut model, numbered(1, Confidence::Likely));
        model.refresh(Tally::default(), Duration::ZERO);
        model.key(Key::Char('p'));
        feed(&mut model, numbered(2, Confidence::Likely));
        model.refresh(Tally::default(), Duration::from_secs(9));
        assert_eq!((model.len(Pane::Findings), model.shown.uptime), (1, Duration::ZERO));
        model.key(Key::Char(' '));
        model.refresh(Tally::default(), Duration::from_secs(10));
        assert_eq!((model.len(Pane::Findings), model.len(Pane::Servers)), (2, 2));
    }

    #[test]
    fn panes_scroll_as_far_as_there_is_something() {
        let mut model = model();
        (0..20).for_each(|n| feed(&mut model, numbered(n, Confidence::Likely)));
        model.refresh(Tally::default(), Duration::ZERO);
        model.key(Key::Tab);
        assert_eq!(model.focus, Pane::Findings);
        for (key, first) in [
            (Key::Up, 0),
            (Key::Down, 1),
            (Key::Char('j'), 2),
            (Key::Char('k'), 1),
            (Key::PageDown, 7),
            (Key::End, 14),
            (Key::Down, 14),
            (Key::Up, 13),
            (Key::PageUp, 7),
            (Key::Char('G'), 14),
            (Key::Home, 0),
        ] {
            model.key(key);
            assert_eq!(model.first(Pane::Findings), first, "{key:?}");
        }
        assert_eq!(model.first(Pane::Servers), 0);
        model.key(Key::End);
        model.resize(Rect::new(0, 0, 80, 60));
        assert_eq!(model.first(Pane::Findings), 0, "a larger terminal shows all");
    }

    #[test]
    fn filters_are_typed() {
        let mut model = model();
        (0..20).for_each(|n| feed(&mut model, numbered(n, Confidence::Likely)));
        model.refresh(Tally::default(), Duration::ZERO);
        model.key(Key::Char('/'));
        for c in "HOST-1x".chars() {
            assert_eq!(model.key(Key::Char(c)), Asked::Nothing);
        }
        assert_eq!(model.len(Pane::Servers), 0);
        model.key(Key::Backspace);
        assert_eq!(model.len(Pane::Servers), 11);
        model.key(Key::Enter);
        assert_eq!((model.mode, model.filter.as_str()), (Mode::Watch, "HOST-1"));
        model.key(Key::Escape);
        assert_eq!(model.len(Pane::Servers), 20);
        model.key(Key::Char('/'));
        for _ in 0..1_000 {
            model.key(Key::Char('é'));
        }
        assert_eq!(model.filter.chars().count(), LONGEST_FILTER);
    }

    #[test]
    fn keys_ask_for_the_end() {
        assert_eq!(model().key(Key::Char('q')), Asked::End);
        for key in ['?', 'm', '/', 'p'] {
            let mut model = model();
            model.key(Key::Char(key));
            assert_eq!(model.key(Key::Control('c')), Asked::End);
            assert!(model.ending);
        }
        let mut help = model();
        help.key(Key::Char('?'));
        assert_eq!((help.key(Key::Char('q')), help.mode), (Asked::Nothing, Mode::Watch));
        assert_eq!(help.key(Key::Control('z')), Asked::Suspend);
    }

    #[test]
    fn text_from_the_wire_is_printable_and_bounded() {
        let mut row = samples::threat();
        row.title = samples::HOSTILE.repeat(100);
        let finding = Finding::of(&row);
        assert_eq!(printable(&finding.title), finding.title);
        assert!(finding.title.chars().count() <= LONGEST);
    }

    #[test]
    fn flows_have_a_rate() {
        let mut model = model();
        let counted = |tcp_flows| {
            let mut statistics = Statistics::default();
            statistics.flow.tcp_flows = tcp_flows;
            Event::Statistics(Box::new(statistics))
        };
        model.event(counted(100), Duration::from_secs(1));
        model.event(counted(300), Duration::from_secs(3));
        model.refresh(Tally::default(), Duration::from_secs(3));
        assert_eq!(model.shown.new_flows, 100);
    }
}
