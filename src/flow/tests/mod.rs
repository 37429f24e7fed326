//! Packet scripts run against a flow table.
//!
//! A script has one packet a line: `who flags seq [ack] [data]`.
//!
//! * who: `c` and `s` are client and server of a TCP flow, `d` and `t` of
//!   another one, `u` and `v` of a UDP flow (no flags, no numbers);
//! * flags: `S`, `F`, `R`, `A`, or `-` for none;
//! * seq and ack: relative to a base that the runner varies, so that each
//!   script is also a test of wrapping;
//! * data: text, or `*n` for n bytes that depend on their sequence numbers;
//! * `cut=n`: the snap length cut n bytes;
//! * `+ms`: so much later than the packet before (default: 1 ms);
//! * `tick ms` instead of a packet: time advances without one.
//!
//! Each script runs with several bases, with and without `advance` before each
//! packet, and with whole segments taken in by their headers; the outcome must
//! always be the same.

mod ending;
mod handshake;
mod limits;
mod ordering;
mod property;

use std::net::SocketAddr;

use super::*;
use crate::capture::SourceId;
use crate::decode::{Packet, TcpFlags, TcpHeader, Transport, TunnelPath};
use crate::stream::Direction;
use crate::time::Timestamp;

/// Writes down what it is told, joining adjacent data.
#[derive(Default)]
pub(super) struct Recorder {
    log: Vec<Event>,
    /// Reverse the flow when it is opened.
    reverse: bool,
    /// Dismiss the direction (or everything) at the first data.
    dismiss: Option<Dismiss>,
    /// Say that what was handed on of a flow is kept.
    keeps: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Dismiss {
    Flow,
    Direction,
    OtherDirection,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    Data(u64, Direction, Vec<u8>),
    Other(String),
}

impl Recorder {
    fn say(&mut self, text: String) {
        self.log.push(Event::Other(text));
    }

    /// The log as text.
    fn lines(&self) -> Vec<String> {
        let line = |event: &Event| match event {
            Event::Data(id, direction, data) => match std::str::from_utf8(data) {
                Ok(text) if data.len() < 60 => format!("{id}{} {text}", arrow(*direction)),
                _ => format!("{id}{} {} bytes", arrow(*direction), data.len()),
            },
            Event::Other(text) => text.clone(),
        };
        self.log.iter().map(line).collect()
    }

    /// All bytes of one direction of one flow.
    fn stream(&self, flow: u64, way: Direction) -> Vec<u8> {
        let mut stream = Vec::new();
        for event in &self.log {
            if let Event::Data(id, direction, data) = event
                && (*id, *direction) == (flow, way)
            {
                stream.extend_from_slice(data);
            }
        }
        stream
    }
}

fn arrow(direction: Direction) -> char {
    match direction {
        Direction::ToServer => '>',
        Direction::ToClient => '<',
    }
}

impl FlowHandler for Recorder {
    type State = u64;

    fn opened(&mut self, flow: &mut FlowInfo) -> u64 {
        if self.reverse {
            flow.reverse();
        }
        flow.id()
    }

    fn data(&mut self, id: &mut u64, flow: &mut FlowInfo, direction: Direction, data: &[u8]) {
        assert!(!data.is_empty() && *id == flow.id() && !flow.is_dismissed(direction));
        match self.log.last_mut() {
            Some(Event::Data(last_id, last, bytes)) if (*last_id, *last) == (*id, direction) => {
                bytes.extend_from_slice(data);
            }
            _ => self.log.push(Event::Data(*id, direction, data.to_vec())),
        }
        match self.dismiss {
            Some(Dismiss::Flow) => flow.dismiss(),
            Some(Dismiss::Direction) => flow.dismiss_direction(direction),
            Some(Dismiss::OtherDirection) => flow.dismiss_direction(direction.reverse()),
            None => {}
        }
    }

    fn gap(&mut self, id: &mut u64, _: &mut FlowInfo, direction: Direction, len: u64) {
        assert!(len > 0);
        self.say(format!("{id}{} gap {len}", arrow(direction)));
    }

    fn end(&mut self, id: &mut u64, _: &mut FlowInfo, direction: Direction) {
        self.say(format!("{id}{} end", arrow(direction)));
    }

    fn datagram(
        &mut self,
        id: &mut u64,
        _: &mut FlowInfo,
        direction: Direction,
        data: &[u8],
        missing: u32,
    ) {
        let text = String::from_utf8_lossy(data);
        self.say(format!("{id}{} [{text}] {missing}", arrow(direction)));
    }

