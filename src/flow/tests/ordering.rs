//! Order, loss and overlap within a stream.

use super::*;

#[test]
fn reordered_segments_are_put_in_order() {
    let orders = [
        "c A 1003 5001 cd|c A 1001 5001 ab|c A 1005 5001 ef",
        "c A 1005 5001 ef|c A 1003 5001 cd|c A 1001 5001 ab",
        "c A 1003 5001 cd|c A 1005 5001 ef|c A 1001 5001 ab",
        "c A 1002 5001 b|c A 1004 5001 d|c A 1006 5001 f|c A 1001 5001 abcdef",
        "c A 1005 5001 ef|c A 1001 5001 abcd",
    ];
    for order in orders {
        let script = opened(&order.replace('|', "\n"));
        let counters = check(&script, &["1> abcdef", "1 InputEnd"]);
        assert_eq!((counters.overlap_conflicts, counters.gaps), (0, 0), "{order}");
    }
}

#[test]
fn retransmissions_are_dropped() {
    let counters = check(
        &opened("c A 1001 5001 abcd\nc A 1001 5001 abcd\nc A 1003 5001 cdef\nc A 1002 5001 bc"),
        &["1> abcdef", "1 InputEnd"],
    );
    assert_eq!((counters.retransmitted_bytes, counters.overlap_conflicts), (8, 0));
}

#[test]
fn the_first_copy_wins_and_a_difference_is_noticed() {
    let cases = [
        ("delivered, exactly", "c A 1001 5001 abcd|c A 1001 5001 aXcd|c A 1005 5001 ef"),
        ("delivered, in part", "c A 1001 5001 abcd|c A 1003 5001 Xdef"),
        (
            "delivered, in several segments",
            "c A 1001 5001 ab|c A 1003 5001 cd|c A 1001 5001 abXdef",
        ),
        ("held, exactly", "c A 1003 5001 cd|c A 1003 5001 cX|c A 1001 5001 ab|c A 1005 5001 ef"),
        ("held, from the left", "c A 1004 5001 def|c A 1001 5001 abcX"),
        ("held, from the right", "c A 1003 5001 cd|c A 1004 5001 Xef|c A 1001 5001 ab"),
        ("held, around", "c A 1003 5001 cd|c A 1001 5001 abXdef"),
    ];
    for (name, order) in cases {
        let script = opened(&order.replace('|', "\n"));
        let counters = check(&script, &["1> abcdef", "1 InputEnd conflict"]);
        assert_eq!(counters.overlap_conflicts, 1, "{name}");
    }
}

#[test]
fn a_difference_is_noticed_as_far_back_as_history_reaches() {
    let script = |retransmitted: u32| {
        opened(&format!("c A 1001 5001 *6000\nc A {retransmitted} 5001 different-bytes-these-are"))
    };
    check(&script(6900), &["1> 6000 bytes", "1 InputEnd conflict"]);
    check(&script(1001), &["1> 6000 bytes", "1 InputEnd"]);
    let without = FlowLimits { max_history_total: 0, ..Default::default() };
    check_with(&script(6900), &without, &["1> 6000 bytes", "1 InputEnd"]);
}

#[test]
fn bulk_data_is_not_remembered_until_the_other_side_speaks() {
    let bulk: String = (0..70).map(|n| format!("c A {} 5001 *1000\n", 1001 + 1000 * n)).collect();
    let large: String = (0..35).map(|n| format!("c A {} 5001 *2000\n", 1001 + 2000 * n)).collect();
    let differs = "c A 70977 5001 different-bytes-to-come";
    let turn = "s A 5001 71001 x\nc A 71001 5001 *2000\nc A 72977 5001 different-bytes-to-come";
    check(&opened(&format!("{bulk}{differs}")), &["1> 70000 bytes", "1 InputEnd conflict"]);
    check(&opened(&format!("{large}{differs}")), &["1> 70000 bytes", "1 InputEnd"]);
    check(
        &opened(&format!("{large}{turn}")),
        &["1> 70000 bytes", "1< x", "1> 2000 bytes", "1 InputEnd conflict"],
    );
}

