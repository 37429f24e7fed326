//! One body: bytes as they come off the wire in, JSON-RPC messages out.
//!
//! ```text
//! content coding ─ first bytes ─┬─ JSON: automaton + scanner
//!                               ├─ event stream: events ─ automaton + scanner
//!                               └─ anything else: skipped
//! ```
//!
//! The first bytes decide, not the content type: a body that begins neither
//! like JSON nor like an event stream is not touched again.

use std::ops::ControlFlow;

use super::event::{Carrier, MessageFacts};
use super::facts;
use super::oauth::OAuthBody;
use super::values::{Attentive, Ear, Heard};
use crate::mcp::{Charset, Endpoint, Message, MessageSink, Scanner};
use crate::signature::{Cursor, Generation, HitSet, Matcher};
use crate::stream::coding::{CodingCounters, Decoder};
use crate::stream::sse::{SseEvent, SseParser, SseSink};
use crate::stream::{Direction, Interest};

/// White space that may stand before a body's first character.
const MAX_BLANK: usize = 4096;
/// Bytes that tell an event stream from other text.
const SNIFF: usize = 8;
/// Messages kept of one body until it is known whether it is one of MCP.
const MAX_MESSAGES: usize = 1024;
/// What an event without a name is called (WHATWG HTML, section 9.2.6).
const DEFAULT_EVENT: &[u8] = b"message";
/// Bytes kept of the first event of a stream: the endpoint of a legacy server.
const MAX_ENDPOINT: usize = 1024;

crate::counters! {
    /// What bodies were.
    pub struct BodyCounters {
        /// Bodies with content.
        bodies,
        /// Bodies that begin like JSON.
        json,
        /// Bodies that begin like an event stream.
        event_streams,
        /// Bodies of JSON that were downloaded (GET), and skipped.
        downloads,
        /// Bodies of JSON that were not read, as there was no time for them.
        shed,
        /// Bodies that begin like neither, and were skipped.
        skipped,
        /// Bodies whose content coding could not be undone.
        undecodable,
        /// Bytes scanned.
        bytes_scanned,
        /// JSON-RPC messages found.
        messages,
        /// Bodies with several JSON documents, which no MCP body has.
        several_documents,
        /// Messages beyond the number kept of one body.
        messages_dropped,
    }
}

/// What a body gave.
#[derive(Debug)]
pub(super) enum Found {
    /// A message with what hit in the document before its end, and in its values.
    Message(Carrier, Box<MessageFacts>, HitSet),
    /// What hit in a document, whatever came of it; only where that is traced.
    Unconfirmed(HitSet),
    /// The endpoint event that opens a legacy stream, with its session.
    Endpoint(String),
    /// What hit in a value that needs no message to bear it out, and the value.
    Value(HitSet, String),
    /// What hit in a document without messages.
    Document(HitSet),
}

/// The state of one body.
#[derive(Debug, Default)]
pub(super) struct Body {
    decoder: Option<Box<Decoder>>,
    state: State,
    /// Of JSON, what is to be read.
    json: Json,
    /// Where the set asks for values of OAuth, and the body may have some.
    oauth: Option<(Generation, Box<OAuthBody>)>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Blank,
    Sniffing(Head),
    Json(Box<Document>),
    Events(Box<Events>),
    Skipped,
}

/// Whether a body of JSON is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Json {
    #[default]
    Read,
    /// It is downloaded.
    Download,
    /// There is no time for it.
    Shed,
}

/// The first bytes after any white space.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: [u8; SNIFF],
    len: usize,
    blank: usize,
}

/// What bodies share: matchers, buffers, counters.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) matcher: &'a Matcher,
    pub(super) direction: Direction,
    #[expect(clippy::vec_box, reason = "boxes go in and out of the pool as they are")]
    pub(super) documents: &'a mut Vec<Box<Document>>,
    pub(super) counters: &'a mut BodyCounters,
    pub(super) coding: &'a mut CodingCounters,
    /// Whether hits that are not borne out are told of.
    pub(super) traced: bool,
}

