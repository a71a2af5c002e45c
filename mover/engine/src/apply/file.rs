//! A file that is being made: from its creation, without a name or under one that nobody takes for it, to its final name.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::entry::{Entry, Inode, Kind, Xattrs};
use crate::fs::ability::Ability;
use crate::fs::dir::{MODE_PRIVATE_FILE, stat_fd};
use crate::fs::pin::Pin;
use crate::fs::{Dir, nameless, xattr};

use super::attributes::{self, Applied};

/// A file that has no final name yet. One that is dropped without [`Self::publish`] is removed, unless a later run may
/// continue it.
#[derive(Debug)]
pub(crate) struct NewFile {
    dir: Arc<Dir>,
    fd: OwnedFd,
    /// The name it has now; empty if it has none.
    name: Box<[u8]>,
    /// It stays where it is when it is dropped: it has its name, or a later run looks for it under this one.
    stays: AtomicBool,
    /// An earlier run made it, or it is a clone: what it has besides content is not known.
    adopted: bool,
}

/// What is to be given its final name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Made<'a> {
    /// It has this temporary name.
    Named(&'a [u8]),
    /// It has none and is known by its handle only.
    Nameless(BorrowedFd<'a>),
}

impl NewFile {
    /// Creates it under `name`: a temporary one, or the final one in a directory that is private itself,
    /// where it can have its final `mode` from the start.
    pub(crate) fn create(dir: &Arc<Dir>, name: &[u8], mode: Option<u32>) -> Result<Self, Errno> {
        // Set-id bits only after the content and the owner.
        let mode = mode.map_or(MODE_PRIVATE_FILE, |mode| mode & 0o777);
        let fd = dir.create_file(name, mode)?;
        Ok(Self::new(dir, fd, name))
    }

    /// Creates it without a name, see [`nameless`]; it is to get `name`. Nobody sees it, so it can have its final `mode` from
    /// the start.
    pub(crate) fn nameless(dir: &Arc<Dir>, name: &[u8], mode: u32) -> Result<Self, Errno> {
        let fd = nameless::create(dir, name, mode & 0o777)?;
        Ok(Self::new(dir, fd, b""))
    }

    fn new(dir: &Arc<Dir>, fd: OwnedFd, name: &[u8]) -> Self {
        Self {
            dir: Arc::clone(dir),
            fd,
            name: name.into(),
            stays: AtomicBool::new(false),
            adopted: false,
        }
    }

    /// Creates one that stays when it is dropped, so that a later run can continue it.
    pub(crate) fn create_lasting(dir: &Arc<Dir>, name: &[u8]) -> Result<Self, Errno> {
        let new = Self::create(dir, name, None)?;
        new.stays.store(true, Ordering::Relaxed);
        Ok(new)
    }

    /// Opens one that lasts, for reading and writing. Something else of this name is an error: a file that has other
    /// names, or that another user has or may open, was not made by Blit, or is finished. Who had it open could go on
    /// writing when it has its final name.
    pub(crate) fn adopt(dir: &Arc<Dir>, name: &[u8]) -> Result<Self, Errno> {
        let fd = dir.open_file_to_lock(name)?;
        let meta = stat_fd(fd.as_fd())?;
        let own = meta.uid == rustix::process::geteuid().as_raw();
        let private = meta.mode & 0o777 & !MODE_PRIVATE_FILE == 0;
        if meta.kind != Kind::File || meta.nlink != 1 || !own || !private {
            return Err(Errno::ACCESS);
        }
        Ok(Self {
            dir: Arc::clone(dir),
            fd,
            name: name.into(),
            stays: AtomicBool::new(true),
            adopted: true,
        })
    }

    /// Gives a file that lasts another temporary name.
    pub(crate) fn rename(&mut self, name: &[u8]) -> Result<(), Errno> {
        self.dir.rename(&self.name, name)?;
        self.name = name.into();
        Ok(())
    }

    /// Nobody is to continue it: it goes at once, so that another can have its name.
    pub(crate) fn discard(&self) {
        self.stays.store(true, Ordering::Relaxed);
        // Nothing can be done about a failure: a later run knows the name as ours.
        let _ = self.dir.unlink(&self.name);
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens it for reading; only what has a name.
    pub(crate) fn reopen(&self) -> Result<OwnedFd, Errno> {
        self.dir.open_file(&self.name)
    }

    /// Sets attributes, then lets `give_name` give it its final name where it does not have it yet. Returns
    /// the new inode.
    pub(crate) fn publish(
        &self,
        entry: &Entry,
        source_xattrs: &Xattrs,
        inherits_acl: bool,
        ability: &Ability,
        give_name: impl FnOnce(&Dir, Made<'_>) -> Result<(), Errno>,
    ) -> Result<(Inode, Applied), Errno> {
        let current = stat_fd(self.fd())?;
        let existing = if inherits_acl || self.adopted {
            xattr::of_fd(self.fd())?
        } else {
            Xattrs::default()
        };
        let pin = Pin::Open(self.fd());
        let applied = attributes::apply(
            &pin,
            &entry.meta,
            source_xattrs,
            &current,
            &existing,
            ability,
        )?;
        if self.name.is_empty() {
            give_name(&self.dir, Made::Nameless(self.fd()))?;
        } else if self.name != entry.name {
            give_name(&self.dir, Made::Named(&self.name))?;
        }
        self.stays.store(true, Ordering::Relaxed);
        Ok((current.inode(), applied))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // What has no name goes with its handle.
        if !self.name.is_empty() && !self.stays.load(Ordering::Relaxed) {
            // Nothing can be done about a failure: a later run knows the name as ours.
            let _ = self.dir.unlink(&self.name);
        }
    }
}
