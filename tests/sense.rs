//! `mcpwatch sense` on interfaces that frames really pass over.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::corpus;
use crate::support::network::{Network, SENDER, WATCHED, Wire, ip};
use crate::support::run::{mcpwatch, run, run_on};

/// Findings without what depends on when and where they were captured, in an
/// order of their own.
fn comparable(lines: &[Value]) -> Vec<String> {
    let mut rows: Vec<String> = lines
        .iter()
        .map(|row| {
            let mut row = row.clone();
            let columns = row.as_object_mut().unwrap();
            for column in ["time", "end_time", "id"] {
                columns.remove(column);
            }
            let capture = columns["capture"].as_object_mut().unwrap();
            capture.remove("source");
            row.to_string()
        })
        .collect();
    rows.sort();
    rows
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[track_caller]
fn senses_what_scan_finds(name: &str, options: &str) {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("--messages --stats {} -o - {options}", statistics.display());
        let sensor = network.sense(&format!("-i {WATCHED} {line}"));
        let sent = network.send(&corpus::path(name));
        let sensed = sensor.end().exits(0);
        let scanned = run_on("scan --messages -o -", &corpus::path(name)).exits(0);
        assert_eq!(comparable(&sensed.lines()), comparable(&scanned.lines()));
        assert!(!scanned.lines().is_empty());
        let counted = &json(&statistics)["interfaces"][0];
        assert_eq!(counted["interface"], WATCHED);
        for (counter, value) in [("received", sent), ("frames", sent), ("lost", 0)] {
            assert_eq!(counted[counter], value, "{counter}: {counted}");
        }
    });
}

#[test]
fn findings_are_those_of_a_scan() {
    senses_what_scan_finds("p-py130-20sessions.pcap", "");
}

#[test]
fn findings_are_those_of_a_scan_with_one_worker() {
    senses_what_scan_finds("p-h2c-hypercorn-20sessions.pcap", "--workers 1");
}

#[test]
fn findings_are_those_of_a_scan_with_several_workers() {
    senses_what_scan_finds("p-py130-20sessions.pcap", "--workers 3 --ring 8M");
}

#[test]
fn vlan_tags_are_put_back() {
    senses_what_scan_finds("h-qinq.pcap", "");
}

#[test]
fn tunnels_and_fragments_are_seen_through() {
    senses_what_scan_finds("h-vxlan.pcap", "--workers 3");
    senses_what_scan_finds("h-ip-fragments.pcap", "--workers 3");
}

#[test]
fn a_snap_length_cuts() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("--snap-length 128 --stats {}", statistics.display());
        let sensor = network.sense(&format!("-i {WATCHED} {line}"));
        network.send(&corpus::path("p-py130-20sessions.pcap"));
        sensor.end().exits(0);
        let counted = json(&statistics);
        let cut = counted["capture"]["frames_cut"].as_u64().unwrap();
        assert!(cut > 0 && counted["decode"]["packets_snapped"] == cut, "{counted}");
    });
}

#[test]
fn findings_come_while_the_sensor_runs() {
    Network::run(|network| {
        let mut sensor = network.sense(&format!("-i {WATCHED} -o -"));
        network.send(&corpus::path("p-py130-20sessions.pcap"));
        let row: Value = serde_json::from_str(&sensor.next_line()).unwrap();
        assert_eq!(row["kind"], "detection");
        assert_eq!(row["capture"]["source"], WATCHED);
        sensor.end().exits(0);
    });
}

#[test]
fn losses_are_counted_to_the_frame() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("--ring 8M --stats {}", statistics.display());
        let sensor = network.sense(&format!("-i {WATCHED} {line}"));
        // It sleeps while four times as much comes as the ring holds.
        sensor.signal(Signal::STOP);
        let mut wire = Wire::open();
        let frame = vec![0x55; 16 << 10];
        (0..2048).for_each(|_| wire.send(&frame));
        sensor.signal(Signal::CONT);
        let ended = sensor.end().exits(3);
        let counted = &json(&statistics)["interfaces"][0];
        let [received, frames, lost] =
            ["received", "frames", "lost"].map(|counter| counted[counter].as_u64().unwrap());
        assert!(frames > 0 && lost > 0, "{counted}");
        assert_eq!((received, frames + lost), (wire.sent, wire.sent), "{counted}");
        assert!(ended.stderr.contains(&format!("{lost} lost")), "{}", ended.stderr);
        assert!(ended.text().contains("packets lost at capture"), "{}", ended.text());
    });
}

