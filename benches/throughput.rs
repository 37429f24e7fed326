//! mcpwatch against two walks over the packets, Suricata and tshark, on a generated capture.
//!
//! ```text
//! cargo bench --bench throughput -- [--size 256M] [--runs 5] [--mix web|cleartext|mcp|tls]
//! cargo bench --bench throughput -- --generate FILE [--size 1G] [--mix …] [--seed N]
//! ```
//!
//! What is measured and how to read it: docs/benchmarks.md.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the bench prints its result")]

mod support;

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use mcpwatch::capture::{LinkType, PcapWriter, Precision};
use mcpwatch::time::Timestamp;

use support::contest::{self, Contestant, Portion};
use support::generate::{Mix, Recipe, generate};
use support::truth::Truth;
use support::{findings, handover, process, walk};

/// The parts of the generator: a capture made by another one is not used again.
const GENERATOR: [&str; 12] = [
    include_str!("support/address.rs"),
    include_str!("support/generate.rs"),
    include_str!("support/http.rs"),
    include_str!("support/mcp.rs"),
    include_str!("support/other.rs"),
    include_str!("support/payload.rs"),
    include_str!("support/random.rs"),
    include_str!("support/session.rs"),
    include_str!("support/text.rs"),
    include_str!("support/tls.rs"),
    include_str!("support/web.rs"),
    include_str!("support/wire.rs"),
];

/// tshark is slow: it reads this much of the capture, and runs less often.
const TSHARK_BYTES: u64 = 32 << 20;
const TSHARK_RUNS: usize = 2;

/// What one worker has to reach with the `web` mix: parts of the bare walk's pace, and
/// Suricata's.
const FLOOR_OF_WALK: f64 = 1.0 / 5.0;
const FLOOR_OF_SURICATA: f64 = 4.0;

struct Arguments {
    size: u64,
    runs: usize,
    mix: Mix,
    seed: u64,
    /// Only write this capture.
    generate: Option<PathBuf>,
    /// Only walk over this capture: the bench runs itself so.
    walk: Option<PathBuf>,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("throughput: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let recipe = Recipe { mix: arguments.mix, size: arguments.size, seed: arguments.seed };
    if let Some(path) = &arguments.walk {
        println!("{:?}", walk::walk(path)?);
        return Ok(true);
    }
    if let Some(path) = &arguments.generate {
        let truth = generate(recipe, BufWriter::with_capacity(1 << 20, File::create(path)?))?;
        println!("{}", serde_json::to_string_pretty(&truth)?);
        return Ok(true);
    }
    bench(recipe, arguments.runs)
}

fn bench(recipe: Recipe, runs: usize) -> Result<bool, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    fs::create_dir_all(&folder)?;
    let (capture, truth) = capture(&folder, recipe)?;
    println!(
        "{}: {:.0} MiB, {} frames of {} bytes, {} MCP conversations with {} messages\n",
        capture.display(),
        truth.bytes as f64 / f64::from(1 << 20),
        truth.frames,
        truth.bytes / truth.frames,
        truth.conversations,
        truth.messages(),
    );
    let differences = check(&folder, &capture, &truth)?;
    let contestants = contestants(&folder, &capture, &truth, runs)?;
    let mut handovers = Vec::new();
    let results = contest::hold(&contestants, &capture, &nothing(&folder)?, |what| {
        handovers.extend(handover::measure());
        eprintln!("  {what}");
    })?;
    println!("\n{}", contest::table(&results));
    handovers.sort_unstable();
    if let [least, .., most] = handovers[..] {
        let median = handovers[handovers.len() / 2];
        println!(
            "a cache line went from processor to processor in {least:?} to {most:?}, median \
             {median:?}"
        );
    }
    ratios(&results, recipe.mix);
    for difference in &differences {
        println!("WRONG: {difference}");
    }
    if differences.is_empty() {
        println!("findings equal the truth");
    }
    Ok(differences.is_empty())
}

/// The capture of a recipe, from the folder if it is there already.
fn capture(folder: &Path, recipe: Recipe) -> Result<(PathBuf, Truth), Box<dyn Error>> {
    let Recipe { mix, size, seed } = recipe;
    let name = format!("{}-{}M-{seed}-{:016x}", mix.name(), size >> 20, generator_hash());
    let path = folder.join(&name).with_extension("pcap");
    let truth_path = folder.join(&name).with_extension("truth.json");
    if let Ok(truth) = fs::read(&truth_path)
        && path.exists()
    {
        return Ok((path, serde_json::from_slice(&truth)?));
    }
    eprintln!("  writing {}", path.display());
    let truth = generate(recipe, BufWriter::with_capacity(1 << 20, File::create(&path)?))?;
    // The truth comes last: it says that the capture is whole.
    fs::write(truth_path, serde_json::to_vec_pretty(&truth)?)?;
    Ok((path, truth))
}