impl Body {
    /// A body with the content codings that `decoder` undoes.
    pub(super) fn new(decoder: Option<Decoder>) -> Self {
        Self { decoder: decoder.map(Box::new), ..Self::default() }
    }

    /// The same body, of which JSON is not to be read: what a GET downloads is
    /// no traffic, and there is much of it.
    pub(super) fn events_only(mut self) -> Self {
        self.json = Json::Download;
        self
    }

    /// The same body, of which JSON is not to be read, as there is no time for it.
    /// Event streams are: they are where the answers to others' requests come.
    pub(super) fn shed(mut self) -> Self {
        if self.json == Json::Read {
            self.json = Json::Shed;
        }
        self
    }

    /// Stops reading a large document in which nothing has hit so far; false where
    /// the body is not such.
    pub(super) fn shed_large(&mut self) -> bool {
        /// A body of so many bytes is large.
        const LARGE: u64 = 64 << 10;
        match &self.state {
            State::Json(document) if document.read >= LARGE && document.is_silent() => {}
            _ => return false,
        }
        *self = Self::skipped();
        true
    }

    /// Bytes that it owns beside itself, about.
    pub(super) fn memory(&self) -> usize {
        let decoder = self.decoder.as_ref().map_or(0, |it| size_of::<Decoder>() + it.memory());
        let state = match &self.state {
            State::Json(document) => document.memory(),
            State::Events(events) => events.memory(),
            State::Blank | State::Sniffing(_) | State::Skipped => 0,
        };
        let oauth = self.oauth.as_ref().map_or(0, |(_, it)| it.memory());
        decoder + state + oauth
    }

    /// A body that is not to be looked at.
    pub(super) fn skipped() -> Self {
        Self { state: State::Skipped, ..Self::default() }
    }

    /// The same body, which may be one of OAuth.
    pub(super) fn with_oauth(mut self, oauth: Option<OAuthBody>, matcher: &Matcher) -> Self {
        if !matches!(self.state, State::Skipped) {
            self.oauth = oauth.map(|body| (matcher.generation(), Box::new(body)));
        }
        self
    }

    /// Takes the next bytes.
    pub(super) fn feed(
        &mut self,
        data: &[u8],
        bench: &mut Bench<'_>,
        found: &mut dyn FnMut(Found),
    ) -> Interest {
        match self.decoder.take() {
            None => {
                let _ = self.take(data, bench, found);
            }
            Some(mut decoder) => {
                let mut coding = *bench.coding;
                let result =
                    decoder.decode(data, &mut coding, &mut |piece| self.take(piece, bench, found));
                *bench.coding = coding;
                self.decoder = Some(decoder);
                if result.is_err() {
                    bench.counters.undecodable += 1;
                    self.cease(false, bench, found);
                }
            }
        }
        if self.is_skipped() { Interest::Skip } else { Interest::Wanted }
    }

