//! Link groups of which the destination's inode turned out to have names besides the group's: outside the tree, left
//! out by filters, or of something that stays. Such an inode is somebody else's too, so the group gets one of its own.
//!
//! This can be known only when every name was seen, and after the deletions: until then the inode was taken for right,
//! because its content and attributes are. So they are copied from it, not from the source; then each name of the group is
//! moved over. Nothing is ever written into the inode itself.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use super::directory::Directory;
use super::events::Change;
use super::orchestrator::{Place, Run};
use crate::activity::{self, Activity};
use crate::apply::attributes::Applied;
use crate::apply::file::NewFile;
use crate::apply::node;
use crate::entry::{Entry, Inode, Kind, Meta};
use crate::fs::copy::{Copier, CopyError, has_holes};
use crate::fs::dir::stat_fd;
use crate::fs::{Dir, FsError, xattr};
use crate::plan::itemize::Item;
use crate::plan::links::Unproven;
use crate::tree::node::lock;

impl Run {
    /// Gives every group whose inode has foreign names one of its own.
    pub(super) fn part_from_foreign_names(self: &Arc<Self>) {
        let unproven = lock(&self.links).take_unproven();
        if unproven.is_empty() {
            return;
        }
        let _parting = activity::during(Activity::Metadata);
        let mut copier = Copier::default();
        for (inode, group) in unproven {
            if self.must_end() {
                return;
            }
            self.part(inode, &group, &mut copier);
        }
    }

    fn part(self: &Arc<Self>, inode: Inode, group: &Unproven<Place>, copier: &mut Copier) {
        let Some((leader, others)) = group.found.split_first() else {
            return;
        };
        let Ok(there) = leader.0.node.open().and_then(|dir| stat(&dir, &leader.1)) else {
            // Whoever took the name away has to do with the others.
            return;
        };
        if there.inode() != inode || !self.has_foreign_names(inode, group, &there) {
            return;
        }
        let parted = if self.options.dry_run {
            if there.kind == Kind::File {
                self.counters.bytes_copied.fetch_add(there.size, Relaxed);
            }
            Ok(self.imagined_inode())
        } else {
            leader.0.hold();
            let parted = self.copy_inode(leader, &there, copier);
            self.release(&leader.0);
            parted
        };
        let new = match parted {
            Ok(new) => new,
            Err(error) if error.errno == Errno::CANCELED => return,
            Err(error) if matches!(error.errno, Errno::NOSPC | Errno::DQUOT) => {
                return self.full(&path_of(leader));
            }
            Err(error) => return self.not_parted(leader, &error),
        };
        self.parted(leader, &there, None);
        for (name, found) in (others.iter().map(|name| (name, true)))
            .chain(group.linked.iter().map(|name| (name, false)))
        {
            if self.must_end() {
                return;
            }
            match self.move_over(name, inode, leader, new) {
                // It was counted and told when it was linked.
                Ok(()) if !found => {}
                Ok(()) => self.parted(name, &there, Some(&path_of(leader))),
                Err(error) if error.errno == Errno::CANCELED => return,
                Err(error) => self.not_parted(name, &error),
            }
        }
    }

    fn has_foreign_names(&self, inode: Inode, group: &Unproven<Place>, there: &Meta) -> bool {
        if self.options.dry_run {
            let gone = lock(&self.gone).get(&inode).copied().unwrap_or(0);
            return group.had.saturating_sub(gone) as usize != group.found.len();
        }
        there.nlink as usize != group.found.len() + group.linked.len()
    }

    /// Puts a copy of what is under a name in its place; returns the inode of the copy.
    fn copy_inode(
        self: &Arc<Self>,
        (directory, name): &Place,
        there: &Meta,
        copier: &mut Copier,
    ) -> Result<Inode, FsError> {
        let (dir, leftovers) = (directory.node.open()?, &directory.leftovers);
        let failed = |errno| FsError::new("copy", name, errno);
        let temporary = self.names.unique();
        let mut entry = Entry {
            name: name.clone(),
            meta: *there,
            target: None,
            dir: None,
            xattrs: None,
        };
        self.may_write().map_err(failed)?;
        directory.touch();
        let copied = if there.kind == Kind::File {
            self.copy_file_inode(directory, &dir, &temporary, &entry, copier)
        } else {
            let mut copy = || {
                if there.kind == Kind::Symlink {
                    entry.target = Some(dir.read_link(name)?);
                }
                let xattrs = xattr::of_name(&dir, name)?;
                let made = node::make(&dir, &temporary, &entry, &xattrs, &self.ability, leftovers)?;
                self.replace(&dir, &temporary, name)
                    .inspect_err(|_| leftovers.remove(&dir, &temporary))?;
                Ok(made)
            };
            copy()
        };
        let (inode, applied) = copied.map_err(failed)?;
        self.note_not_kept(|| directory.path_of(name), &applied);
        Ok(inode)
    }

