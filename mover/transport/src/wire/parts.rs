//! Wanted parts of files, packed as variable-length numbers: ranges of content, and blocks of which the hashes are
//! wanted.
//!
//! Ranges: id, directory, part, position, number of ranges, then for each its distance from the end of the one
//! before, and its length. Blocks: id, directory, part, position, offset, length.

use blit_engine::fs::blocks::{BLOCK, REGION};
use blit_engine::plan::blocks::WANT_RANGES;
use blit_engine::run::{PartWant, Wanted as What};

use super::Violation;
use super::reader::{Reader, put_varint};
use super::wants::Wanted;

/// Most bytes of one message that are looked at.
const MESSAGE_BYTES: usize = 256 << 10;

/// Most wants in one message.
pub(crate) const PARTS_PER_MESSAGE: usize = 64;

/// Offset and length.
pub(crate) type Range = (u64, u64);

/// Ranges of a file, in ascending order.
pub(crate) type Ranges = Vec<Range>;

/// A file, and what is wanted of it.
pub(crate) type Part<T> = (Wanted, T);

/// Packs wants: those of ranges, and those of blocks.
pub(crate) fn pack(wants: &[PartWant]) -> (Vec<u8>, Vec<u8>) {
    let (mut ranges, mut blocks) = (Vec::new(), Vec::new());
    for want in wants {
        let bytes = match &want.what {
            What::Ranges(_) => &mut ranges,
            What::Blocks { .. } => &mut blocks,
        };
        put_varint(bytes, want.id);
        put_varint(bytes, want.dir.0);
        put_varint(bytes, u64::from(want.part));
        put_varint(bytes, u64::from(want.index));
        match &want.what {
            What::Ranges(wanted) => {
                put_varint(bytes, wanted.len() as u64);
                let mut behind = 0;
                for (offset, length) in wanted {
                    put_varint(bytes, offset.saturating_sub(behind));
                    put_varint(bytes, *length);
                    behind = offset.saturating_add(*length);
                }
            }
            What::Blocks { offset, length } => {
                put_varint(bytes, *offset);
                put_varint(bytes, *length);
            }
        }
    }
    (ranges, blocks)
}

/// Unpacks wants of ranges.
pub(crate) fn unpack_ranges(bytes: &[u8]) -> Result<Vec<Part<Ranges>>, Violation> {
    unpack(bytes, |reader| {
        let count = reader.varint()?;
        if count == 0 || count > WANT_RANGES as u64 {
            return Err(out_of_bounds());
        }
        let mut ranges = Vec::new();
        let mut behind = 0u64;
        for _ in 0..count {
            let (gap, length) = (reader.varint()?, reader.varint()?);
            let offset = behind.checked_add(gap).ok_or_else(out_of_bounds)?;
            let end = offset.checked_add(length).filter(|end| is_position(*end));
            behind = end.filter(|_| length > 0).ok_or_else(out_of_bounds)?;
            ranges.push((offset, length));
        }
        Ok(ranges)
    })
}

/// Unpacks wants of the hashes of blocks, as (offset, length).
pub(crate) fn unpack_blocks(bytes: &[u8]) -> Result<Vec<Part<Range>>, Violation> {
    unpack(bytes, |reader| {
        let (offset, length) = (reader.varint()?, reader.varint()?);
        let fits = offset % BLOCK == 0 && (1..=REGION).contains(&length);
        let end = offset.checked_add(length).filter(|end| is_position(*end));
        match end {
            Some(_) if fits => Ok((offset, length)),
            _ => Err(out_of_bounds()),
        }
    })
}

fn unpack<'a, T>(
    bytes: &'a [u8],
    rest: impl Fn(&mut Reader<'a>) -> Result<T, Violation>,
) -> Result<Vec<Part<T>>, Violation> {
    if bytes.len() > MESSAGE_BYTES {
        return Err(out_of_bounds());
    }
    let small = |number| u32::try_from(number).map_err(|_| out_of_bounds());
    let mut reader = Reader::new(bytes);
    let mut wants = Vec::new();
    while !reader.is_empty() {
        if wants.len() == PARTS_PER_MESSAGE {
            return Err(out_of_bounds());
        }
        let wanted = Wanted {
            id: reader.varint()?,
            dir: reader.varint()?,
            part: small(reader.varint()?)?,
            index: small(reader.varint()?)?,
        };
        wants.push((wanted, rest(&mut reader)?));
    }
    Ok(wants)
}

fn is_position(end: u64) -> bool {
    end <= i64::MAX as u64
}

fn out_of_bounds() -> Violation {
    Violation::new("parts of files are wanted that cannot be")
}

#[cfg(test)]
mod tests;
