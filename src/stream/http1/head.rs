//! One head: start line and field lines (RFC 9112 sections 3 to 5).
//!
//! Written here rather than taken from a crate because a passive reader must
//! make something of every head that some endpoint accepts: bare line feeds,
//! folded lines, white space before a colon, heads of which the end was lost.
//! Parsers made for endpoints rightly refuse these.

use super::framing::is_framing_field;
use super::probe::is_known_method;
use crate::stream::{Header, HttpVersion};

/// Fields of a head that are kept.
pub(super) const MAX_FIELDS: usize = 256;

/// Of these, kept free for fields that say where the body ends.
const RESERVED_FIELDS: usize = 4;

/// Heads of no more lines than this use a small array.
const FEW_FIELDS: usize = 64;

/// The longest method: a longer token is not one.
const MAX_METHOD: usize = 32;

/// The first line of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) version: HttpVersion,
    /// Not exactly two single spaces.
    pub(super) irregular: bool,
}

impl<'a> RequestLine<'a> {
    /// Parses a line without its end.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let trimmed = line.trim_ascii_end();
        let space = trimmed.iter().rposition(|&byte| is_blank(byte))?;
        let version = version(&trimmed[space + 1..])?;
        let (method, rest) = split_method(&trimmed[..space])?;
        let target = rest.trim_ascii();
        let spaced = target.iter().any(u8::is_ascii_whitespace);
        let irregular = spaced || target.len() != rest.len() || trimmed.len() != line.len();
        // Prose that ends in a request line is not one.
        let plausible = !target.is_empty() && (!spaced || is_known_method(method));
        plausible.then_some(Self { method, target, version, irregular })
    }

    /// Parses a line of which the end was lost, if it has the whole target.
    pub(super) fn parse_cut(line: &'a [u8]) -> Option<Self> {
        let (method, rest) = split_method(line)?;
        let end = rest.iter().position(|&byte| is_blank(byte))?;
        let (target, tail) = rest.split_at(end);
        let tail = tail.trim_ascii_start();
        let plausible = tail.starts_with(b"HTTP/1.") || b"HTTP/1.".starts_with(tail);
        let version = version(tail).unwrap_or(HttpVersion::Http11);
        (plausible && !target.is_empty()).then_some(Self {
            method,
            target,
            version,
            irregular: false,
        })
    }
}

/// The first line of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine {
    pub(super) version: HttpVersion,
    pub(super) status: u16,
}

impl StatusLine {
    /// Parses a line without its end, or a line of which the end was lost.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let version = version(line.get(..8)?)?;
        let rest = &line[8..];
        let code = rest.trim_ascii_start();
        let (&[a, b, c], tail) = code.split_first_chunk()?;
        let digits = [a, b, c].map(|byte| u16::from(byte.wrapping_sub(b'0')));
        let valid = code.len() < rest.len()
            && digits.iter().all(|&digit| digit < 10)
            && digits[0] > 0
            && tail.first().is_none_or(u8::is_ascii_whitespace);
        let status = digits[0] * 100 + digits[1] * 10 + digits[2];
        valid.then_some(Self { version, status })
    }
}

/// What was found out about the field lines of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldsReport {
    pub(super) count: usize,
    /// More fields than are kept.
    pub(super) too_many: bool,
    /// A line was not as RFC 9112 wants it.
    pub(super) irregular: bool,
    /// A field that says where the body ends was one that some readers take
    /// and others do not.
    pub(super) blurred_framing: bool,
}

