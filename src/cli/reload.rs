//! Reads signatures, keys and policy anew while the sensor runs: when asked, in a
//! thread of its own. What is wrong with the new ones is said, and the old ones
//! stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::log;
use crate::engine::Engine;

type Load = dyn Fn() -> Result<Engine, String> + Send + Sync;

/// Waits to be asked.
pub(super) struct Reload {
    asked: Arc<AtomicBool>,
    load: Arc<Load>,
    loading: Option<JoinHandle<Option<Engine>>>,
}

impl Reload {
    /// Loads by `load` whenever `asked` is set.
    pub(super) fn new(
        asked: Arc<AtomicBool>,
        load: impl Fn() -> Result<Engine, String> + Send + Sync + 'static,
    ) -> Self {
        Self { asked, load: Arc::new(load), loading: None }
    }

    /// What was loaded, once, if something was.
    pub(super) fn poll(&mut self) -> Option<Engine> {
        if let Some(loading) = self.loading.take_if(|loading| loading.is_finished()) {
            // A panic has been told of by itself.
            let loaded = loading.join().ok().flatten();
            if loaded.is_some() {
                log::info("reloaded", "signatures, keys and policy read anew").say();
            }
            return loaded;
        }
        if self.loading.is_none() && self.asked.swap(false, Ordering::Relaxed) {
            let load = Arc::clone(&self.load);
            self.loading = Some(thread::spawn(move || good(load())));
        }
        None
    }
}

fn good(loaded: Result<Engine, String>) -> Option<Engine> {
    let complain = |why| {
        let message = format!("{why}\nthe old signatures, keys and policy stay");
        log::error("reload_failed", message).say();
    };
    loaded.map_err(complain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls until a load under way is over.
    fn settled(reload: &mut Reload) -> Option<Engine> {
        let first = reload.poll();
        while reload.loading.as_ref().is_some_and(|loading| !loading.is_finished()) {
            thread::yield_now();
        }
        first.or_else(|| reload.poll())
    }

    #[test]
    fn loads_when_asked_and_only_then() {
        let (asked, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let ask = Arc::clone(&asked);
        let is_good = Arc::clone(&good);
        let mut reload = Reload::new(asked, move || match is_good.load(Ordering::Relaxed) {
            true => Engine::builder().build().map_err(|report| report.to_string()),
            false => Err("bad".to_owned()),
        });
        assert!(settled(&mut reload).is_none());
        ask.store(true, Ordering::Relaxed);
        assert!(settled(&mut reload).is_some());
        assert!(settled(&mut reload).is_none());
        good.store(false, Ordering::Relaxed);
        ask.store(true, Ordering::Relaxed);
        assert!(settled(&mut reload).is_none());
        assert!(!ask.load(Ordering::Relaxed));
    }
}
