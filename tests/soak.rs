//! A sensor under floods from ever new addresses: its memory stays within bounds,
//! and every frame is counted.
//!
//! The test sends a few thousand frames of each flood. For a soak by hand, say how
//! many rounds of that, or for how long, and read the table that comes out on
//! standard error:
//!
//! ```sh
//! MCPWATCH_SOAK=100 cargo test --test tests soak -- --nocapture
//! MCPWATCH_SOAK=60m cargo test --test tests soak -- --nocapture
//! ```

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::flood::FLOODS;
use crate::support::network::{Network, WATCHED, Wire};

/// Frames of each flood in a round.
const FRAMES: u64 = 4000;

/// After each attacker, so that not all of it is lost.
const PAUSE: Duration = Duration::from_micros(100);

/// What the sensor is allowed.
const MEMCAP: u64 = 64 << 20;

/// A soak of so long has come to where memory stays.
const LONG: Duration = Duration::from_secs(10 * 60);

/// How long it goes on.
#[derive(Clone, Copy, Debug)]
enum Length {
    Rounds(u32),
    Time(Duration),
}

impl Length {
    /// As asked for: a number of rounds, or of minutes (`60m`).
    fn asked() -> Self {
        let Ok(asked) = std::env::var("MCPWATCH_SOAK") else { return Self::Rounds(2) };
        match asked.strip_suffix('m') {
            Some(minutes) => Self::Time(Duration::from_secs(60 * minutes.parse::<u64>().unwrap())),
            None => Self::Rounds(asked.parse().unwrap()),
        }
    }

    fn is_over(self, round: u32, elapsed: Duration) -> bool {
        match self {
            Self::Rounds(rounds) => round >= rounds,
            Self::Time(time) => elapsed >= time,
        }
    }
}

/// Every packet is somewhere, and every flow that was opened has ended.
fn accounted(counted: &Value) {
    let sum = |section: &str, names: &[&str]| -> u64 {
        names.iter().map(|name| counted[section][*name].as_u64().unwrap()).sum()
    };
    let of_flows = ["tcp_segments", "udp_datagrams", "stray_segments", "late_segments"];
    let packets = sum("flow", &of_flows) + sum("flow", &["handshakes_rejected"]);
    assert_eq!(packets, sum("decode", &["packets"]), "{counted:#}");
    let over = ["flows_finished", "flows_reset", "flows_timed_out", "flows_reused"];
    let over = sum("flow", &over) + sum("flow", &["flows_evicted", "flows_open_at_end"]);
    assert_eq!(over, sum("flow", &["tcp_flows", "udp_flows"]), "{counted:#}");
    for section in ["workers", "interfaces"] {
        assert!(counted[section].as_array().is_some_and(|all| !all.is_empty()), "{section}");
    }
}

/// The mean of each third.
fn thirds(samples: &[u64]) -> Vec<u64> {
    let third = (samples.len() / 3).max(1);
    samples.chunks_exact(third).map(|part| part.iter().sum::<u64>() / third as u64).collect()
}

#[test]
fn floods_leave_memory_bounded_and_are_counted() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let findings = folder.path().join("findings.jsonl");
        let (stats, out) = (statistics.display(), findings.display());
        let options = format!("--memcap {MEMCAP} --workers 2 --ring 16M --messages");
        let files = "--rotate 1M --keep 10m";
        let sensor =
            network.sense(&format!("-i {WATCHED} {options} {files} --stats {stats} -o {out}"));
        let started = Instant::now();
        let mut wire = Wire::open();
        let mut most = sensor.memory();
        let mut samples = Vec::new();
        let mut number = 0;
        let by_hand = std::env::var_os("MCPWATCH_SOAK").is_some();
        let say = |text: String| {
            if by_hand {
                writeln!(std::io::stderr(), "{text}").unwrap();
            }
        };
        say(format!("at the start: {} KiB", most >> 10));
        let length = Length::asked();
        for round in 0.. {
            if length.is_over(round, started.elapsed()) {
                break;
            }
            for flood in &FLOODS {
                let end = wire.sent + FRAMES;
                while wire.sent < end {
                    number += 1;
                    (flood.frames)(number).iter().for_each(|frame| wire.send(frame));
                    thread::sleep(PAUSE);
                }
                let memory = sensor.memory();
                most = most.max(memory);
                samples.push(memory);
                let seconds = started.elapsed().as_secs();
                let (kib, sent) = (memory >> 10, wire.sent);
                say(format!("{round} {seconds:>5} s {sent:>10} sent {kib:>8} KiB {}", flood.name));
            }
        }
        let ended = sensor.end();
        let counted = crate::sense::json(&statistics);
        let means = thirds(&samples);
        say(format!("most {most} bytes, means of thirds {means:?}; {counted:#}"));
        assert!(most < MEMCAP, "{most} bytes");
        if started.elapsed() >= LONG {
            assert!(means[2] < means[1] + means[1] / 50, "{means:?}");
        }
        let interface = &counted["interfaces"][0];
        let [received, frames, lost] =
            ["received", "frames", "lost"].map(|counter| interface[counter].as_u64().unwrap());
        assert_eq!((received, frames + lost), (wire.sent, wire.sent), "{interface}");
        assert_eq!(counted["engine"]["frames"], frames);
        accounted(&counted);
        assert!(matches!(ended.code, Some(0 | 3)) && !ended.stderr.contains("panicked"));
    });
}
