//! The object keys that the scanner follows, and how they are recognised.
//!
//! A key is compared exactly first. Go's `encoding/json` also takes keys that
//! differ in case only, by Unicode simple folding (which makes U+017F an `s`
//! and U+212A a `k`), so such keys are recognised and marked.

/// A set of known keys.
pub(super) trait Key: Copy + 'static {
    /// Every key, in the order of their indices.
    const ALL: &'static [Self];

    /// Place in arrays that hold something for each key.
    fn index(self) -> usize;

    /// The key as written.
    fn bytes(self) -> &'static [u8];

    /// How many bytes of its value's text are worth keeping.
    fn cap(self) -> usize;

    /// The key spelt exactly so.
    fn exact(key: &[u8]) -> Option<Self>;

    /// The key spelt so, and whether exactly.
    fn find(key: &[u8]) -> Option<(Self, Spelling)> {
        if let Some(found) = Self::exact(key) {
            return Some((found, Spelling::Exact));
        }
        Self::ALL
            .iter()
            .find(|known| folds_to(key, known.bytes()))
            .map(|&found| (found, Spelling::Folded))
    }
}

/// How a key was spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    Exact,
    Folded,
}

/// Declares a set of keys: variant, spelling, bytes kept of the value's text.
macro_rules! keys {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, $cap:literal; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$variant_meta])* $variant, )* }

        impl Key for $name {
            const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            fn index(self) -> usize {
                self as usize
            }

            fn bytes(self) -> &'static [u8] {
                match self { $( Self::$variant => $text, )* }
            }

            fn cap(self) -> usize {
                match self { $( Self::$variant => $cap, )* }
            }

            fn exact(key: &[u8]) -> Option<Self> {
                match key { $( $text => Some(Self::$variant), )* _ => None }
            }
        }
    };
}

keys! {
    /// Members of a JSON-RPC message.
    pub enum EnvelopeKey {
        /// The version of JSON-RPC.
        JsonRpc = b"jsonrpc", 8;
        /// Ties a response to its request.
        Id = b"id", 128;
        /// What is asked for.
        Method = b"method", 128;
        /// With which parameters.
        Params = b"params", 0;
        /// What came of it.
        Result = b"result", 0;
        /// What went wrong.
        Error = b"error", 0;
    }
}

keys! {
    /// Members of `params`.
    pub enum ParamKey {
        /// Tool or prompt.
        Name = b"name", 256;
        /// Resource.
        Uri = b"uri", 1024;
        /// Arguments of a tool or prompt (see `Message::arguments`).
        Arguments = b"arguments", 0;
        /// Reserved metadata.
        Meta = b"_meta", 0;
        /// Continues a list.
        Cursor = b"cursor", 64;
        /// `initialize`: revision that the client speaks.
        ProtocolVersion = b"protocolVersion", 64;
        /// `initialize`: what the client can do.
        Capabilities = b"capabilities", 0;
        /// `initialize`: who the client is.
        ClientInfo = b"clientInfo", 0;
        /// Task.
        TaskId = b"taskId", 128;
        /// `completion/complete`: what is completed.
        Ref = b"ref", 0;
        /// `completion/complete`: the argument that is typed.
        Argument = b"argument", 0;
        /// Log level.
        Level = b"level", 32;
        /// Which request made progress.
        ProgressToken = b"progressToken", 128;
        /// How far it is.
        Progress = b"progress", 32;
        /// Which request is cancelled.
        RequestId = b"requestId", 128;
        /// `sampling/createMessage`: the prompt.
        Messages = b"messages", 0;
        /// `sampling/createMessage`: whose context is wanted too.
        IncludeContext = b"includeContext", 32;
        /// `elicitation/create`: what is asked.
        RequestedSchema = b"requestedSchema", 0;
        /// `elicitation/create`: text for the user; in A2A an object.
        Message = b"message", 512;
        /// `elicitation/create`: `form` or `url`.
        Mode = b"mode", 16;
        /// `elicitation/create`: where to send the user.
        Url = b"url", 1024;
        /// Which elicitation is complete.
        ElicitationId = b"elicitationId", 128;
        /// `subscriptions/listen`: what is subscribed to.
        Notifications = b"notifications", 0;
        /// What the client answers when a request is made again.
        InputResponses = b"inputResponses", 0;
        /// Task state; log data.
        Status = b"status", 32;
        /// Log data.
        Data = b"data", 0;
        /// A2A: task.
        Id = b"id", 128;
        /// Agent Client Protocol: session.
        SessionId = b"sessionId", 128;
        /// Agent Client Protocol: what the client can do.
        ClientCapabilities = b"clientCapabilities", 0;
        /// Language Server Protocol: the editor's process.
        ProcessId = b"processId", 0;
        /// Language Server Protocol: the workspace.
        RootUri = b"rootUri", 0;
        /// Language Server Protocol: the workspace, before `rootUri`.
        RootPath = b"rootPath", 0;
        /// Language Server Protocol: the workspaces.
        WorkspaceFolders = b"workspaceFolders", 0;
    }
}

