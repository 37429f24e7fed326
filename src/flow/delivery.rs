//! From reassembly to the handler: opens the flow's state on first use, turns
//! sides into directions, and keeps to what the handler dismissed.

use super::five_tuple::Side;
use super::handler::FlowHandler;
use super::info::FlowInfo;

/// The way from one side of a flow to the handler.
pub(super) struct Delivery<'a, H: FlowHandler> {
    pub(super) handler: &'a mut H,
    pub(super) state: &'a mut Option<H::State>,
    pub(super) info: &'a mut FlowInfo,
    /// Whose bytes are handed on.
    pub(super) side: Side,
}

impl<H: FlowHandler> Delivery<'_, H> {
    /// Whether the handler wants no more of this side.
    pub(super) fn is_dismissed(&self) -> bool {
        self.info.dismisses(self.side)
    }

    /// The same, for another side.
    pub(super) fn on_side(&mut self, side: Side) -> Delivery<'_, H> {
        Delivery { handler: self.handler, state: self.state, info: self.info, side }
    }

    /// Hands on bytes of a stream; false if no more are wanted.
    pub(super) fn data(&mut self, data: &[u8]) -> bool {
        self.call(|handler, state, info, side| {
            handler.data(state, info, info.direction_from(side), data);
        });
        !self.is_dismissed()
    }

    pub(super) fn gap(&mut self, len: u64) {
        self.info.gaps = self.info.gaps.saturating_add(1);
        self.call(|handler, state, info, side| {
            handler.gap(state, info, info.direction_from(side), len);
        });
    }

    pub(super) fn datagram(&mut self, data: &[u8], missing: u32) {
        self.call(|handler, state, info, side| {
            handler.datagram(state, info, info.direction_from(side), data, missing);
        });
    }

    /// The end of a stream; of no interest in a flow that had no payload.
    pub(super) fn end(&mut self) {
        if self.state.is_some() {
            self.call(|handler, state, info, side| {
                handler.end(state, info, info.direction_from(side));
            });
        }
    }

    /// Takes note that two copies of the stream differ.
    pub(super) fn note_conflict(&mut self) {
        self.info.overlap_conflict = true;
    }

    fn call(&mut self, call: impl FnOnce(&mut H, &mut H::State, &mut FlowInfo, Side)) {
        if self.is_dismissed() {
            return;
        }
        if self.state.is_none() {
            *self.state = Some(self.handler.opened(self.info));
        }
        if let Some(state) = self.state
            && !self.info.dismisses(self.side)
        {
            call(self.handler, state, self.info, self.side);
        }
    }
}
