//! Removing what was named, with all that is below it, without a source that it is compared with.
//!
//! It works on handles, never leaves the mount that it began on, and follows no link: a link that was named is
//! itself removed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::summary::FailedEntry;
use crate::apply::remove::{Removal, remove, survey};
use crate::entry::Kind;
use crate::fs::{Dir, Errno};
use crate::tree::node::lock;

/// Failed entries that are named; the count is exact all the same.
const NAMED: usize = 20;

/// What a purge came to.
#[derive(Clone, Debug, Default)]
pub struct Purged {
    /// Entries that were removed, or would be.
    pub removed: u64,
    /// Entries that could not be removed, directories that hold them left out.
    pub failed: u64,
    /// The first of these.
    pub failures: Vec<FailedEntry>,
}

/// Removes the entry `name` of a directory, of any kind, or says what that would do. `path` is how it is named in
/// what is said. What does not exist is no failure.
pub fn purge(dir: &Dir, name: &[u8], path: &[u8], dry_run: bool) -> Purged {
    let purge = Purge::default();
    match dry_run {
        true => survey(dir, name, path, &purge),
        false => remove(dir, name, path, &purge),
    };
    Purged {
        removed: purge.removed.load(Relaxed),
        failed: purge.failed.load(Relaxed),
        failures: std::mem::take(&mut *lock(&purge.failures)),
    }
}

#[derive(Default)]
struct Purge {
    removed: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<Vec<FailedEntry>>,
}

impl Purge {
    fn fails(&self, path: &[u8], message: String) {
        self.failed.fetch_add(1, Relaxed);
        let mut failures = lock(&self.failures);
        if failures.len() < NAMED {
            failures.push(FailedEntry {
                path: path.into(),
                message,
            });
        }
    }
}

impl Removal for Purge {
    fn allow(&self) -> bool {
        true
    }

    fn removed(&self, _path: &[u8], _kind: Kind) {
        self.removed.fetch_add(1, Relaxed);
    }

    fn failed(&self, path: &[u8], errno: Errno) {
        self.fails(path, format!("cannot be removed: {errno}"));
    }

    fn mounted(&self, path: &[u8]) {
        let message = "another file system is mounted there, and it is kept; unmount it first";
        self.fails(path, message.to_owned());
    }

    fn is_source(&self, _path: &[u8], _dir: &Dir) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_tree_goes_and_what_it_links_to_stays() {
        let work = tempfile::tempdir().unwrap();
        let at = |path: &str| work.path().join(path);
        fs::create_dir_all(at("gone/below")).unwrap();
        fs::write(at("gone/below/file"), "x").unwrap();
        fs::create_dir(at("kept")).unwrap();
        fs::write(at("kept/file"), "x").unwrap();
        std::os::unix::fs::symlink("../kept", at("gone/link")).unwrap();
        let dir = Dir::open_root(work.path()).unwrap();
        let would = purge(&dir, b"gone", b"gone", true);
        assert_eq!((would.removed, would.failed), (4, 0));
        assert!(at("gone/below/file").exists(), "a dry run removes nothing");
        let did = purge(&dir, b"gone", b"gone", false);
        assert_eq!((did.removed, did.failed), (4, 0));
        assert!(!at("gone").exists() && at("kept/file").exists());
        let again = purge(&dir, b"gone", b"gone", false);
        assert_eq!((again.removed, again.failed), (0, 0));
    }
}
