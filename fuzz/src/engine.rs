//! The engine: the content of a few TCP flows, cut and ordered in different
//! ways and run by different numbers of workers, gives the same findings.
//!
//! Input: a byte of options (bit 0: also run by several workers, bit 1: segments
//! are swapped, bit 2: segments are repeated), a seed for the cuts, then steps:
//! a byte (bits 0 and 1: which flow, bit 2: from the server, bits 3 to 5: what
//! happens) and, for data and waiting, a little-endian number of two bytes;
//! then the data.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::Duration;

use mcpwatch::Engine;
use mcpwatch::capture::{Block, Fill, Frame, PcapWriter, Precision, Reader, SourceId};
use mcpwatch::detect::FindingOptions;
use mcpwatch::engine::BlockSource;
use mcpwatch::findings::Row;
use mcpwatch::signature::SignatureSet;
use mcpwatch::stream::Direction;
use mcpwatch::time::Timestamp;

use super::compare::same_list;
use super::input::{Cut, Input, Random};
use super::packets::{self, Header};

/// Signatures that ask for every value of messages and of OAuth.
const VALUES: &str = r#"
version = 1
[[signature]]
id = "values.text"
title = "Any text"
fields = [
    "sse.event", "jsonrpc.method", "jsonrpc.params.name", "jsonrpc.params.uri", "mcp.tool.name",
    "mcp.tool.description", "oauth.resource", "oauth.scope", "oauth.redirect_uris",
]
regex = '[aeiou].$'
strength = "weak"
[[signature]]
id = "values.json"
title = "Any JSON"
fields = ["mcp.arguments", "mcp.result"]
regex = '[aeiou]..$'
strength = "weak"
"#;

/// An engine with the shipped signatures, and some for values that those do not ask
/// for, that writes every message.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let options = FindingOptions { messages: true, ..FindingOptions::default() };
        let mut set = SignatureSet::builtin();
        let values = SignatureSet::parse("values.toml", VALUES).expect("a set");
        set.merge(values).expect("ids of its own");
        Engine::builder().signatures(set).findings(options).build().expect("the sets compile")
    })
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte(), input.byte());
    let steps = steps(input);
    let segmentation = |cut| Segmentation {
        cut,
        swap: options & 2 != 0 && cut != Cut::Whole,
        repeat: options & 4 != 0 && cut != Cut::Whole,
    };
    let whole = segments(&steps, segmentation(Cut::Whole));
    let findings = comparable(findings(&whole));
    let total: usize = steps.iter().map(|step| step.data.len()).sum();
    let cuts =
        if total <= 2048 { &[Cut::Bytes, Cut::Random(seed)][..] } else { &[Cut::Random(seed)] };
    for cut in cuts {
        let other = segments(&steps, segmentation(*cut));
        same_list(&comparable(self::findings(&other)), &findings, *cut);
        if options & 1 != 0 && *cut == Cut::Random(seed) {
            compare_workers(&other);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Data,
    Open,
    Finish,
    Reset,
    Wait,
}

#[derive(Clone, Copy, Debug)]
struct Step<'a> {
    flow: usize,
    direction: Direction,
    what: What,
    wait: Duration,
    data: &'a [u8],
}

fn steps(mut input: Input<'_>) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    while !input.is_empty() && steps.len() < 2048 {
        let first = input.byte();
        let what = match first >> 3 & 7 {
            4 => What::Open,
            5 => What::Finish,
            6 => What::Reset,
            7 => What::Wait,
            _ => What::Data,
        };
        let number = if matches!(what, What::Data | What::Wait) { input.number() } else { 0 };
        let len = usize::from(number).min(packets::MAX_PAYLOAD);
        steps.push(Step {
            flow: usize::from(first & 3),
            direction: if first & 4 == 0 { Direction::ToServer } else { Direction::ToClient },
            what,
            wait: Duration::from_millis(10) * u32::from(number),
            data: if what == What::Data { input.take(len) } else { b"" },
        });
    }
    steps
}

