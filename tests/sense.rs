//! `mcpwatch sense` on interfaces that frames really pass over.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::corpus;
use crate::support::network::{Network, SENDER, Tcpdump, WATCHED, Wire, get, ip};
use crate::support::run::{mcpwatch, run, run_on};
use crate::support::wire;

/// Findings without what depends on when and where they were captured, in an
/// order of their own.
pub(crate) fn comparable(lines: &[Value]) -> Vec<String> {
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

pub(crate) fn json(path: &Path) -> Value {
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

/// The kernel and the workers do the same sums: what it can see into comes to the worker
/// who owns it, what it cannot is handed over.
#[test]
fn the_kernel_deals_frames_out_to_the_workers_who_own_them() {
    let captures = [
        ("p-py130-20sessions.pcap", false),
        ("p-py130-ipv6.pcap", false),
        ("h-qinq.pcap", false),
        ("h-gre.pcap", true),
        ("h-ip-fragments.pcap", true),
    ];
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("-i {WATCHED} --workers 3 -o - --stats {}", statistics.display());
        for (name, handed_over) in captures {
            let sensor = network.sense(&line);
            // Flows of other addresses fall to other workers.
            for index in 0..20 {
                network.send_again(&corpus::path(name), index);
            }
            sensor.end().exits(0);
            let counted = json(&statistics);
            let of_workers = |name: &str| -> Vec<u64> {
                let workers = counted["workers"].as_array().unwrap();
                workers.iter().map(|it| it[name].as_u64().unwrap()).collect()
            };
            assert_eq!(counted["capture"]["frames_lost"], 0);
            let (packets, handed) = (of_workers("packets"), of_workers("handed_over"));
            assert_eq!(handed.iter().sum::<u64>() > 0, handed_over, "{name}: {handed:?}");
            assert!(packets.iter().filter(|it| **it > 0).count() > 1, "{name}: {packets:?}");
        }
    });
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
fn where_the_card_tells_no_times_the_kernel_does() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        for (option, noted) in [("kernel", false), ("hardware", true)] {
            let line = format!("--timestamps {option} -o - --stats {}", statistics.display());
            let sensor = network.sense(&format!("-i {WATCHED} {line}"));
            let note = "rx0: no hardware time stamps: its driver has none";
            assert_eq!(sensor.said().contains(note), noted, "{}", sensor.said());
            let sent = network.send(&corpus::path("p-py130-20sessions.pcap"));
            let ended = sensor.end().exits(0);
            let interface = &json(&statistics)["interfaces"][0];
            assert_eq!(interface["timed_by_kernel"], sent);
            assert_eq!(interface["timed_by_hardware"], 0);
            let scanned = run_on("scan -o -", &corpus::path("p-py130-20sessions.pcap"));
            assert_eq!(ended.lines().len(), scanned.lines().len());
        }
    });
    if cfg!(feature = "libpcap") {
        let refused = run("sense --check -i rx0 --capture libpcap --timestamps hardware").exits(2);
        assert!(refused.stderr.contains("needs the ring"), "{}", refused.stderr);
    }
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
fn under_overload_bodies_are_left_out_and_it_is_said() {
    const FRAME: usize = 8 << 10;
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("--ring 8M --workers 2 --stats {}", statistics.display());
        let sensor = network.sense(&format!("-i {WATCHED} {line}"));
        // It sleeps until its ring is full.
        sensor.signal(Signal::STOP);
        let mut wire = Wire::open();
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"eth_call\",\"x\":\"{}\"}}",
            "y".repeat(FRAME)
        );
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        for client in 0..1200_u32 {
            let mut talk = wire::Wire::new();
            let client = std::net::Ipv4Addr::from_bits(0x0a00_0000 + client).to_string();
            let mut connection = talk.connect(&client, "192.0.2.1:80");
            talk.send(&mut connection, wire::Side::Client, head.as_bytes());
            talk.send(&mut connection, wire::Side::Client, body.as_bytes());
            talk.into_frames().iter().for_each(|frame| wire.send(frame));
        }
        sensor.signal(Signal::CONT);
        let ended = sensor.end().exits(3);
        let counted = json(&statistics);
        let shed = counted["body"]["shed"].as_u64().unwrap();
        let workers = counted["workers"].as_array().unwrap();
        let by_worker: u64 = workers.iter().map(|it| it["bodies_shed"].as_u64().unwrap()).sum();
        assert!(shed > 0 && by_worker == shed, "{counted}");
        assert!(ended.text().contains("bodies not read under overload"), "{}", ended.text());
        let interface = &counted["interfaces"][0];
        let [received, frames, lost] =
            ["received", "frames", "lost"].map(|counter| interface[counter].as_u64().unwrap());
        assert_eq!((received, frames + lost), (wire.sent, wire.sent), "{interface}");
    });
}

