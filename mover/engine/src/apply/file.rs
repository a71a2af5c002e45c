//! A file that is being made: from its creation, without a name or under one that nobody takes for it, to its final name.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use crate::entry::{Entry, Inode, Kind, Meta, Xattrs};
use crate::fs::ability::Ability;
use crate::fs::dir::{MODE_PRIVATE_FILE, stat_fd};
use crate::fs::pin::Pin;
use crate::fs::{Dir, nameless, xattr};

use super::attributes::{self, Applied, Current};
use super::leftovers::Leftovers;

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
    /// Where it is noted if it cannot be removed.
    leftovers: Leftovers,
    /// The mode it was made with. `None`: an earlier run made it, or it is a clone; what it has besides content is not known.
    mode: Option<u32>,
}

/// What files have that are made in one directory that nobody else uses, as its first file showed it: files that are made with
/// the same mode have the same, and need not be looked at.
#[derive(Debug, Default)]
pub(crate) struct Birth(OnceLock<Current<'static>>);

impl Birth {
    /// What a file has that was made with a mode, if that is known.
    fn of(&self, mode: u32) -> Option<Current<'static>> {
        let current = *self.0.get()?;
        (current.mode == mode).then_some(current)
    }

    /// Learns from the first file, which was made with a mode. Where it has another, the file system has its own mind.
    fn learn(&self, mode: u32, found: &Meta) {
        if found.mode == mode {
            let (uid, gid) = (found.uid, found.gid);
            self.0.get_or_init(|| Current {
                uid,
                gid,
                mode,
                times: None,
            });
        }
    }
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
    pub(crate) fn create(
        dir: &Arc<Dir>,
        name: &[u8],
        mode: Option<u32>,
        leftovers: &Leftovers,
    ) -> Result<Self, Errno> {
        // Set-id bits only after the content and the owner.
        let mode = mode.map_or(MODE_PRIVATE_FILE, |mode| mode & 0o777);
        let fd = dir.create_file(name, mode)?;
        Ok(Self::new(dir, fd, name, mode, leftovers))
    }

    /// Creates it without a name, see [`nameless`]; it is to get `name`. Nobody sees it, so it can have its final `mode` from
    /// the start.
    pub(crate) fn nameless(
        dir: &Arc<Dir>,
        name: &[u8],
        mode: u32,
        leftovers: &Leftovers,
    ) -> Result<Self, Errno> {
        let mode = mode & 0o777;
        let fd = nameless::create(dir, name, mode)?;
        Ok(Self::new(dir, fd, b"", mode, leftovers))
    }

    fn new(dir: &Arc<Dir>, fd: OwnedFd, name: &[u8], mode: u32, leftovers: &Leftovers) -> Self {
        Self {
            dir: Arc::clone(dir),
            fd,
            name: name.into(),
            stays: AtomicBool::new(false),
            leftovers: leftovers.clone(),
            mode: Some(mode),
        }
    }

    /// Creates one that stays when it is dropped, so that a later run can continue it.
    pub(crate) fn create_lasting(
        dir: &Arc<Dir>,
        name: &[u8],
        leftovers: &Leftovers,
    ) -> Result<Self, Errno> {
        let new = Self::create(dir, name, None, leftovers)?;
        new.stays.store(true, Ordering::Relaxed);
        Ok(new)
    }

    /// Opens one that lasts, for reading and writing. Something else of this name is an error: a file that has other
    /// names, or that another user has or may open, was not made by Blit, or is finished. Who had it open could go on
    /// writing when it has its final name.
    pub(crate) fn adopt(dir: &Arc<Dir>, name: &[u8], leftovers: &Leftovers) -> Result<Self, Errno> {
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
            leftovers: leftovers.clone(),
            mode: None,
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
        self.leftovers.remove(&self.dir, &self.name);
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
        let found = stat_fd(self.fd())?;
        let current = Current::from(&found);
        self.finish(
            entry,
            source_xattrs,
            current,
            inherits_acl,
            ability,
            give_name,
        )
        .map(|applied| (found.inode(), applied))
    }

    /// As [`Self::publish`], of a file of a directory that nobody else uses, and whose inode nobody asks for.
    pub(crate) fn publish_alike(
        &self,
        entry: &Entry,
        source_xattrs: &Xattrs,
        birth: &Birth,
        ability: &Ability,
        give_name: impl FnOnce(&Dir, Made<'_>) -> Result<(), Errno>,
    ) -> Result<Applied, Errno> {
        let found;
        let current = match self.mode.and_then(|mode| birth.of(mode)) {
            Some(current) => current,
            None => {
                found = stat_fd(self.fd())?;
                if let Some(mode) = self.mode {
                    birth.learn(mode, &found);
                }
                Current::from(&found)
            }
        };
        self.finish(entry, source_xattrs, current, false, ability, give_name)
    }

    fn finish(
        &self,
        entry: &Entry,
        source_xattrs: &Xattrs,
        current: Current<'_>,
        inherits_acl: bool,
        ability: &Ability,
        give_name: impl FnOnce(&Dir, Made<'_>) -> Result<(), Errno>,
    ) -> Result<Applied, Errno> {
        let existing = if inherits_acl || self.mode.is_none() {
            xattr::of_fd(self.fd())?
        } else {
            Xattrs::default()
        };
        let pin = Pin::Open(self.fd());
        let applied = attributes::apply(
            &pin,
            &entry.meta,
            source_xattrs,
            current,
            &existing,
            ability,
        )?;
        if self.name.is_empty() {
            give_name(&self.dir, Made::Nameless(self.fd()))?;
        } else if self.name != entry.name {
            give_name(&self.dir, Made::Named(&self.name))?;
        }
        self.stays.store(true, Ordering::Relaxed);
        Ok(applied)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // What has no name goes with its handle.
        if !self.name.is_empty() && !self.stays.load(Ordering::Relaxed) {
            self.leftovers.remove(&self.dir, &self.name);
        }
    }
}
