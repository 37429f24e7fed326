//! The JSON-RPC scanner: bytes of a body in, messages out.
//!
//! A [`Scanner`] reads one body (of an HTTP message, an SSE event, a WebSocket
//! message, a line) in whatever pieces it comes and hands each JSON-RPC 2.0
//! message to a [`MessageSink`]: a single object, the elements of a batch
//! (MCP 2025-03-26), or several documents separated by newlines. The order of
//! members does not matter, and nothing of the body is held but the few texts
//! a [`Message`] keeps. JSON that is no message costs one pass and no event.

use super::collect::{Collecting, Collector, Deliver, Event};
use super::encoding::{Charset, Decoder};
use super::json::{Ending, Reason, Tokenizer};
use super::listen::Listener;
use super::message::{Message, Version};

/// Receives messages.
pub trait MessageSink {
    /// A message; it is reused after the call.
    fn on_message(&mut self, message: &Message);

    /// Who hears the values of messages; as a rule nobody.
    fn listener(&mut self) -> Option<&mut dyn Listener> {
        None
    }
}

impl<F: FnMut(&Message)> MessageSink for F {
    fn on_message(&mut self, message: &Message) {
        self(message);
    }
}

/// Why a body is no JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Malformed {
    /// Offset in the body, in bytes of UTF-8 and without a byte order mark.
    pub offset: u64,
    /// What is wrong there.
    pub reason: Reason,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.reason {
            Reason::Unexpected => "unexpected character",
            Reason::ControlCharacter => "control character in a string",
            Reason::Escape => "unknown escape",
            Reason::Number => "malformed number",
            Reason::TrailingGarbage => "garbage after a value",
            Reason::Nesting => "nested too deep",
            Reason::UnexpectedEnd => "unexpected end",
        };
        write!(f, "{what} at offset {}", self.offset)
    }
}

impl std::error::Error for Malformed {}

crate::counters! {
    /// What a [`Scanner`] saw, over all its bodies.
    pub struct ScanCounters {
        /// Messages delivered.
        messages,
        /// Of these, messages whose end is missing.
        truncated,
        /// Of these, messages with a key of folded case.
        folded_keys,
        /// Of these, messages with a key that occurs twice.
        duplicate_keys,
        /// Of these, messages with a text or list that was cut at its cap.
        cut,
        /// Of these, messages in another encoding than UTF-8.
        transcoded,
        /// Objects that were no JSON-RPC message.
        not_rpc,
        /// Top-level arrays.
        batches,
        /// Of these, empty ones.
        empty_batches,
        /// Bodies that are not JSON, or not to their end.
        malformed,
        /// Bodies with a gap.
        gaps,
        /// Bodies nested deeper than is checked bracket by bracket.
        deep,
    }
}

/// Finds the JSON-RPC messages in a body.
#[derive(Debug, Default)]
pub struct Scanner {
    decoder: Decoder,
    tokenizer: Tokenizer,
    collector: Collector,
    /// Bytes of UTF-8 read before the current piece.
    offset: u64,
    state: State,
    counters: ScanCounters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Reading,
    /// After a gap or the end.
    Ended,
    Failed(Malformed),
}

impl Scanner {
    /// Bytes that it owns beside itself: what is kept of the message that is read.
    pub(crate) fn memory(&self) -> usize {
        self.collector.memory()
    }

    /// A scanner for a body without a declared encoding.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the scanner ready for another body, whose `Content-Type` says
    /// `charset`. Its buffers and counters are kept.
    pub fn reset(&mut self, charset: Charset) {
        self.decoder = Decoder::new(charset);
        self.tokenizer = Tokenizer::new();
        self.collector.abandon();
        self.offset = 0;
        self.state = State::Reading;
    }

    /// Reads the next bytes of the body. After an error, a gap or the end it
    /// reads nothing more until [`reset`](Self::reset); a message that was not
    /// complete before an error is not delivered.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl MessageSink) -> Result<(), Malformed> {
        if self.decoder.passes_through() {
            return self.feed_utf8(bytes, sink);
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        self.collector.transcoded = decoder.transcodes(bytes);
        let mut outcome = Ok(());
        decoder.feed(bytes, |utf8| outcome = self.feed_utf8(utf8, sink));
        self.decoder = decoder;
        outcome
    }