/// Parses the field lines of a head and calls `take` with them. `lines` is how
/// many there are at most. A last line without its end is left out.
pub(super) fn with_fields<R>(
    block: &[u8],
    lines: usize,
    take: impl FnOnce(&[Header<'_>], FieldsReport) -> R,
) -> R {
    const EMPTY: Header<'_> = Header { name: b"", value: b"" };
    if lines <= FEW_FIELDS - RESERVED_FIELDS {
        let mut fields = [EMPTY; FEW_FIELDS];
        let report = parse_fields(block, &mut fields);
        take(&fields[..report.count], report)
    } else {
        let mut fields = [EMPTY; MAX_FIELDS];
        let report = parse_fields(block, &mut fields);
        take(&fields[..report.count], report)
    }
}

/// Fills `fields`. The value of a folded field keeps its line break: joining
/// would need a copy.
fn parse_fields<'a>(block: &'a [u8], fields: &mut [Header<'a>]) -> FieldsReport {
    let mut report = FieldsReport::default();
    // Where the value of the last field begins, while it may be continued.
    let mut open_value = None;
    let mut at = 0;
    while let Some(len) = memchr::memchr(b'\n', &block[at..]) {
        let end = at + len;
        let line = &block[at..end];
        let start = std::mem::replace(&mut at, end + 1);
        let line = line.strip_suffix(b"\r").unwrap_or_else(|| {
            report.irregular = true;
            line
        });
        let Some(&first) = line.first() else { break };
        if is_blank(first) {
            report.irregular = true;
            if let (Some(from), Some(field)) = (open_value, last(fields, report.count)) {
                field.value = block[from..end].trim_ascii();
                report.blurred_framing |= is_framing_field(field.name);
            }
            continue;
        }
        open_value = None;
        let Some(colon) = memchr::memchr(b':', line) else {
            report.irregular = true;
            continue;
        };
        let name = line[..colon].trim_ascii_end();
        let framing = is_framing_field(name);
        if name.len() != colon {
            report.irregular = true;
            report.blurred_framing |= framing;
        }
        if !is_token(name) {
            report.irregular = true;
        }
        let room = if framing { fields.len() } else { fields.len() - RESERVED_FIELDS };
        if report.count >= room {
            report.too_many = true;
            continue;
        }
        fields[report.count] = Header { name, value: line[colon + 1..].trim_ascii() };
        report.count += 1;
        open_value = Some(start + colon + 1);
    }
    report
}

fn last<'f, 'a>(fields: &'f mut [Header<'a>], count: usize) -> Option<&'f mut Header<'a>> {
    fields.get_mut(count.checked_sub(1)?)
}

/// Whether the first bytes of a message, before its first line is whole, can
/// become a request line.
pub(super) fn can_be_request(start: &[u8]) -> bool {
    let window = &start[..start.len().min(MAX_METHOD + 1)];
    match window.iter().position(|&byte| is_blank(byte)) {
        Some(space) => is_token(&window[..space]),
        None => window.len() <= MAX_METHOD && window.iter().all(|&byte| is_token_byte(byte)),
    }
}

/// The same for a status line.
pub(super) fn can_be_response(start: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/1.";
    start.starts_with(START) || START.starts_with(start)
}

/// Whether `line` begins with a field name and colon.
pub(super) fn begins_with_field(line: &[u8]) -> bool {
    memchr::memchr(b':', line).is_some_and(|colon| is_token(line[..colon].trim_ascii_end()))
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn split_method(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().take(MAX_METHOD + 1).position(|&byte| is_blank(byte))?;
    let (method, rest) = line.split_at(end);
    is_token(method).then_some((method, &rest[1..]))
}

/// A version of HTTP/1: a minor version above 1 is to be read as 1.1.
fn version(bytes: &[u8]) -> Option<HttpVersion> {
    match bytes.strip_prefix(b"HTTP/1.")? {
        b"0" => Some(HttpVersion::Http10),
        [b'1'..=b'9'] => Some(HttpVersion::Http11),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        type Row<'a> = (&'a str, Option<(&'a str, &'a str, HttpVersion, bool)>);
        let rows: [Row<'_>; 16] = [
            ("POST /mcp HTTP/1.1", Some(("POST", "/mcp", HttpVersion::Http11, false))),
            ("GET / HTTP/1.0", Some(("GET", "/", HttpVersion::Http10, false))),
            ("GET / HTTP/1.2", Some(("GET", "/", HttpVersion::Http11, false))),
            ("post /mcp HTTP/1.1", Some(("post", "/mcp", HttpVersion::Http11, false))),
            ("X!Y * HTTP/1.1", Some(("X!Y", "*", HttpVersion::Http11, false))),
            ("GET  /a HTTP/1.1", Some(("GET", "/a", HttpVersion::Http11, true))),
            ("GET\t/a\tHTTP/1.1 ", Some(("GET", "/a", HttpVersion::Http11, true))),
            ("GET /a b HTTP/1.1", Some(("GET", "/a b", HttpVersion::Http11, true))),
            ("rest of a body}POST /a HTTP/1.1", None),
            ("GET / HTTP/2.0", None),
            ("GET / HTTP/1.1x", None),
            ("GET / http/1.1", None),
            ("GET /", None),
            ("GET HTTP/1.1", None),
            (" GET / HTTP/1.1", None),
            ("G\u{e9}T / HTTP/1.1", None),
        ];
        for (line, expected) in rows {
            let expected = expected.map(|(method, target, version, irregular)| RequestLine {
                method: method.as_bytes(),
                target: target.as_bytes(),
                version,
                irregular,
            });
            assert_eq!(RequestLine::parse(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn cut_request_lines_need_their_target() {
        for (line, target) in [
            ("GET /mcp HTTP/1.", Some("/mcp")),
            ("GET /mcp H", Some("/mcp")),
            ("GET /mcp ", Some("/mcp")),
            ("GET /mcp", None),
            ("GET ", None),
            ("GET /a b", None),
            ("G", None),
        ] {
            let parsed = RequestLine::parse_cut(line.as_bytes()).map(|line| line.target);
            assert_eq!(parsed, target.map(str::as_bytes), "{line:?}");
        }
    }

    #[test]
    fn status_lines() {
        for (line, status) in [
            ("HTTP/1.1 200 OK", Some(200)),
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/1.0 404 ", Some(404)),
            ("HTTP/1.1  503 x", Some(503)),
            ("HTTP/1.1 200OK", None),
            ("HTTP/1.1 20", None),
            ("HTTP/1.1 099 x", None),
            ("HTTP/1.1 2x0 x", None),
            ("HTTP/1.1200 x", None),
            ("HTTP/2 200", None),
            ("ICY 200 OK", None),
            ("", None),
        ] {
            let parsed = StatusLine::parse(line.as_bytes()).map(|line| line.status);
            assert_eq!(parsed, status, "{line:?}");
        }
    }

    fn fields(block: &str) -> (Vec<(String, String)>, FieldsReport) {
        with_fields(block.as_bytes(), block.matches('\n').count(), |fields, report| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (fields.iter().map(|field| (text(field.name), text(field.value))).collect(), report)
        })
    }

    #[test]
    fn field_lines() {
        type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], bool, bool);
        let rows: &[Row<'_>] = &[
            ("usual", "A: b\r\nc:d\r\n\r\n", &[("A", "b"), ("c", "d")], false, false),
            ("empty value", "A:\r\nB: \r\n\r\n", &[("A", ""), ("B", "")], false, false),
            ("colon in value", "Host: h:1\r\n\r\n", &[("Host", "h:1")], false, false),
            ("bare line feeds", "A: b\nC: d\n\n", &[("A", "b"), ("C", "d")], true, false),
            ("space before colon", "A : b\r\n\r\n", &[("A", "b")], true, false),
            (
                "space before framing colon",
                "Content-Length : 5\r\n\r\n",
                &[("Content-Length", "5")],
                true,
                true,
            ),
            (
                "folded",
                "A: b\r\n\tc\r\nD: e\r\n\r\n",
                &[("A", "b\r\n\tc"), ("D", "e")],
                true,
                false,
            ),
            (
                "folded framing",
                "Transfer-Encoding:\r\n chunked\r\n\r\n",
                &[("Transfer-Encoding", "chunked")],
                true,
                true,
            ),
            ("fold after nothing", " A: b\r\nC: d\r\n\r\n", &[("C", "d")], true, false),
            ("fold after no field", "A: b\r\nx\r\n y\r\n\r\n", &[("A", "b")], true, false),
            ("no colon", "A\r\nB: c\r\n\r\n", &[("B", "c")], true, false),
            ("no name", ": a\r\nB: c\r\n\r\n", &[("", "a"), ("B", "c")], true, false),
            ("odd name", "A b: c\r\n\r\n", &[("A b", "c")], true, false),
            ("cut line", "A: b\r\nC: d", &[("A", "b")], false, false),
            ("after the blank line", "A: b\r\n\r\nC: d\r\n", &[("A", "b")], false, false),
            ("none", "", &[], false, false),
        ];
        for (name, block, expected, irregular, blurred_framing) in rows {
            let (found, report) = fields(block);
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            assert_eq!(found, expected, "{name}");
            assert_eq!(
                (report.irregular, report.blurred_framing),
                (*irregular, *blurred_framing),
                "{name}"
            );
        }
    }

    #[test]
    fn fields_are_capped_but_framing_is_kept() {
        let mut block: String = (0..300).map(|number| format!("a{number}: b\r\n")).collect();
        block.push_str("Content-Length: 5\r\n\r\n");
        let (found, report) = fields(&block);
        assert!(report.too_many);
        assert_eq!(report.count, MAX_FIELDS - RESERVED_FIELDS + 1);
        assert_eq!(found.last().map(|field| field.0.as_str()), Some("Content-Length"));
    }
}
