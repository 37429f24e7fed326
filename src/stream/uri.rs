//! Request targets and hosts in one comparable form.
//!
//! In: a request target or authority as sent. Out: its parts (RFC 3986
//! section 3, RFC 9112 section 3.2), and on demand the normalised path and host
//! (RFC 3986 section 6.2.2), written into a buffer of the caller. Everything
//! works on bytes and is total: what is malformed stays as it is.

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Scheme of an absolute-form target.
    pub scheme: Option<&'a [u8]>,
    /// Authority of an absolute-form target.
    pub authority: Option<&'a [u8]>,
    /// Path as sent, without query and fragment; `*` of an asterisk-form.
    pub path: &'a [u8],
    /// Query as sent, without `?`.
    pub query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Takes a target in origin-form, absolute-form or asterisk-form apart. The
    /// authority-form of a CONNECT is for [`Authority::parse`].
    pub fn parse(target: &'a [u8]) -> Self {
        let (scheme, authority, rest) = match split_scheme(target) {
            Some((scheme, after)) => {
                let end = find(after, |byte| matches!(byte, b'/' | b'?' | b'#'));
                (Some(scheme), Some(&after[..end]), &after[end..])
            }
            None => (None, None, target),
        };
        let rest = &rest[..find(rest, |byte| byte == b'#')];
        let (path, query) = match split_once(rest, b'?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Self { scheme, authority, path, query }
    }
}

/// Writes the normalised form of `path` over `out`: percent-decoded once, then
/// without dot segments (RFC 3986 section 5.2.4).
///
/// Decoding comes first, so that an encoded dot or slash cannot hide a segment;
/// a `%` that is not followed by two hexadecimal digits stays. Empty segments
/// (`//`) stay. An empty path is `/`.
pub fn normalise_path(path: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend(percent_decoded(path, false));
    remove_dot_segments(out);
    if out.is_empty() {
        out.push(b'/');
    }
}

/// Host and port of an authority, without user information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Host as sent; an IPv6 address without its brackets.
    pub host: &'a [u8],
    /// Port, where a valid one is given.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Takes `authority` (a `Host` or `:authority` value, the authority of a
    /// URI, the target of a CONNECT) apart.
    pub fn parse(authority: &'a [u8]) -> Self {
        let authority = authority.trim_ascii();
        let authority = match memchr::memrchr(b'@', authority) {
            Some(at) => &authority[at + 1..],
            None => authority,
        };
        if let Some(literal) = authority.strip_prefix(b"[") {
            let (host, rest) = split_once(literal, b']').unwrap_or((literal, b""));
            return Self { host, port: rest.strip_prefix(b":").and_then(parse_port) };
        }
        match split_once(authority, b':') {
            // An IPv6 address that lacks its brackets.
            Some((_, rest)) if rest.contains(&b':') => Self { host: authority, port: None },
            Some((host, port)) => Self { host, port: parse_port(port) },
            None => Self { host: authority, port: None },
        }
    }

    /// Writes the normalised host over `out`: lower case, without the dot of a
    /// fully qualified name. Internationalised names stay A-labels.
    pub fn normalise_host(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.host.strip_suffix(b".").unwrap_or(self.host));
        out.make_ascii_lowercase();
    }
}

/// The parameters of a query (`application/x-www-form-urlencoded`), in order;
/// one without `=` has an empty value.
pub fn query_pairs(query: &[u8]) -> impl Iterator<Item = (Encoded<'_>, Encoded<'_>)> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = split_once(pair, b'=').unwrap_or((pair, b""));
        (Encoded(name), Encoded(value))
    })
}

/// A name or value of a query, decoded (percent and plus) on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded<'a>(pub &'a [u8]);

impl<'a> Encoded<'a> {
    /// The decoded bytes.
    pub fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        percent_decoded(self.0, true)
    }

    /// Whether the decoded bytes are `plain`.
    pub fn is(self, plain: &[u8]) -> bool {
        self.bytes().eq(plain.iter().copied())
    }

    /// Writes the decoded bytes over `out`.
    pub fn decode_into(self, out: &mut Vec<u8>) {
        out.clear();
        out.extend(self.bytes());
    }
}

fn percent_decoded(mut rest: &[u8], plus_is_space: bool) -> impl Iterator<Item = u8> + '_ {
    std::iter::from_fn(move || {
        let (byte, used) = match rest {
            [] => return None,
            [b'%', high, low, ..] => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            [b'+', ..] if plus_is_space => (b' ', 1),
            [byte, ..] => (*byte, 1),
        };
        rest = &rest[used..];
        Some(byte)
    })
}

pub(super) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986 section 5.2.4, in place. Linear: what is written and taken back is
/// written once.
fn remove_dot_segments(path: &mut Vec<u8>) {
    let mut read = 0;
    let mut written = 0;
    while read < path.len() {
        let slash = usize::from(path[read] == b'/');
        let start = read + slash;
        let end = start + find(&path[start..], |byte| byte == b'/');
        let last = end == path.len();
        let segment = &path[start..end];
        if segment == b"." || segment == b".." {
            if segment == b".." {
                written = memchr::memrchr(b'/', &path[..written]).unwrap_or(0);
            }
            // Without a slash before it (`./a`), the segment goes with the
            // slash after it.
            if slash == 0 {
                read = (end + 1).min(path.len());
                continue;
            }
            if last {
                path[written] = b'/';
                written += 1;
            }
        } else {
            path.copy_within(read..end, written);
            written += end - read;
        }
        read = end;
    }
    path.truncate(written);
}

