//! Sets of signatures: built in, read from files, merged.

use std::collections::HashMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::automaton::Budget;
use super::builtin;
use super::cache::Cache;
use super::compile;
use super::date::Date;
use super::diagnostic::{Diagnostic, Report, Severity, Source, unreadable};
use super::hits::SignatureIndex;
use super::matcher::Matcher;
use super::model::Signature;
use super::parse::{self, Parsed};
use super::suppress::Suppression;

/// Bytes of a signature file, at most.
const MAX_SET_BYTES: u64 = 4 << 20;

/// Bytes of a list file, at most.
const MAX_LIST_BYTES: u64 = 32 << 20;

/// Signatures, in the order they were read.
#[derive(Clone, Debug, Default)]
pub struct SignatureSet {
    signatures: Vec<Signature>,
    ids: HashMap<Box<str>, SignatureIndex>,
    suppressions: Vec<Suppression>,
}

impl SignatureSet {
    /// No signatures.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of one signature.
    pub(crate) fn single(signature: Signature) -> Self {
        let mut set = Self::new();
        set.push(signature);
        set
    }

    /// The shipped sets. (A test reads them, so that this cannot fail.)
    pub fn builtin() -> Self {
        let mut set = Self::new();
        for (name, text) in builtin::SETS {
            let source = Source::of_text(&format!("<builtin>/{name}"), *text);
            let read = parse::parse_shipped(&source, &mut builtin_list).map_err(Report);
            let merged = read.and_then(|parsed| set.merge(Self::of(parsed)));
            merged.unwrap_or_else(|report| panic!("{report}"));
        }
        set
    }

    /// Reads a set from text; `path` is what diagnostics call it. Lists are
    /// looked up among the shipped ones.
    pub fn parse(path: &str, text: &str) -> Result<Self, Report> {
        Self::read(&Source::of_text(path, text.to_owned()), &mut builtin_list)
    }

    /// Reads files and folders (all `*.toml` directly in them, in the order of
    /// their names). Every problem of every file is reported.
    pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Self, Report> {
        let mut set = Self::new();
        let mut problems = Vec::new();
        for path in paths {
            let files = match set_files(path.as_ref()) {
                Ok(files) => files,
                Err(error) => {
                    problems.push(unreadable(path.as_ref(), &error));
                    continue;
                }
            };
            for file in files {
                if let Err(Report(found)) = Self::load_file(&file).and_then(|read| set.merge(read))
                {
                    problems.extend(found);
                }
            }
        }
        if problems.is_empty() { Ok(set) } else { Err(Report(problems)) }
    }

    /// Adds the signatures and suppressions of another set. An id that is already there is an
    /// error, and nothing is added.
    pub fn merge(&mut self, other: Self) -> Result<(), Report> {
        let clashes: Vec<_> = other
            .signatures
            .iter()
            .filter_map(|signature| {
                let first = self.signature(*self.ids.get(&signature.id)?);
                let message = format!(
                    "the id `{}` is already used at {}:{}",
                    signature.id, first.origin.path, first.origin.line
                );
                Some(
                    Diagnostic::new(Severity::Error, "duplicate-id", message)
                        .at(signature.origin.location.clone()),
                )
            })
            .collect();
        if !clashes.is_empty() {
            return Err(Report(clashes));
        }
        for signature in other.signatures {
            self.push(signature);
        }
        self.suppressions.extend(other.suppressions);
        Ok(())
    }

    /// Forgets the suppressions that are over. Until this is called, all hold,
    /// whatever day it is.
    pub fn expire(&mut self, today: Date) {
        self.suppressions.retain(|suppression| !suppression.is_over(today));
    }

    /// The set, and behind it the shipped signatures that it does not have, which
    /// its suppressions may name.
    #[must_use]
    pub fn with_shipped(&self) -> Self {
        let mut set = self.clone();
        for signature in Self::builtin().signatures {
            if set.find(&signature.id).is_none() {
                set.push(signature);
            }
        }
        set
    }

