//! A dry run: every decision is taken and reported as in a run, and what a run would make is imagined.
//!
//! Invariant: nothing is written, neither entries nor the state of the run. `Run::before_write`, which
//! stands before every write of the engine, says no in a dry run.
//!
//! Non-goals: foreseeing what only the attempt can show: no space, no permission to write, a file that
//! changes while it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::directory::{Directory, Origin};
use super::files::Outcome;
use super::orchestrator::{Batch, Run};
use super::planner::{FileTask, Sides};
use super::source::Content;
use crate::entry::{DirId, Entry, Inode, Kind, Meta};
use crate::fs::copy::Copier;
use crate::plan::itemize::Item;
use crate::plan::names::directory_name;
use crate::tree::node::lock;
use crate::tree::{Node, SourceFile};

/// Device of inodes that do not exist.
const NOWHERE: (u32, u32) = (u32::MAX, u32::MAX);

impl Run {
    /// Stands for the copying of a batch. Files of a source on this host are opened, because one that cannot
    /// be read would fail.
    pub(super) fn rehearse(self: &Arc<Self>, batch: Batch, copier: &mut Copier) {
        let Some(first) = batch.first() else { return };
        let sides = match &self.content {
            Content::Handles(_) => Some(self.sides(&first.directory)),
            Content::Arriving { .. } => None,
        };
        for mut task in batch {
            if self.must_end() {
                return;
            }
            let opened = match &sides {
                Some(Ok(sides)) => {
                    if task.compare && self.is_right(&mut task, sides, copier) {
                        self.release(&task.directory);
                        continue;
                    }
                    open(sides, &task)
                }
                Some(Err(error)) => Err(Outcome::Failed(error.brief())),
                None => Ok(()),
            };
            match opened {
                Ok(()) => self.would_copy(task),
                Err(outcome) => self.end_task(task, outcome),
            }
        }
    }

    fn would_copy(self: &Arc<Self>, task: FileTask) {
        let bytes = &self.counters.bytes_copied;
        bytes.fetch_add(task.entry.meta.size, Relaxed);
        self.end_task(task, Outcome::Done(Some(self.imagined_inode())));
    }

    /// Returns the identity of an inode that a run would make: it equals no other.
    pub(super) fn imagined_inode(&self) -> Inode {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Inode {
            dev: NOWHERE,
            ino: NEXT.fetch_add(1, Relaxed),
        }
    }

    /// Notes that a name of what exists would go, for the judgement of what keeps others.
    pub(super) fn imagine_gone(&self, existing: Option<&Meta>) {
        if let Some(meta) = existing.filter(|meta| meta.nlink > 1 && self.options.dry_run) {
            *lock(&self.gone).entry(meta.inode()).or_default() += 1;
        }
    }

    /// Stands for making a directory. One that an earlier run left is looked into, as a run would do. Any
    /// other has the node of what would contain it, and nothing is looked up there.
    pub(super) fn imagine_directory(
        self: &Arc<Self>,
        parent: &Arc<Directory>,
        sides: &Sides,
        id: DirId,
        entry: &Entry,
        displaces: bool,
    ) -> Arc<Directory> {
        self.counters.directories_created.fetch_add(1, Relaxed);
        let left = (self.state.previous_runs())
            .filter(|_| !parent.is_private())
            .map(|run| directory_name(run, &entry.name))
            .find_map(|left| Some((sides.destination.stat(&left).ok()?, left)))
            .filter(|(meta, _)| meta.kind == Kind::Directory);
        let (node, origin) = match left {
            Some((meta, left)) => {
                let node = Node::child(&parent.node, &left, meta.inode());
                (node, Origin::Adopted)
            }
            None => (Arc::clone(&parent.node), Origin::New),
        };
        let item = Some(Item::new(Kind::Directory));
        Directory::new(
            node,
            id,
            entry.clone(),
            Some(parent),
            origin,
            displaces,
            item,
        )
    }
}

/// Opens the source's file, as a copy would begin.
fn open(sides: &Sides, task: &FileTask) -> Result<(), Outcome> {
    let Some(source) = &sides.source else {
        return Ok(());
    };
    SourceFile::open(source, &task.entry)
        .map(|_| ())
        .map_err(Outcome::from)
}
