//! The terminal: taken for the view, and given back as it was found.
//!
//! [`Terminal`] is shared by the view's thread, the thread that ends it and the hook
//! of panics. Whichever gives it back first does; nothing is shown after that.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGQUIT, SIGSTOP, SIGTSTP};
use signal_hook::{flag, low_level};

use super::screen::Output;

/// The other screen, empty, without a cursor or wrapping of lines.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J";

/// The screen as it was.
const GIVE_BACK: &[u8] = b"\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How long who gives the terminal back waits for a picture under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// A terminal. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Terminal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Where keys come from, if that is not standard input.
    tty: Option<File>,
    former: Termios,
    taken: Mutex<bool>,
    /// Set by signals.
    stop_asked: Arc<AtomicBool>,
    went_on: Arc<AtomicBool>,
}

impl Terminal {
    /// Takes the terminal. `end` is set by SIGQUIT too: by itself it would end the
    /// program with the terminal as it is.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn take(end: &Arc<AtomicBool>) -> io::Result<Self> {
        let tty = match io::stdin().is_terminal() {
            true => None,
            false => {
                Some(File::options().read(true).write(true).open("/dev/tty").map_err(|error| {
                    let why = format!("no terminal on standard input, and /dev/tty: {error}");
                    io::Error::new(error.kind(), why)
                })?)
            }
        };
        let former = tcgetattr(keyboard(tty.as_ref()))?;
        let shared = Shared {
            tty,
            former,
            taken: Mutex::new(false),
            stop_asked: Arc::new(AtomicBool::new(false)),
            went_on: Arc::new(AtomicBool::new(false)),
        };
        flag::register(SIGQUIT, Arc::clone(end))?;
        flag::register(SIGTSTP, Arc::clone(&shared.stop_asked))?;
        flag::register(SIGCONT, Arc::clone(&shared.went_on))?;
        let terminal = Self(Arc::new(shared));
        terminal.give_back_at_panic();
        terminal.enter()?;
        Ok(terminal)
    }

    /// Gives it back. Whatever goes wrong then cannot be helped.
    pub(super) fn give_back(&self) {
        let Some(mut taken) = self.lock_soon() else {
            // The terminal does not take what it is sent; its modes can be set all the same.
            let _ = self.set(&self.0.former);
            return;
        };
        if std::mem::take(&mut *taken) {
            let _ = write_all(GIVE_BACK);
            let _ = self.set(&self.0.former);
        }
    }

    /// Keys, as bytes: those that wait, or that come in that time.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub(super) fn read(&self, wait: Duration) -> io::Result<Vec<u8>> {
        let keyboard = keyboard(self.0.tty.as_ref());
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        let mut ready = [PollFd::new(&keyboard, PollFlags::IN)];
        match poll(&mut ready, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = vec![0; 256];
        match rustix::io::read(keyboard, &mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                bytes.truncate(len);
                Ok(bytes)
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a signal asked the program to stop until it is told to go on.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.0.stop_asked.swap(false, Ordering::Relaxed)
    }

    /// Stops the program, with the terminal given back, until it is told to go on;
    /// then takes the terminal anew.
    pub(super) fn stop(&self) -> io::Result<()> {
        self.give_back();
        low_level::raise(SIGSTOP)?;
        self.enter()
    }

    /// Whether the program went on after whoever had stopped it: the terminal is to be
    /// taken anew, for somebody may have had it meanwhile.
    pub(super) fn went_on(&self) -> bool {
        self.0.went_on.swap(false, Ordering::Relaxed)
    }

    /// Takes the terminal, also where it is taken already.
    pub(super) fn enter(&self) -> io::Result<()> {
        let mut raw = self.0.former.clone();
        raw.make_raw();
        let mut taken = self.lock();
        *taken = true;
        self.set(&raw)?;
        write_all(TAKE)
    }

    fn give_back_at_panic(&self) {
        let before = std::panic::take_hook();
        let terminal = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            terminal.give_back();
            before(panic);
        }));
    }

    fn set(&self, modes: &Termios) -> rustix::io::Result<()> {
        tcsetattr(keyboard(self.0.tty.as_ref()), OptionalActions::Now, modes)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_soon(&self) -> Option<MutexGuard<'_, bool>> {
        const STEP: Duration = Duration::from_millis(10);
        for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
            match self.0.taken.try_lock() {
                Ok(taken) => return Some(taken),
                Err(TryLockError::Poisoned(taken)) => return Some(taken.into_inner()),
                Err(TryLockError::WouldBlock) => thread::sleep(STEP),
            }
        }
        None
    }
}

impl Output for Terminal {
    fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Held while it is written: nobody gives back the terminal within a picture.
        let taken = self.lock();
        if !*taken {
            return Err(io::Error::other("the terminal was given back"));
        }
        write_all(bytes)
    }

    fn size(&self) -> Option<(u16, u16)> {
        let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
        Some((size.ws_col, size.ws_row))
    }
}

/// Writes past the buffer of standard output, which others may hold.
fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn keyboard(tty: Option<&File>) -> BorrowedFd<'_> {
    match tty {
        Some(tty) => tty.as_fd(),
        None => rustix::stdio::stdin(),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Set in the process that panics.
    const PANIC: &str = "MCPWATCH_TEST_PANIC";

    #[test]
    fn a_panic_gives_it_back() {
        if std::env::var_os(PANIC).is_some() {
            let mut terminal = Terminal::take(&Arc::default()).unwrap();
            terminal.show(b"a picture").unwrap();
            assert!(thread::spawn(|| panic!("a panic")).join().is_err());
            assert!(terminal.show(b"another picture").is_err());
            return;
        }
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = File::options().read(true).write(true).open(name).unwrap();
        let stream = || Stdio::from(OwnedFd::from(theirs.try_clone().unwrap()));
        let modes = || format!("{:?}", tcgetattr(&theirs).unwrap());
        let former = modes();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tui::terminal::tests::a_panic_gives_it_back", "--nocapture"])
            .env(PANIC, "1")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(modes(), former);
        let mut written = vec![0; 1 << 16];
        let len = File::from(ours).read(&mut written).unwrap();
        let written = String::from_utf8_lossy(&written[..len]).into_owned();
        let [take, give_back] = [TAKE, GIVE_BACK].map(|it| std::str::from_utf8(it).unwrap());
        let places = [take, "a picture", give_back, "a panic"].map(|text| written.find(text));
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{written:?}");
        assert!(!written.contains("another picture"), "{written:?}");
    }
}
