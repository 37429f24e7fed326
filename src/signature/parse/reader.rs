//! Reads TOML values of expected types and notes what is not as expected.

use std::collections::HashSet;
use std::ops::Range;

use serde_spanned::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::article;
use super::keys::{self, Keys};
use crate::signature::date::Date;
use crate::signature::diagnostic::{Collector, Diagnostic, Location, Source, suggestion};
use crate::signature::field::Field;

/// Values of a file, with the problems found so far.
pub(super) struct Reader<'s> {
    collector: Collector<'s>,
    /// Lines with syntax errors: what else is odd there follows from them.
    broken_lines: HashSet<usize>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { collector: Collector::new(source), broken_lines: HashSet::new() }
    }

    pub(super) fn finish(self) -> Vec<Diagnostic> {
        self.collector.finish()
    }

    pub(super) fn location(&self, span: Range<usize>) -> Location {
        self.collector.source().location(span)
    }

    /// The text of a span, as written.
    pub(super) fn written(&self, span: Range<usize>) -> &'s str {
        self.collector.source().text().get(span).unwrap_or_default()
    }

    pub(super) fn syntax_error(&mut self, span: Range<usize>, message: &str) {
        self.broken_lines.insert(self.collector.source().line(span.start));
        self.collector.error("syntax", span, message);
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) {
        self.error_with_help(code, span, message, None);
    }

    pub(super) fn error_with_help(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let line = self.collector.source().line(span.start);
        if !self.broken_lines.contains(&line) {
            self.collector.error_with_help(code, span, message, help);
        }
    }

    /// Notes that something required is not there. A file with syntax errors may
    /// well hold it in a part that could not be read.
    pub(super) fn missing<T: Default>(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> T {
        if self.broken_lines.is_empty() {
            self.error("missing", span, message);
        }
        T::default()
    }

    /// Notes the keys of a table that are not known.
    pub(super) fn check_keys(&mut self, table: &DeTable<'s>, known: Keys) {
        for key in table.keys() {
            self.check_key(key, known);
        }
    }

    fn check_key(&mut self, key: &Spanned<DeString<'s>>, known: Keys) {
        let name: &str = key.get_ref();
        let known = keys::names(known);
        if known.clone().any(|known| known == name) {
            return;
        }
        if self.collector.is_full() {
            self.error("unknown-key", key.span(), "");
            return;
        }
        let help = suggestion(name, known.clone())
            .unwrap_or_else(|| format!("known here: {}", known.collect::<Vec<_>>().join(", ")));
        let shown = clip(name);
        let message = format!("unknown key `{shown}`");
        self.error_with_help("unknown-key", key.span(), message, Some(help));
    }

    pub(super) fn table<'d>(&mut self, value: &'d Spanned<DeValue<'s>>) -> Option<&'d DeTable<'s>> {
        let table = value.get_ref().as_table();
        self.expect(table, value, "a table")
    }

    pub(super) fn array<'d>(&mut self, value: &'d Spanned<DeValue<'s>>) -> Option<&'d DeArray<'s>> {
        let array = value.get_ref().as_array();
        self.expect(array, value, "an array")
    }

    pub(super) fn text<'d>(&mut self, value: &'d Spanned<DeValue<'s>>) -> Option<&'d str> {
        let text = value.get_ref().as_str();
        self.expect(text, value, "a string")
    }

    pub(super) fn boolean(&mut self, value: &Spanned<DeValue<'s>>) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        self.expect(boolean, value, "`true` or `false`")
    }

    /// A day, as TOML writes it or in a string.
    pub(super) fn date(&mut self, value: &Spanned<DeValue<'s>>) -> Option<Date> {
        let date = match value.get_ref() {
            DeValue::Datetime(date) => Date::parse(&date.to_string()),
            DeValue::String(text) => Date::parse(text),
            _ => None,
        };
        if date.is_none() {
            let message = format!(
                "expected a day such as 2027-01-31, not {}",
                match value.get_ref() {
                    DeValue::String(text) => format!("`{}`", clip(text)),
                    DeValue::Datetime(date) => format!("`{date}`"),
                    other => article(other),
                }
            );
            self.error("date", value.span(), message);
        }
        date
    }

    pub(super) fn integer(&mut self, value: &Spanned<DeValue<'s>>) -> Option<i64> {
        let integer = value
            .get_ref()
            .as_integer()
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
        self.expect(integer, value, "an integer")
    }

    /// An array of strings; absent is empty.
    pub(super) fn texts(&mut self, value: Option<&Spanned<DeValue<'s>>>) -> Vec<Box<str>> {
        let items = value.and_then(|value| self.array(value));
        items
            .into_iter()
            .flat_map(|items| items.iter())
            .filter_map(|item| self.text(item).map(Into::into))
            .collect()
    }

    pub(super) fn choice<T>(
        &mut self,
        value: &Spanned<DeValue<'s>>,
        parse: fn(&str) -> Option<T>,
        names: &[&str],
    ) -> Option<T> {
        let text = self.text(value)?;
        let choice = parse(text);
        if choice.is_none() {
            let help = suggestion(text, names.iter().copied())
                .unwrap_or_else(|| format!("one of {}", names.join(", ")));
            let message = format!("`{}` is not known here", clip(text));
            self.error_with_help("unknown-value", value.span(), message, Some(help));
        }
        choice
    }

    pub(super) fn field(&mut self, name: &str, span: Range<usize>) -> Option<Field> {
        let field = Field::parse(name);
        if field.is_none() {
            let help = match name {
                name if name.starts_with("oauth.") => suggestion(
                    name.trim_start_matches("oauth."),
                    crate::signature::field::OAUTH_NAMES.iter().copied(),
                ),
                name => suggestion(name, Field::NAMES.iter().copied()),
            };
            let help = help.unwrap_or_else(|| {
                format!("fields: {}", Field::NAMES.join(", ").replace(".,", ".NAME,"))
            });
            let message = format!("unknown field `{}`", clip(name));
            self.error_with_help("unknown-field", span, message, Some(help));
        }
        field
    }

    fn expect<T>(
        &mut self,
        read: Option<T>,
        value: &Spanned<DeValue<'s>>,
        expected: &str,
    ) -> Option<T> {
        if read.is_none() {
            let message = format!("expected {expected}, not {}", article(value.get_ref()));
            self.error("wrong-type", value.span(), message);
        }
        read
    }
}

/// Shortens hostile names for messages.
fn clip(name: &str) -> String {
    let mut shown: String = name.chars().take(48).flat_map(char::escape_debug).collect();
    if shown.len() < name.len() && name.chars().count() > 48 {
        shown.push('…');
    }
    shown
}
