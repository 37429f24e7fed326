use super::*;
use crate::signature::model::{Condition, Pattern};

/// A set of one signature, with lines that replace or add to its own.
fn signature(lines: &str) -> String {
    let mut text = String::from("version = 1\n[[signature]]\n");
    for (key, line) in [
        ("id", "id = \"a.b\""),
        ("title", "title = \"T\""),
        ("field", "field = \"http.body\""),
        ("strength", "strength = \"weak\""),
    ] {
        let given = lines.lines().any(|given| given.starts_with(key));
        if !given {
            text.push_str(line);
            text.push('\n');
        }
    }
    text + lines
}

fn read(text: &str) -> Result<Vec<Signature>, Vec<Diagnostic>> {
    read_all(text).map(|parsed| parsed.signatures)
}

fn read_all(text: &str) -> Result<Parsed, Vec<Diagnostic>> {
    let source = Source::new("t.toml", text.as_bytes().to_vec()).map_err(|e| vec![e])?;
    parse(&source, &mut |name| match name {
        "hosts.tsv" => Source::new(name, b"mcp.example.com\n".to_vec()),
        "bad.tsv" => Source::new(name, b"ok.example\na..b\n".to_vec()),
        _ => Err(Diagnostic::new(super::super::Severity::Error, "list", "no such list")),
    })
}

