//! The second pass of a mirror: what the source does not have, and what must give way to another kind.
//!
//! Both sides are listed again; only what was extraneous both times is deleted, never more than the guard
//! approved, never below an incomplete listing, never on another mount.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::directory::{Directory, Origin};
use super::events::Change;
use super::orchestrator::Run;
use super::planner::PartTicket;
use super::state::{LOST_AND_FOUND, STATE_DIR};
use super::{Fatal, Operation};
use crate::activity::{self, Activity};
use crate::apply::remove::{self, Listed, Removal, names};
use crate::entry::{Kind, Meta};
use crate::fs::copy::Copier;
use crate::fs::pin::Pin;
use crate::fs::{Dir, FsError};
use crate::plan::guard::{judge_deletions, judge_owner_limit};
use crate::plan::itemize::Item;
use crate::tree::node::{join, lock};

/// Shares into which the names of one directory are divided, and names of a share at most.
const SHARES: usize = 64;
const SHARE_MAX: usize = 64;

/// A directory with entries that the source did not list.
#[derive(Debug)]
pub(crate) struct Candidate {
    directory: Arc<Directory>,
    names: Vec<Listed>,
    /// Of the names, those that the source has but that are left out.
    hidden: Vec<Box<[u8]>>,
}

impl Run {
    /// All parts of a directory are planned: finds what the source does not have in it.
    pub(super) fn listing_ended(self: &Arc<Self>, directory: &Arc<Directory>, ticket: &PartTicket) {
        self.forget(directory.source);
        let (seen, incomplete) = directory.take_seen();
        self.counters
            .largest_directory
            .fetch_max(seen.len() as u64, Relaxed);
        if let Some(reason) = &incomplete {
            self.failed(&directory.path(), reason);
        }
        let mirror =
            self.options.operation == Operation::Mirror && !directory.not_entered.load(Relaxed);
        if directory.origin == Origin::Adopted || (mirror && directory.origin == Origin::Existing) {
            match self.extraneous(directory, &seen) {
                Ok(names) if names.is_empty() => {}
                // Made by a run that was cut off, and never seen by anybody under its final name.
                Ok(names) if directory.origin == Origin::Adopted => {
                    if !self.options.dry_run {
                        self.remove_ours(directory, &names);
                    }
                }
                Ok(names) if incomplete.is_some() => {
                    let reason = format!(
                        "{} entries are not in the source's listing, which is incomplete",
                        names.len()
                    );
                    self.withhold(directory.path(), &reason);
                }
                Ok(names) => {
                    ticket.keep();
                    let directory = Arc::clone(directory);
                    let hidden = directory.take_hidden();
                    lock(&self.candidates).push(Candidate {
                        directory,
                        names,
                        hidden,
                    });
                }
                Err(error) => self.withhold(directory.path(), &error.to_string()),
            }
        }
        self.release(directory);
    }

    /// Names in a directory that are not in `seen`; counts all for the guard.
    fn extraneous(&self, directory: &Directory, seen: &[u64]) -> Result<Vec<Listed>, FsError> {
        let mut found = Vec::new();
        let mut entries = 0;
        self.each_user_name(directory, |name, kind| {
            entries += 1;
            if seen.binary_search(&self.hasher.hash(name)).is_err() {
                found.push(Listed::new(name, kind));
            }
        })?;
        self.counters
            .destination_entries
            .fetch_add(entries, Relaxed);
        // What a killed run left in a directory that nobody has seen is protected by nothing.
        if !found.is_empty() && self.protects() && directory.origin == Origin::Existing {
            let (dir, base) = (directory.node.open()?, directory.path());
            found.retain(|Listed { name, .. }| !self.keeps(&dir, name, &join(&base, name)));
        }
        Ok(found)
    }

    /// Names in a directory of the destination without what belongs to Blit or to the file system.
    fn user_names(&self, directory: &Directory) -> Result<Vec<Box<[u8]>>, FsError> {
        let mut found = Vec::new();
        self.each_user_name(directory, |name, _| found.push(name.into()))?;
        Ok(found)
    }

    fn each_user_name(
        &self,
        directory: &Directory,
        mut each: impl FnMut(&[u8], FileType),
    ) -> Result<(), FsError> {
        let dir = directory.node.open()?;
        let at_root = directory.parent.is_none();
        let read = dir.reopen().and_then(|dir| {
            dir.read_entries(|name, kind| {
                let reserved = at_root && (*name == *STATE_DIR || *name == *LOST_AND_FOUND);
                if !reserved && !self.state.is_ours(name) {
                    each(name, kind);
                }
                true
            })
        });
        match read {
            Ok(_) => Ok(()),
            Err(errno) => Err(FsError::new("read directory", &directory.path(), errno)),
        }
    }

    fn remove_ours(&self, directory: &Arc<Directory>, names: &[Listed]) {
        let Ok(dir) = directory.node.open() else {
            return;
        };
        for Listed { name, .. } in names {
            remove::remove(&dir, name, &directory.path_of(name), &Silent(self));
        }
    }

