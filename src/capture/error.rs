//! What can be wrong with an input, and where.

use std::fmt;
use std::io;
use std::sync::Arc;

/// An input that gave nothing, or that stopped giving before its end.
///
/// Printed as one line that names the input, e.g.
/// `a.pcap: damaged at byte 24: the input ends inside a packet record`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No capture was found in the input: nothing of it was read.
    #[error("{name}: {reason}")]
    Unreadable {
        /// The input, as the user named it.
        name: Arc<str>,
        /// Why.
        reason: Unreadable,
    },
    /// The input is a capture, and everything before `offset` was delivered.
    #[error("{name}: damaged at byte {offset}{}: {damage}", if *.compressed { " of the decompressed stream" } else { "" })]
    Damaged {
        /// The input, as the user named it.
        name: Arc<str>,
        /// Where the record that could not be read begins, counted in the
        /// decompressed stream.
        offset: u64,
        /// Whether the input is compressed.
        compressed: bool,
        /// What is wrong there.
        damage: Damage,
    },
}

impl Error {
    /// The input, as the user named it.
    pub fn name(&self) -> &str {
        match self {
            Self::Unreadable { name, .. } | Self::Damaged { name, .. } => name,
        }
    }

    /// Whether part of the input was delivered: the result is then incomplete,
    /// not empty.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// Why an input cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It cannot be opened or listed, or reading it failed at once.
    #[error("{0}")]
    Io(io::Error),
    /// It has no bytes.
    #[error("empty")]
    Empty,
    /// It does not begin like a capture.
    #[error("neither a pcap nor a pcapng capture")]
    NotACapture,
    /// It is compressed in a way that is not read.
    #[error("compressed with {0}, which is not read: decompress it first")]
    Compression(Codec),
    /// Not enough of it could be decompressed to tell what it is.
    #[error("{0}")]
    Head(Damage),
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The input ends too early: the usual trace of a capture that was
    /// interrupted or is still being written.
    #[error("the input ends inside {0}")]
    Truncated(Part),
    /// A record is longer than any record can be: what was read as its length
    /// is not one.
    #[error("{part} claims {length} bytes, more than the {limit} that are allowed")]
    Oversized {
        /// What makes the claim.
        part: Part,
        /// The length that is claimed.
        length: u64,
        /// The most that is believed.
        limit: u64,
    },
    /// A version of the format that is not known.
    #[error("unknown version {major}.{minor} of the capture format")]
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A section that tells neither byte order.
    #[error("unknown byte-order magic {0:#010x} in a section header")]
    ByteOrder(u32),
    /// A block length that is not a multiple of four, or too small.
    #[error("impossible block length {0}")]
    BlockLength(u32),
    /// A block whose two lengths differ.
    #[error("a block begins with length {begin} and ends with length {end}")]
    BlockEnd {
        /// The length before the block's body.
        begin: u32,
        /// The length after the block's body.
        end: u32,
    },
    /// A block whose fields or data do not fit into it.
    #[error("the fields of a block of type {kind:#010x} do not fit into it")]
    BlockFields {
        /// The block type.
        kind: u32,
    },
    /// A packet of an interface that its section does not describe.
    #[error("a packet of interface {0}, which the section does not describe")]
    UnknownInterface(u32),
    /// More interfaces than are believed.
    #[error("more than {0} interfaces in one section")]
    TooManyInterfaces(usize),
    /// The compressed stream is not valid.
    #[error("invalid {codec} stream: {detail}")]
    Compressed {
        /// The compression.
        codec: Codec,
        /// What its decoder says.
        detail: String,
    },
    /// The operating system could not read on.
    #[error("{0}")]
    Io(io::Error),
}

/// Part of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The header of a pcap file.
    FileHeader,
    /// A pcap record: header and packet.
    Record,
    /// A pcapng block.
    Block,
    /// A compressed stream.
    Compressed(Codec),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileHeader => f.write_str("the file header"),
            Self::Record => f.write_str("a packet record"),
            Self::Block => f.write_str("a block"),
            Self::Compressed(codec) => write!(f, "the {codec} stream"),
        }
    }
}

/// A compression, told by its magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// gzip (RFC 1952), also of several members.
    Gzip,
    /// Zstandard (RFC 8878), also of several frames.
    Zstd,
    /// LZ4 frames; not read.
    Lz4,
    /// bzip2; not read.
    Bzip2,
    /// xz; not read.
    Xz,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_that_names_input_offset_and_cause() {
        let damaged = |compressed| Error::Damaged {
            name: "a.pcap".into(),
            offset: 24,
            compressed,
            damage: Damage::Truncated(Part::Record),
        };
        assert_eq!(
            damaged(false).to_string(),
            "a.pcap: damaged at byte 24: the input ends inside a packet record"
        );
        assert_eq!(
            damaged(true).to_string(),
            "a.pcap: damaged at byte 24 of the decompressed stream: \
             the input ends inside a packet record"
        );
        let unreadable = Error::Unreadable {
            name: "b.pcap.xz".into(),
            reason: Unreadable::Compression(Codec::Xz),
        };
        assert_eq!(
            unreadable.to_string(),
            "b.pcap.xz: compressed with xz, which is not read: decompress it first"
        );
        assert!(damaged(true).is_damage() && !unreadable.is_damage());
    }
}
