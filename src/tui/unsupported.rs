//! Where there are no terminals as Unix knows them. There are no live captures there
//! either, so that nobody gets here.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::screen::Output;

/// No terminal.
#[derive(Clone, Debug)]
pub(super) enum Terminal {}

impl Terminal {
    pub(super) fn take(_end: &Arc<AtomicBool>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn give_back(&self) {
        match *self {}
    }

    pub(super) fn read(&self, _wait: Duration) -> io::Result<Vec<u8>> {
        match *self {}
    }

    pub(super) fn is_asked_to_stop(&self) -> bool {
        match *self {}
    }

    pub(super) fn stop(&self) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn went_on(&self) -> bool {
        match *self {}
    }

    pub(super) fn enter(&self) -> io::Result<()> {
        match *self {}
    }
}

impl Output for Terminal {
    fn show(&mut self, _bytes: &[u8]) -> io::Result<()> {
        match *self {}
    }

    fn size(&self) -> Option<(u16, u16)> {
        match *self {}
    }
}
