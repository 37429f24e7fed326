//! Signature files: TOML text in, checked [`Signature`]s and [`Suppression`]s out, or
//! every problem of the file with its place.

pub(super) mod keys;
mod pattern;
mod reader;
mod suppress;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use self::reader::Reader;
use super::diagnostic::{Diagnostic, Source};
use super::field::Field;
use super::lint::LINTS;
use super::lists::{self, HostList};
use super::model::{EvidenceKind, Example, Origin, Revision, Signature, Strength};
use super::suppress::Suppression;
use crate::findings::Severity;

/// The version of the signature language this program understands.
pub const LANGUAGE_VERSION: i64 = 1;

/// Larger files are searched for their first syntax error only, because a list
/// of all of them would be larger still.
const ALL_SYNTAX_ERRORS_BELOW: usize = 512 * 1024;

/// Opening braces in a file, at most: each may become a table, which takes a
/// kilobyte.
const MAX_BRACES: usize = 250_000;

/// Dots in a key from which the TOML parser refuses it.
const MAX_KEY_DEPTH: usize = 79;

/// Bytes of an id, at most.
pub(super) const MAX_ID: usize = 96;

/// Reads files that a set names. The argument is the name as written.
pub(crate) type ListReader<'r> = dyn FnMut(&str) -> Result<Source, Diagnostic> + 'r;

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) signatures: Vec<Signature>,
    pub(crate) suppressions: Vec<Suppression>,
}

/// Reads one signature file.
pub(crate) fn parse(
    source: &Source,
    read_list: &mut ListReader<'_>,
) -> Result<Parsed, Vec<Diagnostic>> {
    read(source, read_list, false)
}

/// Reads one of the shipped files, whose expressions a test has checked: to do so again
/// takes a fifth of the time.
pub(crate) fn parse_shipped(
    source: &Source,
    read_list: &mut ListReader<'_>,
) -> Result<Parsed, Vec<Diagnostic>> {
    read(source, read_list, true)
}

fn read(
    source: &Source,
    read_list: &mut ListReader<'_>,
    expressions_checked: bool,
) -> Result<Parsed, Vec<Diagnostic>> {
    let mut reader = Reader::new(source);
    let document = read_toml(source, &mut reader);
    let mut problems = Vec::new();
    let mut file = File {
        reader,
        lists: HashMap::new(),
        ids: HashMap::new(),
        expressions_checked,
        expression_bytes: 0,
        suppressions: 0,
    };
    let parsed = file.root(document.get_ref(), read_list, &mut problems);
    problems.extend(file.reader.finish());
    if problems.is_empty() { Ok(parsed) } else { Err(problems) }
}

fn read_toml<'s>(source: &'s Source, reader: &mut Reader<'s>) -> Spanned<DeTable<'s>> {
    let text = source.text();
    if let Some(brace) = memchr::memchr_iter(b'{', text.as_bytes()).nth(MAX_BRACES) {
        let message = format!("more than {MAX_BRACES} `{{`: split the file");
        reader.syntax_error(brace..brace + 1, &message);
        return Spanned::new(0..0, DeTable::new());
    }
    let (document, errors) = if text.len() < ALL_SYNTAX_ERRORS_BELOW {
        DeTable::parse_recoverable(text)
    } else {
        match DeTable::parse(text) {
            Ok(document) => (document, Vec::new()),
            Err(error) => (Spanned::new(0..0, DeTable::new()), vec![error]),
        }
    };
    for error in &errors {
        let span = error.span().unwrap_or_else(|| deep_key(text));
        reader.syntax_error(span, error.message());
    }
    document
}

/// The TOML parser does not say where a dotted key is too deep: in the first line
/// with that many dots.
fn deep_key(text: &str) -> Range<usize> {
    let mut start = 0;
    for line in text.split('\n') {
        if memchr::memchr_iter(b'.', line.as_bytes()).count() >= MAX_KEY_DEPTH {
            return start..start + line.len();
        }
        start += line.len() + 1;
    }
    0..0
}

/// What is known while one file is read.
struct File<'s> {
    reader: Reader<'s>,
    lists: HashMap<String, Option<Arc<HostList>>>,
    /// Ids seen and their lines.
    ids: HashMap<String, usize>,
    /// Whether the expressions are known to be well-formed and small.
    expressions_checked: bool,
    /// Memory of the expressions seen.
    expression_bytes: usize,
    /// Suppressions seen.
    suppressions: usize,
}

