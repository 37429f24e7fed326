//! Values of messages that a set asks for: what a scanner hears of a message in,
//! the hits of the message out.
//!
//! Members come in any order, and what a message is shows at its end. Until then
//! the hits of each value are kept apart; those of values that a later member
//! replaces, or that the message does not have, count for nothing.

use crate::mcp::{
    self, EnvelopeKey, Kind, List, Listener, Message, MessageSink, Scope, Shape, ValueKind, Wanted,
};
use crate::signature::{Cursor, FieldMatcher, HitSet, MessageFields};
use crate::stream::Direction;

/// What was heard of the message that is read.
#[derive(Debug, Default)]
pub(super) struct Heard {
    method: HitSet,
    params: Params,
    result: HitSet,
    /// Of all tools of the result, and of the definition that is read.
    tools: HitSet,
    tool: Tool,
    /// The text that is read, for each field that wants it.
    texts: Vec<Text>,
    /// The JSON that is read.
    json: Option<(Json, Cursor)>,
}

#[derive(Debug, Default)]
struct Params {
    /// Beside those that are asked for.
    named: Vec<Member>,
    tool_name: Member,
    arguments: Member,
}

#[derive(Debug, Default)]
struct Tool {
    name: Member,
    description: Member,
}

/// The hits of a member's value.
#[derive(Debug, Default)]
struct Member {
    hits: HitSet,
    /// It was spelt exactly, so that no folded spelling replaces it.
    exact: bool,
}

#[derive(Debug)]
struct Text {
    of: TextField,
    cursor: Cursor,
    hits: HitSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextField {
    Method,
    Param(usize),
    CalledTool,
    ToolName,
    ToolDescription,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Json {
    Arguments,
    Result,
}

/// [`Heard`] with what is listened for.
#[derive(Debug)]
pub(super) struct Ear<'a> {
    pub(super) heard: &'a mut Heard,
    pub(super) fields: &'a MessageFields,
    pub(super) direction: Direction,
}

/// A sink of messages, each with what hit in it.
pub(super) struct Attentive<'a, F> {
    pub(super) ear: Ear<'a>,
    pub(super) on_message: F,
}

impl<F: FnMut(&Message, HitSet)> MessageSink for Attentive<'_, F> {
    fn on_message(&mut self, message: &Message) {
        (self.on_message)(message, self.ear.heard.hits_of(message));
    }

    fn listener(&mut self) -> Option<&mut dyn Listener> {
        Some(&mut self.ear)
    }
}

impl Heard {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.method.clear();
        self.params.clear();
        self.clear_result();
        self.texts.clear();
        self.json = None;
    }

    fn clear_result(&mut self) {
        self.result.clear();
        self.tools.clear();
        self.tool.clear();
    }

    /// What hit in a message that is delivered. A message that is no JSON-RPC, or
    /// neither calls nor answers, has no values.
    fn hits_of(&self, message: &Message) -> HitSet {
        let mut hits = HitSet::new();
        let shape = message.shape();
        if shape == Shape::NotRpc || message.kind() == Kind::Invalid {
            return hits;
        }
        hits.extend(&self.method);
        self.params.named.iter().for_each(|param| hits.extend(&param.hits));
        if message.method() == Some("tools/call") {
            hits.extend(&self.params.tool_name.hits);
            hits.extend(&self.params.arguments.hits);
        }
        if is_result(message, shape) {
            hits.extend(&self.result);
            if message.list(List::Tools).well_formed > 0 {
                hits.extend(&self.tools);
                // Of a definition that is cut.
                hits.extend(&self.tool.name.hits);
                hits.extend(&self.tool.description.hits);
            }
        }
        hits
    }

    fn member(&mut self, of: TextField) -> Option<&mut HitSet> {
        Some(match of {
            TextField::Method => &mut self.method,
            TextField::Param(index) => &mut self.params.named.get_mut(index)?.hits,
            TextField::CalledTool => &mut self.params.tool_name.hits,
            TextField::ToolName => &mut self.tool.name.hits,
            TextField::ToolDescription => &mut self.tool.description.hits,
        })
    }
}

/// Whether the message has a result that MCP may have.
fn is_result(message: &Message, shape: Shape) -> bool {
    message.kind() == Kind::Response
        && !matches!(shape, Shape::Foreign(_))
        && message.envelope_kind(EnvelopeKey::Result) == ValueKind::Object
}

impl Params {
    fn clear(&mut self) {
        self.named.iter_mut().for_each(Member::clear);
        self.tool_name.clear();
        self.arguments.clear();
    }
}

impl Tool {
    fn clear(&mut self) {
        self.name.clear();
        self.description.clear();
    }
}

impl Member {
    fn clear(&mut self) {
        self.hits.clear();
        self.exact = false;
    }

    /// Whether a member with this key is the one called `name`, and counts.
    fn begins(&mut self, key: &[u8], name: &str) -> bool {
        let Some(exact) = mcp::is_key(key, name.as_bytes()) else { return false };
        if self.exact && !exact {
            return false;
        }
        self.exact = exact;
        self.hits.clear();
        true
    }
}

