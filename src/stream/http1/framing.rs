//! Where a body ends (RFC 9112 section 6.3).

use crate::stream::{Header, HttpVersion};

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Up to the end of the connection.
    UntilClose,
    /// It cannot be known; a recipient must refuse the message.
    Unknown,
}

/// What the fields of a head say about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyFraming {
    pub(super) framing: Framing,
    /// Two readers may understand the framing differently.
    pub(super) ambiguous: bool,
    /// The body has transfer codings other than `chunked`.
    pub(super) coded: bool,
}

/// Whether a field is one of those that say where the body ends.
pub(super) fn is_framing_field(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// The framing of a request's body. `cut` says that fields may be missing.
pub(super) fn of_request(fields: &[Header<'_>], version: HttpVersion, cut: bool) -> BodyFraming {
    let told = Told::from_fields(fields, version);
    let framing = match told.length {
        _ if told.transfer.final_chunked => Framing::Chunked,
        _ if told.transfer.present() => Framing::Unknown,
        ContentLength::Valid(length) => Framing::Length(length),
        ContentLength::Invalid => Framing::Unknown,
        ContentLength::Absent if cut => Framing::Unknown,
        ContentLength::Absent => Framing::Empty,
    };
    let unfinished = told.transfer.present() && !told.transfer.final_chunked;
    told.verdict(framing, unfinished)
}

/// The framing of the body of a response with `status`; `to_head` says that it
/// answers a HEAD request.
pub(super) fn of_response(
    fields: &[Header<'_>],
    version: HttpVersion,
    status: u16,
    to_head: bool,
    cut: bool,
) -> BodyFraming {
    let told = Told::from_fields(fields, version);
    let framing = match told.length {
        _ if to_head || matches!(status, 100..=199 | 204 | 304) => Framing::Empty,
        _ if told.transfer.final_chunked => Framing::Chunked,
        _ if told.transfer.present() => Framing::UntilClose,
        ContentLength::Valid(length) => Framing::Length(length),
        ContentLength::Invalid => Framing::Unknown,
        ContentLength::Absent if cut => Framing::Unknown,
        ContentLength::Absent => Framing::UntilClose,
    };
    told.verdict(framing, false)
}

/// What the two fields say.
struct Told {
    length: ContentLength,
    transfer: TransferCodings,
    old_version: bool,
}

impl Told {
    fn from_fields(fields: &[Header<'_>], version: HttpVersion) -> Self {
        let mut length = ContentLength::Absent;
        let mut transfer = TransferCodings::default();
        for field in fields {
            if field.name.eq_ignore_ascii_case(b"content-length") {
                length = length.and(field.value);
            } else if field.name.eq_ignore_ascii_case(b"transfer-encoding") {
                transfer.add(field.value);
            }
        }
        Self { length, transfer, old_version: version == HttpVersion::Http10 }
    }

    fn verdict(&self, framing: Framing, unfinished: bool) -> BodyFraming {
        let both = self.transfer.present() && self.length != ContentLength::Absent;
        let ambiguous = both
            || unfinished
            || self.transfer.odd
            || self.length == ContentLength::Invalid
            // RFC 9112 section 6.1: faulty in HTTP/1.0.
            || self.transfer.present() && self.old_version;
        BodyFraming { framing, ambiguous, coded: self.transfer.coded }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentLength {
    Absent,
    Valid(u64),
    /// Not a number, or numbers that differ.
    Invalid,
}

impl ContentLength {
    /// This together with one more field, which may be a list.
    fn and(self, value: &[u8]) -> Self {
        value.split(|&byte| byte == b',').fold(self, |length, member| {
            match (length, parse_decimal(member.trim_ascii())) {
                (Self::Absent, Some(number)) => Self::Valid(number),
                (Self::Valid(known), Some(number)) if known == number => length,
                _ => Self::Invalid,
            }
        })
    }
}

fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[derive(Clone, Copy, Debug, Default)]
struct TransferCodings {
    chunked: bool,
    final_chunked: bool,
    /// Codings other than `chunked`.
    coded: bool,
    /// Something a strict reader refuses.
    odd: bool,
}

impl TransferCodings {
    fn present(self) -> bool {
        self.chunked || self.coded
    }

    fn add(&mut self, value: &[u8]) {
        const CODINGS: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
        for member in value.split(|&byte| byte == b',') {
            let member = member.trim_ascii();
            if member.eq_ignore_ascii_case(b"chunked") {
                self.odd |= self.chunked;
                self.chunked = true;
                self.final_chunked = true;
            } else if member.is_empty() || member.eq_ignore_ascii_case(b"identity") {
                self.odd = true;
            } else {
                let known = CODINGS.iter().any(|name| member.eq_ignore_ascii_case(name));
                self.odd |= !known || self.chunked;
                self.coded = true;
                self.final_chunked = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>(lines: &'a [&'a str]) -> Vec<Header<'a>> {
        lines
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect()
    }

    #[test]
    fn requests_and_responses_are_framed() {
        use Framing::{Chunked, Empty, Length, Unknown, UntilClose};
        type Row<'a> = (&'a [&'a str], Framing, bool, Framing, bool);
        let rows: &[Row<'_>] = &[
            (&[], Empty, false, UntilClose, false),
            (&["Content-Length: 5"], Length(5), false, Length(5), false),
            (&["content-LENGTH: 0"], Length(0), false, Length(0), false),
            (&["Content-Length: 5, 5"], Length(5), false, Length(5), false),
            (&["Content-Length: 5", "Content-Length: 5"], Length(5), false, Length(5), false),
            (&["Content-Length: 5", "Content-Length: 6"], Unknown, true, Unknown, true),
            (&["Content-Length: 5,6"], Unknown, true, Unknown, true),
            (&["Content-Length: +5"], Unknown, true, Unknown, true),
            (&["Content-Length: -1"], Unknown, true, Unknown, true),
            (&["Content-Length: 0x5"], Unknown, true, Unknown, true),
            (&["Content-Length: 18446744073709551616"], Unknown, true, Unknown, true),
            (&["Content-Length: "], Unknown, true, Unknown, true),
            (&["Transfer-Encoding: chunked"], Chunked, false, Chunked, false),
            (&["Transfer-Encoding: CHUNKED"], Chunked, false, Chunked, false),
            (&["Transfer-Encoding: gzip, chunked"], Chunked, false, Chunked, false),
            (
                &["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
                Chunked,
                false,
                Chunked,
                false,
            ),
            (&["Transfer-Encoding: chunked, chunked"], Chunked, true, Chunked, true),
            (&["Transfer-Encoding: chunked, identity"], Chunked, true, Chunked, true),
            (&["Transfer-Encoding: chunked, gzip"], Unknown, true, UntilClose, true),
            (&["Transfer-Encoding: gzip"], Unknown, true, UntilClose, false),
            (&["Transfer-Encoding: xchunked"], Unknown, true, UntilClose, true),
            (&["Transfer-Encoding: \x0bchunked"], Unknown, true, UntilClose, true),
            (
                &["Transfer-Encoding: identity", "Content-Length: 5"],
                Length(5),
                true,
                Length(5),
                true,
            ),
            (&["Transfer-Encoding: chunked", "Content-Length: 5"], Chunked, true, Chunked, true),
            (&["Content-Length: 5", "Transfer-Encoding: x"], Unknown, true, UntilClose, true),
        ];
        for (lines, request, request_ambiguous, response, response_ambiguous) in rows {
            let fields = fields(lines);
            let found = of_request(&fields, HttpVersion::Http11, false);
            assert_eq!(
                (found.framing, found.ambiguous),
                (*request, *request_ambiguous),
                "{lines:?}"
            );
            let found = of_response(&fields, HttpVersion::Http11, 200, false, false);
            assert_eq!(
                (found.framing, found.ambiguous),
                (*response, *response_ambiguous),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn some_responses_have_no_body() {
        let fields = fields(&["Content-Length: 5"]);
        for (status, to_head, expected) in [
            (200, true, Framing::Empty),
            (204, false, Framing::Empty),
            (304, false, Framing::Empty),
            (101, false, Framing::Empty),
            (206, false, Framing::Length(5)),
        ] {
            let found = of_response(&fields, HttpVersion::Http11, status, to_head, false);
            assert_eq!(found.framing, expected, "{status}");
        }
    }

    #[test]
    fn chunks_are_faulty_in_http_1_0() {
        let found =
            of_request(&fields(&["Transfer-Encoding: chunked"]), HttpVersion::Http10, false);
        assert_eq!((found.framing, found.ambiguous), (Framing::Chunked, true));
    }

    #[test]
    fn what_a_cut_head_does_not_say_is_unknown() {
        assert_eq!(of_request(&[], HttpVersion::Http11, true).framing, Framing::Unknown);
        let found = of_response(&[], HttpVersion::Http11, 200, false, true);
        assert_eq!(found.framing, Framing::Unknown);
        let fields = fields(&["Content-Length: 5"]);
        assert_eq!(of_request(&fields, HttpVersion::Http11, true).framing, Framing::Length(5));
    }
}