#[test]
fn keep_alive_probes_are_no_data() {
    let counters = check(
        &opened(
            "c A 1001 5001 ab
             c A 1002 5001
             c A 1002 5001 X
             c A 1003 5001 cd",
        ),
        &["1> abcd", "1 InputEnd"],
    );
    assert_eq!((counters.keep_alives, counters.overlap_conflicts), (1, 0));
}

#[test]
fn a_zero_window_probe_is_data_once() {
    check(
        &opened("s A 5001 1001 ab\ns A 5003 1001 c\ns A 5003 1001 c\ns A 5003 1001 cdef"),
        &["1< abcdef", "1 InputEnd"],
    );
}

#[test]
fn what_the_snap_length_cut_is_a_gap_at_once() {
    let counters = check(
        &opened("c A 1001 5001 ab cut=10\nc A 1013 5001 cd\nc A 1015 5001 cut=5\nc A 1020 5001 e"),
        &["1> ab", "1> gap 10", "1> cd", "1> gap 5", "1> e", "1 InputEnd"],
    );
    assert_eq!((counters.gaps_snapped, counters.gap_bytes), (2, 15));
    check(
        &opened("c A 1013 5001 cd cut=2\nc A 1001 5001 ab cut=10\nc FA 1017 5001"),
        &["1> ab", "1> gap 10", "1> cd", "1> gap 2", "1> end", "1 InputEnd"],
    );
    check(
        &opened("c A 1001 5001 ab cut=10\nc A 1001 5001 ab cut=10\nc A 1005 5001 x cut=10"),
        &["1> ab", "1> gap 10", "1> gap 3", "1 InputEnd"],
    );
}

#[test]
fn bytes_acknowledged_but_not_captured_are_given_up_after_some_patience() {
    let lost = |rest: &str| opened(&format!("c A 1001 5001 ab\nc A 1005 5001 ef\n{rest}"));
    let counters = check(&lost("s A 5001 1007\nc A 1003 5001 cd"), &["1> abcdef", "1 InputEnd"]);
    assert_eq!(counters.gaps, 0, "an acknowledgement may be captured before the data");
    let counters = check(
        &lost("s A 5001 1007\ns A 5001 1007 +250 x\nc A 1003 5001 cd"),
        &["1> ab", "1> gap 2", "1> ef", "1< x", "1 InputEnd"],
    );
    assert_eq!((counters.gaps_acked, counters.retransmitted_bytes), (1, 2));
    let busy: String = (0..16).map(|n| format!("c A {} 5001 z\n", 1007 + n)).collect();
    let counters = check(
        &lost(&format!("s A 5001 1007\n{busy}")),
        &["1> ab", "1> gap 2", "1> efzzzzzzzzzzzzzzzz", "1 InputEnd"],
    );
    assert_eq!(counters.gaps_acked, 1);
}

#[test]
fn bytes_nobody_speaks_of_are_given_up_after_longer_patience() {
    let counters = check(
        "c A 1001 5001 ab\nc A 1005 5001 ef\nc A 1007 5001 gh +1990\nc A 1009 5001 i +20",
        &["1> ab", "1> gap 2", "1> efghi", "1 InputEnd"],
    );
    assert_eq!(counters.gaps_overdue, 1);
}

#[test]
fn bytes_the_receiver_waits_for_are_given_more_time() {
    let lost = "c A 1001 5001 ab\nc A 1005 5001 ef\ns A 5001 1003\n";
    check(&opened(&format!("{lost}c A 1003 5001 cd +6000")), &["1> abcdef", "1 InputEnd"]);
    let counters = check(
        &opened(&format!("{lost}c A 1003 5001 cd +10100")),
        &["1> ab", "1> gap 2", "1> ef", "1 InputEnd"],
    );
    assert_eq!(counters.gaps_overdue, 1);
}