impl Ear<'_> {
    fn begin_text(&mut self, of: TextField, matcher: Option<&FieldMatcher>) {
        let Some(matcher) = matcher else { return };
        let mut hits = HitSet::new();
        let cursor = matcher.start(self.direction, &mut hits);
        self.heard.texts.push(Text { of, cursor, hits });
    }

    fn begin_json(&mut self, of: Json) -> bool {
        let fields = self.fields;
        let (matcher, hits) = match of {
            Json::Arguments => (&fields.arguments, &mut self.heard.params.arguments.hits),
            Json::Result => (&fields.result, &mut self.heard.result),
        };
        let cursor = matcher.as_deref().map(|matcher| matcher.start(self.direction, hits));
        self.heard.json = cursor.map(|cursor| (of, cursor));
        self.heard.json.is_some()
    }

    fn begin_param(&mut self, key: &[u8]) -> bool {
        let fields = self.fields;
        self.heard.params.named.resize_with(fields.params.len(), Member::default);
        for (index, (name, matcher)) in fields.params.iter().enumerate() {
            let param = self.heard.params.named.get_mut(index);
            if param.is_some_and(|param| param.begins(key, name)) {
                self.begin_text(TextField::Param(index), Some(matcher));
            }
        }
        if self.heard.params.tool_name.begins(key, "name") {
            self.begin_text(TextField::CalledTool, fields.tool_name.as_deref());
        }
        self.heard.params.arguments.begins(key, "arguments") && self.begin_json(Json::Arguments)
    }

    fn begin_in_tool(&mut self, key: &[u8]) {
        let fields = self.fields;
        if self.heard.tool.name.begins(key, "name") {
            self.begin_text(TextField::ToolName, fields.tool_name.as_deref());
        }
        if self.heard.tool.description.begins(key, "description") {
            self.begin_text(TextField::ToolDescription, fields.tool_description.as_deref());
        }
    }

    fn text_matcher(&self, of: TextField) -> Option<&FieldMatcher> {
        match of {
            TextField::Method => self.fields.method.as_deref(),
            TextField::Param(index) => self.fields.params.get(index),
            TextField::CalledTool | TextField::ToolName => self.fields.tool_name.as_deref(),
            TextField::ToolDescription => self.fields.tool_description.as_deref(),
        }
    }
}

