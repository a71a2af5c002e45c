//! Applying: the content of files, locally from handles or asked for from elsewhere, and what follows when
//! a file or a directory is done.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use super::arrivals::Arrivals;
use super::directory::Origin;
use super::events::{Change, Event};
use super::orchestrator::{Batch, Run};
use super::planner::{FileTask, Sides};
use super::source::{Content, Want, Wants};
use crate::activity::{self, Activity};
use crate::apply::attributes::Applied;
use crate::apply::file::NewFile;
use crate::entry::{Entry, Inode, Kind};
use crate::fs::copy::{Copier, CopyError, SMALL};
use crate::fs::same::{self, CompareError};
use crate::fs::xattr;
use crate::tree::node::lock;
use crate::tree::{ReadStatus, SourceFile, is_young, ripen};

/// Reads that may be torn before a file is called unstable: the first and two more.
const READS: u8 = 3;
/// How often a file may be brought over altered before it fails: once, and three times more.
const PROOFS: u8 = 4;

/// How an attempt to copy a file ended.
pub(super) enum Outcome {
    /// The inode is known of what may get more names.
    Done(Option<Inode>),
    Vanished,
    Torn,
    /// What came or was written is not what the source has.
    Altered,
    Full,
    Cancelled,
    Failed(String),
}

impl Run {
    /// Brings over the files of a batch, or asks for them.
    pub(super) fn apply(self: &Arc<Self>, batch: Batch, copier: &mut Copier) {
        let _reading = activity::during(Activity::Read);
        let Content::Arriving { wants, arrivals } = &self.content else {
            return self.bring_or_ask(batch, copier);
        };
        let compares = |task: &FileTask| task.compare && wants.can_hash();
        let (compared, rest): (Batch, Batch) = batch.into_iter().partition(compares);
        if !rest.is_empty() {
            self.bring_or_ask(rest, copier);
        }
        if !compared.is_empty() {
            self.ask_hashes(compared, &**wants, arrivals);
        }
    }

    fn bring_or_ask(self: &Arc<Self>, batch: Batch, copier: &mut Copier) {
        if self.options.dry_run {
            self.rehearse(batch, copier);
            return;
        }
        match &self.content {
            Content::Handles(handles) => {
                // All files of a batch are of one directory.
                let Some(first) = batch.first() else { return };
                let sides = handles.directory(first.ticket.dir).and_then(|source| {
                    Ok(Sides {
                        source: Some(source),
                        destination: first.directory.node.open()?,
                    })
                });
                let mut young = Batch::new();
                for mut task in batch {
                    if self.must_end() {
                        return;
                    }
                    match &sides {
                        Ok(_) if !task.late && is_young(&task.entry.meta) => {
                            task.late = true;
                            young.push(task);
                        }
                        Ok(sides) => self.bring(task, sides, copier),
                        Err(error) => self.end_task(task, Outcome::Failed(error.brief())),
                    }
                }
                if !young.is_empty() {
                    self.queue.push_back(young);
                }
            }
            Content::Arriving { wants, arrivals } => {
                let whole: Batch = (batch.into_iter())
                    .filter_map(|task| self.assemble(task, &**wants, arrivals))
                    .collect();
                if !whole.is_empty() {
                    self.ask(whole, &**wants, arrivals);
                }
            }
        }
    }

    fn ask(self: &Arc<Self>, batch: Batch, wants: &dyn Wants, arrivals: &Arrivals) {
        self.queue.asked(batch.len());
        let asked: Vec<Want> = batch
            .into_iter()
            .map(|task| {
                let (dir, part, index) = (task.ticket.dir, task.ticket.part, task.index);
                let size = task.entry.meta.size;
                Want {
                    id: arrivals.expect(task),
                    dir,
                    part,
                    index,
                    size,
                    hash: false,
                }
            })
            .collect();
        // While the window is full.
        let _waiting = activity::during(Activity::Wait);
        if let Err(error) = wants.want(&asked) {
            self.lost(error);
        }
    }

