//! Random traffic against an oracle: the bytes that were sent.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::*;

/// A small generator of repeatable random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// One segment of a stream, by offset.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
}

/// Splits a stream, repeats and overlaps some parts, and shuffles within a
/// window of `disorder` segments.
fn parts(random: &mut Random, len: usize, disorder: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < len {
        let end = (at + 1 + random.below(1460)).min(len);
        parts.push(Part { start: at, end });
        if random.below(5) == 0 {
            let start = at.saturating_sub(random.below(3000));
            let end = (start + 1 + random.below(4000)).min(len);
            parts.push(Part { start, end });
        }
        at = end;
    }
    for index in 0..parts.len() {
        let other = (index + random.below(disorder + 1)).min(parts.len() - 1);
        parts.swap(index, other);
    }
    parts
}

fn packet(from: &str, isn: u32, part: Part, stream: &[u8], last: bool) -> Line {
    let (src, dst) = endpoints(from);
    let flags = if last { TcpFlags::FIN.0 } else { 0 };
    let seq = isn.wrapping_add(1).wrapping_add(part.start as u32);
    let header = TcpHeader { seq, ack: 0, flags: TcpFlags(flags) };
    let data = stream[part.start..part.end].to_vec();
    Line { src, dst, transport: Transport::Tcp(header), data, cut: 0 }
}

fn syn(from: &str, isn: u32) -> Line {
    let (src, dst) = endpoints(from);
    let header = TcpHeader { seq: isn, ack: 0, flags: TcpFlags::SYN };
    Line { src, dst, transport: Transport::Tcp(header), data: Vec::new(), cut: 0 }
}

#[test]
fn any_split_and_order_gives_the_bytes_that_were_sent() {
    for seed in 0..300 {
        let random = &mut Random(seed);
        let mut lab = Lab::new(FlowLimits::default());
        let streams = [0, 1].map(|_| {
            let len = 1 + random.below(40_000);
            random.bytes(len)
        });
        let isns = [0, 1].map(|_| match random.below(2) {
            0 => random.next() as u32,
            _ => 0_u32.wrapping_sub(random.below(40_000) as u32),
        });
        let mut lines: Vec<Line> = vec![syn("c", isns[0]), syn("s", isns[1])];
        let mut queues = [0, 1].map(|side| {
            let disorder = random.below(30);
            let mut parts = parts(random, streams[side].len(), disorder);
            parts.reverse();
            parts
        });
        while queues.iter().any(|queue| !queue.is_empty()) {
            let side = random.below(2);
            if let Some(part) = queues[side].pop() {
                let last = part.end == streams[side].len();
                lines.push(packet(["c", "s"][side], isns[side], part, &streams[side], last));
            }
        }
        for line in &lines {
            lab.send(line);
        }
        lab.finish();
        let counters = *lab.table.counters();
        assert_eq!((counters.gaps, counters.overlap_conflicts), (0, 0), "seed {seed}");
        for (stream, way) in streams.iter().zip([Direction::ToServer, Direction::ToClient]) {
            assert!(lab.recorder.stream(1, way) == *stream, "seed {seed} {way:?}");
        }
        let ends = ["1> end", "1< end", "1 Finished"].map(str::to_owned);
        let lines = lab.recorder.lines();
        assert!(ends.iter().all(|end| lines.contains(end)), "seed {seed}");
        assert_eq!(lab.table.in_use(), (0, 0), "seed {seed}");
    }
}

#[test]
fn with_loss_every_byte_is_right_or_in_a_gap() {
    for seed in 0..300 {
        let random = &mut Random(1_000_000 + seed);
        let mut lab = Lab::new(FlowLimits::default());
        lab.advance = seed % 2 == 0;
        let stream = pattern(0, 1 + random.below(60_000) as u32);
        let isn = random.next() as u32;
        lab.send(&syn("c", isn));
        let disorder = random.below(10);
        for part in parts(random, stream.len(), disorder) {
            lab.millis += random.below(400) as i64;
            if random.below(10) > 0 {
                let mut line = packet("c", isn, part, &stream, part.end == stream.len());
                if random.below(20) == 0 {
                    let keep = random.below(line.data.len());
                    line.cut = (line.data.len() - keep) as u32;
                    line.data.truncate(keep);
                }
                lab.send(&line);
            }
        }
        lab.finish();
        let mut at = 0;
        for event in &lab.recorder.log {
            match event {
                Event::Data(_, _, data) => {
                    assert!(stream[at..at + data.len()] == *data, "seed {seed} at {at}");
                    at += data.len();
                }
                Event::Other(text) => {
                    if let Some(len) = text.strip_prefix("1> gap ") {
                        at += len.parse::<usize>().unwrap();
                    }
                }
            }
        }
        assert!(at <= stream.len(), "seed {seed}");
        assert_eq!(lab.table.counters().overlap_conflicts, 0, "seed {seed}");
    }
}

