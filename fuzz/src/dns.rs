//! DNS: a message, and the messages of a TCP stream with gaps, cut anywhere.
//!
//! Input: a seed for the cuts, then steps (see `input.rs`) whose direction does
//! not matter; the data of the first is also taken as a datagram.

use std::net::{IpAddr, Ipv4Addr};

use mcpwatch::stream::dns::{
    DnsAnswer, DnsCounters, DnsHeader, DnsParser, DnsSection, DnsSink, DnsStream, RecordType,
    ResolutionBuilder, looks_like_dns,
};

use super::input::{Cut, Input, Step, steps};

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.byte();
    let steps = steps(input);
    if let Some(Step::Data(_, datagram)) = steps.first() {
        message(datagram);
    }
    let whole = stream(&steps, Cut::Whole);
    for cut in Cut::others(seed) {
        assert_eq!(stream(&steps, cut), whole, "{cut:?}");
    }
}

fn message(datagram: &[u8]) {
    looks_like_dns(datagram, 53);
    let mut parser = DnsParser::new();
    let mut builder = ResolutionBuilder::new();
    // What comes before damage has been handed over.
    let _ = parser.message(datagram, &mut builder);
    builder.each(IpAddr::V4(Ipv4Addr::LOCALHOST), &mut |resolution| {
        assert!(!resolution.addresses.is_empty());
        assert!(resolution.name.chars().all(|character| !character.is_control()));
    });
}

/// Writes calls down and checks their order.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    open: bool,
}

impl Log {
    fn add(&mut self, line: String) {
        assert!(self.open, "outside of a message");
        self.lines.push(line);
    }
}

impl DnsSink for Log {
    fn message(&mut self, header: &DnsHeader) {
        assert!(!self.open, "a message in a message");
        self.open = true;
        self.lines.push(format!("{header:?}"));
    }

    fn question(&mut self, name: &str, kind: RecordType) {
        self.add(format!("{name} {kind:?}"));
    }

    fn answer(&mut self, answer: &DnsAnswer<'_>) {
        let DnsAnswer { owner, section, kind, ttl, data } = answer;
        assert!(matches!(section, DnsSection::Answer | DnsSection::Additional));
        self.add(format!("{owner} {section:?} {kind:?} {ttl} {data:?}"));
    }

    fn message_end(&mut self, complete: bool) {
        self.add(format!("complete: {complete}"));
        self.open = false;
    }
}

fn stream(steps: &[Step<'_>], cut: Cut) -> (Vec<String>, DnsCounters, bool) {
    let mut parser = DnsParser::new();
    let mut stream = DnsStream::new();
    let mut log = Log::default();
    for step in steps {
        match *step {
            Step::Data(_, data) => {
                cut.pieces(data).for_each(|piece| stream.feed(piece, &mut parser, &mut log));
            }
            Step::Gap(_, len) => stream.gap(len, &mut parser, &mut log),
            Step::End(_) => stream.end(&mut parser, &mut log),
        }
    }
    stream.end(&mut parser, &mut log);
    assert!(!log.open, "a message that did not end");
    (log.lines, *parser.counters(), stream.is_lost())
}
