//! OAuth: parameters of requests and members of documents in, hits out.
//!
//! Nothing is kept but the hits of each value that is asked for. Whether the
//! exchange is one of OAuth shows by the names that come with it, so the hits
//! count at the end only:
//!
//! - Parameters, of a query or of a form, count beside `grant_type`, or where
//!   `client_id` comes with `response_type`, `request_uri` or `redirect_uri`
//!   (RFC 6749 sections 4.1.1 and 4.1.3, RFC 9126).
//! - A JSON object counts with `redirect_uris` (RFC 7591), with `issuer` and
//!   `authorization_endpoint` or `token_endpoint` (RFC 8414), with `resource` and
//!   `authorization_servers` or `scopes_supported` (RFC 9728), or as what a
//!   well-known path of OAuth holds.

use crate::mcp::{MemberReader, MemberSink};
use crate::signature::{Cursor, HitSet, NamedFields};
use crate::stream::Direction;

/// Bytes of the longest name of a parameter that matters, and one more.
const MAX_NAME: usize = 65;

/// A body of a request or response that may be one of OAuth.
#[derive(Debug)]
pub(super) struct OAuthBody {
    direction: Direction,
    is_form: bool,
    /// As what it came makes it count.
    counts: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Blank,
    Form(Form),
    Json(Box<Document>),
    Over,
}

/// What came of the values so far.
#[derive(Debug)]
struct Values {
    direction: Direction,
    /// Of each field that is asked for.
    hits: Vec<HitSet>,
    /// The field whose value is read.
    field: Option<usize>,
    cursor: Option<Cursor>,
    text: HitSet,
    seen: Seen,
}

/// Which of the names that tell OAuth occurred: one bit each.
#[derive(Clone, Copy, Debug, Default)]
struct Seen(u16);

impl Seen {
    const NAMES: [&'static [u8]; 12] = [
        b"authorization_endpoint",
        b"authorization_servers",
        b"client_id",
        b"grant_type",
        b"issuer",
        b"redirect_uri",
        b"redirect_uris",
        b"request_uri",
        b"resource",
        b"response_type",
        b"scopes_supported",
        b"token_endpoint",
    ];

    fn note(&mut self, name: &[u8]) {
        if let Some(bit) = Self::NAMES.iter().position(|known| *known == name) {
            self.0 |= 1 << bit;
        }
    }

    fn has(self, name: &str) -> bool {
        let bit = Self::NAMES.iter().position(|known| *known == name.as_bytes());
        bit.is_some_and(|bit| self.0 >> bit & 1 == 1)
    }

    fn any(self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    fn is_request(self) -> bool {
        self.has("grant_type")
            || self.has("client_id") && self.any(&["response_type", "request_uri", "redirect_uri"])
    }

    fn is_document(self) -> bool {
        self.has("redirect_uris")
            || self.has("issuer") && self.any(&["authorization_endpoint", "token_endpoint"])
            || self.has("resource") && self.any(&["authorization_servers", "scopes_supported"])
    }
}

/// Matches the parameters of a query.
pub(super) fn query(fields: &NamedFields, query: &[u8], hits: &mut HitSet) {
    let mut form = Form::new(Direction::ToServer);
    form.feed(query, fields);
    if let Some(found) = form.finish(true, fields) {
        hits.extend(&found);
    }
}

/// Whether a path is one at which metadata of OAuth is published.
pub(super) fn is_well_known(path: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] =
        [b"oauth-authorization-server", b"oauth-protected-resource", b"openid-configuration"];
    let mut segments = path.split(|&byte| byte == b'/');
    segments.any(|segment| segment == b".well-known")
        && segments.next().is_some_and(|name| NAMES.contains(&name))
}