impl<'s> File<'s> {
    fn root(
        &mut self,
        root: &DeTable<'s>,
        read_list: &mut ListReader<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> Parsed {
        match root.get("version") {
            Some(version) => self.version(version),
            None => self.reader.missing(0..0, "the file does not say `version = 1`"),
        }
        if let Some(lists) = root.get("lists") {
            self.lists(lists, read_list, problems);
        }
        self.reader.check_keys(root, keys::ROOT);
        let mut parsed = Parsed::default();
        for (table, span) in self.tables(root, "signature") {
            parsed.signatures.extend(self.signature(table, span));
        }
        for (table, span) in self.tables(root, "suppress") {
            parsed.suppressions.extend(self.suppression(table, span));
        }
        parsed
    }

    /// The tables that are written `[[key]]`.
    fn tables<'d>(
        &mut self,
        root: &'d DeTable<'s>,
        key: &str,
    ) -> Vec<(&'d DeTable<'s>, Range<usize>)> {
        let Some(value) = root.get(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let message = format!("`{key}` is written `[[{key}]]`, with two brackets");
            self.reader.error("wrong-type", value.span(), message);
            return Vec::new();
        };
        let table = |item| Some((self.reader.table(item)?, item.span()));
        items.iter().filter_map(table).collect()
    }

    fn version(&mut self, version: &Spanned<DeValue<'s>>) {
        let Some(number) = self.reader.integer(version) else { return };
        if number != LANGUAGE_VERSION {
            let message =
                format!("this program reads version {LANGUAGE_VERSION}, not version {number}");
            self.reader.error("version", version.span(), message);
        }
    }

    fn lists(
        &mut self,
        lists: &Spanned<DeValue<'s>>,
        read_list: &mut ListReader<'_>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let Some(table) = self.reader.table(lists) else { return };
        for (name, path) in table.iter() {
            let list = self.reader.text(path).and_then(|file| {
                let parsed = read_list(file)
                    .map_err(|problem| vec![problem])
                    .and_then(|source| lists::parse(name.get_ref(), &source));
                match parsed {
                    Ok(list) => Some(Arc::new(list)),
                    Err(found) => {
                        let message = format!("the list `{}` cannot be used", name.get_ref());
                        self.reader.error("list", path.span(), message);
                        problems.extend(found);
                        None
                    }
                }
            });
            self.lists.insert(name.get_ref().to_string(), list);
        }
    }

    fn signature(&mut self, table: &DeTable<'s>, span: Range<usize>) -> Option<Signature> {
        self.reader.check_keys(table, keys::SIGNATURE);
        let id = self.id(table, &span);
        let title = self.required_text(table, "title", "signature", &span);
        let clause = self.clause(table, &span);
        let when = table.get("when").map(|value| self.condition(value, 0));
        let worth = self.worth(table, &span);
        let kind = table
            .get("kind")
            .and_then(|value| self.reader.choice(value, EvidenceKind::parse, EvidenceKind::NAMES));
        let [since, until] = ["since", "until"].map(|key| {
            table
                .get(key)
                .and_then(|value| self.reader.choice(value, Revision::parse, Revision::NAMES))
        });
        if let (Some(first), Some(last), Some(value)) = (since, until, table.get("until"))
            && last < first
        {
            self.reader.error("revision", value.span(), "`until` is before `since`");
        }
        let tags = self.reader.texts(table.get("tags"));
        let references = self.reader.texts(table.get("references"));
        let allow = self.lint_codes(table.get("allow"));
        let (matches, misses) = self.examples(table.get("examples"));
        let location = self.reader.location(span);
        let clause = clause?;
        let (strength, severity) = worth?;
        Some(Signature {
            id: id?,
            title: title?,
            kind: kind.unwrap_or_else(|| {
                clause.fields.first().map_or(EvidenceKind::Body, Field::evidence_kind)
            }),
            clause,
            when: match when {
                Some(condition) => Some(condition?),
                None => None,
            },
            strength,
            severity,
            tags,
            references,
            allow,
            since,
            until,
            matches,
            misses,
            origin: Origin { path: Arc::clone(&location.path), line: location.line, location },
        })
    }

