//! Sessions: a script says who sends what on which connection; here that
//! becomes handshakes, segments, acknowledgements, losses and reorderings.
//!
//! A session plans its frames one congestion window at a time, so that thousands
//! of sessions interleave and none holds more than one exchange.

use std::collections::VecDeque;
use std::ops::Range;

use super::payload::{Noise, Payload};
use super::random::Random;
use super::wire::{self, Endpoint, Segment, Side};

/// Nanoseconds of capture time.
pub(crate) type Nanos = u64;
pub(crate) const MICROSECOND: Nanos = 1_000;
pub(crate) const MILLISECOND: Nanos = 1_000_000;

/// What happens next in a session. Connections are numbered as they open.
pub(crate) enum Step {
    Open { client: Endpoint, server: Endpoint },
    Send { connection: usize, from: Side, payload: Payload },
    Datagram { client: Endpoint, server: Endpoint, from: Side, payload: Payload },
    Close { connection: usize },
    Reset { connection: usize },
    Pause(Nanos),
}

/// The author of a session's steps.
pub(crate) trait Script {
    /// Adds the steps of the next exchange, or none: then the session is over.
    fn next(&mut self, random: &mut Random, steps: &mut VecDeque<Step>);

    /// Whether every message of the session is counted in the truth: then the
    /// capture misses no segment of it, and does not end before it.
    fn is_counted(&self) -> bool {
        false
    }
}

/// Of a thousand data segments, how many are lost and sent again after the tap
/// saw the rest of their window; sent twice; overtaken by their successor; and,
/// of ten thousand, how many the tap misses for good.
const RESENT: usize = 3;
const DOUBLED: usize = 2;
const OVERTAKEN: usize = 3;
const MISSED_OF_TEN_THOUSAND: usize = 1;

struct Connection {
    client: Endpoint,
    server: Endpoint,
    /// The next sequence number of client and server.
    next: [u32; 2],
    /// Segments that client and server may send in one go.
    window: [usize; 2],
    timestamps: bool,
    round_trip: Nanos,
    spacing: Nanos,
}

impl Connection {
    fn segment_size(&self) -> usize {
        let headers = if self.client.address.is_ipv4() { 40 } else { 60 };
        1_500 - headers - if self.timestamps { 12 } else { 0 }
    }
}

enum Frame {
    Segment { connection: usize, from: Side, segment: Segment, data: Range<usize> },
    Datagram { client: Endpoint, server: Endpoint, from: Side },
}

struct Planned {
    at: Nanos,
    frame: Frame,
}

pub(crate) struct Session {
    script: Box<dyn Script>,
    connections: Vec<Connection>,
    steps: VecDeque<Step>,
    planned: VecDeque<Planned>,
    /// What is being sent, and how far that is.
    payload: Payload,
    sending: Option<(usize, Side, usize)>,
    now: Nanos,
}

impl Session {
    pub(crate) fn new(script: Box<dyn Script>, start: Nanos) -> Self {
        Self {
            script,
            connections: Vec::new(),
            steps: VecDeque::new(),
            planned: VecDeque::new(),
            payload: Payload::default(),
            sending: None,
            now: start,
        }
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.script.is_counted()
    }

    /// When the next frame is due; `None` when the session is over.
    pub(crate) fn due(&mut self, random: &mut Random) -> Option<Nanos> {
        while self.planned.is_empty() {
            if let Some((connection, from, done)) = self.sending {
                self.plan_window(random, connection, from, done);
            } else if let Some(step) = self.steps.pop_front() {
                self.plan(random, step);
            } else {
                self.script.next(random, &mut self.steps);
                if self.steps.is_empty() {
                    return None;
                }
            }
        }
        self.planned.front().map(|planned| planned.at)
    }

    /// Builds the next frame. `scratch` holds its payload.
    pub(crate) fn emit(&mut self, noise: &Noise, scratch: &mut Vec<u8>, frame: &mut Vec<u8>) {
        let Some(planned) = self.planned.pop_front() else { return };
        scratch.clear();
        match planned.frame {
            Frame::Segment { connection, from, segment, data } => {
                self.payload.copy(noise, data, scratch);
                let Connection { client, server, .. } = self.connections[connection];
                let (from, to) = ends(client, server, from);
                wire::tcp(frame, from, to, &segment, scratch);
            }
            Frame::Datagram { client, server, from } => {
                self.payload.copy(noise, 0..self.payload.len(), scratch);
                let (from, to) = ends(client, server, from);
                wire::udp(frame, from, to, scratch);
            }
        }
    }

    fn plan(&mut self, random: &mut Random, step: Step) {
        match step {
            Step::Open { client, server } => self.open(random, client, server),
            Step::Send { connection, from, payload } => {
                self.payload = payload;
                self.sending = Some((connection, from, 0));
            }
            Step::Datagram { client, server, from, payload } => {
                self.payload = payload;
                self.push(Frame::Datagram { client, server, from });
                self.now += 40 * MICROSECOND;
            }
            Step::Close { connection } => {
                for from in [Side::Server, Side::Client] {
                    self.control(connection, from, |s| s.fin = true);
                    let next = &mut self.connections[connection].next[from as usize];
                    *next = next.wrapping_add(1);
                }
                self.control(connection, Side::Server, |_| ());
            }
            Step::Reset { connection } => self.control(connection, Side::Client, |s| s.rst = true),
            Step::Pause(time) => self.now += time,
        }
    }