/// Another program captures the same frames at the same time.
#[test]
fn findings_are_those_of_a_scan_over_a_simultaneous_capture() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "simultaneous capture: skipped: no tcpdump");
        return;
    }
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("simultaneous.pcap");
        let sensor = network.sense(&format!("-i {WATCHED} --messages -o -"));
        let mut tcpdump = Tcpdump::start(WATCHED, &path);
        let mut sent = network.send(&corpus::path("p-py130-20sessions.pcap"));
        sent += network.send(&corpus::path("p-h2c-hypercorn-20sessions.pcap"));
        let sensed = sensor.end().exits(0).lines();
        tcpdump.end_after(sent);
        let scanned = run_on("scan --messages -o -", &path).exits(0).lines();
        assert_eq!(comparable(&sensed), comparable(&scanned));
        assert!(!scanned.is_empty());
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

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_follow_one_another() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.jsonl");
        let line = format!("-o {} --rotate 1h,4K --keep 7d", path.display());
        let old = folder.path().join("findings-20200101T000000Z.jsonl");
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        File::create(&old).unwrap().set_modified(SystemTime::now() - month).unwrap();
        let sensor = network.sense(&format!("-i {WATCHED} {line}"));
        network.send(&corpus::path("p-py130-20sessions.pcap"));
        sensor.end().exits(0);
        assert!(!old.exists());
        let files = names(folder.path());
        assert!(files.len() > 1 && files.iter().all(|name| !name.starts_with('.')), "{files:?}");
        let mut rows: Vec<Value> = Vec::new();
        for name in files {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            rows.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
        let scanned = run_on("scan -o -", &corpus::path("p-py130-20sessions.pcap"));
        assert_eq!(comparable(&rows), comparable(&scanned.lines()));
    });
}

#[test]
fn what_was_written_out_survives_a_kill() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        for extension in ["jsonl", "arrows", "arrow"] {
            let path = folder.path().join(format!("findings.{extension}"));
            let sensor = network.sense(&format!("-i {WATCHED} -o {}", path.display()));
            network.send(&corpus::path("p-py130-20sessions.pcap"));
            let [partial] = &names(folder.path())[..] else { panic!("one partial file") };
            assert!(partial.ends_with(".partial"), "{partial}");
            let partial = folder.path().join(partial);
            // Within the moment findings can be read, while the sensor goes on.
            while !run_on("report", &partial).text().contains("confirmed") {
                std::thread::yield_now();
            }
            sensor.kill();
            let report = run_on("report", &partial);
            assert!(report.text().contains("confirmed"), "{extension}: {}", report.text());
            std::fs::remove_file(partial).unwrap();
        }
    });
}

#[test]
fn a_reader_that_reads_nothing_holds_nothing_up() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let line = format!("--messages --stats {} -o -", statistics.display());
        let mut sensor = network.sense(&format!("-i {WATCHED} {line}"));
        // More findings than a pipe holds.
        let sent = network.send(&corpus::path("p-py130-20sessions.pcap"));
        sensor.signal(Signal::TERM);
        sensor.wait_for("findings were not written");
        let ended = sensor.end().exits(3);
        let counted = &json(&statistics)["interfaces"][0];
        assert_eq!((&counted["frames"], &counted["lost"]), (&sent.into(), &0.into()), "{counted}");
        // What got through is whole lines, save the last.
        let text = ended.text();
        let whole = &text[..text.rfind('\n').unwrap()];
        assert!(whole.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    });
}

/// Findings that are counted as lost, and frames as well.
fn lost(statistics: &Path) -> [u64; 2] {
    let counted = json(statistics);
    [&counted["outputs"]["findings_lost"], &counted["interfaces"][0]["lost"]]
        .map(|counter| counter.as_u64().unwrap())
}

#[test]
fn a_full_disk_costs_findings_and_no_packets() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        for rotate in ["", "--rotate 1h"] {
            let path = disk.join("findings.jsonl");
            let line = format!("--messages --stats {}", statistics.display());
            let line = format!("-i {WATCHED} {line} -o {} {rotate}", path.display());
            let mut sensor = network.sense_on_disk(&disk, "size=64k", &line);
            let inside = sensor.root().join(disk.strip_prefix("/").unwrap());
            network.send(&corpus::path("p-py130-20sessions.pcap"));
            sensor.wait_for("cannot write");
            // What was written stays, as whole lines but for the last.
            let [name] = &names(&inside)[..] else { panic!("one partial file") };
            let text = std::fs::read_to_string(inside.join(name)).unwrap();
            let whole = &text[..text.rfind('\n').unwrap()];
            assert!(whole.lines().count() > 10);
            assert!(whole.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
            let ended = sensor.end().exits(3);
            assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
            let [findings, frames] = lost(&statistics);
            assert!(findings > 0, "{rotate}");
            assert_eq!(frames, 0, "{rotate}");
        }
    });
}

#[test]
fn a_folder_that_cannot_be_written_to_is_said_at_the_start() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().display();
        for output in [
            format!("-o {disk}/f.jsonl"),
            format!("-o {disk}/f.arrow --rotate 1h"),
            format!("-o unix:/nonexistent --spool {disk}/spool"),
        ] {
            let line = format!("-i {WATCHED} {output}");
            let said = network.run_on_disk(folder.path(), "ro", &line).exits(2);
            assert!(said.stderr.contains("Read-only file system"), "{output}: {}", said.stderr);
        }
    });
}

