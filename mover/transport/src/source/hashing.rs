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
use crate::data::queue::{Answer, BlockAnswer, Job, Queue};
use crate::data::reading::unreadable;
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
    /// Files of which the hashes of blocks are wanted, with the range.
    blocks: VecDeque<(Job, (u64, u64))>,
    closed: bool,
}

/// What a thread does next.
enum Work {
    /// Hash a file.
    File(Job),
    /// Hash the blocks of a range.
    Blocks(Job, (u64, u64)),
}

impl State {
    fn pending(&self) -> usize {
        self.small.len() + self.large.len() + self.blocks.len()
    }
}

fn too_many() -> Violation {
    Violation::new("too many hashes are wanted at once")
}

impl Hashing {
    /// Adds ranges of which the blocks are to be hashed; never waits.
    pub(super) fn push_blocks(&self, jobs: Vec<(Job, (u64, u64))>) -> Result<(), Violation> {
        let mut state = lock(&self.state);
        if state.pending() + jobs.len() > PENDING {
            return Err(too_many());
        }
        state.blocks.extend(jobs);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Adds files; never waits.
    pub(super) fn push(&self, jobs: Vec<Job>) -> Result<(), Violation> {
        let mut state = lock(&self.state);
        if state.pending() + jobs.len() > PENDING {
            return Err(too_many());
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
        while let Some(work) = self.take(small_first) {
            match work {
                Work::File(job) => queue.answer(self.hash(job, source, activity)),
                Work::Blocks(job, range) => {
                    queue.answer_blocks(self.hash_blocks(&job, range, source, activity));
                }
            }
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
        let mut hashed = |bytes| {
            activity.hashed(bytes);
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
            Err(errno) => none(job.id, unreadable(errno)),
        }
    }

    fn hash_blocks(
        &self,
        job: &Job,
        (offset, length): (u64, u64),
        source: &LocalSource,
        activity: &Activity,
    ) -> BlockAnswer {
        let answer = |hashes, status| BlockAnswer {
            id: job.id,
            hashes,
            status,
        };
        ripen(&job.entry.meta, || lock(&self.state).closed);
        let file = match source.open_file(job.dir, &job.entry) {
            // Another file than the one that was listed.
            Ok(file) if file.is_fresh() => return answer(Vec::new(), ReadStatus::Changed),
            Ok(file) => file,
            Err(status) => return answer(Vec::new(), status),
        };
        let mut hashed = |bytes| {
            activity.hashed(bytes);
            !lock(&self.state).closed
        };
        match file.block_hashes(offset, length, &mut hashed) {
            Ok(Some(hashes)) => match file.verify() {
                ReadStatus::Stable => answer(hashes.concat(), ReadStatus::Stable),
                status => answer(Vec::new(), status),
            },
            // Nobody waits for it any more.
            Ok(None) => answer(Vec::new(), ReadStatus::Changed),
            Err(errno) => answer(Vec::new(), unreadable(errno)),
        }
    }

    fn take(&self, small_first: bool) -> Option<Work> {
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
            // Somebody waits for blocks before it asks for anything else.
            let blocks = state_ref.blocks.pop_front();
            let blocks = blocks.map(|(job, range)| Work::Blocks(job, range));
            let mut file = || first.pop_front().or_else(|| second.pop_front());
            if let Some(work) = blocks.or_else(|| file().map(Work::File)) {
                works();
                return Some(work);
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
