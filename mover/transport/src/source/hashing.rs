//! Hashing files that the destination wants to compare, on threads of their own: the sender threads go on
//! sending meanwhile.
//!
//! A file that cannot be hashed, or changes meanwhile, is answered without a hash; the destination then asks
//! for its content, and learns from that what is wrong.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use blit_engine::run::ReadStatus;
use blit_engine::tree::{LocalSource, ripen};
use blit_engine::watch::{Roster, Wait, waits, works};

use super::activity::Activity;
use crate::data::queue::{Answer, Job, Queue};
use crate::sync::{lock, wait};
use crate::wire::Violation;

/// Files that may wait to be hashed: more than a destination that keeps to its window asks for.
const PENDING: usize = 64 << 10;

/// Files up to this size are small: some threads take them first, so that they never wait for large ones.
const SMALL_BYTES: u64 = 16 << 20;

/// What is to be hashed.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    small: VecDeque<Job>,
    large: VecDeque<Job>,
    closed: bool,
}

impl Hashing {
    /// Adds files; never waits.
    pub(super) fn push(&self, jobs: Vec<Job>) -> Result<(), Violation> {
        let mut state = lock(&self.state);
        if state.small.len() + state.large.len() + jobs.len() > PENDING {
            return Err(Violation::new("too many hashes are wanted at once"));
        }
        for job in jobs {
            if job.entry.meta.size <= SMALL_BYTES {
                state.small.push_back(job);
            } else {
                state.large.push_back(job);
            }
        }
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Ends the work of all threads.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// Hashes until it is closed. `small_first` says which files this thread prefers.
    pub(super) fn run(
        &self,
        small_first: bool,
        source: &LocalSource,
        queue: &Queue,
        activity: &Activity,
    ) {
        while let Some(job) = self.take(small_first) {
            queue.answer(self.hash(job, source, activity));
        }
    }

    fn hash(&self, job: Job, source: &LocalSource, activity: &Activity) -> Answer {
        let none = |id, status| Answer {
            id,
            hash: None,
            status,
            fresh: None,
        };
        let file = match source.open_file(job.dir, &job.entry) {
            Ok(file) => file,
            Err(status) => return none(job.id, status),
        };
        ripen(&file.entry().meta, || lock(&self.state).closed);
        let mut hashed = |_| {
            activity.moved();
            !lock(&self.state).closed
        };
        match file.blake3(&mut hashed) {
            Ok(Some(hash)) => {
                let status = file.verify();
                Answer {
                    id: job.id,
                    hash: (status == ReadStatus::Stable).then_some(hash),
                    fresh: file.fresh(),
                    status,
                }
            }
            // Nobody waits for it any more.
            Ok(None) => none(job.id, ReadStatus::Changed),
            Err(errno) => none(job.id, ReadStatus::Failed(format!("cannot read: {errno}"))),
        }
    }

    fn take(&self, small_first: bool) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            let state_ref = &mut *state;
            let (first, second) = if small_first {
                (&mut state_ref.small, &mut state_ref.large)
            } else {
                (&mut state_ref.large, &mut state_ref.small)
            };
            if let Some(job) = first.pop_front().or_else(|| second.pop_front()) {
                works();
                return Some(job);
            }
            waits(Wait::Work);
            state = wait(&self.changed, state);
        }
    }
}

/// Returns how many threads hash: one for each processor, and at least one for large files and one for small.
fn threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    processors.clamp(2, 16)
}

/// Starts the threads of a session.
pub(super) fn start(
    hashing: &Arc<Hashing>,
    source: &Arc<LocalSource>,
    queue: &Arc<Queue>,
    activity: &Arc<Activity>,
    roster: &Arc<Roster>,
) -> std::io::Result<()> {
    for number in 0..threads() {
        let (hashing, source) = (Arc::clone(hashing), Arc::clone(source));
        let (queue, activity) = (Arc::clone(queue), Arc::clone(activity));
        let roster = Arc::clone(roster);
        std::thread::Builder::new()
            .name(format!("blit-hash-{number}"))
            .spawn(move || {
                let _enlisted = roster.enlist();
                hashing.run(number.is_multiple_of(2), &source, &queue, &activity);
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
