//! Bounds, floods, eviction.

use super::*;

fn limits(change: impl FnOnce(&mut FlowLimits)) -> FlowLimits {
    let mut limits = FlowLimits::default();
    change(&mut limits);
    limits
}

#[test]
fn a_flow_over_its_bound_gives_up_its_holes() {
    let limits = limits(|limits| limits.max_out_of_order_per_flow = 3 * (4096 + 64));
    let mut script = String::new();
    for n in 0..4 {
        script.push_str(&format!("c A {} 5001 *4000\n", 2001 + 5000 * n));
    }
    let expected = ["1> gap 1000", "1> 4000 bytes"];
    let rest = ["1> gap 1000", "1> 4000 bytes"].repeat(3);
    let expected: Vec<&str> = expected.into_iter().chain(rest).chain(["1 InputEnd"]).collect();
    let counters = check_with(&opened(&script), &limits, &expected);
    assert_eq!((counters.gaps_capped, counters.gaps_at_end), (1, 3));
}

#[test]
fn too_many_pieces_give_up_holes() {
    let limits = limits(|limits| limits.max_out_of_order_pieces = 2);
    let counters = check_with(
        &opened("c A 1003 1 c\nc A 1005 1 e\nc A 1007 1 g\nc A 1009 1 i"),
        &limits,
        &[
            "1> gap 2",
            "1> c",
            "1> gap 1",
            "1> e",
            "1> gap 1",
            "1> g",
            "1> gap 1",
            "1> i",
            "1 InputEnd",
        ],
    );
    assert_eq!((counters.gaps_capped, counters.gaps_at_end), (2, 2));
}

#[test]
fn over_the_total_the_flow_that_waited_longest_gives_up() {
    let limits = limits(|limits| limits.max_out_of_order_total = 5000);
    let counters = check_with(
        "c A 1 1 a\nd A 1 1 b\nc A 3 1 *3000\nd A 3 1 *3000\nd A 2 1 c",
        &limits,
        &["1> a", "2> b", "1> gap 1", "1> 3000 bytes", "2> 3001 bytes", "1 InputEnd", "2 InputEnd"],
    );
    assert_eq!(counters.gaps_capped, 1);
}

#[test]
fn a_full_table_evicts_the_longest_idle() {
    let limits = limits(|limits| limits.max_flows = 2);
    let counters = check_with(
        "c A 1 1 a\nd A 1 1 b\nc A 2 1 c\nu x",
        &limits,
        &["1> a", "2> b", "1> c", "2 Evicted", "4> [x] 0", "1 InputEnd", "4 InputEnd"],
    );
    assert_eq!(counters.flows_evicted, 1);
}

#[test]
fn flows_that_are_over_are_evicted_first() {
    let limits = limits(|limits| limits.max_flows = 2);
    let counters = check_with(
        "c A 1 1 a\nd A 1 1 b\nt R 1\nu x",
        &limits,
        &["1> a", "2> b", "2 Reset", "4> [x] 0", "1 InputEnd", "4 InputEnd"],
    );
    assert_eq!(counters.flows_evicted, 0);
}

#[test]
fn floods_push_out_themselves() {
    for flood in ["S", "u"] {
        let mut lab = Lab::new(limits(|limits| limits.max_flows = 100));
        lab.run_lines("c A 1 1 precious");
        for port in 1..=2000 {
            let (mut line, _) = Line::parse(if flood == "S" { "d S 1" } else { "u x" }, 0);
            line.src.set_port(port);
            lab.send(&line);
        }
        lab.run_lines("c A 9 1 cargo");
        assert_eq!(lab.recorder.stream(1, Direction::ToServer), b"preciouscargo", "{flood}");
        assert_eq!(lab.table.len(), 100);
        assert_eq!(lab.table.counters().flows_evicted, 2001 - 100);
    }
}

#[test]
fn flows_whose_states_own_much_push_out_themselves() {
    let mut lab = Lab::new(limits(|limits| limits.max_state_total = 100_000));
    lab.recorder.keeps = true;
    lab.run_lines("c A 1 1 precious");
    for port in 1..=20 {
        for segment in 0..6 {
            let (mut line, _) = Line::parse(&format!("d A {} 1 *3000", 1 + 3000 * segment), 0);
            line.src.set_port(port);
            lab.send(&line);
        }
    }
    lab.run_lines("c A 9 1 cargo");
    assert_eq!(lab.recorder.stream(1, Direction::ToServer), b"preciouscargo");
    // Of the heavy ones so many stay as there is room for.
    assert_eq!(lab.table.len(), 1 + 5);
    let counters = lab.table.counters();
    assert_eq!((counters.flows_evicted, counters.heavy_flows_evicted), (15, 15));
    lab.finish();
}

/// One hostile direction, `count` segments; returns the counters and the most
/// memory seen.
fn flood(count: u32, segment: impl Fn(u32) -> String) -> (FlowCounters, usize) {
    let mut lab = Lab::new(FlowLimits::default());
    lab.run_lines(&opened(""));
    let mut peak = 0;
    for n in 0..count {
        let (line, _) = Line::parse(&segment(n), 0);
        lab.send(&line);
        peak = peak.max(lab.table.memory());
    }
    lab.finish();
    (*lab.table.counters(), peak)
}

/// Every payload byte is copied once at most, and little memory is held.
fn assert_cheap(name: &str, new_bytes: u64, segment: impl Fn(u32) -> String) {
    let (counters, peak) = flood(20_000, segment);
    assert!(counters.buffered_bytes <= new_bytes, "{name}: {}", counters.buffered_bytes);
    assert!(peak < 4 << 20, "{name}: {peak}");
}

#[test]
fn floods_of_segments_cost_bounded_memory_and_linear_copies() {
    assert_cheap("every other byte", 20_000, |n| format!("c A {} 1 x", 1003 + 2 * n));
    assert_cheap("backwards", 20_000, |n| format!("c A {} 1 x", 90_000 - 2 * n));
    assert_cheap("the same bytes", 1000, |_| String::from("c A 1003 1 *1000"));
    assert_cheap("growing", 1400, |n| format!("c A 1003 1 *{}", 1 + n % 1400));
    assert_cheap("shifting", 21_400, |n| format!("c A {} 1 *1400", 1003 + n));
}

#[test]
fn one_far_byte_costs_one_byte() {
    let (counters, peak) = flood(1, |_| String::from("c A 16000000 1 x"));
    assert_eq!(counters.buffered_bytes, 1);
    assert!(peak < 1 << 20);
}

#[test]
fn history_has_a_bound_for_all_flows() {
    let limits = limits(|limits| limits.max_history_total = 500);
    let counters = check_with(
        "c A 1 1 *2000\nd A 1 1 *2000\nc A 1900 1 different\nd A 1900 1 different",
        &limits,
        &["1> 2000 bytes", "2> 2000 bytes", "1 InputEnd conflict", "2 InputEnd"],
    );
    assert_eq!((counters.history_capped, counters.overlap_conflicts), (1, 1));
}
