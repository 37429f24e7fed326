//! A key log, read as it grows.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::line::{self, KeyLogErrorKind, Line};
use super::{Layer, Secrets};

/// The longest line; those of secrets have 200 bytes at most.
const MAX_LINE: usize = 4096;

/// The most errors that are kept of one read; the rest are counted.
const MAX_ERRORS: usize = 1000;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

crate::counters! {
    /// What key logs held.
    pub struct KeyLogCounters {
        /// Secrets that open records.
        secrets,
        /// Lines with secrets of other uses, such as exporters.
        ignored_labels,
        /// Lines with labels that are not known.
        unknown_labels,
        /// Lines that are malformed.
        bad_lines,
    }
}

/// An error in a key log, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLogError {
    /// Line, from 1.
    pub line: u64,
    /// Column in bytes, from 1.
    pub column: u64,
    /// What is wrong.
    pub what: KeyLogErrorKind,
}

impl fmt::Display for KeyLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for KeyLogError {}

/// What one read of a key log brought.
#[derive(Debug, Default)]
pub struct KeyLogPart {
    secrets: Layer,
    errors: Vec<KeyLogError>,
    counters: KeyLogCounters,
}

impl KeyLogPart {
    /// The lines that are malformed, which are passed over; at most 1000 of
    /// them.
    pub fn errors(&self) -> &[KeyLogError] {
        &self.errors
    }

    /// What was read.
    pub const fn counters(&self) -> &KeyLogCounters {
        &self.counters
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.errors.is_empty()
    }

    /// Takes in what a later read brought.
    pub(super) fn merge(&mut self, later: Self) {
        for (random, newer) in later.secrets {
            self.secrets
                .entry(random)
                .and_modify(|older| {
                    let mut joined = Secrets::clone(&newer);
                    joined.fill_from(older);
                    *older = Arc::new(joined);
                })
                .or_insert(newer);
        }
        let room = MAX_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(later.errors.into_iter().take(room));
        self.counters.merge(&later.counters);
    }

    pub(super) fn into_errors(self) -> Vec<KeyLogError> {
        self.errors
    }

    pub(super) fn into_secrets(self) -> Layer {
        self.secrets
    }

    fn error(&mut self, line: u64, offset: usize, what: KeyLogErrorKind) {
        self.counters.bad_lines += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(KeyLogError { line, column: offset as u64 + 1, what });
        }
    }
}

/// Reads a key log that may grow.
pub struct KeyLogReader {
    /// The number of the line that is being read.
    line: u64,
    /// Its beginning.
    partial: Zeroizing<Vec<u8>>,
    /// It is too long; the rest of it is passed over.
    too_long: bool,
}

impl KeyLogReader {
    /// A reader at the beginning of a key log.
    pub fn new() -> Self {
        Self { line: 1, partial: Zeroizing::default(), too_long: false }
    }

    /// Reads a whole key log, be its last line ended or not: a file that does
    /// not grow, or the content of a Decryption Secrets Block.
    pub fn whole(text: &[u8]) -> KeyLogPart {
        let mut reader = Self::new();
        let mut part = reader.read(text);
        reader.end_line(&[], &mut part);
        part
    }

