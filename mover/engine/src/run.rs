//! The run of a destination: asks for listings, decides, fetches, writes, deletes, reports.
//!
//! Shape: plain threads that all do the same. Each takes whatever is most useful next: apply a batch if
//! enough are queued, else plan the next part of the listing, which queues more. So the planner feeds the
//! workers and is the workers, nothing starts late, and a full queue makes the planner apply what it
//! planned instead of waiting.
//!
//! Order of a run: the guard looks at both tops; everything is copied while it is listed; deferred
//! replacements and deletions follow when all copies are done and the guard has approved their whole count.

mod answers;
pub mod arrivals;
mod assembly;
mod cancel;
mod compare;
mod counters;
mod deletions;
mod directories;
pub(crate) mod directory;
pub mod events;
mod files;
mod folding;
mod foreign_names;
mod hashes;
mod leaves;
mod naming;
mod orchestrator;
mod planner;
mod purge;
mod queue;
mod rehearsal;
mod reporting;
mod selection;
mod slots;
pub mod source;
pub(crate) mod state;
mod summary;
mod tops;
mod verify;
mod watching;
mod workers;
mod write_back;
mod writing;

use std::sync::Arc;

pub use crate::activity::Spent;
pub use arrivals::{Arrivals, Incoming, Tail};
pub use cancel::Cancel;
pub use events::{Event, Events, Phase, Progress};
pub use orchestrator::run;
pub use purge::{Purged, purge};
pub use reporting::{RESERVED, RESERVED_NAME};
pub use selection::Existing;
pub use source::{
    Content, Elsewhere, End, Handles, Listing, Next, Part, PartWant, SourceError, Want, Wanted,
    Wants,
};
pub use state::{STATE_DIR, new_run_id};
pub use summary::{FailedEntry, Fatal, NotKept, Proven, Summary, Withheld};
pub use verify::{Verification, verify};

use crate::filter::Filters;
use crate::fs::Dir;
pub use crate::fs::ability::OwnerMap;
pub use crate::plan::guard::MaxDelete;
pub use crate::tree::ReadStatus;

/// What a run does with entries that the source does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Operation {
    /// They stay.
    #[default]
    Copy,
    /// They are deleted.
    Mirror,
}

/// What the root of a destination was before a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DestinationRoot {
    /// It was there.
    #[default]
    Exists,
    /// It was made for this run, and is reported as new.
    Made,
    /// It does not exist. Only for a dry run: [`Job::destination`] is a directory above it, in which
    /// nothing is looked up.
    Missing,
}

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Copy or mirror.
    pub operation: Operation,
    /// Bound on deletions; `None` is the default rule.
    pub max_delete: Option<MaxDelete>,
    /// Bound on deletions of whoever owns the destination, where somebody else set the other.
    pub delete_limit: Option<MaxDelete>,
    /// A mirror of an empty source may empty the destination.
    pub allow_empty_source: bool,
    /// No device, set-id bit or file capability is written; what is left out is counted as not kept.
    pub without_special_files: bool,
    /// Files of one size are compared by content, whatever their times say.
    pub checksum: bool,
    /// What was brought over is proven to be what the source has: between hosts the source proves what it sent; on one
    /// host what was written is read again and compared.
    pub verify: bool,
    /// Everything is on stable storage before success is reported, and before the first deletion.
    pub fsync: bool,
    /// Nothing is written, not even the state of the run; what would be done is decided, counted and
    /// reported as if it were.
    pub dry_run: bool,
    /// What is left out. At the destination it is protected from deletion.
    pub filters: Arc<Filters>,
    /// What is left out is deleted at the destination all the same.
    pub delete_excluded: bool,
    /// Which entries are passed over because of what the destination has.
    pub existing: Existing,
    /// Owner and group that everything gets instead of the source's.
    pub owner: OwnerMap,
    /// What could not be kept is a failure.
    pub strict: bool,
    /// What the root of the destination was before.
    pub destination: DestinationRoot,
    /// Test switch: what is queued is never taken, so that the run stalls.
    pub block_queue: bool,
    /// Number of worker threads; `None` is one for each CPU this process may use, at least two, and more where that helps.
    pub workers: Option<usize>,
    /// With how many to begin where no number is given and these are more: what earlier runs found.
    pub first_workers: Option<usize>,
}

/// Who this run is, as written to the state in the destination.
#[derive(Clone, Debug, Default)]
pub struct RunIdentity {
    /// Id of the run (see [`new_run_id`]); empty makes one.
    pub run_id: String,
    /// Where the data comes from, for people.
    pub source: String,
    /// UID of the MirrorJob that the run is an attempt of.
    pub job_uid: Option<String>,
    /// Number of that attempt.
    pub attempt: u32,
}

/// One run.
pub struct Job {
    /// Root of the destination.
    pub destination: Dir,
    /// What the source holds.
    pub listing: Arc<dyn Listing>,
    /// Where its bytes come from.
    pub content: Content,
    /// How to run.
    pub options: Options,
    /// Who this is.
    pub identity: RunIdentity,
}
