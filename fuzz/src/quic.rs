//! QUIC: the datagrams of a flow, with keys and without.
//!
//! Input: the text of a key log after its length as a little-endian number of
//! two bytes, then datagrams as steps (see `input.rs`).

use mcpwatch::stream::quic::{
    ConnectionId, Quic, QuicCounters, QuicLimits, QuicSink, QuicVersion, probe,
};
use mcpwatch::stream::tls::{KeyLogReader, KeyStore, TlsInfo, TlsNews};
use mcpwatch::stream::{Direction, ExchangeId, ExchangeSink, Interest, RequestHead, ResponseHead};

use super::exchanges::Log;
use super::input::{Input, Step, sign, steps};

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let log = KeyLogReader::whole(input.sized());
    let keys = KeyStore::new().extended(log);
    let steps = steps(input);
    let with = read(&steps, &keys);
    assert_eq!(read(&steps, &keys), with, "not the same again");
    let without = read(&steps, &KeyStore::new());
    assert_eq!(without.1.opened_packets, 0, "opened without keys");
}

#[derive(Default)]
struct Sink {
    log: Log,
    reversed: bool,
}

impl QuicSink for Sink {
    fn quic_news(&mut self, connection: u16, version: QuicVersion, news: TlsNews, info: &TlsInfo) {
        self.log.line(format!("{connection} {version:?} {news:?} {info:?}"));
    }

    fn quic_connection_id(&mut self, connection: u16, direction: Direction, id: &ConnectionId) {
        self.log.line(format!("{}{connection} {id:?}", sign(direction)));
    }

    fn quic_reversed(&mut self) {
        assert!(!self.reversed, "reversed twice");
        self.reversed = true;
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

fn read(steps: &[Step<'_>], keys: &KeyStore) -> (Vec<String>, QuicCounters) {
    let mut quic = Quic::new(QuicLimits::default());
    let mut sink = Sink::default();
    for step in steps {
        if let Step::Data(direction, datagram) = *step {
            probe(datagram);
            let direction = if sink.reversed { direction.reverse() } else { direction };
            quic.datagram(direction, datagram, keys, &mut sink);
        }
    }
    quic.close(&mut sink);
    (sink.log.finish(), *quic.counters())
}
