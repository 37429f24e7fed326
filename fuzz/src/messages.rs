//! What is compared of JSON-RPC messages.

use mcpwatch::mcp::{List, Message, MetaKey, ParamKey, ResultKey, Shape};

/// A message, as far as it can be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) shape: Shape,
    pub(crate) text: String,
}

impl Seen {
    /// With everything that is known of it.
    pub(crate) fn of(message: &Message) -> Self {
        let (arguments, len) = (message.arguments(), message.arguments_len());
        let text = format!("{} {arguments:?}/{len} {:?}", content(message), message.flags());
        Self { shape: message.shape(), text }
    }

    /// With all but what its spelling shows.
    pub(crate) fn content_of(message: &Message) -> Self {
        Self { shape: message.shape(), text: content(message) }
    }
}

fn content(message: &Message) -> String {
    let params: Vec<_> = [
        ParamKey::Name,
        ParamKey::Uri,
        ParamKey::Cursor,
        ParamKey::TaskId,
        ParamKey::Level,
        ParamKey::Message,
    ]
    .into_iter()
    .map(|key| (message.param_kind(key), message.param(key)))
    .collect();
    let results: Vec<_> = [ResultKey::Capabilities, ResultKey::Tools, ResultKey::Content]
        .into_iter()
        .map(|key| message.result_kind(key))
        .collect();
    let lists: Vec<_> = [List::Tools, List::Content, List::Resources, List::Prompts, List::Roots]
        .into_iter()
        .map(|list| message.list(list))
        .collect();
    format!(
        "{:?} {:?} {:?} {:?} {params:?} {results:?} {lists:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} \
         {:?} {:?} {:?} {:?} {:?}",
        message.kind(),
        message.version(),
        message.id(),
        message.method(),
        message.protocol_version(),
        message.client_info(),
        message.server_info(),
        message.tools().collect::<Vec<_>>(),
        message.listed_names().collect::<Vec<_>>(),
        message.supported_versions().collect::<Vec<_>>(),
        message.input_requests().collect::<Vec<_>>(),
        message.content_types().iter().collect::<Vec<_>>(),
        message.meta_kind(MetaKey::ProtocolVersion),
        message.error_code(),
        message.error_message(),
        message.requested_version(),
    )
}
