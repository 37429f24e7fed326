//! Is this HTTP/1? Told from the first bytes of a direction.

use super::head::{RequestLine, can_be_request, is_token};

/// The longest first line that is waited for.
const MAX_LINE: usize = 2048;

/// Methods seen in the wild: these need less proof than others.
const METHODS: [&[u8]; 24] = [
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"QUERY",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"NOTIFY",
    b"PURGE",
    b"M-SEARCH",
];

/// What the first bytes of a direction look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// An HTTP/1 request.
    Request,
    /// An HTTP/1 response.
    Response,
    /// More bytes are needed.
    Unsure,
    /// Not HTTP/1.
    No,
}

/// Says what `data`, the first bytes of a direction, look like. An answer other
/// than [`Probe::Unsure`] does not change with more bytes. The preface of
/// HTTP/2 is not HTTP/1; nor are RTSP and SIP, which look alike.
pub fn probe(data: &[u8]) -> Probe {
    const RESPONSE: &[u8] = b"HTTP/1.";
    let start = data.trim_ascii_start();
    if start.is_empty() {
        return if data.len() > 16 { Probe::No } else { Probe::Unsure };
    }
    if start.starts_with(RESPONSE) {
        return Probe::Response;
    }
    if RESPONSE.starts_with(start) {
        return Probe::Unsure;
    }
    probe_request(start)
}

fn probe_request(start: &[u8]) -> Probe {
    if !can_be_request(start) {
        return Probe::No;
    }
    let line_end = memchr::memchr(b'\n', &start[..start.len().min(MAX_LINE)]);
    let line = &start[..line_end.unwrap_or(start.len())];
    let Some(space) = line.iter().position(|byte| matches!(byte, b' ' | b'\t')) else {
        return if line_end.is_some() { Probe::No } else { Probe::Unsure };
    };
    let target = &line[space + 1..];
    if is_known_method(&line[..space]) && begins_like_http_target(target) {
        return Probe::Request;
    }
    match line_end {
        Some(_) if RequestLine::parse(line).is_some() => Probe::Request,
        Some(_) => Probe::No,
        None if start.len() >= MAX_LINE => Probe::No,
        None => Probe::Unsure,
    }
}

/// A target that no look-alike protocol has.
fn begins_like_http_target(target: &[u8]) -> bool {
    const SCHEME: &[u8] = b"http";
    target.starts_with(b"/")
        || target.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}

pub(super) fn is_known_method(method: &[u8]) -> bool {
    METHODS.iter().any(|known| method.eq_ignore_ascii_case(known))
}

/// Where in `bytes` a method that ends them begins: the whole of them if they
/// are one, else the longest known method.
pub(super) fn method_at_end(bytes: &[u8]) -> Option<usize> {
    let is_upper = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    if is_known_method(bytes) || is_token(bytes) && bytes.iter().all(is_upper) {
        return Some(0);
    }
    let longest =
        METHODS.iter().filter(|known| bytes.ends_with(known)).map(|known| known.len()).max()?;
    Some(bytes.len() - longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell() {
        for (input, expected) in [
            ("GET / HTTP/1.1\r\n", Probe::Request),
            ("POST /mcp", Probe::Request),
            ("\r\nPOST /mcp", Probe::Request),
            ("post /mcp", Probe::Request),
            ("GET http://h/", Probe::Request),
            ("CONNECT h:443 HTTP/1.1\r\n", Probe::Request),
            ("OPTIONS * HTTP/1.1\n", Probe::Request),
            ("FROB /x HTTP/1.0\r\n", Probe::Request),
            ("HTTP/1.1 200 OK", Probe::Response),
            ("HTTP/1.", Probe::Response),
            ("HTTP/2 ", Probe::No),
            ("HTT", Probe::Unsure),
            ("GE", Probe::Unsure),
            ("FROB /x", Probe::Unsure),
            ("CONNECT h:443", Probe::Unsure),
            ("", Probe::Unsure),
            ("\r\n", Probe::Unsure),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Probe::No),
            ("OPTIONS * RTSP/1.0\r\n", Probe::No),
            ("OPTIONS sip:a@b SIP/2.0\r\n", Probe::No),
            ("INVITE sip:a@b SIP/2.0\r\n", Probe::No),
            ("EHLO host\r\n", Probe::No),
            ("SSH-2.0-OpenSSH_9\r\n", Probe::No),
            ("GET\r\n", Probe::No),
            ("\u{16}\u{3}\u{1}\u{2}", Probe::No),
            ("{\"jsonrpc\"", Probe::No),
        ] {
            assert_eq!(probe(input.as_bytes()), expected, "{input:?}");
            let first = (0..=input.len())
                .map(|len| probe(&input.as_bytes()[..len]))
                .find(|probe| *probe != Probe::Unsure);
            assert_eq!(first.unwrap_or(Probe::Unsure), expected, "{input:?} byte by byte");
        }
        assert_eq!(probe(&[b'A'; 40]), Probe::No);
        assert_eq!(probe(&[b"FROB ".as_slice(), &[b'x'; MAX_LINE]].concat()), Probe::No);
    }

    #[test]
    fn a_method_may_follow_a_body() {
        for (input, expected) in [
            ("POST", Some(0)),
            ("}POST", Some(1)),
            ("FROB", Some(0)),
            ("}FROB", None),
            ("xGET", Some(1)),
            ("}UNSUBSCRIBE", Some(1)),
            ("", None),
        ] {
            assert_eq!(method_at_end(input.as_bytes()), expected, "{input:?}");
        }
    }
}
