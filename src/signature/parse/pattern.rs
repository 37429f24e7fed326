//! Patterns and conditions of a signature.

use std::ops::Range;
use std::sync::Arc;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{COMBINED, CONDITION, JSON_MEMBER, PATTERNS};
use super::{File, article};
use crate::signature::diagnostic::suggestion;
use crate::signature::field::{Field, FieldClass};
use crate::signature::lists::check_host;
use crate::signature::model::{
    Clause, Condition, DIRECTIONS, JsonMember, JsonText, Pattern, Value, Values,
};
use crate::signature::regex;
use crate::stream::Direction;

/// Conditions inside conditions, at most.
const MAX_CONDITION_DEPTH: usize = 8;

/// Bytes of one value, at most.
const MAX_VALUE_BYTES: usize = 4 * 1024;

/// Memory of all expressions of a file, at most.
const MAX_EXPRESSION_BYTES: usize = 32 << 20;

impl<'s> File<'s> {
    /// The fields and the pattern of a signature or of a condition.
    pub(super) fn clause(&mut self, table: &DeTable<'s>, span: &Range<usize>) -> Option<Clause> {
        let fields = self.fields(table, span);
        let direction = match table.get("direction") {
            Some(value) => Some(self.reader.choice(value, direction, DIRECTIONS)?),
            None => None,
        };
        let ignore_case = match table.get("ignore_case") {
            Some(value) => self.reader.boolean(value)?,
            None => false,
        };
        let mut found =
            PATTERNS.iter().filter_map(|key| table.get_key_value(key.name)).collect::<Vec<_>>();
        found.sort_by_key(|(key, _)| key.span().start);
        let Some(&(key, value)) = found.first() else {
            let names: Vec<_> = PATTERNS.iter().map(|key| key.name).collect();
            let message = format!("no pattern: one of {}", names.join(", "));
            return self.reader.missing(span.clone(), message);
        };
        if let Some((second, _)) = found.get(1) {
            let message =
                format!("a second pattern, `{}`, beside `{}`", second.get_ref(), key.get_ref());
            self.reader.error("two-patterns", second.span(), message);
        }
        let class = fields.as_ref().and_then(|fields| fields.first()).map(Field::class);
        let pattern = self.pattern(key.get_ref(), value, ignore_case, class)?;
        let fields = fields?;
        if let Some(class) = class.filter(|&class| !pattern.suits(class)) {
            let message = format!(
                "`{}` does not suit `{}`, which holds a {}",
                pattern.key(),
                fields.first().map(Field::name).unwrap_or_default(),
                class.as_str(),
            );
            self.reader.error("unsuited-pattern", key.span(), message);
            return None;
        }
        let location = self.reader.location(value.span());
        Some(Clause { fields, direction, pattern, location })
    }

    /// `when`: one condition, or an array of which all must hold.
    pub(super) fn condition(
        &mut self,
        value: &Spanned<DeValue<'s>>,
        depth: usize,
    ) -> Option<Condition> {
        if depth > MAX_CONDITION_DEPTH {
            let message = format!("conditions nest deeper than {MAX_CONDITION_DEPTH}");
            self.reader.error("condition", value.span(), message);
            return None;
        }
        match value.get_ref() {
            DeValue::Array(_) => self.conditions(value, depth).map(Condition::All),
            DeValue::Table(table) => self.condition_table(table, value.span(), depth),
            other => {
                let message = format!("a condition is a table, not {}", article(other));
                self.reader.error("wrong-type", value.span(), message);
                None
            }
        }
    }

