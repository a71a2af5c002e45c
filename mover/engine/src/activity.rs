//! What the threads of a run spend their time on.
//!
//! No clock is read where work is done. A thread notes what it begins, which is one store into memory of its
//! own (a nanosecond or two, some eight for a file); one thread of the run looks at these notes from time to
//! time and adds the time since its last look to whatever it finds there. The shares of a run of a second are
//! right to a few per cent; of one that is over in milliseconds they say little.
//!
//! Non-goals: what a single call takes, and what it waits for in the kernel.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::tree::node::lock;

/// Distance of the first two looks; short runs are over soon.
const FIRST_LOOK: Duration = Duration::from_micros(200);
/// Distance of looks later on: a hundred wake-ups a second, far below a thousandth of one processor.
const LOOK: Duration = Duration::from_millis(10);

/// What a thread is doing for a run; 0 is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Activity {
    /// Waiting for something to do.
    Wait = 1,
    /// Listing and comparing.
    Scan,
    /// Opening and reading files of the source.
    Read,
    /// Writing content, or letting the kernel copy it, or flushing.
    Write,
    /// Making names, setting attributes.
    Metadata,
    /// Counting and doing deletions.
    Delete,
}

/// Number of activities, with none.
const ACTIVITIES: usize = 7;

/// Time that all threads together spent on each activity. It can be longer than the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// Listing and comparing.
    pub scan: Duration,
    /// Opening and reading files of the source.
    pub read: Duration,
    /// Writing content, letting the kernel copy it, flushing it to disk.
    pub write: Duration,
    /// Making names and setting attributes.
    pub metadata: Duration,
    /// Counting and doing deletions.
    pub delete: Duration,
    /// Waiting for something to do.
    pub wait: Duration,
}

thread_local! {
    /// What this thread is doing, for whoever looks.
    static NOW: OnceCell<Arc<AtomicU8>> = const { OnceCell::new() };
}

fn with_now<T>(f: impl FnOnce(&Arc<AtomicU8>) -> T) -> T {
    NOW.with(|now| f(now.get_or_init(Arc::default)))
}

/// Notes what this thread does from now on.
pub(crate) fn begin(activity: Activity) {
    with_now(|now| now.store(activity as u8, Relaxed));
}

/// Notes what this thread does until what is returned is dropped; then it does again what it did before.
pub(crate) fn during(activity: Activity) -> During {
    During(with_now(|now| {
        let before = now.load(Relaxed);
        now.store(activity as u8, Relaxed);
        before
    }))
}

/// See [`during`].
#[must_use]
pub(crate) struct During(u8);

impl Drop for During {
    fn drop(&mut self) {
        with_now(|now| now.store(self.0, Relaxed));
    }
}

/// The book of one run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    threads: Mutex<Vec<Arc<AtomicU8>>>,
    spent: Mutex<[Duration; ACTIVITIES]>,
    closed: Mutex<bool>,
    closing: Condvar,
}

impl Ledger {
    /// Counts what this thread notes from now on. To do so again changes nothing.
    pub(crate) fn join(&self) {
        with_now(|now| {
            let mut threads = lock(&self.threads);
            if !threads.iter().any(|known| Arc::ptr_eq(known, now)) {
                threads.push(Arc::clone(now));
            }
        });
    }

    /// Looks until the book is closed.
    pub(crate) fn watch(&self) {
        let (mut distance, mut last) = (FIRST_LOOK, Instant::now());
        let mut closed = lock(&self.closed);
        while !*closed {
            let waited = self.closing.wait_timeout(closed, distance);
            closed = waited.unwrap_or_else(PoisonError::into_inner).0;
            let now = Instant::now();
            self.look(now - last);
            last = now;
            distance = (distance * 2).min(LOOK);
        }
    }

    /// Adds the time since the last look to what every thread is doing.
    fn look(&self, elapsed: Duration) {
        let mut threads = lock(&self.threads);
        let mut spent = lock(&self.spent);
        for thread in &*threads {
            if let Some(spent) = spent.get_mut(usize::from(thread.load(Relaxed))) {
                *spent += elapsed;
            }
        }
        // Nobody else has it: the thread has ended.
        threads.retain(|thread| Arc::strong_count(thread) > 1);
    }

    /// Closes the book, after a last look.
    pub(crate) fn close(&self) {
        *lock(&self.closed) = true;
        self.closing.notify_all();
    }

    /// Returns what was found.
    pub(crate) fn spent(&self) -> Spent {
        let spent = lock(&self.spent);
        let of = |activity: Activity| spent[activity as usize];
        Spent {
            scan: of(Activity::Scan),
            read: of(Activity::Read),
            write: of(Activity::Write),
            metadata: of(Activity::Metadata),
            delete: of(Activity::Delete),
            wait: of(Activity::Wait),
        }
    }
}

#[cfg(test)]
mod tests;
