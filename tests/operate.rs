//! A sensor as it is run: from a file, with few privileges, read anew while it works.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::sense::{comparable, json};
use crate::support::corpus;
use crate::support::network::{Network, Sensor, WATCHED, get, ip};
use crate::support::run::{mcpwatch, run, run_on};

const CAPTURE: &str = "p-py130-20sessions.pcap";

/// A capture of connections in TLS, and the secrets of them.
const SEALED: (&str, &str) = ("p-tls13-h1-node-cli.pcap", "p-tls13-h1-node-cli.keys.log");

/// The frames of that capture before its first connection ends.
const SEALED_OPEN: usize = 70;

/// Whom tests go on as: "nobody", by number.
const NOBODY: u32 = 65534;

const POLICY: &str = "version = 1\n[denied]\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\n";

/// A file of a sensor's process, or of one of its threads.
fn status(path: &Path, field: &str) -> String {
    let status = fs::read_to_string(path.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().to_owned()
}

/// What is true of all threads of a sensor.
fn of_all_threads(sensor: &Sensor, field: &str) -> BTreeSet<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", sensor.id())).unwrap();
    threads.map(|thread| status(&thread.unwrap().path(), field)).collect()
}

/// Whether the system holds a sensor to the files that it needs; says so if not.
fn is_held(sensor: &Sensor) -> bool {
    let held = !sensor.said().contains("no Landlock");
    if !held {
        let _ = writeln!(std::io::stderr(), "skipped: {}", sensor.said());
    }
    held
}

/// Where a sensor that was started with `--metrics` answers.
fn metrics_address(sensor: &Sensor) -> String {
    let rest = sensor.said().split("http://").nth(1).unwrap();
    rest.split('/').next().unwrap().to_owned()
}

fn text(folder: &Path) -> String {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    names.sort();
    names.iter().map(|name| fs::read_to_string(name).unwrap()).collect()
}

#[test]
fn a_file_says_what_the_flags_say() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let [config, output, ready] =
            ["sense.toml", "findings.jsonl", "other.jsonl"].map(|name| folder.path().join(name));
        let written = format!(
            "interface = \"{WATCHED}\"\noutput = [\"{}\"]\nworkers = 2\nring = \"8M\"\n\
             sensor = \"of the file\"\n",
            output.display()
        );
        fs::write(&config, written).unwrap();
        let sensor = network.sense(&format!("--config {}", config.display()));
        network.send(&corpus::path(CAPTURE));
        sensor.end().exits(0);
        let flags = format!("-i {WATCHED} --workers 2 --ring 8M --sensor flag");
        let sensor = network.sense(&format!("{flags} -o {}", ready.display()));
        network.send(&corpus::path(CAPTURE));
        sensor.end().exits(0);
        let [by_file, by_flags] = [output, ready].map(|path| fs::read_to_string(path).unwrap());
        assert!(by_file.lines().count() > 0);
        assert_eq!(by_file.lines().count(), by_flags.lines().count());
        assert!(by_file.contains("of the file"));
    });
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sense.toml");
    fs::write(&config, "interface = \"eth1\"\nrotat = \"1h\"\n").unwrap();
    let run = run_on("sense --config", &config).exits(2);
    let place = format!(" --> {}:2:1\n", config.display());
    assert!(run.stderr.contains(&place), "{}", run.stderr);
    assert!(run.stderr.contains("did you mean `rotate`?"), "{}", run.stderr);
}

#[test]
fn a_check_looks_at_everything_and_watches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("policy.toml"), "version = 1\n").unwrap();
    fs::write(path("signatures.toml"), "version = 1\n").unwrap();
    fs::write(path("keys.log"), "CLIENT_RANDOM 0123").unwrap();
    let config = format!(
        "interface = \"no-such-if\"\noutput = \"{}\"\npolicy = \"{}\"\nsignatures = [\"{}\"]\n\
         keylog = \"{}\"\n",
        path("findings.jsonl"),
        path("policy.toml"),
        path("signatures.toml"),
        path("keys.log")
    );
    fs::write(path("sense.toml"), &config).unwrap();
    let line = format!("sense --check --config {}", path("sense.toml"));
    let good = run(&line).exits(0);
    assert!(good.stderr.contains("no-such-if: no such interface"), "{}", good.stderr);
    assert!(good.stderr.contains("nothing is wrong"), "{}", good.stderr);
    assert!(!folder.path().join("findings.jsonl").exists());
    assert_eq!(run(&format!("{line} --quiet")).exits(0).stderr, "");

    fs::write(path("policy.toml"), "version = 2\n").unwrap();
    fs::write(path("signatures.toml"), "version = 1\n[[signature]]\n").unwrap();
    fs::write(path("keys.log"), "nonsense\n").unwrap();
    let more = "--user no-such-user -o no/such/folder/f.jsonl -o f.odd --stats no/such/s.json";
    let bad = run(&format!("{line} {more} --filter tcp")).exits(2);
    let mut expected = vec![
        "policy.toml:1:11".to_owned(),
        format!("{}:2:1", path("signatures.toml")),
        "keys.log: line 1, column 1".to_owned(),
        "`no-such-user` is not a user".to_owned(),
        "no/such/folder/f.jsonl: ".to_owned(),
        "f.odd".to_owned(),
        "no/such/s.json: ".to_owned(),
    ];
    if cfg!(not(feature = "libpcap")) {
        expected.push("libpcap".to_owned());
    }
    for expected in expected {
        assert!(bad.stderr.contains(&expected), "{expected}: {}", bad.stderr);
    }
}

