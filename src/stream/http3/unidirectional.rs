//! Unidirectional streams (RFC 9114 section 6.2): the control stream, of which
//! the settings matter, and QPACK's encoder stream.

use super::message::take_up_to;
use super::qpack::Broken;
use super::{Core, setting};
use crate::stream::Direction;
use crate::stream::quic::{Arrival, Assembler, Varint};

/// Stream types (RFC 9114 section 6.2, RFC 9204 section 4.2).
mod stream_type {
    pub(super) const CONTROL: u64 = 0x00;
    pub(super) const PUSH: u64 = 0x01;
    pub(super) const QPACK_ENCODER: u64 = 0x02;
    pub(super) const QPACK_DECODER: u64 = 0x03;
}

const SETTINGS_FRAME: u64 = 0x04;

/// A unidirectional stream.
#[derive(Debug)]
pub(super) struct Unidirectional {
    direction: Direction,
    assembler: Assembler,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Unknown(Varint),
    Control(Control),
    Encoder,
    /// Of no interest (any more).
    Ignored,
}

/// What comes next in a control stream.
#[derive(Clone, Copy, Debug)]
enum Control {
    FrameType(Varint),
    FrameLength(u64, Varint),
    /// So many bytes of settings: of an identifier, or of its value.
    Settings {
        left: u64,
        id: Option<u64>,
        number: Varint,
    },
    Skip(u64),
}

impl Unidirectional {
    pub(super) fn new(direction: Direction) -> Self {
        let kind = Kind::Unknown(Varint::default());
        Self { direction, assembler: Assembler::default(), kind }
    }

    /// Whether the stream has nothing (more) to say.
    pub(super) fn is_ignored(&self) -> bool {
        matches!(self.kind, Kind::Ignored)
    }

    /// Memory of what waits.
    pub(super) fn held(&self) -> usize {
        self.assembler.cost()
    }

    /// Takes a segment of the stream. At most `room` bytes may be held after
    /// it. Goes on with the same segment where it stopped for field sections.
    pub(super) fn segment(&mut self, offset: u64, data: &[u8], room: usize, core: &mut Core) {
        loop {
            self.drain(core);
            if self.is_ignored() || core.has_new_entries {
                break;
            }
            match self.assembler.take(offset, data, room) {
                Arrival::Held => break,
                Arrival::Next(now) => self.feed_or_put_back(now, core),
                Arrival::NoRoom => {
                    core.counters.overflows += 1;
                    let hole = self.assembler.skip_to(offset);
                    self.gap(hole, core);
                }
            }
        }
        if self.is_ignored() {
            self.assembler.clear();
        }
    }

    /// Feeds bytes that were held and are next.
    fn drain(&mut self, core: &mut Core) {
        while !core.has_new_entries {
            let Some(piece) = self.assembler.pop() else { break };
            self.feed_or_put_back(&piece, core);
        }
    }

    fn feed_or_put_back(&mut self, data: &[u8], core: &mut Core) {
        let rest = self.feed(data, core);
        self.assembler.put_back(rest);
    }

    /// Reads bytes that are next, up to an entry that field sections wait for.
    /// Returns the rest.
    fn feed<'a>(&mut self, data: &'a [u8], core: &mut Core) -> &'a [u8] {
        let mut data = data;
        while !data.is_empty() {
            match &mut self.kind {
                Kind::Unknown(kind) => {
                    if let Some(kind) = kind.take(&mut data) {
                        self.kind = self.kind_of(kind, core);
                    }
                }
                Kind::Control(control) => control.feed(&mut data, self.direction, core),
                Kind::Encoder => return core.encoder_stream(self.direction, data),
                Kind::Ignored => break,
            }
        }
        &[]
    }

    fn kind_of(&self, kind: u64, core: &mut Core) -> Kind {
        match kind {
            stream_type::CONTROL => {
                core.counters.control_streams += 1;
                Kind::Control(Control::start())
            }
            stream_type::QPACK_ENCODER => {
                core.counters.encoder_streams += 1;
                Kind::Encoder
            }
            stream_type::PUSH => {
                core.counters.push_streams += 1;
                Kind::Ignored
            }
            stream_type::QPACK_DECODER => Kind::Ignored,
            _ => {
                core.counters.unknown_streams += 1;
                Kind::Ignored
            }
        }
    }

    /// `len` bytes of the stream were lost.
    pub(super) fn gap(&mut self, len: u64, core: &mut Core) {
        core.counters.gaps += 1;
        core.counters.lost_bytes += len;
        match &mut self.kind {
            Kind::Control(control) => {
                if !control.gap(len) {
                    self.kind = Kind::Ignored;
                }
            }
            // A stream of unknown type may be that of the encoder.
            Kind::Unknown(_) | Kind::Encoder => {
                let decoder = &mut core.decoders[self.direction.index()];
                core.counters.lost_encoders += u64::from(!decoder.is_lost());
                decoder.lose();
                core.has_new_entries = true;
                self.kind = Kind::Ignored;
            }
            Kind::Ignored => {}
        }
    }

    /// Gives up the holes: what is behind them is worth more.
    pub(super) fn close(&mut self, core: &mut Core) {
        while let Some(hole) = self.assembler.skip() {
            self.gap(hole, core);
            // Not that of the encoder: after a hole, nothing is read of it.
            while let Some(piece) = self.assembler.pop() {
                self.feed(&piece, core);
            }
        }
    }
}

