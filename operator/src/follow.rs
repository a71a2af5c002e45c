//! The figures of running movers: one follower for each attempt that runs.
//!
//! A follower dials the mover, reads its stream of progress, and dials again with a growing delay when the
//! connection is lost, until the mover has said its last word or nobody wants to know any more. What came
//! last can be read at any time; the owner of the job is told when it is worth a look: at once for the
//! first figures, a new phase, a mover that cannot be reached, the end, and else as seldom as keeps the
//! writes to the API server few ([`interval`]).
//!
//! The certificate of a mover is signed by the authority of its attempt, whose certificate therefore is
//! part of the [`Target`]. Movers need no follower: without one they do the same work.
//!
//! Invariants: at most one follower and one update for a job, and an update is at most
//! [`UPDATE_BYTES`] long. Non-goals: what the figures mean for the status.

mod pace;
mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blit_proto::pki::{Identity, PeerName};
use blit_proto::v2::ProgressUpdate;
use jiff::Timestamp;
use tokio::task::AbortHandle;

use crate::authority::OperatorIdentity;
use crate::workqueue::JobKey;

pub use pace::interval;

/// Longest update that is accepted, in bytes: some counters and a few texts are far shorter.
pub const UPDATE_BYTES: usize = 64 << 10;

/// Whom to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whom to tell.
    pub job: JobKey,
    /// UID of the job.
    pub job_uid: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// Control port of the mover.
    pub address: SocketAddr,
    /// Who must answer there.
    pub expected: PeerName,
    /// Certificate of the authority of the attempt, PEM.
    pub attempt_ca: String,
}

/// What is known of a mover.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Number of the attempt.
    pub attempt: u32,
    /// What it said last; kept when the connection is lost.
    pub update: Option<ProgressUpdate>,
    /// When it said that.
    pub received: Option<Timestamp>,
    /// Whether it can be heard.
    pub state: State,
}

/// Whether a mover can be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not yet, or not for a moment.
    Connecting,
    /// Yes.
    Connected,
    /// No.
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// Cause and remedy.
        hint: String,
    },
    /// It has said its last word, which is the update.
    Ended,
}

/// The followers of all jobs. Dropping it ends them.
#[derive(Debug)]
pub struct Followers {
    shared: Arc<Shared>,
}

/// What the followers share.
struct Shared {
    slots: Mutex<BTreeMap<String, Slot>>,
    identity: Mutex<OperatorIdentity>,
    notify: Box<dyn Fn(JobKey) + Send + Sync>,
}

/// One follower.
struct Slot {
    target: Arc<Target>,
    view: View,
    task: AbortHandle,
}

impl View {
    /// Returns what it said last as it is at `now`: idle also since it was said, as far as anybody knows.
    pub fn update_at(&self, now: Timestamp) -> Option<ProgressUpdate> {
        let mut update = self.update.clone()?;
        if let Some(received) = self.received {
            let since = now.duration_since(received).as_secs_f64();
            update.idle_seconds += since.max(0.0);
        }
        Some(update)
    }
}

impl Followers {
    /// Makes the set of followers, empty. `notify` is called with a job that is worth a look; it must return at
    /// once.
    pub fn new(
        identity: OperatorIdentity,
        notify: impl Fn(JobKey) + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                slots: Mutex::new(BTreeMap::new()),
                identity: Mutex::new(identity),
                notify: Box::new(notify),
            }),
        }
    }

    /// Takes another identity, from the next connection on.
    pub fn set_identity(&self, identity: OperatorIdentity) {
        *lock(&self.shared.identity) = identity;
    }

    /// Follows an attempt, in place of whatever was followed of its job. Does nothing if it is followed
    /// already. Must be called within a runtime.
    pub fn follow(&self, target: Target) {
        let mut slots = lock(&self.shared.slots);
        if let Some(slot) = slots.get(&target.job_uid) {
            if *slot.target == target {
                return;
            }
            slot.task.abort();
        }
        let target = Arc::new(target);
        let task = tokio::spawn(task::run(Arc::clone(&self.shared), Arc::clone(&target)));
        let view = View {
            attempt: target.attempt,
            update: None,
            received: None,
            state: State::Connecting,
        };
        let slot = Slot {
            target: Arc::clone(&target),
            view,
            task: task.abort_handle(),
        };
        slots.insert(target.job_uid.clone(), slot);
    }

    /// Ends the follower of a job and forgets what it heard.
    pub fn forget(&self, job_uid: &str) {
        if let Some(slot) = lock(&self.shared.slots).remove(job_uid) {
            slot.task.abort();
        }
    }

    /// Returns what is known of the mover of a job; `None` if it is not followed.
    pub fn latest(&self, job_uid: &str) -> Option<View> {
        let slots = lock(&self.shared.slots);
        slots.get(job_uid).map(|slot| slot.view.clone())
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        for slot in lock(&self.shared.slots).values() {
            slot.task.abort();
        }
    }
}

impl Shared {
    fn identity_towards(&self, target: &Target) -> Identity {
        lock(&self.identity).towards(&target.attempt_ca)
    }

    /// Changes the view of a target; does nothing when it is not followed any more.
    fn change(&self, target: &Arc<Target>, change: impl FnOnce(&mut View)) {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get_mut(&target.job_uid)
            && Arc::ptr_eq(&slot.target, target)
        {
            change(&mut slot.view);
        }
    }

    /// Returns how many movers are followed that have not ended.
    fn running(&self) -> usize {
        let slots = lock(&self.slots);
        let running = |slot: &&Slot| slot.view.state != State::Ended;
        slots.values().filter(running).count()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let jobs: Vec<String> = lock(&self.slots).keys().cloned().collect();
        f.debug_struct("Shared")
            .field("jobs", &jobs)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
