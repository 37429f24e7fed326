//! Server-sent events (WHATWG HTML, "Server-sent events", section 9.2.6).
//!
//! In: the decoded body of a `text/event-stream`, cut anywhere. Out: the data
//! of each event as it comes, and the event's end with its name. No event is
//! buffered: only its name and the last event id are, both capped. Because the
//! `event` field may follow the `data` lines, the name is known at the end only.

/// The name of an event and the id are cut at this many bytes.
pub const MAX_FIELD_VALUE: usize = 256;

crate::counters! {
    /// What the SSE parser saw.
    pub struct SseCounters {
        /// Events dispatched.
        events,
        /// Bytes of event data.
        data_bytes,
        /// Events discarded: cut by a gap or by the end of the stream.
        discarded,
        /// Gaps in a stream.
        gaps,
        /// Names and ids cut because they were too long.
        values_cut,
    }
}

/// What is known of an event at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The `event` field; empty where there was none (which means `message`).
    pub name: &'a [u8],
    /// The last event id, which an event inherits from those before it.
    pub id: &'a [u8],
    /// The event's beginning may have been lost in a gap.
    pub damaged: bool,
}

/// Receives the events of one stream.
pub trait SseSink {
    /// More data of the current event. The lines of an event are joined with
    /// `\n`.
    fn data(&mut self, bytes: &[u8]);

    /// The current event is whole.
    fn event_end(&mut self, event: &SseEvent<'_>);

    /// The current event, of which data may have been pushed, will never be
    /// dispatched.
    fn event_discarded(&mut self);
}

/// An incremental parser of one stream.
#[derive(Debug, Default)]
pub struct SseParser {
    state: State,
    event: Event,
    id: Vec<u8>,
    /// A carriage return ended the last line; a line feed right after it
    /// belongs to it.
    after_cr: bool,
    counters: SseCounters,
}

impl SseParser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counters of this stream.
    pub fn counters(&self) -> &SseCounters {
        &self.counters
    }

    /// Takes the next bytes of the stream.
    pub fn feed<S: SseSink + ?Sized>(&mut self, data: &[u8], sink: &mut S) {
        let mut rest = data;
        while let Some(&byte) = rest.first() {
            if self.after_cr {
                self.after_cr = false;
                if byte == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
            }
            let used = match self.state {
                State::Name(name) => self.name_byte(name, byte, sink),
                State::Space(field) => self.begin_value(field, byte),
                State::Value(field) => self.value(field, rest, sink),
            };
            rest = &rest[used..];
        }
    }

    /// Bytes of the stream were lost. The current event is discarded; parsing
    /// goes on at the next line, or at once where a field begins.
    pub fn gap<S: SseSink + ?Sized>(&mut self, sink: &mut S) {
        self.counters.gaps += 1;
        self.discard(sink);
        self.after_cr = false;
        self.event.damaged = true;
        self.state = State::Name(Name { after_gap: true, ..Name::default() });
    }

    /// The stream ended; an event without its blank line is discarded.
    pub fn end<S: SseSink + ?Sized>(&mut self, sink: &mut S) {
        self.discard(sink);
        self.state = State::default();
    }

    /// A byte of a line before its colon. Returns how many bytes were used.
    fn name_byte<S: SseSink + ?Sized>(&mut self, mut name: Name, byte: u8, sink: &mut S) -> usize {
        match byte {
            b'\r' | b'\n' => self.end_name_line(name, byte, sink),
            b':' => {
                let field = name.field();
                self.begin_field(field, sink);
                self.state = State::Space(field);
            }
            _ => {
                name.push(byte);
                self.state = if name.is_byte_order_mark() {
                    State::Name(Name { past_start: true, ..Name::default() })
                } else if name.is_hopeless() {
                    State::Value(Field::Ignored)
                } else {
                    State::Name(name)
                };
            }
        }
        1
    }

    /// A line without a colon ended: blank, or a field with an empty value.
    fn end_name_line<S: SseSink + ?Sized>(&mut self, name: Name, byte: u8, sink: &mut S) {
        if name.len == 0 && !name.after_gap {
            self.dispatch(sink);
        } else if !name.after_gap {
            let field = name.field();
            self.begin_field(field, sink);
            self.end_field(field);
        }
        self.end_line(byte);
    }

    fn begin_field<S: SseSink + ?Sized>(&mut self, field: Field, sink: &mut S) {
        match field {
            Field::Data => {
                if self.event.has_data {
                    self.counters.data_bytes += 1;
                    sink.data(b"\n");
                }
                self.event.has_data = true;
            }
            Field::Event => self.event.name.clear(),
            Field::Id => self.event.id.clear(),
            Field::Ignored => {}
        }
    }

    /// The first byte after the colon: one space belongs to the field's syntax.
    fn begin_value(&mut self, field: Field, byte: u8) -> usize {
        self.state = State::Value(field);
        usize::from(byte == b' ')
    }

