//! Planning: each entry of a listed part against the destination, at once, into done or to do.
//!
//! What takes one system call (links, nodes, directories, attributes) is done here; files are gathered
//! into batches for the workers.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use super::Operation;
use super::directory::{Directory, Origin};
use super::events::{Change, Event};
use super::orchestrator::{Batch, Run, Slot, incomplete_reason, source_xattrs};
use super::source::{Content, Listing, Part};
use crate::apply::{attributes, node};
use crate::entry::{DirId, Entry, Escaped, Inode, Kind, Meta};
use crate::fs::copy::Copier;
use crate::fs::dir::MODE_PRIVATE_DIR;
use crate::fs::pin::Pin;
use crate::fs::{Dir, FsError, xattr};
use crate::plan::compare::{Verdict, attributes_match, compare, xattr_changes};
use crate::plan::links::Role;
use crate::plan::names::directory_name;
use crate::tree::Node;
use crate::tree::node::lock;

/// Files after which a batch is queued: few enough that two workers share a directory of some hundred.
const BATCH_FILES: usize = 64;
/// Bytes after which a batch is queued.
const BATCH_BYTES: u64 = 8 * 1024 * 1024;

/// A file that needs content, or a name that waits for its link group.
#[derive(Debug)]
pub(crate) struct FileTask {
    pub(super) directory: Arc<Directory>,
    pub(super) entry: Entry,
    /// Position in the listing, for a source on another host.
    pub(super) index: u32,
    pub(super) ticket: Arc<PartTicket>,
    /// What has the name now.
    pub(super) existing: Option<Meta>,
    /// Link group that it leads.
    pub(super) group: Option<Inode>,
    /// Reads that were torn so far.
    pub(super) attempt: u8,
}

impl FileTask {
    pub(super) fn path(&self) -> Vec<u8> {
        self.directory.path_of(&self.entry.name)
    }
}

/// Tells the source that a part is done when the last entry of it is.
pub(crate) struct PartTicket {
    listing: Arc<dyn Listing>,
    pub(super) dir: DirId,
    pub(super) part: u32,
    keep: AtomicBool,
}

impl std::fmt::Debug for PartTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartTicket({:?}, {})", self.dir, self.part)
    }
}

impl PartTicket {
    pub(super) fn new(listing: &Arc<dyn Listing>, dir: DirId, part: u32, keep: bool) -> Arc<Self> {
        Arc::new(Self {
            listing: Arc::clone(listing),
            dir,
            part,
            keep: AtomicBool::new(keep),
        })
    }

    /// The directory will be listed again.
    pub(super) fn keep(&self) {
        self.keep.store(true, Relaxed);
    }
}

impl Drop for PartTicket {
    fn drop(&mut self) {
        self.listing
            .done(self.dir, self.part, self.keep.load(Relaxed));
    }
}

/// Handles of the two sides of a directory while one of its parts is planned.
struct Sides {
    source: Option<Arc<Dir>>,
    destination: Arc<Dir>,
}

impl Run {
    /// Plans a part of a known directory. Parts that waited for its subdirectories are added to `parts`.
    pub(super) fn plan_part(
        self: &Arc<Self>,
        directory: &Arc<Directory>,
        part: Part,
        parts: &mut Vec<Part>,
        copier: &mut Copier,
    ) {
        let ticket = PartTicket::new(&self.listing, part.dir, part.part, false);
        let hashes: Vec<u64> = part
            .entries
            .iter()
            .map(|e| self.hasher.hash(&e.name))
            .collect();
        let end = part
            .end
            .as_ref()
            .map(|end| (part.part + 1, incomplete_reason(end)));
        match self.sides(directory) {
            Ok(sides) => {
                let mut batch = Batch::new();
                let mut bytes = 0;
                for (index, entry) in part.entries.into_iter().enumerate() {
                    if self.must_end() {
                        // What was not planned must not pass for listed.
                        return;
                    }
                    let index = u32::try_from(index).unwrap_or(u32::MAX);
                    let size = entry.meta.size;
                    if let Some(task) =
                        self.plan_entry(directory, &sides, entry, index, &ticket, parts)
                    {
                        batch.push(task);
                        bytes += size;
                    }
                    let full = batch.len() >= BATCH_FILES || bytes >= BATCH_BYTES;
                    if full || (!batch.is_empty() && self.queue.is_starved()) {
                        bytes = 0;
                        self.offer(std::mem::take(&mut batch), copier);
                    }
                }
                if !batch.is_empty() {
                    self.offer(batch, copier);
                }
            }
            Err(error) => {
                for entry in &part.entries {
                    if let Some(child) = entry.dir {
                        self.register(child, Slot::Failed, parts);
                    }
                    self.failed(&directory.path_of(&entry.name), &error.to_string());
                }
            }
        }
        if directory.part_planned(hashes, end) {
            self.listing_ended(directory, &ticket);
        }
    }