    fn condition_table(
        &mut self,
        table: &DeTable<'s>,
        span: Range<usize>,
        depth: usize,
    ) -> Option<Condition> {
        self.reader.check_keys(table, CONDITION);
        let combined = COMBINED.iter().find_map(|key| table.get_key_value(key.name));
        let Some((key, value)) = combined else {
            return self.clause(table, &span).map(Condition::Clause);
        };
        if table.len() > 1 {
            let message = format!("`{}` stands alone in its condition", key.get_ref());
            self.reader.error("condition", key.span(), message);
            return None;
        }
        match key.get_ref().as_ref() {
            "all" => self.conditions(value, depth).map(Condition::All),
            "any" => self.conditions(value, depth).map(Condition::Any),
            _ => {
                let inner = self.condition(value, depth + 1)?;
                self.check_at_once(&inner, "`not`", value.span())
                    .then(|| Condition::Not(Box::new(inner)))
            }
        }
    }

    fn conditions(&mut self, value: &Spanned<DeValue<'s>>, depth: usize) -> Option<Vec<Condition>> {
        let items = self.reader.array(value)?;
        if items.is_empty() {
            self.reader.error("condition", value.span(), "an empty list of conditions");
            return None;
        }
        let read: Vec<_> = items.iter().map(|item| self.condition(item, depth + 1)).collect();
        read.into_iter().collect()
    }

    /// What does not hold can only be said of what is known all at once.
    pub(super) fn check_at_once(
        &mut self,
        condition: &Condition,
        speaker: &str,
        span: Range<usize>,
    ) -> bool {
        let late = match condition {
            Condition::Clause(clause) => clause
                .fields
                .iter()
                .find(|field| !field.known_at_once(clause.direction))
                .map(Field::name),
            Condition::All(inner) | Condition::Any(inner) => {
                return inner.iter().all(|inner| self.check_at_once(inner, speaker, span.clone()));
            }
            Condition::Not(inner) => return self.check_at_once(inner, speaker, span),
        };
        let Some(name) = late else { return true };
        let message = format!("{speaker} cannot speak of `{name}`, which may come late or never");
        let help = "use it with fields of the request's head (a header needs \
                    `direction = \"to_server\"`)";
        self.reader.error_with_help("condition", span, message, Some(help.to_owned()));
        false
    }

    fn fields(&mut self, table: &DeTable<'s>, span: &Range<usize>) -> Option<Vec<Field>> {
        match (table.get("field"), table.get("fields")) {
            (Some(value), None) => {
                let name = self.reader.text(value)?;
                self.reader.field(name, value.span()).map(|field| vec![field])
            }
            (None, Some(value)) => self.several_fields(value),
            (Some(_), Some(value)) => {
                self.reader.error("fields", value.span(), "both `field` and `fields`");
                None
            }
            (None, None) => self.reader.missing(span.clone(), "neither `field` nor `fields`"),
        }
    }

    fn several_fields(&mut self, value: &Spanned<DeValue<'s>>) -> Option<Vec<Field>> {
        let items = self.reader.array(value)?;
        let mut fields = Vec::new();
        let mut complete = true;
        for item in items.iter() {
            let name = self.reader.text(item);
            match name.and_then(|name| self.reader.field(name, item.span())) {
                Some(field) if fields.contains(&field) => {
                    self.reader.error("fields", item.span(), "named twice");
                }
                Some(field) => fields.push(field),
                None => complete = false,
            }
        }
        if !complete {
            return None;
        }
        let Some(first) = fields.first() else {
            self.reader.error("fields", value.span(), "no field is named");
            return None;
        };
        let class = first.class();
        if fields.iter().any(|field| field.class() != class) {
            let message = "fields of one signature hold the same kind of value";
            self.reader.error("fields", value.span(), message);
            return None;
        }
        Some(fields)
    }