    /// Counts, asks the guard, deletes, and replaces directories that gave way.
    pub(super) fn delete(self: &Arc<Self>) {
        let _deleting = activity::during(Activity::Delete);
        let candidates = std::mem::take(&mut *lock(&self.candidates));
        let deferred = std::mem::take(&mut *lock(&self.deferred));
        let mut approved = Vec::new();
        let (mut deletions, mut below) = (0, 0);
        for candidate in candidates {
            if self.must_end() {
                return;
            }
            let Some(candidate) = self.confirm(candidate) else {
                continue;
            };
            let Ok(dir) = candidate.directory.node.open() else {
                continue;
            };
            for listed in &candidate.names {
                let path = candidate.directory.path_of(&listed.name);
                let count = remove::count(&dir, listed, &path, &self.removal()).entries;
                deletions += count;
                below += count.saturating_sub(1);
            }
            approved.push(candidate);
        }
        let mut replaced = Vec::new();
        for task in deferred {
            let Ok(dir) = task.directory.node.open() else {
                continue;
            };
            let there = Listed::new(&task.entry.name, FileType::Unknown);
            let counted = remove::count(&dir, &there, &task.path(), &self.removal());
            if counted.keeps {
                self.holds_protected(&task);
                continue;
            }
            deletions += counted.entries;
            below += counted.entries.saturating_sub(1);
            replaced.push(task);
        }
        let deferred = replaced;
        if approved.is_empty() && deferred.is_empty() {
            return;
        }
        let entries = self.counters.destination_entries.fetch_add(below, Relaxed) + below;
        let emptied = self.source_empty.load(Relaxed);
        let judged = judge_deletions(deletions, entries, self.options.max_delete, emptied);
        let judged =
            judged.and_then(|()| judge_owner_limit(deletions, entries, self.options.delete_limit));
        if let Err(refusal) = judged {
            *lock(&self.refusal) = Some(refusal);
            return;
        }
        if !self.options.dry_run {
            if !self.before_write() {
                return;
            }
            if self.options.fsync {
                self.sync();
            }
        }
        self.budget.approve(deletions);
        self.delete_all(&approved);
        let mut copier = Copier::default();
        for task in deferred {
            if self.must_end() {
                return;
            }
            task.directory.hold();
            if self.options.dry_run
                && let Ok(dir) = task.directory.node.open()
            {
                remove::survey(&dir, &task.entry.name, &task.path(), &self.removal());
            }
            if let Some(task) = self.plan_leaf_deferred(task) {
                self.apply(vec![task], &mut copier);
            }
        }
        self.work();
    }

    /// Lists both sides of a candidate again and keeps what is extraneous still.
    fn confirm(&self, candidate: Candidate) -> Option<Candidate> {
        let Candidate {
            directory,
            names,
            hidden,
        } = candidate;
        let withhold = |reason: &str| {
            self.withhold(directory.path(), reason);
        };
        let mut listed = match self.listing.relist(directory.source) {
            Ok(listed) => listed,
            Err(error) => {
                withhold(&format!("the source cannot be listed again: {error}"));
                return None;
            }
        };
        listed.sort_unstable();
        let mut present = match self.user_names(&directory) {
            Ok(present) => present,
            Err(error) => {
                withhold(&error.to_string());
                return None;
            }
        };
        present.sort_unstable();
        let mut names = names;
        names.retain(|Listed { name, .. }| {
            let listed = listed.binary_search(name).is_ok() && hidden.binary_search(name).is_err();
            !listed && present.binary_search(name).is_ok()
        });
        if let Ok(dir) = directory.node.open() {
            self.keep_spelled_differently(&directory, &dir, &mut names, &listed, &present);
        }
        (!names.is_empty()).then_some(Candidate {
            directory,
            names,
            hidden,
        })
    }