    /// Reads the bytes that come next. A line counts when its end has come.
    pub fn read(&mut self, text: &[u8]) -> KeyLogPart {
        let mut part = KeyLogPart { secrets: HashMap::new(), ..KeyLogPart::default() };
        for piece in text.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => self.end_line(end, &mut part),
                None => self.keep(piece, &mut part),
            }
        }
        part
    }

    fn keep(&mut self, piece: &[u8], part: &mut KeyLogPart) {
        if self.partial.len() + piece.len() > MAX_LINE {
            self.give_up_line(part);
        }
        if !self.too_long {
            if self.partial.capacity() == 0 {
                // Room for any line, so that no copy is left behind by growing.
                self.partial.reserve_exact(MAX_LINE);
            }
            self.partial.extend_from_slice(piece);
        }
    }

    fn end_line(&mut self, end: &[u8], part: &mut KeyLogPart) {
        if self.partial.len() + end.len() > MAX_LINE {
            self.give_up_line(part);
        }
        if !self.too_long {
            let mut whole = std::mem::take(&mut self.partial);
            if whole.is_empty() {
                self.parse(end, part);
            } else {
                whole.extend_from_slice(end);
                self.parse(&whole, part);
            }
        }
        self.too_long = false;
        self.line += 1;
    }

    fn give_up_line(&mut self, part: &mut KeyLogPart) {
        if !self.too_long {
            part.error(self.line, 0, KeyLogErrorKind::LineTooLong);
        }
        self.partial = Zeroizing::default();
        self.too_long = true;
    }

    fn parse(&self, text: &[u8], part: &mut KeyLogPart) {
        let mark = if self.line == 1 && text.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        match line::parse(&text[mark..]) {
            Ok(Line::Secret(label, random, secret)) => {
                let secrets: &mut Arc<Secrets> = part.secrets.entry(random).or_default();
                Arc::make_mut(secrets).set(label, secret);
                part.counters.secrets += 1;
            }
            Ok(Line::Nothing) => {}
            Ok(Line::Ignored) => part.counters.ignored_labels += 1,
            Ok(Line::Unknown) => part.counters.unknown_labels += 1,
            Err((offset, what)) => part.error(self.line, mark + offset, what),
        }
    }
}

impl Default for KeyLogReader {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyLogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLogReader").field("line", &self.line).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Cut;

    fn text() -> String {
        let secret = "0b".repeat(48);
        [
            "\u{feff}# made by a test\r\n".to_owned(),
            format!("CLIENT_RANDOM {} {secret}\r\n", "01".repeat(32)),
            "\n".to_owned(),
            "CLIENT_RANDOM zz\n".to_owned(),
            "EXPORTER_SECRET 00 00\n".to_owned(),
            "WHATEVER\n".to_owned(),
            format!("{}\n", "A".repeat(MAX_LINE + 1)),
            format!("SERVER_TRAFFIC_SECRET_0 {} {secret}\n", "02".repeat(32)),
            format!("CLIENT_RANDOM {} {secret}", "03".repeat(32)),
        ]
        .concat()
    }

    #[test]
    fn how_it_is_cut_does_not_matter() {
        let text = text();
        for cut in Cut::all() {
            let mut reader = KeyLogReader::new();
            let (mut randoms, mut errors) = (Vec::new(), Vec::new());
            let mut counters = KeyLogCounters::default();
            for piece in cut.pieces(text.as_bytes()) {
                let part = reader.read(piece);
                counters.merge(part.counters());
                errors.extend_from_slice(part.errors());
                randoms.extend(part.into_secrets().into_keys().map(|random| random[0]));
            }
            randoms.sort_unstable();
            assert_eq!(randoms, [1, 2], "{cut:?}");
            let places = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(
                places,
                [
                    "line 4, column 15: not a hexadecimal digit",
                    "line 7, column 1: the line is too long"
                ]
            );
            let expected =
                KeyLogCounters { secrets: 2, ignored_labels: 1, unknown_labels: 1, bad_lines: 2 };
            assert_eq!(counters, expected);
        }
    }

    #[test]
    fn the_last_line_of_a_whole_log_needs_no_end() {
        let part = KeyLogReader::whole(text().as_bytes());
        assert_eq!(part.counters().secrets, 3);
        assert_eq!(KeyLogReader::whole(b"").counters(), &KeyLogCounters::default());
    }

    #[test]
    fn errors_are_bounded() {
        let part = KeyLogReader::whole("?\n".repeat(5000).as_bytes());
        assert_eq!((part.errors().len(), part.counters().bad_lines), (MAX_ERRORS, 5000));
    }
}