/// Whether a `Content-Type` is that of a form.
pub(super) fn is_form(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

impl OAuthBody {
    /// Bytes that it takes, about.
    pub(super) fn memory(&self) -> usize {
        /// A form or a document, with what is kept of them.
        const STATE: usize = 1024;
        size_of::<Self>() + STATE
    }

    /// The body of a request, of which its head says whether it is a form.
    pub(super) fn of_request(is_form: bool) -> Self {
        Self { direction: Direction::ToServer, is_form, counts: false, state: State::Blank }
    }

    /// The body of a response, to a request of a well-known path or another.
    pub(super) fn of_response(well_known: bool) -> Self {
        let direction = Direction::ToClient;
        Self { direction, is_form: false, counts: well_known, state: State::Blank }
    }

    /// Reads the next bytes; with `false` nothing more will come of the body.
    pub(super) fn feed(&mut self, bytes: &[u8], fields: &NamedFields) -> bool {
        if let State::Blank = self.state {
            let Some(&first) = bytes.first() else { return true };
            self.state = match first {
                _ if self.is_form && !matches!(first, b'{' | b'[') => {
                    State::Form(Form::new(self.direction))
                }
                _ => State::Json(Box::new(Document::new(self.direction))),
            };
        }
        let goes_on = match &mut self.state {
            State::Form(form) => {
                form.feed(bytes, fields);
                true
            }
            State::Json(document) => document.feed(bytes, fields),
            State::Blank | State::Over => false,
        };
        if !goes_on {
            self.state = State::Over;
        }
        goes_on
    }

    /// The body ended, `complete` or cut: what hit, if it is one of OAuth.
    pub(super) fn finish(&mut self, complete: bool, fields: &NamedFields) -> Option<HitSet> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Form(mut form) => form.finish(complete, fields),
            State::Json(mut document) => document.finish(complete, self.counts, fields),
            State::Blank | State::Over => None,
        }
    }
}

impl Values {
    fn new(direction: Direction) -> Self {
        Self {
            direction,
            hits: Vec::new(),
            field: None,
            cursor: None,
            text: HitSet::new(),
            seen: Seen::default(),
        }
    }

    /// A value of that name begins; whether it is asked for.
    fn begin(&mut self, name: &[u8], fields: &NamedFields) -> bool {
        self.seen.note(name);
        self.cursor = None;
        self.field = fields.iter().position(|(asked, _)| asked.as_bytes() == name);
        self.field.is_some()
    }

    fn read(&mut self, bytes: &[u8], fields: &NamedFields) {
        let Some(matcher) = self.field.and_then(|field| fields.get(field)) else { return };
        let Self { direction, cursor, text, .. } = self;
        let cursor = cursor.get_or_insert_with(|| {
            text.clear();
            matcher.start(*direction, text)
        });
        matcher.feed(cursor, bytes, text);
    }

    /// The value ended, and counts or does not.
    fn end(&mut self, counts: bool, fields: &NamedFields) {
        let cursor = self.cursor.take();
        let Some(field) = self.field.filter(|_| counts) else { return };
        let (Some(cursor), Some(matcher)) = (cursor, fields.get(field)) else { return };
        matcher.finish(&cursor, &mut self.text);
        self.hits.resize_with(fields.len(), HitSet::new);
        if let Some(hits) = self.hits.get_mut(field) {
            hits.extend(&self.text);
        }
    }

    /// What earlier values of the name that has begun hit counts no longer.
    fn replace(&mut self) {
        if let Some(hits) = self.field.and_then(|field| self.hits.get_mut(field)) {
            hits.clear();
        }
    }

    fn all(&self) -> Option<HitSet> {
        let mut all = HitSet::new();
        self.hits.iter().for_each(|hits| all.extend(hits));
        (!all.is_empty()).then_some(all)
    }
}

/// Parameters (`application/x-www-form-urlencoded`).
#[derive(Debug)]
struct Form {
    values: Values,
    percent: Percent,
    in_value: bool,
    /// The name so far, decoded; then what of the value was decoded and not read.
    text: Vec<u8>,
}

/// A percent-encoded byte that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Percent {
    No,
    Begun,
    Digit(u8),
}

