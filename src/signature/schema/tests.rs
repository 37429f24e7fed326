use std::fs;
use std::path::Path;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::*;
use crate::signature::builtin;
use crate::signature::set::SignatureSet;

/// Whether a value is valid. Knows the keywords that the schema uses, and panics at
/// others, so that none is overlooked.
fn is_valid(schema: &Value, value: &Value, root: &Value) -> bool {
    let rules = match schema {
        Value::Bool(answer) => return *answer,
        Value::Object(rules) => rules,
        other => panic!("{other} is no schema"),
    };
    let valid = |schema: &Value, value: &Value| is_valid(schema, value, root);
    let any = |schemas: &Value| {
        schemas.as_array().unwrap().iter().filter(|schema| valid(schema, value)).count()
    };
    rules.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "$defs" | "title" | "description" | "format" => true,
        "$ref" => {
            valid(root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), value)
        }
        "type" => match rule {
            Value::Array(types) => types.iter().any(|kind| is_a(kind, value)),
            kind => is_a(kind, value),
        },
        "const" => value == rule,
        "enum" => rule.as_array().unwrap().contains(value),
        "anyOf" => any(rule) > 0,
        "oneOf" => any(rule) == 1,
        "allOf" => any(rule) == rule.as_array().unwrap().len(),
        "not" => !valid(rule, value),
        "if" => !valid(rule, value) || valid(&rules["then"], value),
        "then" => rules.contains_key("if"),
        "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
        "minLength" => {
            let least = rule.as_u64().unwrap() as usize;
            value.as_str().is_none_or(|text| text.chars().count() >= least)
        }
        "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
        "minItems" => {
            value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap())
        }
        "uniqueItems" => value.as_array().is_none_or(|items| {
            items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
        }),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| valid(rule, item))),
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "maxProperties" => {
            value.as_object().is_none_or(|object| object.len() as u64 <= rule.as_u64().unwrap())
        }
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| rule.get(key).is_none_or(|rule| valid(rule, value)))
        }),
        "patternProperties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| {
                let forms = rule.as_object().unwrap();
                forms.iter().all(|(form, rule)| !matches(form, key) || valid(rule, value))
            })
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| {
                let named = rules.get("properties").is_some_and(|named| named.get(key).is_some());
                let forms = rules.get("patternProperties").and_then(Value::as_object);
                let in_form =
                    forms.is_some_and(|forms| forms.keys().any(|form| matches(form, key)));
                named || in_form || valid(rule, value)
            })
        }),
        other => panic!("the keyword `{other}` is not known here"),
    })
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        other => panic!("the type `{other}` is not known here"),
    }
}

fn matches(form: &str, text: &str) -> bool {
    // Forms of ASCII, whatever the text.
    let bytes = syntax::Config::new().unicode(false).utf8(false);
    Regex::builder().syntax(bytes).build(form).unwrap().is_match(text)
}

/// A TOML file as editors hand it to a schema.
fn value(text: &str) -> Value {
    fn convert(value: toml::Value) -> Value {
        match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => number.into(),
            toml::Value::Boolean(answer) => answer.into(),
            toml::Value::Datetime(date) => date.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(convert).collect(),
            toml::Value::Table(table) => {
                Value::Object(table.into_iter().map(|(key, value)| (key, convert(value))).collect())
            }
        }
    }
    convert(toml::Value::Table(toml::from_str(text).unwrap()))
}

fn accepts(text: &str) -> bool {
    let schema = json_schema();
    is_valid(&schema, &value(text), &schema)
}

/// What the parser says; lists are not read.
fn parses(text: &str) -> bool {
    SignatureSet::parse("t.toml", text).is_ok()
}

