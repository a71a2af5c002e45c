//! Directories that are known by their number, and parts of listings that came before theirs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::directory::Directory;
use super::orchestrator::Run;
use super::planner::PartTicket;
use super::source::Part;
use crate::entry::DirId;
use crate::fs::copy::Copier;
use crate::tree::node::lock;

/// A part of the listing that came before its directory was planned, or a directory that is known.
pub(super) enum Slot {
    Known(Arc<Directory>),
    /// Could not be made: what is below it is passed over.
    Failed,
    /// Is left out, with all below it.
    Excluded,
    /// Is not to be made: what is below it is passed over, and no failure.
    PassedOver,
    Parked(Vec<Part>),
}

/// What becomes of a part.
enum Below {
    Plan(Arc<Directory>),
    Fail,
    Exclude,
    PassOver,
}

impl Run {
    /// Plans a part if its directory is known, with all parts that waited for directories it names.
    pub(super) fn plan(self: &Arc<Self>, part: Part, copier: &mut Copier) {
        let mut parts = vec![part];
        while let Some(part) = parts.pop() {
            let below = {
                let mut directories = lock(&self.directories);
                match directories
                    .entry(part.dir)
                    .or_insert_with(|| Slot::Parked(Vec::new()))
                {
                    Slot::Known(directory) => Below::Plan(Arc::clone(directory)),
                    Slot::Failed => Below::Fail,
                    Slot::Excluded => Below::Exclude,
                    Slot::PassedOver => Below::PassOver,
                    Slot::Parked(parked) => {
                        parked.push(part);
                        continue;
                    }
                }
            };
            match below {
                Below::Plan(directory) => self.plan_part(&directory, part, &mut parts, copier),
                Below::Fail => self.fail_below(&part, &mut parts),
                Below::Exclude => self.exclude_below(&part, &mut parts),
                Below::PassOver => self.pass_over(&part, &mut parts),
            }
        }
    }

    /// Counts what is below a directory that could not be made, without touching it.
    fn fail_below(&self, part: &Part, parts: &mut Vec<Part>) {
        // Of a run that ends early it was not tried.
        if self.must_end() {
            return;
        }
        let ticket = PartTicket::new(&self.listing, part.dir, part.part);
        for entry in &part.entries {
            match entry.dir {
                Some(child) => self.register(child, Slot::Failed, parts),
                None => {
                    self.counters.files_total.fetch_add(1, Relaxed);
                    self.counters.files_failed.fetch_add(1, Relaxed);
                }
            }
        }
        drop(ticket);
    }

    /// Forgets a directory of which every part is planned; its files may still be under way.
    pub(super) fn forget(&self, id: DirId) {
        lock(&self.directories).remove(&id);
    }

    /// Makes a directory known, and takes the parts that waited for it.
    pub(super) fn register(&self, id: DirId, slot: Slot, parts: &mut Vec<Part>) {
        if let Some(Slot::Parked(parked)) = lock(&self.directories).insert(id, slot) {
            parts.extend(parked);
        }
    }
}
