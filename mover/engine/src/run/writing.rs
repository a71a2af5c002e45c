//! Whether this run may write, and its orderly end: the state in the destination comes before the first
//! change and goes after the last.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::orchestrator::Run;
use super::state::LOOK_EVERY;
use super::summary::Fatal;
use crate::activity::{self, Activity};
use crate::fs::FsError;

impl Run {
    /// Checks that no other run has taken over; false ends the run.
    pub(super) fn is_owner(&self) -> bool {
        match self.state.still_ours(LOOK_EVERY) {
            Ok(()) => true,
            Err(fatal) => {
                self.end(fatal);
                false
            }
        }
    }

    /// Makes the run's state known in the destination before the first change, and checks later that it still
    /// is there; false ends the run.
    pub(super) fn before_write(&self) -> bool {
        if self.options.dry_run {
            // Whoever asks would write now. Nobody should have come here, and nobody gets further.
            debug_assert!(false, "a dry run was about to write");
            return false;
        }
        let mut written = self.state.before_write();
        let no_space =
            matches!(&written, Err(Fatal::Destination(error)) if error.errno == Errno::NOSPC);
        if no_space && self.state.previous_runs().next().is_some() {
            // What an earlier run left fills the destination: a run that frees space must be able to begin.
            self.sweep();
            written = self.state.before_write();
        }
        match written {
            Ok(()) => true,
            Err(fatal) => {
                self.end(fatal);
                false
            }
        }
    }

    /// Removes what is left of earlier runs, makes everything durable if asked for, removes the state, and
    /// sets the root's own attributes last. The state goes only when the data is safe: after a crash in
    /// between, it is what makes the next run distrust files that have size and time but no content.
    pub(super) fn finish(&self, complete: bool) -> Option<Duration> {
        if self.options.dry_run {
            if complete && !self.must_end() {
                self.finalise(&self.root);
            }
            return None;
        }
        if complete {
            self.sweep();
        }
        // A run that ends early reports no success, and its state makes the next one look closer.
        let synced = (complete && self.options.fsync && self.state.has_written()).then(|| {
            let begun = Instant::now();
            self.sync();
            begun.elapsed()
        });
        if complete && !self.must_end() {
            // Of late work in other directories something can be left at the root too.
            self.tidy(&self.root);
            let removed = match self.leaves_something.load(Relaxed) {
                // By the state the next run knows that it is ours.
                true => Ok(false),
                false => self.state.remove(),
            };
            match removed {
                Ok(true) => self.root.touch(),
                Ok(false) => {}
                Err(fatal) => {
                    self.end(fatal);
                    return synced;
                }
            }
            self.finalise(&self.root);
        }
        synced
    }

    /// Writes the destination's file system to its device.
    pub(super) fn sync(&self) {
        let _flushing = activity::during(Activity::Write);
        let synced = self.root.node.open().and_then(|dir| {
            dir.sync_filesystem()
                .map_err(|errno| FsError::new("sync", b"", errno))
        });
        if let Err(error) = synced {
            self.end(Fatal::Destination(error));
        }
    }
}
