//! Labelled captures: a set, a folder of captures and a table that says what they
//! hold in; how often each signature was right out.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::report::Case;
use crate::capture::{Inputs, Replay};
use crate::engine::{Engine, EngineBuilder};
use crate::findings::{Confidence, FindingSink, Row};
use crate::signature::{
    Diagnostic, Report as Problems, Severity, SignatureIndexSet, SignatureSet, Source,
};
use crate::stream::tls::{KeyLogReader, KeyStore};

/// The table of a folder, unless another one is named.
const TABLE: &str = "LABELS.tsv";

/// Bytes of a table, at most.
const MAX_TABLE_BYTES: u64 = 16 << 20;

/// Wrong lines of a table that are told.
const MAX_PROBLEMS: usize = 100;

/// Signatures that are named of a finding.
const MAX_NAMES: usize = 5;

/// Where the captures are, and what they hold.
#[derive(Clone, Debug)]
pub struct Captures {
    /// The folder.
    pub folder: PathBuf,
    /// The table; none for `LABELS.tsv` in the folder.
    pub truth: Option<PathBuf>,
    /// The part of the captures with MCP that must be found, in percent.
    pub min_recall: Option<f64>,
}

/// What a capture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    /// MCP that can be read.
    Mcp,
    /// MCP of which no more can be seen than whom it is with.
    Sealed,
    /// No MCP.
    NotMcp,
}

impl Label {
    const NAMES: [&'static str; 3] = ["mcp", "mcp_encrypted_sni_only", "not_mcp"];

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "mcp" => Self::Mcp,
            "mcp_encrypted_sni_only" => Self::Sealed,
            "not_mcp" => Self::NotMcp,
            _ => return None,
        })
    }
}

/// A line of the table.
#[derive(Debug)]
struct Labelled {
    name: String,
    path: PathBuf,
    label: Label,
    key_log: Option<PathBuf>,
    place: crate::signature::Location,
}

/// How often a set was right about captures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// Captures that reach `likely`, against what they hold. Those of which only
    /// names can be seen do not count.
    pub overall: Score,
    /// The same of each signature that hit, by its id.
    pub signatures: Vec<(Box<str>, Score)>,
}

/// Captures with MCP and without, and in how many of them there was a hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Captures with MCP.
    pub mcp: usize,
    /// Of these, with a hit.
    pub found: usize,
    /// Captures without MCP.
    pub others: usize,
    /// Of these, with a hit.
    pub mistaken: usize,
}

impl Score {
    /// The part of the hits that were right; none without a hit.
    pub fn precision(&self) -> Option<f64> {
        share(self.found, self.found + self.mistaken)
    }

    /// The part of the captures with MCP that were hit; none if there are none.
    pub fn recall(&self) -> Option<f64> {
        share(self.found, self.mcp)
    }

