//! Diagnostics: what is wrong in a signature or list file, and where.
//!
//! Parsers collect every problem of a file; [`Diagnostic`] keeps what a terminal,
//! an editor or a CI annotation needs, and [`std::fmt::Display`] draws the source
//! line with a caret beneath.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::model::Signature;
use crate::findings::escape::is_unprintable;

/// Columns of a source line shown at most; longer lines are cut around the place.
const EXCERPT_CHARS: usize = 120;

/// Problems reported per file; the rest are counted.
const MAX_PER_FILE: usize = 100;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Accepted, but probably not what was meant.
    Warning,
    /// Not accepted.
    Error,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place in a file.
#[derive(Clone)]
pub struct Location {
    /// The file, as given by the user; `<builtin>/…` for the shipped sets.
    pub path: Arc<str>,
    /// Bytes of the file.
    pub span: Range<usize>,
    /// Line, from 1.
    pub line: usize,
    source: Arc<Text>,
}

impl Location {
    /// Column in characters, from 1.
    pub fn column(&self) -> usize {
        self.columns().0 + 1
    }

    /// The line (or the part of a long line around the place), control and
    /// invisible characters replaced.
    pub fn excerpt(&self) -> String {
        let skipped = Self::skipped(self.columns().0);
        let (_, line) = self.source.line_text(self.line);
        line.chars().skip(skipped).take(EXCERPT_CHARS).map(shown).collect()
    }

    /// Characters before the place in the excerpt, and how many it has there.
    pub fn caret(&self) -> (usize, usize) {
        let (before, marked) = self.columns();
        let skipped = Self::skipped(before);
        let (_, line) = self.source.line_text(self.line);
        let excerpt = line.chars().skip(skipped).take(EXCERPT_CHARS).count();
        let before = before - skipped;
        (before, marked.min(excerpt.saturating_sub(before)).max(1))
    }

    /// Characters of the line before the place, and of the place on the line.
    fn columns(&self) -> (usize, usize) {
        let (start, line) = self.source.line_text(self.line);
        let within = |at: usize| at.saturating_sub(start).min(line.len());
        let (from, to) = (within(self.span.start), within(self.span.end));
        (line[..from].chars().count(), line[from..to].chars().count().max(1))
    }

    /// Characters of a long line that an excerpt leaves out in front.
    fn skipped(before: usize) -> usize {
        before.saturating_sub(EXCERPT_CHARS / 2)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path, self.line, self.column())
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.span == other.span && self.excerpt() == other.excerpt()
    }
}

impl Eq for Location {}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Short fixed name of the kind of problem, for filters and SARIF rules.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Where; absent for problems of a file as a whole that could not be read.
    pub location: Option<Box<Location>>,
    /// What to do about it.
    pub help: Option<String>,
    /// The id of the signature that it is about, where it is about one.
    pub signature: Option<Box<str>>,
}

impl Diagnostic {
    /// A problem without a place.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            location: None,
            help: None,
            signature: None,
        }
    }

    /// A problem of a signature.
    pub(crate) fn about(
        severity: Severity,
        code: &'static str,
        signature: &Signature,
        message: &str,
    ) -> Self {
        let message = format!("{}: {message}", signature.id);
        Self { signature: Some(signature.id.clone()), ..Self::new(severity, code, message) }
    }

    /// The same with a place.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(Box::new(location));
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity.as_str(), self.code, self.message)?;
        let mut gutter = 1;
        if let Some(place) = &self.location {
            let line = place.line.to_string();
            gutter = line.len();
            let (before, carets) = place.caret();
            write!(f, "\n{:gutter$}--> {}:{line}:{}", "", place.path, place.column())?;
            let excerpt = place.excerpt();
            if !excerpt.is_empty() {
                write!(f, "\n{:gutter$} |\n{line} | {excerpt}", "")?;
                write!(f, "\n{:gutter$} | {:before$}{:^<carets$}", "", "", "")?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// All problems found in one go; at least one is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub Vec<Diagnostic>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// A file's text, with what is needed to turn byte offsets into places.
#[derive(Debug)]
pub(crate) struct Source {
    path: Arc<str>,
    text: Arc<Text>,
}

/// A text and where its lines begin.
#[derive(Debug)]
struct Text {
    text: Cow<'static, str>,
    line_starts: Vec<usize>,
}

impl Source {
    /// Takes a file's bytes; the error says where they are not UTF-8.
    pub(crate) fn new(path: &str, bytes: Vec<u8>) -> Result<Self, Diagnostic> {
        let (text, bad) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(at))
            }
        };
        let source = Self::of_text(path, text);
        match bad {
            None => Ok(source),
            Some(at) => Err(Diagnostic::new(Severity::Error, "not-utf8", "the file is not UTF-8")
                .at(source.location(at..at + 1))),
        }
    }

    /// Takes a file's text.
    pub(crate) fn of_text(path: &str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { path: Arc::from(path), text: Arc::new(Text::new(text.into())) }
    }

    /// Reads a file of at most `limit` bytes.
    pub(crate) fn read(path: &Path, limit: u64) -> Result<Self, Diagnostic> {
        let bytes = read_limited(path, limit).map_err(|error| unreadable(path, &error))?;
        Self::new(&path.to_string_lossy(), bytes)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text.text
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.text.line(at)
    }

    /// The place of a span of bytes; a span outside the text is moved into it.
    pub(crate) fn location(&self, span: Range<usize>) -> Location {
        let start = self.text.floor_char(span.start);
        let end = self.text.floor_char(span.end.max(start));
        let (path, source) = (Arc::clone(&self.path), Arc::clone(&self.text));
        Location { path, span: start..end, line: self.text.line(start), source }
    }
}

