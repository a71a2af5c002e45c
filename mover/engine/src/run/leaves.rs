//! Planning entries that are not directories: kept, repaired, linked, made, or handed on as files that need
//! content.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rustix::io::Errno;

use super::directory::Directory;
use super::events::Change;
use super::orchestrator::{Run, source_xattrs};
use super::planner::{FileTask, Sides};
use crate::activity::{self, Activity};
use crate::apply::{attributes, node};
use crate::entry::{Inode, Kind, Meta};
use crate::fs::ability::{CROWD, most_names};
use crate::fs::pin::Pin;
use crate::fs::{Dir, FsError, xattr};
use crate::plan::compare::{Attributes, Proof, Verdict, compare, metadata, xattr_changes};
use crate::plan::itemize::Item;
use crate::plan::links::{Existing, Fit, Role};
use crate::tree::node::lock;

impl Run {
    /// Plans anything but a directory, which does not have to replace one. Returns it if content is needed.
    pub(super) fn plan_leaf_deferred(self: &Arc<Self>, task: FileTask) -> Option<FileTask> {
        match self.sides(&task.directory) {
            Ok(sides) => self.plan_leaf(&sides, task),
            Err(error) => {
                self.fail_task(&task, &error.brief());
                self.release(&task.directory);
                None
            }
        }
    }

    pub(super) fn plan_leaf(
        self: &Arc<Self>,
        sides: &Sides,
        mut task: FileTask,
    ) -> Option<FileTask> {
        let (verdict, not_kept) = match self.judge(sides, &task) {
            Ok(judged) => judged,
            Err(error) => {
                self.fail_task(&task, &error.brief());
                self.release(&task.directory);
                return None;
            }
        };
        let shared = task.existing.is_some_and(|meta| meta.nlink > 1);
        if verdict != Verdict::Same || shared || task.entry.meta.nlink > 1 {
            task.item = self.itemize(sides, &task, verdict);
        }
        if task.entry.meta.nlink > 1 {
            let group = task.entry.meta.inode();
            // An inode with more names has one that is not the group's.
            let fits = (task.existing).is_some_and(|meta| meta.nlink <= task.entry.meta.nlink);
            let keep = verdict == Verdict::Same && fits;
            let fit = match keep {
                false => Fit::Not,
                true if self.is_crowd(task.entry.meta.nlink) => Fit::OneOfSeveral,
                true => Fit::Only,
            };
            // Whoever leads the group compares; the others wait for it.
            task.compare = verdict == Verdict::Content && fits;
            if keep {
                self.note_kinds(|| task.path(), &not_kept);
            }
            return self.join_group(sides, task, group, fit);
        }
        // Another name of this inode is not the source's: what we did to one would happen to the other.
        match verdict {
            Verdict::Same if !shared => {
                self.note_kinds(|| task.path(), &not_kept);
                self.unchanged(&task);
            }
            Verdict::Metadata if !shared => self.repair(sides, &task),
            Verdict::Same | Verdict::Metadata | Verdict::Content | Verdict::Replace => {
                if task.entry.meta.kind == Kind::File {
                    task.compare = verdict == Verdict::Content && !shared;
                    return Some(task);
                }
                task.group = None;
                self.make_node(sides, &task);
            }
        }
        self.release(&task.directory);
        None
    }

    /// Returns what has a name, with as many names as it had when the run saw the first of them.
    pub(super) fn as_first_seen(&self, meta: Meta) -> Meta {
        let several = meta.kind != Kind::Directory && meta.nlink > 1;
        // Before any of its names is replaced, so that whoever sees fewer sees this too.
        if several {
            self.sighted.store(true, Release);
        }
        if meta.kind == Kind::Directory || !self.sighted.load(Acquire) {
            return meta;
        }
        let nlink = lock(&self.sightings).see(meta.inode(), meta.nlink);
        Meta { nlink, ..meta }
    }

