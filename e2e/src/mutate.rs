//! Random changes to a tree on disk: what people and programs do to a source between two runs.
//!
//! The changes depend on the seed and on the tree alone, and are logged, so that a failure can be replayed
//! and read. Contents are never rewritten with the old time and size: no tool that does not read
//! everything could see that.

mod change;
mod index;

use std::fmt;
use std::path::Path;

use crate::error::{Context, Error, Result};
use crate::seed::Random;
use index::Index;

/// One kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file that was not there.
    NewFile,
    /// A directory that was not there, with a file.
    NewDirectory,
    /// A file became longer, sometimes by a hole.
    Grown,
    /// A file became shorter.
    Shrunk,
    /// A file has other bytes, as many as before.
    Rewritten,
    /// An entry has another name in the same directory.
    Renamed,
    /// An entry is gone, with all below.
    Removed,
    /// A file became a directory.
    FileToDirectory,
    /// A file became a symbolic link.
    FileToSymlink,
    /// A directory became a file.
    DirectoryToFile,
    /// A directory became a symbolic link.
    DirectoryToSymlink,
    /// A symbolic link became a file.
    SymlinkToFile,
    /// A symbolic link became a directory.
    SymlinkToDirectory,
    /// A symbolic link has another target.
    Retargeted,
    /// Only the mode.
    Mode,
    /// Only the owner.
    Owner,
    /// Only the time.
    Time,
    /// Only an extended attribute: set, changed or removed.
    Xattr,
    /// A file got another name.
    Linked,
    /// A name of a file became a file of its own with the same content.
    Unlinked,
    /// A directory is elsewhere, with all below.
    Moved,
}

/// All kinds; each is tried as often as any other.
pub const KINDS: [Kind; 21] = [
    Kind::NewFile,
    Kind::NewDirectory,
    Kind::Grown,
    Kind::Shrunk,
    Kind::Rewritten,
    Kind::Renamed,
    Kind::Removed,
    Kind::FileToDirectory,
    Kind::FileToSymlink,
    Kind::DirectoryToFile,
    Kind::DirectoryToSymlink,
    Kind::SymlinkToFile,
    Kind::SymlinkToDirectory,
    Kind::Retargeted,
    Kind::Mode,
    Kind::Owner,
    Kind::Time,
    Kind::Xattr,
    Kind::Linked,
    Kind::Unlinked,
    Kind::Moved,
];

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What kind.
    pub kind: Kind,
    /// Path below the root, before the change, escaped.
    pub path: String,
    /// The path it went to or came from, if there is one, escaped.
    pub other: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.path)?;
        self.other
            .iter()
            .try_for_each(|other| write!(f, " -> {other}"))
    }
}

/// Makes exactly so many changes and returns them in order.
pub fn mutate(root: &Path, count: usize, seed: u64) -> Result<Vec<Change>> {
    let mut random = Random::new(seed);
    let mut index = Index::of(root)?;
    let mut changes = Vec::new();
    // Not every kind fits every tree; new files always do, so this ends long before the limit.
    for _ in 0..count.saturating_mul(1000) {
        if changes.len() == count {
            return Ok(changes);
        }
        let Some(kind) = random.pick(&KINDS) else {
            break;
        };
        let made = change::make(*kind, &mut index, &mut random);
        changes.extend(made.context("change something in", root)?);
    }
    Err(Error::Machine(format!(
        "found no {count} changes to make in {}",
        root.display()
    )))
}

#[cfg(test)]
mod tests;