impl Text {
    fn new(text: Cow<'static, str>) -> Self {
        let line_starts = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
            .collect();
        Self { text, line_starts }
    }

    fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&line| line <= at).max(1)
    }

    /// Where a line begins, and what stands in it.
    fn line_text(&self, line: usize) -> (usize, &str) {
        let start = self.line_starts[line - 1];
        let rest = &self.text[start..];
        let end = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        (start, rest[..end].trim_end_matches('\r'))
    }

    fn floor_char(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = || io::Error::other(format!("larger than {} MiB", limit >> 20));
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Says that a file cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let message = format!("{} cannot be read: {error}", path.display());
    let problem = Diagnostic::new(Severity::Error, "unreadable", message);
    // Pipelines show problems by their place.
    problem.at(Source::of_text(&path.to_string_lossy(), "").location(0..0))
}

/// A character of a source line, one column wide whatever it was.
fn shown(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_unprintable(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub(crate) struct Collector<'s> {
    source: &'s Source,
    found: Vec<Diagnostic>,
    omitted: usize,
    errors: usize,
}

impl<'s> Collector<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self { source, found: Vec::new(), omitted: 0, errors: 0 }
    }

    pub(crate) fn source(&self) -> &'s Source {
        self.source
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether further problems are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MAX_PER_FILE
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) {
        self.push(Severity::Error, code, span, message.into(), None);
    }

    pub(crate) fn error_with_help(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.push(Severity::Error, code, span, message.into(), help);
    }

    /// The problems in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.found
            .sort_by_key(|found| found.location.as_ref().map_or(0, |location| location.span.start));
        if self.omitted > 0 {
            let message = format!("{} more problems in {}", self.omitted, self.source.path);
            let mut more = Diagnostic::new(Severity::Note, "more", message);
            more.location = self.found.last().and_then(|last| last.location.clone());
            self.found.push(more);
        }
        self.found
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        self.errors += usize::from(severity == Severity::Error);
        if self.is_full() {
            self.omitted += 1;
            return;
        }
        let location = Some(Box::new(self.source.location(span)));
        self.found.push(Diagnostic { severity, code, message, location, help, signature: None });
    }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn suggestion<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    // Hostile files hold long words; nothing close to one of ours is that long.
    if word.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= (candidate.len() / 3).clamp(1, 3))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// Edits (insert, delete, replace, swap neighbours) from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("set.toml", text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn places_are_lines_and_characters_from_one() {
        let source = source("one\r\nzwei é x\n\nend");
        for (span, line, column) in [(0..1, 1, 1), (5..9, 2, 1), (13..14, 2, 8), (15..15, 3, 1)] {
            let place = source.location(span.clone());
            assert_eq!((place.line, place.column()), (line, column), "{span:?}");
        }
        assert_eq!(source.location(900..901).line, 4);
    }

    #[test]
    fn draws_the_line_and_carets() {
        let diagnostic = Diagnostic::new(Severity::Error, "unknown-key", "unknown key `titel`")
            .at(source("version = 1\n\ttitel = \"x\"\n").location(13..18))
            .with_help("did you mean `title`?");
        let expected = "\
error[unknown-key]: unknown key `titel`
 --> set.toml:2:2
  |
2 |  titel = \"x\"
  |  ^^^^^
  = help: did you mean `title`?";
        assert_eq!(diagnostic.to_string(), expected);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}BAD{}", "a".repeat(5_000), "b".repeat(5_000));
        let drawn = Diagnostic::new(Severity::Error, "x", "y")
            .at(source(&text).location(5_000..5_003))
            .to_string();
        assert!(drawn.contains("set.toml:1:5001"));
        assert!(drawn.lines().all(|line| line.len() < 140));
        let caret = drawn.lines().last().unwrap().find("^^^").unwrap();
        assert_eq!(drawn.lines().nth(3).unwrap().find("BAD"), Some(caret));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_located() {
        let error = Source::new("set.toml", b"version = 1\n# \xff\n".to_vec()).unwrap_err();
        let place = error.location.unwrap();
        assert_eq!((place.line, place.column()), (2, 3));
    }

    #[test]
    fn many_problems_are_counted_not_kept() {
        let source = source("x");
        let mut collector = Collector::new(&source);
        for _ in 0..1_000 {
            collector.error("x", 0..1, "bad");
        }
        let found = collector.finish();
        assert_eq!(found.len(), MAX_PER_FILE + 1);
        assert_eq!(found[MAX_PER_FILE].message, "900 more problems in set.toml");
    }

    #[test]
    fn suggestions_are_near_misses_only() {
        let keys = ["title", "field", "fields", "strength"];
        assert_eq!(suggestion("titel", keys).unwrap(), "did you mean `title`?");
        assert_eq!(suggestion("strenght", keys).unwrap(), "did you mean `strength`?");
        assert_eq!(suggestion("pattern", keys), None);
    }
}