    /// Bytes of a field's value, up to and with the end of the line.
    fn value<S: SseSink + ?Sized>(&mut self, field: Field, rest: &[u8], sink: &mut S) -> usize {
        let end = memchr::memchr2(b'\r', b'\n', rest);
        let bytes = &rest[..end.unwrap_or(rest.len())];
        if !bytes.is_empty() {
            match field {
                Field::Data => {
                    self.counters.data_bytes += bytes.len() as u64;
                    sink.data(bytes);
                }
                Field::Event => append_capped(&mut self.event.name, bytes),
                Field::Id => append_capped(&mut self.event.id, bytes),
                Field::Ignored => {}
            }
        }
        let Some(end) = end else { return rest.len() };
        self.end_field(field);
        self.end_line(rest[end]);
        end + 1
    }

    fn end_field(&mut self, field: Field) {
        let value = match field {
            Field::Event => &mut self.event.name,
            Field::Id => &mut self.event.id,
            Field::Data | Field::Ignored => return,
        };
        if value.len() > MAX_FIELD_VALUE {
            value.truncate(MAX_FIELD_VALUE);
            self.counters.values_cut += 1;
        }
        if field == Field::Id && !self.event.id.contains(&0) {
            std::mem::swap(&mut self.id, &mut self.event.id);
        }
    }

    fn end_line(&mut self, byte: u8) {
        self.after_cr = byte == b'\r';
        self.state = State::Name(Name { past_start: true, ..Name::default() });
    }

    /// A blank line: an event without a data line is not dispatched.
    fn dispatch<S: SseSink + ?Sized>(&mut self, sink: &mut S) {
        if self.event.has_data {
            self.counters.events += 1;
            let damaged = self.event.damaged;
            sink.event_end(&SseEvent { name: &self.event.name, id: &self.id, damaged });
        }
        self.event.clear();
    }

    fn discard<S: SseSink + ?Sized>(&mut self, sink: &mut S) {
        if self.event.has_data || !self.event.name.is_empty() {
            self.counters.discarded += 1;
            sink.event_discarded();
        }
        self.event.clear();
    }
}

/// Keeps one byte more than the cap, to know a cut value from a full one.
fn append_capped(value: &mut Vec<u8>, bytes: &[u8]) {
    let room = (MAX_FIELD_VALUE + 1).saturating_sub(value.len());
    value.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In a line, before its colon.
    Name(Name),
    /// Right after the colon.
    Space(Field),
    /// In the value.
    Value(Field),
}

impl Default for State {
    fn default() -> Self {
        Self::Name(Name::default())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Id,
    /// A comment, `retry`, or unknown.
    Ignored,
}

/// The beginning of a line: as many bytes as tell the fields apart.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    bytes: [u8; 6],
    len: u8,
    /// The line is not the stream's first, so a byte order mark is data.
    past_start: bool,
    /// The line may have lost its beginning: only a field name that is there
    /// in full, with its colon, counts.
    after_gap: bool,
}

impl Name {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(usize::from(self.len)) {
            *slot = byte;
            self.len += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn field(&self) -> Field {
        match self.as_bytes() {
            b"data" => Field::Data,
            b"event" => Field::Event,
            b"id" => Field::Id,
            _ => Field::Ignored,
        }
    }

    /// Too long for any field that is looked for.
    fn is_hopeless(&self) -> bool {
        self.as_bytes().len() == self.bytes.len()
    }

    fn is_byte_order_mark(&self) -> bool {
        !self.past_start && !self.after_gap && self.as_bytes() == b"\xEF\xBB\xBF"
    }
}

/// The event being read.
#[derive(Debug, Default)]
struct Event {
    name: Vec<u8>,
    /// The `id` field being read; it becomes the stream's at its line's end.
    id: Vec<u8>,
    has_data: bool,
    damaged: bool,
}

impl Event {
    fn clear(&mut self) {
        self.name.clear();
        self.has_data = false;
        self.damaged = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::{Cut, Rng};

    #[derive(Default)]
    struct Recorder {
        data: Vec<u8>,
        log: Vec<String>,
    }

    impl SseSink for Recorder {
        fn data(&mut self, bytes: &[u8]) {
            assert!(!bytes.is_empty());
            self.data.extend_from_slice(bytes);
        }

        fn event_end(&mut self, event: &SseEvent<'_>) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let damaged = if event.damaged { "!" } else { "" };
            self.log.push(format!(
                "{damaged}{}#{}={}",
                text(event.name),
                text(event.id),
                text(&std::mem::take(&mut self.data))
            ));
        }

        fn event_discarded(&mut self) {
            self.log.push(format!("discarded {}", String::from_utf8_lossy(&self.data)));
            self.data.clear();
        }
    }

    /// Feeds the parts, with a gap between each two of them.
    fn parse(parts: &[&[u8]], cut: Cut) -> (Vec<String>, SseCounters) {
        let mut parser = SseParser::new();
        let mut sink = Recorder::default();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                parser.gap(&mut sink);
            }
            cut.pieces(part).into_iter().for_each(|piece| parser.feed(piece, &mut sink));
        }
        parser.end(&mut sink);
        (sink.log, *parser.counters())
    }