/// Splits `scheme://rest`.
fn split_scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', target)?;
    let (scheme, rest) = target.split_at(colon);
    let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    rest.strip_prefix(b"://").filter(|_| valid).map(|rest| (scheme, rest))
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// The index of the first byte that `matches`, or the length.
fn find(bytes: &[u8], matches: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| matches(byte)).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Rng;

    fn path(input: &str) -> String {
        let mut out = b"left over".to_vec();
        normalise_path(input.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn paths_are_normalised() {
        for (input, expected) in [
            ("", "/"),
            ("/", "/"),
            ("*", "*"),
            ("/mcp", "/mcp"),
            ("/mcp/", "/mcp/"),
            ("/%6dcp", "/mcp"),
            ("/%6Dcp", "/mcp"),
            ("/a/b/c/./../../g", "/a/g"),
            ("mid/content=5/../6", "mid/6"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/../../mcp", "/mcp"),
            ("../mcp", "mcp"),
            ("./mcp", "mcp"),
            (".", "/"),
            ("..", "/"),
            ("/...", "/..."),
            ("/.mcp", "/.mcp"),
            ("//mcp", "//mcp"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("/x/%2e%2e/mcp", "/mcp"),
            ("/x/%2e/mcp", "/x/mcp"),
            ("/x%2f..%2Fmcp", "/mcp"),
            ("/%256dcp", "/%6dcp"),
            ("/100%", "/100%"),
            ("/100%2", "/100%2"),
            ("/100%zz", "/100%zz"),
            ("/a+b", "/a+b"),
            ("a/../b", "/b"),
        ] {
            assert_eq!(path(input), expected, "{input:?}");
        }
    }

    #[test]
    fn dot_removal_is_idempotent_and_never_grows() {
        let mut rng = Rng::new(11);
        for _ in 0..5000 {
            let input: Vec<u8> = (0..rng.below(24)).map(|_| b"/./.a/"[rng.below(6)]).collect();
            let mut once = input.clone();
            remove_dot_segments(&mut once);
            let mut twice = once.clone();
            remove_dot_segments(&mut twice);
            assert!(once.len() <= input.len());
            assert_eq!(once, twice, "{:?}", String::from_utf8_lossy(&input));
        }
    }

    #[test]
    fn targets_are_taken_apart() {
        type Row<'a> = (&'a str, Option<&'a str>, Option<&'a str>, &'a str, Option<&'a str>);
        let rows: [Row<'_>; 10] = [
            ("/mcp?a=b#c", None, None, "/mcp", Some("a=b")),
            ("/mcp#c?d", None, None, "/mcp", None),
            ("/?", None, None, "/", Some("")),
            ("*", None, None, "*", None),
            ("http://h:8000/sse", Some("http"), Some("h:8000"), "/sse", None),
            ("HTTPS://h?x", Some("HTTPS"), Some("h"), "", Some("x")),
            ("http://h", Some("http"), Some("h"), "", None),
            ("/redirect?to=http://h/", None, None, "/redirect", Some("to=http://h/")),
            ("1http://h/", None, None, "1http://h/", None),
            ("", None, None, "", None),
        ];
        for (input, scheme, authority, path, query) in rows {
            let expected = Target {
                scheme: scheme.map(str::as_bytes),
                authority: authority.map(str::as_bytes),
                path: path.as_bytes(),
                query: query.map(str::as_bytes),
            };
            assert_eq!(Target::parse(input.as_bytes()), expected, "{input:?}");
        }
    }

    #[test]
    fn hosts_are_normalised() {
        for (input, host, port) in [
            ("MCP.Example.COM.", "mcp.example.com", None),
            ("mcp.example.com.:443", "mcp.example.com", Some(443)),
            ("localhost:8000", "localhost", Some(8000)),
            ("user:pass@h:1", "h", Some(1)),
            ("a@b@h", "h", None),
            ("[2001:DB8::1]:80", "2001:db8::1", Some(80)),
            ("[::1]", "::1", None),
            ("[::1", "::1", None),
            ("::1", "::1", None),
            ("h:", "h", None),
            ("h:http", "h", None),
            ("h:+80", "h", None),
            ("h:65536", "h", None),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
            (" h ", "h", None),
            ("", "", None),
        ] {
            let authority = Authority::parse(input.as_bytes());
            let mut out = Vec::new();
            authority.normalise_host(&mut out);
            assert_eq!(out, host.as_bytes(), "{input:?}");
            assert_eq!(authority.port, port, "{input:?}");
        }
    }

    #[test]
    fn queries_are_decoded_on_demand() {
        let mut out = Vec::new();
        let decoded: Vec<(String, String)> = query_pairs(b"session_id=ab%2Bc&&x&y=&a+b=1%2&=v")
            .map(|(name, value)| {
                name.decode_into(&mut out);
                let name = String::from_utf8_lossy(&out).into_owned();
                value.decode_into(&mut out);
                (name, String::from_utf8_lossy(&out).into_owned())
            })
            .collect();
        let expected = [("session_id", "ab+c"), ("x", ""), ("y", ""), ("a b", "1%2"), ("", "v")];
        assert_eq!(decoded, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(Encoded(b"s%65ssionId").is(b"sessionId"));
        assert!(!Encoded(b"sessionId").is(b"session"));
    }

    #[test]
    fn any_bytes_are_taken() {
        let mut rng = Rng::new(5);
        let mut out = Vec::new();
        for _ in 0..5000 {
            let bytes: Vec<u8> = (0..rng.below(40)).map(|_| rng.next() as u8).collect();
            let target = Target::parse(&bytes);
            normalise_path(target.path, &mut out);
            assert!(out.len() <= bytes.len().max(1));
            Authority::parse(&bytes).normalise_host(&mut out);
            query_pairs(&bytes).for_each(|(name, value)| {
                name.decode_into(&mut out);
                value.decode_into(&mut out);
            });
        }
    }
}