/// Code, line and column.
type Problem = (&'static str, usize, usize);

fn problems(text: &str) -> Vec<Problem> {
    let found = read(text).expect_err(text);
    let place = |found: &Diagnostic| {
        found.location.as_ref().map_or((0, 0), |place| (place.line, place.column()))
    };
    found.iter().map(|found| (found.code, place(found).0, place(found).1)).collect()
}

#[test]
fn reads_a_whole_signature() {
    let text = r#"
        version = 1
        lists.known = "hosts.tsv"
        [[signature]]
        id = "x.full"
        title = "Everything"
        field = "http.header.Mcp-Session-Id"
        direction = "to_client"
        regex = ['^[a-f]+$', "x"]
        ignore_case = true
        strength = "strong"
        kind = "client"
        tags = ["a", "b"]
        references = ["https://example.com"]
        since = "2025-03-26"
        until = "2025-11-25"
        when = [
            { field = "http.method", exact = "POST" },
            { any = [{ field = "http.host", hosts = "known" }, { not = { field = "http.path", path_prefix = "/x" } }] },
        ]
        examples.match = ["abc", { http.path = "/mcp", "http.method" = "GET", flow.server_port = 80 }]
        examples.miss = ["z"]
    "#;
    let read = read(text).unwrap();
    let [signature] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!(&*signature.id, "x.full");
    assert_eq!(signature.clause.fields, [Field::HttpHeader("mcp-session-id".into())]);
    assert_eq!(signature.kind, EvidenceKind::Client);
    assert_eq!(signature.since, Some(Revision::V20250326));
    assert!(matches!(&signature.clause.pattern, Pattern::Regex(v) if v.alternatives.len() == 2));
    let Some(Condition::All(conditions)) = &signature.when else { panic!() };
    assert!(matches!(&conditions[1], Condition::Any(any) if matches!(any[1], Condition::Not(_))));
    let values = &signature.matches[1].values;
    let names: Vec<_> = values.iter().map(|(f, v)| (f.as_ref().unwrap().name(), &**v)).collect();
    assert_eq!(
        names,
        [
            ("flow.server_port".to_owned(), "80"),
            ("http.path".to_owned(), "/mcp"),
            ("http.method".to_owned(), "GET"),
        ]
    );
    assert_eq!(signature.origin.line, 4);
}

#[test]
fn every_kind_of_mistake_is_placed() {
    let cases: &[(&str, &[Problem])] = &[
        ("substring = \"abc\"\ntitel = \"x\"\n", &[("unknown-key", 8, 1)]),
        ("field = \"http.boddy\"\nsubstring = \"abc\"\n", &[("unknown-field", 6, 9)]),
        ("field = 7\nsubstring = \"abc\"\n", &[("wrong-type", 6, 9)]),
        ("strength = \"week\"\nsubstring = \"abc\"\n", &[("unknown-value", 6, 12)]),
        ("id = \"Not OK\"\nsubstring = \"abc\"\n", &[("id", 6, 6)]),
        ("title = []\nsubstring = \"abc\"\n", &[("wrong-type", 6, 9)]),
        ("tags = [\"x\", 1]\nsubstring = \"abc\"\n", &[("wrong-type", 7, 14)]),
        ("", &[("missing", 2, 1)]),
        ("substring = \"\"\n", &[("empty-pattern", 7, 13)]),
        ("substring = []\n", &[("empty-pattern", 7, 13)]),
        ("substring = \"abc\"\nregex = 'x'\n", &[("two-patterns", 8, 1)]),
        ("exact = \"abc\"\n", &[("unsuited-pattern", 7, 1)]),
        ("regex = 'ab(c'\n", &[("regex", 7, 12)]),
        ("regex = '''ab(c'''\n", &[("regex", 7, 14)]),
        ("regex = \"a\\\\d(c\"\n", &[("regex", 7, 9)]),
        ("regex = 'a{1000}{1000}'\n", &[("regex", 7, 9)]),
        ("json_member = { value = \"x\" }\n", &[("missing", 7, 15)]),
        ("json_member = { key = \"x\", valeu = \"y\" }\n", &[("unknown-key", 7, 28)]),
        ("json_member = { key = \"x\", key_prefix = \"y\" }\n", &[("two-patterns", 7, 41)]),
        ("field = \"flow.server_port\"\nport = [80, 70000]\n", &[("port", 7, 13)]),
        ("field = \"flow.server_port\"\nport = 0\n", &[("port", 7, 8), ("port", 7, 8)]),
        ("field = \"http.host\"\nexact = \"a b\"\n", &[("host", 7, 9)]),
        ("field = \"http.host\"\nwildcard = \"mcp\"\n", &[("host", 7, 12)]),
        ("field = \"http.host\"\nhosts = \"nowhere\"\n", &[("list", 7, 9)]),
        (
            "field = \"http.path\"\npath_prefix = [\"/\", \"x\", \"/x/\"]\n",
            &[("path", 7, 16), ("path", 7, 21), ("path", 7, 26)],
        ),
        ("fields = [\"http.path\", \"http.body\"]\nsubstring = \"abc\"\n", &[("fields", 6, 10)]),
        ("fields = []\nsubstring = \"abc\"\n", &[("fields", 6, 10)]),
        (
            "substring = \"abc\"\nsince = \"2026-07-28\"\nuntil = \"2024-11-05\"\n",
            &[("revision", 9, 9)],
        ),
        (
            "substring = \"abc\"\nwhen = { feild = \"http.path\", exact = \"/\" }\n",
            &[("missing", 8, 8), ("unknown-key", 8, 10)],
        ),
        (
            "substring = \"abc\"\nwhen = { not = { field = \"http.body\", substring = \"x\" } }\n",
            &[("condition", 8, 16)],
        ),
        ("substring = \"abc\"\nwhen = []\n", &[("condition", 8, 8)]),
        ("substring = \"abc\"\nexamples.match = [1]\n", &[("wrong-type", 8, 19)]),
        ("substring = \"abc\"\nexamples.matches = [\"x\"]\n", &[("unknown-key", 8, 10)]),
    ];
    for (lines, expected) in cases {
        // The lines given replace the defaults, which moves them: keep the order.
        let text = signature(lines);
        assert_eq!(problems(&text), *expected, "{text}");
    }
}

#[test]
fn every_problem_of_a_file_is_reported_in_order() {
    let text = "\
version = 2
extra = 1
[[signature]]
id = \"one\"
titel = \"x\"
field = \"http.body\"
regex = '('
strength = \"weak\"
[[signature]]
id = \"one\"
title = \"x\"
field = \"http.hots\"
substring = \"abc\"
strength = \"stong\"
";
    assert_eq!(
        problems(text),
        [
            ("version", 1, 11),
            ("unknown-key", 2, 1),
            ("missing", 3, 1),
            ("unknown-key", 5, 1),
            ("regex", 7, 10),
            ("duplicate-id", 10, 6),
            ("unknown-field", 12, 9),
            ("unknown-value", 14, 12),
        ]
    );
}

#[test]
fn syntax_errors_do_not_hide_what_comes_after() {
    let text = "\
version = 1
[[signature]]
id = \"one\"
title = \"unterminated
field = \"http.body\"
substring = \"abc\"
strength = \"wek\"
";
    let found = problems(text);
    assert!(found.contains(&("unknown-value", 7, 12)), "{found:?}");
    assert!(found.iter().any(|&(code, line, _)| code == "syntax" && line == 4), "{found:?}");
    // What may well stand in the broken line is not said to be missing.
    assert!(found.iter().all(|&(code, ..)| code != "missing"), "{found:?}");
}

#[test]
fn a_bad_list_is_reported_in_the_list_and_in_the_set() {
    let text = "version = 1\n[lists]\nx = \"bad.tsv\"\ny = \"none.tsv\"\n";
    let found = read(text).unwrap_err();
    let places: Vec<_> = found
        .iter()
        .map(|found| found.location.as_ref().map(|place| (&*place.path, place.line)))
        .collect();
    assert!(places.contains(&Some(("bad.tsv", 2))));
    assert!(places.contains(&Some(("t.toml", 3))) && places.contains(&Some(("t.toml", 4))));
}

#[test]
fn hostile_files_are_refused_where_they_are_hostile() {
    let deep_array = format!("version = 1\nx = {}", "[".repeat(100_000));
    let deep_table = format!("version = 1\nx = {}", "{a=".repeat(100_000));
    let dotted = format!("version = 1\na{} = 1\n", ".a".repeat(100_000));
    let braces = format!("version = 1\nx = [{}]\n", "{a=1},".repeat(MAX_BRACES + 1));
    for text in [deep_array, deep_table, dotted, braces] {
        let found = problems(&text);
        assert!(found.iter().any(|&(code, line, _)| code == "syntax" && line == 2), "{found:?}");
    }
    let found = problems("version = 1\n# \u{0}\n=\n=\n");
    assert!(found.len() > 1, "{found:?}");

    let deep = format!("when = {}{{ }}{}", "{ not = ".repeat(30), " }".repeat(30));
    let text = signature(&format!("substring = \"abc\"\n{deep}\n"));
    assert!(problems(&text).iter().any(|&(code, line, _)| code == "condition" && line == 8));

    let many = "=\n".repeat(50_000);
    assert_eq!(problems(&many).len(), 101);
}

#[test]
fn the_expressions_of_a_file_have_a_budget_together() {
    let mut text = String::from("version = 1\n");
    for index in 0..1_000 {
        text += &format!(
            "[[signature]]\nid = \"a{index}\"\ntitle = \"t\"\nfield = \"http.body\"\n\
             strength = \"weak\"\nregex = '[a-z]{{1,900}}{index}'\n"
        );
    }
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "regex");
}