#[test]
fn time_alone_gives_up_a_hole() {
    check(
        &opened("c A 1001 5001 ab\nc A 1005 5001 ef\ntick 1500\ntick 2000\nc A 1007 5001 gh"),
        &["1> ab", "1> gap 2", "1> efgh", "1 InputEnd"],
    );
    let mut lab = Lab::new(FlowLimits::default());
    lab.run_lines(&opened("c A 1001 5001 ab\nc A 1005 5001 ef\ntick 1500"));
    assert_eq!(lab.recorder.lines(), ["1> ab"]);
    lab.run_line("tick 2000");
    assert_eq!(lab.recorder.lines(), ["1> ab", "1> gap 2", "1> ef"]);
}

#[test]
fn several_holes_are_given_up_one_by_one() {
    let counters = check(
        "c A 1001 1 a\nc A 1003 1 c\nc A 1005 1 e +1500\nc A 1007 1 g +1000\nc A 1008 1 h +1200",
        &["1> a", "1> gap 1", "1> c", "1> gap 1", "1> e", "1> gap 1", "1> gh", "1 InputEnd"],
    );
    assert_eq!((counters.gaps_overdue, counters.gaps_at_end), (2, 1));
}

#[test]
fn an_absurd_sequence_number_is_not_followed() {
    let counters = check(
        &opened("c A 1001 5001 ab\nc A 900000000 5001 X\nc A 1003 5001 cd\nc A 30000000 5001 X"),
        &["1> abcd", "1 InputEnd"],
    );
    assert_eq!((counters.out_of_window_segments, counters.buffered_bytes), (2, 0));
}

#[test]
fn a_long_outage_of_the_capture_is_a_gap_of_the_right_length() {
    let outage = |far: u32| {
        let mut script = String::from("c A 1001 5001 ab\nc A 1005 5001 ef\n");
        for n in 0..5 {
            script.push_str(&format!("c A {} 5001 {n}\n", far + n));
        }
        script
    };
    for far in [20_001_000_u32, 3_000_001_000] {
        let jump = u64::from(far) + 3 - 1007;
        let expected = ["1> ab", "1> gap 2", "1> ef", &format!("1> gap {jump}"), "1> 34"];
        let expected: Vec<&str> = expected.into_iter().chain(["1 InputEnd"]).collect();
        let counters = check(&outage(far), &expected);
        assert_eq!((counters.gaps_jumped, counters.out_of_window_segments), (2, 3));
    }
}

#[test]
fn a_jump_that_the_receiver_contradicts_is_not_followed() {
    let mut script = opened("c A 1001 5001 ab\ns A 5001 1003\n");
    for n in 0..20 {
        script.push_str(&format!("c A {} 5001 X\n", 900_000_000 + n));
    }
    script.push_str("c A 1003 5001 cd");
    let counters = check(&script, &["1> abcd", "1 InputEnd"]);
    assert_eq!(counters.out_of_window_segments, 20);
}

#[test]
fn segments_far_away_must_come_one_after_the_other() {
    let mut script = String::new();
    for n in 0..10 {
        script.push_str(&format!("c A {} 5001 a\nc A {} 5001 X\n", 1001 + n, 900_000_000 + n));
    }
    let counters = check(&script, &["1> aaaaaaaaaa", "1 InputEnd"]);
    assert_eq!(counters.out_of_window_segments, 10);
}

#[test]
fn an_absurd_acknowledgement_says_nothing() {
    let lost = "c A 1001 5001 ab\nc A 1005 5001 ef\n";
    check(
        &opened(&format!("{lost}s A 5001 900000000\nc A 1003 5001 cd +300")),
        &["1> abcdef", "1 InputEnd"],
    );
}

#[test]
fn both_directions_have_holes_of_their_own() {
    check(
        &opened(
            "c A 1003 5001 cd
             s A 5003 1001 34
             c A 1001 5001 ab
             s A 5001 1001 12",
        ),
        &["1> abcd", "1< 1234", "1 InputEnd"],
    );
}

