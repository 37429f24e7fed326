//! Wakes a capture that waits for frames, from another thread.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::LiveError;

/// A pair of sockets: a byte in one wakes whoever polls the other.
#[derive(Debug)]
pub(super) struct Bell {
    rung: Arc<UnixStream>,
    heard: UnixStream,
}

impl Bell {
    /// A bell for the capture from the interface of that name.
    pub(super) fn new(name: &str) -> Result<Self, LiveError> {
        let pair = || -> io::Result<Self> {
            let (rung, heard) = UnixStream::pair()?;
            rung.set_nonblocking(true)?;
            heard.set_nonblocking(true)?;
            Ok(Self { rung: Arc::new(rung), heard })
        };
        let step = "making what wakes a worker";
        pair().map_err(|error| LiveError::System { name: name.to_owned(), step, error })
    }

    /// What rings it.
    pub(super) fn waker(&self) -> Box<dyn Fn() + Send> {
        let rung = Arc::clone(&self.rung);
        // Where there is no room for another byte, there are enough to be heard.
        Box::new(move || drop((&*rung).write(&[1])))
    }

    /// Whether it was rung since the last call.
    pub(super) fn hush(&self) -> bool {
        let mut bytes = [0; 256];
        let mut rung = false;
        while (&self.heard).read(&mut bytes).is_ok_and(|read| read > 0) {
            rung = true;
        }
        rung
    }
}

impl AsFd for Bell {
    /// Readable once it was rung.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_heard_once_however_often_it_was_rung() {
        let bell = Bell::new("test0").unwrap();
        assert!(!bell.hush());
        let ring = bell.waker();
        (0..100_000).for_each(|_| ring());
        assert!(bell.hush());
        assert!(!bell.hush());
        ring();
        assert!(bell.hush());
    }
}