    /// Takes the next bytes, decoded.
    fn take(
        &mut self,
        data: &[u8],
        bench: &mut Bench<'_>,
        found: &mut dyn FnMut(Found),
    ) -> ControlFlow<()> {
        self.state.feed(data, self.json, bench, found);
        if self.oauth.as_mut().is_some_and(|oauth| !feed_oauth(oauth, data, bench.matcher)) {
            self.oauth = None;
        }
        if self.is_skipped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_skipped(&self) -> bool {
        matches!(self.state, State::Skipped) && self.oauth.is_none()
    }

    /// Nothing more of the body will be read.
    fn cease(&mut self, complete: bool, bench: &mut Bench<'_>, found: &mut dyn FnMut(Found)) {
        self.state.end(complete, bench, found);
        self.end_oauth(complete, bench, found);
    }

    fn end_oauth(&mut self, complete: bool, bench: &Bench<'_>, found: &mut dyn FnMut(Found)) {
        let Some((generation, mut oauth)) = self.oauth.take() else { return };
        if generation != bench.matcher.generation() {
            return;
        }
        let hits = bench.matcher.oauth().and_then(|fields| oauth.finish(complete, fields));
        if let Some(hits) = hits {
            let what = match bench.direction {
                Direction::ToServer => "OAuth request",
                Direction::ToClient => "OAuth metadata",
            };
            found(Found::Value(hits, what.to_owned()));
        }
    }

    /// Bytes of the body were lost.
    pub(super) fn gap(&mut self, bench: &mut Bench<'_>, found: &mut dyn FnMut(Found)) {
        if let Some(decoder) = &mut self.decoder {
            decoder.gap(bench.coding);
            return self.cease(false, bench, found);
        }
        self.end_oauth(false, bench, found);
        match &mut self.state {
            State::Events(events) => events.gap(bench, found),
            _ => self.state.end(false, bench, found),
        }
    }

    /// The other side has answered: a body that is a whole document by now is
    /// taken to be over, though its framing may still go on.
    pub(super) fn answered(&mut self, bench: &mut Bench<'_>, found: &mut dyn FnMut(Found)) {
        if let State::Json(document) = &self.state
            && !document.scanner.in_document()
        {
            self.state.end(true, bench, found);
        }
    }

    /// The body ended, `complete` or cut.
    pub(super) fn end(
        &mut self,
        complete: bool,
        bench: &mut Bench<'_>,
        found: &mut dyn FnMut(Found),
    ) {
        let whole = match &mut self.decoder {
            Some(decoder) => decoder.finish(bench.coding),
            None => true,
        };
        self.cease(complete && whole, bench, found);
    }
}

/// Whether more of the body is wanted: not where the signatures that it is read for
/// were replaced, since the new ones may ask for other values.
fn feed_oauth(
    (generation, oauth): &mut (Generation, Box<OAuthBody>),
    data: &[u8],
    matcher: &Matcher,
) -> bool {
    *generation == matcher.generation()
        && matcher.oauth().is_some_and(|fields| oauth.feed(data, fields))
}

impl State {
    fn feed(
        &mut self,
        data: &[u8],
        json: Json,
        bench: &mut Bench<'_>,
        found: &mut dyn FnMut(Found),
    ) {
        if data.is_empty() {
            return;
        }
        if matches!(self, Self::Blank) {
            bench.counters.bodies += 1;
            *self = Self::Sniffing(Head::default());
        }
        let mut rest = data;
        if let Self::Sniffing(head) = self {
            rest = head.take(data);
            let head = *head;
            match head.guess() {
                Guess::Unsure => return,
                Guess::Json if json == Json::Download => {
                    bench.counters.downloads += 1;
                    *self = Self::Skipped;
                    return;
                }
                Guess::Json if json == Json::Shed => {
                    bench.counters.shed += 1;
                    *self = Self::Skipped;
                    return;
                }
                Guess::Other => {
                    bench.counters.skipped += 1;
                    *self = Self::Skipped;
                    return;
                }
                Guess::Json => {
                    bench.counters.json += 1;
                    *self = Self::Json(Document::take(bench));
                }
                Guess::Events => {
                    bench.counters.event_streams += 1;
                    *self = Self::Events(Box::new(Events::new(bench)));
                }
            }
            self.scan(head.bytes.get(..head.len).unwrap_or_default(), bench, found);
        }
        self.scan(rest, bench, found);
    }

    fn scan(&mut self, data: &[u8], bench: &mut Bench<'_>, found: &mut dyn FnMut(Found)) {
        bench.counters.bytes_scanned += data.len() as u64;
        match self {
            Self::Json(document) => document.feed(data, bench.matcher),
            Self::Events(events) => events.feed(data, bench, found),
            Self::Blank | Self::Sniffing(_) | Self::Skipped => {}
        }
    }

