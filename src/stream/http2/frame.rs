//! Frame headers (RFC 9113 section 4.1).

use crate::stream::Direction;

/// Bytes of a frame's header.
pub(super) const HEADER_LEN: usize = 9;

/// The length that every endpoint takes; a longer frame is not taken for one
/// where it is not known that there is one.
pub(super) const USUAL_MAX_LEN: u32 = 16_384;

/// A frame's flags.
pub(super) mod flag {
    pub(in super::super) const END_STREAM: u8 = 0x1;
    pub(in super::super) const ACK: u8 = 0x1;
    pub(in super::super) const END_HEADERS: u8 = 0x4;
    pub(in super::super) const PADDED: u8 = 0x8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// ALTSVC (RFC 7838).
    AltSvc,
    /// ORIGIN (RFC 8336).
    Origin,
    /// PRIORITY_UPDATE (RFC 9218).
    PriorityUpdate,
    Unknown,
}

impl Kind {
    const fn of(byte: u8) -> Self {
        match byte {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x2 => Self::Priority,
            0x3 => Self::Reset,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            0xa => Self::AltSvc,
            0xc => Self::Origin,
            0x10 => Self::PriorityUpdate,
            _ => Self::Unknown,
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of payload.
    pub(super) len: u32,
    pub(super) kind: Kind,
    flags: u8,
    /// 0 for the connection.
    pub(super) stream: u32,
    reserved: bool,
}

/// What it takes for bytes to be believed to be a frame's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plausible {
    /// Which way the bytes go, if known.
    pub(super) direction: Option<Direction>,
    /// The highest stream that is known; 0 if none is.
    pub(super) highest_stream: u32,
    /// How far ahead of it one may be.
    pub(super) leap: u32,
}

impl FrameHeader {
    pub(super) fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        Self {
            len: u32::from_be_bytes([0, l0, l1, l2]),
            kind: Kind::of(kind),
            flags,
            stream: stream & 0x7fff_ffff,
            reserved: stream >> 31 == 1,
        }
    }

    /// Parses the header at the start of `bytes`, if it is whole.
    pub(super) fn peek(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(Self::parse)
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes before a header block, or before data.
    pub(super) fn prefix_len(&self) -> u8 {
        let padded = u8::from(self.has(flag::PADDED));
        match self.kind {
            Kind::Data => padded,
            Kind::Headers => padded + if self.has(flag::PRIORITY) { 5 } else { 0 },
            Kind::PushPromise => padded + 4,
            _ => 0,
        }
    }

    /// Whether an endpoint's first frame (section 3.4) has this header.
    pub(super) const fn is_first_settings(&self) -> bool {
        // Some send settings of their own, but none very many.
        const MAX_LEN: u32 = 64 * 6;
        matches!(self.kind, Kind::Settings)
            && self.len.is_multiple_of(6)
            && self.len <= MAX_LEN
            && self.flags == 0
            && self.stream == 0
            && !self.reserved
    }

    /// Whether someone may have a reason to send such a frame in mid-stream:
    /// zeros look like frames that no one has.
    pub(super) const fn has_purpose(&self) -> bool {
        match self.kind {
            Kind::Data if self.len == 0 => self.has(flag::END_STREAM),
            Kind::Settings if self.len == 0 => self.has(flag::ACK),
            _ => self.len > 0,
        }
    }
}

impl Plausible {
    /// What can be said without any knowledge of the connection.
    pub(super) const ANY: Self = Self { direction: None, highest_stream: 0, leap: 0 };

    /// How far streams may have gone on while `lost` bytes were lost (0: an
    /// unknown number).
    pub(super) fn leap_of(lost: u64) -> u32 {
        const LEAST: u32 = 64;
        const MOST: u32 = 1 << 16;
        // A stream takes the client two numbers and a frame of 12 bytes.
        match lost {
            0 => MOST,
            lost => u32::try_from(lost / 6).unwrap_or(MOST).saturating_add(LEAST).min(MOST),
        }
    }

    /// Whether this is the header of a frame that a connection may well have.
    pub(super) fn allows(&self, header: &FrameHeader) -> bool {
        let of_connection = header.stream == 0;
        let of_stream = !of_connection && self.allows_stream(header.stream);
        let from_server = self.direction != Some(Direction::ToServer);
        let from_client = self.direction != Some(Direction::ToClient);
        let len = header.len;
        let only = |flags: u8| header.flags & !flags == 0;
        let fits = match header.kind {
            Kind::Data => of_stream && only(flag::END_STREAM | flag::PADDED),
            Kind::Headers => of_stream && len > 0 && only(0x2d),
            Kind::Priority => of_stream && len == 5 && only(0),
            Kind::Reset => of_stream && len == 4 && only(0),
            Kind::Settings => {
                let ack = header.has(flag::ACK);
                of_connection
                    && only(flag::ACK)
                    && if ack { len == 0 } else { len.is_multiple_of(6) }
            }
            Kind::PushPromise => of_stream && from_server && only(flag::END_HEADERS | flag::PADDED),
            Kind::Ping => of_connection && len == 8 && only(flag::ACK),
            Kind::GoAway => of_connection && len >= 8 && only(0),
            Kind::WindowUpdate => (of_connection || of_stream) && len == 4 && only(0),
            Kind::Continuation => of_stream && only(flag::END_HEADERS),
            Kind::AltSvc | Kind::Origin => from_server && only(0),
            Kind::PriorityUpdate => from_client && of_connection && len >= 4 && only(0),
            Kind::Unknown => false,
        };
        let may_be_long = header.kind == Kind::Data;
        fits && !header.reserved
            && len >= u32::from(header.prefix_len())
            && (may_be_long || len <= USUAL_MAX_LEN)
    }

