//! A plain frame: a whole TCP segment in IP in Ethernet, with nothing between. The frame in,
//! out comes whose segment it is, and a packet of it only where one is wanted.

use std::ops::Range;

use crate::capture::Frame;
use crate::decode::{Packet, PlainSegment, TcpHeader, Transport};
use crate::flow::{FlowHasher, PacketKey, PacketRef, Segment};

/// What a plain frame carries, without its bytes.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) key: PacketKey,
    header: TcpHeader,
    payload: Range<u32>,
}

impl Plain {
    /// What a frame carries, if it is plain.
    #[inline(always)]
    pub(super) fn of(frame: &Frame<'_>, hasher: &FlowHasher) -> Option<Self> {
        let PlainSegment { src, dst, header, payload } = PlainSegment::of(frame)?;
        Some(Self { key: hasher.segment_key(src, dst), header, payload })
    }

    /// Bytes of payload.
    #[inline]
    pub(super) const fn payload_len(&self) -> u32 {
        self.payload.end - self.payload.start
    }

    /// The transport header.
    #[inline]
    pub(super) const fn transport(&self) -> Transport {
        Transport::Tcp(self.header)
    }

    /// The segment, of the frame that it was decoded from.
    #[inline]
    pub(super) fn segment(&self, frame: &Frame<'_>) -> Segment<'_> {
        let from = PacketRef { source: frame.source, number: frame.number, time: frame.time };
        Segment { key: &self.key, header: self.header, from, payload: self.payload_len() }
    }

    /// The packet, of the frame that it was decoded from.
    #[inline]
    pub(super) fn packet<'f>(&self, frame: &Frame<'f>) -> Packet<'f> {
        let ((src, dst), header, payload) = (self.key.ends(), self.header, self.payload.clone());
        PlainSegment { src, dst, header, payload }.packet(frame)
    }
}