/// Everything that a sensor does after it gave up what it could.
#[test]
fn the_work_goes_on_with_few_privileges() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let [out, policies] = ["out", "policies"].map(|name| folder.path().join(name));
        fs::create_dir(&out).unwrap();
        fs::create_dir(&policies).unwrap();
        for path in [folder.path(), &out] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let policy = policies.join("policy.toml");
        fs::write(&policy, "version = 1\n").unwrap();
        let line = format!(
            "-i {WATCHED} -o {} --rotate 4K --keep 7d --policy {} --metrics 127.0.0.1:0 \
             --workers 2 --user {NOBODY}:{NOBODY}",
            out.join("findings.jsonl").display(),
            policy.display()
        );
        let mut sensor = network.sense(&line);
        assert_eq!(of_all_threads(&sensor, "Uid"), [NOBODY.to_string()].into());
        assert_eq!(of_all_threads(&sensor, "Gid"), [NOBODY.to_string()].into());
        assert_eq!(of_all_threads(&sensor, "NoNewPrivs"), ["1".to_owned()].into());
        assert_eq!(of_all_threads(&sensor, "Seccomp"), ["2".to_owned()].into());
        // CAP_NET_RAW and no other.
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(of_all_threads(&sensor, set), ["0000000000002000".to_owned()].into());
        }

        // An interface that comes back, a policy that is another file by now.
        ip("link del rx0");
        sensor.wait_for("gone");
        ip("link add tx0 type veth peer name rx0");
        ip("link set tx0 mtu 65535 up");
        ip("link set rx0 mtu 65535 up");
        sensor.wait_for("back");
        let new = policies.join("new.toml");
        fs::write(&new, POLICY).unwrap();
        fs::rename(&new, &policy).unwrap();
        sensor.signal(Signal::HUP);
        sensor.wait_for("read anew");
        network.send(&corpus::path(CAPTURE));
        let metrics = get(&metrics_address(&sensor), "/metrics");
        assert!(metrics.contains("mcpwatch_resident_memory_bytes "), "{metrics}");
        assert!(metrics.contains("mcpwatch_reloads_total 1\n"), "{metrics}");
        sensor.end().exits(0);
        assert!(fs::read_dir(&out).unwrap().count() > 1);
        let found = text(&out);
        let scanned = run_on("scan -o -", &corpus::path(CAPTURE)).lines().len();
        assert_eq!(found.lines().count(), scanned);
        assert!(found.lines().all(|line| line.contains("\"denied\"")), "{found}");
    });
}

#[test]
fn other_files_are_out_of_reach() {
    Network::run(|network| {
        let [inside, outside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let path = |name: &str| inside.path().join(name);
        fs::write(path("policy.toml"), "version = 1\n").unwrap();
        fs::write(outside.path().join("policy.toml"), POLICY).unwrap();
        let line = format!(
            "-i {WATCHED} -o {} --stats {} --policy {}",
            path("findings.jsonl").display(),
            path("stats.json").display(),
            path("policy.toml").display()
        );
        let mut sensor = network.sense(&line);
        if !is_held(&sensor) {
            return;
        }
        fs::remove_file(path("policy.toml")).unwrap();
        symlink(outside.path().join("policy.toml"), path("policy.toml")).unwrap();
        symlink(outside.path().join("stats.json"), path("stats.json")).unwrap();
        sensor.signal(Signal::HUP);
        sensor.wait_for("Permission denied");
        sensor.wait_for("the old signatures, keys and policy stay");
        network.send(&corpus::path(CAPTURE));
        let ended = sensor.end().exits(3);
        assert!(ended.stderr.contains("stats.json: Permission denied"), "{}", ended.stderr);
        assert!(!outside.path().join("stats.json").exists());
        let found = fs::read_to_string(path("findings.jsonl")).unwrap();
        assert!(found.contains("confirmed") && !found.contains("\"denied\""), "{found}");
    });
}

#[test]
fn root_writes_where_a_user_lets_it() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let path = folder.path().join("findings.jsonl");
        let sensor = network.sense(&format!("-i {WATCHED} -o {}", path.display()));
        assert!(sensor.said().contains("CAP_DAC_OVERRIDE"), "{}", sensor.said());
        network.send(&corpus::path(CAPTURE));
        sensor.end().exits(0);
        assert!(fs::read_to_string(&path).unwrap().contains("confirmed"));
    });
}