impl Control {
    fn start() -> Self {
        Self::FrameType(Varint::default())
    }

    fn skip(left: u64) -> Self {
        if left == 0 { Self::start() } else { Self::Skip(left) }
    }

    fn settings(left: u64, id: Option<u64>, number: Varint) -> Self {
        if left == 0 { Self::start() } else { Self::Settings { left, id, number } }
    }

    /// Reads up to the end of what comes next.
    fn feed(&mut self, data: &mut &[u8], direction: Direction, core: &mut Core) {
        match self {
            Self::FrameType(kind) => {
                if let Some(kind) = kind.take(data) {
                    *self = Self::FrameLength(kind, Varint::default());
                }
            }
            Self::FrameLength(kind, len) => {
                let kind = *kind;
                if let Some(len) = len.take(data) {
                    *self = match kind {
                        SETTINGS_FRAME => Self::settings(len, None, Varint::default()),
                        _ => Self::skip(len),
                    };
                }
            }
            Self::Settings { left, id, number } => {
                let (left, id, mut number) = (*left - 1, *id, *number);
                let byte = take_up_to(data, 1);
                let value = byte.first().and_then(|&byte| number.push(byte));
                *self = match (value, id) {
                    (None, id) => Self::settings(left, id, number),
                    (Some(id), None) => Self::settings(left, Some(id), Varint::default()),
                    (Some(value), Some(id)) => {
                        core.set(direction, id, value);
                        Self::settings(left, None, Varint::default())
                    }
                };
            }
            Self::Skip(left) => {
                let skipped = take_up_to(data, *left).len() as u64;
                *self = Self::skip(*left - skipped);
            }
        }
    }

    /// Says whether the framing is still known after so many bytes were lost.
    fn gap(&mut self, len: u64) -> bool {
        let left = match self {
            Self::Settings { left, .. } | Self::Skip(left) => *left,
            Self::FrameType(_) | Self::FrameLength(..) => 0,
        };
        let Some(left) = left.checked_sub(len) else { return false };
        *self = Self::skip(left);
        true
    }
}

impl Core {
    /// Takes the next bytes of an encoder stream, up to an entry that field
    /// sections wait for. Returns the rest.
    fn encoder_stream<'a>(&mut self, direction: Direction, data: &'a [u8]) -> &'a [u8] {
        let awaited = self.awaited(direction);
        let decoder = &mut self.decoders[direction.index()];
        let rest = match decoder.encoder_stream(data, awaited) {
            Ok(used) => data.get(used..).unwrap_or_default(),
            Err(Broken) => {
                self.counters.lost_encoders += 1;
                &[]
            }
        };
        self.has_new_entries = decoder.is_lost() || decoder.inserted() >= awaited;
        rest
    }

    /// A setting of the sender of `direction` bounds what the other side's
    /// encoder may do.
    fn set(&mut self, direction: Direction, id: u64, value: u64) {
        self.counters.settings += 1;
        if id == setting::QPACK_MAX_TABLE_CAPACITY {
            self.decoders[direction.reverse().index()].set_max_capacity(value);
        }
    }
}
