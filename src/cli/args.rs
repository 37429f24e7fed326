//! Arguments as typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::capture::live::{MAX_SNAP_LENGTH, MIN_RING};
use crate::findings::Severity;
use crate::findings::sink::Spool;
use crate::signature::Strength;
use crate::workbench::list::FieldPattern;
use crate::workbench::report::Format;

/// Find Model Context Protocol (MCP) traffic, approved or not, on the wire.
#[derive(Debug, Parser)]
#[command(name = "mcpwatch", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Replay captures and report the MCP traffic in them
    Scan(Box<ScanArgs>),
    /// Watch network interfaces and report the MCP traffic on them
    Sense(Box<SenseArgs>),
    /// Let a running sensor read signatures, policy and key logs anew
    Reload(ReloadArgs),
    /// List the network interfaces
    Interfaces(InterfacesArgs),
    /// Work on signature sets
    #[command(subcommand)]
    Signatures(SignaturesCommand),
    /// Sum up findings files
    Report(ReportArgs),
    /// Print the schema of the findings
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// `mcpwatch scan`.
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Captures (pcap or pcapng, also gzip- or zstd-compressed), directories of
    /// captures, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Options shared with `sense`.
    #[command(flatten)]
    pub(crate) detection: DetectionArgs,

    /// Write one JSON line for every HTTP request, MCP or not, with its target
    /// as sent; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) http_log: Option<PathBuf>,

    /// Show no progress bar
    #[arg(long)]
    pub(crate) no_progress: bool,

    /// Bound on memory, e.g. 512M or 2G
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = parse_size)]
    pub(crate) memcap: u64,
}

/// `mcpwatch sense`.
#[derive(Debug, Args)]
pub(crate) struct SenseArgs {
    /// Network interface to watch. Repeatable
    #[arg(short, long, required = true, value_name = "IFACE")]
    pub(crate) interface: Vec<String>,

    /// Options shared with `scan`.
    #[command(flatten)]
    pub(crate) detection: DetectionArgs,

    /// Capture at most so many bytes of a frame
    #[arg(long, value_name = "BYTES", default_value_t = MAX_SNAP_LENGTH,
          value_parser = clap::value_parser!(u32).range(64..=i64::from(MAX_SNAP_LENGTH)))]
    pub(crate) snap_length: u32,

    /// What captures: the kernel's ring (Linux), or libpcap (needs the libpcap
    /// feature) [default: ring on Linux, libpcap elsewhere]
    #[arg(long, value_name = "HOW")]
    pub(crate) capture: Option<CaptureBy>,

    /// Memory that the kernel and mcpwatch share for each interface, or libpcap's
    /// buffer
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_ring)]
    pub(crate) ring: u64,

    /// Who says when a frame came: the kernel, or the card if it can (needs the ring)
    #[arg(long, value_name = "WHOSE", default_value = "kernel")]
    pub(crate) timestamps: Timestamps,

    /// Look only at frames for this system
    #[arg(long)]
    pub(crate) no_promiscuous: bool,

    /// Bound on memory, e.g. 512M or 2G
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_size)]
    pub(crate) memcap: u64,

    /// Begin another file every so often (30s, 10m, 1h, 1d) or at a size (100M);
    /// both, with a comma. The time is put into the name
    #[arg(long, value_name = "WHEN", value_delimiter = ',', value_parser = parse_turn)]
    pub(crate) rotate: Vec<Turn>,

    /// Remove files of earlier times after so long, e.g. 7d
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "rotate")]
    pub(crate) keep: Option<Duration>,

    /// Show a live view on the terminal: rates, losses, servers and findings
    #[arg(long)]
    pub(crate) tui: bool,

    /// Sum up conversations with news so often while they go on; 0 is never
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_interval)]
    pub(crate) summary_interval: Duration,

    /// Most message rows of a conversation in a second; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) message_limit: u32,

    /// Most detections of the same confidence, or threats of the same signature,
    /// between a client and a server in ten minutes; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) repeat_limit: u32,

    /// Keep findings on disk, in this folder, until the consumer of an output (unix:PATH,
    /// grpc://HOST:PORT, -) has taken them
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,

    /// Most that an output may keep there; beyond, the oldest findings are lost
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_spool, requires = "spool")]
    pub(crate) spool_size: u64,

    /// Answer with Prometheus metrics at http://ADDR/metrics, and with /health
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,

    /// How it is run.
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// How a sensor is run.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// Take options from a TOML file: every long option of `sense` is a key of the
    /// same name. What is given here wins
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Read everything, say what is wrong with it, and watch nothing
    #[arg(long)]
    pub(crate) check: bool,

    /// Write the number of the process to a file, for `mcpwatch reload`
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,

    /// When started by root, go on as this user: a name or UID:GID
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Keep all privileges, and the whole file system within reach
    #[arg(long, conflicts_with = "user")]
    pub(crate) no_sandbox: bool,

    /// How to write what it says on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// What captures frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CaptureBy {
    /// A ring that the kernel and mcpwatch share.
    Ring,
    /// libpcap.
    Libpcap,
}

