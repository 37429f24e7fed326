//! What the fields of a header block say.

use super::hpack::FieldList;
use crate::stream::Header;

/// Pseudo-header fields (RFC 9113 section 8.3), and how well the fields are
/// formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pseudo<'a> {
    pub(crate) method: Option<&'a [u8]>,
    pub(crate) scheme: Option<&'a [u8]>,
    pub(crate) authority: Option<&'a [u8]>,
    pub(crate) path: Option<&'a [u8]>,
    /// Of an extended CONNECT (RFC 8441).
    pub(crate) protocol: Option<&'a [u8]>,
    pub(crate) status: Option<&'a [u8]>,
    /// There are pseudo-header fields.
    pub(crate) any: bool,
    /// Some field is not as the RFC wants it.
    pub(crate) irregular: bool,
    /// Fields that a reader may take for framing: a transfer coding, lengths
    /// that differ (section 8.1.1 and 8.2.2).
    pub(crate) ambiguous_framing: bool,
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
}

impl<'a> Pseudo<'a> {
    pub(crate) fn of(fields: &'a FieldList) -> Self {
        let mut pseudo = Self::default();
        let mut regular = false;
        for field in fields.iter() {
            if is_pseudo(&field) {
                pseudo.irregular |= regular;
                pseudo.take(field);
            } else {
                regular = true;
                pseudo.regular(field);
            }
        }
        pseudo
    }

    /// The host: `:authority`, or else the `host` field.
    pub(crate) fn host(&self) -> Option<&'a [u8]> {
        self.authority.or(self.host)
    }

    /// The target: `:path`, or for a CONNECT what is connected to.
    pub(crate) fn target(&self) -> &'a [u8] {
        match self.path {
            None if self.method == Some(b"CONNECT") => self.authority.unwrap_or_default(),
            path => path.unwrap_or_default(),
        }
    }

    /// The status code; 0 if there is none.
    pub(crate) fn status(&self) -> u16 {
        match self.status {
            Some(&[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) => {
                let digit = |byte: u8| u16::from(byte - b'0');
                digit(a) * 100 + digit(b) * 10 + digit(c)
            }
            _ => 0,
        }
    }

    /// The protocol that is asked for; one whose name is not too long.
    pub(crate) fn extended_connect(&self) -> Option<&'a [u8]> {
        const MAX_LEN: usize = 64;
        let protocol = self.protocol.filter(|protocol| protocol.len() <= MAX_LEN);
        protocol.filter(|_| self.method == Some(b"CONNECT"))
    }

    fn take(&mut self, field: Header<'a>) {
        self.any = true;
        let place = match field.name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            b":protocol" => &mut self.protocol,
            b":status" => &mut self.status,
            _ => {
                self.irregular = true;
                return;
            }
        };
        // The first counts.
        self.irregular |= place.is_some();
        place.get_or_insert(field.value);
    }

    fn regular(&mut self, field: Header<'a>) {
        match field.name {
            b"host" => _ = self.host.get_or_insert(field.value),
            b"content-length" => {
                let first = *self.content_length.get_or_insert(field.value);
                self.ambiguous_framing |= first != field.value;
            }
            b"transfer-encoding" => {
                self.ambiguous_framing = true;
                self.irregular = true;
            }
            b"connection" | b"upgrade" | b"keep-alive" | b"proxy-connection" => {
                self.irregular = true;
            }
            name => self.irregular |= name.iter().any(u8::is_ascii_uppercase),
        }
    }
}

/// Whether this is a pseudo-header field.
pub(crate) fn is_pseudo(field: &Header<'_>) -> bool {
    field.name.first() == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(fields: &[(&str, &str)]) -> FieldList {
        let mut list = FieldList::new(4096);
        for (name, value) in fields {
            list.push(name.as_bytes(), value.as_bytes());
        }
        list
    }

    #[test]
    fn requests() {
        let fields = list(&[
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/mcp"),
            (":authority", "a:1"),
            ("host", "b"),
        ]);
        let pseudo = Pseudo::of(&fields);
        assert_eq!(pseudo.method, Some(&b"POST"[..]));
        assert_eq!(pseudo.scheme, Some(&b"https"[..]));
        assert_eq!(pseudo.target(), b"/mcp");
        assert_eq!(pseudo.host(), Some(&b"a:1"[..]));
        assert!(pseudo.any && !pseudo.irregular && !pseudo.ambiguous_framing);

        let fields = list(&[(":method", "GET"), ("host", "b")]);
        assert_eq!(Pseudo::of(&fields).host(), Some(&b"b"[..]));
        assert_eq!(Pseudo::of(&fields).target(), b"");

        let fields = list(&[(":method", "CONNECT"), (":authority", "h:443")]);
        assert_eq!(Pseudo::of(&fields).target(), b"h:443");
        assert_eq!(Pseudo::of(&fields).extended_connect(), None);
    }

    #[test]
    fn extended_connects() {
        for (method, protocol, expected) in [
            ("CONNECT", "websocket", Some(&b"websocket"[..])),
            ("GET", "websocket", None),
            ("CONNECT", &"x".repeat(65), None),
        ] {
            let fields = list(&[(":method", method), (":protocol", protocol)]);
            assert_eq!(Pseudo::of(&fields).extended_connect(), expected, "{method} {protocol}");
        }
    }

    #[test]
    fn status_codes() {
        for (text, expected) in [
            ("200", 200),
            ("999", 999),
            ("103", 103),
            ("099", 0),
            ("20", 0),
            ("2000", 0),
            ("+20", 0),
        ] {
            assert_eq!(Pseudo::of(&list(&[(":status", text)])).status(), expected, "{text}");
        }
        assert_eq!(Pseudo::of(&list(&[])).status(), 0);
    }

    #[test]
    fn what_is_not_as_it_should_be() {
        for (name, fields, irregular, ambiguous) in [
            ("usual", &[(":method", "GET"), ("content-length", "1")][..], false, false),
            ("pseudo-header field late", &[("a", "b"), (":method", "GET")], true, false),
            ("twice", &[(":path", "/a"), (":path", "/b")], true, false),
            ("unknown pseudo-header field", &[(":x", "")], true, false),
            ("upper case", &[("Accept", "")], true, false),
            ("connection field", &[("connection", "close")], true, false),
            ("transfer coding", &[("transfer-encoding", "chunked")], true, true),
            ("same lengths", &[("content-length", "1"), ("content-length", "1")], false, false),
            ("lengths", &[("content-length", "1"), ("content-length", "2")], false, true),
        ] {
            let fields = list(fields);
            let pseudo = Pseudo::of(&fields);
            assert_eq!(
                (pseudo.irregular, pseudo.ambiguous_framing),
                (irregular, ambiguous),
                "{name}"
            );
        }
        let fields = list(&[(":path", "/a"), (":path", "/b")]);
        assert_eq!(Pseudo::of(&fields).target(), b"/a");
    }
}
