//! A large file as blocks of equal length, each with a hash: what two hosts compare so that only what differs is sent.
//!
//! Blocks have [`BLOCK`] bytes, the last one what is left. Of a size of S bytes of which runs of R bytes changed, what
//! differs costs at most R + 2 * BLOCK bytes a run, and the hashes S * 32 / BLOCK: 64 KiB keep these at 2 MiB for 4 GiB.
//! Holes have no hash: where a file has one is part of it, and zeros are something else.

use std::os::fd::BorrowedFd;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::copy::{next_extent, read_full_at};
use super::hash::Hash;
use crate::watch::{Call, call};

/// Length of a block.
pub const BLOCK: u64 = 64 << 10;

/// Blocks that are compared at once: their hashes go into one record of whole files.
pub const REGION: u64 = 64 << 20;

/// In the place of a hash: the whole block is a hole.
pub const HOLE: Hash = [0; 32];

/// In the place of a hash: a part of the block is a hole, or could not be read.
pub const MIXED: Hash = [0xff; 32];

/// What a block consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Data.
    Data,
    /// Nothing.
    Hole,
    /// Both, or it lies beyond the end.
    Mixed,
}

/// Looks at the blocks of a file, in ascending order.
#[derive(Debug)]
pub struct Blocks<'a> {
    file: BorrowedFd<'a>,
    size: u64,
    sparse: bool,
    /// The first range of data that ends behind the last block that was looked at.
    data: Option<(u64, u64)>,
    exhausted: bool,
    buffer: Vec<u8>,
}

impl<'a> Blocks<'a> {
    /// Takes a file of `size` bytes; `sparse` says that it may have holes.
    pub fn new(file: BorrowedFd<'a>, size: u64, sparse: bool) -> Self {
        Self {
            file,
            size,
            sparse,
            data: None,
            exhausted: false,
            buffer: Vec::new(),
        }
    }

    /// Tells what the block of `length` bytes at `offset` consists of.
    pub fn kind(&mut self, offset: u64, length: u64) -> Result<Kind, Errno> {
        let end = offset.saturating_add(length);
        if end > self.size {
            return Ok(Kind::Mixed);
        }
        if !self.sparse {
            return Ok(Kind::Data);
        }
        while !self.exhausted && self.data.is_none_or(|(_, behind)| behind <= offset) {
            self.data = next_extent(self.file, offset, self.size)?.map(|(at, n)| (at, at + n));
            self.exhausted = self.data.is_none();
        }
        Ok(match self.data {
            Some((start, behind)) if start <= offset && behind >= end => Kind::Data,
            Some((start, behind)) if start < end && behind > offset => Kind::Mixed,
            _ => Kind::Hole,
        })
    }

    /// Reads a block; `None` if the file has become shorter.
    pub fn read(&mut self, offset: u64, length: u64) -> Result<Option<&[u8]>, Errno> {
        let length = usize::try_from(length.min(BLOCK)).unwrap_or(0);
        if self.buffer.is_empty() {
            self.buffer = vec![0; BLOCK as usize];
        }
        let filled = read_full_at(self.file, &mut self.buffer[..length], offset)?;
        Ok((filled == length).then_some(&self.buffer[..length]))
    }

    /// Returns the hashes of the blocks from `offset` on, `length` bytes in all. Calls `hashed` with every count of
    /// bytes; it returns false to cancel, and then there are none.
    pub fn hashes(
        &mut self,
        offset: u64,
        length: u64,
        hashed: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Vec<Hash>>, Errno> {
        let mut hashes = Vec::new();
        for (at, length) in blocks(offset, length.min(self.size.saturating_sub(offset))) {
            let hash = match self.kind(at, length)? {
                Kind::Hole => HOLE,
                Kind::Mixed => MIXED,
                Kind::Data => self.read(at, length)?.map_or(MIXED, hash_of),
            };
            hashes.push(hash);
            if !hashed(length) {
                return Ok(None);
            }
        }
        Ok(Some(hashes))
    }
}

/// Returns the hash of what a block holds.
pub fn hash_of(block: &[u8]) -> Hash {
    *blake3::hash(block).as_bytes()
}

/// Returns the blocks of a range that begins with one, as (offset, length).
pub fn blocks(offset: u64, length: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = offset.saturating_add(length);
    std::iter::successors(Some(offset), |at| at.checked_add(BLOCK))
        .take_while(move |at| *at < end)
        .map(move |at| (at, BLOCK.min(end - at)))
}

/// Makes a hole of a range.
pub fn punch(file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    call(Call::Write, file, || {
        rustix::fs::fallocate(file, flags, offset, length)
    })
}

#[cfg(test)]
mod tests;
