//! The shipped sets, built into the binary.

/// Signature files and their text.
pub(crate) const SETS: &[(&str, &str)] = &[
    ("hosts.toml", include_str!("../../signatures/hosts.toml")),
    ("http.toml", include_str!("../../signatures/http.toml")),
    ("messages.toml", include_str!("../../signatures/messages.toml")),
    ("oauth.toml", include_str!("../../signatures/oauth.toml")),
    ("discovery.toml", include_str!("../../signatures/discovery.toml")),
    ("clients.toml", include_str!("../../signatures/clients.toml")),
    ("local.toml", include_str!("../../signatures/local.toml")),
    ("context.toml", include_str!("../../signatures/context.toml")),
];

/// List files and their text.
const LISTS: &[(&str, &str)] = &[
    ("lists/mcp-hosts.tsv", include_str!("../../signatures/lists/mcp-hosts.tsv")),
    ("lists/mcp-endpoints.tsv", include_str!("../../signatures/lists/mcp-endpoints.tsv")),
    ("lists/mcp-registries.tsv", include_str!("../../signatures/lists/mcp-registries.tsv")),
    ("lists/ai-hosts.tsv", include_str!("../../signatures/lists/ai-hosts.tsv")),
];

/// The text of a list file.
pub(crate) fn list(name: &str) -> Option<&'static str> {
    LISTS.iter().find(|(file, _)| *file == name).map(|&(_, text)| text)
}
