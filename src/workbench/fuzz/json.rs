//! JSON as `serde_json` reads it: a text in, every string and member in it out.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The strings and members of a JSON text, at any depth; of a key that occurs
/// twice, both members.
#[derive(Debug, Default)]
pub(super) struct Strings {
    /// Keys and values.
    pub(super) strings: Vec<String>,
    /// Key, and value where that is a string.
    pub(super) members: Vec<(String, Option<String>)>,
}

impl Strings {
    /// `None` if the text is not one JSON value.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let node: Node = serde_json::from_slice(text).ok()?;
        let mut strings = Self::default();
        strings.collect(node);
        Some(strings)
    }

    fn collect(&mut self, node: Node) {
        match node {
            Node::Other => {}
            Node::String(text) => self.strings.push(text),
            Node::Array(items) => items.into_iter().for_each(|item| self.collect(item)),
            Node::Object(members) => {
                for (key, value) in members {
                    let text = match &value {
                        Node::String(text) => Some(text.clone()),
                        _ => None,
                    };
                    self.strings.push(key.clone());
                    self.members.push((key, text));
                    self.collect(value);
                }
            }
        }
    }
}

/// A JSON value that keeps members whose key occurs twice.
enum Node {
    Other,
    String(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Node::Object(object))
    }
}
