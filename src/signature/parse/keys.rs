//! The keys of signature files: one table for the parser, which refuses others, and
//! for the schema that editors read.

/// A key, what it holds, and what it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) about: &'static str,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The version of the language.
    Version,
    /// Files of lists by name.
    Lists,
    /// `[[signature]]`.
    Signatures,
    /// `[[suppress]]`.
    Suppressions,
    /// The id of a signature.
    Id,
    /// Ids of signatures, or what they begin with.
    IdPatterns,
    /// Any text.
    Text,
    /// A text that says something.
    Reason,
    /// Any texts.
    Texts,
    /// The name of a field.
    Field,
    /// Names of fields.
    Fields,
    /// Which way.
    Direction,
    /// Yes or no.
    Bool,
    /// Yes.
    True,
    /// Something to look for, or alternatives.
    Values,
    /// Paths to look for.
    Paths,
    /// The name of a list.
    List,
    /// A port or ports.
    Ports,
    /// A member of a JSON object.
    JsonMember,
    /// A condition, or several that must all hold.
    Condition,
    /// Several conditions.
    Conditions,
    /// What a hit is worth.
    Strength,
    /// How much a threat matters.
    Severity,
    /// Kind of evidence.
    Kind,
    /// Codes of lints.
    Lints,
    /// A revision of the protocol.
    Revision,
    /// A day.
    Date,
    /// Examples both ways.
    Examples,
    /// Examples.
    ExampleList,
}

/// The keys of one kind of table, by what they have to do with each other.
pub(crate) type Keys = &'static [&'static [Key]];

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, about }
}

/// Keys of a file.
pub(crate) const ROOT: Keys = &[&[
    key("version", Shape::Version, "The version of this language: 1."),
    key(
        "lists",
        Shape::Lists,
        "Names of host lists and their files, relative to this file and not outside its folder.",
    ),
    key("signature", Shape::Signatures, "The signatures."),
    key("suppress", Shape::Suppressions, "Where signatures do not count."),
]];

/// Keys of `[[signature]]`.
pub(crate) const SIGNATURE: Keys = &[
    &[
        key(
            "id",
            Shape::Id,
            "Unique in all files together, the shipped ones included. It stands in findings.",
        ),
        key("title", Shape::Text, "One line for a person."),
    ],
    PLACE,
    PATTERNS,
    &[
        key("when", Shape::Condition, "What else must hold in the same request and response."),
        key("strength", Shape::Strength, "What a hit is worth as evidence of MCP."),
        key(
            "severity",
            Shape::Severity,
            "Instead of a strength: the signature finds a threat, and this is how bad it is.",
        ),
        key("kind", Shape::Kind, "Kind of evidence, if not the field's own."),
        key("tags", Shape::Texts, "Free texts for filters, such as `owasp:MCP09`."),
        key("references", Shape::Texts, "Where the knowledge comes from."),
        key("allow", Shape::Lints, "Codes of warnings that do not apply to it."),
        key("since", Shape::Revision, "First protocol revision that has it."),
        key("until", Shape::Revision, "Last protocol revision that has it."),
        key("examples", Shape::Examples, "What must hit and what must not."),
    ],
];

/// Keys of a condition.
pub(crate) const CONDITION: Keys = &[PLACE, PATTERNS, COMBINED];

/// Keys of `[[suppress]]`.
pub(crate) const SUPPRESSION: Keys = &[&[
    key(
        "signature",
        Shape::IdPatterns,
        "Which signatures do not count: an id, or ids; a `*` at the end stands for any rest.",
    ),
    key("when", Shape::Condition, "Where they do not count."),
    key("reason", Shape::Reason, "Why."),
    key("until", Shape::Date, "The day from which on they count again."),
    key("examples", Shape::Examples, "What must be suppressed and what must still count."),
]];

/// Keys of `json_member`.
pub(crate) const JSON_MEMBER: Keys = &[&[
    key("key", Shape::Values, "The member's key."),
    key("key_prefix", Shape::Values, "What the member's key begins with."),
    key("value", Shape::Values, "Its string value."),
    key("value_prefix", Shape::Values, "What its string value begins with."),
    key(
        "fold_key",
        Shape::Bool,
        "Compare the key as Go's `encoding/json` does: without regard to case, with U+017F as `s` \
         and U+212A as `k`.",
    ),
]];

/// Keys of `examples`.
pub(crate) const EXAMPLES: Keys = &[&[
    key("match", Shape::ExampleList, "What must hit."),
    key("miss", Shape::ExampleList, "What must not hit."),
]];

/// Where to look, and how.
const PLACE: &[Key] = &[
    key("field", Shape::Field, "Where to look."),
    key(
        "fields",
        Shape::Fields,
        "Where to look, if in several places; a hit in any of them counts.",
    ),
    key("direction", Shape::Direction, "Which way the bytes must travel; without it, either."),
    key("ignore_case", Shape::Bool, "Compare ASCII letters without regard to case."),
];

/// What to look for: one of these.
pub(crate) const PATTERNS: &[Key] = &[
    key("exact", Shape::Values, "The whole value."),
    key("prefix", Shape::Values, "Values that begin so."),
    key("substring", Shape::Values, "Anywhere in the value."),
    key("word", Shape::Values, "Anywhere, with no ASCII letter or digit beside it."),
    key("suffix", Shape::Values, "The name itself and all names below it."),
    key("wildcard", Shape::Values, "A name, label by label; `*` is one label or part of one."),
    key("hosts", Shape::List, "The names of a list under `[lists]`."),
    key("path_prefix", Shape::Paths, "The path itself and all paths below it."),
    key("path_suffix", Shape::Paths, "Paths that end in these segments."),
    key("regex", Shape::Values, "An expression in the syntax of the Rust `regex` crate, on bytes."),
    key("json_string", Shape::Values, "A whole JSON string (key or value), whatever its escapes."),
    key(
        "json_member",
        Shape::JsonMember,
        "A member of a JSON object, whatever its escapes and white space.",
    ),
    key("port", Shape::Ports, "One of these port numbers."),
    key("present", Shape::True, "Any value, even an empty one."),
];

/// Conditions of conditions.
pub(crate) const COMBINED: &[Key] = &[
    key("all", Shape::Conditions, "All of these hold."),
    key("any", Shape::Conditions, "At least one of these holds."),
    key("not", Shape::Condition, "This does not hold. Only of what is known at once."),
];

/// The keys' names.
pub(crate) fn names(keys: Keys) -> impl Iterator<Item = &'static str> + Clone {
    all(keys).map(|key| key.name)
}

/// The keys.
pub(crate) fn all(keys: Keys) -> impl Iterator<Item = &'static Key> + Clone {
    keys.iter().flat_map(|group| group.iter())
}
