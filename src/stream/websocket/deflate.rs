//! permessage-deflate: negotiation and inflation (RFC 7692).

use std::ops::ControlFlow;

use flate2::{Decompress, FlushDecompress, Status};

/// The largest window, as a power of two.
const MAX_WINDOW_BITS: u8 = 15;

/// The smallest window the inflater knows. It also reads what was deflated with
/// the smaller one that RFC 7692 allows.
const MIN_WINDOW_BITS: u8 = 9;

/// Bytes inflated at a time.
const SCRATCH: usize = 8 * 1024;

/// How one direction is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeflateParameters {
    /// Messages refer to those before them.
    pub(super) context_takeover: bool,
    pub(super) window_bits: u8,
}

/// The extensions of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// permessage-deflate, by direction.
    pub(super) deflate: Option<[DeflateParameters; 2]>,
    /// There is one that is not known.
    pub(super) unknown: bool,
}

impl Extensions {
    /// Parses a `Sec-WebSocket-Extensions` field (RFC 6455 section 9.1). Of an
    /// offer (not `agreed`) the parameters do not count: a full window with
    /// context reads whatever was settled on.
    pub(super) fn parse(value: &[u8], agreed: bool) -> Self {
        let mut extensions = Self::default();
        for extension in value.split(|&byte| byte == b',') {
            let mut parts = extension.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            match parts.next() {
                None | Some(b"") => {}
                Some(name) if name.eq_ignore_ascii_case(b"permessage-deflate") => {
                    let parameters = parse_parameters(parts.filter(|_| agreed));
                    extensions.deflate.get_or_insert(parameters);
                }
                Some(_) => extensions.unknown = true,
            }
        }
        extensions
    }
}

fn parse_parameters<'a>(parts: impl Iterator<Item = &'a [u8]>) -> [DeflateParameters; 2] {
    let full = DeflateParameters { context_takeover: true, window_bits: MAX_WINDOW_BITS };
    let [mut to_server, mut to_client] = [full, full];
    for part in parts {
        let mut halves = part.splitn(2, |&byte| byte == b'=').map(<[u8]>::trim_ascii);
        let name = halves.next().unwrap_or_default().to_ascii_lowercase();
        let bits = halves.next().map_or(MAX_WINDOW_BITS, parse_bits);
        match name.as_slice() {
            b"client_no_context_takeover" => to_server.context_takeover = false,
            b"server_no_context_takeover" => to_client.context_takeover = false,
            b"client_max_window_bits" => to_server.window_bits = bits,
            b"server_max_window_bits" => to_client.window_bits = bits,
            _ => {}
        }
    }
    [to_server, to_client]
}

/// A number from 8 to 15, perhaps quoted; a full window for anything else.
fn parse_bits(value: &[u8]) -> u8 {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .filter(|bits| (8..=MAX_WINDOW_BITS).contains(bits))
        .unwrap_or(MAX_WINDOW_BITS)
        .max(MIN_WINDOW_BITS)
}

/// The bytes do not inflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// Inflates the messages of one direction.
#[derive(Debug)]
pub(super) struct Inflater {
    parameters: DeflateParameters,
    /// Made when the first compressed message comes.
    inflater: Option<Decompress>,
    /// Compressed bytes of the current message.
    consumed: u64,
    /// Part of the context is missing, for good.
    dead: bool,
}

impl Inflater {
    /// Bytes that it owns beside itself, about.
    pub(super) const fn memory(&self) -> usize {
        if self.inflater.is_some() { 48 << 10 } else { 0 }
    }

    pub(super) const fn new(parameters: DeflateParameters) -> Self {
        Self { parameters, inflater: None, consumed: 0, dead: false }
    }

    pub(super) const fn keeps_context(&self) -> bool {
        self.parameters.context_takeover
    }

    /// Prepares for a message. Returns whether it can be inflated.
    pub(super) fn begin_message(&mut self) -> bool {
        self.consumed = 0;
        if let Some(inflater) = self.inflater.as_mut().filter(|_| !self.parameters.context_takeover)
        {
            inflater.reset(false);
        }
        !self.dead
    }

    /// The rest of the message will not be fed: messages that refer to it
    /// cannot be inflated.
    pub(super) fn break_context(&mut self) {
        if self.parameters.context_takeover {
            self.dead = true;
            self.inflater = None;
        }
    }

    /// Inflates `data`; `output` gets how many compressed bytes of the message
    /// were used, and what they gave.
    pub(super) fn inflate(
        &mut self,
        data: &[u8],
        output: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Corrupt> {
        let bits = self.parameters.window_bits;
        let inflater =
            self.inflater.get_or_insert_with(|| Decompress::new_with_window_bits(false, bits));
        let mut scratch = [0; SCRATCH];
        let mut rest = data;
        loop {
            let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress(rest, &mut scratch, FlushDecompress::Sync);
            let used = (inflater.total_in() - before_in) as usize;
            let produced = (inflater.total_out() - before_out) as usize;
            self.consumed += used as u64;
            rest = &rest[used..];
            // What came before damage counts too.
            if produced > 0 && output(self.consumed, &scratch[..produced]).is_break() {
                return Ok(());
            }
            let status = status.map_err(|_| Corrupt)?;
            // RFC 7692 section 7.2.3.5: a block may be marked as the last one,
            // and more may follow it.
            if status == Status::StreamEnd {
                inflater.reset(false);
                if rest.is_empty() {
                    return Ok(());
                }
            } else if produced < SCRATCH {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_parsed() {
        let full = DeflateParameters { context_takeover: true, window_bits: 15 };
        let with = |to_server, to_client| Extensions {
            deflate: Some([to_server, to_client]),
            unknown: false,
        };
        let no_context = DeflateParameters { context_takeover: false, ..full };
        let bits = |window_bits| DeflateParameters { window_bits, ..full };
        for (value, expected) in [
            ("", Extensions::default()),
            ("permessage-deflate", with(full, full)),
            ("PerMessage-Deflate ;server_no_context_takeover", with(full, no_context)),
            ("permessage-deflate; client_no_context_takeover", with(no_context, full)),
            (
                "permessage-deflate; client_max_window_bits=10; server_max_window_bits=\"12\"",
                with(bits(10), bits(12)),
            ),
            ("permessage-deflate; client_max_window_bits=8", with(bits(9), full)),
            ("permessage-deflate; client_max_window_bits", with(full, full)),
            ("permessage-deflate; client_max_window_bits=99", with(full, full)),
            ("permessage-deflate; client_max_window_bits=x", with(full, full)),
            ("permessage-deflate, permessage-deflate; client_max_window_bits=10", with(full, full)),
            ("x-webkit-deflate-frame", Extensions { deflate: None, unknown: true }),
        ] {
            assert_eq!(Extensions::parse(value.as_bytes(), true), expected, "{value:?}");
        }
        let offer = b"permessage-deflate; server_no_context_takeover; server_max_window_bits=9";
        assert_eq!(Extensions::parse(offer, false), with(full, full));
    }
}
