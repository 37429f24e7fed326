//! Messages in a TCP stream, each after its length in two bytes (RFC 1035
//! section 4.2.2, RFC 7766 section 8).

use super::{DnsParser, DnsSink};

/// How much of a message in a stream is read; the rest is skipped. Compression
/// pointers reach no further than this.
pub const MAX_STREAM_MESSAGE: usize = 0x4000;

/// A buffer larger than this is given back after the message it was for.
const KEPT_BUFFER: usize = 2048;

/// One direction of a TCP connection that carries DNS.
///
/// A message that comes in one piece is read where it lies; one that is split
/// is put together in a buffer of at most [`MAX_STREAM_MESSAGE`].
#[derive(Debug, Default)]
pub struct DnsStream {
    state: State,
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before a message, perhaps with the first byte of its length.
    Length(Option<u8>),
    /// In a message: bytes to read, bytes to skip after them.
    Message { wanted: usize, skipped: usize },
    /// After what is read of a message.
    Skip(usize),
    /// Where messages begin is not known.
    Lost,
}

impl Default for State {
    fn default() -> Self {
        Self::Length(None)
    }
}

impl DnsStream {
    /// A stream at its start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that it owns beside itself.
    pub(crate) const fn memory(&self) -> usize {
        self.held.capacity()
    }

    /// Whether nothing more can be read.
    pub const fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// Takes the next bytes; whole messages go through `parser` to `sink`.
    pub fn feed<S: DnsSink + ?Sized>(
        &mut self,
        mut data: &[u8],
        parser: &mut DnsParser,
        sink: &mut S,
    ) {
        while let Some((&byte, rest)) = data.split_first() {
            data = match self.state {
                State::Length(None) => {
                    self.state = State::Length(Some(byte));
                    rest
                }
                State::Length(Some(high)) => {
                    self.begin(usize::from(u16::from_be_bytes([high, byte])), parser, sink);
                    rest
                }
                State::Message { wanted, skipped } => {
                    self.message(data, wanted, skipped, parser, sink)
                }
                State::Skip(len) => {
                    let here = len.min(data.len());
                    self.skip(here, len, parser);
                    data.get(here..).unwrap_or_default()
                }
                State::Lost => return,
            };
        }
    }

    /// `len` bytes were lost (0: an unknown number). The beginning of a message
    /// before the gap is read; reading goes on after the gap if that ends
    /// within the same message.
    pub fn gap<S: DnsSink + ?Sized>(&mut self, len: u64, parser: &mut DnsParser, sink: &mut S) {
        parser.counters.gaps += 1;
        let rest = match self.state {
            State::Length(_) | State::Lost => 0,
            State::Message { wanted, skipped } => wanted - self.held.len() + skipped,
            State::Skip(len) => len,
        };
        self.flush(parser, sink);
        match usize::try_from(len) {
            Ok(len @ 1..) if len <= rest => self.skip(len, rest, parser),
            _ => self.lose(parser),
        }
    }

    /// The stream ended; the beginning of a message is read.
    pub fn end<S: DnsSink + ?Sized>(&mut self, parser: &mut DnsParser, sink: &mut S) {
        self.flush(parser, sink);
        self.state = State::Lost;
    }

    fn begin<S: DnsSink + ?Sized>(&mut self, len: usize, parser: &mut DnsParser, sink: &mut S) {
        let wanted = len.min(MAX_STREAM_MESSAGE);
        self.state = State::Message { wanted, skipped: len - wanted };
        if wanted == 0 {
            self.message(&[], 0, 0, parser, sink);
        }
    }

