//! How a sensor fares, for those who watch over it: counters in, Prometheus text
//! out (exposition format 0.0.4), over HTTP.
//!
//! [`Metrics`] is written to by the thread that writes findings, and read by the
//! [`server`] whenever somebody asks.

mod histogram;
pub mod server;

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::histogram::Histogram;
use crate::capture::live::{InterfaceState, LiveStatus};
use crate::engine::{Statistics, WorkerCounters};
use crate::findings::{Confidence, Kind, Row};
use crate::stream::tls::KeyLogCounters;
use crate::time::Timestamp;

/// Nothing got through for so long, and the sensor is not well: even an interface
/// that is silent gives a block ten times a second.
const STUCK: Duration = Duration::from_secs(10);

/// What is known of a running sensor.
#[derive(Debug)]
pub struct Metrics {
    status: LiveStatus,
    started: SystemTime,
    gathered: Mutex<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    statistics: Statistics,
    findings: Vec<(Kind, Confidence, u64)>,
    findings_lost: u64,
    spooled: u64,
    lag: Histogram,
    through: Instant,
    reloads: u64,
    reloads_failed: u64,
    key_log_secrets: u64,
    key_log_bad_lines: u64,
}

impl Metrics {
    /// Nothing was counted yet; of the capture tells `status`.
    pub fn new(status: LiveStatus) -> Self {
        let gathered = Gathered {
            statistics: Statistics::default(),
            findings: Vec::new(),
            findings_lost: 0,
            spooled: 0,
            lag: Histogram::default(),
            through: Instant::now(),
            reloads: 0,
            reloads_failed: 0,
            key_log_secrets: 0,
            key_log_bad_lines: 0,
        };
        Self { status, started: SystemTime::now(), gathered: Mutex::new(gathered) }
    }

    /// Counts a finding.
    pub fn finding(&self, row: &Row) {
        let mut gathered = self.lock();
        let (kind, confidence) = (row.kind, row.confidence);
        let known = gathered.findings.iter_mut().find(|it| (it.0, it.1) == (kind, confidence));
        match known {
            Some((.., count)) => *count += 1,
            None => gathered.findings.push((kind, confidence, 1)),
        }
    }

    /// Takes over all counters as they stand.
    pub fn statistics(&self, statistics: &Statistics) {
        self.lock().statistics = statistics.clone();
    }

    /// All that was captured up to that time is through, so many findings could not be
    /// written, and so many bytes of others wait on disk.
    pub fn through(&self, time: Option<Timestamp>, findings_lost: u64, spooled: u64) {
        let mut gathered = self.lock();
        gathered.through = Instant::now();
        gathered.findings_lost = findings_lost;
        gathered.spooled = spooled;
        if let Some(time) = time {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
            gathered.lag.observe(Timestamp::from_nanos(now).since(time));
        }
    }

    /// Signatures and policy were read anew, or could not be.
    pub fn reloaded(&self, done: bool) {
        let mut gathered = self.lock();
        let counter = if done { &mut gathered.reloads } else { &mut gathered.reloads_failed };
        *counter += 1;
    }

    /// Key logs grew by so much.
    pub fn keys(&self, counters: &KeyLogCounters) {
        let mut gathered = self.lock();
        gathered.key_log_secrets += counters.secrets;
        gathered.key_log_bad_lines += counters.bad_lines;
    }

