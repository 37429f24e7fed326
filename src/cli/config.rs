//! The configuration file of `sense`: TOML in, the words of a command line out, or
//! every problem of the file with its place.
//!
//! What may stand there is what the command knows: every long option is a key of the
//! same name. The words are put in front of those that were typed, save where an
//! option was typed too.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args::Cli;
use crate::signature::{Collector, Report, Source, suggestion};

/// The command that has a configuration file.
const COMMAND: &str = "sense";

/// Larger files are no configuration.
const MAX_BYTES: u64 = 1 << 20;

/// Options that say what is to be done now, not how.
const ONLY_TYPED: [&str; 4] = ["config", "check", "help", "version"];

/// The arguments of the process, with those of the file that they name.
///
/// # Errors
/// Every problem of the file.
pub(super) fn expand(arguments: Vec<OsString>) -> Result<Vec<OsString>, Report> {
    if arguments.get(1).is_none_or(|name| name != COMMAND) {
        return Ok(arguments);
    }
    // What is wrong with the arguments is said when they are read for good.
    let typed = Cli::command().ignore_errors(true).try_get_matches_from(&arguments);
    let Some((_, typed)) = typed.ok().and_then(|mut matches| matches.remove_subcommand()) else {
        return Ok(arguments);
    };
    let Some(path) = typed.get_one::<PathBuf>("config") else { return Ok(arguments) };
    let words = read(path, &typed)?;
    let mut arguments = arguments.into_iter();
    let mut all: Vec<OsString> = arguments.by_ref().take(2).collect();
    all.extend(words);
    all.extend(arguments);
    Ok(all)
}

/// The words of a file, without options that were typed.
fn read(path: &Path, typed: &ArgMatches) -> Result<Vec<OsString>, Report> {
    let source = Source::read(path, MAX_BYTES).map_err(|problem| Report(vec![problem]))?;
    let (document, errors) = DeTable::parse_recoverable(source.text());
    let mut file = File::new(&source);
    for error in &errors {
        file.problems.error("syntax", error.span().unwrap_or(0..0), error.message());
    }
    let mut words = Vec::new();
    // What else is odd in a file that is no TOML may follow from that.
    let table = errors.is_empty().then_some(document.get_ref());
    for (key, value) in table.into_iter().flat_map(DeTable::iter) {
        let Some(option) = file.option(key.get_ref(), key.span()) else { continue };
        let found = file.words(&option, value);
        if typed.value_source(option.get_id().as_str()) != Some(ValueSource::CommandLine) {
            words.extend(found);
        }
    }
    match file.problems.has_errors() {
        true => Err(Report(file.problems.finish())),
        false => Ok(words),
    }
}

/// The options that a file may hold.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let sense = command.find_subcommand(COMMAND);
    let options = sense.into_iter().flat_map(Command::get_arguments);
    options.filter(|option| option.get_long().is_some_and(|name| !ONLY_TYPED.contains(&name)))
}

/// A file that is being read.
struct File<'s> {
    command: Command,
    problems: Collector<'s>,
}

impl<'s> File<'s> {
    fn new(source: &'s Source) -> Self {
        Self { command: Cli::command(), problems: Collector::new(source) }
    }

    /// The option that a key names.
    fn option(&mut self, key: &str, span: std::ops::Range<usize>) -> Option<Arg> {
        let found = options(&self.command).find(|option| option.get_long() == Some(key));
        if let Some(found) = found {
            return Some(found.clone());
        }
        let shown: String = key.chars().take(48).collect();
        if ONLY_TYPED.contains(&key) {
            let message = format!("`{shown}` is given on the command line only");
            self.problems.error("unknown-key", span, message);
            return None;
        }
        let known: Vec<&str> = options(&self.command).filter_map(Arg::get_long).collect();
        let help = suggestion(key, known.iter().copied())
            .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
        let message = format!("unknown key `{shown}`");
        self.problems.error_with_help("unknown-key", span, message, Some(help));
        None
    }