    fn end(&mut self, complete: bool, bench: &mut Bench<'_>, found: &mut dyn FnMut(Found)) {
        match std::mem::replace(self, Self::Skipped) {
            Self::Json(mut document) => {
                document.end(complete, Carrier::Body, bench, found);
                document.recycle(bench);
            }
            Self::Events(mut events) => events.end(bench, found),
            Self::Blank | Self::Sniffing(_) | Self::Skipped => {}
        }
    }
}

/// What the first bytes of a body look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Json,
    Events,
    Other,
    Unsure,
}

impl Head {
    /// Takes bytes off `data` until there are enough to tell; returns the rest.
    fn take<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        for (index, byte) in data.iter().enumerate() {
            if self.guess() != Guess::Unsure {
                return data.get(index..).unwrap_or_default();
            }
            if self.is_blank() && byte.is_ascii_whitespace() && self.blank < MAX_BLANK {
                self.blank += 1;
                continue;
            }
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = *byte;
                self.len += 1;
            }
        }
        &[]
    }

    /// Whether nothing was seen but white space and a byte order mark.
    fn is_blank(&self) -> bool {
        matches!(self.bytes.get(..self.len), Some([] | [0xef, 0xbb, 0xbf]))
    }

    fn guess(&self) -> Guess {
        const FIELDS: [&[u8]; 5] = [b":", b"data:", b"event:", b"id:", b"retry:"];
        let head = self.bytes.get(..self.len).unwrap_or_default();
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        match text {
            // A byte order mark, or half of one.
            [] | [0xef] | [0xef, 0xbb] => return Guess::Unsure,
            // JSON, as it is or in UTF-16 or UTF-32 (RFC 4627 section 3).
            [b'{' | b'[', ..] | [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, ..] => {
                return Guess::Json;
            }
            [0xfe] | [0xff] => return Guess::Unsure,
            _ => {}
        }
        if text.first().is_some_and(u8::is_ascii_whitespace) {
            return if head.len() < SNIFF { Guess::Unsure } else { Guess::Other };
        }
        let begins = |field: &&[u8]| {
            let len = field.len().min(text.len());
            field.get(..len) == text.get(..len)
        };
        match FIELDS.iter().find(|field| begins(field)) {
            Some(field) if text.len() >= field.len() => Guess::Events,
            Some(_) => Guess::Unsure,
            None => Guess::Other,
        }
    }
}

/// A JSON document that is scanned: what the automaton and the scanner found.
#[derive(Debug)]
pub(super) struct Document {
    scanner: Scanner,
    direction: Direction,
    /// Of the matcher that cursor and hits are of.
    generation: Generation,
    cursor: Cursor,
    hits: HitSet,
    /// Bytes read.
    read: u64,
    messages: Vec<MessageFacts>,
    tally: Tally,
    /// Only where the set asks for values of messages.
    values: Option<Box<Values>>,
}

/// What hit in values of messages.
#[derive(Debug, Default)]
struct Values {
    heard: Heard,
    /// In messages that are kept, by their index.
    kept: Vec<(usize, HitSet)>,
    /// In others, with an excerpt of the first.
    others: Option<(HitSet, String)>,
}

/// What a scanner is to do.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Feed(&'a [u8]),
    /// The document ended, complete or not.
    Finish(bool),
}

/// How many documents there were.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    single: u64,
    dropped: u64,
    /// The scanner's counters when the document began.
    batches: u64,
    not_rpc: u64,
}

impl Document {
    /// Bytes that it takes, about.
    pub(super) fn memory(&self) -> usize {
        /// Facts of a message with their texts.
        const MESSAGE: usize = size_of::<MessageFacts>() + 512;
        /// Values that are heard, where the set asks for any.
        const VALUES: usize = 2048;
        let values = if self.values.is_some() { VALUES } else { 0 };
        let texts = self.scanner.memory() + self.cursor.memory();
        size_of::<Self>() + texts + self.messages.len() * MESSAGE + values
    }

