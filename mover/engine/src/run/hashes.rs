//! Comparing content with a source on another host: both sides hash their file at the same time, and the
//! content is asked for only where the hashes differ.
//!
//! Whoever has the second of the two hashes decides: a worker that has hashed the destination's file, or the
//! thread that brings the source's answer. What went wrong on either side is left to the copy.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use super::arrivals::{Arrivals, Tail};
use super::orchestrator::{Batch, Run};
use super::planner::FileTask;
use super::source::{Want, Wants};
use crate::entry::{Entry, Kind};
use crate::fs::dir::stat_fd;
use crate::fs::hash::{Hash, blake3_of};
use crate::tree::ReadStatus;
use crate::tree::node::lock;

/// Files whose hashes were asked for and that are not decided.
#[derive(Debug, Default)]
pub(super) struct Hashes(Mutex<HashMap<u64, Waiting>>);

#[derive(Debug)]
struct Waiting {
    task: FileTask,
    /// Of the destination's file; `Some(None)` if it could not be hashed.
    ours: Option<Option<Hash>>,
    /// Of the source's file, with the entry where that differs from the listing.
    theirs: Option<(Option<Hash>, Option<Entry>)>,
}

/// A file of which both hashes are there.
struct Answered {
    task: FileTask,
    same: bool,
    fresh: Option<Entry>,
}

impl Hashes {
    pub(super) fn expect(&self, id: u64, task: FileTask) {
        let waiting = Waiting {
            task,
            ours: None,
            theirs: None,
        };
        lock(&self.0).insert(id, waiting);
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Returns how many files are not decided.
    pub(super) fn undecided(&self) -> usize {
        lock(&self.0).len()
    }

    /// Returns what the source has not answered: how many files, and the first that was asked about with its number.
    pub(super) fn missing(&self) -> (usize, Option<(u64, Vec<u8>)>) {
        let files = lock(&self.0);
        let missing = || files.iter().filter(|(_, file)| file.theirs.is_none());
        let oldest = missing().min_by_key(|(id, _)| **id);
        let oldest = oldest.map(|(id, file)| (*id, file.task.path()));
        (missing().count(), oldest)
    }

    /// Adds what is known; returns the file if that was the last thing missing.
    fn add(&self, id: u64, add: impl FnOnce(&mut Waiting)) -> Option<Answered> {
        let mut files = lock(&self.0);
        let waiting = files.get_mut(&id)?;
        add(waiting);
        if waiting.ours.is_none() || waiting.theirs.is_none() {
            return None;
        }
        let Waiting { task, ours, theirs } = files.remove(&id)?;
        let (theirs, fresh) = theirs.unwrap_or_default();
        let same = ours.flatten().zip(theirs).is_some_and(|(a, b)| a == b);
        Some(Answered { task, same, fresh })
    }
}

impl Arrivals {
    /// Takes the hash of a source's file. An answer that nobody waits for is dropped.
    pub fn hashed(&self, id: u64, hash: Hash, tail: Tail) {
        self.visit(|| self.take_hash(id, hash, tail));
    }

    fn take_hash(&self, id: u64, hash: Hash, tail: Tail) {
        let Some((run, _open)) = self.open() else {
            return;
        };
        let hash = (tail.status == ReadStatus::Stable).then_some(hash);
        let answered = self.hashes.add(id, |waiting| {
            waiting.theirs.get_or_insert((hash, tail.fresh));
        });
        if let Some(answered) = answered {
            run.compared(answered);
        }
    }
}

impl Run {
    /// Asks for the hashes of the source's files, and hashes those of the destination meanwhile.
    pub(super) fn ask_hashes(
        self: &Arc<Self>,
        batch: Batch,
        wants: &dyn Wants,
        arrivals: &Arrivals,
    ) {
        self.queue.asked(batch.len());
        let mut asked = Vec::with_capacity(batch.len());
        let mut here = Vec::with_capacity(batch.len());
        for task in batch {
            let id = arrivals.next_id();
            asked.push(Want {
                id,
                dir: task.ticket.dir,
                part: task.ticket.part,
                index: task.index,
                // The answer is as short for every file.
                size: 0,
                hash: true,
            });
            here.push((
                id,
                Arc::clone(&task.directory),
                task.entry.name.clone(),
                task.existing,
            ));
            arrivals.hashes.expect(id, task);
        }
        if let Err(error) = wants.want(&asked) {
            return self.lost(error);
        }
        for (id, directory, name, existing) in here {
            if self.must_end() {
                return;
            }
            let hash = existing.and_then(|existing| {
                let dir = directory.node.open().ok()?;
                let file = dir.open_file(&name).ok()?;
                let planned = || {
                    let found = stat_fd(file.as_fd()).ok()?;
                    found.same_state(&existing).then_some(())
                };
                planned()?;
                let mut hashed = |bytes| {
                    self.counters.bytes_compared.fetch_add(bytes, Relaxed);
                    !self.must_end()
                };
                let (size, sparse) = (existing.size, existing.is_sparse());
                let hash = blake3_of(file.as_fd(), size, sparse, &mut hashed).ok()??;
                planned()?;
                Some(hash)
            });
            let answered = arrivals.hashes.add(id, |waiting| waiting.ours = Some(hash));
            if let Some(answered) = answered {
                self.compared(answered);
            }
        }
    }

    /// Keeps what is the same, and asks for the content of the rest.
    fn compared(self: &Arc<Self>, answered: Answered) {
        let Answered {
            mut task,
            same,
            fresh,
        } = answered;
        task.compare = false;
        let mut kept = false;
        if let Some(item) = task.item.as_mut().filter(|_| !same) {
            item.content = true;
        }
        let is_file = (fresh.as_ref()).is_none_or(|entry| entry.meta.kind == Kind::File);
        if same && is_file && !self.must_end() {
            if let Some(fresh) = fresh {
                // Its place is what the listing said; the rest is what was hashed.
                task.entry.meta = fresh.meta;
                task.entry.xattrs = fresh.xattrs;
            }
            kept = self
                .sides(&task.directory)
                .is_ok_and(|sides| self.keep_content(&sides, &task));
        }
        if kept {
            self.release(&task.directory);
        } else {
            self.queue.push_back(vec![task]);
        }
        self.queue.arrived();
    }
}
