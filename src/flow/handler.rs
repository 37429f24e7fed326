//! The layer above the flow table.

use super::five_tuple::FlowKey;
use super::info::FlowInfo;
use crate::stream::Direction;

/// Receives the streams and datagrams of all flows of one table.
///
/// For each flow that carries payload: `opened` before the first of it, then
/// any of the other calls, and `closed` last, once. Flows without payload
/// (scans, refused connections) are only counted. During a call the handler
/// may [reverse](FlowInfo::reverse) or [dismiss](FlowInfo::dismiss) the flow.
pub trait FlowHandler {
    /// What the handler keeps of a flow; owned by the table.
    type State;

    /// The first payload of a flow is about to come.
    fn opened(&mut self, flow: &mut FlowInfo) -> Self::State;

    /// The next bytes of a TCP stream. How the stream is cut into calls means
    /// nothing.
    fn data(
        &mut self,
        state: &mut Self::State,
        flow: &mut FlowInfo,
        direction: Direction,
        data: &[u8],
    );

    /// The next `len` bytes of a TCP stream are lost.
    fn gap(&mut self, state: &mut Self::State, flow: &mut FlowInfo, direction: Direction, len: u64);

    /// A TCP stream ended with FIN.
    fn end(&mut self, state: &mut Self::State, flow: &mut FlowInfo, direction: Direction);

    /// A UDP datagram, of which the last `missing` bytes were not captured.
    fn datagram(
        &mut self,
        state: &mut Self::State,
        flow: &mut FlowInfo,
        direction: Direction,
        data: &[u8],
        missing: u32,
    );

    /// A datagram between endpoints that have no flow: the flow it belongs to all
    /// the same, and in which direction it travels there. So a QUIC connection
    /// that moves to another address stays one flow.
    fn moved(&mut self, _datagram: &[u8]) -> Option<(FlowKey, Direction)> {
        None
    }

    /// Bytes that the state of a flow owns, about: where all together are too many,
    /// flows with much are evicted.
    fn memory(&self, _state: &Self::State) -> usize {
        0
    }

    /// Nothing more will come of this flow.
    fn closed(&mut self, state: Self::State, flow: &FlowInfo, why: CloseReason);
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both directions ended with FIN (or the only one seen).
    Finished,
    /// A valid RST.
    Reset,
    /// No packet for longer than the time-out.
    TimedOut,
    /// Its five-tuple is used for a new connection.
    Reused,
    /// The table was full.
    Evicted,
    /// The input ended.
    InputEnd,
}
