//! The progress bar: how far, how fast, how much was found.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::capture::Progress;

const KNOWN: &str = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}  {msg}";
const UNKNOWN: &str = "{spinner} {bytes}  {bytes_per_sec}  {msg}";

/// Shows progress on standard error, if that is a terminal and it is wanted.
pub(super) struct Bar {
    bar: ProgressBar,
    progress: Progress,
}

impl Bar {
    pub(super) fn new(progress: Progress, wanted: bool) -> Self {
        let bar = match progress.total() {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        if !wanted || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = if progress.total().is_some() { KNOWN } else { UNKNOWN };
        // The templates are constants; an invalid one leaves the default style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, progress }
    }

    /// Shows where the work is now.
    pub(super) fn update(&self, findings: u64) {
        self.bar.set_position(self.progress.done());
        self.bar.set_message(format!("{findings} findings"));
    }

    /// Takes the bar off the screen.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