    fn copy_file_inode(
        self: &Arc<Self>,
        directory: &Directory,
        dir: &Arc<Dir>,
        temporary: &[u8],
        entry: &Entry,
        copier: &mut Copier,
    ) -> Result<(Inode, Applied), Errno> {
        let from = dir.open_file(&entry.name)?;
        let unchanged = || Ok(stat_fd(from.as_fd())?.same_state(&entry.meta));
        if !unchanged()? {
            return Err(Errno::STALE);
        }
        let xattrs = xattr::of_fd(from.as_fd())?;
        let new = NewFile::create(dir, temporary, None, &directory.leftovers)?;
        let size = entry.meta.size;
        let mut moved = |bytes| {
            self.counters.wrote(bytes);
            !self.must_end()
        };
        let sparse = has_holes(from.as_fd(), size);
        let copied = copier.copy(
            &self.ladder,
            from.as_fd(),
            new.fd(),
            size,
            sparse,
            &mut moved,
        );
        copied.map_err(|error| match error {
            CopyError::Read(errno) | CopyError::Write(errno) => errno,
            CopyError::Cancelled => Errno::CANCELED,
        })?;
        if !unchanged()? {
            return Err(Errno::STALE);
        }
        let inherits = self.inherits_acl(directory, dir);
        new.publish(entry, &xattrs, inherits, &self.ability, |dir, _| {
            self.replace(dir, temporary, &entry.name)
        })
    }

    /// Makes a name of the old inode one of the new inode, which `leader` has.
    fn move_over(
        &self,
        (directory, name): &Place,
        old: Inode,
        leader: &Place,
        new: Inode,
    ) -> Result<(), FsError> {
        if self.options.dry_run {
            return Ok(());
        }
        let (dir, from) = (directory.node.open()?, leader.0.node.open()?);
        if stat(&dir, name)?.inode() != old {
            return Err(FsError::new("link", name, Errno::STALE));
        }
        directory.hold();
        directory.touch();
        let linked = self.may_write().and_then(|()| {
            let replace = |dir: &Dir, temporary: &[u8]| self.replace(dir, temporary, name);
            let (temporary, leftovers) = (self.names.unique(), &directory.leftovers);
            node::link(&dir, &temporary, &from, &leader.1, new, leftovers, replace)
        });
        self.release(directory);
        linked.map_err(|errno| FsError::new("link", name, errno))
    }

    fn may_write(&self) -> Result<(), Errno> {
        match self.before_write() {
            true => Ok(()),
            false => Err(Errno::CANCELED),
        }
    }

    fn replace(&self, dir: &Dir, temporary: &[u8], name: &[u8]) -> Result<(), Errno> {
        self.may_write()?;
        dir.rename(temporary, name)
    }

    /// A name that had been found as it should be was replaced after all.
    fn parted(&self, name: &Place, there: &Meta, leader: Option<&[u8]>) {
        self.counters.files_unchanged.fetch_sub(1, Relaxed);
        self.counters.files_copied.fetch_add(1, Relaxed);
        if leader.is_none() && there.kind == Kind::File {
            self.counters.bytes_unchanged.fetch_sub(there.size, Relaxed);
        }
        let item = Some(Item::compare(there, there, &self.ability));
        let change = match leader {
            Some(_) => Change::Linked,
            None => Change::Replaced,
        };
        self.changed(|| path_of(name), change, item, leader);
    }

    fn not_parted(&self, name: &Place, error: &FsError) {
        self.counters.files_unchanged.fetch_sub(1, Relaxed);
        let message = format!(
            "has hard links that are not the source's, and could not be given an inode of its own: {}",
            error.brief()
        );
        self.failed(&path_of(name), &message);
    }
}

fn stat(dir: &Dir, name: &[u8]) -> Result<Meta, FsError> {
    dir.stat(name)
        .map_err(|errno| FsError::new("read attributes of", name, errno))
}

fn path_of((directory, name): &Place) -> Vec<u8> {
    directory.path_of(name)
}
