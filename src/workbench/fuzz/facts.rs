//! Facts: what a case says in each field, in; what the matcher makes of it, out.

use serde_json::Value;

use super::case::Item;
use super::json::Strings;
use crate::signature::{
    Field, FieldClass, HitSet, Matcher, NameField, RequestFields, SignatureIndex,
};
use crate::stream::{Direction, Header, uri};
use crate::workbench::carrier::{Carried, Content, Http};
use crate::workbench::random::Random;

/// Values of fields, of one request and response and of the flow around them.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) values: Vec<Fact>,
}

/// The value of a field.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) field: Field,
    pub(super) direction: Direction,
    pub(super) value: Vec<u8>,
    /// Its strings and members, if it is JSON.
    pub(super) json: Option<Strings>,
}

/// What a matcher says to facts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The signatures whose own pattern hits.
    pub(super) patterns: Vec<SignatureIndex>,
    /// The signatures whose conditions hold as well.
    pub(super) signals: Vec<SignatureIndex>,
}

impl Facts {
    /// Values that stand beside each other.
    pub(super) fn of_values(items: &[Item]) -> Self {
        let mut facts = Self::default();
        for item in items {
            if let Item::Value { field, direction, value } = item {
                facts.add(field.clone(), *direction, value);
            }
        }
        // A request has a line.
        for field in [Field::HttpMethod, Field::HttpPath] {
            if facts.is_request() && facts.get(&field).is_none() {
                facts.add(field, Direction::ToServer, b"");
            }
        }
        facts
    }

    /// What an exchange says in its head and its contents.
    pub(super) fn of_exchange(http: &Http) -> Self {
        let mut facts = Self::of_head(http);
        for (direction, content) in contents(http) {
            if content.coding.is_none() && !content.body.is_empty() {
                facts.add(Field::HttpBody, direction, &content.body);
            }
        }
        facts
    }

    /// What a look-alike says that must not be taken for MCP: the head of an
    /// exchange, and the fields of the messages in it.
    pub(super) fn of_messages(http: Option<&Http>, said: &[(Direction, String)]) -> Self {
        let mut facts = http.map(Self::of_head).unwrap_or_default();
        for (direction, text) in said {
            let messages = match serde_json::from_str(text) {
                Ok(Value::Array(batch)) => batch,
                Ok(message) => vec![message],
                Err(_) => continue,
            };
            messages.iter().for_each(|message| facts.message(*direction, message));
        }
        facts
    }

    fn of_head(http: &Http) -> Self {
        let mut facts = Self::default();
        let target = uri::Target::parse(&http.target);
        let mut path = Vec::new();
        uri::normalise_path(target.path, &mut path);
        let to_server = Direction::ToServer;
        facts.add(Field::HttpMethod, to_server, http.method.as_bytes());
        facts.add(Field::HttpHost, to_server, http.host.as_bytes());
        facts.add(Field::HttpPath, to_server, &path);
        if let Some(query) = target.query {
            facts.add(Field::HttpQuery, to_server, query);
        }
        for (direction, own) in [to_server, Direction::ToClient].into_iter().zip(&http.own_headers)
        {
            for (name, value) in http.headers.iter().chain(own) {
                let name = Field::HttpHeader(name.to_ascii_lowercase().into());
                facts.add(name, direction, value.as_bytes());
            }
        }
        facts
    }

    fn message(&mut self, direction: Direction, message: &Value) {
        if message["jsonrpc"] != "2.0" {
            return;
        }
        let mut add = |field, text: Option<&str>| {
            if let Some(text) = text {
                self.add(field, direction, text.as_bytes());
            }
        };
        add(Field::JsonRpcMethod, message["method"].as_str());
        for (name, value) in message["params"].as_object().into_iter().flatten() {
            add(Field::JsonRpcParams(name.as_str().into()), value.as_str());
        }
        if message["method"] == "tools/call" {
            add(Field::McpToolName, message["params"]["name"].as_str());
        }
        for tool in message["result"]["tools"].as_array().into_iter().flatten() {
            add(Field::McpToolName, tool["name"].as_str());
            add(Field::McpToolDescription, tool["description"].as_str());
        }
        if message["method"] == "tools/call" && !message["params"]["arguments"].is_null() {
            let arguments = message["params"]["arguments"].to_string();
            self.add(Field::McpArguments, direction, arguments.as_bytes());
        }
        if message["result"].is_object() {
            let result = message["result"].to_string();
            self.add(Field::McpResult, direction, result.as_bytes());
        }
    }

