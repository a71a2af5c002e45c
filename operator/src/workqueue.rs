//! The queue of objects to reconcile.
//!
//! A key is in the queue once, however often it is added. It is handed to one worker at a time: a key
//! that is added while it is worked on comes again after [`WorkQueue::done`]. A key that is added for later is
//! not in the queue until its time has come; of several times the earliest wins, and a key that comes
//! for another reason drops its time.
//!
//! Invariants: first in, first out among the keys that are due; nothing is lost when a future of
//! [`WorkQueue::next`] is dropped. Locks are held for moments only, never across an await.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// First delay after a failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Longest delay after a failure.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Namespace and name of a MirrorJob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A queue of keys for several workers. See the module for what it promises.
#[derive(Debug)]
pub struct WorkQueue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    due: VecDeque<K>,
    /// The keys of `due`.
    queued: BTreeSet<K>,
    working: BTreeSet<K>,
    /// Keys that were added while they were worked on.
    again: BTreeSet<K>,
    times: BTreeMap<K, Instant>,
    timers: BTreeSet<(Instant, K)>,
    failures: BTreeMap<K, u32>,
    closed: bool,
}

impl<K: Clone + Ord> WorkQueue<K> {
    /// Makes an empty queue.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State::new()),
            changed: Notify::new(),
        }
    }

    /// Adds a key, to be worked on as soon as possible.
    pub fn add(&self, key: K) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// Adds a key, to be worked on after `delay` unless it comes earlier.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.lock().add_at(key, Instant::now() + delay);
        self.changed.notify_one();
    }

    /// Adds a key after a failure: after 1 s, and twice that for each further failure up to 60 s. Returns the
    /// delay.
    pub fn retry(&self, key: K) -> Duration {
        self.retry_soon(key, FIRST_RETRY)
    }

    /// As [`Self::retry`], with another first delay.
    pub fn retry_soon(&self, key: K, first: Duration) -> Duration {
        let failures = {
            let mut state = self.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures = failures.saturating_add(1);
            *failures
        };
        let delay = retry_delay(first, failures);
        self.add_after(key, delay);
        delay
    }

    /// Forgets the failures of a key.
    pub fn forget(&self, key: &K) {
        self.lock().failures.remove(key);
    }

    /// Waits for a key and hands it out; the worker must call [`Self::done`]. Returns `None` once the queue is
    /// shut down, even if keys are left.
    pub async fn next(&self) -> Option<K> {
        loop {
            let changed = self.changed.notified();
            let wake = {
                let mut state = self.lock();
                if state.closed {
                    self.changed.notify_one();
                    return None;
                }
                state.release(Instant::now());
                if let Some(key) = state.take() {
                    if !state.due.is_empty() {
                        self.changed.notify_one();
                    }
                    return Some(key);
                }
                state.timers.first().map(|(time, _)| *time)
            };
            match wake {
                Some(time) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(time) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Says that the work on a key is finished, so that it can be handed out again.
    pub fn done(&self, key: &K) {
        let mut state = self.lock();
        state.working.remove(key);
        if let Some(key) = state.again.take(key) {
            state.add(key);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Returns how many keys are due or will be as soon as the work on them is done. Keys with a time to come
    /// do not count.
    pub fn len(&self) -> usize {
        let mut state = self.lock();
        state.release(Instant::now());
        state.due.len() + state.again.len()
    }

    /// Returns true if no key is due.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the queue: every [`Self::next`] returns `None` from now on.
    pub fn shutdown(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Ord> Default for WorkQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl JobKey {
    /// Makes a key.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl<K: Clone + Ord> State<K> {
    fn new() -> Self {
        Self {
            due: VecDeque::new(),
            queued: BTreeSet::new(),
            working: BTreeSet::new(),
            again: BTreeSet::new(),
            times: BTreeMap::new(),
            timers: BTreeSet::new(),
            failures: BTreeMap::new(),
            closed: false,
        }
    }

    fn add(&mut self, key: K) {
        self.drop_timer(&key);
        if self.working.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.due.push_back(key);
        }
    }

    fn add_at(&mut self, key: K, time: Instant) {
        let comes_anyway = self.queued.contains(&key) || self.again.contains(&key);
        if comes_anyway || self.times.get(&key).is_some_and(|known| *known <= time) {
            return;
        }
        self.drop_timer(&key);
        self.times.insert(key.clone(), time);
        self.timers.insert((time, key));
    }

    fn drop_timer(&mut self, key: &K) {
        if let Some((key, time)) = self.times.remove_entry(key) {
            self.timers.remove(&(time, key));
        }
    }

    /// Moves the keys whose time has come to those that are due.
    fn release(&mut self, now: Instant) {
        while let Some((time, key)) = self.timers.first() {
            if *time > now {
                break;
            }
            let key = key.clone();
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.due.pop_front()?;
        self.queued.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }
}

fn retry_delay(first: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    LAST_RETRY.min(first * 2_u32.pow(doublings))
}
