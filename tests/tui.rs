//! The live view of the sensor, on a terminal of its own.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::corpus;
use crate::support::network::{Network, WATCHED, ip};
use crate::support::pty::Terminal;
use crate::support::run::{run, run_on};

const CAPTURE: &str = "p-py130-20sessions.pcap";

fn sense(options: &str) -> Terminal {
    let mut terminal = Terminal::start(&format!("sense -i {WATCHED} --tui {options}"));
    terminal.wait_for("LATEST FINDINGS");
    assert!(terminal.is_raw() && terminal.screen.is_other());
    terminal
}

#[test]
fn findings_are_shown_and_a_key_ends_it() {
    Network::run(|network| {
        let mut terminal = sense("--sensor desk");
        terminal.wait_for("no MCP server was seen yet");
        let sent = network.send(&corpus::path(CAPTURE));
        terminal.wait_for("MCP server confirmed");
        terminal.wait_until("flows", |it| !it.screen.text().contains("flows     0 TCP"));
        let text = terminal.screen.text();
        for part in ["mcpwatch sense  desk", "watching  0:00:0", "▶ SERVERS  1 MCP server", "rx0"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        terminal.type_in("q");
        let left = terminal.end();
        assert_eq!(left.code, Some(0));
        // The report, and what was said meanwhile, stand where the view was not.
        let text = left.screen.text();
        assert!(text.contains("1 MCP server confirmed in 1 capture"), "{text}");
        assert!(text.contains(&format!("mcpwatch: watching {WATCHED}")), "{text}");
        assert!(text.contains(&format!("{sent} frames read, 0 lost")), "{text}");
    });
}

#[test]
fn outputs_go_on_beside_it_and_signals_end_it() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
            let path = folder.path().join("findings.jsonl");
            let mut terminal = sense(&format!("-o {}", path.display()));
            network.send(&corpus::path(CAPTURE));
            terminal.wait_for("MCP server confirmed");
            terminal.signal(signal);
            assert_eq!(terminal.end().code, Some(0), "{signal:?}");
            let report = run_on("report", &path).exits(0);
            assert!(report.text().contains("confirmed"), "{}", report.text());
        }
    });
}

#[test]
fn an_interface_that_goes_away_is_told_of() {
    Network::run(|_| {
        let mut terminal = sense("");
        ip("link del rx0");
        terminal.wait_for("gone; looking for it every second");
        terminal.wait_until("the state", |it| it.screen.text().contains("rx0        gone"));
        terminal.type_in("\x03");
        let left = terminal.end();
        assert_eq!(left.code, Some(0));
        let text = left.screen.text();
        assert!(text.contains("rx0: gone; looking for it every second"), "{text}");
    });
}

#[test]
fn it_can_be_stopped_and_goes_on() {
    Network::run(|_| {
        let mut terminal = sense("");
        for (number, stop) in (2..).zip(["\x1a", "signal"]) {
            match stop {
                "signal" => terminal.signal(Signal::TSTP),
                key => terminal.type_in(key),
            }
            terminal.wait_until("the stop", |it| it.is_stopped() && it.is_as_before());
            terminal.signal(Signal::CONT);
            terminal.wait_until("the view", |it| it.screen.visits == number && it.is_raw());
            terminal.wait_for("LATEST FINDINGS");
        }
        terminal.type_in("q");
        assert_eq!(terminal.end().code, Some(0));
    });
}

#[test]
fn a_terminal_that_goes_away_ends_it_in_order() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.jsonl");
        let mut terminal = sense(&format!("-o {}", path.display()));
        network.send(&corpus::path(CAPTURE));
        terminal.wait_for("MCP server confirmed");
        terminal.hang_up();
        let report = run_on("report", &path).exits(0);
        assert!(report.text().contains("confirmed"), "{}", report.text());
    });
}

#[test]
fn a_terminal_that_takes_nothing_holds_up_no_file() {
    Network::run(|network| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.jsonl");
        let mut terminal = sense(&format!("-o {}", path.display()));
        network.send(&corpus::path(CAPTURE));
        // More pictures than the terminal has room for.
        for _ in 0..50 {
            terminal.type_in("\x0c");
            std::thread::sleep(Duration::from_millis(10));
        }
        terminal.signal(Signal::TERM);
        while !path.exists() {
            std::thread::yield_now();
        }
        let report = run_on("report", &path).exits(0);
        assert!(report.text().contains("confirmed"), "{}", report.text());
        terminal.hang_up();
    });
}

#[test]
fn terminals_change_their_size() {
    Network::run(|_| {
        let mut terminal = sense("");
        for (columns, lines) in [(40, 8), (1, 1), (200, 60), (3, 100), (0, 0), (80, 24)] {
            terminal.resize(columns, lines);
            terminal.type_in("\x0c");
        }
        terminal.resize(40, 8);
        terminal.wait_until("a small view", |it| {
            let text = it.screen.text();
            text.contains("▶ SERVERS") && !text.contains("LATEST") && text.lines().count() <= 8
        });
        terminal.type_in("?");
        terminal.wait_for("Ctrl-C");
        terminal.type_in(" q");
        assert_eq!(terminal.end().code, Some(0));
    });
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    Network::run(|network| {
        for (options, variables, coloured) in [
            ("", &[][..], true),
            ("--color never", &[], false),
            ("", &[("NO_COLOR", "1")], false),
            ("--color always", &[("NO_COLOR", "1")], true),
        ] {
            let line = format!("sense -i {WATCHED} --tui -q {options}");
            let mut terminal = Terminal::start_with(&line, variables);
            terminal.wait_for("LATEST FINDINGS");
            ip("link set rx0 down");
            terminal.wait_until("the state", |it| it.screen.text().contains("rx0        down"));
            ip("link set rx0 up");
            terminal.wait_until("the state", |it| it.screen.text().contains("rx0        up"));
            network.send(&corpus::path(CAPTURE));
            terminal.wait_for("MCP server confirmed");
            terminal.type_in("q");
            let left = terminal.end();
            assert_eq!(left.screen.coloured, coloured, "{options} {variables:?}");
        }
    });
}

#[test]
fn it_needs_a_terminal_for_itself() {
    let without = run("sense -i lo --tui").exits(2);
    assert!(without.stderr.contains("--tui needs a terminal"), "{}", without.stderr);
    assert!(without.stdout.is_empty());
    for output in ["-o -", "-f jsonl"] {
        let left = Terminal::start(&format!("sense -i lo --tui {output}")).end();
        assert_eq!((left.code, left.screen.visits), (Some(2), 0), "{output}");
        let text = left.screen.text();
        assert!(text.contains("--tui has standard output"), "{text}");
    }
    let left = Terminal::start("sense -i no-such-if --tui").end();
    assert_eq!((left.code, left.screen.visits), (Some(2), 0));
}