#[test]
fn several_interfaces_are_watched_at_once() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("-o - --stats {}", statistics.display());
        let sensor = network.sense(&format!("-i {WATCHED} -i {SENDER} {line}"));
        let sent = network.send(&corpus::path("p-py130-20sessions.pcap"));
        let sensed = sensor.end().exits(0);
        // Each sees every frame, coming or going; what was read twice counts once.
        let counted = &json(&statistics)["interfaces"];
        for (index, name) in [WATCHED, SENDER].iter().enumerate() {
            assert_eq!(counted[index]["interface"], *name);
            assert_eq!(counted[index]["frames"], sent);
        }
        let scanned = run_on("scan -o -", &corpus::path("p-py130-20sessions.pcap")).lines();
        assert_eq!(sensed.lines().len(), scanned.len());
    });
}

#[test]
fn the_end_closes_files() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.arrow");
        let sensor = network.sense(&format!("-i {WATCHED} -o {}", path.display()));
        network.send(&corpus::path("p-py130-20sessions.pcap"));
        sensor.end().exits(0);
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1);
        let report = run_on("report", &path).exits(0);
        assert!(report.text().contains("confirmed"), "{}", report.text());
    });
}

#[test]
fn an_interface_that_goes_away_is_waited_for() {
    Network::run(|network| {
        let mut sensor = network.sense(&format!("-i {WATCHED} -o -"));
        ip("link del rx0");
        sensor.wait_for("gone");
        ip("link add tx0 type veth peer name rx0");
        ip("link set tx0 mtu 65535 up");
        ip("link set rx0 mtu 65535 up");
        sensor.wait_for("back");
        network.send(&corpus::path("p-py130-20sessions.pcap"));
        let rows = sensor.end().exits(0).lines();
        let scanned = run_on("scan -o -", &corpus::path("p-py130-20sessions.pcap")).lines();
        assert_eq!(rows.len(), scanned.len());
    });
}

#[test]
fn an_interface_that_goes_down_is_waited_for() {
    Network::run(|network| {
        let mut sensor = network.sense(&format!("-i {WATCHED} -o -"));
        ip("link set rx0 down");
        sensor.wait_for("down");
        ip("link set rx0 up");
        sensor.wait_for("back");
        network.send(&corpus::path("p-py130-20sessions.pcap"));
        assert!(!sensor.end().exits(0).lines().is_empty());
    });
}

#[test]
fn what_cannot_be_watched_is_said() {
    let unknown = run("sense -i no-such-if").exits(2);
    assert!(unknown.stderr.contains("no-such-if: no such interface"), "{}", unknown.stderr);
    Network::run(|_| {
        ip("link set rx0 down");
        let down = run("sense -i rx0").exits(2);
        assert!(down.stderr.contains("ip link set rx0 up"), "{}", down.stderr);
        ip("link set rx0 up");
        let program = mcpwatch([""; 0]).get_program().to_owned();
        let output = Command::new("setpriv")
            .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
            .arg(program)
            .args(["sense", "-i", "rx0"])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("setcap cap_net_raw+ep"), "{stderr}");
    });
}

#[test]
fn interfaces_are_listed() {
    let text = run("interfaces").exits(0);
    assert!(text.text().lines().any(|line| line.starts_with("lo ")), "{}", text.text());
    let listed: Value = serde_json::from_str(run("interfaces --format json").text()).unwrap();
    let lo = listed.as_array().unwrap().iter().find(|it| it["name"] == "lo").unwrap();
    assert_eq!(lo["loopback"], true);
}