    /// Compiles the set. The diagnostics are warnings about signatures that had
    /// to be built in a slower way.
    pub fn compile(&self) -> Result<(Matcher, Vec<Diagnostic>), Report> {
        self.compile_cached(None)
    }

    /// Compiles the set, or takes what was compiled before from `cache`, where it leaves
    /// what it compiles.
    pub fn compile_cached(
        &self,
        cache: Option<Cache>,
    ) -> Result<(Matcher, Vec<Diagnostic>), Report> {
        compile::compile(&self.signatures, &self.suppressions, &Budget::default(), cache)
    }

    /// Compiles the set within a budget.
    pub fn compile_within(&self, budget: &Budget) -> Result<(Matcher, Vec<Diagnostic>), Report> {
        compile::compile(&self.signatures, &self.suppressions, budget, None)
    }

    /// All signatures; [`SignatureIndex::index`] is an index into them.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Where signatures do not count.
    pub fn suppressions(&self) -> &[Suppression] {
        &self.suppressions
    }

    /// The signature at an index of this set (or of the matcher compiled from it).
    ///
    /// # Panics
    ///
    /// If the index is one of another, larger set.
    pub fn signature(&self, index: SignatureIndex) -> &Signature {
        &self.signatures[index.index()]
    }

    /// The index of the signature with an id.
    pub fn find(&self, id: &str) -> Option<SignatureIndex> {
        self.ids.get(id).copied()
    }

    /// Number of signatures.
    pub fn len(&self) -> usize {
        self.signatures.len()
    }

    /// Whether there are no signatures.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty()
    }

    fn read(source: &Source, read_list: &mut parse::ListReader<'_>) -> Result<Self, Report> {
        parse::parse(source, read_list).map(Self::of).map_err(Report)
    }

    fn of(parsed: Parsed) -> Self {
        let mut set = Self::new();
        for signature in parsed.signatures {
            set.push(signature);
        }
        set.suppressions = parsed.suppressions;
        set
    }

    fn push(&mut self, signature: Signature) {
        let index = SignatureIndex(self.signatures.len() as u32);
        self.ids.insert(signature.id.clone(), index);
        self.signatures.push(signature);
    }

    fn load_file(path: &Path) -> Result<Self, Report> {
        let source = Source::read(path, MAX_SET_BYTES).map_err(|problem| Report(vec![problem]))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::read(&source, &mut |name| {
            let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
            if !inside {
                let message = format!("`{name}` is not a file beside the set or below it");
                return Err(Diagnostic::new(Severity::Error, "list", message));
            }
            Source::read(&folder.join(name), MAX_LIST_BYTES)
        })
    }
}

fn builtin_list(name: &str) -> Result<Source, Diagnostic> {
    let text = builtin::list(name).ok_or_else(|| {
        Diagnostic::new(Severity::Error, "list", format!("there is no shipped list `{name}`"))
    })?;
    Ok(Source::of_text(&format!("<builtin>/{name}"), text))
}