#[test]
fn any_packets_at_all_are_survived() {
    for seed in 0..200 {
        let random = &mut Random(2_000_000 + seed);
        let mut lab = Lab::new(FlowLimits {
            max_flows: 4,
            max_out_of_order_per_flow: 20_000,
            max_out_of_order_total: 30_000,
            max_history_total: 2000,
            ..Default::default()
        });
        lab.recorder.reverse = random.below(2) == 0;
        lab.advance = random.below(2) == 0;
        let near = random.next() as u32;
        for _ in 0..400 {
            let who = ["c", "s", "d", "t", "u", "v"][random.below(6)];
            let (src, dst) = endpoints(who);
            let mut number = || match random.below(8) {
                0 => random.next() as u32,
                1 => near,
                _ => near.wrapping_add(random.below(3000) as u32),
            };
            let (seq, ack) = (number(), number());
            let flags = match random.below(4) {
                0 => TcpFlags(random.next() as u8),
                _ => TcpFlags::ACK,
            };
            let transport = match who {
                "u" | "v" => Transport::Udp,
                _ => Transport::Tcp(TcpHeader { seq, ack, flags }),
            };
            let len = random.below(2000).saturating_sub(500);
            let data = random.bytes(len);
            let cut = if random.below(10) == 0 { random.next() as u32 } else { 0 };
            lab.millis += match random.below(20) {
                0 => random.below(100_000) as i64,
                1 => -(random.below(100_000) as i64),
                _ => random.below(300) as i64,
            };
            lab.send(&Line { src, dst, transport, data, cut });
            assert!(lab.table.len() <= 4);
            assert!(lab.table.memory() < 400_000, "{}", lab.table.memory());
        }
        lab.finish();
        assert_eq!(lab.table.in_use(), (0, 0), "seed {seed}");
    }
}

/// Everything one flow was told, with the packet it was told at.
#[derive(Default)]
struct Ledger {
    told: BTreeMap<u64, Vec<String>>,
    /// After its first data, nothing more of a flow is wanted.
    dismisses: bool,
}

impl Ledger {
    fn note(&mut self, flow: &FlowInfo, text: String) {
        let at = flow.packet();
        self.told.entry(flow.id()).or_default().push(format!("{} {} {text}", at.number, at.time));
    }
}

impl FlowHandler for Ledger {
    type State = ();

    fn opened(&mut self, flow: &mut FlowInfo) {
        self.note(flow, String::from("opened"));
    }

    fn data(&mut self, (): &mut (), flow: &mut FlowInfo, direction: Direction, data: &[u8]) {
        self.note(flow, format!("{direction:?} {data:?}"));
        if self.dismisses {
            flow.dismiss();
        }
    }

    fn gap(&mut self, (): &mut (), flow: &mut FlowInfo, direction: Direction, len: u64) {
        self.note(flow, format!("{direction:?} gap {len}"));
    }

    fn end(&mut self, (): &mut (), flow: &mut FlowInfo, direction: Direction) {
        self.note(flow, format!("{direction:?} end"));
    }

    fn datagram(
        &mut self,
        (): &mut (),
        flow: &mut FlowInfo,
        direction: Direction,
        data: &[u8],
        _: u32,
    ) {
        self.note(flow, format!("{direction:?} [{data:?}]"));
    }

    fn closed(&mut self, (): (), flow: &FlowInfo, why: CloseReason) {
        // What remains when the input ends may have timed out before, if
        // somebody looked.
        let why = if why == CloseReason::TimedOut { CloseReason::InputEnd } else { why };
        let bytes = [Direction::ToServer, Direction::ToClient].map(|way| flow.bytes(way));
        self.note(flow, format!("{why:?} {} {bytes:?} {}", flow.packets(), flow.gaps()));
    }
}