    /// The words that say what the file says.
    fn words(&mut self, option: &Arg, value: &Spanned<DeValue<'s>>) -> Vec<OsString> {
        match (option.get_action(), value.get_ref()) {
            (ArgAction::SetTrue, DeValue::Boolean(given)) => {
                given.then(|| word(option, None)).into_iter().collect()
            }
            (ArgAction::SetTrue, _) => self.wrong_type(value, "`true` or `false`"),
            (ArgAction::Append, DeValue::Array(items)) => {
                items.iter().filter_map(|item| self.word(option, item)).collect()
            }
            _ => self.word(option, value).into_iter().collect(),
        }
    }

    /// The word for one value.
    fn word(&mut self, option: &Arg, value: &Spanned<DeValue<'s>>) -> Option<OsString> {
        let text = match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(|it| it.to_string())
            }
            _ => None,
        };
        let Some(text) = text else {
            let several = matches!(option.get_action(), ArgAction::Append);
            let expected = if several { "a string or an array of strings" } else { "a string" };
            return self.wrong_type(value, expected);
        };
        let word = word(option, Some(&text));
        let arguments = [OsStr::new("mcpwatch"), OsStr::new(COMMAND), &word];
        match self.command.clone().try_get_matches_from(arguments) {
            Err(error) if is_about_value(&error) => {
                let (message, help) = said(&error);
                self.problems.error_with_help("unknown-value", value.span(), message, help);
                None
            }
            _ => Some(word),
        }
    }

    fn wrong_type<T: Default>(&mut self, value: &Spanned<DeValue<'s>>, expected: &str) -> T {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "`true` or `false`",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let message = format!("expected {expected}, not {found}");
        self.problems.error("wrong-type", value.span(), message);
        T::default()
    }
}

/// `--option` or `--option=value`.
fn word(option: &Arg, value: Option<&str>) -> OsString {
    let name = option.get_long().unwrap_or_default();
    match value {
        Some(value) => format!("--{name}={value}").into(),
        None => format!("--{name}").into(),
    }
}

/// Whether an option was refused for its value, not for what is missing beside it.
fn is_about_value(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidValue
            | ErrorKind::ValueValidation
            | ErrorKind::InvalidUtf8
            | ErrorKind::NoEquals
            | ErrorKind::TooManyValues
            | ErrorKind::TooFewValues
            | ErrorKind::WrongNumberOfValues
    )
}

