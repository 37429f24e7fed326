//! Makes traffic: TCP connections with their handshakes, acknowledgements and
//! ends, on a clock of their own.

use std::net::SocketAddr;

use mcpwatch::capture::LinkType;

use super::packet::{ACK, FIN, Frame, PSH, SYN, Segment, pcap};

const MSS: usize = 1460;
const START: i64 = 1_790_000_000_000_000_000;
const MILLISECOND: i64 = 1_000_000;

/// A capture in the making.
#[derive(Debug)]
pub(crate) struct Wire {
    frames: Vec<Frame>,
    nanos: i64,
    next_port: u16,
}

/// One TCP connection.
#[derive(Debug)]
pub(crate) struct Connection {
    client: SocketAddr,
    server: SocketAddr,
    sent: [u32; 2],
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self { frames: Vec::new(), nanos: START, next_port: 40_000 }
    }

    /// Opens a connection from `client` to `server`.
    pub(crate) fn connect(&mut self, client: &str, server: &str) -> Connection {
        let client = SocketAddr::new(client.parse().unwrap(), self.next_port);
        self.next_port += 1;
        let server = server.parse().unwrap();
        let mut connection = Connection { client, server, sent: [1_000_000, 2_000_000] };
        self.segment(&mut connection, Side::Client, SYN, &[]);
        self.segment(&mut connection, Side::Server, SYN | ACK, &[]);
        self.segment(&mut connection, Side::Client, ACK, &[]);
        connection
    }

    /// Sends bytes, which the other side acknowledges.
    pub(crate) fn send(&mut self, connection: &mut Connection, side: Side, bytes: &[u8]) {
        for piece in bytes.chunks(MSS) {
            self.segment(connection, side, ACK | PSH, piece);
        }
        self.segment(connection, side.other(), ACK, &[]);
    }

    /// Sends a request and its answer.
    pub(crate) fn exchange(&mut self, connection: &mut Connection, request: &[u8], answer: &[u8]) {
        self.send(connection, Side::Client, request);
        self.send(connection, Side::Server, answer);
    }

    /// Ends the connection from both sides.
    pub(crate) fn close(&mut self, mut connection: Connection) {
        self.segment(&mut connection, Side::Client, FIN | ACK, &[]);
        self.segment(&mut connection, Side::Server, FIN | ACK, &[]);
        self.segment(&mut connection, Side::Client, ACK, &[]);
    }

    /// The bytes of the frames since the last call.
    pub(crate) fn take_frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames).into_iter().map(|frame| frame.data).collect()
    }

    /// The bytes of all frames.
    pub(crate) fn into_frames(self) -> Vec<Vec<u8>> {
        self.frames.into_iter().map(|frame| frame.data).collect()
    }

    /// The capture.
    pub(crate) fn pcap(&self) -> Vec<u8> {
        pcap(LinkType::ETHERNET, &self.frames)
    }

    fn segment(&mut self, connection: &mut Connection, side: Side, flags: u8, payload: &[u8]) {
        self.nanos += MILLISECOND;
        let (src, dst) = match side {
            Side::Client => (connection.client, connection.server),
            Side::Server => (connection.server, connection.client),
        };
        let segment = Segment {
            nanos: self.nanos,
            macs: [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2],
            src,
            dst,
            seq: connection.sent[side as usize],
            ack: if flags & ACK == 0 { 0 } else { connection.sent[side.other() as usize] },
            flags,
            options: Vec::new(),
            payload: payload.to_vec(),
        };
        connection.sent[side as usize] = segment.end();
        self.frames.push(segment.frame());
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}
