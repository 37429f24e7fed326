//! Domain names on the wire (RFC 1035 sections 3.1 and 4.1.4) to text.

use super::DnsError;
use super::message::HEADER_LEN;

/// The most compression pointers followed for one name: a name of 255 bytes
/// has at most 127 labels, and a sensible sender puts a label between pointers.
pub const MAX_POINTERS: usize = 126;

/// The longest name on the wire, with length bytes and root.
const MAX_WIRE_LEN: usize = 255;

/// Writes the name at `start` of `message` over `text` and returns the offset
/// after it.
///
/// The text is printable ASCII in lower case without a trailing dot (the root
/// is empty), escaped as in RFC 1035 section 5.1: `\.` and `\\` inside a label,
/// `\DDD` for what is not printable.
pub(super) fn read(message: &[u8], start: usize, text: &mut String) -> Result<usize, DnsError> {
    text.clear();
    let mut after = None;
    let mut wire_len = 1;
    let mut pointers = 0;
    let mut segment = start;
    let mut at = start;
    loop {
        match step(message, at)? {
            Step::Root => return Ok(after.unwrap_or(at + 1)),
            Step::Label(label) => {
                at += 1 + label.len();
                wire_len += 1 + label.len();
                if wire_len > MAX_WIRE_LEN {
                    return Err(DnsError::NameTooLong);
                }
                push_label(label, text);
            }
            Step::Pointer(target) => {
                after.get_or_insert(at + 2);
                pointers += 1;
                // Each jump goes to before the part of the name it comes from,
                // so there is no loop.
                if target >= segment || target < HEADER_LEN || pointers > MAX_POINTERS {
                    return Err(DnsError::BadPointer);
                }
                segment = target;
                at = target;
            }
        }
    }
}

/// The offset after the name at `start`, which is not otherwise looked at.
pub(super) fn skip(message: &[u8], start: usize) -> Result<usize, DnsError> {
    let mut at = start;
    loop {
        match step(message, at)? {
            Step::Root => return Ok(at + 1),
            Step::Label(label) => at += 1 + label.len(),
            Step::Pointer(_) => return Ok(at + 2),
        }
        if at - start >= MAX_WIRE_LEN {
            return Err(DnsError::NameTooLong);
        }
    }
}

enum Step<'a> {
    Root,
    Label(&'a [u8]),
    Pointer(usize),
}

fn step(message: &[u8], at: usize) -> Result<Step<'_>, DnsError> {
    let first = *message.get(at).ok_or(DnsError::Truncated)?;
    match first {
        0 => Ok(Step::Root),
        1..=0x3f => {
            let label = message.get(at + 1..at + 1 + usize::from(first));
            label.map(Step::Label).ok_or(DnsError::Truncated)
        }
        0x40..=0xbf => Err(DnsError::BadLabel),
        0xc0.. => {
            let second = *message.get(at + 1).ok_or(DnsError::Truncated)?;
            Ok(Step::Pointer(usize::from(first & 0x3f) << 8 | usize::from(second)))
        }
    }
}

fn push_label(label: &[u8], text: &mut String) {
    if !text.is_empty() {
        text.push('.');
    }
    for &byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
            0x21..=0x7e => text.push(char::from(byte.to_ascii_lowercase())),
            _ => text.extend(['\\', digit(byte / 100), digit(byte / 10 % 10), digit(byte % 10)]),
        }
    }
}

fn digit(value: u8) -> char {
    char::from(b'0' + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the name at `at` of a message with these bytes after its header.
    fn read_at(at: usize, after_header: &[u8]) -> Result<(String, usize), DnsError> {
        let message = [&[0; HEADER_LEN], after_header].concat();
        let mut text = "left over".to_owned();
        let after = read(&message, HEADER_LEN + at, &mut text)?;
        Ok((text, after - HEADER_LEN))
    }

    #[test]
    fn names_are_decompressed_and_escaped() {
        let cases: [(usize, &[u8], &str, usize); 9] = [
            (0, b"\0", "", 1),
            (0, b"\x03MCP\x07Example\x03com\0", "mcp.example.com", 17),
            (0, b"\x07_mcp-x1\0", "_mcp-x1", 9),
            (0, b"\x03a.b\x01\\\0", r"a\.b.\\", 7),
            (0, b"\x04a \xc3\xa9\x02\x00\x7f\0", r"a\032\195\169.\000\127", 9),
            (5, b"\x03com\0\x01a\xc0\x0c", "a.com", 9),
            (5, b"\x03com\0\xc0\x0c", "com", 7),
            (9, b"\x03com\0\x01a\xc0\x0c\x01b\xc0\x11", "b.a.com", 13),
            // A pointer into the middle of an earlier name.
            (7, b"\x01a\x03com\0\xc0\x0e", "com", 9),
        ];
        for (at, bytes, text, after) in cases {
            assert_eq!(read_at(at, bytes), Ok((text.to_owned(), after)), "{bytes:?}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        let cases: [(usize, &[u8], DnsError); 10] = [
            (0, b"", DnsError::Truncated),
            (0, b"\x03co", DnsError::Truncated),
            (0, b"\x03com", DnsError::Truncated),
            (0, b"\xc0", DnsError::Truncated),
            (0, b"\x41com\0", DnsError::BadLabel),
            (0, b"\x80\0", DnsError::BadLabel),
            // To itself, forwards, into the header, in a circle.
            (0, b"\xc0\x0c", DnsError::BadPointer),
            (0, b"\xc0\x0e\x01a\0", DnsError::BadPointer),
            (0, b"\xc0\x04", DnsError::BadPointer),
            (2, b"\x01a\xc0\x0c\0", DnsError::BadPointer),
        ];
        for (at, bytes, error) in cases {
            assert_eq!(read_at(at, bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn length_is_bounded() {
        let labels = |count: usize| [b"\x01a".repeat(count), vec![0]].concat();
        let longest = read_at(0, &labels(127)).unwrap();
        assert_eq!((longest.0.len(), longest.1), (253, 255));
        assert_eq!(read_at(0, &labels(128)), Err(DnsError::NameTooLong));
        assert_eq!(skip(&labels(127), 0), Ok(255));
        assert_eq!(skip(&labels(128), 0), Err(DnsError::NameTooLong));
    }

    #[test]
    fn pointers_are_bounded() {
        // A root, then pointers, each to the one before it.
        let chain = |count: usize| {
            let mut bytes = vec![0, 0];
            for index in 0..count {
                let target = HEADER_LEN + 2 * index;
                bytes.extend([0xc0 | (target >> 8) as u8, target as u8]);
            }
            read_at(2 * count, &bytes)
        };
        assert_eq!(chain(MAX_POINTERS), Ok((String::new(), 2 * MAX_POINTERS + 2)));
        assert_eq!(chain(MAX_POINTERS + 1), Err(DnsError::BadPointer));
    }
}