    fn offer(self: &Arc<Self>, batch: Batch, copier: &mut Copier) {
        if let Some(batch) = self.queue.offer(batch) {
            self.apply(batch, copier);
        }
    }

    fn sides(&self, directory: &Arc<Directory>) -> Result<Sides, FsError> {
        let source = match &self.content {
            Content::Handles(handles) => Some(handles.directory(directory.source)?),
            Content::Arriving { .. } => None,
        };
        Ok(Sides {
            source,
            destination: directory.node.open()?,
        })
    }

    /// Plans one entry; returns it if its content is needed.
    fn plan_entry(
        self: &Arc<Self>,
        directory: &Arc<Directory>,
        sides: &Sides,
        entry: Entry,
        index: u32,
        ticket: &Arc<PartTicket>,
        parts: &mut Vec<Part>,
    ) -> Option<FileTask> {
        let is_directory = entry.meta.kind == Kind::Directory;
        if !is_directory {
            self.counters.files_total.fetch_add(1, Relaxed);
            if entry.meta.kind == Kind::File {
                self.counters
                    .bytes_total
                    .fetch_add(entry.meta.size, Relaxed);
            }
        }
        let existing = if directory.is_private() {
            None
        } else {
            match sides.destination.stat(&entry.name) {
                Ok(meta) => Some(meta),
                Err(Errno::NOENT) => None,
                Err(errno) => {
                    self.entry_failed(directory, &entry, "read attributes of", errno);
                    if let Some(child) = entry.dir {
                        self.register(child, Slot::Failed, parts);
                    }
                    return None;
                }
            }
        };
        if is_directory {
            self.plan_directory(directory, sides, entry, existing, parts);
            return None;
        }
        directory.hold();
        let task = FileTask {
            directory: Arc::clone(directory),
            entry,
            index,
            ticket: Arc::clone(ticket),
            existing,
            group: None,
            attempt: 0,
        };
        if existing.is_some_and(|meta| meta.kind == Kind::Directory) {
            self.directory_in_the_way(sides, task)
        } else {
            self.plan_leaf(sides, task)
        }
    }

    /// A directory has the name of something else. A mirror replaces it with its deletions, when their
    /// count is approved; a copy replaces only an empty one.
    fn directory_in_the_way(
        self: &Arc<Self>,
        sides: &Sides,
        mut task: FileTask,
    ) -> Option<FileTask> {
        if self.options.operation == Operation::Mirror {
            task.ticket.keep();
            let directory = Arc::clone(&task.directory);
            lock(&self.deferred).push(task);
            self.release(&directory);
            return None;
        }
        if !self.before_write() {
            return None;
        }
        match sides.destination.rmdir(&task.entry.name) {
            Ok(()) => {
                task.existing = None;
                task.directory.touch();
                self.plan_leaf(sides, task)
            }
            Err(errno) => {
                let message = match errno {
                    Errno::NOTEMPTY | Errno::EXIST => {
                        "a directory that is not empty has this name at the destination; `mirror` would replace it"
                            .to_owned()
                    }
                    errno => format!("cannot replace the directory of this name: {errno}"),
                };
                self.fail_task(&task, &message);
                self.release(&task.directory);
                None
            }
        }
    }

    /// Plans anything but a directory, which does not have to replace one. Returns it if content is needed.
    pub(super) fn plan_leaf_deferred(self: &Arc<Self>, task: FileTask) -> Option<FileTask> {
        match self.sides(&task.directory) {
            Ok(sides) => self.plan_leaf(&sides, task),
            Err(error) => {
                self.fail_task(&task, &error.to_string());
                self.release(&task.directory);
                None
            }
        }
    }

    fn plan_leaf(self: &Arc<Self>, sides: &Sides, mut task: FileTask) -> Option<FileTask> {
        let verdict = match self.judge(sides, &task) {
            Ok(verdict) => verdict,
            Err(error) => {
                self.fail_task(&task, &error.to_string());
                self.release(&task.directory);
                return None;
            }
        };
        if task.entry.meta.nlink > 1 {
            let group = task.entry.meta.inode();
            let fits = |meta: &Meta| meta.nlink <= task.entry.meta.nlink;
            let keep = verdict == Verdict::Same && task.existing.as_ref().is_some_and(fits);
            return self.join_group(sides, task, group, keep);
        }
        // Another name of this inode is not the source's: what we did to one would happen to the other.
        let shared = task.existing.is_some_and(|meta| meta.nlink > 1);
        match verdict {
            Verdict::Same if !shared => self.unchanged(&task),
            Verdict::Metadata if !shared => self.repair(sides, &task),
            Verdict::Same | Verdict::Metadata | Verdict::Replace => {
                if task.entry.meta.kind == Kind::File {
                    return Some(task);
                }
                task.group = None;
                self.make_node(sides, &task);
            }
        }
        self.release(&task.directory);
        None
    }

