//! The streams that are open, and which are over.

use std::collections::VecDeque;

use crate::stream::{Direction, Interest};

/// Streams that are remembered to be over.
const RECENT: usize = 64;

/// Answers that wait for their request: where the client's direction is late,
/// or not captured at all.
const UNPAIRED: usize = 64;

/// How far one side of an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// No head was seen.
    Idle,
    /// Its body goes on, and is wanted or not.
    Open(Interest),
    Ended,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// By direction: request and response.
    pub(super) sides: [Side; 2],
    /// The protocol that an extended CONNECT (RFC 8441) asked for, until it is
    /// agreed.
    pub(super) protocol: Option<Box<[u8]>>,
    /// Something of the exchange was told.
    pub(super) told: bool,
}

impl Stream {
    pub(super) fn new(id: u32) -> Self {
        Self { id, sides: [Side::Idle; 2], protocol: None, told: false }
    }

    pub(super) fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[direction.index()]
    }

    pub(super) fn is_over(&self) -> bool {
        self.sides == [Side::Ended; 2]
    }
}

/// All streams of a connection. Clients open them in increasing order, so they
/// are kept in order of their ids.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: VecDeque<Stream>,
    /// The last that ended.
    recent: VecDeque<u32>,
    /// Those that are answered but have no request yet.
    unpaired: VecDeque<u32>,
    /// The highest stream a request was seen of.
    highest_request: u32,
    /// The highest stream anything was seen of.
    highest: u32,
}

impl Streams {
    /// Bytes that they own beside themselves.
    pub(super) fn memory(&self) -> usize {
        let ids = self.recent.capacity() + self.unpaired.capacity();
        self.open.capacity() * size_of::<Stream>() + ids * size_of::<u32>()
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.position(id).ok()?;
        self.open.get_mut(at)
    }

    /// Adds a stream, or replaces it.
    pub(super) fn insert(&mut self, stream: Stream) {
        self.highest = self.highest.max(stream.id);
        match self.position(stream.id) {
            Ok(at) => self.open[at] = stream,
            Err(at) => self.open.insert(at, stream),
        }
    }

    /// Takes out a stream that is over.
    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        self.paired(id);
        let at = self.position(id).ok()?;
        let stream = self.open.remove(at)?;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
        Some(stream)
    }

    /// The oldest stream, if there are more than `limit`.
    pub(super) fn surplus(&self, limit: usize) -> Option<u32> {
        let oldest = self.open.front()?;
        (self.open.len() > limit).then_some(oldest.id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The first stream whose id is `id` or more.
    pub(super) fn first_from(&self, id: u32) -> Option<u32> {
        let at = self.position(id).unwrap_or_else(|at| at);
        self.open.get(at).map(|stream| stream.id)
    }

    pub(super) fn highest(&self) -> u32 {
        self.highest
    }

    /// Whether a stream that is not there has not been there before: none of
    /// those that ended lately, and `lossy` or not opened yet.
    pub(super) fn may_open(&self, id: u32, lossy: bool) -> bool {
        (lossy || id > self.highest_request) && !self.recent.contains(&id)
    }

    /// Whether the server may promise to answer a request on `id`.
    pub(super) fn may_push(&self, id: u32) -> bool {
        id > 0 && id.is_multiple_of(2) && !self.recent.contains(&id)
    }

    /// A request came on `id`.
    pub(super) fn request_seen(&mut self, id: u32) {
        self.highest_request = self.highest_request.max(id);
    }

    /// A stream was answered that has no request yet.
    pub(super) fn answered_unpaired(&mut self, id: u32) {
        self.unpaired.push_back(id);
    }

    /// A stream that has waited long enough for its request: its request was
    /// lost (a later one came: `before` it), or too many wait.
    pub(super) fn stale(&self, before: u32) -> Option<u32> {
        let first = *self.unpaired.front()?;
        if self.unpaired.len() > UNPAIRED {
            return Some(first);
        }
        self.unpaired.iter().copied().find(|&id| id < before)
    }

    /// A stream waits for its request no longer.
    pub(super) fn paired(&mut self, id: u32) {
        self.unpaired.retain(|&unpaired| unpaired != id);
    }

    fn position(&self, id: u32) -> Result<usize, usize> {
        match self.open.back() {
            Some(last) if last.id < id => Err(self.open.len()),
            _ => self.open.binary_search_by_key(&id, |stream| stream.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(streams: &Streams) -> Vec<u32> {
        streams.open.iter().map(|stream| stream.id).collect()
    }

    #[test]
    fn are_in_order_of_their_ids() {
        let mut streams = Streams::default();
        for id in [1, 5, 3, 9, 2] {
            streams.insert(Stream::new(id));
        }
        assert_eq!(ids(&streams), [1, 2, 3, 5, 9]);
        assert_eq!(streams.highest(), 9);
        assert_eq!((streams.first_from(4), streams.first_from(10)), (Some(5), None));
        assert_eq!((streams.surplus(5), streams.surplus(4)), (None, Some(1)));
        assert!(streams.remove(3).is_some() && streams.remove(3).is_none());
        assert!(streams.get_mut(3).is_none());
        assert_eq!(ids(&streams), [1, 2, 5, 9]);
    }

    #[test]
    fn which_may_open() {
        let mut streams = Streams::default();
        streams.request_seen(7);
        assert!(!streams.may_open(5, false) && !streams.may_open(7, false));
        assert!(streams.may_open(9, false));
        assert!(streams.may_open(5, true), "its request may have been lost");
        streams.insert(Stream::new(5));
        streams.remove(5);
        assert!(!streams.may_open(5, true), "it ended lately");
        for id in 0..RECENT as u32 {
            streams.insert(Stream::new(100 + id));
            streams.remove(100 + id);
        }
        assert_eq!(streams.recent.len(), RECENT);
        assert!(streams.may_open(5, true), "forgotten");
        assert!(streams.may_push(2) && !streams.may_push(3) && !streams.may_push(0));
    }

    #[test]
    fn answers_wait_for_their_requests() {
        let mut streams = Streams::default();
        for id in [5, 1, 3] {
            streams.answered_unpaired(id);
        }
        assert_eq!((streams.stale(0), streams.stale(3)), (None, Some(1)));
        streams.paired(1);
        assert_eq!(streams.stale(3), None);
        for number in 0..UNPAIRED as u32 {
            streams.answered_unpaired(101 + 2 * number);
        }
        assert_eq!(streams.stale(0), Some(5), "too many wait");
    }
}
