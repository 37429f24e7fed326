//! The decoders of the single codings, under one face.

use brotli_decompressor::{
    BrotliDecoderErrorCode, BrotliDecoderHasMoreOutput, BrotliDecoderTakeOutput,
    BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc,
};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::gzip::Gzip;
use super::inflater::Inflater;
use super::{Coding, DecodeError, Stop, UnknownCoding};

/// The largest zstd window, as a power of two: 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;

/// Bytes of a zstd block's header (RFC 8878 section 3.1.1.2).
const ZSTD_BLOCK_HEADER: usize = 3;

/// Bytes decoded at a time.
pub(super) const SCRATCH: usize = 8 * 1024;

/// Receives, in turns, how much input was used up and what came of it.
pub(super) type Emit<'a> = dyn FnMut(usize, &[u8]) -> Result<(), Stop> + 'a;

/// One coding being undone.
pub(super) enum Layer {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

impl Layer {
    pub(super) fn new(coding: Coding) -> Result<Self, UnknownCoding> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Gzip::new()),
            Coding::Deflate => Self::Deflate(Deflate::Unread),
            Coding::Brotli => Self::Brotli(Box::new(Brotli::new())),
            Coding::Zstd => Self::Zstd(Zstd::new().ok_or(UnknownCoding)?),
        })
    }

    pub(super) fn decode(&mut self, input: &[u8], emit: &mut Emit<'_>) -> Result<(), Stop> {
        match self {
            Self::Gzip(gzip) => gzip.decode(input, emit),
            Self::Deflate(deflate) => deflate.decode(input, emit),
            Self::Brotli(brotli) => brotli.decode(input, emit),
            Self::Zstd(zstd) => zstd.decode(input, emit),
        }
    }

    /// Bytes that it owns beside itself, about.
    pub(super) fn memory(&self) -> usize {
        /// The state of an inflater with its window and its output.
        const INFLATER: usize = 56 << 10;
        /// The tables of a br decoder.
        const BROTLI: usize = 48 << 10;
        match self {
            Self::Gzip(_) | Self::Deflate(Deflate::Inflating(_)) => INFLATER,
            Self::Deflate(_) => 0,
            Self::Brotli(brotli) => {
                BROTLI + usize::try_from(brotli.state.ringbuffer_size).unwrap_or_default()
            }
            Self::Zstd(zstd) => zstd.decoder.sizeof(),
        }
    }

    /// Whether the compressed stream is at an end (or never began).
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.is_finished(),
            Self::Deflate(deflate) => matches!(deflate, Deflate::Unread | Deflate::Finished),
            Self::Brotli(brotli) => brotli.finished || !brotli.begun,
            Self::Zstd(zstd) => zstd.between_frames,
        }
    }
}

pub(super) const fn corrupt(coding: Coding) -> Stop {
    Stop::Failed(DecodeError::Corrupt(coding))
}

/// The deflate coding: with the zlib header it ought to have, or without.
pub(super) enum Deflate {
    Unread,
    /// The first byte: with the second it tells a zlib header.
    FirstByte(u8),
    Inflating(Inflater),
    Finished,
}