    /// Compares an entry with what has its name; also returns what cannot be kept of one that is the same.
    fn judge(
        &self,
        sides: &Sides,
        task: &FileTask,
    ) -> Result<(Verdict, Vec<&'static str>), FsError> {
        let Some(existing) = &task.existing else {
            return Ok((Verdict::Replace, Vec::new()));
        };
        let entry = &task.entry;
        let failed = |errno| FsError::new("read", &entry.name, errno);
        let target = match (entry.meta.kind, existing.kind) {
            (Kind::Symlink, Kind::Symlink) => {
                Some(sides.destination.read_link(&entry.name).map_err(failed)?)
            }
            _ => None,
        };
        let proof = Proof {
            content: self.options.checksum,
            crashed: self.state.crashed(),
        };
        let verdict = compare(entry, existing, target.as_deref(), &self.ability, proof);
        if verdict != Verdict::Same {
            return Ok((verdict, Vec::new()));
        }
        self.judge_xattrs(sides, task, existing)
    }

    /// Compares the extended attributes of an entry that is the same otherwise.
    fn judge_xattrs(
        &self,
        sides: &Sides,
        task: &FileTask,
        existing: &Meta,
    ) -> Result<(Verdict, Vec<&'static str>), FsError> {
        let entry = &task.entry;
        let failed = |errno| FsError::new("read", &entry.name, errno);
        let wanted = source_xattrs(entry, sides.source.as_deref())?;
        let found = xattr::of_name(&sides.destination, &entry.name).map_err(failed)?;
        let keeps = Attributes::target(&entry.meta, &self.ability).keeps_owner();
        if !xattr_changes(&wanted, &found, &self.ability, keeps).is_empty() {
            return Ok((Verdict::Metadata, Vec::new()));
        }
        let not_kept = attributes::not_kept(&entry.meta, &wanted, existing, &found, &self.ability);
        Ok((Verdict::Same, not_kept))
    }

