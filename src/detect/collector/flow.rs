//! What the collector remembers of a flow: its exchanges, and the messages that came
//! before it was known to be MCP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::detect::conversation::ConversationId;
use crate::detect::event::{Carrier, FlowFacts, MessageFacts, RequestFacts, ResponseFacts, Volume};
use crate::findings::{MessageKind, TlsColumns};
use crate::flow::PacketRef;
use crate::signature::SignatureIndex;
use crate::stream::{Direction, ExchangeId};

/// Requests of one exchange that may wait for an answer.
const MAX_ASKED: usize = 256;

#[derive(Debug)]
pub(super) struct FlowEntry {
    pub(super) facts: Arc<FlowFacts>,
    pub(super) tls: TlsColumns,
    /// The conversation that the flow carried last.
    pub(super) conversation: Option<ConversationId>,
    pub(super) exchanges: BTreeMap<ExchangeId, Exchange>,
    pub(super) early: VecDeque<Early>,
    pub(super) volume: Volume,
    pub(super) conversations_begun: u32,
}

#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) request: Option<Box<RequestFacts>>,
    pub(super) response: Option<Box<ResponseFacts>>,
    pub(super) conversation: Option<ConversationId>,
    /// Ids of the requests in the exchange that its response is to answer.
    pub(super) asked: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Early {
    pub(super) at: PacketRef,
    pub(super) message: Message,
}

/// A message with where it came.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) exchange: Option<ExchangeId>,
    pub(super) direction: Direction,
    pub(super) carrier: Carrier,
    pub(super) facts: Box<MessageFacts>,
    pub(super) signals: Vec<SignatureIndex>,
}

impl FlowEntry {
    pub(super) fn new(facts: Arc<FlowFacts>) -> Self {
        Self {
            facts,
            tls: TlsColumns::default(),
            conversation: None,
            exchanges: BTreeMap::new(),
            early: VecDeque::new(),
            volume: Volume::default(),
            conversations_begun: 0,
        }
    }
}

impl Exchange {
    /// Whether the server refused the request.
    pub(super) fn is_refusal(&self) -> bool {
        self.response.as_deref().is_some_and(|response| response.status >= 400)
    }

    /// Whether the response looks like a file's.
    pub(super) fn is_download(&self) -> bool {
        self.response.as_deref().is_some_and(|response| response.validators)
    }

    /// Notes the request in a body; of the answer to it, the id it should have.
    /// A server that could not make out the request answers with an id of its
    /// own, or with none.
    pub(super) fn awaited(&mut self, message: &Message) -> Option<String> {
        let id = message.facts.id.as_ref();
        match (message.direction, message.facts.kind) {
            (Direction::ToServer, MessageKind::Request) => {
                if self.asked.len() < MAX_ASKED {
                    self.asked.extend(id.cloned());
                }
                None
            }
            (Direction::ToClient, MessageKind::Response | MessageKind::Error) => {
                match id.and_then(|id| self.asked.iter().position(|asked| asked == id)) {
                    Some(at) => Some(self.asked.swap_remove(at)),
                    None if self.asked.len() == 1 => self.asked.pop(),
                    None => None,
                }
            }
            _ => None,
        }
    }
}

pub(super) fn is_answer(message: &MessageFacts) -> bool {
    matches!(message.kind, MessageKind::Response | MessageKind::Error)
}