    /// What is wrong with the sensor; nothing if it is well.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints: Vec<String> = self
            .status
            .interfaces()
            .iter()
            .filter(|interface| interface.state != InterfaceState::Up)
            .map(|interface| format!("{} is {}", interface.name, interface.state.as_str()))
            .collect();
        let still = self.lock().through.elapsed();
        if still > STUCK {
            complaints.push(format!("nothing got through for {} s", still.as_secs()));
        }
        complaints
    }

    /// Everything as Prometheus text.
    pub fn to_text(&self) -> String {
        let mut text = Text::default();
        let gathered = self.lock();
        text.family("build_info", "gauge", "The version of mcpwatch.");
        text.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], "1");
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        text.family("start_time_seconds", "gauge", "When the sensor started, in Unix time.");
        text.sample("start_time_seconds", &[], &started.as_secs().to_string());
        if let Some(bytes) = resident_memory() {
            text.family("resident_memory_bytes", "gauge", "Memory in use.");
            text.sample("resident_memory_bytes", &[], &bytes.to_string());
        }
        self.interfaces(&mut text);
        let help = "What is left out under overload: 1 bodies without a sign of MCP, 2 new \
                    encrypted connections as well.";
        text.family("shedding", "gauge", help);
        text.sample("shedding", &[], &self.status.pressure().level().to_string());
        text.family("findings_total", "counter", "Findings by kind and confidence.");
        for (kind, confidence, count) in &gathered.findings {
            let labels = [("kind", kind.as_str()), ("confidence", confidence.as_str())];
            text.sample("findings_total", &labels, &count.to_string());
        }
        let single = [
            ("findings_lost_total", "Findings that could not be written.", gathered.findings_lost),
            ("reloads_total", "Signatures and policy read anew.", gathered.reloads),
            (
                "reloads_failed_total",
                "Signatures or policy that were not taken over.",
                gathered.reloads_failed,
            ),
            ("key_log_secrets_total", "Secrets read from key logs.", gathered.key_log_secrets),
            (
                "key_log_bad_lines_total",
                "Lines of key logs that are malformed.",
                gathered.key_log_bad_lines,
            ),
        ];
        for (name, help, value) in single {
            text.family(name, "counter", help);
            text.sample(name, &[], &value.to_string());
        }
        text.family("spool_bytes", "gauge", "Findings on disk that wait for their consumer.");
        text.sample("spool_bytes", &[], &gathered.spooled.to_string());
        gathered.lag.write(
            "processing_lag_seconds",
            "From the capture of a block's last frame until its findings are through.",
            &mut text,
        );
        let mut statistics = gathered.statistics.clone();
        drop(gathered);
        statistics.capture = self.status.counters();
        workers(&statistics.workers, &mut text);
        statistics.each(&mut |section, name, value| {
            let name = format!("{section}_{name}_total");
            text.family(&name, "counter", "See docs/sensor.md.");
            text.sample(&name, &[], &value.to_string());
        });
        text.0
    }

    fn interfaces(&self, text: &mut Text) {
        let interfaces = self.status.interfaces();
        let up = |state| if state == InterfaceState::Up { 1 } else { 0 };
        let gauges: [(&str, &str, Vec<u64>); 3] = [
            (
                "interface_up",
                "Whether the interface can be captured from.",
                interfaces.iter().map(|it| up(it.state)).collect(),
            ),
            (
                "ring_blocks",
                "Blocks of the interface's ring.",
                interfaces.iter().map(|it| it.ring_blocks).collect(),
            ),
            (
                "ring_blocks_used",
                "Blocks of the ring that are being worked on.",
                interfaces.iter().map(|it| it.ring_blocks_used).collect(),
            ),
        ];
        for (name, help, values) in gauges {
            text.family(name, "gauge", help);
            for (interface, value) in interfaces.iter().zip(values) {
                text.sample(name, &[("interface", &interface.name)], &value.to_string());
            }
        }
        let mut names = Vec::new();
        crate::capture::live::InterfaceCounters::default().each(&mut |name, _| names.push(name));
        for wanted in names {
            let metric = format!("interface_{wanted}_total");
            text.family(&metric, "counter", "Frames and events of the interface.");
            for interface in &interfaces {
                interface.counters.each(&mut |name, value| {
                    if name == wanted {
                        let labels = [("interface", &*interface.name)];
                        text.sample(&metric, &labels, &value.to_string());
                    }
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        // Counters are whole after a panic too.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters of each worker.
fn workers(workers: &[WorkerCounters], text: &mut Text) {
    let mut names = Vec::new();
    WorkerCounters::default().each(&mut |name, _| names.push(name));
    for wanted in names {
        let (metric, kind) = match wanted {
            "flows" => ("worker_flows".to_owned(), "gauge"),
            _ => (format!("worker_{wanted}_total"), "counter"),
        };
        text.family(&metric, kind, "What one worker saw, could not keep, or did not read.");
        for (index, worker) in workers.iter().enumerate() {
            worker.each(&mut |name, value| {
                if name == wanted {
                    text.sample(&metric, &[("worker", &index.to_string())], &value.to_string());
                }
            });
        }
    }
}

/// Prometheus text in the making.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP mcpwatch_{name} {help}");
        let _ = writeln!(self.0, "# TYPE mcpwatch_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let _ = write!(self.0, "mcpwatch_{name}");
        for (index, (label, value)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Bytes of this process that are in memory, where the system tells.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::findings::samples;

    #[test]
    fn every_sample_belongs_to_the_family_before_it() {
        let metrics = Metrics::new(LiveStatus::default());
        metrics.finding(&samples::detection());
        metrics.finding(&samples::detection());
        metrics.reloaded(false);
        metrics.through(Some(Timestamp::from_nanos(0)), 3, 4096);
        let text = metrics.to_text();
        let mut families = HashSet::new();
        let mut current = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                current = rest.split(' ').next().unwrap();
                assert!(families.insert(current), "{current} twice");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(current), "{line}");
                let value = line.rsplit(' ').next().unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        let row = samples::detection();
        let (kind, confidence) = (row.kind.as_str(), row.confidence.as_str());
        for line in [
            format!("mcpwatch_findings_total{{kind=\"{kind}\",confidence=\"{confidence}\"}} 2"),
            "mcpwatch_reloads_failed_total 1".to_owned(),
            "mcpwatch_findings_lost_total 3".to_owned(),
            "mcpwatch_processing_lag_seconds_count 1".to_owned(),
            "mcpwatch_decode_packets_total 0".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("a", "b\"\\\n"), ("c", "d")], "1");
        assert_eq!(text.0, "mcpwatch_x{a=\"b\\\"\\\\\\n\",c=\"d\"} 1\n");
    }
}
