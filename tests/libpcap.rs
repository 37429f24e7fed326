//! `mcpwatch sense --capture libpcap`: what holds of the ring holds of it too.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::sense::{comparable, json};
use crate::support::corpus;
use crate::support::network::{Network, SENDER, WATCHED, Wire, get, ip};
use crate::support::run::{run, run_on};

const CAPTURE: &str = "p-py130-20sessions.pcap";

/// What was received, read and lost at an interface.
fn counted(statistics: &Path, index: usize) -> [u64; 3] {
    let interface = &json(statistics)["interfaces"][index];
    ["received", "frames", "lost"].map(|counter| interface[counter].as_u64().unwrap())
}

/// Both see the same frames at the same time.
#[test]
fn findings_are_those_of_the_ring() {
    let captures =
        ["p-py130-20sessions.pcap", "h-qinq.pcap", "h-vxlan.pcap", "h-ip-fragments.pcap"];
    for (capture, options) in captures.into_iter().zip(["", "--workers 1", "--workers 3", ""]) {
        Network::run(|network| {
            let folder = tempfile::tempdir().unwrap();
            let path = |name| folder.path().join(name).display().to_string();
            let line = format!("-i {WATCHED} --messages -o - {options} --stats");
            let ring = network.sense(&format!("{line} {} --capture ring", path("ring")));
            let library = network.sense(&format!("{line} {} --capture libpcap", path("library")));
            let sent = network.send(&corpus::path(capture));
            let [ring, library] = [ring, library].map(|sensor| sensor.end().exits(0).lines());
            assert_eq!(comparable(&library), comparable(&ring), "{capture}");
            assert!(!ring.is_empty());
            let times = |rows: &[Value]| {
                let mut times: Vec<_> = rows.iter().map(|row| row["time"].to_string()).collect();
                times.sort();
                times
            };
            // The kernel told both when each frame came, to the nanosecond.
            assert_eq!(times(&library), times(&ring), "{capture}");
            for name in ["ring", "library"] {
                assert_eq!(counted(&folder.path().join(name), 0), [sent, sent, 0], "{name}");
            }
        });
    }
}

#[test]
fn losses_are_counted_to_the_frame() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("--capture libpcap --ring 8M --stats {}", statistics.display());
        let sensor = network.sense(&format!("-i {WATCHED} {line}"));
        sensor.signal(Signal::STOP);
        let mut wire = Wire::open();
        let frame = vec![0x55; 16 << 10];
        (0..2048).for_each(|_| wire.send(&frame));
        sensor.signal(Signal::CONT);
        let ended = sensor.end().exits(3);
        let [received, frames, lost] = counted(&statistics, 0);
        assert!(frames > 0 && lost > 0);
        assert_eq!((received, frames + lost), (wire.sent, wire.sent));
        assert!(ended.stderr.contains(&format!("{lost} lost")), "{}", ended.stderr);
        assert!(ended.text().contains("packets lost at capture"), "{}", ended.text());
    });
}

#[test]
fn the_end_comes_while_frames_do() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("--capture libpcap --stats {}", statistics.display());
        let sensor = network.sense(&format!("-i {WATCHED} {line}"));
        let over = std::sync::atomic::AtomicBool::new(false);
        let [received, frames, lost] = std::thread::scope(|scope| {
            scope.spawn(|| {
                network.enter();
                let mut wire = Wire::open();
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    wire.send(&[0x55; 200]);
                }
            });
            sensor.end().exits(0);
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            counted(&statistics, 0)
        });
        assert!(frames > 0);
        assert_eq!((received, lost), (frames, 0));
    });
}

#[test]
fn several_interfaces_a_filter_and_a_snap_length() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let path = statistics.display().to_string();
        let sense = |options: &[&str]| {
            let arguments = ["sense", "--capture", "libpcap", "-i", WATCHED, "--stats", &path];
            let sensor = network.sense_with(&[&arguments, options].concat());
            let sent = network.send(&corpus::path(CAPTURE));
            sensor.end().exits(0);
            sent
        };
        let sent = sense(&["-i", SENDER, "--snap-length", "128"]);
        for index in [0, 1] {
            assert_eq!(counted(&statistics, index), [sent, sent, 0]);
        }
        let all = json(&statistics);
        let cut = all["capture"]["frames_cut"].as_u64().unwrap();
        assert!(cut > 0 && all["decode"]["packets_snapped"] == cut, "{all}");
        sense(&["--filter", "udp port 9"]);
        assert_eq!(counted(&statistics, 0), [0, 0, 0]);
        sense(&["--filter", "not port 9"]);
        assert_eq!(counted(&statistics, 0), [sent, sent, 0]);
    });
}

#[test]
fn the_loopback_interface_shows_each_frame_once() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("--capture libpcap -i lo --stats {}", statistics.display());
        let sensor = network.sense(&line);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            socket.send_to(b"once", socket.local_addr().unwrap()).unwrap();
        }
        sensor.end().exits(0);
        assert_eq!(counted(&statistics, 0), [10, 10, 0]);
    });
}

#[test]
fn an_interface_that_goes_away_or_down_is_waited_for() {
    Network::run(|network| {
        let line = format!("-i {WATCHED} --capture libpcap --metrics 127.0.0.1:0 -o -");
        let mut sensor = network.sense(&line);
        let rest = sensor.said().split("http://").nth(1).unwrap();
        let address = rest.split('/').next().unwrap().to_owned();
        ip("link set rx0 down");
        sensor.wait_for("down");
        assert!(get(&address, "/health").ends_with("rx0 is down\n"));
        ip("link set rx0 up");
        sensor.wait_for("back");
        ip("link del rx0");
        sensor.wait_for("gone");
        ip("link add tx0 type veth peer name rx0");
        ip("link set tx0 mtu 65535 up");
        ip("link set rx0 mtu 65535 up");
        sensor.wait_for("back");
        network.send(&corpus::path(CAPTURE));
        let rows = sensor.end().exits(0).lines();
        let scanned = run_on("scan -o -", &corpus::path(CAPTURE)).lines();
        assert_eq!(rows.len(), scanned.len());
    });
}

#[test]
fn what_cannot_be_watched_is_said() {
    let unknown = run("sense --capture libpcap -i no-such-if").exits(2);
    assert!(unknown.stderr.contains("no-such-if: no such interface"), "{}", unknown.stderr);
    Network::run(|_| {
        let program = crate::support::run::mcpwatch([""; 0]).get_program().to_owned();
        let output = std::process::Command::new("setpriv")
            .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
            .arg(program)
            .args(["sense", "--capture", "libpcap", "-i", "lo"])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("setcap cap_net_raw+ep"), "{stderr}");
    });
}
