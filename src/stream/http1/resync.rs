//! Finding the next head where the framing was lost.
//!
//! After a gap, or in a connection joined late, bytes are skipped up to a line
//! that ends in a start line and is followed by a field line or an empty one.
//! Both are asked for, because bodies quote HTTP too. The start line need not
//! begin its line: it may follow a body that has no line end.
//!
//! An event stream may go on for as long as its connection, so of the answer to a
//! request a chunk is found too, if it begins with a field of an event.

use super::head::{RequestLine, StatusLine, begins_with_field, is_token_byte};
use super::probe::method_at_end;
use crate::stream::Direction;

/// The longest start line that is found.
const MAX_LINE: usize = 8 * 1024;

/// The longest field name that is accepted as proof.
const MAX_NAME: usize = 128;

/// The state of a search; the buffer that goes with it holds the candidate
/// start line, if there is one, and the line so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resync {
    /// How long the candidate start line in the buffer is.
    candidate: usize,
    /// Whether the events of an answer may come, whose head was lost.
    pub(super) events: bool,
}

impl Resync {
    /// Reads on in `data`, for a head whose start line has `longest` bytes at
    /// most. Where one was found, returns how much of `data` was used; the buffer
    /// then holds the head so far. Skipped bytes are added to `skipped`.
    pub(super) fn search(
        &mut self,
        (direction, longest): (Direction, usize),
        data: &[u8],
        buffer: &mut Vec<u8>,
        skipped: &mut u64,
    ) -> Option<usize> {
        let longest = longest.min(MAX_LINE);
        let mut at = 0;
        while at < data.len() {
            let line_end = memchr::memchr(b'\n', &data[at..]).map(|end| at + end + 1);
            let end = line_end.unwrap_or(data.len());
            if self.candidate > 0 {
                let (used, proof) = self.second_line(&data[at..end], buffer);
                match proof {
                    Some(true) => return Some(at + used),
                    // The candidate is dropped; the line is read as any other.
                    Some(false) => {
                        *skipped += self.candidate as u64;
                        buffer.drain(..self.candidate);
                        self.candidate = 0;
                        at += used;
                        if buffer.ends_with(b"\n") {
                            self.judge_buffer((direction, longest), buffer, skipped);
                        }
                    }
                    None => at += used,
                }
                continue;
            }
            let piece = &data[at..end];
            at = end;
            if line_end.is_some() && buffer.is_empty() {
                let window = &piece[piece.len().saturating_sub(longest)..];
                let start = self.start_line_at_end(direction, window);
                let kept = &window[start.unwrap_or(window.len())..];
                buffer.extend_from_slice(kept);
                self.candidate = kept.len();
                *skipped += (piece.len() - kept.len()) as u64;
            } else {
                append_tail(buffer, piece, skipped);
                if line_end.is_some() {
                    self.judge_buffer((direction, longest), buffer, skipped);
                }
            }
        }
        None
    }

    /// Takes bytes of the line after a candidate: how many, and whether they
    /// prove it.
    fn second_line(&self, piece: &[u8], buffer: &mut Vec<u8>) -> (usize, Option<bool>) {
        let before = buffer.len() - self.candidate;
        let room = (MAX_NAME + 1).saturating_sub(before);
        let used = piece.len().min(room);
        buffer.extend_from_slice(&piece[..used]);
        let line = &buffer[self.candidate..];
        let proof = match line {
            _ if is_chunk_size(&buffer[..self.candidate]) => begins_with_event_field(line),
            b"\n" | b"\r\n" => Some(true),
            b"\r" => None,
            _ => match line.iter().position(|&byte| !is_token_byte(byte)) {
                None if line.len() > MAX_NAME => Some(false),
                None => None,
                Some(_) if begins_with_field(line) => Some(true),
                // White space before the colon may still be tolerated.
                Some(_)
                    if line.len() <= MAX_NAME
                        && line.trim_ascii_end().iter().all(|&byte| is_token_byte(byte))
                        && !line.ends_with(b"\n") =>
                {
                    None
                }
                Some(_) => Some(false),
            },
        };
        (used, proof)
    }

    /// Looks for a start line at the end of the whole line in the buffer.
    fn judge_buffer(
        &mut self,
        (direction, longest): (Direction, usize),
        buffer: &mut Vec<u8>,
        skipped: &mut u64,
    ) {
        let window = buffer.len().saturating_sub(longest);
        let start = match self.start_line_at_end(direction, &buffer[window..]) {
            Some(at) => window + at,
            None => buffer.len(),
        };
        *skipped += start as u64;
        buffer.drain(..start);
        self.candidate = buffer.len();
    }

    /// Where in `line` a start line begins that ends with the line.
    fn start_line_at_end(self, direction: Direction, line: &[u8]) -> Option<usize> {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        match direction {
            Direction::ToServer => request_line_at_end(content),
            Direction::ToClient if self.events && is_chunk_size(line) => Some(0),
            Direction::ToClient => {
                let at = memchr::memmem::rfind(content, b"HTTP/1.")?;
                StatusLine::parse(&content[at..]).map(|_| at)
            }
        }
    }
}