/// Who says when a frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Timestamps {
    /// The kernel.
    Kernel,
    /// The card.
    Hardware,
}

/// How lines on standard error are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `mcpwatch reload`.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    /// The file that the sensor was given with --pid-file
    #[arg(long, value_name = "FILE", default_value = "/run/mcpwatch/mcpwatch.pid")]
    pub(crate) pid_file: PathBuf,
}

/// When a file is followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// After that time.
    Every(Duration),
    /// At that many bytes.
    Size(u64),
}

/// `mcpwatch interfaces`.
#[derive(Debug, Args)]
pub(crate) struct InterfacesArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ListFormat,
}

/// What to look for and where to write it.
#[derive(Clone, Debug, Args)]
pub(crate) struct DetectionArgs {
    /// Write findings to a file, format by its extension (.arrow, .arrows,
    /// .parquet, .jsonl, .csv); - is standard output, unix:PATH a socket that
    /// somebody listens on, grpc://HOST:PORT a collector that speaks Arrow Flight
    /// (needs the flight feature). Repeatable
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Vec<PathBuf>,

    /// Format of the findings, whatever the extension: arrow, arrows, parquet, jsonl, csv,
    /// eve, ocsf, ecs or zeek
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,

    /// Write one row for every JSON-RPC message
    #[arg(long)]
    pub(crate) messages: bool,

    /// Leave out findings below this confidence
    #[arg(long, value_name = "LEVEL", default_value = "possible")]
    pub(crate) min_confidence: Level,

    /// Exit with 1 if a finding reaches this confidence
    #[arg(long, value_name = "LEVEL")]
    pub(crate) fail_on: Option<Level>,

    /// Add the signatures of a file or folder. Repeatable
    #[arg(long, value_name = "PATH")]
    pub(crate) signatures: Vec<PathBuf>,

    /// Do without the shipped signatures
    #[arg(long)]
    pub(crate) no_builtin_signatures: bool,

    /// Classify servers by a governance policy
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Decrypt TLS with the secrets of an NSS key log (SSLKEYLOGFILE).
    /// Repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) keylog: Vec<PathBuf>,

    /// Look only at packets that match a BPF expression (needs the libpcap
    /// feature)
    #[arg(long, value_name = "BPF")]
    pub(crate) filter: Option<String>,

    /// Worker threads [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,

    /// Write all counters as JSON; - is standard output
    #[arg(long, value_name = "PATH")]
    pub(crate) stats: Option<PathBuf>,

    /// Write session ids and excerpts as they were on the wire
    #[arg(long)]
    pub(crate) show_secrets: bool,

    /// Name of this sensor, for the findings
    #[arg(long, value_name = "NAME")]
    pub(crate) sensor: Option<String>,

    /// Print no report, no progress and no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// When to colour the report
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorWhen,
}

/// A confidence, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// One weak signal.
    Possible,
    /// A catalogued host, an MCP header, or two kinds of weak signal.
    Likely,
    /// A JSON-RPC message of MCP shape.
    Confirmed,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `mcpwatch schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "md")]
    pub(crate) format: SchemaFormat,
}

/// How a schema is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    /// An Arrow IPC stream without batches.
    Arrow,
    /// JSON.
    Json,
    /// A Markdown table.
    Md,
}

/// `mcpwatch report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Findings files (.arrow, .arrows, .jsonl)
    #[arg(required = true, value_name = "FINDINGS")]
    pub(crate) findings: Vec<PathBuf>,

    /// How to print it
    #[arg(short, long, value_enum, default_value = "text")]
    pub(crate) format: ReportFormat,

    /// When to colour the report
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorWhen,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For a terminal.
    Text,
    /// Markdown.
    Md,
    /// JSON.
    Json,
}

/// `mcpwatch signatures …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SignaturesCommand {
    /// List the signatures of a set
    List(ListArgs),
    /// Check that a set is valid
    Check(CheckArgs),
    /// Check that every example in a set is answered as it says, however it is
    /// written on the wire
    Test(TestArgs),
    /// Run generated traffic and look for what is wrong with a set or the engine
    Fuzz(FuzzArgs),
    /// Measure how fast a set is, beside another
    Bench(BenchArgs),
    /// Print the JSON Schema of signature files, for editors
    Schema,
}

/// `mcpwatch signatures list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Signature files or folders [default: the shipped set]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Only signatures that look at this field; * at its end stands for any
    /// rest. Repeatable
    #[arg(long, value_name = "FIELD")]
    pub(crate) field: Vec<FieldPattern>,

    /// Only signatures with this tag; * at its end stands for any rest.
    /// Repeatable
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,

    /// Only signatures of this strength. Repeatable
    #[arg(long, value_name = "STRENGTH", value_parser = strength())]
    pub(crate) strength: Vec<Strength>,

    /// Only signatures of threats of this severity. Repeatable
    #[arg(long, value_name = "SEVERITY", value_parser = severity())]
    pub(crate) severity: Vec<Severity>,

    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ListFormat,
}

