//! How a run ended, in figures.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::events::Progress;
use super::source::SourceError;
use crate::activity::Spent;
use crate::fs::FsError;
use crate::plan::fast_path::FastPath;
use crate::plan::guard::Refusal;

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Id of the run.
    pub run_id: String,
    /// Nothing was done: the counts are of what would be.
    pub dry_run: bool,
    /// What could not be kept is a failure.
    pub strict: bool,
    /// Final counts.
    pub progress: Progress,
    /// Directories that were made.
    pub directories_created: u64,
    /// Entries whose attributes alone were set right.
    pub metadata_repaired: u64,
    /// Files that were gone when they were to be read: no failure.
    pub vanished: u64,
    /// Differences that a verification found.
    pub differences: u64,
    /// Files that were written to each time they were read; the destination keeps its old version.
    pub unstable: u64,
    /// What was proven of what was brought over, where the run verifies.
    pub proven: Option<Proven>,
    /// Entries that failed: the first 20; the count is in `progress`.
    pub failed: Vec<FailedEntry>,
    /// Directories below which deletions were withheld.
    pub withheld: Vec<Withheld>,
    /// What could not be kept, by attribute.
    pub not_kept: BTreeMap<&'static str, NotKept>,
    /// Entries at the destination that the guard saw.
    pub destination_entries: u64,
    /// The guard refused, and nothing was deleted.
    pub refusal: Option<Refusal>,
    /// The run was cancelled.
    pub interrupted: bool,
    /// The run was cancelled because it made no progress.
    pub stalled: bool,
    /// What ended the run early.
    pub fatal: Option<Fatal>,
    /// From the start of the run to its end.
    pub duration: Duration,
    /// When the first content byte was written.
    pub first_byte: Option<Instant>,
    /// From the start of the run until everything was listed and planned; copying went on meanwhile.
    pub planning: Option<Duration>,
    /// What the threads of the run spent their time on.
    pub spent: Spent,
    /// Time the final sync took, where one was asked for.
    pub sync: Option<Duration>,
    /// The shape of work that the run met, if it is one of the known ones.
    pub fast_path: Option<FastPath>,
    /// Workers that turned out right; `None` where the run was too short to learn it, or they were not its to choose.
    pub workers: Option<usize>,
}

impl Summary {
    /// Returns true if the destination is now what was asked for.
    pub fn is_complete(&self) -> bool {
        self.fatal.is_none()
            && self.refusal.is_none()
            && !self.interrupted
            && !self.stalled
            && self.progress.files_failed == 0
            && self.unstable == 0
            && self.differences == 0
            && self.withheld.is_empty()
            && (!self.strict || self.not_kept.is_empty())
    }
}

/// What was proven of the content that a run brought over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proven {
    /// Files that are what the source has.
    pub files: u64,
    /// How often what was brought over was something else, whatever became of it.
    pub altered: u64,
    /// Files that failed because it was so each time.
    pub failed: u64,
}

/// An entry that could not be brought over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedEntry {
    /// Path relative to the root.
    pub path: Box<[u8]>,
    /// Why, for people.
    pub message: String,
}

/// A directory below which nothing was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Path relative to the root.
    pub path: Box<[u8]>,
    /// Why, for people.
    pub reason: String,
}

/// An attribute that could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotKept {
    /// On how many entries.
    pub count: u64,
    /// The first 20 of them.
    pub paths: Vec<Box<[u8]>>,
}

/// What ended a run early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fatal {
    /// The source cannot go on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Planner and workers waited for each other, or for a source that had nothing to do.
    #[error(
        "nothing has moved for {0} s, and nobody was at work: the run waited for {1}; run again, which resumes, and \
         report this message if it comes again"
    )]
    Stalled(u64, String),
    /// Nothing moved for the progress deadline, though somebody may have been at work.
    #[error(
        "nothing has moved for the whole progress deadline: the run waited for {0}; look for a stuck file system or network, \
         then run again, which resumes"
    )]
    Deadline(String),
    /// There is no space left at the destination.
    #[error(
        "the destination is full: no space for {0}; free space or choose a larger destination, and run again: what has arrived is kept"
    )]
    DestinationFull(String),
    /// The root of the destination, or the run's state in it, cannot be written.
    #[error("cannot write to the destination: {0}")]
    Destination(FsError),
    /// Another run has the destination.
    #[error(
        "another run is writing to this destination ({0}); wait until it has ended, then run again"
    )]
    Locked(String),
    /// Something that is not a run's state has its name.
    #[error(
        "`.blit` at the top of the destination was not made by Blit, which needs this name; rename it"
    )]
    ForeignState,
    /// A newer attempt of the same job has taken over.
    #[error("attempt {0} of the same job has this destination; this attempt must not write")]
    NewerAttempt(u32),
    /// Somebody took the run's state away.
    #[error(
        "`.blit` at the top of the destination no longer holds the state of this run; another run may \
         have begun, so this one has stopped: run again when no other runs"
    )]
    Replaced,
}