    /// Bytes of the body are lost: the message that is read ends truncated.
    pub fn gap(&mut self, sink: &mut impl MessageSink) {
        if self.state == State::Reading {
            self.counters.gaps += 1;
            self.cut(sink);
        }
    }

    /// The body ended. If it is not `complete` (its rest was not captured), an
    /// unfinished message is delivered as truncated; otherwise its sender left
    /// it unfinished, and no receiver takes that for a message.
    pub fn finish(&mut self, complete: bool, sink: &mut impl MessageSink) -> Result<(), Malformed> {
        if complete && !self.decoder.passes_through() {
            let mut decoder = std::mem::take(&mut self.decoder);
            let mut outcome = Ok(());
            decoder.finish(|utf8| outcome = self.feed_utf8(utf8, sink));
            self.decoder = decoder;
            outcome?;
        }
        match self.state {
            State::Failed(malformed) => return Err(malformed),
            State::Ended => return Ok(()),
            State::Reading => {}
        }
        if !complete && self.tokenizer.in_document() {
            self.cut(sink);
            return Ok(());
        }
        let delivery = Delivery { counters: &mut self.counters, sink };
        let mut collecting = Collecting { collector: &mut self.collector, delivery };
        match self.tokenizer.finish(&mut collecting) {
            Ending::Clean => {
                self.end(State::Ended);
                Ok(())
            }
            Ending::Cut => Err(self.fail(self.offset, Reason::UnexpectedEnd)),
        }
    }

    /// Whether a document has begun and not ended.
    pub fn in_document(&self) -> bool {
        self.state == State::Reading && self.tokenizer.in_document()
    }

    /// What it saw so far.
    pub fn counters(&self) -> &ScanCounters {
        &self.counters
    }

    fn feed_utf8(&mut self, bytes: &[u8], sink: &mut impl MessageSink) -> Result<(), Malformed> {
        match self.state {
            State::Reading => {}
            State::Ended => return Ok(()),
            State::Failed(malformed) => return Err(malformed),
        }
        let delivery = Delivery { counters: &mut self.counters, sink };
        let mut collecting = Collecting { collector: &mut self.collector, delivery };
        match self.tokenizer.feed(bytes, &mut collecting) {
            Ok(()) => {
                self.offset = self.offset.saturating_add(bytes.len() as u64);
                Ok(())
            }
            Err((at, reason)) => Err(self.fail(self.offset.saturating_add(at as u64), reason)),
        }
    }

    fn fail(&mut self, offset: u64, reason: Reason) -> Malformed {
        let malformed = Malformed { offset, reason };
        self.counters.malformed += 1;
        self.collector.abandon();
        self.end(State::Failed(malformed));
        malformed
    }

    /// Reads no more of this body.
    fn end(&mut self, state: State) {
        self.state = state;
        self.counters.deep += u64::from(self.tokenizer.went_deep());
    }

    /// Delivers what was seen of the current message.
    fn cut(&mut self, sink: &mut impl MessageSink) {
        self.end(State::Ended);
        if self.collector.cut() {
            self.counters.deliver(&self.collector.message, sink);
        }
    }
}

/// Counts what is complete and hands it on.
struct Delivery<'a, S> {
    counters: &'a mut ScanCounters,
    sink: &'a mut S,
}

impl<S: MessageSink> Deliver for Delivery<'_, S> {
    fn event(&mut self, event: Event, message: &Message) {
        self.counters.on_event(event, message, self.sink);
    }

    fn listener(&mut self) -> Option<&mut dyn Listener> {
        self.sink.listener()
    }
}

impl ScanCounters {
    fn on_event(&mut self, event: Event, message: &Message, sink: &mut impl MessageSink) {
        match event {
            Event::Batch => self.batches += 1,
            Event::EmptyBatch => self.empty_batches += 1,
            Event::Message if message.version() == Version::Absent => self.not_rpc += 1,
            Event::Message => self.deliver(message, sink),
        }
    }

    fn deliver(&mut self, message: &Message, sink: &mut impl MessageSink) {
        let flags = message.flags();
        self.messages += 1;
        self.truncated += u64::from(flags.truncated);
        self.folded_keys += u64::from(flags.folded_keys);
        self.duplicate_keys += u64::from(flags.duplicate_keys);
        self.cut += u64::from(flags.cut);
        self.transcoded += u64::from(flags.transcoded);
        sink.on_message(message);
    }
}