/// A set of one suppression, with lines that replace or add to its own.
fn suppression(lines: &str) -> String {
    let mut text = String::from("version = 1\n[[suppress]]\n");
    for (key, line) in [
        ("signature", "signature = \"a.b\""),
        ("reason", "reason = \"R\""),
        ("when", "when = { field = \"http.host\", exact = \"a\" }"),
    ] {
        let given = lines.lines().any(|given| given.starts_with(key));
        if !given {
            text.push_str(line);
            text.push('\n');
        }
    }
    text + lines
}

#[test]
fn reads_a_whole_suppression() {
    let text = suppression(
        "signature = ['a.b', 'mcp.*', '*']\nuntil = 2027-01-31\nexamples.match = ['x']\n\
         examples.miss = [{ http.host = 'y' }]\n",
    );
    let parsed = read_all(&text).unwrap();
    let [read] = parsed.suppressions.as_slice() else { panic!("{parsed:?}") };
    assert_eq!(read.label(), "suppress a.b, mcp.*, *");
    assert_eq!((&*read.reason, read.origin.line), ("R", 2));
    assert_eq!(read.until.unwrap().to_string(), "2027-01-31");
    assert_eq!((read.matches.len(), read.misses.len()), (1, 1));
    assert!(matches!(&read.when, Condition::Clause(clause) if clause.fields == [Field::HttpHost]));
    let text = suppression("until = \"2027-01-31\"\n");
    assert_eq!(read_all(&text).unwrap().suppressions[0].until, read.until);
}

