//! Is this HTTP/2? Told from the first bytes of a direction.

use super::frame::{FrameHeader, HEADER_LEN, Kind, Plausible};
use crate::stream::Direction;

/// What a client sends first (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a direction look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The client's preface: these bytes go to the server.
    Client,
    /// A first SETTINGS frame: these bytes go to the client.
    Server,
    /// More bytes are needed.
    Unsure,
    /// Not the start of HTTP/2.
    No,
}

/// Says what `data`, the first bytes of a direction, look like. An answer other
/// than [`Probe::Unsure`] does not change with more bytes.
pub fn probe(data: &[u8]) -> Probe {
    if data.starts_with(PREFACE) {
        return Probe::Client;
    }
    if PREFACE.starts_with(data) {
        return Probe::Unsure;
    }
    // A length of less than 512.
    if matches!(data, [0] | [0, 0..=1]) {
        return Probe::Unsure;
    }
    // What is missing is taken to be as it should be.
    let mut header = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let known = data.len().min(HEADER_LEN);
    header[..known].copy_from_slice(&data[..known]);
    match FrameHeader::parse(&header).is_first_settings() {
        true if known == HEADER_LEN => Probe::Server,
        true => Probe::Unsure,
        false => Probe::No,
    }
}

/// So many frames in a row prove that they are frames where bytes begin, as the
/// first packet that is seen often begins with one.
const PROOF_AT_START: usize = 2;

/// And so many elsewhere: two are found in every other program that is
/// downloaded.
const PROOF: usize = 4;

/// Looks for frames in one direction of a connection that was joined late: some
/// in a row whose headers a connection may well have. They need not begin where
/// the bytes do.
#[derive(Debug, Default)]
pub struct MidstreamProbe {
    /// What is not yet decided, from `at` on.
    buffer: Vec<u8>,
    at: usize,
    /// Bytes came before those in the buffer.
    passed: bool,
}

/// What begins at a place.
enum Run {
    /// Frames.
    Frames,
    /// Frames perhaps; there must be so many bytes from here on to tell.
    Perhaps(usize),
    Nothing,
}

impl MidstreamProbe {
    /// Takes the next bytes. Says how many of them it took to tell that there
    /// are frames, if there are; then no more are to be fed.
    pub fn feed(&mut self, data: &[u8]) -> Option<usize> {
        let mut rest = data;
        loop {
            // No more than tells, so that it is told at the same byte however
            // the bytes are cut.
            let missing = match self.look() {
                Run::Frames => return Some(data.len() - rest.len()),
                Run::Perhaps(needed) => needed.saturating_sub(self.frames().len()),
                Run::Nothing => {
                    let zero = memchr::memchr(0, rest);
                    self.passed |= !self.buffer.is_empty() || !rest.is_empty() && zero != Some(0);
                    self.buffer.clear();
                    self.at = 0;
                    rest = rest.get(zero?..).unwrap_or_default();
                    HEADER_LEN
                }
            };
            self.compact();
            let (piece, after) = rest.split_at(missing.min(rest.len()));
            self.buffer.extend_from_slice(piece);
            rest = after;
            if piece.len() < missing {
                return None;
            }
        }
    }

    /// Bytes were lost: what comes does not go on with what came.
    pub fn lose(&mut self) {
        *self = Self::default();
    }

    /// Which way the frames that were found go, where they tell.
    pub fn direction(&self) -> Option<Direction> {
        direction_of(self.frames())
    }

    /// The frames that were found, or what may be some.
    pub fn into_frames(mut self) -> Vec<u8> {
        self.buffer.drain(..self.at);
        self.buffer
    }

