//! Opening of connections, orientation, and reuse of a five-tuple.

use super::*;

#[test]
fn a_whole_connection() {
    let counters = check(
        &opened(
            "c A 1001 5001 ask
             s A 5001 1004 answer
             c FA 1004 5007
             s FA 5007 1005
             c A 1005 5008",
        ),
        &["1> ask", "1< answer", "1> end", "1< end", "1 Finished"],
    );
    let expected = FlowCounters {
        tcp_segments: 7,
        late_segments: 1,
        tcp_flows: 1,
        flows_finished: 1,
        delivered_bytes: 9,
        ..Default::default()
    };
    assert_eq!(counters, expected);
}

#[test]
fn a_flow_without_payload_is_only_counted() {
    let counters = check(&opened("c FA 1001 5001\ns FA 5001 1002"), &[]);
    assert_eq!((counters.tcp_flows, counters.flows_finished), (1, 1));
    let counters = check("c S 1000\ns RA 0 1001", &[]);
    assert_eq!((counters.tcp_flows, counters.flows_reset), (1, 1));
}

#[test]
fn the_syn_or_the_syn_ack_alone_tells_where_streams_start() {
    let cases = [
        ("the SYN-ACK is missing", "c S 1000\nc A 1001 5001", 0),
        ("the SYN is missing", "s SA 5000 1001\nc A 1001 5001", 0),
        ("the SYN comes after the SYN-ACK", "s SA 5000 1001\nc S 1000", 0),
        ("the SYN-ACK comes after the ACK", "c S 1000\nc A 1001 5001\ns SA 5000 1001", 0),
        ("everything is sent twice", "c S 1000\nc S 1000\ns SA 5000 1001\ns SA 5000 1001", 2),
        ("both sides open", "c S 1000\ns S 5000\nc SA 1000 5001\ns SA 5000 1001", 2),
    ];
    for (name, opening, retransmissions) in cases {
        let rest = "c A 1003 5001 d\ns A 5002 1001 yz\nc A 1001 5001 ab\ns A 5001 1003 x";
        let script = format!("{opening}\n{rest}");
        let counters = check(&script, &["1> abd", "1< xyz", "1 InputEnd"]);
        assert_eq!(counters.handshake_retransmissions, retransmissions, "{name}");
        assert_eq!(counters.midstream_flows, 0, "{name}");
    }
}

#[test]
fn one_direction_alone_is_followed() {
    check(
        "c S 1000\nc A 1001 5001 ab\nc A 1003 5009 cd\nc FA 1005 5009",
        &["1> abcd", "1> end", "1 Finished"],
    );
    check(
        "s SA 5000 1001\ns A 5001 1010 ab\ns A 5003 1020 cd\ns FA 5005 1020\ntick 12000",
        &["1< abcd", "1< end", "1 Finished"],
    );
    let counters = check("s A 5001 1010 ab\ns A 5003 1010 cd", &["1< abcd", "1 InputEnd"]);
    assert_eq!(counters.midstream_flows, 1);
}

#[test]
fn midstream_starts_at_the_first_segment_seen() {
    let counters = check(
        "c A 1001 5001 ask
         s A 5001 1004 answer
         s A 4990 1004 *11
         s A 4995 1004 *6
         s A 5007 1004 s",
        &["1> ask", "1< answers", "1 InputEnd"],
    );
    assert_eq!((counters.midstream_flows, counters.before_start_bytes), (1, 17));
}

#[test]
fn the_higher_port_is_taken_for_the_client_until_the_handler_knows_better() {
    check("s A 5001 1001 x", &["1< x", "1 InputEnd"]);
    let mut lab = Lab::new(FlowLimits::default());
    lab.recorder.reverse = true;
    lab.run_lines("s A 5001 1001 ask\nc A 1001 5004 answer");
    lab.finish();
    assert_eq!(lab.recorder.lines(), ["1> ask", "1< answer", "1 InputEnd"]);
}

#[test]
fn a_handshake_is_not_reversed() {
    let mut lab = Lab::new(FlowLimits::default());
    lab.recorder.reverse = true;
    lab.run_lines(&opened("c A 1001 5001 ask"));
    lab.finish();
    assert_eq!(lab.recorder.lines(), ["1> ask", "1 InputEnd"]);
}

#[test]
fn a_syn_that_comes_late_does_not_turn_round_a_flow_with_payload() {
    check("s A 5001 1001 x\ns S 5000\ns A 5002 1001 y", &["1< xy", "1 InputEnd"]);
}

