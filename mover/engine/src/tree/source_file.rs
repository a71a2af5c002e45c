//! A source file that was opened to be read: what it was at that moment, where its data is, and whether it
//! was still the same afterwards.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::entry::{Entry, Kind};
use crate::fs::blocks::Blocks;
use crate::fs::copy::{has_holes, next_extent};
use crate::fs::dir::stat_fd;
use crate::fs::hash::{Hash, blake3_of};
use crate::fs::{Dir, xattr};

/// The smallest file that is asked for holes: a block of the common file systems. There is nothing to save
/// below, unless the file has no block at all.
const HOLE_MIN: u64 = 4096;

/// How reading a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStatus {
    /// The attributes after reading are those of when it was opened.
    Stable,
    /// It was written to while it was read: what was read may be torn.
    Changed,
    /// What arrived of it is not what was sent, or what was written not what was read.
    Altered,
    /// It is gone.
    Vanished,
    /// It could not be read; for people.
    Failed(String),
}

/// An open source file.
#[derive(Debug)]
pub struct SourceFile {
    fd: OwnedFd,
    entry: Entry,
    fresh: bool,
}

impl SourceFile {
    /// Opens a listed file without a look at it: most are what they were when they were listed, and [`Self::verify`], which whoever
    /// reads calls anyway, tells that as well. What it does not call stable is to be opened with [`Self::open`].
    pub fn open_unseen(dir: &Dir, listed: &Entry) -> Option<Self> {
        let fd = dir.open_file(&listed.name).ok()?;
        Some(Self {
            fd,
            entry: listed.clone(),
            fresh: false,
        })
    }

    /// Opens a listed file. A file that differs from its listing is taken as it is now, with all its
    /// attributes, if it is still a file.
    pub fn open(dir: &Dir, listed: &Entry) -> Result<Self, ReadStatus> {
        let fd = match dir.open_file(&listed.name) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Err(ReadStatus::Vanished),
            Err(errno) => return Err(ReadStatus::Failed(format!("cannot open: {errno}"))),
        };
        let failed = |errno: Errno| ReadStatus::Failed(format!("cannot read attributes: {errno}"));
        let meta = stat_fd(fd.as_fd()).map_err(failed)?;
        if meta.kind != Kind::File {
            return Err(ReadStatus::Vanished);
        }
        if meta.same_state(&listed.meta) {
            return Ok(Self {
                fd,
                entry: listed.clone(),
                fresh: false,
            });
        }
        let xattrs = match listed.xattrs {
            Some(_) => Some(xattr::of_fd(fd.as_fd()).map_err(failed)?),
            None => None,
        };
        let entry = Entry {
            meta,
            xattrs,
            ..listed.clone()
        };
        Ok(Self {
            fd,
            entry,
            fresh: true,
        })
    }

    /// The handle.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The entry as it was when the file was opened.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The entry if it differs from the listed one.
    pub fn fresh(&self) -> Option<Entry> {
        self.fresh.then(|| self.entry.clone())
    }

    /// Returns true if the entry differs from the listed one.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Lists the ranges of data, as (offset, length). A file without holes has one; holes have no bytes.
    pub fn extents(&self) -> io::Result<Vec<(u64, u64)>> {
        let size = self.entry.meta.size;
        if size == 0 {
            return Ok(Vec::new());
        }
        if !self.has_holes() {
            return Ok(vec![(0, size)]);
        }
        let mut extents = Vec::new();
        let mut next = 0;
        while let Some((offset, length)) = next_extent(self.fd(), next, size)? {
            extents.push((offset, length));
            next = offset + length;
        }
        Ok(extents)
    }

    /// Returns true if the file has holes.
    pub fn has_holes(&self) -> bool {
        let meta = &self.entry.meta;
        (meta.size >= HOLE_MIN || meta.is_sparse()) && has_holes(self.fd(), meta.size)
    }

    /// Returns the BLAKE3 of the content; `None` if `hashed` returned false.
    pub fn blake3(&self, hashed: &mut dyn FnMut(u64) -> bool) -> Result<Option<Hash>, Errno> {
        let meta = &self.entry.meta;
        blake3_of(self.fd(), meta.size, meta.is_sparse(), hashed)
    }

    /// Returns the hashes of the blocks of a range (see [`crate::fs::blocks`]); `None` if `hashed` returned false.
    pub fn block_hashes(
        &self,
        offset: u64,
        length: u64,
        hashed: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Vec<Hash>>, Errno> {
        let size = self.entry.meta.size;
        Blocks::new(self.fd(), size, self.has_holes()).hashes(offset, length, hashed)
    }

    /// Tells whether the file is still what it was when it was opened. Call it after reading.
    pub fn verify(&self) -> ReadStatus {
        match stat_fd(self.fd()) {
            Ok(now) if now.same_state(&self.entry.meta) => ReadStatus::Stable,
            Ok(_) => ReadStatus::Changed,
            Err(errno) => ReadStatus::Failed(format!("cannot read attributes: {errno}")),
        }
    }
}