    /// Bytes that it owns beside itself.
    pub(crate) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    fn frames(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Goes on to where frames may begin in the buffer.
    fn look(&mut self) -> Run {
        // A frame that is not too long has a length that begins with 0.
        while let Some(zero) = memchr::memchr(0, self.frames()) {
            self.at += zero;
            let at_start = self.at == 0 && !self.passed;
            match run_of(self.frames(), if at_start { PROOF_AT_START } else { PROOF }) {
                Run::Nothing => self.at += 1,
                told => return told,
            }
        }
        Run::Nothing
    }

    /// Moves what is kept to the front, when it is less than what is not.
    fn compact(&mut self) {
        if self.at > self.buffer.len() / 2 {
            self.buffer.drain(..self.at);
            self.at = 0;
            self.passed = true;
        }
    }
}

/// Whether `bytes` begin with so many frames, and which way they go if the last
/// has a header block.
fn run_of(bytes: &[u8], frames: usize) -> Run {
    let mut at = 0;
    let mut block = None;
    for _ in 0..frames {
        let Some(header) = bytes.get(at..).and_then(FrameHeader::peek) else {
            return Run::Perhaps(at + HEADER_LEN);
        };
        if !Plausible::ANY.may_begin(&header) || !header.has_purpose() {
            return Run::Nothing;
        }
        let prefix = u32::from(header.prefix_len());
        let start = at + HEADER_LEN + header.len.min(prefix + 1) as usize;
        block = (header.kind == Kind::Headers).then_some(start);
        at += HEADER_LEN + header.len as usize;
    }
    match block.filter(|&start| bytes.len() < start && direction_of(bytes).is_none()) {
        Some(start) => Run::Perhaps(start),
        None => Run::Frames,
    }
}

/// Which way frames go, by the first header block that tells.
fn direction_of(frames: &[u8]) -> Option<Direction> {
    let mut rest = frames;
    while let Some(header) = FrameHeader::peek(rest) {
        let payload = &rest[HEADER_LEN..];
        let direction = match header.kind {
            Kind::PushPromise => Some(Direction::ToClient),
            Kind::PriorityUpdate => Some(Direction::ToServer),
            Kind::Headers => payload
                .get(usize::from(header.prefix_len()))
                .and_then(|&first| direction_of_block(first)),
            _ => None,
        };
        if direction.is_some() {
            return direction;
        }
        rest = payload.get(header.len as usize..).unwrap_or_default();
    }
    None
}

/// Pseudo-header fields come first, and all but `:protocol` are in the static
/// table: 1 to 7 those of requests, 8 to 14 those of responses.
fn direction_of_block(first: u8) -> Option<Direction> {
    let index = match first {
        0x80.. => first & 0x7f,
        0x40.. => first & 0x3f,
        0x20.. => return None,
        _ => first & 0x0f,
    };
    match index {
        1..=7 => Some(Direction::ToServer),
        8..=14 => Some(Direction::ToClient),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::Cut;

    #[test]
    fn first_bytes_tell() {
        for (input, expected) in [
            (&PREFACE[..], Probe::Client),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", Probe::Client),
            (b"PRI * HTTP/2.0\r\n\r\nXX", Probe::No),
            (b"PRI", Probe::Unsure),
            (b"", Probe::Unsure),
            (b"POST / HTTP/1.1\r\n", Probe::No),
            (b"\0\0\x12\x04\0\0\0\0\0\0\x03", Probe::Server),
            (b"\0\0\0\x04\0\0\0\0\0", Probe::Server),
            (b"\0\x01\x80\x04\0\0\0\0\0", Probe::Server),
            (b"\0\0\x12\x04\0\0\0\0", Probe::Unsure),
            (b"\0\0\x11\x04\0\0\0\0\0", Probe::No),
            (b"\0\0\0\x04\x01\0\0\0\0", Probe::No),
            (b"\0\0\x12\x01\0\0\0\0\0", Probe::No),
            (b"\x16\x03\x01", Probe::No),
        ] {
            assert_eq!(probe(input), expected, "{}", input.escape_ascii());
            let first = (0..=input.len())
                .map(|len| probe(&input[..len]))
                .find(|probe| *probe != Probe::Unsure);
            assert_eq!(first.unwrap_or(Probe::Unsure), expected, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn frames_in_midstream() {
        let found = |at, told, direction| Some((at, told, direction));
        let ping = b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08";
        let request = b"\0\0\x02\x01\x05\0\0\0\x07\x83\x86";
        let response = b"\0\0\x01\x01\x04\0\0\0\x07\x88";
        let priority = b"\0\0\x06\x01\x25\0\0\0\x07\0\0\0\0\x0f\x82";
        let literal = b"\0\0\x05\x01\x04\0\0\0\x07\x48\x03404";
        let (to_server, to_client) = (Some(Direction::ToServer), Some(Direction::ToClient));
        let large = [&b"\0\x10\0\0\0\0\0\0\x07"[..], &[b'x'; 4096]].concat();
        let settings = b"\0\0\0\x04\x01\0\0\0\0";
        let four = [&ping[..], settings, request, settings].concat();
        for (name, input, expected) in [
            ("pings", [&ping[..], ping].concat(), found(0, 26, None)),
            ("a request", [&request[..], ping].concat(), found(0, 20, to_server)),
            ("with priority", [&priority[..], ping].concat(), found(0, 24, to_server)),
            ("a response", [&ping[..], response].concat(), found(0, 27, to_client)),
            ("a literal", [&ping[..], literal].concat(), found(0, 27, to_client)),
            ("then more", [&ping[..], ping, response].concat(), found(0, 26, None)),
            ("after text", [b"the end", &four[..]].concat(), found(7, 53, to_server)),
            ("after zeros", [&[0; 40], &four[..]].concat(), found(40, 86, to_server)),
            ("after one, cut", [&large[1000..], &four].concat(), found(3105, 3151, to_server)),
            ("in a false one", [&large[..9], &four, &large].concat(), found(9, 4114, to_server)),
            ("two after text", [b"the end", &ping[..], ping].concat(), None),
            ("one", ping.to_vec(), None),
            ("text", b"{\"jsonrpc\":\"2.0\"}".to_vec(), None),
            ("TLS", b"\x17\x03\x03\x40\x11\x55\xa3".to_vec(), None),
            ("zeros", vec![0; 1000], None),
            ("numbers", [0u64, 0x21, 0x64, 1, 5, 7].map(u64::to_be_bytes).concat(), None),
            ("numbers of nine bytes", b"\0\0\0\0\0\0\0\0\x21".repeat(9), None),
            ("nothing", Vec::new(), None),
        ] {
            for cut in Cut::all() {
                assert_eq!(run(&input, cut), expected, "{name}, {cut:?}");
            }
        }
    }

    /// Where frames begin, how many bytes it took to tell, and which way they go.
    fn run(input: &[u8], cut: Cut) -> Option<(usize, usize, Option<Direction>)> {
        let mut probe = MidstreamProbe::default();
        let mut fed = 0;
        for piece in cut.pieces(input) {
            if let Some(used) = probe.feed(piece) {
                let (told, direction) = (fed + used, probe.direction());
                return Some((told - probe.into_frames().len(), told, direction));
            }
            fed += piece.len();
        }
        None
    }
}