#[test]
fn privileges_are_kept_where_that_is_asked_for() {
    Network::run(|network| {
        let sensor = network.sense(&format!("-i {WATCHED} --no-sandbox"));
        assert_eq!(of_all_threads(&sensor, "NoNewPrivs"), ["0".to_owned()].into());
        sensor.end().exits(0);
    });
}

#[test]
fn a_command_asks_for_a_reload() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let [pid, policy] = ["mcpwatch.pid", "policy.toml"].map(|name| folder.path().join(name));
        fs::write(&policy, "version = 1\n").unwrap();
        let line =
            format!("-i {WATCHED} --pid-file {} --policy {}", pid.display(), policy.display());
        let mut sensor = network.sense(&line);
        assert_eq!(fs::read_to_string(&pid).unwrap(), format!("{}\n", sensor.id()));
        run_on("reload --pid-file", &pid).exits(0);
        sensor.wait_for("read anew");
        fs::write(&policy, "version = 1\n[sanktioned]\n").unwrap();
        run_on("reload --pid-file", &pid).exits(0);
        sensor.wait_for("the old signatures, keys and policy stay");
        fs::write(&policy, "version = 1\n").unwrap();
        let second = run(&format!("sense {line}")).exits(2);
        assert!(second.stderr.contains("another sensor runs"), "{}", second.stderr);
        sensor.end().exits(0);
        assert!(!pid.exists());
        run_on("reload --pid-file", &pid).exits(2);
    });
}

#[test]
fn a_reload_loses_neither_packets_nor_flows() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let [policy, statistics] = ["policy.toml", "stats.json"].map(|it| folder.path().join(it));
        fs::write(&policy, POLICY).unwrap();
        let line = format!("--messages -o - --policy {}", policy.display());
        let stats = format!("--stats {}", statistics.display());
        let mut sensor = network.sense(&format!("-i {WATCHED} --workers 3 {stats} {line}"));
        let capture = corpus::path(CAPTURE);
        let mut sent = 0;
        // In the midst of connections, and of messages.
        for part in [0..150, 150..151, 151..400, 400..usize::MAX] {
            sent += network.send_some(&capture, part);
            sensor.signal(Signal::HUP);
            sensor.wait_for("read anew");
        }
        let sensed = sensor.end().exits(0);
        let scanned = run_on(&format!("scan {line}"), &capture).exits(0);
        assert_eq!(comparable(&sensed.lines()), comparable(&scanned.lines()));
        assert!(sensed.lines().len() > 20);
        let counted = &json(&statistics)["interfaces"][0];
        assert_eq!((&counted["frames"], &counted["lost"]), (&sent.into(), &0.into()), "{counted}");
    });
}

#[test]
fn only_sensors_are_asked_for_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("mcpwatch.pid");
    // One that has our name, but does not watch.
    let mut other = mcpwatch(["scan", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    for id in [std::process::id(), other.id()] {
        fs::write(&pid, format!("{id}\n")).unwrap();
        let refused = run_on("reload --pid-file", &pid).exits(2);
        assert!(refused.stderr.contains("is not a sensor"), "{}", refused.stderr);
    }
    drop(other.stdin.take());
    assert!(other.wait().unwrap().code().is_some());
    fs::write(&pid, "no number\n").unwrap();
    run_on("reload --pid-file", &pid).exits(2);
}

/// Secrets come before the handshake, or after most of what they open.
#[test]
fn key_logs_are_followed() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let [log, old] = ["keys.log", "keys.log.1"].map(|name| folder.path().join(name));
        let secrets = fs::read_to_string(corpus::path(SEALED.1)).unwrap();
        for late in [false, true] {
            fs::write(&log, "# nothing yet\n").unwrap();
            let options = "--metrics 127.0.0.1:0 -o -";
            let line = format!("-i {WATCHED} {options} --keylog {}", log.display());
            let mut sensor = network.sense(&line);
            let address = metrics_address(&sensor);
            let (early, all) = (if late { SEALED_OPEN } else { 0 }, usize::MAX);
            network.send_some(&corpus::path(SEALED.0), 0..early);
            let through = format!("mcpwatch_engine_frames_total {early}\n");
            while !get(&address, "/metrics").contains(&through) {
                std::thread::yield_now();
            }
            // The log gives its name to another file.
            fs::rename(&log, &old).unwrap();
            fs::write(&log, &secrets).unwrap();
            while get(&address, "/metrics").contains("mcpwatch_key_log_secrets_total 0\n") {
                std::thread::yield_now();
            }
            network.send_some(&corpus::path(SEALED.0), early..all);
            let confirmed = loop {
                let row: Value = serde_json::from_str(&sensor.next_line()).unwrap();
                if row["confidence"] == "confirmed" {
                    break row;
                }
            };
            assert_eq!(confirmed["tls"]["decrypted"], true);
            sensor.end().exits(0);
        }
    });
}

