//! FIN, RST, time-outs.

use super::*;

#[test]
fn fin_with_data_and_half_close() {
    check(
        &opened(
            "c FA 1001 5001 last
             s A 5001 1006 still
             s A 5006 1006 talking
             s FA 5013 1006",
        ),
        &["1> last", "1> end", "1< stilltalking", "1< end", "1 Finished"],
    );
}

#[test]
fn a_fin_waits_for_the_data_before_it() {
    check(&opened("c FA 1003 5001 cd\nc A 1001 5001 ab"), &["1> abcd", "1> end", "1 InputEnd"]);
    check(
        &opened("c FA 1005 5001\nc A 1003 5001 cd\nc A 1001 5001 ab"),
        &["1> abcd", "1> end", "1 InputEnd"],
    );
    let counters = check(
        &opened("c A 1001 5001 ab\nc FA 1005 5001\ns A 5001 1006\ns A 5001 1006 +300 x"),
        &["1> ab", "1> gap 2", "1> end", "1< x", "1 InputEnd"],
    );
    assert_eq!(counters.gaps_acked, 1);
}

#[test]
fn a_fin_sent_again_ends_once() {
    check(
        &opened("c FA 1001 5001 ab\nc FA 1001 5001 ab\nc FA 1003 5001\nc A 1003 5001 X"),
        &["1> ab", "1> end", "1 InputEnd"],
    );
}

#[test]
fn a_fin_that_data_refutes_is_dropped() {
    let cases = [
        ("before the data", "c FA 1003 5001|c A 1003 5001 cd|c A 1001 5001 ab"),
        ("after the data", "c A 1003 5001 cd|c FA 1003 5001|c A 1001 5001 ab"),
    ];
    for (name, order) in cases {
        let script = opened(&order.replace('|', "\n"));
        let counters = check(&script, &["1> abcd", "1 InputEnd"]);
        assert_eq!(counters.fins_refuted, 1, "{name}");
    }
}

#[test]
fn data_behind_the_end_is_dropped() {
    let counters =
        check(&opened("c FA 1001 5001 ab\nc A 1004 5001 cd"), &["1> ab", "1> end", "1 InputEnd"]);
    assert_eq!(counters.after_end_bytes, 2);
}

#[test]
fn the_end_of_a_flow_hands_on_what_is_held() {
    let ends = [
        ("c R 1005", "1 Reset"),
        ("s RA 5001 1001", "1 Reset"),
        ("tick 400000", "1 TimedOut"),
        ("c S 900000000", "1 Reused"),
        ("c A 1001 5001", "1 InputEnd"),
    ];
    for (end, last) in ends {
        let limits =
            FlowLimits { hole_patience: FlowLimits::default().tcp_idle * 9, ..Default::default() };
        let script = opened(&format!("c A 1003 5001 cd\ns A 5004 1001 45\n{end}"));
        let expected = ["1> gap 2", "1> cd", "1< gap 3", "1< 45", last];
        let counters = check_with(&script, &limits, &expected);
        assert_eq!(counters.gaps_at_end, 2, "{end}");
    }
}

#[test]
fn a_reset_must_be_plausible() {
    let valid = ["c R 1003", "s RA 5001 1003", "c R 9003", "c R 1001"];
    for reset in valid {
        let script = opened(&format!("c A 1001 5001 ab\n{reset}"));
        let counters = check(&script, &["1> ab", "1 Reset"]);
        assert_eq!(counters.resets_rejected, 0, "{reset}");
    }
    for reset in ["c R 777777777", "s R 777777777", "s RA 777777777 1003"] {
        let script = opened(&format!("c A 1001 5001 ab\n{reset}\nc A 1003 5001 cd"));
        let counters = check(&script, &["1> abcd", "1 InputEnd"]);
        assert_eq!(counters.resets_rejected, 1, "{reset}");
    }
}

#[test]
fn a_reset_refuses_a_syn_only_with_its_number() {
    let counters = check("c S 1000\ns RA 0 777777777\ns SA 5000 1001", &[]);
    assert_eq!((counters.resets_rejected, counters.flows_reset), (1, 0));
}

#[test]
fn a_one_sided_reset_is_judged_by_acknowledgements() {
    check("s A 5001 1001 x\nc R 1001", &["1< x", "1 Reset"]);
    check("s A 5001 1001 x\nc R 777777777", &["1< x", "1 InputEnd"]);
}

#[test]
fn a_reset_after_a_fin_is_a_reset() {
    check("c S 1000\nc FA 1001 5001 ab\nc R 1004", &["1> ab", "1> end", "1 Reset"]);
}

#[test]
fn a_sender_that_goes_on_refutes_its_reset() {
    let counters = check(
        &opened("c A 1001 5001 ab\nc R 1003\nc A 1003 5001 cd\ns A 5001 1005 ok"),
        &["1> ab", "1 Reset", "6> cd", "6< ok", "6 InputEnd"],
    );
    assert_eq!(counters.resets_refuted, 1);
    let counters = check(
        &opened("c A 1001 5001 ab\nc R 1003\nc A 1001 5001 ab\ns A 5001 1003 onitsway"),
        &["1> ab", "1 Reset"],
    );
    assert_eq!((counters.resets_refuted, counters.late_segments), (0, 2));
}

