//! The `endpoint` event of HTTP+SSE (2024-11-05).
//!
//! A server's first event tells the client where to send its messages. Its
//! data is a bare URI reference, absolute or relative (RFC 3986), mostly with
//! a session identifier in the query; other protocols that have an event of
//! this name send JSON.

/// Where a client of HTTP+SSE sends its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// Scheme and authority, of an absolute reference: `http://host:8000`.
    pub origin: Option<&'a str>,
    /// The path; relative to that of the event stream unless it begins with
    /// `/`, and possibly empty.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The session identifier in the query.
    pub session: Option<Session<'a>>,
}

/// A session identifier in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// Name of the parameter.
    pub parameter: &'a str,
    /// Its value, as sent.
    pub id: &'a str,
}

/// The longest event data that is taken for a reference.
const MAX_LEN: usize = 4096;

/// Names of the parameter, as SDKs spell it, most usual first.
const PARAMETERS: [&str; 7] =
    ["session_id", "sessionId", "sessionid", "session-id", "session", "sid", "transportId"];

impl<'a> Endpoint<'a> {
    /// From the data of an `endpoint` event.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(data.trim_ascii()).ok()?;
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(may_be_in_reference) {
            return None;
        }
        let text = text.split_once('#').map_or(text, |(reference, _)| reference);
        let (origin, rest) = match text.find("://") {
            Some(colon) if is_http(text.get(..colon)?) => {
                let authority = text.get(colon + 3..)?;
                let len = authority.find(['/', '?']).filter(|_| !authority.is_empty());
                let end = colon + 3 + len.unwrap_or(authority.len());
                (text.get(..end).filter(|origin| origin.len() > colon + 3), text.get(end..)?)
            }
            Some(_) if !text.starts_with(['/', '?', '.']) && !text.contains('?') => return None,
            _ => (None, text),
        };
        // A lone word is a relative reference too, but hardly an endpoint.
        if origin.is_none() && !rest.contains(['/', '?']) {
            return None;
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Some(Self { origin, path, query, session: query.and_then(Session::in_query) })
    }

    /// The absolute path, for an event stream that was requested at `base`
    /// (RFC 3986 section 5.2).
    pub fn resolve(&self, base: &str) -> String {
        let base = base.split('?').next().unwrap_or_default();
        if self.path.is_empty() {
            // A request in absolute form may have no path.
            let same = self.origin.is_none() && base.starts_with('/');
            return if same || base.is_empty() { base.to_owned() } else { "/".to_owned() };
        }
        let mut segments: Vec<&str> = Vec::new();
        if !self.path.starts_with('/') {
            segments.extend(base.split('/').skip(1));
            segments.pop();
        }
        let mut reference = self.path.split('/').peekable();
        if self.path.starts_with('/') {
            reference.next();
        }
        while let Some(segment) = reference.next() {
            let last = reference.peek().is_none();
            match segment {
                "." => {}
                ".." => {
                    segments.pop();
                }
                _ => segments.push(segment),
            }
            if last && matches!(segment, "." | "..") {
                segments.push("");
            }
        }
        let mut path = String::with_capacity(base.len() + self.path.len());
        for segment in segments {
            path.push('/');
            path.push_str(segment);
        }
        path
    }
}

impl<'a> Session<'a> {
    /// The session identifier in a query: by the usual names, else the only
    /// parameter whose value looks like one.
    pub fn in_query(query: &'a str) -> Option<Self> {
        let parameters = || {
            query
                .split('&')
                .filter_map(|parameter| parameter.split_once('='))
                .map(|(parameter, id)| Self { parameter, id })
                .filter(|session| !session.id.is_empty())
        };
        PARAMETERS
            .iter()
            .find_map(|name| parameters().find(|session| session.parameter == *name))
            .or_else(|| {
                let mut likely = parameters().filter(|session| looks_like_id(session.id));
                likely.next().filter(|_| likely.next().is_none())
            })
    }
}

/// Long, and of hexadecimal digits and hyphens (a UUID), or long and mixed.
fn looks_like_id(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    value.len() >= 16
        && digits >= 2
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// RFC 3986 section 2, and (leniently) anything beyond ASCII; above all no
/// white space, quotes or braces, which JSON and prose have.
fn may_be_in_reference(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_as_servers_send_them() {
        let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        for (data, origin, path, session) in [
            (format!("/messages?sessionId={uuid}"), None, "/messages", Some(("sessionId", uuid))),
            (
                format!("/messages/?session_id={uuid}"),
                None,
                "/messages/",
                Some(("session_id", uuid)),
            ),
            (format!("?sessionid={uuid}"), None, "", Some(("sessionid", uuid))),
            (
                format!("messages?x=1&connection={uuid}"),
                None,
                "messages",
                Some(("connection", uuid)),
            ),
            (
                format!("http://10.0.0.1:8000/mcp/message?sessionId={uuid}#top"),
                Some("http://10.0.0.1:8000"),
                "/mcp/message",
                Some(("sessionId", uuid)),
            ),
            ("https://h?a=b".into(), Some("https://h"), "", None),
            ("https://h".into(), Some("https://h"), "", None),
            ("/message".into(), None, "/message", None),
            ("/login?next=https://h/".into(), None, "/login", None),
            (" ./messages/1\n".into(), None, "./messages/1", None),
        ] {
            let endpoint = Endpoint::parse(data.as_bytes()).unwrap_or_else(|| panic!("{data}"));
            let found = endpoint.session.map(|session| (session.parameter, session.id));
            assert_eq!((endpoint.origin, endpoint.path, found), (origin, path, session), "{data}");
        }
    }

    #[test]
    fn other_data_is_no_endpoint() {
        for data in [
            "",
            "e1",
            "{\"id\":\"e1\",\"status\":\"up\"}",
            "\"/messages\"",
            "the /messages endpoint is up",
            "ftp://h/messages",
            "a\nb/c",
            "<a/>",
        ] {
            assert_eq!(Endpoint::parse(data.as_bytes()), None, "{data}");
        }
        assert_eq!(Endpoint::parse(&[b'/'; 5000]), None);
        assert_eq!(Endpoint::parse(b"/\xff"), None);
    }

    #[test]
    fn relative_references_are_resolved() {
        for (data, base, path) in [
            ("/messages?x=1", "/a/sse", "/messages"),
            ("messages/1", "/a/sse?x=1", "/a/messages/1"),
            ("./messages", "/a/sse", "/a/messages"),
            ("../messages", "/a/b/sse", "/a/messages"),
            ("../../../m/", "/a/sse", "/m/"),
            ("/a/./b/..", "/", "/a/"),
            ("?session_id=1", "/a/sse", "/a/sse"),
            ("http://h?session_id=1", "/a/sse", "/"),
        ] {
            let endpoint = Endpoint::parse(data.as_bytes()).unwrap();
            assert_eq!(endpoint.resolve(base), path, "{data} at {base}");
        }
    }
}
