//! What Initial packets need: keys that anyone can make, and the hellos that
//! are joined from them.

use std::ops::Range;

use super::id::ConnectionId;
use super::join::FirstMessage;
use super::keys::{self, Keys};
use super::opener;
use super::packet::Long;
use super::version::QuicVersion;
use crate::stream::Direction;

/// What Initial packets need.
pub(super) struct Initial {
    /// What the keys are made of.
    pub(super) dcid: ConnectionId,
    /// By direction.
    keys: [Keys; 2],
    /// One more than the greatest packet number seen, by direction.
    pub(super) next: [u64; 2],
    /// ClientHello and ServerHello.
    pub(super) messages: [FirstMessage; 2],
}

impl Initial {
    /// The state for a client's first Initial, if `packet` is one: its keys
    /// open it. Its payload is then in the scratch buffer.
    pub(super) fn open_first(
        packet: &Long<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<(Self, Range<usize>)> {
        let mut initial = Self::new(packet.version, ConnectionId::new(packet.dcid)?)?;
        let payload = initial.open(Direction::ToServer, packet, scratch)?;
        Some((initial, payload))
    }

    /// The state for Initials whose keys are made of `dcid`.
    pub(super) fn new(version: QuicVersion, dcid: ConnectionId) -> Option<Self> {
        let keys = keys::initial(version, dcid.as_bytes())?;
        Some(Self { dcid, keys, next: [0; 2], messages: Default::default() })
    }

    /// Opens an Initial. Its payload is then in the scratch buffer.
    pub(super) fn open(
        &mut self,
        direction: Direction,
        packet: &Long<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        let side = direction.index();
        let next = &mut self.next[side];
        opener::open(&self.keys[side], packet.bytes, packet.number_at, next, scratch)
    }
}

impl std::fmt::Debug for Initial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Initial").field("dcid", &self.dcid).finish_non_exhaustive()
    }
}
