//! Content codings (RFC 9110 section 8.4.1): gzip, deflate, br, zstd, stacked.
//!
//! In: body bytes as they come off the wire. Out: the decoded bytes, at once:
//! what a server flushed is handed on with the bytes that carried it, so the
//! events of a compressed event stream are seen as they happen. Output is
//! bounded per body, in all and relative to the input.
//!
//! Memory per decoder: gzip and deflate take some 60 KiB, which go to the next
//! body that needs them. zstd takes some 160 KiB, two blocks of 128 KiB and the
//! window the frame declares, at most 8 MiB (RFC 9659). br takes some 45 KiB, and
//! a window that doubles as output comes, up to 16 MiB (RFC 7932 section 9.1) and
//! half as much again while it is copied. Output passes through 8 KiB per layer,
//! of which there are at most [`MAX_LAYERS`].

mod gzip;
mod inflater;
mod layer;

use std::fmt;
use std::ops::ControlFlow;

use self::layer::Layer;
use super::{Header, find_header};

/// How many codings may be stacked on one body.
pub const MAX_LAYERS: usize = 4;

/// The ratio cap is not applied to less output than this.
const RATIO_FLOOR: u64 = 1 << 20;

crate::counters! {
    /// What the decoders of content codings saw.
    pub struct CodingCounters {
        /// Compressed bytes taken.
        bytes_in,
        /// Decoded bytes handed on.
        bytes_out,
        /// Bodies given up because they do not decode.
        corrupt,
        /// Bodies given up because they decode to too much.
        output_capped,
        /// Bodies given up because they decode to too many times their size.
        ratio_capped,
        /// Bodies given up because compressed bytes were lost.
        lost,
        /// Bodies not decoded because a coding is unknown or too many are
        /// stacked.
        unknown,
        /// Bodies that ended before their compressed stream did.
        truncated,
    }
}

/// Bounds on what one body may decode to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodingLimits {
    /// Decoded bytes, the output of all layers taken together.
    pub output_bytes: u64,
    /// Decoded bytes per compressed byte, applied once there is 1 MiB of
    /// output.
    pub ratio: u64,
}

impl Default for CodingLimits {
    fn default() -> Self {
        Self { output_bytes: 64 << 20, ratio: 500 }
    }
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952; members may follow each other.
    Gzip,
    /// RFC 1950; also, as many senders mean by it, RFC 1951.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// The coding called `name`; the outer `None` is an unknown one, the inner
    /// the identity.
    fn named(name: &[u8]) -> Option<Option<Self>> {
        const NAMES: [(&str, Option<Coding>); 7] = [
            ("", None),
            ("identity", None),
            ("gzip", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("deflate", Some(Coding::Deflate)),
            ("br", Some(Coding::Brotli)),
            ("zstd", Some(Coding::Zstd)),
        ];
        NAMES
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
            .map(|(_, coding)| *coding)
    }
}

/// A body cannot be decoded: a coding is unknown, or more than [`MAX_LAYERS`]
/// are stacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCoding;

impl fmt::Display for UnknownCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown content coding, or too many")
    }
}

impl std::error::Error for UnknownCoding {}

/// Why decoding a body was given up. It stays given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are not of this coding, or need too large a window.
    Corrupt(Coding),
    /// [`CodingLimits::output_bytes`] was reached.
    OutputCap,
    /// [`CodingLimits::ratio`] was exceeded.
    RatioCap,
    /// Compressed bytes were lost.
    Lost,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(coding) => write!(f, "not valid {coding:?} data"),
            Self::OutputCap => f.write_str("body decodes to too many bytes"),
            Self::RatioCap => f.write_str("body decodes to too many times its size"),
            Self::Lost => f.write_str("compressed bytes were lost"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes one body.
pub struct Decoder {
    /// In the order of decoding: the coding applied last comes first.
    layers: Vec<Layer>,
    budget: Budget,
    stopped: Option<Stop>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("layers", &self.layers.len())
            .field("budget", &self.budget)
            .field("stopped", &self.stopped)
            .finish()
    }
}

impl Decoder {
    /// A decoder of what a `Content-Encoding` field says, e.g. `gzip, br`.
    pub fn for_header(value: &[u8], limits: CodingLimits) -> Result<Self, UnknownCoding> {
        let mut decoder = Self {
            layers: Vec::new(),
            budget: Budget { limits, consumed: 0, produced: 0 },
            stopped: None,
        };
        decoder.push_layers(value.split(|&byte| byte == b','))?;
        Ok(decoder)
    }

