//! What a run tells while it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::itemize::Item;

/// Receives events, from any thread of the run; must not block for long.
pub trait Events: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event<'_>);

    /// Returns true if [`Event::Entry`] is of interest: one for every change, with a path that costs time.
    fn wants_entries(&self) -> bool {
        false
    }
}

/// Ignores every event.
impl Events for () {
    fn event(&self, _event: &Event<'_>) {}
}

/// Something that happened in a run. Paths are relative to the root, as bytes.
#[derive(Debug)]
pub enum Event<'a> {
    /// A phase began.
    Phase(Phase),
    /// Where the run is; sent about once a second.
    Progress(Progress),
    /// An entry was changed at the destination, or in a dry run would be.
    Entry {
        /// Path.
        path: &'a [u8],
        /// What was done.
        change: Change,
        /// In what it differed before.
        item: Item,
        /// Target of a symbolic link, or the name that an entry was linked to.
        target: Option<&'a [u8]>,
    },
    /// A verification found the two sides to differ.
    Difference {
        /// Path.
        path: &'a [u8],
        /// In what: `missing`, `extraneous`, `kind`, `content`, `target`, `device`, `owner`, `mode`, `time`,
        /// `links`, or a kind of extended attribute.
        what: &'static str,
    },
    /// Something worth knowing that is not a failure.
    Note {
        /// Path, if it is about one entry.
        path: &'a [u8],
        /// What kind of thing: `vanished`, `unstable`, `waiting`, `reserved`, or `notKept`, for the first entries of
        /// each kind of attribute.
        kind: &'static str,
        /// The rest, for people.
        message: String,
    },
    /// An entry could not be brought over.
    Failed {
        /// Path.
        path: &'a [u8],
        /// Why, for people.
        message: String,
    },
    /// A system call has not returned for long.
    Slow {
        /// Name of the call.
        call: &'static str,
        /// Path of the object; absolute where it is below neither root.
        path: &'a [u8],
        /// How long it takes by now.
        took: Duration,
    },
    /// Deletions below a directory are not done.
    Withheld {
        /// Path of the directory.
        path: &'a [u8],
        /// Why.
        reason: String,
    },
}

/// Phases of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Listing and copying go on together.
    Copy,
    /// Counting and doing deletions.
    Delete,
    /// Making everything durable and removing the run's state.
    Finish,
}

impl Phase {
    /// Name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Delete => "delete",
            Self::Finish => "finish",
        }
    }
}

/// What was done to an entry, or in a dry run would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It is new.
    Created,
    /// It took the place of another content.
    Replaced,
    /// It was made a link of another name.
    Linked,
    /// Only attributes were set.
    Attributes,
    /// It was deleted.
    Deleted,
}

impl Change {
    /// Name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replaced => "replaced",
            Self::Linked => "linked",
            Self::Attributes => "attributes",
            Self::Deleted => "deleted",
        }
    }
}

/// Where a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The whole source has been listed, so that totals are final.
    pub scan_complete: bool,
    /// Entries of the source seen so far, directories left out.
    pub files_total: u64,
    /// Of these: copied, linked or made.
    pub files_copied: u64,
    /// Of these: found as they should be.
    pub files_unchanged: u64,
    /// Of these: failed.
    pub files_failed: u64,
    /// Entries deleted.
    pub files_deleted: u64,
    /// Bytes of content of the files seen so far.
    pub bytes_total: u64,
    /// Bytes of content written.
    pub bytes_copied: u64,
    /// Bytes of content of files that needed no copy.
    pub bytes_unchanged: u64,
    /// Bytes of content that were read on both sides and are the same.
    pub bytes_compared: u64,
    /// Bytes of content that a source on another host says it has read to compare them.
    pub bytes_hashed: u64,
    /// Of the entries seen so far: found to differ by a verification.
    pub files_different: u64,
    /// Entries whose attributes alone were set right.
    pub metadata_repaired: u64,
    /// Entries of which an attribute could not be kept, by kind of attribute.
    pub not_kept: BTreeMap<&'static str, u64>,
    /// Time since the run began.
    pub elapsed: Duration,
}
