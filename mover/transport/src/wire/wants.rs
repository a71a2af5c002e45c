//! Wanted files, packed: id, directory, part and position of each, as variable-length numbers.

use blit_engine::run::Want;

use super::Violation;
use super::reader::{Reader, put_varint};

/// Most wants in one message: some 40 KiB, so that the first are on their way while more are packed.
pub(crate) const WANTS_PER_MESSAGE: usize = 4096;

/// Most bytes of one message that are looked at: four numbers of at most ten bytes each.
const MESSAGE_BYTES: usize = WANTS_PER_MESSAGE * 40;

/// A want as the source sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Number of the request.
    pub(crate) id: u64,
    /// Directory.
    pub(crate) dir: u64,
    /// Piece of its listing, as sent.
    pub(crate) part: u32,
    /// Position in the piece.
    pub(crate) index: u32,
}

/// Packs at most [`WANTS_PER_MESSAGE`] wants.
pub(crate) fn pack(wants: &[Want]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(wants.len() * 8);
    for want in wants {
        put_varint(&mut bytes, want.id);
        put_varint(&mut bytes, want.dir.0);
        put_varint(&mut bytes, u64::from(want.part));
        put_varint(&mut bytes, u64::from(want.index));
    }
    bytes
}

/// Unpacks wants.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<Wanted>, Violation> {
    if bytes.len() > MESSAGE_BYTES {
        return Err(Violation::new("a message asks for too many files"));
    }
    let small =
        |number| u32::try_from(number).map_err(|_| Violation::new("a want is out of range"));
    let mut reader = Reader::new(bytes);
    let mut wants = Vec::new();
    while !reader.is_empty() {
        if wants.len() == WANTS_PER_MESSAGE {
            return Err(Violation::new("a message asks for too many files"));
        }
        wants.push(Wanted {
            id: reader.varint()?,
            dir: reader.varint()?,
            part: small(reader.varint()?)?,
            index: small(reader.varint()?)?,
        });
    }
    Ok(wants)
}

#[cfg(test)]
mod tests;