    /// A document of which nothing was read, from the pool if there is one.
    pub(super) fn take(bench: &mut Bench<'_>) -> Box<Self> {
        match bench.documents.pop() {
            None => Self::new(bench.matcher, bench.direction),
            Some(mut document) => {
                document.direction = bench.direction;
                document.reset(bench.matcher);
                document
            }
        }
    }

    /// A document of which nothing was read.
    pub(super) fn new(matcher: &Matcher, direction: Direction) -> Box<Self> {
        let mut hits = HitSet::new();
        let cursor = matcher.body().start(direction, &mut hits);
        Box::new(Self {
            scanner: Scanner::new(),
            direction,
            generation: matcher.generation(),
            cursor,
            hits,
            read: 0,
            messages: Vec::new(),
            tally: Tally::default(),
            values: matcher.messages().map(|_| Box::default()),
        })
    }

    /// Whether nothing in it has shown that it may be MCP.
    fn is_silent(&self) -> bool {
        self.hits.is_empty() && self.messages.is_empty()
    }

    /// Gives the document's buffers back.
    pub(super) fn recycle(self: Box<Self>, bench: &mut Bench<'_>) {
        /// What is larger is not kept: pools have a few hundred documents.
        const KEPT: usize = 16 << 10;
        if bench.documents.len() < bench.documents.capacity() && self.memory() <= KEPT {
            bench.documents.push(self);
        }
    }

    fn reset(&mut self, matcher: &Matcher) {
        self.scanner.reset(Charset::Sniffed);
        self.restart(matcher);
        self.read = 0;
        self.messages.clear();
        let counters = self.scanner.counters();
        self.tally =
            Tally { batches: counters.batches, not_rpc: counters.not_rpc, ..Tally::default() };
    }

    fn restart(&mut self, matcher: &Matcher) {
        self.generation = matcher.generation();
        self.hits.clear();
        self.cursor = matcher.body().start(self.direction, &mut self.hits);
        self.values = matcher.messages().map(|_| self.values.take().unwrap_or_default());
        if let Some(values) = &mut self.values {
            values.clear();
        }
    }

    /// Where the signatures were replaced in the middle of a document, the new ones
    /// read what is left of it; the scanner goes on as before.
    fn keep_up(&mut self, matcher: &Matcher) {
        if self.generation != matcher.generation() {
            self.restart(matcher);
        }
    }

    pub(super) fn feed(&mut self, data: &[u8], matcher: &Matcher) {
        self.keep_up(matcher);
        self.read += data.len() as u64;
        matcher.body().feed(&mut self.cursor, data, &mut self.hits);
        self.scan(Step::Feed(data), matcher);
    }

    fn scan(&mut self, step: Step<'_>, matcher: &Matcher) {
        let (messages, tally) = (&mut self.messages, &mut self.tally);
        let (Some(values), Some(fields)) = (&mut self.values, matcher.messages()) else {
            let mut sink = |message: &Message| {
                keep(message, messages, tally);
            };
            return step.run(&mut self.scanner, &mut sink);
        };
        let Values { heard, kept, others } = &mut **values;
        let mut sink = Attentive {
            ear: Ear { heard, fields, direction: self.direction },
            on_message: |message: &Message, hits: HitSet| match keep(message, messages, tally) {
                _ if hits.is_empty() => {}
                Some(index) => kept.push((index, hits)),
                None => match others {
                    Some((others, _)) => others.extend(&hits),
                    None => *others = Some((hits, facts::excerpt(message))),
                },
            },
        };
        step.run(&mut self.scanner, &mut sink);
    }