#[test]
fn every_kind_of_mistake_in_a_suppression_is_placed() {
    let late = "signature = 'a'\nwhen = { field = 'http.body', substring = 'x' }\n";
    let cases: &[(&str, &[Problem])] = &[
        ("signatures = 'a'\n", &[("missing", 2, 1), ("unknown-key", 5, 1)]),
        ("signature = 7\n", &[("wrong-type", 5, 13)]),
        ("signature = []\n", &[("suppress", 5, 13)]),
        ("signature = ['a', 'A']\n", &[("id", 5, 19)]),
        ("signature = 'a*b'\n", &[("id", 5, 13)]),
        ("reason = ' '\n", &[("reason", 5, 10)]),
        ("resaon = 'x'\nreason = 'x'\n", &[("unknown-key", 5, 1)]),
        ("when = { not = 1 }\n", &[("wrong-type", 5, 16)]),
        ("when = { field = 'http.hots', exact = 'a' }\n", &[("unknown-field", 5, 18)]),
        (late, &[("condition", 5, 8)]),
        ("when = { field = 'http.header.accept', exact = 'a' }\n", &[("condition", 5, 8)]),
        ("until = '2027-02-30'\n", &[("date", 6, 9)]),
        ("until = 2027-01-31T00:00:00Z\n", &[("date", 6, 9)]),
        ("until = 2027\n", &[("date", 6, 9)]),
        ("examples.math = ['x']\n", &[("unknown-key", 6, 10)]),
    ];
    for (lines, expected) in cases {
        let text = suppression(lines);
        assert_eq!(problems(&text), *expected, "{text}");
    }
    assert_eq!(problems("version = 1\nsuppress = 1\n"), [("wrong-type", 2, 12)]);
    let missing = "version = 1\n[[suppress]]\n";
    assert_eq!(problems(missing), [("missing", 2, 1); 3]);
    let many = "[[suppress]]\nsignature = 'a'\nreason = 'r'\nwhen = { field = 'http.host', exact = 'a' }\n";
    assert_eq!(problems(&format!("version = 1\n{}", many.repeat(1_002))), [("suppress", 4_002, 1)]);
}

#[test]
fn a_signature_is_evidence_or_finds_a_threat() {
    let both = signature("substring = \"abc\"\nseverity = \"high\"\n");
    assert_eq!(problems(&both), [("severity", 8, 12)]);
    let neither = both.replace("strength = \"weak\"\n", "").replace("severity", "tags");
    assert_eq!(problems(&neither), [("missing", 2, 1), ("wrong-type", 7, 8)]);
    let threat = both.replace("strength = \"weak\"\n", "");
    let read = &read(&threat).unwrap()[0];
    assert_eq!(read.severity, Some(crate::findings::Severity::High));
    assert!(!read.nominates());
    assert_eq!(problems(&threat.replace("high", "hihg")), [("unknown-value", 7, 12)]);
}