    fn judge(&self, sides: &Sides, task: &FileTask) -> Result<Verdict, FsError> {
        let Some(existing) = &task.existing else {
            return Ok(Verdict::Replace);
        };
        let entry = &task.entry;
        let failed = |errno| FsError::new("read", &entry.name, errno);
        let target = match (entry.meta.kind, existing.kind) {
            (Kind::Symlink, Kind::Symlink) => {
                Some(sides.destination.read_link(&entry.name).map_err(failed)?)
            }
            _ => None,
        };
        let crashed = self.state.crashed();
        let verdict = compare(entry, existing, target.as_deref(), &self.ability, crashed);
        if verdict != Verdict::Same {
            return Ok(verdict);
        }
        let wanted = source_xattrs(entry, sides.source.as_deref())?;
        let found = xattr::of_name(&sides.destination, &entry.name).map_err(failed)?;
        let keeps =
            crate::plan::compare::Attributes::target(&entry.meta, &self.ability).keeps_owner();
        let changes = xattr_changes(&wanted, &found, &self.ability, keeps);
        Ok(if changes.is_empty() {
            Verdict::Same
        } else {
            Verdict::Metadata
        })
    }

    /// Decides what a name of a link group is, and makes it so unless it waits.
    fn join_group(
        self: &Arc<Self>,
        sides: &Sides,
        task: FileTask,
        group: Inode,
        keep: bool,
    ) -> Option<FileTask> {
        let existing = task.existing.map(|meta| meta.inode());
        let place = (Arc::clone(&task.directory), task.entry.name.clone());
        let (role, mut task) = lock(&self.links).join(group, existing, keep, task, place)?;
        match role {
            Role::Kept | Role::Linked => self.unchanged(&task),
            Role::Link((leader_dir, leader)) => {
                self.link(&task, &leader_dir, &leader);
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

    /// Makes `task`'s name a link of its group's leader.
    pub(super) fn link(
        self: &Arc<Self>,
        task: &FileTask,
        leader_dir: &Arc<Directory>,
        leader: &[u8],
    ) {
        if !self.before_write() {
            return;
        }
        let linked = leader_dir.node.open().and_then(|from| {
            let dir = task.directory.node.open()?;
            let context = |errno| FsError::new("link", &task.entry.name, errno);
            let expected = from.stat(leader).map_err(context)?.inode();
            let temporary = self.names.unique();
            let give_name = |dir: &Dir, temporary: &[u8]| self.give_name(dir, temporary, task);
            node::link(&dir, &temporary, &from, leader, expected, give_name).map_err(context)
        });
        task.directory.touch();
        match linked {
            Ok(()) => {
                self.counters.files_copied.fetch_add(1, Relaxed);
                if task.entry.meta.kind == Kind::File {
                    self.counters
                        .bytes_unchanged
                        .fetch_add(task.entry.meta.size, Relaxed);
                }
                self.event(&Event::Entry {
                    path: &task.path(),
                    change: Change::Linked,
                });
            }
            Err(FsError {
                errno: Errno::MLINK,
                ..
            }) => self.lead_anew(task),
            Err(error) => self.fail_task(task, &error.to_string()),
        }
    }

    /// The entry is as it should be.
    fn unchanged(&self, task: &FileTask) {
        self.counters.files_unchanged.fetch_add(1, Relaxed);
        if task.entry.meta.kind == Kind::File {
            self.counters
                .bytes_unchanged
                .fetch_add(task.entry.meta.size, Relaxed);
        }
    }

    /// Sets attributes of what is there.
    fn repair(self: &Arc<Self>, sides: &Sides, task: &FileTask) {
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
                    &current,
                    &existing,
                    &self.ability,
                )
            };
            fix().map_err(|errno| FsError::new("set attributes of", &entry.name, errno))
        });
        match repaired {
            Ok(applied) => {
                self.note_not_kept(&task.path(), &applied);
                self.unchanged(task);
                if applied.changed {
                    self.counters.metadata_repaired.fetch_add(1, Relaxed);
                    self.event(&Event::Entry {
                        path: &task.path(),
                        change: Change::Attributes,
                    });
                }
            }
            Err(error) => self.fail_task(task, &error.to_string()),
        }
    }

    /// Makes a link or special file, with its link group's followers if it leads one.
    pub(super) fn make_node_deferred(self: &Arc<Self>, task: &FileTask) {
        match self.sides(&task.directory) {
            Ok(sides) => self.make_node(&sides, task),
            Err(error) => self.fail_task(task, &error.to_string()),
        }
    }

    fn make_node(self: &Arc<Self>, sides: &Sides, task: &FileTask) {
        let entry = &task.entry;
        if entry.meta.kind.is_device() && !self.ability.devices {
            self.unchanged(task);
            self.note_kind(&task.path(), "devices");
            return;
        }
        if !self.before_write() {
            return;
        }
        let dir = &sides.destination;
        let made = source_xattrs(entry, sides.source.as_deref()).and_then(|xattrs| {
            let make = || {
                if task.directory.is_private() {
                    return node::make(dir, &entry.name, entry, &xattrs, &self.ability);
                }
                let temporary = self.names.unique();
                let made = node::make(dir, &temporary, entry, &xattrs, &self.ability)?;
                self.give_name(dir, &temporary, task).inspect_err(|_| {
                    let _ = dir.unlink(&temporary);
                })?;
                Ok(made)
            };
            make().map_err(|errno| FsError::new("make", &entry.name, errno))
        });
        task.directory.touch();
        match made {
            Ok((inode, applied)) => {
                self.note_not_kept(&task.path(), &applied);
                self.file_done(task, inode);
            }
            Err(FsError {
                errno: Errno::PERM, ..
            }) if entry.meta.kind.is_device() => {
                self.unchanged(task);
                self.note_kind(&task.path(), "devices");
            }
            Err(error) => self.fail_task(task, &error.to_string()),
        }
    }

    fn plan_directory(
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
                self.failed(&parent.path_of(&entry.name), &error.to_string());
            }
        }
        let made = match existing {
            Some(meta) if meta.kind == Kind::Directory => {
                let node = Node::child(&parent.node, &entry.name, meta.inode());
                let differs = !attributes_match(&entry.meta, &meta, &self.ability)
                    || entry.meta.mtime != meta.mtime
                    || self.directory_xattrs_differ(sides, &entry);
                Ok(Directory::new(
                    node,
                    id,
                    entry.clone(),
                    Some(parent),
                    Origin::Existing,
                    false,
                    differs,
                ))
            }
            other => self.make_directory(parent, sides, id, &entry, other.is_some()),
        };
        match made {
            Ok(directory) => {
                directory.hold();
                self.register(id, Slot::Known(directory), parts);
            }
            Err(errno) => {
                self.entry_failed(parent, &entry, "make directory", errno);
                self.register(id, Slot::Failed, parts);
            }
        }
    }

    fn directory_xattrs_differ(&self, sides: &Sides, entry: &Entry) -> bool {
        let Some(wanted) = &entry.xattrs else {
            return false;
        };
        let found = xattr::of_name(&sides.destination, &entry.name).unwrap_or_default();
        !xattr_changes(wanted, &found, &self.ability, true).is_empty()
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
        if !self.before_write() {
            return Err(Errno::CANCELED);
        }
        let temporary = self.names.of_directory(&entry.name);
        let mut origin = Origin::New;
        if !parent.is_private() {
            for run in self.state.previous_runs() {
                let left = directory_name(run, &entry.name);
                if sides.destination.rename_new(&left, &temporary).is_ok() {
                    origin = Origin::Adopted;
                    break;
                }
            }
        }
        if origin == Origin::New {
            sides.destination.mkdir(&temporary, MODE_PRIVATE_DIR)?;
        }
        parent.touch();
        let dir = sides.destination.open_dir(&temporary)?;
        let meta = dir.stat_self()?;
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
            true,
        ))
    }

    /// Returns true if what is made in the directory gets an ACL from it.
    pub(super) fn inherits_acl(&self, directory: &Directory, dir: &Dir) -> bool {
        !directory.is_private()
            && *directory.default_acl.get_or_init(|| {
                xattr::of_fd(dir.as_fd()).is_ok_and(|found| found.get(xattr::ACL_DEFAULT).is_some())
            })
    }

    fn entry_failed(
        &self,
        directory: &Directory,
        entry: &Entry,
        action: &'static str,
        errno: Errno,
    ) {
        if entry.meta.kind == Kind::File {
            self.counters
                .bytes_unchanged
                .fetch_add(entry.meta.size, Relaxed);
        }
        let path = directory.path_of(&entry.name);
        let message = format!("cannot {action} {}: {errno}", Escaped(&entry.name));
        self.failed(&path, &message);
    }
}
