//! Headers of frames on a data socket: 24 bytes that say what follows and how long it is.
//!
//! Layout, big-endian: type (1), zero (3), length of what follows (4), id or count (8), offset (8).

use super::Violation;
use super::reader::Reader;

/// Length of a header, in bytes.
pub(crate) const HEADER_BYTES: usize = 24;

/// Longest frame of whole files: several of the longest (64 KiB) fit, and a receiver needs one buffer of
/// this size.
pub(crate) const FILES_BYTES: u32 = 512 << 10;

/// Longest piece of a large file; a socket is busy with it for some milliseconds only.
pub(crate) const CHUNK_BYTES: u32 = 4 << 20;

/// Longest end of a large file: extended attributes of a file that changed may be long.
pub(crate) const END_BYTES: u32 = 4 << 20;

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Whole small files, in one payload of `length` bytes.
    Files {
        /// Files in the payload.
        count: u32,
        /// Length of the payload.
        length: u32,
    },
    /// `length` bytes of a large file.
    Chunk {
        /// The want.
        id: u64,
        /// Position in the file.
        offset: u64,
        /// Length of the piece.
        length: u32,
    },
    /// Every piece of a large file was sent.
    End {
        /// The want.
        id: u64,
        /// Length of the payload.
        length: u32,
    },
}

const FILES: u8 = 1;
const CHUNK: u8 = 2;
const END: u8 = 3;

impl Header {
    /// Returns the bytes of the header.
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let (kind, length, id, offset) = match self {
            Self::Files { count, length } => (FILES, length, u64::from(count), 0),
            Self::Chunk { id, offset, length } => (CHUNK, length, id, offset),
            Self::End { id, length } => (END, length, id, 0),
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = kind;
        bytes[4..8].copy_from_slice(&length.to_be_bytes());
        bytes[8..16].copy_from_slice(&id.to_be_bytes());
        bytes[16..24].copy_from_slice(&offset.to_be_bytes());
        bytes
    }

    /// Reads a header and checks its lengths.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Violation> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        if reader.array::<3>()? != [0; 3] {
            return Err(Violation::new("the reserved bytes of a frame are not zero"));
        }
        let (length, id, offset) = (reader.u32()?, reader.u64()?, reader.u64()?);
        match kind {
            FILES => {
                let count = u32::try_from(id).map_err(|_| oversize())?;
                // A file takes at least the header of its record.
                let least = u64::from(count) * super::files::RECORD_BYTES as u64;
                if length > FILES_BYTES || least > u64::from(length) || count == 0 || offset != 0 {
                    return Err(oversize());
                }
                Ok(Self::Files { count, length })
            }
            CHUNK => {
                let end = offset.checked_add(u64::from(length));
                if length == 0
                    || length > CHUNK_BYTES
                    || end.is_none_or(|end| end > i64::MAX as u64)
                {
                    return Err(oversize());
                }
                Ok(Self::Chunk { id, offset, length })
            }
            END => {
                if length > END_BYTES || offset != 0 {
                    return Err(oversize());
                }
                Ok(Self::End { id, length })
            }
            _ => Err(Violation::new("a frame has an unknown type")),
        }
    }
}

fn oversize() -> Violation {
    Violation::new("the lengths of a frame are out of bounds")
}

#[cfg(test)]
mod tests;
