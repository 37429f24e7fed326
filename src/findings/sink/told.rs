//! What a sink tells beside errors, by handles that outlive it: how many rows it lost,
//! and what is worth saying.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rows that could not be written. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Lost(Arc<AtomicU64>);

impl Lost {
    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, rows: u64) {
        self.0.fetch_add(rows, Ordering::Relaxed);
    }
}

/// Most notices that wait to be told.
const MAX_NOTICES: usize = 16;

/// What is worth saying and no error. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<VecDeque<String>>>);

impl Notices {
    /// What was said since the last call.
    pub fn take(&self) -> Vec<String> {
        self.lock().drain(..).collect()
    }

    pub(super) fn tell(&self, text: String) {
        let mut waiting = self.lock();
        if waiting.len() < MAX_NOTICES {
            waiting.push_back(text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        // Nothing is half done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
