//! Signals as flags: the work looks at them when it can.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A flag that is set when the user or the system asks to end.
pub(super) fn end() -> Arc<AtomicBool> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Without a handler the signal ends the process, and whole batches stay
        // readable; that is the only loss.
        let _ = flag::register(signal, Arc::clone(&asked));
    }
    asked
}

/// A flag that is set when the user asks to read signatures and policy anew.
pub(super) fn reload() -> Arc<AtomicBool> {
    let asked = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    {
        // Without a handler the signal ends the process.
        let _ = flag::register(signal_hook::consts::SIGHUP, Arc::clone(&asked));
    }
    asked
}

/// As [`end`], also when the terminal goes away.
pub(super) fn end_or_hangup() -> Arc<AtomicBool> {
    let asked = end();
    #[cfg(unix)]
    {
        let _ = flag::register(signal_hook::consts::SIGHUP, Arc::clone(&asked));
    }
    asked
}
