//! Examples: every signature says what it must hit and what it must not.

use super::field::{Field, FieldClass};
use super::hits::{HitSet, SignatureIndex};
use super::matcher::{Matcher, RequestFields};
use super::model::Example;
use super::names::NameField;
use super::set::SignatureSet;
use crate::stream::{Direction, Header};

/// An example with the wrong answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleFailure {
    /// The signature.
    pub signature: SignatureIndex,
    /// The example.
    pub example: Example,
    /// Whether it should have hit.
    pub expected: bool,
    /// The text the answer was wrong for: with a plain example of several
    /// fields, the field; and whether it was cut into single bytes.
    pub detail: String,
}

impl SignatureSet {
    /// Runs every example of every signature through a matcher compiled from this
    /// set: texts whole, and cut into single bytes.
    pub fn test_examples(&self, matcher: &Matcher) -> Vec<ExampleFailure> {
        let mut failures = Vec::new();
        for (index, signature) in self.signatures().iter().enumerate() {
            let index = SignatureIndex(index as u32);
            let matches = signature.matches.iter().map(|example| (example, true));
            let misses = signature.misses.iter().map(|example| (example, false));
            for (example, expected) in matches.chain(misses) {
                let wrong = runs(&signature.clause.fields, example)
                    .filter(|run| {
                        let hits = run.run(matcher);
                        matcher.signals(&hits).any(|signal| signal == index) != expected
                    })
                    .map(|run| ExampleFailure {
                        signature: index,
                        example: example.clone(),
                        expected,
                        detail: run.detail(),
                    });
                failures.extend(wrong);
            }
        }
        failures
    }
}

/// The ways in which an example is run. A plain string is tried in each of `fields`.
pub(super) fn runs<'e>(
    fields: &'e [Field],
    example: &'e Example,
) -> impl Iterator<Item = Run<'e>> + 'e {
    let plain = example.values.iter().any(|(field, _)| field.is_none());
    let fields: Vec<_> = if plain { fields.iter().map(Some).collect() } else { vec![None] };
    fields.into_iter().flat_map(move |field| {
        [false, true].map(|bytewise| {
            let values = example.values.iter().filter_map(|(own, text)| {
                own.as_ref().or(field).map(|field| (field, text.as_bytes()))
            });
            Run { values: values.collect(), bytewise }
        })
    })
}

/// One way to run an example.
pub(super) struct Run<'e> {
    values: Vec<(&'e Field, &'e [u8])>,
    bytewise: bool,
}

impl Run<'_> {
    pub(super) fn run(&self, matcher: &Matcher) -> HitSet {
        let mut hits = HitSet::new();
        self.heads(matcher, &mut hits);
        for (field, value) in &self.values {
            if let Some(field) = matcher.field(field) {
                for direction in [Direction::ToServer, Direction::ToClient] {
                    let mut cursor = field.start(direction, &mut hits);
                    let step = if self.bytewise { 1 } else { value.len().max(1) };
                    for slice in value.chunks(step) {
                        field.feed(&mut cursor, slice, &mut hits);
                    }
                    field.finish(&cursor, &mut hits);
                    field.value(direction, value, &mut hits);
                }
            }
        }
        hits
    }

    /// Names, ports, and what requests and responses begin with. Header fields
    /// are taken to be in both.
    fn heads(&self, matcher: &Matcher, hits: &mut HitSet) {
        let mut request = RequestFields::default();
        let mut headers = Vec::new();
        let mut is_http = false;
        for (field, value) in &self.values {
            is_http |= !matches!(field.class(), FieldClass::Port | FieldClass::Json);
            match field {
                Field::TlsSni | Field::DnsName => {
                    is_http = false;
                    if let Some(field) = NameField::of(field) {
                        matcher.name(field, value, hits);
                    }
                }
                Field::HttpHost => request.host = Some(value),
                Field::HttpPath => request.path = value,
                Field::HttpQuery => request.query = Some(value),
                Field::HttpMethod => request.method = value,
                Field::HttpUserAgent => headers.push(Header { name: b"user-agent", value }),
                Field::HttpHeader(name) => headers.push(Header { name: name.as_bytes(), value }),
                Field::FlowServerPort => {
                    let port = std::str::from_utf8(value).ok().and_then(|port| port.parse().ok());
                    if let Some(port) = port {
                        matcher.server_port(port, hits);
                    }
                }
                _ => {}
            }
        }
        if is_http {
            request.headers = &headers;
            matcher.request(&request, hits);
            matcher.response(&headers, hits);
        }
    }

    pub(super) fn detail(&self) -> String {
        let fields: Vec<_> = self.values.iter().map(|(field, _)| field.name()).collect();
        let cut = if self.bytewise { ", byte by byte" } else { "" };
        format!("{}{cut}", fields.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_are_reported_for_each_field_and_cut() {
        let set = SignatureSet::parse(
            "t.toml",
            "version = 1\n[[signature]]\nid = 'a'\ntitle = 't'\nstrength = 'weak'\n\
             fields = ['tls.sni', 'http.host']\nexact = 'mcp.example.com'\n\
             examples.match = ['mcp.example.com', 'mcp.example.org']\n\
             examples.miss = ['x.example.com', { tls.sni = 'mcp.example.com' }]\n",
        )
        .unwrap();
        let (matcher, _) = set.compile().unwrap();
        let failures = set.test_examples(&matcher);
        let seen: Vec<_> = failures
            .iter()
            .map(|failure| (failure.expected, failure.example.location.line, &*failure.detail))
            .collect();
        assert_eq!(
            seen,
            [
                (true, 8, "tls.sni"),
                (true, 8, "tls.sni, byte by byte"),
                (true, 8, "http.host"),
                (true, 8, "http.host, byte by byte"),
                (false, 9, "tls.sni"),
                (false, 9, "tls.sni, byte by byte"),
            ]
        );
    }
}
