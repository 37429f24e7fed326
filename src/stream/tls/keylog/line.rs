//! One line of a key log: `LABEL client-random secret`, in hexadecimal.

use std::fmt;

use super::ClientRandom;
use super::secret::{Label, Secret};

/// What a line holds.
#[derive(Debug)]
pub(super) enum Line {
    Secret(Label, ClientRandom, Secret),
    /// Blank, or a comment.
    Nothing,
    /// A secret that opens no records.
    Ignored,
    /// A label that is not known.
    Unknown,
}

/// What is wrong with a line of a key log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLogErrorKind {
    /// It does not begin with a label.
    NotALabel,
    /// The client random is not there.
    MissingRandom,
    /// The secret is not there.
    MissingSecret,
    /// Something else than a hexadecimal digit.
    NotHexadecimal,
    /// The client random has not 32 bytes.
    RandomLength,
    /// The secret has not as many bytes as such a secret has.
    SecretLength,
    /// Something stands behind the secret.
    TrailingText,
    /// It is longer than any line can be.
    LineTooLong,
}

impl fmt::Display for KeyLogErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotALabel => "not a label of a key log, such as CLIENT_RANDOM",
            Self::MissingRandom => "the client random is missing",
            Self::MissingSecret => "the secret is missing",
            Self::NotHexadecimal => "not a hexadecimal digit",
            Self::RandomLength => "a client random has 64 hexadecimal digits",
            Self::SecretLength => "the secret has a wrong number of hexadecimal digits",
            Self::TrailingText => "text behind the secret",
            Self::LineTooLong => "the line is too long",
        })
    }
}

/// Where and what: the offset from the start of the line.
type LineError = (usize, KeyLogErrorKind);

/// Reads a line without its end.
pub(super) fn parse(line: &[u8]) -> Result<Line, LineError> {
    let line = line.trim_ascii_end();
    // Pasted from a shell, a line may go on with a backslash.
    let line = line.strip_suffix(b"\\").unwrap_or(line).trim_ascii_end();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(Line::Nothing);
    }
    let mut fields = Fields { line, at: 0 };
    let (start, name) = fields.next().unwrap_or_default();
    let is_label = |&byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
    if start > 0 || !name.first().is_some_and(u8::is_ascii_uppercase) || !name.iter().all(is_label)
    {
        return Err((0, KeyLogErrorKind::NotALabel));
    }
    let label = match kind(name) {
        Kind::Label(label) => label,
        Kind::Ignored => return Ok(Line::Ignored),
        Kind::Unknown => return Ok(Line::Unknown),
    };
    let field = fields.next().ok_or((line.len(), KeyLogErrorKind::MissingRandom))?;
    let mut random = ClientRandom::default();
    hex(field, &mut random, KeyLogErrorKind::RandomLength)?;
    let field = fields.next().ok_or((line.len(), KeyLogErrorKind::MissingSecret))?;
    let lengths = label.lengths();
    let len = lengths.iter().find(|&&len| field.1.len() == 2 * len).unwrap_or(&lengths[0]);
    let mut secret = Secret::zeros(*len);
    hex(field, secret.bytes_mut(), KeyLogErrorKind::SecretLength)?;
    match fields.next() {
        Some((at, _)) => Err((at, KeyLogErrorKind::TrailingText)),
        None => Ok(Line::Secret(label, random, secret)),
    }
}

enum Kind {
    Label(Label),
    Ignored,
    Unknown,
}

/// Some QUIC stacks write a prefix before the labels of TLS 1.3.
fn kind(name: &[u8]) -> Kind {
    match name.strip_prefix(b"QUIC_").unwrap_or(name) {
        b"CLIENT_RANDOM" => Kind::Label(Label::Master),
        b"CLIENT_EARLY_TRAFFIC_SECRET" => Kind::Label(Label::ClientEarly),
        b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Kind::Label(Label::ClientHandshake),
        b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Kind::Label(Label::ServerHandshake),
        b"CLIENT_TRAFFIC_SECRET_0" => Kind::Label(Label::ClientApplication),
        b"SERVER_TRAFFIC_SECRET_0" => Kind::Label(Label::ServerApplication),
        b"EXPORTER_SECRET"
        | b"EARLY_EXPORTER_SECRET"
        | b"ECH_SECRET"
        | b"ECH_CONFIG"
        | b"RSA"
        | b"PMS_CLIENT_RANDOM" => Kind::Ignored,
        _ => Kind::Unknown,
    }
}