impl Form {
    fn new(direction: Direction) -> Self {
        let values = Values::new(direction);
        Self { values, percent: Percent::No, in_value: false, text: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8], fields: &NamedFields) {
        for &byte in bytes {
            match byte {
                b'&' => self.end_pair(fields),
                b'=' if !self.in_value => self.begin_value(fields),
                byte => self.byte(byte),
            }
        }
        if self.in_value {
            self.values.read(&self.text, fields);
            self.text.clear();
        }
    }

    fn finish(&mut self, complete: bool, fields: &NamedFields) -> Option<HitSet> {
        if complete {
            self.end_pair(fields);
        }
        self.values.seen.is_request().then(|| self.values.all())?
    }

    fn begin_value(&mut self, fields: &NamedFields) {
        self.flush_percent();
        self.values.begin(&self.text, fields);
        self.text.clear();
        self.in_value = true;
    }

    fn end_pair(&mut self, fields: &NamedFields) {
        if !self.in_value {
            self.begin_value(fields);
        }
        self.flush_percent();
        self.values.read(&self.text, fields);
        self.values.end(true, fields);
        self.text.clear();
        self.in_value = false;
    }

    fn byte(&mut self, byte: u8) {
        let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        self.percent = match (self.percent, digit) {
            (Percent::Begun, Some(_)) => Percent::Digit(byte),
            (Percent::Digit(high), Some(low)) => {
                let high = char::from(high).to_digit(16).unwrap_or_default();
                self.push(u8::try_from(high << 4).unwrap_or_default() | low);
                Percent::No
            }
            _ => {
                self.flush_percent();
                match byte {
                    b'%' => Percent::Begun,
                    _ => {
                        self.push(if byte == b'+' { b' ' } else { byte });
                        Percent::No
                    }
                }
            }
        };
    }

    /// What looked like a percent-encoded byte stands for itself.
    fn flush_percent(&mut self) {
        match std::mem::replace(&mut self.percent, Percent::No) {
            Percent::No => {}
            Percent::Begun => self.push(b'%'),
            Percent::Digit(digit) => {
                self.push(b'%');
                self.push(digit);
            }
        }
    }

    fn push(&mut self, byte: u8) {
        // A value is read, and its text cleared, once a piece.
        if self.in_value || self.text.len() < MAX_NAME {
            self.text.push(byte);
        }
    }
}

/// A JSON document.
#[derive(Debug)]
struct Document {
    reader: MemberReader,
    values: Values,
}

struct Members<'a> {
    values: &'a mut Values,
    fields: &'a NamedFields,
}

impl Document {
    fn new(direction: Direction) -> Self {
        Self { reader: MemberReader::new(), values: Values::new(direction) }
    }

    fn feed(&mut self, bytes: &[u8], fields: &NamedFields) -> bool {
        let values = &mut self.values;
        self.reader.feed(bytes, &mut Members { values, fields })
    }

    fn finish(&mut self, complete: bool, counts: bool, fields: &NamedFields) -> Option<HitSet> {
        let values = &mut self.values;
        let is_object = self.reader.finish(complete, &mut Members { values, fields });
        let counts = is_object && (counts || self.values.seen.is_document());
        counts.then(|| self.values.all())?
    }
}