    fn add(&mut self, mcp: bool, hit: bool) {
        let (all, hits) = match mcp {
            true => (&mut self.mcp, &mut self.found),
            false => (&mut self.others, &mut self.mistaken),
        };
        *all += 1;
        *hits += usize::from(hit);
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has that many captures")]
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What came of one capture.
struct Seen {
    hits: SignatureIndexSet,
    highest: Highest,
    /// Why nothing of it could be read.
    unread: Option<String>,
}

/// The finding with the highest confidence.
#[derive(Debug, Default)]
struct Highest(Option<Row>);

impl FindingSink for Highest {
    fn finding(&mut self, row: Row) {
        if self.0.as_ref().is_none_or(|highest| row.confidence > highest.confidence) {
            self.0 = Some(row);
        }
    }
}

impl Highest {
    fn reaches(&self, confidence: Confidence) -> bool {
        self.0.as_ref().is_some_and(|row| row.confidence >= confidence)
    }
}

/// Runs a set over labelled captures: a case for each of them, and the scores.
///
/// # Errors
/// If the table or a key log that it names cannot be read.
pub(super) fn score(
    set: &SignatureSet,
    engine: EngineBuilder,
    captures: &Captures,
) -> Result<(Vec<Case>, Scores), Problems> {
    let labelled = read(captures)?;
    let engine = engine.keys(keys(&labelled)?).build()?;
    let mut cases = Vec::new();
    let mut overall = Score::default();
    let mut hits: Vec<(Label, SignatureIndexSet)> = Vec::new();
    for capture in &labelled {
        let seen = replay(&engine, &capture.path);
        cases.push(capture.case(&seen));
        if seen.unread.is_some() {
            continue;
        }
        if capture.label != Label::Sealed {
            overall.add(capture.label == Label::Mcp, seen.highest.reaches(Confidence::Likely));
        }
        hits.push((capture.label, seen.hits));
    }
    cases.extend(captures.min_recall.map(|least| recall(overall, least)));
    Ok((cases, Scores { overall, signatures: by_signature(set, &hits) }))
}

fn recall(overall: Score, least: f64) -> Case {
    let recall = 100.0 * overall.recall().unwrap_or(0.0);
    if recall >= least {
        return Case::passed("captures", "recall");
    }
    let message = format!("MCP is found in {recall:.1} % of the captures, not in {least} %");
    Case::failed("captures", "recall", Diagnostic::new(Severity::Error, "recall", message))
}

fn by_signature(
    set: &SignatureSet,
    captures: &[(Label, SignatureIndexSet)],
) -> Vec<(Box<str>, Score)> {
    let hit: HashSet<_> = captures.iter().flat_map(|(_, hits)| hits.iter()).collect();
    let mut hit: Vec<_> = hit.into_iter().collect();
    hit.sort_unstable();
    let scored = hit.into_iter().map(|index| {
        let mut score = Score::default();
        for (label, hits) in captures {
            score.add(*label != Label::NotMcp, hits.contains(index));
        }
        (set.signature(index).id.clone(), score)
    });
    scored.collect()
}

fn replay(engine: &Engine, path: &Path) -> Seen {
    let mut source = Replay::new(Inputs::expand([path]));
    let mut highest = Highest::default();
    let hits = engine.replay_traced(&mut source, &mut highest);
    // Of a damaged capture counts what comes before the damage.
    let error = source.errors().first().map(ToString::to_string);
    let unread = error.filter(|_| source.counters().frames == 0);
    Seen { hits, highest, unread }
}

impl Labelled {
    fn case(&self, seen: &Seen) -> Case {
        let suite = "captures";
        match self.problem(seen) {
            Some((severity, code, message)) => {
                let problem = Diagnostic::new(severity, code, message);
                Case::failed(suite, &*self.name, problem.at(self.place.clone()))
            }
            None => Case::passed(suite, &*self.name),
        }
    }

    fn problem(&self, seen: &Seen) -> Option<(Severity, &'static str, String)> {
        if let Some(why) = &seen.unread {
            return Some((Severity::Error, "unreadable", why.clone()));
        }
        let found = seen.highest.reaches(Confidence::Likely);
        match (self.label, &seen.highest.0) {
            (Label::Mcp, _) if !found => {
                let message = format!("{}: MCP is not found", self.name);
                Some((Severity::Note, "missed-capture", message))
            }
            (Label::NotMcp, Some(row)) if found => {
                let by: Vec<&str> =
                    row.signatures.iter().map(String::as_str).take(MAX_NAMES).collect();
                let message = format!(
                    "{}: taken for MCP ({}), by {}",
                    self.name,
                    row.confidence.as_str(),
                    if by.is_empty() { "its messages".to_owned() } else { by.join(", ") }
                );
                Some((Severity::Error, "mistaken-capture", message))
            }
            _ => None,
        }
    }
}

/// Reads the table: tab-separated, the first line names the columns. `file` and
/// `label` are required, `keylog` is a file beside the table.
fn read(captures: &Captures) -> Result<Vec<Labelled>, Problems> {
    let path = captures.truth.clone().unwrap_or_else(|| captures.folder.join(TABLE));
    let source = Source::read(&path, MAX_TABLE_BYTES).map_err(|problem| Problems(vec![problem]))?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut lines = lines(&source);
    let columns = Columns::of(lines.next(), &source).map_err(|problem| Problems(vec![problem]))?;
    let mut labelled = Vec::new();
    let mut problems = Vec::new();
    for line in lines {
        match columns.labelled(&line, &source, &captures.folder, beside) {
            Ok(capture) => labelled.push(capture),
            Err(problem) => problems.push(problem),
        }
        if problems.len() == MAX_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(labelled) } else { Err(Problems(problems)) }
}

/// A line with its place in the table.
struct Line<'t> {
    span: Range<usize>,
    text: &'t str,
}

/// The lines that say something.
fn lines(source: &Source) -> impl Iterator<Item = Line<'_>> {
    let mut next = 0;
    let lines = source.text().split('\n').map(move |line| {
        let start = next;
        next += line.len() + 1;
        let text = line.trim_end_matches('\r');
        Line { span: start..start + text.len(), text }
    });
    lines.filter(|line| !line.text.trim().is_empty() && !line.text.starts_with('#'))
}

/// Where the columns are that are read.
struct Columns {
    file: usize,
    label: usize,
    key_log: Option<usize>,
}