/// Client and server of each flow.
fn endpoints(flow: usize) -> [SocketAddr; 2] {
    match flow {
        0 => [([192, 0, 2, 1], 40_000).into(), ([198, 51, 100, 1], 8000).into()],
        1 => [([192, 0, 2, 1], 40_001).into(), ([198, 51, 100, 1], 8000).into()],
        2 => [([192, 0, 2, 2], 40_000).into(), ([198, 51, 100, 2], 443).into()],
        _ => {
            let address = |last: u16| [0x2001, 0xdb8, 0, 0, 0, 0, 0, last];
            [(address(1), 40_000).into(), (address(2), 80).into()]
        }
    }
}

/// A flow without packets for so long may be forgotten.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// How steps become segments.
#[derive(Clone, Copy, Debug)]
struct Segmentation {
    cut: Cut,
    /// Segments of one step come out of order, if the flow's start was seen and is
    /// not forgotten by now.
    swap: bool,
    /// Some come twice.
    repeat: bool,
}

struct Segment {
    time: Timestamp,
    frame: Vec<u8>,
}

/// Both ends of a flow.
#[derive(Clone, Copy, Debug)]
struct Flow {
    next: [u32; 2],
    ended: [bool; 2],
    opened: u32,
    /// How long there were pauses since it was opened.
    waited: Duration,
}

fn segments(steps: &[Step<'_>], how: Segmentation) -> Vec<Segment> {
    let flow = Flow { next: [1000, 2000], ended: [false; 2], opened: 0, waited: Duration::ZERO };
    let mut flows = [flow; 4];
    let mut random = Random::new(match how.cut {
        Cut::Random(seed) => seed,
        Cut::Whole | Cut::Bytes => 0,
    });
    let mut now = Duration::from_secs(1_780_000_000);
    let mut segments = Vec::new();
    for step in steps {
        now += Duration::from_millis(1) + step.wait;
        flows.iter_mut().for_each(|flow| flow.waited += step.wait);
        let time = Timestamp::from_nanos(now.as_nanos() as i64);
        let frames = flows[step.flow].frames(step, how, &mut random);
        segments.extend(frames.into_iter().map(|frame| Segment { time, frame }));
    }
    segments
}

impl Flow {
    fn frames(&mut self, step: &Step<'_>, how: Segmentation, random: &mut Random) -> Vec<Vec<u8>> {
        const ACK: u8 = 0x10;
        let Step { flow, direction, what, data, .. } = *step;
        let mut out = Out { endpoints: endpoints(flow), frames: Vec::new() };
        if self.ended[direction.index()] && what != What::Open {
            return out.frames;
        }
        match what {
            What::Wait => {}
            What::Open => {
                self.opened += 1;
                self.next = [1_000_000 * self.opened, 3_000_000 * self.opened];
                self.ended = [false; 2];
                self.waited = Duration::ZERO;
                let [client, server] = self.next;
                out.send(Direction::ToServer, client, 0, 0x02, b"");
                out.send(Direction::ToClient, server, client + 1, 0x12, b"");
                self.next = [client + 1, server + 1];
                out.send(Direction::ToServer, client + 1, server + 1, ACK, b"");
            }
            What::Finish | What::Reset => {
                let (seq, ack) = self.numbers(direction);
                let flag = if what == What::Finish { 0x01 } else { 0x04 };
                out.send(direction, seq, ack, ACK | flag, b"");
                self.next[direction.index()] += 1;
                self.ended[direction.index()] = true;
                if what == What::Reset {
                    self.ended = [true; 2];
                }
            }
            What::Data => {
                for piece in how.cut.pieces(data) {
                    let (seq, ack) = self.numbers(direction);
                    out.send(direction, seq, ack, ACK, piece);
                    self.next[direction.index()] += piece.len() as u32;
                }
            }
        }
        if what == What::Data && how.swap && self.opened > 0 && self.waited < FORGOTTEN {
            let last = out.frames.len().saturating_sub(1);
            for index in 0..out.frames.len() {
                out.frames.swap(index, (index + random.below(4)).min(last));
            }
        }
        if what == What::Data && how.repeat {
            let again = |frame: Vec<u8>| vec![frame; 1 + usize::from(random.below(4) == 0)];
            out.frames = out.frames.into_iter().flat_map(again).collect();
        }
        out.frames
    }

    fn numbers(&self, direction: Direction) -> (u32, u32) {
        (self.next[direction.index()], self.next[direction.reverse().index()])
    }
}

struct Out {
    endpoints: [SocketAddr; 2],
    frames: Vec<Vec<u8>>,
}

impl Out {
    fn send(&mut self, direction: Direction, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        let src = self.endpoints[direction.index()];
        let dst = self.endpoints[direction.reverse().index()];
        self.frames.push(packets::frame(src, dst, Header { seq, ack, flags }, payload));
    }
}

fn findings(segments: &[Segment]) -> Vec<Row> {
    let mut worker = engine().worker();
    let mut rows = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let frame = Frame {
            number: index as u64 + 1,
            time: segment.time,
            link: packets::LINK,
            source: SourceId(0),
            data: &segment.frame,
            original_len: segment.frame.len() as u32,
        };
        worker.on_frame(&frame, &mut rows);
    }
    let statistics = worker.finish(&mut rows);
    assert_eq!(statistics.decode.frames, segments.len() as u64);
    rows
}

