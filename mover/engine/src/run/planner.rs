//! Planning: each entry of a listed part against the destination, at once, into done or to do.
//!
//! What takes one system call (links, nodes, directories, attributes) is done here; files are gathered
//! into batches for the workers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use super::Operation;
use super::directory::{Directory, Origin};
use super::orchestrator::{Batch, Place, Run, incomplete_reason};
use super::slots::Slot;
use super::source::{Content, End, Listing, Part};
use crate::activity::{self, Activity};
use crate::apply::remove::names;
use crate::entry::{DirId, Entry, Inode, Kind, Meta};
use crate::fs::copy::Copier;
use crate::fs::{Dir, FsError};
use crate::plan::itemize::Item;
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
    /// In what it differs from what has the name; only if somebody wants to know.
    pub(super) item: Option<Item>,
    /// Link group that it leads.
    pub(super) group: Option<Inode>,
    /// What has the name may have the right content: that is looked at before anything is copied.
    pub(super) compare: bool,
    /// Reads that were torn so far.
    pub(super) attempt: u8,
    /// It was too young to be read, and has gone to the back of the queue.
    pub(super) late: bool,
}

impl FileTask {
    pub(super) fn path(&self) -> Vec<u8> {
        self.directory.path_of(&self.entry.name)
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        (Arc::clone(&self.directory), self.entry.name.clone())
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
    pub(super) fn new(listing: &Arc<dyn Listing>, dir: DirId, part: u32) -> Arc<Self> {
        let keep = AtomicBool::new(false);
        Arc::new(Self {
            listing: Arc::clone(listing),
            dir,
            part,
            keep,
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
pub(super) struct Sides {
    pub(super) source: Option<Arc<Dir>>,
    pub(super) destination: Arc<Dir>,
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
        let _scanning = activity::during(Activity::Scan);
        let ticket = PartTicket::new(&self.listing, part.dir, part.part);
        let hidden = self.hide(directory, &part, parts);
        let is_hidden = |index: usize| hidden.get(index).copied().unwrap_or(false);
        let listed = part.entries.iter().enumerate();
        let hashes: Vec<u64> = listed
            .filter(|(index, _)| !is_hidden(*index))
            .map(|(_, entry)| self.hasher.hash(&entry.name))
            .collect();
        if part.end == Some(End::NotEntered) {
            directory.not_entered.store(true, Relaxed);
        }
        let end = part
            .end
            .as_ref()
            .map(|end| (part.part + 1, incomplete_reason(end)));
        match self.sides(directory) {
            Ok(sides) => {
                let rivals = self.rivals(directory, &sides, &part);
                let mut batch = Batch::new();
                let mut bytes = 0;
                let mut beat = self.beats.load(Relaxed);
                for (index, entry) in part.entries.into_iter().enumerate() {
                    if is_hidden(index) {
                        continue;
                    }
                    if self.must_end() {
                        // What was not planned must not pass for listed.
                        return;
                    }
                    if rivals.contains(&index) {
                        self.collided(directory, &entry, parts);
                        continue;
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
                    let now = self.beats.load(Relaxed);
                    let due = now != beat || self.queue.is_starved();
                    if full || (!batch.is_empty() && due) {
                        (bytes, beat) = (0, now);
                        self.offer(std::mem::take(&mut batch), copier);
                    }
                }
                if !batch.is_empty() {
                    self.offer(batch, copier);
                }
            }
            Err(error) => {
                for (index, entry) in part.entries.iter().enumerate() {
                    if is_hidden(index) {
                        continue;
                    }
                    if let Some(child) = entry.dir {
                        self.register(child, Slot::Failed, parts);
                    }
                    self.failed(&directory.path_of(&entry.name), &error.brief());
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

    pub(super) fn sides(&self, directory: &Arc<Directory>) -> Result<Sides, FsError> {
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
                self.counters
                    .largest_file
                    .fetch_max(entry.meta.size, Relaxed);
            }
        }
        let existing = if directory.is_private() {
            None
        } else {
            match sides.destination.stat(&entry.name) {
                Ok(meta) => Some(self.as_first_seen(meta)),
                Err(Errno::NOENT) => None,
                Err(errno) => {
                    self.entry_failed(directory, &entry, "read attributes", errno);
                    if let Some(child) = entry.dir {
                        self.register(child, Slot::Failed, parts);
                    }
                    return None;
                }
            }
        };
        if let Some(meta) = &existing
            && self.is_protected(directory, &entry, meta)
        {
            self.protected(directory, &entry, parts);
            return None;
        }
        // What an interrupted run left in a directory that it had not named is no file of the destination's yet, and perhaps half of one.
        let anybodys = (existing.as_ref()).filter(|_| directory.origin != Origin::Adopted);
        if self.options.existing.passes_over(&entry.meta, anybodys) {
            self.passed_over(&entry, parts);
            return None;
        }
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
            item: None,
            group: None,
            compare: false,
            attempt: 0,
            late: false,
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
        let removed = if self.options.dry_run {
            is_empty(&sides.destination, &task.entry.name)
        } else if self.before_write() {
            sides.destination.rmdir(&task.entry.name)
        } else {
            return None;
        };
        match removed {
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

    pub(super) fn entry_failed(
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
        let message = format!("cannot {action}: {errno}");
        self.failed(&path, &message);
    }
}

/// Fails as `rmdir` would for a directory that is not empty.
fn is_empty(dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    match names(&dir.open_dir(name)?)?.is_empty() {
        true => Ok(()),
        false => Err(Errno::NOTEMPTY),
    }
}
