//! Is this HTTP/2? Told from the first bytes of a direction.

use super::frame::{FrameHeader, HEADER_LEN, Kind, Plausible};
use super::resync::{self, Verdict};
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

/// What bytes of a connection that was joined late look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MidstreamProbe {
    /// Frames follow each other.
    Frames {
        /// Which way these bytes go, where a header block tells.
        direction: Option<Direction>,
    },
    /// More bytes are needed.
    Unsure,
    /// No frames, so far.
    No,
}

/// Says whether there are frames in `data`, bytes from the middle of a
/// connection: two in a row whose headers a connection may well have. They need
/// not begin where `data` does.
pub fn probe_midstream(data: &[u8]) -> MidstreamProbe {
    match resync::find(&Plausible::ANY, data, 0) {
        Verdict::Found(at) => MidstreamProbe::Frames { direction: direction_of(&data[at..]) },
        Verdict::Perhaps { .. } => MidstreamProbe::Unsure,
        Verdict::Nowhere => MidstreamProbe::No,
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
        let frames = |direction| MidstreamProbe::Frames { direction };
        let ping = b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08";
        let request = b"\0\0\x02\x01\x05\0\0\0\x07\x83\x86";
        let response = b"\0\0\x01\x01\x04\0\0\0\x07\x88";
        let priority = b"\0\0\x06\x01\x25\0\0\0\x07\0\0\0\0\x0f\x82";
        let literal = b"\0\0\x05\x01\x04\0\0\0\x07\x48\x03404";
        for (name, input, expected) in [
            ("pings", [&ping[..], ping].concat(), frames(None)),
            ("a request", [&request[..], ping].concat(), frames(Some(Direction::ToServer))),
            ("with priority", [&priority[..], ping].concat(), frames(Some(Direction::ToServer))),
            ("a response", [&ping[..], response].concat(), frames(Some(Direction::ToClient))),
            ("a literal", [&ping[..], literal].concat(), frames(Some(Direction::ToClient))),
            ("in a body", [b"the end", &ping[..], ping].concat(), frames(None)),
            ("one", ping.to_vec(), MidstreamProbe::Unsure),
            ("text", b"{\"jsonrpc\":\"2.0\"}".to_vec(), MidstreamProbe::No),
            ("TLS", b"\x17\x03\x03\x40\x11\x55\xa3".to_vec(), MidstreamProbe::No),
            ("nothing", Vec::new(), MidstreamProbe::No),
        ] {
            assert_eq!(probe_midstream(&input), expected, "{name}");
        }
    }
}