    fn bring(self: &Arc<Self>, mut task: FileTask, sides: &Sides, copier: &mut Copier) {
        activity::begin(Activity::Read);
        if task.late {
            ripen(&task.entry.meta, || self.must_end());
        }
        if task.compare && self.is_right(&mut task, sides, copier) {
            return self.release(&task.directory);
        }
        loop {
            let outcome = self.copy_file(&task, sides, copier);
            if self.is_tried_again(&mut task, &outcome) {
                continue;
            }
            return self.end_task(task, outcome);
        }
    }

    fn copy_file(self: &Arc<Self>, task: &FileTask, sides: &Sides, copier: &mut Copier) -> Outcome {
        let Some(source) = &sides.source else {
            return Outcome::Failed("there is no source on this host".to_owned());
        };
        activity::begin(Activity::Read);
        let small = task.entry.meta.size <= SMALL && task.attempt == 0;
        if small && let Some(file) = SourceFile::open_unseen(source, &task.entry) {
            let outcome = self.copy_open(task, &file, sides, copier);
            // What is behind these only a closer look can say.
            if !matches!(
                outcome,
                Outcome::Torn | Outcome::Vanished | Outcome::Failed(_)
            ) {
                return outcome;
            }
            activity::begin(Activity::Read);
        }
        match SourceFile::open(source, &task.entry) {
            Ok(file) => {
                if file.is_fresh() {
                    ripen(&file.entry().meta, || self.must_end());
                }
                self.copy_open(task, &file, sides, copier)
            }
            Err(status) => status.into(),
        }
    }

    fn copy_open(
        self: &Arc<Self>,
        task: &FileTask,
        file: &SourceFile,
        sides: &Sides,
        copier: &mut Copier,
    ) -> Outcome {
        let new = match self.create(task, &sides.destination) {
            Ok(new) => new,
            Err(outcome) => return outcome,
        };
        let xattrs = match xattr::of_fd(file.fd()) {
            Ok(xattrs) => xattrs,
            Err(errno) => return Outcome::Failed(format!("cannot read attributes: {errno}")),
        };
        let meta = file.entry().meta;
        let mut moved = |bytes| {
            self.counters.wrote(bytes);
            !self.cancel.is_cancelled()
        };
        let copied = copier.copy_asking(
            &self.ladder,
            file.fd(),
            new.fd(),
            meta.size,
            || file.has_holes(),
            &mut moved,
        );
        match copied {
            Ok(()) => {}
            Err(CopyError::Cancelled) => return Outcome::Cancelled,
            Err(CopyError::Write(Errno::NOSPC | Errno::DQUOT)) => return Outcome::Full,
            Err(CopyError::Write(errno)) => {
                return Outcome::Failed(format!("cannot write: {errno}"));
            }
            Err(CopyError::Read(errno)) => return Outcome::Failed(format!("cannot read: {errno}")),
        }
        activity::begin(Activity::Read);
        match file.verify() {
            ReadStatus::Stable => match self.is_proven(file, &new, copier) {
                Ok(true) => self.publish_file(task, &new, file.entry(), &xattrs),
                Ok(false) => Outcome::Altered,
                Err(outcome) => outcome,
            },
            status => status.into(),
        }
    }

    /// Where the run verifies, reads again what was written, and compares it with the source.
    fn is_proven(
        &self,
        source: &SourceFile,
        new: &NewFile,
        copier: &mut Copier,
    ) -> Result<bool, Outcome> {
        if !self.options.verify {
            return Ok(true);
        }
        let written = new.reopen();
        let written =
            written.map_err(|errno| Outcome::Failed(format!("cannot read again: {errno}")))?;
        let sparse = source.entry().meta.is_sparse();
        let sides = [source.fd(), written.as_fd()].map(|fd| same::Side { fd, sparse });
        let mut compared = |bytes| {
            self.counters.bytes_compared.fetch_add(bytes, Relaxed);
            !self.must_end()
        };
        let size = source.entry().meta.size;
        let same = (copier.comparer).same(sides[0], sides[1], 0, size, &mut compared);
        let same = same.map_err(|error| match error {
            CompareError::First(errno) => Outcome::Failed(format!("cannot read: {errno}")),
            CompareError::Second(errno) => Outcome::Failed(format!("cannot read again: {errno}")),
            CompareError::Cancelled => Outcome::Cancelled,
        })?;
        // A source that was written to meanwhile differs without anybody's fault.
        match source.verify() {
            ReadStatus::Stable => Ok(same),
            status => Err(status.into()),
        }
    }

