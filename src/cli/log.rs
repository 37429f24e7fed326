//! What a command says on standard error: what happened in, lines for people or
//! for machines out.

use std::io::Write;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::args::LogFormat;
use super::view;
use crate::findings::escape::printable;

/// How lines are written; for people, until something else is asked for.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// From here on lines are written so. The first call counts.
pub(super) fn set_format(format: LogFormat) {
    // A second call comes from nowhere.
    let _ = FORMAT.set(format);
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it is not said yet"]
pub(super) struct Entry {
    level: Level,
    event: &'static str,
    message: String,
    fields: Map<String, Value>,
}

/// Something that is good to know. `event` names what happened, for machines.
pub(super) fn info(event: &'static str, message: impl Into<String>) -> Entry {
    Entry::new(Level::Info, event, message.into())
}

/// Something that is perhaps not as wanted.
pub(super) fn warning(event: &'static str, message: impl Into<String>) -> Entry {
    Entry::new(Level::Warning, event, message.into())
}

/// Something that went wrong.
pub(super) fn error(event: &'static str, message: impl Into<String>) -> Entry {
    Entry::new(Level::Error, event, message.into())
}

impl Entry {
    fn new(level: Level, event: &'static str, message: String) -> Self {
        Self { level, event, message, fields: Map::new() }
    }

    /// The same with a value that the message tells too.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Says it, in the live view if there is one.
    pub(super) fn say(&self) {
        if view::takes(&self.message()) {
            return;
        }
        let line = match FORMAT.get() {
            Some(LogFormat::Json) => self.json(jiff::Timestamp::now()),
            Some(LogFormat::Text) | None => self.text(),
        };
        // Standard error may be closed; there is nowhere else to say so.
        let _ = writeln!(anstream::stderr(), "{line}");
    }

    /// What is said to people.
    pub(super) fn message(&self) -> String {
        // File names, and what came over the wire, are made safe to show.
        let lines: Vec<_> = self.message.lines().map(printable).collect();
        lines.join("\n")
    }

    fn text(&self) -> String {
        format!("mcpwatch: {}", self.message())
    }

    fn json(&self, now: jiff::Timestamp) -> String {
        let mut object = Map::new();
        object.insert("time".to_owned(), format!("{now:.6}").into());
        object.insert("level".to_owned(), self.level.as_str().into());
        object.insert("event".to_owned(), self.event.into());
        object.insert("message".to_owned(), self.message().into());
        if !self.fields.is_empty() {
            object.insert("fields".to_owned(), self.fields.clone().into());
        }
        Value::Object(object).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people_and_for_machines() {
        let entry = warning("frames_lost", "span0: 5 frames\x1b lost\nsee --ring")
            .with("interface", "span0")
            .with("lost", 5);
        assert_eq!(entry.text(), "mcpwatch: span0: 5 frames\\u{1b} lost\nsee --ring");
        let now = jiff::Timestamp::from_second(1_785_232_800).unwrap();
        assert_eq!(
            entry.json(now),
            r#"{"time":"2026-07-28T10:00:00.000000Z","level":"warning","event":"frames_lost","#
                .to_owned()
                + r#""message":"span0: 5 frames\\u{1b} lost\nsee --ring","#
                + r#""fields":{"interface":"span0","lost":5}}"#
        );
    }
}
