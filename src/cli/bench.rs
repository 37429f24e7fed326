//! `mcpwatch signatures bench`: what was measured, as a table or as JSON.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::args::{BenchArgs, ListFormat};
use super::{Exit, complain, print};
use crate::findings::escape::printable;
use crate::workbench::bench::{self, FieldSpeed, Load, Measured, Options, Share, Speed};

pub(super) fn run(args: &BenchArgs) -> Exit {
    let options = Options {
        paths: args.paths.clone(),
        baseline: args.baseline.clone(),
        runs: args.runs.into(),
        seed: args.seed,
    };
    let measured = match bench::measure(&options) {
        Ok(measured) => measured,
        Err(report) => {
            complain(&report.to_string());
            return Exit::Failed;
        }
    };
    print(|out| match args.format {
        ListFormat::Text => text(&measured, args.top, out),
        ListFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &document(&measured))?;
            writeln!(out)
        }
    })
}

fn text(measured: &Measured, top: usize, out: &mut dyn Write) -> io::Result<()> {
    load("set", &measured.set, out)?;
    if let Some(baseline) = &measured.baseline {
        load("baseline", baseline, out)?;
    }
    let widest = measured.fields.iter().map(|field| field.field.len()).max().unwrap_or(0).max(14);
    writeln!(
        out,
        "\n{:widest$}  {:>8}  {:>4}  {:>9}  {:>9}  {:>10}  {:>8}",
        "field", "patterns", "DFAs", "size", "build", "speed", "baseline"
    )?;
    for FieldSpeed { field, patterns, dfas, bytes, build, speed } in &measured.fields {
        let (field, size, build) = (printable(field), size(*bytes), time(*build));
        let rates = rates(speed);
        writeln!(out, "{field:widest$}  {patterns:>8}  {dfas:>4}  {size:>9}  {build:>9}  {rates}")?;
    }
    let rates = rates(&measured.engine);
    writeln!(
        out,
        "{:widest$}  {:>8}  {:>4}  {:>9}  {:>9}  {rates}",
        "whole engine", "", "", "", ""
    )?;
    signatures(measured, top, out)
}

fn load(name: &str, load: &Load, out: &mut dyn Write) -> io::Result<()> {
    let Load { signatures, names, .. } = load;
    let (read, build, size) = (time(load.read), time(load.build), size(load.bytes));
    writeln!(
        out,
        "{name:8}  {signatures} signatures and {names} names, read in {read}, built in {build}, {size}"
    )
}

fn signatures(measured: &Measured, top: usize, out: &mut dyn Write) -> io::Result<()> {
    let shown = measured.signatures.get(..top).unwrap_or(&measured.signatures);
    let widest = shown.iter().map(|share| share.id.len()).max().unwrap_or(0);
    if shown.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:widest$}  {:>9}  {:>9}  {:>7}  {:>7}",
        "signature", "size", "build", "share", "hits"
    )?;
    for Share { id, bytes, build, share, hits, exchanges } in shown {
        let (size, build, share) = (size(*bytes), time(*build), 100.0 * share);
        let hits = 100.0 * *hits as f64 / (*exchanges).max(1) as f64;
        writeln!(out, "{id:widest$}  {size:>9}  {build:>9}  {share:>5.1} %  {hits:>5.1} %")?;
    }
    let rest = measured.signatures.len() - shown.len() + measured.unmeasured;
    if rest > 0 {
        writeln!(out, "and {rest} more; --top says how many are shown")?;
    }
    Ok(())
}

fn rates(speed: &Speed) -> String {
    let rate = format!("{:.0} MB/s", speed.rate() / 1e6);
    let ratio = speed.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}×"));
    format!("{rate:>10}  {ratio:>8}")
}

fn size(bytes: usize) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn time(duration: Duration) -> String {
    let millis = 1e3 * duration.as_secs_f64();
    if millis < 1_000.0 { format!("{millis:.1} ms") } else { format!("{:.2} s", millis / 1e3) }
}

fn document(measured: &Measured) -> Value {
    let load = |load: &Load| {
        json!({
            "signatures": load.signatures,
            "names": load.names,
            "read_seconds": load.read.as_secs_f64(),
            "build_seconds": load.build.as_secs_f64(),
            "bytes": load.bytes,
        })
    };
    let speed = |speed: &Speed| {
        json!({
            "bytes": speed.bytes,
            "bytes_per_second": speed.rate(),
            "ratio_to_baseline": speed.ratio(),
        })
    };
    let field = |field: &FieldSpeed| {
        json!({
            "field": printable(&field.field),
            "patterns": field.patterns,
            "dfas": field.dfas,
            "bytes": field.bytes,
            "build_seconds": field.build.as_secs_f64(),
            "speed": speed(&field.speed),
        })
    };
    let signature = |share: &Share| {
        json!({
            "id": share.id,
            "bytes": share.bytes,
            "build_seconds": share.build.as_secs_f64(),
            "share": share.share,
            "exchanges_hit": share.hits,
            "exchanges": share.exchanges,
        })
    };
    json!({
        "version": 1,
        "set": load(&measured.set),
        "baseline": measured.baseline.as_ref().map(load),
        "fields": measured.fields.iter().map(field).collect::<Vec<_>>(),
        "engine": speed(&measured.engine),
        "signatures": measured.signatures.iter().map(signature).collect::<Vec<_>>(),
        "signatures_unmeasured": measured.unmeasured,
    })
}
