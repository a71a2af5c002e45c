//! Where listings and bytes come from: the two traits that separate the engine from its source.
//!
//! Local content is a file handle; remote content arrives in any order and is applied as it comes. That
//! is why [`Content`] has two shapes, and why the listing is a trait of its own.

use std::sync::Arc;
use std::time::Duration;

use super::arrivals::Arrivals;
use crate::entry::{DirId, Entry};
use crate::fs::{Dir, FsError};

/// A piece of the listing of one source directory.
#[derive(Debug)]
pub struct Part {
    /// The directory.
    pub dir: DirId,
    /// Number of this piece within the directory, from 0.
    pub part: u32,
    /// Entries, in no particular order.
    pub entries: Vec<Entry>,
    /// Set on the last piece of the directory.
    pub end: Option<End>,
}

/// How the listing of a directory ended. The end of a stream is not an end of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was listed: the number of entries over all parts.
    Complete {
        /// Entries in all parts of the directory together.
        count: u64,
    },
    /// It is another file system, which is not part of the tree: nothing of it was listed, and nothing is
    /// deleted below this directory.
    NotEntered,
    /// Something could not be read; nothing may be deleted below this directory.
    Incomplete {
        /// What failed, for people.
        reason: String,
    },
}

/// What [`Listing::next`] returns.
#[derive(Debug)]
pub enum Next {
    /// A piece of a listing.
    Part(Part),
    /// Nothing now; another call may have more.
    Pending,
    /// Every directory has been listed.
    Finished,
}

/// Why the source cannot go on.
#[derive(Debug, thiserror::Error, Clone)]
pub enum SourceError {
    /// The other side went away or broke the protocol.
    #[error("the source is gone: {0}")]
    Lost(String),
    /// Nothing moved for so long that it gave up.
    #[error("the source gave up: {0}")]
    Stalled(String),
    /// The root of the source cannot be read.
    #[error("cannot read the source: {0}")]
    Root(String),
    /// The destination lies inside the source.
    #[error(
        "the destination is inside the source, at {0}: a tree cannot be copied into itself; choose another destination"
    )]
    Nested(String),
    /// The source reported an error that ends the run.
    #[error("{0}")]
    Other(String),
}

/// The listing of the source, as a stream of parts.
///
/// Many threads call this; order is: the part that names a directory comes before the parts of that
/// directory are *handed out by the source*, but two threads may process them in either order.
pub trait Listing: Send + Sync {
    /// Returns the root directory itself (its name is empty).
    fn root(&self) -> Result<Entry, SourceError>;

    /// Returns the next part. Waits up to `wait` for one that comes from elsewhere; a local source scans
    /// on the calling thread, and hands on what it has found when that has taken so long.
    fn next(&self, wait: Duration) -> Result<Next, SourceError>;

    /// Tells the source that no entry of this part will be wanted any more. With `keep`, the directory
    /// may be listed again by [`Self::relist`].
    fn done(&self, dir: DirId, part: u32, keep: bool);

    /// Tells what is known of the work of a source on another host; one on this host works on the threads of its
    /// callers.
    fn elsewhere(&self) -> Elsewhere {
        Elsewhere::Nobody
    }

    /// Returns how many bytes a source on another host has hashed so far, as it says.
    fn hashed_elsewhere(&self) -> u64 {
        0
    }

    /// Nothing of this directory is wanted, nor of what is below it: a source may leave it unlisted. Parts
    /// of it can come all the same.
    fn skip(&self, _dir: DirId) {}

    /// Lists the names of a directory again, right before deletions in it. An error withholds them.
    fn relist(&self, dir: DirId) -> Result<Vec<Box<[u8]>>, SourceError>;
}

/// What a source on another host does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// There is none, or it does not tell.
    Nobody,
    /// It reads, or sends, or is in a system call: what it does, if it says that.
    Busy(String),
    /// It has nothing to do, and says what it waits for.
    Idle(String),
}

/// Where the bytes of files come from.
#[derive(Clone)]
pub enum Content {
    /// Handles on this host.
    Handles(Arc<dyn Handles>),
    /// Bytes that arrive.
    Arriving {
        /// Takes requests.
        wants: Arc<dyn Wants>,
        /// Where arriving bytes are handed in.
        arrivals: Arc<Arrivals>,
    },
}

/// Source files on this host.
pub trait Handles: Send + Sync {
    /// Opens a listed directory.
    fn directory(&self, dir: DirId) -> Result<Arc<Dir>, FsError>;
}

/// A request for the content of one listed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Number of the request; what arrives carries it.
    pub id: u64,
    /// Directory, part and position in the part: the source opens only what it listed.
    pub dir: DirId,
    /// Part of the directory's listing.
    pub part: u32,
    /// Position within the part.
    pub index: u32,
    /// Length when it was listed, in bytes; for the window only.
    pub size: u64,
    /// Not the content is wanted but its BLAKE3.
    pub hash: bool,
}

/// A request for a part of a listed file, or for what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartWant {
    /// Number of the request; what arrives carries it.
    pub id: u64,
    /// Directory, part and position in the part.
    pub dir: DirId,
    /// Part of the directory's listing.
    pub part: u32,
    /// Position within the part.
    pub index: u32,
    /// What is wanted.
    pub what: Wanted,
}

/// What is wanted of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The content of ranges, as (offset, length), in ascending order; at most
    /// [`WANT_RANGES`](crate::plan::blocks::WANT_RANGES).
    Ranges(Vec<(u64, u64)>),
    /// The hashes of blocks (see [`crate::fs::blocks`]), at most of a region.
    Blocks {
        /// Where the first one begins.
        offset: u64,
        /// Length of all of them.
        length: u64,
    },
}

/// Takes requests for content that will arrive.
pub trait Wants: Send + Sync {
    /// Sends requests; blocks while the window is full.
    fn want(&self, wants: &[Want]) -> Result<(), SourceError>;

    /// Returns true if the source can send parts of files, and hashes of blocks.
    fn can_assemble(&self) -> bool {
        false
    }

    /// Sends requests for parts; blocks while the window is full. Only where [`Self::can_assemble`].
    fn want_parts(&self, _wants: &[PartWant]) -> Result<(), SourceError> {
        Err(SourceError::Other(
            "this source cannot send parts of files".to_owned(),
        ))
    }

    /// The run ends early: whoever waits for the source, in here or in a listing, gets an error.
    fn give_up(&self) {}

    /// Returns true if the source can answer with a hash.
    fn can_hash(&self) -> bool {
        false
    }
}
