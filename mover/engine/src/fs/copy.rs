//! Copying the content of one file: reflink, else `copy_file_range`, else `sendfile`, else read and write; holes stay holes.
//!
//! The ladder steps down and never up, also in the middle of a file: file systems refuse calls for reasons
//! that only show when they are made. What was refused for a pair of file systems is remembered, so that
//! it is not asked again for every file.

use std::os::fd::BorrowedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::pace::{Pace, aligned};
use super::same::Comparer;
use crate::activity::{self, Activity};
use crate::watch::{Call, call};

mod ladder;

pub use ladder::Ladder;
use ladder::Way;

/// Up to this size one read and one write beat every other way: setting up a clone or a range copy costs
/// more than moving the bytes through the cache.
pub const SMALL: u64 = 128 * 1024;
/// The smallest hole that is looked for: there are file systems with smaller blocks, but nothing worth the search.
const HOLE_BLOCK: usize = 1024;
/// What is written in one call. File systems take memory for their cache in pieces as large as what is written, and
/// pieces above 64 KiB can be those that a virtual machine has given back to its host: a call of 256 KiB then takes two
/// to three times the processor time of four of 64 KiB.
const WRITE: usize = 64 * 1024;
/// Size of the buffer of the read-and-write path.
const BUFFER: usize = 256 * 1024;

/// Why a copy ended early.
#[derive(Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The source could not be read.
    Read(Errno),
    /// The destination could not be written.
    Write(Errno),
    /// The run was cancelled.
    Cancelled,
}

/// A worker's tool for copying and comparing; owns its buffers.
#[derive(Debug)]
pub struct Copier {
    buffer: Vec<u8>,
    /// For files that are compared before they are copied.
    pub comparer: Comparer,
}

impl Default for Copier {
    fn default() -> Self {
        Self {
            buffer: vec![0; BUFFER],
            comparer: Comparer::default(),
        }
    }
}

impl Copier {
    /// Copies `size` bytes (what the source had when it was opened) into an empty file. Calls `moved` with
    /// every count of content bytes; it returns false to cancel. Where the source turns out shorter, the
    /// destination is as short; whoever calls compares the attributes before and after.
    pub fn copy(
        &mut self,
        ladder: &Ladder,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        size: u64,
        sparse: bool,
        moved: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), CopyError> {
        self.copy_asking(ladder, from, to, size, || sparse, moved)
    }

    /// Like [`Self::copy`]; asks whether there are holes once at most, and not of a small file whose content shows
    /// that it has none.
    pub fn copy_asking(
        &mut self,
        ladder: &Ladder,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        size: u64,
        has_holes: impl FnOnce() -> bool,
        moved: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), CopyError> {
        let sparse = if size <= SMALL && ladder.pace.is_known_for(size) {
            let length = usize::try_from(size).unwrap_or(self.buffer.len());
            activity::begin(Activity::Read);
            let read = self.read_small(from, length).map_err(CopyError::Read)?;
            if !has_empty_block(read) || !has_holes() {
                activity::begin(Activity::Write);
                write_all_at(to, read, 0).map_err(CopyError::Write)?;
                return match moved(read.len() as u64) {
                    true => Ok(()),
                    false => Err(CopyError::Cancelled),
                };
            }
            true
        } else {
            has_holes()
        };
        if size <= SMALL && !sparse {
            return self
                .copy_buffered(ladder, from, to, 0, size, moved)
                .map(|_| ());
        }
        activity::begin(Activity::Write);
        if ladder.clone_whole(from, to)? {
            return match moved(size) {
                true => Ok(()),
                false => Err(CopyError::Cancelled),
            };
        }
        if sparse {
            // The length comes first: it makes a hole at the end, and keeps a file system that allocates
            // ahead of the last write from filling the holes between.
            call(Call::Truncate, to, || rustix::fs::ftruncate(to, size))
                .map_err(CopyError::Write)?;
            let mut next = 0;
            while let Some((offset, length)) =
                next_extent(from, next, size).map_err(CopyError::Read)?
            {
                self.copy_range(ladder, from, to, offset, length, moved)?;
                next = offset + length;
            }
            return Ok(());
        }
        self.copy_range(ladder, from, to, 0, size, moved)
    }

    /// Reads up to `size` bytes from the start of a file into the buffer, fewer only at its end.
    pub fn read_small(&mut self, from: BorrowedFd<'_>, size: usize) -> Result<&[u8], Errno> {
        let wanted = size.min(self.buffer.len());
        let filled = read_full_at(from, &mut self.buffer[..wanted], 0)?;
        Ok(&self.buffer[..filled])
    }