    /// Whether a frame with this header may be found by searching.
    pub(super) fn may_begin(&self, header: &FrameHeader) -> bool {
        header.len <= USUAL_MAX_LEN && self.allows(header)
    }

    fn allows_stream(&self, stream: u32) -> bool {
        // Where nothing is known, not the busiest connections there can be.
        const ANY: u32 = 1 << 24;
        let is_pushed = stream.is_multiple_of(2);
        match self.highest_stream {
            0 => stream < ANY && !is_pushed,
            highest if is_pushed => stream <= highest,
            highest => stream <= highest.saturating_add(self.leap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: u32, kind: u8, flags: u8, stream: u32) -> FrameHeader {
        let [_, l0, l1, l2] = len.to_be_bytes();
        let [s0, s1, s2, s3] = stream.to_be_bytes();
        FrameHeader::parse(&[l0, l1, l2, kind, flags, s0, s1, s2, s3])
    }

    #[test]
    fn fields() {
        let parsed = header(0x01_02_03, 1, 0x25, 0x8000_0007);
        assert_eq!(parsed.len, 0x01_02_03);
        assert_eq!(parsed.kind, Kind::Headers);
        assert_eq!(parsed.stream, 7);
        assert!(parsed.reserved);
        assert!(parsed.has(flag::END_STREAM) && parsed.has(flag::END_HEADERS));
        assert!(!parsed.has(flag::PADDED));
        assert_eq!(parsed.prefix_len(), 5);
        assert_eq!(FrameHeader::peek(&[0; 8]), None);
    }

    #[test]
    fn plausible_headers() {
        let server = Some(Direction::ToClient);
        let client = Some(Direction::ToServer);
        for (name, direction, header, expected) in [
            ("data", None, header(5, 0, 1, 1), true),
            ("long data", None, header(1 << 20, 0, 1, 1), true),
            ("data of the connection", None, header(5, 0, 1, 0), false),
            ("data with a flag it has not", None, header(5, 0, 4, 1), false),
            ("padded data without padding", None, header(0, 0, 8, 1), false),
            ("headers", client, header(30, 1, 0x25, 9), true),
            ("long headers", client, header(20_000, 1, 0x25, 9), false),
            ("empty headers", client, header(0, 1, 5, 9), false),
            ("headers of a stream ahead", client, header(30, 1, 5, 109), true),
            ("headers of a stream far ahead", client, header(30, 1, 5, 111), false),
            ("a stream that may be pushed", server, header(30, 1, 5, 8), true),
            ("a pushed stream ahead", server, header(30, 1, 5, 10), false),
            ("reserved bit", client, header(30, 1, 5, 0x8000_0009), false),
            ("priority", None, header(5, 2, 0, 1), true),
            ("short priority", None, header(4, 2, 0, 1), false),
            ("reset", None, header(4, 3, 0, 1), true),
            ("settings", None, header(18, 4, 0, 0), true),
            ("odd settings", None, header(17, 4, 0, 0), false),
            ("settings taken", None, header(0, 4, 1, 0), true),
            ("settings of a stream", None, header(0, 4, 1, 1), false),
            ("push from the server", server, header(20, 5, 4, 1), true),
            ("push from the client", client, header(20, 5, 4, 1), false),
            ("ping", None, header(8, 6, 1, 0), true),
            ("go away", None, header(8, 7, 0, 0), true),
            ("window", None, header(4, 8, 0, 0), true),
            ("window of a stream", None, header(4, 8, 0, 3), true),
            ("continuation", None, header(40, 9, 4, 3), true),
            ("priority update", client, header(10, 0x10, 0, 0), true),
            ("priority update from the server", server, header(10, 0x10, 0, 0), false),
            ("unknown", None, header(8, 0x4f, 0, 0), false),
        ] {
            let plausible = Plausible { direction, highest_stream: 9, leap: 100 };
            assert_eq!(plausible.allows(&header), expected, "{name}");
        }
        assert!(Plausible::ANY.may_begin(&header(16_384, 0, 0, 1)));
        assert!(!Plausible::ANY.may_begin(&header(16_385, 0, 0, 1)));
        assert!(Plausible::ANY.allows(&header(1, 0, 0, 0xff_ffff)));
        assert!(!Plausible::ANY.allows(&header(1, 0, 0, 0x100_0001)));
    }

    #[test]
    fn how_far_streams_may_have_gone_on() {
        for (lost, expected) in [(0, 65_536), (1, 64), (600, 164), (u64::MAX, 65_536)] {
            assert_eq!(Plausible::leap_of(lost), expected, "{lost}");
        }
    }
}
