//! Counts that all workers add to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use super::events::Progress;
use super::summary::{FailedEntry, NotKept, Proven, Summary, Withheld};
use crate::activity::Ledger;
use crate::plan::fast_path::{FastPath, Whole, taken};
use crate::tree::node::lock;

/// Names kept of each kind of trouble; the counts are exact all the same.
const NAMES: usize = 20;

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) started: Instant,
    pub(crate) scan_complete: AtomicBool,
    /// When the last entry of the source was planned.
    pub(crate) planned: OnceLock<Instant>,
    pub(crate) files_total: AtomicU64,
    pub(crate) files_copied: AtomicU64,
    pub(crate) files_unchanged: AtomicU64,
    pub(crate) files_deleted: AtomicU64,
    pub(crate) files_failed: AtomicU64,
    pub(crate) metadata_repaired: AtomicU64,
    pub(crate) directories_created: AtomicU64,
    pub(crate) bytes_total: AtomicU64,
    pub(crate) largest_file: AtomicU64,
    pub(crate) largest_directory: AtomicU64,
    pub(crate) bytes_copied: AtomicU64,
    pub(crate) bytes_unchanged: AtomicU64,
    pub(crate) bytes_compared: AtomicU64,
    pub(crate) bytes_hashed: AtomicU64,
    pub(crate) files_different: AtomicU64,
    pub(crate) differences: AtomicU64,
    pub(crate) vanished: AtomicU64,
    pub(crate) unstable: AtomicU64,
    pub(crate) verified: AtomicU64,
    pub(crate) altered: AtomicU64,
    pub(crate) unverified: AtomicU64,
    pub(crate) destination_entries: AtomicU64,
    pub(crate) first_byte: OnceLock<Instant>,
    /// Where the time goes.
    pub(crate) ledger: Ledger,
    pub(crate) failed: Mutex<Vec<FailedEntry>>,
    pub(crate) withheld: Mutex<Vec<Withheld>>,
    pub(crate) not_kept: Mutex<BTreeMap<&'static str, NotKept>>,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            scan_complete: AtomicBool::default(),
            planned: OnceLock::new(),
            files_total: AtomicU64::default(),
            files_copied: AtomicU64::default(),
            files_unchanged: AtomicU64::default(),
            files_deleted: AtomicU64::default(),
            files_failed: AtomicU64::default(),
            metadata_repaired: AtomicU64::default(),
            directories_created: AtomicU64::default(),
            bytes_total: AtomicU64::default(),
            largest_file: AtomicU64::default(),
            largest_directory: AtomicU64::default(),
            bytes_copied: AtomicU64::default(),
            bytes_unchanged: AtomicU64::default(),
            bytes_compared: AtomicU64::default(),
            bytes_hashed: AtomicU64::default(),
            files_different: AtomicU64::default(),
            differences: AtomicU64::default(),
            vanished: AtomicU64::default(),
            unstable: AtomicU64::default(),
            verified: AtomicU64::default(),
            altered: AtomicU64::default(),
            unverified: AtomicU64::default(),
            destination_entries: AtomicU64::default(),
            first_byte: OnceLock::new(),
            ledger: Ledger::default(),
            failed: Mutex::default(),
            withheld: Mutex::default(),
            not_kept: Mutex::default(),
        }
    }

    /// Everything is listed and planned: from now on the totals are known, long before the last byte is there.
    pub(crate) fn all_planned(&self) {
        let _ = self.planned.set(Instant::now());
        self.scan_complete.store(true, Relaxed);
    }

    /// Counts content bytes that were written.
    pub(crate) fn wrote(&self, bytes: u64) {
        if bytes > 0 && self.bytes_copied.fetch_add(bytes, Relaxed) == 0 {
            let _ = self.first_byte.set(Instant::now());
        }
    }

    pub(crate) fn failed(&self, path: &[u8], message: &str) {
        self.files_failed.fetch_add(1, Relaxed);
        let mut failed = lock(&self.failed);
        if failed.len() < NAMES {
            failed.push(FailedEntry {
                path: path.into(),
                message: message.to_owned(),
            });
        }
    }

    /// Counts an attribute that could not be kept. Returns the path if the entry is one of those that are
    /// named.
    pub(crate) fn not_kept(
        &self,
        attribute: &'static str,
        path: impl FnOnce() -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        let mut not_kept = lock(&self.not_kept);
        let kind = not_kept.entry(attribute).or_default();
        kind.count += 1;
        (kind.paths.len() < NAMES).then(|| {
            let path = path();
            kind.paths.push(path.as_slice().into());
            path
        })
    }

    /// Returns the path that a run took that ended so.
    pub(crate) fn fast_path(&self, summary: &Summary) -> Option<FastPath> {
        let progress = &summary.progress;
        let changed = progress.files_copied
            + progress.files_deleted
            + progress.metadata_repaired
            + summary.directories_created;
        let ended = summary.fatal.is_none() && summary.refusal.is_none();
        if !ended || !progress.scan_complete {
            return None;
        }
        taken(&Whole {
            untouched: changed == 0 && progress.files_failed == 0,
            files: progress.files_total,
            bytes: progress.bytes_total,
            largest_file: self.largest_file.load(Relaxed),
            largest_directory: self.largest_directory.load(Relaxed),
        })
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            scan_complete: self.scan_complete.load(Relaxed),
            files_total: self.files_total.load(Relaxed),
            files_copied: self.files_copied.load(Relaxed),
            files_unchanged: self.files_unchanged.load(Relaxed),
            files_failed: self.files_failed.load(Relaxed),
            files_deleted: self.files_deleted.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
            bytes_copied: self.bytes_copied.load(Relaxed),
            bytes_unchanged: self.bytes_unchanged.load(Relaxed),
            bytes_compared: self.bytes_compared.load(Relaxed),
            bytes_hashed: self.bytes_hashed.load(Relaxed),
            files_different: self.files_different.load(Relaxed),
            metadata_repaired: self.metadata_repaired.load(Relaxed),
            not_kept: lock(&self.not_kept)
                .iter()
                .map(|(kind, found)| (*kind, found.count))
                .collect(),
            elapsed: self.started.elapsed(),
        }
    }

    /// Returns what a run that verifies has proven.
    pub(crate) fn proven(&self) -> Proven {
        Proven {
            files: self.verified.load(Relaxed),
            altered: self.altered.load(Relaxed),
            failed: self.unverified.load(Relaxed),
        }
    }

    /// Takes the figures of a run that is over. Why it ended is for the caller to add.
    pub(crate) fn summary(&self, run_id: &str) -> Summary {
        let progress = self.progress();
        Summary {
            run_id: run_id.to_owned(),
            dry_run: false,
            strict: false,
            directories_created: self.directories_created.load(Relaxed),
            metadata_repaired: progress.metadata_repaired,
            vanished: self.vanished.load(Relaxed),
            unstable: self.unstable.load(Relaxed),
            proven: None,
            differences: self.differences.load(Relaxed),
            failed: std::mem::take(&mut *lock(&self.failed)),
            withheld: std::mem::take(&mut *lock(&self.withheld)),
            not_kept: std::mem::take(&mut *lock(&self.not_kept)),
            destination_entries: self.destination_entries.load(Relaxed),
            refusal: None,
            interrupted: false,
            stalled: false,
            fatal: None,
            duration: progress.elapsed,
            first_byte: self.first_byte.get().copied(),
            planning: self
                .planned
                .get()
                .map(|at| at.saturating_duration_since(self.started)),
            spent: self.ledger.spent(),
            sync: None,
            fast_path: None,
            workers: None,
            progress,
        }
    }
}
