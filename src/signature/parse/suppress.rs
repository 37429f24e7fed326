//! `[[suppress]]`.

use std::ops::Range;
use std::sync::Arc;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::{File, is_id, keys};
use crate::signature::model::Origin;
use crate::signature::suppress::{IdPattern, Suppression};

/// Suppressions of a file, at most: what suppresses more than that is a signature
/// that should be another one.
const MAX_SUPPRESSIONS: usize = 1_000;

/// Ids in one suppression, at most.
const MAX_NAMES: usize = 100;

impl<'s> File<'s> {
    pub(super) fn suppression(
        &mut self,
        table: &DeTable<'s>,
        span: Range<usize>,
    ) -> Option<Suppression> {
        self.suppressions += 1;
        if self.suppressions > MAX_SUPPRESSIONS {
            // Said once.
            if self.suppressions == MAX_SUPPRESSIONS + 1 {
                let message = format!("more than {MAX_SUPPRESSIONS} suppressions");
                self.reader.error("suppress", span, message);
            }
            return None;
        }
        self.reader.check_keys(table, keys::SUPPRESSION);
        let signatures = self.id_patterns(table, &span);
        let when = match table.get("when") {
            Some(value) => self.suppressing(value),
            None => self.reader.missing(span.clone(), "the suppression has no `when`"),
        };
        let reason = self.reason(table, &span);
        let until = table.get("until").map(|value| self.reader.date(value));
        let (matches, misses) = self.examples(table.get("examples"));
        let location = self.reader.location(span);
        Some(Suppression {
            signatures: signatures?,
            when: when?,
            reason: reason?,
            until: match until {
                Some(date) => Some(date?),
                None => None,
            },
            matches,
            misses,
            origin: Origin { path: Arc::clone(&location.path), line: location.line, location },
        })
    }

    /// The condition. That a signature does not count has to be known as soon as it
    /// hits.
    fn suppressing(&mut self, value: &Spanned<DeValue<'s>>) -> Option<crate::signature::Condition> {
        let condition = self.condition(value, 0)?;
        self.check_at_once(&condition, "a suppression", value.span()).then_some(condition)
    }

    fn reason(&mut self, table: &DeTable<'s>, span: &Range<usize>) -> Option<Box<str>> {
        let reason = self.required_text(table, "reason", "suppression", span)?;
        if !reason.trim().is_empty() {
            return Some(reason);
        }
        if let Some(value) = table.get("reason") {
            self.reader.error("reason", value.span(), "the reason is empty");
        }
        None
    }

    fn id_patterns(&mut self, table: &DeTable<'s>, span: &Range<usize>) -> Option<Vec<IdPattern>> {
        let Some(value) = table.get("signature") else {
            return self.reader.missing(span.clone(), "the suppression names no `signature`");
        };
        let items: Vec<_> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        if items.is_empty() {
            self.reader.error("suppress", value.span(), "no signature is named");
            return None;
        }
        if items.len() > MAX_NAMES {
            let message = format!("more than {MAX_NAMES} ids: let one end in `*`");
            self.reader.error("suppress", value.span(), message);
            return None;
        }
        let read: Vec<_> = items.into_iter().map(|item| self.id_pattern(item)).collect();
        read.into_iter().collect()
    }

    fn id_pattern(&mut self, value: &Spanned<DeValue<'s>>) -> Option<IdPattern> {
        let text = self.reader.text(value)?;
        let location = self.reader.location(value.span());
        let (id, below) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        if !(is_id(id) || below && id.is_empty()) {
            let message = "an id has 1 to 96 of `a`-`z`, `0`-`9`, `.`, `_` and `-`, and here a `*` \
                           at its end stands for any rest";
            self.reader.error("id", value.span(), message);
            return None;
        }
        Some(IdPattern { id: id.into(), any_rest: below, location })
    }
}
