//! The documentation is true: commands exist, links lead somewhere, the map of
//! the modules is complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::corpus::root;

#[test]
fn every_relative_link_leads_somewhere() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in
            links(&text).filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let found = target.exists() && (anchor.is_empty() || anchors(&target).contains(anchor));
            if !found {
                missing.push(format!("{}: {link}", relative(&page)));
            }
        }
    }
    assert!(missing.is_empty(), "links that lead nowhere:\n{}", missing.join("\n"));
}

#[test]
fn every_command_that_is_shown_exists() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for command in commands(&text) {
            seen += 1;
            if let Err(problem) = check_command(&command) {
                wrong.push(format!("{}: {command}: {problem}", relative(&page)));
            }
        }
    }
    assert!(seen > 0, "no command is shown anywhere");
    assert!(wrong.is_empty(), "commands that do not work:\n{}", wrong.join("\n"));
}

#[test]
fn the_map_of_the_modules_is_complete() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let named: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|line| line.split(" | ").next().unwrap_or("").split('`'))
        .filter(|cell| cell.contains('/'))
        .map(|path| path.trim_end_matches('/').to_owned())
        .collect();
    for path in &named {
        assert!(root().join(path).exists(), "docs/architecture.md names {path}");
    }
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert!(named.contains(&relative(&path)), "{} is not on the map", relative(&path));
        }
    }
}

#[test]
fn every_capture_is_described() {
    let labels = fs::read_to_string(root().join("pcaps/LABELS.tsv")).unwrap();
    let labelled: BTreeSet<&str> =
        labels.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    let mut captures = BTreeSet::new();
    for entry in fs::read_dir(root().join("pcaps")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if [".pcap", ".pcapng", ".gz", ".zst"].iter().any(|end| name.ends_with(end)) {
            captures.insert(name);
        }
    }
    let captures: BTreeSet<&str> = captures.iter().map(String::as_str).collect();
    assert_eq!(captures, labelled);
}

/// The pages that people read.
fn pages() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs"), root().join("pcaps")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(pages.len() > 3, "{pages:?}");
    pages
}

/// Targets of `[text](target)`, outside code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Lines of code that call mcpwatch, or cargo to run it.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in text.split("```").skip(1).step_by(2) {
        let Some((language, code)) = block.split_once('\n') else { continue };
        if !["sh", "console", "bash", ""].contains(&language.trim()) {
            continue;
        }
        for line in code.lines().map(|line| line.trim_start_matches("$ ").trim()) {
            let parts = line.split(" | ").map(str::trim);
            let ours = parts.filter_map(|part| match part.split_once(" -- ") {
                Some((cargo, arguments)) if cargo.starts_with("cargo run") => {
                    Some(format!("mcpwatch {arguments}"))
                }
                _ => part.starts_with("mcpwatch ").then(|| part.to_owned()),
            });
            commands.extend(ours);
        }
    }
    commands
}

/// Whether the subcommand and all options are known: asking for help beside
/// them must not be a usage error.
fn check_command(command: &str) -> Result<(), String> {
    let command = command.split(" #").next().unwrap_or(command);
    let mut words = command.split_whitespace().skip(1);
    let mut arguments: Vec<&str> =
        words.by_ref().take_while(|word| !word.starts_with('-')).collect();
    let subcommand = arguments.first().copied().unwrap_or("");
    if subcommand == "signatures" {
        arguments.truncate(2);
    } else {
        arguments.truncate(1);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_mcpwatch"))
        .args(&arguments)
        .arg("--help")
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let help = String::from_utf8_lossy(&output.stdout);
    let options = command.split_whitespace().filter(|word| word.starts_with('-') && *word != "-");
    for option in options {
        let option = option.split('=').next().unwrap_or(option);
        let known = help
            .lines()
            .any(|line| line.trim_start().split([' ', ',', '=']).any(|word| word == option));
        if !known {
            return Err(format!("there is no option {option}"));
        }
    }
    Ok(())
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