    /// What a hit is worth: as evidence, or how bad the threat is that it finds.
    fn worth(
        &mut self,
        table: &DeTable<'s>,
        span: &Range<usize>,
    ) -> Option<(Strength, Option<Severity>)> {
        match (table.get("strength"), table.get("severity")) {
            (Some(value), None) => {
                let strength = self.reader.choice(value, Strength::parse, Strength::NAMES)?;
                Some((strength, None))
            }
            (None, Some(value)) => {
                let severity = self.reader.choice(value, Severity::parse, Severity::NAMES)?;
                Some((Strength::Context, Some(severity)))
            }
            (Some(_), Some(value)) => {
                let message = "both `strength` and `severity`: a threat is no evidence of MCP";
                self.reader.error("severity", value.span(), message);
                None
            }
            (None, None) => {
                self.reader.missing(span.clone(), "the signature has no `strength` (or `severity`)")
            }
        }
    }

    fn lint_codes(&mut self, value: Option<&Spanned<DeValue<'s>>>) -> Vec<Box<str>> {
        let Some(items) = value.and_then(|value| self.reader.array(value)) else {
            return Vec::new();
        };
        let codes: Vec<&str> = LINTS.iter().map(|(code, _)| *code).collect();
        items.iter().filter_map(|item| self.reader.choice(item, lint_code, &codes)).collect()
    }

    fn id(&mut self, table: &DeTable<'s>, span: &Range<usize>) -> Option<Box<str>> {
        let Some(value) = table.get("id") else {
            return self.reader.missing(span.clone(), "the signature has no `id`");
        };
        let id = self.reader.text(value)?;
        if !is_id(id) {
            let message = "an id has 1 to 96 of `a`-`z`, `0`-`9`, `.`, `_` and `-`";
            self.reader.error("id", value.span(), message);
            return None;
        }
        let line = self.reader.location(value.span()).line;
        if let Some(first) = self.ids.insert(id.to_owned(), line) {
            let message = format!("the id `{id}` is already used in line {first}");
            self.reader.error("duplicate-id", value.span(), message);
        }
        Some(id.into())
    }

    fn required_text(
        &mut self,
        table: &DeTable<'s>,
        key: &str,
        owner: &str,
        span: &Range<usize>,
    ) -> Option<Box<str>> {
        match table.get(key) {
            Some(value) => self.reader.text(value).map(Into::into),
            None => self.reader.missing(span.clone(), format!("the {owner} has no `{key}`")),
        }
    }

    fn examples(
        &mut self,
        examples: Option<&Spanned<DeValue<'s>>>,
    ) -> (Vec<Example>, Vec<Example>) {
        let Some(table) = examples.and_then(|value| self.reader.table(value)) else {
            return (Vec::new(), Vec::new());
        };
        self.reader.check_keys(table, keys::EXAMPLES);
        let mut read = |key| {
            let items = table.get(key).and_then(|value| self.reader.array(value));
            items
                .into_iter()
                .flat_map(|items| items.iter())
                .filter_map(|item| self.example(item))
                .collect()
        };
        (read("match"), read("miss"))
    }

    fn example(&mut self, item: &Spanned<DeValue<'s>>) -> Option<Example> {
        let mut values = Vec::new();
        match item.get_ref() {
            DeValue::String(text) => values.push((None, text.as_ref().into())),
            DeValue::Table(table) => self.example_fields("", table, &mut values),
            other => {
                let message = format!("an example is a string or a table, not {}", article(other));
                self.reader.error("wrong-type", item.span(), message);
                return None;
            }
        }
        Some(Example { values, location: self.reader.location(item.span()) })
    }

    /// Field names hold dots, so a table of them may be nested: `http.path` is
    /// `path` in the table `http`, unless quoted.
    fn example_fields(
        &mut self,
        prefix: &str,
        table: &DeTable<'s>,
        values: &mut Vec<(Option<Field>, Box<str>)>,
    ) {
        for (key, value) in table.iter() {
            let name = format!("{prefix}{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.example_fields(&format!("{name}."), inner, values),
                DeValue::Integer(number) => {
                    if let Some(field) = self.reader.field(&name, key.span()) {
                        values.push((Some(field), number.as_str().into()));
                    }
                }
                _ => {
                    let field = self.reader.field(&name, key.span());
                    let text = self.reader.text(value);
                    if let (Some(field), Some(text)) = (field, text) {
                        values.push((Some(field), text.into()));
                    }
                }
            }
        }
    }
}

/// Ids are shown, sorted and written in file names: nothing in them needs quotes.
fn is_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(plain)
}

fn lint_code(text: &str) -> Option<Box<str>> {
    LINTS.iter().find(|(code, _)| *code == text).map(|&(code, _)| code.into())
}

/// The type of a value with its article, for messages.
fn article(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

#[cfg(test)]
mod tests;