keys! {
    /// Members of `result`.
    pub enum ResultKey {
        /// `initialize`: revision that the server speaks.
        ProtocolVersion = b"protocolVersion", 64;
        /// `initialize`: who the server is.
        ServerInfo = b"serverInfo", 0;
        /// What the server can do.
        Capabilities = b"capabilities", 0;
        /// How to use the server.
        Instructions = b"instructions", 0;
        /// Tools listed.
        Tools = b"tools", 0;
        /// What a tool returned; in sampling and elicitation an object.
        Content = b"content", 0;
        /// The tool failed.
        IsError = b"isError", 0;
        /// What a tool returned, as data.
        StructuredContent = b"structuredContent", 0;
        /// Resources listed.
        Resources = b"resources", 0;
        /// Resource templates listed.
        ResourceTemplates = b"resourceTemplates", 0;
        /// Prompts listed.
        Prompts = b"prompts", 0;
        /// What a resource contains.
        Contents = b"contents", 0;
        /// What a prompt says.
        Messages = b"messages", 0;
        /// `server/discover`: revisions that the server speaks.
        SupportedVersions = b"supportedVersions", 0;
        /// `complete`, `input_required` or `task`.
        ResultType = b"resultType", 64;
        /// Reserved metadata.
        Meta = b"_meta", 0;
        /// What the server wants to know before it goes on.
        InputRequests = b"inputRequests", 0;
        /// Completions.
        Completion = b"completion", 0;
        /// The client's roots.
        Roots = b"roots", 0;
        /// Sampling: which model answered.
        Model = b"model", 128;
        /// Sampling: who speaks.
        Role = b"role", 32;
        /// Elicitation: what the user did.
        Action = b"action", 32;
        /// The list goes on.
        NextCursor = b"nextCursor", 0;
        /// Agent Client Protocol: what the agent can do.
        AgentCapabilities = b"agentCapabilities", 0;
        /// A2A: `task`, `message` and the like.
        Kind = b"kind", 32;
    }
}

keys! {
    /// Members of `error`.
    pub enum ErrorKey {
        /// What kind of error.
        Code = b"code", 32;
        /// For a person.
        Message = b"message", 512;
        /// More about it.
        Data = b"data", 0;
    }
}

keys! {
    /// Members of `error.data`.
    pub enum ErrorDataKey {
        /// Revisions that the server speaks.
        Supported = b"supported", 0;
        /// The revision it does not speak.
        Requested = b"requested", 64;
    }
}

keys! {
    /// Members of `_meta` in `params` or `result`.
    pub enum MetaKey {
        /// Revision that the client speaks.
        ProtocolVersion = b"io.modelcontextprotocol/protocolVersion", 64;
        /// Who the client is.
        ClientInfo = b"io.modelcontextprotocol/clientInfo", 0;
        /// What the client can do.
        ClientCapabilities = b"io.modelcontextprotocol/clientCapabilities", 0;
        /// What the client wants logged.
        LogLevel = b"io.modelcontextprotocol/logLevel", 32;
        /// Which subscription a notification belongs to.
        SubscriptionId = b"io.modelcontextprotocol/subscriptionId", 128;
        /// Who the server is.
        ServerInfo = b"io.modelcontextprotocol/serverInfo", 0;
        /// Asks for progress.
        ProgressToken = b"progressToken", 128;
    }
}

