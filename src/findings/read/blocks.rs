//! Whether the blocks of an Arrow file can be what its footer says.
//!
//! Its reader makes room for what a block is said to have before it reads it:
//! gigabytes, where a damaged footer says so.

use std::io::{Read, Seek, SeekFrom};

use arrow_ipc::reader::read_footer_length;
use arrow_ipc::{Block, root_as_footer};
use arrow_schema::ArrowError;

/// Length of the footer, and the magic.
const TRAILER: usize = 10;

/// Checks that the blocks lie in the file and have no more bytes than it.
pub(super) fn check(file: &mut (impl Read + Seek)) -> Result<(), ArrowError> {
    let file_len = file.seek(SeekFrom::End(0))?;
    let trailer_at = before(file_len, TRAILER)?;
    let mut trailer = [0; TRAILER];
    file.seek(SeekFrom::Start(trailer_at))?;
    file.read_exact(&mut trailer)?;
    let footer_len = read_footer_length(trailer)?;
    file.seek(SeekFrom::Start(before(trailer_at, footer_len)?))?;
    let mut footer = vec![0; footer_len];
    file.read_exact(&mut footer)?;
    let footer = root_as_footer(&footer).map_err(|error| damaged(&error.to_string()))?;
    let lists = [footer.dictionaries(), footer.recordBatches()];
    let mut left = file_len;
    for block in lists.into_iter().flatten().flatten() {
        left = len_of(block, file_len)
            .and_then(|len| left.checked_sub(len))
            .ok_or_else(|| damaged("blocks beyond the file"))?;
    }
    Ok(())
}

/// The length of a block that lies within the file.
fn len_of(block: &Block, file_len: u64) -> Option<u64> {
    let metadata = u64::try_from(block.metaDataLength()).ok()?;
    let len = metadata.checked_add(u64::try_from(block.bodyLength()).ok()?)?;
    let end = u64::try_from(block.offset()).ok()?.checked_add(len)?;
    (end <= file_len).then_some(len)
}

/// Where what ends at `end` begins.
fn before(end: u64, len: usize) -> Result<u64, ArrowError> {
    let begin = u64::try_from(len).ok().and_then(|len| end.checked_sub(len));
    begin.ok_or_else(|| damaged("too short for its footer"))
}

fn damaged(why: &str) -> ArrowError {
    ArrowError::ParseError(why.to_owned())
}