    fn copy_range(
        &mut self,
        ladder: &Ladder,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        offset: u64,
        length: u64,
        moved: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), CopyError> {
        let (mut at, end) = (offset, offset + length);
        for way in [Way::Range, Way::Sendfile] {
            at = ladder.copy_by(way, from, to, at, end, moved)?;
        }
        if at < end {
            self.copy_buffered(ladder, from, to, at, end - at, moved)?;
        }
        Ok(())
    }

    /// Returns how many bytes there were, up to `length`.
    fn copy_buffered(
        &mut self,
        ladder: &Ladder,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        offset: u64,
        length: u64,
        moved: &mut dyn FnMut(u64) -> bool,
    ) -> Result<u64, CopyError> {
        let mut done = 0;
        let mut reading = ladder.pace.begin(from, length);
        while done < length {
            let at = offset + done;
            let left = usize::try_from(length - done).unwrap_or(usize::MAX);
            let want = left.min(aligned(at, self.buffer.len()));
            activity::begin(Activity::Read);
            let buffer = &mut self.buffer;
            let read = reading.step_ahead(at, offset + length, want, |want| {
                call(Call::Read, from, || {
                    rustix::io::pread(from, &mut buffer[..want], at)
                })
            });
            let read = match read {
                Ok(0) => break,
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(CopyError::Read(errno)),
            };
            activity::begin(Activity::Write);
            write_all_at(to, &self.buffer[..read], at).map_err(CopyError::Write)?;
            done += read as u64;
            if !moved(read as u64) {
                return Err(CopyError::Cancelled);
            }
        }
        Ok(done)
    }
}

/// Returns true if some block of what begins a file holds nothing but zeros, as every hole does: holes begin and
/// end where blocks do.
pub fn has_empty_block(data: &[u8]) -> bool {
    const ZEROS: [u8; HOLE_BLOCK] = [0; HOLE_BLOCK];
    data.chunks(HOLE_BLOCK)
        .any(|block| *block == ZEROS[..block.len()])
}

/// Reads from `offset` until `buffer` is full or the file ends; returns how many bytes that were.
pub fn read_full_at(from: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        match call(Call::Read, from, || {
            rustix::io::pread(from, rest, offset + filled as u64)
        }) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

/// Reads the first bytes of a file as [`read_full_at`] does, at the pace of its file system.
pub fn read_first_at_pace(
    pace: &Pace,
    from: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    let length = buffer.len();
    let mut reading = pace.begin(from, length as u64);
    let mut filled = 0;
    while filled < length {
        let at = filled as u64;
        let read = reading.step(at, length - filled, |want| {
            read_full_at(from, &mut buffer[filled..filled + want], at)
        })?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    Ok(filled)
}

/// Writes all of `data` at `offset`, [`WRITE`] bytes at a time.
pub fn write_all_at(to: BorrowedFd<'_>, data: &[u8], offset: u64) -> Result<(), Errno> {
    let mut written = 0;
    while written < data.len() {
        let piece = &data[written..data.len().min(written + WRITE)];
        match call(Call::Write, to, || {
            rustix::io::pwrite(to, piece, offset + written as u64)
        }) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Returns true if a file of this length has a hole, as far as its file system can tell. The number of its
/// blocks does not say it: XFS allocates ahead of the end of a file that grows, and such blocks, like those
/// of extended attributes, can outnumber the ones that a hole saves.
pub fn has_holes(file: BorrowedFd<'_>, size: u64) -> bool {
    call(Call::Seek, file, || {
        rustix::fs::seek(file, SeekFrom::Hole(0))
    })
    .is_ok_and(|hole| hole < size)
}

/// Returns the first range of data at or after `offset`, as (offset, length); `None` if only a hole follows.
/// A file system without holes has one range.
pub fn next_extent(
    file: BorrowedFd<'_>,
    offset: u64,
    size: u64,
) -> Result<Option<(u64, u64)>, Errno> {
    if offset >= size {
        return Ok(None);
    }
    let seek = |to| call(Call::Seek, file, || rustix::fs::seek(file, to));
    let start = match seek(SeekFrom::Data(offset)) {
        Ok(start) if start < size => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((offset, size - offset))),
        Err(errno) => return Err(errno),
    };
    let end = match seek(SeekFrom::Hole(start)) {
        Ok(end) => end.min(size),
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NXIO) => size,
        Err(errno) => return Err(errno),
    };
    Ok(Some((start, end.max(start + 1) - start)))
}
