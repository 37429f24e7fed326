//! A terminal: a pseudo-terminal that `mcpwatch` runs on, and a screen that shows what
//! it writes there.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::run::mcpwatch;

/// A terminal of 80 columns and 24 lines, and the program that runs on it.
pub(crate) struct Terminal {
    program: File,
    ours: File,
    former: String,
    child: Child,
    pub(crate) screen: Screen,
}

/// How a program left its terminal.
pub(crate) struct Left {
    pub(crate) code: Option<i32>,
    pub(crate) screen: Screen,
}

impl Terminal {
    /// Starts `mcpwatch` with the words of `line`, its three streams on a terminal.
    pub(crate) fn start(line: &str) -> Self {
        Self::start_with(line, &[])
    }

    /// As [`Terminal::start`], with these variables in the environment.
    pub(crate) fn start_with(line: &str, variables: &[(&str, &str)]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let program = File::options().read(true).write(true).open(name).unwrap();
        let stream = || Stdio::from(OwnedFd::from(program.try_clone().unwrap()));
        let child = mcpwatch(line.split_whitespace())
            .envs(variables.iter().copied())
            .env("TERM", "xterm-256color")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn();
        let (former, child) = (modes(&program), child.unwrap());
        let terminal =
            Self { program, ours: File::from(ours), former, child, screen: Screen::default() };
        terminal.resize(80, 24);
        terminal
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        let size = Winsize { ws_col: columns, ws_row: lines, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.ours, size).unwrap();
    }

    /// Types.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits until the screen shows something.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |terminal| terminal.screen.text().contains(text));
    }

    /// Waits until the terminal is as is said.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        while !is(self) {
            let ended = self.child.try_wait().unwrap();
            let nothing_more = !self.read();
            assert!(
                ended.is_none() || !nothing_more,
                "'{what}' never came:\n{}",
                self.screen.text()
            );
        }
    }

    /// Whether keys go to the program as they are typed, and are not shown.
    pub(crate) fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.program).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Whether the terminal is as it was before the program started.
    pub(crate) fn is_as_before(&self) -> bool {
        modes(&self.program) == self.former && self.screen.is_usual()
    }

    /// Whether the program is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        let path = format!("/proc/{}/stat", self.child.id());
        let line = std::fs::read_to_string(path).unwrap();
        line.rsplit(") ").next().unwrap().starts_with('T')
    }

    /// Waits for the end of the program, which must leave the terminal as it was.
    #[track_caller]
    pub(crate) fn end(mut self) -> Left {
        let code = loop {
            let ended = self.child.try_wait().unwrap();
            let came = self.read();
            if let (Some(status), false) = (ended, came) {
                break status.code();
            }
        };
        assert_eq!(modes(&self.program), self.former);
        assert!(self.screen.is_usual(), "{:?}", self.screen);
        Left { code, screen: self.screen }
    }

    /// Takes the terminal away from the program, and waits for its end.
    pub(crate) fn hang_up(self) -> Option<i32> {
        let Self { program, ours, mut child, .. } = self;
        drop((program, ours));
        child.wait().unwrap().code()
    }

    /// Reads what comes within a moment; whether something did.
    fn read(&mut self) -> bool {
        let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let mut ready = [PollFd::new(&self.ours, PollFlags::IN)];
        if poll(&mut ready, Some(&wait)).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        let len = self.ours.read(&mut bytes).unwrap();
        self.screen.write(&bytes[..len]);
        len > 0
    }
}

fn modes(program: &File) -> String {
    format!("{:?}", tcgetattr(program).unwrap())
}

/// What a terminal shows: as much of one as `mcpwatch` makes use of.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    lines: Vec<Vec<char>>,
    /// The lines that the other screen covers.
    covered: Vec<Vec<char>>,
    line: usize,
    column: usize,
    other: bool,
    cursor_hidden: bool,
    wraps_not: bool,
    /// How often the other screen was chosen.
    pub(crate) visits: u32,
    /// Whether any colour was ever set.
    pub(crate) coloured: bool,
    /// An escape sequence or character that has not ended.
    begun: Vec<u8>,
}

impl Screen {
    /// The lines, without what is empty at their ends.
    pub(crate) fn text(&self) -> String {
        let line = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned();
        self.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Whether the other screen is shown.
    pub(crate) fn is_other(&self) -> bool {
        self.other
    }

    fn is_usual(&self) -> bool {
        !self.other && !self.cursor_hidden && !self.wraps_not
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.begun.push(*byte);
            match *self.begun {
                [0x1b] | [0x1b, b'['] => {}
                [0x1b, b'[', .., last @ 0x40..=0x7e] => {
                    let begun = std::mem::take(&mut self.begun);
                    let parameters = std::str::from_utf8(&begun[2..begun.len() - 1]).unwrap();
                    self.control(parameters, last);
                }
                [0x1b, b'[', ..] => {}
                [0x1b, ..] => panic!("{:?}", self.begun),
                _ => {
                    if let Ok(text) = std::str::from_utf8(&self.begun) {
                        let c = text.chars().next().unwrap();
                        self.begun.clear();
                        self.put(c);
                    }
                }
            }
        }
    }

    fn put(&mut self, c: char) {
        match c {
            '\r' => self.column = 0,
            '\n' => self.line += 1,
            c => {
                assert!(!c.is_control(), "{c:?} was sent");
                self.lines.resize(self.lines.len().max(self.line + 1), Vec::new());
                let line = &mut self.lines[self.line];
                line.resize(line.len().max(self.column + 1), ' ');
                line[self.column] = c;
                self.column += 1;
            }
        }
    }

    fn control(&mut self, parameters: &str, last: u8) {
        match (parameters, last) {
            ("?1049", b'h') if !self.other => {
                self.other = true;
                self.visits += 1;
                self.covered = std::mem::take(&mut self.lines);
            }
            ("?1049", b'l') if self.other => {
                self.other = false;
                self.lines = std::mem::take(&mut self.covered);
                (self.line, self.column) = (self.lines.len(), 0);
            }
            ("?1049", _) => {}
            ("?25", _) => self.cursor_hidden = last == b'l',
            ("?7", _) => self.wraps_not = last == b'l',
            ("2", b'J') => self.lines.clear(),
            (place, b'H') => {
                let (line, column) = place.split_once(';').unwrap();
                self.line = line.parse::<usize>().unwrap() - 1;
                self.column = column.parse::<usize>().unwrap() - 1;
            }
            (styles, b'm') => {
                self.coloured |= styles.split(';').any(|style| style.starts_with(['3', '9']));
            }
            other => panic!("{other:?} is not known"),
        }
    }
}
