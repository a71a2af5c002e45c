//! The worker threads of a run: they plan and apply until nothing is left, and become more where that helps.
//!
//! How many there should be is decided in [`crate::plan::workers`] from what the heartbeat's thread sees; a worker that comes back for its
//! next turn brings another one in or leaves. Workers that were asked for by number stay as they are, and so do those of a
//! run whose content arrives: there streams are added instead.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, Scope};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Options;
use super::orchestrator::{AtEnd, Run};
use super::queue::Turn;
use crate::activity::{self, Activity};
use crate::fs::copy::Copier;
use crate::plan::workers::{Look, Workers};
use crate::tree::node::lock;

/// Stack of a worker: the directory buffer of a scan is on it.
pub(super) const STACK: usize = 1024 * 1024;

/// How many workers there are, and how many there should be.
#[derive(Debug)]
pub(super) struct Crew {
    least: usize,
    wanted: AtomicUsize,
    there: AtomicUsize,
    /// Who decides; nobody where their number is fixed.
    judge: Option<Mutex<Workers>>,
}

impl Crew {
    pub(super) fn new(options: &Options, remote: bool) -> Self {
        let least = options.workers.unwrap_or_else(default_workers).max(1);
        let first = match (options.workers, options.first_workers) {
            (None, Some(first)) if !remote => first.max(least),
            _ => least,
        };
        let judge = (options.workers.is_none() && !remote)
            .then(|| Workers::new(first, least, processors()));
        Self {
            least,
            wanted: AtomicUsize::new(judge.as_ref().map_or(least, Workers::count)),
            there: AtomicUsize::new(0),
            judge: judge.map(Mutex::new),
        }
    }

    /// Returns how many there are at least.
    pub(super) fn least(&self) -> usize {
        self.least
    }

    /// Returns how many there should be.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.load(Relaxed)
    }

    /// Returns how many turned out right; `None` where nothing was learned.
    pub(super) fn proven(&self) -> Option<usize> {
        self.judge.as_ref().and_then(|judge| lock(judge).proven())
    }

    /// Returns the number of a worker that is to come in.
    fn joins(&self) -> Option<usize> {
        let joins = |there| (there < self.wanted()).then_some(there + 1);
        self.there.fetch_update(Relaxed, Relaxed, joins).ok()
    }

    /// There was no thread for a worker that was to come in: there will be none for another.
    fn does_not_come(&self) {
        let there = self.there.fetch_sub(1, Relaxed) - 1;
        self.wanted.fetch_min(there, Relaxed);
    }

    /// Returns true if a worker is to leave.
    fn leaves(&self) -> bool {
        let leaves = |there| (there > self.wanted()).then(|| there - 1);
        self.there.fetch_update(Relaxed, Relaxed, leaves).is_ok()
    }
}

impl Run {
    /// Lets all workers plan and apply until nothing is left.
    pub(super) fn work(self: &Arc<Self>) {
        self.crew.there.store(1, Relaxed);
        std::thread::scope(|scope| self.worker(scope, true));
    }

    /// One of the workers; the first one stays.
    fn worker<'scope, 'run>(
        self: &'run Arc<Self>,
        scope: &'scope Scope<'scope, 'run>,
        first: bool,
    ) {
        // What it has in hand nobody else does: without this the others would wait for it.
        let _ending = AtEnd(|| {
            if std::thread::panicking() {
                self.abandon();
            }
        });
        let mut copier = Copier::default();
        self.counters.ledger.join();
        let _waiting = activity::during(Activity::Wait);
        loop {
            if let Some(number) = self.crew.joins() {
                let builder = Builder::new()
                    .name(format!("worker-{number}"))
                    .stack_size(STACK);
                let spawned = builder.spawn_scoped(scope, move || {
                    let _enlisted = self.roster.enlist();
                    self.worker(scope, false);
                });
                if spawned.is_err() {
                    // The others do its work.
                    self.crew.does_not_come();
                }
            } else if !first && self.crew.leaves() {
                return;
            }
            match self.queue.turn(|| self.must_end()) {
                Turn::End => return,
                Turn::Apply(batch) => {
                    self.apply(batch, &mut copier);
                    self.queue.applied();
                }
                Turn::Plan => {
                    let planned = self.plan_next(&mut copier);
                    if self.queue.planned(planned) {
                        self.counters.all_planned();
                    }
                }
            }
        }
    }

    /// Decides how many workers there should be from now on.
    pub(super) fn look_at_workers(&self, now: Duration) {
        let Some(judge) = &self.crew.judge else {
            return;
        };
        let counters = &self.counters;
        let count =
            |counts: &[&AtomicU64]| -> u64 { counts.iter().map(|count| count.load(Relaxed)).sum() };
        let listed = count(&[&counters.files_total, &counters.directories_created]);
        let done = count(&[
            &counters.files_copied,
            &counters.files_unchanged,
            &counters.files_failed,
            &counters.metadata_repaired,
        ]);
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let wanted = lock(judge).look(&Look {
            now,
            processor: Duration::try_from(used).unwrap_or_default(),
            // To list and plan an entry takes about half as many calls as to copy it.
            calls: listed + 2 * done,
            waited: counters.ledger.spent().wait,
        });
        if wanted != self.crew.wanted.swap(wanted, Relaxed) {
            self.queue.serve(wanted);
        }
    }

    pub(super) fn worker_count(&self) -> usize {
        self.crew.wanted()
    }
}

/// Returns how many workers a run has at least: two keep one processor busy while the other waits for a disk.
pub(super) fn default_workers() -> usize {
    processors().max(2)
}

/// Processors this process may use; the cgroup's share is honoured.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