/// A capture filter that the kernel runs, and one that it cannot.
#[cfg(feature = "libpcap")]
#[test]
fn filters_are_run_by_the_kernel_where_it_can() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let statistics = folder.path().join("stats.json");
        let counts = |filter: &str, capture: &str| {
            let mut arguments = vec!["sense", "-i", WATCHED, "-o", "-", "--filter", filter];
            let path = statistics.display().to_string();
            arguments.extend(["--stats", &path]);
            let sensor = network.sense_with(&arguments);
            network.send(&corpus::path(capture));
            sensor.end().exits(0);
            let counted = json(&statistics);
            ["interfaces", "engine"].map(|section| {
                let section = &counted[section];
                let section = section.get(0).unwrap_or(section);
                section["frames"].as_u64().unwrap()
            })
        };
        let all = counts("tcp", "p-py130-20sessions.pcap");
        assert!(all[0] > 1000 && all[0] == all[1], "{all:?}");
        assert_eq!(counts("udp port 9", "p-py130-20sessions.pcap"), [0, 0]);
        // The kernel takes the outer tag out before it filters; mcpwatch puts it back.
        let tagged = counts("vlan", "h-qinq.pcap");
        assert!(tagged[1] > 0 && tagged[0] == tagged[1], "{tagged:?}");
        let other = counts("not vlan", "h-qinq.pcap");
        assert_eq!((other[0], other[1]), (tagged[0], 0));
    });
}

#[test]
fn metrics_tell_how_it_fares() {
    Network::run(|network| {
        let options = "--workers 2 --metrics 127.0.0.1:0 -o -";
        let mut sensor = network.sense_saying(&format!("-i {WATCHED} {options}"), "metrics at");
        let said = sensor.said().to_owned();
        let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        sensor.wait_for("watching");
        let sent = network.send(&corpus::path("p-py130-20sessions.pcap"));
        sensor.next_line();
        let wanted = format!("mcpwatch_interface_frames_total{{interface=\"{WATCHED}\"}} {sent}");
        let text = loop {
            let text = get(&address, "/metrics");
            let flows = "mcpwatch_flow_tcp_flows_total ";
            let counted = text.lines().find_map(|line| line.strip_prefix(flows)).unwrap() != "0";
            if counted && text.contains(&wanted) {
                break text;
            }
            std::thread::yield_now();
        };
        for name in [
            "mcpwatch_findings_total{kind=\"detection\",confidence=\"confirmed\"}",
            "mcpwatch_interface_lost_total{interface=\"rx0\"} 0",
            "mcpwatch_interface_up{interface=\"rx0\"} 1",
            "mcpwatch_ring_blocks{interface=\"rx0\"} 128",
            "mcpwatch_worker_handed_over_total{worker=\"1\"} 0",
            "mcpwatch_shedding 0",
            "mcpwatch_worker_flows_evicted_total{worker=\"0\"} 0",
            "mcpwatch_resident_memory_bytes ",
            "mcpwatch_spool_bytes 0",
            "mcpwatch_processing_lag_seconds_bucket{le=\"+Inf\"}",
        ] {
            assert!(text.contains(name), "{name}: {text}");
        }
        assert!(get(&address, "/health").ends_with("\r\n\r\nok\n"));
        ip("link set rx0 down");
        sensor.wait_for("down");
        let ill = get(&address, "/health");
        assert!(ill.starts_with("HTTP/1.1 503") && ill.ends_with("rx0 is down\n"), "{ill}");
        sensor.end().exits(0);
    });
}

#[test]
fn signatures_and_policy_are_read_anew() {
    const SIGNATURE: &str = r#"
        version = 1
        [[signature]]
        id = "local.endpoint"
        title = "The endpoint"
        field = "http.path"
        exact = "/mcp"
        strength = "weak"
    "#;
    const POLICY: &str = "version = 1\n[denied]\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\n";
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let [signatures, policy] = ["s.toml", "p.toml"].map(|name| folder.path().join(name));
        std::fs::write(&signatures, "version = 1\n").unwrap();
        std::fs::write(&policy, "version = 1\n").unwrap();
        let files = format!("--signatures {} --policy {}", signatures.display(), policy.display());
        let mut sensor = network.sense(&format!("-i {WATCHED} -o - {files}"));
        std::fs::write(&signatures, SIGNATURE).unwrap();
        std::fs::write(&policy, POLICY).unwrap();
        sensor.signal(Signal::HUP);
        sensor.wait_for("read anew");
        std::fs::write(&signatures, "version = 1\n[[signature]]\n").unwrap();
        sensor.signal(Signal::HUP);
        sensor.wait_for("the old signatures, keys and policy stay");
        network.send(&corpus::path("p-py130-20sessions.pcap"));
        let rows = sensor.end().exits(0).lines();
        let fired = |row: &&Value| row["signatures"].to_string().contains("local.endpoint");
        assert!(rows.iter().any(|row| fired(&row)), "{rows:?}");
        assert!(rows.iter().all(|row| row["governance"] == "denied"), "{rows:?}");
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
