//! `mcpwatch sense --tui`: the live view, if it is wanted and where it can be.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use super::args::SenseArgs;
use super::complain;
use crate::capture::live::LiveStatus;
use crate::engine::Statistics;
use crate::findings::Row;
use crate::report::terminal;
use crate::tui::{Feed, Notices, Options, View};

/// Where messages go while a view has the terminal.
static MESSAGES: Mutex<Option<Messages>> = Mutex::new(None);

#[derive(Clone, Debug, Default)]
struct Messages {
    notices: Notices,
    /// Whether they are kept until the view is over: standard error is a terminal too,
    /// and they would be written over the view.
    held: bool,
}

/// Shows a message in the view, if there is one; whether nobody else is to be told.
pub(super) fn takes(message: &str) -> bool {
    let messages = MESSAGES.lock().unwrap_or_else(PoisonError::into_inner);
    messages.as_ref().is_some_and(|messages| {
        messages.notices.add(message);
        messages.held
    })
}

/// Whether a view that is wanted can be had, as far as arguments and streams tell.
pub(super) fn check(args: &SenseArgs) -> Result<(), String> {
    if !args.tui {
        return Ok(());
    }
    let outputs = &args.detection.output;
    if !std::io::stdout().is_terminal() {
        return Err("--tui needs a terminal on standard output".to_owned());
    }
    if outputs.iter().any(|path| path == Path::new("-"))
        || (outputs.is_empty() && args.detection.format.is_some())
    {
        return Err("--tui has standard output: give each --output a name".to_owned());
    }
    Ok(())
}

/// The live view, if there is one.
#[derive(Debug, Default)]
pub(super) struct LiveView {
    view: Option<View>,
    feed: Option<Feed>,
    messages: Messages,
}

impl LiveView {
    /// Opens the view if it is wanted. From here on messages are shown by it.
    pub(super) fn open(
        args: &SenseArgs,
        status: LiveStatus,
        end: Arc<AtomicBool>,
    ) -> Result<Self, String> {
        if !args.tui {
            return Ok(Self::default());
        }
        let options = Options {
            colour: terminal::Options::for_stdout(args.detection.color.into()).colour,
            sensor: args.detection.sensor.clone().unwrap_or_default(),
        };
        let notices = Notices::default();
        let messages = Messages { notices: notices.clone(), held: std::io::stderr().is_terminal() };
        let view = View::open(status, notices, end, &options);
        let view = view.map_err(|error| format!("--tui: {error}"))?;
        set(Some(messages.clone()));
        Ok(Self { feed: Some(view.feed()), view: Some(view), messages })
    }

    /// Shows a finding.
    pub(super) fn finding(&self, row: &Row) {
        self.feed.iter().for_each(|feed| feed.finding(row));
    }

    /// Shows counters.
    pub(super) fn statistics(&self, statistics: &Statistics) {
        self.feed.iter().for_each(|feed| feed.statistics(statistics));
    }

    /// Gives the terminal back, and says what was held back meanwhile.
    pub(super) fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(view) = self.view.take() else { return };
        let closed = view.close();
        set(None);
        if self.messages.held {
            self.messages.notices.take().iter().for_each(|message| complain(message));
        }
        if let Err(error) = closed {
            complain(&format!("--tui: {error}"));
        }
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.end();
    }
}

fn set(messages: Option<Messages>) {
    *MESSAGES.lock().unwrap_or_else(PoisonError::into_inner) = messages;
}