    /// The content of a file was found to be the same: what else differs is set right. Returns false, with
    /// nothing done, if the file must be replaced all the same.
    pub(super) fn keep_content(self: &Arc<Self>, sides: &Sides, task: &FileTask) -> bool {
        let Some(existing) = &task.existing else {
            return false;
        };
        let judged = match metadata(&task.entry.meta, existing, &self.ability) {
            Verdict::Same => self.judge_xattrs(sides, task, existing),
            other => Ok((other, Vec::new())),
        };
        let (verdict, not_kept) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                self.fail_task(task, &error.brief());
                return true;
            }
        };
        let Some(group) = task.group else {
            if verdict == Verdict::Same {
                self.note_kinds(|| task.path(), &not_kept);
                self.unchanged(task);
            } else {
                self.repair(sides, task);
            }
            return true;
        };
        if verdict != Verdict::Same {
            return false;
        }
        let there = group_existing(existing);
        let Some(waiting) = lock(&self.links).keep(group, there, task.place()) else {
            return false;
        };
        self.note_kinds(|| task.path(), &not_kept);
        self.unchanged(task);
        self.follow(task, existing.inode(), waiting);
        true
    }

    /// Makes the names that waited for their leader what they are to be: names of `inode`.
    pub(super) fn follow(
        self: &Arc<Self>,
        leader: &FileTask,
        inode: Inode,
        waiting: Vec<FileTask>,
    ) {
        for follower in waiting {
            if follower.existing.is_some_and(|meta| meta.inode() == inode) {
                lock(&self.links).found(inode, follower.place());
                self.unchanged(&follower);
            } else {
                self.link(&follower, &leader.directory, &leader.entry.name, inode);
            }
            self.release(&follower.directory);
        }
    }

    /// Returns in what an entry differs from what has its name, if somebody wants to know.
    fn itemize(&self, sides: &Sides, task: &FileTask, verdict: Verdict) -> Option<Item> {
        if !self.wants_entries() {
            return None;
        }
        let entry = &task.entry;
        let Some(existing) = &task.existing else {
            return Some(Item::new(entry.meta.kind));
        };
        let mut item = Item::compare(&entry.meta, existing, &self.ability);
        if item.new {
            return Some(item);
        }
        let name = &entry.name;
        match entry.meta.kind {
            Kind::Symlink => {
                let target = sides.destination.read_link(name).ok();
                item.content = target != entry.target;
            }
            // Content was asked about, or neither length nor time told.
            Kind::File if verdict == Verdict::Replace => {
                item.content = self.options.checksum || !(item.size || item.time);
            }
            _ => {}
        }
        let wanted = source_xattrs(entry, sides.source.as_deref());
        let found = xattr::of_name(&sides.destination, name);
        if let (Ok(wanted), Ok(found)) = (wanted, found) {
            let keeps = Attributes::target(&entry.meta, &self.ability).keeps_owner();
            let changes = xattr_changes(&wanted, &found, &self.ability, keeps);
            item.add_xattrs(&changes, &found);
        }
        Some(item)
    }

    /// Returns true if no inode at the root of the destination can have so many names.
    fn is_crowd(&self, names: u32) -> bool {
        let most = || most_names(&*self.root.node.open().ok()?);
        names > CROWD && most().is_some_and(|most| names > most)
    }

    /// Decides what a name of a link group is, and makes it so unless it waits.
    fn join_group(
        self: &Arc<Self>,
        sides: &Sides,
        task: FileTask,
        group: Inode,
        fit: Fit,
    ) -> Option<FileTask> {
        let existing = task.existing.as_ref().map(group_existing);
        let place = task.place();
        let (role, mut task) = lock(&self.links).join(group, existing, fit, task, place)?;
        match role {
            Role::Kept | Role::Linked => self.unchanged(&task),
            Role::Link((leader_dir, leader), inode) => {
                self.link(&task, &leader_dir, &leader, inode);
            }
            Role::Lead => {
                task.group = Some(group);
                if task.entry.meta.kind == Kind::File {
                    return Some(task);
                }
                self.make_node(sides, &task);
            }
        }
        self.release(&task.directory);
        None
    }

    /// Makes `task`'s name a link of its group's leader, which has the inode `of`.
    pub(super) fn link(
        self: &Arc<Self>,
        task: &FileTask,
        leader_dir: &Arc<Directory>,
        leader: &[u8],
        of: Inode,
    ) {
        let _linking = activity::during(Activity::Metadata);
        if self.options.dry_run {
            self.linked(task, leader_dir, leader, of);
            return;
        }
        if !self.before_write() {
            return;
        }
        let linked = leader_dir.node.open().and_then(|from| {
            let dir = task.directory.node.open()?;
            let context = |errno| FsError::new("link", &task.entry.name, errno);
            let expected = from.stat(leader).map_err(context)?.inode();
            let leftovers = &task.directory.leftovers;
            if task.directory.is_unseen() && task.existing.is_none() {
                let name = &task.entry.name;
                match node::link_unseen(&dir, name, &from, leader, expected, leftovers) {
                    // An attempt that failed left it there. It gives way as anything else would.
                    Err(Errno::EXIST) => {}
                    linked => return linked.map_err(context),
                }
            }
            let temporary = self.names.unique();
            let give_name =
                |dir: &Dir, temporary: &[u8]| self.give_name((dir, temporary), dir, task);
            node::link(
                &dir, &temporary, &from, leader, expected, leftovers, give_name,
            )
            .map_err(context)
        });
        task.directory.touch();
        match linked {
            Ok(()) => self.linked(task, leader_dir, leader, of),
            Err(FsError {
                errno: Errno::MLINK,
                ..
            }) => self.lead_anew(task),
            // The run ends, for a reason that is reported by itself.
            Err(FsError {
                errno: Errno::CANCELED,
                ..
            }) => {}
            Err(error) => self.fail_task(task, &error.brief()),
        }
    }

    fn linked(&self, task: &FileTask, leader_dir: &Directory, leader: &[u8], of: Inode) {
        lock(&self.links).linked(of, task.place());
        self.imagine_gone(task.existing.as_ref());
        self.counters.files_copied.fetch_add(1, Relaxed);
        if task.entry.meta.kind == Kind::File {
            self.counters
                .bytes_unchanged
                .fetch_add(task.entry.meta.size, Relaxed);
        }
        if task.item.is_some() {
            let leader = leader_dir.path_of(leader);
            self.changed(|| task.path(), Change::Linked, task.item, Some(&leader));
        }
    }

    /// The entry is as it should be.
    pub(super) fn unchanged(&self, task: &FileTask) {
        self.counters.files_unchanged.fetch_add(1, Relaxed);
        if task.entry.meta.kind == Kind::File {
            self.counters
                .bytes_unchanged
                .fetch_add(task.entry.meta.size, Relaxed);
        }
    }

    /// Sets attributes of what is there.
    fn repair(self: &Arc<Self>, sides: &Sides, task: &FileTask) {
        let _repairing = activity::during(Activity::Metadata);
        if self.options.dry_run {
            self.repaired(task);
            return;
        }
        if !self.before_write() {
            return;
        }
        let entry = &task.entry;
        let repaired = source_xattrs(entry, sides.source.as_deref()).and_then(|wanted| {
            let fix = || {
                let pin = Pin::name(&sides.destination, &entry.name)?;
                let current = pin.stat()?;
                if task
                    .existing
                    .is_some_and(|meta| meta.inode() != current.inode())
                {
                    return Err(Errno::STALE);
                }
                let existing = xattr::of_name(&sides.destination, &entry.name)?;
                attributes::apply(
                    &pin,
                    &entry.meta,
                    &wanted,
                    (&current).into(),
                    &existing,
                    &self.ability,
                )
            };
            fix().map_err(|errno| FsError::new("set attributes of", &entry.name, errno))
        });
        match repaired {
            Ok(applied) => {
                self.note_not_kept(|| task.path(), &applied);
                match applied.changed {
                    true => self.repaired(task),
                    false => self.unchanged(task),
                }
            }
            Err(error) => self.fail_task(task, &error.brief()),
        }
    }

    /// Attributes alone were set right.
    fn repaired(&self, task: &FileTask) {
        self.unchanged(task);
        self.counters.metadata_repaired.fetch_add(1, Relaxed);
        let target = task.entry.target.as_deref();
        self.changed(|| task.path(), Change::Attributes, task.item, target);
    }

    /// Makes a link or special file, with its link group's followers if it leads one.
    pub(super) fn make_node_deferred(self: &Arc<Self>, task: &FileTask) {
        match self.sides(&task.directory) {
            Ok(sides) => self.make_node(&sides, task),
            Err(error) => self.fail_task(task, &error.brief()),
        }
    }

    fn make_node(self: &Arc<Self>, sides: &Sides, task: &FileTask) {
        let _making = activity::during(Activity::Metadata);
        let entry = &task.entry;
        if entry.meta.kind.is_device() && !self.ability.devices {
            self.no_device(task);
            return;
        }
        if self.options.dry_run {
            self.file_done(task, Some(self.imagined_inode()));
            return;
        }
        if !self.before_write() {
            return;
        }
        let (dir, leftovers) = (&sides.destination, &task.directory.leftovers);
        let made = source_xattrs(entry, sides.source.as_deref()).and_then(|xattrs| {
            let make = || {
                if task.directory.is_private() {
                    let name = &entry.name;
                    return node::make(dir, name, entry, &xattrs, &self.ability, leftovers);
                }
                let temporary = self.names.unique();
                let made = node::make(dir, &temporary, entry, &xattrs, &self.ability, leftovers)?;
                self.give_name((dir, &temporary), dir, task)
                    .inspect_err(|_| leftovers.remove(dir, &temporary))?;
                Ok(made)
            };
            make().map_err(|errno| FsError::new("make", &entry.name, errno))
        });
        task.directory.touch();
        match made {
            Ok((inode, applied)) => {
                self.note_not_kept(|| task.path(), &applied);
                self.file_done(task, Some(inode));
            }
            Err(FsError {
                errno: Errno::PERM, ..
            }) if entry.meta.kind.is_device() => self.no_device(task),
            Err(error) => match error.errno {
                Errno::NOSPC | Errno::DQUOT => {
                    self.full(&task.path());
                    self.lead_instead(task);
                }
                Errno::CANCELED => {}
                _ => self.fail_task(task, &error.brief()),
            },
        }
    }

    /// A device may not be made here. Its other names come to the same.
    fn no_device(self: &Arc<Self>, task: &FileTask) {
        self.unchanged(task);
        self.note_kind(|| task.path(), "devices");
        self.lead_instead(task);
    }
}

fn group_existing(meta: &Meta) -> Existing {
    Existing {
        inode: meta.inode(),
        names: meta.nlink,
    }
}
