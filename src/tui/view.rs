//! The view's thread: keys, findings and the state of interfaces in, pictures out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::draw::{Theme, draw};
use super::feed::{Fed, Feed, feed};
use super::keys::{Key, Keys};
use super::model::{Asked, Model};
use super::notices::Notices;
use super::screen::Screen;
#[cfg(unix)]
use super::terminal::Terminal;
#[cfg(not(unix))]
use super::unsupported::Terminal;
use crate::capture::live::LiveStatus;

/// How long the thread waits for a key; anything else that happens is seen then.
const TICK: Duration = Duration::from_millis(100);

/// Time between two looks at findings and interfaces.
const REFRESH: Duration = Duration::from_millis(250);

/// How long the end waits for a picture under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the view looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Whether there are colours.
    pub(crate) colour: bool,
    /// The sensor's name, if it has one.
    pub(crate) sensor: String,
}

/// A view of a running sensor. Dropped, it gives the terminal back.
#[derive(Debug)]
pub(crate) struct View {
    feed: Feed,
    terminal: Terminal,
    closing: Arc<AtomicBool>,
    ended: Receiver<io::Result<()>>,
}

impl View {
    /// Takes the terminal and shows how the interfaces of `status` fare, and what
    /// `notices` say. Sets `end` when the user wants the sensor to end, or the
    /// terminal goes away.
    ///
    /// # Errors
    /// If there is no terminal.
    pub(crate) fn open(
        status: LiveStatus,
        notices: Notices,
        end: Arc<AtomicBool>,
        options: &Options,
    ) -> io::Result<Self> {
        let terminal = Terminal::take(&end)?;
        let (feed, fed) = feed();
        let closing = Arc::new(AtomicBool::new(false));
        let (sender, ended) = crossbeam_channel::bounded(1);
        // From here on the terminal is given back whatever happens.
        let view = Self { feed, terminal: terminal.clone(), closing: Arc::clone(&closing), ended };
        let screen = ratatui_core::terminal::Terminal::new(Screen::new(terminal.clone()))?;
        let mut painter = Painter {
            terminal,
            screen,
            fed,
            status,
            notices,
            end,
            closing,
            started: Instant::now(),
            refreshed: None,
            model: Model::new(&options.sensor),
            theme: Theme { colour: options.colour },
            keys: Keys::default(),
        };
        thread::Builder::new().name("view".to_owned()).spawn(move || {
            let ended = painter.run();
            if ended.is_err() {
                // Nobody can see or end the sensor any more.
                painter.end.store(true, Ordering::Relaxed);
            }
            // Where a picture held up whoever wanted to, it is done now.
            painter.terminal.give_back();
            // Who does not wait does not care.
            let _ = sender.send(ended);
        })?;
        Ok(view)
    }

    /// Where findings and counters are to be told.
    pub(crate) fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Ends the view and gives the terminal back.
    ///
    /// # Errors
    /// If the view had ended before, as when the terminal went away.
    pub(crate) fn close(self) -> io::Result<()> {
        self.closing.store(true, Ordering::Relaxed);
        // A terminal that takes nothing must not hold up the end.
        self.ended.recv_timeout(PATIENCE).unwrap_or(Ok(()))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.terminal.give_back();
    }
}

/// What the thread works with.
struct Painter {
    terminal: Terminal,
    screen: ratatui_core::terminal::Terminal<Screen<Terminal>>,
    fed: Fed,
    status: LiveStatus,
    notices: Notices,
    end: Arc<AtomicBool>,
    closing: Arc<AtomicBool>,
    started: Instant,
    refreshed: Option<Instant>,
    model: Model,
    theme: Theme,
    keys: Keys,
}

impl Painter {
    fn run(&mut self) -> io::Result<()> {
        while !self.closing.load(Ordering::Relaxed) {
            let refreshed = self.refresh();
            let keys = self.wait()?;
            let came = !keys.is_empty();
            for key in keys {
                self.key(key)?;
            }
            if self.terminal.is_asked_to_stop() {
                self.stop()?;
            }
            if self.terminal.went_on() {
                self.terminal.enter()?;
                self.screen.clear()?;
            }
            if came || refreshed {
                self.draw()?;
            }
        }
        Ok(())
    }

    /// Keys that came; what comes together is answered with one picture.
    fn wait(&mut self) -> io::Result<Vec<Key>> {
        let bytes = self.terminal.read(TICK)?;
        if bytes.is_empty() {
            return Ok(self.keys.settle().into_iter().collect());
        }
        Ok(self.keys.read(&bytes))
    }

    fn key(&mut self, key: Key) -> io::Result<()> {
        match self.model.key(key) {
            Asked::Nothing => {}
            Asked::End => self.end.store(true, Ordering::Relaxed),
            Asked::Suspend => self.stop()?,
            Asked::Redraw => self.screen.clear()?,
        }
        Ok(())
    }

    fn stop(&mut self) -> io::Result<()> {
        self.terminal.stop()?;
        self.screen.clear()
    }

    /// Takes in what happened, if it is time.
    fn refresh(&mut self) -> bool {
        if self.refreshed.is_some_and(|at| at.elapsed() < REFRESH) {
            return false;
        }
        self.refreshed = Some(Instant::now());
        let at = self.started.elapsed();
        for event in self.fed.waiting() {
            self.model.event(event, at);
        }
        self.model.interfaces(self.status.interfaces(), at);
        self.model.messages = self.notices.all();
        self.model.ending = self.end.load(Ordering::Relaxed);
        self.model.refresh(self.fed.tally(), at);
        true
    }

    fn draw(&mut self) -> io::Result<()> {
        let (model, theme) = (&mut self.model, self.theme);
        self.screen.draw(|frame| {
            model.resize(frame.area());
            draw(model, theme, frame.buffer_mut());
        })?;
        Ok(())
    }
}