    /// Ends the document and hands over its messages, ready for another.
    pub(super) fn end(
        &mut self,
        complete: bool,
        carrier: Carrier,
        bench: &mut Bench<'_>,
        found: &mut dyn FnMut(Found),
    ) {
        self.keep_up(bench.matcher);
        self.scan(Step::Finish(complete), bench.matcher);
        bench.matcher.body().finish(&self.cursor, &mut self.hits);
        if bench.traced {
            found(Found::Unconfirmed(self.hits.clone()));
        }
        bench.counters.messages_dropped += self.tally.dropped;
        let counters = self.scanner.counters();
        let batches = counters.batches - self.tally.batches;
        // Objects in a batch that are no messages do not count as documents.
        let others = if batches == 0 { counters.not_rpc - self.tally.not_rpc } else { 0 };
        let several = carrier != Carrier::Raw && self.tally.single + batches + others > 1;
        let has_messages = !several && !self.messages.is_empty();
        if several {
            bench.counters.several_documents += 1;
            self.messages.clear();
        } else {
            bench.counters.messages += self.messages.len() as u64;
            let values = self.values.as_deref_mut().map(std::mem::take);
            let Values { kept, others, .. } = values.unwrap_or_default();
            let mut kept = kept.into_iter().peekable();
            for (index, message) in self.messages.drain(..).enumerate() {
                let mut hits = self.hits.clone();
                if let Some((_, own)) = kept.next_if(|(of, _)| *of == index) {
                    hits.extend(&own);
                }
                found(Found::Message(carrier, Box::new(message), hits));
            }
            if let Some((hits, excerpt)) = others {
                found(Found::Value(hits, excerpt));
            }
        }
        if !has_messages && !self.hits.is_empty() {
            found(Found::Document(self.hits.clone()));
        }
        self.reset(bench.matcher);
    }
}

impl Values {
    fn clear(&mut self) {
        self.heard.clear();
        self.kept.clear();
        self.others = None;
    }
}

impl Step<'_> {
    fn run(self, scanner: &mut Scanner, sink: &mut impl MessageSink) {
        // What is not JSON gives no message; that is all there is to it.
        let _ = match self {
            Self::Feed(data) => scanner.feed(data, sink),
            Self::Finish(complete) => scanner.finish(complete, sink),
        };
    }
}

/// Keeps what matters of a message; returns its index if it is kept.
fn keep(message: &Message, messages: &mut Vec<MessageFacts>, tally: &mut Tally) -> Option<usize> {
    if !message.flags().batched {
        tally.single += 1;
    }
    match facts::of(message) {
        Some(_) if messages.len() >= MAX_MESSAGES => tally.dropped += 1,
        Some(facts) => {
            messages.push(facts);
            return Some(messages.len() - 1);
        }
        None => {}
    }
    None
}

/// An event stream that is read.
#[derive(Debug)]
struct Events {
    parser: SseParser,
    document: Option<Box<Document>>,
    endpoint: Vec<u8>,
    first: bool,
}

impl Events {
    fn memory(&self) -> usize {
        let document = self.document.as_ref().map_or(0, |document| document.memory());
        size_of::<Self>() + document + self.endpoint.capacity()
    }

    fn new(bench: &mut Bench<'_>) -> Self {
        Self {
            parser: SseParser::new(),
            document: Some(Document::take(bench)),
            endpoint: Vec::new(),
            first: true,
        }
    }

    fn feed(&mut self, data: &[u8], bench: &mut Bench<'_>, found: &mut dyn FnMut(Found)) {
        self.drive(bench, found, |parser, sink| parser.feed(data, sink));
    }

    fn gap(&mut self, bench: &mut Bench<'_>, found: &mut dyn FnMut(Found)) {
        self.drive(bench, found, |parser, sink| parser.gap(sink));
    }

    fn end(&mut self, bench: &mut Bench<'_>, found: &mut dyn FnMut(Found)) {
        self.drive(bench, found, |parser, sink| parser.end(sink));
        if let Some(document) = self.document.take() {
            document.recycle(bench);
        }
    }