/// Appends to the line in the buffer, of which only the end is of interest.
fn append_tail(buffer: &mut Vec<u8>, piece: &[u8], skipped: &mut u64) {
    let tail = &piece[piece.len().saturating_sub(MAX_LINE)..];
    *skipped += (piece.len() - tail.len()) as u64;
    if buffer.len() + tail.len() > 2 * MAX_LINE {
        let surplus = (buffer.len() + tail.len() - MAX_LINE).min(buffer.len());
        *skipped += surplus as u64;
        buffer.drain(..surplus);
    }
    buffer.extend_from_slice(tail);
}

/// Whether what was found is a chunk and not a head.
pub(super) fn begins_with_chunk(found: &[u8]) -> bool {
    let end = memchr::memchr(b'\n', found).map_or(0, |end| end + 1);
    is_chunk_size(&found[..end])
}

/// Whether a line is the size of a chunk, as senders of events write it.
fn is_chunk_size(line: &[u8]) -> bool {
    let Some(digits) = line.strip_suffix(b"\r\n") else { return false };
    matches!(digits.len(), 1..=8) && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a line begins like one of an event stream; not known of too short a piece.
fn begins_with_event_field(line: &[u8]) -> Option<bool> {
    let fields: [&[u8]; 4] = [b"event:", b"data:", b"id:", b"retry:"];
    if fields.iter().any(|field| line.starts_with(field)) {
        return Some(true);
    }
    (!fields.iter().any(|field| field.starts_with(line))).then_some(false)
}

fn request_line_at_end(line: &[u8]) -> Option<usize> {
    let version = line.len().checked_sub(b" HTTP/1.1".len())?;
    if !line[version..].starts_with(b" HTTP/1.") {
        return None;
    }
    let target = memchr::memrchr(b' ', &line[..version])?;
    let before = &line[..target];
    let word = memchr::memrchr2(b' ', b'\t', before).map_or(0, |space| space + 1);
    let start = word + method_at_end(&before[word..])?;
    RequestLine::parse(&line[start..]).map(|_| start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Cut;

    fn search(direction: Direction, input: &[u8], cut: Cut) -> Option<(Vec<u8>, u64, usize)> {
        let mut resync = Resync { events: true, ..Resync::default() };
        let (mut buffer, mut skipped, mut at) = (Vec::new(), 0, 0);
        for piece in cut.pieces(input) {
            if let Some(used) =
                resync.search((direction, MAX_LINE), piece, &mut buffer, &mut skipped)
            {
                return Some((buffer, skipped, at + used));
            }
            at += piece.len();
            assert!(buffer.len() <= 3 * MAX_LINE);
        }
        None
    }

    #[test]
    fn heads_are_found_amid_other_bytes() {
        let long = format!("{}POST / HTTP/1.1\r\nHost: h\r\n", "x".repeat(50_000));
        let far = format!("GET /{} HTTP/1.1\r\nHost: h\r\n", "x".repeat(MAX_LINE));
        let server: &[(&str, &str, Option<u64>)] = &[
            ("at once", "POST /mcp HTTP/1.1\r\nHost: h\r\n", Some(0)),
            ("no fields", "GET / HTTP/1.0\r\n\r\n", Some(0)),
            ("after a line", "ept: x\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n", Some(10)),
            ("after a body", "{\"a\":1}POST /mcp HTTP/1.1\r\nHost: h\r\n", Some(7)),
            ("quoted", "say: GET / HTTP/1.1\nor not\nGET / HTTP/1.1\nA: b\n", Some(27)),
            ("twice", "GET /a HTTP/1.1\nGET /b HTTP/1.1\nA: b\n", Some(16)),
            ("after a long line", &long, Some(50_000)),
            ("too long a line", &far, None),
            ("unknown method after a body", "}FROB / HTTP/1.1\r\nA: b\r\n", None),
            ("lower case word", "see / HTTP/1.1\r\nA: b\r\n", None),
            ("a response", "HTTP/1.1 200 OK\r\nA: b\r\n", None),
            ("no second line", "GET / HTTP/1.1\r\n", None),
            ("space before the colon", "GET / HTTP/1.1\r\nA : b\r\n", Some(0)),
        ];
        let client: &[(&str, &str, Option<u64>)] = &[
            ("at once", "HTTP/1.1 200 OK\r\nServer: x\r\n", Some(0)),
            ("interim", "HTTP/1.1 100 Continue\r\n\r\n", Some(0)),
            ("after a body", "</html>HTTP/1.1 404 Not Found\r\nA: b\r\n", Some(7)),
            ("a request", "GET / HTTP/1.1\r\nA: b\r\n", None),
            ("prose", "HTTP/1.1 200 OK\r\nis what I said\r\n", None),
            ("an event in a chunk", "2f\r\nevent: message\r\n", Some(0)),
            ("the next event", "a\": 1}\r\n\r\n\r\n1F\r\ndata: x\r\n", Some(12)),
            ("a number", "12\r\nVersion: x\r\n", None),
            ("not in a chunk", "x\r\nevent: message\r\ndata: x\r\n", None),
        ];
        for (direction, rows) in [(Direction::ToServer, server), (Direction::ToClient, client)] {
            for (name, input, expected) in rows {
                for cut in Cut::all() {
                    let found = search(direction, input.as_bytes(), cut);
                    let skipped = found.as_ref().map(|found| found.1);
                    assert_eq!(skipped, *expected, "{name}, {cut:?}");
                    if let Some((head, skipped, used)) = found {
                        let expected = &input.as_bytes()[skipped as usize..used];
                        assert_eq!(head, expected, "{name}, {cut:?}");
                    }
                }
            }
        }
    }
}