    /// Directories with their trees are shared out one by one, so that all of them can lie in one directory. Names
    /// in one directory are not removed faster by two, but neither more slowly.
    fn delete_all(self: &Arc<Self>, approved: &[Candidate]) {
        let shares: Vec<(&Candidate, &[Listed])> = approved
            .iter()
            .flat_map(|candidate| {
                let share = (candidate.names.len() / SHARES).clamp(1, SHARE_MAX);
                let shares = candidate.names.chunks(share);
                shares.map(move |share| (candidate, share))
            })
            .collect();
        for (candidate, _) in &shares {
            candidate.directory.hold();
        }
        let next = AtomicUsize::new(0);
        let worker = || {
            self.counters.ledger.join();
            let _deleting = activity::during(Activity::Delete);
            while let Some((candidate, names)) = shares.get(next.fetch_add(1, Relaxed)) {
                if self.must_end() {
                    return;
                }
                self.delete_in(candidate, names);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.crew.for_deletions().min(shares.len()) {
                // Without a thread the others do its work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, || {
                    let _enlisted = self.roster.enlist();
                    worker();
                });
            }
            worker();
        });
    }

    /// Deletes some names of a directory, which is held for them.
    fn delete_in(&self, candidate: &Candidate, names: &[Listed]) {
        let directory = &candidate.directory;
        match directory.node.open() {
            Ok(dir) => {
                for Listed { name, .. } in names {
                    let (path, removal) = (directory.path_of(name), self.removal());
                    if self.options.dry_run {
                        remove::survey(&dir, name, &path, &removal);
                    } else {
                        directory.touch();
                        remove::remove(&dir, name, &path, &removal);
                    }
                }
            }
            Err(error) => self.failed(&directory.path(), &error.brief()),
        }
        self.release(directory);
    }

    pub(super) fn removal(&self) -> Counted<'_> {
        Counted(self)
    }

    /// Removes what runs that were cut off left anywhere in the destination.
    pub(super) fn sweep(&self) {
        // Without such runs nothing is ours, and to find that out would take as long as to compare the tree.
        if self.state.previous_runs().next().is_none() {
            return;
        }
        let _deleting = activity::during(Activity::Delete);
        if let Ok(root) = self.root.node.open() {
            let mount = root.mount_id().unwrap_or(0);
            self.sweep_below(&root, &[], mount);
        }
    }

    fn sweep_below(&self, dir: &Dir, path: &[u8], mount: u64) {
        let (found, before) = match names(dir).and_then(|found| Ok((found, dir.stat_self()?))) {
            Ok(found) => found,
            // It went meanwhile, or is none that names are made in.
            Err(Errno::NOENT | Errno::ACCESS) => return,
            // What is ours may be among what cannot be listed.
            Err(errno) => return Silent(self).failed(path, errno),
        };
        let mut removed = false;
        for name in found {
            let name_path = join(path, &name);
            if self.state.is_left(&name) {
                removed |= remove::remove(dir, &name, &name_path, &Silent(self));
                continue;
            }
            let is_directory = dir
                .stat(&name)
                .is_ok_and(|meta| meta.kind == Kind::Directory);
            if let (true, Ok(child)) = (is_directory, dir.open_dir(&name))
                && child.mount_id().unwrap_or(0) == mount
            {
                self.sweep_below(&child, &name_path, mount);
            }
        }
        if removed {
            // The directory was finished before, and what is removed here was never part of it.
            let _ = Pin::Open(dir.as_fd()).set_mtime(before.mtime);
        }
    }
}

/// Deletions of a mirror: counted, reported, and bounded by what the guard approved.
pub(super) struct Counted<'a>(&'a Run);

impl Removal for Counted<'_> {
    fn allow(&self) -> bool {
        !self.0.must_end() && (self.0.options.dry_run || self.0.before_write())
    }

    fn reserve(&self) -> bool {
        self.0.budget.reserve()
    }

    fn give_back(&self) {
        self.0.budget.give_back();
    }

    fn removed(&self, path: &[u8], kind: Kind) {
        self.0.counters.files_deleted.fetch_add(1, Relaxed);
        let item = Some(Item::new(kind));
        self.0
            .changed(|| path.to_vec(), Change::Deleted, item, None);
    }

    fn failed(&self, path: &[u8], errno: Errno) {
        if errno == Errno::ROFS {
            self.0
                .end(Fatal::Destination(FsError::new("delete", path, errno)));
            return;
        }
        self.0.failed(path, &format!("cannot delete: {errno}"));
    }

    fn mounted(&self, path: &[u8]) {
        self.0
            .withhold(path.to_vec(), "another file system is mounted here");
    }

    fn keeps(&self, dir: &Dir, name: &[u8], path: &[u8]) -> bool {
        self.0.protects() && self.0.keeps(dir, name, path)
    }

    fn would_go(&self, meta: &Meta) {
        self.0.imagine_gone(Some(meta));
    }

    fn is_source(&self, path: &[u8], dir: &Dir) -> bool {
        let source = self.0.source_here;
        let found = source.is_some() && dir.stat_self().ok().map(|meta| meta.inode()) == source;
        if found {
            self.0
                .withhold(path.to_vec(), "the source of this run lies here");
        }
        found
    }
}

/// Removal of what is Blit's own: not counted, not reported.
struct Silent<'a>(&'a Run);

impl Removal for Silent<'_> {
    fn allow(&self) -> bool {
        // Before the first write too: an earlier run may have left no space for the state.
        !self.0.must_end() && self.0.is_owner()
    }

    fn removed(&self, _path: &[u8], _kind: Kind) {}

    fn failed(&self, path: &[u8], errno: Errno) {
        self.0.leaves_something.store(true, Relaxed);
        self.0.failed(
            path,
            &format!("cannot remove what an earlier run left: {errno}"),
        );
    }

    fn mounted(&self, _path: &[u8]) {}

    fn is_source(&self, _path: &[u8], _dir: &Dir) -> bool {
        false
    }
}
