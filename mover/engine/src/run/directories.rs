//! Directories of the destination: found or made when they are listed, named when their own files are done,
//! finished when everything below is.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use super::directory::{Directory, Origin};
use super::events::Change;
use super::orchestrator::{Run, source_xattrs};
use super::planner::Sides;
use super::slots::Slot;
use super::source::Part;
use crate::activity::{self, Activity};
use crate::apply::attributes::{self, Applied};
use crate::entry::{DirId, Entry, Kind, Meta, Xattrs};
use crate::fs::ability::Ability;
use crate::fs::dir::MODE_PRIVATE_DIR;
use crate::fs::pin::Pin;
use crate::fs::{Context, Dir, xattr};
use crate::plan::compare::{Attributes, attributes_match, same_time, xattr_changes};
use crate::plan::itemize::Item;
use crate::plan::names::directory_name;
use crate::tree::Node;

impl Run {
    pub(super) fn plan_directory(
        self: &Arc<Self>,
        parent: &Arc<Directory>,
        sides: &Sides,
        mut entry: Entry,
        existing: Option<Meta>,
        parts: &mut Vec<Part>,
    ) {
        let Some(id) = entry.dir else { return };
        match source_xattrs(&entry, sides.source.as_deref()) {
            Ok(xattrs) => entry.xattrs = Some(xattrs),
            Err(error) => {
                // Without its attributes the directory is still better than nothing, but it is not right.
                self.failed(&parent.path_of(&entry.name), &error.brief());
            }
        }
        let made = match existing {
            Some(meta) if meta.kind == Kind::Directory => {
                let node = Node::child(&parent.node, &entry.name, meta.inode());
                let item = self.directory_differs(parent, sides, &entry, &meta);
                let opened =
                    !self.options.dry_run && self.make_accessible(sides, &entry.name, &meta);
                let directory = Directory::new(
                    node,
                    id,
                    entry.clone(),
                    Some(parent),
                    Origin::Existing,
                    false,
                    item,
                );
                if opened {
                    directory.touch();
                }
                Ok(directory)
            }
            other if self.options.dry_run => {
                self.imagine_gone(other.as_ref());
                Ok(self.imagine_directory(parent, sides, id, &entry, other.is_some()))
            }
            other => self.make_directory(parent, sides, id, &entry, other.is_some()),
        };
        match made {
            Ok(directory) => {
                directory.hold();
                self.register(id, Slot::Known(directory), parts);
            }
            // The run ends, for a reason that is reported by itself.
            Err(Errno::CANCELED) => self.register(id, Slot::Failed, parts),
            Err(errno) => {
                // One message for all that found no space is enough.
                match errno {
                    Errno::NOSPC | Errno::DQUOT => self.full(&parent.path_of(&entry.name)),
                    errno => self.entry_failed(parent, &entry, "make directory", errno),
                }
                self.register(id, Slot::Failed, parts);
            }
        }
    }

    /// A directory of ours that forbids us to write is no obstacle; its mode is set again at the end.
    fn make_accessible(&self, sides: &Sides, name: &[u8], meta: &Meta) -> bool {
        if self.ability.owner_override || meta.uid != self.ability.uid || meta.mode & 0o700 == 0o700
        {
            return false;
        }
        Pin::name(&sides.destination, name).is_ok_and(|pin| pin.chmod(meta.mode | 0o700).is_ok())
    }

    /// Returns in what a directory that is there is to be changed. Counts what cannot be kept of one that is
    /// right.
    fn directory_differs(
        &self,
        parent: &Arc<Directory>,
        sides: &Sides,
        entry: &Entry,
        existing: &Meta,
    ) -> Option<Item> {
        let mut item = Item::compare(&entry.meta, existing, &self.ability);
        let differs = !attributes_match(&entry.meta, existing, &self.ability)
            || !same_time(&entry.meta, existing);
        if differs && !self.wants_entries() {
            return Some(item);
        }
        let Some(wanted) = &entry.xattrs else {
            return differs.then_some(item);
        };
        let found = xattr::of_name(&sides.destination, &entry.name).unwrap_or_default();
        let keeps = Attributes::target(&entry.meta, &self.ability).keeps_owner();
        let changes = xattr_changes(wanted, &found, &self.ability, keeps);
        item.add_xattrs(&changes, &found);
        if differs || !changes.is_empty() {
            return Some(item);
        }
        let kinds = attributes::not_kept(&entry.meta, wanted, existing, &found, &self.ability);
        self.note_kinds(|| parent.path_of(&entry.name), &kinds);
        None
    }

