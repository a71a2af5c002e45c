//! What each call that came to the canary leaves there.
//!
//! Calls that make, link, rename or remove a name never follow its last component, whatever the program asks for: it
//! is a directory on the way that leads them out, and so their mark is a name that came or went. Calls that set
//! attributes go to a handle of the name: opened through a link it is the canary's, and so their mark is on an inode
//! that was there before. Not every such handle can be made to do harm: where attributes of what was there are set right,
//! the inode is compared with what was listed, and one that a link led to is refused even if links are followed. What
//! the program has just made itself is not in any list, and it is there that these marks come from.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, lgetxattr};

use super::setting::{Setting, WANTED, each};

/// An entry of the canary.
struct Seen {
    meta: fs::Metadata,
    has_wanted: bool,
}

/// The canary at one moment.
pub(super) struct Canary(BTreeMap<PathBuf, Seen>);

/// One entry of the canary before and after something was done to it; of one that is new, or gone, there is half.
type Change<'a> = (&'a Path, Option<&'a Seen>, Option<&'a Seen>);

/// Tells whether a change shows a call.
type Mark = fn(Change<'_>) -> bool;

/// Each call, and how it shows what it did to the canary.
const MARKS: [(&str, Mark); 11] = [
    // A local mirror opens to write only what it makes with the same call. A run of movers opens a begun file, see
    // `resumed::links`; that a file of the source is opened shows at the destination.
    ("open", |(_, before, after)| {
        made(before, after).is_some_and(|meta| meta.is_file() && meta.nlink() == 1)
    }),
    ("mkdir", |(_, before, after)| {
        made(before, after).is_some_and(fs::Metadata::is_dir)
    }),
    ("mknod", |(_, before, after)| {
        made(before, after).is_some_and(|meta| is_fifo(meta) && meta.nlink() == 1)
    }),
    ("symlink", |(_, before, after)| {
        made(before, after).is_some_and(fs::Metadata::is_symlink)
    }),
    ("link", |(_, before, after)| {
        made(before, after).is_some_and(|meta| meta.is_file() && meta.nlink() > 1)
    }),
    // A directory gets its name when it is whole.
    ("rename", |(path, before, after)| {
        made(before, after).is_some_and(fs::Metadata::is_dir) && path.ends_with("new-sub")
    }),
    ("unlink", |(_, before, after)| {
        before.is_some() && after.is_none()
    }),
    ("chmod", |change| {
        set(change, |was, is| was.meta.mode() != is.meta.mode())
    }),
    ("chown", |change| {
        set(change, |was, is| was.meta.uid() != is.meta.uid())
    }),
    ("utimens", |change| {
        set(change, |was, is| mtime(was) != mtime(is))
    }),
    ("xattr", |change| {
        set(change, |was, is| was.has_wanted != is.has_wanted)
    }),
];

impl Canary {
    pub(super) fn of(setting: &Setting) -> Self {
        let mut seen = BTreeMap::new();
        each(&setting.canary(), &mut |path, meta| {
            let has_wanted = lgetxattr(path, WANTED, &mut [0; 8][..]).is_ok();
            seen.insert(path.to_owned(), Seen { meta, has_wanted });
        });
        Self(seen)
    }

    /// Returns the calls that must have come to the canary for it to have become another.
    pub(super) fn marks(&self, later: &Self) -> Vec<&'static str> {
        let paths = self.0.keys().chain(later.0.keys());
        let changes: Vec<Change<'_>> = paths
            .map(|path| (path.as_path(), self.0.get(path), later.0.get(path)))
            .collect();
        let shows = |mark: &Mark| changes.iter().any(|change| mark(*change));
        let shown = MARKS.iter().filter(|(_, mark)| shows(mark));
        shown.map(|(call, _)| *call).collect()
    }
}

/// What is new.
fn made<'a>(before: Option<&Seen>, after: Option<&'a Seen>) -> Option<&'a fs::Metadata> {
    match before {
        None => after.map(|seen| &seen.meta),
        Some(_) => None,
    }
}

/// An attribute of an inode was set that only a call for it sets. The time of a directory follows its names.
fn set((_, before, after): Change<'_>, differs: fn(&Seen, &Seen) -> bool) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    let same = before.meta.ino() == after.meta.ino() && !after.meta.is_dir();
    same && before.meta.len() == after.meta.len() && differs(before, after)
}

fn mtime(seen: &Seen) -> (i64, i64) {
    (seen.meta.mtime(), seen.meta.mtime_nsec())
}

fn is_fifo(meta: &fs::Metadata) -> bool {
    FileType::from_raw_mode(meta.mode()) == FileType::Fifo
}
