//! Decodes plain frames where they are read: a frame in, its packet's key and place out.
//!
//! Who reads a capture from a file is often ahead of who works on it, and has the headers
//! in its cache. What it decodes there, the worker need not look at; most of what is
//! encrypted it then never does.

use std::ops::Range;

use super::Engine;
use crate::capture::{Block, Frame, Frames};
use crate::decode::{Packet, PlainSegment, TcpHeader, Transport, TunnelPath};
use crate::flow::{FlowHasher, PacketKey, PacketRef, Segment};

/// A whole TCP segment in IP in Ethernet, with nothing between, without its bytes.
#[derive(Clone, Debug)]
pub struct Predecoded {
    pub(super) key: PacketKey,
    header: TcpHeader,
    payload: Range<u32>,
}

impl Engine {
    /// What decodes plain frames, and gives nothing for others, for blocks that this engine
    /// replays: another one would look for their flows elsewhere.
    pub fn predecoder(&self) -> impl FnMut(&Frame<'_>) -> Option<Predecoded> + Send + 'static {
        let hasher = self.hasher.clone();
        move |frame| Predecoded::of(frame, &hasher)
    }
}

/// The frames of a block; where they are predecoded, their headers are left alone.
pub(super) fn frames<'a>(block: &'a Block, predecoded: &[Option<Predecoded>]) -> Frames<'a> {
    debug_assert!(predecoded.is_empty() || predecoded.len() == block.len());
    match predecoded {
        [] => block.frames(),
        _ => block.frames().unfetched(),
    }
}

impl Predecoded {
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
        let (src, dst) = self.key.way();
        let payload = self.payload.start as usize..self.payload.end as usize;
        Packet {
            number: frame.number,
            time: frame.time,
            source: frame.source,
            src,
            dst,
            transport: self.transport(),
            payload: frame.data.get(payload).unwrap_or_default(),
            missing: 0,
            tunnel: TunnelPath::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::Path;

    use super::*;
    use crate::capture::{Fill, Inputs, Replay};
    use crate::engine::BlockSource;
    use crate::findings::Row;

    /// Predecodes every other block, from the first on or from the second.
    struct Predecoding<F> {
        replay: Replay,
        predecode: F,
        turn: bool,
        packets: u64,
    }

    impl<F: FnMut(&Frame<'_>) -> Option<Predecoded> + Send> BlockSource for Predecoding<F> {
        fn fill(&mut self, block: &mut Block) -> Fill {
            self.replay.fill(block)
        }

        fn fill_predecoded(
            &mut self,
            block: &mut Block,
            packets: &mut Vec<Option<Predecoded>>,
        ) -> Fill {
            let fill = self.fill(block);
            packets.clear();
            self.turn = !self.turn;
            if self.turn {
                packets.extend(block.frames().map(|frame| (self.predecode)(&frame)));
                self.packets += packets.iter().flatten().count() as u64;
            }
            fill
        }

        fn may_wait(&self) -> bool {
            false
        }
    }

    #[test]
    fn findings_do_not_depend_on_where_frames_are_decoded() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps"));
        let engine = Engine::builder().build().unwrap();
        let mut predecoded = 0;
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if !path.extension().is_some_and(|it| it == "pcap" || it == "pcapng") {
                continue;
            }
            let replay = || Replay::new(Inputs::expand([&path])).with_block_size(4096);
            let mut expected: Vec<Row> = Vec::new();
            let plain = engine.replay(NonZeroUsize::MIN, &mut replay(), &mut expected);
            for (workers, turn) in [(1, false), (1, true), (2, false), (2, true)] {
                let predecode = engine.predecoder();
                let mut source = Predecoding { replay: replay(), predecode, turn, packets: 0 };
                let mut rows: Vec<Row> = Vec::new();
                let workers = NonZeroUsize::new(workers).unwrap();
                let counted = engine.replay(workers, &mut source, &mut rows);
                assert_eq!(rows, expected, "{} with {workers} workers", path.display());
                assert_eq!(counted.decode, plain.decode, "{}", path.display());
                if workers == NonZeroUsize::MIN {
                    assert_eq!(counted.to_json(), plain.to_json(), "{}", path.display());
                }
                predecoded += source.packets;
            }
        }
        assert!(predecoded > 5_000, "{predecoded}");
    }
}
