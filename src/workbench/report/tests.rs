use serde_json::Value;

use super::*;
use crate::signature::SignatureSet;

/// A hostile file: escape sequences, markup, and the syntax of every format.
const HOSTILE: &str = "version = 1\n[[signature]]\nid = 'a'\n\
    ti\u{202e}tle = '<b>&\u{1b}[2J::error::x%0A\"]]>'\n";

fn refused() -> Report {
    let Err(problems) = SignatureSet::parse("se,ts/<é>:\u{1b}.toml", HOSTILE) else {
        panic!("a broken set was accepted")
    };
    Report::could_not_run(Command::Check, problems.0)
}

fn mixed() -> Report {
    let text = "version = 1\n[[signature]]\nid = 'a.b'\ntitle = 't'\nfield = 'http.host'\n\
                suffix = 'co.uk'\nstrength = 'weak'\nreferences = ['r']\n\
                examples.match = ['x.co.uk']\n";
    let set = SignatureSet::parse("sets/my hosts.toml", text).unwrap();
    let mut cases = vec![Case::passed("ok", "check")];
    cases.extend(set.lint().into_iter().map(Case::of_problem));
    Report::new(Command::Check, 2, cases)
}

fn written(report: &Report, format: Format) -> String {
    let mut out = Vec::new();
    report.write(format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn parsed(report: &Report, format: Format) -> Value {
    serde_json::from_str(&written(report, format)).unwrap()
}

#[test]
fn text_has_lines_carets_and_counts() {
    let expected = "\
note[no-counter-example]: a.b: no example that must not match
 --> sets/my hosts.toml:2:1
  |
2 | [[signature]]
  | ^^^^^^^^^^^^^

warning[public-suffix]: a.b: anyone can have a name below `co.uk`
 --> sets/my hosts.toml:6:10
  |
6 | suffix = 'co.uk'
  |          ^^^^^^^

2 signatures: 0 errors, 1 warnings, 1 notes
";
    assert_eq!(written(&mixed(), Format::Text), expected);
}

#[test]
fn json_has_every_case() {
    let json = parsed(&mixed(), Format::Json);
    assert_eq!(json["verdict"], "failed");
    assert_eq!(
        (&json["passed"], &json["notes"], &json["warnings"]),
        (&1.into(), &1.into(), &1.into())
    );
    let cases = json["cases"].as_array().unwrap();
    assert_eq!(
        cases[0],
        serde_json::json!({ "suite": "ok", "name": "check", "outcome": "passed" })
    );
    assert_eq!(cases[2]["suite"], "a.b");
    assert_eq!(cases[2]["code"], "public-suffix");
    assert_eq!(cases[2]["location"]["path"], "sets/my hosts.toml");
    assert_eq!(cases[2]["location"]["line"], 6);
    assert_eq!(cases[2]["location"]["source"], "suffix = 'co.uk'");
    assert_eq!(parsed(&refused(), Format::Json)["verdict"], "could-not-run");
}

#[test]
fn junit_fails_for_warnings_and_tells_notes() {
    let xml = written(&mixed(), Format::Junit);
    for part in [
        r#"<testsuites name="mcpwatch signatures check" tests="3" failures="1" errors="0""#,
        r#"<testsuite name="a.b" tests="2" failures="1" errors="0""#,
        r#"<testcase classname="ok" name="check"/>"#,
        r#"name="public-suffix" file="sets/my hosts.toml" line="6">"#,
        r#"<failure type="public-suffix" message="a.b: anyone"#,
        "<system-out>note[no-counter-example]",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    let xml = written(&refused(), Format::Junit);
    assert!(xml.contains("<error type=") && !xml.contains("<failure"), "{xml}");
    assert!(!xml.contains("<b>"), "{xml}");
}

#[test]
fn sarif_has_rules_levels_and_regions() {
    let sarif = parsed(&mixed(), Format::Sarif);
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(rule["shortDescription"]["text"].is_string());
    }
    let result = &run["results"][1];
    assert_eq!((&result["ruleId"], &result["level"]), (&"public-suffix".into(), &"warning".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "sets/my%20hosts.toml");
    assert_eq!(
        place["region"],
        serde_json::json!({
            "startLine": 6, "startColumn": 10, "endColumn": 17,
            "snippet": { "text": "suffix = 'co.uk'" },
        })
    );
    let refused = parsed(&refused(), Format::Sarif);
    assert_eq!(refused["runs"][0]["invocations"][0]["executionSuccessful"], false);
}

#[test]
fn github_annotates_lines() {
    let text = written(&mixed(), Format::Github);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[1],
        "::warning file=sets/my hosts.toml,line=6,col=10,endColumn=17,title=public-suffix::\
         a.b: anyone can have a name below `co.uk`"
    );
    assert!(lines[0].starts_with("::notice file="), "{text}");
    let text = written(&refused(), Format::Github);
    assert!(text.contains("file=se%2Cts/<é>%3A\\u{1b}.toml,line="), "{text}");
}

#[test]
fn nothing_hostile_gets_through_in_any_format() {
    let mut report = refused();
    let located = SignatureSet::parse("a\n::error::b", HOSTILE).unwrap_err();
    report.cases.push(Case::failed("s\u{7}\n", "n\u{9b}\n::error::b", located.0[0].clone()));
    for &format in Format::value_variants() {
        let text = written(&report, format);
        let bad = text.chars().find(|&c| c != '\n' && crate::findings::escape::is_unprintable(c));
        assert_eq!(bad, None, "{format:?}: {text}");
        assert!(!text.lines().any(|line| line.starts_with("::error::")), "{format:?}: {text}");
    }
}

#[test]
fn a_report_without_problems_is_fine_in_every_format() {
    let report = Report::new(Command::Test, 1, vec![Case::passed("a", "examples.match 1")]);
    assert_eq!(report.verdict(), Verdict::Fine);
    for &format in Format::value_variants() {
        assert!(!written(&report, format).is_empty());
    }
    assert_eq!(
        written(&report, Format::Text),
        "1 signatures: 1 answers right, 0 wrong, in 0 exchanges\n"
    );
}

#[test]
fn notes_fail_only_if_they_are_denied() {
    let mut report = mixed();
    report.cases.retain(|case| case.problem().is_none_or(|found| found.severity == Severity::Note));
    assert_eq!(report.verdict(), Verdict::Fine);
    report.deny_notes();
    assert_eq!(report.verdict(), Verdict::Failed);
}