/// The fields of a line, with their offsets.
struct Fields<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = self.at + self.line[self.at..].iter().position(|byte| !is_space(byte))?;
        let rest = &self.line[start..];
        let len = rest.iter().position(is_space).unwrap_or(rest.len());
        self.at = start + len;
        Some((start, &rest[..len]))
    }
}

/// Decodes digits into `out`, which they must fill.
fn hex(
    (start, digits): (usize, &[u8]),
    out: &mut [u8],
    wrong_length: KeyLogErrorKind,
) -> Result<(), LineError> {
    if let Some(at) = digits.iter().position(|digit| !digit.is_ascii_hexdigit()) {
        return Err((start + at, KeyLogErrorKind::NotHexadecimal));
    }
    if digits.len() != 2 * out.len() {
        return Err((start, wrong_length));
    }
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    for (byte, [high, low]) in out.iter_mut().zip(digits.as_chunks().0) {
        *byte = value(*high) << 4 | value(*low);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Rng;

    fn error(line: &str) -> Option<LineError> {
        parse(line.as_bytes()).err()
    }

    #[test]
    fn every_fault_and_its_place() {
        use KeyLogErrorKind::{
            MissingRandom, MissingSecret, NotALabel, NotHexadecimal, RandomLength, SecretLength,
            TrailingText,
        };
        let random = "0a".repeat(32);
        let secret = "0B".repeat(48);
        for (line, expected) in [
            ("hello world".to_owned(), (0, NotALabel)),
            (" CLIENT_RANDOM".to_owned(), (0, NotALabel)),
            ("\u{feff}CLIENT_RANDOM".to_owned(), (0, NotALabel)),
            ("CLIENT_RANDOM".to_owned(), (13, MissingRandom)),
            (format!("CLIENT_RANDOM {random}"), (78, MissingSecret)),
            (format!("CLIENT_RANDOM {}", &random[2..]), (14, RandomLength)),
            (format!("CLIENT_RANDOM {random}x"), (78, NotHexadecimal)),
            (format!("CLIENT_RANDOM {random} 0g"), (80, NotHexadecimal)),
            (format!("CLIENT_RANDOM {random} {}", &secret[1..]), (79, SecretLength)),
            (format!("CLIENT_RANDOM {random} {}", &secret[..64]), (79, SecretLength)),
            (format!("CLIENT_TRAFFIC_SECRET_0 {random} {}", &secret[..66]), (89, SecretLength)),
            (format!("CLIENT_RANDOM {random} {secret} x"), (176, TrailingText)),
        ] {
            assert_eq!(error(&line), Some(expected), "{line}");
        }
    }

    #[test]
    fn lines_that_say_nothing() {
        for (line, expected) in [
            ("", "Nothing"),
            ("  \t", "Nothing"),
            ("# CLIENT_RANDOM", "Nothing"),
            ("EXPORTER_SECRET aa bb", "Ignored"),
            ("ECH_CONFIG zz", "Ignored"),
            ("SOMETHING_NEW 1 2 3", "Unknown"),
        ] {
            let parsed = parse(line.as_bytes()).map(|line| format!("{line:?}"));
            assert_eq!(parsed.as_deref(), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn spaces_and_line_ends_are_tolerated() {
        for end in [" \r", "\\", " \\ \r"] {
            let line = format!("CLIENT_RANDOM\t{}  {}{end}", "0a".repeat(32), "0B".repeat(48));
            let Ok(Line::Secret(Label::Master, random, secret)) = parse(line.as_bytes()) else {
                panic!("not a secret: {line}");
            };
            assert_eq!(random, [0x0a; 32]);
            assert_eq!(secret.bytes(), [0x0b; 48]);
        }
    }

    #[test]
    fn mutated_lines_never_panic() {
        let line = format!("CLIENT_RANDOM {} {}", "0a".repeat(32), "0B".repeat(48));
        let mut rng = Rng::new(5);
        for _ in 0..20_000 {
            let mut mutated = line.clone().into_bytes();
            rng.mutate(&mut mutated);
            if let Err((at, _)) = parse(&mutated) {
                assert!(at <= mutated.len());
            }
        }
    }
}