    fn add(&mut self, field: Field, direction: Direction, value: &[u8]) {
        // What there is once, there is once.
        let single = matches!(
            field,
            Field::HttpMethod | Field::HttpHost | Field::HttpPath | Field::HttpQuery
        );
        if single {
            self.values.retain(|fact| fact.field != field);
        }
        let field = match field {
            // Only requests have it.
            Field::HttpUserAgent => Field::HttpHeader("user-agent".into()),
            field => field,
        };
        let json = (field.class() == FieldClass::Json).then(|| Strings::of(value)).flatten();
        self.values.push(Fact { field, direction, value: value.to_vec(), json });
    }

    pub(super) fn get(&self, field: &Field) -> Option<&[u8]> {
        self.values.iter().find(|fact| fact.field == *field).map(|fact| fact.value.as_slice())
    }

    /// What a matcher says; texts that come in slices are cut at random.
    pub(super) fn answer(&self, matcher: &Matcher, random: &mut Random) -> Answer {
        let mut hits = HitSet::new();
        let request = RequestFields {
            method: self.get(&Field::HttpMethod).unwrap_or_default(),
            host: self.get(&Field::HttpHost),
            path: self.get(&Field::HttpPath).unwrap_or_default(),
            query: self.get(&Field::HttpQuery),
            headers: &self.headers(Direction::ToServer),
        };
        if self.is_request() {
            matcher.request(&request, &mut hits);
            matcher.response(&self.headers(Direction::ToClient), &mut hits);
        }
        for fact in &self.values {
            fact.look(matcher, random, &mut hits);
        }
        Answer {
            patterns: matcher.patterns(&hits).collect(),
            signals: matcher.signals(&hits).collect(),
        }
    }

    /// Whether something of a request's head is said.
    pub(super) fn is_request(&self) -> bool {
        let heads = |fact: &Fact| {
            matches!(
                fact.field,
                Field::HttpMethod
                    | Field::HttpHost
                    | Field::HttpPath
                    | Field::HttpQuery
                    | Field::HttpHeader(_)
            )
        };
        self.values.iter().any(heads)
    }

    fn headers(&self, direction: Direction) -> Vec<Header<'_>> {
        let headers = self.values.iter().filter(|fact| fact.direction == direction);
        headers
            .filter_map(|fact| match &fact.field {
                Field::HttpHeader(name) => {
                    Some(Header { name: name.as_bytes(), value: &fact.value })
                }
                _ => None,
            })
            .collect()
    }
}

impl Fact {
    fn look(&self, matcher: &Matcher, random: &mut Random, hits: &mut HitSet) {
        let Self { field, direction, value, .. } = self;
        match field {
            Field::HttpMethod
            | Field::HttpHost
            | Field::HttpPath
            | Field::HttpQuery
            | Field::HttpHeader(_) => {}
            Field::TlsSni => matcher.name(NameField::TlsSni, value, hits),
            Field::DnsName => matcher.name(NameField::DnsName, value, hits),
            Field::FlowServerPort => {
                if let Some(port) = self.port() {
                    matcher.server_port(port, hits);
                }
            }
            Field::HttpBody => {
                let mut cursor = matcher.body().start(*direction, hits);
                let mut rest = value.as_slice();
                while !rest.is_empty() {
                    let most = if random.chance(2) { rest.len().min(4) } else { rest.len() };
                    let (piece, after) = rest.split_at(1 + random.below(most));
                    matcher.body().feed(&mut cursor, piece, hits);
                    rest = after;
                }
                matcher.body().finish(&cursor, hits);
            }
            field => {
                if let Some(field) = matcher.field(field) {
                    field.value(*direction, value, hits);
                }
            }
        }
    }

    /// The number that the value is.
    pub(super) fn port(&self) -> Option<u16> {
        std::str::from_utf8(&self.value).ok()?.parse().ok()
    }
}

/// The contents of an exchange.
pub(super) fn contents(http: &Http) -> [(Direction, &Content); 2] {
    [(Direction::ToServer, &http.request), (Direction::ToClient, &http.response)]
}

/// The exchange in an item.
pub(super) fn http(item: &Item) -> Option<&Http> {
    match item {
        Item::Carried(Carried::Http(http)) => Some(http),
        _ => None,
    }
}