impl MemberSink for Members<'_> {
    fn member(&mut self, key: &[u8]) -> bool {
        let asked = self.values.begin(key, self.fields);
        self.values.replace();
        asked
    }

    fn text(&mut self, part: &[u8]) {
        self.values.read(part, self.fields);
    }

    fn text_end(&mut self, is_string: bool) {
        self.values.end(is_string, self.fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Matcher, SignatureSet};
    use crate::stream::testing::{Cut, Rng};
    use crate::stream::uri::query_pairs;

    fn matcher() -> Matcher {
        let signature = |id: &str, pattern: &str| {
            format!(
                "[[signature]]\nid = '{id}'\ntitle = 't'\nstrength = 'weak'\n\
                 fields = ['oauth.resource', 'oauth.scope', 'oauth.redirect_uris']\n{pattern}\n"
            )
        };
        let patterns = [
            signature("exact", "exact = ['a b', '/mcp', 'é%']"),
            signature("regex", "regex = '^[a-z].*.$'"),
            signature("present", "present = true"),
        ];
        let text = format!("version = 1\n{}", patterns.concat());
        SignatureSet::parse("t.toml", &text).unwrap().compile().unwrap().0
    }

    fn read(matcher: &Matcher, body: &[u8], cut: Cut, is_form: bool) -> HitSet {
        let fields = matcher.oauth().unwrap();
        let mut reader = OAuthBody::of_request(is_form);
        let all = cut.pieces(body).into_iter().all(|piece| reader.feed(piece, fields));
        let found = if all { reader.finish(true, fields) } else { None };
        found.unwrap_or_default()
    }

    /// The same from the pairs of a whole form.
    fn expected(matcher: &Matcher, form: &[u8]) -> HitSet {
        let fields = matcher.oauth().unwrap();
        let (mut hits, mut seen, mut value) = (HitSet::new(), Seen::default(), Vec::new());
        for (name, encoded) in query_pairs(form) {
            let name: Vec<u8> = name.bytes().collect();
            encoded.decode_into(&mut value);
            seen.note(&name);
            for (_, field) in fields.iter().filter(|(asked, _)| asked.as_bytes() == name) {
                field.value(Direction::ToServer, &value, &mut hits);
            }
        }
        if seen.is_request() { hits } else { HitSet::new() }
    }

    #[test]
    fn forms_are_read_as_queries_are_in_any_pieces() {
        let matcher = matcher();
        let forms = [
            "grant_type=x&resource=%2Fmcp&scope=a+b",
            "r%65source=%C3%A9%25&client_id&redirect_uri=",
            "scope=a%20b%&&=&scope&request_uri=1=2&client_id=%4",
            "scope=&grant_type",
        ];
        let mut rng = Rng::new(7);
        let mut hitting = 0;
        for form in forms.iter().cycle().take(2_000) {
            let mut form = form.as_bytes().to_vec();
            rng.mutate(&mut form);
            if matches!(form.first(), None | Some(b'{' | b'[')) {
                continue;
            }
            let expected = expected(&matcher, &form);
            hitting += usize::from(!expected.is_empty());
            for cut in Cut::all() {
                let text = String::from_utf8_lossy(&form);
                assert_eq!(read(&matcher, &form, cut, true), expected, "{text} {cut:?}");
            }
        }
        assert!(hitting > 300, "{hitting}");
    }

    #[test]
    fn documents_are_read_in_any_pieces() {
        let matcher = matcher();
        let documents = [
            r#"{"redirect_uris":["a b",1,{"x":"y"},"\u00e9%"],"scope":"","resource":"x"}"#,
            r#" {"scope":"\/mcp","issuer":"i","scope":[],"token_endpoint":null,"resource":"ab"} "#,
        ];
        let mut rng = Rng::new(9);
        let mut hitting = 0;
        for document in documents.iter().cycle().take(2_000) {
            let mut document = document.as_bytes().to_vec();
            rng.mutate(&mut document);
            let whole = read(&matcher, &document, Cut::Whole, false);
            hitting += usize::from(!whole.is_empty());
            for cut in Cut::all() {
                let text = String::from_utf8_lossy(&document);
                assert_eq!(read(&matcher, &document, cut, false), whole, "{text} {cut:?}");
            }
        }
        assert!(hitting > 100, "{hitting}");
    }

    #[test]
    fn metadata_is_at_well_known_paths() {
        for (path, expected) in [
            ("/.well-known/oauth-protected-resource", true),
            ("/.well-known/oauth-authorization-server/mcp", true),
            ("/tenant/.well-known/openid-configuration", true),
            ("/.well-known/oauth-protected-resources", false),
            ("/.well-known/mcp", false),
            ("/oauth-protected-resource", false),
            ("/.well-known", false),
        ] {
            assert_eq!(is_well_known(path.as_bytes()), expected, "{path}");
        }
    }
}
