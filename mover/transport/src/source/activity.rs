//! Notices when nothing moves any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use blit_proto::v2::ProgressUpdate;

/// Counts everything that shows that the session moves.
#[derive(Debug, Default)]
pub(super) struct Activity {
    moved: AtomicU64,
    hashed: AtomicU64,
}

impl Activity {
    /// Something moved.
    pub(super) fn moved(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes were hashed, which shows it as well.
    pub(super) fn hashed(&self, bytes: u64) {
        self.hashed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns how many bytes were hashed so far.
    pub(super) fn bytes_hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    fn count(&self) -> u64 {
        let moved = self.moved.load(Ordering::Relaxed);
        moved.wrapping_add(self.bytes_hashed())
    }
}

/// Compares counts at times that are passed in.
#[derive(Debug)]
pub(super) struct Watchdog {
    seen: u64,
    since: Instant,
    deadline: Duration,
}

impl Watchdog {
    pub(super) fn new(deadline: Duration, now: Instant) -> Self {
        Self {
            seen: 0,
            since: now,
            deadline,
        }
    }

    /// Returns true if nothing has moved for the deadline. `sent` are bytes sent in all.
    pub(super) fn is_stalled(&mut self, activity: &Activity, sent: u64, now: Instant) -> bool {
        let count = activity.count().wrapping_add(sent);
        if count != self.seen {
            self.seen = count;
            self.since = now;
        }
        now.duration_since(self.since) >= self.deadline
    }
}

/// Returns true if the destination has got further between two updates: only what it counts tells, since
/// time, rates and estimates change by themselves. A result has a message of its own; one that comes here could hold
/// a rate that is no number, and would not even be the same as itself.
pub(super) fn progressed(before: &ProgressUpdate, after: &ProgressUpdate) -> bool {
    let counted = |update: &ProgressUpdate| ProgressUpdate {
        elapsed_seconds: 0.0,
        idle_seconds: 0.0,
        bytes_per_second: 0,
        eta_seconds: None,
        summary: None,
        ..update.clone()
    };
    counted(before) != counted(after)
}

#[cfg(test)]
mod tests;