    /// Counts a copy that came to nothing for a reason that may pass; returns true if it is tried again.
    fn is_tried_again(&self, task: &mut FileTask, outcome: &Outcome) -> bool {
        let most = match outcome {
            Outcome::Torn => READS,
            Outcome::Altered => {
                self.counters.altered.fetch_add(1, Relaxed);
                PROOFS
            }
            _ => return false,
        };
        if task.attempt + 1 >= most || self.must_end() {
            return false;
        }
        if matches!(outcome, Outcome::Altered) {
            let message = "what was brought over is not what the source has; it is brought again";
            self.note(task, "altered", message);
        }
        task.attempt += 1;
        true
    }

    /// Ends a task whose content has arrived, as `status` says it was read. `written` is what became of it here, `file` the file
    /// itself if there is one.
    pub(super) fn end_arrival(
        self: &Arc<Self>,
        mut task: FileTask,
        status: ReadStatus,
        written: Result<&NewFile, Errno>,
        fresh: Option<Entry>,
        file: Option<&NewFile>,
    ) {
        let outcome = match (status, written) {
            (ReadStatus::Stable, Ok(new)) => {
                // Its place is what the listing said; the rest is what was read.
                let entry = match fresh {
                    Some(fresh) => Entry {
                        name: task.entry.name.clone(),
                        ..fresh
                    },
                    None => task.entry.clone(),
                };
                let xattrs = entry.xattrs.clone().unwrap_or_default();
                self.publish_file(&task, new, &entry, &xattrs)
            }
            (ReadStatus::Stable, Err(Errno::NOSPC | Errno::DQUOT)) => Outcome::Full,
            (ReadStatus::Stable, Err(errno)) => Outcome::Failed(format!("cannot write: {errno}")),
            (status, _) => status.into(),
        };
        let lasts = matches!(outcome, Outcome::Done(_) | Outcome::Cancelled);
        if let (Some(file), false) = (file, lasts) {
            // Nothing that could be continued.
            file.discard();
        }
        if self.is_tried_again(&mut task, &outcome) {
            self.queue.push_back(vec![task]);
        } else {
            self.end_task(task, outcome);
        }
        self.queue.arrived();
    }

    pub(super) fn end_task(self: &Arc<Self>, task: FileTask, outcome: Outcome) {
        match outcome {
            Outcome::Done(inode) => self.file_done(&task, inode),
            Outcome::Full => {
                // Keeps its directory unfinished until it is tried again.
                lock(&self.missed).push(task);
                return;
            }
            Outcome::Cancelled => return,
            Outcome::Vanished => {
                self.counters.vanished.fetch_add(1, Relaxed);
                self.counters
                    .bytes_unchanged
                    .fetch_add(task.entry.meta.size, Relaxed);
                self.note(&task, "vanished", "was gone when it was to be read");
                self.lead_instead(&task);
            }
            Outcome::Torn => {
                self.counters.unstable.fetch_add(1, Relaxed);
                self.counters
                    .bytes_unchanged
                    .fetch_add(task.entry.meta.size, Relaxed);
                self.note(
                    &task,
                    "unstable",
                    "changed each time it was read; what the destination had stays",
                );
                self.lead_instead(&task);
            }
            Outcome::Altered => {
                self.counters.unverified.fetch_add(1, Relaxed);
                let message = "what was brought over is not what the source has, each time it was tried; what the \
                               destination had stays: check memory, disks and network of both hosts";
                self.fail_task(&task, message);
            }
            Outcome::Failed(message) => self.fail_task(&task, &message),
        }
        self.release(&task.directory);
    }

