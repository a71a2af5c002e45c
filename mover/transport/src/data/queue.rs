//! What the source has been asked for and has not sent: one queue for all sender threads.
//!
//! Small files and pieces of large ones are taken by preference, half of the streams each, so that
//! neither waits for the other; a thread takes the other kind when there is none of its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use blit_engine::entry::{DirId, Entry};
use blit_engine::fs::hash::Hash;
use blit_engine::run::ReadStatus;

use blit_engine::watch::{Wait, waits, works};

use super::large::{LargeFile, Origin, Piece};
use crate::sync::{lock, wait};
use crate::wire::files::WHOLE_BYTES;
use crate::wire::parts::Ranges;

/// Files that a thread takes at once; fewer locks, and they go into one frame anyway.
const BATCH_FILES: usize = 32;

/// A file that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The want.
    pub(crate) id: u64,
    /// Directory that holds it, as the local scan numbers it.
    pub(crate) dir: DirId,
    /// The entry as it was listed.
    pub(crate) entry: Entry,
    /// It was too young to be read, and has gone to the back of the queue.
    pub(crate) late: bool,
}

/// The hash of a file, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The want.
    pub(crate) id: u64,
    /// BLAKE3 of the content; only if the file did not change while it was read.
    pub(crate) hash: Option<Hash>,
    /// How reading it ended.
    pub(crate) status: ReadStatus,
    /// The entry if it differs from the listing.
    pub(crate) fresh: Option<Entry>,
}

/// The hashes of blocks of a file, or why there are none.
#[derive(Clone, Debug)]
pub(crate) struct BlockAnswer {
    /// The want.
    pub(crate) id: u64,
    /// The hashes, one after another.
    pub(crate) hashes: Vec<u8>,
    /// How reading the file ended.
    pub(crate) status: ReadStatus,
}

/// What a sender thread does next.
#[derive(Debug)]
pub(crate) enum Task {
    /// Send these, probably whole.
    Small(Vec<Job>),
    /// Open this, and let the other threads help with [`Queue::opened`].
    Large(Job),
    /// Send these hashes.
    Answers(Vec<Answer>),
    /// Send the hashes of blocks.
    Blocks(BlockAnswer),
    /// Open this to send ranges of it, with the help of the other threads.
    Ranges(Job, Ranges),
    /// Send a piece.
    Piece(Arc<LargeFile>, Piece),
    /// Send again what was lost of a file that has ended.
    Again(Again),
}

/// Something of a large file that was lost with its stream after the file had ended.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    /// The file.
    pub(crate) origin: Arc<Origin>,
    /// The piece; `None`: its end.
    pub(crate) piece: Option<Piece>,
}

/// What a frame of whole files carries.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Files.
    pub(crate) jobs: Vec<Job>,
    /// Hashes of files.
    pub(crate) answers: Vec<Answer>,
    /// Hashes of blocks.
    pub(crate) blocks: Vec<BlockAnswer>,
    /// Files of which ranges were wanted, and that cannot be read.
    pub(crate) ranges: Vec<(Job, Ranges)>,
}

/// How much waits to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Files, or ranges of them.
    pub(crate) files: usize,
    /// Hashes of files, and of blocks of a file.
    pub(crate) answers: usize,
}

/// Which kind of work a thread takes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preference {
    /// Small files.
    Small,
    /// Large files.
    Large,
}

/// Files and ranges of files that nobody has begun with, at most: a destination that keeps its window has a quarter
/// of it under way.
pub(crate) const WANTED: usize = 64 << 10;

/// Hashes of so many regions wait to be sent, at most: they are made of holes faster than a network takes them.
const BLOCK_ANSWERS: usize = 32;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Hashes of blocks were taken.
    taken: Condvar,
    /// Test switch: nothing is taken.
    blocked: bool,
}

#[derive(Debug, Default)]
struct State {
    small: VecDeque<Job>,
    large: VecDeque<Job>,
    open: VecDeque<Arc<LargeFile>>,
    answers: VecDeque<Answer>,
    blocks: VecDeque<BlockAnswer>,
    ranges: VecDeque<(Job, Ranges)>,
    again: VecDeque<Again>,
    closed: bool,
}

impl Queue {
    /// Makes a queue; one that is blocked gives nothing, for tests of what finds that.
    pub(crate) fn new(blocked: bool) -> Self {
        Self {
            blocked,
            ..Self::default()
        }
    }

    /// Returns what nobody has begun with.
    pub(crate) fn waiting(&self) -> Waiting {
        let state = lock(&self.state);
        Waiting {
            files: state.small.len() + state.large.len() + state.ranges.len(),
            answers: state.answers.len() + state.blocks.len(),
        }
    }

    /// Returns true if there is something for another thread to do.
    pub(crate) fn has_work(&self) -> bool {
        let state = lock(&self.state);
        let files = state.small.len() + state.large.len() + state.open.len();
        files + state.ranges.len() > 0
    }

    /// Returns true if there is room for so many files or ranges more.
    pub(crate) fn has_room(&self, more: usize) -> bool {
        let state = lock(&self.state);
        let ranges: usize = state.ranges.iter().map(|(_, ranges)| ranges.len()).sum();
        state.small.len() + state.large.len() + ranges + more <= WANTED
    }