#[test]
fn every_shipped_file_and_every_example_in_the_documentation_is_valid() {
    for (name, text) in builtin::SETS {
        assert!(accepts(text), "{name}");
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut seen = 0;
    for page in fs::read_dir(docs).unwrap() {
        let text = fs::read_to_string(page.unwrap().path()).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if block.contains("[[signature]]") || block.contains("[[suppress]]") {
                seen += 1;
                assert!(accepts(block), "{block}");
            }
        }
    }
    assert!(seen >= 5);
}

#[test]
fn every_key_of_the_parser_is_in_the_schema_and_no_other() {
    let schema = json_schema();
    for (place, known) in [
        ("", keys::ROOT),
        ("/$defs/signature", keys::SIGNATURE),
        ("/$defs/suppression", keys::SUPPRESSION),
        ("/$defs/condition/anyOf/0", keys::CONDITION),
        ("/$defs/json_member", keys::JSON_MEMBER),
        ("/$defs/examples", keys::EXAMPLES),
    ] {
        let table = schema.pointer(place).unwrap();
        let properties = table["properties"].as_object().unwrap();
        assert!(properties.keys().map(String::as_str).eq(keys::names(known)), "{place}");
        assert_eq!(table["additionalProperties"], json!(false), "{place}");
        for (key, property) in properties {
            assert!(property["description"].as_str().is_some_and(|about| about.len() > 3), "{key}");
        }
    }
}

#[test]
fn every_field_is_in_the_schema_with_the_patterns_that_suit_it() {
    let mut fields = Vec::new();
    for name in Field::NAMES {
        match named_by(name) {
            Named::Nobody => fields.push((*name).to_owned()),
            Named::Listed(rest) => fields.extend(rest.iter().map(|rest| format!("{name}{rest}"))),
            Named::Anyone(_) => fields.push(format!("{name}x-y")),
        }
    }
    fields.extend(["http.headers.x", "http.header.", "oauth.x", "http", ""].map(str::to_owned));
    let patterns = [
        "exact = 'a.example'",
        "prefix = 'abcd'",
        "substring = 'abcd'",
        "word = 'abcd'",
        "suffix = 'example'",
        "wildcard = '*.example'",
        "hosts = 'l'",
        "path_prefix = '/abcd'",
        "path_suffix = '/abcd'",
        "regex = 'abcd'",
        "json_string = 'abcd'",
        "json_member = { key = 'abcd' }",
        "port = 80",
        "present = true",
    ];
    assert_eq!(patterns.len(), keys::PATTERNS.len());
    for field in &fields {
        for pattern in patterns {
            let text = format!(
                "version = 1\nlists.l = 'lists/mcp-hosts.tsv'\n[[signature]]\nid = 'a'\n\
                 title = 't'\nstrength = 'weak'\nfield = '{field}'\n{pattern}\n"
            );
            assert_eq!(accepts(&text), parses(&text), "{text}");
        }
    }
}