    fn memory(&self, id: &u64) -> usize {
        if !self.keeps {
            return 0;
        }
        let ways = [Direction::ToServer, Direction::ToClient];
        ways.into_iter().map(|way| self.stream(*id, way).len()).sum()
    }

    fn closed(&mut self, id: u64, flow: &FlowInfo, why: CloseReason) {
        let mark = if flow.has_overlap_conflict() { " conflict" } else { "" };
        self.say(format!("{id} {why:?}{mark}"));
    }
}

/// A flow table with a recorder above it and a source of packets below.
pub(super) struct Lab {
    table: FlowTable<u64>,
    recorder: Recorder,
    ordinal: u64,
    millis: i64,
    base: u32,
    advance: bool,
    /// Whole segments are made packets only where that is asked for.
    by_headers: bool,
    /// By how much the capture's clock is ahead, where another one tells the time.
    ahead: Option<i64>,
}

impl Lab {
    pub(super) fn new(limits: FlowLimits) -> Self {
        Self {
            table: FlowTable::new(limits, FlowHasher::random()),
            recorder: Recorder::default(),
            ordinal: 0,
            millis: 1_780_000_000_000,
            base: 0,
            advance: false,
            by_headers: false,
            ahead: None,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.millis * 1_000_000)
    }

    /// Sends one packet, now.
    pub(super) fn send(&mut self, line: &Line) {
        self.ordinal += 1;
        let (ordinal, now) = (self.ordinal, self.now());
        let ahead = self.ahead.unwrap_or(0) * 1_000_000;
        let packet = line.packet(ordinal, now.as_nanos() + ahead);
        if self.advance {
            self.table.advance(self.now(), &mut self.recorder);
        }
        if self.ahead.is_none() && !self.by_headers {
            return self.table.on_packet(ordinal, &packet, &mut self.recorder);
        }
        let key = self.table.hasher().key(&packet);
        let at = Moment { ordinal, table_time: now, packet_time: now };
        take_in(&mut self.table, self.by_headers, at, &key, &packet, &mut self.recorder);
    }

    pub(super) fn run_line(&mut self, text: &str) {
        if let Some(millis) = text.strip_prefix("tick ") {
            self.millis += millis.parse::<i64>().unwrap();
            return self.table.advance(self.now(), &mut self.recorder);
        }
        let (line, later) = Line::parse(text, self.base);
        self.millis += later;
        self.send(&line);
    }

    pub(super) fn run_lines(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.run_line(line);
        }
    }

    fn finish(&mut self) {
        self.table.finish(&mut self.recorder);
        assert!(self.table.is_empty());
        let counters = self.table.counters();
        let accounted = counters.tcp_segments
            + counters.udp_datagrams
            + counters.stray_segments
            + counters.late_segments
            + counters.handshakes_rejected;
        assert_eq!(accounted, self.ordinal, "every packet has one outcome");
        let ended = counters.flows_finished
            + counters.flows_reset
            + counters.flows_timed_out
            + counters.flows_reused
            + counters.flows_evicted
            + counters.flows_open_at_end;
        assert_eq!(ended, counters.tcp_flows + counters.udp_flows, "every flow has one end");
        let causes = counters.gaps_snapped
            + counters.gaps_acked
            + counters.gaps_overdue
            + counters.gaps_capped
            + counters.gaps_at_end
            + counters.gaps_jumped;
        assert_eq!(causes, counters.gaps, "every gap has one cause");
    }
}

/// Gives a packet to a table: by its header alone if that may be, and it is a whole segment.
/// Whether that was enough.
fn take_in<H: FlowHandler>(
    table: &mut FlowTable<H::State>,
    by_headers: bool,
    at: Moment,
    key: &PacketKey,
    packet: &Packet<'_>,
    handler: &mut H,
) -> bool {
    let Transport::Tcp(header) = packet.transport else {
        table.on_keyed_packet(at, key, packet, handler);
        return false;
    };
    if !by_headers || packet.missing > 0 {
        table.on_keyed_packet(at, key, packet, handler);
        return false;
    }
    let payload = packet.payload.len() as u32;
    let segment = Segment { key, header, from: packet.into(), payload };
    let mut passed = true;
    let make = || {
        passed = false;
        *packet
    };
    table.on_segment(at, &segment, make, handler);
    passed
}

/// A parsed line of a script.
pub(super) struct Line {
    src: SocketAddr,
    dst: SocketAddr,
    transport: Transport,
    data: Vec<u8>,
    cut: u32,
}

