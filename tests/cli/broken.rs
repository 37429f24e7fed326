//! Broken signature files: each is refused with exit 2 and the line at fault.

use std::fs;
use std::path::Path;

use crate::support::run::{Run, mcpwatch};

/// Replaces or adds lines of a signature that is right.
fn with(lines: &str) -> Vec<u8> {
    // Lines 1 to 6; what is given begins in line 7.
    format!(
        "version = 1\n\n[[signature]]\nid = \"a\"\ntitle = \"t\"\nstrength = \"weak\"\n{lines}\n"
    )
    .into_bytes()
}

/// A signature whose body pattern is given, in line 8.
fn body(pattern: &str) -> Vec<u8> {
    with(&format!("field = \"http.body\"\n{pattern}"))
}

/// Signatures `a`, `b` … with these lines each.
fn several(count: usize, lines: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = String::from("version = 1\n");
    for index in 0..count {
        text += &format!(
            "[[signature]]\nid = \"s{index}\"\ntitle = \"t\"\nstrength = \"weak\"\n{}\n",
            lines(index)
        );
    }
    text.into_bytes()
}

/// What is in the file, what it is named by, and a line at fault.
fn cases() -> Vec<(&'static str, Vec<u8>, usize)> {
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
    let right = "field = \"http.body\"\nsubstring = \"abcdef\"";
    vec![
        // Not a signature file at all.
        ("no version", b"[[signature]]\nid = \"a\"\n".to_vec(), 1),
        ("empty", Vec::new(), 1),
        ("a capture", b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00".to_vec(), 1),
        ("utf-16", b"\xff\xfev\x00e\x00r\x00".to_vec(), 1),
        ("json", b"{ \"version\": 1 }\n".to_vec(), 1),
        ("yaml", b"version: 1\nsignatures:\n  - id: a\n".to_vec(), 1),
        ("invalid utf-8", b"version = 1\n\n# caf\xe9\n".to_vec(), 3),
        (
            "invalid utf-8 in a string",
            with("field = \"x\"").into_iter().chain(*b"tags = [\"\xc0\xaf\"]").collect(),
            8,
        ),
        ("surrogate", with("field = \"\\ud800\""), 7),
        ("nul", b"version = 1\n\0\n".to_vec(), 2),
        ("control character", b"version = 1\n# \x1b[2J\n".to_vec(), 2),
        ("conflict markers", b"version = 1\n<<<<<<< HEAD\n".to_vec(), 2),
        // Versions.
        ("later version", b"\n\nversion = 2\n".to_vec(), 3),
        ("negative version", b"version = -1\n".to_vec(), 1),
        ("version as text", b"version = \"1\"\n".to_vec(), 1),
        ("version too large", b"version = 99999999999999999999999\n".to_vec(), 1),
        ("version twice", b"version = 1\nversion = 1\n".to_vec(), 2),
        // Syntax.
        ("unterminated string", with("field = \"http.body"), 7),
        ("unterminated multi-line string", with("field = \"\"\"http.body\n\n"), 7),
        ("unterminated array", with("fields = [\"http.body\", "), 7),
        ("bad escape", body("regex = \"\\d+\""), 8),
        ("key twice", body("substring = \"abc\"\nsubstring = \"abd\""), 9),
        ("no value", with("field ="), 7),
        ("no equals sign", with("field"), 7),
        ("single brackets", b"version = 1\n[signature]\nid = \"a\"\n".to_vec(), 2),
        ("table redefined", b"version = 1\n[lists]\n[lists]\n".to_vec(), 3),
        // Keys and types.
        ("unknown root key", b"version = 1\nsignatures = []\n".to_vec(), 2),
        ("unknown key", body("substring = \"abc\"\nstrenght = \"weak\""), 9),
        ("signature is a number", b"version = 1\nsignature = 7\n".to_vec(), 2),
        ("signatures are numbers", b"version = 1\nsignature = [\n1,\n]\n".to_vec(), 3),
        ("field is a number", with("field = 7"), 7),
        ("field is a table", with("field = { a = 1 }"), 7),
        ("field is a date", with("field = 2026-01-01"), 7),
        ("unknown field", with("field = \"http.boddy\"\nsubstring = \"abc\""), 7),
        ("fields is a string", with("fields = \"http.body\"\nsubstring = \"abc\""), 7),
        ("no fields", with("fields = []\nsubstring = \"abc\""), 7),
        (
            "fields of two kinds",
            with("fields = [\"http.path\", \"http.body\"]\nsubstring = \"abc\""),
            7,
        ),
        ("tags of two types", body("substring = \"abc\"\ntags = [\"a\",\n2]"), 10),
        ("ignore_case is text", body("substring = \"abc\"\nignore_case = \"yes\""), 9),
        ("examples are an array", body("substring = \"abc\"\nexamples = [\"abc\"]"), 9),
        ("example is a number", body("substring = \"abc\"\nexamples.match = [\n1]"), 10),
        ("unknown strength", body("substring = \"abc\"\nkind = \"bodyy\""), 9),
        ("unknown revision", body("substring = \"abc\"\nsince = \"2025-13-01\""), 9),
        (
            "revisions reversed",
            body("substring = \"abc\"\nsince = \"2025-11-25\"\nuntil = \"2024-11-05\""),
            10,
        ),
        ("unknown direction", body("substring = \"abc\"\ndirection = \"up\""), 9),
        (
            "id twice",
            several(2, |_| right.to_owned())
                .into_iter()
                .chain(*b"[[signature]]\nid = \"s0\"\n")
                .collect(),
            15,
        ),
        ("no id", b"version = 1\n\n[[signature]]\ntitle = \"t\"\n".to_vec(), 3),
        // Patterns.
        ("no pattern", with("field = \"http.body\""), 3),
        ("two patterns", body("substring = \"abc\"\nregex = 'abcd'"), 9),
        ("empty pattern", body("substring = \"\""), 8),
        ("no alternatives", body("regex = []"), 8),
        ("pattern of another field", body("exact = \"abc\""), 8),
        ("pattern too long", body(&format!("substring = \"{}\"", "a".repeat(1 << 20))), 8),
        ("open group", body("regex = 'a(b'"), 8),
        ("bad repeat", body("regex = [\n'ok',\n'a{2,1}',\n]"), 10),
        ("repeat of nothing", body("regex = '*'"), 8),
        ("look-behind", body("regex = '(?<=a)b'"), 8),
        ("back-reference", body("regex = '(a)\\1'"), 8),
        ("unicode class", body("regex = '\\p{Greek}'"), 8),
        ("huge repeat", body("regex = 'a{1000000000}'"), 8),
        ("huge repeat of a class", body("regex = '[a-z]{1,100000}'"), 8),
        ("nested repeats", body("regex = '((a{100}){100}){100}'"), 8),
        ("deep groups", body(&format!("regex = '{}a{}'", "(".repeat(1_500), ")".repeat(1_500))), 8),
        ("automaton explodes", body("regex = '[ab]*a[ab]{2000}c'"), 8),
        ("port too large", with("field = \"flow.server_port\"\nport = [\n80,\n65536]"), 10),
        ("host with spaces", with("field = \"http.host\"\nexact = \"a b\""), 8),
        ("path without slash", with("field = \"http.path\"\npath_prefix = \"mcp\""), 8),
        ("member without key", body("json_member = { value = \"x\" }"), 8),
        // Conditions and lists.
        ("empty condition", body("substring = \"abc\"\nwhen = []"), 9),
        (
            "deep condition",
            body(&format!(
                "substring = \"abc\"\nwhen = {}{{ }}{}",
                "{ not = ".repeat(30),
                " }".repeat(30)
            )),
            9,
        ),
        ("unknown list", with("field = \"http.host\"\nhosts = \"nowhere\""), 8),
        ("list outside", b"version = 1\n[lists]\nx = \"../../etc/passwd\"\n".to_vec(), 3),
        ("list missing", b"version = 1\n[lists]\nx = \"missing.tsv\"\n".to_vec(), 3),
        // Hostile sizes.
        ("deep arrays", format!("version = 1\nx = {}\n", deep("[", "]")).into_bytes(), 2),
        ("deep tables", format!("version = 1\nx = {}\n", deep("{ a = ", " }")).into_bytes(), 2),
        ("deep key", format!("version = 1\na{} = 1\n", ".a".repeat(50_000)).into_bytes(), 2),
        ("deep header", format!("version = 1\n[a{}]\n", ".a".repeat(50_000)).into_bytes(), 2),
        ("many tables", format!("version = 1\nx = [{}]\n", "{},".repeat(400_000)).into_bytes(), 2),
        ("many errors", format!("version = 1\n{}", "=\n".repeat(1_000_000)).into_bytes(), 2),
        (
            "many unknown keys",
            (0..100_000)
                .fold(String::from("version = 1\n"), |text, n| text + &format!("k{n} = 1\n"))
                .into_bytes(),
            2,
        ),
        (
            "many large expressions",
            several(2_000, |n| format!("field = \"http.body\"\nregex = '[a-z]{{1,900}}{n}'")),
            0,
        ),
        ("50 MB of comment", vec![b'#'; 50 << 20], 1),
        ("50 MB of signatures", right.as_bytes().repeat((50 << 20) / right.len()), 1),
    ]
}

/// Runs `signatures check`, on Linux with 500 MB of memory at most.
fn check(file: &Path) -> Run {
    let line = ["signatures".as_ref(), "check".as_ref(), file.as_os_str()];
    let mut command = mcpwatch(line);
    if cfg!(target_os = "linux") {
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", "ulimit -v 500000 && exec \"$0\" \"$@\""]);
        limited.arg(command.get_program()).args(command.get_args());
        command = limited;
    }
    command.output().unwrap().into()
}