fn set_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir()? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "toml") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no *.toml file in the folder"));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::super::parse::keys;
    use super::*;
    use crate::signature::AutomatonInfo;
    use crate::signature::Field;

    /// A folder of its own for each test, removed afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("mcpwatch-signature-test-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn one(id: &str) -> String {
        format!(
            "version = 1\n[[signature]]\nid = \"{id}\"\ntitle = \"t\"\nfield = \"http.body\"\n\
             substring = \"needle\"\nstrength = \"weak\"\n"
        )
    }

    fn messages(report: Report) -> String {
        report.to_string()
    }

    #[test]
    fn the_shipped_sets_compile_and_their_examples_hold() {
        // These are read in a way of their own, which does not check everything.
        for (name, text) in builtin::SETS {
            SignatureSet::parse(name, text).unwrap();
        }
        let set = SignatureSet::builtin();
        let (matcher, notes) = set.compile().unwrap();
        assert_eq!(notes, []);
        let failures: Vec<_> = set
            .test_examples(&matcher)
            .into_iter()
            .map(|failure| {
                let id = &set.signature(failure.signature).id;
                let example: Vec<_> = failure.example.values.iter().map(|(_, v)| &**v).collect();
                format!("{id}: {example:?} ({}), expected {}", failure.detail, failure.expected)
            })
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn the_shipped_sets_have_no_lints() {
        let found = SignatureSet::builtin().lint();
        assert!(found.is_empty(), "{}", Report(found));
    }

    #[test]
    fn the_sets_in_the_documentation_are_what_it_says_they_are() {
        let text = include_str!("../../docs/signatures.md");
        let blocks: Vec<_> = text.split("```toml\n").skip(1).collect();
        assert!(blocks.len() >= 6);
        for block in blocks {
            let block = block.split("```").next().unwrap();
            let set = SignatureSet::parse("docs/signatures.md", block).unwrap();
            let (matcher, notes) = set.compile().unwrap();
            assert_eq!((set.test_examples(&matcher), notes), (vec![], vec![]), "{block}");
            let all = set.with_shipped();
            let (matcher, _) = all.compile().unwrap();
            assert_eq!(all.test_suppressions(&matcher), [], "{block}");
            let today = Date::parse("2026-01-01").unwrap();
            assert_eq!(all.lint_suppressions(&matcher, today), [], "{block}");
        }
        for name in Field::NAMES {
            assert!(text.contains(name), "{name} is not described");
        }
        for keys in [keys::ROOT, keys::SIGNATURE, keys::CONDITION, keys::SUPPRESSION] {
            for key in keys::names(keys) {
                let forms = ["`", "`[", "`[[", "{ "].map(|before| format!("{before}{key}"));
                assert!(forms.iter().any(|form| text.contains(form)), "{key} is not described");
            }
        }
        for (code, _) in super::super::LINTS {
            assert!(text.contains(&format!("`{code}`")), "{code} is not described");
        }
    }

    #[test]
    fn the_shipped_automata_stay_small() {
        let (matcher, _) = SignatureSet::builtin().compile().unwrap();
        let bytes: usize = matcher.automata().iter().map(|automaton| automaton.bytes).sum();
        assert!(bytes < 2 << 20, "{bytes}");
        assert!(matcher.automata().iter().all(|automaton| automaton.dfas <= 1));
    }

    #[test]
    fn compiles_the_same_from_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let set = SignatureSet::builtin();
        for _ in 0..2 {
            let cache = Some(Cache::open(folder.path(), "shipped"));
            let (matcher, notes) = set.compile_cached(cache).unwrap();
            assert_eq!((set.test_examples(&matcher), notes), (vec![], vec![]));
            let (fresh, _) = set.compile().unwrap();
            let automata = |matcher: &Matcher| {
                let same = |info| AutomatonInfo { build: Duration::ZERO, ..info };
                matcher.automata().into_iter().map(same).collect::<Vec<_>>()
            };
            assert_eq!(automata(&matcher), automata(&fresh));
            assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        }
    }

    #[test]
    fn only_fields_that_changed_are_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let field = |field: &str, needle: &str| {
            format!(
                "[[signature]]\nid = \"{field}\"\ntitle = \"t\"\nfield = \"{field}\"\n\
                 substring = \"{needle}\"\nstrength = \"weak\"\n"
            )
        };
        let built = |body: &str| {
            let text =
                format!("version = 1\n{}{}", field("http.path", "/x"), field("http.body", body));
            let set = SignatureSet::parse("mine.toml", &text).unwrap();
            let (matcher, _) =
                set.compile_cached(Some(Cache::open(folder.path(), "mine"))).unwrap();
            let mut built: Vec<_> = matcher.automata().into_iter().collect();
            built.retain(|automaton| automaton.build > Duration::ZERO);
            built.into_iter().map(|automaton| automaton.field.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(built("needle").len(), 2);
        assert!(built("needle").is_empty());
        assert_eq!(built("noodle"), ["http.body"]);
        assert!(built("noodle").is_empty());
    }

    #[test]
    fn what_is_slow_is_said_with_a_cache_too() {
        let folder = tempfile::tempdir().unwrap();
        let text = "version = 1\n[[signature]]\nid = \"s\"\ntitle = \"t\"\nfield = \"http.path\"\n\
                    regex = \"(?:a|b)*a(?:a|b|c){14}\"\nstrength = \"weak\"\n";
        let set = SignatureSet::parse("slow.toml", text).unwrap();
        let budget = Budget { sequences: 1 << 20, expressions: 16 << 10, ..Budget::default() };
        for _ in 0..2 {
            let cache = Cache::open(folder.path(), "slow");
            let compiled = compile::compile(&set.signatures, &[], &budget, Some(cache));
            let (_, notes) = compiled.unwrap();
            assert_eq!(notes.len(), 1);
        }
    }

    #[test]
    fn loads_files_and_folders_with_their_lists() {
        let folder = Folder::new();
        folder.write("sets/b.toml", one("b"));
        folder.write("sets/a.toml", one("a"));
        folder.write("sets/notes.txt", "not a set");
        folder.write("sets/lists/mine.tsv", "mcp.example.com\t-\tExample\n");
        let hosts = "version = 1\n[lists]\nmine = \"lists/mine.tsv\"\n[[signature]]\nid = \"h\"\n\
                     title = \"t\"\nfield = \"http.host\"\nhosts = \"mine\"\nstrength = \"strong\"\n";
        folder.write("sets/c.toml", hosts);
        let single = folder.write("single.toml", one("single"));
        let set = SignatureSet::load(&[folder.0.join("sets"), single]).unwrap();
        let ids: Vec<_> = set.signatures().iter().map(|signature| &*signature.id).collect();
        assert_eq!(ids, ["a", "b", "h", "single"]);
        let index = set.find("h").unwrap();
        assert_eq!(&*set.signature(index).id, "h");
        assert_eq!(set.find("x"), None);
        let (matcher, _) = set.compile().unwrap();
        assert!(matcher.known_host(b"mcp.example.com", None).is_some());
    }

    #[test]
    fn an_id_used_twice_is_refused_wherever_it_is() {
        let folder = Folder::new();
        let first = folder.write("first.toml", one("same"));
        let second = folder.write("second.toml", one("same"));
        let report = messages(SignatureSet::load(&[first, second]).unwrap_err());
        assert!(report.contains("second.toml:2:1") && report.contains("first.toml:2"), "{report}");

        let mut set = SignatureSet::builtin();
        let own = SignatureSet::parse("own.toml", &one("mcp.host.label")).unwrap();
        let before = set.len();
        set.merge(own).unwrap_err();
        assert_eq!(set.len(), before);
        set.merge(SignatureSet::parse("own.toml", &one("own")).unwrap()).unwrap();
        assert_eq!(set.len(), before + 1);
    }

    #[test]
    fn every_unreadable_file_is_reported() {
        let folder = Folder::new();
        let missing = folder.0.join("missing.toml");
        let binary = folder.write("binary.toml", b"version = 1\n\xff\n");
        let large = folder.write("large.toml", vec![b'#'; MAX_SET_BYTES as usize + 1]);
        let empty = folder.0.join("empty");
        std::fs::create_dir_all(&empty).unwrap();
        let report = SignatureSet::load(&[missing, binary, large, empty]).unwrap_err();
        assert_eq!(report.0.len(), 4, "{report}");
        let text = messages(report);
        for part in ["missing.toml cannot", "binary.toml:2:1", "larger than 4 MiB", "no *.toml"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn lists_lie_beside_their_set() {
        let folder = Folder::new();
        folder.write("outside.tsv", "mcp.example.com\n");
        for name in ["../outside.tsv", "/etc/hosts", "missing.tsv", "."] {
            let text = format!("version = 1\n[lists]\nx = \"{name}\"\n");
            let set = folder.write("sets/set.toml", text);
            let report = SignatureSet::load(&[set]).unwrap_err();
            let mut places = report.0.iter().filter_map(|found| found.location.as_ref());
            let in_set = places.find(|place| place.path.ends_with("set.toml"));
            assert_eq!(in_set.map(|place| place.line), Some(3), "{report}");
        }
    }
}