#[test]
fn a_handler_that_lost_interest_is_left_alone() {
    let script = opened(
        "c A 1003 5001 cd
         c A 1001 5001 ab
         s A 5003 1001 34
         c A 1009 5001 ij
         s A 5001 1001 12
         c FA 1011 5001
         s FA 5005 1012",
    );
    let cases = [
        (Dismiss::Flow, vec!["1> ab", "1 Finished"]),
        (Dismiss::Direction, vec!["1> ab", "1< 12", "1 Finished"]),
        (Dismiss::OtherDirection, vec!["1> abcd", "1> gap 4", "1> ij", "1> end", "1 Finished"]),
    ];
    for (dismiss, expected) in cases {
        let mut lab = Lab::new(FlowLimits::default());
        lab.recorder.dismiss = Some(dismiss);
        lab.run_lines(&script);
        lab.table.advance(lab.now(), &mut lab.recorder);
        lab.run_line("tick 20000");
        assert_eq!(lab.recorder.lines(), expected);
        assert!(lab.table.is_empty());
        assert!(lab.table.counters().dismissed_packets > 0);
    }
}

#[test]
fn a_dismissed_flow_holds_no_buffers() {
    let mut lab = Lab::new(FlowLimits::default());
    lab.run_lines(&opened("c A 1001 5001 ab\nc A 1101 5001 *5000\nc A 9001 5001 *4000"));
    let (out_of_order, histories) = lab.table.in_use();
    assert!(out_of_order > 9000 && histories == 1);
    lab.recorder.dismiss = Some(Dismiss::Flow);
    lab.run_lines("s A 5001 1001 x");
    assert_eq!(lab.table.in_use(), (0, 0));
    lab.run_lines("c A 1003 5001 *98\nc A 20001 5001 *3000");
    assert_eq!(lab.table.counters().buffered_bytes, 9000);
    assert_eq!(lab.recorder.lines(), ["1> ab", "1< x"]);
}

#[test]
fn an_answer_does_not_overtake_its_question() {
    let asked = ["1> ask", "1< yes", "1> more", "1< no", "1 InputEnd"];
    let orders = [
        "c A 1001 5001 ask|s A 5001 1004 yes|c A 1004 5004 more|s A 5004 1008 no",
        "s A 5001 1004 yes|c A 1001 5001 ask|c A 1004 5004 more|s A 5004 1008 no",
        "c A 1004 5004 more|s A 5001 1004 yes|c A 1001 5001 ask|s A 5004 1008 no",
        "s A 5004 1008 no|c A 1004 5004 more|s A 5001 1004 yes|c A 1001 5001 ask",
    ];
    for order in orders {
        let counters = check(&opened(&order.replace('|', "\n")), &asked);
        assert_eq!(counters.gaps, 0, "{order}");
    }
}

#[test]
fn what_follows_a_loss_keeps_its_order() {
    // Of `ask?`, the end or all is lost; the other side had it.
    let follows = "s A 5001 1005 yes\nc A 1005 5004 more\ns A 5004 1009 no\n";
    let late = "c A 1009 5006 +300";
    let part = opened(&format!("c A 1001 5001 as\n{follows}{late}"));
    let whole = opened(&format!("{follows}{late}"));
    let told = ["1< yes", "1> more", "1< no", "1 InputEnd"];
    let counters = check(&part, &[&["1> as", "1> gap 2"][..], &told].concat());
    assert_eq!((counters.gaps_acked, counters.overtaking_segments), (1, 1));
    check(&whole, &[&["1> gap 4"][..], &told].concat());
}

#[test]
fn a_stream_waits_for_the_other_for_a_bounded_time() {
    let bulk: String = (0..20).map(|n| format!("s A {} 1005 *10\n", 5001 + 10 * n)).collect();
    let script = opened(&bulk);
    check(&script, &["1> gap 4", "1< 200 bytes", "1 InputEnd"]);
    let capped = FlowLimits {
        acked_patience_segments: 1000,
        max_out_of_order_per_flow: 100,
        ..Default::default()
    };
    let counters = check_with(&script, &capped, &["1> gap 4", "1< 200 bytes", "1 InputEnd"]);
    assert_eq!(counters.gaps_capped, 1);
    // Two streams that claim to have each other's bytes.
    let lies = opened("s A 5001 1005 yes\nc A 1001 5004 ask!\nc A 1005 5004 +300");
    let counters = check(&lies, &["1> ask!", "1< yes", "1 InputEnd"]);
    assert_eq!(counters.gaps, 0);
}