impl Listener for Ear<'_> {
    fn begin(&mut self) {
        self.heard.clear();
    }

    fn member(&mut self, scope: Scope, key: &[u8]) -> Wanted {
        self.heard.texts.clear();
        let mut json = false;
        match scope {
            Scope::Envelope(EnvelopeKey::Method) => {
                self.heard.method.clear();
                let fields = self.fields;
                self.begin_text(TextField::Method, fields.method.as_deref());
            }
            Scope::Envelope(EnvelopeKey::Params) => self.heard.params.clear(),
            Scope::Envelope(EnvelopeKey::Result) => {
                self.heard.clear_result();
                json = self.begin_json(Json::Result);
            }
            Scope::Envelope(_) => {}
            Scope::Params => json = self.begin_param(key),
            Scope::Tools => {
                self.heard.tools.clear();
                self.heard.tool.clear();
            }
            Scope::Tool => self.begin_in_tool(key),
        }
        Wanted { text: !self.heard.texts.is_empty(), json }
    }

    fn text(&mut self, part: &[u8]) {
        let mut texts = std::mem::take(&mut self.heard.texts);
        for text in &mut texts {
            if let Some(matcher) = self.text_matcher(text.of) {
                matcher.feed(&mut text.cursor, part, &mut text.hits);
            }
        }
        self.heard.texts = texts;
    }

    fn text_end(&mut self, is_string: bool) {
        let mut texts = std::mem::take(&mut self.heard.texts);
        for Text { of, cursor, mut hits } in texts.drain(..).filter(|_| is_string) {
            if let Some(matcher) = self.text_matcher(of) {
                matcher.finish(&cursor, &mut hits);
            }
            if let Some(member) = self.heard.member(of) {
                *member = hits;
            }
        }
        self.heard.texts = texts;
    }

    fn json(&mut self, bytes: &[u8]) {
        let Heard { json, params, result, .. } = &mut *self.heard;
        let Some((of, cursor)) = json else { return };
        let (matcher, hits) = match of {
            Json::Arguments => (&self.fields.arguments, &mut params.arguments.hits),
            Json::Result => (&self.fields.result, result),
        };
        if let Some(matcher) = matcher {
            matcher.feed(cursor, bytes, hits);
        }
    }

    fn json_end(&mut self) {
        let Heard { json, params, result, .. } = &mut *self.heard;
        let Some((of, cursor)) = json.take() else { return };
        let (matcher, hits) = match of {
            Json::Arguments => (&self.fields.arguments, &mut params.arguments.hits),
            Json::Result => (&self.fields.result, result),
        };
        if let Some(matcher) = matcher {
            matcher.finish(&cursor, hits);
        }
    }

    fn tool_end(&mut self) {
        let Heard { tools, tool, .. } = &mut *self.heard;
        tools.extend(&tool.name.hits);
        tools.extend(&tool.description.hits);
        tool.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::Scanner;
    use crate::signature::{Matcher, SignatureSet};
    use crate::stream::testing::{Cut, Rng};

    const CALL: &str = r#"{"id":1,"params":{"arguments":{"path":"\/etc/x"},"Name":"no","name":"cat","uri":[],"uri":"é"},"method":"tools\u002fcall","jsonrpc":"2.0"}"#;
    const TOOLS: &str = r#"[{"jsonrpc":"2.0","id":"a","result":{"tools":[{"name":"add","description":"a\n\"b\"","inputSchema":{"name":"x","description":7}},{"DESCRIPTION":"c","name":"cat"}]}}]"#;

    fn matcher() -> Matcher {
        let signature = |(field, pattern): &(&str, &str)| {
            let id = format!("{field}.{}", pattern.len());
            format!(
                "[[signature]]\nid = '{id}'\ntitle = 't'\nstrength = 'weak'\n\
                 field = '{field}'\n{pattern}\n"
            )
        };
        let patterns = [
            ("jsonrpc.method", "exact = 'tools/call'"),
            ("jsonrpc.params.name", "exact = 'cat'"),
            ("jsonrpc.params.uri", "present = true"),
            ("jsonrpc.params.arguments", "present = true"),
            ("mcp.tool.name", "exact = ['cat', 'add']"),
            ("mcp.tool.name", "exact = 'no'"),
            ("mcp.tool.description", "regex = '^(?s:a.\"b\"|c)$'"),
            ("mcp.arguments", "json_member = { key = 'path', value = '/etc/x' }"),
            ("mcp.arguments", "regex = '^\\{.*\\}$'"),
            ("mcp.result", "json_member = { key = 'name', value = 'add' }"),
            ("mcp.result", "regex = '^\\{.*\\}\\]\\}$'"),
        ];
        let text: String = patterns.iter().map(signature).collect();
        let set = SignatureSet::parse("t.toml", &format!("version = 1\n{text}")).unwrap();
        set.compile().unwrap().0
    }

    /// What hits in the messages of a body, and their methods.
    fn read(matcher: &Matcher, body: &[u8], cut: Cut, complete: bool) -> Vec<(String, Vec<usize>)> {
        let mut heard = Heard::default();
        let mut found = Vec::new();
        let fields = matcher.messages().unwrap();
        let mut sink = Attentive {
            ear: Ear { heard: &mut heard, fields, direction: Direction::ToServer },
            on_message: |message: &Message, hits: HitSet| {
                let signals = matcher.signals(&hits).map(|index| index.index()).collect();
                found.push((message.method().unwrap_or_default().to_owned(), signals));
            },
        };
        let mut scanner = Scanner::new();
        let pieces = cut.pieces(body);
        let whole = pieces.into_iter().all(|piece| scanner.feed(piece, &mut sink).is_ok());
        let _ = whole && scanner.finish(complete, &mut sink).is_ok();
        found
    }

    fn hits(body: &str) -> Vec<usize> {
        let found = read(&matcher(), body.as_bytes(), Cut::Whole, true);
        found.into_iter().flat_map(|(_, signals)| signals).collect()
    }

    #[test]
    fn values_hit_where_they_belong() {
        assert_eq!(hits(CALL), [0, 1, 2, 4, 7, 8]);
        assert_eq!(hits(TOOLS), [4, 6, 9, 10]);
        // A parameter of another protocol that is called so, and a string.
        let text = CALL.replace(r#"{"path":"\/etc/x"}"#, r#""{\u007d""#);
        assert_eq!(hits(&text), [0, 1, 2, 3, 4]);
        // An exact key counts, wherever it stands.
        assert_eq!(hits(&CALL.replace("Name", "nAme")), [0, 1, 2, 4, 7, 8]);
        let folded = CALL.replace(r#""name":"cat","#, "");
        assert_eq!(hits(&folded), [0, 2, 5, 7, 8]);
    }

    #[test]
    fn values_are_the_same_in_any_pieces() {
        let matcher = matcher();
        let mut rng = Rng::new(5);
        let mut hitting = 0;
        for text in [CALL, TOOLS].iter().cycle().take(3_000) {
            let mut body = text.as_bytes().to_vec();
            rng.mutate(&mut body);
            for complete in [true, false] {
                if !complete {
                    body.truncate(rng.below(body.len() + 1));
                }
                let whole = read(&matcher, &body, Cut::Whole, complete);
                hitting += usize::from(whole.iter().any(|(_, signals)| !signals.is_empty()));
                for cut in Cut::all() {
                    let text = String::from_utf8_lossy(&body);
                    assert_eq!(read(&matcher, &body, cut, complete), whole, "{text} {cut:?}");
                }
            }
        }
        assert!(hitting > 500, "{hitting}");
    }
}
