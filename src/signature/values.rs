//! The fields that are values of messages and documents: which of them a set asks
//! for. Whoever parses messages hands the values over, and no others.

use std::collections::HashMap;
use std::sync::Arc;

use super::field::Field;
use super::matcher::FieldMatcher;

/// The patterns on values of JSON-RPC messages.
#[derive(Clone, Debug, Default)]
pub struct MessageFields {
    /// `jsonrpc.method`.
    pub method: Option<Arc<FieldMatcher>>,
    /// `jsonrpc.params.NAME`.
    pub params: NamedFields,
    /// `mcp.tool.name`.
    pub tool_name: Option<Arc<FieldMatcher>>,
    /// `mcp.tool.description`.
    pub tool_description: Option<Arc<FieldMatcher>>,
    /// `mcp.arguments`.
    pub arguments: Option<Arc<FieldMatcher>>,
    /// `mcp.result`.
    pub result: Option<Arc<FieldMatcher>>,
}

/// The patterns on values that go by names of their own.
#[derive(Clone, Debug, Default)]
pub struct NamedFields(Vec<(Box<str>, Arc<FieldMatcher>)>);

type Fields = HashMap<Field, Arc<FieldMatcher>>;

impl MessageFields {
    /// Those among `fields`, if there are any.
    pub(super) fn of(fields: &Fields) -> Option<Self> {
        let of = |field: Field| fields.get(&field).cloned();
        let found = Self {
            method: of(Field::JsonRpcMethod),
            params: NamedFields::of(fields, |field| match field {
                Field::JsonRpcParams(name) => Some(name),
                _ => None,
            }),
            tool_name: of(Field::McpToolName),
            tool_description: of(Field::McpToolDescription),
            arguments: of(Field::McpArguments),
            result: of(Field::McpResult),
        };
        let Self { method, params, tool_name, tool_description, arguments, result } = &found;
        let single = [method, tool_name, tool_description, arguments, result];
        (!params.is_empty() || single.into_iter().any(Option::is_some)).then_some(found)
    }
}

impl NamedFields {
    /// Those among `fields` that have a name, in the order of their names.
    pub(super) fn of(fields: &Fields, name: fn(&Field) -> Option<&Box<str>>) -> Self {
        let named = fields
            .iter()
            .filter_map(|(field, matcher)| Some((name(field)?.clone(), Arc::clone(matcher))));
        let mut named: Vec<_> = named.collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(named)
    }

    /// Whether none are asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are asked for.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names with their patterns.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldMatcher)> {
        self.0.iter().map(|(name, matcher)| (&**name, &**matcher))
    }

    /// The patterns of the name at an index of [`iter`](Self::iter).
    pub fn get(&self, index: usize) -> Option<&FieldMatcher> {
        self.0.get(index).map(|(_, matcher)| &**matcher)
    }
}
