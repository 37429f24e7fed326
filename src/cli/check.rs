//! `mcpwatch sense --check`: everything that a sensor reads and writes is looked at,
//! and nothing is watched.

use std::path::Path;

use super::args::SenseArgs;
use super::outputs::chain;
use super::{Exit, complain, detection, log, privileges, sense};
use crate::capture::live::interfaces;
use crate::findings::Destination;
use crate::findings::sink::Format;
use crate::stream::tls::KeyStore;

pub(super) fn run(args: &SenseArgs) -> Exit {
    let problems = problems(args);
    problems.iter().for_each(|problem| complain(problem));
    if !problems.is_empty() {
        return Exit::Failed;
    }
    if !args.detection.quiet {
        missing(args);
        log::info("checked", "nothing is wrong").say();
    }
    Exit::Done
}

/// All that would keep the sensor from starting.
fn problems(args: &SenseArgs) -> Vec<String> {
    let arguments = &args.detection;
    let mut problems: Vec<String> = [
        detection::filter(arguments).map(drop),
        signatures(args),
        detection::policy(arguments).map(drop),
        detection::growing_keys(KeyStore::new(), &arguments.keylog).map(drop),
        sense::backend(args).map(drop),
        sense::rotation(args).map(drop),
        sense::spool(args).map(drop),
        privileges::check(args),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect();
    let named = arguments.output.iter().filter(|path| *path != Path::new("-"));
    problems.extend(named.filter_map(|path| format(path, arguments.format.as_deref())));
    let files = arguments.output.iter().chain(&arguments.stats).filter(|path| is_file(path));
    problems.extend(files.chain(&args.service.pid_file).filter_map(|path| unwritable(path)));
    let spooled = args.spool.iter().map(|folder| match folder.is_dir() {
        true => folder.join("output"),
        false => folder.clone(),
    });
    problems.extend(spooled.filter_map(|path| unwritable(&path)));
    problems
}

fn is_file(path: &Path) -> bool {
    matches!(Destination::from_argument(path), Destination::Path(_))
}

fn signatures(args: &SenseArgs) -> Result<(), String> {
    let detection::Signatures { set, cache } = detection::signatures(&args.detection)?;
    let (_, warnings) = set.compile_cached(cache).map_err(|report| report.to_string())?;
    detection::warn(&args.detection, &warnings);
    Ok(())
}

/// What is wrong with the format of an output.
fn format(path: &Path, named: Option<&str>) -> Option<String> {
    let named = match named.map(super::outputs::format).transpose() {
        Ok(named) => named,
        Err(problem) => return Some(problem),
    };
    Format::choose(path, named).err().map(|error| chain(&error))
}

/// Why no file can be made where `path` is.
fn unwritable(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let of = |why: std::io::Error| format!("{}: {why}", path.display());
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Some(of(std::io::ErrorKind::IsADirectory.into())),
        // Pipes and devices are written to as they are.
        Ok(found) if !found.is_file() => {
            std::fs::OpenOptions::new().write(true).open(path).err().map(of)
        }
        // Nothing is left of this file, not even if the power fails.
        _ => tempfile::tempfile_in(folder).err().map(of),
    }
}

/// Says which interfaces are not there: they may be where the sensor will run.
fn missing(args: &SenseArgs) {
    let there = interfaces();
    for name in args.interface.iter().filter(|name| there.iter().all(|it| it.name != **name)) {
        let message = format!("{name}: no such interface on this system, as things stand");
        log::warning("no_interface", message).with("interface", name.as_str()).say();
    }
}