    /// Makes a directory under a temporary name, or continues with what a killed run left under one.
    fn make_directory(
        self: &Arc<Self>,
        parent: &Arc<Directory>,
        sides: &Sides,
        id: DirId,
        entry: &Entry,
        displaces: bool,
    ) -> Result<Arc<Directory>, Errno> {
        let _making = activity::during(Activity::Metadata);
        if !self.before_write() {
            return Err(Errno::CANCELED);
        }
        let temporary = self.names.of_directory(&entry.name);
        let mut origin = Origin::New;
        if !parent.is_private() {
            for run in self.state.previous_runs() {
                let left = directory_name(run, &entry.name);
                if sides.destination.rename_new(&left, &temporary).is_ok() {
                    // It may have the mode of the source's already, which may let nobody write.
                    let _ = Pin::name(&sides.destination, &temporary)
                        .and_then(|pin| pin.chmod(MODE_PRIVATE_DIR));
                    origin = Origin::Adopted;
                    break;
                }
            }
        }
        if origin == Origin::New {
            sides.destination.mkdir(&temporary, MODE_PRIVATE_DIR)?;
        }
        parent.touch();
        let opened = sides.destination.open_dir(&temporary);
        let opened = opened.and_then(|dir| Ok((dir.stat_self()?, dir)));
        let (meta, dir) = opened.inspect_err(|_| {
            // What an earlier run had begun in it may keep it.
            let removed = sides.destination.rmdir(&temporary);
            let left = removed.is_err_and(|errno| errno != Errno::NOENT);
            self.leaves_something.fetch_or(left, Relaxed);
        })?;
        // Files made in it must not inherit an ACL that the source may not have.
        if self.inherits_acl(parent, &sides.destination) {
            let _ = xattr::remove_fd(dir.as_fd(), xattr::ACL_DEFAULT);
        }
        let node = Node::child(&parent.node, &temporary, meta.inode());
        node.keep_open(dir);
        self.counters.directories_created.fetch_add(1, Relaxed);
        Ok(Directory::new(
            node,
            id,
            entry.clone(),
            Some(parent),
            origin,
            displaces,
            Some(Item::new(Kind::Directory)),
        ))
    }

    /// Returns true if what is made in the directory may get an ACL from it.
    pub(super) fn inherits_acl(&self, directory: &Directory, dir: &Dir) -> bool {
        let hands_down = |xattrs: &Xattrs| xattrs.get(xattr::ACL_DEFAULT).is_some();
        // One that the source has is set before what waits for a deletion is made.
        let gets_one = || directory.entry.xattrs.as_ref().is_some_and(hands_down);
        let had_one = || xattr::of_fd(dir.as_fd()).is_ok_and(|found| hands_down(&found));
        !directory.is_private() && (gets_one() || *directory.default_acl.get_or_init(had_one))
    }

    /// One thing of a directory is done; does what is due when it was the last one.
    pub(super) fn release(&self, directory: &Arc<Directory>) {
        // Of a run that ends early nothing is published: what is missing may be just what was dropped.
        if !directory.release() || self.must_end() {
            return;
        }
        self.tidy(directory);
        self.publish_directory(directory);
        let mut at = Arc::clone(directory);
        while at.release_below() {
            let Some(parent) = at.parent.clone() else {
                return;
            };
            self.finalise(&at);
            at = parent;
        }
    }

    /// Removes what was made in a directory for a while only. What of that, or of what failed, cannot be removed is told, and left
    /// to the next run, which knows it by the state of this one.
    pub(super) fn tidy(&self, directory: &Arc<Directory>) {
        if !directory.folders.is_empty() {
            match directory.node.open() {
                Ok(dir) => directory.folders.remove(&dir, &directory.leftovers),
                Err(error) => directory.leftovers.note(error.errno),
            }
        }
        let Some(errno) = directory.leftovers.take() else {
            return;
        };
        self.leaves_something.store(true, Relaxed);
        // It may be half of a file under its final name. Nobody sees that as long as the directory does not get its own.
        let message = match directory.published.swap(true, Relaxed) {
            true => format!("cannot remove something temporary in it: {errno}"),
            false => {
                format!("cannot remove something unfinished in it, and so it is not named: {errno}")
            }
        };
        self.failed(&directory.path(), &message);
    }