    /// Takes bytes of a message and returns those after them.
    fn message<'a, S: DnsSink + ?Sized>(
        &mut self,
        data: &'a [u8],
        wanted: usize,
        skipped: usize,
        parser: &mut DnsParser,
        sink: &mut S,
    ) -> &'a [u8] {
        let Some((last, after)) = data.split_at_checked(wanted - self.held.len()) else {
            self.held.extend_from_slice(data);
            return &[];
        };
        // Errors are counted by the parser.
        if self.held.is_empty() {
            let _ = parser.message(last, sink);
        } else {
            self.held.extend_from_slice(last);
            self.flush(parser, sink);
        }
        self.state = if skipped > 0 { State::Skip(skipped) } else { State::default() };
        after
    }

    /// Reads what is held of a message.
    fn flush<S: DnsSink + ?Sized>(&mut self, parser: &mut DnsParser, sink: &mut S) {
        if !self.held.is_empty() {
            let _ = parser.message(&self.held, sink);
            self.held.clear();
            self.held.shrink_to(KEPT_BUFFER);
        }
    }

    /// Passes over `here` of the `rest` bytes of a message.
    const fn skip(&mut self, here: usize, rest: usize, parser: &mut DnsParser) {
        parser.counters.skipped_bytes += here as u64;
        self.state = if here < rest { State::Skip(rest - here) } else { State::Length(None) };
    }

    const fn lose(&mut self, parser: &mut DnsParser) {
        if !self.is_lost() {
            parser.counters.lost_streams += 1;
            self.state = State::Lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::dns::DnsCounters;
    use crate::stream::dns::samples::{self, Message, Seen};
    use crate::stream::testing::{Cut, Rng};

    enum Step<'a> {
        Data(&'a [u8]),
        Gap(u64),
    }
    use Step::{Data, Gap};

    fn run(steps: &[Step<'_>], cut: Cut) -> (Vec<String>, DnsCounters, bool) {
        let (mut stream, mut parser) = (DnsStream::new(), DnsParser::new());
        let mut seen = Seen::default();
        for step in steps {
            match step {
                Data(data) => {
                    for piece in cut.pieces(data) {
                        stream.feed(piece, &mut parser, &mut seen);
                    }
                }
                Gap(len) => stream.gap(*len, &mut parser, &mut seen),
            }
            assert!(stream.held.len() <= MAX_STREAM_MESSAGE);
        }
        let lost = stream.is_lost();
        stream.end(&mut parser, &mut seen);
        (seen.lines, *parser.counters(), lost)
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes(), message].concat()
    }

    fn ids(lines: &[String]) -> Vec<&str> {
        lines.iter().filter_map(|line| line.strip_prefix("message ")).collect()
    }

    #[test]
    fn several_messages_in_any_split() {
        let stream = [
            framed(&Message::query(1).question("a.test", 1).bytes()),
            framed(&samples::cdn_response()),
            framed(b""),
            framed(&samples::https_response()),
            framed(&Message::query(2).question("b.test", 28).bytes())[..20].to_vec(),
        ]
        .concat();
        let whole = run(&[Data(&stream)], Cut::Whole);
        assert_eq!(ids(&whole.0), ["0001 query", "1234 response", "0007 response", "0002 query"]);
        assert_eq!((whole.1.messages, whole.1.damaged_messages, whole.2), (4, 2, false));
        for cut in Cut::all() {
            assert_eq!(run(&[Data(&stream)], cut), whole, "{cut:?}");
        }
    }

    #[test]
    fn a_gap_within_a_message_loses_the_rest_of_it() {
        let (first, second) =
            (framed(&samples::cdn_response()), framed(&samples::https_response()));
        for cut in Cut::all() {
            let before = &first[..2 + 66];
            let steps = [Data(before), Gap(5), Data(&first[2 + 71..]), Data(&second)];
            let (lines, counters, lost) = run(&steps, cut);
            assert_eq!(ids(&lines), ["1234 response", "0007 response"]);
            assert!(lines.contains(&"Answer mcp.example.com 5 300 alias b.cdn.test".to_owned()));
            assert_eq!((counters.gaps, counters.lost_streams, lost), (1, 0, false));
            let rest = first.len() - 2 - 66;
            assert_eq!(counters.skipped_bytes, rest as u64);

            let steps = [Data(before), Gap(rest as u64), Data(&second)];
            assert_eq!(ids(&run(&steps, cut).0), ["1234 response", "0007 response"]);
        }
    }

    #[test]
    fn a_gap_over_a_border_loses_the_stream() {
        let message = framed(&samples::cdn_response());
        for (before, gap) in
            [(0, 1), (1, 1), (40, 0), (40, message.len() as u64 - 39), (40, u64::MAX)]
        {
            let steps = [Data(&message[..before]), Gap(gap), Data(&message), Gap(3)];
            let (lines, counters, lost) = run(&steps, Cut::Whole);
            assert_eq!(ids(&lines).len(), usize::from(before == 40), "{before} {gap}");
            assert_eq!((counters.gaps, counters.lost_streams, lost), (2, 1, true));
        }
    }

    #[test]
    fn a_long_message_is_read_to_the_cap() {
        let mut long = samples::cdn_response();
        long.resize(60_000, 0);
        let stream = [framed(&long), framed(&samples::https_response())].concat();
        let whole = run(&[Data(&stream)], Cut::Whole);
        assert_eq!(ids(&whole.0), ["1234 response", "0007 response"]);
        assert_eq!(whole.1.skipped_bytes, 60_000 - MAX_STREAM_MESSAGE as u64);
        for cut in Cut::all() {
            assert_eq!(run(&[Data(&stream)], cut), whole, "{cut:?}");
        }
    }

    #[test]
    fn any_bytes_in_any_split() {
        let mut rng = Rng::new(7766);
        for _ in 0..300 {
            let mut stream = samples::all().map(|message| framed(&message)).concat();
            rng.mutate(&mut stream);
            let gap = if rng.below(2) == 0 { 0 } else { rng.below(60) as u64 };
            let (before, after) = stream.split_at(rng.below(stream.len() + 1));
            let whole = run(&[Data(before), Gap(gap), Data(after)], Cut::Whole);
            for cut in Cut::all() {
                assert_eq!(run(&[Data(before), Gap(gap), Data(after)], cut), whole);
            }
        }
    }
}