#[test]
fn what_the_parser_refuses_by_its_shape_the_schema_refuses_too() {
    const SIGNATURE: &str = "[[signature]]\nid = 'a'\ntitle = 't'\nstrength = 'weak'\nfield = 'http.body'\n\
                             substring = 'abcd'\n";
    const SUPPRESS: &str = "[[suppress]]\nsignature = 'a'\nreason = 'r'\n\
                            when = { field = 'http.method', exact = 'GET' }\n";
    let file = |lines: &str| format!("version = 1\n{lines}");
    let both = |lines: &str| {
        let text = file(lines);
        assert_eq!(accepts(&text), parses(&text), "{text}");
        accepts(&text)
    };
    assert!(both(SIGNATURE) && both(SUPPRESS) && both(""));

    // Each key with a value of a wrong type.
    for (table, known, lines) in [
        ("", keys::ROOT, ""),
        ("", keys::SIGNATURE, SIGNATURE),
        ("", keys::SUPPRESSION, SUPPRESS),
        ("examples.", keys::EXAMPLES, SIGNATURE),
        ("json_member.", keys::JSON_MEMBER, &SIGNATURE.replace("substring = 'abcd'\n", "")),
        ("when.", keys::CONDITION, SIGNATURE),
    ] {
        for key in keys::names(known) {
            let kept: Vec<_> =
                lines.lines().filter(|line| !line.starts_with(&format!("{key} "))).collect();
            let text = file(&format!("{}\n{table}{key} = 1.5\n", kept.join("\n")));
            let text = if key == "version" { text.replacen("version = 1\n", "", 1) } else { text };
            assert!(!accepts(&text) && !parses(&text), "{text}");
        }
    }

    for wrong in [
        "titel = 't'",
        "severity = 'low'",
        "prefix = 'x'",
        "fields = ['http.body']",
        "kind = 'hosts'",
        "direction = 'up'",
        "since = '2025-01-01'",
        "allow = ['shadowed']",
        "tags = 'a'",
        "examples.match = [{ http.bodi = 'x' }]",
        "examples.match = [{ http.body = true }]",
        "examples.match = [1]",
        "examples.match = 'x'",
        "examples.matches = []",
        "when = []",
        "when = {}",
        "when = 'x'",
        "when = { all = [] }",
        "when = { all = { field = 'http.path', present = true } }",
        "when = { not = { field = 'http.path', exact = '/' }, field = 'http.path' }",
        "when = { field = 'http.path', exact = '/', suffix = 'x' }",
        "when = { field = 'http.path', suffix = 'x' }",
        "when = { field = 'http.path', present = false }",
        "when = { field = 'http.path', path_prefix = '/x/' }",
        "when = { field = 'flow.server_port', port = 0 }",
        "when = { field = 'flow.server_port', port = [] }",
        "when = { field = 'http.body', json_member = { value = 'x' } }",
        "when = { field = 'http.body', json_member = { key = 'x', key_prefix = 'y' } }",
        "when = { field = 'http.body', json_member = { key = 'x', value = 'x', value_prefix = 'y' } }",
        "when = { fields = ['http.path', 'http.body'], substring = 'abcd' }",
        "when = { fields = ['http.path', 'http.path'], substring = 'abcd' }",
    ] {
        assert!(!both(&format!("{SIGNATURE}{wrong}\n")), "{wrong}");
    }
    for right in [
        "kind = 'client'",
        "since = '2025-03-26'",
        "allow = ['shadowed-pattern']",
        "examples.match = ['x', { http.body = 'x', 'http.header.x.y' = '1' }]",
        "examples.match = [{ http = { 'header.x' = 'x', header.y.z = 'x' }, 'http.header' = { x = 'y' } }]",
        "examples.match = [{ oauth.client_id = 'x', jsonrpc.params.a.b = 'x', flow.server_port = 80 }]",
        "when = [[{ field = 'http.method', exact = 'x' }]]",
        "when = { any = [{ all = [{ field = 'http.method', exact = 'x' }] }, { not = { field = 'http.path', present = true } }] }",
        "when = { fields = ['http.path'], prefix = ['/a', 'b'], ignore_case = true }",
        "when = { field = 'http.body', json_member = { key_prefix = 'x', value = ['x'], fold_key = true } }",
    ] {
        assert!(both(&format!("{SIGNATURE}{right}\n")), "{right}");
    }
    for (line, right) in [
        ("until = 2027-01-31", true),
        ("until = '2027-01-31'", true),
        ("until = 2027-01-31T00:00:00", false),
        ("until = 20270131", false),
        ("reasons = 'x'", false),
        ("examples.miss = ['x']", true),
    ] {
        assert_eq!(both(&format!("{SUPPRESS}{line}\n")), right, "{line}");
    }
    for (names, right) in
        [("'*'", true), ("['a', 'a.*']", true), ("[]", false), ("'A'", false), ("'a*b'", false)]
    {
        let text = SUPPRESS.replace("signature = 'a'", &format!("signature = {names}"));
        assert_eq!(both(&text), right, "{names}");
    }
}
