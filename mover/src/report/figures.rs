//! What is known about a run at one moment: the one shape that every kind of output is made from.
//!
//! Invariant: a total is only known once the scan of the source is complete, and a percentage or an
//! estimate of the time left exists only with a total.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a run is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// The other side has not come yet, or nothing has been listed.
    #[default]
    Waiting,
    /// Listing, comparing and copying, all at the same time.
    Copy,
    /// Deleting what the source does not have.
    Delete,
    /// Directory times, flushing to disk, removing the state of the run.
    Finish,
}

/// Figures of a run, complete enough for a progress line, an event, an RPC message and a status.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// What the run is doing.
    pub phase: Phase,
    /// True once the whole source has been listed; the totals are final then.
    pub scan_complete: bool,
    /// Entries of the source, directories left out, that are dealt with: copied, unchanged or failed.
    pub files_done: u64,
    /// Entries of the source found so far, directories left out.
    pub files_found: u64,
    /// Entries of the source; `None` before the scan is complete.
    pub files_total: Option<u64>,
    /// Content bytes that are written or were there already.
    pub bytes_done: u64,
    /// Content bytes of the source found so far.
    pub bytes_found: u64,
    /// Content bytes of the source; `None` before the scan is complete.
    pub bytes_total: Option<u64>,
    /// Of the entries done: written because they were new or different.
    pub files_copied: u64,
    /// Of the entries done: found as they should be.
    pub files_unchanged: u64,
    /// Of the bytes done: written by this run.
    pub bytes_copied: u64,
    /// Bytes that were read on both sides and are the same; only where content is compared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_compared: u64,
    /// Bytes that a source on another host has read to compare them; only where content is compared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_hashed: u64,
    /// Entries deleted.
    pub files_deleted: u64,
    /// Entries that failed.
    pub files_failed: u64,
    /// Entries of which only attributes were set.
    #[serde(default)]
    pub metadata_repaired: u64,
    /// Entries of which attributes could not be kept, by kind of attribute.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_kept: BTreeMap<String, u64>,
    /// Content bytes written a second, smoothed; `None` before anything moved.
    pub bytes_per_second: Option<u64>,
    /// Time left in seconds; `None` where it cannot be known.
    pub eta_seconds: Option<u64>,
    /// Time since the run began, in seconds.
    pub elapsed_seconds: f64,
}

impl Figures {
    /// Returns the share that is done, 0 to 100, once the scan is complete; 100 only when nothing is left.
    pub fn percent(&self) -> Option<u8> {
        let (files, bytes) = self.totals()?;
        let (done, total) = if bytes > 0 {
            (self.bytes_done, bytes)
        } else {
            (self.files_done, files)
        };
        if total == 0 || (done >= total && self.files_done >= files) {
            return Some(100);
        }
        let percent = u128::from(done) * 100 / u128::from(total);
        Some(u8::try_from(percent.min(99)).unwrap_or(99))
    }

    /// Returns the time left at `rate` bytes a second, once the scan is complete.
    ///
    /// `files_rate` (files a second) stands in while no bytes are left or none move: a tree of empty files
    /// takes time too. The longer of the two counts.
    pub fn eta(&self, bytes_rate: f64, files_rate: f64) -> Option<Duration> {
        let (files, bytes) = self.totals()?;
        let left = |done: u64, total: u64, rate: f64| match total.saturating_sub(done) {
            0 => Some(0.0),
            // A day and more at less than one unit a second is no estimate but noise.
            _ if rate < 1.0 => None,
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            rest => Some(rest as f64 / rate),
        };
        let by_bytes = left(self.bytes_done, bytes, bytes_rate);
        let by_files = left(self.files_done, files, files_rate);
        let seconds = match (by_bytes, by_files) {
            (Some(a), Some(b)) => a.max(b),
            (Some(0.0), None) | (None, Some(0.0)) | (None, None) => return None,
            (Some(a), None) | (None, Some(a)) => a,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Returns true if `later` shows that something moved since.
    pub fn advanced_to(&self, later: &Self) -> bool {
        (self.phase, self.scan_complete) != (later.phase, later.scan_complete)
            || self.files_found != later.files_found
            || self.files_done != later.files_done
            || self.bytes_done != later.bytes_done
            || self.bytes_copied != later.bytes_copied
            || self.bytes_compared != later.bytes_compared
            || self.bytes_hashed != later.bytes_hashed
            || self.files_deleted != later.files_deleted
            || self.files_failed != later.files_failed
            || self.metadata_repaired != later.metadata_repaired
    }

    fn totals(&self) -> Option<(u64, u64)> {
        if !self.scan_complete {
            return None;
        }
        self.files_total.zip(self.bytes_total)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests;