impl Deflate {
    fn decode(&mut self, input: &[u8], emit: &mut Emit<'_>) -> Result<(), Stop> {
        match (&mut *self, input) {
            (_, []) | (Self::Finished, _) => emit(input.len(), &[]),
            (Self::Unread, [first]) => {
                *self = Self::FirstByte(*first);
                emit(1, &[])
            }
            (Self::Unread, [first, second, ..]) => self.begin([*first, *second], input, emit),
            (Self::FirstByte(first), [second, rest @ ..]) => {
                let start = [*first, *second];
                self.begin(start, &start, emit)?;
                self.decode(rest, emit)
            }
            (Self::Inflating(inflater), _) => {
                if inflater.inflate(input, Coding::Deflate, emit)?.1 {
                    *self = Self::Finished;
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, start: [u8; 2], input: &[u8], emit: &mut Emit<'_>) -> Result<(), Stop> {
        // RFC 1950 section 2.2: method 8, a window of at most 32 KiB, and a
        // check value modulo 31.
        let zlib = start[0] & 0x0f == 8
            && start[0] >> 4 <= 7
            && u16::from_be_bytes(start).is_multiple_of(31);
        *self = Self::Inflating(Inflater::new(zlib));
        self.decode(input, emit)
    }
}

/// The br coding.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    begun: bool,
    finished: bool,
}

impl Brotli {
    fn new() -> Self {
        let [bytes, words, codes] = [(); 3].map(|()| StandardAlloc::default());
        // Strict: without the large windows that RFC 7932 does not know.
        let state = BrotliState::new_strict(bytes, words, codes);
        Self { state, begun: false, finished: false }
    }

    fn decode(&mut self, input: &[u8], emit: &mut Emit<'_>) -> Result<(), Stop> {
        if self.finished || input.is_empty() {
            return emit(input.len(), &[]);
        }
        self.begun = true;
        let mut scratch = [0; SCRATCH];
        let (mut left, mut offset) = (input.len(), 0);
        loop {
            let (mut room, mut produced, mut total, before) = (SCRATCH, 0, 0, offset);
            let result = BrotliDecompressStream(
                &mut left,
                &mut offset,
                input,
                &mut room,
                &mut produced,
                &mut scratch,
                &mut total,
                &mut self.state,
            );
            emit(offset - before, &scratch[..produced])?;
            match result {
                // Where the scratch is full, there may be more.
                BrotliResult::NeedsMoreInput if room > 0 => return Ok(()),
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultSuccess => {
                    self.finished = true;
                    return Ok(());
                }
                BrotliResult::ResultFailure => return self.fail(emit),
            }
        }
    }

    /// Hands over what came before the damage, which the decoder keeps back: fed
    /// byte by byte it would have given that by now. (Only where literals run over
    /// the end of their block it would have stopped at the first of them.)
    fn fail(&mut self, emit: &mut Emit<'_>) -> Result<(), Stop> {
        let state = &mut self.state;
        let error = std::mem::replace(
            &mut state.error_code,
            BrotliDecoderErrorCode::BROTLI_DECODER_SUCCESS,
        );
        if matches!(error, BrotliDecoderErrorCode::BROTLI_DECODER_ERROR_FORMAT_BLOCK_LENGTH_2) {
            // What runs over the end of its block is no part of it.
            let end = i64::from(state.pos) + i64::from(state.meta_block_remaining_len);
            let turned = state.rb_roundtrips.saturating_mul(state.ringbuffer_size as u64);
            let given = state.partial_pos_out.saturating_sub(turned);
            state.pos = i32::try_from(end.max(given as i64)).unwrap_or(state.pos).min(state.pos);
        }
        state.meta_block_remaining_len = state.meta_block_remaining_len.max(0);
        while BrotliDecoderHasMoreOutput(state) {
            let mut len = SCRATCH;
            let output = BrotliDecoderTakeOutput(state, &mut len);
            if output.is_empty() {
                break;
            }
            emit(0, output)?;
        }
        Err(corrupt(Coding::Brotli))
    }
}

/// The zstd coding; frames may follow each other.
pub(super) struct Zstd {
    decoder: DCtx<'static>,
    between_frames: bool,
    /// How many bytes it gets at a time: no more than a block, as what it writes
    /// in the call in which it meets damage is lost.
    portion: usize,
}

impl Zstd {
    /// A decoder; `None` where there is no memory for one.
    fn new() -> Option<Self> {
        let mut decoder = DCtx::try_create()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).ok()?;
        Some(Self { decoder, between_frames: true, portion: 1 })
    }

    fn decode(&mut self, input: &[u8], emit: &mut Emit<'_>) -> Result<(), Stop> {
        let mut scratch = [0; SCRATCH];
        let mut rest = input;
        loop {
            let mut source = InBuffer::around(rest.get(..self.portion).unwrap_or(rest));
            let mut target = OutBuffer::around(&mut scratch[..]);
            let hint = self.decoder.decompress_stream(&mut target, &mut source);
            let (read, produced) = (source.pos(), target.pos());
            emit(read, &scratch[..produced])?;
            let hint = hint.map_err(|_| corrupt(Coding::Zstd))?;
            self.between_frames = hint == 0;
            // It asks for the next block's header with a block.
            self.portion = hint.saturating_sub(ZSTD_BLOCK_HEADER).max(1);
            rest = rest.get(read..).unwrap_or_default();
            if produced < SCRATCH && (rest.is_empty() || read == 0) {
                return Ok(());
            }
        }
    }
}
