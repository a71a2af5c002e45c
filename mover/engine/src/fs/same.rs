//! Whether two files have the same bytes.
//!
//! Both are read in large blocks, side by side, up to the first difference. What both say is a hole is not
//! read. Where only one has a hole the other must have zeros there: holes are no content.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::copy::{next_extent, read_full_at};

/// Bytes of each side that are read before they are compared: few enough to be in the processor's cache
/// still, enough that a call costs nothing beside them.
const BLOCK: usize = 256 * 1024;

/// Why two files could not be compared to the end.
#[derive(Debug, PartialEq, Eq)]
pub enum CompareError {
    /// The first one could not be read.
    First(Errno),
    /// The second one could not be read.
    Second(Errno),
    /// The run was cancelled.
    Cancelled,
}

/// One of two files.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The file.
    pub fd: BorrowedFd<'a>,
    /// It may have holes, so that asking for them is worth two calls.
    pub sparse: bool,
}

/// A worker's tool for comparing; owns its buffers, which it has from the first use on.
#[derive(Debug, Default)]
pub struct Comparer {
    first: Vec<u8>,
    second: Vec<u8>,
}

impl Comparer {
    /// Compares the bytes `from..to` of two files, of which at least one reaches to `to`. Calls `compared`
    /// with every count of bytes that are the same; it returns false to cancel.
    pub fn same(
        &mut self,
        first: Side<'_>,
        second: Side<'_>,
        from: u64,
        to: u64,
        compared: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, CompareError> {
        let mut at = from;
        while at < to {
            let one = data(first, at, to).map_err(CompareError::First)?;
            let other = data(second, at, to).map_err(CompareError::Second)?;
            let start = one.0.min(other.0);
            if start > at && !compared(start - at) {
                return Err(CompareError::Cancelled);
            }
            // Up to where either side's data ends: what follows may be a hole of both.
            let end = match (one.0 == start, other.0 == start) {
                (true, true) => one.1.min(other.1),
                (true, false) => one.1,
                _ => other.1,
            };
            if !self.same_data(first.fd, second.fd, start, end, compared)? {
                return Ok(false);
            }
            at = end;
        }
        Ok(true)
    }

    fn same_data(
        &mut self,
        first: BorrowedFd<'_>,
        second: BorrowedFd<'_>,
        from: u64,
        to: u64,
        compared: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, CompareError> {
        let mut at = from;
        while at < to {
            let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(BLOCK);
            let one = fill(&mut self.first, first, at, want).map_err(CompareError::First)?;
            let other = fill(&mut self.second, second, at, want).map_err(CompareError::Second)?;
            if one != other || one.len() < want {
                return Ok(false);
            }
            at += want as u64;
            if !compared(want as u64) {
                return Err(CompareError::Cancelled);
            }
        }
        Ok(true)
    }
}

/// Returns the next range of data that begins before `to`, cut there; an empty one at `to` if there is none.
fn data(side: Side<'_>, at: u64, to: u64) -> Result<(u64, u64), Errno> {
    if !side.sparse {
        return Ok((at, to));
    }
    let next = next_extent(side.fd, at, to)?;
    Ok(next.map_or((to, to), |(offset, length)| (offset, offset + length)))
}

/// Reads `want` bytes at `offset`, fewer only where the file ends.
fn fill<'a>(
    buffer: &'a mut Vec<u8>,
    fd: BorrowedFd<'_>,
    offset: u64,
    want: usize,
) -> Result<&'a [u8], Errno> {
    // As large as the largest file so far needs: a tree of small ones touches little memory.
    if buffer.len() < want {
        buffer.resize(want.next_power_of_two(), 0);
    }
    let filled = read_full_at(fd, &mut buffer[..want], offset)?;
    Ok(&buffer[..filled])
}

#[cfg(test)]
mod tests;
