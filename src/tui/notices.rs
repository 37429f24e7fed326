//! What the program has to say while the view has the terminal.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages that are kept.
const KEPT: usize = 100;

/// Longest message that is kept, in characters.
const LONGEST: usize = 2_000;

/// Messages, the latest last. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    messages: VecDeque<String>,
    dropped: u64,
}

impl Notices {
    /// Takes a message; the earliest makes way for it.
    pub(crate) fn add(&self, message: &str) {
        let mut kept = self.lock();
        if kept.messages.len() >= KEPT {
            kept.messages.pop_front();
            kept.dropped += 1;
        }
        kept.messages.push_back(message.chars().take(LONGEST).collect());
    }

    /// The messages that are kept.
    pub(super) fn all(&self) -> Vec<String> {
        self.lock().messages.iter().cloned().collect()
    }

    /// Takes all messages out; says how many were dropped.
    pub(crate) fn take(&self) -> Vec<String> {
        let Kept { messages, dropped } = std::mem::take(&mut *self.lock());
        let before = (dropped > 0).then(|| format!("{dropped} earlier messages are left out"));
        before.into_iter().chain(messages).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Messages are whole after a panic too.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_the_others_counted() {
        let notices = Notices::default();
        (0..KEPT + 3).for_each(|n| notices.add(&format!("message {n}")));
        assert_eq!(notices.all().len(), KEPT);
        let taken = notices.take();
        assert_eq!(taken[0], "3 earlier messages are left out");
        assert_eq!(taken[1], "message 3");
        assert_eq!(taken.last().unwrap(), &format!("message {}", KEPT + 2));
        assert!(notices.take().is_empty());
    }

    #[test]
    fn long_messages_are_cut() {
        let notices = Notices::default();
        notices.add(&"é".repeat(LONGEST * 2));
        assert_eq!(notices.all()[0].chars().count(), LONGEST);
    }
}
