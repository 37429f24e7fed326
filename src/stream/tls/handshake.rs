//! Handshake messages, joined from the records they are cut into (RFC 8446
//! section 5.1), or from CRYPTO frames.

use super::hello::message;

/// Length of a message's header: its type and a length of three bytes.
const HEADER: usize = 4;

/// A whole handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u8,
    /// The message with its header; `None` if it is of a kind nobody reads, or
    /// over the cap.
    pub(crate) bytes: Option<&'a [u8]>,
}

/// Joins the handshake messages of one direction.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    state: State,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Start,
    /// The message in the buffer was handed out.
    Drained,
    /// So much of a message is still to be passed over.
    Skip { kind: u8, left: usize },
}

enum Ready {
    Buffered(u8),
    Given(u8, usize),
    Skipped(u8),
}

impl Joiner {
    /// Bytes that it owns beside itself.
    pub(crate) const fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// The next whole message in what is carried over and in `rest`, of which
    /// it takes what it uses. Messages over `limit` are passed over.
    pub(crate) fn next<'r, 'd: 'r>(
        &'r mut self,
        rest: &mut &'d [u8],
        limit: usize,
    ) -> Option<Message<'r>> {
        Some(match self.advance(rest, limit)? {
            Ready::Skipped(kind) => Message { kind, bytes: None },
            Ready::Given(kind, len) => {
                let (bytes, left) = rest.split_at(len);
                *rest = left;
                Message { kind, bytes: Some(bytes) }
            }
            Ready::Buffered(kind) => {
                self.state = State::Drained;
                Message { kind, bytes: Some(&self.buffer) }
            }
        })
    }

    fn advance(&mut self, rest: &mut &[u8], limit: usize) -> Option<Ready> {
        if let State::Skip { kind, left } = self.state {
            return self.skip(kind, left, rest);
        }
        if matches!(self.state, State::Drained) {
            self.buffer.clear();
            self.state = State::Start;
        }
        let Some((kind, total)) = self.header(rest) else {
            self.fill(HEADER, rest);
            return None;
        };
        if !is_read(kind) || total > limit {
            let left = total.saturating_sub(self.buffer.len());
            self.buffer.clear();
            return self.skip(kind, left, rest);
        }
        if self.buffer.is_empty() && rest.len() >= total {
            return Some(Ready::Given(kind, total));
        }
        self.fill(total, rest).then_some(Ready::Buffered(kind))
    }

    fn skip(&mut self, kind: u8, left: usize, rest: &mut &[u8]) -> Option<Ready> {
        let len = left.min(rest.len());
        *rest = &rest[len..];
        if len < left {
            self.state = State::Skip { kind, left: left - len };
            return None;
        }
        self.state = State::Start;
        Some(Ready::Skipped(kind))
    }

    /// Type and whole length of the message that begins here.
    fn header(&self, rest: &[u8]) -> Option<(u8, usize)> {
        let mut input = self.buffer.iter().chain(rest).copied();
        let kind = input.next()?;
        let len = u32::from_be_bytes([0, input.next()?, input.next()?, input.next()?]);
        Some((kind, HEADER + len as usize))
    }

    fn fill(&mut self, len: usize, rest: &mut &[u8]) -> bool {
        let missing = len.saturating_sub(self.buffer.len());
        let (taken, left) = rest.split_at(missing.min(rest.len()));
        self.buffer.extend_from_slice(taken);
        *rest = left;
        taken.len() == missing
    }
}

/// Whether the content of such messages is looked at.
pub(crate) const fn is_read(kind: u8) -> bool {
    matches!(
        kind,
        message::CLIENT_HELLO
            | message::SERVER_HELLO
            | message::ENCRYPTED_EXTENSIONS
            | message::CERTIFICATE
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Cut;

    fn message(kind: u8, len: usize) -> Vec<u8> {
        let [_, a, b, c] = (len as u32).to_be_bytes();
        [&[kind, a, b, c][..], &vec![kind; len]].concat()
    }

    #[test]
    fn messages_however_cut() {
        let messages = [(1, 100), (2, 0), (20, 12), (11, 999), (11, 1001), (4, 70_000), (8, 2)];
        let data = messages.map(|(kind, len)| message(kind, len)).concat();
        for cut in Cut::all() {
            let mut joiner = Joiner::default();
            let mut seen = Vec::new();
            for mut piece in cut.pieces(&data) {
                while let Some(message) = joiner.next(&mut piece, 1003) {
                    seen.push((message.kind, message.bytes.map(<[u8]>::to_vec)));
                }
                assert!(joiner.buffer.capacity() <= 2048, "{cut:?}");
            }
            let expected = messages.map(|(kind, len)| {
                let kept = is_read(kind) && len < 1000;
                (kind, kept.then(|| message(kind, len)))
            });
            assert_eq!(seen, expected, "{cut:?}");
        }
    }
}