    fn open(&mut self, random: &mut Random, client: Endpoint, server: Endpoint) {
        let connection = self.connections.len();
        self.connections.push(Connection {
            client,
            server,
            next: [random.next() as u32, random.next() as u32],
            window: [10, 10],
            timestamps: random.permille(600),
            round_trip: random.magnitude(2..120) as Nanos * MILLISECOND,
            spacing: random.magnitude(15..200) as Nanos * MICROSECOND,
        });
        self.control(connection, Side::Client, |s| (s.syn, s.ack) = (true, None));
        self.connections[connection].next[0] = self.connections[connection].next[0].wrapping_add(1);
        self.now += self.connections[connection].round_trip;
        self.control(connection, Side::Server, |s| s.syn = true);
        self.connections[connection].next[1] = self.connections[connection].next[1].wrapping_add(1);
        self.control(connection, Side::Client, |_| ());
    }

    /// Plans the next window of what `from` sends, with the acknowledgements.
    fn plan_window(&mut self, random: &mut Random, connection: usize, from: Side, done: usize) {
        let size = self.connections[connection].segment_size();
        let (spacing, round_trip) = {
            let c = &self.connections[connection];
            (c.spacing, c.round_trip)
        };
        let base = self.connections[connection].next[from as usize].wrapping_sub(done as u32);
        let end = self
            .payload
            .len()
            .min(done + self.connections[connection].window[from as usize] * size);
        let mut late = Vec::new();
        let mut overtaken = None;
        let mut hole = None;
        let mut unacknowledged = 0;
        let mut start = done;
        while start < end {
            let data = start..end.min(start + size);
            start = data.end;
            let fate = random.within(0..1_000);
            if fate < RESENT {
                hole = hole.or(Some(data.start));
                late.push(data);
                continue;
            }
            if !self.is_counted() && random.within(0..10_000) < MISSED_OF_TEN_THOUSAND {
                continue;
            }
            if fate < RESENT + DOUBLED {
                late.push(data.clone());
            } else if fate < RESENT + DOUBLED + OVERTAKEN && overtaken.is_none() {
                overtaken = Some(data);
                continue;
            }
            self.data(connection, from, base, data);
            if let Some(data) = overtaken.take() {
                self.data(connection, from, base, data);
                unacknowledged += 1;
            }
            unacknowledged += 1;
            if unacknowledged >= 2 {
                unacknowledged = 0;
                self.acknowledge(connection, from.other(), base, hole.unwrap_or(start));
            }
            self.now += spacing;
        }
        for data in overtaken.into_iter() {
            self.data(connection, from, base, data);
        }
        if !late.is_empty() {
            self.now += round_trip;
            for data in late {
                self.data(connection, from, base, data);
            }
        }
        self.acknowledge(connection, from.other(), base, end);
        let c = &mut self.connections[connection];
        c.next[from as usize] = base.wrapping_add(end as u32);
        c.window[from as usize] = (c.window[from as usize] * 2).min(64);
        self.now += if end < self.payload.len() { round_trip } else { round_trip / 2 };
        self.sending = (end < self.payload.len()).then_some((connection, from, end));
    }

    fn data(&mut self, connection: usize, from: Side, base: u32, data: Range<usize>) {
        let mut segment = self.header(connection, from);
        segment.seq = base.wrapping_add(data.start as u32);
        self.push(Frame::Segment { connection, from, segment, data });
    }

    fn acknowledge(&mut self, connection: usize, from: Side, base: u32, up_to: usize) {
        let mut segment = self.header(connection, from);
        segment.ack = Some(base.wrapping_add(up_to as u32));
        self.push(Frame::Segment { connection, from, segment, data: 0..0 });
    }

    fn control(&mut self, connection: usize, from: Side, change: impl FnOnce(&mut Segment)) {
        let mut segment = self.header(connection, from);
        change(&mut segment);
        self.push(Frame::Segment { connection, from, segment, data: 0..0 });
        self.now += 50 * MICROSECOND;
    }

    fn header(&self, connection: usize, from: Side) -> Segment {
        let c = &self.connections[connection];
        Segment {
            seq: c.next[from as usize],
            ack: Some(c.next[from.other() as usize]),
            syn: false,
            fin: false,
            rst: false,
            timestamp: c.timestamps.then_some((self.now / MILLISECOND) as u32),
        }
    }

    fn push(&mut self, frame: Frame) {
        self.planned.push_back(Planned { at: self.now, frame });
    }
}

fn ends(client: Endpoint, server: Endpoint, from: Side) -> (Endpoint, Endpoint) {
    match from {
        Side::Client => (client, server),
        Side::Server => (server, client),
    }
}
