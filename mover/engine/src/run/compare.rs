//! Comparing the content of a file before anything is copied: the same content is kept, and at most its
//! attributes are set.
//!
//! What cannot be read to the end, changes meanwhile or is not what was planned is left to the copy, which
//! knows what to do about each of these.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::orchestrator::Run;
use super::planner::{FileTask, Sides};
use crate::fs::copy::Copier;
use crate::fs::dir::stat_fd;
use crate::fs::same::{self, CompareError};
use crate::tree::{ReadStatus, SourceFile};

impl Run {
    /// Compares both files on this host. Returns true if the task is done with, false if it has to be copied.
    pub(super) fn is_right(
        self: &Arc<Self>,
        task: &mut FileTask,
        sides: &Sides,
        copier: &mut Copier,
    ) -> bool {
        // Once is enough: a copy that is tried again has had its reason.
        task.compare = false;
        let (Some(source), Some(existing)) = (&sides.source, &task.existing) else {
            return false;
        };
        let Ok(file) = SourceFile::open(source, &task.entry) else {
            return false;
        };
        let Ok(there) = sides.destination.open_file(&task.entry.name) else {
            return false;
        };
        let planned = stat_fd(there.as_fd()).is_ok_and(|found| found.same_state(existing));
        if file.is_fresh() || !planned {
            return false;
        }
        let first = same::Side {
            fd: file.fd(),
            sparse: task.entry.meta.is_sparse(),
        };
        let second = same::Side {
            fd: there.as_fd(),
            sparse: existing.is_sparse(),
        };
        let mut compared = |bytes| {
            self.counters.bytes_compared.fetch_add(bytes, Relaxed);
            !self.must_end()
        };
        let size = task.entry.meta.size;
        match (copier.comparer).same(first, second, 0, size, &mut compared) {
            Ok(true) => file.verify() == ReadStatus::Stable && self.keep_content(sides, task),
            Ok(false) | Err(CompareError::First(_) | CompareError::Second(_)) => {
                if let Some(item) = &mut task.item {
                    item.content = true;
                }
                false
            }
            // The run ends.
            Err(CompareError::Cancelled) => true,
        }
    }
}