    fn drive(
        &mut self,
        bench: &mut Bench<'_>,
        found: &mut dyn FnMut(Found),
        run: impl FnOnce(&mut SseParser, &mut EventSink<'_, '_>),
    ) {
        let Some(document) = &mut self.document else { return };
        let mut sink = EventSink {
            document,
            endpoint: &mut self.endpoint,
            first: &mut self.first,
            bench,
            found,
        };
        run(&mut self.parser, &mut sink);
    }
}

struct EventSink<'a, 'b> {
    document: &'a mut Document,
    endpoint: &'a mut Vec<u8>,
    first: &'a mut bool,
    bench: &'a mut Bench<'b>,
    found: &'a mut dyn FnMut(Found),
}

impl EventSink<'_, '_> {
    fn end_event(&mut self, complete: bool) {
        self.document.end(complete, Carrier::EventStream, self.bench, self.found);
        *self.first = false;
        self.endpoint.clear();
    }

    /// Matches the name of an event that a server sends. After a gap the name may
    /// be another's, or missing.
    fn match_name(&mut self, event: &SseEvent<'_>) {
        let Bench { matcher, direction, .. } = *self.bench;
        let Some(names) = matcher.sse_event() else { return };
        if event.damaged || direction != Direction::ToClient {
            return;
        }
        let name = if event.name.is_empty() { DEFAULT_EVENT } else { event.name };
        let mut hits = HitSet::new();
        names.value(direction, name, &mut hits);
        if !hits.is_empty() {
            let name = String::from_utf8_lossy(name);
            (self.found)(Found::Value(hits, format!("event {name}")));
        }
    }
}

impl SseSink for EventSink<'_, '_> {
    fn data(&mut self, bytes: &[u8]) {
        self.document.feed(bytes, self.bench.matcher);
        if *self.first {
            let room = MAX_ENDPOINT.saturating_sub(self.endpoint.len()).min(bytes.len());
            self.endpoint.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
    }

    fn event_end(&mut self, event: &SseEvent<'_>) {
        if *self.first
            && event.name == b"endpoint"
            && let Some(endpoint) = Endpoint::parse(self.endpoint)
        {
            let session = match &endpoint.session {
                Some(session) => session.id.to_owned(),
                None => endpoint.path.to_owned(),
            };
            (self.found)(Found::Endpoint(session));
        }
        self.match_name(event);
        self.end_event(!event.damaged);
    }

    fn event_discarded(&mut self) {
        self.end_event(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(bytes: &[u8]) -> Guess {
        let mut head = Head::default();
        for byte in bytes {
            head.take(std::slice::from_ref(byte));
        }
        head.guess()
    }

    #[test]
    fn first_bytes_tell_what_a_body_is() {
        let cases: &[(&[u8], Guess)] = &[
            (b"", Guess::Unsure),
            (b" \r\n\t", Guess::Unsure),
            (b"{", Guess::Json),
            (b"  [", Guess::Json),
            (b"\xef\xbb\xbf{", Guess::Json),
            (b"\xef\xbb\xbf \t\r\n                {", Guess::Json),
            (b"\xef\xbb\xbf             <", Guess::Other),
            (b"\xef\xbb", Guess::Unsure),
            (b"\0{", Guess::Json),
            (b"\xff\xfe{\0", Guess::Json),
            (b"da", Guess::Unsure),
            (b"data:", Guess::Events),
            (b": ping", Guess::Events),
            (b"event: e", Guess::Events),
            (b"id: 1", Guess::Events),
            (b"date", Guess::Other),
            (b"<html>", Guess::Other),
            (b"\x1f\x8b", Guess::Other),
        ];
        for (bytes, expected) in cases {
            assert_eq!(guess(bytes), *expected, "{bytes:?}");
            let mut whole = Head::default();
            whole.take(bytes);
            assert_eq!(whole.guess(), *expected, "{bytes:?}");
        }
    }
}