/// `mcpwatch signatures test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// What `check` knows too.
    #[command(flatten)]
    pub(crate) check: CheckArgs,

    /// Run the set over the labelled captures of a folder too: which of them it
    /// finds, and the precision and recall of each signature
    #[arg(long, value_name = "DIR")]
    pub(crate) pcaps: Option<PathBuf>,

    /// What the captures hold: tab-separated, with columns `file` and `label`
    /// (mcp, mcp_encrypted_sni_only, not_mcp) [default: DIR/LABELS.tsv]
    #[arg(long, value_name = "FILE", requires = "pcaps")]
    pub(crate) truth: Option<PathBuf>,

    /// Fail if fewer of the captures with MCP are found
    #[arg(long, value_name = "PERCENT", requires = "pcaps")]
    pub(crate) min_recall: Option<f64>,
}

/// `mcpwatch signatures bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Signature files or folders [default: the shipped set]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Compare with the set of this file or folder [default: the shipped set].
    /// Repeatable
    #[arg(long, value_name = "PATH")]
    pub(crate) baseline: Vec<PathBuf>,

    /// Rounds, of which the best counts
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) runs: u16,

    /// Seed of the made-up traffic
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,

    /// Signatures to show, the largest first
    #[arg(long, value_name = "N", default_value = "20")]
    pub(crate) top: usize,

    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ListFormat,
}

/// `mcpwatch signatures check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Signature files or folders [default: the shipped set]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,

    /// Fail for notes too, such as a missing reference
    #[arg(long)]
    pub(crate) strict: bool,
}

/// `mcpwatch signatures fuzz`.
#[derive(Debug, Args)]
pub(crate) struct FuzzArgs {
    /// Signature files or folders [default: the shipped set]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Run for so long
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) seconds: u64,

    /// Run so many cases, however long that takes
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    pub(crate) cases: Option<u64>,

    /// Run the one case of this number
    #[arg(long, value_name = "N", conflicts_with_all = ["seconds", "cases"], requires = "seed")]
    pub(crate) case: Option<u64>,

    /// What all cases follow from [default: another one each time]
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,

    /// Threads [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,

    /// Where captures of failures go; made if there are any
    #[arg(long, value_name = "DIR", default_value = "mcpwatch-fuzz")]
    pub(crate) out: PathBuf,

    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A table.
    #[value(alias = "human")]
    Text,
    /// JSON.
    Json,
}

fn strength() -> impl TypedValueParser<Value = Strength> {
    PossibleValuesParser::new(Strength::NAMES)
        .try_map(|name| Strength::parse(&name).ok_or("unknown strength"))
}

fn severity() -> impl TypedValueParser<Value = Severity> {
    PossibleValuesParser::new(Severity::NAMES)
        .try_map(|name| Severity::parse(&name).ok_or("unknown severity"))
}

/// Reads a size in bytes with an optional binary suffix.
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let shift = match unit.to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(format!("`{unit}` is not a unit; use K, M, G or T")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` is not a size"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("`{text}` is too large"))
}

/// Reads the size of a ring.
fn parse_ring(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        size if size < MIN_RING => Err(format!("a ring needs {}M at least", MIN_RING >> 20)),
        size => Ok(size),
    }
}

/// Reads a time with its unit: s, m, h, d or w.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time; write it like 30s, 10m, 1h, 7d or 2w");
    let digits = text.get(..text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit: u64 = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 60 * 60,
        Some(b'd') => 24 * 60 * 60,
        Some(b'w') => 7 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit) {
        Some(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

/// Reads a time that may be none.
fn parse_interval(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { parse_time(text) }
}

/// A size that a spool can have.
fn parse_spool(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        size @ Spool::MIN_SIZE.. => Ok(size),
        _ => Err(format!("a spool needs at least {} bytes", Spool::MIN_SIZE)),
    }
}

/// Reads a time or a size; `m` is minutes, `M` is mebibytes.
fn parse_turn(text: &str) -> Result<Turn, String> {
    match (parse_time(text), parse_size(text)) {
        (Ok(time), _) => Ok(Turn::Every(time)),
        (_, Ok(size @ 1..)) => Ok(Turn::Size(size)),
        _ => Err(format!("`{text}` is neither a time such as 1h nor a size such as 100M")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn turns() {
        let hour = Duration::from_secs(3600);
        let cases = [
            ("1h", Turn::Every(hour)),
            ("60m", Turn::Every(hour)),
            ("1w", Turn::Every(hour * 24 * 7)),
            ("60M", Turn::Size(60 << 20)),
            ("1000", Turn::Size(1000)),
        ];
        for (text, turn) in cases {
            assert_eq!(parse_turn(text), Ok(turn), "{text}");
        }
        for text in ["", "h", "0s", "0", "-1h", "1y", "1.5h", "99999999999999999999h", "é"] {
            assert!(parse_turn(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let cases =
            [("0", Ok(0)), ("512M", Ok(512 << 20)), ("2G", Ok(2 << 30)), ("1KiB", Ok(1024))];
        for (text, size) in cases {
            assert_eq!(parse_size(text), size, "{text}");
        }
        for text in ["", "G", "1X", "-1", "99999999999999999999", "18446744073709551615K"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