/// Random but plausible packets of three flows, with their times in
/// milliseconds: some lost, some late, some long after the others, capture
/// times in slight disorder.
fn traffic(random: &mut Random) -> Vec<(i64, Line)> {
    let isn = random.next() as u32;
    let mut sent = [0_u32; 4];
    let mut millis = 1_780_000_000_000;
    let mut lines = Vec::new();
    for _ in 0..300 {
        let from = random.below(4);
        let len = random.below(30) as u32;
        let back = if random.below(8) == 0 { random.below(60) as u32 } else { 0 };
        let offset = sent[from].saturating_sub(back);
        let flags = match random.below(60) {
            0 => TcpFlags::SYN.0,
            1 => TcpFlags::RST.0 | TcpFlags::ACK.0,
            2 | 3 => TcpFlags::FIN.0 | TcpFlags::ACK.0,
            _ => TcpFlags::ACK.0,
        };
        let seq = isn.wrapping_add(offset);
        let ack = isn.wrapping_add(sent[from ^ 1]);
        let (src, dst) = endpoints(["c", "s", "d", "t"][from]);
        let transport = Transport::Tcp(TcpHeader { seq, ack, flags: TcpFlags(flags) });
        sent[from] = sent[from].max(offset + len);
        millis += match random.below(40) {
            0 => random.below(20_000) as i64,
            1 => random.below(400_000) as i64,
            _ => random.below(200) as i64,
        };
        let disorder = random.below(400) as i64;
        if random.below(8) > 0 {
            let data = pattern(offset, len);
            lines.push((millis - disorder, Line { src, dst, transport, data, cut: 0 }));
        }
        if random.below(10) == 0 {
            let (src, dst) = endpoints(["u", "v"][random.below(2)]);
            let data = vec![b'u'];
            lines.push((millis, Line { src, dst, transport: Transport::Udp, data, cut: 0 }));
        }
    }
    lines
}

#[test]
fn what_is_passed_over_changes_nothing() {
    let mut passed = 0;
    for seed in 0..300 {
        let lines = traffic(&mut Random(4_000_000 + seed));
        let mut run = |by_headers: bool| {
            let hasher = FlowHasher::random();
            let mut table = FlowTable::new(FlowLimits::default(), hasher.clone());
            let mut ledger = Ledger { dismisses: true, ..Ledger::default() };
            let mut counted = Vec::new();
            for (ordinal, (millis, line)) in (1..).zip(&lines) {
                let packet = line.packet(ordinal, millis * 1_000_000);
                let at = Moment { ordinal, table_time: packet.time, packet_time: packet.time };
                let key = hasher.key(&packet);
                let short = take_in(&mut table, by_headers, at, &key, &packet, &mut ledger);
                passed += usize::from(short);
                if ordinal % 3 == 0 {
                    table.advance(packet.time, &mut ledger);
                }
                counted.push((*table.counters(), table.len()));
            }
            table.finish(&mut ledger);
            (ledger.told, counted)
        };
        assert!(run(true) == run(false), "seed {seed}");
    }
    assert!(passed > 20_000, "{passed}");
}

#[test]
fn neither_time_nor_other_flows_change_what_a_flow_is_told() {
    for seed in 0..200 {
        let lines = traffic(&mut Random(3_000_000 + seed));
        let run = |workers: usize, every: usize| {
            let hasher = FlowHasher::random();
            let workers = NonZeroUsize::new(workers).unwrap();
            let mut ledger = Ledger::default();
            let mut tables: Vec<FlowTable<()>> = (0..workers.get())
                .map(|_| FlowTable::new(FlowLimits::default(), hasher.clone()))
                .collect();
            for (index, (millis, line)) in lines.iter().enumerate() {
                let ordinal = index as u64 + 1;
                let packet = line.packet(ordinal, millis * 1_000_000);
                if ordinal.is_multiple_of(every as u64) {
                    for table in &mut tables {
                        table.advance(packet.time, &mut ledger);
                    }
                }
                let key = hasher.key(&packet);
                let table = &mut tables[key.shard(workers)];
                let at = Moment { ordinal, table_time: packet.time, packet_time: packet.time };
                table.on_keyed_packet(at, &key, &packet, &mut ledger);
            }
            for table in &mut tables {
                table.finish(&mut ledger);
            }
            ledger.told
        };
        let expected = run(1, usize::MAX);
        for (workers, every) in [(1, 1), (1, 7), (3, usize::MAX), (5, 3)] {
            assert!(run(workers, every) == expected, "seed {seed}, {workers} workers, {every}");
        }
    }
}
