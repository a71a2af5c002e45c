//! The worker threads of a run: they plan and apply until nothing is left, and become more where that helps.
//!
//! How many there should be is decided in [`crate::plan::workers`] from what the heartbeat's thread sees. A thread that does nothing else
//! brings others in, because every worker may have a large file in hand; a worker that comes back for its next turn leaves where there are too many.
//! Workers that were asked for by number stay as they are, and so do those of a run whose content arrives: there streams are added instead.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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
/// Workers there are at least where nobody can come in later: one works while the other waits for a disk.
const AT_LEAST: usize = 2;

/// How many workers there are, and how many there should be.
#[derive(Debug)]
pub(super) struct Crew {
    least: usize,
    wanted: AtomicUsize,
    there: AtomicUsize,
    /// The first worker has ended: nothing is left for others. Who changes one of the counts so that somebody has to come in holds it.
    over: Mutex<bool>,
    /// More are wanted, or it is over.
    changed: Condvar,
    /// Who decides; nobody where their number is fixed.
    judge: Option<Mutex<Workers>>,
}

impl Crew {
    pub(super) fn new(options: &Options, remote: bool) -> Self {
        let processors = processors();
        let judge = (options.workers.is_none() && !remote)
            .then(|| Workers::new(options.first_workers, processors));
        let least = match (&judge, options.workers) {
            (Some(_), _) => processors,
            (None, Some(given)) => given.max(1),
            (None, None) => processors.max(AT_LEAST),
        };
        Self {
            least,
            wanted: AtomicUsize::new(judge.as_ref().map_or(least, Workers::count)),
            there: AtomicUsize::new(0),
            over: Mutex::new(false),
            changed: Condvar::new(),
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

    /// Returns how many delete: nobody comes in while they do, so that one alone would stay alone.
    pub(super) fn for_deletions(&self) -> usize {
        match &self.judge {
            Some(_) => self.wanted().max(AT_LEAST),
            None => self.wanted(),
        }
    }

    /// Returns how many turned out right; `None` where nothing was learned.
    pub(super) fn proven(&self) -> Option<usize> {
        self.judge.as_ref().and_then(|judge| lock(judge).proven())
    }

    /// From now on there should be so many.
    fn want(&self, wanted: usize) {
        let _over = lock(&self.over);
        self.wanted.store(wanted, Relaxed);
        self.changed.notify_all();
    }

    /// Nobody comes in any more.
    fn close(&self) {
        *lock(&self.over) = true;
        self.changed.notify_all();
    }

    /// Waits for a worker that is to come in, and returns its number; `None` once it is over.
    fn next(&self) -> Option<usize> {
        let mut over = lock(&self.over);
        while !*over {
            if let Some(number) = self.takes_place() {
                return Some(number);
            }
            over = self
                .changed
                .wait(over)
                .unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Counts in a worker that is to come, and returns its number.
    fn takes_place(&self) -> Option<usize> {
        let joins = |there| (there < self.wanted()).then_some(there + 1);
        self.there.fetch_update(Relaxed, Relaxed, joins).ok()
    }

    /// There was no thread for a worker that was to come in. Others are asked for when their number is decided anew.
    fn does_not_come(&self) {
        let _over = lock(&self.over);
        let there = self.there.fetch_sub(1, Relaxed) - 1;
        self.wanted.fetch_min(there, Relaxed);
    }

    /// Counts a worker out if there are too many, and returns true if it is to leave.
    fn gives_place(&self) -> bool {
        if self.there.load(Relaxed) <= self.wanted() {
            return false;
        }
        let _over = lock(&self.over);
        let leaves = |there| (there > self.wanted()).then(|| there - 1);
        self.there.fetch_update(Relaxed, Relaxed, leaves).is_ok()
    }
}

impl Run {
    /// Lets all workers plan and apply until nothing is left.
    pub(super) fn work(self: &Arc<Self>) {
        let crew = &self.crew;
        crew.there.store(1, Relaxed);
        *lock(&crew.over) = false;
        std::thread::scope(|scope| {
            while let Some(number) = crew.takes_place() {
                self.bring_in(scope, number);
            }
            let _over = AtEnd(|| crew.close());
            if crew.judge.is_some() {
                let usher = Builder::new().name("workers".to_owned());
                // Without it no worker comes in that was not there at the beginning.
                let _ = usher.stack_size(STACK).spawn_scoped(scope, || {
                    while let Some(number) = crew.next() {
                        self.bring_in(scope, number);
                    }
                });
            }
            self.worker(true);
        });
    }

    fn bring_in<'scope>(self: &'scope Arc<Self>, scope: &'scope Scope<'scope, '_>, number: usize) {
        let builder = Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK);
        let spawned = builder.spawn_scoped(scope, move || {
            let _enlisted = self.roster.enlist();
            self.worker(false);
        });
        if spawned.is_err() {
            // The others do its work.
            self.crew.does_not_come();
        }
    }

    /// One of the workers; the first one stays.
    fn worker(self: &Arc<Self>, first: bool) {
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
            if !first && self.crew.gives_place() {
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
        if wanted != self.crew.wanted() {
            self.queue.serve(wanted);
            self.crew.want(wanted);
        }
    }
}

/// Returns how many there are where their number does not change.
pub(super) fn default_workers() -> usize {
    processors().max(AT_LEAST)
}

/// Processors this process may use; the cgroup's share is honoured.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
