//! TLS on a connection: records in, the connection inside out.

use super::{Connection, ConnectionSink, StreamLimits};
use crate::stream::Direction;
use crate::stream::tls::{KeyStore, Tls, TlsInfo, TlsNews, TlsSink};

/// A TLS connection and the one it carries.
pub(super) struct Secure {
    tls: Tls,
    inner: Connection,
}

impl std::fmt::Debug for Secure {
    /// Without the TLS state, which holds keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Secure {
    pub(super) fn new(limits: StreamLimits, depth: u8) -> Self {
        Self { tls: Tls::new(limits.tls), inner: Connection::nested(limits, depth) }
    }

    /// Bytes that it owns beside itself, about.
    pub(super) fn memory(&self) -> usize {
        self.tls.memory() + self.inner.memory()
    }

    pub(super) fn feed(
        &mut self,
        direction: Direction,
        data: &[u8],
        sink: &mut impl ConnectionSink,
    ) {
        self.run(sink, |tls, keys, inside| tls.feed(direction, data, keys, inside));
    }

    pub(super) fn gap(&mut self, direction: Direction, len: u64, sink: &mut impl ConnectionSink) {
        self.run(sink, |tls, keys, inside| tls.gap(direction, len, keys, inside));
    }

    pub(super) fn end(&mut self, direction: Direction, sink: &mut impl ConnectionSink) {
        self.run(sink, |tls, keys, inside| tls.end(direction, keys, inside));
    }

    pub(super) fn close(&mut self, sink: &mut impl ConnectionSink) {
        self.run(sink, |tls, keys, inside| tls.close(keys, inside));
        sink.counters().tls.merge(self.tls.counters());
        self.inner.close(sink);
    }

    fn run<S: ConnectionSink>(
        &mut self,
        sink: &mut S,
        step: impl FnOnce(&mut Tls, &KeyStore, &mut Inside<'_, S>),
    ) {
        let keys = sink.keys();
        let mut inside = Inside { inner: &mut self.inner, sink, at_rest: false };
        step(&mut self.tls, &keys, &mut inside);
        if inside.at_rest {
            sink.dismiss();
        }
    }
}

/// Hands what TLS carries to the connection inside.
struct Inside<'a, S> {
    inner: &'a mut Connection,
    sink: &'a mut S,
    at_rest: bool,
}

impl<S: ConnectionSink> TlsSink for Inside<'_, S> {
    fn news(&mut self, news: TlsNews, info: &TlsInfo) {
        self.sink.tls(news, info);
    }

    fn application_data(&mut self, direction: Direction, data: &[u8]) {
        self.inner.feed(direction, data, self.sink);
    }

    fn application_gap(&mut self, direction: Direction, len: u64) {
        self.inner.gap(direction, len, self.sink);
    }

    fn application_end(&mut self, direction: Direction) {
        self.inner.end(direction, self.sink);
    }

    fn nothing_more(&mut self) {
        self.at_rest = true;
    }
}