impl Columns {
    fn of(head: Option<Line<'_>>, source: &Source) -> Result<Self, Diagnostic> {
        let Line { span, text } = head.unwrap_or(Line { span: 0..0, text: "" });
        let at = |name: &str| text.split('\t').position(|column| column == name);
        let (Some(file), Some(label)) = (at("file"), at("label")) else {
            let message = "the first line does not name the columns `file` and `label`";
            return Err(problem("truth", message.to_owned(), source, span));
        };
        Ok(Self { file, label, key_log: at("keylog") })
    }

    fn labelled(
        &self,
        line: &Line<'_>,
        source: &Source,
        folder: &Path,
        beside: &Path,
    ) -> Result<Labelled, Diagnostic> {
        let field = |at: usize| line.text.split('\t').nth(at).unwrap_or_default();
        let wrong = |message: String| problem("truth", message, source, line.span.clone());
        let name = field(self.file);
        let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        if name.is_empty() || !inside {
            return Err(wrong(format!("`{name}` is not a file of the folder")));
        }
        let label = Label::parse(field(self.label)).ok_or_else(|| {
            wrong(format!("`{}` is none of {}", field(self.label), Label::NAMES.join(", ")))
        })?;
        // Some tables say here where else the secrets are, or that there are none.
        let key_log = self.key_log.map(|at| beside.join(field(at)));
        Ok(Labelled {
            name: name.to_owned(),
            path: folder.join(name),
            label,
            key_log: key_log.filter(|path| path.is_file()),
            place: source.location(line.span.clone()),
        })
    }
}

fn problem(code: &'static str, message: String, source: &Source, span: Range<usize>) -> Diagnostic {
    Diagnostic::new(Severity::Error, code, message).at(source.location(span))
}

/// The secrets of all key logs together: a connection finds its own.
fn keys(labelled: &[Labelled]) -> Result<KeyStore, Problems> {
    let paths: BTreeSet<&Path> =
        labelled.iter().filter_map(|capture| capture.key_log.as_deref()).collect();
    let mut keys = KeyStore::new();
    for path in paths {
        let log = std::fs::read(path).map_err(|error| {
            let message = format!("{} cannot be read: {error}", path.display());
            Problems(vec![Diagnostic::new(Severity::Error, "unreadable", message)])
        })?;
        keys = keys.extended(KeyLogReader::whole(&log));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps");

    fn scored(table: &str) -> Result<(Vec<Case>, Scores), Problems> {
        let folder = tempfile::tempdir().unwrap();
        let truth = folder.path().join("truth.tsv");
        std::fs::write(&truth, table).unwrap();
        let captures =
            Captures { folder: CAPTURES.into(), truth: Some(truth), min_recall: Some(100.0) };
        score(&SignatureSet::builtin(), Engine::builder(), &captures)
    }

    #[test]
    fn captures_are_found_and_signatures_scored() {
        let (cases, scores) = scored(
            "label\tfile\n# a comment\nmcp\tp-ts1-json.pcap\nnot_mcp\tn-lsp-tcp.pcap\n\n\
             not_mcp\tn-graphql.pcap\r\n",
        )
        .unwrap();
        assert!(cases.iter().all(|case| case.problem().is_none()), "{cases:?}");
        assert_eq!(cases.len(), 4);
        let right = Score { mcp: 1, found: 1, others: 2, mistaken: 0 };
        assert_eq!(scores.overall, right);
        let (_, path) =
            scores.signatures.iter().find(|(id, _)| &**id == "mcp.path.endpoint").unwrap();
        assert_eq!(*path, right);
        assert_eq!((path.precision(), path.recall()), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn wrong_labels_show() {
        let (cases, scores) =
            scored("file\tlabel\np-ts1-json.pcap\tnot_mcp\nn-graphql.pcap\tmcp\nno.pcap\tmcp\n")
                .unwrap();
        let codes: Vec<_> =
            cases.iter().filter_map(|case| case.problem()).map(|problem| problem.code).collect();
        assert_eq!(codes, ["mistaken-capture", "missed-capture", "unreadable", "recall"]);
        assert_eq!(scores.overall, Score { mcp: 1, found: 0, others: 1, mistaken: 1 });
        assert_eq!(scores.overall.precision(), Some(0.0));
    }

    #[test]
    fn broken_tables_are_refused_with_their_lines() {
        for (table, line) in [
            ("", 1),
            ("file\tkind\nx\tmcp\n", 1),
            ("file\tlabel\na.pcap\tmcp\nb.pcap\tperhaps\n", 3),
            ("file\tlabel\n../a.pcap\tmcp\n", 2),
            ("file\tlabel\n\tmcp\n", 2),
        ] {
            let Problems(problems) = scored(table).unwrap_err();
            let place = problems[0].location.as_ref().unwrap();
            assert_eq!((problems.len(), place.line), (1, line), "{table}");
        }
    }
}