/// What is wrong with a value, and what could be written instead.
fn said(error: &clap::Error) -> (String, Option<String>) {
    if let Some(cause) = error.source() {
        return (cause.to_string(), None);
    }
    let (Some(ContextValue::String(value)), Some(ContextValue::Strings(known))) =
        (error.get(ContextKind::InvalidValue), error.get(ContextKind::ValidValue))
    else {
        return (error.kind().to_string(), None);
    };
    if value.is_empty() {
        return ("a value is missing".to_owned(), None);
    }
    let help = suggestion(value, known.iter().map(String::as_str))
        .unwrap_or_else(|| format!("one of {}", known.join(", ")));
    let shown: String = value.chars().take(48).collect();
    (format!("`{shown}` is not known here"), Some(help))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{self, SenseArgs};

    /// Values of which every option takes one.
    const SAMPLES: [&str; 10] =
        ["64", "64M", "1h", "127.0.0.1:9", "likely", "auto", "json", "it", "ring", "kernel"];

    fn written(folder: &tempfile::TempDir, text: &str) -> String {
        let path = folder.path().join("sense.toml");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn expanded(line: &str) -> Result<Vec<OsString>, String> {
        expand(line.split_whitespace().map(OsString::from).collect())
            .map_err(|report| report.to_string())
    }

    fn parsed(words: Vec<OsString>) -> SenseArgs {
        match Cli::try_parse_from(words).unwrap().command {
            args::Command::Sense(mut args) => {
                args.service.config = None;
                *args
            }
            _ => panic!("not `sense`"),
        }
    }

    /// An option with the value it is tried with; `None` for a switch.
    fn sample(command: &Command, option: &Arg) -> Option<&'static str> {
        if matches!(option.get_action(), ArgAction::SetTrue) {
            return None;
        }
        let accepted = |sample: &&str| {
            let word = word(option, Some(sample));
            let words = [OsStr::new("mcpwatch"), OsStr::new(COMMAND), &word];
            let tried = command.clone().try_get_matches_from(words);
            tried.err().is_none_or(|error| !is_about_value(&error))
        };
        let found = SAMPLES.iter().find(|sample| accepted(sample));
        Some(found.unwrap_or_else(|| panic!("no sample suits {option}")))
    }

    #[test]
    fn every_option_can_stand_in_a_file() {
        let command = Cli::command();
        let folder = tempfile::tempdir().unwrap();
        let mut seen = 0;
        for option in options(&command) {
            let name = option.get_long().unwrap();
            let value = sample(&command, option);
            let text = match (value, option.get_action()) {
                (None, _) => format!("{name} = true\n"),
                (Some(value), ArgAction::Append) => format!("{name} = [\"{value}\"]\n"),
                (Some(value), _) => format!("{name} = \"{value}\"\n"),
            };
            let path = written(&folder, &text);
            let words = expanded(&format!("mcpwatch sense --config {path}")).unwrap();
            assert_eq!(words[2], word(option, value), "{text}");
            seen += 1;
        }
        assert!(seen > 25, "{seen}");
    }

    #[test]
    fn a_file_says_what_options_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(
            &folder,
            "interface = [\"eth1\", \"eth2\"]\noutput = \"f.jsonl\"\nrotate = [\"1h\", \"100M\"]\n\
             keep = \"7d\"\nworkers = 0x4\nmessages = true\nquiet = false\nring = \"128M\"\n\
             filter = \"-x\"\n",
        );
        let line = "mcpwatch sense -i eth1 -i eth2 -o f.jsonl --rotate 1h,100M --keep 7d \
                    --workers 4 --messages --ring 128M --filter=-x";
        let by_file = parsed(expanded(&format!("mcpwatch sense --config {path}")).unwrap());
        let by_line = parsed(expanded(line).unwrap());
        assert_eq!(format!("{by_file:?}"), format!("{by_line:?}"));
    }

    #[test]
    fn what_is_typed_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder, "interface = [\"eth1\", \"eth2\"]\nring = \"128M\"\nuser='x'");
        let line = format!("mcpwatch sense -i eth3 --config={path} --ring 8M");
        let args = parsed(expanded(&line).unwrap());
        assert_eq!((args.interface, args.ring), (vec!["eth3".to_owned()], 8 << 20));
        assert_eq!(args.service.user.as_deref(), Some("x"));
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(
            &folder,
            "interfaces = \"eth1\"\nring = \"1M\"\nfail-on = \"confirmd\"\nquiet = 1\n\
             output = [\"a.jsonl\", 2.5]\nsensor = [\"a\"]\nconfig = \"other.toml\"\n\
             [policy]\nfile = \"x\"\n",
        );
        let problems = expanded(&format!("mcpwatch sense --config {path}")).unwrap_err();
        for expected in [
            format!("error[unknown-key]: unknown key `interfaces`\n --> {path}:1:1\n"),
            "1 | interfaces = \"eth1\"\n  | ^^^^^^^^^^\n  = help: did you mean `interface`?".into(),
            format!("a ring needs 8M at least\n --> {path}:2:8\n"),
            format!("`confirmd` is not known here\n --> {path}:3:11\n"),
            "did you mean `confirmed`?".to_owned(),
            format!("expected `true` or `false`, not an integer\n --> {path}:4:9\n"),
            format!("not a number with a fraction\n --> {path}:5:22\n"),
            format!("expected a string, not an array\n --> {path}:6:10\n"),
            format!("`config` is given on the command line only\n --> {path}:7:1\n"),
            format!("expected a string, not a table\n --> {path}:8:1\n"),
        ] {
            assert!(problems.contains(&expected), "{expected}\nin\n{problems}");
        }
    }

    #[test]
    fn files_that_are_no_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder, "interface = [\n");
        let problems = expanded(&format!("mcpwatch sense --config {path}")).unwrap_err();
        assert!(problems.contains("error[syntax]"), "{problems}");
        let problems = expanded("mcpwatch sense --config no-such-file").unwrap_err();
        assert!(problems.contains("no-such-file cannot be read"), "{problems}");
    }

    #[test]
    fn other_commands_are_left_alone() {
        for line in ["mcpwatch", "mcpwatch scan --config x", "mcpwatch sense --help"] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(expanded(line), Ok(words));
        }
    }
}
