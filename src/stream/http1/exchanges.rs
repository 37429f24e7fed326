//! Which response answers which request: in order (RFC 9112 section 9.3.2).

use std::collections::VecDeque;

use crate::stream::{Direction, ExchangeId};

/// What it matters to know of a request when its response comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// Its answer has no body.
    Head,
    /// A positive answer opens a tunnel.
    Connect,
    /// The client offered another protocol.
    Upgrade(Box<UpgradeOffer>),
    Other,
}

/// What a client offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UpgradeOffer {
    /// The `Upgrade` field.
    pub(super) protocols: Vec<u8>,
    /// The `Sec-WebSocket-Extensions` field.
    pub(super) extensions: Vec<u8>,
    /// The `Sec-WebSocket-Protocol` field.
    pub(super) subprotocols: Vec<u8>,
}

impl UpgradeOffer {
    fn memory(&self) -> usize {
        let fields = [&self.protocols, &self.extensions, &self.subprotocols];
        fields.iter().map(|field| field.capacity()).sum::<usize>() + size_of::<Self>()
    }
}

#[derive(Debug)]
struct Exchange {
    id: ExchangeId,
    kind: RequestKind,
    /// The request's body has not ended.
    request_open: bool,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    /// The response's body has not ended.
    Open,
    Ended,
    /// The exchange became another protocol; it stays open until the
    /// connection ends.
    Switched,
}

/// The exchanges of a connection that have not ended.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    open: VecDeque<Exchange>,
    next: u64,
    /// Evicted requests whose answers may still come.
    owed: u64,
}

impl Exchanges {
    /// Bytes that they own beside themselves.
    pub(super) fn memory(&self) -> usize {
        let offers = self.open.iter().map(|exchange| match &exchange.kind {
            RequestKind::Upgrade(offer) => offer.memory(),
            _ => 0,
        });
        offers.sum::<usize>() + self.open.capacity() * size_of::<Exchange>()
    }

    /// A request came.
    pub(super) fn request(&mut self, kind: RequestKind) -> ExchangeId {
        self.push(kind, true, Answer::Awaited)
    }

    /// A response came: the exchange it belongs to, and the kind of its
    /// request, unless that is not known.
    pub(super) fn response(&mut self) -> (ExchangeId, Option<&RequestKind>) {
        let awaited = self.open.iter().position(|exchange| exchange.answer == Answer::Awaited);
        let Some(at) = awaited.filter(|_| self.owed == 0) else {
            self.owed = self.owed.saturating_sub(1);
            return (self.push(RequestKind::Other, false, Answer::Open), None);
        };
        let exchange = &mut self.open[at];
        exchange.answer = Answer::Open;
        (exchange.id, Some(&exchange.kind))
    }

    /// One side's message ended. Returns whether the exchange is over.
    pub(super) fn message_end(&mut self, id: ExchangeId, direction: Direction) -> bool {
        let Some(at) = self.open.iter().rposition(|exchange| exchange.id == id) else {
            return false;
        };
        let exchange = &mut self.open[at];
        match direction {
            Direction::ToServer => exchange.request_open = false,
            Direction::ToClient if exchange.answer != Answer::Switched => {
                exchange.answer = Answer::Ended;
            }
            Direction::ToClient => {}
        }
        let over = !exchange.request_open && exchange.answer == Answer::Ended;
        if over {
            self.open.remove(at);
        }
        over
    }

    /// Whether requests wait for their response.
    pub(super) fn any_awaited(&self) -> bool {
        self.open.iter().any(|exchange| exchange.answer == Answer::Awaited)
    }

    /// Whether the answer to this request will say which protocol follows it.
    pub(super) fn awaits_switch(&self, id: ExchangeId) -> Option<&RequestKind> {
        let exchange = self.open.iter().rfind(|exchange| exchange.id == id)?;
        let offers = matches!(exchange.kind, RequestKind::Connect | RequestKind::Upgrade(_));
        (offers && exchange.answer == Answer::Awaited).then_some(&exchange.kind)
    }

    /// The exchange became another protocol. Returns whether its request's
    /// body has still to end.
    pub(super) fn switch(&mut self, id: ExchangeId) -> bool {
        let Some(exchange) = self.open.iter_mut().rfind(|exchange| exchange.id == id) else {
            return false;
        };
        exchange.answer = Answer::Switched;
        exchange.request_open
    }

    /// Takes out the oldest exchange without answer, if there are more than
    /// `limit` exchanges.
    pub(super) fn evict(&mut self, limit: usize) -> Option<ExchangeId> {
        if self.open.len() <= limit {
            return None;
        }
        let id = self.take(|exchange| exchange.answer == Answer::Awaited && !exchange.request_open);
        self.owed += u64::from(id.is_some());
        id
    }

    /// Takes out an exchange whose answer must have been lost, when a response
    /// is found after a loss: it is taken to answer the newest request.
    pub(super) fn take_stale(&mut self) -> Option<ExchangeId> {
        self.owed = 0;
        let awaited =
            self.open.iter().filter(|exchange| exchange.answer == Answer::Awaited).count();
        (awaited > 1).then(|| self.take(|exchange| exchange.answer == Answer::Awaited)).flatten()
    }

    /// Takes out any exchange but the one that became another protocol.
    pub(super) fn take_unswitched(&mut self) -> Option<ExchangeId> {
        self.take(|exchange| exchange.answer != Answer::Switched)
    }

    /// Takes out any exchange.
    pub(super) fn take_any(&mut self) -> Option<ExchangeId> {
        self.take(|_| true)
    }

    fn push(&mut self, kind: RequestKind, request_open: bool, answer: Answer) -> ExchangeId {
        let id = ExchangeId(self.next);
        self.next += 1;
        self.open.push_back(Exchange { id, kind, request_open, answer });
        id
    }

    fn take(&mut self, matches: impl Fn(&Exchange) -> bool) -> Option<ExchangeId> {
        let at = self.open.iter().position(matches)?;
        self.open.remove(at).map(|exchange| exchange.id)
    }
}