#[test]
fn what_is_said_can_be_read_by_machines() {
    Network::run(|network| {
        let line = format!("-i {WATCHED} --log-format json --metrics 127.0.0.1:0");
        let mut sensor = network.sense(&line);
        ip("link set rx0 down");
        sensor.wait_for("interface_down");
        ip("link set rx0 up");
        sensor.wait_for("interface_up");
        sensor.signal(Signal::HUP);
        sensor.wait_for("reloaded");
        let ended = sensor.end().exits(0);
        let lines: Vec<Value> =
            ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let events: BTreeSet<&str> =
            lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        for event in ["metrics", "sandbox", "watching", "interface_down", "interface_up", "ended"] {
            assert!(events.contains(event), "{event}: {}", ended.stderr);
        }
        for line in &lines {
            assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
            assert!(["info", "warning", "error"].contains(&line["level"].as_str().unwrap()));
            assert!(!line["message"].as_str().unwrap().is_empty(), "{line}");
        }
        let down = lines.iter().find(|line| line["event"] == "interface_down").unwrap();
        assert_eq!(down["fields"]["interface"], WATCHED);
    });
    let refused = run("sense -i no-such-if --log-format json").exits(2);
    let line: Value = serde_json::from_str(refused.stderr.trim_end()).unwrap();
    assert_eq!(line["level"], "error");
}

#[test]
fn the_shipped_configuration_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config = corpus::root().join("packaging/sense.toml");
    let [output, pid] = [path("f.jsonl"), path("mcpwatch.pid")];
    let line = format!("sense --check --output {output} --pid-file {pid} --config");
    let checked = run_on(&line, &config).exits(0);
    assert!(checked.stderr.contains(r#""event":"checked""#), "{}", checked.stderr);
    // What is commented out is right too.
    let text = fs::read_to_string(&config).unwrap();
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(option) if !option.starts_with(' ') => format!("{option}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(uncommented, text);
    fs::write(path("sense.toml"), uncommented).unwrap();
    for name in ["signatures", "policy", "keylog"] {
        let text = if name == "keylog" { "" } else { "version = 1\n" };
        fs::write(folder.path().join(name).with_extension("toml"), text).unwrap();
    }
    let files = format!(
        "--signatures {} --policy {} --keylog {}",
        path("signatures.toml"),
        path("policy.toml"),
        path("keylog.toml")
    );
    let line = format!("sense --check {files} --output {output} --pid-file {pid} --config");
    run_on(&line, &folder.path().join("sense.toml")).exits(0);
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let folder = tempfile::tempdir().unwrap();
    let unit = corpus::root().join("packaging/systemd/mcpwatch.service");
    let text = fs::read_to_string(unit).unwrap();
    let program = mcpwatch([""; 0]).get_program().to_str().unwrap().to_owned();
    let copy = folder.path().join("mcpwatch.service");
    fs::write(&copy, text.replace("/usr/bin/mcpwatch", &program)).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&copy).output();
    match verified {
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skipped: systemd-analyze: {error}");
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("mcpwatch.service:"), "{said}");
        }
    }
}

/// Names of metrics in an expression of a dashboard.
fn metrics_of(expression: &str) -> impl Iterator<Item = &str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
    expression.split(word).filter(|name| name.starts_with("mcpwatch_"))
}

/// Every expression of a dashboard, wherever it is.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().filter(|_| ["expr", "query", "definition"].contains(&&**name))
                {
                    Some(text) => found.push(text.to_owned()),
                    None => expressions(member, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let path = corpus::root().join("packaging/grafana/mcpwatch.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    let shown: BTreeSet<&str> = found.iter().flat_map(|it| metrics_of(it)).collect();
    assert!(shown.len() > 15, "{shown:?}");
    Network::run(|network| {
        let mut sensor = network.sense(&format!("-i {WATCHED} -o - --metrics 127.0.0.1:0"));
        let address = metrics_address(&sensor);
        network.send(&corpus::path(CAPTURE));
        sensor.next_line();
        let served = get(&address, "/metrics");
        let served: BTreeSet<&str> = served
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| metrics_of(line.split(['{', ' ']).next().unwrap_or_default()))
            .collect();
        let missing: Vec<_> = shown.difference(&served).collect();
        assert!(missing.is_empty(), "{missing:?} not among {served:?}");
        sensor.end().exits(0);
    });
}