fn generator_hash() -> u64 {
    // FNV-1a.
    GENERATOR.iter().flat_map(|part| part.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A capture of one frame that is not even IP, to measure how long programs take
/// to start. (Suricata refuses a capture without frames.)
fn nothing(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let path = folder.join("nothing.pcap");
    let mut writer = PcapWriter::new(File::create(&path)?, LinkType::ETHERNET, Precision::Nanos)?;
    writer.frame(Timestamp::from_parts(1_795_213_547, 0), &[0xff; 60], 60)?;
    writer.finish()?;
    Ok(path)
}

fn check(folder: &Path, capture: &Path, truth: &Truth) -> Result<Vec<String>, Box<dyn Error>> {
    let output = folder.join("findings.jsonl");
    let mut command = scan(1, &output);
    process::run(command.arg(capture))?;
    Ok(findings::check(&output, truth)?)
}

fn contestants(
    folder: &Path,
    capture: &Path,
    truth: &Truth,
    runs: usize,
) -> Result<Vec<Contestant>, Box<dyn Error>> {
    let whole = Portion { frames: truth.frames, bytes: truth.bytes };
    let this = std::env::current_exe()?;
    let mut all = vec![Contestant {
        name: "bare walk",
        command: Box::new(move |capture| {
            let mut command = Command::new(&this);
            command.arg("--walk").arg(capture);
            command
        }),
        portion: whole,
        runs,
    }];
    for (name, workers) in [("mcpwatch, 1 worker", 1), ("mcpwatch, 2 workers", 2)] {
        let output = folder.join("findings.arrows");
        let command = Box::new(move |capture: &Path| {
            let mut command = scan(workers, &output);
            command.arg(capture);
            command
        });
        all.push(Contestant { name, command, portion: whole, runs });
    }
    if takes_part("tcpdump") {
        let command = Box::new(libpcap_walk);
        all.push(Contestant { name: "libpcap walk", command, portion: whole, runs });
    }
    if takes_part("suricata") {
        let logs = folder.join("suricata");
        fs::create_dir_all(&logs)?;
        let command = Box::new(move |capture: &Path| suricata(&logs, capture));
        all.push(Contestant { name: "suricata", command, portion: whole, runs });
    }
    if takes_part("tshark") {
        let slice = walk::frames_within(capture, TSHARK_BYTES)?;
        let command = Box::new(move |capture: &Path| tshark(slice.frames, capture));
        let portion = Portion { frames: slice.frames, bytes: slice.bytes };
        all.push(Contestant { name: "tshark", command, portion, runs: runs.min(TSHARK_RUNS) });
    }
    Ok(all)
}

/// Whether a program is installed; says so if not.
fn takes_part(program: &str) -> bool {
    let installed = contest::installed(program).is_some();
    if !installed {
        eprintln!("  {program} is not installed");
    }
    installed
}

fn scan(workers: u32, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpwatch"));
    command.args(["scan", "--quiet", "--workers", &workers.to_string(), "--output"]).arg(output);
    command
}

/// libpcap hands over every frame, to a filter that none passes.
fn libpcap_walk(capture: &Path) -> Command {
    let mut command = Command::new("tcpdump");
    command.args(["-n", "-r"]).arg(capture).args(["less", "0"]);
    command
}

fn suricata(logs: &Path, capture: &Path) -> Command {
    let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/suricata");
    let mut command = Command::new("suricata");
    command.arg("-c").arg(configuration.join("suricata.yaml"));
    command.arg("-S").arg(configuration.join("mcp.rules"));
    command.arg("-l").arg(logs).arg("-r").arg(capture);
    command.args(["-k", "none", "--runmode", "single"]);
    command
}

fn tshark(frames: u64, capture: &Path) -> Command {
    let mut command = Command::new("tshark");
    command.args(["-n", "-c", &frames.to_string(), "-r"]).arg(capture);
    command.args(["-Y", "http.request", "-T", "fields"]);
    command.args(["-e", "ip.dst", "-e", "http.request.method", "-e", "http.request.full_uri"]);
    command
}

fn ratios(results: &[contest::Result], mix: Mix) {
    let floor = |floor| matches!(mix, Mix::Web).then_some(floor);
    let pace = |name: &str| results.iter().find(|result| result.name == name);
    let (Some(walk), Some(one)) = (pace("bare walk"), pace("mcpwatch, 1 worker")) else { return };
    println!("mcpwatch, 1 worker, is");
    for (other, floor) in [
        (Some(walk), floor(FLOOR_OF_WALK)),
        (pace("libpcap walk"), None),
        (pace("suricata"), floor(FLOOR_OF_SURICATA)),
        (pace("tshark"), None),
    ] {
        let Some(other) = other else { continue };
        let ratio = one.pace() / other.pace();
        let running = one.running_pace() / other.running_pace();
        let cpu = match (one.cpu_pace(), other.cpu_pace()) {
            (Some(one), Some(other)) => format!(", {:.2} by CPU time", one / other),
            _ => String::new(),
        };
        let floor = match floor {
            Some(floor) if ratio >= floor => format!("; the floor is {floor}: reached"),
            Some(floor) => format!("; the floor is {floor}: MISSED"),
            None => String::new(),
        };
        println!(
            "  {ratio:>8.2} times as fast as {} ({running:.2} without start-up{cpu}){floor}",
            other.name
        );
    }
    if let Some(two) = pace("mcpwatch, 2 workers") {
        println!("  and with 2 workers {:.2} times as fast as with 1", two.pace() / one.pace());
    }
    println!();
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments =
        Arguments { size: 256 << 20, runs: 5, mix: Mix::Web, seed: 1, generate: None, walk: None };
    let mut typed = std::env::args().skip(1);
    while let Some(flag) = typed.next() {
        // Cargo itself adds `--bench`.
        if flag == "--bench" {
            continue;
        }
        let value = typed.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--size" => arguments.size = size(&value)?,
            "--runs" => arguments.runs = value.parse::<usize>()?.max(1),
            "--seed" => arguments.seed = value.parse()?,
            "--mix" => {
                arguments.mix = Mix::named(&value).ok_or("a mix is web, cleartext, mcp or tls")?
            }
            "--generate" => arguments.generate = Some(value.into()),
            "--walk" => arguments.walk = Some(value.into()),
            _ => return Err(format!("unknown argument {flag}").into()),
        }
    }
    Ok(arguments)
}

fn size(text: &str) -> Result<u64, Box<dyn Error>> {
    let (digits, unit) = match text.strip_suffix(['M', 'G']) {
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    Ok(digits.parse::<u64>()? << unit)
}