    /// Adds files.
    pub(crate) fn push(&self, jobs: Vec<Job>) {
        let mut state = lock(&self.state);
        for job in jobs {
            if is_small(&job.entry) {
                state.small.push_back(job);
            } else {
                state.large.push_back(job);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Takes the next work; waits for some. `None`: the queue was closed, or the stream is to be left.
    pub(crate) fn take(&self, preference: Preference, left: &AtomicBool) -> Option<Task> {
        let mut state = lock(&self.state);
        loop {
            if state.closed || left.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(task) = self.next(&mut state, preference) {
                works();
                return Some(task);
            }
            waits(Wait::Work);
            state = wait(&self.changed, state);
        }
    }

    /// Takes the next work if there is some now.
    pub(crate) fn try_take(&self, preference: Preference, left: &AtomicBool) -> Option<Task> {
        let mut state: MutexGuard<'_, State> = lock(&self.state);
        if state.closed || left.load(Ordering::Relaxed) {
            None
        } else {
            self.next(&mut state, preference)
        }
    }

    fn next(&self, state: &mut State, preference: Preference) -> Option<Task> {
        match self.blocked {
            true => None,
            false => {
                let task = state.next(preference);
                if matches!(task, Some(Task::Blocks(_))) {
                    self.taken.notify_one();
                }
                task
            }
        }
    }

    /// Has the threads of streams look whether theirs is to be left. Set that first.
    pub(crate) fn wake(&self) {
        // Held so that nobody looks and then misses the wake-up.
        let _state = lock(&self.state);
        self.changed.notify_all();
    }

    /// Adds what was lost of a file that has ended.
    pub(crate) fn again(&self, again: Again) {
        lock(&self.state).again.push_back(again);
        self.changed.notify_one();
    }

    /// Adds the hash of a file.
    pub(crate) fn answer(&self, answer: Answer) {
        lock(&self.state).answers.push_back(answer);
        self.changed.notify_one();
    }

    /// Adds files of which ranges are wanted.
    pub(crate) fn push_ranges(&self, jobs: Vec<(Job, Ranges)>) {
        lock(&self.state).ranges.extend(jobs);
        self.changed.notify_all();
    }

    /// Adds the hashes of blocks; waits while too many of them are not sent.
    pub(crate) fn answer_blocks(&self, answer: BlockAnswer) {
        let mut state = lock(&self.state);
        while state.blocks.len() >= BLOCK_ANSWERS && !state.closed {
            waits(Wait::Window);
            state = wait(&self.taken, state);
            works();
        }
        state.blocks.push_back(answer);
        drop(state);
        self.changed.notify_one();
    }

    /// Takes back what was not sent, or did not arrive.
    pub(crate) fn take_back(&self, batch: Batch) {
        let Batch {
            jobs,
            answers,
            blocks,
            ranges,
        } = batch;
        let mut state = lock(&self.state);
        state.answers.extend(answers);
        state.blocks.extend(blocks);
        state.ranges.extend(ranges);
        drop(state);
        // Wakes everybody.
        self.push(jobs);
    }

    /// Puts a file that was opened where every thread finds its pieces.
    pub(crate) fn opened(&self, file: Arc<LargeFile>) {
        lock(&self.state).open.push_back(file);
        self.changed.notify_all();
    }

    /// Returns true once the work of all threads has ended.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Ends the work of all threads.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
        self.taken.notify_all();
    }
}

impl State {
    fn next(&mut self, preference: Preference) -> Option<Task> {
        if !self.answers.is_empty() {
            let count = self.answers.len().min(BATCH_FILES);
            return Some(Task::Answers(self.answers.drain(..count).collect()));
        }
        if let Some(answer) = self.blocks.pop_front() {
            return Some(Task::Blocks(answer));
        }
        if let Some(again) = self.again.pop_front() {
            return Some(Task::Again(again));
        }
        match preference {
            Preference::Small => self.small().or_else(|| self.large()),
            Preference::Large => self.large().or_else(|| self.small()),
        }
    }

    fn small(&mut self) -> Option<Task> {
        // Half of what there is: the rest is for the other threads.
        let count = self.small.len().div_ceil(2).min(BATCH_FILES);
        let jobs: Vec<Job> = self.small.drain(..count).collect();
        (!jobs.is_empty()).then_some(Task::Small(jobs))
    }

    fn large(&mut self) -> Option<Task> {
        while let Some(file) = self.open.front() {
            if let Some(piece) = file.next() {
                return Some(Task::Piece(Arc::clone(file), piece));
            }
            self.open.pop_front();
        }
        // What files are continued with comes before others are begun.
        if let Some((job, ranges)) = self.ranges.pop_front() {
            return Some(Task::Ranges(job, ranges));
        }
        // Another is opened only when those that are open have no piece left: few are open at a time.
        self.large.pop_front().map(Task::Large)
    }
}

/// Returns true for a file that is sent whole if it is still what was listed. Holes are never sent, so a
/// file with holes goes by pieces.
pub(crate) fn is_small(entry: &Entry) -> bool {
    entry.meta.size <= u64::from(WHOLE_BYTES) && !entry.meta.is_sparse()
}

#[cfg(test)]
mod tests;
