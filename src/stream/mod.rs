//! Protocols over a stream: bytes of one flow in, exchanges and messages out.

pub mod coding;
mod connection;
pub mod dns;
mod exchange;
pub mod http1;
pub mod http2;
pub mod http3;
pub mod names;
pub mod preface;
pub mod quic;
pub mod sse;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
pub mod uri;
pub mod websocket;

pub use connection::{
    Connection, ConnectionCounters, ConnectionSink, StreamCounters, StreamLimits,
};
pub use exchange::{
    ExchangeId, ExchangeSink, HeadFlags, Header, HttpVersion, Interest, RequestHead, ResponseHead,
    find_header, joined,
};

/// Which way bytes travel in a flow. The client is who opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From client to server.
    ToServer,
    /// From server to client.
    ToClient,
}

impl Direction {
    /// The other direction.
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// The name used in findings: `to_server`, `to_client`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToServer => "to_server",
            Self::ToClient => "to_client",
        }
    }

    /// 0 for to-server, 1 for to-client: an index into per-direction arrays.
    pub const fn index(self) -> usize {
        self as usize
    }
}
