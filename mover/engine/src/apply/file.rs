//! A file that is being made: from its creation under a name that nobody takes for it to its final name.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::entry::{Entry, Inode, Xattrs};
use crate::fs::ability::Ability;
use crate::fs::dir::{MODE_PRIVATE_FILE, stat_fd};
use crate::fs::pin::Pin;
use crate::fs::{Dir, xattr};

use super::attributes::{self, Applied};

/// A file that has no final name yet. One that is dropped without [`Self::publish`] is removed.
#[derive(Debug)]
pub(crate) struct NewFile {
    dir: Arc<Dir>,
    fd: OwnedFd,
    /// The name it has now.
    name: Box<[u8]>,
    published: AtomicBool,
}

impl NewFile {
    /// Creates it under `name`: a temporary one, or the final one in a directory that is private itself,
    /// where it can have its final `mode` from the start.
    pub(crate) fn create(dir: &Arc<Dir>, name: &[u8], mode: Option<u32>) -> Result<Self, Errno> {
        // Set-id bits only after the content and the owner.
        let mode = mode.map_or(MODE_PRIVATE_FILE, |mode| mode & 0o777);
        let fd = dir.create_file(name, mode)?;
        Ok(Self {
            dir: Arc::clone(dir),
            fd,
            name: name.into(),
            published: AtomicBool::new(false),
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sets attributes, then lets `give_name` give it its final name where it has a temporary one. Returns
    /// the new inode.
    pub(crate) fn publish(
        &self,
        entry: &Entry,
        source_xattrs: &Xattrs,
        inherits_acl: bool,
        ability: &Ability,
        give_name: impl FnOnce(&Dir, &[u8]) -> Result<(), Errno>,
    ) -> Result<(Inode, Applied), Errno> {
        let current = stat_fd(self.fd())?;
        let existing = if inherits_acl {
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
        if self.name != entry.name {
            give_name(&self.dir, &self.name)?;
        }
        self.published.store(true, Ordering::Relaxed);
        Ok((current.inode(), applied))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.published.load(Ordering::Relaxed) {
            // Nothing can be done about a failure: a later run knows the name as ours.
            let _ = self.dir.unlink(&self.name);
        }
    }
}