    /// Gives a new directory its final name.
    fn publish_directory(&self, directory: &Arc<Directory>) {
        let _naming = activity::during(Activity::Metadata);
        let Some(parent) = &directory.parent else {
            return;
        };
        if directory.published.swap(true, Relaxed) {
            return;
        }
        if self.options.dry_run {
            self.directory_changed(directory, Change::Created);
            return;
        }
        if !self.before_write() {
            return;
        }
        let name = &directory.entry.name;
        let published = parent.node.open().and_then(|dir| {
            directory
                .node
                .rename(name, |temporary| {
                    if !directory.displaces {
                        return dir.rename_new(temporary, name);
                    }
                    dir.exchange(temporary, name)?;
                    dir.unlink(temporary)
                })
                .context("name directory", || directory.path())
        });
        parent.touch();
        match published {
            Ok(()) => self.directory_changed(directory, Change::Created),
            Err(error) => {
                self.leaves_something.store(true, Relaxed);
                self.failed(&directory.path(), &error.brief());
            }
        }
    }

    /// Sets a directory's attributes and times, when nothing below it is to come.
    pub(super) fn finalise(&self, directory: &Arc<Directory>) {
        let touched = directory.touched.swap(false, Relaxed);
        if !touched && !directory.differs() {
            return;
        }
        let _finishing = activity::during(Activity::Metadata);
        let path = || directory.path();
        if self.options.dry_run {
            self.directory_finished(directory);
            return;
        }
        let finalised = directory.node.open().and_then(|dir| {
            if !self.before_write_to(directory) {
                return Ok(Applied::default());
            }
            let finish = || {
                let pin = Pin::Open(dir.as_fd());
                let (current, existing) = (pin.stat()?, pin.xattrs()?);
                // Attributes that could not be read from the source are left as they are.
                let wanted = directory.entry.xattrs.as_ref().unwrap_or(&existing);
                attributes::apply(
                    &pin,
                    &directory.entry.meta,
                    wanted,
                    (&current).into(),
                    &existing,
                    &self.ability,
                )
            };
            finish().context("set attributes of", path)
        });
        match finalised {
            Ok(applied) => {
                // Of one that was right it was counted when it was found.
                if directory.differs() || directory.origin != Origin::Existing {
                    self.note_not_kept(path, &applied);
                }
                if applied.changed || directory.is_new_root(self.options.destination) {
                    self.directory_finished(directory);
                }
            }
            Err(error) => self.failed(&path(), &error.brief()),
        }
    }

    /// Counts and reports a directory that was there, or the root.
    fn directory_finished(&self, directory: &Directory) {
        let new = directory.is_new_root(self.options.destination);
        let repaired = directory.differs() && directory.origin == Origin::Existing;
        if !(new || repaired) || directory.counted.swap(true, Relaxed) {
            return;
        }
        if new {
            self.directory_changed(directory, Change::Created);
        } else {
            self.counters.metadata_repaired.fetch_add(1, Relaxed);
            self.directory_changed(directory, Change::Attributes);
        }
    }

    fn directory_changed(&self, directory: &Directory, change: Change) {
        let item = match change {
            Change::Created => Some(Item::new(Kind::Directory)),
            _ => directory.item,
        };
        self.changed(|| directory.path(), change, item, None);
    }

    /// The root is finished after the run's state is gone, and must not bring it back.
    fn before_write_to(&self, directory: &Directory) -> bool {
        directory.parent.is_none() || self.before_write()
    }
}

/// Returns in what the roots differ, or what cannot be kept where they do not.
pub(super) fn compare_roots(
    source: &Entry,
    node: &Arc<Node>,
    existing: &Meta,
    ability: &Ability,
) -> (Option<Item>, Vec<&'static str>) {
    let mut item = Item::compare(&source.meta, existing, ability);
    let differs =
        !attributes_match(&source.meta, existing, ability) || !same_time(&source.meta, existing);
    let Some(wanted) = &source.xattrs else {
        return (differs.then_some(item), Vec::new());
    };
    let found = node
        .open()
        .ok()
        .and_then(|dir| xattr::of_fd(dir.as_fd()).ok());
    let found = found.unwrap_or_default();
    let keeps = Attributes::target(&source.meta, ability).keeps_owner();
    let changes = xattr_changes(wanted, &found, ability, keeps);
    item.add_xattrs(&changes, &found);
    if differs || !changes.is_empty() {
        // What cannot be kept is counted when it is set right.
        return (Some(item), Vec::new());
    }
    let not_kept = attributes::not_kept(&source.meta, wanted, existing, &found, ability);
    (None, not_kept)
}