#[test]
fn what_is_known_of_a_flow_follows_its_orientation() {
    struct Witness(Vec<FlowInfo>);
    impl FlowHandler for Witness {
        type State = ();
        fn opened(&mut self, _: &mut FlowInfo) {}
        fn data(&mut self, (): &mut (), flow: &mut FlowInfo, _: Direction, _: &[u8]) {
            self.0.push(flow.clone());
        }
        fn gap(&mut self, (): &mut (), _: &mut FlowInfo, _: Direction, _: u64) {}
        fn end(&mut self, (): &mut (), _: &mut FlowInfo, _: Direction) {}
        fn datagram(&mut self, (): &mut (), _: &mut FlowInfo, _: Direction, _: &[u8], _: u32) {}
        fn closed(&mut self, (): (), flow: &FlowInfo, _: CloseReason) {
            self.0.push(flow.clone());
        }
    }
    let mut table = FlowTable::new(FlowLimits::default(), FlowHasher::random());
    let mut witness = Witness(Vec::new());
    for (number, text) in ["c A 1001 5001 ask", "s A 5001 1004 answer cut=4"].iter().enumerate() {
        let (line, _) = Line::parse(text, 0);
        let packet = line.packet(number as u64 + 10, number as i64);
        let packet = Packet { source: SourceId(3), ..packet };
        table.on_packet(number as u64 + 70, &packet, &mut witness);
    }
    table.finish(&mut witness);
    let mut flow = witness.0.pop().unwrap();
    assert_eq!((flow.id(), flow.packets(), flow.gaps()), (70, 2, 1));
    assert_eq!(flow.first_packet().number, 10);
    assert_eq!(flow.packet().number, 11);
    assert_eq!(flow.packet().source, SourceId(3));
    assert_eq!(flow.client(), "10.0.0.2:50000".parse().unwrap());
    assert_eq!((flow.server_port(), flow.protocol()), (80, Protocol::Tcp));
    assert!(flow.is_midstream() && !flow.is_client_certain());
    assert_eq!((flow.bytes(Direction::ToServer), flow.bytes(Direction::ToClient)), (3, 10));
    assert!(flow.reverse());
    assert_eq!((flow.bytes(Direction::ToServer), flow.bytes(Direction::ToClient)), (10, 3));
    assert_eq!(flow.server(), "10.0.0.2:50000".parse().unwrap());
}

#[test]
fn data_on_the_syn() {
    let accepted = "c S 1000 ab\ns SA 5000 1003\nc A 1003 5001 cd";
    check(accepted, &["1> abcd", "1 InputEnd"]);
    let refused = "c S 1000 ab\ns SA 5000 1001\nc A 1001 5001 abcd";
    let counters = check(refused, &["1> abcd", "1 InputEnd"]);
    assert_eq!((counters.retransmitted_bytes, counters.overlap_conflicts), (2, 0));
}

#[test]
fn a_new_connection_with_the_same_five_tuple() {
    let rest = "c S 70000\ns SA 90000 70001\nc A 70001 90001 new";
    check(
        &opened(&format!("c A 1001 5001 ab\nc FA 1003 5001\ns FA 5001 1004\n{rest}")),
        &["1> ab", "1> end", "1< end", "1 Finished", "7> new", "7 InputEnd"],
    );
    check(
        &opened(&format!("c A 1001 5001 ab\ns RA 5001 1003\n{rest}")),
        &["1> ab", "1 Reset", "6> new", "6 InputEnd"],
    );
    check(
        &opened(&format!("c A 1001 5001 ab\nc FA 1003 5001\n{rest}")),
        &["1> ab", "1> end", "1 Reused", "6> new", "6 InputEnd"],
    );
}

#[test]
fn a_syn_far_away_reuses_an_open_flow() {
    check(
        &opened("c A 1001 5001 ab\nc S 900000000\ns SA 5 900000001\nc A 900000001 6 new"),
        &["1> ab", "1 Reused", "5> new", "5 InputEnd"],
    );
    check(
        &opened("c A 1001 5001 ab\ns SA 900000000 7001\nc A 7001 900000001 new"),
        &["1> ab", "1 Reused", "5> new", "5 InputEnd"],
    );
}

#[test]
fn a_syn_in_the_window_needs_the_other_sides_word() {
    let forged = opened("c A 1001 5001 ab\nc S 2000\nc A 1003 5001 cd");
    let counters = check(&forged, &["1> abcd", "1 InputEnd"]);
    assert_eq!(counters.handshakes_rejected, 1);
    check(
        &opened("c A 1001 5001 ab\nc S 2000\ns SA 9000 2001\nc A 2001 9001 new"),
        &["1> ab", "1 Reused", "6> new", "6 InputEnd"],
    );
}

#[test]
fn a_client_that_tries_again_with_another_number() {
    let counters =
        check("c S 1000\nc S 2000\ns SA 5000 2001\nc A 2001 5001 ab", &["2> ab", "2 InputEnd"]);
    assert_eq!(counters.flows_reused, 1);
}

#[test]
fn a_refused_syn_sent_again_opens_a_new_flow() {
    check(
        "c S 1000\ns RA 0 1001\nc S 1000\ns SA 5000 1001\nc A 1001 5001 ab",
        &["3> ab", "3 InputEnd"],
    );
}

#[test]
fn a_syn_ack_that_answers_no_syn_is_ignored() {
    let counters = check(
        "c S 1000\ns SA 700 4242\ns SA 5000 1001\ns A 5001 1001 ab",
        &["1< ab", "1 InputEnd"],
    );
    assert_eq!(counters.handshakes_rejected, 1);
}

#[test]
fn stray_segments_open_nothing() {
    let counters = check("c A 1001 5001\nc FA 1001 5001\ns R 5001\ns RA 0 1001", &[]);
    assert_eq!((counters.stray_segments, counters.tcp_flows), (4, 0));
}

#[test]
fn datagrams() {
    let counters = check(
        "u ask\nv answer cut=9\nu again\nc A 1 1 tcp",
        &["1> [ask] 0", "1< [answer] 9", "1> [again] 0", "4> tcp", "1 InputEnd", "4 InputEnd"],
    );
    assert_eq!((counters.udp_flows, counters.udp_datagrams), (1, 3));
    check("v first", &["1> [first] 0", "1 InputEnd"]);
    let mut lab = Lab::new(FlowLimits::default());
    lab.recorder.reverse = true;
    lab.run_lines("v answer\nu ask");
    assert_eq!(lab.recorder.lines(), ["1< [answer] 0", "1> [ask] 0"]);
}