keys! {
    /// Members of `clientInfo` and `serverInfo`.
    pub enum InfoKey {
        /// For programs.
        Name = b"name", 128;
        /// Its version.
        Version = b"version", 64;
        /// For people.
        Title = b"title", 128;
    }
}

keys! {
    /// Members of an element of a list, and of other small objects.
    pub enum ItemKey {
        /// Tool, prompt, resource.
        Name = b"name", 128;
        /// Resource or root.
        Uri = b"uri", 512;
        /// Resource template.
        UriTemplate = b"uriTemplate", 512;
        /// Kind of content.
        Type = b"type", 32;
        /// Who speaks.
        Role = b"role", 32;
        /// What is said.
        Content = b"content", 0;
        /// Text of a resource.
        Text = b"text", 0;
        /// Bytes of a resource, in base64.
        Blob = b"blob", 0;
        /// What a tool takes.
        InputSchema = b"inputSchema", 0;
        /// An input request's method.
        Method = b"method", 64;
        /// Completions.
        Values = b"values", 0;
        /// A2A: parts of a message.
        Parts = b"parts", 0;
    }
}

/// Prefix of the `_meta` keys that MCP itself defines.
pub(super) const META_PREFIX: &[u8] = b"io.modelcontextprotocol/";

/// The longest key that is looked at: the longest known one, all of whose
/// letters are spelt with the three bytes of U+212A.
pub(super) const MAX_KEY: usize = 136;

/// Whether Go's `encoding/json` takes `key` for `name`.
pub(super) fn folds_to(key: &[u8], name: &[u8]) -> bool {
    let mut rest = key;
    for &expected in name {
        let (folded, len) = match *rest {
            [0xC5, 0xBF, ..] => (b's', 2),
            [0xE2, 0x84, 0xAA, ..] => (b'k', 3),
            [byte, ..] => (byte.to_ascii_lowercase(), 1),
            [] => return false,
        };
        if folded != expected.to_ascii_lowercase() {
            return false;
        }
        rest = rest.get(len..).unwrap_or_default();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_exact_and_by_folded_spelling() {
        let folded = Some((EnvelopeKey::Params, Spelling::Folded));
        assert_eq!(EnvelopeKey::find(b"params"), Some((EnvelopeKey::Params, Spelling::Exact)));
        assert_eq!(EnvelopeKey::find(b"PARAMS"), folded);
        assert_eq!(EnvelopeKey::find("param\u{17f}".as_bytes()), folded);
        assert_eq!(
            ParamKey::find("TA\u{17f}\u{212a}ID".as_bytes()),
            Some((ParamKey::TaskId, Spelling::Folded))
        );
        for stranger in ["", "param", "paramss", "params ", "p\u{e4}rams", "\u{17f}"] {
            assert_eq!(EnvelopeKey::find(stranger.as_bytes()), None, "{stranger}");
        }
    }

    #[test]
    fn indices_count_up_and_spellings_are_unique() {
        fn check<K: Key + std::fmt::Debug + PartialEq>() {
            assert!(K::ALL.len() <= 64, "one bit each in a word");
            for (index, &key) in K::ALL.iter().enumerate() {
                assert_eq!(key.index(), index);
                assert_eq!(K::exact(key.bytes()), Some(key));
                assert!(key.bytes().len() * 3 <= MAX_KEY);
            }
        }
        check::<EnvelopeKey>();
        check::<ParamKey>();
        check::<ResultKey>();
        check::<ErrorKey>();
        check::<ErrorDataKey>();
        check::<MetaKey>();
        check::<InfoKey>();
        check::<ItemKey>();
    }
}