/// What of findings may not depend on how streams were cut: all but the numbers
/// of packets, and (as they come with the packets) the bytes so far.
fn comparable(rows: Vec<Row>) -> Vec<Row> {
    let without = |row: Row| Row {
        capture: Default::default(),
        packets: 0,
        ongoing: None,
        bytes_to_server: 0,
        bytes_to_client: 0,
        ..row
    };
    rows.into_iter().map(without).collect()
}

fn compare_workers(segments: &[Segment]) {
    let run = |workers: usize, may_wait: bool| {
        let mut source = Captures::new(segments, may_wait);
        let mut rows = Vec::new();
        let workers = NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN);
        let statistics = engine().replay(workers, &mut source, &mut rows);
        (rows, statistics.to_json())
    };
    let one = run(1, true);
    assert_eq!(run(2, true), one, "two workers");
    assert_eq!(run(2, false), one, "two workers, one of whom deals out");
}

/// Segments in several captures, so that there are several blocks.
struct Captures {
    readers: std::vec::IntoIter<Reader>,
    may_wait: bool,
}

impl Captures {
    fn new(segments: &[Segment], may_wait: bool) -> Self {
        let size = segments.len().div_ceil(4).max(1);
        let readers: Vec<Reader> = segments
            .chunks(size)
            .enumerate()
            .map(|(index, segments)| {
                let capture = capture(segments).expect("written to memory");
                let source = SourceId(index as u32);
                Reader::new("fuzz", source, std::io::Cursor::new(capture)).expect("a capture")
            })
            .collect();
        Self { readers: readers.into_iter(), may_wait }
    }
}

fn capture(segments: &[Segment]) -> std::io::Result<Vec<u8>> {
    let mut writer = PcapWriter::new(Vec::new(), packets::LINK, Precision::Nanos)?;
    for Segment { time, frame } in segments {
        writer.frame(*time, frame, frame.len() as u32)?;
    }
    writer.finish()
}

impl BlockSource for Captures {
    fn fill(&mut self, block: &mut Block) -> Fill {
        match self.readers.next() {
            // Each is shorter than a block.
            Some(mut reader) => reader.fill(block).expect("a whole capture"),
            None => Fill::End,
        }
    }

    fn may_wait(&self) -> bool {
        self.may_wait
    }
}
