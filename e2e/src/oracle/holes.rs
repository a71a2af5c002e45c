//! The holes of a file, as the kernel tells them.

use std::fs::File;
use std::io;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// Smallest hole that must survive, in bytes: the page size and the usual block size.
const BLOCK: u64 = 4096;

/// Returns the offset of the first byte that is allocated in the destination inside a hole of the source
/// that covers whole blocks.
pub(super) fn filled(source: &File, destination: &File, size: u64) -> io::Result<Option<u64>> {
    let wanted: Vec<_> = holes(&data(source, size)?, size).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let allocated = data(destination, size)?;
    Ok(wanted.iter().find_map(|hole| {
        let found = allocated
            .iter()
            .find(|d| d.start < hole.end && hole.start < d.end)?;
        Some(found.start.max(hole.start))
    }))
}

/// Returns the holes between the ranges of data, cut to whole blocks.
fn holes(data: &[Range<u64>], size: u64) -> impl Iterator<Item = Range<u64>> {
    let starts = std::iter::once(0).chain(data.iter().map(|range| range.end));
    let ends = data
        .iter()
        .map(|range| range.start)
        .chain(std::iter::once(size));
    starts
        .zip(ends)
        .map(|(start, end)| start.next_multiple_of(BLOCK)..end / BLOCK * BLOCK)
        .filter(|hole| hole.start < hole.end)
}

/// Returns the ranges that hold data.
fn data(file: &File, size: u64) -> io::Result<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match lseek(file, at.cast_signed(), Whence::SeekData) {
            Ok(start) => start.cast_unsigned(),
            // No data after this offset.
            Err(Errno::ENXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = lseek(file, start.cast_signed(), Whence::SeekHole)?.cast_unsigned();
        ranges.push(start..end.min(size));
        at = end;
    }
    Ok(ranges)
}