#[test]
fn late_segments_of_a_flow_that_is_over_open_nothing() {
    let over = "c FA 1001 5001 ab\ns FA 5001 1004\n";
    let counters = check(
        &opened(&format!("{over}c FA 1001 5001 ab\ns FA 5001 1004\nc A 1004 5002\nc S 1000")),
        &["1> ab", "1> end", "1< end", "1 Finished"],
    );
    assert_eq!((counters.late_segments, counters.tcp_flows), (4, 1));
}

#[test]
fn after_the_linger_the_five_tuple_is_free() {
    let over = "c FA 1001 5001 ab\ns FA 5001 1004\n";
    check(
        &opened(&format!("{over}c A 7001 9001 new +10100")),
        &["1> ab", "1> end", "1< end", "1 Finished", "6> new", "6 InputEnd"],
    );
}

#[test]
fn time_outs_by_kind_of_flow() {
    let cases = [
        ("c S 1000\nc S 1000 +30100", 2),
        ("c S 1000\nc S 1000 +29900", 1),
        ("c A 1001 1 ab\nc A 1003 1 cd +300100", 2),
        ("c A 1001 1 ab\nc A 1003 1 cd +299900", 1),
        ("u a\nu b +60100", 2),
        ("u a\nu b +59900", 1),
    ];
    for (script, flows) in cases {
        let mut outcomes = [false, true].map(|advance| {
            let outcome = run_once(script, &FlowLimits::default(), 0, (advance, false));
            outcome.counters.tcp_flows + outcome.counters.udp_flows
        });
        outcomes.sort_unstable();
        assert_eq!(outcomes, [flows; 2], "{script}");
    }
}

#[test]
fn flows_time_out_in_order_of_their_last_packet() {
    let counters = check(
        "u one\nc A 1 1 two\nd A 1 1 three\nc A 4 1 four\ntick 61500\ntick 300000",
        &["1> [one] 0", "2> two", "3> three", "2> four", "1 TimedOut", "3 TimedOut", "2 TimedOut"],
    );
    assert_eq!(counters.flows_timed_out, 3);
}

#[test]
fn a_hole_given_up_does_not_put_a_time_out_off() {
    check(
        "c A 1 1 ab\nc A 10 1 cd\nd A 1 1 x +3000\ntick 60000\ntick 239500",
        &["1> ab", "3> x", "1> gap 7", "1> cd", "1 TimedOut", "3 InputEnd"],
    );
}

#[test]
fn capture_time_that_steps_back_does_not_stop_time_outs() {
    let mut lab = Lab::new(FlowLimits::default());
    lab.run_lines("c A 1001 1 ab");
    lab.millis -= 3_600_000;
    lab.run_lines("d A 1001 1 cd\ntick 200000\ntick 200000");
    assert_eq!(lab.recorder.lines(), ["1> ab", "2> cd", "1 TimedOut", "2 TimedOut"]);
}

/// The capture's clock is set, and another tells that no time has passed.
#[test]
fn a_clock_that_is_set_ends_no_flow_and_gives_up_no_hole() {
    let hour = 3_600_000;
    for advance in [false, true] {
        let mut lab = Lab::new(FlowLimits::default());
        lab.advance = advance;
        for (ahead, lines) in [
            (0, "c S 1000\ns SA 5000 1001\nc A 1001 5001 ab\nu x"),
            (hour, "c A 1003 5001 cd\nu y"),
            (-hour, "c A 1007 5001 gh\nu z"),
            (hour, "c A 1005 5001 ef\nv w"),
            (0, "s A 5001 1009 ok\nc FA 1009 5003\ns FA 5003 1010"),
        ] {
            lab.ahead = Some(ahead);
            lab.run_lines(lines);
        }
        let told = [
            "1> ab",
            "4> [x] 0",
            "1> cd",
            "4> [y] 0",
            "4> [z] 0",
            "1> efgh",
            "4< [w] 0",
            "1< ok",
            "1> end",
            "1< end",
            "1 Finished",
        ];
        assert_eq!(lab.recorder.lines(), told);
        // Time that does pass ends what is idle.
        lab.run_lines("u x +60100");
        assert_eq!(lab.recorder.lines()[told.len()..], ["4 TimedOut", "14> [x] 0"]);
    }
}

#[test]
fn absurd_capture_times_are_survived() {
    let (earliest, latest) = (i64::MIN / 1_000_000, i64::MAX / 1_000_000);
    for times in [[earliest, latest, 0], [latest, earliest, 0], [0, latest, earliest]] {
        let mut lab = Lab::new(FlowLimits::default());
        lab.advance = true;
        for millis in times {
            lab.millis = millis;
            lab.run_lines("c A 1001 1 ab +0\nc A 1005 1 ef +0\nu x +0");
        }
        lab.finish();
        assert!(lab.table.counters().tcp_flows >= 2, "{times:?}");
    }
}

#[test]
fn the_input_ends_in_order_of_last_packets() {
    check(
        "u one\nc A 1 1 two\nd A 1 1 three\nu four",
        &[
            "1> [one] 0",
            "2> two",
            "3> three",
            "1> [four] 0",
            "2 InputEnd",
            "3 InputEnd",
            "1 InputEnd",
        ],
    );
}
