//! A JSON Schema of signature files, for editors: made of the tables that the parser
//! reads by, so that it knows every key, field and name that the parser knows.
//!
//! It accepts all that the parser accepts. What takes more than the shape of a file
//! (ids used twice, expressions, what `not` may speak of) only the parser refuses.

use serde_json::{Map, Value, json};

use super::field::{Field, FieldClass, OAUTH_NAMES};
use super::lint::LINTS;
use super::model::{DIRECTIONS, EvidenceKind, Pattern, Revision, Strength};
use super::parse::LANGUAGE_VERSION;
use super::parse::keys::{self, Key, Keys, Shape};
use crate::findings::Severity;

const CLASSES: [FieldClass; 5] =
    [FieldClass::Name, FieldClass::Path, FieldClass::Text, FieldClass::Json, FieldClass::Port];

/// The JSON Schema (draft 2020-12) of signature files.
pub fn json_schema() -> Value {
    let mut schema = table(keys::ROOT, &["version"]);
    let mut definitions = Map::new();
    definitions.insert("signature".into(), signature());
    definitions
        .insert("suppression".into(), table(keys::SUPPRESSION, &["signature", "when", "reason"]));
    definitions.insert("condition".into(), condition());
    definitions.insert("json_member".into(), json_member());
    definitions.insert("examples".into(), table(keys::EXAMPLES, &[]));
    definitions.insert("example".into(), json!({ "anyOf": [text(), example_fields("")] }));
    definitions.insert("example_value".into(), json!({ "type": ["string", "integer"] }));
    definitions.insert("example_rest".into(), example_rest());
    definitions.insert("field".into(), json!({ "anyOf": CLASSES.map(class_ref) }));
    for class in CLASSES {
        definitions.insert(class_name(class), fields_of(class));
    }
    if let Some(object) = schema.as_object_mut() {
        object.insert("$defs".into(), definitions.into());
        object.shift_insert(
            0,
            "$schema".into(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        object.shift_insert(
            1,
            "title".into(),
            json!(format!("mcpwatch signatures, version {LANGUAGE_VERSION}")),
        );
    }
    schema
}

/// A table with these keys and no others.
fn table(known: Keys, required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        keys::all(known).map(|key| (key.name.to_owned(), described(key))).collect();
    let mut table = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        put(&mut table, "required", json!(required));
    }
    table
}

fn put(schema: &mut Value, keyword: &str, value: Value) {
    if let Some(object) = schema.as_object_mut() {
        object.insert(keyword.to_owned(), value);
    }
}

fn described(key: &Key) -> Value {
    let mut schema = shape(key.shape);
    if let Some(object) = schema.as_object_mut() {
        object.shift_insert(0, "description".into(), json!(key.about));
    }
    schema
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Version => json!({ "const": LANGUAGE_VERSION }),
        Shape::Lists => json!({ "type": "object", "additionalProperties": text() }),
        Shape::Signatures => list(&reference("signature"), 0),
        Shape::Suppressions => list(&reference("suppression"), 0),
        Shape::Id => json!({ "type": "string", "pattern": "^[a-z0-9._-]{1,96}$" }),
        Shape::IdPatterns => one_or_more(json!({
            "type": "string",
            "pattern": r"^([a-z0-9._-]{1,96}|[a-z0-9._-]{0,96}\*)$",
        })),
        Shape::Text | Shape::List => text(),
        Shape::Reason => json!({ "type": "string", "pattern": r"\S" }),
        Shape::Texts => list(&text(), 0),
        Shape::Field => reference("field"),
        // All of the same class.
        Shape::Fields => json!({
            "type": "array",
            "minItems": 1,
            "uniqueItems": true,
            "anyOf": CLASSES.map(|class| json!({ "items": class_ref(class) })),
        }),
        Shape::Direction => names(DIRECTIONS),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::True => json!({ "const": true }),
        Shape::Values => one_or_more(json!({ "type": "string", "minLength": 1 })),
        Shape::Paths => one_or_more(json!({ "type": "string", "pattern": r"^/[\s\S]*[^/]$" })),
        Shape::Ports => one_or_more(json!({ "type": "integer", "minimum": 1, "maximum": 65_535 })),
        Shape::JsonMember => reference("json_member"),
        Shape::Condition => reference("condition"),
        Shape::Conditions => list(&reference("condition"), 1),
        Shape::Strength => names(Strength::NAMES),
        Shape::Severity => names(Severity::NAMES),
        Shape::Kind => names(EvidenceKind::NAMES),
        Shape::Lints => list(&names(&LINTS.iter().map(|(code, _)| *code).collect::<Vec<_>>()), 0),
        Shape::Revision => names(Revision::NAMES),
        // Editors hand days of TOML over as texts.
        Shape::Date => {
            json!({ "type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$" })
        }
        Shape::Examples => reference("examples"),
        Shape::ExampleList => list(&reference("example"), 0),
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn names(names: &[&str]) -> Value {
    json!({ "enum": names })
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

fn list(item: &Value, at_least: usize) -> Value {
    let mut list = json!({ "type": "array", "items": item });
    if at_least > 0 {
        put(&mut list, "minItems", json!(at_least));
    }
    list
}

fn one_or_more(item: Value) -> Value {
    let several = list(&item, 1);
    json!({ "anyOf": [item, several] })
}

fn signature() -> Value {
    let mut signature = table(keys::SIGNATURE, &["id", "title"]);
    let mut rules = clause_rules();
    rules.push(one_of(&["strength", "severity"]));
    put(&mut signature, "allOf", rules.into());
    signature
}

fn condition() -> Value {
    let mut one = table(keys::CONDITION, &[]);
    let alone = |key: &Key| json!({ "required": [key.name], "maxProperties": 1 });
    let mut forms: Vec<Value> = keys::COMBINED.iter().map(alone).collect();
    forms.push(json!({ "allOf": clause_rules() }));
    put(&mut one, "anyOf", forms.into());
    json!({ "anyOf": [one, list(&reference("condition"), 1)] })
}

/// What holds for a field and its pattern.
fn clause_rules() -> Vec<Value> {
    let patterns: Vec<&str> = keys::PATTERNS.iter().map(|key| key.name).collect();
    let mut rules = vec![one_of(&["field", "fields"]), one_of(&patterns)];
    for class in CLASSES {
        let suited = patterns.iter().filter(|key| Pattern::key_suits(key, class));
        let suited: Vec<Value> = suited.map(|key| json!({ "required": [key] })).collect();
        let one = json!({ "properties": { "field": class_ref(class) }, "required": ["field"] });
        let items = json!({ "items": class_ref(class) });
        let several = json!({ "properties": { "fields": items }, "required": ["fields"] });
        rules.push(json!({ "if": { "anyOf": [one, several] }, "then": { "anyOf": suited } }));
    }
    rules
}

/// Exactly one of these keys.
fn one_of(names: &[&str]) -> Value {
    let required: Vec<_> = names.iter().map(|name| json!({ "required": [name] })).collect();
    json!({ "oneOf": required })
}

fn json_member() -> Value {
    let mut member = table(keys::JSON_MEMBER, &[]);
    let both = json!({ "not": { "required": ["value", "value_prefix"] } });
    put(&mut member, "allOf", json!([one_of(&["key", "key_prefix"]), both]));
    member
}

fn class_name(class: FieldClass) -> String {
    format!("{}_field", class.as_str().replace(' ', "_"))
}

fn class_ref(class: FieldClass) -> Value {
    reference(&class_name(class))
}

/// The fields that hold values of a class.
fn fields_of(class: FieldClass) -> Value {
    let mut plain = Vec::new();
    let mut forms = Vec::new();
    for name in Field::NAMES {
        let in_class = |name: &str| Field::parse(name).is_some_and(|field| field.class() == class);
        match named_by(name) {
            Named::Nobody if in_class(name) => plain.push((*name).to_owned()),
            Named::Nobody => {}
            Named::Listed(rest) => {
                let names = rest.iter().map(|rest| format!("{name}{rest}"));
                plain.extend(names.filter(|name| in_class(name)));
            }
            Named::Anyone(rest) if in_class(&format!("{name}x")) => {
                let start = name.replace('.', r"\.");
                forms.push(json!({ "type": "string", "pattern": format!("^{start}{rest}$") }));
            }
            Named::Anyone(_) => {}
        }
    }
    if !plain.is_empty() {
        forms.insert(0, json!({ "enum": plain }));
    }
    json!({ "anyOf": forms })
}

/// Who gives a field's name its rest.
enum Named {
    /// It has none.
    Nobody,
    /// One of these.
    Listed(&'static [&'static str]),
    /// Whoever writes the signature, in this form.
    Anyone(&'static str),
}

fn named_by(name: &str) -> Named {
    match name {
        "oauth." => Named::Listed(OAUTH_NAMES),
        "http.header." => Named::Anyone("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}"),
        name if name.ends_with('.') => Named::Anyone("(?:.|\\n){1,64}"),
        _ => Named::Nobody,
    }
}

/// A table of fields whose names begin so. Names may be cut into tables at any dot.
fn example_fields(start: &str) -> Value {
    let mut properties = Map::new();
    let mut forms = Map::new();
    let mut others = json!(false);
    let value = || reference("example_value");
    let cuts = |name: &str, properties: &mut Map<String, Value>| {
        for (dot, _) in name.match_indices('.') {
            let (Some(key), Some(inside)) = (name.get(..dot), name.get(..=dot)) else { continue };
            if !properties.contains_key(key) {
                properties.insert(key.to_owned(), example_fields(&format!("{start}{inside}")));
            }
        }
    };
    for name in Field::NAMES {
        let listed = match named_by(name) {
            Named::Nobody => vec![(*name).to_owned()],
            Named::Listed(rest) => rest.iter().map(|rest| format!("{name}{rest}")).collect(),
            Named::Anyone(_) => Vec::new(),
        };
        for rest in listed.iter().filter_map(|name| name.strip_prefix(start)) {
            properties.insert(rest.to_owned(), value());
            cuts(rest, &mut properties);
        }
        if let (Named::Anyone(_), Some(rest)) = (named_by(name), name.strip_prefix(start)) {
            cuts(rest, &mut properties);
            match rest {
                "" => others = reference("example_rest"),
                rest => {
                    let form = format!(r"^{}[\s\S]", rest.replace('.', r"\."));
                    forms.insert(form, reference("example_rest"));
                }
            }
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": forms,
        "additionalProperties": others,
    })
}

/// The rest of a name that its writer chose, which may hold dots.
fn example_rest() -> Value {
    let inside = json!({ "type": "object", "additionalProperties": reference("example_rest") });
    json!({ "anyOf": [reference("example_value"), inside] })
}

#[cfg(test)]
mod tests;