    #[test]
    fn streams_are_split_into_events() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("lf", "event: message\ndata: {}\n\n", &["message#={}"]),
            ("crlf", "event: message\r\ndata: {}\r\n\r\n", &["message#={}"]),
            ("cr", "event: message\rdata: {}\r\r", &["message#={}"]),
            ("mixed line ends", "data: a\r\ndata: b\rdata: c\n\n", &["#=a\nb\nc"]),
            ("cr then lf cr", "data: a\r\n\rdata: b\n\r", &["#=a", "#=b"]),
            ("no space", "data:{}\n\n", &["#={}"]),
            ("two spaces", "data:  {}\n\n", &["#= {}"]),
            ("no event field", "data: x\n\n", &["#=x"]),
            ("name after data", "data: x\nevent: endpoint\n\n", &["endpoint#=x"]),
            ("last name counts", "event: a\nevent: b\ndata: x\n\n", &["b#=x"]),
            ("name does not last", "event: a\ndata: x\n\ndata: y\n\n", &["a#=x", "#=y"]),
            ("multi-line data", "data: {\ndata:  \"a\": 1\ndata: }\n\n", &["#={\n \"a\": 1\n}"]),
            ("empty data lines", "data\ndata:\ndata: \n\n", &["#=\n\n"]),
            ("byte order mark", "\u{feff}data: x\n\n", &["#=x"]),
            ("second mark is a name", "\u{feff}\u{feff}data: x\n\n", &[]),
            ("mark in the second line", "\n\u{feff}data: x\n\n", &[]),
            ("comments", ": ping\n\n:\ndata: x\n: y\n\n", &["#=x"]),
            ("priming event", "id: 1_0\ndata:\n\n", &["#1_0="]),
            ("id lasts", "id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", &["#7=a", "#7=b", "#=c"]),
            ("id with nul", "id: 1\nid: \0\ndata: a\n\n", &["#1=a"]),
            ("id without data", "id: 3\n\ndata: a\n\n", &["#3=a"]),
            ("retry and unknown", "retry: 10\nfoo: bar\nevents: x\ndata: a\n\n", &["#=a"]),
            ("name only", "event: ping\n\ndata: a\n\n", &["#=a"]),
            ("fields match by case", "Data: x\nDATA: y\n\n", &[]),
            ("space before colon", "data : x\n\n", &[]),
            ("colon in data", "data: a:b: c\n\n", &["#=a:b: c"]),
            ("unfinished", "data: a\n\ndata: b\n", &["#=a", "discarded b"]),
            ("unfinished line", "data: b", &["discarded b"]),
            ("unfinished name", "event: b", &["discarded "]),
            ("empty", "", &[]),
        ];
        for (name, input, expected) in rows {
            for cut in Cut::all() {
                let (log, _) = parse(&[input.as_bytes()], cut);
                assert_eq!(log, *expected, "{name}, {cut:?}");
            }
        }
    }

    #[test]
    fn gaps_cost_one_event() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("in data", &["data: {\"a\"", ":1}\n\ndata: b\n\n"], &["discarded {\"a\"", "#=b"]),
            (
                "resumes at a field",
                &["data: a\n\nda", "data: c\n\ndata: d\n\n"],
                &["#=a", "!#=c", "#=d"],
            ),
            ("resumes after a line", &["", "ta: b\nevent: e\ndata: c\n\n"], &["!e#=c"]),
            (
                "cut line is not a field",
                &["data: a\n", "data\n\ndata: d\n\n"],
                &["discarded a", "#=d"],
            ),
            ("blank line after the gap", &["data: a", "\n\ndata: d\n\n"], &["discarded a", "#=d"]),
            ("the id lasts", &["id: 4\ndata: a", "\n\ndata: d\n\n"], &["discarded a", "#4=d"]),
            ("nothing pending", &["data: a\n\n", "data: d\n\n"], &["#=a", "!#=d"]),
        ];
        for (name, parts, expected) in rows {
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            for cut in Cut::all() {
                let (log, counters) = parse(&parts, cut);
                assert_eq!(log, *expected, "{name}, {cut:?}");
                assert_eq!(counters.gaps, 1, "{name}");
            }
        }
    }

    #[test]
    fn names_and_ids_are_capped() {
        let exact = "n".repeat(MAX_FIELD_VALUE);
        let input = format!("event: {exact}\nid: {exact}i\ndata: x\n\n");
        for cut in Cut::all() {
            let (log, counters) = parse(&[input.as_bytes()], cut);
            assert_eq!(log, [format!("{exact}#{exact}=x")]);
            assert_eq!(counters.values_cut, 1);
        }
    }

    #[test]
    fn any_bytes_cut_anywhere_give_the_same() {
        let mut rng = Rng::new(3);
        for round in 0..3000 {
            let mut input = b"event: message\r\nid: 5\r\ndata: {\"jsonrpc\":\"2.0\"}\r\n\r\n: c\n\
                data: a\ndata: b\n\n"
                .to_vec();
            rng.mutate(&mut input);
            let (head, tail) = input.split_at(rng.below(input.len() + 1));
            let whole = parse(&[head, tail], Cut::Whole);
            for cut in [Cut::Bytes, Cut::Random(round)] {
                assert_eq!(parse(&[head, tail], cut), whole, "{:?}", input.escape_ascii());
            }
        }
    }
}
