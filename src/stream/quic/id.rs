//! Connection identifiers, and whose they are.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use super::packet::{Long, Packet};
use crate::stream::Direction;

/// A connection identifier (RFC 9000 section 5.1): 0 to 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl ConnectionId {
    /// The greatest length.
    pub const MAX: usize = 20;

    /// The identifier that has these bytes. `None` if they are too many.
    pub fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { bytes, len: id.len() as u8 })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The identifiers that packets of one direction of a connection carry.
#[derive(Debug, Default)]
pub(super) struct IdList {
    /// Oldest first.
    ids: Vec<ConnectionId>,
}

impl IdList {
    /// Endpoints keep two to eight at a time; a few from before stay useful for
    /// packets that come late.
    const MAX: usize = 16;

    /// Adds an identifier. Says whether it is new.
    pub(super) fn add(&mut self, id: ConnectionId) -> bool {
        if self.ids.contains(&id) {
            return false;
        }
        if self.ids.len() == Self::MAX {
            self.ids.remove(0);
        }
        self.ids.push(id);
        true
    }

    pub(super) fn contains(&self, id: &[u8]) -> bool {
        self.ids.iter().any(|known| known.as_bytes() == id)
    }

    /// The length of the identifier that `bytes` begin with. The longest one
    /// counts, so that one without bytes hides no other.
    pub(super) fn prefix_len(&self, bytes: &[u8]) -> Option<usize> {
        let known = self.ids.iter().map(ConnectionId::as_bytes);
        known.filter(|id| bytes.starts_with(id)).map(<[u8]>::len).max()
    }

    /// The length of the newest identifier.
    pub(super) fn usual_len(&self) -> Option<usize> {
        self.ids.last().map(|id| id.len.into())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ConnectionId> {
        self.ids.iter()
    }
}

/// Whose connection a packet belongs to that comes from an address not seen
/// before: so a connection that migrates (RFC 9000 section 9), or that a NAT
/// gives another port, stays one.
///
/// `T` is the caller's handle of the flow that has the [`Quic`](super::Quic) of
/// the connection. Fill it from
/// [`QuicSink::quic_connection_id`](super::QuicSink::quic_connection_id); ask it for the
/// first datagram of a flow that is not a client's Initial; feed what follows
/// to the owner. Entries beyond the limit displace the oldest ones, so a handle
/// must tell by itself whether what it stood for is still there.
#[derive(Debug)]
pub struct QuicDirectory<T> {
    owners: HashMap<ConnectionId, (T, Direction)>,
    /// Oldest first; may name entries that were removed.
    order: VecDeque<ConnectionId>,
    /// How many entries have each length.
    lengths: [u32; ConnectionId::MAX + 1],
    limit: usize,
}

impl<T: Copy> QuicDirectory<T> {
    /// Shorter identifiers than this say too little.
    pub const MIN_LENGTH: usize = 4;

    /// A directory of `limit` identifiers at most.
    pub fn new(limit: usize) -> Self {
        Self {
            owners: HashMap::new(),
            order: VecDeque::new(),
            lengths: [0; ConnectionId::MAX + 1],
            limit: limit.max(1),
        }
    }

    /// Files an identifier that packets of `direction` carry under `owner`.
    /// Those shorter than [`MIN_LENGTH`](Self::MIN_LENGTH) are left out.
    pub fn insert(&mut self, id: ConnectionId, direction: Direction, owner: T) {
        let len = usize::from(id.len);
        if len < Self::MIN_LENGTH {
            return;
        }
        if self.owners.insert(id, (owner, direction)).is_some() {
            return;
        }
        self.lengths[len] += 1;
        self.order.push_back(id);
        while self.owners.len() > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            self.forget(&oldest);
        }
        if self.order.len() > 2 * self.limit {
            let owners = &self.owners;
            self.order.retain(|id| owners.contains_key(id));
        }
    }

    /// Takes an identifier out.
    pub fn remove(&mut self, id: &ConnectionId) {
        self.forget(id);
    }

    /// The owner of the connection that `datagram` belongs to, and the
    /// direction the datagram travels in.
    pub fn find(&self, datagram: &[u8]) -> Option<(T, Direction)> {
        match Packet::split(datagram)?.0 {
            Packet::Long(Long { dcid, .. }) => self.owner(dcid),
            Packet::Short(packet) => {
                let lengths = (Self::MIN_LENGTH..=ConnectionId::MAX).rev();
                lengths
                    .filter(|&len| self.lengths[len] > 0)
                    .find_map(|len| self.owner(packet.get(1..=len)?))
            }
            Packet::Retry(_) | Packet::VersionNegotiation | Packet::UnknownVersion => None,
        }
    }

    /// How many identifiers are filed.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    fn owner(&self, id: &[u8]) -> Option<(T, Direction)> {
        self.owners.get(&ConnectionId::new(id)?).copied()
    }

    fn forget(&mut self, id: &ConnectionId) {
        if self.owners.remove(id).is_some() {
            self.lengths[usize::from(id.len)] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(bytes: &[u8]) -> ConnectionId {
        ConnectionId::new(bytes).unwrap()
    }

    #[test]
    fn lists_are_bounded_and_know_the_longest_prefix() {
        let mut list = IdList::default();
        for number in 0..40 {
            assert!(list.add(id(&[number; 8])));
        }
        assert!(!list.add(id(&[39; 8])));
        assert_eq!(list.iter().count(), IdList::MAX);
        assert!(list.contains(&[39; 8]) && !list.contains(&[0; 8]));
        assert_eq!(list.prefix_len(&[30; 20]), Some(8));
        assert_eq!(list.prefix_len(&[0; 20]), None);
        list.add(id(b""));
        assert_eq!(list.prefix_len(&[0; 20]), Some(0));
        assert_eq!(list.prefix_len(&[30; 20]), Some(8));
        assert_eq!(list.usual_len(), Some(0));
    }

    #[test]
    fn a_directory_finds_owners_by_datagram() {
        let mut directory = QuicDirectory::new(10);
        directory.insert(id(b"abcd"), Direction::ToServer, 1);
        directory.insert(id(b"abcdefgh"), Direction::ToClient, 2);
        directory.insert(id(b"abc"), Direction::ToServer, 3);
        for (datagram, found) in [
            (&b"\x40abcd and so on"[..], Some((1, Direction::ToServer))),
            (b"\x40abcdefgh and so on", Some((2, Direction::ToClient))),
            (b"\x40abcdefg", Some((1, Direction::ToServer))),
            (b"\x40abc", None),
            (b"\xe0\0\0\0\x01\x04abcd\0\0\x05\0\0\0\0\0", Some((1, Direction::ToServer))),
            (b"", None),
        ] {
            assert_eq!(directory.find(datagram), found, "{datagram:?}");
        }
        directory.remove(&id(b"abcd"));
        assert_eq!(directory.find(b"\x40abcd and so on"), None);
        assert_eq!(directory.len(), 1);
    }

    #[test]
    fn a_directory_is_bounded() {
        let mut directory = QuicDirectory::new(100);
        for number in 0..10_000u32 {
            let new = id(&number.to_be_bytes());
            directory.insert(new, Direction::ToServer, number);
            if number % 3 == 0 {
                directory.remove(&new);
            }
            assert!(directory.len() <= 100);
            assert!(directory.order.len() <= 201);
        }
        assert_eq!(directory.lengths.iter().sum::<u32>() as usize, directory.len());
    }
}