    fn pattern(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'s>>,
        ignore_case: bool,
        class: Option<FieldClass>,
    ) -> Option<Pattern> {
        if let Some(pattern) = self.special_pattern(key, value, ignore_case) {
            return pattern;
        }
        let mut values = self.values(value, ignore_case)?;
        let host = matches!(key, "suffix" | "wildcard")
            || key == "exact" && class == Some(FieldClass::Name);
        if host && !self.check_hosts(&mut values, key == "wildcard") {
            return None;
        }
        Some(match key {
            "exact" => Pattern::Exact(values),
            "prefix" => Pattern::Prefix(values),
            "substring" => Pattern::Substring(values),
            "word" => Pattern::Word(values),
            "suffix" => Pattern::Suffix(values),
            "wildcard" => Pattern::Wildcard(values),
            "json_string" => Pattern::JsonString(values),
            "path_prefix" | "path_suffix" => {
                self.check_paths(&values)?;
                if key == "path_prefix" {
                    Pattern::PathPrefix(values)
                } else {
                    Pattern::PathSuffix(values)
                }
            }
            _ => {
                self.check_regexes(&values)?;
                Pattern::Regex(values)
            }
        })
    }

    /// Patterns that are not texts; outer `None` for those that are.
    fn special_pattern(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'s>>,
        ignore_case: bool,
    ) -> Option<Option<Pattern>> {
        Some(match key {
            "hosts" => self.host_list(value),
            "port" => self.ports(value),
            "json_member" => self.json_member(value, ignore_case),
            "present" => {
                let present = self.reader.boolean(value);
                if present == Some(false) {
                    let message = "only `present = true` can be asked; see `not`";
                    self.reader.error("unknown-value", value.span(), message);
                }
                present.filter(|&present| present).map(|_| Pattern::Present)
            }
            _ => return None,
        })
    }

    fn host_list(&mut self, value: &Spanned<DeValue<'s>>) -> Option<Pattern> {
        let name = self.reader.text(value)?;
        let Some(list) = self.lists.get(name) else {
            let help = suggestion(name, self.lists.keys().map(String::as_str));
            let message = format!("no list `{name}` is named under `[lists]`");
            self.reader.error_with_help("list", value.span(), message, help);
            return None;
        };
        list.as_ref().map(|list| Pattern::Hosts(Arc::clone(list)))
    }

