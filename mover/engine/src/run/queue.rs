//! Who does what next: the bounded queue between planning and applying, and the end of both.
//!
//! Invariant: a worker never waits for room in the queue. Who finds it full applies the batch itself, so
//! planning and applying cannot wait for each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::plan::heartbeat::STARVED;
use crate::tree::node::lock;
use crate::watch::{Wait, waits, works};

/// Queued batches for each worker that there is at least, below which planning comes first.
const LOW_WATER: usize = 2;
/// Queued batches for each worker above which nothing is queued.
const HIGH_WATER: usize = 16;

/// What a worker should do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<B> {
    /// Apply a batch.
    Apply(B),
    /// Plan the next part of the listing.
    Plan,
    /// Everything is done, or the run must end.
    End,
}

#[derive(Debug)]
pub(crate) struct Queue<B> {
    low_water: usize,
    high_water: AtomicUsize,
    /// Listings come from elsewhere: one worker at a time waits for them.
    one_planner: bool,
    state: Mutex<State<B>>,
    /// How many are queued, for who asks about each file and can live with the answer of a moment ago.
    queued: AtomicUsize,
    changed: Condvar,
    /// Test switch: nothing is taken.
    blocked: bool,
}

#[derive(Debug)]
struct State<B> {
    /// Workers that wait.
    waiting: usize,
    batches: VecDeque<B>,
    /// A batch was taken.
    began: bool,
    planning: usize,
    applying: usize,
    /// Files that were asked for and have not arrived.
    outstanding: usize,
    /// All parts are listed.
    listed: bool,
    /// The listing had nothing to give while others were at it.
    dry: bool,
    stop: bool,
}

impl<B> Queue<B> {
    pub(crate) fn new(least: usize, workers: usize, one_planner: bool) -> Self {
        let state = State {
            waiting: 0,
            batches: VecDeque::new(),
            began: false,
            planning: 0,
            applying: 0,
            outstanding: 0,
            listed: false,
            dry: false,
            stop: false,
        };
        Self {
            low_water: LOW_WATER * least,
            high_water: AtomicUsize::new(HIGH_WATER * workers),
            one_planner,
            state: Mutex::new(state),
            queued: AtomicUsize::new(0),
            changed: Condvar::new(),
            blocked: false,
        }
    }

    /// Makes nothing be taken, for tests of what finds that.
    pub(crate) fn blocked(self, blocked: bool) -> Self {
        Self { blocked, ..self }
    }

    /// From now on there are so many workers.
    pub(crate) fn serve(&self, workers: usize) {
        self.high_water.store(HIGH_WATER * workers, Relaxed);
    }

    /// Waits for something to do, or until `must_end`, which is looked at at every heartbeat. The caller
    /// reports with [`Self::planned`] or [`Self::applied`].
    pub(crate) fn turn(&self, must_end: impl Fn() -> bool) -> Turn<B> {
        let mut state = lock(&self.state);
        loop {
            if state.stop || must_end() {
                return Turn::End;
            }
            let taken = self.one_planner && state.planning > 0;
            // The first thing to do is done at once: somebody waits to see it.
            let low_water = if state.began { self.low_water } else { 1 };
            let may_plan = !(state.listed || state.dry || taken);
            if may_plan && state.batches.len() < low_water {
                state.planning += 1;
                return Turn::Plan;
            }
            if let Some(batch) = state.take(self.blocked) {
                self.queued.store(state.batches.len(), Relaxed);
                state.applying += 1;
                state.began = true;
                works();
                return Turn::Apply(batch);
            }
            if state.is_done() {
                return Turn::End;
            }
            waits(Wait::Work);
            state.waiting += 1;
            state = self
                .changed
                .wait_timeout(state, STARVED)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.waiting -= 1;
        }
    }

    /// Queues a batch, or gives it back if the queue is full: then the caller applies it.
    pub(crate) fn offer(&self, batch: B) -> Option<B> {
        let mut state = lock(&self.state);
        if state.batches.len() >= self.high_water.load(Relaxed) {
            return Some(batch);
        }
        state.batches.push_back(batch);
        self.queued.store(state.batches.len(), Relaxed);
        drop(state);
        self.changed.notify_one();
        None
    }

    /// Queues a batch however full the queue is: work that comes back.
    pub(crate) fn push_back(&self, batch: B) {
        let mut state = lock(&self.state);
        state.batches.push_back(batch);
        self.queued.store(state.batches.len(), Relaxed);
        drop(state);
        self.changed.notify_one();
    }

    /// Returns true while workers have nothing queued.
    pub(crate) fn is_starved(&self) -> bool {
        self.queued.load(Relaxed) == 0
    }

    /// Returns true while a worker waits because nothing is queued.
    pub(crate) fn starves(&self) -> bool {
        let state = lock(&self.state);
        state.waiting > 0 && state.batches.is_empty()
    }

    /// Returns what `look` makes of the batches that are queued.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&VecDeque<B>) -> T) -> T {
        look(&lock(&self.state).batches)
    }

    /// Returns how many files were asked for and have not arrived, and whether all parts are listed.
    pub(crate) fn outstanding(&self) -> (usize, bool) {
        let state = lock(&self.state);
        (state.outstanding, state.listed)
    }

    /// A part is in hand, and the next one can be listed meanwhile: also one of the same directory.
    pub(crate) fn part_taken(&self) {
        let mut state = lock(&self.state);
        state.dry = false;
        let wanted = state.waiting > 0 && !self.one_planner;
        drop(state);
        if wanted {
            self.changed.notify_one();
        }
    }

    /// A turn of planning is over. Returns whether it was the last one: everything is listed and planned.
    pub(crate) fn planned(&self, outcome: Planned) -> bool {
        let mut state = lock(&self.state);
        state.planning -= 1;
        match outcome {
            // Somebody else has it in hand; what that brings ends the drought.
            Planned::Nothing => state.dry = state.planning > 0 && !self.one_planner,
            Planned::Part => state.dry = false,
            Planned::Finished => state.listed = true,
        }
        let last = state.listed && state.planning == 0;
        drop(state);
        self.changed.notify_all();
        last
    }

    /// A turn of applying is over.
    pub(crate) fn applied(&self) {
        let mut state = lock(&self.state);
        state.applying -= 1;
        let done = state.is_done();
        drop(state);
        if done {
            self.changed.notify_all();
        }
    }

    /// Files were asked for.
    pub(crate) fn asked(&self, files: usize) {
        lock(&self.state).outstanding += files;
    }

    /// A file that was asked for has ended, one way or the other.
    pub(crate) fn arrived(&self) {
        let mut state = lock(&self.state);
        state.outstanding = state.outstanding.saturating_sub(1);
        let done = state.is_done();
        drop(state);
        if done {
            self.changed.notify_all();
        }
    }

    /// Ends the turns of all workers.
    pub(crate) fn stop(&self) {
        lock(&self.state).stop = true;
        self.changed.notify_all();
    }
}

/// What a turn of planning brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planned {
    /// A part was planned.
    Part,
    /// There was nothing now.
    Nothing,
    /// There will be nothing any more.
    Finished,
}

impl<B> State<B> {
    fn take(&mut self, blocked: bool) -> Option<B> {
        if blocked {
            return None;
        }
        self.batches.pop_front()
    }

    fn is_done(&self) -> bool {
        self.listed
            && self.planning == 0
            && self.applying == 0
            && self.outstanding == 0
            && self.batches.is_empty()
    }
}

#[cfg(test)]
mod tests;
