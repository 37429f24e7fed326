//! Inflaters, used again.
//!
//! One takes 48 KiB that are cleared before use. Of many bodies only the first bytes are
//! wanted, so that making it would take longer than what it is made for: each thread keeps
//! some that are at rest.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::layer::{Emit, SCRATCH, corrupt};
use super::{Coding, Stop};

/// How many inflaters a thread keeps at rest.
const AT_REST: usize = 16;

/// Of the bytes decoded at a time, the first: they often show that nothing of the body is wanted.
const FIRST: usize = 64;

thread_local! {
    static RESTING: RefCell<Vec<Parts>> = const { RefCell::new(Vec::new()) };
}

/// Undoes deflate (RFC 1951).
pub(super) struct Inflater {
    /// There until it is dropped.
    parts: Option<Parts>,
}

struct Parts {
    stream: Decompress,
    scratch: Box<[u8]>,
}

impl Inflater {
    /// For a stream with a zlib header (RFC 1950), or without.
    pub(super) fn new(zlib: bool) -> Self {
        let resting = RESTING.with_borrow_mut(Vec::pop).map(|mut parts| {
            parts.stream.reset(zlib);
            parts
        });
        let new = || Parts { stream: Decompress::new(zlib), scratch: vec![0; SCRATCH].into() };
        Self { parts: Some(resting.unwrap_or_else(new)) }
    }

    /// Goes on with another stream.
    pub(super) fn reset(&mut self, zlib: bool) {
        if let Some(parts) = &mut self.parts {
            parts.stream.reset(zlib);
        }
    }

    /// Inflates `input` as far as it goes. Returns how much of it was used, and
    /// whether the deflate stream ended there.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        coding: Coding,
        emit: &mut Emit<'_>,
    ) -> Result<(usize, bool), Stop> {
        let Some(Parts { stream, scratch }) = &mut self.parts else { return Err(corrupt(coding)) };
        let mut used = 0;
        loop {
            let (before_in, before_out) = (stream.total_in(), stream.total_out());
            let room = if before_out == 0 { FIRST } else { SCRATCH };
            let output = &mut scratch[..room];
            let status = stream.decompress(&input[used..], output, FlushDecompress::None);
            let consumed = (stream.total_in() - before_in) as usize;
            let produced = (stream.total_out() - before_out) as usize;
            used += consumed;
            // What came before damage counts too.
            emit(consumed, &scratch[..produced])?;
            let status = status.map_err(|_| corrupt(coding))?;
            if status == Status::StreamEnd {
                return Ok((used, true));
            }
            // Output that did not fill the scratch is all that the input gives.
            if produced < room {
                return Ok((used, false));
            }
        }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        // A thread that ends keeps nothing any more.
        let _ = RESTING.try_with(|resting| {
            if let Ok(mut resting) = resting.try_borrow_mut()
                && resting.len() < AT_REST
            {
                resting.push(parts);
            }
        });
    }
}