    fn ports(&mut self, value: &Spanned<DeValue<'s>>) -> Option<Pattern> {
        let mut ports = Vec::new();
        let one = [value];
        let items: Vec<_> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => one.to_vec(),
        };
        for item in items {
            let number = self.reader.integer(item)?;
            match u16::try_from(number) {
                Ok(port) if port > 0 => ports.push(port),
                _ => {
                    let message = format!("{number} is not a port number");
                    self.reader.error("port", item.span(), message);
                }
            }
        }
        ports.sort_unstable();
        ports.dedup();
        if ports.is_empty() {
            self.reader.error("port", value.span(), "no port is named");
            return None;
        }
        Some(Pattern::Port(ports))
    }

    fn json_member(&mut self, value: &Spanned<DeValue<'s>>, ignore_case: bool) -> Option<Pattern> {
        let table = self.reader.table(value)?;
        self.reader.check_keys(table, JSON_MEMBER);
        let key = self.json_text(table, "key", "key_prefix", ignore_case)?;
        let member = self.json_text(table, "value", "value_prefix", ignore_case)?;
        let fold_key = match table.get("fold_key") {
            Some(fold) => self.reader.boolean(fold)?,
            None => false,
        };
        let Some(key) = key else {
            let message = "`json_member` names no `key` (or `key_prefix`)";
            return self.reader.missing(value.span(), message);
        };
        Some(Pattern::JsonMember(JsonMember { key, value: member, fold_key }))
    }

    /// A text given under one of two keys; outer `None` if it is wrong.
    fn json_text(
        &mut self,
        table: &DeTable<'s>,
        whole: &str,
        prefix: &str,
        ignore_case: bool,
    ) -> Option<Option<JsonText>> {
        let (value, is_prefix) = match (table.get(whole), table.get(prefix)) {
            (None, None) => return Some(None),
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
            (Some(_), Some(second)) => {
                let message = format!("both `{whole}` and `{prefix}`");
                self.reader.error("two-patterns", second.span(), message);
                return None;
            }
        };
        let values = self.values(value, ignore_case)?;
        Some(Some(JsonText { values, prefix: is_prefix }))
    }

    /// A string or an array of strings, none of them empty.
    fn values(&mut self, value: &Spanned<DeValue<'s>>, ignore_case: bool) -> Option<Values> {
        let one = [value];
        let items: Vec<_> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => one.to_vec(),
        };
        let mut alternatives = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = self.reader.text(item) else { continue };
            if text.is_empty() {
                self.reader.error("empty-pattern", item.span(), "an empty pattern hits everything");
            } else if text.len() > MAX_VALUE_BYTES {
                let message = format!("longer than {} bytes", MAX_VALUE_BYTES);
                self.reader.error("long-pattern", item.span(), message);
            } else {
                alternatives.push(Value { text: text.into(), span: item.span() });
            }
        }
        if alternatives.is_empty() {
            if matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()) {
                self.reader.error("empty-pattern", value.span(), "no value is given");
            }
            return None;
        }
        Some(Values { alternatives, ignore_case })
    }

    fn check_hosts(&mut self, values: &mut Values, wildcard: bool) -> bool {
        let mut good = true;
        for value in &mut values.alternatives {
            // Stars are checked as if they were letters.
            let plain =
                if wildcard { value.text.replace('*', "x") } else { value.text.to_string() };
            let problem = match check_host(&plain) {
                Ok(_) if wildcard && !value.text.contains('*') => Some("has no `*`: use `exact`"),
                Ok(_) if value.text.contains("**") => Some("has two `*` side by side"),
                Ok(_) => None,
                Err(problem) => Some(problem),
            };
            if let Some(problem) = problem {
                let message = format!("`{}` {problem}", value.text);
                self.reader.error("host", value.span.clone(), message);
                good = false;
            }
            value.text = value.text.trim_end_matches('.').to_ascii_lowercase().into();
        }
        good
    }

    fn check_paths(&mut self, values: &Values) -> Option<()> {
        let mut good = Some(());
        for value in &values.alternatives {
            let problem = match &*value.text {
                "/" => "`/` is every path",
                text if !text.starts_with('/') => "a path begins with `/`",
                text if text.ends_with('/') => "leave out the `/` at the end: it is implied",
                _ => continue,
            };
            self.reader.error("path", value.span.clone(), problem);
            good = None;
        }
        good
    }

    fn check_regexes(&mut self, values: &Values) -> Option<()> {
        if self.expressions_checked {
            return Some(());
        }
        let mut good = Some(());
        for value in &values.alternatives {
            if self.expression_bytes > MAX_EXPRESSION_BYTES {
                // Said once, for the value that went over.
                return None;
            }
            match regex::check(&value.text, values.ignore_case) {
                Ok(bytes) => self.expression_bytes += bytes,
                Err(problem) => {
                    let span = self.inside(value, problem.span);
                    self.reader.error("regex", span, problem.message);
                    good = None;
                }
            }
            if self.expression_bytes > MAX_EXPRESSION_BYTES {
                let message = format!(
                    "the expressions of this file need more than {} MiB together",
                    MAX_EXPRESSION_BYTES >> 20
                );
                self.reader.error("regex", value.span.clone(), message);
                return None;
            }
        }
        good
    }

    /// The place in the file of a part of a string, where the string is written
    /// without escapes; else of the whole string.
    fn inside(&self, value: &Value, part: Option<Range<usize>>) -> Range<usize> {
        let written = self.reader.written(value.span.clone());
        match (part, written.find(&*value.text)) {
            (Some(part), Some(offset)) => {
                let start = value.span.start + offset;
                start + part.start..start + part.end.max(part.start + 1)
            }
            _ => value.span.clone(),
        }
    }
}

fn direction(text: &str) -> Option<Direction> {
    let [to_server, to_client] = DIRECTIONS else { return None };
    match text {
        text if text == *to_server => Some(Direction::ToServer),
        text if text == *to_client => Some(Direction::ToClient),
        _ => None,
    }
}
