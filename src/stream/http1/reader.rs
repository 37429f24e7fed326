//! Finds the end of a head that may come in pieces.
//!
//! A head that is whole in the bytes at hand is used where it lies; only one
//! that is split is copied. Each byte is looked at once, so feeding byte by
//! byte costs no more than feeding whole.

use super::head::{RequestLine, StatusLine, can_be_request, can_be_response};
use crate::stream::Direction;

/// Looks for the empty line that ends a head or a trailer section.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlankLine {
    place: Place,
    /// Lines that are not empty, so far.
    pub(super) lines: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    LineStart,
    /// After a carriage return at a line's start.
    CarriageReturn,
    InLine,
}

impl BlankLine {
    /// How many bytes of `data` there are up to the end of the empty line.
    pub(super) fn find(&mut self, data: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = data.get(at) {
            self.place = match (self.place, byte) {
                (Place::LineStart | Place::CarriageReturn, b'\n') => return Some(at + 1),
                (Place::LineStart, b'\r') => Place::CarriageReturn,
                _ => {
                    self.place = Place::InLine;
                    at += memchr::memchr(b'\n', &data[at..])?;
                    self.lines = self.lines.saturating_add(1);
                    Place::LineStart
                }
            };
            at += 1;
        }
        None
    }
}

/// How far the reading of one head has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadReader {
    start_line_seen: bool,
    pub(super) blank: BlankLine,
}

/// What came of reading on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadStep {
    /// All bytes were taken; the head goes on.
    More,
    /// The head is whole.
    Whole { place: HeadPlace, used: usize },
    /// The head reached the cap; the place holds its beginning.
    TooLarge { place: HeadPlace, used: usize },
    /// This is no head. The buffer holds what was taken of it.
    NotAHead { used: usize },
}

/// Where a head lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadPlace {
    /// In the data given, from and to these offsets.
    Data(usize, usize),
    /// In the buffer, all of it.
    Buffer,
}

impl HeadReader {
    /// Reads on in `data`; `buffer` carries what came before.
    pub(super) fn read(
        &mut self,
        direction: Direction,
        data: &[u8],
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> HeadStep {
        let mut skipped = 0;
        if buffer.is_empty() && !self.start_line_seen {
            // RFC 9112 section 2.2: empty lines before a request are ignored.
            skipped = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        }
        let rest = &data[skipped..];
        if rest.is_empty() && !self.start_line_seen {
            return HeadStep::More;
        }
        let room = limit.saturating_sub(buffer.len());
        let window = &rest[..rest.len().min(room)];
        if !self.start_line_seen {
            let line_end = memchr::memchr(b'\n', window);
            let taken = line_end.map_or(window.len(), |end| end + 1);
            let too_long = line_end.is_none() && window.len() < rest.len();
            if too_long || !is_start(direction, buffer, &window[..taken], line_end.is_some()) {
                buffer.extend_from_slice(&window[..taken]);
                return HeadStep::NotAHead { used: skipped + taken };
            }
            self.start_line_seen = line_end.is_some();
        }
        let found = self.blank.find(window);
        let taken = found.unwrap_or(window.len());
        let used = skipped + taken;
        if found.is_none() && window.len() == rest.len() {
            buffer.extend_from_slice(window);
            return HeadStep::More;
        }
        let place = if buffer.is_empty() {
            HeadPlace::Data(skipped, used)
        } else {
            buffer.extend_from_slice(&window[..taken]);
            HeadPlace::Buffer
        };
        match found {
            Some(_) => HeadStep::Whole { place, used },
            None => HeadStep::TooLarge { place, used },
        }
    }
}

/// Whether `buffer` and `piece` together are a start line or can become one.
fn is_start(direction: Direction, buffer: &mut Vec<u8>, piece: &[u8], whole: bool) -> bool {
    if buffer.is_empty() {
        return is_start_line(direction, piece, whole);
    }
    let before = buffer.len();
    if whole {
        buffer.extend_from_slice(piece);
    } else {
        // The first bytes tell; the rest of a long line need not be copied.
        buffer.extend_from_slice(&piece[..piece.len().min(64)]);
    }
    let verdict = is_start_line(direction, buffer, whole);
    buffer.truncate(before);
    verdict
}

fn is_start_line(direction: Direction, line: &[u8], whole: bool) -> bool {
    let content = line.strip_suffix(b"\n").unwrap_or(line);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    match (direction, whole) {
        (Direction::ToServer, true) => RequestLine::parse(content).is_some(),
        (Direction::ToServer, false) => can_be_request(line),
        (Direction::ToClient, true) => StatusLine::parse(content).is_some(),
        (Direction::ToClient, false) => can_be_response(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blank_line_is_found_however_lines_end() {
        for (input, end) in [
            ("a\r\nb\r\n\r\nbody", Some(8)),
            ("a\n\nbody", Some(3)),
            ("a\r\n\nbody", Some(4)),
            ("a\n\r\nbody", Some(4)),
            ("a\r\n\r\r\n\r\n", Some(8)),
            ("\r\n", Some(2)),
            ("a\r\n\r", None),
            ("a\r\nb", None),
            ("", None),
        ] {
            assert_eq!(BlankLine::default().find(input.as_bytes()), end, "{input:?}");
            let mut scan = BlankLine::default();
            let bytewise = input
                .as_bytes()
                .iter()
                .position(|byte| scan.find(std::slice::from_ref(byte)).is_some())
                .map(|at| at + 1);
            assert_eq!(bytewise, end, "{input:?}");
        }
    }
}
