//! Protocols over a stream: bytes of one flow in, exchanges and messages out.

mod exchange;

pub use exchange::{
    ExchangeId, ExchangeSink, HeadFlags, Header, HttpVersion, Interest, RequestHead, ResponseHead,
    find_header,
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

    /// 0 for to-server, 1 for to-client: an index into per-direction arrays.
    pub const fn index(self) -> usize {
        self as usize
    }
}
