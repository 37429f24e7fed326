//! Event streams: one stream, with gaps, cut anywhere; without gaps compared
//! with a plain reading of the standard.
//!
//! Input: a seed for the cuts, then steps (see `input.rs`) whose direction does
//! not matter.

use mcpwatch::stream::sse::{MAX_FIELD_VALUE, SseCounters, SseEvent, SseParser, SseSink};

use super::compare::{same_counters, same_list};
use super::input::{Cut, Input, Step, steps};

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.byte();
    let steps = steps(input);
    let whole = read(&steps, Cut::Whole);
    for cut in Cut::others(seed) {
        let other = read(&steps, cut);
        same_list(&other.0, &whole.0, cut);
        same_counters(&other.1, &whole.1, SseCounters::each, cut);
    }
    if let Some(stream) = joined(&steps) {
        let events = whole.0.into_iter().filter(|event| matches!(event, Event::Whole { .. }));
        same_list(&events.collect::<Vec<_>>(), &by_the_standard(&stream), Cut::Whole);
    }
}

#[derive(Debug, PartialEq)]
enum Event {
    Whole { name: Vec<u8>, id: Vec<u8>, data: Vec<u8>, damaged: bool },
    Discarded(Vec<u8>),
}

#[derive(Default)]
struct Log {
    events: Vec<Event>,
    data: Vec<u8>,
}

impl SseSink for Log {
    fn data(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.data.extend_from_slice(bytes);
    }

    fn event_end(&mut self, event: &SseEvent<'_>) {
        self.events.push(Event::Whole {
            name: event.name.to_vec(),
            id: event.id.to_vec(),
            data: std::mem::take(&mut self.data),
            damaged: event.damaged,
        });
    }

    fn event_discarded(&mut self) {
        self.events.push(Event::Discarded(std::mem::take(&mut self.data)));
    }
}

fn read(steps: &[Step<'_>], cut: Cut) -> (Vec<Event>, SseCounters) {
    let mut parser = SseParser::new();
    let mut log = Log::default();
    for step in steps {
        match *step {
            Step::Data(_, data) => {
                cut.pieces(data).for_each(|piece| parser.feed(piece, &mut log));
            }
            Step::Gap(..) => parser.gap(&mut log),
            Step::End(_) => parser.end(&mut log),
        }
    }
    parser.end(&mut log);
    assert!(log.data.is_empty(), "data of no event");
    (log.events, *parser.counters())
}

/// The data of steps that are nothing but data.
fn joined(steps: &[Step<'_>]) -> Option<Vec<u8>> {
    steps.iter().try_fold(Vec::new(), |mut stream, step| match step {
        Step::Data(_, data) => {
            stream.extend_from_slice(data);
            Some(stream)
        }
        _ => None,
    })
}

/// The events of a stream, line by line as WHATWG HTML 9.2.6 has it.
fn by_the_standard(stream: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let (mut name, mut id, mut data) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines(stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream)) {
        if line.is_empty() {
            let (name, mut data) = (std::mem::take(&mut name), std::mem::take(&mut data));
            if data.pop().is_some() {
                events.push(Event::Whole { name, id: id.clone(), data, damaged: false });
            }
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let capped = || value[..value.len().min(MAX_FIELD_VALUE)].to_vec();
        match field {
            b"data" => data.extend(value.iter().chain(b"\n")),
            b"event" => name = capped(),
            b"id" if !capped().contains(&0) => id = capped(),
            _ => {}
        }
    }
    events
}

/// The lines that have an end: a carriage return, a line feed, or both.
fn lines(stream: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = stream;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&rest[..end]);
        let len = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + len..];
    }
    lines
}