    /// In a directory that a killed run had begun, what lies under a final name may be half of a file. It
    /// goes if it is not replaced.
    fn discard_adopted(&self, task: &FileTask) {
        if task.directory.origin == Origin::Adopted
            && !self.options.dry_run
            && task.existing.is_some()
            && let Ok(dir) = task.directory.node.open()
        {
            task.directory.leftovers.remove(&dir, &task.entry.name);
        }
    }

    fn note(&self, task: &FileTask, kind: &'static str, message: &str) {
        self.event(&Event::Note {
            path: &task.path(),
            kind,
            message: message.to_owned(),
        });
    }

    /// A file, link or node has its name and attributes.
    pub(super) fn file_done(self: &Arc<Self>, task: &FileTask, inode: Option<Inode>) {
        self.counters.files_copied.fetch_add(1, Relaxed);
        self.imagine_gone(task.existing.as_ref());
        if self.options.verify && task.entry.meta.kind == Kind::File {
            self.counters.verified.fetch_add(1, Relaxed);
        }
        let change = if task.existing.is_some() {
            Change::Replaced
        } else {
            Change::Created
        };
        let target = task.entry.target.as_deref();
        self.changed(|| task.path(), change, task.item, target);
        let (Some(group), Some(inode)) = (task.group, inode) else {
            return;
        };
        let waiting = lock(&self.links).ready(group, inode, task.place());
        self.follow(task, inode, waiting);
    }

    /// Reports a task that failed; who waited for it as leader of a link group leads now.
    pub(super) fn fail_task(self: &Arc<Self>, task: &FileTask, message: &str) {
        if task.entry.meta.kind == Kind::File {
            self.counters
                .bytes_unchanged
                .fetch_add(task.entry.meta.size, Relaxed);
        }
        self.failed(&task.path(), message);
        self.lead_instead(task);
    }

    /// The task brought nothing. Who waited for it as leader of a link group leads now.
    pub(super) fn lead_instead(self: &Arc<Self>, task: &FileTask) {
        self.discard_adopted(task);
        let Some(group) = task.group else { return };
        let Some(mut next) = lock(&self.links).failed(group) else {
            return;
        };
        next.group = Some(group);
        if next.entry.meta.kind == Kind::File {
            self.queue.push_back(vec![next]);
        } else {
            self.make_node_deferred(&next);
            self.release(&next.directory);
        }
    }

    /// The leader's inode has all the names it can have: this name leads another.
    pub(super) fn lead_anew(self: &Arc<Self>, task: &FileTask) {
        let group = task.entry.meta.inode();
        lock(&self.links).full(group);
        task.directory.hold();
        let next = FileTask {
            directory: Arc::clone(&task.directory),
            entry: task.entry.clone(),
            ticket: Arc::clone(&task.ticket),
            group: Some(group),
            ..*task
        };
        if next.entry.meta.kind == Kind::File {
            self.queue.push_back(vec![next]);
        } else {
            self.make_node_deferred(&next);
            self.release(&next.directory);
        }
    }

    pub(super) fn note_not_kept(&self, path: impl Fn() -> Vec<u8>, applied: &Applied) {
        self.note_kinds(path, &applied.not_kept);
    }

    pub(super) fn note_kinds(&self, path: impl Fn() -> Vec<u8>, kinds: &[&'static str]) {
        for kind in kinds {
            self.note_kind(&path, kind);
        }
    }

    /// Counts what could not be kept of an entry, and tells of the first ones.
    pub(super) fn note_kind(&self, path: impl FnOnce() -> Vec<u8>, kind: &'static str) {
        if let Some(path) = self.counters.not_kept(kind, path) {
            self.event(&Event::Note {
                path: &path,
                kind: "notKept",
                message: kind.to_owned(),
            });
        }
    }
}

impl From<ReadStatus> for Outcome {
    fn from(status: ReadStatus) -> Self {
        match status {
            ReadStatus::Stable | ReadStatus::Changed => Self::Torn,
            ReadStatus::Altered => Self::Altered,
            ReadStatus::Vanished => Self::Vanished,
            ReadStatus::Failed(message) => Self::Failed(message),
        }
    }
}