impl Line {
    /// The packet, of that number and time in nanoseconds.
    fn packet(&self, number: u64, nanos: i64) -> Packet<'_> {
        Packet {
            number,
            time: Timestamp::from_nanos(nanos),
            source: SourceId(0),
            src: self.src,
            dst: self.dst,
            transport: self.transport,
            payload: &self.data,
            missing: self.cut,
            tunnel: TunnelPath::default(),
        }
    }

    fn parse(text: &str, base: u32) -> (Self, i64) {
        let mut later = 1;
        let mut cut = 0;
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            if let Some(millis) = word.strip_prefix('+') {
                later = millis.parse().unwrap();
            } else if let Some(len) = word.strip_prefix("cut=") {
                cut = len.parse().unwrap();
            } else {
                words.push(word);
            }
        }
        let (src, dst) = endpoints(words[0]);
        if matches!(words[0], "u" | "v") {
            let data = words.get(1).map_or_else(Vec::new, |word| word.as_bytes().to_vec());
            return (Self { src, dst, transport: Transport::Udp, data, cut }, later);
        }
        let flags = flags(words[1]);
        let number = |word: &str| base.wrapping_add(word.parse().unwrap());
        let seq = number(words[2]);
        let has_ack = flags.contains(TcpFlags::ACK);
        let ack = if has_ack { number(words[3]) } else { 0 };
        let data = match words.get(if has_ack { 4 } else { 3 }) {
            None => Vec::new(),
            Some(word) => match word.strip_prefix('*') {
                Some(len) => pattern(seq.wrapping_sub(base), len.parse().unwrap()),
                None => word.as_bytes().to_vec(),
            },
        };
        let transport = Transport::Tcp(TcpHeader { seq, ack, flags });
        (Self { src, dst, transport, data, cut }, later)
    }
}

fn endpoints(who: &str) -> (SocketAddr, SocketAddr) {
    let client = |port| SocketAddr::from(([10, 0, 0, 2], port));
    let server = |port| SocketAddr::from(([10, 0, 0, 1], port));
    match who {
        "c" => (client(50_000), server(80)),
        "s" => (server(80), client(50_000)),
        "d" => (client(50_001), server(80)),
        "t" => (server(80), client(50_001)),
        "u" => (client(40_000), server(53)),
        "v" => (server(53), client(40_000)),
        _ => panic!("nobody is called {who}"),
    }
}

fn flags(text: &str) -> TcpFlags {
    let bits = text.chars().map(|flag| match flag {
        'S' => TcpFlags::SYN.0,
        'F' => TcpFlags::FIN.0,
        'R' => TcpFlags::RST.0,
        'A' => TcpFlags::ACK.0,
        _ => 0,
    });
    TcpFlags(bits.fold(0, |all, bit| all | bit))
}

/// Bytes that depend on their sequence numbers, so that copies agree.
fn pattern(seq: u32, len: u32) -> Vec<u8> {
    (seq..seq + len).map(|seq| (seq.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// What a script came to.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    lines: Vec<String>,
    counters: FlowCounters,
}

fn run_once(
    script: &str,
    limits: &FlowLimits,
    base: u32,
    (advance, by_headers): (bool, bool),
) -> Outcome {
    let mut lab = Lab::new(limits.clone());
    lab.base = base;
    lab.advance = advance;
    lab.by_headers = by_headers;
    lab.run_lines(script);
    lab.finish();
    Outcome { lines: lab.recorder.lines(), counters: *lab.table.counters() }
}

/// Runs a script in all variants and checks what the handler was told.
pub(super) fn check_with(script: &str, limits: &FlowLimits, expected: &[&str]) -> FlowCounters {
    let outcome = run_once(script, limits, 0, (false, false));
    assert_eq!(outcome.lines, expected, "{script}");
    for base in [0, u32::MAX - 1000, u32::MAX - 1003, u32::MAX - 5001, 0x7fff_fc00] {
        for how in [(false, false), (true, false), (false, true), (true, true)] {
            let again = run_once(script, limits, base, how);
            assert_eq!(again, outcome, "base {base}, advance and by headers {how:?}: {script}");
        }
    }
    outcome.counters
}

pub(super) fn check(script: &str, expected: &[&str]) -> FlowCounters {
    check_with(script, &FlowLimits::default(), expected)
}

/// The script after an opening handshake: the client's stream starts at 1001,
/// the server's at 5001.
pub(super) fn opened(script: &str) -> String {
    format!("c S 1000\ns SA 5000 1001\nc A 1001 5001\n{script}")
}
