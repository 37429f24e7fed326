//! TLS 1.0 to 1.3, read passively from both sides: what it says of itself
//! without keys, and what it carries with them.
//!
//! In: the bytes of both directions of one connection, cut anywhere, with
//! explicit gaps, and a [`KeyStore`]. Out, pushed into a [`TlsSink`]: what became
//! known of the connection ([`TlsInfo`]: server name, protocols, version,
//! fingerprints, certificate names); decrypted application data in order; and
//! the news that nothing more will come, upon which the caller can forget the
//! connection.
//!
//! Without keys only the handshake is looked at, and what is protected is passed
//! over by the headers of its records. With keys (RFC 8446 for TLS 1.3: all
//! suites but the CCM ones, resumption, HelloRetryRequest, early data, key
//! updates; RFC 5246 for TLS 1.2: AES-GCM, ChaCha20-Poly1305 and AES-CBC,
//! resumption, renegotiation) records are opened one by one.
//!
//! ```
//! use mcpwatch::stream::Direction;
//! use mcpwatch::stream::tls::{KeyStore, Tls, TlsInfo, TlsLimits, TlsNews, TlsSink};
//!
//! struct Names(Vec<String>);
//!
//! impl TlsSink for Names {
//!     fn news(&mut self, _: TlsNews, info: &TlsInfo) {
//!         self.0.extend(info.sni.clone());
//!     }
//!     fn application_data(&mut self, _: Direction, _: &[u8]) {}
//!     fn application_gap(&mut self, _: Direction, _: u64) {}
//!     fn application_end(&mut self, _: Direction) {}
//!     fn nothing_more(&mut self) {}
//! }
//!
//! // A ClientHello with a server name only.
//! let mut hello = b"\x16\x03\x01\x00\x3f\x01\x00\x00\x3b\x03\x03".to_vec();
//! hello.extend([7; 32]);
//! hello.extend(b"\0\0\x02\x13\x01\x01\0\0\x10\0\0\0\x0c\0\x0a\0\0\x07mcp.dev");
//! # hello[4] = (hello.len() - 5) as u8;
//! # hello[8] = (hello.len() - 9) as u8;
//! let mut names = Names(Vec::new());
//! let mut tls = Tls::new(TlsLimits::default());
//! for byte in hello.chunks(1) {
//!     tls.feed(Direction::ToServer, byte, &KeyStore::new(), &mut names);
//! }
//! assert_eq!(names.0, ["mcp.dev"]);
//! ```
//!
//! What is lost stays lost: a damaged record is passed over whole, and said as a
//! gap. After a gap the next record is found and opened by trying the numbers,
//! and the keys, that may come next.
//!
//! Where keys may still come ([`KeyStore::may_grow`]) a connection holds some
//! records, of both directions and in order, until they do. What cannot be
//! seen: a connection joined after its ClientHello (key logs are keyed by its
//! random), and one that takes Encrypted Client Hello (its keys are filed under
//! a random that is itself encrypted).

mod certificate;
mod connection;
mod decrypt;
mod half;
pub(crate) mod handshake;
mod held;
pub mod hello;
pub(crate) mod hkdf;
mod info;
pub mod ja;
pub(crate) mod keylog;
mod negotiate;
mod opening;
mod probe;
mod record;
pub(crate) mod suite;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use self::connection::Tls;
pub use self::held::HoldBudget;
pub(crate) use self::held::HoldShare;
pub use self::hello::{ClientHello, HelloError, ServerHello, TlsVersion};
pub use self::info::{TlsInfo, TlsNews};
pub use self::ja::Carrier;
pub use self::keylog::{
    KeyLogCounters, KeyLogError, KeyLogErrorKind, KeyLogFollower, KeyLogPart, KeyLogReader,
    KeyStore,
};
pub use self::probe::{Probe, probe};
use super::Direction;

/// Receives what becomes known of one connection, and what it carries.
pub trait TlsSink {
    /// Something became known.
    fn news(&mut self, news: TlsNews, info: &TlsInfo);

    /// Decrypted application data, in order.
    fn application_data(&mut self, direction: Direction, data: &[u8]);

    /// `len` bytes of application data were lost (0: an unknown number).
    fn application_gap(&mut self, direction: Direction, len: u64);

    /// The application data of a direction ended. Called once for each
    /// direction that was decrypted.
    fn application_end(&mut self, direction: Direction);

    /// Nothing more will come of this connection: it need not be fed any
    /// longer. Called once at most.
    fn nothing_more(&mut self);
}

crate::counters! {
    /// What the TLS parser saw.
    pub struct TlsCounters {
        /// ClientHello messages.
        client_hellos,
        /// ServerHello messages.
        server_hellos,
        /// Requests for another ClientHello.
        hello_retries,
        /// Connections that resumed an earlier session.
        resumptions,
        /// Handshakes inside a connection (TLS 1.2).
        renegotiations,
        /// ClientHello messages with Encrypted Client Hello, or GREASE for it.
        ech_offered,
        /// Certificate messages of servers.
        certificates,
        /// Hello and Certificate messages that are malformed.
        malformed_messages,
        /// Handshake messages over the cap, which are passed over.
        handshake_too_large,
        /// Records looked at.
        records,
        /// Records passed over by their header.
        records_skipped,
        /// Places where a record was due and something else stood.
        bad_records,
        /// Handshakes given up because they would not end.
        endless_handshakes,
        /// Gaps.
        gaps,
        /// Bytes lost in gaps.
        lost_bytes,
        /// Connections of which records were opened.
        decrypted,
        /// Records opened.
        records_opened,
        /// Bytes of application data handed on.
        application_bytes,
        /// Records of early data (0-RTT) opened.
        early_records,
        /// Key updates followed.
        key_updates,
        /// Records opened after lost ones, by trying numbers or keys.
        recoveries,
        /// Records that did not open although their keys were there.
        unopened_records,
        /// Connections whose keys were not in the key log.
        keys_missing,
        /// Directions whose keys in the key log opened nothing.
        keys_wrong,
        /// Connections whose keys came after their records.
        keys_late,
        /// Connections with keys, but of a cipher suite, version or compression
        /// that is not supported.
        suites_unsupported,
        /// Records held until keys came.
        records_held,
        /// Connections that stopped holding records because of a cap.
        holds_given_up,
    }
}

/// Bounds on what one connection may keep, and on what it may try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsLimits {
    /// Bytes of a handshake message that is looked at.
    pub message_bytes: usize,
    /// Bytes of records before a handshake is said not to end.
    pub handshake_bytes: usize,
    /// Bytes of records held while keys may come.
    pub held_bytes: usize,
    /// Lost records that are bridged by trying numbers.
    pub lost_records: u16,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            handshake_bytes: 512 * 1024,
            held_bytes: 64 * 1024,
            lost_records: 64,
        }
    }
}