#[test]
fn broken_files_are_refused_with_the_line_at_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (number, (what, bytes, line)) in cases().into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.toml"));
        fs::write(&file, bytes).unwrap();
        let run = check(&file);
        let place = match line {
            0 => format!("{number}.toml:"),
            line => format!("{number}.toml:{line}:"),
        };
        if run.code != Some(2) || !run.stderr.contains(&place) || run.stderr.contains("panicked") {
            let told: String = run.stderr.chars().take(600).collect();
            wrong.push(format!("{what}: {:?}, expected {place}\n{told}", run.code));
        }
        fs::remove_file(&file).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn files_that_are_no_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let list = folder.path().join("list.toml");
    fs::write(&list, "version = 1\n[lists]\nx = \"bad.tsv\"\n").unwrap();
    fs::write(folder.path().join("bad.tsv"), "ok.example\n\na..b\n").unwrap();
    for (path, places) in [
        (empty, &["empty:1:1", "no *.toml file"][..]),
        (folder.path().join("missing.toml"), &["missing.toml:1:1"]),
        (list, &["list.toml:3:5", "bad.tsv:3:1"]),
    ] {
        let run = check(&path).exits(2);
        for place in places {
            assert!(run.stderr.contains(place), "{place}: {}", run.stderr);
        }
    }
    if cfg!(unix) {
        check(Path::new("/dev/zero")).exits(2);
    }
}

#[test]
fn two_files_with_the_same_id_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one.toml", "two.toml"] {
        fs::write(folder.path().join(name), body("substring = \"abcdef\"")).unwrap();
    }
    let run = check(folder.path()).exits(2);
    assert!(run.stderr.contains("two.toml:3:1") && run.stderr.contains("one.toml:3"));
}
