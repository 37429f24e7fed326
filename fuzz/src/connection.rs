//! A connection whose protocol is told by its content: both directions, with
//! gaps, cut anywhere.
//!
//! Input: a byte of options (bit 0: joined in mid-stream, bit 1: the sides may
//! be swapped, bit 2: bodies are skipped, bit 3: a TLS key log comes first,
//! after its length as a little-endian number of two bytes), a seed for the
//! cuts, then steps (see `input.rs`).

use std::sync::Arc;

use mcpwatch::stream::http2::Http2Sink;
use mcpwatch::stream::tls::{KeyLogReader, KeyStore, TlsInfo, TlsNews};
use mcpwatch::stream::websocket::{MessageKind, WebSocketSink};
use mcpwatch::stream::{
    Connection, ConnectionSink, Direction, ExchangeId, ExchangeSink, Interest, RequestHead,
    ResponseHead, StreamCounters, StreamLimits,
};

use super::compare::same_list;
use super::exchanges::Log;
use super::input::{Cut, Input, Step, sign, steps};

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (options, seed) = (input.byte(), input.byte());
    let log = if options & 8 == 0 { b"" } else { input.sized() };
    let keys = Arc::new(KeyStore::new().extended(KeyLogReader::whole(log)));
    let steps = steps(input);
    let whole = read(&steps, Cut::Whole, options, &keys);
    for cut in Cut::others(seed) {
        let other = read(&steps, cut, options, &keys);
        same_list(&other.0, &whole.0, cut);
        same_list(&listed(&other.1), &listed(&whole.1), cut);
    }
}

fn read(
    steps: &[Step<'_>],
    cut: Cut,
    options: u8,
    keys: &Arc<KeyStore>,
) -> (Vec<String>, StreamCounters) {
    let mut sink = Sink {
        log: Log::new(options & 4 != 0),
        midstream: options & 1 != 0,
        reversible: options & 2 != 0,
        reversed: false,
        dismissed: false,
        keys: Arc::clone(keys),
        counters: StreamCounters::default(),
    };
    let mut connection = Connection::new(StreamLimits::default());
    for step in steps {
        match *step {
            Step::Data(direction, data) => {
                for piece in cut.pieces(data) {
                    if sink.dismissed {
                        break;
                    }
                    connection.feed(sink.turned(direction), piece, &mut sink);
                }
            }
            _ if sink.dismissed => {}
            Step::Gap(direction, len) => connection.gap(sink.turned(direction), len, &mut sink),
            Step::End(direction) => connection.end(sink.turned(direction), &mut sink),
        }
    }
    connection.close(&mut sink);
    (sink.log.finish(), sink.counters)
}

fn listed(counters: &StreamCounters) -> Vec<String> {
    let mut list = Vec::new();
    counters.each(&mut |section, name, value| list.push(format!("{section}.{name} {value}")));
    list
}

struct Sink {
    log: Log,
    midstream: bool,
    reversible: bool,
    reversed: bool,
    dismissed: bool,
    keys: Arc<KeyStore>,
    counters: StreamCounters,
}

impl Sink {
    fn turned(&self, direction: Direction) -> Direction {
        if self.reversed { direction.reverse() } else { direction }
    }
}

impl ConnectionSink for Sink {
    fn is_midstream(&self) -> bool {
        self.midstream
    }

    fn reverse(&mut self) -> bool {
        self.reversed ^= self.reversible;
        self.log.line(format!("reversed: {}", self.reversed));
        self.reversible
    }

    fn server_port(&self) -> u16 {
        443
    }

    fn keys(&mut self) -> Arc<KeyStore> {
        Arc::clone(&self.keys)
    }

    fn tls(&mut self, news: TlsNews, info: &TlsInfo) {
        self.log.line(format!("{news:?} {info:?}"));
    }

    fn websocket(&mut self, exchange: ExchangeId) {
        self.log.line(format!("{} websocket", exchange.0));
    }

    fn raw_data(&mut self, direction: Direction, data: &[u8]) {
        assert!(!data.is_empty());
        self.log.data(format!("{}raw ", sign(direction)), data);
    }

    fn raw_gap(&mut self, direction: Direction, len: u64) {
        self.log.line(format!("{}raw: gap {len}", sign(direction)));
    }

    fn raw_end(&mut self, direction: Direction) {
        self.log.line(format!("{}raw: end", sign(direction)));
    }

    fn dns_data(&mut self, direction: Direction, data: &[u8]) {
        assert!(!data.is_empty());
        self.log.data(format!("{}dns ", sign(direction)), data);
    }

    fn dns_gap(&mut self, direction: Direction, len: u64) {
        self.log.line(format!("{}dns: gap {len}", sign(direction)));
    }

    fn dns_end(&mut self, direction: Direction) {
        self.log.line(format!("{}dns: end", sign(direction)));
    }

    fn dismiss(&mut self) {
        self.log.line("dismissed".to_owned());
        self.dismissed = true;
    }

    fn counters(&mut self) -> &mut StreamCounters {
        &mut self.counters
    }
}

impl ExchangeSink for Sink {
    fn request(&mut self, id: ExchangeId, head: &RequestHead<'_>) -> Interest {
        self.log.request(id, head)
    }

    fn response(&mut self, id: ExchangeId, head: &ResponseHead<'_>) -> Interest {
        self.log.response(id, head)
    }

    fn body(&mut self, id: ExchangeId, direction: Direction, data: &[u8]) -> Interest {
        self.log.body(id, direction, data)
    }

    fn body_gap(&mut self, id: ExchangeId, direction: Direction, len: u64) {
        self.log.body_gap(id, direction, len);
    }

    fn body_end(&mut self, id: ExchangeId, direction: Direction, complete: bool) {
        self.log.body_end(id, direction, complete);
    }

    fn exchange_end(&mut self, id: ExchangeId) {
        self.log.exchange_end(id);
    }
}

impl Http2Sink for Sink {
    fn extended_connect(&mut self, id: ExchangeId, protocol: &[u8]) {
        self.log.extended_connect(id, protocol);
    }
}

impl WebSocketSink for Sink {
    fn message_data(&mut self, direction: Direction, kind: MessageKind, data: &[u8]) -> Interest {
        self.log.message_data(direction, kind, data)
    }

    fn message_gap(&mut self, direction: Direction, kind: MessageKind) {
        self.log.message_gap(direction, kind);
    }

    fn message_end(&mut self, direction: Direction, kind: MessageKind, complete: bool) {
        self.log.message_end(direction, kind, complete);
    }

    fn closing(&mut self, direction: Direction, code: Option<u16>) {
        self.log.closing(direction, code);
    }
}