    /// A decoder of the body that comes with `headers`: undoes the transfer
    /// codings other than `chunked`, then the content codings. `None` where
    /// there is nothing to undo.
    pub fn for_headers(
        headers: &[Header<'_>],
        limits: CodingLimits,
    ) -> Result<Option<Self>, UnknownCoding> {
        if find_header(headers, "content-encoding").is_none()
            && find_header(headers, "transfer-encoding").is_none()
        {
            return Ok(None);
        }
        let mut decoder = Self::for_header(b"", limits)?;
        decoder.push_layers(list_members(headers, "content-encoding"))?;
        decoder.push_layers(
            list_members(headers, "transfer-encoding")
                .filter(|member| !member.trim_ascii().eq_ignore_ascii_case(b"chunked")),
        )?;
        Ok((!decoder.is_identity()).then_some(decoder))
    }

    /// Whether bytes pass unchanged.
    pub fn is_identity(&self) -> bool {
        self.layers.is_empty()
    }

    /// Bytes that it owns beside itself, about.
    pub(crate) fn memory(&self) -> usize {
        let own = self.layers.capacity() * size_of::<Layer>();
        self.layers.iter().map(Layer::memory).sum::<usize>() + own
    }

    /// Takes the next bytes of the body and hands on all that they decode to.
    /// `output` stops the decoding by breaking; that, like an error, is final.
    pub fn decode(
        &mut self,
        input: &[u8],
        counters: &mut CodingCounters,
        output: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, DecodeError> {
        if self.stopped.is_none() {
            counters.bytes_in += input.len() as u64;
            let handed_on = &mut counters.bytes_out;
            let result = run(&mut self.layers, true, input, &mut self.budget, &mut |chunk| {
                *handed_on += chunk.len() as u64;
                output(chunk)
            });
            if let Err(stop) = result {
                self.stop(stop, counters);
            }
        }
        match self.stopped {
            None => Ok(ControlFlow::Continue(())),
            Some(Stop::Consumer) => Ok(ControlFlow::Break(())),
            Some(Stop::Failed(error)) => Err(error),
        }
    }

    /// Bytes of the body were lost: what follows cannot be decoded, unless the
    /// coding is the identity.
    pub fn gap(&mut self, counters: &mut CodingCounters) {
        if !self.is_identity() && self.stopped.is_none() {
            self.stop(Stop::Failed(DecodeError::Lost), counters);
        }
    }

    /// The body ended. Returns whether all of it was decoded.
    pub fn finish(&mut self, counters: &mut CodingCounters) -> bool {
        let whole = self.layers.iter().all(Layer::is_finished);
        if !whole && self.stopped.is_none() {
            counters.truncated += 1;
        }
        whole && self.stopped.is_none()
    }

    /// Adds layers, named in the order they were applied.
    fn push_layers<'a>(
        &mut self,
        names: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), UnknownCoding> {
        for name in names {
            let Some(coding) = Coding::named(name.trim_ascii()).ok_or(UnknownCoding)? else {
                continue;
            };
            if self.layers.len() == MAX_LAYERS {
                return Err(UnknownCoding);
            }
            self.layers.insert(0, Layer::new(coding)?);
        }
        Ok(())
    }

    fn stop(&mut self, stop: Stop, counters: &mut CodingCounters) {
        match stop {
            Stop::Consumer => {}
            Stop::Failed(DecodeError::Corrupt(_)) => counters.corrupt += 1,
            Stop::Failed(DecodeError::OutputCap) => counters.output_capped += 1,
            Stop::Failed(DecodeError::RatioCap) => counters.ratio_capped += 1,
            Stop::Failed(DecodeError::Lost) => counters.lost += 1,
        }
        self.stopped = Some(stop);
    }
}

/// The members of all list fields called `name`.
fn list_members<'a>(headers: &[Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name.as_bytes()))
        .flat_map(|header| header.value.split(|&byte| byte == b','))
}

/// Sends `input` through the layers, first to last, and then to `output`.
fn run(
    layers: &mut [Layer],
    outermost: bool,
    input: &[u8],
    budget: &mut Budget,
    output: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), Stop> {
    let Some((layer, inner)) = layers.split_first_mut() else {
        return match output(input) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop::Consumer),
        };
    };
    layer.decode(input, &mut |consumed, chunk| {
        if outermost {
            budget.consumed += consumed as u64;
        }
        if chunk.is_empty() {
            return Ok(());
        }
        let (allowed, verdict) = budget.spend(chunk.len());
        if allowed > 0 {
            run(inner, false, &chunk[..allowed], budget, output)?;
        }
        verdict
    })
}

/// Why nothing more is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Consumer,
    Failed(DecodeError),
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    limits: CodingLimits,
    /// Compressed bytes decoded by the outermost layer.
    consumed: u64,
    /// Bytes that came out of any layer.
    produced: u64,
}

impl Budget {
    /// Takes `len` bytes of output: how many of them may be handed on, and
    /// whether decoding may go on.
    fn spend(&mut self, len: usize) -> (usize, Result<(), Stop>) {
        let room = self.limits.output_bytes.saturating_sub(self.produced);
        self.produced += len as u64;
        if len as u64 > room {
            return (room as usize, Err(Stop::Failed(DecodeError::OutputCap)));
        }
        if self.produced > RATIO_FLOOR
            && self.produced > self.consumed.saturating_mul(self.limits.ratio)
        {
            return (len, Err(Stop::Failed(DecodeError::RatioCap)));
        }
        (len, Ok(()))
    }
}

#[cfg(test)]
mod tests;
